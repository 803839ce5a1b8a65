"""The mosaic itself: decide which image wins each pixel, then read only what won.

A module imports only modules below it in this table.

================ ==============================================================
``image_counts`` how many pixels of a mosaic each image gave
``medoid``       `medoid`: the image closest to the median
``mosaic``       `quality_mosaic`, `best_images`: arguments, bands, attributes
``continuing``   a mosaic that is there and new images: the mosaic of all of them
``arrays``       collections in one DataArray, with a dimension of bands
``attributes``   coordinates, attributes and encodings of a mosaic
``bands``        the bands of a mosaic: decide, decide anew, take
``request``      the arguments, checked and settled
``provenance``   names of what is said of where pixels come from
``ordering``     the bands that order the images, and how each does
``rules``        the arguments as they are given
``surroundings`` what lies around a pixel has a say: arguments, settled
``periods``      which images are of which period
``lazy``         decide and take, deferred
``eager``        decide and take, at once
``smoothing``    means over what lies around each pixel of an array
``graph``        decide and take as layers of a dask graph; deferred chunks
``within``       several images a pixel: those whose quality is close to the best
``closest``      the image closest to the median of all
``reducing``     bands reduced over the images that count
``neighbours``   images that win what lies around a pixel are preferred
``takers``       what is made of the winners of a window of the map
``members``      which images count at which pixels of a window
``deciders``     what decides which images win a window of the map
``blocks``       decide and take for one block of the map
``reading``      how a task reads: repetitions, counts, errors that name chunks
``chunk_checks`` the shape and dtype that a chunk must have
``ranking``      the best few images, and orders of several bands
``kernels``      the rules on numpy arrays: which image wins, what is taken
``threads``      threads that nobody has to wait for
``scheduling``   the active scheduler, without importing distributed for nothing
================ ==============================================================

May import ``collection``.
"""

from qmosaic.engine.chunk_checks import UnexpectedChunkError
from qmosaic.engine.image_counts import contributions
from qmosaic.engine.medoid import medoid
from qmosaic.engine.mosaic import best_images, mosaic_by_period, quality_mosaic
from qmosaic.engine.reading import ChunkReadError

__all__ = [
    "ChunkReadError",
    "UnexpectedChunkError",
    "best_images",
    "contributions",
    "medoid",
    "mosaic_by_period",
    "quality_mosaic",
]


def __dir__() -> list[str]:
    return __all__
