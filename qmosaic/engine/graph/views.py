"""Views: arrays that can be read at any window.

A view is what a graph of dask says of an array, in a form that does not depend on the graph's
chunks: a source that is sliced, a function of single pixels, a cut or a join of other views, a
function that looks at surroundings. It grows neither with the images nor with the blocks of a
symbolic graph, and it pickles small. Functions of which no more is known than that they make
chunks are called for whole chunks.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.collection.pixelwise import Placed
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.graph import lanes
from qmosaic.engine.graph.answering import answers_at_once
from qmosaic.engine.graph.lanes import Opened, open_fast
from qmosaic.engine.graph.recipes import Key
from qmosaic.engine.graph.stored import StoredArray, find_stored

Window = tuple[tuple[int, int], ...]
"""Along each axis the first pixel, and the one behind the last."""

Numbers = tuple[int, ...]


class Chunk(tuple[int, ...]):
    """The numbers of a chunk, where an array is asked for one of its chunks.

    It equals no window: of an array without axes both are empty, and its window rests on its chunk.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Chunk and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


Place = Window | Chunk
Need = tuple["View", Place]

PIXELS_AT_ONCE = 2**19
"""So many pixels a function of surroundings gets at once, or a strip that is four times as wide as
what it looks at."""

MADE = "a function makes its chunks"
"""Why nothing is sliced."""


class View:
    """An array that can be read at any window.

    Attributes
    ----------
    name : hashable
        The layer that it stands for.
    chunks : tuple of tuple of int
        The chunks that the array has in dask.
    dtype : numpy.dtype or None
        Its dtype, where that is known.
    inputs : tuple of View
        What it rests on.
    reads : bool
        Whether a value of it is read, and not made of others.
    """

    reads = False

    def __init__(
        self, name: Any, chunks: tuple[tuple[int, ...], ...], dtype: Any, inputs: Iterable[View]
    ) -> None:
        self.name = name
        self.chunks = tuple(tuple(map(int, sizes)) for sizes in chunks)
        self.dtype = dtype
        self.inputs = tuple(inputs)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The size of the array."""
        return tuple(map(sum, self.chunks))

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """Where each chunk begins along each axis, and where the last one ends."""
        return tuple((0, *itertools.accumulate(sizes)) for sizes in self.chunks)

    def window_of(self, numbers: Numbers) -> Window:
        """Say where a chunk lies."""
        return tuple((s[n], s[n + 1]) for s, n in zip(self.starts, numbers, strict=True))

    def at(self, place: Place) -> Window:
        """Give the window that is meant."""
        return self.window_of(place) if isinstance(place, Chunk) else place

    def needs(self, place: Place) -> list[Need]:
        """Name what a value rests on."""
        raise NotImplementedError

    def make(self, place: Place, values: list[Any]) -> Any:
        """Make a value of what it rests on."""
        raise NotImplementedError

    def borders(self, axis: int) -> Array | None:
        """Say where the array can be cut along an axis so that nothing is read or made twice; None
        where it can be cut anywhere."""
        raise NotImplementedError

    @cached_property
    def edges(self) -> list[list[int] | None]:
        """The borders along each axis, as numbers of Python."""
        found = (self.borders(axis) for axis in range(len(self.shape)))
        return [None if borders is None else borders.tolist() for borders in found]

    def cells(self, window: Window) -> list[Window]:
        """Name the parts between borders that a window touches."""
        per_axis = []
        for (low, high), found in zip(window, self.edges, strict=True):
            if found is None:
                per_axis.append([(low, high)])
                continue
            first = max(0, bisect_right(found, low) - 1)
            last = max(first + 1, bisect_left(found, high))
            per_axis.append([(found[n], found[n + 1]) for n in range(first, last)])
        return list(itertools.product(*per_axis))

    def content(self) -> Any:
        """Give what makes the view what it is, beside its inputs, without the names of dask."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for noted in ("shape", "starts", "edges", "_opened", "_stored", "_waits", "origin"):
            state.pop(noted, None)
        return state


def _inputs_of(view: View) -> Iterable[View]:
    return view.inputs


def reached(*roots: View, below: Callable[[View], Iterable[View]] = _inputs_of) -> list[View]:
    """List views and all that they rest on, each after that.

    Parameters
    ----------
    roots : View
        Where to begin.
    below : callable, optional
        Says what a view rests on.
    """
    order: list[View] = []
    seen: set[int] = set()
    stack: list[tuple[View, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        view, ready = stack.pop()
        if ready:
            order.append(view)
        elif id(view) not in seen:
            seen.add(id(view))
            stack.append((view, True))
            stack.extend((other, False) for other in reversed(list(below(view))))
    return order


def slices_of(window: Window) -> tuple[slice, ...]:
    """Write a window as numpy wants it."""
    return tuple(slice(start, stop) for start, stop in window)


def inside(window: Iterable[tuple[int, int]], whole: Window) -> tuple[slice, ...]:
    """Say where a window lies in another one, as numpy wants it."""
    return tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(window, whole, strict=True))


def _common(sets: Iterable[Array | None]) -> Array | None:
    """Give the borders that several arrays have in common; those of the coarsest one, where they
    have hardly any."""
    found: Array | None = None
    for borders in sets:
        if borders is None:
            continue
        if found is None:
            found = borders
            continue
        both = np.intersect1d(found, borders, assume_unique=True)
        fewest = min(found, borders, key=len)
        found = both if 2 * (len(both) - 1) >= len(fewest) - 1 else fewest
    return found


class Leaf(View):
    """What rests on nothing else, and can be cut anywhere."""

    def needs(self, place: Place) -> list[Need]:
        """See `View.needs`."""
        return []

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        return None


# -- sources --------------------------------------------------------------------------------------


class Sliced(Leaf):
    """A source that is sliced.

    Parameters
    ----------
    source : array-like
        What is sliced.
    read : callable
        Gets a window as slices, gives its values: what the tasks of dask do.
    """

    reads = True

    def __init__(self, name: Any, chunks: Any, dtype: Any, source: Any, read: Any) -> None:
        super().__init__(name, chunks, dtype, ())
        self.source, self.read = source, read

    def index(self, place: Place) -> tuple[slice, ...]:
        """Give the window as it is asked for."""
        return slices_of(self.at(place))

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        return self.read(self.index(place))

    @cached_property
    def _stored(self) -> StoredArray | str:
        return find_stored(self.source)

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        if isinstance(self.source, np.ndarray):
            return None
        if isinstance(self._stored, str):
            return np.asarray(self.starts[axis])
        chunks = self._stored.array.chunks
        for at, size in zip(self._stored.cut, chunks, strict=True):
            if not isinstance(at, int) and at[0] == axis:
                first = -(at[1] % size)
                inner = np.arange(first, self.shape[axis] + size, size)
                inner = inner[(inner > 0) & (inner < self.shape[axis])]
                return np.array([0, *inner, self.shape[axis]])
        return None

    def opened(self) -> Opened | str:
        """Open the source with tensorstore, once; or say why it is sliced."""
        found = self.__dict__.get("_opened")
        if found is None or lanes.forked:
            self._opened = found = open_fast(self.source)
        return found

    @cached_property
    def _waits(self) -> bool:
        return isinstance(self.opened(), str) and not answers_at_once(self.source)

    def waits(self) -> bool:
        """Whether what is read may take its time: not to compute, but to come."""
        return self._waits

    def content(self) -> Any:
        """See `View.content`."""
        return self.source, self.read


class Held(Leaf):
    """An array that lies in memory, and is small or travels in parts."""

    def __init__(self, name: Any, chunks: Any, dtype: Any, values: Array) -> None:
        super().__init__(name, chunks, dtype, ())
        self.values = values

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        found: Array = self.values[slices_of(self.at(place))]
        return found

    def content(self) -> Any:
        """See `View.content`."""
        return self.values


class Constant(Leaf):
    """A value that stands in a graph and is no array: an open file, an object that reads."""

    def __init__(self, name: Any, value: Any) -> None:
        super().__init__(name, (), None, ())
        self.value = value

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        return self.value

    def content(self) -> Any:
        """See `View.content`."""
        return self.value


class Given(Leaf):
    """A small array that is made before anything else, once for all blocks.

    Attributes
    ----------
    values : array or None
        The array, when it has been made.
    origin : View or None
        What makes it; it does not travel.
    """

    def __init__(self, name: Any, chunks: Any, dtype: Any) -> None:
        super().__init__(name, chunks, dtype, ())
        self.values: Array | None = None
        self.origin: View | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"origin": None, **state})

    def full(self, values: Any) -> Given:
        """Give the same with its values."""
        filled = Given(self.name, self.chunks, self.dtype)
        filled.values = np.asarray(values)
        return filled

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        window = self.at(place)
        assert self.values is not None
        return self.values[slices_of(window)]

    def content(self) -> Any:
        """See `View.content`."""
        return ()


# -- functions ------------------------------------------------------------------------------------

Follows = tuple[int | None, ...] | Chunk
"""For each axis of an input, the axis that it follows; None where it has one chunk alone. Or the
chunk of it that is used for all."""


class Call:
    """A task of dask with its arguments: those that are the same for all chunks, those that differ
    by the number of the chunk, and those that others give.

    Parameters
    ----------
    task : dask Task
        What is called; its arguments are named by tokens.
    fixed : dict
        Those that are the same for all.
    numbered : tuple of Numbered
        Those that differ from chunk to chunk.
    tokens : tuple of str
        Those that inputs give, in their order.
    """

    def __init__(self, task: Any, fixed: Mapping[str, Any], numbered: Any, tokens: Any) -> None:
        self.task, self.fixed, self.numbered = task, dict(fixed), tuple(numbered)
        self.tokens = tuple(tokens)

    def at(self, numbers: Numbers, values: Sequence[Any]) -> Any:
        """Call it for a chunk."""
        given = dict(self.fixed)
        for argument in self.numbered:
            given[argument.token] = argument.at(numbers)
        given.update(zip(self.tokens, values, strict=True))
        return self.task(given)

    def content(self) -> Any:
        """Give what makes it what it is."""
        numbered = tuple((a.token, a.values, a.follows) for a in self.numbered)
        tokens = sorted({*self.fixed, *self.tokens, *(a.token for a in self.numbered)})
        return self.task, [self.fixed.get(t) for t in tokens], numbered, self.tokens


class Each(View):
    """A function of single pixels: it can be called for any window."""

    def __init__(
        self,
        name: Any,
        chunks: Any,
        dtype: Any,
        inputs: Iterable[View],
        call: Call,
        follows: Iterable[Follows],
        placed: Placed | None = None,
    ) -> None:
        super().__init__(name, chunks, dtype, inputs)
        self.call, self.follows, self.placed = call, tuple(follows), placed

    def needs(self, place: Place) -> list[Need]:
        """See `View.needs`."""
        window = self.at(place)
        return [
            (view, _followed(follows, window))
            for view, follows in zip(self.inputs, self.follows, strict=True)
        ]

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        if self.placed is not None:
            at = self.at(place)
            return self.placed.at(values[0], at)
        if self.call.numbered:  # an array that is filled: the shape of a chunk
            window = self.at(place)
            shape = tuple(b - a for a, b in window)
            return self.call.task({**self.call.fixed, self.call.numbered[0].token: shape})
        return self.call.at((), values)

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        return _common(_borders_below(self, axis))

    def content(self) -> Any:
        """See `View.content`."""
        made = self.call.content() if self.placed is None else self.placed
        return made, self.follows


def _borders_below(view: Each | Chunkwise, axis: int) -> Iterator[Array | None]:
    """Give the borders of what a function rests on, where that follows an axis pixel by pixel."""
    for other, follows in zip(view.inputs, view.follows, strict=True):
        if not isinstance(follows, Chunk) and axis in follows:
            at = follows.index(axis)
            if other.shape[at] == view.shape[axis]:
                yield other.borders(at)


def _followed(follows: Follows, window: Window) -> Place:
    if isinstance(follows, Chunk):
        return follows
    return tuple((0, 1) if along is None else window[along] for along in follows)


def _numbered(follows: Follows, numbers: Numbers) -> Chunk:
    if isinstance(follows, Chunk):
        return follows
    return Chunk(0 if along is None else numbers[along] for along in follows)


class ByChunk(View):
    """What is made chunk by chunk, and cut and joined where another window is asked for."""

    def needs(self, place: Place) -> list[Need]:
        """See `View.needs`."""
        if isinstance(place, Chunk):
            return self.needs_of_chunk(place)
        return [(self, Chunk(numbers)) for numbers, _, _ in self.touched(place)]

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        if isinstance(place, Chunk):
            return self.make_chunk(place, values)
        parts = list(self.touched(place))
        if len(parts) == 1 and self.window_of(parts[0][0]) == place:
            return values[0]
        checked = [self._checked(n, v) for (n, _, _), v in zip(parts, values, strict=True)]
        if len(parts) == 1:
            return checked[0][parts[0][1]]
        out: Array = np.empty([b - a for a, b in place], np.result_type(*checked))
        for (_, own, target), value in zip(parts, checked, strict=True):
            out[target] = value[own]
        return out

    def _checked(self, numbers: Numbers, values: Any) -> Array:
        shape = tuple(stop - start for start, stop in self.window_of(numbers))
        try:
            return as_promised(values, shape, self.dtype or values.dtype)
        except UnexpectedChunkError as error:
            where = f"of chunk {tuple(numbers)} of an array that was cut or joined, "
            raise UnexpectedChunkError(f"{where}{error}") from None

    def touched(
        self, window: Window
    ) -> Iterator[tuple[Numbers, tuple[slice, ...], tuple[slice, ...]]]:
        """Give the chunks that a window touches; with each goes what part of it is meant, and
        where in the window that lies."""
        per_axis = []
        for starts, (low, high) in zip(self.starts, window, strict=True):
            first = max(0, min(bisect_right(starts, low), len(starts) - 1) - 1)
            last = max(first + 1, bisect_left(starts, high))
            per_axis.append(
                [
                    (n, slice(a - starts[n], b - starts[n]), slice(a - low, b - low))
                    for n in range(first, last)
                    for a, b in [(max(starts[n], low), min(starts[n + 1], high))]
                ]
            )
        for parts in itertools.product(*per_axis):
            yield tuple(p[0] for p in parts), tuple(p[1] for p in parts), tuple(p[2] for p in parts)

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        return np.asarray(self.starts[axis])

    def needs_of_chunk(self, numbers: Numbers) -> list[Need]:
        """Name what a chunk rests on."""
        raise NotImplementedError

    def make_chunk(self, numbers: Numbers, values: list[Any]) -> Any:
        """Make a chunk."""
        raise NotImplementedError

    def waits(self) -> bool:
        """See `Sliced.waits`."""
        return True

    def opened(self) -> str:
        """See `Sliced.opened`."""
        return MADE

    def index(self, place: Place) -> Place:
        """See `Sliced.index`."""
        return place


class Chunkwise(ByChunk):
    """A function that is called for whole chunks: no more is known of it."""

    def __init__(
        self,
        name: Any,
        chunks: Any,
        dtype: Any,
        inputs: Iterable[View],
        call: Call,
        follows: Iterable[Follows],
    ) -> None:
        super().__init__(name, chunks, dtype, inputs)
        self.call, self.follows = call, tuple(follows)

    @property
    def reads(self) -> bool:  # type: ignore[override]
        """Whether it rests on nothing, so that whatever it makes is brought in."""
        return not self.inputs

    def needs_of_chunk(self, numbers: Numbers) -> list[Need]:
        """See `ByChunk.needs_of_chunk`."""
        return [
            (view, _numbered(follows, numbers))
            for view, follows in zip(self.inputs, self.follows, strict=True)
        ]

    def make_chunk(self, numbers: Numbers, values: list[Any]) -> Any:
        """See `ByChunk.make_chunk`."""
        return self.call.at(numbers, values)

    def read(self, place: Any) -> Any:
        """Make a chunk that rests on nothing."""
        return self.call.at(place, [])

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        return _common([np.asarray(self.starts[axis]), *_borders_below(self, axis)])

    def content(self) -> Any:
        """See `View.content`."""
        return self.call.content(), self.follows, self.chunks


class Written(ByChunk):
    """Chunks for each of which there is a task of its own.

    Parameters
    ----------
    tasks : dict
        For each chunk its task, and what that rests on: a view and a chunk of it for each key.
    """

    def __init__(
        self,
        name: Any,
        chunks: Any,
        dtype: Any,
        inputs: Iterable[View],
        tasks: dict[Numbers, tuple[Any, dict[Key, tuple[int, Chunk]]]],
    ) -> None:
        super().__init__(name, chunks, dtype, inputs)
        self.tasks = tasks

    @property
    def reads(self) -> bool:  # type: ignore[override]
        """Whether its tasks rest on nothing."""
        return not self.inputs

    def _task(self, numbers: Numbers) -> tuple[Any, dict[Key, tuple[int, Chunk]]]:
        return self.tasks[tuple(numbers)]

    def needs_of_chunk(self, numbers: Numbers) -> list[Need]:
        """See `ByChunk.needs_of_chunk`."""
        return [(self.inputs[i], chunk) for i, chunk in self._task(numbers)[1].values()]

    def make_chunk(self, numbers: Numbers, values: list[Any]) -> Any:
        """See `ByChunk.make_chunk`."""
        task, keys = self._task(numbers)
        return task(dict(zip(keys, values, strict=True)))

    def read(self, place: Any) -> Any:
        """Run a task that rests on nothing."""
        return self.make_chunk(place, [])

    def keys(self) -> dict[Key, tuple[int, Chunk]]:
        """Say which input and which chunk of it stands behind each key of its tasks."""
        return {key: at for _, keys in self.tasks.values() for key, at in keys.items()}

    def content(self) -> Any:
        """See `View.content`."""
        return [(numbers, task) for numbers, (task, _) in sorted(self.tasks.items())], self.chunks


class Around(View):
    """A function of pixels and of what lies around them: it can be called for any window.

    Parameters
    ----------
    around : Surroundings
        The function, and how far it looks.
    """

    def __init__(self, name: Any, chunks: Any, dtype: Any, view: View, around: Any) -> None:
        super().__init__(name, chunks, dtype, [view])
        self.around = around

    def _wide(self, place: Place) -> tuple[Window, Window]:
        window = self.at(place)
        depth = self.around.depth
        wide = tuple(
            (max(0, a - depth.get(axis, 0)), min(size, b + depth.get(axis, 0)))
            for axis, ((a, b), size) in enumerate(zip(window, self.shape, strict=True))
        )
        return window, wide

    def needs(self, place: Place) -> list[Need]:
        """See `View.needs`."""
        return [(self.inputs[0], self._wide(place)[1])]

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        window, wide = self._wide(place)
        own = inside(window, wide)
        shape = tuple(b - a for a, b in wide)
        try:
            given = as_promised(values[0], shape, self.inputs[0].dtype or values[0].dtype)
        except UnexpectedChunkError as error:
            where = "of an array whose neighbouring pixels are looked at, "
            raise UnexpectedChunkError(f"{where}{error}") from None
        return self._in_strips(given, own)

    def _in_strips(self, given: Array, own: tuple[slice, ...]) -> Array:
        """Call the function for one part after the other, as it may need much meanwhile."""
        around: Any = self.around
        axis = next((a for a, n in around.depth.items() if n), None)
        if axis is None or given.size <= PIXELS_AT_ONCE:
            made: Array = around.apply(given, own)
            return made
        depth, along = around.depth[axis], own[axis]
        side = max(4 * depth, PIXELS_AT_ONCE * given.shape[axis] // given.size)
        out: Array = np.empty([s.stop - s.start for s in own], around.dtype)
        for start in range(along.start, along.stop, side):
            stop = min(start + side, along.stop)
            low, high = max(0, start - depth), min(given.shape[axis], stop + depth)
            before = (slice(None),) * axis
            part = (*own[:axis], slice(start - low, stop - low), *own[axis + 1 :])
            target = slice(start - along.start, stop - along.start)
            out[(*before, target)] = around.apply(given[(*before, slice(low, high))], part)
        return out

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        return self.inputs[0].borders(axis)

    def content(self) -> Any:
        """See `View.content`."""
        return sorted(self.around.depth.items()), self.around.func


class ByWindow(View):
    """A part of a mosaic, made for any window of the map by a function that reads its sources
    itself.

    Parameters
    ----------
    func : callable
        Has a method ``over(window, sources, values)``.
    sources : sequence
        What it reads, each with the view that stands behind it.
    """

    def __init__(
        self,
        name: Any,
        chunks: Any,
        dtype: Any,
        inputs: Iterable[View],
        follows: Iterable[Follows],
        func: Any,
        sources: Iterable[Any],
    ) -> None:
        super().__init__(name, chunks, dtype, inputs)
        self.follows, self.func, self.sources = tuple(follows), func, tuple(sources)

    def needs(self, place: Place) -> list[Need]:
        """See `View.needs`."""
        window = self.at(place)
        return [
            (view, _followed(follows, window))
            for view, follows in zip(self.inputs, self.follows, strict=True)
        ]

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        return self.func.over(self.at(place), self.sources, values)

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        return _common(source.borders(self.func.dims, axis) for source in self.sources)

    def content(self) -> Any:
        """See `View.content`."""
        return self.func, self.sources


# -- cuts and joins -------------------------------------------------------------------------------

Along = tuple[int | None, int, int]
"""How an axis of an input follows: pixel t along the axis (first) of the array is pixel
``step * t + offset`` of the input; without an axis it is the pixel ``offset``."""


class Pieces(View):
    """Pieces of other views: a cut, a join, a regrouping into other chunks, a change of axes.

    Parameters
    ----------
    pieces : sequence of (Window, int, tuple of Along)
        Where each piece lies, which input it is of, and how the axes of that follow.
    """

    def __init__(
        self,
        name: Any,
        chunks: Any,
        dtype: Any,
        inputs: Iterable[View],
        pieces: Sequence[tuple[Window, int, tuple[Along, ...]]],
    ) -> None:
        super().__init__(name, chunks, dtype, inputs)
        self.pieces = list(pieces)
        self._low = np.array([[a for a, _ in w] for w, _, _ in pieces]).reshape(len(pieces), -1)
        self._high = np.array([[b for _, b in w] for w, _, _ in pieces]).reshape(len(pieces), -1)

    def parts(self, place: Place) -> list[tuple[int, Window]]:
        """Give the pieces that a window touches, and what part of the array each gives."""
        window = self.at(place)
        if len(self.pieces) == 1:
            return [(0, window)]
        low, high = np.array(window).reshape(-1, 2).T
        a, b = np.maximum(self._low, low), np.minimum(self._high, high)
        hit = (a < b).all(axis=1)
        if not hit.any():  # of no pixels: any piece tells the dtype
            hit[0], a[0], b[0] = True, low, low
        return [
            (int(n), tuple(zip(a[n].tolist(), b[n].tolist(), strict=True)))
            for n in np.flatnonzero(hit)
        ]

    def needs(self, place: Place) -> list[Need]:
        """See `View.needs`."""
        found: list[Need] = []
        for number, window in self.parts(place):
            _, i, alongs = self.pieces[number]
            found.append((self.inputs[i], tuple(_moved(along, window) for along in alongs)))
        return found

    def make(self, place: Place, values: list[Any]) -> Any:
        """See `View.make`."""
        parts = self.parts(place)
        placed = [
            _placed(value, self.pieces[number][2], window)
            for (number, window), value in zip(parts, values, strict=True)
        ]
        if len(placed) == 1:
            return placed[0]
        window = self.at(place)
        dtype = np.result_type(*{p.dtype for p in placed})
        out: Array = np.empty([b - a for a, b in window], dtype)
        for (_, part), value in zip(parts, placed, strict=True):
            out[inside(part, window)] = value
        return out

    def borders(self, axis: int) -> Array | None:
        """See `View.borders`."""
        found: set[int] = set()
        free = True
        for window, i, alongs in self.pieces:
            low, high = window[axis]
            own = [(n, along) for n, along in enumerate(alongs) if along[0] == axis]
            inner = None
            if own and own[0][1][1]:
                number, (_, step, offset) = own[0]
                inner = self.inputs[i].borders(number)
                if inner is not None:
                    at = (inner - offset) / step if step > 0 else (inner - 1 - offset) / step + 1
                    inner = np.unique(np.ceil(at).astype(int))
                    inner = inner[(inner > low) & (inner < high)]
            if inner is not None or len(self.pieces) > 1:
                free = False
                found |= {low, high, *(inner.tolist() if inner is not None else ())}
        return None if free else np.array(sorted(found | {0, self.shape[axis]}))

    def content(self) -> Any:
        """See `View.content`."""
        return self.pieces


def _moved(along: Along, window: Window) -> tuple[int, int]:
    """Give the part of an input's axis behind a window."""
    axis, step, offset = along
    if axis is None or step == 0:
        return offset, offset + 1
    start, stop = window[axis]
    if stop == start:
        at = step * start + offset if step > 0 else 0
        return max(0, at), max(0, at)
    first, last = step * start + offset, step * (stop - 1) + offset
    return min(first, last), max(first, last) + 1


def _placed(value: Array, alongs: tuple[Along, ...], window: Window) -> Array:
    """Give what was read of an input the axes of the array."""
    if len(alongs) == len(window) and all(
        axis == n and step == 1 for n, (axis, step, _) in enumerate(alongs)
    ):
        return value
    value = value[
        tuple(
            0 if axis is None else slice(None, None, step if step else None)
            for axis, step, _ in alongs
        )
    ]
    axes = [axis for axis, _, _ in alongs if axis is not None]
    value = value.transpose(np.argsort(axes)) if axes != sorted(axes) else value
    missing = [n for n in range(len(window)) if n not in axes]
    value = np.expand_dims(value, tuple(missing))
    return np.broadcast_to(value, [stop - start for start, stop in window])
