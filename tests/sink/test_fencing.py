"""One writer, whoever wakes up: what a job does whose store has been taken over.

A job is stopped in these tests exactly between its last look at the lock and the step with which it
writes; another one takes over and writes its whole mosaic; then the first goes on.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import pickle
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, ObjectStore

import qmosaic as qm
from qmosaic.sink import locking
from qmosaic.sink.fencing import document_of, folders, locks, objects
from qmosaic.sink.locking import Lock
from tests.support.preparing import LOCKS, claimed, prepared

RAMP = np.arange(1, 17).reshape(4, 4)


def mosaic_of(best: int, bands: tuple[str, ...] = ("red",)) -> xr.Dataset:
    """Make a mosaic of 4 × 4 pixels in two blocks; image 1 is empty, image 2 is full."""
    values = np.arange(3, dtype="uint16")[:, None, None] * RAMP
    values[1] = 0
    quality = np.zeros((3, 4, 4), "int16")
    quality[best] = 1
    arrays = dict.fromkeys(bands, values.astype("uint16")) | {"quality": quality}
    arrays |= {name: da.from_array(a, chunks=(1, 4, 2)) for name, a in arrays.items()}
    collection = xr.Dataset({n: (("time", "y", "x"), a) for n, a in arrays.items()})
    return qm.quality_mosaic(collection, "quality")


def write(best: int, store: Store, mode: Any, **options: Any) -> None:
    """Write a mosaic, one block after the other."""
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(best), store, mode=mode, progress=False, **options)


def content(store: Store) -> dict[str, bytes]:
    """Read everything that is in a store."""

    async def read() -> dict[str, bytes]:
        keys = [key async for key in store.list_prefix("")]
        found = {key: await store.get(key, default_buffer_prototype()) for key in keys}
        return {key: value.to_bytes() for key, value in found.items() if value is not None}

    return dict(sorted(sync(read()).items()))


def buffer_of(content: bytes) -> Buffer:
    """Give what stores take."""
    return default_buffer_prototype().buffer.from_bytes(content)


class Memory(MemoryStore):
    """A store in memory that does something before it writes."""

    before: ClassVar[Any] = staticmethod(lambda: None)

    async def set(self, key: str, value: Buffer, byte_range: Any = None) -> None:
        """Do it, and write."""
        await asyncio.to_thread(type(self).before)
        await super().set(key, value)


class Steps:
    """Counts the steps of a job; before one of them, something else is done."""

    def __init__(self, number: int, what: Callable[[], None]) -> None:
        self._number, self._what = number, what
        self._count = itertools.count(1)
        self.taken, self._over = False, threading.Event()

    def __call__(self) -> None:
        """Count one more step."""
        if not self.taken and next(self._count) == self._number:
            self.taken = True
            self._what()
            self._over.set()

    def wait(self) -> None:
        """Wait for the end of what was done; several steps of a job may go on at the same time."""
        assert self._over.wait(60)


class Pause:
    """What is done before every step with which a job writes."""

    def __init__(self) -> None:
        self.before: Callable[[], Any] = lambda: None

    def __call__(self) -> None:
        """Do it."""
        self.before()


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Pause:
    """Let something be done before every step with which a job writes, whatever the store."""
    pause, move, link, put = Pause(), folders._move, folders._link, objects._put

    def moving(*args: Any) -> None:
        pause()
        move(*args)

    def linking(*args: Any) -> None:
        pause()
        link(*args)

    async def putting(*args: Any) -> None:
        await asyncio.to_thread(pause)
        await put(*args)

    monkeypatch.setattr(folders, "_move", moving)
    monkeypatch.setattr(folders, "_link", linking)
    monkeypatch.setattr(objects, "_put", putting)
    monkeypatch.setattr(Memory, "before", pause)
    return pause


def objects_in_memory() -> ObjectStore[Any]:
    """Make an object store that writes under conditions."""
    reason = "in the extra [s3]; 0.5's store in memory can block itself when listed beside a write"
    obstore = pytest.importorskip("obstore", minversion="0.12", reason=reason)
    return ObjectStore(obstore.store.MemoryStore())


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Callable[[], Store]]:
    """Make empty stores of each kind."""
    numbers = itertools.count()
    return {
        "folder": lambda: LocalStore(tmp_path / f"{next(numbers)}.zarr"),
        "objects": objects_in_memory,
        "other": Memory,
    }


@pytest.fixture
def overdue(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Do something at a time when every sign of life is too old."""

    def later(what: Callable[[], Any]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(locking, "LEASE", -1.0)
            what()

    return later


# -- a job that wakes up --------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "zarr_format"), [("w", 3), ("resume", 2)])
@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_a_job_that_wakes_up_writes_nothing(
    kind: str,
    mode: Any,
    zarr_format: Any,
    stores: dict[str, Callable[[], Store]],
    pause: Pause,
    overdue: Callable[..., None],
) -> None:
    """Stopped before any of its steps, from the first one to the last, it changes not a byte of
    the mosaic of the job that has taken over, whether that began anew or went on. In an object
    store, something may be left over in the group of the journal, where nobody looks."""
    best = 1 if mode == "w" else 2  # the mosaic of the other job; with "w", its red band is empty
    alone = stores[kind]()
    write(best, alone, "w-", zarr_format=zarr_format)
    want = content(alone)
    for number in itertools.count(1):
        store = stores[kind]()
        if mode == "w":
            write(0, store, "w-", zarr_format=3)  # so that clearing is among the steps

        def take_over(store: Store = store) -> None:
            overdue(lambda: write(best, store, mode, zarr_format=zarr_format))

        steps = Steps(number, take_over)
        pause.before = steps
        ended = ends(lambda store=store: write(2, store, "w", zarr_format=zarr_format))
        if ended and not steps.taken:
            break
        steps.wait()
        there = content(store)
        extra = {key for key in there if key not in want}
        assert {key: there[key] for key in want} == want, f"before step {number}"
        assert all(kind == "objects" and key.startswith("_qmosaic/") for key in extra), extra
    assert number > 15


def ends(job: Callable[[], None]) -> bool:
    """Tell whether a job ends well; the only other end is that its lock is gone."""
    try:
        job()
    except qm.StoreInUseError:
        return False
    return True


def test_what_cannot_be_prevented_is_said(
    stores: dict[str, Callable[[], Store]], pause: Pause, overdue: Callable[..., None]
) -> None:
    """Where a store can neither move nor write under conditions, the step that a job was stopped
    before is done when it wakes up, and no other; the error says so."""
    alone = stores["other"]()
    write(1, alone, "w-")
    want = content(alone)
    told = []
    for number in itertools.count(1):
        store = stores["other"]()

        def take_over(store: Store = store) -> None:
            overdue(lambda: write(1, store, "w"))

        steps = pause.before = Steps(number, take_over)
        try:
            write(2, store, "w")
        except qm.StoreInUseError as error:
            told.append(str(error))
        if not steps.taken:
            break
        steps.wait()
        there = content(store)
        changed = {key for key in {*there, *want} if there.get(key) != want.get(key)}
        assert len(changed) <= 1, f"before step {number}"
    assert len(told) > 10
    assert any("may have come after the takeover" in error for error in told)


@pytest.mark.parametrize("kind", ["folder", "objects", "other"])
def test_no_holder_is_no_permission(
    kind: str, stores: dict[str, Callable[[], Store]], overdue: Callable[..., None]
) -> None:
    """A task of a killed client that is still on a worker writes nothing when the next job has
    ended and let go of the store."""
    store = stores[kind]()
    with claimed(store, "killed") as fence:
        jobs, _ = prepared(mosaic_of(2), store, fence)
        overdue(lambda: write(1, store, "w"))
        want = content(store)
        assert locks(store, LOCKS) == {}
        graph, keys = jobs.batch([1])
        with pytest.raises(qm.StoreInUseError, match="its lock is gone"):
            dask.get(graph, keys)
    assert content(store) == want


@pytest.mark.parametrize("kind", ["folder", "objects", "other"])
def test_a_lock_that_is_gone_does_not_come_back(
    kind: str, stores: dict[str, Callable[[], Store]]
) -> None:
    """Neither a sign of life nor letting go touches a lock that is another job's, though it should
    have the same number."""
    store = stores[kind]()
    with claimed(store, "first") as first:
        other = replace(first, job="other", number=2)
        assert other.claim(document_of({"job": "other"}))
        other.revoke(1)
        assert not first.renew(document_of({"job": "first"}))
        assert not first.holds()
        other.leave()
        third = replace(first, job="third")
        assert third.claim(document_of({"job": "third"}))
        assert not first.renew(document_of({"job": "first"}))
        first.leave()
        assert third.holds()
        assert locks(store, LOCKS) == {1: {"job": "third"}}
        with pytest.raises(qm.StoreInUseError):
            sync(first.writer().set("red/c/0", buffer_of(b"x")))
        with pytest.raises(qm.StoreInUseError):
            sync(first.writer().delete("red/c/0"))
        third.leave()
    assert content(store) == {}


# -- several at once ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "objects", "other"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_of_two_that_take_over_at_once_one_writes(
    kind: str,
    when: str,
    stores: dict[str, Callable[[], Store]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both have seen that the holder is gone, and one is stopped just before, or just after, it
    makes its lock: one of the two goes on, the other is refused, and no third lock is left."""
    store = stores[kind]()
    with claimed(store, "gone") as gone:
        first, second = (Lock(store, LOCKS, name) for name in ("first", "second"))
        kinds = type(gone)
        claim = kinds.claim
        refused: list[str] = []

        def attempt() -> None:
            try:
                second.take()
            except qm.StoreInUseError:
                refused.append("second")

        def claiming(fence: Any, document: bytes) -> bool:
            if fence.name == "first" and when == "before":
                attempt()
            there = claim(fence, document)
            if fence.name == "first" and when == "after":
                attempt()
            return there

        monkeypatch.setattr(kinds, "claim", claiming)
        try:
            first.take()
        except qm.StoreInUseError:
            refused.append("first")
        assert refused == [{"before": "first", "after": "second"}[when]]
        holder = {"before": second, "after": first}[when]
        assert list(locks(store, LOCKS)) == [2]
        holder.fence.check()
        with pytest.raises(qm.StoreInUseError):
            gone.check()
        holder.release()
    assert content(store) == {}


@pytest.mark.parametrize("kind", ["folder", "objects", "other"])
def test_who_wakes_up_while_another_takes_over_keeps_the_store(
    kind: str, stores: dict[str, Callable[[], Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look that finds it gone and the end of it, a holder may give a sign of life."""
    store = stores[kind]()
    here = {"host": "elsewhere", "pid": 1}
    with claimed(store, "sleeper", beat=0.0, **here) as sleeper:
        claim = type(sleeper).claim

        def claiming(fence: Any, document: bytes) -> bool:
            there = claim(fence, document)
            if fence.name == "thief":
                assert sleeper.renew(document_of({"job": "sleeper", "beat": time.time()} | here))
            return there

        monkeypatch.setattr(type(sleeper), "claim", claiming)
        with pytest.raises(qm.StoreInUseError, match="elsewhere"):
            Lock(store, LOCKS, "thief").take()
        sleeper.check()
        assert list(locks(store, LOCKS)) == [1]


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[1]", b'{"attributes": 5}', b'{"attributes": {"job": "x"}}', b"\xff"]
)
@pytest.mark.parametrize("kind", ["folder", "objects", "other"])
def test_a_damaged_lock_holds_nothing(
    kind: str, junk: bytes, stores: dict[str, Callable[[], Store]]
) -> None:
    """What does not say whose it is, or since when, keeps nobody from writing for ever."""
    store = stores[kind]()
    sync(store.set(f"{LOCKS}/3/zarr.json", buffer_of(junk)))
    write(2, store, "w-")
    assert (qm.open_mosaic(store, mask_and_scale=False)["red"] == 2 * RAMP).all()
    assert locks(store, LOCKS) == {}


@pytest.mark.parametrize(
    "holder",
    [
        {"beat": "soon"},
        {"beat": 1e300},
        {"beat": float("nan")},
        {"beat": None},
        {"beat": True},
        {"host": socket.gethostname(), "pid": "many"},
        {"host": socket.gethostname(), "pid": -1},
        {"host": socket.gethostname(), "pid": 10**30},
    ],
)
def test_a_holder_that_cannot_be_is_gone(holder: dict[str, Any]) -> None:
    """Signs of life that no clock has given, and processes that no system has."""
    assert locking.is_gone(
        {"job": "x", "host": "elsewhere", "pid": 1, "beat": time.time()} | holder
    )


# -- the stores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "objects", "other"])
def test_a_fenced_store_is_the_store(kind: str, stores: dict[str, Callable[[], Store]]) -> None:
    """As long as the lock is there, it writes, lists and deletes as the store itself does."""
    store = stores[kind]()
    with claimed(store, "me") as fence:
        writer = pickle.loads(pickle.dumps(fence.writer())) if kind == "folder" else fence.writer()
        group = zarr.open_group(writer, mode="a", attributes={"a": 1})
        group.create_array("red", shape=(4,), chunks=(2,), dtype="uint8")[:] = 7
        group.create_array("nir", shape=(4,), chunks=(2,), dtype="uint8")[:] = 8
        group.create_array("red", shape=(2,), chunks=(1,), dtype="uint8", overwrite=True)[:] = 9
        del group["nir"]
        assert sync(names_in(writer, "_qmosaic")) == []  # locks are no part of the hierarchy
        sync(writer.set_if_not_exists("zarr.json", buffer_of(b"")))
    left = zarr.open_group(store, mode="r")
    assert left["red"][:].tolist() == [9, 9]
    assert dict(left.attrs) == {"a": 1}
    keys = ["red/c/0", "red/c/1", "red/zarr.json", "zarr.json"]
    assert list(content(store)) == keys
    if isinstance(store, LocalStore):
        assert sorted(p.name for p in store.root.iterdir()) == ["red", "zarr.json"]


async def names_in(store: Store, folder: str) -> list[str]:
    """List a folder."""
    return [name async for name in store.list_dir(folder)]


def test_object_stores_that_take_no_notice_of_conditions(tmp_path: Path) -> None:
    """One that cannot replace under conditions is treated as any other store."""
    obstore = pytest.importorskip("obstore", reason="obstore is in the extra [s3]")
    store = ObjectStore(obstore.store.LocalStore(tmp_path))
    assert not objects.keeps_conditions(store, "probe")
    write(2, store, "w-")
    assert (qm.open_mosaic(store, mask_and_scale=False)["red"] == 2 * RAMP).all()
    assert not [key for key in content(store) if "lock" in key or "probe" in key]


def test_a_band_on_another_disk(
    stores: dict[str, Callable[[], Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file cannot be moved into place, as it is another disk, it is written there."""
    move = folders._move

    def moving(source: Path, target: Path) -> None:
        if "red" in (source.parent.name, target.parent.name) and "lock" in f"{source}{target}":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        move(source, target)

    monkeypatch.setattr(folders, "_move", moving)
    store = stores["folder"]()
    for mode in ("w-", "w"):
        write(2, store, mode, zarr_format=2)
        assert (qm.open_mosaic(store, mask_and_scale=False)["red"] == 2 * RAMP).all()
    assert not [key for key in content(store) if "partial" in key]
