"""A collection that most tests of the sink write mosaics of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.sources import in_store, random_stack


@pytest.fixture
def side() -> int:
    """Pixels along each side of the images: 24 make nine blocks; a file may have another number."""
    return 24


@pytest.fixture
def values(side: int) -> dict[str, np.ndarray]:
    """Bands of six images."""
    return random_stack(images=6, side=side)


@pytest.fixture
def source(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    """The same on disk, in chunks of 8 × 8 pixels."""
    in_store(values, tmp_path / "in.zarr")
    return tmp_path / "in.zarr"


@pytest.fixture
def never_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of the map are not put together, as if they were large."""
    monkeypatch.setattr("qmosaic.engine.graph.deferral.BLOCK_BYTES", 1)
    monkeypatch.setattr("qmosaic.sink.cutting.TOGETHER", 0)
