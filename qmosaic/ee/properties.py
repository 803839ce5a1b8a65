"""What is known of images beside their pixels: coordinates along time; numbers and dates."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.moments import moment

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

EPOCH = np.datetime64("1970-01-01", "ms")


class Number(float):
    """A number; ``getInfo()`` gives it as Python's."""

    def getInfo(self) -> int | float:
        """Give an int where it is whole, else a float."""
        return int(self) if self.is_integer() else float(self)

    def __repr__(self) -> str:
        return repr(self.getInfo())

    __str__ = __repr__

    def format(self, pattern: str = "%s") -> str:
        """Write it, ``"%.2f"``."""
        return pattern % self.getInfo()


class Date:
    """An instant, UTC.

    Parameters
    ----------
    date : str, datetime, numpy.datetime64, number or Date
        A number is milliseconds since 1970.
    """

    def __init__(self, date: Any) -> None:
        if isinstance(date, Date):
            self.instant: np.datetime64 = date.instant
        elif isinstance(date, int | float) and not isinstance(date, bool):
            self.instant = EPOCH + np.timedelta64(round(date), "ms")
        else:
            self.instant = moment(date, "date")

    def millis(self) -> Number:
        """Give milliseconds since 1970."""
        return Number(float((self.instant.astype("M8[ms]") - EPOCH).astype(int)))

    def format(self, pattern: str = "YYYY-MM-dd") -> str:
        """Write it; of Earth Engine's patterns YYYY, MM, dd, HH, mm and ss."""
        codes = {"YYYY": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
        for word, code in codes.items():
            pattern = pattern.replace(word, code)
        return self._datetime().strftime(pattern)

    def get(self, unit: str) -> Number:
        """Give the year, month, day, hour, minute or second."""
        return Number(getattr(self._datetime(), unit))

    def advance(self, delta: float, unit: str) -> Date:
        """Go on by some years, months, weeks, days, hours, minutes or seconds."""
        unit = unit.rstrip("s")
        if unit in ("year", "month"):
            months = round(delta * (12 if unit == "year" else 1))
            start = self.instant.astype("M8[ms]")
            month = start.astype("M8[M]")
            within = start - month.astype("M8[ms]")
            return Date((month + np.timedelta64(months, "M")).astype("M8[ms]") + within)
        days = datetime.timedelta(**{f"{unit}s": delta})
        return Date(self._datetime() + days)

    def getInfo(self) -> dict[str, Any]:
        """Give it as Earth Engine does."""
        return {"type": "Date", "value": self.millis().getInfo()}

    def _datetime(self) -> datetime.datetime:
        found: datetime.datetime = self.instant.astype("M8[ms]").item()
        return found


def property_of(dataset: xr.Dataset, name: str, word: str) -> xr.DataArray:
    """Find a property: a coordinate of that name, or the one that is known by it.

    Raises
    ------
    KeyError
        There is none.
    """
    for known in (name, KNOWN_AS.get(name)):
        if known is not None and known in dataset.coords:
            found = dataset[known]
            return found.reset_coords(drop=True)
    there = [str(n) for n, c in dataset.coords.items() if c.dims in (("time",), ())]
    raise KeyError(
        f"{word}: the images have no property {name!r}; properties are coordinates along time: "
        f"{', '.join(map(repr, there)) or 'none'}. Add one with "
        "collection.dataset.assign_coords({name: ('time', [...])}), and wrap that."
    )


def comparable(values: xr.DataArray, other: Any) -> tuple[Any, Any]:
    """Bring the values of a property and what they are compared with into one form."""
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
            f"the property {values.name!r} is not a number ({values.dtype}), so it makes no band."
        )
    return values
