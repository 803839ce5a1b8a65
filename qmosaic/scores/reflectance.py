"""Scale and offset that turn the integers of products into reflectance."""

from __future__ import annotations

from collections.abc import Iterable
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
    """List the platforms that the coordinate ``platform`` names; none if one is not known."""
    if "platform" not in collection.coords:
        return []
    texts: Iterable[Any] = np.ravel(collection["platform"].values)
    names = {platform_named(part) for text in texts for part in str(text).split()}
    return [] if None in names else sorted(name for name in names if name is not None)
