"""From files, stores and catalogues to a collection: Zarr, NetCDF, STAC items, GeoTIFFs.

A room imports only rooms below it.

================= =====================================================
``opening``       the door: `open_collection`
``from_stac``     STAC items
``from_geotiff``  GeoTIFFs
``from_arrays``   Zarr stores and NetCDF files
``odc_driver``    how odc reads a file
``warping``       images onto a grid, the same for every chunking
``stac_items``    what STAC items say, put right where it is damaged
``stac_packing``  what STAC items say of the meaning of integers
``geotiff_files`` what headers and names of GeoTIFFs say
``assembly``      what the readers share: bands, nodata, joining images
``sentinel_2``    what its processing baselines did to integers
``packing``       what integers mean, and one meaning for all images
``samples``       sample data
================= =====================================================

May import ``collection`` and ``optional``.
"""

from qmosaic.sources.opening import open_collection

__all__ = [
    "open_collection",
]


def __dir__() -> list[str]:
    return __all__
