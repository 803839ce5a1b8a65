"""What every value and function of `qmosaic.ee` promises: getInfo, names, errors that help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import pytest
import xarray as xr
from pyproj.crs.coordinate_operation import ToWGS84Transformation

from qmosaic import ee
from qmosaic.ee.unsupported import INSTEAD, Hinting
from qmosaic.ee.values import later

DAYS = np.array(["2020-01-05", "2020-02-06"], "M8[ns]")
WORLD = ee.Geometry.BBox(-180, -90, 180, 90)


def collection() -> ee.ImageCollection:
    """Two images of two pixels and two bands."""
    bands = {
        name: (("time", "y", "x"), np.array([[[1, 3]], [[5, 7]]], "uint8") + more)
        for name, more in (("a", 0), ("b", 10))
    }
    return ee.ImageCollection(
        xr.Dataset(bands, {"time": DAYS, "latitude": ("y", [2.0]), "longitude": ("x", [1.0, 2.0])})
        .swap_dims(y="latitude", x="longitude")
        .chunk()
    )


def dated(image: Any) -> Any:
    """The name of a band that each image has another one of."""
    return ee.String("a_").cat(image.date().format("YYYYMMdd"))


def test_a_dictionary_of_each_image_sets_its_values_as_properties():
    """set() takes a dictionary that is computed: its names are properties, without a read."""
    made = collection().map(lambda i: i.set(i.reduceRegion(ee.Reducer.mean(), WORLD)))
    assert made.aggregate_array("a").getInfo() == [2, 6]
    assert made.aggregate_array("b").getInfo() == [12, 16]
    image = collection().first()
    assert image.set(image.reduceRegion(ee.Reducer.max(), WORLD)).get("b").getInfo() == 13


def test_a_dictionary_whose_names_are_not_known_sets_properties_too():
    """A dictionary that was changed after a reduction is computed for its names."""

    def with_sum(image: Any) -> Any:
        means = image.reduceRegion(ee.Reducer.mean(), WORLD)
        return image.set(means.combine({"more": 1}))

    made = collection().map(with_sum)
    assert made.aggregate_array("a").getInfo() == [2, 6]
    assert made.aggregate_array("more").getInfo() == [1, 1]


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (lambda: ee.Algorithms.If(True, 1, 2), 1),
        (lambda: ee.Algorithms.If(0, 1, "no"), "no"),
        (lambda: ee.Algorithms.If(1, [1, "a"]), [1, "a"]),
        (lambda: ee.Algorithms.If(later(object, lambda: 0), 1, 2), 2),
        (lambda: ee.Algorithms.IsEqual(1, 1), True),
        (lambda: ee.List([1]).contains(1), True),
        (lambda: ee.List([1]).containsAll([2]), False),
        (lambda: ee.List([1]).equals([1]), True),
        (lambda: ee.Dictionary({"a": 1}).contains("b"), False),
        (lambda: ee.String("a").equals("a"), True),
        (lambda: ee.DateRange("2020-01-01", "2021-01-01").contains("2020-05-05"), True),
        (lambda: ee.DateRange("2020-01-01", "2021-01-01").isEmpty(), False),
        (lambda: ee.Geometry.Point(1, 2).intersects(WORLD), True),
        (lambda: ee.Geometry.Point(1, 2).disjoint(WORLD), False),
        (lambda: ee.Geometry.Point(1, 2).containedIn(WORLD), True),
    ],
)
def test_what_a_method_gives_has_getinfo(value: Any, known: Any):
    """Numbers, texts and truths that methods give have getInfo(), which gives those of Python."""
    given = value().getInfo()
    assert given == known
    assert type(given) is type(known)


def test_a_truth_can_be_computed_with_and_chosen_by():
    """True and False are numbers as well, and conditions."""
    there = ee.List([1]).contains(1)
    assert there == True  # noqa: E712
    assert repr(there) == "True"
    assert there.Not().getInfo() == 0
    assert there.add(1).getInfo() == 2
    assert ee.Algorithms.If(there, "in", "out").getInfo() == "in"
    assert ee.Algorithms.ObjectType(there).getInfo() == "Boolean"


def test_a_number_becomes_a_text():
    """ee.String takes an ee.Number, as in Earth Engine; an image is none."""
    assert ee.String(ee.Number(3)).getInfo() == "3"
    assert ee.String(ee.Number(1.5)).cat("m").getInfo() == "1.5m"
    lazily = collection().map(lambda i: i.set("t", ee.String(i.reduceRegion("mean").get("a"))))
    assert lazily.aggregate_array("t").getInfo() == ["2", "6"]
    with pytest.raises(TypeError, match="it takes a text"):
        ee.String(collection().first())


FUNCTIONS_OF = {
    "images": lambda f: collection().map(f),
    "features": lambda f: ee.FeatureCollection([ee.Feature(WORLD)]).map(f),
    "list": lambda f: ee.List([1, 2]).map(f),
}


@pytest.mark.parametrize("mapped", FUNCTIONS_OF.values(), ids=list(FUNCTIONS_OF))
def test_a_function_without_return_is_an_error(mapped: Any):
    """A function that gives nothing at all has no ``return``: no empty collection is made of it."""
    with pytest.raises(TypeError, match=r"returned nothing .* Write `return`"):
        mapped(lambda one: None)
    with pytest.raises(TypeError, match="no function"):
        mapped(3)


def test_nothing_for_some_or_on_request_drops_images():
    """A function may give None for some images, and for all with dropNulls."""
    assert collection().map(lambda i: None, True).size().getInfo() == 0
    later_ones = collection().map(
        lambda i: ee.Algorithms.If(i.date().get("month").gt(1), i), dropNulls=True
    )
    assert later_ones.size().getInfo() == 1


def test_a_band_can_be_called_by_the_date_of_its_image():
    """The name of a band is known before there is a band: images have other bands then."""
    made = collection().map(lambda i: i.select("a").rename(dated(i)))
    names = [image.bandNames().getInfo() for image in made.toList(2)]
    assert names == [["a_20200105"], ["a_20200206"]]
    assert made.toBands().bandNames().getInfo() == ["0_a_20200105", "1_a_20200206"]
    made = collection().map(lambda i: i.select(["a"], [dated(i)]).set(dated(i), 1))
    assert made.toList(2).get(1).bandNames().getInfo() == ["a_20200206"]
    assert made.toList(2).get(1).get("a_20200206").getInfo() == 1
    other = collection().map(lambda i: i.addBands(i.select(["a"]).rename([dated(i)]), [dated(i)]))
    assert other.first().bandNames().getInfo() == ["a", "b", "a_20200105"]


def test_names_that_are_computed_later_are_computed():
    """A name that is one for all is computed where it is needed."""
    name = ee.String(later(ee.String, lambda: "red"))
    image = collection().first()
    assert image.select("a").rename(name).bandNames().getInfo() == ["red"]
    assert image.set(name, 4).get(name).getInfo() == 4
    means = image.reduceRegion(ee.Reducer.minMax().setOutputs(["low", name]), WORLD)
    assert means.get("a_red").getInfo() == 3
    assert ee.Feature(WORLD).set(name, 4).get("red").getInfo() == 4
    assert image.metadata("system:time_start", name).bandNames().getInfo() == ["red"]


@pytest.mark.parametrize("write", [lambda v: f"a_{v}", lambda v: "a_" + str(v), "a_{}".format])
def test_a_value_that_is_not_known_gets_into_no_name(write: Any):
    """A text of Python cannot hold a value that is not known yet: no band is called so."""
    with pytest.raises(TypeError, match=r"Write ee.String\('B4_'\).cat"):
        collection().map(lambda i: i.select("a").rename(write(i.date().format())))


def test_none_stays_none():
    """A property that is set to None is None, not NaN."""
    assert collection().first().set("a", None).get("a") is None
    assert collection().map(lambda i: i.set("n", None)).first().get("n") is None


def test_none_among_images_is_left_out():
    """A collection of single images leaves out None."""
    image = collection().first()
    assert ee.ImageCollection([image, None]).size().getInfo() == 1
    assert ee.ImageCollection.fromImages([None]).size().getInfo() == 0


def test_getinfo_of_a_list_describes_its_images():
    """getInfo() gives values of Python, of images in lists and dictionaries too."""
    (image,) = collection().toList(1).getInfo()
    assert image["type"] == "Image"
    assert [band["id"] for band in image["bands"]] == ["a", "b"]
    assert ee.Dictionary({"i": [collection().first()]}).getInfo()["i"][0]["type"] == "Image"
    assert ee.ImageCollection(collection().toList(2)).size().getInfo() == 2


def test_a_crs_that_is_bound_to_another_has_its_own_code():
    """A CRS with TOWGS84 has the code of the CRS itself."""
    crs = pyproj.CRS(3035)
    shift = ToWGS84Transformation(crs.geodetic_crs, 0, 0, 0, 0, 0, 0, 0)
    bound = pyproj.crs.BoundCRS(crs, pyproj.CRS(4326), shift)
    assert ee.Projection(bound).crs().getInfo() == "EPSG:3035"
    assert ee.Projection(bound).getInfo()["crs"] == "EPSG:3035"
    proj4 = "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=m"
    by_name = pyproj.CRS(pyproj.CRS(proj4).to_wkt().replace("unknown", "ETRS89 / LAEA Europe", 1))
    elsewhere = pyproj.CRS(by_name.to_wkt().replace("4321000", "4321001"))
    codes = [
        ee.Projection(pyproj.crs.BoundCRS(one, pyproj.CRS(4326), shift)).crs().getInfo()
        for one in (by_name, elsewhere)
    ]
    assert codes[0] == "EPSG:3035"
    assert not codes[1].startswith("EPSG")


def test_what_is_not_exported_says_so():
    """What is not supported shows what to use, and no address in memory."""
    assert "quicklook" in repr(ee.Export.video)
    assert "Map" in repr(ee.Export.map)


def classes_of(of: type) -> list[type]:
    """A class and all that are derived from it."""
    return [of, *(one for child in of.__subclasses__() for one in classes_of(child))]


@pytest.mark.parametrize("hint", INSTEAD)
def test_no_hint_names_what_there_is(hint: str):
    """A hint is for a name that is not there: of the class that it names, else of none."""
    *owner, name = hint.split(".")
    ours = [one for one in classes_of(Hinting) if "qmosaic.ee" in one.__module__]
    having = {"ee"} if hasattr(ee, name) else set()
    having |= {one._name for one in ours if name in dir(one)}
    assert ("ee." + owner[0] not in having) if owner else not having


def test_a_hint_is_of_the_class_that_was_asked():
    """What an image has and a collection has not is asked of each image."""
    with pytest.raises(AttributeError, match=r"collection.map\(lambda image: image.visualize"):
        collection().visualize  # noqa: B018
    with pytest.raises(AttributeError, match="only images have properties"):
        collection().set  # noqa: B018
