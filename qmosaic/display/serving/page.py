"""The page with the map: all that it needs is in it, but for the tiles."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qmosaic.display import page_shapes
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.beside import BaseMap, Beside
from qmosaic.display.leaflet import NEAREST, STYLE, leaflet, leaflet_css
from qmosaic.display.mercator import Bounds
from qmosaic.display.page_legends import legends_of


@dataclass(frozen=True)
class Shown:
    """What a page has to know of a layer.

    Attributes
    ----------
    number : int
        By which its address names it.
    name : str
        What it is called; any text.
    bounds : Bounds
        Where it lies.
    legend : Swatches or Ramp, optional
        What its colours mean.
    on : bool
        Whether it is switched on.
    opacity : float
        0 to 1.
    shapes : sequence, optional
        Of geometries what ``qmosaicShapes`` takes; images have tiles.
    """

    number: int
    name: str
    bounds: Bounds
    legend: Swatches | Ramp | None
    on: bool
    opacity: float
    shapes: Sequence[object] | None = None

    @property
    def asked(self) -> Bounds:
        """Where tiles are asked for. Leaflet compares this with tiles as they lie from 180° W to
        180° E: of an image that reaches beyond, a part lies at the other end, and one pair of
        corners has both only if it goes around the globe."""
        (south, west), (north, east) = self.bounds
        if west >= -180 and east <= 180:
            return self.bounds
        return [[south, -180.0], [north, 180.0]]

    def told(self) -> dict[str, Any]:
        """Give what the script of the page takes."""
        place = f"layers/{self.number}"
        known = {
            "number": self.number,
            "name": self.name,
            "label": html.escape(self.name, quote=False),
            "bounds": self.bounds,
            "on": self.on,
        }
        if self.shapes is not None:
            return {**known, "shapes": self.shapes}
        return {
            **known,
            "tiles": f"{place}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png",
            "values": f"{place}/values/",
            "asked": self.asked,
            "opacity": self.opacity,
        }


def page_of(layers: Sequence[Shown], beside: Beside) -> str:
    """Write the page.

    Parameters
    ----------
    layers : sequence of Shown
        From the lowest to the highest.
    beside : Beside
        Base maps, and legends that were put there by hand.
    """
    legends = legends_of(
        beside, [(f"layer-{one.number}", one.name, one.legend, one.on) for one in layers]
    )
    told = {
        "layers": [one.told() for one in layers],
        "bases": [_base(one) for one in beside.base_maps],
        "nearest": NEAREST,
    }
    # in a script nothing may look like its end
    data = json.dumps(told).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(", ".join(one.name for one in layers) or "qmosaic")}</title>
<link rel="icon" href="data:,">
<style>{leaflet_css()}{STYLE}{TILES}</style>
<script>{leaflet("leaflet.js").decode()}</script>
</head>
<body>
<div id="map"></div>
{legends}
<div id="trouble" hidden></div>
<div id="busy" hidden>computing &hellip;</div>
<script>const page = {data};{page_shapes.SCRIPT}{SCRIPT}</script>
</body>
</html>
"""


def _base(base_map: BaseMap) -> dict[str, Any]:
    tiles = base_map.layer()
    options = {"attribution": "", "maxZoom": 18} | dict(tiles.options)
    return {
        "label": html.escape(base_map.name, quote=False),
        "tiles": tiles.tiles,
        "attribution": options["attribution"],
        "finest": options.get("maxNativeZoom") or options.get("max_native_zoom") or 18,
    }


TILES = """
#map { width: 100%; height: 100% }
.qmosaic-tiles { image-rendering: pixelated }
.qmosaic-values { font: 12px/1.5 system-ui, sans-serif; max-height: 260px; overflow-y: auto }
.qmosaic-values b { display: block; margin-top: 4px }
.qmosaic-values table { border-spacing: 0 }
.qmosaic-values td { padding: 0 12px 0 0; vertical-align: top }
.qmosaic-values td + td { font-variant-numeric: tabular-nums; padding-right: 0 }
.qmosaic-values .masked { color: #888 }
#trouble { position: absolute; left: 60px; right: 60px; top: 10px; z-index: 1000; padding: 6px 12px;
  background: #fff3cd; border: 1px solid #b58900; font: 13px/1.5 system-ui, sans-serif }
#busy { position: absolute; left: 50%; bottom: 26px; transform: translateX(-50%); z-index: 1000;
  padding: 3px 12px; background: white; border-radius: 5px; font: 13px/1.5 system-ui, sans-serif;
  animation: qmosaic-late 0s 0.6s both }
@keyframes qmosaic-late { from { opacity: 0 } to { opacity: 0.85 } }
#trouble[hidden], #busy[hidden] { display: none }
"""

SCRIPT = """
const map = L.map("map", {maxZoom: 24});
L.control.scale().addTo(map);
const bases = {};
for (const base of page.bases) {
  for (const other of Object.values(bases)) other.remove();  // the last is the one to begin with
  bases[base.label] = L.tileLayer(base.tiles, {attribution: base.attribution, maxZoom: 24,
    maxNativeZoom: base.finest}).addTo(map);
}
const trouble = (text) => {
  const box = document.getElementById("trouble");
  box.textContent = text;
  box.hidden = !text;
};
const loading = new Set();
const busy = (event) => {
  if (event.type === "loading") loading.add(event.target);
  else loading.delete(event.target);
  document.getElementById("busy").hidden = loading.size === 0;
};
const choice = page.bases.length > 1 ? bases : null;
const control = L.control.layers(choice, null, {collapsed: false, sortLayers: false});
page.layers.forEach((layer, number) => {
  const pane = qmosaicPane(map, number);
  layer.drawn = layer.shapes ? qmosaicShapes(...layer.shapes, pane)
    : L.tileLayer(layer.tiles, {bounds: layer.asked, opacity: layer.opacity,
      maxZoom: 24, className: "qmosaic-tiles", pane});
  layer.drawn.on("tileerror", () => trouble(
    `Tiles of the layer "${layer.name}" could not be made: the program that serves them says why, `
    + "if it still runs."));
  layer.drawn.on("tileload", () => trouble(""));
  layer.drawn.on("loading load remove", busy);
  layer.drawn.on("add remove", (event) => {
    const legend = document.getElementById(`layer-${layer.number}-legend`);
    if (legend) legend.hidden = event.type === "remove";
  });
  control.addOverlay(layer.drawn, layer.label);
  if (layer.on) layer.drawn.addTo(map);
});
if (page.layers.length || page.bases.length > 1) control.addTo(map);

const view = location.hash.match(/^#(\\d+)\\/(-?[\\d.]+)\\/(-?[\\d.]+)$/);
const fit = location.hash.match(/^#fit\\/(-?[\\d.]+)\\/(-?[\\d.]+)\\/(-?[\\d.]+)\\/(-?[\\d.]+)$/);
if (view) map.setView([+view[2], +view[3]], +view[1]);
else if (fit) map.fitBounds([[+fit[1], +fit[2]], [+fit[3], +fit[4]]], {maxZoom: page.nearest});
else if (page.layers.length)
  map.fitBounds(page.layers.reduce((all, layer) => all.extend(layer.bounds), L.latLngBounds([])));
else map.setView([0, 0], 1);

const element = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const table = (values) => {
  const made = element("table");
  for (const [name, value] of Object.entries(values)) {
    const row = made.appendChild(element("tr"));
    row.append(element("td", name),
      value === null ? element("td", "masked", "masked") : element("td", String(value)));
  }
  return made;
};
let asked = 0;
map.on("click", async (event) => {
  const mine = ++asked;
  const {lat, lng} = event.latlng.wrap();
  const content = element("div", undefined, "qmosaic-values");
  content.append(element("div", `${lat.toFixed(6)}, ${lng.toFixed(6)}`));
  const wait = content.appendChild(element("div", "\\u2026"));
  const popup = L.popup({maxWidth: 420}).setLatLng(event.latlng).setContent(content).openOn(map);
  const shown = page.layers.filter((layer) => layer.values && map.hasLayer(layer.drawn)).reverse();
  for (const layer of shown) {
    try {
      const answer = await fetch(`${layer.values}${lng},${lat}`);
      const said = await answer.json();
      if (mine !== asked) return;
      content.insertBefore(element("b", layer.name), wait);
      if (!answer.ok) content.insertBefore(element("div", said.detail, "masked"), wait);
      else if (!said.inside) content.insertBefore(element("div", "no pixel here", "masked"), wait);
      else {
        content.insertBefore(table(said.bands), wait);
        content.insertBefore(table(said.from), wait);
      }
    } catch (error) {
      content.insertBefore(element("div", `${layer.name}: ${error.message}`, "masked"), wait);
    }
    popup.update();
  }
  wait.remove();
  popup.update();
});
"""
