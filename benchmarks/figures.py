"""Two figures: what the graph of a large mosaic weighs, and how much latency a task hides.

``python -m benchmarks graph`` and ``python -m benchmarks latency``.
"""

from __future__ import annotations

import asyncio
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import dask
import numpy as np
import xarray as xr
import zarr
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.sink import finishing, running
from qmosaic.sink.writing import Outcome


def graph(out: Path, images: int = 100, rows: int = 200, columns: int = 100) -> None:
    """Build a mosaic of 20 000 blocks and four bands, and print time and size per block.

    Everything that a client does is timed, from the opening to the pickled graphs of all batches.
    """
    source = out / "large.zarr"
    group = zarr.open_group(source, mode="w")
    for name, dtype in (("B2", "uint16"), ("B3", "uint16"), ("B4", "uint16"), ("cloud", "uint8")):
        group.create_array(
            name,
            shape=(images, rows * 64, columns * 64),
            chunks=(1, 64, 64),
            dtype=dtype,
            dimension_names=("time", "y", "x"),
        )
    start = time.perf_counter()
    collection = xr.open_zarr(source, chunks={}, consolidated=False)
    collection["quality"] = qm.scores.inverse(collection["cloud"])
    mosaic = qm.quality_mosaic(collection.drop_vars("cloud"), "quality")
    sizes: list[int] = []

    def scheduler(tasks: dict[Any, Any], keys: list[Any], **kwargs: Any) -> list[Any]:
        sizes.append(len(pickle.dumps(tasks)))
        return [Outcome(key[1], 0, 0, []) for key in keys]

    # Nothing is computed here, so what looks for written blocks is left out.
    with (
        dask.config.set(scheduler=scheduler),
        mock.patch.object(running, "_check_visible"),
        mock.patch.object(finishing, "_complete"),
    ):
        qm.to_zarr(mosaic, out / "large-out.zarr", mode="w", progress=False)
    seconds = time.perf_counter() - start
    blocks = rows * columns
    print(
        f"{blocks} blocks × {images} images × 4 bands: {seconds * 1000 / blocks:.3f} ms of the "
        f"client and {sum(sizes) / blocks:.0f} bytes a block, in {len(sizes)} batches"
    )


class Far(LocalStore):
    """A folder that answers every request for a chunk after 20 ms."""

    requests = 0

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """Wait, count and read."""
        if "/c/" in key:
            Far.requests += 1
            await asyncio.sleep(0.02)
        return await super().get(key, *args, **kwargs)

    def with_read_only(self, read_only: bool = False) -> Far:
        """Stay far away."""
        return type(self)(self.root, read_only=read_only)


BANDS = ("B02", "B03", "B04", "B08", "quality")


def latency(out: Path, images: int = 60, blocks: int = 4) -> None:
    """Make mosaics of images that answer after 20 ms each, and print how long it takes: one block
    of one band, and a map of `blocks` × `blocks` of five bands of which every image wins some."""
    qm.quality_mosaic(_far(out, ("quality",), 2, 8, 8), "quality").compute()  # imports, caches
    for side in (64, 512):
        collection = _far(out, ("quality",), images, side, side)
        shuffled = collection.isel(time=np.random.default_rng(0).permutation(images))
        for name, opened in (("in order", collection), ("in any order", shuffled)):
            mosaic = qm.quality_mosaic(opened, "quality")
            with dask.config.set(scheduler="synchronous"):
                _tell(f"{side} × {side}, images {name}", mosaic.compute)
    mosaic = qm.quality_mosaic(_far(out, BANDS, images, 64 * blocks, 64), "quality")
    written = out / "mosaic.zarr"
    shutil.rmtree(written, ignore_errors=True)
    with dask.config.set(num_workers=2):
        _tell(
            f"{len(BANDS)} bands on {blocks * blocks} blocks, two threads",
            lambda: qm.to_zarr(mosaic, written, progress=False),
        )


def _far(out: Path, bands: tuple[str, ...], images: int, side: int, chunk: int) -> xr.Dataset:
    """Write random bands to a store, and open it as one that is far away."""
    path = out / "far.zarr"
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.open_group(path, mode="w")
    for band in bands:
        array = group.create_array(
            band,
            shape=(images, side, side),
            chunks=(1, chunk, chunk),
            dtype="float32",
            dimension_names=("time", "y", "x"),
        )
        array[:] = np.random.default_rng(0).random(array.shape, "float32")
    return xr.open_zarr(Far(path, read_only=True), chunks={}, consolidated=False)


def _tell(what: str, make: Callable[[], object]) -> None:
    Far.requests = 0
    start = time.perf_counter()
    make()
    seconds = time.perf_counter() - start
    print(
        f"{what}: {Far.requests} requests in {seconds:.2f} s, "
        f"one after the other they wait {Far.requests * 0.02:.1f} s"
    )
