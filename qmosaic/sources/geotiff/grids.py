"""The grids of files: whether they are one, and how they are cut into chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.geometry import LON_LAT, everywhere, in_words, projected, short_crs
from qmosaic.sources.geotiff.files import File, Image, outline_of
from qmosaic.sources.grids import SAME_PLACE, TILE
from qmosaic.sources.user_warnings import warn

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def check_grids(
    files: Sequence[File], first: File, grid: GeoBox, resampling: Any, wanted: Sequence[str]
) -> None:
    """Refuse files on other grids, unless it is said how they are brought onto one."""
    if not grid.axis_aligned:
        raise ValueError(
            f"{first.path!r} is rotated against its CRS, so its rows and columns have no y and x "
            f"of their own. Write crs={short_crs(grid.crs)!r} for a grid that is not, and that "
            "holds all files; or give one, geobox=..., and say how the files are brought onto it, "
            "resampling='nearest'."
        )
    for file in files:
        said = resampling is not None and (
            not isinstance(resampling, Mapping)
            or "*" in resampling
            or set(file.bands) & set(wanted) <= set(resampling)
        )
        if file.grid == grid or said:
            continue
        raise ValueError(
            f"{file.path!r} is on another grid ({in_words(file.grid)}) than "
            + (f"{first.path!r}" if first.grid == grid else "geobox=")
            + f" ({in_words(grid)}). For a grid that holds all images write "
            f"crs={short_crs(grid.crs)!r}, with resolution=... and bbox=... if you like. To have "
            "all files brought onto the grid of the latter, say how: resampling='nearest' "
            "(classes, masks), 'bilinear', 'cubic', 'average', or by band {'SCL': 'nearest', '*': "
            "'bilinear'}; for another grid add geobox=..."
        )


def settled_on(file: File, grid: GeoBox) -> File:
    """Let a file lie exactly on a grid from which rounding alone has moved it."""
    apart = file.grid.crs != grid.crs or file.grid.shape != grid.shape
    if apart or file.grid == grid:
        return file
    height, width = grid.shape
    corners = ((0, 0), (width, height))
    moved = [~grid.transform * (file.grid.transform * corner) for corner in corners]
    return replace(file, grid=grid) if np.allclose(moved, corners, atol=SAME_PLACE) else file


def warn_of_images_outside(images: Sequence[Image], grid: GeoBox) -> None:
    """Say that images lie where the grid does not reach: all of their pixels are masked."""
    region = everywhere(projected(grid.extent, LON_LAT))
    outside = [
        image
        for image in images
        if image.files and not projected(outline_of(image), LON_LAT).intersects(region)
    ]
    if outside:
        warn(
            f"{len(outside)} of {len(images)} images, {outside[0].name!r} first, lie outside the "
            f"grid of the collection ({in_words(grid)}): nothing of them will be seen. For a grid "
            f"that holds all of them write crs={short_crs(grid.crs)!r} (and no geobox=).",
        )


def chunks_of(file: File, grid: GeoBox) -> dict[str, int]:
    """Read whole tiles of a file, several where they are small; strips in full width."""
    height, width = grid.shape
    down, across = file.tile
    if across >= width:
        rows = max(1, TILE * TILE // (width * down)) * down
        return {"y": min(height, rows), "x": width}
    return {
        "y": min(height, max(1, TILE // down) * down),
        "x": min(width, max(1, TILE // across) * across),
    }
