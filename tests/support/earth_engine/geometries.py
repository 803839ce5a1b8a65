"""Points, boxes and polygons in the plane, with a test of their own for what is inside."""

from __future__ import annotations

from typing import Any

from tests.support.earth_engine.bands import Grid
from tests.support.earth_engine.values import plain

Point = tuple[float, float]


class Geometry:
    """Polygons, each a ring of points; or a single point."""

    def __init__(self, geometry: Any, proj: Any = None) -> None:
        given = plain(geometry)
        if isinstance(given, Geometry):
            self.rings, self.point = given.rings, given.point
            return
        self.point: Point | None = None
        coordinates = given["coordinates"]
        if given["type"] == "Point":
            self.rings, self.point = [], tuple(coordinates)
        elif given["type"] == "Polygon":
            self.rings = [[tuple(p) for p in coordinates[0]]]
        elif given["type"] == "MultiPolygon":
            self.rings = [[tuple(p) for p in polygon[0]] for polygon in coordinates]
        else:
            raise TypeError(given["type"])

    @staticmethod
    def Point(*args: Any) -> Geometry:
        """Make a point."""
        return Geometry({"type": "Point", "coordinates": args[0] if len(args) == 1 else args})

    @staticmethod
    def Rectangle(*args: Any) -> Geometry:
        """Make a box."""
        west, south, east, north = args[0] if len(args) == 1 else args
        ring = [(west, south), (east, south), (east, north), (west, north)]
        return Geometry({"type": "Polygon", "coordinates": [ring]})

    BBox = Rectangle

    @staticmethod
    def Polygon(coords: Any) -> Geometry:
        """Make a polygon of a ring, or of a list with one."""
        ring = coords if isinstance(coords[0][0], int | float) else coords[0]
        return Geometry({"type": "Polygon", "coordinates": [ring]})

    @staticmethod
    def MultiPolygon(coords: Any) -> Geometry:
        """Make a geometry of several polygons."""
        return Geometry({"type": "MultiPolygon", "coordinates": coords})

    def contains(self, x: float, y: float) -> bool:
        """Count the sides to the right of a point: an odd number means inside."""
        for ring in self.rings:
            inside = False
            for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
                if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                    inside = not inside
            if inside:
                return True
        return False

    def pixels_of(self, grid: Grid) -> list[tuple[int, int]]:
        """Number the pixels whose centre is inside; of a point, the pixel that it is in."""
        if self.point is not None:
            nearest = min(
                grid.pixels(),
                key=lambda p: (
                    (grid.xs[p[1]] - self.point[0]) ** 2 + (grid.ys[p[0]] - self.point[1]) ** 2
                ),
            )
            return [nearest]
        return [(y, x) for y, x in grid.pixels() if self.contains(grid.xs[x], grid.ys[y])]

    def touches(self, grid: Grid) -> bool:
        """Tell whether it meets the box around a grid, by their boxes."""
        points = [self.point] if self.point is not None else [p for r in self.rings for p in r]
        for axis, centres in ((0, grid.xs), (1, grid.ys)):
            half = abs(centres[1] - centres[0]) / 2
            if max(p[axis] for p in points) < min(centres) - half:
                return False
            if min(p[axis] for p in points) > max(centres) + half:
                return False
        return True

    def bounds(self) -> Geometry:
        """Give the box around it."""
        points = [self.point] if self.point is not None else [p for r in self.rings for p in r]
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        return Geometry.Rectangle(min(xs), min(ys), max(xs), max(ys))
