"""Collections for tests: counted stores, and the kinds of dask source that people have."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from zarr.storage import LocalStore

from tests.support import oracle


class CountingStore(LocalStore):
    """A folder of chunks that counts how often each of them is asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reads: Counter[str] = Counter()

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Count and read."""
        self.reads[key] += 1
        return await super().get(key, *args, **kwargs)

    def chunks(self, band: str) -> Counter[str]:
        """Give the chunks of a band that were read."""
        return Counter({k: n for k, n in self.reads.items() if k.startswith(f"{band}/c/")})

    def with_read_only(self, read_only: bool = False) -> CountingStore:
        """Keep one count for all views of the store."""
        store = type(self)(self.root, read_only=read_only)
        store.reads = self.reads
        return store


class Forbidden:
    """An array that fails when anything is read from it."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)

    def __getitem__(self, index: Any) -> Any:
        if all(isinstance(s, slice) and s == slice(0, 0) for s in index):
            return np.empty((0,) * self.ndim, self.dtype)
        raise AssertionError("something was read")


class CountingArray:
    """An array in memory that counts, per call, what is read from it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.calls: list[tuple[slice, ...]] = []
        self._lock = threading.Lock()

    def __getitem__(self, index: Any) -> Any:
        with self._lock:
            self.calls.append(index)
        return self.values[index]


def random_stack(images: int = 12, side: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    """Make bands whose pixels tell image and place, and a quality with ties, some masked."""
    rng = np.random.default_rng(seed)
    shape = (images, side, side)
    quality = rng.integers(0, 6, shape).astype("float32")
    quality[rng.random(shape) < 0.2] = np.nan
    return {
        "quality": quality,
        "red": rng.integers(1, 60000, shape).astype("uint16"),
        "nir": rng.normal(size=shape).astype("float64"),
    }


def expected(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give the mosaic of bands (time, y, x) that declare nothing, as the oracle makes it."""
    bands = {name: oracle.Band(("time", "y", "x"), band) for name, band in values.items()}
    return {name: want.values for name, want in oracle.mosaic(bands, "quality").items()}


def dates(images: int) -> pd.DatetimeIndex:
    """Give one day an image."""
    return pd.date_range("2020-07-01", periods=images)


def as_dataset(values: dict[str, Any]) -> xr.Dataset:
    """Make a collection of arrays (time, y, x)."""
    images, height, width = next(iter(values.values())).shape
    coords = {"time": dates(images), "y": np.arange(height) * -10.0, "x": np.arange(width) * 10.0}
    return xr.Dataset({n: (("time", "y", "x"), v) for n, v in values.items()}, coords)


def in_store(
    values: dict[str, np.ndarray], path: Path, chunks: tuple[int, int, int] = (1, 8, 8)
) -> tuple[xr.Dataset, CountingStore]:
    """Write bands to a Zarr store and open it lazily, counted."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name, band in values.items():
        array = group.create_array(
            name,
            shape=band.shape,
            dtype=band.dtype,
            chunks=chunks,
            dimension_names=("time", "y", "x"),
            fill_value=0,
        )
        array[:] = band
    store = CountingStore(path, read_only=True)
    collection = xr.open_zarr(store, chunks={}, consolidated=False, mask_and_scale=False)
    images = next(iter(values.values())).shape[0]
    store.reads.clear()
    return collection.assign_coords(time=dates(images)), store


def chunked(values: dict[str, np.ndarray], chunks: Any = (1, 8, 8)) -> xr.Dataset:
    """Cut arrays in memory with ``da.from_array`` over something that is no numpy array."""
    return as_dataset(
        {n: da.from_array(CountingArray(v), chunks=chunks) for n, v in values.items()}
    )


def made_of_whole_images(collection: xr.Dataset, chunks: Any) -> xr.Dataset:
    """Let a function of which nothing is known make whole images, and cut them into chunks: all
    blocks of the map share what it makes."""

    def made(images: np.ndarray) -> np.ndarray:
        return images.copy()

    def cut(band: xr.DataArray) -> xr.DataArray:
        whole = band.data.rechunk((1, -1, -1)).map_blocks(made, dtype=band.dtype)
        return band.copy(data=whole.rechunk(chunks))

    return collection.map(cut)
