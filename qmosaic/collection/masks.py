"""What is masked, on numpy arrays: values that are missing, values that stand for "no image".

Numpy in, numpy out; the kernels of the engine and the readers of sources use these same few
functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NO_IMAGE = -1
"""The index of a pixel that has no candidate."""


def has_nan(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype has a value of its own for "missing" (NaN, NaT)."""
    return dtype.kind in "fcmM"


def valid_mask(values: Array, nodata: Any) -> Array | None:
    """Tell which values are not masked; None where none of them can be.

    Parameters
    ----------
    values : array
        Values of a band, of any shape.
    nodata : scalar or None
        The band's declared nodata, of the dtype of `values`.
    """
    valid: Array | None = None
    if has_nan(values.dtype):
        # x == x is false for NaN and for NaT, and for nothing else
        valid = np.equal(values, values)
    if nodata is None:
        return valid
    declared: Array = np.not_equal(values, nodata)
    return declared if valid is None else valid & declared


def fits(value: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether an integer or bool dtype can hold a value exactly."""
    try:
        number = int(value)
        exact = number == value
    except (TypeError, ValueError, OverflowError):
        return False
    if dtype.kind == "b":
        return bool(exact) and number in (0, 1)
    limits = np.iinfo(dtype)
    return bool(exact) and int(limits.min) <= number <= int(limits.max)


def free_value(dtype: Any) -> Any:
    """Give the value that stands for "no image here" in a band that declares no nodata."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return dtype.type(np.nan)
    if dtype.kind == "u":
        return np.iinfo(dtype).max
    return np.iinfo(dtype).min if dtype.kind == "i" else None


def beyond(dtype: Any) -> tuple[np.dtype[Any], Any]:
    """Give the next larger dtype of integers, and a value for "masked" that the smaller one does
    not have; of 64 bits there is none, and the value is one that pixels hardly have."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        larger = np.dtype("uint8")
    else:
        larger = np.dtype(f"{dtype.kind}{min(8, 2 * dtype.itemsize)}")
    return larger, larger.type(free_value(larger))
