"""Warnings while blocks are waited for: workers that miss something or are gone, no progress."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

EVERY = 5.0
"""Seconds between two looks at the workers."""

ALONE = 10.0
"""Seconds without any worker after which that is said; then after twice as long, and so on."""

STALLED = 600.0
"""Seconds without a finished block after which that is said, again and again."""

PACKAGES = ("qmosaic", "dask", "distributed", "numpy", "xarray", "zarr")
"""What a worker needs to have, in the version that is here."""

PROBE = (
    "dict(python=__import__('platform').python_version(), **{"
    "name: __import__(name).__version__ "
    "if __import__('importlib.util').util.find_spec(name) else None "
    f"for name in {PACKAGES!r}}})"
)
"""What tells the versions in a process, None for what is missing. It is text, as a function would
travel as a part of qmosaic."""

NAMED = 3
"""The most workers that a sentence names."""

Say = Callable[[str], Any]
"""What is told a sentence."""


class Watch:
    """Notices what has to be told while blocks are waited for.

    Parameters
    ----------
    say : callable
        Gets each sentence.
    clock : callable
        Gives seconds.
    """

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._known: set[str] = set()
        self._moved = _Reminder(clock(), STALLED, STALLED)
        self._alone: _Reminder | None = None

    def moved(self) -> None:
        """Hear that a block is finished."""
        self._moved = _Reminder(self._clock(), STALLED, STALLED)

    def look(self, workers: Collection[str] | None = None) -> None:
        """Say what there is to say; `workers` are the addresses of those that are there, None
        without a cluster."""
        now = self._clock()
        if workers is not None:
            gone = self._known - set(workers)
            self._known = set(workers)
            if gone:
                self._say(
                    f"{_name(gone)} {'is' if len(gone) == 1 else 'are'} gone, lost or retired; "
                    f"{len(workers)} left. Blocks that were being made there are made again."
                )
            if not workers:
                self._look_for_workers(now)
                return
            self._alone = None
        if self._moved.due(now):
            minutes = round(self._moved.since(now) / 60)
            self._say(
                f"no block has been finished for {minutes} min. Maybe a source does not answer, or "
                "blocks are large: qmosaic.explain(mosaic) says what a block takes. After an "
                "interruption mode='resume' goes on with what is missing."
            )

    def _look_for_workers(self, now: float) -> None:
        self._alone = self._alone or _Reminder(now, ALONE, 2 * STALLED)
        self._moved = _Reminder(now, STALLED, STALLED)
        if self._alone.due(now):
            self._say(
                f"the cluster has had no worker for {self._alone.since(now):.0f} s; waiting for "
                "one. Start workers, or scale the cluster up (cluster.scale(4))."
            )


class _Reminder:
    """Falls due after some time, and again, each time after twice as long."""

    def __init__(self, start: float, first: float, longest: float) -> None:
        self._start, self._wait, self._longest = start, first, longest
        self._next = start + first

    def since(self, now: float) -> float:
        return now - self._start

    def due(self, now: float) -> bool:
        if now < self._next:
            return False
        self._wait = min(2 * self._wait, self._longest)
        self._next = now + self._wait
        return True


@contextlib.contextmanager
def looking(look: Callable[[], Any]) -> Iterator[None]:
    """Look every few seconds, in a thread, within the block."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(EVERY):
            look()

    threading.Thread(target=loop, daemon=True, name="qmosaic-watch").start()
    try:
        yield
    finally:
        over.set()


# -- what is on a worker --------------------------------------------------------------------------


class UnfitWorkerError(RuntimeError):
    """Workers of a cluster lack qmosaic or another package, or have another version of qmosaic.

    The error names the workers and what they lack. Install there what is installed here, or start
    the workers in the environment of this process.
    """


def probe(client: Any, workers: Iterable[str]) -> dict[str, Any]:
    """Ask workers what they have.

    Returns
    -------
    dict of str to (dict of str to str or None) or Exception
        For each worker that has answered, the version of every package, or what the import of one
        has raised.
    """
    found: dict[str, Any] = client.run(eval, PROBE, {}, workers=list(workers), on_error="return")
    # one that cannot be reached has not answered
    return {
        worker: answer
        for worker, answer in found.items()
        if not isinstance(answer, OSError | TimeoutError)
    }


def own_versions() -> dict[str, str]:
    """Say what is here."""
    versions: dict[str, str] = eval(PROBE, {})
    return versions


def check_versions(found: Mapping[str, Any], own: Mapping[str, str], say: Say) -> None:
    """Compare what workers have with what is here.

    Tasks carry objects of qmosaic's own, whose make may change with every version, and two versions
    may see a rule differently: another version of it is an error. Other packages are made to work
    across versions to some extent: a warning tells of them.

    Parameters
    ----------
    found : mapping
        What `probe` gave.
    own : mapping of str to str
        The versions here.
    say : callable
        Gets the warnings.

    Raises
    ------
    UnfitWorkerError
        A worker lacks something, or has another version of qmosaic.
    """
    lacking: dict[str, list[str]] = defaultdict(list)
    others: dict[tuple[str, str], list[str]] = defaultdict(list)
    for worker, answer in found.items():
        if isinstance(answer, BaseException):
            lacking[f"an import raised {type(answer).__name__}: {answer}"].append(worker)
            continue
        missing = [package for package, version in answer.items() if version is None]
        if missing:
            lacking[f"not installed: {', '.join(missing)}"].append(worker)
        for package, version in answer.items():
            if version not in (None, own[package]):
                others[package, version].append(worker)
    mend = (
        f"Install qmosaic {own['qmosaic']} there, with the same versions of its dependencies as "
        "here, or start the workers in the environment of this process."
    )
    for reason, workers in lacking.items():
        raise UnfitWorkerError(
            f"{_name(workers)} cannot run tasks of qmosaic ({reason}); it is {len(workers)} of "
            f"{len(found)} that were asked. {mend}"
        )
    for (package, version), workers in others.items():
        told = (
            f"{_name(workers)}, {len(workers)} of {len(found)} that were asked, with {package} "
            f"{version}; here it is {own[package]}."
        )
        if package == "qmosaic":
            raise UnfitWorkerError(f"{told} Tasks of one version cannot be run by another. {mend}")
        say(f"{told} If blocks fail there, make the versions the same.")


def _name(workers: Collection[str]) -> str:
    """Name some workers, and count the others."""
    named = sorted(workers)[:NAMED]
    more = len(workers) - len(named)
    noun = "worker" if len(workers) == 1 else "workers"
    return f"{noun} {', '.join(named)}" + (f" and {more} more" if more else "")
