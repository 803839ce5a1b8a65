"""Reducers; https://developers.google.com/earth-engine/guides/reducers_intro."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.earth_engine.values import plain

Rows = list[list[Any]]
"""What is reduced: the inputs of each pixel, image or entry."""


class Reducer:
    """A function of many rows of inputs, with names for what it gives."""

    def __init__(
        self,
        outputs: list[str],
        function: Callable[[Rows], list[Any]],
        inputs: int = 1,
        dtype: Any = None,
    ) -> None:
        self.outputs = outputs
        self.function = function
        self.inputs = inputs
        self.dtypes: list[Any] = [dtype] * len(outputs)
        self.sources = list(range(inputs)) if len(outputs) == inputs else [0] * len(outputs)

    def outputs_of(self, rows: Rows) -> dict[str, Any]:
        """Reduce, by the names of what comes out."""
        return dict(zip(self.outputs, self.function(rows), strict=True))

    def combine(self, reducer2: Any, outputPrefix: str = "", sharedInputs: bool = False) -> Reducer:
        """Run two beside each other, on the same inputs or each on its own."""
        prefix = plain(outputPrefix) or ""
        cut = 0 if sharedInputs else self.inputs

        def both(rows: Rows) -> list[Any]:
            own = [row[: self.inputs] for row in rows]
            theirs = [row[cut : cut + reducer2.inputs] for row in rows]
            return [*self.function(own), *reducer2.function(theirs)]

        names = [*self.outputs, *(prefix + name for name in reducer2.outputs)]
        made = Reducer(names, both, self.inputs if sharedInputs else self.inputs + reducer2.inputs)
        made.dtypes = [*self.dtypes, *reducer2.dtypes]
        made.sources = [*self.sources, *(cut + place for place in reducer2.sources)]
        return made

    def unweighted(self) -> Reducer:
        """All pixels count alike here anyway."""
        return self

    def setOutputs(self, outputs: Any) -> Reducer:
        """Give the outputs other names."""
        made = Reducer(plain(outputs), self.function, self.inputs)
        made.dtypes, made.sources = self.dtypes, self.sources
        return made

    @staticmethod
    def max(numInputs: int = 1) -> Reducer:
        """Give the row with the highest first input."""
        return _extreme("max", max, plain(numInputs))

    @staticmethod
    def min(numInputs: int = 1) -> Reducer:
        """Give the row with the lowest first input."""
        return _extreme("min", min, plain(numInputs))

    @staticmethod
    def percentile(percentiles: Any, outputNames: Any = None, *_: Any) -> Reducer:
        """Give percentiles, linearly between two values."""
        wanted = plain(percentiles)
        wanted = wanted if isinstance(wanted, list) else [wanted]
        names = plain(outputNames) or [f"p{one}" for one in wanted]

        def function(rows: Rows) -> list[Any]:
            return [percentile([row[0] for row in rows], one) for one in wanted]

        return Reducer(names, function, dtype=np.dtype("float64"))

    @staticmethod
    def linearFit() -> Reducer:
        """Fit a line to x and y by least squares."""

        def function(rows: Rows) -> list[Any]:
            if not rows:
                return [None, None]
            mx, my = (mean([row[i] for row in rows]) for i in (0, 1))
            spread = sum((x - mx) ** 2 for x, _ in rows)
            if spread == 0:
                return [None, None]
            slope = sum((x - mx) * (y - my) for x, y in rows) / spread
            return [slope, my - slope * mx]

        return Reducer(["scale", "offset"], function, 2, np.dtype("float64"))

    @staticmethod
    def minMax() -> Reducer:
        """Give the lowest and the highest."""
        made = Reducer.min().combine(Reducer.max(), "", True)
        return made


def _extreme(name: str, choose: Any, inputs: int) -> Reducer:
    names = [name, *(f"{name}{i}" for i in range(1, inputs))]

    def function(rows: Rows) -> list[Any]:
        # of equals the last
        return list(choose(rows[::-1], key=lambda row: row[0])) if rows else [None] * inputs

    return Reducer(names, function, inputs, "same")


def mean(values: list[Any]) -> Any:
    """Give the mean, None of nothing."""
    return sum(values) / len(values) if values else None


def percentile(values: list[Any], percent: float) -> Any:
    """Give a percentile, linearly between two values."""
    if not values:
        return None
    ordered = sorted(values)
    place = percent / 100 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def variance(values: list[Any], less: int = 0) -> Any:
    """Give the mean squared distance from the mean."""
    if len(values) <= less:
        return None
    middle = mean(values)
    return sum((v - middle) ** 2 for v in values) / (len(values) - less)


def _root(value: Any) -> Any:
    return None if value is None else math.sqrt(value)


def mode(values: list[Any]) -> Any:
    """Give the most frequent value, the lowest of equally frequent ones."""
    return min(set(values), key=lambda v: (-values.count(v), v)) if values else None


FLOAT, COUNT = np.dtype("float64"), None
SIMPLE: dict[str, tuple[Any, Any]] = {
    "mean": (mean, FLOAT),
    "sum": (lambda v: sum(v) if v else None, FLOAT),
    "product": (lambda v: math.prod(v) if v else None, None),
    "median": (lambda v: percentile(v, 50), FLOAT),
    "stdDev": (lambda v: _root(variance(v)), FLOAT),
    "variance": (variance, FLOAT),
    "sampleStdDev": (lambda v: _root(variance(v, 1)), FLOAT),
    "sampleVariance": (lambda v: variance(v, 1), FLOAT),
    "count": (len, COUNT),
    "countDistinct": (lambda v: len(set(v)), None),
    "first": (lambda v: v[0] if v else None, "same"),
    "last": (lambda v: v[-1] if v else None, "same"),
    "firstNonNull": (lambda v: v[0] if v else None, "same"),
    "lastNonNull": (lambda v: v[-1] if v else None, "same"),
    "mode": (mode, "same"),
    "allNonZero": (lambda v: int(all(v)) if v else None, None),
    "anyNonZero": (lambda v: int(any(v)) if v else None, None),
}


OUTPUTS = {
    "allNonZero": "all",
    "anyNonZero": "any",
    "countDistinct": "count",
    "firstNonNull": "first",
    "lastNonNull": "last",
    "sampleStdDev": "stdDev",
    "sampleVariance": "variance",
}
"""Outputs that are not called as their reducer."""


def _simple(name: str) -> Any:
    function, dtype = SIMPLE[name]
    output = OUTPUTS.get(name, name)
    return lambda: Reducer([output], lambda rows: [function([row[0] for row in rows])], 1, dtype)


for _name in SIMPLE:
    setattr(Reducer, _name, staticmethod(_simple(_name)))
