"""When an image was taken: from tags and names of files."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from qmosaic.collection.times import moment
from qmosaic.sources.geotiff.names import Place
from qmosaic.sources.request import NoTimeError

Time = str | Callable[[str], Any] | None

ACQUIRED = ("ACQUISITIONDATETIME", "acquisition_datetime", "datetime")
"""Tags that tell when an image was taken. TIFF's own DateTime often is when a file was written: it
is asked last."""

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


def time_of(place: Place, tags: Mapping[str, str], time: Time) -> Any:
    """Find out when an image was taken."""
    if callable(time):
        return _moment(time(place.path), f"time= gave for {place.path!r}")
    if time is not None:
        if time not in tags:
            raise ValueError(
                f"the file {place.path!r} has no tag {time!r}; its tags are "
                f"{', '.join(sorted(tags)) or 'none'}. Name one of them that tells the time, or "
                "write time=lambda path: ... with a function that gives it."
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
    raise NoTimeError(
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
