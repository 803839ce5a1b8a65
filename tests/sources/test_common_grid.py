"""GeoTIFFs onto a grid that holds all of them: as ``crs``, `resolution` and `bbox` say, as for STAC
items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import odc.geo.xr
import pyproj
import pytest
import rasterio
import rasterio.warp
import xarray as xr

import qmosaic as qm
from tests.support.rasters import CORNER, UTM32, UTM33, make_item, write_tif

SIDE = 24


def landsat_scenes(folder: Path) -> dict[str, tuple[str, tuple[float, float], np.ndarray]]:
    """Write 19 scenes, each on its own grid: pixels of 30 m whose edges lie 15 m beside multiples
    of 30, in two zones, at the border of which they overlap."""
    rng = np.random.default_rng(19)
    scenes = {}
    for number in range(19):
        zone = UTM33 if number % 3 == 0 else UTM32
        east, south = (int(n) * 30 for n in rng.integers(0, 60, 2))
        west = (719_985.0 if zone == UTM32 else 277_995.0) + east
        corner = (west, 5_400_015.0 - south)
        pixels = rng.integers(1, 60_000, (SIDE, SIDE)).astype("uint16")
        name = f"LC08_202007{number + 1:02}"
        scenes[name] = zone, corner, pixels
        write_tif(
            folder / f"{name}.tif", pixels, crs=zone, corner=corner, resolution=30.0, names=["red"]
        )
    return scenes


def nearest(
    grid: tuple[Any, Any], scene: tuple[str, tuple[float, float], np.ndarray], crs: str
) -> tuple[np.ndarray, np.ndarray]:
    """Look up, by PROJ alone, the pixel of a scene below the centre of each pixel of a grid; and
    tell where that is clear: not on the edge between two pixels."""
    zone, (west, north), pixels = scene
    x, y = np.meshgrid(*grid)
    x, y = pyproj.Transformer.from_crs(crs, zone, always_xy=True).transform(x, y)
    column, row = (x - west) / 30, (north - y) / 30
    inside = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
    rows, columns = (np.clip(np.floor(n), 0, SIDE - 1).astype(int) for n in (row, column))
    clear = (abs(row - np.round(row)) > 1e-4) & (abs(column - np.round(column)) > 1e-4)
    return np.where(inside, pixels[rows, columns], 0), clear


def test_scenes_of_two_zones_come_onto_one_grid(tmp_path: Path) -> None:
    """19 scenes, each on its own grid: all of them are on the grid in whole pixels, on the pixels
    of the scenes in that zone; others come from where PROJ says. Nothing but crs= is written."""
    scenes = landsat_scenes(tmp_path)
    with pytest.raises(ValueError, match=r"on another grid.*write crs='EPSG:32633'.*resolution="):
        qm.open_collection(tmp_path)
    opened = qm.open_collection(tmp_path, crs=UTM32)
    x, y = opened["x"].values, opened["y"].values
    assert set(np.diff(x)) == {30.0}
    assert set(np.diff(y)) == {-30.0}
    assert (x[0] % 30, y[0] % 30) == (0, 0)  # centres; edges lie at 15
    bounds = [
        rasterio.warp.transform_bounds(
            zone, UTM32, w, n - SIDE * 30, w + SIDE * 30, n, densify_pts=51
        )
        for zone, (w, n), _ in scenes.values()
    ]
    west, south = (min(b[side] for b in bounds) for side in (0, 1))
    east, north = (max(b[side] for b in bounds) for side in (2, 3))
    # no row and no column more than the scenes need
    assert x[0] - 15 <= west < x[0] + 15 + 1e-6
    assert x[-1] - 15 - 1e-6 < east <= x[-1] + 15
    assert y[-1] - 15 <= south < y[-1] + 15 + 1e-6
    assert y[0] - 15 - 1e-6 < north <= y[0] + 15
    assert opened.odc.crs == UTM32
    assert opened["red"].dtype == "uint16"
    read = opened["red"].values
    for number, (name, scene) in enumerate(scenes.items()):
        assert opened["id"].values[number] == name
        wanted, clear = nearest((x, y), scene, UTM32)
        got = read[number]
        assert (got != 0).sum() > SIDE * SIDE * 0.9
        assert scene[0] == UTM33 or clear.all()
        np.testing.assert_array_equal(got[clear], wanted[clear])
    best = qm.quality_mosaic(opened.assign(quality=opened["red"]), "quality")
    assert "reads only what won" in str(qm.explain(best))


@pytest.mark.parametrize("given", [{"resolution": 10}, {"crs": "utm"}])
def test_whole_pixels_move_on_one_lattice(tmp_path: Path, given: dict[str, Any]) -> None:
    """Images of one zone that lie on one lattice of pixels: the grid is their union, no pixel is
    lost or changed, and no edge lies elsewhere, even where the lattice is an odd one; for STAC
    items, too."""
    corner = (CORNER[0] + 3.7, CORNER[1] - 1.2)
    moves = [(0, 0), (30, -20), (-70, 50)]  # east and south, in metres
    rng = np.random.default_rng(0)
    images = rng.integers(1, 99, (3, 16, 16)).astype("uint8")
    items = []
    for day, (east, south) in enumerate(moves, start=1):
        place = (corner[0] + east, corner[1] - south)
        path = tmp_path / f"a_2020070{day}.tif"
        write_tif(path, images[day - 1], corner=place, names=["red"])
        declared = {"red": {"data_type": "uint8", "nodata": 0}}
        items.append(
            make_item(
                path.stem,
                {"red": path},
                f"2020-07-0{day}",
                corner=place,
                shape=(16, 16),
                declared=declared,
            )
        )
    opened = qm.open_collection(tmp_path, **given)
    wanted = np.zeros((3, 23, 26), "uint8")
    for image, (east, south), target in zip(images, moves, wanted, strict=True):
        row, column = (south + 20) // 10, (east + 70) // 10
        target[row : row + 16, column : column + 16] = image
    np.testing.assert_array_equal(opened["red"].values, wanted)
    assert opened["x"].values[7] == corner[0] + 5
    assert opened["y"].values[2] == corner[1] - 5
    as_items = qm.open_collection(items)
    np.testing.assert_array_equal(as_items["red"].values, wanted)
    assert as_items.odc.geobox == opened.odc.geobox
    # resampling= alone: still the grid of the first image
    first = qm.open_collection(tmp_path, resampling="nearest")
    np.testing.assert_array_equal(first["red"].values, wanted[:, 2:18, 7:23])


def test_the_finest_pixels_are_the_default(tmp_path: Path) -> None:
    """Of all images and bands; bands for which no resampling is said keep their values."""
    fine, coarse = np.arange(1, 257, dtype="uint16").reshape(16, 16), np.uint16([[4, 8], [5, 9]])
    write_tif(tmp_path / "a_20200701_red.tif", fine, names=["red"])
    write_tif(tmp_path / "a_20200701_scl.tif", coarse, names=["scl"], resolution=80.0)
    write_tif(tmp_path / "b_20200702_red.tif", fine, names=["red"], resolution=20.0)
    write_tif(tmp_path / "b_20200702_scl.tif", coarse, names=["scl"], resolution=160.0)
    by_name, how = "_(?P<band>[a-z]+).tif", {"red": "average"}
    opened = qm.open_collection(tmp_path, pattern=by_name, crs=UTM32, resampling=how)
    assert opened.sizes == {"time": 2, "y": 32, "x": 32}
    np.testing.assert_array_equal(opened["red"].values[0, :16, :16], fine)
    np.testing.assert_array_equal(opened["red"].values[1], np.kron(fine, np.ones((2, 2))))
    np.testing.assert_array_equal(opened["scl"].values[1], np.kron(coarse, np.ones((16, 16))))
    wide = qm.open_collection(tmp_path, pattern=by_name, resolution=(20, 40), bands="scl")
    assert wide.sizes == {"time": 2, "y": 16, "x": 8}
    np.testing.assert_array_equal(wide["scl"].values[1], np.kron(coarse, np.ones((8, 4))))


BOX = (9.0012, 48.7489, 9.0052, 48.7519)


@pytest.mark.parametrize(
    "given",
    [
        {"resolution": 20},
        {"bbox": BOX},
        {"bbox": BOX, "crs": UTM33, "resolution": (10, 20), "resampling": "bilinear"},
    ],
    ids=str,
)
def test_as_the_same_files_as_stac_items(tmp_path: Path, given: dict[str, Any]) -> None:
    """The same arguments give the same grid, the same images and the same pixels."""
    rng = np.random.default_rng(3)
    places = [(0, 0), (130, 110), (290, 330), (4000, 0)]
    items = []
    for day, (east, south) in enumerate(places, start=1):
        corner = (CORNER[0] + east, CORNER[1] - south)
        pixels = rng.integers(1, 999, (32, 32)).astype("uint16")
        path = write_tif(tmp_path / f"a_2020070{day}.tif", pixels, corner=corner, names=["red"])
        declared = {"red": {"data_type": "uint16", "nodata": 0}}
        items.append(
            make_item(path.stem, {"red": path}, f"2020-07-0{day}", corner=corner, declared=declared)
        )
    files, wanted = (qm.open_collection(source, **given) for source in (tmp_path, items))
    assert odc.geo.xr is not None
    assert files.odc.geobox == wanted.odc.geobox
    assert list(files["id"].values) == list(wanted["id"].values)
    assert len(files["id"]) == (3 if "bbox" in given else 4)
    np.testing.assert_array_equal(files["red"].values, wanted["red"].values)
    assert (files["red"].values != 0).any()


def test_images_of_other_bands_alone_stay(tmp_path: Path) -> None:
    """An image without the wanted band lies nowhere that is known: a box leaves it in, masked."""
    ones = np.ones((32, 32), "uint8")
    for name in ("a_20200701_red", "b_20200702_red", "b_20200702_nir", "c_20200703_nir"):
        write_tif(tmp_path / f"{name}.tif", ones, names=[name[-3:]])
    opened = qm.open_collection(
        tmp_path, pattern="_(?P<band>[a-z]+).tif", bands="red", bbox=BOX, missing="mask"
    )
    assert list(opened["red"].max(["y", "x"]).values) == [1, 1, 0]
    assert xr.decode_cf(opened)["red"][2].isnull().all()
