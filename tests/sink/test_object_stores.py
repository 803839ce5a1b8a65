"""Object stores: mosaics are read from and written to S3, and read over plain HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, ObjectStore

import qmosaic as qm
from qmosaic.sink.fencing import document_of, fence_for, objects
from tests.support.sources import dates, expected, in_store

obstore = pytest.importorskip("obstore", reason="obstore is in the extra [s3]")
moto = pytest.importorskip("moto.server", reason="moto is in the extra [test]")

pytestmark = [
    # moto and botocore, in this very process, may use what newer Pythons have given up
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(moto|botocore|werkzeug|flask).*"),
]

SECRET = "never-to-be-written-down"


@contextlib.contextmanager
def boto(url: str) -> Iterator[Any]:
    """Talk to the server with Amazon's own client."""
    import boto3

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    with contextlib.closing(boto3.client("s3", endpoint_url=url, **keys)) as client:
        yield client


def contents(url: str, prefix: str) -> dict[str, bytes]:
    """Read what is in a folder of the bucket, whatever the stores make of it."""
    with boto(url) as client:
        found = client.list_objects_v2(Bucket="mosaics", Prefix=prefix)
        assert not found["IsTruncated"]
        names = [entry["Key"] for entry in found.get("Contents", [])]
        return {n: client.get_object(Bucket="mosaics", Key=n)["Body"].read() for n in names}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of S3 on this machine, with one bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with boto(url) as client:
        client.create_bucket(Bucket="mosaics")
    yield url
    server.stop()


def bucket(endpoint: str, prefix: str, name: str = "mosaics") -> ObjectStore:
    """Open a folder of a bucket as a user would."""
    return ObjectStore(
        obstore.store.S3Store(
            name,
            prefix=prefix,
            endpoint=endpoint,
            region="us-east-1",
            access_key_id="x",
            secret_access_key=SECRET,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
    )


@pytest.fixture
def mosaic(endpoint: str, values: dict[str, np.ndarray]) -> xr.Dataset:
    """The mosaic, still to be made, of a collection in the bucket."""
    store = bucket(endpoint, "in.zarr")
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
    return qm.quality_mosaic(collection.assign_coords(time=dates(6)), "quality")


@pytest.fixture
def out(endpoint: str, request: pytest.FixtureRequest) -> Callable[[], ObjectStore]:
    """Open the target, new for every test, as often as is asked for."""
    return lambda: bucket(endpoint, f"{request.node.name}.zarr")


def check(store: Store | Path, values: dict[str, np.ndarray]) -> None:
    """Compare a finished mosaic with a loop over the pixels."""
    opened = qm.open_mosaic(store, mask_and_scale=False)
    for name, want in expected(values).items():
        np.testing.assert_array_equal(opened[name].values, want, err_msg=name)


def interrupt(mosaic: xr.Dataset, store: Store, after: int) -> None:
    """Write some blocks and stop."""

    def stop(progress: qm.Progress) -> None:
        if progress.done == after:
            raise RuntimeError("enough")

    with dask.config.set(scheduler="synchronous"), pytest.raises(RuntimeError, match="enough"):
        qm.to_zarr(mosaic, store, progress=stop)


def test_from_s3_to_s3(
    mosaic: xr.Dataset, out: Callable[[], ObjectStore], values: dict[str, np.ndarray]
) -> None:
    """A collection in a bucket becomes the right mosaic in a bucket."""
    qm.to_zarr(mosaic, out())
    check(out(), values)


def test_a_url_as_target(endpoint: str, mosaic: xr.Dataset, values: dict[str, np.ndarray]) -> None:
    """An ``s3://`` URL with storage_options does as well, through s3fs."""
    pytest.importorskip("s3fs", reason="for s3:// URLs only; no extra brings it")
    url = "s3://mosaics/by-url.zarr"
    options = {"endpoint_url": endpoint, "key": "x", "secret": SECRET}
    qm.to_zarr(mosaic, url, storage_options=options)
    check(FsspecStore.from_url(url, storage_options=options), values)


def test_gone_on_with(
    mosaic: xr.Dataset, out: Callable[[], ObjectStore], values: dict[str, np.ndarray]
) -> None:
    """An interrupted mosaic in a bucket is known as such, and only what is missing is made."""
    interrupt(mosaic, out(), after=4)
    with pytest.raises(qm.IncompleteMosaicError, match="4 of 9"):
        qm.open_mosaic(out())
    told: list[qm.Progress] = []
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, out(), mode="resume", progress=told.append)
    assert [p.done for p in told] == [5, 6, 7, 8, 9]
    check(out(), values)


def test_one_writer_at_a_time(mosaic: xr.Dataset, out: Callable[[], ObjectStore]) -> None:
    """While a mosaic is written to a bucket, nobody else can write there."""
    refused: list[int] = []

    def second(progress: qm.Progress) -> None:
        if progress.done == 2:
            with pytest.raises(qm.StoreInUseError):
                qm.to_zarr(mosaic, out(), mode="w")
            refused.append(progress.done)

    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, out(), progress=second)
    assert refused == [2]


def test_nothing_is_replaced_that_came_after_the_look(
    out: Callable[[], ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 writes under conditions: a job that is stopped just before it replaces a chunk, while
    another takes the store over, replaces nothing when it wakes up; and creates nothing where
    there is a chunk."""
    store, buffer = out(), default_buffer_prototype().buffer
    assert objects.keeps_conditions(store, "probe")
    fences = [replace(fence_for(store, "lock", "here", j), number=n) for n, j in enumerate("AB")]
    a, b = fences
    assert a.claim(document_of({"job": "A"}))
    sync(a.writer().set("red/c/0/0", buffer.from_bytes(b"first of A")))
    put = objects._put

    async def late(store: Any, key: str, content: Any, mode: Any) -> None:
        if mode != "create":
            monkeypatch.setattr(objects, "_put", put)
            await asyncio.to_thread(take_over)
        await put(store, key, content, mode)

    def take_over() -> None:
        assert b.claim(document_of({"job": "B"}))
        b.revoke(a.number)
        for name in ("red/c/0/0", "red/c/0/1"):
            sync(b.writer().set(name, buffer.from_bytes(b"B")))
        b.leave()

    monkeypatch.setattr(objects, "_put", late)
    for name in ("red/c/0/0", "red/c/0/1"):
        with pytest.raises(qm.StoreInUseError, match="lock is gone"):
            sync(a.chunk_writer().set(name, buffer.from_bytes(b"second of A")))
    for name in ("red/c/0/0", "red/c/0/1"):
        found = sync(store.get(name, default_buffer_prototype()))
        assert found is not None
        assert found.to_bytes() == b"B"


def test_every_chunk_has_its_object(mosaic: xr.Dataset, out: Callable[[], ObjectStore]) -> None:
    """Chunks that are all fill value are written too, in shards as well: so none can be created by
    a job that wakes up later."""
    empty = (mosaic["red"] * 0).astype("uint16").to_dataset(name="red")
    for options in ({}, {"shards": {"y": 16, "x": 16}}):
        qm.to_zarr(empty, out(), mode="w", **options)
        names = [key for key in contents_of(out()) if key.startswith("red/c/")]
        assert len(names) == (4 if options else 9)
        assert (qm.open_mosaic(out(), mask_and_scale=False)["red"] == 0).all()


def contents_of(store: Store) -> list[str]:
    """Name what is in a store."""

    async def names() -> list[str]:
        return [key async for key in store.list_prefix("")]

    return sync(names())


def test_replaced(mosaic: xr.Dataset, out: Callable[[], ObjectStore]) -> None:
    """What is in the bucket is replaced only if that is asked for, and then wholly."""
    qm.to_zarr(mosaic, out())
    with pytest.raises(FileExistsError):
        qm.to_zarr(mosaic, out())
    qm.to_zarr(mosaic[["red"]], out(), mode="w")
    assert set(qm.open_mosaic(out()).data_vars) == {"red"}


def test_the_source_in_a_bucket_is_not_overwritten(
    endpoint: str, mosaic: xr.Dataset, values: dict[str, np.ndarray]
) -> None:
    """Through obstore or a URL, with whatever keys: the same bucket and prefix is the same store.
    Another group of it, another prefix, and the same name on another server are not."""
    before = contents(endpoint, "in.zarr/")
    derived = mosaic.drop_encoding() + np.uint16(0)
    for target in (bucket(endpoint, "in.zarr"), bucket(endpoint, "")):
        group = None if target.store.prefix else "in.zarr"
        with pytest.raises(ValueError, match=r"made from .*mosaics/in\.zarr"):
            qm.to_zarr(derived, target, group=group, mode="w")
    with contextlib.suppress(ImportError):
        options = {"endpoint_url": endpoint, "key": "x", "secret": "another"}
        with pytest.raises(ValueError, match=r"made from .*mosaics/in\.zarr"):
            qm.to_zarr(derived, "s3://mosaics/in.zarr", storage_options=options, mode="w")
    assert contents(endpoint, "in.zarr/") == before
    for _ in range(2):
        qm.to_zarr(mosaic, bucket(endpoint, "in.zarr"), group="best", mode="w")
        qm.to_zarr(mosaic, bucket(endpoint, "in.zarr2"), mode="w")
    check(bucket(endpoint, "in.zarr/best"), values)
    after = contents(endpoint, "in.zarr/")
    assert {k: v for k, v in after.items() if not k.startswith("in.zarr/best/")} == before


def test_keys_stay_out_of_the_store(
    endpoint: str, mosaic: xr.Dataset, out: Callable[[], ObjectStore]
) -> None:
    """The secret that opens the bucket is in no object that is written, finished or not."""
    interrupt(mosaic, out(), after=4)
    for mode in ("unfinished", "resume"):
        if mode == "resume":
            qm.to_zarr(mosaic, out(), mode="resume")
        objects = contents(endpoint, out().store.prefix)
        assert objects
        assert [key for key, content in objects.items() if SECRET.encode() in content] == []


def test_s3_from_other_processes(
    mosaic: xr.Dataset, out: Callable[[], ObjectStore], values: dict[str, np.ndarray]
) -> None:
    """Workers in processes of their own open the buckets themselves, to read and to write."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    with (
        distributed.LocalCluster(
            processes=True, n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        qm.to_zarr(mosaic, out())
    check(out(), values)


def test_a_bucket_that_is_not_there(endpoint: str, mosaic: xr.Dataset) -> None:
    """The error names the bucket, and not the secret."""
    with pytest.raises(FileNotFoundError, match="nowhere") as caught:
        qm.to_zarr(mosaic, bucket(endpoint, "out.zarr", "nowhere"))
    assert SECRET not in str(caught.value)


@pytest.fixture
def forbidding(endpoint: str) -> Iterator[None]:
    """Let the server refuse the keys that it is given."""

    def let_in(requests: str) -> None:
        """Answer so many requests without a look at their keys."""
        asked = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth",
            data=requests.encode(),
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(asked).close()

    let_in("0")
    yield
    let_in("inf")


def test_a_bucket_that_is_forbidden(
    mosaic: xr.Dataset, out: Callable[[], ObjectStore], forbidding: None
) -> None:
    """The error names the bucket, and not the secret."""
    with pytest.raises(obstore.exceptions.PermissionDeniedError, match="/mosaics/") as caught:
        qm.to_zarr(mosaic, out())
    assert SECRET not in str(caught.value)


class Quiet(SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


class Patient(ThreadingHTTPServer):
    """A web server that keeps more callers waiting than 5; others try again after a second."""

    request_queue_size = 128


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A folder on the web."""
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with Patient(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def by_obstore(url: str) -> Store:
    """Open a folder on the web with what the extra [s3] brings."""
    web = obstore.store.HTTPStore.from_url(url, client_options={"allow_http": True})
    return ObjectStore(web, read_only=True)


def by_fsspec(url: str) -> Store:
    """Open a folder on the web with fsspec."""
    pytest.importorskip("aiohttp", reason="fsspec reads the web with it; no extra brings it")
    return FsspecStore.from_url(url, read_only=True)


@pytest.mark.parametrize("opener", [by_obstore, by_fsspec])
def test_from_http(
    opener: Callable[[str], Store], site: str, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """A plain web server cannot list what it has: consolidated metadata say what is there."""
    in_store(values, tmp_path / "www" / "in.zarr")
    # Zarr's format 3 does not specify them yet, and zarr says so
    with pytest.warns(UserWarning, match="Consolidated metadata"):
        zarr.consolidate_metadata(tmp_path / "www" / "in.zarr")
    collection = xr.open_zarr(
        opener(f"{site}/in.zarr"), chunks={}, consolidated=True, mask_and_scale=False
    )
    mosaic = qm.quality_mosaic(collection.assign_coords(time=dates(6)), "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    check(tmp_path / "out.zarr", values)
