"""What one run of a route is given: where to read, where to write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Job:
    """One run: where to read, where to write and what the oracle has prepared."""

    workload: Workload
    store: Path
    output: Path
    oracle: Path
