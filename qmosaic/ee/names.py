"""Names of bands and of properties: two namespaces of Earth Engine in the one of a Dataset.

A band is a data variable of its name, a property a coordinate of its name. Where both have one
name, the property is kept as ``property:NAME``. The names of dimensions, of the times of the images
and of the variable that holds the CRS are reserved: a band of that name is kept as ``band:NAME``, a
property as ``property:NAME``. No band of Earth Engine has a colon in its name. As soon as a plain
name is free again, the band or property gets it back.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import GRID_MAPPING

BAND, PROPERTY = "band:", "property:"
LACKING = "lacking:"
"""A coordinate that tells which images lack a band; of those it is masked."""

EMPTIED = "qmosaic_emptied"
"""The attribute that says why a collection has no image, or an image no band."""
TIME = "time"


def bands(dataset: xr.Dataset) -> dict[Hashable, xr.DataArray]:
    """Give the bands by their names in Earth Engine."""
    return {_plain(name, BAND): band for name, band in dataset.data_vars.items()}


def variable_of(dataset: xr.Dataset, band: Hashable) -> Hashable:
    """Give the name under which a band is kept; what is no band keeps its name."""
    kept = f"{BAND}{band}"
    return kept if band not in dataset.data_vars and kept in dataset.data_vars else band


def property_in(dataset: xr.Dataset, name: str) -> xr.DataArray | None:
    """Find a property by its name, None where there is none."""
    for kept in (f"{PROPERTY}{name}", name):
        if kept in dataset.coords and dataset[kept].dims in ((TIME,), ()):
            return dataset[kept].reset_coords(drop=True).rename(name)
    return None


def properties(dataset: xr.Dataset) -> list[Hashable]:
    """Name the properties: the coordinates with one value for each image, but for the CRS."""
    found = [
        name
        for name, c in dataset.coords.items()
        if c.dims in ((TIME,), ()) and not GRID_MAPPING & set(c.attrs)
    ]
    return [_plain(name, PROPERTY) for name in found if not str(name).startswith(LACKING)]


def lacking(dataset: xr.Dataset) -> dict[Hashable, Any]:
    """Tell which images lack a band, for each band that some of them lack."""
    flags = {name: f"{LACKING}{name}" for name in dataset.data_vars}
    return {name: dataset[flag].values for name, flag in flags.items() if flag in dataset.coords}


def band_names(dataset: xr.Dataset) -> list[list[Any]]:
    """List the bands that each image has; of a single image in a list of one."""
    lacked = {_plain(name, BAND): np.ravel(flags) for name, flags in lacking(dataset).items()}
    every = list(bands(dataset))
    return [
        [name for name in every if name not in lacked or not lacked[name][image]]
        for image in range(dataset.sizes.get(TIME, 1))
    ]


def with_bands(dataset: xr.Dataset, wanted: Mapping[Any, xr.DataArray]) -> xr.Dataset:
    """Replace the bands of a Dataset; its properties stay as they are."""
    gone = [f"{LACKING}{name}" for name in dataset.data_vars if _plain(name, BAND) not in wanted]
    bare = settled(dataset.drop_vars([*dataset.data_vars, *gone], errors="ignore"))
    if TIME not in bare.dims and any(TIME in band.dims for band in wanted.values()):
        bare = bare.drop_vars(TIME, errors="ignore")  # of one image, whose grid others now have
    dims = set(bare.dims).union(*(band.dims for band in wanted.values()))
    kept = {
        f"{BAND}{name}" if name in dims or _holds_time_or_crs(bare, name) else name: _time_first(
            band.reset_coords(drop=True)
        )
        for name, band in wanted.items()
    }
    aside = {name: f"{PROPERTY}{name}" for name in kept if name in bare.coords}
    return bare.rename(aside).assign(kept)


def _time_first(band: xr.DataArray) -> xr.DataArray:
    """Put the images first: a map with one number for each image has them last."""
    return band.transpose(TIME, ...) if TIME in band.dims[1:] else band


def with_properties(dataset: xr.Dataset, wanted: Mapping[Any, Any]) -> xr.Dataset:
    """Add properties to a Dataset; its bands stay as they are."""
    kept: dict[Hashable, Any] = {}
    for name, value in wanted.items():
        if name == TIME:
            dataset = beside_time(dataset)
            kept[name] = value
            continue
        taken = name in dataset.data_vars or name in dataset.dims
        taken |= _holds_time_or_crs(dataset, name) or f"{PROPERTY}{name}" in dataset.coords
        kept[f"{PROPERTY}{name}" if taken else name] = value
    return dataset.assign_coords(kept)


def beside_time(dataset: xr.Dataset) -> xr.Dataset:
    """Rename a band called ``time``, so that the images can lie along a dimension of that name."""
    return dataset.rename({TIME: f"{BAND}{TIME}"}) if TIME in dataset.data_vars else dataset


def along_time(dataset: xr.Dataset) -> xr.Dataset:
    """Make a single image one along time; its properties become coordinates along time."""
    if TIME in dataset.dims:
        return dataset
    dataset = beside_time(dataset)
    known = {
        name: c.variable.set_dims((TIME,), (1,))
        for name, c in dataset.coords.items()
        if c.ndim == 0 and name != TIME and not GRID_MAPPING & set(c.attrs)
    }
    made = dataset.expand_dims(TIME).assign_coords(known)
    if TIME not in made.dims:  # neither bands nor properties
        made = made.assign_coords({TIME: np.array(["NaT"], "M8[ns]")})
    return made


def with_own_times(dataset: xr.Dataset) -> xr.Dataset:
    """Let images lie at their own times, where they lay at those of images that they belong to."""
    own = f"{PROPERTY}{TIME}"
    if own not in dataset.coords or dataset[own].dims != (TIME,):
        return dataset
    return dataset.drop_vars(own).assign_coords({TIME: dataset[own].variable})


def settled(dataset: xr.Dataset) -> xr.Dataset:
    """Give bands and properties their plain names back where these are free."""
    back: dict[Hashable, Hashable] = {}
    for prefix in (BAND, PROPERTY):
        for name in dataset.variables:
            plain = _plain(name, prefix)
            free = plain not in dataset.variables and plain not in dataset.dims
            if plain != name and free and plain not in back.values():
                back[name] = plain
    return dataset.rename(back) if back else dataset


def _holds_time_or_crs(dataset: xr.Dataset, name: Hashable) -> bool:
    known = name in dataset.coords
    return known and (name == TIME or bool(GRID_MAPPING & set(dataset[name].attrs)))


def _plain(name: Hashable, prefix: str) -> Hashable:
    return name[len(prefix) :] if isinstance(name, str) and name.startswith(prefix) else name
