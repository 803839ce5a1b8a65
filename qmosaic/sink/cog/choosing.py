"""Which variables of a mosaic are written, as which bands, and what they declare."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import (
    NODATA_NAMES,
    PROVENANCE,
    SOURCE_INDEX,
    SOURCE_TIME,
    VALID_COUNT,
    declared_nodata,
    declared_packing,
    nodata_values,
)
from qmosaic.collection.kinds import overview_resampling_of
from qmosaic.collection.location import map_dims
from qmosaic.collection.masks import NO_IMAGE, fits
from qmosaic.sink.cog.bands import DATE_UNIT, LONGEST_NODATA, Band
from qmosaic.sink.cog.images import Images
from qmosaic.sink.cutting import BAND
from qmosaic.sink.layout import encode, packing
from qmosaic.sink.storable import settle_objects

Nodata = float | Mapping[Hashable, float] | None

STORED = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float32", "float64"),
)
"""The dtypes of GeoTIFF."""

OWN = (*NODATA_NAMES, "scale_factor", "add_offset", "units", "grid_mapping", "coordinates")
"""Attributes that a file has a place for, or that mean nothing there."""

IN_MEMORY = 1024
"""Rows and columns that are written at once of what lies in memory."""


@dataclass(frozen=True)
class Choice:
    """What is written of a mosaic.

    Attributes
    ----------
    dataset : xarray.Dataset
        The lazy variables, as they are computed.
    bands, provenance : list of Band
        The bands, and what says of them where pixels come from.
    images : list of Images
        What is to be found out about the images.
    """

    dataset: xr.Dataset
    bands: list[Band]
    provenance: list[Band]
    images: list[Images]

    @property
    def block(self) -> tuple[int, int]:
        """The rows and columns of its first block."""
        chunks = next(iter(self.dataset.variables.values())).chunks or ()
        return chunks[-2][0], chunks[-1][0]


def choose(
    dataset: xr.Dataset,
    asked: Sequence[Hashable] | None,
    nodata: Nodata,
    resampling: str | Mapping[Any, str] | None,
    provenance: bool,
) -> Choice:
    """Settle what is written.

    Raises
    ------
    KeyError
        There is no such band.
    ValueError
        There is nothing to write, or something that a GeoTIFF cannot hold.
    """
    down, across = map_dims(dataset)
    dataset = _only(dataset, asked)
    methods = overview_resampling_of(dataset, resampling)
    maps = [n for n, v in dataset.data_vars.items() if {down, across} <= set(v.dims)]
    if not maps:
        raise ValueError(
            "to_cog() got nothing that is a map: no band has the dimensions "
            f"{down!r} and {across!r}. Give a mosaic, or correct bands=."
        )
    origins = _origins(dataset, (down, across)) if provenance else []
    texts = [name for name in origins if dataset[name].dtype.kind in "OUST"]
    for name in (*maps, *origins):
        _check(dataset[name], (down, across), name in texts)
    bare = dataset[[*maps]].drop_vars(set(dataset.coords) - set(dataset.indexes) - set(origins))
    lazy = settle_objects(_lazy(bare, (down, across)))
    numbers = [n for n in (*maps, *origins) if lazy[n].dtype.kind in "iuf"]
    plain = xr.Dataset({name: lazy.variables[name] for name in numbers})
    coded = encode(plain, {name: packing(plain.variables[name]) for name in numbers})
    variables = {n: coded.variables.get(n, lazy.variables[n]) for n in (*maps, *origins)}
    computed = xr.Dataset({n: v.to_base_variable() for n, v in variables.items()})
    labels = dataset[BAND].values.tolist() if BAND in dataset.coords else None
    bands = [b for n in maps for b in _bands(computed[n], methods[n], nodata, labels)]
    _check_names(bands, nodata)
    told = [_origin(computed[n]) for n in origins if n not in texts]
    return Choice(computed, bands, told, list(_images(computed, origins, texts)))


def _only(dataset: xr.Dataset, asked: Sequence[Hashable] | None) -> xr.Dataset:
    """Give the bands that are asked for, in this order."""
    if asked is None:
        return dataset
    names: list[Hashable] = [asked] if isinstance(asked, str) else list(asked)
    along = BAND in dataset.dims
    known = dataset[BAND].values.tolist() if along else list(dataset.data_vars)
    for name in names:
        if name not in known:
            listed = ", ".join(map(repr, known))
            raise KeyError(
                f"bands= names {name!r}, which the mosaic does not have; it has {listed}"
            )
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"bands= names {name!r} {names.count(name)} times, and a mosaic has a band once: "
                "programs choose bands by their names. Name each once, or make a copy of another "
                f"name first, such as mosaic.assign(copy=mosaic[{name!r}])."
            )
    if not names:
        raise ValueError("bands= names no band. Name one at least, or leave it out for all.")
    return dataset.sel({BAND: names}) if along else dataset[names]


def _origins(dataset: xr.Dataset, axes: tuple[Hashable, Hashable]) -> list[Hashable]:
    """Name the coordinates that say where pixels come from."""
    told = dataset.attrs.get(PROVENANCE, [])
    told = [told] if isinstance(told, str) else list(told)
    ends = tuple(f"_{name}" for name in (SOURCE_INDEX, SOURCE_TIME))
    return [
        name
        for name, coord in dataset.coords.items()
        if set(axes) <= set(coord.dims)
        and (
            name in told
            or name in (SOURCE_INDEX, SOURCE_TIME, VALID_COUNT)
            or str(name).endswith(ends)
        )
    ]


def _check(band: xr.DataArray, axes: tuple[Hashable, Hashable], is_text: bool) -> None:
    """Refuse what a GeoTIFF cannot hold."""
    further = [d for d in band.dims if d not in (*axes, BAND)]
    if further:
        listed = ", ".join(f"{d}=0" for d in further)
        raise ValueError(
            f"{band.name!r} has the dimension{'s' if len(further) > 1 else ''} "
            f"{', '.join(map(repr, further))}, and a GeoTIFF holds one map. Write a file for each, "
            f"for instance qm.to_cog(mosaic.isel({listed}), path)."
        )
    dtype = band.dtype
    if is_text or dtype.kind in "bM" or dtype == np.float16 or dtype.name in STORED:
        return
    raise ValueError(
        f"{band.name!r} has the dtype {dtype}, which a GeoTIFF cannot hold. Make numbers of it "
        f"(mosaic[{band.name!r}].astype(...)), or name the bands to write: bands=[...]."
    )


def _lazy(dataset: xr.Dataset, axes: tuple[Hashable, Hashable]) -> xr.Dataset:
    """Bring variables into blocks, with the rows of the map before its columns."""
    dataset = dataset.transpose(..., *axes)
    sizes = dict.fromkeys(axes, IN_MEMORY)
    return dataset.assign(
        {
            name: variable.chunk({d: sizes.get(d, 1) for d in variable.dims})
            for name, variable in dataset.variables.items()
            if name not in dataset.indexes and variable.chunks is None
        }
    )


def _bands(
    computed: xr.DataArray, resampling: str, nodata: Nodata, labels: list[Any] | None
) -> Iterator[Band]:
    """Describe the bands that a variable becomes."""
    whole = _band(computed, resampling)
    if BAND not in computed.dims:
        yield _with_nodata(whole, computed, nodata)
        return
    for place in range(computed.sizes[BAND]):
        name = str(labels[place]) if labels is not None else f"{computed.name}_{place + 1}"
        yield _with_nodata(replace(whole, name=name, place=place), computed, nodata)


def _band(computed: xr.DataArray, resampling: str) -> Band:
    name, attrs = str(computed.name), computed.attrs
    if computed.dtype.kind == "M":
        tags = _tags(attrs) | {"long_name": str(attrs.get("long_name", name))}
        number = np.dtype("int32")
        return Band(name, computed.name, None, number, -1, unit=DATE_UNIT, tags=tags)
    if computed.dtype.kind == "b":
        return Band(name, computed.name, None, np.dtype("uint8"), None, (), resampling)
    dtype = computed.dtype if computed.dtype != np.float16 else np.dtype(np.float32)
    declared = declared_nodata(computed)
    masked = [v for v in nodata_values(computed) if not np.isnan(v)]
    own: float | None
    scale, offset = declared_packing(computed)
    if dtype.kind == "f":
        own = np.nan if declared is None else float(declared)
    else:
        own = None if declared is None else int(declared)
        masked = [] if own is None else [own]
    return Band(
        name,
        computed.name,
        None,
        dtype,
        own,
        tuple(masked),
        resampling,
        scale,
        offset,
        str(attrs.get("units", "")),
        _tags(attrs),
    )


def _with_nodata(band: Band, computed: xr.DataArray, nodata: Nodata) -> Band:
    """Take the nodata that is asked for, and see to it that a file can declare it."""
    asked: Any = nodata
    if isinstance(nodata, Mapping):
        asked = nodata.get(band.name, nodata.get(band.variable))
    if asked is not None and computed.dtype.kind != "M":
        band = replace(band, nodata=_held(asked, band))
    if band.dtype.itemsize == 8 and band.dtype.kind in "iu" and band.nodata is not None:
        if abs(band.nodata) >= LONGEST_NODATA:
            raise ValueError(
                f"band {band.name!r} declares the nodata {band.nodata}, which programs that read "
                "GeoTIFFs take for another number: they keep it as a float. Choose a shorter one, "
                f"for instance nodata={{{band.name!r}: -1}}."
            )
    return band


def _held(asked: Any, band: Band) -> float:
    """Give the nodata that is asked for as the dtype holds it."""
    try:
        number = float(asked)
    except (TypeError, ValueError):
        number = None
    if number is not None and band.dtype.kind == "f":
        held = float(band.dtype.type(number))
        if np.isnan(number) or (held == number and np.isfinite(held)):
            return held
    elif number is not None and fits(asked, band.dtype):
        return int(asked)
    raise ValueError(
        f"nodata={asked!r} cannot be that of band {band.name!r}, whose dtype {band.dtype} does not "
        f"hold it exactly. Give each band its own, nodata={{{band.name!r}: ...}}, or leave nodata= "
        "out: what the mosaic declares is kept."
    )


def _check_names(bands: Sequence[Band], nodata: Nodata) -> None:
    names = [band.name for band in bands]
    if isinstance(nodata, Mapping) and (unknown := [n for n in nodata if str(n) not in names]):
        raise KeyError(
            f"nodata= names {unknown[0]!r}, which is no band of the mosaic; these are "
            f"{', '.join(map(repr, names))}"
        )


def _tags(attrs: Mapping[Any, Any]) -> dict[str, str]:
    """Give attributes as texts."""
    return {str(k): as_tag(v) for k, v in attrs.items() if k not in OWN and v is not None}


def as_tag(value: Any) -> str:
    """Give the value of an attribute as a text: as JSON, unless it is one."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    return plain if isinstance(plain, str) else json.dumps(plain, default=str)


def _origin(computed: xr.DataArray) -> Band:
    """Describe what says where pixels come from."""
    band = _band(computed, "nearest")
    if band.unit != DATE_UNIT and computed.dtype.kind in "iu":
        # numbers of images and counts are small, and one file holds them all
        name = str(computed.name)
        counted = name == VALID_COUNT or name.endswith(SOURCE_INDEX)
        masked = (NO_IMAGE,) if name.endswith(SOURCE_INDEX) else band.masked
        if counted:
            return replace(band, dtype=np.dtype("int32"), nodata=-1, masked=masked)
    return band


def _images(
    computed: xr.Dataset, origins: Sequence[Hashable], texts: Sequence[Hashable]
) -> Iterator[Images]:
    """Say what is to be found out about images.

    Raises
    ------
    ValueError
        A text has no number of an image that it could stand beside.
    """
    found: set[Hashable] = set()
    for index in origins:
        prefix = str(index).removesuffix(SOURCE_INDEX)
        if prefix == index:
            continue
        told = {
            str(name).removeprefix(prefix).replace(SOURCE_TIME, "time"): name
            for name in origins
            if (name in texts or str(name).endswith(SOURCE_TIME)) and str(name).startswith(prefix)
        }
        found |= set(told.values())
        yield Images(index, prefix.removesuffix("_"), told)
    for name in texts:
        if name not in found:
            raise ValueError(
                f"{name!r} holds texts, which a GeoTIFF cannot. Make the mosaic with "
                f"provenance=['source_index', {name!r}]: then they stand in the table of images "
                f"beside the file; or leave them out, mosaic.drop_vars({name!r})."
            )
