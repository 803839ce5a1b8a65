"""Features as the rows of a GeoDataFrame, and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qmosaic.collection.geometry import LON_LAT, as_geometry, crs_of_geojson, projected
from qmosaic.ee.catalog import features as registered
from qmosaic.ee.elements import is_missing, objects
from qmosaic.ee.features.feature import Feature, computed
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.values import Date, plain
from qmosaic.optional import needed

EXTRA = ("features", "collections of features")
"""The extra that brings geopandas, and what it is needed for."""


def geopandas() -> Any:
    """Import geopandas, or say how to install it."""
    return needed("geopandas", *EXTRA)


def table_of(source: Any) -> Any:
    """Open a table of features: an id, a path, a URL, GeoJSON, or one of geopandas.

    Raises
    ------
    TypeError
        It is nothing of the kind.
    FileNotFoundError, KeyError
        There is no such file, and no such id is registered.
    """
    if isinstance(source, str):
        source = registered(source)
    if isinstance(source, str | Path):
        source = _read(str(source))
    if isinstance(source, Mapping):
        source = _of_geojson(source)
    if isinstance(source, pd.Series) and hasattr(source, "crs"):  # of geometries
        source = geopandas().GeoDataFrame(geometry=source)
    if not (isinstance(source, pd.DataFrame) and hasattr(source, "crs")):
        raise TypeError(
            f"ee.FeatureCollection() got a {type(source).__name__}; it takes a path of GeoJSON, "
            "GeoPackage or a shapefile, an id that is registered, GeoJSON, a GeoDataFrame, or a "
            "list of features or geometries."
        )
    return checked(source)


def _read(source: str) -> Any:
    table = geopandas()
    path = os.path.expanduser(source)
    return table.read_parquet(path) if path.endswith(".parquet") else table.read_file(path)


def _of_geojson(given: Mapping[str, Any]) -> Any:
    """Make a table of GeoJSON: a collection of features, a feature or a geometry."""
    several = given.get("type") == "FeatureCollection"
    crs = crs_of_geojson(given) or LON_LAT
    named = {"crs": given["crs"]} if "crs" in given else {}
    listed = given["features"] if several else [given]
    features = [Feature({**named, **one}) for one in listed]
    return frame_of(features, crs)


def checked(frame: Any) -> Any:
    """Check a table, and bring it to what is worked with: a CRS, flat geometries."""
    shapely = needed("shapely", "geo", "regions")
    frame = frame.copy(deep=False)
    if frame.crs is None:
        west, south, east, north = frame.total_bounds
        if len(frame) and np.isfinite(west):
            as_geometry((west, south, east, north))  # refuses what is not in degrees
        frame = frame.set_crs(LON_LAT)
    flat = shapely.force_2d(frame.geometry.to_numpy())
    return frame.set_geometry(geopandas().GeoSeries(flat, index=frame.index, crs=frame.crs))


def frame_of(features: Iterable[Feature], crs: Any = None) -> Any:
    """Make a table of features; what is not computed yet of their properties is computed."""
    listed = list(features)
    rows = [dict(row) for row in computed([one._properties for one in listed])]
    crss = {str(f._geometry.geometry.crs) for f in listed if f._geometry is not None}
    if crs is None:
        crs = crss.pop() if len(crss) == 1 else LON_LAT
    shapes = [
        None if f._geometry is None else projected(f._geometry.geometry, crs).geom for f in listed
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {
        name: _column([_kept(row.get(name)) for row in rows])
        for name in names
        if name != "geometry"
    }
    labels = [str(n) if f._id is None else f._id for n, f in enumerate(listed)]
    series = geopandas().GeoSeries(shapes, index=labels, crs=crs)
    return geopandas().GeoDataFrame(columns, geometry=series, index=labels)


def _kept(value: Any) -> Any:
    """Take a value as a table keeps it: a date as its milliseconds, as in Earth Engine."""
    if isinstance(value, Date):
        return value.millis().getInfo()
    return plain(value)


def _column(values: list[Any]) -> Any:
    """Make a column: of numbers where all are numbers, else of objects."""
    whole = values and all(type(one) in (int, float) for one in values if one is not None)
    return pd.Series(values).to_numpy() if whole else objects(values)


def features_in(frame: Any) -> list[Feature]:
    """Give the rows of a table as features."""
    names = [name for name in frame.columns if name != frame.geometry.name]
    columns = [_values(frame[name]) for name in names]
    geom = needed("odc.geo.geom", "geo", "regions")
    made = []
    for place, (label, shape) in enumerate(zip(frame.index, frame.geometry, strict=True)):
        known = {str(name): column[place] for name, column in zip(names, columns, strict=True)}
        where = None if shape is None else Geometry._kept(geom.Geometry(shape, frame.crs))
        made.append(Feature(where, known, str(label)))
    return made


def _values(column: Any) -> list[Any]:
    """Give a column as values of Python: times in milliseconds, None where there is none."""
    if column.dtype.kind == "M":
        column = pd.to_datetime(column, utc=True).astype("M8[ms, UTC]")
        return [None if pd.isna(one) else round(one.timestamp() * 1000) for one in column]
    listed = column.astype(object).tolist()
    return [None if is_missing(one) else one for one in listed]
