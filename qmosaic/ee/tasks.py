"""Tasks: exports that are started, and then are done or have failed."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Sequence
from typing import Any

from qmosaic.ee.unsupported import Hinting


class Type:
    """What a task exports."""

    EXPORT_IMAGE = "EXPORT_IMAGE"
    EXPORT_TABLE = "EXPORT_FEATURES"


class State:
    """How far a task is."""

    UNSUBMITTED = "UNSUBMITTED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ACTIVE = (State.RUNNING,)


class Task(Hinting):
    """An export. It is made by the functions of `Export`, and done by `start`.

    Parameters
    ----------
    description : str
        Its name.
    task_type : str
        One of ``Task.Type``.
    write : callable
        Computes and writes; gives where.

    Examples
    --------
    >>> import numpy as np, xarray as xr, odc.geo.xr
    >>> from qmosaic import ee
    >>> places = {"y": [105.0, 95.0], "x": [5.0, 15.0]}
    >>> red = xr.DataArray(np.ones((2, 2)), places, ("y", "x"), name="red")
    >>> task = ee.batch.Export.image.toDrive(ee.Image(red.odc.assign_crs("EPSG:32633")), "best")
    >>> task
    <Task EXPORT_IMAGE: best (UNSUBMITTED)>
    >>> task.status(), task.active()
    ({'state': 'UNSUBMITTED'}, False)
    """

    _name = "ee.batch.Task"
    Type = Type
    State = State

    _started: list[Task] = []  # noqa: RUF012  (of all tasks: Task.list())

    def __init__(
        self, description: str, task_type: str, write: Callable[[], Sequence[Any]]
    ) -> None:
        self.task_type = task_type
        self.config = {"description": description}
        self.state = State.UNSUBMITTED
        self.id: str | None = None
        self.name: str | None = None
        self._write: Callable[[], Sequence[Any]] | None = write
        self._times = {"creation": _now()}
        self._written: list[str] = []
        self._error: str | None = None

    def __repr__(self) -> str:
        return f"<Task {self.task_type}: {self.config['description']} ({self.state})>"

    def start(self) -> None:
        """Compute and write; it is done when this returns. A task that was started is left alone.

        Raises
        ------
        Exception
            What the computing or writing raises; the state is FAILED then, or CANCELLED after
            Ctrl-C.
        """
        if self.state != State.UNSUBMITTED or self._write is None:
            return
        self.id = "".join(random.choices(string.ascii_uppercase + string.digits, k=24))
        self.name = f"operations/{self.id}"
        Task._started.insert(0, self)
        self.state, self._times["start"] = State.RUNNING, _now()
        try:
            self._written = [str(one) for one in self._write()]
            self.state = State.COMPLETED
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            self.state = State.CANCELLED if interrupted else State.FAILED
            self._error = str(error) or type(error).__name__
            raise
        finally:
            self._write = None  # and with it the graph of the image
            self._times["update"] = _now()

    def status(self) -> dict[str, Any]:
        """Say how far it is, as Earth Engine does: state, times in milliseconds since 1970, files.

        ``destination_uris`` are the paths of what was written, ``error_message`` is the text of the
        error of a task that has failed.
        """
        if self.id is None:
            return {"state": self.state}
        found: dict[str, Any] = {
            "state": self.state,
            "description": self.config["description"],
            "priority": 100,
            **{f"{name}_timestamp_ms": self._times.get(name) for name in TIMES},
            "task_type": self.task_type,
            "attempt": 1,
            "id": self.id,
            "name": self.name,
        }
        if self._written:
            found["destination_uris"] = list(self._written)
        if self._error is not None:
            found["error_message"] = self._error
        return found

    def active(self) -> bool:
        """Tell whether it runs: only while `start` does."""
        return self.state in ACTIVE

    def cancel(self) -> None:
        """Cancel a task that was not started; what is done stays."""
        if self.state == State.UNSUBMITTED:
            self.state, self._write = State.CANCELLED, None

    @staticmethod
    def list() -> Any:
        """List the tasks that were started in this process, the last one first."""
        return Task._started.copy()


TIMES = ("creation", "update", "start")


def _now() -> int:
    return int(time.time() * 1000)
