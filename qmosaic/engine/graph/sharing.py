"""What blocks of the map share: what would be made again for each of them, and is read again."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qmosaic.engine.graph.views import (
    Around,
    ByChunk,
    ByWindow,
    Chunk,
    Chunkwise,
    Constant,
    Each,
    Given,
    Held,
    Pieces,
    Place,
    Sliced,
    View,
    Window,
    Written,
    reached,
)

CHEAP_STEPS = 8
"""The most steps that may be done again in every block: the opening of a file, a slice of a
weight."""

SMALL_RESULT = 8 * 2**20
"""The most bytes of an array that is made before all blocks, and that each of them gets."""

TIMES_READ = 1.6
"""How often a chunk of a source may be read on average, where blocks and chunks have other borders:
it is what a block of 4 × 4 chunks costs."""

TIMES_MADE = 1.25
"""How often a chunk that takes a computation may be made on average, where blocks and chunks have
other borders."""

UNITS = (1, 2, 3, 4, 6, 8, 16)
"""How many units along a side may be put together."""

FEWER_UNITS = (1, 2, 4)
"""The same, where it takes long to find out what comes of it."""

CELLS = 20_000
"""So many reads are looked at to find out how often a source chunk is read, where tasks are written
out."""

PIXEL = 8
"""Bytes a pixel, where a dtype is not known."""


@dataclass(frozen=True)
class Spans:
    """What blocks need along an axis.

    Attributes
    ----------
    label : hashable or None
        The axis of the map that the numbers of the blocks go along; None where all blocks need the
        same.
    spans : tuple
        For each number the first pixel and the one behind the last; None where nothing is needed.
        One for all, where there is no label.
    """

    label: Hashable
    spans: tuple[tuple[int, int] | None, ...]

    def moved(self, change: Any) -> Spans:
        """Change each of them."""
        return Spans(self.label, tuple(None if s is None else change(s) for s in self.spans))


Arrival = tuple[Spans, ...]


class Shares:
    """What blocks need of each view.

    Parameters
    ----------
    roots : sequence of (View, Arrival)
        What is made, and what of it each block needs.
    """

    def __init__(self, roots: Sequence[tuple[View, Arrival]]) -> None:
        self.roots = list(roots)
        # what is behind the sources of mosaics belongs to others
        self._changeable = {id(view) for view in reached(*(view for view, _ in roots))}
        self.labels = {
            span.label: len(span.spans)
            for _, arrival in roots
            for span in arrival
            if span.label is not None and len(span.spans) > 1
        }
        self.arrivals: dict[int, dict[Arrival, None]] = defaultdict(dict)
        self.replaced: list[Given] = []
        self.own: dict[tuple[int, ...], list[tuple[Written, Chunk]]] = defaultdict(list)
        self.why = ""
        self._cells: CellsTouched | None = None

    def settle(self) -> bool:
        """Find out whether blocks share nothing but what is cheap, or small: that is replaced by
        what is given to all of them.

        Returns
        -------
        bool
            Whether it is so.
        """
        views = everything(*(view for view, _ in self.roots))
        users: dict[int, list[View]] = defaultdict(list)
        for view in views:
            for other in view.inputs:
                users[id(other)].append(view)
        if any(isinstance(view, Written) for view in views):
            return self._settle_one_by_one(users)
        for view, arrival in self.roots:
            self.arrivals[id(view)][arrival] = None
        for view in reversed(views):
            arrivals = list(self.arrivals[id(view)])
            if not arrivals:
                continue
            if isinstance(view, ByChunk) and not is_source(view):
                times = self._times_made(view, arrivals)
                if times > 1 and not _is_cheap(view):
                    if self._may_be_given(view):
                        self._give(view, users[id(view)])
                        continue
                    if times > TIMES_MADE:
                        self.why = _says_shared(view)
                        return False
            for arrival in arrivals:
                for other, at in _passed(view, arrival):
                    self.arrivals[id(other)][at] = None
        return True

    def _settle_one_by_one(self, users: Mapping[int, list[View]]) -> bool:
        """The same, where tasks are written out: block by block."""
        owners: dict[tuple[int, Place], tuple[int, ...]] = {}
        given: dict[int, View] = {}
        cheap: dict[int, bool] = {}
        again: Counter[int] = Counter()
        self._cells = CellsTouched()
        for block in np.ndindex(*self.labels.values()):
            seen: set[tuple[int, Place]] = set()
            todo: list[tuple[View, Place]] = []
            todo += [found for root in self.roots if (found := self._of_block(root, block))]
            while todo:
                view, place = todo.pop()
                key = (id(view), place)
                if key in seen or id(view) in given:
                    continue
                seen.add(key)
                if isinstance(view, ByChunk) and isinstance(place, Chunk):
                    shared = owners.setdefault(key, block) != block
                    if shared and not is_source(view):
                        if id(view) not in cheap:
                            cheap[id(view)] = _is_cheap(view)
                        if not cheap[id(view)]:
                            if self._may_be_given(view):
                                given[id(view)] = view
                                continue
                            again[id(view)] += 1
                            if again[id(view)] > (TIMES_MADE - 1) * _count_chunks(view):
                                self.why = _says_shared(view)
                                return False
                    if isinstance(view, Written):
                        self.own[block].append((view, place))
                    if is_source(view):
                        self._cells.add(view, view.window_of(place), block)
                if isinstance(view, Sliced):
                    self._cells.add(view, view.at(place), block)
                todo += view.needs(place)
                if isinstance(view, ByWindow):
                    window = view.at(place)
                    todo += [(s.view, s.places(view.func, window)) for s in view.sources]
        for view in given.values():
            self._give(view, users.get(id(view), ()))
        return True

    def _may_be_given(self, view: View) -> bool:
        return id(view) in self._changeable and _is_small(view)

    def _of_block(
        self, root: tuple[View, Arrival], block: tuple[int, ...]
    ) -> tuple[View, Window] | None:
        """Say what a block needs of a root; None where that is nothing."""
        number = dict(zip(self.labels, block, strict=True))
        view, arrival = root
        window = [s.spans[number.get(s.label, 0) if len(s.spans) > 1 else 0] for s in arrival]
        return None if any(w is None for w in window) else (view, tuple(window))  # type: ignore[arg-type]

    def _give(self, view: View, users: Iterable[View]) -> None:
        given = Given(view.name, view.chunks, view.dtype)
        given.origin = view
        self.replaced.append(given)
        for user in users:
            user.inputs = tuple(given if other is view else other for other in user.inputs)
        self.roots = [(given if v is view else v, a) for v, a in self.roots]

    def _times_made(self, view: ByChunk, arrivals: list[Arrival]) -> float:
        """Say how often blocks make a chunk, on average."""
        times = 1.0
        for arrival in arrivals:
            along = {span.label for span in arrival}
            missing = [count for label, count in self.labels.items() if label not in along]
            times = max(times, float(math.prod(missing)))
        return times * _times_touched(view.starts, arrivals)

    def times_read_of(self, root: View) -> float:
        """Say how often the blocks read a source chunk behind a view, on average; of several
        sources, the one of which that is most."""
        sources = [v for v in everything(root) if is_source(v)]
        return max(map(self._times_read, sources), default=1.0)

    def _times_read(self, view: View) -> float:
        if self._cells is not None:
            return self._cells.times(view)
        return _times_touched(
            [view.borders(axis) for axis in range(len(view.shape))],
            list(self.arrivals[id(view)]),
        )

    def reads_again(self) -> float:
        """Say how often the blocks read a source chunk, on average; of several sources, the one of
        which that is most."""
        return max((self.times_read_of(view) for view, _ in self.roots), default=1.0)


class CellsTouched:
    """Which chunks of sources blocks touch, counted one by one."""

    def __init__(self) -> None:
        self._own: dict[int, set[Any]] = defaultdict(set)
        self._once: dict[int, set[Any]] = defaultdict(set)
        self._looked_at = 0

    def add(self, view: View, window: Window, block: tuple[int, ...]) -> None:
        """Note a window that a block reads."""
        if self._looked_at > CELLS:
            return
        self._looked_at += 1
        for cell in view.cells(window):
            self._own[id(view)].add((block, cell))
            self._once[id(view)].add(cell)

    def times(self, view: View) -> float:
        """Say how often a chunk is touched, on average."""
        once = len(self._once[id(view)])
        return len(self._own[id(view)]) / once if once else 1.0


def shared_by(views: Sequence[View], spans: Sequence[Arrival]) -> Shares | str:
    """Find out what blocks share; where that is costly, say what. The views stay as they are.

    Parameters
    ----------
    views : sequence of View
        What is made.
    spans : sequence of Arrival
        What blocks need of each.
    """
    shares = Shares(list(zip(rebuilt(views, sources_too=False), spans, strict=True)))
    return shares if shares.settle() else shares.why


def choose_units(
    views: Sequence[View],
    spans_of: Callable[[tuple[int, ...]], Sequence[Arrival]],
    most: Sequence[int],
    largest: int | None = None,
) -> tuple[tuple[int, ...], Shares | str]:
    """Choose how many units along each side a block has: as few as can be, so that blocks share
    nothing that is costly, and read little again.

    Parameters
    ----------
    views : sequence of View
        What is made.
    spans_of : callable
        Says what blocks of so many units need of each.
    most : sequence of int
        The units that there are along each side.
    largest : int, optional
        The most units that a block may have.

    Returns
    -------
    (tuple of int, Shares or str)
        The units, and what such blocks share; in words, where that is costly whatever their size.
    """
    tried: tuple[int, ...] = UNITS
    if any(isinstance(view, Written) for view in everything(*views)):
        tried = FEWER_UNITS  # every choice is followed task by task
    sides = [sorted({n for n in tried if n < count} | {min(count, tried[-1])}) for count in most]
    choices = sorted(itertools.product(*sides), key=lambda u: (math.prod(u), max(u, default=1), u))
    best: tuple[float, tuple[int, ...], Shares | str] = (math.inf, choices[0], "")
    for units in choices:
        if largest is not None and math.prod(units) > largest and units != choices[0]:
            break
        shares = shared_by(views, spans_of(units))
        if isinstance(shares, str):
            best = best if best[2] else (math.inf, choices[0], shares)
            continue
        times = shares.reads_again()
        if times <= TIMES_READ:
            return units, shares
        if times < best[0]:
            best = times, units, shares
    return best[1], best[2]


def rebuilt(
    views: Sequence[View],
    instead: Mapping[int, View] | None = None,
    change: Callable[[View], None] = lambda view: None,
    *,
    sources_too: bool = True,
) -> list[View]:
    """Copy views with what they rest on.

    Parameters
    ----------
    views : sequence of View
        What is copied; it stays as it is.
    instead : mapping, optional
        By their ids, views in whose place others come.
    change : callable, optional
        Changes a copy.
    sources_too : bool, default: True
        Whether to copy what is behind the sources of mosaics.
    """
    made: dict[int, View] = dict(instead or {})
    sources: dict[int, Any] = {}
    for view in everything(*views) if sources_too else reached(*views):
        if id(view) in made:
            continue
        copied = object.__new__(type(view))
        copied.__dict__.update(view.__dict__)
        copied.__dict__.pop("edges", None)  # they go by the inputs
        copied.inputs = tuple(made[id(other)] for other in view.inputs)
        if isinstance(copied, ByWindow) and sources_too:
            for source in copied.sources:
                if id(source) not in sources:
                    sources[id(source)] = replace(source, view=made[id(source.view)])
            copied.sources = tuple(sources[id(source)] for source in copied.sources)
        change(copied)
        made[id(view)] = copied
    return [made[id(view)] for view in views]


def everything(*roots: View) -> list[View]:
    """List views with all that they rest on, also behind the parts of a mosaic, each after that."""
    return reached(*roots, below=_all_below)


def _all_below(view: View) -> list[View]:
    sources = view.sources if isinstance(view, ByWindow) else ()
    return [*view.inputs, *(source.view for source in sources)]


def _passed(view: View, arrival: Arrival) -> Iterator[tuple[View, Arrival]]:
    """Say what blocks need of what a view rests on."""
    if isinstance(view, Each | Chunkwise | ByWindow):
        if isinstance(view, Chunkwise):
            arrival = _rounded(view, arrival)
        for other, follows in zip(view.inputs, view.follows, strict=True):
            yield other, _along(other, follows, arrival)
    if isinstance(view, ByWindow):
        for source in view.sources:
            yield source.view, source.spread(view.func, arrival)
    elif isinstance(view, Around):
        depth = view.around.depth
        yield (
            view.inputs[0],
            tuple(
                span.moved(functools.partial(widened, by=depth.get(axis, 0), size=size))
                for axis, (span, size) in enumerate(zip(arrival, view.shape, strict=True))
            ),
        )
    elif isinstance(view, Pieces):
        for window, i, alongs in view.pieces:
            inside = tuple(s.moved(_Within(w)) for s, w in zip(arrival, window, strict=True))
            if all(any(span.spans) for span in inside):
                yield view.inputs[i], tuple(_followed(along, inside) for along in alongs)


def _along(other: View, follows: Any, arrival: Arrival) -> Arrival:
    if isinstance(follows, Chunk):
        return tuple(Spans(None, (span,)) for span in other.window_of(follows))
    return tuple(
        Spans(None, ((0, size),)) if axis is None else arrival[axis]
        for axis, size in zip(follows, other.shape, strict=True)
    )


def _rounded(view: View, arrival: Arrival) -> Arrival:
    """Widen what is needed to whole chunks."""
    found = []
    for starts, span in zip(view.starts, arrival, strict=True):
        at = np.asarray(starts)

        def whole(one: tuple[int, int], at: Any = at) -> tuple[int, int]:
            cells = list(_cells(at, one))
            return (int(at[cells[0]]), int(at[cells[-1] + 1])) if cells else one

        found.append(span.moved(whole))
    return tuple(found)


def widened(span: tuple[int, int], by: int, size: int) -> tuple[int, int]:
    """Give pixels with so many more on both sides, as far as there are."""
    return max(0, span[0] - by), min(size, span[1] + by)


@dataclass(frozen=True)
class _Within:
    window: tuple[int, int]

    def __call__(self, span: tuple[int, int]) -> tuple[int, int] | None:
        low, high = max(span[0], self.window[0]), min(span[1], self.window[1])
        return (low, high) if low < high else None


def _followed(along: Any, arrival: Arrival) -> Spans:
    axis, step, offset = along
    if axis is None or step == 0:
        return Spans(None, ((offset, offset + 1),))

    def moved(span: tuple[int, int]) -> tuple[int, int]:
        first, last = step * span[0] + offset, step * (span[1] - 1) + offset
        return min(first, last), max(first, last) + 1

    spans: Spans = arrival[axis].moved(moved)
    return spans


def _cells(borders: Any, span: tuple[int, int]) -> range:
    """Number the intervals between borders that a span touches."""
    low, high = span
    if high <= low:
        return range(0)
    first = int(np.searchsorted(borders, low, side="right")) - 1
    return range(max(0, first), int(np.searchsorted(borders, high, side="left")))


def _times_touched(borders: Sequence[Any], arrivals: list[Arrival]) -> float:
    """Say how many blocks touch what lies between borders, on average."""
    times = 1.0
    for axis, found in enumerate(borders):
        if found is None:
            continue
        at = np.asarray(found)
        own: dict[Any, set[int]] = defaultdict(set)
        for arrival in arrivals:
            span = arrival[axis]
            for block, one in enumerate(span.spans if span.label is not None else ()):
                if one is not None:
                    own[span.label, block].update(_cells(at, one))
        once = set().union(*own.values())
        if once:
            times *= sum(map(len, own.values())) / len(once)
    return times


def is_source(view: View) -> bool:
    """Whether the pixels of an array are read: sliced, or made chunk by chunk of nothing, as
    loaders do. To read them again is allowed."""
    if isinstance(view, Sliced):
        return True
    pixels = sum(size > 1 for size in view.shape) > 1
    return isinstance(view, ByChunk) and not view.inputs and pixels


def _says_shared(view: View) -> str:
    """Say what blocks of the map share."""
    task: Any = None
    if isinstance(view, Chunkwise):
        task = view.call.task
    elif isinstance(view, Written) and view.tasks:
        task = next(iter(view.tasks.values()))[0]
    function = getattr(task, "func", None)
    while isinstance(function, functools.partial):
        function = next((a for a in function.args if callable(a)), function.func)
    name = getattr(function, "__name__", "") or "a function"
    return (
        f"blocks of the map share what {name}() makes of whole chunks. If it makes each pixel of "
        "the same pixel, write it with numpy's functions or qmosaic.scores; smooth with "
        "qmosaic.scores.smooth(); or rechunk before it, not after"
    )


def _count_chunks(view: View) -> int:
    return math.prod(len(sizes) for sizes in view.chunks)


def _is_small(view: View) -> bool:
    """Whether an array is so small that every block may get it: a number for each image, say."""
    itemsize = PIXEL if view.dtype is None else view.dtype.itemsize
    is_array = isinstance(view.name, str)
    line = sum(size > 1 for size in view.shape) < 2
    return is_array and line and math.prod(view.shape) * itemsize <= SMALL_RESULT


def _is_cheap(view: ByChunk) -> bool:
    """Whether a chunk may be made again for every block."""
    if sum(size > 1 for size in view.shape) > 1:
        return False
    seen: set[Any] = set()
    todo: list[tuple[View, Place]] = [(view, Chunk(0 for _ in view.shape))]
    while todo:
        at, place = todo.pop()
        if isinstance(at, Held | Constant | Given) or (id(at), place) in seen:
            continue
        seen.add((id(at), place))
        if len(seen) > CHEAP_STEPS:
            return False
        todo += at.needs(place)
    return True
