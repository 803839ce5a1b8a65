"""Values replaced by a table, lines between points, areas and places of pixels, more functions."""

from __future__ import annotations

import bisect
import itertools
import math
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr  # noqa: F401
import pyproj
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic import ee
from qmosaic.ee.names import bands
from tests.support.sources import Forbidden

VALUES = [-4, 0, 1, 2, 3, None, 10, 11, 12, 100]
"""Pixels of a band; None is masked."""


def band(dtype: str, chunks: int | None = None) -> ee.Image:
    if dtype.startswith("float"):
        made = xr.DataArray(np.array([np.nan if v is None else v for v in VALUES], dtype), dims="x")
    else:
        filled = np.array([-99 if v is None else v for v in VALUES], dtype)
        made = xr.DataArray(filled, dims="x", attrs={"_FillValue": np.dtype(dtype).type(-99)})
    other = xr.DataArray(np.zeros(len(VALUES), "uint8"), dims="x")
    dataset = xr.Dataset({"other": other, "a": made})
    return ee.Image(dataset if chunks is None else dataset.chunk(x=chunks))


def pixels(made: ee.Image, name: str) -> list[Any]:
    """Give the pixels of a band as numbers of Python, None where they are masked."""
    found = made.dataset[name]
    nodata = found.attrs.get("_FillValue")
    return [
        None if v != v or (nodata is not None and v == nodata) else v.item() for v in found.values
    ]


# -- remap ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32", "float64"])
@pytest.mark.parametrize("default", [None, 0, 255, -1.5])
@pytest.mark.parametrize("chunks", [None, 4])
def test_remap_looks_values_up(dtype: str, default: Any, chunks: int | None) -> None:
    """A value that is listed gets the one beside it; others the default, else they are masked; what
    was masked stays masked. The band is called "remapped", whatever it was."""
    keys, values = [10, 2, 0, 77, 100], [1, 300, 7, 8, 0]
    made = band(dtype, chunks).remap(keys, values, default, "a")
    table = dict(zip(keys, values, strict=True))
    expected = [None if one is None else table.get(one, default) for one in VALUES]
    assert made.bandNames() == ["remapped"]
    assert pixels(made, "remapped") == expected
    assert made.dataset["remapped"].dtype == ("float64" if default == -1.5 else "uint16")


def test_remap_has_the_smallest_dtype() -> None:
    """The new values decide the dtype, and where nothing can be masked no nodata is declared."""
    cover = ee.Image(xr.DataArray(np.uint16([10, 20, 30]), dims="x", name="Map"))
    assert cover.remap([10], [255], 0).dataset["remapped"].dtype == "uint8"
    assert "_FillValue" not in cover.remap([10], [255], 0).dataset["remapped"].attrs
    masked = cover.remap([10], [255]).dataset["remapped"]
    assert masked.dtype == "uint16"
    assert masked.attrs["_FillValue"] not in (10, 255)
    assert cover.remap([10], [-1]).dataset["remapped"].dtype == "int8"


def test_remap_takes_what_scripts_give() -> None:
    """`from` is a word of Python, so scripts write it in a mapping; lists and numbers may be Earth
    Engine's; the first band is the default; of a value that is listed twice the last counts."""
    given = band("int8").select("a")
    listed = ee.List([ee.Number(2), 3])
    made = given.remap(**{"from": listed, "to": ee.List([5, 6]), "defaultValue": ee.Number(9)})
    assert pixels(made, "remapped") == [9, 9, 9, 5, 6, None, 9, 9, 9, 9]
    assert pixels(given.remap([2, 2], [5, 6], 0), "remapped")[3] == 6
    assert pixels(band("int8").remap([0], [4]), "remapped") == [4] * 10


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (([1, 2], [1]), ValueError, "got 2 values and 1 to replace them by"),
        (([], []), ValueError, "at least one"),
        ((1, 2), TypeError, "takes a list of numbers"),
        ((["a"], [1]), TypeError, "'a' in from, which is no number"),
        (([1], [2], "x"), TypeError, "'x' in defaultValue"),
        (([1], [2], 0, "c"), KeyError, "c"),
    ],
)
def test_remap_refuses(arguments: Any, error: type[Exception], said: str) -> None:
    """Lists that are no table are refused before anything is computed."""
    with pytest.raises(error, match=said):
        band("int8").remap(*arguments)


# -- interpolate ----------------------------------------------------------------------------------

XS, YS = [0, 2, 10, 12], [5, 1, 3, 30]


def on_lines(value: float, behavior: str) -> float | None:
    """Put one value into the function of lines."""
    if value < XS[0] or value > XS[-1]:
        if behavior == "mask":
            return None
        if behavior == "input":
            return value
        if behavior == "clamp":
            return YS[0] if value < XS[0] else YS[-1]
    right = min(max(bisect.bisect_left(XS, value), 1), len(XS) - 1)
    (x0, y0), (x1, y1) = (XS[right - 1], YS[right - 1]), (XS[right], YS[right])
    return y0 + (value - x0) * (y1 - y0) / (x1 - x0)


@pytest.mark.parametrize("behavior", ["extrapolate", "clamp", "mask", "input"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("chunks", [None, 4])
def test_interpolate_lies_on_lines(behavior: str, dtype: str, chunks: int | None) -> None:
    """Between the points the function is linear; what becomes of values beyond them says
    `behavior`; the band keeps its name, and masked pixels stay masked."""
    given = band(dtype, chunks).select("a")
    made = given.interpolate(XS, YS, behavior)
    expected = [None if one is None else on_lines(one, behavior) for one in VALUES]
    found = pixels(made, "a")
    assert [one is None for one in found] == [one is None for one in expected]
    assert [f for f in found if f is not None] == pytest.approx(
        [e for e in expected if e is not None]
    )
    assert made.dataset["a"].dtype == ("float32" if dtype == "float32" else "float64")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0, 1], [1]), "no points of a function"),
        (([0], [1]), "two or more"),
        (([0, 0], [1, 2]), "each x above the one before"),
        (([0, 1], [1, 2], "linear"), "'extrapolate', 'clamp', 'mask', 'input'"),
    ],
)
def test_interpolate_refuses(arguments: Any, said: str) -> None:
    """Points that are no function are refused before anything is computed."""
    with pytest.raises(ValueError, match=said):
        band("int8").interpolate(*arguments)


# -- the ground -----------------------------------------------------------------------------------

GRIDS = {
    "UTM, 10 m": ("EPSG:32633", 400_005, 5_300_005, 10.0),
    "UTM, far off its meridian": ("EPSG:32633", -200_000, 1_300_000, 1000.0),
    "Web Mercator": ("EPSG:3857", 1e6, 8e6, 100.0),
    "around the pole": ("EPSG:3413", -2500, 2500, 1000.0),
    "degrees": ("EPSG:4326", 14.05, 59.95, 0.1),
}


def grid(name: str, *, images: int = 2, size: int = 6, data: Any = None) -> xr.Dataset:
    crs, left, top, step = GRIDS[name]
    down, across = ("latitude", "longitude") if crs == "EPSG:4326" else ("y", "x")
    shape = (images, size, size)
    lazy = da.ones(shape, chunks=(1, 4, 4), dtype="uint8") if data is None else data(shape)
    days = np.array(["2020-01-01", "2020-01-02"], "M8[ns]")[:images]
    places = {down: top - np.arange(size) * step, across: left + np.arange(size) * step}
    dataset = xr.Dataset({"a": (("time", down, across), lazy)}, {"time": days, **places})
    return dataset.odc.assign_crs(crs)


@pytest.mark.parametrize("name", GRIDS)
def test_areas_and_places_are_those_of_the_ellipsoid(name: str) -> None:
    """The area of a pixel is that of the figure between its corners on the ellipsoid, whatever the
    projection does to it; its longitude and latitude are those of its centre."""
    crs, _, _, step = GRIDS[name]
    dataset = grid(name)

    def placed(image: ee.Image) -> ee.Image:
        return image.addBands(ee.Image.pixelArea()).addBands(ee.Image.pixelLonLat())

    made = ee.ImageCollection(dataset).map(placed).first().dataset.compute()
    found = bands(made)  # a band may be called as a dimension is
    geod = pyproj.Geod(ellps="WGS84")
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    down, across = made["a"].dims
    for row, column in itertools.product((0, 2, 5), (0, 3, 4)):
        x, y, half = float(made[across][column]), float(made[down][row]), step / 2
        corners = ((-half, -half), (half, -half), (half, half), (-half, half))
        outline = [to_degrees.transform(x + dx, y + dy) for dx, dy in corners]
        area = abs(geod.polygon_area_perimeter(*zip(*outline, strict=True))[0])
        # a parallel is no geodesic: in degrees the figure of geodesics differs a little
        close = 2e-6 if name == "degrees" else 1e-7
        assert found["area"].values[row, column] == pytest.approx(area, rel=close)
        place = [found[one].values[row, column] for one in ("longitude", "latitude")]
        assert place == pytest.approx(to_degrees.transform(x, y), abs=1e-9)


def test_the_pixels_of_the_earth_add_up_to_it() -> None:
    """Pixels in degrees have the exact area between parallels and meridians: together that of the
    WGS84 ellipsoid, 510 065 621.7 km²."""
    latitude, longitude = np.arange(-85, 90, 10.0), np.arange(-175, 180, 10.0)
    ones = np.ones((len(latitude), len(longitude)))
    globe = xr.Dataset(
        {"a": (("latitude", "longitude"), ones)}, {"latitude": latitude, "longitude": longitude}
    )
    made = ee.Image(globe).multiply(ee.Image.pixelArea().divide(1e6)).dataset["a"]
    assert made.sum().item() == pytest.approx(510_065_621.724, rel=1e-11)


def test_the_ground_reads_no_band() -> None:
    """Areas and places are lazy, in the chunks of the image, and no band is read for them."""

    def forbidden(shape: Any) -> Any:
        return da.from_array(Forbidden(shape, "uint8"), chunks=(1, 4, 4))

    given = ee.ImageCollection(grid("UTM, 10 m", data=forbidden)).first()
    made = given.addBands(ee.Image.pixelArea()).addBands(ee.Image.pixelLonLat())
    assert made.dataset["area"].chunks == ((4, 2), (4, 2))
    computed = made.select(["area", "longitude"]).dataset.compute()
    assert computed["area"].values.min() > 99
    assert 13 < computed["longitude"].values.mean() < 15


def test_a_clipped_constant_reads_no_band() -> None:
    """Where a constant lies that was clipped is told by the grid alone; no band is read for it."""

    def forbidden(shape: Any) -> Any:
        return da.from_array(Forbidden(shape, "uint8"), chunks=(1, 4, 4))

    given = ee.ImageCollection(grid("UTM, 10 m", data=forbidden)).first()
    dataset = given.dataset
    x, y = dataset["x"].values, dataset["y"].values
    outline = [
        [x[0] - 5, y[2] - 5],
        [x[2] + 1, y[2] - 5],
        [x[2] + 1, y[0] + 5],
        [x[0] - 5, y[0] + 5],
    ]
    region = ee.Geometry.Polygon([outline], "EPSG:32633")
    inside = ee.Image(1).clip(region).mask().addBands(given).select([0])
    expected = np.zeros((6, 6), int)
    expected[:3, :3] = 1
    assert inside.dataset["constant"].values.tolist() == expected.tolist()


def test_areas_weigh_a_quality() -> None:
    """An area in the quality of a mosaic leaves it on the fast way: a task a block."""

    def weighed(image: ee.Image) -> ee.Image:
        return image.addBands(image.multiply(ee.Image.pixelArea()).rename("q"))

    mosaic = ee.ImageCollection(grid("UTM, 10 m")).map(weighed).qualityMosaic("q")
    explanation = qm.explain(mosaic.dataset)
    assert explanation.deferred
    assert explanation.tasks <= explanation.blocks + 3
    assert mosaic.dataset["q"].values == pytest.approx(100, rel=0.01)


def test_several_images_share_the_grid_of_those_that_have_one() -> None:
    """In `cat`, in lists and in `addBands` of a list, areas, places and clipped constants get the
    pixels of the first image that has some, wherever they stand, inside map() too."""
    places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
    dims = ("time", "latitude", "longitude")
    a = xr.DataArray(np.arange(8, dtype="uint8").reshape(2, 2, 2), dims=dims)
    days = np.array(["2020-07-01", "2020-07-02"], "datetime64[ns]")
    col = ee.ImageCollection(xr.Dataset({"a": a}, {"time": days, **places}))
    image = col.first()
    area, place = ee.Image.pixelArea(), ee.Image.pixelLonLat()
    west = ee.Image(1).clip(ee.Geometry.BBox(-103.25, 40, -103.15, 41))
    names = ["area", "constant", "a", "longitude", "latitude"]
    made = ee.Image.cat(area, 7, image, place)
    assert made.bandNames() == names
    assert ee.Image([area, 7, image, place]).dataset.equals(made.dataset)
    added = image.addBands([west, place, area])
    assert added.bandNames() == ["a", "constant", "longitude", "latitude", "area"]
    assert ee.Image(3).addBands([area, image]).bandNames() == ["constant", "area", "a"]
    for one in (made, added):
        apart = image.addBands(place).addBands(area).dataset
        for name in ("a", "longitude", "latitude", "area"):
            xr.testing.assert_equal(one.dataset[name].variable, apart[name].variable)
    assert ee.Image.rgb(image, area, place).bandNames() == ["vis-red", "vis-green", "vis-blue"]
    mapped = col.map(lambda one: ee.Image.cat(one, west, area)).toBands()
    assert mapped.select(".*area").dataset.sizes["latitude"] == 2
    with pytest.raises(ValueError, match=r"neither has pixels.*Combine one with an image first"):
        ee.Image.cat(1, area)


def test_the_ground_without_a_grid() -> None:
    """Before they are combined with an image they have names and no pixels; without a CRS or even
    spacing the error says what to write."""
    assert ee.Image.pixelLonLat().bandNames() == ["longitude", "latitude"]
    bare = xr.Dataset({"a": (("y", "x"), np.ones((2, 2)))}, {"y": [1.0, 2.0], "x": [1.0, 2.0]})
    with pytest.raises(ValueError, match="declares the CRS"):
        ee.Image(bare).multiply(ee.Image.pixelArea())
    uneven = grid("UTM, 10 m").isel(x=[0, 1, 3])
    with pytest.raises(ValueError, match="evenly spaced"):
        ee.ImageCollection(uneven).first().multiply(ee.Image.pixelArea())


# -- other functions of pixels --------------------------------------------------------------------


def test_signs_and_bits() -> None:
    """Signs, turned and counted bits are those of Python's integers, in the smallest dtype that
    holds them, and masked where the band is."""
    given = band("int8").select("a")
    known = [one for one in VALUES if one is not None]
    for method, function in {
        "signum": lambda v: (v > 0) - (v < 0),
        "bitwiseNot": lambda v: ~v,
        "bitCount": lambda v: (v & (2**64 - 1)).bit_count(),
    }.items():
        found = pixels(getattr(given, method)(), "a")
        assert found[5] is None
        assert [one for one in found if one is not None] == [function(one) for one in known]
    unsigned = ee.Image(xr.DataArray(np.uint8([0, 255]), dims="x", name="a"))
    assert unsigned.bitwiseNot().dataset["a"].values.tolist() == [-1, -256]
    assert unsigned.bitwiseNot().dataset["a"].dtype == "int16"
    assert unsigned.signum().dataset["a"].dtype == "uint8"
    assert ee.Image(-7.5).signum().dataset["constant"].item() == -1
    with pytest.raises(TypeError, match="no bits"):
        ee.Image(7.5).bitCount()


def test_first_values() -> None:
    """`first` is the first of two values, `firstNonZero` the second where the first is 0; both are
    masked where one of them is."""
    a = ee.Image(xr.DataArray(np.array([0, 3, -3, np.nan]), dims="x", name="a"))
    b = ee.Image(xr.DataArray(np.array([7, 8, np.nan, 9]), dims="x", name="b"))
    assert pixels(a.first(b), "a") == [0, 3, None, None]
    assert pixels(a.firstNonZero(b), "a") == [7, 3, None, None]
    low = ee.Image(xr.DataArray(np.int8([-5, 0]), dims="x", name="a"))
    made = low.firstNonZero(ee.Image(1000)).dataset["a"]
    assert made.values.tolist() == [-5, 1000]


def test_blend_lays_images_on_each_other() -> None:
    """The image on top is seen where it is valid, the one below where it is not."""
    below = ee.Image(xr.DataArray(np.uint8([1, 2, 3]), dims="x", name="a"))
    above = ee.Image(xr.DataArray(np.uint8([9, 0, 7]), dims="x", name="b")).selfMask()
    assert pixels(below.blend(above), "a") == [9, 2, 7]
    assert pixels(below.updateMask(below.gt(1)).blend(above.updateMask(0)), "a") == [None, 2, 3]
    with pytest.raises(ValueError, match="2 bands on top of one of 3"):
        ee.Image([1, 2, 3]).blend(ee.Image([1, 2]))


def test_rgb_and_cast() -> None:
    """`rgb` takes the first band of three images; `cast` changes the dtypes of some bands."""
    given = band("int8")
    made = ee.Image.rgb(given.select("a"), given, 7)
    assert made.bandNames() == ["vis-red", "vis-green", "vis-blue"]
    assert made.dataset["vis-blue"].item() == 7
    made = given.cast({"a": "double", "other": "short"}, ["a", "other"])
    assert {str(n): str(v.dtype) for n, v in made.dataset.items()} == {
        "a": "float64",
        "other": "int16",
    }
    assert made.bandNames() == ["a", "other"]
    with pytest.raises(ValueError, match="'half'; the bands are"):
        given.cast({"a": "half"})


def test_numbers_in_front() -> None:
    """`ee.Image.subtract(1, image)` computes 1 - image."""
    given = ee.Image(xr.DataArray(np.uint8([0, 3]), dims="x", name="a"))
    assert ee.Image.subtract(1, given).dataset["constant"].values.tolist() == [1, -2]


def test_angles() -> None:
    """The angle of a vector is counted from the x axis, and x comes first."""
    assert ee.Image(0).atan2(1).dataset["constant"].item() == pytest.approx(math.pi / 2)
    assert ee.Image(-1).atan2(0).dataset["constant"].item() == pytest.approx(math.pi)
