"""The engine's work as a bare loop over `tensorstore`: decide, sort, take, write.

It reads, decides and writes what the engine does, and does nothing else: no inputs but those of
the benchmark, no graph, no rules but ``ties="first"``, no journal, no checks. What the engine takes
longer is what all of that costs.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import Job
from benchmarks.oracle import QUALITY_NODATA, Array, Block, blocks, quality_dtype, score
from benchmarks.workloads import Workload

AHEAD = 8
"""So many images are asked for before they are needed."""

LOWEST = {"inverse": QUALITY_NODATA, "ndvi": -np.inf, "score": 0}
"""A quality that wins nowhere: no valid image has it, and nodata is not above it."""


def run(job: Job) -> None:
    """Make the mosaic, a block in a thread, as many threads as cores."""
    bands = {band: _open(job.store / band) for band in job.workload.bands}
    dtypes = {band: array.dtype.name for band, array in bands.items()}
    dtypes["quality"] = quality_dtype(job.workload)
    mosaic = {band: _create(job, band, dtype) for band, dtype in dtypes.items()}
    job.output.joinpath("zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group"})
    )

    def solve(block: Block) -> list[Any]:
        best, index = decide(job.workload, bands, block)
        taken = take(job.workload, bands, block, index)
        return [mosaic[band][block].write(v) for band, v in chain([("quality", best)], taken)]

    scene = job.workload.scene
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        under_way = list(pool.map(solve, (block for _, block in blocks(scene.size, scene.chunk))))
    for writes in under_way:
        for write in writes:
            write.result()


def decide(workload: Workload, bands: dict[str, Any], block: Block) -> tuple[Array, Array]:
    """Give the highest quality of each pixel and its image, -1 where there is none."""
    shape = (workload.scene.chunk,) * 2
    best = np.full(shape, LOWEST[workload.quality], quality_dtype(workload))
    index = np.full(shape, -1, "int16")
    names = workload.quality_sources
    sources = [bands[name] for name in names]
    for t, images in read(sources, block, range(workload.scene.images)):
        quality = score(workload, dict(zip(names, images, strict=True)))
        better = quality > best
        np.copyto(best, quality, where=better)
        np.copyto(index, np.int16(t), where=better)
    if best.dtype.kind == "f":
        best[index < 0] = np.nan
    return best, index


def take(
    workload: Workload, bands: dict[str, Any], block: Block, index: Array
) -> Iterator[tuple[str, Array]]:
    """Give band after band: pixels are sorted by their image once, and each is moved once."""
    order = np.argsort(index, axis=None, kind="stable")
    counts = np.bincount(index.ravel() + 1, minlength=workload.scene.images + 1)
    _, *pixels = np.split(order, np.cumsum(counts)[:-1])
    winners = [t for t, won in enumerate(pixels) if won.size]
    for name, band in bands.items():
        nodata = workload.scene.nodata.get(name, 0)
        values = np.full(index.size, nodata, band.dtype.numpy_dtype)
        for t, (image,) in read([band], block, winners):
            values[pixels[t]] = image.ravel()[pixels[t]]
        yield name, values.reshape(index.shape)


def read(
    arrays: Sequence[Any], block: Block, times: Iterable[int]
) -> Iterator[tuple[int, list[Array]]]:
    """Read a block of the arrays, image after image, and ask for the next images meanwhile."""
    asked: deque[tuple[int, list[Any]]] = deque()
    for t in times:
        asked.append((t, [array[(t, *block)].read() for array in arrays]))
        if len(asked) > AHEAD:
            yield _received(asked)
    while asked:
        yield _received(asked)


def _received(asked: deque[tuple[int, list[Any]]]) -> tuple[int, list[Array]]:
    t, promised = asked.popleft()
    return t, [image.result() for image in promised]


def _open(path: Path) -> Any:
    import tensorstore

    kvstore = {"driver": "file", "path": str(path)}
    return tensorstore.open({"driver": "zarr3", "kvstore": kvstore}).result()


def _create(job: Job, band: str, dtype: str) -> Any:
    """Lay out a band with the codecs that Zarr takes where none are named."""
    import tensorstore

    scene = job.workload.scene
    # as Zarr does, no file is waited for until it is on the disk
    kvstore = {"driver": "file", "path": str(job.output / band), "file_io_sync": False}
    grid = {"name": "regular", "configuration": {"chunk_shape": [scene.chunk] * 2}}
    metadata = {
        "shape": [scene.size] * 2,
        "data_type": dtype,
        "chunk_grid": grid,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 0}},
        ],
        "dimension_names": ["y", "x"],
    }
    spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}
    return tensorstore.open(spec, create=True).result()
