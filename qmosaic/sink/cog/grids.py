"""Where the pixels of a file lie: its CRS, and where its upper left corner is."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import crs_of, map_dims
from qmosaic.collection.masks import Array
from qmosaic.collection.transforms import TRANSFORM, even_step

Span = tuple[int, int]
"""The first pixel along an axis, and the one behind the last."""


@dataclass(frozen=True)
class Grid:
    """The grid of a file: north up, east right.

    Attributes
    ----------
    height, width : int
        Its size in pixels.
    transform : tuple of float
        The upper left corner and the size of a pixel, in GDAL's order.
    wkt : str
        The CRS.
    flipped : (bool, bool)
        Whether the mosaic has its first row in the south, and its first column in the east.
    """

    height: int
    width: int
    transform: tuple[float, ...]
    wkt: str
    flipped: tuple[bool, bool] = (False, False)

    def place(self, rows: Span, columns: Span, values: Array) -> tuple[Span, Span, Array]:
        """Say where a part of the mosaic lies in the file, and give it as it lies there."""
        (top, bottom), (left, right) = rows, columns
        if self.flipped[0]:
            top, bottom, values = self.height - bottom, self.height - top, values[..., ::-1, :]
        if self.flipped[1]:
            left, right, values = self.width - right, self.width - left, values[..., ::-1]
        return (top, bottom), (left, right), values


def grid_of(dataset: xr.Dataset) -> Grid:
    """Find the grid of a mosaic.

    Raises
    ------
    ValueError
        It has no coordinates or no CRS, or its pixels are not evenly spaced.
    """
    down, across = map_dims(dataset)
    if not dataset.sizes[down] * dataset.sizes[across]:
        raise ValueError(
            f"the mosaic has no pixels: {dataset.sizes[down]} along {down!r}, "
            f"{dataset.sizes[across]} along {across!r}. Take another part of the map."
        )
    crs = crs_of(dataset)
    declared = _declared(dataset)
    if declared is None:
        (top, height), (left, width) = _axis(dataset, down), _axis(dataset, across)
    else:
        left, width, _, top, _, height = declared
    rows, columns = dataset.sizes[down], dataset.sizes[across]
    flipped = (height > 0, width < 0)
    if flipped[0]:
        top, height = top + rows * height, -height
    if flipped[1]:
        left, width = left + columns * width, -width
    return Grid(rows, columns, (left, width, 0.0, top, 0.0, height), crs.to_wkt(), flipped)


def _declared(dataset: xr.Dataset) -> list[float] | None:
    """Give the transform that a grid mapping declares; `true_to_grid` has compared it with the
    coordinates, whose differences are rounded."""
    for variable in dataset.variables.values():
        if variable.ndim == 0 and TRANSFORM in variable.attrs:
            numbers: Any = [float(part) for part in str(variable.attrs[TRANSFORM]).split()]
            return numbers if len(numbers) == 6 else None
    return None


def _example(dataset: xr.Dataset) -> str:
    """Write how to declare a transform: of square pixels, where one axis tells their size. It is
    an example, as nothing says that they are."""
    places = [np.asarray(dataset[dim].values, float) for dim in map_dims(dataset)]
    steps = [even_step(centres) for centres in places]
    known = [abs(step) for step in steps if step is not None]
    size = known[0] if known else 10.0
    top, left = max(places[0]) + size / 2, min(places[1]) - size / 2
    numbers = ", ".join(f"{number:.12g}" for number in (size, 0, left, 0, -size, top))
    turned = [  # a transform declares maps that are north up
        f"{dim}=slice(None, None, -1)"
        for dim, step, sign in zip(map_dims(dataset), steps, (1, -1), strict=True)
        if step is not None and step * sign > 0
    ]
    turning = f".isel({', '.join(turned)})" if turned else ""
    return (
        f"square pixels of {size:.12g}: import rioxarray, rasterio; "
        f"mosaic = mosaic{turning}.rio.write_transform(rasterio.Affine({numbers}))"
    )


def _axis(dataset: xr.Dataset, dim: Hashable) -> tuple[float, float]:
    """Give the edge at which an axis begins, and the step to the next pixel."""
    centres = np.asarray(dataset[dim].values)
    if centres.dtype.kind not in "iuf":
        raise ValueError(
            f"the coordinate {dim!r} has the dtype {centres.dtype}, and a GeoTIFF needs places: "
            f"numbers in the unit of the CRS. Write mosaic.assign_coords({dim}=...)."
        )
    centres = centres.astype(float)
    if len(centres) < 2:
        raise ValueError(
            f"there is one pixel along {dim!r} only, so nothing tells how large it is. Take two or "
            f"more, or declare it, here for {_example(dataset)}."
        )
    step = even_step(centres)
    if step is None:
        steps = np.abs(np.diff(centres))
        raise ValueError(
            f"the pixels along {dim!r} are {steps.min():g} to {steps.max():g} apart, and a GeoTIFF "
            "has pixels of one size. Bring the mosaic onto a regular grid, with odc-geo's "
            "reproject or mosaic.interp(...)."
        )
    return float(centres[0]) - step / 2, step
