"""Geometries in a web page, and the order of its layers."""

from __future__ import annotations

import json

from qmosaic.display.features import Features

SCRIPT = """
// geometries as a layer of Leaflet; clicks go to what lies below
function qmosaicShapes(shapes, style, radius, pane) {
  const options = {...style, pane, interactive: false};
  const round = {...options, dashArray: null, radius};
  const isPoint = (feature) => feature.geometry.type.endsWith("Point");
  return L.geoJSON(shapes, {...options,
    pointToLayer: (feature, at) => L.circleMarker(at, round),
    style: (feature) => isPoint(feature) ? round : options});
}

// each layer has a place of its own, so that later ones lie on top, whatever they are made of
function qmosaicPane(map, number) {
  const name = `qmosaic-${number}`;
  const pane = map.createPane(name);
  pane.style.zIndex = 400 + Math.min(number, 190);
  pane.style.pointerEvents = "none";
  return name;
}
"""
"""What a page with layers needs once."""


def shapes_of(features: Features, opacity: float) -> list[object]:
    """Give what ``qmosaicShapes`` takes, but for the pane."""
    return [features.shapes, features.style.faded(opacity), features.style.radius]


def pane_of(number: int) -> str:
    """Name the pane of a layer, as ``qmosaicPane`` does."""
    return f"qmosaic-{number}"


def layer_of(features: Features, opacity: float, number: int) -> str:
    """Write the script that makes a layer of Leaflet; `number` is that of its pane."""
    told = json.dumps([*shapes_of(features, opacity), pane_of(number)], separators=(",", ":"))
    return f"qmosaicShapes(...{told})"
