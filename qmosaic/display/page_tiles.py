"""Tiles that are in a web page, and what it says where one clicks."""

from __future__ import annotations

import json
from typing import Any

from qmosaic.display.pyramids import CELLS, FINEST, Pyramid

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

// the values of a tile: for each pixel whether it is in the image, then one plane after the other,
// then where in the image it lies
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
  const corners = new Float64Array(bytes, start, 2 * (told.cells + 1) ** 2);
  return {inside: new Uint8Array(bytes, 0, 256 * 256), planes, corners};
}

// the row and column of the image at a place of a tile, which is 1 wide and high
function qmosaicPlace(told, tile, x, y) {
  const along = told.cells + 1;
  const [i, j] = [x, y].map((part) => Math.min(Math.floor(part * told.cells), told.cells - 1));
  const [right, low] = [x * told.cells - i, y * told.cells - j];
  return [0, 1].map((axis) => {
    const at = (m, n) => tile.corners[(axis * along + j + n) * along + i + m];
    return Math.floor((1 - low) * ((1 - right) * at(0, 0) + right * at(1, 0))
      + low * ((1 - right) * at(0, 1) + right * at(1, 1)));
  });
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
  const point = L.CRS.EPSG3857.latLngToPoint(latlng, told.zoom);
  const tiles = {};
  // what lies at a pixel of the tiles, and where in the image a point in it is
  const look = async (x, y, within) => {
    const around = 2 ** told.zoom;
    const [column, row] = [Math.floor(x / 256), Math.floor(y / 256)];
    const key = `${told.zoom}/${(column % around + around) % around}/${row}`;
    const tile = tiles[key] = key in tiles ? tiles[key] : await qmosaicTile(told, key);
    if (tile === null) return null;
    const [left, top] = [x - 256 * column, y - 256 * row];
    const place = qmosaicPlace(told, tile, (left + within[0]) / 256, (top + within[1]) / 256);
    return {tile, number: top * 256 + left, place};
  };
  const {x, y} = point.floor();
  let found = await look(x, y, [point.x - x, point.y - y]);
  if (found === null) return null;
  const [row, column] = found.place;
  if (row < 0 || row >= told.shape[0] || column < 0 || column >= told.shape[1]) return null;
  // a pixel of a tile has the values at its middle: beyond a border in it, a neighbour has them
  search: for (const down of [0, -1, 1]) for (const across of [0, -1, 1]) {
    const near = await look(x + across, y + down, [told.middle, told.middle]);
    if (near !== null && near.place[0] === row && near.place[1] === column) {
      found = near;
      break search;
    }
  }
  const {tile, number} = found;
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


def layer_of(pyramid: Pyramid, opacity: float, pane: str) -> str:
    """Write the script that makes a layer of Leaflet of tiles."""
    told = json.dumps({"pictures": pyramid.pictures}, separators=(",", ":"))
    options = {
        "minZoom": 0,
        "maxZoom": FINEST,
        "maxNativeZoom": pyramid.zoom,
        "opacity": opacity,
        "className": "qmosaic-tiles",
        "pane": pane,
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
        "middle": pyramid.middle,
        "shape": pyramid.shape,
        "cells": CELLS,
    }
    text = json.dumps({"name": name, "told": told}, separators=(",", ":")).replace("</", "<\\/")
    return _later(f"qmosaicLayers.push({{layer: {layer}, ...{text}}})")


def asking(page_map: str) -> str:
    """Write the script that answers where one clicks on a map."""
    return _later(f'{page_map}.on("click", (at) => qmosaicAnswer({page_map}, at.latlng))')


def _later(script: str) -> str:
    """Let a script wait until the map is there."""
    return f'window.addEventListener("load", () => {script});\n'
