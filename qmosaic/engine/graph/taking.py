"""The layer that takes: the pixels of the winners from a band."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Task, TaskRef
from dask.base import tokenize
from dask.blockwise import Blockwise, blockwise
from dask.layers import ArrayBlockIdDep

from qmosaic.collection.masks import Array
from qmosaic.engine.blocks import Outcome
from qmosaic.engine.graph.assembling import (
    assemble,
    bytes_of_chunks,
    chunks_per_task,
    in_chunks,
    number_dims,
    promise_layer,
    source_layers,
)
from qmosaic.engine.graph.chunks import DeferredChunks, Promise, Stack, overlaps, promise_of
from qmosaic.engine.graph.deciding import Decision
from qmosaic.engine.graph.deferral import Bands, Deferred
from qmosaic.engine.graph.given import ChunkNumber, GivenChunks, bytes_of, chunks_behind, keys_of
from qmosaic.engine.graph.recipes import Key, empty_meta
from qmosaic.engine.kernels import give, image_at
from qmosaic.engine.members import Members, Part, join
from qmosaic.engine.reducing import Reducer
from qmosaic.engine.takers import RANK, Spread, TakeTask, spread_over
from qmosaic.engine.within import ReduceTask

Taking = Any
"""What the tasks of the layer call: a `TakeTask` or a `ReduceTask`."""

Grid = tuple[tuple[int, ...], ...]
"""The sizes of the blocks of a map along each dimension."""


def take(band: Stack, decision: Decision, fill: Any, bands: Bands | None = None) -> Any:
    """Collect the pixels of the winners from a band, deferred.

    Parameters
    ----------
    band : Stack
        The band: all dimensions of the map of the decision, and possibly more.
    decision : Decision
        The winners.
    fill : scalar
        What a pixel without candidate gets.
    bands : Bands, optional
        What is known of the bands of the collection already.

    Returns
    -------
    dask.array.Array
        The band of the mosaic: the dtype, dimension order and chunks of the band, without time;
        in front of them the ranks or the periods, where there are such.
    """
    name = "qmosaic-take-" + tokenize(
        band.array.name, band.dims, band.time, decision.name, decision.dims, fill
    )
    task = TakeTask(
        fill,
        (*_front_of(decision), *band.map_dims),
        spread_over(band.map_dims, decision.map_dims),
        decision.ranks is not None,
        decision.periods,
    )
    bands = Bands() if bands is None else bands
    return _make(name, band, decision, task, band.array.dtype, bands)


def reduce(
    band: Stack, decision: Decision, reducer: Reducer, fill: Any, bands: Bands | None = None
) -> Any:
    """Reduce a band over the images that count, deferred.

    Parameters
    ----------
    band : Stack
        The band: all dimensions of the map of the decision, and possibly more.
    decision : Decision
        Which images count; `within.Near` has decided it.
    reducer : Reducer
        What is made of their values.
    fill : scalar
        What a pixel gets at which no value counts.
    bands : Bands, optional
        What is known of the bands of the collection already.

    Returns
    -------
    dask.array.Array
        As `take` gives it, in the dtype of the reducer.
    """
    name = "qmosaic-reduce-" + tokenize(
        band.array.name, band.dims, band.time, band.nodata, decision.name, reducer, fill
    )
    bands = Bands() if bands is None else bands
    found = [bands.defer(stack) for stack in decision.stacks]
    again = [one for one in found if isinstance(one, Deferred)]
    known = len(again) < len(found)  # outcomes say all, as nothing could be read again
    task = ReduceTask(
        reducer,
        band.nodata,
        fill,
        (*_front_of(decision), *band.map_dims),
        spread_over(band.map_dims, decision.map_dims),
        None if known else decision.decider,
        decision.periods,
    )
    dtype = reducer.dtype(band.array.dtype)
    return _make(name, band, decision, task, dtype, bands, () if known else again)


def _make(
    name: str,
    band: Stack,
    decision: Decision,
    task: Taking,
    dtype: Any,
    bands: Bands,
    again: Sequence[Deferred] = (),
) -> Any:
    """Make a layer that takes, or reduces; `again` are further bands that its tasks may read."""
    found = bands.defer(band)
    deferred = found if isinstance(found, Deferred) else None
    why = found if isinstance(found, str) else ""
    grid = band.map_chunks if deferred is None else deferred.source.map_chunks
    front = _front_of(decision)
    full = (*front.values(), *grid)
    layer: dict[Key, Any] | Blockwise
    if deferred is not None and _same_grid(band, deferred.source, decision):
        layer = _take_symbolic(name, task, full, decision, [deferred, *again])
    else:
        layer = _take_written_out(name, band, decision, task, full, found, again)
    own = [] if deferred is None else [deferred]
    upstream = [decision, *([band.array] if deferred is None else [])]
    beneath = [array for one in (*own, *again) for array in one.upstream]
    sources = dict(source_layers([*own, *again]))
    if deferred is None:
        sources |= promise_layer(band, why)[1]
    graph = assemble(name, layer, sources, upstream, beneath)
    meta = empty_meta(len(task.dims), dtype)
    made = da.Array(graph, name, full, meta=meta)
    return in_chunks(made, (*front.values(), *band.map_chunks))


def _front_of(decision: Decision) -> dict[Hashable, tuple[int, ...]]:
    """Give the dimension in front of those of the map, and its chunks, where there is one."""
    if decision.ranks is not None:
        return {RANK: (decision.ranks,)}
    if decision.periods is not None:
        return {decision.periods.dim: decision.chunks[0]}
    return {}


def _same_grid(band: Stack, source: DeferredChunks, decision: Decision) -> bool:
    chunks = dict(zip(band.map_dims, source.map_chunks, strict=True))
    pairs = zip(decision.dims, decision.chunks, strict=True)
    return all(chunks.get(d, c) == c for d, c in pairs)


def _take_symbolic(
    name: str,
    task: Taking,
    grid: Grid,
    decision: Decision,
    deferred: Sequence[Deferred],
) -> Blockwise:
    letters = number_dims(task.dims, task.dims)
    return blockwise(
        task,
        name,
        letters,
        ArrayBlockIdDep(grid),
        letters,
        *itertools.chain.from_iterable((TaskRef(d.key), None) for d in deferred),
        decision.name,
        number_dims(decision.dims, task.dims),
        numblocks=decision.numblocks(),
    )


@dataclass(frozen=True)
class TakePieces:
    """The same where blocks of the band and of the decision differ: what winners there are under a
    block is put together.

    Attributes
    ----------
    task : Taking
        What is done.
    index_dims : tuple of hashable
        The dimensions of the decision.
    sources : int
        How many bands are read.
    """

    task: Taking
    index_dims: tuple[Hashable, ...]
    sources: int = 1

    def over_pieces(self) -> tuple[Taking, tuple[Hashable, ...], int]:
        """Give what is done for any window, the dimensions of the decision, and how many bands are
        read."""
        return self.task, self.index_dims, self.sources

    def __call__(
        self,
        block: tuple[int, ...],
        shape: tuple[int, ...],
        placing: Placing,
        *given: Any,
    ) -> Array:
        sources, outcomes = given[: self.sources], given[self.sources :]
        made: Array = self.task(block, *sources, _piece_together(shape, placing, outcomes))
        return made


def _take_written_out(
    name: str,
    band: Stack,
    decision: Decision,
    task: Taking,
    grid: Grid,
    found: Deferred | str,
    again: Sequence[Deferred],
) -> dict[Key, Any]:
    run = TakePieces(task, decision.dims, 1 + len(again))
    further = [TaskRef(one.key) for one in again]
    tasks: dict[Key, Any] = {}
    for block in itertools.product(*(range(len(sizes)) for sizes in grid)):
        parts = _windows(task.dims, grid, decision, block)
        refs = [TaskRef((decision.name, *w.block)) for w in parts]
        placing = tuple((w.source, w.target) for w in parts)
        shape = _index_shape(task.dims, grid, decision.dims, block)
        if not isinstance(found, str):
            key = (name, *block)
            band_ref = TaskRef(found.key)
            tasks[key] = Task(key, run, block, shape, placing, band_ref, *further, *refs)
        elif isinstance(task, ReduceTask) or task.ranked or task.periods is not None:
            laid = (shape, placing)
            tasks[name, *block] = _take_on_chunks(name, band, task, block, laid, refs, further)
        else:
            laying = (shape, placing, task.spread)
            size = chunks_per_task([found])
            _take_tree(tasks, name, band, block, laying, task.fill, refs, size)
    return tasks


def _take_on_chunks(
    name: str,
    band: Stack,
    task: Taking,
    block: tuple[int, ...],
    laid: tuple[tuple[int, ...], Placing],
    refs: Sequence[TaskRef],
    further: Sequence[TaskRef],
) -> Task:
    """Take a block in one task, which is given all its chunks."""
    promise, _ = promise_layer(band)
    window = promise_of(band).window(block[len(task.dims) - len(band.map_dims) :])
    members = None if task.periods is None else task.periods.members[block[0]]
    chunks = chunks_behind(band, window, members)
    key = (name, *block)
    return Task(
        key,
        take_given,
        task,
        block,
        *laid,
        chunks,
        len(further),
        len(refs),
        bytes_of(band, chunks),
        promise,
        *refs,
        *further,
        *map(TaskRef, keys_of(band, chunks)),
    )


def take_given(
    task: Taking,
    block: tuple[int, ...],
    shape: tuple[int, ...],
    placing: Placing,
    numbers: Sequence[ChunkNumber],
    further: int,
    outcomes: int,
    reads: int,
    promise: Promise,
    *given: Any,
) -> Array:
    """Take a block of which the chunks are given, after the outcomes and further sources; `reads`
    is for `survey`."""
    first = outcomes + further
    source = GivenChunks(promise, dict(zip(numbers, given[first:], strict=True)))
    outcome = _piece_together(shape, placing, given[:outcomes])
    made: Array = task(block, source, *given[outcomes:first], outcome)
    return made


@dataclass(frozen=True)
class _Window:
    """The part of an index block that lies under a block of a band."""

    block: tuple[int, ...]
    source: tuple[slice, ...]
    target: tuple[slice, ...]


def _windows(
    dims: tuple[Hashable, ...], grid: Grid, decision: Decision, block: tuple[int, ...]
) -> list[_Window]:
    """Find the blocks of a decision under a block of a band: one, where chunks are the same."""
    per_dim = []
    for axis, dim in enumerate(decision.dims):
        at = dims.index(dim)
        sizes = grid[at]
        start = sum(sizes[: block[at]])
        per_dim.append(list(overlaps(decision.chunks[axis], start, start + sizes[block[at]])))
    return [
        _Window(
            tuple(p[0] for p in parts),
            tuple(p[1] for p in parts),
            tuple(p[2] for p in parts),
        )
        for parts in itertools.product(*per_dim)
    ]


def _index_shape(
    dims: tuple[Hashable, ...],
    grid: Grid,
    index_dims: tuple[Hashable, ...],
    block: tuple[int, ...],
) -> tuple[int, ...]:
    shape = [sizes[n] for sizes, n in zip(grid, block, strict=True)]
    return tuple(shape[dims.index(d)] for d in index_dims)


Placing = tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]


def _piece_together(
    shape: tuple[int, ...], placing: Placing, outcomes: Sequence[Outcome]
) -> Outcome:
    """Cut and join the winners of blocks of the map to those under one block of a band."""
    first = outcomes[0]
    ranks = first.index.shape[: first.index.ndim - len(shape)]
    if len(outcomes) == 1 and first.index.shape == (*ranks, *shape):
        return first

    def joined(name: str) -> Any:
        out: Any = np.empty((*ranks, *shape), getattr(first, name).dtype)
        for (source, target), outcome in zip(placing, outcomes, strict=True):
            piece: Any = getattr(outcome, name)
            out[(..., *target)] = piece[(..., *source)]
        return out

    if first.members is None:
        return Outcome(first.best, joined("index"))  # nobody asks for the scores
    return Outcome(
        joined("best"), joined("index"), members=_joined_members(shape, placing, outcomes)
    )


def _joined_members(
    shape: tuple[int, ...], placing: Placing, outcomes: Sequence[Outcome]
) -> list[Members]:
    """Cut and join which images count: in each period, or once."""
    first = outcomes[0].members
    front = len(shape) - first[0].counts.ndim if first else 1
    found: list[list[tuple[Part, Members]]] = [[] for _ in range(shape[0] if front else 1)]
    once = slice(0, 1)
    for (source, target), outcome in zip(placing, outcomes, strict=True):
        (inner, outer) = (source[0], target[0]) if front else (once, once)
        rows = found[outer.start : outer.stop]
        for row, own in zip(rows, outcome.members[inner], strict=True):
            row.append((target[front:], own.cut(source[front:])))
    return [join(shape[front:], parts) for parts in found]


def _take_tree(
    tasks: dict[Key, Any],
    name: str,
    band: Stack,
    block: tuple[int, ...],
    laying: tuple[tuple[int, ...], Placing, Spread],
    fill: Any,
    index_refs: Sequence[TaskRef],
    size: int,
) -> None:
    """Take by a chain over time: every task puts the winners of a few chunks into the block."""
    previous: Any = None
    promise, _ = promise_layer(band)
    chunks = range(len(band.first_images))
    groups = [chunks[i : i + size] for i in range(0, len(chunks), size)]
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        key = (name, *block) if last else (f"{name}-part", *block, number)
        tasks[key] = Task(
            key,
            take_chunks,
            block,
            tuple(group),
            fill,
            laying,
            promise,
            None if previous is None else TaskRef(previous),
            len(index_refs),
            bytes_of_chunks(band, block, group),
            *index_refs,
            *(TaskRef(band.key(block, c)) for c in group),
        )
        previous = key


def take_chunks(
    block: tuple[int, ...],
    numbers: tuple[int, ...],
    fill: Any,
    laying: tuple[tuple[int, ...], Placing, Spread],
    promise: Promise,
    previous: Array | None,
    index_blocks: int,
    reads: int,
    *arrays: Any,
) -> Array:
    """Put the winners of a few chunks of time into a block; `reads`, their size, is for
    `survey`."""
    index_shape, placing, spread = laying
    winners = _piece_together(index_shape, placing, arrays[:index_blocks]).winners
    won, over = set(winners.positions), spread.apply(winners.index)
    # A task may run twice: what came from another one is copied, never changed.
    shape = promise.block_shape(block)
    out: Array = np.full(shape, fill, promise.dtype) if previous is None else previous.copy()
    mask = np.empty(over.shape, bool)
    for number, chunk in zip(numbers, arrays[index_blocks:], strict=True):
        accepted = promise.accept_chunk(chunk, block, number)
        for i, position in enumerate(promise.positions(number)):
            if position in won:
                image = image_at(accepted, promise.axis, i)
                if spread.same:
                    winners.give(out, image, position, mask)
                else:
                    give(out, over, image, position, mask)
    return out
