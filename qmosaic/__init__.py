"""Earth Engine's ``qualityMosaic`` for your own data: lazy, chunked, out of core.

What one does, and in which order:

1. **Open a collection**: an `xarray.Dataset` with a dimension ``time``, backed by dask chunks, from
   Zarr, NetCDF, STAC items or GeoTIFFs: `open_collection`. Choose images and bands:
   `filter_date`, `filter_bounds`, `select`, `map_images`.
2. **Add a quality band**: the image with its highest value wins the pixel. `scores` has the usual
   ones; any expression of xarray will do.
3. **Make the mosaic**: `quality_mosaic`, or one for each month, `mosaic_by_period`. Nothing is read
   yet. Cut it to a region: `clip`. Ask what it will cost: `explain`.
4. **Write it**: `to_zarr`, which computes it block by block. Open what was written: `open_mosaic`.
5. **Look at it**: `quicklook`, `visualize`, `display.Map`.

>>> import numpy as np, xarray as xr
>>> import qmosaic as qm
>>> cloud = xr.DataArray(np.uint8([[[10, 80]], [[60, 0]]]), dims=("time", "y", "x"))
>>> red = xr.DataArray(np.uint16([[[1, 2]], [[3, 4]]]), dims=("time", "y", "x"))
>>> collection = xr.Dataset({"B4": red, "MSK_CLDPRB": cloud})
>>> collection["quality"] = qm.scores.inverse(collection["MSK_CLDPRB"])
>>> qm.quality_mosaic(collection, "quality")["B4"].values
array([[1, 4]], dtype=uint16)

The same as methods, through xarray's accessor: ``collection.qmosaic.quality_mosaic("quality")``.
Scripts that were written for Earth Engine run with `ee` in place of Google's.

The house: a department for each thing that people do. Each imports only departments below it, and
says in its own docstring which rooms it has.

============== ================================================================================
``cli``        the command line, over the public names alone
``accessor``   ``ds.qmosaic.<name>()``
``ee``         Earth Engine's vocabulary
``display``    pictures, an interactive map
``sources``    Zarr, NetCDF, STAC items, GeoTIFFs to a collection
``scores``     makers of quality bands
``sink``       a mosaic to a store, and what it will cost
``engine``     the mosaic
``collection`` what a collection is: its bands, masks, times, geometry; filters
``optional``   libraries that only some users need
============== ================================================================================
"""

from qmosaic import accessor as _accessor  # noqa: F401  (registers ds.qmosaic)
from qmosaic import display, ee, scores
from qmosaic.collection import clip, filter_bounds, filter_date, map_images, select
from qmosaic.display import quicklook, visualize
from qmosaic.engine import ChunkReadError, UnexpectedChunkError, mosaic_by_period, quality_mosaic
from qmosaic.sink import (
    DamagedJournalError,
    IncompleteMosaicError,
    Progress,
    StoreInUseError,
    UnfitWorkerError,
    explain,
    open_mosaic,
    to_zarr,
)
from qmosaic.sources import open_collection

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
