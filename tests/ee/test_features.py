"""Features and collections of them: where they come from, as regions, their geometry, what is
computed of them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

import qmosaic as qm
from qmosaic import ee
from tests.support.scenes import CORNER, CRS, SIDE, sentinel2

FIELDS: list[dict[str, Any]] = [
    {"name": "a", "crop": "rye", "yield": 5.5, "year": 2020},
    {"name": "b", "crop": "oats", "yield": None, "year": 2019},
    {"name": "c", "crop": "rye", "yield": 4.0, "year": 2021},
    {"name": "d", "crop": None, "yield": 2.0, "year": 2019},
]


def shapes() -> list[shapely.Polygon]:
    """Make a square in each corner of the scene, in its CRS; the last two overlap."""
    west, north = CORNER
    corners = [(20, 30), (320, 30), (20, 300), (100, 330)]
    return [shapely.box(west + x, north - y - 120, west + x + 120, north - y) for x, y in corners]


def table() -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(pd.DataFrame(FIELDS), geometry=shapes(), crs=CRS)


def fields() -> ee.FeatureCollection:
    """Make the features of a list, without the properties that are not there."""
    made = []
    for known, shape in zip(FIELDS, shapes(), strict=True):
        there = {name: value for name, value in known.items() if value is not None}
        made.append(ee.Feature(ee.Geometry(shape, CRS), there))
    return ee.FeatureCollection(made)


# -- where they come from --------------------------------------------------------------------------


SOURCES: dict[str, Callable[[Path], Any]] = {
    "GeoDataFrame": lambda at: table(),
    "GeoSeries": lambda at: table().geometry,
    "GeoPackage": lambda at: table().to_file(at / "f.gpkg") or at / "f.gpkg",
    "shapefile": lambda at: table().to_file(at / "f.shp") or str(at / "f.shp"),
    "GeoJSON file": lambda at: table().to_crs(4326).to_file(at / "f.geojson") or at / "f.geojson",
    "GeoJSON": lambda at: json.loads(table().to_crs(4326).to_json()),
    "features": lambda at: fields(),
    "list of features": lambda at: fields().toList(4),
    "list of geometries": lambda at: [ee.Geometry(shape, CRS) for shape in shapes()],
    "collections": lambda at: [fields().limit(2), ee.FeatureCollection(table().iloc[2:])],
}


@pytest.mark.parametrize("source", SOURCES)
def test_sources(source: str, tmp_path: Path) -> None:
    """A collection is made of what geopandas reads, of GeoJSON, and of lists: the same geometries
    and properties."""
    made = ee.FeatureCollection(SOURCES[source](tmp_path))
    assert made.size() == 4
    for feature, shape in zip(made.toList(), shapes(), strict=True):
        in_crs = feature.geometry().transform(CRS)
        assert in_crs.geometry.geom.symmetric_difference(shape).area < 1
    if "geometries" not in source and source != "GeoSeries":
        assert made.aggregate_array("name") == ["a", "b", "c", "d"]
        assert made.aggregate_array("yield") == [5.5, 4, 2]
        assert made.aggregate_array("crop") == ["rye", "oats", "rye"]


def test_registered_features(tmp_path: Path) -> None:
    """An id is registered once, by a path or a GeoDataFrame; a file may list it too."""
    table().to_file(tmp_path / "f.gpkg")
    ee.register("MY/FIELDS", str(tmp_path / "f.gpkg"))
    ee.register("MY/TABLE", table())
    for name in ("MY/FIELDS", "MY/TABLE"):
        assert ee.FeatureCollection(name).filter(ee.Filter.eq("name", "b")).size() == 1
    catalog = tmp_path / "catalog.toml"
    catalog.write_text('["MY/LISTED"]\nsource = "f.gpkg"')
    ee.load_catalog(catalog)
    assert ee.FeatureCollection("MY/LISTED").size() == 4
    with pytest.raises(KeyError, match=r"MY/FIELD'.*features are kept.*Did you mean 'MY/FIELDS'"):
        ee.FeatureCollection("MY/FIELD")


def test_one_geometry_is_a_collection_too() -> None:
    """Of a geometry, a feature, a box: a collection of one feature."""
    box = ee.Geometry.BBox(0, 0, 1, 1)
    for one in (box, ee.Feature(box), box.getInfo(), (0, 0, 1, 1), shapely.box(0, 0, 1, 1)):
        assert ee.FeatureCollection(one).geometry().geometry.geom.equals(shapely.box(0, 0, 1, 1))
    assert ee.FeatureCollection([]).size() == 0
    in_two = [ee.Feature(box), ee.Feature(ee.Geometry(shapes()[0], CRS))]
    assert ee.FeatureCollection(in_two).geodataframe.crs == "EPSG:4326"
    assert ee.FeatureCollection(fields()).geodataframe.crs == CRS


# -- as regions ------------------------------------------------------------------------------------


def test_features_are_regions() -> None:
    """Whatever takes a region takes features: all of them together, in their own CRS. What lies
    outside is masked, and the same pixels are left as a loop over their centres leaves."""
    image, collection = ee.ImageCollection(sentinel2()).first(), ee.ImageCollection(sentinel2())
    some = fields().filter(ee.Filter.inList("name", ["a", "d"]))
    inside = np.zeros((SIDE, SIDE), bool)
    for row in range(SIDE):
        for column in range(SIDE):
            centre = shapely.Point(CORNER[0] + 5 + 10 * column, CORNER[1] - 5 - 10 * row)
            inside[row, column] = any(shapes()[n].contains(centre) for n in (0, 3))
    clipped = image.clip(some).dataset
    kept = clipped["B4"].reindex(y=image.dataset["y"], x=image.dataset["x"], fill_value=0) > 0
    np.testing.assert_array_equal(kept, inside & (image.dataset["B4"] > 0))
    assert clipped["MSK_CLDPRB"].dtype == "uint16"
    for same in (
        image.clipToCollection(some),
        image.clip(some.geometry()),
        image.clip(ee.FeatureCollection(some.geodataframe)),
        image.clip(some.union().first()),
    ):
        xr.testing.assert_equal(same.dataset, clipped)
    one = fields().first()
    assert image.clip(one).dataset["MSK_CLDPRB"].dtype == "uint8"
    assert dict(image.clip(one).dataset.sizes) == {"y": 12, "x": 12}
    far = ee.Feature(ee.Geometry.Point(0, 0))
    assert collection.filterBounds(some).size() == 5
    assert collection.filterBounds(far).size() == 0
    assert collection.filter(ee.Filter.bounds(one)).size() == 5
    band = image.select("B4").dataset
    xr.testing.assert_equal(qm.clip(band, some)["B4"], clipped["B4"])
    assert dict(qm.clip(band, one).sizes) == {"y": 12, "x": 12}


def test_a_box_keeps_dtypes() -> None:
    """A box in the CRS of the image cuts rows and columns off; no pixel has to be masked."""
    image = ee.ImageCollection(sentinel2()).first()
    box = ee.Geometry(shapes()[0], CRS)
    assert image.clip(box).dataset["MSK_CLDPRB"].dtype == "uint8"
    assert image.clip(box.transform("EPSG:4326")).dataset["MSK_CLDPRB"].dtype == "uint16"


def test_images_of_different_regions_make_a_collection() -> None:
    """Images that were cut to different regions of one grid are put together on a map that holds
    all of them, masked where they do not reach; those of another grid are refused."""
    image = ee.ImageCollection(sentinel2()).first().select(["B4", "MSK_CLDPRB"])
    cut = fields().map(lambda f: image.clip(f.geometry()).set("name", f.get("name")))
    made = ee.ImageCollection(cut)
    assert made.aggregate_array("name") == ["a", "b", "c", "d"]
    whole = image.dataset
    for place, shape in enumerate(shapes()):
        one = made.dataset.isel(time=place)
        west, south, east, north = shape.bounds
        inside = (whole.x > west) & (whole.x < east) & (whole.y > south) & (whole.y < north)
        for name, band in one.data_vars.items():
            want = whole[name].where(inside).reindex_like(band)
            got = band.where(band != band.attrs["_FillValue"])
            np.testing.assert_array_equal(
                got, want.where(want != whole[name].attrs.get("_FillValue"))
            )
    assert made.dataset["B4"].dtype == "uint16"
    assert made.dataset.odc.geobox.resolution == whole.odc.geobox.resolution
    assert qm.explain(made.qualityMosaic("B4", masked="keep").dataset).blocks
    turned = ee.Image(image.dataset.isel(y=slice(None, None, -1)))
    moved = ee.Image(whole.assign_coords(x=whole.x + 3))
    coarse = ee.Image(whole.isel(x=slice(0, 40, 2)))
    for other in (moved, coarse, turned):
        with pytest.raises(ValueError, match="not on one grid"):
            ee.ImageCollection([image, other])


# -- geometry --------------------------------------------------------------------------------------


def area_of_a_box(west: float, south: float, east: float, north: float) -> float:
    """Compute the area between meridians and parallels on WGS 84, by its closed form."""
    a, f = 6378137.0, 1 / 298.257223563
    e = math.sqrt(f * (2 - f))

    def below(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return s / (2 * (1 - (e * s) ** 2)) + math.log((1 + e * s) / (1 - e * s)) / (4 * e)

    b = a * (1 - f)
    return b * b * math.radians(east - west) * (below(north) - below(south))


@pytest.mark.parametrize("south", [0, 47, -80])
def test_areas_are_those_on_the_ellipsoid(south: float) -> None:
    """Square metres on WGS 84, holes taken out, parts added; the edges of areas and lines in metres
    too. With a CRS, in its plane."""
    box = (10, south, 10.01, south + 0.01)
    whole = area_of_a_box(*box)
    assert ee.Geometry.BBox(*box).area().getInfo() == pytest.approx(whole, 1e-6)
    hole = shapely.box(10.002, south + 0.002, 10.006, south + 0.006)
    left = whole - area_of_a_box(*hole.bounds)
    holed = ee.Feature(shapely.box(*box).difference(hole))
    assert holed.area(1).getInfo() == pytest.approx(left, 1e-6)
    two = ee.FeatureCollection([holed, ee.Geometry.BBox(11, south, 11.01, south + 0.01)])
    assert two.geometry().area().getInfo() == pytest.approx(left + whole, 1e-6)
    line = ee.Geometry.LineString([[10, south], [10, south + 0.01]])
    e2, s = 0.00669437999014, math.sin(math.radians(south + 0.005))
    metres = math.radians(0.01) * 6378137.0 * (1 - e2) / (1 - e2 * s * s) ** 1.5
    assert line.length().getInfo() == pytest.approx(metres, 1e-6)
    assert line.area() == 0
    assert ee.Geometry.BBox(*box).length() == 0
    assert ee.Geometry.BBox(*box).perimeter().getInfo() > 2 * metres
    assert ee.Geometry(shapes()[0], CRS).area(1, CRS) == 120 * 120


def test_what_becomes_of_geometries() -> None:
    """Geometries are cut, merged, widened, simplified and compared as shapely does it on a plane;
    those of another CRS are brought into that of the first."""
    a, b = (ee.Geometry(shape, CRS) for shape in shapes()[2:])
    exact = {"intersection": 40 * 90, "union": 2 * 120**2 - 40 * 90, "difference": 120**2 - 40 * 90}
    for name, area in exact.items():
        for other in (b, ee.Feature(b), b.transform("EPSG:4326")):
            made = getattr(a, name)(other)
            assert made.area(1, CRS).getInfo() == pytest.approx(area, 1e-4)
    assert a.symmetricDifference(b).area(1, CRS).getInfo() == 2 * (120**2 - 40 * 90)
    nothing = a.intersection(ee.Geometry.Point(0, 0))
    assert repr(nothing) == "ee.Geometry, empty"
    assert nothing.area() == 0
    assert a.intersects(b)
    assert not a.contains(b)
    assert a.contains(a.centroid(1))
    assert a.buffer(-10).containedIn(a)
    assert a.disjoint(ee.Geometry.Point(0, 0))
    assert a.buffer(10).area(1, CRS).getInfo() == pytest.approx(
        120**2 + 4 * 120 * 10 + math.pi * 100, 5e-3
    )
    assert a.buffer(10, 1, CRS).bounds().area(1, CRS).getInfo() == pytest.approx(140**2)
    round_one = ee.Geometry.Point(10, 47).buffer(1000)
    assert len(round_one.simplify(100).coordinates().get(0)) < 20
    assert round_one.simplify(100).area().getInfo() == pytest.approx(math.pi * 1e6, 0.1)
    lines = ee.Geometry.MultiLineString([[[0, 0], [1, 0]], [[1, 0], [2, 0]]])
    assert lines.type() == "MultiLineString"
    assert lines.geometries().size() == 2
    assert ee.Geometry.LinearRing([[0, 0], [1, 0], [1, 1], [0, 0]]).type() == "LinearRing"
    assert ee.Geometry(lines.getInfo()).coordinates() == [[[0, 0], [1, 0]], [[1, 0], [2, 0]]]
    assert json.loads(lines.toGeoJSONString())["type"] == "MultiLineString"
    crossing = ee.Geometry.MultiPolygon([[[[0, 0], [2, 0], [2, 2]]], [[[0, 0], [2, 0], [0, 2]]]])
    assert crossing.dissolve().geometries().size() == 1


def test_features_keep_their_properties() -> None:
    """What changes the geometry of a feature leaves its properties, and the other way round."""
    field = ee.Feature(ee.Geometry(shapes()[0], CRS), {"crop": "rye"}, "f1")
    other = ee.Feature(ee.Geometry(shapes()[2], CRS), {"crop": "oats", "wet": 1})
    calls: dict[str, tuple[Any, ...]] = {"buffer": (10,), "simplify": (1,), "transform": (CRS,)}
    calls |= dict.fromkeys(("intersection", "union", "difference", "symmetricDifference"), (other,))
    for name in ("bounds", "centroid", "dissolve", *calls):
        made = getattr(field, name)(*calls.get(name, ()))
        want = getattr(field.geometry(), name)(*calls.get(name, ()))
        assert made.geometry().geometry == want.geometry
        assert made.toDictionary() == {"crop": "rye"}
        assert made.id() == "f1"
    assert field.perimeter() == field.geometry().perimeter()
    changed = field.set({"crop": "oats"}).set("year", 2020, "wet", None).copyProperties(other)
    assert changed.geometry() is field.geometry()
    assert changed.toDictionary() == {"crop": "oats", "year": 2020, "wet": 1}
    assert field.copyProperties(other, None, ["crop"]).toDictionary() == {"crop": "rye", "wet": 1}
    assert changed.select(["crop"], ["kind"]).toDictionary() == {"kind": "oats"}
    assert changed.select("crop", retainGeometry=False).geometry() is None
    assert changed.setGeometry(None).geometry() is None
    assert changed.get("unheard of") is None
    assert changed.getString("crop").cat("!") == "oats!"
    assert field.getInfo()["id"] == "f1"
    of_image = ee.Feature(None).copyProperties(ee.ImageCollection(sentinel2()).first())
    assert of_image.get("cloud_cover") == 5


# -- what is computed of them ----------------------------------------------------------------------


def test_numbers_of_all_features() -> None:
    """The methods that begin with aggregate_ count, add and compare what is there, as the standard
    library does; what some features lack does not count."""
    yields = [one["yield"] for one in FIELDS if one["yield"] is not None]
    wanted = {
        "sum": sum(yields),
        "mean": statistics.mean(yields),
        "min": min(yields),
        "max": max(yields),
        "product": math.prod(yields),
        "total_sd": statistics.pstdev(yields),
        "total_var": statistics.pvariance(yields),
        "sample_sd": statistics.stdev(yields),
        "sample_var": statistics.variance(yields),
        "count": 3,
        "count_distinct": 3,
        "first": 5.5,
    }
    for made in (fields(), ee.FeatureCollection(table())):
        for name, value in wanted.items():
            found = getattr(made, f"aggregate_{name}")("yield")
            assert found.getInfo() == pytest.approx(value), name
        assert made.aggregate_histogram("year") == {"2019": 2, "2020": 1, "2021": 1}
        assert made.aggregate_histogram("crop") == {"oats": 1, "rye": 2}


def test_choosing_and_putting_together() -> None:
    """Order, limits, the first of each value, parts of the properties; ids stay apart."""
    every = fields()
    assert every.sort("year").aggregate_array("name") == ["b", "d", "a", "c"]
    assert every.sort("yield", False).aggregate_array("name") == ["a", "c", "d", "b"]
    assert every.sort("crop").aggregate_array("name") == ["b", "a", "c", "d"]
    assert every.limit(2, "year", False).aggregate_array("name") == ["c", "a"]
    assert every.distinct("crop").aggregate_array("name") == ["a", "b", "d"]
    assert every.merge(every).distinct([".geo"]).size() == 4
    twice = every.merge(every.limit(1))
    assert twice.aggregate_array("system:index") == ["1_0", "1_1", "1_2", "1_3", "2_0"]
    assert every.merge(ee.Geometry.BBox(0, 0, 1, 1)).geodataframe.crs == CRS
    assert every.select("name", "year").first().propertyNames() == ["name", "year"]
    assert every.select(["name"], ["n"]).first().toDictionary() == {"n": "a"}
    assert every.toList(2, 1).map(lambda f: ee.Feature(f).get("name")) == ["b", "c"]
    names = every.iterate(lambda f, text: ee.String(text).cat(f.getString("name")), "")
    assert names == "abcd"
    assert every.filterMetadata("year", "not_less_than", 2020).size() == 2
    united = every.union(1)
    assert united.first().id() == "union_result"
    assert united.size() == 1
    flat = every.map(lambda f: ee.FeatureCollection([f, f])).flatten()
    assert flat.aggregate_array("name") == list("aabbccdd")


def test_map_gives_features_or_a_list() -> None:
    """Features and geometries make a collection, images a list; None is left out if asked."""
    image = ee.ImageCollection(sentinel2()).first()
    centres = fields().map(lambda f: f.centroid())
    assert [f.geometry().type() for f in centres.toList()] == ["Point"] * 4
    assert fields().map(lambda f: f.geometry()).size() == 4
    cut = fields().limit(2).map(lambda f: image.clip(f).set("name", f.get("name")))
    assert [one.get("name") for one in cut] == ["a", "b"]
    some = fields().map(lambda f: f if f.get("name") == "a" else None, True)
    assert some.size() == 1


def test_info_is_geojson() -> None:
    """`getInfo` gives GeoJSON in longitude and latitude, that json can write and geopandas read."""
    info = fields().getInfo()
    read = geopandas.GeoDataFrame.from_features(json.loads(json.dumps(info)), crs=4326).to_crs(CRS)
    for found, shape in zip(read.geometry, shapes(), strict=True):
        assert found.symmetric_difference(shape).area < 1
    assert [one["id"] for one in info["features"]] == ["0", "1", "2", "3"]
    assert info["features"][1]["properties"] == {"name": "b", "crop": "oats", "year": 2019}
    box = ee.Geometry.BBox(0, 0, 1, 1)
    known = {"day": ee.Date("2020-01-01"), "list": ee.List([1, 2]), "where": box}
    told = json.loads(json.dumps(ee.Feature(None, known).getInfo()))["properties"]
    assert told["list"] == [1, 2]
    assert told["where"] == box.getInfo()
    styled = fields().style(color="red").draw("blue", strokeWidth=2)
    assert styled.styling == {"color": "blue", "strokeWidth": 2}
    assert styled.getInfo() == info


def test_what_depends_on_pixels_is_computed_once_and_late() -> None:
    """A collection that is computed is not computed while a script is built; then once."""
    asked: list[int] = []

    def made() -> geopandas.GeoDataFrame:
        asked.append(1)
        return table()

    later = ee.FeatureCollection._later(made)
    chosen = later.filter(ee.Filter.eq("crop", "rye")).sort("year").select("name", "yield")
    doubled = chosen.map(lambda f: f.set("twice", f.getNumber("yield").multiply(2)))
    both = doubled.merge(fields())
    mean, size, names = doubled.aggregate_mean("twice"), both.size(), later.aggregate_array("name")
    assert "computed by getInfo()" in repr(doubled) + repr(mean)
    assert not asked
    assert mean.getInfo() == 9.5
    assert size.getInfo() == 6
    assert names.getInfo() == ["a", "b", "c", "d"]
    assert doubled.getInfo()["features"][0]["properties"]["twice"] == 11
    assert len(asked) == 1


def test_computed_properties_of_features() -> None:
    """A property that is computed is computed by `getInfo`, all of them at once; features can be
    mapped and regions made of them before."""
    asked: list[str] = []

    def value(name: str) -> Any:
        return ee.values.later(ee.Dictionary, lambda: asked.append(name) or {"mean": len(name)})

    with dask.config.set(scheduler="synchronous"):
        made = fields().map(lambda f: f.set(value(f.get("name"))))
        made = made.map(lambda f: f.set("more", f.getNumber("mean").add(1)))
        region = made.geometry()
        assert made.size() == 4
        assert region.area(1, CRS).getInfo() == 4 * 120**2 - 40 * 90
        assert not asked
        assert made.aggregate_array("more").getInfo() == [2, 2, 2, 2]
        assert sorted(asked) == ["a", "b", "c", "d"]
        assert made.filter(ee.Filter.eq("mean", 1)).size() == 4
        info = made.getInfo()["features"][0]["properties"]
    assert (info["mean"], info["more"], info["crop"]) == (1, 2, "rye")


def test_features_of_images() -> None:
    """`ImageCollection.map` gives features where its function does: one for each image, with its
    id; lazily where a property is computed from pixels."""
    collection = ee.ImageCollection(sentinel2())
    point = ee.Geometry.Point(-103.19, 40.14)

    def described(image: ee.Image) -> ee.Feature:
        known = {"day": image.date().format("MM-dd"), "cover": image.get("cloud_cover"), "one": 1}
        return ee.Feature(point, known)

    made = collection.map(described)
    assert made.aggregate_array("day") == ["06-25", "07-05", "07-20", "08-14", "09-01"]
    assert made.aggregate_array("cover") == collection.aggregate_array("cloud_cover")
    assert made.aggregate_array("system:index") == collection.aggregate_array("system:index")
    assert made.geometry().geometry.geom.equals(shapely.Point(-103.19, 40.14))
    asked: list[int] = []

    def counted(image: ee.Image) -> ee.Feature:
        each = ee.values.later(ee.Number, lambda: asked.append(1) or [1, 2, 3, 4, 5], images=5)
        return ee.Feature(None, {"each": each}).set("cover", image.get("cloud_cover"))

    lazily = collection.map(counted)
    assert not asked
    assert lazily.aggregate_array("each").getInfo() == [1, 2, 3, 4, 5]
    several = collection.map(lambda image: ee.FeatureCollection([described(image)] * 2)).flatten()
    assert several.size() == 10
    copied = collection.map(lambda image: ee.Feature(point).copyProperties(image, ["cloud_cover"]))
    assert copied.aggregate_sum("cloud_cover") == 195


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ee.FeatureCollection(5), TypeError, "got a int.*GeoPackage.*list of features"),
        (lambda: ee.FeatureCollection("nothing.gpkg"), KeyError, "not registered"),
        (lambda: ee.Feature(None, 5), TypeError, "properties that are a int.*dictionary"),
        (lambda: ee.Feature("somewhere"), TypeError, "no region"),
        (lambda: ee.Feature(None).set("a"), ValueError, "got 1 arguments"),
        (lambda: ee.Feature(None).area(), ValueError, "no geometry. Give it one"),
        (lambda: ee.FeatureCollection([]).first(), ValueError, "no feature"),
        (lambda: fields().filter(ee.Filter.eq("name", "x")).geometry(), ValueError, "no feature"),
        (lambda: fields().sort("SUN"), KeyError, "no property 'SUN'; they have 'name'"),
        (lambda: fields().randomColumn(distribution="even"), ValueError, "'uniform'.*'normal'"),
        (lambda: fields().reduceColumns(ee.Reducer.max(), ["SUN"]), KeyError, "no property 'SUN'"),
        (lambda: ee.FeatureCollection.randomPoints, AttributeError, "sample_points"),
        (
            lambda: ee.FeatureCollection(table().set_crs(None, allow_override=True)),
            ValueError,
            "longitude and latitude",
        ),
        (
            lambda: ee.ImageCollection(sentinel2()).first().clip(ee.Geometry.Point(0, 0)),
            ValueError,
            "does not meet the grid",
        ),
    ],
)
def test_what_features_refuse(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    """What came, why it cannot work, what to write instead."""
    with pytest.raises(error, match=message):
        call()
