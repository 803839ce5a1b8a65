"""An image as a layer of a map: its levels and their colours, the values at a place."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.collection.levels import levels_of
from qmosaic.collection.location import GRID_MAPPING, crs_of, map_axes
from qmosaic.collection.masks import Array
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.colours import visualize
from qmosaic.display.dates import Images, coloured, dated, telling_images
from qmosaic.display.drawing import rgb_of
from qmosaic.display.mercator import bounds_of
from qmosaic.display.origins import OTHERS
from qmosaic.display.serving.blocks import Blocks, Kept, Paint
from qmosaic.display.serving.placing import Grid, apart, tile_places
from qmosaic.display.thinning import check_one_image, only, shown, thin
from qmosaic.engine.mosaic import last_on_top
from qmosaic.engine.scheduling import compute

COARSE = 2048
"""The most pixels along each side of the picture of a whole image that has no such level."""

FEWER = 4.0
"""How many pixels of a level there may be for one of a tile, along each side, before a coarser one
is shown in its place, though that has fewer than the tile."""

LARGEST = 1024
"""The most pixels along a side of a tile."""

EXACT = 2**53
"""Up to where JavaScript tells integers apart."""


class Layer:
    """An image as a layer.

    Parameters
    ----------
    image : xarray.Dataset, xarray.DataArray, or an image of `qmosaic.ee`
        What is shown.
    parameters : mapping
        How: see `qmosaic.visualize`.
    kept : Kept
        Where colours are kept.

    Attributes
    ----------
    bounds : Bounds
        Where it lies.
    legend : Swatches or Ramp, optional
        What the colours of a map of dates mean.

    Raises
    ------
    KeyError, TypeError, ValueError
        See `qmosaic.visualize`; or the image has no CRS, or no size.
    """

    def __init__(self, image: Any, parameters: Mapping[str, Any], kept: Kept) -> None:
        whole = _with_crs(shown(image, "add_layer()"))
        self.legend: Swatches | Ramp | None = None
        telling = telling_images(whole, parameters)
        if telling is not None:
            levels = [dated(level, telling) for level in levels_of(whole)]
            for band in levels[0].data_vars.values():
                check_one_image(band, "add_layer()")
        else:
            levels = [_on_top(level) for level in levels_of(_wanted(whole, parameters))]
        grids = [Grid(level) for level in levels]
        self._whole, self._grid = whole, grids[0]
        self.bounds = bounds_of(*_axes(levels[0]), grids[0].crs)
        coarse = thin(levels[-1], COARSE)
        if telling is not None:
            (coarse,) = compute(coarse)  # the images that are seen have colours
            images = Images.on([coarse])
            self.legend = images.legend(masked=False)
            paint = _painting(images)
        else:
            visualize(levels[0], **parameters)  # what is wrong is said now
            paint = _visualizing(parameters)
        self._levels = [
            (grid, Blocks(level, paint, kept)) for grid, level in zip(grids, levels, strict=True)
        ]
        if coarse.sizes != levels[-1].sizes:
            once = Kept(2 * 4 * COARSE**2)  # it is not computed again, whatever else is kept
            self._levels.append((Grid(coarse), Blocks(coarse, paint, once, whole=True)))

    def tile(self, x: int, y: int, z: int, size: int) -> Array:
        """Draw a tile: red, green, blue and opacity, uint8, (size, size, 4); transparent where the
        image has no pixels, or is masked."""
        size = min(size, LARGEST)
        nothing = np.zeros((size, size, 4), np.uint8)
        places = tile_places(x, y, z, size)
        if places is None:
            return nothing
        down, across = self._grid.places(*places)
        rows, columns = self._grid.pixels(down, across)
        inside = (rows >= 0) & (columns >= 0)
        if not inside.any():
            return nothing
        grid, blocks = self._fitting(apart(down, across, inside))
        return blocks.at(*grid.pixels(down, across))

    def _fitting(self, step: float) -> tuple[Grid, Blocks]:
        """Choose the coarsest level whose pixels are no larger than those of a tile; or one that is
        coarser still, where a tile would take too many of them."""
        number = max((n for n, (g, _) in enumerate(self._levels) if g.step <= step), default=0)
        if step > FEWER * self._levels[number][0].step and number + 1 < len(self._levels):
            number += 1
        return self._levels[number]

    def values(self, lon: float, lat: float) -> dict[str, Any]:
        """Give what the image says at a place: the values of its bands, and where they come from.

        Parameters
        ----------
        lon, lat : float
            Degrees.

        Returns
        -------
        dict
            ``inside``, whether the image has a pixel there; and then ``bands``, their values as
            they are meant, with scale and offset, None where one is masked, and ``from``, what its
            coordinates say, such as the time of the image. As JSON holds them.
        """
        places = self._grid.places(np.array([[lon]]), np.array([[lat]]))
        row, column = (int(n.item()) for n in self._grid.pixels(*places))
        if row < 0 or column < 0:
            return {"inside": False}
        down, across = _dims(self._whole)
        (held,) = compute(_on_top(self._whole.isel({down: [row], across: [column]})))
        own = set(held.xindexes) | {
            n for n, v in held.coords.items() if GRID_MAPPING & set(v.attrs)
        }
        return {
            "inside": True,
            "bands": {str(n): _meant(v) for n, v in held.data_vars.items() if v.size == 1},
            "from": {
                str(n): _meant(v)
                for n, v in held.coords.items()
                if v.size == 1 and n not in own and _says(v)
            },
        }


def _says(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate says something of an image: a time, a number on the map, a text."""
    return coordinate.dtype.kind in "MOUST" or coordinate.ndim > 0


def _with_crs(image: xr.Dataset) -> xr.Dataset:
    try:
        crs_of(image)
    except ValueError as error:
        raise ValueError(f"add_layer() cannot put the image on a map: {error}") from error
    return image


def _dims(image: xr.Dataset) -> tuple[Hashable, Hashable]:
    band = next(v for v in image.variables.values() if v.ndim >= 2)
    return map_axes(xr.DataArray(band), "add_layer()")


def _axes(image: xr.Dataset) -> tuple[Array, Array]:
    down, across = _dims(image)
    return image[down].values, image[across].values


def _wanted(image: xr.Dataset, parameters: Mapping[str, Any]) -> xr.Dataset:
    """Leave out the bands that are not shown, so that they are not computed."""
    if parameters.get("bands") is not None:
        return only(image, parameters["bands"])
    bands = [n for n, v in image.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "biuf"]
    return image[bands[:3] if len(bands) >= 3 else bands[:1]] if bands else image


def _on_top(image: xr.Dataset) -> xr.Dataset:
    """Take the last image on top, where there are several."""
    return last_on_top(image) if "time" in image.dims else image


def _visualizing(parameters: Mapping[str, Any]) -> Paint:
    return lambda held: visualize(held, **parameters)


def _painting(images: Images) -> Paint:
    # those that the picture of the whole does not show, and the legend does not name, have one
    colours, others = images.colours, rgb_of(OTHERS)
    return lambda held: coloured(held, images, colours, others)


def _meant(variable: xr.DataArray) -> Any:
    """Give a value as it is meant, and as JSON holds it; None where it is masked."""
    value = variable.values.reshape(())[()]
    kind = variable.dtype.kind
    if kind in "mM":
        return None if pd.isna(value) else str(pd.Timestamp(value)) if kind == "M" else str(value)
    if kind not in "biuf":
        return str(value)
    nodata = declared_nodata(variable)
    if (nodata is not None and value == nodata) or (kind == "f" and np.isnan(value)):
        return None
    if kind == "b":
        return bool(value)
    scale, offset = declared_packing(variable)
    if kind in "iu" and (scale, offset) == (1.0, 0.0):
        return int(value) if abs(int(value)) <= EXACT else str(value)
    # a float as its dtype writes it, 0.1; what was packed without the last digits of a product
    number = float(str(value)) if kind == "f" else float(f"{value * scale + offset:.12g}")
    return number if np.isfinite(number) else str(number)
