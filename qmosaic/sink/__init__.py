"""From a deferred mosaic to a store: laid out, computed block by block, resumable.

A room imports only rooms below it.

=============== ===========================================================
``explanation`` what a mosaic will cost
``store``       the order of the steps, and the opening of what was written
``layout``      how a mosaic lies in its store
``storable``    what a store can hold: names, attributes, texts
``target``      where a mosaic is written to, and what would be lost there
``identity``    what makes a mosaic the mosaic that it is
``running``     feeding a scheduler in batches
``watching``    what a person who waits has to hear: workers, no progress
``writing``     what a job writes, and how a mosaic is cut into jobs
``progress``    what a person, a log or a program is told meanwhile
``tables``      small tables for notebooks
``journal``     what a store knows about its own making
``locking``     who writes a store
``fencing``     writing that is for one job alone, whoever wakes up
=============== ===========================================================

May import ``engine`` and ``collection``.
"""

from qmosaic.sink.explanation import explain
from qmosaic.sink.fencing import StoreInUseError
from qmosaic.sink.journal import DamagedJournalError
from qmosaic.sink.progress import Progress
from qmosaic.sink.store import IncompleteMosaicError, open_mosaic, to_zarr
from qmosaic.sink.watching import UnfitWorkerError

__all__ = [
    "DamagedJournalError",
    "IncompleteMosaicError",
    "Progress",
    "StoreInUseError",
    "UnfitWorkerError",
    "explain",
    "open_mosaic",
    "to_zarr",
]


def __dir__() -> list[str]:
    return __all__
