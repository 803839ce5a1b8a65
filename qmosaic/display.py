"""Pictures: true colour, several images side by side."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.kernels import Array

TRUE_COLOUR = ("B4", "B3", "B2")
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


def stretch_of(dark: xr.Dataset, bright: xr.Dataset) -> tuple[float, float]:
    """Give a stretch that shows both a dark and a bright image: its knee, and what becomes white.

    Returns
    -------
    (float, float)
        Half the median of the dark image and the 98th percentile of the bright one, over all bands.
    """
    knee = np.median(_rgb(dark)) / 2
    return float(knee), float(np.percentile(_rgb(bright), 98))


def true_colour(image: xr.Dataset, stretch: tuple[float, float]) -> Array:
    """Make a picture (y, x, 3) of 0 to 1: linear below the knee, logarithmic above it (asinh).

    Land reflects a tenth of what clouds reflect: a linear stretch shows one or the other.
    """
    knee, white = stretch
    picture: Array = np.clip(np.arcsinh(_rgb(image) / knee) / np.arcsinh(white / knee), 0, 1)
    return picture


def _rgb(image: xr.Dataset) -> Array:
    return np.stack([image[b].values for b in TRUE_COLOUR], axis=-1).astype("float32")


def side_by_side(
    pictures: Mapping[str, tuple[str, Array]], pixel_size: float, path: Path, credit: str
) -> None:
    """Draw pictures in a row, with titles, a scale bar and a line of credit.

    Parameters
    ----------
    pictures : mapping
        Title to subtitle and picture (y, x, 3).
    pixel_size : float
        Metres a pixel.
    path : Path
        The PNG to write.
    credit : str
        The line below.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(pictures) + 0.4, 5.35), dpi=120, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    figure.subplots_adjust(left=0.015, right=0.985, top=0.86, bottom=0.075, wspace=0.03)
    for axis, (title, (subtitle, picture)) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, interpolation="bicubic")
        axis.set_axis_off()
        axis.text(0, 1.075, title, transform=axis.transAxes, size=15, weight="bold", color=INK)
        axis.text(0, 1.025, subtitle, transform=axis.transAxes, size=10.5, color=PALE)
    _scale_bar(axes[0], pictures[next(iter(pictures))][1].shape[:2], pixel_size)
    figure.text(0.015, 0.025, credit, size=8.5, color=PALE)
    figure.savefig(path)


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
