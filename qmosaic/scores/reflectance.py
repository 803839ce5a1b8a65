"""Scale and offset that turn the integers of products into reflectance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import check_decoded, declared_packing
from qmosaic.scores.expressions import check_finite, check_positive

SENTINEL_2, LANDSAT = (1e-4, 0.0), (2.75e-5, -0.2)

SCALING: dict[str, tuple[float, float]] = {
    "sentinel-2": SENTINEL_2,
    "landsat-4": LANDSAT,
    "landsat-5": LANDSAT,
    "landsat-7": LANDSAT,
    "landsat-8": LANDSAT,
    "landsat-9": LANDSAT,
}
"""Scale and offset of Sentinel-2 Level 2A and Landsat Collection 2 Level 2."""


ONLY_SENTINEL_2 = {"SCL", "MSK_CLDPRB", "MSK_SNWPRB", "QA60"}
ONLY_LANDSAT = {"QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL"}
"""Bands that products of one kind of satellite alone have."""


def reflectance_of(
    band: xr.DataArray, usual: Any, scale: float | None, offset: float | None, caller: str
) -> Any:
    """Give scale and offset of a band: the given ones, else its own, else the usual ones.

    Floats are taken to be reflectance unless scale or offset is given; floats that declare a
    packing are refused unless both are.
    """
    if scale is None or offset is None:
        check_decoded(band, caller)
    own: Any = declared_packing(band)
    if band.dtype.kind in "iu" and own == (1.0, 0.0):
        own = usual
    if scale is None and offset is None:
        return own
    known = own or (1.0, 0.0)
    return (
        known[0] if scale is None else check_positive(scale, "scale", caller),
        known[1] if offset is None else check_finite(offset, "offset", caller),
    )


def platform_named(text: str) -> str | None:
    """Recognise a platform, however it is written: "Sentinel-2B", "LANDSAT_8"."""
    plain = text.lower().replace("_", "-").replace(" ", "-")
    for name in SCALING:
        if plain.startswith(name) and not plain[len(name) :][:1].isdigit():
            return name
        if plain.replace("-", "") == name.replace("-", ""):
            return name
    return None


def platforms_of(collection: xr.Dataset) -> list[str]:
    """List the platforms that the coordinate ``platform`` names; none if one is not known. Where it
    is missing, that which the names of the bands tell."""
    if "platform" not in getattr(collection, "coords", ()):
        told = _platform_by_names([str(name) for name in collection])
        return [] if told is None else [told]
    texts: Iterable[Any] = np.ravel(collection["platform"].values)
    names = {platform_named(part) for text in texts for part in str(text).split()}
    return [] if None in names else sorted(name for name in names if name is not None)


def _platform_by_names(names: Sequence[str]) -> str | None:
    """Tell the platform by names that bands of one kind of satellite alone have.

    Landsat's shortwave infrared is SR_B6 since Landsat 8, and was SR_B5 before; Landsat has
    a panchromatic B8 beside a thermal B10, Sentinel-2 has no B10 at Level 2A.
    """
    plain = {name.upper() for name in names}
    numbers = {found[1] for name in plain if (found := re.fullmatch(r"B0?(\d+A?)", name))}
    told = set()
    if plain & ONLY_SENTINEL_2 or "8A" in numbers or ("8" in numbers and "10" not in numbers):
        told.add("sentinel-2")
    if plain & {"SR_B6", "ST_B10"}:
        told.add("landsat-8")
    elif "SR_B7" in plain or "ST_B6" in plain:
        told.add("landsat-7")
    if plain & ONLY_LANDSAT:
        told.discard("sentinel-2")
    return told.pop() if len(told) == 1 else None
