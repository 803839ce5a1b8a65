"""The scores of best-available-pixel composites, by hand; the arithmetic stands beside them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.bands import band, one_pixel
from tests.support.small import NAN
from tests.support.sources import CountingArray, dates


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


def test_weights_of_an_array_with_bands() -> None:
    """Bands by name, as in a Dataset."""
    array = one_pixel({"red": 0.1, "nir": 0.3}).to_dataarray("band")
    assert qm.scores.weighted({"red": 1, "nir": 1}, array).values[0] == pytest.approx(0.2)
    with pytest.raises(TypeError, match=r"weighted\(\) got a list"):
        qm.scores.weighted({"red": 1}, [1])  # type: ignore[arg-type]


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
