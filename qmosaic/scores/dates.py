"""Scores of the date on which an image was taken."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.times import Instant, in_utc, moment
from qmosaic.scores.expressions import check_positive

DAY = np.timedelta64(1, "D")


def target_date(times: xr.Dataset | xr.DataArray, date: Instant, *, sigma: float) -> xr.DataArray:
    """Prefer images near a date: ``exp(-(d / sigma)² / 2)``, d the distance in days.

    Parameters
    ----------
    times : xarray.Dataset or xarray.DataArray
        A collection, a band of it, or its coordinate ``time``: UTC, or with a zone.
    date : str, date, datetime or numpy.datetime64
        The best instant, UTC; ``"2020-07-15"`` is its midnight.
    sigma : float
        The width in days: at that distance the score is 0.61.

    Returns
    -------
    xarray.DataArray
        float64 along ``time``, 0 to 1, without unit. Fractions of a day count.

    Raises
    ------
    ValueError
        `sigma` is not above 0, or `date` is no time.
    TypeError
        There are no times.

    Notes
    -----
    A Gaussian of time, as in Griffiths et al. (2013), A Pixel-Based Landsat Compositing Algorithm
    for Large Area Land Cover Mapping, https://doi.org/10.1109/JSTARS.2012.2228167

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> days = np.array(["2020-07-15", "2020-07-25"], "datetime64[ns]")
    >>> time = xr.DataArray(days, {"time": days}, "time")
    >>> qm.scores.target_date(time, "2020-07-15", sigma=10).values.round(3)
    array([1.   , 0.607])
    """
    sigma = check_positive(sigma, "sigma", "target_date()")
    coordinate = _times(times, "target_date()")
    days = (coordinate.values - moment(date, "date")) / DAY
    return _gaussian(coordinate, days, sigma)


def target_day_of_year(
    times: xr.Dataset | xr.DataArray, day: int | str, *, sigma: float
) -> xr.DataArray:
    """Prefer images near a day of the year: ``exp(-(d / sigma)² / 2)``, d the distance in days.

    Parameters
    ----------
    times : xarray.Dataset or xarray.DataArray
        A collection, a band of it, or its coordinate ``time``: UTC, or with a zone.
    day : int or str
        The best day: its number in the year, 1 to 366, or month and day, "07-15".
    sigma : float
        The width in days: at that distance the score is 0.61.

    Returns
    -------
    xarray.DataArray
        float64 along ``time``, 0 to 1, without unit. d is counted in whole days, to the
        nearest such day in the same, the previous or the next year: from 31 December to 1 January
        it is one day.

    Raises
    ------
    ValueError
        `sigma` is not above 0, or there is no such day.
    TypeError
        There are no times.

    Notes
    -----
    Griffiths et al. (2013), https://doi.org/10.1109/JSTARS.2012.2228167, and White et al. (2014),
    Pixel-Based Image Compositing for Large-Area Dense Time Series Applications and Science,
    https://doi.org/10.1080/07038992.2014.945827

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> days = np.array(["2019-12-31", "2020-01-11"], "datetime64[ns]")
    >>> time = xr.DataArray(days, {"time": days}, "time")
    >>> qm.scores.target_day_of_year(time, "01-01", sigma=10).values.round(3)
    array([0.995, 0.607])
    """
    sigma = check_positive(sigma, "sigma", "target_day_of_year()")
    coordinate = _times(times, "target_day_of_year()")
    dates = coordinate.values.astype("datetime64[D]")
    years = dates.astype("datetime64[Y]")
    targets = np.stack([_in_year(years + shift, day) for shift in (-1, 0, 1)])
    apart = np.abs((dates - targets) / DAY).min(axis=0)
    return _gaussian(coordinate, apart, sigma)


def _gaussian(coordinate: xr.DataArray, days: Any, sigma: float) -> xr.DataArray:
    score = np.exp(-((days / sigma) ** 2) / 2)
    return xr.DataArray(score, coordinate.coords, coordinate.dims)


def _in_year(years: Any, day: int | str) -> Any:
    """Find a day of the year in each of some years."""
    start = years.astype("datetime64[D]")
    if isinstance(day, str):
        found = re.fullmatch(r"(\d\d)-(\d\d)", day.strip())
        try:
            if found is None:
                raise ValueError("it is not in the form 07-15")
            datetime.date(2020, int(found[1]), int(found[2]))  # a leap year: 02-29 is a day
        except ValueError as error:
            raise ValueError(
                f"target_day_of_year() got day={day!r}, which is no day of the year ({error}). "
                "Write '07-15', or its number in the year."
            ) from error
        month = years.astype("datetime64[M]") + (int(found[1]) - 1)
        return month.astype("datetime64[D]") + (int(found[2]) - 1)
    if isinstance(day, bool) or not isinstance(day, int | np.integer) or not 1 <= day <= 366:
        raise ValueError(
            f"target_day_of_year() got day={day!r}; a year has the days 1 to 366. Write one of "
            "them, or '07-15'."
        )
    return start + (int(day) - 1)


def _times(times: Any, caller: str) -> xr.DataArray:
    if not isinstance(times, xr.Dataset | xr.DataArray):
        raise TypeError(
            f"{caller} got a {type(times).__name__}; give a collection or its coordinate, "
            "collection['time']."
        )
    times = in_utc(times)
    found = times if isinstance(times, xr.DataArray) and times.dtype.kind == "M" else None
    if found is None and "time" in times.coords:
        found = times["time"]
    if found is None or found.dtype.kind != "M":
        raise TypeError(
            f"{caller} needs times, and there is no coordinate 'time' of datetime64. Write "
            "collection.assign_coords(time=pandas.to_datetime([...]))."
        )
    dims = set(found.dims)
    kept: xr.DataArray = found.drop_vars(
        [n for n, c in found.coords.items() if not dims >= set(c.dims)]
    )
    return kept
