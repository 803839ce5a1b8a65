"""Writing beside deciding: while a piece is encoded and written, the job makes the next one.

A job waits for all that it has handed over before it is over, so that what it marks is there, and
nothing of it is written later. How much is under way at a time is counted in bytes: what a job
takes of the memory does not depend on how fast anything is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from qmosaic.engine.threads import Threads

UNDER_WAY = 4 * 2**20
"""The most bytes of pixels that a job has handed over and that are not written yet; a single piece
may be larger."""

PATIENCE = 1.5
"""Seconds that a write gets to end which is under way when somebody interrupts the job."""


def most_under_way(largest: int, others: int) -> int:
    """Tell how many bytes of pixels are under way at most.

    Parameters
    ----------
    largest, others : int
        The bytes of the largest piece, and of all that a job hands over.
    """
    return min(others, max(largest, UNDER_WAY))


class Background:
    """Writes that are under way.

    Attributes
    ----------
    failed : BaseException or None
        What the first one that failed has raised.
    """

    def __init__(self, pool: Threads, together: int) -> None:
        self._pool, self._together = pool, together
        self._sizes: dict[Future[None], int] = {}
        self.failed: BaseException | None = None

    def add(self, size: int, write: Callable[..., None], *args: Any) -> None:
        """Do something in the background, as soon as there is room for it.

        Parameters
        ----------
        size : int
            The bytes that are held for it.
        write : callable
            What is called, with `args`.

        Raises
        ------
        Exception
            What one that was added before has raised.
        """
        self._settle()
        while self._sizes and not self._has_room(size):
            wait(self._sizes, return_when=FIRST_COMPLETED)
            self._settle()
        self._sizes[self._pool.submit(write, *args)] = size

    def _has_room(self, size: int) -> bool:
        """Whether one more is within the budget, and would be the only one that waits."""
        return len(self._sizes) <= self._together and sum(self._sizes.values()) + size <= UNDER_WAY

    def finish(self) -> None:
        """Wait until all is done.

        Raises
        ------
        Exception
            What the first one that failed has raised.
        """
        while self._sizes:
            wait(self._sizes, return_when=FIRST_COMPLETED)
            self._settle()

    def give_up(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._pool.shutdown(cancel_futures=True)
        with contextlib.suppress(Exception):
            self._settle()

    def _settle(self) -> None:
        for future in [future for future in self._sizes if future.done()]:
            del self._sizes[future]
            if not future.cancelled():
                self.failed = self.failed or future.exception()
        if self.failed is not None:
            raise self.failed


@contextlib.contextmanager
def background(together: int) -> Iterator[Background]:
    """Write beside what is done in the block; in the end, all is written.

    Parameters
    ----------
    together : int
        How many pieces are written at the same time; one more may wait.

    Raises
    ------
    Exception
        If something fails, what is not begun yet is not begun any more, and what is under way is
        waited for. What was handed over came before what the block was doing, so its error is the
        one that is raised.
    """
    pool = Threads(together, "qmosaic-write")
    writes = Background(pool, together)
    try:
        yield writes
        writes.finish()
    except Exception:
        writes.give_up()
        if writes.failed is not None:
            raise writes.failed from writes.failed.__cause__
        raise
    except BaseException:  # nobody who interrupts waits for what hangs
        pool.leave(PATIENCE)
        raise
    pool.shutdown()
