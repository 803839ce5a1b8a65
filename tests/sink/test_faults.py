"""Faults survived, with real processes: killed clients, killed workers, clusters by address."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic.sink import locking, watching
from tests.support.job import content, mosaic_of, same_as
from tests.support.sources import expected, in_store, random_stack

distributed = pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")

# Processes that are killed leave sockets and pipes behind, which is what these tests are about.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a test gives up waiting; nothing is measured with it."""


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python as a process of its own, and end it at the end."""
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def job(source: Path, out: Path, mode: str, seconds: float, scheduler: str = "") -> Any:
    """Start a job that writes the mosaic."""
    return process("-m", "tests.support.job", str(source), str(out), mode, str(seconds), scheduler)


def told(running: subprocess.Popen[str], blocks: int = -1) -> list[dict[str, int]]:
    """Read what a job prints, up to a number of blocks or to its end."""
    lines: list[dict[str, int]] = []
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("{"):
            lines.append(json.loads(line))
            if lines[-1]["done"] == blocks:
                break
        elif blocks < 0:
            print(line, end="")
    return lines


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return result


# -- the client -----------------------------------------------------------------------------------


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
        pytest.skip("only root may mount a small disk; test_jobs has a store that says it is full")
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


# -- the cluster ----------------------------------------------------------------------------------


@contextlib.contextmanager
def local_cluster(**options: Any) -> Iterator[Any]:
    """Start worker processes and connect to them."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"} | options
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


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
