"""How a mosaic is cut into jobs, each of them one task.

A job is a box of the map. Everything that lies in it is written by one task, in whole chunks (or
whole shards) of the store, so no two jobs ever touch the same one.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.engine.graph import Sight, Spans, choose_box

Window = tuple[tuple[int, int], ...]
"""Along each dimension the first pixel, and the one behind the last."""

BAND = "band"
"""The dimension of the bands in a mosaic that is one array: its bands are of one decision."""

BLOCK_BYTES = 4 * 2**20
"""The most bytes of a band that a job makes at once, where it may have less: chunks that are larger
are written in parts."""

TOGETHER = 4
"""So many times larger may a job be where less is read again then."""

ACROSS_BORDERS = 4
"""Units along a side of a job whose blocks are made by ordinary tasks, and have other borders."""


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
        The least that a job does.
    dtype : numpy.dtype
        Its dtype.
    borders : tuple of tuple of int
        Where blocks or chunks of sources end along each dimension.
    read_by_jobs : bool
        Whether a job reads what is behind it itself.
    stored : bool
        Whether it is in the store; what jobs make for themselves alone is not.
    """

    name: Hashable
    key: str
    dims: tuple[Hashable, ...]
    shape: tuple[int, ...]
    unit: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    length: tuple[int, ...]
    dtype: np.dtype[Any]
    borders: tuple[tuple[int, ...], ...]
    read_by_jobs: bool
    stored: bool = True

    def windows(self, box: Mapping[Hashable, slice]) -> Iterator[Window]:
        """Cut what lies in a box into what is made at once: all of it, but for a unit along each
        dimension that the box does not have."""
        steps: list[list[tuple[int, int]]] = []
        for dim, size, unit in zip(self.dims, self.shape, self.unit, strict=True):
            if dim in box:
                steps.append([(box[dim].start, min(box[dim].stop, size))])
            else:
                steps.append([(n, min(n + unit, size)) for n in range(0, size, unit)])
        return itertools.product(*steps)

    @property
    def unit_bytes(self) -> int:
        """The size of what is written at once."""
        sizes = (min(u, n) for u, n in zip(self.unit, self.shape, strict=True))
        return math.prod(sizes) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The size of the whole variable."""
        return math.prod(self.shape) * self.dtype.itemsize

    def pieces(self, window: Window) -> Iterator[tuple[slice, ...]]:
        """Cut a window into units."""
        steps = []
        for (start, stop), unit in zip(window, self.unit, strict=True):
            steps.append([slice(n, min(n + unit, stop)) for n in range(start, stop, unit)])
        return itertools.product(*steps)


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

    def spans(self) -> dict[str, tuple[Spans, ...]]:
        """Say what jobs need of each array."""
        return {
            v.key: tuple(
                Spans(
                    dim,
                    tuple((n, min(n + self.box[dim], size)) for n in range(0, size, self.box[dim])),
                )
                if dim in self.box
                else Spans(None, ((0, size),))
                for dim, size in zip(v.dims, v.shape, strict=True)
            )
            for v in self.variables
        }

    def number(self, place: Mapping[Hashable, int]) -> int:
        """Number the job at a place; dimensions along which there is one job may be left out."""
        if not self.counts:
            return 0
        return int(np.ravel_multi_index([place.get(dim, 0) for dim in self.box], self.counts))

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

    def windows(self, job: int) -> list[tuple[Variable, Window]]:
        """Name what a job makes, in order."""
        group, box = self.find(job)
        return [(v, window) for v in group.variables for window in v.windows(box)]

    @cached_property
    def _borders(self) -> dict[Hashable, list[int]]:
        """Where blocks or source chunks of any of the bands end, along each dimension."""
        found: dict[Hashable, set[int]] = defaultdict(set)
        for variable in self.by_key.values():
            for dim, borders in zip(variable.dims, variable.borders, strict=True):
                found[dim].update(borders)
        return {dim: sorted(borders) for dim, borders in found.items()}

    def cells(self, variable: Variable, window: Window) -> Iterator[Window]:
        """Cut a window where source chunks end: all bands alike, so that they stay of the same
        images."""
        steps = []
        for dim, (low, high) in zip(variable.dims, window, strict=True):
            inner = [n for n in self._borders[dim] if low < n < high]
            steps.append(list(itertools.pairwise((low, *inner, high))))
        return itertools.product(*steps)

    @cached_property
    def by_key(self) -> dict[str, Variable]:
        """The variables by the names of their arrays."""
        return {v.key: v for group in self.groups for v in group.variables}

    def numbered(self) -> Iterator[tuple[Group, int]]:
        """Give each group and the number of its first job."""
        first = 0
        for group in self.groups:
            yield group, first
            first += group.jobs


def make_plan(
    dataset: xr.Dataset,
    units: Mapping[Hashable, tuple[int, ...]],
    sight: Sight,
    block_bytes: int = BLOCK_BYTES,
) -> Plan:
    """Cut the lazy variables of a dataset into jobs.

    Parameters
    ----------
    dataset : xarray.Dataset
        Its dask-backed variables are cut.
    units : mapping
        The chunks of the store, or the shards where there are any, of each variable.
    sight : Sight
        Their arrays.
    block_bytes : int
        The most bytes of a band that a job makes at once, where it may have less.
    """
    groups: list[list[Variable]] = []
    boxes: list[dict[Hashable, int]] = []
    # A store lists its bands in any order, but the numbers of the jobs have to stay.
    found = _lazy_variables(dataset, units, sight, block_bytes)
    for variable in sorted(found, key=lambda v: (len(v.dims), str(v.name))):
        for number, box in enumerate(boxes):
            alike = groups[number][0].read_by_jobs == variable.read_by_jobs
            joined = _join(box, variable) if alike else None
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
    made = (Group(tuple(v), box) for v, box in zip(groups, boxes, strict=True))
    return Plan(tuple(_widened(group, sight, block_bytes) for group in made))


def plan_together(
    dataset: xr.Dataset,
    units: Mapping[Hashable, tuple[int, ...]],
    sight: Sight,
    block_bytes: int,
    order: Sequence[Hashable],
) -> Plan:
    """Cut variables into jobs of which each makes all of them over its box.

    Parameters
    ----------
    dataset, units, sight, block_bytes
        As for `make_plan`. The units of all variables fit into each other.
    order : sequence of hashable
        In which order a job makes them; the first has the dimensions along which jobs follow each
        other, and is not stored.
    """
    found = {
        v.name: replace(v, stored=v.name != order[0])
        for v in _lazy_variables(dataset, units, sight, block_bytes)
    }
    variables = tuple(found[name] for name in order if name in found)
    if not variables:
        return Plan(())
    box = {
        dim: max(v.unit[v.dims.index(dim)] for v in variables if dim in v.dims)
        for dim in variables[0].dims
    }
    return Plan((_widened(Group(variables, box), sight, block_bytes),))


def _widened(group: Group, sight: Sight, block_bytes: int) -> Group:
    """Put units together where less is read again then, or where jobs share less."""

    def of(units: Sequence[int]) -> Group:
        lengths = zip(group.box.items(), units, strict=True)
        return replace(group, box={dim: length * n for (dim, length), n in lengths})

    sizes = dict(zip(group.variables[0].dims, group.variables[0].shape, strict=True))
    pixels = math.prod(min(length, sizes[dim]) for dim, length in group.box.items())
    widest = max(v.dtype.itemsize for v in group.variables)
    largest = max(1, TOGETHER * block_bytes // (pixels * widest))
    # windows of time have images in common, and each mosaic reads them for itself
    apart = sight.periods(v.key for v in group.variables)
    most = [1 if d in apart else n for d, n in zip(group.box, group.counts, strict=True)]
    return of(choose_box(sight, lambda units: of(units).spans(), most, largest))


def _lazy_variables(
    dataset: xr.Dataset,
    units_of: Mapping[Hashable, tuple[int, ...]],
    sight: Sight,
    block_bytes: int,
) -> Iterator[Variable]:
    lazy = {n: v for n, v in dataset.variables.items() if v.chunks is not None and 0 not in v.shape}
    widest = max((v.dtype.itemsize for v in lazy.values()), default=1)
    for name, variable in lazy.items():
        key = variable.data.name
        seen = sight.views[key] is not None
        largest = math.prod([int(max(c)) for c in variable.chunks or ()])
        large = largest * widest > block_bytes
        units, lengths = [], []
        for sizes, unit in zip(variable.chunks or (), units_of[name], strict=True):
            fits = is_even(sizes) and _aligned(sizes[0], unit, sum(sizes))
            block = max(sizes[0], unit)
            units.append(block if fits and not seen else unit)
            alone = fits and not (seen and large)  # a block is a job
            lengths.append(block if alone else unit * (1 if seen else ACROSS_BORDERS))
        yield Variable(
            name,
            key,
            tuple(variable.dims),
            variable.shape,
            tuple(units),
            variable.chunks or (),
            tuple(lengths),
            variable.dtype,
            tuple(_borders_of(key, variable.chunks or (), sight)),
            seen,
        )


def _borders_of(
    key: str, blocks: Sequence[tuple[int, ...]], sight: Sight
) -> Iterator[tuple[int, ...]]:
    for sizes, behind in zip(blocks, sight.borders(key), strict=True):
        ends = {*itertools.accumulate(sizes), *(() if behind is None else behind.tolist())}
        yield tuple(sorted(ends))


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


def is_even(sizes: Sequence[int]) -> bool:
    """Whether blocks are all alike, but for a smaller one at the end."""
    return len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0]


def _aligned(block: int, unit: int, size: int) -> bool:
    """Whether blocks hold whole units, or units whole blocks, along a dimension."""
    return block % unit == 0 or unit % block == 0 or (block >= size and unit >= size)
