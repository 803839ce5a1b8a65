"""dask's scheduler is found as dask finds it, and distributed is imported by who makes a client."""

from __future__ import annotations

import concurrent.futures
import functools
import subprocess
import sys
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask.base import get_scheduler

from qmosaic.engine.scheduling import active_scheduler, compute, may_have_client, rechunk
from tests.support.processes import ROOT, local_cluster

NAMES = [None, "", "threads", "THREADING", "sync", "synchronous", "single-threaded"]
NAMES += ["processes", "multiprocessing"]
WRONG = ["distributed", "dask.distributed", "wobble", 5]


def described(scheduler: Any) -> Any:
    """Give what can be compared: of an Executor dask makes a new function at each call."""
    if isinstance(scheduler, functools.partial):
        return scheduler.func, scheduler.args
    return scheduler


def found_by(find: Any) -> Any:
    """Give what a function finds, or the error that it raises."""
    try:
        return described(find())
    except (ValueError, RuntimeError) as error:
        return type(error), str(error)


def check_all() -> None:
    """Compare what is found with what dask finds; distributed has not been imported before."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        given = [*NAMES, dask.get, lambda graph, keys: None, pool]
        ours = []
        for scheduler in given:
            with dask.config.set(scheduler=scheduler):
                ours.append(found_by(active_scheduler))
        with dask.config.set(num_workers=2):
            assert compute(da.ones(4, chunks=2) + 1)[0].tolist() == [2, 2, 2, 2]
        assert rechunk(da.ones(4, chunks=2), 4).chunks == ((4,),)
        assert not may_have_client()
        assert "distributed" not in sys.modules
        for scheduler, wanted in zip(given, ours, strict=True):
            with dask.config.set(scheduler=scheduler):
                assert found_by(get_scheduler) == wanted, scheduler
    for scheduler in WRONG:
        with dask.config.set(scheduler=scheduler):
            told = found_by(active_scheduler)
            assert issubclass(told[0], (ValueError, RuntimeError))
            assert told == found_by(get_scheduler)
    with dask.config.set(get=dask.get):
        assert found_by(active_scheduler)[0] is ValueError


def test_schedulers_are_those_of_dask() -> None:
    """Whatever is set: names in any case, functions, executors, what is wrong. In a process of its
    own, as this one may have imported distributed."""
    code = "from tests.engine.test_scheduling import check_all; check_all(); print('the same')"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "the same", done.stderr


def test_a_client_is_found() -> None:
    """The client of the process, one that is current for a while, and that of a worker's task."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    with local_cluster(processes=False) as client:
        assert active_scheduler() == get_scheduler() == client.get
        assert client.submit(lambda: active_scheduler() == get_scheduler(), pure=False).result()
        assert (compute(da.ones(3, chunks=1))[0] == np.ones(3)).all()
        with dask.config.set(scheduler=dask.get):
            assert active_scheduler() is dask.get
        with distributed.Client(client.cluster, set_as_default=False) as other:
            assert active_scheduler() == client.get
            with other.as_current():
                assert active_scheduler() == get_scheduler() == other.get
    assert active_scheduler() is None


def test_rechunks_are_those_of_dask() -> None:
    """The same names and chunks as dask's own; a method that is set is kept."""
    array = da.ones((6, 6), chunks=(2, 3))
    assert rechunk(array, {0: 3}).name == array.rechunk({0: 3}).name
    assert rechunk(array, array.chunks) is array
    with (
        dask.config.set({"array.rechunk.method": "wobble"}),
        pytest.raises(NotImplementedError, match="wobble"),
    ):
        rechunk(array, 6)
