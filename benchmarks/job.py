"""What one run of a route is given: where to read, where to write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Job:
    """One run: where to read, where to write and what the oracle has prepared.

    Attributes
    ----------
    whole_series : bool
        Whether xarray opens all images as one chunk along time, and not each as it is stored.
    relaid : pathlib.Path or None
        Where stores of the same images in other layouts lie.
    """

    workload: Workload
    store: Path
    output: Path
    oracle: Path
    whole_series: bool = False
    relaid: Path | None = None
