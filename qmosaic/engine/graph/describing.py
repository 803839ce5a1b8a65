"""How the chunks of a band come, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dask._task_spec import DataNode, GraphNode

from qmosaic.engine.graph.chunks import DeferredChunks
from qmosaic.engine.graph.counting import spread_over
from qmosaic.engine.graph.lanes import Opened
from qmosaic.engine.graph.lowering import GETTERS, MADE, View, opened_by, view_of
from qmosaic.engine.graph.recipes import Key, Nodes, value_in
from qmosaic.engine.graph.walking import is_read
from qmosaic.engine.graph.windows import Around

FAST = "tensorstore"
"""Reads in threads of C++."""

CHUNKS = 8
"""So many chunks of time are looked at."""

SLICED = "slices, as "
"""Whatever has opened it reads it."""


def lane_of(source: DeferredChunks, extra: Mapping[Key, GraphNode]) -> str:
    """Say how the chunks of a band come, and why not through tensorstore.

    Parameters
    ----------
    source : DeferredChunks
        The band.
    extra : mapping
        The tasks that stand behind single blocks.

    Returns
    -------
    str
        "tensorstore" where all that is read comes by it; else all the ways, joined by "and".
    """
    ways = dict.fromkeys(_ways(source, _some_chunks(source), extra)) or {SLICED + MADE: None}
    return " and ".join(sorted(ways, key=lambda way: way != FAST))


def _some_chunks(source: DeferredChunks) -> list[Key]:
    """Name some of the chunks over the first block of the map: images may be of several sources."""
    block = (0,) * len(source.map_chunks)
    return [source.key(block, n) for n in spread_over(len(source.time_chunks), CHUNKS)]


def _ways(
    source: DeferredChunks | Around, keys: list[Key], extra: Mapping[Key, GraphNode]
) -> Iterator[str]:
    """Give the way of everything that is read for some chunks of an array."""
    view = view_of(source.recipes, source.name)
    if view is not None:
        yield from _ways_of_view(view)
        return
    nodes: Nodes = {}
    try:
        source.recipes.expand(keys, nodes, extra)
    except KeyError:
        yield SLICED + "its chunks lie in memory"
        return
    for node in nodes.values():
        if getattr(node, "func", None) in GETTERS and len(getattr(node, "args", ())) >= 2:
            yield _named(opened_by(source.recipes, value_in(node.args[0], nodes)))
        elif is_read(node):
            yield SLICED + MADE
        elif isinstance(node, DataNode) and isinstance(node.value, Around):
            yield from _ways_around(node.value)


def _ways_of_view(view: View) -> Iterator[str]:
    for number, step in enumerate(view.steps):
        around = [value for value in step.fixed.values() if isinstance(value, Around)]
        for inner in around:
            yield from _ways_around(inner)
        if step.reads and not around:
            yield _named(view.opened(number))


def _ways_around(around: Around) -> Iterator[str]:
    yield from _ways(around, [(around.name, *(0 for _ in around.chunks))], {})


def _named(opened: Opened | str) -> str:
    return SLICED + opened if isinstance(opened, str) else FAST
