"""A job that writes a mosaic: run as a process of its own, to be interrupted and gone on with.

``python -m tests.support.job SOURCE TARGET MODE SECONDS [SCHEDULER]`` prints a line for
every block.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

import qmosaic as qm
from tests.support.sources import dates


def slow(values: Any, seconds: float) -> Any:
    """Take some time over a chunk."""
    time.sleep(seconds)
    return values


def mosaic_of(source: Path | str, seconds: float = 0.0, **rules: Any) -> xr.Dataset:
    """Open a collection and make the mosaic of it, with a quality that takes its time."""
    collection = xr.open_zarr(str(source), chunks={}, consolidated=False, mask_and_scale=False)
    # a store lists its members in any order, and a mosaic keeps the order of its bands
    collection = collection[sorted(collection.data_vars)]
    collection = collection.assign_coords(time=dates(collection.sizes["time"]))
    quality = collection["quality"]
    if seconds:
        delayed = quality.data.map_blocks(slow, seconds, dtype=quality.dtype)
        collection["quality"] = quality.copy(data=delayed)
    return qm.quality_mosaic(collection, "quality", **rules)


def tell(progress: qm.Progress) -> None:
    """Print where the job is."""
    print(json.dumps({"done": progress.done, "resumed": progress.resumed}), flush=True)


def main(source: str, target: str, mode: str, seconds: str, scheduler: str = "") -> None:
    """Write the mosaic."""
    # a shell may have told the tests, and so this process, to ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mosaic = mosaic_of(source, float(seconds))
    if not scheduler:
        with dask.config.set(num_workers=2):
            qm.to_zarr(mosaic, target, mode=mode, progress=tell)  # type: ignore[arg-type]
        return
    from distributed import Client

    with Client(scheduler):
        qm.to_zarr(mosaic, target, mode=mode, progress=tell)  # type: ignore[arg-type]


def content(path: Path) -> dict[str, bytes]:
    """Read every file of a folder."""
    files = (p for p in sorted(path.rglob("*")) if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def same_as(path: Path, expected: dict[str, np.ndarray]) -> None:
    """Compare a finished mosaic with the oracle."""
    opened = qm.open_mosaic(path, mask_and_scale=False, chunks=None)
    for name, values in expected.items():
        np.testing.assert_array_equal(opened[name].values, values, err_msg=name)


if __name__ == "__main__":
    from tests.support import job  # so that functions have the name that they have elsewhere

    job.main(*sys.argv[1:])
