"""Bands whose chunks others have made: as sources, for tasks that are given these chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.engine.graph.chunks import Promise, Stack, blocks_in
from qmosaic.engine.graph.recipes import Key
from qmosaic.engine.graph.views import Window
from qmosaic.engine.kernels import image_at

ChunkNumber = tuple[tuple[int, ...], int]
"""A block of the map, and a chunk of time."""


class GivenChunks:
    """A band as a source, see `qmosaic.engine.deciders.Source`.

    Parameters
    ----------
    promise : Promise
        What it promises of its chunks.
    chunks : mapping
        Those that are there.
    """

    def __init__(self, promise: Promise, chunks: Mapping[ChunkNumber, Any]) -> None:
        self._promise, self._chunks = promise, chunks
        self.images, self.dtype = promise.images, promise.dtype

    def window(self, block: tuple[int, ...]) -> Window:
        """Say which pixels of the map a block has."""
        return self._promise.window(block)

    def open(self, window: Window, *, candidates: bool = False) -> GivenReader:
        """See `Source.open`."""
        return GivenReader(self._promise, self._chunks, window)

    def cells(self, window: Window, fewest: int) -> list[Window]:
        """See `Source.cells`."""
        return [window]


class GivenReader:
    """See `qmosaic.engine.blocks.Reader`."""

    def __init__(self, promise: Promise, chunks: Mapping[ChunkNumber, Any], window: Window) -> None:
        self._promise, self._chunks = promise, chunks
        self._parts = list(blocks_in(promise.map_chunks, window))
        self.images, self.dtype = promise.images, promise.dtype
        self.shape = tuple(stop - start for start, stop in window)

    def walk(self, positions: Iterable[int], *, ahead: bool = True) -> Iterator[tuple[int, Array]]:
        """See `Reader.walk`."""
        for position in positions:
            yield position, self.image(position)

    def image(self, position: int) -> Array:
        """See `Reader.image`."""
        first = self._promise.first_images
        number = int(np.searchsorted(first, position, side="right")) - 1
        out: Array | None = None
        for block, inside, target in self._parts:
            chunk = self._promise.accept_chunk(self._chunks[block, number], block, number)
            part = image_at(chunk, self._promise.axis, position - int(first[number]))[inside]
            if len(self._parts) == 1:
                return part
            if out is None:
                out = np.empty(self.shape, self.dtype)
            out[target] = part
        assert out is not None
        return out


def chunks_behind(
    stack: Stack, window: Window, positions: Sequence[int] | None
) -> list[ChunkNumber]:
    """Name the chunks of a band that a window rests on, in the dimensions of its map, for some
    images or for all."""
    numbers: Iterable[int] = range(len(stack.first_images))
    if positions is not None:
        at = np.searchsorted(stack.first_images, np.asarray(positions, np.int64), side="right")
        numbers = sorted({int(n) - 1 for n in at})
    blocks = [block for block, _, _ in blocks_in(stack.map_chunks, window)]
    return [(block, number) for block in blocks for number in numbers]


def keys_of(stack: Stack, chunks: Sequence[ChunkNumber]) -> list[Key]:
    """Name the tasks that make chunks of a band."""
    return [stack.key(block, number) for block, number in chunks]


def bytes_of(stack: Stack, chunks: Sequence[ChunkNumber]) -> int:
    """Give the size of chunks of a band."""
    sizes = stack.array.chunks[stack.axis]
    images = sum(sizes[n] * math.prod(stack.block_shape(block)) for block, n in chunks)
    return int(images * stack.array.dtype.itemsize)
