"""One run of one route in a process of its own; the last line printed is its record as JSON.

A fresh process each time: no route inherits another's imports, caches, threads or memory.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from benchmarks import oracle
from benchmarks.counting import counting
from benchmarks.forms import shaped
from benchmarks.job import Job
from benchmarks.questions import QUESTIONS, workload_of
from benchmarks.questions import asked as answered
from benchmarks.routes import ROUTES, Route
from benchmarks.workloads import workloads


def memory(field: str) -> int:
    """Give VmRSS (now) or VmHWM (peak) in bytes.

    The kernel's own peak of this process image: `ru_maxrss` also knows the parent's memory from
    before the fork. Where there is no /proc, `ru_maxrss` has to do.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Have the kernel begin anew with the peak: what was prepared is not to count. Only Linux
    can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def cpu() -> float:
    """Give the CPU seconds of this process and of its finished children."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def measure(route: Route, job: Job, *, check: bool = True) -> dict[str, Any]:
    """Run a route by the clock; imports and preparations are done before, the check afterwards."""
    _get_ready(route, job)
    if route.prepare is not None:
        forget_peak()
    rss, cpu_before, start = memory("VmRSS"), cpu(), time.perf_counter()
    work(route, job)
    wall = time.perf_counter() - start
    record: dict[str, Any] = {
        "wall": wall,
        "cpu": cpu() - cpu_before,
        "peak": memory("VmHWM"),
        "rss_before": rss,
    }
    if check and route.written:
        record |= oracle.check(job.workload, job.oracle, job.output)
    return record


def work(route: Route, job: Job) -> None:
    """Do what the clock sees, in a frame of its own: `profiling` knows it by that."""
    route.run(job)


def count(route: Route, job: Job) -> dict[str, Any]:
    """Run a route without the clock and count tasks, chunks and bytes."""
    _get_ready(route, job)
    with counting(job) as counts:
        route.run(job)
    return counts if route.tell is None else {**counts, **route.tell(job)}


def _get_ready(route: Route, job: Job) -> None:
    for module in route.modules:
        importlib.import_module(module)
    if "zarr" in route.modules:
        # zarr's search for codec pipelines, which imports zarrs where that is installed, is a part
        # of importing, not of the work
        importlib.import_module("zarr.registry").get_pipeline_class()
    if route.prepare is not None:
        route.prepare(job)


def main(request: str) -> None:
    """Carry out a request of `compare`, `shapes` or `beyond` and print the record."""
    warnings.simplefilter("ignore")
    asked = json.loads(request)
    workload = workloads(asked["size"])[asked["workload"]]
    question = asked.get("question")
    if question is not None:
        workload = workload_of(QUESTIONS[question], workload)
    job = Job(
        workload,
        Path(asked["store"]),
        Path(asked["output"]),
        Path(asked["oracle"]),
        relaid=Path(asked["relaid"]) if "relaid" in asked else None,
    )
    shutil.rmtree(job.output, ignore_errors=True)
    shape = asked.get("shape")
    if question is not None:
        route = answered(question, asked["route"])
    else:
        route = ROUTES[asked["route"]] if shape is None else shaped(shape, asked["route"])
    try:
        if asked["count"]:
            record = count(route, job)
        else:
            record = measure(route, job, check=asked.get("check", True))
    except Exception as error:
        traceback.print_exc()
        record = {"error": f"{type(error).__name__}: {error}"[:500]}
    finally:
        shutil.rmtree(job.output, ignore_errors=True)
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
