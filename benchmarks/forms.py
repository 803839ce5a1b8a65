"""The same images in the shapes in which collections come: other chunks, cuts, qualities, layouts.

Each is written in plain xarray and dask, so that every way to make the mosaic gets the very same
collection. The right pixels are those of a truth in `truths`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import truths
from benchmarks.job import Job
from benchmarks.routes import (
    OURS,
    XARRAY,
    Route,
    argmax,
    hand_written,
    open_collection,
    pick,
    with_quality,
    write,
)
from benchmarks.truths import pixels

if TYPE_CHECKING:
    import xarray as xr

WAYS = ("qmosaic", "by hand")
CRS = "EPSG:32633"


@dataclass(frozen=True)
class Form:
    """A collection in one shape.

    Attributes
    ----------
    truth : str
        The one of `truths.TRUTHS` that is right for it.
    modules : tuple of str
        What making it imports beside xarray; where one is missing, the form is skipped.
    in_memory : bool
        Whether it is made, and held, before the clock starts.
    holes : bool
        Whether the quality can be NaN for all images of a pixel.
    """

    name: str
    about: str
    make: Callable[[Job], xr.Dataset]
    truth: str = "stored"
    modules: tuple[str, ...] = ()
    in_memory: bool = False
    holes: bool = False


# --- other chunks, and cuts ---------------------------------------------------------------------


def _stored(job: Job) -> xr.Dataset:
    return with_quality(open_collection(job), job.workload)


def _cut(job: Job) -> xr.Dataset:
    margin = pixels(job.workload, truths.TRUTHS["cut"].margin)
    inside = slice(margin, -margin)
    return _stored(job).isel(y=inside, x=inside)


def _clipped(job: Job) -> xr.Dataset:
    import odc.geo.xr  # noqa: F401  # the accessor

    import qmosaic as qm

    inside = _cut(job)
    y, x = inside["y"].to_numpy(), inside["x"].to_numpy()
    box = (x[0] - 5, y[-1] - 5, x[-1] + 5, y[0] + 5)
    collection = _stored(job).odc.assign_crs(CRS)
    return qm.filter_bounds(collection, box, crs=CRS, clip=True).drop_vars("spatial_ref")


def _chunked(side: int) -> Callable[[Job], xr.Dataset]:
    def make(job: Job) -> xr.Dataset:
        size = pixels(job.workload, side)
        return with_quality(open_collection(job).chunk(y=size, x=size), job.workload)

    return make


def _opened(chunks: Any) -> Callable[[Job], xr.Dataset]:
    """Open the store with chunks that are not those stored; sizes along y and x are scaled."""

    def make(job: Job) -> xr.Dataset:
        import xarray as xr

        asked = chunks
        if isinstance(chunks, dict):
            asked = {d: n if n < 0 else pixels(job.workload, n) for d, n in chunks.items()}
        found = xr.open_zarr(job.store, chunks=asked, consolidated=False, mask_and_scale=False)
        return with_quality(found[list(job.workload.bands)], job.workload)

    return make


def _on_other_grids(job: Job) -> xr.Dataset:
    """Have a chunk grid of its own for each band."""
    collection = open_collection(job)
    sides = {"B02": (1024, 1024), "B03": (256, 256), "B04": (700, 300), "B08": (512, 2048)}
    for band, (y, x) in sides.items():
        y, x = pixels(job.workload, y), pixels(job.workload, x)
        collection[band] = collection[band].chunk(y=y, x=x)
    return with_quality(collection, job.workload)


# --- qualities that look beyond a pixel ---------------------------------------------------------


def _cloud(collection: xr.Dataset) -> xr.DataArray:
    return collection["cloud"].drop_attrs()


def _with(quality: Callable[[xr.DataArray], xr.DataArray]) -> Callable[[Job], xr.Dataset]:
    """Make the quality of the cloud probability."""

    def make(job: Job) -> xr.Dataset:
        collection = open_collection(job)
        return collection.assign(quality=quality(_cloud(collection)))

    return make


def _rolling(cloud: xr.DataArray) -> xr.DataArray:
    side = truths.WINDOW
    return -cloud.astype("float32").rolling(y=side, x=side, center=True).mean()


def _smooth(cloud: xr.DataArray) -> xr.DataArray:
    import qmosaic as qm

    return -qm.scores.smooth(cloud, truths.WINDOW, resolution=1)


def _map_mean(cloud: xr.DataArray) -> xr.DataArray:
    return -(cloud + cloud.mean(["y", "x"]))


def _time_mean(cloud: xr.DataArray) -> xr.DataArray:
    return cloud.mean("time") - cloud


def _shifted(cloud: xr.DataArray) -> xr.DataArray:
    cloud = cloud.astype("int16")
    return -(cloud + cloud.shift(time=1, fill_value=100))


def _filled(cloud: xr.DataArray) -> xr.DataArray:
    return -cloud.astype("float32").where(cloud < truths.FULL).fillna(truths.FILLED_WITH)


def _month_anomaly(cloud: xr.DataArray) -> xr.DataArray:
    months = cloud.groupby("time.month")
    anomaly: xr.DataArray = months - months.mean("time")
    return -anomaly.drop_vars("month")


def _land(cloud: xr.DataArray) -> xr.DataArray:
    import xarray as xr

    rows, columns = (np.arange(cloud.sizes[d]) for d in ("y", "x"))
    mask = xr.DataArray(truths.land(rows[:, None], columns[None, :]), dims=("y", "x"))
    return (-cloud.astype("float32")).where(mask)


# --- other images, other bands ------------------------------------------------------------------


def _images(job: Job) -> list[int]:
    return list(range(job.workload.scene.images))


def _persisted(job: Job) -> xr.Dataset:
    return _stored(job).isel(time=truths.the_first(len(_images(job)))).persist()


def _shuffled(job: Job) -> xr.Dataset:
    return _stored(job).isel(time=truths.shuffled(len(_images(job))))


def _selected(job: Job) -> xr.Dataset:
    kept = truths.selected(len(_images(job)))
    return _stored(job).isel(time=np.isin(_images(job), kept))


def _reindexed(job: Job) -> xr.Dataset:
    collection = open_collection(job)
    there = np.array(truths.reindexed(len(_images(job)))) >= 0
    times = collection["time"].to_numpy()
    asked = np.where(there, times, times + np.timedelta64(1, "D"))
    absent = {band: 255 if band == "cloud" else 0 for band in collection.data_vars}
    return with_quality(collection.reindex(time=asked, fill_value=absent), job.workload)


def _concatenated(job: Job) -> xr.Dataset:
    import xarray as xr

    assert job.relaid is not None
    stores = sorted((job.relaid / "images").glob("*.zarr"))
    images = [
        xr.open_zarr(store, chunks={}, consolidated=False, mask_and_scale=False) for store in stores
    ]
    collection = xr.concat(images, "time")[list(job.workload.bands)]
    return with_quality(collection, job.workload)


def _where_other(job: Job) -> xr.Dataset:
    collection = _stored(job)
    clear = _cloud(collection) < truths.CLOUDY
    return collection.assign(B04=collection["B04"].where(clear, collection["B03"]))


def _repeated(band: str) -> Callable[[Job], xr.Dataset]:
    """Have a band of half the resolution, each of its pixels four times."""

    def make(job: Job) -> xr.Dataset:
        import dask.array as da
        import xarray as xr

        assert job.relaid is not None
        store = job.relaid / "coarse.zarr"
        half = xr.open_zarr(store, chunks={}, consolidated=False, mask_and_scale=False)[band].data
        collection = open_collection(job)
        fine = da.repeat(da.repeat(half, 2, axis=1), 2, axis=2)
        return with_quality(collection.assign({band: (("time", "y", "x"), fine)}), job.workload)

    return make


_ALL = (
    Form("stored", "as stored", _stored),
    Form("cut", "100 pixels cut off each side", _cut, "cut"),
    Form("clip", "filter_bounds(clip=True)", _clipped, "cut", ("odc.geo.xr",)),
    Form("chunk-700", ".chunk(y=700, x=700)", _chunked(700)),
    Form("chunk-256", ".chunk(y=256, x=256)", _chunked(256)),
    Form("all-times", "opened with time: -1", _opened({"time": -1, "y": 512, "x": 512})),
    Form("auto", 'opened with "auto"', _opened("auto")),
    Form("open-256", "opened with y: 256, x: 256", _opened({"y": 256, "x": 256})),
    Form("grids", "a chunk grid for each band", _on_other_grids),
    Form("rolling", "quality: rolling mean of 5 × 5", _with(_rolling), "rolling", holes=True),
    Form("smooth", "quality: qm.scores.smooth", _with(_smooth), "smooth", ("scipy.ndimage",)),
    Form("map-mean", 'quality: mean(["y", "x"]) in it', _with(_map_mean), "map-mean"),
    Form("time-mean", 'quality: mean("time") in it', _with(_time_mean), "time-mean"),
    Form("month-anomaly", "quality: anomaly of its month", _with(_month_anomaly), "month-anomaly"),
    Form("shifted", "quality: with shift(time=1)", _with(_shifted), "shifted"),
    Form("fillna", "quality: where, fillna", _with(_filled), "fillna"),
    Form("land", "quality: where(mask of numpy)", _with(_land), "land", holes=True),
    Form("persisted", "12 images, persisted", _persisted, "first", in_memory=True),
    Form("concat", "xr.concat of a store an image", _concatenated),
    Form("shuffled", "images in another order", _shuffled, "shuffled"),
    Form("selected", "images chosen by booleans", _selected, "selected"),
    Form("reindexed", "reindex(time=), a third missing", _reindexed, "reindexed"),
    Form("where-other", "band: where(other band)", _where_other, "where-other"),
    Form("half-band", "band: half as fine, repeated", _repeated("B08"), "half-band"),
    Form("half-quality", "quality: half as fine, repeated", _repeated("cloud"), "half-quality"),
)

FORMS = {form.name: form for form in _ALL}


# --- the ways to make a mosaic of them ----------------------------------------------------------


def shaped(name: str, way: str) -> Route:
    """Give a way to make the mosaic of a form, as a route like any other."""
    form = FORMS[name]
    held: list[xr.Dataset] = []

    def prepare(job: Job) -> None:
        if form.in_memory:
            held.append(form.make(job))

    def collection(job: Job) -> xr.Dataset:
        return held[0] if held else form.make(job)

    def by_us(job: Job) -> None:
        import qmosaic as qm

        qm.to_zarr(qm.quality_mosaic(collection(job), "quality"), job.output, mode="w")

    def by_hand(job: Job) -> None:
        kernels = (_argmax_of_some, _pick_of_some) if form.holes else (argmax, pick)
        write(_regular(hand_written(collection(job), *kernels), job), job)

    def tell(job: Job) -> dict[str, Any]:
        import qmosaic as qm

        return _told(qm.explain(qm.quality_mosaic(collection(job), "quality")))

    if way == "qmosaic":
        return Route(way, by_us, "subject", (*OURS, *form.modules), prepare=prepare, tell=tell)
    return Route(way, by_hand, "peer", (*XARRAY, *form.modules), prepare=prepare)


def _regular(mosaic: xr.Dataset, job: Job) -> xr.Dataset:
    """Bring chunks into an order that Zarr takes, where they are in none."""
    sides = [s for band in mosaic.data_vars.values() for s in band.chunks or ()]
    if all(set(s[:-1]) <= {s[0]} and s[-1] <= s[0] for s in sides):
        return mosaic
    return mosaic.chunk(y=job.workload.scene.chunk, x=job.workload.scene.chunk)


def _told(explanation: Any) -> dict[str, Any]:
    """Keep of an explanation how the bands come."""
    return {
        "blocks": explanation.blocks,
        "expected_tasks": explanation.tasks,
        "deferred": explanation.deferred,
        "bands_deferred": explanation.bands_deferred,
        "lanes": explanation.lanes,
        "peak_bytes": explanation.peak_bytes,
        "text": str(explanation),
    }


def _argmax_of_some(quality: Any) -> Any:
    """Give -1 where no image has a quality."""
    index = np.where(np.isnan(quality), -np.inf, quality).argmax(axis=-1)
    return np.where(np.isnan(quality).all(axis=-1), -1, index)


def _pick_of_some(band: Any, index: Any) -> Any:
    nothing = np.nan if band.dtype.kind == "f" else 0
    return np.where(index < 0, band.dtype.type(nothing), pick(band, np.maximum(index, 0)))
