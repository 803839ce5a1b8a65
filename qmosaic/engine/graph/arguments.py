"""The arguments of a symbolic layer: what is the same for all its chunks, what differs by their
numbers, and what others make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dask._task_spec import Alias, DataNode, GraphNode, TaskRef
from dask.array.core import getter, getter_inline, getter_nofancy
from dask.blockwise import Blockwise, blockwise_token

from qmosaic.engine.graph.recipes import Key, Recipes
from qmosaic.engine.graph.views import Follows, Numbers

GETTERS = (getter, getter_nofancy, getter_inline)
"""What dask slices sources with."""


@dataclass(frozen=True)
class Numbered:
    """An argument that differs from chunk to chunk: a slice, the number of a chunk."""

    token: str
    values: Any
    follows: Follows

    def at(self, numbers: Numbers) -> Any:
        """Give it for a chunk."""
        place = tuple(0 if axis is None else numbers[axis] for axis in self.follows)
        return self.values.get(place, place)


@dataclass(frozen=True)
class Step:
    """What the tasks of a symbolic layer do.

    Attributes
    ----------
    task : Task
        What is done with the arguments, which are named by tokens.
    fixed : dict
        The arguments that are the same for all chunks.
    numbered : tuple of Numbered
        Those that differ from chunk to chunk.
    """

    task: Any
    fixed: Mapping[str, Any] = field(default_factory=dict)
    numbered: tuple[Numbered, ...] = ()

    @cached_property
    def slicing(self) -> tuple[Any, Numbered] | None:
        """Give the source that is sliced and the slices; None where something else is done."""
        if self.task.func not in GETTERS or len(self.task.args) < 2:
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


class Arguments:
    """The arguments of a symbolic layer's task, sorted by where they come from.

    Attributes
    ----------
    inputs : list of (str, key, Follows)
        What others make: the token, the first chunk or the single task, and how the numbers of
        the chunks follow.
    """

    def __init__(self, recipes: Recipes, name: Any) -> None:
        self._recipes = recipes
        self._layer: Blockwise = recipes.symbolic[name]
        self.inputs: list[tuple[str, Key, Follows]] = []
        self._axes: list[Follows] = []
        self._fixed: dict[str, Any] = {}
        self._numbered: list[Numbered] = []

    def sort(self) -> bool:
        """Sort them; False where a chunk rests on several of one array, or on what the layer makes
        anew for each chunk."""
        for number, (source, letters) in enumerate(self._layer.indices):
            token = blockwise_token(number)
            if token in self._layer.task.dependencies and not self._sort_one(
                token, source, letters
            ):
                return False
        return True

    def _sort_one(self, token: str, source: Any, letters: Any) -> bool:
        if letters is None:
            return self._sort_fixed(token, source)
        axis_of = {letter: n for n, letter in enumerate(self._layer.output_indices)}
        if any(letter not in axis_of for letter in letters):
            return False  # a contraction
        axes: Follows = tuple(axis_of[letter] for letter in letters)
        counts = self._layer.numblocks[source]
        follows = tuple(
            None if count == 1 else axis for axis, count in zip(axes, counts, strict=True)
        )
        if source in self._layer.io_deps:
            values = self._layer.io_deps[source]
            self._numbered.append(Numbered(token, values, follows))
            # of such arguments some are tasks, or name tasks
            return not any(getattr(values, a, False) for a in ("produces_tasks", "produces_keys"))
        self.inputs.append((token, (source, *(0 for _ in axes)), follows))
        self._axes.append(axes)
        return True

    def _sort_fixed(self, token: str, source: Any) -> bool:
        if isinstance(source, TaskRef | Alias):
            (key,) = [source.key] if isinstance(source, TaskRef) else source.dependencies
            node = self._recipes.tasks.get(key)
            if isinstance(node, DataNode):
                self._fixed[token] = node.value
            else:
                self.inputs.append((token, key, ()))
                self._axes.append(())
            return True
        if isinstance(source, DataNode):
            source = source.value
        self._fixed[token] = source
        return not isinstance(source, GraphNode)

    def sources(self) -> list[Key]:
        """Name what others make: a chunk of each array, and single tasks."""
        return [key for _, key, _ in self.inputs]

    def axes(self) -> list[Follows]:
        """Say for each input which axis its axes follow, whatever their chunks."""
        return self._axes

    def step(self) -> Step:
        """Give the task with what is the same for all chunks, and what differs."""
        return Step(self._layer.task, self._fixed, tuple(self._numbered))
