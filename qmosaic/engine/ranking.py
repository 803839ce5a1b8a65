"""The best few images of each pixel, on numpy arrays, and orders of several bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array
from qmosaic.engine.kernels import Contest, Order, Replacer, index_dtype, scatter_of, worst


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


class Ranked:
    """Values of the images that are ranked best, rank by rank.

    Parameters
    ----------
    values : array
        The ranks come first; it lies in one piece.
    """

    def __init__(self, values: Array) -> None:
        self.values = values
        self._rows = [Replacer(row) for row in values]

    def move_down(self, rank: int, where: Array, scatter: float) -> None:
        """Give a rank what the rank above it has."""
        self._rows[rank].replace(self.values[rank - 1], where, scatter)

    def put(self, rank: int, new: Any, where: Array, scatter: float) -> None:
        """Give a rank new values."""
        self._rows[rank].replace(new, where, scatter)


class Level:
    """The scores of one band, as far as the images that are ranked best have them.

    In the first band every image that is ranked is a candidate; in those after it a score may be
    masked, and is behind all others then.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], order: Order, *, first: bool
    ) -> None:
        self.order = order
        self.best = Ranked(np.full(shape, worst(dtype, order.descending), dtype))
        self.valid = None if first else Ranked(np.zeros(shape, bool))

    def compare(self, score: Array) -> tuple[Array, Array]:
        """Tell at each rank where the scores of an image beat those that are ranked, and where they
        equal them."""
        held = self.best.values
        beats, equals = self.order.beats(score, held), np.equal(score, held)
        if self.valid is not None:
            known, valid = self.valid.values, self.validity(score)
            beats = (beats & valid & known) | (valid & ~known)
            equals = (equals & valid & known) | (~valid & ~known)
        return beats, equals

    def validity(self, score: Array) -> Array:
        """Tell which scores are not masked."""
        valid = self.order.candidates(score)
        return np.ones(score.shape, bool) if valid is None else valid


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
        self.levels = [
            Level((ranks, *shape), dtype, order, first=number == 0)
            for number, (dtype, order) in enumerate(levels)
        ]
        self._index = Ranked(np.full((ranks, *shape), NO_IMAGE, index_dtype(images)))
        self._vacant = True
        self._above = np.empty((ranks, *shape), bool)

    @property
    def best(self) -> Array:
        """The scores of the first band, rank by rank."""
        return self.levels[0].best.values

    @property
    def index(self) -> Array:
        """The positions of the images, rank by rank, -1 for none."""
        return self._index.values

    def may_enter(self, score: Array) -> Array:
        """Tell where the score of the first band lets an image be ranked, as far as that tells."""
        order = self.levels[0].order
        enters = order.beats if len(self.levels) == 1 else order.reaches
        found: Array = enters(score, self.best[-1])
        if self._vacant:
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
        above = self._ranks_below(scores)
        above &= where
        own = [(self._index, self.index.dtype.type(position))]
        for level, score in zip(self.levels, scores, strict=True):
            own.append((level.best, score))
            if level.valid is not None:
                own.append((level.valid, level.validity(score)))
        for rank in range(len(above) - 1, -1, -1):
            if not above[rank].any():
                break  # nor is any rank above it
            new = above[rank]
            if rank and above[rank - 1].any():
                moved = above[rank - 1]
                scatter = scatter_of(moved)
                for ranked, _ in own:
                    ranked.move_down(rank, moved, scatter)
                new = new & ~moved
            scatter = scatter_of(new)
            for ranked, value in own:
                ranked.put(rank, value, new, scatter)
        if self._vacant:
            self._vacant = bool(self.index[-1].min(initial=0) == NO_IMAGE)

    def _ranks_below(self, scores: Sequence[Array]) -> Array:
        """Tell at each rank where an image stands above what is there."""
        first, *finer = zip(self.levels, scores, strict=True)
        if not finer:
            level, score = first
            above: Array = level.order.beats(score, level.best.values, out=self._above)
        else:
            above, level_with = first[0].compare(first[1])
            for level, score in finer:
                beats, equals = level.compare(score)
                above |= level_with & beats
                level_with &= equals
        if self._vacant:
            above |= self.index == NO_IMAGE
        return above
