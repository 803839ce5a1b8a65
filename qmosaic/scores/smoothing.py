"""The mean of a score over what lies around each pixel."""

from __future__ import annotations

import xarray as xr

from qmosaic.collection.declarations import check_decoded, declared_nodata, declared_packing
from qmosaic.collection.grid import metres_per_pixel
from qmosaic.collection.location import map_axes
from qmosaic.collection.means import Kind, TooNarrowError, scipy_is_there, weights_of
from qmosaic.collection.model import check_choice
from qmosaic.engine.smoothing import smooth_array
from qmosaic.optional import serving
from qmosaic.scores.expressions import bare, check_numeric, check_positive


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

    ``quality_mosaic(..., smooth=metres)`` orders the images by this mean, and keeps the quality of
    the mosaic as the images have it.

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
    scipy_is_there()
    with serving("scores", "smoothed scores"):
        sizes = metres_per_pixel(score, resolution, "smooth()")
    try:
        weights = weights_of(width, kind, sizes)
    except TooNarrowError:
        raise ValueError(
            f"smooth() got metres={width:g} and pixels of {sizes[0]:g} × {sizes[1]:g} m, so a "
            "window is one pixel, and its mean is the score as it is. Write "
            f"metres={3 * max(sizes):g} or more, or leave smooth() out."
        ) from None
    axes = score.dims.index(down), score.dims.index(across)
    nodata, packing = declared_nodata(score), declared_packing(score)
    made = smooth_array(score.data, axes, weights, nodata=nodata, packing=packing)
    return bare(score).copy(data=made)
