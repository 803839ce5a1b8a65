"""A small series of images, as a Zarr store and as GeoTIFFs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.support.sources import dates

IMAGES, SIZE, CHUNK = 5, 32, 8


@pytest.fixture(scope="session")
def values() -> dict[str, np.ndarray]:
    """The bands of the series, (time, y, x)."""
    rng = np.random.default_rng(15)
    shape = (IMAGES, SIZE, SIZE)
    return {
        "B4": rng.integers(1, 3000, shape).astype("uint16"),
        "B8": rng.integers(1, 6000, shape).astype("uint16"),
        "cloud": rng.integers(0, 101, shape).astype("uint8"),
    }


@pytest.fixture(scope="session")
def series(values: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the series: 16 blocks, pixels of 10 m at 15° E, 48.7° N; never to be changed."""
    attrs = {"B4": {"_FillValue": 0}, "B8": {"_FillValue": 0}, "cloud": {}}
    bands = {n: (("time", "y", "x"), v, attrs[n]) for n, v in values.items()}
    steps = np.arange(SIZE) * 10.0 + 5
    crs = ((), 0, {"spatial_ref": "EPSG:32633", "crs_wkt": wkt()})
    place = {
        "time": dates(IMAGES),
        "y": 5_400_000 - steps,
        "x": 500_000 + steps,
        "spatial_ref": crs,
    }
    store = tmp_path_factory.mktemp("series") / "s2.zarr"
    collection = xr.Dataset(bands, place)
    for name in values:
        collection[name].attrs["grid_mapping"] = "spatial_ref"
    collection.chunk(time=1, y=CHUNK, x=CHUNK).to_zarr(store, consolidated=False)
    return store


def wkt() -> str:
    """Give the WKT of the CRS, where odc-geo is there to make it."""
    crs = pytest.importorskip("odc.geo.crs", reason="it is in the extra [geo]")
    return str(crs.CRS("EPSG:32633").to_wkt())
