"""What the headers and names of GeoTIFFs say: times, bands, and which files make an image."""

from __future__ import annotations

import datetime
import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.moments import moment
from qmosaic.optional import needed
from qmosaic.sources.assembly import HEADERS_AT_ONCE, check_unique

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


def find_images(
    paths: Sequence[str], pattern: str | None, time: Time, wanted: Sequence[str] | None = None
) -> list[Image]:
    """Sort files into images, in the order of their times, then their names.

    With a pattern that tells band or id, the files of an image have one name, but for the band.
    Without, they have one time and different bands; where several images are of one time, their
    names without those of the bands tell them apart.

    Parameters
    ----------
    paths : sequence of str
        The files.
    pattern : str, optional
        A regular expression with groups ``time``, ``band`` and ``id``.
    time : str or callable, optional
        What tells when an image was taken.
    wanted : sequence of str, optional
        The bands that matter; files that the pattern says are of others are not opened.
    """
    _check_once(paths)
    compiled = _compiled(pattern)
    shared = _shared_folder(paths)
    places = [_place(path, shared, compiled) for path in paths]
    unwanted: list[_Place] = []
    opened: list[_Place] = []
    for place in places:
        (unwanted if _is_unwanted(place, wanted, time) else opened).append(place)
    opened = opened or places
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        headers = list(pool.map(lambda place: _header(place.path, place.name), opened))
    files = [_placed(file, place, time) for file, place in zip(headers, opened, strict=True)]
    files.sort(key=lambda file: (file.time, file.name))
    _warn_of_masks(files)
    by_time = [list(group) for _, group in itertools.groupby(files, key=lambda file: file.time)]
    named = any(place.tells_image for place in places)
    identified = any(place.id for place in places)
    images = [
        image
        for group in by_time
        for image in (_named(group, identified) if named else _unnamed(group))
    ]
    known = {(image.time, image.name) for image in images}
    bare = {(_time_of(place, {}, time), place.image) for place in unwanted} - known
    images += [Image(moment, name, ()) for moment, name in bare]  # of other bands alone
    return sorted(images, key=lambda image: (image.time, image.name))


def _is_unwanted(place: _Place, wanted: Sequence[str] | None, time: Time) -> bool:
    """Tell whether the name says all that matters of a file: another band, and the time."""
    if wanted is None or place.band is None or (place.time is None and not callable(time)):
        return False
    # of several bands in a file each has a number behind that name
    return not any(re.fullmatch(rf"{re.escape(place.band)}(_\d+)?", band) for band in wanted)


def _check_once(paths: Sequence[str]) -> None:
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise ValueError(
            f"the file {twice[0]!r} is in the list {paths.count(twice[0])} times. Leave it out "
            "once."
        )


def _by_name(files: Sequence[File], name_of: Callable[[File], str]) -> list[Image]:
    """Put files of one name together; each band is in one of them."""
    images: dict[str, Image] = {}
    for file in files:
        name = name_of(file)
        image = images.get(name, Image(file.time, name, ()))
        twice = [band for band in file.bands if band in image.bands]
        if twice:
            other = image.bands[twice[0]][0]
            raise ValueError(
                f"{other.path!r} and {file.path!r} are both band {twice[0]!r} of one image "
                f"({name!r}). Say what tells the images apart, with a group (?P<id>...) in "
                r"pattern=, for instance pattern=r'(?P<id>T\d\d\w+)_', or leave one file out."
            )
        images[name] = replace(image, files=(*image.files, file))
    return sorted(images.values(), key=lambda image: image.name)


def _named(files: Sequence[File], identified: bool) -> list[Image]:
    """Sort files of one time by what a pattern says of their names."""
    images = _by_name(files, lambda file: file.image)
    for a, b in itertools.combinations(images, 2):
        if not identified and not set(a.bands) & set(b.bands) and _overlap(a, b):
            raise ValueError(
                f"{a.files[0].path!r} and {b.files[0].path!r} are of one time, have other bands "
                f"and different names ({a.name!r}, {b.name!r}): they may be one image or two. Say "
                "what the files of an image have in common, with a group (?P<id>...) in pattern=, "
                r"for instance r'(?P<id>T\d\d\w+_(?P<time>\d{8}T\d{6}))_(?P<band>\w+)_'."
            )
    return images


def _unnamed(files: Sequence[File]) -> list[Image]:
    """Sort files of one time by their bands, whose names stand in the files."""
    count = Counter(band for file in files for band in file.bands)
    names = {_name_without_bands(file) for file in files}
    told = all(_name_without_bands(file) != _bare(file.image) for file in files)
    alike = all(_overlap(file, files[0]) for file in files) and not (told and len(names) > 1)
    if max(count.values()) == 1 and alike:
        return [Image(files[0].time, files[0].image, tuple(files))]
    unclear = [f for f in files if any(count[b] > 1 and b.startswith("band_") for b in f.bands)]
    if len({file.bands for file in files}) > 1 or not unclear:
        images = _by_name(files, _name_without_bands)
        if any(set(image.bands) == set(count) for image in images):
            return images
    one, other = (unclear or list(files))[:2]
    raise ValueError(
        f"{one.path!r} and {other.path!r} are of the same time ({one.time}), and nothing tells "
        "whether they are two bands of one image, or two images. Say which "
        r"part of the path is the band, pattern=r'_(?P<band>B\d+)\.tif', or what tells the "
        r"images apart, pattern=r'(?P<id>T\d\d\w+)_'."
    )


def _name_without_bands(file: File) -> str:
    name = file.image
    for band in sorted(file.bands, key=len, reverse=True):
        name = re.sub(rf"(?<![A-Za-z0-9]){re.escape(band)}(?![A-Za-z0-9])", "", name)
    return _bare(name)


def _overlap(a: File | Image, b: File | Image) -> bool:
    """Tell whether two files lie on each other; tiles side by side do not."""
    a, b = (x.files[0] if isinstance(x, Image) else x for x in (a, b))
    if a.grid.crs != b.grid.crs:
        return False
    one, other = a.grid.boundingbox, b.grid.boundingbox
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.top, other.top) - max(one.bottom, other.bottom)
    smaller = min(one.span_x * one.span_y, other.span_x * other.span_y)
    return bool(width > 0 and height > 0 and width * height > 0.5 * smaller)


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


def _shared_folder(paths: Sequence[str]) -> str:
    folders = [str(PurePosixPath(path).parent) for path in paths]
    absolute = {PurePosixPath(folder).is_absolute() for folder in folders}
    return os.path.commonpath(folders) if len(absolute) == 1 else ""


def listing_nothing(path: str) -> Any:
    """Keep GDAL from looking for files beside one on the web: dozens of requests for each.

    https://gdal.org/en/stable/user/configoptions.html, GDAL_DISABLE_READDIR_ON_OPEN
    """
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    remote = "://" in path or path.startswith("/vsi")
    quiet = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if remote else {}
    return rasterio.Env(**quiet)


def _header(path: str, name: str) -> File:
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    try:
        with listing_nothing(path), rasterio.open(path) as file:
            return _read(file, path, name)
    except rasterio.errors.RasterioIOError as error:
        local = "://" not in path and not path.startswith("/vsi")
        kind = FileNotFoundError if local and not Path(path).exists() else ValueError
        raise kind(
            f"{path!r} cannot be opened as a GeoTIFF ({error}). Check the path, or say what it is "
            "with format=..."
        ) from error


def _read(file: Any, path: str, name: str) -> File:
    grids = needed("odc.geo.converters", "geotiff", "GeoTIFFs")
    flags = needed("rasterio.enums", "geotiff", "GeoTIFFs").MaskFlags
    _check_place(file, path)
    names = tuple(text or f"band_{i}" for i, text in enumerate(file.descriptions, start=1))
    check_unique(names, f"the file {path!r} has")
    return File(
        path=path,
        name=name,
        grid=grids.rio_geobox(file),
        bands=names,
        dtypes=tuple(file.dtypes),
        nodata=tuple(file.nodatavals),
        packing=tuple(zip(file.scales, file.offsets, strict=True)),
        tile=file.block_shapes[0],
        tags={**file.tags(ns="IMAGERY"), **file.tags()},
        masked=any(flags.per_dataset in band for band in file.mask_flag_enums),
    )


def _check_place(file: Any, path: str) -> None:
    """Refuse a file whose pixels have no place on a map, and say what it lacks."""
    points, of_points = file.gcps
    warp = f"gdalwarp -t_srs EPSG:32633 {path} on_a_grid.tif"
    if file.crs is None and points:
        raise ValueError(
            f"the file {path!r} has {len(points)} ground control points "
            f"({of_points or 'of no CRS'}) in place of a CRS and a transform: its rows and columns "
            f"are those of no map. Bring it onto one first, for instance with {warp} (-tps to pass "
            "through all points)."
        )
    if file.crs is None and file.rpcs is not None:
        raise ValueError(
            f"the file {path!r} has rational polynomials (RPC) in place of a CRS and a transform: "
            "its rows and columns are those of no map. Bring it onto one first, for instance with "
            f"{warp} -rpc (-to RPC_DEM=... for the heights)."
        )
    if file.crs is None:
        raise ValueError(
            f"the file {path!r} has no CRS, so its pixels have no place. Give it one, for "
            "instance with gdal_edit.py -a_srs EPSG:32633."
        )
    if file.transform.is_identity:
        raise ValueError(
            f"the file {path!r} has a CRS, but no transform: nothing tells where its pixels are. "
            "Give it one, for instance with gdal_edit.py -a_ullr left top right bottom."
        )


# ---------------------------------------------------------------------------------------------
# Names and times
# ---------------------------------------------------------------------------------------------


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise TypeError(
            f"pattern= got a {type(pattern).__name__}; it has to be the text of a regular "
            "expression."
        )
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


@dataclass(frozen=True)
class _Place:
    """What a path says, before its file is opened.

    Attributes
    ----------
    path, name : str
        The path, and what of it is the file's own: without the folder that all share, without what
        a URL asks for.
    time, band, id : str, optional
        What a pattern finds in it.
    rest : str
        The name without the band.
    """

    path: str
    name: str
    time: str | None = None
    band: str | None = None
    id: str | None = None
    rest: str = ""

    @property
    def tells_image(self) -> bool:
        """Tell whether the pattern says what makes an image."""
        return self.band is not None or self.id is not None

    @property
    def image(self) -> str:
        """What the files of one image have in common."""
        return self.id or _bare(self.rest)


def _place(path: str, shared: str, pattern: re.Pattern[str] | None) -> _Place:
    name = str(PurePosixPath(path).relative_to(shared)) if shared else path
    if "://" in path:
        name = name.split("?")[0]
    if pattern is None:
        return _Place(path, name, rest=name)
    found = pattern.search(name) or pattern.search(path)
    if found is None:
        raise ValueError(
            f"pattern={pattern.pattern!r} does not match {name!r}. Correct it, or leave "
            "that file out of the list."
        )
    groups = {key: text or None for key, text in found.groupdict().items()}
    rest = name
    if groups.get("band"):
        rest = found.string[: found.start("band")] + found.string[found.end("band") :]
        rest = rest.split("?")[0] if "://" in path else rest
    return _Place(path, name, groups.get("time"), groups.get("band"), groups.get("id"), rest)


def _placed(file: File, place: _Place, time: Time) -> File:
    """Find out from the header and the name of a file which image and band it is."""
    bands = file.bands
    if place.band:
        several = len(bands) > 1
        bands = tuple(f"{place.band}_{i + 1}" if several else place.band for i in range(len(bands)))
    return replace(
        file,
        bands=bands,
        image=place.image,
        time=_time_of(place, file.tags, time),
    )


def _bare(name: str) -> str:
    """Leave of a name what the files of an image share: no suffix, no pixel size (_10m, R10m)."""
    name = re.sub(r"\.[A-Za-z]\w*$", "", name)
    name = re.sub(r"(?<![A-Za-z0-9])R?\d0m(?![A-Za-z0-9])", "", name)
    name = re.sub(r"([_./-])[_./-]+", r"\1", name)
    return name.strip("_-./")


_DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<by>[-_.:/]?)(?P<month>0[1-9]|1[0-2])(?P=by)"
    r"(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[T _-](?P<hour>[01]\d|2[0-3]):?(?P<minute>[0-5]\d):?(?P<second>[0-5]\d)(?![\d])"
    r"|T(?P<h>[01]\d|2[0-3]):?(?P<m>[0-5]\d)(?!\d))?(?!\d)"
)


_OF_YEAR = re.compile(
    r"(?<![A-Za-z0-9])(?:A(?P<alone>{0})(?!\d)|(?P<timed>{0}T\d{{6}})(?!\d))".format(
        r"(?:19|20)\d\d(?:00[1-9]|0[1-9]\d|[12]\d\d|3[0-5]\d|36[0-6])"
    )
)
"""The day of a year as MODIS and HLS name their files: ``A2020183``, ``2020183T101559``. Seven
digits alone can be anything; a pattern can say that they are a day."""


def _time_of(place: _Place, tags: Mapping[str, str], time: Time) -> Any:
    """Find out when an image was taken."""
    if callable(time):
        return _moment(time(place.path), f"time= gave for {place.path!r}")
    if time is not None:
        if time not in tags:
            raise ValueError(
                f"the file {place.path!r} has no tag {time!r}; its tags are "
                f"{', '.join(sorted(tags)) or 'none'}."
            )
        return _moment(tags[time], f"the tag {time!r} of {place.path!r} says")
    if place.time:
        return _moment(place.time, f"the name {place.name!r} says")
    for tag in ACQUIRED:
        if tag in tags:
            return _moment(tags[tag], f"the tag {tag!r} of {place.path!r} says")
    # the name of the file first, then those of the folders above it
    for part in reversed(PurePosixPath(place.path).parts):
        if found := _DATE.search(part):
            return _moment(found.group(), f"the name {place.name!r} says")
        if found := _OF_YEAR.search(part):
            day = found["alone"] or found["timed"]
            return _moment(day, f"the name {place.name!r} says")
    if "TIFFTAG_DATETIME" in tags:
        stamp = tags["TIFFTAG_DATETIME"]
        return _moment(stamp, f"the tag 'TIFFTAG_DATETIME' of {place.path!r} says")
    raise ValueError(
        f"nothing tells when the image {place.path!r} was taken: no tag {', '.join(ACQUIRED)} or "
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
