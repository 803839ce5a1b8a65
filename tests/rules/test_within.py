"""`within=`: all images whose quality is close to the best, reduced band by band."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import dask.local
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qmosaic as qm
from qmosaic.engine import bands
from qmosaic.engine.reducing import reduce_block
from qmosaic.engine.within import Near
from tests.support.composites import reduced_mosaic
from tests.support.oracle import Band, Want
from tests.support.sources import CountingArray, as_dataset, chunked, in_store, random_stack
from tests.support.strategies import Case, cases

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def assert_reduced(got: xr.DataArray, want: Want, reducer: Any) -> None:
    """Compare dtype, dimensions and values; interpolated floats up to the last bits."""
    assert got.dtype == want.values.dtype
    assert set(got.dims) == set(want.dims)
    values = got.transpose(*want.dims).values
    if values.dtype.kind != "f" or reducer in ("median", "mean"):
        np.testing.assert_array_equal(values, want.values)
    else:
        rtol = 4 * float(np.finfo(values.dtype).eps)
        np.testing.assert_allclose(values, want.values, rtol=rtol, atol=rtol)


def near(quality: np.ndarray, distance: float) -> np.ndarray:
    """Tell which images count; NaN is near nothing."""
    counts: np.ndarray = quality >= np.fmax.reduce(quality) - distance
    return counts


def numeric(case: Case) -> Case:
    """Leave out bands that cannot be reduced."""
    names = [n for n, band in case.bands.items() if band.values.dtype.kind in "biuf"]
    return replace(case, bands={n: case.bands[n] for n in names})


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(
    cases().map(numeric),
    st.sampled_from([0, 1, 1.5, 255, 2**64, math.inf]),
    st.sampled_from(["median", "mean", 0, 30, 75.5, 100]),
)
def test_any_collection_gives_the_pixels_that_the_rules_ask_for(
    case: Case, within: Any, reducer: Any
) -> None:
    """Every candidate counts whose score is at least the best less the distance, exactly, in packed
    numbers too; any dtype, nodata, threshold, mask rule, kind of array, chunks, order of
    dimensions; at once and deferred."""
    masked = "skip" if case.masked == "fill" else case.masked
    want, counts = reduced_mosaic(
        case.bands,
        "q",
        within=within,
        reducer=reducer,
        masked=masked,
        min_quality=case.min_quality,
        fill=case.fill_value or 0,
    )
    options = case.options() | {"masked": masked, "within": within, "reducer": reducer}
    map_dims = [d for d in case.bands["q"].dims if d != "time"]
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.quality_mosaic(
                case.collection(lazy=lazy), "q", provenance=["valid_count"], **options
            )
            assert list(got.data_vars) == list(case.bands)
            for name, expected in want.items():
                assert_reduced(got[name], expected, reducer)
                if expected.values.dtype.kind == "f":
                    kept = {"_FillValue", "nodata", "missing_value"} & set(got[name].attrs)
                    assert not kept, "NaN is what is masked in floats that are computed"
            found = got["valid_count"].transpose(*map_dims).values
            np.testing.assert_array_equal(found, counts)


def test_a_median_of_what_is_within_in_numbers() -> None:
    """The rule with numbers: integers give the lower of two, floats their mean; a mean is float32
    for narrow dtypes and float64 else; a masked value is left out."""
    collection = xr.Dataset(
        {
            "q": (("time", "y", "x"), np.array([90, 80, 79, 10], "uint8").reshape(4, 1, 1)),
            "a": (("time", "y", "x"), np.array([7, 3, 9, 1], "uint16").reshape(4, 1, 1)),
            "b": (("time", "y", "x"), np.array([1, 4, np.nan, 9], "float32").reshape(4, 1, 1)),
            "c": (("time", "y", "x"), np.array([1, 2, 4, 100], "int64").reshape(4, 1, 1)),
        }
    )
    made = qm.quality_mosaic(collection, "q", within=10)
    assert {n: (b.item(), str(b.dtype)) for n, b in made.items()} == {
        "q": (80, "uint8"),
        "a": (3, "uint16"),
        "b": (2.5, "float32"),
        "c": (1, "int64"),
    }
    nearer = qm.quality_mosaic(collection, "q", within=11, reducer="mean")
    assert {n: (round(b.item(), 6), str(b.dtype)) for n, b in nearer.items()} == {
        "q": (83.0, "float32"),
        "a": (6.333333, "float32"),
        "b": (2.5, "float32"),
        "c": (2.333333, "float64"),
    }
    assert made.attrs["qmosaic_within"] == 10
    assert made.attrs["qmosaic_reducer"] == "median"
    assert "qmosaic_within" not in qm.quality_mosaic(collection, "q").attrs


def test_a_distance_of_nothing_counts_the_ties() -> None:
    """within=0 is a reduction over the images that share the best quality."""
    values = random_stack()
    got = qm.quality_mosaic(chunked(values), "quality", within=0, reducer="mean").compute()
    tied = near(values["quality"], 0)
    want = np.where(tied, values["nir"], 0).sum(0) / tied.sum(0)
    np.testing.assert_allclose(got["nir"].values, want, rtol=1e-12)


def test_a_mean_of_packed_integers_is_stored_as_what_it_is(tmp_path: Path) -> None:
    """A mean keeps no nodata of integers, and means what packed numbers mean; a median keeps dtype
    and nodata; decoded floats are packed again."""
    rng = np.random.default_rng(0)
    red = rng.integers(0, 9, (6, 8, 8)).astype("uint16")
    quality = rng.integers(0, 3, (6, 8, 8)).astype("uint8")
    packing = {"_FillValue": np.uint16(0), "scale_factor": 0.5, "add_offset": 1.0}
    packed = as_dataset({"red": red, "q": quality}).chunk(time=1, y=4)
    packed["red"].attrs = packing
    decoded = xr.decode_cf(packed)
    want = None
    for reducer in ("mean", "median"):
        for name, collection in (("packed", packed), ("decoded", decoded)):
            mosaic = qm.quality_mosaic(collection, "q", within=1, reducer=reducer)
            path = tmp_path / f"{reducer}-{name}.zarr"
            qm.to_zarr(mosaic, path, progress=False)
            raw = xr.open_zarr(path, mask_and_scale=False, consolidated=False)["red"]
            as_floats = name == "packed" and reducer == "mean"
            assert raw.dtype == ("float32" if as_floats else "uint16")
            if as_floats:
                assert not raw.attrs.get("_FillValue", np.nan) == 0
                want = xr.open_zarr(path, consolidated=False)["red"].values
    assert want is not None
    best = quality.max(0)
    counts = (quality >= best - np.minimum(best, 1)) & (red != 0)
    with np.errstate(invalid="ignore"):
        mean = np.where(counts, red, 0).sum(0) / counts.sum(0) * 0.5 + 1
    np.testing.assert_allclose(want, mean, rtol=1e-6)


# -- the promises of the engine --------------------------------------------------------------------


def test_nothing_is_read_before_it_is_computed_and_then_only_what_counts(tmp_path: Path) -> None:
    """Deferred; the quality of a block is read once where it is small, and of each band only the
    chunks of images that count somewhere in them."""
    values = random_stack(images=10, side=32)
    values["quality"] = values["quality"] * 10 + np.arange(10, dtype="float32").reshape(-1, 1, 1)
    values["quality"][:4, :16] = np.nan  # the first four images never count in the upper half
    collection, store = in_store(values, tmp_path / "in.zarr")
    mosaic = qm.quality_mosaic(collection, "quality", within=2)
    assert not store.reads
    with dask.config.set(scheduler="synchronous"):
        got = mosaic[["red", "nir"]].compute()
    assert got["red"].dtype == "uint16"
    counts = near(values["quality"], 2)
    wanted = {
        f"{t}/{y}/{x}"
        for t in range(10)
        for y in range(4)
        for x in range(4)
        if counts[t, y * 8 : y * 8 + 8, x * 8 : x * 8 + 8].any()
    }
    for band in ("red", "nir"):
        reads = store.chunks(band)
        assert {key.removeprefix(f"{band}/c/") for key in reads} == wanted
        assert set(reads.values()) == {1}
    assert len(store.chunks("quality")) == 160 > len(wanted)
    assert set(store.chunks("quality").values()) == {1}


def test_any_scheduler_gives_the_same(tmp_path: Path) -> None:
    """Threads share outcomes; processes get them pickled, with what says which images count."""
    values = random_stack(side=16)
    collection, _ = in_store(values, tmp_path / "in.zarr")
    want = qm.quality_mosaic(as_dataset(values), "quality", within=1)
    mosaic = qm.quality_mosaic(collection, "quality", within=1)

    def pickling(graph: Any, keys: Any, **_: Any) -> Any:
        get = partial(dask.local.get_async, dask.local.synchronous_executor.submit, 1)
        return get(graph, keys, dumps=cloudpickle.dumps, loads=cloudpickle.loads)

    for scheduler in ("threads", pickling):
        with dask.config.set(scheduler=scheduler):
            got = mosaic.compute()
        for name in values:
            np.testing.assert_array_equal(got[name].values, want[name].values)


@pytest.mark.parametrize("shape", ["persisted", "one persisted", "other chunks", "whole images"])
def test_shapes_that_are_not_one_chunk_an_image(shape: str) -> None:
    """Persisted inputs, bands in other chunks than the quality, chunks of several images: the same
    pixels, computed by dask's own scheduler and block by block."""
    values = random_stack()
    want = qm.quality_mosaic(as_dataset(values), "quality", within=1, provenance=True)
    collection = chunked(values)
    if shape == "persisted":
        collection = collection.persist()
    elif shape == "one persisted":
        collection["quality"] = collection["quality"].persist()
    elif shape == "other chunks":
        collection["nir"] = collection["nir"].chunk(y=7, x=11)
        collection["red"] = collection["red"].transpose("x", "time", "y")
    else:
        collection = collection.chunk(time=5, y=-1, x=-1)
    got = qm.quality_mosaic(collection, "quality", within=1, provenance=True)
    for name in [*values, "valid_count"]:
        np.testing.assert_array_equal(got[name].transpose("y", "x").values, want[name].values)


def test_periods_are_reduced_each() -> None:
    """With `period=` the images of each period are compared among themselves."""
    values = random_stack(images=9)
    for collection in (as_dataset(values), chunked(values), chunked(values).persist()):
        got = qm.mosaic_by_period(collection, "quality", "4D", within=1, provenance=True)
        assert got.sizes["time"] == 3
        for number in range(3):
            part = as_dataset(values).isel(time=slice(4 * number, 4 * number + 4))
            alone = qm.quality_mosaic(part, "quality", within=1, provenance=True)
            for name in [*values, "valid_count"]:
                np.testing.assert_array_equal(got[name].values[number], alone[name].values)


def test_what_outcomes_do_not_say_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bits take too much memory, and values too, the pixels are the same."""
    values = random_stack()
    want = qm.quality_mosaic(as_dataset(values), "quality", within=2, provenance=True)
    monkeypatch.setattr(bands, "Near", partial(Near, most=0, kept=0))
    monkeypatch.setattr("qmosaic.engine.within.reduce_block", partial(reduce_block, most=300))
    collection = chunked(values)
    collection["nir"] = collection["nir"].chunk(y=7, x=11)
    for each in (as_dataset(values), collection):
        got = qm.quality_mosaic(each, "quality", within=2, provenance=True).compute()
        for name in [*values, "valid_count"]:
            np.testing.assert_array_equal(got[name].values, want[name].values)


def test_an_array_of_bands_is_reduced_too() -> None:
    """A DataArray with a dimension of bands gives one."""
    values = {name: band.astype("float64") for name, band in random_stack().items()}
    array = as_dataset(values).to_dataarray("band").transpose("time", "band", "y", "x")
    want = qm.quality_mosaic(as_dataset(values), "quality", within=1)
    got = array.qmosaic.quality_mosaic("quality", within=1)
    assert got.dims == ("band", "y", "x")
    np.testing.assert_array_equal(got.sel(band="nir").values, want["nir"].values)


def test_bands_with_one_number_an_image_are_not_copied_for_each_pixel() -> None:
    """A sun angle is reduced over the images that count, pixel by pixel."""
    values = random_stack()
    angle = np.linspace(20, 60, 12)
    for collection in (as_dataset(values), chunked(values)):
        got = qm.quality_mosaic(collection.assign(sun=("time", angle)), "quality", within=1)
        counts = near(values["quality"], 1)
        want = np.nanmedian(np.where(counts, angle.reshape(-1, 1, 1), np.nan), axis=0)
        np.testing.assert_array_equal(got["sun"].values, want)


def test_the_quality_may_be_computed() -> None:
    """A source that is read and worked on, as qualities are, is read where it counts."""
    values = random_stack()
    source = CountingArray(values["quality"])
    lazy = da.from_array(source, chunks=(1, 8, 8))
    collection = chunked(values).assign(quality=(("time", "y", "x"), -lazy))
    got = qm.quality_mosaic(collection, "quality", within=1).compute()
    want = reduced_mosaic(
        {
            "q": Band(("time", "y", "x"), -values["quality"]),
            "red": Band(("time", "y", "x"), values["red"]),
        },
        "q",
        within=1,
        reducer="median",
    )[0]
    np.testing.assert_array_equal(got["red"].values, want["red"].values)


def test_a_smoothed_quality_decides_what_is_close() -> None:
    """With `smooth=` it is the means that are compared; the quality that is reduced is its own."""
    values = random_stack()
    plain, lazy = as_dataset(values), chunked(values)
    for each in (plain, lazy):
        each.coords["spatial_ref"] = ((), 0, {"crs_wkt": "EPSG:32632"})
    means = qm.scores.smooth(plain["quality"], 30, resolution=10)
    want = qm.quality_mosaic(plain.assign(means=means), "means", within=0.5)
    for each in (plain, lazy):
        got = qm.quality_mosaic(each, "quality", smooth=30, within=0.5)
        for name in values:
            np.testing.assert_array_equal(got[name].values, want[name].values)
