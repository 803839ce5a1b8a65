"""A Sentinel-2 collection on the grid and the dates for which Earth Engine's example asks."""

from __future__ import annotations

import numpy as np
import odc.geo.xr
import pandas as pd
import xarray as xr

assert odc.geo.xr is not None  # registers .odc

SIDE = 48
DAYS = ["2020-06-25", "2020-07-05", "2020-07-20", "2020-08-14", "2020-09-01"]
CRS = "EPSG:32613"
CORNER = (653_960.0, 4_445_100.0)
"""The upper left corner; 103.19° W, 40.14° N lies inside."""


def sentinel2() -> xr.Dataset:
    """Make five images: reflectance as uint16, cloud probability as uint8, one pixel's edge masked.

    The land is green, clouds are bright; a cloud lies over another part of each image.
    """
    rng = np.random.default_rng(7)
    shape = (len(DAYS), SIDE, SIDE)
    rows = np.arange(SIDE)[None, :, None] + np.zeros(shape, int)
    cloud = rng.integers(0, 30, shape)
    for image in range(len(DAYS)):
        cloud[image, :, 8 * image : 8 * image + 16] = rng.integers(70, 101, (SIDE, 16))
    cloud[:, :4] = 5  # ties
    bright = cloud > 60
    land = {"B2": 400, "B3": 900, "B4": 500, "B8": 3000}
    bands = {
        name: np.where(bright, 4200 + 20 * rows, level + rng.integers(0, 200, shape))
        for name, level in land.items()
    }
    variables: dict[str, np.ndarray] = {n: b.astype("uint16") for n, b in bands.items()}
    variables["MSK_CLDPRB"] = cloud.astype("uint8")
    for name in land:
        variables[name][1, -2:] = 0
    dims = ("time", "y", "x")
    collection = xr.Dataset(
        {n: (dims, v, {"_FillValue": 0} if n in land else {}) for n, v in variables.items()},
        {
            "time": pd.to_datetime(DAYS),
            "y": CORNER[1] - 5 - 10.0 * np.arange(SIDE),
            "x": CORNER[0] + 5 + 10.0 * np.arange(SIDE),
            "id": ("time", [f"S2_{day}" for day in DAYS]),
            "cloud_cover": ("time", [5.0, 60.0, 20.0, 20.0, 90.0]),
        },
    )
    return collection.odc.assign_crs(CRS).chunk(time=1, y=16, x=16)
