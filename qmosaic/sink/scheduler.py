"""The active scheduler: whether its workers can run tasks of qmosaic, and how many there are."""

from __future__ import annotations

from typing import Any

import dask
import dask.threaded
from dask.system import CPU_COUNT

from qmosaic.engine.scheduling import active_scheduler
from qmosaic.sink.watching import Say, Watch, check_versions, looking, own_versions, probe

TRIES = 3
"""How often a worker is asked what it has before the first block; one that has just come, or is
about to go, may not answer. Later it is asked again now and then."""


def active_client() -> Any:
    """Give the client of dask.distributed, where that is the active scheduler."""
    client = getattr(active_scheduler(), "__self__", None)
    return client if hasattr(client, "scheduler_info") else None


def check_workers(say: Say) -> None:
    """Make sure that the workers of a cluster can run tasks of qmosaic; wait for the first one.

    Parameters
    ----------
    say : callable
        Gets a sentence where there is no worker, or where versions differ.

    Raises
    ------
    UnfitWorkerError
        A worker lacks something, or has another version of qmosaic.
    """
    client = active_client()
    if client is None:
        return
    if not client.nthreads():
        watch = Watch(say)
        with looking(lambda: watch.look(client.nthreads())):
            client.submit(int, pure=False).result()  # a cluster that adapts grows for a task
    found: dict[str, Any] = {}
    for _ in range(TRIES):
        if silent := set(client.nthreads()) - set(found):
            found |= probe(client, silent)
    check_versions(found, own_versions(), say)


def capacity() -> tuple[int, int]:
    """Count what the active scheduler works with: workers, and the threads of the largest one.

    Returns
    -------
    (int, int)
        (0, 0) for a cluster that has no worker at the moment.
    """
    client = active_client()
    if client is not None:
        threads = client.nthreads().values()
        return len(threads), max(threads, default=0)
    scheduler = active_scheduler() or dask.threaded.get
    pool = dask.config.get("pool", None)
    count = getattr(pool, "_max_workers", None) or dask.config.get("num_workers", None) or CPU_COUNT
    if scheduler is dask.threaded.get:
        return 1, int(count)
    if scheduler is dask.get:
        return 1, 1
    return int(count), 1  # processes
