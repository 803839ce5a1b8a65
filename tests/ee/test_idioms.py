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
