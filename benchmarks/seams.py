"""Less salt and pepper: how many neighbours come from different images, and what that costs.

``python -m benchmarks seams``: the real series of ``qmosaic demo``, its greenest clear pixels, with
``smooth=`` and ``scene_bonus=`` of several sizes. The mean quality is that of the pixels that were
taken, not that of smoothed ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

import qmosaic as qm
from qmosaic.cli.demo import clear_ndvi, stretch_of, true_colour
from qmosaic.sources.samples import sentinel2_romania

Array = npt.NDArray[Any]
Rules = Mapping[str, float]

PLAIN: Rules = {}
CHOICES: tuple[Rules, ...] = (
    PLAIN,
    *({"smooth": metres} for metres in (30, 50, 70, 110)),
    *({"scene_bonus": bonus} for bonus in (0.02, 0.05, 0.1, 0.2)),
    *({"smooth": 30, "scene_bonus": bonus} for bonus in (0.05, 0.1)),
)
RADII: tuple[Rules, ...] = tuple(
    {"scene_bonus": 0.1, "scene_radius": metres} for metres in (30, 50, 100, 150, 200, 300)
)
DRAWN: tuple[Rules, ...] = (PLAIN, {"smooth": 50}, {"scene_bonus": 0.1})


def name_of(rules: Rules) -> str:
    """Say what is asked for, as it is written."""
    return ", ".join(f"{name}={value:g}" for name, value in rules.items()) or "as it is"


def seams(index: Array) -> float:
    """Give the share of neighbouring pixels, below and to the right, that come from different
    images.

    Parameters
    ----------
    index : array of int (y, x)
        The image of each pixel.
    """
    differ = [np.diff(index, axis=axis) != 0 for axis in (0, 1)]
    return float(sum(map(np.count_nonzero, differ)) / sum(d.size for d in differ))


def alone(index: Array) -> float:
    """Give the share of pixels that have no neighbour, of four, from their own image."""
    framed = np.pad(index, 1, constant_values=-9)
    inner = framed[1:-1, 1:-1]
    around = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    return float(np.all([other != inner for other in around], axis=0).mean())


def measure(scored: xr.Dataset, choices: Sequence[Rules]) -> dict[str, dict[str, float]]:
    """Make a mosaic with each of the choices; give its seams, its lone pixels, its mean quality and
    how many images it is made of.

    Parameters
    ----------
    scored : xarray.Dataset
        A collection with a band ``quality``.
    choices : sequence of mapping
        Arguments of `quality_mosaic`.
    """
    found = {}
    for rules in choices:
        mosaic = qm.quality_mosaic(scored[["quality"]], "quality", provenance=True, **rules)  # type: ignore[arg-type]
        mosaic = mosaic.compute()
        index = mosaic["source_index"].values
        found[name_of(rules)] = {
            "seams": seams(index),
            "alone": alone(index),
            "quality": float(mosaic["quality"].mean()),
            "images": len(np.unique(index[index >= 0])),
        }
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Print what was measured, a line for each choice."""
    lines = [f"{'':32}{'seams':>8}{'alone':>8}{'mean quality':>14}{'images':>8}"]
    lines += [
        f"{name:32}{one['seams']:8.1%}{one['alone']:8.1%}{one['quality']:14.4f}{one['images']:8.0f}"
        for name, one in found.items()
    ]
    return "\n".join(lines)


def count_seams(out: Path) -> None:
    """Measure, print the tables, and draw the figure."""
    collection, _ = sentinel2_romania()
    scored = collection.load().assign(quality=clear_ndvi(collection).compute())
    choices, radii = measure(scored, CHOICES), measure(scored, RADII)
    print(f"{table(choices)}\n\nhow far around, {table(radii).strip()}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "seams.json").write_text(json.dumps({"choices": choices, "radii": radii}, indent=1))
    draw(scored, choices, out / "seams.png")
    print(f"\nwritten: {out / 'seams.json'}, {out / 'seams.png'}")


def draw(scored: xr.Dataset, found: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw mosaics in true colour, and below each of them from which image its pixels are."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mosaics = [
        qm.quality_mosaic(scored, "quality", provenance=True, **rules)  # type: ignore[arg-type]
        for rules in DRAWN
    ]
    knee, bright = stretch_of(mosaics[0], mosaics[0])
    stretch = knee, 2 * bright
    largest = np.bincount(mosaics[0]["source_index"].values.ravel() + 1).argsort()[::-1]
    figure, axes = plt.subplots(2, len(DRAWN), figsize=(11, 7.6), layout="constrained")
    for (above, below), mosaic, rules in zip(axes.T, mosaics, DRAWN, strict=True):
        one = found[name_of(rules)]
        above.imshow(true_colour(mosaic, stretch))
        above.set_title(name_of(rules), loc="left", fontsize=11)
        # the images that have most of the plain mosaic get the colours that differ most
        colours = np.argsort(largest)[mosaic["source_index"].values + 1]
        below.imshow(colours % 20, cmap="tab20", vmin=0, vmax=19, interpolation="nearest")
        below.set_title(
            f"seams {one['seams']:.0%}, mean quality {one['quality']:.3f}", loc="left", fontsize=10
        )
    for ax in axes.flat:
        ax.set_axis_off()
    figure.savefig(path, dpi=130)
    plt.close(figure)
