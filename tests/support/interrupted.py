"""Jobs that end before they are done, and sources with a damaged chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm


class Interrupted(Exception):
    """Stands for whatever ends a job."""


def interrupt_after(blocks: int) -> Any:
    """Make a progress callback that ends the job."""

    def callback(progress: qm.Progress) -> None:
        if progress.done == blocks:
            raise Interrupted

    return callback


def interrupted(mosaic: xr.Dataset, path: Path, blocks: int = 4, **options: Any) -> None:
    """Write some blocks of a mosaic, and no more."""
    with pytest.raises(Interrupted), dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, path, progress=interrupt_after(blocks), **options)


def corrupt(source: Path, band: str, image: int, y: int, x: int) -> None:
    """Cut a chunk short."""
    chunk = source / band / "c" / str(image) / str(y) / str(x)
    chunk.write_bytes(chunk.read_bytes()[:7])


def masked_there(
    values: dict[str, np.ndarray], image: int, y: int, x: int
) -> dict[str, np.ndarray]:
    """Mask an image in a block of 8 × 8."""
    quality = values["quality"].copy()
    quality[image, y * 8 : y * 8 + 8, x * 8 : x * 8 + 8] = np.nan
    return values | {"quality": quality}
