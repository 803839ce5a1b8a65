"""What the machine needs for the task itself: bare reads, decompression, encoding, writing.

Exactly the chunks that must be read (every chunk of the quality's bands, and of the other bands
those of images that win a pixel of the block), on all cores, with neither Zarr nor dask nor xarray.
Which chunks these are is known beforehand from the oracle, and nothing is decided.
"""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import Job

_prepared: dict[str, Any] = {}


def prepare(job: Job) -> None:
    """Load, before the clock starts, what is to be read and what is to be written."""
    bands = (*job.workload.bands, "quality")
    _prepared["plan"] = [job.store / path for path in json.loads(plan_file(job.oracle).read_text())]
    _prepared["mosaic"] = {band: np.load(job.oracle / f"{band}.npy") for band in bands}


def plan_file(oracle: Path) -> Path:
    """Name the list of the chunks that must be read."""
    return oracle / "plan.json"


def run(job: Job) -> None:
    """Read and decompress the chunks of the plan, then encode and write the mosaic."""
    from numcodecs import Blosc

    codec = Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE)
    chunk = job.workload.scene.chunk
    scratch = threading.local()

    def read(path: Path) -> None:
        if not hasattr(scratch, "out"):
            scratch.out = np.empty(chunk * chunk * 8, "uint8")
        data = path.read_bytes()
        nbytes = int.from_bytes(data[4:8], "little")
        codec.decode(data, out=scratch.out[:nbytes])

    def write(task: tuple[str, int, int]) -> None:
        band, y, x = task
        values = _prepared["mosaic"][band][y : y + chunk, x : x + chunk]
        path = job.output / band / "c" / str(y // chunk)
        path.mkdir(parents=True, exist_ok=True)
        (path / str(x // chunk)).write_bytes(codec.encode(np.ascontiguousarray(values)))

    starts = range(0, job.workload.scene.size, chunk)
    results = [(band, y, x) for band in _prepared["mosaic"] for y in starts for x in starts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(read, _prepared["plan"]))
        list(pool.map(write, results))
