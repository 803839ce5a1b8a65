"""What a mosaic reads: no chunk that cannot matter, none twice in a task, several at a time; in
little memory, whatever the number of images."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from zarr.storage import LocalStore

import qmosaic as qm
from tests.support.mosaics import is_deferred, same
from tests.support.sources import (
    CountingArray,
    as_dataset,
    chunked,
    expected,
    in_store,
    random_stack,
)


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


@pytest.mark.parametrize("masked", ["keep", "fill"])
def test_a_band_that_is_the_quality_is_not_read_again(tmp_path: Path, masked: Any) -> None:
    """``collection.assign(quality=collection["red"])``: the winners' pixels of both are known once
    they are decided; where the band declares another nodata, substitutes are still looked for."""
    values = random_stack(images=6, side=8)
    collection, store = in_store(values, tmp_path / "in.zarr")
    collection = collection.drop_vars("quality").assign(best=collection["red"])
    mosaic = qm.quality_mosaic(collection, "best", masked=masked)
    assert not store.reads
    with dask.config.set(scheduler="synchronous"):
        got = mosaic.load()
    assert set(store.chunks("red").values()) == {1}
    assert len(store.chunks("red")) == 6
    wanted = expected({"quality": values["red"], "nir": values["nir"]})
    for name, want in (("red", "quality"), ("best", "quality"), ("nir", "nir")):
        np.testing.assert_array_equal(got[name], wanted[want])
    other = values["red"].max(axis=0).max()
    collection["red"] = collection["red"].assign_attrs(_FillValue=other)
    filled = qm.quality_mosaic(collection, "best", masked="fill").load()
    assert (filled["best"] == other).any()
    assert not (filled["red"] == other).any()


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


def test_rechunked_sources_are_read_once(tmp_path: Path) -> None:
    """What blocks share is not read again in each of them: it stays a dependency."""
    values = random_stack()
    collection, store = in_store(values, tmp_path / "in.zarr", (1, 24, 24))
    mosaic = qm.quality_mosaic(collection.chunk(y=8, x=8), "quality")
    mosaic.compute(scheduler="synchronous")
    assert set(store.chunks("quality").values()) == {1}


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
