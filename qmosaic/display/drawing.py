"""Titles, scale bars and credits around pictures."""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qmosaic.kernels import Array

INK, PALE, PAPER = "#1d2b33", "#5b6b73", "#ffffff"


def require_matplotlib() -> None:
    """Say what to install where pictures cannot be drawn.

    Raises
    ------
    ModuleNotFoundError
        matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError(
            'pictures need matplotlib, which is not installed. Write: pip install "qmosaic[plot]"'
        )


@dataclass(frozen=True)
class Picture:
    """A picture: a notebook shows it.

    Attributes
    ----------
    png : bytes
        The file.
    """

    png: bytes = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the PNG, into folders that are made where they are missing."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.png)
        return path

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(frozen=True)
class Panel:
    """One of the pictures that are shown in a row.

    Attributes
    ----------
    pixels : numpy.ndarray
        Red, green, blue and perhaps opacity, (y, x, 3 or 4), uint8 or 0 to 1.
    title, subtitle : str
        What stands above it.
    """

    pixels: Array
    title: str = ""
    subtitle: str = ""


def side_by_side(
    panels: list[Panel], pixel_size: float | None, credit: str = "", width: float = 4.2
) -> Picture:
    """Draw panels in a row, with titles, a scale bar and a line of credit.

    Parameters
    ----------
    panels : list of Panel
        At least one.
    pixel_size : float, optional
        Metres a pixel; without it there is no scale bar.
    credit : str, optional
        The line below.
    width : float, default: 4.2
        Inches a panel.

    Returns
    -------
    Picture
        At 120 dots an inch.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall, wide = (max(p.pixels.shape[axis] for p in panels) for axis in (0, 1))
    height = width * min(tall / wide, 3.0)
    above = (
        0.64 if any(p.subtitle for p in panels) else 0.42 if any(p.title for p in panels) else 0.06
    )
    below = 0.4 if credit else 0.06
    size = (width * len(panels) + 0.12, height + above + below)
    figure = Figure(figsize=size, dpi=120, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    figure.subplots_adjust(
        left=0.06 / size[0],
        right=1 - 0.06 / size[0],
        top=1 - above / size[1],
        bottom=below / size[1],
        wspace=0.03,
    )
    for axis, panel in zip(axes, panels, strict=True):
        large = max(panel.pixels.shape[:2]) > 120 * width
        axis.imshow(panel.pixels, interpolation="antialiased" if large else "nearest")
        axis.set_axis_off()
        points = 72 * axis.get_position().height * size[1]
        _write(axis, panel.title, (24 if panel.subtitle else 8) / points, 15, INK, "bold")
        _write(axis, panel.subtitle, 8 / points, 10.5, PALE, "normal")
    if pixel_size is not None:
        _scale_bar(axes[0], panels[0].pixels.shape[:2], pixel_size)
    if credit:
        figure.text(0.06 / size[0], 0.14 / size[1], credit, size=8.5, color=PALE)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Picture(buffer.getvalue())


def _write(axis: Any, text: str, above: float, size: float, colour: str, weight: str) -> None:
    axis.text(0, 1 + above, text, transform=axis.transAxes, size=size, weight=weight, color=colour)


def _scale_bar(axis: Any, shape: tuple[int, ...], pixel_size: float) -> None:
    """Draw a bar of a round length, about a fifth of the width, at the lower left."""
    height, width = shape
    length = _round_length(width * pixel_size / 5)
    left, bottom = 0.04 * width, 0.95 * height
    right = left + length / pixel_size
    for colour, thickness in (("black", 5), ("white", 3)):
        axis.plot(
            [left, right], [bottom, bottom], color=colour, lw=thickness, solid_capstyle="butt"
        )
    label = f"{length:g} m" if length < 1000 else f"{length / 1000:g} km"
    text = axis.text(left, bottom - 0.02 * height, label, color="white", size=10, weight="bold")
    text.set_path_effects(_outline())


def _outline() -> list[Any]:
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=2, foreground="black")]


def _round_length(metres: float) -> float:
    power = 10 ** np.floor(np.log10(metres))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres))
