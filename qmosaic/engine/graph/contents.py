"""What an object in a graph holds: the stores and files that it reads, and the objects inside it.

Arrays are wrapped several times over (dask's getter, xarray's adapters and decoders, the readers'
own classes); what is inside is looked up among their attributes, which are not documented. What is
used of xarray: ``Variable._data``, ``_args`` and ``_value`` of its file managers, and that its
adapters keep what they wrap in attributes. ``tests/engine/test_tracing.py`` would notice a change.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import inspect
import logging
import os
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr
import zarr
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph
from zarr.abc.store import Store
from zarr.storage import StorePath

from qmosaic.engine.graph.locations import (
    Location,
    locate_in_fsspec,
    locate_obstore,
    locate_path,
    locate_store,
)

LIBRARIES = frozenset(
    "numpy dask distributed xarray pandas zarr numcodecs scipy odc rasterio rioxarray pystac "
    "stackstac satpy pyresample toolz tlz cytoolz operator _operator builtins math functools "
    "itertools collections datetime qmosaic affine pyproj shapely netCDF4 h5netcdf h5py cftime "
    "fsspec obstore numba bottleneck numbagg numexpr spyndex sparse flox types typing dataclasses "
    "enum pathlib threading _thread random decimal fractions weakref abc inspect logging re copy "
    "contextlib warnings time string numbers statistics".split()
)
"""What reads nothing but what its arguments name."""

CALCULATING = frozenset(
    "numpy math operator functools itertools builtins scipy numba bottleneck numexpr typing "
    "collections dataclasses datetime warnings qmosaic toolz numbagg threading contextlib copy abc "
    "enum re string numbers decimal fractions logging time statistics cmath array".split()
)
"""Of these a function may use what it likes without reading anything."""

READING = frozenset(
    "open exec eval __import__ load fromfile memmap genfromtxt loadtxt open_memmap input".split()
)
"""And these read, wherever they are from."""

MANY = 10_000
"""Of more texts than that, those without a slash are no names of files."""

PLAIN = (
    bool
    | int
    | float
    | complex
    | slice
    | range
    | type
    | np.generic
    | np.dtype
    | types.ModuleType
    | None
    | types.EllipsisType
    | np.random.Generator
    | np.random.SeedSequence
    | np.random.BitGenerator
)


def top_module(thing: Any) -> str:
    """Name the library that a function, a class or an object's class is from."""
    name = getattr(thing, "__module__", None)
    if not isinstance(name, str):
        name = type(thing).__module__
    return name.partition(".")[0]


def is_lock(thing: Any) -> bool:
    """Whether something only keeps others waiting."""
    return type(thing).__name__.lower().endswith(("lock", "semaphore"))


def source_of(thing: Any) -> Location | None:
    """Say where a store, a file, or an array in one of them lies; None for anything else."""
    if isinstance(thing, zarr.Array | zarr.Group | zarr.AsyncArray | zarr.AsyncGroup):
        store_path = thing.store_path
        place = locate_store(store_path.store)
        return None if place is None else place / store_path.path
    if isinstance(thing, StorePath):
        place = locate_store(thing.store)
        return None if place is None else place / thing.path
    if isinstance(thing, Store):
        return locate_store(thing)
    if isinstance(thing, np.memmap) and thing.filename is not None:
        return locate_path(thing.filename)
    library = top_module(type(thing))
    if library == "obstore":
        return locate_obstore(thing)
    if library == "fsspec" or hasattr(thing, "fs"):
        system, path = getattr(thing, "fs", None), getattr(thing, "path", None)
        if system is not None and isinstance(path, str) and hasattr(system, "protocol"):
            return locate_in_fsspec(system, path)
    name = _file_name(thing, library)
    return None if name is None else _try_locate(name)


def _file_name(thing: Any, library: str) -> str | None:
    """Name the file of an open dataset or file object."""
    if isinstance(thing, types.FunctionType | type) or isinstance(thing, str):
        return None
    try:
        if library == "netCDF4":
            group = thing.group() if hasattr(thing, "group") else thing
            return str(group.filepath())
        if library == "h5py":
            return str(thing.file.filename)
        if library == "rasterio" and hasattr(thing, "name"):
            return str(thing.name)
        if library == "scipy" and hasattr(thing, "filename"):
            return str(thing.filename)
        if library in ("_io", "tempfile") and isinstance(getattr(thing, "name", None), str):
            return str(thing.name)
    except Exception:  # closed meanwhile
        return None
    return None


def _try_locate(text: str) -> Location | None:
    try:
        return locate_path(text)
    except (ValueError, OSError, RuntimeError):
        return None


def as_place(text: Any) -> tuple[Location, bool] | None:
    """Take a text for a path or URL, and say whether it is one: there is such a file, or it has a
    scheme; None for what can be neither."""
    if isinstance(text, bytes) or not isinstance(text, str | PurePath):
        return None
    name = str(text)
    if not 1 < len(name) < 2048 or "\n" in name or "\0" in name or name == "..":
        return None
    place = _try_locate(name)
    if place is None:
        return None
    path = place.as_path()
    return place, "://" in name or (path is not None and os.path.exists(path))


def insides(thing: Any) -> Iterable[Any]:
    """Give the objects that an object holds, one step down."""
    if isinstance(thing, np.ndarray):
        return _of_array(thing)
    if isinstance(thing, str | bytes | PurePath | TaskRef | Alias | PLAIN):
        return ()
    if is_lock(thing) or isinstance(thing, logging.Logger):  # which knows all others of the process
        return ()
    if isinstance(thing, DataNode):
        return (thing.value,)
    if isinstance(thing, Task):
        return (thing.func, *thing.args, *thing.kwargs.values())
    if isinstance(thing, GraphNode):
        return ()
    if isinstance(thing, Blockwise):
        literals = [i for i, letters in thing.indices if letters is None]
        return (thing.task, *literals, *thing.io_deps.values())
    if isinstance(thing, HighLevelGraph):
        return tuple(thing.layers.values())
    if isinstance(thing, Mapping):
        return (*thing.keys(), *thing.values())
    if isinstance(thing, list | tuple | set | frozenset):
        return thing
    if isinstance(thing, xr.Dataset):
        return tuple(thing.variables.values())
    if isinstance(thing, xr.DataArray):
        return (thing.variable, *(c.variable for c in thing.coords.values()))
    if isinstance(thing, xr.Variable):
        return (thing._data,)
    if isinstance(thing, functools.partial):
        return (thing.func, *thing.args, *thing.keywords.values())
    if isinstance(thing, types.MethodType):
        return (thing.__func__, thing.__self__)
    if isinstance(thing, types.FunctionType):
        return () if top_module(thing) in LIBRARIES and not thing.__closure__ else _of_code(thing)
    if top_module(type(thing)) == "xarray" and hasattr(thing, "_manager_id"):
        return tuple(thing._args)  # a file manager: what it opens
    return [value for _, value in attributes(thing)]


def _of_array(array: np.ndarray) -> Iterable[Any]:
    """Give objects in an array, and texts: loaders are given the names of their files in one."""
    if array.dtype.names:
        return [array[name] for name in array.dtype.names]
    if array.dtype.kind not in "OUT":
        return ()
    found = array.reshape(-1).tolist()
    if not all(isinstance(value, str) for value in found):
        return found
    texts = set(found)
    return texts if len(texts) <= MANY else {t for t in texts if "/" in t or "\\" in t}


def attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Give the attributes of an object, by name, but for locks and what is known of its class."""
    names = list(getattr(thing, "__dict__", ()))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    if dataclasses.is_dataclass(thing):
        names += [field.name for field in dataclasses.fields(thing)]
    for name in dict.fromkeys(names):
        if name in ("__dict__", "__weakref__"):
            continue
        value = inspect.getattr_static(thing, name, None)
        if inspect.isdatadescriptor(value):
            value = getattr(thing, name, None)
        if not is_lock(value):
            yield name, value


def lasting(thing: Any) -> Iterable[tuple[str, Any]]:
    """Give what makes an object what it is, by name, without what it has only noted on the way: a
    file that it has opened, an extent that it has worked out.
    """
    if hasattr(thing, "__dask_tokenize__") and top_module(type(thing)) in ("odc", "qmosaic"):
        return [("token", thing.__dask_tokenize__())]
    if "__getstate__" in vars(type(thing)):
        state = thing.__getstate__()
        if isinstance(state, dict):
            return state.items()
    noted = (functools.cached_property,)
    kind = type(thing)
    return [
        (name, value)
        for name, value in attributes(thing)
        if not isinstance(inspect.getattr_static(kind, name, None), noted)
    ]


def _of_code(function: types.FunctionType) -> list[Any]:
    """Give what a function can reach: what it encloses, its defaults, constants and globals."""
    cells = [c.cell_contents for c in function.__closure__ or () if _is_filled(c)]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    found = [*cells, *defaults]
    for code in _codes(function.__code__):
        found += [c for c in code.co_consts if isinstance(c, str) and c != function.__doc__]
    return found + [v for v in globals_of(function).values() if not isinstance(v, type)]


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def globals_of(function: types.FunctionType) -> dict[str, Any]:
    """Give the globals that a function uses, modules among them; what it imports itself too."""
    found: dict[str, Any] = {}
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            name = step.argval
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in function.__globals__:
                found[name] = function.__globals__[name]
            elif step.opname == "IMPORT_NAME":
                found[name] = sys.modules.get(name, types.ModuleType(str(name)))
    return found


def may_read(thing: Any) -> bool:
    """Whether something may read what nobody can see: a function that is not of a known library
    and does more than calculate, an array of an unknown class."""
    if isinstance(thing, types.FunctionType):
        return top_module(thing) not in LIBRARIES and _reaches_out(thing, set())
    if isinstance(thing, types.MethodType | functools.partial | PLAIN | str | bytes | GraphNode):
        return False  # what they hold is looked at on its own
    if top_module(type(thing)) in LIBRARIES or is_lock(thing) or isinstance(thing, np.ndarray):
        return top_module(thing) not in LIBRARIES if callable(thing) else False
    if isinstance(thing, zarr.Array | zarr.Group | Store | StorePath | Mapping | list | tuple):
        return False
    methods = [
        method
        for kind in type(thing).__mro__
        if top_module(kind) not in LIBRARIES
        for method in vars(kind).values()
        if isinstance(method, types.FunctionType)
    ]
    if not methods:  # compiled
        return callable(thing) or any(hasattr(thing, n) for n in ("shape", "__array__", "read"))
    seen: set[int] = set()
    return any(_reaches_out(method, seen) for method in methods)


def _reaches_out(function: types.FunctionType, seen: set[int]) -> bool:
    """Whether a function does more than calculate, as far as its code tells."""
    if id(function) in seen:
        return False
    seen.add(id(function))
    if any(READING & set(code.co_names) for code in _codes(function.__code__)):
        return True
    cells = [c.cell_contents for c in function.__closure__ or () if _is_filled(c)]
    for used in (*globals_of(function).values(), *cells):
        if isinstance(used, types.ModuleType):
            if used.__name__.partition(".")[0] not in CALCULATING:
                return True
        elif isinstance(used, types.FunctionType) and top_module(used) not in LIBRARIES:
            if _reaches_out(used, seen):
                return True
        elif callable(used) and top_module(used) not in CALCULATING:
            return True
    return False
