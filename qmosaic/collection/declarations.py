"""What a band declares about its values: its nodata, and the packing of its integers."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.masks import fits, has_nan

PREFIX = "qmosaic_"
"""What the attributes that record a mosaic's making begin with."""

AS_IT_LIES = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"}
"""How times of nanoseconds lie in memory: as integers, the lowest for one that is missing. Times
that differ from pixel to pixel are stored so; xarray gives the same numbers, by ways that take as
long as all the rest of a mosaic."""

PROVENANCE = PREFIX + "provenance"
"""The attribute that names the coordinates which say where the pixels of a mosaic come from."""

SOURCE_INDEX, SOURCE_TIME, VALID_COUNT = "source_index", "source_time", "valid_count"
"""Coordinates of a mosaic: the position and the time of the image that a pixel is from, how many
candidates there were. Of a band that has images of its own: ``<band>_source_index``."""

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
                f"masked is unknown. Correct it (ds[{band.name!r}].attrs[{name!r}] = ...), or "
                "remove it: NaN is masked anyway."
            ) from None
        return None if np.isnan(number) else number
    if not fits(value, dtype):
        raise ValueError(
            f"band {band.name!r} declares {name} = {value!r}, which its dtype {dtype} cannot "
            f"hold: no "
            f"pixel can have that value, so what is masked is unknown. Correct it "
            f"(ds[{band.name!r}].attrs[{name!r}] = ...), or remove it if nothing is masked."
        )
    return dtype.type(int(value))


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
        listed = " and ".join(f"{name} = {value:.17g}" for value, name in held.items())
        raise ValueError(
            f"band {band.name!r} declares {listed}: of several values only one can be masked in a "
            "band of integers. Decode it, which masks all of them: xarray.decode_cf(collection); "
            f"or remove the one that is wrong, del ds[{band.name!r}].attrs[...]."
        )


def nodata_values(band: xr.DataArray) -> dict[float, str]:
    """Give all numbers that the attributes of a band declare as nodata, and the names of these."""
    found: dict[float, str] = {}
    for name in NODATA_NAMES:
        if (declared := band.attrs.get(name)) is not None:
            for value in np.ravel(declared):
                with contextlib.suppress(TypeError, ValueError):
                    found.setdefault(float(value), name)
    return found


def can_be_masked(band: xr.DataArray) -> bool:
    """Whether a band has a value for "missing": NaN, NaT or a declared nodata."""
    return has_nan(band.dtype) or declared_nodata(band) is not None


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


def check_decoded(band: xr.DataArray, caller: str, *, order_only: bool = False) -> None:
    """Refuse floats that declare a packing: nothing tells whether they are decoded.

    ``.where()`` makes floats of packed integers and keeps the attributes: such floats are packed
    still. Arithmetic that decodes may keep the attributes, too.

    Parameters
    ----------
    band : xarray.DataArray
        Any band; integers mean what they declare.
    caller : str
        The function that asks, for the error.
    order_only : bool
        Whether only the order of values counts, which only a negative scale reverses.

    Raises
    ------
    ValueError
        It is a float whose attributes say something else than scale 1 and offset 0.
    """
    if band.dtype.kind != "f":
        return
    found = {}
    for name, usual in (("scale_factor", 1.0), ("add_offset", 0.0)):
        with contextlib.suppress(ValueError):  # no number: not about packing
            found[name] = _declared_number(band, name, usual)
    scale, offset = found.get("scale_factor", 1.0), found.get("add_offset", 0.0)
    if scale > 0 if order_only else (scale, offset) == (1.0, 0.0):
        return
    declared = [name for name in found if name in band.attrs]
    raise ValueError(
        f"{caller} got {band.dtype} numbers that declare a packing: band {band.name!r} has "
        f"{' and '.join(f'{name} = {found[name]:.9g}' for name in declared)}, and nothing tells "
        "whether they are decoded. If they are packed still (.where() makes floats of "
        "packed integers), write xarray.decode_cf(collection), before .where() or after it; if "
        "they are decoded, take out what is no longer true: "
        f"{'; '.join(f'del collection[{band.name!r}].attrs[{name!r}]' for name in declared)}."
    )


def _declared_number(band: xr.DataArray, name: str, usual: float) -> float:
    declared = band.attrs.get(name, usual)
    try:
        (number,) = (float(n) for n in np.ravel(declared))
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or (name == "scale_factor" and number == 0):
        raise ValueError(
            f"band {band.name!r} declares {name} = {declared!r}, so its integers mean "
            f"nothing: it has to be a finite number"
            f"{', and not 0' if name == 'scale_factor' else ''}. Correct it "
            f"(ds[{band.name!r}].attrs[{name!r}] = ...), or remove it if they are not packed."
        )
    return number
