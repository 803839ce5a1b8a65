"""An image in all its levels, as a server shows it: its colours, and the values at a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.collection.levels import levels_of
from qmosaic.collection.location import GRID_MAPPING, map_dims
from qmosaic.collection.masks import Array
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.colours import Paint, visualize
from qmosaic.display.dates import OTHERS, Images, coloured, dated, telling_images
from qmosaic.display.drawing import rgb_of
from qmosaic.display.layers import one_image, with_crs
from qmosaic.display.mercator import bounds_of
from qmosaic.display.placing import Grid, apart, tile_places
from qmosaic.display.ramps import ramp_of, with_colours_of_counts
from qmosaic.display.serving.blocks import Blocks, Kept
from qmosaic.display.stretches import has_percentages, provisional, settled, wanted
from qmosaic.display.thinning import as_kept, check_one_image, shown, thin
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


class Detailed:
    """An image in all its levels.

    Parameters
    ----------
    image : xarray.Dataset, xarray.DataArray, str, Path, or an image of `qmosaic.ee`
        What is shown.
    parameters : mapping
        How: see `qmosaic.visualize`; `min` and `max` may be percentages.
    kept : Kept
        Where colours are kept.

    Attributes
    ----------
    bounds : Bounds
        Where it lies.
    legend : Swatches or Ramp, optional
        What its colours mean.

    Raises
    ------
    KeyError, TypeError, ValueError
        See `qmosaic.visualize`; or the image has no CRS, or no size.
    """

    def __init__(self, image: Any, parameters: Mapping[str, Any], kept: Kept) -> None:
        self._whole = with_crs(shown(image, "add_layer()"))
        parameters = as_kept(self._whole, parameters)
        telling = telling_images(self._whole, parameters)
        levels = (
            _bands(self._whole, parameters)
            if telling is None
            else [dated(level, telling) for level in levels_of(self._whole)]
        )
        for band in levels[0].data_vars.values():
            check_one_image(band, "add_layer()")
        grids = [Grid(level) for level in levels]
        self._grid = grids[0]
        down, across = (levels[0][dim].values for dim in map_dims(levels[0]))
        self.bounds = bounds_of(down, across, self._grid.crs)
        coarse = thin(levels[-1], COARSE)
        self.legend: Swatches | Ramp | None
        paint, self.legend, coarse = (
            _of_numbers(coarse, parameters) if telling is None else _of_dates(coarse)
        )
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
        down, across = map_dims(self._whole)
        (held,) = compute(one_image(self._whole.isel({down: [row], across: [column]})))
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


def _bands(image: xr.Dataset, parameters: Mapping[str, Any]) -> list[xr.Dataset]:
    """Take the bands that are shown, and no others, in all resolutions that they have.

    Raises
    ------
    KeyError, TypeError, ValueError
        See `visualize`.
    """
    parameters = with_colours_of_counts(image, parameters)
    seen = wanted(one_image(image), parameters.get("bands"), "add_layer()")
    visualize(seen, **provisional(parameters))
    chosen = image[list(seen.data_vars)]
    return [one_image(level) for level in levels_of(chosen)]


Painting = tuple[Paint, Swatches | Ramp | None, xr.Dataset]
"""Gives colours, what they mean, and the coarse picture, which may have been computed for them."""


def _of_numbers(coarse: xr.Dataset, parameters: Mapping[str, Any]) -> Painting:
    known = with_colours_of_counts(coarse, parameters)
    if has_percentages(known):
        (coarse,) = compute(coarse)
        known = settled(known, [coarse])
    return lambda held: visualize(held, **known), ramp_of(coarse, known, masked=False), coarse


def _of_dates(coarse: xr.Dataset) -> Painting:
    (coarse,) = compute(coarse)  # the images that are seen have colours
    images = Images.on([coarse])
    # those that it does not show, and the legend does not name, have one together
    colours, others = images.colours, rgb_of(OTHERS)
    legend = images.legend(masked=False)
    return lambda held: coloured(held, images, colours, others), legend, coarse


def _meant(variable: xr.DataArray) -> Any:
    """Give a value as it is meant, and as JSON holds it; None where it is masked."""
    value = variable.values.reshape(())[()]
    kind = variable.dtype.kind
    if kind in "mM":
        text = "" if pd.isna(value) else str(pd.Timestamp(value) if kind == "M" else value)
        return text.removesuffix(" 00:00:00") or None
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
