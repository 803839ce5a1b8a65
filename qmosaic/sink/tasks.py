"""The jobs of a mosaic as tasks of dask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask.array as da

from qmosaic.engine.graph import Jobs, Sight, make_jobs, survey
from qmosaic.sink.cutting import Group
from qmosaic.sink.scheduler import active_client
from qmosaic.sink.sending import check_graph
from qmosaic.sink.steps import Work
from qmosaic.sink.writing import Target, Transaction

BANDS_SHOWN = 4
"""The most bands that the name of a task tells."""


def make_tasks(
    work: Work, target: Target | Transaction, todo: Sequence[int], run: str
) -> list[tuple[Jobs, list[int]]]:
    """Prepare the jobs that are left, group by group: one may share work where others do not.

    Parameters
    ----------
    work : Work
        What is to be done.
    target : Target or Transaction
        Where to write.
    todo : sequence of int
        The jobs that are left.
    run : str
        Tells the tasks apart from those of other runs.

    Returns
    -------
    list of (Jobs, list of int)
        For each group of bands its jobs, and which of them are left.

    Raises
    ------
    ValueError
        Images are to be left out, and blocks share work.
    """
    request = work.request
    writer = work.writer(run, work.plan, target, request.retries, request.on_error)
    found = []
    for group, first in work.plan.numbered():
        numbers = [job for job in todo if first <= job < first + group.jobs]
        if not numbers:
            continue
        jobs = jobs_of(group, first, work.sight, writer, _name_in_dashboard(work, group), run)
        arrays = [work.layout.encoded.variables[v.name].data for v in group.variables]
        if request.on_error == "skip":
            check_skippable(jobs, arrays)
        found.append((jobs, numbers))
    return found


def jobs_of(group: Group, first: int, sight: Sight, work: Any, shown: str, run: str) -> Jobs:
    """Prepare the jobs of a group of bands; `first` is the number of the first."""
    return make_jobs(
        sight, group.spans(), lambda place: first + group.number(place), work, shown, run
    )


def check_skippable(jobs: Jobs, arrays: list[da.Array]) -> None:
    """Refuse to leave images out where blocks share work, and something is read for them.

    Raises
    ------
    ValueError
        They do.
    """
    if not jobs.self_contained and survey(arrays):
        raise ValueError(
            "on_error='skip' cannot leave an image out here: blocks of this mosaic share "
            "costly work (a function of whole chunks whose results are rechunked or looked at "
            "by their neighbours) or lie in memory (persisted data), which runs as ordinary "
            "tasks of dask. qmosaic.explain(mosaic) says more. Rechunk the collection before "
            "such a function, do not persist it, or use on_error='raise'."
        )


def check_skipping(work: Work) -> None:
    """Refuse to leave images out where that cannot be, before anything is touched.

    Raises
    ------
    ValueError
        Blocks share work.
    """
    if work.request.on_error == "skip":
        make_tasks(work, Transaction(b"", ""), range(work.plan.jobs), "check")


def check_repeatable(work: Work) -> None:
    """Refuse jobs that a cluster could not repeat: a task whose worker was lost is run again, and
    what it reads has changed by then, unless the job reads it itself.

    Raises
    ------
    ValueError
        What is behind the jobs are ordinary tasks.
    """
    if active_client() is None:
        return
    for jobs, _ in make_tasks(work, Transaction(b"", ""), range(work.plan.jobs), "check"):
        if not jobs.self_contained:
            raise ValueError(
                "the new images lie in memory (persisted, or made of arrays of numpy), or share "
                "costly work, so their chunks are ordinary tasks, and a cluster may run these "
                "again when blocks of the mosaic have changed already. Open the images from a "
                "store or from files, or update in this process: with "
                'dask.config.set(scheduler="threads"): qm.update(...).'
            )


def check_sending(work: Work) -> None:
    """Refuse what cannot be sent to the workers of a cluster, before anything is touched.

    The first job of each group of bands stands for all; `send` looks at each of them.

    Raises
    ------
    TypeError
        Something that the tasks use cannot be pickled.
    """
    if active_client() is None:
        return
    first = [number for _, number in work.plan.numbered()]
    for jobs, numbers in make_tasks(work, Transaction(b"", ""), first, "check"):
        graph, _ = jobs.batch(numbers)
        check_graph(graph)


def _name_in_dashboard(work: Work, group: Group) -> str:
    """Name what jobs write, for dask's displays: these show a key up to its first hyphen."""
    bands = [str(variable.name) for variable in group.variables if variable.stored]
    shown = ",".join(bands[:BANDS_SHOWN]) + (",…" if len(bands) > BANDS_SHOWN else "")
    folder = work.place.name.rstrip("/").rpartition("/")[2]
    return f"write {folder}: {shown}".replace("-", "_")
