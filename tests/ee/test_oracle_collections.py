"""Collections, filters and mosaics: one script on `qmosaic.ee` and on Earth Engine as loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()

PROPERTIES = ["system:index", "system:time_start", "CLOUDY_PIXEL_PERCENTAGE", "orbit", "mission"]


def known(col: Any) -> list[Any]:
    """List what is known of the images."""
    return [col.aggregate_array(name) for name in PROPERTIES]


@scripts
def properties_of_all(ee: Any, col: Any) -> Any:
    return [known(col), col.size(), col]


@scripts
def filter_by_a_number(ee: Any, col: Any) -> Any:
    names = ["eq", "neq", "lt", "lte", "gt", "gte"]
    return [
        [known(col.filter(getattr(ee.Filter, name)("orbit", 2))) for name in names],
        [
            col.filter(getattr(ee.Filter, name)("CLOUDY_PIXEL_PERCENTAGE", 50)).size()
            for name in names
        ],
        col.filter(ee.Filter.rangeContains("orbit", 1, 2)).size(),
        col.filter(ee.Filter.inList("orbit", [1, 3])).size(),
        col.filter(ee.Filter.gt("orbit", 1).Not()).size(),
    ]


@scripts
def filter_by_a_text(ee: Any, col: Any) -> Any:
    return [
        col.filter(ee.Filter.eq("mission", "one")).size(),
        col.filter(ee.Filter.neq("mission", "one")).size(),
        col.filter(ee.Filter.inList("mission", ["two", "three"])).size(),
        col.filter(ee.Filter.inList("system:index", ["image_0", "image_1"])).aggregate_array(
            "orbit"
        ),
    ]


@scripts
def filter_together(ee: Any, col: Any) -> Any:
    few = ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 60)
    one = ee.Filter.eq("mission", "one")
    return [
        col.filter(ee.Filter.And(few, one)).size(),
        col.filter(ee.Filter.Or(few, one)).size(),
        col.filter(ee.Filter.Or(few.Not(), ee.Filter.And(one, few))).size(),
    ]


@scripts
def filterMetadata(ee: Any, col: Any) -> Any:
    operators = ["equals", "not_equals", "less_than", "greater_than"]
    operators += ["not_less_than", "not_greater_than"]
    return [col.filterMetadata("orbit", operator, 2).size() for operator in operators]


@scripts
def filterDate(ee: Any, col: Any) -> Any:
    first = col.first().date()
    return [
        known(
            col.filterDate("2019-01-01", "2020-01-01").merge(
                col.filterDate("2020-01-01", "2021-01-01")
            )
        ),
        col.filterDate(first, "2021-01-01").size(),
        col.filter(ee.Filter.date("2019-01-01", first.advance(1, "hour"))).size(),
        col.filterDate(first.millis(), first.advance(1, "second").millis()).size(),
    ]


@scripts
def filter_by_the_calendar(ee: Any, col: Any) -> Any:
    spring = ee.Filter.calendarRange(1, 6, "month")
    return [
        known(col.filter(ee.Filter.Or(spring, ee.Filter.calendarRange(7, 12, "month")))),
        col.filter(spring).size(),
        col.filter(ee.Filter.calendarRange(10, 3, "month")).size(),
        col.filter(ee.Filter.calendarRange(2019, 2019, "year")).size(),
        col.filter(ee.Filter.calendarRange(1, 200)).size(),
        col.filter(ee.Filter.calendarRange(6, 18, "hour")).size(),
        col.filter(ee.Filter.dayOfYear(300, 100)).size(),
    ]


@scripts
def sort_and_limit(ee: Any, col: Any) -> Any:
    return [
        known(col.sort("CLOUDY_PIXEL_PERCENTAGE")),
        known(col.sort("orbit", False)),
        known(col.sort("mission")),
        known(col.sort("system:time_start", False)),
        known(col.limit(2)),
        known(col.limit(1, "CLOUDY_PIXEL_PERCENTAGE", False)),
        col.sort("orbit").first().get("system:index"),
        col.sort("CLOUDY_PIXEL_PERCENTAGE", False),
    ]


@scripts
def merge(ee: Any, col: Any) -> Any:
    both = col.limit(1).merge(col.sort("system:index"))
    return [both, known(both), both.size()]


@scripts
def merge_of_other_dtypes(ee: Any, col: Any) -> Any:
    wide = col.map(lambda img: img.select("a").add(300))
    masked = col.map(lambda img: img.select("a").updateMask(img.select("b").gt(0)))
    return [col.select("a").merge(wide), masked.merge(col.select("a")).mosaic()]


@scripts
def fromImages(ee: Any, col: Any) -> Any:
    first, last = col.first(), col.sort("system:time_start", False).first()
    made = ee.ImageCollection.fromImages([last, first])
    return [
        made,
        known(made),
        ee.ImageCollection([first.select("a"), last.select("b").rename("a")]),
    ]


@scripts
def properties_that_some_lack(ee: Any, col: Any) -> Any:
    more = col.limit(1).map(lambda img: img.set("extra", 5, "note", "one"))
    both = more.merge(col)
    return [
        both.aggregate_array("extra"),
        both.filter(ee.Filter.gt("extra", 1)).size(),
        both.filter(ee.Filter.lte("extra", 5)).size(),
        both.filter(ee.Filter.eq("note", "one")).size(),
        both.filter(ee.Filter.inList("note", ["one"])).size(),
        both.first().get("extra"),
    ]


@scripts
def notes_that_some_lack(ee: Any, col: Any) -> Any:
    more = col.limit(1).map(lambda img: img.set("note", "one"))
    return more.merge(col).aggregate_array("note")


@scripts
def images_of_other_bands(ee: Any, col: Any) -> Any:
    both = col.limit(1).select(["a", "d"]).merge(col.select(["d", "b"]))
    return [both.select("d").mean(), both.select("d").size(), both.first().bandNames()]


@scripts
def mosaics(ee: Any, col: Any) -> Any:
    return [
        col.mosaic(),
        col.sort("CLOUDY_PIXEL_PERCENTAGE", False).mosaic(),
        col.limit(1).mosaic(),
    ]


@scripts
def min_and_max(ee: Any, col: Any) -> Any:
    return [col.min(), col.max(), col.select("d").max(), col.select(["b", "q"]).min()]


@scripts
def sum_mean_median_count(ee: Any, col: Any) -> Any:
    return [col.sum(), col.mean(), col.median(), col.count(), col.select("d").count()]


@scripts
def composites_of_masked_images(ee: Any, col: Any) -> Any:
    clear = col.map(lambda img: img.updateMask(img.select("a").lt(4).And(img.select("q").gt(-3))))
    return [clear.median(), clear.max(), clear.min(), clear.count(), clear.mosaic(), clear.mean()]


@scripts
def qualityMosaic(ee: Any, col: Any) -> Any:
    return [col.qualityMosaic(name) for name in ["a", "b", "c", "q"]]


@scripts
def qualityMosaic_of_a_float(ee: Any, col: Any) -> Any:
    return [col.qualityMosaic("d"), col.select(["d", "b"]).qualityMosaic("d")]


@scripts
def qualityMosaic_of_a_copy(ee: Any, col: Any) -> Any:
    """The score is a band of the collection, unmasked: what it masks is known."""
    scored = col.map(lambda img: img.addBands(img.select("q").unmask(-9).rename("score")))
    return [scored.qualityMosaic("score"), scored.select(["d", "score"]).qualityMosaic("score")]


@scripts
def greenest_pixel(ee: Any, col: Any) -> Any:
    def add_index(img: Any) -> Any:
        return img.addBands(img.normalizedDifference(["c", "a"]).rename("index"))

    return col.map(add_index).qualityMosaic("index").select(["c", "index", "a"])


@scripts
def greenest_pixel_without_zeros(ee: Any, col: Any) -> Any:
    def add_index(img: Any) -> Any:
        index = img.normalizedDifference(["c", "a"]).rename("index")
        return img.select(["c", "a"]).add(1).addBands(index)

    return col.map(add_index).qualityMosaic("index")


@scripts
def inverted_quality(ee: Any, col: Any) -> Any:
    return col.map(
        lambda img: img.addBands(img.select("a").multiply(-1).rename("quality"))
    ).qualityMosaic("quality")


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """Which images there are, their bands, dtypes, masks and values are those of the loops."""
    same_on_both(scripts[name], seed)
