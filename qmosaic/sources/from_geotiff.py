"""Collections from GeoTIFFs: one file an image, or one file an image and band."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from qmosaic.collection.geometry import (
    FOOTPRINT,
    LON_LAT,
    everywhere,
    footprints,
    in_words,
    projected,
)
from qmosaic.collection.masks import free_value
from qmosaic.optional import needed
from qmosaic.sources.assembly import (
    DIM,
    SAME_PLACE,
    TILE,
    Request,
    check_dimensions_of_chunks,
    check_fits,
    check_known,
    check_number_of_chunks,
    check_options,
    check_resampling,
    declare,
    finish,
    join_images,
    settled,
    sizes_of_chunks,
)
from qmosaic.sources.geotiff_files import File, Image, Time, find_images, listing_nothing
from qmosaic.sources.packing import NONE, Packing, declared
from qmosaic.sources.sentinel_2 import packing_of_original
from qmosaic.sources.warping import how_to_warp

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def open_geotiffs(
    paths: Sequence[str],
    request: Request,
    *,
    time: Time = None,
    pattern: str | None = None,
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
    images = find_images(paths, pattern, time, request.bands)
    known = list(dict.fromkeys(name for image in images for name in image.bands))
    check_known(request.bands, known, "the files have")
    wanted = list(request.bands or known)
    request.check_nodata(wanted, "the files have")
    request.packing.check_bands(wanted, "the files have")
    check_resampling(resampling, wanted)
    images = [_only(image, wanted) for image in images]
    files = [file for image in images for file in image.files]
    first = min(files_of_first(images), key=lambda file: abs(file.grid.resolution.x))
    grid = first.grid if geobox is None else geobox
    files = [_settled_on(file, grid) for file in files]
    images = [
        replace(image, files=tuple(_settled_on(f, grid) for f in image.files)) for image in images
    ]
    _check_grids(files, first, grid, resampling, wanted)
    _warn_of_images_outside(images, grid)
    nodata = {name: _nodata(images, name, grid, request) for name in wanted}
    check_dimensions_of_chunks(request, (DIM, "y", "x"))  # so called in degrees, too
    chunks = sizes_of_chunks(request, _chunks(first, grid))
    check_number_of_chunks(grid, chunks)
    # without a lock every read opens its file anew, and threads need not wait for each other
    options = {"lock": False, **options, "chunks": {"band": 1, **chunks}}
    reader = _Reader(grid, nodata, request, resampling, options)
    opened = {place: reader.image(image) for place, image in enumerate(images) if image.files}
    bare = next(iter(opened.values()))
    bare = bare.drop_vars(list(bare.data_vars))
    parts = [
        opened[place] if place in opened else _with_metadata(bare, image)
        for place, image in enumerate(images)
    ]
    names = [f"the image {image.name!r}" for image in images]
    asked = replace(request, nodata=nodata)
    joined = join_images(parts, names, asked, lambda _: str(grid), OTHERWISE)
    if len(paths) == 1:
        joined.encoding = {"source": paths[0]}
    return finish(joined, settled(request, joined), f"the files from {paths[0]!r} on")


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


def _only(image: Image, wanted: Sequence[str]) -> Image:
    """Leave the files with wanted bands; the image stays, though it may have none."""
    return replace(image, files=tuple(f for f in image.files if set(f.bands) & set(wanted)))


def files_of_first(images: Sequence[Image]) -> tuple[File, ...]:
    """Give the files of the first image that has any."""
    return next(image.files for image in images if image.files)


# ---------------------------------------------------------------------------------------------
# Grids and nodata
# ---------------------------------------------------------------------------------------------


def _check_grids(
    files: Sequence[File], first: File, grid: GeoBox, resampling: Any, wanted: Sequence[str]
) -> None:
    """Refuse files on other grids, unless it is said how they are brought onto one."""
    if not grid.axis_aligned:
        raise ValueError(
            f"{first.path!r} lies askew to its CRS, so its rows and columns have no y and x of "
            "their own. Give a grid that does not, geobox=..., and say how the files are brought "
            "onto it, resampling='nearest'."
        )
    for file in files:
        said = resampling is not None and (
            not isinstance(resampling, Mapping)
            or "*" in resampling
            or set(file.bands) & set(wanted) <= set(resampling)
        )
        if file.grid == grid or said:
            continue
        raise ValueError(
            f"{file.path!r} is on another grid ({in_words(file.grid)}) than "
            + (f"{first.path!r}" if first.grid == grid else "geobox=")
            + f" ({in_words(grid)}). To have all files brought onto the latter, say how: "
            "resampling='nearest' (classes, masks), 'bilinear', 'cubic', 'average', or by band "
            "{'SCL': 'nearest', '*': 'bilinear'}; for another grid add geobox=..."
        )


def _settled_on(file: File, grid: GeoBox) -> File:
    """Let a file lie exactly on a grid from which rounding alone has moved it."""
    apart = file.grid.crs != grid.crs or file.grid.shape != grid.shape
    if apart or file.grid == grid:
        return file
    height, width = grid.shape
    corners = ((0, 0), (width, height))
    moved = [~grid.transform * (file.grid.transform * corner) for corner in corners]
    return replace(file, grid=grid) if np.allclose(moved, corners, atol=SAME_PLACE) else file


def _warn_of_images_outside(images: Sequence[Image], grid: GeoBox) -> None:
    """Say that images lie where the grid does not reach: all of their pixels are masked."""
    region = everywhere(projected(grid.extent, LON_LAT))
    outside = [
        image
        for image in images
        if image.files and not projected(_hull(image), LON_LAT).intersects(region)
    ]
    if outside:
        warnings.warn(
            f"{len(outside)} of {len(images)} images, {outside[0].name!r} first, lie outside the "
            f"grid of the collection ({in_words(grid)}): nothing of them will be seen. For a grid "
            "that holds all of them give geobox=...",
            UserWarning,
            stacklevel=4,
        )


def _nodata(images: Sequence[Image], name: str, grid: GeoBox, request: Request) -> Any:
    """Settle the nodata of a band for all files: the user's, the one that all of them declare, or
    a free value where files do not cover the grid."""
    own = [image.bands[name] for image in images if name in image.bands]
    first, number = own[0]
    dtype = np.dtype(first.dtypes[number])
    for file, i in own:
        if not request.overrides(name) and not _same(
            _masking(file.nodata[i], dtype), _masking(first.nodata[number], dtype)
        ):
            raise ValueError(
                f"band {name!r} declares nodata {first.nodata[number]} in {first.path!r} and "
                f"{file.nodata[i]} in {file.path!r}; a collection has one for all. Say which "
                f"holds: nodata={{{name!r}: ...}}, or None if every value is data."
            )
    given = request.overrides(name)
    value = request.nodata_of(name) if given else first.nodata[number]
    check_fits(value, name, dtype, "" if given else f"the file {first.path!r}")
    warped = any(file.grid != grid for file, _ in own)
    return free_value(dtype) if value is None and warped else value


def _chunks(file: File, grid: GeoBox) -> dict[str, int]:
    """Read whole tiles of a file, several where they are small; strips in full width."""
    height, width = grid.shape
    down, across = file.tile
    if across >= width:
        rows = max(1, TILE * TILE // (width * down)) * down
        return {"y": min(height, rows), "x": width}
    return {
        "y": min(height, max(1, TILE // down) * down),
        "x": min(width, max(1, TILE // across) * across),
    }


# ---------------------------------------------------------------------------------------------
# Pixels
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reader:
    """How the files of a collection are opened.

    Attributes
    ----------
    grid : odc GeoBox
        The grid of the collection.
    nodata : mapping
        The nodata of each band of the collection; None where it has none.
    request : Request
        Tells which of them replaces what the files declare.
    resampling : str or mapping, optional
        By band.
    options : mapping
        For rioxarray.
    """

    grid: GeoBox
    nodata: Mapping[str, Any]
    request: Request
    resampling: str | Mapping[str, str] | None
    options: Mapping[str, Any]

    def image(self, image: Image) -> xr.Dataset:
        """Open the wanted bands of an image lazily, with its metadata."""
        opened: dict[Any, xr.DataArray] = {}
        bands = {}
        packing = {file.path: self._packing_of(file) for file in image.files}
        for name, (file, number) in image.bands.items():
            if name in self.nodata:
                how = self._warp(file, name, number)
                key = file.path, None if how is None else tuple(map(str, how.values()))
                if key not in opened:
                    opened[key] = self._open(file, how)
                band = opened[key].isel(band=number, drop=True)
                own = packing[file.path](name, _packing(file, number))
                bands[name] = _plain(band, self.nodata[name], own or NONE)
        return _with_metadata(xr.Dataset(bands).expand_dims({DIM: [image.time]}), image)

    def _packing_of(self, file: File) -> Callable[[str, Packing], Packing | None]:
        """Ask the user what the integers of a file mean."""
        return self.request.packing.of(file.path, repr(file.path), list(self.nodata))

    def _warp(self, file: File, name: str, number: int) -> dict[str, Any] | None:
        """Say how a band has to be brought onto the grid; None if it is there already."""
        if file.grid == self.grid:
            return None
        own = self.request.nodata_of(name) if self.request.overrides(name) else file.nodata[number]
        method = self.resampling
        if isinstance(method, Mapping):
            method = method.get(name, method.get("*"))
        return {"src_nodata": own, "nodata": self.nodata[name], "resampling": method}

    def _open(self, file: File, warp: dict[str, Any] | None) -> xr.DataArray:
        rioxarray = needed("rioxarray", "geotiff", "GeoTIFFs")
        rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
        if warp is None:
            with listing_nothing(file.path), _packing_by_band():
                opened: xr.DataArray = rioxarray.open_rasterio(file.path, **self.options)
            return opened
        warp["resampling"] = _method(warp["resampling"])
        place = {
            "crs": str(self.grid.crs),
            "transform": self.grid.transform,
            "width": self.grid.shape.x,
            "height": self.grid.shape.y,
            **how_to_warp(file.grid, self.grid),
        }
        virtual = needed("rasterio.vrt", "geotiff", "GeoTIFFs").WarpedVRT
        quiet = listing_nothing(file.path)
        with (
            quiet,
            _packing_by_band(),
            rasterio.open(file.path) as source,
            virtual(source, **place, **warp) as warped,
        ):
            opened = rioxarray.open_rasterio(warped, **self.options)
        return opened


@contextmanager
def _packing_by_band() -> Iterator[None]:
    """Keep rioxarray from warning that it leaves out what is taken from the header."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(Scales|Offsets) differ across bands", UserWarning)
        yield


def _with_metadata(images: xr.Dataset, image: Image) -> xr.Dataset:
    about = {"long_name": "outline of the image, WKT", "crs": "EPSG:4326"}
    return images.assign_coords(
        {
            DIM: [image.time],
            "id": (DIM, np.array([image.name], dtype=object)),
            FOOTPRINT: (DIM, footprints([_hull(image)]), about),
        }
    )


def _masking(nodata: Any, dtype: np.dtype[Any]) -> Any:
    """Give what is masked: NaN always is in floats, declared or not."""
    return np.nan if nodata is None and dtype.kind == "f" else nodata


def _same(a: Any, b: Any) -> bool:
    return a is b or (b is not None and (a == b or (a != a and b != b)))


def _method(name: str) -> Any:
    return needed("rasterio.enums", "geotiff", "GeoTIFFs").Resampling[name]


def _hull(image: Image) -> Any:
    """Give the outline of what the files of an image cover together."""
    outline = None
    for file in image.files:
        own = file.grid.extent
        if outline is None:
            outline = own
        elif own.crs == outline.crs and not outline.contains(own):
            outline = outline | own
    return outline


def _packing(file: File, number: int) -> Packing:
    """Tell what the integers of a band mean: as the header says, else as a product is made."""
    said = Packing(*file.packing[number])
    of_product = packing_of_original(file.path) if len(file.bands) == 1 else None
    return of_product if said == NONE and of_product is not None else said


def _plain(band: xr.DataArray, nodata: Any, packing: Packing) -> xr.DataArray:
    """Leave of the attributes what is true of the band as it lies in memory."""
    band = declare(band.drop_vars("band", errors="ignore"), nodata)
    of_file = {"AREA_OR_POINT", "long_name", "scales", "offsets"}
    band.attrs = {
        k: v
        for k, v in band.attrs.items()
        if k not in of_file and not k.startswith(("TIFFTAG_", "STATISTICS_"))
    }
    return declared(band, packing)
