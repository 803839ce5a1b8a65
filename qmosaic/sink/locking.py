"""Who writes a store: a lock with a sign of life, taken over from a writer that is gone.

Locks are numbered, each one above all that are there, and made only where there is none of that
number: of several jobs that take over the lock of one that is gone, one gets the next number. What
a job may do that has lost its lock says `qmosaic.sink.fencing`: nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from zarr.abc.store import Store

from qmosaic.sink.fencing import Fence, StoreInUseError, document_of, fence_for, locks

BEAT = 10.0
"""Seconds between two signs of life of a writer."""

LEASE = 60.0
"""Seconds without a sign of life after which a writer counts as gone."""

FUTURE = 86400.0
"""Seconds by which a sign of life may lie in the future; beyond that it is no clock's."""

HURRY = 5.0
"""Seconds that letting go of a store may take where a person has interrupted the job: the store may
be what hangs."""

ROUNDS = 5
"""How often a job tries to get a lock that others try to get at the same time."""


def holder_of(store: Store, folder: str) -> dict[str, Any] | None:
    """Say who holds the lock; None where nobody does.

    Parameters
    ----------
    store : zarr Store
        The store.
    folder : str
        Where its locks are, as a key.
    """
    found = locks(store, folder)
    return found[max(found)] if found else None


def is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether a writer has shown no sign of life, or its process on this machine has ended.

    Of a lock whose document is damaged nobody can tell: its writer, if there is one, would stop.
    """
    beat, pid = holder.get("beat"), holder.get("pid")
    if not isinstance(beat, int | float) or not -FUTURE < time.time() - beat <= LEASE:
        return True
    if holder.get("host") != socket.gethostname():
        return False
    if not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except (ProcessLookupError, OverflowError):
        return True
    return False


def in_use(name: str, holder: Mapping[str, Any]) -> StoreInUseError:
    """Say who writes a store."""
    age = max(0.0, time.time() - holder.get("beat", time.time()))
    return StoreInUseError(
        f"another job is writing {name!r}: process {holder.get('pid')} on "
        f"{holder.get('host')!r}, last sign of life {age:.0f} s ago. Two writers would spoil each "
        "other's blocks. Wait until it has finished, or write to another store; if that job is "
        f"gone, its hold on the store ends {LEASE:.0f} s after its last sign of life: then go on "
        "with mode='resume'."
    )


@contextlib.contextmanager
def locked(store: Store, folder: str, name: str) -> Iterator[Lock]:
    """Be the only one who writes, within the block.

    Parameters
    ----------
    store : zarr Store
        The store.
    folder : str
        Where its locks are, as a key.
    name : str
        What to call the store in errors.

    Raises
    ------
    StoreInUseError
        Somebody else is writing.
    """
    lock = Lock(store, folder, name)
    lock.take()
    try:
        yield lock
    except KeyboardInterrupt:
        with contextlib.suppress(TimeoutError):  # then the hold ends with the signs of life
            lock.release(HURRY)
        raise
    except BaseException:
        lock.release()
        raise
    lock.release()


class Lock:
    """The right to write a store, with a sign of life every few seconds.

    Attributes
    ----------
    fence : Fence
        What keeps all others from writing.
    lost : bool
        Whether another job has taken the store over, as far as the last sign of life knows.
    """

    fence: Fence

    def __init__(self, store: Store, folder: str, name: str) -> None:
        self._store, self._folder, self._name = store, folder, name
        self._job = uuid.uuid4().hex
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="qmosaic-lock")
        self.lost = False

    def take(self) -> None:
        """Take the lock, from a writer that is gone if need be."""
        for _ in range(ROUNDS):
            found = self._refuse_living()
            self.fence = replace(
                fence_for(self._store, self._folder, self._name, self._job),
                number=max(found, default=0) + 1,
            )
            try:
                if self._settle():
                    self._thread.start()
                    return
            except BaseException:
                self.fence.leave()
                raise
            time.sleep(random.uniform(0, 0.1))  # two that try at once do not try so again
        raise in_use(self._name, holder_of(self._store, self._folder) or {})

    def _settle(self) -> bool:
        """Make the lock, and look again: who is there by then has come first."""
        if not self.fence.claim(self._document()):
            return False
        others = {n: d for n, d in self._locks().items() if n != self.fence.number}
        if not all(is_gone(holder) for holder in others.values()):
            self.fence.leave()
            return False
        for number in others:
            self.fence.revoke(number)
        self.fence.tidy()
        return self.fence.holds()

    def _locks(self) -> dict[int, dict[str, Any]]:
        return locks(self._store, self._folder)

    def _refuse_living(self) -> dict[int, dict[str, Any]]:
        found = self._locks()
        for holder in found.values():
            if not is_gone(holder):
                raise in_use(self._name, holder)
        return found

    def check(self) -> None:
        """Make sure that nobody else has taken the store over, as far as the last beat knows.

        Raises
        ------
        StoreInUseError
            Somebody has.
        """
        if self.lost:
            raise self.fence.lost()

    def release(self, patience: float | None = None) -> None:
        """Let others write; with `patience`, give up after so many seconds.

        Raises
        ------
        TimeoutError
            The store does not answer.
        """
        self._over.set()
        if patience is None:
            self._let_go()
            return
        going = threading.Thread(target=self._let_go, daemon=True, name="qmosaic-unlock")
        going.start()
        going.join(patience)
        if going.is_alive():
            raise TimeoutError(f"{self._name!r} does not answer")

    def _let_go(self) -> None:
        self._thread.join()
        self.fence.leave()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self.lost = not self.fence.renew(self._document())
            except Exception:  # a store that fails now may answer at the next beat
                continue
            if self.lost:
                return

    def _document(self) -> bytes:
        who = {"job": self._job, "host": socket.gethostname(), "pid": os.getpid()}
        return document_of(who | {"beat": time.time()})
