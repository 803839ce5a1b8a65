"""Functions of single pixels: the engine may call them for any window, not for whole chunks
alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from qmosaic.collection.masks import Array

Function = TypeVar("Function", bound=Callable[..., Any])


def of_single_pixels(function: Function) -> Function:
    """Mark a function that makes each pixel of those at the same place, and of nothing else."""
    function.of_single_pixels = True  # type: ignore[attr-defined]
    return function


class Placed:
    """A function of single pixels that knows where they lie, in the form that dask's ``map_blocks``
    takes.

    Parameters
    ----------
    function : callable
        Gets an array and, as ``corner=``, where its first pixel lies along some axes.
    axes : sequence of int
        These axes.
    chunks : sequence of tuple of int
        The chunks of the array.
    """

    def __init__(
        self,
        function: Callable[..., Array],
        axes: Sequence[int],
        chunks: Sequence[tuple[int, ...]],
    ) -> None:
        self.function, self.axes = function, tuple(axes)
        self.__name__ = "placed"  # for dask, which else puts an address into the names of layers
        self.starts: Mapping[int, tuple[int, ...]] = {
            axis: (0, *itertools.accumulate(chunks[axis][:-1])) for axis in self.axes
        }

    def __call__(self, values: Array, block_id: tuple[int, ...]) -> Array:
        """Call it for a chunk."""
        corner = tuple(self.starts[axis][block_id[axis]] for axis in self.axes)
        return self.function(values, corner=corner)

    def at(self, values: Array, window: Sequence[tuple[int, int]]) -> Array:
        """Call it for a window of the array: along each axis the first pixel, and the one behind
        the last."""
        return self.function(values, corner=tuple(window[axis][0] for axis in self.axes))
