"""The nodata of bands: what is declared, whether it fits, whether it is a legal score."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import NODATA_NAMES, nodata_values
from qmosaic.collection.masks import fits
from qmosaic.sources.request import Request
from qmosaic.sources.user_warnings import warn

_QUALITY_LIKE = re.compile(
    r"cloud|cld|clp|clear|prob|snow|snw|haze|score|quality|conf|(^|_)cs(_|$)"
)

_CODES = re.compile(r"(^|_)(qa|qc|scl|class|mask|pixel|bits?|flags?)(_|\d|$)")


def check_fits(value: Any, band: Hashable, dtype: Any, said_by: str = "") -> None:
    """Refuse a nodata that no pixel of a band can have, whether the user or a source says it."""
    dtype = np.dtype(dtype)
    if value is not None and dtype.kind in "iu" and not fits(value, dtype):
        limits = np.iinfo(dtype)
        if said_by:
            raise ValueError(
                f"{said_by} says that nodata is {value:.17g} in band {band!r}, which its dtype "
                f"{dtype} ({limits.min} to {limits.max}) cannot hold, so no pixel could have it "
                f"and what is masked is unknown. Correct it there, or say it: "
                f"nodata={{{band!r}: {limits.min}}}, for instance, or nodata={{{band!r}: None}} if "
                "every value is data."
            )
        raise ValueError(
            f"nodata={value!r} for band {band!r} does not fit its dtype {dtype} ({limits.min} to "
            f"{limits.max}), so no pixel could have it. Give an integer in that range, or None if "
            "every value is data."
        )


def declare(band: xr.DataArray, value: Any) -> xr.DataArray:
    """Let a band declare another nodata, or none."""
    check_fits(value, band.name, band.dtype)
    band = band.copy(deep=False)
    band.attrs = {k: v for k, v in band.attrs.items() if k not in NODATA_NAMES}
    band.encoding = {k: v for k, v in band.encoding.items() if k not in NODATA_NAMES}
    if value is not None:
        band.attrs["_FillValue"] = band.dtype.type(value)
    return band


def warn_of_legal_scores(name: Hashable, nodata: Any, given: bool) -> None:
    """Warn where a band that looks like a quality calls a legal score its nodata."""
    text = str(name).lower()
    if given or nodata is None or not _QUALITY_LIKE.search(text) or _CODES.search(text):
        return
    if 0 <= nodata <= 100:
        warn(
            f"band {name!r} declares nodata = {nodata}, which looks like a legal score: pixels "
            f"that have it count as masked and can never win (0 % cloud is the clearest there "
            f"is). If they are data, write open_collection(..., nodata={{{name!r}: None}}); if "
            f"they are not, nodata={{{name!r}: {nodata}}} says so.",
        )


def check_one_nodata(
    collection: xr.Dataset, bands: Sequence[Hashable], request: Request, what: str
) -> None:
    """Refuse bands that declare text as nodata, or two values: only one would be masked."""
    for name in bands:
        text = next((n for n in NODATA_NAMES if is_text(collection[name].attrs.get(n))), None)
        if text is not None and not request.overrides(name):
            raise ValueError(
                f"band {name!r} of {what} declares {text} = "
                f"{str(collection[name].attrs[text])!r}, which is text and no number: what is "
                f"masked is unknown. Say it, nodata={{{name!r}: 0}} for instance, or "
                f"nodata={{{name!r}: None}} if every value is data."
            )
        said = nodata_values(collection[name])
        if len(said) > 1 and not request.overrides(name):
            told = " and ".join(f"{n} = {v:.17g}" for v, n in said.items())
            raise ValueError(
                f"band {name!r} declares {told}: of several values only one can be masked in a "
                f"band of integers. Say which, nodata={{{name!r}: ...}}, or write "
                "mask_and_scale=True to have all decoded to NaN."
            )


def is_text(value: Any) -> bool:
    """Tell whether a text stands where a number should, and is none itself."""
    if not isinstance(value, str | bytes):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
