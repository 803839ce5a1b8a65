"""Views of arrays, made of what a graph says of them."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.array import chunk
from dask.layers import ArrayChunkShapeDep, ArraySliceDep

from qmosaic.collection.masks import Array
from qmosaic.collection.pixelwise import Placed
from qmosaic.engine.graph.arguments import GETTERS, Arguments, Step
from qmosaic.engine.graph.pieces import Layout, Layouts, NotACutError, as_pieces, whole_chunk
from qmosaic.engine.graph.recipes import Key, Recipes, layer_of
from qmosaic.engine.graph.views import (
    Around,
    ByWindow,
    Call,
    Chunk,
    Chunkwise,
    Constant,
    Each,
    Follows,
    Held,
    Numbers,
    Sliced,
    View,
    Written,
)
from qmosaic.engine.graph.windows import Surroundings

_numbers_of_sources = itertools.count()

SMALL_DATA = 2**24
"""The most bytes of an array in memory that every worker may get a copy of."""

OF_SINGLE_PIXELS = {
    np.where,
    np.clip,
    np.isclose,
    np.nan_to_num,
    np.around,
    np.round,
    np.real,
    np.imag,
    np.angle,
    np.transpose,
    chunk.astype,
    *(
        function
        for name, function in vars(operator).items()
        if name
        in {
            *("abs", "add", "and_", "eq", "floordiv", "ge", "gt", "inv", "invert", "le", "lshift"),
            *("lt", "mod", "mul", "ne", "neg", "not_", "or_", "pos", "pow", "rshift", "sub"),
            *("truediv", "xor"),
        }
    ),
}
"""Functions that make each pixel of those at the same place, beside numpy's ufuncs."""


def is_of_single_pixels(function: Any) -> bool:
    """Whether a function makes each pixel of those at the same place, so that it can be called for
    any window."""
    while isinstance(function, functools.partial):
        if getattr(function, "of_single_pixels", False) is True:
            return True
        function = function.func
    if isinstance(function, np.ufunc):
        return function.signature is None
    try:
        return function in OF_SINGLE_PIXELS or getattr(function, "of_single_pixels", False) is True
    except TypeError:  # it has no hash
        return False


def placed_in(call: Call) -> Placed | None:
    """Give the function that dask tells the number of the chunk, where it is one of pixels that
    knows where they lie."""
    function, given = call.task.func, list(call.fixed.values())
    if isinstance(function, functools.partial):
        given += function.args
    found = [value for value in given if isinstance(value, Placed)]
    rest = [value for value in given if not isinstance(value, Placed)]
    return found[0] if len(found) == 1 and rest == [("block_id",)] else None


class UnviewableError(Exception):
    """There is no view of an array; the text says why."""


IN_MEMORY = "its chunks lie in memory (persisted, or cut out of an array of numpy)"
UNKNOWN = "its graph has chunks or tasks of which too little is known"


@dataclass(frozen=True, eq=False)
class Known:
    """Views that were made, of the bands of one collection.

    Attributes
    ----------
    views : dict
        By the names of arrays, or the keys of single tasks.
    sources : dict
        Those of what tasks slice, by the identity of that.
    """

    views: dict[Any, View] = field(default_factory=dict)
    sources: dict[int, Sliced] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Made:
    """A view of an array, and the layers that it was made of: all behind the array."""

    view: View
    layers: dict[Any, ReferenceType[Any]]


_made: dict[int, Made] = {}
"""Views for other mosaics of the same bands, by the identity of the layer that makes the array, as
long as there is that layer."""


def _keep(name: Any, view: View, recipes: Recipes) -> None:
    """Keep a view as long as there is the layer that it stands for."""
    layers = recipes.behind(name)
    if not layers:
        return
    place = id(layers[name])
    references = {one: ref(layer) for one, layer in layers.items()}
    references[name] = ref(layers[name], lambda _: _made.pop(place, None))
    _made[place] = Made(view, references)


def _recall(name: Any, recipes: Recipes) -> View | None:
    """Give a view that was made of the same layers: the same objects, not only the same names."""
    made = _made.get(id(recipes.layers.get(name)))
    if made is None:
        return None
    layers = recipes.behind(name)
    same = made.layers.keys() == layers.keys()
    if same and all(made.layers[one]() is layer for one, layer in layers.items()):
        return made.view
    return None


class Maker:
    """Makes views of arrays of one graph.

    Parameters
    ----------
    recipes : Recipes
        The graph.
    arrays : mapping
        Chunks and dtypes of arrays of which the graph may not tell them.
    known : Known, optional
        What other makers have made, and what this one makes: an array has the same view in every
        graph, as dask names arrays by what they are made of.
    """

    def __init__(
        self, recipes: Recipes, arrays: Mapping[Any, Any], known: Known | None = None
    ) -> None:
        self._recipes = recipes
        self._arrays = {**recipes.arrays, **arrays}
        known = Known() if known is None else known
        self._views, self._sources = known.views, known.sources

    def of(self, name: Any) -> View | None:
        """Give a view of an array; None where there is none."""
        found = self.of_or_why(name)
        return None if isinstance(found, str) else found

    def of_or_why(self, name: Any) -> View | str:
        """Give a view of an array, or say why there is none."""
        try:
            for layer in self._in_order(name):
                self._views[layer] = self._make(layer)
                if self._is_array(layer):
                    _keep(layer, self._views[layer], self._recipes)
        except UnviewableError as error:
            return str(error)
        except KeyError:  # of a task that lies elsewhere
            return UNKNOWN
        return self._views[name]

    # -- order --------------------------------------------------------------------------------

    def _in_order(self, name: Any) -> Iterable[Any]:
        """Name arrays and single tasks, each after those that it rests on."""
        stack: list[tuple[Any, bool]] = [(name, False)]
        while stack:
            layer, ready = stack.pop()
            if layer in self._views:
                continue
            if ready:
                yield layer
                continue
            found = _recall(layer, self._recipes) if self._is_array(layer) else None
            if found is not None:
                self._views[layer] = found
                continue
            stack.append((layer, True))
            stack.extend((other, False) for other in self._below(layer))

    def _below(self, name: Any) -> list[Any]:
        if name in self._recipes.symbolic:
            arguments = Arguments(self._recipes, name)
            if arguments.sort():
                return [self._unit(key) for key in arguments.sources()]
        units = dict.fromkeys(self._unit(d) for n in self._nodes(name) for d in n.dependencies)
        # what makes no chunks of an array is looked at only where its chunks are no cuts
        return [u for u in units if self._is_array(u) or not self._is_array(name)]

    def _nodes(self, name: Any) -> list[GraphNode]:
        """Give the tasks of an array, and those behind them that make no chunks; or a single
        one."""
        if not self._is_array(name):
            return [self._node(name)]
        todo: list[Key] = list(self._keys(name))
        found = [self._node(key) for key in todo]
        seen: set[Key] = set()
        for node in found:  # which grows meanwhile
            for key in node.dependencies:
                if key not in seen:
                    seen.add(key)
                    if self._numbers(key) is None:
                        found.append(self._node(key))
        return found

    def _keys(self, name: Any) -> Iterable[tuple[Any, ...]]:
        return itertools.product([name], *(range(len(c)) for c in self._arrays[name][0]))

    def _node(self, key: Key) -> GraphNode:
        name = layer_of(key)
        if isinstance(name, str) and name in self._recipes.symbolic:
            return self._culled(name)[key]
        if key in self._recipes.futures:
            raise UnviewableError(IN_MEMORY)
        return self._recipes.tasks[key]

    def _find(self, key: Key) -> GraphNode | None:
        """Give a task; None where there is none."""
        try:
            return self._node(key)
        except KeyError:
            return None

    def _culled(self, name: str) -> dict[Key, GraphNode]:
        if name not in self._written:
            self._written[name] = dict(self._recipes.symbolic[name])
        return self._written[name]

    @functools.cached_property
    def _written(self) -> dict[str, dict[Key, GraphNode]]:
        return {}

    def _is_array(self, name: Any) -> bool:
        return isinstance(name, str) and name in self._arrays

    def _numbers(self, key: Key) -> Numbers | None:
        """Give the numbers of a chunk; None for a key that is none of an array."""
        if type(key) is not tuple or type(key[0]) is not str:
            return None
        said = self._arrays.get(key[0])
        numbers = key[1:]
        if said is None or len(numbers) != len(said[0]):
            return None
        for n in numbers:
            if type(n) is not int:
                return None
        return numbers

    def _unit(self, key: Key) -> Any:
        """Name what is made as one: an array, or a task that is none of one."""
        if key in self._recipes.futures:
            raise UnviewableError(IN_MEMORY)
        if isinstance(key, str) and self._is_array(key):
            return key
        return key if self._numbers(key) is None else layer_of(key)

    # -- views --------------------------------------------------------------------------------

    def _make(self, name: Any) -> View:
        if not self._is_array(name):
            return self._single(name)
        if name in self._recipes.symbolic:
            arguments = Arguments(self._recipes, name)
            if arguments.sort():
                return self._symbolic(name, arguments)
        return self._written_out(name)

    def _single(self, key: Key) -> View:
        node = self._node(key)
        if isinstance(node, DataNode):
            return Constant(key, node.value)
        if getattr(node.func, "makes_outcomes", False):
            raise UnviewableError(UNKNOWN)
        needs = self._needs_of(node)
        return self._as_written(key, (), None, {(): (node, needs)})

    def _needs_of(self, node: GraphNode) -> dict[Key, tuple[View, Chunk]]:
        return {key: self._at(key) for key in node.dependencies}

    def _at(self, key: Key) -> tuple[View, Chunk]:
        return self._views[self._unit(key)], Chunk(self._numbers(key) or ())

    @staticmethod
    def _as_written(name: Any, chunks: Any, dtype: Any, tasks: dict[Numbers, Any]) -> View:
        views = {id(v): v for _, needs in tasks.values() for v, _ in needs.values()}
        place = {number: n for n, number in enumerate(views)}
        placed = {
            numbers: (task, {key: (place[id(v)], chunk) for key, (v, chunk) in needs.items()})
            for numbers, (task, needs) in tasks.items()
        }
        return Written(name, chunks, dtype, views.values(), placed)

    def _symbolic(self, name: str, arguments: Arguments) -> View:
        chunks, dtype = self._arrays[name]
        step = arguments.step()
        if step.task.func in GETTERS:
            return self._sliced(name, step)
        around = next((v for v in step.fixed.values() if isinstance(v, Surroundings)), None)
        if around is not None:
            return Around(name, chunks, dtype, around.view, around)
        inputs = [self._at(key)[0] for key in arguments.sources()]
        tokens = [token for token, _, _ in arguments.inputs]
        # an input without axes of its own is one chunk, for all
        single = [not axes for axes in arguments.axes()]
        follows: list[Follows] = [
            self._at(key)[1] if one else at
            for one, (_, key, at) in zip(single, arguments.inputs, strict=True)
        ]
        if hasattr(step.task.func, "over"):
            sources = step.fixed.values()
            whole: list[Follows] = [
                at if one else tuple(axes)
                for one, at, axes in zip(single, follows, arguments.axes(), strict=True)
            ]
            return ByWindow(name, chunks, dtype, inputs, whole, step.task.func, sources)
        call = Call(step.task, step.fixed, step.numbered, tokens)
        each = self._as_each(name, inputs, call, follows, arguments)
        return each or Chunkwise(name, chunks, dtype, inputs, call, follows)

    def _as_each(
        self,
        name: str,
        inputs: list[View],
        call: Call,
        follows: list[Follows],
        arguments: Arguments,
    ) -> View | None:
        """Make the view of a function of single pixels; None where it is not known to be one."""
        chunks, dtype = self._arrays[name]
        shape = tuple(map(sum, chunks))
        if not inputs and is_filling(call):
            return Each(name, chunks, dtype, inputs, call, ())
        placed = placed_in(call)
        if placed is not None and len(inputs) == 1 and inputs[0].shape == shape:
            return Each(name, chunks, dtype, inputs, call, [tuple(range(len(shape)))], placed)
        if call.numbered or not inputs or not is_of_single_pixels(call.task.func):
            return None
        laid: list[Follows] = []
        for view, axes, at in zip(inputs, arguments.axes(), follows, strict=True):
            if isinstance(at, Chunk):
                laid.append(at)
                continue
            if len(axes) != len(view.shape):
                return None
            own = tuple(
                None if size == 1 and (axis is None or shape[axis] != 1) else axis
                for axis, size in zip(axes, view.shape, strict=True)
            )
            if any(a is not None and shape[a] != n for a, n in zip(own, view.shape, strict=True)):
                return None
            laid.append(own)
        return Each(name, chunks, dtype, inputs, call, laid)

    def _sliced(self, name: str, step: Step) -> View:
        chunks, dtype = self._arrays[name]
        if step.slicing is None:
            raise UnviewableError(UNKNOWN)
        source, numbered = step.slicing
        whole = numbered.follows == tuple(None if len(c) == 1 else n for n, c in enumerate(chunks))
        if not isinstance(numbered.values, ArraySliceDep) or not (
            whole or numbered.follows == tuple(range(len(chunks)))
        ):
            raise UnviewableError(UNKNOWN)
        return Sliced(name, chunks, dtype, source, step.slice)

    def _written_out(self, name: str) -> View:
        chunks, dtype = self._arrays[name]
        keys = list(self._keys(name))
        nodes = [self._node(key) for key in keys]
        if getattr(getattr(nodes[0], "func", None), "makes_outcomes", False):
            raise UnviewableError(UNKNOWN)
        if any(isinstance(n, DataNode) for n in nodes):
            return self._in_memory(name, dtype, nodes)
        if hasattr(getattr(nodes[0], "func", None), "over_pieces"):
            return self._by_window(name, nodes[0])
        layouts = Layouts(self._find, self._leaf, self._slice_of)
        starts = [(0, *itertools.accumulate(sizes)) for sizes in chunks]
        try:
            found = {key[1:]: layouts.of(node) for key, node in zip(keys, nodes, strict=True)}
            return as_pieces(name, chunks, dtype, found, starts)
        except NotACutError:
            pass
        for node in nodes:
            for key in node.dependencies:
                self._make_behind(key)
        tasks = {k[1:]: (n, self._needs_of(n)) for k, n in zip(keys, nodes, strict=True)}
        return self._as_written(name, chunks, dtype, tasks)

    def _by_window(self, name: str, node: Any) -> View:
        """Make the view of a part of a mosaic whose blocks are put together."""
        chunks, dtype = self._arrays[name]
        task, index_dims, number = node.func.over_pieces()
        keys = [a.key for a in node.args if isinstance(a, TaskRef | Alias)]
        sources = [self._constant(TaskRef(key)) for key in keys[:number]]
        decision = self._at(keys[number])[0]
        follows = tuple(task.dims.index(d) for d in index_dims)
        return ByWindow(name, chunks, dtype, [decision], [follows], task, sources)

    def _make_behind(self, key: Key) -> None:
        """Make the views of single tasks behind a chunk."""
        for unit in self._in_order(self._unit(key)):
            self._views[unit] = self._make(unit)

    def _in_memory(self, name: str, dtype: Any, nodes: list[GraphNode]) -> View:
        values = [node.value if isinstance(node, DataNode) else None for node in nodes]
        if len(values) > 1:
            values = [self._joined(name, values)]
        if not isinstance(values[0], np.ndarray) or values[0].nbytes > SMALL_DATA:
            raise UnviewableError(IN_MEMORY)
        return Held(name, self._arrays[name][0], dtype, values[0])

    def _joined(self, name: str, values: Sequence[Any]) -> Array | None:
        """Join the chunks of a line, such as a number for each image; None for anything else."""
        counts = [len(sizes) for sizes in self._arrays[name][0]]
        if sum(size > 1 for size in map(sum, self._arrays[name][0])) > 1:
            return None
        if any(type(value) is not np.ndarray for value in values):
            return None
        return np.concatenate(values, axis=counts.index(len(values)))

    def _leaf(self, key: Key) -> tuple[View, Numbers] | None:
        numbers = self._numbers(key)
        if numbers is None:
            return None
        return self._views[layer_of(key)], numbers

    def _slice_of(self, task: Task) -> Layout | None:
        """Lay out what a task slices out of a source."""
        if task.func not in GETTERS or len(task.args) < 2:
            return None
        source, index = (self._constant(argument) for argument in task.args[:2])
        shape = getattr(source, "shape", None)
        rest = [self._constant(argument) for argument in task.args[2:]]
        if shape is None or not isinstance(index, tuple) or len(index) != len(shape):
            return None
        if not all(isinstance(i, slice) and i.step in (None, 1) for i in index):
            return None
        if id(source) not in self._sources:
            read = SourceRead(task.func, source, tuple(rest), dict(task.kwargs))
            self._sources[id(source)] = Sliced(
                f"source-{next(_numbers_of_sources)}",
                tuple((n,) for n in shape),
                source.dtype,
                source,
                read,
            )
        view = self._sources[id(source)]
        layout = whole_chunk(view, (0,) * len(shape))
        spans = [i.indices(n) for i, n in zip(index, shape, strict=True)]
        window = tuple((0, max(0, b - a)) for a, b, _ in spans)
        box = layout.boxes[0]
        alongs = tuple((n, 1, a) for n, (a, _, _) in enumerate(spans))
        return Layout(tuple(b for _, b in window), (type(box)(window, view, alongs),))

    def _constant(self, thing: Any) -> Any:
        while isinstance(thing, TaskRef | Alias):
            key = thing.key if isinstance(thing, TaskRef) else next(iter(thing.dependencies))
            thing = self._recipes.tasks.get(key)
        if isinstance(thing, DataNode):
            return thing.value
        if isinstance(thing, GraphNode):
            raise NotACutError
        return thing


class SourceRead:
    """Slices a source as a task does."""

    def __init__(self, func: Any, source: Any, rest: tuple[Any, ...], kwargs: dict[str, Any]):
        self.func, self.source, self.rest, self.kwargs = func, source, rest, kwargs

    def __call__(self, index: Any) -> Any:
        return self.func(self.source, index, *self.rest, **self.kwargs)


def is_filling(call: Call) -> bool:
    """Whether a function fills an array of the shape of a chunk with one value."""
    function = call.task.func
    while isinstance(function, functools.partial):
        function = function.func
    shaped = [isinstance(argument.values, ArrayChunkShapeDep) for argument in call.numbered]
    return shaped == [True] and getattr(function, "__module__", "").startswith("dask.array")
