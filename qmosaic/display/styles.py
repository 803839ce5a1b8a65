"""How geometries are drawn: Earth Engine's styles of features.

https://developers.google.com/earth-engine/apidocs/ee-featurecollection-style
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qmosaic.display.drawing import hex_of
from qmosaic.display.parameters import as_rgb, plain

SAME = {
    "weight": "width",
    "strokeWidth": "width",
    "pointRadius": "pointSize",
    "radius": "pointSize",
    "strokeColor": "color",
    "fillcolor": "fillColor",
}
"""Other names of a style, of Leaflet and of Earth Engine's ``draw``."""

KNOWN = ("color", "width", "fillColor", "fillOpacity", "opacity", "pointSize", "lineType")

NOTHING = ("pointShape", "neighborhood")
"""Styles that do nothing here: points are circles."""

LINES = {"solid": "", "dashed": "8 6", "dotted": "1 6"}
"""How long the strokes of a line and the gaps between them are."""

FILLED = 0.5
"""The opacity of areas that have no colour of their own."""


@dataclass(frozen=True)
class Style:
    """How geometries are drawn.

    Attributes
    ----------
    path : mapping
        What Leaflet takes for lines and areas.
    radius : float
        That of points, pixels of the screen.
    """

    path: Mapping[str, Any]
    radius: float

    def faded(self, opacity: float) -> dict[str, Any]:
        """Give what Leaflet takes, with the opacity of the layer."""
        ends = ("opacity", "fillOpacity")
        return {**self.path, **{name: self.path[name] * opacity for name in ends}}


def style_of(given: Any, caller: str, own: Mapping[str, Any] | None = None) -> Style:
    """Read a style.

    Parameters
    ----------
    given : mapping or str, optional
        ``color``: of lines, and of areas, which are half transparent; black by default.
        ``fillColor``: of areas, as opaque as its last two digits say. ``width`` of lines and
        ``pointSize``, in pixels of the screen. ``lineType``: "solid", "dashed" or "dotted".
        ``opacity``, ``fillOpacity``: 0 to 1. Colours are names of CSS or hexadecimal, with
        opacity as two more digits. A text is a colour.
    caller : str
        What is called, for errors.
    own : mapping, optional
        The style that the geometries bring along; what is given counts more.

    Raises
    ------
    TypeError
        It is no mapping, or has another key.
    ValueError
        A value has no meaning.
    """
    given = plain(given)
    if isinstance(given, str):
        given = {"color": given}
    if not isinstance(given, Mapping | None):
        raise TypeError(
            f"{caller} got vis_params={given!r:.60} ({type(given).__name__}) for a geometry; a "
            "style is a mapping such as {'color': 'FF0000', 'width': 2}."
        )
    asked: dict[str, Any] = {}
    for name, value in {**(own or {}), **(given or {})}.items():
        name = SAME.get(name, name)
        if name in NOTHING:
            continue
        if name not in KNOWN:
            raise TypeError(
                f"{caller} got the style {name!r} for a geometry; there are "
                f"{', '.join(map(repr, KNOWN))}. Write, for instance, {{'color': 'FF0000'}}."
            )
        asked[name] = plain(value)
    colour, clear = _colour(asked.get("color", "000000"))
    fill, filled = (colour, FILLED * clear)
    if asked.get("fillColor") is not None:
        fill, filled = _colour(asked["fillColor"])
    line = asked.get("lineType", "solid")
    if line not in LINES:
        raise ValueError(
            f"{caller} got lineType={line!r}; there are {', '.join(map(repr, LINES))}."
        )
    path = {
        "color": colour,
        "weight": _number(asked, "width", 2.0, caller),
        "opacity": _number(asked, "opacity", clear, caller, 1.0),
        "fillColor": fill,
        "fillOpacity": _number(asked, "fillOpacity", filled, caller, 1.0),
        "dashArray": LINES[line] or None,
    }
    return Style(path, _number(asked, "pointSize", 4.0, caller))


def _colour(text: Any) -> tuple[str, float]:
    """Give a colour as pages have it, and its opacity."""
    opacity = 1.0
    if isinstance(text, str) and re.fullmatch(r"#?[0-9a-fA-F]{8}", text.strip()):
        text = text.strip()
        text, opacity = text[:-2], int(text[-2:], 16) / 255
    return hex_of(tuple(part / 255 for part in as_rgb(text))), opacity


def _number(
    asked: Mapping[str, Any], name: str, default: float, caller: str, most: float | None = None
) -> float:
    value = asked.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not 0 <= number <= (float("inf") if most is None else most):
        limits = "0 or more" if most is None else f"0 to {most:g}"
        raise ValueError(f"{caller} got {name}={value!r} for a geometry; it is a number, {limits}.")
    return number
