"""Numbers and lists of a property of all features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from qmosaic.ee.elements import column, is_missing
from qmosaic.ee.reducers import Reducer
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import Dictionary, List, Number, known, plain, wrapped

NUMBERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "aggregate_sum": ("Add up", np.sum),
    "aggregate_mean": ("Average", np.mean),
    "aggregate_min": ("Give the lowest of", np.min),
    "aggregate_max": ("Give the highest of", np.max),
    "aggregate_product": ("Multiply", np.prod),
    "aggregate_total_sd": ("Give the standard deviation of", np.std),
    "aggregate_total_var": ("Give the variance of", np.var),
    "aggregate_sample_sd": ("Estimate the standard deviation of", lambda v: np.std(v, ddof=1)),
    "aggregate_sample_var": ("Estimate the variance of", lambda v: np.var(v, ddof=1)),
}


def _of_numbers(name: str, text: str, function: Callable[[Any], Any]) -> Any:
    def method(self: Aggregating, property: str) -> Any:
        return self._aggregated(Number, property, lambda values: float(function(values)))

    method.__name__ = name
    method.__doc__ = f"{text} a property that is a number; those that lack it do not count."
    return method


class Aggregating(Hinting):
    """What is computed of a property of all features."""

    @property
    def geodataframe(self) -> Any:
        """The features as a GeoDataFrame."""
        raise NotImplementedError

    def _value(self, kind: type, function: Callable[[], Any]) -> Any:
        """Give a value of the features: at once where they are known, else when it is needed."""
        raise NotImplementedError

    def _aggregated(self, kind: type, property: str, function: Callable[[list[Any]], Any]) -> Any:
        def value() -> Any:
            caller = f"ee.{type(self).__name__}.aggregate_...()"
            found = column(self.geodataframe, property, caller).tolist()
            return function([plain(one) for one in found if not is_missing(one)])

        return self._value(kind, value)

    def aggregate_array(self, property: str) -> Any:
        """List a property; those that lack it are left out."""
        return self._aggregated(List, property, lambda values: [wrapped(v) for v in values])

    def aggregate_count(self, property: str) -> Any:
        """Count those that have a property."""
        return self._aggregated(Number, property, len)

    def aggregate_count_distinct(self, property: str) -> Any:
        """Count the different values of a property."""
        return self._aggregated(Number, property, lambda values: len(set(values)))

    def aggregate_first(self, property: str) -> Any:
        """Give the first value of a property."""
        return self._aggregated(object, property, lambda values: values[0] if values else None)

    def aggregate_histogram(self, property: str) -> Any:
        """Count how often each value of a property is there."""

        def counted(values: list[Any]) -> dict[str, int]:
            return {str(wrapped(value)): count for value, count in sorted(Counter(values).items())}

        return self._aggregated(Dictionary, property, counted)

    def reduceColumns(self, reducer: Any, selectors: Any, weightSelectors: Any = None) -> Any:
        """Reduce properties of all features: a dictionary of the outputs of the reducer.

        `selectors` are the properties, one for each of its inputs. A reducer of one input reduces
        each of several properties, to lists.
        https://developers.google.com/earth-engine/apidocs/ee-featurecollection-reducecolumns
        """
        caller = "ee.FeatureCollection.reduceColumns()"
        asked, names = Reducer(reducer), [str(name) for name in known(selectors, caller)]
        if len(names) != asked.inputs and asked.inputs == 1:
            asked = asked.repeat(len(names))

        def reduced() -> dict[str, Any]:
            frame = self.geodataframe
            columns = [
                [
                    None if is_missing(one) else plain(wrapped(plain(one)))
                    for one in column(frame, name, caller)
                ]
                for name in names
            ]
            return asked.reduce_columns(columns)

        return self._value(Dictionary, reduced)

    aggregate_sum = _of_numbers("aggregate_sum", *NUMBERS["aggregate_sum"])
    aggregate_mean = _of_numbers("aggregate_mean", *NUMBERS["aggregate_mean"])
    aggregate_min = _of_numbers("aggregate_min", *NUMBERS["aggregate_min"])
    aggregate_max = _of_numbers("aggregate_max", *NUMBERS["aggregate_max"])
    aggregate_product = _of_numbers("aggregate_product", *NUMBERS["aggregate_product"])
    aggregate_total_sd = _of_numbers("aggregate_total_sd", *NUMBERS["aggregate_total_sd"])
    aggregate_total_var = _of_numbers("aggregate_total_var", *NUMBERS["aggregate_total_var"])
    aggregate_sample_sd = _of_numbers("aggregate_sample_sd", *NUMBERS["aggregate_sample_sd"])
    aggregate_sample_var = _of_numbers("aggregate_sample_var", *NUMBERS["aggregate_sample_var"])
