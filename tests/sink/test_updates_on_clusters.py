"""Updates on dask.distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.sources import as_dataset, dates, random_stack
from tests.support.updates import images, pixels, write

distributed = pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("never_together")
def test_processes_update_a_mosaic(tmp_path: Path) -> None:
    """Worker processes rewrite blocks, through the same fence; images whose chunks are ordinary
    tasks, which a cluster may run again when blocks have changed, are refused."""
    values = random_stack(images=4, side=24)
    collection, _ = images(values, tmp_path / "in.zarr", dates(4))
    plain = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, mask_and_scale=False)
    plain = plain[sorted(plain.data_vars)].assign_coords(time=dates(4))
    whole, path = tmp_path / "whole.zarr", tmp_path / "mosaic.zarr"
    write(collection, whole)
    write(collection.isel(time=slice(2)), path)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        bare = {name: np.asarray(band) for name, band in values.items()}
        in_memory = as_dataset(bare).assign_coords(time=dates(4)).drop_vars(["y", "x"])
        in_memory = in_memory[sorted(bare)].isel(time=slice(2, 4))
        with pytest.raises(ValueError, match=r"ordinary tasks.*scheduler=\"threads\""):
            qm.update(path, in_memory)
        qm.update(path, plain.isel(time=slice(2, 4)), progress=False)
    assert pixels(path) == pixels(whole)
