"""What the layers of decisions and of bands have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from dask.base import tokenize
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph

from qmosaic.engine.graph.chunks import Stack, promise_of
from qmosaic.engine.graph.deferral import Deferred
from qmosaic.engine.graph.making_views import IN_MEMORY
from qmosaic.engine.graph.recipes import Key, layer_of
from qmosaic.engine.scheduling import rechunk

CHUNKS_PER_TASK = 4

CHUNKS_IN_MEMORY = 16
"""The same of chunks that lie in memory already: a task need not hold any of them."""


PARTIALS_PER_TASK = 8


def chunks_per_task(why: Iterable[str]) -> int:
    """Say how many chunks a task of a reduction over time is given, by why bands are reduced so."""
    in_memory = {reason for reason in why if reason} == {IN_MEMORY}
    return CHUNKS_IN_MEMORY if in_memory else CHUNKS_PER_TASK


def number_dims(dims: Sequence[Hashable], among: Sequence[Hashable]) -> tuple[int, ...]:
    """Number dimensions for dask's Blockwise, which sorts its indices."""
    return tuple(among.index(d) for d in dims)


def source_layers(deferred: Iterable[Deferred]) -> dict[str, Any]:
    """Give the layers that bands in their deferred form take."""
    return {name: layer for one in deferred for name, layer in one.layers.items()}


def promise_layer(stack: Stack, why: str = "") -> tuple[TaskRef, dict[str, Any]]:
    """Put what a band promises of its chunks into the graph, once for all tasks that check them.

    Returns
    -------
    (TaskRef, dict)
        What tasks refer to, and the layer.
    """
    key = "qmosaic-promise-" + tokenize(stack.array.name, stack.axis, stack.nodata, stack.origin)
    return TaskRef(key), {key: {key: DataNode(key, promise_of(stack, why))}}


def assemble(
    name: str,
    tasks: dict[Key, Any] | Blockwise,
    sources: Mapping[str, Any],
    upstream: Sequence[Any],
    beneath: Sequence[Any] = (),
) -> HighLevelGraph:
    """Put a layer on top of the recipes and of the arrays that it depends on; `beneath` are those
    on which recipes alone rest.

    A Blockwise layer that depends on another one which it does not name is more than dask can join.
    """
    layers: dict[str, Any] = {}
    dependencies: dict[str, set[str]] = {}
    own, below = (_take_in(arrays, layers, dependencies) for arrays in (upstream, beneath))
    for source, layer in sources.items():
        layers[source] = layer
        dependencies[source] = _layers_below(layer, layers, sources, below)
    layers[name] = tasks
    dependencies[name] = own | set(sources)
    return HighLevelGraph(layers, dependencies)


def _take_in(
    arrays: Iterable[Any], layers: dict[str, Any], dependencies: dict[str, set[str]]
) -> set[str]:
    """Add the graphs of arrays; name their own layers."""
    own: set[str] = set()
    for array in arrays:
        graph = array.__dask_graph__()
        if isinstance(graph, HighLevelGraph):
            layers.update(graph.layers)
            dependencies.update(graph.dependencies)
            own.update(array.__dask_layers__())
        else:
            layers[array.name] = graph
            dependencies[array.name] = set()
            own.add(array.name)
    return own


def _layers_below(
    layer: Mapping[Key, Any],
    layers: Mapping[str, Any],
    sources: Mapping[str, Any],
    beneath: set[str],
) -> set[str]:
    """Name the layers that a source rests on, where something is made first for it."""
    keys = {key for node in layer.values() for key in node.dependencies}
    found = {name for name, other in sources.items() if keys & set(other)}
    for name in {layer_of(key) for key in keys} - found:
        # a graph without layers has the name of the array
        found |= {name} if name in layers else beneath
    return found


def in_chunks(array: Any, chunks: tuple[tuple[int, ...], ...]) -> Any:
    """Give an array the chunks in which it is wanted; nothing changes where it has them."""
    return array if array.chunks == chunks else rechunk(array, chunks)


def say_chunks(graph: HighLevelGraph, name: str, chunks: Any, dtype: Any) -> None:
    """Note the chunks of a layer that is no array of dask, as dask notes those of its arrays."""
    graph.layers[name].collection_annotations = {
        "type": "qmosaic.Decision",
        "chunks": chunks,
        "dtype": dtype,
    }


def bytes_of_chunks(stack: Stack, block: tuple[int, ...], chunks: Iterable[int]) -> int:
    """Give the size of some chunks of time over a block of the map."""
    images = sum(stack.array.chunks[stack.axis][c] for c in chunks)
    return int(images * np.prod(stack.block_shape(block)) * stack.array.dtype.itemsize)


def grow(
    tasks: dict[Key, Any],
    name: str,
    block: tuple[int, ...],
    level: list[Any],
    merge: tuple[Any, ...],
) -> Any:
    """Add the tasks that merge partial outcomes, level by level; give the key of the last."""
    depth = 0
    func, *args = merge
    while len(level) > 1:
        depth += 1
        above = []
        for number, first in enumerate(range(0, len(level), PARTIALS_PER_TASK)):
            key = (name, *block, depth, number)
            refs = [TaskRef(k) for k in level[first : first + PARTIALS_PER_TASK]]
            tasks[key] = Task(key, func, *args, *refs)
            above.append(key)
        level = above
    return level[0]
