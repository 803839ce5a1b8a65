"""Links and joins of collections: on `qmosaic.ee` and on loops."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()


def clouds(ee: Any, col: Any) -> Any:
    """Make a second collection of fewer images, in another order, with a band of its own."""
    made = col.sort("system:index").map(
        lambda img: img.select(["q", "d"]).multiply(10).rename(["probability", "d"]).set("known", 1)
    )
    return made.limit(col.size().subtract(1))


@scripts
def linkCollection(ee: Any, col: Any) -> Any:
    other = clouds(ee, col)
    return [
        col.linkCollection(other, ["probability"]),
        col.linkCollection(other, "probability"),
        col.linkCollection(other, ["d", "probability"]),
        col.linkCollection(other, ["probability"]).map(
            lambda img: img.updateMask(img.select("probability").gt(0))
        ),
        col.linkCollection(other, None, ["known"]).aggregate_array("known"),
    ]


@scripts
def linked_quality(ee: Any, col: Any) -> Any:
    other = clouds(ee, col)
    return col.linkCollection(other, ["probability"]).qualityMosaic("probability")


@scripts
def linkCollection_by_a_property(ee: Any, col: Any) -> Any:
    other = col.map(lambda img: img.select("a").rename("other").set("key", img.get("system:index")))
    keyed = col.map(lambda img: img.set("key", img.get("system:index")))
    return keyed.linkCollection(other, ["other"], None, "key")


@scripts
def combine(ee: Any, col: Any) -> Any:
    other = col.map(lambda img: img.select("a").add(1).rename("more"))
    return [col.combine(other), col.combine(other.select(["more"], ["a"]), True)]


@scripts
def saveFirst(ee: Any, col: Any) -> Any:
    other = clouds(ee, col)
    condition = ee.Filter.equals(leftField="system:index", rightField="system:index")
    joined = ee.ImageCollection(ee.Join.saveFirst("cloud").apply(col, other, condition))

    def masked(img: Any) -> Any:
        cloud = ee.Image(img.get("cloud")).select("probability")
        return img.addBands(cloud).updateMask(cloud.lt(20))

    return [
        joined.size(),
        joined.aggregate_array("system:index"),
        joined.map(masked),
        joined.map(masked).qualityMosaic("a"),
        joined.map(
            lambda img: img.set("p", ee.Image(img.get("cloud")).get("orbit"))
        ).aggregate_array("p"),
    ]


@scripts
def saveBest(ee: Any, col: Any) -> Any:
    other = col.limit(2)
    near = ee.Filter.maxDifference(
        difference=400 * 86400000, leftField="system:time_start", rightField="system:time_start"
    )
    joined = ee.ImageCollection(ee.Join.saveBest("best", "apart").apply(col, other, near))
    return [
        joined.map(
            lambda img: img.set("apart", ee.Image(img.get("best")).get("apart"))
        ).aggregate_array("apart"),
        joined.map(lambda img: img.select("a").subtract(ee.Image(img.get("best")).select("a"))),
    ]


@scripts
def simple_and_inverted(ee: Any, col: Any) -> Any:
    other = clouds(ee, col)
    condition = ee.Filter.equals(leftField="system:index", rightField="system:index")
    return [
        ee.ImageCollection(ee.Join.simple().apply(col, other, condition)),
        ee.ImageCollection(ee.Join.inverted().apply(col, other, condition)).size(),
        ee.ImageCollection(ee.Join.inverted().apply(col, other, condition)).aggregate_array(
            "orbit"
        ),
    ]


@scripts
def inner(ee: Any, col: Any) -> Any:
    other = clouds(ee, col)
    condition = ee.Filter.equals(leftField="system:index", rightField="system:index")
    pairs = ee.Join.inner().apply(col, other, condition)
    images = pairs.map(
        lambda pair: ee.Image.cat(
            pair.get("primary"), ee.Image(pair.get("secondary")).select("probability")
        )
    )
    return [pairs.size(), ee.ImageCollection(images).select("probability").max()]


@scripts
def saveAll(ee: Any, col: Any) -> Any:
    condition = ee.Filter.equals(leftField="orbit", rightField="orbit")
    joined = ee.ImageCollection(ee.Join.saveAll("same").apply(col, col, condition))
    return [
        joined.size(),
        joined.map(lambda img: img.set("n", ee.List(img.get("same")).size())).aggregate_array("n"),
        joined.map(lambda img: ee.ImageCollection.fromImages(img.get("same")).select("a").max()),
    ]


@scripts
def filters_of_texts_and_lists(ee: Any, col: Any) -> Any:
    listed = col.map(lambda img: img.set("names", [img.get("mission"), "all"]))
    return [
        col.filter(ee.Filter.stringContains("mission", "o")).size(),
        col.filter(ee.Filter.stringStartsWith("mission", "t")).size(),
        col.filter(ee.Filter.stringEndsWith("mission", "e")).size(),
        col.filter(ee.Filter.notNull(["mission"])).size(),
        listed.filter(ee.Filter.listContains("names", "all")).size(),
        listed.filter(ee.Filter.listContains("names", "one")).size(),
    ]


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """Which images are paired, what they get, and what is masked where there is no match."""
    same_on_both(scripts[name], seed)
