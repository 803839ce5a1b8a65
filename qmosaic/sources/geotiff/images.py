"""Which files make an image, by their names, bands and times."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from qmosaic.sources.geotiff.files import File, Image
from qmosaic.sources.geotiff.headers import header_of
from qmosaic.sources.geotiff.names import (
    Place,
    bare_name,
    common_name,
    compile_pattern,
    place_of,
    shared_folder,
)
from qmosaic.sources.geotiff.times import Time, time_of
from qmosaic.sources.headers import HEADERS_AT_ONCE
from qmosaic.sources.user_warnings import warn


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
    compiled = compile_pattern(pattern)
    shared = shared_folder(paths)
    places = [place_of(path, shared, compiled) for path in paths]
    unwanted: list[Place] = []
    opened: list[Place] = []
    for place in places:
        (unwanted if _is_unwanted(place, wanted, time) else opened).append(place)
    opened = opened or places
    with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
        headers = list(pool.map(lambda place: header_of(place.path, place.name), opened))
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
    bare = {(time_of(place, {}, time), place.image) for place in unwanted} - known
    images += [Image(moment, name, ()) for moment, name in bare]  # of other bands alone
    return sorted(images, key=lambda image: (image.time, image.name))


def _is_unwanted(place: Place, wanted: Sequence[str] | None, time: Time) -> bool:
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
    told = all(_name_without_bands(file) != bare_name(file.image) for file in files)
    alike = all(_overlap(file, files[0]) for file in files) and not (told and len(names) > 1)
    if max(count.values()) == 1 and alike:
        return [Image(files[0].time, common_name([f.image for f in files]), tuple(files))]
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
    return bare_name(name)


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
        warn(
            f"{masked[0].path!r} has a mask or an alpha band, which is not read: pixels that it "
            "masks count as data unless they have the nodata value. Write their nodata into the "
            "file (gdalwarp -dstnodata), or mask bands by the alpha band yourself.",
        )


def _placed(file: File, place: Place, time: Time) -> File:
    """Find out from the header and the name of a file which image and band it is."""
    bands = file.bands
    if place.band:
        several = len(bands) > 1
        bands = tuple(f"{place.band}_{i + 1}" if several else place.band for i in range(len(bands)))
    return replace(
        file,
        bands=bands,
        image=place.image,
        time=time_of(place, file.tags, time),
    )
