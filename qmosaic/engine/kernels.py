"""The rules on numpy arrays: which image wins, and what is taken.

numpy in, numpy out; nothing here depends on dask or xarray. Lazy and eager mosaics run these same
few functions, so that the order, the ties and the masks are stated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from qmosaic.collection.masks import NO_IMAGE, Array, valid_mask

Ties = Literal["first", "last"]


def index_dtype(images: int) -> np.dtype[Any]:
    """Give the smallest signed dtype that numbers `images` images and still holds -1."""
    return np.dtype(np.int16 if images <= np.iinfo(np.int16).max else np.int32)


def worst(dtype: np.dtype[Any], descending: bool = False) -> Any:
    """Give the score of a dtype that beats nothing: the smallest, or the largest where the lowest
    wins."""
    if dtype.kind == "f":
        return dtype.type(np.inf if descending else -np.inf)
    if dtype.kind == "b":
        return np.bool_(descending)
    limits = np.iinfo(dtype)
    return dtype.type(limits.max if descending else limits.min)


@dataclass(frozen=True)
class Order:
    """How images are ranked at a pixel: everything that decides, apart from the scores.

    Attributes
    ----------
    ties : {"first", "last"}
        Which of several best images wins, in the order of the collection.
    nodata : scalar or None
        The quality band's declared nodata, in its dtype.
    min_quality : scalar or None
        The worst score that makes a candidate, in the dtype of the quality.
    upper_bound : scalar or None
        The score that nothing can beat: where every pixel has it, no further image is looked at.
    descending : bool
        Whether the lowest score wins: packing may have turned the order round. Scores are compared
        the other way, as not every integer has a negative.
    """

    ties: Ties = "first"
    nodata: Any = None
    min_quality: Any = None
    upper_bound: Any = None
    descending: bool = False

    @property
    def beats(self) -> np.ufunc:
        """Whether a score is better than another one."""
        return np.less if self.descending else np.greater

    @property
    def reaches(self) -> np.ufunc:
        """Whether a score is as good as another one, or better."""
        return np.less_equal if self.descending else np.greater_equal

    def candidates(self, score: Array) -> Array | None:
        """Tell where the score of an image makes it a candidate; None for everywhere."""
        valid = valid_mask(score, self.nodata)
        if self.min_quality is not None:
            reached: Array = self.reaches(score, self.min_quality)
            valid = reached if valid is None else valid & reached
        return valid

    def in_order(self, positions: Sequence[int]) -> Sequence[int]:
        """Put positions, which are in the order of the collection, into that in which the images
        challenge; see `sequence`."""
        return positions if self.ties == "first" else positions[::-1]

    def sequence(self, images: int) -> range:
        """Give the positions of the images in the order in which they challenge.

        A challenger has to be strictly better, so the image that comes first keeps a tie: the last
        image of a tie wins where the images are walked from the end.
        """
        return range(images) if self.ties == "first" else range(images - 1, -1, -1)


AT_ONCE = 32768
"""Pixels that are worked on in one step: as many as stay in the cache of a core."""

COST_OF_BITS = {1: 1, 2: 2, 4: 6, 8: 12}
"""By the bytes of a pixel: what replacing by bits costs, in hundredths of the cost of a pixel at
which a mask turns from false to true or back. Measured; on a processor that guesses worse or
better, both ways give the same."""


def scatter_of(mask: Array) -> float:
    """Give how many of 100 pixels lie beside one that is masked otherwise, on a sample of rows."""
    if mask.ndim < 2 or mask.shape[-1] < 2:
        return 0.0
    rows = mask.reshape(-1, mask.shape[-1])[:: max(1, mask.size // mask.shape[-1] // 64)]
    changes = np.count_nonzero(rows[:, 1:] != rows[:, :-1])
    return 100.0 * changes / max(1, rows.size)


class Replacer:
    """Replaces pixels of an array under a mask, as ``numpy.copyto(where=)`` does.

    `numpy.copyto` is fast where a mask is all of a piece. Where it changes from pixel to pixel, a
    processor guesses wrong each time, and bits are faster: the new value where all bits of a mask
    are set, the old one elsewhere, and no decision for a pixel.

    Parameters
    ----------
    out : array
        What is changed; it lies in one piece.
    """

    def __init__(self, out: Array) -> None:
        self.out = out
        self._cost = COST_OF_BITS.get(out.itemsize)
        if self._cost is not None:
            self._unsigned = np.dtype(f"u{out.itemsize}")
            self._flat = out.reshape(-1).view(self._unsigned)

    def replace(self, values: Any, mask: Array, scatter: float) -> None:
        """Put values, of the shape of `out` or one for all, where the mask is set."""
        whole = np.ndim(values) == 0 or (
            values.shape == self.out.shape and values.flags.c_contiguous
        )
        fits = values.dtype == self.out.dtype and mask.flags.c_contiguous and whole
        if self._cost is None or scatter <= self._cost or not fits:
            np.copyto(self.out, values, where=mask)
        else:
            self._by_bits(np.asarray(values).reshape(-1).view(self._unsigned), mask.reshape(-1))

    def _by_bits(self, values: Array, mask: Array) -> None:
        bits = np.empty(min(AT_ONCE, mask.size), self._unsigned)
        set_bits = np.empty_like(bits)
        for start in range(0, mask.size, AT_ONCE):
            out = self._flat[start : start + AT_ONCE]
            new = values if values.size == 1 else values[start : start + AT_ONCE]
            part, all_bits = bits[: out.size], set_bits[: out.size]
            np.copyto(all_bits, mask[start : start + AT_ONCE])
            np.negative(all_bits, out=all_bits)
            np.bitwise_xor(out, new, out=part)
            np.bitwise_and(part, all_bits, out=part)
            np.bitwise_xor(out, part, out=out)


class Contest:
    """The running best of one block: images challenge it one by one, in the order of `Order`.

    Memory is that of one block whatever the number of images: the best score so far and the
    position of the image that holds it.

    Attributes
    ----------
    best : array
        The highest scores so far; without meaning where there was no candidate.
    index : array of int
        The positions of their images, -1 for none.
    count : array of int or None
        How many candidates each pixel had so far, where that is counted.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        order: Order,
        images: int,
        *,
        counted: bool = False,
    ) -> None:
        self.order = order
        self.count: Array | None = np.zeros(shape, index_dtype(images)) if counted else None
        self._beats, self._reaches = order.beats, order.reaches
        self.worst = worst(dtype, order.descending)
        self.best: Array = np.full(shape, self.worst, dtype)
        self.index: Array = np.full(shape, NO_IMAGE, index_dtype(images))
        self._vacant = True
        # Masks are made for every image: memory that is new each time costs more than the work.
        self._better, self._scratch = np.empty(shape, bool), np.empty(shape, bool)
        self._best, self._index = Replacer(self.best), Replacer(self.index)

    def better(self, score: Array) -> Array:
        """Tell where a challenger beats the running best.

        The boolean array is the caller's until the next call, which uses its memory again.
        """
        order, scratch = self.order, self._scratch
        better: Array = self._beats(score, self.best, out=self._better)
        if self._vacant:
            # The worst score beats nothing, yet it wins where no image has been a candidate.
            if np.equal(score, self.worst, out=scratch).any():
                better |= scratch & (self.index == NO_IMAGE)
        if order.nodata is not None and better.any():
            better &= np.not_equal(score, order.nodata, out=scratch)
        if order.min_quality is not None:
            better &= self._reaches(score, order.min_quality, out=scratch)
        return better

    def award(self, better: Array, score: Array, position: int) -> None:
        """Give the pixels in `better` to the image at `position`."""
        scatter = scatter_of(better)
        self._best.replace(score, better, scatter)
        self._index.replace(self.index.dtype.type(position), better, scatter)
        if self._vacant:
            self._vacant = bool(self.index.min(initial=0) == NO_IMAGE)

    def challenge(self, score: Array, position: int) -> None:
        """Let an image compete; `score` has the shape of the block."""
        better = self.better(score)
        if better.any():
            self.award(better, score, position)

    def tell(self, valid: Array | None) -> None:
        """Count an image; `valid` says where it is a candidate, None for everywhere."""
        if self.count is not None:
            self.count += 1 if valid is None else valid

    def merge(self, best: Array, index: Array) -> None:
        """Let the outcome of another contest compete, over images that come later in the order."""
        better = self.better(best)
        better &= index != NO_IMAGE
        np.copyto(self.best, best, where=better)
        np.copyto(self.index, index, where=better)
        if self._vacant:
            self._vacant = bool(self.index.min(initial=0) == NO_IMAGE)

    def settled(self) -> bool:
        """Whether no image that is still to come can win a pixel."""
        bound = self.order.upper_bound
        if bound is None or self._vacant:
            return False
        self.check_bound()
        return bool(self._reaches(self.best, bound).all())

    def check_bound(self) -> None:
        """Refuse an upper bound that a score has beaten: the outcome would be an accident."""
        bound = self.order.upper_bound
        if bound is None:
            return
        beaten = self._beats(self.best, bound)
        if beaten.any():
            best = self.best[beaten]
            best = best.min() if self.order.descending else best.max()
            raise ValueError(
                f"upper_bound={bound} was beaten by a score of {best}: the "
                "search may have stopped too early. Give the score that nothing can beat, or leave "
                "upper_bound out."
            )


def image_at(chunk: Array, axis: int, position: int) -> Array:
    """Give the image at `position` of a chunk along its time axis, as a view."""
    image: Array = chunk[(slice(None),) * axis + (position,)]
    return image


FEW = 12
"""So many winners of a block are looked for one by one: to sort them would cost more."""

SORTED_TOGETHER = 2**16
"""Pixels that are sorted in one step: two bytes number them."""


class Winners:
    """Who has won a block, and which pixels each of them has.

    Parameters
    ----------
    index : array of int
        The positions of the winners, -1 for none.
    """

    def __init__(self, index: Array) -> None:
        self.index = index

    @cached_property
    def positions(self) -> list[int]:
        """Name the images that win at least one pixel, in ascending order."""
        if self.index.size == 0:
            return []
        flat = self.index.ravel()
        counts = np.zeros(int(flat.max()) + 2, np.intp)
        for start in range(0, flat.size, AT_ONCE):  # counting widens: a few pixels at a time
            counts += np.bincount(flat[start : start + AT_ONCE] + 1, minlength=counts.size)
        return [int(i) - 1 for i in np.flatnonzero(counts) if i > 0]

    @cached_property
    def _sorted(self) -> list[tuple[Array, Array]]:
        """Sort the pixels by who has won them: for each part of the block the pixels, and where
        those of a winner begin."""
        flat, first = self.index.ravel(), self.positions[0]
        bounds = np.arange(first, self.positions[-1] + 2)
        found = []
        for start in range(0, flat.size, SORTED_TOGETHER):
            part = flat[start : start + SORTED_TOGETHER]
            order = np.argsort(part, kind="stable")
            found.append((order.astype(np.uint16), np.searchsorted(part[order], bounds)))
        return found

    def give(self, out: Array, image: Array, position: int, mask: Array) -> None:
        """Copy the pixels that the image at `position` has won; all are of the shape of the
        index, and `out` lies in one piece. `mask` is memory for booleans."""
        if len(self.positions) <= FEW:
            give(out, self.index, image, position, mask)
            return
        target, source = out.reshape(-1), image.reshape(-1)
        place = position - self.positions[0]
        for number, (order, starts) in enumerate(self._sorted):
            won = order[starts[place] : starts[place + 1]].astype(np.intp)
            part = slice(number * SORTED_TOGETHER, (number + 1) * SORTED_TOGETHER)
            target[part][won] = source[part][won]


def give(out: Array, index: Array, image: Array, position: int, mask: Array) -> None:
    """Copy the pixels that the image at `position` has won into `out`.

    `image` and `index` broadcast to the shape of `out`; `mask` is memory of the shape of `index`
    for a boolean array.
    """
    np.copyto(out, image, where=np.equal(index, position, out=mask))


def best_scores(best: Array, index: Array, fill: Any) -> Array:
    """Give the quality band of the mosaic: the winners' scores, `fill` where there is no winner."""
    out: Array = best.copy()
    np.copyto(out, best.dtype.type(fill), where=index == NO_IMAGE)
    return out


def look_up(index: Array, values: Array, fill: Any) -> Array:
    """Give each pixel the value that its image has in a band with nothing but time."""
    # The appended fill stands where -1 points to.
    table = np.append(values, np.array([fill], dtype=values.dtype)).astype(values.dtype, copy=False)
    taken: Array = table[index]
    return taken
