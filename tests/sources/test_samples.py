"""The sample series is a collection like any other: it is resumed, and goes to other processes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.sources.samples import sentinel2_romania
from tests.support.processes import local_cluster

for package in ("nrt", "netCDF4"):
    pytest.importorskip(package, reason=f"{package} is in the extra [demo]")


def greenest(collection: xr.Dataset) -> xr.Dataset:
    """Make the mosaic of the README: the greenest pixels of a summer."""
    summer = qm.filter_date(collection, "2020-05-01", "2020-10-01")
    ndvi = qm.scores.normalized_difference(summer["B8"], summer["B4"])
    clear = summer["SCL"].isin([4, 5, 6])
    return qm.quality_mosaic(summer.assign(quality=ndvi.where(clear)), "quality")


@pytest.mark.parametrize("opened_again", [False, True])
def test_a_mosaic_of_it_is_resumed(opened_again: bool, tmp_path: Path) -> None:
    """What has been counted meanwhile makes no other mosaic of it: one that was interrupted is
    continued, one that is complete stays as it is."""
    collection, reads = sentinel2_romania()
    out = tmp_path / "best.zarr"

    def interrupt(progress: qm.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="of 4 blocks"):
        qm.to_zarr(greenest(collection), out, progress=interrupt)
    assert reads.bytes > 0
    if opened_again:
        collection, reads = sentinel2_romania()
    steps: list[Any] = []
    qm.to_zarr(greenest(collection), out, mode="resume", progress=steps.append)
    assert steps[-1].done == 4
    before = reads.bytes
    qm.to_zarr(greenest(collection), out, mode="resume")
    assert reads.bytes == before


def test_another_band_of_it_is_another_mosaic(tmp_path: Path) -> None:
    """Bands of the series are told apart, also under one name."""
    collection, _ = sentinel2_romania()
    qm.to_zarr(greenest(collection), tmp_path / "best.zarr")
    other = collection.assign(B2=collection["B3"].copy())
    with pytest.raises(ValueError, match=r"another mosaic.*'B2'"):
        qm.to_zarr(greenest(other), tmp_path / "best.zarr", mode="resume")


def test_it_goes_to_other_processes(tmp_path: Path) -> None:
    """Worker processes compute and write it; what they read is not counted here, as the counter
    says of itself."""
    collection, reads = sentinel2_romania()
    best = greenest(collection)
    here = best["B4"].compute()
    before = reads.bytes
    with local_cluster(n_workers=1):
        np.testing.assert_array_equal(best["B4"].compute(), here)
        qm.to_zarr(best, tmp_path / "best.zarr")
    written = qm.open_mosaic(tmp_path / "best.zarr", mask_and_scale=False)
    np.testing.assert_array_equal(written["B4"], here)
    assert reads.bytes == before


def test_a_counter_is_copied_as_it_is() -> None:
    """A copy has what was counted, and goes on for itself."""
    collection, reads = sentinel2_romania()
    collection["B4"][0].compute()
    copied = pickle.loads(pickle.dumps(reads))
    assert (copied.chunks, copied.bytes) == (reads.chunks, reads.bytes)
    assert len(reads.chunks) == 4
    copied.count("B3", (slice(0, 1), slice(0, 50), slice(0, 50)), 5000)
    assert len(copied.chunks) == 5
    assert len(reads.chunks) == 4
