"""Images that win what lies around a pixel are preferred: the rules of ``scene_bonus``, on numpy.

First every pixel has a winner as ever, in a window and in a margin around it. Then the images that
have won something there compete again: at each pixel an image gets, on top of its score, the bonus
times the share of the pixels around that it has won. What is preferred at a pixel depends on what
lies within the radius, and on nothing else, so that it is the same for all blocks of the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array, valid_mask
from qmosaic.engine.blocks import Demand, Outcome, Reader
from qmosaic.engine.deciders import Best, Source, Window
from qmosaic.engine.kernels import Contest, Order, Winners, worst

SCRATCH = 50
"""Bytes a pixel that preferring images needs, beside what deciding needs as ever: winners, counts
and sums of the window and its margin, shares, raised scores and the best of them. Measured with
tracemalloc."""


@dataclass(frozen=True)
class Disc:
    """The pixels around a pixel that count: those whose centres lie within a radius.

    Attributes
    ----------
    half_widths : tuple of int
        By how many rows a row is away, how many pixels it has to each side.
    """

    half_widths: tuple[int, ...]

    @staticmethod
    def of(down: float, across: float) -> Disc:
        """Give the disc whose radius is so many pixels down, and so many across."""
        # coordinates, and so the size of pixels, are not exact
        rows = math.floor(down + 1e-3)
        parts = (
            math.sqrt(max(0.0, 1 - (row / down) ** 2)) if row else 1.0 for row in range(rows + 1)
        )
        return Disc(tuple(math.floor(part * across + 1e-3) for part in parts))

    @property
    def reach(self) -> tuple[int, int]:
        """How far it goes beyond its middle, down and across."""
        return len(self.half_widths) - 1, max(self.half_widths)

    def count(self, marked: Array) -> Array:
        """Count the marked pixels around each pixel, in whole numbers.

        Parameters
        ----------
        marked : array of bool
            A map, with margins as wide as the reach on all sides; further axes come first.

        Returns
        -------
        array of int32
            Without the margins.
        """
        down, across = self.reach
        height, width = (n - 2 * r for n, r in zip(marked.shape[-2:], self.reach, strict=True))
        counts = np.zeros((*marked.shape[:-2], height, width), np.int32)
        rows = np.flatnonzero(marked.any(axis=(*range(marked.ndim - 2), -1)))
        if rows.size == 0:
            return counts
        low, high = int(rows[0]), int(rows[-1]) + 1
        # pixels to the left of each border: what lies between two borders is a difference
        left = np.zeros((*marked.shape[:-2], high - low, marked.shape[-1] + 1), np.int32)
        np.cumsum(marked[..., low:high, :], axis=-1, out=left[..., 1:])
        for row in range(-down, down + 1):
            half = self.half_widths[abs(row)]
            # the rows of the map that have a marked row so far below
            start, stop = max(0, low - down - row), min(height, high - down - row)
            if start >= stop:
                continue
            seen = left[..., start + down + row - low : stop + down + row - low, :]
            first = across - half
            own = counts[..., start:stop, :]
            own += seen[..., first + 2 * half + 1 : first + 2 * half + 1 + width]
            own -= seen[..., first : first + width]
        return counts


@dataclass(frozen=True)
class Favour:
    """How images are preferred that win what lies around a pixel.

    Attributes
    ----------
    bonus : float
        What an image gets that has won all that lies around, in the numbers of the quality.
    disc : Disc
        What lies around.
    axes : (int, int)
        The axes of the map down and across, among those of the quality without time.
    """

    bonus: float
    disc: Disc
    axes: tuple[int, int]

    def wide(self, window: Window, shape: Sequence[int]) -> Window:
        """Give the window whose winners count in a window of a map of this shape."""
        reach = dict(zip(self.axes, self.disc.reach, strict=True))
        return tuple(
            (max(0, low - reach.get(axis, 0)), min(size, high + reach.get(axis, 0)))
            for axis, ((low, high), size) in enumerate(zip(window, shape, strict=True))
        )

    def decide(
        self,
        first: Array,
        places: tuple[Window, Window],
        quality: Reader,
        order: Order,
        demands: Sequence[Demand] = (),
    ) -> tuple[Array, Array]:
        """Decide anew among the images that have won anything around.

        Parameters
        ----------
        first : array of int
            The winners as ever, in the wide window.
        places : (Window, Window)
            The window that is decided, and the wide one.
        quality : Reader
            The quality, over the window that is decided.
        order : Order
            How images were ranked.
        demands : sequence of Demand
            Bands that have to be valid in the winner, over the same window.

        Returns
        -------
        (array, array of int)
            The winners' scores, without what they were given on top, and their positions.
        """
        around = _Around(self, first, places)
        contest = Contest(
            quality.shape,
            np.dtype(np.float64),
            Order(ties=order.ties, descending=order.descending),
            quality.images,
        )
        own: Array = np.full(quality.shape, worst(quality.dtype, order.descending), quality.dtype)
        won = Winners(first).positions
        for position, score in quality.walk(order.in_order(won)):
            share = around.share(position)
            rival = share > 0  # who has won nothing around could only tie, by rounding
            rival &= _candidates(score, order)
            sign = -1 if order.descending else 1
            total = np.where(rival, score + sign * self.bonus * share, np.nan)
            better = contest.better(total)
            for demand in demands:
                demand.restrict(better, position)
            if better.any():
                contest.award(better, total, position)
                np.copyto(own, score, where=better)
        return own, contest.index


def _candidates(score: Array, order: Order) -> Array:
    """Tell where an image is a candidate, but for the bands that have to be valid."""
    valid = valid_mask(score, order.nodata)
    found: Array = np.ones(score.shape, bool) if valid is None else valid
    if order.min_quality is not None:
        reaches = np.less_equal if order.descending else np.greater_equal
        found &= reaches(score, order.min_quality)
    return found


class _Around:
    """The winners around a window, and what share of them an image has."""

    def __init__(self, favour: Favour, first: Array, places: tuple[Window, Window]) -> None:
        self._disc, self._axes = favour.disc, favour.axes
        window, wide = (tuple(place[axis] for axis in favour.axes) for place in places)
        beyond = [
            (reach - (low - first_low), reach - (last_high - high))
            for (low, high), (first_low, last_high), reach in zip(
                window, wide, self._disc.reach, strict=True
            )
        ]
        index = np.moveaxis(first, self._axes, (-2, -1))
        margins = [(0, 0)] * (index.ndim - 2) + beyond
        # beyond the map there is no winner
        self._index = np.pad(index, margins, constant_values=NO_IMAGE)
        self._all = np.maximum(self._disc.count(self._index != NO_IMAGE), 1)

    def share(self, position: int) -> Array:
        """Say what share of the pixels around each pixel an image has won."""
        share = self._disc.count(self._index == position) / self._all
        return np.moveaxis(share, (-2, -1), self._axes)


@dataclass(frozen=True)
class Preferring:
    """Decides as another decider does, and then anew, by what images have won around.

    Attributes
    ----------
    first : Best
        What decides first; it names one image for each pixel, by one band.
    favour : Favour
        What is preferred.
    shape : tuple of int
        That of the whole map.
    """

    first: Best
    favour: Favour
    shape: tuple[int, ...]
    ranks: None = None

    reads_all = False
    at_once = 1

    def holds(self, images: int, pixels: int, itemsize: int) -> int:
        """See `Decider.holds`."""
        return pixels * SCRATCH + self.first.holds(images, pixels, itemsize)

    def readings(self, images: int, pixels: int, itemsize: int) -> int:
        """See `Decider.readings`."""
        return 2

    @property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        """See `Decider`."""
        return self.first.axes

    @property
    def counted(self) -> bool:
        """See `Decider`."""
        return self.first.counted

    @property
    def margin(self) -> tuple[int, ...]:
        """See `Decider`."""
        reach = dict(zip(self.favour.axes, self.favour.disc.reach, strict=True))
        return tuple(reach.get(axis, 0) for axis in range(len(self.shape)))

    def decide(
        self,
        window: Window,
        sources: Sequence[Source],
        positions: Sequence[int] | None = None,
        start: Outcome | None = None,
    ) -> Outcome:
        """See `Decider.decide`."""
        wide = self.favour.wide(window, self.shape)
        as_ever = self.first.decide(wide, sources, positions)
        winners, count = as_ever.index, as_ever.count
        del as_ever  # its scores would be in the way
        quality, _, demands = self.first.opened(window, sources)
        best, index = self.favour.decide(
            winners, (window, wide), quality, self.first.order, demands
        )
        own = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(window, wide, strict=True))
        return Outcome(best, index, None if count is None else count[own])
