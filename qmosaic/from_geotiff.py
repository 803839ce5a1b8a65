"""Collections from GeoTIFFs: one file an image, or one file an image and band."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.assembly import (
    DIM,
    TILE,
    Request,
    check_fits,
    check_known,
    check_unique,
    declare,
    finish,
    free_value,
    join_images,
    merge_parts,
    settled,
)
from qmosaic.geometry import FOOTPRINT, footprints
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Time = str | Callable[[str], Any] | None

HEADERS_AT_ONCE = 16
"""How many headers are read at the same time; over HTTP each of them waits for an answer."""

ACQUIRED = ("ACQUISITIONDATETIME", "acquisition_datetime", "datetime", "time")
"""Tags that tell when an image was taken. TIFF's own DateTime often is when a file was written: it
is asked last."""


@dataclass(frozen=True)
class _File:
    """What the header of a file says.

    Attributes
    ----------
    path : str
        Where it is.
    name : str
        Its path without what all files have in common.
    grid : odc GeoBox
        CRS, transform and shape.
    bands : tuple of str
        The name of each band.
    dtypes, nodata : tuple
        Of each band.
    tile : (int, int)
        The size of a block in the file, down and across.
    tags : dict
        Its tags.
    time : numpy.datetime64, optional
        When the image was taken.
    image : str
        What the files of one image have in common.
    """

    path: str
    name: str
    grid: GeoBox
    bands: tuple[str, ...]
    dtypes: tuple[str, ...]
    nodata: tuple[Any, ...]
    tile: tuple[int, int]
    tags: Mapping[str, str]
    time: Any = None
    image: str = ""


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
        The grid; that of the first image by default.
    resampling : str or mapping, optional
        How files on other grids are brought onto it, for all bands or by band.
    **options
        For ``rioxarray.open_rasterio``.
    """
    needed("rioxarray", "geotiff", "GeoTIFFs")
    files = _read_headers(paths)
    files = [_placed(file, _compiled(pattern), time) for file in files]
    files.sort(key=lambda file: (file.time, file.name))
    _check_ambiguous(files, pattern)
    known = list(dict.fromkeys(name for file in files for name in file.bands))
    check_known(request.bands, known, "the files have")
    wanted = [name for name in known if request.bands is None or name in request.bands]
    grid = geobox if geobox is not None else files[0].grid
    _check_resampling(files, grid, resampling)
    nodata = {name: _nodata(files, name, grid, request) for name in wanted}
    chunks = dict(request.chunks or _chunks(files[0], grid))
    # without a lock every read opens its file anew, and threads need not wait for each other
    options = {"lock": False, **options, "chunks": {"band": 1, **chunks}}
    reader = _Reader(grid, nodata, request, resampling, options)
    parts = _merge_images(files, [reader.image(file) for file in files], bool(pattern))
    names = [repr(str(part["id"].values[0])) for part in parts]
    one = replace(request, nodata=nodata)
    joined = join_images(parts, names, one, lambda place: str(dict(parts[place].sizes)))
    joined.encoding = {"source": paths[0]}
    return finish(joined, settled(request, joined), f"the files from {paths[0]!r} on")


def _merge_images(
    files: Sequence[_File], parts: Sequence[xr.Dataset], named: bool
) -> list[xr.Dataset]:
    """Join the files of an image: those with one name, or one time and other bands."""
    if not named:
        return merge_parts(parts)
    images: dict[Any, list[xr.Dataset]] = {}
    for file, part in zip(files, parts, strict=True):
        images.setdefault((file.time, file.image), []).append(part)
    return [merge_parts(of_one)[0] for of_one in images.values()]


# ---------------------------------------------------------------------------------------------
# Headers, times, names
# ---------------------------------------------------------------------------------------------


def _read_headers(paths: Sequence[str]) -> list[_File]:
    shared = os.path.commonpath([str(PurePosixPath(p).parent) for p in paths]) if paths else ""
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        return list(pool.map(lambda path: _header(path, shared), paths))


def _header(path: str, shared: str) -> _File:
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    grids = needed("odc.geo.converters", "geotiff", "GeoTIFFs")
    try:
        with rasterio.open(path) as file:
            if file.crs is None:
                raise ValueError(
                    f"the file {path!r} has no CRS, so its pixels have no place. Give it one, for "
                    "instance with gdal_edit.py -a_srs EPSG:32633."
                )
            names = tuple(
                text or f"band_{number}" for number, text in enumerate(file.descriptions, start=1)
            )
            check_unique(names, f"the file {path!r} has")
            return _File(
                path,
                str(PurePosixPath(path).relative_to(shared)) if shared else path,
                grids.rio_geobox(file),
                names,
                tuple(file.dtypes),
                tuple(file.nodatavals),
                file.block_shapes[0],
                {**file.tags(ns="IMAGERY"), **file.tags()},
            )
    except rasterio.errors.RasterioIOError as error:
        missing = "://" not in path and not Path(path).exists()
        kind = FileNotFoundError if missing else ValueError
        raise kind(
            f"{path!r} cannot be opened as a GeoTIFF ({error}). Check the path, or say what it is "
            "with format=..."
        ) from error


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern={pattern!r} is no regular expression ({error}).") from error
    if not set(compiled.groupindex) & {"time", "band", "id"}:
        raise ValueError(
            f"pattern={pattern!r} has no group named time, band or id, so it tells nothing. Write, "
            r"for instance, pattern=r'_(?P<time>\d{8})_(?P<band>B\w+)\.tif'."
        )
    return compiled


def _placed(file: _File, pattern: re.Pattern[str] | None, time: Time) -> _File:
    """Find out from the header and the name of a file which image and band it is."""
    found = None
    if pattern is not None:
        found = pattern.search(file.name) or pattern.search(file.path)
        if found is None:
            raise ValueError(
                f"pattern={pattern.pattern!r} does not match {file.name!r}. Correct it, or leave "
                "that file out of the list."
            )
    groups = found.groupdict() if found else {}
    bands, image = file.bands, file.name
    if found and groups.get("band"):
        name = groups["band"]
        bands = (name,) if len(bands) == 1 else tuple(f"{name}_{i + 1}" for i in range(len(bands)))
        image = found.string[: found.start("band")] + found.string[found.end("band") :]
    moment = _time_of(file, groups.get("time"), time)
    image = groups.get("id") or re.sub(r"\.[A-Za-z]\w*$", "", image).rstrip("_-./")
    return replace(file, bands=bands, image=image, time=moment)


_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"
    r"(?:[T_-]?([01]\d|2[0-3])[:-]?([0-5]\d)[:-]?([0-5]\d))?(?!\d)"
)


def _time_of(file: _File, in_name: str | None, time: Time) -> Any:
    if callable(time):
        return _moment(time(file.path), f"time= gave for {file.path!r}")
    if time is not None:
        if time not in file.tags:
            raise ValueError(
                f"the file {file.path!r} has no tag {time!r}; its tags are "
                f"{', '.join(sorted(file.tags)) or 'none'}."
            )
        return _moment(file.tags[time], f"the tag {time!r} of {file.path!r} says")
    if in_name:
        return _moment(in_name, f"the name {file.name!r} says")
    for tag in ACQUIRED:
        if tag in file.tags:
            return _moment(file.tags[tag], f"the tag {tag!r} of {file.path!r} says")
    found = _DATE.search(PurePosixPath(file.name).name) or _DATE.search(file.name)
    if found:
        return _moment(found.group(), f"the name {file.name!r} says")
    if "TIFFTAG_DATETIME" in file.tags:
        stamp = file.tags["TIFFTAG_DATETIME"]
        return _moment(stamp, f"the tag 'TIFFTAG_DATETIME' of {file.path!r} says")
    raise ValueError(
        f"nothing tells when the image {file.path!r} was taken: no tag {', '.join(ACQUIRED)} or "
        "TIFFTAG_DATETIME, and no date in its name. Write time='NAME OF A TAG', "
        r"pattern=r'(?P<time>\d{8})', or time=lambda path: '2020-07-01'."
    )


def _moment(given: Any, where: str) -> np.datetime64:
    """Understand a time in one of the forms in which files tell it; UTC."""
    text = str(given).strip() if isinstance(given, str) else given
    try:
        if isinstance(text, str):
            date = _DATE.fullmatch(text)
            if date:
                year, month, day, *clock = date.groups()
                text = f"{year}-{month}-{day}" + (f"T{':'.join(clock)}" if clock[0] else "")
            text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text)  # as TIFF writes dates
        moment = pd.Timestamp(text)
        if moment.tzinfo is not None:
            moment = moment.tz_convert("UTC").tz_localize(None)
        if moment is pd.NaT:
            raise ValueError("not a time")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{where} {given!r}, which is no time. Write time=lambda path: ... with a function "
            "that gives a text such as '2020-07-01', or a datetime."
        ) from error
    return np.datetime64(moment.to_datetime64(), "ns")


def _check_ambiguous(files: Sequence[_File], pattern: str | None) -> None:
    """Refuse to guess whether files of one moment are images or the bands of an image."""
    seen: dict[Any, _File] = {}
    for file in files:
        key = (file.time, file.image if pattern else None, file.bands)
        other = seen.setdefault(key, file)
        if other is file:
            continue
        if pattern:
            raise ValueError(
                f"{other.path!r} and {file.path!r} are both band {file.bands[0]!r} of one image "
                f"({other.image!r}), as pattern= says. Give it a group (?P<id>...) that tells the "
                "images apart, or leave one file out."
            )
        if all(name.startswith("band_") for name in file.bands):
            raise ValueError(
                f"{other.path!r} and {file.path!r} are of the same time ({file.time}) and their "
                "bands have no names: they may be two bands of one image, or two images. Say which "
                r"part of the path is the band, pattern=r'_(?P<band>B\d+)\.tif', or what tells the "
                "images apart, pattern=r'(?P<id>T\\d\\d\\w+)_'."
            )


# ---------------------------------------------------------------------------------------------
# Grids and nodata
# ---------------------------------------------------------------------------------------------


def _check_resampling(files: Sequence[_File], grid: GeoBox, resampling: Any) -> None:
    other = next((file for file in files if file.grid != grid), None)
    if other is None or resampling is not None:
        return
    raise ValueError(
        f"{other.path!r} is on another grid ({_in_words(other.grid)}) than "
        + (f"{files[0].path!r}" if files[0].grid == grid else "geobox=")
        + f" ({_in_words(grid)}). To have all files brought onto the latter, say how: "
        "resampling='nearest' (classes, masks), 'bilinear', 'cubic', 'average', or by band "
        "{'SCL': 'nearest', '*': 'bilinear'}; for another grid add geobox=..."
    )


def _in_words(grid: GeoBox) -> str:
    left, bottom, right, top = grid.boundingbox.bbox
    height, width = grid.shape
    code = None if grid.crs is None else grid.crs.to_epsg()
    name = f"EPSG:{code}" if code else str(grid.crs)
    return (
        f"{name}, {height} × {width} pixels of {abs(grid.resolution.x):g}, "
        f"({left:g}, {bottom:g}) to ({right:g}, {top:g})"
    )


def _nodata(files: Sequence[_File], name: str, grid: GeoBox, request: Request) -> Any:
    """Settle the nodata of a band for all files: the user's, the first that a file declares, or
    a free value where files do not cover the grid."""
    own = [(f, f.bands.index(name)) for f in files if name in f.bands]
    dtype = np.dtype(own[0][0].dtypes[own[0][1]])
    if request.overrides(name):
        value = request.nodata_of(name)
        check_fits(value, name, dtype)
    else:
        value = next((f.nodata[i] for f, i in own if f.nodata[i] is not None), None)
    warped = any(file.grid != grid for file, _ in own)
    return free_value(dtype) if value is None and warped else value


def _chunks(file: _File, grid: GeoBox) -> dict[str, int]:
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

    def image(self, file: _File) -> xr.Dataset:
        """Open the wanted bands of a file lazily, as an image with its metadata."""
        opened: dict[Any, xr.DataArray] = {}
        bands = {}
        for number, name in enumerate(file.bands):
            if name in self.nodata:
                how = self._warp(file, number)
                key = None if how is None else tuple(map(str, how.values()))
                if key not in opened:
                    opened[key] = self._open(file, how)
                bands[name] = _plain(opened[key].isel(band=number, drop=True), self.nodata[name])
        outline = footprints([file.grid.extent])
        about = {"long_name": "outline of the image, WKT", "crs": "EPSG:4326"}
        return (
            xr.Dataset(bands)
            .expand_dims({DIM: [file.time]})
            .assign_coords(
                {
                    "id": (DIM, np.array([file.image], dtype=object)),
                    FOOTPRINT: (DIM, outline, about),
                }
            )
        )

    def _warp(self, file: _File, number: int) -> dict[str, Any] | None:
        """Say how a band has to be brought onto the grid; None if it is there already."""
        name = file.bands[number]
        nodata = self.nodata[name]
        own = self.request.nodata_of(name) if self.request.overrides(name) else file.nodata[number]
        remapped = own is not None and not _same(own, nodata)
        if file.grid == self.grid and not remapped:
            return None
        method = self.resampling
        if isinstance(method, Mapping):
            method = method.get(name, method.get("*"))
        return {"src_nodata": own, "nodata": nodata, "resampling": method or "nearest"}

    def _open(self, file: _File, warp: dict[str, Any] | None) -> xr.DataArray:
        rioxarray = needed("rioxarray", "geotiff", "GeoTIFFs")
        rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
        if warp is None:
            opened: xr.DataArray = rioxarray.open_rasterio(file.path, **self.options)
            return opened
        warp["resampling"] = _method(warp["resampling"])
        place = {
            "crs": str(self.grid.crs),
            "transform": self.grid.transform,
            "width": self.grid.shape.x,
            "height": self.grid.shape.y,
        }
        virtual = needed("rasterio.vrt", "geotiff", "GeoTIFFs").WarpedVRT
        with rasterio.open(file.path) as source, virtual(source, **place, **warp) as warped:
            opened = rioxarray.open_rasterio(warped, **self.options)
        return opened


def _same(a: Any, b: Any) -> bool:
    return a is b or (b is not None and (a == b or (a != a and b != b)))


def _method(name: str) -> Any:
    methods = needed("rasterio.enums", "geotiff", "GeoTIFFs").Resampling
    if name not in methods.__members__:
        raise ValueError(
            f"resampling={name!r} is not known; it takes {', '.join(methods.__members__)}."
        )
    return methods[name]


def _plain(band: xr.DataArray, nodata: Any) -> xr.DataArray:
    """Leave of the attributes what is true of the band as it lies in memory."""
    band = declare(band.drop_vars("band", errors="ignore"), nodata)
    unscaled = band.attrs.get("scale_factor", 1) == 1 and band.attrs.get("add_offset", 0) == 0
    of_file = {"scale_factor", "add_offset"} if unscaled else set()
    shared = {"AREA_OR_POINT", "long_name", *of_file}
    band.attrs = {
        k: v
        for k, v in band.attrs.items()
        if k not in shared and not k.startswith(("TIFFTAG_", "STATISTICS_"))
    }
    return band
