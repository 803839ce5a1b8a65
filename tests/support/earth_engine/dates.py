"""Dates, with Python's calendar; https://developers.google.com/earth-engine/apidocs/ee-date."""

from __future__ import annotations

import calendar
import datetime
import re
from typing import Any

from tests.support.earth_engine.values import Number, String, plain

EPOCH = datetime.datetime(1970, 1, 1)
SECONDS = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
AVERAGE = {**SECONDS, "year": 365.2425 * 86400, "month": 365.2425 * 86400 / 12}
"""How long the units are; of years and months, on average in the Gregorian calendar."""


def singular(unit: Any) -> str:
    """Take "days" as "day"."""
    return plain(unit).lower().rstrip("s")


class Date:
    """A date and time, UTC."""

    def __init__(self, date: Any) -> None:
        date = plain(date)
        if isinstance(date, Date):
            self.at = date.at
        elif isinstance(date, dict):
            self.at = EPOCH + datetime.timedelta(milliseconds=date["value"])
        elif isinstance(date, int | float):
            self.at = EPOCH + datetime.timedelta(milliseconds=round(date))
        else:
            numbers = [int(part) for part in re.findall(r"\d+", date)]
            self.at = datetime.datetime(*[*numbers, 1, 1][: max(3, len(numbers))])

    def __repr__(self) -> str:
        return f"Date({self.at.isoformat()})"

    @staticmethod
    def fromYMD(year: Any, month: Any, day: Any) -> Date:
        """Make a date of its year, month and day."""
        return Date("-".join(f"{int(plain(one))}" for one in (year, month, day)))

    def getInfo(self) -> dict[str, Any]:
        """Give a dictionary."""
        return {"type": "Date", "value": self.millis().value}

    def millis(self) -> Number:
        """Give milliseconds since 1970."""
        return Number((self.at - EPOCH) // datetime.timedelta(milliseconds=1))

    def advance(self, delta: Any, unit: Any) -> Date:
        """Add a span; a day that a month lacks becomes its last one."""
        delta, unit = plain(delta), singular(unit)
        if unit in SECONDS:
            moved = self.at + datetime.timedelta(seconds=delta * SECONDS[unit])
        else:
            months = (
                self.at.year * 12 + self.at.month - 1 + int(delta) * (12 if unit == "year" else 1)
            )
            year, month = divmod(months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            moved = self.at.replace(year=year, month=month + 1, day=min(self.at.day, last))
        return Date((moved - EPOCH) / datetime.timedelta(milliseconds=1))

    def difference(self, start: Any, unit: Any) -> Number:
        """Count the units since another date, by their average length."""
        return Number((self.at - Date(start).at).total_seconds() / AVERAGE[singular(unit)])

    def get(self, unit: Any) -> Number:
        """Give a part of it."""
        return Number(
            self.at.isocalendar()[1] if unit == "week" else getattr(self.at, singular(unit))
        )

    def getRelative(self, unit: Any, inUnit: Any) -> Number:
        """Count from 0 the units since the begin of a larger one."""
        unit, inUnit = singular(unit), singular(inUnit)
        begins = {"year": (1, 1, 0, 0), "month": (self.at.month, 1, 0, 0)}
        begins["day"] = (self.at.month, self.at.day, 0, 0)
        begins["hour"] = (self.at.month, self.at.day, self.at.hour, 0)
        if unit == "month":
            return Number(self.at.month - 1)
        since = self.at - datetime.datetime(self.at.year, *begins[inUnit])
        return Number(int(since.total_seconds() // SECONDS[unit]))

    def _start(self, unit: str) -> Date:
        """Give the begin of the year, month or day."""
        at = self.at
        parts = {"year": (at.year, 1, 1), "month": (at.year, at.month, 1)}
        return Date.fromYMD(*parts.get(unit, (at.year, at.month, at.day)))

    def getRange(self, unit: Any) -> DateRange:
        """Give the year, month or day that it is in."""
        start = self._start(singular(unit))
        return DateRange(start, start.advance(1, unit))

    def getFraction(self, unit: Any) -> Number:
        """Tell how much of a year, month or day has passed."""
        start, end = self.getRange(unit).span
        return Number((self.at - start.at) / (end.at - start.at))

    def update(self, year: Any = None, month: Any = None, day: Any = None) -> Date:
        """Replace parts of it."""
        given = {"year": plain(year), "month": plain(month), "day": plain(day)}
        made = self.at.replace(**{name: int(n) for name, n in given.items() if n is not None})
        return Date(made.isoformat())

    def format(self, pattern: Any = "YYYY-MM-dd'T'HH:mm:ss") -> String:
        """Write it in a pattern of Joda."""
        at = self.at
        codes = {
            "YYYY": f"{at.year:04}",
            "yyyy": f"{at.year:04}",
            "YY": f"{at.year % 100:02}",
            "MMMM": calendar.month_name[at.month],
            "MMM": calendar.month_abbr[at.month],
            "MM": f"{at.month:02}",
            "M": str(at.month),
            "DDD": f"{at.timetuple().tm_yday:03}",
            "D": str(at.timetuple().tm_yday),
            "dd": f"{at.day:02}",
            "d": str(at.day),
            "HH": f"{at.hour:02}",
            "H": str(at.hour),
            "mm": f"{at.minute:02}",
            "ss": f"{at.second:02}",
        }
        made = ""
        for part in re.finditer(r"'[^']*'|([A-Za-z])\1*|[^A-Za-z']+", plain(pattern)):
            text = part.group(0)
            made += text[1:-1] if text[0] == "'" else codes[text] if text[0].isalpha() else text
        return String(made)


class DateRange:
    """A span of time, its end excluded."""

    def __init__(self, start: Any, end: Any) -> None:
        self.span = Date(start), Date(end)

    def start(self) -> Date:
        """Give its begin."""
        return self.span[0]

    def end(self) -> Date:
        """Give its end."""
        return self.span[1]
