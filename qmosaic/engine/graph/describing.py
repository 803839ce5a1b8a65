"""How the chunks of a band come, in words."""

from __future__ import annotations

from collections.abc import Iterator

from qmosaic.engine.graph.chunks import DeferredChunks
from qmosaic.engine.graph.lanes import Opened
from qmosaic.engine.graph.views import MADE, ByChunk, Held, Sliced, View, reached

FAST = "tensorstore"
"""Reads in threads of C++."""

SLICED = "slices, as "
"""Whatever has opened it reads it."""

LOOKED_AT = 64
"""So many sources of a band are looked at, the first and the last among them."""


def lane_of(source: DeferredChunks) -> str:
    """Say how the chunks of a band come, and why not through tensorstore.

    Returns
    -------
    str
        "tensorstore" where all that is read comes by it; else all the ways, joined by "and".
    """
    ways = dict.fromkeys(_ways(source.view)) or {SLICED + MADE: None}
    return " and ".join(sorted(ways, key=lambda way: way != FAST))


def _ways(view: View) -> Iterator[str]:
    sources = [v for v in reached(view) if isinstance(v, Sliced | ByChunk | Held)]
    for one in sources[: LOOKED_AT // 2] + sources[LOOKED_AT // 2 :][-LOOKED_AT // 2 :]:
        if isinstance(one, Held):
            continue
        if isinstance(one, Sliced) or one.reads:
            opened = one.opened()
            yield FAST if isinstance(opened, Opened) else SLICED + opened
