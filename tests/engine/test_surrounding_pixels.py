"""``smooth=`` and ``scene_bonus=``: what lies around a pixel has a say in who wins it.

What is right is said by loops over pixels that share nothing with the package.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import dask
import numpy as np
import odc.geo.xr  # noqa: F401  (registers .odc)
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import qmosaic as qm
from qmosaic.engine.deciders import ArraySource, Best
from qmosaic.engine.kernels import Order
from qmosaic.engine.neighbours import Disc, Favour, Preferring
from tests.support.interrupted import corrupt, interrupted
from tests.support.job import content
from tests.support.sources import (
    as_dataset,
    chunked,
    in_store,
    made_of_whole_images,
    random_stack,
)
from tests.support.surroundings import averaged, candidates, preferred, winner_of

RADIUS = 10
"""Pixels that count around, where nothing else is said."""


def placed(collection: xr.Dataset) -> xr.Dataset:
    """Say where a collection lies: pixels of 10 m."""
    height, width = collection.sizes["y"], collection.sizes["x"]
    collection = collection.assign_coords(y=-10.0 * np.arange(height), x=10.0 * np.arange(width))
    made: xr.Dataset = collection.odc.assign_crs("EPSG:32633")
    return made


def stack(shape: tuple[int, int, int], seed: int = 0, holes: float = 0.2) -> dict[str, np.ndarray]:
    """Make a quality of few values, some masked, and a band that tells image and place."""
    rng = np.random.default_rng(seed)
    quality = rng.integers(0, 7, shape).astype("float32")
    quality[rng.random(shape) < holes] = np.nan
    red = np.arange(1, 1 + int(np.prod(shape)), dtype="uint16").reshape(shape)
    red[rng.random(shape) < holes / 2] = 0
    return {"quality": quality, "red": red}


def index_of(
    values: dict[str, np.ndarray],
    *,
    smooth: int | None = None,
    scene_bonus: float | None = None,
    radius: float = RADIUS,
    ties: str = "first",
    masked: str = "keep",
    min_quality: Any = None,
) -> np.ndarray:
    """Name the winners, by loops over pixels; `smooth` is a number of pixels."""
    quality = values["quality"]
    valid = candidates(quality, None, min_quality, False)
    if masked == "skip":
        valid &= values["red"] != 0
    score = quality if smooth is None else averaged(quality, smooth).astype("float32")
    if scene_bonus is not None:
        return preferred(score, bonus=scene_bonus, radius=radius, ties=ties, valid=valid)
    index = np.full(score.shape[1:], -1)
    for y, x in np.ndindex(index.shape):
        scores = [(score[t, y, x].item(), t) for t in np.flatnonzero(valid[:, y, x]).tolist()]
        index[y, x] = winner_of(scores, ties)
    return index


def pixels_of(band: np.ndarray, index: np.ndarray, missing: Any) -> np.ndarray:
    """Give a band of a mosaic whose winners are known."""
    taken = np.take_along_axis(band, np.maximum(index, 0)[None], axis=0)[0]
    return np.where(index >= 0, taken, band.dtype.type(missing))


def same(mosaic: xr.Dataset, values: dict[str, np.ndarray], index: np.ndarray) -> None:
    """Compare all bands with what the winners have: the quality is the images' own."""
    got = mosaic.compute()
    for name, missing in (("quality", np.nan), ("red", 0)):
        assert got[name].dtype == values[name].dtype
        np.testing.assert_array_equal(got[name], pixels_of(values[name], index, missing))


ASKED = [
    {"smooth": 30},
    {"scene_bonus": 1.5, "scene_radius": 20},
    {"smooth": 50, "scene_bonus": 0.4, "scene_radius": 30},
]


def by_pixels(asked: dict[str, Any]) -> dict[str, Any]:
    """Turn metres into pixels of 10 m, for the oracle."""
    found: dict[str, Any] = {}
    if "smooth" in asked:
        found["smooth"] = asked["smooth"] // 10
    if "scene_bonus" in asked:
        found["scene_bonus"] = asked["scene_bonus"]
        found["radius"] = asked.get("scene_radius", 10 * RADIUS) / 10
    return found


@settings(max_examples=12, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(2, 9), st.integers(2, 9)),
    chunks=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    asked=st.sampled_from([*ASKED, {"scene_bonus": 2.5}]),
    ties=st.sampled_from(["first", "last"]),
    masked=st.sampled_from(["keep", "skip"]),
    min_quality=st.sampled_from([None, 3]),
    holes=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 99),
)
def test_pixels_are_those_of_loops(
    shape: Any,
    chunks: Any,
    asked: dict[str, Any],
    ties: Any,
    masked: Any,
    min_quality: Any,
    holes: float,
    seed: int,
) -> None:
    """Whatever the chunks, in memory or not, with thresholds, ties and holes: images are ordered by
    what lies around, bands are the images' own, and what is masked never wins."""
    values = stack(shape, seed, holes)
    rules = {"ties": ties, "masked": masked, "min_quality": min_quality}
    index = index_of(values, **by_pixels(asked), **rules)
    for collection in (as_dataset(values), chunked(values, chunks)):
        collection["red"].attrs["_FillValue"] = 0
        same(qm.quality_mosaic(placed(collection), "quality", **asked, **rules), values, index)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kind", ["persisted", "whole images", "cut", "rechunked", "concatenated"])
def test_any_input(asked: dict[str, Any], kind: str) -> None:
    """Inputs in memory, functions of which nothing is known, cuts and joins: the same pixels."""
    values = stack((6, 21, 19))
    collection = chunked(values, (1, 8, 8))
    if kind == "persisted":
        collection = collection.persist(scheduler="synchronous")
    elif kind == "whole images":
        collection = made_of_whole_images(collection, (2, 5, 19))
    elif kind == "cut":
        collection = collection.isel(y=slice(3, 20), x=slice(1, 18))
        values = {name: band[:, 3:20, 1:18] for name, band in values.items()}
    elif kind == "rechunked":
        collection = collection.chunk(time=3, y=5, x=19)
    else:
        halves = [collection.isel(x=slice(None, 9)), collection.isel(x=slice(9, None))]
        collection = xr.concat(halves, "x")
    mosaic = qm.quality_mosaic(placed(collection), "quality", **asked)
    same(mosaic, values, index_of(values, **by_pixels(asked)))


def test_blocks_do_not_matter(tmp_path: Path) -> None:
    """Rule 11: a block reads a margin as wide as it looks, whatever it is cut into and whoever runs
    it; stored, part by part, and with other schedulers."""
    asked, values = ASKED[2], stack((3, 33, 29))
    collection, _ = in_store(values, tmp_path / "in.zarr", (1, 8, 8))
    mosaic = qm.quality_mosaic(placed(collection), "quality", **asked)
    index = index_of(values, **by_pixels(asked))
    same(mosaic, values, index)
    part = mosaic.isel(y=slice(7, 18), x=slice(11, 12)).compute(scheduler="synchronous")
    np.testing.assert_array_equal(part["red"], pixels_of(values["red"], index, 0)[7:18, 11:12])
    qm.to_zarr(mosaic, tmp_path / "out.zarr", progress=False)
    same(qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False), values, index)
    qm.to_zarr(mosaic, tmp_path / "small.zarr", progress=False, block_bytes=2**10)
    same(qm.open_mosaic(tmp_path / "small.zarr", mask_and_scale=False), values, index)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("asked", ASKED)
def test_provenance_names_the_winners(asked: dict[str, Any], lazy: bool) -> None:
    """The mosaic rebuilt from `source_index` is the mosaic; candidates are counted as ever."""
    values = stack((5, 12, 14))
    collection = placed(chunked(values, (1, 5, 6)) if lazy else as_dataset(values))
    rules: Any = {"min_quality": 2, "provenance": True}
    mosaic = qm.quality_mosaic(collection, "quality", **asked, **rules).compute()
    index = index_of(values, **by_pixels(asked), min_quality=2)
    np.testing.assert_array_equal(mosaic["source_index"], index)
    count = candidates(values["quality"], None, 2, False).sum(axis=0)
    np.testing.assert_array_equal(mosaic["valid_count"], count)
    same(mosaic, values, index)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("asked", ASKED)
def test_each_period_for_itself(asked: dict[str, Any], lazy: bool) -> None:
    """The mosaic of a month is that of its images alone."""
    values = stack((6, 9, 11))
    times = np.array(["2020-01-05", "2020-03-02"] * 3, "datetime64[ns]")
    collection = placed(chunked(values, (1, 4, 5)) if lazy else as_dataset(values))
    collection = collection.assign_coords(time=times)
    collection["red"].attrs["_FillValue"] = 0
    months = qm.quality_mosaic(
        collection, "quality", period="MS", provenance=True, **asked
    ).compute()
    assert months.sizes["time"] == 3
    for month, first in ((0, 0), (2, 1)):
        own = {name: band[first::2] for name, band in values.items()}
        index = index_of(own, **by_pixels(asked))
        same(months.isel(time=month), own, index)
        found = months["source_index"].values[month]
        np.testing.assert_array_equal(found, np.where(index < 0, -1, 2 * index + first))
    assert (months["source_index"][1] == -1).all()


def test_each_band_from_where_it_is_valid() -> None:
    """``masked="fill"`` takes substitutes in the order of the smoothed quality."""
    values = stack((5, 8, 9), holes=0.4)
    score = averaged(values["quality"], 3).astype("float32")
    index = np.full(score.shape[1:], -1)
    for y, x in np.ndindex(index.shape):
        valid = ~np.isnan(score[:, y, x]) & (values["red"][:, y, x] != 0)
        index[y, x] = winner_of([(score[t, y, x], t) for t in np.flatnonzero(valid)], "first")
    for collection in (as_dataset(values), chunked(values, (1, 3, 4))):
        collection["red"].attrs["_FillValue"] = 0
        filled = qm.quality_mosaic(placed(collection), "quality", smooth=30, masked="fill")
        np.testing.assert_array_equal(filled["red"], pixels_of(values["red"], index, 0))
        own = pixels_of(values["quality"], index_of(values, smooth=3), np.nan)
        np.testing.assert_array_equal(filled["quality"], own)


def test_several_images_close_to_the_best() -> None:
    """``within=`` counts the images whose smoothed quality is close to the best; bands are reduced
    over their own values."""
    values = stack((5, 8, 9), holes=0.3)
    score = averaged(values["quality"], 3).astype("float32")
    near = score >= np.fmax.reduce(score, axis=0) - np.float32(0.75)
    want = np.where(near, values["quality"], np.nan)
    for collection in (as_dataset(values), chunked(values, (1, 3, 4))):
        asked: Any = {"smooth": 30, "within": 0.75, "reducer": "mean"}
        mosaic = qm.quality_mosaic(placed(collection), "quality", **asked).compute()
        for y, x in np.ndindex(8, 9):
            own = [float(v) for v in want[:, y, x] if not np.isnan(v)]
            mean = np.float32(sum(own) / len(own)) if own else np.nan
            np.testing.assert_allclose(mosaic["quality"].values[y, x], mean, rtol=1e-6)


def test_integers_and_packed_numbers() -> None:
    """In the numbers of the quality, packed ones where it is packed; with a negative scale the
    lowest wins, and a bonus lowers."""
    packed = np.random.default_rng(1).integers(0, 9, (4, 10, 9)).astype("uint8")
    red = np.arange(packed.size, dtype="uint16").reshape(packed.shape)
    attrs = {"scale_factor": -0.5, "add_offset": 3.0, "_FillValue": 8}
    collection = placed(as_dataset({"quality": packed, "red": red}))
    collection["quality"].attrs.update(attrs)
    rules: Any = {"nodata": 8, "least": 6, "descending": True}
    wanted = preferred(packed, bonus=2, radius=2, **rules)
    mosaic = qm.quality_mosaic(collection, "quality", scene_bonus=2, scene_radius=20, min_quality=6)
    np.testing.assert_array_equal(mosaic["quality"], pixels_of(packed, wanted, 8))
    np.testing.assert_array_equal(mosaic["red"], pixels_of(red, wanted, 0))
    means = averaged(packed, 3, nodata=8).astype("float32")
    means[packed > 6] = np.nan
    wanted = np.where(np.isnan(means).all(0), -1, np.where(np.isnan(means), 99, means).argmin(0))
    smoothed = qm.quality_mosaic(collection, "quality", smooth=30, min_quality=6)
    np.testing.assert_array_equal(smoothed["quality"], pixels_of(packed, wanted, 8))
    assert smoothed["quality"].attrs == mosaic["quality"].attrs


@pytest.mark.parametrize("asked", ASKED)
def test_arrays_of_bands(asked: dict[str, Any]) -> None:
    """A DataArray with a dimension of bands, and the method, give the same."""
    values = stack((4, 9, 8))
    dataset = placed(as_dataset({name: band.astype("float64") for name, band in values.items()}))
    wanted = qm.quality_mosaic(dataset, "quality", **asked)
    array = qm.quality_mosaic(dataset.to_dataarray("band"), "quality", **asked)
    np.testing.assert_array_equal(array.sel(band="red"), wanted["red"])
    assert dataset.qmosaic.quality_mosaic("quality", **asked).identical(wanted)


def test_what_was_asked_for_is_recorded() -> None:
    """Attributes of the mosaic say what the quality was smoothed over and what was preferred."""
    collection = placed(as_dataset(stack((2, 5, 5))))
    plain = qm.quality_mosaic(collection, "quality").attrs
    assert not {name for name in plain if "smooth" in name or "scene" in name}
    both = qm.quality_mosaic(collection, "quality", smooth=30, scene_bonus=2, scene_radius=20).attrs
    assert both["qmosaic_smooth"] == 30
    assert (both["qmosaic_scene_bonus"], both["qmosaic_scene_radius"]) == (2, 20)
    near = qm.quality_mosaic(collection, "quality", scene_bonus=2).attrs
    assert near["qmosaic_scene_radius"] == "10 pixels"


def test_no_size_of_pixels_is_needed_for_a_radius_in_pixels() -> None:
    """A bonus without radius works where nothing tells how large a pixel is."""
    values = stack((4, 12, 13))
    bare = as_dataset(values).drop_vars(["y", "x"])
    mosaic = qm.quality_mosaic(bare, "quality", scene_bonus=1.5)
    same(mosaic, values, index_of(values, scene_bonus=1.5))


@pytest.mark.parametrize("asked", ASKED)
def test_a_quality_in_memory_among_lazy_bands(asked: dict[str, Any]) -> None:
    """Rule 9: where any band is deferred, the mosaic is; and the CRS may stand among the bands, as
    xarray leaves it."""
    values = stack((4, 12, 13))
    collection = placed(chunked(values, (1, 5, 6))).reset_coords("spatial_ref")
    collection["quality"] = (("time", "y", "x"), values["quality"])
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        mosaic = qm.quality_mosaic(collection, "quality", **asked)
    assert all(mosaic[name].chunks is not None for name in values)
    same(mosaic, values, index_of(values, **by_pixels(asked)))


@pytest.mark.parametrize("asked", ASKED)
def test_reads(asked: dict[str, Any], tmp_path: Path) -> None:
    """The quality once, and once more of the images that have won anything for each use of their
    own values; of other bands only images that win in the end."""
    values = random_stack(images=8, side=16)
    values["quality"][5:] = -1  # these win nowhere
    collection, store = in_store(values, tmp_path / "in.zarr", (1, 16, 16))
    mosaic = qm.quality_mosaic(placed(collection), "quality", provenance=True, **asked)
    assert not store.reads
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", progress=False)
    index = qm.open_mosaic(tmp_path / "out.zarr")["source_index"].values
    winners = {int(t) for t in np.unique(index) if t >= 0}
    reads = {int(key.split("/")[2]): n for key, n in store.chunks("quality").items()}
    assert set(reads) == set(range(8))
    again = len(asked.keys() & {"smooth", "scene_bonus"})
    assert all(n == 1 for t, n in reads.items() if t >= 5)
    assert all(n <= 1 + again for n in reads.values())
    assert {t for t in reads if reads[t] == 1 + again} <= set(range(5))
    assert {int(key.split("/")[2]) for key in store.chunks("red")} == winners
    assert set(store.chunks("red").values()) == {1}


def test_a_block_reads_its_margin_and_no_more(tmp_path: Path) -> None:
    """A block in the middle of the map touches the chunks within reach, none beyond."""
    values = random_stack(images=2, side=48)
    collection, store = in_store(values, tmp_path / "in.zarr", (1, 8, 8))
    asked: Any = {"scene_bonus": 1.5, "scene_radius": 90}
    mosaic = qm.quality_mosaic(placed(collection), "quality", **asked)
    with dask.config.set(scheduler="synchronous"):
        mosaic["quality"].data.blocks[2, 2].compute()
    touched = {tuple(map(int, key.split("/")[3:])) for key in store.chunks("quality")}
    assert touched == {(y, x) for y in range(0, 5) for x in range(0, 5)}


def test_resume(tmp_path: Path) -> None:
    """An interrupted mosaic is gone on with, to the same bytes; not with another width or bonus."""
    asked, values = ASKED[2], random_stack(images=2, side=64)
    del values["nir"]
    collection, _ = in_store(values, tmp_path / "in.zarr")
    collection = placed(collection)

    def mosaic(**changed: Any) -> xr.Dataset:
        return qm.quality_mosaic(collection, "quality", **{**asked, **changed})

    interrupted(mosaic(), tmp_path / "out.zarr", blocks=2)
    for name in asked:
        with pytest.raises(ValueError, match=f"holds another mosaic.*qmosaic_{name}"):
            qm.to_zarr(mosaic(**{name: asked[name] * 3}), tmp_path / "out.zarr", mode="resume")
    qm.to_zarr(mosaic(), tmp_path / "out.zarr", mode="resume", progress=False)
    qm.to_zarr(mosaic(), tmp_path / "whole.zarr", progress=False)
    assert content(tmp_path / "out.zarr") == content(tmp_path / "whole.zarr")


def test_a_damaged_chunk_beside_a_block(tmp_path: Path) -> None:
    """A block whose margin cannot be read is made without the image there; the error names the
    chunks that were looked at, the damaged one among them."""
    values = random_stack(images=2, side=24)
    del values["nir"]
    collection, _ = in_store(values, tmp_path / "in.zarr")
    corrupt(tmp_path / "in.zarr", "quality", 0, 1, 1)
    asked: Any = {"scene_bonus": 1.5, "scene_radius": 20, "provenance": ["source_index"]}
    mosaic = qm.quality_mosaic(placed(collection), "quality", **asked)
    with pytest.raises(qm.ChunkReadError, match=r"chunk \(0, [01], [01]\) to \(0, [12], [12]\)"):
        qm.to_zarr(mosaic, tmp_path / "none.zarr", progress=False)
    qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip", progress=False)
    made = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    index = made["source_index"].values
    assert not (index[8:16, 8:16] == 0).any()
    for name, missing in (("quality", np.nan), ("red", 0)):
        np.testing.assert_array_equal(made[name], pixels_of(values[name], index, missing))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_memory_does_not_grow_with_images(dtype: str) -> None:
    """One image at a time has its share: what is allocated does not depend on their number, and
    what is declared as needed a pixel is enough."""
    peaks = {}
    best, window = Best(Order()), ((0, 256), (0, 256))
    preferring = Preferring(best, Favour(1.5, Disc.of(9, 9), (0, 1)), (256, 256))
    for images in (5, 40):
        values = (99 * np.random.default_rng(0).random((images, 256, 256))).astype(dtype)
        for decider in (best, preferring):
            tracemalloc.start()
            try:
                decider.decide(window, [ArraySource(values, 0)])
                peaks[images, decider] = tracemalloc.get_traced_memory()[1] / 2**16
            finally:
                tracemalloc.stop()
    assert peaks[40, preferring] < 1.05 * peaks[5, preferring]
    declared = preferring.holds(40, 2**16, np.dtype(dtype).itemsize) / 2**16
    assert peaks[40, preferring] < peaks[40, best] + declared


@pytest.mark.parametrize("asked", ASKED)
def test_the_predicted_peak_holds(asked: dict[str, Any], tmp_path: Path) -> None:
    """What one thread allocates lies below what `explain` says, and not far below."""
    values = {"quality": np.random.default_rng(0).random((6, 512, 512), "float32")}
    collection, _ = in_store(values, tmp_path / "in.zarr", (1, 512, 512))
    mosaic = qm.quality_mosaic(placed(collection), "quality", **asked)
    qm.to_zarr(mosaic.isel(y=slice(8), x=slice(8)), tmp_path / "warm.zarr")  # imports and caches
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        try:
            qm.to_zarr(mosaic, tmp_path / "out.zarr", progress=False)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    predicted = qm.explain(mosaic).peak_bytes
    assert 0.2 * predicted < peak < predicted


def located(crs: str | None = "EPSG:32633", step: float = 10) -> xr.Dataset:
    """Make a small collection in a CRS."""
    made = as_dataset(stack((2, 4, 5))).assign_coords(y=np.arange(4) * -step, x=np.arange(5) * step)
    return made if crs is None else made.odc.assign_crs(crs)


@pytest.mark.parametrize(
    ("collection", "asked", "parts"),
    [
        (located(), {"smooth": 0}, ["smooth=0", "above 0", "smooth=30"]),
        (located(), {"smooth": "30"}, ["smooth='30'", "above 0"]),
        (located(), {"smooth": True}, ["smooth=True"]),
        (located(), {"smooth": 10}, ["smooth=10", "10 × 10 m", "smooth=30"]),
        (located(), {"scene_bonus": -1}, ["scene_bonus=-1", "above 0", "scene_bonus=0.1"]),
        (located(), {"scene_bonus": np.inf}, ["scene_bonus=inf", "above 0"]),
        (located(), {"scene_radius": 50}, ["scene_radius=50", "scene_bonus="]),
        (located(), {"scene_bonus": 1, "scene_radius": 0}, ["scene_radius=0", "scene_radius=100"]),
        (located(), {"scene_bonus": 1, "scene_radius": 9}, ["10 × 10 m", "scene_radius=100"]),
        (located(None), {"smooth": 30}, ["the CRS", "scores.smooth(collection['quality']"]),
        (located("EPSG:4326", 0.1), {"smooth": 30}, ["degrees", "scores.smooth(", "resolution="]),
        (located("EPSG:4326", 0.1), {"scene_bonus": 1, "scene_radius": 9}, ["degrees", "pixels"]),
        (located().drop_vars(["y", "x"]), {"smooth": 30}, ["no coordinates", "assign_coords"]),
        (located(), {"scene_bonus": 1, "masked": "fill"}, ["masked='fill'", "='skip'"]),
        (located(), {"scene_bonus": 1, "within": 0.1}, ["scene_bonus=1", "within=", "smooth="]),
        (located().mean(["y", "x"]), {"smooth": 30}, ["smooth=30", "no map", "smooth= out"]),
        (located().mean(["y", "x"]), {"scene_bonus": 1}, ["no map", "leave scene_bonus= out"]),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(
    collection: xr.Dataset, asked: dict[str, Any], parts: list[str]
) -> None:
    """What came, why not, what to write."""
    with pytest.raises(ValueError, match="=") as raised:
        qm.quality_mosaic(collection, "quality", **asked)
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize("asked", ASKED)
def test_several_bands_that_decide_are_refused(asked: dict[str, Any]) -> None:
    """One quality is smoothed, or raised by a bonus; which of several is not said."""
    with pytest.raises(ValueError, match=r"\['quality', 'red'\].*one band"):
        qm.quality_mosaic(located(), ["quality", "red"], **asked)
