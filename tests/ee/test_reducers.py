"""Reducers: over images, over bands and over the pixels of regions, against loops over numbers."""

from __future__ import annotations

import math
import pickle
import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from qmosaic import ee
from qmosaic.ee.reducers import RULES, Moments
from tests.support.mosaics import is_deferred
from tests.support.sources import CountingArray, Forbidden

assert odc.geo.xr is not None

Values = list[Any]

LOOPS: dict[str, tuple[str, Callable[[Values], Any], str]] = {
    "sum": ("sum", math.fsum, "float64"),
    "mean": ("mean", statistics.fmean, "float64"),
    "product": ("product", math.prod, "float64"),
    "median": ("median", statistics.median, "float64"),
    "stdDev": ("stdDev", statistics.pstdev, "float64"),
    "variance": ("variance", statistics.pvariance, "float64"),
    "sampleStdDev": ("stdDev", lambda v: statistics.stdev(v) if v[1:] else None, "float64"),
    "sampleVariance": ("variance", lambda v: statistics.variance(v) if v[1:] else None, "float64"),
    "min": ("min", min, "own"),
    "max": ("max", max, "own"),
    "first": ("first", lambda v: v[0], "own"),
    "firstNonNull": ("first", lambda v: v[0], "own"),
    "last": ("last", lambda v: v[-1], "own"),
    "lastNonNull": ("last", lambda v: v[-1], "own"),
    "mode": (
        "mode",
        lambda v: sorted(Counter(v).items(), key=lambda p: (-p[1], p[0]))[0][0],
        "own",
    ),
    "count": ("count", len, "uint8"),
    "countDistinct": ("count", lambda v: len(set(v)), "uint8"),
    "allNonZero": ("all", lambda v: int(all(v)), "uint8"),
    "anyNonZero": ("any", lambda v: int(any(v)), "uint8"),
}
"""What each reducer of one input calls its output, what it computes of a list, and its dtype."""

OF_NOTHING = {"count": 0, "countDistinct": 0}


def collection(images: int = 5, height: int = 6, width: int = 7) -> xr.Dataset:
    """Make images in which pixels are masked, some in all of them, and values tie."""
    rng = np.random.default_rng(16)
    shape = (images, height, width)
    red = rng.integers(0, 5, shape).astype("uint16")
    red[:, 0, 0] = 0
    red[1:, 0, 1] = 0
    ndvi = rng.integers(-3, 4, shape).astype("float32") / 2
    ndvi[rng.random(shape) < 0.3] = np.nan
    ndvi[:, 1, 1] = np.nan
    dims = ("time", "y", "x")
    return xr.Dataset(
        {
            "B4": (dims, red, {"_FillValue": 0}),
            "cloud": (dims, rng.integers(0, 4, shape).astype("uint8")),
            "ndvi": (dims, ndvi),
        },
        {
            "time": np.datetime64("2020-07-01", "ns") + np.arange(images) * np.timedelta64(1, "D"),
            "y": 10.0 * np.arange(height)[::-1] + 5,
            "x": 10.0 * np.arange(width) + 5,
        },
    ).odc.assign_crs("EPSG:32633")


def lists(band: xr.DataArray) -> np.ndarray:
    """Give the values of a band as Python's numbers, None where they are masked."""
    nodata, values = band.attrs.get("_FillValue"), band.values
    found = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        value = values[place].item()
        found[place] = None if value == nodata or value != value else value
    return found


def assert_same(got: Any, wanted: Any, where: Any = "") -> None:
    """Compare numbers: integers exactly, fractions to the last digits."""
    fraction = isinstance(wanted, float) or isinstance(got, float)
    if fraction and None not in (got, wanted):
        assert got == pytest.approx(wanted, rel=1e-12, abs=1e-12), where
    else:
        assert got == wanted, where


def over(function: Callable[[Values], Any], stack: np.ndarray, nothing: Any = None) -> np.ndarray:
    """Reduce lists along the first axis, value by value, without what is None."""
    found = np.empty(stack.shape[1:], object)
    for place in np.ndindex(found.shape):
        values = [v for v in stack[(slice(None), *place)] if v is not None]
        found[place] = function(values) if values else nothing
    return found


@pytest.mark.parametrize("chunks", [None, {"time": 2, "y": 4, "x": 3}])
@pytest.mark.parametrize("name", LOOPS)
def test_images_are_reduced_as_in_a_loop(name: str, chunks: Any) -> None:
    """Each band by itself, over the images in which it is valid; masked where there is none; min,
    max, first, last and mode keep dtype and nodata, fractions are float64."""
    images = collection()
    output, function, dtype = LOOPS[name]
    reducer = getattr(ee.Reducer, name)()
    made = ee.ImageCollection(images if chunks is None else images.chunk(chunks)).reduce(reducer)
    assert made.bandNames() == [f"{band}_{output}" for band in images]
    for band in images:
        got = made.dataset[f"{band}_{output}"]
        assert got.dtype == (images[band].dtype if dtype == "own" else dtype)
        found = lists(got)
        wanted = over(function, lists(images[band]), OF_NOTHING.get(name))
        for place in np.ndindex(wanted.shape):
            assert_same(found[place], wanted[place], (band, place))


@pytest.mark.parametrize("name", LOOPS)
def test_bands_are_reduced_as_in_a_loop(name: str) -> None:
    """At each pixel and, where the image stands for all images, in each: over the bands that are
    valid there; the output names the band."""
    images = collection()
    output, function, dtype = LOOPS[name]
    made = ee.Image(images.chunk(time=1, y=4)).reduce(name)
    assert made.bandNames() == [output]
    got = made.dataset[output]
    assert dtype == "own" or got.dtype == dtype
    stack = np.stack([lists(images[band]) for band in images])
    found = lists(got)
    wanted = over(function, stack, OF_NOTHING.get(name))
    for place in np.ndindex(wanted.shape):
        assert_same(found[place], wanted[place], place)


def test_bands_of_one_dtype_keep_it() -> None:
    """The highest of bands of uint16 is uint16, with the nodata that they have."""
    bands = collection()[["B4"]].isel(time=0).assign(B5=lambda ds: ds["B4"])
    made = ee.Image(bands).reduce(ee.Reducer.max()).dataset["max"]
    assert (made.dtype, made.attrs["_FillValue"]) == ("uint16", 0)


REGION = shapely.Polygon([(2, 3), (61, 8), (52, 57), (14, 49)])


def region() -> Any:
    """Give the region, in the CRS of the collection."""
    return ee.Geometry(shapely.geometry.mapping(REGION), "EPSG:32633")


def pixels(images: xr.Dataset, band: str) -> list[list[Values]]:
    """List, for each image, the values whose centres lie in the region, row by row."""
    ys, xs = images["y"].values, images["x"].values
    inside = [
        (row, column)
        for row, y in enumerate(ys)
        for column, x in enumerate(xs)
        if REGION.contains(shapely.Point(x, y))
    ]
    values = lists(images[band])
    return [[values[(image, *place)] for place in inside] for image in range(len(values))]


@pytest.mark.parametrize("chunks", [None, {"time": 2, "y": 4, "x": 3}, {"time": -1, "y": 1}])
def test_regions_are_reduced_as_in_a_loop(chunks: Any) -> None:
    """The pixels whose centre is inside and that are not masked; the same for all chunks; of a
    single image, and of each image inside map()."""
    images = collection()
    images["B4"][:, 1:5] = 0  # masked in most of the region
    images["ndvi"][0] = np.nan  # and in all of it
    given = images if chunks is None else images.chunk(chunks)
    for name, (_, function, _) in LOOPS.items():
        reducer = getattr(ee.Reducer, name)()
        found = [
            ee.Image(given.isel(time=n)).reduceRegion(reducer, region()).getInfo() for n in range(2)
        ]
        together = ee.Image(given).reduceRegion(reducer, region()).content.compute()
        for band in images:
            for image, values in enumerate(pixels(images, band)):
                valid = [v for v in values if v is not None]
                wanted = function(valid) if valid else OF_NOTHING.get(name)
                assert_same(together[image][band], wanted, (name, band, image))
                if image < 2:
                    assert_same(found[image][band], wanted, (name, band, image))


def test_lists_of_a_region_are_in_the_order_of_its_pixels() -> None:
    """Row by row, whatever the chunks; a histogram counts the same values."""
    images = collection()
    values = [v for v in pixels(images, "B4")[0] if v is not None]
    for chunks in ({"y": -1}, {"y": 2, "x": 2}):
        image = ee.Image(images[["B4"]].isel(time=0).chunk(chunks))
        assert image.reduceRegion(ee.Reducer.toList(), region()).getInfo() == {"B4": values}
        counted = image.reduceRegion(ee.Reducer.frequencyHistogram(), region()).getInfo()
        assert counted == {"B4": {str(v): n for v, n in sorted(Counter(values).items())}}
        fixed = ee.Reducer.fixedHistogram(1, 5, 2)
        wanted = [[1.0, sum(v < 3 for v in values)], [3.0, sum(v >= 3 for v in values)]]
        assert image.reduceRegion(fixed, region()).getInfo() == {"B4": wanted}
        histogram = image.reduceRegion(ee.Reducer.histogram(4), region()).getInfo()["B4"]
        assert (histogram["bucketMin"], histogram["bucketWidth"]) == (1, 1)
        assert histogram["histogram"] == [values.count(n) for n in (1, 2, 3, 4)]
        assert histogram["bucketMeans"] == [1, 2, 3, 4]


def test_several_inputs() -> None:
    """max(2) takes the second band where the first is highest, of equally high ones the last image
    or pixel; where one of the two is masked, neither counts."""
    images = collection()
    two = ee.ImageCollection(images[["cloud", "ndvi"]].chunk(time=1, y=4))
    first, second = (lists(images[band]) for band in ("cloud", "ndvi"))

    def best(pairs: list[tuple[Any, Any]], sign: int) -> Any:
        valid = [p for p in pairs if None not in p]
        return max(enumerate(valid), key=lambda p: (sign * p[1][0], p[0]))[1] if valid else None

    for name, sign in (("max", 1), ("min", -1)):
        made = two.reduce(getattr(ee.Reducer, name)(2))
        assert made.bandNames() == [name, f"{name}1"]
        assert made.dataset[f"{name}1"].dtype == "float32"
        got = [lists(made.dataset[band]) for band in (name, f"{name}1")]
        for place in np.ndindex(got[0].shape):
            at = (slice(None), *place)
            wanted = best(list(zip(first[at], second[at], strict=True)), sign)
            assert (got[0][place], got[1][place]) == (wanted or (None, None)), place
        pairs = list(zip(*(pixels(images, band)[1] for band in ("cloud", "ndvi")), strict=True))
        image = ee.Image(images[["cloud", "ndvi"]].isel(time=1).chunk(y=2))
        found = image.reduceRegion(getattr(ee.Reducer, name)(2), region()).getInfo()
        assert (found[name], found[f"{name}1"]) == best(pairs, sign)


def test_linear_fits() -> None:
    """Slope and offset by least squares, over images where both bands are valid; none where all x
    are the same."""
    images = collection()
    fit = ee.ImageCollection(images[["cloud", "ndvi"]]).reduce(ee.Reducer.linearFit())
    assert fit.bandNames() == ["scale", "offset"]
    x, y = (lists(images[band]) for band in ("cloud", "ndvi"))
    scale, offset = (lists(fit.dataset[name]) for name in ("scale", "offset"))
    for place in np.ndindex(scale.shape):
        at = (slice(None), *place)
        pairs = [p for p in zip(x[at], y[at], strict=True) if p[1] is not None]
        if len({a for a, _ in pairs}) < 2:
            assert (scale[place], offset[place]) == (None, None)
            continue
        line = statistics.linear_regression(*zip(*pairs, strict=True))
        assert_same(scale[place], float(line.slope))
        assert_same(offset[place], float(line.intercept))


def test_names_of_outputs() -> None:
    """As Earth Engine's pages say: with the band where it is reduced by itself; in a region, of the
    band alone where there is one output."""
    images = collection()[["B4", "ndvi"]]
    col, image = ee.ImageCollection(images), ee.Image(images.isel(time=0))
    reducer = ee.Reducer
    shared = reducer.mean().combine(reducer.percentile([5, 50]), "of_", True)
    assert col.reduce(shared).bandNames()[:3] == ["B4_mean", "B4_of_p5", "B4_of_p50"]
    assert col.reduce(reducer.percentile([50])).bandNames() == ["B4_p50", "ndvi_p50"]
    named = reducer.percentile([5, 95], ["low", "high"])
    assert col.select("B4").reduce(named).bandNames() == ["B4_low", "B4_high"]
    assert image.reduce(reducer.minMax()).bandNames() == ["min", "max"]

    def keys(given: Any) -> list[str]:
        return list(image.reduceRegion(given).getInfo())

    assert keys(reducer.percentile([50])) == ["B4", "ndvi"]
    assert keys(reducer.minMax()) == ["B4_max", "B4_min", "ndvi_max", "ndvi_min"]
    assert keys(reducer.mean().combine(reducer.max())) == ["max", "mean"]
    assert keys(reducer.mean().forEach(["a", "b"])) == ["a", "b"]
    assert keys(reducer.minMax().forEachBand(image))[:2] == ["B4_max", "B4_min"]
    assert keys(reducer.minMax().setOutputs(["low", None])) == ["B4", "ndvi"]
    assert keys(reducer.mean().unweighted()) == ["B4", "ndvi"]


def test_groups_and_repeated_reducers() -> None:
    """A dictionary for each value of the band that tells the group; a list for repeated ones."""
    images = collection()[["B4", "cloud"]].isel(time=slice(0, 2))
    groups: dict[Any, Values] = {}
    for value, group in zip(*(pixels(images, b)[0] for b in ("B4", "cloud")), strict=True):
        groups.setdefault(group, []).extend([value] * (value is not None))
    image = ee.Image(images.isel(time=0).chunk(y=2))
    summed = ee.Reducer.sum().combine(ee.Reducer.count(), sharedInputs=True)
    found = image.reduceRegion(summed.group(1, "class"), region()).getInfo()
    assert found == {
        "groups": [
            {"class": g, "sum": float(sum(v)) if v else None, "count": len(v)}
            for g, v in sorted(groups.items())
        ]
    }
    twice = image.reduceRegion(ee.Reducer.max().repeat(2), region()).getInfo()
    wanted = [max(v for v in pixels(images, b)[0] if v is not None) for b in ("B4", "cloud")]
    assert twice == {"max": wanted}


def test_numbers_of_images_are_bands_too() -> None:
    """A band that is the same everywhere, or one number an image, counts as often as there are
    pixels."""
    images = collection().assign_coords(n=("time", [1, 2, 3, 4, 5]))
    image = ee.Image(images[["cloud"]].chunk(y=4)).addBands(ee.Image(7))
    stats = image.addBands(image.metadata("n")).reduceRegion("sum", region())
    count = len(pixels(images, "cloud")[0])
    found = stats.content.compute()
    assert [one["constant"] for one in found] == [7.0 * count] * 5
    assert [one["n"] for one in found] == [float(n * count) for n in range(1, 6)]


def test_points_lines_and_regions_elsewhere() -> None:
    """A point is the pixel that it lies in; outside the image nothing counts, and that is no
    error."""
    images = collection()
    image = ee.Image(images.isel(time=0))
    point = ee.Geometry.Point([33, 41], "EPSG:32633")
    found = image.reduceRegion(ee.Reducer.first(), point).getInfo()
    assert found["cloud"] == images["cloud"].isel(time=0).sel(x=35, y=45).item()
    line = ee.Geometry({"type": "LineString", "coordinates": [[3, 41], [33, 41]]}, "EPSG:32633")
    assert image.reduceRegion("countEvery", line).getInfo() == {"B4": 4, "cloud": 4, "ndvi": 4}
    away = ee.Geometry.Point([999, 999], "EPSG:32633")
    both = ee.Reducer.mean().combine(ee.Reducer.count(), sharedInputs=True)
    for scale in (None, 30):
        nothing = image.select("B4").reduceRegion(both, away, scale).getInfo()
        assert nothing == {"B4_mean": None, "B4_count": 0}


def test_another_scale_takes_the_nearest_pixels() -> None:
    """The scale of the image changes nothing; another one counts other pixels, whose centres lie on
    the image: 3 rows of 20 m, and 3 columns, as the centre of a fourth lies on its edge."""
    image = ee.Image(collection()[["cloud"]].isel(time=0))
    counted = [
        image.reduceRegion(ee.Reducer.count(), None, scale).getInfo()["cloud"]
        for scale in (None, 10, 20)
    ]
    assert counted[:2] == [42, 42]
    assert counted[2] == 9


ON_MAPS = {
    "metres": ("EPSG:32633", ("y", "x"), 10.0, (500_000.0, 5_000_000.0), 10),
    "degrees": ("EPSG:4326", ("latitude", "longitude"), 0.25, (14.5, 46.0), 0.25 * 111_319.4908),
}
"""CRS, dimensions, size of a pixel, the upper left corner, and the size of a pixel in metres."""


@pytest.mark.parametrize("on_map", ON_MAPS)
def test_points_and_lines_on_the_grid_that_is_asked_for(on_map: str) -> None:
    """Reduced at a point, an image gives the pixel that holds it, in the grid that is asked for, in
    `reduceRegion`, `reduceRegions`, `sample` and `sampleRegions`, the outermost edges included; of
    a line, those that it touches; and a point outside gives None."""
    crs, (down, across), size, (left, top), scale = ON_MAPS[on_map]
    values = np.arange(1, 43, dtype="uint16").reshape(6, 7)
    places = {down: top - size * (np.arange(6) + 0.5), across: left + size * (np.arange(7) + 0.5)}
    plain = xr.Dataset({"a": ((down, across), da.from_array(values, chunks=4))}, places)
    image = ee.Image(plain.odc.assign_crs(crs))

    def point(row: float, column: float) -> ee.Geometry:
        return ee.Geometry.Point([left + size * column, top - size * row], crs)

    def each(at: ee.Geometry, scale: float | None) -> list[Any]:
        column = image.reduceRegions([ee.Feature(at)], "first", scale).aggregate_array("first")
        return [
            image.reduceRegion("first", at, scale).get("a").getInfo(),
            image.reduceRegion("mean", at, scale).get("a").getInfo(),
            next(iter(column.getInfo()), None),
            next(iter(image.sample(at, scale).aggregate_array("a").getInfo()), None),
            next(iter(image.sampleRegions([at], None, scale).aggregate_array("a").getInfo()), None),
        ]

    for row, column in [(2.7, 3.2), (5.4, 6.9), (0, 0), (3, 2), (2.5, 0)]:
        wanted = values[int(row), int(column)]
        for asked in (None, scale, scale / 2):
            assert each(point(row, column), asked) == [wanted] * 5, (row, column, asked)
    for asked in (None, scale, scale / 2):
        assert each(point(-0.5, 3), asked) == each(point(3, 9), asked) == [None] * 5
    ends = [[left + size * c, top - size * 2.5] for c in (1.5, 3.5)]
    line = ee.Geometry.LineString(ends, crs)
    assert image.reduceRegion("toList", line, scale).getInfo() == {"a": values[2, 1:4].tolist()}
    # an area that is smaller than a pixel, around the centre of one
    west, north = left + size * 4.4, top - size * 1.4
    small = ee.Geometry.Rectangle([west, north - size * 0.2, west + size * 0.2, north], crs, False)
    assert image.reduceRegion("mean", small, scale).getInfo() == {"a": values[1, 4]}
    features = ee.FeatureCollection([ee.Feature(point(2.7, 3.2)), ee.Feature(point(0.5, 0.5))])
    read = features.map(
        lambda one: one.set("v", image.reduceRegion("first", one.geometry(), scale).get("a"))
    )
    assert read.aggregate_array("v").getInfo() == [values[2, 3], values[0, 0]]
    of_projection = image.reduceRegion("first", point(2.7, 3.2), crs=image.projection())
    assert of_projection.getInfo() == {"a": values[2, 3]}


def test_what_lies_everywhere_gets_the_grid_of_its_scale() -> None:
    """A constant, the area of pixels and where they lie are reduced on the grid of scale and CRS,
    that of longitudes and latitudes by default; without a scale an error says what to give."""
    box = ee.Geometry.Rectangle([500_000, 4_999_940, 500_070, 5_000_000], "EPSG:32633", False)
    metres = {"scale": 10, "crs": "EPSG:32633"}
    assert ee.Image(5).reduceRegion("sum", box, **metres).getInfo() == {"constant": 5 * 42}
    assert ee.Image([5, 2.5]).reduceRegion("first", box, 1).getInfo() == {
        "constant": 5,
        "constant_1": 2.5,
    }
    assert ee.Image(5).updateMask(0).reduceRegion("count", box, 1).getInfo() == {"constant": 0}
    area = ee.Image.pixelArea()
    wanted = box.area().getInfo()
    for grid, error in [(metres, 1e-6), ({"scale": 0.5}, 0.02)]:
        found = area.divide(100).reduceRegion("sum", box, **grid).get("area").getInfo()
        assert found == pytest.approx(wanted / 100, rel=error)
    half = ee.Geometry.Rectangle([500_000, 4_999_940, 500_030, 5_000_000], "EPSG:32633", False)
    inside = ee.Image(1).clip(half).reduceRegion("sum", box, **metres)
    assert inside.getInfo() == {"constant": 18}
    at = ee.Geometry.Point([15.00012, 45.1])
    for place in (
        ee.Image.pixelLonLat().reduceRegion(ee.Reducer.first(), at, 10).getInfo(),
        ee.Image.pixelLonLat().sample(at, 10).first().toDictionary().getInfo(),
    ):
        assert place["longitude"] == pytest.approx(15.00012, abs=5e-5)
        assert place["latitude"] == pytest.approx(45.1, abs=5e-5)
    for image in (ee.Image(5), area):
        with pytest.raises(ValueError, match=r"no pixels of its own.*Give a region and a scale"):
            image.reduceRegion("sum", box)
    with pytest.raises(ValueError, match="maxPixels"):
        area.reduceRegion("sum", ee.Geometry.Rectangle([0, 0, 10, 10]), 10)


def test_nothing_is_read_before_it_is_needed() -> None:
    """Reductions of images, bands and regions are lazy, inside map() too."""
    source = da.from_array(Forbidden((3, 6, 7), "uint8"), chunks=(1, 3, 4))
    images = collection(3)[["cloud"]].assign(cloud=(("time", "y", "x"), source))
    col = ee.ImageCollection(images)
    several = ee.Reducer.median().combine(ee.Reducer.stdDev(), sharedInputs=True)

    def with_mean(image: Any) -> Any:
        mean = image.reduceRegion(several, region()).getNumber("cloud_median")
        return image.set("mean", mean).addBands(image.reduce(several))

    made = col.map(with_mean)
    assert made.first().bandNames() == ["cloud", "median", "stdDev"]
    assert col.reduce(several).bandNames() == ["cloud_median", "cloud_stdDev"]
    for name in ("first", "last", "min", "max", "anyNonZero"):  # the engine's fast way
        assert is_deferred(col.reduce(name).dataset), name
    by_bands = col.map(lambda img: img.addBands(img.reduce("stdDev")))
    assert is_deferred(by_bands.qualityMosaic("stdDev").dataset)
    pickle.loads(pickle.dumps(made.dataset["median"].data))  # tasks travel to workers
    made.aggregate_mean("mean")
    with pytest.raises(AssertionError, match="was read"):
        made.aggregate_mean("mean").getInfo()


def test_what_is_read_for_a_region() -> None:
    """The chunks that the region reaches, each of them once for all outputs."""
    values = collection(3)["cloud"].values
    source = CountingArray(values)
    images = collection(3).drop_vars(["B4", "cloud", "ndvi"])
    array = da.from_array(source, chunks=(1, 2, 2), asarray=False)
    source.calls.clear()  # dask looks at what kind of array it is
    col = images.assign(cloud=(("time", "y", "x"), array))
    several = ee.Reducer.median().combine(ee.Reducer.minMax(), sharedInputs=True)
    west = ee.Geometry.Rectangle([12, 22, 38, 38], "EPSG:32633")
    found = ee.Image(col.isel(time=1)).reduceRegion(several, west).getInfo()
    assert found["cloud_max"] == values[1, 2:4, 1:4].max()
    assert len(source.calls) == 2


def test_values_of_each_image_inside_map() -> None:
    """reduceRegion inside map() is one dictionary for each image: its values are properties."""
    images = collection().chunk(time=2)

    def with_mean(image: Any) -> Any:
        stats = image.reduceRegion(ee.Reducer.mean(), region())
        return image.set("mean", stats.get("cloud"), "twice", stats.getNumber("cloud").multiply(2))

    made = ee.ImageCollection(images).map(with_mean)
    means = [statistics.fmean(values) for values in pixels(images, "cloud")]
    assert made.aggregate_array("mean") == pytest.approx(means)
    assert made.aggregate_array("twice") == pytest.approx([2 * m for m in means])


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.integers(-1000, 1000), min_size=1, max_size=9),
    percent=st.sampled_from([0, 2.5, 10, 33, 50, 75, 99, 100]),
)
def test_percentiles_are_interpolated_linearly(values: Values, percent: float) -> None:
    """Of n sorted values that at percent / 100 · (n − 1); that of 50 is the median."""
    got = ee.Reducer.percentile([percent]).reduce_list(values)
    place = percent / 100 * (len(values) - 1)
    ordered = sorted(values)
    low, part = ordered[math.floor(place)], place - math.floor(place)
    assert got == pytest.approx(low + part * (ordered[math.ceil(place)] - low), abs=1e-9)
    if percent == 50:
        assert got == ee.Reducer.median().reduce_list(values) == statistics.median(values)


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 255), max_size=4), min_size=1, max_size=4))
def test_values_may_come_in_parts(parts: list[Values]) -> None:
    """What is kept of the parts of a region gives what all its values give at once."""
    values = [value for part in parts for value in part]
    starts = np.cumsum([0, *map(len, parts)])
    for rule in RULES.values():
        if rule.name in ("scale", "offset"):
            continue
        kept = [
            rule.part(
                [np.array(part, "uint8")],
                np.arange(len(part)) + start if rule.ordered else None,
            )
            for part, start in zip(parts, starts[:-1], strict=True)
        ]
        # the order in which parts come does not matter where they say where they lie
        got = rule.whole(kept[::-1] if rule.ordered else kept)
        assert_same(got, rule.of_list([np.array(values, "uint8")]), rule.name)
    assert Moments(0) | Moments(1, 3.0, 0.0) == Moments(1, 3.0, 0.0)


def test_infinite_values_are_values() -> None:
    """Rule 2: only what is missing is masked; −inf is the lowest, and its own median."""
    band = xr.DataArray(np.array([[-np.inf], [-np.inf], [np.nan]], "float32"), dims=("time", "x"))
    col = ee.ImageCollection(xr.Dataset({"a": band}))
    for reducer in (ee.Reducer.median(), ee.Reducer.max(), ee.Reducer.percentile([10])):
        made = col.reduce(reducer).dataset
        assert [v.values.tolist() for v in made.values()] == [[-np.inf]]


def test_lists_in_memory() -> None:
    """None does not count; texts are listed and counted, and go with a maximum of numbers."""
    reducer = ee.Reducer
    assert reducer.mean().reduce_list([1, None, 3]) == 2
    assert (reducer.mean().reduce_list([]), reducer.count().reduce_list([])) == (None, 0)
    assert reducer.countEvery().reduce_list([1, None]) == 2
    assert reducer.toList().reduce_list(["b", "a"]) == ["b", "a"]
    assert reducer.frequencyHistogram().reduce_list(["b", "a", "b"]) == {"a": 1, "b": 2}
    assert reducer.max(2).reduce_columns([[1, 9, 5], ["x", "y", "z"]]) == {"max": 9, "max1": "y"}
    assert reducer.max(2).reduce_list([[1, "x"], [9, "y"]]) == {"max": 9, "max1": "y"}
    assert ee.List([4, None, 2]).reduce(reducer.mean()) == 3
    assert ee.List([1, 2]).reduce(reducer.minMax()).get("max") == 2
    with pytest.raises(TypeError, match=r"got a str.*reduce\(ee\.Reducer\.mean"):
        ee.List([1]).reduce("mean")
    with pytest.raises(TypeError, match=r"no numbers, such as \['b'\].*frequencyHistogram"):
        reducer.mean().reduce_list(["b"])
    assert reducer.toList(2, 1).reduce_columns([[1, None], [None, 4]]) == {"list": [[1, None]]}
    assert reducer.toList(2).reduce_columns([[1, None], [3, 4]]) == {"list": [[1, 3]]}


def test_properties_are_aggregated() -> None:
    """Numbers of a property of all images; those that lack it do not count."""
    images = collection().assign_coords(n=("time", [4.0, 1.0, np.nan, 1.0, 2.0]))
    col = ee.ImageCollection(images)
    assert (col.aggregate_sum("n"), col.aggregate_mean("n"), col.aggregate_product("n")) == (
        8,
        2,
        8,
    )
    assert (col.aggregate_min("n"), col.aggregate_max("n"), col.aggregate_first("n")) == (1, 4, 4)
    assert (col.aggregate_count("n"), col.aggregate_count_distinct("n")) == (4, 3)
    assert col.aggregate_histogram("n") == {"1": 2, "2": 1, "4": 1}
    assert col.aggregate_total_var("n") == 1.5
    assert col.aggregate_sample_sd("n").getInfo() == pytest.approx(statistics.stdev([4, 1, 1, 2]))
    stats = col.aggregate_stats("n")
    assert (stats.get("mean"), stats.get("total_count"), stats.get("valid_count")) == (2, 5, 4)
    two = col.reduceColumns(ee.Reducer.max(2), ["n", "system:index"])
    assert two == {"max": 4, "max1": "0"}


def test_bands_of_all_images() -> None:
    """toBands names them by the ids of the images, else by their numbers."""
    images = collection(2)[["B4"]].assign_coords(id=("time", ["S2A", "S2B"]))
    made = ee.ImageCollection(images).toBands()
    assert made.bandNames() == ["S2A_B4", "S2B_B4"]
    np.testing.assert_array_equal(made.dataset["S2B_B4"], images["B4"][1])
    assert ee.ImageCollection(images.drop_vars("id")).toBands().bandNames() == ["0_B4", "1_B4"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, i: c.reduce(ee.Reducer.max(2)), r"2 inputs for 3 bands.*Select as many"),
        (lambda c, i: c.reduce(ee.Reducer.toList()), r"'list'.*no pixel can hold.*Use one"),
        (lambda c, i: i.reduce(ee.Reducer.linearFit()), r"2 inputs.*values of one.*sharedInputs"),
        (lambda c, i: i.reduceRegion("mean", maxPixels=9), r"42 pixels.*maxPixels=9.*bestEffort"),
        (lambda c, i: ee.Image(1).reduceRegion("mean"), r"no pixels.*Give a region and a scale"),
        (
            lambda c, i: ee.Image(1).clip(region()).reduceRegion("mean"),
            r"no pixels.*Give a region and a scale",
        ),
        (lambda c, i: ee.Reducer.percentile([101]), r"101.*0, the lowest.*percentile\(\[25"),
        (lambda c, i: ee.Reducer.percentile([1], ["a", "b"]), r"2 names for 1.*Give one name"),
        (lambda c, i: ee.Reducer.max(0), r"numInputs=0.*compared.*max\(2\)"),
        (
            lambda c, i: ee.Reducer.max().combine(ee.Reducer.max(), sharedInputs=True),
            r"'max'.*found by their names.*prefix",
        ),
        (
            lambda c, i: ee.Reducer.max(2).combine(ee.Reducer.max(), sharedInputs=True),
            r"2 and 1 inputs.*cannot share.*Leave sharedInputs out",
        ),
        (lambda c, i: ee.Reducer.sum().group(5), r"groupField=5.*2 inputs.*0 to 1"),
        (lambda c, i: ee.Reducer.fixedHistogram(2, 1, 1), r"2 to 1.*no buckets.*min below max"),
        (lambda c, i: ee.Reducer.mean().reduce_columns([[1], [2]]), r"2 lists.*as many"),
    ],
)
def test_what_cannot_work_says_why(call: Any, message: str) -> None:
    """What came, why it cannot work, what to write; before a pixel is read."""
    source = da.from_array(Forbidden((3, 6, 7), "uint8"), chunks=(1, 3, 4))
    bands = {name: (("time", "y", "x"), source) for name in ("a", "b", "c")}
    images = collection(3).drop_vars(["B4", "cloud", "ndvi"]).assign(bands)
    with pytest.raises(ValueError, match=message):
        call(ee.ImageCollection(images), ee.Image(images.isel(time=0)))


def test_bestEffort_takes_all_pixels() -> None:
    """A region of more pixels than maxPixels is reduced exactly."""
    image = ee.Image(collection()[["cloud"]].isel(time=0))
    assert image.reduceRegion("count", maxPixels=9, bestEffort=True).getInfo() == {"cloud": 42}
