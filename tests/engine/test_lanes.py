"""How chunks come from a Zarr store: through tensorstore or by slices, with the same pixels, the
same errors, and no chunk too many."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, MemoryStore, ZipStore

import qmosaic as qm
from qmosaic.engine.graph import Stack, asking, defer, lanes
from qmosaic.engine.graph.lanes import AtOnce, InThreads, Opened, open_fast
from qmosaic.engine.graph.stored import StoredArray, find_stored
from tests.support.sources import CountingArray, expected, random_stack

RNG = np.random.default_rng(0)
SHAPE, CHUNKS = (7, 11, 13), (1, 4, 5)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What tensorstore is asked for: the place of the array, and the window."""
    calls: list[tuple[str, Any]] = []
    ask = Opened.ask

    def counted(self: Opened, index: Any) -> Any:
        calls.append((self.stored.array.path, index))
        return ask(self, index)

    monkeypatch.setattr(Opened, "ask", counted)
    return calls


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make tensorstore go: what is read after that is sliced."""

    def go() -> None:
        monkeypatch.setitem(sys.modules, "tensorstore", None)

    return go


def values_of(dtype: str) -> np.ndarray:
    """Make an array of a dtype."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return RNG.random(SHAPE) < 0.5
    if kind in "fc":
        values = RNG.normal(size=SHAPE).astype(dtype)
        values[RNG.random(SHAPE) < 0.1] = np.nan
        return values
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, SHAPE, dtype=np.dtype(dtype).newbyteorder("="))


# -- arrays of Zarr -------------------------------------------------------------------------------

V3: dict[str, dict[str, Any]] = {
    "uint8": {"dtype": "uint8"},
    "int64": {"dtype": "int64"},
    "uint64": {"dtype": "uint64"},
    "bool": {"dtype": "bool"},
    "float16": {"dtype": "float16"},
    "float64": {"dtype": "float64", "fill_value": np.nan},
    "no codec": {"dtype": "uint16", "compressors": None},
    "fill": {"dtype": "int16", "fill_value": -7},
    "blosc": {
        "dtype": "int32",
        "compressors": zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle"),
    },
    "gzip": {"dtype": "int32", "compressors": zarr.codecs.GzipCodec(level=1)},
    "zstd with a checksum": {"dtype": "int32", "compressors": zarr.codecs.ZstdCodec(checksum=True)},
    "crc32c": {
        "dtype": "int32",
        "compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()],
    },
    "big-endian": {"dtype": "int16", "serializer": zarr.codecs.BytesCodec(endian="big")},
    "transposed": {"dtype": "int16", "filters": [zarr.codecs.TransposeCodec(order=(2, 0, 1))]},
    "shards": {"dtype": "int16", "shards": (2, 8, 10)},
    "dots": {"dtype": "int16", "chunk_key_encoding": {"name": "v2", "separator": "."}},
}
V2: dict[str, dict[str, Any]] = {
    "uint8": {"dtype": "uint8"},
    "bool": {"dtype": "bool"},
    "big-endian": {"dtype": ">i2"},
    "big-endian floats": {"dtype": ">f4"},
    "order F": {"dtype": "int32", "order": "F"},
    "no codec": {"dtype": "uint16", "compressors": None},
    "blosc": {"dtype": "int32", "compressors": numcodecs.Blosc("zstd", 3)},
    "zlib": {"dtype": "int32", "compressors": numcodecs.Zlib()},
    "bz2": {"dtype": "int32", "compressors": numcodecs.BZ2()},
    "zstd": {"dtype": "int32", "compressors": numcodecs.Zstd(3)},
    "no fill value": {"dtype": "int32", "fill_value": None},
    "slashes": {"dtype": "int32", "chunk_key_encoding": {"name": "v2", "separator": "/"}},
}
SLICED: dict[str, tuple[int, dict[str, Any]]] = {
    "lz4": (2, {"dtype": "int32", "compressors": numcodecs.LZ4()}),
    "delta": (2, {"dtype": "int32", "filters": [numcodecs.Delta(dtype="<i4")]}),
    "times": (2, {"dtype": "datetime64[s]"}),
}


def create(path: Path, zarr_format: int, how: dict[str, Any]) -> tuple[zarr.Array, np.ndarray]:
    """Write an array, but for a part of it that stays fill value."""
    dtype = np.dtype(how["dtype"])
    values = values_of(str(dtype)) if dtype.kind != "M" else values_of("int64").astype(dtype)
    array = zarr.create_array(
        LocalStore(path), shape=SHAPE, chunks=CHUNKS, zarr_format=zarr_format, **how
    )
    array[:5, :8] = values[:5, :8]
    return zarr.open_array(LocalStore(path, read_only=True)), array[...]


CASES = [
    *((f"3 {name}", 3, how) for name, how in V3.items()),
    *((f"2 {name}", 2, how) for name, how in V2.items()),
]


@pytest.mark.parametrize(("zarr_format", "how"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_tensorstore_reads(tmp_path: Path, zarr_format: int, how: dict[str, Any]) -> None:
    """Formats, shards, missing chunks, byte orders and codecs: bit for bit what zarr reads."""
    array, want = create(tmp_path / "a", zarr_format, how)
    opened = open_fast(array)
    assert isinstance(opened, Opened), opened
    for window in (
        (slice(0, 7), slice(0, 11), slice(0, 13)),
        (slice(2, 3), slice(4, 8), slice(5, 10)),
        (slice(4, 7), slice(3, 9), slice(0, 1)),
        (slice(3, 3), slice(0, 4), slice(0, 4)),
    ):
        got = opened.ask(window).result()
        assert got.dtype == want.dtype.newbyteorder("=")
        assert got.tobytes() == want[window].astype(got.dtype).tobytes()


@pytest.mark.parametrize("name", SLICED)
def test_what_tensorstore_does_not_know_is_sliced(tmp_path: Path, name: str) -> None:
    """A codec or a dtype that it does not know: said, and read by zarr."""
    zarr_format, how = SLICED[name]
    array, want = create(tmp_path / "a", zarr_format, how)
    said = open_fast(array)
    assert isinstance(said, str)
    assert "tensorstore" in said
    got = da.from_array(array, chunks=CHUNKS).compute(scheduler="synchronous")
    np.testing.assert_array_equal(got, want)


def test_other_stores_are_sliced(tmp_path: Path) -> None:
    """Stores in memory, in a zip, of one's own, and what is no Zarr: the reason names it."""

    class Own(LocalStore):
        pass

    in_memory = zarr.create_array(MemoryStore(), data=values_of("uint8"), chunks=CHUNKS)
    zipped = zarr.create_array(ZipStore(tmp_path / "a.zip", mode="w"), data=values_of("uint8"))
    own = zarr.create_array(Own(tmp_path / "own"), data=values_of("uint8"), chunks=CHUNKS)
    for source, told in (
        (in_memory, "MemoryStore"),
        (zipped, "ZipStore"),
        (own, "Own"),
        (np.zeros(3), "no array of Zarr (ndarray)"),
    ):
        said = open_fast(source)
        assert isinstance(said, str)
        assert told in said


def test_what_zarr_has_opened_counts(tmp_path: Path) -> None:
    """Where the metadata on the disk have changed since, or are gone, both lanes go on with those
    that were opened."""
    array, want = create(tmp_path / "a", 3, {"dtype": "uint8"})
    document = json.loads((tmp_path / "a" / "zarr.json").read_text())
    whole = tuple(slice(0, n) for n in SHAPE)
    for change in ({"shape": [9, 11, 13]}, {"fill_value": 3}, {"data_type": "int8"}):
        (tmp_path / "a" / "zarr.json").write_text(json.dumps(document | change))
        opened = open_fast(array)
        assert isinstance(opened, Opened)
        np.testing.assert_array_equal(opened.ask(whole).result(), want)
    (tmp_path / "a" / "zarr.json").unlink()
    assert isinstance(open_fast(array), Opened)


def test_a_store_that_was_replaced_by_one_with_other_codecs_is_an_error(tmp_path: Path) -> None:
    """Its chunks are not what was opened: both lanes say so, and neither gives other pixels."""
    array, _ = create(tmp_path / "a", 3, {"dtype": "int32"})
    shutil.rmtree(tmp_path / "a")
    create(tmp_path / "a", 3, {"dtype": "int32", "compressors": zarr.codecs.GzipCodec()})
    opened = open_fast(array)
    assert isinstance(opened, Opened)
    with pytest.raises(ValueError, match="a/c/0/0/0"):
        opened.ask((slice(0, 1), slice(0, 4), slice(0, 5))).result()
    with pytest.raises(RuntimeError, match="Zstd"):
        array[0, 0, 0]


FORKED = """
import os, sys
import numpy as np, xarray as xr, qmosaic as qm

collection = xr.open_zarr(sys.argv[1], chunks={}, consolidated=False)
mosaic = qm.quality_mosaic(collection, "quality")
want = mosaic["red"].compute(scheduler="synchronous").values
assert set(qm.explain(mosaic).lanes.values()) == {"tensorstore"}
child = os.fork()
if not child:
    again = xr.open_zarr(sys.argv[1], chunks={}, consolidated=False)
    for each in (mosaic, qm.quality_mosaic(again, "quality")):
        got = each["red"].compute(scheduler="synchronous").values
        assert all("forked" in lane for lane in qm.explain(each).lanes.values())
        assert (got == want).all()
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_slices(collection: xr.Dataset, tmp_path: Path) -> None:
    """The threads of tensorstore stay in the parent, and it ends a child that uses it: so a child
    does not, not even with what its parent has opened."""
    program = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "in.zarr")]
    subprocess.run(program, check=True, timeout=120)


def test_without_tensorstore_everything_is_sliced(
    tmp_path: Path, without: Callable[[], None]
) -> None:
    """It is an extra: without it the reason says so."""
    array, _ = create(tmp_path / "a", 3, {"dtype": "uint8"})
    without()
    assert open_fast(array) == "tensorstore is not installed"


# -- what xarray puts around them -----------------------------------------------------------------


def packed(path: Path, zarr_format: int = 3) -> Path:
    """Write what xarray decodes: a packed band, an unsigned one, a bool, one of another order."""
    rng = np.random.default_rng(1)
    shape = (4, 6, 6)
    floats = rng.normal(size=shape).round(1)
    floats[rng.random(shape) < 0.2] = np.nan
    dataset = xr.Dataset(
        {
            "scaled": (("time", "y", "x"), floats),
            "masked": (("time", "y", "x"), floats.round()),
            "unsigned": (
                ("time", "y", "x"),
                rng.integers(-128, 127, shape).astype("int8"),
                {"_Unsigned": "true"},
            ),
            "flag": (("time", "y", "x"), rng.random(shape) < 0.5),
            "plain": (("time", "y", "x"), rng.integers(0, 60000, shape).astype("uint16")),
        }
    )
    chunks = {"chunks": (1, 3, 3)}
    encoding: dict[str, dict[str, Any]] = {
        "scaled": {"dtype": "int16", "scale_factor": 0.1, "add_offset": 2.0, "_FillValue": -99},
        "masked": {"dtype": "int16", "_FillValue": -99},
        "unsigned": {},
        "flag": {"dtype": "int8"},
        "plain": {},
    }
    dataset.to_zarr(
        path,
        encoding={name: how | chunks for name, how in encoding.items()},
        consolidated=False,
        zarr_format=zarr_format,
    )
    return path


BANDS = ["scaled", "masked", "unsigned", "flag", "plain"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("band", BANDS)
def test_what_xarray_decodes(
    tmp_path: Path, band: str, zarr_format: int, asked: list[tuple[str, Any]]
) -> None:
    """Scale, offset, mask, unsigned, bool: through tensorstore they are what xarray gives."""
    dataset = xr.open_zarr(packed(tmp_path / "a", zarr_format), chunks={}, consolidated=False)
    quality = (
        xr.zeros_like(dataset["plain"]).assign_attrs(dataset["plain"].attrs) + dataset["plain"]
    )
    mosaic = qm.quality_mosaic(dataset.assign(quality=quality), "quality")[band]
    got = mosaic.compute(scheduler="synchronous")
    assert {path for path, _ in asked} == {"plain", band}
    loaded = dataset.load()
    winner = loaded["plain"].argmax("time")
    want = loaded[band].isel(time=winner)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.values, want.values)


def test_cuts_before_chunks(tmp_path: Path) -> None:
    """What xarray cuts out before it is chunked is read where it lies; steps and lists are
    sliced."""
    packed(tmp_path / "a")
    lazy = xr.open_dataset(tmp_path / "a", engine="zarr", consolidated=False)
    for cut, stored in (
        ({"time": slice(1, 3), "y": slice(2, 6), "x": slice(1, 6)}, True),
        ({"y": 3}, True),
        ({"time": slice(1, 4), "y": -1}, True),
        ({"time": slice(None, None, 2)}, False),
        ({"x": [0, 2, 5]}, False),
    ):
        band = lazy["scaled"].isel(cut)
        source = next(
            value
            for value in band.chunk().data.__dask_graph__().to_dict().values()
            if hasattr(getattr(value, "value", value), "shape")
        )
        found = find_stored(getattr(source, "value", source))
        assert isinstance(found, StoredArray) == stored, cut
        if stored:
            opened = open_fast(getattr(source, "value", source))
            assert isinstance(opened, Opened)
            index = tuple(slice(0, n) for n in band.shape)
            np.testing.assert_array_equal(opened.ask(index).result(), band.values)


def test_xarray_keeps_what_it_wraps_where_it_is_looked_for(tmp_path: Path) -> None:
    """Attributes of xarray that are not documented: a change there would be noticed here."""
    dataset = xr.open_zarr(packed(tmp_path / "a"), chunks={}, consolidated=False)
    for band in BANDS:
        graph = dataset[band].data.__dask_graph__().to_dict()
        sources = [getattr(v, "value", v) for v in graph.values()]
        found = [find_stored(s) for s in sources if type(s).__module__.startswith("xarray")]
        assert len(found) == 1
        assert isinstance(found[0], StoredArray), band
        assert found[0].array.path == band


# -- mosaics --------------------------------------------------------------------------------------


@pytest.fixture
def collection(tmp_path: Path) -> xr.Dataset:
    """A collection in a store."""
    values = random_stack(images=9, side=20)
    dataset = xr.Dataset({n: (("time", "y", "x"), v) for n, v in values.items()})
    dataset = dataset.assign_coords(time=np.arange(9).astype("datetime64[D]"))
    chunks = {n: {"chunks": (1, 8, 8), "_FillValue": None} for n in values}
    dataset.to_zarr(tmp_path / "in.zarr", encoding=chunks, consolidated=False)
    return xr.open_zarr(tmp_path / "in.zarr", chunks={}, consolidated=False)


WAYS: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "as stored": lambda c: c,
    "arithmetic": lambda c: c.assign(quality=c["quality"] * 2 + c["nir"] * 0),
    "larger": lambda c: c.chunk(y=16),
    "cut": lambda c: c.isel(y=slice(3, 19), x=slice(1, 18)),
    "selected": lambda c: c.isel(time=[7, 2, 3, 8]),
    "rechunked": lambda c: c.chunk(y=7, x=9),
    "joined": lambda c: xr.concat([c.isel(time=[t]) for t in range(9)], "time"),
    "minus a mean": lambda c: c.assign(quality=c["quality"] - c["quality"].mean("time")),
}


@pytest.mark.parametrize("way", WAYS)
def test_mosaics_are_the_same_in_both_lanes(
    collection: xr.Dataset, way: str, without: Callable[[], None]
) -> None:
    """Whatever is done to a collection: tensorstore, slices, and the plain loop over pixels."""
    changed = WAYS[way](collection)
    fast = qm.quality_mosaic(changed, "quality").compute(scheduler="synchronous")
    without()
    again = WAYS[way](xr.open_zarr(collection.encoding["source"], chunks={}, consolidated=False))
    sliced = qm.quality_mosaic(again, "quality").compute(scheduler="synchronous")
    xr.testing.assert_identical(fast, sliced)


def test_only_what_won_is_asked_for(collection: xr.Dataset, asked: list[tuple[str, Any]]) -> None:
    """Through tensorstore too: the quality once, of the bands the chunks of winners, none twice."""
    quality = collection["quality"].fillna(0) * 0 + xr.DataArray(
        np.where(np.arange(9) == 4, 1, 0), dims="time"
    )
    mosaic = qm.quality_mosaic(collection.assign(score=quality), "score")
    with dask.config.set(scheduler="synchronous"):
        mosaic[["red"]].compute()
    of = {name: [index for path, index in asked if path == name] for name in ("quality", "red")}
    assert sum(index[0].stop - index[0].start for index in of["quality"]) == 9 * 9
    assert len(of["red"]) == 9
    assert all(index[0] == slice(4, 5) for index in of["red"])


def test_a_collection_that_is_written_as_it_is_comes_through_tensorstore(
    collection: xr.Dataset, tmp_path: Path, asked: list[tuple[str, Any]]
) -> None:
    """`to_zarr` takes any Dataset; each of its chunks is asked for once."""
    qm.to_zarr(collection[["red", "nir"]], tmp_path / "out.zarr", progress=False)
    assert len(asked) == len({(path, str(window)) for path, window in asked}) == 2 * 9 * 9
    xr.testing.assert_equal(qm.open_mosaic(tmp_path / "out.zarr"), collection[["red", "nir"]])


def test_upper_bound_asks_for_nothing_too_many(
    collection: xr.Dataset, asked: list[tuple[str, Any]]
) -> None:
    """With an upper bound nothing is asked for ahead: the images up to the one that settles it."""
    best = xr.DataArray(np.where(np.arange(9) == 3, 0, -1), dims="time")
    score = collection["quality"].fillna(0) * 0 + best
    mosaic = qm.quality_mosaic(collection.assign(score=score), "score", upper_bound=0)
    mosaic["score"].compute(scheduler="synchronous")
    assert len(asked) == 9 * 4
    assert max(index[0].start for _, index in asked) == 3


def test_a_source_that_is_used_twice_is_asked_for_once(
    collection: xr.Dataset, asked: list[tuple[str, Any]]
) -> None:
    """An index of two bands reads each chunk of them once for an image."""
    index = (collection["nir"] - collection["red"]) / (collection["nir"] + collection["red"])
    mosaic = qm.quality_mosaic(collection[["red"]].assign(index=index), "index")
    mosaic["index"].compute(scheduler="synchronous")
    assert len(asked) == len({(path, str(window)) for path, window in asked}) == 2 * 9 * 9


# -- errors ---------------------------------------------------------------------------------------


def spoiled(path: Path, how: str) -> None:
    """Damage a chunk."""
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"\x00" * len(data))


@pytest.mark.parametrize("lane", ["tensorstore", "slices"])
@pytest.mark.parametrize("how", ["truncated", "empty", "overwritten"])
@pytest.mark.parametrize("band", ["quality", "red"])
def test_a_damaged_chunk_is_named_in_both_lanes(
    collection: xr.Dataset,
    tmp_path: Path,
    band: str,
    how: str,
    lane: str,
    without: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`ChunkReadError` names image, band, chunk and store; with ``on_error="skip"`` the image is
    left out there, and the pixels are the same in both lanes."""
    monkeypatch.setattr("qmosaic.engine.reading.FIRST_WAIT", 0.0)
    if lane == "slices":
        without()
    score = (collection["quality"].fillna(0) * 0 + xr.DataArray(np.arange(9), dims="time")).rename(
        None
    )
    collection = collection.assign(quality=score) if band == "red" else collection
    spoiled(tmp_path / "in.zarr" / band / "c" / "8" / "1" / "0", how)
    mosaic = qm.quality_mosaic(collection, "quality")
    told = rf"band '{band}' of image 1970-01-09.*chunk \(8, 1, 0\).*in.zarr"
    with pytest.raises(qm.ChunkReadError, match=told):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", retries=1, progress=False)
    qm.to_zarr(mosaic, tmp_path / "skip.zarr", retries=1, on_error="skip", progress=False)
    got = qm.open_mosaic(tmp_path / "skip.zarr").load()
    assert "1970-01-09" in str(got.attrs["qmosaic_skipped"])
    values = {n: v.values.copy() for n, v in collection.drop_vars(band).load().items()}
    left = collection.isel(time=slice(0, 8)).load()
    want = oracle_of(left)
    np.testing.assert_array_equal(got["nir"].values[8:16, :8], want["nir"][8:16, :8])
    assert values


def oracle_of(collection: xr.Dataset) -> dict[str, np.ndarray]:
    """Make the mosaic with the plain loop over pixels."""
    return expected({str(name): band.values for name, band in collection.items()})


def test_a_chunk_that_can_be_read_again_is_read_again(
    collection: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``retries`` asks tensorstore anew."""
    monkeypatch.setattr("qmosaic.engine.reading.FIRST_WAIT", 0.0)
    ask, failed = Opened.ask, []

    class Broken:
        def result(self) -> Any:
            raise ValueError("out of order")

    def sometimes(self: Opened, index: Any) -> Any:
        if self.stored.array.path == "red" and len(failed) < 2:
            failed.append(index)
            return Broken()
        return ask(self, index)

    monkeypatch.setattr(Opened, "ask", sometimes)
    mosaic = qm.quality_mosaic(collection, "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr", retries=2, progress=False)
    assert len(failed) == 2
    want = oracle_of(collection.load())
    np.testing.assert_array_equal(qm.open_mosaic(tmp_path / "out.zarr")["red"], want["red"])


# -- which lane, and how far ahead ----------------------------------------------------------------


def test_how_far_ahead_is_a_matter_of_stored_bytes(tmp_path: Path, asked: list[Any]) -> None:
    """So many chunks are asked for as fit into READ_TOGETHER, two at least, and no more than
    MOST_IN_FLIGHT; the same whatever the machine does meanwhile."""
    for side, want in ((16, 16), (1024, 4), (2048, 2)):
        path = tmp_path / f"{side}.zarr"
        zarr.create_array(
            LocalStore(path), shape=(40, side, side), chunks=(1, side, side), dtype="uint8"
        )
        array = da.from_array(zarr.open_array(path, mode="r"), chunks=(1, side, side)) + np.uint8(1)
        deferred = defer(Stack(array, ("time", "y", "x"), "time"))
        assert deferred is not None
        asked.clear()
        for number, (_, image) in enumerate(deferred.source.of_block((0, 0)).walk(range(40))):
            assert (image == 1).all()
            assert len(asked) == min(number + want, 40)


def test_what_is_opened_lives_as_long_as_the_recipe(
    collection: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An array is opened once for all blocks of a band, not once a task."""
    opened: list[str] = []
    open_stored = lanes.open_stored

    def counted(stored: StoredArray) -> Any:
        opened.append(stored.array.path)
        return open_stored(stored)

    monkeypatch.setattr(lanes, "open_stored", counted)
    mosaic = qm.quality_mosaic(collection, "quality")
    with dask.config.set(scheduler="synchronous"):
        mosaic.compute()
        mosaic.compute()
    assert sorted(opened) == ["nir", "quality", "red"]


def test_no_lane_is_faster_than_it_may_be() -> None:
    """Slices that answer at once are read when they are needed, adjacent ones in one request;
    threads are asked at once."""
    calls: list[Any] = []
    values = np.arange(12).reshape(3, 4)

    def read(index: Any) -> Any:
        calls.append(index)
        return values[index]

    lane = AtOnce(read)
    windows = [(slice(t, t + 1), slice(0, 4)) for t in range(3)]
    pending = [lane.ask(window) for window in windows]
    assert not calls
    for window, one in zip(windows, pending, strict=True):
        np.testing.assert_array_equal(one.result(), values[window])
    assert calls == [(slice(0, 3), slice(0, 4))]
    assert InThreads.ask is not AtOnce.ask


def test_a_cut_collection_comes_through_tensorstore_too(
    collection: xr.Dataset, asked: list[tuple[str, Any]]
) -> None:
    """It is read where it lies: what was cut off is not asked for."""
    cut = collection.isel(y=slice(3, 19))
    mosaic = qm.quality_mosaic(cut, "quality")
    mosaic["quality"].compute(scheduler="synchronous")
    assert {path for path, _ in asked} == {"quality"}
    assert min(index[1].start for _, index in asked) == 3
    assert max(index[1].stop for _, index in asked) == 19
    assert asking.READ_TOGETHER >= 4 * 2**20


def test_explain_says_how_bands_are_read(
    collection: xr.Dataset,
    tmp_path: Path,
    without: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For each band the lane, and why not through tensorstore."""
    monkeypatch.setattr("qmosaic.engine.graph.deferral.BLOCK_BYTES", 1)
    assert set(qm.explain(qm.quality_mosaic(collection, "quality")).lanes.values()) == {
        "tensorstore"
    }
    bands = {
        "near": collection["quality"] * 2,
        "memory": collection["red"].load().chunk(time=1),
        "rechunked": collection["nir"].chunk(y=7),
        "shared": collection["nir"].chunk(y=-1, x=-1).map_blocks(_doubled).chunk(y=7, x=7),
    }
    mosaic = qm.quality_mosaic(xr.Dataset(bands), "near")
    explained = qm.explain(mosaic)
    assert explained.lanes["near"] == "tensorstore"
    assert "lie in memory" in explained.lanes["memory"]
    assert explained.lanes["rechunked"] == "tensorstore"
    assert "ordinary tasks of dask" in explained.lanes["shared"]
    assert "near, rechunked: tensorstore" in str(explained)
    without()
    again = xr.open_zarr(tmp_path / "in.zarr", chunks={}, consolidated=False)
    lanes = qm.explain(qm.quality_mosaic(again, "quality")).lanes
    assert set(lanes.values()) == {"slices, as tensorstore is not installed"}


def test_explain_names_all_lanes_of_a_band(collection: xr.Dataset) -> None:
    """Images of several sources, and a band made of several: every way is named."""
    in_memory = collection["red"].isel(time=slice(4, 9)).compute()
    source = CountingArray(in_memory.values)
    in_memory.data = da.from_array(source, chunks=(1, 8, 8))
    near = collection["red"].isel(time=slice(0, 4))
    made = da.map_blocks(_made, chunks=collection["quality"].chunks, dtype="float32")
    bands = {
        "quality": collection["quality"].copy(data=made) + collection["quality"],
        "red": xr.concat([near, in_memory], "time"),
        "nir": collection["nir"],
    }
    lanes = qm.explain(qm.quality_mosaic(xr.Dataset(bands), "quality")).lanes
    assert lanes["nir"] == "tensorstore"
    assert lanes["quality"] == "tensorstore and slices, as a function makes its chunks"
    assert lanes["red"] == "tensorstore and slices, as it is no array of Zarr (CountingArray)"


def _doubled(band: xr.DataArray) -> xr.DataArray:
    return band * 2


def _made(block_info: Any = None) -> np.ndarray:
    return np.zeros(block_info[None]["chunk-shape"], "float32")
