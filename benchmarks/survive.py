"""A job that is hurt and finishes all the same: ``python -m benchmarks survive``.

Two worker processes; one of them is killed on the way; then the client is killed; a new one goes
on. In the end the bytes are compared with those of a run that nothing has happened to. It prints::

    15:45:21  two worker processes: 7248 and 7251
    15:45:23  client 7262: 12 / 64 blocks, 9.04MB read, 983kB written, 16.8 blocks/s, 00:03 left
    15:45:23  worker 7248 killed with SIGKILL
    15:45:23  client 7262: 30 / 64 blocks, 23.3MB read, 2.46MB written, 25.1 blocks/s, 00:01 left
    15:45:23  client 7262 killed with SIGKILL
    15:45:23  open_mosaic: the mosaic in 'hurt.zarr' is not complete: 31 of 64 blocks are there. …
    15:45:25  client 7297 found 32 blocks: 64 / 64 blocks, 25.2MB read, 2.62MB written, 49.7 …
    15:45:26  the same bytes as without all that: sha256 edb6663828d2d613…
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

import qmosaic as qm

IMAGES, SIDE, CHUNK = 40, 1024, 128


def make_collection(path: Path) -> None:
    """Write 40 images of two bands, with clouds that drift."""
    if path.exists():
        return
    group = zarr.open_group(path, mode="w")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    for name, dtype in (("cloud", "uint8"), ("red", "uint16")):
        group.create_array(
            name,
            shape=(IMAGES, SIDE, SIDE),
            chunks=(1, CHUNK, CHUNK),
            dtype=dtype,
            dimension_names=("time", "y", "x"),
        )
    for t in range(IMAGES):
        waves = np.sin(x / rng.uniform(60, 200) + t) + np.sin(y / rng.uniform(60, 200) - t)
        group["cloud"][t] = np.clip(waves * 80, 0, 100).astype("uint8")
        group["red"][t] = (1000 + 100 * t + x % 97).astype("uint16")


def mosaic_of(path: str) -> xr.Dataset:
    """Take the clearest pixels."""
    collection = qm.open_collection(path)  # bands in one order, whatever the store lists first
    quality = qm.scores.inverse(collection["cloud"])
    return qm.quality_mosaic(collection.assign(quality=quality), "quality")


def write(source: str, target: str, mode: str, address: str) -> None:
    """Be the client: write the mosaic on a cluster, and print every block."""
    from distributed import Client

    def tell(progress: qm.Progress) -> None:
        print(json.dumps([progress.done, progress.resumed, str(progress)]), flush=True)

    with Client(address):
        qm.to_zarr(mosaic_of(source), target, mode=mode, progress=tell)  # type: ignore[arg-type]


def client(source: Path, target: Path, mode: str, address: str) -> subprocess.Popen[str]:
    """Start a client as a process of its own."""
    command = [sys.executable, "-m", "benchmarks.survive", str(source), str(target), mode, address]
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)


def follow(running: subprocess.Popen[str], until: int = -1) -> Iterator[tuple[int, int, str]]:
    """Give what a client prints, up to a number of blocks or to its end."""
    assert running.stdout is not None
    for line in running.stdout:
        done, resumed, words = json.loads(line)
        yield done, resumed, words
        if done == until:
            return


def survive(out: Path) -> None:
    """Run the whole story, and print it.

    Raises
    ------
    SystemExit
        The mosaic is not what it should be.
    """
    from distributed import Client, LocalCluster

    out = out.resolve()
    source, hurt, whole = out / "in.zarr", out / "hurt.zarr", out / "whole.zarr"
    make_collection(source)
    for path in (hurt, whole):
        shutil.rmtree(path, ignore_errors=True)
    print(qm.explain(mosaic_of(str(source))), "\n")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as watcher,
    ):
        address = cluster.scheduler_address
        pids = sorted(watcher.run(os.getpid).values())
        say(f"two worker processes: {pids[0]} and {pids[1]}")
        running = client(source, hurt, "w-", address)
        say(f"client {running.pid}: {_last(follow(running, 12))}")
        os.kill(pids[0], signal.SIGKILL)
        say(f"worker {pids[0]} killed with SIGKILL")
        say(f"client {running.pid}: {_last(follow(running, 30))}")
        running.kill()
        running.wait()
        say(f"client {running.pid} killed with SIGKILL")
        try:
            qm.open_mosaic(hurt)
            raise SystemExit("a half-written mosaic was taken for a complete one")
        except qm.IncompleteMosaicError as error:
            say(f"open_mosaic: {error}")
        running = client(source, hurt, "resume", address)
        lines = list(follow(running))
        say(f"client {running.pid} found {lines[0][1]} blocks: {lines[-1][2]}")
        qm.to_zarr(mosaic_of(str(source)), whole, progress=False)
    if running.wait() or digest(hurt) != digest(whole):
        raise SystemExit("the mosaic is not that of a run that nothing has happened to")
    say(f"the same bytes as without all that: sha256 {digest(hurt)[:16]}…")


def _last(lines: Iterator[tuple[int, int, str]]) -> str:
    *_, (_, _, words) = lines
    return words


def say(line: str) -> None:
    """Print with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def digest(path: Path) -> str:
    """Hash all files of a folder, with their names."""
    found: Any = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        found.update(str(file.relative_to(path)).encode())
        found.update(file.read_bytes())
    return str(found.hexdigest())


if __name__ == "__main__":
    write(*sys.argv[1:])
