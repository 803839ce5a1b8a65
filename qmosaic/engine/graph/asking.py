"""Making values of views, one after the other: what they rest on is shared, and read ahead.

How much is asked for ahead is settled before anything is read, by the bytes of a chunk and the kind
of the source, so that a task holds the same on a busy machine as on an idle one.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qmosaic.engine.graph.lanes import (
    AtOnce,
    InThreads,
    Lane,
    Opened,
    Pending,
    as_asked,
    is_window,
)
from qmosaic.engine.graph.views import Chunk, Place, Sliced, View, inside
from qmosaic.engine.threads import Threads

READ_TOGETHER = 4 * 2**20
"""Bytes that a task may ask for at once: to a Zarr library a request costs more than a chunk."""

WINDOW = 128
"""The most images that a task asks for at once."""

MOST_IN_FLIGHT = 16
"""The most chunks that a task reads at the same time from a source that may keep waiting."""

READS_A_TARGET = 4
"""So many reads of a target may be asked for together with those of the next ones."""

Count = Callable[[Any], None]
"""What is called with everything that is read."""


def no_count(values: Any) -> None:
    pass


def in_flight(chunk_bytes: int) -> int:
    """Say how many chunks are read at the same time from a source that may keep waiting."""
    return max(2, min(MOST_IN_FLIGHT, 2 * READ_TOGETHER // chunk_bytes))


Target = tuple[View, Place]


class _Value:
    """What a view gives at a place, for all that use it."""

    __slots__ = (
        "asked",
        "inputs",
        "joins",
        "key",
        "made",
        "place",
        "planned",
        "reads",
        "users",
        "value",
        "view",
    )

    def __init__(self, view: View, place: Place, key: Any) -> None:
        self.view, self.place, self.key = view, place, key
        self.inputs: list[_Value] = []
        self.users = 0
        self.planned = self.made = False
        self.reads = view.reads and (isinstance(place, Chunk) or isinstance(view, Sliced))
        self.joins = False
        self.value: Any = None
        self.asked: Pending | None = None


class Asking:
    """Makes a sequence of targets, each a view at a place.

    What several targets that follow each other rest on is made once, and dropped after its last
    user. Reads are asked for ahead, in the order in which they will be used.

    Parameters
    ----------
    targets : sequence of (View, Place)
        What is to be made, in this order.
    together : int, default: 1
        For how many targets it is known beforehand what they rest on, so that what they share is
        kept.
    """

    def __init__(self, targets: Sequence[Target], together: int = 1) -> None:
        self.targets = targets
        self._together = together
        self._planned = 0
        self._live: dict[Any, _Value] = {}
        self._orders: dict[int, list[_Value]] = {}
        self._queue: deque[_Value] = deque()
        self._outstanding = 0
        self._most = 0
        self._targets_ahead = 0
        self._lanes: dict[int, Lane] = {}
        self.pool: Threads | None = None

    # -- what targets rest on -----------------------------------------------------------------

    def _plan(self, upto: int) -> None:
        """Find out what targets rest on, up to the one with a number."""
        while self._planned <= min(upto, len(self.targets) - 1):
            number = self._planned
            self._orders[number] = self._order(self.targets[number])
            self._planned += 1

    def _order(self, target: Target) -> list[_Value]:
        """List the values that a target needs and that no earlier one does, each after its
        inputs."""
        order: list[_Value] = []
        root = self._value(*target)
        root.users += 1
        stack: list[tuple[_Value, bool]] = [(root, False)]
        while stack:
            value, ready = stack.pop()
            if ready:
                order.append(value)
                continue
            if value.planned:
                continue
            value.planned = True
            stack.append((value, True))
            for view, place in value.view.needs(value.place):
                other = self._value(view, place)
                other.users += 1
                value.inputs.append(other)
            stack.extend((other, False) for other in reversed(value.inputs))
        order = self._by_chunk(order)
        self._queue.extend(value for value in order if value.reads)
        return order

    def _by_chunk(self, order: list[_Value]) -> list[_Value]:
        """Where several windows of a source touch the same chunk of it, read that once."""
        windows: dict[int, list[_Value]] = defaultdict(list)
        for value in order:
            if value.reads and isinstance(value.view, Sliced):
                windows[id(value.view)].append(value)
        for group in (g for g in windows.values() if len(g) > 1):
            self._share_chunks(group)
        found: dict[int, _Value] = {}
        for value in order:  # a chunk comes before the first window that is cut out of it
            for one in (*(value.inputs if value.joins else ()), value):
                found.setdefault(id(one), one)
        return [value for value in found.values() if not value.made]

    def _share_chunks(self, group: list[_Value]) -> None:
        """Have windows of one source cut out of its chunks, if they have any in common."""
        view: Any = group[0].view
        chunks = [view.cells(view.at(value.place)) for value in group]
        if len(set(itertools.chain.from_iterable(chunks))) == sum(map(len, chunks)):
            return
        for value, touched in zip(group, chunks, strict=True):
            if touched == [value.place]:
                continue
            value.reads, value.joins = False, True
            for chunk in touched:
                other = self._value(view, chunk)
                other.users += 1
                other.planned = True
                value.inputs.append(other)

    def _value(self, view: View, place: Place) -> _Value:
        key = (id(view), place)
        found = self._live.get(key)
        if found is None:
            found = self._live[key] = _Value(view, place, key)
        return found

    # -- reading ahead ------------------------------------------------------------------------

    def may_wait(self) -> bool:
        """Whether what is read may take its time: not to compute, but to come."""
        self._plan(0)
        return any(v.view.waits() for v in self._queue)  # type: ignore[attr-defined]

    def read_ahead(self, size: int, most: int) -> None:
        """Settle how much is asked for ahead.

        Parameters
        ----------
        size : int
            The bytes of a target.
        most : int
            For how many targets, where a source may keep waiting.
        """
        reads = self._reads_of_first()
        if not reads:
            return
        if self.may_wait():
            ahead = most
            self.pool = Threads(most, "qmosaic-read")
        elif any(isinstance(v.view.opened(), Opened) for v in reads):  # type: ignore[attr-defined]
            total = sum(map(_bytes_of, reads))
            ahead = max(2, min(MOST_IN_FLIGHT, READ_TOGETHER // max(1, total)))
        else:
            ahead = max(1, min(WINDOW, READ_TOGETHER // size))
        self._targets_ahead = ahead
        self._most = ahead * len(reads)
        if len(reads) > READS_A_TARGET:  # a sum over many chunks: they are not held together
            largest = max(1, *map(_bytes_of, reads))
            most = min(most, MOST_IN_FLIGHT) if largest == 1 else MOST_IN_FLIGHT
            self._most = max(2, min(most, READ_TOGETHER // largest))

    def _reads_of_first(self) -> list[_Value]:
        """Give what is read for each target, and not for several of them."""
        self._plan(1)
        if len(self.targets) < 2:
            return [self._queue[-1]] if len(self._queue) > 1 else []
        return list(self._queue)[-max(1, self._reads_in(1)) :] if self._reads_in(1) else []

    def _reads_in(self, number: int) -> int:
        return sum(v.reads for v in self._orders.get(number, ()))

    def _pump(self, number: int) -> None:
        """Ask for what comes next."""
        self._plan(number + max(1, self._targets_ahead) - 1)
        while self._queue and self._outstanding < self._most:
            value = self._queue.popleft()
            if not value.made and value.asked is None:
                self._ask(value)

    def _ask(self, value: _Value) -> Pending:
        view: Any = value.view
        index = view.index(value.place)
        if id(view) not in self._lanes:
            self._lanes[id(view)] = self._lane(view, index)
        value.asked = self._lanes[id(view)].ask(index)
        self._outstanding += 1
        return value.asked

    def _lane(self, view: Any, index: Any) -> Lane:
        opened = view.opened()
        if isinstance(opened, Opened) and is_window(index):
            return opened
        if self.pool is not None and view.waits():
            return InThreads(view.read, self.pool)
        return AtOnce(view.read, is_window(index))

    # -- making -------------------------------------------------------------------------------

    def make(self, number: int, count: Count = no_count) -> Any:
        """Make the target with a number; where that fails, it can be asked for again."""
        self._plan(number + self._together)
        if self._most:
            self._pump(number)
        root = self._live[self._key(number)]
        for value in self._orders[number]:
            if not value.made:
                self._make(value, count)
                if self._most and value.reads:
                    self._pump(number)
        made = root.value
        self._release(root)
        del self._orders[number]
        return made

    def _key(self, number: int) -> Any:
        view, place = self.targets[number]
        return (id(view), place)

    def _make(self, value: _Value, count: Count) -> None:
        if value.reads:
            value.value = self._fetch(value, count)
        else:
            given = [other.value for other in value.inputs]
            made = _joined(value, given) if value.joins else value.view.make(value.place, given)
            value.value = made
            del made
            del given
        value.made = True
        for other in value.inputs:
            self._release(other)

    def _fetch(self, value: _Value, count: Count) -> Any:
        pending = value.asked or self._ask(value)
        value.asked = None
        self._outstanding -= 1
        made = pending.result()
        if isinstance(value.view, Sliced):
            made = as_asked(
                made, value.view.index(value.place), getattr(value.view.source, "dtype", None)
            )
        count(made)
        return made

    def _release(self, value: _Value) -> None:
        value.users -= 1
        if value.users <= 0:
            value.value = None
            self._live.pop(value.key, None)

    def close(self) -> None:
        """Let go of threads; one that hangs would hold up an interruption."""
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)


def _joined(value: _Value, chunks: list[Any]) -> Any:
    """Cut a window out of the chunks that it touches."""
    window = value.view.at(value.place)
    parts = []
    for other in value.inputs:
        cell = other.view.at(other.place)
        common = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(window, cell, strict=True)]
        parts.append((cell, common))
    if len(parts) == 1:
        cell, common = parts[0]
        return chunks[0][inside(common, cell)]
    out = np.empty([b - a for a, b in window], chunks[0].dtype)
    for (cell, common), chunk in zip(parts, chunks, strict=True):
        out[inside(common, window)] = chunk[inside(common, cell)]
    return out


def _bytes_of(value: _Value) -> int:
    """Give the bytes that are read, as they are stored."""
    opened = value.view.opened()  # type: ignore[attr-defined]
    if not isinstance(opened, Opened):
        return 0
    index = value.view.index(value.place)  # type: ignore[attr-defined]
    return opened.itemsize * math.prod(int(s.stop - s.start) for s in index)
