"""What a task reads ahead: settled by the kind of the source and by bytes, never by the clock; and
what it holds of a plan, which does not grow with the images."""

from __future__ import annotations

import ast
import gc
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, MemoryStore

import qmosaic as qm
from qmosaic.engine.graph import BlockReader, Stack, asking, defer, map_surroundings
from qmosaic.engine.graph.asking import MOST_IN_FLIGHT, WINDOW, Asking, in_flight
from qmosaic.engine.graph.making_views import Maker
from qmosaic.engine.graph.recipes import sort_graphs
from tests.support.sources import CountingArray, as_dataset, expected

PATIENCE = 60.0
"""Seconds after which a test gives up waiting; nothing is measured with it."""


def asking_for(array: da.Array) -> Asking:
    """Ask for the first chunk of an array."""
    maker = Maker(sort_graphs(array.__dask_graph__()), {array.name: (array.chunks, array.dtype)})
    view = maker.of(array.name)
    assert view is not None
    return Asking([(view, view.window_of((0,) * array.ndim))])


def reader_of(array: da.Array) -> BlockReader:
    """Read the first block of the map."""
    deferred = defer(Stack(array, ("time", "y", "x"), "time"))
    assert deferred is not None
    return deferred.source.of_block((0, 0))


# -- kinds of sources -----------------------------------------------------------------------------


class Far(LocalStore):
    """A store of one's own: nobody knows how long it takes."""


VALUES = np.arange(3 * 8 * 8, dtype="float64").reshape(3, 8, 8)


def stored(path: Path, **how: Any) -> da.Array:
    """Write a packed band and open it."""
    band = {"q": (("time", "y", "x"), VALUES)}
    packed = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1, "chunks": (1, 4, 4)}
    xr.Dataset(band).to_zarr(path, consolidated=False, encoding={"q": packed}, mode="w")
    store = how.pop("store", LocalStore)(path, read_only=True)
    return xr.open_zarr(store, chunks={}, consolidated=False, **how)["q"].data


def netcdf(path: Path, engine: Any) -> da.Array:
    """Write a NetCDF file and open it."""
    xr.Dataset({"q": (("time", "y", "x"), VALUES)}).to_netcdf(path, engine=engine)
    return xr.open_dataset(path, engine=engine, chunks={})["q"].data


def in_memory_store() -> da.Array:
    """Open an array of Zarr that lies in memory."""
    return da.from_array(zarr.create_array(MemoryStore(), data=VALUES, chunks=(1, 4, 4)))


def test_what_answers_at_once(tmp_path: Path) -> None:
    """Local stores, decoded or not, cut, joined or computed with; files that are read under a lock;
    what lies in memory."""
    pytest.importorskip("netCDF4", reason="netCDF4 is in the extra [netcdf]")
    for array in (
        stored(tmp_path / "a.zarr"),
        stored(tmp_path / "a.zarr", mask_and_scale=False) + 1,
        stored(tmp_path / "a.zarr")[[2, 0]],
        da.concatenate([stored(tmp_path / "a.zarr"), stored(tmp_path / "b.zarr")]),
        netcdf(tmp_path / "a.nc", "netcdf4"),
        netcdf(tmp_path / "b.nc", "scipy"),
        in_memory_store(),
        da.from_array(VALUES, chunks=-1),
        map_surroundings(stored(tmp_path / "a.zarr"), np.negative, {1: 1, 2: 1}, "float64"),
    ):
        assert not asking_for(array).may_wait()


def _ones(block_info: Any = None) -> np.ndarray:
    return np.ones((1, 4, 4))


def test_what_may_keep_a_task_waiting(tmp_path: Path) -> None:
    """Everything else: stores of other kinds, functions, sources of which nothing is known."""
    for array in (
        stored(tmp_path / "a.zarr", store=Far),
        stored(tmp_path / "a.zarr", store=Far) * 2,
        da.map_blocks(_ones, chunks=((1,) * 3, (4, 4), (4, 4)), dtype="float64"),
        da.from_array(CountingArray(VALUES), chunks=(1, 4, 4)),
        map_surroundings(
            da.from_array(CountingArray(VALUES), chunks=(1, 4, 4)), np.negative, {1: 1}, "float64"
        ),
    ):
        assert asking_for(array).may_wait()


def test_no_clock_decides() -> None:
    """The engine's modules do not look at the time: what is held must not depend on the load."""
    for path in Path(asking.__file__).parent.glob("*.py"):
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "time" not in names, path.name


# -- how far ahead --------------------------------------------------------------------------------


class Gate:
    """A source that counts what has begun to be read, and says so."""

    dtype, ndim = np.dtype("float32"), 3

    def __init__(self, images: int, side: int) -> None:
        self.shape = (images, side, side)
        self.begun = 0
        self.changed = threading.Condition()

    def __getitem__(self, index: Any) -> np.ndarray:
        shape = [s.stop - s.start for s in index]
        if 0 not in shape:
            with self.changed:
                self.begun += shape[0]
                self.changed.notify_all()
        return np.zeros(shape, self.dtype)


@pytest.mark.parametrize("side", [16, 512, 1448])
def test_how_far_ahead_is_a_matter_of_bytes(side: int) -> None:
    """Reads for so many chunks as `in_flight` says are begun, and for no more, however long the
    task is busy with the one that it has."""
    source = Gate(40, side)
    most = in_flight(side * side * 4)
    assert most == {16: MOST_IN_FLIGHT, 512: 8, 1448: 2}[side]
    reader = reader_of(da.from_array(source, chunks=(1, side, side)) + 1)
    for number, (position, image) in enumerate(reader.walk(range(40))):
        assert position == number
        assert (image == 1).all()
        want = min(number + most, 40)
        with source.changed:
            assert source.changed.wait_for(lambda: source.begun >= want, PATIENCE)  # noqa: B023
            assert source.begun == want


def test_nothing_is_read_ahead_where_one_may_stop() -> None:
    """With an upper bound a chunk is read when it is asked for."""
    source = Gate(5, 16)
    reader = reader_of(da.from_array(source, chunks=(1, 16, 16)))
    for number, _ in enumerate(reader.walk(range(5), ahead=False)):
        assert source.begun == number + 1


def test_a_read_that_fails_in_a_thread_is_found(tmp_path: Path) -> None:
    """What is read ahead and fails is read again, as often as was asked for, and named."""

    class Broken(Gate):
        def __getitem__(self, index: Any) -> np.ndarray:
            values = super().__getitem__(index)
            if index[0].start == 3 and values.size:
                raise OSError("out of order")
            return values

    source = Broken(6, 16)
    collection = as_dataset({"quality": da.from_array(source, chunks=(1, 16, 16))})
    mosaic = qm.quality_mosaic(collection, "quality")
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(qm.ChunkReadError, match=r"image 2020-07-04.*out of order"),
    ):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", retries=0)


# -- windows of a long walk -----------------------------------------------------------------------


IMAGES = 2 * WINDOW + 40


def seasons(quality: Any, season: Any) -> Any:
    """Add to each image what belongs to its season, one of three in turn."""
    return quality + da.concatenate([season[[t % 3]] for t in range(IMAGES)])


@pytest.mark.parametrize("kind", [CountingArray, "at once"])
@pytest.mark.parametrize("ties", ["first", "last"])
def test_a_walk_of_several_windows(kind: Any, ties: str) -> None:
    """What all images use (a mean over time, an elevation) is read once, what some use in turn (a
    season) once a window; the pixels are right, with threads and without."""

    class AtOnce(CountingArray):
        array = np.empty(0)

    make = CountingArray if kind is CountingArray else AtOnce
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (IMAGES, 4, 4)).astype("float64")
    elevation, season = rng.random((4, 4)), rng.integers(0, 9, (3, 4, 4)).astype("float64")
    sources = [make(values), make(elevation[None]), make(season)]
    stack, height, parts = (da.from_array(s, chunks=(1, 4, 4)) for s in sources)
    quality = seasons(stack, parts) + height[0] - stack.mean(axis=0)
    number = np.arange(IMAGES, dtype="int16")
    collection = xr.Dataset({"quality": (("time", "y", "x"), quality), "number": ("time", number)})
    assert defer(Stack(quality, ("time", "y", "x"), "time")) is not None
    for source in sources:
        source.calls.clear()
    mosaic = qm.quality_mosaic(collection, "quality", ties=ties)
    got = mosaic["number"].compute(scheduler="synchronous")
    scores = values + np.stack([season[t % 3] for t in range(IMAGES)])
    flipped = IMAGES - 1 - scores[::-1].argmax(axis=0)
    np.testing.assert_array_equal(got, scores.argmax(axis=0) if ties == "first" else flipped)
    read = [sum(i[0].stop - i[0].start for i in s.calls if i[0].stop) for s in sources]
    assert read[0] <= 2 * IMAGES  # for the mean, and for the contest
    assert read[1] == 1
    assert read[2] <= 3 * 3  # once a window, of which there are three


def test_a_mosaic_of_several_windows() -> None:
    """Every band, with gaps and ties: what the loop over pixels gives."""
    rng = np.random.default_rng(0)
    shape = (WINDOW + 30, 4, 4)
    quality = rng.integers(0, 40, shape).astype("float32")
    quality[rng.random(shape) < 0.3] = np.nan
    values = {"quality": quality, "red": rng.integers(1, 60000, shape).astype("uint16")}
    lazy = {n: da.from_array(CountingArray(v), chunks=(1, 2, 4)) for n, v in values.items()}
    mosaic = qm.quality_mosaic(as_dataset(lazy), "quality").compute(scheduler="synchronous")
    for name, want in expected(values).items():
        np.testing.assert_array_equal(mosaic[name].values, want)


class Zeros:
    """A source of zeros, which answers at once or keeps that to itself."""

    dtype, ndim = np.dtype("uint8"), 3

    def __init__(self, images: int, at_once: bool) -> None:
        self.shape = (images, 4, 4)
        if at_once:
            self.array = np.empty(0)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.zeros([s.stop - s.start for s in index], self.dtype)


def held_in_a_walk(images: int, at_once: bool) -> int:
    """Give the most that is allocated while a block is decided."""
    array = da.from_array(Zeros(images, at_once), chunks=(1, 4, 4)) + 1
    reader = reader_of(array)
    assert len(list(reader.walk(range(40)))) == 40  # imports, caches
    gc.collect()
    gc.freeze()  # what there was before need not be looked through each time
    tracemalloc.start()
    try:
        for number, _ in enumerate(reader.walk(range(images))):
            if number % 64 == 0:
                gc.collect()  # what is held counts, not what waits to be collected
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_running_block_holds_little_for_each_image(
    at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 100 bytes for each image; the tasks of all of them would be 4000 bytes for each.
    Windows are small here, so that how many of them are there makes no difference."""
    monkeypatch.setattr(asking, "WINDOW", 16)
    few, many = 256, 1024
    growth = held_in_a_walk(many, at_once) - held_in_a_walk(few, at_once)
    assert growth < 100 * (many - few)
