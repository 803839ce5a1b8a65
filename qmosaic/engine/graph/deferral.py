"""Whether a band can be deferred: what all blocks of the map share, and what each has alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dask._task_spec import Alias, DataNode, GraphNode, TaskRef
from dask.base import tokenize

from qmosaic.engine.graph.chunks import DeferredChunks, Stack, promise_of
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, layer_of, sort_graphs
from qmosaic.engine.graph.windows import held_around

CHEAP_TASKS = 8
"""The most tasks that may be run again in every block: the opening of a file, a slice of a
weight."""


SMALL_DATA = 2**20
"""The most bytes of data inside a graph that every worker may get a copy of."""


@dataclass
class Deferred:
    """A band in its deferred form.

    Attributes
    ----------
    key : str
        The task that carries the recipe.
    source : DeferredChunks
        The recipe.
    extra : dict
        For each block of the map, the tasks that travel with it.
    """

    key: str
    source: DeferredChunks
    extra: dict[tuple[int, ...], Nodes] = field(default_factory=dict)


def defer(stack: Stack) -> Deferred | None:
    """Put a band into its deferred form, or give None where it has to stay a dependency."""
    recipes = sort_graphs(stack.array.__dask_graph__())
    chunks = range(len(stack.first_images))
    parts = Parts(stack.blocks, lambda block: [stack.key(block, chunk) for chunk in chunks])
    apart = set_apart(recipes, [(stack.array, {stack.axis})], parts)
    if apart is None:
        return None
    shared, extra = apart
    source = DeferredChunks(
        **vars(promise_of(stack)),
        recipes=shared,
        beside=held_around(recipes),
    )
    token = tokenize(stack.array.name, stack.axis, stack.origin.collection)
    return Deferred("qmosaic-source-" + token, source, extra)


@dataclass(frozen=True)
class Parts:
    """Parts of arrays, one by one: what a task works on, and the keys of its chunks."""

    names: Callable[[], Iterable[Any]]
    keys_of: Callable[[Any], list[Key]]

    def items(self) -> Iterator[tuple[Any, list[Key]]]:
        """Give each part and its chunks; never all of them at once."""
        for name in self.names():
            yield name, self.keys_of(name)


def set_apart(
    recipes: Recipes,
    arrays: Sequence[tuple[Any, set[int]]],
    parts: Parts,
    *,
    again: float = 1.0,
) -> tuple[Recipes, dict[Any, Nodes]] | None:
    """Divide what is behind some arrays into what all parts share and what each has alone.

    Parameters
    ----------
    recipes : Recipes
        What makes the arrays.
    arrays : sequence of (dask.array.Array, set of int)
        The arrays, and the axes along which a part has all chunks.
    parts : Parts
        The chunks of each part.
    again : float, default: 1
        How often symbolic chunks may be made on average, where nothing but cuts of them stands
        between them and the parts.

    Returns
    -------
    (Recipes, dict) or None
        None where parts share what is costly, or where chunks live elsewhere.
    """
    if recipes.futures:
        return None
    shared: Nodes = {}
    written_out = False
    for array, whole in arrays:
        traced = _trace(array, whole, recipes)
        cheap = None if traced is None else _cheap(recipes, traced.shared)
        if traced is None or cheap is None:
            return None
        shared.update(cheap)
        written_out |= traced.written_out
    extra: dict[Any, Nodes] = {}
    if written_out:
        split = _split(parts, recipes, shared, again)
        if split is None:
            return None
        extra, more = split
        shared.update(more)
    symbolic = recipes.symbolic
    if not written_out:
        behind = _behind(recipes, [array.name for array, _ in arrays], shared)
        symbolic = {name: layer for name, layer in symbolic.items() if name in behind}
    return Recipes(symbolic, shared), extra


def _behind(recipes: Recipes, names: Iterable[str], shared: Nodes) -> set[str]:
    """Name the symbolic layers that arrays and some tasks rest on."""
    found: set[str] = set()
    todo = [*names, *(layer_of(d) for node in shared.values() for d in node.dependencies)]
    while todo:
        name = todo.pop()
        if name in recipes.symbolic and name not in found:
            found.add(name)
            inputs = [source for source, _ in recipes.symbolic[name].indices]
            keys = [i.key if isinstance(i, TaskRef) else i for i in inputs]
            todo += [k for k in map(layer_of, keys) if isinstance(k, str)]
    return found


@dataclass
class _Traced:
    """What the symbolic layers of a band rest on.

    Attributes
    ----------
    shared : set
        Keys that several blocks of the map use, small by the way they are used.
    written_out : bool
        Whether layers that are written out stand behind single parts.
    """

    shared: set[Key]
    written_out: bool


def _trace(array: Any, whole: set[int], recipes: Recipes) -> _Traced | None:
    """Follow the blocks of the map down the symbolic layers.

    For each array on the way it is known which of its dimensions follows which axis of the
    band. An array that does not follow all axes of the map is used by several blocks: it is small
    if that comes from broadcasting, and else a reason not to defer.
    """
    needed = {a for a, n in enumerate(array.numblocks) if n > 1 and a not in whole}
    traced = _Traced(set(), array.name not in recipes.symbolic)
    todo: list[tuple[str, tuple[int | None, ...]]] = [(array.name, tuple(range(array.ndim)))]
    seen = set(todo)
    while todo:
        name, follows = todo.pop()
        if name not in recipes.symbolic:
            continue
        layer = recipes.symbolic[name]
        axis_of = dict(zip(layer.output_indices, follows, strict=True))
        for source, letters in layer.indices:
            if letters is None:
                if isinstance(source, TaskRef):
                    traced.shared.add(source.key)
                continue
            if source in layer.io_deps:
                continue
            if any(letter not in axis_of for letter in letters):
                return None  # a contraction: one block rests on many
            blocks = layer.numblocks[source]
            step = tuple(
                axis_of[letter] if count > 1 else None
                for letter, count in zip(letters, blocks, strict=True)
            )
            if not needed <= set(step):
                traced.shared.update(
                    (source, *c) for c in itertools.product(*(range(n) for n in blocks))
                )
            elif source not in recipes.symbolic:
                traced.written_out = True
            elif (source, step) not in seen:
                seen.add((source, step))
                todo.append((source, step))
    return traced


def _cheap(recipes: Recipes, keys: Iterable[Key]) -> Nodes | None:
    """Write out the tasks behind small shared values; None where one of them costs too much."""
    found: Nodes = {}
    for key in keys:
        nodes: Nodes = {}
        try:
            recipes.expand([key], nodes, {})
        except KeyError:
            return None
        if len(nodes) > CHEAP_TASKS or sum(map(_data_size, nodes.values())) > SMALL_DATA:
            return None
        found.update({k: n for k, n in nodes.items() if k in recipes.tasks})
    return found


def _data_size(node: GraphNode) -> int:
    return int(node.value.nbytes) if _is_data(node) else 0


def _is_data(node: GraphNode) -> bool:
    return isinstance(node, DataNode) and isinstance(node.value, np.ndarray)


def _holds_pixels(node: GraphNode) -> bool:
    """Tell data of a map from numbers of which there is one for each image."""
    return _is_data(node) and sum(size > 1 for size in node.value.shape) > 1


def _split(
    parts: Parts, recipes: Recipes, shared: Nodes, most: float
) -> tuple[dict[Any, Nodes], Nodes] | None:
    """Cut the tasks that are written out into those of each part.

    Returns
    -------
    (dict, dict) or None
        The tasks of each part and those that several of them use; None where the latter are
        costly, or where chunks lie in memory.
    """
    seen: set[Key] = set()
    extra: dict[Any, Nodes] = {}
    more: Nodes = {}
    made = {"once": 0, "again": 0}
    for part, keys in parts.items():
        nodes: Nodes = {}
        try:
            recipes.expand(keys, nodes, {})
        except KeyError:
            return None
        again = {k for k in nodes if k in seen and k not in shared and k not in more}
        if most > 1:
            repeated = {k for k in again if _is_chunk(k) and _may_be_made_again(k, nodes, recipes)}
            made["again"] += sum(k not in recipes.tasks for k in repeated)
            made["once"] += sum(
                k not in seen and k not in recipes.tasks and _is_chunk(k) for k in nodes
            )
            again -= repeated
        if any(_is_chunk(k) and not _is_constant(nodes[k], nodes) for k in again):
            return None
        cheap = _cheap(recipes, again)
        if cheap is None:
            return None
        more.update(cheap)
        own = {k: n for k, n in nodes.items() if k in recipes.tasks and k not in shared}
        if any(_holds_pixels(n) and _is_chunk(k) for k, n in own.items() if k not in more):
            return None
        seen.update(nodes)
        extra[part] = own
    if made["again"] > (most - 1) * made["once"]:
        return None
    return {b: {k: n for k, n in own.items() if k not in more} for b, own in extra.items()}, more


def _may_be_made_again(key: Key, nodes: Nodes, recipes: Recipes) -> bool:
    """Whether a chunk is symbolic, as the blocks of a mosaic are, or a cut of another chunk."""
    if key not in recipes.tasks:
        return True
    node = nodes[key]
    is_cut = getattr(getattr(node, "func", None), "__name__", "") == "getitem"
    return len(node.dependencies) == 1 and (is_cut or isinstance(node, Alias))


def _is_chunk(key: Key) -> bool:
    """Whether a key looks like that of a chunk with two dimensions or more."""
    return isinstance(key, tuple) and len(key) > 2 and all(isinstance(i, int) for i in key[1:])


def _is_constant(node: GraphNode, nodes: Nodes) -> bool:
    """Whether a task has no inputs but small data: an empty image, a constant."""
    if _is_data(node):
        return _data_size(node) <= SMALL_DATA
    return False
