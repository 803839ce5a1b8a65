"""Submitting jobs to a scheduler, in batches: few tasks are alive, and no worker waits for one."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from typing import Any

import dask
import dask.threaded
from dask.callbacks import Callback, add_callbacks
from dask.system import CPU_COUNT

from qmosaic.engine.graph import Jobs
from qmosaic.engine.scheduling import active_scheduler
from qmosaic.engine.threads import Threads
from qmosaic.sink.scheduler import active_client
from qmosaic.sink.sending import send
from qmosaic.sink.watching import (
    Say,
    UnfitWorkerError,
    Watch,
    check_versions,
    looking,
    own_versions,
    probe,
)
from qmosaic.sink.writing import Outcome, Stopped

JOBS_PER_THREAD = 8
"""How many jobs a scheduler knows of at a time for each thread that works."""

FEWEST_ALIVE = 256
"""But at least so many on a cluster: a batch, a quarter of them, travels as one message, together
with what its jobs share."""

PATIENCE = 1.5
"""Seconds that jobs which are under way get to end when a run is given up; one that hangs is left
behind."""

HANGING = "Reads that hang keep the threads of their workers until client.restart()."
"""What who interrupts a job on a cluster has to know before going on."""

STAYS = "What is written stays: go on with mode='resume'."
"""What errors about workers say of what a store has so far."""

Report = Callable[[Any], None]
"""What is told the outcome of each job."""


def run_jobs(
    jobs: Jobs,
    numbers: Sequence[int],
    report: Report,
    stop: Callable[[], None],
    say: Say,
    together: int | None = None,
    left: str = STAYS,
) -> None:
    """Run jobs on the active scheduler, each once.

    Parameters
    ----------
    jobs : Jobs
        What makes the tasks.
    numbers : sequence of int
        Which jobs.
    report : callable
        Called with the outcome of each job as soon as it is there, in one thread at a time.
    stop : callable
        Called when the run is given up, so that jobs of this process which are under way end soon.
    say : callable
        Gets a sentence where a person who waits has to hear something.
    together : int, optional
        The most jobs that a cluster knows of at a time, where outcomes are large: they come to this
        process faster than they are reported.
    left : str
        What errors about workers say of what was made so far.

    Raises
    ------
    Exception
        What the first failing job raised; no job is started after that.
    UnfitWorkerError
        A worker that has come later cannot run the tasks.
    """
    if not numbers:
        return
    watch = Watch(say)

    def told(outcome: Any) -> None:
        watch.moved()
        report(outcome)

    client = active_client()
    _make_first(client, jobs)
    if client is not None:
        _run_on_cluster(client, jobs, list(numbers), told, watch, say, together, left)
    else:
        with looking(watch.look):
            _run_here(active_scheduler() or dask.threaded.get, jobs, list(numbers), told, stop)


def _make_first(client: Any, jobs: Jobs) -> None:
    """Make what all jobs use, before them and once."""
    graph, keys = jobs.first()
    if not keys:
        return
    if client is not None:
        made = client.gather(send(client, graph, keys))
    else:
        made = (active_scheduler() or dask.threaded.get)(graph, keys)
    jobs.take_up(dict(zip(keys, made, strict=True)))


# -- dask.distributed -----------------------------------------------------------------------------


def _run_on_cluster(
    client: Any,
    jobs: Jobs,
    numbers: list[int],
    report: Report,
    watch: Watch,
    say: Say,
    together: int | None,
    left: str,
) -> None:
    """Keep a window of jobs alive: a new batch goes out as soon as there is room for it."""
    from distributed import as_completed

    todo = iter(numbers)
    alive: dict[Any, Any] = {}
    finished = as_completed(with_results=True, raise_errors=False)
    crew = _Crew(client, watch, say, lambda: client.cancel(list(alive.values()), force=True))

    def refill() -> None:
        window = together or max(FEWEST_ALIVE, JOBS_PER_THREAD * sum(client.nthreads().values()))
        size = max(1, window // 4)
        while len(alive) <= window - size:
            batch = list(itertools.islice(todo, size))
            if not batch:
                return
            futures = send(client, *jobs.batch(batch))
            alive.update({future.key: future for future in futures})
            finished.update(futures)

    try:
        with looking(crew.look):
            refill()
            while alive:
                future, result = next(finished)
                alive.pop(future.key)
                # not the state: by now its worker may be gone, and the block be on its way again
                if not isinstance(result, Outcome):
                    crew.raise_if_unfit()
                    _raise(future, result, left)
                report(result)
                refill()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(HANGING) from None
    finally:
        if alive:
            client.cancel(list(alive.values()), force=True)


class _Crew:
    """The workers of a cluster while they work: who comes is asked what it has, who goes is told
    of."""

    def __init__(self, client: Any, watch: Watch, say: Say, give_up: Callable[[], None]) -> None:
        self._client, self._watch, self._say, self._give_up = client, watch, say, give_up
        self._own = own_versions()
        self._known: set[str] = set()
        self._unfit: UnfitWorkerError | None = None
        watch.look(set(client.nthreads()))

    def look(self) -> None:
        """Look who is there."""
        try:
            there = set(self._client.nthreads())
            self._watch.look(there)
            new = there - self._known
            if new and self._unfit is None:
                found = probe(self._client, new)
                self._known |= set(found)
                check_versions(found, self._own, self._say)
        except UnfitWorkerError as error:
            self._unfit = error
            self._give_up()
        except Exception:  # the scheduler does not answer: whoever waits for blocks hears of that
            return

    def raise_if_unfit(self) -> None:
        """Raise what a look has found."""
        if self._unfit is not None:
            raise self._unfit


def _raise(future: Any, result: Any, left: str) -> None:
    if isinstance(result, tuple) and len(result) == 3 and isinstance(result[1], BaseException):
        error = result[1].with_traceback(result[2])
        if type(error).__name__ == "KilledWorker":
            raise RuntimeError(
                f"a block was given up, as every worker that worked on it died ({error}). Often "
                "they had too little memory: qmosaic.explain(mosaic).peak_bytes says what a "
                "thread of a worker needs. Or they lack a package, and end when a block comes. "
                f"{left}"
            ) from error
        raise error
    if future.status == "cancelled":
        raise RuntimeError(
            "the cluster has cancelled a block: its scheduler was restarted or is gone. Connect to "
            f"a cluster. {left}"
        )
    raise RuntimeError(f"a block ended as {future.status!r} on the cluster")


# -- schedulers in this process -------------------------------------------------------------------


class _Reporter:
    """Hears of every task that dask's local schedulers finish, and passes on those of the jobs."""

    def __init__(self, name: str, report: Report) -> None:
        self._name, self._report, self._lock = name, report, threading.Lock()
        self._reported: set[Any] = set()
        self._closed = False

    def close(self) -> None:
        """Report no more: whoever would hear of it has gone on."""
        self._closed = True

    def callback(self) -> tuple[Any, ...]:
        """Give what dask takes as callback: start, start_state, pretask, posttask, finish."""
        return (None, None, None, self._posttask, None)

    def _posttask(self, key: Any, result: Any, *args: Any) -> None:
        if isinstance(key, tuple) and key[0] == self._name:
            self.tell(key, result)

    def tell(self, key: Any, result: Any) -> None:
        """Report a job, once."""
        with self._lock:
            if key not in self._reported and not self._closed:
                self._reported.add(key)
                self._report(result)


def _run_here(
    scheduler: Any, jobs: Jobs, numbers: list[int], report: Report, stop: Callable[[], None]
) -> None:
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
            pool = pool or stack.enter_context(_threads(threads, "qmosaic-job"))
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
                give_up()
                raise

        def give_up() -> None:
            batches.stop()
            reporter.close()
            stop()

        if lanes == 1:
            lane()
        else:
            _run_lanes(lane, lanes, give_up)


@contextlib.contextmanager
def _threads(count: int, name: str) -> Iterator[Threads]:
    """Keep threads within the block; if that fails or is interrupted, they are not waited for
    longer than for a moment: what hangs there may never end."""
    pool = Threads(count, name)
    try:
        yield pool
    except BaseException:
        pool.leave(PATIENCE)
        raise
    pool.shutdown()


def _run_lanes(lane: Callable[[], None], lanes: int, give_up: Callable[[], None]) -> None:
    with _threads(lanes, "qmosaic-lane") as pool:
        running = [pool.submit(lane) for _ in range(lanes)]
        try:
            done, others = wait(running, return_when=FIRST_EXCEPTION)
        except BaseException:
            give_up()
            raise
        if others:  # the reason why one of them has stopped may come with the other
            done, _ = wait(running, timeout=PATIENCE)
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
