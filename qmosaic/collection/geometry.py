"""Geometries with a CRS: regions as people give them, also across the antimeridian."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry


LON_LAT = "EPSG:4326"

LARGE = 60
"""How many degrees a region may span that is brought into a projected CRS as a whole."""

SEGMENTS = 20
"""In how many parts an outline is cut before it is projected: straight lines become curves."""


def as_geometry(geometry: Any, crs: Any = None) -> Geometry:
    """Take what a user gives as a region.

    Parameters
    ----------
    geometry : bounding box, shapely geometry, GeoJSON, GeoDataFrame or odc Geometry
        A box is (west, south, east, north); in longitude and latitude it may cross the
        antimeridian (west > east). GeoJSON is a mapping, the path of a file, or an object with
        ``__geo_interface__``, such as the features of `qmosaic.ee`.
    crs : any CRS, optional
        What its coordinates are in. By default its own where it has one, else EPSG:4326.

    Raises
    ------
    TypeError
        It is nothing of the kind.
    ValueError
        It is empty, two CRSs are claimed for it, or degrees are outside the globe.
    FileNotFoundError
        There is no file of that name.
    """
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    # an ee.Geometry has one behind it; an odc GeoBox or BoundingBox has an outline and a CRS
    behind = getattr(geometry, "geometry", None)
    geometry = behind if isinstance(behind, geom.Geometry) else geometry
    geometry = getattr(geometry, "extent", getattr(geometry, "polygon", geometry))
    if isinstance(geometry, Path) or (isinstance(geometry, str) and _is_path(geometry)):
        geometry = _read_geojson(Path(geometry))
    own = _own_crs(geometry)
    if own is not None and crs is not None and as_crs(own) != as_crs(crs):
        raise ValueError(
            f"the geometry says that it is in {own}, and crs={str(crs)!r} was given: they differ. "
            "Leave crs= out."
        )
    crs = as_crs(own or crs or LON_LAT)
    outline: Geometry = geom.Geometry(_shape(geometry, crs.geographic), crs)
    if outline.is_empty:
        raise ValueError(f"the geometry {_short(geometry)} is empty: no image can intersect it.")
    _check_degrees(outline, geometry)
    return outline


def as_geometries(given: Any) -> dict[Any, Geometry]:
    """Take what a user gives as several regions, by their labels.

    Parameters
    ----------
    given : GeoDataFrame, GeoSeries, mapping, sequence, GeoJSON or one region
        The index of geopandas or the keys of a mapping label them; else their positions do. GeoJSON
        is a mapping with a "type", or the path of a file. A sequence and the values of a mapping
        are what `as_geometry` takes.

    Returns
    -------
    dict
        Without those of which nothing says where they are: rows and features without a geometry.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        As `as_geometry`, with the label of the region; or two of them have the same label.
    """
    shapes, crs = _several(given)
    found = {}
    for label, shape in shapes:
        if shape is None or getattr(shape, "is_empty", False):
            continue
        if label in found:
            raise ValueError(
                f"two polygons have the label {label!r}, so what is counted for one cannot be "
                "told from the other. Write polygons.reset_index(), or give them other labels."
            )
        try:
            found[label] = as_geometry(shape, None if _has_crs(shape) else crs)
        except (TypeError, ValueError) as error:
            raise type(error)(f"polygon {label!r}: {error}") from error
    return found


def _several(given: Any) -> tuple[Iterable[tuple[Any, Any]], Any]:
    """Give shapes with their labels, and the CRS of all of them."""
    if isinstance(given, Path) or (isinstance(given, str) and _is_path(given)):
        given = _read_geojson(Path(given))
    if isinstance(given, Mapping) and "type" not in given:
        return given.items(), None
    if isinstance(given, Mapping):
        features = given["features"] if given.get("type") == "FeatureCollection" else [given]
        # a feature without a geometry is nowhere
        shapes = [None if f.get("geometry", f) is None else f for f in features]
        return enumerate(shapes), crs_of_geojson(given)
    series = getattr(given, "geometry", None)  # of geopandas, whose rows have labels
    if isinstance(series, pd.Series):
        return zip(series.index, series, strict=True), getattr(series, "crs", None)
    if isinstance(given, list | tuple | np.ndarray) and not _is_box(given):
        return enumerate(given), None
    return enumerate([given]), None


def _has_crs(shape: Any) -> bool:
    return _own_crs(shape) is not None


def _own_crs(shape: Any) -> Any:
    """Give the CRS that a shape says it is in; one that is GeoJSON by its interface may tell it."""
    if isinstance(shape, Mapping):
        return crs_of_geojson(shape)
    own = getattr(shape, "crs", None)
    if own is not None or hasattr(shape, "geom_type"):  # of shapely, which writes it out in vain
        return own
    written = getattr(shape, "__geo_interface__", None)
    return crs_of_geojson(written) if isinstance(written, Mapping) else None


def _is_path(text: str) -> bool:
    return text.lower().endswith((".geojson", ".json")) or (
        len(text) < 256 and Path(text).is_file()
    )


def _read_geojson(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {str(path)!r}, so there is no region. Check the path."
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no text, or no JSON
        raise ValueError(
            f"the file {str(path)!r} is no GeoJSON ({error}). Other formats are read by "
            "geopandas.read_file(path), whose result is a region too."
        ) from error
    if not isinstance(found, dict):
        raise ValueError(
            f"the file {str(path)!r} holds {_short(found)}, which is no geometry, feature or "
            "collection of features of GeoJSON."
        )
    return found


def crs_of_geojson(geometry: Mapping[str, Any]) -> Any:
    """Give the CRS that GeoJSON tells in the form of 2008, as GDAL and QGIS go on writing it."""
    named = geometry.get("crs")
    if not isinstance(named, Mapping):
        return None
    properties = named.get("properties")
    return properties.get("name") if isinstance(properties, Mapping) else None


def as_crs(given: Any) -> CRS:
    """Take what a user gives as a CRS.

    Raises
    ------
    ValueError
        It is none.
    """
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    try:
        found: CRS = geom.CRS(given)
    except Exception as error:
        raise ValueError(
            f"crs={given!r} is no CRS ({error}). Write, for instance, 'EPSG:32633'."
        ) from error
    return found


def short_crs(crs: Any) -> str:
    """Name a CRS in few letters: its code where it has one, else its name."""
    if crs is None:
        return "no CRS"
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.proj.name)


def in_words(grid: GeoBox) -> str:
    """Describe a grid: its CRS, its size, where it lies."""
    left, bottom, right, top = grid.boundingbox.bbox
    height, width = grid.shape
    return (
        f"{short_crs(grid.crs)}, {height} × {width} pixels of {abs(grid.resolution.x):g}, "
        f"({left:.10g}, {bottom:.10g}) to ({right:.10g}, {top:.10g})"
    )


def _shape(geometry: Any, geographic: bool) -> Any:
    """Give the shapely geometry, flat."""
    shapely = needed("shapely", "geo", "regions and footprints")
    shape = shapely.force_2d(_any_shape(geometry, geographic))
    # drawn by hand, an outline may cross itself
    return shape if shape.is_valid else shapely.make_valid(shape)


def _any_shape(geometry: Any, geographic: bool) -> Any:
    shapely = needed("shapely", "geo", "regions and footprints")
    shape = needed("shapely.geometry", "geo", "regions and footprints").shape
    if isinstance(geometry, shapely.Geometry):
        return geometry
    if _is_box(geometry):
        return _box(tuple(float(number) for number in geometry), geographic)
    if not isinstance(geometry, Mapping):
        geometry = getattr(geometry, "__geo_interface__", geometry)
    if isinstance(geometry, Mapping):
        if geometry.get("type") == "FeatureCollection":
            shapes = [f["geometry"] for f in geometry["features"] if f["geometry"] is not None]
            return shapely.unary_union([shape(s) for s in shapes])
        if geometry.get("type") == "Feature":
            geometry = geometry["geometry"]
        try:
            return shape(geometry)
        except Exception as error:
            raise ValueError(
                f"{_short(geometry)} is no geometry of GeoJSON ({error}). Its form is "
                "{'type': 'Polygon', 'coordinates': [[[lon, lat], ...]]}."
            ) from error
    raise TypeError(
        f"{_short(geometry)} ({type(geometry).__name__}) is no region. Give a bounding box "
        "(west, south, east, north), a shapely geometry (shapely.from_wkt(text) makes one of WKT), "
        "GeoJSON as a mapping or as the path of a file, or a GeoDataFrame: "
        "geopandas.read_file(path) for other formats."
    )


def _is_box(geometry: Any) -> bool:
    return (
        isinstance(geometry, tuple | list | np.ndarray)
        and len(geometry) == 4
        and all(np.isscalar(number) and not isinstance(number, str) for number in geometry)
    )


def _box(numbers: tuple[float, ...], geographic: bool) -> Any:
    shapely = needed("shapely", "geo", "regions and footprints")
    west, south, east, north = numbers
    if not all(np.isfinite(numbers)) or south > north or (west > east and not geographic):
        raise ValueError(
            f"the bounding box {numbers} is not (west, south, east, north): each has to be finite "
            "and south of north, west of east."
        )
    if west > east:
        return shapely.union(
            shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)
        )
    return shapely.box(*numbers)


def _check_degrees(outline: Geometry, given: Any) -> None:
    left, bottom, right, top = outline.boundingbox.bbox
    geographic = outline.crs is not None and outline.crs.geographic
    if geographic and (bottom < -90 or top > 90 or left < -360 or right > 360):
        raise ValueError(
            f"{_short(given)} was taken as longitude and latitude, but reaches from "
            f"({left:g}, {bottom:g}) to ({right:g}, {top:g}). Give the CRS of its coordinates, "
            "for instance crs='EPSG:32633'; of several polygons, geopandas.GeoSeries(polygons, "
            "crs='EPSG:32633')."
        )


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) < 80 else text[:77] + "..."


def projected(outline: Geometry, crs: Any) -> Geometry:
    """Bring an outline into another CRS, its straight lines cut so that they can bend."""
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    crs = geom.CRS(crs)
    if outline.crs == crs:
        return outline
    span = max(outline.boundingbox.span_x, outline.boundingbox.span_y)
    fine = span / SEGMENTS if span > 0 else None
    moved: Geometry = outline.to_crs(crs, resolution=fine)
    if crs.geographic and moved.boundingbox.span_x > 180:  # it may cross the antimeridian: look
        moved = outline.to_crs(crs, resolution=fine, wrapdateline=True)
    return moved


def near(region: Geometry, extent: Geometry) -> Geometry:
    """Cut a large region in degrees to what lies around an extent.

    Of half the world, a projection that is made for a part of it makes something else; and it has
    no pixels there.
    """
    if region.crs is None or extent.crs is None or extent.crs.geographic:
        return region
    box = region.boundingbox
    if not region.crs.geographic or max(box.span_x, box.span_y) <= LARGE:
        return region
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    there = projected(extent, region.crs).boundingbox
    margin = 1 + max(there.span_x, there.span_y)
    around = geom.box(
        there.left - margin, there.bottom - margin, there.right + margin, there.top + margin,
        region.crs,
    )  # fmt: skip
    cut: Geometry = everywhere(region) & around
    return cut


def everywhere(outline: Geometry) -> Geometry:
    """Repeat an outline in degrees a turn to the west and to the east.

    Longitudes are -180 to 180 in one place, 0 to 360 in another.
    """
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    if outline.crs is None or not outline.crs.geographic:
        return outline
    shift = needed("shapely.affinity", "geo", "regions and footprints").translate
    turns = [shift(outline.geom, xoff=turn) for turn in (-360, 0, 360)]
    shapely = needed("shapely", "geo", "regions and footprints")
    repeated: Geometry = geom.Geometry(shapely.unary_union(turns), outline.crs)
    return repeated
