"""From GeoTIFFs to a collection, step by step: one file an image, or one file an image and band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from qmosaic.optional import needed
from qmosaic.sources.final_checks import finish, settled
from qmosaic.sources.geotiff.common_grid import common_grid, touching
from qmosaic.sources.geotiff.files import File, Image
from qmosaic.sources.geotiff.grids import check_grids, chunks_of, settled_on, warn_of_images_outside
from qmosaic.sources.geotiff.images import find_images
from qmosaic.sources.geotiff.nodata import settle_nodata
from qmosaic.sources.geotiff.pixels import Reader, with_metadata
from qmosaic.sources.geotiff.times import Time
from qmosaic.sources.grids import (
    check_alone,
    check_dimensions_of_chunks,
    check_number_of_chunks,
    sizes_of_chunks,
)
from qmosaic.sources.joining import join_images
from qmosaic.sources.request import (
    DIM,
    NoTimeError,
    Request,
    check_known,
    check_options,
    check_resampling,
)

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


OTHERWISE = (
    "Open the files of each kind on their own; or, if what they declare is wrong, write "
    "packing={'name of the band': {'scale': ..., 'offset': ...}}, or a function of the path that "
    "gives such a mapping."
)
"""What to write where files cannot be brought to one packing."""

ALLOWED = (
    "lock",
    "cache",
    "overview_level",
    "sharing",
    *(DECODING := ("mask_and_scale", "masked")),
)
"""What `rioxarray.open_rasterio` and `rasterio.open` can do beside what is said otherwise."""


def open_geotiffs(
    paths: Sequence[str],
    request: Request,
    *,
    time: Time = None,
    pattern: str | None = None,
    crs: Any = None,
    resolution: Any = None,
    bbox: Sequence[float] | None = None,
    geobox: GeoBox | None = None,
    resampling: str | Mapping[str, str] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open files as a collection, in the order of their times; equal times in that of their names.

    Parameters
    ----------
    paths : sequence of str
        Paths or URLs.
    request : Request
        Bands, chunks, nodata, missing bands.
    time : str or callable, optional
        The tag with the time, or a function of the path that gives it.
    pattern : str, optional
        A regular expression with groups ``time``, ``band`` and ``id``, looked for in the path.
    crs, resolution, bbox : optional
        What is known of the grid that holds all images; with any of them it is made, and "nearest"
        is the default of `resampling`.
    geobox : odc GeoBox, optional
        The grid; by default that of the first image, of its finest band.
    resampling : str or mapping, optional
        How files on other grids are brought onto it, for all bands or by band.
    **options
        For ``rioxarray.open_rasterio``.
    """
    needed("rioxarray", "geotiff", "GeoTIFFs")
    for name in DECODING:
        if options.get(name):
            raise TypeError(
                f"{name}= would turn integers into floats, and their nodata would mean another "
                "value. Open the integers as they are, and decode them afterwards: "
                "xarray.decode_cf(collection)."
            )
    check_options(options, ALLOWED, "rioxarray as it is used here")
    if geobox is not None:
        check_alone(crs, resolution, bbox)
    try:
        images, timed = find_images(paths, pattern, time, request.bands), True
    except NoTimeError:
        if not request.single:
            raise
        images, timed = find_images(paths, pattern, _of_any_time, request.bands), False
        if len(images) > 1:
            raise
    known = list(dict.fromkeys(name for image in images for name in image.bands))
    check_known(request.bands, known, "the files have")
    wanted = list(request.bands or known)
    request.check_nodata(wanted, "the files have")
    request.packing.check_bands(wanted, "the files have")
    check_resampling(resampling, wanted)
    images = [_only(image, wanted) for image in images]
    if bbox is not None:
        images = touching(images, bbox)
    files = [file for image in images for file in image.files]
    first = min(_files_of_first(images), key=lambda file: abs(file.grid.resolution.x))
    grid = first.grid if geobox is None else geobox
    if crs is not None or resolution is not None or bbox is not None:
        grid = common_grid(files, crs, resolution, bbox)
        resampling = _nearest_by_default(resampling)
    files = [settled_on(file, grid) for file in files]
    images = [
        replace(image, files=tuple(settled_on(f, grid) for f in image.files)) for image in images
    ]
    check_grids(files, first, grid, resampling, wanted)
    warn_of_images_outside(images, grid)
    nodata = {name: settle_nodata(images, name, grid, request) for name in wanted}
    check_dimensions_of_chunks(request, (DIM, "y", "x"))  # so called in degrees, too
    chunks = sizes_of_chunks(request, chunks_of(first, grid))
    check_number_of_chunks(grid, chunks)
    # without a lock every read opens its file anew, and threads need not wait for each other
    options = {"lock": False, **options, "chunks": {"band": 1, **chunks}}
    reader = Reader(grid, nodata, request, resampling, options)
    opened = {place: reader.image(image) for place, image in enumerate(images) if image.files}
    bare = next(iter(opened.values()))
    bare = bare.drop_vars(list(bare.data_vars))
    parts = [
        opened[place] if place in opened else with_metadata(bare, image)
        for place, image in enumerate(images)
    ]
    names = [f"the image {image.name!r}" for image in images]
    asked = replace(request, nodata=nodata)
    joined = join_images(parts, names, asked, lambda _: str(grid), OTHERWISE)
    if len(paths) == 1:
        joined.encoding = {"source": paths[0]}
    collection = finish(joined, settled(request, joined), f"the files from {paths[0]!r} on")
    return collection if timed else collection.drop_vars(DIM)


def _of_any_time(path: str) -> str:
    """Give files of which nothing tells the time one for all: what it is does not matter."""
    return "1970-01-01"


def _only(image: Image, wanted: Sequence[str]) -> Image:
    """Leave the files with wanted bands; the image stays, though it may have none."""
    return replace(image, files=tuple(f for f in image.files if set(f.bands) & set(wanted)))


def _nearest_by_default(resampling: str | Mapping[str, str] | None) -> str | Mapping[str, str]:
    """Let bands for which nothing is said keep values that they have."""
    if isinstance(resampling, Mapping):
        return {"*": "nearest", **resampling}
    return resampling or "nearest"


def _files_of_first(images: Sequence[Image]) -> tuple[File, ...]:
    """Give the files of the first image that has any."""
    return next(image.files for image in images if image.files)
