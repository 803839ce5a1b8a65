"""A band as dask array, and its chunks in the form in which a task reads them itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.graph.asking import Asking, Target, in_flight
from qmosaic.engine.graph.recipes import Key
from qmosaic.engine.graph.sharing import Spans, widened
from qmosaic.engine.graph.views import View, Window
from qmosaic.engine.kernels import image_at
from qmosaic.engine.reading import (
    FAULTS_OF_CODE,
    UNNAMED,
    Origin,
    Region,
    current,
    unexpected,
    unreadable,
)


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


@dataclass
class Promise:
    """What a band promises of its chunks before any is made; a task checks them against it.

    Attributes
    ----------
    name : str
        The layer of the chunks.
    axis : int
        The axis of time.
    time_chunks, map_chunks : tuple
        The sizes of the chunks along time, and along the dimensions of the map.
    map_dims : tuple of str
        The dimensions without time.
    dtype : numpy.dtype
        That of the band.
    nodata : scalar or None
        Its declared nodata.
    origin : Origin
        What to call it in errors.
    why : str
        Why it stays an ordinary dependency, where it does.
    """

    name: str
    axis: int
    time_chunks: tuple[int, ...]
    map_chunks: tuple[tuple[int, ...], ...]
    map_dims: tuple[Hashable, ...]
    dtype: np.dtype[Any]
    nodata: Any = None
    origin: Origin = UNNAMED
    why: str = ""

    @cached_property
    def first_images(self) -> Array:
        """The position of the first image of each chunk of time, and behind them all."""
        return np.cumsum((0, *self.time_chunks))

    def __getstate__(self) -> dict[str, Any]:
        # what was noted here, some numbers for each image, is found again there
        noted = {n for c in type(self).__mro__ for n, v in vars(c).items() if _is_noted(v)}
        return {name: value for name, value in vars(self).items() if name not in noted}

    @property
    def images(self) -> int:
        """The number of images."""
        return int(self.first_images[-1])

    def positions(self, chunk: int) -> range:
        """Number the images in a chunk of time."""
        return range(int(self.first_images[chunk]), int(self.first_images[chunk + 1]))

    def block_shape(self, block: tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape of a block of the map."""
        return tuple(c[i] for c, i in zip(self.map_chunks, block, strict=True))

    @cached_property
    def _starts(self) -> tuple[tuple[int, ...], ...]:
        return tuple((0, *itertools.accumulate(sizes)) for sizes in self.map_chunks)

    def window(self, block: tuple[int, ...]) -> Window:
        """Say which pixels of the map a block has."""
        return tuple((s[n], s[n + 1]) for s, n in zip(self._starts, block, strict=True))

    def region(self, window: Window) -> Region:
        """Name the dimensions of a window of the map."""
        return dict(zip(self.map_dims, window, strict=True))

    def place(self, window: Window, position: int) -> str:
        """Name the chunk of an image by its numbers, for errors: of several that a window touches
        the first and the last."""
        inner = [(low, max(low, high - 1)) for low, high in window]
        first, last = (self._chunk_at([span[end] for span in inner], position) for end in (0, 1))
        return str(first) if first == last else f"{first} to {last}"

    def _chunk_at(self, pixel: Sequence[int], position: int) -> tuple[int, ...]:
        """Give the numbers of the chunk that a pixel of an image lies in."""
        chunks = self.chunks_that_are_named
        at = [
            max(0, int(np.searchsorted((0, *np.cumsum(sizes)), place, side="right")) - 1)
            for sizes, place in zip(chunks, pixel, strict=True)
        ]
        at = [min(n, len(c) - 1) for n, c in zip(at, chunks, strict=True)]
        at.insert(self.axis, int(np.searchsorted(self.first_images, position, side="right")) - 1)
        return tuple(at)

    @property
    def chunks_that_are_named(self) -> tuple[tuple[int, ...], ...]:
        """The chunks of the map whose numbers errors name."""
        return self.map_chunks

    def accept(self, values: Any, window: Window, positions: range) -> Array:
        """Give images over a window of the map as they were promised.

        Raises
        ------
        UnexpectedChunkError
            They are of another shape or dtype; the error names image, band and chunk.
        """
        shape = [stop - start for start, stop in window]
        shape.insert(self.axis, len(positions))
        try:
            return as_promised(values, tuple(shape), self.dtype, self.nodata)
        except UnexpectedChunkError as error:
            raise self.broken(window, positions, error) from None

    def accept_chunk(self, values: Any, block: tuple[int, ...], chunk: int) -> Array:
        """Give a chunk as it was promised, see `accept`."""
        return self.accept(values, self.window(block), self.positions(chunk))

    def broken(
        self, window: Window, positions: range, error: UnexpectedChunkError
    ) -> UnexpectedChunkError:
        """Name the chunk that was not as promised, or that something unexpected is behind."""
        return unexpected(self.origin, positions, self.place(window, positions[0]), error)


def _is_noted(attribute: object) -> bool:
    return isinstance(attribute, cached_property)


def promise_of(stack: Stack, why: str = "") -> Promise:
    """Give what a band promises of its chunks."""
    return Promise(
        stack.array.name,
        stack.axis,
        stack.array.chunks[stack.axis],
        stack.map_chunks,
        stack.map_dims,
        stack.array.dtype,
        stack.nodata,
        stack.origin,
        why,
    )


@dataclass(kw_only=True)
class DeferredChunks(Promise):
    """A band, to be read inside a task: nothing is read before `open(...)` is walked.

    One such object serves all blocks of the map; a scheduler sends it to each worker once.

    Attributes
    ----------
    view : View
        What is behind it.
    beside : int
        The bytes that making an image takes beside it, where what lies around it is looked at.
    before : tuple of key
        The arrays that have to be made first, and are not there yet.
    named_chunks : tuple of tuple of int
        The chunks of the map that the band has in dask, by which errors name them; `map_chunks` are
        the blocks in which it is worked on.
    """

    named_chunks: tuple[tuple[int, ...], ...]
    view: View
    beside: int = 0
    before: tuple[Key, ...] = ()

    @property
    def chunks_that_are_named(self) -> tuple[tuple[int, ...], ...]:
        """See `Promise.chunks_that_are_named`."""
        return self.named_chunks

    @cached_property
    def firsts(self) -> Array:
        """The first image of each part of the time axis that is read at once, and behind them all:
        single images, but where a chunk holds several."""
        borders = self.view.borders(self.axis)
        return np.arange(self.images + 1) if borders is None else np.asarray(borders)

    def open(self, window: Window, *, candidates: bool = False) -> BlockReader:
        """Give a reader of a window of the map.

        With `candidates` it leaves out the images that count as masked there.
        """
        return BlockReader(self, window, candidates)

    def of_block(self, block: tuple[int, ...], *, candidates: bool = False) -> BlockReader:
        """Give a reader of a block of the map."""
        return self.open(self.window(block), candidates=candidates)

    def _laid(self, part: Any, values: Sequence[Any], rest: Any, wider: Any) -> list[Any]:
        """Sort what is said of the dimensions of a part of a mosaic by those of the band."""
        dims, found = part.dims, []
        for dim, sizes in zip(self.map_dims, self.map_chunks, strict=True):
            if dim not in dims:
                found.append(rest(sum(sizes)))
                continue
            value = values[dims.index(dim)]
            by = part.margin[dims.index(dim) - len(dims)] if part.margin else 0
            found.append(wider(value, by, sum(sizes)) if by else value)
        return found

    def places(self, part: Any, window: Window) -> Window:
        """Say which pixels of the view a window of a part of a mosaic is made of, and which of its
        images."""
        found = self._laid(part, window, lambda size: (0, size), widened)
        images = (0, self.images) if part.periods is None else part.periods.span(window[0])
        found.insert(self.axis, images)
        return tuple(found)

    def spread(self, part: Any, spans: Sequence[Spans]) -> tuple[Spans, ...]:
        """The same for what blocks need of a part of a mosaic."""

        def whole(size: int) -> Spans:
            return Spans(None, ((0, size),))

        def wider(span: Spans, by: int, size: int) -> Spans:
            return span.moved(lambda one: widened(one, by, size))

        found = self._laid(part, spans, whole, wider)
        images = whole(self.images)
        if part.periods is not None:
            images = spans[0].moved(part.periods.span)
        found.insert(self.axis, images)
        return tuple(found)

    def cells(self, window: Window, fewest: int) -> list[Window]:
        """Cut a window of the map where chunks of the sources end, into parts of so many pixels at
        least."""
        side = math.isqrt(fewest)
        steps = []
        for axis, (low, high) in enumerate(window):
            at = [low]
            for border in self.view.edges[axis + (axis >= self.axis)] or ():
                if border - at[-1] >= side and high - border >= side:
                    at.append(border)
            steps.append(list(itertools.pairwise((*at, high))))
        return list(itertools.product(*steps))

    def borders(self, dims: tuple[Hashable, ...], axis: int) -> Array | None:
        """Say where the map can be cut so that nothing is read twice, see `View.borders`."""
        if dims[axis] not in self.map_dims:
            return None
        at = self.map_dims.index(dims[axis])
        return self.view.borders(at + (at >= self.axis))


class BlockReader:
    """Reads the images of one band over a window of the map through its view.

    See `qmosaic.engine.blocks.Reader`. It holds a few numbers for each image.
    """

    def __init__(self, source: DeferredChunks, window: Window, candidates: bool) -> None:
        self._source = source
        self._candidates = candidates
        self._window = window
        self._reading = current()
        self._kept: tuple[int, Array] | None = None
        self.images = source.images
        self.shape = tuple(stop - start for start, stop in window)
        self.dtype = source.dtype

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `qmosaic.engine.blocks.Reader.walk`."""
        wanted = self._wanted(positions)
        part_of = self._parts_of(wanted)
        starts = np.flatnonzero(np.diff(part_of, prepend=-1))
        parts, stops = part_of[starts], np.append(starts[1:], wanted.size)
        del part_of
        asking = Asking(_Targets(self._source, self._window, parts))
        if ahead:
            size = self._bytes_of(parts)
            asking.read_ahead(size, in_flight(max(size, self._source.beside)))
        try:
            for number, part in enumerate(parts):
                array = self._make(asking, number, int(part))
                first = self._source.firsts[part]
                for position in wanted[starts[number] : stops[number]]:
                    image = image_at(array, self._source.axis, int(position - first))
                    yield int(position), image
                    del image
                del array
        finally:
            asking.close()

    def _wanted(self, positions: Iterable[int]) -> Array:
        """Leave out the images that count as masked here."""
        left_out: set[int] = set()
        if self._candidates and self._reading.excluded:
            region = self._source.region(self._window)
            left_out = self._reading.leaves_out(self._source.origin.collection, region)
        return np.fromiter((p for p in positions if p not in left_out), np.int64)

    def image(self, position: int) -> Array:
        """See `qmosaic.engine.blocks.Reader.image`."""
        (part,) = map(int, self._parts_of(np.array([position])))
        if self._kept is None or self._kept[0] != part:
            self._kept = None
            asking = Asking(_Targets(self._source, self._window, np.array([part])))
            self._kept = (part, self._make(asking, 0, part))
        return image_at(self._kept[1], self._source.axis, position - self._source.firsts[part])

    def _make(self, asking: Asking, number: int, part: int) -> Array:
        """Make some images, again where that fails."""
        source = self._source
        positions = range(int(source.firsts[part]), int(source.firsts[part + 1]))
        try:
            made = self._reading.attempt(lambda: asking.make(number, self._reading.count))
        except MemoryError:
            raise
        except UnexpectedChunkError as error:
            raise source.broken(self._window, positions, error) from None
        except FAULTS_OF_CODE as error:
            at = source.place(self._window, positions[0])
            error.add_note(f"It was raised while {source.origin.describe(positions, at)} was made.")
            raise
        except Exception as error:
            at = source.place(self._window, positions[0])
            region = source.region(self._window)
            named = unreadable(source.origin, positions, region, at, error)
            if self._reading.names_errors:
                raise named from error
            error.add_note(str(named))
            raise
        return source.accept(made, self._window, positions)

    def _parts_of(self, positions: Array) -> Array:
        return np.searchsorted(self._source.firsts, positions, side="right") - 1

    def _bytes_of(self, parts: Array) -> int:
        largest = int(np.diff(self._source.firsts)[parts].max(initial=1))
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize * largest
        return max(1, size)


class _Targets(Sequence[Target]):
    """Parts of the time axis over a window of the map, named when they are asked for."""

    def __init__(self, source: DeferredChunks, window: Window, parts: Array) -> None:
        self._source, self._window, self._parts = source, window, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: Any) -> Any:
        part, axis = self._parts[number], self._source.axis
        along = int(self._source.firsts[part]), int(self._source.firsts[part + 1])
        return self._source.view, (*self._window[:axis], along, *self._window[axis:])


def blocks_in(
    chunks: Sequence[tuple[int, ...]], window: Window
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Name the blocks that a window touches, which part of each, and where it lies in the
    window."""
    per_axis = [list(overlaps(c, a, b)) for c, (a, b) in zip(chunks, window, strict=True)]
    for found in itertools.product(*per_axis):
        block, inside, target = zip(*found, strict=True) if found else ((), (), ())
        yield block, inside, target


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
