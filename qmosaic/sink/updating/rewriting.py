"""What a job does: it makes what becomes of its box of the map, and rewrites what changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qmosaic.collection.declarations import VALID_COUNT
from qmosaic.collection.masks import Array
from qmosaic.engine.continuing import MET, WON
from qmosaic.engine.reading import ChunkReadError
from qmosaic.sink.background import background
from qmosaic.sink.cutting import Variable, Window
from qmosaic.sink.encoding import Piece, WritePiece
from qmosaic.sink.writing import Outcome, Target, Writer, accept_window, held_alone, inside_of

CHANGE = "qmosaic_change"
"""The name of what becomes of each pixel, among the variables that a job makes; it comes first."""


@dataclass(frozen=True)
class Held:
    """A part of an array that is written when all is made.

    Attributes
    ----------
    variable : Variable
        The array.
    window : Window
        Which part of it.
    values : array
        Its values.
    pieces : list
        What of it changes.
    """

    variable: Variable
    window: Window
    values: Array
    pieces: list[Piece]


@dataclass(frozen=True)
class Updater(Writer):
    """What every job does: see `qmosaic.engine.graph.Work`.

    Attributes
    ----------
    mosaics : int
        How many mosaics there were: one for each period.
    by_period : bool
        Whether the first dimension is that of the periods; further ones are written whole.
    decisive : frozenset of hashable
        The variables by which images win; they are rewritten last.
    """

    mosaics: int = 1
    by_period: bool = False
    decisive: frozenset[Hashable] = frozenset()

    def __call__(self, job: int, parts: Callable[..., Iterator[Array]]) -> Outcome:
        """Make and rewrite what changes in the box of a job; where an earlier attempt has ended in
        the middle, from what was there before."""
        if isinstance(self.target, Target):
            if self.target.journal.marked(job):  # a worker was lost with the outcome
                return Outcome(job, 0, 0, [])
            self.target.journal.bring_back(job)
        return super().__call__(job, parts)

    def _may_lack(self, error: ChunkReadError) -> bool:
        """Whether it is of a new image; what is there may never be left out."""
        return min(error.positions, default=0) >= self.mosaics

    def _write(self, job: int, parts: Iterator[Array], writers: dict[Hashable, WritePiece]) -> int:
        (first, box), *rest = self.plan.windows(job)
        change = np.array(accept_window(first, box, next(parts)))
        if self.by_period:
            change[max(0, self.mosaics - box[0][0]) :] = WON
        met, won = (_Changed(first.dims, box, change >= least) for least in (MET, WON))
        held: list[Held] = []
        written = 0
        with background(max(w.together for w in writers.values())) as writes:
            for variable, window in rest:
                changed = met if variable.name == VALID_COUNT else won
                if not changed.anywhere:
                    break  # candidates are counted first: where there is none, none has won
                values = held_alone(accept_window(variable, window, next(parts)))
                self._check_wanted(job)  # it may have hung for hours
                pieces = [p for p in variable.pieces(window) if changed.touches(variable, p)]
                one = Held(variable, window, values, pieces)
                if variable.name in self.decisive:
                    held.append(one)
                    continue
                for piece, part in _parts_of(one):
                    written += part.nbytes
                    write = partial(self._put, job, writers[variable.name], piece, part)
                    writes.add(part.nbytes, write)
                    del part, write
                del values, one
        return written + self._write_last(job, held, writers)

    def _write_last(self, job: int, held: list[Held], writers: dict[Hashable, WritePiece]) -> int:
        """Write what decides, when all is made; before that, it is kept as it was."""
        written = 0
        if held and isinstance(self.target, Target):
            with self.target.writing():
                self.target.journal.keep(job, _keys(held, writers))
        for one in held:
            for piece, part in _parts_of(one):
                written += part.nbytes
                self._put(job, writers[one.variable.name], piece, part)
        return written


class _Changed:
    """Where in a box something changes."""

    def __init__(self, dims: tuple[Hashable, ...], box: Window, mask: Array) -> None:
        self._dims, self._box, self._mask = dims, box, mask
        self.anywhere = bool(mask.any())

    def touches(self, variable: Variable, piece: Piece) -> bool:
        """Whether anything changes in a piece of an array."""
        at = tuple(piece[variable.dims.index(dim)] for dim in self._dims)
        return bool(self._mask[inside_of(at, self._box)].any())


def _parts_of(held: Held) -> Iterator[tuple[Piece, Array]]:
    for piece in held.pieces:
        yield piece, held.values[inside_of(piece, held.window)]


def _keys(held: list[Held], writers: dict[Hashable, WritePiece]) -> Iterator[str]:
    """Name the files in which pieces lie."""
    for one in held:
        array: Any = writers[one.variable.name].array  # type: ignore[attr-defined]
        lengths = array.shards or array.chunks
        folder = f"{array.path}/" if array.path else ""
        for piece in one.pieces:
            spans = [
                range(part.start // n, -(-part.stop // n))
                for part, n in zip(piece, lengths, strict=True)
            ]
            for numbers in np.ndindex(*map(len, spans)):
                at = tuple(span[n] for span, n in zip(spans, numbers, strict=True))
                yield folder + array.metadata.encode_chunk_key(at)
