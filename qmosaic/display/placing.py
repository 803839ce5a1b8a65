"""Which pixel of an image lies where: exactly, in any CRS, whatever the order of its rows."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import crs_of, map_dims
from qmosaic.collection.masks import Array
from qmosaic.optional import needed

DEEPEST = 30
"""The last zoom level: pixels of a tile are millimetres."""

OUTSIDE = -1
"""In place of the number of a row or column: none lies there."""


def tile_places(x: int, y: int, z: int, size: int) -> tuple[Array, Array] | None:
    """Say where the pixels of a tile of Web Mercator lie.

    Parameters
    ----------
    x, y, z : int
        Its column, row and zoom level.
    size : int
        The pixels along each side.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray), optional
        The longitudes of its columns, (1, size), and the latitudes of its rows, (size, 1), degrees,
        at the middle of pixels. None where there is no such tile.
    """
    if not 0 <= z <= DEEPEST or not (0 <= x < 2**z and 0 <= y < 2**z):
        return None
    steps = (np.arange(size) + 0.5) / size
    lons = (x + steps) / 2**z * 360 - 180
    lats = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + steps) / 2**z))))
    return lons[None, :], lats[:, None]


@dataclass(frozen=True)
class Axis:
    """The rows or the columns of a grid.

    Attributes
    ----------
    edges : numpy.ndarray
        Of the pixels, rising.
    falling : bool
        Whether the first row or column is the one that lies highest.
    around : bool
        Whether these are degrees of longitude, which go around the globe.
    """

    edges: Array
    falling: bool
    around: bool

    @staticmethod
    def of(centres: Any, *, around: bool = False) -> Axis:
        """Find the edges between the middles of pixels.

        Raises
        ------
        ValueError
            There is one only, or they neither rise nor fall.
        """
        centres = np.asarray(centres, float)
        steps = np.diff(centres)
        if not (len(steps) and ((steps > 0).all() or (steps < 0).all())):
            raise ValueError(
                f"add_layer() got an image with {len(centres)} rows or columns whose coordinates "
                "neither rise nor fall, so it has no place or no size on a map. Sort it, "
                "image.sortby(['y', 'x']), or show a larger part."
            )
        falling = bool(steps[0] < 0)
        rising = centres[::-1] if falling else centres
        between = (rising[:-1] + rising[1:]) / 2
        first, last = 2 * rising[0] - between[0], 2 * rising[-1] - between[-1]
        return Axis(np.concatenate([[first], between, [last]]), falling, around)

    @property
    def step(self) -> float:
        """The size of a pixel, in the unit of the CRS."""
        return float(self.edges[-1] - self.edges[0]) / (len(self.edges) - 1)

    def positions(self, places: Array) -> Array:
        """Say how many rows or columns lie before places, with fractions; outside, too, as if the
        axis went on."""
        if self.around:
            middle = (self.edges[0] + self.edges[-1]) / 2
            places = middle + (places - middle + 180) % 360 - 180
        count = len(self.edges) - 1
        found = np.interp(places, self.edges, np.arange(count + 1))
        for edge, step in (
            (self.edges[0], self.edges[1] - self.edges[0]),
            (self.edges[-1], self.edges[-1] - self.edges[-2]),
        ):
            beyond = places < edge if edge == self.edges[0] else places > edge
            found = np.where(beyond, found + (places - edge) / step, found)
        return count - found if self.falling else found

    def numbers(self, places: Array) -> Array:
        """Give the number of the row or column at places, `OUTSIDE` where there is none."""
        if self.around:
            places = self.edges[0] + (places - self.edges[0]) % 360
        found = np.searchsorted(self.edges, places, side="right") - 1
        inside = (places >= self.edges[0]) & (places < self.edges[-1])
        if self.falling:
            found = len(self.edges) - 2 - found
        return np.where(inside, found, OUTSIDE)


class Grid:
    """The grid of an image.

    Attributes
    ----------
    down, across : Axis
        Its rows and columns.
    crs : odc.geo.crs.CRS
        Its CRS.
    """

    def __init__(self, image: xr.Dataset) -> None:
        rows, columns = map_dims(image)
        self.crs = crs_of(image)
        self.down = Axis.of(image[rows].values)
        self.across = Axis.of(image[columns].values, around=bool(self.crs.geographic))
        self._of_thread = threading.local()

    @property
    def step(self) -> float:
        """The size of a pixel, in the unit of the CRS: of a square with the same area."""
        return float(np.sqrt(self.down.step * self.across.step))

    def places(self, lons: Array, lats: Array) -> tuple[Array, Array]:
        """Bring places from degrees to the CRS: down and across, not finite where it has none."""
        if self.crs.geographic:
            return lats, lons
        lons, lats = np.broadcast_arrays((lons + 180) % 360 - 180, lats)
        if lons.size == 1:  # of which older versions of pyproj want the number
            lons, lats = lons.item(), lats.item()
        across, down = self._transformer().transform(lons, lats)
        return np.asarray(down), np.asarray(across)

    def _transformer(self) -> Any:
        """Make PROJ's transformer: one for each thread, which may not share it."""
        if not hasattr(self._of_thread, "made"):
            pyproj = needed("pyproj", "map", "maps")
            made = pyproj.Transformer.from_crs("EPSG:4326", self.crs.proj, always_xy=True)
            self._of_thread.made = made
        return self._of_thread.made

    def pixels(self, down: Array, across: Array) -> tuple[Array, Array]:
        """Give the rows and columns that lie at places of the CRS: `OUTSIDE` where none does."""
        return self.down.numbers(down), self.across.numbers(across)


def apart(down: Array, across: Array, where: Array) -> float:
    """Say how far the pixels of a tile are apart in the CRS of an image: the side of a square as
    large as the middle one of them; infinite where that cannot be told.

    Parameters
    ----------
    down, across : numpy.ndarray
        Where they lie, (y, x) in all.
    where : numpy.ndarray
        Those that count.
    """
    down, across = np.broadcast_arrays(down, across)
    with np.errstate(invalid="ignore"):
        down_y, down_x = np.gradient(down)
        across_y, across_x = np.gradient(across)
        areas = np.abs(down_y * across_x - down_x * across_y)[where]
    areas = areas[np.isfinite(areas)]
    return float(np.sqrt(np.median(areas))) if areas.size else float("inf")
