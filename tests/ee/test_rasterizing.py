"""Features as pixels, against a loop over pixels and features with shapely."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import shapely
import xarray as xr

from qmosaic import ee

assert odc.geo.xr is not None

CRS = "EPSG:32633"
REDUCERS: dict[str, Callable[[list[Any]], Any]] = {
    "first": lambda values: values[0],
    "max": max,
    "min": min,
    "sum": sum,
    "count": len,
    "mean": statistics.fmean,
}
SHAPES = [
    (shapely.Polygon([(0, 0), (43, 12), (25, 61)]), 3),
    (shapely.box(20, 20, 60, 40), 8),  # along the edges of pixels
    (shapely.Point(77, 3), 5),
    (shapely.LineString([(5, 55), (75, 57)]), 2),
    (shapely.box(10, 10, 50, 50), None),
]


def grid() -> xr.Dataset:
    values = {"a": (("y", "x"), np.zeros((7, 9), "uint8"))}
    places = {"y": 10.0 * np.arange(7)[::-1] + 5, "x": 500_000 + 10.0 * np.arange(9) + 5}
    return xr.Dataset(values, places).odc.assign_crs(CRS)


def collection() -> ee.FeatureCollection:
    features = []
    for shape, code in SHAPES:
        moved = shapely.transform(shape, lambda places: places + np.array([500_000, 0]))
        crs = {"type": "name", "properties": {"name": CRS}}
        geometry = ee.Geometry({**shapely.geometry.mapping(moved), "crs": crs})
        features.append(ee.Feature(geometry, {"code": code, "weight": 1}))
    return ee.FeatureCollection(features)


@pytest.mark.parametrize("name", REDUCERS)
@pytest.mark.parametrize("chunks", [None, {"y": 3, "x": 4}])
def test_features_that_meet_a_pixel_are_reduced(name: str, chunks: Any) -> None:
    """reduceToImage() reduces a property of the features that are in a pixel, in their order; one
    that touches its edge or lacks the property does not count, and where none is the pixel is
    masked; it is computed by the chunks of the image that it is combined with, lazily."""
    dataset = grid() if chunks is None else grid().chunk(chunks)
    drawn = collection().reduceToImage(["code"], getattr(ee.Reducer, name)())
    assert drawn.bandNames().getInfo() == [name]
    band = ee.Image(dataset).addBands(drawn).dataset[name]
    assert (chunks is None) != isinstance(band.data, da.Array)
    found = band.values.tolist()
    some = 0
    for row in range(7):
        for column in range(9):
            left, bottom = 10 * column, 60 - 10 * row
            pixel = shapely.box(left + 1e-3, bottom + 1e-3, left + 10 - 1e-3, bottom + 10 - 1e-3)
            codes = [code for shape, code in SHAPES if code is not None and pixel.intersects(shape)]
            some += len(codes) > 1
            if codes:
                assert found[row][column] == pytest.approx(REDUCERS[name](codes))
            else:
                assert found[row][column] != found[row][column]
    assert some > 3


def test_images_of_features_mask_other_images() -> None:
    """It is combined with other images like any image; two of them before there is a grid."""
    drawn = collection().reduceToImage(["code"], ee.Reducer.first())
    points = collection().filter(ee.Filter.eq("code", 5)).reduceToImage("code", "first")
    seven = ee.Image(grid()).add(7)
    masked = seven.updateMask(drawn).dataset["a"]
    inside = seven.addBands(drawn).dataset["first"].notnull()
    np.testing.assert_array_equal(masked.values == 7, inside.values)
    both = seven.updateMask(points.unmask().Or(drawn.unmask())).dataset["a"]
    np.testing.assert_array_equal(both.values == 7, inside.values)
    none = collection().filter(ee.Filter.eq("code", 99)).reduceToImage(["code"], ee.Reducer.first())
    assert not seven.updateMask(none).mask().dataset["a"].values.any()


def test_reducers_and_properties_that_do_not_fit_are_refused() -> None:
    """A reducer of another number of inputs, one that gives lists, and a text have errors that say
    what to write."""
    features = collection()
    with pytest.raises(ValueError, match=r"a reducer of 1 inputs.*Give as many"):
        features.reduceToImage(["code", "weight"], ee.Reducer.first())
    with pytest.raises(ValueError, match=r"no pixel can hold"):
        features.reduceToImage(["code"], ee.Reducer.toList())
    named = features.map(lambda feature: feature.set("name", "Lake"))
    with pytest.raises(TypeError, match=r"'name', which is not a number.*feature.set"):
        ee.Image(grid()).add(named.reduceToImage(["name"], ee.Reducer.first()))


def test_a_number_for_each_image_goes_with_a_single_image_of_a_date() -> None:
    """Inside map() a constant that differs by image is combined with an image that has a date."""
    days = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
    images = xr.concat([grid(), grid() + 4], "time", data_vars="all").assign_coords(time=days)
    heights = ee.Image(images.isel(time=0)).add(3)

    def above(image: Any) -> Any:
        mean = image.reduceRegion(ee.Reducer.mean()).get("a")
        return ee.Image.constant(mean).subtract(heights)

    found = ee.ImageCollection(images).map(above).dataset
    assert found.sizes["time"] == 2
    assert [float(one.mean()) for one in next(iter(found.data_vars.values()))] == [-3, 1]
