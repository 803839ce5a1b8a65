"""Functions of many values, on numpy arrays.

Each takes the values of its inputs, ``(..., n)``, and which of them count, ``(..., n)``; it gives
one value for each place, ``(...)``. Where none counts it gives anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.ee.reducers.moments import Moments, average

# ---------------------------------------------------------------------------------------------
# sums
# ---------------------------------------------------------------------------------------------


def product(values: Sequence[Array], valid: Array) -> Array:
    """Multiply them."""
    made: Array = np.prod(values[0], axis=-1, where=valid, dtype=np.float64)
    return made


def of_moments(values: Sequence[Array], valid: Array, *, of: Callable[[Moments], Any]) -> Any:
    """Compute what their moments are enough for."""
    return of(Moments.of(values[0], valid))


def count(values: Sequence[Array], valid: Array) -> Array:
    """Count them."""
    made: Array = np.sum(valid, axis=-1)
    return made


def all_of(values: Sequence[Array], valid: Array) -> Array:
    """Tell whether none is 0."""
    made: Array = np.all(values[0] != 0, axis=-1, where=valid)
    return made


def any_of(values: Sequence[Array], valid: Array) -> Array:
    """Tell whether one is not 0."""
    made: Array = np.any(values[0] != 0, axis=-1, where=valid)
    return made


def linear(values: Sequence[Array], valid: Array, *, offset: bool) -> Array:
    """Fit a line by least squares; there is none where all x are the same."""
    x, y = (np.asarray(array, np.float64) for array in values)
    middle_x, middle_y = (average(Moments.of(array, valid)) for array in (x, y))
    away = x - middle_x[..., np.newaxis]
    spread = np.sum(np.square(away), axis=-1, where=valid)
    together = np.sum(away * (y - middle_y[..., np.newaxis]), axis=-1, where=valid)
    slope = np.where(spread > 0, together / spread, np.nan)
    return middle_y - slope * middle_x if offset else slope


# ---------------------------------------------------------------------------------------------
# one of the values
# ---------------------------------------------------------------------------------------------


def first(values: Sequence[Array], valid: Array) -> Array:
    """Take the first."""
    return _taken(values[0], np.argmax(valid, axis=-1))


def last(values: Sequence[Array], valid: Array) -> Array:
    """Take the last."""
    return _taken(values[0], _last_true(valid))


def best(values: Sequence[Array], valid: Array, *, highest: bool) -> Array:
    """Take the last input where the first is best; of equally good ones the last."""
    return _taken(values[-1], place_of_best(values, valid, highest=highest))


def place_of_best(values: Sequence[Array], valid: Array, *, highest: bool) -> Array:
    """Give the place where the first input is best; of equally good ones the last."""
    scores = values[0]
    if scores.dtype.kind == "f":
        worst = -np.inf if highest else np.inf
    else:
        limits = np.iinfo(scores.dtype)
        worst = limits.min if highest else limits.max
    known = np.where(valid, scores, scores.dtype.type(worst))
    best = np.max(known, axis=-1) if highest else np.min(known, axis=-1)
    return _last_true(valid & (known == best[..., np.newaxis]))


def mode(values: Sequence[Array], valid: Array) -> Array:
    """Take the most frequent value; of equally frequent ones the lowest."""
    ordered, counted, starts = _runs(values[0], valid)
    places = np.arange(ordered.shape[-1])
    begun = np.maximum.accumulate(np.where(starts, places, 0), axis=-1)
    lengths = np.where(counted, places - begun + 1, 0)
    return _taken(ordered, np.argmax(lengths, axis=-1))


def distinct(values: Sequence[Array], valid: Array) -> Array:
    """Count how many differ."""
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


def percentile(values: Sequence[Array], valid: Array, *, percent: float) -> Array:
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


def listed(values: Sequence[Array], valid: Array, *, tuples: bool) -> list[Any]:
    """List them, or tuples of the values of several inputs."""
    columns = [array[valid].tolist() for array in values]
    return [list(row) for row in zip(*columns, strict=True)] if tuples else columns[0]


def frequencies(values: Sequence[Array], valid: Array) -> dict[str, int]:
    """Count how often each value is there."""
    found, counts = np.unique(values[0][valid], return_counts=True)
    return {_key(v): n for v, n in zip(found.tolist(), counts.tolist(), strict=True)}


def _key(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def histogram(
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


def fixed_histogram(
    values: Sequence[Array], valid: Array, *, low: float, high: float, steps: int
) -> list[list[float]]:
    """Count values in buckets of one width; the upper bound of each is outside of it."""
    edges = np.linspace(low, high, steps + 1)
    numbers = values[0][valid]
    places = np.searchsorted(edges, numbers[(numbers >= low) & (numbers < high)], side="right") - 1
    counts = np.bincount(places, minlength=steps)
    return [[edge, n] for edge, n in zip(edges[:-1].tolist(), counts.tolist(), strict=True)]


# ---------------------------------------------------------------------------------------------
# which of some values, that all count, decides alone
# ---------------------------------------------------------------------------------------------


def place_of_first(values: Sequence[Array]) -> Any:
    """Give the place of the first."""
    return 0


def place_of_last(values: Sequence[Array]) -> Any:
    """Give the place of the last."""
    return len(values[0]) - 1


def place_of_zero(values: Sequence[Array]) -> Any:
    """Give the place of a 0; of any value, if there is none."""
    return np.argmin(values[0] != 0)


def place_of_other(values: Sequence[Array]) -> Any:
    """Give the place of a value that is not 0; of any, if all are."""
    return np.argmax(values[0] != 0)


def place_of_extreme(values: Sequence[Array], *, highest: bool) -> Any:
    """Give the place of the highest or lowest; of several the last."""
    return place_of_best(values, np.ones(len(values[0]), bool), highest=highest)
