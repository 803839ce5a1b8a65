"""Jobs as processes of their own: killed, interrupted, stopped, two on one store, on a full
disk."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import qmosaic as qm
from qmosaic.sink import locking
from tests.support.job import content, mosaic_of, same_as
from tests.support.processes import MAY_LEAVE_THINGS_BEHIND, job, told
from tests.support.sources import expected

distributed = pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")


pytestmark = MAY_LEAVE_THINGS_BEHIND


@pytest.fixture
def side() -> int:
    """36 blocks."""
    return 48


def test_a_client_killed_and_resumed(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """SIGKILL in the middle: the store is not taken for whole; resume in a new process computes
    what is missing, and the bytes are those of a single run."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    with job(source, out, "w-", 0.02) as running:
        told(running, blocks=8)
        running.send_signal(signal.SIGKILL)
        running.wait()
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(out)
    with job(source, out, "resume", 0.02) as running:
        lines = told(running)
        assert running.wait() == 0
    assert lines[0]["resumed"] >= 8
    assert len(lines) == 36 - lines[0]["resumed"]
    with job(source, whole, "w-", 0.02) as running:
        told(running)
    assert content(out) == content(whole)
    same_as(out, expected(values))


def test_ctrl_c(source: Path, tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """An interrupted job lets go of the store at once."""
    out = tmp_path / "out.zarr"
    with job(source, out, "w-", 0.02) as running:
        told(running, blocks=5)
        running.send_signal(signal.SIGINT)
        told(running)
        assert running.wait() != 0
    assert not (out / "_qmosaic" / "lock").exists()
    with job(source, out, "resume", 0.02) as running:
        assert told(running)[0]["resumed"] >= 5
        assert running.wait() == 0
    same_as(out, expected(values))


def test_a_client_that_was_stopped_and_wakes_up(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP, as a laptop that sleeps; another job takes the store over and finishes; then
    SIGCONT: the first one ends with an error, and changes not a byte."""
    out = tmp_path / "out.zarr"
    with job(source, out, "w-", 0.02) as running:
        told(running, blocks=5)
        running.send_signal(signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(locking, "LEASE", -1.0)  # as if it had been stopped for long
            qm.to_zarr(mosaic_of(source), out, mode="w")
        before = content(out)
        running.send_signal(signal.SIGCONT)
        assert running.stdout is not None
        output = running.stdout.read()
        assert running.wait() != 0
    assert "its lock is gone" in output
    assert content(out) == before
    same_as(out, expected(values))


def test_two_jobs_on_one_store(source: Path, tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """The second is refused, by name, and does the first no harm; once the first is killed, the
    second may go on."""
    out = tmp_path / "out.zarr"
    with job(source, out, "w-", 0.05) as first:
        told(first, blocks=2)
        for mode in ("w", "resume"):
            with pytest.raises(qm.StoreInUseError, match=f"process {first.pid}"):
                qm.to_zarr(mosaic_of(source, 0.05), out, mode=mode)  # type: ignore[arg-type]
        first.kill()
        first.wait()
    qm.to_zarr(mosaic_of(source, 0.05), out, mode="resume")
    same_as(out, expected(values))


def test_two_jobs_that_start_at_once(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """Of several jobs with mode="w" one writes; the others are refused, whoever is first."""
    out = tmp_path / "out.zarr"
    with contextlib.ExitStack() as stack:
        jobs = [stack.enter_context(job(source, out, "w", 0.05)) for _ in range(3)]
        outputs = [j.communicate()[0] for j in jobs]
    assert sorted(j.returncode for j in jobs) == [0, 1, 1], outputs
    assert sum("StoreInUseError" in output for output in outputs) == 2, outputs
    same_as(out, expected(values))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for a part of the mosaic."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk; test_faults has a store that is full")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(source: Path, small_disk: Path, values: dict[str, np.ndarray]) -> None:
    """A clear error, and the store is known to be incomplete; with more room resume finishes."""
    out = small_disk / "out.zarr"
    with pytest.raises(OSError, match=r"no space left.*out\.zarr.*mode='resume'"):
        qm.to_zarr(mosaic_of(source), out)
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(out)
    subprocess.run(["mount", "-o", "remount,size=5m", str(small_disk)], check=True)
    told: list[qm.Progress] = []
    qm.to_zarr(mosaic_of(source), out, mode="resume", progress=told.append)
    assert told[0].resumed > 0
    same_as(out, expected(values))
