"""How a score is written: a function of numpy arrays, applied to bands chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection import declared_nodata

NUMERIC = "biuf"


def score_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the float that holds a band: float32 up to 16 bits, else float64."""
    return np.result_type(dtype, np.float32) if dtype.kind != "b" else np.dtype(np.float32)


def to_nan(band: xr.DataArray, dtype: np.dtype[Any]) -> xr.DataArray:
    """Bring a band into a float dtype, NaN where it is masked."""
    nodata = declared_nodata(band)
    wide = band.astype(dtype)
    # compared in the band's own dtype: large integers are not exact as floats
    result = wide if nodata is None else wide.where(band != nodata)
    result.encoding = {}
    return result


def check_numeric(band: Any, verb: str) -> None:
    """Refuse what is no band of numbers."""
    if not isinstance(band, xr.DataArray):
        raise TypeError(
            f"{verb} got a {type(band).__name__}; a score is made of bands, xarray.DataArrays. "
            "Write collection['name of the band']."
        )
    if band.dtype.kind not in NUMERIC:
        raise TypeError(
            f"{verb} got a band of dtype {band.dtype}, which has no numbers to make a score of. "
            "Pass an integer, float or bool band."
        )


def check_positive(value: Any, name: str, verb: str) -> float:
    """Refuse a width, distance or angle that is not above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{verb} got {name}={value!r}; it has to be a number above 0.")
    return number


def of_band(
    band: xr.DataArray, func: Callable[..., Any], verb: str, **arguments: Any
) -> xr.DataArray:
    """Apply a function of float arrays to one band: masked pixels are NaN, before and after."""
    check_numeric(band, verb)
    return of_bands([band], func, verb, **arguments)


def of_bands(
    bands: list[xr.DataArray], func: Callable[..., Any], verb: str, **arguments: Any
) -> xr.DataArray:
    """Apply a function of float arrays to bands that lie on one grid: one task a chunk."""
    for band in bands:
        check_numeric(band, verb)
    check_aligned(bands, verb)
    # what has one number an image (a date's score) does not widen what has one a pixel
    widest = max(band.ndim for band in bands)
    dtype = np.result_type(*(score_dtype(band.dtype) for band in bands if band.ndim == widest))
    plain = [band.drop_attrs().drop_encoding() for band in bands]
    score: xr.DataArray = xr.apply_ufunc(
        _masked,
        *plain,
        kwargs={
            "func": func,
            "nodata": [declared_nodata(band) for band in bands],
            "dtype": dtype,
            "arguments": arguments,
        },
        dask="parallelized",
        output_dtypes=[dtype],
        join="override",
    )
    first = next(band for band in bands if band.ndim == widest)
    return score.transpose(*first.dims, ...).rename(None)


def _masked(
    *values: Any, func: Callable[..., Any], nodata: list[Any], dtype: Any, arguments: Any
) -> Any:
    """Apply `func` to floats; mask the result where one of them is masked, or it is not finite."""
    floats = []
    for array, missing in zip(values, nodata, strict=True):
        wide = array.astype(dtype)
        if missing is not None:
            wide[array == missing] = np.nan
        floats.append(wide)
    with np.errstate(all="ignore"):
        result = np.asarray(func(*floats, **arguments), dtype)
    if not np.isfinite(result).all():
        result = np.where(np.isfinite(result), result, np.nan).astype(dtype)
    return result


def check_aligned(bands: list[xr.DataArray], verb: str) -> None:
    """Refuse bands whose images or pixels are not the same: xarray would drop what differs."""
    first = bands[0]
    for band in bands[1:]:
        for dim in set(first.dims) & set(band.dims):
            same = first.sizes[dim] == band.sizes[dim] and (
                dim not in first.coords
                or dim not in band.coords
                or np.array_equal(first[dim].values, band[dim].values)
            )
            if not same:
                raise ValueError(
                    f"{verb} got bands that differ along {dim!r} ({first.sizes[dim]} and "
                    f"{band.sizes[dim]} entries, or other coordinates), so a pixel of one is no "
                    "pixel of the other. Take them from one collection, or bring them onto one "
                    "grid first."
                )


def sigmoid(values: Any, slope: float, centre: float) -> Any:
    """Compute ``1 / (1 + exp(slope * (values - centre)))``."""
    return 1 / (1 + np.exp(slope * (values - centre)))
