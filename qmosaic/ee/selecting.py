"""``ee.Filter``: which images of a collection are kept."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.filters import in_period
from qmosaic.collection.location import intersecting
from qmosaic.collection.masks import Array
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.properties import comparable, property_of
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import Date, known
from qmosaic.ee.values.dates import padded

Keep = Callable[[xr.Dataset], Array]


def _comparing(method_name: str, relation: str, function: Callable[..., Any]) -> Any:
    """Make a filter that compares a property with a value."""

    def method(name: str, value: Any) -> Filter:
        return _by_property(method_name, name, value, function)

    text = f"Keep images whose property is {relation} a value; see the examples of `Filter`."
    method.__name__, method.__doc__ = method_name, text
    return staticmethod(method)


def _by_property(method: str, name: str, value: Any, function: Callable[..., Any]) -> Filter:
    def keep(dataset: xr.Dataset) -> Array:
        own, other = comparable(property_of(dataset, name, f"ee.Filter.{method}"), value)
        return np.broadcast_to(np.asarray(function(own, other), bool), np.shape(own))

    return Filter(keep, f"{method}({name!r}, {value!r})")


class Filter(Hinting):
    """A condition that tells which images of a collection are kept.

    Attributes
    ----------
    keep : callable
        Takes the Dataset of a collection, gives a bool for each of its images.
    description : str
        How the filter was written, for errors: ``lt('cloud_cover', 20)``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> days = np.array(["2019-12-30", "2020-01-10", "2020-07-01", "2020-08-01"], "M8[ns]")
    >>> known = {"time": days, "n": ("time", [1, 2, 3, 4])}
    >>> col = ee.ImageCollection(xr.Dataset({"a": ("time", [5, 6, 7, 8])}, known))
    >>> def kept(filter):
    ...     return col.filter(filter).aggregate_array("n")

    By a property:

    >>> kept(ee.Filter.eq("n", 2)), kept(ee.Filter.neq("n", 2))
    ([2], [1, 3, 4])
    >>> kept(ee.Filter.lt("n", 2)), kept(ee.Filter.lte("n", 2))
    ([1], [1, 2])
    >>> kept(ee.Filter.gt("n", 2)), kept(ee.Filter.gte("n", 2))
    ([3, 4], [2, 3, 4])
    >>> kept(ee.Filter.inList("n", [1, 4])), kept(ee.Filter.rangeContains("n", 2, 3))
    ([1, 4], [2, 3])

    By the date; the last two go over the end of the year:

    >>> kept(ee.Filter.date("2020-01-01", "2020-08-01"))
    [2, 3]
    >>> kept(ee.Filter.calendarRange(7, 8, "month"))
    [3, 4]
    >>> kept(ee.Filter.calendarRange(12, 1, "month")), kept(ee.Filter.dayOfYear(360, 15))
    ([1, 2], [1, 2])

    Together:

    >>> kept(ee.Filter.And(ee.Filter.gt("n", 1), ee.Filter.lt("n", 4)))
    [2, 3]
    >>> kept(ee.Filter.Or(ee.Filter.eq("n", 1), ee.Filter.eq("n", 2)).Not())
    [3, 4]
    >>> ee.Filter.bounds(ee.Geometry.Point(-103.19, 40.14))
    ee.Filter.bounds(ee.Geometry.Point(-103.19, 40.14) in EPSG:4326)
    """

    _name = "ee.Filter"

    def __init__(self, keep: Keep, description: str) -> None:
        self.keep = keep
        self.description = description

    def __repr__(self) -> str:
        return f"ee.Filter.{self.description}"

    @staticmethod
    def date(start: Any, end: Any = None) -> Filter:
        """Keep images from `start` on, before `end`; without it, those of that instant."""
        first, last = (None if d is None else instant(d) for d in (start, end))
        description = f"date({first!s}" + (f", {last!s})" if last is not None else ")")
        return Filter(lambda ds: in_period(ds, first, last), description)  # type: ignore[arg-type]

    @staticmethod
    def bounds(geometry: Any) -> Filter:
        """Keep images whose footprint a region intersects; see `qmosaic.filter_bounds`."""
        region = Geometry(geometry).geometry
        return Filter(lambda ds: intersecting(ds, region, "time"), f"bounds({geometry!r:.60})")

    eq = _comparing("eq", "equal to", operator.eq)
    neq = _comparing("neq", "not equal to", operator.ne)
    lt = _comparing("lt", "less than", operator.lt)
    lte = _comparing("lte", "less than or equal to", operator.le)
    gt = _comparing("gt", "greater than", operator.gt)
    gte = _comparing("gte", "greater than or equal to", operator.ge)

    @staticmethod
    def inList(name: str, values: Any) -> Filter:
        """Keep images whose property is one of some values."""
        return _by_property("inList", name, list(values), np.isin)

    @staticmethod
    def rangeContains(field: str, minValue: Any, maxValue: Any) -> Filter:
        """Keep images whose property is between two values, both included."""
        return Filter.And(Filter.gte(field, minValue), Filter.lte(field, maxValue))

    @staticmethod
    def calendarRange(start: int, end: int | None = None, field: str = "day_of_year") -> Filter:
        """Keep images of some years, months or days of the year, both ends included.

        A range whose end is before its start goes over the end of the year.
        """
        fields = {"day_of_year": "dayofyear", "month": "month", "year": "year", "hour": "hour"}
        if field not in fields:
            raise ValueError(
                f"ee.Filter.calendarRange() got the field {field!r}, which is not known; it takes "
                f"{', '.join(map(repr, fields))}."
            )
        return _cyclic(f"calendarRange({start}, {end}, {field!r})", start, end, fields[field])

    @staticmethod
    def dayOfYear(start: int, end: int) -> Filter:
        """Keep images from one day of the year to another, both included; see calendarRange."""
        return _cyclic(f"dayOfYear({start}, {end})", start, end, "dayofyear")

    @staticmethod
    def And(*filters: Filter) -> Filter:
        """Keep images that all filters keep."""
        return _joined("And", filters, np.logical_and)

    @staticmethod
    def Or(*filters: Filter) -> Filter:
        """Keep images that one of the filters keeps."""
        return _joined("Or", filters, np.logical_or)

    def Not(self) -> Filter:
        """Keep the images that this filter does not."""
        return Filter(lambda ds: ~self.keep(ds), f"Not({self.description})")


def _cyclic(description: str, start: int, end: int | None, part: str) -> Filter:
    """Make a filter of a part of the date; a range whose end is before its start wraps round."""
    last = start if end is None else end

    def keep(dataset: xr.Dataset) -> Array:
        own = getattr(dataset["time"].dt, part).values
        inside: Array = (own >= start) & (own <= last)
        return inside if start <= last else (own >= start) | (own <= last)

    return Filter(keep, description)


def _joined(method: str, filters: tuple[Any, ...], function: Any) -> Filter:
    listed = (
        list(filters[0]) if len(filters) == 1 and not isinstance(filters[0], Filter) else filters
    )
    if not listed or not all(isinstance(f, Filter) for f in listed):
        raise TypeError(
            f"ee.Filter.{method}() takes filters, and got {filters!r:.60}. Write, for instance, "
            f"ee.Filter.{method}(ee.Filter.gt('n', 1), ee.Filter.lt('n', 4))."
        )
    return Filter(
        lambda ds: function.reduce([f.keep(ds) for f in listed]),
        f"{method}({', '.join(f.description for f in listed)})",
    )


def instant(given: Any) -> Any:
    """Take a date as it was given; numbers are milliseconds, as in Earth Engine."""
    given = known(given, "a filter by dates")
    if isinstance(given, Date | int | float):
        return Date(given).instant
    return padded(given) if isinstance(given, str) else given
