"""What stands to the right of pictures: colours and what they mean, a bar of time, bars of shares.

Each is an `Aside` of `drawing`: it draws in inches, from the upper left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.display.drawing import FRAME, INK, PALE
from qmosaic.optional import needed

BETWEEN = 0.15
"""Inches between the columns of a legend."""

Colour = tuple[float, float, float] | str

ROW = 0.27
"""Inches from one line to the next."""

LETTER = 0.075
"""Inches that a letter takes."""


def _text(axis: Any, x: float, y: float, text: str, **style: Any) -> None:
    style = {"size": 9.5, "color": INK, "va": "center", "parse_math": False} | style
    axis.text(x, y, text, **style)


def _box(
    axis: Any, x: float, y: float, wide: float, high: float, colour: Any, **style: Any
) -> None:
    """Draw a rectangle, whose left edge and middle are given."""
    rectangle = needed("matplotlib.patches", "plot", "pictures").Rectangle
    style = {"facecolor": colour, "edgecolor": "none"} | style
    axis.add_patch(rectangle((x, y - high / 2), wide, high, **style))


@dataclass(frozen=True)
class Swatches:
    """A legend: colours, each with what it stands for.

    Attributes
    ----------
    entries : sequence of (colour, str)
        From top to bottom.
    title, subtitle : str
        What stands above it.
    rows : int, optional
        How many of them stand below each other, before the next column begins; by default all.
    """

    entries: Sequence[tuple[Colour, str]]
    title: str = ""
    subtitle: str = ""
    rows: int | None = None

    @property
    def _down(self) -> int:
        return min(len(self.entries), self.rows or len(self.entries))

    @property
    def _column(self) -> float:
        """The width of a column."""
        return 0.34 + LETTER * max((len(text) for _, text in self.entries), default=0)

    @property
    def size(self) -> tuple[float, float]:
        """The width and the height that it needs."""
        columns = -(-len(self.entries) // max(1, self._down))
        return (self._column + BETWEEN) * columns - BETWEEN, ROW * self._down

    def draw(self, axis: Any, width: float, height: float) -> None:
        """Draw it."""
        for number, (colour, text) in enumerate(self.entries):
            column, row = divmod(number, self._down)
            left, middle = column * (self._column + BETWEEN), ROW * (row + 0.5)
            _box(axis, left, middle, 0.2, 0.17, colour, edgecolor=FRAME, linewidth=0.6)
            _text(axis, left + 0.3, middle, text)


@dataclass(frozen=True)
class Ramp:
    """A bar of colours: from the earliest to the latest time, from the highest to the lowest value.

    Attributes
    ----------
    colours : numpy.ndarray
        Red, green and blue of its steps from top to bottom, 0 to 1, (n, 3).
    ticks : sequence of (float, str)
        Where on it, from 0 at the top to 1, a text stands.
    masked : colour, optional
        That of pixels without any image or value, where there are such.
    without : str
        What stands beside that colour.
    title, subtitle : str
        What stands above it.
    ends : (float, float), optional
        The lowest and the highest value, of numbers.
    """

    colours: Array
    ticks: Sequence[tuple[float, str]]
    masked: Colour | None = None
    title: str = ""
    subtitle: str = ""
    without: str = "no image"
    ends: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[float, float]:
        """The width and the height that it needs."""
        longest = max((len(text) for _, text in self.ticks), default=0)
        longest = max(longest, len(self.without) if self.masked is not None else 0)
        return 0.42 + LETTER * longest, 6 * ROW

    def draw(self, axis: Any, width: float, height: float) -> None:
        """Draw it."""
        end = height - (0.4 if self.masked is not None else 0.0)
        axis.imshow(self.colours[:, None], extent=(0, 0.2, end, 0), aspect="auto", zorder=0)
        _box(axis, 0, end / 2, 0.2, end, "none", edgecolor=FRAME, linewidth=0.6)
        for place, text in self.ticks:
            at = place * end
            axis.plot([0.2, 0.26], [at, at], color=FRAME, lw=0.8, clip_on=False)
            _text(axis, 0.32, min(max(at, 0.06), end - 0.06), text)
        if self.masked is not None:
            _box(axis, 0, height - 0.12, 0.2, 0.17, self.masked, edgecolor=FRAME, linewidth=0.6)
            _text(axis, 0.32, height - 0.12, self.without)
        axis.set(xlim=(0, width), ylim=(height, 0))  # which imshow changes


@dataclass(frozen=True)
class Bars:
    """Bars of shares, one below the other; each may consist of several parts.

    Attributes
    ----------
    rows : sequence of (str, sequence of (colour, float), str)
        What stands to the left of a bar; its parts, which are shares of 0 to 1; what stands behind
        its end.
    longest : float
        The share that is as long as there is room.
    title, subtitle : str
        What stands above them.
    wide : float
        The width in inches.
    """

    rows: Sequence[tuple[str, Sequence[tuple[Colour, float]], str]]
    longest: float
    title: str = ""
    subtitle: str = ""
    wide: float = 4.2

    @property
    def size(self) -> tuple[float, float]:
        """The width and the height that they need."""
        return self.wide, ROW * len(self.rows)

    def draw(self, axis: Any, width: float, height: float) -> None:
        """Draw them, at most a third further apart than they have to be."""
        step = min(height / max(1, len(self.rows)), 1.33 * ROW)
        left = 0.12 + LETTER * max((len(text) for text, *_ in self.rows), default=0)
        behind = 0.12 + LETTER * max((len(text) for *_, text in self.rows), default=0)
        room = max(0.5, width - left - behind) / max(self.longest, np.finfo(float).tiny)
        for number, (text, parts, value) in enumerate(self.rows):
            middle, x = step * (number + 0.5), left
            _text(axis, left - 0.1, middle, text, ha="right")
            for colour, share in parts:
                _box(axis, x, middle, share * room, 0.66 * step, colour)
                x += share * room
            _text(axis, x + 0.07, middle, value, color=PALE)
