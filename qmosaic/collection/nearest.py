"""Images on another grid, by nearest neighbour: each pixel of the grid takes that pixel of the
image in which its centre lies.

These places are computed for every pixel, exactly, so that they do not depend on chunks. (GDAL, and
odc-geo's ``reproject`` with it, estimates them anew for each piece of a map: of one of 400 × 300
pixels, 2 % came from the pixel beside, and others when its chunks were others.) Values are moved
and not computed with, so every dtype goes, and no valid value is taken for a masked one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import can_be_masked, masked_value
from qmosaic.collection.geometry import as_crs, projected
from qmosaic.collection.grid import axis_of
from qmosaic.collection.location import GRID_MAPPING, crs_of, extent_of, map_dims
from qmosaic.collection.masks import Array, beyond
from qmosaic.collection.transforms import true_to_grid
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

EDGE = 1e-6
"""The part of a pixel that counts as rounding: a centre on an edge is in the next pixel."""

LARGEST = 1024
"""The most pixels along the side of a chunk."""

SAMPLES = 17
"""At how many places along each side of a piece it is looked up where its pixels lie."""

AT_ONCE = 1 << 16
"""Of how many pixels places are looked up at once."""

PACKING = (
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "dtype",
    "units",
    "calendar",
)
"""What stays true of how a band is stored when its pixels are others."""

Pair = tuple[int, int]
"""Rows and columns, or the first of them."""

Spans = tuple[Pair, Pair]
"""The first row and the one behind the last, and the same of columns."""


def on_grid(image: xr.Dataset, grid: GeoBox, caller: str = "on_grid()") -> xr.Dataset:
    """Take the pixels of a grid out of an image, in all that lies on the map.

    Parameters
    ----------
    image : xarray.Dataset
        A map with evenly spaced pixels and a CRS, with or without other dimensions.
    grid : odc GeoBox
        North up and east right.

    Returns
    -------
    xarray.Dataset
        Lazy where the image is. What lies outside the image is masked. A band of integers that
        declares no nodata gets the next larger dtype where that is needed, and a nodata.

    Raises
    ------
    ValueError
        A band has one of the two dimensions of the map, or the map has no grid: its pixels are not
        evenly spaced, or there is one row only.
    """
    dims = map_dims(image)
    lying = {name: set(dims) & set(v.dims) for name, v in image.variables.items()}
    whole = [name for name, own in lying.items() if len(own) == 2]
    if halves := [name for name in image.data_vars if len(lying[name]) == 1]:
        raise ValueError(
            f"the bands {', '.join(map(repr, halves))} lie along one side of the map only, so they "
            "have no pixels that could be brought onto another grid. Leave them out: "
            f"drop_vars({halves!r})."
        )
    mappings = [n for n, v in image.coords.items() if v.ndim == 0 and GRID_MAPPING & set(v.attrs)]
    places = Places.of(image, grid, caller)
    made = {name: _moved(image[name].variable, places, dims, grid) for name in whole}
    kept = image.drop_vars([*(name for name, own in lying.items() if own), *mappings])
    result = kept.assign({n: v for n, v in made.items() if n in image.data_vars})
    result = result.assign_coords({n: v for n, v in made.items() if n in image.coords})
    result = result.assign_coords(needed("odc.geo.xr", "geo", "grids").xr_coords(grid))
    return true_to_grid(result[list(image.data_vars)])


def on_grid_like(image: xr.Dataset, like: xr.Dataset, caller: str = "on_grid_like()") -> xr.Dataset:
    """Take the pixels of the grid of another map out of an image: they have its coordinates then.

    Parameters
    ----------
    image, like : xarray.Dataset
        Maps with evenly spaced pixels and a CRS.
    """
    make = needed("odc.geo.geobox", "geo", "grids").GeoBox
    affine = needed("affine", "geo", "grids").Affine
    down, across = map_dims(like)
    left, width = axis_of(like, across, caller)
    top, height = axis_of(like, down, caller)
    shape = (like.sizes[down], like.sizes[across])
    grid = make(shape, affine(width, 0.0, left, 0.0, height, top), crs_of(like))
    moved = on_grid(image, grid, caller)
    names = dict(zip(grid.dimensions, (down, across), strict=True))
    renamed = moved.rename({old: new for old, new in names.items() if old != new})
    # letter by letter: those of a transform are rounded in another way
    return renamed.assign_coords({down: like[down], across: like[across]})


def _moved(
    variable: xr.Variable, places: Places, dims: tuple[Hashable, Hashable], grid: GeoBox
) -> xr.Variable:
    """Give a band, or a coordinate on the map, on the grid."""
    band = xr.DataArray(variable)
    attrs = {name: value for name, value in band.attrs.items() if name != "grid_mapping"}
    stored = {name: value for name, value in band.encoding.items() if name in PACKING}
    fill = masked_value(band)
    if places.bounded and band.dtype.kind in "biu" and not can_be_masked(band):
        dtype, fill = beyond(band.dtype)
        band, attrs["_FillValue"], stored = band.astype(dtype), fill, {}
    axes = band.dims.index(dims[0]), band.dims.index(dims[1])
    names: dict[Hashable, Hashable] = dict(zip(dims, grid.dimensions, strict=True))
    shape: Pair = grid.shape.yx
    data = band.variable.data
    if isinstance(data, da.Array):
        taken: Any = _lazily(data, places, axes, shape, fill)
    else:
        spans = (0, places.shape[0]), (0, places.shape[1])
        taken = _take(np.asarray(data), spans, places, (0, 0), shape, axes, fill)
    moved = xr.Variable([names.get(dim, dim) for dim in band.dims], taken, attrs)
    moved.encoding = stored
    moved.encoding["grid_mapping"] = "spatial_ref"  # as odc-geo calls it
    return moved


# -- where pixels lie ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """Where the pixels of a grid lie in an image: numbers and texts, which go to workers.

    Attributes
    ----------
    source, target : tuple of float
        Of the image and of the grid: the left edge, the width of a pixel, the upper edge and the
        height of a pixel, below 0 where rows go south.
    shape : (int, int)
        Rows and columns of the image.
    source_crs, target_crs : str
        WKT.
    bounded : bool
        Whether pixels of the grid can lie outside the image. Else what seems to by rounding is of
        the pixel at the edge.
    """

    source: tuple[float, ...]
    target: tuple[float, ...]
    shape: Pair
    source_crs: str
    target_crs: str
    bounded: bool

    @classmethod
    def of(cls, image: xr.Dataset, grid: GeoBox, caller: str) -> Places:
        """Say where the pixels of a grid lie in an image."""
        down, across = map_dims(image)
        own, place = crs_of(image), grid.transform
        return cls(
            (*axis_of(image, across, caller), *axis_of(image, down, caller)),
            (place.c, place.a, place.f, place.e),
            (image.sizes[down], image.sizes[across]),
            own.to_wkt(),
            own.to_wkt() if grid.crs == own else as_crs(grid.crs).to_wkt(),
            not extent_of(image).contains(projected(grid.extent, own)),
        )

    def positions(self, rows: Array, columns: Array) -> tuple[Array, Array]:
        """Give the rows and columns of the image, with fractions, of the centres of pixels; what is
        not finite has no place in its CRS."""
        left, width, top, height = self.target
        ys, xs = np.meshgrid(
            top + (rows + 0.5) * height, left + (columns + 0.5) * width, indexing="ij"
        )
        if self.source_crs != self.target_crs:
            # as numbers, since pyproj warns of arrays of one
            place = (xs, ys) if xs.size > 1 else (float(xs.item()), float(ys.item()))
            moved = _transformer(self.target_crs, self.source_crs)(*place)
            xs, ys = (np.reshape(one, xs.shape) for one in moved)
        left, width, top, height = self.source
        with np.errstate(invalid="ignore"):
            return (ys - top) / height, (xs - left) / width

    def reached(self, corner: Pair, shape: Pair) -> Spans | None:
        """Give the span of rows and the one of columns of the image in which the pixels of a piece
        lie; None where none does."""
        sampled = [
            first + np.unique(np.linspace(0, size - 1, SAMPLES).round())
            for first, size in zip(corner, shape, strict=True)
        ]
        spans = []
        for values, size in zip(self.positions(*sampled), self.shape, strict=True):
            known = values[np.isfinite(values)]
            if not known.size:
                return None
            margin = 1 + _bend(values)
            low, high = math.floor(known.min() - margin), math.ceil(known.max() + margin)
            if self.bounded and (high <= 0 or low >= size):
                return None
            spans.append((min(max(0, low), size - 1), max(min(size, high), 1)))
        return spans[0], spans[1]

    def pixels_for_one(self, shape: Pair) -> tuple[float, float]:
        """Count the pixels of the image, down and across, that one pixel in the middle of the grid
        is as large as."""
        sides = [np.array([0.0, 1.0]) + size // 2 for size in shape]
        rows, columns = self.positions(*sides)
        counts = [float(np.ptp(values)) for values in (rows, columns)]
        down, across = (count if math.isfinite(count) and count > 0 else 1.0 for count in counts)
        return down, across


def _bend(values: Array) -> float:
    """Say how far values between the places that were looked up can lie off what lies between: four
    times what a parabola does."""
    bends = [np.abs(np.diff(values, 2, axis=axis)) for axis in (0, 1)]
    return max((float(b[np.isfinite(b)].max(initial=0.0)) for b in bends), default=0.0) / 2


@functools.lru_cache(maxsize=8)
def _transformer(source: str, target: str) -> Any:
    return as_crs(source).transformer_to_crs(as_crs(target))


@functools.lru_cache(maxsize=8)
def _pixels(places: Places, corner: Pair, shape: Pair, spans: Spans) -> tuple[Array, Array | None]:
    """Give for each pixel of a piece the number of that of the image, counted row by row through
    some of its rows and columns, and which pixels have none; kept, as all bands and images of the
    piece ask."""
    (top, bottom), (left, right) = spans
    few = (bottom - top) * (right - left) < 2**31
    numbers = np.zeros(shape, np.int32 if few else np.int64)
    inside = np.ones(shape, bool)
    rows, columns = (first + np.arange(size) for first, size in zip(corner, shape, strict=True))
    strip = max(1, AT_ONCE // shape[1])
    for start in range(0, shape[0], strip):  # places need more room than what is made of them
        here = slice(start, start + strip)
        down, across, known = _rows_and_columns(places, rows[here], columns)
        looked_at = (down >= top) & (down < bottom) & (across >= left) & (across < right)
        if lost := int((known & ~looked_at).sum()):
            raise RuntimeError(
                f"{lost} pixels of the grid that was asked for, from row {corner[0] + start} and "
                f"column {corner[1]} on, lie where the image was not looked at: its CRS bends too "
                "much there. Ask for a smaller region, or bring the image onto the grid with GDAL: "
                "image.odc.reproject(...)."
            )
        number = (down - top) * (right - left) + across - left
        numbers[here], inside[here] = np.where(known, number, 0), known
    numbers.flags.writeable = inside.flags.writeable = False
    return numbers, None if inside.all() else ~inside


def _rows_and_columns(places: Places, rows: Array, columns: Array) -> tuple[Array, Array, Array]:
    """Give the row and the column of the image for each pixel, and whether it has one."""
    known = np.ones((len(rows), len(columns)), bool)
    found = []
    for values, size in zip(places.positions(rows, columns), places.shape, strict=True):
        if places.bounded:
            with np.errstate(invalid="ignore"):
                known &= (values >= -EDGE) & (values < size - EDGE)
        finite = np.where(np.isfinite(values), values, 0.0)
        found.append(np.floor(np.clip(finite + EDGE, 0, size - 1)).astype(np.int64))
    return found[0], found[1], known


# -- taking them ---------------------------------------------------------------------------------


def _take(
    window: Array, spans: Spans, places: Places, corner: Pair, shape: Pair, axes: Pair, fill: Any
) -> Array:
    """Take the pixels of a piece out of a window of the image."""
    numbers, outside = _pixels(places, corner, shape, spans)
    lying = np.moveaxis(np.asarray(window), axes, (-2, -1))
    taken: Array = lying.reshape(*lying.shape[:-2], -1)[..., numbers]
    if outside is not None:
        taken[..., outside] = fill
    return np.moveaxis(taken, (-2, -1), axes)


def _lazily(data: da.Array, places: Places, axes: Pair, shape: Pair, fill: Any) -> da.Array:
    """Take pixels out of a dask array: each chunk out of the window in which its pixels lie.

    On the ground a chunk of the grid is as long as two of the image: windows stay small, and chunks
    few.
    """
    counts = places.pixels_for_one(shape)
    sizes = [
        min(max(1, round(2 * max(data.chunks[axis]) / count)), LARGEST, size)
        for axis, size, count in zip(axes, shape, counts, strict=True)
    ]
    down, across = (
        [(start, min(size, whole - start)) for start in range(0, whole, size)]
        for size, whole in zip(sizes, shape, strict=True)
    )
    rows = [
        da.concatenate(
            [
                _piece(data, places, axes, ((row, column), (height, width)), fill)
                for column, width in across
            ],
            axes[1],
        )
        for row, height in down
    ]
    return da.concatenate(rows, axes[0])


def _piece(
    data: da.Array, places: Places, axes: Pair, piece: tuple[Pair, Pair], fill: Any
) -> da.Array:
    """Take the pixels of one piece of the grid."""
    corner, shape = piece
    spans = places.reached(corner, shape)
    chunks = list(data.chunks)
    for axis, size in zip(axes, shape, strict=True):
        chunks[axis] = (size,)
    if spans is None:
        return da.full([sum(c) for c in chunks], fill, data.dtype, chunks=tuple(chunks))
    window: list[slice] = [slice(None)] * data.ndim
    for axis, span in zip(axes, spans, strict=True):
        window[axis] = slice(*span)
    lying = data[tuple(window)].rechunk(dict.fromkeys(axes, -1))
    return da.map_blocks(
        _take,
        lying,
        chunks=tuple(chunks),
        dtype=data.dtype,
        meta=np.empty((0,) * data.ndim, data.dtype),
        spans=spans,
        places=places,
        corner=corner,
        shape=shape,
        axes=axes,
        fill=fill,
    )
