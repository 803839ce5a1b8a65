"""The graph of a mosaic: built without reading, few tasks, small; what the engine uses of dask
beyond its documented interface."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import DataNode, Task
from dask.array.core import getter
from dask.blockwise import Blockwise

import qmosaic as qm
from qmosaic.engine.graph import defer
from tests.support.mosaics import is_deferred, same, stack_of
from tests.support.sources import (
    CountingArray,
    Forbidden,
    as_dataset,
    chunked,
    expected,
    in_store,
    random_stack,
)


def test_building_reads_nothing_and_calls_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 9: nothing is computed while the mosaic is built."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a kernel was called while the graph was built")

    kernels = ("decide_block", "take_block", "give", "look_up", "best_scores", "Contest", "Winners")
    modules = [m for n, m in sys.modules.items() if n.startswith("qmosaic.engine.")]
    for kernel in kernels:
        using = [module for module in modules if hasattr(module, kernel)]
        assert using
        for module in using:
            monkeypatch.setattr(module, kernel, fail)
    source = da.from_array(Forbidden((5, 8, 8), "uint16"), chunks=(1, 4, 4))
    collection = as_dataset({"red": source, "cloud": source.astype("uint8")})
    collection["quality"] = qm.scores.inverse(collection["cloud"])
    collection["doy"] = ("time", np.arange(5))

    def scheduler(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=scheduler):
        for masked in ("keep", "skip", "fill"):
            mosaic = qm.quality_mosaic(collection, "quality", masked=masked)
            assert mosaic["red"].shape == (8, 8)
        for persisted in (False, True):
            data = da.ones((5, 8, 8), chunks=(1, 4, 4)) if persisted else source
            qm.quality_mosaic(as_dataset({"quality": data, "red": source}), "quality")


@pytest.mark.parametrize("images", [4, 40])
def test_tasks_per_block_do_not_depend_on_the_number_of_images(tmp_path: Path, images: int) -> None:
    """At most 1 + number of bands tasks an output block, and one recipe a band in all."""
    collection, _ = in_store(random_stack(images), tmp_path / "in.zarr")
    collection["quality"] = -collection["quality"]
    mosaic = qm.quality_mosaic(collection, "quality")
    tasks = len(dict(mosaic.__dask_graph__()))
    blocks, bands, recipes = 9, 3, 3
    assert tasks <= blocks * (1 + bands) + recipes
    assert is_deferred(mosaic)


def test_the_graph_pickles_small(tmp_path: Path) -> None:
    """A symbolic source adds nothing for each image or block: recipes are shared."""
    sizes = {}
    for images in (4, 40):
        collection, _ = in_store(random_stack(images), tmp_path / f"{images}.zarr", (1, 6, 6))
        collection["quality"] = collection["quality"] * 2
        graph = dict(qm.quality_mosaic(collection, "quality").__dask_graph__())
        sizes[images] = sum(len(pickle.dumps(task)) for task in graph.values()) / 16
    assert sizes[40] < sizes[4] * 1.1
    assert sizes[40] < 3500  # with three bands; dask 2025.1 pickles a task larger than 2026.8


def test_a_mean_over_time_in_the_quality_stays_deferred() -> None:
    """An anomaly rests on all images; its mean is made once a block."""
    values = random_stack()
    source = {n: CountingArray(v) for n, v in values.items()}
    lazy = as_dataset({n: da.from_array(a, chunks=(1, 24, 24)) for n, a in source.items()})
    collection = lazy.assign(quality=lazy["quality"] - lazy["nir"].mean("time").astype("float32"))
    mosaic = qm.quality_mosaic(collection, "quality")
    assert is_deferred(mosaic)
    mean = values["nir"].mean(axis=0).astype("float32")
    values["quality"] = values["quality"] - mean
    np.testing.assert_array_equal(mosaic["red"].values, expected(values)["red"])
    assert sum(s[0].stop - s[0].start for s in source["nir"].calls) <= 2 * 12


@pytest.mark.parametrize("plain", [False, True])
def test_a_mean_over_the_map_in_the_quality(plain: bool) -> None:
    """What all blocks share and is small is made once, and dask's optimization joins nothing that
    does not belong together."""
    values = random_stack()
    nir = CountingArray(values["nir"])
    lazy = chunked({n: v for n, v in values.items() if n != "nir"})
    lazy["nir"] = (("time", "y", "x"), da.from_array(nir, chunks=(1, 8, 8)))
    lazy["quality"] = lazy["quality"] - lazy["nir"].mean(["y", "x"]).astype("float32")
    if plain:
        array = lazy["quality"].data
        lazy["quality"].data = da.Array(
            dict(array.__dask_graph__()), array.name, array.chunks, meta=array._meta
        )
    mosaic = qm.quality_mosaic(lazy, "quality")[["quality", "red"]]
    nir.calls.clear()
    got = mosaic.compute(scheduler="synchronous")
    assert len(nir.calls) == 12 * 9
    mean = values["nir"].mean(axis=(1, 2), keepdims=True).astype("float32")
    want = expected(values | {"quality": values["quality"] - mean})
    np.testing.assert_allclose(got["quality"].values, want["quality"], rtol=1e-6)
    np.testing.assert_array_equal(got["red"].values, want["red"])


def test_query_planning_graphs_are_plain_dicts(tmp_path: Path) -> None:
    """An array whose graph is a plain dict, as dask's query planning makes it, works too."""
    values = random_stack()
    collection = in_store(values, tmp_path / "in.zarr")[0]
    for name in values:
        array = collection[name].data
        plain = da.Array(dict(array.__dask_graph__()), array.name, array.chunks, meta=array._meta)
        collection[name] = (("time", "y", "x"), plain)
    same(qm.quality_mosaic(collection, "quality"), values)


@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")
def test_on_a_cluster_persisted_or_not(tmp_path: Path) -> None:
    """On dask.distributed; Futures stay dependencies, and are not copied into tasks."""
    distributed = pytest.importorskip("distributed", reason="distributed is in the extra [test]")
    values = random_stack()
    collection = in_store(values, tmp_path / "in.zarr")[0]
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        same(qm.quality_mosaic(collection, "quality").compute(), values)
        futures = collection.persist()
        assert defer(stack_of(futures["quality"])) is None
        same(qm.quality_mosaic(futures, "quality").compute(), values)
        # a concatenation names Futures by plain tuples
        parts = [futures.isel(time=slice(5)), futures.isel(time=slice(5, None))]
        joined = xr.concat(parts, "time")
        qm.to_zarr(qm.quality_mosaic(joined, "quality"), tmp_path / "joined.zarr")
        with pytest.raises(ValueError, match="cannot be determined"):
            qm.to_zarr(qm.quality_mosaic(joined, "quality"), tmp_path / "in.zarr", mode="w")
        qm.to_zarr(qm.quality_mosaic(collection, "quality"), tmp_path / "out.zarr")
    for name in ("out.zarr", "joined.zarr"):
        same(xr.open_zarr(tmp_path / name, consolidated=False, mask_and_scale=False), values)


def test_dask_blockwise_is_what_the_engine_expects() -> None:
    """Blockwise.cull gives the layer of just the wanted keys, without looking at others."""
    array = -da.from_array(CountingArray(np.arange(64).reshape(4, 4, 4)), chunks=(1, 2, 2))
    layer = array.__dask_graph__().layers[array.name]
    assert isinstance(layer, Blockwise)
    assert layer.output == array.name
    assert len(layer.output_indices) == 3
    assert dict(layer.numblocks)
    assert isinstance(layer.io_deps, dict)
    (source, letters), *_ = layer.indices
    assert source in array.__dask_graph__().layers
    assert len(letters) == 3
    key = (array.name, 2, 0, 1)
    culled, needs = layer.cull({key}, ())
    assert set(dict(culled)) == {key}
    assert set(needs[key]) == {(source, 2, 0, 1)}


def test_dask_writes_getter_tasks_for_from_array() -> None:
    """``from_array`` writes getter(source, slices): what reads together rests on that."""
    array = da.from_array(CountingArray(np.arange(64).reshape(4, 4, 4)), chunks=(1, 2, 2))
    task = array.__dask_graph__()[(array.name, 1, 0, 1)]
    assert isinstance(task, Task)
    assert task.func is getter
    index = task.args[1]
    index = index.value if isinstance(index, DataNode) else index
    assert [(s.start, s.stop) for s in index] == [(1, 2), (0, 2), (2, 4)]


def test_legacy_tuples_in_a_graph_are_understood() -> None:
    """Libraries that write tasks as tuples are run as dask runs them."""
    values = random_stack(images=3, side=8)
    graph: dict[Any, Any] = {}
    for t in range(3):
        graph[("raw", t, 0, 0)] = (np.negative, (np.array, values["quality"][[t]].tolist()))
        graph[("old", t, 0, 0)] = (np.negative, ("raw", t, 0, 0))
    old = da.Array(graph, "old", ((1, 1, 1), (8,), (8,)), meta=np.empty((0, 0, 0), "float64"))
    values["quality"] = values["quality"].astype("float64")
    collection = as_dataset(
        {"quality": old, "red": da.from_array(CountingArray(values["red"]), chunks=(1, 8, 8))}
    )
    mosaic = qm.quality_mosaic(collection, "quality")
    assert defer(stack_of(collection["quality"])) is not None
    del values["nir"]
    same(mosaic, values)
