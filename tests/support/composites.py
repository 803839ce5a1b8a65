"""Mosaics of several images a pixel, and medoids, as a loop over pixels in plain Python."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from tests.support.oracle import Band, Pixel, Want, candidates, pixels, winner


def exact(value: Any) -> Any:
    """Give Python's own number, exact where it is finite."""
    number = value.item()
    return number if isinstance(number, float) and not math.isfinite(number) else Fraction(number)


def is_near(score: Any, best: Any, distance: Any) -> bool:
    """Compare scores as far as they may be apart, in exact numbers; `best` is the better one."""
    if distance == math.inf:
        return True
    score, best = exact(score), exact(best)
    if isinstance(score, Fraction) and isinstance(best, Fraction):
        return bool(abs(best - score) <= distance)
    return bool(score == best)


def made_dtype(dtype: np.dtype[Any], reducer: Any) -> np.dtype[Any]:
    """Give the dtype of a reduced band."""
    if reducer != "mean":
        return dtype
    return np.dtype("float32" if dtype.itemsize <= 2 or dtype == np.float32 else "float64")


def reduced(values: list[Any], reducer: Any) -> Any:
    """Reduce the numbers of one pixel."""
    whole = isinstance(values[0], int)
    if reducer == "mean":
        return sum(map(float, values)) / len(values)
    ordered = sorted(values)
    share = (50 if reducer == "median" else reducer) / 100 * (len(ordered) - 1)
    low, high = ordered[math.floor(share)], ordered[math.ceil(share)]
    if whole or low == high:
        return low
    part = share - math.floor(share)
    return (low + high) / 2 if reducer == "median" else low * (1 - part) + high * part


def counting(
    bands: dict[str, Band], quality: str, place: Pixel, masked: str, least: Any, distance: Any
) -> tuple[list[int], int]:
    """Give the images that count at a pixel of the map, and the number of candidates."""
    score = bands[quality]
    found = candidates(score, place, least)
    if masked == "skip":
        found = [(s, t) for s, t in found if not any(b.has_hole(t, place) for b in bands.values())]
    best = winner(found, "first")
    if best is None:
        return [], 0
    top = score.at(best, place)
    return [t for _, t in found if is_near(score.at(t, place), top, distance)], len(found)


def reduced_mosaic(
    bands: dict[str, Band],
    quality: str,
    *,
    within: Any,
    reducer: Any,
    masked: str = "keep",
    min_quality: Any = None,
    fill: int = 0,
) -> tuple[dict[str, Want], np.ndarray]:
    """Reduce every band over the images that count; and count candidates, in the dimensions of the
    quality."""
    sizes = {d: n for band in bands.values() for d, n in band.sizes.items() if d != "time"}
    score = bands[quality]
    map_dims = [d for d in score.dims if d != "time"]
    counts = np.zeros([sizes[d] for d in map_dims], int)
    chosen = {}
    for place in pixels({d: sizes[d] for d in map_dims}):
        at = tuple(place.values())
        chosen[at], counts[at] = counting(bands, quality, place, masked, min_quality, within)
    wants = {}
    for name, band in bands.items():
        dims = tuple(d for d in sizes if d in {*band.dims, *score.dims})
        dtype = made_dtype(band.values.dtype, reducer)
        missing = math.nan if dtype.kind == "f" else band.missing(fill)
        values = np.full([sizes[d] for d in dims], missing, dtype)
        for pixel in pixels({d: sizes[d] for d in dims}):
            images = chosen[tuple(pixel[d] for d in map_dims)]
            numbers = [band.at(t, pixel).item() for t in images if not band.is_masked(t, pixel)]
            if numbers:
                values[tuple(pixel.values())] = reduced(numbers, reducer)
        wants[name] = Want(dims, values, np.zeros(0))
    return wants, counts


def medoids(
    bands: dict[str, Band], compared: list[str], *, ties: str, masked: str, fill: int = 0
) -> tuple[dict[str, Want], np.ndarray]:
    """Take the image closest to the median of the bands that are compared; and count candidates, in
    the dimensions of the first of them."""
    sizes = {d: n for band in bands.values() for d, n in band.sizes.items() if d != "time"}
    first = bands[compared[0]]
    map_dims = [d for d in first.dims if d != "time"]
    counts, closest = np.zeros([sizes[d] for d in map_dims], int), {}
    for place in pixels({d: sizes[d] for d in map_dims}):
        needed = bands.values() if masked == "skip" else [bands[name] for name in compared]
        found = [
            t
            for t in range(first.sizes["time"])
            if not any(band.has_hole(t, place) for band in needed)
        ]
        apart = dict.fromkeys(found, 0.0)
        for name in compared:
            numbers = {t: float(bands[name].at(t, place).item()) for t in found}
            if numbers:
                ordered = sorted(numbers.values())
                low, high = ordered[(len(found) - 1) // 2], ordered[len(found) // 2]
                median = low if low == high else (low + high) / 2
                for t, number in numbers.items():
                    apart[t] += squared(0.0 if number == median else number - median)
        entries = [(-math.inf if math.isnan(n) else -n, t) for t, n in apart.items()]
        at = tuple(place.values())
        closest[at], counts[at] = winner(entries, ties), len(found)
    wants = {}
    for name, band in bands.items():
        dims = tuple(d for d in sizes if d in {*band.dims, *first.dims})
        values = np.full([sizes[d] for d in dims], band.missing(fill), band.values.dtype)
        image = np.full(values.shape, -1)
        for pixel in pixels({d: sizes[d] for d in dims}):
            won = closest[tuple(pixel[d] for d in map_dims)]
            if won is not None:
                values[tuple(pixel.values())] = band.at(won, pixel)
                image[tuple(pixel.values())] = won
        wants[name] = Want(dims, values, image)
    return wants, counts


def squared(number: float) -> float:
    """Square a number; Python itself refuses what is too large."""
    try:
        return number**2
    except OverflowError:
        return math.inf
