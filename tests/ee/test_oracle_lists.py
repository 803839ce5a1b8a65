"""Loops of the server: lists of images, ``iterate``, ``If``; on `qmosaic.ee` and on the loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()


@scripts
def If(ee: Any, col: Any) -> Any:
    conditions = [0, 1, 0.5, "", "text", [], [0], {}, {"a": 1}, None, float("nan"), True, False]
    return [
        [ee.Algorithms.If(one, "yes", "no") for one in conditions],
        ee.Algorithms.If(col.size().gt(0), col.first(), ee.Image(0)),
        ee.Algorithms.If(ee.Number(3).lt(2), col.max(), col.min()),
        ee.Algorithms.If(ee.String("a").equals("b"), 1, None),
        ee.Algorithms.If(col.filter(ee.Filter.eq("orbit", 9)).size(), 1, 2),
        ee.Algorithms.If(col.aggregate_array("orbit").contains(2), "two", "none"),
    ]


@scripts
def If_inside_map(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        one = ee.Algorithms.If(ee.Number(img.get("orbit")).gt(1), "high", "low")
        return img.set("kind", one)

    made = col.map(changed)
    return [made.aggregate_array("kind"), made.filter(ee.Filter.eq("kind", "high")).size()]


@scripts
def If_between_images_inside_map(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        cloudy = ee.Number(img.get("CLOUDY_PIXEL_PERCENTAGE")).gt(50)
        a = img.select("a").toFloat()
        return ee.Image(ee.Algorithms.If(cloudy, a.multiply(0), a))

    def other(img: Any) -> Any:
        one = ee.String(img.get("mission")).equals("one")
        scaled = img.select(["c", "d"]).multiply(0.5).toFloat()
        return ee.Image(ee.Algorithms.If(one, img.select(["c", "d"]).toFloat(), scaled))

    return [col.map(changed), col.map(other), col.map(other).mean()]


@scripts
def If_by_another_collection(ee: Any, col: Any) -> Any:
    def changed(img: Any) -> Any:
        one = ee.Filter.eq("mission", "one")
        known = col.filter(one).filter(ee.Filter.eq("system:index", img.get("system:index")))
        return ee.Image(
            ee.Algorithms.If(known.size().gt(0), img.select("a"), img.select("a").add(1))
        )

    return col.map(changed)


@scripts
def map_that_drops(ee: Any, col: Any) -> Any:
    def kept(img: Any) -> Any:
        return ee.Algorithms.If(ee.Number(img.get("orbit")).eq(2), None, img)

    return col.map(kept, True).size()


@scripts
def months(ee: Any, col: Any) -> Any:
    """A mosaic for each quarter, by a list; those without images are dropped."""

    def of_quarter(number: Any) -> Any:
        start = ee.Date("2019-01-01").advance(ee.Number(number).multiply(3), "month")
        part = col.filterDate(start, start.advance(3, "month"))
        return (
            part.select("d")
            .max()
            .set("system:time_start", start.millis(), "count", part.size(), "quarter", number)
        )

    images = ee.List.sequence(0, 7).map(of_quarter)
    made = ee.ImageCollection.fromImages(images).filter(ee.Filter.gt("count", 0))
    return [
        made.size(),
        made,
        [made.aggregate_array(name) for name in ["quarter", "count", "system:time_start"]],
        made.mean(),
    ]


@scripts
def years(ee: Any, col: Any) -> Any:
    def of_year(year: Any) -> Any:
        part = col.filter(ee.Filter.calendarRange(year, year, "year"))
        return part.select("q").mean().set("year", year)

    made = ee.ImageCollection(ee.List([2019, 2020]).map(of_year))
    return [made.size(), made.aggregate_array("year")]


@scripts
def dates_as_a_list(ee: Any, col: Any) -> Any:
    times = ee.List(col.aggregate_array("system:time_start")).map(
        lambda one: ee.Date(one).format("YYYY-MM")
    )
    starts = ee.List.sequence(0, 2).map(lambda n: ee.Date("2020-01-31").advance(n, "month"))
    return [times, times.distinct().size(), starts.map(lambda one: ee.Date(one).format("MM-dd"))]


@scripts
def toList(ee: Any, col: Any) -> Any:
    listed = col.toList(col.size())
    return [
        listed.size(),
        ee.Image(listed.get(0)),
        ee.Image(listed.get(-1)).select("a"),
        ee.Image(listed.get(1)).get("mission"),
        ee.ImageCollection(listed.slice(0, 2)).mosaic(),
        ee.ImageCollection(listed.reverse()).mosaic(),
        col.toList(1, 1).size(),
        listed.map(lambda img: ee.Image(img).get("orbit")),
        ee.ImageCollection.fromImages(listed.map(lambda img: ee.Image(img).select("a").add(1))),
    ]


@scripts
def iterate(ee: Any, col: Any) -> Any:
    def total(img: Any, before: Any) -> Any:
        return ee.Number(before).add(img.get("orbit"))

    def summed(img: Any, before: Any) -> Any:
        return ee.Image(before).add(img.select("a").unmask(0))

    def collected(img: Any, before: Any) -> Any:
        last = ee.Image(ee.List(before).get(-1))
        added = img.select("b").unmask(0).add(last).rename("b").toInt32()
        return ee.List(before).add(added)

    start = ee.List([ee.Image(0).rename("b").toInt32()])
    return [
        col.iterate(total, 0),
        ee.Image(col.iterate(summed, ee.Image(0))).toInt32(),
        ee.Image(ee.List(col.iterate(collected, start)).get(-1)),
        ee.List(col.iterate(collected, start)).size(),
    ]


@scripts
def list_of_names(ee: Any, col: Any) -> Any:
    names = ee.List(["a", "b"])
    new = names.map(lambda name: ee.String(name).cat("_new"))
    image = col.first()
    return [
        image.select(names, new),
        image.select(names).rename(new),
        image.select(image.bandNames().removeAll(["q"])),
        image.select(image.bandNames().slice(0, 2)),
        image.addBands(image.select(names).rename(new)).bandNames(),
        image.bandNames().contains("a"),
    ]


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """What loops and choices of the server give is what the loops of Python give."""
    same_on_both(scripts[name], seed)
