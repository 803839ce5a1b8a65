"""Methods that are made from a table: one for each function of pixels."""

from __future__ import annotations

from typing import Any

from qmosaic.ee import pixels
from qmosaic.ee.unsupported import Hinting


def example(call: str, result: Any) -> str:
    """Write the example of a method that is made like many others."""
    return (
        f"\n\nExamples\n--------\n>>> from qmosaic import ee\n"
        f">>> {call}.dataset['constant'].item()\n{result!r}\n"
    )


def named(method: Any, name: str, text: str, call: str, result: Any) -> Any:
    method.__name__, method.__doc__ = name, text + example(call, result)
    return method


def binary(name: str, text: str, result: Any) -> Any:
    """Make a method that combines an image with another one; `result` is that of 12 and 5."""

    def method(self: Any, image2: Any) -> Any:
        # called on the class, Image.subtract(1, image), the first one may be a number
        first = self if isinstance(self, Hinting) else image2._as_image(self)
        return first._combined(name, image2)

    return named(method, name, f"{text}.\n\n{PAIRED}", f"ee.Image(12).{name}(5)", result)


def unary(name: str, text: str, value: Any, result: Any) -> Any:
    """Make a method that changes each value; `result` is that of `value`."""

    def method(self: Any) -> Any:
        return self._changed(lambda band: pixels.change(name, band))

    return named(method, name, f"{text}: float.", f"ee.Image({value}).{name}()", result)


def cast(name: str, dtype: str, result: Any) -> Any:
    """Make a method that changes the dtype; `result` is that of 300.5."""

    def method(self: Any) -> Any:
        return self._changed(lambda band: pixels.cast(band, dtype))

    whole = f"Cast all bands to {dtype}; fractions and what is out of range are cut off.\n\n{CUT}"
    text = f"Cast all bands to {dtype}." if "float" in dtype else whole
    return named(method, name, text, f"ee.Image(300.5).{name}()", result)


PAIRED = """Band by band; an image of one band is combined with all bands of the other. A pixel is
masked where it is masked in one of the two."""

CUT = """Values beyond the range of the dtype become its lowest or highest. Of a band that can be
masked, one value of the dtype stands for masked: the nodata that it has already where that fits,
else the highest of an unsigned dtype, the lowest of a signed one. Valid pixels stay valid: one
that would get that value gets the next, 254 instead of 255."""
