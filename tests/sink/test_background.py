"""Writing beside deciding: what is under way is bounded, and a block that is there waits for it.

Only somebody who interrupts leaves it behind.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

import qmosaic as qm
from qmosaic.engine.threads import Threads
from qmosaic.sink import background as module
from qmosaic.sink.background import background, most_under_way
from qmosaic.sink.fencing import folders
from qmosaic.sink.writing import held_alone

LONG = 60
"""Seconds after which a test fails that waits for what has to come."""


class Steps(list[str]):
    """What was done, in order; somebody may wait for a step."""

    def __init__(self) -> None:
        super().__init__()
        self._more = threading.Condition()

    def done(self, step: str) -> None:
        """Note a step."""
        with self._more:
            self.append(step)
            self._more.notify_all()

    def await_(self, *steps: str) -> None:
        """Wait until steps have been done."""
        with self._more:
            assert self._more.wait_for(lambda: set(steps) <= set(self), LONG), (steps, self)


class Noting:
    """A band of ones that notes when a block of it is read."""

    shape, dtype, ndim = (8, 4), np.dtype("uint8"), 2

    def __init__(self, name: str, steps: Steps) -> None:
        self._name, self._steps = name, steps

    def __getitem__(self, index: Any) -> np.ndarray:
        self._steps.done(f"make {self._name}{index[0].start // 4}")
        return np.ones(self.shape, self.dtype)[index]


def mosaic_of(steps: Steps, bands: tuple[str, ...] = ("a", "b", "c")) -> xr.Dataset:
    """Make a dataset of two blocks."""
    arrays = {name: da.from_array(Noting(name, steps), chunks=4, name=False) for name in bands}
    return xr.Dataset({name: (("y", "x"), array) for name, array in arrays.items()})


def write(mosaic: xr.Dataset, store: Any, **options: Any) -> None:
    """Write one block after the other."""
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, store, progress=False, inputs="ones", **options)


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let something be done before a file is moved to its place; "after" is told of each."""
    told: dict[str, Any] = {"before": lambda key: None, "after": lambda key: None}
    move = folders._move

    def watched(source: Path, target: Path) -> None:
        key = str(target).partition(".zarr/")[2]
        told["before"](key)
        move(source, target)
        told["after"](key)

    monkeypatch.setattr(folders, "_move", watched)
    return told


def test_bands_do_not_wait_for_each_other(tmp_path: Path, moving: dict[str, Any]) -> None:
    """A band is made while the one before it is written still."""
    steps = Steps()

    def before(key: str) -> None:
        if key == "a/c/0/0":
            steps.await_("make c0")  # the last one, or it would wait for ever

    moving["before"] = before
    write(mosaic_of(steps), tmp_path / "out.zarr")
    assert (qm.open_mosaic(tmp_path / "out.zarr")["a"] == 1).all()


def test_all_bands_are_on_their_way_to_a_store_that_answers_late() -> None:
    """In a store that is no folder, the bands of a block are written at the same time."""
    together = threading.Barrier(5)

    class Late(MemoryStore):
        async def set(self, key: str, value: Buffer, byte_range: Any = None) -> None:
            if "/c/" in key and not key.startswith("_qmosaic"):
                await asyncio.to_thread(together.wait, LONG)
            await super().set(key, value)

    store = Late()
    write(mosaic_of(Steps(), ("a", "b", "c", "d", "e")), store)
    assert (qm.open_mosaic(store)["e"] == 1).all()


def test_a_block_is_marked_when_its_chunks_are_there(
    tmp_path: Path, moving: dict[str, Any]
) -> None:
    """Never before, however long a chunk takes, and then at once."""
    steps, moved = Steps(), []

    def before(key: str) -> None:
        if key == "a/c/1/0":
            steps.await_("c/c/1/0")

    def after(key: str) -> None:
        moved.append(key)
        steps.done(key)

    moving["before"], moving["after"] = before, after
    write(mosaic_of(steps), tmp_path / "out.zarr")
    blocks = [key.split(".")[0] for key in moved if "/c/" in key and "attr" not in key]
    for block in ("0", "1"):
        mark = blocks.index(f"_qmosaic/done/c/{block}")
        assert set(blocks[mark - 3 : mark]) == {f"{band}/c/{block}/0" for band in "abc"}


def test_a_band_that_cannot_be_written_fails_its_block(
    tmp_path: Path, moving: dict[str, Any]
) -> None:
    """The error is that of the band, with what to do; the block is not marked, and the next run
    writes it."""
    steps, out = Steps(), tmp_path / "out.zarr"

    def full(key: str) -> None:
        if key == "a/c/1/0":
            raise OSError(28, "No space left on device")

    moving["before"] = full
    with pytest.raises(OSError, match="mode='resume'"):
        write(mosaic_of(steps), out)
    assert not list(out.glob("_qmosaic/done/c/1.*"))
    moving["before"] = lambda key: None
    write(mosaic_of(steps), out, mode="resume")
    assert (qm.open_mosaic(out)["a"] == 1).all()


def test_what_is_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the store, no more than the budget; a piece that is larger goes alone. Of small
    ones there are as many as are written at the same time, and one more."""
    monkeypatch.setattr(module, "UNDER_WAY", 100)
    lock, room = threading.Lock(), threading.Semaphore(0)
    held, most, count, many = [0], [0], [0], [0]

    def waiting(*args: Any, **options: Any) -> Any:
        room.release()
        return wait(*args, **options)

    def done(size: int) -> None:
        assert room.acquire(timeout=LONG)  # nothing is written before somebody waits for it
        with lock:
            most[0], many[0] = max(most[0], held[0]), max(many[0], count[0])
            held[0] -= size
            count[0] -= 1

    class Pool(Threads):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            with lock:
                held[0] += args[0]
                count[0] += 1
            return super().submit(fn, *args, **kwargs)

    monkeypatch.setattr(module, "Threads", Pool)
    monkeypatch.setattr(module, "wait", waiting)
    sizes = [30, 30, 30, 30, 250, 30, 100, 1, 99, 1, 1, 1, 1, 1, 1, 1] * 5
    with background(4) as writes:
        for size in sizes:
            writes.add(size, done, size)
    assert held == [0]
    assert most[0] <= 250
    assert many[0] <= 5
    assert most_under_way(30, 80) == 80
    assert most_under_way(30, 8000) == 100
    assert most_under_way(250, 8000) == 250


def test_a_piece_keeps_no_block_in_memory() -> None:
    """What is handed over is counted by its own bytes, so it holds no others: a part of a block is
    taken out of it. A whole block is not copied, nor one that lies in bytes of somebody else."""
    block = np.arange(32, dtype="uint8").reshape(8, 4).copy()
    part = held_alone(block[:4])
    assert part.base is None
    np.testing.assert_array_equal(part, block[:4])
    lent = np.frombuffer(bytes(32), "uint8")
    for whole in (block, block[:], lent):
        assert held_alone(whole) is whole


def test_a_failure_ends_what_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is not written any more; what is under way is awaited, so that nothing of a block
    is written later; the error of what was handed over comes before that of the block."""
    begun, go, over = threading.Event(), threading.Event(), []
    shutdown = Threads.shutdown

    def then_go(pool: Threads, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shutdown(pool, False, cancel_futures=cancel_futures)
        go.set()
        shutdown(pool, wait)

    def slow() -> None:
        begun.set()
        assert go.wait(LONG)
        over.append("slow")
        raise OSError("the first")

    monkeypatch.setattr(Threads, "shutdown", then_go)

    def job() -> None:
        with background(1) as writes:
            writes.add(1, slow)
            writes.add(1, over.append, "never")
            assert begun.wait(LONG)
            raise ValueError("the second")

    with pytest.raises(OSError, match="the first"):
        job()
    assert over == ["slow"]


def test_who_interrupts_does_not_wait_for_a_write_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread is left behind: Python ends without it."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    begun, go = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        begun.set()
        go.wait(LONG)

    def job() -> None:
        with background(1) as writes:
            writes.add(1, hang)
            assert begun.wait(LONG)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job()
    assert not go.is_set()
    assert threads[0].is_alive()
    assert threads[0].daemon
    go.set()
    threads[0].join(LONG)


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    """When a mosaic is written, nothing of it runs."""
    write(mosaic_of(Steps()), tmp_path / "out.zarr")
    assert not [t for t in threading.enumerate() if t.name.startswith("qmosaic-write")]
