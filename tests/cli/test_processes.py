"""Each command as a process of its own, on real files, as a shell or another program starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.cli.conftest import IMAGES, SIZE

for package in ("rasterio", "matplotlib", "shapely"):
    pytest.importorskip(package, reason=f"{package} is in the extra [test]")


def process(folder: Path, *arguments: str) -> str:
    """Run a command to its end, which has to be a good one; give what it says on stdout."""
    command = [sys.executable, "-m", "qmosaic.cli", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def test_every_command_as_a_process(
    series: Path, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """What README and guides promise of the shell holds for processes: a mosaic of some images, its
    table, its picture, the update with the others, and the GeoTIFF of all; stdout is JSON where
    that is asked for."""
    images = xr.open_zarr(series, consolidated=False, mask_and_scale=False)
    images.isel(time=slice(3, None)).to_zarr(tmp_path / "new.zarr", consolidated=False)
    source, score = str(series), ["--quality", "-cloud"]
    end = str(images["time"].values[3])
    some = [source, *score, "--end", end, "--provenance", "--json"]
    assert json.loads(process(tmp_path, "explain", *some))["images"] == 3
    written = process(tmp_path, "mosaic", *some, "--updatable", "--levels", "1", "-o", "best.zarr")
    assert json.loads(written)["complete"] is True
    process(tmp_path, "update", "best.zarr", "new.zarr", *score)
    assert json.loads(process(tmp_path, "info", "best.zarr", "--json"))["images"] == IMAGES
    table = json.loads(process(tmp_path, "contributions", "best.zarr", "--json"))
    assert sum(row["pixels"] for row in table["contributions"]) == SIZE * SIZE
    process(tmp_path, "show", "best.zarr", "--bands", "B4", "--png", "best.png", "--level", "1")
    assert (tmp_path / "best.png").read_bytes().startswith(b"\x89PNG")
    assert "_QMOSAIC_COMPLETE" in process(tmp_path, "completion", "bash")
    winner = values["cloud"].argmin(axis=0)
    want = np.take_along_axis(values["B4"], winner[None], axis=0)[0]
    mosaic = qm.open_mosaic(tmp_path / "best.zarr", mask_and_scale=False)
    np.testing.assert_array_equal(mosaic["B4"].values, want)
