"""``ee.Number``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qmosaic.ee.values.computed import Value
from qmosaic.ee.values.texts import String


def _function(
    name: str, text: str, function: Callable[..., float], given: tuple[float, ...], result: float
) -> Any:
    """Make a method of a number from a function of numbers; its example is of the given ones."""

    def method(self: Any, *others: float) -> Number:
        try:
            return Number(function(float(self), *map(float, others)))
        except ValueError:  # the root of a number below 0, the remainder of a division by 0
            return Number(math.nan)
        except OverflowError:
            return Number(math.inf)

    own, *others = given
    method.__name__, method.__qualname__ = name, f"Number.{name}"
    method.__doc__ = (
        f"{text}.\n\nExamples\n--------\n>>> from qmosaic import ee\n"
        f">>> ee.Number({own}).{name}({', '.join(map(repr, others))})\n{result!r}\n"
    )
    return method


def _divided(a: float, b: float) -> float:
    return a / b if b else math.nan if a == 0 else math.copysign(math.inf, a)


def _rounded(a: float) -> float:
    return math.copysign(math.floor(abs(a) + 0.5), a)


def _whole(function: Callable[..., int]) -> Callable[..., float]:
    return lambda *numbers: function(*map(int, numbers))


def _to_whole(name: str) -> Any:
    """Make a method that cuts off the fraction."""
    return _function(name, "Cut off its fraction", math.trunc, (-3.7,), -3)


def _to_fraction(name: str) -> Any:
    """Make a method that leaves a number as it is."""
    return _function(name, "Give it as a fraction: the same number", lambda a: a, (3.5,), 3.5)


class Number(Value, float, of=(int, float)):
    """A number; ``getInfo()`` gives an int or a float.

    Inside `ImageCollection.map` a number of an image is one for each image.

    Examples
    --------
    >>> from qmosaic import ee
    >>> seven = ee.Number(7)
    >>> seven.add(2), seven.subtract(2), seven.multiply(2), seven.divide(2), seven.pow(2)
    (9, 5, 14, 3.5, 49)
    >>> seven.mod(4), seven.min(4), seven.max(4), seven.clamp(0, 5), seven.multiply(-1).abs()
    (3, 4, 7, 5, 7)
    >>> half = seven.divide(2)
    >>> half.floor(), half.ceil(), half.round(), half.int(), half.unitScale(3, 5)
    (3, 4, 4, 3, 0.25)
    >>> seven.eq(7), seven.neq(7), seven.lt(7), seven.lte(7), seven.gt(7), seven.gte(7)
    (1, 0, 0, 1, 0, 1)
    >>> seven.getInfo(), seven.divide(3).format("%.2f"), ee.Number.parse("0x1f", 16)
    (7, '2.33', 31)
    """

    _name = "ee.Number"

    def __new__(cls, number: Any) -> Number:
        """Take a number; a text or a list is none."""
        if isinstance(number, str) or (
            not isinstance(number, float | int) and not hasattr(number, "__float__")
        ):
            raise TypeError(
                f"ee.Number() got a {type(number).__name__}, {str(number)[:40]!r}; it takes a "
                "number, or a computed value that is one. Of a text: ee.Number.parse(text)."
            )
        return float.__new__(cls, number)

    def getInfo(self) -> int | float:
        """Give an int if it is whole, else a float."""
        return int(self) if self.is_integer() else float(self)

    def __repr__(self) -> str:
        return repr(self.getInfo())

    __str__ = __repr__

    @staticmethod
    def parse(input: str, radix: float = 10) -> Number:
        """Read a number from a text; with another radix than 10, a whole one."""
        try:
            return Number(float(input) if radix == 10 else int(str(input), int(radix)))
        except ValueError as error:
            raise ValueError(
                f"ee.Number.parse({str(input)!r}): the text is no number. Cut out what is one "
                "first: ee.String(text).slice(start, end)."
            ) from error

    def format(self, pattern: str = "%s") -> String:
        """Format it as C and Java do, for instance ``"%.2f"`` or ``"%02d"``."""
        return String(pattern % self.getInfo())

    add = _function("add", "Add a number", lambda a, b: a + b, (7, 2), 9)
    subtract = _function("subtract", "Subtract a number", lambda a, b: a - b, (7, 2), 5)
    multiply = _function("multiply", "Multiply by a number", lambda a, b: a * b, (7, 2), 14)
    divide = _function("divide", "Divide by a number; by 0 it is infinite", _divided, (7, 2), 3.5)
    mod = _function(
        "mod",
        "Give the remainder of a division, with the sign of this number",
        math.fmod,
        (7, 4),
        3,
    )
    pow = _function("pow", "Raise it to a power", math.pow, (7, 2), 49)
    min = _function("min", "Give the smaller of two numbers", min, (7, 4), 4)
    max = _function("max", "Give the larger of two numbers", max, (7, 4), 7)
    hypot = _function(
        "hypot", "Give the length of the diagonal of a rectangle", math.hypot, (3, 4), 5
    )
    atan2 = _function(
        "atan2",
        "Give the angle of a vector in radians; this number is x, the other one y",
        lambda x, y: math.atan2(y, x),
        (1, 0),
        0,
    )
    floor = _function("floor", "Round it down to a whole number", math.floor, (3.5,), 3)
    ceil = _function("ceil", "Round it up to a whole number", math.ceil, (3.5,), 4)
    round = _function(
        "round",
        "Round it to the nearest whole number; a half goes away from 0",
        _rounded,
        (-3.5,),
        -4,
    )
    abs = _function("abs", "Give its absolute value", abs, (-7,), 7)
    signum = _function(
        "signum", "Give its sign: -1, 0 or 1", lambda a: (a > 0) - (a < 0), (-7,), -1
    )
    sqrt = _function("sqrt", "Give its square root", math.sqrt, (49,), 7)
    cbrt = _function("cbrt", "Give its cubic root", math.cbrt, (8,), 2)
    exp = _function("exp", "Give e to its power", math.exp, (0,), 1)
    log = _function("log", "Give its natural logarithm", math.log, (1,), 0)
    log10 = _function("log10", "Give its logarithm to base 10", math.log10, (100,), 2)
    sin = _function("sin", "Give the sine of an angle in radians", math.sin, (0,), 0)
    cos = _function("cos", "Give the cosine of an angle in radians", math.cos, (0,), 1)
    tan = _function("tan", "Give the tangent of an angle in radians", math.tan, (0,), 0)
    asin = _function("asin", "Give the arc sine in radians", math.asin, (0,), 0)
    acos = _function("acos", "Give the arc cosine in radians", math.acos, (1,), 0)
    atan = _function("atan", "Give the arc tangent in radians", math.atan, (0,), 0)
    eq = _function(
        "eq", "Give 1 if it is equal to a number, else 0", lambda a, b: a == b, (7, 7), 1
    )
    neq = _function(
        "neq", "Give 1 if it is not equal to a number, else 0", lambda a, b: a != b, (7, 7), 0
    )
    lt = _function(
        "lt", "Give 1 if it is less than a number, else 0", lambda a, b: a < b, (7, 7), 0
    )
    lte = _function(
        "lte",
        "Give 1 if it is less than or equal to a number, else 0",
        lambda a, b: a <= b,
        (7, 7),
        1,
    )
    gt = _function(
        "gt", "Give 1 if it is greater than a number, else 0", lambda a, b: a > b, (7, 7), 0
    )
    gte = _function(
        "gte",
        "Give 1 if it is greater than or equal to a number, else 0",
        lambda a, b: a >= b,
        (7, 7),
        1,
    )
    And = _function(
        "And", "Give 1 if both are not 0, else 0", lambda a, b: bool(a and b), (7, 0), 0
    )
    Or = _function(
        "Or", "Give 1 if one of them is not 0, else 0", lambda a, b: bool(a or b), (7, 0), 1
    )
    Not = _function("Not", "Give 1 if it is 0, else 0", lambda a: not a, (7,), 0)
    bitwiseAnd = _function(
        "bitwiseAnd", "Give the bits that are set in both", _whole(lambda a, b: a & b), (12, 5), 4
    )
    bitwiseOr = _function(
        "bitwiseOr",
        "Give the bits that are set in one of them",
        _whole(lambda a, b: a | b),
        (12, 5),
        13,
    )
    bitwiseXor = _function(
        "bitwiseXor",
        "Give the bits that are set in exactly one of them",
        _whole(lambda a, b: a ^ b),
        (12, 5),
        9,
    )
    leftShift = _function(
        "leftShift", "Shift its bits to the left", _whole(lambda a, b: a << b), (1, 3), 8
    )
    rightShift = _function(
        "rightShift", "Shift its bits to the right", _whole(lambda a, b: a >> b), (8, 3), 1
    )
    first = _function(
        "first", "Give this number, and leave out the other", lambda a, b: a, (7, 2), 7
    )

    def clamp(self, min: float, max: float) -> Number:
        """Limit it to a range."""
        return Number(float(min) if self < min else float(max) if self > max else self)

    def unitScale(self, min: float, max: float) -> Number:
        """Scale it linearly, so that `min` becomes 0 and `max` becomes 1."""
        return Number((self - min) / (max - min))

    toFloat = _to_fraction("toFloat")
    toDouble = _to_fraction("toDouble")
    double = _to_fraction("double")
    float = _to_fraction("float")
    toInt = _to_whole("toInt")
    toLong = _to_whole("toLong")
    toShort = _to_whole("toShort")
    toByte = _to_whole("toByte")
    toInt8 = _to_whole("toInt8")
    toInt16 = _to_whole("toInt16")
    toInt32 = _to_whole("toInt32")
    toInt64 = _to_whole("toInt64")
    toUint8 = _to_whole("toUint8")
    toUint16 = _to_whole("toUint16")
    toUint32 = _to_whole("toUint32")
    long = _to_whole("long")
    short = _to_whole("short")
    byte = _to_whole("byte")
    int8 = _to_whole("int8")
    int16 = _to_whole("int16")
    int32 = _to_whole("int32")
    int64 = _to_whole("int64")
    uint8 = _to_whole("uint8")
    uint16 = _to_whole("uint16")
    uint32 = _to_whole("uint32")
    int = _to_whole("int")


class Boolean(Number, of=(bool,)):
    """True or False, what ``contains`` and ``equals`` give; as a number 1 or 0.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.List([1]).contains(1).getInfo(), ee.List([1]).contains(1).add(1)
    (True, 2)
    """

    _name = "ee.Boolean"

    def getInfo(self) -> bool:
        """Give a bool."""
        return bool(self)
