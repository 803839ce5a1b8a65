"""Instants as people write them: ISO 8601, dates, datetimes, numpy's; in UTC."""

from __future__ import annotations

import datetime
import re
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import xarray as xr

Instant = str | datetime.date | np.datetime64

_ISO = re.compile(
    r"(?P<instant>\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?)?)?)?)"
    r"\s*(Z|(?P<zone>[+-]\d\d(:?\d\d)?))?"
)

_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
"""ISO 8601 without separators: 20200701, 20200701T101559Z."""

_OF_YEAR = re.compile(r"(\d{4})-?(\d{3})(?:T(\d\d):?(\d\d):?(\d\d)(Z?))?")
"""ISO 8601 by the day of the year: 2020-183, 2020183T101559Z."""


Data = TypeVar("Data", bound=xr.Dataset | xr.DataArray)


def in_utc(data: Data) -> Data:
    """Bring times that tell a zone to UTC, as datetime64; everything else is left as it is.

    numpy's times have no zone, so xarray holds such times as objects of pandas or of Python,
    which can be neither compared with other times nor stored.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        Coordinates, bands without a map, and a DataArray that is itself made of times are looked
        at. Among times with a zone, one without is taken as UTC.
    """
    if isinstance(data, xr.Dataset):
        moved = {n: v for n, c in data.variables.items() if (v := _moved(c)) is not None}
        return data.assign(moved) if moved else data
    moved = {n: v for n, c in data.coords.items() if (v := _moved(c.variable)) is not None}
    own = _moved(data.variable)
    if own is not None:
        others = {n: c for n, c in data.coords.items() if n not in moved}
        data = cast(Data, xr.DataArray(own, others, name=data.name))
    return cast(Data, data.assign_coords(moved)) if moved else data


def _moved(variable: xr.Variable) -> xr.Variable | None:
    """Give a variable of times with a zone in UTC, None where it is nothing of the kind."""
    plain = isinstance(variable.dtype, np.dtype) and variable.dtype.kind != "O"
    if plain or variable.ndim > 1 or variable.chunks is not None:
        return None
    try:
        found: Any = variable.to_index() if variable.ndim else [variable.values.item()]
    except TypeError:  # a single time of pandas, which xarray before 2025.4 cannot read itself
        return None
    if not isinstance(found, pd.DatetimeIndex):
        times = [one for one in found if not _is_missing(one)]
        if not all(isinstance(one, datetime.datetime) for one in times):
            return None
        if not any(one.tzinfo is not None for one in times):
            return None
        found = pd.to_datetime(list(found), utc=True)
    if found.tz is None:
        return None
    values = found.tz_convert("UTC").tz_localize(None).values
    return xr.Variable(variable.dims, values if variable.ndim else values[0], variable.attrs)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and value != value)


def moment(given: Instant, name: str) -> np.datetime64:
    """Parse an instant, in the precision in which it was given, as UTC.

    Raises
    ------
    TypeError
        It is nothing of the kind.
    ValueError
        It is no time.
    """
    found: np.datetime64
    try:
        if isinstance(given, str):
            found = _parsed(given)
        elif given is not None and given != given:  # NaT, pandas' or numpy's
            raise ValueError("it is not a time")
        elif isinstance(given, datetime.datetime):  # pandas.Timestamp is one
            if given.tzinfo is not None:
                given = given.astimezone(datetime.UTC).replace(tzinfo=None)
            found = np.datetime64(given, "us")
        elif isinstance(given, datetime.date | np.datetime64):
            found = np.datetime64(given)
        else:
            raise TypeError(
                f"{name}={given!r} ({type(given).__name__}) is no time. Write a text such as "
                "'2020-07-01', a date, a datetime or a numpy.datetime64."
            )
    except ValueError as error:
        raise ValueError(
            f"{name}={given!r} is no time ({error}). Write it as '2020-07-01' or "
            "'2020-07-01T10:15:59'."
        ) from error
    return found


def _parsed(text: str) -> np.datetime64:
    """Parse ISO 8601 only: in other forms day and month can be mistaken for each other."""
    basic = _BASIC.fullmatch(text.strip())
    of_year = _OF_YEAR.fullmatch(text.strip())
    if of_year is not None:
        clock = "T{}:{}:{}{}".format(*of_year.groups()[2:]) if of_year[3] else ""
        text = f"{_day_of_year(of_year[1], int(of_year[2]))}{clock}"
    elif basic is not None:
        day = f"{basic[1]}-{basic[2]}-{basic[3]}"
        text = day if basic[4] is None else f"{day}T{basic[4]}:{basic[5]}:{basic[6]}{basic[7]}"
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is not in the form of ISO 8601")
    instant = np.datetime64(found["instant"])
    if found["zone"]:
        zone = found["zone"].replace(":", "")
        minutes = int(zone[:3]) * 60 + int(zone[0] + (zone[3:] or "0"))
        unit = max(np.datetime_data(instant)[0], "m", key="YMWDhmsun".index)
        instant = instant.astype(f"M8[{unit}]") - np.timedelta64(minutes, "m")
    return instant


def _day_of_year(year: str, number: int) -> np.datetime64:
    """Count the days of a year from 1."""
    day = np.datetime64(year, "D") + (number - 1)
    if number < 1 or day.astype("M8[Y]") != np.datetime64(year, "Y"):
        raise ValueError(f"the year {year} has no day {number}")
    return day
