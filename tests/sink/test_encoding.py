"""Chunks that are encoded here: the bytes are those that Zarr writes, whatever the array."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import register_pipeline
from zarr.storage import LocalStore, MemoryStore

import qmosaic as qm
from qmosaic.sink.encoding import ByZarr, Here, writer_of
from qmosaic.sink.fencing import folders
from tests.support.preparing import claimed


class Pipeline(BatchedCodecPipeline):
    """A pipeline of somebody else."""


register_pipeline(Pipeline)

SHAPE, CHUNKS = (10, 7), (4, 3)
PIECES = [(slice(y, min(y + 8, 10)), slice(x, min(x + 3, 7))) for y in (0, 8) for x in (0, 3, 6)]

V3: dict[str, dict[str, Any]] = {
    "default": {},
    "bare": {"compressors": None},
    "zstd": {"compressors": ZstdCodec(level=9, checksum=True)},
    "blosc": {"compressors": BloscCodec(cname="lz4", clevel=7, shuffle="bitshuffle")},
    "blosc-zstd": {"compressors": BloscCodec(cname="zstd", clevel=3)},
    "gzip": {"compressors": GzipCodec(level=3)},
    "crc": {"compressors": [ZstdCodec(level=3), Crc32cCodec()]},
    "big": {"serializer": BytesCodec(endian="big")},
    "transposed": {"filters": TransposeCodec(order=(1, 0))},
    "keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}
V2: dict[str, dict[str, Any]] = {
    "default": {},
    "bare": {"compressors": None, "filters": None},
    "zlib": {"compressors": numcodecs.Zlib(level=2)},
    "blosc": {"compressors": numcodecs.Blosc("zstd", 5, numcodecs.Blosc.BITSHUFFLE)},
    "zstd": {"compressors": numcodecs.Zstd(level=1, checksum=True)},
    "delta": {"filters": [numcodecs.Delta("<i4")], "dtype": "<i4"},
    "big": {"dtype": ">i4"},
    "fortran": {"order": "F"},
    "nothing": {"fill_value": None},
    "keys": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
}


def chunks_in(folder: Path) -> dict[str, bytes]:
    """Read the chunks of an array."""
    files = [path for path in (folder / "a").rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): _timeless(path.read_bytes()) for path in files}
    return {k: v for k, v in named.items() if not k.endswith((".json", ".zarray", ".zattrs"))}


def _timeless(content: bytes) -> bytes:
    """Leave out when gzip has compressed something, which it notes."""
    return content[:4] + content[8:] if content.startswith(b"\x1f\x8b") else content


def check_same(folder: Path, rounds: list[np.ndarray], empty: bool = False, **made: Any) -> None:
    """Write the same values here and by Zarr, one round over the other, and compare the files."""
    made = {"shape": SHAPE, "chunks": CHUNKS, "dtype": rounds[0].dtype} | made
    stores = [LocalStore(folder / name) for name in ("here", "zarr")]
    for store in stores:
        zarr.create_array(store, name="a", **made)
    with claimed(stores[0], "job") as fence, zarr.config.set({"array.write_empty_chunks": empty}):
        write = writer_of(zarr.open_array(fence.writer(), path="a", mode="r+"))
        assert isinstance(write, Here)
        write = pickle.loads(pickle.dumps(write))  # as it comes to a worker
        other = zarr.open_array(stores[1], path="a", mode="r+")
        for values in rounds:
            for piece in PIECES:
                write(piece, values[piece])
                other[piece] = values[piece]
            assert chunks_in(folder / "here") == chunks_in(folder / "zarr")
            found = zarr.open_array(stores[0], path="a", mode="r")[:]
            np.testing.assert_array_equal(found, values)


def values_of(dtype: Any) -> np.ndarray:
    """Give values of which some chunks are all 0, some begin with 0 and some have none."""
    values = np.arange(70).reshape(SHAPE) % 9
    values[:4, :3] = 0
    values[8:, 6:] = 0
    values[4:8, 3:6].flat[0] = 0
    return values.astype(dtype)


@pytest.mark.parametrize("codec", V3)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64", "bool"])
def test_format_3(tmp_path: Path, codec: str, dtype: str) -> None:
    """Every codec, at the end of the map too; what was there before is replaced, or deleted where
    it is all fill value now."""
    values = values_of(dtype)
    check_same(tmp_path, [values[::-1], values, np.zeros_like(values), values], **V3[codec])


@pytest.mark.parametrize("codec", V2)
def test_format_2(tmp_path: Path, codec: str) -> None:
    """The same for the older format: filters, big-endian numbers, the order of Fortran, arrays
    without a fill value."""
    values = values_of("int32")
    rounds = [values[::-1], values, np.zeros_like(values), np.asfortranarray(values)]
    check_same(tmp_path, rounds, zarr_format=2, **V2[codec])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("fill", [0.0, -0.0, np.nan, 7.0, np.inf])
def test_fill_values(tmp_path: Path, fill: float, empty: bool, zarr_format: Any) -> None:
    """Which chunks are left out is what Zarr says: it tells zeros by their sign or not, NaN equals
    NaN, and with ``write_empty_chunks`` none is left out."""
    fills = [np.full(SHAPE, value) for value in (1.5, fill, 0.0, -0.0, np.nan)]
    half = np.full(SHAPE, fill)
    half[1::2, 1::2] = 3
    check_same(tmp_path, [*fills, half], empty, zarr_format=zarr_format, fill_value=fill)


def test_views_of_larger_blocks(tmp_path: Path) -> None:
    """Pieces may be any views: turned, reversed, with gaps."""
    block = np.random.default_rng(1).integers(0, 99, (20, 20), "int16")
    views = [block[::2, ::2][:10, :7], block[9::-1, 6::-1], block.T[3:13, 2:9]]
    check_same(tmp_path, views)


@pytest.mark.parametrize(
    "made",
    [
        {"dtype": "uint8", "chunks": (2, 3), "shards": (4, 3)},
        {"dtype": "datetime64[s]", "zarr_format": 2},
        {"dtype": "U3", "zarr_format": 2},
    ],
)
def test_what_is_left_to_zarr(tmp_path: Path, made: dict[str, Any]) -> None:
    """Shards, times and texts: nobody writes them like Zarr."""
    with claimed(LocalStore(tmp_path), "job") as fence:
        array = zarr.create_array(
            fence.writer(), name="a", **{"shape": SHAPE, "chunks": CHUNKS} | made
        )
        write = writer_of(array)
        assert isinstance(write, ByZarr)
        values = np.ones(SHAPE, "uint8").astype(made["dtype"])
        write((slice(0, 10), slice(0, 7)), values)
        np.testing.assert_array_equal(array[:], values)


def test_other_stores_and_codecs_of_others(tmp_path: Path) -> None:
    """A store that may do more than a folder, and a pipeline that somebody has chosen, are used."""
    made: dict[str, Any] = {"name": "a", "shape": SHAPE, "chunks": CHUNKS, "dtype": "uint8"}
    assert isinstance(writer_of(zarr.create_array(MemoryStore(), **made)), ByZarr)
    with claimed(LocalStore(tmp_path), "job") as fence:
        array = zarr.create_array(fence.writer(), **made)
        assert isinstance(writer_of(array), Here)
        with zarr.config.set({"codec_pipeline.path": f"{__name__}.Pipeline"}):
            assert isinstance(writer_of(array), ByZarr)


def test_pieces_that_are_no_whole_chunks(tmp_path: Path) -> None:
    """What cuts a chunk, or needs a cast, is left to Zarr, which keeps the rest of the chunk."""
    with claimed(LocalStore(tmp_path), "job") as fence:
        array = zarr.create_array(
            fence.writer(), name="a", shape=SHAPE, chunks=CHUNKS, dtype="int16"
        )
        write = writer_of(array)
        assert isinstance(write, Here)
        write((slice(0, 4), slice(0, 3)), np.ones((4, 3), "int16"))
        write((slice(1, 5), slice(0, 3)), np.full((4, 3), 2, "int16"))
        write((slice(8, 10), slice(6, 7)), np.full((2, 1), 3, "float32"))
    want = np.zeros(SHAPE, "int16")
    want[0, :3], want[1:5, :3], want[8:, 6:] = 1, 2, 3
    np.testing.assert_array_equal(zarr.open_array(tmp_path, path="a")[:], want)


def test_a_mosaic_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk of a mosaic is staged once, by a thread that encodes it; nothing of it passes
    through the loop of Zarr."""
    staged: list[str] = []
    stage = folders.StagingStore.put

    def staging(store: Any, key: str, value: Any) -> None:
        staged.append(key)
        stage(store, key, value)

    async def passing(store: Any, key: str, value: Any) -> None:
        assert "/c/" not in key
        stage(store, key, value)

    monkeypatch.setattr(folders.StagingStore, "put", staging)
    monkeypatch.setattr(folders.StagingStore, "set", passing)
    values = np.arange(1, 65, dtype="uint16").reshape(8, 8)
    mosaic = xr.Dataset({name: (("y", "x"), values) for name in ("red", "nir")}).chunk(y=4, x=4)
    qm.to_zarr(mosaic, tmp_path / "out.zarr", progress=False)
    chunks = sorted(key for key in staged if key.startswith(("red/c", "nir/c")))
    assert chunks == [f"{b}/c/{y}/{x}" for b in ("nir", "red") for y in (0, 1) for x in (0, 1)]
    np.testing.assert_array_equal(qm.open_mosaic(tmp_path / "out.zarr")["red"], values)
