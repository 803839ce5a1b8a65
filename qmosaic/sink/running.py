"""The fifth step: the jobs that are left are run, and progress is shown."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

from qmosaic.engine.chunk_checks import UnexpectedChunkError
from qmosaic.engine.reading import ChunkReadError
from qmosaic.sink.fencing import StoreInUseError
from qmosaic.sink.progress import Meter, display_for
from qmosaic.sink.steps import Opened, Work
from qmosaic.sink.store_group import Place
from qmosaic.sink.submitting import run_jobs
from qmosaic.sink.tasks import make_tasks
from qmosaic.sink.tracebacks import without_insides
from qmosaic.sink.writing import Outcome, Target, Transaction, stopped


def run(opened: Opened) -> list[str]:
    """Run the jobs that are left.

    Returns
    -------
    list of str
        The chunks that were left out, sorted.

    Raises
    ------
    RuntimeError
        Workers write somewhere else.
    """
    work = opened.work
    if opened.todo is None or opened.target is None:
        _say_that_it_is_complete(work)
        return []
    try:
        return sorted(_run(opened, opened.target, opened.todo))
    except (ChunkReadError, UnexpectedChunkError) as error:
        raise without_insides(error) from error.__cause__
    except StoreInUseError as error:
        if opened.fence is not None and opened.fence.holds():
            raise _not_shared(work.place) from error  # what a worker sees there is another store
        raise


def _say_that_it_is_complete(work: Work) -> None:
    blocks = work.plan.jobs
    meter = Meter(display_for(work.request.progress, blocks, blocks), blocks, blocks)
    told = f"the mosaic in {work.place.name!r} is complete already: nothing is left to do"
    meter.say(told, logging.INFO)
    meter.show()
    meter.close(finished=False)


def _run(opened: Opened, target: Target | Transaction, todo: Sequence[int]) -> set[str]:
    """Run jobs, and tell of every outcome."""
    work = opened.work
    total = work.plan.jobs
    name = uuid.uuid4().hex
    resumed = total - len(todo)
    meter = Meter(display_for(work.request.progress, total, resumed), total, resumed)

    def report(outcome: Outcome) -> None:
        if meter.progress.done == meter.progress.resumed:
            _check_visible(work.place, target, outcome)
        opened.hear(outcome)
        meter.add(outcome.read, outcome.written, outcome.skipped)

    finished = False
    try:
        for jobs, numbers in make_tasks(work, target, todo, name):
            run_jobs(jobs, numbers, report, lambda: stopped.add(name), meter.say)
        finished = True
    except KeyboardInterrupt as interruption:
        done = meter.progress.done
        raise KeyboardInterrupt(f"{done} of {total} blocks are there", *interruption.args) from None
    finally:
        stopped.add(name)
        meter.close(finished=finished)
    return meter.skipped


def _check_visible(place: Place, target: Target | Transaction, outcome: Outcome) -> None:
    """Notice workers that write somewhere else: to memory or a disk of their own."""
    if isinstance(target, Target) and not target.journal.marked(outcome.job):
        raise _not_shared(place)


def _not_shared(place: Place) -> RuntimeError:
    return RuntimeError(
        f"a worker has written a block, or wanted to, but not to {place.name!r} as seen from "
        "here: the store is in memory, or on a disk that the workers do not share. Write to "
        "a folder that all of them see, or to an object store."
    )
