"""Bands whose pixels are looked up in a table, or lie on a function of lines."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.masks import Array, valid_mask
from qmosaic.ee.dtypes import holding, operand, real
from qmosaic.ee.pixels import computed
from qmosaic.scores.expressions import bare, by_chunk

BEHAVIORS = ("extrapolate", "clamp", "mask", "input")
"""What `interpolate` does beyond the first and the last point of a function."""


def _declared(made: xr.DataArray, fill: Any) -> xr.DataArray:
    """Declare which value stands for masked."""
    made = bare(made)
    if fill is not None:
        made.attrs["_FillValue"] = fill
    return made


def remap(
    band: xr.DataArray, keys: Sequence[Any], values: Sequence[Any], default: Any = None
) -> xr.DataArray:
    """Replace the values of a band by those of a table; others are masked, or get a default.

    Parameters
    ----------
    band : xarray.DataArray
        Integers or floats; what is masked stays masked.
    keys, values : sequence of number
        What is replaced, and by what; of a key that is there twice the last one counts.
    default : number, optional
        What other values become.

    Returns
    -------
    xarray.DataArray
        Of the smallest integer that holds the new values, or of float64 where one is a fraction.
    """
    given = [*values] if default is None else [*values, default]
    numbers = np.array(given, "float64" if _fractions(given) else "int64")
    maskable = default is None or band.dtype.kind == "f" or declared_nodata(band) is not None
    if numbers.dtype.kind == "f":
        dtype, fill = numbers.dtype, None
    else:
        dtype, fill = holding((int(numbers.min()), int(numbers.max())), maskable)
    made = by_chunk(
        _looked_up,
        [operand(band, "remap")],
        dtype,
        table=tuple(sorted(dict(zip(keys, values, strict=True)).items())),
        default=default,
        nodata=declared_nodata(band),
        dtype_=dtype,
        fill=np.nan if dtype.kind == "f" else fill,
    )
    return _declared(made, fill)


def _fractions(numbers: Sequence[Any]) -> bool:
    return any(isinstance(one, float | np.floating) for one in numbers)


def _looked_up(
    values: Array,
    *,
    table: Sequence[tuple[Any, Any]],
    default: Any,
    nodata: Any,
    dtype_: np.dtype[Any],
    fill: Any,
) -> Array:
    values = np.asarray(values)
    keys, found = (np.array(column) for column in zip(*table, strict=True))
    places = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    other = fill if default is None else default
    new: Array = np.where(keys[places] == values, found[places], other).astype(dtype_)
    valid = valid_mask(values, nodata)
    return new if valid is None or valid.all() else np.where(valid, new, dtype_.type(fill))


def interpolate(
    band: xr.DataArray, x: Sequence[float], y: Sequence[float], behavior: str
) -> xr.DataArray:
    """Put the values of a band into a function that is linear between points.

    Parameters
    ----------
    band : xarray.DataArray
        Integers or floats.
    x, y : sequence of float
        The points, by increasing x.
    behavior : str
        One of `BEHAVIORS`: what happens to values beyond the points.

    Returns
    -------
    xarray.DataArray
        Floats: float32 of a band of that dtype, else float64.
    """
    band = operand(band, "interpolate")
    function = functools.partial(_on_lines, x=tuple(x), y=tuple(y), behavior=behavior)
    return computed(function, [band], real([band]))


def _on_lines(values: Array, *, x: tuple[float, ...], y: tuple[float, ...], behavior: str) -> Array:
    between: Array = np.interp(values, x, y)
    if behavior == "clamp":
        return between
    low, high = values < x[0], values > x[-1]
    if behavior == "extrapolate":
        first, last = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
        between = np.where(low, y[0] + (values - x[0]) * first, between)
        return np.where(high, y[-1] + (values - x[-1]) * last, between)
    return np.where(low | high, values if behavior == "input" else np.nan, between)
