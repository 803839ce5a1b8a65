"""What the steps of an expression compute, on numpy arrays.

A value is a pair: numbers, and where they are masked (None: nowhere). Floats are masked where they
are NaN, and have None. What is no finite number in the end (x / 0, the logarithm of 0) is masked.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.scores.formulas.kinds import Kind


@dataclass(frozen=True)
class Step:
    """One step of an expression.

    Attributes
    ----------
    name : str
        What is computed: an entry of `COMPUTED`.
    inputs : tuple of int
        The numbers of the steps whose values it gets.
    kind : Kind
        What is known of its values.
    given : tuple
        What else it needs to know.
    """

    name: str
    inputs: tuple[int, ...]
    kind: Kind
    given: tuple[Any, ...] = ()


Value = tuple[Any, Any]


def compute(
    *arrays: Any, steps: tuple[Step, ...], into: np.dtype[Any], nodata: Any
) -> np.ndarray[Any, Any]:
    """Compute an expression: its steps one after the other, the last of them is the result.

    Parameters
    ----------
    *arrays : array
        The bands that the steps name by their numbers.
    steps : tuple of Step
        Each needs only steps before it.
    into : numpy.dtype
        That of the result.
    nodata : scalar or None
        What masked integers become.
    """
    last = {number: place for place, step in enumerate(steps) for number in step.inputs}
    values: list[Value | None] = []
    with np.errstate(all="ignore"):
        for place, step in enumerate(steps):
            given = [values[number] for number in step.inputs]
            values.append(COMPUTED[step.name](step, given, arrays))
            for number in step.inputs:
                if last[number] == place:
                    values[number] = None
        numbers, masked = values[-1] or (None, None)
        return _settled(numbers, masked, into, nodata)


def _settled(numbers: Any, masked: Any, dtype: np.dtype[Any], nodata: Any) -> np.ndarray[Any, Any]:
    result = np.asarray(numbers).astype(dtype, copy=False)
    if nodata is not None and dtype.itemsize == 8:  # there may be no value that is free
        limits = np.iinfo(dtype)
        if nodata == limits.max:
            result = np.minimum(result, nodata - dtype.type(1))
        elif nodata == limits.min:
            result = np.maximum(result, nodata + dtype.type(1))
    if masked is None:
        return result
    return np.where(masked, dtype.type(np.nan) if nodata is None else nodata, result)


def _band(step: Step, _: Sequence[Any], arrays: Sequence[Any]) -> Value:
    number, nodata, scale, offset = step.given
    array, dtype = arrays[number], step.kind.dtype
    masked = None if nodata is None else np.equal(array, nodata)
    values = np.asarray(array).astype(dtype, copy=False)
    if dtype.kind != "f":
        return values, masked
    if (scale, offset) != (1.0, 0.0):
        values = values * dtype.type(scale) + dtype.type(offset)
    return (values if masked is None else np.where(masked, dtype.type(np.nan), values)), None


def _number(step: Step, *_: Any) -> Value:
    (value,) = step.given
    return np.asarray(value, step.kind.dtype), None


def _nothing(step: Step, *_: Any) -> Value:
    """Give what is masked, in the dtype of the other side of a `where`."""
    return np.zeros((), step.kind.dtype), np.True_


def _arithmetic(ufunc: np.ufunc) -> Callable[..., Value]:
    """Let a function of numpy compute in the dtype of the result."""

    def computed(step: Step, given: Sequence[Value], _: Any) -> Value:
        dtype = step.kind.dtype
        numbers = ufunc(*(values for values, _ in given), dtype=dtype, casting="unsafe")
        masked = _either(*(masked for _, masked in given))
        if dtype.kind != "f":
            return numbers, masked
        finite = np.isfinite(numbers)
        if masked is not None:
            finite = finite & ~masked
        return (numbers if finite.all() else np.where(finite, numbers, dtype.type(np.nan))), None

    return computed


def _kept(ufunc: np.ufunc) -> Callable[..., Value]:
    """The same where infinities stay what they are."""

    def computed(step: Step, given: Sequence[Value], _: Any) -> Value:
        dtype = step.kind.dtype
        numbers = ufunc(*(values for values, _ in given), dtype=dtype, casting="unsafe")
        masked = _either(*(masked for _, masked in given))
        if dtype.kind == "f" and masked is not None:
            return np.where(masked, dtype.type(np.nan), numbers), None
        return numbers, masked

    return computed


def _saturating(ufunc: np.ufunc) -> Callable[..., Value]:
    """Negate, or drop the sign: the lowest int64 has no positive one, and becomes the highest."""
    kept = _kept(ufunc)

    def computed(step: Step, given: Sequence[Value], arrays: Any) -> Value:
        numbers, masked = kept(step, given, arrays)
        if step.kind.dtype == np.int64:
            limits = np.iinfo(np.int64)
            lowest = np.equal(given[0][0], limits.min)
            numbers = np.where(lowest, limits.max, numbers) if lowest.any() else numbers
        return numbers, masked

    return computed


def _compared(ufunc: np.ufunc) -> Callable[..., Value]:
    """Compare in a dtype that holds both sides; None: one is int64, the other uint64."""

    def computed(step: Step, given: Sequence[Value], _: Any) -> Value:
        (dtype,) = step.given
        a, b = (values.astype(dtype or np.uint64, copy=False) for values, _ in given)
        found = ufunc(a, b)
        if dtype is None:  # what is below 0 is below all of the other side
            found = np.where(np.less(given[0][0], 0), ufunc(-1, 0), found)
            found = np.where(np.less(given[1][0], 0), ufunc(0, -1), found)
        return found, _either(*map(masked_in, given))

    return computed


def _is_in(step: Step, given: Sequence[Value], _: Any) -> Value:
    (table,) = step.given
    values = given[0][0]
    return np.isin(values, np.array(table, values.dtype)), masked_in(given[0])


def _logical(ufunc: np.ufunc) -> Callable[..., Value]:
    def computed(_: Step, given: Sequence[Value], __: Any) -> Value:
        return ufunc(*(values for values, _ in given)), _either(*(masked for _, masked in given))

    return computed


def _where(step: Step, given: Sequence[Value], _: Any) -> Value:
    (condition, unknown), (a, a_masked), (b, b_masked) = given
    dtype = step.kind.dtype
    numbers = np.where(condition, a.astype(dtype, copy=False), b.astype(dtype, copy=False))
    side = None
    if a_masked is not None or b_masked is not None:
        nowhere = np.False_
        side = np.where(
            condition,
            nowhere if a_masked is None else a_masked,
            nowhere if b_masked is None else b_masked,
        )
    masked = _either(unknown, side)
    if dtype.kind == "f" and masked is not None:
        return np.where(masked, dtype.type(np.nan), numbers), None
    return numbers, masked


def _valid(_: Step, given: Sequence[Value], __: Any) -> Value:
    masked = masked_in(given[0])
    if masked is None:
        return np.ones(np.shape(given[0][0]), bool), None
    return np.broadcast_to(~masked, np.broadcast_shapes(masked.shape, given[0][0].shape)), None


def _certain(_: Step, given: Sequence[Value], __: Any) -> Value:
    """Take a condition for false where it is masked."""
    values, masked = given[0]
    return (values if masked is None else values & ~masked), None


def masked_in(value: Value) -> Any:
    """Give where a value is masked; None: nowhere."""
    values, masked = value
    return np.isnan(values) if values.dtype.kind == "f" else masked


def _either(*masks: Any) -> Any:
    found = [mask for mask in masks if mask is not None]
    return functools.reduce(operator.or_, found) if found else None


COMPUTED: dict[str, Callable[..., Value]] = {
    "band": _band,
    "number": _number,
    "nothing": _nothing,
    "add": _arithmetic(np.add),
    "subtract": _arithmetic(np.subtract),
    "multiply": _arithmetic(np.multiply),
    "divide": _arithmetic(np.divide),
    "power": _arithmetic(np.power),
    "sqrt": _arithmetic(np.sqrt),
    "exp": _arithmetic(np.exp),
    "log": _arithmetic(np.log),
    "minimum": _kept(np.minimum),
    "maximum": _kept(np.maximum),
    "bits_in_both": _kept(np.bitwise_and),
    "bits_in_one": _kept(np.bitwise_or),
    "negative": _saturating(np.negative),
    "abs": _saturating(np.absolute),
    "==": _compared(np.equal),
    "!=": _compared(np.not_equal),
    "<": _compared(np.less),
    "<=": _compared(np.less_equal),
    ">": _compared(np.greater),
    ">=": _compared(np.greater_equal),
    "in": _is_in,
    "and": _logical(np.logical_and),
    "or": _logical(np.logical_or),
    "not": _logical(np.logical_not),
    "where": _where,
    "valid": _valid,
    "certain": _certain,
}
"""How each step is computed, by its name."""
