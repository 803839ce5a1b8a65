"""Geometries and features as a layer of a map: lines and areas, each with its style.

https://developers.google.com/earth-engine/guides/feature_collections_visualizing
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from qmosaic.collection.geometry import LON_LAT, as_geometries, projected
from qmosaic.display.mercator import Bounds
from qmosaic.display.styles import Style, style_of
from qmosaic.optional import needed


@dataclass(frozen=True)
class Features:
    """Geometries as a layer.

    Attributes
    ----------
    shapes : mapping
        GeoJSON, in degrees.
    bounds : Bounds
        Where they lie.
    style : Style
        How they are drawn.
    """

    shapes: Mapping[str, Any]
    bounds: Bounds
    style: Style
    legend = None

    @staticmethod
    def of(features: Any, style: Any) -> Features:
        """Take geometries, and a style.

        Parameters
        ----------
        features : GeoJSON, path of it, shapely or odc geometry, GeoDataFrame, or of `qmosaic.ee`
            One geometry, or several.
        style : mapping, optional
            See `style_of`.

        Raises
        ------
        KeyError, TypeError, ValueError, FileNotFoundError
            These are no geometries, there is none, or there is no such style.
        """
        own = getattr(features, "styling", None)  # what ee's style() has said
        look = style_of(style, "add_layer()", own if isinstance(own, Mapping) else {})
        geometries = in_degrees(features, "add_layer()")
        shapes = [
            {"type": "Feature", "properties": {}, "geometry": json.loads(_shapely().to_geojson(g))}
            for g in geometries
        ]
        return Features({"type": "FeatureCollection", "features": shapes}, around(geometries), look)


def is_image(thing: Any) -> bool:
    """Tell whether something is an image or a collection of images, and no geometry."""
    if isinstance(thing, xr.Dataset | xr.DataArray):
        return True
    if isinstance(thing, str | Path):
        return Path(thing).suffix.lower() not in (".geojson", ".json")
    if isinstance(thing, Mapping | pd.DataFrame | pd.Series | list | tuple):
        return not _has_geometries(thing)
    known = ("geometry", "__geo_interface__", "geodataframe", "geom", "boundingbox")
    return hasattr(thing, "dataset") or not any(hasattr(thing, name) for name in known)


def _has_geometries(thing: Any) -> bool:
    if isinstance(thing, Mapping):
        return "type" in thing
    if isinstance(thing, pd.DataFrame | pd.Series):  # of geopandas
        return isinstance(getattr(thing, "geometry", None), pd.Series)
    return True


def in_degrees(features: Any, caller: str) -> list[Any]:
    """Give geometries of shapely in longitude and latitude, in one piece where they cross 180°.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        These are no geometries, or there is none.
    """
    given = getattr(features, "geodataframe", features)
    written = getattr(given, "__geo_interface__", None)
    if isinstance(given, pd.DataFrame | pd.Series):
        given = given.reset_index(drop=True)  # two of one label are two
    elif isinstance(written, Mapping) and str(written.get("type")).startswith("Feature"):
        given = written
    elif callable(getattr(given, "geometry", None)):
        given = given.geometry()
    found = [projected(one, LON_LAT).geom for one in as_geometries(given).values()]
    if not found:
        raise ValueError(
            f"{caller} got features without any geometry: there is nothing to show. Look at what "
            "left none, a filter or a join for instance."
        )
    return in_one_piece(found)


def around(geometries: list[Any]) -> Bounds:
    """Give where geometries lie."""
    west, south, east, north = map(float, _shapely().total_bounds(geometries))
    return [[south, west], [north, east]]


def middle_of(geometries: list[Any]) -> tuple[float, float]:
    """Give the longitude and latitude of the middle."""
    middle = _shapely().union_all(geometries).centroid
    return (middle.x + 180) % 360 - 180, middle.y


def in_one_piece(geometries: list[Any]) -> list[Any]:
    """Move what lies west of 180° W by a turn, where all of it then lies together."""
    (_, west), (_, east) = around(geometries)
    if east - west <= 180:
        return geometries
    shift = needed("shapely.affinity", "geo", "regions and footprints").translate
    moved = [
        _shapely().union_all(
            [shift(p, xoff=360.0 * (p.centroid.x < 0)) for p in _shapely().get_parts(one)]
        )
        for one in geometries
    ]
    (_, west), (_, east) = around(moved)
    return moved if east - west <= 180 else geometries


def _shapely() -> Any:
    return needed("shapely", "geo", "regions and footprints")
