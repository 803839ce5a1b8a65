"""``ee.Number``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qmosaic.ee.values.computed import Value
from qmosaic.ee.values.texts import String


def _function(name: str, text: str, function: Callable[..., float], shown: str) -> Any:
    """Make a method of a number from a function of numbers."""

    def method(self: Any, *others: float) -> Number:
        return Number(function(float(self), *map(float, others)))

    method.__name__, method.__qualname__ = name, f"Number.{name}"
    method.__doc__ = f"{text}: {shown}."
    return method


def _whole(function: Callable[..., int]) -> Callable[..., float]:
    return lambda *numbers: function(*map(int, numbers))


class Number(Value, float, of=(int, float, bool)):
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

    add = _function("add", "Add a number", lambda a, b: a + b, "``7 + 2`` is 9")
    subtract = _function("subtract", "Subtract a number", lambda a, b: a - b, "``7 - 2`` is 5")
    multiply = _function("multiply", "Multiply by a number", lambda a, b: a * b, "``7 * 2`` is 14")
    divide = _function(
        "divide",
        "Divide by a number",
        lambda a, b: a / b if b else math.nan if a == 0 else math.copysign(math.inf, a),
        "``7 / 2`` is 3.5, ``7 / 0`` infinity",
    )
    mod = _function(
        "mod", "Give the remainder of a division", math.fmod, "it has the sign of this number"
    )
    pow = _function("pow", "Raise it to a power", lambda a, b: a**b, "7 to the power of 2 is 49")
    min = _function("min", "Give the smaller of two numbers", min, "of 7 and 4 it is 4")
    max = _function("max", "Give the larger of two numbers", max, "of 7 and 4 it is 7")
    hypot = _function("hypot", "Give the length of a diagonal", math.hypot, "of 3 and 4 it is 5")
    atan2 = _function(
        "atan2",
        "Give the angle of a vector in radians",
        lambda x, y: math.atan2(y, x),
        "this number is x, the other y",
    )
    floor = _function("floor", "Round it down to a whole number", math.floor, "3.5 becomes 3")
    ceil = _function("ceil", "Round it up to a whole number", math.ceil, "3.5 becomes 4")
    round = _function(
        "round",
        "Round it to the nearest whole number",
        lambda a: math.copysign(math.floor(abs(a) + 0.5), a),
        "a half goes away from 0",
    )
    abs = _function("abs", "Give its absolute value", abs, "of -7 it is 7")
    signum = _function("signum", "Give its sign", lambda a: (a > 0) - (a < 0), "-1, 0 or 1")
    sqrt = _function("sqrt", "Give its square root", math.sqrt, "of 49 it is 7")
    cbrt = _function("cbrt", "Give its cubic root", math.cbrt, "of 27 it is 3")
    exp = _function("exp", "Give e to its power", math.exp, "of 0 it is 1")
    log = _function("log", "Give its natural logarithm", math.log, "of 1 it is 0")
    log10 = _function("log10", "Give its logarithm to base 10", math.log10, "of 100 it is 2")
    sin = _function("sin", "Give its sine", math.sin, "it is an angle in radians")
    cos = _function("cos", "Give its cosine", math.cos, "it is an angle in radians")
    tan = _function("tan", "Give its tangent", math.tan, "it is an angle in radians")
    asin = _function("asin", "Give its arc sine", math.asin, "an angle in radians")
    acos = _function("acos", "Give its arc cosine", math.acos, "an angle in radians")
    atan = _function("atan", "Give its arc tangent", math.atan, "an angle in radians")
    eq = _function("eq", "Compare it with a number", lambda a, b: a == b, "1 if equal, else 0")
    neq = _function("neq", "Compare it with a number", lambda a, b: a != b, "0 if equal, else 1")
    lt = _function("lt", "Compare it with a number", lambda a, b: a < b, "1 if it is less, else 0")
    lte = _function(
        "lte", "Compare it with a number", lambda a, b: a <= b, "1 if it is less or equal, else 0"
    )
    gt = _function(
        "gt", "Compare it with a number", lambda a, b: a > b, "1 if it is greater, else 0"
    )
    gte = _function(
        "gte",
        "Compare it with a number",
        lambda a, b: a >= b,
        "1 if it is greater or equal, else 0",
    )
    And = _function(
        "And", "Tell whether both are not 0", lambda a, b: bool(a and b), "1 if so, else 0"
    )
    Or = _function(
        "Or", "Tell whether one of them is not 0", lambda a, b: bool(a or b), "1 if so, else 0"
    )
    Not = _function("Not", "Tell whether it is 0", lambda a: not a, "1 if so, else 0")
    bitwiseAnd = _function(
        "bitwiseAnd", "Give the bits of both", _whole(lambda a, b: a & b), "of 12 and 5 it is 4"
    )
    bitwiseOr = _function(
        "bitwiseOr", "Give the bits of either", _whole(lambda a, b: a | b), "of 12 and 5 it is 13"
    )
    leftShift = _function(
        "leftShift", "Shift its bits to the left", _whole(lambda a, b: a << b), "of 1 by 3 it is 8"
    )
    rightShift = _function(
        "rightShift",
        "Shift its bits to the right",
        _whole(lambda a, b: a >> b),
        "of 8 by 3 it is 1",
    )
    first = _function("first", "Give this number", lambda a, b: a, "the other is left out")

    def clamp(self, min: float, max: float) -> Number:
        """Limit it to a range."""
        return Number(float(min) if self < min else float(max) if self > max else self)

    def unitScale(self, min: float, max: float) -> Number:
        """Scale it linearly, so that `min` becomes 0 and `max` becomes 1."""
        return Number((self - min) / (max - min))

    toFloat = toDouble = float = double = _function(
        "toFloat", "Give it as a fraction", lambda a: a, "it is the same number"
    )
    toInt = toLong = toInt32 = toInt64 = toShort = toInt16 = toByte = toUint8 = _function(
        "toInt", "Cut off its fraction", math.trunc, "3.7 becomes 3, -3.7 becomes -3"
    )
    long = short = byte = int8 = int16 = int32 = int64 = uint8 = uint16 = uint32 = toInt
    int = toInt
