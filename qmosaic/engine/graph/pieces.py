"""Cuts and joins: which parts of which arrays a chunk is put together from.

What a task of dask does is told by its function: it takes an item, it concatenates, it repeats
along an axis. `dask.array._shuffle` is private; ``tests/engine/test_views.py`` would notice a
change.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    NestedContainer,
    Task,
    TaskRef,
    _identity_cast,
)
from dask.array import _shuffle, chunk
from dask.array.core import concatenate3, concatenate_shaped

from qmosaic.engine.graph.recipes import Key
from qmosaic.engine.graph.views import Along, Numbers, Pieces, View, Window

GETITEM = (operator.getitem, chunk.getitem)
SHUFFLED_ITEM = _shuffle._getitem
SHUFFLED_JOIN = _shuffle.concatenate_arrays


class NotACutError(Exception):
    """A task does something else."""


@dataclass(frozen=True)
class Box:
    """A part of a chunk: where it lies in it, and what it is of."""

    window: Window
    view: View
    alongs: tuple[Along, ...]


@dataclass(frozen=True)
class Layout:
    """What a chunk is put together from."""

    shape: tuple[int, ...]
    boxes: tuple[Box, ...]


def whole_chunk(view: View, numbers: Numbers) -> Layout:
    """Lay a chunk of a view out; of one that is made of pieces itself, these."""
    window = view.window_of(numbers)
    shape = tuple(b - a for a, b in window)
    if not isinstance(view, Pieces):
        alongs: tuple[Along, ...] = tuple((n, 1, a) for n, (a, _) in enumerate(window))
        return Layout(shape, (Box(tuple((0, s) for s in shape), view, alongs),))
    boxes = []
    for number, part in view.parts(window):
        _, i, follows = view.pieces[number]
        own = tuple((a - low, b - low) for (a, b), (low, _) in zip(part, window, strict=True))
        boxes.append(Box(own, view.inputs[i], tuple(_from(along, window) for along in follows)))
    return Layout(shape, tuple(boxes))


def _from(along: Along, window: Window) -> Along:
    axis, step, offset = along
    return along if axis is None else (axis, step, step * window[axis][0] + offset)


# -- what tasks do --------------------------------------------------------------------------------


class Layouts:
    """Lays out what tasks of cuts and joins give.

    Parameters
    ----------
    node : callable
        Gives a task by its key; None where there is none.
    leaf : callable
        Gives the view and the numbers of a chunk for a key; None for a key that is no chunk of an
        array.
    """

    def __init__(
        self,
        node: Callable[[Key], Any],
        leaf: Callable[[Key], tuple[View, Numbers] | None],
        slicing: Callable[[Any], Layout | None],
    ) -> None:
        self._node, self._leaf, self._slicing = node, leaf, slicing

    def of_key(self, key: Key) -> Layout:
        """Lay out what a key stands for."""
        found = self._leaf(key)
        if found is not None:
            return whole_chunk(*found)
        return self.of(self._node(key))

    def of(self, thing: Any) -> Layout:
        """Lay out what a task gives.

        Raises
        ------
        NotACutError
            It does something else.
        """
        if isinstance(thing, TaskRef):
            return self.of_key(thing.key)
        if isinstance(thing, Alias):
            (key,) = thing.dependencies
            return self.of_key(key)
        if not isinstance(thing, Task) or thing.kwargs:
            raise NotACutError
        func, args = thing.func, thing.args
        if func in GETITEM:
            found = self._window(*args)
            if found is not None:
                return found
            return cut(self.of(args[0]), self._value(args[1]))
        if func is concatenate3 or func is concatenate_shaped:
            parts = _as_list(args[0])
            if func is concatenate_shaped:
                parts = _nested(self._value(args[1]), parts)
            return self._joined(parts)
        if func is np.broadcast_to:
            return spread(self.of(args[0]), tuple(self._value(args[1])))
        if func is SHUFFLED_ITEM:
            return cut(self.of(args[0]), self._value(args[1])[1])
        if func is SHUFFLED_JOIN:
            axis = self._value(args[2])
            joined = join([self.of(part) for part in _as_list(args[0])], axis)
            sorter = np.argsort(self._value(args[1])[1])
            return cut(joined, (slice(None),) * axis + (sorter,))
        found = self._slicing(thing)
        if found is None:
            raise NotACutError
        return found

    def _window(self, array: Any, index: Any) -> Layout | None:
        """Lay out a window of a chunk, which most tasks cut; None for anything else."""
        leaf = self._leaf(array.key) if isinstance(array, TaskRef) else None
        if leaf is None or isinstance(leaf[0], Pieces) or type(index) is not tuple:
            return None
        view, numbers = leaf
        if len(index) != len(numbers):
            return None
        window, alongs = [], []
        for axis, (part, starts, n) in enumerate(zip(index, view.starts, numbers, strict=True)):
            if type(part) is not slice or part.step not in (None, 1):
                return None
            first = starts[n]
            low, high, _ = part.indices(starts[n + 1] - first)
            window.append((0, high - low))
            alongs.append((axis, 1, first + low))
            if high <= low:
                return None
        shape = tuple(b for _, b in window)
        return Layout(shape, (Box(tuple(window), view, tuple(alongs)),))

    def _joined(self, parts: Any, axis: int = 0) -> Layout:
        if not isinstance(parts, list):
            return self.of(parts)
        return join([self._joined(part, axis + 1) for part in parts], axis)

    def _value(self, thing: Any) -> Any:
        """Look an argument up that is no array."""
        while isinstance(thing, TaskRef | Alias | DataNode):
            if isinstance(thing, DataNode):
                thing = thing.value
                break
            key = thing.key if isinstance(thing, TaskRef) else next(iter(thing.dependencies))
            thing = self._node(key)
        if isinstance(thing, NestedContainer) or getattr(thing, "func", None) is _identity_cast:
            if thing.dependencies:
                raise NotACutError
            thing = thing({})
        if isinstance(thing, GraphNode) or thing is None:
            raise NotACutError
        return thing


def _as_list(thing: Any) -> Any:
    """Read a nested list of what is joined."""
    if isinstance(thing, NestedContainer) or getattr(thing, "func", None) is _identity_cast:
        return [_as_list(part) for part in thing.args]
    if isinstance(thing, list | tuple):
        return [_as_list(part) for part in thing]
    return thing


def _nested(shape: Sequence[int], parts: list[Any]) -> list[Any]:
    if len(shape) == 1:
        return parts
    size = len(parts) // shape[0]
    return [_nested(shape[1:], parts[n * size : (n + 1) * size]) for n in range(shape[0])]


# -- layouts --------------------------------------------------------------------------------------


def cut(layout: Layout, index: Any) -> Layout:
    """Take an item of a layout, as numpy does: slices, numbers, new axes, one list of positions."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [i for i in index if not isinstance(i, np.ndarray | list)]:
        at = next(n for n, i in enumerate(index) if i is Ellipsis)
        taken = sum(i is not None for i in index) - 1
        index = index[:at] + (slice(None),) * (len(layout.shape) - taken) + index[at + 1 :]
    axis = 0
    dropped: list[int] = []
    added: list[int] = []
    lists = 0
    for part in index:
        if part is None:
            added.append(axis - len(dropped) + len(added))
            continue
        if isinstance(part, int | np.integer):
            size = layout.shape[axis]
            layout = _along(layout, axis, [(int(part) % size, 1, 1)] if size else [])
            dropped.append(axis)
        elif isinstance(part, slice):
            if part != slice(None):
                start, stop, step = part.indices(layout.shape[axis])
                layout = _along(layout, axis, [(start, step, len(range(start, stop, step)))])
        elif isinstance(part, np.ndarray | list) and np.ndim(part) == 1:
            lists += 1
            layout = _along(layout, axis, list(_runs(np.asarray(part), layout.shape[axis])))
        else:
            raise NotACutError
        axis += 1
    if lists > 1 or (lists and dropped):
        raise NotACutError
    if dropped or added:
        layout = _with_axes(layout, dropped, added)
    return layout


def _runs(positions: np.ndarray, size: int) -> Iterator[tuple[int, int, int]]:
    """Cut a list of positions into runs: first, step, length."""
    if positions.dtype == bool:
        positions = np.flatnonzero(positions)
    positions = positions.astype(np.int64)
    positions = np.where(positions < 0, positions + size, positions)
    steps = np.diff(positions)
    first, count = 0, len(positions)
    while first < count:
        step = int(steps[first]) if first < count - 1 else 1
        # a step of 0 repeats a pixel, which is no run
        last = first if step == 0 else first + _length_of_run(steps, first, step)
        yield int(positions[first]), step or 1, last - first + 1
        first = last + 1


def _length_of_run(steps: np.ndarray, first: int, step: int) -> int:
    """Count how often a step is taken from a position on; once is no run, but for a step of 1."""
    other = np.flatnonzero(steps[first:] != step)
    length = int(other[0]) if len(other) else len(steps) - first
    return length if length > 1 or step == 1 else 0


def _along(layout: Layout, axis: int, runs: list[tuple[int, int, int]]) -> Layout:
    """Take runs of pixels along an axis: first, step, and how many."""
    boxes: list[Box] = []
    at = 0
    for start, step, length in runs:
        for box in layout.boxes:
            low, high = box.window[axis]
            # pixels t' with low <= start + step * t' < high
            if step > 0:
                a, b = -((start - low) // step), -((start - high) // step)
            else:
                a, b = (start - high) // -step + 1, (start - low) // -step + 1
            a, b = max(0, a), min(length, b)
            if a >= b:
                continue
            window = (*box.window[:axis], (at + a, at + b), *box.window[axis + 1 :])
            alongs = tuple(
                along
                if along[0] != axis
                else (axis, along[1] * step, along[1] * (start - step * at) + along[2])
                for along in box.alongs
            )
            boxes.append(Box(window, box.view, alongs))
        at += length
    shape = (*layout.shape[:axis], at, *layout.shape[axis + 1 :])
    return Layout(shape, tuple(boxes))


def _with_axes(layout: Layout, dropped: Sequence[int], added: Sequence[int]) -> Layout:
    """Leave out axes of one pixel, and put in new ones."""
    kept = [axis for axis in range(len(layout.shape)) if axis not in dropped]
    places: dict[int, int] = {}
    total = len(kept) + len(added)
    left = iter(kept)
    order: list[int | None] = [None if n in added else next(left) for n in range(total)]
    for new, old in enumerate(order):
        if old is not None:
            places[old] = new

    def window(box: Box) -> Window:
        return tuple((0, 1) if old is None else box.window[old] for old in order)

    def along(one: Along) -> Along:
        axis, step, offset = one
        if axis is None:
            return one
        return (places[axis], step, offset) if axis in places else (None, 0, offset)

    boxes = tuple(Box(window(b), b.view, tuple(along(a) for a in b.alongs)) for b in layout.boxes)
    return Layout(tuple(1 if old is None else layout.shape[old] for old in order), boxes)


def join(layouts: Sequence[Layout], axis: int) -> Layout:
    """Concatenate layouts along an axis."""
    if len(layouts) == 1:
        return layouts[0]
    boxes: list[Box] = []
    at = 0
    for layout in layouts:
        for box in layout.boxes:
            low, high = box.window[axis]
            window = (*box.window[:axis], (low + at, high + at), *box.window[axis + 1 :])
            boxes.append(Box(window, box.view, _shifted(box.alongs, axis, -at)))
        at += layout.shape[axis]
    first = layouts[0].shape
    return Layout((*first[:axis], at, *first[axis + 1 :]), tuple(boxes))


def _shifted(alongs: tuple[Along, ...], axis: int, by: int) -> tuple[Along, ...]:
    return tuple((a[0], a[1], a[2] + a[1] * by) if a[0] == axis else a for a in alongs)


def spread(layout: Layout, shape: tuple[int, ...]) -> Layout:
    """Broadcast a layout to a shape."""
    new = len(shape) - len(layout.shape)
    if new:
        layout = _with_axes(layout, [], list(range(new)))
    wide = [n for n, (a, b) in enumerate(zip(layout.shape, shape, strict=True)) if a != b]
    boxes = []
    for box in layout.boxes:
        window = tuple((0, shape[n]) if n in wide else w for n, w in enumerate(box.window))
        alongs = tuple(
            (axis, 0, offset) if axis in wide else (axis, step, offset)
            for axis, step, offset in box.alongs
        )
        boxes.append(Box(window, box.view, alongs))
    return Layout(shape, tuple(boxes))


# -- arrays ---------------------------------------------------------------------------------------


def as_pieces(
    name: Any, chunks: Any, dtype: Any, layouts: Mapping[Numbers, Layout], starts: Any
) -> View:
    """Make a view of the layouts of all chunks of an array: as few pieces as can be."""
    if not all(layout.boxes for layout in layouts.values()):
        raise NotACutError  # of no pixels
    for numbers, layout in layouts.items():
        if layout.shape != tuple(sizes[n] for sizes, n in zip(chunks, numbers, strict=True)):
            raise NotACutError  # not what the array promises: apply_gufunc names chunks so
    windows: dict[Any, list[Window]] = defaultdict(list)
    views: dict[int, View] = {}
    for numbers, layout in layouts.items():
        firsts = [s[n] for s, n in zip(starts, numbers, strict=True)]
        for box in layout.boxes:
            alongs = tuple(
                [
                    a if a[0] is None else (a[0], a[1], a[2] - a[1] * firsts[a[0]])
                    for a in box.alongs
                ]
            )
            views[id(box.view)] = box.view
            window = tuple([(a + f, b + f) for (a, b), f in zip(box.window, firsts, strict=True)])
            windows[id(box.view), alongs].append(window)
    inputs = {number: n for n, number in enumerate(views)}
    pieces = [
        (window, inputs[view], alongs)
        for (view, alongs), found in windows.items()
        for window in _merged(found)
    ]
    return Pieces(name, chunks, dtype, views.values(), pieces)


def _merged(windows: list[Window]) -> list[Window]:
    """Put windows together that lie side by side."""
    for axis in range(len(windows[0]) - 1, -1, -1):
        windows = sorted(windows, key=lambda w: (*w[:axis], *w[axis + 1 :], w[axis]))
        found: list[Window] = []
        for window in windows:
            last = found[-1] if found else None
            if (
                last is not None
                and last[axis][1] == window[axis][0]
                and last[:axis] == window[:axis]
                and last[axis + 1 :] == window[axis + 1 :]
            ):
                found[-1] = (*last[:axis], (last[axis][0], window[axis][1]), *last[axis + 1 :])
            else:
                found.append(window)
        windows = found
    return windows
