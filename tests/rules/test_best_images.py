"""The n best images of each pixel: rank 0 is the quality mosaic; each further rank is the mosaic of
what the ranks before have left, pixel by pixel. Where there are fewer candidates a rank is masked,
and dtypes are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qmosaic as qm
from tests.support.choice_strategies import Wide, wide_cases
from tests.support.choices import mosaic, one_behind_the_other, source_index, told_of, valid_count
from tests.support.interrupted import interrupted
from tests.support.job import content
from tests.support.oracle import assert_same
from tests.support.small import BACKENDS, LAZY, NAN, TIES, row_of, scene
from tests.support.sources import in_store, random_stack

NAMES = ["source_index", "source_time", "valid_count"]


def rows(made: xr.Dataset, band: str) -> list[Any]:
    """Give the one row of a band, rank by rank."""
    values: list[Any] = made[band].transpose("rank", "y", "x").values[:, 0].tolist()
    return values


def made_of(backend: str) -> xr.Dataset:
    """Make four images of four pixels: in order, a tie, some masked, no candidate."""
    return row_of(
        backend,
        q=np.float32([[1, 5, 3, NAN], [4, 5, NAN, NAN], [3, 5, 1, NAN], [2, 7, NAN, NAN]]),
        red=np.uint16([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33], [40, 41, 42, 43]]),
    )


@BACKENDS
def test_by_hand(backend: str) -> None:
    """The best first; ties in the order of the collection, over several ranks; what is missing is
    masked, in the band's own dtype."""
    m = qm.best_images(made_of(backend), "q", 3)
    assert m["red"].dims == m["q"].dims == ("rank", "y", "x")
    np.testing.assert_array_equal(
        np.array(rows(m, "q")), [[4, 7, 3, NAN], [3, 5, 1, NAN], [2, 5, NAN, NAN]]
    )
    assert rows(m, "red") == [[20, 41, 12, 0], [30, 11, 32, 0], [40, 21, 0, 0]]
    assert (m["red"].dtype, m["q"].dtype) == (np.dtype("uint16"), np.dtype("float32"))
    assert m["red"].attrs["_FillValue"] == 0
    assert list(m["rank"].values) == [0, 1, 2]
    assert not set(NAMES) & set(m.coords)


@BACKENDS
def test_the_last_of_equals(backend: str) -> None:
    """Rule 5 within a rank and from one to the next: the last first, then the one before it."""
    m = qm.best_images(made_of(backend), "q", 4, ties="last")
    assert rows(m, "red") == [[20, 41, 12, 0], [30, 31, 32, 0], [40, 21, 0, 0], [10, 11, 0, 0]]


@BACKENDS
@TIES
def test_one_is_the_mosaic(backend: str, ties: Any) -> None:
    """n=1 is the quality mosaic, with a rank; and so is rank 0 of any n."""
    c = scene() if backend == "dask" else scene().compute()
    plain = qm.quality_mosaic(c, "quality", ties=ties, provenance=True).compute()
    for n in (1, 3):
        m = qm.best_images(c, "quality", n, ties=ties, provenance=True).compute()
        assert m.sizes["rank"] == n
        for name in ("red", "nir", "quality", "doy", "date", "source_index", "source_time"):
            assert m[name].dtype == plain[name].dtype
            np.testing.assert_array_equal(m[name].isel(rank=0).values, plain[name].values, name)
        np.testing.assert_array_equal(m["valid_count"].values, plain["valid_count"].values)


@BACKENDS
def test_more_than_there_are(backend: str) -> None:
    """Ranks beyond the number of images are masked, and what stands there is declared (rule 3),
    also where every image is a candidate everywhere; not where none can be lacking."""
    c = row_of(backend, q=np.uint8([[3, 1], [2, 2]]), red=np.int16([[1, 2], [3, 4]]))
    m = qm.best_images(c, "q", 4, fill_value=9, provenance=True)
    assert rows(m, "red") == [[1, 4], [3, 2], [9, 9], [9, 9]]
    assert rows(m, "source_index") == [[0, 1], [1, 0], [-1, -1], [-1, -1]]
    assert np.isnat(m["source_time"].values[2:]).all()
    assert m["valid_count"].dims == ("y", "x")
    assert m["valid_count"].values.tolist() == [[2, 2]]
    assert m["red"].attrs["_FillValue"] == 9
    assert m["red"].dtype == "int16"
    assert "_FillValue" not in qm.best_images(c, "q", 2, fill_value=9)["red"].attrs


@BACKENDS
def test_a_rank_with_holes_declares_them(backend: str) -> None:
    """Rule 3: where a threshold or NaN can leave too few, integers declare what stands there."""
    c = row_of(backend, q=np.uint8([[3, 1], [2, 2]]), red=np.int16([[1, 2], [3, 4]]))
    m = qm.best_images(c, "q", 2, min_quality=2, provenance=["valid_count"])
    assert rows(m, "red") == [[1, 4], [3, 0]]
    assert rows(m, "q") == [[3, 2], [2, 0]]
    assert m["red"].attrs["_FillValue"] == m["q"].attrs["_FillValue"] == 0
    assert m["valid_count"].values.tolist() == [[2, 1]]


@BACKENDS
def test_masked_bands(backend: str) -> None:
    """Rule 6: "keep" leaves the holes of an image in its rank; "skip" ranks whole images only."""
    c = row_of(
        backend,
        {"a": {"_FillValue": 0}},
        q=np.int8([[7, 7], [9, 9], [5, 5]]),
        a=np.uint8([[2, 2], [0, 1], [3, 0]]),
        t=np.uint8([[1, 1], [2, 2], [3, 3]]),
    )
    keep, skip = (qm.best_images(c, "q", 2, masked=m) for m in ("keep", "skip"))
    assert (rows(keep, "t"), rows(keep, "a")) == ([[2, 2], [1, 1]], [[0, 1], [2, 2]])
    assert (rows(skip, "t"), rows(skip, "a")) == ([[1, 2], [3, 1]], [[2, 1], [3, 2]])


def taken_away(images: xr.Dataset, m: xr.Dataset, rank: int) -> xr.Dataset:
    """Mask the score of each pixel's image of a rank."""
    quality, index = images["quality"].values.copy(), m["source_index"].values[rank]
    for y, x in np.ndindex(index.shape):
        if index[y, x] >= 0:
            quality[index[y, x], y, x] = NAN
    return images.assign(quality=images["quality"].copy(data=quality))


@LAZY
@TIES
@pytest.mark.parametrize("masked", ["keep", "skip"])
def test_each_rank_is_the_mosaic_of_what_is_left(lazy: bool, ties: Any, masked: Any) -> None:
    """Literally: the winners are masked, pixel by pixel, and the mosaic is made again."""
    images = scene()
    m = qm.best_images(
        images if lazy else images.compute(),
        "quality",
        4,
        ties=ties,
        masked=masked,
        provenance=True,
    ).compute()
    left = images.compute()
    for rank in range(4):
        alone = qm.quality_mosaic(left, "quality", ties=ties, masked=masked, provenance=True)
        for name in ("red", "nir", "quality", "doy", "date", "source_index", "source_time"):
            np.testing.assert_array_equal(m[name].values[rank], alone[name].values, name)
        left = taken_away(left, m, rank)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(wide_cases(masked=["keep", "skip"]), st.integers(1, 6))
def test_any_collection(wide: Wide, n: int) -> None:
    """Any dtype, nodata, tie, mask rule, packing, threshold, chunks, order of dimensions; layers,
    and bands with one number an image: each rank is what the loop over pixels finds."""
    bands, choice = wide.bands, wide.choice()
    ranks = [mosaic(bands, choice, rank) for rank in range(n)]
    index = [source_index(bands, choice, rank) for rank in range(n)]
    options = {k: v for k, v in wide.case.options().items() if k != "upper_bound"}
    q = bands["q"]
    lacking = n > wide.images or q.can_be_masked or choice.min_quality is not None
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.best_images(
                wide.collection(lazy=lazy), "q", n, provenance=[*NAMES, "id"], **options
            ).compute()
            assert list(got.data_vars) == list(bands)
            for name in bands:
                assert got[name].dims[0] == "rank"
                assert_same(got[name], one_behind_the_other([rank[name] for rank in ranks], "rank"))
                undeclared = bands[name].values.dtype.kind in "iu" and bands[name].nodata is None
                if undeclared and choice.masked == "keep":
                    want = choice.fill if lacking else None
                    assert got[name].attrs.get("_FillValue") == want
            assert_same(got["source_index"], one_behind_the_other(index, "rank"))
            assert_same(got["valid_count"], valid_count(bands, choice))
            for name, values in (
                ("source_time", wide.times.values.astype("datetime64[ns]")),
                ("id", got_ids(wide)),
            ):
                missing = "" if name == "id" else np.datetime64("NaT")
                told = [told_of(one, values, missing) for one in index]
                assert_same(got[name], one_behind_the_other(told, "rank"))


def got_ids(wide: Wide) -> np.ndarray:
    """Give what the coordinate `id` says of the images."""
    return wide.collection(lazy=False)["id"].values


# -- deferred --------------------------------------------------------------------------------------


def test_nothing_is_computed() -> None:
    """Rule 9: neither where it is made nor where more is made of it."""
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        m = qm.best_images(scene(), "quality", 3, provenance=True)
        m.drop_vars("date").median("rank")
    assert m["red"].chunks[1:] == ((4, 3), (5, 4))
    assert m["source_index"].chunks is not None


def test_the_median_of_the_best() -> None:
    """``best_images(...).median("rank")`` is a composite of few images, made lazily."""
    values = random_stack(images=9, side=16)
    images, _ = in_memory(values)
    m = qm.best_images(images, "quality", 5)[["nir"]].median("rank")
    assert m["nir"].chunks is not None
    got = m["nir"].compute(scheduler="synchronous").values
    for y, x in np.ndindex(16, 16):
        scores = values["quality"][:, y, x]
        order = sorted(
            (t for t in range(9) if scores[t] == scores[t]), key=lambda t: (-scores[t], t)
        )
        best = [float(values["nir"][t, y, x]) for t in order[:5]]
        want = sorted(best)
        middle = len(want) // 2
        median = want[middle] if len(want) % 2 else (want[middle - 1] + want[middle]) / 2
        assert got[y, x] == pytest.approx(median, rel=1e-12)


def in_memory(values: dict[str, np.ndarray]) -> tuple[xr.Dataset, None]:
    """Make a collection in chunks of one image."""
    dims = ("time", "y", "x")
    made = xr.Dataset({n: (dims, v) for n, v in values.items()})
    return made.chunk(time=1, y=8, x=8), None


CHUNKS: dict[str, Any] = {
    "irregular": lambda c: c.chunk(time=(1, 3, 2), y=(3, 4), x=(2, 7)),
    "images together": lambda c: c.chunk(time=-1, y=4, x=5),
    "other borders": lambda c: c.chunk(time=1, y=3, x=4).chunk(y=5, x=2),
    "persisted": lambda c: c.persist(),
    "a band in memory": lambda c: c.assign(red=c["red"].compute()),
    "in another order": lambda c: c.transpose("x", "time", "y"),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_do_not_matter(name: str) -> None:
    """Rules 10 and 11: as in memory."""
    images = CHUNKS[name](scene())
    eager = qm.best_images(images.compute(), "quality", 3, provenance=True)
    lazy = qm.best_images(images, "quality", 3, provenance=True)
    xr.testing.assert_identical(lazy.compute(), eager)


# -- what is said of it ----------------------------------------------------------------------------


@BACKENDS
def test_attributes_and_what_has_no_time(backend: str) -> None:
    """Rule 8: attributes, CRS, coordinates, variables without time are there once; the rules are
    recorded."""
    c = scene() if backend == "dask" else scene().compute()
    m = qm.best_images(c, "quality", 2, min_quality=-3)
    for name in ("elevation", "spatial_ref", "y", "x", "lat"):
        xr.testing.assert_identical(
            m[name].reset_coords(drop=True), c[name].reset_coords(drop=True)
        )
    assert m["red"].attrs["long_name"] == "red light"
    assert m["nir"].attrs.get("grid_mapping", m["nir"].encoding.get("grid_mapping"))
    assert m.attrs["title"] == "July"
    assert m.attrs["qmosaic_quality_band"] == "quality"
    assert m.attrs["qmosaic_images"] == 6
    assert m.attrs["qmosaic_min_quality"] == -3
    assert m.attrs["qmosaic_time_first"] == "2020-07-01T00:00:00"
    assert "time" not in m.dims


@LAZY
def test_an_array_of_bands(lazy: bool) -> None:
    """A DataArray with ``band`` stays one; its ranks come first."""
    images = scene()[["red", "quality"]].drop_vars("lat").astype("float32")
    images["red"].attrs = {}
    images = images if lazy else images.compute()
    array = qm.best_images(images.to_dataarray("band"), "quality", 3, provenance=True)
    apart = qm.best_images(images, "quality", 3, provenance=True)
    assert array.dims[0] == "rank"
    assert set(array.dims) == {"rank", "band", "y", "x"}
    for name in ("red", "quality"):
        np.testing.assert_array_equal(array.sel(band=name).values, apart[name].values)
    for name in NAMES:
        np.testing.assert_array_equal(array[name].values, apart[name].values)


def test_the_method() -> None:
    """``ds.qmosaic.best_images``."""
    images = scene().compute()
    xr.testing.assert_identical(
        images.qmosaic.best_images("quality", 2, ties="last", provenance=True),
        qm.best_images(images, "quality", 2, ties="last", provenance=True),
    )


# -- written ---------------------------------------------------------------------------------------


def test_it_is_written_and_gone_on_with(tmp_path: Path) -> None:
    """As any mosaic: by block, resumable, the bytes those of a single run."""
    values = random_stack(images=6, side=24)
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    images, store = in_store(values, tmp_path / "in.zarr")

    def make() -> xr.Dataset:
        return qm.best_images(images, "quality", 3, provenance=True)

    eager = qm.best_images(images.compute(), "quality", 3, provenance=True)
    qm.to_zarr(make(), whole, progress=False)
    interrupted(make(), out, blocks=4)
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(out)
    store.reads.clear()
    told: list[qm.Progress] = []
    qm.to_zarr(make(), out, mode="resume", progress=told.append)
    assert told[0].resumed >= 4
    assert content(out) == content(whole)
    back = qm.open_mosaic(out, mask_and_scale=False).compute()
    for name in ("red", "nir", "quality", *NAMES):
        assert back[name].dtype == eager[name].dtype
        np.testing.assert_array_equal(back[name].values, eager[name].values, name)
    with pytest.raises(ValueError, match=r"another mosaic|rank|shape"):
        qm.to_zarr(qm.best_images(images, "quality", 2), out, mode="resume", progress=False)
