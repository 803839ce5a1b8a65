"""Images: bands on one grid, and properties.

Each module has some methods of `Image`, which is made of all of them.

Modules. Each imports only modules below it in this table.

=============== ==============================================="""

from qmosaic.ee.images.base import listed
from qmosaic.ee.images.gridless import ClippedConstant
from qmosaic.ee.images.image import Image

__all__ = ["ClippedConstant", "Image", "listed"]


def __dir__() -> list[str]:
    return __all__
