"""The mean of a score over what lies around each pixel."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import check_decoded, declared_nodata, declared_packing
from qmosaic.collection.grid import metres_per_pixel
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array, valid_mask
from qmosaic.collection.model import check_choice
from qmosaic.engine.graph import map_surroundings
from qmosaic.optional import needed, serving
from qmosaic.scores.expressions import bare, check_numeric, check_positive, score_dtype

Kind = Literal["mean", "gaussian"]

SCRATCH = 18
"""Bytes a pixel that smoothing needs, besides a copy and the result in the dtype of the result:
two sums of float64 and the mask, twice. Measured with tracemalloc."""

FWHM = 2 * math.sqrt(2 * math.log(2))
"""The full width of a Gaussian at half of its maximum, in standard deviations."""


def smooth(
    score: xr.DataArray,
    metres: float,
    *,
    kind: Kind = "mean",
    resolution: float | tuple[float, float] | None = None,
) -> xr.DataArray:
    """Average a score over a window around each pixel of the same image, without masked pixels.

    The one to use in place of ``score.rolling(y=5, x=5, center=True).mean()``, which makes a mosaic
    much slower.

    Parameters
    ----------
    score : xarray.DataArray
        Numbers in any unit; y, x and any further dimensions, such as time, in any order.
    metres : float
        How wide the window is, in metres: of a mean its side, of a Gaussian the full width at half
        of its maximum.
    kind : {"mean", "gaussian"}, default: "mean"
        How the pixels of a window count.

        - "mean": all the same, in a rectangle with the pixel in its centre, as with ``rolling``.
          Along each axis it has the odd number of pixels that is nearest to `metres` (of two that
          are as near, the larger): ``2 * floor(metres / (2 * size)) + 1``, where `size` is that of
          a pixel along this axis. 50 m are 5 × 5 pixels of 10 m, or 5 down and 3 across of 10 × 20
          m. A thousandth of a pixel less will do.
        - "gaussian": the nearer, the more, by a Gaussian with a standard deviation of
          ``metres / 2.355``, cut off at four of them, rounded to pixels. 50 m reach 8 pixels of
          10 m to each side.
    resolution : float or (float, float), optional
        The size of a pixel in metres (down, across); by default from the coordinates and the CRS.
        It has to be given where the CRS is in degrees. With 1, `metres` is a number of pixels.

    Returns
    -------
    xarray.DataArray
        The mean, in the unit of `score`: float32 for bools, integers of up to 16 bits and float32,
        else float64. NaN where `score` is masked (NaN, or its declared nodata), and such pixels
        count in no mean. It has the shape and chunks of `score`, and is lazy where that is.

    Raises
    ------
    TypeError
        `score` has no numbers.
    ValueError
        The size of pixels is unknown; `metres` is not above 0, or so small that nothing but the
        pixel itself would count; there is no such `kind`; or `score` holds floats that declare a
        packing, so that nothing tells whether they are decoded.
    ModuleNotFoundError
        scipy or odc-geo is not installed (extra ``scores``).

    Notes
    -----
    At the edge of the map, and beside masked pixels, the mean is that of fewer pixels:
    ``rolling(..., min_periods=1)``, where `score` is not masked. Holes stay: what is masked in an
    image never wins. Integers that declare ``scale_factor`` and ``add_offset`` are unpacked. An
    infinite score makes every mean infinite in which it counts (NaN, where both infinities do).

    ``scipy.ndimage.correlate1d`` down, then across, of the scores and of the mask. Sums are of
    float64, and each is made of its own pixels in the same order wherever it lies, not carried on
    from one window to the next. So means are the same to the last bit for all chunks, and equal
    neighbourhoods have equal means. The time it takes grows with the width in pixels.

    A task reads what lies around its pixels itself. A score that is persisted falls back to dask's
    ``map_overlap``; what such ordinary tasks hold is not in the memory that `explain` predicts.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> ndvi = xr.DataArray(np.float32([[0.5, 0.75, np.nan, 0.25, 0.75]]), dims=("y", "x"))
    >>> qm.scores.smooth(ndvi, 30, resolution=10).values
    array([[0.625, 0.625,   nan, 0.5  , 0.5  ]], dtype=float32)
    """
    check_numeric(score, "smooth()")
    check_decoded(score, "smooth()")
    check_choice("kind", kind, ("mean", "gaussian"))
    width = check_positive(metres, "metres", "smooth()")
    down, across = map_axes(score, "smooth()")
    needed("scipy", "scores", "smoothed scores")
    with serving("scores", "smoothed scores"):
        sizes = metres_per_pixel(score, resolution, "smooth()")
    weights = [_weights(width / size, kind) for size in sizes]
    _check_width(weights, width, sizes)
    axes = score.dims.index(down), score.dims.index(across)
    dtype = np.dtype(np.float32 if score_dtype(score.dtype) == np.float32 else np.float64)
    kernel = functools.partial(
        _smoothed,
        axes=axes,
        weights=[_cut(w, score.shape[axis]) for w, axis in zip(weights, axes, strict=True)],
        nodata=declared_nodata(score),
        packing=declared_packing(score),
        dtype=dtype,
    )
    return bare(score).copy(data=_applied(kernel, score.data))


def _applied(kernel: functools.partial[Array], data: Any) -> Any:
    """Call the function at once for what lies in memory, else chunk by chunk."""
    if not isinstance(data, da.Array):
        return kernel(np.asarray(data))
    axes, weights, dtype = (kernel.keywords[name] for name in ("axes", "weights", "dtype"))
    depth = {axis: len(w) // 2 for axis, w in zip(axes, weights, strict=True)}
    scratch = SCRATCH + 2 * dtype.itemsize
    return map_surroundings(data, kernel, depth, dtype, scratch=scratch)


def _weights(width: float, kind: Kind) -> Array:
    """Give the weights along one axis, for a width in pixels; their number is odd."""
    if kind == "mean":
        # coordinates, and so the size of pixels, are not exact
        return np.ones(2 * math.floor(width / 2 + 1e-3) + 1)
    deviation = width / FWHM
    radius = math.floor(4 * deviation + 0.5)
    return np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)


def _check_width(weights: list[Array], width: float, sizes: tuple[float, float]) -> None:
    """Refuse a window of one pixel."""
    if max(map(len, weights)) == 1:
        down, across = sizes
        raise ValueError(
            f"smooth() got metres={width:g} and pixels of {down:g} × {across:g} m, so a window is "
            f"one pixel, and its mean is the score as it is. Write metres={3 * max(sizes):g} or "
            "more, or leave smooth() out."
        )


def _cut(weights: Array, size: int) -> Array:
    """Leave out weights that reach beyond a map of this size wherever the pixel lies."""
    beyond = max(0, len(weights) // 2 - max(0, size - 1))
    return weights[beyond : len(weights) - beyond]


def _smoothed(
    values: Array,
    *,
    axes: tuple[int, int],
    weights: list[Array],
    nodata: Any,
    packing: tuple[float, float],
    dtype: np.dtype[Any],
) -> Array:
    """Smooth image by image."""
    images = np.moveaxis(values, axes, (-2, -1))
    smoothed = np.empty(images.shape, dtype)
    for place in np.ndindex(images.shape[:-2]):
        mean = _mean(images[place], nodata, weights, dtype)
        with np.errstate(all="ignore"):
            smoothed[place] = mean if packing == (1.0, 0.0) else mean * packing[0] + packing[1]
    return np.moveaxis(smoothed, (-2, -1), axes)


def _mean(image: Array, nodata: Any, weights: list[Array], dtype: np.dtype[Any]) -> Array:
    """Divide the sum of the pixels that are not masked by that of their weights."""
    known = image.astype(dtype)
    valid = valid_mask(image, nodata)
    if valid is None or valid.all():
        counted = _sums_of_ones(image.shape, weights)
    else:
        masked = ~valid
        np.copyto(known, 0, where=masked)
        counted = _sums(valid.view(np.uint8), weights)
        np.copyto(counted, np.nan, where=masked)
    total = _sums(known, weights)
    with np.errstate(all="ignore"):
        return np.divide(total, counted, out=total)


def _sums(image: Array, weights: list[Array]) -> Array:
    """Sum pixels with their weights; beyond the image there is nothing."""
    correlate = needed("scipy.ndimage", "scores", "smoothed scores").correlate1d
    down, across = weights
    total: Array = correlate(image, down, axis=0, output=np.float64, mode="constant")
    correlate(total, across, axis=1, output=total, mode="constant")
    return total


def _sums_of_ones(shape: tuple[int, ...], weights: list[Array]) -> Array:
    """Give what `_sums` gives for an image of ones, bit for bit: a row of each kind is enough."""
    height, width = shape
    down, across = weights
    column = _sums(np.ones((height, 1)), [down, np.ones(1)])[:, 0]
    kinds, places = np.unique(column, return_inverse=True)
    rows = np.broadcast_to(kinds[:, np.newaxis], (len(kinds), width))
    sums: Array = _sums(rows, [np.ones(1), across])[places]
    return sums
