"""Jobs whose inputs are tasks that are written out: each brings its own, and gives them back."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.highlevelgraph import HighLevelGraph

import qmosaic as qm
from qmosaic.engine.graph import Jobs, Sight, Spans, make_jobs
from qmosaic.engine.graph.jobs import Shared

IMAGES, SIDE, CHUNK = 3, 16, 4


def load(image: int, row: int, column: int) -> np.ndarray:
    """Stand for a loader, which is told what to load."""
    rng = np.random.default_rng([image, row, column])
    return rng.integers(1, 200, (1, CHUNK, CHUNK)).astype("int16")


def loaded() -> da.Array:
    """Write out a task for each chunk, as loaders do."""
    count = SIDE // CHUNK
    tasks = {("loaded", *place): (load, *place) for place in np.ndindex(IMAGES, count, count)}
    graph = HighLevelGraph.from_collections("loaded", tasks, [])
    chunks = ((1,) * IMAGES, (CHUNK,) * count, (CHUNK,) * count)
    return da.Array(graph, "loaded", chunks, dtype="int16")


class Nothing:
    """Work of which nothing is done."""

    def windows(self, job: int) -> list[Any]:
        """Want nothing."""
        return []

    def accept(self, name: str, numbers: Any, chunk: Any) -> Any:
        """Take a chunk as it is."""
        return chunk

    def __call__(self, job: int, parts: Any) -> None:
        """Do nothing."""


def jobs_over(array: da.Array, spans: list[tuple[int, int]]) -> Jobs:
    """Make jobs that go down an array."""
    along = {
        array.name: (
            Spans(None, ((0, IMAGES),)),
            Spans("y", tuple(spans)),
            Spans(None, ((0, SIDE),)),
        )
    }
    return make_jobs(Sight([array]), along, lambda place: place["y"], Nothing(), "jobs", "")


def test_a_job_brings_the_tasks_that_it_needs_and_no_other() -> None:
    """What all jobs share has no tasks of single chunks, however many there are."""
    jobs = jobs_over(loaded(), [(0, 6), (6, 16)])
    assert {place[1] for _, place in jobs.own[0]} == {0, 1}
    assert {place[1] for _, place in jobs.own[1]} == {1, 2, 3}
    assert jobs.shared is not None
    travelled = pickle.loads(pickle.dumps(Shared(jobs.shared, apart=True)))
    (view,) = travelled.views.values()
    assert view.tasks == {}


def test_jobs_that_need_the_same_chunk_do_not_take_it_from_each_other() -> None:
    """A worker runs several jobs at a time, and keeps tasks no longer than they are needed."""
    jobs = jobs_over(loaded(), [(0, 6), (6, 16)])
    assert jobs.shared is not None
    travelled = pickle.loads(pickle.dumps(Shared(jobs.shared, apart=True)))
    (view,) = travelled.views.values()
    both = set(jobs.own[0]) & set(jobs.own[1])
    assert both
    with travelled.lent(jobs.own[0]):
        with travelled.lent(jobs.own[1]):
            assert len(view.tasks) == len(set(jobs.own[0]) | set(jobs.own[1]))
        assert {numbers for _, numbers in jobs.own[0]} == set(view.tasks)
    assert view.tasks == {}


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_loaders_cut_off_their_chunks(scheduler: str, tmp_path: Path) -> None:
    """Rule 11: the same pixels where jobs and the chunks of a loader have other borders."""
    collection = xr.Dataset({n: (("time", "y", "x"), loaded()) for n in ("red", "quality")})
    cut = collection.isel(y=slice(1, 15), x=slice(3, 14))
    mosaic = qm.quality_mosaic(cut, "quality")
    assert qm.explain(mosaic).deferred
    with dask.config.set(scheduler=scheduler, num_workers=2):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", chunks={"y": 4, "x": 5}, progress=False)
    want = qm.quality_mosaic(cut.compute(scheduler="synchronous"), "quality")
    got = qm.open_mosaic(tmp_path / "out.zarr")
    np.testing.assert_array_equal(got["red"], want["red"])
