"""The rounds: every route in a process of its own, in turn, so that noise hits all alike."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import oracle
from benchmarks.counting import linked
from benchmarks.routes import ROUTES
from benchmarks.workloads import Workload, chunk_files, ensure, parent, workloads

PACKAGES = (
    "numpy dask xarray zarr numcodecs tensorstore qmosaic odc-algo stackstac satpy rio-tiler zarrs"
).split()
SLOW = 1.5
"""A route that takes so many times as long as the fastest peer may be given fewer rounds."""

ROOT = Path(__file__).resolve().parent.parent

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is to be compared, and where it lies.

    Attributes
    ----------
    few : int or None
        How many rounds are enough for a route whose first took `SLOW` times as long as the fastest
        peer's; its chunks are not counted then.
    """

    workloads: Sequence[str]
    routes: Sequence[str]
    rounds: int
    size: str
    out: Path
    data: Path
    timeout: float = 900.0
    few: int | None = None
    say: Callable[[str], None] = print


def compare(plan: Plan) -> Record:
    """Run the comparison; gives (and writes, after each workload) everything as one record."""
    plan.out.mkdir(parents=True, exist_ok=True)
    results: Record = {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "settings": {
            "rounds": plan.rounds,
            "few": plan.few,
            "size": plan.size,
            "timeout": plan.timeout,
        },
        "workloads": {},
    }
    for name in plan.workloads:
        results["workloads"][name] = compare_workload(workloads(plan.size)[name], plan)
        (plan.out / "results.json").write_text(json.dumps(results, indent=1))
    return results


def compare_workload(workload: Workload, plan: Plan) -> Record:
    """Make the input and the oracle where they are missing, then run the rounds."""
    plan.say(f"{workload.name}: {workload.about}")
    request, stored = prepare(workload, plan.size, plan.data, plan.out)
    routes: dict[str, Record] = {name: _entry(name, workload) for name in plan.routes}
    for number in range(plan.rounds):
        slow = set() if plan.few is None or number < plan.few else _slow(routes)
        for route, entry in routes.items():
            if not entry["skipped"] and not entry["error"] and route not in slow:
                _round(route, entry, request, plan, number)
    slow = set() if plan.few is None else _slow(routes)
    with linked(Path(request["store"])) as store:
        for route, entry in routes.items():
            if not entry["skipped"] and not entry["error"] and route not in slow:
                _count(route, entry, {**request, "store": str(store)}, plan)
    return {
        "about": workload.about,
        "images": workload.scene.images,
        "map": [workload.scene.size] * 2,
        "chunk": [1, workload.scene.chunk, workload.scene.chunk],
        "bands": list(workload.bands),
        "stored_chunks": stored[0],
        "stored_bytes": stored[1],
        "routes": routes,
    }


def prepare(workload: Workload, size: str, data: Path, out: Path) -> tuple[Record, tuple[int, int]]:
    """Make what is missing; give what every run is asked for, and what `warm` gives."""
    data = (data / size).resolve()
    longer = parent(workload.scene, size)
    if longer is not None:
        ensure(longer, data)
    store = ensure(workload.scene, data)
    request = {
        "workload": workload.name,
        "size": size,
        "store": str(store),
        "oracle": str(oracle.ensure(workload, store, data)),
        "output": str(out.resolve() / "mosaic.zarr"),
    }
    return request, warm(store, workload)


def _entry(name: str, workload: Workload) -> Record:
    route = ROUTES[name]
    return {
        "role": route.role,
        "skipped": route.missing() or route.cannot(workload),
        "error": None,
        "counts": None,
        "rounds": [],
    }


def _slow(routes: dict[str, Record]) -> set[str]:
    """Name the routes that cannot be the fastest correct peer, from the first round."""
    first = {name: entry["rounds"][0] for name, entry in routes.items() if entry["rounds"]}
    peers = [
        record["wall"]
        for name, record in first.items()
        if routes[name]["role"] == "peer" and record["wrong_pixels"] == 0
    ]
    enough = SLOW * min(peers, default=float("inf"))
    return {name for name, record in first.items() if record["wall"] > enough}


def _count(route: str, entry: Record, request: Record, plan: Plan) -> None:
    record = run_once({**request, "route": route, "count": True}, plan.timeout)
    if "error" in record:
        entry["error"] = record["error"]
        plan.say(f"  {route}: {record['error']}")
    else:
        entry["counts"] = record


def _round(route: str, entry: Record, request: Record, plan: Plan, number: int) -> None:
    record = run_once({**request, "route": route, "count": False}, plan.timeout)
    if "error" in record:
        entry["error"] = record["error"]
        plan.say(f"  round {number + 1} {route}: {record['error']}")
        return
    entry["rounds"].append(record)
    wrong = record.get("wrong_pixels")
    plan.say(
        f"  round {number + 1} {route}: {record['wall']:.2f} s, "
        f"{record['peak'] / 1e6:.0f} MB" + (f", {wrong} wrong pixels" if wrong else "")
    )


def run_once(request: Record, timeout: float, before: Sequence[str] = ()) -> Record:
    """Run one route once in a fresh process, started by the command `before` where there is one."""
    command = [*before, sys.executable, "-m", "benchmarks._worker", json.dumps(request)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {timeout:g} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        tail = done.stderr.strip().splitlines()[-1:] or ["no output"]
        return {"error": f"ended with status {done.returncode}: {tail[0]}"[:500]}
    record: Record = json.loads(lines[-1])
    return record


def warm(store: Path, workload: Workload) -> tuple[int, int]:
    """Read every chunk file once, so that the first route does not pay for the disk alone.

    Returns
    -------
    tuple of int
        Number of chunk files of the workload's bands, and their bytes.
    """
    sizes = [len(file.read_bytes()) for file in chunk_files(workload, store) if file.is_file()]
    return len(sizes), sum(sizes)


def machine() -> Record:
    """Describe what the comparison ran on."""
    try:
        ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, AttributeError, OSError):
        ram = None
    return {
        "cores": os.cpu_count(),
        "memory": ram,
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Name the versions of what is compared."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
