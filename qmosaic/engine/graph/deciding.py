"""The layer that decides: the winner of every pixel."""

from __future__ import annotations

import itertools
from collections import ChainMap
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Alias, Task, TaskRef
from dask.base import tokenize
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArrayBlockIdDep

from qmosaic.collection.masks import Array, valid_mask
from qmosaic.collection.pixelwise import of_single_pixels
from qmosaic.engine.blocks import Demand, decide_block
from qmosaic.engine.graph.assembling import (
    assemble,
    bytes_of_chunks,
    chunks_per_task,
    grow,
    in_chunks,
    number_dims,
    promise_layer,
    say_chunks,
    source_layers,
)
from qmosaic.engine.graph.chunks import Promise, Stack
from qmosaic.engine.graph.deferral import Deferred, defer_or_why
from qmosaic.engine.graph.recipes import Key, empty_meta
from qmosaic.engine.graph.views import Window
from qmosaic.engine.kernels import (
    Contest,
    Order,
    Winners,
    best_scores,
    image_at,
    index_dtype,
    look_up,
)
from qmosaic.engine.scheduling import rechunk


def makes_outcomes(function: Any) -> Any:
    """Mark a function of the reduction over time: what it makes are no chunks of an array."""
    function.makes_outcomes = True
    return function


@dataclass(eq=False)
class Outcome:
    """What the tasks of a decision give.

    Attributes
    ----------
    best : array
        The highest scores.
    index : array of int
        The positions of the winners.
    """

    best: Array
    index: Array

    @cached_property
    def winners(self) -> Winners:
        """Who has won; sorted once for all bands."""
        return Winners(self.index)

    def __getstate__(self) -> dict[str, Any]:
        return {"best": self.best, "index": self.index}


@dataclass(frozen=True)
class Decision:
    """The winner of every pixel, deferred.

    Its tasks give scores and winners together, so that the quality band of the mosaic costs no
    second reading; tasks that take bands pick the winners out themselves.

    Attributes
    ----------
    graph : HighLevelGraph
        What makes it.
    name : str
        Its layer.
    dims : tuple of str
        The dimensions of the map.
    chunks : tuple of tuple of int
        The blocks of the map.
    wanted_chunks : tuple of tuple of int
        The chunks in which the mosaic is wanted.
    dtype : numpy.dtype
        That of the scores.
    images : int
        How many images were ranked.
    """

    graph: HighLevelGraph
    name: str
    dims: tuple[Hashable, ...]
    chunks: tuple[tuple[int, ...], ...]
    wanted_chunks: tuple[tuple[int, ...], ...]
    dtype: np.dtype[Any]
    images: int

    def blocks(self) -> Iterator[tuple[int, ...]]:
        """Number the blocks of the map."""
        return itertools.product(*(range(len(c)) for c in self.chunks))

    def index(self) -> Any:
        """Give the positions of the winners along time, -1 for none, as dask array."""
        return self._each("index", index_dtype(self.images), _winners_of)

    def scores(self, fill: Any) -> Any:
        """Give the scores of the winners, `fill` for none, as dask array."""
        return self._each("scores", self.dtype, _scores_of, fill)

    def look_up(self, band: Stack, fill: Any) -> Any:
        """Give every pixel the value of its image in a band that has nothing but time."""
        table = _as_table(band)
        whole = TaskRef((table.name, 0))
        return self._each("look-up", table.dtype, _look_up_in, whole, fill, upstream=[table])

    def _each(
        self, what: str, dtype: Any, func: Callable[..., Any], *args: Any, upstream: Any = ()
    ) -> Any:
        """Run a function on the outcome of every block."""
        given = [a.key if isinstance(a, TaskRef) else a for a in args]
        name = f"qmosaic-{what}-" + tokenize(self.name, given)
        letters = number_dims(self.dims, self.dims)
        rest = tuple(itertools.chain.from_iterable((a, None) for a in args))
        layer = blockwise(
            func, name, letters, self.name, letters, *rest, numblocks=self.numblocks()
        )
        graph = assemble(name, layer, {}, [self, *upstream])
        made = da.Array(graph, name, self.chunks, meta=empty_meta(len(self.dims), dtype))
        return in_chunks(made, self.wanted_chunks)

    def numblocks(self) -> dict[str, tuple[int, ...]]:
        """Count the blocks in each dimension, as dask's Blockwise asks for it."""
        return {self.name: tuple(len(c) for c in self.chunks)}

    def __dask_graph__(self) -> HighLevelGraph:
        """Give the graph, as dask's collections do."""
        return self.graph

    def __dask_layers__(self) -> tuple[str, ...]:
        """Name the layer, as dask's collections do."""
        return (self.name,)


def _as_table(band: Stack) -> Any:
    """Put a band that has nothing but time into one chunk.

    By a layer that is written out: a Blockwise layer that names a single task of another one rests
    on it in a way that dask does not see when it joins Blockwise layers.
    """
    name = "qmosaic-table-" + tokenize(band.array.name, band.nodata, band.origin)
    promise, layer = promise_layer(band)
    chunks = [TaskRef(band.key((), number)) for number in range(len(band.first_images))]
    tasks: dict[Key, Any] = {(name, 0): Task((name, 0), _join_table, promise, *chunks)}
    graph = assemble(name, tasks, layer, [band.array])
    return da.Array(graph, name, ((band.images,),), meta=band.array._meta)


def _join_table(promise: Promise, *chunks: Any) -> Array:
    checked = [promise.accept_chunk(chunk, (), number) for number, chunk in enumerate(chunks)]
    return np.concatenate(checked)


@of_single_pixels
def _winners_of(outcome: Outcome) -> Array:
    return outcome.index


@of_single_pixels
def _scores_of(outcome: Outcome, fill: Any) -> Array:
    return best_scores(outcome.best, outcome.index, fill)


@of_single_pixels
def _look_up_in(outcome: Outcome, values: Array, fill: Any) -> Array:
    return look_up(outcome.index, values, fill)


def decide(
    quality: Stack,
    order: Order,
    demands: Sequence[Stack] = (),
    start: Decision | None = None,
) -> Decision:
    """Name the winner of every pixel, deferred.

    Parameters
    ----------
    quality : Stack
        The quality band.
    order : Order
        How images are ranked.
    demands : sequence of Stack
        Bands that have to be valid in the winner: the dimensions of the quality, in any order.
    start : Decision, optional
        The winners without demands; where they meet the demands, they stay.

    Returns
    -------
    Decision
        In the chunks of the quality, without time.
    """
    demands = [_on_grid_of(quality, demand) for demand in demands]
    stacks = [quality, *demands]
    token = tokenize(
        [(s.array.name, s.dims, s.nodata) for s in stacks],
        quality.time,
        order,
        None if start is None else start.name,
    )
    name = "qmosaic-decide-" + token
    deferred = [defer_or_why(stack) for stack in stacks]
    ready = [d for d in deferred if isinstance(d, Deferred)]
    if len(ready) == len(stacks):
        grid = ready[0].source.map_chunks
        graph = _decide_deferred(name, quality, demands, order, start, ready)
    else:
        grid = quality.map_chunks
        why = ["" if isinstance(d, Deferred) else d for d in deferred]
        graph = _decide_by_reduction(name, quality, demands, order, why)
    dtype = quality.array.dtype
    say_chunks(graph, name, grid, dtype)
    return Decision(graph, name, quality.map_dims, grid, quality.map_chunks, dtype, quality.images)


def _on_grid_of(quality: Stack, demand: Stack) -> Stack:
    """Rechunk a demanded band to the blocks of the quality; nothing changes where it has them."""
    wanted = dict(zip(quality.map_dims, quality.map_chunks, strict=True))
    if all(c == wanted[d] for d, c in zip(demand.map_dims, demand.map_chunks, strict=True)):
        return demand
    chunks = {demand.dims.index(d): c for d, c in wanted.items()}
    return replace(demand, array=rechunk(demand.array, chunks))


def _reorder(block: tuple[int, ...], source: Stack, target: Stack) -> tuple[int, ...]:
    """Number a block of one band's map in the dimension order of another."""
    return tuple(block[source.map_dims.index(d)] for d in target.map_dims)


def _axes_from(source: Stack, target: Stack) -> tuple[int, ...]:
    """Say how to transpose an image of `source` into the dimension order of `target`."""
    return tuple(source.map_dims.index(d) for d in target.map_dims)


def _decide_deferred(
    name: str,
    quality: Stack,
    demands: Sequence[Stack],
    order: Order,
    start: Any,
    deferred: Sequence[Deferred],
) -> HighLevelGraph:
    task = DecideTask(
        order,
        quality.map_dims,
        tuple(d.nodata for d in demands),
        tuple(_axes_from(demand, quality) for demand in demands),
        start is not None,
    )
    letters = number_dims(quality.map_dims, quality.map_dims)
    layer = blockwise(
        task,
        name,
        letters,
        ArrayBlockIdDep(deferred[0].source.map_chunks),
        letters,
        *([] if start is None else [start.name, letters]),
        *itertools.chain.from_iterable((TaskRef(d.key), None) for d in deferred),
        numblocks={} if start is None else start.numblocks(),
    )
    upstream = [] if start is None else [start]
    beneath = [array for d in deferred for array in d.upstream]
    return assemble(name, layer, source_layers(deferred), upstream, beneath)


@dataclass(frozen=True)
class DecideTask:
    """What the tasks of a decision have in common; each is called with its block of the map.

    Attributes
    ----------
    order : Order
        How images are ranked.
    dims : tuple of hashable
        The dimensions of the map.
    nodata : tuple
        That of each demanded band.
    axes : tuple of tuple of int
        How an image of each demanded band is transposed to the quality's.
    started : bool
        Whether the outcome of another decision is given first.
    """

    order: Order
    dims: tuple[Hashable, ...]
    nodata: tuple[Any, ...]
    axes: tuple[tuple[int, ...], ...]
    started: bool

    def __call__(self, block: tuple[int, ...], *inputs: Any) -> Outcome:
        sources = inputs[int(self.started) :]
        return self.over(sources[0].window(block), sources, inputs[: int(self.started)])

    def over(self, window: Window, sources: Sequence[Any], values: Sequence[Any]) -> Outcome:
        """Decide a window of the map.

        Parameters
        ----------
        window : Window
            Which one.
        sources : sequence of DeferredChunks
            The quality, and the demanded bands.
        values : sequence of Outcome
            That of another decision, where there is one.
        """
        places = (window, *(_place(window, axes) for axes in self.axes))
        readers = [s.open(p, candidates=True) for s, p in zip(sources, places, strict=True)]
        demands = [
            Demand(r, n, a) for r, n, a in zip(readers[1:], self.nodata, self.axes, strict=True)
        ]
        first = values[0].index if values else None
        return Outcome(*decide_block(readers[0], self.order, demands, first))


def _place(window: Window, axes: tuple[int, ...]) -> Window:
    """Say where a window lies in the dimension order of a band that `axes` transposes to the
    quality's."""
    place: list[Any] = [None] * len(window)
    for span, axis in zip(window, axes, strict=True):
        place[axis] = span
    return tuple(place)


def _decide_by_reduction(
    name: str, quality: Stack, demands: Sequence[Stack], order: Order, why: Sequence[str]
) -> HighLevelGraph:
    """Decide by a reduction over time: a few chunks to a task, then a few outcomes to a task."""
    demands = [_time_chunks_of(quality, demand) for demand in demands]
    stacks = (quality, *demands)
    axes = tuple(_axes_from(stack, quality) for stack in stacks)
    promises, layers = zip(*map(promise_layer, stacks, why), strict=True)
    tasks: dict[Key, Any] = {}
    for block in quality.blocks():
        leaves = []
        for number, chunks in enumerate(_groups(quality, order, chunks_per_task(why))):
            key = (f"{name}-part", *block, 0, number)
            places = tuple(_reorder(block, quality, stack) for stack in stacks)
            refs = [
                TaskRef(stack.key(place, c))
                for stack, place in zip(stacks, places, strict=True)
                for c in chunks
            ]
            tasks[key] = Task(
                key,
                contest_chunks,
                order,
                quality.images,
                places,
                chunks,
                axes,
                len(stacks),
                None,
                bytes_of_chunks(quality, block, chunks),
                *promises,
                *refs,
            )
            leaves.append(key)
        merge = (_merge_contests, order, quality.images)
        root = grow(tasks, f"{name}-part", block, leaves, merge)
        tasks[(name, *block)] = Alias((name, *block), root)
    return assemble(name, tasks, ChainMap(*layers), [s.array for s in stacks])


def _time_chunks_of(quality: Stack, demand: Stack) -> Stack:
    chunks = quality.array.chunks[quality.axis]
    if demand.array.chunks[demand.axis] == chunks:
        return demand
    return replace(demand, array=rechunk(demand.array, {demand.axis: chunks}))


def _groups(stack: Stack, order: Order, size: int) -> Iterator[tuple[int, ...]]:
    """Cut the chunks of time, in the order in which they challenge, into the shares of tasks."""
    chunks = order.sequence(len(stack.first_images))
    for first in range(0, len(chunks), size):
        yield tuple(chunks[first : first + size])


@makes_outcomes
def contest_chunks(
    order: Order,
    images: int,
    places: tuple[tuple[int, ...], ...],
    numbers: tuple[int, ...],
    axes: tuple[tuple[int, ...], ...],
    bands: int,
    _: None,
    reads: int,
    *given: Any,
) -> Outcome:
    """Run the contest of a few chunks of time, over one block.

    Parameters
    ----------
    order : Order
        How images are ranked.
    images : int
        How many there are in all.
    places : tuple
        The block of the map, in the dimension order of each band.
    numbers : tuple of int
        The chunks of time.
    axes : tuple
        How an image of each band is transposed to the quality's.
    bands : int
        The number of bands: the quality, and those that have to be valid in the winner.
    reads : int
        The size of the scores, which `survey` looks at.
    given : sequence
        What each band promises of its chunks, and the chunks, band by band.
    """
    promises, chunks = given[:bands], given[bands:]
    quality, *others = promises
    contest = Contest(quality.block_shape(places[0]), quality.dtype, order, images)
    for at, number in enumerate(numbers):
        accepted = [
            promise.accept_chunk(chunks[band * len(numbers) + at], places[band], number)
            for band, promise in enumerate(promises)
        ]
        positions = quality.positions(number)
        for i in order.sequence(len(positions)):
            score = image_at(accepted[0], quality.axis, i)
            better = contest.better(score)
            for promise, chunk, transpose in zip(others, accepted[1:], axes[1:], strict=True):
                valid = valid_mask(image_at(chunk, promise.axis, i), promise.nodata)
                if valid is not None:
                    better &= valid.transpose(transpose)
            contest.award(better, score, positions[i])
    contest.check_bound()
    return Outcome(contest.best, contest.index)


@makes_outcomes
def _merge_contests(order: Order, images: int, *outcomes: Outcome) -> Outcome:
    first = outcomes[0].best
    contest = Contest(first.shape, first.dtype, order, images)
    for outcome in outcomes:
        contest.merge(outcome.best, outcome.index)
    return Outcome(contest.best, contest.index)
