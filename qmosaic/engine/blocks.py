"""Decide and take for one block of the map, over anything that can be read image by image.

The same code runs inside the tasks of a lazy mosaic and, at once, on a collection in memory: what
differs is the reader. Memory does not depend on the number of images: a reader holds a few of them
at a time, the rest is the running best and its index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from qmosaic.collection.masks import Array, valid_mask
from qmosaic.engine.kernels import Contest, Order, Winners, give, image_at


class Reader(Protocol):
    """The images of one band over one block of the map."""

    images: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """Read the images at `positions`, in that order, each chunk of the source once.

        With ``ahead=False`` nothing is read before it is asked for.
        """

    def image(self, position: int) -> Array:
        """Read one image; the chunk that it lies in is kept for the next call."""


class ArrayReader:
    """A band in memory, as a reader."""

    def __init__(self, values: Array, axis: int) -> None:
        self.values = values
        self.axis = axis
        self.images = values.shape[axis]
        self.shape = values.shape[:axis] + values.shape[axis + 1 :]
        self.dtype = values.dtype

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `Reader.walk`."""
        for position in positions:
            yield position, self.image(position)

    def image(self, position: int) -> Array:
        """See `Reader.image`."""
        return image_at(self.values, self.axis, position)


class Demand:
    """A band that has to be valid where an image is to win.

    Parameters
    ----------
    reader : Reader
        The band over the block of the contest.
    nodata : scalar or None
        Its declared nodata.
    axes : tuple of int
        How to transpose an image of the band into the dimension order of the quality.
    """

    def __init__(self, reader: Reader, nodata: Any, axes: tuple[int, ...]) -> None:
        self.reader = reader
        self.nodata = nodata
        self.axes = axes

    def restrict(self, better: Array, position: int) -> None:
        """Take the pixels out of `better` in which the band is masked; reads only if any is
        left."""
        if better.any():
            valid = valid_mask(self.reader.image(position), self.nodata)
            if valid is not None:
                better &= valid.transpose(self.axes)


def decide_block(
    quality: Reader, order: Order, demands: Sequence[Demand] = (), start: Array | None = None
) -> tuple[Array, Array]:
    """Name the winner of each pixel of a block, and its score.

    Parameters
    ----------
    quality : Reader
        The quality band.
    order : Order
        How images are ranked.
    demands : sequence of Demand
        Bands that have to be valid in the winner.
    start : array of int, optional
        The winners without demands. Only pixels in which the winner breaks a demand are
        decided anew; the others keep what `start` says, and their score is not given.

    Returns
    -------
    (array, array of int)
        The highest scores, and the positions of the winners along time, of the shape of the
        block; where there is no candidate the position is -1, and the score has no meaning.
    """
    open_pixels = None if start is None else _broken(start, demands)
    if open_pixels is not None and not open_pixels.any():
        assert start is not None
        return np.zeros(start.shape, quality.dtype), start
    contest = Contest(quality.shape, quality.dtype, order, quality.images)
    bounded = order.upper_bound is not None
    for position, score in quality.walk(order.sequence(quality.images), ahead=not bounded):
        if not demands:
            contest.challenge(score, position)
        else:
            _challenge_on_demand(contest, score, position, demands, open_pixels)
        if contest.settled():
            break
    contest.check_bound()
    if open_pixels is None or start is None:
        return contest.best, contest.index
    return contest.best, np.where(open_pixels, contest.index, start)


def _challenge_on_demand(
    contest: Contest,
    score: Array,
    position: int,
    demands: Sequence[Demand],
    open_pixels: Array | None,
) -> None:
    better = contest.better(score)
    if open_pixels is not None:
        better &= open_pixels
    for demand in demands:
        demand.restrict(better, position)
    if better.any():
        contest.award(better, score, position)


def _broken(start: Array, demands: Sequence[Demand]) -> Array:
    """Tell in which pixels the winner has a demanded band masked."""
    broken = np.zeros(start.shape, bool)
    for demand in demands:
        for position, image in demand.reader.walk(Winners(start).positions):
            valid = valid_mask(image, demand.nodata)
            if valid is not None:
                broken |= (start == position) & ~valid.transpose(demand.axes)
    return broken


def take_block(
    band: Reader, winners: Winners, fill: Any, spread: Callable[[Array], Array] | None = None
) -> Array:
    """Collect the winners' pixels of a band, reading only images that have won any.

    Parameters
    ----------
    band : Reader
        The band over the block.
    winners : Winners
        The winners.
    fill : scalar
        What a pixel without candidate gets.
    spread : callable, optional
        Shapes the winners' index to broadcast against an image of the band; by default it has the
        band's dimensions, in their order.

    Returns
    -------
    array
        The block of the mosaic, in the dtype of the band.
    """
    out: Array = np.full(band.shape, fill, band.dtype)
    over = winners.index if spread is None else spread(winners.index)
    own = winners if spread is None else Winners(np.asarray(over, order="C"))
    mask = np.empty(over.shape, bool)
    for position, image in band.walk(winners.positions):
        if over.shape == out.shape:
            own.give(out, image, position, mask)
        else:
            give(out, over, image, position, mask)
    return out
