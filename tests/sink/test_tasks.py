"""The tasks of a writing: no two write one chunk, each is small, all kinds of mosaics are
written."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.sink import template
from tests.support.interrupted import corrupt, masked_there
from tests.support.job import content, mosaic_of, same_as
from tests.support.preparing import claimed, prepared
from tests.support.sources import (
    CountingArray,
    chunked,
    dates,
    expected,
)


class Recording(LocalStore):
    """A folder that counts how often each chunk is written."""

    written: ClassVar[Counter[str]] = Counter()

    async def set(self, key: str, value: Any) -> None:
        """Count and write."""
        self.written[key] += 1
        await super().set(key, value)


@pytest.mark.parametrize(
    ("chunks", "shards", "self_contained"),
    [
        ({"y": 4, "x": 4}, None, True),
        ({"y": 16, "x": 8}, None, True),
        ({"y": 24, "x": 24}, None, True),
        (None, {"y": 16, "x": 16}, True),
        ({"y": 4, "x": 4}, {"y": 12, "x": 12}, True),
        ({"y": 5, "x": 7}, None, True),
        ({"y": 2, "x": 3}, None, True),
    ],
)
def test_no_two_tasks_write_one_chunk(
    source: Path,
    tmp_path: Path,
    values: dict[str, np.ndarray],
    chunks: Any,
    shards: Any,
    self_contained: bool,
) -> None:
    """Whatever chunks and shards are asked for, each is written once, whole."""
    Recording.written.clear()
    mosaic = mosaic_of(source)
    qm.to_zarr(mosaic, Recording(tmp_path / "out.zarr"), chunks=chunks, shards=shards)
    written = {k: n for k, n in Recording.written.items() if k.startswith(("red/c/", "nir/c/"))}
    assert set(written.values()) == {1}
    size = shards or chunks
    per_dim = {d: -(-24 // n) for d, n in size.items()}
    assert len(written) == 2 * per_dim["y"] * per_dim["x"]
    same_as(tmp_path / "out.zarr", expected(values))
    array = zarr.open_group(tmp_path / "out.zarr")["red"]
    assert array.chunks == tuple((chunks or {"y": 8, "x": 8}).values())
    assert array.shards == (tuple(shards.values()) if shards else None)
    assert qm.explain(mosaic, chunks=chunks, shards=shards).deferred == self_contained


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"shards": {"y": 12}}, "chunks of 8"),
        ({"shards": {"y": 16}, "zarr_format": 2}, "format 2"),
        ({"chunks": {"lat": 16}}, "'lat'"),
        ({"chunks": {"y": 0}}, "above 0"),
        ({"chunks": {"y": 2.5}}, "above 0"),
        ({"chunks": (16, 16)}, "which dimension"),
    ],
)
def test_sizes_that_cannot_be_are_refused(
    source: Path, tmp_path: Path, sizes: dict[str, Any], told: str
) -> None:
    """With the reason, before anything is written."""
    with pytest.raises(ValueError, match=told):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", **sizes)
    assert not (tmp_path / "out.zarr").exists()


def test_nothing_is_lost_where_the_new_mosaic_cannot_be_written(
    source: Path, tmp_path: Path
) -> None:
    """mode="w" with what Zarr or xarray refuse: the old mosaic is still there."""
    out = tmp_path / "out.zarr"
    qm.to_zarr(mosaic_of(source), out)
    before = content(out)
    options: list[dict[str, Any]] = [
        {"encoding": {"red": {"nonsense": 1}}},
        {"encoding": {"red": {"chunks": (8,)}}},
        {"encoding": {"red": {"compressors": "best"}}},
        {"nonsense": 1},
        {"zarr_format": 5},
        {"group": 5},
        {"progress": "yes"},
        {"storage_options": {"anon": True}},
    ]
    for option in options:
        with pytest.raises((ValueError, TypeError)):
            qm.to_zarr(mosaic_of(source, ties="last"), out, mode="w", **option)
        assert content(out) == before, option


def test_a_variable_that_shares_work_does_not_hold_up_the_others(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """An elevation in memory, in other chunks, goes on its own; images can be left out still."""
    corrupt(source, "quality", 2, 1, 0)
    elevation = da.from_array(np.arange(576.0).reshape(24, 24), chunks=(24, 5))
    mosaic = mosaic_of(source).assign(elevation=(("y", "x"), elevation))
    assert qm.explain(mosaic).deferred
    qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip")
    want = expected(masked_there(values, 2, 1, 0)) | {"elevation": elevation.compute()}
    same_as(tmp_path / "out.zarr", want)


@pytest.mark.parametrize("crop", [slice(3, 22), slice(5, None), slice(None, None, 3)])
def test_a_crop_stays_deferred(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], crop: slice
) -> None:
    """A crop off the borders of chunks has blocks of several sizes: they are made whole, a few of
    them twice, and images can be left out still."""
    corrupt(source, "quality", 2, 1, 0)
    collection = xr.open_zarr(str(source), chunks={}, consolidated=False, mask_and_scale=False)
    cropped = collection.isel(x=crop, y=crop)
    mosaic = qm.quality_mosaic(cropped, "quality")
    assert qm.explain(mosaic).deferred
    qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip", retries=0)
    want = expected(masked_there(values, 2, 1, 0))
    same_as(tmp_path / "out.zarr", {n: v[crop, crop] for n, v in want.items()})


@pytest.mark.filterwarnings("ignore:.*Zarr:UserWarning")  # older ones warn of strings in format 3
def test_bands_of_one_array_share_a_decision(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """Rule 1 for a DataArray with a band dimension: the quality of a block is read once."""
    sources = {n: CountingArray(v.astype("float64")) for n, v in values.items()}
    bands = [da.from_array(a, chunks=(1, 8, 8)) for a in sources.values()]
    array = xr.DataArray(
        da.stack(bands, axis=1),
        {"time": dates(6), "band": np.array(list(sources), dtype=object)},
        ("time", "band", "y", "x"),
        name="bands",
    )
    for counted in sources.values():
        counted.calls.clear()
    qm.to_zarr(qm.quality_mosaic(array, "quality"), tmp_path / "out.zarr")
    reads = sum((c[0].stop - c[0].start) for c in sources["quality"].calls)
    assert reads == 6 * 9
    opened = qm.open_mosaic(tmp_path / "out.zarr")
    np.testing.assert_array_equal(opened["bands"].sel(band="red"), expected(values)["red"])


@pytest.mark.parametrize("images", [10, 100])
def test_the_graph_of_a_large_mosaic_is_small(tmp_path: Path, images: int) -> None:
    """20 000 blocks of four bands: at most 2 kB a block travel, whatever the number of images."""
    group = zarr.open_group(tmp_path / "in.zarr", mode="w")
    for name, dtype in (("B2", "uint16"), ("B3", "uint16"), ("B4", "uint16"), ("cloud", "uint8")):
        group.create_array(
            name,
            shape=(images, 200 * 16, 100 * 16),
            chunks=(1, 16, 16),
            dtype=dtype,
            dimension_names=("time", "y", "x"),
        )
    collection = xr.open_zarr(tmp_path / "in.zarr", chunks={}, consolidated=False)
    collection["quality"] = qm.scores.inverse(collection["cloud"])
    mosaic = qm.quality_mosaic(collection.drop_vars("cloud"), "quality")
    store = zarr.storage.LocalStore(tmp_path / "out.zarr")
    with claimed(store, "me") as fence:
        jobs, todo = prepared(mosaic, store, fence)
    assert len(todo) == 20_000
    size = 0
    for first in range(0, len(todo), 64):
        graph, keys = jobs.batch(todo[first : first + 64])
        assert len(graph) == len(keys) + 2
        size += len(pickle.dumps(graph))
    assert size / len(todo) < 700


@pytest.mark.parametrize("kind", ["plain", "rechunked", "derived"])
def test_every_kind_of_mosaic_is_written(
    tmp_path: Path, values: dict[str, np.ndarray], kind: str
) -> None:
    """Blocks that share work go as ordinary tasks; months and arithmetic on mosaics go too."""
    collection = chunked(values)
    if kind == "rechunked":
        mosaic = qm.quality_mosaic(collection.chunk(y=5), "quality")
    elif kind == "derived":
        mosaic = qm.quality_mosaic(collection, "quality")
        mosaic = (mosaic + 1).assign(red=mosaic["red"].T, quality=mosaic["quality"])
    else:
        mosaic = qm.quality_mosaic(collection, "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    want = expected(values)
    if kind == "derived":
        want |= {"nir": want["nir"] + 1, "red": want["red"].T}
    same_as(tmp_path / "out.zarr", want)


def test_a_month_each(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """Mosaics that are put together along time are written month by month."""
    parts = [values | {n: v[i::2] for n, v in values.items()} for i in (0, 1)]
    mosaics = [qm.quality_mosaic(chunked(p), "quality") for p in parts]
    months = xr.concat(mosaics, xr.Variable("month", [7, 8]))
    qm.to_zarr(months, tmp_path / "out.zarr")
    opened = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(opened["red"][i].values, expected(part)["red"])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_layout_is_made_once(
    source: Path, tmp_path: Path, zarr_format: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rehearsed in memory is what is put into the store: the files are those that are laid
    out there. A group among others, which have attributes of their own, is laid out in place."""
    laid_out: list[str] = []
    write = template.write_template

    def counting(layout: Any, request: Any, store: Any, blank: Any = ()) -> None:
        laid_out.append(type(store).__name__)
        write(layout, request, store, blank)

    monkeypatch.setattr(template, "write_template", counting)
    mosaic = mosaic_of(source).assign_coords(height=("z", [2.0, 0.0]))
    qm.to_zarr(mosaic, tmp_path / "once.zarr", zarr_format=zarr_format)
    assert laid_out == ["MemoryStore"]
    zarr.open_group(tmp_path / "among.zarr", mode="w", zarr_format=zarr_format).attrs["mine"] = 1
    qm.to_zarr(mosaic, tmp_path / "among.zarr", group="a", zarr_format=zarr_format)
    assert laid_out[1:] == ["MemoryStore", "StagingStore"]
    assert zarr.open_group(tmp_path / "among.zarr").attrs["mine"] == 1
    once = content(tmp_path / "once.zarr")
    assert {k: v for k, v in once.items() if not k.startswith("_qmosaic")} == {
        k: v for k, v in content(tmp_path / "among.zarr/a").items() if not k.startswith("_qmosaic")
    }
