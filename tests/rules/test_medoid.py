"""`medoid`: the image closest to the median of each band gives all bands of a pixel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings

import qmosaic as qm
from tests.support.composites import medoids
from tests.support.oracle import Band, assert_same, bands_in
from tests.support.sources import as_dataset, chunked, in_store, random_stack
from tests.support.strategies import Case, cases

DIMS = ("time", "y", "x")


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases())
def test_any_collection_gives_the_pixels_that_the_rules_ask_for(case: Case) -> None:
    """Candidates are valid in all bands that are compared; the least sum of squared differences
    from the medians wins, ties as rule 5; all bands come from the winner: any dtype, nodata, kind
    of array, chunks, order of dimensions; at once and deferred."""
    masked: Any = "skip" if case.masked == "skip" else "keep"
    compared = [n for n, b in case.bands.items() if set(b.dims) == set(DIMS)]
    want, counts = medoids(
        case.bands, compared, ties=case.ties, masked=masked, fill=case.fill_value or 0
    )
    map_dims = [d for d in case.bands[compared[0]].dims if d != "time"]
    ties: Any = case.ties
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.medoid(
                case.collection(lazy=lazy),
                compared,
                ties=ties,
                masked=masked,
                fill_value=case.fill_value,
                provenance=True,
            )
            assert list(got.data_vars) == list(case.bands)
            for name, expected in want.items():
                assert_same(got[name], expected)
            found = got["valid_count"].transpose(*map_dims).values
            np.testing.assert_array_equal(found, counts)
            image = want[compared[0]]
            index = got["source_index"].transpose(*image.dims).values
            np.testing.assert_array_equal(index, image.image)


def test_the_mosaic_rebuilt_from_where_its_pixels_come_from_is_the_mosaic() -> None:
    """One pixel is one image: all bands, those that are not compared too."""
    values = random_stack()
    got = qm.medoid(chunked(values), ["red", "nir"], provenance=True).compute()
    index = got["source_index"].values
    assert (index >= 0).all()
    for name in values:
        rebuilt = np.take_along_axis(values[name], index[np.newaxis].astype(int), axis=0)[0]
        np.testing.assert_array_equal(got[name].values, rebuilt)
    times = as_dataset(values)["time"].values
    np.testing.assert_array_equal(got["source_time"].values, times[index])


def test_by_default_all_bands_with_a_value_for_each_pixel_are_compared() -> None:
    """A sun angle says nothing of a pixel, a date cannot be compared: both are taken along."""
    values = random_stack()
    collection = as_dataset(values).assign(
        sun=("time", np.linspace(20, 60, 12)),
        date=("time", as_dataset(values)["time"].values),
    )
    got = qm.medoid(collection)
    assert got.attrs["qmosaic_method"] == "medoid"
    assert got.attrs["qmosaic_medoid_bands"] == ["quality", "red", "nir"]
    assert "qmosaic_quality_band" not in got.attrs
    assert got.attrs["qmosaic_images"] == 12
    assert got.attrs["qmosaic_time_last"] == "2020-07-12T00:00:00"
    one = qm.medoid(collection, "red")
    assert one.attrs["qmosaic_medoid_bands"] == ["red"]
    assert one["date"].dtype.kind == "M"


def test_a_tie_goes_to_the_image_that_is_asked_for() -> None:
    """Of two images both are as close to the median: rule 5 decides."""
    pair = xr.Dataset({"red": (DIMS, np.array([3, 8], "uint8").reshape(2, 1, 1))})
    assert qm.medoid(pair)["red"].item() == 3
    assert qm.medoid(pair, ties="last")["red"].item() == 8


def test_a_pixel_without_candidates_is_masked() -> None:
    """NaN in floats; integers that declare no nodata get a fill value, and declare it."""
    red = np.array([np.nan, np.nan, 1, np.nan], "float32").reshape(2, 1, 2)
    count = np.arange(4, dtype="uint16").reshape(2, 1, 2)
    got = qm.medoid(xr.Dataset({"red": (DIMS, red), "n": (DIMS, count)}), "red", fill_value=9)
    np.testing.assert_array_equal(got["red"].values, [[1, np.nan]])
    np.testing.assert_array_equal(got["n"].values, [[2, 9]])
    assert got["n"].attrs["_FillValue"] == 9


def test_infinite_values_leave_no_pixel_without_its_winner() -> None:
    """Where no distance is a number the first candidate wins."""
    red = np.array([math.inf, -math.inf], "float32").reshape(2, 1, 1)
    assert qm.medoid(xr.Dataset({"red": (DIMS, red)}))["red"].item() == math.inf


# -- the promises of the engine --------------------------------------------------------------------


def test_nothing_is_read_before_it_is_computed_and_then_once(tmp_path: Path) -> None:
    """Deferred; small blocks of what is compared are read once to decide; of the others only chunks
    of images that win."""
    values = random_stack(images=10, side=32)
    collection, store = in_store(values, tmp_path / "in.zarr")
    mosaic = qm.medoid(collection, ["red"], provenance=True)
    assert not store.reads
    with dask.config.set(scheduler="synchronous"):
        got = mosaic[["nir"]].compute()
    assert set(store.chunks("red").values()) == {1}
    assert len(store.chunks("red")) == 160
    index = got["source_index"].values
    won = {
        f"nir/c/{t}/{y}/{x}"
        for t in range(10)
        for y in range(4)
        for x in range(4)
        if (index[y * 8 : y * 8 + 8, x * 8 : x * 8 + 8] == t).any()
    }
    assert set(store.chunks("nir")) == won
    assert set(store.chunks("nir").values()) == {1}
    assert not store.chunks("quality")


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_any_scheduler_gives_the_same(scheduler: str, tmp_path: Path) -> None:
    """Threads share what decides."""
    values = random_stack(side=16)
    collection, _ = in_store(values, tmp_path / "in.zarr")
    want = qm.medoid(as_dataset(values))
    with dask.config.set(scheduler=scheduler, num_workers=2):
        got = qm.medoid(collection).compute()
    for name in values:
        np.testing.assert_array_equal(got[name].values, want[name].values)


@pytest.mark.parametrize("shape", ["persisted", "one persisted", "other chunks", "whole images"])
def test_shapes_that_are_not_one_chunk_an_image(shape: str) -> None:
    """Persisted inputs, bands in other chunks than each other, chunks of several images: the same
    pixels."""
    values = random_stack()
    want = qm.medoid(as_dataset(values), ["red", "nir"])
    collection = chunked(values)
    if shape == "persisted":
        collection = collection.persist()
    elif shape == "one persisted":
        collection["nir"] = collection["nir"].persist()
    elif shape == "other chunks":
        collection["nir"] = collection["nir"].chunk(y=7, x=11)
        collection["quality"] = collection["quality"].transpose("x", "time", "y")
    else:
        collection = collection.chunk(time=5, y=-1, x=-1)
    got = qm.medoid(collection, ["red", "nir"])
    for name in values:
        np.testing.assert_array_equal(got[name].transpose("y", "x").values, want[name].values)


def test_an_array_of_bands_gives_an_array() -> None:
    """A DataArray with a dimension of bands, by the method too; provenance is there."""
    values = {name: band.astype("float64") for name, band in random_stack().items()}
    array = as_dataset(values).to_dataarray("band").transpose("time", "band", "y", "x")
    got = array.qmosaic.medoid(["red", "nir"], provenance=True)
    assert got.dims == ("band", "y", "x")
    assert got.attrs["qmosaic_method"] == "medoid"
    bands: dict[str, Band] = bands_in(as_dataset(values))
    want, counts = medoids(bands, ["red", "nir"], ties="first", masked="keep")
    np.testing.assert_array_equal(got.sel(band="quality").values, want["quality"].values)
    np.testing.assert_array_equal(got["valid_count"].values, counts)
    np.testing.assert_array_equal(got["source_index"].values, want["red"].image)
