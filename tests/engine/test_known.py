"""What is found out of the bands of a collection while a mosaic is made is found out once."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.engine.graph import making_views
from qmosaic.engine.graph.making_views import Maker


def collection(images: int = 12) -> xr.Dataset:
    """Bands that are all made of the same two, as scripts with many indices have them."""
    days = np.datetime64("2020-01-01", "ns") + np.arange(images) * np.timedelta64(1, "D")
    red, nir = (
        da.random.default_rng(seed).random((images, 8, 8), chunks=(1, 4, 4)) for seed in (1, 2)
    )
    stack = xr.Dataset(
        {"red": (("time", "y", "x"), red), "nir": (("time", "y", "x"), nir)}, {"time": days}
    )
    stack = stack.isel(time=slice(1, images - 1))
    return stack.assign({f"i{n}": stack["nir"] * n - stack["red"] for n in range(1, 6)})


def test_a_view_is_made_once_for_all_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that it takes to describe a mosaic does not grow with bands × bands behind them."""
    made: Counter[Any] = Counter()
    original = Maker._make

    def counted(self: Maker, name: Any) -> Any:
        made[name] += 1
        return original(self, name)

    monkeypatch.setattr(Maker, "_make", counted)
    mosaic = qm.quality_mosaic(collection(), "i1", masked="fill")
    assert len(mosaic) == 7
    assert made
    assert set(made.values()) == {1}


def test_what_is_known_of_one_collection_does_not_serve_another() -> None:
    """Two collections with the same names and shapes give each their own pixels."""
    first, second = collection(), collection().map(np.negative, keep_attrs=True)
    for one in (first, second, first):
        best = qm.quality_mosaic(one, "i1", masked="fill").load()
        place = one["i1"].values.argmax(axis=0)
        for name in one:
            wanted = np.take_along_axis(one[name].values, place[None], axis=0)[0]
            np.testing.assert_array_equal(best[name].values, wanted)


def test_views_serve_other_mosaics_of_the_same_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop over months describes what lies behind the bands once."""
    made: Counter[Any] = Counter()
    original = Maker._make

    def counted(self: Maker, name: Any) -> Any:
        made[name] += 1
        return original(self, name)

    stack = collection()
    monkeypatch.setattr(Maker, "_make", counted)
    for first in range(5):
        qm.quality_mosaic(stack.isel(time=slice(first, first + 4)), "i1", masked="fill")
    assert made
    assert set(made.values()) == {1}


def test_arrays_of_one_name_are_not_mixed_up() -> None:
    """A name that a user gives to two arrays stands for two arrays."""
    days = np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
    for seed in (1, 2):
        values = np.random.default_rng(seed).random((3, 4, 4))
        lazy = da.from_array(values, chunks=(1, 2, 2), name="mine")
        stack = xr.Dataset({"a": (("time", "y", "x"), lazy)}, {"time": days})
        best = qm.quality_mosaic(stack.assign(q=stack["a"] * 2), "q")
        np.testing.assert_array_equal(best["a"].values, values.max(axis=0))


def test_views_go_with_their_bands() -> None:
    """Nothing is kept of a collection that is no longer there."""
    gc.collect()
    before = len(making_views._made)
    stack = collection()
    mosaic = qm.quality_mosaic(stack, "i1", masked="fill")
    assert len(making_views._made) > before
    del stack, mosaic
    gc.collect()
    assert len(making_views._made) == before
