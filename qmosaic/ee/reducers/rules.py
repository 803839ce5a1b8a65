"""Rules: what a reducer computes, and what has to be kept of values that come in parts.

A rule works along the last axis, so that one call reduces a stack of images or bands at every
pixel. The pixels of a region come in parts: of each part only what still matters is kept, a count
and sums for a mean, the values for a median.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qmosaic.collection.masks import Array, valid_mask
from qmosaic.ee.reducers import functions
from qmosaic.ee.reducers.moments import Moments, average, how_many, root, spread, total

Kernel = Callable[[Sequence[Array], Array], Any]
"""Takes the values of each input, ``(..., n)``, and which of them count, ``(..., n)``; gives one
value for each place, ``(...)``. Where none counts it gives anything."""

Kind = Literal["fraction", "own", "count", "flag", "object"]


Keep = Callable[[Sequence[Array]], Any]
"""Takes values that all count, a column for each input; tells which one alone decides the
result."""


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
        if self.of_moments is how_many:
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


def _moments(name: str, of: Callable[[Moments], Any]) -> Rule:
    """Make a rule for which the moments of the values are enough."""
    return Rule(name, functools.partial(functions.of_moments, of=of), of_moments=of)


def _extreme(name: str, *, highest: bool) -> Rule:
    kernel = functools.partial(functions.best, highest=highest)
    keep = functools.partial(functions.place_of_extreme, highest=highest)
    return Rule(name, kernel, "own", keep=keep)


RULES = {
    rule.name: rule
    for rule in (
        _moments("sum", total),
        _moments("mean", average),
        _moments("variance", functools.partial(spread, sample=False)),
        _moments("stdDev", functools.partial(root, sample=False)),
        _moments("sampleVariance", functools.partial(spread, sample=True)),
        _moments("sampleStdDev", functools.partial(root, sample=True)),
        Rule("product", functions.product),
        Rule("median", functools.partial(functions.percentile, percent=50)),
        Rule("count", functions.count, "count", 0, of_moments=how_many),
        Rule("countEvery", functions.count, "count", 0, of_moments=how_many, counts_masked=True),
        Rule("countDistinct", functions.distinct, "count", 0),
        Rule("allNonZero", functions.all_of, "flag", keep=functions.place_of_zero),
        Rule("anyNonZero", functions.any_of, "flag", keep=functions.place_of_other),
        Rule("first", functions.first, "own", ordered=True, keep=functions.place_of_first),
        Rule("last", functions.last, "own", ordered=True, keep=functions.place_of_last),
        _extreme("min", highest=False),
        _extreme("max", highest=True),
        Rule("mode", functions.mode, "own"),
        Rule("scale", functools.partial(functions.linear, offset=False)),
        Rule("offset", functools.partial(functions.linear, offset=True)),
        Rule("frequencyHistogram", functions.frequencies, "object"),
    )
}
"""The rules that take no numbers of their own."""


def percentile(percent: float) -> Rule:
    """Make the rule of a percentile: the values are interpolated linearly, as that of 50 is the
    median."""
    return Rule("percentile", functools.partial(functions.percentile, percent=percent))


def to_list(tuples: bool, optional: int = 0) -> Rule:
    """Make the rule that lists values, or tuples of the values of several inputs."""
    kernel = functools.partial(functions.listed, tuples=tuples)
    return Rule("toList", kernel, "object", ordered=True, optional=optional)


def histogram(buckets: int, least: float) -> Rule:
    """Make the rule of a histogram of at most so many buckets, as wide as a power of two."""
    return Rule(
        "histogram", functools.partial(functions.histogram, buckets=buckets, least=least), "object"
    )


def fixed_histogram(low: float, high: float, steps: int) -> Rule:
    """Make the rule of a histogram whose buckets are given."""
    kernel = functools.partial(functions.fixed_histogram, low=low, high=high, steps=steps)
    return Rule("fixedHistogram", kernel, "object")
