"""Earth Engine's ``qualityMosaic`` for your own data: lazy, chunked, out of core.

The house; a room imports only rooms below it.

=============== ==============================================================================
``cli``         the command line
``ee``          Earth Engine's vocabulary
``accessor``    ``ds.qmosaic.<verb>()``
``explanation`` what a mosaic will cost
``store``       the Zarr sink: the order of its steps, and the opening of what it wrote
``layout``      how a mosaic lies in its store
``storable``    what a store can hold: names, attributes, texts
``target``      where it is written to, and what would be lost there
``identity``    what makes a mosaic the mosaic that it is
``running``     feeding a scheduler in batches
``watching``    what a person who waits has to hear: workers, no progress
``writing``     what a job writes, and how a mosaic is cut into jobs
``progress``    what a person, a log or a program is told meanwhile
``journal``     what a store knows about its own making
``locking``     who writes a store
``fencing``     writing that is for one job alone, whoever wakes up
``display``     pictures, an interactive map
``periods``     a mosaic for each period
``mosaic``      the door for xarray: check, call the engine, dress the result
``pixels``      arithmetic on bands that keeps masks and does not wrap round
``sources``     the door to collections: Zarr, NetCDF, STAC, GeoTIFF
``from_arrays`` Zarr stores and NetCDF files
``from_geotiff`` GeoTIFFs
``from_stac``   STAC items
``stac_items``  what STAC items say, put right where it is damaged
``stac_packing`` what STAC items say of the meaning of integers
``geotiff_files`` what headers and names of GeoTIFFs say
``odc_driver``  how odc reads a file
``warping``     images onto a grid, the same for every chunking
``assembly``    what the readers share: bands, nodata, joining images
``sentinel_2``  what its processing baselines did to integers
``packing``     what integers mean, and one meaning for all images
``samples``     sample data
``filters``     fewer images, fewer bands, other bands
``clipping``    maps cut to a region
``scores``      makers of quality bands
``grid``        the size of pixels
``geometry``    regions, footprints, extents
``collection``  what a collection is: bands, nodata, checks
``graph``       decide and take as layers of a dask graph; deferred chunks
``blocks``      decide and take for one block of the map
``reading``     how a task reads: again, counted, named where it fails
``promises``    what a chunk has to be: its shape and dtype
``kernels``     the rules on numpy arrays
``moments``     times as people write them
``threads``     threads that nobody has to wait for
``tables``      small tables for notebooks
``optional``    libraries that only some users need
=============== ==============================================================================

>>> import qmosaic as qm
>>> qm.open_collection, qm.quality_mosaic, qm.to_zarr  # doctest: +ELLIPSIS
(<function open_collection at ...>, <function quality_mosaic at ...>, <function to_zarr at ...>)
"""

from qmosaic import accessor as _accessor  # noqa: F401  (registers ds.qmosaic)
from qmosaic import display, ee, scores
from qmosaic.clipping import clip
from qmosaic.display import quicklook, visualize
from qmosaic.explanation import explain
from qmosaic.fencing import StoreInUseError
from qmosaic.filters import filter_bounds, filter_date, map_images, select
from qmosaic.journal import DamagedJournalError
from qmosaic.mosaic import quality_mosaic
from qmosaic.periods import mosaic_by_period
from qmosaic.progress import Progress
from qmosaic.promises import UnexpectedChunkError
from qmosaic.reading import ChunkReadError
from qmosaic.sources import open_collection
from qmosaic.store import IncompleteMosaicError, open_mosaic, to_zarr
from qmosaic.watching import UnfitWorkerError

__version__ = "0.1.0"

__all__ = [
    "ChunkReadError",
    "DamagedJournalError",
    "IncompleteMosaicError",
    "Progress",
    "StoreInUseError",
    "UnexpectedChunkError",
    "UnfitWorkerError",
    "clip",
    "display",
    "ee",
    "explain",
    "filter_bounds",
    "filter_date",
    "map_images",
    "mosaic_by_period",
    "open_collection",
    "open_mosaic",
    "quality_mosaic",
    "quicklook",
    "scores",
    "select",
    "to_zarr",
    "visualize",
]


def __dir__() -> list[str]:
    """Name what is there to be used; the rooms stay importable, and out of an editor's list."""
    return [*__all__, "__version__"]
