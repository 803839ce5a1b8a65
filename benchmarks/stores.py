"""obstore against s3fs under zarr, on a server of S3 on this machine.

``python -m benchmarks stores``. The server (moto, in Python) is far slower at each request than a
real one, and both wait for it; what differs is what the client adds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import zarr
from zarr.storage import FsspecStore, ObjectStore

SHAPES = {"200 chunks of 2 kB": (200, 32), "20 chunks of 1 MB": (20, 724)}


def compare_stores(rounds: int = 5) -> None:
    """Write and read arrays through both, in turn, and print medians and ratios."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="bench")
    openers: dict[str, Callable[[str], Any]] = {
        "obstore": lambda path: _obstore(url, path),
        "s3fs": lambda path: _s3fs(url, path),
    }
    for shape, (chunks, side) in SHAPES.items():
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in openers}
        for number in range(rounds + 1):
            for name, opener in openers.items():
                times = _write_and_read(opener, f"{name}-{side}-{number}", chunks, side)
                if number:
                    found[name].append(times)
        for step, title in enumerate(("written", "read")):
            medians = {n: statistics.median(t[step] for t in times) for n, times in found.items()}
            ratio = statistics.median(
                s[step] / o[step] for o, s in zip(found["obstore"], found["s3fs"], strict=True)
            )
            print(
                f"{shape} {title}: obstore {medians['obstore']:.2f} s, s3fs {medians['s3fs']:.2f} "
                f"s, {ratio:.1f} times as long"
            )
    server.stop()


def _obstore(url: str, path: str) -> ObjectStore:
    from obstore.store import S3Store

    options: dict[str, Any] = {"endpoint": url, "region": "us-east-1"}
    secrets = {"access_key_id": "x", "secret_access_key": "x"}
    http = {"allow_http": True}
    return ObjectStore(S3Store("bench", prefix=path, client_options=http, **options, **secrets))


def _s3fs(url: str, path: str) -> FsspecStore:
    options = {"endpoint_url": url, "key": "x", "secret": "x"}
    return FsspecStore.from_url(f"s3://bench/{path}", storage_options=options)


def _write_and_read(
    opener: Callable[[str], Any], path: str, chunks: int, side: int
) -> tuple[float, float]:
    values = np.random.default_rng(0).integers(0, 60_000, (chunks, side, side), dtype="uint16")
    start = time.perf_counter()
    array = zarr.create_array(
        opener(path), shape=values.shape, dtype=values.dtype, chunks=(1, side, side)
    )
    array[:] = values
    written = time.perf_counter()
    if not (zarr.open_array(opener(path), mode="r")[:] == values).all():
        raise SystemExit(f"{path}: what is read is not what was written")
    return written - start, time.perf_counter() - written
