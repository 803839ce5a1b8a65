"""Properties of images, which are coordinates along time."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.ee.names import TIME, band_names, properties, property_in
from qmosaic.ee.values import (
    EPOCH,
    Computed,
    Date,
    Number,
    known_name,
    later,
    lift,
    plain,
    values_of,
    wrapped,
)

KNOWN_AS = {
    "system:time_start": "time",
    "system:index": "id",
    "system:footprint": "footprint",
    "CLOUDY_PIXEL_PERCENTAGE": "cloud_cover",
    "CLOUD_COVER": "cloud_cover",
    "SPACECRAFT_NAME": "platform",
    "SPACECRAFT_ID": "platform",
}
"""Earth Engine's names of properties, and those of coordinates that `open_collection` makes."""


OF_PIXELS = "computed_from_pixels"
"""The attribute of a property that is computed from pixels when it is needed."""


def property_of(dataset: xr.Dataset, name: str, caller: str) -> xr.DataArray:
    """Find a property, by its own name or by that of Earth Engine.

    Raises
    ------
    KeyError
        There is none.
    """
    name = known_name(name, caller)
    if name == "system:band_names":
        each = band_names(dataset)
        if TIME in dataset.dims:
            return xr.DataArray(_objects(each), dims=TIME, name=name)
        return xr.DataArray(_object(each[0]), name=name)
    for known in (name, KNOWN_AS.get(name)):
        found = None if known is None else property_in(dataset, known)
        if found is not None:
            return found
    if name in dataset.data_vars and dataset[name].dims in (("time",), ()):
        return dataset[name].reset_coords(drop=True)
    if name == "system:index" and "time" in dataset.dims:
        return xr.DataArray(np.arange(dataset.sizes["time"]).astype(str), dims="time", name=name)
    there = properties(dataset)
    raise KeyError(
        f"{caller}: the images have no property {name!r}; properties are coordinates along time: "
        f"{', '.join(map(repr, there)) or 'none'}. Add one with "
        "collection.dataset.assign_coords({name: ('time', [...])}), and wrap that."
    )


def of_images(values: xr.DataArray) -> Any:
    """Give a property as one of Earth Engine's values: of several images, one for each."""
    kind = Number if values.dtype.kind in "Miufb" else object
    if values.attrs.get(OF_PIXELS):
        images = values.sizes.get(TIME)
        return later(kind, listed if images is not None else _first, values, images=images)
    if values.ndim:
        return Computed(kind, listed(values), values.size)
    return wrapped(_first(values))


def listed(values: xr.DataArray) -> list[Any]:
    if values.dtype.kind == "M":
        values = as_number(values)
    plain_ones: list[Any] = values.values.tolist()
    return [wrapped(one) for one in plain_ones]


def _first(values: xr.DataArray) -> Any:
    return listed(values.expand_dims("time"))[0]


def as_property(name: str, value: Any, images: int | None, caller: str) -> xr.Variable:
    """Make a property of a value, or of one for each image.

    Raises
    ------
    TypeError
        It is no number, text, date, list or dictionary.
    """
    if isinstance(value, list | tuple | dict):
        value = lift(plain, value)  # there may be values of each image in it
    if not isinstance(value, Computed):
        return _repeated(_checked(name, value, caller), images)
    if value.is_lazy:
        return _lazy_property(value, images)
    made = [_checked(name, one, caller) for one in value.content]
    return xr.Variable((TIME,), array_of(made))


def _lazy_property(value: Computed, images: int | None) -> xr.Variable:
    dtype = np.dtype("float64" if value.kind is Number else object)
    if images is None:
        filled = dask.delayed(_cell, pure=False)(value.content, dtype)
    else:
        filled = dask.delayed(_column, pure=False)(values_of(value, images), dtype)
    shape, dims = ((), ()) if images is None else ((images,), (TIME,))
    return xr.Variable(dims, da.from_delayed(filled, shape, dtype), {OF_PIXELS: 1})


def _column(values: list[Any], dtype: np.dtype[Any]) -> Any:
    if dtype == np.dtype(object):
        return _objects([plain(one) for one in values])
    return np.array([np.nan if one is None else one for one in values], dtype)


def _cell(value: Any, dtype: np.dtype[Any]) -> Any:
    return _column([value], dtype)[0] if dtype.kind == "f" else _object(plain(value))


def _checked(name: str, value: Any, caller: str) -> Any:
    if isinstance(value, Date) or name == TIME:
        return Date(value).instant.astype("M8[ns]")
    if value is None or isinstance(value, str | int | float | list | tuple | dict | np.generic):
        return plain(value)
    raise TypeError(
        f"{caller} got a {type(value).__name__}; a property is a number, a text, an ee.Date, a "
        "list or a dictionary. Of an image make a band: addBands(...)."
    )


def _repeated(value: Any, images: int | None) -> xr.Variable:
    if images is None:
        return xr.Variable((), _object(value) if isinstance(value, list | dict | None) else value)
    return xr.Variable((TIME,), array_of([value] * images))


def _scalar(value: Any) -> Any:
    return np.nan if value is None else value


def array_of(values: list[Any]) -> Any:
    """Make an array of values of one kind, or of objects."""
    kinds = {type(_scalar(one)) for one in values}
    if (
        all(one is None for one in values)
        or kinds & {list, dict}
        or (str in kinds and len(kinds) > 1)
    ):
        return _objects(values)
    return np.array([_scalar(one) for one in values])


def _objects(values: list[Any]) -> Any:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _object(value: Any) -> Any:
    array = np.empty((), object)
    array[()] = value
    return array


def nothing(dtype: np.dtype[Any], images: int) -> Any:
    """Give the values of a property that images do not have: NaN, NaT or None."""
    if dtype.kind in "Mm":
        return np.full(images, "NaT", dtype)
    return np.full(images, np.nan if dtype.kind in "biuf" else None)


def comparable(values: xr.DataArray, other: Any) -> tuple[Any, Any]:
    """Bring the values of a property and a value to one dtype, to be compared."""
    array = values.values
    if array.dtype.kind == "M":
        number = isinstance(other, int | float)
        array = array.astype("M8[ms]")
        return array, EPOCH + np.timedelta64(round(other), "ms") if number else Date(other).instant
    return array, other


def as_number(values: xr.DataArray) -> xr.DataArray:
    """Give a property as numbers: times as milliseconds since 1970."""
    if values.dtype.kind == "M":
        return values.copy(data=(values.values.astype("M8[ms]") - EPOCH).astype("int64"))
    if values.dtype.kind not in "biuf":
        raise TypeError(
            f"the property {values.name!r} is of dtype {values.dtype}, not a number, so it makes "
            "no band. Choose images by it instead: ee.Filter.eq(name, value)."
        )
    return values
