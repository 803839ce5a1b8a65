"""``ee.data``: the tasks of this process."""

from __future__ import annotations

from typing import Any

from qmosaic.ee.tasks import Task
from qmosaic.ee.unsupported import not_supported

__all__ = ["getTaskList", "getTaskStatus"]


def getTaskList() -> list[dict[str, Any]]:
    """Give the status of all tasks that were started in this process, the last one first.

    Examples
    --------
    >>> from qmosaic import ee
    >>> isinstance(ee.data.getTaskList(), list)
    True
    """
    return [task.status() for task in Task.list()]


def getTaskStatus(taskId: Any) -> list[dict[str, Any]]:
    """Give the status of tasks, by their ids; that of one that is not known is "UNKNOWN".

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.data.getTaskStatus("NONE")
    [{'id': 'NONE', 'state': 'UNKNOWN'}]
    """
    ids = taskId if isinstance(taskId, list | tuple) else [taskId]
    there = {status["id"]: status for status in getTaskList()}
    return [there.get(one, {"id": one, "state": "UNKNOWN"}) for one in ids]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise not_supported("ee.data", name, __all__)
