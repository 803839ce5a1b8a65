"""``ee.Reducer``: how many values become one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from qmosaic.ee.reducers.outputs import (
    AnyOutput,
    Grouped,
    Naming,
    Output,
    Repeated,
    as_array,
    moved,
    renamed,
)
from qmosaic.ee.reducers.rules import RULES, fixed_histogram, histogram, percentile, to_list
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import List, known, known_name
from qmosaic.scores.expressions import is_number

MOST_BUCKETS = 256
"""How many buckets a histogram has at most, where nothing else is asked for."""


def _simple(name: str, output: str, text: str, *, rule: str | None = None) -> Any:
    """Make a method that makes a reducer of one input and one output."""

    def method() -> Reducer:
        return Reducer([Output(output, (0,), RULES[rule or name])])

    method.__name__ = name
    method.__doc__ = f"{text}; the output is called ``{output}``."
    return staticmethod(method)


class Reducer(Hinting):
    """How many values become one: a mean, a percentile, several of them at once.

    `ImageCollection.reduce` applies it to the images at every pixel, `Image.reduce` to the bands,
    `Image.reduceRegion` to the pixels of a region. Masked pixels do not count.

    Percentiles are exact, not those of a histogram as Earth Engine's are of many values: of n
    sorted values that at ``percent / 100 * (n - 1)``, interpolated linearly. Of equally frequent
    values the mode is the lowest. ``max(2)`` takes the second input where the first is highest, of
    equally high ones the last. All values weigh the same.

    Parameters
    ----------
    reducer : Reducer, str, or list of outputs
        A reducer, or the name of one.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> bands = {"B4": ("x", np.uint8([3, 1, 1, 7])), "class": ("x", np.uint8([0, 0, 1, 1]))}
    >>> both = ee.Image(xr.Dataset(bands).expand_dims("y"))
    >>> image = both.select("B4")
    >>> def of(reducer):
    ...     return image.reduceRegion(reducer).getInfo()

    One output, which in a region is called as the band:

    >>> [of(one)["B4"] for one in (ee.Reducer.sum(), ee.Reducer.mean(), ee.Reducer.product())]
    [12.0, 3.0, 21.0]
    >>> [of(one)["B4"] for one in (ee.Reducer.median(), ee.Reducer.mode(), ee.Reducer.count())]
    [2.0, 1, 4]
    >>> [of(one)["B4"] for one in (ee.Reducer.min(), ee.Reducer.max(), ee.Reducer.countEvery())]
    [1, 7, 4]
    >>> [of(one)["B4"] for one in (ee.Reducer.first(), ee.Reducer.last())]
    [3, 7]
    >>> [of(one)["B4"] for one in (ee.Reducer.firstNonNull(), ee.Reducer.lastNonNull())]
    [3, 7]
    >>> [of(one)["B4"] for one in (ee.Reducer.variance(), ee.Reducer.sampleVariance())]
    [6.0, 8.0]
    >>> [round(of(one)["B4"], 3) for one in (ee.Reducer.stdDev(), ee.Reducer.sampleStdDev())]
    [2.449, 2.828]
    >>> [of(one)["B4"] for one in (ee.Reducer.allNonZero(), ee.Reducer.anyNonZero())]
    [1, 1]
    >>> [of(one)["B4"] for one in (ee.Reducer.countDistinct(), ee.Reducer.countDistinctNonNull())]
    [3, 3]

    Several outputs:

    >>> of(ee.Reducer.percentile([25, 75])), of(ee.Reducer.minMax().setOutputs(["low", "high"]))
    ({'B4_p25': 1.0, 'B4_p75': 4.0}, {'B4_high': 7, 'B4_low': 1})
    >>> of(ee.Reducer.mean().combine(ee.Reducer.max(), sharedInputs=True).unweighted())
    {'B4_max': 7, 'B4_mean': 3.0}

    Several inputs, which are the bands:

    >>> both.reduceRegion(ee.Reducer.max(2)).getInfo(), ee.Reducer.min(3).getOutputs()
    ({'max': 7, 'max1': 1}, ['min', 'min1', 'min2'])
    >>> both.reduceRegion(ee.Reducer.linearFit()).getInfo()
    {'offset': 0.25, 'scale': 0.08333333333333333}
    >>> both.reduceRegion(ee.Reducer.sum().group(1, "class")).getInfo()
    {'groups': [{'class': 0, 'sum': 4.0}, {'class': 1, 'sum': 8.0}]}
    >>> both.reduceRegion(ee.Reducer.max().repeat(2)).getInfo()
    {'max': [7, 1]}
    >>> both.reduceRegion(ee.Reducer.max().forEach(["a", "b"])).getInfo()
    {'a': 7, 'b': 1}
    >>> ee.Reducer.minMax().forEachBand(both).getOutputs()
    ['B4_min', 'B4_max', 'class_min', 'class_max']

    Lists and tables of values, of regions only:

    >>> of(ee.Reducer.toList()), of(ee.Reducer.frequencyHistogram())
    ({'B4': [3, 1, 1, 7]}, {'B4': {'1': 2, '3': 1, '7': 1}})
    >>> of(ee.Reducer.histogram(4, 2))["B4"]["histogram"], of(ee.Reducer.fixedHistogram(0, 8, 2))
    ([2, 1, 0, 1], {'B4': [[0.0, 3], [4.0, 1]]})

    Values in memory:

    >>> ee.Reducer.mean().reduce_list([3, 1, None])
    2.0
    >>> ee.Reducer.max(2).reduce_columns([[3, 1], ["a", "b"]])
    {'max': 3, 'max1': 'a'}
    """

    _name = "ee.Reducer"

    def __init__(self, reducer: Any, inputs: int = 1) -> None:
        if isinstance(reducer, str):
            reducer = getattr(Reducer, reducer)()
        if isinstance(reducer, Reducer):
            self.outputs: tuple[AnyOutput, ...] = reducer.outputs
            self.inputs: int = reducer.inputs
            return
        if not isinstance(reducer, list):
            raise TypeError(
                f"a reducer is needed, and {_described(reducer)} came, which does not say how "
                "many values become one. Write ee.Reducer.mean(), for instance."
            )
        self.outputs = tuple(reducer)
        self.inputs = inputs

    def __repr__(self) -> str:
        names = ", ".join(output.name for output in self.outputs)
        return f"<ee.Reducer of {self.inputs} input{'s' * (self.inputs > 1)}, giving {names}>"

    # -- one input, one output -------------------------------------------------------------------

    sum = _simple("sum", "sum", "Add the values")
    mean = _simple("mean", "mean", "Average the values")
    product = _simple("product", "product", "Multiply the values")
    variance = _simple("variance", "variance", "Compute the variance of a population")
    stdDev = _simple("stdDev", "stdDev", "Compute the standard deviation of a population")
    sampleVariance = _simple("sampleVariance", "variance", "Compute the variance of a sample")
    sampleStdDev = _simple("sampleStdDev", "stdDev", "Compute the standard deviation of a sample")
    count = _simple("count", "count", "Count the values")
    countEvery = _simple("countEvery", "count", "Count the values, masked ones too")
    countDistinct = _simple("countDistinct", "count", "Count how many values differ")
    countDistinctNonNull = _simple(
        "countDistinctNonNull", "count", "Count how many values differ", rule="countDistinct"
    )
    first = _simple("first", "first", "Take the first value that is not masked")
    firstNonNull = _simple(
        "firstNonNull", "first", "Take the first value that is not masked", rule="first"
    )
    last = _simple("last", "last", "Take the last value that is not masked")
    lastNonNull = _simple(
        "lastNonNull", "last", "Take the last value that is not masked", rule="last"
    )
    allNonZero = _simple("allNonZero", "all", "Give 1 if no value is 0, else 0")
    anyNonZero = _simple("anyNonZero", "any", "Give 1 if a value is not 0, else 0")
    frequencyHistogram = _simple(
        "frequencyHistogram", "histogram", "Count how often each value is there"
    )

    @staticmethod
    def median(maxBuckets: Any = None, minBucketWidth: Any = None, maxRaw: Any = None) -> Reducer:
        """Take the middle value, or the mean of the two in the middle; the arguments of Earth
        Engine's histogram change nothing."""
        return Reducer([Output("median", (0,), RULES["median"])])

    @staticmethod
    def mode(maxBuckets: Any = None, minBucketWidth: Any = None, maxRaw: Any = None) -> Reducer:
        """Take the most frequent value; the arguments of Earth Engine's histogram change
        nothing."""
        return Reducer([Output("mode", (0,), RULES["mode"])])

    @staticmethod
    def percentile(
        percentiles: Any,
        outputNames: Any = None,
        maxBuckets: Any = None,
        minBucketWidth: Any = None,
        maxRaw: Any = None,
    ) -> Reducer:
        """Compute percentiles, called ``p25``, ``p75``; the arguments of Earth Engine's histogram
        change nothing.

        https://developers.google.com/earth-engine/apidocs/ee-reducer-percentile
        """
        given = known(percentiles, "ee.Reducer.percentile()")
        asked = [given] if is_number(given) else list(given)
        for one in asked:
            if not is_number(one) or not 0 <= one <= 100:
                raise ValueError(
                    f"ee.Reducer.percentile() got {one!r}, which is no percentile: they go from 0, "
                    "the lowest value, to 100, the highest. Write percentile([25, 50, 75])."
                )
        names = [f"p{_short(one)}" for one in asked] if outputNames is None else list(outputNames)
        _check_as_many(names, asked, "ee.Reducer.percentile()", "percentiles")
        return Reducer(
            [Output(n, (0,), percentile(float(p))) for n, p in zip(names, asked, strict=True)]
        )

    @staticmethod
    def histogram(
        maxBuckets: Any = None, minBucketWidth: Any = None, maxRaw: Any = None
    ) -> Reducer:
        """Count values in buckets: a dictionary of ``bucketMeans``, ``bucketMin``,
        ``bucketWidth`` and ``histogram``.

        A bucket is as wide as the least power of two, not less than `minBucketWidth`, with which
        there are at most `maxBuckets` (256), rounded up to a power of two.
        """
        asked = MOST_BUCKETS if maxBuckets is None else int(known(maxBuckets))
        buckets = 1 << max(0, asked - 1).bit_length()
        least = 0.0 if minBucketWidth is None else float(known(minBucketWidth))
        return Reducer([Output("histogram", (0,), histogram(buckets, least))])

    @staticmethod
    def fixedHistogram(min: Any, max: Any, steps: Any, cumulative: Any = None) -> Reducer:
        """Count values in buckets of one width, from `min` to below `max`: a list of the lower
        bounds and the counts."""
        low, high, count = (known(one) for one in (min, max, steps))
        if not low < high or count < 1:
            raise ValueError(
                f"ee.Reducer.fixedHistogram() got {low} to {high} in {count} steps, which makes no "
                "buckets. Write a min below max, and one step or more."
            )
        rule = fixed_histogram(float(low), float(high), int(count))
        return Reducer([Output("histogram", (0,), rule)])

    # -- several inputs or outputs ---------------------------------------------------------------

    @staticmethod
    def max(numInputs: Any = 1) -> Reducer:
        """Take the highest value of the first input, ``max``, and those of the other inputs beside
        it, ``max1``, ``max2``, ...

        https://developers.google.com/earth-engine/apidocs/ee-reducer-max
        """
        return _best("max", numInputs)

    @staticmethod
    def min(numInputs: Any = 1) -> Reducer:
        """Take the lowest value of the first input, ``min``, and those of the other inputs beside
        it, ``min1``, ``min2``, ...

        https://developers.google.com/earth-engine/apidocs/ee-reducer-min
        """
        return _best("min", numInputs)

    @staticmethod
    def minMax() -> Reducer:
        """Take the lowest and the highest value, ``min`` and ``max``."""
        return Reducer([Output(name, (0,), RULES[name]) for name in ("min", "max")])

    @staticmethod
    def linearFit() -> Reducer:
        """Fit a line to pairs of values, x and y: ``scale`` and ``offset``.

        https://developers.google.com/earth-engine/apidocs/ee-reducer-linearfit
        """
        return Reducer([Output(name, (0, 1), RULES[name]) for name in ("scale", "offset")], 2)

    @staticmethod
    def toList(tupleSize: Any = None, numOptional: Any = None) -> Reducer:
        """List the values; with `tupleSize`, lists of the values of so many inputs.

        Of the inputs the last `numOptional` may be masked, and are None then.
        """
        size = None if tupleSize is None else int(known(tupleSize))
        optional = 0 if numOptional is None else int(known(numOptional))
        inputs = tuple(range(size or 1))
        if not 0 <= optional < len(inputs):
            raise ValueError(
                f"ee.Reducer.toList() got numOptional={optional} of {len(inputs)} inputs, and one "
                "has to be there. Write toList(2, 1), for instance."
            )
        rule = to_list(size is not None, optional)
        return Reducer([Output("list", inputs, rule)], len(inputs))

    # -- a reducer of others ---------------------------------------------------------------------

    def combine(
        self, reducer2: Any, outputPrefix: str | None = "", sharedInputs: Any = False
    ) -> Reducer:
        """Run two reducers in parallel: the outputs of both, those of the second with a prefix.

        With `sharedInputs` both take the same inputs, as for the mean and the standard deviation of
        a band; without it the inputs of the second follow those of the first.

        https://developers.google.com/earth-engine/apidocs/ee-reducer-combine
        """
        other = Reducer(reducer2)
        if sharedInputs and other.inputs != self.inputs:
            raise ValueError(
                f"ee.Reducer.combine() got reducers of {self.inputs} and {other.inputs} inputs, "
                "which cannot share them. Leave sharedInputs out: the inputs of the second then "
                "follow those of the first."
            )
        first = 0 if sharedInputs else self.inputs
        added = [renamed(moved(o, first), f"{outputPrefix or ''}{o.name}") for o in other.outputs]
        outputs = [*self.outputs, *added]
        _check_names([output.name for output in outputs])
        return Reducer(outputs, self.inputs if sharedInputs else self.inputs + other.inputs)

    def repeat(self, count: Any) -> Reducer:
        """Run it for several inputs: each output is a list with one value for each."""
        copies = range(int(known(count)))
        outputs = [
            Repeated(o.name, tuple(moved(o, n * self.inputs) for n in copies)) for o in self.outputs
        ]
        return Reducer(outputs, len(copies) * self.inputs)

    def forEach(self, outputNames: Any) -> Reducer:
        """Run it for several inputs, whose names become those of the outputs: ``B4``, or
        ``B4_min`` and ``B4_max`` where it has more than one."""
        single = len(self.outputs) == 1
        names = [str(name) for name in outputNames]
        outputs = [
            renamed(moved(o, n * self.inputs), name if single else f"{name}_{o.name}")
            for n, name in enumerate(names)
            for o in self.outputs
        ]
        return Reducer(outputs, len(names) * self.inputs)

    def forEachBand(self, image: Any) -> Reducer:
        """Run it for each band of an image; see `forEach`."""
        return self.forEach(image.bandNames())

    def group(self, groupField: Any = 0, groupName: str | None = "group") -> Reducer:
        """Run it for each group of values: ``groups``, a list of dictionaries.

        Parameters
        ----------
        groupField : int, default: 0
            Which input tells the group, as 1 where it is the second band; the inputs of the reducer
            are the others.
        groupName : str, default: "group"
            What the group is called in the dictionaries.

        https://developers.google.com/earth-engine/apidocs/ee-reducer-group
        """
        field = int(known(groupField))
        count = self.inputs + 1
        if not 0 <= field < count:
            raise ValueError(
                f"ee.Reducer.group() got groupField={field}, and with the one that tells the group "
                f"there are {count} inputs, numbered from 0. Write 0 to {self.inputs}."
            )
        inputs = tuple(range(count))
        grouped = Grouped("groups", inputs, self.outputs, field, groupName or "group")
        return Reducer([grouped], count)

    def setOutputs(self, outputs: Any) -> Reducer:
        """Rename the outputs; one that is called None or "" is left out."""
        asked = known(outputs, "ee.Reducer.setOutputs()")
        names = [known_name(name, "ee.Reducer.setOutputs()") for name in asked]
        _check_as_many(names, self.outputs, "ee.Reducer.setOutputs()", "outputs")
        named = [renamed(o, n) for o, n in zip(self.outputs, names, strict=True) if n]
        _check_names([output.name for output in named])
        return Reducer(named, self.inputs)

    def unweighted(self) -> Reducer:
        """Give the reducer as it is: all values weigh the same anyway."""
        return self

    def getOutputs(self) -> List:
        """List the names of the outputs."""
        return List([output.name for output in self.outputs])

    # -- values in memory ------------------------------------------------------------------------

    def reduce_list(self, values: Iterable[Any]) -> Any:
        """Reduce the values of a list: to one, or to a dictionary where there are more outputs.

        Parameters
        ----------
        values : iterable
            Numbers, or texts where a rule takes them; None does not count. Of a reducer with more
            than one input, a list of them for each.
        """
        rows = list(values)
        columns = [rows]
        if self.inputs > 1:
            columns = [[row[number] for row in rows] for number in range(self.inputs)]
        found = self.reduce_columns(columns)
        return next(iter(found.values())) if len(found) == 1 else found

    def reduce_columns(self, columns: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Reduce lists of values, one for each input, to a dictionary of the outputs.

        Raises
        ------
        ValueError
            There are more or fewer lists than inputs.
        """
        if len(columns) != self.inputs:
            raise ValueError(
                f"{self!r} got {len(columns)} lists of values, and takes one for each of its "
                "inputs. Give as many, or another reducer."
            )
        arrays, valid = zip(*(as_array(column) for column in columns), strict=True)
        return {output.name: output.of_list(arrays, valid) for output in self.outputs}


def outputs_of(
    reducer: Reducer, bands: Sequence[Any], naming: Naming, caller: str
) -> list[tuple[str, AnyOutput, tuple[Any, ...]]]:
    """Tell what a reducer makes of the bands of an image: names, outputs, and the bands of each.

    With one input it is done for each band; else the bands are its inputs.

    Parameters
    ----------
    bands : sequence of str
        The names of the bands.
    naming : {"band_output", "band", "output"}
        With one input, the names are those of the band and the output; of the band alone, if
        there is one output; or of the output alone, if there is one band. With more inputs they
        are those of the outputs.
    caller : str
        Who asks, for errors.

    Raises
    ------
    ValueError
        There are more or fewer bands than inputs.
    """
    if reducer.inputs == 1:
        only_band = naming != "band_output" and len(reducer.outputs) == 1
        only_output = naming == "output" and len(bands) == 1
        return [
            (o.name if only_output else f"{b}" if only_band else f"{b}_{o.name}", o, (b,))
            for b in bands
            for o in reducer.outputs
        ]
    if len(bands) != reducer.inputs:
        raise ValueError(
            f"{caller} got a reducer of {reducer.inputs} inputs for {len(bands)} bands, and each "
            f"band is an input: {', '.join(map(repr, bands))}. Select as many bands first, or "
            "combine reducers with sharedInputs=True, which then reduce each band."
        )
    return [(o.name, o, tuple(bands[n] for n in o.inputs)) for o in reducer.outputs]


def _best(name: str, inputs: Any) -> Reducer:
    count = int(known(inputs))
    if count < 1:
        raise ValueError(
            f"ee.Reducer.{name}() got numInputs={count}, and something has to be compared. Write "
            f"{name}(), or {name}(2) for the value of a second band beside it."
        )
    # the first decides, the last is taken, and a pixel counts where none is masked
    inputs = [(0, *(m for m in range(1, count) if m != n), n) for n in range(count)]
    names = [name, *(f"{name}{n}" for n in range(1, count))]
    rule = dataclasses.replace(RULES[name], ordered=count > 1)
    made = [Output(n, i if count > 1 else (0,), rule) for n, i in zip(names, inputs, strict=True)]
    return Reducer(made, count)


def _short(number: Any) -> str:
    """Write a percentile as Earth Engine does in names: 5, and 2.5 as 2_5."""
    return f"{float(number):g}".replace(".", "_")


def _described(given: Any) -> str:
    return f"{type(given).__name__} {given!r:.40}"


def _check_as_many(names: list[Any], asked: Sequence[Any], caller: str, what: str) -> None:
    if len(names) != len(asked):
        raise ValueError(
            f"{caller} got {len(names)} names for {len(asked)} {what}: which is which is unknown. "
            "Give one name for each."
        )


def _check_names(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"ee.Reducer: two outputs would be called {', '.join(map(repr, twice))}, and outputs "
            "are found by their names. Give the second reducer a prefix, combine(reducer2, "
            "outputPrefix='second_'), or rename with setOutputs([...])."
        )
