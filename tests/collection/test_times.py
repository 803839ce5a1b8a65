"""Times with a zone are brought to UTC, wherever a collection comes in."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic import ee

BERLIN = ZoneInfo("Europe/Berlin")
LOCAL = [datetime.datetime(2020, 1, 1, tzinfo=BERLIN), datetime.datetime(2020, 7, 1, tzinfo=BERLIN)]
UTC = np.array(["2019-12-31T23:00", "2020-06-30T22:00"], "datetime64[ns]")  # winter and summer time

FORMS = {
    "index of pandas": pd.DatetimeIndex(LOCAL),
    "extension array": pd.DatetimeIndex(LOCAL).array,
    "objects of Python": np.array(LOCAL, object),
    "objects of pandas": np.array([pd.Timestamp(one) for one in LOCAL], object),
    "a zone each": np.array([LOCAL[0], LOCAL[1].astimezone(ZoneInfo("Asia/Tokyo"))], object),
    "one without zone, which is UTC": np.array(
        [LOCAL[0], datetime.datetime(2020, 6, 30, 22)], object
    ),
}


def collection_at(times: Any) -> xr.Dataset:
    """Two images of two pixels, the second the better one."""
    values = np.array([[[1, 2]], [[3, 4]]], "uint8")
    bands = {"q": (("time", "y", "x"), values)}
    return xr.Dataset(bands, {"time": ("time", times), "taken": ("time", times)})


@pytest.fixture(params=FORMS)
def zoned(request: pytest.FixtureRequest) -> xr.Dataset:
    """A collection whose times tell a zone, in each form that xarray takes."""
    return collection_at(FORMS[request.param])


def test_filters_bring_times_to_utc(zoned: xr.Dataset) -> None:
    """Periods are UTC: 1 January in Berlin begins in the year before. The input is not changed."""
    before = zoned.copy()
    old = qm.filter_date(zoned, "2019")
    np.testing.assert_array_equal(old["time"].values, UTC[:1])
    np.testing.assert_array_equal(old["taken"].values, UTC[:1])
    assert qm.filter_date(zoned, "2020-06-30T22:00", "2020-06-30T22:01").sizes["time"] == 1
    np.testing.assert_array_equal(qm.select(zoned, "q")["time"].values, UTC)
    xr.testing.assert_identical(zoned, before)


def test_map_images_sees_utc(zoned: xr.Dataset) -> None:
    """The function gets times that it can count with."""
    mapped = qm.map_images(zoned, lambda c: c.assign(doy=c["time"].dt.dayofyear))
    assert list(mapped["doy"].values) == [365, 182]


def test_scores_of_dates(zoned: xr.Dataset) -> None:
    """Distances are those to the UTC instant: 23 hours from midnight, 0 from the own day."""
    near = qm.scores.target_date(zoned, "2019-12-31", sigma=1)
    assert near.values[0] == pytest.approx(np.exp(-((23 / 24) ** 2) / 2))
    np.testing.assert_array_equal(near["time"].values, UTC)
    of_coordinate = qm.scores.target_date(zoned["time"], "2019-12-31", sigma=1)
    np.testing.assert_array_equal(of_coordinate.values, near.values)
    assert qm.scores.target_day_of_year(zoned, 182, sigma=1).values[1] == 1


@pytest.mark.parametrize("lazy", [False, True])
def test_the_record_of_a_mosaic(zoned: xr.Dataset, lazy: bool) -> None:
    """First and last time in UTC, in the form of any other mosaic; it can be written."""
    if lazy:  # band by band: xarray itself cannot chunk times of pandas
        zoned = zoned.assign(q=zoned["q"].variable.chunk(time=1))
    mosaic = qm.quality_mosaic(zoned, "q")
    assert mosaic.attrs["qmosaic_time_first"] == "2019-12-31T23:00:00"
    assert mosaic.attrs["qmosaic_time_last"] == "2020-06-30T22:00:00"
    store = zarr.storage.MemoryStore()
    qm.to_zarr(mosaic, store)
    np.testing.assert_array_equal(qm.open_mosaic(store)["q"].values, [[3, 4]])


def test_words_of_earth_engine(zoned: xr.Dataset) -> None:
    """``ee`` counts in UTC as well."""
    collection = ee.ImageCollection(zoned)
    assert collection.filterDate("2019-12-31", "2020-01-01").size() == 1
    millis = UTC[0].astype("M8[ms]").astype(int)
    assert ee.Image(collection.first()).date().millis() == millis


def test_an_array_of_bands() -> None:
    """The DataArray's coordinate as the Dataset's."""
    array = collection_at(pd.DatetimeIndex(LOCAL)).drop_vars("taken").to_dataarray("band")
    mosaic = qm.quality_mosaic(array, "q")
    assert mosaic.attrs["qmosaic_time_first"] == "2019-12-31T23:00:00"


def test_missing_times_stay_missing() -> None:
    """An image without a time is of no period; the others are found."""
    times = np.array([LOCAL[0], pd.NaT], object)
    kept = qm.filter_date(collection_at(times), "2019")
    np.testing.assert_array_equal(kept["time"].values, UTC[:1])


def test_what_is_no_time_stays_as_it_is() -> None:
    """Texts and times of other calendars are not touched, and the error names a way that works."""
    texts = collection_at(np.array(["2020-01-01", "2020-07-01"], object))
    with pytest.raises(TypeError, match=r"dtype object.*pandas\.to_datetime"):
        qm.filter_date(texts, "2020")
    pytest.importorskip("cftime")
    days = xr.date_range("2020-02-29", periods=2, calendar="360_day", use_cftime=True)
    with pytest.raises(TypeError, match=r"another calendar.*sel\(time=slice"):
        qm.filter_date(collection_at(days), "2020")
