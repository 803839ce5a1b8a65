"""Functions of the pixels around a pixel."""

from __future__ import annotations

import functools
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
from qmosaic.ee.kernels import Kernel, named
from qmosaic.ee.pixels import mask_of, update_mask
from qmosaic.ee.reducers import RULES, Reducer, Rule, counting, outputs_of
from qmosaic.ee.values import known
from qmosaic.engine.graph import map_surroundings
from qmosaic.scores.expressions import bare

AT_ONCE = 1 << 20
"""How many neighbours are looked at together, of as many rows of the map as have them."""

SCRATCH = 32
"""Bytes a pixel that looking at neighbours needs, besides `AT_ONCE`: a wider copy of the values and
of the mask, and the result."""


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
    return declaring(surroundings(band, kernel, depth, dtype), fill)


def surroundings(
    band: xr.DataArray, kernel: Any, depth: dict[int, int], dtype: Any, scratch: int = SCRATCH
) -> xr.DataArray:
    """Apply a function to the chunks of a band and what lies around them, see
    `qmosaic.engine.graph.map_surroundings`."""
    data = band.data
    if isinstance(data, da.Array):
        return bare(band).copy(data=map_surroundings(data, kernel, depth, dtype, scratch=scratch))
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
