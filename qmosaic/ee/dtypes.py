"""Which dtype holds what arithmetic gives, and the values of masked pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.masks import Array, free_value
from qmosaic.ee.values import Computed, plain
from qmosaic.scores.expressions import check_numeric, is_number

Operand = xr.DataArray | int | float
Range = tuple[int, int]

INTEGERS = tuple(
    np.dtype(name)
    for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64")
)


def number(value: Any) -> xr.DataArray:
    """Make a band without dimensions of a number: of integers the smallest dtype.

    Of numbers for each image it has the dimension ``time``; it is lazy where they are.
    """
    if isinstance(value, Computed):
        return _numbers(value)
    if isinstance(value, int | np.integer):
        return xr.DataArray(np.asarray(value, holding((int(value), int(value)), False)[0]))
    return xr.DataArray(np.float64(value))


def _numbers(value: Computed) -> xr.DataArray:
    each = value.images is not None
    dims = ("time",) if each else ()
    if value.is_lazy:
        filled = dask.delayed(_as_floats, pure=False)(value.content)
        shape = (value.images,) if each else ()
        return xr.DataArray(da.from_delayed(filled, shape, "float64"), dims=dims)
    known = [plain(one) for one in value.content]
    if known and all(isinstance(one, int) for one in known):
        return xr.DataArray(np.array(known, holding((min(known), max(known)), False)[0]), dims=dims)
    return xr.DataArray(_as_floats(known), dims=dims)


def _as_floats(values: Any) -> Array:
    """Make an array of numbers; of None, which is masked, NaN."""
    if isinstance(values, list):
        return np.array([np.nan if one is None else float(one) for one in values], "float64")
    return np.asarray(np.nan if values is None else values, "float64")


def operand(value: Any, name: str) -> xr.DataArray:
    """Take what a function computes with as a band of numbers."""
    if is_number(value):
        return number(value)
    check_numeric(value, f"{name}()")
    band: xr.DataArray = value
    return band.astype("uint8") if band.dtype.kind == "b" else band


def real(operands: Sequence[xr.DataArray]) -> np.dtype[Any]:
    """Choose a float: that of the bands where all of them are floats, float64 where one is not.

    A fraction as a number is a double to Earth Engine; here it does not widen a float32 band.
    """
    bands = [band for band in operands if band.ndim] or list(operands)
    if all(band.dtype.kind == "f" for band in bands):
        return np.result_type(*(band.dtype for band in bands))
    return np.dtype("float64")


def range_of(band: xr.DataArray) -> Range:
    """Give the lowest and highest value of the dtype of a band; of a number, the number twice."""
    if band.ndim == 0 and isinstance(band.data, np.ndarray | np.generic):
        return int(band), int(band)
    limits = np.iinfo(band.dtype)
    return int(limits.min), int(limits.max)


def holding(span: Range, maskable: bool) -> tuple[np.dtype[Any], Any]:
    """Choose the smallest integer that holds a range, and a value beyond it for masked pixels.

    int64 comes before uint64: what is below 0 in an input can be computed with in that alone.
    """
    low, high = span
    for dtype in INTEGERS:
        limits = np.iinfo(dtype)
        wrong_sign = (dtype.kind == "u") != (low >= 0) and dtype != "int64"
        if low < limits.min or high > limits.max or wrong_sign:
            continue
        if not maskable:
            return dtype, None
        free = free_value(dtype)
        if not low <= int(free) <= high:
            return dtype, dtype.type(free)
    return np.dtype("int64"), np.int64(free_value("int64")) if maskable else None


def union(a: xr.DataArray, b: xr.DataArray) -> Range:
    """Give the lowest and highest value of the dtypes of two bands."""
    (low_a, high_a), (low_b, high_b) = range_of(a), range_of(b)
    return min(low_a, low_b), max(high_a, high_b)
