"""The best few images of each pixel, on numpy arrays, and orders of several bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array
from qmosaic.engine.kernels import AT_ONCE, Contest, Order, index_dtype, worst


class Ties:
    """Where the running best of a contest is shared by several images, and which those may be.

    Parameters
    ----------
    contest : Contest
        The contest; an image is noted before it is given what it has won.
    """

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self.tied: Array = np.zeros(contest.index.shape, bool)
        self.near: list[int] = []

    def equal(self, score: Array) -> Array:
        """Tell where a score equals the running best of a candidate."""
        contest = self._contest
        equal: Array = np.equal(score, contest.best)
        equal &= contest.index != NO_IMAGE
        return equal

    def note(self, position: int, better: Array, equal: Array) -> None:
        """Note where the image at `position` beats the running best, and where it equals it."""
        self.tied &= ~better
        self.tied |= equal
        if better.any() or equal.any():
            self.near.append(position)


class Level:
    """The scores of one band, as far as the images that are ranked best have them.

    In the first band every image that is ranked is a candidate; in those after it a score may be
    masked, and is behind all others then.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], order: Order) -> None:
        self.order = order
        self.best: Array = np.full(shape, worst(dtype, order.descending), dtype)
        self.valid: Array = np.zeros(shape, bool)
        self._flat = self.best.reshape(shape[0], -1), self.valid.reshape(shape[0], -1)

    def gather(self, at: Array) -> list[Array]:
        """Give what is known of some pixels."""
        return [array[:, at] for array in self._flat]

    def scatter(self, at: Array, arrays: Sequence[Array]) -> None:
        """Put back what is known of some pixels."""
        for flat, array in zip(self._flat, arrays, strict=True):
            flat[:, at] = array

    def compare(self, own: Sequence[Array], held: Sequence[Array]) -> tuple[Array, Array]:
        """Tell where scores beat those that are ranked, and where they equal them."""
        (score, valid), (best, known) = own, held
        both = valid & known
        beats = (self.order.beats(score, best) & both) | (valid & ~known)
        equals = ((score == best) & both) | (~valid & ~known)
        return beats, equals


class TopContest:
    """The running best few of one block: images challenge them one by one, in the order of `Order`.

    Memory is that of so many blocks as there are ranks, whatever the number of images.

    Parameters
    ----------
    shape : tuple of int
        That of the block.
    levels : sequence of (dtype, Order)
        The bands that order the images: those after the first decide among equals.
    ranks : int
        How many images of each pixel are kept.
    images : int
        How many there are in all.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        levels: Sequence[tuple[np.dtype[Any], Order]],
        ranks: int,
        images: int,
    ) -> None:
        self.order = levels[0][1]
        self.levels = [Level((ranks, *shape), dtype, order) for dtype, order in levels]
        self.index: Array = np.full((ranks, *shape), NO_IMAGE, index_dtype(images))
        self._flat = self.index.reshape(ranks, -1)

    @property
    def best(self) -> Array:
        """The scores of the first band, rank by rank."""
        return self.levels[0].best

    def may_enter(self, score: Array) -> Array:
        """Tell where the score of the first band lets an image be ranked, as far as that tells."""
        last = self.best[-1]
        enters = self.order.beats if len(self.levels) == 1 else self.order.reaches
        found: Array = enters(score, last)
        found |= self.index[-1] == NO_IMAGE
        return found

    def enter(self, where: Array, position: int, scores: Sequence[Array]) -> None:
        """Rank an image.

        Parameters
        ----------
        where : array of bool
            Where it is a candidate that may be ranked.
        position : int
            Its position along time.
        scores : sequence of array
            Its scores in each band, of the shape of the block.
        """
        flat = where.reshape(-1)
        own = [score.reshape(-1) for score in scores]
        valid = [
            None if number == 0 else level.order.candidates(score)
            for number, (level, score) in enumerate(zip(self.levels, own, strict=True))
        ]
        for start in range(0, flat.size, AT_ONCE):
            at = np.flatnonzero(flat[start : start + AT_ONCE]) + start
            if at.size:
                given = [
                    (s[at], np.ones(at.size, bool) if v is None else v[at])
                    for s, v in zip(own, valid, strict=True)
                ]
                self._enter(at, position, given)

    def _enter(self, at: Array, position: int, own: Sequence[tuple[Array, Array]]) -> None:
        index = self._flat[:, at]
        held = [level.gather(at) for level in self.levels]
        above = index == NO_IMAGE
        level_with = np.ones_like(above)
        for level, mine, theirs in zip(self.levels, own, held, strict=True):
            beats, equals = level.compare(mine, theirs)
            above |= level_with & beats
            level_with &= equals
        below = np.zeros_like(above)  # where the image that stood one rank higher comes
        below[1:] = above[:-1]
        self._flat[:, at] = _moved_down(index, self.index.dtype.type(position), above, below)
        for level, mine, theirs in zip(self.levels, own, held, strict=True):
            moved = [_moved_down(t, m, above, below) for t, m in zip(theirs, mine, strict=True)]
            level.scatter(at, moved)


def _moved_down(held: Array, own: Any, above: Array, below: Array) -> Array:
    """Put `own` in where it stands above what is held, and move that down by a rank."""
    shifted = np.empty_like(held)
    shifted[1:] = held[:-1]
    moved: Array = np.where(above, np.where(below, shifted, own), held)
    return moved.astype(held.dtype, copy=False)
