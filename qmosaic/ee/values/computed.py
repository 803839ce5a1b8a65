"""Values that are not one known value of Python: one for each image, or not computed yet.

Inside `ImageCollection.map` the image stands for all images, and a property of it for one value of
each. A value that depends on pixels (``reduceRegion``) is computed when it is needed. Both are a
`Computed`: the methods of numbers, texts, dates, lists and dictionaries can be called on it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
from dask.delayed import Delayed

from qmosaic.ee.unsupported import Hinting, HintingType, not_supported

_classes: dict[type, type] = {}
"""Types of Python, and the class of `qmosaic.ee` that has their methods."""


UNKNOWN = re.compile(r"<(ee\.\w+|value)( of each of \d+ images|, computed by getInfo\(\))>")
"""What Python writes into a text where a `Computed` is."""


class EachImage(Exception):
    """Not possible for all images at once: `ImageCollection.map` calls its function for each."""


class ValueType(HintingType):
    """The type of values: of a `Computed`, one of them is made for each image, and when needed."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Make a value of an argument, or later of a `Computed`."""
        return lift(super().__call__, *args, _kind=cls, **options)


class Value(Hinting, metaclass=ValueType):
    """A base class of numbers, texts, dates, lists and dictionaries.

    Every method takes a `Computed` in place of any argument, and then gives one.
    """

    def __init_subclass__(cls, of: tuple[type, ...] = (), **options: Any) -> None:
        super().__init_subclass__(**options)
        _classes.update(dict.fromkeys((*of, cls), cls))
        for name, member in list(vars(cls).items()):
            if name.startswith("_") or name == "getInfo":
                continue
            if isinstance(member, staticmethod):
                setattr(cls, name, staticmethod(_lifted(member.__func__)))
            elif callable(member):
                setattr(cls, name, _lifted(member))


def _lifted(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(*args: Any, **options: Any) -> Any:
        return wrapped(lift(method, *args, **options))

    return called


class Computed(Hinting):
    """A value for each image of a collection, or one that is computed when it is needed.

    Parameters
    ----------
    kind : type
        Whose methods it has: `Number`, `String`, `Date`, `List`, `Dictionary`; ``object``, where
        that is not known before it is computed.
    content : list or dask.delayed.Delayed
        One value for each image; or what gives it, or the one value, when computed.
    images : int, optional
        How many images have one each; None: it is one value.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> days = np.array(["2020-07-01", "2020-07-11"], "M8[ns]")
    >>> col = ee.ImageCollection(xr.Dataset({"a": ("time", [1, 2])}, {"time": days}))
    >>> def with_day(image):
    ...     day = image.date().getRelative("day", "year").add(1)
    ...     return image.addBands(ee.Image.constant(day).rename("day")).set("day", day)
    >>> days = col.map(with_day)
    >>> days.dataset["day"].values, days.aggregate_array("day")
    (array([183, 193], dtype=uint8), [183, 193])
    """

    _name = "ee.ComputedObject"

    def __init__(self, kind: type, content: Any, images: int | None = None) -> None:
        self.kind = kind
        self.content = content
        self.images = images
        self.names: list[str] | None = None
        """Of a dictionary: the names in it, where they are known before it is computed."""

    @property
    def is_lazy(self) -> bool:
        """Tell whether it has to be computed."""
        return isinstance(self.content, Delayed)

    def __repr__(self) -> str:
        name = "value" if self.kind is object else f"ee.{self.kind.__name__}"
        if self.images is not None:
            return f"<{name} of each of {self.images} images>"
        return f"<{name}, computed by getInfo()>"

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} was asked whether it is true, in an if, and, or, not of Python, which has "
            "to know at once. Write ee.Algorithms.If(condition, if_true, if_false), or ask "
            "value.getInfo() outside map()."
        )

    __iter__ = None

    def __format__(self, spec: str) -> str:
        raise TypeError(
            f"{self!r} was written into a text of Python, by an f-string or format(), and its "
            "value is not known yet. Write ee.String('B4_').cat(value), or value.getInfo() outside "
            "map()."
        )

    def getInfo(self) -> Any:
        """Compute the value, and give it as one of Python."""
        value = known(self)
        return value.getInfo() if hasattr(value, "getInfo") else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        kinds = set(_classes.values()) if self.kind is object else {self.kind}
        having = [kind for kind in kinds if name in dir(kind)]
        if not having:
            owner = self._name if self.kind is object else f"ee.{self.kind.__name__}"
            there = sorted({n for kind in kinds for n in dir(kind) if not n.startswith("_")})
            raise not_supported(owner, name, there)
        results = {_kind_of(getattr(kind, name)) for kind in having}
        kind = results.pop() if len(results) == 1 else object

        def called(*args: Any, **options: Any) -> Any:
            return lift(_method(name), self, *args, _kind=kind, **options)

        return called


def _method(name: str) -> Callable[..., Any]:
    def call(value: Any, *args: Any, **options: Any) -> Any:
        return getattr(wrapped(value), name)(*args, **options)

    return call


def _kind_of(function: Any) -> type:
    """Find the class of what a method gives, by its annotation."""
    given = getattr(function, "__annotations__", {}).get("return")
    return next((kind for kind in _classes.values() if kind.__name__ == given), object)


def wrapped(value: Any) -> Any:
    """Give a value of Python as one of `qmosaic.ee`, with its methods."""
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
        value = value.item()
    if isinstance(value, Value) or type(value) not in _classes:
        return value
    return _classes[type(value)](value)


def plain(value: Any) -> Any:
    """Give a value of `qmosaic.ee` as one of Python; images and other values as they are."""
    return _plain(value, lambda one: one)


def information(value: Any) -> Any:
    """Give what ``getInfo()`` does, of images and other values in lists and dictionaries too."""
    return _plain(value, lambda one: one.getInfo() if hasattr(one, "getInfo") else one)


def _plain(value: Any, other: Callable[[Any], Any]) -> Any:
    if isinstance(value, Value) and not isinstance(value, list | dict):
        return value.getInfo()
    if isinstance(value, Value) or type(value) in (list, tuple, dict):
        if isinstance(value, dict):
            return {name: _plain(one, other) for name, one in dict.items(value)}
        return [_plain(one, other) for one in value]
    return other(value)


def later(
    kind: type, function: Callable[..., Any], *args: Any, images: int | None = None
) -> Computed:
    """Make a value that is computed when it is needed.

    Parameters
    ----------
    kind : type
        The class of the value; ``object`` where it is not known.
    function : callable
        Gives the value; with `images`, a list of one for each.
    *args : Any
        Its arguments; those that are lazy (of dask or xarray) are computed before.
    images : int, optional
        The number of images.
    """
    return Computed(kind, dask.delayed(function, pure=False)(*args), images)


def lift(
    function: Callable[..., Any], *args: Any, _kind: type | None = None, **options: Any
) -> Any:
    """Call a function; where a `Computed` is among its arguments, for each image and when needed.

    Raises
    ------
    EachImage
        The results are no values, but images or collections, another one for each image.
    ValueError
        Values of two collections were to be combined.
    """
    found = list(_computed_in((args, options)))
    if not found:
        return function(*args, **options)
    kind = _kind_of(function) if _kind is None else _kind
    counts = {one.images for one in found if one.images is not None}
    if len(counts) > 1:
        raise EachImage("values of the images of two collections cannot be combined")
    images = counts.pop() if counts else None
    each = [one.images is not None for one in found]
    places = {id(one): number for number, one in enumerate(found)}
    call = functools.partial(_call, function, _placed((args, options), places), each, images)
    contents = [one.content for one in found]
    if any(one.is_lazy for one in found):
        return Computed(kind, dask.delayed(call, pure=False)(contents), images)
    results = call(contents)
    if not all(_is_value(one) for one in results):
        raise EachImage(f"{function!r} gives another image or collection for each image")
    kinds = {_classes.get(type(one), object) for one in results}
    return Computed(kinds.pop() if len(kinds) == 1 else kind, results, images)


@dataclass(frozen=True)
class _Place:
    """Where a value comes among the arguments of a function."""

    number: int


def _call(
    function: Callable[..., Any],
    arguments: tuple[Any, Any],
    each: list[bool],
    images: int | None,
    contents: list[Any],
) -> Any:
    """Call a function with values in the places of its arguments; for each image, if there are."""

    def once(image: int | None) -> Any:
        pairs = zip(contents, each, strict=True)
        args, options = _filled(arguments, [wrapped(c[image] if e else c) for c, e in pairs])
        return function(*args, **options)

    return once(None) if images is None else [once(image) for image in range(images)]


def _computed_in(arguments: Any) -> Iterator[Computed]:
    if isinstance(arguments, Computed):
        yield arguments
    elif type(arguments) in (list, tuple):
        for one in arguments:
            yield from _computed_in(one)
    elif type(arguments) is dict:
        yield from _computed_in(list(arguments.values()))


def _placed(arguments: Any, places: dict[int, int]) -> Any:
    return _replaced(
        arguments, lambda one: _Place(places[id(one)]) if isinstance(one, Computed) else one
    )


def _filled(arguments: Any, values: list[Any]) -> Any:
    return _replaced(arguments, lambda one: values[one.number] if isinstance(one, _Place) else one)


def _replaced(arguments: Any, replace: Callable[[Any], Any]) -> Any:
    """Replace values in tuples, lists and dictionaries, however deep."""
    if type(arguments) in (tuple, list):
        return type(arguments)(_replaced(one, replace) for one in arguments)
    if type(arguments) is dict:
        return {name: _replaced(one, replace) for name, one in arguments.items()}
    return replace(arguments)


def _is_value(value: Any) -> bool:
    return value is None or type(value) in _classes or isinstance(value, Value | np.generic)


def check_function(function: Any, caller: str) -> None:
    """Refuse what cannot be called.

    Raises
    ------
    TypeError
        It is no function.
    """
    if not callable(function):
        raise TypeError(
            f"{caller} got a {type(function).__name__}, which is no function. Write one, for "
            "instance lambda one: one, or the name of one without its brackets."
        )


def check_returned(made: list[Any], drop_nulls: Any, caller: str) -> None:
    """Refuse a function that gave nothing at all: it has no ``return``.

    https://developers.google.com/earth-engine/guides/debugging: "User-defined methods must return a
    value".

    Raises
    ------
    TypeError
        It gave None each time, and `drop_nulls` does not say that it may.
    """
    if made and all(one is None for one in made) and not drop_nulls:
        raise TypeError(
            f"{caller}: the function returned nothing (None) each time, so there is nothing to go "
            "on with. Write `return` before its result; if it may give None for all, write "
            "dropNulls=True where map() has it."
        )


def known(value: Any, caller: str = "this") -> Any:
    """Give a value of Python; one that is not computed yet is computed.

    Raises
    ------
    EachImage
        Each image has its own. (Inside `ImageCollection.map` its function is called again, for each
        image.)
    """
    if not isinstance(value, Computed):
        return value
    if value.images is not None:
        raise EachImage(f"{caller} needs one value, and each image has its own")
    return wrapped(value.content.compute())


def known_name(name: Any, caller: str) -> Any:
    """Give the name of a band, property or output, as `known`; or a number that stands for one.

    Raises
    ------
    TypeError
        It is a text that Python made of a value that is not known.
    """
    name = known(name, caller)
    if isinstance(name, str) and UNKNOWN.search(name):
        raise TypeError(
            f"{caller} got the name {name!r}: str() wrote a value into it that was not known yet. "
            "Write ee.String('B4_').cat(value)."
        )
    return name


def values_of(value: Any, images: int) -> Any:
    """Give the list of one value for each image, or what gives it when computed."""
    if isinstance(value, Computed) and value.images is not None:
        return value.content
    if isinstance(value, Computed):
        return dask.delayed(lambda one: [one] * images, pure=False)(value.content)
    return [value] * images
