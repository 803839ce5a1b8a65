"""The rules as a loop over pixels, in plain Python: it shares nothing with the package.

Each number is turned into Python's own int or float, so that nothing of numpy's promotion or
comparison is relied on. Bands may have their dimensions in any order, only some of them, or more of
them than the quality.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

Pixel = dict[str, int]
"""The place on the map, a number for each dimension."""


@dataclass
class Band:
    """One band: its values in the order of `dims`, and what it declares of its numbers."""

    dims: tuple[str, ...]
    values: np.ndarray
    nodata: Any = None
    scale: float | None = None

    def at(self, t: int, pixel: Pixel) -> Any:
        """Give the value of one image at one pixel."""
        return self.values[tuple(t if d == "time" else pixel[d] for d in self.dims)]

    def is_masked(self, t: int, pixel: Pixel) -> bool:
        """NaN, NaT or the declared nodata."""
        value = self.at(t, pixel)
        if self.values.dtype.kind == "M":
            return bool(np.isnat(value))
        number = value.item()
        if isinstance(number, float) and math.isnan(number):
            return True
        return self.nodata is not None and number == self.nodata

    def has_hole(self, t: int, pixel: Pixel) -> bool:
        """Whether it is masked in any of its layers."""
        layers = {d: n for d, n in self.sizes.items() if d != "time" and d not in pixel}
        return any(self.is_masked(t, pixel | layer) for layer in pixels(layers))

    @property
    def sizes(self) -> dict[str, int]:
        """Give the length of every dimension."""
        return dict(zip(self.dims, self.values.shape, strict=True))

    @property
    def can_be_masked(self) -> bool:
        """Whether any value of the band means "no value"."""
        return self.values.dtype.kind in "fM" or self.nodata is not None

    def missing(self, fill: int) -> Any:
        """Give what stands where no image is a candidate."""
        kind = self.values.dtype.kind
        if kind == "M":
            return np.datetime64("NaT")
        if kind == "b":
            return False
        if self.nodata is not None:
            return self.nodata
        return math.nan if kind == "f" else fill


@dataclass
class Want:
    """One band of the mosaic: dimensions, pixels, and the image of each (-1: none)."""

    dims: tuple[str, ...]
    values: np.ndarray
    image: np.ndarray


def pixels(sizes: dict[str, int]) -> Iterator[Pixel]:
    """Walk over the pixels of a map."""
    for place in product(*map(range, sizes.values())):
        yield dict(zip(sizes, place, strict=True))


def meaning(number: Any, scale: float | None) -> Any:
    """Say what a packed number means, exactly: a number times the scale; the offset moves all
    numbers alike."""
    return number if scale is None or math.isinf(number) else Fraction(number) * Fraction(scale)


def candidates(score: Band, pixel: Pixel, min_quality: Any) -> list[tuple[Any, int]]:
    """Give what the scores mean and the positions of the images that may win a pixel."""
    least = None if min_quality is None else meaning(min_quality, score.scale)
    found = []
    for t in range(score.sizes["time"]):
        if not score.is_masked(t, pixel):
            means = meaning(score.at(t, pixel).item(), score.scale)
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
    bands: dict[str, Band],
    quality: str,
    *,
    ties: str = "first",
    masked: str = "keep",
    min_quality: Any = None,
    fill: int = 0,
) -> dict[str, Want]:
    """Apply the rules to each pixel of each band, one at a time."""
    sizes = {d: n for band in bands.values() for d, n in band.sizes.items() if d != "time"}
    score = bands[quality]
    ranked = {}
    for pixel in pixels({d: sizes[d] for d in score.dims if d != "time"}):
        entries = candidates(score, pixel, min_quality)
        if masked == "skip":
            whole = bands.values()
            entries = [(s, t) for s, t in entries if not any(b.has_hole(t, pixel) for b in whole)]
        ranked[tuple(pixel.values())] = entries
    wants = {}
    for name, band in bands.items():
        dims = tuple(d for d in sizes if d in {*band.dims, *score.dims})
        shape = tuple(sizes[d] for d in dims)
        values = np.full(shape, band.missing(fill), band.values.dtype)
        image = np.full(shape, -1)
        for pixel in pixels({d: sizes[d] for d in dims}):
            entries = ranked[tuple(pixel[d] for d in score.dims if d != "time")]
            if masked == "fill":
                entries = [(s, t) for s, t in entries if not band.is_masked(t, pixel)]
            won = winner(entries, ties)
            if won is not None:
                values[tuple(pixel.values())] = band.at(won, pixel)
                image[tuple(pixel.values())] = won
        wants[name] = Want(dims, values, image)
    return wants


def bands_in(collection: xr.Dataset) -> dict[str, Band]:
    """Give the bands of a collection whose nodata is declared as ``_FillValue``."""
    return {
        str(name): Band(tuple(map(str, band.dims)), band.values, band.attrs.get("_FillValue"))
        for name, band in collection.data_vars.items()
        if "time" in band.dims
    }


def assert_same(got: xr.DataArray, want: Want) -> None:
    """Compare dtype, dimensions, values, the places of NaN and NaT, and the sign of zeros."""
    assert got.dtype == want.values.dtype
    assert set(got.dims) == set(want.dims)
    values = got.transpose(*want.dims).values
    np.testing.assert_array_equal(values, want.values)
    if values.dtype.kind == "f":
        number = ~np.isnan(want.values)
        np.testing.assert_array_equal(
            np.signbit(values[number]), np.signbit(want.values[number]), "the sign of a zero"
        )
