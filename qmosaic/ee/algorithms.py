"""``ee.Algorithms``."""

from __future__ import annotations

import math
from typing import Any

from qmosaic.ee import pixels
from qmosaic.ee.images import Image
from qmosaic.ee.names import properties, property_in
from qmosaic.ee.properties import of_images
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import Computed, EachImage, known, lift, plain


class Algorithms(Hinting):
    """Functions that are methods of nothing.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Algorithms.If(ee.Number(3).gt(2), "more", "less"), ee.Algorithms.If([], 1, 2)
    ('more', 2)
    """

    _name = "ee.Algorithms"

    @staticmethod
    def If(condition: Any, trueCase: Any = None, falseCase: Any = None) -> Any:
        """Choose one of two values or images by a condition.

        It is false where it is 0, NaN, null (None), an empty text, list or dictionary. Inside
        `ImageCollection.map` the choice is made for each image,
        https://developers.google.com/earth-engine/apidocs/ee-algorithms-if
        """
        if not isinstance(condition, Computed):
            return trueCase if is_true(condition) else falseCase
        if isinstance(trueCase, Image) and isinstance(falseCase, Image):
            return _either_image(condition, trueCase, falseCase)
        if condition.images is None and not _are_values(trueCase, falseCase):
            return trueCase if is_true(known(condition)) else falseCase
        return lift(_either, condition, trueCase, falseCase)


def is_true(value: Any) -> bool:
    """Tell whether Earth Engine takes a value for true."""
    value = plain(value)
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, Image) or bool(value)


def _either(condition: Any, if_true: Any, if_false: Any) -> Any:
    return if_true if is_true(condition) else if_false


def _are_values(*given: Any) -> bool:
    return all(one is None or not hasattr(one, "dataset") for one in given)


def _either_image(condition: Computed, if_true: Image, if_false: Image) -> Image:
    """Choose one of two images for each image: band by band, property by property."""
    bands, others = if_true._bands(), if_false._bands()
    if list(bands) != list(others):
        if condition.images is None:
            return if_true if is_true(known(condition)) else if_false
        raise EachImage("ee.Algorithms.If() chooses between images with other bands")
    test = pixels.number(lift(_as_number, condition))
    made = if_true._with({n: pixels.choose(test, b, others[n]) for n, b in bands.items()}, if_false)
    return made.set({str(n): one for n, one in _either_property(condition, if_true, if_false)})


def _as_number(condition: Any) -> int:
    return int(is_true(condition))


def _either_property(condition: Computed, if_true: Image, if_false: Image) -> Any:
    for name in dict.fromkeys([*properties(if_true.dataset), *properties(if_false.dataset)]):
        pair = [property_in(one.dataset, str(name)) for one in (if_true, if_false)]
        a, b = pair
        if a is None or b is None or not a.variable.equals(b.variable):  # type: ignore[no-untyped-call]
            values = [None if one is None else of_images(one) for one in pair]
            yield name, lift(_either, condition, *values)
