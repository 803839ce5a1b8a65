"""The page of a map, with its layers in it: it needs no server."""

from __future__ import annotations

import html as html_module
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qmosaic.display import page_shapes, page_tiles
from qmosaic.display.beside import Beside
from qmosaic.display.features import Features
from qmosaic.display.layers import Layer
from qmosaic.display.leaflet import NEAREST, STYLE, leaflet, leaflet_css
from qmosaic.display.mercator import Bounds
from qmosaic.display.page_legends import legends_of, switching
from qmosaic.display.pyramids import Pyramid
from qmosaic.display.serving import Server
from qmosaic.optional import needed

PURPOSE = "maps"


@dataclass(frozen=True)
class Shown:
    """A layer on a map.

    Attributes
    ----------
    layer : Layer or Features
        What is drawn.
    title : str
        What it is called.
    on : bool
        Whether it is switched on.
    opacity : float
        0 to 1.
    given, parameters
        What it was made of.
    """

    layer: Layer | Features
    title: str
    on: bool
    opacity: float
    given: Any
    parameters: Any

    def put_on(self, server: Server) -> None:
        """Show it on a server, too."""
        server.add_layer(
            self.title, self.given, self.parameters, shown=self.on, opacity=self.opacity
        )


@dataclass(frozen=True)
class View:
    """Where a map looks.

    Attributes
    ----------
    centre : (float, float), optional
        Latitude and longitude.
    zoom : int, optional
        Zoom level.
    bounds : Bounds, optional
        What it shows the whole of, in place of a centre.
    """

    centre: tuple[float, float] | None = None
    zoom: int | None = None
    bounds: Bounds | None = None

    @property
    def address(self) -> str:
        """Say in an address where the map looks."""
        if self.bounds is not None:
            (south, west), (north, east) = self.bounds
            return f"#fit/{south:.6f}/{west:.6f}/{north:.6f}/{east:.6f}"
        if self.centre is None:
            return ""
        lat, lon = self.centre
        return f"#{10 if self.zoom is None else self.zoom}/{lat}/{lon}"


def page_of(layers: Sequence[Shown], beside: Beside, view: View, max_bytes: int) -> str:
    """Write the page.

    Parameters
    ----------
    layers : sequence of Shown
        From the lowest to the highest.
    beside : Beside
        Base maps, and legends.
    view : View
        Where it looks.
    max_bytes : int
        How many bytes of details it may hold; 0 for one picture a layer.
    """
    folium = needed("folium", "map", PURPOSE)
    drawn = _drawn(layers, beside, view)
    page = folium.Figure()
    page.header.add_child(_element(f"<style>{leaflet_css()}{STYLE}{page_tiles.STYLE}</style>"))
    for script in (leaflet("leaflet.js").decode(), page_tiles.SCRIPT, page_shapes.SCRIPT):
        page.header.add_child(_element(f"<script>{script}</script>"))
    scripts, legends = [], []
    pyramids = _pyramids(layers, max_bytes) if max_bytes else {}
    for number, one in enumerate(layers):
        _pane(number).add_to(drawn)
        pyramid = pyramids.get(number)
        layer = _layer(one, number, pyramid)
        layer.add_to(drawn)
        name = layer.get_name()
        if pyramid is not None:
            scripts.append(page_tiles.answering(name, one.title, pyramid))
        legends.append((name, one.title, one.layer.legend, one.on))
        scripts.append(switching(drawn.get_name(), name))
    if max_bytes:
        scripts.append(page_tiles.asking(drawn.get_name()))
    if layers or len(beside.base_maps) > 1:
        folium.LayerControl(collapsed=False).add_to(drawn)
    drawn.add_to(page)
    page.html.add_child(_element(legends_of(beside, legends)))
    for script in scripts:
        page.script.add_child(_element(script))
    html: str = page.render()
    for number, one in enumerate(layers):
        html = html.replace(_token(number), _label(one.title))
    return html


def _pyramids(layers: Sequence[Shown], max_bytes: int) -> dict[int, Pyramid]:
    """Make the tiles of all images: those that need least first, and the others share what is
    left."""
    images = {n: one.layer for n, one in enumerate(layers) if isinstance(one.layer, Layer)}
    made: dict[int, Pyramid] = {}
    for done, number in enumerate(sorted(images, key=lambda n: images[n].weight)):
        share = max(0, max_bytes) // (len(images) - done)
        made[number] = images[number].pyramid(share)
        max_bytes -= made[number].nbytes
    return made


def _drawn(layers: Sequence[Shown], beside: Beside, view: View) -> Any:
    """Make the map of folium, turned to its centre or to all layers."""
    drawn = needed("folium", "map", PURPOSE).Map(tiles=None, control_scale=True)
    drawn.default_js, drawn.default_css = [], []
    for one in beside.base_maps:
        one.layer(overlay=False, show=one is beside.base_maps[-1]).add_to(drawn)
    if view.centre is not None:
        drawn.location = list(view.centre)
        drawn.options["zoom"] = 10 if view.zoom is None else view.zoom
    elif view.bounds is not None:
        drawn.fit_bounds(view.bounds, max_zoom=NEAREST)
    elif layers:
        corners = np.array([one.layer.bounds for one in layers])
        drawn.fit_bounds(
            [corners[:, 0].min(axis=0).tolist(), corners[:, 1].max(axis=0).tolist()],
            max_zoom=view.zoom,
        )
    return drawn


def _layer(one: Shown, number: int, pyramid: Pyramid | None) -> Any:
    """Make a layer of folium: of geometries, of tiles that are in the page, or of one picture."""
    name, pane = _token(number), page_shapes.pane_of(number)
    if isinstance(one.layer, Features):
        return _of_script(page_shapes.layer_of(one.layer, one.opacity, number), name, one.on)
    if pyramid is not None:
        return _of_script(page_tiles.layer_of(pyramid, one.opacity, pane), name, one.on)
    return needed("folium", "map", PURPOSE).raster_layers.ImageOverlay(
        one.layer.png_address(),
        one.layer.bounds,
        name=name,
        show=one.on,
        opacity=one.opacity,
        pane=pane,
    )


def _of_script(script: str, name: str, on: bool) -> Any:
    """Make a layer of folium of a script that gives one of Leaflet."""
    layer = needed("folium", "map", PURPOSE).map.Layer(name, overlay=True, show=on)
    layer.made = script
    layer._template = _template("var {{ this.get_name() }} = {{ this.made }};")
    return layer


def _pane(number: int) -> Any:
    """Make a place for a layer, on top of those before it."""
    pane = needed("branca.element", "map", PURPOSE).MacroElement()
    pane.number = number
    pane._template = _template("qmosaicPane({{ this._parent.get_name() }}, {{ this.number }});")
    return pane


def _template(script: str) -> Any:
    made = needed("folium.template", "map", PURPOSE).Template
    return made(f"{{% macro script(this, kwargs) %}}{script}{{% endmacro %}}")


def _token(number: int) -> str:
    """Make a placeholder for the name of a layer, which the page's templates cannot change."""
    return f"qmosaic-layer-{number}-name"


def _label(name: str) -> str:
    """Write a name so that it is text on the page, and in its script, whatever is in it."""
    text = html_module.escape(name, quote=False)
    if text.isdigit():  # JavaScript puts such keys first
        text = "\u200b" + text
    return json.dumps(text)[1:-1].replace("</", "<\\/")


def _element(html: str) -> Any:
    """Put text into a page as it is; folium would take it for a template."""
    element = needed("branca.element", "map", PURPOSE).Element("{{ this.text }}")
    element.text = html
    return element
