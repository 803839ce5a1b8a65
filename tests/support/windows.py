"""Bands in memory that are opened at windows, as the tasks of a mosaic do, and counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

Window = tuple[tuple[int, int], ...]


class Held:
    """A band as a source: ``open(window)`` gives a reader; `reads` lists the images read."""

    def __init__(
        self,
        values: np.ndarray,
        nodata: Any = None,
        axis: int = 0,
        leaves_out: Collection[int] = (),
    ) -> None:
        self.values, self.nodata, self.axis = values, nodata, axis
        self.leaves_out = leaves_out
        self.dtype, self.images = values.dtype, values.shape[axis]
        self.reads: list[int] = []

    def cut(self, window: Window) -> np.ndarray:
        """Give all images in a window of the map."""
        index = [slice(a, b) for a, b in window]
        index.insert(self.axis, slice(None))
        return self.values[tuple(index)]

    def open(self, window: Window, *, candidates: bool = False) -> HeldReader:
        """Give a reader of a window."""
        return HeldReader(self, self.cut(window))

    def cells(self, window: Window, fewest: int) -> list[Window]:
        """Leave a window whole."""
        return [window]


class HeldReader:
    """Reads images of `Held`, and notes which."""

    def __init__(self, held: Held, values: np.ndarray) -> None:
        self._held, self._values = held, values
        self.images = values.shape[held.axis]
        self.shape = values.shape[: held.axis] + values.shape[held.axis + 1 :]
        self.dtype = values.dtype

    def walk(
        self, positions: Iterable[int], *, ahead: bool = True
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Give the images at `positions`, but those that are left out."""
        for position in positions:
            if position not in self._held.leaves_out:
                yield position, self.image(position)

    def image(self, position: int) -> np.ndarray:
        """Give one image."""
        self._held.reads.append(position)
        return np.take(self._values, position, axis=self._held.axis)
