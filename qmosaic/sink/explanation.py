"""What a mosaic will cost, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from qmosaic.engine.graph import Jobs, Reads, Sight, held_by_reductions, name_of, survey
from qmosaic.sink.background import most_under_way
from qmosaic.sink.checking import as_dataset, check_block_bytes
from qmosaic.sink.cutting import Group, Plan, Window, make_plan
from qmosaic.sink.layout import lay_out
from qmosaic.sink.scheduler import capacity
from qmosaic.sink.tables import as_table
from qmosaic.sink.tasks import jobs_of

INDEX_BYTES = 4
"""Bytes a pixel for the winners' positions: 2 up to 32 767 images, and a copy while a band is
taken."""

TASK_BYTES = 4096
"""What a task takes that is written out for one block, as those of some loaders are, with its
view."""

SAMPLE = 64
"""Blocks whose tasks are written out to be counted, where a block is not one task."""

MASK_BYTES = 3
"""Bytes a pixel for the masks of a comparison: which images are valid, better, and were before."""


@dataclass(frozen=True)
class Explanation:
    """What writing a mosaic takes; printing it gives a table.

    Attributes
    ----------
    images : int
        The images whose quality is read.
    compared : int
        The most of them that are compared with each other: all, or those of one period.
    blocks : int
        Jobs: boxes of the map that are computed and written, each by one task.
    tasks : int
        Tasks that the scheduler sees in all, over all batches; estimated from 64 blocks where a
        block is not one task.
    quality_bytes, most_band_bytes : int
        Decoded size of the quality and of the other bands, as they are compared and taken.
    written_bytes : int
        Decoded size of the mosaic.
    peak_bytes : int
        What a worker thread needs at most, on top of the bare process.
    deferred : bool
        Whether a block is one task that reads only what won. If not, inputs lie in memory, or
        blocks share costly work, which is made of tasks of its own; `lanes` says why.
    bands_deferred : bool
        Whether of the bands that are not the quality only what won is read; so it is too where
        blocks share the work of the quality alone.
    quality_read_bytes, most_band_read_bytes : int
        Decoded size of the source chunks behind the quality, all of which are read (fewer with
        ``upper_bound``), and behind the other bands, of which what is read is decided by who wins.
        A chunk counts as often as it is read: a band that is taken and that the quality is made
        of, twice. Exact where all blocks are alike, an estimate from a sample of them elsewhere;
        the size of the bands themselves where a source does not say what it reads. The stored
        size is smaller, by compression, and not told: to find it, a store has to be listed.
    quality_chunks, most_band_chunks : int
        The number of these chunks; 0 where that is not known.
    lanes : dict of str to str
        For each band, how its chunks are read: "tensorstore", which reads several at the same time
        in threads of C++; "slices", by the library that has opened it, and why; or "ordinary tasks
        of dask", why, and what to write instead. The pixels are the same.
    times_read : dict of str to float
        The bands of which chunks are read again, and how often a chunk is read on average: as
        blocks and chunks have other borders (1.6 at most where larger blocks help), or to make
        what all images are compared with (a mean over time).
    apart : bool
        Whether blocks and chunks have other borders.
    summed : tuple of str
        The bands that are read for a sum over images first, and then to decide.
    quality_again : bool
        Whether images are looked at again that are close to the best, or equal to it.
    overlapping : bool
        Whether images are of several windows of time, each of which reads them.
    first : tuple of str
        What all blocks use and is made before them, once: a mean over the map, for instance.
    block_bytes : int
        The most bytes of a band that a block has, where it could have less.
    block : dict
        The size of a block in pixels.
    workers, threads : int
        What the active scheduler works with: workers, and threads of the largest of them. Without
        a cluster one worker, this process; 0 for a cluster that has no worker yet.
    """

    images: int
    compared: int
    blocks: int
    tasks: int
    quality_bytes: int
    most_band_bytes: int
    written_bytes: int
    peak_bytes: int
    deferred: bool
    bands_deferred: bool
    quality_read_bytes: int = 0
    most_band_read_bytes: int = 0
    quality_chunks: int = 0
    most_band_chunks: int = 0
    lanes: dict[str, str] = field(default_factory=dict)
    times_read: dict[str, float] = field(default_factory=dict)
    apart: bool = False
    summed: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    quality_again: bool = False
    overlapping: bool = False
    block_bytes: int = 0
    block: dict[Hashable, int] = field(default_factory=dict)
    workers: int = 0
    threads: int = 0

    @property
    def worker_bytes(self) -> int:
        """What a worker needs at most, all its threads together, on top of the bare process."""
        return self.threads * self.peak_bytes

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{text}" for name, text in self._rows().items())

    def _repr_html_(self) -> str:
        return as_table("What this mosaic takes", self._rows())

    def _rows(self) -> dict[str, str]:
        way = "reads everything: blocks share work"
        if self.deferred:
            way = "reads only what won"
        elif self.bands_deferred:
            way = "blocks share the quality; reads of other bands only what won"
        together = ""
        if self.compared < self.images:
            together = f", of which at most {self.compared} are compared with each other"
        quality, bands = _chunks(self.quality_chunks), _chunks(self.most_band_chunks)
        rows = {
            "images": f"{self.images}{together}",
            "blocks": f"{self.blocks}{self._sizes()}, {self.tasks} tasks; {way}",
            "quality": f"{_size(self.quality_read_bytes)}{quality}, all of it read"
            if not self.quality_again
            else f"at most {_size(self.quality_read_bytes)}{quality} read: all of it, some again",
            "other bands": f"at most {_size(self.most_band_read_bytes)}{bands} read",
            "read by": _named_lanes(self.lanes),
            **self._more_rows(),
            "mosaic": f"{_size(self.written_bytes)} written",
            "memory": f"{_size(self.peak_bytes)} a worker thread, on top of the bare process",
        }
        if self.threads:
            threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
            rows["workers"] = (
                f"{self.workers} with {threads}: {_size(self.worker_bytes)} a worker, on top of "
                "the bare process"
            )
        else:
            rows["workers"] = "none yet"
        return rows

    def _sizes(self) -> str:
        return f" of {' × '.join(map(str, self.block.values()))} pixels" if self.block else ""

    def _more_rows(self) -> dict[str, str]:
        """Say what is read again, and what is made first."""
        rows = {}
        if self.times_read:
            times: dict[float, list[str]] = {}
            for band, often in self.times_read.items():
                times.setdefault(often, []).append(band)
            each = (f"{', '.join(bands)} {often:.3g} ×" for often, bands in times.items())
            rows["read again"] = "; ".join(each)
            why = []
            if self.overlapping:
                why.append("images are of several windows of time")
            if self.apart:
                why.append("blocks and chunks have other borders")
            if self.summed:
                why.append(f"{', '.join(self.summed)}: for a sum over images, then to decide")
            rows["read again"] += f": {'; '.join(why)}"
        if self.first:
            rows["made first"] = (
                f"{', '.join(self.first)}, for all blocks; what that reads is not counted above"
            )
        return rows


def _named_lanes(lanes: Mapping[str, str]) -> str:
    """Name the bands that are read in the same way together."""
    bands: dict[str, list[str]] = {}
    for band, lane in lanes.items():
        bands.setdefault(lane, []).append(band)
    if len(bands) == 1:
        return next(iter(bands))
    return "; ".join(f"{', '.join(names)}: {lane}" for lane, names in bands.items())


def _chunks(number: int) -> str:
    return f" in {number} chunks" if number else ""


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def explain(
    mosaic: xr.Dataset | xr.DataArray,
    *,
    chunks: Mapping[Hashable, int] | None = None,
    shards: Mapping[Hashable, int] | None = None,
    block_bytes: int | None = None,
) -> Explanation:
    """Predict what writing a mosaic takes: images, tasks, bytes, memory. Nothing is computed.

    Parameters
    ----------
    mosaic : xarray.Dataset or xarray.DataArray
        A lazy mosaic.
    chunks, shards : mapping of hashable to int, optional
        The sizes that `to_zarr` will be given.
    block_bytes : int, optional
        As for `to_zarr`.

    Returns
    -------
    Explanation
        Print it for a table; its attributes are numbers. Sizes are in bytes, decoded.

    Raises
    ------
    TypeError
        It is neither Dataset nor DataArray.
    ValueError
        It is in memory, or was not made by `quality_mosaic`; or `chunks` or `shards` cannot be
        right.

    Notes
    -----
    `Explanation.peak_bytes` is an upper estimate of what a worker thread holds: the chunks that it
    reads (twice, for decoding and arithmetic), the best pixels so far with their index and masks,
    the chunk or shard that is made and those that are written meanwhile (twice, for encoding; at
    most 4 MiB of pixels, or one that is larger), and the tasks that travel with a block. Workers
    that have 1.5 times that for each thread, on top of the bare process, finish without spilling,
    pausing or restarts.

    What ordinary tasks of dask hold, where a mask or a `valid` was rechunked, is not seen.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> collection = xr.Dataset({"quality": (("time", "y", "x"), np.ones((9, 64, 64), "uint8"))})
    >>> mosaic = qm.quality_mosaic(collection.chunk(time=1, y=32, x=32), "quality")
    >>> explanation = qm.explain(mosaic)
    >>> explanation.images, explanation.blocks, explanation.quality_bytes
    (9, 4, 36864)
    """
    dataset = as_dataset(mosaic, "explain")
    most = check_block_bytes(block_bytes)
    layout = lay_out(dataset, {}, chunks, shards, 3, most)
    sight = Sight([v.data for v in layout.encoded.variables.values() if v.chunks is not None])
    plan = make_plan(layout.encoded, layout.units, sight, most)
    if not layout.encoding:
        raise ValueError(
            "explain() got a mosaic in memory: nothing of it is left to be computed. Make it of a "
            "collection that is backed by dask, for instance with collection.chunk(time=1)."
        )
    reads: list[Reads] = []
    tasks, deferred, carried = 0, True, 0
    made_first: list[str] = []
    again: dict[str, float] = {}
    apart, windows, summed = False, 1.0, list[str]()
    for group, first in plan.numbered():
        found = survey([layout.encoded.variables[v.name].data for v in group.variables], group.box)
        jobs = jobs_of(group, first, sight, _WindowsOf(plan), "explain", "")
        tasks += _tasks_of(jobs, range(first, first + group.jobs))
        carried = max(carried, jobs.most_carried())
        deferred &= jobs.self_contained or not found
        made_first += [_first_in_words(given) for given in jobs.before]
        inside = {r.band: r.behind.again for r in found}
        for band, times in jobs.times_read.items():
            again[band] = max(times * inside.get(band, 1.0), again.get(band, 1.0))
            windows = max([windows, *(r.windows for r in found)])
            apart |= times > 1.01 * windows
        summed += [band for band, times in inside.items() if times > 1]
        tasks += len(jobs.first()[0])
        reads += found
    if plan.jobs and not reads:
        raise ValueError(
            "explain() found no mosaic: nothing of what it got was made by quality_mosaic(). Make "
            "the mosaic first: qmosaic.explain(qmosaic.quality_mosaic(collection, 'quality'))."
        )
    workers, threads = capacity()
    return Explanation(
        images=sum({r.source: r.images for r in reads if r.first}.values()),
        compared=max((r.compared for r in reads if r.quality), default=0),
        blocks=plan.jobs,
        tasks=tasks,
        quality_bytes=sum(r.total for r in reads if r.quality),
        most_band_bytes=sum(r.total for r in reads if not r.quality),
        written_bytes=sum(v.bytes for group in plan.groups for v in group.variables),
        peak_bytes=_peak(plan, reads) + carried * TASK_BYTES + _reduced(plan, sight),
        deferred=deferred,
        bands_deferred=all(r.deferred for r in reads if not r.quality),
        quality_read_bytes=sum(r.behind.bytes for r in reads if r.quality),
        most_band_read_bytes=sum(r.behind.bytes for r in reads if not r.quality),
        quality_chunks=_sum_of_known(r.behind.chunks for r in reads if r.quality),
        lanes={r.band: r.lane for r in reads if r.band},
        most_band_chunks=_sum_of_known(r.behind.chunks for r in reads if not r.quality),
        times_read={band: round(times, 2) for band, times in again.items() if times > 1},
        apart=apart,
        summed=tuple(dict.fromkeys(summed)),
        first=tuple(dict.fromkeys(made_first)),
        overlapping=windows > 1,
        quality_again=any(r.readings > 1 for r in reads if r.quality),
        block_bytes=most,
        block={d: n for group in plan.groups[:1] for d, n in _block_of(group)},
        workers=workers,
        threads=threads,
    )


def _block_of(group: Group) -> Iterator[tuple[Hashable, int]]:
    """Give the size of a job along the dimensions of the map."""
    sizes = dict(zip(group.variables[0].dims, group.variables[0].shape, strict=True))
    return ((dim, min(length, sizes[dim])) for dim, length in group.box.items())


def _first_in_words(given: Any) -> str:
    """Say what is made before all blocks."""
    count = math.prod(given.shape)
    return f"{name_of(given)} ({count} number{'s' if count > 1 else ''})"


def _sum_of_known(numbers: Iterable[int]) -> int:
    """Add numbers up; 0 where one of them is not known."""
    known = list(numbers)
    return sum(known) if all(known) else 0


def _tasks_of(jobs: Jobs, numbers: range) -> int:
    if jobs.self_contained:
        return len(numbers) + 2
    sample = numbers[:SAMPLE]
    return len(jobs.batch(sample)[0]) * len(numbers) // len(sample)


def _peak(plan: Plan, reads: list[Reads]) -> int:
    """Add up what is alive at the same time in one job."""
    most = 0
    deciding = [r for r in reads if r.quality]
    outcome = sum(r.itemsize + INDEX_BYTES for r in deciding) + MASK_BYTES
    for group in plan.groups:
        written = max(v.unit_bytes for v in group.variables)
        beside = most_under_way(written, group.bytes - written)
        most = max(most, group.pixels * outcome + 2 * (written + beside))  # values and encoded
    return most + max((r.held for r in reads), default=0)


def _reduced(plan: Plan, sight: Sight) -> int:
    """Give what a job holds at most while something is reduced, such as the ranks of a pixel."""
    found = 0.0
    for group in plan.groups:
        for variable in group.variables:
            view = sight.views[variable.key]
            pixels = variable.unit_bytes / variable.dtype.itemsize
            found = max(found, 0.0 if view is None else held_by_reductions(view) * pixels)
    return round(found)


@dataclass(frozen=True)
class _WindowsOf:
    """Stands for the work of a plan where only its windows are asked for."""

    plan: Plan

    def windows(self, job: int) -> list[tuple[str, Window]]:
        """See `qmosaic.engine.graph.Work`."""
        return [(variable.key, window) for variable, window in self.plan.windows(job)]

    def accept(self, name: str, numbers: tuple[int, ...], chunk: Any) -> Any:
        """See `qmosaic.engine.graph.Work`."""
        raise NotImplementedError("a plan that is explained is not run")

    def __call__(self, job: int, parts: object) -> None:
        """See `qmosaic.engine.graph.Work`."""
        raise NotImplementedError("a plan that is explained is not run")
