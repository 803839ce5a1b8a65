"""What holds for all tests, and a collection that several files of them use."""

from __future__ import annotations

import os

# A cluster on a machine that is busy with other things may take long to start; dask reads this
# when it is imported.
os.environ.setdefault("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "180s")
os.environ.setdefault("DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT", "180s")

from pathlib import Path

import numpy as np
import pytest

from tests.support.sources import in_store, random_stack


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    """Bands of six images, 36 blocks."""
    return random_stack(images=6, side=48)


@pytest.fixture
def source(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    """The same on disk."""
    in_store(values, tmp_path / "in.zarr")
    return tmp_path / "in.zarr"
