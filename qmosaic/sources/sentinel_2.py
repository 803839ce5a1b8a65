"""What the processing baselines of Sentinel-2 did to its integers.

Baseline 04.00 (25 January 2022, and since then all that is processed again) adds 1000 to the
integers of all reflectances of Levels 1C and 2A, with 0 still "no data"; maps of classes, of
aerosols and of water vapour, and pictures, stay as they were:
https://sentiwiki.copernicus.eu/web/s2-products, "RADIO_ADD_OFFSET" and "BOA_ADD_OFFSET".
"""

from __future__ import annotations

import datetime
import re

from qmosaic.sources.packing import Packing

SCALE, OFFSET = 1e-4, -0.1
"""Of the reflectances, and what baseline 04.00 added: -1000 steps."""

SHIFTED_FROM = 4.0
"""The first baseline with the offset."""

CHANGED = datetime.datetime(2022, 1, 25)
"""When it came into use."""

_BY_NUMBER = re.compile(r"B(0?[1-9]|1[0-2]|0?8A)(_\d0m)?", re.IGNORECASE)
_BY_NAME = re.compile(
    r"coastal|blue|green|red|rededge(0?[1-3]|07[0-9])?|nir(0[89])?|cirrus|swir(16|22)",
    re.IGNORECASE,
)
_BASELINE = re.compile(r"N(\d\d)(\d\d)|(\d?\d)\.(\d\d?)")
_PRODUCT = re.compile(r"S2[A-Z]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(\d\d)(\d\d)_R\d{3}_T")
_FILE = re.compile(r"[/\\](L2A_)?T\d\d[A-Z]{3}_\d{8}T\d{6}_B\d[\dA](_\d0m)?\.jp2$", re.IGNORECASE)


def is_band(name: object) -> bool:
    """Tell whether a band is a reflectance by its name: B04, B8A_20m, red, rededge1, swir22."""
    return any(pattern.fullmatch(str(name)) for pattern in (_BY_NUMBER, _BY_NAME))


def baseline_in(text: object) -> float | None:
    """Read a baseline: "04.00", "4.0", "N0400"."""
    found = _BASELINE.fullmatch(str(text).strip().upper())
    return None if found is None else _number(found)


def baseline_of_product(text: object) -> float | None:
    """Find the baseline in the name of a product, or a path with one: "..._N0400_R008_T...".

    https://sentiwiki.copernicus.eu/web/s2-products, "Naming Convention"
    """
    found = _PRODUCT.search(str(text))
    return None if found is None else _number(found)


def _number(found: re.Match[str]) -> float:
    whole, part = (group for group in found.groups() if group is not None)
    return float(f"{whole}.{part}")


def packing_at(baseline: float) -> Packing:
    """Give the packing of the reflectances of a baseline."""
    return Packing(SCALE, OFFSET if baseline >= SHIFTED_FROM else 0.0)


def packing_of_original(path: str) -> Packing | None:
    """Tell the packing of a file of a product as ESA delivers it: a JPEG 2000 below a folder with
    the name of the product. None for others, which may have been changed."""
    path = path.split("?")[0]
    baseline = baseline_of_product(path)
    return None if baseline is None or not _FILE.search(path) else packing_at(baseline)
