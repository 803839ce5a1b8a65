"""Earth Engine's ``qualityMosaic`` for your own data: lazy, chunked, out of core.

The house; a room imports only rooms below it.

=============== ==============================================================================
``cli``         the command line
``display``     pictures
``accessor``    ``ds.qmosaic.<verb>()``
``store``       the Zarr sink
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
>>> sorted(qm.__all__)
['quality_mosaic', 'scores', 'to_zarr']
"""

from qmosaic import accessor as _accessor  # noqa: F401  (registers ds.qmosaic)
from qmosaic import scores
from qmosaic.mosaic import quality_mosaic
from qmosaic.store import to_zarr

__version__ = "0.1.0"

__all__ = ["quality_mosaic", "scores", "to_zarr"]
