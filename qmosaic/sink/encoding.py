"""How pieces of an array are written: encoded by the thread that writes them, where that can be.

For one chunk Zarr goes through an event loop that all threads share, in some twenty steps, and
compares every pixel with the fill value. What lies in a folder is written without them here: the
codecs of Zarr itself are run in the thread that calls, and what they give is put into the store
right there. So the bytes are those that Zarr writes, in a run that is continued elsewhere too;
tensorstore brings codecs of its own, in other versions, whose bytes differ. Whatever is not known
to be the same this way (shards, texts and times, a pipeline of codecs of somebody else, any other
store) is left to Zarr.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from zarr.abc.codec import CodecPipeline
from zarr.core.array import create_codec_pipeline
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.codec_pipeline import BatchedCodecPipeline, fill_value_or_default

from qmosaic.collection.masks import Array
from qmosaic.sink.fencing import StagingStore

Piece = tuple[slice, ...]

NUMBERS = "biufc"
"""The kinds of dtypes that are encoded here."""


class WritePiece(Protocol):
    """What writes values to their place in an array, and comes back when they are there.

    Attributes
    ----------
    together : int
        How many pieces a job writes at the same time beside what it makes.
    """

    together: ClassVar[int]

    def __call__(self, piece: Piece, values: Array) -> None:
        """Write values."""


def writer_of(array: Any) -> WritePiece:
    """Give what writes pieces of an array; it travels to the workers.

    Parameters
    ----------
    array : zarr.Array
        The array. What Zarr is told at this moment about empty chunks counts.
    """
    here = (
        isinstance(array.store, StagingStore)
        and array.shards is None
        and array.ndim > 0
        and array.dtype.kind in NUMBERS
    )
    pipeline = create_codec_pipeline(array.metadata) if here else None
    if type(pipeline) is not BatchedCodecPipeline:
        return ByZarr(array)
    prototype, config = default_buffer_prototype(), ArrayConfig.from_dict({"order": array.order})
    spec = array.metadata.get_chunk_spec((0,) * array.ndim, config, prototype)
    return Here(array, pipeline, spec)


@dataclass(frozen=True)
class ByZarr:
    """Pieces are written by Zarr.

    Attributes
    ----------
    array : zarr.Array
        The array.
    """

    together: ClassVar[int] = 4  # the store may take its time to answer

    array: Any

    def __call__(self, piece: Piece, values: Array) -> None:
        self.array[piece] = values


@dataclass(frozen=True)
class Here:
    """Chunks are encoded, and put into a folder, by the thread that calls.

    Attributes
    ----------
    array : zarr.Array
        The array.
    pipeline : CodecPipeline
        Its codecs.
    spec : ArraySpec
        What Zarr tells codecs of a chunk.
    """

    together: ClassVar[int] = 1  # it is work: more threads would only take more memory

    array: Any
    pipeline: CodecPipeline
    spec: ArraySpec

    def __call__(self, piece: Piece, values: Array) -> None:
        if not self._suits(piece, values):
            self.array[piece] = values
            return
        with contextlib.closing(_Loop()) as loop:
            for key, inside in self._chunks(piece):
                encoded = self._encode(values[inside], loop)
                if encoded is None:
                    self.array.store.take_away(key)
                else:
                    self.array.store.put(key, encoded)

    def _suits(self, piece: Piece, values: Array) -> bool:
        """Whether a piece is made of whole chunks, with values that need no cast."""
        return values.dtype.name == self.array.dtype.name and all(
            s.start % chunk == 0 and (s.stop % chunk == 0 or s.stop == size)
            for s, chunk, size in zip(piece, self.spec.shape, self.array.shape, strict=True)
        )

    def _chunks(self, piece: Piece) -> Iterator[tuple[str, Piece]]:
        """Name the chunks of a piece; with each goes where in the piece it is."""
        steps = [
            [(at // chunk, slice(at - s.start, at - s.start + chunk)) for at in starts]
            for s, chunk in zip(piece, self.spec.shape, strict=True)
            for starts in (range(s.start, s.stop, chunk),)
        ]
        folder = f"{self.array.path}/" if self.array.path else ""
        for found in itertools.product(*steps):
            numbers, inside = zip(*found, strict=True)
            yield folder + self.array.metadata.encode_chunk_key(numbers), inside

    def _encode(self, values: Array, loop: _Loop) -> Buffer | None:
        """Encode a chunk; None for one that is all fill value, where such are not written."""
        fill = fill_value_or_default(self.spec)
        if values.shape != self.spec.shape:  # the map ends within the chunk
            full: Array = np.full(self.spec.shape, fill, self.array.dtype)
            full[tuple(slice(0, size) for size in values.shape)] = values
            values = full
        chunk = self.spec.prototype.nd_buffer.from_numpy_array(values)
        if not self.spec.config.write_empty_chunks:
            # one pixel tells of most chunks what comparing all of them would
            first = chunk[(slice(0, 1),) * values.ndim]
            if first.all_equal(fill) and chunk.all_equal(fill):
                return None
        (encoded,) = loop.run_until_complete(self.pipeline.encode([(chunk, self.spec)]))
        return encoded


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that does in its own thread what it is asked to do in another one."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """See `asyncio.loop.run_in_executor`."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future
