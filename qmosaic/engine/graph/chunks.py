"""A band as dask array, and its chunks in the form in which a task reads them itself."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from dask._task_spec import GraphNode

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.graph.recipes import Key, Recipes
from qmosaic.engine.graph.viewing import ViewWalk, in_turn, walk_over
from qmosaic.engine.graph.walking import Walk, in_flight
from qmosaic.engine.kernels import image_at
from qmosaic.engine.reading import UNNAMED, Origin, Region, current, unexpected, unreadable


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
    """

    name: str
    axis: int
    time_chunks: tuple[int, ...]
    map_chunks: tuple[tuple[int, ...], ...]
    map_dims: tuple[Hashable, ...]
    dtype: np.dtype[Any]
    nodata: Any = None
    origin: Origin = UNNAMED

    @cached_property
    def first_images(self) -> Array:
        """The position of the first image of each chunk of time, and behind them all."""
        return np.cumsum((0, *self.time_chunks))

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

    def key(self, block: tuple[int, ...], chunk: int) -> Key:
        """Name the chunk at a block of the map and a chunk of time."""
        return (self.name, *block[: self.axis], chunk, *block[self.axis :])

    def region(self, block: tuple[int, ...]) -> Region:
        """Say where on the map a block lies."""
        return {
            dim: (sum(sizes[:number]), sum(sizes[: number + 1]))
            for dim, sizes, number in zip(self.map_dims, self.map_chunks, block, strict=True)
        }

    def place(self, block: tuple[int, ...], chunk: int) -> str:
        """Name a chunk by its numbers, for errors."""
        return str(self.key(block, chunk)[1:])  # type: ignore[index]

    def accept(self, values: Any, block: tuple[int, ...], chunk: int) -> Array:
        """Give a chunk as it was promised.

        Raises
        ------
        UnexpectedChunkError
            It is of another shape or dtype; the error names image, band and chunk.
        """
        shape = self.block_shape(block)
        shape = (*shape[: self.axis], self.time_chunks[chunk], *shape[self.axis :])
        try:
            return as_promised(values, shape, self.dtype, self.nodata)
        except UnexpectedChunkError as error:
            raise self.broken(block, chunk, error) from None

    def broken(
        self, block: tuple[int, ...], chunk: int, error: UnexpectedChunkError
    ) -> UnexpectedChunkError:
        """Name the chunk that was not as promised, or that something unexpected is behind."""
        return unexpected(self.origin, self.positions(chunk), self.place(block, chunk), error)


def promise_of(stack: Stack) -> Promise:
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
    )


@dataclass(kw_only=True)
class DeferredChunks(Promise):
    """The chunks of a band, to be read inside a task: nothing is read before `open(...)` is walked.

    One such object serves all blocks of the map; a scheduler sends it to each worker once.

    Attributes
    ----------
    recipes : Recipes
        What makes the chunks.
    beside : int
        The bytes that making a chunk takes beside it, where what lies around it is looked at.
    """

    recipes: Recipes
    beside: int = 0

    def open(
        self, block: tuple[int, ...], extra: Mapping[Key, GraphNode], *, candidates: bool = False
    ) -> BlockReader:
        """Give a reader of one block of the map; `extra` are the tasks of this block alone.

        With `candidates` it leaves out the images that count as masked there.
        """
        return BlockReader(self, block, extra, candidates)


class BlockReader:
    """Reads the images of one band over one block by running the tasks behind them.

    See `qmosaic.engine.blocks.Reader`. It holds a few numbers for each image, and tasks for a few.
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
        self._reading = current()
        self._kept: tuple[int, Array] | None = None
        self.images = source.images
        self.shape = source.block_shape(block)
        self.dtype = source.dtype

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `qmosaic.engine.blocks.Reader.walk`."""
        wanted = self._wanted(positions)
        chunk_of = self._chunks_of(wanted)
        starts = np.flatnonzero(np.diff(chunk_of, prepend=-1))
        chunks, stops = chunk_of[starts], np.append(starts[1:], wanted.size)
        del chunk_of
        walk = self._walk_over(chunks)
        values = self._in_turn(walk, chunks) if ahead else self._one_by_one(walk, chunks)
        for number, array in enumerate(values):
            first = self._source.first_images[chunks[number]]
            for position in wanted[starts[number] : stops[number]]:
                yield int(position), image_at(array, self._source.axis, int(position - first))
            del array

    def _wanted(self, positions: Iterable[int]) -> Array:
        """Leave out the images that count as masked here."""
        left_out: set[int] = set()
        if self._candidates and self._reading.excluded:
            region = self._source.region(self._block)
            left_out = self._reading.leaves_out(self._source.origin.collection, region)
        return np.fromiter((p for p in positions if p not in left_out), np.int64)

    def image(self, position: int) -> Array:
        """See `qmosaic.engine.blocks.Reader.image`."""
        (chunk,) = map(int, self._chunks_of(np.array([position])))
        if self._kept is None or self._kept[0] != chunk:
            self._kept = None
            walk = self._walk_over(np.array([chunk]))
            self._kept = (chunk, self._make(walk, 0, chunk))
        first = int(self._source.first_images[chunk])
        return image_at(self._kept[1], self._source.axis, position - first)

    def _walk_over(self, chunks: Array) -> Walk | ViewWalk:
        source = self._source
        keys = _Keys(source, self._block, chunks)
        varying = frozenset({source.axis} if len(chunks) > 1 else ())
        return walk_over(source.recipes, self._extra, source.name, keys, varying)

    def _one_by_one(self, walk: Walk | ViewWalk, chunks: Array) -> Iterator[Array]:
        for number, chunk in enumerate(chunks):
            yield self._make(walk, number, int(chunk))
            walk.drop(number)

    def _in_turn(self, walk: Walk | ViewWalk, chunks: Array) -> Iterator[Array]:
        size = self._chunk_bytes(chunks)
        return in_turn(
            walk,
            lambda number: self._make(walk, number, int(chunks[number])),
            size,
            in_flight(max(size, self._source.beside)),
            self._reading.count,
        )

    def _make(self, walk: Walk | ViewWalk, number: int, chunk: int) -> Array:
        """Run the tasks behind a chunk, again where they fail."""
        try:
            made = self._reading.attempt(lambda: walk.make(number, self._reading.count))
        except MemoryError:
            raise
        except UnexpectedChunkError as error:
            raise self._source.broken(self._block, chunk, error) from None
        except Exception as error:
            positions = self._source.positions(chunk)
            at = self._source.place(self._block, chunk)
            region = self._source.region(self._block)
            named = unreadable(self._source.origin, positions, region, at, error)
            if self._reading.names_errors:
                raise named from error
            error.add_note(str(named))
            raise
        return self._source.accept(made, self._block, chunk)

    def _chunks_of(self, positions: Array) -> Array:
        return np.searchsorted(self._source.first_images, positions, side="right") - 1

    def _chunk_bytes(self, chunks: Array) -> int:
        largest = int(np.diff(self._source.first_images)[chunks].max(initial=1))
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize * largest
        return max(1, size)


class _Keys(Sequence[Key]):
    """The names of some chunks over a block of the map, made when they are asked for."""

    def __init__(self, promise: Promise, block: tuple[int, ...], chunks: Array) -> None:
        self._promise, self._block, self._chunks = promise, block, chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, number: Any) -> Any:
        return self._promise.key(self._block, int(self._chunks[number]))


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
