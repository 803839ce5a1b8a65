"""Filters; https://developers.google.com/earth-engine/apidocs, under ee.Filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.earth_engine.dates import Date
from tests.support.earth_engine.geometries import Geometry
from tests.support.earth_engine.values import plain

COMPARING: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
}
OPPOSITE = {"neq": "eq", "lte": "gt", "gte": "lt"}
"""Filters that keep what the other does not, also where there is no property."""

OF_PAIRS = {
    "equals": "eq",
    "notEquals": "neq",
    "lessThan": "lt",
    "lessThanOrEquals": "lte",
    "greaterThan": "gt",
    "greaterThanOrEquals": "gte",
}


def comparable(value: Any) -> Any:
    """Take a date as its milliseconds."""
    value = plain(value)
    return value.millis().value if isinstance(value, Date) else value


class Filter:
    """A condition on properties; `pairs` is one on those of two images, with how far apart."""

    def __init__(self, test: Any, pairs: Any = None, apart: Any = None) -> None:
        self.test: Callable[[dict[str, Any]], bool] = test
        self.pairs: Callable[[dict[str, Any], dict[str, Any]], bool] = pairs
        self.apart: Callable[[dict[str, Any], dict[str, Any]], float] = apart

    def Not(self) -> Filter:
        """Turn it round."""
        return Filter(lambda known: not self.test(known))

    @staticmethod
    def And(*filters: Any) -> Filter:
        """All of them."""
        return Filter(
            lambda known: all(one.test(known) for one in filters),
            lambda a, b: all(one.pairs(a, b) for one in filters),
        )

    @staticmethod
    def Or(*filters: Any) -> Filter:
        """One of them."""
        return Filter(
            lambda known: any(one.test(known) for one in filters),
            lambda a, b: any(one.pairs(a, b) for one in filters),
        )

    @staticmethod
    def notNull(properties: Any) -> Filter:
        """All of these properties are there."""
        return Filter(lambda known: all(known.get(one) is not None for one in plain(properties)))

    @staticmethod
    def inList(name: Any, values: Any) -> Filter:
        """The property is in the list."""
        return _of(name, lambda own: own in [comparable(one) for one in plain(values)])

    @staticmethod
    def listContains(name: Any, value: Any) -> Filter:
        """The property is a list, and the value is in it."""
        return _of(name, lambda own: plain(value) in own)

    @staticmethod
    def stringContains(name: Any, value: Any) -> Filter:
        """The text is in the property."""
        return _of(name, lambda own: plain(value) in own)

    @staticmethod
    def stringStartsWith(name: Any, value: Any) -> Filter:
        """The property starts with the text."""
        return _of(name, lambda own: own.startswith(plain(value)))

    @staticmethod
    def stringEndsWith(name: Any, value: Any) -> Filter:
        """The property ends with the text."""
        return _of(name, lambda own: own.endswith(plain(value)))

    @staticmethod
    def rangeContains(field: Any, minValue: Any, maxValue: Any) -> Filter:
        """The property is in the range, its ends included."""
        return _of(field, lambda own: comparable(minValue) <= own <= comparable(maxValue))

    @staticmethod
    def date(start: Any, end: Any = None) -> Filter:
        """From a date on, and before another; without it, the day."""
        first = Date(start)
        last = first.advance(1, "day") if end is None else Date(end)
        span = (first.millis().value, last.millis().value)
        return _of("system:time_start", lambda own: span[0] <= own < span[1])

    @staticmethod
    def calendarRange(start: Any, end: Any = None, field: Any = "day_of_year") -> Filter:
        """A part of the date is in a range, which may go over the end of the year."""
        first = plain(start)
        last = first if end is None else plain(end)

        def test(own: Any) -> bool:
            date = Date(own)
            if plain(field) == "day_of_year":
                part = date.getRelative("day", "year").value + 1
            else:
                part = date.get(field).value
            return first <= part <= last if first <= last else part >= first or part <= last

        return _of("system:time_start", test)

    @staticmethod
    def dayOfYear(start: Any, end: Any) -> Filter:
        """The day of the year is in a range."""
        return Filter.calendarRange(start, end)

    @staticmethod
    def bounds(geometry: Any) -> Filter:
        """The image meets a region."""
        region = Geometry(getattr(geometry, "geometry", lambda: geometry)())
        return Filter(lambda known: region.touches(known["grid"]))

    @staticmethod
    def maxDifference(
        difference: Any, leftField: Any, rightValue: Any = None, rightField: Any = None
    ) -> Filter:
        """Two properties are at most so far apart."""

        def apart(left: dict[str, Any], right: dict[str, Any]) -> float:
            return abs(left[leftField] - right[rightField])

        return Filter(None, lambda a, b: apart(a, b) <= plain(difference), apart)


def _of(name: Any, test: Callable[[Any], bool]) -> Filter:
    """Test a property; an image that lacks it is not kept."""

    def kept(known: dict[str, Any]) -> bool:
        own = known.get(plain(name))
        return own is not None and test(own)

    return Filter(kept)


OPPOSITES = {"neq": "eq", "lte": "gt", "gte": "lt"}
"""What Earth Engine's own library makes of other filters, ``gt(...).Not()``; images that lack the
property meet it. https://github.com/google/earthengine-api/blob/master/python/ee/filter.py"""


def _shortly(relation: str) -> Any:
    if relation not in OPPOSITES:
        return _comparing(relation)
    return lambda name, value: _comparing(OPPOSITES[relation])(name, value).Not()


def _comparing(relation: str) -> Any:
    def made(name: Any, value: Any) -> Filter:
        if relation in OPPOSITE:
            return _comparing(OPPOSITE[relation])(name, value).Not()
        return _of(name, lambda own: COMPARING[relation](own, comparable(value)))

    return made


def _of_pairs(relation: str) -> Any:
    def made(leftField: Any, rightValue: Any = None, rightField: Any = None) -> Filter:
        if rightField is None:
            return _comparing(relation)(leftField, rightValue)
        return Filter(None, lambda a, b: COMPARING[relation](a.get(leftField), b.get(rightField)))

    return made


for _name in COMPARING:
    setattr(Filter, _name, staticmethod(_shortly(_name)))
for _name, _relation in OF_PAIRS.items():
    setattr(Filter, _name, staticmethod(_of_pairs(_relation)))
