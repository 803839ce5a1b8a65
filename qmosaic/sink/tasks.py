"""The jobs of a mosaic as tasks of dask."""

from __future__ import annotations

from collections.abc import Sequence

import dask.array as da

from qmosaic.engine.graph import Jobs, make_jobs, survey
from qmosaic.sink.cutting import Group
from qmosaic.sink.scheduler import active_client
from qmosaic.sink.sending import check_graph
from qmosaic.sink.steps import Work
from qmosaic.sink.writing import Target, Transaction, Writer

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
    writer = Writer(run, work.plan, target, request.retries, request.on_error)
    found = []
    for group, first in work.plan.numbered():
        numbers = [job for job in todo if first <= job < first + group.jobs]
        if not numbers:
            continue
        variables = work.layout.encoded.variables
        arrays = [(variables[name].data, axes) for name, axes in group.whole_axes().items()]
        jobs = make_jobs(arrays, writer, numbers, _name_in_dashboard(work, group), run)
        if request.on_error == "skip" and _shares_reads(jobs, [array for array, _ in arrays]):
            raise ValueError(
                "on_error='skip' cannot leave an image out here: blocks of this mosaic share "
                "costly work (a rechunk, an overlap, persisted data, a cut that does not begin at "
                "a chunk border), which runs as ordinary tasks of dask. Open the collection in "
                "chunks that need no rechunk, cut it at chunk borders or cut the mosaic instead, "
                "or use on_error='raise'."
            )
        found.append((jobs, numbers))
    return found


def _shares_reads(jobs: Jobs, arrays: list[da.Array]) -> bool:
    """Whether blocks share work, and something is read for them."""
    return not jobs.self_contained and bool(survey(arrays))


def check_skipping(work: Work) -> None:
    """Refuse to leave images out where that cannot be, before anything is touched.

    Raises
    ------
    ValueError
        Blocks share work.
    """
    if work.request.on_error == "skip":
        make_tasks(work, Transaction(b"", ""), range(work.plan.jobs), "check")


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
    bands = [str(variable.name) for variable in group.variables]
    shown = ",".join(bands[:BANDS_SHOWN]) + (",…" if len(bands) > BANDS_SHOWN else "")
    folder = work.place.name.rstrip("/").rpartition("/")[2]
    return f"write {folder}: {shown}".replace("-", "_")
