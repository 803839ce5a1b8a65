"""From files, stores and catalogues to a collection: Zarr, NetCDF, STAC items, GeoTIFFs.

A module imports only modules below it in this table.

================= ===============================================================
``opening``       `open_collection`: what kind a source is, which reader opens it
``stac``          STAC items
``geotiff``       GeoTIFFs
``from_arrays``   Zarr stores and NetCDF files
``joining``       images of several files become one collection
``final_checks``  the last checks: bands are chosen, it is a collection
``warping``       images onto another grid, the same for every chunking
``headers``       how the headers of many files are read
``grids``         pixel sizes and CRSs as users give them; chunks on a grid
``nodata``        the nodata that bands declare, and whether it can be right
``request``       what a user asks of a reader, checked
``harmonizing``   images that are packed differently come to mean the same
``sentinel_2``    what its processing baselines did to integers
``packing``       what integers mean: scale and offset
``user_warnings`` warnings that point at the user's own line
``samples``       sample data
================= ===============================================================

May import ``collection`` and ``optional``.
"""

from qmosaic.sources import samples
from qmosaic.sources.opening import open_collection

__all__ = [
    "open_collection",
    "samples",
]


def __dir__() -> list[str]:
    return __all__
