"""Mosaics that are updated: their images in stores that count, and what a store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr

import qmosaic as qm
from tests.support.sources import in_store


def images(values: dict[str, np.ndarray], path: Path, days: Any) -> Any:
    """Write images to a store that counts, and open it; they are of the given days."""
    collection, store = in_store(values, path)
    times = pd.DatetimeIndex(np.asarray(days, "datetime64[ns]"))
    collection = collection[sorted(collection.data_vars)]  # a store lists them in any order
    return collection.assign_coords(time=times), store


def write(collection: xr.Dataset, path: Any, **rules: Any) -> None:
    """Write a mosaic that can be updated."""
    rules = {"provenance": True} | rules
    with dask.config.set(scheduler="synchronous"):
        mosaic = qm.quality_mosaic(collection, "quality", **rules)
        qm.to_zarr(mosaic, path, updatable=True, progress=False)


def update(path: Any, collection: xr.Dataset, **options: Any) -> None:
    """Update it, one block after the other."""
    with dask.config.set(scheduler="synchronous"):
        qm.update(path, collection, progress=False, **options)


def pixels(path: Path) -> dict[str, bytes]:
    """Read every file of a folder but those in which a store speaks of its own making."""
    files = (p for p in sorted(path.rglob("*")) if p.is_file())
    found = {str(p.relative_to(path)): p.read_bytes() for p in files}
    return {name: content for name, content in found.items() if not name.startswith("_qmosaic/")}
