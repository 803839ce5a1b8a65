"""Clipping: what lies outside a region is masked in every band; and where GDAL finds the pixels.

The oracle asks of every pixel by itself whether its centre, brought into the region's own CRS by
PROJ, lies in the region.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pyproj
import pytest
import rasterio
import shapely
import xarray as xr
import zarr
from odc.geo.geom import Geometry

import qmosaic as qm
from qmosaic import ee
from tests.support.sources import CountingArray, Forbidden, expected, in_store, random_stack

SIDE, PIXEL = 24, 10.0
LEFT, TOP = 500_000.0, 5_000_000.0
X = LEFT + PIXEL * (np.arange(SIDE) + 0.5)
Y = TOP - PIXEL * (np.arange(SIDE) + 0.5)
UTM = "EPSG:32633"
# two parts, the first with a hole; no vertex and no edge on a centre or an edge of a pixel
OUTLINE = shapely.MultiPolygon(
    [
        shapely.Polygon(
            [
                (500_021, 4_999_963),
                (500_123, 4_999_981),
                (500_151, 4_999_872),
                (500_033, 4_999_842),
            ],
            [[(500_062, 4_999_933), (500_093, 4_999_933), (500_093, 4_999_892)]],
        ),
        shapely.Polygon([(500_171, 4_999_811), (500_203, 4_999_813), (500_187, 4_999_783)]),
    ]
)


def scene(**sizes: int) -> xr.Dataset:
    """Bands of several dtypes over 24 × 24 pixels, with `sizes` before y and x."""
    rng = np.random.default_rng(5)
    northing, easting = (
        {"standard_name": f"projection_{axis}_coordinate", "units": "metre"} for axis in "yx"
    )
    shape, dims = (*sizes.values(), SIDE, SIDE), (*sizes, "y", "x")
    bands = {
        "red": (dims, rng.integers(1, 9999, shape).astype("uint16"), {"_FillValue": 0}),
        "ndvi": (dims, rng.random(shape).astype("float32"), {"units": "1"}),
        "q": (dims, rng.integers(1, 100, shape).astype("int16"), {"nodata": -1}),
    }
    coords = {"y": ("y", Y, northing), "x": ("x", X, easting)}
    coords |= {d: np.arange(n) for d, n in sizes.items()}
    assert odc.geo.xr is not None
    return xr.Dataset(bands, coords).odc.assign_crs(UTM)


MASKED = {"red": 0, "ndvi": np.nan, "q": -1}


def centres_inside(outline: Any, crs: str = UTM) -> np.ndarray:
    """Ask for every pixel by itself, in the outline's CRS."""
    there = pyproj.Transformer.from_crs(UTM, crs, always_xy=True)
    return np.array(
        [[outline.contains(shapely.Point(there.transform(x, y))) for x in X] for y in Y]
    )


def check(
    clipped: xr.Dataset,
    whole: xr.Dataset,
    inside: np.ndarray,
    outline: Any = OUTLINE,
    reach: float = 0.0,
) -> None:
    """Compare pixel by pixel: what lies inside is as it was, what lies outside is masked, and rows
    and columns beyond the outline are gone (those whose centre is more than `reach` away)."""
    assert set(clipped.data_vars) == set(whole.data_vars)
    left, bottom, right, top = outline.bounds
    np.testing.assert_array_equal(clipped["y"], Y[(Y > bottom - reach) & (Y < top + reach)])
    np.testing.assert_array_equal(clipped["x"], X[(X > left - reach) & (X < right + reach)])
    mask = xr.DataArray(inside, {"y": Y, "x": X}, ("y", "x")).sel(y=clipped.y, x=clipped.x)
    for name, band in whole.data_vars.items():
        wanted = band.sel(y=clipped.y, x=clipped.x).where(mask, MASKED[str(name)])
        got = clipped[name]
        assert (got.dtype, got.dims) == (band.dtype, band.dims)
        np.testing.assert_array_equal(got.values, wanted.transpose(*band.dims).values)
        assert got.attrs == band.attrs


INSIDE = centres_inside(OUTLINE)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"time": 2}])
@pytest.mark.parametrize("order", [(..., "y", "x"), ("x", ..., "y")])
def test_every_band_is_clipped(lazy: bool, sizes: dict[str, int], order: Any) -> None:
    """With and without time, in any order of dimensions, the input left as it was."""
    whole = scene(**sizes).transpose(*order)
    if lazy:
        whole = whole.chunk({"y": 7, "x": 10} | dict.fromkeys(sizes, 1))
    before = whole.copy(deep=True)
    clipped = qm.clip(whole, OUTLINE, crs=UTM)
    assert all((band.chunks is not None) == lazy for band in clipped.data_vars.values())
    check(clipped.compute(), whole.compute(), INSIDE)
    xr.testing.assert_identical(whole.compute(), before.compute())


def test_an_array() -> None:
    """A band alone, and an array with bands, keep name, attributes and kind."""
    whole = scene()
    clipped = qm.clip(whole["red"], OUTLINE, crs=UTM)
    xr.testing.assert_identical(clipped, qm.clip(whole, OUTLINE, crs=UTM)["red"])
    array = whole[["red"]].to_dataarray("band").assign_attrs(_FillValue=0)
    several = qm.clip(array, OUTLINE, crs=UTM)
    assert several.dims == ("band", "y", "x")
    np.testing.assert_array_equal(several.sel(band="red").values, clipped.values)


def test_the_map_keeps_its_size_where_that_is_asked() -> None:
    """drop=False masks and does not cut, boxes too."""
    whole = scene()
    clipped = qm.clip(whole, OUTLINE, crs=UTM, drop=False)
    assert clipped.sizes == whole.sizes
    np.testing.assert_array_equal(clipped["red"], np.where(INSIDE, whole["red"], 0))
    box = shapely.box(LEFT + 33, TOP - 81, LEFT + 97, TOP - 22)
    np.testing.assert_array_equal(
        qm.clip(whole, box, crs=UTM, drop=False)["red"],
        np.where(centres_inside(box), whole["red"], 0),
    )


@pytest.mark.parametrize(
    "outline",
    [OUTLINE, shapely.LineString([(500_021, 4_999_963), (500_151, 4_999_872)])],
    ids=["areas", "line"],
)
def test_all_touched(outline: Any) -> None:
    """Every pixel of which the region covers a part; a line the pixels that it runs through."""
    whole = scene().chunk(y=7, x=10)
    half = PIXEL / 2
    touched = np.array(
        [
            [
                not shapely.box(x - half, y - half, x + half, y + half)
                .intersection(outline)
                .is_empty
                for x in X
            ]
            for y in Y
        ]
    )
    clipped = qm.clip(whole, outline, crs=UTM, all_touched=True)
    check(clipped.compute(), whole.compute(), touched, outline, half)


def test_a_box_on_the_edges_of_pixels_touches_no_further_ones() -> None:
    """To share an edge is not to reach into a pixel; a point on a corner is in one pixel."""
    box = shapely.box(LEFT + 30, TOP - 80, LEFT + 60, TOP - 20)
    clipped = qm.clip(scene(), box, crs=UTM, all_touched=True)
    assert dict(clipped.sizes) == {"y": 6, "x": 3}
    point = qm.clip(scene(), shapely.Point(LEFT + 30, TOP - 80), crs=UTM, all_touched=True)
    assert dict(point.sizes) == {"y": 1, "x": 1}


# -- forms of regions ----------------------------------------------------------------------------


def in_degrees() -> Any:
    """The outline with the same corners in longitude and latitude."""
    there = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    return shapely.transform(
        OUTLINE, lambda points: np.column_stack(there.transform(*points.T)), include_z=False
    )


def feature(shape: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}


def features(shape: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": [feature(part) for part in shape.geoms]}


OLD_CRS = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}}

FORMS = {
    "shapely and crs": (lambda folder: OUTLINE, UTM),
    "odc": (lambda folder: Geometry(OUTLINE, UTM), None),
    "like geopandas": (
        lambda folder: SimpleNamespace(crs=UTM, __geo_interface__=features(OUTLINE)),
        None,
    ),
    "geometry of GeoJSON": (lambda folder: shapely.geometry.mapping(in_degrees()), None),
    "feature": (lambda folder: feature(in_degrees()), None),
    "features": (lambda folder: features(in_degrees()), None),
    "GeoJSON with a crs": (lambda folder: features(OUTLINE) | OLD_CRS, None),
    "a file": (lambda folder: written(folder, features(in_degrees())), None),
    "a file's name": (lambda folder: str(written(folder, features(OUTLINE) | OLD_CRS)), None),
    "ee": (lambda folder: ee.Geometry(feature(in_degrees())), None),
}


def written(folder: Path, geojson: dict[str, Any]) -> Path:
    path = folder / "region.geojson"
    path.write_text(json.dumps(geojson))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_region(form: str, tmp_path: Path) -> None:
    """Whatever form and CRS: holes are outside, all parts of several are inside."""
    make, crs = FORMS[form]
    check(qm.clip(scene(), make(tmp_path), crs=crs), scene(), INSIDE)


def test_another_crs() -> None:
    """An outline with straight lines in another CRS: each centre is looked at there."""
    there = "EPSG:32632"
    x, y = pyproj.Transformer.from_crs(UTM, there, always_xy=True).transform(X[11], Y[11])
    triangle = shapely.Polygon([(x - 61, y - 73), (x + 83, y - 47), (x + 7, y + 81)])
    back = pyproj.Transformer.from_crs(there, UTM, always_xy=True)
    here = shapely.transform(
        shapely.segmentize(triangle, 1.0), lambda points: np.column_stack(back.transform(*points.T))
    )
    clipped = qm.clip(scene(), triangle, crs=there)
    check(clipped, scene(), centres_inside(triangle, there), here)


@pytest.mark.parametrize("longitudes", [np.arange(160.5, 200), np.arange(-180, 180, 10.0) + 0.5])
def test_over_the_antimeridian(longitudes: np.ndarray) -> None:
    """A region on both sides of it, on grids that go on to 200° or begin anew at −180°."""
    coords = {"latitude": [1.5, 0.5], "longitude": longitudes}
    ones = np.ones((2, len(longitudes)), "uint8")
    whole = xr.Dataset({"red": (("latitude", "longitude"), ones, {"_FillValue": 0})}, coords)
    clipped = qm.clip(whole, (170, 0, -170, 2), drop=False)
    apart = np.abs((longitudes - 180 + 180) % 360 - 180)  # degrees from the antimeridian
    np.testing.assert_array_equal(clipped["red"].values, ones * (apart < 10))
    assert (apart < 10).any()


# -- what stands for masked ----------------------------------------------------------------------


def without_nodata() -> xr.Dataset:
    """Bands that have no value for masked: integers, bools, floats packed as integers on disk."""
    whole = scene()
    whole["red"].attrs.clear()
    whole["clear"] = whole["red"] > 5000
    whole["packed"] = whole["ndvi"].copy()
    whole["packed"].encoding = {"dtype": "int16", "scale_factor": 0.0001}
    return whole


def test_bands_without_nodata_are_named_all_at_once() -> None:
    """One error for all of them, with the cure, before anything is made."""
    with pytest.raises(ValueError, match=r"'red' \(uint16\), 'clear' \(bool\), 'packed' \(int16\)"):
        qm.clip(without_nodata(), OUTLINE, crs=UTM)
    with pytest.raises(ValueError, match=r"qmosaic\.clip\(image, geometry, fill_value=0\)"):
        qm.filter_bounds(without_nodata().expand_dims("time"), OUTLINE, crs=UTM, clip=True)
    with pytest.raises(ValueError, match=r"'clear' \(bool\)\..*False for bools.* Or clip to a box"):
        qm.clip(without_nodata()[["clear"]], OUTLINE, crs=UTM)
    with pytest.raises(ValueError, match=r"the array \(uint16\)"):
        qm.clip(without_nodata()["red"], OUTLINE, crs=UTM)
    with pytest.raises(ValueError, match=r"fill_value=-1 does not fit: 'red' \(uint16\)"):
        qm.clip(without_nodata(), OUTLINE, crs=UTM, fill_value=-1)
    box = (LEFT, TOP - 100, LEFT + 100, TOP)
    assert qm.clip(without_nodata(), box, crs=UTM).sizes["x"] == 10  # nothing has to be masked


def test_a_fill_value_is_declared() -> None:
    """As rule 3 has it: the value is there and is declared; other bands keep their own."""
    whole = without_nodata()
    clipped = qm.clip(whole, OUTLINE, crs=UTM, fill_value=7, drop=False)
    np.testing.assert_array_equal(clipped["red"], np.where(INSIDE, whole["red"], 7))
    assert clipped["red"].attrs == {"_FillValue": 7}
    assert clipped["red"].attrs["_FillValue"].dtype == "uint16"
    np.testing.assert_array_equal(clipped["clear"], whole["clear"] & INSIDE)
    np.testing.assert_array_equal(clipped["q"], np.where(INSIDE, whole["q"], -1))
    assert np.isnan(clipped["packed"].values[~INSIDE]).all()
    assert clipped["packed"].encoding["_FillValue"] == 7
    assert "_FillValue" not in whole["red"].attrs
    assert "_FillValue" not in whole["packed"].encoding
    store = zarr.storage.MemoryStore()
    qm.to_zarr(clipped, store)
    packed = zarr.open_group(store, mode="r")["packed"]
    assert (np.asarray(packed[:])[~INSIDE] == 7).all()


def test_what_tells_the_image_of_a_band_is_clipped_too() -> None:
    """Outside no image was chosen: −1."""
    mosaic = qm.quality_mosaic(scene(time=3), "q", masked="fill")
    clipped = qm.clip(mosaic, OUTLINE, crs=UTM, drop=False)
    for name in ("red_source_index", "q_source_index"):
        np.testing.assert_array_equal(clipped[name], np.where(INSIDE, mosaic[name], -1))


# -- lazy ----------------------------------------------------------------------------------------


def lazy_mosaic(forbidden: bool = False) -> xr.Dataset:
    """A mosaic of three images in blocks of 8 × 8, of a source that may be one that must not be
    read."""
    collection = scene(time=3)
    for name, band in list(collection.data_vars.items()):
        source = Forbidden(band.shape, band.dtype) if forbidden else CountingArray(band.values)
        data = da.from_array(source, chunks=(1, 8, 8), meta=np.empty((0,) * 3, band.dtype))
        collection[name] = band.copy(data=data)
    return qm.quality_mosaic(collection, "q")


def test_nothing_is_read() -> None:
    """To clip is to record work."""
    qm.clip(lazy_mosaic(forbidden=True), OUTLINE, crs=UTM)


@pytest.mark.parametrize(
    ("region", "options", "blocks"),
    [
        (OUTLINE, {"drop": False}, 9),
        # on the borders of blocks: two of three along y, one along x
        (shapely.Polygon([(LEFT + 1, TOP - 81), (LEFT + 79, TOP - 81), (LEFT, TOP - 239)]), {}, 2),
    ],
)
def test_blocks_of_a_clipped_mosaic_stay_by_themselves(
    region: Any, options: Any, blocks: int
) -> None:
    """A block is a task that reads only what won, as before; what is written is what was made."""
    clipped = qm.clip(lazy_mosaic(), region, crs=UTM, **options)
    explanation = qm.explain(clipped)
    assert (explanation.blocks, explanation.deferred) == (blocks, True)
    assert explanation.tasks == blocks + 2
    store = zarr.storage.MemoryStore()
    qm.to_zarr(clipped, store)
    back = qm.open_mosaic(store, mask_and_scale=False)
    xr.testing.assert_equal(back, clipped.compute())


def test_a_cut_through_blocks_is_written_right() -> None:
    """Where blocks of the mosaic and chunks of the store have other borders, too."""
    clipped = qm.clip(lazy_mosaic(), OUTLINE, crs=UTM)
    store = zarr.storage.MemoryStore()
    qm.to_zarr(clipped, store)
    back = qm.open_mosaic(store, mask_and_scale=False)
    whole = qm.quality_mosaic(scene(time=3), "q")
    for band in (*back.data_vars.values(), *whole.data_vars.values()):
        band.attrs = {}  # xarray writes _FillValue for floats too
    check(back, whole, INSIDE)
    assert qm.explain(clipped).bands_deferred


def test_a_cut_through_many_blocks_shares_no_work(tmp_path: Path) -> None:
    """Jobs stay by themselves, so that what fails is read again; they are as small as they can be
    where chunks on their borders, read in both, make less than 1.6 times as much."""
    values = random_stack(images=3, side=96)
    collection, store = in_store(values, tmp_path / "in.zarr")
    collection["red"].attrs["_FillValue"] = 0
    y, x = -10.0 * np.arange(96), 10.0 * np.arange(96)
    collection = collection.assign_coords(y=y, x=x).odc.assign_crs(UTM)
    clipped = qm.clip(
        qm.quality_mosaic(collection, "quality"), shapely.Point(470, -480).buffer(430), crs=UTM
    )
    explanation = qm.explain(clipped)
    assert explanation.deferred
    assert explanation.blocks == 16
    assert explanation.tasks == 16 + 2
    store.reads.clear()
    qm.to_zarr(clipped, tmp_path / "out.zarr")
    reads = store.chunks("quality")
    assert len(reads) == 3 * 12 * 12
    assert sum(reads.values()) <= 1.6 * len(reads)
    back = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    best = expected(values)
    inside = np.hypot(x[None, :] - 470, y[:, None] + 480) < 427  # a polygon is not quite a circle
    outside = np.hypot(x[None, :] - 470, y[:, None] + 480) > 430
    place = {"y": np.isin(y, back["y"]), "x": np.isin(x, back["x"])}
    for name, fill in (("red", 0), ("nir", np.nan)):
        got = np.full((96, 96), fill, values[name].dtype)
        got[np.ix_(place["y"], place["x"])] = back[name].values
        np.testing.assert_array_equal(got[inside], best[name][inside])
        np.testing.assert_array_equal(got[outside], np.full(outside.sum(), fill))


# -- doors ---------------------------------------------------------------------------------------


def test_filter_bounds_of_a_mosaic_names_the_way() -> None:
    """What has no images cannot be filtered; the error says what clips it."""
    with pytest.raises(ValueError, match=r"qmosaic\.clip\(image, geometry\)"):
        qm.filter_bounds(scene(), OUTLINE, crs=UTM, clip=True)
    with pytest.raises(TypeError, match=r"qmosaic\.clip\(image, geometry\)"):
        qm.filter_bounds(scene()["red"], OUTLINE, crs=UTM, clip=True)  # type: ignore[arg-type]


def test_filter_bounds_clips_as_clip_does() -> None:
    """Two words, one meaning."""
    whole = scene(time=2)
    xr.testing.assert_identical(
        qm.filter_bounds(whole, OUTLINE, crs=UTM, clip=True), qm.clip(whole, OUTLINE, crs=UTM)
    )


def test_where_pixels_come_from_is_clipped_with_them() -> None:
    """Outside a pixel is of no image, in whatever form the mosaic comes: a Dataset, an array of
    bands, a band by itself; one name that was recorded alone is no list."""
    collection = scene(time=4).assign_coords(
        time=np.arange("2020-01-01", "2020-01-05", dtype="M8[D]").astype("M8[ns]")
    )
    mosaic = qm.quality_mosaic(collection, "q", provenance=True)
    array = qm.quality_mosaic(
        collection[["q", "red"]].astype("float32").to_dataarray("band"), "q", provenance=True
    )
    region = Geometry(OUTLINE, UTM)
    for whole in (mosaic, array, mosaic["ndvi"]):
        clipped = qm.clip(whole, region, drop=False)
        for name, none in (("source_index", -1), ("valid_count", 0)):
            np.testing.assert_array_equal(clipped[name], np.where(INSIDE, whole[name], none))
        assert clipped["source_time"].isnull().values[~INSIDE].all()
        kept = clipped["source_time"].values[INSIDE]
        np.testing.assert_array_equal(kept, whole["source_time"].values[INSIDE])
    days = collection.assign_coords(cloud=("time", [1.0, 2.0, 3.0, 4.0]))
    one = qm.quality_mosaic(days, "q", provenance=["cloud"])
    one.attrs["qmosaic_provenance"] = "cloud"  # as NetCDF keeps a list of one
    clipped = qm.clip(one, region, drop=False)
    np.testing.assert_array_equal(clipped["cloud"], np.where(INSIDE, one["cloud"], np.nan))


def test_clip_on_the_accessor_and_on_images_of_ee() -> None:
    """The same in every place; what goes in as an image of ``ee`` comes out as one."""
    whole = scene()
    clipped = qm.clip(whole, OUTLINE, crs=UTM)
    xr.testing.assert_identical(whole.qmosaic.clip(OUTLINE, crs=UTM), clipped)
    xr.testing.assert_identical(whole["red"].qmosaic.clip(OUTLINE, crs=UTM), clipped["red"])
    image = qm.clip(ee.Image(whole), OUTLINE, crs=UTM)
    assert isinstance(image, ee.Image)
    xr.testing.assert_equal(image.dataset, clipped)
    collection = qm.clip(ee.ImageCollection(scene(time=2)), OUTLINE, crs=UTM)
    assert isinstance(collection, ee.ImageCollection)
    here = ee.Image(whole).clip(ee.Geometry(OUTLINE, UTM))
    xr.testing.assert_equal(here.dataset, clipped)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, SIDE), (SIDE, 1)])
def test_maps_of_a_single_pixel_row_or_column(rows: int, columns: int) -> None:
    """A region around them leaves them as they are; one beside them does not meet them."""
    image = scene(time=2).isel(y=slice(rows), x=slice(columns))
    around = (LEFT - 500, TOP - 500, LEFT + 500, TOP + 500)
    xr.testing.assert_identical(qm.clip(image, around, crs=UTM)["red"], image["red"])
    assert qm.filter_bounds(image, around, crs=UTM, clip=True).sizes == image.sizes
    if rows == columns:
        with pytest.raises(ValueError, match="does not meet the grid"):
            qm.clip(image, shapely.box(LEFT + 20, TOP - 40, LEFT + 40, TOP - 20), crs=UTM)


def test_regions_that_cannot_be(tmp_path: Path) -> None:
    """The error says what came, why it cannot be, and what to write."""
    whole = scene()
    for region, error, message in (
        (shapely.box(0, 0, 1, 1), ValueError, r"does not meet the grid.*longitudes 15\.0"),
        (shapely.Point(LEFT + 1, TOP - 1), ValueError, "all_touched=True"),
        ("Berlin", TypeError, "no region"),
        (str(tmp_path / "no.geojson"), FileNotFoundError, "no file"),
        (tmp_path, FileNotFoundError, "no file"),
    ):
        with pytest.raises(error, match=message):
            qm.clip(whole, region, crs=UTM)
    shapefile = tmp_path / "region.shp"
    shapefile.write_bytes(b"\x00\x00\x27\x0a")
    with pytest.raises(ValueError, match=r"geopandas\.read_file"):
        qm.clip(whole, shapefile)
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match="no geometry, feature"):
        qm.clip(whole, tmp_path / "list.json")
    with pytest.raises(ValueError, match="differ"):
        qm.clip(whole, features(OUTLINE) | OLD_CRS, crs="EPSG:4326")
    with pytest.raises(TypeError, match="clip\\(\\) got a ndarray"):
        qm.clip(np.ones((3, 3)), OUTLINE)


# -- GeoTransform --------------------------------------------------------------------------------


def with_transform(**sizes: int) -> xr.Dataset:
    """The scene with what GDAL believes, as rioxarray writes it."""
    whole = scene(**sizes)[["red"]]
    whole["spatial_ref"].attrs["GeoTransform"] = "500000 10 0 5000000 0 -10"
    return whole


def corner_and_size(image: xr.Dataset, folder: Path) -> tuple[float, ...]:
    """Ask GDAL where the pixels of a NetCDF file are."""
    path = folder / "image.nc"
    path.unlink(missing_ok=True)
    image.to_netcdf(path)
    with rasterio.open(f"netcdf:{path}:red") as file:
        place = file.transform
    return place.c, place.f, place.a, place.e


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda c: qm.clip(c, OUTLINE, crs=UTM), (500_020, 4_999_980, 10, -10)),
        (lambda c: c.isel(x=slice(3, 9), y=slice(2, 8)), (500_030, 4_999_980, 10, -10)),
        (lambda c: c.isel(x=slice(3, None, 2)), (500_025, 5_000_000, 20, -10)),
        (lambda c: c.coarsen(x=2, y=3).max(), (500_000, 5_000_000, 20, -30)),
        (lambda c: c.isel(x=[4]), (500_040, 5_000_000, 10, -10)),
        (lambda c: c, (500_000, 5_000_000, 10, -10)),
    ],
    ids=["clip", "isel", "every second", "coarsen", "one column", "whole"],
)
def test_gdal_finds_the_pixels_of_a_cut(change: Any, place: Any, tmp_path: Path) -> None:
    """However x and y were changed, a mosaic has a transform that fits them: GDAL is asked."""
    mosaic = qm.quality_mosaic(change(with_transform(time=2)), "red")
    assert corner_and_size(mosaic, tmp_path) == pytest.approx(place)
    # and what is cut after that is put right when it is written
    store = zarr.storage.MemoryStore()
    qm.to_zarr(change(qm.quality_mosaic(with_transform(time=2), "red")), store)
    back = xr.open_zarr(store, consolidated=False, decode_coords="all", mask_and_scale=False)
    assert corner_and_size(back, tmp_path) == pytest.approx(place)


def test_a_right_transform_stays_letter_by_letter() -> None:
    """No digit is changed in what is right already."""
    mosaic = qm.quality_mosaic(with_transform(time=2), "red")
    assert mosaic["spatial_ref"].attrs["GeoTransform"] == "500000 10 0 5000000 0 -10"


def test_coordinates_of_corners_stay_those_of_corners() -> None:
    """stackstac gives the corners of pixels as x and y; the transform says so, and goes on."""
    whole = with_transform(time=2).assign_coords(x=X - PIXEL / 2, y=Y + PIXEL / 2)
    mosaic = qm.quality_mosaic(whole, "red")
    assert mosaic["spatial_ref"].attrs["GeoTransform"] == "500000 10 0 5000000 0 -10"
    cut = qm.quality_mosaic(whole.isel(x=slice(3, 9)), "red")
    assert cut["spatial_ref"].attrs["GeoTransform"] == "500030.0 10.0 0.0 5000000.0 0.0 -10.0"


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.isel(y=slice(None, None, -1)),
        lambda c: c.isel(x=[0, 1, 3]),
        lambda c: c.isel(x=slice(1, None), y=[5]).assign_coords(y=[4_999_941.0]),
    ],
    ids=["south up", "a column left out", "a row that was not there"],
)
def test_no_transform_where_none_is_right(change: Any, tmp_path: Path) -> None:
    """Then coordinates are all that is said; the CRS stays."""
    mosaic = qm.quality_mosaic(change(with_transform(time=2)), "red")
    assert "GeoTransform" not in mosaic["spatial_ref"].attrs
    assert mosaic["spatial_ref"].attrs["crs_wkt"]


def test_south_up_is_north_up_for_gdal(tmp_path: Path) -> None:
    """GDAL turns rows that begin in the south, and would believe a transform."""
    whole = with_transform(time=2).isel(y=slice(None, None, -1), x=slice(3, None))
    mosaic = qm.quality_mosaic(whole, "red")
    place = corner_and_size(mosaic, tmp_path)
    assert place == pytest.approx((500_030, 5_000_000, 10, -10))


def test_what_cannot_be_told_is_left_alone() -> None:
    """Without coordinates of pixels the transform is all that says where they are."""
    whole = with_transform(time=2).drop_vars(["x", "y"])
    mosaic = qm.quality_mosaic(whole, "red")
    assert mosaic["spatial_ref"].attrs["GeoTransform"] == "500000 10 0 5000000 0 -10"


def test_pictures_of_large_images_have_the_transform_of_their_pixels() -> None:
    """Thinned to every k-th pixel, pixels are k times as large; what is unknown is not said."""
    from qmosaic.display.thinning import thin

    thinned = thin(with_transform(), 8)
    assert thinned["spatial_ref"].attrs["GeoTransform"] == "500000.0 30.0 0.0 5000000.0 0.0 -30.0"
    bare = thin(with_transform().drop_vars(["x", "y"]), 8)
    assert "GeoTransform" not in bare["spatial_ref"].attrs
    cut = with_transform().isel(x=slice(3, 9), y=slice(0, 6))
    shown = qm.visualize(cut, bands="red", min=0, max=1)
    assert shown["spatial_ref"].attrs["GeoTransform"] == "500030.0 10.0 0.0 5000000.0 0.0 -10.0"
    assert cut["spatial_ref"].attrs["GeoTransform"] == "500000 10 0 5000000 0 -10"


def test_transforms_among_the_attributes_of_arrays() -> None:
    """xarray's old rasters and stackstac's arrays have one there: right, it stays; else it goes."""
    affine = (10.0, 0.0, LEFT, 0.0, -10.0, TOP)
    spec = SimpleNamespace(transform=(*affine, 0.0, 0.0, 1.0))
    array = with_transform()["red"].assign_attrs(transform=affine, spec=spec)
    array = array.expand_dims(time=2, band=["red"]).assign_attrs(array.attrs)
    assert {"transform", "spec"} <= set(qm.quality_mosaic(array, "red").attrs)
    cut = array.isel(x=slice(3, None))
    assert not {"transform", "spec"} & set(qm.quality_mosaic(cut, "red").attrs)
    assert {"transform", "spec"} <= set(cut.attrs)
