"""Jobs: a task for each part of a mosaic, in batches."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
from dask._task_spec import DataNode, Task, TaskRef

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError
from qmosaic.engine.graph.asking import MOST_IN_FLIGHT, Asking, in_flight
from qmosaic.engine.graph.chunks import DeferredChunks, blocks_in
from qmosaic.engine.graph.deferral import fill_in, join_chunks
from qmosaic.engine.graph.making_views import Maker
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, sort_graphs
from qmosaic.engine.graph.sharing import (
    Shares,
    Spans,
    choose_units,
    everything,
    rebuilt,
    shared_by,
)
from qmosaic.engine.graph.views import (
    ByWindow,
    Chunk,
    Given,
    Numbers,
    View,
    Window,
    Written,
    reached,
)
from qmosaic.engine.reading import FAULTS_OF_CODE, Reading, current

FIRST_TASKS = 64
"""The most tasks that make an array which all jobs use."""


class Work(Protocol):
    """What is done with parts of a mosaic, job by job; it travels to the workers."""

    def windows(self, job: int) -> list[tuple[str, Window]]:
        """Name the arrays that a job needs, and which part of each, in the order in which it wants
        them."""

    def accept(self, name: str, numbers: Numbers, chunk: Any) -> Array:
        """Check a chunk of an array that others have made."""

    def __call__(self, job: int, parts: Callable[..., Iterator[Array]]) -> Any:
        """Do a job; `parts()` gives its parts in order, and may be called again: with other windows
        of the arrays, it gives these."""


class Sight:
    """Arrays as views, as far as there are any.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
        The arrays.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.recipes = sort_graphs(*(array.__dask_graph__() for array in arrays))
        self.chunks = {array.name: array.chunks for array in arrays}
        self.filled = _filled_later(self.recipes)
        bare = Recipes(
            self.recipes.symbolic,
            self.recipes.tasks | {k: DataNode(k, s) for k, (s, _) in self.filled.items()},
            self.recipes.futures,
            self.recipes.arrays,
        )
        maker = Maker(bare, {a.name: (a.chunks, a.dtype) for a in arrays})
        self.views = {array.name: maker.of(array.name) for array in arrays}
        self._known: dict[Any, Shares | str] = {}

    def borders(self, name: str) -> list[Array | None]:
        """Say where an array can be cut so that nothing is read or made twice, axis by axis."""
        view = self.views[name]
        if view is None:
            starts = [(0, *itertools.accumulate(sizes)) for sizes in self.chunks[name]]
            return [np.asarray(s) for s in starts]
        return [view.borders(axis) for axis in range(len(view.shape))]

    def periods(self, names: Iterable[str]) -> set[Hashable]:
        """Name the dimensions along which mosaics of periods lie behind some arrays."""
        views = [view for name in names if (view := self.views[name]) is not None]
        parts = (view.func for view in reached(*views) if isinstance(view, ByWindow))
        return {part.periods.dim for part in parts if part.periods is not None}

    def shares(self, spans: Mapping[str, tuple[Spans, ...]]) -> Shares | str:
        """Find out what jobs share, once; where that is costly, or an array has no view, say what.

        Parameters
        ----------
        spans : mapping
            What jobs need of each array.
        """
        key = tuple(spans.items())
        if key not in self._known:
            roots = self.roots(spans)
            self._known[key] = "" if roots is None else shared_by(roots, list(spans.values()))
        return self._known[key]

    def remember(self, spans: Mapping[str, tuple[Spans, ...]], shares: Shares | str) -> None:
        """Note what is known already of what jobs share."""
        self._known[tuple(spans.items())] = shares

    def roots(self, names: Iterable[str]) -> list[View] | None:
        """Give the views of some arrays; None where one of them has none."""
        found = [view for name in names if (view := self.views[name]) is not None]
        return found if len(found) == len(list(names)) else None


def _filled_later(recipes: Recipes) -> dict[Key, tuple[DeferredChunks, Task]]:
    """Find the sources of which something has to be made first."""
    found = {}
    for key, node in recipes.tasks.items():
        if isinstance(node, Task) and node.func is fill_in:
            (bare,) = [recipes.tasks[k] for k in node.dependencies if _is_source(recipes, k)]
            assert isinstance(bare, DataNode)
            found[key] = (bare.value, node)
    return found


def _is_source(recipes: Recipes, key: Key) -> bool:
    node = recipes.tasks.get(key)
    return isinstance(node, DataNode) and isinstance(node.value, DeferredChunks)


@dataclass
class Jobs:
    """Work on parts of several arrays, made into tasks batch by batch.

    Where every job can make its parts itself, it is one task that carries nothing but its number;
    else what is behind the parts stands in the graph.

    Attributes
    ----------
    name : str
        What the keys of the jobs begin with.
    work : Work
        What is done.
    sight : Sight
        The arrays.
    shared : dict of str to View, or None
        The arrays as views; None where what is behind them has to stay in the graph.
    own : dict
        The tasks that only one job needs.
    times_read : dict of str to float
        For each band, how often a chunk behind it is read, on average.
    """

    name: str
    work: Work
    sight: Sight
    shared: dict[str, View] | None
    own: dict[int, dict[tuple[Any, Numbers], Any]] = field(default_factory=dict)
    times_read: dict[str, float] = field(default_factory=dict)

    @property
    def self_contained(self) -> bool:
        """Whether a job is one task."""
        return self.shared is not None

    def most_carried(self) -> int:
        """Count the tasks that travel with a job, with the one that has most of them."""
        return max(map(len, self.own.values()), default=0)

    @cached_property
    def before(self) -> list[Given]:
        """What is made before all jobs, and once."""
        if self.shared is None:
            return []
        found = [v for v in everything(*self.shared.values()) if isinstance(v, Given)]
        return [view for view in found if view.values is None]

    def first(self) -> tuple[dict[Key, Any], list[Key]]:
        """Make the graph of what is made before all jobs.

        Returns
        -------
        (dict, list)
            The graph and its keys; none where there is nothing.
        """
        nodes: Nodes = {}
        wanted: list[Key] = []
        for number, given in enumerate(self.before):
            name = f"first {number} of {self.name}"
            if given.origin is not None and _made_alone(given.origin):
                nodes[name] = DataNode(name, given.origin)
                for part, chunks in enumerate(_parts_of(given)):
                    key = (name, part)
                    retries = getattr(self.work, "retries", 0)
                    nodes[key] = Task(key, _make_chunks, TaskRef(name), chunks, retries)
                    wanted.append(key)
                continue
            keys = [(given.name, *numbers) for numbers in _numbers_of(given)]
            self.sight.recipes.expand(keys, nodes, {})
            nodes[name, 0] = Task((name, 0), _as_list, *map(TaskRef, keys))
            wanted.append((name, 0))
        return nodes, wanted

    def take_up(self, made: Mapping[Key, Any]) -> None:
        """Take up what was made before all jobs."""
        if self.shared is None or not made:
            return
        filled: dict[int, View] = {}
        for number, given in enumerate(self.before):
            name = f"first {number} of {self.name}"
            parts = [made[key] for key in made if key[0] == name]  # type: ignore[index]
            chunks = list(itertools.chain.from_iterable(parts))
            filled[id(given)] = given.full(join_chunks(tuple(map(len, given.chunks)), *chunks))
        views = rebuilt(list(self.shared.values()), filled)
        self.shared = dict(zip(self.shared, views, strict=True))
        del self.before

    def batch(self, jobs: Sequence[int]) -> tuple[dict[Key, Any], list[Key]]:
        """Make the graph of some jobs.

        Returns
        -------
        (dict, list)
            The graph and the keys of the jobs.
        """
        work = f"plan of {self.name}"
        graph: dict[Key, Any] = {work: DataNode(work, self.work)}
        if self.shared is not None:
            views = f"views of {self.name}"
            graph[views] = DataNode(views, Shared(self.shared, bool(self.own)))
            for job in jobs:
                key = (self.name, job)
                own = [self.own[job]] if job in self.own else []
                graph[key] = Task(key, _run_job, job, TaskRef(work), TaskRef(views), *own)
        else:
            nodes: Nodes = {}
            for job in jobs:
                laid = self._parts(job)
                keys = [key for _, _, placed in laid for key, _, _ in placed]
                self.sight.recipes.expand(keys, nodes, {})
                key = (self.name, job)
                graph[key] = Task(key, _run_last, job, TaskRef(work), laid, *map(TaskRef, keys))
            graph.update(nodes)
            graph.update(self.sight.recipes.futures)
        return graph, [(self.name, job) for job in jobs]

    def _parts(self, job: int) -> list[tuple[str, Window, list[tuple[Key, Any, Any]]]]:
        """Name the chunks of each part that a job needs, and how they lie in it."""
        return [
            (name, window, list(_chunks_in(name, self.sight.chunks[name], window)))
            for name, window in self.work.windows(job)
        ]


def _chunks_in(name: str, chunks: Any, window: Window) -> Iterator[tuple[Key, Any, Any]]:
    for numbers, inside, target in blocks_in(chunks, window):
        yield (name, *numbers), inside, target


class Shared:
    """Views that all jobs share; tasks that one job alone needs do not travel with them.

    Parameters
    ----------
    views : dict
        The views, by the names of the arrays.
    apart : bool
        Whether such tasks travel with their jobs.
    """

    def __init__(self, views: dict[str, View], apart: bool, travelled: bool = False) -> None:
        self.views, self._apart, self._travelled = views, apart, travelled
        self._lock = threading.Lock()
        self._lent: Counter[tuple[Any, Numbers]] = Counter()

    def __reduce__(self) -> Any:
        if not self._apart:
            return Shared, (self.views, False, self._travelled)
        return Shared, (_without_tasks(self.views), False, True)

    @cached_property
    def _written(self) -> dict[Any, list[Written]]:
        found: dict[Any, list[Written]] = defaultdict(list)
        for view in everything(*self.views.values()):
            if isinstance(view, Written):
                found[view.name].append(view)
        return found

    @contextlib.contextmanager
    def lent(self, own: Mapping[tuple[Any, Numbers], Any]) -> Iterator[dict[str, View]]:
        """Have the tasks of a job within the block."""
        if not self._travelled:  # the tasks are there
            yield self.views
            return
        with self._lock:
            self._lent.update(own.keys())
            for (name, numbers), task in own.items():
                for view in self._written.get(name, ()):
                    view.tasks[numbers] = task
        try:
            yield self.views
        finally:
            with self._lock:
                self._lent.subtract(own.keys())
                for name, numbers in own:
                    if not self._lent[name, numbers]:  # no other job needs it now
                        del self._lent[name, numbers]
                        for view in self._written.get(name, ()):
                            view.tasks.pop(numbers, None)


def _without_tasks(views: dict[str, View]) -> dict[str, View]:
    """Copy views, without the tasks of single chunks."""

    def empty(view: View) -> None:
        if isinstance(view, Written) and view.shape:
            view.tasks = {}

    return dict(zip(views, rebuilt(list(views.values()), change=empty), strict=True))


def _sources_of(views: Mapping[str, View]) -> list[Any]:
    return [s for v in everything(*views.values()) if isinstance(v, ByWindow) for s in v.sources]


def _numbers_of(view: View) -> Iterator[Numbers]:
    return itertools.product(*(range(len(sizes)) for sizes in view.chunks))


def _made_alone(view: View) -> bool:
    """Whether the chunks of an array share nothing, so that each can be made by itself."""
    if any(isinstance(other, Given) for other in reached(view)):
        return False  # something else has to be made before it
    spans = [Spans(n, tuple(itertools.pairwise(starts))) for n, starts in enumerate(view.starts)]
    shares = shared_by([view], [tuple(spans)])
    return not isinstance(shares, str) and not shares.replaced


def _parts_of(view: View) -> list[list[Numbers]]:
    """Divide the chunks of an array that is made first into tasks."""
    numbers = list(_numbers_of(view))
    size = max(1, -(-len(numbers) // FIRST_TASKS))
    return [numbers[n : n + size] for n in range(0, len(numbers), size)]


def _make_chunks(view: View, numbers: Sequence[Numbers], retries: int) -> list[Any]:
    """Make some chunks of an array that is made first, again where that fails."""
    reading = Reading(retries=retries)
    asking = Asking([(view, Chunk(n)) for n in numbers])
    asking.read_ahead(1, MOST_IN_FLIGHT)
    found = []
    try:
        for number in range(len(numbers)):
            found.append(reading.attempt(partial(asking.make, number)))
        return found
    except (MemoryError, UnexpectedChunkError, *FAULTS_OF_CODE):
        raise
    except Exception as error:
        raise OSError(
            f"{name_of(view)}, which all blocks of the map use and which is made first, could not "
            f"be made: {type(error).__name__}: {error}. Mend or replace the chunk, or leave the "
            "image out before: collection.drop_isel(time=...). on_error='skip' does not reach it."
        ) from error
    finally:
        asking.close()


def name_of(view: View) -> str:
    """Name what is made first, as far as dask tells it: "mean", "max", "add"."""
    return str(view.name).partition("-")[0].removesuffix("_agg")


def _as_list(*chunks: Any) -> list[Any]:
    return list(chunks)


def make_jobs(
    sight: Sight,
    spans: Mapping[str, tuple[Spans, ...]],
    numbers: Callable[[Mapping[Hashable, int]], int],
    work: Work,
    shown: str,
    run: str,
) -> Jobs:
    """Prepare work on parts of some arrays.

    Parameters
    ----------
    sight : Sight
        The arrays.
    spans : mapping
        What the jobs need of each of them.
    numbers : callable
        Gives the number of a job for its place among the spans.
    work : Work
        What is to be done.
    shown : str
        What dask's displays show of the keys; without a hyphen, as they cut a key there.
    run : str
        Tells the jobs apart from those of other runs.

    Returns
    -------
    Jobs
        Nothing has been run.
    """
    shares = sight.shares(spans)
    if isinstance(shares, str):
        return Jobs(f"{shown}-{run}", work, sight, None)
    views = dict(zip(spans, (view for view, _ in shares.roots), strict=True))
    own = {}
    for place, found in shares.own.items():
        own[numbers(dict(zip(shares.labels, place, strict=True)))] = {
            (view.name, tuple(chunk)): view.tasks[tuple(chunk)]
            for view, chunk in found
            if view.shape
        }
    times: dict[str, float] = {}
    for source in _sources_of(views):
        band, often = source.origin.band, shares.times_read_of(source.view)
        times[band] = max(often, times.get(band, 1.0))
    return Jobs(f"{shown}-{run}", work, sight, views, own, times)


def choose_box(
    sight: Sight,
    spans_of: Callable[[tuple[int, ...]], Mapping[str, tuple[Spans, ...]]],
    most: Sequence[int],
    largest: int,
) -> tuple[int, ...]:
    """Choose how many units along each side of the map a job has: as few as can be, so that jobs
    share nothing and read little again.

    Parameters
    ----------
    sight : Sight
        The arrays.
    spans_of : callable
        Says what jobs of so many units need.
    most : sequence of int
        The units that there are along each side.
    largest : int
        The most units that a job may have.
    """
    roots = sight.roots(spans_of((1,) * len(most)))
    if roots is None:
        return (1,) * len(most)
    units, shares = choose_units(roots, lambda units: list(spans_of(units).values()), most, largest)
    sight.remember(spans_of(units), shares)  # the jobs will ask for it
    return units


def _run_job(
    job: int, work: Work, shared: Shared, own: Mapping[tuple[Any, Numbers], Any] | None = None
) -> Any:
    with shared.lent(own or {}) as views:

        def parts(windows: Sequence[tuple[str, Window]] | None = None) -> Iterator[Array]:
            wanted = work.windows(job) if windows is None else windows
            targets = [(views[name], window) for name, window in wanted]
            asking = Asking(targets, together=len(targets))
            size = max(1, max((_bytes_of(*target) for target in targets), default=1))
            asking.read_ahead(size, in_flight(size))
            try:
                for number in range(len(targets)):
                    yield asking.make(number, current().count)
            finally:
                asking.close()

        return work(job, parts)


def _bytes_of(view: View, window: Window) -> int:
    itemsize = 1 if view.dtype is None else view.dtype.itemsize
    return math.prod(b - a for a, b in window) * itemsize


def _run_last(job: int, work: Work, laid: Sequence[Any], *chunks: Array) -> Any:
    def parts() -> Iterator[Array]:
        given = iter(chunks)
        for name, window, placed in laid:
            yield _joined(work, name, window, placed, given)

    return work(job, parts)


def _joined(work: Work, name: str, window: Window, placed: Any, given: Iterator[Array]) -> Array:
    """Put the chunks of a part together."""
    out: Array | None = None
    for (_, *numbers), inside, target in placed:
        part: Array = work.accept(name, tuple(numbers), next(given))[inside]
        if len(placed) == 1:
            return part
        if out is None:
            out = np.empty([b - a for a, b in window], part.dtype)
        out[target] = part
    assert out is not None
    return out
