"""What imports and opening a store take: resident memory and seconds, each program in a process.

``python -m benchmarks imports``. What is in memory is more than what a step allocates: the C
library keeps what imports gave back. So programs are compared with each other, not steps. Opening
any store takes memory of xarray's and zarr's: a program without `qmosaic` shows how much.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.workloads import ensure, workloads

ROOT = Path(__file__).resolve().parent.parent

Record = dict[str, Any]

PROGRAMS = {
    "xarray": ["xarray", "open_zarr"],
    "qmosaic": ["xarray", "qmosaic", "open_collection", "to_zarr"],
    "qmosaic, store opened by xarray": ["xarray", "qmosaic", "open_zarr", "to_zarr"],
    "qmosaic with tensorstore": [
        "xarray",
        "tensorstore",
        "qmosaic",
        "open_collection",
        "to_zarr",
    ],
}
"""What each does, step by step. tensorstore is hidden from those that do not name it."""

SHOWN = {
    "xarray": "import xarray, dask.array, zarr",
    "tensorstore": "import tensorstore",
    "qmosaic": "import qmosaic",
    "open_zarr": "xarray.open_zarr(...)",
    "open_collection": "qmosaic.open_collection(...)",
    "to_zarr": "qmosaic.to_zarr(...), 64 kB",
}


def measure_imports(rounds: int, data: Path, out: Path) -> Record:
    """Run the programs in turn, round by round, and print medians of all steps.

    A run goes before, so that no module is compiled by the clock.
    """
    workload = workloads("tiny")["cloudy"]
    store = ensure(workload.scene, data)
    out.mkdir(parents=True, exist_ok=True)
    found: Record = {name: [] for name in PROGRAMS if _missing(name) is None}
    run_once(PROGRAMS["qmosaic"], store, out / "mosaic.zarr")
    for _ in range(rounds):
        for name, runs in found.items():
            runs.append(run_once(PROGRAMS[name], store, out / "mosaic.zarr"))
    shutil.rmtree(out / "mosaic.zarr", ignore_errors=True)
    (out / "imports.json").write_text(json.dumps(found, indent=1))
    print(table(found))
    return found


def _missing(name: str) -> str | None:
    """Say what is not installed for a program."""
    if "tensorstore" in PROGRAMS[name] and importlib.util.find_spec("tensorstore") is None:
        return "tensorstore is not installed"
    return None


def run_once(steps: list[str], store: Path, out: Path) -> list[Record]:
    """Run a program in a fresh process."""
    request = {
        "steps": steps,
        "store": str(store),
        "out": str(out),
        "tensorstore": "tensorstore" in steps,
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._program", json.dumps(request)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )
    record: list[Record] = json.loads(done.stdout.splitlines()[-1])
    return record


def table(found: Record) -> str:
    """Write what was found as text: after each step what is in memory, and how much more that is
    than after the imports of xarray, dask and zarr."""
    lines = []
    for name, steps in PROGRAMS.items():
        lines.append(f"{name}:")
        if name not in found:
            lines.append(f"  skipped: {_missing(name)}")
            continue
        for place, step in enumerate(steps):
            runs = [run[place] for run in found[name]]
            packages = [p for p in runs[0]["packages"] if p not in (step, "qmosaic")]
            also = f"  imports {', '.join(packages)}" if place and packages else ""
            lines.append(
                f"  {SHOWN[step]:34} {megabytes(found, name, step):6.1f} MB"
                f" {more(found, name, step):+6.1f} MB"
                f" {median(run['seconds'] for run in runs):6.2f} s{also}"
            )
    return "\n".join([*lines, *verdicts(found)])


def verdicts(found: Record) -> list[str]:
    """Say what the imports and the opening take, and how much of it is not the package's."""
    bare = more(found, "xarray", "open_zarr")
    ours = more(found, "qmosaic", "open_collection")
    lines = [
        f"qmosaic imported, a store open: {ours:.1f} MB more than import xarray, dask.array, zarr; "
        f"{bare:.1f} MB of it are what xarray.open_zarr takes without qmosaic"
    ]
    name = "qmosaic with tensorstore"
    if name in found:
        lines.append(f"tensorstore takes {more(found, name, 'tensorstore'):.1f} MB")
    return lines


def megabytes(found: Record, name: str, step: str) -> float:
    """Give the median of what is in memory after a step."""
    place = PROGRAMS[name].index(step)
    return median(run[place]["resident"] for run in found[name]) / 1e6


def more(found: Record, name: str, step: str) -> float:
    """Give how much more is in memory after a step than after the first one: the median of the
    differences within a process."""
    place = PROGRAMS[name].index(step)
    return median(run[place]["resident"] - run[0]["resident"] for run in found[name]) / 1e6
