"""Zones of a map: a raster of labels, or polygons that are burned into one, block by block."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.geometry import as_geometries, everywhere, near, projected, short_crs
from qmosaic.collection.location import crs_of, extent_of, whereabouts
from qmosaic.collection.masks import Array
from qmosaic.collection.rasterizing import Places
from qmosaic.collection.transforms import IN_PLACE
from qmosaic.optional import needed

NOWHERE = -1
"""The code of a pixel that lies in no polygon."""


@dataclass(frozen=True)
class Zones:
    """Zones as a raster.

    Attributes
    ----------
    codes : dask.array.Array or numpy.ndarray
        A number for each pixel, (down, across).
    missing : scalar, optional
        The code of pixels in no zone; NaN is none in any case.
    labels : pandas.Index, optional
        What the codes 0, 1, ... stand for; None where codes are labels themselves.
    """

    codes: Any
    missing: Any
    labels: pd.Index | None


def zones_on(
    image: xr.Dataset,
    axes: tuple[Hashable, Hashable],
    zones: Any,
    chunks: Mapping[Hashable, Any],
    caller: str,
) -> Zones:
    """Bring zones onto the grid of a map.

    Parameters
    ----------
    image : xarray.Dataset
        The map.
    axes : (hashable, hashable)
        Its dimensions, down and across.
    zones : xarray.DataArray, or what `as_geometries` takes
        Labels on the same grid, or polygons. A pixel belongs to the polygon in which its centre
        lies; where several overlap, to the last of them.
    chunks : mapping
        For each axis the chunks in which polygons are burned.
    caller : str
        The function that asks, for errors.

    Raises
    ------
    TypeError, ValueError
        The raster is on another grid or has no labels; no polygon meets the map.
    """
    if isinstance(zones, xr.Dataset):
        raise TypeError(
            f"{caller} got a Dataset as zones, and zones are one raster of labels. Choose one of "
            f"its variables: zones[{next(iter(zones.data_vars), 'name')!r}]."
        )
    if isinstance(zones, xr.DataArray):
        return _raster(image, axes, zones, caller)
    return _burned(image, axes, zones, chunks, caller)


# -- a raster of labels --------------------------------------------------------------------------


def _raster(
    image: xr.Dataset, axes: tuple[Hashable, Hashable], zones: xr.DataArray, caller: str
) -> Zones:
    single = [d for d in zones.dims if d not in axes and zones.sizes[d] == 1]  # rioxarray's band
    zones = zones.squeeze(single, drop=True)
    if set(zones.dims) != set(axes):
        raise ValueError(
            f"{caller} got zones with dimensions {', '.join(map(repr, zones.dims)) or 'none'}, and "
            f"the map has {axes[0]!r} and {axes[1]!r}: a label has to be there for each pixel. "
            "Choose one raster of them, zones.isel(...), or rename its dimensions."
        )
    if zones.dtype.kind not in "biuf":
        raise TypeError(
            f"{caller} got zones of dtype {zones.dtype}; labels on a map are numbers (NaN or "
            "declared nodata: no zone). Write codes, labels = pandas.factorize(...), and give the "
            "codes."
        )
    for axis in axes:
        _check_axis(image, axis, zones, caller)
    _check_crs(image, zones, caller)
    return Zones(zones.transpose(*axes).data, declared_nodata(zones), None)


def _check_axis(image: xr.Dataset, axis: Hashable, zones: xr.DataArray, caller: str) -> None:
    """Refuse zones whose pixels lie elsewhere."""
    cure = (
        "Bring them onto the grid of the mosaic: zones.odc.reproject(mosaic.odc.geobox) after "
        "import odc.geo.xr, or, where only the order or the extent differs, "
        "zones.reindex_like(mosaic)."
    )
    if zones.sizes[axis] != image.sizes[axis]:
        raise ValueError(
            f"{caller} got zones of {zones.sizes[axis]} pixels along {axis!r}, and the map has "
            f"{image.sizes[axis]}: they are on another grid. {cure}"
        )
    there, ours = axis in image.coords, axis in zones.coords
    if there != ours:
        lacking = "zones" if there else "mosaic"
        raise ValueError(
            f"{caller} cannot tell whether the zones are on the grid of the map: the {lacking} "
            f"{'have' if there else 'has'} no coordinate {axis!r}. Write {lacking}.assign_coords("
            f"{axis}={'mosaic' if there else 'zones'}[{axis!r}]) if they are."
        )
    if not there:
        return
    places, own = image[axis].values, zones[axis].values
    step = np.abs(np.diff(places)).min(initial=np.inf) if places.dtype.kind in "iuf" else 0
    off = IN_PLACE * step if np.isfinite(step) else 0
    same = np.abs(own - places).max(initial=0) <= off if off else np.array_equal(own, places)
    if not same:
        raise ValueError(
            f"{caller} got zones whose {axis!r} goes from {own[0]:.10g} to {own[-1]:.10g}, and "
            f"that of the map goes from {places[0]:.10g} to {places[-1]:.10g}: they are on another "
            f"grid. {cure}"
        )


def _check_crs(image: xr.Dataset, zones: xr.DataArray, caller: str) -> None:
    """Refuse zones in another CRS, where both declare theirs: the numbers may be the same."""
    ours, theirs = _declared_crs(image), _declared_crs(zones.to_dataset(name="labels of zones"))
    if ours is not None and theirs is not None and ours != theirs:
        raise ValueError(
            f"{caller} got zones in {short_crs(theirs)}, and the map is in {short_crs(ours)}: the "
            "same coordinates are other places. Bring them onto the grid of the mosaic: "
            "zones.odc.reproject(mosaic.odc.geobox) after import odc.geo.xr."
        )


def _declared_crs(image: xr.Dataset) -> Any:
    try:
        return crs_of(image)
    except (ValueError, ModuleNotFoundError):  # rasters need neither a CRS nor its library
        return None


# -- polygons ------------------------------------------------------------------------------------


def _burned(
    image: xr.Dataset,
    axes: tuple[Hashable, Hashable],
    polygons: Any,
    chunks: Mapping[Hashable, Any],
    caller: str,
) -> Zones:
    """Give the polygon in which each pixel lies, lazily."""
    given = as_geometries(polygons)
    extent = extent_of(image)
    shapes, codes = [], []
    for code, region in enumerate(given.values()):
        outline = everywhere(projected(near(region, extent), extent.crs)) & extent
        if not outline.is_empty:
            shapes.append(outline.geom.wkb)
            codes.append(code)
    if not shapes:
        raise ValueError(
            f"{caller} counts the pixels in polygons, and none of the {len(given)} meets the map"
            f"{whereabouts(image)}. Polygons that tell no CRS are taken as longitude and latitude: "
            "give a GeoDataFrame, which has one."
        )
    places = [
        da.from_array(np.ascontiguousarray(image[a].values, float), chunks=(chunks[a],))
        for a in axes
    ]
    burned = da.blockwise(
        functools.partial(_burn, codes=tuple(codes)),
        (0, 1),
        places[0],
        (0,),
        places[1],
        (1,),
        shapes=dask.delayed(shapes, pure=True),  # one for all blocks: outlines may be long
        dtype=np.int32,
        meta=np.empty((0, 0), np.int32),
    )
    return Zones(burned, NOWHERE, pd.Index(list(given), tupleize_cols=False))


def _burn(rows: Array, columns: Array, *, shapes: Sequence[bytes], codes: Sequence[int]) -> Array:
    """Burn polygons into a block, whose rows and columns lie at these places."""
    shapely = needed("shapely", "geo", "regions and footprints")
    block = Places.of_centres(rows, columns)
    burned = np.full((len(rows), len(columns)), NOWHERE, np.int32)
    outlines = shapely.from_wkb(list(shapes))
    for code, outline, bounds in zip(codes, outlines, shapely.bounds(outlines), strict=True):
        near = block.within(tuple(bounds))
        if not all(len(found) for found in near):
            continue
        window = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in near)
        burned[window][block.cut(*window).inside(outline)] = code
    return burned
