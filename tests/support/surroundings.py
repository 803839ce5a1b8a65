"""The rules of ``smooth`` and ``scene_bonus`` as loops over pixels: it shares nothing with the
package."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def winner_of(scores: list[tuple[Any, int]], ties: str, descending: bool = False) -> int:
    """Name the image with the best score, -1 for none; the first or the last of equal ones."""
    best: tuple[Any, int] | None = None
    for score, t in sorted(scores, key=lambda entry: entry[1], reverse=ties == "last"):
        if best is None or (score < best[0] if descending else score > best[0]):
            best = (score, t)
    return -1 if best is None else best[1]


def candidates(values: np.ndarray, nodata: Any, least: Any, descending: bool) -> np.ndarray:
    """Tell which values are not masked, and good enough."""
    found = np.ones(values.shape, bool)
    for place in np.ndindex(values.shape):
        value = values[place].item()
        masked = math.isnan(value) or (nodata is not None and value == nodata)
        bad = least is not None and (value > least if descending else value < least)
        found[place] = not masked and not bad
    return found


def within(rows: int, columns: int, down: float, across: float) -> bool:
    """Tell whether a pixel lies in an ellipse around another; a thousandth of a pixel less will
    do."""
    if abs(rows) > down + 1e-3:
        return False
    return abs(columns) <= math.sqrt(max(0.0, 1 - (rows / down) ** 2)) * across + 1e-3


def preferred(
    values: np.ndarray,
    *,
    bonus: float,
    radius: Any,
    ties: str = "first",
    nodata: Any = None,
    least: Any = None,
    descending: bool = False,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Name the winners (y, x) of images (time, y, x): first as ever, then with the bonus times the
    share of what each has won within the radius, in pixels, one number or two (down, across)."""
    images, height, width = values.shape
    down, across = np.broadcast_to(radius, 2)
    may = candidates(values, nodata, least, descending)
    if valid is not None:
        may &= valid
    first = np.full((height, width), -1)
    for y, x in np.ndindex(height, width):
        scores = [(values[t, y, x].item(), t) for t in range(images) if may[t, y, x]]
        first[y, x] = winner_of(scores, ties, descending)
    index = np.full((height, width), -1)
    sign = -1 if descending else 1
    for y, x in np.ndindex(height, width):
        near = [
            int(first[v, u])
            for v, u in np.ndindex(height, width)
            if within(y - v, x - u, down, across) and first[v, u] >= 0
        ]
        scores = [
            (values[t, y, x].item() + sign * bonus * (near.count(t) / len(near)), t)
            for t in sorted(set(near))
            if may[t, y, x]
        ]
        index[y, x] = winner_of(scores, ties, descending)
    return index


def averaged(values: np.ndarray, pixels: Any, nodata: Any = None) -> np.ndarray:
    """Average images (time, y, x) over windows of so many pixels, an odd number or two of them
    (down, across); masked pixels count nowhere and stay masked."""
    down, across = (int(n) // 2 for n in np.broadcast_to(pixels, 2))
    may = candidates(values, nodata, None, False)
    means = np.full(values.shape, math.nan)
    for t, y, x in np.argwhere(may):
        part = (t, slice(max(0, y - down), y + down + 1), slice(max(0, x - across), x + across + 1))
        known = [float(v) for v in values[part][may[part]]]
        means[t, y, x] = math.fsum(known) / len(known)
    return means
