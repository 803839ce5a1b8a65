"""Whole scripts, as people write them: on `qmosaic.ee` and on the loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()

TRIANGLE = [[[-103.2, 40.12], [-103.16, 40.12], [-103.18, 40.15], [-103.2, 40.12]]]


@scripts
def greenest_pixel_with_its_day(ee: Any, col: Any) -> Any:
    """The index and the day of the year of the greenest pixel, and their means in a region."""
    region = ee.FeatureCollection([ee.Feature(ee.Geometry.Polygon(TRIANGLE), {"name": "field"})])

    def prepared(img: Any) -> Any:
        scaled = img.select(["a", "c"]).add(1).multiply(0.01).toFloat()
        index = scaled.normalizedDifference(["c", "a"]).rename("ndvi")
        day = ee.Image.constant(img.date().getRelative("day", "year").add(1)).rename("doy")
        return (
            scaled.addBands(index)
            .addBands(day.toFloat())
            .copyProperties(img, ["system:time_start"])
        )

    images = (
        col.filterBounds(region)
        .filterDate("2019-01-01", "2021-01-01")
        .filter(ee.Filter.lt("CLOUDY_PIXEL_PERCENTAGE", 200))
        .map(prepared)
    )
    best = images.qualityMosaic("ndvi").clip(region.geometry())
    found = best.reduceRegion(reducer=ee.Reducer.mean(), geometry=region.geometry(), maxPixels=1e9)
    return [best, found, images.size(), ee.Number(found.get("doy")).gt(0)]


@scripts
def best_pixel_by_a_linked_score(ee: Any, col: Any) -> Any:
    """A score from another collection, of which only some images are there."""
    scores = col.limit(col.size().subtract(1), "orbit").map(
        lambda img: img.select("q").toFloat().add(6).divide(12).rename("cs")
    )
    bands = ["b", "d"]
    linked = col.map(lambda img: img.select(bands).toFloat()).linkCollection(scores, ["cs"])

    def masked(img: Any) -> Any:
        return img.updateMask(img.select("cs").gte(0.3))

    clear = linked.map(masked)
    best = clear.qualityMosaic("cs")
    return [
        best,
        clear.median(),
        best.select(bands).unmask(clear.select(bands).mean().toFloat()),
        linked.select("cs").count(),
    ]


@scripts
def best_available_pixel(ee: Any, col: Any) -> Any:
    """Bits of a quality band, a scale, and a score of the day, the sensor and the clouds."""
    target, spread = 180, 60

    def scored(img: Any) -> Any:
        qa = img.select("c")
        clear = qa.bitwiseAnd(1 << 3).eq(0).And(qa.bitwiseAnd(1 << 5).eq(0))
        reflectance = img.select(["a", "b"]).multiply(0.0275).add(-0.2)
        day = ee.Number(img.date().getRelative("day", "year"))
        apart = day.subtract(target).abs().divide(spread)
        season = ee.Image.constant(ee.Number(1).divide(apart.add(1))).toFloat()
        newer = ee.Image(ee.Number(img.get("orbit")).divide(10)).toFloat()
        clouds = qa.gt(700).focal_max(1, "square", "pixels").Not().multiply(0.5)
        score = season.add(newer).add(clouds.unmask(0)).rename("score").toFloat()
        return reflectance.toFloat().addBands(score).updateMask(clear)

    return [col.map(scored), col.map(scored).qualityMosaic("score")]


@scripts
def percentile_composite(ee: Any, col: Any) -> Any:
    """Percentiles of an index and the mean of bands between them."""
    index = col.map(
        lambda img: (
            img.expression("(c - a) / (c + a + 1)", {"c": img.select("c"), "a": img.select("a")})
            .rename("i")
            .toFloat()
            .addBands(img.select(["b", "d"]))
        )
    )
    limits = index.select("i").reduce(ee.Reducer.percentile([25, 75]))

    def inside(img: Any) -> Any:
        i = img.select("i")
        return img.updateMask(i.gte(limits.select("i_p25")).And(i.lte(limits.select("i_p75"))))

    both = ee.Reducer.mean().combine(reducer2=ee.Reducer.stdDev(), sharedInputs=True)
    made = index.map(inside).reduce(both)
    return [limits, made, made.select([".*_mean"]), made.select("d_mean").subtract(limits)]


@scripts
def a_mosaic_for_each_season(ee: Any, col: Any) -> Any:
    """Lists and choices of the server; seasons without images are left out."""

    def of_season(number: Any) -> Any:
        start = ee.Date("2019-01-01").advance(ee.Number(number).multiply(6), "month")
        part = col.filterDate(start, start.advance(6, "month")).select(["d"])
        filled = ee.Image(ee.Algorithms.If(part.size().gt(0), part.max(), ee.Image(-1).rename("d")))
        label = ee.String("s").cat(ee.Number(number).format("%d")).cat(start.format("_YYYY"))
        return (
            filled.toFloat()
            .set("system:time_start", start.millis())
            .set({"label": label, "images": part.size()})
        )

    made = ee.ImageCollection.fromImages(ee.List.sequence(0, 3).map(of_season))
    filled = made.filter(ee.Filter.gt("images", 0))
    return [
        filled,
        made.aggregate_array("label"),
        made.aggregate_array("images"),
        filled.mean(),
        filled.sort("system:time_start", False).mosaic(),
    ]


@scripts
def clouds_of_a_joined_collection(ee: Any, col: Any) -> Any:
    """A cloud probability by a join, a buffer around clouds, and a median."""
    probability = col.map(lambda img: img.select("q").add(5).multiply(10).rename("probability"))
    condition = ee.Filter.equals(leftField="system:index", rightField="system:index")
    joined = ee.ImageCollection(
        ee.Join.saveFirst("clouds").apply(
            primary=col.select(["b", "d"]),
            secondary=probability.filter(ee.Filter.neq("orbit", 3)),
            condition=condition,
        )
    )

    def masked(img: Any) -> Any:
        cloudy = ee.Image(img.get("clouds")).select("probability").unmask(0).gt(70)
        near = cloudy.focal_max(1, "circle", "pixels")
        return img.updateMask(near.Not())

    clear = joined.map(masked)
    return ee.Algorithms.If(clear.size().gt(0), [clear.median(), clear.count()], [])


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """What a whole script gives is what it gives on the loops."""
    same_on_both(scripts[name], seed)
