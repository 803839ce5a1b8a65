"""What dask looks for a client of dask.distributed for, without importing it where none can be.

dask imports distributed (a fifth of a second, ten megabytes) to ask whether there is a client. Who
has made a client has imported distributed; so has every worker of a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import dask.threaded
from dask.base import get_scheduler, named_schedulers


def may_have_client() -> bool:
    """Tell whether there can be a client of dask.distributed in this process."""
    return "distributed" in sys.modules


def active_scheduler() -> Callable[..., Any] | None:
    """Find what ``dask.base.get_scheduler()`` finds: the function that runs a graph.

    Returns
    -------
    callable, optional
        None where nothing is set and no client is there: each kind of data has its own scheduler.

    Raises
    ------
    ValueError, RuntimeError
        As dask does: there is no scheduler of the name that is set, or no client for it.
    """
    given = dask.config.get("scheduler", None)
    if not may_have_client():
        if isinstance(given, str) and given.lower() in named_schedulers:
            scheduler: Callable[..., Any] = named_schedulers[given.lower()]
            return scheduler
        if not given and not dask.config.get("get", None):
            return None
    found: Callable[..., Any] | None = get_scheduler()
    return found


def compute(*arrays: Any) -> tuple[Any, ...]:
    """Compute as ``dask.compute(*arrays)``: what is made of arrays of dask, on any scheduler."""
    found: tuple[Any, ...] = dask.compute(
        *arrays, scheduler=active_scheduler() or dask.threaded.get
    )
    return found


def rechunk(array: da.Array, chunks: Any) -> da.Array:
    """Rechunk as ``array.rechunk(chunks)``, which asks for a client before it chooses a method."""
    chosen = may_have_client() or dask.config.get("array.rechunk.method", None)
    return array.rechunk(chunks, method=None if chosen else "tasks")
