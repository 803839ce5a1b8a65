"""What `explain` says before anything runs, and that it holds: in one thread and on a cluster."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic.sink.tables import as_table
from tests.support.sources import (
    CountingArray,
    Forbidden,
    as_dataset,
    chunked,
    dates,
    in_store,
    made_of_whole_images,
    random_stack,
)


def noise(images: int, side: int, blocks: int, dtype: str = "uint16", seed: int = 0) -> da.Array:
    """Make images on the fly, so that none of them lies in memory or on disk."""
    sizes = ((1,) * images, (side,) * blocks, (side,) * blocks)
    return da.map_blocks(_noise, seed, chunks=sizes, dtype=dtype, meta=np.empty((0, 0, 0), dtype))


def _noise(seed: int, block_id: tuple[int, ...] = (0, 0, 0), block_info: Any = None) -> np.ndarray:
    info = block_info[None]
    rng = np.random.default_rng((seed, *info["chunk-location"]))
    return rng.integers(0, 60_000, info["chunk-shape"], dtype=info["dtype"])


def collection_of(images: int, side: int, blocks: int) -> xr.Dataset:
    """Make a collection of two bands."""
    bands = {"cloud": noise(images, side, blocks), "red": noise(images, side, blocks, seed=1)}
    variables = {name: (("time", "y", "x"), band) for name, band in bands.items()}
    return xr.Dataset(variables, {"time": dates(images)})


def test_explain_says_what_will_be_done() -> None:
    """Images, blocks, tasks and bytes, by hand; nothing is read."""
    source = da.from_array(Forbidden((60, 64, 48), "uint16"), chunks=(1, 16, 16))
    collection = as_dataset({"red": source, "green": source + 1, "cloud": source})
    collection["quality"] = qm.scores.inverse(collection["cloud"])
    explained = qm.explain(qm.quality_mosaic(collection.drop_vars("cloud"), "quality"))
    band = 60 * 64 * 48
    assert explained.images == 60
    assert explained.blocks == 4 * 3
    assert explained.tasks == 12 + 2
    assert explained.quality_bytes == band * 4  # uint16 widened to int32
    assert explained.quality_read_bytes == band * 2  # but uint16 is read
    assert explained.quality_chunks == 60 * 4 * 3
    assert explained.most_band_bytes == explained.most_band_read_bytes == 2 * band * 2
    assert explained.most_band_chunks == 2 * 60 * 4 * 3
    assert explained.written_bytes == 64 * 48 * (2 + 2 + 4)
    assert explained.deferred
    said = ("60", "12 of 16 × 16 pixels, 14 tasks", "369 kB in 720 chunks, all of it read")
    for part in (*said, "a worker thread"):
        assert part in str(explained)


def read_by(scores: Any, cut: slice, path: Path) -> tuple[int, int, int]:
    """Count by hand what writing the mosaic of a score reads, and give what explain says."""
    arrays = {"score": np.zeros((5, 40, 48), "uint8"), "relief": np.zeros((1, 40, 48), "float32")}
    stores = {}
    for name, values in arrays.items():
        opened, stores[name] = in_store({name: values}, path / name, (1, 8, 16))
        arrays[name] = opened[name]
    height = arrays["relief"].isel(time=0, drop=True)
    collection = xr.Dataset({"quality": scores(arrays["score"], height)}).isel(y=cut)
    mosaic = qm.quality_mosaic(collection, "quality")
    explained = qm.explain(mosaic)
    for store in stores.values():
        store.reads.clear()
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, zarr.storage.MemoryStore())
    chunks = {name: sum(store.chunks(name).values()) for name, store in stores.items()}
    read = sum(n * 8 * 16 * arrays[name].dtype.itemsize for name, n in chunks.items())
    return read, explained.quality_read_bytes, explained.quality_bytes


@pytest.mark.parametrize("score", ["widened", "two reads", "static", "around"])
@pytest.mark.parametrize("cut", [slice(None), slice(8, 24), slice(3, None)])
def test_explain_says_what_is_read(score: str, cut: slice, tmp_path: Path) -> None:
    """Not the size of the score but what stands behind it, however it is derived: each chunk as
    often as a block reads it, counted where it is read."""
    scores = {
        "widened": lambda band, height: band.astype("float64"),
        "two reads": lambda band, height: band.astype("int16") - band.shift(time=1, fill_value=0),
        "static": lambda band, height: band + height,
        "around": lambda band, height: qm.scores.distance_to(
            band == 1, max_distance=20, resolution=10
        ),
    }
    read, told, decoded = read_by(scores[score], cut, tmp_path)
    assert told == pytest.approx(read, rel=0.15 if score == "around" or cut.start == 3 else 0)
    assert told != decoded


def test_explain_knows_who_works() -> None:
    """Workers and threads of the active scheduler; what a worker needs is what its threads need."""
    mosaic = qm.quality_mosaic(collection_of(4, 64, 1), "cloud")
    with dask.config.set(num_workers=3):
        explained = qm.explain(mosaic)
    assert (explained.workers, explained.threads) == (1, 3)
    assert explained.worker_bytes == 3 * explained.peak_bytes
    assert "1 with 3 threads" in str(explained)
    with dask.config.set(scheduler="synchronous"):
        assert (qm.explain(mosaic).workers, qm.explain(mosaic).threads) == (1, 1)
    with dask.config.set(scheduler="processes", num_workers=5):
        assert (qm.explain(mosaic).workers, qm.explain(mosaic).threads) == (5, 1)


def test_explain_knows_a_cluster() -> None:
    """Its workers, also where none has come yet."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    mosaic = qm.quality_mosaic(collection_of(4, 64, 1), "cloud")
    options = {"processes": False, "threads_per_worker": 2, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(n_workers=0, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert "none yet" in str(qm.explain(mosaic))
        cluster.scale(2)
        client.wait_for_workers(2)
        explained = qm.explain(mosaic)
    assert (explained.workers, explained.threads) == (2, 2)


def test_explanations_and_progress_in_notebooks() -> None:
    """A table with what the text says; nothing in it is taken for HTML."""
    explained = qm.explain(qm.quality_mosaic(collection_of(4, 64, 1), "cloud"))
    page = explained._repr_html_()
    assert page.count("<tr>") == len(str(explained).splitlines())
    assert "4 kB" in page
    page = qm.Progress(3, 12, 1, 2_000_000, 1000, 4.0, skipped=2)._repr_html_()
    for part in ("3 of 12, 25%", "1 of an earlier run", "2.00MB", "0.5 blocks/s", "2 images"):
        assert part in page
    assert "not known yet" in qm.Progress(0, 0)._repr_html_()
    assert as_table("<a>", {"<b>": "<c>"}).count("&lt;") == 3


def test_the_prediction_grows_with_what_travels(tmp_path: Path) -> None:
    """A collection whose images are loaded one by one has a task for each image of a block: with
    more images its writing takes more memory, and no more than the prediction says; one that is
    cut out of an array has none."""
    peaks, predicted, cut = [], [], []
    for images in (100, 100, 700):  # the first for imports and caches
        source = da.from_array(CountingArray(np.zeros((images, 8, 8), "uint8")), chunks=(1, 8, 8))
        collection = as_dataset({"red": source, "quality": source + 1}).isel(y=slice(5))
        cut.append(qm.explain(qm.quality_mosaic(collection, "quality")).peak_bytes)
        loaded = [
            da.from_delayed(dask.delayed(np.full)((5, 8), t % 200, "uint8"), (5, 8), "uint8")
            for t in range(images)
        ]
        collection["quality"] = collection["quality"].copy(data=da.stack(loaded))
        mosaic = qm.quality_mosaic(collection, "quality")
        predicted.append(qm.explain(mosaic).peak_bytes)
        with dask.config.set(scheduler="synchronous"):
            tracemalloc.start()
            try:
                qm.to_zarr(mosaic, tmp_path / "out.zarr", mode="w")
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert cut[1] == cut[2]
    assert 0 < peaks[2] - peaks[1] < predicted[2] - predicted[1]


@pytest.mark.usefixtures("never_together")
def test_explain_says_where_blocks_share_work() -> None:
    """A function of whole images: the same sizes, but everything is read, and tasks grow with the
    images."""
    values = random_stack(images=6)
    shared = made_of_whole_images(chunked(values), (1, 5, 8))
    explained = qm.explain(qm.quality_mosaic(shared, "quality"))
    assert not explained.deferred
    assert explained.images == 6
    assert explained.quality_bytes == 6 * 24 * 24 * 4
    assert explained.most_band_bytes == 6 * 24 * 24 * (2 + 8)
    assert explained.tasks > 6 * explained.blocks
    assert "share work" in str(explained)


def test_explain_follows_the_shards() -> None:
    """Larger units: fewer blocks, more memory."""
    mosaic = qm.quality_mosaic(collection_of(4, 256, 4), "cloud")
    small, large = qm.explain(mosaic), qm.explain(mosaic, shards={"y": 512, "x": 512})
    assert (small.blocks, large.blocks) == (16, 4)
    assert large.peak_bytes > small.peak_bytes


def test_explain_refuses_what_is_no_mosaic_to_come() -> None:
    """A mosaic in memory has nothing left to explain; a collection is no mosaic; an empty map
    costs nothing."""
    lazy = chunked(random_stack())
    with pytest.raises(ValueError, match="no mosaic"):
        qm.explain(lazy)
    with pytest.raises(TypeError, match=r"explain\(\) got a int"):
        qm.explain(5)  # type: ignore[arg-type]
    assert qm.explain(qm.quality_mosaic(lazy.isel(y=slice(0)), "quality")).blocks == 0
    with pytest.raises(ValueError, match="in memory"):
        qm.explain(qm.quality_mosaic(as_dataset(random_stack()), "quality"))


class Sparse:
    """An array that is made where it is read; a pixel in a hundred is 1."""

    dtype, ndim = np.dtype("uint8"), 3

    def __init__(self, images: int, side: int) -> None:
        self.shape = (images, side, side)
        self.array = np.empty(0)  # what answers at once is read without threads

    def __getitem__(self, index: Any) -> np.ndarray:
        shape = [s.stop - s.start for s in index]
        seed = [s.start for s in index]
        return np.random.default_rng(seed).integers(0, 100, shape, dtype="uint8")


def test_memory_of_distances_does_not_depend_on_the_number_of_images(tmp_path: Path) -> None:
    """Ten times the images, the same peak: no chunk waits for its neighbours. Whether the machine
    is busy makes no difference, as nothing is decided by the clock."""
    peaks = {}
    for images in (8, 8, 80):
        source = da.from_array(Sparse(images, 768), chunks=(1, 256, 256))
        collection = as_dataset({"cloud": source})
        collection["quality"] = qm.scores.distance_to(
            collection["cloud"] == 1, max_distance=500, resolution=10
        )
        mosaic = qm.quality_mosaic(collection, "quality")
        with dask.config.set(scheduler="synchronous"):
            tracemalloc.start()
            try:
                qm.to_zarr(mosaic, tmp_path / "out.zarr", mode="w")
                peaks[images] = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    assert peaks[80] < 1.15 * peaks[8]


@pytest.mark.parametrize("score", ["simple", "derived", "around"])
@pytest.mark.parametrize(
    ("side", "shards", "least"), [(512, None, 0.1), (1024, None, 0.3), (512, 1024, 0.2)]
)
def test_the_predicted_peak_holds(
    tmp_path: Path, side: int, shards: int | None, least: float, score: str
) -> None:
    """What one thread allocates at most lies below the prediction, and not far below; with small
    chunks and around chunks further, as several may be on their way from a slow source."""
    collection = collection_of(8, side, 2)
    if score == "simple":
        collection["quality"] = qm.scores.inverse(collection["cloud"])
    elif score == "derived":
        collection["quality"] = qm.scores.normalized_difference(
            collection["red"], collection["cloud"]
        )
    else:
        collection["quality"] = qm.scores.distance_to(
            collection["cloud"] > 59_000, max_distance=1000, resolution=10
        )
    mosaic = qm.quality_mosaic(collection, "quality")
    sizes = None if shards is None else {"y": shards, "x": shards}
    qm.to_zarr(mosaic.isel(y=slice(8), x=slice(8)), tmp_path / "warm.zarr")  # imports and caches
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        try:
            qm.to_zarr(mosaic, tmp_path / "out.zarr", shards=sizes)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    predicted = qm.explain(mosaic, shards=sizes).peak_bytes
    if score == "around":
        least = 0.1
    assert least * predicted < peak < predicted


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_cluster_with_little_memory(tmp_path: Path) -> None:
    """Workers limited to the bare process plus 1.5 × the prediction finish an input many times
    larger, without spilling, pausing or restarts."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    mosaic = qm.quality_mosaic(collection_of(12, 3072, 2), "cloud")
    explained = qm.explain(mosaic)
    limit = int(_bare_worker(distributed) + 1.5 * explained.peak_bytes)
    assert explained.quality_bytes + explained.most_band_bytes > 3 * limit
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=limit, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = set(client.nthreads())
        spilled: list[int] = []

        def look(progress: qm.Progress) -> None:
            for worker in list(cluster.scheduler.workers.values()):
                spilled.append(worker.metrics.get("spilled_bytes", {}).get("disk", 0))

        qm.to_zarr(mosaic, tmp_path / "out.zarr", progress=look)
        events = [event for topic in client.get_events().values() for _, event in topic]
        changes = [e.get("status") for e in events if isinstance(e, dict)]
        assert set(client.nthreads()) == before
    assert "paused" not in changes
    assert max(spilled) == 0
    assert qm.open_mosaic(tmp_path / "out.zarr").sizes == {"y": 6144, "x": 6144}


def _bare_worker(distributed: Any) -> int:
    """Measure a worker that has imported what it needs and done nothing."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        (size,) = client.run(_own_memory).values()
    return int(size)


def _own_memory() -> int:
    import psutil

    import qmosaic  # noqa: F401

    return int(psutil.Process().memory_info().rss)
