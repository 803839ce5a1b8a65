"""``ee.List``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.ee.values.computed import (
    Value,
    check_function,
    check_returned,
    information,
    plain,
    wrapped,
)
from qmosaic.ee.values.numbers import Boolean, Number
from qmosaic.ee.values.texts import String


class List(Value, list[Any], of=(list, tuple)):
    """A list; ``getInfo()`` gives one of Python.

    Every method gives a new list.

    Examples
    --------
    >>> from qmosaic import ee
    >>> some = ee.List([5, 3, 8])
    >>> some.size(), some.get(0), some.get(-1), some.contains(3), some.indexOf(8)
    (3, 5, 8, True, 2)
    >>> some.add(3), some.cat([1]), some.sort(), some.reverse(), some.slice(1)
    ([5, 3, 8, 3], [5, 3, 8, 1], [3, 5, 8], [8, 3, 5], [3, 8])
    >>> ee.List.sequence(1, 12, 4), ee.List.sequence(0, 1, None, 3), ee.List.repeat(0, 2)
    ([1, 5, 9], [0, 0.5, 1], [0, 0])
    >>> some.map(lambda n: ee.Number(n).multiply(2)), some.zip(["a", "b", "c"])
    ([10, 6, 16], [[5, 'a'], [3, 'b'], [8, 'c']])
    >>> some.iterate(lambda n, total: ee.Number(total).add(n), 0)
    16
    >>> some.filter(ee.Filter.gt("item", 4)), ee.List([[1, 2], [3]]).flatten(), some.join("-")
    ([5, 8], [1, 2, 3], '5-3-8')
    >>> some.reduce(ee.Reducer.max()), some.reduce(ee.Reducer.percentile([0, 50]))
    (8, {'p0': 3.0, 'p50': 5.0})
    >>> some.insert(1, 0), some.set(0, 9), some.replace(3, 4), some.remove(5), some.rotate(1)
    ([5, 0, 3, 8], [9, 3, 8], [5, 4, 8], [3, 8], [3, 8, 5])
    >>> some.removeAll([5, 8]), some.retainAll([5, 8]), some.swap(0, 2), some.splice(0, 2, [7])
    ([3], [5, 8], [8, 3, 5], [7, 8])
    >>> twice = ee.List(["a", "b", "a"])
    >>> twice.distinct(), twice.frequency("a"), twice.replaceAll("a", "c"), twice.length()
    (['a', 'b'], 2, ['c', 'b', 'c'], 3)
    >>> twice.containsAll(["a", "b"]), twice.equals(["a"]), twice.lastIndexOfSubList(["a"])
    (True, False, 2)
    >>> some.getNumber(0).add(1), twice.getString(0).cat("!"), twice.getInfo()
    (6, 'a!', ['a', 'b', 'a'])
    >>> ee.List([["a", 1], ["b", 2]]).unzip()
    [['a', 'b'], [1, 2]]
    """

    _name = "ee.List"

    def __init__(self, list: Any) -> None:
        if isinstance(list, str) or not isinstance(list, Iterable):
            raise TypeError(
                f"ee.List() got a {type(list).__name__}, {str(list)[:40]}; it takes a list. Write "
                "ee.List([...]), or ee.List.sequence(1, 12)."
            )
        super().__init__(list)

    def getInfo(self) -> list[Any]:
        """Give a list of Python."""
        return [information(one) for one in self]

    @staticmethod
    def sequence(
        start: float, end: float | None = None, step: float | None = None, count: Any = None
    ) -> List:
        """List numbers from `start` to `end`, which is included, in steps of 1 or of `step`.

        With `count` instead of a step: so many, evenly apart.
        """
        if count is not None:
            apart = step if end is None else (end - start) / max(int(count) - 1, 1)
            return List([Number(start + (apart or 0) * i) for i in range(int(count))])
        if end is None:
            raise ValueError(
                f"ee.List.sequence({start}): it does not say where it ends. Give end, or step and "
                "count."
            )
        by = 1 if step is None else step
        if by == 0:
            raise ValueError(
                f"ee.List.sequence({start}, {end}, 0): a step of 0 never ends. Give another one."
            )
        many = max(math.floor((end - start) / by + 1e-9) + 1, 0)
        return List([Number(start + by * i) for i in range(many)])

    @staticmethod
    def repeat(value: Any, count: float) -> List:
        """List a value several times."""
        return List([value] * int(count))

    def size(self) -> Number:
        """Count its entries."""
        return Number(len(self))

    length = size

    def get(self, index: float) -> Any:
        """Give an entry, by its number from 0; negative ones count from the end."""
        return wrapped(self[self._place(index)])

    def _place(self, index: float) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"ee.List.get({plain(index)}): the list has {len(self)} entries, numbered from 0. "
                "Ask its size() first."
            )
        return int(index)

    def getNumber(self, index: float) -> Number:
        """Give an entry that is a number."""
        return Number(self.get(index))

    def getString(self, index: float) -> String:
        """Give an entry that is a text."""
        return String(self.get(index))

    def contains(self, element: Any) -> Boolean:
        """Tell whether an entry is there."""
        return Boolean(element in self)

    def containsAll(self, other: Any) -> Boolean:
        """Tell whether all entries of another list are there."""
        return Boolean(all(one in self for one in other))

    def equals(self, other: Any) -> Boolean:
        """Tell whether another list has the same entries in the same order."""
        return Boolean(plain(self) == plain(List(other)))

    def indexOf(self, element: Any) -> Number:
        """Give the number of the first such entry, -1 where there is none."""
        return Number(next((i for i, one in enumerate(self) if one == element), -1))

    def lastIndexOfSubList(self, target: Any) -> Number:
        """Give where a list begins in it for the last time, -1 where it is not there."""
        places = range(len(self) - len(target), -1, -1)
        return Number(next((i for i in places if self[i : i + len(target)] == list(target)), -1))

    def frequency(self, element: Any) -> Number:
        """Count how often an entry is there."""
        return Number(plain(self).count(plain(element)))

    def add(self, element: Any) -> List:
        """Append an entry."""
        return List([*self, element])

    def cat(self, other: Any) -> List:
        """Append another list."""
        return List([*self, *other])

    def insert(self, index: float, element: Any) -> List:  # type: ignore[override]
        """Put an entry before another one."""
        place = int(index) if index >= 0 else len(self) + int(index)
        return List([*self[:place], element, *self[place:]])

    def set(self, index: float, element: Any) -> List:
        """Replace an entry."""
        place = self._place(index) % len(self)
        return List([*self[:place], element, *self[place + 1 :]])

    def replace(self, oldval: Any, newval: Any) -> List:
        """Replace the first such entry."""
        place = int(self.indexOf(oldval))
        return List(self) if place < 0 else self.set(place, newval)

    def replaceAll(self, oldval: Any, newval: Any) -> List:
        """Replace all such entries."""
        return List([newval if one == oldval else one for one in self])

    def remove(self, element: Any) -> List:  # type: ignore[override]
        """Leave out the first such entry."""
        place = int(self.indexOf(element))
        return List(self) if place < 0 else List([*self[:place], *self[place + 1 :]])

    def removeAll(self, other: Any) -> List:
        """Leave out all entries of another list."""
        return List([one for one in self if one not in other])

    def retainAll(self, other: Any) -> List:
        """Keep only entries of another list."""
        return List([one for one in self if one in other])

    def distinct(self) -> List:
        """Leave out entries that came before."""
        found: list[Any] = []
        for one in self:
            if one not in found:
                found.append(one)
        return List(found)

    def slice(self, start: float, end: float | None = None, step: float = 1) -> List:
        """Give the entries from `start` on, before `end`."""
        return List(self[int(start) : None if end is None else int(end) : int(step)])

    def splice(self, start: float, count: float, other: Any = None) -> List:
        """Replace `count` entries from `start` on by those of another list."""
        place = int(start)
        return List([*self[:place], *(other or []), *self[place + int(count) :]])

    def reverse(self) -> List:  # type: ignore[override]
        """Give the entries from the last to the first."""
        return List(self[::-1])

    def rotate(self, distance: float) -> List:
        """Move the entries to the left, so that the first ones come last."""
        place = int(distance) % len(self) if self else 0
        return List([*self[place:], *self[:place]])

    def swap(self, pos1: float, pos2: float) -> List:
        """Let two entries change their places."""
        a, b = self._place(pos1), self._place(pos2)
        return self.set(a, self[b]).set(b, self[a])

    def sort(self, keys: Any = None) -> List:  # type: ignore[override]
        """Give the entries in order; with keys, in that of another list."""
        if keys is None:
            return List(sorted(self))
        return List([self[place] for place in sorted(range(len(self)), key=lambda i: keys[i])])

    def flatten(self) -> List:
        """Put the entries of lists in it into one list, however deep they are."""
        flat: list[Any] = []
        for one in self:
            flat.extend(List(one).flatten() if isinstance(one, list | tuple) else [one])
        return List(flat)

    def reduce(self, reducer: Any) -> Any:
        """Reduce its entries to one value, or to a dictionary of the outputs of a reducer.

        Of a reducer with more than one input each entry is a list of them.

        https://developers.google.com/earth-engine/apidocs/ee-list-reduce
        """
        if not hasattr(reducer, "reduce_list"):
            raise TypeError(
                f"ee.List.reduce() got a {type(reducer).__name__}, which does not say how many "
                "values become one. Write reduce(ee.Reducer.mean()), for instance."
            )
        return wrapped(reducer.reduce_list(plain(self)))

    def zip(self, other: Any) -> List:
        """Pair its entries with those of another list, as far as both go."""
        return List([List(pair) for pair in zip(self, other, strict=False)])

    def unzip(self) -> List:
        """Give the first entries of lists in it, then the second ones, and so on."""
        return List([List(entries) for entries in zip(*self, strict=True)])

    def join(self, separator: str = "") -> String:
        """Write its entries as one text."""
        return String(separator.join(str(plain(one)) for one in self))

    def map(self, baseAlgorithm: Callable[[Any], Any], dropNulls: bool = False) -> List:
        """Apply a function to each entry."""
        check_function(baseAlgorithm, "ee.List.map()")
        made = [baseAlgorithm(wrapped(one)) for one in self]
        check_returned(made, dropNulls, "ee.List.map()")
        return List([one for one in made if one is not None] if dropNulls else made)

    def iterate(self, function: Callable[[Any, Any], Any], first: Any) -> Any:
        """Apply a function to each entry and to what it gave for the one before."""
        check_function(function, "ee.List.iterate()")
        result = wrapped(first)
        for one in self:
            result = wrapped(function(wrapped(one), result))
        return result

    def filter(self, filter: Any) -> List:
        """Keep the entries that meet a condition on ``"item"``: ``ee.Filter.gt("item", 4)``."""
        items = np.empty(len(self), object)
        items[:] = [plain(one) for one in self]
        if items.size and all(isinstance(one, int | float) for one in items):
            items = items.astype("float64")
        kept = filter.keep(xr.Dataset(coords={"item": ("time", items)}))
        return List([one for one, keep in zip(self, kept, strict=True) if keep])
