"""Object stores: mosaics are read from and written to S3, and read over plain HTTP."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import ObjectStore

import qmosaic as qm
from tests.job import same_as
from tests.sources import dates, expected, in_store, random_stack

obstore = pytest.importorskip("obstore", reason="obstore is in the extra [s3]")
moto = pytest.importorskip("moto.server", reason="moto is in the extra [test]")

pytestmark = [
    # sockets that the servers' own threads leave to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    # moto and botocore use what newer Pythons have given up
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of S3 on this machine, with one bucket."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    import boto3

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="mosaics")
    yield url
    server.stop()


def bucket(endpoint: str, prefix: str, name: str = "mosaics") -> ObjectStore:
    """Open a folder of the bucket as a user would."""
    return ObjectStore(
        obstore.store.S3Store(
            name,
            prefix=prefix,
            endpoint=endpoint,
            region="us-east-1",
            access_key_id="x",
            secret_access_key="x",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
    )


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    """Bands of six images."""
    return random_stack(images=6)


def uploaded(values: dict[str, np.ndarray], store: ObjectStore) -> xr.Dataset:
    """Write a collection to a store, and open it lazily."""
    for name, band in values.items():
        array = zarr.create_array(
            store,
            name=name,
            shape=band.shape,
            chunks=(1, 8, 8),
            dtype=band.dtype,
            dimension_names=("time", "y", "x"),
            overwrite=True,
        )
        array[:] = band
    collection = xr.open_zarr(store, chunks={}, consolidated=False, mask_and_scale=False)
    return collection.assign_coords(time=dates(6))


def check(store: ObjectStore, values: dict[str, np.ndarray]) -> None:
    """Compare a mosaic in a bucket with the oracle."""
    opened = qm.open_mosaic(store, mask_and_scale=False)
    for name, want in expected(values).items():
        np.testing.assert_array_equal(opened[name].values, want)


def test_from_s3_to_s3(endpoint: str, values: dict[str, np.ndarray]) -> None:
    """Read there, written there; interrupted and gone on with; replaced; one writer at a time."""
    collection = uploaded(values, bucket(endpoint, "in.zarr"))
    mosaic = qm.quality_mosaic(collection, "quality")
    out = bucket(endpoint, "out.zarr")

    def stop(progress: qm.Progress) -> None:
        if progress.done == 4:
            raise RuntimeError("enough")

    with dask.config.set(scheduler="synchronous"), pytest.raises(RuntimeError, match="enough"):
        qm.to_zarr(mosaic, out, progress=stop)
    with pytest.raises(qm.IncompleteMosaicError, match="4 of 9"):
        qm.open_mosaic(out)
    told: list[qm.Progress] = []

    def second(progress: qm.Progress) -> None:
        told.append(progress)
        if progress.done == 6:
            with pytest.raises(qm.StoreInUseError):
                qm.to_zarr(mosaic, bucket(endpoint, "out.zarr"), mode="w")

    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, out, mode="resume", progress=second)
    assert [p.done for p in told] == [5, 6, 7, 8, 9]
    check(out, values)
    with pytest.raises(FileExistsError):
        qm.to_zarr(mosaic, out)
    qm.to_zarr(mosaic[["red"]], out, mode="w")
    assert set(qm.open_mosaic(out).data_vars) == {"red"}


def test_s3_from_other_processes(endpoint: str, values: dict[str, np.ndarray]) -> None:
    """Workers open the bucket themselves."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    collection = uploaded(values, bucket(endpoint, "in.zarr"))
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        qm.to_zarr(qm.quality_mosaic(collection, "quality"), bucket(endpoint, "cluster.zarr"))
    check(bucket(endpoint, "cluster.zarr"), values)


def test_a_bucket_that_is_not_there(endpoint: str, values: dict[str, np.ndarray]) -> None:
    """The error names it."""
    collection = uploaded(values, bucket(endpoint, "in.zarr"))
    with pytest.raises(Exception, match="nowhere"):
        qm.to_zarr(
            qm.quality_mosaic(collection, "quality"), bucket(endpoint, "out.zarr", "nowhere")
        )


class Quiet(SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A folder on the web."""
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_http(site: str, tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """A plain web server cannot list what it has: consolidated metadata say what is there."""
    in_store(values, tmp_path / "www" / "in.zarr")
    with pytest.warns(UserWarning, match="Consolidated metadata"):
        zarr.consolidate_metadata(tmp_path / "www" / "in.zarr")
    web = obstore.store.HTTPStore.from_url(f"{site}/in.zarr", client_options={"allow_http": True})
    collection = xr.open_zarr(
        ObjectStore(web, read_only=True), chunks={}, consolidated=True, mask_and_scale=False
    )
    mosaic = qm.quality_mosaic(collection.assign_coords(time=dates(6)), "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    same_as(tmp_path / "out.zarr", expected(values))
