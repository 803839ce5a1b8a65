"""The layer that decides: the winner of every pixel."""

from __future__ import annotations

import functools
import itertools
from collections import ChainMap
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from qmosaic.engine.blocks import Outcome
from qmosaic.engine.deciders import Best, Decider, DecideTask, Periods, transposed
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
from qmosaic.engine.graph.chunks import Promise, Stack, promise_of
from qmosaic.engine.graph.deferral import Bands, Deferred
from qmosaic.engine.graph.given import (
    ChunkNumber,
    GivenChunks,
    bytes_of,
    chunks_behind,
    keys_of,
)
from qmosaic.engine.graph.recipes import Key, empty_meta
from qmosaic.engine.graph.sharing import widened
from qmosaic.engine.graph.views import Window
from qmosaic.engine.kernels import (
    Contest,
    Order,
    best_scores,
    image_at,
    index_dtype,
    look_up,
)
from qmosaic.engine.scheduling import rechunk
from qmosaic.engine.takers import RANK, RankTask
from qmosaic.engine.within import Near


def makes_outcomes(function: Any) -> Any:
    """Mark a function of the reduction over time: what it makes are no chunks of an array."""
    function.makes_outcomes = True
    return function


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
        Its dimensions: that of the periods, where there are such, and the map's.
    chunks : tuple of tuple of int
        Its blocks; each has one period.
    wanted_chunks : tuple of tuple of int
        The chunks in which the mosaic is wanted.
    dtype : numpy.dtype
        That of the scores.
    images : int
        How many images were ranked.
    ranks : int or None
        How many images of each pixel are named; None for one. Outcomes have the ranks in front.
    periods : Periods or None
        The periods.
    decider : Decider, optional
        What decides, and from which bands `stacks`.
    stacks : tuple of Stack
        These bands.
    """

    graph: HighLevelGraph
    name: str
    dims: tuple[Hashable, ...]
    chunks: tuple[tuple[int, ...], ...]
    wanted_chunks: tuple[tuple[int, ...], ...]
    dtype: np.dtype[Any]
    images: int
    ranks: int | None = None
    periods: Periods | None = None
    decider: Any = None
    stacks: tuple[Stack, ...] = ()

    @property
    def map_dims(self) -> tuple[Hashable, ...]:
        """The dimensions of the map."""
        return self.dims if self.periods is None else self.dims[1:]

    def blocks(self) -> Iterator[tuple[int, ...]]:
        """Number the blocks of the map."""
        return itertools.product(*(range(len(c)) for c in self.chunks))

    def index(self) -> Any:
        """Give the positions of the winners along time, -1 for none, as dask array; rank by rank,
        where there are ranks."""
        if self.ranks is not None:
            return self._by_rank("index", index_dtype(self.images))
        return self._each("index", index_dtype(self.images), _winners_of)

    def scores(self, fill: Any) -> Any:
        """Give the scores of the winners, `fill` for none, as dask array, see `index`."""
        if self.ranks is not None:
            return self._by_rank("scores", self.dtype, fill)
        return self._each("scores", self.dtype, _scores_of, fill)

    def look_up(self, band: Stack, fill: Any) -> Any:
        """Give every pixel the value of its image in a band that has nothing but time, see
        `index`."""
        table = _as_table(band)
        if self.ranks is not None:
            return self._by_rank("look-up", table.dtype, fill, table)
        whole = TaskRef((table.name, 0))
        return self._each("look-up", table.dtype, _look_up_in, whole, fill, upstream=[table])

    def count(self) -> Any:
        """Give the number of candidates of every pixel, as dask array; without ranks."""
        return self._each("count", index_dtype(self.images), _count_of)

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

    def _by_rank(self, what: str, dtype: Any, fill: Any = None, table: Any = None) -> Any:
        """Take something out of the outcome of every block, at each rank."""
        dims, ranks = (RANK, *self.dims), ((self.ranks or 0,),)
        name = f"qmosaic-{what}-" + tokenize(self.name, fill, getattr(table, "name", None))
        letters, chunks = number_dims(dims, dims), (*ranks, *self.chunks)
        layer = blockwise(
            RankTask(what, fill, dims),
            name,
            letters,
            ArrayBlockIdDep(chunks),
            letters,
            self.name,
            number_dims(self.dims, dims),
            *([] if table is None else [TaskRef((table.name, 0)), None]),
            numblocks=self.numblocks(),
        )
        graph = assemble(name, layer, {}, [self, *([] if table is None else [table])])
        made = da.Array(graph, name, chunks, meta=empty_meta(len(dims), dtype))
        return in_chunks(made, (*ranks, *self.wanted_chunks))

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
def _count_of(outcome: Outcome) -> Array:
    assert outcome.count is not None
    return outcome.count


@of_single_pixels
def _scores_of(outcome: Outcome, fill: Any) -> Array:
    return best_scores(outcome.best, outcome.index, fill)


@of_single_pixels
def _look_up_in(outcome: Outcome, values: Array, fill: Any) -> Array:
    return look_up(outcome.index, values, fill)


def decide(
    decider: Decider,
    stacks: Sequence[Stack],
    *,
    periods: Periods | None = None,
    start: Decision | None = None,
    bands: Bands | None = None,
) -> Decision:
    """Name the winner of every pixel, deferred.

    Parameters
    ----------
    decider : Decider
        What decides a window of the map.
    stacks : sequence of Stack
        The bands that it reads; the others have the dimensions of the first, in any order.
    periods : Periods, optional
        Which images are of which period; by default all take part.
    start : Decision, optional
        The winners without demands; where they meet the demands, they stay.
    bands : Bands, optional
        What is known of the bands of the collection already.

    Returns
    -------
    Decision
        In the chunks of the first band, without time.
    """
    first = stacks[0]
    stacks = [first, *(_on_grid_of(first, other) for other in stacks[1:])]
    bands = Bands() if bands is None else bands
    deferred = [bands.defer(stack) for stack in stacks]
    ready = [d for d in deferred if isinstance(d, Deferred)]
    if len(ready) < len(stacks) and isinstance(decider, Near):
        decider = replace(decider, most=None)  # other tasks are not given these chunks again
    front = () if periods is None else (periods.dim,)
    task = DecideTask(decider, (*front, *first.map_dims), periods, start is not None)
    token = tokenize(
        [(s.array.name, s.dims, s.nodata) for s in stacks],
        first.time,
        task,
        None if start is None else start.name,
    )
    name = "qmosaic-decide-" + token
    in_front = () if periods is None else ((1,) * len(periods.members),)
    if len(ready) == len(stacks):
        grid = (*in_front, *ready[0].source.map_chunks)
        graph = _decide_deferred(name, task, grid, start, ready)
    else:
        grid = (*in_front, *first.map_chunks)
        why = ["" if isinstance(d, Deferred) else d for d in deferred]
        if _can_be_merged(task):
            graph = _decide_by_reduction(name, stacks, decider, why)
        else:
            anew = replace(task, started=False)
            graph = _decide_on_chunks(name, stacks, anew, grid, why)
    dtype = _dtype_of_scores(decider, first)
    say_chunks(graph, name, grid, dtype)
    wanted = (*in_front, *first.map_chunks)
    return Decision(
        graph,
        name,
        task.dims,
        grid,
        wanted,
        dtype,
        first.images,
        decider.ranks,
        periods,
        decider,
        tuple(stacks),
    )


def _dtype_of_scores(decider: Decider, first: Stack) -> np.dtype[Any]:
    dtype: np.dtype[Any] = getattr(decider, "dtype", None) or first.array.dtype
    return dtype


def _can_be_merged(task: DecideTask) -> bool:
    """Whether outcomes of some images each make that of all."""
    decider = task.decider
    plain = isinstance(decider, Best) and not decider.finer and decider.ranks is None
    return plain and task.periods is None


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
    task: DecideTask,
    grid: tuple[tuple[int, ...], ...],
    start: Any,
    deferred: Sequence[Deferred],
) -> HighLevelGraph:
    letters = number_dims(task.dims, task.dims)
    layer = blockwise(
        task,
        name,
        letters,
        ArrayBlockIdDep(grid),
        letters,
        *([] if start is None else [start.name, letters]),
        *itertools.chain.from_iterable((TaskRef(d.key), None) for d in deferred),
        numblocks={} if start is None else start.numblocks(),
    )
    upstream = [] if start is None else [start]
    beneath = [array for d in deferred for array in d.upstream]
    return assemble(name, layer, source_layers(deferred), upstream, beneath)


def _decide_on_chunks(
    name: str,
    stacks: Sequence[Stack],
    task: DecideTask,
    grid: tuple[tuple[int, ...], ...],
    why: Sequence[str],
) -> HighLevelGraph:
    """Decide each block in one task, which is given all its chunks."""
    promises, layers = zip(*map(promise_layer, stacks, why), strict=True)
    first, periods = stacks[0], task.periods
    sizes = [sum(c) for c in first.map_chunks]
    promised = promise_of(first)
    axes = (tuple(range(len(sizes))), *task.decider.axes)
    margin = task.margin or (0,) * len(sizes)
    tasks: dict[Key, Any] = {}
    for block in itertools.product(*(range(len(c)) for c in grid)):
        front = block[:1] if periods is not None else ()
        window = promised.window(block[len(front) :])
        wide = tuple(map(widened, window, margin, sizes))
        members = None if periods is None else periods.members[block[0]]
        found = [
            chunks_behind(stack, transposed(wide, own), members)
            for stack, own in zip(stacks, axes, strict=True)
        ]
        refs = [
            TaskRef(k) for s, chunks in zip(stacks, found, strict=True) for k in keys_of(s, chunks)
        ]
        key = (name, *block)
        tasks[key] = Task(
            key,
            decide_given,
            task,
            first.images,
            tuple((n, n + 1) for n in front) + window,
            found,
            None,
            len(stacks),
            None,
            bytes_of(first, found[0]),
            *promises,
            *refs,
        )
    return assemble(name, tasks, ChainMap(*layers), [s.array for s in stacks])


@makes_outcomes
def decide_given(
    task: DecideTask,
    images: int,
    window: Window,
    numbers: Sequence[Sequence[ChunkNumber]],
    _: None,
    bands: int,
    __: None,
    reads: int,
    *given: Any,
) -> Outcome:
    """Decide a window of which the chunks are given, band by band, after what each promises; what
    stands between is for `survey`."""
    promises, chunks = given[:bands], iter(given[bands:])
    sources = [
        GivenChunks(promise, dict(zip(own, chunks, strict=False)))
        for promise, own in zip(promises, numbers, strict=True)
    ]
    return task.over(window, sources)


def _decide_by_reduction(
    name: str, stacks: Sequence[Stack], decider: Any, why: Sequence[str]
) -> HighLevelGraph:
    """Decide by a reduction over time: a few chunks to a task, then a few outcomes to a task."""
    quality, order = stacks[0], decider.order
    stacks = (quality, *(_time_chunks_of(quality, demand) for demand in stacks[1:]))
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
                decider.counted,
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
    counted: bool,
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
    counted : bool
        Whether candidates are counted.
    reads : int
        The size of the scores, which `survey` looks at.
    given : sequence
        What each band promises of its chunks, and the chunks, band by band.
    """
    promises, chunks = given[:bands], given[bands:]
    quality, *others = promises
    shape = quality.block_shape(places[0])
    contest = Contest(shape, quality.dtype, order, images, counted=counted)
    for at, number in enumerate(numbers):
        accepted = [
            promise.accept_chunk(chunks[band * len(numbers) + at], places[band], number)
            for band, promise in enumerate(promises)
        ]
        positions = quality.positions(number)
        for i in order.sequence(len(positions)):
            score = image_at(accepted[0], quality.axis, i)
            better = contest.better(score)
            candidates = order.candidates(score) if counted else None
            for promise, chunk, transpose in zip(others, accepted[1:], axes[1:], strict=True):
                valid = valid_mask(image_at(chunk, promise.axis, i), promise.nodata)
                if valid is not None:
                    better &= valid.transpose(transpose)
                    if counted:
                        also = valid.transpose(transpose)
                        candidates = also if candidates is None else candidates & also
            contest.tell(candidates)
            contest.award(better, score, positions[i])
    contest.check_bound()
    return Outcome(contest.best, contest.index, contest.count)


@makes_outcomes
def _merge_contests(order: Order, images: int, *outcomes: Outcome) -> Outcome:
    first = outcomes[0].best
    contest = Contest(first.shape, first.dtype, order, images)
    for outcome in outcomes:
        contest.merge(outcome.best, outcome.index)
    counts = [outcome.count for outcome in outcomes if outcome.count is not None]
    count = functools.reduce(np.add, counts) if counts else None
    return Outcome(contest.best, contest.index, count)
