"""What tests of the engine ask of a mosaic: the right pixels, no tasks of sources in its graph."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qmosaic.engine.graph import Stack
from tests.support.sources import expected


def same(mosaic: xr.Dataset, values: dict[str, np.ndarray]) -> None:
    """Compare the mosaic of bands with the oracle's."""
    mosaic = mosaic.compute()
    for name, want in expected(values).items():
        got = mosaic[name].values
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def is_deferred(mosaic: xr.Dataset) -> bool:
    """Whether no task of the source stands in the graph of any band."""
    keys = [str(k) for k in dict(mosaic.__dask_graph__())]
    return all("qmosaic-" in key for key in keys)


def stack_of(band: xr.DataArray) -> Stack:
    """Give a band as the engine takes it."""
    return Stack(band.data, tuple(band.dims), "time")
