"""How chunks are made: symbolic layers, and tasks that are written out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dask._task_spec import DataNode, GraphNode, TaskRef, convert_legacy_graph
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph

from qmosaic.collection.masks import Array

Key = Hashable


Nodes = dict[Key, GraphNode]


Said = tuple[tuple[tuple[int, ...], ...], Any]
"""What dask says of an array: its chunks, and its dtype."""


def layer_of(key: Key) -> Any:
    return key[0] if isinstance(key, tuple) and key else key


@dataclass(eq=False)
class Recipes:
    """How to make the chunks of an array: symbolic layers, and tasks that are written out.

    Attributes
    ----------
    symbolic : dict
        The layers that are not written out.
    tasks : dict
        The others, task by task.
    futures : dict
        Keys whose values live elsewhere already.
    arrays : dict
        The chunks and the dtype of each array in the graph, by its name, where they are known.
    layers, rests_on : dict
        The layers of graphs that are made of layers, and the names of those that each rests on.
    """

    symbolic: dict[str, Blockwise]
    tasks: Nodes
    futures: dict[Key, Any] = field(default_factory=dict)
    arrays: dict[Any, Said] = field(default_factory=dict)
    layers: dict[Any, Any] = field(default_factory=dict)
    rests_on: dict[Any, set[Any]] = field(default_factory=dict)

    def behind(self, name: Any) -> dict[Any, Any]:
        """Give the layer that makes an array, and all behind it, by their names; none where the
        graph does not tell."""
        found: dict[Any, Any] = {}
        todo = [name]
        while todo:
            one = todo.pop()
            if one in found:
                continue
            if one not in self.layers or one not in self.rests_on:
                return {}
            found[one] = self.layers[one]
            todo.extend(self.rests_on[one])
        return found

    def expand(self, keys: Iterable[Key], nodes: Nodes, extra: Mapping[Key, GraphNode]) -> None:
        """Write out all tasks behind `keys` into `nodes`.

        Raises
        ------
        KeyError
            A task is nowhere to be found: its result lives elsewhere (a Future).
        """
        todo = {key for key in keys if key not in nodes}
        while todo:
            new = self._write_out(todo, extra)
            nodes.update(new)
            todo = {d for node in new.values() for d in node.dependencies if d not in nodes}

    def _write_out(self, keys: set[Key], extra: Mapping[Key, GraphNode]) -> Nodes:
        by_layer: dict[str, set[Key]] = defaultdict(set)
        new: Nodes = {}
        for key in keys:
            layer = layer_of(key)
            if isinstance(layer, str) and layer in self.symbolic:
                by_layer[layer].add(key)
            elif key in self.futures:
                continue
            else:
                new[key] = extra[key] if key in extra else self.tasks[key]
        for layer, wanted in by_layer.items():
            culled, _ = self.symbolic[layer].cull(wanted, ())
            written = dict(culled)
            new.update({key: written[key] for key in wanted})
        return new


def _is_future(value: object) -> bool:
    return isinstance(value, TaskRef) or (hasattr(value, "key") and hasattr(value, "client"))


def sort_graphs(*graphs: Any) -> Recipes:
    """Sort graphs into symbolic layers, tasks and Futures."""
    layers: dict[Any, Any] = {}
    rests_on: dict[Any, set[Any]] = {}
    for number, graph in enumerate(graphs):
        if isinstance(graph, HighLevelGraph):
            layers.update(graph.layers)
            rests_on.update(graph.dependencies)
        else:
            layers[number] = graph
    symbolic = {layer.output: layer for layer in layers.values() if isinstance(layer, Blockwise)}
    plain: dict[Key, Any] = {}
    for layer in layers.values():
        if not isinstance(layer, Blockwise):
            plain.update(layer)
    futures = {key: value for key, value in plain.items() if _is_future(value)}
    for key in futures:
        del plain[key]
    arrays = {name: said for name, layer in layers.items() if (said := _said_of(layer))}
    nodes = _as_nodes(plain, symbolic, futures)
    return Recipes(symbolic, nodes, futures, arrays, layers, rests_on)


def _said_of(layer: Any) -> Said | None:
    """Give the chunks and the dtype of the array that a layer makes, which dask notes there to show
    them."""
    noted = getattr(layer, "collection_annotations", None) or {}
    chunks, dtype = noted.get("chunks"), noted.get("dtype")
    if chunks is None or any(n != n for sizes in chunks for n in sizes):
        return None
    return chunks, None if dtype is None else np.dtype(dtype)


def _as_nodes(
    plain: dict[Key, Any], symbolic: Mapping[str, Blockwise], elsewhere: Iterable[Key]
) -> Nodes:
    """Turn what stands in a graph into task objects; older libraries write tuples, which may name
    what lies elsewhere."""
    legacy = {
        key: value
        for key, value in plain.items()
        if not isinstance(value, GraphNode) and isinstance(value, tuple | list | dict | str)
    }
    nodes: Nodes = {
        key: value if isinstance(value, GraphNode) else DataNode(key, value)
        for key, value in plain.items()
        if key not in legacy
    }
    if legacy:
        known = set(plain).union(
            elsewhere, *(layer.get_output_keys() for layer in symbolic.values())
        )
        nodes.update(convert_legacy_graph(legacy, known))
    return nodes


def empty_meta(ndim: int, dtype: Any) -> Array:
    return np.empty((0,) * ndim, dtype)
