"""Legends of a web page: the same colours and texts as beside a picture."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.beside import Beside
from qmosaic.display.drawing import hex_of


def legends_of(
    beside: Beside, layers: Sequence[tuple[str, str, Swatches | Ramp | None, bool]]
) -> str:
    """Write all legends of a page: those of its layers, and those that belong to none.

    Parameters
    ----------
    beside : Beside
        Legends that were put there by hand.
    layers : sequence of (str, str, Swatches or Ramp or None, bool)
        By which name the page knows a layer, what it is called, the legend that it has by itself,
        and whether it is switched on at first.
    """
    of_layers, free = beside.arranged([(title, own) for _, title, own, _ in layers])
    written = [
        legend_of(name, found.title, found.legend, shown=on)
        for (name, _, _, on), found in zip(layers, of_layers, strict=True)
        if found is not None
    ]
    for number, one in enumerate(free):
        written.append(legend_of(f"free-{number}", one.title, one.legend, shown=True))
    above = 60 + 22 * (len(layers) + len(beside.base_maps))  # the list of layers, in pixels
    room = f"max-height: max(190px, calc(100% - {above}px))"
    return f'<div class="qmosaic-legends" style="{room}">{"".join(written)}</div>'


def legend_of(name: str, title: str, legend: Swatches | Ramp, *, shown: bool) -> str:
    """Write a legend as HTML.

    Parameters
    ----------
    name : str
        By which the page knows the layer.
    title : str
        What stands above it: any text.
    legend : Swatches or Ramp
        What it says.
    shown : bool
        Whether the layer is switched on at first.
    """
    inside = _swatches(legend) if isinstance(legend, Swatches) else _scale(legend)
    hidden = "" if shown else " hidden"
    heading = f"<b>{html.escape(title)}</b>"
    return f'<div class="qmosaic-legend" id="{name}-legend"{hidden}>{heading}{inside}</div>'


def switching(page_map: str, name: str) -> str:
    """Write the script that shows a legend, if there is one, while its layer is on: `page_map` is
    the name of the map, `name` that of the layer."""
    return f"""
window.addEventListener("load", () => {page_map}.on("overlayadd overlayremove", (event) => {{
  const legend = document.getElementById("{name}-legend");
  if (legend && event.layer === {name}) legend.hidden = event.type === "overlayremove";
}}));
"""


def _swatches(legend: Swatches) -> str:
    rows = [
        f'<div><i style="background: {hex_of(colour)}"></i>{html.escape(text)}</div>'
        for colour, text in legend.entries
    ]
    return "".join(rows)


def _scale(legend: Ramp) -> str:
    stops: list[Any] = [hex_of(colour) for colour in legend.colours[::16]]
    stops.append(hex_of(legend.colours[-1]))
    ticks = [
        f'<span style="top: {100 * place:.1f}%">{html.escape(text)}</span>'
        for place, text in legend.ticks
    ]
    look = f"background: linear-gradient({', '.join(stops)})"
    bar = f'<i style="{look}; position: absolute; left: -14px; height: 100%"></i>'
    return f'<div class="scale" style="margin: 8px 60px 8px 14px">{bar}{"".join(ticks)}</div>'
