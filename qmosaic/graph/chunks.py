"""A band as dask array, and its chunks in the form in which a task reads them itself."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from dask._task_spec import GraphNode

from qmosaic.graph.recipes import Key, Recipes
from qmosaic.graph.walking import Walk, in_flight, in_turn
from qmosaic.kernels import (
    Array,
    image_at,
)
from qmosaic.reading import UNNAMED, Origin, Region, current, unreadable


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
