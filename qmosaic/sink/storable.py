"""What a store of Zarr can hold: names, attributes, texts.

Attributes are JSON there, as RFC 8259 has it: no NaN, no dates, no objects.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import numbers
import os
import uuid
import warnings
from collections.abc import Collection, Hashable, Mapping
from enum import Enum
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from xarray.conventions import encode_cf_variable

from qmosaic.collection.pixelwise import of_single_pixels
from qmosaic.sink.journal import GROUP

DOCUMENTS = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
CF = ("_FillValue", "missing_value", "scale_factor", "add_offset")
"""Attributes that xarray brings into the form in which the format keeps them."""

NAMES = (
    "coordinates",
    "grid_mapping",
    "ancillary_variables",
    "bounds",
    "cell_measures",
    "formula_terms",
)
"""Attributes in which CF names variables, in one text; readers fail at anything else."""

LONGEST_NAME = 200
"""In bytes; file systems take 255, with what is added while a file is written."""

TEXT = np.dtype("O", metadata={"element_type": str})
"""How xarray marks objects that are texts of any length."""


def check_names(dataset: xr.Dataset) -> None:
    """Refuse variables and dimensions that cannot be stored under their names.

    Raises
    ------
    ValueError
        A name that is no text, or cannot be that of a folder in the store.
    """
    for name in dataset.variables:
        reason = _why_not(name)
        if reason:
            raise ValueError(
                f"the variable {name!r} cannot be stored under its name: {reason}. Rename it, for "
                f"instance mosaic.rename({{{name!r}: {_suggest(name)!r}}})."
            )
    for dim in dataset.dims:
        if not isinstance(dim, str) or not dim:
            raise ValueError(
                f"the dimension {dim!r} cannot be stored under its name: names in Zarr are texts. "
                f"Rename it, for instance mosaic.rename({{{dim!r}: {_suggest(dim)!r}}})."
            )


def check_dtypes(dataset: xr.Dataset, given: Collection[Hashable] = ()) -> None:
    """Refuse variables of dtypes that Zarr does not have; of those in `given`, another is stored.

    Raises
    ------
    ValueError
        A dtype of records, or of floats longer than 64 bits.
    """
    for name, variable in dataset.variables.items():
        dtype = variable.dtype
        if name in given or "dtype" in variable.encoding:
            continue
        if dtype.kind == "V":
            what, instead = "records", "Make a variable of each of their fields"
        elif dtype.char in "gG":
            what = "longer floats than Zarr has"
            instead = f"Give it another one: mosaic[{name!r}].astype("
            instead += "'float64')" if dtype.kind == "f" else "'complex128')"
        else:
            continue
        raise ValueError(
            f"the variable {name!r} cannot be stored: its dtype {dtype} is of {what}. {instead}."
        )


def _why_not(name: Hashable) -> str:
    if not isinstance(name, str):
        return f"it is a {type(name).__name__}, and names in Zarr are texts"
    if not name.strip():
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it has a slash, which would make it a group and an array in it"
    if not name.strip("."):
        return "it means another folder"
    if name == GROUP or name in DOCUMENTS:
        return "that is the name of what the store says about itself"
    if name.startswith("__"):
        return "Zarr keeps names that begin with two underscores for itself"
    if any(ord(c) < 32 for c in name):
        return "it has characters that cannot be printed"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    return ""


def _suggest(name: Hashable) -> str:
    if not isinstance(name, str):
        return f"B{name}" if isinstance(name, int) else "band"
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    return kept.strip("._")[:LONGEST_NAME] or "band"


# -- attributes -----------------------------------------------------------------------------------


class NotPlainError(TypeError):
    """An object that JSON has no form for."""


def settle_attributes(dataset: xr.Dataset) -> xr.Dataset:
    """Bring all attributes into a form that can be stored; what has none is left out with a
    warning.

    Returns
    -------
    xarray.Dataset
        A copy, as far as it differs.
    """
    settled = dataset.copy()
    settled.attrs = _settle(dataset.attrs, "of the mosaic")
    for name, variable in dataset.variables.items():
        settled[name].attrs = _settle(variable.attrs, f"of {name!r}")
    return settled


def _settle(attributes: Mapping[Any, Any], of_what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if key in NAMES and not isinstance(value, str):
            warnings.warn(
                f"the attribute {key!r} {of_what} is {value!r:.60}, and CF has a text there, with "
                "the names of variables: it is left out.",
                stacklevel=2,
            )
            continue
        if key in CF and (isinstance(value, np.generic | np.ndarray) or _is_number(value)):
            if key == "missing_value" and value != value:
                continue  # NaN is masked anyway, and no number of JSON
            found[key] = value
            continue
        try:
            found[str(key)] = as_plain(value)
        except NotPlainError:
            warnings.warn(
                f"the attribute {key!r} {of_what} is a {type(value).__name__}, which cannot be "
                "stored: it is left out.",
                stacklevel=2,
            )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Number)


def as_plain(value: Any, depth: int = 0) -> Any:
    """Bring a value into what JSON knows: texts, numbers, true, false, null, lists, objects.

    Dates become ISO 8601, NaN and infinity the words that Zarr has for them, tuples, sets and
    arrays lists.

    Raises
    ------
    NotPlainError
        There is no such form.
    """
    if value is None or isinstance(value, str | bool):
        return value if not isinstance(value, Enum) else value.value
    if depth > 32:
        raise NotPlainError("it contains itself, or nearly so")
    if isinstance(value, np.ndarray | np.generic):
        return _plain_array(value, depth)
    if isinstance(value, Enum):
        return as_plain(value.value, depth + 1)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _plain_float(float(value))
    if isinstance(value, datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return "NaT" if value != value else value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): as_plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | range):
        if hasattr(value, "to_gdal"):  # an Affine that is a tuple, as it was before affine 3
            value = value[:6]
        return [as_plain(v, depth + 1) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((as_plain(v, depth + 1) for v in value), key=_place_in_order)
    return _plain_object(value, depth)


def _place_in_order(plain: Any) -> tuple[str, float, str]:
    number = plain if isinstance(plain, int | float) else 0
    return type(plain).__name__ if number == 0 and plain != 0 else "", number, str(plain)


def _plain_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")


def _plain_array(value: Any, depth: int) -> Any:
    if isinstance(value, np.ma.MaskedArray):
        return as_plain(value.tolist(), depth + 1)
    array = np.asarray(value)
    if array.dtype.kind == "M":
        return np.datetime_as_string(array).tolist()
    if array.dtype.kind == "m":
        return array.astype(str).tolist()
    if array.dtype.kind in "VO" and array.dtype.names:
        raise NotPlainError("records")
    return as_plain(array.tolist(), depth + 1)


def _plain_object(value: Any, depth: int) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise NotPlainError("bytes") from error
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, numbers.Real):
        return _plain_float(float(value))
    if isinstance(value, complex):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: as_plain(getattr(value, f.name), depth + 1) for f in fields}
    shape = getattr(value, "__geo_interface__", None)
    if isinstance(shape, Mapping):
        return as_plain(shape, depth + 1)
    if hasattr(value, "to_gdal"):  # an Affine
        return [float(v) for v in value][:6]
    if hasattr(value, "to_wkt"):  # a CRS of pyproj, rasterio, odc
        return str(value.to_wkt())
    if hasattr(value, "isoformat"):  # a date of cftime
        return str(value.isoformat())
    raise NotPlainError(type(value).__name__)


# -- texts and objects ----------------------------------------------------------------------------


def settle_objects(dataset: xr.Dataset) -> xr.Dataset:
    """Bring texts and other objects into a form that can be stored.

    A text that is missing (None, NaN) is stored as an empty one; texts of a fixed length that say
    something of images or bands are stored as texts of any length, as no format of Zarr fixes how
    others are. In a lazy band all objects have to
    be texts, which is found out where they are computed; what has one dimension at most says
    something of the images or bands, and is looked at.
    """
    settled = dataset.copy()
    for name, variable in dataset.variables.items():
        fixed = variable.dtype.kind == "U" and variable.ndim < 2
        if not (fixed or variable.dtype.kind in "OT") or name in dataset.indexes:
            continue
        if variable.chunks is not None and variable.ndim > 1:
            data = variable.data.map_blocks(
                texts_of, str(name), dtype=TEXT, meta=np.empty((0,) * variable.ndim, TEXT)
            )
        else:
            data = _settle_values(name, variable)
        if data is None:
            settled = settled.drop_vars([name])
        else:
            settled[name] = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
    return settled


def blank_texts(shape: tuple[int, ...]) -> da.Array:
    """Give as many empty texts, in no memory."""
    return da.broadcast_to(da.from_array(np.array("", TEXT), chunks=()), shape, chunks=shape)


def is_missing(value: Any) -> bool:
    """Whether a value in an array of objects stands for none."""
    return value is None or (isinstance(value, float) and value != value)


@of_single_pixels
def texts_of(values: Any, name: str) -> Any:
    """Give texts of any length, empty ones where they are missing.

    Raises
    ------
    TypeError
        There is something else.
    """
    flat = np.asarray(values).astype(object).reshape(-1)
    try:  # a mosaic has millions of pixels, and few texts
        places, different = pd.factorize(flat)
    except TypeError:  # a list, which has no hash
        places, different = np.arange(flat.size), flat
    table = np.empty(len(different) + 1, TEXT)
    table[-1] = ""  # where none is found
    for number, value in enumerate(different):
        if not isinstance(value, str) and not is_missing(value):
            raise TypeError(
                f"the band {name!r} is of dtype object and has a {type(value).__name__} in it; "
                "objects can be stored where all are texts. Bring the band into another dtype: "
                f"collection[{name!r}].astype(...)."
            )
        table[number] = str(value) if isinstance(value, str) else ""
    found: Any = table[places].reshape(np.shape(values))
    return found


def _settle_values(name: Hashable, variable: xr.Variable) -> Any:
    """Give the values of a variable in memory in a form that can be stored; None if there is
    none."""
    values = variable.values
    present = [v for v in values.astype(object).reshape(-1) if not is_missing(v)]
    if variable.dtype.kind == "T" or all(isinstance(v, str) for v in present):
        return texts_of(values, str(name))
    if all(isinstance(v, bool | np.bool_) for v in present) and len(present) == values.size:
        return values.astype(bool)
    if all(isinstance(v, numbers.Real) for v in present):
        whole = len(present) == values.size
        return np.array(present).reshape(values.shape) if whole else values.astype("float64")
    if _is_stored_by_xarray(variable, name):
        return values
    found = np.empty(values.shape, TEXT)
    flat = found.reshape(-1)
    try:
        for number, value in enumerate(values.reshape(-1)):
            plain = "" if is_missing(value) else as_plain(value)
            flat[number] = plain if isinstance(plain, str) else json.dumps(plain)
    except NotPlainError:
        kinds = ", ".join(sorted({type(v).__name__ for v in present}))
        warnings.warn(
            f"the variable {name!r} has objects in it ({kinds}) that cannot be stored: it is left "
            "out.",
            stacklevel=2,
        )
        return None
    return found


def _is_stored_by_xarray(variable: xr.Variable, name: Hashable) -> bool:
    try:
        stored = encode_cf_variable(variable, name=name)
    except (TypeError, ValueError, OverflowError):
        return False
    return bool(stored.dtype.kind != "O")
