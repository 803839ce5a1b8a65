"""Making a sequence of chunks, inside a task: through a view, or by running the tasks behind them.

How much is asked for ahead is settled before anything is read, by the bytes of a chunk and the kind
of the source, so that a task holds the same on a busy machine as on an idle one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from dask._task_spec import GraphNode

from qmosaic.collection.masks import Array
from qmosaic.engine.graph import walking
from qmosaic.engine.graph.lanes import AtOnce, InThreads, Lane, Opened, Pending, as_asked, is_window
from qmosaic.engine.graph.lowering import Step, View, view_of
from qmosaic.engine.graph.recipes import Key, Recipes, layer_of
from qmosaic.engine.graph.walking import (
    MOST_IN_FLIGHT,
    READ_TOGETHER,
    WINDOW,
    Count,
    Walk,
    last_users,
    no_count,
)
from qmosaic.engine.threads import Threads


class ViewWalk:
    """Makes a sequence of chunks through a view; see `Walk`.

    Parameters
    ----------
    view : View
        The array.
    recipes : Recipes
        What it was made of, for values that tasks make.
    targets : sequence of key
        The chunks.
    varying : frozenset of int
        The axes along which their numbers differ.
    """

    def __init__(
        self, view: View, recipes: Recipes, targets: Sequence[Key], varying: frozenset[int]
    ) -> None:
        self.targets = targets
        self._view, self._recipes = view, recipes
        self._plan = view.plan(varying)
        self._reads = [n for n in self._plan.each if view.steps[n].reads]
        self._lanes: dict[int, Lane] = {}
        self._asked: dict[int, dict[int, Pending]] = {}
        self._once: dict[int, Any] = {}
        self.pool: Threads | None = None

    def may_wait(self) -> bool:
        """See `Walk.may_wait`."""
        return any(self._view.waits(n) for n in self._reads)

    def at_a_time(self, size: int, most: int) -> int:
        """Say for how many chunks there may be something read.

        Parameters
        ----------
        size : int
            The bytes of a chunk.
        most : int
            For how many, where the source may keep waiting.
        """
        if self.may_wait():
            return most
        if any(isinstance(self._view.opened(n), Opened) for n in self._reads):
            return max(2, min(MOST_IN_FLIGHT, READ_TOGETHER // max(1, self._bytes_read())))
        return max(1, min(WINDOW, READ_TOGETHER // size))

    def _bytes_read(self) -> int:
        """Give the bytes that are read for a chunk, as they are stored."""
        block, total = _block_of(self.targets[0]), 0
        for number in self._reads:
            opened = self._view.opened(number)
            if isinstance(opened, Opened):
                index = self._index(self._view.steps[number], block)
                pixels = np.prod([s.stop - s.start for s in index], dtype=np.int64)
                total += int(pixels) * opened.itemsize
        return total

    def ask(self, number: int) -> None:
        """Ask for all that is read for a chunk."""
        if number not in self._asked:
            block = _block_of(self.targets[number])
            self._asked[number] = {n: self._ask(n, block) for n in self._reads}

    def _ask(self, number: int, block: tuple[int, ...]) -> Pending:
        step = self._view.steps[number]
        index = step.arguments(block) if step.slicing is None else self._index(step, block)
        return self._lane(number, index).ask(index)

    def _index(self, step: Step, block: tuple[int, ...]) -> Any:
        assert step.slicing is not None
        return step.slicing[1].at(block)

    def _lane(self, number: int, index: Any) -> Lane:
        if number not in self._lanes:
            step, opened = self._view.steps[number], self._view.opened(number)
            read = step.task if step.slicing is None else step.slice
            if isinstance(opened, Opened) and is_window(index):
                self._lanes[number] = opened
            elif self.pool is not None and self._view.waits(number):
                self._lanes[number] = InThreads(read, self.pool)
            else:
                self._lanes[number] = AtOnce(read, is_window(index))
        return self._lanes[number]

    def make(self, number: int, count: Count = no_count) -> Any:
        """See `Walk.make`."""
        self.ask(number)
        asked = self._asked.pop(number)
        block = _block_of(self.targets[number])
        for n in self._plan.once:
            if n not in self._once:
                self._once[n] = self._make_once(n, block, count)
        values: dict[int, Any] = dict(self._once)
        for n in self._plan.each:
            values[n] = self._do(n, block, values, asked, count)
            for used in self._plan.dropped[n]:
                del values[used]
        return values[self._plan.each[-1]]

    def _make_once(self, number: int, block: tuple[int, ...], count: Count) -> Any:
        """Make what all chunks use; what is behind it is not kept."""
        order = self._view.behind(number)
        dropped = self._view.dropped(order)
        values: dict[int, Any] = {}
        for n in order:
            asked = {n: self._ask(n, block)} if self._view.steps[n].reads else {}
            values[n] = self._do(n, block, values, asked, count)
            for used in dropped[n]:
                del values[used]
        return values[number]

    def _do(
        self,
        number: int,
        block: tuple[int, ...],
        values: Mapping[int, Any],
        asked: dict[int, Pending],
        count: Count,
    ) -> Any:
        step = self._view.steps[number]
        return do_step(step, block, values, self._recipes, count, asked.pop(number, None))

    def drop(self, number: int) -> None:
        """See `Walk.drop`."""


def do_step(
    step: Step,
    block: tuple[int, ...],
    values: Mapping[int, Any],
    recipes: Recipes,
    count: Count,
    asked: Pending | None = None,
) -> Any:
    """Do a step of a view.

    Parameters
    ----------
    step : Step
        What is to be done.
    block : tuple of int
        For which block of the view.
    values : dict
        What earlier steps gave, by their numbers.
    recipes : Recipes
        What makes the values that tasks make.
    count : callable
        Is called with what was brought in.
    asked : Pending, optional
        What was asked for ahead.
    """
    if step.task is None:
        return Walk(recipes, {}, [step.key(block)]).make(0, count)
    if asked is not None:
        made = asked.result()
    else:
        given = step.arguments(block)
        given.update((token, values[n]) for token, n in step.inputs)
        made = step.task(given)
    if step.slicing is not None:
        source, index = step.slicing
        made = as_asked(made, index.at(block), getattr(source, "dtype", None))
    if step.brings_in:
        count(made)
    return made


def _block_of(key: Any) -> tuple[int, ...]:
    block: tuple[int, ...] = key[1:]
    return block


class ManyViews:
    """Makes chunks of several arrays through their views, one after the other; see `Walk`.

    What several of them use directly is made once, and kept until the last of them has been made:
    a decision, for the bands that are taken by it.

    Parameters
    ----------
    views : dict of str to View
        The arrays by name.
    recipes : Recipes
        What they were made of.
    targets : sequence of key
        The chunks.
    """

    def __init__(self, views: Mapping[Any, View], recipes: Recipes, targets: Sequence[Key]) -> None:
        self._views, self._recipes, self._targets = views, recipes, targets
        self._kept: dict[Key, Any] = {}
        inputs: dict[Key, list[Key]] = {}
        for number in range(len(targets)):
            view, block = self._view(number)
            keys = [step.key(block) for step in view.steps]
            for step, key in zip(view.steps, keys, strict=True):
                inputs[key] = [keys[n] for _, n in step.inputs]
        self._last = last_users(targets, inputs)

    def _view(self, number: int) -> tuple[View, tuple[int, ...]]:
        target = self._targets[number]
        return self._views[layer_of(target)], _block_of(target)

    def make(self, number: int, count: Count = no_count) -> Any:
        """See `Walk.make`."""
        view, block = self._view(number)
        last = len(view.steps) - 1
        keys = [step.key(block) for step in view.steps]
        order = self._needed(view, keys)
        dropped = view.dropped(order)
        values: dict[int, Any] = {}
        for n in order:
            if keys[n] in self._kept:
                values[n] = self._kept[keys[n]]
            else:
                asked = _asked_of(view, n, block)
                values[n] = do_step(view.steps[n], block, values, self._recipes, count, asked)
                if keys[n] in self._last:
                    self._kept[keys[n]] = values[n]
            for used in dropped[n]:
                del values[used]
        return values[last]

    def _needed(self, view: View, keys: Sequence[Key]) -> list[int]:
        """Number the steps that are still to be done, and those whose values are kept."""
        last = len(view.steps) - 1
        found, todo = {last}, [last]
        while todo:
            number = todo.pop()
            if keys[number] not in self._kept:
                new = {n for _, n in view.steps[number].inputs} - found
                found |= new
                todo += new
        return sorted(found)

    def drop(self, number: int) -> None:
        """See `Walk.drop`."""
        for key in [key for key in self._kept if self._last[key] <= number]:
            del self._kept[key]


def _asked_of(view: View, number: int, block: tuple[int, ...]) -> Pending | None:
    """Ask for what a step slices, where tensorstore reads it."""
    slicing = view.steps[number].slicing
    opened = None if slicing is None else view.opened(number)
    if slicing is None or not isinstance(opened, Opened):
        return None
    index = slicing[1].at(block)
    return opened.ask(index) if is_window(index) else None


def walk_over(
    recipes: Recipes,
    extra: Mapping[Key, GraphNode],
    name: Any,
    targets: Sequence[Key],
    varying: frozenset[int],
) -> Walk | ViewWalk:
    """Prepare to make some chunks of an array.

    Parameters
    ----------
    recipes : Recipes
        What makes them.
    extra : mapping
        The tasks that stand behind these chunks alone.
    name : str
        The layer of the chunks.
    targets : sequence of key
        The chunks.
    varying : frozenset of int
        The axes along which their numbers differ.
    """
    view = None if extra else view_of(recipes, name)
    if view is None:
        return Walk(recipes, extra, targets)
    return ViewWalk(view, recipes, targets, varying)


def walk_over_many(
    recipes: Recipes, extra: Mapping[Key, GraphNode], targets: Sequence[Key], window: int
) -> Walk | ManyViews:
    """Prepare to make some chunks of several arrays; `window` is for how many at a time tasks are
    written out, where that has to be."""
    views = {name: None if extra else view_of(recipes, name) for name in map(layer_of, targets)}
    known = {name: view for name, view in views.items() if view is not None}
    if len(known) < len(views):
        return Walk(recipes, extra, targets, window)
    return ManyViews(known, recipes, targets)


def in_turn(
    walk: Walk | ViewWalk, make: Callable[[int], Array], size: int, most: int, count: Count
) -> Iterator[Array]:
    """Give one chunk of a walk after the other, and read ahead for the next ones.

    Parameters
    ----------
    walk : Walk or ViewWalk
        What makes the chunks.
    make : callable
        Makes the one with a number.
    size : int
        The bytes of a chunk.
    most : int
        For how many chunks there may be something read, where the source may keep waiting.
    count : callable
        Is called with everything that is read ahead.
    """
    if isinstance(walk, Walk):
        yield from walking.in_turn(walk, make, size, most, count)
        return
    chunks = len(walk.targets)
    at_a_time = walk.at_a_time(size, most) if chunks > 1 else 1
    if chunks > 1 and walk.may_wait():
        walk.pool = Threads(most, "qmosaic-read")
    asked = 0
    try:
        for number in range(chunks):
            while asked < min(number + at_a_time, chunks):
                walk.ask(asked)
                asked += 1
            array = make(number)
            yield array
            del array
    finally:
        if walk.pool is not None:  # one that hangs would hold up an interruption
            walk.pool.shutdown(wait=False, cancel_futures=True)
