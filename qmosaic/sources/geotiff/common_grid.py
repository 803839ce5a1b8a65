"""The grid that holds all images: made of what the user says of it, and of the grids of the
files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qmosaic.collection.geometry import (
    LON_LAT,
    as_crs,
    as_geometry,
    everywhere,
    projected,
    short_crs,
)
from qmosaic.optional import needed
from qmosaic.sources.geotiff.files import File, Image, outline_of
from qmosaic.sources.grids import SAME_PLACE, different, lattice_of, size_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def touching(images: Sequence[Image], bbox: Sequence[float]) -> list[Image]:
    """Keep the images that touch a box in degrees; of the others nothing would be on the map."""
    region = everywhere(as_geometry(tuple(bbox)))
    outlines = [projected(outline_of(i), LON_LAT) if i.files else None for i in images]
    kept = [
        image
        for image, outline in zip(images, outlines, strict=True)
        if outline is None or outline.intersects(region)
    ]
    if not any(image.files for image in kept):
        name, outline = next((i.name, o) for i, o in zip(images, outlines, strict=True) if o)
        box = tuple(round(number, 5) for number in outline.boundingbox.bbox)
        raise ValueError(
            f"bbox={tuple(bbox)} (west, south, east, north; degrees) left none of {len(images)} "
            "images: none of them touches it. Check the order of its numbers, or give a larger "
            f"one; {name!r}, for instance, has the bbox {box}."
        )
    return kept


def common_grid(
    files: Sequence[File], crs: Any, resolution: Any, bbox: Sequence[float] | None
) -> GeoBox:
    """Make the grid that holds all files, in whole pixels.

    Parameters
    ----------
    files : sequence of File
        The files of all images.
    crs : any CRS, optional
        By default that of the files, if they share one. "utm": the zone in which they lie.
    resolution : float or (float, float), optional
        By default the smallest pixels of the files in that CRS.
    bbox : (west, south, east, north), optional
        The grid is what holds this box, in degrees, and not all files.
    """
    make = needed("odc.geo.geobox", "geotiff", "grids").GeoBox
    size = size_of(resolution)
    crs = _settled_crs(files, crs, bbox)
    own = [file.grid for file in files if file.grid.crs == crs]
    if size is None and not own:
        used = ", ".join(map(short_crs, different([file.grid.crs for file in files])))
        raise ValueError(
            f"crs={short_crs(crs)!r} is not that of the files ({used}), so their pixel size says "
            "nothing there. Give resolution=..., in the unit of that CRS."
        )
    if size is None:
        size = size_of(min(_sizes(grid) for grid in own))
    box = _box(files, crs, bbox)
    lattice = lattice_of(own, size)
    if lattice is not None:
        # what rounding has moved over an edge is worth no further pixel
        return lattice.enclosing(box.buffered(*(-SAME_PLACE * abs(side) for side in size.xy)))
    made: GeoBox = make.from_bbox(box, resolution=size)
    return made


def _box(files: Sequence[File], crs: Any, bbox: Sequence[float] | None) -> Any:
    """Give the box that a grid has to hold, in its CRS."""
    if bbox is not None:
        return projected(as_geometry(tuple(bbox)), crs).boundingbox
    union = needed("odc.geo.geom", "geotiff", "grids").bbox_union
    outlines = {file.grid: projected(file.grid.extent, crs).boundingbox for file in files}
    return union(outlines.values())


def _settled_crs(files: Sequence[File], crs: Any, bbox: Sequence[float] | None) -> Any:
    if crs == "utm":
        geom = needed("odc.geo.geom", "geotiff", "grids")
        boxes = [projected(file.grid.extent, LON_LAT).boundingbox for file in files]
        given = as_geometry(tuple(bbox)).boundingbox if bbox is not None else None
        return geom.CRS.utm(given or geom.bbox_union(boxes))
    if crs is not None:
        return as_crs(crs)
    used = different([file.grid.crs for file in files])
    if len(used) > 1:
        raise ValueError(
            f"the files are in several CRSs ({', '.join(map(short_crs, used))}), and one grid has "
            f"to hold them all. Say which: crs={short_crs(used[0])!r}, or geobox=... for a whole "
            "grid."
        )
    return used[0]


def _sizes(grid: GeoBox) -> tuple[float, float]:
    """Give the size of pixels, down and across; of those that are rotated, along their sides."""
    across, down = grid.transform.column_vectors[:2]
    return _length(down), _length(across)


def _length(vector: Sequence[float]) -> float:
    return float((vector[0] ** 2 + vector[1] ** 2) ** 0.5)
