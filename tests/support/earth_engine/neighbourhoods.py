"""Classes, neighbouring pixels and pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from tests.support.earth_engine.bands import Band, pixelwise
from tests.support.earth_engine.images import Image
from tests.support.earth_engine.reducers import SIMPLE
from tests.support.earth_engine.values import plain

SHAPES: dict[str, Callable[[int, int, float], bool]] = {
    "circle": lambda x, y, r: x * x + y * y <= r * r,
    "square": lambda x, y, r: True,
    "diamond": lambda x, y, r: abs(x) + abs(y) <= r,
    "plus": lambda x, y, r: x == 0 or y == 0,
    "cross": lambda x, y, r: abs(x) == abs(y),
}


class Kernel:
    """Which neighbours count."""

    def __init__(self, shape: str, radius: float) -> None:
        reach = range(-math.floor(radius), math.floor(radius) + 1)
        places = itertools.product(reach, reach)
        self.around = [(y, x) for y, x in places if SHAPES[shape](x, y, radius)]

    @staticmethod
    def circle(radius: Any, units: str = "pixels") -> Kernel:
        """Take those within a distance."""
        return Kernel("circle", plain(radius))

    @staticmethod
    def square(radius: Any, units: str = "pixels") -> Kernel:
        """Take those in a square."""
        return Kernel("square", plain(radius))


def around(band: Band, kernel: Kernel, function: Callable[..., Any], dtype: Any) -> Band:
    """Reduce the neighbours of each pixel; masked ones do not count."""
    assert band.grid is not None
    height, width = len(band.grid.ys), len(band.grid.xs)
    made = Band(band.grid, [], [], band.dtype if dtype == "same" else dtype, band.nodata)
    for y in range(height):
        found = []
        for x in range(width):
            places = [(y + dy, x + dx) for dy, dx in kernel.around]
            values = [band.at(*p) for p in places if 0 <= p[0] < height and 0 <= p[1] < width]
            values = [value for value in values if value is not None]
            found.append(function(values) if values else None)
        made.values.append([0 if one is None else one for one in found])
        made.valid.append([one is not None for one in found])
    return made


def reduceNeighborhood(self: Image, reducer: Any, kernel: Kernel, *_: Any) -> Image:
    """Reduce the neighbours of each pixel that is not masked."""
    made = {}
    for name, band in self.bands.items():
        for place, output in enumerate(reducer.outputs):

            def reduced(values: list[Any], place: int = place) -> Any:
                return reducer.function([[value] for value in values])[place]

            filled = around(band, kernel, reduced, None)
            made[f"{name}_{output}"] = pixelwise(lambda a, _: a, [filled, band], None)
    return self._with(made)


def focal(name: str, spelled: str) -> Any:
    """Make a method that reduces the neighbours of each pixel."""
    dtype = FOCAL[name]
    function = SIMPLE[name][0] if name in SIMPLE else {"max": max, "min": min}[name]

    def method(
        self: Image,
        radius: Any = 1.5,
        kernelType: str = "circle",
        units: str = "pixels",
        iterations: int = 1,
    ) -> Image:
        kernel = Kernel(kernelType, radius)
        for _ in range(iterations):
            self = self._each(lambda band: around(band, kernel, function, dtype))
        return self

    method.__name__ = spelled
    return method


def fastDistanceTransform(
    self: Image, neighborhood: Any = 256, units: str = "pixels", metric: str = "squared_euclidean"
) -> Image:
    """Give the squared distance to the nearest pixel that is not 0, by trying all."""
    (band,) = self.bands.values()
    assert band.grid is not None
    there = [p for p in band.grid.pixels() if band.at(*p)]
    rows = [
        [min((y - v) ** 2 + (x - w) ** 2 for v, w in there) for x in range(len(band.grid.xs))]
        for y in range(len(band.grid.ys))
    ]
    valid = [[True] * len(band.grid.xs) for _ in band.grid.ys]
    return self._with({"distance": Band(band.grid, rows, valid, None)})


def remap(
    self: Image, from_: Any, to: Any, defaultValue: Any = None, bandName: Any = None
) -> Image:
    """Replace values by others; what is not listed gets the default, or is masked."""
    band = next(iter(self.bands.values())) if bandName is None else self.bands[bandName]
    pairs = list(zip(plain(from_), plain(to), strict=True))
    default = plain(defaultValue)

    def replaced(value: Any) -> Any:
        return next((new for old, new in pairs if old == value), default)

    return self._with({"remapped": pixelwise(replaced, [band], None)})


def interpolate(self: Image, x: Any, y: Any, behavior: str = "extrapolate") -> Image:
    """Put values on the line through points."""
    xs, ys = plain(x), plain(y)

    def on_line(value: Any) -> Any:
        if not xs[0] <= value <= xs[-1] and behavior != "extrapolate":
            outside = ys[0] if value < xs[0] else ys[-1]
            return {"clamp": outside, "mask": None, "input": value}[behavior]
        place = next((i for i in range(1, len(xs) - 1) if value <= xs[i]), len(xs) - 1)
        slope = (ys[place] - ys[place - 1]) / (xs[place] - xs[place - 1])
        return ys[place - 1] + (value - xs[place - 1]) * slope

    return self._each(lambda band: pixelwise(on_line, [band], None))


def visualize(
    self: Image,
    bands: Any = None,
    *_: Any,
    min: Any = None,
    max: Any = None,
    palette: Any = None,
    forceRgbOutput: bool = False,
) -> Image:
    """Make colours from 0 to 255, masked where one of the bands is; of one band alone a grey."""
    low, high = plain(min), plain(max)
    chosen = list((self if bands is None else self.select(bands)).bands.values())
    colours = None
    if palette is not None:
        colours = [[int(c.strip("#")[i : i + 2], 16) for i in (0, 2, 4)] for c in palette]

    def channel(number: int) -> Callable[..., Any]:
        def level(*values: Any) -> float:
            share = (values[number if len(values) > 1 else 0] - low) / (high - low)
            share = 0 if share < 0 else 1 if share > 1 else share
            if colours is None:
                return math.floor(share * 255 + 0.5)
            place = share * (len(colours) - 1)
            below = math.floor(place) if place < len(colours) - 1 else len(colours) - 2
            a, b = colours[below][number], colours[below + 1][number]
            return math.floor(a + (place - below) * (b - a) + 0.5)

        return level

    grey = len(chosen) == 1 and colours is None and not forceRgbOutput
    names = ["gray"] if grey else ["red", "green", "blue"]
    return self._with(
        {f"vis-{name}": pixelwise(channel(i), chosen, None) for i, name in enumerate(names)}
    )


FOCAL = {"max": "same", "min": "same", "mode": "same", "mean": None, "median": None}
METHODS = (
    *(focal(name, f"focal_{name}") for name in FOCAL),
    *(focal(name, f"focal{name.capitalize()}") for name in FOCAL),
    reduceNeighborhood,
    fastDistanceTransform,
    remap,
    interpolate,
    visualize,
)
"""Methods of images."""
