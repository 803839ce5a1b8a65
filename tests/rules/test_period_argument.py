"""A mosaic for each period: months, seasons, intervals between edges, groups of xarray, windows
that overlap. Each is the mosaic of its images alone, labelled by its start; one without images is
masked in the band's own dtype and nodata, or left out. Positions are those among all images.

The calendar is written out by hand; pixels are what the loop of `tests.support.choices` finds.
"""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xarray import groupers

import qmosaic as qm
from tests.support.choice_strategies import DAY_ONE, Wide, wide_cases
from tests.support.choices import (
    Choice,
    mosaic,
    one_behind_the_other,
    source_index,
    told_of,
    valid_count,
)
from tests.support.interrupted import interrupted
from tests.support.job import content
from tests.support.oracle import Band, assert_same
from tests.support.small import BACKENDS, LAZY, MASKED, TIES
from tests.support.sources import in_store

NAT = np.datetime64("NaT", "ns")

# not in order; February and April without images, the last moment of a month, the first of another
TIMES = np.array(
    [
        "2020-03-31T23:59:59",
        "2020-01-01T00:00:00",
        "2020-05-01T00:00:00",
        "2020-01-31T12:00:00",
        "2020-03-01T00:00:00",
        "2020-01-10T12:00:00",
    ],
    "datetime64[ns]",
)

KINDS = pytest.mark.parametrize(("empty", "backend"), [("mask", "dask"), ("drop", "numpy")])

Periods = dict[str, list[int]]
"""The start of each period, and the positions of its images in the order of the collection."""

MONTHS: Periods = {
    "2020-01-01": [1, 3, 5],
    "2020-02-01": [],
    "2020-03-01": [0, 4],
    "2020-04-01": [],
    "2020-05-01": [2],
}


def bands_of() -> dict[str, Band]:
    """Make bands with ties and holes: only `scl` declares a nodata."""
    rng = np.random.default_rng(4)
    shape, dims = (6, 4, 6), ("time", "y", "x")
    quality = rng.integers(1, 4, shape).astype("float32")
    quality[rng.random(shape) < 0.2] = np.nan
    scl = rng.integers(0, 4, shape).astype("uint8")
    scl[rng.random(shape) < 0.3] = 255
    return {
        "quality": Band(dims, quality),
        "second": Band(dims, rng.integers(0, 3, shape).astype("int8")),
        "red": Band(dims, rng.integers(1, 60000, shape).astype("uint16")),
        "scl": Band(dims, scl, np.uint8(255)),
        "doy": Band(("time",), np.array([91, 1, 122, 31, 61, 10], "int16")),
    }


def collection(lazy: bool = False, chunks: Any = None) -> xr.Dataset:
    """Make the collection of these bands."""
    data = {
        name: (band.dims, band.values, {} if band.nodata is None else {"_FillValue": band.nodata})
        for name, band in bands_of().items()
    }
    made = xr.Dataset(
        {**data, "elevation": (("y", "x"), np.ones((4, 6)))},
        {"time": TIMES, "id": ("time", np.array(list("abcdef"), object)), "y": -np.arange(4.0)},
        {"title": "six images"},
    )
    return made.chunk(chunks or {"time": 1, "y": 2, "x": 4}) if lazy else made


def compare(
    got: xr.Dataset, choice: Choice, periods: Periods, bands: dict[str, Band] | None = None
) -> None:
    """Compare every period with the mosaic of its images alone."""
    got, bands = got.compute(), bands or bands_of()
    starts = np.array(list(periods), "M8[ns]")
    np.testing.assert_array_equal(got["time"].values, starts)
    own = [choice.of(places) for places in periods.values()]
    made = [mosaic(bands, one) for one in own]
    for name in bands:
        assert got[name].dims[0] == "time"
        assert_same(got[name], one_behind_the_other([one[name] for one in made], "time"))
    if "valid_count" in got.coords:
        counts = one_behind_the_other([valid_count(bands, one) for one in own], "time")
        assert_same(got["valid_count"], counts)
    if "source_index" in got.coords:
        index = one_behind_the_other([source_index(bands, one) for one in own], "time")
        assert_same(got["source_index"], index)
    assert list(got["qmosaic_images"].values) == [len(places) for places in periods.values()]


@LAZY
@pytest.mark.parametrize(("ties", "empty"), [("first", "mask"), ("last", "drop")])
@MASKED
def test_months(lazy: bool, ties: Any, masked: Any, empty: Any) -> None:
    """Each is the mosaic of its images alone, whatever the rules; those without images are masked
    or left out."""
    asked = ["source_index", "valid_count"]
    months = qm.quality_mosaic(
        collection(lazy),
        "quality",
        period="MS",
        ties=ties,
        masked=masked,
        empty=empty,
        provenance=asked,
    )
    wanted = {start: places for start, places in MONTHS.items() if places or empty == "mask"}
    choice = Choice(("quality",), ties, masked)
    compare(months, choice, wanted)
    if masked == "fill":
        for name in ("quality", "scl"):
            made = [mosaic(bands_of(), choice.of(p))[name] for p in wanted.values()]
            index = months[f"{name}_source_index"].transpose("time", "y", "x")
            np.testing.assert_array_equal(index.values, np.stack([one.image for one in made]))
    assert (months["red"].chunks is not None) == lazy


@LAZY
def test_the_function_of_periods_is_the_same(lazy: bool) -> None:
    """`mosaic_by_period` is ``quality_mosaic(period=...)``, months by default."""
    c = collection(lazy)
    for more in ({}, {"provenance": True}, {"empty": "drop", "masked": "fill"}):
        xr.testing.assert_identical(
            qm.mosaic_by_period(c, "quality", **more).compute(),
            qm.quality_mosaic(c, "quality", period="MS", **more).compute(),
        )


@BACKENDS
def test_where_each_pixel_comes_from(backend: str) -> None:
    """Positions among all images, their times, what coordinates say; nothing in an empty month."""
    c = collection(backend == "dask")
    months = qm.quality_mosaic(
        c,
        "quality",
        period="MS",
        provenance=["source_index", "source_time", "valid_count", "id"],
    )
    own = [Choice(("quality",)).of(places) for places in MONTHS.values()]
    index = one_behind_the_other([source_index(bands_of(), one) for one in own], "time")
    assert_same(months["source_index"], index)
    assert_same(months["source_time"], told_of(index, TIMES, NAT))
    assert_same(months["id"], told_of(index, c["id"].values, ""))
    assert (months["source_index"].values[1] == -1).all()
    assert (months["valid_count"].values[1] == 0).all()
    assert np.isnat(months["source_time"].values[1]).all()
    assert set(np.unique(months["source_index"].values[4])) <= {-1, 2}


@LAZY
def test_several_quality_bands(lazy: bool) -> None:
    """Equals of a month are decided by the second band."""
    months = qm.quality_mosaic(
        collection(lazy), ["quality", "second"], period="MS", provenance=True, ties="last"
    )
    compare(months, Choice(("quality", "second"), "last"), MONTHS)


@LAZY
@pytest.mark.parametrize("masked", ["keep", "skip"])
def test_a_threshold(lazy: bool, masked: Any) -> None:
    """Rule 4, in every period."""
    months = qm.quality_mosaic(
        collection(lazy), "quality", period="MS", min_quality=2, masked=masked, provenance=True
    )
    compare(months, Choice(("quality",), masked=masked, min_quality=2), MONTHS)


@LAZY
@TIES
def test_an_upper_bound(lazy: bool, ties: Any) -> None:
    """It ends the search in a period, and changes neither pixels nor counts."""
    months = qm.quality_mosaic(
        collection(lazy), "quality", period="MS", upper_bound=3, ties=ties, provenance=True
    )
    compare(months, Choice(("quality",), ties), MONTHS)


# -- what a period can be --------------------------------------------------------------------------

SEASONS: Periods = {"2019-12-01": [1, 3, 5], "2020-03-01": [0, 2, 4]}

PERIODS: dict[str, tuple[Any, Periods]] = {
    "seasons": ("QS-DEC", SEASONS),
    "an offset": (pd.offsets.MonthBegin(), MONTHS),
    "two months": ("2MS", {"2020-01-01": [1, 3, 5], "2020-03-01": [0, 4], "2020-05-01": [2]}),
    "years": ("YS", {"2020-01-01": [0, 1, 2, 3, 4, 5]}),
    "months by their end": ("ME", MONTHS),
    "a grouper": (groupers.TimeResampler("MS"), MONTHS),
    "a grouper of seasons": (groupers.TimeResampler("QS-DEC"), SEASONS),
    "days": (
        "20D",
        {
            "2020-01-01": [1, 5],
            "2020-01-21": [3],
            "2020-02-10": [],
            "2020-03-01": [4],
            "2020-03-21": [0],
            "2020-04-10": [],
            "2020-04-30": [2],
        },
    ),
}

AS_TEXTS = ["2020-01-01", "2020-01-10T12:00", "2020-02-01", "2020-04-01"]
BETWEEN: Periods = {
    "2020-01-01": [1],
    "2020-01-10T12:00": [3, 5],
    "2020-02-01": [0, 4],
}
for name, edges in {
    "edges as texts": AS_TEXTS,
    "edges as times": list(pd.DatetimeIndex(AS_TEXTS)),
    "edges as an index": pd.DatetimeIndex(AS_TEXTS),
    "edges as an array": np.array(AS_TEXTS, "M8[s]"),
    "edges as dates": [
        datetime.datetime(2020, 1, 1),
        datetime.datetime(2020, 1, 10, 12),
        datetime.datetime(2020, 2, 1),
        datetime.datetime(2020, 4, 1),
    ],
}.items():
    PERIODS[name] = (edges, BETWEEN)
PERIODS["edges around nothing"] = (
    ["2018-01-01", "2019-01-01", "2020-01-15", "2020-01-16", "2021-01-01", "2022-01-01"],
    {
        "2018-01-01": [],
        "2019-01-01": [1, 5],
        "2020-01-15": [],
        "2020-01-16": [0, 2, 3, 4],
        "2021-01-01": [],
    },
)


@pytest.mark.parametrize("name", PERIODS)
@KINDS
def test_periods_of_every_kind(name: str, empty: Any, backend: str) -> None:
    """An offset of pandas; a sequence of edges, [a, b) each, where images outside belong to none;
    a grouper of xarray that resamples."""
    period, wanted = PERIODS[name]
    wanted = {start: places for start, places in wanted.items() if places or empty == "mask"}
    made = qm.quality_mosaic(
        collection(backend == "dask"), "quality", period=period, empty=empty, provenance=True
    )
    compare(made, Choice(("quality",)), wanted)
    if empty == "mask" and not all(wanted.values()):
        assert made["red"].attrs["_FillValue"] == 0


@BACKENDS
def test_seasons_of_xarray(backend: str) -> None:
    """`SeasonResampler`, where xarray has it: seasons of any length; one that is not complete is
    no period unless it is asked for."""
    if not hasattr(groupers, "SeasonResampler"):
        pytest.skip("this xarray has no SeasonResampler")
    c = collection(backend == "dask")
    seasons = groupers.SeasonResampler(["DJF", "MAM", "JJASON"], drop_incomplete=False)
    made = qm.quality_mosaic(c, "quality", period=seasons, provenance=True)
    compare(made, Choice(("quality",)), SEASONS)
    months = groupers.SeasonResampler(["JF", "MA", "MJJASOND"], drop_incomplete=False)
    made = qm.quality_mosaic(c, "quality", period=months, provenance=True)
    wanted = {"2020-01-01": [1, 3, 5], "2020-03-01": [0, 4], "2020-05-01": [2]}
    compare(made, Choice(("quality",)), wanted)


THREE_MONTHS: Periods = {
    "2020-01-01": [0, 1, 3, 4, 5],
    "2020-02-01": [0, 4],
    "2020-03-01": [0, 2, 4],
    "2020-04-01": [2],
    "2020-05-01": [2],
}
WINDOWS: dict[str, tuple[Any, Any, Periods]] = {
    "three months": ("MS", "3MS", THREE_MONTHS),
    "three periods": ("MS", 3, THREE_MONTHS),
    "forty days": (
        "MS",
        "40D",
        {
            "2020-01-01": [1, 3, 5],
            "2020-02-01": [4],
            "2020-03-01": [0, 4],
            "2020-04-01": [2],
            "2020-05-01": [2],
        },
    ),
    "an offset": (
        pd.offsets.MonthBegin(),
        pd.Timedelta(days=40),
        {
            "2020-01-01": [1, 3, 5],
            "2020-02-01": [4],
            "2020-03-01": [0, 4],
            "2020-04-01": [2],
            "2020-05-01": [2],
        },
    ),
    "a year from December on": (
        "QS-DEC",
        "1YS",
        {"2019-12-01": [0, 1, 2, 3, 4, 5], "2020-03-01": [0, 2, 4]},
    ),
    "a month from any day on": (
        "30D",
        "MS",
        {
            "2020-01-01": [1, 3, 5],
            "2020-01-31": [3],
            "2020-03-01": [0, 4],
            "2020-03-31": [0],
            "2020-04-30": [2],
        },
    ),
    "shorter than the step": (
        "MS",
        "10D",
        {
            "2020-01-01": [1, 5],
            "2020-02-01": [],
            "2020-03-01": [4],
            "2020-04-01": [],
            "2020-05-01": [2],
        },
    ),
}
# ten days from 1 January on end with 10 January: its image is in them


@pytest.mark.parametrize("name", WINDOWS)
@KINDS
def test_windows_that_overlap(name: str, empty: Any, backend: str) -> None:
    """A mosaic every period, of the images from its label on, for the length of a window."""
    period, rolling, wanted = WINDOWS[name]
    wanted = {start: places for start, places in wanted.items() if places or empty == "mask"}
    made = qm.quality_mosaic(
        collection(backend == "dask"),
        "quality",
        period=period,
        rolling=rolling,
        empty=empty,
        provenance=True,
    )
    compare(made, Choice(("quality",)), wanted)


@pytest.mark.parametrize("masked", ["skip", "fill"])
@TIES
def test_rules_in_windows(masked: Any, ties: Any) -> None:
    """An image may win in one window and lose in another, by any rule."""
    period, rolling, wanted = WINDOWS["three months"]
    made = qm.quality_mosaic(
        collection(True),
        ["quality", "second"],
        period=period,
        rolling=rolling,
        masked=masked,
        ties=ties,
        provenance=["valid_count"],
    )
    compare(made, Choice(("quality", "second"), ties, masked), wanted)


@st.composite
def _periods(draw: st.DrawFn, wide: Wide) -> tuple[dict[str, Any], Periods]:
    """Draw a division of some days, and say by hand which images are of each period."""

    def day(number: int) -> str:
        return (DAY_ONE + datetime.timedelta(days=number)).isoformat()

    kind = draw(st.sampled_from(["days", "edges", "windows"]))
    if kind == "edges":
        borders = sorted(draw(st.sets(st.integers(-2, 7), min_size=2, max_size=5)))
        spans = list(itertools.pairwise(borders))
        arguments: dict[str, Any] = {"period": [day(n) for n in borders]}
    else:
        step = draw(st.integers(1, 3))
        length = step if kind == "days" else draw(st.integers(1, 4))
        spans = [(n, n + length) for n in range(min(wide.days), max(wide.days) + 1, step)]
        arguments = {"period": f"{step}D"}
        if kind == "windows":
            arguments["rolling"] = f"{length}D"
    empty = draw(st.sampled_from(["mask", "drop"]))
    found = {
        day(low): [t for t, n in enumerate(wide.days) if low <= n < high] for low, high in spans
    }
    return arguments | {"empty": empty}, {
        start: places for start, places in found.items() if places or empty == "mask"
    }


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_any_collection(data: st.DataObject) -> None:
    """Any dtype, nodata, tie, mask rule, packing, threshold, chunks, order of dimensions and of
    times; days, edges and windows; one quality or two."""
    wide = data.draw(wide_cases(qualities=data.draw(st.integers(1, 2))))
    arguments, wanted = data.draw(_periods(wide))
    if not any(wanted.values()):
        return  # an error, which has its own test
    options = wide.case.options()
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.quality_mosaic(
                wide.collection(lazy=lazy),
                wide.quality_band,
                provenance=["source_index", "valid_count"],
                **options,
                **arguments,
            )
            compare(got, wide.choice(), wanted, wide.bands)


# -- what is said of periods -----------------------------------------------------------------------


@LAZY
def test_attributes_of_each_period(lazy: bool) -> None:
    """Number of images, first and last time along time; those of all in the attributes."""
    made = qm.quality_mosaic(collection(lazy), "quality", period="MS", rolling="3MS")
    assert list(made["qmosaic_images"].values) == [5, 2, 3, 1, 1]
    first = ["2020-01-01", "2020-03-01", "2020-03-01", "2020-05-01", "2020-05-01"]
    last = ["2020-03-31T23:59:59", "2020-03-31T23:59:59", *["2020-05-01"] * 3]
    np.testing.assert_array_equal(made["qmosaic_time_first"].values, np.array(first, "M8[ns]"))
    np.testing.assert_array_equal(made["qmosaic_time_last"].values, np.array(last, "M8[ns]"))
    assert made.attrs["qmosaic_images"] == 6
    assert "MS" in made.attrs["qmosaic_period"]
    assert "3MS" in made.attrs["qmosaic_period"]
    assert made.attrs["title"] == "six images"
    np.testing.assert_array_equal(made["elevation"].values, np.ones((4, 6)))


@pytest.mark.parametrize("name", ["edges as texts", "a grouper of seasons"])
def test_the_period_is_recorded_and_can_be_written(name: str, tmp_path: Path) -> None:
    """Whatever kind it is of: an attribute that Zarr can hold, the same for the same periods."""
    period, _ = PERIODS[name]
    made = qm.quality_mosaic(collection(True), "quality", period=period)
    said = made.attrs["qmosaic_period"]
    qm.to_zarr(made, tmp_path / "out.zarr", progress=False)
    back = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    found = back.attrs["qmosaic_period"]
    assert found == said or list(found) == list(said)
    xr.testing.assert_equal(back.compute(), made.compute())
    qm.to_zarr(made, tmp_path / "out.zarr", mode="resume", progress=False)
    other = qm.quality_mosaic(collection(True), "quality", period="YS")
    with pytest.raises(ValueError, match=r"qmosaic_period|another"):
        qm.to_zarr(other, tmp_path / "out.zarr", mode="resume", progress=False)


@LAZY
@pytest.mark.parametrize("masked", ["keep", "fill"])
def test_an_array_of_bands(lazy: bool, masked: Any) -> None:
    """A DataArray with ``band`` stays one, time first; with the same provenance."""
    images = collection()[["quality", "second", "red"]].astype("float32")
    images = images.chunk(time=1, y=2, x=4) if lazy else images
    array = images.to_dataarray("band", name="scenes")
    rules = {"period": "MS", "masked": masked, "provenance": True, "rolling": "2MS"}
    made = qm.quality_mosaic(array, ["quality", "second"], **rules)
    apart = qm.quality_mosaic(images, ["quality", "second"], **rules)
    assert made.dims[0] == "time"
    assert set(made.dims) == {"time", "band", "y", "x"}
    assert (made.name, made.dtype) == ("scenes", np.dtype("float32"))
    for name in ("quality", "second", "red"):
        np.testing.assert_array_equal(made.sel(band=name).values, apart[name].values)
    assert "valid_count" in apart.coords
    for name in set(apart.coords) - set(images.coords):
        np.testing.assert_array_equal(made[name].values, apart[name].values)


CHUNKS: dict[str, Any] = {
    "irregular": {"time": (1, 3, 2), "y": (3, 1), "x": (2, 4)},
    "images together": {"time": -1, "y": 2, "x": 4},
    "one chunk": {"time": -1, "y": -1, "x": -1},
}


@pytest.mark.parametrize("masked", ["keep", "fill"])
@pytest.mark.parametrize("name", [*CHUNKS, "persisted", "a band in memory", "cut"])
def test_chunks_do_not_matter(name: str, masked: Any) -> None:
    """Rules 10 and 11: as in memory."""
    images = collection(True, CHUNKS.get(name))
    if name == "persisted":
        images = images.persist()
    elif name == "a band in memory":
        images["red"] = images["red"].compute()
    elif name == "cut":
        images = images.isel(y=slice(1, 4), x=slice(1, 6))
    rules = {"period": "MS", "rolling": "2MS", "provenance": True, "masked": masked}
    eager = qm.quality_mosaic(images.compute(), "quality", **rules)
    lazy = qm.quality_mosaic(images, "quality", **rules)
    xr.testing.assert_identical(lazy.compute(), eager)


def test_nothing_is_computed() -> None:
    """Rule 9."""
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        made = qm.quality_mosaic(
            collection(True), "quality", period="MS", rolling="3MS", provenance=True
        )
    assert made["source_index"].chunks is not None


# -- written ---------------------------------------------------------------------------------------


def test_windows_are_gone_on_with(tmp_path: Path) -> None:
    """By block and period: what is complete is not made again, the bytes are those of one run."""
    rng = np.random.default_rng(1)
    shape = (6, 16, 16)
    values = {
        "quality": rng.integers(0, 9, shape).astype("uint8"),
        "red": rng.integers(1, 60000, shape).astype("uint16"),
    }
    images, store = in_store(values, tmp_path / "in.zarr")
    images = images.assign_coords(time=TIMES)
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"

    def make() -> xr.Dataset:
        return qm.quality_mosaic(images, "quality", period="MS", rolling="2MS", provenance=True)

    small: Any = {"block_bytes": 1}  # no period is joined with the next
    qm.to_zarr(make(), whole, progress=False, **small)
    interrupted(make(), out, blocks=9, **small)
    store.reads.clear()
    told: list[qm.Progress] = []
    qm.to_zarr(make(), out, mode="resume", progress=told.append, **small)
    assert told[0].resumed == 9
    assert told[-1].done == told[-1].total == 5 * 4
    assert content(out) == content(whole)
    # nine of the twenty blocks are there: the first two months, of which the first has most images
    assert sum(store.chunks("quality").values()) < 4 * (3 + 2 + 2 + 1 + 1)
    eager = qm.quality_mosaic(
        images.compute(), "quality", period="MS", rolling="2MS", provenance=True
    )
    back = qm.open_mosaic(out, mask_and_scale=False).compute()
    for name in ("red", "quality", "source_index", "source_time", "valid_count"):
        assert back[name].dtype == eager[name].dtype
        np.testing.assert_array_equal(back[name].values, eager[name].values, name)


def test_seasons_that_xarray_numbers_wrongly_are_refused() -> None:
    """Where a season has no image, xarray's numbers put later images into earlier seasons."""
    if not hasattr(groupers, "SeasonResampler"):
        pytest.skip("this xarray has no SeasonResampler")
    days = ["2019-12-05", "2020-01-31", "2020-03-01", "2020-07-20", "2021-01-02"]
    c = xr.Dataset({"q": (("time", "y", "x"), np.ones((5, 1, 1)))}, {"time": pd.to_datetime(days)})
    seasons = ["DJF", "MAM", "JJA", "SON"]
    with pytest.raises(ValueError, match=r"without leaving room.*'QS-DEC'"):
        qm.quality_mosaic(c, "q", period=groupers.SeasonResampler(seasons, drop_incomplete=False))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"period": [2019, 2020, 2021]}, "a year is '2020'"),
        ({"period": pd.DateOffset(months=1)}, "without a beginning.*'MS'"),
        ({"period": "YS", "rolling": "1D", "empty": "drop"}, "leave none of 2 images"),
        ({"period": "W", "rolling": 2}, "named by its end.*'7D'"),
        ({"empty": "drop"}, "period= is left out"),
    ],
)
def test_periods_that_cannot_be(arguments: Any, said: str) -> None:
    """Refused before anything is computed, with what to write."""
    days = np.array(["2020-02-05", "2020-03-31"], "M8[ns]")
    c = xr.Dataset({"q": (("time", "y", "x"), np.ones((2, 1, 1)))}, {"time": days})
    with pytest.raises(ValueError, match=said):
        qm.quality_mosaic(c, "q", **arguments)
