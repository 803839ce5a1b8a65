"""How images are brought onto another grid: so that their pixels do not depend on chunks.

GDAL estimates two things anew for each piece that it is asked for, and with them its pixels change:
where a pixel comes from (exact at some places of a row, between them on straight lines that may be
0.125 of a pixel off), and how many pixels of the file are weighed for one of the grid. Here both
are the same for every piece of a grid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.gcp import GCPGeoBox
    from odc.geo.geobox import GeoBox

TOLERANCE = 1e-6
"""By how much of a file's pixel a place may be off; rasterio does not take 0 for a WarpedVRT."""

ALIKE = 0.05
"""Up to which difference a ratio of pixel sizes counts as a whole number, as GDAL has it."""


def how_to_warp(file: GeoBox | GCPGeoBox, grid: GeoBox) -> dict[str, Any]:
    """Settle how a file is brought onto a grid, as arguments of ``rasterio.vrt.WarpedVRT``.

    https://gdal.org/en/stable/api/gdalwarp_cpp.html, XSCALE and YSCALE: automatically computed for
    each processing chunk, "such variations can be undesired".

    Parameters
    ----------
    file, grid : odc GeoBox
        The grid of the file, and that of the whole collection.
    """
    across, down = (_scale(size) for size in pixels_for_one(file, grid))
    return {"tolerance": TOLERANCE, "XSCALE": across, "YSCALE": down}


def pixels_for_one(file: GeoBox | GCPGeoBox, grid: GeoBox) -> tuple[float, float]:
    """Count the pixels of a file, across and down, that one pixel of a grid is as large as; in the
    middle of what the grid holds of the file. (1, 1) where they do not meet."""
    overlap = needed("odc.geo.overlap", "geo", "grids")
    sizes = tuple(map(abs, overlap.compute_reproject_roi(file, grid).scale2.xy))
    across, down = sizes if all(map(math.isfinite, sizes)) and all(sizes) else (1.0, 1.0)
    return float(across), float(down)


def _scale(size: float) -> float:
    """Say a number of pixels for one as GDAL does; enlarging, one is enough for one."""
    if size <= 1:
        return 1.0
    return 1.0 / (round(size) if abs(size - round(size)) < ALIKE else size)
