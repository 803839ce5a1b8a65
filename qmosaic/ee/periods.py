"""Which images or features are of a period, or of a part of the year."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.filters import in_period
from qmosaic.collection.masks import Array
from qmosaic.ee.elements import column
from qmosaic.ee.values import Date, DateRange, known
from qmosaic.ee.values.dates import padded

FIELDS = {
    "year": "year",
    "month": "month",
    "hour": "hour",
    "minute": "minute",
    "day_of_year": "dayofyear",
    "day_of_month": "day",
    "day_of_week": "dayofweek",
}
"""Parts of a date, as Earth Engine names them and as xarray does."""


def of_period(elements: Any, first: Any, last: Any) -> Array:
    """Tell which images or features are from an instant on and before another one."""
    if isinstance(elements, xr.Dataset):
        return in_period(elements, first, last)
    times = _times_of(elements, "ee.Filter.date()")
    return in_period(xr.Dataset(coords={"time": times}), first, last)


def in_part_of_date(elements: Any, first: int, last: int, field: str) -> Array:
    """Tell of which a part of the date is in a range, both ends included; a range whose end is
    before its start goes over the end of the year."""
    times = _times_of(elements, "ee.Filter.calendarRange()")
    own = getattr(xr.DataArray(times).dt, FIELDS[field]).values
    own = own + 1 if field == "day_of_week" else own
    inside: Array = (own >= first) & (own <= last)
    return inside if first <= last else (own >= first) | (own <= last)


def _times_of(elements: Any, caller: str) -> Array:
    """Give times, that features have as milliseconds."""
    values = column(elements, "system:time_start", caller)
    if values.dtype.kind == "M":
        return values.astype("M8[ns]")
    whole = np.where(np.isnan(values), np.iinfo("int64").min, values)
    return whole.astype("int64").astype("M8[ms]").astype("M8[ns]")


def period_of(start: Any, end: Any = None) -> tuple[Any, Any]:
    """Take the start and the end of a period, or both in an ``ee.DateRange``."""
    first, last = (known(one, "filterDate()") for one in (start, end))
    if isinstance(first, DateRange):
        first, last = first.start(), first.end()
    return instant(first), None if last is None else instant(last)


def instant(given: Any) -> Any:
    """Take a date as it was given; numbers are milliseconds, as in Earth Engine."""
    given = known(given, "a date")
    if isinstance(given, Date | int | float):
        return Date(given).instant
    return padded(given) if isinstance(given, str) else given
