"""Legends of a web page: the same colours and texts as beside a picture."""

from __future__ import annotations

import html
from typing import Any

from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.drawing import hex_of


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
    """Write the script that shows a legend while its layer is on: `page_map` is the name of the
    map, `name` that of the layer."""
    return f"""
window.addEventListener("load", () => {page_map}.on("overlayadd overlayremove", (event) => {{
  if (event.layer === {name})
    document.getElementById("{name}-legend").hidden = event.type === "overlayremove";
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
