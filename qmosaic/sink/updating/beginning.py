"""The store is locked, and prepared for the first block."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from qmosaic.engine.continuing import Continuation
from qmosaic.sink.fencing import Fence, put
from qmosaic.sink.identity import differences
from qmosaic.sink.steps import Layout, Opened, Work
from qmosaic.sink.template import documents, group_of, write_template
from qmosaic.sink.updating.past import Stored
from qmosaic.sink.writing import Outcome, Target, Transaction, writers_of


@dataclass(frozen=True)
class Update:
    """An update that is about to begin, or to go on.

    Attributes
    ----------
    stored : Stored
        The mosaic in its store.
    continuation : Continuation
        The new images.
    layout : Layout
        The mosaic of all images, as it lies in the store.
    work : Work
        What is to be done.
    times : list of str
        Those of the new images.
    """

    stored: Stored
    continuation: Continuation
    layout: Layout
    work: Work
    times: list[str]

    def jobs(self) -> list[int]:
        """Number the jobs in whose boxes there are new images."""
        touched = np.array(self.continuation.touched())
        found: list[int] = []
        for group, first in self.work.plan.numbered():
            for job in range(group.jobs):
                box = group.place(job)
                part = (
                    box.get(self.continuation.dim, slice(None)) if self.by_period else slice(None)
                )
                if touched[part].any():
                    found.append(first + job)
        return found

    @property
    def by_period(self) -> bool:
        """Whether there are mosaics of several periods."""
        return self.continuation.starts is not None

    def said(self) -> dict[str, Any]:
        """Give what the journal keeps of it."""
        stored = self.stored
        blocks = stored.begun["blocks"] if stored.begun else stored.state["blocks"]
        plan = self.work.identity
        return {"plan": plan, "before": stored.before, "times": self.times, "blocks": blocks}


def check_same(update: Update) -> None:
    """Refuse another update than the one that was begun.

    Raises
    ------
    ValueError
        It is another one.
    """
    begun, place = update.stored.begun, update.stored.place
    if begun is None:
        return
    found = differences(begun["plan"], update.work.identity)
    if found:
        raise ValueError(
            f"another update of {place.name!r} was begun and is not complete, and this one cannot "
            f"go on with it: {'; '.join(found)}. Call update() with the images of that one first "
            "(inputs=... names inputs that are called otherwise from run to run), then with these."
        )


def begin(update: Update, fence: Fence, hear: Callable[[Outcome], Any]) -> Opened:
    """Prepare the store, or what an interrupted run has left there, as the one who holds its
    lock."""
    work, store = update.work, fence.writer()
    journal = work.journal(store)
    if journal.read() != update.stored.state:
        raise RuntimeError(
            f"the mosaic in {work.place.name!r} was changed by another job while this update was "
            "prepared. Nothing was written by this one: call update() again."
        )
    if update.stored.begun is None or not journal.laid_out():
        journal.begin_update(work.plan.jobs, update.said())
        lengthen(update, store)
        journal = journal.settle_layout()
        done: set[int] = set()
    else:
        work.place.sweep()
        journal, done = journal.of_layout(), journal.done()
        journal.forget_notes(done)
        for job in sorted(journal.changed() - done):
            journal.bring_back(job)
    todo = [job for job in update.jobs() if job not in done]
    chunk_store, path = fence.chunk_writer(), work.place.arrays
    writers = writers_of(chunk_store, path, work.plan, every_chunk=fence.every_chunk)
    target = Target(writers, journal, fence)
    return Opened(work, store, todo, target, hear, documents(work), fence)


def begin_in_session(update: Update, fork: Any) -> Opened:
    """Prepare a fork of a session, which takes up what workers write in theirs."""
    work = update.work
    lengthen(update, fork.store)
    target = Transaction(pickle.dumps(fork), work.place.arrays)

    def take_up(outcome: Outcome) -> None:
        fork.merge(outcome.changes)

    return Opened(work, fork.store, update.jobs(), target, take_up, {}, fork=fork)


def lengthen(update: Update, store: Any) -> None:
    """Make room for further periods, and say which they are; again and again, if need be."""
    if not update.by_period:
        return
    work, dim = update.work, update.continuation.dim
    group = group_of(work, store)
    files: dict[str, Buffer] = {}
    write_template(update.layout, work.request, MemoryStore(files))
    for name, variable in update.layout.dataset.variables.items():
        if dim not in variable.dims:
            continue
        if variable.chunks is None:  # times are in other units, perhaps
            folder = f"{work.place.arrays}/{name}/".lstrip("/")
            for key in (key for key in files if key.startswith(folder)):
                put(store, key, files[key])
            continue
        array: Any = group[str(name)]
        if array.shape != variable.shape:
            array.resize(variable.shape)
