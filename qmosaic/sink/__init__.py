"""From a deferred mosaic to a store: laid out, computed block by block, resumable.

A module imports only modules below it in this table. `saving` calls the six steps from `checking`
to `finishing` one after the other. They do not import each other: `steps` defines what one hands to
the next.

=============== =====================================================================
``explanation`` `explain`: what a mosaic will cost
``updating``    `update`: further images for a mosaic in a store
``cog``         `to_cog`: a mosaic as GeoTIFFs
``opening``     opening a mosaic that was written
``saving``      `to_zarr`: the order of the steps
``levels``      the overviews of a mosaic
``checking``    step 1: what a user gives is checked
``layout``      step 2: how the mosaic lies in its store
``planning``    step 3: what is to be done, job by job
``store_setup`` step 4: the store is checked, locked and laid out, its journal opened
``running``     step 5: the jobs are run
``finishing``   step 6: the store says that the mosaic is complete
``tasks``       jobs as tasks of dask
``template``    the store without its pixels
``steps``       what one step hands to the next
``updatable``   which mosaics can be updated
``storable``    what a store can hold: names, attributes, texts
``overwriting`` refusing what would lose something that is there
``identity``    what a mosaic is made from, and how two of them differ
``submitting``  submitting jobs to a scheduler, in batches
``sending``     tasks on their way to the workers of a cluster
``scheduler``   the active scheduler and its workers
``watching``    warnings while blocks are waited for: lost workers, no progress
``writing``     what a job computes and writes
``background``  writing beside what a job makes
``encoding``    how pieces of an array are written
``cutting``     how a mosaic is cut into jobs
``store_group`` where a mosaic is: a group in a store
``multiscale``  how many overviews, and how a store says so
``progress``    progress, shown to a person, a log or a program
``tracebacks``  errors without the frames of libraries in their traceback
``tables``      small tables for notebooks
``journal``     which blocks are there, and whether the mosaic is complete
``locking``     a lock, so that a store has one writer at a time
``fencing``     a job that has lost its store cannot write to it any more
=============== =====================================================================

May import ``engine``, ``collection`` and ``optional``.
"""

from qmosaic.sink.cog import to_cog
from qmosaic.sink.explanation import explain
from qmosaic.sink.fencing import StoreInUseError
from qmosaic.sink.journal import DamagedJournalError
from qmosaic.sink.opening import IncompleteMosaicError, open_mosaic
from qmosaic.sink.progress import Progress
from qmosaic.sink.saving import to_zarr
from qmosaic.sink.updating import update
from qmosaic.sink.watching import UnfitWorkerError

__all__ = [
    "DamagedJournalError",
    "IncompleteMosaicError",
    "Progress",
    "StoreInUseError",
    "UnfitWorkerError",
    "explain",
    "open_mosaic",
    "to_cog",
    "to_zarr",
    "update",
]


def __dir__() -> list[str]:
    return __all__
