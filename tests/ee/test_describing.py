"""Descriptions of images and collections: what Earth Engine's dictionaries hold."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr  # noqa: F401
import pytest
import xarray as xr

from qmosaic import ee
from tests.support.sources import Forbidden


def stack() -> xr.Dataset:
    """Two images of which no pixel may be read."""
    shape = (2, 3, 4)
    bands = {
        name: (("time", "y", "x"), da.from_array(Forbidden(shape, dtype), chunks=(1, 3, 4)))
        for name, dtype in (("B4", "uint16"), ("ndvi", "float32"), ("q", "float64"), ("m", "int8"))
    }
    days = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
    properties = {
        "id": ("time", ["one", "two"]),
        "sun": ("time", [31.5, 40.0]),
        "path": ("time", [12, 13]),
        "platform": ("time", ["S2A", "S2B"]),
    }
    places = {"y": [5020.0, 5010.0, 5000.0], "x": [105.0, 115.0, 125.0, 135.0]}
    dataset = xr.Dataset(bands, {"time": days, **properties, **places})
    return dataset.odc.assign_crs("EPSG:32633")


def test_info_of_an_image() -> None:
    """`getInfo` names each band with its type and its grid, and the properties with their values,
    times in milliseconds; no pixel is read."""
    info = ee.ImageCollection(stack()).first().getInfo()
    grid = {
        "dimensions": [4, 3],
        "crs": "EPSG:32633",
        "crs_transform": [10.0, 0, 100.0, 0, -10.0, 5025.0],
    }
    whole = {"type": "PixelType", "precision": "int"}
    assert info == {
        "type": "Image",
        "id": "one",
        "bands": [
            {"id": "B4", "data_type": {**whole, "min": 0, "max": 65535}, **grid},
            {"id": "ndvi", "data_type": {"type": "PixelType", "precision": "float"}, **grid},
            {"id": "q", "data_type": {"type": "PixelType", "precision": "double"}, **grid},
            {"id": "m", "data_type": {**whole, "min": -128, "max": 127}, **grid},
        ],
        "properties": {
            "system:time_start": 1577836800000,
            "system:index": "one",
            "sun": 31.5,
            "path": 12,
            "platform": "S2A",
        },
    }
    assert type(info["properties"]["path"]) is int


def test_info_of_a_collection() -> None:
    """That of a collection has that of each image."""
    ee.register("TESTS/DESCRIBED", stack())
    collection = ee.ImageCollection("TESTS/DESCRIBED")
    info = collection.getInfo()
    assert (info["type"], info["id"], info["bands"]) == ("ImageCollection", "TESTS/DESCRIBED", [])
    assert info["features"][0] == collection.first().getInfo()
    assert [one["id"] for one in info["features"]] == ["one", "two"]
    nothing = collection.filterDate("2021-01-01", "2021-02-01")
    assert nothing.getInfo()["features"] == []


def test_info_of_what_has_no_grid() -> None:
    """A constant lies everywhere; a band without coordinates has its size alone."""
    (constant,) = ee.Image(7).getInfo()["bands"]
    assert constant == {
        "id": "constant",
        "data_type": {"type": "PixelType", "precision": "int", "min": 0, "max": 255},
        "crs": "EPSG:4326",
        "crs_transform": [1, 0, 0, 0, 1, 0],
    }
    (bare,) = ee.Image(xr.DataArray(np.ones((2, 3)), dims=("y", "x"))).getInfo()["bands"]
    assert bare["dimensions"] == [3, 2]
    assert "crs" not in bare
    uneven = stack().isel(x=[0, 1, 3])
    assert "crs_transform" not in ee.ImageCollection(uneven).first().getInfo()["bands"][0]


def test_properties_as_a_dictionary() -> None:
    """`toDictionary` has all properties but those of the system, or those that are asked for;
    inside map it is one dictionary for each image."""
    image = ee.ImageCollection(stack()).first()
    assert image.toDictionary() == {"sun": 31.5, "path": 12, "platform": "S2A"}
    assert image.toDictionary(["sun", "system:index"]) == {"sun": 31.5, "system:index": "one"}
    assert image.toDictionary().getNumber("path").add(1) == 13

    def with_sum(one: ee.Image) -> ee.Image:
        given = one.toDictionary(["sun", "path"])
        return one.set("sum", ee.Number(given.get("sun")).add(given.get("path")))

    made = ee.ImageCollection(stack()).map(with_sum)
    assert made.aggregate_array("sum") == [43.5, 53]
    with pytest.raises(KeyError, match="no property 'moon'"):
        image.toDictionary(["moon"])


def test_names_and_types() -> None:
    """Properties are called as in Earth Engine; types are those of `getInfo`."""
    image = ee.ImageCollection(stack()).first()
    assert set(image.propertyNames()) == {
        "system:band_names",
        "system:index",
        "system:time_start",
        "sun",
        "path",
        "platform",
    }
    for name in image.propertyNames():
        assert image.get(name) is not None
    types = image.bandTypes()
    assert types.get("ndvi") == {"type": "PixelType", "precision": "float"}
    assert types.keys() == ["B4", "m", "ndvi", "q"]


def test_info_inside_map_is_refused() -> None:
    """Inside map there is no single image to describe; the error says where to ask."""

    def asked(one: ee.Image) -> Any:
        return one.set("info", one.getInfo()["id"])

    with pytest.raises(ValueError, match="Call it outside"):
        ee.ImageCollection(stack()).map(asked)
