"""Slope, aspect and hillshade, against a loop over the pixels and pyproj's geodesics."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pyproj
import pytest
import xarray as xr

from qmosaic import ee
from tests.support.mosaics import is_deferred
from tests.support.sources import Forbidden

assert odc.geo.xr is not None

GRIDS = {
    "EPSG:32633": ("y", "x", 5_200_000.0 - 30 * np.arange(7), 420_000.0 + 30 * np.arange(9)),
    "EPSG:4326": ("latitude", "longitude", 61 - np.arange(7) / 3600, 179.999 + np.arange(9) / 3600),
    "EPSG:3857": ("y", "x", 8_000_000.0 + 40 * np.arange(7), 1e6 + 40 * np.arange(9)),
    "EPSG:3035": ("y", "x", 4_500_000.0 - 30 * np.arange(7), 2_700_000.0 + 30 * np.arange(9)),
}


def elevations(crs: str) -> xr.Dataset:
    """Make hills in whole metres, with a hole, a level part, and rows that go down or up."""
    down, across, ys, xs = GRIDS[crs]
    heights = np.random.default_rng(5).integers(0, 60, (7, 9)).astype("int16")
    heights[1, 6] = -32768
    heights[4:7, 0:3] = 9
    image = xr.Dataset({"AVE": ((down, across), heights, {"_FillValue": -32768})})
    return image.assign_coords({down: ys, across: xs}).odc.assign_crs(crs)


def looped(image: xr.Dataset, crs: str, sun: tuple[float, float]) -> dict[str, list[list[Any]]]:
    """Compute the three products pixel by pixel: None where they are masked."""
    _, _, ys, xs = GRIDS[crs]
    heights = image["AVE"].values.tolist()
    geod = pyproj.CRS(crs).get_geod()
    to_degrees = pyproj.Transformer.from_crs(crs, pyproj.CRS(crs).geodetic_crs, always_xy=True)

    def place(row: int, column: int) -> tuple[float, float]:
        return to_degrees.transform(xs[column], ys[row])

    made: dict[str, list[list[Any]]] = {
        name: [[None] * 9 for _ in range(7)] for name in ("slope", "aspect", "hillshade")
    }
    for row in range(1, 6):
        for column in range(1, 8):
            ends = [(row, column - 1), (row, column + 1), (row - 1, column), (row + 1, column)]
            five = [heights[r][c] for r, c in [(row, column), *ends]]
            if -32768 in five:
                continue
            rows = []
            for first, second in (ends[:2], ends[2:]):
                azimuth, _, length = geod.inv(*place(*first), *place(*second))
                # the direction in the middle of the two, where the pixel is
                back = geod.inv(*place(row, column), *place(*second))[0]
                angle = math.radians(back if abs(azimuth - back) < 1 else azimuth)
                rows.append((length * math.sin(angle), length * math.cos(angle)))
            rises = [five[2] - five[1], five[4] - five[3]]
            east, north = np.linalg.solve(np.array(rows), np.array(rises, float))
            steep = math.atan(math.hypot(east, north))
            falls = math.atan2(-east, -north) if steep else 0.0
            azimuth, high = map(math.radians, sun)
            light = math.cos(azimuth - falls) * math.sin(steep) * math.cos(high)
            light += math.sin(high) * math.cos(steep)
            made["slope"][row][column] = math.degrees(steep)
            made["aspect"][row][column] = math.degrees(falls) % 360
            made["hillshade"][row][column] = 255 * max(0.0, light)
    return made


@pytest.mark.parametrize("crs", GRIDS)
def test_slope_aspect_and_hillshade_are_those_on_the_ellipsoid(crs: str) -> None:
    """They are of the four neighbours, in metres and directions on the ground; masked where one of
    five pixels is, and along the edges; in any CRS, whichever way its rows go."""
    dataset = elevations(crs)
    expected = looped(dataset, crs, (200, 30))
    image = ee.Image(dataset)
    found = {
        "slope": ee.Terrain.slope(image),
        "aspect": ee.Terrain.aspect(image),
        "hillshade": ee.Terrain.hillshade(image, 200, ee.Number(30)),
    }
    for name, product in found.items():
        assert product.bandNames().getInfo() == [name]
        band = product.dataset[name]
        valid = product.mask().dataset[name].values
        for row in range(7):
            for column in range(9):
                wanted = expected[name][row][column]
                assert bool(valid[row, column]) == (wanted is not None)
                if wanted is not None:
                    got = float(band.values[row, column])
                    apart = abs(got - wanted)
                    if name == "aspect":
                        apart = min(apart, 360 - apart)
                    assert apart < (0.51 if name == "hillshade" else 0.02), (name, row, column)


def test_products_add_bands_lazily_and_whatever_the_chunks() -> None:
    """products() keeps the bands and properties of the image, reads nothing before it is computed,
    and its pixels do not depend on the chunks; Algorithms.Terrain is the same."""
    dataset = elevations("EPSG:32633").assign_coords(id="DEM")
    whole = ee.Terrain.products(ee.Image(dataset))
    assert whole.bandNames().getInfo() == ["AVE", "slope", "aspect", "hillshade"]
    assert whole.id().getInfo() == "DEM"
    chunked = ee.Algorithms.Terrain(ee.Image(dataset.chunk({"y": 3, "x": 4})))
    assert all(isinstance(band.data, da.Array) for band in chunked.dataset.values())
    xr.testing.assert_equal(chunked.dataset.compute(), whole.dataset)


def test_each_image_of_a_collection_has_its_own_slope() -> None:
    """Inside map() slopes are those of each image."""
    first = elevations("EPSG:32633")
    second = first.copy(deep=True)
    second["AVE"] = (first["AVE"] // 2).assign_attrs(first["AVE"].attrs)
    times = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
    both = xr.concat([first, second], "time", data_vars="all").assign_coords(time=times)
    slopes = ee.ImageCollection(both).map(ee.Terrain.slope).dataset["slope"]
    for number, one in enumerate((first, second)):
        alone = ee.Terrain.slope(ee.Image(one)).dataset["slope"]
        np.testing.assert_array_equal(slopes.isel(time=number).values, alone.values)


def test_of_several_bands_the_one_called_elevation_counts() -> None:
    """Of an image with more bands "elevation" is used; without one, and of a constant, an error
    says what to give; so do angles that are no numbers."""
    dataset = elevations("EPSG:32633")
    two = ee.Image(dataset.rename(AVE="elevation").assign(other=dataset["AVE"] * 0))
    alone = ee.Terrain.slope(ee.Image(dataset)).dataset["slope"]
    np.testing.assert_array_equal(ee.Terrain.slope(two).dataset["slope"].values, alone.values)
    with pytest.raises(ValueError, match=r"which of them has elevations .* Select one"):
        ee.Terrain.aspect(two.rename(["a", "b"]))
    with pytest.raises(ValueError, match=r"no pixels. Give an image of elevations"):
        ee.Terrain.slope(ee.Image(7))
    with pytest.raises(TypeError, match=r"azimuth='west'.*Write ee.Terrain.hillshade"):
        ee.Terrain.hillshade(ee.Image(dataset), "west")


def test_mosaics_by_slope_and_distance_stay_deferred() -> None:
    """What is computed of slopes, distances and features inside map() goes into a mosaic whose
    chunks are one task each, and reads nothing before."""
    source = da.from_array(Forbidden((2, 7, 9), "int16"), chunks=(1, 3, 4))
    days = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
    images = elevations("EPSG:32633").drop_vars("AVE").assign_coords(time=days)
    collection = ee.ImageCollection(images.assign(AVE=(("time", "y", "x"), source)))
    field = ee.Feature(ee.Geometry.Point(14, 46.9).buffer(90_000), {"code": 1})
    inside = ee.FeatureCollection([field]).reduceToImage(["code"], ee.Reducer.first())

    def scored(image: Any) -> Any:
        far = image.gt(50).distance(ee.Kernel.euclidean(90, "meters")).rename("far")
        steep = ee.Terrain.slope(image).lt(70)
        return image.addBands(far).updateMask(steep).updateMask(inside)

    mosaic = collection.map(scored).qualityMosaic("far").dataset
    assert is_deferred(mosaic)
    with pytest.raises(AssertionError, match="was read"):
        mosaic["far"].compute()
