"""Threads that nobody has to wait for.

The pools of `concurrent.futures` are joined when Python ends: one read that hangs for ever, and the
process can never end. These are not. Dask takes such a pool as its documented ``pool=``.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

Work = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Threads(Executor):
    """A pool of daemon threads, started as they are needed.

    Parameters
    ----------
    count : int
        The most threads.
    name : str
        What their names begin with.
    """

    def __init__(self, count: int, name: str = "qmosaic") -> None:
        self._max_workers = count  # what dask asks a pool for
        self._name = name
        self._todo: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._over = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`."""
        future: Future[Any] = Future()
        with self._lock:
            if self._over:
                raise RuntimeError("this pool of threads takes nothing more")
            self._todo.put((future, fn, args, kwargs))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._max_workers:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, daemon=True, name=name)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `concurrent.futures.Executor.shutdown`."""
        with self._lock:
            self._over = True
            while cancel_futures:
                try:
                    work = self._todo.get_nowait()
                except queue.Empty:
                    break
                if work is not None:
                    work[0].cancel()
            for _ in self._threads:
                self._todo.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def leave(self, patience: float) -> None:
        """Take nothing more, wait a while for what is running, and leave behind what hangs."""
        self.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (work := self._todo.get()) is not None:
            future, function, args, kwargs = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:  # it is raised where the result is used
                    future.set_exception(error)
            del work, future, function, args, kwargs  # or they would live until the next one comes
            self._idle.release()
