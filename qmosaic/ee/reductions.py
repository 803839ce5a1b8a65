"""What a reducer computes, on numpy arrays: many values become one.

A rule gets the values of its inputs and which of them count. It works along the last axis, so that
one call reduces a stack of images or bands at every pixel. The pixels of a region come in parts: of
each part only what still matters is kept, a count and sums for a mean, the values for a median.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qmosaic.collection.masks import Array, valid_mask

Kernel = Callable[[Sequence[Array], Array], Any]
"""Takes the values of each input, ``(..., n)``, and which of them count, ``(..., n)``; gives one
value for each place, ``(...)``. Where none counts it gives anything."""

Kind = Literal["fraction", "own", "count", "flag", "object"]


Keep = Callable[[Sequence[Array]], Any]
"""Takes values that all count, a column for each input; tells which one alone decides the
result."""


@dataclass(frozen=True)
class Moments:
    """What is kept of values for means and variances: numbers, or arrays of one for each pixel.

    Attributes
    ----------
    count : int
        How many values there are.
    total : float
        Their sum.
    squares : float
        The sum of the squares of what they are away from their mean.
    """

    count: Any
    total: Any = 0.0
    squares: Any = 0.0

    @staticmethod
    def of(values: Array, valid: Array) -> Moments:
        """Look at the values along the last axis that count."""
        count = np.sum(valid, axis=-1)
        with np.errstate(all="ignore"):
            total = np.sum(values, axis=-1, where=valid, dtype=np.float64)
            away = np.square(values - (total / count)[..., np.newaxis])
            return Moments(count, total, np.sum(away, axis=-1, where=valid))

    def __or__(self, other: Moments) -> Moments:
        """Put two together, as values are that come in parts.

        Chan, Golub and LeVeque (1979), Updating formulae and a pairwise algorithm for computing
        sample variances.
        """
        count = self.count + other.count
        some = np.maximum(count, 1)
        with np.errstate(all="ignore"):
            apart = other.total / np.maximum(other.count, 1) - self.total / np.maximum(
                self.count, 1
            )
            between = apart * apart * (self.count * (other.count / some))
            squares = self.squares + other.squares + between
        return Moments(count, self.total + other.total, squares)


@dataclass(frozen=True)
class Rule:
    """How many values become one.

    Attributes
    ----------
    name : str
        What Earth Engine calls it.
    kernel : callable
        See `Kernel`.
    kind : {"fraction", "own", "count", "flag", "object"}
        What comes of it: float64; a value of the last input, in its dtype; a whole number; 0 or 1;
        or what no pixel can hold, such as a list.
    of_nothing : int, optional
        The result where no value counts; None: there is none.
    ordered : bool, default: False
        Whether it matters which value comes first.
    of_moments : callable, optional
        Gives the result of `Moments`, where these are enough.
    keep : callable, optional
        Tells which of some values matters alone, see `Keep`.
    counts_masked : bool, default: False
        Whether masked values count as well.
    optional : int, default: 0
        How many of the last inputs may be masked; they are None then.
    """

    name: str
    kernel: Kernel
    kind: Kind = "fraction"
    of_nothing: Any = None
    ordered: bool = False
    of_moments: Callable[[Moments], Any] | None = None
    keep: Keep | None = None
    counts_masked: bool = False
    optional: int = 0

    def dtype(self, given: np.dtype[Any], count: int) -> np.dtype[Any]:
        """Give the dtype of results: of values of a dtype, and how many there are."""
        if self.kind == "own":
            return given
        return {
            "count": np.min_scalar_type(count),
            "flag": np.dtype("uint8"),
            "fraction": np.dtype("float64"),
        }[self.kind]

    def reduce(
        self, values: Sequence[Array], nodata: Sequence[Any], dtype: np.dtype[Any], fill: Any
    ) -> Array:
        """Reduce along the last axis; what has no result gets a value that stands for masked.

        Parameters
        ----------
        values : sequence of array
            One array for each input, all of the same shape.
        nodata : sequence
            What counts as masked in each, beside NaN; None: nothing.
        dtype : numpy.dtype
            That of the result.
        fill : scalar or None
            What stands for masked; None, where nothing can be.
        """
        return self.apply(values, counting(values, nodata), dtype, fill)

    def apply(
        self, values: Sequence[Array], valid: Array, dtype: np.dtype[Any], fill: Any
    ) -> Array:
        """Reduce along the last axis, as `reduce` does, the values that count."""
        counts = np.ones_like(valid) if self.counts_masked else valid
        with np.errstate(all="ignore"):
            made: Array = np.asarray(self.kernel(values, counts)).astype(dtype, copy=False)
        nothing = fill if self.of_nothing is None else self.of_nothing
        if nothing is None:
            return made
        some = counts.any(axis=-1)
        return made if some.all() else np.where(some, made, dtype.type(nothing))

    def part(self, values: Sequence[Array], places: Array | None) -> Any:
        """Keep of some values, which all count, what matters for the result.

        Parameters
        ----------
        values : sequence of array
            A column for each input.
        places : array of int, optional
            Where each of them stands among all; for rules that are `ordered`.
        """
        count = len(values[0])
        if self.of_moments is _how_many:
            return Moments(count)
        if self.of_moments is not None:
            return Moments.of(values[0], np.ones(count, bool))
        columns = list(values) if places is None else [*values, places]
        if self.keep is None or not count:
            return columns
        place = self.keep(values)
        return [column[place : place + 1] for column in columns]

    def whole(self, parts: Sequence[Any]) -> Any:
        """Give the result, of Python, of what was kept of all parts; None where there is none."""
        if self.of_moments is not None:
            merged = functools.reduce(Moments.__or__, parts, Moments(0))
            if not merged.count:
                return self.of_nothing
            with np.errstate(all="ignore"):
                return as_python(self.of_moments(merged))
        values = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        if self.ordered:
            *values, places = values
            order = np.argsort(places, kind="stable")
            values = [array[order] for array in values]
        return self.of_list(values)

    def of_list(self, values: Sequence[Array]) -> Any:
        """Reduce values that all count to one of Python; None where there is no result."""
        if len(values[0]) == 0 and self.kind != "object":
            return self.of_nothing
        with np.errstate(all="ignore"):
            made = self.kernel(values, np.ones(len(values[0]), bool))
        if self.kind == "object":
            return made
        return int(made) if self.kind == "flag" else as_python(made)


def with_none(
    values: Sequence[Array], valid: Sequence[Array], optional: int
) -> tuple[list[Array], Array]:
    """Put None where the last inputs are masked; tell where the others are not.

    Parameters
    ----------
    values, valid : sequence of array
        For each input its values, and which of them are not masked.
    optional : int
        How many of the last inputs may be masked.
    """
    needed = len(values) - optional
    made = list(values[:needed])
    for array, there in zip(values[needed:], valid[needed:], strict=True):
        known = array.astype(object)
        known[~there] = None
        made.append(known)
    return made, np.logical_and.reduce(valid[:needed])


def counting(values: Sequence[Array], nodata: Sequence[Any]) -> Array:
    """Tell where all inputs have a value that is not masked."""
    valid = np.ones(values[0].shape, bool)
    for array, missing in zip(values, nodata, strict=True):
        own = valid_mask(array, missing)
        if own is not None:
            valid &= own
    return valid


def as_python(value: Any) -> Any:
    """Give a value of numpy as one of Python, NaN as None."""
    one = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return None if isinstance(one, float) and math.isnan(one) else one


# ---------------------------------------------------------------------------------------------
# sums
# ---------------------------------------------------------------------------------------------


def _product(values: Sequence[Array], valid: Array) -> Array:
    made: Array = np.prod(values[0], axis=-1, where=valid, dtype=np.float64)
    return made


def _of_moments(values: Sequence[Array], valid: Array, *, of: Callable[[Moments], Any]) -> Any:
    return of(Moments.of(values[0], valid))


def _count(values: Sequence[Array], valid: Array) -> Array:
    made: Array = np.sum(valid, axis=-1)
    return made


def _all(values: Sequence[Array], valid: Array) -> Array:
    made: Array = np.all(values[0] != 0, axis=-1, where=valid)
    return made


def _any(values: Sequence[Array], valid: Array) -> Array:
    made: Array = np.any(values[0] != 0, axis=-1, where=valid)
    return made


def _linear(values: Sequence[Array], valid: Array, *, offset: bool) -> Array:
    """Fit a line by least squares; there is none where all x are the same."""
    x, y = (np.asarray(array, np.float64) for array in values)
    middle_x, middle_y = (_average(Moments.of(array, valid)) for array in (x, y))
    away = x - middle_x[..., np.newaxis]
    spread = np.sum(np.square(away), axis=-1, where=valid)
    together = np.sum(away * (y - middle_y[..., np.newaxis]), axis=-1, where=valid)
    slope = np.where(spread > 0, together / spread, np.nan)
    return middle_y - slope * middle_x if offset else slope


# ---------------------------------------------------------------------------------------------
# one of the values
# ---------------------------------------------------------------------------------------------


def _first(values: Sequence[Array], valid: Array) -> Array:
    return _taken(values[0], np.argmax(valid, axis=-1))


def _last(values: Sequence[Array], valid: Array) -> Array:
    return _taken(values[0], _last_true(valid))


def _best(values: Sequence[Array], valid: Array, *, highest: bool) -> Array:
    """Take the last input where the first is best; of equally good ones the last."""
    return _taken(values[-1], _place_of_best(values, valid, highest=highest))


def _place_of_best(values: Sequence[Array], valid: Array, *, highest: bool) -> Array:
    scores = values[0]
    if scores.dtype.kind == "f":
        worst = -np.inf if highest else np.inf
    else:
        limits = np.iinfo(scores.dtype)
        worst = limits.min if highest else limits.max
    known = np.where(valid, scores, scores.dtype.type(worst))
    best = np.max(known, axis=-1) if highest else np.min(known, axis=-1)
    return _last_true(valid & (known == best[..., np.newaxis]))


def _mode(values: Sequence[Array], valid: Array) -> Array:
    """Take the most frequent value; of equally frequent ones the lowest."""
    ordered, counted, starts = _runs(values[0], valid)
    places = np.arange(ordered.shape[-1])
    begun = np.maximum.accumulate(np.where(starts, places, 0), axis=-1)
    lengths = np.where(counted, places - begun + 1, 0)
    return _taken(ordered, np.argmax(lengths, axis=-1))


def _distinct(values: Sequence[Array], valid: Array) -> Array:
    _, counted, starts = _runs(values[0], valid)
    made: Array = np.sum(starts & counted, axis=-1)
    return made


def _runs(values: Array, valid: Array) -> tuple[Array, Array, Array]:
    """Sort values, those that count first; tell which count, and where another value begins."""
    order = np.lexsort((values, ~valid), axis=-1)
    ordered, counted = (np.take_along_axis(array, order, axis=-1) for array in (values, valid))
    starts = np.ones(ordered.shape, bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    return ordered, counted, starts


def _taken(values: Array, places: Array) -> Array:
    made: Array = np.take_along_axis(values, places[..., np.newaxis], axis=-1)[..., 0]
    return made


def _last_true(flags: Array) -> Array:
    made: Array = flags.shape[-1] - 1 - np.argmax(flags[..., ::-1], axis=-1)
    return made


def _percentile(values: Sequence[Array], valid: Array, *, percent: float) -> Array:
    """Interpolate between the two nearest values, at ``percent / 100 * (n - 1)`` of n sorted."""
    ordered = np.where(valid, values[0], np.nan).astype(np.float64, copy=False)
    ordered.sort(axis=-1)  # NaN comes last
    place = percent / 100 * np.maximum(np.sum(valid, axis=-1) - 1, 0)
    below = np.floor(place).astype(np.intp)
    lower = _taken(ordered, below)
    upper = _taken(ordered, np.ceil(place).astype(np.intp))
    part = place - below
    # between equal values (infinite ones, too) there is nothing to interpolate
    return np.where(lower == upper, lower, (1 - part) * lower + part * upper)


# ---------------------------------------------------------------------------------------------
# lists and tables of values
# ---------------------------------------------------------------------------------------------


def _listed(values: Sequence[Array], valid: Array, *, tuples: bool) -> list[Any]:
    columns = [array[valid].tolist() for array in values]
    return [list(row) for row in zip(*columns, strict=True)] if tuples else columns[0]


def _frequencies(values: Sequence[Array], valid: Array) -> dict[str, int]:
    found, counts = np.unique(values[0][valid], return_counts=True)
    return {_key(v): n for v, n in zip(found.tolist(), counts.tolist(), strict=True)}


def _key(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _histogram(
    values: Sequence[Array], valid: Array, *, buckets: int, least: float
) -> dict[str, Any] | None:
    """Count values in buckets as wide as the least power of two with which there are not more
    than asked for."""
    numbers = values[0][valid].astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return None
    low, high = float(numbers.min()), float(numbers.max())
    width = 2.0 ** math.ceil(math.log2(max(least, (high - low) / buckets, 2.0**-52)))
    while math.floor(high / width) - math.floor(low / width) >= buckets:
        width *= 2
    start = math.floor(low / width) * width
    places = np.floor((numbers - start) / width).astype(np.intp)
    counts = np.bincount(places)
    with np.errstate(all="ignore"):
        means = np.bincount(places, weights=numbers) / counts
    middles = start + (np.arange(len(counts)) + 0.5) * width
    return {
        "bucketMeans": np.where(counts > 0, means, middles).tolist(),
        "bucketMin": start,
        "bucketWidth": width,
        "histogram": counts.tolist(),
    }


def _fixed_histogram(
    values: Sequence[Array], valid: Array, *, low: float, high: float, steps: int
) -> list[list[float]]:
    """Count values in buckets of one width; the upper bound of each is outside of it."""
    edges = np.linspace(low, high, steps + 1)
    numbers = values[0][valid]
    places = np.searchsorted(edges, numbers[(numbers >= low) & (numbers < high)], side="right") - 1
    counts = np.bincount(places, minlength=steps)
    return [[edge, n] for edge, n in zip(edges[:-1].tolist(), counts.tolist(), strict=True)]


def _best_of(values: Sequence[Array], *, highest: bool) -> Any:
    return _place_of_best(values, np.ones(len(values[0]), bool), highest=highest)


def _spread(moments: Moments, *, sample: bool) -> Any:
    """Divide by the number of values or, for a sample, by one less; of one value it is NaN."""
    return moments.squares / np.maximum(moments.count - sample, 0)


def _root(moments: Moments, *, sample: bool) -> Any:
    return np.sqrt(_spread(moments, sample=sample))


def _average(moments: Moments) -> Any:
    return moments.total / moments.count


def _total(moments: Moments) -> Any:
    return moments.total


def _moments(name: str, of: Callable[[Moments], Any]) -> Rule:
    """Make a rule for which the moments of the values are enough."""
    return Rule(name, functools.partial(_of_moments, of=of), of_moments=of)


def _extreme(name: str, *, highest: bool) -> Rule:
    kernel = functools.partial(_best, highest=highest)
    keep = functools.partial(_best_of, highest=highest)
    return Rule(name, kernel, "own", keep=keep)


def _how_many(moments: Moments) -> Any:
    return moments.count


RULES = {
    rule.name: rule
    for rule in (
        _moments("sum", _total),
        _moments("mean", _average),
        _moments("variance", functools.partial(_spread, sample=False)),
        _moments("stdDev", functools.partial(_root, sample=False)),
        _moments("sampleVariance", functools.partial(_spread, sample=True)),
        _moments("sampleStdDev", functools.partial(_root, sample=True)),
        Rule("product", _product),
        Rule("median", functools.partial(_percentile, percent=50)),
        Rule("count", _count, "count", 0, of_moments=_how_many),
        Rule("countEvery", _count, "count", 0, of_moments=_how_many, counts_masked=True),
        Rule("countDistinct", _distinct, "count", 0),
        Rule("allNonZero", _all, "flag", keep=lambda values: np.argmin(values[0] != 0)),
        Rule("anyNonZero", _any, "flag", keep=lambda values: np.argmax(values[0] != 0)),
        Rule("first", _first, "own", ordered=True, keep=lambda values: 0),
        Rule("last", _last, "own", ordered=True, keep=lambda values: len(values[0]) - 1),
        _extreme("min", highest=False),
        _extreme("max", highest=True),
        Rule("mode", _mode, "own"),
        Rule("scale", functools.partial(_linear, offset=False)),
        Rule("offset", functools.partial(_linear, offset=True)),
        Rule("frequencyHistogram", _frequencies, "object"),
    )
}
"""The rules that take no numbers of their own."""


def percentile(percent: float) -> Rule:
    """Make the rule of a percentile: the values are interpolated linearly, as that of 50 is the
    median."""
    return Rule("percentile", functools.partial(_percentile, percent=percent))


def to_list(tuples: bool, optional: int = 0) -> Rule:
    """Make the rule that lists values, or tuples of the values of several inputs."""
    kernel = functools.partial(_listed, tuples=tuples)
    return Rule("toList", kernel, "object", ordered=True, optional=optional)


def histogram(buckets: int, least: float) -> Rule:
    """Make the rule of a histogram of at most so many buckets, as wide as a power of two."""
    return Rule("histogram", functools.partial(_histogram, buckets=buckets, least=least), "object")


def fixed_histogram(low: float, high: float, steps: int) -> Rule:
    """Make the rule of a histogram whose buckets are given."""
    kernel = functools.partial(_fixed_histogram, low=low, high=high, steps=steps)
    return Rule("fixedHistogram", kernel, "object")
