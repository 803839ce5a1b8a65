"""``ee.batch``: exports, and their tasks."""

from qmosaic.ee.exports import Export
from qmosaic.ee.tasks import Task

__all__ = ["Export", "Task"]


def __dir__() -> list[str]:
    return __all__
