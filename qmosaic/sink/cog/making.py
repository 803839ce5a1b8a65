"""Blocks are made on the scheduler, and come to this process one by one, which writes them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import xarray as xr

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError
from qmosaic.engine.graph import Jobs, Sight
from qmosaic.engine.reading import ChunkReadError
from qmosaic.sink.cutting import BLOCK_BYTES, Group, Plan, Window, make_plan
from qmosaic.sink.layout import choose_blocks
from qmosaic.sink.progress import Meter, display_for
from qmosaic.sink.steps import OnError, Tell
from qmosaic.sink.submitting import run_jobs
from qmosaic.sink.tasks import BANDS_SHOWN, check_skippable, jobs_of
from qmosaic.sink.tracebacks import without_insides
from qmosaic.sink.writing import Outcome, Transaction, Writer, accept_window, held_alone, stopped

UNDER_WAY = 2**28
"""The most bytes of blocks that a cluster works on or holds at a time; at least two blocks."""

LEFT = "Nothing of the file is left: call to_cog() again."
"""What errors about workers say of what was made so far."""

Part = tuple[Any, Window, Array]
"""The name of a variable, a window of it, and its values there."""


@dataclass(frozen=True)
class Maker(Writer):
    """What every job does: it makes its box of the map, and gives it to who asked."""

    def __call__(self, job: int, parts: Callable[..., Iterator[Array]]) -> Outcome:
        self._check_wanted(job)
        made: list[Part] = []
        found = self._make(job, parts, partial(self._collect, job, made))
        return Outcome(job, found.read, found.written, found.skipped, made)

    def _collect(self, job: int, made: list[Part], parts: Iterator[Array]) -> int:
        made.clear()  # it may be made for the second time
        for variable, window in self.plan.windows(job):
            values = held_alone(accept_window(variable, window, next(parts)))
            self._check_wanted(job)
            made.append((variable.name, window, values))
        return sum(values.nbytes for _, _, values in made)


def make_all(
    dataset: xr.Dataset,
    write: Callable[[list[Part]], None],
    *,
    shown: str,
    retries: int,
    on_error: OnError,
    progress: Tell,
) -> list[str]:
    """Compute lazy variables block by block.

    Parameters
    ----------
    dataset : xarray.Dataset
        The variables.
    write : callable
        Gets the parts of each block, in one thread at a time; they are taken out of the list.
    shown : str
        What dask's displays call it.
    retries, on_error, progress
        As `qmosaic.to_zarr` takes them.

    Returns
    -------
    list of str
        The chunks that were left out, sorted.
    """
    run = uuid.uuid4().hex
    sight = Sight([v.data for v in dataset.variables.values()])
    units = {n: tuple(sizes.values()) for n, sizes in choose_blocks(dataset, BLOCK_BYTES).items()}
    plan = make_plan(dataset, units, sight, BLOCK_BYTES)
    writer = Maker(run, plan, Transaction(b"", ""), retries, on_error)
    meter = Meter(display_for(progress, plan.jobs, 0), plan.jobs, 0)

    def report(outcome: Outcome) -> None:
        write(outcome.changes)
        meter.add(outcome.read, outcome.written, outcome.skipped)

    finished = False
    try:
        for jobs, numbers, together in _tasks(dataset, plan, sight, writer, shown):
            run_jobs(jobs, numbers, report, lambda: stopped.add(run), meter.say, together, LEFT)
        finished = True
    except (ChunkReadError, UnexpectedChunkError) as error:
        raise without_insides(error) from error.__cause__
    finally:
        stopped.add(run)
        meter.close(finished=finished)
    return sorted(meter.skipped)


def _tasks(
    dataset: xr.Dataset, plan: Plan, sight: Sight, writer: Maker, shown: str
) -> list[tuple[Jobs, list[int], int]]:
    """Prepare the jobs, group by group; with each goes how many are under way at a time."""
    found = []
    for group, first in plan.numbered():
        name = f"write {shown}: {_bands_shown(group)}".replace("-", "_")
        jobs = jobs_of(group, first, sight, writer, name, writer.run)
        arrays = [dataset.variables[v.name].data for v in group.variables]
        if writer.on_error == "skip":
            check_skippable(jobs, arrays)
        numbers = list(range(first, first + group.jobs))
        found.append((jobs, numbers, max(2, UNDER_WAY // max(1, group.bytes))))
    return found


def _bands_shown(group: Group) -> str:
    names = [str(variable.name) for variable in group.variables]
    return ",".join(names[:BANDS_SHOWN]) + (",…" if len(names) > BANDS_SHOWN else "")


def by_place(parts: list[Part]) -> list[Mapping[Any, Array]]:
    """Put the parts of a block that lie at the same place together."""
    found: dict[Window, dict[Any, Array]] = {}
    for name, window, values in parts:
        found.setdefault(window[-2:], {})[name] = values
    return list(found.values())
