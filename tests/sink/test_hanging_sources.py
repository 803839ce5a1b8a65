"""Ctrl-C and errors while a source hangs for ever: whoever waits is let go, and can go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import qmosaic as qm
from qmosaic.engine.graph import Stack, defer
from qmosaic.engine.threads import Threads
from tests.support import hanging
from tests.support.job import content, mosaic_of, same_as
from tests.support.sources import CountingArray, as_dataset, expected

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a test gives up waiting; nothing is measured with it."""


@pytest.fixture
def side() -> int:
    """36 blocks."""
    return 48


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "cluster"])
def test_ctrl_c_while_a_source_hangs(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], scheduler: str
) -> None:
    """The first Ctrl-C ends the process; it says how to go on, in few lines; the store is let go,
    what is complete stays marked, and resume finishes the very mosaic."""
    if scheduler == "cluster":
        pytest.importorskip("distributed", reason="distributed is in the extra [distributed]")
    out, flag = tmp_path / "out.zarr", tmp_path / "stuck"
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.hanging",
            str(source),
            str(out),
            str(flag),
            scheduler,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not flag.exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        printed, errors = running.communicate(timeout=PATIENCE)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == -signal.SIGINT
    told = errors[errors.rindex("Traceback") :] if "Traceback" in errors else errors
    assert re.search(r"KeyboardInterrupt: .*out\.zarr.* \d+ of 36 blocks.*mode='resume'", told)
    assert ("client.restart()" in told) == (scheduler == "cluster")
    assert 2 * told.count('File "') + 3 < 20
    assert not (out / "_qmosaic" / "lock").exists()

    flag.with_suffix(".open").touch()
    resumed: list[qm.Progress] = []
    qm.to_zarr(hanging.mosaic_of(source, flag), out, mode="resume", progress=resumed.append)
    assert resumed[0].resumed >= printed.count('"done"')
    same_as(out, expected(values))


class Gate(CountingArray):
    """An array whose first read does not end before the gate is open."""

    def __init__(self, values: np.ndarray, interrupts: bool = False) -> None:
        super().__init__(values)
        self.open, self.waits = threading.Event(), threading.Event()
        self.interrupts = interrupts
        self.stuck: list[threading.Thread] = []

    def __getitem__(self, index: Any) -> Any:
        with self._lock:  # dask reads nothing, to look for the type
            hangs = bool(index[0].stop) and not self.stuck
            self.stuck += [threading.current_thread()] * hangs
        if hangs:
            self.waits.set()
            if self.interrupts:
                # as Ctrl-C does it, in the thread that waits
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            self.open.wait()
        return super().__getitem__(index)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, also where a shell has told the tests to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_resume_in_the_same_process(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """As in a notebook: after Ctrl-C the same process goes on, while a thread of the first run
    still hangs; when that wakes up, it writes nothing."""
    arrays = {n: CountingArray(v) for n, v in values.items()}
    gate = arrays["quality"] = Gate(values["quality"], interrupts=True)
    named = {n: da.from_array(a, chunks=(1, 8, 8), name=n) for n, a in arrays.items()}
    out = tmp_path / "out.zarr"
    try:
        with (
            dask.config.set(num_workers=2),
            pytest.raises(KeyboardInterrupt, match="mode='resume'") as caught,
        ):
            qm.to_zarr(qm.quality_mosaic(as_dataset(named), "quality"), out, inputs="ours")
        assert caught.value.__suppress_context__
        intact = arrays | {"quality": CountingArray(values["quality"])}
        named = {n: da.from_array(a, chunks=(1, 8, 8), name=n) for n, a in intact.items()}
        mosaic = qm.quality_mosaic(as_dataset(named), "quality")
        qm.to_zarr(mosaic, out, mode="resume", inputs="ours")
        same_as(out, expected(values))
        qm.to_zarr(mosaic, out, mode="w", shards={"y": 16, "x": 16})
        before = content(out)
    finally:
        gate.open.set()
    (thread,) = gate.stuck
    thread.join()
    assert content(out) == before


def test_an_error_does_not_wait_for_what_hangs(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """A block that fails ends the job, though another one hangs."""
    arrays = {n: CountingArray(v) for n, v in values.items()}
    gate = arrays["quality"] = Gate(values["quality"])

    class Failing(CountingArray):
        def __getitem__(self, index: Any) -> Any:
            if not index[0].stop:
                return super().__getitem__(index)
            gate.waits.wait()
            raise OSError("the network is down")

    arrays["red"] = Failing(values["red"])
    lazy = {n: da.from_array(a, chunks=(1, 8, 8)) for n, a in arrays.items()}
    mosaic = qm.quality_mosaic(as_dataset(lazy), "quality")
    try:
        with dask.config.set(num_workers=2), pytest.raises(OSError, match="network is down"):
            qm.to_zarr(mosaic, tmp_path / "out.zarr", retries=0)
    finally:
        gate.open.set()
    (thread,) = gate.stuck
    thread.join()


def test_reads_ahead_that_hang_are_left_behind() -> None:
    """Who stops to walk through the images of a slow source does not wait for those on their
    way."""

    class HangsLater(CountingArray):
        """An array of which only the first image comes at once."""

        def __init__(self, values: np.ndarray) -> None:
            super().__init__(values)
            self.open, self.waits = threading.Event(), threading.Event()

        def __getitem__(self, index: Any) -> Any:
            if index[0].start:
                self.waits.set()
                self.open.wait()
            return super().__getitem__(index)

    slow = HangsLater(np.ones((3, 8, 8)))
    deferred = defer(Stack(da.from_array(slow, chunks=(1, 8, 8)), ("time", "y", "x"), "time"))
    assert deferred is not None
    images: Any = deferred.source.of_block((0, 0)).walk(range(3))
    try:
        next(images)
        assert slow.waits.wait(PATIENCE)  # it has been asked for
        images.close()  # comes back
    finally:
        slow.open.set()


def test_a_process_ends_though_its_threads_hang() -> None:
    """Python does not wait for the threads of the pool; it does for those of the standard one."""
    code = "import threading as t; from qmosaic.engine.threads import Threads;"
    code += "e = t.Event(); Threads(2).submit(lambda: (e.set(), t.Event().wait())); e.wait()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE, cwd=ROOT)


def test_a_pool_of_threads() -> None:
    """It gives results and errors, starts no more threads than it needs, cancels what waits, and
    takes nothing after its end."""
    pool = Threads(2, "counted")
    for number in range(5):
        assert pool.submit(int, number).result() == number
        time.sleep(0)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result()
    gate, running = threading.Event(), threading.Barrier(3)
    held = [pool.submit(lambda: (running.wait(), gate.wait())) for _ in range(2)]
    running.wait()
    left = pool.submit(int)
    assert sum(t.name.startswith("counted") for t in threading.enumerate()) == 2
    pool.leave(0.0)
    assert left.cancelled()
    gate.set()
    wait(held)
    with pytest.raises(RuntimeError, match="nothing more"):
        pool.submit(int)


def test_a_resume_that_is_interrupted_says_what_is_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of an earlier run count too."""

    def interrupt(progress: qm.Progress) -> None:
        if progress.done in (3, 8):
            raise KeyboardInterrupt

    for mode, done in (("w", 3), ("resume", 8)):
        with (
            dask.config.set(scheduler="synchronous"),
            pytest.raises(KeyboardInterrupt, match=f"{done} of 36 blocks"),
        ):
            qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", mode=mode, progress=interrupt)  # type: ignore[arg-type]
