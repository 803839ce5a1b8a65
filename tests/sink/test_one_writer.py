"""One writer at a time: a second one is refused, one that is gone holds nothing."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

import qmosaic as qm
from qmosaic.sink import locking
from qmosaic.sink.fencing import document_of
from qmosaic.sink.fencing.folders import FolderFence
from tests.support.interrupted import interrupted
from tests.support.job import content, mosaic_of, same_as
from tests.support.sources import (
    expected,
)


def hold(out: Path, **holder: Any) -> None:
    """Leave the lock of another job in a store."""
    attributes = {"job": "another", "host": "elsewhere", "pid": 1, "beat": time.time()} | holder
    (out / "_qmosaic" / "lock" / "7").mkdir(parents=True, exist_ok=True)
    (out / "_qmosaic" / "lock" / "7" / "zarr.json").write_bytes(document_of(attributes))


@pytest.mark.parametrize("mode", ["w", "resume"])
def test_a_second_writer_is_refused(source: Path, tmp_path: Path, mode: Any) -> None:
    """It is told who writes, and touches nothing."""
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    hold(out, host="node7", pid=4711)
    before = content(out)
    with pytest.raises(FileExistsError, match="is writing it at this moment"):
        qm.to_zarr(mosaic_of(source), out)
    with pytest.raises(qm.StoreInUseError, match="4711 on 'node7'"):
        qm.to_zarr(mosaic_of(source), out, mode=mode)
    assert content(out) == before


def test_a_writer_that_is_gone_holds_nothing(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """A machine that is lost shows no sign of life: its hold ends."""
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    hold(out, beat=time.time() - locking.LEASE - 1)
    qm.to_zarr(mosaic_of(source), out, mode="resume")
    same_as(out, expected(values))


def test_a_writer_shows_signs_of_life(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it writes, its sign of life is renewed, and it never writes a lock that is gone."""
    monkeypatch.setattr(locking, "BEAT", 0.001)
    out = tmp_path / "out.zarr"
    beats: list[bytes] = []
    renewed = threading.Event()
    renew = FolderFence.renew

    def tell(fence: FolderFence, document: bytes) -> bool:
        beats.append(document)
        there = renew(fence, document)
        if len(beats) > 3 or not there:
            renewed.set()
        return there

    monkeypatch.setattr(FolderFence, "renew", tell)

    def look(progress: qm.Progress) -> None:
        if progress.done == 2:
            assert renewed.wait(60)
            renewed.clear()
            shutil.rmtree(out / "_qmosaic" / "lock" / "1")
            hold(out, host="thief")
            assert renewed.wait(60)

    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(qm.StoreInUseError, match="its lock is gone"),
    ):
        qm.to_zarr(mosaic_of(source), out, progress=look)
    assert len(set(beats)) > 3
    assert [lock.name for lock in (out / "_qmosaic" / "lock").iterdir()] == ["7"]
