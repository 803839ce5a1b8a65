"""Projections, images on other grids, outlines."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

from qmosaic import ee

pytest.importorskip("odc.geo.xr")

SIDE, LEFT, TOP, CRS = 12, 300_000.0, 5_000_000.0, "EPSG:32633"
DEGREE = 111319.49079327358
"""Metres in a degree at the equator of WGS84, as Earth Engine tells for EPSG:4326."""


def images(**coords: Any) -> ee.ImageCollection:
    """Make three images of 10 m."""
    values = np.arange(3 * SIDE * SIDE, dtype="int16").reshape(3, SIDE, SIDE)
    places = {
        "time": np.array(["2020-07-01", "2020-07-11", "2020-07-21"], "M8[ns]"),
        "y": TOP - 5 - 10.0 * np.arange(SIDE),
        "x": LEFT + 5 + 10.0 * np.arange(SIDE),
    }
    data = xr.Dataset(
        {"B4": (("time", "y", "x"), values, {"_FillValue": -1})}, {**places, **coords}
    )
    return ee.ImageCollection(data.odc.assign_crs(CRS).chunk(time=1, y=5))


def test_the_projection_of_an_image() -> None:
    """projection() tells CRS, transform and scale of the grid, as Earth Engine does."""
    projection = images().first().projection()
    assert projection.crs() == "EPSG:32633"
    assert projection.nominalScale() == 10
    assert projection.getInfo() == {
        "type": "Projection",
        "crs": "EPSG:32633",
        "transform": [10.0, 0.0, LEFT, 0.0, -10.0, TOP],
    }
    assert projection.transform() == (
        'PARAM_MT["Affine", PARAMETER["num_row", 3], PARAMETER["num_col", 3], '
        'PARAMETER["elt_0_0", 10.0], PARAMETER["elt_0_2", 300000.0], '
        'PARAMETER["elt_1_1", -10.0], PARAMETER["elt_1_2", 5000000.0]]'
    )
    assert pyproj.CRS(projection.wkt().getInfo()) == pyproj.CRS(CRS)
    assert ee.Image(1).projection().nominalScale() == pytest.approx(DEGREE)


def test_projections_are_scaled_and_moved() -> None:
    """atScale, scale and translate give other grids in the same CRS."""
    projection = ee.Projection("EPSG:4326")
    assert projection.nominalScale() == pytest.approx(DEGREE)
    assert projection.atScale(30).nominalScale() == pytest.approx(30)
    assert ee.Projection(CRS, [10, 0, 5, 0, -10, 7]).atScale(30).getInfo()["transform"] == [
        *(30.0, 0.0, 5.0),
        *(0.0, -30.0, 7.0),
    ]
    placed = ee.Projection(CRS).scale(2, 3).translate(4, 5)
    assert placed.getInfo()["transform"] == [2.0, 0.0, 8.0, 0.0, 3.0, 15.0]
    feet = ee.Projection("EPSG:2229")  # in feet of the United States
    assert feet.nominalScale() == pytest.approx(0.3048006, abs=1e-7)
    assert ee.Projection("EPSG:32633", "[10, 0, 5, 0, -10, 7]").nominalScale() == 10
    with pytest.raises(ValueError, match="six numbers"):
        ee.Projection(CRS, [1, 2])
    with pytest.raises(ValueError, match="no CRS"):
        ee.Projection("EPSG:none")


@pytest.mark.parametrize(
    "grid",
    [
        lambda p: (p,),
        lambda p: (p, None, 10),
        lambda p: (p.atScale(10),),
        lambda p: (CRS, None, 10),
        lambda p: (CRS,),
        lambda p: (p.crs(), p.getInfo()["transform"]),
        lambda p: (p.getInfo(),),
    ],
)
def test_the_own_grid_is_no_other_grid(grid: Any) -> None:
    """reproject and setDefaultProjection onto the grid of the image do nothing, and say nothing."""
    one = images().first()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert one.reproject(*grid(one.projection())).dataset.identical(one.dataset)
        assert one.setDefaultProjection(*grid(one.projection())) is one


def test_reproject_takes_the_nearest_pixel() -> None:
    """On another grid each pixel has the value of that in which its centre lies, looked up one by
    one; a warning says so."""
    one = images().first()
    with pytest.warns(UserWarning, match="nearest neighbour"):
        moved = one.reproject("EPSG:4326", None, 8)
    made = moved.dataset["B4"].compute()
    values = one.dataset["B4"].values
    to_image = pyproj.Transformer.from_crs("EPSG:4326", CRS, always_xy=True)
    for i, latitude in enumerate(made["latitude"].values):
        for j, longitude in enumerate(made["longitude"].values):
            x, y = to_image.transform(longitude, latitude)
            row, column = math.floor((TOP - y) / 10), math.floor((x - LEFT) / 10)
            inside = 0 <= row < SIDE and 0 <= column < SIDE
            assert made.values[i, j] == (values[row, column] if inside else -1)
    assert moved.projection().nominalScale() == pytest.approx(8)


def test_a_projection_with_a_scale_keeps_its_corner() -> None:
    """reproject(projection, None, 30) has pixels that begin where those of the projection do; the
    code of a CRS with a scale has them at multiples of the scale."""
    one = images().first()
    with pytest.warns(UserWarning, match="nearest neighbour"):
        own = one.reproject(one.projection(), None, 40)
    with pytest.warns(UserWarning, match="nearest neighbour"):
        code = one.reproject(CRS, None, 70)
    assert own.projection().getInfo()["transform"] == [40.0, 0.0, LEFT, 0.0, -40.0, TOP]
    assert code.projection().getInfo()["transform"][2] % 70 == 0


def test_reproject_inside_map() -> None:
    """Inside map() all images are brought onto the grid at once."""
    col = images()
    with pytest.warns(UserWarning, match="nearest neighbour"):
        moved = col.map(lambda image: image.reproject(CRS, None, 30))
    assert moved.dataset["B4"].shape == (3, 5, 4)
    assert moved.size() == 3
    # its pixels begin at multiples of 30 m: the first centre is 15 m from the left edge
    np.testing.assert_array_equal(
        moved.dataset["B4"].values[:, 1, 0],
        col.dataset["B4"].sel(x=LEFT + 15.1, y=float(moved.dataset["y"][1]), method="nearest"),
    )


def test_images_on_other_grids_go_together() -> None:
    """An image on another grid, such as an elevation model in degrees, is brought onto that of the
    first one by nearest neighbour, inside map() too; what is masked there is masked."""
    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    west, north = to_degrees.transform(LEFT + 31, TOP - 17)  # of its edges
    places = {
        "latitude": north - 0.0003 * (np.arange(9) + 0.5),
        "longitude": west + 0.0004 * (np.arange(5) + 0.5),
    }
    heights = np.arange(45, dtype="int16").reshape(9, 5)
    model = xr.Dataset({"height": (("latitude", "longitude"), heights, {"_FillValue": -1})}, places)
    height = ee.Image(model.odc.assign_crs("EPSG:4326"))
    col = images()
    one = col.first()
    both = one.addBands(height)
    expected = np.full((SIDE, SIDE), -1)
    for i, y in enumerate(one.dataset["y"].values):
        for j, x in enumerate(one.dataset["x"].values):
            longitude, latitude = to_degrees.transform(x, y)
            row = math.floor((north - latitude) / 0.0003)
            column = math.floor((longitude - west) / 0.0004)
            if 0 <= row < 9 and 0 <= column < 5:
                expected[i, j] = heights[row, column]
    assert (expected >= 0).any()
    assert (expected < 0).any()
    np.testing.assert_array_equal(both.dataset["height"].values, expected)
    assert both.dataset["B4"].identical(one.dataset["B4"])
    added = one.add(height).dataset["B4"]
    np.testing.assert_array_equal(
        added.values == added.attrs["_FillValue"], (expected < 0) | (one.dataset["B4"].values < 0)
    )
    several = col.map(lambda image: image.updateMask(height.gte(0)))
    assert several.dataset["B4"].dims == ("time", "y", "x")
    np.testing.assert_array_equal((several.dataset["B4"].values == -1)[2], expected < 0)
    far = ee.Image(
        model.assign_coords(longitude=places["longitude"] + 9).odc.assign_crs("EPSG:4326")
    )
    assert not one.updateMask(far.gte(0)).mask().dataset["B4"].any()


def test_what_changes_nothing_says_so() -> None:
    """setDefaultProjection to another grid and resample leave pixels as they are, and warn."""
    one = images().first()
    with pytest.warns(UserWarning, match="changes nothing"):
        assert one.setDefaultProjection("EPSG:4326", None, 30) is one
    with pytest.warns(UserWarning, match="resampling='bilinear'"):
        assert one.resample("bicubic") is one
    with pytest.raises(ValueError, match="'bilinear' and 'bicubic'"):
        one.resample("cubic")
    with pytest.raises(ValueError, match="crsTransform and scale"):
        one.reproject(CRS, [1, 0, 0, 0, -1, 0], 30)
    with pytest.raises(AttributeError, match="coarsen"):
        one.reduceResolution(None)
    constant = ee.Image(1)
    assert constant.reproject("EPSG:4326", None, 30) is constant


def test_outlines() -> None:
    """geometry() is the footprint of the image where that is known, else the outline of the grid,
    in longitude and latitude; that of a collection holds those of its images."""
    one = images().first()
    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    corner = to_degrees.transform(LEFT, TOP)
    assert one.geometry().geometry.geom.distance(shapely.Point(corner)) == pytest.approx(
        0, abs=1e-6
    )
    boxes = [f"POLYGON (({x} 0, {x + 1} 0, {x + 1} 1, {x} 1, {x} 0))" for x in (0, 1, 5)]
    several = images(footprint=("time", boxes))
    assert several.first().geometry().geometry.boundingbox.bbox == (0, 0, 1, 1)
    assert several.geometry().geometry.boundingbox.bbox == (0, 0, 6, 1)
    assert several.geometry().geometry.area == pytest.approx(3)
    assert images().geometry().geometry.boundingbox.bbox == pytest.approx(
        one.geometry().geometry.boundingbox.bbox
    )
    assert ee.Image(1).geometry().geometry.boundingbox.bbox == (-180, -90, 180, 90)


def test_images_by_their_ids_and_empty_images() -> None:
    """ee.Image takes the id of an image of a registered collection; without anything it is a band
    `constant` that is masked everywhere, which masks what it masks."""
    col = images(id=("time", ["a", "b", "c"]))
    ee.register("MY/PROJECTED", col.dataset)
    second = ee.Image("MY/PROJECTED/b")
    np.testing.assert_array_equal(second.dataset["B4"], col.dataset["B4"].isel(time=1))
    assert second.id() == "b"
    with pytest.raises(ValueError, match="collection of 3 images"):
        ee.Image("MY/PROJECTED")
    empty = ee.Image()
    assert empty.bandNames() == ["constant"]
    assert empty.mask().dataset["constant"].item() == 0
    masked = second.updateMask(empty)
    assert (masked.dataset["B4"].values == -1).all()
    filled = empty.addBands(second)
    assert filled.bandNames() == ["constant", "B4"]
