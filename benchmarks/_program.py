"""The steps of one program in a process of its own; the last line printed is a record as JSON.

Nothing but the standard library is imported before the first step, and nothing of `benchmarks`.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Program:
    """What a program does with one store, step by step."""

    def __init__(self, store: str, out: str) -> None:
        self._store, self._out = store, out
        self._opened: Any = None

    def xarray(self) -> None:
        """Import what every program with a Zarr store imports."""
        for name in ("xarray", "dask.array", "zarr"):
            importlib.import_module(name)

    def tensorstore(self) -> None:
        """Import the reader and writer of chunks."""
        importlib.import_module("tensorstore")

    def qmosaic(self) -> None:
        """Import the package."""
        importlib.import_module("qmosaic")

    def open_zarr(self) -> None:
        """Open the store as one does without `qmosaic`."""
        xr = importlib.import_module("xarray")
        self._opened = xr.open_zarr(
            self._store, chunks={}, consolidated=False, mask_and_scale=False
        )

    def open_collection(self) -> None:
        """Open the store with `qmosaic`."""
        self._opened = importlib.import_module("qmosaic").open_collection(self._store)

    def to_zarr(self) -> None:
        """Make a mosaic and write it."""
        qm = importlib.import_module("qmosaic")
        collection = self._opened.assign(quality=qm.scores.inverse(self._opened["cloud"]))
        qm.to_zarr(qm.quality_mosaic(collection, "quality"), self._out, mode="w", progress=False)


def resident() -> int:
    """Give what this process has in memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise SystemExit("there is no VmRSS in /proc/self/status: this needs Linux")


def measure(step: Callable[[], None]) -> dict[str, Any]:
    """Take a step; give its seconds, what is in memory after it, and which packages it imported."""
    known = set(sys.modules)
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    tops = {name.split(".")[0] for name in known}
    new = {name.split(".")[0] for name in set(sys.modules) - known} - tops
    return {
        "seconds": seconds,
        "resident": resident(),
        "packages": sorted(n for n in new - sys.stdlib_module_names if not n.startswith("_")),
    }


def _hide_zarrs() -> None:
    """Have something small in the place of zarrs, a peer: where it is installed, zarr imports it
    (7 MB) to open any store, used or not."""
    stand_in: Any = types.ModuleType("zarrs")
    stand_in.ZarrsCodecPipeline = type("ZarrsCodecPipeline", (), {})
    sys.modules["zarrs"] = stand_in


def main(request: str) -> None:
    """Carry out a request of `imports` and print the record."""
    warnings.simplefilter("ignore")
    asked = json.loads(request)
    _hide_zarrs()
    if not asked["tensorstore"]:
        sys.modules["tensorstore"] = None  # type: ignore[assignment]  # as if it were not installed
    program = Program(asked["store"], asked["out"])
    print(json.dumps([measure(getattr(program, step)) for step in asked["steps"]]))


if __name__ == "__main__":
    main(sys.argv[1])
