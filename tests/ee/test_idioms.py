"""Idioms that are frequent in public scripts: small forms of arguments that Earth Engine takes."""

import numpy as np
import odc.geo.xr  # noqa: F401  (for .odc)
import pytest
import xarray as xr

import qmosaic.display as geemap
from qmosaic import ee


def collection() -> ee.ImageCollection:
    """Make three images of two bands and four pixels, each number telling its band and image."""
    times = np.array(["2018-01-05", "2018-02-05", "2018-11-05"], "M8[ns]")
    bands = {
        name: (("time", "x"), first + np.arange(12, dtype="int16").reshape(3, 4))
        for name, first in (("B11", 100), ("B12", 200))
    }
    return ee.ImageCollection(xr.Dataset(bands, {"time": times}))


def test_dates_without_zeros_are_dates_in_filters():
    """filterDate and Filter.date read '2018-2-5' as ee.Date does."""
    col = collection()
    assert col.filterDate("2018-2-5", "2018-12-1").size() == 2
    assert col.filter(ee.Filter.date("2018-1-01", "2018-2-5")).size() == 1
    assert col.filterDate("2018-2-5").size() == 1


def test_a_list_of_numbers_is_an_image_of_several_bands():
    """The scales of Landsat's bands come from the properties of each image, by a pattern."""
    col = collection()
    scaled = col.map(lambda img: img.set("MULT_1", 2, "MULT_2", img.date().get("month")))

    def scale(img):
        factors = ee.Image.constant(img.toDictionary().select(["MULT_."]).values())
        return img.addBands(img.multiply(factors), None, True)

    made = scaled.map(scale)
    assert made.first().bandNames().getInfo() == ["B11", "B12"]
    months = np.array([[1], [2], [11]])
    np.testing.assert_array_equal(made.dataset["B11"], col.dataset["B11"] * 2)
    np.testing.assert_array_equal(made.dataset["B12"], col.dataset["B12"] * months)
    assert ee.Image.constant([5, 7]).bandNames().getInfo() == ["constant_0", "constant_1"]


def test_a_number_of_each_image_is_combined_with_one_image_that_has_a_date():
    """Inside map, the day of each image less a band of another, dated image."""
    col = collection()
    dated = col.first().select("B11")

    def since(img):
        day = ee.Image.constant(img.date().get("month")).subtract(dated)
        return img.addBands(day.rename("less"))

    less = col.map(since).dataset["less"].values
    np.testing.assert_array_equal(less, [[1], [2], [11]] - dated.dataset["B11"].values)


def test_the_whole_world_is_a_region():
    """A region of half the world or more keeps what lies in it, and only that."""
    places = {"y": [5e6, 5e6 - 10], "x": [3e5, 3e5 + 10]}  # UTM 33: 12.4° east, 45.1° north
    ones = xr.Dataset({"a": (("time", "y", "x"), np.ones((2, 2, 2)))}, places)
    col = ee.ImageCollection(ones.odc.assign_crs("EPSG:32633"))
    for box in ([-180, -85, 180, 85], [-179, -85, 179, 85], [-100, 0, 100, 50], [0, -90, 180, 90]):
        region = ee.Geometry.Rectangle(box)
        assert col.filterBounds(region).size() == 2
        assert col.first().clip(region).dataset["a"].values.tolist() == [[1, 1], [1, 1]]
    for box in ([-179, -89, 179, -40], [20, -85, 179, 85], [-179, -85, -20, 85]):
        assert col.filterBounds(ee.Geometry.Rectangle(box)).size() == 0


def map_of_a_place() -> geemap.Map:
    """Make a map that looks at a place in Sindh."""
    m = geemap.Map()
    m.setCenter(68.0, 26.0, 10)
    return m


def test_a_map_says_where_it_looks():
    """getCenter, getZoom and getBounds give numbers and GeoJSON that ee.Geometry takes."""
    m = map_of_a_place()
    assert (m.getCenter()["coordinates"], m.getZoom()) == ([68.0, 26.0], 10)
    west, south, east, north = m.getBounds()
    # a pixel of zoom level 10 is 360 / (256 · 2¹⁰) degrees of longitude
    assert east - west == pytest.approx(1000 * 360 / (256 * 1024))
    assert (west + east) / 2 == pytest.approx(68.0)
    assert (north - south) / np.cos(np.radians(26)) == pytest.approx(500 * 360 / 262144, rel=1e-4)
    inside = ee.Geometry(m.getBounds(True)).contains(ee.Geometry(m.getCenter()))
    assert inside.getInfo() if hasattr(inside, "getInfo") else inside


def test_a_map_without_a_view_shows_all_layers_or_the_world():
    """Where no place was set, all layers are shown as far in as they fit; or the whole world."""
    m = geemap.Map()
    assert m.getBounds() == [-180, -85, 180, 85]
    assert m.getZoom() == 0
    m.addLayer(ee.Geometry.Rectangle([67.0, 25.0, 67.5, 25.25]))
    m.addLayer(ee.Geometry.Rectangle([68.0, 25.0, 69.0, 25.5]))
    np.testing.assert_allclose(m.getBounds(), [67.0, 25.0, 69.0, 25.5], atol=1e-6)
    # 2 degrees are 1000 pixels of 360 / (256 · 2⁹·⁴) degrees
    assert m.getZoom() == 9
    m.centerObject(ee.Geometry.Point([68.5, 25.2]).buffer(1000))
    assert m.getZoom() > 9


def test_a_layer_without_images_is_left_out():
    """A collection of which a filter left nothing draws nothing; a warning says so."""
    m = map_of_a_place()
    with pytest.warns(UserWarning, match="'none' has no image, and nothing of it is shown"):
        m.addLayer(collection().filterDate("1999-01-01", "2000-01-01"), {}, "none")
    assert m.layers == []
