"""From bands to a mosaic: coordinates, attributes and encodings are added."""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import NODATA_NAMES, PREFIX
from qmosaic.collection.transforms import true_to_grid
from qmosaic.engine.request import Request
from qmosaic.engine.surroundings import RADIUS

# How values are packed on disk; chunks, shards, codecs and file names fit the source
# alone.
KEPT_ENCODING = (
    "dtype",
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "units",
    "calendar",
    "grid_mapping",
)


def with_attributes(made: Mapping[Hashable, xr.DataArray], request: Request) -> xr.Dataset:
    """Make a Dataset of bands, with coordinates, attributes and encodings of the collection.

    Parameters
    ----------
    made : mapping of name to xarray.DataArray
        The bands; what is none of the collection's bands becomes a coordinate.
    request : Request
        What the mosaic was asked to be.
    """
    images, bands = request.collection, {}
    for name in request.bands:
        bands[name] = made[name].copy(deep=False)
        bands[name].attrs = _attrs(request, name)
        bands[name].encoding = _encoding(request, name)
    rest = images.drop_dims([request.dim])
    kept = {n: (bands[n] if n in bands else rest[n]).variable for n in images.data_vars}
    mosaic = xr.Dataset(kept, rest.coords, images.attrs)
    mosaic = mosaic.assign_coords({n: a.variable for n, a in made.items() if n not in bands})
    mosaic.attrs.update(_record(request))
    mosaic.encoding = {k: v for k, v in images.encoding.items() if k != "unlimited_dims"}
    return true_to_grid(mosaic)


def _declares_fill(request: Request, name: Hashable) -> bool:
    return (
        request.dtype(name).kind in "iu"
        and request.nodata[name] is None
        and request.can_lack_candidate()
    )


def _attrs(request: Request, name: Hashable) -> dict[str, Any]:
    attrs = dict(request.collection[name].attrs)
    if not request.keeps_nodata(name):
        attrs = {key: value for key, value in attrs.items() if key not in NODATA_NAMES}
    if _declares_fill(request, name):
        attrs["_FillValue"] = request.fill(name)
    return attrs


def _encoding(request: Request, name: Hashable) -> dict[str, Any]:
    source = request.collection[name]
    encoding = {k: v for k, v in source.encoding.items() if k in KEPT_ENCODING}
    if source.dtype.kind in "biu" and request.dtype(name) != source.dtype:
        # what says how integers are stored
        return {k: v for k, v in encoding.items() if k == "grid_mapping"}
    for key in NODATA_NAMES:
        if key in _attrs(request, name):
            encoding.pop(key, None)
    packed = np.dtype(encoding.get("dtype", source.dtype))
    if source.dtype.kind == "f" and packed.kind in "iu":
        if not any(key in encoding for key in NODATA_NAMES) and request.can_lack_candidate():
            encoding["_FillValue"] = packed.type(int(request.rules.fill_value or 0))
    elif packed != source.dtype and source.dtype.kind in "biuf":
        encoding.pop("dtype", None)
    return encoding


def _record(request: Request) -> dict[str, Any]:
    rules = request.rules
    names = [str(name) for name in request.quality_bands]
    method: dict[str, Any] = {"quality_band": names if len(names) > 1 else names[0]}
    if request.compared:
        method = {"method": "medoid", "medoid_bands": [str(name) for name in request.compared]}
    record: dict[str, Any] = method | {
        "ties": rules.ties,
        "masked": rules.masked,
        "images": int(request.collection.sizes[request.dim]),
    }
    told = dict.fromkeys(c for n in request.bands for c in request.source_coordinates(n))
    if told:
        record["provenance"] = [str(name) for name in told]
    # as they were given: an integer quality is compared with the next whole number
    asked = {"min_quality": rules.min_quality, "upper_bound": rules.upper_bound}
    if rules.within is not None:
        asked |= {"within": rules.within, "reducer": rules.reducer}
    asked |= {"smooth": rules.smooth, "scene_bonus": rules.scene_bonus}
    if rules.scene_bonus is not None:
        radius = rules.scene_radius
        asked["scene_radius"] = f"{RADIUS} pixels" if radius is None else radius
    record.update({k: np.asarray(v).item() for k, v in asked.items() if v is not None})
    record.update(time_span(request.collection, request.dim))
    return {PREFIX + key: value for key, value in record.items()}


def time_span(collection: xr.Dataset | xr.DataArray, dim: Hashable) -> dict[str, str]:
    """Say when the first and the last image of a collection were taken, where that is known."""
    if dim not in collection.indexes:
        return {}
    times = collection.indexes[dim]
    known = times[~times.isna()]
    if not len(known):
        return {}
    return {"time_first": _as_text(known.min()), "time_last": _as_text(known.max())}


def _as_text(moment: Any) -> str:
    if isinstance(moment, datetime.datetime) or hasattr(moment, "isoformat"):
        return str(moment.isoformat())
    return str(moment)
