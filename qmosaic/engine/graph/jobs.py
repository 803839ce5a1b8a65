"""Jobs: a task for each part of a mosaic, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dask._task_spec import DataNode, Task, TaskRef

from qmosaic.collection.masks import Array
from qmosaic.engine.graph.deferral import Parts, set_apart
from qmosaic.engine.graph.recipes import Key, Nodes, Recipes, carried_by, sort_graphs
from qmosaic.engine.graph.viewing import walk_over_many

MADE_AGAIN = 1.6
"""How often blocks of a mosaic that was cut may be made on average: those that lie on the border of
two jobs of 4 × 4 units are made in both, in return for jobs that share nothing."""

BLOCKS_TOGETHER = 1024
"""Blocks of a job that may rest on one decision: those of all its bands, so that none is made for
each band anew."""


class Work(Protocol):
    """What is done with the chunks of a mosaic, job by job; it travels to the workers."""

    def keys(self, job: int) -> list[Key]:
        """Name the chunks that a job needs, in the order in which it wants them."""

    def __call__(self, job: int, chunks: Callable[[], Iterator[Array]]) -> Any:
        """Do a job; `chunks()` gives the chunks in order, and may be called again."""


@dataclass
class Jobs:
    """Work on the chunks of several arrays, made into tasks batch by batch.

    Where every job can run all that is behind its chunks itself, it is one task that carries
    nothing but its number; else what is behind the chunks stands in the graph.

    Attributes
    ----------
    name : str
        What the keys of the jobs begin with.
    work : Work
        What is done.
    recipes : Recipes
        All that is behind the chunks.
    shared : Recipes or None
        What a job runs itself; None where it has to stay in the graph.
    extra : dict
        The tasks that only one job needs.
    """

    name: str
    work: Work
    recipes: Recipes
    shared: Recipes | None
    extra: dict[int, Nodes]

    @property
    def self_contained(self) -> bool:
        """Whether a job is one task."""
        return self.shared is not None

    def most_carried(self) -> int:
        """Count the tasks that travel with a job, with the one that has most of them."""
        return max(
            (sum(1 + len(carried_by(n)) for n in extra.values()) for extra in self.extra.values()),
            default=0,
        )

    def batch(self, jobs: Sequence[int]) -> tuple[dict[Key, Any], list[Key]]:
        """Make the graph of some jobs.

        Returns
        -------
        (dict, list)
            The graph and the keys of the jobs.
        """
        work = f"plan of {self.name}"
        graph: dict[Key, Any] = {work: DataNode(work, self.work)}
        if self.shared is not None:
            recipes = f"recipes of {self.name}"
            graph[recipes] = DataNode(recipes, self.shared)
            for job in jobs:
                key = (self.name, job)
                extra = [self.extra[job]] if job in self.extra else []
                graph[key] = Task(key, _run_job, job, TaskRef(work), TaskRef(recipes), *extra)
        else:
            nodes: Nodes = {}
            for job in jobs:
                keys = self.work.keys(job)
                self.recipes.expand(keys, nodes, {})
                key = (self.name, job)
                graph[key] = Task(key, _run_last, job, TaskRef(work), *map(TaskRef, keys))
            graph.update(nodes)
            graph.update(self.recipes.futures)
        return graph, [(self.name, job) for job in jobs]


def make_jobs(
    arrays: Sequence[tuple[Any, set[int]]], work: Work, jobs: Sequence[int], shown: str, run: str
) -> Jobs:
    """Prepare work on the chunks of some arrays.

    Parameters
    ----------
    arrays : sequence of (dask.array.Array, set of int)
        The arrays, and the axes along which a job has all chunks.
    work : Work
        What is to be done.
    jobs : sequence of int
        The numbers of the jobs.
    shown : str
        What dask's displays show of the keys; without a hyphen, as they cut a key there.
    run : str
        Tells the jobs apart from those of other runs.

    Returns
    -------
    Jobs
        Nothing has been run.
    """
    recipes = sort_graphs(*(array.__dask_graph__() for array, _ in arrays))
    apart = set_apart(recipes, arrays, Parts(lambda: jobs, work.keys), again=MADE_AGAIN)
    shared, extra = (None, {}) if apart is None else apart
    return Jobs(f"{shown}-{run}", work, recipes, shared, extra)


def _run_job(job: int, work: Work, recipes: Recipes, extra: Nodes | None = None) -> Any:
    def chunks() -> Iterator[Array]:
        wanted = work.keys(job)
        # a block that several pieces of a job need is made once, and with it what decides it
        last = {key: number for number, key in enumerate(wanted)}
        walk = walk_over_many(recipes, extra or {}, list(last), BLOCKS_TOGETHER)
        held: dict[Key, Array] = {}
        made = 0
        for number, key in enumerate(wanted):
            if key not in held:
                held[key] = walk.make(made)
                walk.drop(made)
                made += 1
            chunk = held.pop(key) if last[key] == number else held[key]
            yield chunk
            del chunk

    return work(job, chunks)


def _run_last(job: int, work: Work, *chunks: Array) -> Any:
    return work(job, lambda: iter(chunks))
