"""filter_date, filter_bounds, map_images, select: choosing images and bands of a collection."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import pandas as pd
import pytest
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

import qmosaic as qm
from qmosaic.collection.location import extent_of
from tests.support.sources import Forbidden, expected, in_store, random_stack


def forbidden(images: int = 6, side: int = 20) -> xr.Dataset:
    """A collection whose pixels must not be read, 10 m pixels in UTM 33, a day an image."""
    pixels = da.from_array(
        Forbidden((images, side, side), "uint16"), chunks=(1, 10, 10), meta=np.empty((0,) * 3, "u2")
    )
    days = pd.date_range("2020-07-01T10:00", periods=images)
    coords = {
        "time": days,
        "y": 5_000_000.0 - 10 * np.arange(side) - 5,
        "x": 500_000.0 + 10 * np.arange(side) + 5,
    }
    collection = xr.Dataset({"red": (("time", "y", "x"), pixels, {"_FillValue": 0})}, coords)
    assert odc.geo.xr is not None
    return collection.odc.assign_crs("EPSG:32633")


# -- filter_date -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2020-07-02", "2020-07-04", [2, 3]),  # the start belongs to it, the end does not
        ("2020-07-02T10:00", "2020-07-03T10:00", [2]),
        ("2020-07-02T10:00:01", "2020-07-03T10:00:01", [3]),
        ("2020-07-02", None, [2]),  # one instant, as wide as its text is precise
        ("2020-07", None, [1, 2, 3, 4, 5, 6]),
        ("2020", None, [1, 2, 3, 4, 5, 6]),
        ("2020-07-02T10", None, [2]),
        ("20200702", None, [2]),  # without separators
        ("20200702T100000Z", None, [2]),
        ("2020-07-02T10:00:00", None, [2]),
        ("2020-07-02T10:00:00Z", None, [2]),
        ("2020-07-02T12:00:00+02:00", None, [2]),  # another zone
        ("2020-07-02T12+02", None, [2]),
        ("2020-07-03T01:00:00+09:00", "2020-07-04T01:00:00+09:00", [3]),
        (datetime.date(2020, 7, 2), None, [2]),
        (datetime.datetime(2020, 7, 2, 10), None, [2]),
        (datetime.datetime(2020, 7, 2, 10, tzinfo=datetime.UTC), None, [2]),
        (pd.Timestamp("2020-07-02 12:00", tz="Europe/Berlin"), None, [2]),
        (np.datetime64("2020-07-02"), None, [2]),
        (np.datetime64("2020-07-02"), np.datetime64("2020-07-05"), [2, 3, 4]),
    ],
)
def test_a_period(start: Any, end: Any, days: list[int]) -> None:
    """start inclusive, end exclusive; without end one instant, as wide as its text; UTC."""
    kept = qm.filter_date(forbidden(), start, end)
    assert list(kept["time"].dt.day.values) == days


def test_an_unsorted_collection_keeps_its_order() -> None:
    """What is filtered is chosen, not sorted: ties go by the order of the collection."""
    collection = forbidden().isel(time=[4, 0, 2, 1])
    kept = qm.filter_date(collection, "2020-07-01", "2020-07-04")
    assert list(kept["time"].dt.day.values) == [1, 3, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2020-10-01", "2020-05-01"), r"Swap start and end: '2020-05-01', '2020-10-01'\.$"),
        (("2021-01-01", "2021-02-01"), r"left none of 6 images.*2020-07-01 to 2020-07-06"),
        (("2020-07-03", "2020-07-03"), "not after start"),
        (("last week",), "'last week' is no time"),
        (("2020-13-01",), "'2020-13-01' is no time"),
        (("NaT",), "'NaT' is no time"),
        (("01/02/2020",), "ISO 8601"),
        ((np.datetime64("NaT"),), "not a time"),
        ((pd.NaT,), "not a time"),
        (("",), "ISO 8601"),
    ],
)
def test_periods_that_cannot_be(arguments: Any, message: str) -> None:
    """The error says which filter left nothing, or what is no time."""
    with pytest.raises(ValueError, match=message):
        qm.filter_date(forbidden(), *arguments)


def test_what_has_no_times() -> None:
    """The error says what is along the dimension, and what to write."""
    with pytest.raises(TypeError, match="no coordinate"):
        qm.filter_date(forbidden().drop_vars("time"), "2020")
    with pytest.raises(TypeError, match="dtype int64"):
        qm.filter_date(forbidden().assign_coords(time=range(6)), "2020")
    with pytest.raises(TypeError, match="start=2020 "):
        qm.filter_date(forbidden(), 2020)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no dimension 'date'"):
        qm.filter_date(forbidden(), "2020", dim="date")
    with pytest.raises(TypeError, match="DataArray"):
        qm.filter_date(forbidden()["red"], "2020")  # type: ignore[arg-type]


# -- filter_bounds -----------------------------------------------------------------------------


def with_footprints(*outlines: str) -> xr.Dataset:
    """A collection whose images lie where the texts say."""
    return forbidden(len(outlines)).assign_coords(footprint=("time", list(outlines)))


WEST, EAST = (
    "POLYGON ((7 50, 8 50, 8 51, 7 51, 7 50))",
    "POLYGON ((9 50, 10 50, 10 51, 9 51, 9 50))",
)


@pytest.mark.parametrize(
    ("region", "crs", "images"),
    [
        ((7.5, 50.2, 7.7, 50.4), None, [0]),
        ((7.5, 50.2, 9.5, 50.4), None, [0, 1]),
        ([9.5, 50.2, 9.6, 50.4], None, [1]),
        (shapely.Point(7.5, 50.5), None, [0]),
        ({"type": "Point", "coordinates": [9.5, 50.5]}, None, [1]),
        ({"type": "Feature", "geometry": {"type": "Point", "coordinates": [9.5, 50.5]}}, None, [1]),
        (
            {
                "type": "FeatureCollection",
                "features": [
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, 50.5]}}
                    for x in (7.5, 9.5)
                ],
            },
            None,
            [0, 1],
        ),
        # 7.5° E, 50.5° N in UTM zone 32, by PROJ
        (shapely.Point(393_621, 5_595_300), "EPSG:32632", [0]),
        (Geometry({"type": "Point", "coordinates": [9.5, 50.5]}, "EPSG:4326"), None, [1]),
        ((170, -10, -170, 10), None, [2]),  # over the antimeridian
        ((-180.0, -10, -179.0, 10), None, [2]),
    ],
)
def test_a_region(region: Any, crs: Any, images: list[int]) -> None:
    """The images whose footprint intersects, whatever form and CRS the region has."""
    pacific = shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)]).wkt
    collection = with_footprints(WEST, EAST, pacific).assign_coords(number=("time", [0, 1, 2]))
    assert list(qm.filter_bounds(collection, region, crs=crs)["number"].values) == images


def test_an_image_without_footprint_lies_on_the_grid() -> None:
    """Where an image lies is not known: it may lie anywhere on the grid, and nowhere else."""
    collection = with_footprints(WEST, "", EAST).assign_coords(number=("time", [0, 1, 2]))
    inside = tuple(extent_of(collection).to_crs("EPSG:4326").boundingbox.bbox)
    assert list(qm.filter_bounds(collection, inside)["number"].values) == [1]
    assert list(qm.filter_bounds(collection, (7, 50, 8, 51))["number"].values) == [0]


def test_without_footprints_the_grid_counts() -> None:
    """All images or none, by the extent of the grid, to the outer edges of its pixels."""
    collection = forbidden()
    inside = (500_196.0, 4_999_795.0, 500_300.0, 4_999_804.0)  # beyond the last centre
    assert qm.filter_bounds(collection, inside, crs="EPSG:32633").sizes["time"] == 6
    outside = (500_201.0, 4_999_700.0, 500_300.0, 4_999_900.0)
    with pytest.raises(ValueError, match=r"filter_bounds\(\).*left none of 6.*extent"):
        qm.filter_bounds(collection, outside, crs="EPSG:32633")


def test_filter_bounds_does_not_clip() -> None:
    """It keeps whole images, unless asked."""
    kept = qm.filter_bounds(forbidden(), (500_000, 4_999_900, 500_050, 5_000_000), crs="EPSG:32633")
    assert dict(kept.sizes) == {"time": 6, "y": 20, "x": 20}


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("backed", ["numpy", "dask"])
@pytest.mark.parametrize("order", [("time", "y", "x"), ("x", "time", "y")])
def test_clip(ascending: bool, backed: str, order: tuple[str, ...]) -> None:
    """Pixels whose centre lies outside are masked, rows and columns outside dropped; dtype kept."""
    side = 12
    values = np.arange(1, 1 + 2 * side * side, dtype="uint16").reshape(2, side, side)
    y = 100.0 - 10 * np.arange(side)
    x = 10.0 * np.arange(side)
    collection = xr.Dataset(
        {"red": (("time", "y", "x"), values, {"_FillValue": 0})}, {"y": y, "x": x}
    ).odc.assign_crs("EPSG:32633")
    collection = collection.sortby("y") if ascending else collection
    collection = collection.transpose(*order)
    if backed == "dask":
        collection = collection.chunk(time=1, y=5, x=5)
    ring = shapely.Polygon(
        [(11, 11), (81, 11), (81, 71), (11, 71)], [[(35, 35), (55, 35), (55, 55), (35, 55)]]
    )
    clipped = qm.filter_bounds(collection, ring, crs="EPSG:32633", clip=True)
    assert clipped["red"].dtype == "uint16"
    assert clipped["red"].dims == order
    assert list(clipped["x"].values) == [20, 30, 40, 50, 60, 70, 80]
    assert sorted(clipped["y"].values) == [20, 30, 40, 50, 60, 70]
    clipped = clipped.compute()
    for t in range(2):
        for py in clipped["y"].values:
            for px in clipped["x"].values:
                in_hole = 35 < px < 55 and 35 < py < 55
                row, column = int((100 - py) / 10), int(px / 10)
                wanted = 0 if in_hole else values[t, row, column]
                assert clipped["red"].isel(time=t).sel(y=py, x=px).item() == wanted


def test_clip_to_a_box_needs_no_nodata() -> None:
    """A box on the grid leaves nothing outside that would have to be masked."""
    collection = forbidden()
    del collection["red"].attrs["_FillValue"]
    box = (500_050.0, 4_999_900.0, 500_101.0, 4_999_960.0)
    clipped = qm.filter_bounds(collection, box, crs="EPSG:32633", clip=True)
    assert dict(clipped.sizes) == {"time": 6, "y": 6, "x": 5}
    triangle = shapely.Polygon([(500_000, 4_999_900), (500_100, 4_999_900), (500_100, 5_000_000)])
    with pytest.raises(ValueError, match="declare no nodata"):
        qm.filter_bounds(collection, triangle, crs="EPSG:32633", clip=True)


@pytest.mark.parametrize(
    ("region", "options", "error", "message"),
    [
        ((1, 2, 3), {}, TypeError, "no region"),
        ("Berlin", {}, TypeError, "no region"),
        ((8, 51, 7, 50), {}, ValueError, "south"),
        ((9, 50, 8, 51), {"crs": "EPSG:32633"}, ValueError, "west"),
        ((500_000, 5_000_000, 500_100, 5_000_100), {}, ValueError, "crs='EPSG:32633'"),
        (shapely.Polygon(), {}, ValueError, "empty"),
        ({"type": "Polygon"}, {}, ValueError, "no geometry of GeoJSON"),
        (
            Geometry({"type": "Point", "coordinates": [9, 50]}, "EPSG:4326"),
            {"crs": "EPSG:32633"},
            ValueError,
            "differ",
        ),
        ((0, 0, 1, 1), {}, ValueError, r"left none of 2.*no footprint intersects"),
        (shapely.Point(7.5, 50.5), {"clip": True}, ValueError, "does not meet the grid"),
        ({}, {}, ValueError, "no geometry of GeoJSON"),
    ],
)
def test_regions_that_cannot_be(
    region: Any, options: Any, error: type[Exception], message: str
) -> None:
    """The error says what came, why not, and what to write."""
    with pytest.raises(error, match=message):
        qm.filter_bounds(with_footprints(WEST, EAST), region, **options)


def test_a_clip_that_leaves_no_pixel() -> None:
    """A point, a line or a sliver between the centres: refused instead of masking everything."""
    collection = forbidden(2)
    x, y = float(collection["x"][3]), float(collection["y"][3])
    for shape in (
        shapely.Point(x + 1, y + 1),
        shapely.LineString([(x + 2, y - 20), (x + 2, y + 20)]),
        shapely.Polygon([(x + 2, y + 20), (x + 3, y + 20), (x + 3, y - 20), (x + 2, y - 20)]),
    ):
        assert qm.filter_bounds(collection, shape, crs="EPSG:32633").sizes["time"] == 2
        with pytest.raises(ValueError, match="a point or a line has to be buffered"):
            qm.filter_bounds(collection, shape, crs="EPSG:32633", clip=True)
    narrow = shapely.box(x - 1, y - 100, x + 1, y + 100)
    cut = qm.filter_bounds(collection, narrow, crs="EPSG:32633", clip=True)
    assert list(cut["x"].values) == [x]


def test_an_outline_that_crosses_itself() -> None:
    """Drawn by hand it is a bow tie; it means both of its halves."""
    collection = with_footprints(WEST, EAST)
    bow = shapely.Polygon([(7.2, 50.2), (7.8, 50.8), (7.8, 50.2), (7.2, 50.8)])
    assert not bow.is_valid
    assert qm.filter_bounds(collection, bow).sizes["time"] == 1


def test_an_empty_result_says_where_the_collection_lies() -> None:
    """Longitude and latitude that were swapped are seen at once."""
    with pytest.raises(ValueError, match=r"its grid lies between longitudes 15\.0000 and 15\.00"):
        qm.filter_bounds(forbidden(2), (45.15, 15.0, 45.16, 15.1))


def test_a_collection_without_crs() -> None:
    """Its grid cannot be found on the globe; degrees are understood by their names."""
    collection = forbidden().drop_vars("spatial_ref")
    collection["red"].attrs.pop("grid_mapping", None)
    collection["red"].encoding.pop("grid_mapping", None)
    with pytest.raises(ValueError, match="nothing declares the CRS"):
        qm.filter_bounds(collection, (0, 0, 1, 1))
    with pytest.raises(ValueError, match="no coordinates y and x"):
        qm.filter_bounds(collection.drop_vars(["x", "y"]), (0, 0, 1, 1))


# -- map_images --------------------------------------------------------------------------------


def test_map_images_is_called_once_and_records() -> None:
    """As Earth Engine traces the function of its map once; nothing is read."""
    calls = []

    def add(images: xr.Dataset) -> xr.Dataset:
        calls.append(images)
        return images.assign(quality=qm.scores.inverse(images["red"]))

    mapped = qm.map_images(forbidden(), add)
    assert len(calls) == 1
    assert list(mapped) == ["red", "quality"]
    assert dask.is_dask_collection(mapped["quality"].data)


@pytest.mark.parametrize(
    ("func", "error", "message"),
    [
        (lambda c: c["red"], TypeError, "returned a DataArray"),
        (lambda c: None, TypeError, "returned a NoneType"),
        (lambda c: c.isel(time=0), ValueError, "reduced to one"),
        (lambda c: c.isel(time=[0, 1]), ValueError, "made 2 images of 6"),
        (lambda c: c.isel(time=[1, 0, 2, 3, 4, 5]), ValueError, "changed the coordinate"),
        (lambda c: c.drop_vars("red"), ValueError, "no band"),
    ],
)
def test_what_map_images_must_return(func: Any, error: type[Exception], message: str) -> None:
    """A collection over the same images."""
    with pytest.raises(error, match=message):
        qm.map_images(forbidden(), func)


# -- select ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "bands"),
    [
        ("B2", ["B2"]),
        (["SCL", "B2"], ["SCL", "B2"]),
        ("B.*", ["B2", "B3", "B8A"]),
        (["B8.", "B.*"], ["B8A", "B2", "B3"]),
        ("B", None),  # a whole name has to match
        (["B2", "B2"], ["B2"]),
        ("B2|SCL", ["B2", "SCL"]),
    ],
)
def test_select(asked: Any, bands: list[str] | None) -> None:
    """By name or by regular expression, in the order asked; what is no band stays."""
    band = ("time", "x"), np.zeros((2, 3))
    collection = xr.Dataset(
        {"B2": band, "B3": band, "B8A": band, "SCL": band, "dem": ("x", [1.0] * 3)}
    )
    if bands is None:
        with pytest.raises(KeyError, match="Did you mean"):
            qm.select(collection, asked)
    else:
        assert list(qm.select(collection, asked)) == [*bands, "dem"]


def test_select_errors() -> None:
    """Nothing, and what is no expression."""
    with pytest.raises(ValueError, match="no band"):
        qm.select(forbidden(), [])
    with pytest.raises(ValueError, match="no regular expression"):
        qm.select(forbidden(), "B(")
    with pytest.raises(KeyError, match="'red'"):
        qm.select(forbidden(), "green")


def test_verbs_on_the_accessor() -> None:
    """Each function is a method too."""
    collection = forbidden()
    chain = (
        collection.qmosaic.filter_date("2020-07-02", "2020-07-05")
        .qmosaic.filter_bounds((500_000, 4_999_900, 500_050, 5_000_000), crs="EPSG:32633")
        .qmosaic.select("r.d")
        .qmosaic.map_images(lambda c: c.assign(quality=c["red"] * 2))
    )
    assert list(chain) == ["red", "quality"]
    assert chain.sizes["time"] == 3


# -- the deferred way --------------------------------------------------------------------------


@pytest.mark.parametrize("scattered", [False, True])
def test_filters_keep_the_deferred_way(tmp_path: Path, scattered: bool) -> None:
    """Of a filtered and clipped collection only the chunks that won are read."""
    values = random_stack(images=12, side=24)
    collection, store = in_store(values, tmp_path / "in.zarr")
    collection = collection.assign_coords(
        y=5_000_000.0 - 10 * np.arange(24), x=500_000.0 + 10 * np.arange(24)
    ).odc.assign_crs("EPSG:32633")
    collection["red"].attrs["_FillValue"] = 0
    keep = [0, 3, 4, 9] if scattered else [2, 3, 4, 5]
    lies = [WEST if i in keep else EAST for i in range(12)]
    collection = collection.assign_coords(footprint=("time", lies))
    filtered = qm.filter_bounds(collection, (7, 50, 8, 51))
    mosaic = qm.quality_mosaic(filtered, "quality")
    assert "reads only what won" in str(qm.explain(mosaic))
    store.reads.clear()
    computed = mosaic.compute()
    wanted = expected({n: v[keep] for n, v in values.items()})
    for name in values:
        np.testing.assert_array_equal(computed[name].values, wanted[name])
    assert {int(key.split("/")[2]) for key in store.chunks("quality")} == set(keep)
    assert len(store.chunks("quality")) == 9 * 4

    # a triangle over the upper left: its blocks outside read the quality and no other band
    corner = shapely.Polygon([(499_995, 5_000_005), (500_235, 5_000_005), (499_995, 4_999_765)])
    bare = filtered.drop_vars("footprint")
    clipped = qm.quality_mosaic(
        qm.filter_bounds(bare, corner, crs="EPSG:32633", clip=True), "quality"
    )
    assert "reads only what won" in str(qm.explain(clipped))
    store.reads.clear()
    clipped.compute()
    assert not any(key.endswith("/2/2") for key in store.chunks("red"))
    assert any(key.endswith("/0/0") for key in store.chunks("red"))


# -- the ends of the earth and of time ---------------------------------------------------------


def test_dates_far_away() -> None:
    """Nanoseconds reach from 1678 to 2262 only; periods may reach farther."""
    collection = forbidden()
    for start, end in [
        ("2020-07-01", "9999-12-31"),
        ("1600-01-01", "3000-01-01"),
        (datetime.date.min, datetime.date.max),
    ]:
        assert qm.filter_date(collection, start, end).sizes["time"] == 6


def around_the_globe(longitudes: list[float]) -> xr.Dataset:
    """A coarse map in degrees."""
    values = np.ones((1, 3, len(longitudes)), "uint8")
    coords = {"latitude": [60.0, 50.0, 40.0], "longitude": longitudes}
    attrs = {"_FillValue": 0}
    return xr.Dataset({"red": (("time", "latitude", "longitude"), values, attrs)}, coords)


def test_grids_from_0_to_360_degrees() -> None:
    """West of Greenwich is 340° there: it is found, and not cut off."""
    collection = around_the_globe([float(x) for x in range(0, 360, 10)])
    assert qm.filter_bounds(collection, (-25, 42, -10, 58)).sizes["time"] == 1
    clipped = qm.filter_bounds(collection, (-25, 42, 25, 58), clip=True)["red"]
    kept = clipped["longitude"].values[(clipped.values[0] > 0).any(axis=0)]
    assert set(kept) == {0, 10, 20, 340, 350}


@pytest.mark.parametrize(
    ("outline", "region"),
    [
        (shapely.box(179, 0, 181, 1), (-180, 0, -179.2, 1)),
        (shapely.box(-181, 0, -179, 1), (179.2, 0, 180, 1)),
        (shapely.box(-180, 0, -179, 1), (179.5, 0, 181, 1)),
    ],
)
def test_footprints_beyond_the_antimeridian(outline: Any, region: Any) -> None:
    """A turn around the globe is no distance."""
    assert qm.filter_bounds(with_footprints(outline.wkt), region).sizes["time"] == 1


def test_regions_of_other_kinds() -> None:
    """Three dimensions, features without geometry, boxes and grids of odc."""
    collection = with_footprints(WEST, EAST)
    high = shapely.Polygon([(7, 50, 5), (8, 50, 5), (8, 51, 5)])
    features = [{"type": "Feature", "geometry": g} for g in (None, high.__geo_interface__)]
    grid = GeoBox.from_bbox((7, 50, 8, 51), "EPSG:4326", resolution=0.1)
    for region in (
        high,
        {"type": "FeatureCollection", "features": features},
        grid,
        grid.boundingbox,
    ):
        assert qm.filter_bounds(collection, region).sizes["time"] == 1
    with pytest.raises(ValueError, match="is no CRS"):
        qm.filter_bounds(collection, (7, 50, 8, 51), crs="EPSG:no")
    with pytest.raises(ValueError, match="no WKT"):
        qm.filter_bounds(with_footprints("POLYGON"), (7, 50, 8, 51))


def test_what_map_images_changes_in_place_stays_with_it() -> None:
    """The input is never modified."""

    def careless(images: xr.Dataset) -> xr.Dataset:
        images["quality"] = images["red"]
        return images

    collection = forbidden()
    assert list(qm.map_images(collection, careless)) == ["red", "quality"]
    assert list(collection) == ["red"]
