"""What a job holds, whatever the shape of its input: not much more than on the stored chunks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.sources import in_store

SIDE, CHUNK, IMAGES = 512, 128, 12
BLOCK_BYTES = CHUNK * CHUNK * 8
"""That of a chunk of the widest band, so that joined blocks are as small as chunks are here."""

Shape = Callable[[xr.Dataset], xr.Dataset]


def _quality(change: Callable[[xr.DataArray], xr.DataArray]) -> Shape:
    return lambda c: c.assign(quality=change(c["quality"]))


SHAPES: dict[str, Shape] = {
    "cut": lambda c: c.isel(y=slice(20, -20), x=slice(20, -20)),
    "chunks that do not divide": lambda c: c.chunk(y=176, x=176),
    "smaller chunks": lambda c: c.chunk(y=64, x=64),
    "all times in a chunk": lambda c: c.chunk(time=-1),
    "one chunk": lambda c: c.chunk(time=-1, y=-1, x=-1),
    "shifted": _quality(lambda q: q.shift(time=1)),
    "masked by another": lambda c: c.where(c["quality"] > 1),
    "less means of images": _quality(lambda q: q - q.mean(["y", "x"])),
    "less means over time": _quality(lambda q: q - q.mean("time")),
    "another order": lambda c: c.isel(time=[3, 1, 0, 7, 9]),
    "flipped": lambda c: c.isel(y=slice(None, None, -1)),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the collection once."""
    rng = np.random.default_rng(0)
    shape = (IMAGES, SIDE, SIDE)
    values = {
        "quality": rng.integers(0, 6, shape).astype("float32"),
        "red": rng.integers(1, 60000, shape).astype("uint16"),
        "nir": rng.integers(0, 99, shape) / 2,
    }
    path = tmp_path_factory.mktemp("memory") / "in.zarr"
    in_store(values, path, (1, CHUNK, CHUNK))
    return path


def peak_of(shape: Shape, store: Path, out: Path) -> tuple[int, int]:
    """Give what one thread allocates at most, and what `explain` predicts."""
    opened = xr.open_zarr(store, consolidated=False, mask_and_scale=False)
    mosaic = qm.quality_mosaic(shape(opened), "quality")
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, out, block_bytes=BLOCK_BYTES, progress=False)  # imports and caches
        tracemalloc.start()
        try:
            qm.to_zarr(mosaic, out, mode="w", block_bytes=BLOCK_BYTES, progress=False)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return peak, qm.explain(mosaic, block_bytes=BLOCK_BYTES).peak_bytes


@pytest.fixture(scope="module")
def as_stored(store: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Measure what the collection takes as it is stored."""
    return peak_of(lambda c: c, store, tmp_path_factory.mktemp("stored") / "out.zarr")[0]


@pytest.mark.parametrize("name", SHAPES)
def test_memory(name: str, store: Path, as_stored: int, tmp_path: Path) -> None:
    """No shape takes three times what the stored chunks take (a cut makes jobs of four chunks),
    nor more than `explain` predicts; not even one chunk for all of the collection."""
    peak, predicted = peak_of(SHAPES[name], store, tmp_path / "out.zarr")
    assert peak < 3 * as_stored
    assert peak < predicted
