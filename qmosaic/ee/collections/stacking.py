"""Single images, and collections, put together along time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import GRID_MAPPING
from qmosaic.ee.names import beside_time
from qmosaic.ee.pixels import refill


def stacked(images: list[xr.Dataset]) -> xr.Dataset:
    """Stack single images along time; their properties become coordinates along time."""
    return joined([_along_time(image) for image in images])


def _along_time(dataset: xr.Dataset) -> xr.Dataset:
    if "time" in dataset.dims:
        return dataset
    dataset = beside_time(dataset)
    known = {
        name: ("time", [c.values[()]])
        for name, c in dataset.coords.items()
        if c.ndim == 0 and name != "time" and not GRID_MAPPING & set(c.attrs)
    }
    return dataset.expand_dims("time").assign_coords(known)


def joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Concatenate collections: bands get one nodata value, images the properties of all."""
    bands = [set(part.data_vars) for part in parts]
    for other in bands[1:]:
        if other != bands[0]:
            raise ValueError(
                "ee.ImageCollection: images with different bands cannot be put together; some lack "
                f"{', '.join(map(repr, sorted(map(str, bands[0] ^ other))))}. Select the bands "
                "that all have first."
            )
    masked = {name: refill([part[name] for part in parts]) for name in parts[0].data_vars}
    alike = [
        _with_properties(part, parts).assign({n: b[i].variable for n, b in masked.items()})
        for i, part in enumerate(parts)
    ]
    try:
        joined: xr.Dataset = xr.concat(
            alike,
            "time",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    except ValueError as error:
        raise ValueError(
            f"ee.ImageCollection: the images are not on one grid ({error}). Bring them onto one "
            "first, with open_collection(..., geobox=...) or odc-geo's reproject."
        ) from error
    return joined


def _with_properties(part: xr.Dataset, parts: list[xr.Dataset]) -> xr.Dataset:
    """Add the properties that only other images have, as NaN or an empty text."""
    missing = {}
    for other in parts:
        for name, c in other.coords.items():
            if name not in part.coords and c.dims == ("time",):
                nothing: Any = np.nan if c.dtype.kind in "iuf" else ""
                missing[name] = ("time", np.full(part.sizes["time"], nothing, dtype=None))
    shared = [set(p.coords) for p in parts]
    extra = [
        n
        for n, c in part.coords.items()
        if c.dims != ("time",) and not all(n in names for names in shared)
    ]
    return part.drop_vars(extra).assign_coords(missing)
