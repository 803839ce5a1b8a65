"""What is read where a mosaic is more than one image a pixel by one quality: the quality of each
image once, of other bands no chunk that cannot matter; in little memory, whatever the number of
images."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.engine.test_reads import Noise
from tests.support.choices import Choice, at_rank, entrants
from tests.support.mosaics import is_deferred
from tests.support.oracle import Band
from tests.support.sources import CountingStore, as_dataset, in_store, random_stack

SIDE, CHUNK = 16, 8
BLOCKS = [(y, x) for y in range(SIDE // CHUNK) for x in range(SIDE // CHUNK)]


def computed(made: Any) -> Any:
    """Compute with one thread."""
    return made.compute(scheduler="synchronous")


def pixels_of(block: tuple[int, int]) -> list[dict[str, int]]:
    """Name the pixels of a block."""
    return [
        {"y": block[0] * CHUNK + y, "x": block[1] * CHUNK + x} for y, x in np.ndindex(CHUNK, CHUNK)
    ]


def as_bands(values: dict[str, np.ndarray]) -> dict[str, Band]:
    """Give the bands to the oracle."""
    return {name: Band(("time", "y", "x"), band) for name, band in values.items()}


def names(band: str, chunks: Any) -> set[str]:
    """Name chunks of a band: of (image, block)."""
    return {f"{band}/c/{t}/{y}/{x}" for t, (y, x) in chunks}


def winners_in(values: dict[str, np.ndarray], choice: Choice, ranks: int) -> set[Any]:
    """Name the images that win a pixel of a block, in one of the ranks."""
    bands, won = as_bands(values), set()
    for block in BLOCKS:
        for pixel in pixels_of(block):
            left = entrants(bands, choice, pixel)
            for rank in range(ranks):
                won.add((at_rank(bands, choice, pixel, left, rank), block))
    return {(t, block) for t, block in won if t >= 0}


def once(store: CountingStore, band: str, chunks: Any) -> None:
    """Check which chunks of a band were read, and that each was read once."""
    assert store.chunks(band) == Counter(dict.fromkeys(names(band, chunks), 1))


def everywhere(images: Any) -> set[Any]:
    """Name all blocks of some images."""
    return {(t, block) for t in images for block in BLOCKS}


# -- provenance ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*vlen-utf8")
@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_provenance_reads_nothing_more(tmp_path: Path, masked: Any) -> None:
    """Positions and counts are by-products of the decision: of every band the chunks that are read
    without them, as often."""
    values = random_stack(images=8, side=SIDE)
    collection, store = in_store(values, tmp_path / "in.zarr")
    collection = collection.assign_coords(id=("time", np.array(list("abcdefgh"), object)))
    asked = ["source_index", "source_time", "valid_count", "id"]
    counts = []
    for number, provenance in enumerate((False, asked)):
        store.reads.clear()
        made = qm.quality_mosaic(collection, "quality", masked=masked, provenance=provenance)
        assert not sum(store.chunks("quality").values())
        with dask.config.set(scheduler="synchronous"):
            qm.to_zarr(made, tmp_path / f"{number}.zarr", progress=False)
        counts.append({name: store.chunks(name) for name in values})
    assert counts[0] == counts[1]
    assert sum(counts[0]["quality"].values())


def test_where_a_pixel_comes_from_is_known_from_the_quality(tmp_path: Path) -> None:
    """No other band is read for it."""
    values = random_stack(images=8, side=SIDE)
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.quality_mosaic(collection, "quality", provenance=True)
    assert qm.explain(made).deferred
    store.reads.clear()
    computed(made[["source_index"]].drop_vars(["source_time", "valid_count"]))
    computed(made["source_index"].variable)
    assert not store.chunks("red")
    assert not store.chunks("nir")


@pytest.mark.parametrize("ties", ["first", "last"])
def test_an_upper_bound_stops_reading_unless_candidates_are_counted(
    tmp_path: Path, ties: Any
) -> None:
    """The count needs every image; a position does not."""
    values = random_stack(images=8, side=SIDE)
    values["quality"][:] = -3
    values["quality"][3], values["quality"][4] = 0, 0
    collection, store = in_store(values, tmp_path / "in.zarr")
    for provenance, images in (
        (["source_index"], {0, 1, 2, 3} if ties == "first" else {7, 6, 5, 4}),
        (["source_index", "valid_count"], set(range(8))),
    ):
        made = qm.quality_mosaic(
            collection, "quality", ties=ties, upper_bound=0, provenance=provenance
        )
        store.reads.clear()
        with dask.config.set(scheduler="synchronous"):
            qm.to_zarr(made, tmp_path / "out.zarr", mode="w", progress=False)
        once(store, "quality", everywhere(images))
        once(store, "red", everywhere([3 if ties == "first" else 4]))


# -- the n best ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", ["first", "last"])
def test_one_pass_for_all_ranks(tmp_path: Path, ties: Any) -> None:
    """The quality of each image once a block; a chunk of another band at most once, and only where
    its image has won a pixel in some rank."""
    rng = np.random.default_rng(2)
    values = random_stack(images=12, side=SIDE)
    # a few images are the best of each block
    values["quality"] = rng.integers(0, 3, values["quality"].shape).astype("float32")
    for block, best in zip(BLOCKS, ([0, 1], [2, 3, 4], [5], [6, 7, 8, 9]), strict=True):
        y, x = (slice(CHUNK * n, CHUNK * n + CHUNK) for n in block)
        for t in best:
            values["quality"][t, y, x] += 5
    choice = Choice(("quality",), ties)
    won = winners_in(values, choice, 2)
    assert 0 < len(won) < 12 * len(BLOCKS) / 2
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.best_images(collection, "quality", 2, ties=ties, provenance=True)
    assert not store.chunks("quality")
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(made, tmp_path / "out.zarr", progress=False)
    once(store, "quality", everywhere(range(12)))
    once(store, "red", won)
    once(store, "nir", won)


def test_a_rank_alone_reads_what_it_needs(tmp_path: Path) -> None:
    """What is made of the ranks reads no band that it does not use."""
    values = random_stack(images=8, side=SIDE)
    collection, store = in_store(values, tmp_path / "in.zarr")
    median = qm.best_images(collection, "quality", 3)[["nir"]].median("rank")
    assert not store.chunks("nir")
    computed(median)
    once(store, "quality", everywhere(range(8)))
    once(store, "nir", winners_in(values, Choice(("quality",)), 3))
    assert not store.chunks("red")


# -- lexicographic order ---------------------------------------------------------------------------


def classes(images: int = 8) -> dict[str, np.ndarray]:
    """Make a quality of classes that ties at the top in two blocks of four: in one images 1 and 4
    in every pixel, and image 6 in one; in another images 2, 3 and 5, in a pixel each two."""
    rng = np.random.default_rng(5)
    shape = (images, SIDE, SIDE)
    values = {
        "quality": np.zeros(shape, "int16"),
        "second": rng.integers(0, 2, shape).astype("uint8"),
        "third": rng.normal(size=shape).astype("float32"),
        "red": rng.integers(1, 60000, shape).astype("uint16"),
    }
    values["quality"][:] = np.arange(images).reshape(-1, 1, 1)  # nothing ties
    here, there = slice(0, CHUNK), slice(CHUNK, SIDE)
    values["quality"][[1, 4], here, here] = 50
    values["quality"][6, 3, 5] = 50
    values["quality"][[2, 3], CHUNK + 1, CHUNK + 1] = 60
    values["second"][[2, 3], CHUNK + 1, CHUNK + 1] = 0, 1
    values["quality"][[3, 5], CHUNK + 2, CHUNK + 2] = 70
    assert (values["quality"][:, there, here].argmax(axis=0) == images - 1).all()
    return values


def deciding(values: dict[str, np.ndarray], qualities: tuple[str, ...]) -> set[Any]:
    """Name the images and blocks in which equals of some bands are left for the next to decide."""
    found = set()
    for block in BLOCKS:
        for pixel in pixels_of(block):
            place = (slice(None), pixel["y"], pixel["x"])
            left = list(range(len(values["quality"])))
            for name in qualities:
                best = max(values[name][place][t] for t in left)
                left = [t for t in left if values[name][place][t] == best]
            if len(left) > 1:
                found |= {(t, block) for t in left}
    return found


@pytest.mark.parametrize("ties", ["first", "last"])
def test_later_bands_are_read_where_they_decide(tmp_path: Path, ties: Any) -> None:
    """An image that does not tie for the top in a block is not read there; where nothing ties,
    nothing is. So for the second band, and for the third among equals of both."""
    values = classes()
    second, third = (
        deciding(values, ("quality",)),
        deciding(values, ("quality", "second")),
    )
    assert second == {
        *((t, (0, 0)) for t in (1, 4, 6)),
        *((t, (1, 1)) for t in (2, 3, 5)),
    }
    assert third < second
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.quality_mosaic(collection, ["quality", "second", "third"], ties=ties)
    assert is_deferred(made)
    store.reads.clear()
    computed(made["red"])
    assert set(store.chunks("second")) == names("second", second)
    once(store, "third", third)
    # to tell where images tie, their scores are read again, once for each band that decides
    assert max(store.chunks("second").values()) <= 2
    again = {chunk for chunk, times in store.chunks("quality").items() if times > 1}
    assert again <= names("quality", {(t, block) for t in range(8) for _, block in second})
    assert max(store.chunks("quality").values()) <= 3
    assert set(store.chunks("quality")) == names("quality", everywhere(range(8)))
    once(store, "red", winners_in(values, Choice(("quality", "second", "third"), ties), 1))


def test_a_quality_without_ties_reads_no_other(tmp_path: Path) -> None:
    """Nothing is left to decide."""
    values = classes()
    values["quality"][:] = np.arange(8)[::-1].reshape(-1, 1, 1)
    collection, store = in_store(values, tmp_path / "in.zarr")
    computed(qm.quality_mosaic(collection, ["quality", "second", "third"])["red"])
    once(store, "quality", everywhere(range(8)))
    assert not store.chunks("second")
    assert not store.chunks("third")
    once(store, "red", everywhere([0]))


def test_masked_scores_do_not_tie(tmp_path: Path) -> None:
    """Where at most one image is a candidate nothing is left to decide either."""
    values = classes()
    values["quality"] = np.full(values["quality"].shape, np.nan, "float32")
    values["quality"][5, :CHUNK] = 1
    collection, store = in_store(values, tmp_path / "in.zarr")
    computed(qm.quality_mosaic(collection, ["quality", "second"])["red"])
    assert not store.chunks("second")


def test_equals_below_the_top_are_not_read(tmp_path: Path) -> None:
    """Images that tie with each other and are beaten by a later one cannot win."""
    values = classes()
    values["quality"][:] = 1
    values["quality"][7] = 2
    collection, store = in_store(values, tmp_path / "in.zarr")
    computed(qm.quality_mosaic(collection, ["quality", "second"])["red"])
    assert not store.chunks("second")


def test_the_n_best_by_several_bands(tmp_path: Path) -> None:
    """One pass all the same: the quality of each image once; a later band at most once, and not
    where the quality lets an image be in no rank."""
    values = classes()
    values["quality"][:] = np.arange(8)[::-1].reshape(-1, 1, 1)
    values["quality"][[1, 2], :CHUNK, :CHUNK] = 6  # equals among the best of a block
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.best_images(collection, ["quality", "second"], 3)
    store.reads.clear()
    computed(made["red"])
    once(store, "quality", everywhere(range(8)))
    once(store, "second", everywhere([0, 1, 2]))
    once(store, "red", winners_in(values, Choice(("quality", "second")), 3))


def test_later_bands_in_periods(tmp_path: Path) -> None:
    """Equals of a period are those among its images: an image that ties with one of another period
    alone is not read."""
    values = classes()
    values["quality"][:] = np.arange(8).reshape(-1, 1, 1)
    values["quality"][[1, 3]] = 50  # of two periods
    values["quality"][[4, 5], :CHUNK, :CHUNK] = 60  # of one
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.quality_mosaic(collection, ["quality", "second"], period="2D")
    store.reads.clear()
    computed(made["red"])
    tied = [(4, (0, 0)), (5, (0, 0))]
    assert set(store.chunks("quality")) == names("quality", everywhere(range(8)))
    once(store, "second", tied)


# -- periods ---------------------------------------------------------------------------------------


def test_the_quality_is_read_once_for_each_window(tmp_path: Path) -> None:
    """Once for each window that an image is in, and the bands of what wins there; one job graph."""
    values = random_stack(images=8, side=SIDE)
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.quality_mosaic(collection, "quality", period="2D", rolling="3D", provenance=True)
    windows = [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7]]
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(made, tmp_path / "out.zarr", progress=False)
    want: Counter[str] = Counter()
    red: Counter[str] = Counter()
    for places in windows:
        want.update(names("quality", everywhere(places)))
        red.update(names("red", winners_in(values, Choice(("quality",)).of(places), 1)))
    assert store.chunks("quality") == want
    assert store.chunks("red") == red


def test_images_outside_the_edges_are_not_read(tmp_path: Path) -> None:
    """They are of no period."""
    values = random_stack(images=8, side=SIDE)
    collection, store = in_store(values, tmp_path / "in.zarr")
    made = qm.quality_mosaic(
        collection, "quality", period=["2020-07-03", "2020-07-04", "2020-07-06"]
    )
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(made, tmp_path / "out.zarr", progress=False)
    once(store, "quality", everywhere([2, 3, 4]))


@pytest.mark.parametrize("more", [{}, {"provenance": True}])
def test_all_periods_are_one_job_graph(tmp_path: Path, more: dict[str, Any]) -> None:
    """`to_zarr` writes them in one go: the blocks of all periods are counted as one job's."""
    values = random_stack(images=8, side=SIDE)
    collection, _ = in_store(values, tmp_path / "in.zarr")
    made = qm.quality_mosaic(collection, "quality", period="2D", rolling="3D", **more)
    small: dict[str, Any] = {"block_bytes": 1}  # no period is joined with the next
    explanation = qm.explain(made, **small)
    assert explanation.deferred
    assert explanation.blocks == 4 * len(BLOCKS)
    assert (explanation.images, explanation.compared) == (8, 3)
    told: list[qm.Progress] = []
    qm.to_zarr(made, tmp_path / "out.zarr", progress=told.append, **small)
    assert {one.total for one in told} == {4 * len(BLOCKS)}
    assert told[-1].done == 4 * len(BLOCKS)


# -- memory ----------------------------------------------------------------------------------------


def peak(images: int, make: Any) -> int:
    """Give what a band of a mosaic takes, of images that are made while they are read."""
    side = 256
    bands = {
        name: da.from_array(Noise(images, side, dtype), chunks=(1, side, side))
        for name, dtype in (("red", "uint16"), ("quality", "float32"), ("second", "float32"))
    }
    made = make(as_dataset(bands))
    tracemalloc.start()
    try:
        made["red"].data.compute(scheduler="synchronous")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MADE: dict[str, Any] = {
    "five best by two bands": lambda c: qm.best_images(c, ["quality", "second"], 5),
    "provenance": lambda c: qm.quality_mosaic(c, "quality", provenance=True),
    "median of the five best": lambda c: qm.best_images(c, "quality", 5).median("rank"),
}


@pytest.mark.parametrize("name", MADE)
def test_memory_is_flat_in_the_number_of_images(name: str) -> None:
    """Three times the images take no more memory, whatever is asked for; a stack of them would take
    three times as much. Forty are more than are read ahead."""
    few, many = peak(40, MADE[name]), peak(120, MADE[name])
    assert many < few * 1.25


def test_explain_predicts_what_ranks_take(tmp_path: Path) -> None:
    """A job holds n blocks, and no more than `explain` says."""
    values = random_stack(images=6, side=128)
    collection, _ = in_store(values, tmp_path / "in.zarr", (1, 64, 64))
    made = qm.best_images(collection, "quality", 4, provenance=True)
    options: dict[str, Any] = {"block_bytes": 64 * 64 * 8}
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(made, tmp_path / "out.zarr", progress=False, **options)
        tracemalloc.start()
        try:
            qm.to_zarr(made, tmp_path / "out.zarr", mode="w", progress=False, **options)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert most < qm.explain(made, **options).peak_bytes


def test_the_ranks_of_a_dataset_are_one(tmp_path: Path) -> None:
    """All bands and the provenance of one computation rest on one decision."""
    values = random_stack(images=6, side=SIDE)
    collection, store = in_store(values, tmp_path / "in.zarr")
    made: xr.Dataset = qm.best_images(collection, "quality", 3, provenance=True)
    computed(made)
    assert set(store.chunks("quality").values()) == {1}
    assert set(store.chunks("red").values()) == {1}
