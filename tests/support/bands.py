"""Bands of a few pixels, for scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr


def band(values: Any, dtype: str, nodata: Any = None) -> xr.DataArray:
    """Make a band of a row of pixels."""
    data: Any = np.array(values, dtype)
    attrs = {} if nodata is None else {"_FillValue": data.dtype.type(nodata)}
    return xr.DataArray(data, dims="x", attrs=attrs)


def one_pixel(names: dict[str, float], dtype: str = "float64") -> xr.Dataset:
    """Make a pixel with a value in each band."""
    return xr.Dataset({name: ("x", np.array([value], dtype)) for name, value in names.items()})
