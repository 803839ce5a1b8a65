"""How a mosaic is cut into jobs, each of them one task.

A job is a box of the map. Everything that lies in it is written by one task, in whole chunks (or
whole shards) of the store, so no two jobs ever touch the same one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.engine.graph import overlaps

BAND = "band"
"""The dimension of the bands in a mosaic that is one array: its bands are of one decision."""

ACROSS_BORDERS = 4
"""Units along a side of a job where blocks and units have other borders: a block on the border of
two jobs is made twice, and of four units one or two blocks are."""


@dataclass(frozen=True)
class Variable:
    """A band of a mosaic, in blocks that can be written one by one.

    Attributes
    ----------
    name : hashable
        Its name in the dataset and in the store.
    key : str
        The name of its dask array.
    dims : tuple of hashable
        Its dimensions.
    shape, unit : tuple of int
        Its size, and that of what is written at once: a chunk or shard of the store, or a block
        of the dask array that holds whole ones.
    blocks : tuple of tuple of int
        The sizes of the blocks of the dask array along each dimension.
    length : tuple of int
        The least that a job does: a unit; or several, where the borders of blocks and units do
        not fall together, so that blocks on the border of two jobs, made in both, are few.
    """

    name: Hashable
    key: str
    dims: tuple[Hashable, ...]
    shape: tuple[int, ...]
    unit: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    length: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def unit_bytes(self) -> int:
        """The size of what is written at once."""
        sizes = (min(u, n) for u, n in zip(self.unit, self.shape, strict=True))
        return math.prod(sizes) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The size of the whole variable."""
        return math.prod(self.shape) * self.dtype.itemsize

    def pieces(self, box: Mapping[Hashable, slice]) -> Iterator[tuple[slice, ...]]:
        """Cut what lies in a box into units."""
        steps = []
        for dim, size, unit in zip(self.dims, self.shape, self.unit, strict=True):
            span = box.get(dim, slice(0, size))
            stop = min(span.stop, size)
            starts = range(span.start, stop, unit)
            steps.append([slice(start, min(start + unit, stop)) for start in starts])
        return itertools.product(*steps)

    def parts(self, piece: tuple[slice, ...]) -> Iterator[tuple[tuple[int, ...], Any, Any]]:
        """Number the blocks of a piece; with each goes what part of it is meant, and where in the
        piece that lies."""
        per_dim = [
            list(overlaps(sizes, s.start, s.stop))
            for s, sizes in zip(piece, self.blocks, strict=True)
        ]
        for found in itertools.product(*per_dim):
            numbers, sources, targets = zip(*found, strict=True) if found else ((), (), ())
            yield numbers, sources, targets


@dataclass(frozen=True)
class Group:
    """Variables that are written by the same jobs, as they rest on the same decision.

    Attributes
    ----------
    variables : tuple of Variable
        The variables.
    box : dict
        For each dimension along which jobs follow each other, the length of a job.
    """

    variables: tuple[Variable, ...]
    box: dict[Hashable, int]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """The number of jobs along each dimension of the box."""
        sizes = dict(zip(self.variables[0].dims, self.variables[0].shape, strict=True))
        return tuple(math.ceil(sizes[d] / length) for d, length in self.box.items())

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return math.prod(self.counts)

    @property
    def pixels(self) -> int:
        """The pixels of a job."""
        sizes = dict(zip(self.variables[0].dims, self.variables[0].shape, strict=True))
        return math.prod(min(length, sizes[d]) for d, length in self.box.items())

    @property
    def bytes(self) -> int:
        """The size of all that a job makes."""
        return sum(
            v.dtype.itemsize
            * math.prod(min(self.box.get(d, n), n) for d, n in zip(v.dims, v.shape, strict=True))
            for v in self.variables
        )

    def whole_axes(self) -> dict[Hashable, set[int]]:
        """Name, for each variable, the axes along which a job has all of it."""
        return {
            v.name: {axis for axis, dim in enumerate(v.dims) if dim not in self.box}
            for v in self.variables
        }

    def place(self, job: int) -> dict[Hashable, slice]:
        """Give the box of a job."""
        index = np.unravel_index(job, self.counts) if self.counts else ()
        return {
            dim: slice(int(i) * length, (int(i) + 1) * length)
            for i, (dim, length) in zip(index, self.box.items(), strict=True)
        }


@dataclass(frozen=True)
class Plan:
    """All jobs of a mosaic, numbered through the groups."""

    groups: tuple[Group, ...]

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return sum(group.jobs for group in self.groups)

    def find(self, job: int) -> tuple[Group, dict[Hashable, slice]]:
        """Give the group and the box of a job."""
        for group in self.groups:
            if job < group.jobs:
                return group, group.place(job)
            job -= group.jobs
        raise IndexError(f"there is no job {job}")

    def keys(self, job: int) -> list[Any]:
        """Name the chunks that a job needs, in order."""
        group, box = self.find(job)
        return [
            (variable.key, *block)
            for variable in group.variables
            for piece in variable.pieces(box)
            for block, _, _ in variable.parts(piece)
        ]

    def numbered(self) -> Iterator[tuple[Group, int]]:
        """Give each group and the number of its first job."""
        first = 0
        for group in self.groups:
            yield group, first
            first += group.jobs


def make_plan(dataset: xr.Dataset, units: Mapping[Hashable, tuple[int, ...]]) -> Plan:
    """Cut the lazy variables of a dataset into jobs.

    Parameters
    ----------
    dataset : xarray.Dataset
        Its dask-backed variables are cut.
    units : mapping
        The chunks of the store, or the shards where there are any, of each variable.
    """
    groups: list[list[Variable]] = []
    boxes: list[dict[Hashable, int]] = []
    # A store lists its bands in any order, but the numbers of the jobs have to stay.
    variables = sorted(_lazy_variables(dataset, units), key=lambda v: (len(v.dims), str(v.name)))
    for variable in variables:
        for number, box in enumerate(boxes):
            joined = _join(box, variable)
            if joined is not None:
                groups[number].append(variable)
                boxes[number] = joined
                break
        else:
            groups.append([variable])
            boxes.append(
                {
                    dim: length
                    for dim, length in zip(variable.dims, variable.length, strict=True)
                    if dim != BAND or len(variable.dims) < 3
                }
            )
    return Plan(tuple(Group(tuple(v), box) for v, box in zip(groups, boxes, strict=True)))


def _lazy_variables(
    dataset: xr.Dataset, units_of: Mapping[Hashable, tuple[int, ...]]
) -> Iterator[Variable]:
    for name, variable in dataset.variables.items():
        if variable.chunks is None or not math.prod(variable.shape):
            continue
        units, lengths = [], []
        for sizes, unit in zip(variable.chunks, units_of[name], strict=True):
            regular = len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]
            fits = regular and _aligned(sizes[0], unit, sum(sizes))
            units.append(max(sizes[0], unit) if fits else unit)
            lengths.append(units[-1] if fits else unit * ACROSS_BORDERS)
        yield Variable(
            name,
            variable.data.name,
            tuple(variable.dims),
            variable.shape,
            tuple(units),
            variable.chunks,
            tuple(lengths),
            variable.dtype,
        )


def _join(box: dict[Hashable, int], variable: Variable) -> dict[Hashable, int] | None:
    """Give the box that serves a variable too; None where they have nothing to share."""
    if len(box) < 2 or not set(box) <= set(variable.dims):
        return None
    joined = dict(box)
    for dim, length in zip(variable.dims, variable.length, strict=True):
        if dim in box:
            longer, shorter = max(length, box[dim]), min(length, box[dim])
            if longer % shorter:
                return None
            joined[dim] = longer
    return joined


def _aligned(block: int, unit: int, size: int) -> bool:
    """Whether blocks hold whole units, or units whole blocks, along a dimension."""
    return block % unit == 0 or unit % block == 0 or (block >= size and unit >= size)
