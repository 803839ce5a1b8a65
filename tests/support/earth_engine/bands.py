"""Bands: values and masks apart, as lists of rows of Python's numbers; and the dtypes that qmosaic
promises for results.

Earth Engine's own types are the unions of those of the inputs; qmosaic promises more: the smallest
dtype that holds every value that a result can have, with one more value where it can be masked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64")


@dataclass(frozen=True)
class Grid:
    """Where the centres of the pixels are."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def pixels(self) -> list[tuple[int, int]]:
        """Number the pixels, row by row."""
        return list(itertools.product(range(len(self.ys)), range(len(self.xs))))


HERE: list[Grid] = []
"""The grid of all images of a test: constants, too, have its pixels once their place matters."""


@dataclass
class Band:
    """Values, where they are valid, and the promised dtype: None where nothing is promised.

    Without a grid it is one number everywhere; `fixed` if that number was known when the script
    was written (a constant, no property). `nodata` is what an integer band has for "masked", None
    where it cannot be masked.
    """

    grid: Grid | None
    values: list[list[Any]]
    valid: list[list[bool]]
    dtype: np.dtype[Any] | None
    nodata: Any = None
    fixed: bool = False

    def at(self, y: int, x: int) -> Any:
        """Give the value of a pixel, None where it is masked."""
        if self.grid is None:
            y = x = 0
        return self.values[y][x] if self.valid[y][x] else None

    @property
    def kind(self) -> str:
        """Give the kind of its dtype: "f", "i", "u", or "?" where nothing is promised."""
        return "?" if self.dtype is None else self.dtype.kind

    @property
    def maskable(self) -> bool:
        """Tell whether it has a way to say "masked"."""
        return self.kind in "f?" or self.nodata is not None

    @property
    def range(self) -> tuple[int, int]:
        """Give the lowest and highest integer that it can hold."""
        if self.fixed:
            return self.values[0][0], self.values[0][0]
        limits = np.iinfo(self.dtype)
        return int(limits.min), int(limits.max)


def constant(number: Any, *, fixed: bool = True) -> Band:
    """Make a band that is a number everywhere."""
    if number is None:
        return Band(None, [[0]], [[False]], None)
    number = int(number) if isinstance(number, bool) else number
    dtype = np.dtype(float) if isinstance(number, float) else holding(number, number, False)[0]
    return Band(None, [[number]], [[True]], dtype if fixed else None, None, fixed)


def whole(grid: Grid, rows: list[list[Any]], dtype: np.dtype[Any] | None = None) -> Band:
    """Make a band without masked pixels."""
    return Band(grid, rows, [[True] * len(row) for row in rows], dtype)


def areas(grid: Grid) -> list[list[float]]:
    """Give the areas of pixels in degrees on the ellipsoid WGS 84, in square metres."""
    a, e2 = 6378137.0, 0.00669437999014
    e = math.sqrt(e2)

    def below(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return s / (2 * (1 - e2 * s * s)) + math.atanh(e * s) / (2 * e)

    wide, high = abs(grid.xs[1] - grid.xs[0]), abs(grid.ys[1] - grid.ys[0])
    rows = []
    for y in grid.ys:
        band = below(y + high / 2) - below(y - high / 2)
        rows.append([a * a * (1 - e2) * math.radians(wide) * band] * len(grid.xs))
    return rows


def pixelwise(
    function: Callable[..., Any],
    bands: Sequence[Band],
    dtype: Any,
    nodata: Any = None,
    *,
    masked_too: bool = False,
) -> Band:
    """Compute pixel by pixel, masked where one of the bands is or the function gives None.

    With `masked_too` the function is called for masked pixels as well, with None for them.
    """
    grid = next((band.grid for band in bands if band.grid is not None), None)
    fixed = grid is None and all(band.fixed for band in bands)
    rows, columns = (1, 1) if grid is None else (len(grid.ys), len(grid.xs))
    values: list[list[Any]] = [[0] * columns for _ in range(rows)]
    valid = [[False] * columns for _ in range(rows)]
    for y in range(rows):
        for x in range(columns):
            given = [band.at(y, x) for band in bands]
            if masked_too or all(value is not None for value in given):
                values[y][x], valid[y][x] = typed(called(function, given), dtype)
    return Band(grid, values, valid, dtype, nodata, fixed and valid[0][0])


def called(function: Callable[..., Any], given: list[Any]) -> Any:
    """Call it; what has no value (the root of -1) is masked."""
    try:
        return function(*given)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def typed(value: Any, dtype: np.dtype[Any] | None) -> tuple[Any, bool]:
    """Round a value to its dtype, and tell whether it is valid."""
    if value is None or isinstance(value, complex) or value != value:
        return 0, False
    value = int(value) if isinstance(value, bool) else value
    if dtype is not None and dtype.kind == "f":
        value = dtype.type(value).item()
    elif dtype is not None:
        limits = np.iinfo(dtype)
        assert value == int(value), f"{value} is promised as {dtype}"
        assert limits.min <= value <= limits.max, f"{value} is promised as {dtype}"
        value = int(value)
    return value, value == value


def holding(low: int, high: int, maskable: bool) -> tuple[np.dtype[Any], Any]:
    """Find the smallest integer dtype for a range, and what stands for masked beyond it."""
    for name in INTEGERS:
        dtype = np.dtype(name)
        limits = np.iinfo(dtype)
        least, most = int(limits.min), int(limits.max)
        if name != "int64" and (dtype.kind == "u") != (low >= 0):
            continue
        if maskable and dtype.kind == "u":
            most -= 1
        elif maskable:
            least += 1
        if least <= low and high <= most:
            return dtype, free(dtype) if maskable else None
    return np.dtype("int64"), free(np.dtype("int64")) if maskable else None


def free(dtype: np.dtype[Any]) -> int:
    """Give what stands for masked: the highest of an unsigned dtype, the lowest of a signed one."""
    limits = np.iinfo(dtype)
    return int(limits.max if dtype.kind == "u" else limits.min)


def real(bands: Sequence[Band]) -> np.dtype[Any] | None:
    """Find the float of a result: that of the bands where all are floats; numbers do not count."""
    counting = [band for band in bands if not band.fixed] or list(bands)
    if any(band.dtype is None for band in counting):
        return None
    if all(band.kind == "f" for band in counting):
        return np.result_type(*(band.dtype for band in counting))
    return np.dtype("float64")


def exact(bands: Sequence[Band], range_of: Callable[..., tuple[int, int]]) -> tuple[Any, Any]:
    """Find dtype and nodata of an integer result; of floats, the float."""
    if any(band.dtype is None for band in bands):
        return None, None
    if any(band.kind == "f" for band in bands):
        return real(bands), None
    low, high = range_of(*(band.range for band in bands))
    return holding(low, high, any(band.maskable for band in bands))


def truth(bands: Sequence[Band]) -> tuple[Any, Any]:
    """Give dtype and nodata of what is 0 or 1."""
    return holding(0, 1, any(band.maskable for band in bands))


def corners(function: Callable[[int, int], int]) -> Any:
    """Make the range of a function of two integers from those at the ends of their ranges."""

    def range_of(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        found = [function(x, y) for x in a for y in b]
        return min(found), max(found)

    return range_of


def any_of_both(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Give the range of what is one of two integers."""
    return min(*a, *b), max(*a, *b)


def of_remainders(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """Give the range of remainders: below the divisor, not above the dividend, with its sign."""
    below = max(abs(b[0]), abs(b[1]), 1)
    low = 0 if a[0] >= 0 else max(a[0], 1 - below)
    high = 0 if a[1] <= 0 else min(a[1], below - 1)
    return low, high


def remainder(a: Any, b: Any) -> Any:
    """Give what is left of a division, with the sign of what is divided; of integers by 0, 0."""
    if isinstance(a, float) or isinstance(b, float):
        return math.fmod(a, b)
    if b == 0:
        return 0
    left = abs(a) % abs(b)
    return left if a >= 0 else -left


def divided(a: Any, b: Any) -> float:
    """Divide; by 0 gives 0."""
    return 0.0 if b == 0 else a / b


def raised(a: Any, b: Any) -> Any:
    """Raise to a power; what is too large is infinite, and so is a power below 0 of 0."""
    if a == 0 and b < 0:
        return math.inf
    try:
        return float(a) ** float(b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 else math.inf


def exponential(a: Any) -> float:
    """Give e to a power; what is too large is infinite."""
    try:
        return math.exp(a)
    except OverflowError:
        return math.inf


def logarithm(a: Any) -> float:
    """Give the natural logarithm."""
    return -math.inf if a == 0 else math.log(a)


ARITHMETIC: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "mod": remainder,
    "min": min,
    "max": max,
    "firstNonZero": lambda a, b: a if a != 0 else b,
}
REAL: dict[str, Any] = {
    "divide": divided,
    "pow": raised,
    "atan2": lambda a, b: math.atan2(b, a),
    "hypot": math.hypot,
}
COMPARING: dict[str, Any] = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "And": lambda a, b: a != 0 and b != 0,
    "Or": lambda a, b: a != 0 or b != 0,
}
BITS: dict[str, Any] = {
    "bitwiseAnd": lambda a, b: a & b,
    "bitwiseOr": lambda a, b: a | b,
    "bitwiseXor": lambda a, b: a ^ b,
    "leftShift": lambda a, b: a << b,
    "rightShift": lambda a, b: a >> b,
}
UNARY: dict[str, Any] = {
    "sqrt": math.sqrt,
    "exp": exponential,
    "log": logarithm,
    "log10": lambda a: -math.inf if a == 0 else math.log10(a),
    "sin": math.sin,
    "cos": math.cos,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": lambda a: (exponential(a) - exponential(-a)) / 2,
    "cosh": lambda a: (exponential(a) + exponential(-a)) / 2,
    "tanh": math.tanh,
    "cbrt": lambda a: math.copysign(abs(a) ** (1 / 3), a),
}


def combine(name: str, a: Band, b: Band) -> Band:
    """Combine two bands by the name of a method."""
    pair = (a, b)
    if name in COMPARING:
        return pixelwise(COMPARING[name], pair, *truth(pair))
    if name in ARITHMETIC:
        function = ARITHMETIC[name]
        others = {"firstNonZero": any_of_both, "mod": of_remainders}
        ranges = others.get(name) or corners(function)
        return pixelwise(function, pair, *exact(pair, ranges))
    if name in REAL:
        return pixelwise(REAL[name], pair, real(pair))
    return pixelwise(BITS[name], pair, *exact(pair, RANGES[name]))


def _negative_or(own: Callable[..., tuple[int, int]]) -> Any:
    """Of signed integers any value that one of the two can have, else what is said."""

    def range_of(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        if a[0] < 0 or b[0] < 0:
            return min(a[0], b[0]), max(a[1], b[1])
        return own(a, b)

    return range_of


def _all_bits(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return 0, 2 ** max(a[1], b[1]).bit_length() - 1


RANGES: dict[str, Any] = {
    "bitwiseAnd": _negative_or(lambda a, b: (0, min(a[1], b[1]))),
    "bitwiseOr": _negative_or(_all_bits),
    "bitwiseXor": _negative_or(_all_bits),
    "leftShift": corners(lambda a, b: a << max(0, min(b, 63))),
    "rightShift": lambda a, b: (min(a[0], 0), max(a[1], 0)),
}


def change(name: str, band: Band) -> Band:
    """Change a band by the name of a method."""
    if name == "Not":
        return pixelwise(lambda a: a == 0, [band], *truth([band]))
    if name == "signum":
        return pixelwise(lambda a: (a > 0) - (a < 0), [band], None)
    if name == "bitwiseNot":
        low, high = band.range
        return pixelwise(lambda a: ~a, [band], *holding(~high, ~low, band.maskable))
    if name == "bitCount":
        return pixelwise(lambda a: bin(a % 2**64).count("1"), [band], None)
    if name == "abs":
        if band.kind in "f?":
            return pixelwise(abs, [band], band.dtype)
        low, high = band.range
        return pixelwise(abs, [band], *holding(0, max(-low, high), band.maskable))
    return pixelwise(UNARY[name], [band], real([band]))


def cast(band: Band, name: str) -> Band:
    """Cut to a dtype; what then is the value that stands for masked is the next one."""
    dtype = np.dtype(name)
    if dtype.kind == "f":
        return pixelwise(float, [band], dtype)
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    own = band.nodata is not None and low <= band.nodata <= high
    nodata = (band.nodata if own else free(dtype)) if band.maskable else None

    def cut(value: Any) -> Any:
        made = min(max(int(value), low), high)
        if made != nodata:
            return made
        return made - 1 if made > 0 else made + 1

    return pixelwise(cut, [band], dtype, nodata)


def with_mask(band: Band, mask: Band) -> Band:
    """Mask a band also where another is 0 or masked."""
    dtype, nodata = band.dtype, band.nodata
    if not band.maskable:
        dtype, nodata = holding(*band.range, True)
    return pixelwise(lambda value, test: value if test else None, [band, mask], dtype, nodata)


def mask_of(band: Band) -> Band:
    """Give 1 where a band is valid, else 0."""
    return pixelwise(lambda a: int(a is not None), [band], np.dtype("uint8"), masked_too=True)


def filled(band: Band, number: Any) -> Band:
    """Give masked pixels a number."""
    dtype = band.dtype
    if dtype is not None:
        other = constant(number)
        fits = dtype.kind in "iu" and other.kind in "iu"
        if not (fits and np.iinfo(dtype).min <= number <= np.iinfo(dtype).max):
            dtype = np.result_type(dtype, other.dtype)
    return pixelwise(lambda a: number if a is None else a, [band], dtype, masked_too=True)


def alike(bands: Sequence[Band]) -> tuple[Any, Any]:
    """Find one dtype and nodata for several bands."""
    first = bands[0]
    if any(band.dtype is None for band in bands):
        return None, None
    if all(band.dtype == first.dtype and band.nodata == first.nodata for band in bands):
        return first.dtype, first.nodata
    if any(band.kind == "f" for band in bands):
        return np.result_type(*(band.dtype for band in bands)), None
    if not any(band.maskable for band in bands):
        return None, None  # not promised: nothing has to be masked
    ranges = [band.range for band in bands]
    return holding(min(low for low, _ in ranges), max(high for _, high in ranges), True)


def filled_from(band: Band, other: Band) -> Band:
    """Give masked pixels what another band has there."""
    pair = (band, other)
    return pixelwise(lambda a, b: b if a is None else a, pair, *alike(pair), masked_too=True)


def replaced(band: Band, test: Band, other: Band) -> Band:
    """Give a band the value of another where a test is not 0; nothing where one is masked."""

    def chosen(own: Any, tested: Any, new: Any) -> Any:
        return new if None not in (own, tested, new) and tested != 0 else own

    dtype, nodata = band.dtype, band.nodata
    if dtype is None or other.dtype is None:
        dtype = nodata = None
    elif "f" in (band.kind, other.kind):
        dtype, nodata = real([band, other]), None
    else:
        (low, high), limits = other.range, np.iinfo(dtype)
        if low < limits.min or high > limits.max:
            dtype = np.result_type(dtype, other.dtype)
        if nodata is not None and low <= nodata <= high and nodata != other.nodata:
            own = band.range
            dtype, nodata = holding(min(low, own[0]), max(high, own[1]), True)
    return pixelwise(chosen, [band, test, other], dtype, nodata, masked_too=True)
