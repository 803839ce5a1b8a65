"""The steps of an expression as they are collected, and the bands that they read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.scores.expressions import by_chunk, score_dtype
from qmosaic.scores.formulas.kinds import Kind, free_value, kind_of_number
from qmosaic.scores.formulas.steps import Step, compute


@dataclass(frozen=True)
class Part:
    """What a part of an expression is.

    Attributes
    ----------
    kind : Kind
        What is known of its values.
    step : int
        The number of the step that computes it; -1 for numbers.
    number : float or int, optional
        Its value where it is a number.
    array : xarray.DataArray, optional
        The band or score, where it is one and nothing is computed with it.
    given : bool
        Whether that array is one of the collection.
    """

    kind: Kind
    step: int = -1
    number: float | int | None = None
    array: xr.DataArray | None = None
    given: bool = False

    @property
    def is_nan(self) -> bool:
        """Whether it is a number that is none."""
        return self.number is not None and self.number != self.number


def part_of_number(value: float | int) -> Part:
    """Give the part that a number of the text is; with one that 64 bits do not hold floats are
    computed."""
    return Part(kind_of_number(value), number=value)


class Program:
    """Steps, each of them once, though the text may write it twice.

    Parameters
    ----------
    widest : int
        How many dimensions the bands of the collection have; what has fewer (one number an image)
        takes the precision of what it meets.
    """

    def __init__(self, widest: int) -> None:
        self._widest = widest
        self._steps: dict[Step, int] = {}
        self._arrays: list[xr.DataArray] = []

    def emit(self, name: str, inputs: tuple[Part, ...], kind: Kind, *given: Any) -> Part:
        """Add a step, unless it is there already."""
        step = Step(name, tuple(map(self._number_of, inputs)), kind, given)
        return Part(kind, self._steps.setdefault(step, len(self._steps)))

    def _number_of(self, part: Part) -> int:
        if part.step >= 0:
            return part.step
        step = Step("number", (), part.kind, (part.number,))
        return self._steps.setdefault(step, len(self._steps))

    def of_array(self, array: xr.DataArray) -> Part:
        """Take up a band, or a score that a function has made."""
        nodata, (scale, offset) = declared_nodata(array), declared_packing(array)
        weak = array.ndim < self._widest
        dtype = array.dtype.newbyteorder("=")
        if dtype.kind == "f" or (scale, offset) != (1.0, 0.0):
            dtype = np.dtype("float32" if score_dtype(dtype) == np.float32 else "float64")
            kind = Kind(dtype, weak=weak)
        elif dtype.kind == "b":
            kind = Kind(dtype, masked=False, weak=weak)
        else:
            low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
            # no valid pixel has the nodata
            low, high = low + int(nodata == low), high - int(nodata == high)
            kind = Kind(dtype, low, high, masked=nodata is not None, weak=weak)
        self._arrays.append(array)
        part = self.emit("band", (), kind, len(self._arrays) - 1, nodata, scale, offset)
        return replace(part, array=array)

    def computed(self, part: Part) -> xr.DataArray:
        """Compute a part, chunk by chunk where bands are lazy."""
        steps, arrays = self._needed_for(part.step)
        dtype, nodata = free_value(part.kind)
        score = by_chunk(compute, arrays, dtype, steps=steps, into=dtype, nodata=nodata)
        dims = arrays[0].dims
        wanted = (*dims, *(d for d in score.dims if d not in dims))
        score = score if score.dims == wanted else score.transpose(*wanted)
        return score if nodata is None else score.assign_attrs(_FillValue=nodata)

    def _needed_for(self, last: int) -> tuple[tuple[Step, ...], list[xr.DataArray]]:
        """Give the steps behind one of them, and the arrays that they read, numbered anew; arrays
        with the most dimensions come first."""
        every = list(self._steps)
        needed, todo = set(), [last]
        while todo:
            number = todo.pop()
            if number not in needed:
                needed.add(number)
                todo += every[number].inputs
        places = {number: place for place, number in enumerate(sorted(needed))}
        read = [every[number].given[0] for number in places if every[number].name == "band"]
        read.sort(key=lambda number: -self._arrays[number].ndim)
        steps = []
        for number in places:
            step = every[number]
            step = replace(step, inputs=tuple(places[i] for i in step.inputs))
            if step.name == "band":
                step = replace(step, given=(read.index(step.given[0]), *step.given[1:]))
            steps.append(step)
        return tuple(steps), [self._arrays[number] for number in read]
