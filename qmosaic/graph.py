"""Decide and take as layers of a dask graph: the only room that knows dask's graph types.

A task needs *some* of its inputs, and learns which only while it runs: which images win a block is
known once the quality has been read. Dask runs every dependency of a task before the task. So the
inputs of a block travel as a recipe (`DeferredChunks`) that the task runs itself, chunk by chunk:

- Symbolic layers (Blockwise: a store opened lazily, arithmetic on it) are small however many
  chunks they describe. They are shared by all blocks as one task of the graph, and written out
  inside a task, for the chunks that it reads.
- Layers that are written out (slices, concatenations, loaders that list their tasks) are cut into
  the parts that one block alone needs; each part travels with the tasks of its block.
- Where blocks of the map share costly work (a rechunk, an overlap), or where chunks lie in memory
  already (persisted, Futures), running a recipe would repeat the work or fail. Such inputs stay
  ordinary dependencies: a tree over time, a few chunks to a task. `defer` decides which way it is;
  the pixels are the same.
- What looks at neighbouring chunks (a distance to clouds) reads them itself, `map_surroundings`:
  the chunks are read several times, and none has to wait for its neighbours.

What is used of dask beyond its documented interface: ``dask.blockwise.blockwise`` and
``Blockwise`` (``.cull``, ``.indices``, ``.numblocks``, ``.output``, ``.output_indices``,
``.io_deps``); ``dask.layers.ArrayBlockIdDep``; ``dask._task_spec``; the ``getter`` functions of
``dask.array.core``. ``tests/test_graph.py`` has a test for each of them.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.array.core import getter, getter_inline, getter_nofancy
from dask.base import tokenize
from dask.blockwise import Blockwise, blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArrayBlockIdDep

from qmosaic.blocks import Demand, decide_block, take_block
from qmosaic.kernels import (
    Array,
    Contest,
    Order,
    best_scores,
    give,
    image_at,
    index_dtype,
    look_up,
    valid_mask,
    winners,
)
from qmosaic.reading import UNNAMED, Origin, Region, current, unreadable

Key = Hashable
Nodes = dict[Key, GraphNode]

READ_TOGETHER = 4 * 2**20
"""Bytes that a task may ask for at once: to a Zarr library a request costs more than a chunk."""

SLOW = 0.005
"""Seconds of waiting for a chunk from which on the next ones are read meanwhile."""

STEP = 0.75
"""How much a step of arithmetic adds to what a task holds, in chunks: some of its inputs and
intermediate values are alive together. Measured on scores of one to six steps."""

MOST_IN_FLIGHT = 16
"""The most chunks that a task reads at the same time from a slow source."""

CHEAP_TASKS = 8
"""The most tasks that may be run again in every block: the opening of a file, a slice of a
weight."""

SMALL_DATA = 2**20
"""The most bytes of data inside a graph that every worker may get a copy of."""

MOST_IN_RECIPE = 200_000
"""The most tasks that are written out in one recipe: about 50 MB, sent to each worker once."""

CHUNKS_PER_TASK = 4
PARTIALS_PER_TASK = 8


@dataclass(frozen=True)
class Stack:
    """A band as dask array, with the names of its dimensions.

    Attributes
    ----------
    array : dask.array.Array
        The band.
    dims : tuple of str
        The names of its dimensions.
    time : str
        The one along which the images lie.
    nodata : scalar or None
        Its declared nodata, in its dtype.
    origin : Origin
        What to call it in errors.
    """

    array: Any
    dims: tuple[Hashable, ...]
    time: Hashable
    nodata: Any = None
    origin: Origin = UNNAMED

    @property
    def axis(self) -> int:
        """The axis of time."""
        return self.dims.index(self.time)

    @property
    def map_dims(self) -> tuple[Hashable, ...]:
        """The dimensions without time."""
        return tuple(d for d in self.dims if d != self.time)

    @property
    def map_chunks(self) -> tuple[tuple[int, ...], ...]:
        """The chunks without those of time."""
        chunks = self.array.chunks
        return tuple(c for axis, c in enumerate(chunks) if axis != self.axis)

    @property
    def images(self) -> int:
        """The number of images."""
        return int(self.array.shape[self.axis])

    @cached_property
    def first_images(self) -> tuple[int, ...]:
        """The position of the first image of each chunk of time."""
        sizes = self.array.chunks[self.axis]
        return (0, *itertools.accumulate(sizes[:-1]))

    def blocks(self) -> Iterator[tuple[int, ...]]:
        """Number the blocks of the map."""
        return itertools.product(*(range(len(c)) for c in self.map_chunks))

    def block_shape(self, block: tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape of a block of the map."""
        return tuple(c[i] for c, i in zip(self.map_chunks, block, strict=True))

    def key(self, block: tuple[int, ...], chunk: int) -> Key:
        """Name the source chunk at a block of the map and a chunk of time."""
        return (self.array.name, *block[: self.axis], chunk, *block[self.axis :])


# ---------------------------------------------------------------------------------------------
# The recipe of a band's chunks
# ---------------------------------------------------------------------------------------------


def _layer_of(key: Key) -> Any:
    return key[0] if isinstance(key, tuple) and key else key


@dataclass
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
    """

    symbolic: dict[str, Blockwise]
    tasks: Nodes
    futures: dict[Key, Any] = field(default_factory=dict)

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
            layer = _layer_of(key)
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


def _sort(*graphs: Any) -> Recipes:
    """Sort graphs into symbolic layers, tasks and Futures."""
    layers: dict[Any, Any] = {}
    for number, graph in enumerate(graphs):
        layers.update(graph.layers if isinstance(graph, HighLevelGraph) else {number: graph})
    symbolic = {layer.output: layer for layer in layers.values() if isinstance(layer, Blockwise)}
    plain: dict[Key, Any] = {}
    for layer in layers.values():
        if not isinstance(layer, Blockwise):
            plain.update(layer)
    futures = {key: value for key, value in plain.items() if _is_future(value)}
    for key in futures:
        del plain[key]
    return Recipes(symbolic, _as_nodes(plain, symbolic), futures)


def _as_nodes(plain: dict[Key, Any], symbolic: Mapping[str, Blockwise]) -> Nodes:
    """Turn what stands in a graph into task objects; older libraries write tuples."""
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
        known = set(plain).union(*(layer.get_output_keys() for layer in symbolic.values()))
        nodes.update(convert_legacy_graph(legacy, known))
    return nodes


@dataclass
class DeferredChunks:
    """The chunks of a band, to be read inside a task: nothing is read before `open(...)` is walked.

    One such object serves all blocks of the map; a scheduler sends it to each worker once.
    """

    recipes: Recipes
    name: str
    axis: int
    time_chunks: tuple[int, ...]
    map_chunks: tuple[tuple[int, ...], ...]
    map_dims: tuple[Hashable, ...]
    dtype: np.dtype[Any]
    origin: Origin = UNNAMED
    beside: int = 0
    """The bytes that making a chunk takes beside it, where what lies around it is looked at."""

    def open(
        self, block: tuple[int, ...], extra: Mapping[Key, GraphNode], *, candidates: bool = False
    ) -> BlockReader:
        """Give a reader of one block of the map; `extra` are the tasks of this block alone.

        With `candidates` it leaves out the images that count as masked there.
        """
        return BlockReader(self, block, extra, candidates)

    def region(self, block: tuple[int, ...]) -> Region:
        """Say where on the map a block lies."""
        return {
            dim: (sum(sizes[:number]), sum(sizes[: number + 1]))
            for dim, sizes, number in zip(self.map_dims, self.map_chunks, block, strict=True)
        }


class BlockReader:
    """Reads the images of one band over one block by running the tasks behind them.

    See `qmosaic.blocks.Reader`.
    """

    def __init__(
        self,
        source: DeferredChunks,
        block: tuple[int, ...],
        extra: Mapping[Key, GraphNode],
        candidates: bool,
    ) -> None:
        self._source = source
        self._candidates = candidates
        self._block = block
        self._extra = extra
        self._first = (0, *itertools.accumulate(source.time_chunks))
        self._reading = current()
        self._kept: tuple[int, Array] | None = None
        self.images = self._first[-1]
        self.shape = tuple(c[i] for c, i in zip(source.map_chunks, block, strict=True))
        self.dtype = source.dtype

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `qmosaic.blocks.Reader.walk`."""
        left_out: set[int] = set()
        if self._candidates and self._reading.excluded:
            region = self._source.region(self._block)
            left_out = self._reading.leaves_out(self._source.origin.collection, region)
        wanted = [p for p in positions if p not in left_out]
        grouped = [(c, list(p)) for c, p in itertools.groupby(wanted, self._chunk_of)]
        chunks = [c for c, _ in grouped]
        walk = Walk(self._source.recipes, self._extra, [self._key(c) for c in chunks])
        values = self._in_turn(walk, chunks) if ahead else self._one_by_one(walk, chunks)
        for (chunk, members), array in zip(grouped, values, strict=True):
            for position in members:
                yield position, image_at(array, self._source.axis, position - self._first[chunk])
            del array

    def image(self, position: int) -> Array:
        """See `qmosaic.blocks.Reader.image`."""
        chunk = self._chunk_of(position)
        if self._kept is None or self._kept[0] != chunk:
            self._kept = None
            walk = Walk(self._source.recipes, self._extra, [self._key(chunk)])
            self._kept = (chunk, self._make(walk, 0, chunk))
        return image_at(self._kept[1], self._source.axis, position - self._first[chunk])

    def _one_by_one(self, walk: Walk, chunks: list[int]) -> Iterator[Array]:
        for number, chunk in enumerate(chunks):
            yield self._make(walk, number, chunk)
            walk.drop(number)

    def _in_turn(self, walk: Walk, chunks: list[int]) -> Iterator[Array]:
        size = self._chunk_bytes(chunks)
        return in_turn(
            walk,
            lambda number: self._make(walk, number, chunks[number]),
            size,
            in_flight(max(size, self._source.beside)),
            lambda start, stop: self._read_ahead(walk, start, stop),
        )

    def _make(self, walk: Walk, number: int, chunk: int) -> Array:
        """Run the tasks behind a chunk, again where they fail."""
        try:
            return self._reading.attempt(lambda: walk.make(number, self._reading.count))
        except MemoryError:
            raise
        except Exception as error:
            first = self._first[chunk]
            positions = range(first, first + self._source.time_chunks[chunk])
            at = str(self._key(chunk)[1:])  # type: ignore[index]
            region = self._source.region(self._block)
            named = unreadable(self._source.origin, positions, region, at, error)
            if self._reading.names_errors:
                raise named from error
            error.add_note(str(named))
            raise

    def _read_ahead(self, walk: Walk, start: int, stop: int) -> None:
        """Read several chunks at once; one that fails is found when it is read on its own."""
        try:
            walk.read_ahead(start, stop, self._reading.count)
        except MemoryError:
            raise
        except Exception:
            return

    def _chunk_of(self, position: int) -> int:
        return int(np.searchsorted(self._first, position, side="right")) - 1

    def _key(self, chunk: int) -> Key:
        axis = self._source.axis
        return (self._source.name, *self._block[:axis], chunk, *self._block[axis:])

    def _chunk_bytes(self, chunks: list[int]) -> int:
        largest = max((self._source.time_chunks[c] for c in chunks), default=1)
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize * largest
        return max(1, size)


def in_turn(
    walk: Walk,
    make: Callable[[int], Array],
    size: int,
    most: int,
    read_ahead: Callable[[int, int], None],
) -> Iterator[Array]:
    """Give one chunk of a walk after the other; where the source is slow, the next are made
    meanwhile.

    Parameters
    ----------
    walk : Walk
        What makes the chunks.
    make : callable
        Makes the one with a number.
    size : int
        The bytes of a chunk.
    most : int
        How many may be made at the same time.
    read_ahead : callable
        Reads what some chunks need in as few requests as can be.
    """
    count = len(walk.targets)
    together = max(1, READ_TOGETHER // size)
    started: deque[Future[Array]] = deque()
    pool: ThreadPoolExecutor | None = None
    try:
        for number in range(count):
            if pool is None and together > 1 and number % together == 0:
                read_ahead(number, number + together)
            watch = _Watch()
            array = started.popleft().result() if started else make(number)
            if pool is None and watch.has_waited():
                pool = ThreadPoolExecutor(most)
            if pool is not None:
                for n in range(number + 1 + len(started), min(number + 1 + most, count)):
                    # what the task says about its reading holds in other threads too
                    started.append(pool.submit(copy_context().run, make, n))
            yield array
            del array
            walk.drop(number)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


class _Watch:
    """Tells waiting from working, from its making on."""

    def __init__(self) -> None:
        self._wall, self._work = time.perf_counter(), time.process_time()

    def has_waited(self) -> bool:
        """Whether it took long, and the process was idle for most of that: threads that work hard
        gain nothing from being more."""
        wall = time.perf_counter() - self._wall
        return wall > SLOW and time.process_time() - self._work < wall / 4


def in_flight(chunk_bytes: int) -> int:
    """Say how many chunks are read at the same time from a slow source."""
    return max(2, min(MOST_IN_FLIGHT, 2 * READ_TOGETHER // chunk_bytes))


Count = Callable[[Any], None]
"""What is told of everything that is read."""


def _no_count(values: Any) -> None:
    pass


class Walk:
    """Runs the tasks behind a sequence of chunks, one chunk at a time.

    A value is dropped once its last user has run. What several chunks of the sequence use directly
    (a static elevation, a mean over time, a source chunk that holds several images) is kept until
    the last of them has been made; what stands behind such a value is not kept.
    """

    def __init__(
        self, recipes: Recipes, extra: Mapping[Key, GraphNode], targets: Sequence[Key]
    ) -> None:
        self.targets = targets
        self.nodes: Nodes = {}
        recipes.expand(targets, self.nodes, extra)
        self._kept: dict[Key, Any] = {}
        self._last_user = self._find_shared()
        self._drop_after: dict[int, list[Key]] = defaultdict(list)
        for key, number in self._last_user.items():
            self._drop_after[number].append(key)

    def make(self, number: int, count: Count = _no_count) -> Any:
        """Make the chunk `number` of the sequence; threads may make several at a time."""
        return self._evaluate(self.targets[number], count)

    def drop(self, number: int) -> None:
        """Let go of what was kept for the chunks up to `number`."""
        for key in self._drop_after[number]:
            self._kept.pop(key, None)

    def read_ahead(self, start: int, stop: int, count: Count = _no_count) -> None:
        """Read what several chunks of the sequence need from one source in as few requests as can
        be."""
        reads: dict[Any, list[_Read]] = defaultdict(list)
        for number in range(start, min(stop, len(self.targets))):
            for key in self._order(self.targets[number], self._kept):
                if key not in self._last_user and (read := _as_read(self.nodes[key], number)):
                    reads[read.source].append(read)
        for group in reads.values():
            for run in _adjacent_runs(group):
                self._read_together(run, count)

    def _read_together(self, run: list[_Read], count: Count) -> None:
        axis = _axis_between(run[0], run[-1])
        index = list(run[0].index)
        index[axis] = slice(run[0].index[axis].start, run[-1].index[axis].stop)
        node = run[0].node
        values = node.func(self._input(node.args[0]), tuple(index), *run[0].rest, **node.kwargs)
        offsets = [0, *itertools.accumulate(r.length(axis) for r in run)]
        if np.shape(values)[axis] != offsets[-1]:
            return  # not a source that slices as numpy does: every chunk is read on its own
        count(values)
        for read, first, last in zip(run, offsets, offsets[1:], strict=False):
            part = (slice(None),) * axis + (slice(first, last),)
            self._kept[node_key(read.node)] = values[part]
            self._drop_after[read.number].append(node_key(read.node))

    def _input(self, argument: Any) -> Any:
        if isinstance(argument, TaskRef):
            return self._evaluate(argument.key)
        if isinstance(argument, GraphNode):
            return argument({key: self._evaluate(key) for key in argument.dependencies})
        return argument

    def _order(self, target: Key, kept: Iterable[Key]) -> list[Key]:
        """Sort the tasks that a target still needs so that each comes after its inputs."""
        order: list[Key] = []
        done: set[Key] = set(kept)
        stack: list[tuple[Key, bool]] = [(target, False)]
        while stack:
            key, ready = stack.pop()
            if ready:
                order.append(key)
            elif key not in done:
                done.add(key)
                stack.append((key, True))
                stack.extend((d, False) for d in self.nodes[key].dependencies if d not in done)
        return order

    def _evaluate(self, target: Key, count: Count = _no_count) -> Any:
        kept = dict(self._kept)  # threads drop and add while this one is at work
        if target in kept:
            return kept[target]
        order = self._order(target, kept)
        users = Counter(d for key in order for d in self.nodes[key].dependencies)
        values: dict[Key, Any] = {}
        for key in order:
            node = self.nodes[key]
            inputs = {d: values[d] if d in values else kept[d] for d in node.dependencies}
            values[key] = node(inputs)
            del inputs
            if _is_read(node):
                count(values[key])
            if key in self._last_user:
                self._kept[key] = values[key]
            for d in node.dependencies:
                users[d] -= 1
                if not users[d]:
                    values.pop(d, None)
        return values[target]

    def _find_shared(self) -> dict[Key, int]:
        """Find the values that several chunks of the sequence use directly, and their last
        users."""
        several = -1
        owner: dict[Key, int] = {}
        for number, target in enumerate(self.targets):
            stack = [target]
            while stack:
                key = stack.pop()
                seen = owner.get(key)
                if seen == several or seen == number:
                    continue
                owner[key] = number if seen is None else several
                stack.extend(self.nodes[key].dependencies)
        users: dict[Key, set[int]] = defaultdict(set)
        for key, number in owner.items():
            if number != several:
                for d in self.nodes[key].dependencies:
                    users[d].add(number)
        for number, target in enumerate(self.targets):
            users[target].add(number)
        return {key: max(numbers) for key, numbers in users.items() if len(numbers) > 1}


def node_key(node: GraphNode) -> Key:
    """Give the key of a task."""
    key: Key = node.key
    return key


@dataclass
class _Read:
    """A task that cuts a chunk out of a source array."""

    node: Any
    source: Any
    index: tuple[slice, ...]
    rest: tuple[Any, ...]
    number: int

    def length(self, axis: int) -> int:
        return int(self.index[axis].stop - self.index[axis].start)


_GETTERS: tuple[Callable[..., Any], ...] = (getter, getter_nofancy, getter_inline)


def _as_read(node: GraphNode, number: int) -> _Read | None:
    """Recognise the task that dask writes for ``from_array``: getter(source, slices, ...)."""
    if not (isinstance(node, Task) and node.func in _GETTERS and len(node.args) >= 2):
        return None
    source, index, *rest = node.args
    index = index.value if isinstance(index, DataNode) else index
    if not (isinstance(index, tuple) and index and all(_is_plain(s) for s in index)):
        return None
    if any(isinstance(r, GraphNode | TaskRef) for r in rest):
        return None
    name = source.key if isinstance(source, TaskRef | Alias) else id(source)
    return _Read(node, name, index, tuple(rest), number)


def _is_read(node: GraphNode) -> bool:
    """Whether a task brings data in: it cuts a chunk out of a source, or rests on nothing."""
    return isinstance(node, Task) and (node.func in _GETTERS or not node.dependencies)


def _is_plain(index: object) -> bool:
    return (
        isinstance(index, slice)
        and index.step in (None, 1)
        and isinstance(index.start, int)
        and isinstance(index.stop, int)
    )


def _axis_between(a: _Read, b: _Read) -> int:
    """Give the only axis along which two reads differ, or -1."""
    differ = [i for i, (s, t) in enumerate(zip(a.index, b.index, strict=True)) if s != t]
    return differ[0] if len(differ) == 1 else -1


def _adjacent_runs(reads: list[_Read]) -> Iterator[list[_Read]]:
    """Group reads of one source that lie side by side along one axis; single ones are left out."""
    reads = sorted(reads, key=lambda r: tuple(s.start for s in r.index))
    run: list[_Read] = []
    for read in reads:
        if run and _continues(run, read):
            run.append(read)
            continue
        if len(run) > 1:
            yield run
        run = [read]
    if len(run) > 1:
        yield run


def _continues(run: list[_Read], read: _Read) -> bool:
    axis = _axis_between(run[-1], read)
    if axis < 0 or (len(run) > 1 and _axis_between(run[0], read) != axis):
        return False
    if len(run) > 1 and _axis_between(run[0], run[-1]) != axis:
        return False
    return bool(run[-1].index[axis].stop == read.index[axis].start)


# ---------------------------------------------------------------------------------------------
# Whether a band can be deferred
# ---------------------------------------------------------------------------------------------


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
    recipes = _sort(stack.array.__dask_graph__())
    chunks = range(len(stack.first_images))
    parts = _Parts(stack.blocks, lambda block: [stack.key(block, chunk) for chunk in chunks])
    apart = _set_apart(recipes, [(stack.array, {stack.axis})], parts)
    if apart is None:
        return None
    shared, extra = apart
    source = DeferredChunks(
        recipes=shared,
        name=stack.array.name,
        axis=stack.axis,
        time_chunks=stack.array.chunks[stack.axis],
        map_chunks=stack.map_chunks,
        map_dims=stack.map_dims,
        dtype=stack.array.dtype,
        origin=stack.origin,
        beside=_held_around(recipes),
    )
    token = tokenize(stack.array.name, stack.axis, stack.origin.collection)
    return Deferred("qmosaic-source-" + token, source, extra)


@dataclass(frozen=True)
class _Parts:
    """Parts of arrays, one by one: what a task works on, and the keys of its chunks."""

    names: Callable[[], Iterable[Any]]
    keys_of: Callable[[Any], list[Key]]

    def items(self) -> Iterator[tuple[Any, list[Key]]]:
        """Give each part and its chunks; never all of them at once."""
        for name in self.names():
            yield name, self.keys_of(name)


def _set_apart(
    recipes: Recipes,
    arrays: Sequence[tuple[Any, set[int]]],
    parts: _Parts,
) -> tuple[Recipes, dict[Any, Nodes]] | None:
    """Divide what is behind some arrays into what all parts share and what each has alone.

    Parameters
    ----------
    recipes : Recipes
        What makes the arrays.
    arrays : sequence of (dask.array.Array, set of int)
        The arrays, and the axes along which a part has all chunks.
    parts : _Parts
        The chunks of each part.

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
        split = _split(parts, recipes, shared)
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
    todo = [*names, *(_layer_of(d) for node in shared.values() for d in node.dependencies)]
    while todo:
        name = todo.pop()
        if name in recipes.symbolic and name not in found:
            found.add(name)
            inputs = [source for source, _ in recipes.symbolic[name].indices]
            keys = [i.key if isinstance(i, TaskRef) else i for i in inputs]
            todo += [k for k in map(_layer_of, keys) if isinstance(k, str)]
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


def _split(parts: _Parts, recipes: Recipes, shared: Nodes) -> tuple[dict[Any, Nodes], Nodes] | None:
    """Cut the tasks that are written out into those of each part.

    Returns
    -------
    (dict, dict) or None
        The tasks of each part and those that several of them use; None where the latter are
        costly, or where chunks lie in memory.
    """
    seen: dict[Key, Any] = {}
    extra: dict[Any, Nodes] = {}
    more: Nodes = {}
    for part, keys in parts.items():
        nodes: Nodes = {}
        try:
            recipes.expand(keys, nodes, {})
        except KeyError:
            return None
        again = {k for k in nodes if k in seen and k not in shared and k not in more}
        if any(_is_chunk(k) and not _is_constant(nodes[k], nodes) for k in again):
            return None
        cheap = _cheap(recipes, again)
        if cheap is None:
            return None
        more.update(cheap)
        own = {k: n for k, n in nodes.items() if k in recipes.tasks and k not in shared}
        if any(_data_size(n) > 0 and _is_chunk(k) for k, n in own.items() if k not in more):
            return None
        seen.update(dict.fromkeys(nodes, part))
        extra[part] = own
    return {b: {k: n for k, n in own.items() if k not in more} for b, own in extra.items()}, more


def _is_chunk(key: Key) -> bool:
    """Whether a key looks like that of a chunk with two dimensions or more."""
    return isinstance(key, tuple) and len(key) > 2 and all(isinstance(i, int) for i in key[1:])


def _is_constant(node: GraphNode, nodes: Nodes) -> bool:
    """Whether a task has no inputs but small data: an empty image, a constant."""
    if _is_data(node):
        return _data_size(node) <= SMALL_DATA
    return False


# ---------------------------------------------------------------------------------------------
# The two layers
# ---------------------------------------------------------------------------------------------


Outcome = tuple[Array, Array]
"""What the tasks of a decision give: the highest scores, and the positions of the winners."""


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
    dtype : numpy.dtype
        That of the scores.
    images : int
        How many images were ranked.
    """

    graph: HighLevelGraph
    name: str
    dims: tuple[Hashable, ...]
    chunks: tuple[tuple[int, ...], ...]
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

    def look_up(self, values: Any, fill: Any) -> Any:
        """Give every pixel the value of its image in a band that has nothing but time."""
        table = values if isinstance(values, da.Array) else da.from_array(values, chunks=-1)
        table = table.rechunk(-1)
        first = TaskRef((table.name, 0))
        return self._each("look-up", table.dtype, _look_up_in, first, fill, upstream=[table])

    def _each(
        self, what: str, dtype: Any, func: Callable[..., Any], *args: Any, upstream: Any = ()
    ) -> Any:
        """Run a function on the outcome of every block."""
        given = [a.key if isinstance(a, TaskRef) else a for a in args]
        name = f"qmosaic-{what}-" + tokenize(self.name, given)
        letters = _letters(self.dims, self.dims)
        rest = tuple(itertools.chain.from_iterable((a, None) for a in args))
        layer = blockwise(
            func, name, letters, self.name, letters, *rest, numblocks=self.numblocks()
        )
        graph = _assemble(name, layer, {}, [self, *upstream])
        return da.Array(graph, name, self.chunks, meta=_meta(len(self.dims), dtype))

    def numblocks(self) -> dict[str, tuple[int, ...]]:
        """Count the blocks in each dimension, as dask's Blockwise asks for it."""
        return {self.name: tuple(len(c) for c in self.chunks)}

    def __dask_graph__(self) -> HighLevelGraph:
        """Give the graph, as dask's collections do."""
        return self.graph

    def __dask_layers__(self) -> tuple[str, ...]:
        """Name the layer, as dask's collections do."""
        return (self.name,)


def _letters(dims: Sequence[Hashable], among: Sequence[Hashable]) -> tuple[int, ...]:
    """Number dimensions for dask's Blockwise, which sorts its indices."""
    return tuple(among.index(d) for d in dims)


def _winners_of(outcome: Outcome) -> Array:
    return outcome[1]


def _scores_of(outcome: Outcome, fill: Any) -> Array:
    return best_scores(*outcome, fill)


def _look_up_in(outcome: Outcome, values: Array, fill: Any) -> Array:
    return look_up(outcome[1], values, fill)


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
        (order.ties, order.nodata, order.min_quality, order.upper_bound),
        None if start is None else start.name,
    )
    name = "qmosaic-decide-" + token
    deferred = [defer(stack) for stack in stacks]
    if all(d is not None for d in deferred):
        graph = _decide_deferred(name, quality, demands, order, start, deferred)
    else:
        graph = _decide_tree(name, quality, demands, order)
    return Decision(
        graph, name, quality.map_dims, quality.map_chunks, quality.array.dtype, quality.images
    )


def _meta(ndim: int, dtype: Any) -> Array:
    return np.empty((0,) * ndim, dtype)


def _on_grid_of(quality: Stack, demand: Stack) -> Stack:
    """Rechunk a demanded band to the blocks of the quality; nothing changes where it has them."""
    wanted = dict(zip(quality.map_dims, quality.map_chunks, strict=True))
    if all(c == wanted[d] for d, c in zip(demand.map_dims, demand.map_chunks, strict=True)):
        return demand
    chunks = {demand.dims.index(d): c for d, c in wanted.items()}
    return Stack(demand.array.rechunk(chunks), demand.dims, demand.time, demand.nodata)


def _reorder(block: tuple[int, ...], source: Stack, target: Stack) -> tuple[int, ...]:
    """Number a block of one band's map in the dimension order of another."""
    return tuple(block[source.map_dims.index(d)] for d in target.map_dims)


def _axes_from(source: Stack, target: Stack) -> tuple[int, ...]:
    """Say how to transpose an image of `source` into the dimension order of `target`."""
    return tuple(source.map_dims.index(d) for d in target.map_dims)


def _source_layers(deferred: Iterable[Deferred | None]) -> dict[str, Any]:
    return {d.key: {d.key: DataNode(d.key, d.source)} for d in deferred if d is not None}


def _assemble(
    name: str,
    tasks: dict[Key, Any] | Blockwise,
    sources: Mapping[str, Any],
    upstream: Sequence[Any],
) -> HighLevelGraph:
    """Put a layer on top of the recipes and of the arrays that it depends on."""
    layers: dict[str, Any] = {}
    dependencies: dict[str, set[str]] = {}
    own: set[str] = set(sources)
    for array in upstream:
        graph = array.__dask_graph__()
        if isinstance(graph, HighLevelGraph):
            layers.update(graph.layers)
            dependencies.update(graph.dependencies)
            own.update(array.__dask_layers__())
        else:
            layers[array.name] = graph
            dependencies[array.name] = set()
            own.add(array.name)
    for source, layer in sources.items():
        layers[source] = layer
        dependencies[source] = set()
    layers[name] = tasks
    dependencies[name] = own
    return HighLevelGraph(layers, dependencies)


def _decide_deferred(
    name: str,
    quality: Stack,
    demands: Sequence[Stack],
    order: Order,
    start: Any,
    deferred: Sequence[Any],
) -> HighLevelGraph:
    task = _DecideTask(
        order,
        tuple(d.nodata for d in demands),
        tuple(_axes_from(demand, quality) for demand in demands),
        start is not None,
    )
    refs = [TaskRef(d.key) for d in deferred]
    layer: dict[Key, Any] | Blockwise
    if any(d.extra for d in deferred):
        layer = {}
        for block in quality.blocks():
            places = (block, *(_reorder(block, quality, d) for d in demands))
            extras = tuple(d.extra.get(b, {}) for d, b in zip(deferred, places, strict=True))
            first = [] if start is None else [TaskRef((start.name, *block))]
            key = (name, *block)
            layer[key] = Task(key, task.with_extras, block, extras, *first, *refs)
    else:
        letters = _letters(quality.map_dims, quality.map_dims)
        layer = blockwise(
            task,
            name,
            letters,
            ArrayBlockIdDep(quality.map_chunks),
            letters,
            *([] if start is None else [start.name, letters]),
            *itertools.chain.from_iterable((ref, None) for ref in refs),
            numblocks={} if start is None else start.numblocks(),
        )
    return _assemble(name, layer, _source_layers(deferred), [] if start is None else [start])


@dataclass(frozen=True)
class _DecideTask:
    """What the tasks of a decision have in common; each is called with its block of the map.

    Attributes
    ----------
    order : Order
        How images are ranked.
    nodata : tuple
        That of each demanded band.
    axes : tuple of tuple of int
        How an image of each demanded band is transposed to the quality's.
    started : bool
        Whether the outcome of another decision is given first.
    """

    order: Order
    nodata: tuple[Any, ...]
    axes: tuple[tuple[int, ...], ...]
    started: bool

    def __call__(self, block: tuple[int, ...], *inputs: Any) -> Outcome:
        return self.with_extras(block, ({},) * (1 + len(self.axes)), *inputs)

    def with_extras(
        self, block: tuple[int, ...], extras: tuple[Nodes, ...], *inputs: Any
    ) -> Outcome:
        """Decide a block; `extras` are the tasks of each band that are written out for it."""
        start = inputs[0] if self.started else None
        sources = inputs[1:] if self.started else inputs
        places = (block, *(_place(block, axes) for axes in self.axes))
        readers = [
            s.open(b, e, candidates=True) for s, b, e in zip(sources, places, extras, strict=True)
        ]
        demands = [
            Demand(r, n, a) for r, n, a in zip(readers[1:], self.nodata, self.axes, strict=True)
        ]
        return decide_block(readers[0], self.order, demands, None if start is None else start[1])


def _place(block: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Number a block in the dimension order of a band that `axes` transposes to the quality's."""
    place = [0] * len(block)
    for number, axis in zip(block, axes, strict=True):
        place[axis] = number
    return tuple(place)


def _decide_tree(
    name: str, quality: Stack, demands: Sequence[Stack], order: Order
) -> HighLevelGraph:
    """Decide by a tree over time: a few chunks to a task, then a few outcomes to a task."""
    demands = [_time_chunks_of(quality, demand) for demand in demands]
    axes = tuple(_axes_from(demand, quality) for demand in demands)
    nodata = tuple(d.nodata for d in demands)
    tasks: dict[Key, Any] = {}
    for block in quality.blocks():
        leaves = []
        for number, chunks in enumerate(_groups(quality, order)):
            key = (f"{name}-part", *block, 0, number)
            refs = [TaskRef(quality.key(block, c)) for c in chunks]
            refs += [
                TaskRef(d.key(_reorder(block, quality, d), c)) for d in demands for c in chunks
            ]
            first = tuple(quality.first_images[c] for c in chunks)
            tasks[key] = Task(
                key,
                _contest_chunks,
                order,
                quality.images,
                quality.axis,
                first,
                tuple(d.axis for d in demands),
                nodata,
                axes,
                _bytes_of(quality, block, chunks),
                *refs,
            )
            leaves.append(key)
        merge = (_merge_contests, order, quality.images)
        root = _grow(tasks, f"{name}-part", block, leaves, merge)
        tasks[(name, *block)] = Alias((name, *block), root)
    return _assemble(name, tasks, {}, [s.array for s in (quality, *demands)])


def _time_chunks_of(quality: Stack, demand: Stack) -> Stack:
    chunks = quality.array.chunks[quality.axis]
    if demand.array.chunks[demand.axis] == chunks:
        return demand
    array = demand.array.rechunk({demand.axis: chunks})
    return Stack(array, demand.dims, demand.time, demand.nodata)


def _bytes_of(stack: Stack, block: tuple[int, ...], chunks: Iterable[int]) -> int:
    """Give the size of some chunks of time over a block of the map."""
    images = sum(stack.array.chunks[stack.axis][c] for c in chunks)
    return int(images * np.prod(stack.block_shape(block)) * stack.array.dtype.itemsize)


def _groups(stack: Stack, order: Order) -> Iterator[tuple[int, ...]]:
    """Cut the chunks of time, in the order in which they challenge, into the shares of tasks."""
    chunks = order.sequence(len(stack.first_images))
    for first in range(0, len(chunks), CHUNKS_PER_TASK):
        yield tuple(chunks[first : first + CHUNKS_PER_TASK])


def _grow(
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


def _contest_chunks(
    order: Order,
    images: int,
    axis: int,
    first: tuple[int, ...],
    demand_axes: tuple[int, ...],
    nodata: tuple[Any, ...],
    transposes: tuple[tuple[int, ...], ...],
    reads: int,
    *chunks: Array,
) -> Outcome:
    """Run the contest of a few chunks: the scores first, then those of each demanded band.

    `reads` is the size of the scores, which `survey` looks at.
    """
    scores, others = chunks[: len(first)], chunks[len(first) :]
    shape = scores[0].shape[:axis] + scores[0].shape[axis + 1 :]
    contest = Contest(shape, scores[0].dtype, order, images)
    for number, (start, chunk) in enumerate(zip(first, scores, strict=True)):
        for i in order.sequence(chunk.shape[axis]):
            score = image_at(chunk, axis, i)
            better = contest.better(score)
            for d, demand_axis in enumerate(demand_axes):
                image = image_at(others[d * len(first) + number], demand_axis, i)
                valid = valid_mask(image, nodata[d])
                if valid is not None:
                    better &= valid.transpose(transposes[d])
            contest.award(better, score, start + i)
    contest.check_bound()
    return contest.best, contest.index


def _merge_contests(order: Order, images: int, *outcomes: Outcome) -> Outcome:
    best, _ = outcomes[0]
    contest = Contest(best.shape, best.dtype, order, images)
    for best, index in outcomes:
        contest.merge(best, index)
    return contest.best, contest.index


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
    deferred = defer(band)
    layer: dict[Key, Any] | Blockwise
    if deferred is not None and not deferred.extra and _same_grid(band, decision):
        layer = _take_symbolic(name, band, decision, fill, deferred)
    else:
        layer = _take_written_out(name, band, decision, fill, deferred)
    upstream = [decision] if deferred is not None else [decision, band.array]
    graph = _assemble(name, layer, _source_layers([deferred]), upstream)
    return da.Array(graph, name, band.map_chunks, meta=_meta(len(band.map_dims), band.array.dtype))


def _same_grid(band: Stack, decision: Decision) -> bool:
    chunks = dict(zip(band.map_dims, band.map_chunks, strict=True))
    return all(chunks[d] == c for d, c in zip(decision.dims, decision.chunks, strict=True))


def _take_symbolic(
    name: str, band: Stack, decision: Decision, fill: Any, deferred: Deferred
) -> Blockwise:
    letters = _letters(band.map_dims, band.map_dims)
    return blockwise(
        _TakeTask(fill, _spread(band, decision.dims)),
        name,
        letters,
        ArrayBlockIdDep(band.map_chunks),
        letters,
        TaskRef(deferred.key),
        None,
        decision.name,
        _letters(decision.dims, band.map_dims),
        numblocks=decision.numblocks(),
    )


@dataclass(frozen=True)
class _TakeTask:
    """What the tasks that take a band have in common; each is called with its block."""

    fill: Any
    spread: _Spread

    def __call__(self, block: tuple[int, ...], source: DeferredChunks, outcome: Outcome) -> Array:
        index = outcome[1]
        return take_block(source.open(block, {}), index, self.spread.apply(index), self.fill)


def _take_written_out(
    name: str, band: Stack, decision: Decision, fill: Any, deferred: Deferred | None
) -> dict[Key, Any]:
    spread = _spread(band, decision.dims)
    tasks: dict[Key, Any] = {}
    for block in band.blocks():
        window = _windows(band, decision, block)
        refs = [TaskRef((decision.name, *w.block)) for w in window]
        placing = tuple((w.source, w.target) for w in window)
        shape = _index_shape(band, decision.dims, block)
        if deferred is None:
            _take_tree(tasks, name, band, block, (shape, placing, spread), fill, refs)
        else:
            tasks[(name, *block)] = Task(
                (name, *block),
                _run_take,
                block,
                deferred.extra.get(block, {}),
                fill,
                shape,
                placing,
                spread,
                TaskRef(deferred.key),
                *refs,
            )
    return tasks


@dataclass(frozen=True)
class _Window:
    """The part of an index block that lies under a block of a band."""

    block: tuple[int, ...]
    source: tuple[slice, ...]
    target: tuple[slice, ...]


def _windows(band: Stack, decision: Decision, block: tuple[int, ...]) -> list[_Window]:
    """Find the blocks of a decision under a block of a band: one, where chunks are the same."""
    per_dim = []
    for axis, dim in enumerate(decision.dims):
        at = band.map_dims.index(dim)
        sizes = band.map_chunks[at]
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


def overlaps(sizes: Sequence[int], start: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
    """Cut an interval at chunk borders: chunk number, slice in the chunk, slice in the interval."""
    first = 0
    for number, size in enumerate(sizes):
        low, high = max(first, start), min(first + size, stop)
        if low < high or (start == stop and first <= start <= first + size):
            yield number, slice(low - first, high - first), slice(low - start, high - start)
            if start == stop:
                return
        first += size


def _index_shape(
    band: Stack, index_dims: tuple[Hashable, ...], block: tuple[int, ...]
) -> tuple[int, ...]:
    shape = band.block_shape(block)
    return tuple(shape[band.map_dims.index(d)] for d in index_dims)


@dataclass(frozen=True)
class _Spread:
    """How an index is laid over an image of a band that has its dimensions in another order."""

    axes: tuple[int, ...]
    missing: tuple[int, ...]

    def apply(self, index: Array) -> Array:
        """Transpose, and add dimensions of length 1 where the index has none."""
        return np.expand_dims(index.transpose(self.axes), self.missing)


def _spread(band: Stack, index_dims: tuple[Hashable, ...]) -> _Spread:
    present = [d for d in band.map_dims if d in index_dims]
    missing = tuple(i for i, d in enumerate(band.map_dims) if d not in index_dims)
    return _Spread(tuple(index_dims.index(d) for d in present), missing)


Placing = tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]


def _piece_together(shape: tuple[int, ...], placing: Placing, outcomes: Sequence[Outcome]) -> Array:
    """Cut and join the winners of blocks of the map to those under one block of a band."""
    blocks = [positions for _, positions in outcomes]
    if len(blocks) == 1:
        return blocks[0][placing[0][0]]
    out: Array = np.empty(shape, blocks[0].dtype)
    for (source, target), block in zip(placing, blocks, strict=True):
        out[target] = block[source]
    return out


def _run_take(
    block: tuple[int, ...],
    extra: Nodes,
    fill: Any,
    shape: tuple[int, ...],
    placing: Placing,
    spread: _Spread,
    source: DeferredChunks,
    *outcomes: Outcome,
) -> Array:
    index = _piece_together(shape, placing, outcomes)
    return take_block(source.open(block, extra), index, spread.apply(index), fill)


def _take_tree(
    tasks: dict[Key, Any],
    name: str,
    band: Stack,
    block: tuple[int, ...],
    laying: tuple[tuple[int, ...], Placing, _Spread],
    fill: Any,
    index_refs: Sequence[TaskRef],
) -> None:
    """Take by a chain over time: every task puts the winners of a few chunks into the block."""
    previous: Any = None
    chunks = range(len(band.first_images))
    groups = [chunks[i : i + CHUNKS_PER_TASK] for i in range(0, len(chunks), CHUNKS_PER_TASK)]
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        key = (name, *block) if last else (f"{name}-part", *block, number)
        tasks[key] = Task(
            key,
            _take_chunks,
            band.block_shape(block),
            band.array.dtype,
            fill,
            band.axis,
            tuple(band.first_images[c] for c in group),
            laying,
            None if previous is None else TaskRef(previous),
            _bytes_of(band, block, group),
            len(index_refs),
            *index_refs,
            *(TaskRef(band.key(block, c)) for c in group),
        )
        previous = key


def _take_chunks(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: Any,
    axis: int,
    first: tuple[int, ...],
    laying: tuple[tuple[int, ...], Placing, _Spread],
    previous: Array | None,
    reads: int,
    index_blocks: int,
    *arrays: Any,
) -> Array:
    """Put the winners of a few chunks into a block; `reads`, their size, is for `survey`."""
    index_shape, placing, spread = laying
    index = _piece_together(index_shape, placing, arrays[:index_blocks])
    won, over = set(winners(index)), spread.apply(index)
    # A task may run twice: what came from another one is copied, never changed.
    out: Array = np.full(shape, fill, dtype) if previous is None else previous.copy()
    mask = np.empty(over.shape, bool)
    for start, chunk in zip(first, arrays[index_blocks:], strict=True):
        for i in range(chunk.shape[axis]):
            if start + i in won:
                give(out, over, image_at(chunk, axis, i), start + i, mask)
    return out


# ---------------------------------------------------------------------------------------------
# Chunks with what lies around them
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Around:
    """A function of chunks and of what lies around them, which its tasks read themselves.

    Attributes
    ----------
    recipes : Recipes
        What makes the chunks.
    name : str
        Their layer.
    chunks : tuple of tuple of int
        Their sizes.
    depth : dict of int to int
        How far a task looks beyond its chunk, in pixels, by axis.
    dtype : numpy.dtype
        That of the chunks.
    func : callable
        Gets a chunk with its surroundings, gives an array of the same shape.
    scratch : int
        The bytes a pixel that `func` needs.
    """

    recipes: Recipes
    name: str
    chunks: tuple[tuple[int, ...], ...]
    depth: Mapping[int, int]
    dtype: np.dtype[Any]
    func: Callable[[Array], Array]
    scratch: int

    def make(self, place: tuple[int, ...]) -> Array:
        """Make the chunk at a place."""
        spans = [self._span(axis, number) for axis, number in enumerate(place)]
        own = tuple(slice(start - low, stop - low) for low, start, stop, _ in spans)
        made: Array = self.func(self._read([(low, high) for low, _, _, high in spans]))
        return np.ascontiguousarray(made[own])

    def _span(self, axis: int, number: int) -> tuple[int, int, int, int]:
        """Say where a chunk lies along an axis, from margin to margin."""
        sizes = self.chunks[axis]
        start = sum(sizes[:number])
        stop = start + sizes[number]
        depth = self.depth.get(axis, 0)
        return max(0, start - depth), start, stop, min(sum(sizes), stop + depth)

    def _read(self, window: Sequence[tuple[int, int]]) -> Array:
        """Put a part of the array together from the chunks that it touches."""
        pieces = list(
            itertools.product(
                *(
                    overlaps(c, low, high)
                    for c, (low, high) in zip(self.chunks, window, strict=True)
                )
            )
        )
        keys = [(self.name, *(number for number, _, _ in piece)) for piece in pieces]
        walk, count, size = Walk(self.recipes, {}, keys), current().count, self.largest_chunk()
        chunks = in_turn(
            walk,
            lambda number: walk.make(number, count),
            size,
            in_flight(size),
            lambda start, stop: walk.read_ahead(start, stop, count),
        )
        values = np.empty([high - low for low, high in window], self.dtype)
        for piece, chunk in zip(pieces, chunks, strict=True):
            inside, target = tuple(s for _, s, _ in piece), tuple(t for _, _, t in piece)
            values[target] = chunk[inside]
        return values

    def largest_chunk(self) -> int:
        """Give the bytes of the largest chunk, without surroundings."""
        pixels = int(np.prod([max(c, default=0) for c in self.chunks], dtype=np.int64))
        return max(1, pixels * self.dtype.itemsize)

    def held(self) -> int:
        """Give the most bytes that a task holds while it makes a chunk."""
        reach = [
            min(sum(sizes), max(sizes) + 2 * self.depth.get(axis, 0))
            for axis, sizes in enumerate(self.chunks)
        ]
        window = int(np.prod(reach, dtype=np.int64))
        size = self.largest_chunk()
        read = max(READ_TOGETHER // size, in_flight(size)) * size
        return read + window * (self.dtype.itemsize + self.scratch)


def _make_with_surroundings(place: tuple[int, ...], around: _Around) -> Array:
    return around.make(place)


def map_surroundings(
    array: Any,
    func: Callable[[Array], Array],
    depth: Mapping[int, int],
    dtype: Any,
    *,
    scratch: int = 0,
) -> Any:
    """Apply a function to chunks and what lies around them; of the result the chunk is kept.

    What dask's ``map_overlap`` does, in a form that can be deferred: a task reads its neighbours
    itself. So chunks are read several times (nine, where they are not larger than `depth`), and in
    return there is one task for each, and none waits for others in memory. Where reading
    again would repeat costly work, or chunks lie in memory, it is ``map_overlap``.

    Parameters
    ----------
    array : dask.array.Array
        The input.
    func : callable
        Gets an array, gives one of the same shape; it can be pickled.
    depth : mapping of int to int
        By axis, how many pixels beyond the chunk it looks; at the edge of the map there are fewer.
    dtype : dtype
        That of the result.
    scratch : int, default: 0
        Bytes a pixel that `func` needs meanwhile, for `survey`.

    Returns
    -------
    dask.array.Array
        In the chunks of `array`.
    """
    recipes = _sort(array.__dask_graph__())
    whole = {axis for axis in range(array.ndim) if not depth.get(axis)}
    apart = _set_apart(recipes, [(array, whole)], _columns(array, whole))
    shared = None if apart is None else _join(*apart)
    meta = _meta(array.ndim, dtype)
    if shared is None:
        margins = {axis: depth.get(axis, 0) for axis in range(array.ndim)}
        overlapped = da.map_overlap(
            func, array, depth=margins, boundary="none", dtype=dtype, meta=meta
        )
        return overlapped.rechunk(array.chunks)
    around = _Around(shared, array.name, array.chunks, dict(depth), array.dtype, func, scratch)
    token = tokenize(array.name, sorted(depth.items()), func, np.dtype(dtype))
    name, source = "qmosaic-around-" + token, "qmosaic-surroundings-" + token
    letters = tuple(range(array.ndim))
    layer = blockwise(
        _make_with_surroundings,
        name,
        letters,
        ArrayBlockIdDep(array.chunks),
        letters,
        TaskRef(source),
        None,
        numblocks={},
    )
    graph = _assemble(name, layer, {source: {source: DataNode(source, around)}}, [])
    return da.Array(graph, name, array.chunks, meta=meta)


def _columns(array: Any, whole: set[int]) -> _Parts:
    """Cut an array into blocks of the map, with all chunks along the other axes."""
    counts = [range(n) for n in array.numblocks]

    def keys_of(block: tuple[int, ...]) -> list[Key]:
        places = [
            n if a in whole else (i,) for a, (n, i) in enumerate(zip(counts, block, strict=True))
        ]
        return [(array.name, *place) for place in itertools.product(*places)]

    blocks = [range(1) if axis in whole else n for axis, n in enumerate(counts)]
    return _Parts(lambda: itertools.product(*blocks), keys_of)


def _join(shared: Recipes, extra: Mapping[Any, Nodes]) -> Recipes | None:
    """Put what each part has alone into the recipe of all; None where that is too much."""
    if sum(map(len, extra.values())) > MOST_IN_RECIPE:
        return None
    tasks = dict(shared.tasks)
    for own in extra.values():
        tasks.update(own)
    return Recipes(shared.symbolic, tasks)


# ---------------------------------------------------------------------------------------------
# Jobs: a task for each part of a mosaic, in batches
# ---------------------------------------------------------------------------------------------


class Work(Protocol):
    """What is done with the chunks of a mosaic, job by job; it travels to the workers."""

    def keys(self, job: int) -> list[Key]:
        """Name the chunks that a job needs, in the order in which it wants them."""

    def __call__(self, job: int, chunks: Callable[[], Iterator[Array]]) -> Any:
        """Do a job; `chunks()` gives the chunks in order, and may be called again."""


@dataclass
class Jobs:
    """Work on the chunks of several arrays, made into tasks batch by batch.

    Where every job can run all that is behind its chunks itself, it is one task that carries
    nothing but its number; else what is behind the chunks stands in the graph.

    Attributes
    ----------
    name : str
        What the keys of the tasks begin with.
    work : Work
        What is done.
    recipes : Recipes
        All that is behind the chunks.
    shared : Recipes or None
        What a job runs itself; None where it has to stay in the graph.
    extra : dict
        The tasks that only one job needs.
    """

    name: str
    work: Work
    recipes: Recipes
    shared: Recipes | None
    extra: dict[int, Nodes]

    @property
    def self_contained(self) -> bool:
        """Whether a job is one task."""
        return self.shared is not None

    def batch(self, jobs: Sequence[int]) -> tuple[dict[Key, Any], list[Key]]:
        """Make the graph of some jobs.

        Returns
        -------
        (dict, list)
            The graph and the keys of the jobs.
        """
        work = f"{self.name}-work"
        graph: dict[Key, Any] = {work: DataNode(work, self.work)}
        if self.shared is not None:
            recipes = f"{self.name}-recipes"
            graph[recipes] = DataNode(recipes, self.shared)
            for job in jobs:
                key = (self.name, job)
                extra = [self.extra[job]] if job in self.extra else []
                graph[key] = Task(key, _run_job, job, TaskRef(work), TaskRef(recipes), *extra)
        else:
            nodes: Nodes = {}
            for job in jobs:
                keys = self.work.keys(job)
                self.recipes.expand(keys, nodes, {})
                key = (self.name, job)
                graph[key] = Task(key, _run_last, job, TaskRef(work), *map(TaskRef, keys))
            graph.update(nodes)
            graph.update(self.recipes.futures)
        return graph, [(self.name, job) for job in jobs]


def make_jobs(
    arrays: Sequence[tuple[Any, set[int]]], work: Work, jobs: Sequence[int], name: str
) -> Jobs:
    """Prepare work on the chunks of some arrays.

    Parameters
    ----------
    arrays : sequence of (dask.array.Array, set of int)
        The arrays, and the axes along which a job has all chunks.
    work : Work
        What is to be done.
    jobs : sequence of int
        The numbers of the jobs.
    name : str
        What the keys of the tasks begin with.

    Returns
    -------
    Jobs
        Nothing has been run.
    """
    recipes = _sort(*(array.__dask_graph__() for array, _ in arrays))
    apart = _set_apart(recipes, arrays, _Parts(lambda: jobs, work.keys))
    shared, extra = (None, {}) if apart is None else apart
    return Jobs(name, work, recipes, shared, extra)


def _run_job(job: int, work: Work, recipes: Recipes, extra: Nodes | None = None) -> Any:
    def chunks() -> Iterator[Array]:
        walk = Walk(recipes, extra or {}, work.keys(job))
        for number in range(len(walk.targets)):
            yield walk.make(number)
            walk.drop(number)

    return work(job, chunks)


def _run_last(job: int, work: Work, *chunks: Array) -> Any:
    return work(job, lambda: iter(chunks))


# ---------------------------------------------------------------------------------------------
# What a graph will do
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reads:
    """What the tasks of one band may read.

    Attributes
    ----------
    quality : bool
        Whether they read all of it, to decide.
    images : int
        The number of images, 0 where it is not known.
    total : int
        The bytes of the whole band.
    block : int
        The pixels of its largest block of the map.
    itemsize : int
        Bytes a pixel.
    held : int
        The most bytes that a task holds of what it reads, and of what that is derived from.
    deferred : bool
        Whether a task reads what it chooses; if not, all of the band is read.
    """

    quality: bool
    images: int
    total: int
    block: int
    itemsize: int
    held: int
    deferred: bool


def survey(arrays: Sequence[Any]) -> list[Reads]:
    """Find out what making some arrays will read, without reading anything.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
        Bands of mosaics, or what is derived from them.
    """
    recipes = _sort(*(array.__dask_graph__() for array in arrays))
    deciding = _sources_of_decisions(recipes)
    found = [
        _reads_of(node.value, key in deciding)
        for key, node in recipes.tasks.items()
        if isinstance(node, DataNode) and isinstance(node.value, DeferredChunks)
    ]
    found += _reads_of_trees(recipes)
    return found


def _sources_of_decisions(recipes: Recipes) -> set[Key]:
    """Name the recipes that decisions read."""
    found: set[Key] = set()
    for layer in recipes.symbolic.values():
        if isinstance(layer.task.func, _DecideTask):
            found |= {s.key for s, _ in layer.indices if isinstance(s, TaskRef)}
    for node in recipes.tasks.values():
        method = node.func if isinstance(node, Task) else None
        if isinstance(getattr(method, "__self__", None), _DecideTask):
            found |= set(node.dependencies)
    return found


def _reads_of(source: DeferredChunks, quality: bool) -> Reads:
    sizes = source.map_chunks
    block = int(np.prod([max(c, default=0) for c in sizes], dtype=np.int64))
    pixels = int(np.prod([sum(c) for c in sizes], dtype=np.int64))
    images, itemsize = sum(source.time_chunks), source.dtype.itemsize
    chunk = max(1, block * itemsize * max(source.time_chunks, default=1))
    at_once = max(READ_TOGETHER // chunk, in_flight(chunk)) * chunk
    held = int(at_once * (2 + STEP * min(4, _steps(source))))
    held += source.beside * in_flight(max(chunk, source.beside))
    return Reads(quality, images, images * pixels * itemsize, block, itemsize, held, True)


def _held_around(recipes: Recipes) -> int:
    """Give what a task holds of the surroundings of a chunk, where it looks at them."""
    found = [n.value for n in recipes.tasks.values() if isinstance(n, DataNode)]
    around = [value for value in found if isinstance(value, _Around)]
    return max((a.held() + _held_around(a.recipes) for a in around), default=0)


def _steps(source: DeferredChunks) -> int:
    """Count the steps of arithmetic behind a chunk."""
    nodes: Nodes = {}
    first = (source.name, *(0 for _ in range(len(source.map_chunks) + 1)))
    try:
        source.recipes.expand([first], nodes, {})
    except KeyError:
        return 4  # written out for each block: not looked at
    return sum(isinstance(n, Task) and not _is_read(n) for n in nodes.values())


def _reads_of_trees(recipes: Recipes) -> list[Reads]:
    """The same for bands that stay ordinary dependencies."""
    images = 0
    sizes: dict[tuple[Any, bool], list[int]] = defaultdict(list)
    for key, node in recipes.tasks.items():
        if isinstance(node, Task) and node.func in (_contest_chunks, _take_chunks):
            given = [a.value if isinstance(a, DataNode) else a for a in node.args[:8]]
            quality = node.func is _contest_chunks
            images = given[1] if quality else images
            sizes[_layer_of(key), quality].append(given[7])
    return [
        Reads(quality, images, sum(found), 0, 1, 4 * max(found), False)
        for (_, quality), found in sizes.items()
    ]
