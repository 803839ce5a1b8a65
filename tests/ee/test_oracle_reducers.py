"""Reducers over images, bands and regions: on `qmosaic.ee` and on loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()

SIMPLE = """mean sum median stdDev variance sampleStdDev sampleVariance count countDistinct first
last firstNonNull lastNonNull min max mode minMax product allNonZero anyNonZero""".split()
REGION = [-103.2, 40.13, -103.18, 40.15]
TRIANGLE = [[[-103.2, 40.12], [-103.16, 40.12], [-103.18, 40.15], [-103.2, 40.12]]]


@scripts
def over_images(ee: Any, col: Any) -> Any:
    return [col.reduce(getattr(ee.Reducer, name)()) for name in SIMPLE]


@scripts
def percentiles(ee: Any, col: Any) -> Any:
    return [
        col.reduce(ee.Reducer.percentile([0, 25, 50, 90, 100])),
        col.select("c").reduce(ee.Reducer.percentile([20], ["low"])),
        col.first().select(["a", "b", "c"]).reduce(ee.Reducer.percentile([10, 75])),
    ]


@scripts
def max_of_several(ee: Any, col: Any) -> Any:
    three = col.select(["d", "a", "c"])
    return [
        three.reduce(ee.Reducer.max(3)),
        three.reduce(ee.Reducer.min(3)),
        col.select(["q", "b"]).reduce(ee.Reducer.max(2)).rename(["best", "b"]),
    ]


@scripts
def linearFit(ee: Any, col: Any) -> Any:
    def with_time(img: Any) -> Any:
        since = img.date().difference(ee.Date("2019-01-01"), "day")
        return img.addBands(ee.Image.constant(since).rename("t").toFloat())

    return [
        col.select(["c", "d"]).reduce(ee.Reducer.linearFit()),
        col.map(with_time).select(["t", "a"]).reduce(ee.Reducer.linearFit()),
    ]


@scripts
def combined(ee: Any, col: Any) -> Any:
    both = ee.Reducer.mean().combine(ee.Reducer.stdDev(), "", True)
    three = both.combine(ee.Reducer.minMax(), None, True)
    prefixed = ee.Reducer.mean().combine(ee.Reducer.mean(), "second_", True)
    return [
        col.reduce(both),
        col.select(["a", "d"]).reduce(three),
        col.select("a").reduce(prefixed),
        col.select("d").reduce(ee.Reducer.mean().setOutputs(["average"])),
    ]


@scripts
def over_bands(ee: Any, col: Any) -> Any:
    image = col.first()
    return [
        *(image.select(["a", "b", "c"]).reduce(getattr(ee.Reducer, name)()) for name in SIMPLE),
        image.reduce(ee.Reducer.mean()),
        image.reduce(ee.Reducer.max()).rename("top"),
        image.select("d").reduce(ee.Reducer.sum()),
        col.map(lambda img: img.select(["a", "b"]).reduce(ee.Reducer.sum()).rename("both")),
        image.select(["a", "b"]).reduce(ee.Reducer.minMax()),
    ]


@scripts
def over_a_region(ee: Any, col: Any) -> Any:
    image = col.max()
    box = ee.Geometry.Rectangle(REGION)
    triangle = ee.Geometry.Polygon(TRIANGLE)
    names = "mean sum median min max stdDev variance count minMax mode".split()
    reducers = [getattr(ee.Reducer, name)() for name in names]
    return [
        *(image.reduceRegion(one, box) for one in reducers),
        image.reduceRegion(ee.Reducer.mean(), triangle),
        image.reduceRegion(ee.Reducer.percentile([10, 50]), triangle),
        image.reduceRegion(reducer=ee.Reducer.mean(), geometry=box, maxPixels=1e9),
        image.select(["c", "d"]).reduceRegion(ee.Reducer.linearFit(), triangle),
    ]


@scripts
def numbers_of_a_region(ee: Any, col: Any) -> Any:
    box = ee.Geometry.Rectangle(REGION)
    found = (
        col.max()
        .unmask(0)
        .reduceRegion(ee.Reducer.mean().combine(ee.Reducer.minMax(), "", True), box)
    )
    mean = ee.Number(found.get("a_mean"))
    spread = ee.Number(found.get("c_max")).subtract(found.get("c_min"))
    low = ee.Number(found.get("c_min"))
    return [
        mean.add(1),
        found.getNumber("b_max").multiply(2),
        found.keys(),
        ee.Dictionary(found).combine({"n": 1}).get("n"),
        ee.Algorithms.If(mean.gt(2), "bright", "dark"),
        col.max().select("c").unmask(0).subtract(low).divide(spread.add(1)),
    ]


@scripts
def a_region_of_each_image(ee: Any, col: Any) -> Any:
    box = ee.Geometry.Rectangle(REGION)

    def changed(img: Any) -> Any:
        clear = img.select("a").unmask(0).gt(2).reduceRegion(ee.Reducer.mean(), box).get("a")
        return img.select("d").set("clear", clear)

    made = col.map(changed)
    return [
        made.aggregate_array("clear"),
        made.filter(ee.Filter.gte("clear", 0.5)).size(),
        made.sort("clear").aggregate_array("clear"),
        made.map(lambda img: img.multiply(ee.Number(img.get("clear")))),
    ]


@scripts
def sample(ee: Any, col: Any) -> Any:
    image = col.first()
    points = image.sample(ee.Geometry.Rectangle(REGION))
    everywhere = image.select(["a", "d"]).sample()
    return [
        points.size(),
        points.aggregate_array("a"),
        everywhere.aggregate_array("d"),
        everywhere.aggregate_array("a").size(),
    ]


@scripts
def reduceRegions(ee: Any, col: Any) -> Any:
    box, triangle = ee.Geometry.Rectangle(REGION), ee.Geometry.Polygon(TRIANGLE)
    places = ee.FeatureCollection([ee.Feature(box, {"n": 1}), ee.Feature(triangle, {"n": 2})])
    image = col.max().unmask(1)
    one = image.select("a").reduceRegions(places, ee.Reducer.mean())
    many = image.select(["a", "c"]).reduceRegions(collection=places, reducer=ee.Reducer.max())
    both = image.select(["a", "c"]).reduceRegions(places, ee.Reducer.minMax())
    return [
        one.aggregate_array("mean"),
        one.aggregate_array("n"),
        many.aggregate_array("c"),
        both.aggregate_array("a_min"),
        one.first().get("mean"),
        one.map(lambda f: f.set("twice", ee.Number(f.get("mean")).multiply(2))).aggregate_array(
            "twice"
        ),
    ]


@scripts
def sampleRegions(ee: Any, col: Any) -> Any:
    box, triangle = ee.Geometry.Rectangle(REGION), ee.Geometry.Polygon(TRIANGLE)
    places = ee.FeatureCollection([ee.Feature(box, {"n": 1}), ee.Feature(triangle, {"n": 2})])
    points = col.max().select(["a", "d"]).sampleRegions(places, ["n"])
    return [points.size(), points.aggregate_array("n"), points.aggregate_array("d")]


@scripts
def reduceColumns(ee: Any, col: Any) -> Any:
    both = ee.Reducer.mean().combine(ee.Reducer.minMax(), "", True)
    return [
        col.reduceColumns(both, ["CLOUDY_PIXEL_PERCENTAGE"]),
        col.reduceColumns(ee.Reducer.max(2), ["CLOUDY_PIXEL_PERCENTAGE", "orbit"]).get("max"),
    ]


@scripts
def of_lists(ee: Any, col: Any) -> Any:
    numbers = ee.List([3, 1, 4, 1, 5])
    names = "mean sum median min max count mode stdDev minMax first last".split()
    return [
        *(numbers.reduce(getattr(ee.Reducer, name)()) for name in names),
        numbers.reduce(ee.Reducer.percentile([50, 75])),
        ee.List(col.aggregate_array("orbit")).reduce(ee.Reducer.max()),
    ]


@scripts
def aggregates(ee: Any, col: Any) -> Any:
    names = "min max sum mean count first total_sd total_var sample_sd count_distinct".split()
    return [
        *(getattr(col, f"aggregate_{name}")("CLOUDY_PIXEL_PERCENTAGE") for name in names),
        col.aggregate_histogram("mission"),
        col.aggregate_min("system:time_start"),
    ]


@scripts
def toBands(ee: Any, col: Any) -> Any:
    return [col.select(["a", "d"]).toBands(), col.select("b").toBands().bandNames()]


@scripts
def mode_and_product(ee: Any, col: Any) -> Any:
    return [col.mode(), col.select(["a", "d"]).product()]


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """Names, dtypes, masks and values of what reducers give."""
    same_on_both(scripts[name], seed)
