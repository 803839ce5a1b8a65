"""Mosaics of several images a pixel, and medoids, as jobs: resumed, with damaged chunks, in memory
that does not grow with the number of images."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.engine import bands, closest
from qmosaic.engine.reducing import reduce_block
from qmosaic.engine.within import Near
from tests.support.interrupted import corrupt, interrupted, masked_there
from tests.support.job import content
from tests.support.sources import as_dataset, in_store

Make = Callable[[xr.Dataset], xr.Dataset]

MAKES: dict[str, Make] = {
    "median": lambda c: qm.quality_mosaic(c, "quality", within=1, provenance=True),
    "mean": lambda c: qm.quality_mosaic(c, "quality", within=1, reducer="mean"),
    "medoid": lambda c: qm.medoid(c, ["quality", "nir"], provenance=["source_index"]),
}


def opened(path: Path, images: int = 6) -> xr.Dataset:
    """Open the collection, with times."""
    stored = xr.open_zarr(path, chunks={}, consolidated=False, mask_and_scale=False)
    times = np.datetime64("2020-07-01", "ns") + np.arange(images) * np.timedelta64(1, "D")
    named = [name for name in ("quality", "red", "nir") if name in stored]
    return stored[named].assign_coords(time=times)  # a store lists its bands in any order


@pytest.mark.parametrize("name", MAKES)
def test_resume_gives_the_bytes_of_a_single_run(name: str, source: Path, tmp_path: Path) -> None:
    """Complete blocks are not computed again, and nothing tells that the job was interrupted."""
    make, out, whole = MAKES[name], tmp_path / "out.zarr", tmp_path / "whole.zarr"
    interrupted(make(opened(source)), out)
    told: list[qm.Progress] = []
    qm.to_zarr(make(opened(source)), out, mode="resume", progress=told.append)
    assert told[0].resumed == 4
    qm.to_zarr(make(opened(source)), whole, progress=False)
    assert content(out) == content(whole)


def test_another_distance_is_another_mosaic(source: Path, tmp_path: Path) -> None:
    """What was begun with one tolerance is not gone on with in another."""
    out = tmp_path / "out.zarr"
    interrupted(qm.quality_mosaic(opened(source), "quality", within=1), out)
    for other in ({"within": 2}, {"within": 1, "reducer": 25}):
        mosaic = qm.quality_mosaic(opened(source), "quality", **other)
        with pytest.raises(ValueError, match=r"within|reducer"):
            qm.to_zarr(mosaic, out, mode="resume", progress=False)


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("band", ["quality", "nir"])
def test_a_damaged_chunk_is_left_out(
    name: str, band: str, source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """With on_error="skip" an image of which a chunk cannot be read does not count there."""
    corrupt(source, band, 2, 1, 1)
    mosaic, out = MAKES[name](opened(source)), tmp_path / "out.zarr"
    qm.to_zarr(mosaic, out, on_error="skip", retries=0, progress=False)
    want = MAKES[name](as_dataset(masked_there(values, 2, 1, 1)))
    got = xr.open_zarr(out, consolidated=False, mask_and_scale=False)
    for each in values:
        np.testing.assert_array_equal(got[each].values, want[each].values)


SIDE, CHUNK = 64, 64


def peak_of(make: Make, path: Path, images: int, out: Path) -> tuple[int, int]:
    """Give what one thread allocates at most, and what `explain` predicts."""
    mosaic = make(opened(path, images))
    with dask.config.set(scheduler="synchronous"):
        if not out.exists():
            qm.to_zarr(mosaic, out, progress=False, block_bytes=1)  # imports and caches
        tracemalloc.start()
        try:
            qm.to_zarr(mosaic, out, mode="w", progress=False, block_bytes=1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return peak, qm.explain(mosaic, block_bytes=1).peak_bytes


@pytest.mark.parametrize("name", MAKES)
def test_memory_does_not_grow_with_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times the images: what a job holds stays, as what it may hold of values, of bits and of
    images is stated (here small); and it is no more than `explain` predicts."""
    monkeypatch.setattr(bands, "Near", partial(Near, most=2**12, kept=2**15))
    monkeypatch.setattr("qmosaic.engine.within.reduce_block", partial(reduce_block, most=2**17))
    small = partial(closest.Budgets, kept=2**15, bits=2**14, values=2**17)
    monkeypatch.setattr(closest, "Budgets", small)
    rng = np.random.default_rng(0)
    peaks = []
    for images in (12, 60):
        shape = (images, SIDE, SIDE)
        values = {
            "quality": rng.integers(0, 3, shape).astype("float32"),
            "nir": rng.integers(0, 99, shape) / 2,
        }
        path = tmp_path / f"{images}.zarr"
        in_store(values, path, (1, CHUNK, CHUNK))
        peak, predicted = peak_of(MAKES[name], path, images, tmp_path / "out.zarr")
        assert peak < predicted
        peaks.append(peak)
    assert peaks[1] < 1.25 * peaks[0]
