"""``ee.Geometry``: points, boxes, lines and polygons."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from qmosaic.collection.geometry import LON_LAT, as_crs, as_geometry, projected, short_crs
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import Boolean, List, Number, String, known
from qmosaic.optional import needed

RADIUS = 6_371_008.8
"""The mean radius of the earth in metres, for circles around points in degrees."""


class Geometry(Hinting):
    """A point, box, line or polygon.

    Parameters
    ----------
    geometry : GeoJSON, shapely geometry, box, Geometry, Feature or FeatureCollection
        What `qmosaic.filter_bounds` takes as a region. Of several features, all together.
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
    [-103.19, 40.14]
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
    >>> ee.Geometry.MultiLineString([[[0, 0], [1, 2]], [[1, 2], [3, 3]]]).geometries()
    [ee.Geometry.LineString within 0 to 1, 0 to 2 in EPSG:4326, \
ee.Geometry.LineString within 1 to 3, 2 to 3 in EPSG:4326]
    >>> ring = ee.Geometry.LinearRing([[0, 0], [1, 0], [1, 1], [0, 0]])
    >>> ring.type(), ring.coordinates(), ring.toGeoJSON() == ring.getInfo()
    ('LinearRing', [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], True)
    >>> ee.Geometry.Point(0, 0).toGeoJSONString()
    '{"type": "Point", "coordinates": [0.0, 0.0]}'

    Other geometries:

    >>> west, east = ee.Geometry.BBox(0, 0, 2, 1), ee.Geometry.BBox(1, 0, 3, 1)
    >>> west.intersection(east), west.difference(east)
    (ee.Geometry.Polygon within 1 to 2, 0 to 1 in EPSG:4326, \
ee.Geometry.Polygon within 0 to 1, 0 to 1 in EPSG:4326)
    >>> west.union(east), west.symmetricDifference(east).type()
    (ee.Geometry.Polygon within 0 to 3, 0 to 1 in EPSG:4326, 'MultiPolygon')
    >>> west.intersects(east), west.contains(east), west.disjoint(east), west.containedIn(west)
    (True, False, False, True)
    >>> west.simplify(1000).type(), west.dissolve().type(), west.transform("EPSG:3857").bounds()
    ('Polygon', 'Polygon', \
ee.Geometry.Polygon within 0 to 222639, 0 to 111325 in EPSG:3857)
    >>> ee.Geometry.Point(0, 0).buffer(1000)
    ee.Geometry.Polygon within -0.0089932 to 0.0089932, -0.0089932 to 0.0089932 in EPSG:4326

    In metres on the ellipsoid, or in the plane of a CRS:

    >>> square = ee.Geometry.BBox(0, 0, 1, 1)
    >>> round(square.area().divide(1e6)), round(square.perimeter().divide(1000))
    (12309, 444)
    >>> round(ee.Geometry.LineString([[0, 0], [0, 1]]).length().divide(1000))
    111
    >>> ee.Geometry.Rectangle([0, 0, 20, 10], "EPSG:32633").area(proj="EPSG:32633")
    200
    """

    _name = "ee.Geometry"

    def __init__(self, geometry: Any, proj: Any = None, *_: Any, **__: Any) -> None:
        geometry = known(geometry, "ee.Geometry()")
        given: Any = geometry.geometry if isinstance(geometry, Geometry) else geometry
        self.geometry: Any = as_geometry(given, proj)

    def __repr__(self) -> str:
        if self.geometry.is_empty:
            return "ee.Geometry, empty"
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
    def LinearRing(coords: Any, proj: Any = None, *_: Any) -> Geometry:
        """Make a line that ends where it starts."""
        return Geometry._of("LinearRing", coords, proj)

    @staticmethod
    def MultiLineString(coords: Any, proj: Any = None, *_: Any) -> Geometry:
        """Make a geometry of several lines."""
        return Geometry._of("MultiLineString", coords, proj)

    @staticmethod
    def MultiPoint(coords: Any, proj: Any = None) -> Geometry:
        """Make a geometry of several points."""
        return Geometry._of("MultiPoint", coords, proj)

    # -- other geometries ------------------------------------------------------------------------

    def buffer(self, distance: Any, maxError: Any = None, proj: Any = None) -> Geometry:
        """Widen it by a distance in metres, on a plane that touches the earth at its middle.

        With `proj` the distance is in the units of that CRS.
        """
        wide = float(known(distance, "ee.Geometry.buffer()"))
        plane = self._plane() if proj is None else as_crs(proj)
        return self._in(plane, lambda shape: shape.buffer(wide))

    def bounds(self, maxError: Any = None, proj: Any = None) -> Geometry:
        """Give its bounding box, in its own CRS or another."""
        shape = self.geometry if proj is None else projected(self.geometry, proj)
        return Geometry(tuple(shape.boundingbox.bbox), shape.crs)

    def centroid(self, maxError: Any = None, proj: Any = None) -> Geometry:
        """Give the point in its middle: that of its areas, else of its lines, else of its points.

        Examples
        --------
        >>> from qmosaic import ee
        >>> ee.Geometry.LineString([[0, 0], [2, 0]]).centroid()
        ee.Geometry.Point(1, 0) in EPSG:4326
        """
        return self._in(self._plane(), lambda shape: shape.centroid)

    def simplify(self, maxError: Any, proj: Any = None) -> Geometry:
        """Leave out points of its outline, so that it moves by no more than some metres."""
        tolerance = float(known(maxError, "ee.Geometry.simplify()"))
        plane = self._plane() if proj is None else as_crs(proj)
        return self._in(plane, lambda shape: shape.simplify(tolerance), bent=False)

    def dissolve(self, maxError: Any = None, proj: Any = None) -> Geometry:
        """Merge its parts where they overlap."""
        return self._with(needed("shapely", "geo", "regions").unary_union(self.geometry.geom))

    def transform(self, proj: Any = LON_LAT, maxError: Any = None) -> Geometry:
        """Bring it into another CRS."""
        return self._kept(projected(self.geometry, as_crs(proj)))

    def intersection(self, right: Any, maxError: Any = None, proj: Any = None) -> Geometry:
        """Give what it has in common with another one, which may be nothing."""
        return self._with(self.geometry.geom.intersection(self._other(right)))

    def union(self, right: Any, maxError: Any = None, proj: Any = None) -> Geometry:
        """Merge it with another one."""
        return self._with(self.geometry.geom.union(self._other(right)))

    def difference(self, right: Any, maxError: Any = None, proj: Any = None) -> Geometry:
        """Take another one out of it."""
        return self._with(self.geometry.geom.difference(self._other(right)))

    def symmetricDifference(self, right: Any, maxError: Any = None, proj: Any = None) -> Geometry:
        """Give what is in one of the two, and not in both."""
        return self._with(self.geometry.geom.symmetric_difference(self._other(right)))

    # -- about it --------------------------------------------------------------------------------

    def contains(self, right: Any, maxError: Any = None, proj: Any = None) -> Boolean:
        """Tell whether another one lies in it."""
        return Boolean(self.geometry.geom.covers(self._other(right)))

    def intersects(self, right: Any, maxError: Any = None, proj: Any = None) -> Boolean:
        """Tell whether it has a point in common with another one."""
        return Boolean(self.geometry.geom.intersects(self._other(right)))

    def disjoint(self, right: Any, maxError: Any = None, proj: Any = None) -> Boolean:
        """Tell whether it has no point in common with another one."""
        return Boolean(not self.intersects(right))

    def containedIn(self, right: Any, maxError: Any = None, proj: Any = None) -> Boolean:
        """Tell whether it lies in another one."""
        found: Boolean = Geometry(right).contains(self)
        return found

    def area(self, maxError: Any = None, proj: Any = None) -> Number:
        """Give its area in square metres, on the ellipsoid WGS 84.

        With `proj` in the units of that CRS, on its plane.
        """
        if proj is not None:
            return Number(projected(self.geometry, as_crs(proj)).geom.area)
        return Number(sum(abs(_measured(part)[0]) for part in self._parts("Polygon")))

    def length(self, maxError: Any = None, proj: Any = None) -> Number:
        """Give the length of its lines in metres; polygons have none."""
        lines = [*self._parts("LineString"), *self._parts("LinearRing")]
        return Number(sum(_geod().geometry_length(part) for part in lines))

    def perimeter(self, maxError: Any = None, proj: Any = None) -> Number:
        """Give the length of the edges of its polygons in metres; lines have none."""
        return Number(sum(_measured(part)[1] for part in self._parts("Polygon")))

    def type(self) -> String:
        """Name its type, as GeoJSON does."""
        return String(self.geometry.geom_type)

    def coordinates(self) -> List:
        """List its coordinates, as GeoJSON does."""
        return List(as_lists(self.geometry.json["coordinates"]))

    def geometries(self) -> List:
        """List its parts."""
        parts = getattr(self.geometry.geom, "geoms", [self.geometry.geom])
        return List([self._with(part) for part in parts])

    def getInfo(self) -> dict[str, Any]:
        """Give it as GeoJSON, a dict."""
        info: dict[str, Any] = as_lists(self.geometry.json)
        return info

    def toGeoJSON(self) -> dict[str, Any]:
        """Give it as GeoJSON, a dict."""
        return self.getInfo()

    def toGeoJSONString(self) -> str:
        """Give it as GeoJSON, a text."""
        return json.dumps(self.getInfo())

    # -- inside ----------------------------------------------------------------------------------

    @classmethod
    def _kept(cls, geometry: Any) -> Geometry:
        """Take a geometry of odc-geo as it is, also an empty one."""
        made: Geometry = object.__new__(cls)
        made.geometry = geometry
        return made

    def _with(self, shape: Any) -> Geometry:
        geom = needed("odc.geo.geom", "geo", "regions")
        return self._kept(geom.Geometry(shape, self.geometry.crs))

    def _other(self, right: Any) -> Any:
        """Bring another one into the CRS of this one."""
        return projected(Geometry(right).geometry, self.geometry.crs).geom

    def _in(self, crs: Any, change: Callable[[Any], Any], bent: bool = True) -> Geometry:
        """Change its shape in another CRS; without `bent` no points are added on the way back."""
        geom = needed("odc.geo.geom", "geo", "regions")
        moved = projected(self.geometry, crs)
        changed = geom.Geometry(change(moved.geom), moved.crs)
        own = self.geometry.crs
        return self._kept(projected(changed, own) if bent else changed.to_crs(own))

    def _plane(self) -> str:
        """Name a plane in metres that touches the earth at its middle."""
        (lon, lat), *_ = projected(self.geometry.centroid, LON_LAT).points
        return f"+proj=aeqd +lat_0={lat} +lon_0={lon} +R={RADIUS} +units=m"

    def _parts(self, kind: str) -> list[Any]:
        """Give its parts of a type, in longitude and latitude."""
        shapely = needed("shapely", "geo", "regions")
        parts = shapely.get_parts(projected(self.geometry, LON_LAT).geom).tolist()
        return [part for part in parts if part.geom_type == kind]


def as_lists(written: Any) -> Any:
    """Write the tuples of GeoJSON as lists, as JSON does."""
    if isinstance(written, list | tuple):
        return [as_lists(one) for one in written]
    if isinstance(written, dict):
        return {name: as_lists(one) for name, one in written.items()}
    return written


def _geod() -> Any:
    return needed("pyproj", "geo", "areas").Geod(ellps="WGS84")


def _measured(polygon: Any) -> tuple[float, float]:
    """Measure the area and the perimeter of a polygon on the ellipsoid, holes taken out of it."""
    orient = needed("shapely.geometry.polygon", "geo", "areas").orient
    area, perimeter = _geod().geometry_area_perimeter(orient(polygon))
    return area, perimeter


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
