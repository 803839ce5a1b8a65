"""Exports: what is written where, what a task tells, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import xarray as xr

from qmosaic import ee

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("odc.geo.xr")

SIDE, LEFT, TOP, CRS = 30, 500_000.0, 5_000_300.0, "EPSG:32633"
Export = ee.batch.Export


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> Iterator[None]:
    """Write exports into a folder of the test."""
    ee.export_to(tmp_path)
    yield
    ee.export_to(None)


def image(**bands: Any) -> ee.Image:
    """Make a lazy image of 10 m, with a band B4 of uint16 and others."""
    places = {"y": TOP - 5 - 10.0 * np.arange(SIDE), "x": LEFT + 5 + 10.0 * np.arange(SIDE)}
    red = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 7 % 101).astype("uint16")
    data = xr.Dataset({"B4": (("y", "x"), red, {"_FillValue": 0}), **bands}, places)
    return ee.Image(data.odc.assign_crs(CRS).chunk(10))


def box(west: float, south: float, east: float, north: float) -> ee.Geometry:
    """Give a box in metres from the lower left corner of the image."""
    bottom = TOP - 10 * SIDE
    return ee.Geometry((LEFT + west, bottom + south, LEFT + east, bottom + north), CRS)


def test_to_drive_writes_a_geotiff(tmp_path: Path) -> None:
    """toDrive writes the image, on its own grid, as FOLDER/PREFIX.tif: pixels, dtype, nodata, place
    and names are those of the image."""
    given = image()
    task = Export.image.toDrive(
        image=given, description="greenest", folder="maps", fileNamePrefix="best_2020", scale=10
    )
    assert not any(tmp_path.iterdir())
    task.start()
    with rasterio.open(tmp_path / "maps" / "best_2020.tif") as file:
        np.testing.assert_array_equal(file.read(1), given.dataset["B4"].values)
        assert file.descriptions == ("B4",)
        assert file.dtypes == ("uint16",)
        assert file.nodata == 0
        assert file.transform[:6] == (10, 0, LEFT, 0, -10, TOP)
        assert file.crs.to_epsg() == 32633
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_arguments_come_by_place_by_name_and_as_a_dict(tmp_path: Path) -> None:
    """Earth Engine's order, its names, the one dict of JavaScript and the names of old scripts say
    the same."""
    given, region = image(), box(55, 55, 105, 85)
    Export.image.toDrive(given, "a", None, "by_place", None, region, 10, CRS).start()
    ee.Export.image.toDrive({"image": given, "description": "by_dict", "region": region}).start()
    Export.image.toCloudStorage(
        image=given, bucket="bucket", fileNamePrefix="by/name", region=region, maxPixels=1e13
    ).start()
    options = {"region": region, "driveFileNamePrefix": "as_once", "crs_transform": None}
    Export.image(given, "b", options).start()
    files = ["by_place.tif", "by_dict.tif", "bucket/by/name.tif", "as_once.tif"]
    for name in files:
        with rasterio.open(tmp_path / name) as file:
            np.testing.assert_array_equal(file.read(1), given.dataset["B4"].values[21:25, 5:11])


@pytest.mark.parametrize(
    "region",
    [
        [[15.0005, 45.1540], [15.0020, 45.1540], [15.0020, 45.1550], [15.0005, 45.1550]],
        [[[15.0005, 45.1540], [15.0020, 45.1540], [15.0020, 45.1550], [15.0005, 45.1550]]],
        [15.0005, 45.1540, 15.0020, 45.1550],
        "[[15.0005, 45.1540], [15.0020, 45.1540], [15.0020, 45.1550], [15.0005, 45.1550]]",
        '{"type": "LineString", "coordinates": [[15.0005, 45.1540], [15.0020, 45.1550]]}',
    ],
    ids=str,
)
def test_regions_may_be_coordinates(region: Any, tmp_path: Path) -> None:
    """A region is a geometry, or its coordinates, in lists or a text; its bounding box counts."""
    Export.image.toDrive(image(), "some", region=region).start()
    to_metres = pyproj.Transformer.from_crs("EPSG:4326", CRS, always_xy=True)
    (west, east), (south, north) = to_metres.transform([15.0005, 15.002], [45.154, 45.155])
    with rasterio.open(tmp_path / "some.tif") as file:
        assert abs(file.bounds.left - west) <= 12
        assert abs(file.bounds.right - east) <= 12
        assert abs(file.bounds.bottom - south) <= 12
        assert abs(file.bounds.top - north) <= 12
        assert file.width < SIDE


def test_a_polygon_is_exported_as_its_box(tmp_path: Path) -> None:
    """What lies in the box and outside the polygon is written; clip() masks it."""
    corner = ee.Geometry.Polygon([[LEFT, TOP], [LEFT + 100, TOP], [LEFT, TOP - 100]], CRS)
    given = image()
    Export.image.toDrive(given, "whole", region=corner).start()
    Export.image.toDrive(given.clip(corner), "clipped", region=corner).start()
    with rasterio.open(tmp_path / "whole.tif") as file:
        np.testing.assert_array_equal(file.read(1), given.dataset["B4"].values[:10, :10])
    with rasterio.open(tmp_path / "clipped.tif") as file:
        assert (file.read(1)[np.add.outer(np.arange(10), np.arange(10)) > 9] == 0).all()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_another_grid_takes_the_nearest_pixel(crs: str, tmp_path: Path) -> None:
    """With crs and scale each pixel has the value of that in which its centre lies: looked up one
    by one in the file."""
    given = image()
    Export.image.toDrive(given, "moved", crs=crs, scale=17).start()
    values, to_image = (
        given.dataset["B4"].values,
        pyproj.Transformer.from_crs(crs, CRS, always_xy=True),
    )
    with rasterio.open(tmp_path / "moved.tif") as file:
        written, outside = file.read(1), 0
        for row in range(file.height):
            for column in range(file.width):
                x, y = to_image.transform(*file.xy(row, column))
                i, j = math.floor((TOP - y) / 10 + 1e-6), math.floor((x - LEFT) / 10 + 1e-6)
                inside = 0 <= i < SIDE and 0 <= j < SIDE
                outside += not inside
                assert written[row, column] == (values[i, j] if inside else 0)
        assert outside < written.size / 2


def test_crs_transform_and_dimensions_say_the_grid(tmp_path: Path) -> None:
    """crsTransform places pixels exactly; dimensions divide the box of the region."""
    grid = [20, 0, LEFT + 4, 0, -20, TOP - 8]
    Export.image.toDrive(image(), "placed", crs=CRS, crsTransform=grid).start()
    Export.image.toDrive(image(), "sized", region=box(0, 0, 300, 150), dimensions="6x5").start()
    Export.image.toDrive(image(), "longest", region=box(0, 0, 300, 150), dimensions=15).start()
    with rasterio.open(tmp_path / "placed.tif") as file:
        assert file.res == (20, 20)
        assert (file.transform.c - LEFT - 4) % 20 == 0
        assert (file.transform.f - TOP + 8) % 20 == 0
    with rasterio.open(tmp_path / "sized.tif") as file:
        assert (file.width, file.height) == (6, 5)
    with rasterio.open(tmp_path / "longest.tif") as file:
        assert max(file.width, file.height) == 15


def test_computed_values_and_projections_are_arguments(tmp_path: Path) -> None:
    """A projection, its nominal scale and texts of ee can be given for crs, scale and names."""
    given = image()
    Export.image.toDrive(
        given,
        ee.String("of").cat("_ee"),
        crs=given.projection(),
        scale=given.projection().nominalScale(),
    ).start()
    info = given.projection().getInfo()
    Export.image.toDrive(given, "info", crs=info["crs"], crsTransform=info["transform"]).start()
    for name in ("of_ee", "info"):
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), given.dataset["B4"].values)


def test_constants_are_written_on_the_grid(tmp_path: Path) -> None:
    """A band that is a number everywhere is written for every pixel."""
    given = image().addBands(ee.Image(7).toUint16().rename("seven"))
    Export.image.toDrive(given, "both").start()
    written = {}
    for path in tmp_path.glob("*.tif"):
        with rasterio.open(path) as file:
            written |= {name: file.read(n + 1) for n, name in enumerate(file.descriptions)}
    assert (written["seven"] == 7).all()
    assert set(written) == {"B4", "seven"}


def test_no_data_of_a_geotiff(tmp_path: Path) -> None:
    """formatOptions say what stands for masked; that it is cloud-optimized goes without saying."""
    options = {"cloudOptimized": True, "noData": 9999}
    Export.image.toDrive(image(), "nodata", fileFormat="GeoTIFF", formatOptions=options).start()
    with rasterio.open(tmp_path / "nodata.tif") as file:
        assert file.nodata == 9999
        assert file.read(1)[0, 0] == 9999


def test_a_task_tells_what_it_did(tmp_path: Path) -> None:
    """start() writes before it returns; status() is Earth Engine's dict; a second start does
    nothing; tasks are listed, the last one first."""
    task = Export.image.toDrive(image(), "told")
    assert task.status() == {"state": "UNSUBMITTED"}
    assert task.id is None
    task.start()
    status = task.status()
    assert status["state"] == task.state == ee.batch.Task.State.COMPLETED
    assert not task.active()
    assert status["destination_uris"] == [str(tmp_path / "told.tif")]
    assert (status["description"], status["task_type"]) == ("told", "EXPORT_IMAGE")
    assert status["id"] == task.id
    times = [status[f"{name}_timestamp_ms"] for name in ("creation", "start", "update")]
    assert times == sorted(times)
    assert "error_message" not in status
    changed = (tmp_path / "told.tif").stat().st_mtime_ns
    task.start()
    task.cancel()
    assert (tmp_path / "told.tif").stat().st_mtime_ns == changed
    assert ee.batch.Task.list()[0] is task
    assert ee.data.getTaskList()[0] == ee.data.getTaskStatus(task.id)[0] == task.status()
    assert repr(task) == "<Task EXPORT_IMAGE: told (COMPLETED)>"


def test_a_cancelled_task_writes_nothing(tmp_path: Path) -> None:
    """What is cancelled before it is started is not written."""
    task = Export.image.toDrive(image(), "never")
    task.cancel()
    task.start()
    assert task.status() == {"state": "CANCELLED"}
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["toDrive", "toCloudStorage"])
def test_nothing_is_replaced_unasked(tmp_path: Path, method: str) -> None:
    """Where a file is there, a second one gets a number and a warning names it, as a script that
    is run again needs it; `export_to` with overwrite=True replaces it."""
    export = getattr(Export.image, method)
    export(image(), "run twice").start()
    before = (tmp_path / "run twice.tif").read_bytes()
    for number in (1, 2):
        again = export(image().add(number), "run twice")
        with pytest.warns(UserWarning, match=rf"run twice \({number}\)\.tif.*overwrite=True"):
            again.start()
        with rasterio.open(tmp_path / f"run twice ({number}).tif") as file:
            assert file.read(1)[0, 1] == image().dataset["B4"].values[0, 1] + number
    assert (tmp_path / "run twice.tif").read_bytes() == before
    ee.export_to(tmp_path, overwrite=True)
    Export.image.toDrive(image().add(1), "run twice").start()
    assert (tmp_path / "run twice.tif").read_bytes() != before


def test_an_asset_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """toAsset writes a Zarr store with overviews; its id opens it, in this process and in another
    one that knows the folder; numbers stay as they are stored."""
    given = image()
    asset = "users/me/best"
    Export.image.toAsset(given.set("year", 2020), "export", asset, {".default": "mode"}).start()
    opened = ee.Image(asset)
    np.testing.assert_array_equal(opened.dataset["B4"].values, given.dataset["B4"].values)
    assert opened.dataset["B4"].dtype == "uint16"
    assert opened.get("year").getInfo() == 2020
    assert (tmp_path / "users" / "me" / "best.zarr").is_dir()

    monkeypatch.setattr("qmosaic.ee.catalog._known", {})  # as in another process
    ee.export_to(None)
    monkeypatch.setenv("QMOSAIC_EXPORTS", str(tmp_path))
    again = ee.Image(asset)
    np.testing.assert_array_equal(again.dataset["B4"].values, given.dataset["B4"].values)
    with pytest.raises(KeyError, match="not registered"):
        ee.Image("users/me/other")


def test_an_asset_is_replaced_when_asked() -> None:
    """An asset that is there is an error, and replaced with overwrite=True."""
    Export.image.toAsset(image(), assetId="a/b").start()
    with pytest.raises(FileExistsError, match="nothing is replaced"):
        Export.image.toAsset(image(), assetId="a/b").start()
    Export.image.toAsset(image().multiply(2), assetId="a/b", overwrite=True).start()
    assert int(ee.Image("a/b").dataset["B4"][0, 1]) == 14


@pytest.mark.parametrize(
    ("call", "options", "error", "says"),
    [
        ("toDrive", {"description": "my/map"}, ValueError, "letters, digits"),
        ("toDrive", {"fileNamePrefix": "../up"}, ValueError, "outside the folder"),
        ("toDrive", {"folder": "a:b"}, ValueError, "cannot be called so"),
        ("toDrive", {"fileFormat": "TFRecord"}, ValueError, "to_zarr"),
        ("toDrive", {"formatOptions": {"fileSize": 1}}, ValueError, "cloudOptimized and noData"),
        ("toDrive", {"scale": -1}, ValueError, "above 0"),
        ("toDrive", {"region": [1, 2, 3]}, ValueError, "no list of points"),
        ("toDrive", {"region": ee.Geometry.Point(0, 0)}, ValueError, "does not meet"),
        ("toDrive", {"maxPixel": 1e9}, TypeError, "Did you mean maxPixels"),
        ("toDrive", {"dimensions": "10by10"}, ValueError, "1024x768"),
        ("toAsset", {"pyramidingPolicy": {"B4": "max"}}, ValueError, "'average'|'mean'"),
        ("toAsset", {"pyramidingPolicy": {"B9": "mean"}}, ValueError, "no band 'B9'"),
        ("toAsset", {"assetId": "/"}, ValueError, "cannot be called so"),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused(
    call: str, options: Any, error: type[Exception], says: str, tmp_path: Path
) -> None:
    """What cannot be right is an error when the task is made: before anything is computed or
    written."""
    with pytest.raises(error, match=says):
        getattr(Export.image, call)(image=image(), **options)
    assert not any(tmp_path.iterdir())


def test_what_is_no_image_is_refused() -> None:
    """Collections, constants and nothing at all are errors that say what to export."""
    one = image()
    with pytest.raises(TypeError, match=r"it exports an ee\.Image"):
        Export.image.toDrive(ee.ImageCollection([one]), "a")
    with pytest.raises(ValueError, match="no pixels"):
        Export.image.toDrive(ee.Image(1), "a")
    with pytest.raises(TypeError, match="nothing to export"):
        Export.image.toDrive(description="a")
    with pytest.raises(AttributeError, match="quicklook"):
        Export.video.toDrive(collection=None)
    with pytest.raises(AttributeError, match=r"display\.Map"):
        Export.map.toCloudStorage(one)
    with pytest.raises(AttributeError, match=r"ee\.data\.getInfo"):
        ee.data.getInfo("a")


# -- tables --------------------------------------------------------------------------------------


def fields() -> Any:
    """Make features in metres."""
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    shapes = [shapely.Point(LEFT, TOP), shapely.Point(LEFT + 100, TOP)]
    return geopandas.GeoDataFrame(
        {"name": ["a", "b"], "ndvi": [0.5, 0.25]}, geometry=shapes, crs=CRS
    )


def test_tables_are_written_as_csv(tmp_path: Path) -> None:
    """CSV has ids, properties and geometries as GeoJSON in longitude and latitude; `selectors`
    chooses."""
    Export.table.toDrive(collection=fields(), description="all", folder="out").start()
    lines = (tmp_path / "out" / "all.csv").read_text().splitlines()
    assert lines[0] == "system:index,name,ndvi,.geo"
    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    shape = json.loads(lines[1].split(",", 3)[3].strip('"').replace('""', '"'))
    assert shape["coordinates"] == pytest.approx(to_degrees.transform(LEFT, TOP))
    Export.table.toDrive(fields(), "some", selectors="ndvi, name").start()
    assert (tmp_path / "some.csv").read_text().splitlines() == ["ndvi,name", "0.5,a", "0.25,b"]


@pytest.mark.parametrize(
    ("form", "ending"), [("GeoJSON", "geojson"), ("KML", "kml"), ("SHP", "shp")]
)
def test_tables_are_written_in_formats_of_maps(form: str, ending: str, tmp_path: Path) -> None:
    """GeoJSON, KML and shapefiles are read back with their places; nothing else is left there."""
    geopandas = pytest.importorskip("geopandas")
    task = Export.table.toCloudStorage(fields(), "fields", fileFormat=form)
    task.start()
    read = geopandas.read_file(tmp_path / f"fields.{ending}")
    assert len(read) == 2
    assert read.crs.to_epsg() == 4326
    moved = read.to_crs(CRS).geometry
    assert [(p.x, p.y) for p in moved] == [
        pytest.approx((LEFT, TOP), abs=0.01),
        pytest.approx((LEFT + 100, TOP), abs=0.01),
    ]
    written = {Path(one).name for one in task.status()["destination_uris"]}
    assert written == {path.name for path in tmp_path.iterdir()}
    assert task.status()["task_type"] == "EXPORT_FEATURES"


def test_features_are_tables_and_regions(tmp_path: Path) -> None:
    """Features of ee are written as tables, and their bounding box is a region."""
    features = ee.FeatureCollection(fields())
    Export.table.toDrive(features, "features", selectors=["name"]).start()
    assert (tmp_path / "features.csv").read_text().split() == ["name", "a", "b"]
    inner = features.map(lambda one: one.buffer(37))
    Export.image.toDrive(image(), "around", region=inner).start()
    with rasterio.open(tmp_path / "around.tif") as file:
        assert (file.width, file.height) == (14, 4)


def test_tables_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    """Another format, a property that is not there, what is no table: errors, and no file."""
    with pytest.raises(ValueError, match="CSV, GeoJSON, KML, SHP"):
        Export.table.toDrive(fields(), "a", fileFormat="TFRecord")
    with pytest.raises(TypeError, match=r"ee\.FeatureCollection"):
        Export.table.toDrive(image(), "a")
    with pytest.raises(KeyError, match="'height'"):
        Export.table.toDrive(fields(), "a", selectors=["height"]).start()
    Export.table.toAsset(fields(), assetId="users/me/fields").start()
    assert ee.FeatureCollection("users/me/fields").aggregate_array("name") == ["a", "b"]
    with pytest.raises(FileExistsError, match="nothing is replaced"):
        Export.table.toAsset(fields(), assetId="users/me/fields").start()
    assert [path.name for path in tmp_path.iterdir()] == ["users"]
