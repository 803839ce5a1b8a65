"""Where images lie: geometries that people give, footprints of images, the extent of a grid."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import xarray as xr

from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

Data = TypeVar("Data", bound=xr.Dataset | xr.DataArray)

FOOTPRINT = "footprint"
"""The coordinate along time that tells where an image lies: WKT in longitude and latitude."""

LON_LAT = "EPSG:4326"
SEGMENTS = 20
"""In how many parts an outline is cut before it is projected: straight lines become curves."""


def as_geometry(geometry: Any, crs: Any = None) -> Geometry:
    """Take what a user gives as a region.

    Parameters
    ----------
    geometry : bounding box, shapely geometry, GeoJSON, GeoDataFrame or odc Geometry
        A box is (west, south, east, north); in longitude and latitude it may cross the
        antimeridian (west > east). GeoJSON is a mapping, or the path of a file.
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
    if isinstance(geometry, Mapping):
        own = _crs_of_geojson(geometry)
    else:
        own = getattr(geometry, "crs", None)
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


def _crs_of_geojson(geometry: Mapping[str, Any]) -> Any:
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
            "for instance crs='EPSG:32633'."
        )


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) < 80 else text[:77] + "..."


# ---------------------------------------------------------------------------------------------
# Grids
# ---------------------------------------------------------------------------------------------


PAIRS = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"))
"""What the dimensions of a map are called."""


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
    """Give the outline of the grid, to the outer edges of its pixels; a point for a map of a single
    pixel, whose size nothing tells."""
    geom = needed("odc.geo.geom", "geo", "regions and footprints")
    down, across = map_dims(collection)
    (bottom, top), (left, right) = (_edges(collection[d].values) for d in (down, across))
    crs = crs_of(collection)
    if left == right and bottom == top:
        return cast("Geometry", geom.point(left, top, crs))
    return cast("Geometry", geom.box(left, bottom, right, top, crs))


# -- what a grid mapping says about where pixels lie ----------------------------------------------

TRANSFORM = "GeoTransform"
"""The attribute of a grid mapping in which GDAL, rioxarray and odc write where pixels lie."""

IN_PLACE = 0.01
"""What part of a pixel coordinates may be off an even spacing, or a transform off them."""


WITHIN = (0.5, 0.0)
"""Where in a pixel its coordinates are: in the middle, or, as stackstac has them, in the corner."""


def true_to_grid(data: Data, *, thinned: bool = False) -> Data:
    """Correct the attributes that tell where pixels lie, so that they agree with the coordinates.

    Slicing changes coordinates and leaves attributes as they were, and GDAL and rioxarray prefer
    the attribute ``GeoTransform`` of a grid mapping to coordinates. One that is right stays
    letter by letter. One that is not is made anew where the pixels are evenly spaced, north up and
    east right, and else is left out, so that coordinates are used. So are the attributes
    ``transform`` of xarray's and stackstac's rasters, and stackstac's ``spec``.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        A map; without coordinates of its pixels nothing is changed.
    thinned : bool, default: False
        Whether pixels have become larger: an attribute that cannot be checked is wrong then.
    """
    variables = data.variables if isinstance(data, xr.Dataset) else data.coords.variables
    mappings = {n: v for n, v in variables.items() if v.ndim == 0 and TRANSFORM in v.attrs}
    if not mappings and not any(_PLACES & set(attrs) for attrs in _attributes(data)):
        return data
    axes = _axes_of(data)
    if axes is None and not thinned:
        return data
    changed: dict[Hashable, xr.Variable] = {}
    for name, mapping in mappings.items():
        attrs = dict(mapping.attrs)
        text = _transform_of(attrs.pop(TRANSFORM), axes, thinned)
        if text != mapping.attrs[TRANSFORM]:
            attrs |= {} if text is None else {TRANSFORM: text}
            changed[name] = xr.Variable((), mapping.data, attrs, mapping.encoding)
    result: Any = data.copy(deep=False)
    if changed:
        result = (result.assign if isinstance(data, xr.Dataset) else result.assign_coords)(changed)
    for attrs in _attributes(result):
        for name in _PLACES & set(attrs):
            affine: Any = getattr(attrs[name], "transform", attrs[name])
            if _is_affine(affine) and not _agrees(_gdal_order(affine), axes, thinned):
                del attrs[name]
    return cast(Data, result)


_PLACES = {"transform", "spec"}


def _attributes(data: xr.Dataset | xr.DataArray) -> list[dict[Any, Any]]:
    bands = list(data.data_vars.values()) if isinstance(data, xr.Dataset) else []
    return [data.attrs, *(band.attrs for band in bands)]


def _axes_of(data: xr.Dataset | xr.DataArray) -> tuple[Any, Any] | None:
    """Give the centres of pixels, down and across, where there are any."""
    for down, across in PAIRS:
        if {down, across} <= set(data.coords):
            ys, xs = data[down], data[across]
            if ys.dims == (down,) and xs.dims == (across,) and ys.size and xs.size:
                if ys.dtype.kind in "iuf" and xs.dtype.kind in "iuf":
                    return ys.values.astype(float), xs.values.astype(float)
    return None


def _transform_of(given: Any, axes: tuple[Any, Any] | None, thinned: bool) -> Any:
    """Give the right transform, None where there is none: the given one, or one made anew."""
    try:
        numbers = [float(part) for part in str(given).split()]
    except ValueError:
        numbers = []
    if axes is None:
        return None
    if len(numbers) == 6 and _agrees(numbers, axes, thinned):
        return given
    made = [0.0] * 6
    for values, place, own in zip(axes, (3, 0), (5, 1), strict=True):
        step, within = _even_step(values), 0.5
        if len(numbers) == 6 and numbers[own] and not thinned:
            # pixels of the grid that it was, whose coordinates may be those of their corners
            offset = (values[0] - numbers[place]) / numbers[own]
            was = next((w for w in WITHIN if _whole(offset - w)), None)
            same = step is None or abs(step / numbers[own] - 1) < IN_PLACE
            if was is not None and same:
                within = was
                step = numbers[own] if len(values) == 1 else step
        if step is None:
            return None
        made[place], made[own] = float(values[0] - within * step), float(step)
    rotated = len(numbers) == 6 and (numbers[2] or numbers[4])
    if made[5] >= 0 or made[1] <= 0 or rotated:
        return None
    return " ".join(repr(number) for number in made)


def _whole(number: float) -> bool:
    return abs(number - round(number)) < IN_PLACE


def _even_step(values: Any) -> float | None:
    if len(values) < 2:
        return None
    step = (values[-1] - values[0]) / (len(values) - 1)
    even = values[0] + step * np.arange(len(values))
    if not step or np.abs(values - even).max() > IN_PLACE * abs(step):
        return None
    return float(step)


def _agrees(numbers: Sequence[float], axes: tuple[Any, Any] | None, thinned: bool) -> bool:
    """Tell whether a transform puts pixels where their coordinates are, north up."""
    if axes is None:
        return False
    left, width, turn, top, other_turn, height = numbers
    if turn or other_turn or width <= 0 or height >= 0:
        return False
    for values, corner, step in zip(axes, (top, left), (height, width), strict=True):
        if thinned and len(values) == 1:
            return False
        offsets = (values - corner) / step - np.arange(len(values))
        if not any((np.abs(offsets - within) < IN_PLACE).all() for within in WITHIN):
            return False
    return True


def _is_affine(given: Any) -> bool:
    return (
        isinstance(given, list | tuple | np.ndarray)
        and len(given) in (6, 9)
        and all(isinstance(number, int | float | np.number) for number in given)
    )


def _gdal_order(affine: Sequence[float]) -> list[float]:
    """Bring a transform as `affine` orders it into the order of GDAL's."""
    width, turn, left, other_turn, height, top = (float(number) for number in affine[:6])
    return [left, width, turn, top, other_turn, height]


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
