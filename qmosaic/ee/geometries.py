"""``ee.Geometry``: points, boxes, lines and polygons."""

from __future__ import annotations

from typing import Any

from qmosaic.collection.geometry import LON_LAT, as_geometry, projected, short_crs
from qmosaic.ee.unsupported import Hinting
from qmosaic.optional import needed

RADIUS = 6_371_008.8
"""The mean radius of the earth in metres, for circles around points in degrees."""


class Geometry(Hinting):
    """A point, box, line or polygon.

    Parameters
    ----------
    geometry : GeoJSON, shapely geometry, box or Geometry
        What `qmosaic.filter_bounds` takes as a region.
    proj : any CRS, optional
        The CRS of its coordinates; longitude and latitude (EPSG:4326) by default.

    Attributes
    ----------
    geometry : odc.geo.geom.Geometry
        The geometry and its CRS.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Geometry.Point(-103.19, 40.14)
    ee.Geometry.Point(-103.19, 40.14) in EPSG:4326
    >>> ee.Geometry.Point(-103.19, 40.14).getInfo()["coordinates"]
    (-103.19, 40.14)
    >>> ee.Geometry.Rectangle([-104, 40, -103, 41])
    ee.Geometry.Polygon within -104 to -103, 40 to 41 in EPSG:4326
    >>> ee.Geometry.BBox(-104, 40, -103, 41).bounds()
    ee.Geometry.Polygon within -104 to -103, 40 to 41 in EPSG:4326
    >>> ee.Geometry.Polygon([[[-104, 40], [-103, 40], [-103, 41]]]).bounds()
    ee.Geometry.Polygon within -104 to -103, 40 to 41 in EPSG:4326
    >>> ee.Geometry.MultiPolygon([[[[0, 0], [1, 0], [1, 1]]], [[[4, 4], [5, 4], [5, 5]]]])
    ee.Geometry.MultiPolygon within 0 to 5, 0 to 5 in EPSG:4326
    >>> ee.Geometry.LineString([[0, 0], [1, 2]]), ee.Geometry.MultiPoint([[0, 0], [1, 2]])
    (ee.Geometry.LineString within 0 to 1, 0 to 2 in EPSG:4326, \
ee.Geometry.MultiPoint within 0 to 1, 0 to 2 in EPSG:4326)
    >>> ee.Geometry.Point(0, 0).buffer(1000)
    ee.Geometry.Polygon within -0.0089932 to 0.0089932, -0.0089932 to 0.0089932 in EPSG:4326
    """

    _name = "ee.Geometry"

    def __init__(self, geometry: Any, proj: Any = None) -> None:
        given: Any = geometry.geometry if isinstance(geometry, Geometry) else geometry
        self.geometry: Any = as_geometry(given, proj)

    def __repr__(self) -> str:
        west, south, east, north = (f"{n:.6g}" for n in self.geometry.boundingbox.bbox)
        kind, crs = self.geometry.geom_type, short_crs(self.geometry.crs)
        if kind == "Point":
            return f"ee.Geometry.Point({west}, {south}) in {crs}"
        return f"ee.Geometry.{kind} within {west} to {east}, {south} to {north} in {crs}"

    @staticmethod
    def _of(kind: str, coordinates: Any, proj: Any) -> Geometry:
        return Geometry({"type": kind, "coordinates": coordinates}, proj)

    @staticmethod
    def Point(*args: Any, coords: Any = None, proj: Any = None) -> Geometry:
        """Make a point: longitude and latitude, as two numbers or a list."""
        numbers, proj = _flat(args if coords is None else (coords,), proj, 2)
        return Geometry._of("Point", numbers, proj)

    @staticmethod
    def Rectangle(
        *args: Any, coords: Any = None, proj: Any = None, geodesic: Any = None
    ) -> Geometry:
        """Make a box: west, south, east, north, as numbers, a list, or two corners."""
        numbers, proj = _flat(args if coords is None else (coords,), proj, 4)
        return Geometry(tuple(numbers), proj)

    @staticmethod
    def BBox(west: float, south: float, east: float, north: float) -> Geometry:
        """Make a box of longitudes and latitudes, in degrees."""
        return Geometry((west, south, east, north))

    @staticmethod
    def Polygon(*args: Any, coords: Any = None, proj: Any = None, geodesic: Any = None) -> Geometry:
        """Make a polygon: a list of points, or a list of rings; then a CRS."""
        given = list(args) if coords is None else [coords]
        if given and isinstance(given[0], list | tuple):
            rings = list(given[0])
            # Polygon([..], proj, geodesic), or Polygon([x, y], [x, y], ...)
            if len(given) > 1 and isinstance(given[1], list | tuple):
                rings = given
            elif len(given) > 1 and given[1] is not None:
                proj = given[1]
        else:
            rings = given
        if rings and not isinstance(rings[0], list | tuple):  # lon, lat, lon, lat, ...
            rings = [list(pair) for pair in zip(rings[::2], rings[1::2], strict=True)]
        if rings and not isinstance(rings[0][0], list | tuple):
            rings = [rings]
        return Geometry._of("Polygon", rings, proj)

    @staticmethod
    def MultiPolygon(coords: Any, proj: Any = None, *_: Any) -> Geometry:
        """Make a geometry of several polygons."""
        return Geometry._of("MultiPolygon", coords, proj)

    @staticmethod
    def LineString(coords: Any, proj: Any = None, *_: Any) -> Geometry:
        """Make a line."""
        return Geometry._of("LineString", coords, proj)

    @staticmethod
    def MultiPoint(coords: Any, proj: Any = None) -> Geometry:
        """Make a geometry of several points."""
        return Geometry._of("MultiPoint", coords, proj)

    def buffer(self, distance: float, maxError: Any = None) -> Geometry:
        """Widen it by a distance in metres, on a plane that touches the earth at its middle."""
        (lon, lat), *_ = projected(self.geometry.centroid, LON_LAT).points
        plane = f"+proj=aeqd +lat_0={lat} +lon_0={lon} +R={RADIUS} +units=m"
        moved = projected(self.geometry, plane)
        geom = needed("odc.geo.geom", "geo", "regions")
        wide = geom.Geometry(moved.geom.buffer(distance), moved.crs)
        return Geometry(projected(wide, self.geometry.crs))

    def bounds(self) -> Geometry:
        """Give its bounding box."""
        return Geometry(tuple(self.geometry.boundingbox.bbox), self.geometry.crs)

    def getInfo(self) -> dict[str, Any]:
        """Give it as GeoJSON, a dict."""
        info: dict[str, Any] = self.geometry.json
        return info


def _flat(coords: tuple[Any, ...], proj: Any, count: int) -> tuple[list[float], Any]:
    """Take numbers as they are given: one by one, in a list, in a list of pairs; then a CRS."""
    values = list(coords)
    if values and isinstance(values[0], list | tuple):
        proj = values[1] if len(values) > 1 else proj
        values = [n for v in values[0] for n in (v if isinstance(v, list | tuple) else [v])]
    elif len(values) > count:
        values, proj = values[:count], values[count]
    if len(values) != count or not all(isinstance(v, int | float) for v in values):
        raise ValueError(
            f"ee.Geometry got {coords!r}; it takes {count} numbers, longitude first. Write "
            + ("Point(-103.19, 40.14)." if count == 2 else "Rectangle(-104, 40, -103, 41).")
        )
    return values, proj
