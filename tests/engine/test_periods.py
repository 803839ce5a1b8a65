"""Periods: a mosaic for each, labelled by its start; one without images is masked in the band's own
dtype and nodata, or left out; attributes say how many images there were.

The oracle knows the calendar by hand, and loops over pixels.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from tests.support.sources import CountingArray, Forbidden, in_store

# not in order, February and April without images; the last second of a month, the first of another
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
MONTHS = {  # the positions of the images of each, in the order of the collection
    "2020-01-01": [1, 3, 5],
    "2020-02-01": [],
    "2020-03-01": [0, 4],
    "2020-04-01": [],
    "2020-05-01": [2],
}
FILLS = {"quality": 0, "red": 0, "scl": 255, "ndvi": np.nan, "doy": 0}


def collection(lazy: bool = False) -> xr.Dataset:
    """Six images of 6 × 8 pixels with many ties; only `scl` declares a nodata."""
    rng = np.random.default_rng(11)
    shape, dims = (6, 6, 8), ("time", "y", "x")
    scl = rng.integers(0, 12, shape).astype("uint8")
    scl[rng.random(shape) < 0.3] = 255
    bands = {
        "quality": (dims, rng.integers(1, 4, shape).astype("int16")),
        "red": (dims, rng.integers(1, 60000, shape).astype("uint16"), {"long_name": "red"}),
        "scl": (dims, scl, {"_FillValue": np.uint8(255)}),
        "ndvi": (dims, rng.random(shape).astype("float32")),
        "doy": ("time", np.array([91, 1, 122, 31, 61, 10], "int16")),
        "elevation": (("y", "x"), rng.random(shape[1:])),
    }
    coords = {
        "time": TIMES,
        "y": -np.arange(6.0),
        "x": np.arange(8.0),
        "id": ("time", list("abcdef")),
    }
    whole = xr.Dataset(bands, coords, {"title": "six images"})
    whole = whole.assign_coords(spatial_ref=((), 0, {"crs_wkt": 'PROJCS["x"]'}))
    if lazy:
        for name in ("quality", "red", "scl", "ndvi"):
            source = CountingArray(whole[name].values)
            data = da.from_array(source, chunks=(1, 3, 4), meta=np.empty((0,) * 3, source.dtype))
            whole[name] = whole[name].copy(data=data)
    return whole


def winners(quality: np.ndarray, places: list[int], last: bool = False) -> np.ndarray:
    """Look for the best of some images at each pixel: its position among all, -1 for none."""
    found = np.full(quality.shape[1:], -1)
    for y, x in np.ndindex(found.shape):
        for place in places:
            best = found[y, x]
            score = quality[place, y, x]
            if best < 0 or score > quality[best, y, x] or (last and score == quality[best, y, x]):
                found[y, x] = place
    return found


def wanted(whole: xr.Dataset, name: str, places: list[int], last: bool = False) -> np.ndarray:
    """Make the mosaic of some images pixel by pixel."""
    band = whole[name].values
    if band.ndim == 1:
        band = np.broadcast_to(band[:, None, None], whole["quality"].shape)
    index = winners(whole["quality"].values, places, last)
    made = np.full(index.shape, FILLS[name], band.dtype)
    for y, x in np.ndindex(index.shape):
        if index[y, x] >= 0:
            made[y, x] = band[index[y, x], y, x]
    return made


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("empty", ["mask", "drop"])
def test_a_mosaic_a_month(lazy: bool, ties: Any, empty: Any) -> None:
    """Every pixel of every month, by hand; ties in the order of the collection; dtypes kept."""
    whole = collection(lazy)
    months = qm.mosaic_by_period(whole, "quality", "MS", ties=ties, empty=empty)
    chosen = {m: p for m, p in MONTHS.items() if p or empty == "mask"}
    np.testing.assert_array_equal(months["time"].values, np.array(list(chosen), "M8[ns]"))
    for name in FILLS:
        assert months[name].dims == ("time", "y", "x")
        assert months[name].dtype == whole[name].dtype
        assert (months[name].chunks is not None) == lazy
        stack = np.stack([wanted(whole, name, p, ties == "last") for p in chosen.values()])
        np.testing.assert_array_equal(months[name].values, stack)


@pytest.mark.parametrize("lazy", [False, True])
def test_what_is_said_of_periods(lazy: bool) -> None:
    """Number of images, first and last time of each along time; of all in the attributes."""
    months = qm.mosaic_by_period(collection(lazy), "quality")
    assert list(months["qmosaic_images"].values) == [3, 0, 2, 0, 1]
    first = ["2020-01-01", "NaT", "2020-03-01", "NaT", "2020-05-01"]
    last = ["2020-01-31T12:00", "NaT", "2020-03-31T23:59:59", "NaT", "2020-05-01"]
    np.testing.assert_array_equal(months["qmosaic_time_first"].values, np.array(first, "M8[ns]"))
    np.testing.assert_array_equal(months["qmosaic_time_last"].values, np.array(last, "M8[ns]"))
    assert months.attrs == {
        "title": "six images",
        "qmosaic_quality_band": "quality",
        "qmosaic_ties": "first",
        "qmosaic_masked": "keep",
        "qmosaic_images": 6,
        "qmosaic_time_first": "2020-01-01T00:00:00",
        "qmosaic_time_last": "2020-05-01T00:00:00",
        "qmosaic_period": "MS",
    }
    assert "id" not in months.coords


@pytest.mark.parametrize("empty", ["mask", "drop"])
def test_an_empty_period_is_declared(empty: Any) -> None:
    """Rule 3: an integer without nodata gets the fill value and says so, in all periods alike;
    without empty periods nothing is masked, and nothing is declared that might mean something."""
    months = qm.mosaic_by_period(collection(), "quality", empty=empty, fill_value=7)
    attrs = {n: b.attrs.get("_FillValue") for n, b in months.data_vars.items() if n != "elevation"}
    declared = 7 if empty == "mask" else None
    assert attrs == {
        "quality": declared,
        "red": declared,
        "scl": 255,
        "ndvi": None,
        "doy": declared,
    }
    if empty == "mask":
        assert (months["red"].values[1] == 7).all()
        assert (months["scl"].values[1] == 255).all()
    assert months["red"].attrs["long_name"] == "red"


@pytest.mark.parametrize("lazy", [False, True])
def test_masked_bands_of_every_kind(lazy: bool) -> None:
    """Dates, bools and texts keep their dtype where a period is empty: NaT, False, nothing."""
    whole = collection()
    dims, shape = ("time", "y", "x"), (6, 6, 8)
    kinds = {
        "taken": (np.full(shape, "2020-01-01", "M8[ns]"), np.datetime64("NaT", "ns")),
        "clear": (np.ones(shape, bool), False),
        "word": (np.full(shape, "abc"), ""),
        "wave": (np.ones(shape, "complex64"), np.complex64(np.nan)),
    }
    whole = whole.assign({name: (dims, values) for name, (values, _) in kinds.items()})
    whole = whole.chunk(time=2, y=3, x=4) if lazy else whole
    months = qm.mosaic_by_period(whole, "quality")
    for name, (values, masked) in kinds.items():
        assert months[name].dtype == values.dtype
        full, empty = months[name].values[0], months[name].values[1]
        np.testing.assert_array_equal(full, values[0])
        np.testing.assert_array_equal(empty, np.full(shape[1:], masked, values.dtype))


def test_what_has_no_time_is_there_once() -> None:
    """An elevation, the CRS, coordinates of the map: as in a single mosaic."""
    whole = collection()
    months = qm.mosaic_by_period(whole, "quality")
    for name in ("elevation", "spatial_ref", "y", "x"):
        xr.testing.assert_identical(
            months[name].reset_coords(drop=True), whole[name].reset_coords(drop=True)
        )


def test_packed_floats_of_an_empty_period() -> None:
    """What is NaN in memory has a value on disk as well, which is declared."""
    whole = collection()[["quality", "ndvi"]]
    whole["ndvi"].encoding = {"dtype": "int16", "scale_factor": 0.0001}
    store = zarr.storage.MemoryStore()
    qm.to_zarr(qm.mosaic_by_period(whole, "quality", fill_value=-9999), store)
    packed = zarr.open_group(store, mode="r")["ndvi"]
    assert packed.dtype == "int16"
    assert (np.asarray(packed[1]) == -9999).all()
    back = qm.open_mosaic(store)["ndvi"]
    assert np.isnan(back.values[1]).all()
    np.testing.assert_allclose(back.values[4], whole["ndvi"].values[2], atol=0.0001)


# -- the calendar --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "times", "starts", "counts"),
    [
        ("MS", ["2019-12-31", "2020-01-01"], ["2019-12-01", "2020-01-01"], [1, 1]),
        ("ME", ["2020-01-31T23:00", "2020-02-01"], ["2020-01-01", "2020-02-01"], [1, 1]),
        (
            "QS-DEC",
            ["2020-01-15", "2020-02-29T23:00", "2020-07-01"],
            ["2019-12-01", "2020-03-01", "2020-06-01"],
            [2, 0, 1],
        ),
        ("QE-NOV", ["2020-01-15", "2020-03-01"], ["2019-12-01", "2020-03-01"], [1, 1]),
        ("YS", ["2018-06-01", "2020-06-01"], ["2018-01-01", "2019-01-01", "2020-01-01"], [1, 0, 1]),
        # 5 January 2020 was a Sunday
        ("W", ["2020-01-05T23:00", "2020-01-06"], ["2019-12-30", "2020-01-06"], [1, 1]),
        (
            "10D",
            ["2020-01-05T10", "2020-01-15", "2020-01-14T23"],
            ["2020-01-05", "2020-01-15"],
            [2, 1],
        ),
        ("D", ["2020-02-28", "2020-03-01"], ["2020-02-28", "2020-02-29", "2020-03-01"], [1, 0, 1]),
        ("2MS", ["2020-01-05", "2020-02-05", "2020-03-05"], ["2020-01-01", "2020-03-01"], [2, 1]),
        (pd.offsets.MonthBegin(), ["2020-01-05"], ["2020-01-01"], [1]),
    ],
)
def test_where_periods_begin(
    period: Any, times: list[str], starts: list[str], counts: list[int]
) -> None:
    """Labelled by their start, whatever pandas calls them; the last moment belongs to them."""
    values = np.arange(1, len(times) + 1, dtype="uint8")[:, None, None]
    whole = xr.Dataset(
        {"q": (("time", "y", "x"), values)}, {"time": np.array(times, "datetime64[ns]")}
    )
    made = qm.mosaic_by_period(whole, "q", period)
    np.testing.assert_array_equal(made["time"].values, np.array(starts, "M8[ns]"))
    assert list(made["qmosaic_images"].values) == counts


def test_times_with_a_zone_are_of_the_month_in_utc() -> None:
    """1 February in Berlin begins in January."""
    times = pd.DatetimeIndex(["2020-02-01T00:30"], tz="Europe/Berlin")
    whole = xr.Dataset({"q": (("time", "y", "x"), np.ones((1, 1, 1), "uint8"))}, {"time": times})
    made = qm.mosaic_by_period(whole, "q")
    np.testing.assert_array_equal(made["time"].values, np.array(["2020-01-01"], "M8[ns]"))


def test_as_xarray_does_where_no_period_is_empty() -> None:
    """The recipe of resample and map gives the same pixels there."""
    whole = collection(lazy=True).drop_vars("id").isel(time=[1, 3, 5]).sortby("time")
    ours = qm.mosaic_by_period(whole, "quality", "20D")
    theirs = whole.resample(time="20D").map(lambda images: qm.quality_mosaic(images, "quality"))
    for name in FILLS:
        np.testing.assert_array_equal(
            ours[name].values, theirs[name].transpose("time", "y", "x").values
        )


# -- provenance, arrays, rules -------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_provenance_counts_among_all_images(lazy: bool) -> None:
    """masked="fill": the band rebuilt from the positions is the band, −1 where there is none."""
    whole = collection(lazy)
    months = qm.mosaic_by_period(whole, "quality", masked="fill")
    index, scl = months["scl_source_index"], whole["scl"].values
    assert index.dims == ("time", "y", "x")
    for number, places in enumerate(MONTHS.values()):
        chosen = index.values[number]
        assert set(np.unique(chosen)) <= {-1, *places}
        rebuilt = np.where(
            chosen < 0, 255, np.take_along_axis(scl, np.maximum(chosen, 0)[None], 0)[0]
        )
        np.testing.assert_array_equal(months["scl"].values[number], rebuilt)
    assert (index.values[1] == -1).all()
    assert "−1" in index.attrs["long_name"] or "-1" in index.attrs["long_name"]


def test_an_array_of_bands() -> None:
    """A DataArray with ``band`` stays one: time, band, y, x."""
    whole = collection()
    array = whole[["quality", "red"]].astype("uint16").to_dataarray("band", name="scenes")
    array = array.transpose("time", "band", "y", "x")
    months = qm.mosaic_by_period(array, "quality")
    assert (months.dims, months.dtype, months.name) == (
        ("time", "band", "y", "x"),
        np.dtype("uint16"),
        "scenes",
    )
    for number, places in enumerate(MONTHS.values()):
        np.testing.assert_array_equal(
            months.sel(band="red").values[number], wanted(whole, "red", places)
        )
    assert months.attrs["qmosaic_images"] == 6
    assert months.attrs["_FillValue"] == 0
    assert list(months["qmosaic_images"].values) == [3, 0, 2, 0, 1]
    xr.testing.assert_identical(array.qmosaic.mosaic_by_period("quality"), months)


def test_rules_reach_every_period() -> None:
    """A threshold masks in a month what it would mask in a mosaic of that month alone."""
    whole = collection()
    months = qm.mosaic_by_period(whole, "quality", min_quality=3, masked="skip")
    march = qm.quality_mosaic(
        whole.isel(time=MONTHS["2020-03-01"]), "quality", min_quality=3, masked="skip"
    )
    for name in FILLS:
        np.testing.assert_array_equal(months[name].values[2], march[name].values)
    assert months.attrs["qmosaic_min_quality"] == 3
    xr.testing.assert_identical(
        whole.qmosaic.mosaic_by_period("quality", min_quality=3, masked="skip"), months
    )


# -- lazy ----------------------------------------------------------------------------------------


def two_years(path: Path) -> tuple[xr.Dataset, Any, dict[str, np.ndarray]]:
    """24 images in a counted store, two in every other month of two years."""
    rng = np.random.default_rng(3)
    shape = (24, 16, 16)
    values = {
        "quality": rng.integers(0, 9, shape).astype("uint8"),
        "red": rng.integers(1, 60000, shape).astype("uint16"),
    }
    whole, store = in_store(values, path)
    days = [
        datetime.datetime(2020 + m // 12, m % 12 + 1, d) for m in range(0, 24, 2) for d in (3, 9)
    ]
    return whole.assign_coords(time=np.array(days, "datetime64[ns]")), store, values


def test_nothing_is_read() -> None:
    """To make it is to record work."""
    data = da.from_array(
        Forbidden((6, 6, 8), "uint16"), chunks=(1, 3, 4), meta=np.empty((0,) * 3, "u2")
    )
    whole = xr.Dataset({"q": (("time", "y", "x"), data)}, {"time": TIMES})
    qm.explain(qm.mosaic_by_period(whole, "q"))


def test_a_block_reads_the_images_of_its_period(tmp_path: Path) -> None:
    """One task a block and period; every quality is read once, of other bands what won; explain
    says so beforehand."""
    whole, store, values = two_years(tmp_path / "in.zarr")
    months = qm.mosaic_by_period(whole, "quality")
    assert months.sizes["time"] == 23
    explanation = qm.explain(months)
    assert (explanation.images, explanation.compared) == (24, 2)
    assert (explanation.blocks, explanation.tasks) == (23 * 4, 23 * 4 + 2)
    assert explanation.deferred
    assert explanation.quality_bytes == values["quality"].nbytes
    assert "24, of which at most 2 are compared" in str(explanation)
    store.reads.clear()
    qm.to_zarr(months, tmp_path / "out.zarr")
    assert sorted(store.chunks("quality").values()) == [1] * (24 * 4)
    won = set()
    for first in range(0, 24, 2):
        better = values["quality"][first + 1] > values["quality"][first]
        for y, x in np.ndindex(2, 2):
            for second in np.unique(better[8 * y : 8 * y + 8, 8 * x : 8 * x + 8]):
                won.add(f"red/c/{first + int(second)}/{y}/{x}")
    assert set(store.chunks("red")) == won
    back = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    xr.testing.assert_equal(back.compute(), months.compute())
    assert back["red"].dtype == "uint16"
    assert back.attrs["qmosaic_images"] == 24


def test_an_interrupted_writing_goes_on(tmp_path: Path) -> None:
    """By block and period: what is complete is not made again, and the result is the same."""
    whole, store, _ = two_years(tmp_path / "in.zarr")
    months = qm.mosaic_by_period(whole, "quality")

    def stop(progress: qm.Progress) -> None:
        if progress.done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        qm.to_zarr(months, tmp_path / "out.zarr", progress=stop)
    store.reads.clear()
    again = qm.mosaic_by_period(whole, "quality")
    qm.to_zarr(again, tmp_path / "out.zarr", mode="resume")
    assert 0 < len(store.chunks("quality")) < 24 * 4
    back = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    xr.testing.assert_equal(back.compute(), months.compute())
    other = qm.mosaic_by_period(whole, "quality", "2MS")
    with pytest.raises(ValueError, match="rules: qmosaic_period"):
        qm.to_zarr(other, tmp_path / "out.zarr", mode="resume")


def test_what_lives_in_memory_is_explained_rightly() -> None:
    """Where blocks are ordinary tasks, the images of all periods are counted as well."""
    whole = collection().drop_vars("doy").chunk(time=1, y=3, x=4)
    explanation = qm.explain(qm.mosaic_by_period(whole, "quality"))
    assert not explanation.deferred
    assert (explanation.images, explanation.compared) == (6, 3)
    explanation = qm.explain(qm.quality_mosaic(whole, "quality", masked="fill"))
    assert (explanation.images, explanation.compared) == (6, 6)


def test_windows_of_time_are_jobs_of_their_own(tmp_path: Path) -> None:
    """One mosaic and one block a job, though windows share images; explain says that these are
    read for each window, and why."""
    whole, store, _ = two_years(tmp_path / "in.zarr")
    windows = qm.quality_mosaic(whole, "quality", period="MS", rolling="3MS")
    explanation = qm.explain(windows)
    assert explanation.blocks == 23 * 4
    assert explanation.block["time"] == 1
    assert explanation.overlapping
    assert "images are of several windows of time" in str(explanation)
    assert "other borders" not in str(explanation)
    store.reads.clear()
    qm.to_zarr(windows, tmp_path / "out.zarr", progress=False)
    reads = store.chunks("quality")
    assert sum(reads.values()) == explanation.quality_chunks
    assert not qm.explain(qm.quality_mosaic(whole, "quality", period="MS")).overlapping


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (lambda c: c, {"period": "fortnight"}, ValueError, "no period of time.*'MS'"),
        (lambda c: c, {"period": None}, ValueError, "no period of time"),
        (lambda c: c, {"period": "-1MS"}, ValueError, "no period of time"),
        (lambda c: c, {"period": "2ME"}, ValueError, "named by its end.*'2MS'"),
        (lambda c: c, {"period": "BME"}, ValueError, "named by its end"),
        (lambda c: c, {"empty": "skip"}, ValueError, "empty='skip'"),
        (lambda c: c, {"ties": "best"}, ValueError, "ties='best'"),
        (lambda c: c, {"fill_value": -1}, ValueError, "fill_value=-1 does not fit"),
        (lambda c: c, {"quality_band": "cloud"}, KeyError, "no band 'cloud'"),
        (lambda c: c.drop_vars("time"), {}, TypeError, "has no coordinate"),
        (lambda c: c.assign_coords(time=range(6)), {}, TypeError, "dtype int64"),
        (lambda c: c.isel(time=slice(0, 0)), {}, ValueError, "zero images"),
        (lambda c: c.isel(time=0), {}, ValueError, "no dimension 'time'"),
        (lambda c: [c], {}, TypeError, "got a list"),
    ],
)
def test_what_cannot_be(change: Any, arguments: Any, error: type[Exception], message: str) -> None:
    """The error says what came, why it cannot be, and what to write."""
    given = {"quality_band": "quality"} | arguments
    with pytest.raises(error, match=message):
        qm.mosaic_by_period(change(collection()), **given)


def test_images_without_a_time() -> None:
    """They are of no period; the error names them, and what it says to write works."""
    times = TIMES.copy()
    times[2] = np.datetime64("NaT")
    whole = collection().assign_coords(time=times)
    with pytest.raises(ValueError, match=r"images at 2 along 'time' have no time.*notnull"):
        qm.mosaic_by_period(whole, "quality")
    kept = whole.isel(time=whole["time"].notnull().values)
    assert list(qm.mosaic_by_period(kept, "quality")["qmosaic_images"].values) == [3, 0, 2]


def test_times_of_another_calendar() -> None:
    """30 February is in no month of pandas; the error names a way."""
    pytest.importorskip("cftime")
    days = xr.date_range("2020-02-28", periods=6, calendar="360_day", use_cftime=True)
    strange = collection().assign_coords(time=days)
    with pytest.raises(TypeError, match=r"another calendar.*convert_calendar.*align_on='date'"):
        qm.mosaic_by_period(strange, "quality")
    ours = strange.convert_calendar("standard", dim="time", align_on="date")
    assert list(qm.mosaic_by_period(ours, "quality", "MS")["qmosaic_images"].values) == [2, 3]


def test_more_periods_than_can_be_made() -> None:
    """A period of a second by mistake is refused at once, and says how many there would be."""
    times = np.array(["2020-01-01", "2021-01-01"], "datetime64[ns]")
    collection = xr.Dataset({"q": (("time", "x"), np.ones((2, 3), "uint8"))}, {"time": times})
    for period in ("1s", "min"):
        with pytest.raises(ValueError, match=r"into about \d+ periods, for 2 images.*'D'"):
            qm.mosaic_by_period(collection, "q", period)
    assert qm.mosaic_by_period(collection, "q", "D", empty="drop").sizes["time"] == 2
