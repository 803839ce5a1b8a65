"""Scores against values that were worked out by hand; the arithmetic stands beside them."""

from __future__ import annotations

import contextlib
import datetime
import math
import pickle
import re
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import qmosaic as qm
from qmosaic.collection.geometry import crs_of
from tests.support.sources import CountingArray, Forbidden, dates

NAN = float("nan")


def band(values: Any, dtype: str, nodata: Any = None) -> xr.DataArray:
    """Make a band of a row of pixels."""
    data: Any = np.array(values, dtype)
    attrs = {} if nodata is None else {"_FillValue": data.dtype.type(nodata)}
    return xr.DataArray(data, dims="x", attrs=attrs)


# -- classes and bits --------------------------------------------------------------------------


def test_classes() -> None:
    """Listed classes get their score, others none; nodata is masked though it were listed."""
    scl = band([4, 5, 9, 0, 11], "uint8", nodata=0)
    score = qm.scores.classes(scl, {4: 1.0, 5: 0.9, 0: 0.7, 11: 0.1})
    np.testing.assert_allclose(score.values, [1, 0.9, NAN, NAN, 0.1], rtol=1e-6)
    assert score.dtype == "float32"
    assert score.attrs == {}
    other = qm.scores.classes(scl, {4: 1.0}, other=0.2)
    np.testing.assert_allclose(other.values, [1, 0.2, 0.2, NAN, 0.2], rtol=1e-6)
    decoded = band([4, NAN, 9], "float32")  # as xarray decodes classes with nodata
    np.testing.assert_array_equal(qm.scores.classes(decoded, {4: 1.0}, other=0).values, [1, NAN, 0])


def test_bits() -> None:
    """The lowest score of the flags that are set; fields of several bits; clear where none is."""
    qa = band(
        [0, 0b1000, 0b1_0000, 0b1_1000, 0b10_0000_0000, 0b11_0000_0000, 0b01_0000_0000, 1], "uint16"
    )
    flags = {0: NAN, 3: 0.0, 4: 0.2, (8, 9): {2: 0.5, 3: 0.1}}
    score = qm.scores.bits(qa, flags, clear=0.9)
    wanted = [0.9, 0.0, 0.2, 0.0, 0.5, 0.1, 0.9, NAN]
    np.testing.assert_allclose(score.values, wanted, rtol=1e-6)
    assert score.dtype == "float32"
    everything = band([0xFFFF], "uint16")
    assert np.isnan(qm.scores.bits(everything, flags).values[0])  # NaN wins over all
    high = band([-(2**15), 0], "int16")  # the highest bit of a signed dtype
    np.testing.assert_array_equal(qm.scores.bits(high, {15: 0.0}).values, [0, 1])
    fill = band([1, 8], "uint16", nodata=1)
    np.testing.assert_array_equal(qm.scores.bits(fill, {3: 0.0}).values, [NAN, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: qm.scores.classes(band([1], "uint8"), {}), ValueError, "no entry"),
        (lambda: qm.scores.classes(band([1], "uint8"), [4, 5]), ValueError, "a list"),
        (lambda: qm.scores.classes(band([1], "uint8"), {4: "good"}), ValueError, "'good'"),
        (lambda: qm.scores.classes(band([1], "uint8"), {4: 1}, other=None), ValueError, "other="),
        (lambda: qm.scores.classes(band([1], "uint8"), {300: 1}), ValueError, "300"),
        (lambda: qm.scores.classes(band(["a"], "U1"), {1: 1}), TypeError, "no numbers"),
        (lambda: qm.scores.classes([1], {1: 1}), TypeError, "list"),
        (lambda: qm.scores.bits(band([1], "float32"), {1: 1}), TypeError, "has no bits"),
        (lambda: qm.scores.bits(band([1], "uint8"), {}), ValueError, "no entry"),
        (lambda: qm.scores.bits(band([1], "bool"), {1: 1}), TypeError, "a score already"),
        (lambda: qm.scores.bits(band([1], "uint8"), {3: "bad"}), ValueError, "'bad'"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(2, 3): {}}), ValueError, "no entry"),
        (lambda: qm.scores.bits(band([1], "uint8"), {8: 1}), ValueError, "bits 0 to 7"),
        (lambda: qm.scores.bits(band([1], "uint8"), {True: 1}), ValueError, "flag True"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(3, 2): {1: 1}}), ValueError, r"\(2, 3\)"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(2, 3): 0.5}), ValueError, "0 to 3"),
        (lambda: qm.scores.bits(band([1], "uint8"), {(2, 3): {4: 0.5}}), ValueError, "value 4"),
    ],
)
def test_codes_that_cannot_be(call: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        call()


# -- dates ---------------------------------------------------------------------------------------


def at(*days: str) -> xr.DataArray:
    """Times as a coordinate."""
    times = np.array(days, "datetime64[ns]")
    return xr.DataArray(times, {"time": times}, "time")


def gauss(distance: float, sigma: float) -> float:
    return math.exp(-0.5 * (distance / sigma) ** 2)


def test_target_date() -> None:
    """exp(-½ (Δ/σ)²): 1 on the day, 0.6065 a sigma away, 0.1353 two; fractions of a day count."""
    times = at("2020-07-15", "2020-07-25", "2020-06-25", "2020-07-15T12:00")
    score = qm.scores.target_date(times, "2020-07-15", sigma=10)
    np.testing.assert_allclose(score.values, [1, 0.60653066, 0.13533528, 0.99875078], atol=1e-8)
    assert score.dims == ("time",)
    for same in (
        datetime.date(2020, 7, 15),
        np.datetime64("2020-07-15"),
        "2020-07-15T02:00+02:00",
        pd.Timestamp("2020-07-15"),
    ):
        assert qm.scores.target_date(times, same, sigma=10).equals(score)


@pytest.mark.parametrize(
    ("day", "target", "distance"),
    [
        ("2020-07-15", "07-15", 0),
        ("2021-07-10", "07-15", 5),
        ("2019-12-31", 1, 1),  # the year's end
        ("2020-01-03", "12-31", 3),
        ("2019-12-31", 365, 0),
        ("2020-12-31", 366, 0),  # a leap year
        ("2020-12-31", 365, 1),
        ("2020-12-31", 1, 1),
        ("2021-01-01", 366, 1),  # the 366th of 2020 is the day before
        ("2020-03-01", 60, 1),  # 29 February 2020 is the 60th day
        ("2021-03-01", 60, 0),
        ("2021-02-28", "02-29", 1),
        ("2020-07-01", "01-01", 182),  # 31 + 29 + 31 + 30 + 31 + 30
        ("2020-07-15T23:59", "07-15", 0),
    ],
)
def test_target_day_of_year(day: str, target: int | str, distance: int) -> None:
    """The shortest way to such a day, over the year's end, exact in leap years."""
    score = qm.scores.target_day_of_year(at(day), target, sigma=30)
    assert score.values[0] == pytest.approx(gauss(min(distance, 184), 30), rel=1e-12)


def test_dates_of_a_collection_order_its_images() -> None:
    """A score along time alone is a quality band: the image nearest to the date wins everywhere."""
    collection = xr.Dataset(
        {"red": (("time", "x"), np.arange(6).reshape(3, 2))}, {"time": dates(3)}
    ).chunk(time=1)
    collection["q"] = qm.scores.target_date(collection, "2020-07-02", sigma=5)
    np.testing.assert_array_equal(qm.quality_mosaic(collection, "q")["red"].values, [2, 3])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: qm.scores.target_date(at("2020"), "2020", sigma=0), ValueError, "sigma=0"),
        (lambda: qm.scores.target_date(at("2020"), "2020", sigma="x"), ValueError, "sigma='x'"),
        (
            lambda: qm.scores.target_date(at("2020"), "soon", sigma=1),
            ValueError,
            "'soon' is no",
        ),
        (lambda: qm.scores.target_date(xr.Dataset(), "2020", sigma=1), TypeError, "no coordinate"),
        (lambda: qm.scores.target_date([1], "2020", sigma=1), TypeError, "list"),
        (lambda: qm.scores.target_day_of_year(at("2020"), 0, sigma=1), ValueError, "1 to 366"),
        (lambda: qm.scores.target_day_of_year(at("2020"), 367, sigma=1), ValueError, "1 to 366"),
        (lambda: qm.scores.target_day_of_year(at("2020"), "02-30", sigma=1), ValueError, "02-30"),
        (lambda: qm.scores.target_day_of_year(at("2020"), "July", sigma=1), ValueError, "07-15"),
    ],
)
def test_dates_that_cannot_be(call: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        call()


# -- distances -----------------------------------------------------------------------------------


def far(mask: np.ndarray, dy: float, dx: float, farthest: float) -> np.ndarray:
    """Measure distances with a loop over all pairs of pixels."""
    wanted = np.full(mask.shape, farthest)
    for t in range(mask.shape[0]):
        for y, x in np.ndindex(mask.shape[1:]):
            for v, u in np.argwhere(mask[t]):
                way = math.hypot((y - v) * dy, (x - u) * dx)
                wanted[t, y, x] = min(wanted[t, y, x], way)
    return wanted


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
    cut=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    sizes=st.tuples(st.sampled_from([10.0, 20.0, 7.5]), st.sampled_from([10.0, 30.0])),
    farthest=st.sampled_from([5.0, 10.0, 25.0, 60.0, 500.0]),
    share=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
    order=st.sampled_from([("time", "y", "x"), ("y", "x", "time"), ("x", "time", "y")]),
)
def test_distances_are_exact_across_chunk_borders(
    shape: Any, seed: int, cut: Any, sizes: Any, farthest: float, share: float, order: Any
) -> None:
    """As a loop over all pairs of pixels, whatever the chunks, never between images."""
    mask = np.random.default_rng(seed).random(shape) < share
    wanted = far(mask, *sizes, farthest)
    plain = xr.DataArray(mask, dims=("time", "y", "x")).transpose(*order)
    in_memory = plain.chunk(dict(zip(("time", "y", "x"), cut, strict=True)))
    deferred = plain.copy(
        data=da.from_array(CountingArray(plain.values), chunks=in_memory.data.chunks)
    )
    for data in (plain, in_memory, deferred):
        score = qm.scores.distance_to(data, max_distance=farthest, resolution=sizes)
        assert score.dims == order
        assert score.dtype == "float32"
        assert score.chunks == data.chunks
        np.testing.assert_allclose(score.transpose("time", "y", "x").values, wanted, rtol=1e-6)


def cloudy(crs: str | None = "EPSG:32633", step: float = 10.0) -> xr.DataArray:
    """A mask with a cloud at one end of a row."""
    mask = xr.DataArray(
        np.array([[True, False, False], [False, False, False]]),
        {"y": [step, 0.0], "x": [0.0, step, 2 * step]},
        ("y", "x"),
    )
    assert odc.geo.xr is not None
    return mask if crs is None else mask.odc.assign_crs(crs)


def test_the_size_of_pixels_comes_from_the_grid() -> None:
    """Metres from the coordinates; feet are converted: 1 US foot is 1200/3937 m."""
    score = qm.scores.distance_to(cloudy(), max_distance=100)
    np.testing.assert_allclose(score.values, [[0, 10, 20], [10, 200**0.5, 500**0.5]], rtol=1e-6)
    assert "spatial_ref" in score.coords
    feet = qm.scores.distance_to(cloudy("EPSG:2263"), max_distance=100)
    np.testing.assert_allclose(feet.values[0], [0, 12000 / 3937, 24000 / 3937], rtol=1e-6)


@pytest.mark.parametrize(
    ("mask", "options", "error", "message"),
    [
        (cloudy("EPSG:4326", 0.01), {}, ValueError, "degrees"),
        (cloudy(None), {}, ValueError, "nothing declares the CRS.*resolution=10"),
        (cloudy().drop_vars(["x", "y"]), {}, ValueError, "no coordinates.*resolution=10"),
        (cloudy().isel(x=[0]), {}, ValueError, "one along 'x' only"),
        (cloudy().assign_coords(x=[0.0, 10.0, 30.0]), {}, ValueError, "evenly spaced"),
        (cloudy().astype("uint8"), {}, TypeError, r"isin\(\[3, 8, 9, 10\]\)"),
        (np.zeros((2, 2), bool), {}, TypeError, "ndarray"),
        (cloudy(), {"max_distance": 0}, ValueError, "max_distance=0"),
        (cloudy(), {"resolution": -0.0}, ValueError, "resolution="),
        (cloudy(), {"resolution": (1, 2, 3)}, ValueError, "resolution="),
        (cloudy().isel(y=0, drop=True), {"resolution": 10}, ValueError, "no map"),
    ],
)
def test_masks_that_cannot_be(
    mask: Any, options: Any, error: type[Exception], message: str
) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.scores.distance_to(mask, **{"max_distance": 100, **options})


# -- the scores of best-available-pixel composites -------------------------------------------------


def test_cloud_distance() -> None:
    """1 / (1 + exp(-10/D (d - D/2))), D = 3000: by hand 1/(1+e^5), 1/(1+e^2.5), 1/2, 1/(1+e^-5)."""
    score = qm.scores.cloud_distance(band([0, 750, 1500, 3000, NAN], "float32"))
    wanted = [0.00669285, 0.07585818, 0.5, 0.99330715, NAN]
    np.testing.assert_allclose(score.values, wanted, rtol=1e-5)
    # Griffiths et al. 2013: 1 / (1 + exp(-0.2 (d - 25))), d in pixels, 50 pixels suffice
    pixels = qm.scores.cloud_distance(band([10, 25, 50], "uint8"), sufficient=50)
    by_hand = [1 / (1 + math.exp(-0.2 * (d - 25))) for d in (10, 25, 50)]
    np.testing.assert_allclose(pixels.values, by_hand, rtol=1e-5)


def test_view_angle() -> None:
    """1 / (1 + exp(10/V (z - V/2))), V = 7.5: 1/(1+e^-5) at 0, 1/2 at 3.75, 1/(1+e^5) at 7.5."""
    score = qm.scores.view_angle(band([0, 3.75, 7.5, 11.25, -1, 181, NAN], "float64"))
    wanted = [0.99330715, 0.5, 0.00669285, 4.5397868e-05, NAN, NAN, NAN]
    np.testing.assert_allclose(score.values, wanted, rtol=1e-6)


def test_haze() -> None:
    """HOT = 10000 (blue - red/2 - 0.08), score 1 / (1 + exp(0.05 (HOT - H)))."""
    # blue 0.10, red 0.04: HOT = 0, 1/2; blue 0.11: HOT = 100, 1/(1+e^5); blue 0.09: 1/(1+e^-5)
    blue, red = band([1000, 1100, 900, 0], "uint16", 0), band([400, 400, 400, 400], "uint16")
    wanted = [0.5, 0.00669285, 0.99330715, NAN]
    np.testing.assert_allclose(qm.scores.haze(blue, red).values, wanted, rtol=1e-3)
    floats = (blue.where(blue != 0) * 1e-4).astype("float64"), (red * 1e-4).astype("float64")
    np.testing.assert_allclose(qm.scores.haze(*floats).values, wanted, rtol=1e-5)
    shifted = qm.scores.haze(blue, red, threshold=100)
    np.testing.assert_allclose(shifted.values[1], 0.5, rtol=1e-3)
    # Landsat: 0.0000275 × 10909.09… − 0.2 = 0.1, and 8727.27… for 0.04
    landsat = qm.scores.haze(
        band([10909.0909091], "float64"),
        band([8727.2727273], "float64"),
        scale=2.75e-5,
        offset=-0.2,
    )
    np.testing.assert_allclose(landsat.values, [0.5], atol=1e-6)
    # without red the second term is 0: HOT = 10000 (0.08 − 0.08) = 0
    assert qm.scores.haze(band([0.08], "float64"), band([0], "float64")).values[0] == pytest.approx(
        0.5
    )


def test_weighted() -> None:
    """The weighted mean, and the weighted product; weight 0 leaves a score out, masked ones too."""
    scores = xr.Dataset({"a": ("x", [1.0, 0.5, NAN]), "b": ("x", [0.0, 0.25, 1.0])})
    mean = qm.scores.weighted({"a": 3, "b": 1}, scores)
    np.testing.assert_allclose(mean.values, [0.75, 0.4375, NAN])  # (1.5 + 0.25) / 4
    product = qm.scores.weighted({"a": 2, "b": 1}, scores, combine="product")
    np.testing.assert_allclose(product.values, [0, 0.0625, NAN])  # 0.25 × 0.25
    pairs = qm.scores.weighted([(scores["a"], 3), (scores["b"], 1)])
    assert pairs.equals(mean)
    alone = qm.scores.weighted({"a": 0, "b": 5}, scores)
    np.testing.assert_allclose(alone.values, [0, 0.25, 1])
    assert list(scores) == ["a", "b"]


def test_weighted_scores_of_images_and_pixels() -> None:
    """Scores along time alone are spread over the map; the widest gives the dimensions."""
    per_pixel = xr.DataArray(np.array([[[0.0, 1.0]], [[1.0, 1.0]]]), dims=("time", "y", "x"))
    per_image = xr.DataArray([1.0, 0.0], dims="time")
    both = qm.scores.weighted([(per_image, 1), (per_pixel, 1)])
    assert both.dims == ("time", "y", "x")
    np.testing.assert_allclose(both.values, [[[0.5, 1.0]], [[0.5, 0.5]]])
    narrow = qm.scores.weighted([(per_image, 1), (per_pixel.astype("float32"), 1)])
    assert narrow.dtype == "float32"  # one number an image does not double the size of the others


ONE = xr.DataArray([1.0, 2.0], {"x": [0, 1]}, "x")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: qm.scores.weighted({"a": 1}), TypeError, "no collection"),
        (
            lambda: qm.scores.weighted({"aa": 1}, xr.Dataset({"a": ONE})),
            KeyError,
            "Did you mean 'a'",
        ),
        (lambda: qm.scores.weighted([(ONE, -1)]), ValueError, "weight -1"),
        (lambda: qm.scores.weighted([(ONE, NAN)]), ValueError, "weight nan"),
        (lambda: qm.scores.weighted([(ONE, 0)]), ValueError, "no weight above 0"),
        (lambda: qm.scores.weighted([]), ValueError, "no weight above 0"),
        (lambda: qm.scores.weighted([ONE]), TypeError, "pairs"),
        (lambda: qm.scores.weighted([(ONE, 1)], combine="max"), ValueError, "combine='max'"),
        (
            lambda: qm.scores.weighted([(ONE, 1), (ONE.assign_coords(x=[1, 2]), 1)]),
            ValueError,
            "differ along 'x'",
        ),
        (lambda: qm.scores.weighted([(ONE, 1), (ONE[:1], 1)]), ValueError, "differ along 'x'"),
        (lambda: qm.scores.cloud_distance(ONE, sufficient=-1), ValueError, "sufficient=-1"),
        (lambda: qm.scores.view_angle(band(["a"], "U1")), TypeError, "no numbers"),
        (lambda: qm.scores.haze(ONE, ONE[:1]), ValueError, "differ along 'x'"),
        (lambda: qm.scores.haze(ONE, ONE, scale=0), ValueError, "scale=0"),
    ],
)
def test_scores_that_cannot_be(call: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        call()


# -- spectral indices ------------------------------------------------------------------------------


def scene(names: dict[str, float], dtype: str = "float64") -> xr.Dataset:
    """A pixel with a value in each band."""
    return xr.Dataset({name: ("x", np.array([value], dtype)) for name, value in names.items()})


REFLECTANCE = {
    "blue": 0.05,
    "green": 0.10,
    "red": 0.08,
    "rededge1": 0.15,
    "nir": 0.40,
    "swir16": 0.25,
    "swir22": 0.15,
}


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("NDVI", 0.32 / 0.48),
        ("ndvi", 0.32 / 0.48),
        ("EVI", 2.5 * 0.32 / (0.40 + 6 * 0.08 - 7.5 * 0.05 + 1)),  # 0.8 / 1.505
        ("EVI2", 2.5 * 0.32 / (0.40 + 2.4 * 0.08 + 1)),
        ("SAVI", 1.5 * 0.32 / (0.48 + 0.5)),
        ("GNDVI", 0.30 / 0.50),
        ("NDREI", 0.25 / 0.55),
        ("NDWI", -0.30 / 0.50),
        ("MNDWI", -0.15 / 0.35),
        ("NDMI", 0.15 / 0.65),
        ("NDSI", -0.15 / 0.35),
        ("NBR", 0.25 / 0.55),
        ("NBR2", 0.10 / 0.40),
        ("BSI", (0.33 - 0.45) / (0.33 + 0.45)),
        ("kNDVI", math.tanh((0.32 / 0.48) ** 2)),
        # two names that differ by their case alone
        ("BaI", 0.08 + 0.25 - 0.40),
        ("BAI", 1 / ((0.1 - 0.08) ** 2 + (0.06 - 0.40) ** 2)),
    ],
)
def test_indices_by_hand(name: str, by_hand: float) -> None:
    """The formulas of the docstring's table, worked out for one pixel."""
    score = qm.scores.index(scene(REFLECTANCE), name)
    assert score.values[0] == pytest.approx(by_hand, rel=1e-9)


SENTINEL = {"B02": 500, "B03": 1000, "B04": 800, "B05": 1500, "B08": 4000, "B11": 2500, "B12": 1500}


@pytest.mark.parametrize(
    ("bands", "platform"),
    [
        (SENTINEL, "sentinel-2"),
        ({k.replace("B0", "B"): v for k, v in SENTINEL.items()}, "Sentinel-2A"),
        ({"blue": 500, "green": 1000, "red": 800, "nir": 4000}, "sentinel_2"),
        # (0.05 + 0.2) / 0.0000275 = 9090.9 …
        ({"SR_B2": 9091, "SR_B3": 10909, "SR_B4": 10182, "SR_B5": 21818}, "landsat-8"),
        ({"blue": 9091, "green": 10909, "red": 10182, "nir08": 21818}, "LANDSAT_9"),
        ({"SR_B1": 9091, "SR_B2": 10909, "SR_B3": 10182, "SR_B4": 21818}, "landsat-7"),
        ({"B1": 9091, "B2": 10909, "B3": 10182, "B4": 21818}, "landsat5"),
    ],
)
@pytest.mark.parametrize("name", ["EVI", "NDVI"])
def test_bands_of_platforms(bands: dict[str, float], platform: str, name: str) -> None:
    """Names, numbers, scale and offset of each: the same reflectances give the same index."""
    score = qm.scores.index(scene(bands, "uint16"), name, platform=platform)
    assert score.dtype == "float32"
    wanted = {"EVI": 0.8 / 1.505, "NDVI": 0.32 / 0.48}[name]
    assert score.values[0] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("platform", "least"), [("sentinel-2", 201), ("landsat-5", 181), ("landsat-9", 181)]
)
def test_how_many_indices_there_are(platform: str, least: int) -> None:
    """README: over 200 for Sentinel-2 and over 180 for Landsat; the others are refused by name."""
    spyndex = pytest.importorskip("spyndex", reason="it is in the extra [scores]")
    numbers = "1 2 3 4 5 6 7 8 8A 9 11 12".split()
    bands = scene({f"B{n}": 0.01 * i for i, n in enumerate(numbers, 5)})

    def works(name: str) -> bool:
        with contextlib.suppress(KeyError):
            return qm.scores.index(bands, name, platform=platform).shape == (1,)
        with pytest.raises(KeyError, match=re.escape(name)):
            qm.scores.index(bands, name, platform=platform)
        return False

    assert sum(map(works, spyndex.indices)) >= least


def test_scaling_of_integers() -> None:
    """Integers need a scale; to a ratio the offset matters too, and nothing is guessed."""
    numbers = scene({"red": 800, "nir": 4000, "blue": 500}, "uint16")
    for name in ("NDVI", "EVI"):
        with pytest.raises(ValueError, match=r"nothing says how.*platform='sentinel-2'"):
            qm.scores.index(numbers, name)
    evi = qm.scores.index(numbers, "EVI", scale=1e-4).values[0]
    assert evi == pytest.approx(0.8 / 1.505, rel=1e-6)
    # baseline 04.00: 1000 was added to every number
    shifted = numbers + np.uint16(1000)
    moved = qm.scores.index(shifted, "NDVI", platform="sentinel-2", offset=-0.1)
    assert moved.values[0] == pytest.approx(0.32 / 0.48, rel=1e-6)
    savi = qm.scores.index(numbers, "SAVI", scale=1e-4, L=0.25).values[0]
    assert savi == pytest.approx(1.25 * 0.32 / (0.48 + 0.25), rel=1e-6)


def test_the_platform_of_stac_items_is_known() -> None:
    """Collections from STAC tell it; several are fine where they mean the same."""
    values = {"B4": 800, "B8": 4000, "red": 10_000, "nir08": 20_000}
    numbers = xr.Dataset(
        {n: (("time", "x"), np.full((2, 1), v, "uint16")) for n, v in values.items()}
    )
    sentinel = numbers.assign_coords(platform=("time", ["sentinel-2a", "sentinel-2b sentinel-2a"]))
    wanted = pytest.approx(0.32 / 0.48, rel=1e-6)
    named = sentinel.drop_vars(["red", "nir08"])
    assert qm.scores.index(named, "NDVI").values[0, 0] == wanted
    landsat = numbers.assign_coords(platform=("time", ["landsat-5", "landsat-8"]))
    # by hand: red 0.275 - 0.2, near infrared 0.55 - 0.2
    ndvi = qm.scores.index(landsat, "NDVI").values[1, 0]
    assert ndvi == pytest.approx((0.35 - 0.075) / (0.35 + 0.075), rel=1e-6)
    mixed = numbers.assign_coords(platform=("time", ["sentinel-2a", "landsat-8"]))
    with pytest.raises(ValueError, match="nothing says how"):
        qm.scores.index(mixed, "NDVI")
    with pytest.raises(KeyError, match="no band N"):
        # band 4 is red to one of them, and near infrared to the other
        qm.scores.index(landsat.drop_vars(["red", "nir08"]), "NDVI")


def packed(value: float, dtype: str = "uint16", **packing: float) -> xr.DataArray:
    return xr.DataArray(np.array([value], dtype), dims="x", attrs=packing)


def test_declared_packing_is_undone() -> None:
    """Integers mean what they declare; a scale that is given goes first."""
    angle = packed(375, scale_factor=0.01)
    assert qm.scores.view_angle(angle).values[0] == pytest.approx(0.5)
    landsat = {"scale_factor": 2.75e-5, "add_offset": -0.2}
    # by hand: blue 0.075, red 0.0475: HOT = 10000 (0.075 - 0.02375 - 0.08) = -287.5
    haze = qm.scores.haze(packed(10_000, **landsat), packed(9_000, **landsat)).values[0]
    assert haze == pytest.approx(1 / (1 + math.exp(-287.5 / 20)), rel=1e-5)
    shifted = {"scale_factor": 1e-4, "add_offset": -0.1}
    bands = xr.Dataset({"B4": packed(2000, **shifted), "B8": packed(4000, **shifted)})
    assert qm.scores.index(bands, "NDVI", platform="sentinel-2").values[0] == pytest.approx(0.5)
    assert qm.scores.normalized_difference(bands["B8"], bands["B4"]).values[0] == pytest.approx(0.5)
    plain = {"platform": "sentinel-2", "scale": 1e-4, "offset": 0.0}
    given = qm.scores.index(bands, "NDVI", **plain).values[0]
    assert given == pytest.approx(1 / 3, rel=1e-6)
    decoded = packed(375.0, "float32")
    decoded.encoding = {"scale_factor": 0.01, "dtype": "uint16"}  # what was: no longer true
    assert np.isnan(qm.scores.view_angle(decoded).values[0])
    both = qm.scores.weighted([(packed(50, scale_factor=0.01), 1), (packed(1.0, "float32"), 1)])
    assert both.values[0] == pytest.approx(0.75)


def test_pixels_without_data_are_not_far_from_clouds() -> None:
    """With `valid` they are no candidates, though no cloud is near."""
    scl = xr.DataArray(np.uint8([[0, 4, 4, 9]]), dims=("y", "x"))
    for band_ in (scl, scl.chunk(x=1)):
        mask, valid = band_ == 9, band_ != 0
        metres = qm.scores.distance_to(mask, max_distance=25, resolution=10, valid=valid)
        np.testing.assert_array_equal(metres.values, [[NAN, 20, 10, 0]])
    with pytest.raises(TypeError, match="True where there is data"):
        qm.scores.distance_to(mask, max_distance=25, resolution=10, valid=scl)
    with pytest.raises(ValueError, match="differ along 'x'"):
        qm.scores.distance_to(mask, max_distance=25, resolution=10, valid=valid.isel(x=[0]))


def test_an_array_with_bands_is_a_collection() -> None:
    """As stackstac makes it."""
    array = scene({"red": 0.1, "nir": 0.3}, "float32").to_dataarray("band")
    assert qm.scores.index(array, "NDVI").values[0] == pytest.approx(0.5)
    with pytest.raises(TypeError, match=r"index\(\) got a DataArray"):
        qm.scores.index(array.isel(band=0, drop=True), "NDVI")


def test_indices_of_masked_pixels() -> None:
    """Nodata, NaN and 0 / 0 are no candidates; no warning is given."""
    collection = xr.Dataset(
        {"red": band([0, 800, 0], "uint16", 9999), "nir": band([0, 9999, 500], "uint16", 9999)}
    ).chunk(x=2)
    score = qm.scores.index(collection, "NDVI", scale=1e-4)
    np.testing.assert_array_equal(score.values, [NAN, NAN, 1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "NDVY"}, KeyError, "Did you mean .*'NDVI'"),
        ({"name": "NDWI"}, KeyError, r"no band G \(green\).*bands=\{'G': ...\}"),
        ({"platform": "spot-5"}, ValueError, "'spot-5' is not known"),
        ({"platform": "landsat-80"}, ValueError, "'landsat-80' is not known"),
        ({"bands": {"N": "near"}}, KeyError, "N is 'near'"),
        ({"bands": {"nir": "near"}}, KeyError, "N is 'near'"),
        ({"bands": {"near": "nir"}}, KeyError, r"the symbol of no band.*N \(nir\)"),
        ({"name": "NDIV"}, KeyError, "Did you mean .*'NDVI'"),
        ({"scale": 0}, ValueError, "scale=0"),
        ({"offset": NAN}, ValueError, "offset=nan"),
        ({"name": "SAVI", "L": "a"}, ValueError, "L='a'"),
        ({"platform": 8}, ValueError, "8 is not known"),
        ({"L": 1.0}, KeyError, "no constant 'L'"),
        ({"name": "VDDPI"}, KeyError, "needs 'VV'"),
    ],
)
def test_indices_that_cannot_be(options: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.scores.index(scene({"red": 0.1, "nir": 0.4}), **{"name": "NDVI", **options})
    named = scene({"red": 0.1, "near": 0.3})
    assert qm.scores.index(named, "NDVI", bands={"N": "near"}).values[0] == pytest.approx(0.5)


# -- all of them -----------------------------------------------------------------------------------


def lazily(dtype: str = "float32", images: int = 3) -> xr.DataArray:
    """A band that must not be read."""
    pixels = da.from_array(
        Forbidden((images, 20, 20), dtype), chunks=(1, 10, 10), meta=np.empty((0,) * 3, dtype)
    )
    coords = {"time": dates(images), "y": np.arange(20) * -10.0, "x": np.arange(20) * 10.0}
    band_ = xr.DataArray(pixels, coords, ("time", "y", "x"), name="band")
    band_["x"].attrs["units"] = "metre"
    return band_.odc.assign_crs("EPSG:32633")


MAKERS = {
    "classes": lambda b: qm.scores.classes(b.astype("uint8"), {1: 1.0}),
    "bits": lambda b: qm.scores.bits(b.astype("uint8"), {1: 0.0}),
    "distance_to": lambda b: qm.scores.distance_to(b > 0.5, max_distance=100),
    "cloud_distance": qm.scores.cloud_distance,
    "view_angle": qm.scores.view_angle,
    "haze": lambda b: qm.scores.haze(b, b),
    "index": lambda b: qm.scores.index(xr.Dataset({"red": b, "nir": b}), "EVI2"),
    "weighted": lambda b: qm.scores.weighted([(b, 1), (b, 2)]),
    "inverse": qm.scores.inverse,
    "normalized_difference": lambda b: qm.scores.normalized_difference(b, b),
}


@pytest.mark.parametrize("name", MAKERS)
def test_scores_are_lazy_and_travel(name: str) -> None:
    """Nothing is read; chunks and coordinates are kept; the graph can be pickled; input is kept."""
    given_band = lazily()
    before = given_band.copy()
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        score = MAKERS[name](given_band)
    assert score.chunks == given_band.chunks
    assert {"time", "y", "x", "spatial_ref"} <= set(score.coords)
    assert score.attrs == {}
    assert given_band.identical(before)
    assert score.odc.crs == "EPSG:32633"
    assert score["x"].attrs == {"units": "metre"}
    assert score.data.name == MAKERS[name](given_band).data.name  # deterministic
    pickle.loads(pickle.dumps(score))


@pytest.mark.parametrize("name", MAKERS)
def test_a_mosaic_of_a_score_carries_nothing_of_its_images(name: str) -> None:
    """A block is one task, and the graph is as large for 40 images as for 4."""
    sizes = {}
    for images in (4, 40):
        band = lazily(images=images)
        season = qm.scores.target_day_of_year(band, "07-15", sigma=30)
        quality = qm.scores.weighted([(MAKERS[name](band), 1.0), (season, 0.5)])
        mosaic = qm.quality_mosaic(xr.Dataset({"quality": quality, "band": band}), "quality")
        explained = qm.explain(mosaic)
        assert explained.tasks == explained.blocks + 2
        blocks = [t for k, t in dict(mosaic.__dask_graph__()).items() if isinstance(k, tuple)]
        sizes[images] = sum(len(pickle.dumps(task)) for task in blocks)
    assert sizes[40] == sizes[4]


@pytest.mark.parametrize("name", MAKERS)
def test_dask_and_numpy_give_the_same(name: str) -> None:
    """A score of numpy arrays is computed at once, to the same values."""
    pixels = np.random.default_rng(0).random((3, 20, 20)).astype("float32") * 3
    plain = lazily().copy(data=pixels)
    eager, lazy = MAKERS[name](plain), MAKERS[name](plain.chunk(time=1, y=7, x=20))
    assert isinstance(eager.data, np.ndarray)
    assert eager.dtype == lazy.dtype
    np.testing.assert_array_equal(eager.values, lazy.values)


def test_a_best_available_pixel_composite(tmp_path: Path) -> None:
    """After Griffiths et al.: distance to clouds and day of year; reads only what won."""
    scl = np.full((3, 40, 40), 4, "uint8")
    scl[0, :, :10] = 9  # the first image has a cloud in the west, the second in the east
    scl[1, :, -10:] = 9
    scl[2] = 9  # the third is cloud
    red = np.broadcast_to(np.uint16([10, 20, 30])[:, None, None], scl.shape).copy()
    counted = CountingArray(red)
    coords = {"time": dates(3), "y": np.arange(40) * -10.0, "x": np.arange(40) * 10.0}
    collection = xr.Dataset(
        {
            "SCL": (("time", "y", "x"), da.from_array(CountingArray(scl), chunks=(1, 20, 20))),
            "red": (("time", "y", "x"), da.from_array(counted, chunks=(1, 20, 20))),
        },
        coords,
    ).odc.assign_crs("EPSG:32633")
    cloud = collection["SCL"].isin([3, 8, 9, 10])
    clear = qm.scores.cloud_distance(qm.scores.distance_to(cloud, max_distance=200), sufficient=200)
    season = qm.scores.target_day_of_year(collection, "07-02", sigma=30)
    collection["quality"] = qm.scores.weighted([(clear, 1.0), (season, 0.1)])
    mosaic = qm.quality_mosaic(collection, "quality")
    assert "tasks; reads only what won" in str(qm.explain(mosaic))
    counted.calls.clear()
    values = mosaic["red"].values
    assert set(np.unique(values)) == {10, 20}
    # by hand: in the west the first image is under its cloud, in the east the second
    assert (values[:, :10] == 20).all()
    assert (values[:, -10:] == 10).all()
    # in column 20 both clouds are as far: 110 m to column 9, 100 m to column 30; the season decides
    # for 2 July by 0.1 (1 - e^(-1/1800)) = 0.00006, the distance for the first by more
    assert (values[:, 20] == 10).all()
    assert (values[:, 19] == 20).all()
    images = {index[0].start for index in counted.calls}
    assert images == {0, 1}


def test_masks_as_rioxarray_and_stackstac_leave_them() -> None:
    """A scalar coordinate called band, a CRS among the data variables: the distance all the
    same."""
    mask = cloudy().assign_coords(band="scl").rename("band")
    score = qm.scores.distance_to(mask, max_distance=100)
    np.testing.assert_allclose(score.values, [[0, 10, 20], [10, 200**0.5, 500**0.5]], rtol=1e-6)
    collection = cloudy().to_dataset(name="cloud").reset_coords("spatial_ref")
    assert "spatial_ref" in collection.data_vars
    assert crs_of(collection) == "EPSG:32633"
    flat = cloudy()
    valid = xr.concat([flat, ~flat], "time")
    both = qm.scores.distance_to(flat, max_distance=100, valid=valid)
    assert both.dims == ("y", "x", "time")


def test_weights_of_an_array_with_bands() -> None:
    """Bands by name, as in a Dataset."""
    array = scene({"red": 0.1, "nir": 0.3}).to_dataarray("band")
    assert qm.scores.weighted({"red": 1, "nir": 1}, array).values[0] == pytest.approx(0.2)
    with pytest.raises(TypeError, match=r"weighted\(\) got a list"):
        qm.scores.weighted({"red": 1}, [1])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [True, "3", None, np.inf])
def test_what_is_no_distance(wrong: Any) -> None:
    """Texts and bools are no numbers."""
    with pytest.raises(ValueError, match="max_distance="):
        qm.scores.distance_to(cloudy(), max_distance=wrong)
