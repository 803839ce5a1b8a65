"""Columns of properties: reduced, and of random numbers; and geometries by their constructors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from qmosaic import ee

DAYS = np.array(["2018-01-05", "2018-02-05", "2018-11-05"], "M8[ns]")


def test_columns_of_features_are_reduced() -> None:
    """reduceColumns gives a dictionary by the outputs of the reducer, lists for several properties;
    features that lack one do not count."""
    rows = [{"land": 1, "name": "a"}, {"land": 4.5, "name": "b"}, {"name": "c"}]
    features = ee.FeatureCollection([ee.Feature(None, row) for row in rows])
    listed = features.reduceColumns(ee.Reducer.toList(), ["land"])
    assert listed.getInfo() == {"list": [1, 4.5]}
    assert features.reduceColumns(ee.Reducer.mean(), ["land"]).get("mean") == 2.75
    pairs = features.limit(2).reduceColumns(ee.Reducer.toList(2), ["name", "land"])
    assert pairs.get("list").getInfo() == [["a", 1], ["b", 4.5]]
    assert features.reduceColumns(ee.Reducer.count().repeat(2), ["name", "land"]).getInfo() == {
        "count": [3, 2]
    }


@pytest.mark.parametrize("kind", ["images", "features"])
def test_random_columns(kind: str) -> None:
    """randomColumn gives each image or feature a number from 0 to 1: the same by the same seed,
    others by another; two filters by it part a collection."""
    made: Any = ee.ImageCollection(xr.Dataset({"a": ("time", [1, 2, 3])}, {"time": DAYS}))
    if kind == "features":
        made = ee.FeatureCollection([ee.Feature(ee.Geometry.Point(n, 0)) for n in range(3)])
    count = made.size()
    drawn = made.randomColumn("part", 5).aggregate_array("part").getInfo()
    assert len(set(drawn)) == count
    assert all(0 <= number < 1 for number in drawn)
    again = made.randomColumn("part", 5)
    assert again.aggregate_array("part").getInfo() == drawn
    assert made.randomColumn().aggregate_array("random").getInfo() != drawn
    first = again.filter(ee.Filter.lt("part", drawn[0])).size()
    assert first.add(again.filter(ee.Filter.gte("part", drawn[0])).size()) == count
    spread = made.randomColumn("n", 1, "normal").aggregate_array("n").getInfo()
    assert spread != drawn


def test_constructors_of_geometries() -> None:
    """ee.Algorithms.GeometryConstructors makes what ee.Geometry makes."""
    corners = ee.List([[[0, 0], [2, 0], [2, 1], [0, 1]]])
    made = ee.Algorithms.GeometryConstructors.Polygon(corners)
    assert made.bounds().getInfo() == ee.Geometry.BBox(0, 0, 2, 1).bounds().getInfo()
