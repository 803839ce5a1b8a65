"""Where a collection lies: its axes, its CRS, its extent, the footprints of its images."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import xarray as xr

from qmosaic.collection.geometry import LON_LAT, everywhere, near, projected
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geom import Geometry


FOOTPRINT = "footprint"
"""The coordinate along time that tells where an image lies: WKT in longitude and latitude."""

PAIRS = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"))
"""What the dimensions of a map are called."""

GRID_MAPPING = {"crs_wkt", "spatial_ref", "grid_mapping_name", "GeoTransform"}
"""Attributes of a variable that holds a CRS."""


def map_axes(band: xr.DataArray, caller: str) -> tuple[Hashable, Hashable]:
    """Name the dimensions of the map of a band, down and across: with or without coordinates."""
    for pair in PAIRS:
        if set(pair) <= set(band.dims):
            return pair
    if len(band.dims) >= 2:
        return band.dims[-2], band.dims[-1]
    raise ValueError(
        f"{caller} got a band with dimensions {', '.join(map(repr, band.dims)) or 'none'}, which "
        "is no map. It needs two dimensions, such as y and x: choose one image, or expand_dims()."
    )


def map_dims(collection: xr.Dataset) -> tuple[Hashable, Hashable]:
    """Name the dimensions of the map, down and across.

    Raises
    ------
    ValueError
        They have other names than y/x, latitude/longitude or lat/lon, or no coordinates.
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
    """Give the outline of the grid, to the outer edges of its pixels; a point for a map of a single
    pixel, whose size nothing tells."""
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    down, across = map_dims(collection)
    (bottom, top), (left, right) = (_edges(collection[d].values) for d in (down, across))
    crs = crs_of(collection)
    if left == right and bottom == top:
        return cast("Geometry", geom.point(left, top, crs))
    return cast("Geometry", geom.box(left, bottom, right, top, crs))


def whereabouts(collection: xr.Dataset) -> str:
    """Say where a collection lies, for errors about a region that it does not meet."""
    try:
        west, south, east, north = projected(extent_of(collection), LON_LAT).boundingbox.bbox
    except ValueError:  # no grid or no CRS; the footprints are enough
        return ""
    return (
        f"; its grid lies between longitudes {west:.4f} and {east:.4f}, latitudes {south:.4f} and "
        f"{north:.4f}"
    )


def _edges(centres: Any) -> tuple[float, float]:
    """Give the outer edges of a row of pixels; one pixel alone has no width."""
    half = abs(float(centres[-1]) - float(centres[0])) / max(1, 2 * (len(centres) - 1))
    return float(min(centres)) - half, float(max(centres)) + half


def footprints(outlines: Iterable[Geometry | None]) -> Any:
    """Write outlines as WKT in longitude and latitude, "" where there is none."""
    written = ["" if o is None else projected(o, LON_LAT).wkt for o in outlines]
    return np.array(written, dtype=object)


def intersecting(collection: xr.Dataset, region: Geometry, dim: Hashable) -> Any:
    """Tell which images lie in a region: by their footprints, else by the extent of the grid."""
    shapely = needed("shapely", "geo", "regions and footprints")
    written = collection.coords.get(FOOTPRINT)
    if written is None or written.dims != (dim,):
        return np.full(collection.sizes[dim], meets_grid(collection, region))
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
    return meets | (unknown & meets_grid(collection, region)) if unknown.any() else meets


def meets_grid(collection: xr.Dataset, region: Geometry) -> bool:
    """Tell whether a region meets the grid of a collection."""
    extent = extent_of(collection)
    return bool(everywhere(projected(near(region, extent), extent.crs)).intersects(extent))
