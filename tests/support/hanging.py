"""A job of which a block hangs for ever: run as a process of its own, to be interrupted.

``python -m tests.support.hanging SOURCE TARGET FLAG SCHEDULER`` prints a line for every
block; one block of the quality makes the file FLAG when it is read, and never ends.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import dask
import xarray as xr

import qmosaic as qm
from tests.support.job import tell
from tests.support.sources import dates


def stuck(values: Any, flag: str, block_info: Any = None) -> Any:
    """Hang in the last block of the second image, unless the file ends with "open"."""
    if block_info and block_info[None]["chunk-location"] == (1, 5, 5) and _is_closed(Path(flag)):
        Path(flag).touch()
        threading.Event().wait()
    return values


def _is_closed(flag: Path) -> bool:
    return not flag.with_suffix(".open").exists()


def mosaic_of(source: Path | str, flag: Path | str) -> xr.Dataset:
    """Make the mosaic of a collection of 6 × 6 blocks."""
    collection = xr.open_zarr(str(source), chunks={}, consolidated=False, mask_and_scale=False)
    collection = collection[sorted(collection.data_vars)]
    collection = collection.assign_coords(time=dates(collection.sizes["time"]))
    quality = collection["quality"]
    hanging = quality.data.map_blocks(stuck, str(flag), dtype=quality.dtype)
    collection["quality"] = quality.copy(data=hanging)
    return qm.quality_mosaic(collection, "quality")


def main(source: str, target: str, flag: str, scheduler: str) -> None:
    """Write the mosaic."""
    # a shell may have told the tests, and so this process, to ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mosaic = mosaic_of(source, flag)
    if scheduler != "cluster":
        with dask.config.set(scheduler=scheduler, num_workers=2):
            qm.to_zarr(mosaic, target, progress=tell)
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        qm.to_zarr(mosaic, target, progress=tell)


if __name__ == "__main__":
    from tests.support import hanging  # so that functions have the name that they have elsewhere

    hanging.main(*sys.argv[1:])
