"""Grids: how they are cut into chunks, and when two of them count as one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.optional import needed
from qmosaic.sources.request import DIM, Request

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


SAME_PLACE = 1e-3
"""How far grids may be apart, in pixels, and count as one."""

TILE = 2048
"""Pixels along each side of a chunk, where neither the user nor the source says anything."""

IN_DEGREES = {"latitude": "y", "longitude": "x"}
"""What the dimensions of a grid in degrees may be called as well."""

MAX_CHUNKS = 100_000
"""How many chunks an image may have: 4e11 pixels in chunks of 2048, the land of Africa at 10 m."""


def check_alone(crs: Any, resolution: Any, bbox: Any) -> None:
    """Refuse what says something of a grid that is given as a whole."""
    if crs is not None or resolution is not None or bbox is not None:
        raise TypeError(
            "geobox= is a whole grid, so crs=, resolution= and bbox= have no say beside it. "
            "Give either that or these."
        )


def different(crs: Iterable[Any]) -> list[Any]:
    """Leave of CRSs those that differ, however they are written; in the order of their names."""
    found: list[Any] = []
    for other in dict.fromkeys(crs):
        if other not in found:
            found.append(other)
    return sorted(found, key=str)


def size_of(resolution: Any) -> Any:
    """Understand a pixel size: a number, or (down, across)."""
    if isinstance(resolution, str):
        raise TypeError(f"resolution={resolution!r} is no number. Write resolution=10.")
    if resolution is None or not isinstance(resolution, int | float | tuple | list):
        return resolution
    sizes = np.broadcast_to(np.asarray(resolution, float), 2)
    if not (np.isfinite(sizes).all() and (sizes != 0).all()):
        raise ValueError(f"resolution={resolution!r} is no pixel size: give a number above 0.")
    make = needed("odc.geo", "geo", "grids").resyx_
    return make(-abs(float(sizes[0])), abs(float(sizes[1])))


def lattice_of(grids: Sequence[GeoBox], size: Any) -> GeoBox | None:
    """Find a grid whose pixels have this size and lie where those of the most files do."""
    found: dict[Any, GeoBox] = {}
    places: Counter[Any] = Counter()
    for grid in grids:
        if not grid.axis_aligned or _differ(grid, size):
            continue
        corner = grid.transform.c / size.x, grid.transform.f / size.y
        place = tuple(round(side % 1 / SAME_PLACE) % round(1 / SAME_PLACE) for side in corner)
        found.setdefault(place, grid)
        places[place] += 1
    return found[places.most_common(1)[0][0]] if places else None


def _differ(grid: GeoBox, size: Any) -> bool:
    """Tell whether pixels of a size would be elsewhere at the other end of a grid."""
    pairs = (grid.resolution.y, size.y), (grid.resolution.x, size.x)
    return any(abs(own - to) * max(grid.shape) > SAME_PLACE * abs(own) for own, to in pairs)


def sizes_of_chunks(request: Request, usual: Mapping[str, int]) -> dict[Any, Any]:
    """Settle the sizes of chunks on the map; along time each image is one."""
    if request.chunks is None:
        return {**usual}
    chunks = _by_y_and_x(request.chunks)
    if chunks.pop(DIM, 1) not in (1, "auto", -1):
        raise ValueError(
            f"chunks= asks for {request.chunks[DIM]} images in a chunk; images that are read from "
            "files of their own are a chunk each. Leave 'time' out of chunks=."
        )
    return {**usual, **chunks}


def _by_y_and_x(chunks: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """Take latitude for y and longitude for x, as a grid in degrees may call them."""
    for degrees, name in IN_DEGREES.items():
        if degrees in chunks and name in chunks:
            raise ValueError(
                f"chunks= has {degrees!r} and {name!r}, which are one dimension. Write one of them."
            )
    return {IN_DEGREES.get(str(dim), dim): size for dim, size in chunks.items()}


def check_number_of_chunks(grid: GeoBox, chunks: Mapping[Any, Any]) -> None:
    """Refuse a grid of so many chunks that to list them alone takes minutes."""
    sides = {"y": grid.shape[0], "x": grid.shape[1]}
    sizes = {dim: chunks.get(dim) for dim in sides}
    number = math.prod(
        -(-side // size) if isinstance(size := sizes[dim], int) and size > 0 else 1
        for dim, side in sides.items()
    )
    if number > MAX_CHUNKS:
        raise ValueError(
            f"the grid has {sides['y']} × {sides['x']} pixels of {abs(grid.resolution.x):g}, which "
            f"is {number} chunks of {sizes['y']} × {sizes['x']} for each image and band; more than "
            f"{MAX_CHUNKS} are not opened. Check the pixel size and shape (resolution=, geobox=, "
            "proj:transform and proj:shape of the items); cut the grid, bbox=...; or take larger "
            "chunks, chunks={'y': 8192, 'x': 8192}."
        )


def check_dimensions_of_chunks(
    request: Request, dims: Sequence[Hashable], others: Sequence[Hashable] = ()
) -> None:
    """Refuse sizes of chunks for dimensions that a collection will not have."""
    for dim in request.chunks or ():
        if dim not in dims and dim not in others:
            raise ValueError(
                f"chunks= has {dim!r}, which is no dimension of the collection; there are "
                f"{', '.join(map(repr, dims))}. Name one of these in chunks=, or leave {dim!r} out."
            )
