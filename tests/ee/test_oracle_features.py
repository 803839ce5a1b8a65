"""Regions and features: on `qmosaic.ee` and on a test of points in polygons."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.two_engines import Scripts, same_on_both

scripts = Scripts()

BOX = [-103.2, 40.13, -103.18, 40.15]
TRIANGLE = [[[-103.2, 40.12], [-103.16, 40.12], [-103.18, 40.15], [-103.2, 40.12]]]
FAR = [10, 50, 11, 51]


@scripts
def clip(ee: Any, col: Any) -> Any:
    image = col.first()
    box, triangle = ee.Geometry.Rectangle(BOX), ee.Geometry.Polygon(TRIANGLE)
    return [
        image.clip(box),
        image.clip(triangle),
        image.clip(box).unmask(0).clip(box),
        col.map(lambda img: img.clip(triangle)),
        col.map(lambda img: img.clip(triangle)).mosaic(),
        image.select("d").updateMask(ee.Image(1).clip(triangle)),
        image.clip(
            ee.Geometry.MultiPolygon(
                [TRIANGLE, [[[-103.17, 40.14], [-103.16, 40.14], [-103.16, 40.15]]]]
            )
        ),
    ]


@scripts
def filterBounds(ee: Any, col: Any) -> Any:
    inside = ee.Geometry.Point(-103.18, 40.14)
    return [
        col.filterBounds(inside).size(),
        col.filterBounds(ee.Geometry.Rectangle(BOX)).size(),
        col.filter(ee.Filter.bounds(ee.Geometry.Polygon(TRIANGLE))).size(),
        col.filterBounds(ee.Geometry.Rectangle(FAR)).size(),
    ]


def places(ee: Any) -> Any:
    """Make a collection of two features."""
    return ee.FeatureCollection(
        [
            ee.Feature(ee.Geometry.Rectangle(BOX), {"name": "box", "n": 3}),
            ee.Feature(ee.Geometry.Polygon(TRIANGLE), {"name": "triangle", "n": 1}),
        ]
    )


@scripts
def features_as_regions(ee: Any, col: Any) -> Any:
    both = places(ee)
    one = both.filter(ee.Filter.eq("name", "triangle"))
    return [
        col.first().clip(both),
        col.first().clip(one),
        col.first().clip(both.geometry()),
        col.first().clip(one.first().geometry()),
        col.filterBounds(both).size(),
        col.mosaic().clip(ee.Feature(both.first())),
    ]


@scripts
def features(ee: Any, col: Any) -> Any:
    both = places(ee)
    return [
        both.size(),
        both.aggregate_array("name"),
        both.first().get("name"),
        both.filter(ee.Filter.gt("n", 2)).size(),
        both.map(lambda f: f.set("twice", ee.Number(f.get("n")).multiply(2))).aggregate_array(
            "twice"
        ),
        both.sort("n").aggregate_array("name"),
        both.limit(1).aggregate_array("name"),
        both.merge(both.limit(1)).size(),
        [both.aggregate_sum("n"), both.aggregate_mean("n"), both.aggregate_max("n")],
        ee.Feature(both.toList(2).get(1)).get("name"),
        both.first().toDictionary(),
        both.first().set("a", 1, "b", 2).get("b"),
    ]


@scripts
def geojson(ee: Any, col: Any) -> Any:
    ring = [[-103.2, 40.12], [-103.16, 40.12], [-103.18, 40.15], [-103.2, 40.12]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"n": 1}}
    return [
        col.first().clip(ee.Geometry(shape)),
        col.first().clip(ee.Feature(feature)),
        col.first().clip(
            ee.FeatureCollection({"type": "FeatureCollection", "features": [feature]})
        ),
    ]


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """What is inside a region, and what is known of features."""
    same_on_both(scripts[name], seed)
