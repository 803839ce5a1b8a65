"""STAC items to a collection, through ``odc.stac``.

A module imports only modules below it in this table.

================= =====================================================
``opening``       the steps, one after the other: `open_stac`
``loading``       the calls of ``odc.stac.load``
``driver``        how odc reads a file
``images``        which items make an image, and what is known of it
``grid``          the grid of the collection
``bands``         dtype, nodata and packing of each band, for all items
``packing``       what integers mean in each item
``band_metadata`` dtype, nodata and packing of a band in one item
``names``         the bands to open, by their names
``survey``        what items leave open is asked of their files
``parsing``       what odc reads in items
``footprints``    where items lie
``items``         items, wherever they come from, in the order of time
``projection``    what items say of grids, put right
``headers``       the headers of files, each read once
``faults``        fields that cannot be what they say
``band_lists``    the lists of bands of assets, put right
``item_packing``  what one item says of the meaning of integers
``addresses``     which file is meant, and whether it may be opened
================= =====================================================
"""

from qmosaic.sources.stac.addresses import Allow
from qmosaic.sources.stac.opening import open_stac

__all__ = [
    "Allow",
    "open_stac",
]


def __dir__() -> list[str]:
    return __all__
