"""The rules as a loop over pixels, in plain Python: it shares nothing with the package.

Bands come as numpy arrays whose first axis is time; each number is turned into Python's own int or
float, so that nothing of numpy's promotion or comparison is relied on.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np


def is_masked(value: Any, nodata: Any) -> bool:
    """NaN, or the declared nodata."""
    number = value.item()
    if isinstance(number, float) and math.isnan(number):
        return True
    return nodata is not None and number == nodata


def meaning(number: Any, scale: float | None) -> Any:
    """Say what a packed number means, exactly: a number times the scale; the offset moves all
    numbers alike."""
    return number if scale is None or math.isinf(number) else Fraction(number) * Fraction(scale)


def candidates(
    quality: np.ndarray, pixel: tuple[int, ...], nodata: Any, minimum: Any, scale: float | None
) -> list[tuple[Any, int]]:
    """Give what the scores mean and the positions of the images that may win a pixel."""
    least = None if minimum is None else meaning(minimum, scale)
    found = []
    for t in range(quality.shape[0]):
        score = quality[(t, *pixel)]
        if not is_masked(score, nodata):
            means = meaning(score.item(), scale)
            if least is None or means >= least:
                found.append((means, t))
    return found


def winner(entries: list[tuple[Any, int]], ties: str) -> int | None:
    """Give the position of the highest score, the first or the last of equal ones."""
    best: tuple[Any, int] | None = None
    for score, t in entries:
        if best is None or score > best[0] or (score == best[0] and ties == "last"):
            best = (score, t)
    return None if best is None else best[1]


def mosaic(
    bands: dict[str, np.ndarray],
    quality: str,
    *,
    nodata: dict[str, Any],
    ties: str = "first",
    masked: str = "keep",
    minimum: Any = None,
    fill: int = 0,
    scale: float | None = None,
) -> dict[str, np.ndarray]:
    """Mosaic bands of the same shape, time first; `scale` is that of the quality's packing."""
    shape = bands[quality].shape[1:]
    out = {}
    for name, band in bands.items():
        if nodata.get(name) is not None:
            missing = nodata[name]
        else:
            missing = math.nan if band.dtype.kind == "f" else fill
        out[name] = np.full(shape, missing, band.dtype)
    for pixel in product(*(range(n) for n in shape)):
        entries = candidates(bands[quality], pixel, nodata.get(quality), minimum, scale)
        if masked == "skip":
            entries = [
                (score, t)
                for score, t in entries
                if not any(is_masked(b[(t, *pixel)], nodata.get(n)) for n, b in bands.items())
            ]
        for name, band in bands.items():
            mine = entries
            if masked == "fill":
                mine = [
                    (score, t)
                    for score, t in entries
                    if not is_masked(band[(t, *pixel)], nodata.get(name))
                ]
            won = winner(mine, ties)
            if won is not None:
                out[name][pixel] = band[(won, *pixel)]
    return out
