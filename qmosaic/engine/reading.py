"""How a task reads its sources: it repeats what fails, counts, and names what fails for good.

A task of the sink says with `reading_as` how it wants its sources read; whatever runs inside it
(see `qmosaic.engine.graph.BlockReader`) asks for that with `current`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from qmosaic.engine.chunk_checks import UnexpectedChunkError

Value = TypeVar("Value")

Region = dict[Hashable, tuple[int, int]]
"""A part of the map: first and last pixel (exclusive) along each dimension."""

FIRST_WAIT = 0.1
"""Seconds before the first repetition; each further one waits twice as long as the one before."""


FAULTS_OF_CODE = (NameError, ImportError, AttributeError, TypeError, NotImplementedError)
"""What a function raises that is wrong itself: reading again would not help, and no chunk is to be
blamed."""


class ChunkReadError(OSError):
    """A chunk of the collection could not be read.

    `qmosaic.to_zarr` raises it when all repetitions (``retries=``) have failed. The message names
    the time of the image, the band, the chunk and the store. With ``on_error="skip"`` the image
    counts as masked in that block instead.

    Attributes
    ----------
    collection : str
        A token of the collection that the images are of.
    positions : tuple of int
        The positions along time of the images that the chunk holds.
    region : dict
        Where on the map it lies: first and last pixel (exclusive) along each dimension.
    where : str
        The time of the image, the band, the chunk and the store, as the message names them.
    """

    def __init__(
        self,
        message: str,
        collection: str,
        positions: tuple[int, ...],
        region: Region,
        where: str,
    ):
        super().__init__(message)
        self.collection = collection
        self.positions = positions
        self.region = region
        self.where = where

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.collection, self.positions, self.region, self.where)


@dataclass(frozen=True)
class Origin:
    """What a band is, for errors that name it.

    Attributes
    ----------
    collection : str
        A token of the collection.
    band : str
        The name of the band.
    times : numpy.ndarray
        The labels of its images.
    store : str
        Where it is read from, "" where that is not known.
    ids : numpy.ndarray, optional
        What tells the images apart beside their times: the ids of items, the names of files.
    """

    collection: str = ""
    band: str = ""
    times: Any = None
    store: str = ""
    ids: Any = None

    def time(self, position: int) -> str:
        """Name an image by its time, else by its position."""
        if self.times is None or position >= len(self.times):
            return f"number {position}"
        named = f" ({self.ids[position]})" if self.ids is not None else ""
        return f"{self.times[position]}{named}"

    def describe(self, positions: Iterable[int], chunk: str) -> str:
        """Name a chunk: the image's time, band, chunk and store."""
        first, *others = list(positions)
        images = self.time(first) + (f" to {self.time(others[-1])}" if others else "")
        store = f" of {self.store!r}" if self.store else ""
        return f"band {self.band!r} of image {images}, chunk {chunk}{store}"


UNNAMED = Origin()
"""The origin of a band of which nothing is known."""


@dataclass
class Reading:
    """How a task reads, and what it counts meanwhile.

    Attributes
    ----------
    retries : int
        How often a chunk that fails is read again.
    names_errors : bool
        Whether a chunk that fails for good raises `ChunkReadError`, which names it; else the
        source's own error is raised, with the names as a note.
    excluded : dict of str to list
        For each collection, the images that count as masked in this task, and where on the map.
    bytes : int
        The decoded size of what was read.
    """

    retries: int = 0
    names_errors: bool = False
    excluded: dict[str, list[tuple[tuple[int, ...], Region]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    bytes: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def leaves_out(self, collection: str, region: Region) -> set[int]:
        """Give the images of a collection that count as masked in a part of the map."""
        return {
            position
            for positions, where in self.excluded.get(collection, [])
            if _overlap(where, region)
            for position in positions
        }

    def leave_out(self, error: ChunkReadError) -> bool:
        """Count images as masked where they cannot be read; False where they are already."""
        found = (error.positions, error.region)
        if found in self.excluded[error.collection]:
            return False
        self.excluded[error.collection].append(found)
        return True

    def count(self, values: Any) -> None:
        """Add the size of what was read."""
        with self._lock:
            self.bytes += int(getattr(values, "nbytes", 0))

    def attempt(self, read: Callable[[], Value]) -> Value:
        """Read, again where it fails.

        Raises
        ------
        Exception
            Whatever the last attempt raised; what is no fault of reading comes at once.
        """
        for number in range(self.retries):
            try:
                return read()
            except (MemoryError, UnexpectedChunkError, *FAULTS_OF_CODE):
                raise
            except Exception:  # a store raises what it likes
                time.sleep(FIRST_WAIT * 2**number)
        return read()


def _overlap(a: Region, b: Region) -> bool:
    return all(a[d][0] < b[d][1] and b[d][0] < a[d][1] for d in a if d in b)


_current: ContextVar[Reading | None] = ContextVar("qmosaic_reading", default=None)


def current() -> Reading:
    """Give how the running task reads; by default, errors are raised as they are."""
    return _current.get() or Reading()


@contextlib.contextmanager
def reading_as(reading: Reading) -> Iterator[Reading]:
    """Set how sources are read, within the block."""
    token = _current.set(reading)
    try:
        yield reading
    finally:
        _current.reset(token)


def unreadable(
    origin: Origin, positions: Iterable[int], region: Region, chunk: str, error: Exception
) -> OSError:
    """Make the error for a chunk that could not be read."""
    positions = tuple(positions)
    where = origin.describe(positions, chunk)
    # libraries on top of GDAL tell little, and more in the cause of an error
    reason = f"{error}" + (f" ({error.__cause__})" if error.__cause__ else "")
    listed = ", ".join(str(p) for p in positions)
    return ChunkReadError(
        f"{where} could not be read: {type(error).__name__}: {reason}. Mend or replace the chunk, "
        f"leave the image out (collection.drop_isel(time=[{listed}])), or let it count as masked "
        "there: on_error='skip'.",
        origin.collection,
        positions,
        region,
        where,
    )


def unexpected(
    origin: Origin, positions: Iterable[int], chunk: str, error: UnexpectedChunkError
) -> UnexpectedChunkError:
    """Make the error for a chunk that is not what was promised."""
    return UnexpectedChunkError(f"{origin.describe(positions, chunk)}: {error}")


def labels(values: Any) -> Any:
    """Bring the labels of images into a form that is small and prints well."""
    array = np.asarray(values)
    if array.dtype.kind == "M":
        short = array.astype("datetime64[s]")
        return short if (short == array).all() else array
    return array
