"""What a job does: it makes all that lies in its box of the map, and writes whole chunks."""

from __future__ import annotations

import contextlib
import errno
import pickle
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import zarr

from qmosaic.collection.masks import Array
from qmosaic.engine.chunk_checks import UnexpectedChunkError, as_promised
from qmosaic.engine.reading import ChunkReadError, Reading, reading_as
from qmosaic.sink.background import background
from qmosaic.sink.cutting import Plan, Variable, Window
from qmosaic.sink.encoding import Piece, WritePiece, writer_of
from qmosaic.sink.fencing import Fence
from qmosaic.sink.journal import Journal

stopped: set[str] = set()
"""The runs in this process whose remaining jobs are not wanted any more."""


class Stopped(RuntimeError):
    """The run of this job has failed or was interrupted."""


@dataclass(frozen=True)
class Outcome:
    """What a job reports.

    Attributes
    ----------
    job : int
        Its number.
    read, written : int
        Bytes of source chunks and of blocks, decoded.
    skipped : list of str
        The chunks that could not be read, where that is allowed.
    changes : Any
        What a transaction has to take up.
    """

    job: int
    read: int
    written: int
    skipped: list[str]
    changes: Any = None


@dataclass(frozen=True)
class Target:
    """Where jobs write.

    Attributes
    ----------
    writers : dict
        For each array of the store, what writes pieces of it.
    journal : Journal
        What is told when a block is there.
    fence : Fence
        The right to write there. A worker may still be at work when its client is gone and
        somebody else has begun to write.
    """

    writers: dict[Hashable, WritePiece]
    journal: Journal
    fence: Fence

    @property
    def name(self) -> str:
        """What to call the store in errors."""
        return self.fence.name

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Write some chunks within the block, as long as they are wanted."""
        self.fence.check()
        yield
        self.fence.confirm()


@dataclass(frozen=True)
class Transaction:
    """A target whose writes are collected, and become visible all at once later.

    Attributes
    ----------
    pickled : bytes
        A fork of a session of Icechunk; every job works on a copy of its own.
    path : str
        The group of the mosaic.
    """

    pickled: bytes
    path: str

    def writing(self) -> AbstractContextManager[None]:
        """Write some chunks within the block: nobody else sees them."""
        return contextlib.nullcontext()


@dataclass(frozen=True)
class Writer:
    """What every job does: see `qmosaic.engine.graph.Work`.

    Attributes
    ----------
    run : str
        Names the run.
    plan : Plan
        All jobs.
    target : Target or Transaction
        Where to write.
    retries : int
        How often a source chunk that fails is read again.
    on_error : {"raise", "skip"}
        What to do with one that fails for good.
    """

    run: str
    plan: Plan
    target: Target | Transaction
    retries: int = 0
    on_error: str = "raise"

    def windows(self, job: int) -> list[tuple[str, Window]]:
        """Name the arrays that a job needs, and which part of each, in order."""
        return [(variable.key, window) for variable, window in self.plan.windows(job)]

    def accept(self, name: str, numbers: tuple[int, ...], chunk: Any) -> Array:
        """Check a block of the mosaic that ordinary tasks have made."""
        variable = self.plan.by_key[name]
        shape = tuple(sizes[n] for sizes, n in zip(variable.blocks, numbers, strict=True))
        return _accept(variable, f"chunk {numbers}", shape, chunk)

    def __call__(self, job: int, parts: Callable[..., Iterator[Array]]) -> Outcome:
        """Make and write all that lies in the box of a job."""
        self._check_wanted(job)
        if isinstance(self.target, Transaction):
            fork = pickle.loads(self.target.pickled)
            writers = writers_of(fork.store, self.target.path, self.plan)
            outcome = self._make(job, parts, partial(self._write, job, writers=writers))
            return Outcome(job, outcome.read, outcome.written, outcome.skipped, fork)
        with explaining_full_disks(self.target.name):
            write = partial(self._write, job, writers=self.target.writers)
            outcome = self._make(job, parts, write)
            self.target.journal.mark(job, outcome.skipped)
        return outcome

    def _check_wanted(self, job: int) -> None:
        if self.run in stopped:
            raise Stopped(f"job {job} is not wanted any more: its run has failed or was ended")

    def _make(
        self,
        job: int,
        parts: Callable[..., Iterator[Array]],
        write: Callable[[Iterator[Array]], int],
    ) -> Outcome:
        """Make a box, and write it with a function that says how many bytes it took.

        Where something cannot be read, it is made once more, block by block: that tells where it
        is, and, where images may be left out, they are left out there and nowhere else.
        """
        reading = Reading(retries=self.retries, names_errors=True)
        skipped: list[str] = []
        make, once_more = parts, self._has_several_blocks(job)
        while True:
            try:
                with reading_as(reading):
                    written = write(make())
                return Outcome(job, reading.bytes, written, skipped)
            except ChunkReadError as error:
                if once_more:
                    make, once_more = partial(self._by_block, job, parts), False
                    continue
                if self.on_error != "skip" or not self._may_lack(error):
                    raise
                if not reading.leave_out(error):
                    raise
                skipped.append(error.where)

    def _may_lack(self, error: ChunkReadError) -> bool:
        """Whether what cannot be read may be left out at all."""
        return True

    def _has_several_blocks(self, job: int) -> bool:
        return any(len(list(self.plan.cells(v, w))) > 1 for v, w in self.plan.windows(job))

    def _by_block(self, job: int, parts: Callable[..., Iterator[Array]]) -> Iterator[Array]:
        """Give the parts of a job, put together from blocks that are made one by one."""
        found = [(v, w, list(self.plan.cells(v, w))) for v, w in self.plan.windows(job)]
        given = parts([(v.key, cell) for v, _, cells in found for cell in cells])
        for variable, window, cells in found:
            whole: Array = np.empty([stop - start for start, stop in window], variable.dtype)
            for cell in cells:
                at = inside_of(tuple(slice(*span) for span in cell), window)
                whole[at] = accept_window(variable, cell, next(given))
            yield whole

    def _write(self, job: int, parts: Iterator[Array], writers: dict[Hashable, WritePiece]) -> int:
        written = 0
        windows = self.plan.windows(job)
        with background(max(w.together for w in writers.values())) as writes:
            for number, (variable, window) in enumerate(windows):
                values = held_alone(accept_window(variable, window, next(parts)))
                self._check_wanted(job)  # it may have hung for hours
                pieces = list(variable.pieces(window))
                for at, piece in enumerate(pieces):
                    part = values[inside_of(piece, window)]
                    written += part.nbytes
                    write = partial(self._put, job, writers[variable.name], piece, part)
                    if number < len(windows) - 1 or at < len(pieces) - 1:
                        writes.add(part.nbytes, write)
                    else:  # there is nothing to make beside it
                        write()
                    del part, write
                del values
        return written

    def _put(self, job: int, write: WritePiece, piece: Piece, values: Array) -> None:
        self._check_wanted(job)
        with self.target.writing():
            write(piece, values)


@contextlib.contextmanager
def explaining_full_disks(where: str) -> Iterator[None]:
    """Say what to do when the space ends, within the block."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or "mode='resume'" in str(error):
            raise
        raise OSError(
            error.errno,
            f"there is no space left where {where!r} is written. What is written so far stays: "
            "free some space and go on with mode='resume' (an update: with the same call)",
        ) from error


def held_alone(values: Array) -> Array:
    """Give values that keep no larger block in memory until they are written."""
    base = values.base  # a buffer of somebody else, perhaps
    larger = isinstance(base, np.ndarray) and base.nbytes > values.nbytes
    return values.copy() if larger else values


def inside_of(piece: tuple[slice, ...], window: Window) -> tuple[slice, ...]:
    """Say where a piece lies in a window."""
    return tuple(
        slice(s.start - low, s.stop - low) for s, (low, _) in zip(piece, window, strict=True)
    )


def accept_window(variable: Variable, window: Window, values: Any) -> Array:
    """Check a part of the mosaic, which may have come through functions of others."""
    shape = tuple(stop - start for start, stop in window)
    at = ", ".join(f"{start}:{stop}" for start, stop in window)
    return _accept(variable, f"[{at}]", shape, values)


def _accept(variable: Variable, where: str, shape: tuple[int, ...], values: Any) -> Array:
    try:
        return as_promised(values, shape, variable.dtype)
    except UnexpectedChunkError as error:
        raise UnexpectedChunkError(
            f"band {variable.name!r} of the mosaic, {where}: {error}"
        ) from None


def writers_of(
    store: Any, path: str, plan: Plan, every_chunk: bool = False
) -> dict[Hashable, WritePiece]:
    """Open the arrays that a plan writes; give what writes pieces of each.

    Parameters
    ----------
    store : zarr Store
        Where they are.
    path : str
        The group.
    plan : Plan
        Its variables.
    every_chunk : bool, default: False
        Write chunks that are all fill value too.
    """
    options = {"array.write_empty_chunks": True} if every_chunk else {}
    with zarr.config.set(options):  # what arrays go by that are opened here
        group = zarr.open_group(store, path=path, mode="r+", use_consolidated=False)
        stored = [v.name for g in plan.groups for v in g.variables if v.stored]
        return {name: writer_of(group[str(name)]) for name in stored}
