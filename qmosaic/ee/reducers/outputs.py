"""Outputs of a reducer: what they are called, and of which inputs they are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qmosaic.collection.masks import Array
from qmosaic.ee.reducers.rules import Rule, as_python, with_none

OF_TEXTS = ("first", "last", "count", "countEvery", "toList", "frequencyHistogram")
"""Rules that take other values than numbers."""


@dataclass(frozen=True)
class Output:
    """One output of a reducer.

    Attributes
    ----------
    name : str
        What it is called.
    inputs : tuple of int
        Of which inputs of the reducer it is made.
    rule : Rule
        How it is made.
    """

    name: str
    inputs: tuple[int, ...]
    rule: Rule

    def of_list(self, columns: Sequence[Array], valid: Sequence[Array]) -> Any:
        """Reduce values in memory to one of Python: a column for each input of the reducer."""
        columns = [columns[number] for number in self.inputs]
        here = [valid[number] for number in self.inputs]
        columns, counts = with_none(columns, here, self.rule.optional)
        if self.rule.counts_masked:
            counts = np.ones_like(counts)
        values = [column[counts] for column in columns]
        if values[0].dtype.kind in "UO" and self.rule.name not in OF_TEXTS:
            raise TypeError(
                f"the values to be reduced to {self.name!r} are no numbers, such as "
                f"{values[0].tolist()[:1]}. Reduce a property or band of numbers; texts can be "
                "listed, toList(), and counted, frequencyHistogram()."
            )
        return self.rule.of_list(values)


@dataclass(frozen=True)
class Repeated:
    """An output that is a list: of the outputs of several reducers that are alike."""

    name: str
    parts: tuple[Any, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """Of which inputs of the reducer it is made."""
        return tuple(number for part in self.parts for number in part.inputs)

    def of_list(self, columns: Sequence[Array], valid: Sequence[Array]) -> list[Any]:
        """Reduce values in memory."""
        return [part.of_list(columns, valid) for part in self.parts]


@dataclass(frozen=True)
class Grouped:
    """An output that is a list of dictionaries: what a reducer gives of the values of each group.

    Attributes
    ----------
    name : str
        What it is called.
    inputs : tuple of int
        Those of the reducer, and the one that tells the group at its place among them.
    outputs : tuple of Output
        Those of the reducer.
    field : int
        Which of the inputs tells the group.
    key : str
        What the group is called in the dictionaries.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[Any, ...]
    field: int
    key: str

    def of_list(self, columns: Sequence[Array], valid: Sequence[Array]) -> list[dict[str, Any]]:
        """Reduce values in memory."""
        columns = [columns[number] for number in self.inputs]
        valid = [valid[number] for number in self.inputs]
        group, known_group = columns.pop(self.field), valid.pop(self.field)
        found = []
        for value in np.unique(group[known_group]):
            here = known_group & (group == value)
            own = [[array[here] for array in arrays] for arrays in (columns, valid)]
            results = {output.name: output.of_list(*own) for output in self.outputs}
            found.append({self.key: as_python(value), **results})
        return found


Naming = Literal["band_output", "band", "output"]

AnyOutput = Output | Repeated | Grouped


def renamed(output: AnyOutput, name: str) -> AnyOutput:
    """Give an output another name."""
    return dataclasses.replace(output, name=name)


def moved(output: AnyOutput, places: int) -> AnyOutput:
    """Make an output of inputs that stand further on."""
    if isinstance(output, Repeated):
        parts = tuple(moved(part, places) for part in output.parts)
        return dataclasses.replace(output, parts=parts)
    return dataclasses.replace(output, inputs=tuple(n + places for n in output.inputs))


def as_array(values: Sequence[Any]) -> tuple[Array, Array]:
    """Give values as an array, and which of them are there."""
    there = np.array([v is not None and v == v for v in values], bool)
    kept = [v for v, here in zip(values, there, strict=True) if here]
    array = np.array(kept) if kept else np.empty(0)
    if array.dtype.kind == "b":
        array = array.astype("uint8")
    if array.ndim != 1 or array.dtype.kind not in "biufU":
        array = np.empty(len(kept), object)
        array[:] = kept
    whole = np.zeros(len(values), array.dtype)
    whole[there] = array
    return whole, there
