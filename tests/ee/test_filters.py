"""Filters keep what a loop over properties keeps, of images and of features."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr

from qmosaic import ee

DAYS = ["2019-12-30", "2020-01-01", "2020-02-29", "2020-07-04", "2020-12-31", "2021-03-01"]
KNOWN: dict[str, list[Any]] = {
    "number": [1, 2, 3, None, 2, 5.5],
    "other": [1, 3, 2, 4, None, 5.5],
    "text": ["S2A_x", "S2B_y", "S2A_y", None, "", "L8"],
    "bands": [["VV", "VH"], ["VV"], ["HH"], None, [], ["VH"]],
}
"""Properties of six images; None where one lacks it."""

Rule = Callable[[dict[str, Any]], bool]


def images() -> ee.ImageCollection:
    """Make a collection of images with these properties."""
    coords: dict[str, Any] = {"time": np.array(DAYS, "M8[ns]"), "place": ("time", range(6))}
    for name, values in KNOWN.items():
        if name in ("number", "other"):
            column = np.array([np.nan if value is None else value for value in values])
        else:
            column = np.empty(6, object)
            column[:] = values
        coords[name] = ("time", column)
    return ee.ImageCollection(xr.Dataset({"a": ("time", np.arange(6))}, coords))


def features() -> ee.FeatureCollection:
    """Make features with these properties."""
    made = []
    for place, day in enumerate(DAYS):
        values = {
            name: column[place] for name, column in KNOWN.items() if column[place] is not None
        }
        millis = ee.Date(day).millis()
        made.append(
            ee.Feature(ee.Geometry.Point(place, 0), {**values, "place": place, "day": millis})
        )
    return ee.FeatureCollection(made)


def kept(collection: Any, filter: Any) -> list[int]:
    """Tell which of the six a filter keeps."""
    left = collection.filter(filter)
    return [] if left.size() == 0 else left.aggregate_array("place").getInfo()


def looped(rule: Rule) -> list[int]:
    """Tell which of the six meet a rule: a loop over dictionaries, which lack what is missing."""
    rows = [{n: c[place] for n, c in KNOWN.items() if c[place] is not None} for place in range(6)]
    return [place for place, row in enumerate(rows) if rule(row)]


def there(name: str, rule: Callable[[Any], bool]) -> Rule:
    """Make a rule of a property that is met by nothing that lacks it."""
    return lambda row: name in row and rule(row[name])


PROPERTIES: list[tuple[Any, Rule]] = [
    (ee.Filter.eq("number", 2), there("number", lambda v: v == 2)),
    (ee.Filter.lt("number", 3), there("number", lambda v: v < 3)),
    (ee.Filter.gt("number", 2), there("number", lambda v: v > 2)),
    (ee.Filter.equals("number", 2), there("number", lambda v: v == 2)),
    (ee.Filter.lessThan("number", 2), there("number", lambda v: v < 2)),
    (ee.Filter.lessThanOrEquals("number", 2), there("number", lambda v: v <= 2)),
    (ee.Filter.greaterThan("number", 2), there("number", lambda v: v > 2)),
    (ee.Filter.greaterThanOrEquals("number", 2), there("number", lambda v: v >= 2)),
    (ee.Filter.rangeContains("number", 2, 3), there("number", lambda v: 2 <= v <= 3)),
    (ee.Filter.inList("number", [1, 5.5]), there("number", lambda v: v in [1, 5.5])),
    (ee.Filter.maxDifference(1, "number", 2), there("number", lambda v: abs(v - 2) <= 1)),
    (ee.Filter.eq("text", "L8"), there("text", lambda v: v == "L8")),
    (ee.Filter.lt("text", "S2"), there("text", lambda v: v < "S2")),
    (ee.Filter.inList("text", ["L8", ""]), there("text", lambda v: v in ["L8", ""])),
    (ee.Filter.stringContains("text", "2A"), there("text", lambda v: "2A" in v)),
    (ee.Filter.stringStartsWith("text", "S2"), there("text", lambda v: v.startswith("S2"))),
    (ee.Filter.stringEndsWith("text", "y"), there("text", lambda v: v.endswith("y"))),
    (ee.Filter.stringContains("number", "2"), lambda row: False),
    (ee.Filter.listContains("bands", "VH"), there("bands", lambda v: "VH" in v)),
    (ee.Filter.listContains("text", "S"), lambda row: False),
    (ee.Filter.notNull(["number", "text"]), lambda row: "number" in row and "text" in row),
    (ee.Filter.notNull("bands"), lambda row: "bands" in row),
    (
        ee.Filter.equals(leftField="number", rightField="other"),
        lambda row: "number" in row and row["number"] == row.get("other"),
    ),
    (
        ee.Filter.lessThan(leftField="number", rightField="other"),
        lambda row: "number" in row and "other" in row and row["number"] < row["other"],
    ),
    (ee.Filter.greaterThan(leftValue=3, rightField="number"), there("number", lambda v: v < 3)),
    (
        ee.Filter([ee.Filter.gt("number", 1), ee.Filter.lt("number", 3)]),
        there("number", lambda v: 1 < v < 3),
    ),
    (
        ee.Filter.Or(ee.Filter.eq("number", 1), ee.Filter.eq("text", "L8")),
        lambda row: row.get("number") == 1 or row.get("text") == "L8",
    ),
    (ee.Filter.eq("number", 2).Not(), lambda row: row.get("number") != 2),
    (ee.Filter.metadata("number", "LESS_THAN", 2), there("number", lambda v: v < 2)),
    (ee.Filter.metadata("number", "not_equals", 2), lambda row: row.get("number") != 2),
    (ee.Filter.metadata("text", "starts_with", "L"), there("text", lambda v: v.startswith("L"))),
    (
        ee.Filter.metadata("text", "not_contains", "2"),
        lambda row: "2" not in row.get("text", ""),
    ),
]


@pytest.mark.parametrize("make", [images, features], ids=["images", "features"])
def test_filters_of_properties(make: Callable[[], Any]) -> None:
    """A filter keeps what a loop over the properties keeps; what an image lacks meets no
    condition, and meets the opposite of one."""
    collection = make()
    for filter, rule in PROPERTIES:
        assert kept(collection, filter) == looped(rule), filter


@pytest.mark.parametrize("make", [images, features], ids=["images", "features"])
@pytest.mark.parametrize(
    ("filter", "of"),
    [
        (ee.Filter.neq("number", 2), ee.Filter.eq("number", 2)),
        (ee.Filter.gte("number", 2), ee.Filter.lt("number", 2)),
        (ee.Filter.lte("number", 2), ee.Filter.gt("number", 2)),
        (ee.Filter.notEquals("number", 2), ee.Filter.equals("number", 2)),
    ],
    ids=["neq", "gte", "lte", "notEquals"],
)
def test_opposites(make: Callable[[], Any], filter: Any, of: Any) -> None:
    """``neq``, ``gte`` and ``lte`` are the opposites of ``eq``, ``lt`` and ``gt``, as Earth
    Engine's own library makes them: they keep what lacks the property."""
    collection = make()
    assert kept(collection, filter) == [p for p in range(6) if p not in kept(collection, of)]
    assert 3 in kept(collection, filter)
    assert 3 not in kept(collection, ee.Filter.And(filter, ee.Filter.notNull(["number"])))


@pytest.mark.parametrize("make", [images, features], ids=["images", "features"])
@pytest.mark.parametrize(
    ("filter", "all_or_none"),
    [
        (ee.Filter.eq("nubmer", 2), 0),
        (ee.Filter.lessThan("nubmer", 2), 0),
        (ee.Filter.lessThanOrEquals(leftField="number", rightField="nubmer"), 0),
        (ee.Filter.inList("nubmer", [2]), 0),
        (ee.Filter.stringContains("nubmer", "a"), 0),
        (ee.Filter.listContains("nubmer", "a"), 0),
        (ee.Filter.notNull(["number", "nubmer"]), 0),
        (ee.Filter.eq("nubmer", []), 0),
        (ee.Filter.metadata("nubmer", "equals", "a"), 0),
        (ee.Filter.neq("nubmer", 2), 6),
        (ee.Filter.lte("nubmer", 2), 6),
        (ee.Filter.gte("nubmer", 2), 6),
        (ee.Filter.eq("nubmer", 2).Not(), 6),
    ],
    ids=repr,
)
def test_a_property_that_none_has(make: Callable[[], Any], filter: Any, all_or_none: int) -> None:
    """Where no image has a property, all lack it, as in Earth Engine; a warning says so, and names
    those that there are, as the property may be misspelt."""
    collection = make()
    with pytest.warns(UserWarning, match="no property 'nubmer'.*'number'.*misspelt"):
        left = collection.filter(filter)
    assert left.size() == all_or_none


def test_nothing_is_said_of_a_property_where_there_are_no_images() -> None:
    """A collection that is empty lacks every property; that is no news."""
    none = images().filter(ee.Filter.eq("number", 99))
    assert none.filter(ee.Filter.eq("nubmer", 2)).size() == 0


FIELDS: dict[str, Callable[[datetime.date], int]] = {
    "year": lambda d: d.year,
    "month": lambda d: d.month,
    "day_of_year": lambda d: d.timetuple().tm_yday,
    "day_of_month": lambda d: d.day,
    "day_of_week": lambda d: d.isoweekday(),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("start", "end"), [(1, 60), (2, 7), (60, 1), (3, None), (2020, 2021)])
def test_parts_of_a_date(field: str, start: int, end: int | None) -> None:
    """Both ends of a range belong to it; one whose end is before its start goes over the end of the
    year. A week starts on Monday, day 1."""
    last = start if end is None else end

    def inside(value: int) -> bool:
        return start <= value <= last if start <= last else value >= start or value <= last

    days = [datetime.date.fromisoformat(day) for day in DAYS]
    wanted = [place for place, day in enumerate(days) if inside(FIELDS[field](day))]
    assert kept(images(), ee.Filter.calendarRange(start, end, field)) == wanted
    if field == "day_of_year" and end is not None:
        assert kept(images(), ee.Filter.dayOfYear(start, end)) == wanted


def test_dates() -> None:
    """The start of a period belongs to it, its end does not; dates may be given in every form, and
    a property that is a date is compared as one."""
    start, end = "2020-01-01", "2020-07-04"
    forms = [ee.Date, lambda day: ee.Date(day).millis(), str, datetime.datetime.fromisoformat]
    for form in forms:
        assert kept(images(), ee.Filter.date(form(start), form(end))) == [1, 2]
    assert kept(images(), ee.Filter.date(ee.DateRange(start, end))) == [1, 2]
    for value in ("2020-07-04", ee.Date("2020-07-04"), ee.Date("2020-07-04").millis()):
        assert kept(images(), ee.Filter.gt("system:time_start", value)) == [4, 5]
        assert kept(images(), ee.Filter.eq("system:time_start", value)) == [3]
    dated = features().map(lambda f: f.set("system:time_start", f.get("day")))
    assert kept(dated, ee.Filter.date(start, end)) == [1, 2]
    assert kept(dated, ee.Filter.calendarRange(12, 1, "month")) == [0, 1, 4]
    assert dated.filterDate("2021-01-01", "2022-01-01").aggregate_array("place") == [5]


def test_bands_that_some_images_have() -> None:
    """``system:band_names`` lists the bands of each image, also where others have more."""
    both = images().merge(images().map(lambda img: img.addBands(img.rename("b"))))
    assert both.filter(ee.Filter.listContains("system:band_names", "b")).size() == 6
    assert both.filter(ee.Filter.listContains("system:band_names", "a")).size() == 12


def test_properties_that_some_images_lack() -> None:
    """In collections that are put together, images lack the properties of the others."""
    bare = ee.ImageCollection(images().dataset[["a", "time"]].drop_vars([*KNOWN]))
    both = bare.merge(images())
    for name in ("number", "text", "bands"):
        values = [value for value in KNOWN[name] if value is not None]
        assert both.filter(ee.Filter.notNull([name])).size() == len(values)
    assert both.filter(ee.Filter.eq("text", "L8")).size() == 1


SQUARES = [shapely.box(left, 0, left + 2, 2) for left in (0, 1, 4)]


def squares(kind: str) -> Any:
    """Make images or features that lie in three squares."""
    if kind == "features":
        return ee.FeatureCollection(
            [ee.Feature(shape, {"place": place}) for place, shape in enumerate(SQUARES)]
        )
    coords = {
        "footprint": ("time", [shape.wkt for shape in SQUARES]),
        "place": ("time", [0, 1, 2]),
        "latitude": [0.0, 1.0],
        "longitude": [0.0, 1.0],
    }
    bands = {"a": (("time", "latitude", "longitude"), np.ones((3, 2, 2)))}
    return ee.ImageCollection(xr.Dataset(bands, coords))


@pytest.mark.parametrize("kind", ["images", "features"])
def test_filters_of_places(kind: str) -> None:
    """By the outlines of images or features: what a loop with shapely keeps."""
    region = shapely.box(0.5, -1, 3.5, 3)
    filters = {
        "intersects": (ee.Filter.bounds(region), lambda s: s.intersects(region)),
        "isContained": (ee.Filter.isContained(".geo", region), lambda s: s.within(region)),
        "crosses": (ee.Filter.intersects(".geo", region), lambda s: s.intersects(region)),
        "disjoint": (ee.Filter.disjoint(".geo", region), lambda s: s.disjoint(region)),
        "contains": (
            ee.Filter.contains(".geo", ee.Geometry.Point(1.5, 1)),
            lambda s: s.contains(shapely.Point(1.5, 1)),
        ),
        "contained value": (
            ee.Filter.contains(leftValue=region, rightField=".geo"),
            lambda s: s.within(region),
        ),
    }
    for name, (filter, rule) in filters.items():
        wanted = [place for place, shape in enumerate(SQUARES) if rule(shape)]
        assert kept(squares(kind), filter) == wanted, name


def test_values_that_are_computed() -> None:
    """A filter takes computed values; it is computed when the collection is filtered."""
    asked = []
    value = ee.values.later(ee.Number, lambda: asked.append(1) or 2)
    filter = ee.Filter.eq("number", value)
    assert not asked
    assert kept(images(), filter) == [1, 4]
    assert asked


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ee.Filter.equals("a"), ValueError, r"got leftField; it compares two.*rightField="),
        (lambda: ee.Filter.lessThan(leftField="a", leftValue=1), ValueError, "compares two"),
        (lambda: ee.Filter.metadata("a", "is", 1), ValueError, "operator 'is'; it takes 'equals'"),
        (lambda: ee.Filter.calendarRange(1, 2, "eon"), ValueError, "the field 'eon'.*'month'"),
        (lambda: ee.Filter(["a"]), TypeError, "takes filters"),
        (lambda: ee.Filter([]), TypeError, "takes filters"),
        (lambda: features().filter("n > 1"), TypeError, r"not written as texts.*Filter\.eq"),
        (lambda: ee.Filter.withinDistance(5), AttributeError, r"buffer\(distance\)"),
    ],
)
def test_what_a_filter_refuses(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    """What came, why it cannot work, what to write instead."""
    with pytest.raises(error, match=message):
        call()
