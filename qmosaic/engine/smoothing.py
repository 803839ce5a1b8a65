"""Means over what lies around each pixel of an array, deferred where the array is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.collection.means import SCRATCH, cut_to, mean_dtype, smoothed
from qmosaic.engine.graph import map_surroundings


def smooth_array(data: Any, axes: tuple[int, int], weights: Sequence[Array], **options: Any) -> Any:
    """Average what lies around each pixel: at once in memory, else deferred, a task a chunk.

    Parameters
    ----------
    data : numpy.ndarray or dask.array.Array
        Images.
    axes, weights
        As for `qmosaic.collection.means.smoothed`.
    **options
        What that takes beside them: `nodata`, `packing`, `least`, `descending`.
    """
    dtype = mean_dtype(data.dtype)
    cut = [cut_to(own, data.shape[axis]) for own, axis in zip(weights, axes, strict=True)]
    kernel: Callable[[Array], Array] = functools.partial(
        smoothed, axes=axes, weights=cut, dtype=dtype, **options
    )
    if not isinstance(data, da.Array):
        return kernel(np.asarray(data))
    depth = {axis: len(own) // 2 for axis, own in zip(axes, cut, strict=True)}
    return map_surroundings(data, kernel, depth, dtype, scratch=SCRATCH + 2 * dtype.itemsize)
