"""Whatever was done to a collection: the right pixels, a block a task, few reads, little memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

import qmosaic as qm
from qmosaic.engine.graph.sharing import TIMES_READ
from tests.support import oracle
from tests.support.sources import CountingStore, as_dataset, dates, expected, in_store

IMAGES, SIDE, CHUNK = 8, 24, 8

Shape = Callable[[xr.Dataset], xr.Dataset]


@dataclass(frozen=True)
class Row:
    """One shape of input, and what is promised of it.

    Attributes
    ----------
    shape : callable
        What is done to the collection.
    opened : dict
        How the store is opened.
    quality, bands : float or None
        How often a stored chunk of them is read at most, on average; None where nothing is read
        from the counted store.
    only_winners : bool
        Whether a band is read of no image that won nothing.
    deferred : bool
        Whether a block is one task.
    """

    shape: Shape
    opened: dict[str, Any] = field(default_factory=lambda: {"chunks": {}})
    quality: float | None = 1
    bands: float | None = 1
    only_winners: bool = True
    deferred: bool = True


def stack(images: int = IMAGES, side: int = SIDE) -> dict[str, np.ndarray]:
    """Make bands; half of the images win nothing, also where scores are smoothed or compared."""
    rng = np.random.default_rng(0)
    shape = (images, side, side)
    quality = rng.integers(0, 6, shape).astype("float32")
    quality[::2] -= 1000
    quality[rng.random(shape) < 0.1] = np.nan
    nir = rng.integers(0, 99, shape) / 2
    red = rng.integers(1, 60000, shape).astype("uint16")
    return {"quality": quality, "red": red, "nir": nir}


def of_quality(change: Callable[[xr.DataArray], xr.DataArray]) -> Shape:
    """Change the quality alone."""

    def shape(collection: xr.Dataset) -> xr.Dataset:
        changed = change(collection["quality"]).transpose("time", "y", "x")
        return collection.assign(quality=changed)

    return shape


def of_nir(change: Callable[[xr.DataArray], xr.DataArray]) -> Shape:
    """Change a band that is not the quality."""

    def shape(collection: xr.Dataset) -> xr.Dataset:
        return collection.assign(nir=change(collection["nir"]).transpose("time", "y", "x"))

    return shape


def highest_around(band: xr.DataArray) -> xr.DataArray:
    """Filter an array of overlapping chunks with scipy."""
    made = da.map_overlap(
        scipy.ndimage.maximum_filter,
        band.fillna(-5000).data,
        depth={0: 0, 1: 1, 2: 1},
        boundary="none",
        size=(1, 3, 3),
        dtype=band.dtype,
        meta=np.empty((0, 0, 0), band.dtype),
    )
    return band.copy(data=made)


def anomaly(band: xr.DataArray) -> xr.DataArray:
    """Subtract what is usual for the month."""
    months = band.groupby("time.month")
    return (months - months.mean("time")).drop_vars("month")


def repeated(band: xr.DataArray) -> xr.DataArray:
    """Bring every second pixel to the grid."""
    half = band.isel(y=slice(None, None, 2), x=slice(None, None, 2)).data
    return band.copy(data=da.repeat(da.repeat(half, 2, axis=1), 2, axis=2))


def as_by_kron(band: xr.DataArray) -> xr.DataArray:
    """Bring means of 2 × 2 pixels to the grid, chunk by chunk."""
    half = band.coarsen(y=2, x=2).mean().data

    def twice(chunk: np.ndarray) -> np.ndarray:
        return np.kron(chunk, np.ones((1, 2, 2), chunk.dtype))

    return band.copy(data=half.map_blocks(twice, chunks=band.data.chunks, dtype=band.dtype))


def interpolated(band: xr.DataArray) -> xr.DataArray:
    """Bring every second pixel to the grid, between its neighbours."""
    half = band.isel(y=slice(None, None, 2), x=slice(None, None, 2))
    return half.interp(y=band.y, x=band.x)


def doubled(band: xr.DataArray) -> xr.DataArray:
    """Call a function of which nothing is known."""
    return xr.apply_ufunc(lambda chunk: chunk * 2, band, dask="parallelized")


def above_quantile(band: xr.DataArray) -> xr.DataArray:
    """Compare with what is usual at the pixel: all times have to be in one chunk."""
    usual = band.chunk(time=-1).quantile(0.2, "time").drop_vars("quantile")
    return band.where(band >= usual)


def image_by_image(collection: xr.Dataset) -> xr.Dataset:
    """Put single images together, as they come from as many stores."""
    return xr.concat([collection.isel(time=[t]) for t in range(IMAGES)], "time")


def land() -> xr.DataArray:
    """Make a mask in memory."""
    return xr.DataArray(np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 3 > 0, dims=("y", "x"))


BOX = (4, -4)
ROWS = {
    "as stored": Row(lambda c: c),
    "cut off the borders": Row(
        lambda c: c.isel(y=slice(*BOX), x=slice(*BOX)), quality=TIMES_READ, bands=TIMES_READ
    ),
    "chunks that do not divide": Row(
        lambda c: c.chunk(y=11, x=11), quality=TIMES_READ, bands=TIMES_READ
    ),
    "smaller chunks": Row(lambda c: c.chunk(y=4, x=4)),
    "larger chunks": Row(lambda c: c.chunk(y=16, x=16)),
    "all times in a chunk": Row(lambda c: c.chunk(time=-1)),
    "opened with all times in a chunk": Row(
        lambda c: c, {"chunks": {"time": -1, "y": CHUNK, "x": CHUNK}}
    ),
    # chunks of as many bytes: bands of other dtypes have other grids, each with its jobs
    "opened with automatic chunks": Row(lambda c: c, {"chunks": "auto"}, quality=3, bands=2),
    "opened with a quarter of the chunk": Row(lambda c: c, {"chunks": {"y": 4, "x": 4}}),
    "opened with four chunks in one": Row(lambda c: c, {"chunks": {"y": 16, "x": 16}}),
    "a function of chunks": Row(of_quality(doubled)),
    "images less their mean": Row(of_quality(lambda q: q - q.mean(["y", "x"])), quality=2),
    "less the mean of the images": Row(of_quality(lambda q: q - q.mean("time")), quality=2),
    "compared with a quantile": Row(of_quality(above_quantile), quality=2),
    "a threshold of the scene": Row(of_quality(lambda q: q.where(q > q.mean())), quality=2),
    "an anomaly of the month": Row(of_quality(anomaly), quality=2),
    "persisted": Row(lambda c: c.persist(), quality=None, bands=None, deferred=False),
    "persisted quality": Row(
        lambda c: c.assign(quality=c["quality"].persist()), quality=None, deferred=False
    ),
    "image by image": Row(image_by_image),
    "images in another order": Row(lambda c: c.isel(time=[3, 0, 7, 1, 6, 2, 5, 4])),
    "sorted backwards": Row(lambda c: c.sortby("time", ascending=False)),
    "some images": Row(lambda c: c.isel(time=np.arange(IMAGES) % 4 > 1)),
    "a label that is missing": Row(lambda c: c.reindex(time=dates(IMAGES + 1))),
    "shifted in time": Row(lambda c: c.shift(time=1)),
    "where, with another value": Row(lambda c: c.where(c["quality"] > 0, c * 0), quality=3),
    "filled": Row(lambda c: c.fillna(-2000)),
    "bands on other chunks": Row(
        lambda c: c.assign(red=c["red"].chunk(time=3, y=11, x=10)),
        quality=3,
        bands=2,
        only_winners=False,
    ),
    "a band of half the resolution": Row(of_nir(repeated)),
    "a band by kron": Row(of_nir(as_by_kron)),
    "a mask in memory": Row(lambda c: c.where(land())),
    "north below": Row(lambda c: c.isel(y=slice(None, None, -1))),
    "every second column": Row(lambda c: c.isel(x=slice(None, None, 2))),
    "other order of dimensions": Row(lambda c: c.transpose("x", "time", "y")),
    "smoothed": Row(
        of_quality(lambda q: q.rolling(y=3, x=3, center=True).mean()),
        quality=TIMES_READ,
        bands=TIMES_READ,
        only_winners=False,
    ),
    "filtered": Row(of_quality(highest_around), quality=TIMES_READ, bands=TIMES_READ),
    # the lowest, the highest, and to decide
    "stretched": Row(of_quality(lambda q: (q - q.min()) / (q.max() - q.min())), quality=3),
    "some rows": Row(
        lambda c: c.isel(y=np.arange(SIDE) % 3 > 0), quality=TIMES_READ, bands=TIMES_READ
    ),
    "rows by a list": Row(lambda c: c.isel(y=list(range(SIDE))[::-1])),
    "a band that is interpolated": Row(of_nir(interpolated), quality=2, bands=TIMES_READ),
    "coarser": Row(lambda c: c.coarsen(y=2, x=2).mean()),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the collection once."""
    path = tmp_path_factory.mktemp("shapes") / "in.zarr"
    in_store(stack(), path, (1, CHUNK, CHUNK))
    return path


def shaped(
    row: Row, path: Path, kind: type[CountingStore] = CountingStore
) -> tuple[xr.Dataset, CountingStore]:
    """Open the collection and do to it what a row says."""
    counting = kind(path, read_only=True)
    with warnings.catch_warnings(), dask.config.set({"array.chunk-size": "4kiB"}):
        warnings.filterwarnings("ignore", "The specified chunks separate the stored chunks")
        opened = xr.open_zarr(counting, consolidated=False, mask_and_scale=False, **row.opened)
        collection = row.shape(opened.drop_encoding().assign_coords(as_dataset(stack()).coords))
    return collection, counting


def in_memory(collection: xr.Dataset) -> dict[str, np.ndarray]:
    """Give the bands as arrays of numpy (time, y, x)."""
    with dask.config.set(scheduler="synchronous"):
        return {str(n): band.transpose("time", "y", "x").values for n, band in collection.items()}


def assert_pixels(got: xr.Dataset, want: dict[str, np.ndarray]) -> None:
    """Compare a mosaic with the oracle's."""
    for name, values in want.items():
        band = got[name].transpose("y", "x").values
        assert band.dtype == values.dtype
        np.testing.assert_array_equal(band, values, name)


class Stumbling(CountingStore):
    """A store in which a chunk of each band fails when it is asked for the first time."""

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Fail once."""
        found = await super().get(key, *args, **kwargs)
        if key.endswith("/c/1/1/1") and self.reads[key] == 1:
            raise OSError("the line went dead")
        return found


def times(counting: CountingStore, band: str) -> float:
    """Say how often a stored chunk was read, on average."""
    reads = counting.chunks(band)
    return sum(reads.values()) / len(reads) if reads else 0


@pytest.mark.parametrize("name", ROWS)
def test_pixels_tasks_and_reads(name: str, store: Path, tmp_path: Path) -> None:
    """Rule 11, and the promises of `explain`: the pixels by `to_zarr` and by dask; a block is one
    task of the map; stored chunks are read no more often than a row says, bands of winners only."""
    row = ROWS[name]
    collection, counting = shaped(row, store)
    values = in_memory(collection)
    want = expected(values)
    counting.reads.clear()
    mosaic = qm.quality_mosaic(collection, "quality")
    plan = qm.explain(mosaic)
    assert not any(counting.chunks(band) for band in values)
    assert plan.deferred == row.deferred
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    written = xr.open_zarr(tmp_path / "out.zarr", consolidated=False, mask_and_scale=False)
    assert_pixels(written, want)
    if row.deferred and not plan.first:  # which takes tasks of its own
        assert plan.tasks <= plan.blocks + 2 * len(values)  # bands of other chunks are apart
    for band in values:
        most = row.quality if band == "quality" else row.bands
        assert times(counting, band) <= (most or 0)
    if row.bands and row.only_winners:
        bands = {"quality": oracle.Band(("time", "y", "x"), values["quality"])}
        won = oracle.mosaic(bands, "quality")["quality"].image
        images = {key.split("/")[2] for key in counting.chunks("red")}
        assert len(images) <= len(np.unique(won[won >= 0]))
    assert_pixels(mosaic.compute(scheduler="synchronous"), want)


@pytest.mark.parametrize(
    "name", ["cut off the borders", "shifted in time", "images less their mean"]
)
def test_chunks_that_fail_are_read_again(name: str, store: Path, tmp_path: Path) -> None:
    """``retries`` reaches every read of a block that is one task."""
    collection, _ = shaped(ROWS[name], store)
    want = expected(in_memory(collection))
    collection, stumbling = shaped(ROWS[name], store, Stumbling)
    mosaic = qm.quality_mosaic(collection, "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr", retries=2)
    written = xr.open_zarr(tmp_path / "out.zarr", consolidated=False, mask_and_scale=False)
    assert_pixels(written, want)
    assert stumbling.chunks("quality")
