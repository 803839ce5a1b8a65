"""The ways to make the mosaic: one small function each, from the Zarr store to a Zarr store.

Each is written as a user of that library who knows it would write it, keeps the bands' dtypes and
writes every band of the collection, the quality included.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import bare, limit
from benchmarks.job import Job
from benchmarks.oracle import MASKED, blocks
from benchmarks.oracle import score as plain_score
from benchmarks.workloads import CLOUD_NODATA, Workload

if TYPE_CHECKING:
    import xarray as xr

XARRAY = ("xarray", "xarray.backends.zarr", "dask.array", "pandas", "zarr")
OURS = ("qmosaic", "tensorstore", *XARRAY)
Kernel = Callable[..., Any]
UNUSED_BY_BANDS = {"B02": 0, "B03": 0, "B04": 0, "B08": 0, "cloud": CLOUD_NODATA, "score": 0}
"""A value that no valid pixel has: routes that mark losers inside the band need one."""


@dataclass(frozen=True)
class Route:
    """A way to make the mosaic.

    Attributes
    ----------
    role : {"subject", "peer", "info"}
        Only peers are compared with the subject; info stands beside them.
    modules : tuple of str
        What is imported before the clock starts; where one is missing, the route is skipped.
    written : bool
        Whether there is a mosaic to be checked.
    tell : callable or None
        What can be said of the run without running it; stands beside what is counted.
    """

    name: str
    run: Callable[[Job], None]
    role: str
    modules: tuple[str, ...]
    written: bool = True
    cannot: Callable[[Workload], str | None] = lambda workload: None
    prepare: Callable[[Job], Any] | None = None
    tell: Callable[[Job], dict[str, Any]] | None = None

    def missing(self) -> str | None:
        """Say which module is not installed, if any is not."""
        for module in self.modules:
            top = module.split(".")[0]
            spec = importlib.util.find_spec(top)
            # a namespace (odc) can be there for the sake of another package
            if spec is not None and spec.origin is None:
                top, spec = module, importlib.util.find_spec(module)
            if spec is None:
                return f"{top} is not installed"
        return None


# --- what the xarray routes share ---------------------------------------------------------------


def open_collection(job: Job) -> xr.Dataset:
    """Open the bands lazily, in the dtypes in which they are stored."""
    import xarray as xr

    chunks = {"time": -1} if job.whole_series else {}
    collection = xr.open_zarr(job.store, chunks=chunks, consolidated=False, mask_and_scale=False)
    return collection[list(job.workload.bands)]


def with_quality(collection: xr.Dataset, workload: Workload) -> xr.Dataset:
    """Add the quality in plain xarray, as a user without `qmosaic` writes it.

    Nodata of a cloud probability (255) becomes -255, which no valid score reaches, so these
    routes need no further care for it.
    """
    if workload.quality == "inverse":
        quality = -collection["cloud"].drop_attrs().astype("int16")
    elif workload.quality == "ndvi":
        nir = collection["B08"].drop_attrs().astype("float32")
        red = collection["B04"].drop_attrs().astype("float32")
        quality = (nir - red) / (nir + red)
    else:
        quality = collection["score"]
    return collection.assign(quality=quality)


def unused(workload: Workload, band: str) -> float:
    """Give a value that marks a loser in a band."""
    if band != "quality":
        return UNUSED_BY_BANDS[band]
    return MASKED[workload.quality]


def write(mosaic: xr.Dataset, job: Job) -> None:
    """Write with xarray, without what belonged to the images' own store."""
    mosaic.drop_encoding().to_zarr(job.output, mode="w", consolidated=False)


# --- the routes ---------------------------------------------------------------------------------


def our_collection(job: Job) -> xr.Dataset:
    """Open the bands, and make the quality, as a user of this package does."""
    import qmosaic as qm

    collection = open_collection(job)
    if job.workload.quality == "inverse":
        quality = qm.scores.inverse(collection["cloud"])
    elif job.workload.quality == "ndvi":
        quality = qm.scores.normalized_difference(collection["B08"], collection["B04"])
    else:
        quality = collection["score"]
    return collection.assign(quality=quality)


def qmosaic(job: Job) -> None:
    """This package, with nothing but its defaults."""
    import qmosaic as qm

    mosaic = qm.quality_mosaic(our_collection(job), "quality")
    qm.to_zarr(mosaic, job.output, mode="w")


def qmosaic_bound(job: Job) -> None:
    """This package, told which score nothing can beat, so that it may stop looking."""
    import qmosaic as qm

    bound = job.workload.upper_bound
    mosaic = qm.quality_mosaic(our_collection(job), "quality", upper_bound=bound)
    qm.to_zarr(mosaic, job.output, mode="w")


def _no_bound(workload: Workload) -> str | None:
    return None if workload.upper_bound is not None else "the quality has no known upper bound"


def apply_ufunc(job: Job) -> None:
    """The usual recipe: all images of a block in one chunk, argmax, take_along_axis."""
    write(hand_written(with_quality(open_collection(job), job.workload), argmax, pick), job)


def argmax(quality: Any) -> Any:
    """Give the first of the best."""
    return quality.argmax(axis=-1)


def pick(band: Any, index: Any) -> Any:
    """Give a band's pixels of these images."""
    return np.take_along_axis(band, index[..., None], axis=-1)[..., 0]


def hand_written(
    collection: xr.Dataset, best: Kernel, take: Kernel, *, by: str = "quality", index: Any = None
) -> xr.Dataset:
    """Make the mosaic by `xarray.apply_ufunc`, of functions for the best index and its pixels; `by`
    names the band that decides, unless the index is given."""
    import xarray as xr

    collection = collection.chunk(time=-1)
    if index is None:
        index = best_index(collection, best, by=by)
    return xr.Dataset(
        {
            name: xr.apply_ufunc(
                take,
                band,
                index,
                input_core_dims=[["time"], []],
                dask="parallelized",
                output_dtypes=[band.dtype],
            )
            for name, band in collection.data_vars.items()
        }
    )


def best_index(collection: xr.Dataset, best: Kernel, *, by: str = "quality") -> xr.DataArray:
    """Number the image of each pixel that a function names."""
    import xarray as xr

    index: xr.DataArray = xr.apply_ufunc(
        best,
        collection[by].chunk(time=-1),
        input_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[np.intp],
    )
    return index


def odc_algo(job: Job) -> None:
    """Keep the pixels whose score is the highest, then the first valid one."""
    import xarray as xr
    from odc.algo import choose_first_valid, keep_good_only

    collection = with_quality(open_collection(job), job.workload)
    q = collection["quality"]
    wins = q == q.max("time")
    mosaic = {}
    for name, band in collection.data_vars.items():
        nodata = unused(job.workload, str(name))
        kept = keep_good_only(band, wins, nodata=nodata)
        mosaic[name] = choose_first_valid(kept, nodata=nodata).isel(time=0, drop=True)
    write(xr.Dataset(mosaic), job)


def stackstac(job: Job) -> None:
    """Put the losers to nodata, then the first valid pixel on top."""
    import stackstac as ss
    import xarray as xr

    collection = with_quality(open_collection(job), job.workload)
    q = collection["quality"]
    wins = q == q.max("time")
    mosaic = {}
    for name, band in collection.data_vars.items():
        nodata = unused(job.workload, str(name))
        winners = band.where(wins, band.dtype.type(nodata))
        mosaic[name] = ss.mosaic(winners, dim="time", nodata=nodata, reverse=True)
    write(xr.Dataset(mosaic), job)


def satpy(job: Job) -> None:
    """Stack with the score as weight; weights have to be positive and free of NaN."""
    import xarray as xr
    from satpy.multiscene import stack

    collection = with_quality(open_collection(job), job.workload)
    weight = _satpy_weight(collection, job.workload)
    weights = [weight.isel(time=t, drop=True) for t in range(weight.sizes["time"])]
    mosaic = {}
    for name, band in collection.data_vars.items():
        images = [band.isel(time=t, drop=True) for t in range(len(weights))]
        mosaic[name] = stack(images, weights=weights, blend_type="select_with_weights")
    write(xr.Dataset(mosaic), job)


def _satpy_weight(collection: xr.Dataset, workload: Workload) -> xr.DataArray:
    """Move the scores above 0, which is satpy's mark of a missing pixel."""
    if workload.quality == "inverse":
        cloud = collection["cloud"].drop_attrs()
        return (101 - cloud).where(cloud != CLOUD_NODATA, 0)
    if workload.quality == "ndvi":
        return (collection["quality"] + 1).fillna(0)
    return collection["score"]


def _satpy_cannot(workload: Workload) -> str | None:
    images = workload.scene.images
    return None if images < 64 else f"numpy.choose takes fewer than 64 images, not {images}"


def rio_tiler(job: Job) -> None:
    """Feed the images of each block to `LastBandHighMethod`, blocks in parallel."""
    import zarr

    source = zarr.open_group(job.store, mode="r")
    bands = {name: source[name] for name in job.workload.bands}
    target = zarr.open_group(job.output, mode="w")
    scene = job.workload.scene
    outputs = {}
    for name in (*bands, "quality"):
        first = {key: np.zeros(1, band.dtype) for key, band in bands.items()}
        dtype = bands[name].dtype if name in bands else plain_score(job.workload, first).dtype
        outputs[name] = target.create_array(
            name,
            shape=(scene.size, scene.size),
            chunks=(scene.chunk, scene.chunk),
            dtype=dtype,
            fill_value=unused(job.workload, name) if dtype.kind != "f" else 0,
            dimension_names=("y", "x"),
        )

    def solve(block: tuple[slice, slice]) -> None:
        mosaic = _rio_tiler_block(job.workload, bands, block)
        for name, values in zip(outputs, mosaic, strict=True):
            outputs[name][block] = values.astype(outputs[name].dtype)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(solve, (block for _, block in blocks(scene.size, scene.chunk))))


def _rio_tiler_block(workload: Workload, bands: dict[str, Any], block: Any) -> Any:
    from rio_tiler.mosaic.methods.defaults import LastBandHighMethod

    method = LastBandHighMethod()
    dtype = "float32" if workload.quality == "ndvi" else "int32"
    for t in range(workload.scene.images):
        read = {name: band[(t, *block)] for name, band in bands.items()}
        quality = plain_score(workload, read)
        array = np.stack([*read.values(), quality], dtype=dtype, casting="unsafe")
        missing = np.isnan(quality) if dtype == "float32" else np.zeros(quality.shape, bool)
        if workload.scene.footprint:
            missing = read["cloud"] == CLOUD_NODATA
        mask = np.broadcast_to(missing, array.shape).copy()
        method.feed(np.ma.MaskedArray(array, mask))
    # `data` leaves the deciding band out; the mosaic is to have it
    return method.mosaic.data


def eager(job: Job) -> None:
    """Compute the index of the best image, then select by it."""
    collection = with_quality(open_collection(job), job.workload)
    index = collection["quality"].argmax("time").compute()
    chunk = job.workload.scene.chunk
    mosaic = collection.isel(time=index).drop_vars("time")
    write(mosaic.chunk(y=chunk, x=chunk), job)


def whole_series(route: Callable[[Job], None]) -> Callable[[Job], None]:
    """Open all images of a block as one chunk, for a route that needs them all at the same time."""
    return lambda job: route(replace(job, whole_series=True))


def with_zarrs(route: Callable[[Job], None]) -> Callable[[Job], None]:
    """Have chunks decoded and encoded in Rust, those of a whole series in parallel."""

    def run(job: Job) -> None:
        import zarr

        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
        whole_series(route)(job)

    return run


def read_once(job: Job) -> None:
    """Read everything once and make nothing of it: the floor of every route that reads it all."""
    import dask

    dask.compute(open_collection(job).max())


_ALL = (
    Route("qmosaic", qmosaic, "subject", OURS),
    Route("qmosaic-bound", qmosaic_bound, "info", OURS, cannot=_no_bound),
    Route("apply_ufunc", apply_ufunc, "peer", XARRAY),
    Route("odc-algo", odc_algo, "peer", (*XARRAY, "odc.algo")),
    Route("stackstac", stackstac, "peer", (*XARRAY, "stackstac")),
    Route("satpy", satpy, "peer", (*XARRAY, "satpy", "satpy.multiscene"), cannot=_satpy_cannot),
    Route("rio-tiler", rio_tiler, "peer", ("zarr", "rio_tiler", "rio_tiler.mosaic.methods")),
    Route("eager", eager, "peer", XARRAY),
    Route("apply_ufunc+whole", whole_series(apply_ufunc), "peer", XARRAY),
    Route("stackstac+whole", whole_series(stackstac), "peer", (*XARRAY, "stackstac")),
    Route("apply_ufunc+zarrs", with_zarrs(apply_ufunc), "peer", (*XARRAY, "zarrs")),
    Route("stackstac+zarrs", with_zarrs(stackstac), "peer", (*XARRAY, "stackstac", "zarrs")),
    Route("bare-loop", bare.run, "info", ("numpy", "tensorstore")),
    Route("read-once", read_once, "info", XARRAY, written=False),
    Route(
        "limit",
        limit.run,
        "info",
        ("numcodecs", "numcodecs.blosc"),
        written=False,
        prepare=limit.prepare,
    ),
)

ROUTES = {route.name: route for route in _ALL}
