"""What a collection is: its dimension of images, its bands, their declared nodata, and the
checks."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

NODATA_NAMES = ("_FillValue", "nodata", "missing_value")
"""Where a band's nodata is looked up among its attributes, in this order (CF, odc, CF)."""


def declared_nodata(band: xr.DataArray) -> Any:
    """Give the nodata value that a band declares, in the band's dtype.

    Parameters
    ----------
    band : xarray.DataArray
        Its attributes ``_FillValue``, ``nodata`` and ``missing_value`` are looked at, in this
        order, and for integers also ``encoding["_FillValue"]`` (for floats that belongs to
        the packed integers on disk: decoding has turned it into NaN).

    Returns
    -------
    scalar or None
        None where nothing is declared, where a float declares NaN (NaN is masked anyway), and for
        dtypes without a numeric nodata.

    Raises
    ------
    ValueError
        The value is not one that the dtype can hold.
    """
    dtype = band.dtype
    if dtype.kind not in "iuf":
        return None
    name, value = _find_nodata(band)
    if value is None:
        return None
    if dtype.kind == "f":
        try:
            number = dtype.type(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"band {band.name!r} declares {name} = {str(value)!r}, which is no number: what is "
                f"masked cannot be told. Correct it (ds[{band.name!r}].attrs[{name!r}] = ...), or "
                "remove it: NaN is masked anyway."
            ) from None
        return None if np.isnan(number) else number
    if not fits(value, dtype):
        raise ValueError(
            f"band {band.name!r} declares {name} = {value!r}, which its dtype {dtype} cannot "
            f"hold: no "
            f"pixel can have that value, so what is masked cannot be told. Correct it "
            f"(ds[{band.name!r}].attrs[{name!r}] = ...), or remove it if nothing is masked."
        )
    return dtype.type(int(value))


def declared_packing(band: xr.DataArray) -> tuple[float, float]:
    """Give scale and offset of a band of packed integers: a value is ``integer * scale + offset``.

    Parameters
    ----------
    band : xarray.DataArray
        Its attributes ``scale_factor`` and ``add_offset`` are looked at. What has been decoded
        declares them in its encoding, where they say nothing of its values; floats are what they
        mean.

    Returns
    -------
    (float, float)
        (1, 0) where nothing is declared, and for other dtypes.

    Raises
    ------
    ValueError
        A scale of 0, or what is no finite number: the integers would mean nothing.
    """
    if band.dtype.kind not in "iu":
        return 1.0, 0.0
    return _declared_number(band, "scale_factor", 1.0), _declared_number(band, "add_offset", 0.0)


def check_decoded(band: xr.DataArray, verb: str, *, order_only: bool = False) -> None:
    """Refuse floats that declare a packing: nothing tells whether it is undone already.

    ``.where()`` makes floats of packed integers and leaves the attributes, with which they are
    packed still; arithmetic that undoes a packing may leave them, too.

    Parameters
    ----------
    band : xarray.DataArray
        Any band; integers mean what they declare.
    verb : str
        What needs to know, for the error.
    order_only : bool
        Whether nothing but the order counts, which a negative scale alone turns round.

    Raises
    ------
    ValueError
        It is a float whose attributes say something else than scale 1 and offset 0.
    """
    if band.dtype.kind != "f":
        return
    said = {}
    for name, usual in (("scale_factor", 1.0), ("add_offset", 0.0)):
        with contextlib.suppress(ValueError):  # no number: not about packing
            said[name] = _declared_number(band, name, usual)
    scale, offset = said.get("scale_factor", 1.0), said.get("add_offset", 0.0)
    if scale > 0 if order_only else (scale, offset) == (1.0, 0.0):
        return
    declared = [name for name in said if name in band.attrs]
    raise ValueError(
        f"{verb} got {band.dtype} numbers that declare a packing: band {band.name!r} has "
        f"{' and '.join(f'{name} = {said[name]:.9g}' for name in declared)}, and nothing tells "
        "whether that is undone already. If they are packed still (.where() makes floats of "
        "packed integers), write xarray.decode_cf(collection), before .where() or after it; if "
        "they are decoded, take out what is no longer true: "
        f"{'; '.join(f'del collection[{band.name!r}].attrs[{name!r}]' for name in declared)}."
    )


def _declared_number(band: xr.DataArray, name: str, usual: float) -> float:
    said = band.attrs.get(name, usual)
    try:
        (number,) = (float(n) for n in np.ravel(said))
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or (name == "scale_factor" and number == 0):
        raise ValueError(
            f"band {band.name!r} declares {name} = {said!r}, with which its integers mean "
            f"nothing: it has to be a finite number"
            f"{', and not 0' if name == 'scale_factor' else ''}. Correct it "
            f"(ds[{band.name!r}].attrs[{name!r}] = ...), or remove it if they are not packed."
        )
    return number


def nodata_values(band: xr.DataArray) -> dict[float, str]:
    """Give all numbers that the attributes of a band declare as nodata, and the names of these."""
    found: dict[float, str] = {}
    for name in NODATA_NAMES:
        if (said := band.attrs.get(name)) is not None:
            for value in np.ravel(said):
                with contextlib.suppress(TypeError, ValueError):
                    found.setdefault(float(value), name)
    return found


def _find_nodata(band: xr.DataArray) -> tuple[str, Any]:
    places = [(name, band.attrs.get(name)) for name in NODATA_NAMES]
    if band.dtype.kind in "iu":
        _check_one(band)
        places.append(("_FillValue", band.encoding.get("_FillValue")))
    for name, value in places:
        if value is not None:
            return name, np.asarray(value).reshape(-1)[0] if np.size(value) else None
    return "", None


def _check_one(band: xr.DataArray) -> None:
    """Refuse several integers that are masked: one would be, the others would win pixels."""
    held = {v: name for v, name in nodata_values(band).items() if fits(v, band.dtype)}
    if len(held) > 1:
        told = " and ".join(f"{name} = {value:.17g}" for value, name in held.items())
        raise ValueError(
            f"band {band.name!r} declares {told}: of several values only one can be masked in a "
            "band of integers. Decode it, which masks all of them: xarray.decode_cf(collection); "
            f"or keep the one that holds, del ds[{band.name!r}].attrs[...]."
        )


def masked_value(band: xr.DataArray, fill_value: Any = None) -> Any:
    """Give the value that stands for "masked" in a band, in its dtype.

    Parameters
    ----------
    band : xarray.DataArray
        NaN for floats, NaT for times, else the declared nodata.
    fill_value : scalar, optional
        What an integer band gets that declares none; 0 by default.
    """
    dtype = band.dtype
    nodata = declared_nodata(band)
    if nodata is not None:
        return nodata
    if dtype.kind in "fc":
        return dtype.type(np.nan)
    if dtype.kind in "mM":
        return dtype.type("NaT")
    if dtype.kind in "biu":
        return dtype.type(int(fill_value or 0) if dtype.kind != "b" else False)
    if dtype.kind in "UST":  # texts of any length may have a value for "missing"
        return getattr(dtype, "na_object", "")
    return None


def fits(value: Any, dtype: np.dtype[Any]) -> bool:
    """Tell whether an integer or bool dtype can hold a value exactly."""
    try:
        number = int(value)
        exact = number == value
    except (TypeError, ValueError, OverflowError):
        return False
    if dtype.kind == "b":
        return bool(exact) and number in (0, 1)
    limits = np.iinfo(dtype)
    return bool(exact) and int(limits.min) <= number <= int(limits.max)


def bands_of(collection: xr.Dataset, dim: Hashable) -> list[Hashable]:
    """Name the bands: the data variables that have the dimension of the images."""
    return [name for name, band in collection.data_vars.items() if dim in band.dims]


def sources_of(data: xr.Dataset | xr.DataArray) -> set[str]:
    """Name the files and stores that an object of xarray says it is read from."""
    named = [data.encoding.get("source")]
    if isinstance(data, xr.Dataset):
        named += [variable.encoding.get("source") for variable in data.variables.values()]
    return {str(source) for source in named if source}


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices, and name the one that was probably meant."""
    choices = list(choices)
    if value in choices:
        return
    close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.3)
    hint = f" Did you mean {name}={close[0]!r}?" if close else ""
    raise ValueError(f"{name}={value!r} is not known; it takes {_listed(choices)}.{hint}")


def check_collection(collection: xr.Dataset, quality_band: Hashable, dim: Hashable) -> None:
    """Refuse what cannot be mosaicked, before anything is computed.

    Raises
    ------
    KeyError
        There is no such band.
    ValueError
        No time dimension, no image, chunks of unknown size, bands on another grid.
    TypeError
        The quality band has no order.
    """
    if dim not in collection.dims:
        raise ValueError(
            f"the collection has no dimension {dim!r}, along which its images would lie; its "
            f"dimensions are {_listed(collection.dims)}. Name yours with dim=..., or give a single "
            f"image one: ds.expand_dims({dim!r})."
        )
    if collection.sizes[dim] == 0:
        raise ValueError(
            f"the collection has zero images (dimension {dim!r} has length 0): there is nothing to "
            "choose from. Check the filter that made it."
        )
    bands = bands_of(collection, dim)
    if quality_band not in bands:
        raise _no_such_band(collection, quality_band, dim, bands)
    _check_order(collection[quality_band])
    for name in bands:
        _check_grid(collection, quality_band, name, dim)


def _no_such_band(
    collection: xr.Dataset, quality_band: Hashable, dim: Hashable, bands: list[Hashable]
) -> KeyError:
    if quality_band in collection.variables:
        return KeyError(
            f"{quality_band!r} has dimensions {_listed(collection[quality_band].dims)} and no "
            f"{dim!r}, or "
            f"is a coordinate: it is not a band, and cannot order images. The bands are "
            f"{_listed(bands)}."
        )
    close = difflib.get_close_matches(str(quality_band), [str(b) for b in bands], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return KeyError(
        f"there is no band {quality_band!r} to order the images by; the bands are "
        f"{_listed(bands)}.{hint} Add "
        f"one with ds.assign({quality_band}=...)."
    )


def _check_order(quality: xr.DataArray) -> None:
    if quality.dtype.kind not in "biuf":
        raise TypeError(
            f"the quality band {quality.name!r} is of dtype {quality.dtype}, which has no "
            f"numeric order, so no "
            "image can be the highest. Make a score of integers, floats or bools, for instance "
            "with "
            "ds.assign(quality=...)."
        )


def _check_grid(
    collection: xr.Dataset, quality_band: Hashable, name: Hashable, dim: Hashable
) -> None:
    band, quality = collection[name], collection[quality_band]
    if any(np.isnan(size) for sizes in getattr(band, "chunks", None) or () for size in sizes):
        raise ValueError(
            f"band {name!r} has dask chunks of unknown size, so it cannot be cut into blocks of "
            f"the map. Call "
            "compute_chunk_sizes() on its dask array first."
        )
    own = [d for d in band.dims if d != dim]
    missing = [d for d in quality.dims if d != dim and d not in own]
    foreign = [d for d in own if d not in quality.dims]
    if own and missing and foreign:
        raise ValueError(
            f"band {name!r} has dimensions {_listed(band.dims)}, the quality band {quality_band!r} "
            f"has {_listed(quality.dims)}: they are not on the same grid, so a pixel of one is "
            f"no pixel of the other. "
            f"Bring them onto one grid first (interp, reproject or odc.stac.load with one geobox), "
            f"or leave the band out: ds.drop_vars({name!r})."
        )


def _listed(names: Iterable[Hashable]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
