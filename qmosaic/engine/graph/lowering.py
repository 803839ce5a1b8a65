"""Symbolic layers, lowered once: what they do for a block is the same for the next but for its
numbers.

A `View` is an array as a short list of steps: sources that are sliced, and functions of what came
before. It does not grow with images or blocks, and making a chunk by it writes no tasks.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from dask._task_spec import Alias, DataNode, GraphNode, TaskRef
from dask.array.core import getter, getter_inline, getter_nofancy
from dask.blockwise import Blockwise, blockwise_token

from qmosaic.engine.graph import lanes
from qmosaic.engine.graph.answering import answers_at_once
from qmosaic.engine.graph.lanes import Opened, is_window, open_fast, open_stored
from qmosaic.engine.graph.recipes import Key, Recipes
from qmosaic.engine.graph.stored import find_stored

GETTERS = (getter, getter_nofancy, getter_inline)
"""What dask slices sources with."""

Follows = tuple[int | None, ...]
"""For each dimension of an array, the axis of the view whose block numbers it follows; None for a
dimension of one block."""

Block = tuple[int, ...]


class ReadsItself:
    """What stands in a graph and reads, inside the task that uses it."""

    def may_wait(self) -> bool:
        """Whether what it reads may take its time: not to compute, but to come."""
        raise NotImplementedError


@dataclass(frozen=True)
class Numbered:
    """An argument that differs from block to block: a slice, the number of a block."""

    token: str
    values: Any
    follows: Follows

    def at(self, block: Block) -> Any:
        """Give it for a block of the view."""
        place = place_of(self.follows, block)
        return self.values.get(place, place)


@dataclass(frozen=True)
class Step:
    """What one layer does.

    Attributes
    ----------
    name : hashable
        The layer, or the key of the chunk that tasks make.
    follows : tuple
        How the numbers of its blocks follow those of the view.
    task : Task, optional
        What it does with its arguments, which are named by tokens. None for a chunk that is made
        by tasks which are written out.
    fixed : dict
        The arguments that are the same for all blocks.
    numbered : tuple of Numbered
        Those that differ from block to block.
    inputs : tuple of (str, int)
        Those that earlier steps give: token, and number of the step.
    alone : bool
        Whether it rests on nothing else in the graph.
    """

    name: Any
    follows: Follows
    task: Any = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    numbered: tuple[Numbered, ...] = ()
    inputs: tuple[tuple[str, int], ...] = ()
    alone: bool = False

    def key(self, block: Block) -> Key:
        """Name the chunk that it makes for a block of the view."""
        return self.name if self.task is None else (self.name, *place_of(self.follows, block))

    def arguments(self, block: Block) -> dict[str, Any]:
        """Give its arguments for a block of the view, but for what earlier steps give."""
        given = dict(self.fixed)
        for argument in self.numbered:
            given[argument.token] = argument.at(block)
        return given

    @cached_property
    def brings_in(self) -> bool:
        """Whether it brings data in: it slices a source, or rests on nothing."""
        return self.task is not None and (self.task.func in GETTERS or self.alone)

    @cached_property
    def reads(self) -> bool:
        """Whether it reads, or makes something that reads itself do so, and needs no other step for
        that."""
        inside = any(isinstance(value, ReadsItself) for value in self.fixed.values())
        return not self.inputs and (self.brings_in or inside)

    @cached_property
    def slicing(self) -> tuple[Any, Numbered] | None:
        """Give the source that it slices and the slices; None where it does something else."""
        if self.task is None or self.task.func not in GETTERS or len(self.task.args) < 2:
            return None
        source, index = (getattr(argument, "key", None) for argument in self.task.args[:2])
        found = [argument for argument in self.numbered if argument.token == index]
        if source is None or source not in self.fixed or not found:
            return None
        return self.fixed[source], found[0]

    def slice(self, index: Any) -> Any:
        """Cut a window out of the source, as the task does."""
        assert self.slicing is not None
        return self.task({**self.fixed, self.slicing[1].token: index})


def place_of(follows: Follows, block: Block) -> Block:
    """Number the block of an array that belongs to a block of the view."""
    return tuple(0 if axis is None else block[axis] for axis in follows)


@dataclass(frozen=True)
class Plan:
    """Which steps of a view are done for every chunk of a sequence.

    Attributes
    ----------
    each : tuple of int
        The steps that are done for every chunk, in order.
    once : tuple of int
        Those whose values are the same for all chunks, and that the others use.
    dropped : dict of int to tuple of int
        After which of the steps which values are used no more.
    """

    each: tuple[int, ...]
    once: tuple[int, ...]
    dropped: dict[int, tuple[int, ...]]


class View:
    """An array as a list of steps, each after those that it uses; the last one gives the array."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self._plans: dict[frozenset[int], Plan] = {}
        self._opened: dict[int, Opened | str] = {}
        self._waits: dict[int, bool] = {}
        self._lock = threading.Lock()

    def plan(self, varying: frozenset[int]) -> Plan:
        """Say what is done for every chunk, where chunks differ in their numbers along some axes
        alone."""
        if varying not in self._plans:
            last = len(self.steps) - 1
            same = {
                n for n, step in enumerate(self.steps) if varying and not varying & {*step.follows}
            }
            each = [n for n in self.behind(last) if n not in same]
            used = {i for n in each for _, i in self.steps[n].inputs}
            self._plans[varying] = Plan(tuple(each), tuple(sorted(used & same)), self.dropped(each))
        return self._plans[varying]

    def behind(self, number: int) -> list[int]:
        """Number the steps that a step rests on and itself, in order."""
        found, todo = {number}, [number]
        while todo:
            new = {i for _, i in self.steps[todo.pop()].inputs} - found
            found |= new
            todo += new
        return sorted(found)

    def dropped(self, numbers: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Say after which of some steps which values of theirs are used no more."""
        last = {i: n for n in numbers for _, i in self.steps[n].inputs}
        found: dict[int, list[int]] = {n: [] for n in numbers}
        for number in found.keys() & last.keys():
            found[last[number]].append(number)
        return {n: tuple(values) for n, values in found.items()}

    def opened(self, number: int) -> Opened | str:
        """Open the source of a step with tensorstore, once; or say why it is sliced."""
        with self._lock:
            if number not in self._opened or lanes.forked:
                slicing = self.steps[number].slicing
                self._opened[number] = MADE if slicing is None else open_fast(slicing[0])
            return self._opened[number]

    def waits(self, number: int) -> bool:
        """Whether what a step reads may take its time: not to compute, but to come."""
        if number not in self._waits:
            self._waits[number] = self._may_wait(number)
        return self._waits[number]

    def _may_wait(self, number: int) -> bool:
        step = self.steps[number]
        if step.slicing is not None:
            return isinstance(self.opened(number), str) and not answers_at_once(step.slicing[0])
        inside = [v for v in step.fixed.values() if isinstance(v, ReadsItself)]
        return step.brings_in or any(value.may_wait() for value in inside)


MADE = "a function makes its chunks"
"""Why nothing is sliced."""


# -- what is opened, for sources one by one ---------------------------------------------------

_opened: WeakKeyDictionary[Recipes, dict[Any, Opened | str]] = WeakKeyDictionary()


def opened_by(recipes: Recipes, source: Any) -> Opened | str:
    """Open the array behind a source that tasks name with tensorstore, or say why it is sliced.

    What is opened lives as long as the recipes.
    """
    stored = find_stored(source)
    if isinstance(stored, str):
        return stored
    place = str(stored.array.store_path)
    with _lock:
        opened = _opened.setdefault(recipes, {})
        if place not in opened or lanes.forked:
            opened[place] = open_stored(stored)
        found = opened[place]
    return found if isinstance(found, str) else replace(found, stored=stored)


def fast_lane(recipes: Recipes, source: Any, index: Any) -> Opened | None:
    """Give the lane through tensorstore for a window of a source that tasks name, if there is
    one."""
    opened = opened_by(recipes, source) if is_window(index) else None
    return opened if isinstance(opened, Opened) else None


# -- lowering -------------------------------------------------------------------------------------

_views: WeakKeyDictionary[Recipes, dict[Any, View | None]] = WeakKeyDictionary()
_lock = threading.Lock()


def view_of(recipes: Recipes, name: Any) -> View | None:
    """Give an array as a view, made once in a process; None where its tasks are written out."""
    with _lock:
        views = _views.setdefault(recipes, {})
        if name not in views:
            steps = _lower(recipes, name)
            views[name] = None if steps is None else View(steps)
        return views[name]


def _lower(recipes: Recipes, name: Any) -> list[Step] | None:
    """Follow the layers behind an array down to its sources."""
    if name not in recipes.symbolic:
        return None
    steps: list[Step] = []
    numbers: dict[tuple[Any, Follows], int] = {}
    whole: Follows = tuple(range(len(recipes.symbolic[name].output_indices)))
    todo: list[tuple[Any, Follows, bool]] = [(name, whole, False)]
    while todo:
        layer, follows, ready = todo.pop()
        if (layer, follows) in numbers:
            continue
        arguments = _Arguments(recipes, layer, follows)
        if not arguments.sort():
            return None
        if ready or not arguments.inputs:
            numbers[layer, follows] = len(steps)
            steps.append(arguments.step(numbers))
        else:
            todo.append((layer, follows, True))
            todo += [(source, at, False) for _, source, at in arguments.inputs]
    return steps


class _Arguments:
    """The arguments of a layer's task, sorted by where they come from."""

    def __init__(self, recipes: Recipes, name: Any, follows: Follows) -> None:
        self._recipes, self._name, self._follows = recipes, name, follows
        self._layer: Blockwise | None = recipes.symbolic.get(name)
        self.inputs: list[tuple[str, Any, Follows]] = []
        self._fixed: dict[str, Any] = {}
        self._numbered: list[Numbered] = []
        self._alone = True

    def sort(self) -> bool:
        """Sort them; False where a chunk rests on tasks that are written out for it alone."""
        if self._layer is None:
            return True
        for number, (source, letters) in enumerate(self._layer.indices):
            token = blockwise_token(number)
            if token in self._layer.task.dependencies and not self._sort_one(
                token, source, letters
            ):
                return False
        return True

    def _sort_one(self, token: str, source: Any, letters: Any) -> bool:
        assert self._layer is not None
        if letters is None:
            return self._sort_fixed(token, source)
        axis_of = dict(zip(self._layer.output_indices, self._follows, strict=True))
        if any(letter not in axis_of for letter in letters):
            return False  # a contraction: one block rests on many
        blocks = self._layer.numblocks[source]
        follows = tuple(
            None if count == 1 else axis_of[letter]
            for letter, count in zip(letters, blocks, strict=True)
        )
        if source in self._layer.io_deps:
            values = self._layer.io_deps[source]
            self._numbered.append(Numbered(token, values, follows))
            # of such arguments some are tasks, or name tasks
            return not any(getattr(values, a, False) for a in ("produces_tasks", "produces_keys"))
        self._alone = False
        if source in self._recipes.symbolic:
            self.inputs.append((token, source, follows))
            return True
        self.inputs.append((token, (source, *(0 for _ in follows)), ()))
        return all(axis is None for axis in follows)

    def _sort_fixed(self, token: str, source: Any) -> bool:
        if isinstance(source, TaskRef | Alias):
            (key,) = [source.key] if isinstance(source, TaskRef) else source.dependencies
            self._alone = False
            node = self._recipes.tasks.get(key)
            if isinstance(node, DataNode):
                self._fixed[token] = node.value
            else:
                self.inputs.append((token, key, ()))
            return True
        if isinstance(source, DataNode):
            source = source.value
        self._fixed[token] = source
        return not isinstance(source, GraphNode)

    def step(self, numbers: Mapping[tuple[Any, Follows], int]) -> Step:
        """Make the step; what it rests on has been made."""
        if self._layer is None:
            return Step(self._name, self._follows)
        return Step(
            self._name,
            self._follows,
            self._layer.task,
            self._fixed,
            tuple(self._numbered),
            tuple((token, numbers[source, at]) for token, source, at in self.inputs),
            self._alone,
        )
