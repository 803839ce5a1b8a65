"""What is known of values before they are computed: their dtype, and between which numbers
integers lie. So integers never overflow, and stay exact where 64 bits hold them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

UNSIGNED = tuple(map(np.dtype, ("uint8", "uint16", "uint32", "uint64")))
SIGNED = tuple(map(np.dtype, ("int8", "int16", "int32", "int64")))

EXACT = 2**24
"""The largest integer up to which float32 holds all integers."""


LARGEST_POWER = 64
"""The largest power of integers that is looked at for being one."""


@dataclass(frozen=True)
class Kind:
    """What is known of values.

    Attributes
    ----------
    dtype : numpy.dtype
        bool, an integer, float32 or float64.
    low, high : int
        Between which numbers integers lie, those included; 0 and 1 for bools.
    masked : bool
        Whether some of them can be masked. Floats are, where they are NaN.
    weak : bool
        Whether they take the precision of what they meet, as numbers in the text do, and one
        number an image.
    """

    dtype: np.dtype[Any]
    low: int = 0
    high: int = 1
    masked: bool = True
    weak: bool = False

    @property
    def is_condition(self) -> bool:
        """Whether they are true or false."""
        return self.dtype.kind == "b"

    @property
    def is_whole(self) -> bool:
        """Whether they are integers, or bools, which count as 0 and 1."""
        return self.dtype.kind in "biu"


def kind_of_number(value: float | int) -> Kind:
    """Give the kind of a number in the text."""
    if isinstance(value, int):
        dtype = integer_dtype(value, value)
        if dtype is not None:
            return Kind(dtype, value, value, masked=False, weak=True)
    return Kind(np.dtype("float64"), masked=value != value, weak=True)


def condition(*kinds: Kind) -> Kind:
    """Give the kind of a condition that is made of some values."""
    return Kind(np.dtype(bool), masked=any(k.masked for k in kinds))


def whole(low: int, high: int, kinds: Iterable[Kind]) -> Kind | None:
    """Give the kind of integers that are made of others; None where 64 bits do not hold both."""
    kinds = list(kinds)
    dtype = integer_dtype(min(low, *(k.low for k in kinds)), max(high, *(k.high for k in kinds)))
    if dtype is None:
        return None
    return Kind(dtype, low, high, any(k.masked for k in kinds), all(k.weak for k in kinds))


def integer_dtype(low: int, high: int) -> np.dtype[Any] | None:
    """Give the smallest dtype that holds all integers between two; None where there is none."""
    for dtype in UNSIGNED if low >= 0 else SIGNED:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    return None


def real(*kinds: Kind) -> Kind:
    """Give the kind of floats that are made of some values: float32 where it holds all of them
    exactly."""
    deciding = [kind for kind in kinds if not kind.weak]
    small = all(
        max(abs(kind.low), abs(kind.high)) <= EXACT if kind.is_whole else kind.dtype == np.float32
        for kind in deciding
    )
    dtype = np.dtype("float32" if deciding and small else "float64")
    return Kind(dtype, weak=not deciding)


def free_value(kind: Kind) -> tuple[np.dtype[Any], Any]:
    """Give the dtype of a result and what stands for "masked" in it: an integer that no valid pixel
    has. Where 64 bits leave none, it is an end of the dtype, and valid pixels that have it get its
    neighbour. None for floats, and where nothing is masked."""
    if not kind.is_whole or not kind.masked:
        return kind.dtype, None
    unsigned = kind.low >= 0
    for dtype in UNSIGNED if unsigned else SIGNED:
        limits = np.iinfo(dtype)
        if limits.min <= kind.low and kind.high <= limits.max:
            ends = (limits.max, limits.min) if unsigned else (limits.min, limits.max)
            for value in ends:
                if not kind.low <= value <= kind.high:
                    return dtype, dtype.type(value)
    return (UNSIGNED if unsigned else SIGNED)[-1], dtype.type(ends[0])


def ends_of(
    name: str, a: Kind, b: Kind, exponent: float | int | None = None
) -> tuple[int, int] | None:
    """Say between which integers a sum, difference, product or power of integers lies; None where
    it is a float."""
    if name == "add":
        return a.low + b.low, a.high + b.high
    if name == "subtract":
        return a.low - b.high, a.high - b.low
    if name == "multiply":
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    elif name == "power" and isinstance(exponent, int) and 0 <= exponent <= LARGEST_POWER:
        corners = [a.low**exponent, a.high**exponent, *([0] if a.low < 0 < a.high else [])]
    else:
        return None
    return min(corners), max(corners)


def of_numbers(name: str, *numbers: float | int) -> float | int | None:
    """Compute with numbers of the text alone: integers exactly where 64 bits hold them, others as
    floats. None where numbers give no finite one."""
    function = getattr(np, name)
    try:
        floats = [float(number) for number in numbers]
        with np.errstate(all="ignore"):
            rounded = float(function(*floats))
    except OverflowError:  # more digits than a float has
        return None
    if not math.isfinite(rounded):
        return None if all(map(math.isfinite, floats)) else rounded
    small = abs(rounded) < 2**64 and name not in ("divide", "sqrt", "exp", "log")
    if not small or any(not isinstance(number, int) for number in numbers):
        return rounded
    if name == "power" and numbers[1] < 0:
        return rounded
    return int(function(*(np.array(number, object) for number in numbers)))
