"""Rule 11: the mosaic does not depend on how the input is chunked, on the scheduler, or on how
often a task runs."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.oracle import assert_same
from tests.support.small import MASKED, scene, wanted


@MASKED
@pytest.mark.parametrize(
    "chunks",
    [
        {"time": 1, "y": 1, "x": 1},
        {"time": -1, "y": -1, "x": -1},
        {"time": (1, 3, 2), "y": (2, 5), "x": (8, 1)},
        {"time": 4, "y": -1, "x": 2},
    ],
)
def test_chunks_do_not_matter(masked: Any, chunks: dict[str, Any]) -> None:
    """One image or all in a chunk, uneven blocks, another grid for every band."""
    c = scene().chunk(chunks)
    if chunks["x"] == 1:
        c = c.isel(y=slice(3, 6), x=slice(3, 7))  # a block for each pixel: a dozen of them
    want = wanted(c.compute(), masked=masked)
    other = c.assign(red=c["red"].chunk(time=5, y=3, x=4), doy=c["doy"].chunk(time=1))
    for made in (c, other):
        m = qm.quality_mosaic(made, "quality", masked=masked)
        for name, expected in want.items():
            assert_same(m[name].compute(scheduler="synchronous"), expected)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_schedulers_and_repetition_do_not_matter(scheduler: str) -> None:
    """The same pixels whoever runs the tasks and however often, in any part."""
    m = qm.quality_mosaic(scene(), "quality", masked="fill")
    want = wanted(scene().load(), masked="fill")
    with dask.config.set(scheduler=scheduler, num_workers=2):
        if scheduler == "processes":  # they take long to start
            (m,) = dask.compute(m)
        for _ in range(3):
            for name, expected in want.items():
                assert_same(m[name].compute(), expected)
        part = m["red"].isel(y=slice(3, 6), x=[8, 0])
        np.testing.assert_array_equal(part, want["red"].values[3:6][:, [8, 0]])


@MASKED
def test_the_same_mosaic_has_the_same_keys(masked: Any) -> None:
    """Built twice from the same blocks, so that nothing is made twice; other rules, other names."""
    c = scene()

    def mosaic(**rules: Any) -> xr.Dataset:
        return qm.quality_mosaic(c, "quality", **{"masked": masked} | rules)

    assert set(dict(mosaic().__dask_graph__())) == set(dict(mosaic().__dask_graph__()))
    others: list[dict[str, Any]] = [
        {"ties": "last"},
        {"min_quality": -2},
        {"upper_bound": 0},
        *({"masked": rule} for rule in ("keep", "skip", "fill") if rule != masked),
    ]
    for name in ("red", "quality"):
        names = [mosaic(**rules)[name].data.name for rules in ({}, {}, *others)]
        assert names[0] == names[1]
        if name == "red":
            assert len(set(names)) == 6
