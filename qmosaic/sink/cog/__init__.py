"""From a deferred mosaic to Cloud Optimized GeoTIFFs.

A module imports only modules below it in this table.

============ ==========================================================================
``calling``  `to_cog`: the order of the steps
``checking`` what a user gives is checked, and what is written is settled
``making``   blocks are made on the scheduler, and come to this process one by one
``choosing`` which variables of a mosaic are written, as which bands
``placing``  files are made in a folder of their own, and put into place when all are there
``earlier``  the files beside the one that was named: which of them are ours
``tiff``     one GeoTIFF: written in parts, then copied in the order of a COG
``files``    which bands lie in which file
``bands``    a band of a file, and how the pixels of a mosaic become its pixels
``images``   the table of the images that a mosaic is made of
``grids``    where the pixels of a file lie
============ ==========================================================================

Why so: a COG has its overviews in front of its pixels, so nothing can write one in a single pass.
GDAL's driver copies a finished file. A file that GDAL writes through rioxarray is held in memory
for that, all of it; odc-geo's ``save_cog_with_dask`` holds the compressed tiles, and needs two more
libraries. Here a temporary GeoTIFF is written block by block, and GDAL copies it with a small
cache: memory is that of a few blocks.
"""

from qmosaic.sink.cog.calling import to_cog

__all__ = ["to_cog"]


def __dir__() -> list[str]:
    return __all__
