"""The fourth step: the store is checked, locked and laid out, and its journal is opened."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import zarr

from qmosaic.sink.fencing import Fence, StoreInUseError
from qmosaic.sink.identity import check_format, differences
from qmosaic.sink.journal import DamagedJournalError
from qmosaic.sink.overwriting import check_clearable, check_told
from qmosaic.sink.progress import logger
from qmosaic.sink.scheduler import check_workers
from qmosaic.sink.steps import Opened, Work
from qmosaic.sink.store_group import Place
from qmosaic.sink.tasks import check_sending, check_skipping
from qmosaic.sink.template import (
    INCOMPLETE,
    Rehearsed,
    arrays_changed,
    documents,
    group_of,
    put_template,
    rehearse,
    write_template,
)
from qmosaic.sink.writing import Outcome, Target, Transaction, explaining_full_disks, writers_of

NOTHING_YET = "nothing was computed yet"
"""What an interruption says that comes before the first block."""


def check_what_is_there(work: Work) -> Rehearsed:
    """Refuse what cannot be written to its place, before anything there is touched.

    Returns
    -------
    dict or None
        What is to be put into the store to lay it out, where that is known by now.

    Raises
    ------
    FileExistsError, ValueError
        Something is there that must not be replaced, or that cannot be gone on with.
    TypeError
        Something that the tasks use cannot be sent to the workers of a cluster.
    UnfitWorkerError
        The workers cannot run the tasks.
    """
    place, mode = work.place, work.request.mode
    if place.session is not None:
        _check_session(work)
        check_sending(work)
        check_workers(logger.warning)
        return None
    if mode == "w-":
        _refuse_existing(place)
    state = _refuse_others(work) if mode == "resume" else None
    rehearsed = None
    if state is None:
        check_clearable(place)
        rehearsed = rehearse(work)
    if mode == "w":
        check_told(place, work.web, work.layout.dataset.variables)
    check_skipping(work)
    if state is None or state["state"] != "complete":
        check_sending(work)
        check_workers(logger.warning)
    return rehearsed


@contextlib.contextmanager
def open_journal(work: Work, rehearsed: Rehearsed) -> Iterator[Opened]:
    """Have a store to write, within the block, as the only one who does.

    Parameters
    ----------
    work : Work
        What is to be done.
    rehearsed : dict or None
        What `check_what_is_there` gives.

    Raises
    ------
    StoreInUseError
        Another job is writing there, or has taken the store over.
    """
    begin_here = partial(begin, work, rehearsed=rehearsed)
    with hold(work, begin_here, partial(_begin_in_session, work)) as opened:
        yield opened


@contextlib.contextmanager
def hold(
    work: Work,
    begin_here: Callable[[Fence, Callable[[Outcome], Any]], Opened],
    begin_in_session: Callable[[], Opened],
) -> Iterator[Opened]:
    """Have a store to write, within the block, as the only one who does.

    Parameters
    ----------
    work : Work
        What is to be done.
    begin_here : callable
        Prepares a store for the one who holds its lock.
    begin_in_session : callable
        Prepares a session of Icechunk.

    Raises
    ------
    StoreInUseError
        Another job is writing there, or has taken the store over.
    """
    if work.place.session is not None:
        with _interrupted_before():
            opened = begin_in_session()
        yield opened
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(explaining_full_disks(work.place.name))
        with _interrupted_before():
            lock = stack.enter_context(work.journal().lock())
            stack.enter_context(_explaining_takeovers(lock.fence))
            opened = begin_here(lock.fence, lambda outcome: lock.check())
        yield opened


@contextlib.contextmanager
def _interrupted_before() -> Iterator[None]:
    """Say that no block was begun yet, where an interruption comes within the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(NOTHING_YET) from None


@contextlib.contextmanager
def _explaining_takeovers(fence: Fence) -> Iterator[None]:
    """Say what is behind an error that comes as another job has changed the store meanwhile."""
    try:
        yield
    except StoreInUseError:
        raise
    except Exception as error:
        held = True
        with contextlib.suppress(Exception):  # a store that does not answer tells nothing
            held = fence.holds()
        if held:
            raise
        raise fence.lost() from error


def begin(
    work: Work, fence: Fence, hear: Callable[[Outcome], Any], rehearsed: Rehearsed = None
) -> Opened:
    """Lay out the store, or check what is there, as the one who holds its lock."""
    store = fence.writer()
    todo = _find_todo(work, store, rehearsed)
    if todo is None:
        return Opened(work, store, None, None, hear, {}, fence)
    chunk_store, path = fence.chunk_writer(), work.place.arrays
    writers = writers_of(chunk_store, path, work.plan, every_chunk=fence.every_chunk)
    target = Target(writers, work.journal(store).of_layout(), fence)
    return Opened(work, store, todo, target, hear, documents(work), fence)


def _find_todo(work: Work, store: Any, rehearsed: Rehearsed) -> list[int] | None:
    """Lay out the store, or check what is there.

    Returns
    -------
    list of int or None
        The jobs that are left; None where the mosaic is complete.
    """
    place, journal, blocks = work.place, work.journal(store), work.plan.jobs
    if work.request.mode == "w-":
        _refuse_existing(place)  # again: somebody may have been faster before the lock was taken
    state = _refuse_others(work) if work.request.mode == "resume" else None
    if state is not None and state["state"] == "complete":
        journal.finish()  # the last run may have ended in the middle of that
        return None
    if state is not None:
        _check_arrays(work, store)
        place.sweep()
        done = journal.done()
        journal.of_layout().forget_notes(done)
        return [job for job in range(blocks) if job not in done]
    # What is written first makes the store known as one whose writing was interrupted, and what
    # is written last makes marks count: from any point in between it is begun again.
    journal.begin(blocks, work.identity)
    journal.clear()
    put_template(work, store, rehearsed)
    journal.settle_layout()
    return list(range(blocks))


# -- what is there already ------------------------------------------------------------------------


def _refuse_existing(place: Place) -> None:
    found = place.zarr_format()
    if found is None:
        return
    journal = place.journal(found)
    unfinished, state = "", None
    with contextlib.suppress(DamagedJournalError):
        state = journal.read()
    if state is not None and state.get("state") == "writing":
        unfinished = (
            " Another job is writing it at this moment."
            if journal.is_held()
            else " What is there is a mosaic whose update was interrupted: qmosaic.update() goes "
            "on with it."
            if "update" in state
            else " What is there is a mosaic whose writing was interrupted: mode='resume' goes on "
            "with it."
        )
    raise FileExistsError(
        f"the store {place.name!r} exists already and mode='w-' does not replace anything. Write "
        f"to another one, or pass mode='w' to replace it.{unfinished}"
    )


def _refuse_others(work: Work) -> dict[str, Any] | None:
    """Refuse to go on with anything but the very mosaic; give the state of the store.

    None where there is nothing to go on with: where no run has got so far as to write a block, or
    where nothing tells any more which blocks are there.
    """
    place = work.place
    journal = place.journal(place.format_there() or work.request.zarr_format)
    state = journal.read()
    if state is None:
        if place.zarr_format() is not None and _has_bands(work):
            raise ValueError(
                f"the store {place.name!r} was not written by qmosaic.to_zarr, so nothing says "
                "what of it is complete, and mode='resume' cannot go on with it. Write to another "
                "one, or pass mode='w' to replace it."
            )
        return None
    check_format(state, place.name)
    if state["state"] == "writing" and "update" in state:
        raise ValueError(
            f"the store {place.name!r} holds a complete mosaic that is being updated, or whose "
            "update was interrupted, so mode='resume' has nothing to go on with. Call "
            "qmosaic.update() again with the same images, or pass mode='w' to replace it."
        )
    if state["state"] == "writing" and not journal.laid_out():
        return None
    found = differences(state["plan"], work.identity)
    if found:
        raise ValueError(
            f"the store {place.name!r} holds another mosaic, so mode='resume' cannot go on "
            f"with it: {'; '.join(found)}. Give the mosaic that was begun (inputs=... names "
            "inputs that are called otherwise from run to run), write to another store, or pass "
            "mode='w' to replace it."
        )
    return state


def _has_bands(work: Work) -> bool:
    """Whether there is more than a run of ours whose journal somebody has removed."""
    return INCOMPLETE not in group_of(work, work.place.store).attrs


def _check_arrays(work: Work, store: Any) -> None:
    """Make sure that the arrays that are gone on with are those of the mosaic."""
    group = group_of(work, store)
    for variable in (v for g in work.plan.groups for v in g.variables):
        found: Any = group.get(str(variable.name))
        wanted = work.layout.encoding[variable.name]
        same = (
            isinstance(found, zarr.Array)
            and found.shape == variable.shape
            and found.chunks == tuple(wanted["chunks"])
            and found.shards == (tuple(wanted["shards"]) if wanted.get("shards") else None)
        )
        if not same:
            raise arrays_changed(work, [str(variable.name)])


# -- in a session of Icechunk ---------------------------------------------------------------------


def _check_session(work: Work) -> None:
    """Refuse what a session of Icechunk cannot do."""
    place, mode = work.place, work.request.mode
    if mode == "resume":
        raise ValueError(
            "mode='resume' has nothing to go on with in a session of Icechunk: what an "
            "interrupted run has written was never committed. Write with mode='w-' or 'w' in a new "
            "session."
        )
    if mode == "w-":
        _refuse_existing(place)
    check_committed(place)


def check_committed(place: Place) -> None:
    """Refuse a session that cannot be forked."""
    if place.session.has_uncommitted_changes:
        raise ValueError(
            "the session of Icechunk has changes that are not committed, so it cannot be forked "
            "for the workers. Commit them first, and write in a new session."
        )


def _begin_in_session(work: Work) -> Opened:
    """Lay out the store in a fork of the session, which takes up what workers write in theirs."""
    place = work.place
    fork = place.session.fork()
    journal = work.journal(fork.store)
    # Icechunk lists no group that is not there
    if work.request.mode == "w" and place.zarr_format() is not None:
        journal.clear()
    write_template(work.layout, work.request, fork.store)
    journal.begin(work.plan.jobs, work.identity)
    journal.finish()  # nobody sees it before the session is committed, and then it is true
    target = Transaction(pickle.dumps(fork), place.arrays)

    def take_up(outcome: Outcome) -> None:
        fork.merge(outcome.changes)

    return Opened(work, fork.store, list(range(work.plan.jobs)), target, take_up, {}, fork=fork)
