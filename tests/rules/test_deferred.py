"""Rules 9 and 10: the input is never modified, nothing is computed before the mosaic is written,
plotted or computed; and collections in memory work through the same function and give the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.oracle import assert_same
from tests.support.small import LAZY, MASKED, TIES, scene, wanted


@LAZY
@MASKED
def test_the_input_is_not_modified(lazy: bool, masked: Any, tmp_path: Path) -> None:
    """Rule 9: data, attributes, encodings and chunks, also after the mosaic was changed."""
    c = scene() if lazy else scene().load()
    c["red"].encoding = {"dtype": np.dtype("uint16"), "chunks": (1, 4, 5)}
    before = c.copy(deep=True)
    encodings = {n: dict(v.encoding) for n, v in c.variables.items()}
    chunks = {n: v.chunks for n, v in c.variables.items()}
    m = qm.quality_mosaic(c, "quality", masked=masked)
    qm.to_zarr(m, tmp_path / "m.zarr")
    m.attrs["new"] = m["red"].attrs["new"] = m["x"].attrs["new"] = 1
    m["red"].encoding["new"] = m["spatial_ref"].attrs["new"] = 1
    m["elevation"].attrs["new"] = 1
    computed = m.load()
    for name in ("red", "nir", "quality"):
        computed[name].values[:] = 1
    xr.testing.assert_identical(c, before)
    assert {n: dict(v.encoding) for n, v in c.variables.items()} == encodings
    assert {n: v.chunks for n, v in c.variables.items()} == chunks


@MASKED
def test_nothing_is_computed_before_it_is_asked_for(masked: Any) -> None:
    """Rule 9: blocks that cannot be computed, and a scheduler that must not be called."""

    def unreadable(block: Any) -> Any:
        raise AssertionError("a block was computed")

    def scheduler(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a scheduler was called")

    zeros = da.zeros((3, 4, 5), chunks=(1, 2, 5), dtype="float32")
    source = da.map_blocks(unreadable, zeros, dtype="float32", meta=np.empty((0,) * 3, "float32"))
    c = xr.Dataset({n: (("time", "y", "x"), source) for n in ("red", "nir")})
    c["quality"] = qm.scores.normalized_difference(c["nir"], c["red"])
    with dask.config.set(scheduler=scheduler):
        m = qm.quality_mosaic(c, "quality", masked=masked, min_quality=0, upper_bound=1)
        assert dask.is_dask_collection(m["red"].data)
        assert m["red"].shape == (4, 5)
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(AssertionError, match="a block was computed"),
    ):
        m["red"].compute()


@TIES
@MASKED
def test_memory_and_blocks_give_the_same(ties: Any, masked: Any) -> None:
    """Rule 10: one function, the same mosaic; in memory it is computed at once."""
    rules = {"ties": ties, "masked": masked, "min_quality": -3}
    lazy = qm.quality_mosaic(scene(), "quality", **rules)
    eager = qm.quality_mosaic(scene().load(), "quality", **rules)
    assert not any(dask.is_dask_collection(v.data) for v in eager.variables.values())
    xr.testing.assert_identical(lazy.compute(), eager)
    for name, want in wanted(scene().load(), ties=ties, masked=masked, min_quality=-3).items():
        assert_same(eager[name], want)
