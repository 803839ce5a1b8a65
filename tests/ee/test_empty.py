"""What becomes of a collection that a filter has emptied, and of images without bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from qmosaic import ee
from qmosaic.display import Map

PLACES = {
    "time": np.array(["2020-01-01", "2020-02-01"], "M8[ns]"),
    "latitude": [40.2, 40.1],
    "longitude": [-103.2, -103.1],
}
WEST = ee.Geometry.BBox(-103.25, 40, -103.15, 41)


def collection() -> ee.ImageCollection:
    """Make two images of two bands, with ids."""
    band = ("time", "latitude", "longitude"), np.arange(8.0).reshape(2, 2, 2)
    made = xr.Dataset({"B4": band, "B8": band}, PLACES)
    return ee.ImageCollection(made.assign_coords(id=("time", ["first", "second"])))


def nothing() -> ee.Image:
    """Make the mosaic of a collection that a filter has emptied."""
    return collection().filterDate("1999-01-01", "2000-01-01").mosaic()


@pytest.mark.parametrize(
    "method",
    [
        lambda image, other: image.clip(WEST),
        lambda image, other: image.clipToCollection(ee.FeatureCollection(WEST)),
        lambda image, other: image.reproject("EPSG:4326", None, 30),
        lambda image, other: image.set("n", 1),
        lambda image, other: image.copyProperties(other),
        lambda image, other: image.updateMask(other),
        lambda image, other: image.updateMask(other.select("B4").gt(2)),
        lambda image, other: image.selfMask().unmask(0).unmask(other),
        lambda image, other: image.mask().abs().Not().toFloat(),
        lambda image, other: image.add(nothing()),
        lambda image, other: image.where(other, 1),
        lambda image, other: image.focal_max(1),
        lambda image, other: image.visualize(bands=["B4"], min=0, max=1),
        lambda image, other: image.add(1).gt(other),
        lambda image, other: other.add(image).clip(WEST),
        lambda image, other: other.select("B4").add(image).reproject("EPSG:4326", None, 30),
        lambda image, other: other.updateMask(image),
        lambda image, other: other.where(image, 1),
        lambda image, other: other.where(1, image),
        lambda image, other: other.unmask(image),
        lambda image, other: other.blend(image).resample("bilinear"),
    ],
)
def test_an_image_without_bands_stays_one(method: Callable[[Any, Any], Any]) -> None:
    """What Earth Engine does with an image without bands gives one, which remembers why."""
    made = method(nothing(), collection().first())
    assert made.bandNames() == []
    with pytest.raises(ValueError, match=r"select\('B4'\).*no bands.*1999-01-01.*left none of 2"):
        made.select("B4")


@pytest.mark.parametrize(
    "method",
    [
        lambda image, other: image.normalizedDifference(["B8", "B4"]),
        lambda image, other: image.reduce(ee.Reducer.mean()),
        lambda image, other: image.reduceRegion(ee.Reducer.mean(), WEST, 30),
        lambda image, other: ee.batch.Export.image.toDrive(image.clip(WEST), "a", scale=30),
        lambda image, other: ee.batch.Export.image.toAsset(image, "a", scale=30),
    ],
)
def test_what_an_image_without_bands_cannot_do(method: Callable[[Any, Any], Any]) -> None:
    """What needs bands is an error that says which filter left no image."""
    with pytest.raises(ValueError, match=r"the image has no bands.*1999-01-01.*left none of 2"):
        method(nothing(), collection().first())


@pytest.mark.parametrize(
    "layer",
    [nothing, lambda: nothing().clip(WEST), lambda: collection().filterDate("1999-01-01")],
    ids=["mosaic", "clipped", "collection"],
)
def test_a_map_leaves_out_what_has_no_image(layer: Callable[[], Any]) -> None:
    """Where nothing is left to draw, a script goes on: the layer is left out, and a warning says
    which filter left nothing."""
    shown = Map()
    with pytest.warns(UserWarning, match=r"'greenest' has no image.*1999-01-01.*left none of 2"):
        shown.addLayer(layer(), {"bands": ["B4"], "min": 0, "max": 1}, "greenest")
    assert shown.layers == []
    shown.addLayer(collection().first().select("B4"), {"min": 0, "max": 8}, "first")
    assert shown.layers == ["first"]


def test_images_without_bands_in_a_collection() -> None:
    """Composites of months, of which one has no image, make a collection; the month without image
    is found by the names of its bands."""
    months = [
        collection().filterDate(f"2020-0{month}").mosaic().set("month", month)
        for month in (1, 3, 2)
    ]
    made = ee.ImageCollection(months)
    assert made.aggregate_array("month") == [1, 3, 2]
    full = made.filter(ee.Filter.listContains("system:band_names", "B4"))
    assert full.aggregate_array("month") == [1, 2]
    np.testing.assert_array_equal(full.max().dataset["B4"], collection().max().dataset["B4"])
    assert ee.ImageCollection([nothing(), nothing()]).size() == 2
    assert collection().map(lambda image: image.select([])).size() == 2


def test_what_a_condition_does_not_choose_may_lack_bands() -> None:
    """Scripts subtract the mean of a month only where it has bands; both cases are written out, and
    the one that is not chosen is no error, as in Earth Engine."""

    def anomaly(image: ee.Image) -> Any:
        month = image.date().get("month")
        means = collection().filter(ee.Filter.calendarRange(1, 1, "month"))
        mean = means.filter(ee.Filter.calendarRange(month, month, "month")).mean()
        return ee.Image(
            ee.Algorithms.If(mean.bandNames().size().gt(0), image.subtract(mean), image)
        )

    made = collection().map(anomaly).dataset["B4"]
    np.testing.assert_array_equal(made, [np.zeros((2, 2)), np.arange(4, 8).reshape(2, 2)])


def test_a_function_may_give_the_same_image_for_all() -> None:
    """The function of map may give an image that has nothing of the one that it gets: it is there
    once for each image, at the times of the collection where it has none, with their ids."""
    col = collection()
    ones = col.map(lambda image: ee.Image(1))
    assert ones.aggregate_array("system:index") == ["first", "second"]
    assert ones.sum().dataset["constant"] == 2
    assert ones.first().date() == ee.Date("2020-01-01")
    last = ee.Image(col.dataset.isel(time=1, drop=False))
    still = col.map(lambda image: last.select("B4").rename("last"))
    assert still.dataset["last"].dims == ("time", "latitude", "longitude")
    np.testing.assert_array_equal(still.sum().dataset["last"], 2 * last.dataset["B4"])
    assert [still.toList(2).get(n).date() for n in (0, 1)] == [ee.Date("2020-02-01")] * 2
    assert still.aggregate_array("system:index") == ["first", "second"]


def test_a_function_may_give_a_constant_that_was_clipped() -> None:
    """A constant that is clipped in map has the pixels of the images that map is of."""
    made = collection().map(lambda image: ee.Image(5).clip(WEST)).sum()
    np.testing.assert_array_equal(made.unmask(0).dataset["constant"], [[10, 0], [10, 0]])


def test_the_same_image_for_none() -> None:
    """Of a collection without images the function makes none, and why is remembered."""
    none = collection().filterDate("1999-01-01", "2000-01-01")
    for function in (lambda image: ee.Image(1), lambda image: image.select([])):
        made = none.map(function)
        assert made.size() == 0
        with pytest.raises(ValueError, match="1999-01-01"):
            made.mosaic().select(0)
