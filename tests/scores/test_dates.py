"""Scores of dates against values that were worked out by hand."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.sources import dates


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
