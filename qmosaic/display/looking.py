"""Where a map looks, as numbers: its middle, its zoom level and what it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qmosaic.display.map_pages import View
from qmosaic.display.mercator import Bounds

WORLD: Bounds = [[-85.0, -180.0], [85.0, 180.0]]
"""South, west, north and east of what a map without layers shows."""

SCREEN = (1000, 500)
"""Width and height, in pixels, of a window that the size of a page is taken for."""

TILE = 256
"""The side of the world at zoom level 0, in pixels."""

ZOOM = 10
"""The zoom level at a place where none was asked for."""


def extent(view: View, layers: Sequence[Bounds]) -> tuple[float, float, float, float]:
    """Give west, south, east and north of what a map shows, in a window of usual size."""
    if view.centre is None:
        (south, west), (north, east) = _whole(view, layers)
        return west, south, east, north
    lat, lon = view.centre
    degrees = 360 / (TILE * 2 ** level(view, layers))
    half = SCREEN[0] / 2 * degrees
    middle, high = _stretched(lat), SCREEN[1] / 2 * degrees
    return lon - half, _latitude(middle - high), lon + half, _latitude(middle + high)


def middle(view: View, layers: Sequence[Bounds]) -> tuple[float, float]:
    """Give longitude and latitude of its middle."""
    if view.centre is not None:
        return view.centre[1], view.centre[0]
    (south, west), (north, east) = _whole(view, layers)
    return (west + east) / 2, _latitude((_stretched(south) + _stretched(north)) / 2)


def level(view: View, layers: Sequence[Bounds]) -> int:
    """Give its zoom level: the one that was set, or the highest that shows all of it."""
    if view.zoom is not None:
        return view.zoom
    if view.centre is not None:
        return ZOOM
    (south, west), (north, east) = _whole(view, layers)
    sides = (east - west, _stretched(north) - _stretched(south))
    fits = [
        math.log2(pixels * 360 / (TILE * side))
        for pixels, side in zip(SCREEN, sides, strict=True)
        if side > 0
    ]
    return max(0, min(math.floor(min(fits, default=18)), 18))


def _whole(view: View, layers: Sequence[Bounds]) -> Bounds:
    if view.bounds is not None:
        return view.bounds
    if not layers:
        return WORLD
    south, west = (min(bounds[0][axis] for bounds in layers) for axis in (0, 1))
    north, east = (max(bounds[1][axis] for bounds in layers) for axis in (0, 1))
    return [[south, west], [north, east]]


def _stretched(latitude: float) -> float:
    """Give a latitude as the map draws it (Mercator): in degrees of longitude at the equator."""
    at = math.radians(max(-85.0, min(85.0, latitude)))
    return math.degrees(math.asinh(math.tan(at)))


def _latitude(stretched: float) -> float:
    return math.degrees(math.atan(math.sinh(math.radians(stretched))))
