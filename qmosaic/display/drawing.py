"""Titles, scale bars and credits around pictures."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.optional import needed

INK, PALE, PAPER = "#1d2b33", "#5b6b73", "#ffffff"
FRAME, MASKED = "#9aa7ad", "#e3e8ea"


def require_matplotlib() -> None:
    """Check that pictures can be drawn, before anything is computed for one.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed.
    """
    needed("matplotlib", "plot", "pictures")


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture: a notebook shows it.

    Attributes
    ----------
    png : bytes
        The file.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, qmosaic as qm
    >>> picture = qm.quicklook(xr.Dataset({"red": (("y", "x"), np.eye(30, 60))}))
    >>> picture
    Picture of 518 × 266 pixels; a notebook shows it, .save('picture.png') writes it
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture.save(f"{folder}/look.png").name
    'look.png'
    """

    png: bytes

    def save(self, path: str | Path) -> Path:
        """Write the PNG, into folders that are made where they are missing.

        Parameters
        ----------
        path : str or Path
            Where to.

        Returns
        -------
        Path
            The file.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.png)
        return path

    def __repr__(self) -> str:
        width, height = self._size
        return (
            f"Picture of {width} × {height} pixels; a notebook shows it, .save('picture.png') "
            "writes it"
        )

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height, as the first block of every PNG has them."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True)
class Panel:
    """One of the pictures that `side_by_side` draws beside each other.

    Parameters
    ----------
    pixels : numpy.ndarray
        Red, green, blue and perhaps opacity, (y, x, 3 or 4), uint8 or 0 to 1.
    title, subtitle : str
        What stands above it.
    metres : float, optional
        How wide a pixel is on the ground; without it there is no scale bar.
    aspect : float
        How much higher than wide a pixel is.

    Examples
    --------
    >>> import numpy as np, qmosaic as qm
    >>> qm.display.Panel(np.zeros((30, 60, 3)), "Night", metres=10.0).shape
    (30.0, 60)
    """

    pixels: Array
    title: str = ""
    subtitle: str = ""
    metres: float | None = None
    aspect: float = 1.0

    @property
    def shape(self) -> tuple[float, float]:
        """Height and width, in the width of a pixel."""
        return self.pixels.shape[0] * self.aspect, self.pixels.shape[1]


DOTS = 120
"""Dots an inch."""

GAP = 0.06
"""Inches around and between panels."""

APART = 0.22
"""Inches between panels and what stands to their right."""


def side_by_side(panels: list[Panel], credit: str = "", columns: int = 4) -> Picture:
    """Draw arrays of colours beside each other, with titles, scale bars and a line of credit.

    `quicklook` does this for images; this is for colours that you made yourself.

    Parameters
    ----------
    panels : list of Panel
        At least one.
    credit : str, optional
        The line below.
    columns : int, default: 4
        How many stand in a row.

    Returns
    -------
    Picture
        Panels are 504 pixels wide, or as wide as the widest image where that is more. Where all
        panels have one size on the ground, the first alone has a scale bar.

    Raises
    ------
    ValueError
        There is no panel.
    ModuleNotFoundError
        matplotlib is not installed (extra ``plot``).

    Examples
    --------
    >>> import numpy as np, qmosaic as qm
    >>> night = qm.display.Panel(np.zeros((30, 60, 3)), "Night", metres=10.0)
    >>> day = qm.display.Panel(np.ones((30, 60, 3)), "Day", "the same place", metres=10.0)
    >>> qm.display.side_by_side([night, day], credit="Nobody's data")
    Picture of 1029 × 376 pixels; a notebook shows it, .save('picture.png') writes it
    """
    if not panels:
        raise ValueError(
            "side_by_side() got no panel, so there is nothing to draw; give one at least, "
            "side_by_side([Panel(colours)])."
        )
    return compose(panels, credit, columns)


class Aside(Protocol):
    """What stands to the right of panels: a legend, a chart.

    Attributes
    ----------
    title, subtitle : str
        What stands above it.
    size : (float, float)
        Its width and the least height that it needs, in inches.
    """

    @property
    def title(self) -> str: ...

    @property
    def subtitle(self) -> str: ...

    @property
    def size(self) -> tuple[float, float]: ...

    def draw(self, axis: Any, width: float, height: float) -> None:
        """Draw it on an axis that goes from 0 to `width` and, downwards, from 0 to `height`."""


def compose(
    panels: Sequence[Panel], credit: str = "", columns: int = 4, asides: Sequence[Aside] = ()
) -> Picture:
    """Draw panels in rows, see `side_by_side`, and to their right what says more."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(columns, len(panels))
    down = -(-len(panels) // max(1, across))
    width = max(4.2, *(panel.pixels.shape[1] / DOTS for panel in panels), 0)
    heights = [width * min(panel.shape[0] / panel.shape[1], 3.0) for panel in panels]
    height = max(heights, default=0)
    titled: list[Panel | Aside] = [*panels, *asides]
    lines = 0.36 * any(p.title for p in titled) + 0.22 * any(p.subtitle for p in titled)
    below = 0.4 if credit else GAP
    cell = (width + GAP, height + lines + GAP)
    beside = sum(APART + aside.size[0] for aside in asides)
    least = max((aside.size[1] for aside in asides), default=0)
    high = max(down * cell[1], lines + least + GAP)
    size = (across * cell[0] + GAP + beside, high + below)
    figure = Figure(figsize=size, dpi=DOTS, facecolor=PAPER)
    FigureCanvasAgg(figure)
    one_bar = len({(p.metres, p.shape) for p in panels}) == 1
    for number, (panel, high) in enumerate(zip(panels, heights, strict=True)):
        row, column = divmod(number, across)
        # in inches, from the upper left; panels of a row stand below one line
        left, top = GAP + column * cell[0], size[1] - row * cell[1] - GAP - lines
        wide = high * panel.shape[1] / panel.shape[0]
        axis = _axis(figure, (left, top, wide, high))
        _draw(axis, panel, (wide, high))
        _write_titles(axis, panel, high, width)
        if panel.metres is not None and min(wide, high) > 0.6 and (number == 0 or not one_bar):
            _scale_bar(axis, panel, (wide, high))
    left = across * cell[0]
    for aside in asides:
        wide, high = aside.size[0], max(height, least)
        left += APART
        axis = _axis(figure, (left, size[1] - GAP - lines, wide, high))
        axis.set(xlim=(0, wide), ylim=(high, 0))
        axis.set_axis_off()
        _write_titles(axis, aside, high, wide)
        aside.draw(axis, wide, high)
        left += wide
    if credit:
        figure.text(GAP / size[0], 0.14 / size[1], credit, size=8.5, color=PALE, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Picture(buffer.getvalue())


def rgb_of(colour: str) -> tuple[float, float, float]:
    """Give red, green and blue of a colour, 0 to 1."""
    found: tuple[float, float, float] = needed("matplotlib.colors", "plot", "pictures").to_rgb(
        colour
    )
    return found


def hex_of(colour: Any) -> str:
    """Write a colour, three numbers of 0 to 1, as hexadecimal; a text stays as it is."""
    if isinstance(colour, str):
        return colour
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in colour[:3])


def _axis(figure: Any, box: tuple[float, float, float, float]) -> Any:
    """Add an axis at a place in inches: left, top, width and height."""
    left, top, wide, high = box
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, (top - high) / height, wide / width, high / height))


def _write_titles(axis: Any, what: Panel | Aside, high: float, width: float) -> None:
    _write(axis, what.title, (0.31 if what.subtitle else 0.11) / high, 15, INK, "bold", width)
    _write(axis, what.subtitle, 0.1 / high, 10.5, PALE, "normal", width)


def _draw(axis: Any, panel: Panel, inches: tuple[float, float]) -> None:
    """Draw the pixels in a thin frame; what is masked is grey, not the white of the paper."""
    large = panel.pixels.shape[1] > DOTS * inches[0]
    axis.set_facecolor(MASKED)
    axis.imshow(panel.pixels, interpolation="antialiased" if large else "nearest", aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_color(FRAME)
        side.set_linewidth(0.6)


def _write(
    axis: Any, text: str, above: float, size: float, colour: str, weight: str, width: float
) -> None:
    """Write a line above a panel; a long one is smaller, and in the end cut."""
    text = " ".join(text.split())
    room = width * 72 / 0.62  # points, by the width of a letter
    size = max(7.0, min(size, room / max(1, len(text))))
    most = int(room / size)
    text = text if len(text) <= most else text[: most - 1] + "…"
    axis.text(
        0,
        1 + above,
        text,
        transform=axis.transAxes,
        size=size,
        weight=weight,
        color=colour,
        parse_math=False,
    )


def _scale_bar(axis: Any, panel: Panel, inches: tuple[float, float]) -> None:
    """Draw a bar of a round length, about a fifth of the width, at the lower left."""
    assert panel.metres is not None
    ground = panel.pixels.shape[1] * panel.metres
    length = _round_length(ground / 5)
    left, bottom = 0.2 / inches[0], 0.18 / inches[1]
    right = left + length / ground
    for colour, thickness in (("black", 5), ("white", 3)):
        axis.plot(
            [left, right],
            [bottom, bottom],
            color=colour,
            lw=thickness,
            solid_capstyle="butt",
            transform=axis.transAxes,
        )
    label = f"{length:g} m" if length < 1000 else f"{length / 1000:g} km"
    text = axis.text(
        left,
        bottom + 0.07 / inches[1],
        label,
        color="white",
        size=10,
        weight="bold",
        transform=axis.transAxes,
    )
    text.set_path_effects(_outline())


def _outline() -> list[Any]:
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=2, foreground="black")]


def _round_length(metres: float) -> float:
    power = 10 ** np.floor(np.log10(metres))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres))
