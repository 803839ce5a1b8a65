"""Periods: which images are of which month, season, week, or of which window of time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from xarray.groupers import Grouper, Resampler

from qmosaic.collection.declarations import PREFIX
from qmosaic.collection.masks import Array
from qmosaic.engine.deciders import Periods

Empty = Literal["mask", "drop"]

NAMED_BY_THEIR_END = (
    pd.offsets.Week,
    pd.offsets.MonthEnd,
    pd.offsets.QuarterEnd,
    pd.offsets.YearEnd,
    pd.offsets.BusinessMonthEnd,
    pd.offsets.BQuarterEnd,
    pd.offsets.BYearEnd,
)
"""Periods that pandas labels by their last day, where it resamples."""

MOST = 100_000
"""How many periods there can be."""


def divide(
    collection: xr.Dataset | xr.DataArray, dim: Hashable, period: Any, rolling: Any, empty: Empty
) -> Division:
    """Divide the images of a collection into periods.

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        The images, times in UTC.
    dim : hashable
        The dimension along which they lie.
    period, rolling, empty
        As for `quality_mosaic`.
    """
    times = _times(collection, dim)
    several = Sequence | np.ndarray | pd.Index | xr.DataArray
    if isinstance(period, Grouper):
        found = _by_grouper(times, period)
    elif isinstance(period, several) and not isinstance(period, str):
        found = _by_edges(times, period)
    else:
        found = _by_offset(times, period)
    if rolling is not None:
        found = _with_windows(found, times, period, rolling)
    if not any(len(places) for places in found.places):
        raise ValueError(
            f"period={_shown(period)} and rolling={rolling!r} leave none of {len(times)} images in "
            f"any period: they are from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}. Write "
            "longer windows, or other periods."
        )
    return found if empty == "mask" else found.without_empty()


def _times(collection: xr.Dataset | xr.DataArray, dim: Hashable) -> pd.DatetimeIndex:
    index = collection.indexes.get(dim)
    if not isinstance(index, pd.DatetimeIndex):
        has = "no coordinate" if index is None else f"a coordinate of dtype {index.dtype}"
        if isinstance(index, xr.CFTimeIndex):
            has = "times of another calendar (cftime)"
        raise TypeError(
            f"period= needs times along {dim!r}, which has {has}. Write "
            f"collection.assign_coords({dim}=pandas.to_datetime([...])), or "
            f"collection.convert_calendar('standard', dim={dim!r}, align_on='date') for times of "
            "another calendar; days that the usual one does not have, 30 February, are left out."
        )
    missing = np.flatnonzero(index.isna())
    if len(missing):
        raise ValueError(
            f"the images at {', '.join(map(str, missing[:5]))} along {dim!r} have no time (NaT), "
            f"so they are of no period. Leave them out: collection.isel({dim}=collection[{dim!r}]"
            ".notnull().values)."
        )
    return index


@dataclass(frozen=True)
class Division:
    """Periods in order, and which images are of each.

    Attributes
    ----------
    name : str
        How they are called, in pandas or in words.
    starts : pandas.DatetimeIndex
        When they begin.
    places : sequence of numpy.ndarray
        The positions of the images of each, in the order of the collection.
    """

    name: str
    starts: pd.DatetimeIndex
    places: Sequence[Array]

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The positions of the images of each, as numbers of Python."""
        return tuple(tuple(map(int, places)) for places in self.places)

    def along(self, dim: Hashable) -> Periods:
        """Give the periods, as the engine knows them."""
        return Periods(dim, self.members)

    def without_empty(self) -> Division:
        """Leave out those without images."""
        full = [n for n, places in enumerate(self.places) if len(places)]
        return Division(self.name, self.starts[full], [self.places[n] for n in full])

    def coordinates(self, dim: Hashable, times: pd.DatetimeIndex) -> dict[Hashable, Any]:
        """Give the start of each period, and the number and the times of its images."""
        spans = np.full((2, len(self.starts)), "NaT", "datetime64[ns]")
        for number, places in enumerate(self.places):
            if len(places):
                spans[:, number] = times[places].min(), times[places].max()
        first, last = spans
        count = np.array([len(places) for places in self.places], "int64")
        return {
            dim: (dim, self.starts.values, {"long_name": f"start of the period ({self.name})"}),
            PREFIX + "images": (dim, count, {"long_name": "images of the period"}),
            PREFIX + "time_first": (dim, first, {"long_name": "first image of the period"}),
            PREFIX + "time_last": (dim, last, {"long_name": "last image of the period"}),
        }


def _by_offset(times: pd.DatetimeIndex, period: Any) -> Division:
    """Divide times by a frequency of pandas, from the period of the first to that of the last."""
    offset = _offset(period, "period")
    if type(offset) is pd.DateOffset:
        raise ValueError(
            f"period={_shown(period)} is a length of time without a beginning. Write a frequency "
            "of pandas that has one: 'MS' for months, '2QS' for half years, '10D' for ten days."
        )
    _check_number(times, offset, period)
    if isinstance(offset, NAMED_BY_THEIR_END):
        starts, which = _by_calendar(times, offset, period)
    else:
        starts = pd.Series(0, times.unique().sort_values()).resample(offset).sum().index
        which = starts.searchsorted(times, side="right") - 1
    return Division(_name_of(offset), starts, _sorted_by(which, len(starts)))


def _sorted_by(which: Array, count: int) -> list[Array]:
    """Give the positions of what is of each period; what is of none has a negative number."""
    order = np.argsort(which, kind="stable")
    borders = np.searchsorted(which[order], np.arange(count + 1))
    return [order[a:b] for a, b in itertools.pairwise(borders)]


def _by_edges(times: pd.DatetimeIndex, edges: Any) -> Division:
    """Divide times at explicit edges; images before the first and from the last on are of none."""
    try:
        if any(isinstance(edge, int | float | np.number) for edge in edges):
            raise ValueError("a number is no time; a year is '2020'")
        moments = (pd.Timestamp(getattr(edge, "values", edge)) for edge in edges)
        found = pd.DatetimeIndex([_in_utc(moment) for moment in moments])
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"period={_shown(edges)} is no sequence of times ({error}). Write the edges of the "
            "periods, period=['2020-01-01', '2020-04-01', '2020-10-01'], or a frequency of pandas: "
            "'MS' for months."
        ) from error
    if len(found) < 2 or not found.is_monotonic_increasing or not found.is_unique:
        raise ValueError(
            f"period= got {len(found)} edges that do not divide time into periods: there have to "
            "be two at least, each later than the one before it. Write for instance "
            "period=['2020-01-01', '2020-04-01', '2020-10-01']."
        )
    which = found.searchsorted(times, side="right") - 1
    which = np.where(which == len(found) - 1, -1, which)
    if (which < 0).all():
        raise ValueError(
            f"period= got edges from {found[0]:%Y-%m-%d} to {found[-1]:%Y-%m-%d}, but the "
            f"{len(times)} images are from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}: none "
            "of them is of a period. Write edges that enclose them."
        )
    return Division("between edges", found[:-1], _sorted_by(which, len(found) - 1))


def _shown(given: Any) -> str:
    """Show what was given in a line."""
    return " ".join(f"{given!r}".split())[:80]


def _in_utc(moment: pd.Timestamp) -> pd.Timestamp:
    """Bring a time with a zone to UTC; one without is in UTC."""
    return moment if moment.tz is None else moment.tz_convert("UTC").tz_localize(None)


def _by_grouper(times: pd.DatetimeIndex, grouper: Grouper) -> Division:
    """Divide times as a grouper of xarray does."""
    if not isinstance(grouper, Resampler):
        raise ValueError(
            f"period={grouper!r:.80} is a grouper whose groups are no stretches of time, so the "
            "mosaics cannot lie along time. Write one that resamples, "
            "xarray.groupers.TimeResampler('MS') or SeasonResampler(['DJF', 'MAM', 'JJA', 'SON'])."
        )
    if getattr(grouper, "label", None) == "right":
        raise ValueError(
            f"period={_shown(grouper)} labels periods by their end, and a mosaic is labelled by "
            "the start of its period. Leave label= out."
        )
    order = np.argsort(times, kind="stable")
    dates = xr.DataArray(times[order], dims="time", name="time")
    groups = grouper.factorize(dates)
    which = np.full(len(times), -1)
    which[order] = np.asarray(groups.codes.values)
    starts = pd.DatetimeIndex(groups.full_index)
    own = starts.searchsorted(times, side="right") - 1
    if (which != own)[which >= 0].any():
        raise ValueError(
            f"period={_shown(grouper)} puts images into periods that they are not of: xarray "
            "numbers seasons without leaving room for those that have no image. Write a frequency "
            "of pandas, period='QS-DEC', or the edges of the periods."
        )
    name = getattr(grouper, "freq", None) or type(grouper).__name__
    return Division(str(name), starts, _sorted_by(which, len(starts)))


def _with_windows(found: Division, times: pd.DatetimeIndex, period: Any, rolling: Any) -> Division:
    """Give each period the images of a window of time that begins with it."""
    if isinstance(period, Grouper) or not isinstance(period, str | pd.offsets.BaseOffset):
        raise ValueError(
            f"rolling={rolling!r} needs periods that follow each other at a frequency of pandas, "
            f"but period is {period!r:.60}. Write for instance period='MS', rolling='3MS'."
        )
    step = _offset(period, "period")
    if isinstance(step, NAMED_BY_THEIR_END):
        raise ValueError(
            f"period={period!r} is named by its end, and a window of rolling= begins with a "
            "period. Write one that has a start: '7D' for weeks, 'MS' for months, 'QS' or 'YS'."
        )
    if isinstance(rolling, int | np.integer) and not isinstance(rolling, bool):
        length = step * int(rolling) if rolling > 0 else None
    else:
        length = _offset(rolling, "rolling")
    if length is None or isinstance(length, NAMED_BY_THEIR_END):
        raise ValueError(
            f"rolling={rolling!r} is no length of a window that begins with its period. Write a "
            "frequency of pandas that has a start, '3MS' for three months, '90D' for 90 days, or "
            "the number of periods, 3."
        )
    span = _as_length(length)
    places = [np.flatnonzero((times >= start) & (times < start + span)) for start in found.starts]
    return Division(f"{found.name}, windows of {_name_of(length)}", found.starts, places)


def _as_length(offset: Any) -> Any:
    """Give a length of calendar months or years for an offset that goes on to their next start,
    which is nearer from the middle of one."""
    months = {pd.offsets.MonthBegin: 1, pd.offsets.QuarterBegin: 3, pd.offsets.YearBegin: 12}
    number = months.get(type(offset))
    return offset if number is None else pd.DateOffset(months=number * offset.n)


def _offset(period: Any, argument: str) -> Any:
    try:
        given = pd.Timedelta(period) if isinstance(period, np.timedelta64) else period
        offset = pd.tseries.frequencies.to_offset(given)
        if offset is None or not offset.n > 0:
            raise ValueError("it has no length")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{argument}={_shown(period)} is no period of time ({error}). Write it as pandas does: "
            "'MS' (months), 'QS-DEC' (seasons), 'YS' (years), 'W' (weeks), '10D' (ten days)."
        ) from error
    return offset


def follows_calendar(name: str) -> bool:
    """Whether the name of a division is a frequency by which new times can be divided alike."""
    try:
        one = re.fullmatch(r"[\w-]+", name) is not None
        return one and bool(pd.tseries.frequencies.to_offset(name).freqstr == name)
    except (ValueError, TypeError, AttributeError):
        return False


def _name_of(offset: Any) -> str:
    """Name an offset as pandas does; a length of calendar units has no such name."""
    try:
        return str(offset.freqstr)
    except NotImplementedError:
        return str(offset).strip("<>")


def _check_number(times: pd.DatetimeIndex, offset: Any, period: Any) -> None:
    """Refuse periods that are far too short: too many of them."""
    first, last = times.min(), times.max()
    number = (last - first) / ((first + offset) - first)
    if number > MOST:
        raise ValueError(
            f"period={period!r} divides {first:%Y-%m-%d} to {last:%Y-%m-%d} into about "
            f"{number:.0f} periods, for {len(times)} images; more than {MOST} are not made. Write "
            "a longer one, for instance 'D' for days, or choose the images first, filter_date()."
        )


def _by_calendar(
    times: pd.DatetimeIndex, offset: Any, period: Any
) -> tuple[pd.DatetimeIndex, Array]:
    """Divide times into periods that pandas names by their end; here they have a start."""
    business = not isinstance(offset, NAMED_BY_THEIR_END[:4])
    if offset.n > 1 or business:
        raise ValueError(
            f"period={period!r} is named by its end, and a mosaic is labelled by the start of "
            "its period. Write one that has a start: '2MS' for two months, '14D' for two weeks, "
            "'QS' for quarters, 'YS' for years."
        )
    own = times.to_period(offset)
    all_of_them = pd.period_range(own.min(), own.max(), freq=own.freq)
    return all_of_them.start_time, all_of_them.get_indexer(own)
