"""What the headers and names of GeoTIFFs say: times, bands, and which files make an image."""

from __future__ import annotations

import datetime
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.assembly import HEADERS_AT_ONCE, check_unique
from qmosaic.moments import moment
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Time = str | Callable[[str], Any] | None

ACQUIRED = ("ACQUISITIONDATETIME", "acquisition_datetime", "datetime")
"""Tags that tell when an image was taken. TIFF's own DateTime often is when a file was written: it
is asked last."""


@dataclass(frozen=True)
class File:
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
    dtypes, nodata, packing : tuple
        Of each band; packing is (scale, offset).
    tile : (int, int)
        The size of a block in the file, down and across.
    tags : dict
        Its tags.
    masked : bool
        Whether it has a mask or an alpha band.
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
    packing: tuple[tuple[float, float], ...]
    tile: tuple[int, int]
    tags: Mapping[str, str]
    masked: bool
    time: Any = None
    image: str = ""


@dataclass(frozen=True)
class Image:
    """The files of an image; all of one time, each band in one of them."""

    time: Any
    name: str
    files: tuple[File, ...]

    @property
    def bands(self) -> dict[str, tuple[File, int]]:
        """Where each band is: the file, and its number there."""
        return {name: (f, i) for f in self.files for i, name in enumerate(f.bands)}


def find_images(paths: Sequence[str], pattern: str | None, time: Time) -> list[Image]:
    """Sort files into images, in the order of their times, then their names.

    With a pattern the files of an image have one name, but for the band; without, one time and
    different bands.
    """
    compiled = _compiled(pattern)
    files = [_placed(file, compiled, time) for file in _read_headers(paths)]
    files.sort(key=lambda file: (file.time, file.name))
    _warn_of_masks(files)
    images: list[Image] = []
    for file in files:
        _add(images, file, named=compiled is not None)
    return images


def _add(images: list[Image], file: File, named: bool) -> None:
    """Put a file to its image, or begin one."""
    for place, image in enumerate(images):
        if image.time != file.time or (named and image.name != file.image):
            continue
        twice = [name for name in file.bands if name in image.bands]
        if not twice:
            images[place] = replace(image, files=(*image.files, file))
            return
        other = image.bands[twice[0]][0]
        if named:
            raise ValueError(
                f"{other.path!r} and {file.path!r} are both band {twice[0]!r} of one image "
                f"({image.name!r}), as pattern= says. Give it a group (?P<id>...) that tells the "
                "images apart, or leave one file out."
            )
        if all(name.startswith("band_") for name in twice):
            raise ValueError(
                f"{other.path!r} and {file.path!r} are of the same time ({file.time}) and their "
                "bands have no names: they may be two bands of one image, or two images. Say which "
                r"part of the path is the band, pattern=r'_(?P<band>B\d+)\.tif', or what tells the "
                r"images apart, pattern=r'(?P<id>T\d\d\w+)_'."
            )
    images.append(Image(file.time, file.image, (file,)))


def _warn_of_masks(files: Sequence[File]) -> None:
    masked = [file for file in files if file.masked]
    if masked:
        warnings.warn(
            f"{masked[0].path!r} has a mask or an alpha band, which is not read: pixels that it "
            "masks count as data unless they have the nodata value. Write their nodata into the "
            "file (gdalwarp -dstnodata), or mask bands by the alpha band yourself.",
            UserWarning,
            stacklevel=5,
        )


# ---------------------------------------------------------------------------------------------
# Headers
# ---------------------------------------------------------------------------------------------


def _read_headers(paths: Sequence[str]) -> list[File]:
    folders = [str(PurePosixPath(path).parent) for path in paths]
    absolute = {PurePosixPath(folder).is_absolute() for folder in folders}
    shared = os.path.commonpath(folders) if len(absolute) == 1 else ""
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        return list(pool.map(lambda path: _header(path, shared), paths))


def _header(path: str, shared: str) -> File:
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    try:
        with rasterio.open(path) as file:
            return _read(file, path, shared)
    except rasterio.errors.RasterioIOError as error:
        local = "://" not in path and not path.startswith("/vsi")
        kind = FileNotFoundError if local and not Path(path).exists() else ValueError
        raise kind(
            f"{path!r} cannot be opened as a GeoTIFF ({error}). Check the path, or say what it is "
            "with format=..."
        ) from error


def _read(file: Any, path: str, shared: str) -> File:
    grids = needed("odc.geo.converters", "geotiff", "GeoTIFFs")
    flags = needed("rasterio.enums", "geotiff", "GeoTIFFs").MaskFlags
    if file.crs is None:
        raise ValueError(
            f"the file {path!r} has no CRS, so its pixels have no place. Give it one, for "
            "instance with gdal_edit.py -a_srs EPSG:32633."
        )
    names = tuple(text or f"band_{i}" for i, text in enumerate(file.descriptions, start=1))
    check_unique(names, f"the file {path!r} has")
    return File(
        path=path,
        name=str(PurePosixPath(path).relative_to(shared)) if shared else path,
        grid=grids.rio_geobox(file),
        bands=names,
        dtypes=tuple(file.dtypes),
        nodata=tuple(file.nodatavals),
        packing=tuple(zip(file.scales, file.offsets, strict=True)),
        tile=file.block_shapes[0],
        tags={**file.tags(ns="IMAGERY"), **file.tags()},
        masked=any(flags.per_dataset in band for band in file.mask_flag_enums),
    )


# ---------------------------------------------------------------------------------------------
# Names and times
# ---------------------------------------------------------------------------------------------


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


def _placed(file: File, pattern: re.Pattern[str] | None, time: Time) -> File:
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
    return replace(
        file,
        bands=bands,
        image=groups.get("id") or _bare(image),
        time=_time_of(file, groups.get("time"), time),
    )


def _bare(name: str) -> str:
    """Leave of a name what the files of an image share: no suffix, no pixel size (_10m)."""
    name = re.sub(r"\.[A-Za-z]\w*$", "", name).rstrip("_-./")
    return re.sub(r"[_-]+\d0m$", "", name).rstrip("_-./")


_DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<by>[-_.:/]?)(?P<month>0[1-9]|1[0-2])(?P=by)"
    r"(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[T _-](?P<hour>[01]\d|2[0-3]):?(?P<minute>[0-5]\d):?(?P<second>[0-5]\d)(?![\d])"
    r"|T(?P<h>[01]\d|2[0-3]):?(?P<m>[0-5]\d)(?!\d))?(?!\d)"
)


def _time_of(file: File, in_name: str | None, time: Time) -> Any:
    """Find out when an image was taken."""
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
    # the name of the file first, then those of the folders above it
    for part in reversed(PurePosixPath(file.path).parts):
        if found := _DATE.search(part):
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
    try:
        if isinstance(given, str):
            given = given.strip()
            if date := _DATE.fullmatch(given):
                given = _as_iso(date)
            given = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", given)  # as TIFF writes dates
        elif not isinstance(given, datetime.date | np.datetime64):
            raise TypeError(f"it is of type {type(given).__name__}")
        found: np.datetime64 = moment(given, "time").astype("datetime64[ns]")
        return found
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{where} {given!r}, which is no time ({error}). Write time=lambda path: ... with a "
            "function that gives a text such as '2020-07-01', or a datetime."
        ) from error


def _as_iso(date: re.Match[str]) -> str:
    clock = [date["hour"], date["minute"], date["second"]]
    clock = clock if clock[0] else [date["h"], date["m"]]
    day = f"{date['year']}-{date['month']}-{date['day']}"
    return f"{day}T{':'.join(clock)}" if clock[0] else day
