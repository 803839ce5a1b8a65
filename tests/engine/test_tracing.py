"""What a mosaic is read from is found in its graph: sources are not overwritten, and have names
that last."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, MemoryStore, StorePath, ZipStore

import qmosaic as qm
from qmosaic.engine.graph import Location, Web, locate_path, locate_store
from tests.support.sources import CountingArray, as_dataset, dates

DIMS = ("time", "y", "x")
Q = np.arange(2 * 4 * 4, dtype="int16").reshape(2, 4, 4)
A = (Q + 100).astype("uint16")
logger = logging.getLogger(__name__)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A store with a quality and a band; the last image is the best everywhere."""
    path = tmp_path / "data" / "s.zarr"
    plain = as_dataset({"q": Q, "a": A})
    plain.to_zarr(path, consolidated=False, encoding={n: {"chunks": (1, 2, 2)} for n in "qa"})
    return path


def content(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def opened(store: Any, **options: Any) -> xr.Dataset:
    return xr.open_zarr(store, **{"consolidated": False, "mask_and_scale": False, **options})


def array_of(path: Path, name: str) -> Any:
    return zarr.open_group(path, mode="r")[name]


def from_arrays(q: Any, a: Any) -> xr.Dataset:
    return xr.Dataset({"q": (DIMS, q), "a": (DIMS, a)})


def obstore_of(path: Path) -> Any:
    stores = pytest.importorskip("obstore.store", reason="obstore is in the extra [s3]")
    return zarr.storage.ObjectStore(stores.LocalStore(str(path)))


def fsspec_of(path: Path) -> Any:
    return zarr.storage.FsspecStore.from_url(f"file://{path}")


def linked(path: Path) -> Path:
    link = path.parent.parent / "link"
    link.symlink_to(path.parent, target_is_directory=True)
    return link / path.name


def sibling(path: Path) -> xr.Dataset:
    """Another image, in a store beside."""
    other = path.parent.parent / "new.zarr"
    image = as_dataset({"q": Q[:1] + 50, "a": A[:1]}).assign_coords(time=dates(3)[2:])
    image.to_zarr(other, consolidated=False)
    return opened(other)


def delayed_loader(path: Path) -> xr.Dataset:
    def load(name: str, image: int) -> np.ndarray:
        return np.asarray(zarr.open_group(path, mode="r")[name][image])

    def band(name: str, dtype: str) -> Any:
        made = [
            da.from_delayed(dask.delayed(load)(name, i), shape=(4, 4), dtype=dtype)
            for i in range(2)
        ]
        return da.stack(made)

    return from_arrays(band("q", "int16"), band("a", "uint16"))


def path_as_argument(path: Path) -> xr.Dataset:
    def load(store: str, block_info: Any = None) -> np.ndarray:
        (first, last), *_ = block_info[None]["array-location"]
        return np.asarray(zarr.open_group(store, mode="r")["a"][first:last])

    a = da.map_blocks(load, str(path), chunks=((1, 1), 4, 4), dtype="uint16")
    return from_arrays(a.astype("int16"), a)


def index_as_input(path: Path) -> xr.Dataset:
    def load(index: np.ndarray) -> np.ndarray:
        return np.asarray(zarr.open_group(path, mode="r")["a"][int(index[0, 0, 0])])[None]

    number = da.from_array(np.arange(2)[:, None, None], chunks=1)
    a = number.map_blocks(load, chunks=((1, 1), (4,), (4,)), dtype="uint16")
    return from_arrays(a.astype("int16"), a)


def over_two(path: Path) -> xr.Dataset:
    c = opened(path)
    return xr.Dataset({"q": c["q"], "a": c["a"] + c["q"].max().astype("uint16")})


def names_in_an_array(path: Path) -> xr.Dataset:
    def load(names: np.ndarray) -> np.ndarray:
        return np.asarray(zarr.open_group(names.item(), mode="r")["a"][:1])

    names = da.from_array(np.array([str(path)] * 2, object)[:, None, None], chunks=1)
    a = names.map_blocks(load, chunks=((1, 1), (4,), (4,)), dtype="uint16")
    return from_arrays(a.astype("int16"), a)


def records(path: Path) -> xr.Dataset:
    """As stackstac has it: a table of assets, an address in each record."""

    def load(table: np.ndarray) -> np.ndarray:
        return np.asarray(zarr.open_group(table["url"].item(), mode="r")["a"][:1])

    table = np.array([(str(path), 1.0)] * 2, dtype=[("url", object), ("left", float)])
    a = da.from_array(table[:, None, None], chunks=1)
    a = a.map_blocks(load, chunks=((1, 1), (4,), (4,)), dtype="uint16")
    return from_arrays(a.astype("int16"), a)


WAYS: dict[str, Callable[[Path], xr.Dataset]] = {
    "as it is": opened,
    "decoded": lambda p: opened(p, mask_and_scale=True),
    "open_collection": lambda p: qm.open_collection(p),
    "open_dataset": lambda p: xr.open_dataset(p, engine="zarr", chunks={}, consolidated=False),
    "open_mfdataset": lambda p: xr.open_mfdataset(
        [p], engine="zarr", combine="nested", concat_dim="time", consolidated=False
    ),
    "astype": lambda p: opened(p).astype("float32"),
    "fillna": lambda p: opened(p, mask_and_scale=True).fillna(0),
    "where": lambda p: opened(p).where(lambda c: c["q"] >= 0, 0),
    "map": lambda p: opened(p).map(lambda band: band * 1),
    "merge": lambda p: xr.merge([opened(p)[["q"]], opened(p)[["a"]]]),
    "new Dataset": lambda p: xr.Dataset({"q": opened(p)["q"], "a": opened(p)["a"] * 1}),
    "bare arrays": lambda p: from_arrays(opened(p)["q"].data, opened(p)["a"].data),
    "drop_encoding": lambda p: opened(p).drop_encoding(),
    "to_array": lambda p: opened(p).to_array("band").to_dataset("band"),
    "coarsen": lambda p: opened(p).coarsen(y=2, x=2).max(),
    "rolling": lambda p: opened(p).rolling(y=3, min_periods=1).max(),
    "rechunk": lambda p: opened(p).chunk(time=2, y=3, x=3),
    "isel": lambda p: opened(p).isel(y=slice(1, 3)),
    "sortby": lambda p: opened(p).sortby("time", ascending=False),
    "groupby": lambda p: opened(p).assign_coords(time=dates(2)).resample(time="1D").max(),
    "map_blocks": lambda p: opened(p).map_blocks(lambda block: block * 1),
    "apply_ufunc": lambda p: opened(p).map(
        lambda band: xr.apply_ufunc(
            lambda v: v * 1, band, dask="parallelized", output_dtypes=[band.dtype]
        )
    ),
    "reduced over the map": over_two,
    "joined with a new image": lambda p: xr.concat([opened(p), sibling(p)], "time"),
    "da.from_zarr": lambda p: from_arrays(da.from_zarr(p / "q"), da.from_zarr(p / "a")),
    "da.from_array": lambda p: from_arrays(
        *(da.from_array(array_of(p, n), chunks=(1, 2, 2)) for n in "qa")
    ),
    "from_array, inlined": lambda p: from_arrays(
        *(da.from_array(array_of(p, n), chunks=(1, 2, 2), inline_array=True) for n in "qa")
    ),
    "from_array of a wrapper": lambda p: from_arrays(
        *(da.from_array(CountingArray(array_of(p, n)), chunks=(1, 2, 2)) for n in "qa")
    ),
    "LocalStore": lambda p: opened(LocalStore(p, read_only=True)),
    "group of a store above": lambda p: opened(LocalStore(p.parent), group=p.name),
    "StorePath": lambda p: from_arrays(
        *(da.from_array(zarr.open_array(StorePath(LocalStore(p), n), mode="r")) for n in "qa")
    ),
    "obstore": lambda p: opened(obstore_of(p)),
    "fsspec": lambda p: opened(fsspec_of(p)),
    "a URL": lambda p: opened(f"file://{p}"),
    "a link": lambda p: opened(linked(p)),
    "by a detour": lambda p: opened(p.parent / ".." / p.parent.name / p.name),
    "LoggingStore": lambda p: opened(zarr.storage.LoggingStore(LocalStore(p), log_level="ERROR")),
    "not chunked": lambda p: opened(p, chunks=None),
    "optimized": lambda p: dask.optimize(opened(p).astype("int32"))[0],
    "delayed loader": delayed_loader,
    "a path as argument": path_as_argument,
    "a number as input": index_as_input,
    "names in an array": names_in_an_array,
    "records": records,
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS)
def test_a_source_is_not_overwritten(source: Path, way: str) -> None:
    """However a store is opened and what is made of it: mode="w" there loses nothing, and another
    group of it, which destroys nothing, can be written."""
    collection = WAYS[way](source)
    mosaic = collection if way == "not chunked" else qm.quality_mosaic(collection, "q")
    before = content(source)
    for mode in ("w", "resume"):
        with pytest.raises(ValueError, match=r"made from .*s\.zarr"):
            qm.to_zarr(mosaic, source, mode=mode)
    with pytest.raises(ValueError, match=r"made from .*s\.zarr"):
        qm.to_zarr(mosaic, LocalStore(source.parent), group="s.zarr", mode="w")
    assert content(source) == before
    want = mosaic.compute()
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, source, group="best", mode="w")
    got = qm.open_mosaic(source, group="best", mask_and_scale=False)
    np.testing.assert_array_equal(got["a"].values, want["a"].values)
    assert {k: v for k, v in content(source).items() if "/best/" not in k} == before


@pytest.mark.parametrize("kind", ["memory", "dict"])
def test_a_source_in_memory_is_not_overwritten(kind: str) -> None:
    """The same store is the same dict, whatever object it is opened with."""
    content: dict[str, Any] = {}
    as_dataset({"q": Q, "a": A}).to_zarr(MemoryStore(content), consolidated=False)
    mosaic = qm.quality_mosaic(opened(MemoryStore(content)).astype("int32"), "q")
    before = dict(content)
    with pytest.raises(ValueError, match="made from"):
        qm.to_zarr(mosaic, content if kind == "dict" else MemoryStore(content), mode="w")
    assert content == before
    qm.to_zarr(mosaic, MemoryStore({}), mode="w")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_store_in_an_archive_is_not_overwritten(tmp_path: Path, source: Path) -> None:
    """A zip file that is read lies in the folder that would be cleared."""
    folder = tmp_path / "out.zarr"
    qm.to_zarr(xr.Dataset({"z": ("x", np.zeros(2))}), folder)
    with ZipStore(folder / "s.zip", mode="w") as store:
        as_dataset({"q": Q, "a": A}).to_zarr(store, consolidated=False)
    mosaic = qm.quality_mosaic(opened(ZipStore(folder / "s.zip", mode="r")).astype("int32"), "q")
    with pytest.raises(ValueError, match=r"made from .*s\.zip"):
        qm.to_zarr(mosaic, folder, mode="w")


def test_files_in_the_folder_are_not_overwritten(tmp_path: Path) -> None:
    """A NetCDF file or a stack of numpy's in the folder that would be cleared is a source too."""
    pytest.importorskip("netCDF4", reason="netCDF4 is in the extra [netcdf]")
    folder = tmp_path / "out.zarr"
    qm.to_zarr(xr.Dataset({"z": ("x", np.zeros(2))}), folder)
    as_dataset({"q": Q, "a": A}).to_netcdf(folder / "s.nc")
    with xr.open_dataset(folder / "s.nc", chunks={}, engine="netcdf4") as collection:
        mosaic = qm.quality_mosaic(collection.drop_encoding() * 1, "q")
        with pytest.raises(ValueError, match=r"made from .*s\.nc"):
            qm.to_zarr(mosaic, folder, mode="w")
    da.to_npy_stack(str(folder / "stack"), da.from_array(Q, chunks=(1, 4, 4)))
    q = da.from_npy_stack(str(folder / "stack"))
    with pytest.raises(ValueError, match=r"made from .*stack"):
        qm.to_zarr(qm.quality_mosaic(from_arrays(q, q), "q"), folder, mode="w")


def test_geotiffs_in_the_folder_are_not_overwritten(tmp_path: Path) -> None:
    """GeoTIFFs through rioxarray, as ``open_collection`` opens them."""
    pytest.importorskip("rioxarray", reason="rioxarray is in the extra [geotiff]")
    from tests.support.rasters import write_tif

    folder = tmp_path / "out.zarr"
    qm.to_zarr(xr.Dataset({"z": ("x", np.zeros(2))}), folder)
    write_tif(folder / "20200701.tif", Q[1:], names=["q"])
    mosaic = qm.quality_mosaic(qm.open_collection(folder / "20200701.tif"), "q")
    with pytest.raises(ValueError, match=r"made from .*20200701\.tif"):
        qm.to_zarr(mosaic * 1, folder, mode="w")


MEMORY: dict[str, Callable[[], Any]] = {
    "numpy": lambda: Q,
    "numpy in chunks": lambda: da.from_array(Q, chunks=(1, 2, 2)),
    "an array that counts": lambda: da.from_array(CountingArray(Q), chunks=(1, 2, 2)),
    "zeros": lambda: da.zeros((2, 4, 4), chunks=(1, 2, 2), dtype="int16"),
    "ones": lambda: da.ones((2, 4, 4), chunks=(1, 2, 2)),
    "full": lambda: da.full((2, 4, 4), 7, chunks=2),
    "arange": lambda: da.arange(32, chunks=4).reshape(2, 4, 4),
    "random": lambda: da.random.default_rng(0).normal(size=(2, 4, 4), chunks=2),
    "random, as before": lambda: da.random.random((2, 4, 4), chunks=2),
    "fromfunction": lambda: da.fromfunction(lambda t, y, x: t + y, shape=(2, 4, 4), chunks=2),
    "a function of them": lambda: da.zeros((2, 4, 4), chunks=2).map_blocks(lambda b: np.sin(b) + 1),
    "persisted": lambda: (da.from_array(Q, chunks=(1, 2, 2)) + 1).persist(scheduler="synchronous"),
    "persisted, from a store": lambda: da.from_array(
        zarr.array(Q, chunks=(1, 2, 2)), chunks=(1, 2, 2)
    ).persist(scheduler="synchronous"),
    "delayed": lambda: da.from_delayed(dask.delayed(np.zeros)((2, 4, 4)), (2, 4, 4), "float64"),
    "a mean of neighbours in time": lambda: (
        xr.DataArray(da.from_array(A, chunks=(1, 2, 2)), dims=DIMS)
        .rolling(time=2, min_periods=1)
        .mean()
        .data
    ),
    "a function that tells a log": lambda: da.zeros((2, 4, 4), chunks=2).map_blocks(
        lambda b: logger.debug("a chunk") or np.sin(b), dtype="float64"
    ),
}


@pytest.mark.parametrize("kind", MEMORY)
def test_what_is_made_in_memory_replaces_a_store(tmp_path: Path, kind: str) -> None:
    """Arrays in memory, and what dask makes out of nothing, read no store: nothing is refused."""
    old = tmp_path / "out.zarr"
    qm.to_zarr(xr.Dataset({"z": ("x", np.zeros(2))}), old)
    qm.to_zarr(qm.quality_mosaic(from_arrays(MEMORY[kind](), A), "q"), old, mode="w")
    assert "z" not in qm.open_mosaic(old)


def test_other_sources_do_not_hinder(tmp_path: Path, source: Path) -> None:
    """A mosaic of another store, or of a loader that names another one, replaces a store."""
    for make in (opened, delayed_loader, index_as_input, WAYS["joined with a new image"]):
        qm.to_zarr(qm.quality_mosaic(make(source), "q"), tmp_path / "out.zarr", mode="w")


class _Anywhere:
    """An array that reads where nobody can see."""

    shape, dtype, ndim = (2, 4, 4), np.dtype("int16"), 3

    def __getitem__(self, index: Any) -> Any:
        return np.load(os.environ["SOMEWHERE"])[index]


def _load_somewhere(block_info: Any = None) -> Any:
    return np.load(os.environ["SOMEWHERE"])


UNTOLD: dict[str, tuple[Callable[[], Any], str]] = {
    "map_blocks": (
        lambda: da.map_blocks(_load_somewhere, chunks=((2,), 4, 4), dtype="int16"),
        "_load_somewhere",
    ),
    "from_delayed": (
        lambda: da.from_delayed(dask.delayed(_load_somewhere)(), (2, 4, 4), "int16"),
        "_load_somewhere",
    ),
    "of numbers": (
        lambda: da.zeros((2, 4, 4), chunks=4).map_blocks(
            lambda b: np.load(os.environ["SOMEWHERE"]), dtype="int16"
        ),
        "lambda",
    ),
    "an array": (lambda: da.from_array(_Anywhere(), chunks=2), "_Anywhere"),
}


@pytest.mark.parametrize("kind", UNTOLD)
def test_what_cannot_be_told_replaces_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that may read anything: mode="w" over a store is refused, and named with the cure;
    where nothing is there yet, it is written."""
    old = tmp_path / "out.zarr"
    np.save(tmp_path / "q.npy", Q)
    monkeypatch.setenv("SOMEWHERE", str(tmp_path / "q.npy"))
    make, named = UNTOLD[kind]
    mosaic = qm.quality_mosaic(from_arrays(make(), A), "q")
    qm.to_zarr(mosaic, old, mode="w")
    before = content(old)
    with pytest.raises(ValueError, match=rf"cannot be determined .*{named}.*another path"):
        qm.to_zarr(mosaic, old, mode="w")
    assert content(old) == before
    qm.to_zarr(mosaic, old, mode="resume")


def test_a_loader_that_is_given_a_folder_replaces_nothing_in_it(source: Path) -> None:
    """Which of the stores in a folder a function reads cannot be told: none of them is replaced,
    stores elsewhere are."""

    def load(folder: str, name: str) -> np.ndarray:
        return np.asarray(zarr.open_group(f"{folder}/{name}.zarr", mode="r")["q"])

    q = da.from_delayed(dask.delayed(load)(str(source.parent), "s"), (2, 4, 4), "int16")
    mosaic = qm.quality_mosaic(from_arrays(q, A), "q")
    before = content(source)
    for path in (source, source.parent / "t.zarr"):
        if path != source:
            qm.to_zarr(mosaic, path)
        with pytest.raises(ValueError, match=rf"cannot be determined.*load.*{source.parent}"):
            qm.to_zarr(mosaic, path, mode="w")
    assert content(source) == before
    for _ in range(2):
        qm.to_zarr(mosaic, source.parent.parent / "other.zarr", mode="w")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_lies_on_a_cluster_replaces_nothing(tmp_path: Path, source: Path) -> None:
    """A worker that is lost makes the scheduler read the source again: it has to be there."""
    distributed = pytest.importorskip("distributed", reason="it is in the extra [distributed]")
    qm.to_zarr(xr.Dataset({"z": ("x", np.zeros(2))}), tmp_path / "out.zarr")
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ):
        mosaic = qm.quality_mosaic(opened(source).persist(), "q")
        with pytest.raises(ValueError, match=r"cannot be determined .*cluster"):
            qm.to_zarr(mosaic, tmp_path / "out.zarr", mode="w")
        qm.to_zarr(mosaic, tmp_path / "new.zarr", mode="w")


def test_odc_stac_replaces_a_store(tmp_path: Path) -> None:
    """The files that odc reads are named in its tasks: an old mosaic beside them is replaced, the
    folder that they are in is not."""
    pytest.importorskip("odc.stac", reason="odc-stac is in the extra [stac]")
    from tests.support.rasters import make_item, write_tif

    folder = tmp_path / "out.zarr"
    for where, refused in ((tmp_path, False), (folder, True)):
        qm.to_zarr(xr.Dataset({"z": ("x", np.zeros(2))}), folder, mode="w")
        file = write_tif(where / "q.tif", np.ones((32, 32), "uint16"))
        item = make_item("image", {"q": file}, "2020-07-01T10:00:00Z")
        mosaic = qm.quality_mosaic(qm.open_collection([item]), "q")
        if refused:
            with pytest.raises(ValueError, match=r"made from .*q\.tif"):
                qm.to_zarr(mosaic, folder, mode="w")
        else:
            qm.to_zarr(mosaic, folder, mode="w")


def test_what_a_reader_has_noted_on_the_way_is_no_part_of_a_name(tmp_path: Path) -> None:
    """Readers of odc keep what they have opened and worked out once they were used: the mosaic is
    the same before and after."""
    stac = pytest.importorskip("odc.stac", reason="odc-stac is in the extra [stac]")
    from tests.support.rasters import make_item, write_tif

    file = write_tif(tmp_path / "q.tif", np.ones((32, 32), "uint16"))
    items = [make_item("image", {"q": file}, "2020-07-01T10:00:00Z")]
    for collection in (
        qm.open_collection(items),
        stac.load(items, chunks={"x": 16, "y": 16}),
    ):
        mosaic = qm.quality_mosaic(collection, "q")
        before = names_of(mosaic)
        mosaic["q"].compute()
        collection.odc.geobox.extent  # noqa: B018
        assert names_of(mosaic) == before


def names_of(mosaic: xr.Dataset) -> tuple[str, str]:
    """Name what a mosaic is made from, and how."""
    web = Web(mosaic.variables)
    return web.inputs("q"), web.token("q")


def test_finding_sources_does_not_write_out_symbolic_layers(tmp_path: Path) -> None:
    """A store with 10**8 chunks costs as many looks as one with four."""
    looked: list[int] = []
    for side in (4, 40_000):
        shape = (2, side, side)
        array = zarr.create_array(
            tmp_path / f"{side}.zarr", shape=shape, chunks=(1, 2, 2), dtype="int16"
        )
        lazy = da.from_array(array, chunks=(1, side, side)).map_blocks(np.negative)
        web = Web({"q": xr.Variable(DIMS, lazy)})
        assert list(web.behind("q").sources) == [locate_path(tmp_path / f"{side}.zarr")]
        web.token("q")
        looked.append(len(web._tokens))
    assert looked[0] == looked[1]


# -- where stores lie -----------------------------------------------------------------------------


def test_a_place_has_one_name() -> None:
    """Paths, URLs, stores of zarr, fsspec and obstore; buckets with and without a server."""
    here = Path("/tmp/a b/c.zarr")
    assert {locate_path(p) for p in (here, str(here), "file:///tmp/a%20b/c.zarr")} == {
        Location("file", here.parts[1:])
    }
    stores = pytest.importorskip("obstore.store", reason="obstore is in the extra [s3]")
    keys = {"region": "us-east-1", "access_key_id": "x", "secret_access_key": "y"}
    s3 = locate_store(zarr.storage.ObjectStore(stores.S3Store("b", prefix="p/q", **keys)))
    local = "http://localhost:9000"
    other = stores.S3Store("b", prefix="p/q", endpoint=local, **keys)
    assert (
        s3
        == locate_path("s3://b/p/q")
        == locate_path("s3a://b/p/q/")
        == locate_path("/vsis3/b/p/q")
    )
    elsewhere = locate_store(zarr.storage.ObjectStore(other))
    assert elsewhere == Location("s3", ("b", "p", "q"), "127.0.0.1:9000")
    assert s3 is not None
    assert s3.holds(s3 / "red")
    assert not (s3 / "red").holds(s3)
    assert not s3.holds(locate_path("s3://b/p/qq"))
    web = locate_path("https://user:word@h.org/a.tif?sig=x&se=y&v=1")
    assert web == locate_path("/vsicurl/https://h.org/a.tif?v=1&X-Amz-Signature=z")
    assert web != locate_path("https://h.org/a.tif?v=2")


def _scaled(block: np.ndarray, by: float = 1, plus: float = 0) -> np.ndarray:
    return block * by + plus


def test_names_tell_computations_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another keyword, constant, closure, chunk or slice is another computation; another
    directory to work in is not."""
    q = da.from_array(Q, chunks=(1, 2, 2))

    def closed_over(number: int) -> Any:
        return q.map_blocks(lambda block: block * number, dtype="int64")

    def name(array: Any) -> str:
        return Web({"a": xr.Variable(DIMS, array)}).token("a")

    made = {
        "as it is": q,
        "keyword": q.map_blocks(_scaled, by=2, dtype="int64"),
        "another keyword": q.map_blocks(_scaled, plus=2, dtype="int64"),
        "partial": q.map_blocks(functools.partial(_scaled, by=2), dtype="int64"),
        "another partial": q.map_blocks(functools.partial(_scaled, plus=2), dtype="int64"),
        "closure": closed_over(2),
        "another closure": closed_over(3),
        "constant": q.map_blocks(lambda block: block * 2, dtype="int64"),
        "another constant": q.map_blocks(lambda block: block * 3, dtype="int64"),
        "chunks": da.from_array(Q, chunks=(2, 2, 2)),
        "slice": q[:, ::-1],
        "turned": q.transpose(0, 2, 1),
        "repeated": da.repeat(q, 1, axis=0) + 0,
        "text": q.map_blocks(lambda block, how: block, "mean", dtype="int16"),
        "another text": q.map_blocks(lambda block, how: block, "max", dtype="int16"),
    }
    names = {what: name(array) for what, array in made.items()}
    assert len(set(names.values())) == len(names)
    assert name(closed_over(2)) == names["closure"]
    monkeypatch.chdir(tmp_path)
    assert {what: name(array) for what, array in made.items()} == names


CHILD = """
import sys, numpy as np, xarray as xr, zarr, dask.array as da
from zarr.storage import ObjectStore, StorePath, MemoryStore, LocalStore
from obstore import store as stores
import qmosaic as qm
from qmosaic.engine.graph import Web

where, key = sys.argv[1:]
k = 3
waiting = {"retry_config": {"max_retries": 3}, "client_options": {"timeout": "5s"}}
made = zarr.create_array(MemoryStore(), shape=(2, 4, 4), chunks=(1, 2, 2), dtype="int16")
ways = {
    "s3": stores.S3Store("b", prefix="src", region="r", access_key_id=key, secret_access_key=key,
                         **waiting),
    "s3 elsewhere": stores.S3Store("b", prefix="src2", region="r", access_key_id=key,
                                   secret_access_key=key, **waiting),
    "gs": stores.GCSStore("b", prefix="src", **waiting),
    "az": stores.AzureStore("c", account_name="a", account_key="c2VjcmV0", prefix="p", **waiting),
    "http": stores.HTTPStore.from_url("https://h.org/a", **waiting),
    "local": stores.LocalStore(where),
}
for name, store in ways.items():
    path = StorePath(ObjectStore(store, read_only=True), "q")
    array = zarr.Array(zarr.AsyncArray(metadata=made.metadata, store_path=path))
    q = da.from_array(array, chunks=(1, 2, 2), name="random-" + key + name)
    lazy = xr.Dataset({"q": (("time", "y", "x"), q), "a": (("time", "y", "x"), q * k)})
    lazy = lazy.assign(b=xr.apply_ufunc(lambda v: v + k, lazy["a"], dask="parallelized",
                                        output_dtypes=["int16"]))
    mosaic = qm.quality_mosaic(lazy, "q", masked="fill")
    web = Web(mosaic.variables)
    print(name, *(f"{web.inputs(n)}/{web.token(n)}" for n in mosaic.variables))
"""


def test_signatures_are_no_part_of_a_name() -> None:
    """The same file, signed anew: as an argument, in a table of assets. Another file is another."""

    def name(address: str) -> str:
        table = np.array([(address, 1.0)], dtype=[("url", object), ("left", float)])
        a = da.from_array(table, chunks=1).map_blocks(lambda t, u: t["left"], address, dtype=float)
        return Web({"a": xr.Variable("t", a)}).inputs("a")

    signed = "https://h.org/a.tif?sv=1&se=2026-01-01T00%3A00%3A00Z&sig="
    assert name(signed + "abc") == name(signed + "xyz") == name("https://h.org/a.tif")
    assert name("https://h.org/b.tif") != name(signed + "abc")


def test_names_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Names of object stores do not depend on the process, on keys, or on how dask calls the
    arrays; another store has another name, another computation too."""
    pytest.importorskip("obstore", reason="obstore is in the extra [s3]")
    told = []
    for seed in ("1", "2"):
        child = [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path), "key" + seed]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        told.append(subprocess.run(child, capture_output=True, text=True, env=environment))
        assert told[-1].returncode == 0, told[-1].stderr
    assert told[0].stdout == told[1].stdout
    lines = told[0].stdout.splitlines()
    assert len(lines) == 6
    names = [name for line in lines for name in line.split()[-3:]]
    assert len(set(names)) == len(names)
    assert len({name.split("/")[0] for name in names}) == 6  # an input for each store
