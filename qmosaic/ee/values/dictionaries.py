"""``ee.Dictionary``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from qmosaic.ee.values.computed import Value, information, wrapped
from qmosaic.ee.values.lists import List
from qmosaic.ee.values.numbers import Boolean, Number
from qmosaic.ee.values.texts import String

REQUIRED: Any = object()


class Dictionary(Value, dict[str, Any], of=(dict,)):
    """Values with names; ``getInfo()`` gives a dict of Python.

    The names are in the order of the alphabet, as in Earth Engine. Every method gives a new one.

    Examples
    --------
    >>> from qmosaic import ee
    >>> bands = ee.Dictionary({"B4": 182, "B3": 219})
    >>> bands.get("B4"), bands.get("B5", 0), bands.getNumber("B3").add(1), bands.size()
    (182, 0, 220, 2)
    >>> bands.keys(), bands.values(), bands.values(["B4"]), bands.contains("B5")
    (['B3', 'B4'], [219, 182], [182], False)
    >>> bands.combine({"B4": 0, "B5": 7}), bands.combine({"B4": 0}, False)
    ({'B3': 219, 'B4': 0, 'B5': 7}, {'B3': 219, 'B4': 182})
    >>> bands.map(lambda name, value: ee.Number(value).add(1)), bands.remove(["B4"])
    ({'B3': 220, 'B4': 183}, {'B3': 219})
    >>> ee.Dictionary.fromLists(["a", "b"], [1, 2]).rename(["a"], ["c"]).select(["c"])
    {'c': 1}
    >>> bands.select(["B.*"]), bands.remove(["B5"], True).size()
    ({'B3': 219, 'B4': 182}, 2)
    >>> bands.set("B5", "no").getString("B5"), bands.getInfo()
    ('no', {'B3': 219, 'B4': 182})
    """

    _name = "ee.Dictionary"

    def __init__(self, dict: Any = None) -> None:
        given = {} if dict is None else dict
        if isinstance(given, list | tuple):
            given = dict_of(given[::2], given[1::2])
        if not isinstance(given, Mapping):
            raise TypeError(
                f"ee.Dictionary() got a {type(given).__name__}; it takes names and values. Write "
                "ee.Dictionary({'name': value})."
            )
        super().__init__({name: value for name, value in sorted(_items(given))})

    def getInfo(self) -> dict[str, Any]:
        """Give a dict of Python."""
        return {name: information(value) for name, value in _items(self)}

    @staticmethod
    def fromLists(keys: Any, values: Any) -> Dictionary:
        """Make one of a list of names and a list of values."""
        return Dictionary(dict_of(keys, values))

    def get(self, key: str, defaultValue: Any = REQUIRED) -> Any:
        """Give a value by its name; the default where there is none of that name."""
        if key in self:
            return wrapped(self[key])
        if defaultValue is not REQUIRED:
            return wrapped(defaultValue)
        raise KeyError(
            f"ee.Dictionary.get({str(key)!r}): there is no such name, only "
            f"{', '.join(repr(str(name)) for name, _ in _items(self)) or 'none'}. Give a default: "
            "get(name, default)."
        )

    def getNumber(self, key: str, defaultValue: Any = REQUIRED) -> Number:
        """Give a value that is a number."""
        return Number(self.get(key, defaultValue))

    def getString(self, key: str, defaultValue: Any = REQUIRED) -> String:
        """Give a value that is a text."""
        return String(self.get(key, defaultValue))

    def set(self, key: str, value: Any) -> Dictionary:
        """Add a value, or replace the one of that name."""
        return Dictionary({**self, key: value})

    def contains(self, key: str) -> Boolean:
        """Tell whether there is a value of a name."""
        return Boolean(key in self)

    def size(self) -> Number:
        """Count the values."""
        return Number(len(self))

    def keys(self) -> List:  # type: ignore[override]
        """List the names, in the order of the alphabet."""
        return List([name for name, _ in _items(self)])

    def values(self, keys: Any = None) -> List:  # type: ignore[override]
        """List the values in the order of their names, or of given names."""
        if keys is None:
            return List([value for _, value in _items(self)])
        return List([self.get(key) for key in keys])

    def combine(self, second: Any, overwrite: bool = True) -> Dictionary:
        """Add the values of another one; of one name, the other's unless `overwrite` is False."""
        other = Dictionary(second)
        return Dictionary({**self, **other} if overwrite else {**other, **self})

    def select(self, selectors: Any, ignoreMissing: bool = False) -> Dictionary:
        """Keep the values of some names, or of names that regular expressions match."""
        kept = self._matching(selectors, ignoreMissing)
        return Dictionary({key: value for key, value in _items(self) if key in kept})

    def remove(self, selectors: Any, ignoreMissing: bool = False) -> Dictionary:
        """Leave out the values of some names, or of names that regular expressions match."""
        gone = self._matching(selectors, ignoreMissing)
        return Dictionary({key: value for key, value in _items(self) if key not in gone})

    def _matching(self, selectors: Any, ignoreMissing: bool) -> list[str]:
        found: list[str] = []
        for selector in selectors:
            names = [k for k, _ in _items(self) if k == selector or re.fullmatch(selector, k)]
            if not names and not ignoreMissing:
                self.get(selector)  # which says what there is
            found.extend(names)
        return found

    def rename(self, from_: Any, to: Any, overwrite: bool = False) -> Dictionary:
        """Give values other names."""
        becomes = dict_of(from_, to)
        for key in becomes:
            self.get(key)
        return Dictionary({becomes.get(key, key): value for key, value in _items(self)})

    def map(self, function: Callable[[Any, Any], Any]) -> Dictionary:
        """Apply a function to each name and value; what it gives is the new value."""
        return Dictionary(
            {key: function(String(key), wrapped(value)) for key, value in _items(self)}
        )


def _items(mapping: Mapping[str, Any]) -> Any:
    return dict.items(mapping) if isinstance(mapping, dict) else mapping.items()


def dict_of(keys: Any, values: Any) -> dict[str, Any]:
    """Pair names with values."""
    if len(keys) != len(values):
        raise ValueError(
            f"ee.Dictionary got {len(keys)} names and {len(values)} values, which do not pair up. "
            "Give as many."
        )
    return dict(zip(keys, values, strict=True))
