"""Collections: images of the same bands on one grid, along time.

Each module has some methods of `ImageCollection`, which is made of all of them.

Modules. Each imports only modules below it in this table.

=============== ========================================================
``collection``  ``ImageCollection``, which has the methods of the others
``describing``  descriptions of the images
``linking``     images of other collections; lists of images
``mapping``     functions of every image
``mosaics``     one image, each pixel of one of the images
``reducing``    one image, each pixel a number of those of all images
``aggregating`` numbers of the properties of all images
``choosing``    fewer images, their order
``outlines``    where the images lie
``base``        the images of a collection
``stacking``    images and collections put together
``widening``    images of different regions brought to one map
=============== ========================================================

May import ``images``, ``matches``, ``features``, ``selecting``, ``elements``, ``reducers``,
``geometries``, ``catalog``, ``pixels``, ``properties``, ``values``, ``names`` and ``unsupported``
of ``ee``; ``sources``, ``scores``, ``engine`` and ``collection``.
"""

from qmosaic.ee.collections.collection import ImageCollection

__all__ = ["ImageCollection"]


def __dir__() -> list[str]:
    return __all__
