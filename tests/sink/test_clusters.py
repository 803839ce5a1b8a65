"""Jobs on a cluster with real workers: killed ones, clusters by address, stores that they do not
share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic.sink import watching
from tests.support.job import mosaic_of, same_as
from tests.support.processes import (
    MAY_LEAVE_THINGS_BEHIND,
    job,
    local_cluster,
    process,
    told,
    wait_for,
)
from tests.support.sources import expected, in_store, random_stack

distributed = pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")


pytestmark = MAY_LEAVE_THINGS_BEHIND


@pytest.fixture
def side() -> int:
    """36 blocks."""
    return 48


def kill_a_worker(client: Any) -> int:
    """SIGKILL one worker process."""
    pids = client.run(os.getpid)
    victim = min(pids.values())
    os.kill(victim, signal.SIGKILL)
    return int(victim)


def test_a_worker_killed_in_the_middle(
    source: Path,
    tmp_path: Path,
    values: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its blocks are computed by others, also those of which no result has come yet; it is named;
    the mosaic is whole; few tasks are alive at a time."""
    monkeypatch.setattr(watching, "EVERY", 0.05)
    killed: list[int] = []
    alive: list[int] = []
    with local_cluster() as client:
        before = set(client.nthreads())

        def callback(progress: qm.Progress) -> None:
            alive.append(len(client.cluster.scheduler.tasks))
            if progress.done == 6:
                killed.append(kill_a_worker(client))
                wait_for(lambda: "is gone" in caplog.text)

        qm.to_zarr(mosaic_of(source, 0.02), tmp_path / "out.zarr", progress=callback)
    assert killed
    assert len(alive) == 36
    told = [r.getMessage() for r in caplog.records if "is gone" in r.getMessage()]
    assert any(address in told[0] for address in before)
    same_as(tmp_path / "out.zarr", expected(values))


def test_a_block_that_kills_its_workers(source: Path, tmp_path: Path) -> None:
    """It is given up with a reason; what is written can be gone on with."""

    def callback(progress: qm.Progress) -> None:
        if progress.done == 3:
            kill_a_worker(client)

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), local_cluster() as client:
        with pytest.raises(RuntimeError, match=r"given up.*explain.*mode='resume'"):
            qm.to_zarr(mosaic_of(source, 0.05), tmp_path / "out.zarr", progress=callback)
        qm.to_zarr(mosaic_of(source, 0.05), tmp_path / "out.zarr", mode="resume")
    assert qm.open_mosaic(tmp_path / "out.zarr").sizes == {"y": 48, "x": 48}


def test_few_tasks_are_alive_and_no_worker_waits(tmp_path: Path) -> None:
    """However many blocks there are, the scheduler knows of a window of them, and the window is
    filled again before the workers run out of work."""
    values = random_stack(images=3, side=160)
    in_store(values, tmp_path / "in.zarr")
    known: list[int] = []
    waiting: list[int] = []
    with local_cluster(processes=False) as client:
        scheduler = client.cluster.scheduler

        def callback(progress: qm.Progress) -> None:
            known.append(len(scheduler.tasks))
            if progress.done < progress.total - 20:
                waiting.append(
                    sum(t.state in ("processing", "queued") for t in dict(scheduler.tasks).values())
                )

        qm.to_zarr(mosaic_of(tmp_path / "in.zarr", 0.002), tmp_path / "out.zarr", progress=callback)
    assert len(known) == 400
    assert max(known) <= 256 + 2 + 4  # the window, what jobs share, and jobs being forgotten
    assert min(waiting) >= 2
    same_as(tmp_path / "out.zarr", expected(values))


@contextlib.contextmanager
def worker(address: str) -> Iterator[subprocess.Popen[str]]:
    """Start a worker as its own process, as a batch system would."""
    arguments = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
    with process("-m", "distributed.cli.dask_worker", address, *arguments) as running:
        yield running


def test_a_cluster_by_address(source: Path, tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """Scheduler and workers are processes of their own; a worker is lost, a new one joins; the
    client is killed, and a new one goes on."""
    out, contact = tmp_path / "out.zarr", tmp_path / "scheduler.json"
    arguments = ("--port", "0", "--host", "127.0.0.1", "--no-dashboard")
    with process(
        "-m", "distributed.cli.dask_scheduler", *arguments, "--scheduler-file", str(contact)
    ):
        wait_for(lambda: contact.exists() and contact.read_text().strip().endswith("}"))
        address = json.loads(contact.read_text())["address"]
        with worker(address) as first, job(source, out, "w-", 0.02, address) as client:
            told(client, blocks=5)
            with worker(address):
                told(client, blocks=8)
                first.send_signal(signal.SIGKILL)
                told(client, blocks=16)
                client.send_signal(signal.SIGKILL)
                client.wait()
                with pytest.raises(qm.IncompleteMosaicError):
                    qm.open_mosaic(out)
                with job(source, out, "resume", 0.02, address) as again:
                    lines = told(again)
                    assert again.wait() == 0
    assert lines[0]["resumed"] >= 16
    same_as(out, expected(values))


def test_a_store_that_workers_do_not_share_is_noticed(source: Path) -> None:
    """A store in the client's memory is not that of the workers."""
    with local_cluster(n_workers=1), pytest.raises(RuntimeError, match="not share"):
        qm.to_zarr(mosaic_of(source), zarr.storage.MemoryStore())


def test_a_corrupt_chunk_on_a_cluster(source: Path, tmp_path: Path) -> None:
    """The error that comes back from a worker names image, band, chunk and store."""
    chunk = source / "red" / "c" / "2" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:7])
    with local_cluster(n_workers=1):
        with pytest.raises(qm.ChunkReadError, match=r"'red' of image 2020-07-03.*in\.zarr"):
            qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", retries=0)
        told: list[qm.Progress] = []
        qm.to_zarr(
            mosaic_of(source),
            tmp_path / "out.zarr",
            mode="resume",
            retries=0,
            on_error="skip",
            progress=told.append,
        )
    assert told[-1].skipped == 1
    assert told[-1].bytes_read > 0
    assert len(qm.open_mosaic(tmp_path / "out.zarr").attrs["qmosaic_skipped"]) == 1


def test_persisted_inputs_on_a_cluster(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """Futures stay where they are, and are not computed again."""
    with local_cluster(n_workers=1) as client:
        collection = xr.open_zarr(source, chunks={}, consolidated=False, mask_and_scale=False)
        mosaic = qm.quality_mosaic(client.persist(collection), "quality")
        qm.to_zarr(mosaic, tmp_path / "out.zarr")
    same_as(tmp_path / "out.zarr", expected(values))
