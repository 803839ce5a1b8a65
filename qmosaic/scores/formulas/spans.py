"""Between which numbers the results of arithmetic lie, as far as the operands tell.

A span is a pair of floats, those included; an end that is not known is infinite. An end of a result
that is infinite although those of the operands are not is more than a float holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from qmosaic.scores.formulas.kinds import Kind, Span


def span_of(name: str, *kinds: Kind) -> Span | None:
    """Say between which numbers the results of a step lie that has these operands; None where
    they do not tell."""
    found = SPANS[name](*kinds)
    # inf - inf, 0 * inf
    return None if found is None or any(map(math.isnan, found)) else found


def overflows(span: Span, *kinds: Kind) -> bool:
    """Tell whether a result of such operands can be more than a float holds."""
    ends = [end for kind in kinds for end in kind.ends]
    return all(map(math.isfinite, ends)) and not all(map(math.isfinite, span))


def _hull(numbers: Iterable[float]) -> Span | None:
    found = list(numbers)
    return None if not found or any(n != n for n in found) else (min(found), max(found))


def _corners(function: Callable[[float, float], float], a: Span, b: Iterable[float]) -> Span | None:
    return _hull(function(x, y) for y in b for x in a)


def _divide(a: Kind, b: Kind) -> Span | None:
    """The divisors that are nearest to 0 give the most; dividing by 0 itself masks a pixel."""
    low, high = b.ends
    if b.is_whole:
        nearest = [float(n) for n in (low, high, -1, 1) if n and low <= n <= high]
        return _corners(lambda x, y: x / y, a.ends, nearest)
    return None if low <= 0 <= high else _corners(lambda x, y: x / y, a.ends, b.ends)


def _power(a: Kind, b: Kind) -> Span | None:
    (low, high), (first, last) = a.ends, b.ends
    if first == last and first == int(first) and first >= 0:
        through_0 = [0.0] if low < 0 < high else []
        return _hull([_raised(low, first), _raised(high, first), *through_0])
    if a.is_whole:  # 1 / x is no more than 1
        most = _raised(max(1.0, abs(low), abs(high)), max(0.0, last))
        return (0.0 if low >= 0 else -most), most
    if low > 0:
        return _corners(_raised, a.ends, b.ends)
    if low == 0 and first >= 0:
        return 0.0, _raised(max(1.0, high), last)
    return None


def _raised(x: float, y: float) -> float:
    try:
        return float(x**y)
    except OverflowError:
        return math.inf


def _exp(a: Kind) -> Span:
    low, high = (_raised(math.e, x) for x in a.ends)
    return low, high


def _log(a: Kind) -> Span | None:
    low, high = a.ends
    low = max(low, 1.0) if a.is_whole else low  # the logarithm of 0 masks a pixel
    return None if low <= 0 or high < low else (math.log(low), math.log(high))


def _abs(a: Kind) -> Span:
    low, high = a.ends
    return max(0.0, low, -high), max(abs(low), abs(high))


def _chosen(choose: Callable[[float, float], float]) -> Callable[[Kind, Kind], Span]:
    return lambda a, b: (choose(a.ends[0], b.ends[0]), choose(a.ends[1], b.ends[1]))


SPANS: dict[str, Callable[..., Span | None]] = {
    "add": lambda a, b: (a.ends[0] + b.ends[0], a.ends[1] + b.ends[1]),
    "subtract": lambda a, b: (a.ends[0] - b.ends[1], a.ends[1] - b.ends[0]),
    "multiply": lambda a, b: _corners(lambda x, y: x * y, a.ends, b.ends),
    "divide": _divide,
    "power": _power,
    "sqrt": lambda a: (0.0, math.sqrt(max(0.0, a.ends[1]))),
    "exp": _exp,
    "log": _log,
    "negative": lambda a: (-a.ends[1], -a.ends[0]),
    "abs": _abs,
    "minimum": _chosen(min),
    "maximum": _chosen(max),
}
"""By the name of a step: the span of its results; None where it is not known."""
