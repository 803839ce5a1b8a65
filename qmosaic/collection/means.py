"""Means over what lies around each pixel, on numpy arrays.

`scores.smooth` makes a score of them, ``quality_mosaic(smooth=)`` orders images by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from qmosaic.collection.masks import Array, valid_mask
from qmosaic.optional import needed

Kind = Literal["mean", "gaussian"]

SCRATCH = 18
"""Bytes a pixel that smoothing needs, besides a copy and the result in the dtype of the result:
two sums of float64 and the mask, twice. Measured with tracemalloc."""

FWHM = 2 * math.sqrt(2 * math.log(2))
"""The full width of a Gaussian at half of its maximum, in standard deviations."""


def scipy_is_there() -> None:
    """Refuse to go on where scipy is missing, before anything is computed."""
    needed("scipy", "scores", "smoothed scores")


class TooNarrowError(ValueError):
    """A window is one pixel, so a mean would be the pixel itself."""


def weights_of(metres: float, kind: Kind, sizes: Sequence[float]) -> list[Array]:
    """Give the weights of a window along each axis; their number is odd.

    Parameters
    ----------
    metres : float
        How wide the window is: of a mean its side, of a Gaussian the full width at half of its
        maximum.
    kind : {"mean", "gaussian"}
        How the pixels count: all the same, or the nearer, the more.
    sizes : sequence of float
        The size of a pixel along each axis, in metres.

    Raises
    ------
    TooNarrowError
        Nothing but the pixel itself would count.
    """
    weights = [_weights(metres / size, kind) for size in sizes]
    if max(map(len, weights)) == 1:
        raise TooNarrowError
    return weights


def _weights(width: float, kind: Kind) -> Array:
    """Give the weights along one axis, for a width in pixels."""
    if kind == "mean":
        # coordinates, and so the size of pixels, are not exact
        return np.ones(2 * math.floor(width / 2 + 1e-3) + 1)
    deviation = width / FWHM
    radius = math.floor(4 * deviation + 0.5)
    return np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)


def cut_to(weights: Array, size: int) -> Array:
    """Leave out weights that reach beyond a map of this size wherever the pixel lies."""
    beyond = max(0, len(weights) // 2 - max(0, size - 1))
    return weights[beyond : len(weights) - beyond]


def mean_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the float in which means of a band are: float32 up to 16 bits and of float32, else
    float64."""
    wide = np.float32 if dtype.kind == "b" else np.result_type(dtype, np.float32)
    return np.dtype(np.float32 if wide == np.float32 else np.float64)


def smoothed(
    values: Array,
    *,
    axes: tuple[int, int],
    weights: Sequence[Array],
    nodata: Any = None,
    packing: tuple[float, float] = (1.0, 0.0),
    dtype: np.dtype[Any],
    least: Any = None,
    descending: bool = False,
) -> Array:
    """Average what lies around each pixel, image by image; masked pixels count nowhere.

    Parameters
    ----------
    values : array
        Images of numbers, with any further dimensions.
    axes : (int, int)
        The axes of the map, down and across.
    weights : sequence of array
        The weights along them, see `weights_of`.
    nodata : scalar, optional
        What counts as masked, beside NaN.
    packing : (float, float), default: (1.0, 0.0)
        The scale and the offset by which a mean is unpacked.
    dtype : numpy.dtype
        That of the means, a float.
    least : scalar, optional
        Pixels that are worse than this get no mean; in the means of others they count.
    descending : bool, default: False
        Whether more is worse.

    Returns
    -------
    array
        Of the shape of `values`; NaN where a pixel is masked, or has no mean.
    """
    images = np.moveaxis(values, axes, (-2, -1))
    means = np.empty(images.shape, dtype)
    for place in np.ndindex(images.shape[:-2]):
        mean = _mean(images[place], nodata, weights, dtype)
        with np.errstate(all="ignore"):
            means[place] = mean if packing == (1.0, 0.0) else mean * packing[0] + packing[1]
            if least is not None:
                worse = np.greater if descending else np.less
                np.copyto(means[place], np.nan, where=worse(images[place], least))
    return np.moveaxis(means, (-2, -1), axes)


def _mean(image: Array, nodata: Any, weights: Sequence[Array], dtype: np.dtype[Any]) -> Array:
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


def _sums(image: Array, weights: Sequence[Array]) -> Array:
    """Sum pixels with their weights; beyond the image there is nothing."""
    correlate = needed("scipy.ndimage", "scores", "smoothed scores").correlate1d
    down, across = weights
    total: Array = correlate(image, down, axis=0, output=np.float64, mode="constant")
    correlate(total, across, axis=1, output=total, mode="constant")
    return total


def _sums_of_ones(shape: tuple[int, ...], weights: Sequence[Array]) -> Array:
    """Give what `_sums` gives for an image of ones, bit for bit: a row of each kind is enough."""
    height, width = shape
    down, across = weights
    column = _sums(np.ones((height, 1)), [down, np.ones(1)])[:, 0]
    kinds, places = np.unique(column, return_inverse=True)
    rows = np.broadcast_to(kinds[:, np.newaxis], (len(kinds), width))
    sums: Array = _sums(rows, [np.ones(1), across])[places]
    return sums
