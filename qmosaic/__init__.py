"""Earth Engine's ``qualityMosaic`` for your own data: lazy, chunked, out of core.

The house; a room imports only rooms below it.

=============== ==============================================================================
``cli``         the command line
``display``     pictures
``accessor``    ``ds.qmosaic.<verb>()``
``explanation`` what a mosaic will cost
``store``       the Zarr sink: the order of its steps, and the opening of what it wrote
``layout``      how a mosaic lies in its store
``target``      where it is written to, and what would be lost there
``identity``    what makes a mosaic the mosaic that it is
``running``     feeding a scheduler in batches
``writing``     what a job writes, and how a mosaic is cut into jobs
``progress``    what a person, a log or a program is told meanwhile
``journal``     what a store knows about its own making
``mosaic``      the door for xarray: check, call the engine, dress the result
``sources``     sample data as a collection
``scores``      makers of quality bands
``collection``  what a collection is: bands, nodata, checks
``graph``       decide and take as layers of a dask graph; deferred chunks
``blocks``      decide and take for one block of the map
``reading``     how a task reads: again, counted, named where it fails
``kernels``     the rules on numpy arrays
=============== ==============================================================================

>>> import qmosaic as qm
>>> [name for name in qm.__all__ if name.islower()]
['explain', 'open_mosaic', 'quality_mosaic', 'scores', 'to_zarr']
"""

from qmosaic import accessor as _accessor  # noqa: F401  (registers ds.qmosaic)
from qmosaic import scores
from qmosaic.explanation import explain
from qmosaic.journal import StoreInUseError
from qmosaic.mosaic import quality_mosaic
from qmosaic.progress import Progress
from qmosaic.reading import ChunkReadError
from qmosaic.store import IncompleteMosaicError, open_mosaic, to_zarr

__version__ = "0.1.0"

__all__ = [
    "ChunkReadError",
    "IncompleteMosaicError",
    "Progress",
    "StoreInUseError",
    "explain",
    "open_mosaic",
    "quality_mosaic",
    "scores",
    "to_zarr",
]
