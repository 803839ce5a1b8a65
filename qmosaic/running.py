"""Feeding a scheduler: batches of jobs, so that few tasks are alive and no worker waits for one."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

import dask
import dask.threaded
from dask.base import get_scheduler
from dask.callbacks import Callback, add_callbacks
from dask.system import CPU_COUNT

from qmosaic.graph import Jobs
from qmosaic.writing import Stopped, stopped

JOBS_PER_THREAD = 8
"""How many jobs a scheduler knows of at a time for each thread that works."""

FEWEST_ALIVE = 256
"""But at least so many on a cluster: a batch, a quarter of them, travels as one message, together
with what its jobs share."""

Report = Callable[[Any], None]
"""What is told the outcome of each job."""


def run_jobs(jobs: Jobs, numbers: Sequence[int], report: Report) -> None:
    """Run jobs on the active scheduler, each once.

    Parameters
    ----------
    jobs : Jobs
        What makes the tasks.
    numbers : sequence of int
        Which jobs.
    report : callable
        Called with the outcome of each job as soon as it is there, in one thread at a time.

    Raises
    ------
    Exception
        What the first failing job raised; no job is started after that.
    """
    if not numbers:
        return
    scheduler = get_scheduler()
    client = getattr(scheduler, "__self__", None)
    if client is not None and hasattr(client, "scheduler_info"):
        _run_on_cluster(client, jobs, list(numbers), report)
    else:
        _run_here(scheduler or dask.threaded.get, jobs, list(numbers), report)


# -- dask.distributed -----------------------------------------------------------------------------


def _run_on_cluster(client: Any, jobs: Jobs, numbers: list[int], report: Report) -> None:
    """Keep a window of jobs alive: a new batch goes out as soon as there is room for it."""
    from distributed import as_completed

    todo = iter(numbers)
    alive: dict[Any, Any] = {}
    finished = as_completed(with_results=True, raise_errors=False)

    def refill() -> None:
        window = max(FEWEST_ALIVE, JOBS_PER_THREAD * sum(client.nthreads().values()))
        size = max(1, window // 4)
        while len(alive) <= window - size:
            batch = list(itertools.islice(todo, size))
            if not batch:
                return
            futures = client.get(*jobs.batch(batch), sync=False)
            alive.update({future.key: future for future in futures})
            finished.update(futures)

    try:
        refill()
        while alive:
            future, result = next(finished)
            alive.pop(future.key)
            if future.status != "finished":
                _raise(future, result)
            report(result)
            refill()
    finally:
        if alive:
            client.cancel(list(alive.values()), force=True)


def _raise(future: Any, result: Any) -> None:
    if isinstance(result, tuple) and len(result) == 3 and isinstance(result[1], BaseException):
        error = result[1].with_traceback(result[2])
        if type(error).__name__ == "KilledWorker":
            raise RuntimeError(
                f"a block was given up, as every worker that worked on it died ({error}). Often "
                "they had too little memory: qmosaic.explain(mosaic).peak_bytes says what a "
                "thread of a worker needs. What is written stays: go on with mode='resume'."
            ) from error
        raise error
    if future.status == "cancelled":
        raise RuntimeError(
            "the cluster has cancelled a block: its scheduler was restarted or is gone. What is "
            "written stays: connect to a cluster and go on with mode='resume'."
        )
    raise RuntimeError(f"a block ended as {future.status!r} on the cluster")


# -- schedulers in this process -------------------------------------------------------------------


class _Reporter:
    """Hears of every task that dask's local schedulers finish, and passes on those of the jobs."""

    def __init__(self, name: str, report: Report) -> None:
        self._name, self._report, self._lock = name, report, threading.Lock()
        self._reported: set[Any] = set()

    def callback(self) -> tuple[Any, ...]:
        """Give what dask takes as callback: start, start_state, pretask, posttask, finish."""
        return (None, None, None, self._posttask, None)

    def _posttask(self, key: Any, result: Any, *args: Any) -> None:
        if isinstance(key, tuple) and key[0] == self._name:
            self.tell(key, result)

    def tell(self, key: Any, result: Any) -> None:
        """Report a job, once."""
        with self._lock:
            if key not in self._reported:
                self._reported.add(key)
                self._report(result)


def _run_here(scheduler: Any, jobs: Jobs, numbers: list[int], report: Report) -> None:
    """Run batches in two lanes over one pool: where the end of one leaves threads free, the
    next one takes them."""
    reporter = _Reporter(jobs.name, report)
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {}
        lanes, size = 1, FEWEST_ALIVE // 4
        if scheduler is not dask.threaded.get:
            stack.enter_context(add_callbacks(reporter.callback()))
        else:
            threads = dask.config.get("num_workers", None) or CPU_COUNT
            pool = dask.config.get("pool", None)
            pool = pool or stack.enter_context(ThreadPoolExecutor(threads))
            threads = getattr(pool, "_max_workers", threads)
            # Dask's own callbacks (a profiler, say) are told of one batch at a time.
            lanes = 1 if Callback.active else 2
            size = max(1, JOBS_PER_THREAD * threads // lanes)
            # Given so, callbacks leave those that are active for the whole process alone.
            options = {"pool": pool, "callbacks": [*Callback.active, reporter.callback()]}
        batches = _Batches(numbers, size)

        def lane() -> None:
            try:
                for batch in batches:
                    graph, keys = jobs.batch(batch)
                    outcomes = scheduler(graph, keys, **options)
                    for key, outcome in zip(keys, outcomes, strict=True):
                        reporter.tell(key, outcome)
            except BaseException:
                stop()
                raise

        def stop() -> None:
            batches.stop()
            stopped.add(jobs.name)  # jobs of a batch that has begun end at once

        if lanes == 1:
            lane()
        else:
            _run_lanes(lane, lanes, stop)


def _run_lanes(lane: Callable[[], None], lanes: int, stop: Callable[[], None]) -> None:
    with ThreadPoolExecutor(lanes, thread_name_prefix="qmosaic-lane") as pool:
        running = [pool.submit(lane) for _ in range(lanes)]
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
        except BaseException:
            stop()
            raise
        errors = [error for future in done if (error := future.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
            raise error


class _Batches(Iterable[list[int]]):
    """Hands out batches of jobs to several threads, until it is stopped."""

    def __init__(self, numbers: Sequence[int], size: int) -> None:
        self._numbers, self._size = numbers, size
        self._next = 0
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[list[int]]:
        while batch := self._take():
            yield batch

    def _take(self) -> list[int]:
        with self._lock:
            batch = list(self._numbers[self._next : self._next + self._size])
            self._next += self._size
            return batch

    def stop(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._next = len(self._numbers)
