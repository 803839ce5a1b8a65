"""The transforms that attributes declare: true to the coordinates, or left out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import xarray as xr

from qmosaic.collection.location import PAIRS

Data = TypeVar("Data", bound=xr.Dataset | xr.DataArray)

TRANSFORM = "GeoTransform"
"""The attribute of a grid mapping in which GDAL, rioxarray and odc write where pixels lie."""

IN_PLACE = 0.01
"""What part of a pixel coordinates may be off an even spacing, or a transform off them."""

WITHIN = (0.5, 0.0)
"""Where in a pixel its coordinates are: in the middle, or, as stackstac has them, in the corner."""

_PLACES = {"transform", "spec"}


def true_to_grid(data: Data, *, thinned: bool = False) -> Data:
    """Correct the attributes that tell where pixels lie, so that they agree with the coordinates.

    Slicing changes coordinates and leaves attributes as they were, and GDAL and rioxarray prefer
    the attribute ``GeoTransform`` of a grid mapping to coordinates. One that is right stays
    letter by letter. One that is not is made anew where the pixels are evenly spaced, north up and
    east right, and else is left out, so that coordinates are used. So are the attributes
    ``transform`` of xarray's and stackstac's rasters, and stackstac's ``spec``.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        A map; without coordinates of its pixels nothing is changed.
    thinned : bool, default: False
        Whether pixels have become larger: an attribute that cannot be checked is wrong then.
    """
    variables = data.variables if isinstance(data, xr.Dataset) else data.coords.variables
    mappings = {n: v for n, v in variables.items() if v.ndim == 0 and TRANSFORM in v.attrs}
    if not mappings and not any(_PLACES & set(attrs) for attrs in _attributes(data)):
        return data
    axes = _axes_of(data)
    if axes is None and not thinned:
        return data
    changed: dict[Hashable, xr.Variable] = {}
    for name, mapping in mappings.items():
        attrs = dict(mapping.attrs)
        text = _transform_of(attrs.pop(TRANSFORM), axes, thinned)
        if text != mapping.attrs[TRANSFORM]:
            attrs |= {} if text is None else {TRANSFORM: text}
            changed[name] = xr.Variable((), mapping.data, attrs, mapping.encoding)
    result: Any = data.copy(deep=False)
    if changed:
        result = (result.assign if isinstance(data, xr.Dataset) else result.assign_coords)(changed)
    for attrs in _attributes(result):
        for name in _PLACES & set(attrs):
            affine: Any = getattr(attrs[name], "transform", attrs[name])
            if _is_affine(affine) and not _agrees(_gdal_order(affine), axes, thinned):
                del attrs[name]
    return cast(Data, result)


def _attributes(data: xr.Dataset | xr.DataArray) -> list[dict[Any, Any]]:
    bands = list(data.data_vars.values()) if isinstance(data, xr.Dataset) else []
    return [data.attrs, *(band.attrs for band in bands)]


def _axes_of(data: xr.Dataset | xr.DataArray) -> tuple[Any, Any] | None:
    """Give the centres of pixels, down and across, where there are any."""
    for down, across in PAIRS:
        if {down, across} <= set(data.coords):
            ys, xs = data[down], data[across]
            if ys.dims == (down,) and xs.dims == (across,) and ys.size and xs.size:
                if ys.dtype.kind in "iuf" and xs.dtype.kind in "iuf":
                    return ys.values.astype(float), xs.values.astype(float)
    return None


def _transform_of(given: Any, axes: tuple[Any, Any] | None, thinned: bool) -> Any:
    """Give the right transform, None where there is none: the given one, or one made anew."""
    try:
        numbers = [float(part) for part in str(given).split()]
    except ValueError:
        numbers = []
    if axes is None:
        return None
    if len(numbers) == 6 and _agrees(numbers, axes, thinned):
        return given
    made = [0.0] * 6
    for values, place, own in zip(axes, (3, 0), (5, 1), strict=True):
        step, within = even_step(values), 0.5
        if len(numbers) == 6 and numbers[own] and not thinned:
            # pixels of the grid that it was, whose coordinates may be those of their corners
            offset = (values[0] - numbers[place]) / numbers[own]
            was = next((w for w in WITHIN if _whole(offset - w)), None)
            same = step is None or abs(step / numbers[own] - 1) < IN_PLACE
            if was is not None and same:
                within = was
                step = numbers[own] if len(values) == 1 else step
        if step is None:
            return None
        made[place], made[own] = float(values[0] - within * step), float(step)
    rotated = len(numbers) == 6 and (numbers[2] or numbers[4])
    if made[5] >= 0 or made[1] <= 0 or rotated:
        return None
    return " ".join(repr(number) for number in made)


def _whole(number: float) -> bool:
    return abs(number - round(number)) < IN_PLACE


def even_step(values: Any) -> float | None:
    """Give the distance between pixels along an axis; None where it is not even, or not known."""
    if len(values) < 2:
        return None
    step = (values[-1] - values[0]) / (len(values) - 1)
    even = values[0] + step * np.arange(len(values))
    if not step or np.abs(values - even).max() > IN_PLACE * abs(step):
        return None
    return float(step)


def _agrees(numbers: Sequence[float], axes: tuple[Any, Any] | None, thinned: bool) -> bool:
    """Tell whether a transform puts pixels where their coordinates are, north up."""
    if axes is None:
        return False
    left, width, turn, top, other_turn, height = numbers
    if turn or other_turn or width <= 0 or height >= 0:
        return False
    for values, corner, step in zip(axes, (top, left), (height, width), strict=True):
        if thinned and len(values) == 1:
            return False
        offsets = (values - corner) / step - np.arange(len(values))
        if not any((np.abs(offsets - within) < IN_PLACE).all() for within in WITHIN):
            return False
    return True


def _is_affine(given: Any) -> bool:
    return (
        isinstance(given, list | tuple | np.ndarray)
        and len(given) in (6, 9)
        and all(isinstance(number, int | float | np.number) for number in given)
    )


def _gdal_order(affine: Sequence[float]) -> list[float]:
    """Bring a transform as `affine` orders it into the order of GDAL's."""
    width, turn, left, other_turn, height, top = (float(number) for number in affine[:6])
    return [left, width, turn, top, other_turn, height]
