"""One number of many: reductions of a property of all images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr

from qmosaic.ee.collections.base import Images
from qmosaic.ee.properties import OF_PIXELS, listed, property_of
from qmosaic.ee.reducers import Reducer
from qmosaic.ee.values import Dictionary, Number, known, later, plain, wrapped

NUMBERS = {
    "aggregate_sum": ("sum", "Add the values of a property"),
    "aggregate_mean": ("mean", "Average the values of a property"),
    "aggregate_min": ("min", "Give the lowest value of a property"),
    "aggregate_max": ("max", "Give the highest value of a property"),
    "aggregate_product": ("product", "Multiply the values of a property"),
    "aggregate_total_sd": ("stdDev", "Compute the standard deviation of a property"),
    "aggregate_total_var": ("variance", "Compute the variance of a property"),
    "aggregate_sample_sd": ("sampleStdDev", "Compute the sample standard deviation of a property"),
    "aggregate_sample_var": ("sampleVariance", "Compute the sample variance of a property"),
    "aggregate_count": ("count", "Count the images that have a property"),
    "aggregate_count_distinct": ("countDistinct", "Count the values that a property has"),
}
"""Methods, the reducers that they call, and what they do."""


def _aggregate(method_name: str) -> Any:
    reducer, text = NUMBERS[method_name]

    def method(self: Aggregating, property: str) -> Any:
        caller = f"ee.ImageCollection.{method_name}()"
        return self._aggregated(Number, Reducer(reducer).reduce_list, property, caller)

    method.__name__ = method_name
    method.__doc__ = f"{text}; images that lack it do not count."
    return method


class Aggregating(Images):
    """Numbers of the properties of all images."""

    aggregate_sum = _aggregate("aggregate_sum")
    aggregate_mean = _aggregate("aggregate_mean")
    aggregate_min = _aggregate("aggregate_min")
    aggregate_max = _aggregate("aggregate_max")
    aggregate_product = _aggregate("aggregate_product")
    aggregate_total_sd = _aggregate("aggregate_total_sd")
    aggregate_total_var = _aggregate("aggregate_total_var")
    aggregate_sample_sd = _aggregate("aggregate_sample_sd")
    aggregate_sample_var = _aggregate("aggregate_sample_var")
    aggregate_count = _aggregate("aggregate_count")
    aggregate_count_distinct = _aggregate("aggregate_count_distinct")

    def aggregate_first(self, property: str) -> Any:
        """Give the property of the first image."""
        caller = "ee.ImageCollection.aggregate_first()"
        return self._aggregated(object, lambda values: values[0], property, caller)

    def aggregate_histogram(self, property: str) -> Any:
        """Count how often each value of a property is there: a dictionary."""
        counted = Reducer("frequencyHistogram").reduce_list
        caller = "ee.ImageCollection.aggregate_histogram()"
        return self._aggregated(Dictionary, counted, property, caller)

    def aggregate_stats(self, property: str) -> Any:
        """Compute counts, sums, extremes, mean, variances and standard deviations of a property: a
        dictionary."""
        caller = "ee.ImageCollection.aggregate_stats()"
        return self._aggregated(Dictionary, _statistics, property, caller)

    def reduceColumns(self, reducer: Any, selectors: Any, weightSelectors: Any = None) -> Any:
        """Reduce properties of all images: a dictionary of the outputs.

        Parameters
        ----------
        reducer : Reducer
            What is computed.
        selectors : list of str
            A property for each of its inputs.

        Notes
        -----
        https://developers.google.com/earth-engine/apidocs/ee-imagecollection-reducecolumns
        """
        asked, caller = Reducer(reducer), "ee.ImageCollection.reduceColumns()"
        names = [str(name) for name in known(selectors)]
        if len(names) != asked.inputs and asked.inputs == 1:
            asked = asked.repeat(len(names))
        columns = [property_of(self.dataset, name, caller) for name in names]
        return _now_or_later(Dictionary, lambda *lists: asked.reduce_columns(list(lists)), *columns)

    def _aggregated(
        self, kind: type, function: Callable[[list[Any]], Any], property: str, caller: str
    ) -> Any:
        return _now_or_later(kind, function, property_of(self.dataset, property, caller))


def _now_or_later(kind: type, function: Callable[..., Any], *columns: xr.DataArray) -> Any:
    """Compute what is made of properties; where these are computed from pixels, when needed."""

    def compute(*arrays: xr.DataArray) -> Any:
        return function(*(plain(listed(array)) for array in arrays))

    if any(column.attrs.get(OF_PIXELS) for column in columns):
        return later(kind, compute, *columns)
    return wrapped(compute(*columns))


def _statistics(values: list[Any]) -> dict[str, Any]:
    names = {
        "max": "max",
        "mean": "mean",
        "min": "min",
        "sample_sd": "sampleStdDev",
        "sample_var": "sampleVariance",
        "sum": "sum",
        "total_sd": "stdDev",
        "total_var": "variance",
        "total_count": "countEvery",
        "valid_count": "count",
    }
    found = {name: Reducer(reducer).reduce_list(values) for name, reducer in names.items()}
    squares = [None if value is None else value * value for value in values]
    return {**found, "sum_sq": Reducer("sum").reduce_list(squares)}
