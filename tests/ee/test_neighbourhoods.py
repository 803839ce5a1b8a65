"""Functions of the pixels around a pixel, against loops over all pairs of pixels."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr

from qmosaic import ee
from tests.support.mosaics import is_deferred
from tests.support.sources import Forbidden

assert odc.geo.xr is not None

SHAPES: dict[str, Callable[..., bool]] = {
    "circle": lambda y, x, r: math.hypot(y, x) <= r,
    "square": lambda y, x, r: max(abs(y), abs(x)) <= r,
    "diamond": lambda y, x, r: abs(y) + abs(x) <= r,
    "plus": lambda y, x, r: (y == 0 or x == 0) and max(abs(y), abs(x)) <= r,
    "cross": lambda y, x, r: abs(y) == abs(x) and abs(x) <= r,
}
LOOPS: dict[str, Callable[[list[Any]], Any]] = {
    "max": max,
    "min": min,
    "mean": statistics.fmean,
    "median": statistics.median,
    "mode": lambda values: min(Counter(values).items(), key=lambda p: (-p[1], p[0]))[0],
}


def image(height: int = 7, width: int = 9) -> xr.Dataset:
    """Make an image with masked pixels: holes, and a part without any valid pixel."""
    rng = np.random.default_rng(7)
    red = rng.integers(1, 9, (height, width)).astype("uint8")
    red[rng.random(red.shape) < 0.3] = 0
    red[:5, :5] = 0
    ndvi = np.where(red == 0, np.nan, red / 4).astype("float32")
    dims = ("y", "x")
    return xr.Dataset(
        {"B4": (dims, red, {"_FillValue": 0}), "ndvi": (dims, ndvi), "mask": (dims, red % 3)},
        {"y": 10.0 * np.arange(height)[::-1] + 5, "x": 10.0 * np.arange(width) + 5},
    ).odc.assign_crs("EPSG:32633")


def lists(band: xr.DataArray) -> list[list[Any]]:
    """Give the rows of a band as Python's numbers, None where they are masked."""
    nodata = band.attrs.get("_FillValue")
    return [[None if v == nodata or v != v else v for v in row] for row in band.values.tolist()]


def reduced(rows: list[list[Any]], near: Callable[[int, int], bool], function: Any) -> Any:
    """Reduce, for every pixel, the valid ones of all others that are near."""
    places = list(itertools.product(range(len(rows)), range(len(rows[0]))))
    found = [[None] * len(rows[0]) for _ in rows]
    for y, x in places:
        valid = [rows[v][w] for v, w in places if near(v - y, w - x) and rows[v][w] is not None]
        found[y][x] = function(valid) if valid else None
    return found


@pytest.mark.parametrize("chunks", [None, {"y": 3, "x": 4}, {"y": 1, "x": 2}])
@pytest.mark.parametrize("name", LOOPS)
def test_neighbours_are_reduced_as_in_a_loop(name: str, chunks: Any) -> None:
    """Over the neighbours that are valid; masked pixels get a value from them; masked where none is
    valid; extremes and modes keep the dtype. Chunks do not matter."""
    bands = image()[["B4", "ndvi"]]
    given = ee.Image(bands if chunks is None else bands.chunk(chunks))
    for radius, shape in ((1.5, "circle"), (1, "square")):
        near = functools.partial(SHAPES[shape], r=radius)
        made = getattr(given, f"focal_{name}")(radius, shape)
        assert made.bandNames() == ["B4", "ndvi"]
        for band in bands:
            got = made.dataset[band]
            assert got.dtype == (bands[band].dtype if name in ("max", "min", "mode") else "float64")
            wanted = reduced(lists(bands[band]), near, LOOPS[name])
            for row, others in zip(lists(got), wanted, strict=True):
                assert row == [None if v is None else pytest.approx(v) for v in others]
            assert any(None in row for row in wanted)


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_of_kernels(kind: str) -> None:
    """Pixels whose centres lie in the shape, in pixels or metres; a custom kernel is the same."""
    bands = image()[["B4"]]
    for radius in (1, 2, 2.5):
        near = functools.partial(SHAPES[kind], r=radius)
        wanted = reduced(lists(bands["B4"]), near, max)
        kernel = getattr(ee.Kernel, kind)(radius)
        for made in (
            ee.Image(bands).focalMax(radius, kind),
            ee.Image(bands).focal_max(10 * radius, kind, "meters"),
            ee.Image(bands).focal_max(kernel=kernel),
        ):
            assert lists(made.dataset["B4"]) == wanted


def test_iterations() -> None:
    """Twice is the same as doing it again, at the borders of chunks too."""
    bands = image()[["B4"]].chunk(y=3, x=4)
    for name in ("max", "mean"):
        once = getattr(ee.Image(bands), f"focal_{name}")
        again = getattr(once(1, "plus"), f"focal_{name}")(1, "plus").dataset["B4"]
        np.testing.assert_allclose(once(1, "plus", iterations=2).dataset["B4"], again)


def test_reduceNeighborhood() -> None:
    """Names have the output; what is masked stays masked, unless asked otherwise."""
    bands = image()[["B4"]]
    several = ee.Reducer.mean().combine(ee.Reducer.count(), sharedInputs=True)
    kernel = ee.Kernel.rectangle(2, 1)
    made = ee.Image(bands).reduceNeighborhood(several, kernel)
    assert made.bandNames() == ["B4_mean", "B4_count"]
    rows = lists(bands["B4"])
    wanted = reduced(rows, lambda y, x: abs(y) <= 1 and abs(x) <= 2, len)
    filled = ee.Image(bands).reduceNeighborhood(several, kernel, skipMasked=False)
    counts = filled.dataset["B4_count"]
    assert counts.dtype == "uint8"
    assert lists(counts) == [[v or 0 for v in row] for row in wanted]
    here = lists(made.dataset["B4_count"])
    assert [[v is None for v in row] for row in here] == [[v is None for v in row] for row in rows]


@pytest.mark.parametrize("chunks", [None, {"y": 3, "x": 4}])
@pytest.mark.parametrize("metric", ["squared_euclidean", "manhattan", "chebyshev"])
def test_distances(metric: str, chunks: Any) -> None:
    """To the nearest pixel that is not 0, in pixels; masked pixels are as 0, and what is farther
    away than asked is masked."""
    band = image()[["B4"]]
    rows = lists(band["B4"])
    there = [(y, x) for y, row in enumerate(rows) for x, v in enumerate(row) if v]
    measures = {
        "squared_euclidean": lambda y, x: y * y + x * x,
        "manhattan": lambda y, x: abs(y) + abs(x),
        "chebyshev": lambda y, x: max(abs(y), abs(x)),
    }
    given = ee.Image(band if chunks is None else band.chunk(chunks))
    for farthest in (2, 256):
        made = given.fastDistanceTransform(farthest, "pixels", metric)
        assert made.bandNames() == ["distance"]
        most = farthest**2 if metric == "squared_euclidean" else farthest
        for y, row in enumerate(lists(made.dataset["distance"])):
            for x, got in enumerate(row):
                nearest = min(measures[metric](y - v, x - w) for v, w in there)
                assert got == (nearest if nearest <= most else None), (farthest, y, x)


def test_neighbours_of_all_images() -> None:
    """Nothing is read before; inside map() all images are done at once, and a mosaic by what is
    around a pixel stays on the engine's fast way."""
    source = da.from_array(Forbidden((3, 8, 8), "uint8"), chunks=(1, 4, 4))
    grid = image(8, 8).drop_vars(["B4", "ndvi", "mask"])
    col = ee.ImageCollection(grid.assign(cloud=(("time", "y", "x"), source)))
    makers: list[Callable[[Any], Any]] = [
        lambda img: img.focal_max(1),
        lambda img: img.focal_mean(20, "square", "meters"),
        lambda img: img.fastDistanceTransform(3),
    ]
    for make in makers:
        made = col.map(lambda img, make=make: img.addBands(make(img).rename("quality")))
        assert is_deferred(made.qualityMosaic("quality").dataset)
        with pytest.raises(AssertionError, match="was read"):
            made.dataset["quality"].compute()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.focal_max(1, "octagon"), r"'octagon'.*there are.*Write one of them"),
        (lambda i: i.focal_max(1, "circle", "feet"), r"'feet'.*pixels or metres.*units='pixels'"),
        (lambda i: i.focal_mean(-1), r"radius of -1.*0 or more.*1\.5"),
        (lambda i: i.fastDistanceTransform(), r"3 bands.*pixels of one.*Select it"),
        (lambda i: i.select(0).fastDistanceTransform(metric="x"), r"metric='x'.*measures.*Write"),
        (
            lambda i: i.reduceNeighborhood(ee.Reducer.linearFit(), ee.Kernel.square(1)),
            r"2 inputs.*by itself.*mean\(\)",
        ),
    ],
)
def test_what_cannot_work_says_why(call: Any, message: str) -> None:
    """What came, why it cannot work, what to write."""
    with pytest.raises(ValueError, match=message):
        call(ee.Image(image()))


METRICS: dict[str, Callable[[float, float], float]] = {
    "euclidean": math.hypot,
    "manhattan": lambda down, across: abs(down) + abs(across),
    "chebyshev": lambda down, across: max(abs(down), abs(across)),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("radius", "units", "size"), [(2, "pixels", 1), (30, "meters", 10)])
@pytest.mark.parametrize("skip", [True, False])
def test_distance_to_the_nearest_pixel_that_is_not_0(
    metric: str, radius: float, units: str, size: float, skip: bool
) -> None:
    """distance() is that between centres in the kernel's unit, masked beyond its radius; masked
    pixels are as 0, and stay masked unless skipMasked is False; whatever the chunks, lazily."""
    height, width = 9, 12
    values = np.zeros((height, width), "uint8")
    values[1, 2] = values[6, 3] = 4
    values[5:, 9:] = 255
    dataset = xr.Dataset(
        {"water": (("y", "x"), values, {"_FillValue": 255})},
        {"y": 10.0 * np.arange(height)[::-1] + 5, "x": 10.0 * np.arange(width) + 5},
    ).odc.assign_crs("EPSG:32633")
    kernel = getattr(ee.Kernel, metric)(radius, units)
    expected: list[list[float | None]] = [[None] * width for _ in range(height)]
    for y, x in itertools.product(range(height), range(width)):
        apart = [METRICS[metric]((y - r) * size, (x - c) * size) for r, c in ((1, 2), (6, 3))]
        if min(apart) <= radius and not (skip and values[y, x] == 255):
            expected[y][x] = min(apart)
    for chunks in (None, {"y": 4, "x": 5}):
        image = ee.Image(dataset if chunks is None else dataset.chunk(chunks))
        band = image.distance(kernel, skipMasked=skip).dataset["water"]
        assert (chunks is None) != isinstance(band.data, da.Array)
        found = band.values.tolist()
        for y, x in itertools.product(range(height), range(width)):
            wanted = expected[y][x]
            if wanted is None:
                assert found[y][x] != found[y][x]
            else:
                assert found[y][x] == pytest.approx(wanted, rel=1e-6)


def test_kernels_of_distances_and_neighbourhoods_are_told_apart() -> None:
    """A neighbourhood measures no distance, and a kernel of distances is no neighbourhood: an error
    says which to take; pixels that are not square have no distances in steps of metres."""
    dataset = image()
    with pytest.raises(ValueError, match=r"measures no distances.*ee.Kernel.euclidean"):
        ee.Image(dataset).distance(ee.Kernel.circle(3))
    with pytest.raises(ValueError, match=r"a kernel of distances.*ee.Kernel.circle\(3"):
        ee.Image(dataset).focal_max(kernel=ee.Kernel.euclidean(3))
    flat = dataset.assign_coords(y=dataset["y"] * 2)
    with pytest.raises(ValueError, match=r"20 by 10 m.*ee.Kernel.euclidean"):
        ee.Image(flat).distance(ee.Kernel.manhattan(30, "meters"))


def test_distances_in_a_constant() -> None:
    """A constant that is not 0 is at a distance of 0 everywhere; of 0 and masked ones none is near;
    so one that was clipped can be measured when there is a grid."""
    for measure in (ee.Image.fastDistanceTransform, ee.Image.distance):
        band = next(iter(measure(ee.Image(3)).dataset.values()))
        assert band.values == 0
        assert np.isnan(next(iter(measure(ee.Image(0)).dataset.values())).values)
    places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
    grid = ee.Image(xr.Dataset({"a": (("latitude", "longitude"), np.zeros((2, 2)))}, places))
    west = ee.Image(1).clip(ee.Geometry.BBox(-103.25, 40, -103.15, 41))
    found = grid.addBands(west.fastDistanceTransform()).dataset["distance"]
    assert found.values.tolist() == [[0, 1], [0, 1]]
