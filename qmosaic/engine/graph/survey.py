"""What a graph will do, found out without running it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask._task_spec import Alias, DataNode, Task, TaskRef

from qmosaic.engine.deciders import DecideTask
from qmosaic.engine.graph.asking import READ_TOGETHER, in_flight
from qmosaic.engine.graph.chunks import DeferredChunks, Promise
from qmosaic.engine.graph.counting import Sources, count_sources
from qmosaic.engine.graph.deciding import contest_chunks, decide_given
from qmosaic.engine.graph.describing import lane_of
from qmosaic.engine.graph.recipes import Key, Recipes, layer_of, sort_graphs
from qmosaic.engine.graph.taking import take_chunks, take_given
from qmosaic.engine.graph.views import Chunkwise, Each, View, Written, reached
from qmosaic.engine.within import ReduceTask

STEP = 0.75
"""How much a step of arithmetic adds to what a task holds, in chunks: some of its inputs and
intermediate values are alive together. Measured on scores of one to six steps."""


ORDINARY = "ordinary tasks of dask: "
"""How chunks come that no task of a mosaic reads itself, with the reason."""


SHARED_BEFORE = "the bands that have to be valid in the winner are made by such tasks"
"""Why a quality is not read by the tasks of a mosaic, where it could be."""


DECIDING = (contest_chunks, decide_given)
TAKING = (take_chunks, take_given)
"""What is given chunks that others make: the images are its second argument where it decides, the
bytes of the chunks the eighth, and what the band promises comes first of what others make."""


@dataclass(frozen=True)
class Reads:
    """What the tasks of one band may read.

    Attributes
    ----------
    quality : bool
        Whether they read all of it, to decide.
    first : bool
        Whether it is the first band of a decision, by which its images are counted.
    images : int
        The number of images, 0 where it is not known.
    compared : int
        The most of them that are compared with each other: all, or those of one period.
    total : int
        The bytes of the whole band.
    block : int
        The pixels of its largest block of the map.
    itemsize : int
        Bytes a pixel.
    held : int
        The most bytes that a task holds of what it reads, and of what that is derived from.
    deferred : bool
        Whether a task reads what it chooses; if not, all of the band is read.
    source : str
        The array that they read, by which those of several decisions can be told apart.
    behind : Sources
        What stands behind the whole band, to be read; of the size of the band itself and without
        a number of chunks where that is not known.
    band : str
        The name of the band, "" where it is not known.
    lane : str
        How its chunks come: "tensorstore", or else and why.
    readings : int
        How often a chunk is read at most, as far as that is known.
    windows : float
        In how many periods an image is, on average: more than one where windows of time overlap.
    """

    quality: bool
    first: bool
    images: int
    compared: int
    total: int
    block: int
    itemsize: int
    held: int
    deferred: bool
    source: str
    behind: Sources
    band: str = ""
    lane: str = ""
    readings: int = 1
    windows: float = 1.0


def survey(arrays: Sequence[Any], box: Mapping[Hashable, int] | None = None) -> list[Reads]:
    """Find out what making some arrays will read, without reading anything.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
        Bands of mosaics, or what is derived from them.
    box : mapping, optional
        The pixels that a job has along dimensions of the map.
    """
    recipes = sort_graphs(*(array.__dask_graph__() for array in arrays))
    deciding, first = _sources_of_decisions(recipes)
    reduced = _sources_of_reductions(recipes)
    found = [
        _reads_of(node.value, deciding.get(key), reduced.get(key), key in first, box or {})
        for key, node in recipes.tasks.items()
        if isinstance(node, DataNode) and isinstance(node.value, DeferredChunks)
    ]
    found += _reads_of_trees(recipes)
    return found


def _sources_of_decisions(recipes: Recipes) -> tuple[dict[Key, DecideTask], set[Key]]:
    """Give what reads each source of a decision; and name those of qualities, the first that a
    decision reads: the others are demands, or decide among equals."""
    found: dict[Key, DecideTask] = {}
    qualities: set[Key] = set()
    for layer in recipes.symbolic.values():
        if isinstance(layer.task.func, DecideTask):
            given = [s.key for s, _ in layer.indices if isinstance(s, TaskRef)]
            keys = [key for k in given for key in _behind(recipes, k)]
            found |= dict.fromkeys(keys, layer.task.func)
            qualities |= set(keys[:1])
    return found, qualities


def _sources_of_reductions(recipes: Recipes) -> dict[Key, ReduceTask]:
    """Give what reduces each band, where bands are reduced."""
    found: dict[Key, ReduceTask] = {}
    for layer in recipes.symbolic.values():
        if isinstance(layer.task.func, ReduceTask):
            given = [s.key for s, _ in layer.indices if isinstance(s, TaskRef)]
            found |= dict.fromkeys(_behind(recipes, given[0]), layer.task.func)
    for node in recipes.tasks.values():
        task = getattr(getattr(node, "func", None), "task", None)
        if isinstance(node, Task) and isinstance(task, ReduceTask):
            found |= dict.fromkeys(_behind(recipes, _keys_given(node)[0]), task)
    return found


def _behind(recipes: Recipes, key: Key) -> list[Key]:
    """Name the source that a task gives: itself, or the one that it gives something made first."""
    node = recipes.tasks[key]
    return [key] if isinstance(node, DataNode) else _keys_given(node)[:1]


def _keys_given(task: Any) -> list[Key]:
    """Name the tasks whose results a task is given, in order; dask before 2025.2 has aliases."""
    return [a.key for a in task.args if isinstance(a, TaskRef | Alias)]


def _reads_of(
    source: DeferredChunks,
    task: DecideTask | None,
    reducing: ReduceTask | None,
    first: bool,
    box: Mapping[Hashable, int],
) -> Reads:
    sizes = source.map_chunks
    margin = _margin_of(task)
    block = math.prod(
        min(box.get(d, max(c, default=0)) + 2 * margin.get(d, 0), sum(c))
        for d, c in zip(source.map_dims, sizes, strict=True)
    )
    pixels = int(np.prod([sum(c) for c in sizes], dtype=np.int64))
    images, itemsize = sum(source.time_chunks), source.dtype.itemsize
    chunk = max(1, block * itemsize * int(np.diff(source.firsts).max(initial=1)))
    at_once = max(READ_TOGETHER // chunk, in_flight(chunk)) * chunk
    held = int(at_once * (2 + STEP * min(4, _steps(source))))
    held += source.beside * in_flight(max(chunk, source.beside))
    size = images * pixels * itemsize
    behind = count_sources(source, size, box) or Sources(size, 0)
    compared, often = images, 1.0
    if task is not None and task.periods is not None:
        counts = [len(members) for members in task.periods.members]
        compared, often = max(counts, default=0), sum(counts) / max(1, images)
        size, behind = round(size * often), behind.times(often)
    quality, readings = first, 0
    if task is not None:
        decider = task.decider
        quality |= decider.reads_all
        held = held * decider.at_once + decider.holds(compared, block, itemsize)
        readings = decider.readings(compared, block, itemsize) + (not quality)  # and is taken
    if reducing is not None:
        held += reducing.reducer.holds(compared, block, itemsize)
        readings += 1
    behind = behind.times(max(1, readings))
    return Reads(
        quality,
        first,
        images,
        compared,
        size,
        block,
        itemsize,
        held,
        True,
        source.name,
        behind,
        source.origin.band,
        lane_of(source),
        max(1, readings),
        often,
    )


def held_by_reductions(view: View) -> float:
    """Give what functions hold that make less of more, such as a median over ranks: bytes for each
    pixel of what is made, with two copies in the longest floats."""
    found = 0.0
    for one in reached(view):
        if isinstance(one, Chunkwise | Written) and one.inputs:
            made = max(1, math.prod(one.shape))
            given = [
                (math.prod(v.shape), (v.dtype or np.dtype(float)).itemsize) for v in one.inputs
            ]
            size, itemsize = max(given)
            if size > made:
                found = max(found, size / made * (itemsize + 2 * 8))
    return found


def _margin_of(task: DecideTask | None) -> dict[Hashable, int]:
    """Say how far beyond a window a decision looks, by dimension of the map."""
    if task is None or not task.margin:
        return {}
    return dict(zip(task.dims[-len(task.margin) :], task.margin, strict=True))


def _steps(source: DeferredChunks) -> int:
    """Count the steps of arithmetic behind an image."""
    return sum(
        isinstance(v, Each | Chunkwise | Written) and bool(v.inputs) for v in reached(source.view)
    )


def _reads_of_trees(recipes: Recipes) -> list[Reads]:
    """The same for bands that stay ordinary dependencies."""
    sizes: dict[tuple[Any, bool], list[int]] = defaultdict(list)
    images: dict[tuple[Any, bool], int] = {}
    compared: dict[tuple[Any, bool], int] = {}
    promises: dict[tuple[Any, bool], Promise] = {}
    for key, node in recipes.tasks.items():
        if isinstance(node, Task) and node.func in DECIDING + TAKING:
            given = [a.value if isinstance(a, DataNode) else a for a in node.args[:8]]
            name = layer_of(key), node.func in DECIDING
            sizes[name].append(given[7])
            images[name] = given[1] if name[1] else 0
            compared[name] = max(_most_compared(node, images[name]), compared.get(name, 0))
            # the first that it is given is what the band promises
            promise = recipes.tasks[_keys_given(node)[0]]
            assert isinstance(promise, DataNode)
            promises[name] = promise.value
    return [
        Reads(
            name[1],
            name[1],
            images[name],
            compared[name],
            sum(found),
            0,
            1,
            4 * max(found),
            False,
            promises[name].name,
            Sources(sum(found), 0),
            promises[name].origin.band,
            ORDINARY + (promises[name].why or SHARED_BEFORE),
        )
        for name, found in sizes.items()
    ]


def _most_compared(node: Task, images: int) -> int:
    """Count the images that a task compares at most."""
    task = node.args[0].value if isinstance(node.args[0], DataNode) else node.args[0]
    periods = task.periods if isinstance(task, DecideTask) else None
    return images if periods is None else max(map(len, periods.members), default=0)
