"""Functions of the pixels around a pixel."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable
from typing import Any, Self

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.grid import pixel_steps
from qmosaic.collection.location import crs_of, map_axes
from qmosaic.collection.masks import Array
from qmosaic.collection.requests import nominal_scale
from qmosaic.ee.images.base import Bands
from qmosaic.ee.images.reducing import declaring, filling, of_pixels
from qmosaic.ee.kernels import NEARLY, Kernel, named
from qmosaic.ee.pixels import combine, mask_of, unmask, update_mask
from qmosaic.ee.reducers import RULES, Reducer, Rule, counting, outputs_of
from qmosaic.ee.values import known
from qmosaic.engine.graph import map_surroundings
from qmosaic.optional import needed
from qmosaic.scores.distance import distance_to
from qmosaic.scores.expressions import bare, by_chunk

AT_ONCE = 1 << 20
"""How many neighbours are looked at together, of as many rows of the map as have them."""

SCRATCH = 32
"""Bytes a pixel that looking at neighbours needs, besides `AT_ONCE`: a wider copy of the values and
of the mask, and the result."""

METRICS = {"manhattan": "taxicab", "chebyshev": "chessboard"}
"""Metrics of distances, and what scipy calls them."""


def _focal(name: str, text: str) -> Any:
    """Make a method that reduces the neighbours of each pixel."""

    def method(
        self: Any,
        radius: Any = 1.5,
        kernelType: str = "circle",
        units: str = "pixels",
        iterations: Any = 1,
        kernel: Kernel | None = None,
    ) -> Any:
        shape = named(known(kernelType), radius, known(units)) if kernel is None else kernel
        return self._focal(RULES[name], shape, int(known(iterations)), f"ee.Image.focal_{name}()")

    method.__name__ = f"focal_{name}"
    method.__doc__ = f"{text} of the pixels around each pixel, see `focal_max`."
    return method


class Neighbourhoods(Bands):
    """Functions of the pixels around a pixel."""

    def focal_max(
        self,
        radius: Any = 1.5,
        kernelType: str = "circle",
        units: str = "pixels",
        iterations: Any = 1,
        kernel: Kernel | None = None,
    ) -> Self:
        """Take the highest value of the pixels around each pixel.

        Masked pixels and those outside the image do not count; a pixel is masked where none of its
        neighbourhood counts.

        Parameters
        ----------
        radius : float, default: 1.5
            How far away pixels may be, from centre to centre.
        kernelType : {"circle", "square", "diamond", "plus", "cross"}, default: "circle"
            The shape of the neighbourhood.
        units : {"pixels", "meters"}, default: "pixels"
            The unit of the radius. A degree has as many metres as at the equator.
        iterations : int, default: 1
            How often it is done.
        kernel : Kernel, optional
            A neighbourhood, in place of `radius`, `kernelType` and `units`.

        Raises
        ------
        ValueError
            There is no such kernel, or nothing tells how large pixels are.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-focalmax

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> image = ee.Image(xr.Dataset({"a": (("y", "x"), np.uint8([[1, 7, 2, 0, 0]]))}))
        >>> image.focal_max(1).dataset["a"].values
        array([[7, 7, 7, 2, 0]], dtype=uint8)
        """
        shape = named(known(kernelType), radius, known(units)) if kernel is None else kernel
        return self._focal(RULES["max"], shape, int(known(iterations)), "ee.Image.focal_max()")

    focal_min = _focal("min", "Take the lowest value")
    focal_mean = _focal("mean", "Average the values")
    focal_median = _focal("median", "Take the median")
    focal_mode = _focal("mode", "Take the most frequent value")
    focalMax = focal_max
    focalMin = focal_min
    focalMean = focal_mean
    focalMedian = focal_median
    focalMode = focal_mode

    def reduceNeighborhood(
        self,
        reducer: Any,
        kernel: Kernel,
        inputWeight: Any = None,
        skipMasked: Any = True,
        optimization: Any = None,
    ) -> Self:
        """Reduce the pixels around each pixel: ``B4_mean``.

        Parameters
        ----------
        reducer : Reducer
            Of one input.
        kernel : Kernel
            The neighbourhood: ``ee.Kernel.circle(2)``. All pixels of it weigh the same.
        skipMasked : bool, default: True
            Whether a pixel that is masked stays so, even if some around it are not.
        inputWeight, optimization : optional
            Change nothing.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-image-reduceneighborhood
        """
        caller = "ee.Image.reduceNeighborhood()"
        asked, bands = Reducer(reducer), self._bands()
        if asked.inputs != 1:
            raise ValueError(
                f"{caller} got a reducer of {asked.inputs} inputs, and each band is reduced by "
                "itself. Give a reducer of one input, such as ee.Reducer.mean()."
            )
        of_pixels(asked.outputs, caller)
        made: dict[Hashable, xr.DataArray] = {}
        for name, output, (band,) in outputs_of(asked, list(bands), "band_output", caller):
            rule: Rule = output.rule  # type: ignore[union-attr]
            around = self._around(bands[band], rule, kernel, 1, caller)
            made[name] = update_mask(around, mask_of(bands[band])) if skipMasked else around
        return self._with(made)

    def _focal(self, rule: Rule, kernel: Kernel, iterations: int, caller: str) -> Self:
        return self._changed(lambda band: self._around(band, rule, kernel, iterations, caller))

    def _around(
        self, band: xr.DataArray, rule: Rule, kernel: Kernel, iterations: int, caller: str
    ) -> xr.DataArray:
        if self._is_constant():
            return band
        axes = map_axes(band, caller)
        sizes = self._metres(band, caller) if kernel.units == "meters" else (1.0, 1.0)
        return around(band, axes, rule, kernel.footprint(sizes), iterations)

    def _metres(self, band: xr.DataArray, caller: str) -> tuple[float, float]:
        """Give the size of a pixel in metres, where the scale of its CRS is true."""
        down, across = pixel_steps(band, caller)
        metres = nominal_scale(crs_of(self.dataset))
        return down * metres, across * metres

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
            sizes = self._metres(band, caller) if asked.units == "meters" else (1.0, 1.0)
            found = _far(band, metric, asked.reach[0], sizes, caller)
            return update_mask(found, mask_of(band)) if known(skipMasked) else found

        return self._changed(measured)


def around(
    band: xr.DataArray, axes: tuple[Any, Any], rule: Rule, footprint: Array, iterations: int = 1
) -> xr.DataArray:
    """Reduce the pixels around each pixel of a band.

    Parameters
    ----------
    band : xarray.DataArray
        A map, with any further dimensions.
    axes : (str, str)
        The dimensions of the map, down and across.
    rule : Rule
        How they are reduced.
    footprint : array of bool
        Which of the pixels around count; an odd number of rows and columns.
    iterations : int
        How often.
    """
    places = band.dims.index(axes[0]), band.dims.index(axes[1])
    dtype = rule.dtype(band.dtype, int(footprint.sum()))
    fill = filling(rule, [band], dtype)
    kernel = functools.partial(
        _reduced,
        axes=places,
        rule=rule,
        footprint=footprint,
        nodata=declared_nodata(band),
        dtype=dtype,
        fill=fill,
        iterations=iterations,
    )
    reach = (n // 2 * iterations for n in footprint.shape)
    depth = {axis: min(n, band.shape[axis]) for axis, n in zip(places, reach, strict=True)}
    return declaring(_surroundings(band, kernel, depth, dtype), fill)


def _surroundings(
    band: xr.DataArray, kernel: Any, depth: dict[int, int], dtype: Any
) -> xr.DataArray:
    data = band.data
    if isinstance(data, da.Array):
        return bare(band).copy(data=map_surroundings(data, kernel, depth, dtype, scratch=SCRATCH))
    return bare(band).copy(data=kernel(np.asarray(data)))


def _reduced(
    values: Array,
    *,
    axes: tuple[int, int],
    rule: Rule,
    footprint: Array,
    nodata: Any,
    dtype: np.dtype[Any],
    fill: Any,
    iterations: int,
) -> Array:
    """Reduce image by image."""
    images = np.moveaxis(values, axes, (-2, -1))
    made = np.empty(images.shape, dtype)
    for place in np.ndindex(images.shape[:-2]):
        image, missing = images[place], nodata
        for _ in range(iterations):
            image = _image(image, rule, footprint, missing, dtype, fill)
            missing = None if dtype.kind == "f" else fill
        made[place] = image
    return np.moveaxis(made, (-2, -1), axes)


def _image(
    image: Array, rule: Rule, footprint: Array, nodata: Any, dtype: np.dtype[Any], fill: Any
) -> Array:
    """Reduce the pixels around each one of an image, some rows at a time."""
    margins = [(n // 2, n // 2) for n in footprint.shape]
    views = [
        np.lib.stride_tricks.sliding_window_view(np.pad(array, margins), footprint.shape)
        for array in (image, counting([image], [nodata]))
    ]
    made = np.empty(image.shape, dtype)
    rows = max(1, AT_ONCE // max(1, image.shape[1] * footprint.size))
    for start in range(0, image.shape[0], rows):
        values, valid = (view[start : start + rows][..., footprint] for view in views)
        made[start : start + rows] = rule.apply([values], valid, dtype, fill)
    return made


# -- distances -----------------------------------------------------------------------------------


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
    return _surroundings(there, kernel, depth, np.dtype("float32"))


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
