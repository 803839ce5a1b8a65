"""Python as processes of its own, what they print, and clusters of such."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a test gives up waiting; nothing is measured with it."""

MAY_LEAVE_THINGS_BEHIND = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
"""The ``pytestmark`` of tests of processes that are killed: they leave sockets and pipes behind."""


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python as a process of its own, and end it at the end."""
    running = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def job(source: Path, out: Path, mode: str, seconds: float, scheduler: str = "") -> Any:
    """Start a job that writes the mosaic."""
    return process("-m", "tests.support.job", str(source), str(out), mode, str(seconds), scheduler)


def told(running: subprocess.Popen[str], blocks: int = -1) -> list[dict[str, int]]:
    """Read what a job prints, up to a number of blocks or to its end."""
    lines: list[dict[str, int]] = []
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("{"):
            lines.append(json.loads(line))
            if lines[-1]["done"] == blocks:
                break
        elif blocks < 0:
            print(line, end="")
    return lines


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return result


@contextlib.contextmanager
def local_cluster(**options: Any) -> Iterator[Any]:
    """Start worker processes and connect to them."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"} | options
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
