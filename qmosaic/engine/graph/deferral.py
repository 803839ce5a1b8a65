"""Whether a band can be deferred: what all blocks of the map share, and what each has alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from dask.base import tokenize

from qmosaic.engine.graph.chunks import DeferredChunks, Stack, promise_of
from qmosaic.engine.graph.making_views import Known, Maker
from qmosaic.engine.graph.recipes import sort_graphs
from qmosaic.engine.graph.sharing import Spans, choose_units, rebuilt
from qmosaic.engine.graph.views import Given, reached
from qmosaic.engine.graph.windows import held_around

BLOCK_BYTES = 4 * 2**20
"""The most bytes of an image that a block has, where chunks are put together so that less is read
again."""


@dataclass
class Deferred:
    """A band in its deferred form.

    Attributes
    ----------
    key : str
        The task that gives the band to those that read it.
    source : DeferredChunks
        The band.
    layers : dict
        The layers of the graph that this takes.
    upstream : list
        The arrays of which something is computed first.
    """

    key: str
    source: DeferredChunks
    layers: dict[str, Any]
    upstream: list[Any]


@dataclass(frozen=True, eq=False)
class Bands:
    """What is known of the bands of one collection, so that it is found out once.

    Attributes
    ----------
    known : Known
        Views of the arrays that bands are made of.
    deferred : dict
        What `defer_or_why` has given.
    """

    known: Known = field(default_factory=Known)
    deferred: dict[Any, Deferred | str] = field(default_factory=dict)

    def defer(self, stack: Stack) -> Deferred | str:
        """Put a band into its deferred form, or say why it has to stay a dependency."""
        token = (stack.array.name, stack.dims, stack.time, str(stack.nodata), stack.origin.band)
        if token not in self.deferred:
            self.deferred[token] = defer_or_why(stack, self.known)
        return self.deferred[token]


def defer(stack: Stack) -> Deferred | None:
    """Put a band into its deferred form, or give None where it has to stay a dependency."""
    found = defer_or_why(stack)
    return None if isinstance(found, str) else found


def defer_or_why(stack: Stack, known: Known | None = None) -> Deferred | str:
    """Put a band into its deferred form, or say why it has to stay a dependency."""
    recipes = sort_graphs(stack.array.__dask_graph__())
    array = stack.array
    view = Maker(recipes, {array.name: (array.chunks, array.dtype)}, known).of_or_why(array.name)
    if isinstance(view, str):
        return view
    pixels = max(1, math.prod(max(c, default=1) for c in stack.map_chunks) * array.dtype.itemsize)
    most = [len(c) for c in stack.map_chunks]
    units, shares = choose_units(
        [view], lambda units: [_spans_of(stack, units)], most, max(1, BLOCK_BYTES // pixels)
    )
    if isinstance(shares, str):
        return shares
    ((view, _),) = shares.roots
    given = [v for v in reached(view) if isinstance(v, Given)]
    promise = vars(promise_of(stack)) | {"map_chunks": _grid(stack.map_chunks, units)}
    before = tuple(one.name for one in given)
    source = DeferredChunks(
        **promise,
        named_chunks=stack.map_chunks,
        view=view,
        beside=held_around(view),
        before=before,
    )
    token = tokenize(array.name, stack.axis, stack.nodata, stack.origin.collection)
    key = "qmosaic-source-" + token
    layers: dict[str, Any] = {key: {key: DataNode(key, source)}}
    if not given:
        return Deferred(key, source, layers, [])
    bare = "qmosaic-bare-source-" + token
    layers = {bare: {bare: DataNode(bare, source)}}
    refs = []
    for number, one in enumerate(given):
        joined = f"qmosaic-first-{number}-{token}"
        counts = tuple(map(len, one.chunks))
        chunks = [TaskRef((one.name, *n)) for n in itertools.product(*map(range, counts))]
        layers[joined] = {joined: Task(joined, join_chunks, counts, *chunks)}
        refs.append(TaskRef(joined))
    layers[key] = {key: Task(key, fill_in, TaskRef(bare), *refs)}
    return Deferred(key, source, layers, [array])


def _grid(chunks: Sequence[tuple[int, ...]], units: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Put so many chunks along each side together."""
    return tuple(
        tuple(sum(sizes[n : n + unit]) for n in range(0, len(sizes), unit))
        for sizes, unit in zip(chunks, units, strict=True)
    )


def _spans_of(stack: Stack, units: Sequence[int]) -> tuple[Spans, ...]:
    """Say what each block of so many chunks needs of a band: all images."""
    found = []
    for axis, sizes in enumerate(_grid(stack.map_chunks, units)):
        starts = (0, *itertools.accumulate(sizes))
        found.append(Spans(axis, tuple(itertools.pairwise(starts))))
    found.insert(stack.axis, Spans(None, ((0, stack.images),)))
    return tuple(found)


def join_chunks(counts: tuple[int, ...], *chunks: Any) -> Any:
    """Put the chunks of an array together."""
    if not counts:
        return np.asarray(chunks[0])
    size = len(chunks) // counts[0]
    axis = -len(counts)
    parts = [join_chunks(counts[1:], *chunks[n * size : (n + 1) * size]) for n in range(counts[0])]
    return np.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def fill_in(source: DeferredChunks, *values: Any) -> DeferredChunks:
    """Give a band what was made first."""
    made = dict(zip(source.before, values, strict=True))
    waiting = [view for view in reached(source.view) if isinstance(view, Given)]
    (view,) = rebuilt([source.view], {id(given): given.full(made[given.name]) for given in waiting})
    return replace(source, view=view, before=())
