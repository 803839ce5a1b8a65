"""Leaflet itself, to be put into a page: it works without a network."""

from __future__ import annotations

import base64
import functools
import re
from pathlib import Path

from qmosaic.optional import needed

NEAREST = 17
"""The highest zoom level to which a map goes by itself, to show all of something."""

STYLE = """
html, body { width: 100%; height: 100%; margin: 0; padding: 0 }
.leaflet-image-layer { image-rendering: pixelated }
.leaflet-control-layers { font: 13px/1.5 system-ui, sans-serif }
.qmosaic-legends { position: absolute; right: 10px; bottom: 26px; z-index: 1000; display: flex;
  flex-flow: column wrap-reverse; justify-content: flex-end; gap: 8px; pointer-events: none }
.qmosaic-legend { padding: 8px 12px; background: white; border: 2px solid rgba(0, 0, 0, 0.2);
  border-radius: 5px; font: 12px/1.6 system-ui, sans-serif }
.qmosaic-legend[hidden] { display: none }
.qmosaic-legend b { display: block }
.qmosaic-legend i { display: inline-block; width: 14px; height: 11px; margin-right: 7px }
.qmosaic-legend .scale { position: relative; height: 150px; margin-left: 14px }
.qmosaic-legend .scale span { position: absolute; left: 8px; white-space: nowrap;
  transform: translateY(-50%) }
"""
"""How pages of maps look."""


def leaflet(name: str) -> bytes:
    """Give a file of Leaflet, ``leaflet.js``."""
    installed = needed("xstatic.pkg.leaflet", "map", "maps")
    return (Path(installed.BASE_DIR) / name).read_bytes()


@functools.cache
def leaflet_css() -> str:
    """Give Leaflet's style with its pictures in it."""

    def inline(found: re.Match[str]) -> str:
        encoded = base64.b64encode(leaflet(found[1])).decode()
        return f"url(data:image/png;base64,{encoded})"

    return re.sub(r"url\((images/[\w.-]+\.png)\)", inline, leaflet("leaflet.css").decode())
