"""Running the tasks behind a sequence of chunks, inside a task."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError
from qmosaic.engine.graph.answering import answers_at_once
from qmosaic.engine.graph.lanes import adjacent_runs, as_asked, is_window, joint, parts_of
from qmosaic.engine.graph.lowering import GETTERS, ReadsItself, fast_lane
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, node_key
from qmosaic.engine.graph.stored import Index
from qmosaic.engine.threads import Threads

READ_TOGETHER = 4 * 2**20
"""Bytes that a task may ask for at once: to a Zarr library a request costs more than a chunk."""


WINDOW = 128
"""Chunks for which a task writes out what is behind them: about 4 kB for each."""


MOST_IN_FLIGHT = 16
"""The most chunks that a task reads at the same time from a source that may keep waiting."""


def in_turn(
    walk: Walk, make: Callable[[int], Array], size: int, most: int, count: Count
) -> Iterator[Array]:
    """Give one chunk of a walk after the other, and read ahead for the next ones.

    How is settled before anything is read, so that a task holds the same on a busy machine as on
    an idle one. Where a source may keep a task waiting, threads read for the next chunks
    meanwhile; where it answers at once, they would only cost, and adjacent chunks are read in one
    request.

    Parameters
    ----------
    walk : Walk
        What makes the chunks.
    make : callable
        Makes the one with a number.
    size : int
        The bytes of a chunk.
    most : int
        For how many chunks there may be something read, where the source may keep waiting.
    count : callable
        Is called with everything that is read ahead.
    """
    if len(walk.targets) > 1 and walk.may_wait():
        yield from _with_threads(walk, make, most, count)
        return
    together = max(1, min(WINDOW, READ_TOGETHER // size))
    for number in range(len(walk.targets)):
        if together > 1 and number % together == 0:
            _quietly(walk.read_ahead, number, number + together, count)
        array = make(number)
        yield array
        del array
        walk.drop(number)


def _with_threads(
    walk: Walk, make: Callable[[int], Array], most: int, count: Count
) -> Iterator[Array]:
    """Make the chunks in order; for `most` of them, this one too, reads are done or on their
    way."""
    chunks = len(walk.targets)
    started: deque[Future[None]] = deque()
    pool = Threads(most, "qmosaic-read")
    try:
        for number in range(chunks):
            for n in range(number + len(started), min(number + most, chunks)):
                # how the task reads holds in other threads too
                run, keys = copy_context().run, walk.claim(n)
                started.append(pool.submit(run, _quietly, walk.fetch, n, keys, count))
            started.popleft().result()
            array = make(number)
            yield array
            del array
            walk.drop(number)
    finally:
        # one that hangs would hold up an interruption
        pool.shutdown(wait=False, cancel_futures=True)


def _quietly(read: Callable[..., None], *arguments: Any) -> None:
    """Read ahead; what fails is found, and read again, when it is needed."""
    try:
        read(*arguments)
    except MemoryError:
        raise
    except Exception:
        return


def in_flight(chunk_bytes: int) -> int:
    """Say how many chunks are read at the same time from a source that may keep waiting."""
    return max(2, min(MOST_IN_FLIGHT, 2 * READ_TOGETHER // chunk_bytes))


Count = Callable[[Any], None]
"""What is called with everything that is read."""


def no_count(values: Any) -> None:
    pass


class Walk:
    """Runs the tasks behind a sequence of chunks, one chunk at a time.

    A value is dropped once its last user has run. What several chunks of the sequence use directly
    (a static elevation, a mean over time, a source chunk that holds several images) is kept until
    the last of them has been made; what stands behind such a value is not kept.

    Tasks are written out for a window of chunks at a time, so that a long sequence takes no more
    memory than a short one. What one window still holds at its end and the next one uses is handed
    over.
    """

    def __init__(
        self,
        recipes: Recipes,
        extra: Mapping[Key, GraphNode],
        targets: Sequence[Key],
        window: int = WINDOW,
    ) -> None:
        self.targets = targets
        self._window = window
        self._recipes, self._extra = recipes, extra
        self._windows: dict[int, Nodes] = {}
        self._kept: dict[Key, Any] = {}
        self._last_user: dict[Key, int] = {}
        self._claimed: set[Key] = set()
        self._drop_after: dict[int, list[Key]] = defaultdict(list)
        self._lock = threading.Lock()

    def may_wait(self) -> bool:
        """Whether what is read for the chunks may take its time: not to compute, but to come."""
        nodes = self._nodes(0)
        known: dict[int, bool] = {}
        return any(_may_wait(node, nodes, known) for node in nodes.values())

    def make(self, number: int, count: Count = no_count) -> Any:
        """Make the chunk `number` of the sequence; threads may make several at a time."""
        return self._evaluate(self.targets[number], self._nodes(number), count)

    def drop(self, number: int) -> None:
        """Let go of what was kept for the chunks up to `number`, one after the other."""
        last = (number + 1) % self._window == 0
        if last and number + 1 < len(self.targets):
            self._nodes(number + 1)  # it takes over what it uses
        with self._lock:
            for key in self._drop_after.pop(number, ()):
                if self._last_user.get(key, number) <= number:
                    self._last_user.pop(key, None)
                    self._kept.pop(key, None)
                    self._claimed.discard(key)
            if last:
                self._windows.pop(number // self._window, None)

    def read_ahead(self, start: int, stop: int, count: Count = no_count) -> None:
        """Read what several chunks of the sequence need from one source in as few requests as can
        be."""
        reads: dict[Any, list[_Read]] = defaultdict(list)
        for number in range(start, min(stop, len(self.targets))):
            nodes = self._nodes(number)
            for key in self.claim(number):
                if key not in self._last_user and (read := _as_read(nodes[key], number)):
                    reads[read.source].append(read)
        for group in reads.values():
            for run in adjacent_runs(group, _index_of):
                self._read_together(run, count)

    def claim(self, number: int) -> list[Key]:
        """Name what has to be read for a chunk and is not there, nor claimed for an earlier one.

        Not what is behind a value that is kept for several chunks: that may rest on all images.
        """
        nodes = self._nodes(number)
        found: list[Key] = []
        stack, seen = [self.targets[number]], set()
        while stack:
            key = stack.pop()
            if key in seen or key in self._claimed or key in self._kept:
                continue
            seen.add(key)
            if _reads(nodes[key], nodes):
                found.append(key)
            elif key not in self._last_user:
                stack.extend(nodes[key].dependencies)
        shared = [key for key in found if key in self._last_user]
        self._claimed.update(shared)
        return found

    def fetch(self, number: int, keys: Sequence[Key], count: Count = no_count) -> None:
        """Read what was claimed for a chunk, and keep it until that has been made."""
        nodes = self._nodes(number)
        for key in keys:
            value = self._evaluate(key, nodes, count)
            with self._lock:
                self._kept[key] = value
                if key not in self._last_user:
                    self._drop_after[number].append(key)

    def _read_together(self, run: list[_Read], count: Count) -> None:
        axis, index = joint(run[0].index, run[-1].index)
        node, nodes = run[0].node, self._nodes(run[0].number)
        source = self._source(node.args[0], nodes)
        values = self._cut(node, source, index, run[0].rest)
        try:
            values = as_asked(values, index, getattr(source, "dtype", None))
        except UnexpectedChunkError:
            return  # not a source that slices as numpy does: every chunk is read on its own
        count(values)
        parts = parts_of(values, [read.index for read in run], axis)
        for read, part in zip(run, parts, strict=True):
            self._kept[node_key(read.node)] = part
            self._drop_after[read.number].append(node_key(read.node))

    def _source(self, argument: Any, nodes: Nodes) -> Any:
        keys = [argument.key] if isinstance(argument, TaskRef) else []
        keys = list(argument.dependencies) if isinstance(argument, GraphNode) else keys
        return _value_of(argument, {key: self._evaluate(key, nodes) for key in keys})

    def _evaluate(self, target: Key, nodes: Nodes, count: Count = no_count) -> Any:
        kept = dict(self._kept)  # threads drop and add while this one is at work
        if target in kept:
            return kept[target]
        order = _order(target, kept, nodes)
        users = Counter(d for key in order for d in nodes[key].dependencies)
        values: dict[Key, Any] = {}
        for key in order:
            node = nodes[key]
            inputs = {d: values[d] if d in values else kept[d] for d in node.dependencies}
            values[key] = self._run(node, inputs)
            if is_read(node):
                values[key] = _as_read_by(node, inputs, values[key])
                count(values[key])
            del inputs
            if key in self._last_user:
                self._kept[key] = values[key]
            for d in node.dependencies:
                users[d] -= 1
                if not users[d]:
                    values.pop(d, None)
        return values[target]

    def _run(self, node: Any, inputs: Mapping[Key, Any]) -> Any:
        """Run a task; where it slices a Zarr array, by the fast lane if there is one."""
        if is_read(node) and node.func in GETTERS and len(node.args) >= 2:
            source, index = (_value_of(argument, inputs) for argument in node.args[:2])
            lane = fast_lane(self._recipes, source, index)
            if lane is not None:
                return lane.ask(index).result()
        return node(inputs)

    def _cut(self, node: Any, source: Any, index: Index, rest: tuple[Any, ...]) -> Any:
        lane = fast_lane(self._recipes, source, index)
        if lane is not None:
            return lane.ask(index).result()
        return node.func(source, index, *rest, **node.kwargs)

    def _nodes(self, number: int) -> Nodes:
        """Give the tasks behind a chunk, among those of its window."""
        window = number // self._window
        with self._lock:
            if window not in self._windows:
                self._windows[window] = self._write_out(window)
            return self._windows[window]

    def _write_out(self, window: int) -> Nodes:
        """Write out the tasks of a window, and settle what is kept for it and how long."""
        first = window * self._window
        numbers = range(first, min(first + self._window, len(self.targets)))
        targets = [self.targets[number] for number in numbers]
        # what has been kept so far is handed over: nothing behind it is written out
        kept: Nodes = {key: DataNode(key, value) for key, value in dict(self._kept).items()}
        nodes = dict(kept)
        self._recipes.expand(targets, nodes, self._extra)
        if kept:
            used = {d for node in nodes.values() for d in node.dependencies}.union(targets)
            nodes = {key: node for key, node in nodes.items() if key not in kept or key in used}
        inputs = {key: node.dependencies for key, node in nodes.items()}
        for key, last in last_users(targets, inputs, numbers.start).items():
            self._last_user[key] = last
            self._drop_after[last].append(key)
        return nodes


def _order(target: Key, kept: Iterable[Key], nodes: Nodes) -> list[Key]:
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
            stack.extend((d, False) for d in nodes[key].dependencies if d not in done)
    return order


def last_users(
    targets: Sequence[Key], inputs: Mapping[Key, Iterable[Key]], first: int = 0
) -> dict[Key, int]:
    """Find the values that several chunks use directly, and number the last that does.

    Parameters
    ----------
    targets : sequence of key
        The chunks.
    inputs : dict
        What each of them, and all that is behind it, is made of.
    first : int
        The number of the first chunk.
    """
    several = -1
    owner: dict[Key, int] = {}
    for number, target in enumerate(targets, first):
        stack = [target]
        while stack:
            key = stack.pop()
            seen = owner.get(key)
            if seen == several or seen == number:
                continue
            owner[key] = number if seen is None else several
            stack.extend(inputs[key])
    used = ((d, n) for key, n in owner.items() if n != several for d in inputs[key])
    user: dict[Key, int] = {}
    last: dict[Key, int] = {}
    for key, number in itertools.chain(used, zip(targets, itertools.count(first), strict=False)):
        other = user.setdefault(key, number)
        if other != number:
            last[key] = max(last.get(key, number), number, other)
    return last


@dataclass
class _Read:
    """A task that cuts a chunk out of a source array."""

    node: Any
    source: Any
    index: tuple[slice, ...]
    rest: tuple[Any, ...]
    number: int


def _index_of(read: _Read) -> Index:
    return read.index


def _as_read(node: GraphNode, number: int) -> _Read | None:
    """Recognise the task that dask writes for ``from_array``: getter(source, slices, ...)."""
    if not (isinstance(node, Task) and node.func in GETTERS and len(node.args) >= 2):
        return None
    source, index, *rest = node.args
    index = index.value if isinstance(index, DataNode) else index
    if not is_window(index):
        return None
    if any(isinstance(r, GraphNode | TaskRef) for r in rest):
        return None
    name = source.key if isinstance(source, TaskRef | Alias) else id(source)
    return _Read(node, name, index, tuple(rest), number)


def _reads(node: GraphNode, nodes: Nodes) -> bool:
    """Whether a task reads, or makes something that reads itself do so."""
    if is_read(node):
        return True
    inputs = [nodes[d] for d in node.dependencies if isinstance(nodes[d], DataNode)]
    return any(isinstance(n.value, ReadsItself) for n in inputs)


def _may_wait(node: GraphNode, nodes: Nodes, known: dict[int, bool]) -> bool:
    """Whether a task reads from a source that may keep it waiting; `known` are sources by id."""
    if isinstance(node, DataNode):
        return isinstance(node.value, ReadsItself) and node.value.may_wait()
    if not is_read(node):
        return False
    source = node.args[0] if isinstance(node, Task) and node.args else None
    while isinstance(source, TaskRef | Alias | DataNode):
        if isinstance(source, DataNode):
            source = source.value
        else:
            (key,) = [source.key] if isinstance(source, TaskRef) else source.dependencies
            source = nodes.get(key)
    if id(source) not in known:
        known[id(source)] = not answers_at_once(source)
    return known[id(source)]


def _as_read_by(node: Any, inputs: Mapping[Key, Any], values: Any) -> Any:
    """Give what a task has read, as it asked for it."""
    if node.func not in GETTERS or len(node.args) < 2:
        return values
    source, index = (_value_of(argument, inputs) for argument in node.args[:2])
    return as_asked(values, index, getattr(source, "dtype", None))


def _value_of(argument: Any, inputs: Mapping[Key, Any]) -> Any:
    if isinstance(argument, TaskRef):
        return inputs[argument.key]
    if isinstance(argument, GraphNode):
        return argument({key: inputs[key] for key in argument.dependencies})
    return argument


def is_read(node: GraphNode) -> bool:
    """Whether a task brings data in: it cuts a chunk out of a source, or rests on nothing."""
    return isinstance(node, Task) and (node.func in GETTERS or not node.dependencies)
