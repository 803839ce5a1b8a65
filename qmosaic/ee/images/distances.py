"""How far pixels are from others."""

from __future__ import annotations

import functools
import math
from typing import Any, Self

import numpy as np
import xarray as xr

from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array
from qmosaic.ee.images.neighbourhoods import Neighbourhoods, surroundings
from qmosaic.ee.images.reducing import declaring
from qmosaic.ee.kernels import NEARLY, Kernel
from qmosaic.ee.pixels import combine, mask_of, unmask, update_mask
from qmosaic.ee.values import known
from qmosaic.optional import needed
from qmosaic.scores.distance import distance_to
from qmosaic.scores.expressions import by_chunk

METRICS = {"manhattan": "taxicab", "chebyshev": "chessboard"}
"""Metrics of distances, and what scipy calls them."""


class Distances(Neighbourhoods):
    """Distances to pixels that are not 0."""

    def fastDistanceTransform(
        self,
        neighborhood: Any = 256,
        units: str = "pixels",
        metric: str = "squared_euclidean",
    ) -> Self:
        """Measure how far each pixel is from the nearest one that is not 0, in pixels: "distance".

        Parameters
        ----------
        neighborhood : int, default: 256
            How far it is measured, in pixels; pixels that are farther away are masked.
        units : {"pixels"}
            The unit of `neighborhood`.
        metric : {"squared_euclidean", "manhattan", "chebyshev"}
            The usual one gives squares of distances: take ``sqrt()``.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-fastdistancetransform

        Masked pixels are as 0, and get a distance too. `qmosaic.scores.distance_to` does it: the
        exact distance from centre to centre, for which as many pixels around a chunk are read.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> image = ee.Image(xr.Dataset({"a": (("y", "x"), np.uint8([[1, 0, 0, 0]]))}))
        >>> image.fastDistanceTransform().dataset["distance"].values
        array([[0, 1, 4, 9]], dtype=uint32)
        """
        caller = "ee.Image.fastDistanceTransform()"
        bands, farthest = list(self._bands().values()), int(known(neighborhood))
        if len(bands) != 1:
            raise ValueError(
                f"{caller} got an image of {len(bands)} bands, and measures to the pixels of one. "
                "Select it first: image.select('mask').fastDistanceTransform()."
            )
        if units != "pixels" or metric not in ("squared_euclidean", *METRICS) or farthest < 1:
            raise ValueError(
                f"{caller} got neighborhood={farthest}, units={units!r}, metric={metric!r}; it "
                "measures at least 1 pixel far, in 'pixels', by 'squared_euclidean', 'manhattan' "
                "or 'chebyshev'. Write fastDistanceTransform(256)."
            )
        if self._is_constant():
            return self._with({"distance": _everywhere_0(bands[0])})
        there = combine("neq", unmask(bands[0], 0), 0).astype(bool)
        measured = distance_to(there, max_distance=farthest + 1, resolution=1)
        if metric in METRICS:
            measured = _by_steps(there, METRICS[metric], farthest + 1, caller)
        squared = metric == "squared_euclidean"
        return self._with({"distance": _whole_numbers(measured, farthest, squared)})

    def distance(self, kernel: Any = None, skipMasked: Any = True) -> Self:
        """Measure how far each pixel is from the nearest one that is not 0, in each band.

        Parameters
        ----------
        kernel : Kernel
            A kernel of distances, ``ee.Kernel.euclidean(500, "meters")``: how they are measured,
            in pixels or metres from centre to centre, and how far. Pixels that are farther away
            are masked. By default 3 pixels in a straight line.
        skipMasked : bool, default: True
            Whether pixels that are masked stay so. They are as 0.

        Returns
        -------
        Image
            float32, bands called as before.

        Raises
        ------
        ValueError
            The kernel is a neighbourhood, or nothing tells how large pixels are in metres.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-distance

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> image = ee.Image(xr.Dataset({"cloud": (("y", "x"), np.uint8([[1, 0, 0, 0]]))}))
        >>> image.distance(ee.Kernel.euclidean(2)).dataset["cloud"].values
        array([[ 0.,  1.,  2., nan]], dtype=float32)
        """
        caller = "ee.Image.distance()"
        asked = Kernel.euclidean(3) if kernel is None else kernel
        metric = getattr(asked, "metric", None)
        if metric is None or not asked.reach[0] > 0:
            raise ValueError(
                f"{caller} got a {type(asked).__name__} that measures no distances. Give one that "
                "does, with a radius above 0: ee.Kernel.euclidean(500, 'meters'), manhattan or "
                "chebyshev."
            )

        def measured(band: xr.DataArray) -> xr.DataArray:
            if self._is_constant():
                return _everywhere_0(band).astype("float32")
            sizes = self._metres(band, caller) if asked.units == "meters" else (1.0, 1.0)
            found = _far(band, metric, asked.reach[0], sizes, caller)
            return update_mask(found, mask_of(band)) if known(skipMasked) else found

        return self._changed(measured)


def _everywhere_0(band: xr.DataArray) -> xr.DataArray:
    """Measure in a constant: 0 where it is not 0, else nothing is near."""
    there = combine("neq", unmask(band, 0), 0)
    return update_mask(combine("multiply", there, 0.0), there)


def _far(
    band: xr.DataArray, metric: str, radius: float, sizes: tuple[float, float], caller: str
) -> xr.DataArray:
    """Measure how far pixels that are not 0 are; NaN beyond a radius."""
    there = combine("neq", unmask(band, 0), 0).astype(bool)
    if metric == "euclidean":  # a little farther than asked: what is at the end is measured
        made = distance_to(there, max_distance=radius * NEARLY + max(sizes), resolution=sizes)
        return by_chunk(_within, [made], "float32", radius=radius, size=1.0)
    if abs(sizes[0] - sizes[1]) > sizes[0] * (NEARLY - 1):
        raise ValueError(
            f"{caller} got a kernel {metric!r} in metres, and pixels of {sizes[0]:g} by "
            f"{sizes[1]:g} m: it counts square pixels. Take ee.Kernel.euclidean(radius, 'meters'), "
            "or a kernel in pixels."
        )
    most = math.floor(radius * NEARLY / sizes[0]) + 1
    steps = _by_steps(there, METRICS[metric], most, caller)
    return by_chunk(_within, [steps], "float32", radius=radius, size=sizes[0])


def _within(values: Array, *, radius: float, size: float) -> Array:
    scaled = values * np.float32(size)
    return np.where(scaled <= radius * NEARLY, scaled, np.float32(np.nan))


def _by_steps(there: xr.DataArray, metric: str, farthest: int, caller: str) -> xr.DataArray:
    """Measure distances along rows and columns, or the larger of the two."""
    down, across = map_axes(there, caller)
    axes = there.dims.index(down), there.dims.index(across)
    kernel = functools.partial(_steps, axes=axes, metric=metric, farthest=farthest)
    depth = {axis: min(farthest, there.shape[axis]) for axis in axes}
    return surroundings(there, kernel, depth, np.dtype("float32"))


def _steps(there: Array, *, axes: tuple[int, int], metric: str, farthest: int) -> Array:
    transform = needed("scipy.ndimage", "scores", "distances").distance_transform_cdt
    images = np.moveaxis(there, axes, (-2, -1))
    made = np.full(images.shape, farthest, np.float32)
    for place in np.ndindex(images.shape[:-2]):
        if images[place].any():
            made[place] = np.minimum(transform(~images[place], metric=metric), farthest)
    return np.moveaxis(made, (-2, -1), axes)


def _whole_numbers(measured: xr.DataArray, farthest: int, squared: bool) -> xr.DataArray:
    """Give distances as whole numbers, or their squares; masked where they are too large."""
    most = farthest * farthest if squared else farthest
    dtype = np.min_scalar_type(most + 1)
    fill = np.iinfo(dtype).max
    made = by_chunk(
        _rounded, [measured], dtype, most=most, squared=squared, result=dtype, fill=fill
    )
    return declaring(made, fill)


def _rounded(values: Array, *, most: int, squared: bool, result: Any, fill: int) -> Array:
    numbers = values.astype(np.float64)
    whole = np.rint(numbers * numbers if squared else numbers)
    return np.where(whole <= most, whole, fill).astype(result)
