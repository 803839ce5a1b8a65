"""Numbers, texts, lists and dictionaries: each holds a value of Python, and its methods give new
ones.

As in https://developers.google.com/earth-engine/apidocs, under ee.Number, ee.String, ee.List and
ee.Dictionary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any


class Value:
    """What holds a value of Python."""

    def __init__(self, value: Any) -> None:
        self.value = plain(value)

    def getInfo(self) -> Any:
        """Give the value."""
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


def plain(value: Any) -> Any:
    """Take what is in values of this module, also in lists and dictionaries; dates stay dates."""
    if isinstance(value, Value):
        return plain(value.value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return value


def wrapped(value: Any) -> Any:
    """Put a value of Python into its class, so that it has the methods."""
    if isinstance(value, bool | int | float):
        return Number(value)
    for kind, wrapper in ((str, String), (list, List), (dict, Dictionary)):
        if isinstance(value, kind):
            return wrapper(value)
    return value


def whole(number: float) -> Any:
    """Give an integer where nothing is lost."""
    return int(number) if math.isfinite(number) and number == int(number) else number


class Number(Value):
    """A number."""

    @staticmethod
    def parse(text: Any, radix: int = 10) -> Number:
        """Read it from a text."""
        text = plain(text)
        return Number(whole(float(text)) if radix == 10 else int(text, radix))

    def format(self, pattern: str = "%s") -> String:
        """Format it."""
        return String(plain(pattern) % self.value)

    def round(self) -> Number:
        """Round a half away from 0."""
        return Number(int(math.copysign(math.floor(abs(self.value) + 0.5), self.value)))

    def clamp(self, low: Any, high: Any) -> Number:
        """Limit it."""
        return Number(min(max(self.value, plain(low)), plain(high)))

    def unitScale(self, low: Any, high: Any) -> Number:
        """Bring a range to 0 to 1."""
        low, high = plain(low), plain(high)
        return Number(whole((self.value - low) / (high - low)))


def _of_two(function: Callable[[Any, Any], Any]) -> Any:
    return lambda self, right: Number(function(self.value, plain(right)))


def _of_one(function: Callable[[Any], Any]) -> Any:
    return lambda self: Number(function(self.value))


for _name, _function in {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: whole(a / b),
    "pow": lambda a, b: whole(a**b),
    "mod": lambda a, b: whole(math.fmod(a, b)),
    "min": min,
    "max": max,
    "eq": lambda a, b: int(a == b),
    "neq": lambda a, b: int(a != b),
    "lt": lambda a, b: int(a < b),
    "lte": lambda a, b: int(a <= b),
    "gt": lambda a, b: int(a > b),
    "gte": lambda a, b: int(a >= b),
    "And": lambda a, b: int(bool(a) and bool(b)),
    "Or": lambda a, b: int(bool(a) or bool(b)),
    "hypot": lambda a, b: whole(math.hypot(a, b)),
    "bitwiseAnd": lambda a, b: a & b,
    "bitwiseOr": lambda a, b: a | b,
    "bitwiseXor": lambda a, b: a ^ b,
    "leftShift": lambda a, b: a << b,
    "rightShift": lambda a, b: a >> b,
}.items():
    setattr(Number, _name, _of_two(_function))

for _name, _function in {
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": lambda a: whole(math.sqrt(a)),
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "signum": lambda a: (a > 0) - (a < 0),
    "int": int,
    "toInt": int,
    "float": float,
    "toFloat": float,
    "double": float,
    "Not": lambda a: int(not a),
}.items():
    setattr(Number, _name, _of_one(_function))


class String(Value):
    """A text."""

    def __init__(self, value: Any) -> None:
        super().__init__(str(plain(value)))

    def cat(self, other: Any) -> String:
        """Append another one."""
        return String(self.value + plain(other))

    def slice(self, start: Any, end: Any = None) -> String:
        """Cut out a part; numbers below 0 count from the end."""
        return String(self.value[plain(start) : plain(end)])

    def replace(self, regex: Any, replacement: Any, flags: str = "") -> String:
        """Replace the first match of a regular expression, with "g" all."""
        return String(
            re.sub(plain(regex), plain(replacement), self.value, count=0 if "g" in flags else 1)
        )

    def split(self, regex: Any, flags: str = "") -> List:
        """Cut it at matches of a regular expression."""
        return List(re.split(plain(regex), self.value))

    def match(self, regex: Any, flags: str = "") -> List:
        """List the first match and its groups."""
        found = re.search(plain(regex), self.value)
        return List([] if found is None else [found.group(0), *found.groups()])

    def length(self) -> Number:
        """Count its characters."""
        return Number(len(self.value))

    def index(self, pattern: Any) -> Number:
        """Find a text in it, -1 if it is not there."""
        return Number(self.value.find(plain(pattern)))

    def rindex(self, pattern: Any) -> Number:
        """Find a text in it for the last time, -1 if it is not there."""
        return Number(self.value.rfind(plain(pattern)))

    def equals(self, target: Any) -> Any:
        """Compare."""
        return Number(self.value == plain(target))

    def compareTo(self, string2: Any) -> Any:
        """Tell which comes first: -1, 0 or 1."""
        other = plain(string2)
        return Number((self.value > other) - (self.value < other))

    def toLowerCase(self) -> String:
        """Write it small."""
        return String(self.value.lower())

    def toUpperCase(self) -> String:
        """Write it large."""
        return String(self.value.upper())

    def trim(self) -> String:
        """Cut off blanks at both ends."""
        return String(self.value.strip())


class List(Value):
    """A list."""

    @staticmethod
    def sequence(start: Any, end: Any = None, step: Any = 1, count: Any = None) -> List:
        """Make a list of numbers, the end included; or so many, evenly spaced."""
        start, end, step, count = plain([start, end, step, count])
        if count is not None and end is not None:
            step = (end - start) / (count - 1) if count > 1 else 0
            return List([whole(start + i * step) for i in range(count)])
        if end is None:
            return List([start + i * step for i in range(count)])
        made = []
        while (step > 0 and start <= end) or (step < 0 and start >= end):
            made.append(start)
            start += step
        return List(made)

    @staticmethod
    def repeat(value: Any, count: Any) -> List:
        """Make a list of one value."""
        return List([value] * plain(count))

    def size(self) -> Number:
        """Count its entries."""
        return Number(len(self.value))

    length = size

    def get(self, index: Any) -> Any:
        """Give an entry; numbers below 0 count from the end."""
        return wrapped(self.value[plain(index)])

    getNumber = getString = get

    def map(self, algorithm: Callable[[Any], Any], dropNulls: bool = False) -> List:
        """Apply a function to each entry."""
        made = [plain(algorithm(wrapped(one))) for one in self.value]
        return List([one for one in made if not dropNulls or one is not None])

    def iterate(self, function: Callable[[Any, Any], Any], first: Any) -> Any:
        """Apply a function to each entry and what it gave for the one before."""
        for one in self.value:
            first = function(wrapped(one), wrapped(plain(first)))
        return wrapped(plain(first))

    def add(self, element: Any) -> List:
        """Append an entry."""
        return List([*self.value, element])

    def cat(self, other: Any) -> List:
        """Append another list."""
        return List([*self.value, *plain(other)])

    def insert(self, index: Any, element: Any) -> List:
        """Put in an entry before another one."""
        index = plain(index)
        return List([*self.value[:index], element, *self.value[index:]])

    def set(self, index: Any, element: Any) -> List:
        """Replace an entry."""
        made = list(self.value)
        made[plain(index)] = plain(element)
        return List(made)

    def remove(self, element: Any) -> List:
        """Remove the first of equal entries."""
        made = list(self.value)
        if plain(element) in made:
            made.remove(plain(element))
        return List(made)

    def removeAll(self, other: Any) -> List:
        """Remove all entries that are in another list."""
        return List([one for one in self.value if one not in plain(other)])

    def replace(self, oldval: Any, newval: Any) -> List:
        """Replace the first of equal entries."""
        made = list(self.value)
        if plain(oldval) in made:
            made[made.index(plain(oldval))] = plain(newval)
        return List(made)

    def replaceAll(self, oldval: Any, newval: Any) -> List:
        """Replace all equal entries."""
        old, new = plain(oldval), plain(newval)
        return List([new if one == old else one for one in self.value])

    def retainAll(self, other: Any) -> List:
        """Keep the entries that are in another list."""
        return List([one for one in self.value if one in plain(other)])

    def containsAll(self, other: Any) -> Number:
        """Tell whether all entries of another list are there."""
        return Number(all(one in self.value for one in plain(other)))

    def equals(self, other: Any) -> Number:
        """Compare."""
        return Number(self.value == plain(other))

    def splice(self, start: Any, count: Any, other: Any = None) -> List:
        """Put the entries of another list in place of some."""
        start = plain(start)
        end = start + plain(count)
        return List([*self.value[:start], *(plain(other) or []), *self.value[end:]])

    def swap(self, pos1: Any, pos2: Any) -> List:
        """Exchange two entries."""
        made = list(self.value)
        a, b = plain(pos1), plain(pos2)
        made[a], made[b] = made[b], made[a]
        return List(made)

    def unzip(self) -> List:
        """Put the first entries of pairs into one list, the second ones into another."""
        return List([[pair[0] for pair in self.value], [pair[1] for pair in self.value]])

    def slice(self, start: Any, end: Any = None, step: Any = 1) -> List:
        """Cut out a part."""
        return List(self.value[plain(start) : plain(end) : plain(step)])

    def reverse(self) -> List:
        """Turn it round."""
        return List(self.value[::-1])

    def sort(self, keys: Any = None) -> List:
        """Order it, by a list of keys if there is one."""
        if keys is None:
            return List(sorted(self.value))
        order = sorted(range(len(self.value)), key=lambda place: plain(keys)[place])
        return List([self.value[place] for place in order])

    def distinct(self) -> List:
        """Leave out what was there before."""
        made: list[Any] = []
        for one in self.value:
            if one not in made:
                made.append(one)
        return List(made)

    def contains(self, element: Any) -> Any:
        """Tell whether an entry is there."""
        return Number(plain(element) in self.value)

    def indexOf(self, element: Any) -> Number:
        """Find an entry, -1 if it is not there."""
        element = plain(element)
        return Number(self.value.index(element) if element in self.value else -1)

    def frequency(self, element: Any) -> Number:
        """Count equal entries."""
        return Number(self.value.count(plain(element)))

    def flatten(self) -> List:
        """Put what is in lists in it into it."""
        made: list[Any] = []
        for one in self.value:
            made.extend(List(one).flatten().value if isinstance(one, list) else [one])
        return List(made)

    def zip(self, other: Any) -> List:
        """Pair its entries with those of another list."""
        return List([list(pair) for pair in zip(self.value, plain(other), strict=False)])

    def join(self, separator: Any = "") -> String:
        """Make a text of it."""
        return String(plain(separator).join(str(one) for one in self.value))

    def filter(self, condition: Any) -> List:
        """Keep the entries that meet a condition on ``item``."""
        return List([one for one in self.value if condition.test({"item": one})])

    def reduce(self, reducer: Any) -> Any:
        """Reduce its numbers to one, or to a dictionary of several."""
        outputs = reducer.outputs_of([[one] for one in self.value])
        return wrapped(next(iter(outputs.values())) if len(outputs) == 1 else outputs)


class Dictionary(Value):
    """A dictionary; its keys are in alphabetical order."""

    def __init__(self, value: Any = None) -> None:
        given = plain(value)
        if isinstance(given, list):
            given = dict(zip(given[::2], given[1::2], strict=True))
        self.value = {key: given[key] for key in sorted(given or {})}

    @staticmethod
    def fromLists(keys: Any, values: Any) -> Dictionary:
        """Make one of keys and values."""
        return Dictionary(dict(zip(plain(keys), plain(values), strict=True)))

    def keys(self) -> List:
        """List the keys."""
        return List(list(self.value))

    def values(self, keys: Any = None) -> List:
        """List the values, in the order of the keys."""
        return List([self.value[key] for key in (self.value if keys is None else plain(keys))])

    def size(self) -> Number:
        """Count its keys."""
        return Number(len(self.value))

    def get(self, key: Any, defaultValue: Any = None) -> Any:
        """Give the value of a key."""
        key = plain(key)
        return wrapped(plain(defaultValue) if key not in self.value else self.value[key])

    getNumber = getString = get

    def set(self, key: Any, value: Any) -> Dictionary:
        """Set the value of a key."""
        return Dictionary({**self.value, plain(key): plain(value)})

    def contains(self, key: Any) -> Any:
        """Tell whether a key is there."""
        return Number(plain(key) in self.value)

    def combine(self, second: Any, overwrite: bool = True) -> Dictionary:
        """Put two together; of a key that both have, the second's value counts."""
        a, b = self.value, plain(second)
        return Dictionary({**a, **b} if overwrite else {**b, **a})

    def remove(self, selectors: Any, ignoreMissing: bool = False) -> Dictionary:
        """Leave out keys."""
        return Dictionary({k: v for k, v in self.value.items() if k not in plain(selectors)})

    def select(self, selectors: Any, ignoreMissing: bool = False) -> Dictionary:
        """Keep some keys only."""
        return Dictionary({k: self.value[k] for k in plain(selectors) if k in self.value})

    def rename(self, from_: Any, to: Any, overwrite: bool = False) -> Dictionary:
        """Give keys other names."""
        names = dict(zip(plain(from_), plain(to), strict=True))
        return Dictionary({names.get(k, k): v for k, v in self.value.items()})

    def map(self, function: Callable[[Any, Any], Any]) -> Dictionary:
        """Apply a function to each key and its value."""
        made = {k: plain(function(String(k), wrapped(v))) for k, v in self.value.items()}
        return Dictionary(made)
