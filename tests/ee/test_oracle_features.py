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


@pytest.mark.parametrize(("name", "seed"), scripts.cases(2))
def test_as_earth_engine(name: str, seed: int) -> None:
    """What is inside a region, and what is known of features."""
    same_on_both(scripts[name], seed)
