"""Which object of a graph cannot be pickled, for an error that names it."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

from qmosaic.engine.graph.contents import LIBRARIES, insides, is_lock, top_module

CONTAINERS = (dict, list, tuple, set, frozenset)

DEEPEST = 100
"""So many steps inwards are looked at: attributes that are made when asked for may never end."""


def find_unpicklable(thing: Any, dumps: Callable[[Any], Any]) -> tuple[str, Exception] | None:
    """Find what keeps an object from being pickled.

    Parameters
    ----------
    thing : Any
        An object, a graph for instance.
    dumps : callable
        Pickles an object, or raises an error.

    Returns
    -------
    (str, Exception) or None
        What cannot be pickled, in words, and the error that it raises; None where all can be.
    """
    error = _error(thing, dumps)
    if error is None:
        return None
    way = [thing]
    while len(way) < DEEPEST and (found := next(_refused(way, dumps), None)):
        inner, error = found
        way.append(inner)
    return described(_to_name(way)), error


def _error(thing: Any, dumps: Callable[[Any], Any]) -> Exception | None:
    try:
        dumps(thing)
    except Exception as error:
        return error
    return None


def _refused(way: list[Any], dumps: Callable[[Any], Any]) -> Iterator[tuple[Any, Exception]]:
    """Give what cannot be pickled of the last object of the way, with its error."""
    for inner in insides(way[-1]):
        if not any(inner is outer for outer in way):
            error = _error(inner, dumps)
            if error is not None:
                yield inner, error


def _to_name(way: list[Any]) -> Any:
    """Choose what a person knows: the innermost object that is of no library, else the innermost
    that is neither a lock nor a container."""
    inwards = [thing for thing in reversed(way) if not isinstance(thing, CONTAINERS)]
    own = [thing for thing in inwards if _module_of(thing) not in LIBRARIES]
    return next(iter([*own, *(thing for thing in inwards if not is_lock(thing)), *way]))


def _module_of(thing: Any) -> str:
    return top_module(thing if isinstance(thing, types.FunctionType) else type(thing))


def described(thing: Any) -> str:
    """Say in words what an object is."""
    if isinstance(thing, types.FunctionType | types.BuiltinFunctionType):
        return f"the function {thing.__qualname__} of {thing.__module__}"
    return f"an object of the class {type(thing).__qualname__} of {type(thing).__module__}"
