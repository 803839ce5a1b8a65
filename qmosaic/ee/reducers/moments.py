"""What is kept of values for sums, means and variances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array


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


def spread(moments: Moments, *, sample: bool) -> Any:
    """Divide by the number of values or, for a sample, by one less; of one value it is NaN."""
    return moments.squares / np.maximum(moments.count - sample, 0)


def root(moments: Moments, *, sample: bool) -> Any:
    """Give the root of `spread`."""
    return np.sqrt(spread(moments, sample=sample))


def average(moments: Moments) -> Any:
    """Give the mean."""
    return moments.total / moments.count


def total(moments: Moments) -> Any:
    """Give the sum."""
    return moments.total


def how_many(moments: Moments) -> Any:
    """Give the number of values."""
    return moments.count
