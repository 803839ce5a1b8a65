"""``ee.Date`` and ``ee.DateRange``."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Any

import numpy as np

from qmosaic.collection.times import moment
from qmosaic.ee.values.computed import Value
from qmosaic.ee.values.numbers import Boolean, Number
from qmosaic.ee.values.texts import String

CODES = {
    "YYYY": "%Y",
    "yyyy": "%Y",
    "YY": "%y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "DDD": "%j",
    "D": "%-j",
    "EEEE": "%A",
    "EEE": "%a",
    "E": "%a",
    "HH": "%H",
    "H": "%-H",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "SSS": "%f",
    "ww": "%V",
    "w": "%-V",
    "a": "%p",
}
"""Patterns of dates, as Earth Engine (Joda-Time) writes them and as Python does."""

SECONDS: dict[str, float] = {
    "year": 31_556_952,
    "month": 2_629_746,
    "week": 604_800,
    "day": 86_400,
    "hour": 3600,
    "minute": 60,
    "second": 1,
}
"""How long units are; of years and months the average of the Gregorian calendar, as in
https://developers.google.com/earth-engine/apidocs/ee-date-difference."""

FIELDS = ("year", "month", "week", "day", "hour", "minute", "second")
FIRST = {"month": 1, "day": 1}
EPOCH = np.datetime64("1970-01-01", "ms")


class Date(Value, of=(datetime.datetime, np.datetime64)):
    """A date and time, UTC.

    Parameters
    ----------
    date : str, datetime, numpy.datetime64, number or Date
        A number is milliseconds since 1970.
    tz : str, optional
        The time zone of the text: ``"America/New_York"``.

    Examples
    --------
    >>> from qmosaic import ee
    >>> day = ee.Date("2020-01-31")
    >>> day.advance(1, "month"), day.advance(-2, "week"), ee.Date.fromYMD(2020, 2, 5)
    (ee.Date('2020-02-29T00:00:00'), ee.Date('2020-01-17T00:00:00'), ee.Date('2020-02-05T00:00:00'))
    >>> day.format("dd/MM/YYYY"), day.format("d MMM"), day.get("month"), day.get("week")
    ('31/01/2020', '31 Jan', 1, 5)
    >>> day.getRelative("day", "year"), day.getRelative("month", "year")
    (30, 0)
    >>> day.difference("2020-01-01", "day"), day.millis()
    (30, 1580428800000)
    >>> day.getFraction("month").format("%.3f"), day.update(year=2021).format("YYYY-MM-dd")
    ('0.968', '2021-01-31')
    >>> day.getRange("month")
    ee.DateRange('2020-01-01T00:00:00', '2020-02-01T00:00:00')
    >>> ee.Date.parse("dd.MM.yyyy", "05.02.2020"), day.getInfo()
    (ee.Date('2020-02-05T00:00:00'), {'type': 'Date', 'value': 1580428800000})
    """

    _name = "ee.Date"

    def __init__(self, date: Any, tz: str | None = None) -> None:
        if isinstance(date, Date):
            self.instant: np.datetime64 = date.instant
        elif isinstance(date, dict) and "value" in date:
            self.instant = Date(date["value"]).instant
        elif isinstance(date, int | float) and not isinstance(date, bool):
            self.instant = EPOCH + np.timedelta64(round(date), "ms")
        else:
            text = padded(date)
            self.instant = moment(text if tz is None else _in_zone(text, tz), "date")

    @staticmethod
    def fromYMD(year: float, month: float, day: float, tz: str | None = None) -> Date:
        """Make a date of its year, month and day."""
        return Date(f"{int(year):04d}-{int(month):02d}-{int(day):02d}", tz)

    @staticmethod
    def parse(format: str, date: str, tz: str | None = None) -> Date:
        """Read a date from a text in a format such as ``"dd.MM.yyyy"``; see `format`."""
        pattern = "".join(
            part[1:-1] if part.startswith("'") else _code(part, format).replace("-", "")
            for part in _parts(format)
        )
        return Date(datetime.datetime.strptime(date, pattern).isoformat(), tz)

    def __repr__(self) -> str:
        return f"ee.Date('{self.format()}')"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Date) and bool(self.instant == other.instant)

    def __lt__(self, other: Any) -> bool:
        return bool(self.instant < Date(other).instant)

    def __hash__(self) -> int:
        return hash(self.instant)

    def getInfo(self) -> dict[str, Any]:
        """Give a dict, as Earth Engine does."""
        return {"type": "Date", "value": self.millis().getInfo()}

    def millis(self) -> Number:
        """Give milliseconds since 1970."""
        return Number(float((self.instant.astype("M8[ms]") - EPOCH).astype(int)))

    def format(self, format: str = "YYYY-MM-dd'T'HH:mm:ss", timeZone: str | None = None) -> String:
        """Format it: YYYY, MM, MMM, dd, d, DDD, HH, mm, ss ..., and text in single quotes."""
        date = self._datetime(timeZone)
        parts = (
            part[1:-1] if part.startswith("'") else date.strftime(_code(part, format))
            for part in _parts(format)
        )
        return String("".join(parts))

    def get(self, unit: str, timeZone: str | None = None) -> Number:
        """Give the year, month, week, day, hour, minute or second."""
        date, field = self._datetime(timeZone), _unit(unit, FIELDS)
        return Number(date.isocalendar().week if field == "week" else getattr(date, field))

    def getRelative(self, unit: str, inUnit: str, timeZone: str | None = None) -> Number:
        """Count units in a larger one, from 0: ``getRelative("day", "year")``."""
        small, large = _unit(unit, FIELDS), _unit(inUnit, FIELDS)
        if FIELDS.index(small) <= FIELDS.index(large):
            raise ValueError(
                f"ee.Date.getRelative({str(unit)!r}, {str(inUnit)!r}): the second unit has to be "
                "larger than the first. Write, for instance, getRelative('day', 'year')."
            )
        date = self._datetime(timeZone)
        start = _start_of(date, large)
        if small == "month":
            return Number(date.month - start.month)
        return Number((date - start).total_seconds() // SECONDS[small])

    def getFraction(self, unit: str, timeZone: str | None = None) -> Number:
        """Tell how much of a year, month, week, day ... has passed: 0 to 1."""
        field = _unit(unit, FIELDS)
        start = _start_of(self._datetime(timeZone), field)
        begin = Date(start.isoformat())
        whole = begin.advance(1, field).millis() - begin.millis()
        passed = (self._datetime(timeZone) - start).total_seconds() * 1000
        return Number(passed / whole)

    def getRange(self, unit: str, timeZone: str | None = None) -> DateRange:
        """Give the year, month, week, day ... that it is in."""
        field = _unit(unit, FIELDS)
        start = Date(_start_of(self._datetime(timeZone), field).isoformat(), timeZone)
        return DateRange(start, start.advance(1, field))

    def difference(self, start: Any, unit: str) -> Number:
        """Count the units since another date; years and months are of average length."""
        apart = self.instant.astype("M8[ms]") - Date(start).instant.astype("M8[ms]")
        return Number(apart / np.timedelta64(1, "ms") / SECONDS[_unit(unit, SECONDS)] / 1000)

    def advance(self, delta: float, unit: str, timeZone: str | None = None) -> Date:
        """Add years, months, weeks, days, hours, minutes or seconds.

        A day that the resulting month does not have becomes its last day.
        """
        unit = _unit(unit, SECONDS)
        if unit not in ("year", "month"):
            moved = datetime.timedelta(seconds=delta * SECONDS[unit])
            return Date((self._datetime() + moved).isoformat())
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

    def update(
        self,
        year: float | None = None,
        month: float | None = None,
        day: float | None = None,
        hour: float | None = None,
        minute: float | None = None,
        second: float | None = None,
    ) -> Date:
        """Replace its year, month, day, hour, minute or second."""
        given = zip(FIELDS, (year, month, None, day, hour, minute, second), strict=True)
        parts = {field: int(value) for field, value in given if value is not None}
        return Date(self._datetime().replace(**parts).isoformat())  # type: ignore[arg-type]

    def _datetime(self, zone: str | None = None) -> datetime.datetime:
        found: datetime.datetime = self.instant.astype("M8[ms]").item()
        if zone is None:
            return found
        aware = found.replace(tzinfo=datetime.UTC).astimezone(zoneinfo.ZoneInfo(str(zone)))
        return aware.replace(tzinfo=None)


class DateRange(Value):
    """From a date on, before another one.

    Parameters
    ----------
    start : str, datetime, number or Date
        The first instant.
    end : str, datetime, number or Date, optional
        The first instant after it; a day after the start by default.

    Examples
    --------
    >>> from qmosaic import ee
    >>> july = ee.DateRange("2020-07-01", "2020-08-01")
    >>> july.start(), july.end(), july.contains("2020-07-31"), july.isEmpty()
    (ee.Date('2020-07-01T00:00:00'), ee.Date('2020-08-01T00:00:00'), True, False)
    >>> july.getInfo()
    {'type': 'DateRange', 'dates': [1593561600000, 1596240000000]}
    """

    _name = "ee.DateRange"

    def __init__(self, start: Any, end: Any = None, tz: str | None = None) -> None:
        self._start = Date(start, tz)
        self._end = self._start.advance(1, "day") if end is None else Date(end, tz)

    def __repr__(self) -> str:
        return f"ee.DateRange('{self._start.format()}', '{self._end.format()}')"

    def getInfo(self) -> dict[str, Any]:
        """Give a dict, as Earth Engine does."""
        dates = [self._start.millis().getInfo(), self._end.millis().getInfo()]
        return {"type": "DateRange", "dates": dates}

    def start(self) -> Date:
        """Give the first instant."""
        return self._start

    def end(self) -> Date:
        """Give the first instant after it."""
        return self._end

    def contains(self, date: Any) -> Boolean:
        """Tell whether a date lies in it."""
        return Boolean(self._start.instant <= Date(date).instant < self._end.instant)

    def isEmpty(self) -> Boolean:
        """Tell whether no instant lies in it."""
        return Boolean(self._start.instant >= self._end.instant)


def _parts(pattern: str) -> list[str]:
    found = re.split(r"('[^']*'|([A-Za-z])\2*)", str(pattern))
    return [part for place, part in enumerate(found) if place % 3 != 2 and part]


def _code(part: str, pattern: str) -> str:
    if not part.isalpha():
        return part.replace("%", "%%")
    if part not in CODES:
        raise ValueError(
            f"ee.Date.format({str(pattern)!r}): {part!r} is not supported; there are "
            f"{', '.join(CODES)}, and text in single quotes."
        )
    return CODES[part]


def padded(date: Any) -> Any:
    """Pad month and day to two digits: Earth Engine takes 2020-2-5."""
    found = re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", date) if isinstance(date, str) else None
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}{date[found.end() :]}" if found else date


def _in_zone(text: str, zone: str) -> datetime.datetime:
    local = datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(str(zone)))
    return local.astimezone(datetime.UTC).replace(tzinfo=None)


def _start_of(date: datetime.datetime, unit: str) -> datetime.datetime:
    """Give the beginning of the year, month, week, day ... that a date is in."""
    if unit == "week":
        date, unit = date - datetime.timedelta(days=date.weekday()), "day"
    small = FIELDS[FIELDS.index(unit) + 1 :]
    reset = {field: FIRST.get(field, 0) for field in small if field != "week"}
    return date.replace(**reset, microsecond=0)  # type: ignore[arg-type]


def _unit(given: str, known: Any) -> str:
    unit = str(given).lower().rstrip("s")
    if unit not in known:
        raise ValueError(
            f"ee.Date got the unit {str(given)!r}; it takes {', '.join(map(repr, known))}."
        )
    return unit
