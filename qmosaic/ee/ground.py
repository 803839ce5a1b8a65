"""Where pixels lie on the ground, and how large they are there."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.geometry import LON_LAT
from qmosaic.collection.location import crs_of, map_dims
from qmosaic.collection.masks import Array
from qmosaic.collection.transforms import even_step
from qmosaic.optional import needed
from qmosaic.scores.expressions import by_chunk


def areas(grid: xr.Dataset) -> xr.DataArray:
    """Give the area of each pixel on the ellipsoid, in square metres.

    Parameters
    ----------
    grid : xarray.Dataset
        A map with evenly spaced coordinates and a CRS.

    Returns
    -------
    xarray.DataArray
        Without time, float64; lazy where the bands of the map are, in their chunks.

    Raises
    ------
    ValueError
        Nothing declares the CRS, or the coordinates are not evenly spaced.

    Notes
    -----
    In a geographic CRS it is the area between two parallels and two meridians (Snyder, Map
    Projections - A Working Manual, 1987, equation 3-12, differences of q). In a projected CRS it is
    that of the four-sided figure between the corners of the pixel, which `pyproj` brings onto the
    ellipsoid: so it is the true area, whatever the projection does to it, up to its curvature (a
    part in 10⁸ at 1 km).
    """
    crs = crs_of(grid)
    geod: Any = crs.proj.get_geod()
    caller = "ee.Image.pixelArea()"
    lows_highs = [ends for dim in map_dims(grid) for ends in edges(grid, dim, caller)]
    along = along_chunks(grid, lows_highs)
    if crs.geographic:
        return by_chunk(_between_parallels, along, "float64", a=geod.a, squared=geod.es)
    wkt = crs.proj.to_wkt()
    return by_chunk(_between_corners, along, "float64", crs=wkt, a=geod.a, squared=geod.es)


def longitudes_latitudes(grid: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Give longitude and latitude of the centre of each pixel, in degrees (EPSG:4326): float64."""
    crs = crs_of(grid)
    centres = along_chunks(grid, [grid[dim].astype("float64") for dim in map_dims(grid)])
    wkt = None if crs == LON_LAT else crs.proj.to_wkt()
    of = functools.partial(by_chunk, _in_degrees, centres, "float64", crs=wkt)
    return of(which=0), of(which=1)


Frame = tuple[str | None, float, float]
"""A CRS: its text (None, where it is geographic), and its ellipsoid: half the longer axis in
metres, and the eccentricity squared."""


def frame_and_edges(grid: xr.Dataset, caller: str) -> tuple[Frame, list[xr.DataArray]]:
    """Give what `pixel_vectors` needs of a map: its CRS, and the edges of pixels in it: upper,
    lower, left and right, in the order of rows and columns, whichever way the coordinates go.

    Raises
    ------
    ValueError
        Nothing declares the CRS, or the coordinates are not evenly spaced.
    """
    still = grid.isel(time=0, drop=True) if "time" in grid.dims else grid
    crs = crs_of(still)
    geod: Any = crs.proj.get_geod()
    found: list[xr.DataArray] = []
    for dim in map_dims(still):
        low_high = edges(still, dim, caller)
        falling = still[dim].values[0] > still[dim].values[-1]
        found += low_high[::-1] if falling else low_high
    wkt = None if crs.geographic else crs.proj.to_wkt()
    return (wkt, geod.a, geod.es), along_chunks(still, found)


def pixel_vectors(
    upper: Array, lower: Array, left: Array, right: Array, frame: Frame
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Give where a pixel goes: from its left to its right edge, and from its upper to its lower
    one, each in metres to the east and to the north on the ellipsoid.

    The radii of curvature are those of Snyder, Map Projections - A Working Manual, 1987, equations
    4-18 (of a meridian) and 4-20.
    """
    wkt, a, squared = frame
    x, y = (left + right) / 2, (upper + lower) / 2
    if wkt is None:
        degrees = [(left, y), (right, y), (x, upper), (x, lower)]
    else:
        places = ((left, y), (right, y), (x, upper), (x, lower))
        degrees = [_degrees(one, other, wkt, None) for one, other in places]
    latitude = np.radians((degrees[2][1] + degrees[3][1]) / 2)
    curved = 1 - squared * np.sin(latitude) ** 2
    to_east, to_north = a / np.sqrt(curved) * np.cos(latitude), a * (1 - squared) / curved**1.5

    def between(first: Any, second: Any) -> tuple[Array, Array]:
        turned = np.remainder(second[0] - first[0] + 180, 360) - 180  # over the 180th meridian
        return to_east * np.radians(turned), to_north * np.radians(second[1] - first[1])

    return between(*degrees[:2]), between(*degrees[2:])


def edges(grid: xr.Dataset, dim: Hashable, caller: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Give the lower and the upper edge of pixels along a dimension of a map."""
    centres = grid[dim].astype("float64")
    step = even_step(centres.values)
    if step is None:
        raise ValueError(
            f"{caller} needs evenly spaced pixels, and those along {dim!r} are not, or "
            "there is only one. Bring the images onto a regular grid first, with "
            "open_collection(..., geobox=...) or odc-geo's reproject."
        )
    return centres - abs(step) / 2, centres + abs(step) / 2


def along_chunks(grid: xr.Dataset, along: list[xr.DataArray]) -> list[xr.DataArray]:
    """Chunk numbers of rows and columns as the bands of a map are: what is computed of them is as
    lazy as these, and reads none of them."""
    bands = [band for band in grid.data_vars.values() if band.chunks]
    chunks = max(bands, key=lambda band: band.ndim).chunksizes if bands else {}
    return [
        xr.DataArray(
            da.from_array(one.values, chunks=(chunks[one.dims[0]],))
            if one.dims[0] in chunks
            else one.values,
            dims=one.dims,
        )
        for one in along
    ]


def _between_parallels(
    south: Array, north: Array, west: Array, east: Array, *, a: float, squared: float
) -> Array:
    bands = _authalic(north, squared) - _authalic(south, squared)
    areas: Array = bands * (a**2 / 2) * np.radians(east - west)
    return areas


def _authalic(latitude: Array, squared: float) -> Array:
    """Compute q, which grows with latitude as the area of the ellipsoid does."""
    sine, e = np.sin(np.radians(latitude)), np.sqrt(squared)
    if e == 0:
        return np.asarray(2 * sine)
    bent = np.log((1 - e * sine) / (1 + e * sine)) / (2 * e)
    q: Array = (1 - squared) * (sine / (1 - squared * sine**2) - bent)
    return q


def _between_corners(
    south: Array, north: Array, west: Array, east: Array, *, crs: str, a: float, squared: float
) -> Array:
    """Compute half the cross product of the diagonals of each pixel, in space."""
    first, second, third, fourth = (
        _in_space(x, y, crs, a, squared)
        for x, y in ((west, south), (east, south), (east, north), (west, north))
    )
    (a_x, a_y, a_z), (b_x, b_y, b_z) = third - first, fourth - second
    turned = (a_y * b_z - a_z * b_y, a_z * b_x - a_x * b_z, a_x * b_y - a_y * b_x)
    areas: Array = np.sqrt(sum(one**2 for one in turned)) / 2
    return areas


def _in_space(x: Array, y: Array, crs: str, a: float, squared: float) -> Array:
    longitude, latitude = map(np.radians, _degrees(x, y, crs, None))
    sine = np.sin(latitude)
    radius = a / np.sqrt(1 - squared * sine**2)
    flat, up = radius * np.cos(latitude), radius * (1 - squared) * sine
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), up])


def _in_degrees(y: Array, x: Array, *, crs: str | None, which: int) -> Array:
    if crs is None:
        return np.array(np.broadcast_arrays(x, y)[which])
    return _degrees(x, y, crs, LON_LAT)[which]


def _degrees(x: Array, y: Array, crs: str, into: str | None) -> tuple[Array, Array]:
    places: Any = np.broadcast_arrays(x, y)
    shape = places[0].shape
    if places[0].size == 1:  # old pyproj takes it for a number, and warns
        places = [one.item() for one in places]
    longitude, latitude = _to_degrees(crs, into).transform(*places)
    return np.reshape(longitude, shape), np.reshape(latitude, shape)


@functools.lru_cache(maxsize=8)
def _to_degrees(crs: str, into: str | None) -> Any:
    """Give what brings coordinates into degrees: those of a CRS, or on the ellipsoid of its own."""
    pyproj = needed("pyproj", "geo", "areas and places of pixels")
    own = pyproj.CRS.from_wkt(crs)
    return pyproj.Transformer.from_crs(own, into or own.geodetic_crs, always_xy=True)
