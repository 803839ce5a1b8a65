"""Arithmetic on images, comparisons, choices by a test."""

from __future__ import annotations

from typing import Any, Self

from qmosaic.ee import pixels
from qmosaic.ee.images.base import Bands, as_many
from qmosaic.ee.images.making import binary, unary
from qmosaic.scores import normalized_difference


class Arithmetic(Bands):
    """Functions of one image or two, pixel by pixel."""

    add = binary("add", "Add an image or a number", 17)
    subtract = binary("subtract", "Subtract an image or a number", 7)
    multiply = binary("multiply", "Multiply by an image or a number", 60)
    divide = binary("divide", "Divide by an image or a number; a division by 0 gives 0", 2.4)
    pow = binary("pow", "Raise to the power of an image or a number", 248832.0)
    mod = binary(
        "mod",
        "Give the remainder of the division by an image or a number, with the sign of the first",
        2,
    )
    min = binary(
        "min", "Give the smaller of the values of two images, or of an image and a number", 5
    )
    max = binary(
        "max", "Give the larger of the values of two images, or of an image and a number", 12
    )
    first = binary("first", "Give the first value, where both are valid", 12)
    firstNonZero = binary("firstNonZero", "Give the first value, or the second where that is 0", 12)
    hypot = binary("hypot", "Give the length of the vector (x, y) of two values", 13.0)
    atan2 = binary(
        "atan2",
        "Give the angle of the vector (x, y) of two values, in radians: the first is x",
        0.39479111969976155,
    )
    eq = binary(
        "eq", "Give 1 where the value is equal to that of an image, or to a number, else 0", 0
    )
    neq = binary(
        "neq", "Give 1 where the value is not equal to that of an image, or to a number, else 0", 1
    )
    lt = binary(
        "lt", "Give 1 where the value is less than that of an image, or a number, else 0", 0
    )
    lte = binary(
        "lte",
        "Give 1 where the value is less than or equal to that of an image, or a number, else 0",
        0,
    )
    gt = binary(
        "gt", "Give 1 where the value is greater than that of an image, or a number, else 0", 1
    )
    gte = binary(
        "gte", "Give 1 where the value is at least that of an image, or a number, else 0", 1
    )
    And = binary("And", "Give 1 where both values are not 0, else 0", 1)
    Or = binary("Or", "Give 1 where one of the values is not 0, else 0", 1)
    bitwiseAnd = binary("bitwiseAnd", "Give the bits that are set in both integers", 4)
    bitwiseOr = binary("bitwiseOr", "Give the bits that are set in one of the integers", 13)
    bitwiseXor = binary(
        "bitwiseXor", "Give the bits that are set in exactly one of the integers", 9
    )
    leftShift = binary(
        "leftShift", "Shift the bits of integers to the left by an image or a number", 384
    )
    rightShift = binary(
        "rightShift", "Shift the bits of integers to the right by an image or a number", 0
    )
    sqrt = unary("sqrt", "Give the square root", 2.25, 1.5)
    exp = unary("exp", "Give e to the power of each value", 0, 1.0)
    log = unary("log", "Give the natural logarithm", 1, 0.0)
    log10 = unary("log10", "Give the logarithm to base 10", 100, 2.0)
    cbrt = unary("cbrt", "Give the cubic root", 27, 3.0)
    sin = unary("sin", "Give the sine of an angle in radians", 0, 0.0)
    cos = unary("cos", "Give the cosine of an angle in radians", 0, 1.0)
    tan = unary("tan", "Give the tangent of an angle in radians", 0, 0.0)
    asin = unary("asin", "Give the angle of a sine, in radians", 0, 0.0)
    acos = unary("acos", "Give the angle of a cosine, in radians", 1, 0.0)
    atan = unary("atan", "Give the angle of a tangent, in radians", 0, 0.0)
    sinh = unary("sinh", "Give the hyperbolic sine", 0, 0.0)
    cosh = unary("cosh", "Give the hyperbolic cosine", 0, 1.0)
    tanh = unary("tanh", "Give the hyperbolic tangent", 0, 0.0)
    floor = unary("floor", "Round down to a whole number", 2.5, 2.0)
    ceil = unary("ceil", "Round up to a whole number", 2.5, 3.0)
    round = unary("round", "Round to the nearest whole number, of a half to the even one", 2.6, 3.0)

    def normalizedDifference(self, bandNames: Any = None) -> Self:
        """Compute ``(a - b) / (a + b)`` of two bands, as "nd"; masked where one is negative."""
        names = self._names()[:2] if bandNames is None else list(bandNames)
        if len(names) != 2:
            raise ValueError(
                f"ee.Image.normalizedDifference() takes two bands, and got {len(names)}. Write "
                "normalizedDifference(['B8', 'B4'])."
            )
        own = self._bands()
        a, b = (own[self._find(name)[0]] for name in names)
        index = normalized_difference(a, b)
        for band in (a, b):
            if band.dtype.kind in "if":
                index = pixels.update_mask(index, pixels.combine("gte", band, 0))
        return self._with({"nd": index})

    def Not(self) -> Self:
        """Give 1 where the value is 0, and 0 elsewhere."""
        return self._changed(lambda band: pixels.change("Not", band))

    def abs(self) -> Self:
        """Give the absolute values."""
        return self._changed(lambda band: pixels.change("abs", band))

    def signum(self) -> Self:
        """Give 1 where the value is above 0, -1 where it is below, else 0."""
        return self._changed(lambda band: pixels.change("signum", band))

    def bitwiseNot(self) -> Self:
        """Turn the bits of integers round: ``-x - 1``, in the smallest integer that holds it."""
        return self._changed(lambda band: pixels.change("bitwiseNot", band))

    def bitCount(self) -> Self:
        """Count the bits that are set in integers, in their two's complement of 64 bits."""
        return self._changed(lambda band: pixels.change("bitCount", band))

    def where(self, test: Any, value: Any) -> Self:
        """Give each band the value of another image, or a number, where `test` is not 0.

        Pixels keep their value where the image, the test or the value is masked,
        https://developers.google.com/earth-engine/apidocs/ee-image-where
        """
        self, tests = self._aligned(self._as_image(test))
        self, values = self._aligned(self._as_image(value))
        tests, values = tests._aligned(values)  # either may have been clipped
        self, tests = self._aligned(tests)
        own, conditions, others = (one._bands() for one in (self, tests, values))
        count = len(own)
        if not own or not conditions or not others:
            return self._lacking_bands(tests, values)
        if len(conditions) not in (1, count) or len(others) not in (1, count):
            raise ValueError(
                f"ee.Image.where() got a test of {len(conditions)} and a value of {len(others)} "
                f"bands for an image of {count}: give one band, or as many. Select "
                "the bands first."
            )
        made = zip(own.items(), as_many(conditions, count), as_many(others, count), strict=True)
        grid = tests if tests.dataset.sizes else values
        return self._with({name: pixels.where(band, t, v) for (name, band), t, v in made}, grid)

    def unitScale(self, low: float, high: float) -> Self:
        """Scale linearly, so that `low` becomes 0 and `high` becomes 1."""
        scaled: Self = self.subtract(low).divide(high - low)
        return scaled

    def clamp(self, low: float, high: float) -> Self:
        """Limit values to a range: below it they become `low`, above it `high`."""
        clamped: Self = self.max(low).min(high)
        return clamped
