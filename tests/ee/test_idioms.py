"""Idioms that are frequent in public scripts: small forms of arguments that Earth Engine takes."""

import numpy as np
import xarray as xr

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
