"""What a cluster gives: the same mosaic with one worker process and with two, in turn.

``python -m benchmarks cluster`` prints a row for every round, and the ratios.
"""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

from benchmarks import oracle
from benchmarks.compare import warm
from benchmarks.job import Job
from benchmarks.routes import qmosaic
from benchmarks.workloads import ensure, workloads


def speed_up(
    name: str, size: str, rounds: int, data: Path, out: Path, *, keep_memory: bool = False
) -> list[tuple[float, float]]:
    """Time a workload on clusters of one and of two workers with one thread each.

    In every round each cluster is started, writes the mosaic once to get warm, and a second time
    against the clock. With `keep_memory` workers are started without the
    ``MALLOC_TRIM_THRESHOLD_`` of dask's nanny, so that the C library may keep memory for the next
    chunk instead of giving it back.

    Returns
    -------
    list of (float, float)
        Seconds with one worker and with two, round by round.
    """
    import dask
    from distributed import Client, LocalCluster

    if keep_memory:
        dask.config.set({"distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1}})

    workload = workloads(size)[name]
    store = ensure(workload.scene, data)
    solution = oracle.ensure(workload, store, data)
    warm(store, workload)
    out.mkdir(parents=True, exist_ok=True)
    job = Job(workload, store, out / "cluster.zarr", solution)
    found: list[tuple[float, float]] = []
    for number in range(1, rounds + 1):
        seconds = []
        for workers in (1, 2):
            with (
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0"
                ) as cluster,
                Client(cluster),
            ):
                _write(job)
                seconds.append(_write(job))
            wrong = oracle.check(workload, solution, job.output)["wrong_pixels"]
            if wrong:
                raise SystemExit(f"{wrong} pixels are wrong with {workers} workers")
        found.append((seconds[0], seconds[1]))
        print(f"round {number}: {seconds[0]:.2f} s, {seconds[1]:.2f} s", flush=True)
    shutil.rmtree(job.output)
    ratios = sorted(a / b for a, b in found)
    print(
        f"{name}: two workers are {statistics.median(ratios):.2f} times as fast as one "
        f"({ratios[0]:.2f}–{ratios[-1]:.2f})"
    )
    return found


def _write(job: Job) -> float:
    shutil.rmtree(job.output, ignore_errors=True)
    start = time.perf_counter()
    qmosaic(job)
    return time.perf_counter() - start
