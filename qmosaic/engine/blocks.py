"""Decide and take for one block of the map, over anything that can be read image by image.

The same code runs inside the tasks of a lazy mosaic and, at once, on a collection in memory: what
differs is the reader. Memory does not depend on the number of images: a reader holds a few of them
at a time, the rest is the running best and its index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array, valid_mask
from qmosaic.engine.kernels import Contest, Order, Winners, give, image_at
from qmosaic.engine.ranking import Ties, TopContest


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


class Finer:
    """A band that decides among images that are equal in those before it.

    Parameters
    ----------
    reader : Reader
        The band over the block of the contest.
    order : Order
        How its scores are ranked.
    axes : tuple of int
        How to transpose an image of the band into the dimension order of the quality.
    """

    def __init__(self, reader: Reader, order: Order, axes: tuple[int, ...]) -> None:
        self.reader = reader
        self.order = order
        self.axes = axes

    def score(self, position: int) -> Array:
        """Read the scores of an image."""
        return self.reader.image(position).transpose(self.axes)


@dataclass(eq=False)
class Outcome:
    """Which images win a block.

    Attributes
    ----------
    best : array
        The highest scores, of the shape of the block; without meaning where there is no candidate.
    index : array of int
        The positions of the winners along time, -1 for none.
    count : array of int or None
        How many candidates each pixel had, where that was asked for.
    ranks : bool
        Whether the first axis of `best` and `index` is that of the ranks.
    members : list of Members or None
        Which images count, where several do (see `members`): for each period, or once.
    """

    best: Array
    index: Array
    count: Array | None = None
    ranks: bool = False
    members: Any = None

    @cached_property
    def winners(self) -> Winners:
        """Who has won; sorted once for all bands."""
        return Winners(self.index)

    @cached_property
    def rows(self) -> list[Winners]:
        """Who has won along the first axis: at each rank, or in each period; sorted once for all
        bands."""
        return [Winners(index) for index in self.index]

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("best", "index", "count", "ranks", "members")}


def decide_block(
    quality: Reader,
    order: Order,
    demands: Sequence[Demand] = (),
    start: Array | None = None,
    *,
    finer: Sequence[Finer] = (),
    positions: Sequence[int] | None = None,
    counted: bool = False,
) -> Outcome:
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
    finer : sequence of Finer
        Bands that decide among equals, each among those that the bands before it leave. They are
        read only where images are equal, once all scores of the quality are known.
    positions : sequence of int, optional
        The images, in the order of the collection; by default all.
    counted : bool, default: False
        Whether candidates are counted. Then nothing ends early, and demands are read wherever the
        quality has a candidate.
    """
    challengers = order.in_order(range(quality.images) if positions is None else positions)
    open_pixels = None if start is None else _broken(start, demands)
    if open_pixels is not None and not open_pixels.any():
        assert start is not None
        return Outcome(np.zeros(start.shape, quality.dtype), start)
    contest = Contest(quality.shape, quality.dtype, order, quality.images, counted=counted)
    ties = Ties(contest) if finer else None
    bounded = order.upper_bound is not None and not counted and not finer
    plain = not (demands or counted or finer)
    for position, score in quality.walk(challengers, ahead=not bounded):
        if plain:
            contest.challenge(score, position)
        else:
            _challenge(contest, score, position, demands, open_pixels, ties)
        if bounded and contest.settled():
            break
    contest.check_bound()
    if ties is not None:
        _settle_ties(contest, ties, quality, finer, demands)
    if open_pixels is None or start is None:
        return Outcome(contest.best, contest.index, contest.count)
    return Outcome(contest.best, np.where(open_pixels, contest.index, start))


def _challenge(
    contest: Contest,
    score: Array,
    position: int,
    demands: Sequence[Demand],
    open_pixels: Array | None,
    ties: Ties | None,
) -> None:
    """Let an image compete where it meets demands, and count it."""
    better = contest.better(score)
    equal = None if ties is None else ties.equal(score)
    if open_pixels is not None:
        better &= open_pixels
        if equal is not None:
            equal &= open_pixels
    if contest.count is not None:
        valid = _candidates(score, position, contest.order, demands)
        contest.tell(valid)
        if valid is not None and demands:
            better &= valid
            if equal is not None:
                equal &= valid
    else:
        for demand in demands:
            demand.restrict(better, position)
            if equal is not None:
                demand.restrict(equal, position)
    if ties is not None and equal is not None:
        ties.note(position, better, equal)
    if better.any():
        contest.award(better, score, position)


def _candidates(
    score: Array, position: int, order: Order, demands: Sequence[Demand]
) -> Array | None:
    """Tell where an image is a candidate; None for everywhere."""
    valid = order.candidates(score)
    if demands:
        valid = np.ones(score.shape, bool) if valid is None else valid
        for demand in demands:
            demand.restrict(valid, position)
    return valid


def _settle_ties(
    contest: Contest,
    ties: Ties,
    quality: Reader,
    finer: Sequence[Finer],
    demands: Sequence[Demand],
) -> None:
    """Decide among images of the same quality by further bands, one after the other."""
    near, undecided = ties.near, ties.tied
    decided: list[tuple[Finer, Contest]] = []
    for level in finer:
        if not undecided.any():
            return
        own = Contest(quality.shape, level.reader.dtype, level.order, quality.images)
        within = Ties(own)
        met: list[int] = []
        for position, score in quality.walk(near):
            among = undecided & (score == contest.best)
            for demand in demands:
                demand.restrict(among, position)
            for before, its in decided:
                if among.any():
                    among &= _equals(before.score(position), its)
            if among.any():
                met.append(position)
                scores = level.score(position)
                better = own.better(scores) & among
                within.note(position, better, within.equal(scores) & among)
                if better.any():
                    own.award(better, scores, position)
                    np.copyto(contest.best, score, where=better)  # 0.0 and -0.0 are equal
        unknown = undecided & (own.index == NO_IMAGE)  # masked in all of them: none is better
        np.copyto(contest.index, own.index, where=undecided & ~unknown)
        undecided, near = unknown | within.tied, met
        decided.append((level, own))


def _equals(score: Array, contest: Contest) -> Array:
    """Tell where an image is among the best of a contest: those without a score, where none has
    one."""
    valid = contest.order.candidates(score)
    equal: Array = np.equal(score, contest.best)
    equal &= contest.index != NO_IMAGE
    if valid is not None:
        equal |= ~valid & (contest.index == NO_IMAGE)
    return equal


def rank_block(
    quality: Reader,
    order: Order,
    ranks: int,
    demands: Sequence[Demand] = (),
    *,
    finer: Sequence[Finer] = (),
    positions: Sequence[int] | None = None,
    counted: bool = False,
) -> Outcome:
    """Name the best few images of each pixel of a block.

    Parameters
    ----------
    ranks : int
        How many.
    quality, order, demands, finer, positions, counted
        As for `decide_block`. Bands that decide among equals are read wherever the quality lets an
        image be ranked at all.

    Returns
    -------
    Outcome
        The ranks come first in the shape of `best` and `index`.
    """
    challengers = order.in_order(range(quality.images) if positions is None else positions)
    levels = [(quality.dtype, order), *((f.reader.dtype, f.order) for f in finer)]
    contest = TopContest(quality.shape, levels, ranks, quality.images)
    count = np.zeros(quality.shape, contest.index.dtype) if counted else None
    for position, score in quality.walk(challengers):
        enters = contest.may_enter(score)
        if count is None:
            valid = order.candidates(score)
            if valid is not None:
                enters &= valid
            for demand in demands:
                demand.restrict(enters, position)
        else:
            valid = _candidates(score, position, order, demands)
            count += 1 if valid is None else valid
            if valid is not None:
                enters &= valid
        if enters.any():
            scores = [score, *(level.score(position) for level in finer)]
            contest.enter(enters, position, scores)
    return Outcome(contest.best, contest.index, count, ranks=True)


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
    taken: Array = take_rows(band, [winners], fill, spread)[0]
    return taken


def take_rows(
    band: Reader,
    rows: Sequence[Winners],
    fill: Any,
    spread: Callable[[Array], Array] | None = None,
) -> Array:
    """Collect a band for several mosaics of a block, reading each image once.

    Parameters
    ----------
    rows : sequence of Winners
        The winners of each.
    band, fill, spread
        As for `take_block`.

    Returns
    -------
    array
        The mosaics, behind each other.
    """
    out: Array = np.full((len(rows), *band.shape), fill, band.dtype)
    over = [row.index if spread is None else spread(row.index) for row in rows]
    own = [
        row if spread is None else Winners(np.asarray(index, order="C"))
        for row, index in zip(rows, over, strict=True)
    ]
    mask = np.empty(over[0].shape if over else (), bool)
    wins = [set(row.positions) for row in rows]
    for position, image in band.walk(sorted(set().union(*wins))):
        for number, won in enumerate(wins):
            if position not in won:
                continue
            taken = out[number, ...]
            if mask.shape == taken.shape:
                own[number].give(taken, image, position, mask)
            else:
                give(taken, over[number], image, position, mask)
    return out
