"""Properties of images, which are coordinates along time; numbers, dates, lists and texts."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.times import moment
from qmosaic.ee.names import properties, property_in

KNOWN_AS = {
    "system:time_start": "time",
    "system:index": "id",
    "system:footprint": "footprint",
    "CLOUDY_PIXEL_PERCENTAGE": "cloud_cover",
    "CLOUD_COVER": "cloud_cover",
    "SPACECRAFT_NAME": "platform",
    "SPACECRAFT_ID": "platform",
}
"""Earth Engine's names of properties, and those of coordinates that `open_collection` makes."""

CODES = {
    "YYYY": "%Y",
    "yyyy": "%Y",
    "MM": "%m",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
}
"""Patterns of dates, as Earth Engine writes them and as Python does."""

SECONDS = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
FIELDS = dict.fromkeys(("year", "month", "day", "hour", "minute", "second"))

EPOCH = np.datetime64("1970-01-01", "ms")


class Number(float):
    """A number; ``getInfo()`` gives an int or a float.

    Examples
    --------
    >>> from qmosaic import ee
    >>> seven = ee.Number(7)
    >>> seven.add(2), seven.subtract(2), seven.multiply(2), seven.divide(2), seven.pow(2)
    (9, 5, 14, 3.5, 49)
    >>> seven.mod(4), seven.min(4), seven.max(4)
    (3, 4, 7)
    >>> seven.divide(2).floor(), seven.divide(2).ceil(), seven.divide(2).round()
    (3, 4, 4)
    >>> seven.eq(7), seven.neq(7), seven.lt(7), seven.lte(7), seven.gt(7), seven.gte(7)
    (1, 0, 0, 1, 0, 1)
    >>> seven.getInfo(), seven.divide(3).format("%.2f")
    (7, '2.33')
    """

    def getInfo(self) -> int | float:
        """Give an int if it is whole, else a float."""
        return int(self) if self.is_integer() else float(self)

    def __repr__(self) -> str:
        return repr(self.getInfo())

    __str__ = __repr__

    def format(self, pattern: str = "%s") -> Text:
        """Format it, for instance ``"%.2f"``."""
        return Text(pattern % self.getInfo())

    def add(self, right: float) -> Number:
        """Add a number."""
        return Number(self + right)

    def subtract(self, right: float) -> Number:
        """Subtract a number."""
        return Number(self - right)

    def multiply(self, right: float) -> Number:
        """Multiply by a number."""
        return Number(self * right)

    def divide(self, right: float) -> Number:
        """Divide by a number."""
        return Number(self / right)

    def pow(self, right: float) -> Number:
        """Raise it to a power."""
        return Number(self**right)

    def mod(self, right: float) -> Number:
        """Give the remainder of a division, with the sign of this number."""
        return Number(math.fmod(self, right))

    def min(self, right: float) -> Number:
        """Give the smaller of two numbers."""
        return Number(min(self, right))

    def max(self, right: float) -> Number:
        """Give the larger of two numbers."""
        return Number(max(self, right))

    def floor(self) -> Number:
        """Round it down to a whole number."""
        return Number(math.floor(self))

    def ceil(self) -> Number:
        """Round it up to a whole number."""
        return Number(math.ceil(self))

    def round(self) -> Number:
        """Round it to the nearest whole number; a half goes away from 0."""
        return Number(math.copysign(math.floor(abs(self) + 0.5), self))

    def eq(self, right: float) -> Number:
        """Give 1 if it is equal to a number, else 0."""
        return Number(self == right)

    def neq(self, right: float) -> Number:
        """Give 1 if it is not equal to a number, else 0."""
        return Number(self != right)

    def lt(self, right: float) -> Number:
        """Give 1 if it is less than a number, else 0."""
        return Number(self < right)

    def lte(self, right: float) -> Number:
        """Give 1 if it is less than or equal to a number, else 0."""
        return Number(self <= right)

    def gt(self, right: float) -> Number:
        """Give 1 if it is greater than a number, else 0."""
        return Number(self > right)

    def gte(self, right: float) -> Number:
        """Give 1 if it is greater than or equal to a number, else 0."""
        return Number(self >= right)


class Text(str):
    """A text; ``getInfo()`` gives a str."""

    __slots__ = ()

    def getInfo(self) -> str:
        """Give a str."""
        return str(self)


class List(list[Any]):
    """A list; ``getInfo()`` gives one of Python."""

    def getInfo(self) -> list[Any]:
        """Give a list of Python."""
        return list(self)

    def size(self) -> Number:
        """Count its entries."""
        return Number(len(self))

    def get(self, index: int) -> Any:
        """Give an entry, by its number from 0."""
        return self[int(index)]

    def contains(self, element: Any) -> bool:
        """Tell whether an entry is there."""
        return element in self

    def cat(self, other: Any) -> List:
        """Append another list."""
        return List([*self, *other])

    def removeAll(self, elements: Any) -> List:
        """Remove entries."""
        return List([one for one in self if one not in elements])

    def map(self, algorithm: Callable[[Any], Any]) -> List:
        """Apply a function to each entry."""
        return List([algorithm(one) for one in self])

    def reverse(self) -> List:  # type: ignore[override]
        """Give the entries from the last to the first; as in Earth Engine, a new list."""
        return List(self[::-1])

    def sort(self) -> List:  # type: ignore[override]
        """Give the entries in order; as in Earth Engine, a new list."""
        return List(sorted(self))


class Date:
    """A date and time, UTC.

    Parameters
    ----------
    date : str, datetime, numpy.datetime64, number or Date
        A number is milliseconds since 1970.

    Examples
    --------
    >>> from qmosaic import ee
    >>> day = ee.Date("2020-01-31")
    >>> day.advance(1, "month"), day.advance(-2, "week"), ee.Date.fromYMD(2020, 2, 5)
    (ee.Date('2020-02-29T00:00:00'), ee.Date('2020-01-17T00:00:00'), ee.Date('2020-02-05T00:00:00'))
    >>> day.format("dd/MM/YYYY"), day.get("month"), day.getRelative("day", "year")
    ('31/01/2020', 1, 30)
    >>> day.difference("2020-01-01", "day"), day.millis()
    (30, 1580428800000)
    >>> day.getInfo()
    {'type': 'Date', 'value': 1580428800000}
    """

    def __init__(self, date: Any) -> None:
        if isinstance(date, Date):
            self.instant: np.datetime64 = date.instant
        elif isinstance(date, int | float) and not isinstance(date, bool):
            self.instant = EPOCH + np.timedelta64(round(date), "ms")
        else:
            self.instant = moment(_padded(date), "date")

    @staticmethod
    def fromYMD(year: int, month: int, day: int) -> Date:
        """Make a date of its year, month and day."""
        return Date(datetime.date(int(year), int(month), int(day)))

    def __repr__(self) -> str:
        return f"ee.Date('{self.format()}')"

    def millis(self) -> Number:
        """Give milliseconds since 1970."""
        return Number(float((self.instant.astype("M8[ms]") - EPOCH).astype(int)))

    def format(self, pattern: str = "YYYY-MM-dd'T'HH:mm:ss") -> Text:
        """Format it: YYYY, yyyy, MM, dd, DDD, HH, mm, ss, and text in single quotes."""
        parts = re.split(r"('[^']*'|[A-Za-z]+)", pattern)
        return Text("".join(self._formatted(part, pattern) for part in parts))

    def _formatted(self, part: str, pattern: str) -> str:
        if part.startswith("'"):
            return part[1:-1]
        if part.isalpha():
            if part not in CODES:
                raise ValueError(
                    f"ee.Date.format({pattern!r}): {part!r} is not supported; there are "
                    f"{', '.join(CODES)}, and text in single quotes."
                )
            return self._datetime().strftime(CODES[part])
        return part

    def get(self, unit: str) -> Number:
        """Give the year, month, day, hour, minute or second."""
        return Number(getattr(self._datetime(), _unit(unit, FIELDS)))

    def getRelative(self, unit: str, inUnit: str) -> Number:
        """Give the day of the year, counted from 0: ``getRelative("day", "year")``."""
        if (unit, inUnit) != ("day", "year"):
            raise ValueError(
                f"ee.Date.getRelative({unit!r}, {inUnit!r}) is not supported; it takes "
                "('day', 'year'). For other parts of a date there is get(unit)."
            )
        return Number(self._datetime().timetuple().tm_yday - 1)

    def difference(self, start: Any, unit: str) -> Number:
        """Count the weeks, days, hours, minutes or seconds since another date."""
        apart = self.instant.astype("M8[ms]") - Date(start).instant.astype("M8[ms]")
        return Number(apart / np.timedelta64(1, "ms") / SECONDS[_unit(unit, SECONDS)] / 1000)

    def advance(self, delta: float, unit: str) -> Date:
        """Add years, months, weeks, days, hours, minutes or seconds.

        A day that the resulting month does not have becomes its last day.
        """
        unit = _unit(unit, {"year": 0, "month": 0, **SECONDS})
        if unit not in ("year", "month"):
            return Date(self._datetime() + datetime.timedelta(seconds=delta * SECONDS[unit]))
        months = delta * (12 if unit == "year" else 1)
        if months != int(months):
            raise ValueError(
                f"ee.Date.advance({delta!r}, {unit!r}): months are whole; advance by days instead."
            )
        start = self.instant.astype("M8[ms]")
        month = start.astype("M8[M]")
        there = month + np.timedelta64(int(months), "M")
        last = (there + 1).astype("M8[D]") - np.timedelta64(1, "D")
        day = min(there.astype("M8[D]") + (start.astype("M8[D]") - month.astype("M8[D]")), last)
        return Date(day.astype("M8[ms]") + (start - start.astype("M8[D]").astype("M8[ms]")))

    def getInfo(self) -> dict[str, Any]:
        """Give a dict, as Earth Engine does."""
        return {"type": "Date", "value": self.millis().getInfo()}

    def _datetime(self) -> datetime.datetime:
        found: datetime.datetime = self.instant.astype("M8[ms]").item()
        return found


def _padded(date: Any) -> Any:
    """Pad month and day to two digits: Earth Engine takes 2020-2-5."""
    found = re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", date) if isinstance(date, str) else None
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}{date[found.end() :]}" if found else date


def _unit(given: str, known: Any) -> str:
    unit = str(given).lower().rstrip("s")
    if unit not in known:
        raise ValueError(f"ee.Date got the unit {given!r}; it takes {', '.join(map(repr, known))}.")
    return unit


def property_of(dataset: xr.Dataset, name: str, caller: str) -> xr.DataArray:
    """Find a property, by its own name or by that of Earth Engine.

    Raises
    ------
    KeyError
        There is none.
    """
    for known in (name, KNOWN_AS.get(name)):
        found = None if known is None else property_in(dataset, known)
        if found is not None:
            return found
    if name in dataset.data_vars and dataset[name].dims in (("time",), ()):
        return dataset[name].reset_coords(drop=True)
    if name == "system:index" and "time" in dataset.dims:
        return xr.DataArray(np.arange(dataset.sizes["time"]).astype(str), dims="time", name=name)
    there = properties(dataset)
    raise KeyError(
        f"{caller}: the images have no property {name!r}; properties are coordinates along time: "
        f"{', '.join(map(repr, there)) or 'none'}. Add one with "
        "collection.dataset.assign_coords({name: ('time', [...])}), and wrap that."
    )


def as_property(name: str, value: Any, caller: str) -> Any:
    """Check the value that a property is set to: a number, a text, a date.

    Raises
    ------
    TypeError
        It is nothing of the kind.
    """
    if isinstance(value, Date) or name == "time":
        return Date(value).instant.astype("M8[ns]")
    if not isinstance(value, str | int | float | bool | np.generic):
        raise TypeError(
            f"{caller} got a {type(value).__name__}; it takes a number, a text or an ee.Date, the "
            "same for all images inside map(). To give each image its own, write "
            "collection.dataset.assign_coords({name: ('time', [...])}), and wrap it."
        )
    return value


def comparable(values: xr.DataArray, other: Any) -> tuple[Any, Any]:
    """Bring the values of a property and a value to one dtype, to be compared."""
    array = values.values
    if array.dtype.kind == "M":
        number = isinstance(other, int | float)
        array = array.astype("M8[ms]")
        return array, EPOCH + np.timedelta64(round(other), "ms") if number else Date(other).instant
    return array, other


def as_number(values: xr.DataArray) -> xr.DataArray:
    """Give a property as numbers: times as milliseconds since 1970."""
    if values.dtype.kind == "M":
        return values.copy(data=(values.values.astype("M8[ms]") - EPOCH).astype("int64"))
    if values.dtype.kind not in "biuf":
        raise TypeError(
            f"the property {values.name!r} is of dtype {values.dtype}, not a number, so it makes "
            "no band. Choose images by it instead: ee.Filter.eq(name, value)."
        )
    return values
