"""``ee.Kernel``: which pixels around a pixel are its neighbourhood."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.ee.unsupported import Hinting
from qmosaic.ee.values import known

Inside = Callable[[Array, Array], Array]
"""Takes how far pixels are down and across, in the unit of the kernel; tells which are inside."""

NEARLY = 1 + 1e-6
"""Sizes of pixels, which come from coordinates, are not exact."""


class Kernel(Hinting):
    """A neighbourhood: the pixels whose centres lie in a shape around a pixel. All weigh the same.

    Parameters
    ----------
    inside : callable
        Tells which pixels belong to it, by how far they are away down and across.
    reach : (float, float)
        How far it goes down and across.
    units : {"pixels", "meters"}
        The unit of both.
    metric : str, optional
        Of a kernel of distances, for `Image.distance`: how they are measured.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Kernel.plus(1).footprint().astype(int)
    array([[0, 1, 0],
           [1, 1, 1],
           [0, 1, 0]])
    >>> ee.Kernel.square(15, "meters").footprint((10, 10)).shape
    (3, 3)
    >>> [int(kernel.footprint().sum()) for kernel in (ee.Kernel.circle(2), ee.Kernel.diamond(2))]
    [13, 13]
    >>> [int(k.footprint().sum()) for k in (ee.Kernel.cross(2), ee.Kernel.rectangle(2, 1))]
    [9, 15]
    >>> kernels = ee.Kernel.euclidean(60, "meters"), ee.Kernel.manhattan(2), ee.Kernel.chebyshev(2)
    >>> [(kernel.metric, kernel.reach[0]) for kernel in kernels]
    [('euclidean', 60.0), ('manhattan', 2.0), ('chebyshev', 2.0)]
    """

    _name = "ee.Kernel"

    def __init__(
        self, inside: Inside, reach: tuple[float, float], units: str, metric: str | None = None
    ) -> None:
        if units not in ("pixels", "meters"):
            raise ValueError(
                f"ee.Kernel got units={units!r}, and a radius is one of pixels or metres. Write "
                "units='pixels' or units='meters'."
            )
        if not min(reach) >= 0 or not math.isfinite(max(reach)):
            raise ValueError(
                f"ee.Kernel got a radius of {min(reach)!r}; it has to be a number, 0 or more. "
                "Write 1.5, for instance, for a pixel and the eight around it."
            )
        self.inside, self.reach, self.units, self.metric = inside, reach, units, metric

    def footprint(self, sizes: tuple[float, float] = (1.0, 1.0)) -> Array:
        """Tell which pixels of a window belong to it: bools, the pixel itself in the middle.

        Parameters
        ----------
        sizes : (float, float)
            How large a pixel is in metres, down and across; for kernels in metres.
        """
        if self.metric is not None:
            raise ValueError(
                f"ee.Kernel.{self.metric}() is a kernel of distances, and a neighbourhood is "
                f"needed here. Take ee.Kernel.circle({self.reach[0]:g}, {self.units!r}), or "
                "image.distance(kernel)."
            )
        scale = sizes if self.units == "meters" else (1.0, 1.0)
        counts = (math.floor(r * NEARLY / size) for r, size in zip(self.reach, scale, strict=True))
        offsets = (np.arange(-n, n + 1) for n in counts)
        down, across = (o * size / NEARLY for o, size in zip(offsets, scale, strict=True))
        return np.asarray(self.inside(down[:, np.newaxis], across[np.newaxis, :]), bool)

    @staticmethod
    def square(
        radius: Any, units: str = "pixels", normalize: Any = True, magnitude: Any = 1
    ) -> Kernel:
        """Take the pixels that are not farther than a radius, down and across."""
        return named("square", radius, units)

    @staticmethod
    def circle(
        radius: Any, units: str = "pixels", normalize: Any = True, magnitude: Any = 1
    ) -> Kernel:
        """Take the pixels that are not farther than a radius."""
        return named("circle", radius, units)

    @staticmethod
    def diamond(
        radius: Any, units: str = "pixels", normalize: Any = True, magnitude: Any = 1
    ) -> Kernel:
        """Take the pixels that are not farther than a radius, down and across added."""
        return named("diamond", radius, units)

    @staticmethod
    def plus(
        radius: Any, units: str = "pixels", normalize: Any = True, magnitude: Any = 1
    ) -> Kernel:
        """Take the pixels straight above, below, left and right, as far as a radius."""
        return named("plus", radius, units)

    @staticmethod
    def cross(
        radius: Any, units: str = "pixels", normalize: Any = True, magnitude: Any = 1
    ) -> Kernel:
        """Take the pixels along both diagonals, as far as a radius down and across."""
        return named("cross", radius, units)

    @staticmethod
    def rectangle(
        xRadius: Any,
        yRadius: Any,
        units: str = "pixels",
        normalize: Any = True,
        magnitude: Any = 1,
    ) -> Kernel:
        """Take the pixels that are not farther than two radii, one across and one down."""
        return Kernel(_everywhere, (_number(yRadius), _number(xRadius)), units)

    @staticmethod
    def euclidean(
        radius: Any, units: str = "pixels", normalize: Any = False, magnitude: Any = 1
    ) -> Kernel:
        """Measure distances in a straight line, as far as a radius: for `Image.distance`."""
        return _of_distances("euclidean", radius, units)

    @staticmethod
    def manhattan(
        radius: Any, units: str = "pixels", normalize: Any = False, magnitude: Any = 1
    ) -> Kernel:
        """Measure distances down and across added, as far as a radius: for `Image.distance`."""
        return _of_distances("manhattan", radius, units)

    @staticmethod
    def chebyshev(
        radius: Any, units: str = "pixels", normalize: Any = False, magnitude: Any = 1
    ) -> Kernel:
        """Measure the larger of down and across, as far as a radius: for `Image.distance`."""
        return _of_distances("chebyshev", radius, units)


def _of_distances(metric: str, radius: Any, units: Any) -> Kernel:
    r = _number(radius)
    return Kernel(_everywhere, (r, r), known(units), metric)


def _number(radius: Any) -> float:
    given = known(radius, "ee.Kernel")
    return float(given) if isinstance(given, int | float | np.number) else math.nan


def _everywhere(down: Array, across: Array) -> Array:
    return np.ones(np.broadcast_shapes(down.shape, across.shape), bool)


def named(kind: str, radius: Any, units: str) -> Kernel:
    """Make a kernel by the name of its shape.

    Raises
    ------
    ValueError
        There is no such shape.
    """
    r = _number(radius)
    shapes: dict[str, Inside] = {
        "square": _everywhere,
        "circle": lambda down, across: down**2 + across**2 <= r**2,
        "diamond": lambda down, across: abs(down) + abs(across) <= r,
        "plus": lambda down, across: (down == 0) | (across == 0),
        "cross": lambda down, across: abs(down) == abs(across),
    }
    if kind not in shapes:
        raise ValueError(
            f"a kernel of the kind {kind!r} was asked for, and there are "
            f"{', '.join(map(repr, shapes))}. Write one of them; 'circle' is the usual one."
        )
    return Kernel(shapes[kind], (r, r), units)
