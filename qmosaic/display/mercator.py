"""Pictures onto the grid of web maps, and where they lie there.

The grid is that of Web Mercator, turned so that the middle of the picture is its middle: a picture
that crosses the antimeridian stays in one piece. Leaflet draws longitudes beyond 180° where they
belong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array
from qmosaic.optional import needed

RADIUS = 6_378_137.0
"""The radius of Web Mercator's sphere, metres."""

MOST = 85.05
"""The latitude, north and south, up to which a web map is square."""

Bounds = list[list[float]]
"""South-west and north-east, latitude before longitude, degrees."""


def on_web_map(picture: xr.DataArray, crs: Any, max_size: int) -> tuple[xr.DataArray, Bounds]:
    """Bring a picture onto the grid of a web map.

    Parameters
    ----------
    picture : xarray.DataArray
        uint8, (y, x, band), north up, in memory, with its CRS assigned.
    crs : odc.geo.crs.CRS
        That CRS.
    max_size : int
        The most pixels along each side.

    Returns
    -------
    (xarray.DataArray, list)
        The picture, transparent outside the image, and its bounds.

    Raises
    ------
    ValueError
        Nothing of it lies between 85° south and 85° north.
    """
    if crs.geographic:
        return _of_degrees(picture, max_size)
    return _of_projected(picture, crs, max_size)


def _of_degrees(picture: xr.DataArray, max_size: int) -> tuple[xr.DataArray, Bounds]:
    """Columns stay as they are; rows are taken where Mercator has them."""
    down, across = map_axes(picture, "add_layer()")
    bounds = _bounds_of_degrees(picture[down].values, picture[across].values)
    (south, _), (north, _) = bounds
    count = int(min(max_size, 2 * picture.sizes[down]))
    steps = _mercator(north) + (np.arange(count) + 0.5) / count * (
        _mercator(south) - _mercator(north)
    )
    rows = picture.sel({down: np.degrees(np.arctan(np.sinh(steps)))}, method="nearest")
    return rows, bounds


def _of_projected(picture: xr.DataArray, crs: Any, max_size: int) -> tuple[xr.DataArray, Bounds]:
    geobox = needed("odc.geo.geobox", "map", "maps").GeoBox
    down, across = map_axes(picture, "add_layer()")
    middle, (left, bottom, right, top) = _plane(picture[down].values, picture[across].values, crs)
    longest = min(max_size, 2 * max(picture.sizes[down], picture.sizes[across]))
    pixel = max(right - left, top - bottom) / longest
    plane = f"+proj=merc +a={RADIUS} +b={RADIUS} +lon_0={middle} +units=m +no_defs"
    shape = (max(1, round((top - bottom) / pixel)), max(1, round((right - left) / pixel)))
    grid = geobox.from_bbox((left, bottom, right, top), crs=plane, shape=shape, tight=True)
    needed("odc.geo.xr", "map", "maps")  # registers .odc
    moved: xr.DataArray = picture.odc.reproject(grid, resampling="nearest")
    return moved, _degrees(middle, (left, bottom, right, top))


def bounds_of(ys: Array, xs: Array, crs: Any) -> Bounds:
    """Say where a grid lies on a web map.

    Parameters
    ----------
    ys, xs : numpy.ndarray
        The middles of its pixels, rising or falling.
    crs : odc.geo.crs.CRS
        Its CRS.

    Raises
    ------
    ValueError
        Nothing of it lies between 85° south and 85° north.
    """
    if crs.geographic:
        return _bounds_of_degrees(ys, xs)
    return _degrees(*_plane(ys, xs, crs))


def _bounds_of_degrees(ys: Array, xs: Array) -> Bounds:
    (south, north), (west, east) = _edges(ys), _edges(xs)
    south, north = max(south, -MOST), min(north, MOST)
    if south >= north:
        raise ValueError(_nothing())
    turn = 360 * round((west + east) / 720)
    return [[float(south), float(west - turn)], [float(north), float(east - turn)]]


def _plane(ys: Array, xs: Array, crs: Any) -> tuple[float, tuple[float, float, float, float]]:
    """Find the longitude in the middle of a grid, and where it lies on the plane around that: west,
    south, east and north, metres."""
    pyproj = needed("pyproj", "map", "maps")
    to_degrees = pyproj.Transformer.from_crs(crs.proj, "EPSG:4326", always_xy=True)
    lons, lats = to_degrees.transform(*np.meshgrid(_sampled(xs), _sampled(ys)))
    known = np.isfinite(lons) & np.isfinite(lats) & (np.abs(lats) <= MOST)
    if not known.any():
        raise ValueError(_nothing())
    middle = _middle(lons, lats, known)
    away = (lons[known] - middle + 180) % 360 - 180
    heights = _mercator(lats[known])
    left, right = (float(np.radians(f(away))) * RADIUS for f in (np.min, np.max))
    bottom, top = (float(f(heights)) * RADIUS for f in (np.min, np.max))
    return middle, (left, bottom, right, top)


def _degrees(middle: float, plane: tuple[float, float, float, float]) -> Bounds:
    left, bottom, right, top = plane
    west, east = (middle + float(np.degrees(x / RADIUS)) for x in (left, right))
    south, north = (float(np.degrees(np.arctan(np.sinh(y / RADIUS)))) for y in (bottom, top))
    return [[south, west], [north, east]]


def _middle(lons: Array, lats: Array, known: Array) -> float:
    """Give the longitude of the middle of the picture, or of what is known next to it."""
    rows, columns = np.nonzero(known)
    nearest = np.argmin((rows - lons.shape[0] / 2) ** 2 + (columns - lons.shape[1] / 2) ** 2)
    return float(lons[rows[nearest], columns[nearest]])


def _edges(centres: Array) -> tuple[float, float]:
    half = abs(float(centres[-1]) - float(centres[0])) / (2 * (len(centres) - 1))
    return float(min(centres)) - half, float(max(centres)) + half


def _sampled(centres: Array, count: int = 65) -> Array:
    """Give places along an axis, from edge to edge: enough of them for edges that bend."""
    low, high = _edges(centres)
    return np.linspace(low, high, count)


def _mercator(latitude: Any) -> Any:
    return np.arcsinh(np.tan(np.radians(latitude)))


def _nothing() -> str:
    return (
        "add_layer() got an image of which nothing lies between 85° south and 85° north, where a "
        "web map ends. Draw it with qmosaic.quicklook."
    )
