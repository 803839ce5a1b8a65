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
from qmosaic.engine.blocks import take_block
from qmosaic.engine.graph.assembling import (
    assemble,
    bytes_of_chunks,
    chunks_per_task,
    in_chunks,
    number_dims,
    promise_layer,
    source_layers,
)
from qmosaic.engine.graph.chunks import DeferredChunks, Promise, Stack, overlaps
from qmosaic.engine.graph.deciding import Decision, Outcome
from qmosaic.engine.graph.deferral import Deferred, defer_or_why
from qmosaic.engine.graph.recipes import Key, empty_meta
from qmosaic.engine.graph.views import Window, inside
from qmosaic.engine.kernels import Winners, give, image_at

FEWEST_PIXELS = 2**16
"""The least pixels of a part of a window that is taken by itself."""

Grid = tuple[tuple[int, ...], ...]
"""The sizes of the blocks of a map along each dimension."""


def take(band: Stack, decision: Decision, fill: Any) -> Any:
    """Collect the pixels of the winners from a band, deferred.

    Parameters
    ----------
    band : Stack
        The band: all dimensions of the decision, and possibly more.
    decision : Decision
        The winners.
    fill : scalar
        What a pixel without candidate gets.

    Returns
    -------
    dask.array.Array
        The band of the mosaic: the dtype, dimension order and chunks of the band, without time.
    """
    name = "qmosaic-take-" + tokenize(
        band.array.name, band.dims, band.time, decision.name, decision.dims, fill
    )
    found = defer_or_why(band)
    deferred = found if isinstance(found, Deferred) else None
    why = found if isinstance(found, str) else ""
    layer: dict[Key, Any] | Blockwise
    if deferred is not None and _same_grid(band, deferred.source, decision):
        layer = _take_symbolic(name, band, decision, fill, deferred)
    else:
        layer = _take_written_out(name, band, decision, fill, found)
    upstream = [decision, *([band.array] if deferred is None else [])]
    beneath = [] if deferred is None else deferred.upstream
    sources = promise_layer(band, why)[1] if deferred is None else source_layers([deferred])
    graph = assemble(name, layer, sources, upstream, beneath)
    meta = empty_meta(len(band.map_dims), band.array.dtype)
    grid = band.map_chunks if deferred is None else deferred.source.map_chunks
    return in_chunks(da.Array(graph, name, grid, meta=meta), band.map_chunks)


def _same_grid(band: Stack, source: DeferredChunks, decision: Decision) -> bool:
    chunks = dict(zip(band.map_dims, source.map_chunks, strict=True))
    return all(chunks[d] == c for d, c in zip(decision.dims, decision.chunks, strict=True))


def _take_symbolic(
    name: str, band: Stack, decision: Decision, fill: Any, deferred: Deferred
) -> Blockwise:
    letters = number_dims(band.map_dims, band.map_dims)
    return blockwise(
        TakeTask(fill, band.map_dims, _spread(band, decision.dims)),
        name,
        letters,
        ArrayBlockIdDep(deferred.source.map_chunks),
        letters,
        TaskRef(deferred.key),
        None,
        decision.name,
        number_dims(decision.dims, band.map_dims),
        numblocks=decision.numblocks(),
    )


@dataclass(frozen=True)
class TakeTask:
    """What the tasks that take a band have in common; each is called with its block.

    Attributes
    ----------
    fill : scalar
        What a pixel without candidate gets.
    dims : tuple of hashable
        The dimensions of the band, without time.
    spread : _Spread
        How the winners are laid over an image of the band.
    """

    fill: Any
    dims: tuple[Hashable, ...]
    spread: _Spread

    def __call__(self, block: tuple[int, ...], source: DeferredChunks, outcome: Outcome) -> Array:
        return self.over(source.window(block), [source], [outcome])

    def over(self, window: Window, sources: Sequence[Any], values: Sequence[Outcome]) -> Array:
        """Take the winners' pixels in a window of the map.

        Chunk by chunk of the sources, where it has several: of each only images that win there.
        """
        (source,), (outcome,) = sources, values
        cells = source.cells(window, FEWEST_PIXELS)
        if len(cells) == 1 or not self.spread.same:
            spread = None if self.spread.same else self.spread.apply
            return take_block(source.open(window), outcome.winners, self.fill, spread)
        out: Array = np.empty([stop - start for start, stop in window], source.dtype)
        for cell in cells:
            at = inside(cell, window)
            index = np.ascontiguousarray(outcome.index[at])
            out[at] = take_block(source.open(cell), Winners(index), self.fill)
        return out


@dataclass(frozen=True)
class TakePieces:
    """The same where blocks of the band and of the decision differ: what winners there are under a
    block is put together.

    Attributes
    ----------
    task : TakeTask
        What is done.
    index_dims : tuple of hashable
        The dimensions of the decision.
    """

    task: TakeTask
    index_dims: tuple[Hashable, ...]

    def over_pieces(self) -> tuple[TakeTask, tuple[Hashable, ...]]:
        """Give what is done for any window, and the dimensions of the decision."""
        return self.task, self.index_dims

    def __call__(
        self,
        block: tuple[int, ...],
        shape: tuple[int, ...],
        placing: Placing,
        source: DeferredChunks,
        *outcomes: Outcome,
    ) -> Array:
        winners = _piece_together(shape, placing, outcomes)
        over = None if self.task.spread.same else self.task.spread.apply
        return take_block(source.of_block(block), winners, self.task.fill, over)


def _take_written_out(
    name: str, band: Stack, decision: Decision, fill: Any, found: Deferred | str
) -> dict[Key, Any]:
    spread = _spread(band, decision.dims)
    run = TakePieces(TakeTask(fill, band.map_dims, spread), decision.dims)
    tasks: dict[Key, Any] = {}
    grid = band.map_chunks if isinstance(found, str) else found.source.map_chunks
    for block in itertools.product(*(range(len(sizes)) for sizes in grid)):
        window = _windows(band, grid, decision, block)
        refs = [TaskRef((decision.name, *w.block)) for w in window]
        placing = tuple((w.source, w.target) for w in window)
        shape = _index_shape(band, grid, decision.dims, block)
        if isinstance(found, str):
            size = chunks_per_task([found])
            _take_tree(tasks, name, band, block, (shape, placing, spread), fill, refs, size)
        else:
            key = (name, *block)
            tasks[key] = Task(key, run, block, shape, placing, TaskRef(found.key), *refs)
    return tasks


@dataclass(frozen=True)
class _Window:
    """The part of an index block that lies under a block of a band."""

    block: tuple[int, ...]
    source: tuple[slice, ...]
    target: tuple[slice, ...]


def _windows(band: Stack, grid: Grid, decision: Decision, block: tuple[int, ...]) -> list[_Window]:
    """Find the blocks of a decision under a block of a band: one, where chunks are the same."""
    per_dim = []
    for axis, dim in enumerate(decision.dims):
        at = band.map_dims.index(dim)
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
    band: Stack, grid: Grid, index_dims: tuple[Hashable, ...], block: tuple[int, ...]
) -> tuple[int, ...]:
    shape = [sizes[n] for sizes, n in zip(grid, block, strict=True)]
    return tuple(shape[band.map_dims.index(d)] for d in index_dims)


@dataclass(frozen=True)
class _Spread:
    """How an index is laid over an image of a band that has its dimensions in another order."""

    axes: tuple[int, ...]
    missing: tuple[int, ...]

    @property
    def same(self) -> bool:
        """Whether the image has the dimensions of the index, in their order."""
        return not self.missing and self.axes == tuple(range(len(self.axes)))

    def apply(self, index: Array) -> Array:
        """Transpose, and add dimensions of length 1 where the index has none."""
        return np.expand_dims(index.transpose(self.axes), self.missing)


def _spread(band: Stack, index_dims: tuple[Hashable, ...]) -> _Spread:
    present = [d for d in band.map_dims if d in index_dims]
    missing = tuple(i for i, d in enumerate(band.map_dims) if d not in index_dims)
    return _Spread(tuple(index_dims.index(d) for d in present), missing)


Placing = tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]


def _piece_together(
    shape: tuple[int, ...], placing: Placing, outcomes: Sequence[Outcome]
) -> Winners:
    """Cut and join the winners of blocks of the map to those under one block of a band."""
    first = outcomes[0]
    if len(outcomes) == 1 and first.index.shape == shape:
        return first.winners
    out: Array = np.empty(shape, first.index.dtype)
    for (source, target), outcome in zip(placing, outcomes, strict=True):
        out[target] = outcome.index[source]
    return Winners(out)


def _take_tree(
    tasks: dict[Key, Any],
    name: str,
    band: Stack,
    block: tuple[int, ...],
    laying: tuple[tuple[int, ...], Placing, _Spread],
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
    laying: tuple[tuple[int, ...], Placing, _Spread],
    promise: Promise,
    previous: Array | None,
    index_blocks: int,
    reads: int,
    *arrays: Any,
) -> Array:
    """Put the winners of a few chunks of time into a block; `reads`, their size, is for
    `survey`."""
    index_shape, placing, spread = laying
    winners = _piece_together(index_shape, placing, arrays[:index_blocks])
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
