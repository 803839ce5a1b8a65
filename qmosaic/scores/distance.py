"""How far a pixel is from clouds and shadows."""

from __future__ import annotations

import functools
import math
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.grid import metres_per_pixel
from qmosaic.collection.location import map_axes
from qmosaic.engine.graph import map_surroundings
from qmosaic.optional import needed, serving
from qmosaic.scores.expressions import bare, check_aligned, check_positive

SCRATCH = 48
"""Bytes a pixel that a distance transform needs: the positions of the nearest pixels, differences,
and their squares. Measured with tracemalloc."""


def distance_to(
    mask: xr.DataArray,
    *,
    max_distance: float,
    valid: xr.DataArray | None = None,
    resolution: float | tuple[float, float] | None = None,
) -> xr.DataArray:
    """Measure the distance in metres to the nearest pixel of a mask, in the same image.

    Parameters
    ----------
    mask : xarray.DataArray
        True where there is a cloud or shadow; y, x and any further dimensions, such as time.
    max_distance : float
        The largest distance in metres that is measured: what is farther away gets this value. It is
        how far around a chunk pixels are read, so that distances are exact across chunk borders.
    valid : xarray.DataArray, optional
        True where the image has data. A pixel without data is no cloud, so its distance would be
        as good as that of a clear one. With `valid` it is NaN, and the pixel no candidate.
    resolution : float or (float, float), optional
        The size of a pixel in metres (down, across); by default from the coordinates and the CRS.

    Returns
    -------
    xarray.DataArray
        float32, metres between the centres of pixels: 0 in the mask, at most `max_distance` (also
        in images without any True), NaN where not `valid`. It has the shape of `mask` (and of
        `valid`), its chunks as far as those of `valid` are the same, and is lazy where it is.

    Raises
    ------
    TypeError
        `mask` or `valid` is not of bools.
    ValueError
        The size of pixels is unknown, or `max_distance` is not above 0.
    ModuleNotFoundError
        scipy or odc-geo is not installed (extra ``scores``).

    Notes
    -----
    ``scipy.ndimage.distance_transform_edt``, an exact Euclidean distance, over each chunk and what
    lies within `max_distance` around it.

    A task reads the neighbouring chunks of the mask itself, so that no chunk has to wait in memory
    for its neighbours, and the mosaic still is one task a block. So a chunk of the mask is read up
    to nine times (more, if chunks are smaller than `max_distance`). Chunks that are much larger
    than `max_distance` keep that small. A mask that is persisted or rechunked falls back to dask's
    ``map_overlap``; what such ordinary tasks hold, as those of a rechunked `valid`, is not in the
    memory that `explain` predicts.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> cloud = xr.DataArray(np.array([[True, False, False, False]]), dims=("y", "x"))
    >>> qm.scores.distance_to(cloud, max_distance=25, resolution=10).values
    array([[ 0., 10., 20., 25.]], dtype=float32)
    """
    _check_bools(mask, "a cloud", "scl.isin([3, 8, 9, 10]), or probability > 50")
    if valid is not None:
        _check_bools(valid, "data", "valid=scl != 0")
    farthest = check_positive(max_distance, "max_distance", "distance_to()")
    down, across = map_axes(mask, "distance_to()")
    needed("scipy", "scores", "distances")
    with serving("scores", "distances"):
        sizes = metres_per_pixel(mask, resolution, "distance_to()")
    axes = mask.dims.index(down), mask.dims.index(across)
    measure = functools.partial(_distances, axes=axes, sizes=sizes, farthest=farthest)
    data = mask.data
    if isinstance(data, da.Array):
        reach = {a: math.ceil(farthest / size) for a, size in zip(axes, sizes, strict=True)}
        depth = {axis: min(n, data.shape[axis]) for axis, n in reach.items()}
        distances = map_surroundings(data, measure, depth, np.float32, scratch=SCRATCH)
    else:
        distances = measure(np.asarray(data))
    result = bare(mask).copy(data=distances)
    if valid is None:
        return result
    check_aligned([mask, valid], "distance_to()")
    where: xr.DataArray = result.where(valid)
    return where.transpose(*mask.dims, ...)


def _check_bools(given: Any, what: str, example: str) -> None:
    if not isinstance(given, xr.DataArray) or given.dtype.kind != "b":
        lazy = isinstance(given, xr.DataArray)
        got = f"band of dtype {given.dtype}" if lazy else type(given).__name__
        raise TypeError(
            f"distance_to() got a {got}; it needs True where there is {what}. Write, for "
            f"instance, {example}."
        )


def _distances(
    mask: Any, *, axes: tuple[int, int], sizes: tuple[float, float], farthest: float
) -> Any:
    """Measure image by image."""
    edt = needed("scipy.ndimage", "scores", "distances").distance_transform_edt
    images = np.moveaxis(mask, axes, (-2, -1))
    measured = np.empty(images.shape, np.float32)
    for place in np.ndindex(images.shape[:-2]):
        image = images[place]
        distance = edt(~image, sampling=sizes) if image.any() else farthest
        measured[place] = np.minimum(distance, farthest)
    return np.moveaxis(measured, (-2, -1), axes)
