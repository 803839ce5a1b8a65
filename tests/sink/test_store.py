"""The sink: what is written is the mosaic, chunk by chunk, and nothing is lost by a mistake."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

import qmosaic as qm
from tests.support.sources import (
    CountingArray,
    Forbidden,
    as_dataset,
    expected,
    in_store,
    made_of_whole_images,
    random_stack,
)


@pytest.fixture
def collection(tmp_path: Path) -> xr.Dataset:
    """A lazy collection on disk."""
    return in_store(random_stack(), tmp_path / "in.zarr")[0]


def test_chunks_of_the_store_are_the_blocks(collection: xr.Dataset, tmp_path: Path) -> None:
    """One task writes one chunk: blocks and chunks are the same."""
    qm.to_zarr(qm.quality_mosaic(collection, "quality"), tmp_path / "out.zarr")
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert group["red"].chunks == (8, 8)
    assert group["red"].dtype == "uint16"
    values = random_stack()
    for name, want in expected(values).items():
        np.testing.assert_array_equal(group[name][:], want)


def test_a_collection_is_written_as_it_is(collection: xr.Dataset, tmp_path: Path) -> None:
    """What is no mosaic is not made one: all images of a collection are written."""
    qm.to_zarr(collection, tmp_path / "out.zarr")
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    np.testing.assert_array_equal(group["red"][:], random_stack()["red"])


def test_uneven_blocks_are_made_even(collection: xr.Dataset, tmp_path: Path) -> None:
    """Zarr has one chunk size: blocks of several sizes are written in the largest of them."""
    mosaic = qm.quality_mosaic(collection.chunk(y=(5, 9, 10), x=(20, 4)), "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert group["red"].chunks == (10, 20)
    np.testing.assert_array_equal(group["red"][:], expected(random_stack())["red"])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_dtype_and_nodata_round_trip(tmp_path: Path, zarr_format: int) -> None:
    """uint16 in, uint16 out; _FillValue and odc's nodata are declared in the store."""
    values = random_stack()
    lazy = as_dataset(values).chunk(time=1, y=8, x=8)
    lazy["red"].attrs["nodata"] = np.uint16(7)
    lazy["int"] = lazy["red"].astype("int16").drop_attrs()
    path = tmp_path / "out.zarr"
    qm.to_zarr(qm.quality_mosaic(lazy, "quality"), path, zarr_format=zarr_format)
    raw = xr.open_zarr(path, mask_and_scale=False, consolidated=False)
    assert raw["red"].dtype == "uint16"
    assert raw["red"].attrs["_FillValue"] == 7
    assert raw["int"].dtype == "int16"
    assert raw["int"].attrs["_FillValue"] == 0
    decoded = xr.open_zarr(path, consolidated=False)
    assert np.isnan(decoded["red"].values[raw["red"].values == 7]).all()


def test_options_reach_zarr(collection: xr.Dataset, tmp_path: Path) -> None:
    """Groups, chunks and shards that were asked for; blocks follow them."""
    mosaic = qm.quality_mosaic(collection, "quality")
    encoding = {"red": {"chunks": (4, 4), "shards": (8, 12)}}
    qm.to_zarr(mosaic, tmp_path / "out.zarr", group="best", encoding=encoding)
    qm.to_zarr(mosaic, tmp_path / "out.zarr", group="other")
    array = zarr.open_group(tmp_path / "out.zarr", mode="r")["best/red"]
    assert (array.chunks, array.shards) == ((4, 4), (8, 12))
    np.testing.assert_array_equal(array[:], expected(random_stack())["red"])


def test_stores_of_every_kind(collection: xr.Dataset, tmp_path: Path) -> None:
    """A path, a string, a LocalStore, a MemoryStore."""
    mosaic = qm.quality_mosaic(collection, "quality")[["red"]]
    memory = zarr.storage.MemoryStore()
    for store in (
        tmp_path / "a",
        str(tmp_path / "b"),
        zarr.storage.LocalStore(tmp_path / "c"),
        memory,
    ):
        qm.to_zarr(mosaic, store)
        with pytest.raises(FileExistsError, match="mode='w'"):
            qm.to_zarr(mosaic, store)


def test_xarrays_own_writer_works(collection: xr.Dataset, tmp_path: Path) -> None:
    """mosaic.to_zarr(...) writes the same pixels."""
    mosaic = qm.quality_mosaic(collection, "quality")
    mosaic.to_zarr(tmp_path / "x.zarr", consolidated=False)
    qm.to_zarr(mosaic, tmp_path / "q.zarr")
    ours, theirs = (
        xr.open_zarr(tmp_path / n, consolidated=False, mask_and_scale=False)
        for n in ("q.zarr", "x.zarr")
    )
    xr.testing.assert_identical(ours.load(), theirs.load())


# -- nothing is lost ------------------------------------------------------------------------------


def unreadable() -> xr.Dataset:
    """A mosaic that fails as soon as a pixel of it is computed."""
    source = da.from_array(Forbidden((3, 8, 8), "uint16"), chunks=(1, 4, 4))
    return qm.quality_mosaic(as_dataset({"red": source, "quality": source}), "red")


def content(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_a_store_that_exists_is_kept(collection: xr.Dataset, tmp_path: Path) -> None:
    """mode="w-" refuses, names the store and the cure, and touches nothing."""
    path = tmp_path / "out.zarr"
    qm.to_zarr(qm.quality_mosaic(collection, "quality"), path)
    before = content(path)
    with pytest.raises(FileExistsError, match=r"out\.zarr.*exists.*mode='w'"):
        qm.to_zarr(unreadable(), path)
    assert content(path) == before
    qm.to_zarr(qm.quality_mosaic(collection, "quality", ties="last"), path, mode="w")
    assert content(path) != before


@pytest.mark.parametrize("mode", ["w-", "w"])
def test_a_folder_of_other_things_is_kept(tmp_path: Path, mode: str) -> None:
    """Neither mode writes into, or deletes, a folder that is no Zarr store."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("ten years")
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match="no Zarr store"):
        qm.to_zarr(unreadable(), tmp_path / "thesis", mode=mode)
    with pytest.raises(FileExistsError, match="is a file"):
        qm.to_zarr(unreadable(), tmp_path / "thesis" / "chapter1.txt", mode=mode)
    assert content(tmp_path) == before


def beside(store: Any, key: str, content: bytes) -> None:
    """Put a file into a store."""
    if isinstance(store, Path):
        (store / key).parent.mkdir(parents=True, exist_ok=True)
        (store / key).write_bytes(content)
    else:
        sync(store.set(key, default_buffer_prototype().buffer.from_bytes(content)))


EMPTY_GROUP = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
FOREIGN: dict[str, dict[str, bytes]] = {
    "a text": {"notes.txt": b"ten years"},
    "pictures": {"photos/a.jpg": b"me", "photos/b.jpg": b"you"},
    "among bands": {"red/why.txt": b"because"},
    "among chunks": {"red/c/0/why.txt": b"because"},
    "numbers like those of chunks": {"photos/1": b"me", "thesis/c/1/2": b"a novel"},
    "metadata that are none": {"thesis/zarr.json": b"a novel"},
    "in a folder that is no group": {
        "old/s.zarr/zarr.json": b'{"zarr_format":3,"node_type":"group"}'
    },
}


@pytest.mark.parametrize("kind", ["folder", "memory"])
@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_part_of_the_store_is_kept(tmp_path: Path, what: str, kind: str) -> None:
    """mode="w" clears a group of Zarr and nothing else: what lies beside or in it is named, and
    nothing is lost, in a folder as in any other store."""
    store: Any = tmp_path / "out.zarr" if kind == "folder" else MemoryStore()
    mosaic = xr.Dataset({"red": (("y", "x"), np.ones((4, 4)))}).chunk(y=2)
    qm.to_zarr(mosaic, store)
    for key, text in FOREIGN[what].items():
        beside(store, key, text)
    before = content(store) if kind == "folder" else dict(store._store_dict)
    with pytest.raises(FileExistsError, match=next(iter(FOREIGN[what]))):
        qm.to_zarr(mosaic, store, mode="w")
    assert (content(store) if kind == "folder" else store._store_dict) == before


@pytest.mark.parametrize("mode", ["w", "w-", "resume"])
@pytest.mark.parametrize(
    "files",
    [
        {"zarr.json": b"a novel", "notes.txt": b"ten years"},
        {"zarr.json": b'{"title": "a novel"}'},
        {"_qmosaic/.keep": b"", "photos/a.jpg": b"me"},
        {"a.zarr/zarr.json": EMPTY_GROUP},
    ],
)
@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_folder_that_only_looks_like_a_store_is_kept(
    tmp_path: Path, files: dict[str, bytes], mode: Any, kind: str
) -> None:
    """A file that is called zarr.json, a folder that is called _qmosaic, stores side by side: none
    of them makes a folder a group that may be cleared."""
    store: Any = tmp_path / "mine" if kind == "folder" else MemoryStore()
    for key, text in files.items():
        beside(store, f"mine/{key}" if kind == "memory" else key, text)
    before = content(store) if kind == "folder" else dict(store._store_dict)
    (tmp_path / "mine" / "_qmosaic").mkdir(parents=True, exist_ok=True)
    group = "mine" if kind == "memory" else None
    with pytest.raises(FileExistsError, match="no Zarr store"):
        qm.to_zarr(xr.Dataset({"red": ("x", np.ones(4))}), store, group=group, mode=mode)
    assert (content(store) if kind == "folder" else store._store_dict) == before


@pytest.mark.parametrize("group", ["_qmosaic", "2020/_qmosaic", "_qmosaic/done"])
def test_what_a_store_knows_of_its_making_is_no_group_for_a_mosaic(
    tmp_path: Path, group: str
) -> None:
    """A mosaic in there would take the place of what tells whether the other one is whole."""
    mosaic = xr.Dataset({"red": ("x", np.ones(4))})
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    before = content(tmp_path)
    with pytest.raises(ValueError, match="Write to another group"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", group=group, mode="w")
    assert content(tmp_path) == before


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_all_that_zarr_writes_may_be_replaced(tmp_path: Path, zarr_format: Any) -> None:
    """Groups in groups, shards, chunk names of both kinds, consolidated metadata, a file that a
    killed writer left half-written, what desktops leave: mode="w" replaces it all."""
    path = tmp_path / "out.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for name, separator in (("a/b", "."), ("a/c", "/")):
        group.require_group("a")
        encoding = {"name": "v2" if zarr_format == 2 else "default", "separator": separator}
        array = group.create_array(
            name, shape=(4, 4), chunks=(2, 2), dtype="i2", chunk_key_encoding=encoding
        )
        array[:] = 1
    group.create_array("scalar", shape=(), dtype="i2")[()] = 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path, zarr_format=zarr_format)
    (path / ".DS_Store").write_bytes(b"?")
    (path / "a" / "c" / "0.0123456789abcdef0123456789abcdef.partial").write_bytes(b"?")
    qm.to_zarr(xr.Dataset({"red": ("x", np.ones(4))}), path, mode="w")
    assert sorted(k for k, _ in zarr.open_group(path, mode="r").members()) == ["_qmosaic", "red"]


@pytest.mark.parametrize("inside", ["", "red", ".."])
def test_the_input_is_not_overwritten(tmp_path: Path, inside: str) -> None:
    """mode="w" on the store that is being read would delete it before it is read."""
    in_store(random_stack(), tmp_path / "all.zarr" / "in.zarr")
    zarr.open_group(tmp_path / "all.zarr", mode="a")
    path = tmp_path / "all.zarr" / "in.zarr"
    opened = xr.open_zarr(path, consolidated=False, chunks={})
    mosaic = qm.quality_mosaic(opened.assign(quality=-opened["red"].astype("int32")), "quality")
    before = content(path)
    with pytest.raises(ValueError, match="made from"):
        qm.to_zarr(mosaic, path / inside, mode="w")
    assert content(path) == before
    with pytest.raises(ValueError, match="array of Zarr, among its chunks"):
        qm.to_zarr(mosaic, path / "red" / "c", mode="w")
    with pytest.raises(ValueError, match="array of Zarr, among its chunks"):
        qm.to_zarr(mosaic, path, group="red/c", mode="w")
    assert content(path) == before


def test_bands_without_dimensions(tmp_path: Path) -> None:
    """A single number is written as any other band, alone and beside others."""
    lazy = da.from_array(CountingArray(np.arange(1, 5)), chunks=1)
    dataset = xr.Dataset({"one": ((), lazy[2]), "most": ((), lazy.max()), "all": (("x",), lazy)})
    for names in (["one"], ["one", "most", "all"]):
        qm.to_zarr(dataset[names], tmp_path / "out.zarr", mode="w")
        opened = qm.open_mosaic(tmp_path / "out.zarr")
        xr.testing.assert_equal(opened.drop_attrs(), dataset[names].compute())


BAD_ARGUMENTS: dict[str, dict[str, Any]] = {
    "a codec that is none": {"encoding": {"red": {"compressors": "zip"}}},
    "an encoding that is none": {"encoding": {"red": {"nonsense": 1}}},
    "an encoding of a band that is not there": {"encoding": {"rad": {"chunks": (4, 4)}}},
    "a dtype that is none": {"encoding": {"red": {"dtype": "q9"}}},
    "a coordinate's encoding": {"encoding": {"x": {"nonsense": 1}}},
    "a nodata that does not fit": {"encoding": {"red": {"_FillValue": "none"}}},
    "shards in format 2": {"shards": {"y": 8}, "zarr_format": 2},
    "images that cannot be left out": {"on_error": "skip"},
}


@pytest.mark.parametrize("mode", ["w-", "w", "resume"])
@pytest.mark.parametrize("what", BAD_ARGUMENTS)
@pytest.mark.usefixtures("never_together")
def test_what_fails_before_the_first_block_leaves_nothing(
    tmp_path: Path, what: str, mode: Any
) -> None:
    """No folder where there was none; the old mosaic where there was one."""
    path = tmp_path / "out.zarr"
    source = da.from_array(Forbidden((3, 8, 8), "uint16"), chunks=(1, 4, 4))
    collection = as_dataset({"red": source, "quality": source})
    if "left out" in what:
        collection = made_of_whole_images(collection, (1, 3, 3))
    mosaic = qm.quality_mosaic(collection, "red")
    with pytest.raises((ValueError, TypeError, KeyError)):
        qm.to_zarr(mosaic, path, mode=mode, **BAD_ARGUMENTS[what])
    assert not list(tmp_path.iterdir())
    if mode == "w":
        qm.to_zarr(xr.Dataset({"old": ("x", np.ones(4))}), path)
        before = content(path)
        with pytest.raises((ValueError, TypeError, KeyError)):
            qm.to_zarr(mosaic, path, mode=mode, **BAD_ARGUMENTS[what])
        assert content(path) == before


@pytest.mark.parametrize("ending", [".tif", ".tiff", ".nc", ".h5", ".png", ".zip", ".json"])
def test_names_of_other_files_are_refused(tmp_path: Path, ending: str) -> None:
    """to_zarr(best, "best.tif") would make a folder of that name."""
    with pytest.raises(ValueError, match=r"a folder.*best\.zarr"):
        qm.to_zarr(unreadable(), tmp_path / f"best{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["a", "r", "r+", "W", "resume!", "", None])
def test_unknown_modes_are_refused(tmp_path: Path, mode: Any) -> None:
    """Before anything is written; the message has the mode that came and those that there are."""
    with pytest.raises(ValueError, match=r"mode=.*w-") as raised:
        qm.to_zarr(unreadable(), tmp_path / "out.zarr", mode=mode)
    assert repr(mode) in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["compute", "append_dim", "region"])
def test_options_that_cannot_hold_are_refused(tmp_path: Path, option: str) -> None:
    """What would write something else than a whole mosaic is refused by name."""
    with pytest.raises(ValueError, match=option):
        qm.to_zarr(unreadable(), tmp_path / "out.zarr", **{option: "time"})
    assert not (tmp_path / "out.zarr").exists()


def test_what_is_no_mosaic_is_refused(tmp_path: Path) -> None:
    """An array of numpy is told what to be."""
    with pytest.raises(TypeError, match="ndarray"):
        qm.to_zarr(np.ones(3), tmp_path / "out.zarr")  # type: ignore[arg-type]


# -- progress -------------------------------------------------------------------------------------


def test_progress_is_shown_when_asked_for(
    collection: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar on request; silence where there is no terminal."""
    mosaic = qm.quality_mosaic(collection, "quality")
    qm.to_zarr(mosaic, tmp_path / "a.zarr")
    assert capsys.readouterr().err == ""
    qm.to_zarr(mosaic, tmp_path / "b.zarr", progress=True)
    assert "100%" in capsys.readouterr().err


def test_the_active_scheduler_is_used(collection: xr.Dataset, tmp_path: Path) -> None:
    """Whatever scheduler is active does the work."""
    used = []

    def scheduler(graph: Any, keys: Any, **kwargs: Any) -> Any:
        used.append(keys)
        return dask.get(graph, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        qm.to_zarr(qm.quality_mosaic(collection, "quality"), tmp_path / "out.zarr")
    assert used


def test_a_mosaic_in_memory_is_written_too(tmp_path: Path) -> None:
    """Rule 10: numpy-backed mosaics go the same way."""
    values = random_stack()
    qm.to_zarr(qm.quality_mosaic(as_dataset(values), "quality"), tmp_path / "out.zarr")
    back = xr.open_zarr(tmp_path / "out.zarr", consolidated=False, mask_and_scale=False)
    np.testing.assert_array_equal(back["red"].values, expected(values)["red"])


def test_bands_are_opened_in_their_order(tmp_path: Path) -> None:
    """A store lists its members in any order: the mosaic is opened as it was written."""
    names = ["B4", "B3", "B2", "quality", "A", "B11", "B8"]
    mosaic = xr.Dataset({n: (("y", "x"), np.ones((4, 4))) for n in names}).chunk()
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert list(qm.open_mosaic(tmp_path / "out.zarr")) == names
    (tmp_path / "plain.zarr").mkdir()
    collection = mosaic.expand_dims(time=2)
    collection.to_zarr(tmp_path / "in.zarr", consolidated=False)
    natural = ["A", "B2", "B3", "B4", "B8", "B11", "quality"]
    assert list(qm.open_collection(tmp_path / "in.zarr")) == natural


@pytest.mark.parametrize(
    ("zarr_format", "consolidated", "missing"),
    [(2, None, False), (2, False, True), (3, None, True), (3, True, False)],
)
def test_when_xarray_misses_consolidated_metadata(
    collection: xr.Dataset, tmp_path: Path, zarr_format: Any, consolidated: Any, missing: bool
) -> None:
    """What the docstring says of them: format 2 has them by default, format 3 where they are asked
    for; xarray warns of those that it misses, unless it is told not to look."""
    best = qm.quality_mosaic(collection, "quality")
    path = tmp_path / "best.zarr"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        qm.to_zarr(best, path, zarr_format=zarr_format, consolidated=consolidated)
    for options, warns in (({}, missing), ({"consolidated": False}, False)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            opened = xr.open_zarr(path, **options)
        assert set(opened.data_vars) == set(best.data_vars)
        assert any("consolidated" in str(w.message) for w in caught) == warns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        qm.open_mosaic(path)


def test_chunks_on_other_borders_are_decided_once_a_job(tmp_path: Path) -> None:
    """Where blocks and chunks of the store have other borders, only blocks on the border of two
    jobs are made twice, however many bands and pieces a job has: less than 1.6 times in all."""
    values = random_stack(images=2, side=96)
    values |= {f"band{number}": values["red"] for number in range(4)}
    collection, store = in_store(values, tmp_path / "in.zarr")
    mosaic = qm.quality_mosaic(collection, "quality")
    assert qm.explain(mosaic, chunks={"y": 5, "x": 7}).deferred
    qm.to_zarr(mosaic, tmp_path / "out.zarr", chunks={"y": 5, "x": 7})
    reads = store.chunks("quality")
    assert len(reads) == 2 * 12 * 12
    assert sum(reads.values()) <= 1.6 * len(reads)
    best, back = expected(values), xr.open_zarr(tmp_path / "out.zarr", consolidated=False)
    np.testing.assert_array_equal(back["nir"].values, best["nir"])


def test_a_month_is_appended_with_xarray(tmp_path: Path) -> None:
    """What the refusal of ``append_dim=`` advises keeps integers, nodata and packing."""
    packed = {"_FillValue": np.uint16(0), "scale_factor": 1e-4, "add_offset": -0.1}
    values = np.random.default_rng(0).integers(0, 60_000, (4, 8, 8)).astype("uint16")
    times = np.array(["2020-01-01", "2020-01-09", "2020-02-01", "2020-02-09"], "datetime64[ns]")
    images = xr.Dataset({"q": (("time", "y", "x"), values, packed)}, {"time": times})
    whole = qm.mosaic_by_period(images.chunk(time=1, y=4, x=4), "q", "MS")
    out = tmp_path / "months.zarr"
    qm.to_zarr(whole.isel(time=[0]), out)
    with pytest.raises(ValueError, match=r"xarray.decode_cf\(mosaic\).to_zarr"):
        qm.to_zarr(whole.isel(time=[1]), out, append_dim="time")
    xr.decode_cf(whole.isel(time=[1])).to_zarr(out, append_dim="time", consolidated=False)
    got = xr.open_zarr(out, consolidated=False, mask_and_scale=False)
    assert got["q"].dtype == "uint16"
    np.testing.assert_array_equal(got["q"].values, whole["q"].values)


@pytest.mark.parametrize("path", ["file/x.zarr", "/proc/nothing/x.zarr"])
def test_a_store_that_cannot_be_made(tmp_path: Path, path: str) -> None:
    """The error says so, not that another job is writing there."""
    (tmp_path / "file").write_text("no folder")
    mosaic = xr.Dataset({"red": (("y", "x"), np.ones((4, 4), "uint16"))})
    with pytest.raises(OSError, match="cannot be made"):
        qm.to_zarr(mosaic, tmp_path / path)


def test_a_url_that_lacks_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, and what can be used instead."""

    def lacking(*args: Any, **options: Any) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(zarr.storage.FsspecStore, "from_url", lacking)
    mosaic = xr.Dataset({"red": (("y", "x"), np.ones((4, 4), "uint16"))})
    with pytest.raises(ImportError, match=r"s3fs.*obstore.store.from_url"):
        qm.to_zarr(mosaic, "s3://bucket/best.zarr")


def test_a_coordinate_by_itself_is_written() -> None:
    """What a mosaic says of its images can be written alone: ``mosaic["source_index"]``."""
    plane = (("y", "x"), np.arange(4).reshape(2, 2))
    mosaic = xr.Dataset({"red": plane}, {"source_index": plane})
    store = zarr.storage.MemoryStore()
    qm.to_zarr(mosaic["source_index"], store)
    np.testing.assert_array_equal(qm.open_mosaic(store)["source_index"].values, plane[1])


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """A file in place of a store is told from a store that is not there."""
    file = tmp_path / "best.tif"
    file.touch()
    with pytest.raises(ValueError, match=r"is a file.*qmosaic\.open_collection"):
        qm.open_mosaic(file)
