"""What a store says of its mosaic: its rules, its images, its bands as they are stored."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from xarray.conventions import decode_cf_variable

from qmosaic.collection.declarations import PREFIX, PROVENANCE, SOURCE_INDEX
from qmosaic.collection.readers import AS_STORED, ZarrReader
from qmosaic.engine.continuing import FIRST, IMAGES, LAST, Past
from qmosaic.sink.identity import UPDATABLE, check_format
from qmosaic.sink.layout import is_stored_as_it_lies, times_of
from qmosaic.sink.multiscale import groups_in
from qmosaic.sink.opening import IncompleteMosaicError
from qmosaic.sink.store_group import Place
from qmosaic.sink.updatable import rules_of

PACKED = ("_FillValue", "missing_value", "scale_factor", "add_offset")

TIMES = ("units", "calendar")

Formats = Literal[2, 3]


@dataclass(frozen=True)
class Stored:
    """A mosaic in its store.

    Attributes
    ----------
    place : Place
        Where it is.
    zarr_format : int
        2 or 3.
    state : dict
        What its journal says.
    raw : xarray.Dataset
        The mosaic in the numbers that are stored, lazily; without periods that an interrupted
        update has added.
    rules : mapping
        The attributes that record how it was made.
    array : hashable or None
        The name of its array, where it is a single one with a dimension of bands.
    before : dict
        What it says of the images that it was made of, in the form in which a journal keeps it:
        before an update that was interrupted.
    past : Past
        The same.
    """

    place: Place
    zarr_format: Formats
    state: dict[str, Any]
    raw: xr.Dataset
    rules: Mapping[Any, Any]
    array: Hashable | None
    before: dict[str, Any]
    past: Past

    @property
    def begun(self) -> dict[str, Any] | None:
        """The update that was begun and is not complete."""
        found: dict[str, Any] | None = self.state.get("update")
        return found

    @property
    def provenance(self) -> list[str]:
        """Name the coordinates that say where pixels come from."""
        return list(self.rules[PROVENANCE])

    def decoded(self, like: xr.Dataset) -> xr.Dataset:
        """Give the mosaic as quality_mosaic() gives it, its bands apart.

        Parameters
        ----------
        like : xarray.Dataset
            The mosaic of the new images, as it would be stored: packed alike.
        """
        names = [*self.raw.data_vars, *self.provenance]
        found = {n: _decoded(self.raw[n], like[n]) for n in names if n in like.variables}
        if self.array is not None:
            whole = found.pop(str(self.array))
            labels = list(like.indexes["band"])
            apart = {b: whole.isel(band=i, drop=True) for i, b in enumerate(labels)}
            found = {**apart, **found}
        bare = {n: xr.DataArray(a.variable) for n, a in found.items()}
        rest = [n for n in self.provenance if n in bare]
        return xr.Dataset(bare).set_coords(rest)


def _decoded(raw: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Decode a band as the one that is packed alike was decoded."""
    if raw.dtype == np.int64 and is_stored_as_it_lies(like.variable):
        return raw.copy(data=raw.data.map_blocks(times_of, dtype=like.dtype))
    packing = {k: like.encoding[k] for k in PACKED if k in like.encoding}
    if raw.attrs.get("dtype") == "bool":
        packing["dtype"] = "bool"
    if like.dtype.kind in "mM":
        packing |= {k: raw.attrs[k] for k in (*PACKED, *TIMES) if k in raw.attrs}
    if raw.dtype.kind == "O" or not packing:
        return raw
    bare = xr.Variable(raw.dims, raw.data, packing)
    found = decode_cf_variable(str(raw.name), bare)
    return xr.DataArray(found.astype(like.dtype) if found.dtype != like.dtype else found)


def read_stored(place: Place) -> Stored:
    """Read what a store says of its mosaic.

    Raises
    ------
    FileNotFoundError
        There is no mosaic.
    IncompleteMosaicError
        Blocks of it are missing.
    ValueError
        It cannot be updated.
    """
    zarr_format = place.format_there()
    if zarr_format is None:
        raise FileNotFoundError(
            f"there is no mosaic at {place.name!r}"
            + (f" in group {place.path!r}" if place.path else "")
            + ": no Zarr group is there. Check the path; a mosaic is begun with "
            "qmosaic.to_zarr(mosaic, store, updatable=True)."
        )
    state = place.journal(zarr_format).read()
    if state is None:
        raise _not_updatable(place, "was not written by qmosaic.to_zarr")
    check_format(state, place.name)
    if state["state"] != "complete" and "update" not in state:
        raise IncompleteMosaicError(
            f"the mosaic in {place.name!r} is not complete, so it cannot be updated. Go on with "
            "qmosaic.to_zarr(mosaic, store, mode='resume') first."
        )
    version = (state["plan"].get("updatable") or {}).get("version")
    if version is None:
        raise _not_updatable(place, "was written without updatable=True")
    if version != UPDATABLE:
        raise _not_updatable(place, f"was written in version {version!r} of what updates need")
    place = replace(place, inner=groups_in(state)[0])
    raw = _open(place, state)
    rules, array = rules_of(raw)
    lacking = [n for n in rules.get(PROVENANCE, [SOURCE_INDEX]) if n not in raw.variables]
    if not rules or lacking:
        raise _not_updatable(place, "has lost attributes or coordinates since it was written")
    begun = state.get("update")
    before = begun["before"] if begun else _say(raw, rules)
    past = _past(before, rules)
    if past.periods is not None:
        dim = raw[SOURCE_INDEX].dims[0]
        raw = raw.isel({dim: slice(past.mosaics)})
    return Stored(place, zarr_format, state, raw, rules, array, before, past)


def _not_updatable(place: Place, why: str) -> ValueError:
    return ValueError(
        f"the mosaic in {place.name!r} cannot be updated: it {why}, so not all is there that new "
        "images have to be compared with. Write it anew from all images, "
        "to_zarr(quality_mosaic(collection, band, provenance=True), store, mode='w', "
        "updatable=True)."
    )


def _open(place: Place, state: Mapping[str, Any]) -> xr.Dataset:
    # a session that is written to cannot be sent to workers, its fork can
    where: Any = place.store if place.session is None else place.session.fork().store
    options: dict[str, Any] = {
        "engine": ZarrReader,
        "group": place.arrays or None,
        **AS_STORED,
    }
    periods = state["update"]["before"]["periods"] if "update" in state else None
    if periods is None:
        opened = xr.open_dataset(where, **options)
    else:
        opened = _open_lengthened(where, options, state, len(periods["starts"]))
    order = [name for name in state["plan"].get("order", ()) if name in opened]
    return opened[[*order, *(n for n in opened.data_vars if n not in order)]]


def _open_lengthened(
    store: Any, options: dict[str, Any], state: Mapping[str, Any], count: int
) -> xr.Dataset:
    """Open a mosaic whose arrays may have been lengthened by an update, or some of them, as it was
    before: array by array."""
    path = options["group"] or ""
    group = zarr.open_group(store, path=path, mode="r", use_consolidated=False)
    arrays = dict(group.arrays())
    dim = dims_of(arrays[SOURCE_INDEX])[0]
    found: dict[Hashable, xr.Variable] = {}
    for name, array in arrays.items():
        if dims_of(array) == (dim,):
            continue  # what is said of the periods; the journal has kept it
        others = [other for other in arrays if other != name]
        one = xr.open_dataset(store, drop_variables=others, **options)
        found[name] = one.variables[name].isel({dim: slice(count)}, missing_dims="ignore")
    bands = set(state["plan"]["order"])
    rest = [name for name in found if name not in bands]
    return xr.Dataset(found, attrs=one.attrs).set_coords(rest)


def dims_of(array: Any) -> tuple[str, ...]:
    """Name the dimensions of an array of Zarr."""
    names = getattr(array.metadata, "dimension_names", None)
    return tuple(names or array.attrs.get("_ARRAY_DIMENSIONS", ()))


def _past(told: Mapping[str, Any], rules: Mapping[Any, Any]) -> Past:
    """Say which images a mosaic was made of."""
    periods = told["periods"]
    frame = None
    if periods is not None:
        columns = {k: np.array(periods[k], "datetime64[ns]") for k in ("first", "last")}
        starts = pd.DatetimeIndex(np.array(periods["starts"], "datetime64[ns]"))
        frame = pd.DataFrame({"images": periods["images"], **columns}, index=starts)
    return Past(
        int(told["images"]),
        told["first"],
        told["last"],
        frame,
        rules.get(PREFIX + "period"),
        rules.get(PREFIX + "empty") == "drop",
    )


def _say(raw: xr.Dataset, rules: Mapping[Any, Any]) -> dict[str, Any]:
    """Say which images a mosaic was made of, in the form in which a journal keeps it."""
    periods = None
    if PREFIX + "period" in rules:
        dim = raw[SOURCE_INDEX].dims[0]
        starts, first, last = (
            np.datetime_as_string(decode_cf_variable(str(n), raw[n].variable).values).tolist()
            for n in (dim, FIRST, LAST)
        )
        counts = raw[IMAGES].values.tolist()
        periods = {"starts": starts, "images": counts, "first": first, "last": last}
    told = {"first": rules.get(FIRST), "last": rules.get(LAST), "periods": periods}
    return {"images": rules[IMAGES], **told}
