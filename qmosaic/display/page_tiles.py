"""Tiles that are in a web page, and what it says where one clicks."""

from __future__ import annotations

import json
from typing import Any

from qmosaic.display.pyramids import FINEST, Pyramid

SCRIPT = """
const qmosaicLayers = [];

// a layer of Leaflet whose pictures are in the page
function qmosaicTiles(told, options) {
  const layer = L.tileLayer("", options);
  layer.getTileUrl = (at) => {
    const picture = told.pictures[`${at.z}/${at.x}/${at.y}`];
    return picture === undefined ? L.Util.emptyImageUrl : "data:image/png;base64," + picture;
  };
  return layer;
}

const qmosaicArrays = {
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, i2: Int16Array, i4: Int32Array,
  f4: Float32Array, f8: Float64Array,
};

// the values of a tile: for each pixel whether it is in the image, then one plane after the other
async function qmosaicTile(told, key) {
  const text = told.values[key];
  if (text === undefined) return null;
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = await new Response(stream).arrayBuffer();
  let start = 256 * 256;
  const planes = told.planes.map((plane) => {
    const values = new qmosaicArrays[plane.type](bytes, start, 256 * 256);
    start += values.byteLength;
    return values;
  });
  return {inside: new Uint8Array(bytes, 0, 256 * 256), planes};
}

function qmosaicValue(plane, value) {
  if (Number.isNaN(value) || value === plane.nodata) return "masked";
  if (plane.time) {
    const text = new Date(value).toISOString().slice(0, 16);
    return text.replace("T00:00", "").replace("T", " ");
  }
  return String(Number((value * plane.scale + plane.offset).toPrecision(7)));
}

// what a layer says of a place: names and values, null where it has no pixel
async function qmosaicSays(told, latlng) {
  const at = L.CRS.EPSG3857.latLngToPoint(latlng, told.zoom).floor();
  const around = 256 * 2 ** told.zoom;
  at.x = (at.x % around + around) % around;
  const [column, row] = [Math.floor(at.x / 256), Math.floor(at.y / 256)];
  const tile = await qmosaicTile(told, `${told.zoom}/${column}/${row}`);
  if (tile === null) return null;
  const number = (at.y - 256 * row) * 256 + (at.x - 256 * column);
  if (!tile.inside[number]) return null;
  return told.planes.map((plane, k) => [plane.name, qmosaicValue(plane, tile.planes[k][number])]);
}

function qmosaicLine(parent, kind, text) {
  parent.appendChild(document.createElement(kind)).textContent = text;
}

async function qmosaicAnswer(map, latlng) {
  const {lat, lng} = latlng.wrap();
  const box = document.createElement("div");
  const [north, east] = [lat < 0 ? "S" : "N", lng < 0 ? "W" : "E"];
  const place = `${Math.abs(lat).toFixed(5)}° ${north}, ${Math.abs(lng).toFixed(5)}° ${east}`;
  qmosaicLine(box, "div", place);
  for (const {layer, name, told} of qmosaicLayers.slice().reverse()) {
    if (!map.hasLayer(layer)) continue;
    const said = await qmosaicSays(told, latlng);
    if (said === null) continue;
    qmosaicLine(box, "b", name);
    const table = box.appendChild(document.createElement("table"));
    for (const [title, value] of said) {
      const row = table.appendChild(document.createElement("tr"));
      qmosaicLine(row, "td", title);
      qmosaicLine(row, "td", value);
    }
    if (told.step > 1) qmosaicLine(box, "small",
      `of the nearest pixel that this page holds: one of ${told.step} × ${told.step}`);
  }
  L.popup({className: "qmosaic-values"}).setLatLng(latlng).setContent(box).openOn(map);
}
"""
"""What a page with such layers needs once. A page from disk may not fetch, so that tiles are
decompressed by streams."""

STYLE = """
.qmosaic-tiles img { image-rendering: pixelated }
.qmosaic-values b { display: block; margin-top: 5px }
.qmosaic-values td:first-child { padding-right: 10px; color: #5b6b73 }
.qmosaic-values small { color: #5b6b73 }
"""


def layer_of(pyramid: Pyramid, opacity: float) -> str:
    """Write the script that makes a layer of Leaflet of tiles."""
    told = json.dumps({"pictures": pyramid.pictures}, separators=(",", ":"))
    options = {
        "minZoom": 0,
        "maxZoom": FINEST,
        "maxNativeZoom": pyramid.zoom,
        "opacity": opacity,
        "className": "qmosaic-tiles",
    }
    return f"qmosaicTiles({told}, {json.dumps(options)})"


def answering(layer: str, name: str, pyramid: Pyramid) -> str:
    """Write the script that lets a layer answer: `layer` is the name of its variable, `name` what
    stands above its values."""
    told: dict[str, Any] = {
        "values": pyramid.values,
        "planes": pyramid.planes,
        "zoom": pyramid.values_zoom,
        "step": pyramid.step,
    }
    text = json.dumps({"name": name, "told": told}, separators=(",", ":")).replace("</", "<\\/")
    return _later(f"qmosaicLayers.push({{layer: {layer}, ...{text}}})")


def asking(page_map: str) -> str:
    """Write the script that answers where one clicks on a map."""
    return _later(f'{page_map}.on("click", (at) => qmosaicAnswer({page_map}, at.latlng))')


def _later(script: str) -> str:
    """Let a script wait until the map is there."""
    return f'window.addEventListener("load", () => {script});\n'
