"""The scheduler that a command runs on: threads, worker processes here, or a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import click
import dask
from dask.system import CPU_COUNT

from qmosaic.cli.reporting import say

QUIET = '{"distributed.worker.state_machine": "error"}'
"""Workers that are closed warn of each task that they have not done; that a job was interrupted is
said anyway."""


def environment() -> dict[str, Any]:
    """Give the environment of worker processes: without dask's MALLOC_TRIM_THRESHOLD_, with which
    jobs take longer (see the notes of `qmosaic.to_zarr`)."""
    told = os.environ.get("DASK_LOGGING", QUIET)
    return {"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "DASK_LOGGING": told}}


@contextlib.contextmanager
def scheduler(context: click.Context) -> Iterator[None]:
    """Run what follows on what the options ``--scheduler``, ``--workers``, ``--memory`` and
    ``--threads`` say; close it in the end."""
    chosen = where(context)
    if chosen["scheduler"]:
        with _cluster_at(chosen["scheduler"]):
            yield
    elif chosen["workers"]:
        with _workers_here(chosen["workers"], chosen["memory"], chosen["threads"]):
            yield
    elif chosen["threads"]:
        with dask.config.set(scheduler="threads", num_workers=chosen["threads"]):
            yield
    else:
        yield


@contextlib.contextmanager
def expected(context: click.Context) -> Iterator[tuple[int, int] | None]:
    """Look at a scheduler that is there; of workers that would have to be started, give how many
    there would be, and with how many threads each."""
    chosen = where(context)
    if chosen["workers"]:
        threads = chosen["threads"] or max(1, CPU_COUNT // chosen["workers"])
        yield chosen["workers"], threads
    else:
        with scheduler(context):
            yield None


def where(context: click.Context) -> dict[str, Any]:
    """Give the four options; what stands on the command line wins over what a job says.

    Raises
    ------
    click.UsageError
        They do not go together.
    """
    names = ("scheduler", "workers", "memory", "threads")
    chosen = {name: context.params.get(name) for name in names}
    typed = {name for name in names if _is_typed(context, name)}
    if chosen["scheduler"] and chosen["workers"]:
        if {"scheduler", "workers"} <= typed or not typed & {"scheduler", "workers"}:
            raise click.UsageError(
                "--scheduler connects to a cluster that is there, --workers starts one here: give "
                "one of them.",
                context,
            )
        if "scheduler" in typed:
            chosen |= {"workers": None, "memory": None, "threads": None}
        else:
            chosen["scheduler"] = None
    _check(context, chosen)
    return chosen


def _check(context: click.Context, chosen: Mapping[str, Any]) -> None:
    if chosen["memory"] and not chosen["workers"]:
        raise click.UsageError(
            "--memory is that of a worker process, and there is none. Give --workers, too.", context
        )
    if chosen["threads"] and chosen["scheduler"]:
        raise click.UsageError(
            "--threads is for this machine; the threads of a cluster are those of its workers. "
            "Leave it out.",
            context,
        )


def _is_typed(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _distributed() -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "--scheduler and --workers need the package 'distributed', which is not installed. "
            'Write, in the checkout of qmosaic: pip install ".[distributed]"'
        ) from error
    return distributed


@contextlib.contextmanager
def _cluster_at(address: str) -> Iterator[None]:
    distributed = _distributed()
    try:
        client = distributed.Client(address)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"no scheduler answers at {address!r}: {' '.join(str(error).split())}. Check the "
            "address that `dask scheduler` has printed."
        ) from error
    with client:
        yield


@contextlib.contextmanager
def _workers_here(workers: int, memory: str | None, threads: int | None) -> Iterator[None]:
    distributed = _distributed()
    with (
        dask.config.set(environment()),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            memory_limit=memory or "auto",
            dashboard_address=":0",
        ) as cluster,
        distributed.Client(cluster),
        _quiet_after_ctrl_c(),
    ):
        say(f"dashboard   {cluster.dashboard_link}")
        yield


@contextlib.contextmanager
def _quiet_after_ctrl_c() -> Iterator[None]:
    """Let dask say nothing of how it ends its workers in the midst of their tasks: that the job was
    interrupted is said anyway."""
    try:
        yield
    except KeyboardInterrupt:
        for name in ("distributed.nanny", "distributed.scheduler", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        raise


@contextlib.contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, which batch systems send before they kill, end a job as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
