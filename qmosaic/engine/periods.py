"""A mosaic for each period: months, seasons, weeks; also for periods without any image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import tokenize

from qmosaic.collection.declarations import masked_value
from qmosaic.collection.filters import choose_images
from qmosaic.collection.masks import NO_IMAGE, Array
from qmosaic.collection.model import bands_of, check_choice
from qmosaic.collection.pixelwise import of_single_pixels
from qmosaic.collection.times import in_utc
from qmosaic.engine.attributes import PREFIX, time_span
from qmosaic.engine.kernels import Ties, index_dtype
from qmosaic.engine.mosaic import make_mosaic
from qmosaic.engine.request import Collection, Masked, Rules

Empty = Literal["mask", "drop"]

NAMELESS = "mosaics of an array"
"""What a DataArray is called among its coordinates, none of which has such a name."""

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


def mosaic_by_period(
    collection: Collection,
    quality_band: Hashable,
    period: Any = "MS",
    *,
    empty: Empty = "mask",
    dim: Hashable = "time",
    ties: Ties = "first",
    masked: Masked = "keep",
    fill_value: float | int | bool | None = None,
    min_quality: float | int | None = None,
    upper_bound: float | int | None = None,
) -> Collection:
    """Make a quality mosaic for each period: each month, each season, each week.

    Parameters
    ----------
    collection : xarray.Dataset or xarray.DataArray
        As for `quality_mosaic`; along `dim` lie times, in any order.
    quality_band : hashable
        The name of the band that orders the images; the highest value wins.
    period : str or pandas offset, default: "MS"
        How long a period is and where it begins, as a frequency of pandas: "MS" (months), "QS-DEC"
        (seasons from December on), "YS" (years), "W" (weeks from Monday to Sunday), "10D" (ten days
        each, from midnight of the first image's day on).
    empty : {"mask", "drop"}, default: "mask"
        What becomes of a period without images between the first and the last image: it is masked
        in every band, or it is left out.
    dim : hashable, default: "time"
        The dimension along which the images lie, and the mosaics after them.
    ties, masked, fill_value, min_quality, upper_bound
        As for `quality_mosaic`. An integer band that declares no nodata gets `fill_value` (0 by
        default) in an empty period, and declares it for all periods.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        What `collection` is, with a mosaic in place of the images of each period. `dim` comes
        first; its coordinate is the start of each period, UTC. dtypes, attributes, coordinates and
        the chunks of the map are kept. Deferred if any band is backed by dask: a block of a period
        is made of the images of that period alone.

        Coordinates along `dim` say of each period how many images it had (``qmosaic_images``) and
        when the first and the last were taken (``qmosaic_time_first``, ``qmosaic_time_last``, NaT
        for none). The attributes of the same names are those of all images. With ``masked="fill"``
        the coordinates ``<band>_image`` are positions among all images.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        There are no times along `dim`; or as for `quality_mosaic`.
    ValueError
        `period` is no period, has no start, or is far too short; an image has no time; or as for
        `quality_mosaic`.

    Notes
    -----
    Earth Engine has no such method: there one maps ``qualityMosaic`` over a list of months.
    xarray's ``collection.resample(time="MS").map(qmosaic.quality_mosaic, ...)`` gives the same
    pixels only where no period is empty: else it turns integers into floats, and its attributes are
    those of the first period.

    Cutting a collection in time costs the dask graph, the plan of what to read, an entry for each
    image, block and band: it grows with images × blocks × bands. So it does after `filter_date`.

    To append the mosaic of a month to a store of months, write
    ``xarray.decode_cf(month).to_zarr(..., append_dim="time")``.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> days = np.array(["2020-01-05", "2020-01-20", "2020-03-01"], "datetime64[ns]")
    >>> values = np.array([[[1, 2]], [[3, 1]], [[4, 5]]], "uint16")
    >>> collection = xr.Dataset({"quality": (("time", "y", "x"), values)}, {"time": days})
    >>> months = qm.mosaic_by_period(collection, "quality", "MS")
    >>> months["quality"].values
    array([[[3, 2]],
    <BLANKLINE>
           [[0, 0]],
    <BLANKLINE>
           [[4, 5]]], dtype=uint16)
    >>> months["qmosaic_images"].values
    array([2, 0, 1])
    >>> int(months["quality"].attrs["_FillValue"])
    0
    """
    check_choice("empty", empty, ("mask", "drop"))
    rules = Rules(dim, ties, masked, fill_value, min_quality, upper_bound)
    if not isinstance(collection, xr.Dataset | xr.DataArray) or not collection.sizes.get(dim):
        return make_mosaic(collection, quality_band, rules)  # which says what is wrong
    collection = in_utc(collection)
    times = _times(collection, dim)
    periods = _Periods.of(times, period)
    if empty == "drop":
        periods = periods.without_empty()
    lacking = any(len(places) == 0 for places in periods.places)
    mosaics = [
        None
        if len(places) == 0
        else make_mosaic(
            choose_images(collection, places, dim),
            quality_band,
            rules,
            among_empty=lacking,
        )
        for places in periods.places
    ]
    bands: list[Hashable] = [NAMELESS]
    if isinstance(collection, xr.Dataset):
        bands = bands_of(collection, dim)
    along = _Stack(dim, bands, periods, fill_value, len(times)).join(mosaics)
    record = {"images": len(times), **time_span(collection, dim), "period": periods.name}
    along = along.assign_coords(periods.coordinates(dim, times))
    record = {PREFIX + key: value for key, value in record.items()}
    if isinstance(collection, xr.Dataset):
        return along.assign_attrs(record)
    return along[NAMELESS].rename(collection.name).assign_attrs(record)


def _times(collection: xr.Dataset | xr.DataArray, dim: Hashable) -> pd.DatetimeIndex:
    index = collection.indexes.get(dim)
    if not isinstance(index, pd.DatetimeIndex):
        has = "no coordinate" if index is None else f"a coordinate of dtype {index.dtype}"
        if isinstance(index, xr.CFTimeIndex):
            has = "times of another calendar (cftime)"
        raise TypeError(
            f"mosaic_by_period() needs times along {dim!r}, which has {has}. Write "
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


MOST = 100_000
"""How many periods there can be."""


# -- periods -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Periods:
    """Periods in order, and which images are of each.

    Attributes
    ----------
    name : str
        How they are called in pandas.
    starts : pandas.DatetimeIndex
        When they begin.
    places : sequence of numpy.ndarray
        The positions of the images of each, in the order of the collection.
    """

    name: str
    starts: pd.DatetimeIndex
    places: Sequence[Array]

    @staticmethod
    def of(times: pd.DatetimeIndex, period: Any) -> _Periods:
        """Divide times into periods, from that of the first to that of the last."""
        offset = _offset(period)
        _check_number(times, offset, period)
        if isinstance(offset, NAMED_BY_THEIR_END):
            starts, which = _by_calendar(times, offset, period)
        else:
            starts = pd.Series(0, times.unique().sort_values()).resample(offset).sum().index
            which = starts.searchsorted(times, side="right") - 1
        order = np.argsort(which, kind="stable")
        borders = np.searchsorted(which[order], np.arange(1, len(starts)))
        return _Periods(offset.freqstr, starts, np.split(order, borders))

    def without_empty(self) -> _Periods:
        """Leave out those without images."""
        full = [n for n, places in enumerate(self.places) if len(places)]
        return _Periods(self.name, self.starts[full], [self.places[n] for n in full])

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


def _offset(period: Any) -> Any:
    try:
        offset = pd.tseries.frequencies.to_offset(period)
        if offset is None or not offset.n > 0:
            raise ValueError("it has no length")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"period={period!r} is no period of time ({error}). Write it as pandas does: "
            "'MS' (months), 'QS-DEC' (seasons), 'YS' (years), 'W' (weeks), '10D' (ten days)."
        ) from error
    return offset


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


# -- mosaics behind each other -------------------------------------------------------------------


@dataclass(frozen=True)
class _Stack:
    """How the mosaics of periods become one dataset.

    Attributes
    ----------
    dim : hashable
        The dimension along which they lie.
    bands : list of hashable
        What there is of each period; other variables are there once.
    periods : _Periods
        The periods.
    fill_value : scalar
        What stands for masked in bands that have no other value for it.
    images : int
        The images in all.
    """

    dim: Hashable
    bands: list[Hashable]
    periods: _Periods
    fill_value: Any
    images: int

    def join(self, mosaics: Sequence[Any]) -> xr.Dataset:
        """Put mosaics behind each other; None stands for a period without images."""
        given = [
            one.to_dataset(name=NAMELESS) if isinstance(one, xr.DataArray) else one
            for one in mosaics
        ]
        first: xr.Dataset = next(one for one in given if one is not None)
        joined = {name: self._bands(given, first[name]) for name in self.bands}
        sources = [n for n in first.coords if n in {f"{name}_image" for name in self._names(first)}]
        positions = {name: self._positions(given, first[name]) for name in sources}
        return first.assign(joined).assign_coords(positions)

    def _names(self, first: xr.Dataset) -> list[Hashable]:
        if self.bands == [NAMELESS]:
            return list(first["band"].values)
        return self.bands

    def _bands(self, given: Sequence[Any], like: xr.DataArray) -> xr.Variable:
        fill = masked_value(like, self.fill_value)
        parts = [
            _full_like(like.variable, fill, like.dtype, number)
            if one is None
            else one[like.name].variable
            for number, one in enumerate(given)
        ]
        return self._behind_each_other(parts)

    def _positions(self, given: Sequence[Any], like: xr.DataArray) -> xr.Variable:
        """Bring positions among the images of a period to those among all images."""
        dtype = index_dtype(self.images)
        parts = []
        for number, (one, places) in enumerate(zip(given, self.periods.places, strict=True)):
            if one is None:
                parts.append(_full_like(like.variable, NO_IMAGE, dtype, number))
                continue
            variable = one[like.name].variable
            table = np.append(places, NO_IMAGE).astype(dtype)  # −1 is the last entry
            data = variable.data
            if isinstance(data, da.Array):
                data = data.map_blocks(_look_up, table=table, dtype=dtype)
            else:
                data = _look_up(data, table=table)
            parts.append(xr.Variable(variable.dims, data, variable.attrs))
        return self._behind_each_other(parts)

    def _behind_each_other(self, parts: Sequence[xr.Variable]) -> xr.Variable:
        joined: xr.Variable = xr.Variable.concat(  # type: ignore[no-untyped-call]
            parts, self.dim
        )
        kept = next((part for part in parts if part.attrs or part.encoding), parts[0])
        joined.attrs, joined.encoding = dict(kept.attrs), dict(kept.encoding)
        return joined


@of_single_pixels
def _look_up(index: Array, table: Array) -> Array:
    found: Array = table[index]
    return found


def _full_like(like: xr.Variable, fill: Any, dtype: Any, number: int) -> xr.Variable:
    """Make a variable of one value, in the blocks of another."""
    if like.chunks is None:
        values: Any = np.full(like.shape, fill, dtype)
    else:
        # a name of its own for each, so that periods have no task in common
        name = "qmosaic-empty-" + tokenize(like.shape, like.chunks, fill, dtype, number)
        values = da.full(like.shape, fill, dtype=dtype, chunks=like.chunks, name=name)
    return xr.Variable(like.dims, values, like.attrs, like.encoding)
