"""``ee.Filter``: which images of a collection, or which features, are kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.geometry import LON_LAT, everywhere, projected
from qmosaic.collection.location import intersecting
from qmosaic.collection.masks import Array
from qmosaic.ee.comparing import (
    TESTS,
    Operand,
    Test,
    difference,
    of_elements,
    of_pairs,
    operands,
    opposite,
)
from qmosaic.ee.elements import column_if_any, count_of, is_missing, outlines
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.periods import FIELDS, in_part_of_date, of_period, period_of
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import known
from qmosaic.optional import needed

Keep = Callable[[Any], Array]
Pairs = Callable[[Any, Any], Array]

PAGES = "https://developers.google.com/earth-engine/apidocs/ee-filter-"

COMPARE = {
    "equals": "equals",
    "less_than": "lessThan",
    "greater_than": "greaterThan",
    "contains": "stringContains",
    "starts_with": "stringStartsWith",
    "ends_with": "stringEndsWith",
}
"""Operators of `Filter.metadata`; each may follow ``not_``."""


def _comparing(name: str) -> Any:
    """Make a filter that compares two operands."""
    text, test = TESTS[name]

    def method(
        leftField: Any = None, rightValue: Any = None, rightField: Any = None, leftValue: Any = None
    ) -> Filter:
        given = {"leftField": leftField, "rightValue": rightValue}
        return _of_operands(name, test, {**given, "rightField": rightField, "leftValue": leftValue})

    method.__name__ = name
    method.__doc__ = f"""Keep where two operands {text}.

    Each is a property (a field) or a value. In a join the left field is one of the first
    collection, the right field one of the second; in a filter both are of the same image or
    feature. {PAGES}{name.lower()}
    """
    return staticmethod(method)


def _of_operands(
    name: str, test: Test, given: dict[str, Any], measure: Test | None = None
) -> Filter:
    left, right, written = operands(name, given)
    caller = f"ee.Filter.{name}()"
    return Filter._of(
        of_elements(test, left, right, caller),
        written,
        of_pairs(test, left, right, caller),
        None if measure is None else of_pairs(measure, left, right, caller),
    )


def _shortly(name: str, text: str, test: Test) -> Any:
    """Make a filter that compares a property with a value."""

    def method(name: str, value: Any) -> Filter:
        left, right, caller = Operand(name), Operand(value=value), f"ee.Filter.{written}()"
        keep, pairs = (of(test, left, right, caller) for of in (of_elements, of_pairs))
        return Filter._of(keep, f"{written}({name!r}, {value!r})", pairs)  # type: ignore[arg-type]

    written = name
    method.__name__ = name
    method.__doc__ = f"Keep images or features whose property is {text}; see `Filter`."
    return staticmethod(method)


def _about_outlines(name: str, text: str, predicate: str) -> Any:
    """Make a filter that compares where images or features lie with a region."""

    def method(
        leftField: Any = None,
        rightValue: Any = None,
        rightField: Any = None,
        leftValue: Any = None,
        maxError: Any = None,
    ) -> Filter:
        given = {
            "leftField": leftField,
            "rightValue": None if rightValue is None else _region(rightValue, name != "contains"),
            "rightField": rightField,
            "leftValue": None if leftValue is None else _region(leftValue, name != "isContained"),
        }
        return _of_operands(name, functools.partial(_related, predicate), given)

    method.__name__ = name
    method.__doc__ = f"""Keep where {text}.

    A field is ``".geo"``, a value a region. {PAGES}{name.lower()}
    """
    return staticmethod(method)


def _region(given: Any, repeated: bool = True) -> Any:
    """Give a region in longitude and latitude; repeated a turn to the west and to the east, unless
    it has to lie in another one."""
    region = projected(Geometry(given).geometry, LON_LAT)
    return everywhere(region).geom if repeated else region.geom


def _related(predicate: str, left: Array, right: Array) -> Array:
    found: Array = getattr(needed("shapely", "geo", "regions"), predicate)(left, right)
    return found


class Filter(Hinting):
    """A condition that tells which images of a collection, or which features, are kept.

    In a join it tells which images of two collections belong together, see `Join`.

    Parameters
    ----------
    opt_filter : Filter or list of Filter
        Those of a list are joined: all of them have to be met.

    Attributes
    ----------
    keep : callable
        Takes the Dataset of a collection (or a GeoDataFrame), gives a bool for each of its images.
    description : str
        How the filter was written, for errors: ``lt('cloud_cover', 20)``.

    Notes
    -----
    A property that an image lacks meets no condition. But ``neq``, ``gte`` and ``lte`` are the
    opposites of ``eq``, ``lt`` and ``gt``, as in Earth Engine's own library: they keep such an
    image. Write `notNull` beside them to leave it out. Where no image has the property, a warning
    names those that there are.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> days = np.array(["2019-12-30", "2020-01-10", "2020-07-01", "2020-08-01"], "M8[ns]")
    >>> known = {"time": days, "n": ("time", [1, 2, 3, 4]), "m": ("time", [4, 3, 2, 1])}
    >>> known["id"] = ("time", ["a1", "b1", "b2", "c"])
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
    >>> index = "system:index"
    >>> kept(ee.Filter.stringStartsWith(index, "b")), kept(ee.Filter.stringEndsWith(index, "1"))
    ([2, 3], [1, 2])
    >>> kept(ee.Filter.stringContains(index, "2")), kept(ee.Filter.metadata("n", "less_than", 3))
    ([3], [1, 2])
    >>> kept(ee.Filter.listContains("system:band_names", "a")), kept(ee.Filter.notNull(["n"]))
    ([1, 2, 3, 4], [1, 2, 3, 4])

    By two properties, or a property and a value; in a join by properties of both collections:

    >>> kept(ee.Filter.equals("n", 2)), kept(ee.Filter.notEquals("n", 2))
    ([2], [1, 3, 4])
    >>> kept(ee.Filter.lessThan(leftField="n", rightField="m"))
    [1, 2]
    >>> kept(ee.Filter.greaterThan(leftValue=3, rightField="n"))
    [1, 2]
    >>> kept(ee.Filter.lessThanOrEquals("n", 2))
    [1, 2]
    >>> kept(ee.Filter.greaterThanOrEquals("n", 3)), kept(ee.Filter.maxDifference(1, "n", 4))
    ([3, 4], [3, 4])

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
    >>> kept(ee.Filter([ee.Filter.gt("n", 1), ee.Filter.lt("n", 4)]))
    [2, 3]
    >>> kept(ee.Filter.Or(ee.Filter.eq("n", 1), ee.Filter.eq("n", 2)).Not())
    [3, 4]

    By where images or features lie:

    >>> fields = ee.FeatureCollection([ee.Geometry.BBox(0, 0, 2, 1), ee.Geometry.BBox(4, 0, 6, 1)])
    >>> box, point = ee.Geometry.BBox(-1, -1, 3, 3), ee.Geometry.Point(5, 0.5)
    >>> filters = [ee.Filter.intersects(".geo", box), ee.Filter.isContained(".geo", box)]
    >>> filters += [ee.Filter.contains(".geo", point), ee.Filter.disjoint(".geo", box)]
    >>> [fields.filter(filter).aggregate_array("system:index") for filter in filters]
    [['0'], ['0'], ['1'], ['1']]
    >>> ee.Filter.bounds(ee.Geometry.Point(-103.19, 40.14))
    ee.Filter.bounds(ee.Geometry.Point(-103.19, 40.14) in EPSG:4326)
    """

    _name = "ee.Filter"

    def __init__(self, opt_filter: Any) -> None:
        if isinstance(opt_filter, str):
            raise TypeError(
                f"ee.Filter got the text {opt_filter!r:.60}, and filters are not written as texts "
                "here. Write, for instance, ee.Filter.eq('name', 'Lake'), and several of them in "
                "ee.Filter.And(...)."
            )
        joined = opt_filter if isinstance(opt_filter, Filter) else Filter.And(opt_filter)
        self._set(joined.keep, joined.description, joined.pairs, joined.measure)

    @classmethod
    def _of(
        cls, keep: Keep, description: str, pairs: Pairs | None = None, measure: Pairs | None = None
    ) -> Filter:
        made: Filter = object.__new__(cls)
        made._set(keep, description, pairs, measure)
        return made

    def _set(
        self, keep: Keep, description: str, pairs: Pairs | None, measure: Pairs | None
    ) -> None:
        self.keep = keep
        self.description = description
        self.pairs = self._pairs_of_first if pairs is None else pairs
        self.measure = measure

    def _pairs_of_first(self, first: Any, second: Any) -> Array:
        """Tell which pairs meet a condition that is about the first of them alone."""
        kept = np.asarray(self.keep(first))[:, None]
        return np.broadcast_to(kept, (count_of(first), count_of(second)))

    def __repr__(self) -> str:
        return f"ee.Filter.{self.description}"

    # -- dates and places ------------------------------------------------------------------------

    @staticmethod
    def date(start: Any, end: Any = None) -> Filter:
        """Keep those from `start` on, before `end`; without it, those of that instant."""
        first, last = period_of(start, end)
        described = f"date({first!s}" + (f", {last!s})" if last is not None else ")")
        return Filter._of(lambda elements: of_period(elements, first, last), described)

    @staticmethod
    def bounds(geometry: Any, errorMargin: Any = None) -> Filter:
        """Keep those whose footprint a region intersects; see `qmosaic.filter_bounds`."""
        region = Geometry(geometry).geometry

        def keep(elements: Any) -> Array:
            if isinstance(elements, xr.Dataset):
                met: Array = intersecting(elements, region, "time")
                return met
            return _related("intersects", outlines(elements), _region(region))

        return Filter._of(keep, f"bounds({geometry!r:.60})")

    intersects = _about_outlines(
        "intersects", "the left outline has a point in common with the right one", "intersects"
    )
    disjoint = _about_outlines(
        "disjoint", "the left outline has no point in common with the right one", "disjoint"
    )
    contains = _about_outlines("contains", "the right outline lies in the left one", "covers")
    isContained = _about_outlines(
        "isContained", "the left outline lies in the right one", "covered_by"
    )

    @staticmethod
    def calendarRange(start: Any, end: Any = None, field: str = "day_of_year") -> Filter:
        """Keep those of some years, months or days of the year, both ends included.

        A range whose end is before its start goes over the end of the year. Weeks begin on Monday,
        which is day 1. https://developers.google.com/earth-engine/apidocs/ee-filter-calendarrange
        """
        if field not in FIELDS:
            raise ValueError(
                f"ee.Filter.calendarRange() got the field {field!r}, which is not known; it takes "
                f"{', '.join(map(repr, FIELDS))}."
            )
        first = int(known(start, "ee.Filter.calendarRange()"))
        last = first if end is None else int(known(end, "ee.Filter.calendarRange()"))
        return Filter._of(
            lambda elements: in_part_of_date(elements, first, last, field),
            f"calendarRange({start}, {end}, {field!r})",
        )

    @staticmethod
    def dayOfYear(start: Any, end: Any) -> Filter:
        """Keep those from one day of the year to another, both included; see calendarRange.

        https://developers.google.com/earth-engine/apidocs/ee-filter-dayofyear
        """
        chosen = Filter.calendarRange(start, end)
        return Filter._of(chosen.keep, f"dayOfYear({start}, {end})")

    # -- properties ------------------------------------------------------------------------------

    equals = _comparing("equals")
    notEquals = _comparing("notEquals")
    lessThan = _comparing("lessThan")
    lessThanOrEquals = _comparing("lessThanOrEquals")
    greaterThan = _comparing("greaterThan")
    greaterThanOrEquals = _comparing("greaterThanOrEquals")
    stringContains = _comparing("stringContains")
    stringStartsWith = _comparing("stringStartsWith")
    stringEndsWith = _comparing("stringEndsWith")
    listContains = _comparing("listContains")
    inList = _comparing("inList")

    eq = _shortly("eq", "equal to a value", TESTS["equals"][1])
    neq = _shortly("neq", "not equal to a value", TESTS["notEquals"][1])
    lt = _shortly("lt", "less than a value", TESTS["lessThan"][1])
    lte = _shortly("lte", "not greater than a value", opposite(TESTS["greaterThan"][1]))
    gt = _shortly("gt", "greater than a value", TESTS["greaterThan"][1])
    gte = _shortly("gte", "not less than a value", opposite(TESTS["lessThan"][1]))

    @staticmethod
    def maxDifference(
        difference: Any,
        leftField: Any = None,
        rightValue: Any = None,
        rightField: Any = None,
        leftValue: Any = None,
    ) -> Filter:
        """Keep where two numbers, or times, are not further apart than a number or milliseconds.

        `Join.saveBest` takes the pair that is least apart.
        https://developers.google.com/earth-engine/apidocs/ee-filter-maxdifference
        """
        most = float(known(difference, "ee.Filter.maxDifference()"))
        given = {"leftField": leftField, "rightValue": rightValue}
        given |= {"rightField": rightField, "leftValue": leftValue}

        def near(left: Array, right: Array) -> Array:
            met: Array = apart(left, right) <= most
            return met

        return _of_operands("maxDifference", near, given, apart)

    @staticmethod
    def notNull(properties: Any) -> Filter:
        """Keep those that have all of some properties."""
        names = [properties] if isinstance(properties, str) else list(known(properties))

        def keep(elements: Any) -> Array:
            kept = np.full(count_of(elements), True)
            for name in names:
                values = column_if_any(elements, name, "ee.Filter.notNull()")
                kept &= values is not None and ~np.array([is_missing(v) for v in values], bool)
            return kept

        return Filter._of(keep, f"notNull({names!r})")

    @staticmethod
    def rangeContains(field: str, minValue: Any, maxValue: Any) -> Filter:
        """Keep those whose property is between two values, both included."""
        return Filter.And(
            Filter.greaterThanOrEquals(field, minValue), Filter.lessThanOrEquals(field, maxValue)
        )

    @staticmethod
    def metadata(name: str, operator: str, value: Any) -> Filter:
        """Keep those whose property meets a condition: "equals", "not_less_than", "contains" ..."""
        asked = str(operator).lower()
        bare = asked.removeprefix("not_")
        if bare not in COMPARE:
            raise ValueError(
                f"ee.Filter.metadata() got the operator {operator!r}; it takes "
                f"{', '.join(map(repr, COMPARE))}, and each of them after 'not_'."
            )
        met: Filter = getattr(Filter, COMPARE[bare])(name, value)
        return met if asked == bare else met.Not()

    # -- together --------------------------------------------------------------------------------

    @staticmethod
    def And(*filters: Any) -> Filter:
        """Keep those that all filters keep."""
        return _joined("And", filters, np.logical_and)

    @staticmethod
    def Or(*filters: Any) -> Filter:
        """Keep those that one of the filters keeps."""
        return _joined("Or", filters, np.logical_or)

    def Not(self) -> Filter:
        """Keep those that this filter does not."""
        return Filter._of(
            lambda elements: ~self.keep(elements),
            f"Not({self.description})",
            lambda first, second: ~self.pairs(first, second),
        )


def apart(left: Array, right: Array) -> Array:
    """Tell how far numbers are apart; NaN where one of them is no number."""
    if left.dtype.kind == right.dtype.kind == "f":
        return difference(left, right)
    return np.full(np.broadcast_shapes(left.shape, right.shape), np.nan)


def _joined(method: str, filters: tuple[Any, ...], function: Any) -> Filter:
    several = len(filters) == 1 and isinstance(filters[0], Iterable)
    listed = list(filters[0]) if several else list(filters)
    if not listed or not all(isinstance(f, Filter) for f in listed):
        raise TypeError(
            f"ee.Filter.{method}() takes filters, and got {filters!r:.60}. Write, for instance, "
            f"ee.Filter.{method}(ee.Filter.gt('n', 1), ee.Filter.lt('n', 4))."
        )
    measures = [f.measure for f in listed if f.measure is not None]
    return Filter._of(
        lambda elements: function.reduce([f.keep(elements) for f in listed]),
        f"{method}({', '.join(f.description for f in listed)})",
        lambda first, second: function.reduce([f.pairs(first, second) for f in listed]),
        measures[0] if method == "And" and len(measures) == 1 else None,
    )
