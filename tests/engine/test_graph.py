"""The engine's promises: deferred, few tasks, little memory, no chunk read that cannot matter."""

from __future__ import annotations

import asyncio
import pickle
import sys
import tracemalloc
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from dask._task_spec import DataNode, Task
from dask.array.core import getter
from dask.blockwise import Blockwise
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.engine.graph import Stack, defer, map_surroundings
from tests.support.sources import (
    CountingArray,
    Forbidden,
    as_dataset,
    chunked,
    expected,
    in_store,
    random_stack,
)


def same(mosaic: xr.Dataset, values: dict[str, np.ndarray]) -> None:
    mosaic = mosaic.compute()
    for name, want in expected(values).items():
        got = mosaic[name].values
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def is_deferred(mosaic: xr.Dataset) -> bool:
    """Whether no task of the source stands in the graph of any band."""
    keys = [str(k) for k in dict(mosaic.__dask_graph__())]
    return all("qmosaic-" in key for key in keys)


def stack_of(band: xr.DataArray) -> Stack:
    return Stack(band.data, tuple(band.dims), "time")


# -- building ------------------------------------------------------------------------------------


def test_building_reads_nothing_and_calls_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 9: nothing is computed while the mosaic is built."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a kernel was called while the graph was built")

    kernels = ("decide_block", "take_block", "give", "look_up", "best_scores", "Contest", "winners")
    rooms = [m for n, m in sys.modules.items() if n.startswith("qmosaic.engine.graph.")]
    for kernel in kernels:
        using = [room for room in rooms if hasattr(room, kernel)]
        assert using
        for room in using:
            monkeypatch.setattr(room, kernel, fail)
    source = da.from_array(Forbidden((5, 8, 8), "uint16"), chunks=(1, 4, 4))
    collection = as_dataset({"red": source, "cloud": source.astype("uint8")})
    collection["quality"] = qm.scores.inverse(collection["cloud"])
    collection["doy"] = ("time", np.arange(5))

    def scheduler(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=scheduler):
        for masked in ("keep", "skip", "fill"):
            mosaic = qm.quality_mosaic(collection, "quality", masked=masked)
            assert mosaic["red"].shape == (8, 8)
        for persisted in (False, True):
            data = da.ones((5, 8, 8), chunks=(1, 4, 4)) if persisted else source
            qm.quality_mosaic(as_dataset({"quality": data, "red": source}), "quality")


@pytest.mark.parametrize("images", [4, 40])
def test_tasks_per_block_do_not_depend_on_the_number_of_images(tmp_path: Path, images: int) -> None:
    """At most 1 + number of bands tasks an output block, and one recipe a band in all."""
    collection, _ = in_store(random_stack(images), tmp_path / "in.zarr")
    collection["quality"] = -collection["quality"]
    mosaic = qm.quality_mosaic(collection, "quality")
    tasks = len(dict(mosaic.__dask_graph__()))
    blocks, bands, recipes = 9, 3, 3
    assert tasks <= blocks * (1 + bands) + recipes
    assert is_deferred(mosaic)


def test_the_graph_pickles_small(tmp_path: Path) -> None:
    """A symbolic source adds nothing for each image or block: recipes are shared."""
    sizes = {}
    for images in (4, 40):
        collection, _ = in_store(random_stack(images), tmp_path / f"{images}.zarr", (1, 6, 6))
        collection["quality"] = collection["quality"] * 2
        graph = dict(qm.quality_mosaic(collection, "quality").__dask_graph__())
        sizes[images] = sum(len(pickle.dumps(task)) for task in graph.values()) / 16
    assert sizes[40] < sizes[4] * 1.1
    assert sizes[40] < 3500  # with three bands; dask 2025.1 pickles a task larger than 2026.8


# -- what is read --------------------------------------------------------------------------------


def test_only_chunks_that_won_are_read(tmp_path: Path) -> None:
    """The quality once; of other bands only images that won a pixel of the block."""
    values = random_stack(images=12, side=16)
    for t in range(12):  # images 3 and 7 win everything, each on its half of the map
        values["quality"][t] = -1.0 - t
    values["quality"][3, :8], values["quality"][7, 8:] = 5, 5
    collection, store = in_store(values, tmp_path / "in.zarr")
    collection["score"] = collection["quality"] * 1
    mosaic = qm.quality_mosaic(collection, "score")
    assert not store.reads
    with dask.config.set(scheduler="synchronous"):
        mosaic.drop_vars(["score", "quality"]).load()
    wanted = {
        f"{b}/c/{t}/{y}/{x}" for b in ("red", "nir") for t, y in ((3, 0), (7, 1)) for x in (0, 1)
    }
    assert set(store.chunks("red") + store.chunks("nir")) == wanted
    assert set((store.chunks("red") + store.chunks("nir")).values()) == {1}
    assert len(store.chunks("quality")) == 12 * 4
    assert set(store.chunks("quality").values()) == {1}


@pytest.mark.parametrize("ties", ["first", "last"])
def test_upper_bound_stops_reading_the_quality(tmp_path: Path, ties: str) -> None:
    """Once every pixel has the upper bound nothing more is read: from either end."""
    values = random_stack(images=10, side=8)
    values["quality"][:] = -3
    values["quality"][2, :4], values["quality"][4, 4:] = 0, 0
    values["quality"][6, :4], values["quality"][8, 4:] = 0, 0
    collection, store = in_store(values, tmp_path / "in.zarr")
    mosaic = qm.quality_mosaic(collection, "quality", ties=ties, upper_bound=0)
    index = 2 if ties == "first" else 6
    red = mosaic["red"].compute(scheduler="synchronous")
    read = {int(key.split("/")[2]) for key in store.chunks("quality")}
    assert read == ({0, 1, 2, 3, 4} if ties == "first" else {9, 8, 7, 6})
    np.testing.assert_array_equal(red[:4], values["red"][index, :4])


def test_a_beaten_upper_bound_is_an_error() -> None:
    """An upper bound that is none would give an accidental mosaic."""
    values = random_stack(images=3, side=8)
    values["quality"][0] = 9
    for collection in (as_dataset(values), chunked(values)):
        with pytest.raises(ValueError, match="upper_bound"):
            qm.quality_mosaic(collection, "quality", upper_bound=4).compute()


@pytest.mark.parametrize("chunks", [(1, 8, 8), (5, 8, 24), (12, 24, 8), (10, 5, 7)])
def test_no_chunk_is_read_again_for_each_time_inside_it(
    tmp_path: Path, chunks: tuple[int, int, int]
) -> None:
    """One image, several or all images in a chunk: each chunk is read once for each use."""
    values = random_stack()
    collection, store = in_store(values, tmp_path / "in.zarr", chunks)
    mosaic = qm.quality_mosaic(collection, "quality")
    same(mosaic, values)
    assert is_deferred(mosaic)
    # the decision delivers the quality band too
    assert set(store.chunks("quality").values()) == {1}
    assert set(store.chunks("red").values()) == {1}


class InMemory(CountingArray):
    """An array that says what it wraps, as xarray's do: it answers at once."""

    @property
    def array(self) -> np.ndarray:
        """What is wrapped."""
        return self.values


def test_small_chunks_are_read_together() -> None:
    """Adjacent chunks of one source are read in one request, up to READ_TOGETHER bytes."""
    values = random_stack(images=12, side=8)
    source = InMemory(values["quality"])
    quality = da.from_array(source, chunks=(1, 8, 8))
    collection = as_dataset({"quality": quality * 2})
    qm.quality_mosaic(collection, "quality")["quality"].compute(scheduler="synchronous")
    reads = [index[0] for index in source.calls if index[0] != slice(0, 0)]
    assert reads[0] == slice(0, 12)
    assert sum(s.stop - s.start for s in reads) == 12


def test_images_that_several_bands_derive_from_are_read_once_a_task(tmp_path: Path) -> None:
    """The quality may come from the bands themselves: NDVI reads each of its bands once."""
    values = random_stack()
    values["nir"] = np.abs(values["nir"])
    collection, store = in_store(values, tmp_path / "in.zarr")
    ndvi = qm.scores.normalized_difference(collection["nir"], collection["red"])
    collection = collection.drop_vars("quality").assign(ndvi=ndvi)
    mosaic = qm.quality_mosaic(collection, "ndvi")
    assert is_deferred(mosaic)
    mosaic["ndvi"].compute(scheduler="synchronous")
    assert set(store.chunks("red").values()) == {1}
    assert len(store.chunks("red")) == 12 * 9


# -- memory ---------------------------------------------------------------------------------------


class Noise:
    """An array that is made while it is read, and never lies in memory as a whole."""

    def __init__(self, images: int, side: int, dtype: str) -> None:
        self.shape, self.dtype, self.ndim = (images, side, side), np.dtype(dtype), 3
        self.array = np.empty(0)  # what answers at once is read without threads

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        shape = tuple(s.stop - s.start for s in index)
        rng = np.random.default_rng(index[0].start)
        return rng.integers(0, 100, shape, dtype="uint8").astype(self.dtype)


def peak(images: int, masked: str) -> int:
    side = 1024
    collection = as_dataset(
        {
            "red": da.from_array(Noise(images, side, "uint16"), chunks=(1, side, side)),
            "quality": da.from_array(Noise(images, side, "float32"), chunks=(1, side, side)),
        }
    )
    mosaic = qm.quality_mosaic(collection, "quality", masked=masked)
    assert is_deferred(mosaic)
    tracemalloc.start()
    try:
        mosaic["red"].data.compute(scheduler="synchronous")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_memory_is_flat_in_the_number_of_images(masked: str) -> None:
    """Ten times the images take no more memory; a stack of them would take ten times as much."""
    few, many = peak(6, masked), peak(60, masked)
    assert many < few * 1.15
    assert many < 40 * 2**20  # ten float32 blocks of 1024², where the stack has sixty


def test_a_mean_over_time_in_the_quality_stays_deferred() -> None:
    """An anomaly rests on all images; its mean is made once a block."""
    values = random_stack()
    source = {n: CountingArray(v) for n, v in values.items()}
    lazy = as_dataset({n: da.from_array(a, chunks=(1, 24, 24)) for n, a in source.items()})
    collection = lazy.assign(quality=lazy["quality"] - lazy["nir"].mean("time").astype("float32"))
    mosaic = qm.quality_mosaic(collection, "quality")
    assert is_deferred(mosaic)
    mean = values["nir"].mean(axis=0).astype("float32")
    values["quality"] = values["quality"] - mean
    np.testing.assert_array_equal(mosaic["red"].values, expected(values)["red"])
    assert sum(s[0].stop - s[0].start for s in source["nir"].calls) <= 2 * 12


# -- sources: the deferred way, the tree, the same pixels -----------------------------------------


def fused(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0]


def derived(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    weight = xr.DataArray(np.ones(12, "float32"), dims="time")
    ramp = xr.DataArray(np.zeros(24, "float32"), dims="x")
    quality = (collection["quality"] * weight + ramp).where(ramp == 0)
    return collection.assign(quality=quality)


def sliced(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    twice = {n: np.concatenate([v, v[::-1]]) for n, v in values.items()}
    return in_store(twice, tmp_path / "in.zarr")[0].isel(time=slice(0, 12))


def concatenated(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    images = [
        in_store({n: v[[t]] for n, v in values.items()}, tmp_path / f"{t}.zarr")[0]
        for t in range(12)
    ]
    return xr.concat(images, "time")


def stacked(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return as_dataset(
        {
            n: da.stack([da.from_array(CountingArray(image), chunks=(8, 8)) for image in v])
            for n, v in values.items()
        }
    )


def transposed(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    return collection.assign(quality=collection["quality"].transpose("x", "time", "y"))


def from_delayed(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    def blocks(band: np.ndarray, t: int) -> da.Array:
        return da.block(
            [
                [
                    da.from_delayed(
                        dask.delayed(np.array)(band[t, y : y + 8, x : x + 8].tolist(), band.dtype),
                        (8, 8),
                        band.dtype,
                    )
                    for x in (0, 8, 16)
                ]
                for y in (0, 8, 16)
            ]
        )

    return as_dataset({n: da.stack([blocks(v, t) for t in range(12)]) for n, v in values.items()})


DEFERRED = [fused, derived, sliced, concatenated, stacked, transposed, from_delayed]


@pytest.mark.parametrize("source", DEFERRED)
def test_sources_that_are_deferred(source: Any, tmp_path: Path) -> None:
    """Stores, lazy arithmetic, slices, concatenations, stacks: deferred, and the right pixels."""
    values = random_stack()
    mosaic = qm.quality_mosaic(source(values, tmp_path), "quality")
    assert is_deferred(mosaic)
    same(mosaic.transpose("y", "x"), values)


def rechunked(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0].chunk(time=5, y=7, x=11)


def persisted(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0].persist(scheduler="synchronous")


def in_memory(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return as_dataset(values).chunk(time=1, y=8, x=8)


def overlapped(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    quality = collection["quality"].data.map_overlap(
        lambda block: block + 0, depth=(0, 1, 1), boundary="none", meta=np.empty((0, 0, 0), "f4")
    )
    return collection.assign(quality=(("time", "y", "x"), quality))


def whole_images(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr", (1, 24, 24))[0].chunk(y=8, x=8)


TREE = [rechunked, persisted, in_memory, overlapped, whole_images]


@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("source", TREE)
def test_sources_that_stay_dependencies(source: Any, ties: str, tmp_path: Path) -> None:
    """What blocks share, or what lies in memory, goes by the tree; the pixels are the same."""
    values = random_stack()
    collection = source(values, tmp_path)
    mosaic = qm.quality_mosaic(collection, "quality", ties=ties)
    assert defer(stack_of(collection["quality"])) is None
    want = qm.quality_mosaic(fused(values, tmp_path / "again"), "quality", ties=ties)
    xr.testing.assert_identical(
        mosaic.compute().drop_vars(["y", "x"], errors="ignore"), want.compute()
    )
    if ties == "first":
        same(mosaic, values)


@pytest.mark.parametrize("masked", ["skip", "fill"])
@pytest.mark.parametrize("source", TREE + DEFERRED)
def test_mask_rules_on_every_source(source: Any, masked: str, tmp_path: Path) -> None:
    """The mask rules give the same on both ways as on arrays in memory."""
    values = random_stack()
    values["nir"][values["nir"] > 0.5] = np.nan
    values["red"][values["red"] < 9000] = 0
    lazy, eager = source(values, tmp_path), as_dataset(values)
    for collection in (lazy, eager):
        collection["red"].attrs["nodata"] = 0
    got = qm.quality_mosaic(lazy, "quality", masked=masked).transpose("y", "x").compute()
    want = qm.quality_mosaic(eager, "quality", masked=masked)
    for name in [*want.data_vars, *(c for c in want.coords if str(c).endswith("_image"))]:
        np.testing.assert_array_equal(got[name].values, want[name].values, err_msg=str(name))


def test_rechunked_sources_are_read_once(tmp_path: Path) -> None:
    """What blocks share is not read again in each of them: it stays a dependency."""
    values = random_stack()
    collection, store = in_store(values, tmp_path / "in.zarr", (1, 24, 24))
    mosaic = qm.quality_mosaic(collection.chunk(y=8, x=8), "quality")
    mosaic.compute(scheduler="synchronous")
    assert set(store.chunks("quality").values()) == {1}


def test_bands_on_other_chunk_grids(tmp_path: Path) -> None:
    """Each band keeps its own chunks; the index is pieced together under them."""
    values = random_stack()
    collection, _ = in_store(values, tmp_path / "a.zarr", (1, 8, 8))
    other, _ = in_store(values, tmp_path / "b.zarr", (5, 10, 12))
    mosaic = qm.quality_mosaic(collection.assign(nir=other["nir"]), "quality")
    assert is_deferred(mosaic)
    assert mosaic["nir"].chunks == ((10, 10, 4), (12, 12))
    assert mosaic["red"].chunks == ((8, 8, 8), (8, 8, 8))
    same(mosaic, values)


def lazily(values: np.ndarray, chunks: Any, kind: str, path: Path) -> da.Array:
    """Give an array as a source, as arithmetic on one, from a store, or computed already."""
    if kind == "store":
        stored = zarr.create_array(path, data=values, chunks=tuple(max(c) for c in chunks))
        return da.from_array(stored, chunks=chunks)
    array = da.from_array(CountingArray(values), chunks=chunks)
    if kind == "arithmetic":
        return array + 1 - 1
    return array.persist(scheduler="synchronous") if kind == "persisted" else array


def ways_to_compute(mosaic: xr.Dataset) -> list[xr.Dataset]:
    """Compute a mosaic as users do: together or band by band, with dask's optimisation and
    without."""
    with dask.config.set(scheduler="synchronous"):
        return [
            mosaic.compute(),
            mosaic.compute(optimize_graph=False),
            xr.Dataset({name: band.compute() for name, band in mosaic.data_vars.items()}),
            dask.optimize(mosaic)[0].compute(),
        ]


@pytest.mark.parametrize("kind", ["plain", "arithmetic", "store", "persisted"])
@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_bands_of_any_dimensions(kind: str, pieces: int, masked: str, tmp_path: Path) -> None:
    """Bands with time only, with time and one dimension of the map, and with one more than the
    quality, lazy in any chunks, however they are computed: what arrays in memory give."""
    rng = np.random.default_rng(0)
    shapes = {
        "quality": ("time", "y", "x"),
        "doy": ("time",),
        "line": ("time", "y"),
        "across": ("x", "time"),
        "wide": ("y", "time", "polarisation", "x"),
    }
    sizes = {"time": 4, "y": 4, "x": 8, "polarisation": 2}
    eager, lazy = {}, {}
    for name, dims in shapes.items():
        values = rng.integers(0, 5, [sizes[d] for d in dims]).astype("float32")
        values[rng.random(values.shape) < 0.2] = np.nan
        chunks = tuple((sizes[d] // min(pieces, sizes[d]),) * min(pieces, sizes[d]) for d in dims)
        eager[name] = (dims, values)
        lazy[name] = (dims, lazily(values, chunks, kind, tmp_path / f"{name}.zarr"))
    want = qm.quality_mosaic(xr.Dataset(eager), "quality", masked=masked)
    for got in ways_to_compute(qm.quality_mosaic(xr.Dataset(lazy), "quality", masked=masked)):
        for name in shapes:
            xr.testing.assert_equal(got[name].variable, want[name].variable)


@pytest.mark.parametrize("quality", [("time",), ("time", "y")])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_quality_with_fewer_dimensions(quality: tuple[str, ...], pieces: int) -> None:
    """One score an image, or a row of the map: bands with more dimensions follow it."""
    rng = np.random.default_rng(0)
    sizes = {"time": 4, "y": 4, "x": 4}
    bands = {"quality": quality, "red": ("time", "y", "x"), "doy": ("time",), "line": ("time", "x")}
    if quality != ("time",):
        del bands["line"]  # another row: no band of this grid
    eager, lazy = {}, {}
    for name, dims in bands.items():
        values = rng.integers(0, 100, [sizes[d] for d in dims]).astype("int16")
        chunks = tuple((sizes[d] // pieces,) * pieces for d in dims)
        eager[name] = (dims, values)
        lazy[name] = (dims, da.from_array(CountingArray(values), chunks=chunks) * 1)
    want = qm.quality_mosaic(xr.Dataset(eager), "quality")
    for got in ways_to_compute(qm.quality_mosaic(xr.Dataset(lazy), "quality")):
        for name in bands:
            xr.testing.assert_equal(got[name].variable, want[name].variable)


def test_a_band_with_time_only_by_every_door(tmp_path: Path) -> None:
    """A store with a day of year for each image: values, load, xarray's to_zarr and ours."""
    values = random_stack(images=3, side=8)
    source = as_dataset(values).assign(doy=("time", np.array([10, 20, 30], "int16")))
    source.to_zarr(tmp_path / "in.zarr", consolidated=False)
    collection = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, mask_and_scale=False)
    assert collection["doy"].chunks == ((3,),)
    want = qm.quality_mosaic(source, "quality")["doy"].values
    mosaic = qm.quality_mosaic(collection, "quality")
    mosaic.to_zarr(tmp_path / "xarray.zarr", consolidated=False)
    qm.to_zarr(mosaic, tmp_path / "ours.zarr")
    for name in ("xarray.zarr", "ours.zarr"):
        written = xr.open_zarr(tmp_path / name, consolidated=False, mask_and_scale=False)
        np.testing.assert_array_equal(written["doy"].values, want)
    np.testing.assert_array_equal(mosaic["doy"].values, want)
    np.testing.assert_array_equal(mosaic[["doy"]].load()["doy"].values, want)


def test_query_planning_graphs_are_plain_dicts(tmp_path: Path) -> None:
    """An array whose graph is a plain dict, as dask's query planning makes it, works too."""
    values = random_stack()
    collection = fused(values, tmp_path)
    for name in values:
        array = collection[name].data
        plain = da.Array(dict(array.__dask_graph__()), array.name, array.chunks, meta=array._meta)
        collection[name] = (("time", "y", "x"), plain)
    same(qm.quality_mosaic(collection, "quality"), values)


# -- other people's loaders -----------------------------------------------------------------------


# The affine package, which rasterio needs, warns of an operator that rasterio itself still uses.
def test_rioxarray(tmp_path: Path) -> None:
    """GeoTIFFs opened with rioxarray, one file an image, are deferred."""
    rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is in the extra [test]")
    values = random_stack(images=4)
    values["quality"] = np.nan_to_num(values["quality"], nan=-1).astype("float32")
    opened = {}
    for name, band in values.items():
        images = []
        for t, image in enumerate(band):
            path = tmp_path / f"{name}{t}.tif"
            array = xr.DataArray(
                image, {"y": np.arange(24) * -10.0, "x": np.arange(24) * 10.0}, ("y", "x")
            )
            array.rio.write_crs(32633).rio.to_raster(path, tiled=True, blockxsize=16, blockysize=16)
            lazy = rioxarray.open_rasterio(path, chunks={"y": 16, "x": 16}, lock=False)
            images.append(lazy.squeeze("band", drop=True))
        opened[name] = xr.concat(images, "time")
    collection = xr.Dataset(opened).assign_coords(time=np.arange(4))
    mosaic = qm.quality_mosaic(collection, "quality")
    assert is_deferred(mosaic)
    same(mosaic, values)
    assert mosaic.rio.crs.to_epsg() == 32633


# The affine package, which rasterio needs, warns of an operator that rasterio itself still uses.
def test_odc_stac(tmp_path: Path) -> None:
    """A collection from odc.stac.load is deferred: its openings may be repeated, its reads not."""
    stac = pytest.importorskip("odc.stac", reason="odc-stac is in the extra [test]")
    pytest.importorskip("rioxarray", reason="rioxarray is in the extra [test]")
    pystac = pytest.importorskip("pystac", reason="pystac comes with odc-stac")
    import datetime

    values = random_stack(images=4)
    values["quality"] = np.nan_to_num(values["quality"], nan=1).astype("float32")
    items = []
    for t in range(4):
        item = pystac.Item(
            f"i{t}",
            {
                "type": "Polygon",
                "coordinates": [[[15, 0], [15.1, 0], [15.1, 0.1], [15, 0.1], [15, 0]]],
            },
            [15, 0, 15.1, 0.1],
            datetime.datetime(2020, 7, 1 + t, tzinfo=datetime.UTC),
            {},
        )
        for name, band in values.items():
            path = tmp_path / f"{name}{t}.tif"
            array = xr.DataArray(
                band[t],
                {"y": 1000 - np.arange(24) * 10.0 - 5, "x": 500000 + np.arange(24) * 10.0 + 5},
                ("y", "x"),
            )
            array.rio.write_crs(32633).rio.to_raster(path)
            item.add_asset(name, pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF))
        items.append(item)
    collection = stac.load(
        items,
        bands=list(values),
        crs="EPSG:32633",
        resolution=10,
        x=(500000, 500240),
        y=(770, 1010 - 10),
        dtype=None,
        chunks={"x": 8, "y": 8},
        stac_cfg={
            "*": {"assets": {n: {"data_type": str(v.dtype)} for n, v in values.items()}},
        },
    )
    mosaic = qm.quality_mosaic(collection, "quality")
    assert is_deferred(mosaic)
    want = {n: v for n, v in as_dataset(values).load().items()}
    eager = qm.quality_mosaic(collection.compute(), "quality")
    xr.testing.assert_equal(mosaic.compute(), eager)
    assert (mosaic["red"].values[:20, :20] > 0).any()
    assert set(want) == set(values)
    assert "spatial_ref" in mosaic.coords


# -- latency --------------------------------------------------------------------------------------


class Far(LocalStore):
    """A folder on the other side of the world: every chunk takes its time."""

    now: ClassVar[list[int]] = []
    most = 0

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Wait, and read; note how many others are waiting."""
        if "/c/" in key:
            self.now.append(1)
            Far.most = max(Far.most, len(self.now))
            await asyncio.sleep(0.02)
            self.now.pop()
        return await super().get(key, *args, **kwargs)

    def with_read_only(self, read_only: bool = False) -> Far:
        """Stay far away."""
        return type(self)(self.root, read_only=read_only)


def far(path: Path, way: str) -> xr.Dataset:
    """Open a store that answers late, as a whole or image by image."""
    opened = [
        xr.open_zarr(Far(path, read_only=True), chunks={}, consolidated=False, mask_and_scale=False)
        for _ in range(1 if way == "whole" else 60)
    ]
    if way == "scattered":
        return opened[0].isel(time=np.random.default_rng(0).permutation(60))
    if way == "image by image":
        return xr.concat([o.isel(time=[i]) for i, o in enumerate(opened)], "time")
    return opened[0]


@pytest.mark.parametrize("band", ["quality", "red"])
@pytest.mark.parametrize("way", ["whole", "scattered", "image by image"])
def test_latency_is_hidden_inside_a_task(tmp_path: Path, way: str, band: str) -> None:
    """60 images on a store that answers after 20 ms: many requests are on their way at a time, so
    a task does not wait 60 times; with an upper bound nothing is asked for too many."""
    values = random_stack(images=60, side=64)
    in_store(values, tmp_path / "in.zarr", (1, 64, 64))
    collection = far(tmp_path / "in.zarr", way)
    Far.most = 0
    with dask.config.set(scheduler="synchronous"):
        qm.quality_mosaic(collection, "quality")[band].load()
        assert Far.most >= 6
        Far.most = 0
        qm.quality_mosaic(collection, "quality", upper_bound=5)["quality"].load()
        assert Far.most == 1


# -- chunks with what lies around them ------------------------------------------------------------


def highest_around(window: np.ndarray) -> np.ndarray:
    """Give each pixel the highest value within two rows and three columns."""
    padded = np.pad(window, ((0, 0), (2, 2), (3, 3)))
    height, width = window.shape[1:]
    shifted = [padded[:, y : y + height, x : x + width] for y in range(5) for x in range(7)]
    return np.max(shifted, axis=0)


AROUND = {1: 2, 2: 3}


def spread(array: Any) -> Any:
    """Apply `highest_around` chunk by chunk."""
    return map_surroundings(array, highest_around, AROUND, array.dtype)


@pytest.mark.parametrize(
    "chunks", [(1, 8, 8), (2, 24, 1), (5, (9, 1, 14), (2, 2, 20)), (1, 24, 24)]
)
@pytest.mark.parametrize("kind", ["symbolic", "written out", "too many", "persisted", "rechunked"])
def test_surroundings(chunks: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies around a chunk is seen whatever the chunks and the source; it is deferred where
    reading again repeats no work."""
    values = np.random.default_rng(0).integers(0, 999, (6, 24, 24)).astype("uint16")
    array = da.from_array(CountingArray(values), chunks=chunks)
    if kind in ("written out", "too many"):  # a concatenation
        array = da.concatenate([array[:2], array[2:]]).rechunk({0: array.chunks[0]})
        most = 200_000 if kind == "written out" else 3
        monkeypatch.setattr("qmosaic.engine.graph.surroundings.MOST_IN_RECIPE", most)
    elif kind == "persisted":
        array = array.persist(scheduler="synchronous")
    elif kind == "rechunked":
        array = array.rechunk((1, 5, 24))
    made = spread(array)
    assert made.chunks == array.chunks
    assert made.name == spread(array).name
    np.testing.assert_array_equal(made.compute(), highest_around(values))
    if kind != "too many":
        deferred = defer(Stack(made, ("time", "y", "x"), "time")) is not None
        assert deferred == (kind in ("symbolic", "written out"))


def test_a_task_reads_its_surroundings_itself() -> None:
    """One task a chunk, one recipe in all; a chunk reads the chunks within reach and no other."""
    counted = CountingArray(np.ones((3, 32, 32), "uint8"))
    made = spread(da.from_array(counted, chunks=(1, 8, 8)))
    graph = made.__dask_graph__()
    assert len(dict(graph)) == 3 * 16 + 1
    sizes = {T: len(pickle.dumps(dict(graph)[made.name, T, 0, 0])) for T in range(3)}
    assert max(sizes.values()) < 1000
    counted.calls.clear()
    made.blocks[1, 0, 3].compute(scheduler="synchronous")
    seen = np.zeros((3, 32, 32), bool)
    for index in counted.calls:
        seen[index] = True
    assert seen.sum() == 4 * 64
    assert seen[1, :16, 16:].all()


def test_a_mosaic_of_surroundings_is_deferred(tmp_path: Path) -> None:
    """A block is one task, whose size does not depend on the number of images."""
    sizes = {}
    for images in (4, 40):
        collection, _ = in_store(random_stack(images), tmp_path / f"{images}.zarr")
        band = collection["quality"]
        collection["quality"] = band.copy(data=spread(band.fillna(0).data))
        mosaic = qm.quality_mosaic(collection, "quality")
        explained = qm.explain(mosaic)
        assert explained.deferred
        assert explained.tasks == explained.blocks + 2
        sizes[images] = sum(len(pickle.dumps(t)) for t in dict(mosaic.__dask_graph__()).values())
    assert sizes[40] < sizes[4] * 1.1
    values = random_stack(40)
    values["quality"] = highest_around(np.nan_to_num(values["quality"]))
    same(mosaic, values)


# -- schedulers -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")
def test_on_a_cluster_persisted_or_not(tmp_path: Path) -> None:
    """On dask.distributed; Futures stay dependencies, and are not copied into tasks."""
    distributed = pytest.importorskip("distributed", reason="distributed is in the extra [test]")
    values = random_stack()
    collection = fused(values, tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        same(qm.quality_mosaic(collection, "quality").compute(), values)
        futures = collection.persist()
        assert defer(stack_of(futures["quality"])) is None
        same(qm.quality_mosaic(futures, "quality").compute(), values)
        qm.to_zarr(qm.quality_mosaic(collection, "quality"), tmp_path / "out.zarr")
    same(xr.open_zarr(tmp_path / "out.zarr", consolidated=False, mask_and_scale=False), values)


# -- what is used of dask beyond its documented interface -----------------------------------------


def test_dask_blockwise_is_what_the_engine_expects() -> None:
    """Blockwise.cull gives the layer of just the wanted keys, without looking at others."""
    array = -da.from_array(CountingArray(np.arange(64).reshape(4, 4, 4)), chunks=(1, 2, 2))
    layer = array.__dask_graph__().layers[array.name]
    assert isinstance(layer, Blockwise)
    assert layer.output == array.name
    assert len(layer.output_indices) == 3
    assert dict(layer.numblocks)
    assert isinstance(layer.io_deps, dict)
    (source, letters), *_ = layer.indices
    assert source in array.__dask_graph__().layers
    assert len(letters) == 3
    key = (array.name, 2, 0, 1)
    culled, needs = layer.cull({key}, ())
    assert set(dict(culled)) == {key}
    assert set(needs[key]) == {(source, 2, 0, 1)}


def test_dask_writes_getter_tasks_for_from_array() -> None:
    """``from_array`` writes getter(source, slices): what reads together rests on that."""
    array = da.from_array(CountingArray(np.arange(64).reshape(4, 4, 4)), chunks=(1, 2, 2))
    task = array.__dask_graph__()[(array.name, 1, 0, 1)]
    assert isinstance(task, Task)
    assert task.func is getter
    index = task.args[1]
    index = index.value if isinstance(index, DataNode) else index
    assert [(s.start, s.stop) for s in index] == [(1, 2), (0, 2), (2, 4)]


def test_legacy_tuples_in_a_graph_are_understood() -> None:
    """Libraries that write tasks as tuples are run as dask runs them."""
    values = random_stack(images=3, side=8)
    graph: dict[Any, Any] = {}
    for t in range(3):
        graph[("raw", t, 0, 0)] = (np.negative, (np.array, values["quality"][[t]].tolist()))
        graph[("old", t, 0, 0)] = (np.negative, ("raw", t, 0, 0))
    old = da.Array(graph, "old", ((1, 1, 1), (8,), (8,)), meta=np.empty((0, 0, 0), "float64"))
    values["quality"] = values["quality"].astype("float64")
    collection = as_dataset(
        {"quality": old, "red": da.from_array(CountingArray(values["red"]), chunks=(1, 8, 8))}
    )
    mosaic = qm.quality_mosaic(collection, "quality")
    assert defer(stack_of(collection["quality"])) is not None
    del values["nir"]
    same(mosaic, values)
