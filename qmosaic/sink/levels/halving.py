"""A map in pixels twice as large."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import Array
from qmosaic.collection.transforms import even_step, true_to_grid
from qmosaic.sink.multiscale import Axes, Pyramid


def halved(level: xr.Dataset, pyramid: Pyramid, sizes: Mapping[Hashable, Any]) -> xr.Dataset:
    """Make the next overview of a map, lazily.

    Parameters
    ----------
    level : xarray.Dataset
        The map, in the numbers that are stored.
    pyramid : Pyramid
        How its pixels become those of the overview.
    sizes : mapping
        For each lazy variable, the chunks in which it is stored, and the overview of it.

    Returns
    -------
    xarray.Dataset
        As many pixels as there are pairs along each axis of the map; the last one alone is a pair.
    """
    found: dict[Hashable, xr.Variable] = {}
    for name, variable in level.variables.items():
        both = set(pyramid.axes) <= set(variable.dims)
        if name in pyramid.axes:
            found[name] = _coordinate(variable)
        elif both and variable.chunks is not None:
            method = pyramid.methods.get(name, "nearest")
            found[name] = _halved(level[name], pyramid.axes, method, sizes[name])
        else:
            # what is not on the map, or small: every second one
            steps = {axis: slice(None, None, 2) for axis in pyramid.axes}
            found[name] = variable.isel(steps, missing_dims="ignore")
    made = xr.Dataset(found, attrs=level.attrs).set_coords(list(level.coords))
    return true_to_grid(made, thinned=True)


def _coordinate(variable: xr.Variable) -> xr.Variable:
    """Give the middles of pairs of pixels."""
    values = variable.values
    if len(values) < 2 or values.dtype.kind not in "iuf":
        return variable.isel({variable.dims[0]: slice(None, None, 2)})
    numbers = values.astype(np.float64)
    step, firsts = even_step(numbers), numbers[::2]
    if step is not None:
        middles = numbers[0] + step * (2 * np.arange(len(firsts)) + 0.5)
    else:
        seconds = numbers[1::2]
        middles = firsts.copy()
        middles[: len(seconds)] = (firsts[: len(seconds)] + seconds) / 2
    return xr.Variable(variable.dims, middles, variable.attrs)


def _halved(band: xr.DataArray, axes: Axes, method: str, chunks: tuple[int, ...]) -> xr.Variable:
    at = tuple(band.dims.index(axis) for axis in axes)
    wanted = {i: 2 * size if i in at else size for i, size in enumerate(chunks)}
    data = band.data.rechunk(wanted)
    lengths = tuple(
        tuple(-(-n // 2) for n in own) if i in at else own for i, own in enumerate(data.chunks)
    )
    nodata = declared_nodata(band)
    halve = {"nearest": nearest, "average": average, "mode": mode}[method]
    options = {} if method == "nearest" else {"nodata": nodata}
    made = da.map_blocks(
        halve, data, at=at, dtype=data.dtype, meta=data._meta, chunks=lengths, **options
    )
    return xr.Variable(band.dims, made, band.attrs)


def nearest(block: Array, *, at: tuple[int, int]) -> Array:
    """Give every second pixel: of each four the first."""
    taken: Array = block[tuple(slice(None, None, 2 if i in at else 1) for i in range(block.ndim))]
    return np.ascontiguousarray(taken)


def average(block: Array, *, at: tuple[int, int], nodata: Any) -> Array:
    """Give the mean of the valid ones of each four pixels, rounded for integers; masked where there
    is none. A mean that happens to be nodata becomes the number next to it."""
    fours, valid = _fours(block, at, nodata)
    counts = valid.sum(axis=0)
    some = np.maximum(counts, 1)
    if block.dtype.kind in "iu":
        made, masked = _mean_of_integers(np.where(valid, fours, 0), some), nodata or 0
    else:
        sums = np.where(valid, fours, 0).sum(axis=0, dtype=np.float64)
        made, masked = (sums / some).astype(block.dtype), np.nan if nodata is None else nodata
    if nodata is not None:
        made[made == nodata] = _next_to(nodata, block.dtype)
    made[counts == 0] = masked
    return made


def _mean_of_integers(fours: Array, counts: Array) -> Array:
    """Give sums divided by counts, half to even, without leaving the dtype: the sum of four numbers
    may not fit it."""
    by = counts.astype(fours.dtype)
    left: Array = (fours % by).sum(axis=0, dtype=fours.dtype)  # less than 16
    whole: Array = (fours // by).sum(axis=0, dtype=fours.dtype) + left // by
    twice = 2 * (left % by)
    made: Array = whole + ((twice > by) | ((twice == by) & (whole % 2 != 0)))
    return made


def _next_to(nodata: Any, dtype: np.dtype[Any]) -> Any:
    """Give the number next to a nodata value."""
    if dtype.kind == "f":
        return np.nextafter(dtype.type(nodata), dtype.type(np.inf))
    # as a number of Python: numpy 1 adds to an unsigned one of 64 bits as floats
    number = int(nodata)
    return dtype.type(number + 1 if number < np.iinfo(dtype).max else number - 1)


def mode(block: Array, *, at: tuple[int, int], nodata: Any) -> Array:
    """Give the value that most of the valid ones of each four pixels have; the first of several,
    masked where there is none."""
    fours, valid = _fours(block, at, nodata)
    votes = np.stack(
        [sum(valid[j] & (fours[i] == fours[j]) for j in range(4)) * valid[i] for i in range(4)]
    )
    best = votes.argmax(axis=0)
    taken: Array = np.take_along_axis(fours, best[None], axis=0)[0]
    return taken


def _fours(block: Array, at: tuple[int, int], nodata: Any) -> tuple[Array, Array]:
    """Give the four pixels of each pair of rows and columns, (4, ...), and which are valid; beyond
    the edge of the map there are none."""
    parts, masks = [], []
    whole = nearest(block, at=at).shape
    for down in (0, 1):
        for across in (0, 1):
            starts = {at[0]: down, at[1]: across}
            part = block[
                tuple(
                    slice(starts[i], None, 2) if i in starts else slice(None)
                    for i in range(block.ndim)
                )
            ]
            missing = [(0, n - own) for n, own in zip(whole, part.shape, strict=True)]
            here = np.ones(part.shape, bool)
            if part.dtype.kind == "f":
                here &= ~np.isnan(part)
            if nodata is not None:
                here &= part != nodata
            if any(after for _, after in missing):
                part, here = np.pad(part, missing), np.pad(here, missing)
            parts.append(part)
            masks.append(here)
    return np.stack(parts), np.stack(masks)
