"""GeoTIFFs (and JPEG 2000, VRT) to a collection, through rioxarray.

A module imports only modules below it in this table.

=============== ===========================================================
``opening``     the steps, one after the other: `open_geotiffs`
``pixels``      pixels, read lazily on the grid of the collection
``nodata``      one nodata for all files
``common_grid`` the grid that holds all images
``grids``       whether files are on one grid; tiles to chunks
``images``      which files make an image
``headers``     what the headers of files say
``times``       when an image was taken
``names``       what the path of a file says
``files``       what is known of a file, and of an image that is made of files
=============== ===========================================================
"""

from qmosaic.sources.geotiff.opening import open_geotiffs
from qmosaic.sources.geotiff.times import Time

__all__ = [
    "Time",
    "open_geotiffs",
]


def __dir__() -> list[str]:
    return __all__
