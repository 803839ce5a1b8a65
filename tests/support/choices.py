"""Which images a pixel chooses, best first, as loops in plain Python: several quality bands, the n
best, some of the images only, and where each pixel comes from.

It rests on the loop over pixels of `tests.support.oracle`, and shares nothing with the package.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.support.oracle import Band, Pixel, Want, candidates, meaning, pixels

Bands = dict[str, Band]


@dataclass(frozen=True)
class Choice:
    """How images are chosen.

    Attributes
    ----------
    qualities : tuple of str
        The bands that order them; a later one decides among equals of those before.
    ties, masked, min_quality, fill
        As in the package.
    among : tuple of int, optional
        The positions of the images that there are; all by default.
    """

    qualities: tuple[str, ...]
    ties: str = "first"
    masked: str = "keep"
    min_quality: Any = None
    fill: int = 0
    among: tuple[int, ...] | None = None

    def of(self, places: list[int]) -> Choice:
        """Choose from some of the images alone."""
        return replace(self, among=tuple(places))


def entrants(bands: Bands, choice: Choice, pixel: Pixel) -> list[int]:
    """Name the candidates of a pixel, in the order of the collection."""
    pixel = {d: pixel[d] for d in ordered_over(bands, choice)}  # all layers of it
    found = [t for _, t in candidates(bands[choice.qualities[0]], pixel, choice.min_quality)]
    if choice.among is not None:
        found = [t for t in found if t in choice.among]
    if choice.masked == "skip":
        found = [t for t in found if not any(b.has_hole(t, pixel) for b in bands.values())]
    return found


def beats(bands: Bands, choice: Choice, pixel: Pixel, later: int, sooner: int) -> bool:
    """Say whether an image beats one that comes before it in the collection."""
    for name in choice.qualities:
        band = bands[name]
        if band.is_masked(later, pixel) or band.is_masked(sooner, pixel):
            if band.is_masked(later, pixel) != band.is_masked(sooner, pixel):
                return band.is_masked(sooner, pixel)
            continue
        one = meaning(band.at(later, pixel).item(), band.scale)
        other = meaning(band.at(sooner, pixel).item(), band.scale)
        if one != other:
            return bool(one > other)
    return choice.ties == "last"


def first_of(bands: Bands, choice: Choice, pixel: Pixel, left: list[int]) -> int:
    """Name the best of some images, which are in the order of the collection; -1 for none."""
    best = -1
    for t in left:
        if best < 0 or beats(bands, choice, pixel, t, best):
            best = t
    return best


def at_rank(bands: Bands, choice: Choice, pixel: Pixel, left: list[int], rank: int) -> int:
    """Let the best image take its pixel, so many times; name the best of what is left then."""
    for _ in range(rank):
        taken = first_of(bands, choice, pixel, left)
        left = [t for t in left if t != taken]
    return first_of(bands, choice, pixel, left)


def sizes_of(bands: Bands) -> dict[str, int]:
    """Give the length of each dimension but that of the images."""
    return {d: n for band in bands.values() for d, n in band.sizes.items() if d != "time"}


def ordered_over(bands: Bands, choice: Choice) -> tuple[str, ...]:
    """Name the dimensions of the map on which images are ordered."""
    over = {d for name in choice.qualities for d in bands[name].dims}
    return tuple(d for d in sizes_of(bands) if d in over)


def mosaic(bands: Bands, choice: Choice, rank: int = 0) -> dict[str, Want]:
    """Give the mosaic of what the ranks before have left, pixel by pixel."""
    sizes, over = sizes_of(bands), ordered_over(bands, choice)
    wants = {}
    for name, band in bands.items():
        dims = tuple(d for d in sizes if d in {*band.dims, *over})
        shape = tuple(sizes[d] for d in dims)
        values = np.full(shape, band.missing(choice.fill), band.values.dtype)
        image = np.full(shape, -1)
        for pixel in pixels({d: sizes[d] for d in dims}):
            left = entrants(bands, choice, pixel)
            if choice.masked == "fill":
                left = [t for t in left if not band.is_masked(t, pixel)]
            won = at_rank(bands, choice, pixel, left, rank)
            if won >= 0:
                values[tuple(pixel.values())] = band.at(won, pixel)
                image[tuple(pixel.values())] = won
        wants[name] = Want(dims, values, image)
    return wants


def source_index(bands: Bands, choice: Choice, rank: int = 0) -> Want:
    """Give the image of each pixel, where all bands are from one."""
    return _over_map(
        bands,
        choice,
        lambda pixel: at_rank(bands, choice, pixel, entrants(bands, choice, pixel), rank),
        "int16",
    )


def valid_count(bands: Bands, choice: Choice) -> Want:
    """Count the candidates of each pixel."""
    return _over_map(bands, choice, lambda pixel: len(entrants(bands, choice, pixel)), "int16")


def _over_map(bands: Bands, choice: Choice, number_of: Any, dtype: str) -> Want:
    dims = ordered_over(bands, choice)
    sizes = {d: n for d, n in sizes_of(bands).items() if d in dims}
    values = np.empty(tuple(sizes.values()), dtype)
    for pixel in pixels(sizes):
        values[tuple(pixel.values())] = number_of(pixel)
    return Want(dims, values, values)


def told_of(index: Want, values: np.ndarray, missing: Any) -> Want:
    """Give each pixel what is said of its image, an image at a time."""
    dtype = object if values.dtype.kind in "UTO" else values.dtype
    told = np.full(index.values.shape, missing, dtype)
    for place in np.ndindex(told.shape):
        if index.values[place] >= 0:
            told[place] = values[index.values[place]]
    return Want(index.dims, told, index.image)


def one_behind_the_other(wants: list[Want], dim: str) -> Want:
    """Put maps behind each other: ranks, or periods."""
    first = wants[0]
    return Want(
        (dim, *first.dims),
        np.stack([want.values for want in wants]),
        np.stack([want.image for want in wants]),
    )
