"""Which array of a Zarr store stands behind a source, and what xarray does to its values.

xarray keeps what it wraps in attributes that are not documented: ``array``, ``_array``, ``key`` and
``func``. ``tests/engine/test_lanes.py`` would notice a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from qmosaic.collection.masks import Array

Index = tuple[slice, ...]
"""A window of an array: a slice of step 1 along each axis."""

Decode = Callable[[Any], Any]

PLAIN = ("ImplicitToExplicitIndexingAdapter", "CopyOnWriteArray", "MemoryCachedArray")
"""What xarray puts around an array that gives the same values."""

WRAPPED = 16
"""How often an array may be wrapped."""


@dataclass(frozen=True)
class StoredArray:
    """An array of a Zarr store, as a source gives it.

    Attributes
    ----------
    array : zarr.Array
        What is stored.
    cut : tuple of int or (int, int)
        For each stored axis, the position that is meant; or the axis of the source that follows
        it, and where on the stored axis that begins.
    decode : tuple of callable
        What is done to the stored values, one after the other.
    """

    array: Any
    cut: tuple[Any, ...]
    decode: tuple[Decode, ...]

    def window(self, index: Index) -> tuple[Any, ...]:
        """Give the part of the stored array behind a window of the source."""
        return tuple(
            at
            if isinstance(at, int)
            else slice(index[at[0]].start + at[1], index[at[0]].stop + at[1])
            for at in self.cut
        )

    def decoded(self, values: Array) -> Array:
        """Do to stored values what the source does."""
        for function in self.decode:
            values = function(values)
        return values


def find_stored(source: Any) -> StoredArray | str:
    """Find the stored array behind a source, or say what is there instead."""
    cut: list[Any] = [(axis, 0) for axis in range(getattr(source, "ndim", 0))]
    decode: list[Decode] = []
    for _ in range(WRAPPED):
        if isinstance(source, zarr.Array):
            return StoredArray(source, tuple(cut), tuple(reversed(decode)))
        kind = type(source)
        name = kind.__name__ if kind.__module__.startswith("xarray.") else ""
        if name == "LazilyIndexedArray":
            found = _through(source.key.tuple, source.array.shape, cut)
            if found is None:
                return "it is cut out by steps or by lists of positions"
            cut = found
        elif name == "_ElementwiseFunctionArray":
            decode.append(source.func)
        elif name == "NativeEndiannessArray":
            decode.append(_native)
        elif name == "BoolTypeArray":
            decode.append(_as_bool)
        elif name == "ZarrArrayWrapper":
            source = source._array
            continue
        elif name not in PLAIN:
            return f"it is no array of Zarr ({kind.__name__})"
        source = source.array
    return "it is wrapped too often"


def _moved(along: slice, start: int) -> slice:
    return slice(along.start + start, along.stop + start)


def _through(key: Sequence[Any], shape: Sequence[int], cut: Sequence[Any]) -> list[Any] | None:
    """Follow the axes of an array into the one that it is cut out of; None where that takes more
    than slices of step 1."""
    found: list[Any] = []
    left = list(cut)
    for part, size in zip(key, shape, strict=True):
        if isinstance(part, int | np.integer):
            found.append(int(part) + (size if part < 0 else 0))
            continue
        if not isinstance(part, slice) or not left:
            return None
        start, _, step = part.indices(size)
        if step != 1:
            return None
        follows = left.pop(0)
        found.append(
            follows + start if isinstance(follows, int) else (follows[0], follows[1] + start)
        )
    return found


def _native(values: Any) -> Any:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _as_bool(values: Any) -> Any:
    return values.astype(bool)
