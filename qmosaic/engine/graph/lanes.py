"""How chunks come from a source: through tensorstore, or by slicing it.

tensorstore reads Zarr in threads of C++ that do not hold Python up, so several reads are on their
way while one image is compared with the best so far. What it cannot open is sliced as everything
else: at once, in as few requests as can be, where the source answers at once; by threads where it
may keep a task waiting. The pixels are the same.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from qmosaic.engine.chunk_checks import HOW_TO_DECLARE, UnexpectedChunkError, as_promised
from qmosaic.engine.graph.stored import Index, StoredArray, find_stored
from qmosaic.engine.threads import Threads

Read = Callable[[Any], Any]
"""Cuts a window out of a source, or makes something of its arguments."""


class Pending(Protocol):
    """A window that has been asked for."""

    def result(self) -> Any:
        """Give its values; wait for them if need be."""


class Lane(Protocol):
    """A way by which windows of one source come."""

    def ask(self, index: Any) -> Pending:
        """Ask for a window; of a function, for what it makes of some arguments."""


# -- tensorstore ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """An array that tensorstore has opened."""

    handle: Any
    stored: StoredArray

    @property
    def itemsize(self) -> int:
        """The bytes of a stored pixel."""
        return int(self.stored.array.dtype.itemsize)

    def ask(self, index: Any) -> Pending:
        """See `Lane.ask`."""
        return _Decoded(self.handle[self.stored.window(index)].read(), self.stored)


@dataclass(frozen=True)
class _Decoded:
    future: Any
    stored: StoredArray

    def result(self) -> Any:
        """See `Pending.result`."""
        return self.stored.decoded(self.future.result())


def open_fast(source: Any) -> Opened | str:
    """Open the array behind a source with tensorstore, or say why it is sliced instead."""
    stored = find_stored(source)
    return stored if isinstance(stored, str) else open_stored(stored)


def open_stored(stored: StoredArray) -> Opened | str:
    """Open a stored array with tensorstore, or say why it is sliced instead."""
    if type(stored.array.store) is not LocalStore:
        return f"its store is a {type(stored.array.store).__name__}, not a local folder"
    if stored.array.dtype.kind not in "biufc":
        return f"tensorstore does not read the dtype {stored.array.dtype} as zarr does"
    if forked:
        return "this process was forked from one that had imported tensorstore, which cannot be"
    try:
        import tensorstore
    except ImportError:
        return "tensorstore is not installed"
    try:
        handle = tensorstore.open(_spec_of(stored.array), read=True).result()
    except Exception:  # whatever it does not know; who slices finds what is really wrong
        return "tensorstore does not know a codec of it, or cannot open it"
    if not _same(handle, stored.array):
        return "tensorstore understands its metadata otherwise"
    return Opened(handle, stored)


def _spec_of(array: Any) -> dict[str, Any]:
    """Describe an array as zarr has opened it, whatever its metadata on the disk say by now."""
    driver, name = {2: ("zarr", ".zarray"), 3: ("zarr3", "zarr.json")}[array.metadata.zarr_format]
    documents = array.metadata.to_buffer_dict(default_buffer_prototype())
    return {
        "driver": driver,
        "kvstore": {"driver": "file", "path": str(array.store.root / array.path)},
        "metadata": json.loads(documents[name].to_bytes()),
        "assume_metadata": True,
    }


def _same(handle: Any, array: Any) -> bool:
    """Whether an array is the one that zarr has opened, missing chunks included."""
    there = handle.dtype.numpy_dtype, tuple(handle.shape)
    if there != (array.dtype.newbyteorder("="), array.shape):
        return False
    missing = handle.fill_value
    want = np.zeros((), array.dtype) if array.fill_value is None else array.fill_value
    here = np.zeros((), there[0]) if missing is None else np.asarray(missing)
    return here.tobytes() == np.asarray(want, there[0]).tobytes()


forked = False
"""Whether this process is a child that cannot use tensorstore: its threads stayed in the parent."""


def _after_fork() -> None:
    global forked
    forked = "tensorstore" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# -- slicing --------------------------------------------------------------------------------------


class AtOnce:
    """Slices a source that answers at once: what lies side by side is read in one request.

    Parameters
    ----------
    read : callable
        Cuts a window out of the source.
    together : bool, default: True
        Whether what is asked for are windows.
    """

    def __init__(self, read: Read, together: bool = True) -> None:
        self._read, self._together = read, together
        self._asked: list[_Slice] = []

    def ask(self, index: Any) -> Pending:
        """See `Lane.ask`."""
        asked = _Slice(self, index)
        if self._together:
            self._asked.append(asked)
        return asked

    def fetch(self, wanted: _Slice) -> Any:
        """Read a window, and with it those that have been asked for and lie beside it."""
        asked, self._asked = self._asked, []
        for run in adjacent_runs(asked, lambda one: one.index):
            try:
                self._read_together(run)
            except MemoryError:
                raise
            except Exception:  # it is found, and read again, when it is needed
                continue
        return self._read(wanted.index) if wanted.values is None else wanted.values

    def _read_together(self, run: list[_Slice]) -> None:
        axis, index = joint(run[0].index, run[-1].index)
        values = self._read(index)
        try:
            values = as_asked(values, index)
        except UnexpectedChunkError:
            return  # not a source that slices as numpy does: every chunk is read on its own
        for one, part in zip(run, parts_of(values, [one.index for one in run], axis), strict=True):
            one.values = part


@dataclass
class _Slice:
    lane: AtOnce
    index: Index
    values: Any = None

    def result(self) -> Any:
        """See `Pending.result`."""
        values = self.lane.fetch(self) if self.values is None else self.values
        self.values = None
        return values


@dataclass
class InThreads:
    """Slices a source that may keep a task waiting, in threads that read ahead."""

    read: Read
    pool: Threads

    def ask(self, index: Any) -> Pending:
        """See `Lane.ask`."""
        # how the task reads holds in other threads too
        return self.pool.submit(copy_context().run, self.read, index)


# -- windows --------------------------------------------------------------------------------------


def as_asked(values: Any, index: Any, said: Any = None) -> Any:
    """Check what was cut out of a source, and give it in the dtype that the source said it has.

    Raises
    ------
    UnexpectedChunkError
        It is of another shape or dtype.
    """
    if not is_window(index):
        return values
    shape = tuple(int(s.stop - s.start) for s in index)
    if type(values) is np.ndarray:
        dtype = said if isinstance(said, np.dtype) else values.dtype
        if values.shape == shape and values.dtype == dtype:
            return values
        try:
            return as_promised(values, shape, dtype)
        except UnexpectedChunkError as error:
            raise UnexpectedChunkError(
                f"{_shown(index)} was read from a source, and {error}"
            ) from None
    came = tuple(np.shape(values))  # a library's own kind of array: what it is, is seen later
    if came != shape:
        raise UnexpectedChunkError(
            f"{_shown(index)} was read from a source, and an array of shape {came} came; shape "
            f"{shape} was promised. {HOW_TO_DECLARE}"
        )
    return values


def _shown(index: Index) -> str:
    return "[" + ", ".join(f"{s.start}:{s.stop}" for s in index) + "]"


def is_window(index: Any) -> bool:
    """Whether an index is a slice of step 1 along each axis."""
    return isinstance(index, tuple) and bool(index) and all(map(is_plain, index))


def is_plain(index: object) -> bool:
    """Whether an index is a slice from one number to another."""
    return (
        isinstance(index, slice)
        and index.step in (None, 1)
        and isinstance(index.start, int)
        and isinstance(index.stop, int)
    )


def adjacent_runs(asked: list[Any], index_of: Callable[[Any], Index]) -> Iterator[list[Any]]:
    """Group windows of one source that lie side by side along one axis; single ones are left
    out."""
    asked = sorted(asked, key=lambda one: tuple(s.start for s in index_of(one)))
    run: list[Any] = []
    for one in asked:
        if run and _continues([index_of(r) for r in (run[0], run[-1])], index_of(one), len(run)):
            run.append(one)
            continue
        if len(run) > 1:
            yield run
        run = [one]
    if len(run) > 1:
        yield run


def _continues(ends: list[Index], index: Index, length: int) -> bool:
    axis = _axis_between(ends[1], index)
    if axis < 0 or (length > 1 and {_axis_between(ends[0], index), _axis_between(*ends)} != {axis}):
        return False
    return bool(ends[1][axis].stop == index[axis].start)


def _axis_between(a: Index, b: Index) -> int:
    """Give the only axis along which two windows differ, or -1."""
    differ = [i for i, (s, t) in enumerate(zip(a, b, strict=True)) if s != t]
    return differ[0] if len(differ) == 1 else -1


def joint(first: Index, last: Index) -> tuple[int, Index]:
    """Give the window from the first to the last of a run, and the axis along which it goes."""
    axis = _axis_between(first, last)
    index = list(first)
    index[axis] = slice(first[axis].start, last[axis].stop)
    return axis, tuple(index)


def parts_of(values: Any, run: list[Index], axis: int) -> Iterator[Any]:
    """Cut what was read for a run of windows in one request into what each of them asked for."""
    lengths = [index[axis].stop - index[axis].start for index in run]
    for first, last in itertools.pairwise([0, *itertools.accumulate(lengths)]):
        yield values[(slice(None),) * axis + (slice(first, last),)]
