"""What is known of values before they are computed: their dtype, and between which numbers
integers lie. So integers never overflow, and stay exact where 64 bits hold them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

UNSIGNED = tuple(map(np.dtype, ("uint8", "uint16", "uint32", "uint64")))
SIGNED = tuple(map(np.dtype, ("int8", "int16", "int32", "int64")))

EXACT = 2**24
"""The largest integer up to which float32 holds all integers."""


EXACT_NUMBERS = 2**128
"""Up to where integers in the text are exact: bands of 64 bits are compared with them."""

LARGEST_POWER = 64
"""A power that 64 bits do not hold, but of 0 and 1."""


Span = tuple[float, float]

UNKNOWN: Span = (-math.inf, math.inf)
"""Where nothing tells between which numbers floats lie."""

SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
"""Between which numbers float32 has all its digits."""

SAFE_POWER = 4
"""The largest power in which float32 holds what 32 bits hold."""


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
    span : tuple of float
        Between which numbers floats lie, those included.
    """

    dtype: np.dtype[Any]
    low: int = 0
    high: int = 1
    masked: bool = True
    weak: bool = False
    span: Span = UNKNOWN

    @property
    def ends(self) -> Span:
        """Between which numbers they lie."""
        return (float(self.low), float(self.high)) if self.is_whole else self.span

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
    span = (float(value), float(value)) if math.isfinite(value) else UNKNOWN
    return Kind(np.dtype("float64"), masked=value != value, weak=True, span=span)


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
    small = small and all(_in_range_of_float32(kind.ends) for kind in kinds)
    dtype = np.dtype("float32" if deciding and small else "float64")
    low, high = zip(*(kind.ends for kind in kinds), strict=True)
    return Kind(dtype, weak=not deciding, span=(min(low), max(high)))


def within(kind: Kind, span: Span) -> Kind:
    """Give the kind of floats that lie between two numbers: float64 where float32 ends before."""
    fits = _in_range_of_float32(span)
    return replace(kind, dtype=kind.dtype if fits else np.dtype("float64"), span=span)


def _in_range_of_float32(span: Span) -> bool:
    """Tell whether float32 holds numbers of a span, none of them as infinite or all as 0."""
    most = max(map(abs, span))
    return most in (0, math.inf) or SMALLEST <= most <= LARGEST


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
    elif name == "power" and isinstance(exponent, int) and exponent >= 0:
        # those of 0 and 1 are no others, those of 2 are beyond 64 bits
        exponent = min(exponent, LARGEST_POWER + exponent % 2)
        corners = [a.low**exponent, a.high**exponent, *([0] if a.low < 0 < a.high else [])]
    else:
        return None
    return min(corners), max(corners)


def of_numbers(name: str, *numbers: float | int) -> float | int | None:
    """Compute with numbers of the text alone: integers exactly up to `EXACT_NUMBERS`, others as
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
    small = abs(rounded) < EXACT_NUMBERS and name not in ("divide", "sqrt", "exp", "log")
    if not small or any(not isinstance(number, int) for number in numbers):
        return rounded
    if name == "power" and numbers[1] < 0:
        return rounded
    return int(function(*(np.array(number, object) for number in numbers)))
