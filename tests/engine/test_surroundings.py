"""Chunks with what lies around them: functions that look at the pixels beside a chunk."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

import qmosaic as qm
from qmosaic.engine.graph import Stack, defer, map_surroundings
from tests.support.mosaics import same
from tests.support.sources import (
    CountingArray,
    in_store,
    random_stack,
)


def highest_around(window: np.ndarray) -> np.ndarray:
    """Give each pixel the highest value within two rows and three columns."""
    padded = np.pad(window, ((0, 0), (2, 2), (3, 3)))
    height, width = window.shape[1:]
    shifted = [padded[:, y : y + height, x : x + width] for y in range(5) for x in range(7)]
    return np.max(shifted, axis=0)


AROUND = {1: 2, 2: 3}


def _same(chunk: np.ndarray) -> np.ndarray:
    """Be a function of which nothing is known."""
    return chunk


def spread(array: Any) -> Any:
    """Apply `highest_around` chunk by chunk."""
    return map_surroundings(array, highest_around, AROUND, array.dtype)


KINDS = ["symbolic", "written out", "persisted", "rechunked", "made by chunk"]


@pytest.mark.parametrize(
    "chunks", [(1, 8, 8), (2, 24, 1), (5, (9, 1, 14), (2, 2, 20)), (1, 24, 24)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_surroundings(chunks: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies around a chunk is seen whatever the chunks and the source; it is deferred where
    reading again repeats no work."""
    monkeypatch.setattr("qmosaic.engine.graph.deferral.BLOCK_BYTES", 1)
    values = np.random.default_rng(0).integers(0, 999, (6, 24, 24)).astype("uint16")
    array = da.from_array(CountingArray(values), chunks=chunks)
    if kind == "written out":  # a concatenation
        array = da.concatenate([array[:2], array[2:]]).rechunk({0: array.chunks[0]})
    elif kind == "persisted":
        array = array.persist(scheduler="synchronous")
    elif kind == "rechunked":
        array = array.rechunk((1, 5, 24))
    elif kind == "made by chunk":
        array = array.map_blocks(_same, dtype="uint16")
    made = spread(array)
    assert made.chunks == array.chunks
    assert made.name == spread(array).name
    np.testing.assert_array_equal(made.compute(), highest_around(values))
    deferred = defer(Stack(made, ("time", "y", "x"), "time")) is not None
    alone = array.numblocks[1:] == (1, 1)
    assert deferred == (kind not in ("persisted", "made by chunk") or (alone and kind[0] == "m"))


def test_a_task_reads_its_surroundings_itself() -> None:
    """One task a chunk, one view in all; a chunk reads the pixels within reach and no other."""
    counted = CountingArray(np.ones((3, 32, 32), "uint8"))
    made = spread(da.from_array(counted, chunks=(1, 8, 8)))
    graph = made.__dask_graph__()
    assert len(dict(graph)) == 3 * 16 + 1
    sizes = {T: len(pickle.dumps(dict(graph)[made.name, T, 0, 0])) for T in range(3)}
    assert max(sizes.values()) < 1000
    counted.calls.clear()
    made.blocks[1, 0, 3].compute(scheduler="synchronous")
    seen = np.zeros((3, 32, 32), bool)
    for index in counted.calls:
        seen[index] = True
    assert seen.sum() == (8 + 2) * (8 + 3)
    assert seen[1, :10, 21:].all()


def test_a_mosaic_of_surroundings_is_deferred(tmp_path: Path) -> None:
    """A block is one task, whose size does not depend on the number of images."""
    sizes = {}
    for images in (4, 40):
        collection, _ = in_store(random_stack(images), tmp_path / f"{images}.zarr")
        band = collection["quality"]
        collection["quality"] = band.copy(data=spread(band.fillna(0).data))
        mosaic = qm.quality_mosaic(collection, "quality")
        explained = qm.explain(mosaic)
        assert explained.deferred
        assert explained.tasks == explained.blocks + 2
        sizes[images] = sum(len(pickle.dumps(t)) for t in dict(mosaic.__dask_graph__()).values())
    assert sizes[40] < sizes[4] * 1.1
    values = random_stack(40)
    values["quality"] = highest_around(np.nan_to_num(values["quality"]))
    same(mosaic, values)
