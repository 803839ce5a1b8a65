"""Small collections for tests of the rules: a row of pixels, and a scene as people have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.support.oracle import Want, bands_in, mosaic

NAN = np.nan
BACKENDS = pytest.mark.parametrize("backend", ["numpy", "dask"])
LAZY = pytest.mark.parametrize("lazy", [False, True])
TIES = pytest.mark.parametrize("ties", ["first", "last"])
MASKED = pytest.mark.parametrize("masked", ["keep", "skip", "fill"])


def row_of(
    backend: str, attrs: dict[str, dict[str, Any]] | None = None, **bands: Any
) -> xr.Dataset:
    """Make a collection of one row of pixels: each band is a list of images, a band of one number
    an image has only time. Its chunks hold one image or two."""
    data = {}
    for name, values in bands.items():
        array = np.asarray(values)
        dims = ("time",) if array.ndim == 1 else ("time", "y", "x")
        array = array if array.ndim == 1 else array[:, None, :]
        data[name] = (dims, array, (attrs or {}).get(name, {}))
    images = len(next(iter(bands.values())))
    made = xr.Dataset(data, {"time": pd.date_range("2020-07-01", periods=images)})
    if backend == "numpy":
        return made
    chunks = (1,) + (2,) * ((images - 1) // 2) + (1,) * ((images - 1) % 2)
    return made.chunk(time=chunks, x=1)


def row(made: xr.Dataset, band: str) -> list[Any]:
    """Give the one row of a band, or of a coordinate, of a mosaic."""
    values: list[Any] = made[band].transpose("y", "x").values[0].tolist()
    return values


def scene() -> xr.Dataset:
    """Make a collection with ties, holes, a CRS and coordinates, as people have them; lazy."""
    rng = np.random.default_rng(11)
    shape, dims = (6, 7, 9), ("time", "y", "x")
    red = rng.integers(1, 60000, shape).astype("uint16")
    red[rng.random(shape) < 0.2] = 0
    quality = rng.integers(-4, 1, shape).astype("float32")
    quality[rng.random(shape) < 0.2] = NAN
    data = xr.Dataset(
        {
            "red": (dims, red, {"_FillValue": 0, "long_name": "red light"}),
            "nir": (dims, rng.normal(size=shape), {"grid_mapping": "spatial_ref"}),
            "quality": (dims, quality),
            "doy": ("time", np.arange(183, 189, dtype="int16"), {"units": "day"}),
            "date": ("time", pd.date_range("2020-01-01", periods=6)),
            "elevation": (("y", "x"), rng.random((7, 9)), {"units": "m"}),
        },
        {
            "time": pd.date_range("2020-07-01", periods=6),
            "platform": ("time", list("ABABAB")),
            "y": ("y", np.arange(7) * -10.0, {"units": "m"}),
            "x": ("x", np.arange(9) * 10.0, {"units": "m"}),
            "lat": (("y", "x"), rng.random((7, 9))),
            "spatial_ref": ((), 0, {"crs_wkt": 'PROJCS["any"]', "GeoTransform": "0 10 0 0 0 -10"}),
        },
        {"title": "July"},
    )
    return data.chunk(time=2, y=4, x=(5, 4))


def wanted(collection: xr.Dataset, **rules: Any) -> dict[str, Want]:
    """Give what the rules make of a scene in memory, pixel by pixel."""
    return mosaic(bands_in(collection), "quality", **rules)
