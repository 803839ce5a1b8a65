"""A mosaic of two blocks, and how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

import qmosaic as qm

RAMP = np.arange(1, 17, dtype="uint16").reshape(4, 4)


def mosaic_of(factor: int = 1) -> xr.Dataset:
    """Make a mosaic of 4 × 4 pixels in two blocks."""
    values = {"red": np.stack([0 * RAMP, RAMP * factor]), "quality": np.stack([0 * RAMP, RAMP])}
    arrays = {n: da.from_array(v.astype("uint16"), chunks=(1, 4, 2)) for n, v in values.items()}
    collection = xr.Dataset({n: (("time", "y", "x"), a) for n, a in arrays.items()})
    return qm.quality_mosaic(collection.assign_coords(x=np.arange(4)), "quality")


def write(path: Path, mode: Any, factor: int = 1, **options: Any) -> None:
    """Write the mosaic, one block after the other."""
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(factor), path, mode=mode, progress=False, **options)
