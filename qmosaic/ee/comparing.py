"""How properties are compared with values, and with properties of other images or features."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.ee.elements import column_if_any, count_of, is_missing, operand
from qmosaic.ee.values import EPOCH, Date, known

Test = Callable[[Array, Array], Array]
"""Tells of the values of two operands, which broadcast, where they meet a condition."""


@dataclass(frozen=True)
class Operand:
    """A property of images or features, or a value."""

    field: Any = None
    value: Any = None

    def of(self, elements: Any, caller: str) -> Array:
        """Give the values of the property, missing ones where none has it, or the value."""
        if self.field is None:
            return operand(self.value, caller)
        name = str(known(self.field, caller))
        found = column_if_any(elements, name, caller)
        return np.full(count_of(elements), np.nan) if found is None else found


def operands(method: str, given: dict[str, Any]) -> tuple[Operand, Operand, str]:
    """Take two operands, ``leftField`` or ``leftValue`` and ``rightField`` or ``rightValue``; and
    say how they were written.

    Raises
    ------
    ValueError
        There are fewer or more.
    """
    there = {key: value for key, value in given.items() if value is not None}
    sides = [[key for key in there if key.startswith(side)] for side in ("left", "right")]
    if any(len(keys) != 1 for keys in sides):
        raise ValueError(
            f"ee.Filter.{method}() got {', '.join(there) or 'nothing'}; it compares two operands, "
            "a left one and a right one, each a field or a value. Write, for a filter, "
            "leftField='cloud_cover', rightValue=20; for a join leftField='system:index', "
            "rightField='system:index'."
        )
    left, right = (
        Operand(there[key]) if key.endswith("Field") else Operand(value=there[key])
        for (key,) in sides
    )
    usual = set(there) == {"leftField", "rightValue"}
    written = [repr(v) if usual else f"{k}={v!r}" for k, v in there.items()]
    return left, right, f"{method}({', '.join(written)})"


def of_elements(test: Test, left: Operand, right: Operand, caller: str) -> Callable[[Any], Array]:
    """Give what tells, of images or features, which meet a condition."""

    def keep(elements: Any) -> Array:
        values = comparable(left.of(elements, caller), right.of(elements, caller))
        return np.broadcast_to(test(*values), count_of(elements))

    return keep


def of_pairs(test: Test, left: Operand, right: Operand, caller: str) -> Callable[[Any, Any], Array]:
    """Give what tells, of the elements of two collections, which pairs meet a condition: a row for
    each of the first, a column for each of the second."""

    def pairs(first: Any, second: Any) -> Array:
        a, b = comparable(left.of(first, caller), right.of(second, caller))
        made = test(a[:, None] if a.ndim else a, b)
        return np.broadcast_to(made, (count_of(first), count_of(second)))

    return pairs


def comparable(left: Array, right: Array) -> tuple[Array, Array]:
    """Bring times, and what they are compared with, to milliseconds since 1970."""
    if "M" not in (left.dtype.kind, right.dtype.kind):
        return left, right
    return _millis(left), _millis(right)


def _millis(values: Array) -> Array:
    if values.ndim == 0 and isinstance(values[()], str):
        values = np.asarray(Date(values[()]).instant.astype("M8[ms]"))
    if values.dtype.kind != "M":
        return values
    since: Array = (values - EPOCH).astype("int64").astype("float64")
    return np.where(np.isnat(values), np.nan, since)


# -- conditions ----------------------------------------------------------------------------------


def one_by_one(test: Callable[[Any, Any], Any]) -> Test:
    """Make a test of arrays from one of two values; a missing one meets no condition."""

    def met(left: Any, right: Any) -> bool:
        return not is_missing(left) and not is_missing(right) and bool(test(left, right))

    def of_arrays(left: Array, right: Array) -> Array:
        found = np.frompyfunc(met, 2, 1)
        return np.asarray(found(left.astype(object), right.astype(object))).astype(bool)

    return of_arrays


def _at_once(function: Callable[[Any, Any], Any], slowly: Test) -> Test:
    """Compare arrays of numbers, and arrays of texts, at once: a join compares many pairs."""

    def of_arrays(left: Array, right: Array) -> Array:
        if left.dtype.kind == right.dtype.kind == "f":
            met: Array = np.asarray(function(left, right))
            return met & ~(np.isnan(left) | np.isnan(right))
        if _are_texts(left) and _are_texts(right):
            return np.asarray(function(left.astype("U"), right.astype("U")))
        return slowly(left, right)

    return of_arrays


def _are_texts(values: Array) -> bool:
    return values.dtype.kind == "O" and all(isinstance(one, str) for one in values.flat)


def _ordering(function: Callable[[Any, Any], Any]) -> Test:
    """Compare numbers with numbers and texts with texts; other pairs meet no condition."""

    def alike(left: Any, right: Any) -> bool:
        same = any(isinstance(left, k) and isinstance(right, k) for k in (str, int | float))
        return same and bool(function(left, right))

    return _at_once(function, one_by_one(alike))


def _on_texts(test: Callable[[str, str], bool]) -> Test:
    return one_by_one(lambda a, b: isinstance(a, str) and isinstance(b, str) and test(a, b))


def _is_in(value: Any, listed: Any) -> bool:
    return isinstance(listed, list | tuple) and value in listed


def opposite(test: Test) -> Test:
    """Make the opposite of a test, which missing values meet."""
    return lambda left, right: ~test(left, right)


def difference(left: Array, right: Array) -> Array:
    """Give how far apart numbers are."""
    apart: Array = np.abs(left - right)
    return apart


EQUALS = _at_once(operator.eq, one_by_one(operator.eq))

TESTS: dict[str, tuple[str, Test]] = {
    "equals": ("are equal", EQUALS),
    "notEquals": ("are not equal, or one of them is missing", opposite(EQUALS)),
    "lessThan": ("are such that the left one is less", _ordering(operator.lt)),
    "lessThanOrEquals": ("are such that the left one is not greater", _ordering(operator.le)),
    "greaterThan": ("are such that the left one is greater", _ordering(operator.gt)),
    "greaterThanOrEquals": ("are such that the left one is not less", _ordering(operator.ge)),
    "stringContains": (
        "are texts, and the left one contains the right",
        _on_texts(str.__contains__),
    ),
    "stringStartsWith": (
        "are texts, and the left one starts with the right",
        _on_texts(str.startswith),
    ),
    "stringEndsWith": ("are texts, and the left one ends with the right", _on_texts(str.endswith)),
    "listContains": (
        "are a list on the left, and on the right an entry of it",
        one_by_one(lambda listed, value: _is_in(value, listed)),
    ),
    "inList": ("are a list on the right, and on the left an entry of it", one_by_one(_is_in)),
}
"""Filters that compare two operands: what they keep, and the test."""
