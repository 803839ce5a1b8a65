"""From a deferred mosaic to a store: laid out, computed block by block, resumable.

A module imports only modules below it in this table. `saving` calls the six steps from `checking`
to `finishing` one after the other. They do not import each other: `steps` defines what one hands to
the next.

=============== ==========================================================
``explanation`` what a mosaic will cost
``opening``     the opening of what was written
``saving``      a mosaic to a store: the order of the steps
``checking``    first, what a user gives is checked
``layout``      then how the mosaic lies in its store,
``planning``    what is to be done, job by job,
``store_setup`` the store is checked, locked and laid out, or not touched;
``running``     the jobs are run,
``finishing``   and the store says that the mosaic is complete
``tasks``       jobs as tasks of dask
``template``    the store without its pixels
``steps``       what one step hands to the next
``storable``    what a store can hold: names, attributes, texts
``overwriting`` refusing what would lose something that is there
``identity``    what makes a mosaic the mosaic that it is
``submitting``  submitting jobs to a scheduler, in batches
``scheduler``   the active scheduler and its workers
``watching``    what a person who waits has to hear: workers, no progress
``writing``     what a job writes
``cutting``     how a mosaic is cut into jobs
``store_group`` where a mosaic is: a group in a store
``progress``    progress, shown to a person, a log or a program
``tracebacks``  errors without the frames of libraries in their traceback
``tables``      small tables for notebooks
``journal``     what a store knows about its own making
``locking``     who writes a store
``fencing``     writing that is for one job alone, whoever wakes up
=============== ==========================================================

May import ``engine`` and ``collection``.
"""

from qmosaic.sink.explanation import explain
from qmosaic.sink.fencing import StoreInUseError
from qmosaic.sink.journal import DamagedJournalError
from qmosaic.sink.opening import IncompleteMosaicError, open_mosaic
from qmosaic.sink.progress import Progress
from qmosaic.sink.saving import to_zarr
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
