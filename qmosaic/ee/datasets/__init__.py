"""What is known of Earth Engine's collections: names of their bands and of their properties.

The names are those of the pages of Earth Engine's catalogue, each module says which; the other
names are those under which STAC catalogues and files have the same. Modules. Each imports only
modules below it in this table.

============== ==============================================================================
``ids``        the collections by their ids
``sentinel_2`` Sentinel-2, its cloud probabilities, Cloud Score+
``sentinel_1`` Sentinel-1
``landsat``    Landsat 4 to 9, Collection 2
``modis``      MODIS: reflectances, indices, temperatures, snow, fires
``known``      what the tables are made of
============== ==============================================================================
"""

from qmosaic.ee.datasets.ids import known
from qmosaic.ee.datasets.known import Known, Property, plain_name

__all__ = [
    "Known",
    "Property",
    "known",
    "plain_name",
]


def __dir__() -> list[str]:
    return __all__
