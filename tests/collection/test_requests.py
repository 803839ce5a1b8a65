"""The grid of a request: an image cut to a region, and brought onto another grid.

The oracle takes pixels one by one, with pyproj and plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import dask.array as da
import numpy as np
import pyproj
import pytest
import shapely
import xarray as xr

import qmosaic as qm
from qmosaic.collection.nearest import on_grid_like
from qmosaic.collection.requests import on_grid_of

pytest.importorskip("odc.geo.xr")

SIDE = 40
CRS = "EPSG:32633"
LEFT, TOP = 600_000.0, 5_400_000.0
"""Away from the middle of the zone, where north is not up in longitude and latitude."""


@contextmanager
def raise_if_computed() -> Iterator[None]:
    """Fail where dask computes."""
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        yield


def lying(shape: Any) -> Any:
    """Give a shape in the CRS of the image as a region."""
    from odc.geo.geom import Geometry

    return Geometry(shape, CRS)


def image(dtype: str = "int16", chunks: Any = None, **attrs: Any) -> xr.Dataset:
    """Make an image of 10 m; each pixel has a value that few others have."""
    values = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 7 % 101).astype(dtype)
    places = {
        "y": TOP - 5 - 10.0 * np.arange(SIDE),
        "x": LEFT + 5 + 10.0 * np.arange(SIDE),
    }
    band = xr.DataArray(values, places, ("y", "x"), attrs=attrs, name="band")
    made = band.odc.assign_crs(CRS).to_dataset()
    return made if chunks is None else made.chunk(chunks)


def looked_up(values: np.ndarray, grid: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Look up the pixel in which each centre of a grid lies; and whether there is one."""
    down, across = grid.odc.spatial_dims
    to_image = pyproj.Transformer.from_crs(str(grid.odc.crs), CRS, always_xy=True)
    found = np.zeros((*values.shape[:-2], grid.sizes[down], grid.sizes[across]), values.dtype)
    inside = np.zeros(found.shape[-2:], bool)
    for i, place_y in enumerate(grid[down].values):
        for j, place_x in enumerate(grid[across].values):
            x, y = to_image.transform(place_x, place_y)
            row = math.floor((TOP - y) / 10 + 1e-6)
            column = math.floor((x - LEFT) / 10 + 1e-6)
            if 0 <= row < SIDE and 0 <= column < SIDE:
                found[..., i, j] = values[..., row, column]
                inside[i, j] = True
    return found, inside


GRIDS: list[dict[str, Any]] = [
    {"crs": "EPSG:4326", "scale": 13},
    {"crs": "EPSG:4326"},
    {"scale": 7},
    {"scale": 33},
    {"crs": "EPSG:3035", "crs_transform": [12, 0, 3, 0, -9, 5]},
    {"crs": "EPSG:3857", "dimensions": (25, 31)},
    {"crs": "EPSG:32634", "dimensions": 30},
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("chunks", [None, 16, {"y": 7, "x": 40}], ids=str)
def test_each_pixel_is_that_in_which_its_centre_lies(grid: Any, chunks: Any) -> None:
    """A pixel of the grid has the value of the pixel of the image in which its centre lies, however
    the image is chunked, and is masked where there is none."""
    given = image(chunks=chunks, _FillValue=-1)
    made = on_grid_of(given, **grid)
    expected, inside = looked_up(given["band"].values, made)
    assert inside.any()
    np.testing.assert_array_equal(made["band"].values, np.where(inside, expected, -1))
    assert made["band"].dtype == "int16"
    assert made["band"].attrs["_FillValue"] == -1
    assert isinstance(made["band"].data, da.Array) == (chunks is not None)


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int64", "uint64", "float16", "float32", "datetime64[ns]"]
)
def test_every_dtype_is_moved_as_it_is(dtype: str) -> None:
    """No value is changed on the way, whatever the dtype, also those that GDAL does not know. What
    lies outside is NaN, or a nodata of the next larger dtype of integers that declare none."""
    given = image(dtype, chunks=16)
    made = on_grid_of(given, crs="EPSG:4326", scale=11)
    expected, inside = looked_up(given["band"].values, made)
    band = made["band"].compute()
    np.testing.assert_array_equal(band.values[inside], expected[inside].astype(band.dtype))
    outside = band.values[~inside]
    assert outside.size
    if band.dtype.kind in "fM":
        assert np.isnan(outside).all()
        assert band.dtype == dtype
    else:
        larger = {"bool": "uint8", "uint8": "uint16", "int8": "int16"}
        assert band.dtype == larger.get(dtype, dtype)
        assert (outside == band.attrs["_FillValue"]).all()


def test_a_valid_value_is_never_taken_for_nodata() -> None:
    """Zeros that mean something stay zeros where the image covers the grid: nothing is declared,
    and the dtype is that of the image."""
    given = image("uint8")
    inner = shapely.box(LEFT + 100, TOP - 300, LEFT + 300, TOP - 100)
    made = on_grid_of(given, lying(inner), scale=3)
    assert made["band"].dtype == "uint8"
    assert "_FillValue" not in made["band"].attrs
    expected, inside = looked_up(given["band"].values, made)
    assert inside.all()
    assert (expected == 0).any()
    np.testing.assert_array_equal(made["band"].values, expected)


def test_all_that_lies_on_the_map_is_moved() -> None:
    """Images along time, dimensions in another order and coordinates on the map are moved; other
    variables, attributes and the order of bands stay."""
    one = image(chunks=16, _FillValue=-1)
    given = xr.Dataset(
        {
            "b": xr.concat([one["band"], one["band"] + 1], "time", combine_attrs="override"),
            "a": one["band"].transpose("x", "y"),
            "height": 12,
        },
        attrs={"kept": "yes"},
    ).assign_coords(
        time=np.array(["2020-07-01", "2020-07-11"], "M8[ns]"),
        source_index=one["band"].astype("int32").drop_attrs(deep=False),
    )
    made = on_grid_of(given, crs="EPSG:4326", scale=14)
    expected, inside = looked_up(one["band"].values, made)
    np.testing.assert_array_equal(made["b"].isel(time=1).values, np.where(inside, expected + 1, -1))
    assert made["a"].dims == ("longitude", "latitude")
    np.testing.assert_array_equal(made["a"].values.T, np.where(inside, expected, -1))
    assert list(made.data_vars) == ["b", "a", "height"]
    assert made.attrs == {"kept": "yes"}
    assert int(made["height"]) == 12
    np.testing.assert_array_equal(made["source_index"].values[inside], expected[inside])
    np.testing.assert_array_equal(made["time"], given["time"])


def test_maps_with_the_south_up_are_read_right() -> None:
    """Rows may rise or fall, columns too: pixels are found by coordinates, and the grid is north
    up."""
    given = image(_FillValue=-1)
    turned = given.isel(y=slice(None, None, -1), x=slice(None, None, -1))
    grid = {"crs": "EPSG:4326", "scale": 12}
    xr.testing.assert_identical(on_grid_of(turned, **grid), on_grid_of(given, **grid))


@pytest.mark.parametrize(
    "grid",
    [
        {},
        {"scale": 10},
        {"scale": 10.0004},
        {"crs": CRS},
        {"crs": CRS, "scale": 10},
        {"crs": CRS, "crs_transform": [10, 0, 0, 0, -10, 0]},
    ],
    ids=str,
)
def test_the_own_grid_is_cut_and_nothing_else(grid: Any) -> None:
    """Where the grid that is asked for is that of the image, rows and columns outside the bounding
    box are cut off, and no pixel is touched."""
    given = image(chunks=16)
    box = shapely.Polygon([(LEFT + 101, TOP - 99), (LEFT + 199, TOP - 99), (LEFT + 150, TOP - 251)])
    with raise_if_computed():
        made = on_grid_of(given, lying(box), **grid)
    xr.testing.assert_identical(made, given.isel(y=slice(9, 26), x=slice(10, 20)))
    if grid:
        assert on_grid_of(given, **grid) is given


def test_a_region_is_cut_to_what_the_image_has() -> None:
    """A region that reaches beyond the image gives what the image has of it; a point gives one
    pixel."""
    given = image()
    beyond = lying(shapely.box(LEFT - 500, TOP - 50, LEFT + 50, TOP + 900))
    assert dict(on_grid_of(given, beyond).sizes) == {"y": 5, "x": 5}
    assert dict(on_grid_of(given, beyond, scale=25).sizes) == {"y": 2, "x": 2}
    point = lying(shapely.Point(LEFT + 37, TOP - 22))
    assert float(on_grid_of(given, point)["band"].item()) == float(given["band"][2, 3])
    assert on_grid_of(given, point, crs="EPSG:4326", scale=10)["band"].size == 1


def test_pixels_of_a_scale_begin_at_its_multiples() -> None:
    """The pixels of two exports of one scale lie on each other: their edges are multiples of it."""
    made = on_grid_of(image(), scale=30)
    assert float(made["x"][0] - 15) % 30 == 0
    assert float(made["y"][0] - 15) % 30 == 0
    degree = 6_378_137 * math.pi / 180
    there = on_grid_of(image(), crs="EPSG:4326", scale=20)
    step = float(there["longitude"][1] - there["longitude"][0])
    assert step == pytest.approx(20 / degree, rel=1e-9)


@pytest.mark.parametrize("turned", [False, True])
def test_the_grid_of_another_map(turned: bool) -> None:
    """An image on the grid of another map has its pixels, and its coordinates to the last bit, also
    where rows go north."""
    given = image(chunks=16, _FillValue=-1)
    places = {"lat": 48.745 - 0.00017 * np.arange(20), "lon": 16.36 + 0.0002 * np.arange(30)}
    like = xr.Dataset({"height": (("lat", "lon"), np.zeros((20, 30)))}, places)
    like = like.odc.assign_crs("EPSG:4326")
    like = like.isel(lat=slice(None, None, -1)) if turned else like
    made = on_grid_like(given, like)
    assert made["lat"].identical(like["lat"])
    assert made["lon"].identical(like["lon"])
    expected, inside = looked_up(given["band"].values, like)
    assert inside.any()
    np.testing.assert_array_equal(made["band"].values, np.where(inside, expected, -1))


def test_longitudes_may_be_0_to_360() -> None:
    """A region in longitudes below 0 meets a map in longitudes up to 360."""
    places = {"latitude": [40.3, 40.2, 40.1], "longitude": [256.7, 256.8, 256.9]}
    given = xr.Dataset({"band": (("latitude", "longitude"), np.arange(9).reshape(3, 3))}, places)
    made = on_grid_of(given, (-103.21, 40.16, -103.19, 40.24))
    assert made["band"].values.tolist() == [[4]]


def test_nothing_is_read_and_names_last() -> None:
    """No pixel is read before it is asked for, and the same request has the same names in a graph,
    so that a writing can be continued."""
    given = image(chunks=16)
    with raise_if_computed():
        first = on_grid_of(given, crs="EPSG:4326", scale=13)
    again = on_grid_of(given, crs="EPSG:4326", scale=13)
    assert first["band"].data.name == again["band"].data.name


def test_a_mosaic_stays_deferred(tmp_path: Any) -> None:
    """A mosaic on another grid is written block by block, reads only what won, and is pixel for
    pixel the mosaic on that grid; an interrupted writing knows it again."""
    one = image(chunks=16, _FillValue=-1)["band"]
    quality = ((one * 31) % 17).drop_attrs(deep=False)
    col = xr.Dataset(
        {
            "band": xr.concat([one, one + 1], "time", combine_attrs="override"),
            "quality": xr.concat([quality, quality.max() - quality], "time"),
        }
    ).assign_coords(time=np.array(["2020-07-01", "2020-07-11"], "M8[ns]"))
    col.to_zarr(tmp_path / "col.zarr", consolidated=False)
    mosaic = qm.quality_mosaic(qm.open_collection(str(tmp_path / "col.zarr")), "quality")
    cut = on_grid_of(mosaic, lying(shapely.box(LEFT + 33, TOP - 222, LEFT + 333, TOP - 44)))
    assert "reads only what won" in str(qm.explain(cut))
    moved = on_grid_of(mosaic, crs="EPSG:4326", scale=13)
    assert "reads only what won" in str(qm.explain(moved))
    qm.to_zarr(moved, tmp_path / "moved.zarr")
    qm.to_zarr(
        on_grid_of(mosaic, crs="EPSG:4326", scale=13), tmp_path / "moved.zarr", mode="resume"
    )
    written = qm.open_mosaic(tmp_path / "moved.zarr", mask_and_scale=False)
    expected, inside = looked_up(mosaic["band"].values, moved)
    np.testing.assert_array_equal(written["band"].values, np.where(inside, expected, -1))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"scale": 0}, "above 0"),
        ({"scale": "ten"}, "above 0"),
        ({"scale": 10, "crs_transform": [10, 0, 0, 0, -10, 0]}, "scale and crsTransform"),
        ({"crs_transform": [10, 0, 0]}, "six numbers"),
        ({"crs_transform": [10, 1, 0, 0, -10, 0]}, "not turned"),
        ({"dimensions": 0}, "1024x768"),
        ({"region": (0, 0, 1, 1)}, "does not meet"),
        ({"region": (0, 0, 1, 1), "crs": "EPSG:4326"}, "does not meet"),
        ({"crs": "EPSG:nonsense"}, "no CRS"),
    ],
    ids=str,
)
def test_what_is_no_grid_is_refused(asked: Any, says: str) -> None:
    """A grid that cannot be one is an error that says what to write, before anything is read."""
    with raise_if_computed(), pytest.raises(ValueError, match=says):
        on_grid_of(image(chunks=16), caller="toDrive()", **asked)


@pytest.mark.parametrize("grid", [{"scale": 20}, {"crs": "EPSG:4326"}, GRIDS[4]], ids=str)
def test_a_map_without_a_grid_is_refused(grid: Any) -> None:
    """Of a single row, or of rows that are not evenly spaced, nothing tells where pixels lie."""
    with pytest.raises(ValueError, match="there is one along 'y' only"):
        on_grid_of(image().isel(y=[3]), **grid)
    with pytest.raises(ValueError, match="evenly spaced"):
        on_grid_of(image().isel(x=[3, 4, 7]), **grid)


def test_a_band_along_one_side_is_refused() -> None:
    """A band that lies along one side of the map only has no pixels to move."""
    given = image().assign(weight=("y", np.ones(SIDE)))
    with pytest.raises(ValueError, match="'weight'"):
        on_grid_of(given, scale=30)
