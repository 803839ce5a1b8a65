"""What a collection is, and what makes a smaller one of it.

A module imports only modules below it in this table.

================ =============================================
``filters``      fewer images, fewer bands, other bands
``requests``     the grid of a request: cut to a region, brought onto another grid
``nearest``      images on another grid, by nearest neighbour
``clipping``     maps cut to a region
``zones``        zones of a map: a raster of labels, or polygons
``levels``       the overviews of a map that was opened from a store
``kinds``        kinds of bands: measurements and codes
``model``        its images, its bands, and the checks
``declarations`` what a band declares: its nodata, its packing
``grid``         the size of pixels
``transforms``   transforms that attributes declare, kept true
``location``     where a collection lies: axes, CRS, extent
``geometry``     regions as people give them, in any CRS
``rasterizing``  which pixels lie in a shape
``times``        times as people write them
``means``        means over what lies around each pixel
``pixelwise``    functions of single pixels
``masks``        what is masked, on numpy arrays
``readers``      xarray's readers of Zarr and NetCDF
================ =============================================

May import ``optional``.
"""

from qmosaic.collection.clipping import clip
from qmosaic.collection.filters import filter_bounds, filter_date, map_images, select

__all__ = [
    "clip",
    "filter_bounds",
    "filter_date",
    "map_images",
    "select",
]


def __dir__() -> list[str]:
    return __all__
