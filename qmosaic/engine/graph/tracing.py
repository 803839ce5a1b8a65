"""What stands behind the variables of a dataset: where it is read from, and names for it that are
the same in every process.

All graphs are put into one web. A symbolic layer is one node of it however many chunks it
describes; tasks that are written out are a node each.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import types
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
import zarr
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.base import tokenize
from dask.blockwise import Blockwise
from zarr.abc.store import Store

from qmosaic.engine.graph.chunks import DeferredChunks, Promise
from qmosaic.engine.graph.contents import (
    LIBRARIES,
    MANY,
    PLAIN,
    as_place,
    globals_of,
    insides,
    lasting,
    may_read,
    source_of,
    top_module,
)
from qmosaic.engine.graph.locations import Location, without_secrets
from qmosaic.engine.graph.picklable import described
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, layer_of, sort_graphs
from qmosaic.engine.graph.views import View, Written
from qmosaic.engine.graph.windows import Surroundings
from qmosaic.engine.reading import Origin

Node = tuple[Any, ...]
"""("layer", name), ("task", key), ("array", name, numbers of blocks), ("view", id) or ("data",
id)."""


NOTHING = frozenset((int, float, bool, type(None), slice))
"""What neither holds anything nor refers to anything; there is a lot of it."""


@dataclass
class Behind:
    """What a variable is read from.

    Attributes
    ----------
    sources : dict of Location to bool
        Where it is read from, and whether that is one array or file (and not a whole store).
    opaque : dict of str to None
        What may read something that cannot be seen: functions, classes, values on a cluster.
    around : dict of Location to str
        Folders and stores that such functions get: what they read in there is not known.
    """

    sources: dict[Location, bool] = field(default_factory=dict)
    opaque: dict[str, None] = field(default_factory=dict)
    around: dict[Location, str] = field(default_factory=dict)


class Web:
    """All that stands behind some variables.

    Parameters
    ----------
    variables : mapping of hashable to xarray.Variable
        Lazy or not; nothing of them is computed.
    """

    def __init__(self, variables: Mapping[Hashable, xr.Variable]) -> None:
        self._symbolic: dict[str, Blockwise] = {}
        self._tasks: Nodes = {}
        self._futures: dict[Key, Any] = {}
        self._data: dict[Node, Any] = {}
        self._roots: dict[Hashable, Node] = {}
        self._held: dict[Node, Behind] = {}
        self._tokens: dict[Node, str] = {}
        self._below: dict[Node, list[Node]] = {}
        lazy = {n: v for n, v in variables.items() if v.chunks is not None}
        self._merge(sort_graphs(*(v.data.__dask_graph__() for v in lazy.values())))
        for name, variable in variables.items():
            if name in lazy:
                self._roots[name] = self._array(variable.data.name, variable.data.numblocks)
            else:
                self._roots[name] = self._hold(variable)

    # -- the web ------------------------------------------------------------------------------

    def _merge(self, recipes: Recipes) -> None:
        """Take up layers and tasks."""
        self._symbolic.update(recipes.symbolic)
        self._futures.update(recipes.futures)
        self._tasks.update(recipes.tasks)

    def _array(self, name: str, numblocks: Iterable[int]) -> Node:
        if name in self._symbolic:
            return ("layer", name)
        return ("array", name, tuple(numblocks))

    def _key(self, key: Key) -> Node:
        layer = layer_of(key)
        if isinstance(layer, str) and layer in self._symbolic:
            return ("layer", layer)
        return ("task", key)

    def _view(self, view: View) -> Node:
        node = ("view", id(view))
        self._data[node] = view
        return node

    def _hold(self, thing: Any) -> Node:
        node = ("data", id(thing))
        self._data[node] = thing
        return node

    def _inputs(self, node: Node) -> list[Node]:
        """Name what a node directly depends on, in the order of the graph."""
        if node not in self._below:
            self._below[node] = self._find_inputs(node)
        return self._below[node]

    def _find_inputs(self, node: Node) -> list[Node]:
        kind, name = node[0], node[1]
        if kind == "array":
            keys = itertools.product([name], *(range(n) for n in node[2]))
            return [("task", key) for key in keys if key in self._tasks or key in self._futures]
        if kind == "layer":
            return self._inputs_of_layer(self._symbolic[name])
        if kind == "view":
            return [self._view(other) for other in self._data[node].inputs]
        if kind == "data" or name not in self._tasks:
            return []
        task, value = self._tasks[name], self._value(node)
        if isinstance(value, DeferredChunks | Surroundings):
            return [self._view(value.view)]
        found = dict.fromkeys(r.key for r in _references(task))
        found.update(dict.fromkeys(task.dependencies))
        return [self._key(key) for key in found]

    def _inputs_of_layer(self, layer: Blockwise) -> list[Node]:
        found: list[Node] = []
        for source, letters in layer.indices:
            if letters is None:
                found += [self._key(source.key)] if isinstance(source, TaskRef) else []
            elif source not in layer.io_deps:
                found.append(self._array(source, layer.numblocks[source]))
        known = {self._placed(i) for i in found}
        names = {key: self._key(key) for key in layer.task.dependencies}
        more = [n for n in names.values() if n[1] in self._tasks or n[1] in self._symbolic]
        return found + [n for n in more if self._placed(n) not in known]

    @staticmethod
    def _placed(node: Node) -> Any:
        return node[1]

    def _value(self, node: Node) -> Any:
        """Give the value of a node that is one."""
        found = self._tasks.get(node[1]) if node[0] == "task" else None
        return found.value if isinstance(found, DataNode) else None

    def _content(self, node: Node) -> Any:
        """Give what a node itself is made of."""
        kind, name = node[0], node[1]
        if kind == "layer":
            return self._symbolic[name]
        if kind == "data":
            return self._data[node]
        if kind == "view":
            return self._data[node].content()
        if kind == "array":
            return None
        value = self._value(node)
        if isinstance(value, Promise):
            return None
        return value.func if isinstance(value, Surroundings) else self._tasks.get(name)

    def _reach(self, root: Node) -> Iterator[Node]:
        """Give a node and all that it rests on."""
        seen, todo = {root}, [root]
        while todo:
            node = todo.pop()
            yield node
            for other in self._inputs(node):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)

    # -- where it is read from ----------------------------------------------------------------

    def behind(self, name: Hashable) -> Behind:
        """Find out what a variable is read from."""
        found = Behind()
        for node in self._reach(self._roots[name]):
            held = self._look(node)
            found.sources.update(held.sources)
            if held.opaque:
                whole = (place for place, is_array in held.sources.items() if not is_array)
                found.around.update(dict.fromkeys(whole, ", ".join(held.opaque)))
                found.opaque.update({} if self._is_traced(node) else held.opaque)
        return found

    def _is_traced(self, node: Node) -> bool:
        """Whether a source is known that a node, or what it depends on, reads."""
        return any(self._look(n).sources for n in self._reach(node))

    def _look(self, node: Node) -> Behind:
        if node not in self._held:
            if node[0] == "task" and node[1] in self._futures:
                held = Behind(opaque={"values that lie on a cluster (persist)": None})
            else:
                held = look_inside(self._content(node))
            self._held[node] = held
        return self._held[node]

    # -- what it is called --------------------------------------------------------------------

    def token(self, name: Hashable) -> str:
        """Name how a variable is made, and from what."""
        return self._token(self._roots[name])

    def inputs(self, name: Hashable) -> str:
        """Name what a variable rests on, whatever is made of it."""
        leaves = (n for n in self._reach(self._roots[name]) if not self._inputs(n))
        tokens = {self._token(n) for n in leaves if not isinstance(self._value(n), Promise)}
        return _digest(*sorted(tokens))

    def _token(self, root: Node) -> str:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in self._tokens:
                continue
            inputs = self._inputs(node)
            missing = [] if ready else [n for n in inputs if n not in self._tokens]
            if missing:
                stack.append((node, True))
                stack.extend((n, False) for n in reversed(missing))
            else:
                self._tokens[node] = self._name(node, inputs)
        return self._tokens[root]

    def _name(self, node: Node, inputs: list[Node]) -> str:
        kind, name = node[0], node[1]
        given = [self._tokens[n] for n in inputs]
        if kind == "array":
            return _digest("array", repr(node[2]), *given)
        if kind == "task" and name in self._futures:
            return _digest("future", repr(name))
        spelling = Spelling(self._spell_key)
        if kind == "view":
            view = self._data[node]
            keys = view.keys() if isinstance(view, Written) else {}
            spelling = Spelling(lambda key: str(keys.get(key) or self._spell_key(key)))
            return _digest(type(view).__name__, *given, spelling.of(self._content(node)))
        if kind == "layer":
            return _digest("layer", *given, *spelling.of_layer(self._symbolic[name]))
        if kind == "task" and name not in self._tasks:
            return _digest("missing", repr(name))
        content = self._content(node)
        value = self._value(node)
        if isinstance(value, Promise):
            return _digest(
                "promise", repr((value.axis, str(value.dtype), str(value.nodata))), *given
            )
        if isinstance(value, Surroundings):
            depth = repr(sorted(value.depth.items()))
            return _digest("around", depth, spelling.of(value.func), *given)
        return _digest(kind, *given, spelling.of(content))

    def _spell_key(self, key: Key) -> str:
        """Write down which of several inputs is meant, without the names that dask gave them."""
        place = repr(key[1:]) if isinstance(key, tuple) else ""
        node = self._key(key)
        return self._tokens.get(node, repr(node[1])) + place


def _references(node: Any) -> Iterator[TaskRef]:
    """Give the references to other tasks, in the order in which they stand in a task."""
    todo = [node]
    while todo:
        thing = todo.pop()
        if type(thing) in NOTHING:
            continue
        if isinstance(thing, TaskRef):
            yield thing
        elif isinstance(thing, Alias):
            yield thing.target if isinstance(thing.target, TaskRef) else TaskRef(thing.target)
        elif isinstance(thing, Task):
            todo += [*reversed(thing.kwargs.values()), *reversed(thing.args)]
        elif isinstance(thing, list | tuple):
            todo += reversed(thing)


def look_inside(thing: Any) -> Behind:
    """Find out what an object reads."""
    found = Behind()
    seen: set[int] = set()
    kept: list[Any] = []  # so that no number is given twice
    todo = [thing]
    while todo:
        value = todo.pop()
        if type(value) in NOTHING or isinstance(value, TaskRef | Alias):
            continue
        if type(value) is tuple:
            todo += value
            continue
        if isinstance(value, Task):
            todo += insides(value)
            continue
        if isinstance(value, PLAIN) or id(value) in seen or _travels(value):
            continue
        seen.add(id(value))
        kept.append(value)
        if isinstance(value, str) or hasattr(value, "__fspath__"):
            _note_place(found, value)
            continue
        place = source_of(value)
        if place is not None:
            found.sources[place] = not isinstance(value, zarr.Group | Store)
            continue
        if may_read(value):
            found.opaque[described(value)] = None
        todo += insides(value)
    return found


def _travels(value: Any) -> bool:
    """Whether tasks travel in it, which are looked at on their own."""
    if isinstance(value, Promise | Surroundings | Recipes | Origin):
        return True
    return isinstance(value, dict) and any(isinstance(v, GraphNode) for v in value.values())


def _note_place(found: Behind, text: Any) -> None:
    place = as_place(text)
    if place is not None and place[1]:
        found.sources.setdefault(place[0], False)


# -- names ----------------------------------------------------------------------------------------


def _digest(*texts: str) -> str:
    found = hashlib.blake2b(digest_size=16)
    for text in texts:
        found.update(text.encode("utf-8", "surrogatepass"))
        found.update(b"\0")
    return found.hexdigest()


class Spelling:
    """Writes down what objects are, as text that is the same in every process.

    A source is spelled by where it lies and by its own metadata, never by its pickle: that
    of an object store differs from process to process, and has the keys in it.
    """

    def __init__(self, of_key: Any) -> None:
        self._of_key = of_key
        self._open: set[int] = set()

    def of_layer(self, layer: Blockwise) -> Iterator[str]:
        """Spell a symbolic layer, without its inputs."""
        known = {letter: str(n) for n, letter in enumerate(layer.output_indices)}
        for source, letters in layer.indices:
            if letters is None:
                yield "" if isinstance(source, TaskRef) else self.of(source)
            if letters is not None:
                own = [known.setdefault(letter, str(len(known))) for letter in letters]
                counts = "" if source in layer.io_deps else repr(layer.numblocks[source])
                yield ",".join(own) + counts
                if source in layer.io_deps:
                    yield self.of(layer.io_deps[source])
        axes = {known.get(k, str(k)): v for k, v in (layer.new_axes or {}).items()}
        yield repr((sorted(axes.items()), layer.concatenate))
        yield self.of(layer.task)

    def of(self, thing: Any) -> str:
        """Spell an object."""
        if type(thing) in NOTHING:
            return repr(thing)
        if type(thing) is tuple:
            return f"({', '.join(map(self.of, thing))})"
        if isinstance(thing, TaskRef):
            return f"<{self._of_key(thing.key)}>"
        if isinstance(thing, str):
            return repr(without_secrets(thing))
        if isinstance(thing, type):
            return f"{thing.__module__}.{thing.__qualname__}"
        if isinstance(thing, types.ModuleType):
            return thing.__name__
        if isinstance(thing, np.generic | np.dtype) or not isinstance(thing, PLAIN):
            return self._of_object(thing)
        if isinstance(thing, np.random.Generator | np.random.BitGenerator):
            return str(tokenize(thing))
        return repr(thing)

    def _of_object(self, thing: Any) -> str:
        if id(thing) in self._open:
            return "itself"
        self._open.add(id(thing))
        try:
            return self._write(thing)
        finally:
            self._open.discard(id(thing))

    def _write(self, thing: Any) -> str:
        kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
        if isinstance(thing, np.dtype | np.generic):
            return f"{kind} {thing!r}"
        if isinstance(thing, Alias):
            return f"<{self._of_key(next(_references(thing)).key)}>"
        if isinstance(thing, Origin):
            return ""  # for those who read about it in an error
        if _travels(thing):
            return ""
        if isinstance(thing, Task):
            given = f"{', '.join(map(self.of, thing.args))}; {self._of_keywords(thing.kwargs)}"
            return f"{kind} {self.of(thing.func)}({given})"
        if isinstance(thing, np.ndarray):
            if (thing.dtype.names or thing.dtype.kind in "OUT") and thing.size <= MANY:
                return f"{kind} {thing.dtype} {thing.shape} {self.of(thing.tolist())}"
            return f"{kind} {tokenize(thing)}"
        place = source_of(thing)
        if place is not None:
            return f"{kind} at {place} {_says_of_itself(thing, place)}"
        if isinstance(thing, list | tuple):
            return f"{kind}({', '.join(map(self.of, thing))})"
        if isinstance(thing, set | frozenset):
            return f"{kind}({', '.join(sorted(map(self.of, thing)))})"
        if isinstance(thing, dict):
            return f"{kind}({', '.join(f'{self.of(k)}: {self.of(v)}' for k, v in thing.items())})"
        if isinstance(thing, types.FunctionType):
            return self._of_function(thing)
        if isinstance(thing, DataNode | xr.Variable | types.MethodType):
            return f"{kind}({', '.join(map(self.of, insides(thing)))})"
        if isinstance(thing, functools.partial):
            given = f"{', '.join(map(self.of, thing.args))}; {self._of_keywords(thing.keywords)}"
            return f"{kind} {self.of(thing.func)}({given})"
        if hasattr(thing, "__fspath__"):
            return f"{kind} {os.fspath(thing)}"
        if hasattr(thing, "_manager_id"):  # a file manager of xarray
            return f"{kind}({', '.join(self._of_file(v) for v in insides(thing))})"
        known = top_module(type(thing)) in ("xarray", "rioxarray", "qmosaic", "odc")
        if known or look_inside(thing).sources:
            own = sorted(lasting(thing), key=lambda item: item[0])
            return f"{kind}({', '.join(f'{n}={self.of(v)}' for n, v in own)})"
        return f"{kind} {tokenize(thing)}"

    def _of_keywords(self, keywords: Mapping[str, Any]) -> str:
        return ", ".join(f"{name}={self.of(value)}" for name, value in sorted(keywords.items()))

    def _of_file(self, thing: Any) -> str:
        """Spell a file by its name, and when it was written last."""
        place, exists = as_place(thing) or (None, False)
        return f"{place} {_written(place, '')}" if place and exists else self.of(thing)

    def _of_function(self, function: types.FunctionType) -> str:
        name = f"{function.__module__}.{function.__qualname__}"
        importable = "<" not in name and function.__module__ != "__main__"
        if importable or (top_module(function) in LIBRARIES and not function.__closure__):
            return name
        code = function.__code__
        parts = [name, *_spell_code(code)]
        for cell in function.__closure__ or ():
            parts.append(self.of(cell.cell_contents))
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        parts += map(self.of, defaults)
        used = globals_of(function)
        parts += [f"{n}={self.of(used[n])}" for n in sorted(used)]
        return _digest(*parts)


def _spell_code(code: types.CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _spell_code(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _says_of_itself(thing: Any, place: Location) -> str:
    """Give the metadata of an array, and when they were written."""
    metadata = getattr(thing, "metadata", None)
    if metadata is None:  # a file, or a variable in one
        return f"{getattr(thing, 'name', '')} {_written(place, '')}"
    name = "zarr.json" if getattr(metadata, "zarr_format", 3) == 3 else ".zarray"
    return f"{tokenize(_plain(metadata))} {_written(place, name)}"


def _plain(metadata: Any) -> Any:
    found = metadata.to_dict()
    found.pop("consolidated_metadata", None)
    return repr(sorted(found.items(), key=lambda item: item[0]))


def _written(place: Location, name: str) -> str:
    """Say when a file on this machine was written last."""
    path = place.as_path()
    if path is None:
        return ""
    try:
        found = os.stat(path / name if name else path)
    except OSError:
        return ""
    # the time of a folder says when something was put into it, not when that was written
    return "" if path.is_dir() and not name else f"{found.st_mtime_ns} {found.st_size}"
