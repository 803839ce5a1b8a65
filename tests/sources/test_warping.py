"""Images on another grid: each pixel is that of its own place, and the same for every chunking.

The oracle asks PROJ for every single pixel; it neither estimates nor knows of chunks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.control
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin
from shapely.geometry import box, mapping

import qmosaic as qm
from tests.support.rasters import UTM33, make_item, write_tif

SIDE, PIXEL = 320, 1000.0
CORNER = (250_000.0, 7_400_000.0)
LON_LAT = GeoBox((260, 280), from_origin(9.6, 66.6, 0.03, 0.012), "EPSG:4326")
COARSE = LON_LAT.zoom_out(3.3)
CUTS: list[dict[str, int]] = [{"y": 300, "x": 300}, {"y": 64, "x": 90}, {"y": 37, "x": 280}]
METHODS = ["nearest", "bilinear", "cubic", "lanczos", "average", "mode"]


def written(folder: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write a file that the approximation of GDAL would get wrong on a grid in degrees."""
    path = folder / "20200701.tif"
    return write_tif(path, pixels, crs=UTM33, corner=CORNER, resolution=PIXEL, **options)


def opened(reader: str, path: Path, grid: GeoBox, how: str, chunks: Any, **options: Any) -> Any:
    """Open a file, or the item that describes it, on a grid."""
    source: Any = str(path)
    if reader == "stac":
        place = {"crs": UTM33, "corner": CORNER, "resolution": PIXEL, "shape": (SIDE, SIDE)}
        item = make_item("a", {"red": path}, "2020-07-01", **place)
        assert item.bbox is not None
        item.geometry = mapping(box(*item.bbox))  # of four corners: quicker than true to the metre
        source = [item]
    return qm.open_collection(source, geobox=grid, resampling=how, chunks=chunks, **options)


def places(grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """Say for the centre of each pixel of a grid where in the file it lies: column and row."""
    height, width = grid.shape
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = grid.transform * (column, row)
    x, y = pyproj.Transformer.from_crs(grid.crs, UTM33, always_xy=True).transform(x, y)
    return (x - CORNER[0]) / PIXEL, (CORNER[1] - y) / PIXEL


def first_band(collection: Any) -> np.ndarray:
    return next(iter(collection.data_vars.values())).values[0]


@pytest.mark.parametrize("reader", ["stac", "geotiff"])
@pytest.mark.parametrize("chunks", CUTS, ids=str)
def test_nearest_is_the_pixel_of_the_place(tmp_path: Path, reader: str, chunks: Any) -> None:
    """The pixel in which the centre lies, wherever that is not on the border of two."""
    numbers = np.arange(1, SIDE * SIDE + 1, dtype="uint32").reshape(SIDE, SIDE)
    path = written(tmp_path, numbers)
    column, row = places(LON_LAT)
    inside = (column > 0) & (column < SIDE) & (row > 0) & (row < SIDE)
    cell = (np.clip(np.floor(c), 0, SIDE - 1).astype(int) for c in (row, column))
    wanted = np.where(inside, numbers[tuple(cell)], 0)
    sure = np.minimum(*(np.abs(c - np.round(c)) for c in (column, row))) > 1e-5
    assert sure.mean() > 0.99
    assert 0.3 < inside.mean() < 1
    got = first_band(opened(reader, path, LON_LAT, "nearest", chunks))
    np.testing.assert_array_equal(got[sure], wanted[sure])


@pytest.mark.parametrize("reader", ["stac", "geotiff"])
@pytest.mark.parametrize("chunks", CUTS, ids=str)
def test_bilinear_weighs_the_four_around_the_place(
    tmp_path: Path, reader: str, chunks: Any
) -> None:
    """Where pixels of the file are larger than those of the grid, by hand."""
    fine = GeoBox((150, 180), from_origin(12.0, 65.5, 0.004, 0.002), "EPSG:4326")
    pixels = np.random.default_rng(1).random((SIDE, SIDE)).astype("float32")
    path = written(tmp_path, pixels, nodata=None)
    column, row = (c - 0.5 for c in places(fine))
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    across, down = column - left, row - top
    wanted = (
        pixels[top, left] * (1 - across) * (1 - down)
        + pixels[top, left + 1] * across * (1 - down)
        + pixels[top + 1, left] * (1 - across) * down
        + pixels[top + 1, left + 1] * across * down
    )
    got = first_band(opened(reader, path, fine, "bilinear", chunks))
    np.testing.assert_allclose(got, wanted, atol=2e-5)


@pytest.mark.parametrize("reader", ["stac", "geotiff"])
@pytest.mark.parametrize("grid", [LON_LAT, COARSE], ids=["alike", "coarse"])
@pytest.mark.parametrize("how", METHODS)
def test_no_pixel_depends_on_chunks(tmp_path: Path, reader: str, grid: GeoBox, how: str) -> None:
    """GDAL would choose for each piece how many pixels it weighs: here all have one choice."""
    pixels = np.random.default_rng(2).integers(1, 255, (SIDE, SIDE)).astype("uint8")
    pixels[40:60, 100:200] = 0
    path = written(tmp_path, pixels)
    first, *others = (first_band(opened(reader, path, grid, how, chunks)) for chunks in CUTS)
    assert (first > 0).any()
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("how", ["nearest", "cubic", "average"])
def test_overviews_are_chosen_once(tmp_path: Path, how: str) -> None:
    """The overview that is read is that for the whole grid, in every chunk; it is not finer."""
    pixels = np.random.default_rng(3).integers(1, 255, (SIDE, SIDE)).astype("uint8")
    path = written(tmp_path, pixels)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    first, *others = (first_band(opened("stac", path, COARSE, how, chunks)) for chunks in CUTS)
    for other in others:
        np.testing.assert_array_equal(other, first)
    without = first_band(opened("stac", path, COARSE, how, CUTS[0], use_overviews=False))
    assert (first != without).any()
    with rasterio.open(path, overview_level=1) as file:
        quarter = file.read(1)
    if how == "nearest":
        column, row = places(COARSE)
        inside = (column > 0) & (column < SIDE) & (row > 0) & (row < SIDE)
        cell = (np.clip(np.floor(c / 4), 0, SIDE // 4 - 1).astype(int) for c in (row, column))
        sure = np.minimum(*(np.abs(c / 4 - np.round(c / 4)) for c in (column, row))) > 1e-5
        wanted = np.where(inside, quarter[tuple(cell)], 0)
        np.testing.assert_array_equal(first[sure], wanted[sure])


def test_one_band_of_several(tmp_path: Path) -> None:
    """A band of a file of several is warped like a file of its own, overviews included."""
    pixels = np.random.default_rng(4).integers(0, 255, (3, SIDE, SIDE)).astype("uint16")
    path = written(tmp_path, pixels)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.nearest)
    several = opened("stac", path, LON_LAT, "bilinear", CUTS[1])
    coarse = opened("stac", path, COARSE, "bilinear", CUTS[1])
    assert list(several.data_vars) == ["red.1", "red.2", "red.3"]
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        single = written(tmp_path / str(number), pixels[number])
        with rasterio.open(single, "r+") as file:
            file.build_overviews([2], rasterio.enums.Resampling.nearest)
        for found, grid in ((several, LON_LAT), (coarse, COARSE)):
            own = opened("stac", single, grid, "bilinear", CUTS[0])
            np.testing.assert_array_equal(found[f"red.{number + 1}"].values, own["red"].values)


def test_a_nodata_that_is_wrong_is_not_masked(tmp_path: Path) -> None:
    """The nodata that was given holds for what is warped too."""
    pixels = np.zeros((SIDE, SIDE), "uint8")
    path = written(tmp_path, pixels, nodata=0)
    found = opened("stac", path, LON_LAT, "nearest", CUTS[1], nodata={"red": None})["red"]
    column, row = places(LON_LAT)
    outside = (column < 0) | (column > SIDE) | (row < 0) | (row > SIDE)
    assert found.attrs["_FillValue"] == 255
    np.testing.assert_array_equal(found.values[0], np.where(outside, 255, 0))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_files_that_are_placed_by_points(tmp_path: Path) -> None:
    """An item may describe a file with ground control points; a grid has to be given."""
    grid = GeoBox((40, 40), from_origin(9, 50, 0.01, 0.01), "EPSG:4326")
    pixels = np.arange(1, 1601, dtype="uint16").reshape(40, 40)
    point = rasterio.control.GroundControlPoint
    corners = [(row, column) for row in (0, 13, 40) for column in (0, 13, 40)]
    path = tmp_path / "20200701.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=40, width=40, dtype="uint16", nodata=0
    ) as file:
        file.write(pixels, 1)
        file.gcps = [point(r, c, *(grid.transform * (c, r))) for r, c in corners], "EPSG:4326"
    item = make_item("a", {"red": path}, "2020-07-01")
    item.geometry, item.bbox = mapping(box(9, 49.6, 9.4, 50)), [9, 49.6, 9.4, 50]
    item.stac_extensions = []
    found = qm.open_collection([item], geobox=grid.zoom_to((80, 80)), chunks={"y": 50, "x": 50})
    np.testing.assert_array_equal(found["red"].values[0], pixels.repeat(2, 0).repeat(2, 1))


def test_files_that_cannot_be_read_may_be_skipped(tmp_path: Path) -> None:
    """``fail_on_error=False`` masks what cannot be read, also where it would be warped."""
    path = written(tmp_path, np.ones((SIDE, SIDE), "uint8"))
    lazy = opened("stac", path, LON_LAT, "nearest", CUTS[0], fail_on_error=False)
    strict = opened("stac", path, LON_LAT, "nearest", CUTS[0])
    path.unlink()
    assert (first_band(lazy) == 0).all()
    with pytest.raises(Exception, match=r"20200701\.tif"):
        strict.compute()
