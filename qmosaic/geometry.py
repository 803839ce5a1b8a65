"""Where images lie: geometries that people give, footprints of images, the extent of a grid."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

FOOTPRINT = "footprint"
"""The coordinate along time that tells where an image lies: WKT in longitude and latitude."""

LON_LAT = "EPSG:4326"
SEGMENTS = 20
"""In how many parts an outline is cut before it is projected: straight lines become curves."""


def as_geometry(geometry: Any, crs: Any = None) -> Geometry:
    """Understand what a user gives as a region.

    Parameters
    ----------
    geometry : bounding box, shapely geometry, GeoJSON, GeoDataFrame or odc Geometry
        A box is (west, south, east, north); in longitude and latitude it may cross the
        antimeridian (west > east).
    crs : any CRS, optional
        What its coordinates are in. By default its own where it has one, else EPSG:4326.

    Raises
    ------
    TypeError
        It is nothing of the kind.
    ValueError
        It is empty, two CRSs are claimed for it, or degrees are outside the globe.
    """
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    # an odc GeoBox or BoundingBox has an outline and a CRS
    geometry = getattr(geometry, "extent", getattr(geometry, "polygon", geometry))
    own = None if isinstance(geometry, Mapping) else getattr(geometry, "crs", None)
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


def as_crs(given: Any) -> CRS:
    """Understand a CRS.

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
        "GeoJSON as a mapping, or a GeoDataFrame."
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
            f"({left:g}, {bottom:g}) to ({right:g}, {top:g}). Say what its coordinates are in, for "
            "instance crs='EPSG:32633'."
        )


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) < 80 else text[:77] + "..."


# ---------------------------------------------------------------------------------------------
# Grids
# ---------------------------------------------------------------------------------------------


def map_axes(band: xr.DataArray, verb: str) -> tuple[Hashable, Hashable]:
    """Name the dimensions of the map of a band, down and across: with or without coordinates."""
    for pair in (("y", "x"), ("latitude", "longitude"), ("lat", "lon")):
        if set(pair) <= set(band.dims):
            return pair
    if len(band.dims) >= 2:
        return band.dims[-2], band.dims[-1]
    raise ValueError(
        f"{verb} got a band with dimensions {', '.join(map(repr, band.dims)) or 'none'}, which is "
        "no map. It needs y and x."
    )


def map_dims(collection: xr.Dataset) -> tuple[Hashable, Hashable]:
    """Name the dimensions of the map, down and across.

    Raises
    ------
    ValueError
        They have other names than y/x, latitude/longitude and their kin, or no coordinates.
    """
    grids = needed("odc.geo.xr", "geo", "regions and footprints")
    dims = grids.spatial_dims(collection)
    if dims is None or any(d not in collection.coords for d in dims):
        raise ValueError(
            f"the collection has dimensions {', '.join(map(repr, collection.dims))}, but no "
            "coordinates y and x (or latitude and longitude), so nothing tells where its pixels "
            "lie. Write collection.assign_coords(y=..., x=...)."
        )
    return dims[0], dims[1]


GRID_MAPPING = {"crs_wkt", "spatial_ref", "grid_mapping_name", "GeoTransform"}
"""Attributes of a variable that holds a CRS."""


def with_crs_coordinate(dataset: xr.Dataset) -> xr.Dataset:
    """Make variables that hold a CRS coordinates: xarray may have left them among the bands."""
    holders = [
        n for n, v in dataset.data_vars.items() if v.ndim == 0 and GRID_MAPPING & set(v.attrs)
    ]
    return dataset.set_coords(holders) if holders else dataset


def crs_of(collection: xr.Dataset) -> CRS:
    """Give the CRS of a collection.

    Raises
    ------
    ValueError
        It declares none.
    """
    grids = needed("odc.geo.xr", "geo", "regions and footprints")
    down, _ = map_dims(collection)
    crs: CRS | None = grids.ODCExtensionDs(with_crs_coordinate(collection)).crs
    if crs is None and str(down) in ("lat", "latitude"):
        crs = needed("odc.geo.geom", "geo", "regions and footprints").CRS(LON_LAT)
    if crs is None:
        raise ValueError(
            "nothing declares the CRS of its grid, so nothing tells where it lies. Write "
            "dataset.odc.assign_crs('EPSG:32633') after import odc.geo.xr (or "
            "dataset.rio.write_crs(...) of rioxarray)."
        )
    return crs


def extent_of(collection: xr.Dataset) -> Geometry:
    """Give the outline of the grid, to the outer edges of its pixels."""
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    down, across = map_dims(collection)
    (bottom, top), (left, right) = (_edges(collection[d].values) for d in (down, across))
    box: Geometry = geom.box(left, bottom, right, top, crs_of(collection))
    return box


def _edges(centres: Any) -> tuple[float, float]:
    """Give the outer edges of a row of pixels; one pixel alone has no width."""
    half = abs(float(centres[-1]) - float(centres[0])) / max(1, 2 * (len(centres) - 1))
    return float(min(centres)) - half, float(max(centres)) + half


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


# ---------------------------------------------------------------------------------------------
# Footprints
# ---------------------------------------------------------------------------------------------


def footprints(outlines: Iterable[Geometry | None]) -> Any:
    """Write outlines as WKT in longitude and latitude, "" where there is none."""
    written = ["" if o is None else projected(o, LON_LAT).wkt for o in outlines]
    return np.array(written, dtype=object)


def intersecting(collection: xr.Dataset, region: Geometry, dim: Hashable) -> Any:
    """Tell which images lie in a region: by their footprints, else by the extent of the grid."""
    shapely = needed("shapely", "geo", "regions and footprints")
    written = collection.coords.get(FOOTPRINT)
    if written is None or written.dims != (dim,):
        return np.full(collection.sizes[dim], _meets_grid(collection, region))
    place = everywhere(projected(region, LON_LAT)).geom
    known = [text if isinstance(text, str) and text else None for text in written.values]
    try:
        outlines = shapely.from_wkt(known)
    except shapely.errors.GEOSException as error:
        raise ValueError(
            f"the coordinate {FOOTPRINT!r} has a text that is no WKT ({error}). Correct it, or "
            f"leave it out: collection.drop_vars({FOOTPRINT!r})."
        ) from error
    meets = shapely.intersects(outlines, place)
    unknown = np.array([text is None for text in known])
    # an image whose footprint is not known may lie anywhere on the grid
    return meets | (unknown & _meets_grid(collection, region)) if unknown.any() else meets


def _meets_grid(collection: xr.Dataset, region: Geometry) -> bool:
    extent = extent_of(collection)
    return bool(everywhere(projected(region, extent.crs)).intersects(extent))
