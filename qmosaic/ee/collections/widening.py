"""Images that were cut to different regions of one grid, brought to one map."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import Array
from qmosaic.collection.transforms import even_step, true_to_grid
from qmosaic.ee.names import TIME
from qmosaic.ee.pixels import maskable

OFF = 0.01
"""By how much of a pixel coordinates may be off those of the others."""


def on_one_map(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Widen images that are windows of one grid to the map that holds all of them.

    What an image did not reach is masked in it. Images whose pixels do not lie on those of the
    others stay as they are.
    """
    places = [dim for dim in parts[0].dims if dim != TIME and all(dim in p.coords for p in parts)]
    for dim in places:
        every = [part[dim].values for part in parts]
        if all(np.array_equal(every[0], own) for own in every):
            continue
        axis = _axis_of(every)
        if axis is None:
            return parts
        parts = [_widened(part, dim, axis) for part in parts]
    return [true_to_grid(part) for part in parts]


def _axis_of(every: list[Array]) -> Array | None:
    """Give the coordinates of a map that holds all windows, None where they do not fit together."""
    steps = {step for own in every if len(own) > 1 and (step := even_step(own)) is not None}
    if not steps or any(own.dtype.kind != "f" for own in every):
        return None
    step = max(steps, key=abs)
    start = min((float(own[0]) for own in every), key=lambda one: one / step)
    numbers = [(own - start) / step for own in every]
    if any(np.abs(n - np.round(n)).max() > OFF or not _consecutive(n) for n in numbers):
        return None
    count = int(max(np.round(n[-1]) for n in numbers)) + 1
    axis: Array = start + step * np.arange(count)
    for own, number in zip(every, numbers, strict=True):
        axis[np.round(number).astype(int)] = own  # to the last bit those that are there
    return axis


def _consecutive(numbers: Array) -> bool:
    return bool((np.diff(np.round(numbers)) == 1).all())


def _widened(part: xr.Dataset, dim: Hashable, axis: Array) -> xr.Dataset:
    own = part[dim].values
    before = int(np.argmin(np.abs(axis - own[0])))
    after = len(axis) - before - len(own)
    if before == after == 0:
        return part
    bands = {
        name: _padded(band, dim, before, after) if dim in band.dims else band
        for name, band in part.data_vars.items()
    }
    others = [name for name, c in part.coords.items() if dim in c.dims]
    bare = part.drop_vars([*bands, *others])
    return bare.assign(bands).assign_coords({dim: (dim, axis, part[dim].attrs)})


def _padded(band: xr.DataArray, dim: Hashable, before: int, after: int) -> xr.Variable:
    whole = maskable(band)
    nodata: Any = np.nan if whole.dtype.kind == "f" else declared_nodata(whole)
    wide: xr.Variable = whole.variable.pad(
        {dim: (before, after)}, mode="constant", constant_values=nodata
    )
    return wide
