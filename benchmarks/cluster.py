"""What a cluster gives: the same mosaic on clusters of one and two processes or threads, in turn.

Each with the ``MALLOC_TRIM_THRESHOLD_`` that dask's nanny sets, with which the C library gives
memory back at once, and without it. ``python -m benchmarks cluster`` prints seconds and ratios.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import oracle
from benchmarks.compare import warm
from benchmarks.job import Job
from benchmarks.report import aligned, spelled, spread
from benchmarks.routes import qmosaic
from benchmarks.workloads import ensure, workloads

TRIM = "MALLOC_TRIM_THRESHOLD_"
CLUSTERS = ("1x1", "2x1", "1x2")
"""Processes × threads in each."""

Times = dict[str, dict[str, list[float]]]


def speed_up(
    name: str, size: str, rounds: int, data: Path, out: Path, clusters: tuple[str, ...] = CLUSTERS
) -> Times:
    """Time a workload on each cluster, with and without the nanny's ``MALLOC_TRIM_THRESHOLD_``.

    In every round each cluster is started, writes the mosaic once to get warm, and a second time
    against the clock; every pixel is checked.

    Returns
    -------
    dict
        Of each cluster the seconds, round by round, under ``"with"`` and ``"without"``.
    """
    workload = workloads(size)[name]
    store = ensure(workload.scene, data)
    solution = oracle.ensure(workload, store, data)
    warm(store, workload)
    out.mkdir(parents=True, exist_ok=True)
    job = Job(workload, store, out / "cluster.zarr", solution)
    found: Times = {cluster: {"with": [], "without": []} for cluster in clusters}
    for number in range(1, rounds + 1):
        for cluster, seconds in found.items():
            for trim, times in seconds.items():
                times.append(_on_a_cluster(job, cluster, trim == "with"))
        latest = [
            f"{cluster} {s['with'][-1]:.2f} s, {s['without'][-1]:.2f} s"
            for cluster, s in found.items()
        ]
        print(f"round {number}: {'; '.join(latest)}", flush=True)
    shutil.rmtree(job.output)
    (out / "cluster.json").write_text(json.dumps(found, indent=1))
    print(f"{name}, with and without {TRIM}; speed against {clusters[0]}:", table(found), sep="\n")
    return found


def _on_a_cluster(job: Job, shape: str, trim: bool) -> float:
    import dask
    from distributed import Client, LocalCluster

    processes, threads = map(int, shape.split("x"))
    # the nanny leaves in the environment what it starts workers with, and so does one before us
    cleared = {name: value for name, value in os.environ.items() if name != TRIM}
    with (
        mock.patch.dict(os.environ, cleared, clear=True),
        dask.config.set({"distributed.nanny.pre-spawn-environ": environment(trim)}),
        LocalCluster(
            n_workers=processes, threads_per_worker=threads, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        if any((value is not None) != trim for value in client.run(os.getenv, TRIM).values()):
            raise SystemExit(f"workers do not have {TRIM} as they should")
        _write(job)
        seconds = _write(job)
    wrong = oracle.check(job.workload, job.oracle, job.output)["wrong_pixels"]
    if wrong:
        raise SystemExit(f"{wrong} pixels are wrong on a cluster of {shape}")
    return seconds


def environment(trim: bool) -> dict[str, Any]:
    """Give what workers are started with: as dask has it, or without the threshold."""
    import dask
    import distributed  # noqa: F401  # brings its defaults

    given = dask.config.get("distributed.nanny.pre-spawn-environ")
    return {name: value for name, value in given.items() if trim or name != TRIM}


def _write(job: Job) -> float:
    shutil.rmtree(job.output, ignore_errors=True)
    start = time.perf_counter()
    qmosaic(job)
    return time.perf_counter() - start


def table(found: Times) -> str:
    """Write medians and ratios, each with the lowest and the highest; a ratio is within a round."""
    first = next(iter(found))
    heads = ["with, s", "without, s", "with / without", "speed with", "speed without"]
    rows = [["processes × threads", *heads]]
    for cluster, seconds in found.items():
        cells = [spelled(spread(seconds[trim])) for trim in ("with", "without")]
        cells.append(_ratio(seconds["with"], seconds["without"]))
        cells += [_ratio(found[first][trim], seconds[trim]) for trim in ("with", "without")]
        rows.append([cluster, *cells])
    return "\n".join(aligned(rows))


def _ratio(over: list[float], under: list[float]) -> str:
    return spelled(spread([a / b for a, b in zip(over, under, strict=True)]))
