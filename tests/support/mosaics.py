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
    """Whether no task of the source stands in the graph of any band.

    Tasks of the engine rest on such tasks alone, and what else there is (blocks that are cut into
    the chunks that are wanted) on them.
    """
    graph = dict(mosaic.__dask_graph__())
    own = {key for key in graph if "qmosaic-" in str(key)}
    rests_on = {key: set(getattr(task, "dependencies", ())) for key, task in graph.items()}
    return all(found <= own if key in own else found for key, found in rests_on.items())


def stack_of(band: xr.DataArray) -> Stack:
    """Give a band as the engine takes it."""
    return Stack(band.data, tuple(band.dims), "time")
