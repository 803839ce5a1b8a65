"""``ee.Algorithms``."""

from __future__ import annotations

import math
from typing import Any

from tests.support.earth_engine.bands import pixelwise
from tests.support.earth_engine.images import Image
from tests.support.earth_engine.values import plain


def is_true(value: Any) -> bool:
    """False are 0, NaN, None, and an empty text, list or dictionary."""
    value = plain(value)
    if isinstance(value, float) and math.isnan(value):
        return False
    return True if isinstance(value, Image) else bool(value)


class Landsat:
    """Scores of clouds."""

    @staticmethod
    def simpleCloudScore(image: Image) -> Image:
        """Add a band ``cloud`` from 0 to 100: bright, cold, and no snow.

        The lowest of: blue from 0.1 to 0.3; red, green and blue together from 0.2 to 0.8; near and
        short-wave infrared together from 0.3 to 0.8; the temperature from 300 down to 290 K;
        the index of snow from 0.8 down to 0.6.
        """
        names = ["B2", "B3", "B4", "B5", "B6", "B7", "B10"]

        def score(*given: float) -> int:
            blue, green, red, nir, swir1, swir2, warm = given
            total = green + swir1
            snow = (green - swir1) / total if total else 0
            lowest = 1.0
            for value, first, last in (
                (blue, 0.1, 0.3),
                (red + green + blue, 0.2, 0.8),
                (nir + swir1 + swir2, 0.3, 0.8),
                (warm, 300, 290),
                (snow, 0.8, 0.6),
            ):
                lowest = min(lowest, (value - first) / (last - first))
            return int(min(max(lowest, 0), 1) * 100)

        cloud = pixelwise(score, [image.bands[name] for name in names], None)
        return image.addBands(Image({"cloud": cloud}))


class Algorithms:
    """Functions that are methods of nothing."""

    Landsat = Landsat

    @staticmethod
    def If(condition: Any, trueCase: Any = None, falseCase: Any = None) -> Any:
        """Choose one of two."""
        return trueCase if is_true(condition) else falseCase
