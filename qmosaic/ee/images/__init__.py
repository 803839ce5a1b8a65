"""Images: bands on one grid, and properties.

Each module has some methods of `Image`, which is made of all of them.

Modules. Each imports only modules below it in this table.

================== ======================================================
``image``          ``Image``, which has the methods of the others
``projections``    the grid, other grids, the outline
``linking``        bands and properties from another collection
``choosing``       bands: names, order, those of other images
``arithmetic``     functions of pixels, comparisons, choices
``expressions``    arithmetic as text
``classes``        values replaced by a table; images of where pixels lie
``masks``          masks and regions
``rasterizing``    features as pixels
``distances``      how far pixels are from others
``neighbourhoods`` functions of the pixels around a pixel
``sampling``       features of the pixels of regions
``reducing``       reductions of bands, and of the pixels of regions
``picturing``      colours
``describing``     descriptions: bands, their types and grid, properties
``properties``     properties
``casts``          dtypes
``making``         methods that are made from a table
``base``           the bands of an image, the grid of two images
``gridless``       images without pixels of their own
================== ======================================================

May import ``features``, ``matches``, ``kernels``, ``regions``, ``reducers``, ``projections``,
``geometries``, ``catalog``, ``grammar``, ``ground``, ``lookups``, ``pixels``, ``dtypes``,
``properties``, ``values``, ``names`` and ``unsupported`` of ``ee``; ``display``, ``scores``,
``engine``, ``collection`` and ``optional``.
"""

from qmosaic.ee.images.base import listed
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.images.image import Image

__all__ = ["ClippedConstant", "Image", "listed"]


def __dir__() -> list[str]:
    return __all__
