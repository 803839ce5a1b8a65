"""The sink as a job: resumed, refused, retried, aligned, bounded, and followed by a person."""

from __future__ import annotations

import errno
import json
import logging
import pickle
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from dask.callbacks import Callback
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.engine import reading
from qmosaic.sink import locking, settling
from qmosaic.sink.fencing import document_of
from qmosaic.sink.fencing.folders import FolderFence, StagingStore
from qmosaic.sink.journal import FORMAT, Journal
from tests.support.job import content, mosaic_of, same_as
from tests.support.preparing import claimed, prepared
from tests.support.sources import (
    CountingArray,
    as_dataset,
    chunked,
    dates,
    expected,
    in_store,
    random_stack,
)


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    """Bands of six images, 24 × 24 pixels."""
    return random_stack(images=6)


@pytest.fixture
def source(tmp_path: Path, values: dict[str, np.ndarray]) -> Path:
    """Nine blocks on disk."""
    in_store(values, tmp_path / "in.zarr")
    return tmp_path / "in.zarr"


class Interrupted(Exception):
    """Stands for whatever ends a job."""


def interrupt_after(blocks: int) -> Any:
    """Make a progress callback that ends the job."""

    def callback(progress: qm.Progress) -> None:
        if progress.done == blocks:
            raise Interrupted

    return callback


def interrupted(mosaic: xr.Dataset, path: Path, blocks: int = 4, **options: Any) -> None:
    """Write some blocks of a mosaic, and no more."""
    with pytest.raises(Interrupted), dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, path, progress=interrupt_after(blocks), **options)


# -- resume ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_resume_computes_only_what_is_missing(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], zarr_format: int
) -> None:
    """Complete blocks are not computed again, and the bytes are those of a single run."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    interrupted(mosaic_of(source), out, zarr_format=zarr_format)
    told: list[qm.Progress] = []
    qm.to_zarr(mosaic_of(source), out, mode="resume", progress=told.append, zarr_format=zarr_format)
    assert told[0].resumed == 4
    assert [p.done for p in told] == [5, 6, 7, 8, 9]
    qm.to_zarr(mosaic_of(source), whole, zarr_format=zarr_format)
    assert content(out) == content(whole)
    same_as(out, expected(values))


def test_resume_keeps_the_format(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """A store in format 2 is gone on with in format 2, or refused where 3 is asked for."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    interrupted(mosaic_of(source), out, zarr_format=2)
    with pytest.raises(ValueError, match="the format of Zarr was 2, is 3"):
        qm.to_zarr(mosaic_of(source), out, mode="resume", zarr_format=3)
    qm.to_zarr(mosaic_of(source), out, mode="resume")
    qm.to_zarr(mosaic_of(source), whole, zarr_format=2)
    assert content(out) == content(whole)


def test_resume_of_a_finished_mosaic_does_nothing(source: Path, tmp_path: Path) -> None:
    """A finished store says so: nothing is computed, nothing is written."""
    out = tmp_path / "out.zarr"
    qm.to_zarr(mosaic_of(source), out)
    before = content(out)
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        qm.to_zarr(mosaic_of(source), out, mode="resume")
    assert content(out) == before


def test_resume_starts_where_there_is_nothing(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """One script, with mode="resume", serves the first run too."""
    qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", mode="resume")
    same_as(tmp_path / "out.zarr", expected(values))


def test_resume_after_the_end_came_while_the_store_was_laid_out(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is not laid out to its end holds no block: it is begun again."""
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "settle_layout", lambda *args: (_ for _ in ()).throw(Interrupted))
        with pytest.raises(Interrupted):
            qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
    with pytest.raises(qm.IncompleteMosaicError, match="0 of 9"):
        qm.open_mosaic(tmp_path / "out.zarr")
    qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", mode="resume")
    same_as(tmp_path / "out.zarr", expected(values))


@pytest.mark.parametrize("step", ["finish", "settle"])
def test_resume_after_the_end_came_while_the_store_was_finished(
    source: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks are there, but the store does not say so yet: the rest is made up for."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    with monkeypatch.context() as patch:
        if step == "finish":
            patch.setattr(
                StagingStore, "delete_dir", lambda *args: (_ for _ in ()).throw(Interrupted)
            )
        else:
            patch.setattr(settling, "settle_group", lambda *a: (_ for _ in ()).throw(Interrupted))
        with pytest.raises(Interrupted):
            qm.to_zarr(mosaic_of(source), out)
    qm.to_zarr(mosaic_of(source), out, mode="resume")
    qm.to_zarr(mosaic_of(source), whole)
    assert content(out) == content(whole)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_resume_where_attributes_are_no_numbers(
    tmp_path: Path, values: dict[str, np.ndarray], zarr_format: Any
) -> None:
    """NaN is unequal to itself, and xarray declares it of every coordinate that it writes: that
    makes no other mosaic, and what the store says of itself is JSON for all readers."""
    plain = as_dataset(values).assign_coords(y=np.arange(24.0), x=np.arange(24.0))
    plain.chunk(time=1, y=8, x=8).to_zarr(tmp_path / "in.zarr", consolidated=False)

    def make() -> xr.Dataset:
        opened = xr.open_zarr(tmp_path / "in.zarr", consolidated=False)
        assert np.isnan(opened["y"].encoding["_FillValue"])
        opened = opened[sorted(opened.data_vars)].assign_attrs(worst=-np.inf)
        opened["red"].attrs["valid_max"] = [np.nan, np.inf]
        return qm.quality_mosaic(opened, "quality", min_quality=-np.inf)

    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    interrupted(make(), out, zarr_format=zarr_format)
    for document in (p for p in out.rglob("*") if p.name in ("zarr.json", ".zattrs", ".zarray")):
        json.loads(document.read_text(), parse_constant=lambda word: pytest.fail(word))
    qm.to_zarr(make(), out, mode="resume")
    qm.to_zarr(make(), whole, zarr_format=zarr_format)
    assert content(out) == content(whole)


@pytest.mark.filterwarnings("ignore:.*vlen-utf8")
def test_resume_of_an_array_that_has_no_name_of_its_own(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """xarray calls an array as dask does where nobody names it (stackstac's in every run another
    way): that is the name of no variable."""
    bands = np.stack([values["quality"], values["quality"] * 2], axis=1)

    def make(name: str | None) -> xr.DataArray:
        lazy = da.from_array(bands, chunks=(1, 1, 8, 8), name="stackstac-" + "0af4" * 8)
        labels = {"time": dates(6), "band": np.array(["quality", "twice"], "O")}
        array = xr.DataArray(lazy, labels, ("time", "band", "y", "x"), name=name)
        return qm.quality_mosaic(array, "quality")

    out = tmp_path / "out.zarr"
    interrupted(make("stackstac-" + "1bf4" * 8), out)
    qm.to_zarr(make("stackstac-" + "0af4" * 8), out, mode="resume")
    assert list(qm.open_mosaic(out)) == ["mosaic"]
    qm.to_zarr(make("best-of-2020"), out, mode="w")
    assert list(qm.open_mosaic(out)) == ["best-of-2020"]


def test_resume_into_a_group_keeps_the_others(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """Each group of a store has a journal of its own."""
    out = tmp_path / "out.zarr"
    qm.to_zarr(mosaic_of(source, ties="last"), out, group="last")
    interrupted(mosaic_of(source), out, group="first")
    qm.open_mosaic(out, group="last")
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(out, group="first")
    qm.to_zarr(mosaic_of(source), out, mode="resume", group="first")
    opened = qm.open_mosaic(out, group="first", mask_and_scale=False)
    np.testing.assert_array_equal(opened["red"], expected(values)["red"])


def in_a_crs(mosaic: xr.Dataset) -> xr.Dataset:
    """Give a mosaic a grid mapping and a coordinate."""
    grid = {"spatial_ref": ((), 0, {"crs_wkt": "EPSG:32633"}), "y": np.arange(24.0)}
    return mosaic.assign_coords(grid)


def changed(source: Path, what: str) -> xr.Dataset:
    """Make another mosaic than the one that was begun."""
    mosaic = in_a_crs(mosaic_of(source))
    if what == "ties":
        return in_a_crs(mosaic_of(source, ties="last"))
    if what == "grid":
        return mosaic.assign_coords(x=np.arange(24) + 0.5)
    if what == "chunks":
        return mosaic.chunk(y=24)
    if what == "bands":
        return mosaic.drop_vars("nir")
    if what == "elevation":
        return mosaic.assign(elevation=(("y", "x"), np.ones((24, 24))))
    if what == "CRS":
        return mosaic.assign_coords(spatial_ref=((), 0, {"crs_wkt": "EPSG:32634"}))
    if what == "title":
        return mosaic.assign_attrs(title="another")
    if what == "units":
        return mosaic.assign(red=mosaic["red"].assign_attrs(units="1"))
    if what == "coordinate's attribute":
        mosaic["y"].attrs["units"] = "m"
        return mosaic
    if what == "coordinate's encoding":
        mosaic["y"].encoding["dtype"] = "float32"
        return mosaic
    other = mosaic["red"] + np.uint16(1)
    return mosaic.assign(red=mosaic["red"].copy(data=other.data))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("ties", "qmosaic_ties was 'first', is 'last'"),
        ("grid", "grid: 'x' is only in the mosaic"),
        ("chunks", r"bands: .*\(8, 8\).*is.*\(24, 8\)"),
        ("bands", "bands: 'nir' is only in the store"),
        ("elevation", "'elevation' is only in the mosaic"),
        ("CRS", "crs_wkt was 'EPSG:32633', is 'EPSG:32634'"),
        ("title", "attributes: 'title' is only in the mosaic"),
        ("units", "attributes: 'red.units' is only in the mosaic"),
        ("coordinate's attribute", "attributes: 'y.units' is only in the mosaic"),
        ("coordinate's encoding", "attributes: 'y.dtype as stored' is only in the mosaic"),
        ("arithmetic", "computation: those of 'red'"),
    ],
)
def test_another_mosaic_is_refused(source: Path, tmp_path: Path, what: str, told: str) -> None:
    """Everything that ends up in the store makes the mosaic what it is: what differs is said, and
    nothing is touched."""
    out = tmp_path / "out.zarr"
    interrupted(in_a_crs(mosaic_of(source)), out)
    before = content(out)
    with pytest.raises(ValueError, match=told):
        qm.to_zarr(changed(source, what), out, mode="resume")
    assert content(out) == before


def test_other_inputs_are_refused(source: Path, tmp_path: Path) -> None:
    """The same rules on another collection; named inputs are the caller's word."""
    in_store(random_stack(images=6, seed=1), tmp_path / "other.zarr")
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    with pytest.raises(ValueError, match="inputs: those of 'nir' are others"):
        qm.to_zarr(mosaic_of(tmp_path / "other.zarr"), out, mode="resume")


def test_inputs_can_be_named(tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """Arrays with random names (signed URLs, objects without a token) can be gone on with."""
    out = tmp_path / "out.zarr"
    interrupted(qm.quality_mosaic(chunked(values), "quality"), out, inputs="summer 2020")
    again = qm.quality_mosaic(chunked(values), "quality")
    with pytest.raises(ValueError, match="inputs"):
        qm.to_zarr(again, out, mode="resume")
    with pytest.raises(ValueError, match="inputs"):
        qm.to_zarr(again, out, mode="resume", inputs="summer 2021")
    qm.to_zarr(again, out, mode="resume", inputs="summer 2020")
    same_as(out, expected(values))


def test_another_version_of_the_format_is_refused(source: Path, tmp_path: Path) -> None:
    """A journal that a later version has written is not guessed at."""
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    document = out / "_qmosaic" / "zarr.json"
    document.write_text(document.read_text().replace(f'"format": {FORMAT}', '"format": 99'))
    with pytest.raises(ValueError, match="version 99"):
        qm.to_zarr(mosaic_of(source), out, mode="resume")


def test_a_store_of_somebody_else_is_not_resumed(source: Path, tmp_path: Path) -> None:
    """Without a journal nothing tells what is complete."""
    mosaic_of(source).to_zarr(tmp_path / "out.zarr", consolidated=False)
    before = content(tmp_path / "out.zarr")
    with pytest.raises(ValueError, match=r"not written by qmosaic\.to_zarr"):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", mode="resume")
    assert content(tmp_path / "out.zarr") == before


def test_what_a_killed_writer_left_half_written_is_removed(source: Path, tmp_path: Path) -> None:
    """A file that was being written when its writer was killed is not in the finished store."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    interrupted(mosaic_of(source), out)
    (out / "red" / "c" / "2").mkdir(parents=True, exist_ok=True)
    (out / "red" / "c" / "2" / "2.0123abcd.partial").write_bytes(b"half")
    qm.to_zarr(mosaic_of(source), out, mode="resume")
    qm.to_zarr(mosaic_of(source), whole)
    assert content(out) == content(whole)


@pytest.mark.parametrize("formats", [(2, 3), (3, 2)])
def test_from_one_format_to_the_other(
    tmp_path: Path, values: dict[str, np.ndarray], formats: tuple[Any, Any]
) -> None:
    """A collection in format 2 becomes a mosaic in format 3, and the other way round: codecs of
    its coordinates are not carried over."""
    path = tmp_path / "in.zarr"
    as_dataset(values).chunk(time=1, y=8, x=8).to_zarr(
        path, zarr_format=formats[0], consolidated=False
    )
    collection = xr.open_zarr(path, chunks={}, consolidated=False, mask_and_scale=False)
    mosaic = qm.quality_mosaic(collection, "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr", zarr_format=formats[1])
    same_as(tmp_path / "out.zarr", expected(values))


# -- whole or not ---------------------------------------------------------------------------------


def test_a_half_written_store_is_not_taken_for_a_whole_one(source: Path, tmp_path: Path) -> None:
    """`open_mosaic` refuses it and says how far it is; so do the documented attributes."""
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    with pytest.raises(qm.IncompleteMosaicError, match=r"4 of 9 blocks.*mode='resume'"):
        qm.open_mosaic(out)
    with pytest.raises(FileExistsError, match="mode='resume' goes on"):
        qm.to_zarr(mosaic_of(source), out)
    assert zarr.open_group(out)["_qmosaic"].attrs["state"] == "writing"
    opened = xr.open_zarr(out, consolidated=False)  # xarray does not mind
    assert set(opened.data_vars) == {"quality", "red", "nir"}
    assert "interrupted" in opened.attrs["qmosaic_incomplete"]
    assert qm.open_mosaic(out, allow_incomplete=True)["red"].shape == (24, 24)
    assert sorted(name for name, _ in zarr.open_group(out).members(max_depth=None))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_finished_store_says_so(source: Path, tmp_path: Path, zarr_format: int) -> None:
    """The state is there, and nothing else is left of the writing; also where metadata are
    consolidated."""
    out = tmp_path / "out.zarr"
    qm.to_zarr(mosaic_of(source), out, zarr_format=zarr_format)
    assert zarr.open_group(out)["_qmosaic"].attrs["state"] == "complete"
    assert "qmosaic_incomplete" not in qm.open_mosaic(out).attrs
    left = {p.name for p in (out / "_qmosaic").iterdir()}
    assert left == ({"zarr.json"} if zarr_format == 3 else {".zgroup", ".zattrs"})
    assert (out / ".zmetadata").exists() == (zarr_format == 2)
    assert "nir" in xr.open_zarr(out, consolidated=zarr_format == 2)


def test_what_is_no_mosaic_is_not_opened(tmp_path: Path) -> None:
    """Nothing there, or a store of somebody else: said by name."""
    with pytest.raises(FileNotFoundError, match=r"nothing\.zarr"):
        qm.open_mosaic(tmp_path / "nothing.zarr")
    xr.Dataset({"red": ("x", np.ones(3))}).to_zarr(tmp_path / "x.zarr", consolidated=False)
    with pytest.raises(ValueError, match=r"xarray\.open_zarr"):
        qm.open_mosaic(tmp_path / "x.zarr")


# -- one writer at a time -------------------------------------------------------------------------


def hold(out: Path, **holder: Any) -> None:
    """Leave the lock of another job in a store."""
    attributes = {"job": "another", "host": "elsewhere", "pid": 1, "beat": time.time()} | holder
    (out / "_qmosaic" / "lock" / "7").mkdir(parents=True, exist_ok=True)
    (out / "_qmosaic" / "lock" / "7" / "zarr.json").write_bytes(document_of(attributes))


@pytest.mark.parametrize("mode", ["w", "resume"])
def test_a_second_writer_is_refused(source: Path, tmp_path: Path, mode: Any) -> None:
    """It is told who writes, and touches nothing."""
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    hold(out, host="node7", pid=4711)
    before = content(out)
    with pytest.raises(FileExistsError, match="is writing it at this moment"):
        qm.to_zarr(mosaic_of(source), out)
    with pytest.raises(qm.StoreInUseError, match="4711 on 'node7'"):
        qm.to_zarr(mosaic_of(source), out, mode=mode)
    assert content(out) == before


def test_a_writer_that_is_gone_holds_nothing(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """A machine that is lost shows no sign of life: its hold ends."""
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    hold(out, beat=time.time() - locking.LEASE - 1)
    qm.to_zarr(mosaic_of(source), out, mode="resume")
    same_as(out, expected(values))


def test_a_writer_shows_signs_of_life(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it writes, its sign of life is renewed, and it never writes a lock that is gone."""
    monkeypatch.setattr(locking, "BEAT", 0.001)
    out = tmp_path / "out.zarr"
    beats: list[bytes] = []
    renewed = threading.Event()
    renew = FolderFence.renew

    def tell(fence: FolderFence, document: bytes) -> bool:
        beats.append(document)
        there = renew(fence, document)
        if len(beats) > 3 or not there:
            renewed.set()
        return there

    monkeypatch.setattr(FolderFence, "renew", tell)

    def look(progress: qm.Progress) -> None:
        if progress.done == 2:
            assert renewed.wait(60)
            renewed.clear()
            shutil.rmtree(out / "_qmosaic" / "lock" / "1")
            hold(out, host="thief")
            assert renewed.wait(60)

    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(qm.StoreInUseError, match="its lock is gone"),
    ):
        qm.to_zarr(mosaic_of(source), out, progress=look)
    assert len(set(beats)) > 3
    assert [lock.name for lock in (out / "_qmosaic" / "lock").iterdir()] == ["7"]


# -- faults of the source -------------------------------------------------------------------------


class Failing(CountingArray):
    """An array in memory of which some images fail the first few times they are read."""

    def __init__(self, values: np.ndarray, image: int, times: int) -> None:
        super().__init__(values)
        self.image, self.left = image, times

    def __getitem__(self, index: Any) -> Any:
        if index[0].start <= self.image < index[0].stop and index[1].start == 8 and self.left:
            with self._lock:
                self.left -= 1
            raise OSError("the network is down")
        return super().__getitem__(index)


def failing(values: dict[str, np.ndarray], band: str, image: int, times: int) -> xr.Dataset:
    """Make a collection of which a chunk fails some times."""
    arrays = {n: CountingArray(v) for n, v in values.items()}
    arrays[band] = Failing(values[band], image, times)
    return as_dataset({n: da.from_array(a, chunks=(1, 8, 24)) for n, a in arrays.items()})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between attempts."""
    monkeypatch.setattr(reading, "FIRST_WAIT", 0.0)


@pytest.mark.parametrize("band", ["quality", "red"])
def test_a_chunk_that_fails_twice_and_then_reads(
    values: dict[str, np.ndarray], tmp_path: Path, band: str
) -> None:
    """It is read again, and nothing is missing."""
    image = int(np.nanargmax(np.nan_to_num(values["quality"][:, 8, 0], nan=-1)))
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(
            qm.quality_mosaic(failing(values, band, image, 2), "quality"),
            tmp_path / "out.zarr",
            retries=2,
        )
        same_as(tmp_path / "out.zarr", expected(values))
        with pytest.raises(qm.ChunkReadError, match="network is down"):
            qm.to_zarr(
                qm.quality_mosaic(failing(values, band, image, 3), "quality"),
                tmp_path / "again.zarr",
                retries=1,
            )


def corrupt(source: Path, band: str, image: int, y: int, x: int) -> None:
    """Cut a chunk short."""
    chunk = source / band / "c" / str(image) / str(y) / str(x)
    chunk.write_bytes(chunk.read_bytes()[:7])


def masked_there(
    values: dict[str, np.ndarray], image: int, y: int, x: int
) -> dict[str, np.ndarray]:
    """Mask an image in a block of 8 × 8."""
    quality = values["quality"].copy()
    quality[image, y * 8 : y * 8 + 8, x * 8 : x * 8 + 8] = np.nan
    return values | {"quality": quality}


@pytest.mark.parametrize("band", ["quality", "red"])
def test_a_chunk_that_is_corrupt_for_good(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], band: str
) -> None:
    """The error names image, band, chunk and store; what was written can be gone on with."""
    corrupt(source, band, 2, 1, 0)
    out = tmp_path / "out.zarr"
    with pytest.raises(
        qm.ChunkReadError, match=rf"'{band}' of image 2020-07-03.*\(2, 1, 0\).*in\.zarr"
    ):
        qm.to_zarr(mosaic_of(source), out)
    qm.to_zarr(mosaic_of(source), out, mode="resume", on_error="skip")
    opened = qm.open_mosaic(out, mask_and_scale=False)
    for name, want in expected(masked_there(values, 2, 1, 0)).items():
        np.testing.assert_array_equal(opened[name].values, want, err_msg=name)
    (skipped,) = opened.attrs["qmosaic_skipped"]
    for part in (f"'{band}'", "2020-07-03", "(2, 1, 0)", "in.zarr"):
        assert part in skipped


def test_a_corrupt_chunk_that_a_distance_looks_at(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """Blocks that need the chunk, its own and those within reach, go without the image."""
    corrupt(source, "quality", 2, 1, 0)
    collection = xr.open_zarr(source, chunks={}, consolidated=False, mask_and_scale=False)
    collection = collection.assign_coords(time=dates(collection.sizes["time"]))
    mask = collection["quality"] == 0
    collection["quality"] = qm.scores.distance_to(mask, max_distance=30, resolution=10)
    mosaic = qm.quality_mosaic(collection, "quality")
    assert qm.explain(mosaic).deferred
    with pytest.raises(qm.ChunkReadError, match="image 2020-07-03"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr")
    qm.to_zarr(mosaic, tmp_path / "out.zarr", mode="resume", on_error="skip")
    intact = qm.scores.distance_to(
        xr.DataArray(values["quality"] == 0, dims=("time", "y", "x")),
        max_distance=30,
        resolution=10,
    )
    left = values | {"quality": intact.values}
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)):
        left = masked_there(left, 2, y, x)
    same_as(tmp_path / "out.zarr", expected(left))


@pytest.mark.parametrize("band", ["quality", "red"])
def test_what_is_skipped_does_not_grow_with_the_shards(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], band: str
) -> None:
    """The image is masked where its chunk lies, not in all that one task writes."""
    corrupt(source, band, 2, 1, 0)
    shards = {"y": 16, "x": 24}
    qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", on_error="skip", shards=shards)
    same_as(tmp_path / "out.zarr", expected(masked_there(values, 2, 1, 0)))


def test_what_was_skipped_survives_an_interruption(source: Path, tmp_path: Path) -> None:
    """The first run skips, the second one finishes: the attribute names it all the same."""
    for y, x in ((0, 0), (2, 2)):
        corrupt(source, "quality", 2, y, x)
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    interrupted(mosaic_of(source), out, on_error="skip")
    qm.to_zarr(mosaic_of(source), out, mode="resume", on_error="skip")
    qm.to_zarr(mosaic_of(source), whole, on_error="skip")
    assert len(qm.open_mosaic(out).attrs["qmosaic_skipped"]) == 2
    assert content(out) == content(whole)


def test_skipping_is_counted_and_logged(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A person sees that something is missing."""
    corrupt(source, "quality", 2, 1, 0)
    told: list[qm.Progress] = []
    qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", on_error="skip", progress=told.append)
    assert told[-1].skipped == 1
    assert "2020-07-03" in caplog.text


def test_skipping_is_refused_where_it_cannot_be_done(
    values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Where blocks share work, tasks of dask read: nothing can be left out."""
    mosaic = qm.quality_mosaic(chunked(values).chunk(y=5), "quality")
    with pytest.raises(ValueError, match="rechunk"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip")


# -- faults of the target -------------------------------------------------------------------------


class FullDisk(LocalStore):
    """A folder on a disk that has room for a few chunks more."""

    room = 10**9

    async def set(self, key: str, value: Any) -> None:
        """Write while there is room."""
        if "/c/" in key and "_qmosaic" not in key:
            type(self).room -= 1
            if type(self).room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        await super().set(key, value)


def test_a_full_disk(source: Path, tmp_path: Path, values: dict[str, np.ndarray]) -> None:
    """A clear error; with space freed, resume finishes."""
    out = tmp_path / "out.zarr"
    FullDisk.room = 12
    with pytest.raises(OSError, match=r"no space left.*out\.zarr.*mode='resume'") as caught:
        qm.to_zarr(mosaic_of(source), FullDisk(out))
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(out)
    FullDisk.room = 10**9
    qm.to_zarr(mosaic_of(source), FullDisk(out), mode="resume")
    same_as(out, expected(values))


def test_stores_that_cannot_be_written_safely_are_refused(source: Path, tmp_path: Path) -> None:
    """Read-only, or unable to delete: said before anything is computed."""
    with pytest.raises(ValueError, match="read-only"):
        qm.to_zarr(mosaic_of(source), LocalStore(tmp_path / "out.zarr", read_only=True))
    archive = zarr.storage.ZipStore(tmp_path / "out.zip", mode="w")
    with pytest.raises(ValueError, match="ZipStore"):
        qm.to_zarr(mosaic_of(source), archive)


# -- alignment ------------------------------------------------------------------------------------


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


# -- bounded graphs -------------------------------------------------------------------------------


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


# -- progress -------------------------------------------------------------------------------------


def test_a_program_can_follow(source: Path, tmp_path: Path) -> None:
    """A callback gets blocks, bytes, rate and time left."""
    told: list[qm.Progress] = []
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", progress=told.append)
    assert [p.done for p in told] == list(range(1, 10))
    last = told[-1]
    assert (last.total, last.resumed, last.seconds_left) == (9, 0, 0)
    assert last.bytes_written == 24 * 24 * (4 + 2 + 8)
    whole = 6 * 24 * 24
    assert whole * 4 <= last.bytes_read <= whole * (4 + 2 + 8)
    assert 0 < told[0].rate
    assert 0 < told[0].seconds_left < float("inf")


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_dasks_own_callbacks_are_left_alone(source: Path, tmp_path: Path, scheduler: str) -> None:
    """A profiler of dask sees every task, and is still active afterwards."""
    seen: list[Any] = []
    with (
        Callback(pretask=lambda key, *args: seen.append(key)) as profiler,
        dask.config.set(scheduler=scheduler, num_workers=2),
    ):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
        assert Callback.active == {profiler._callback}
    assert len([key for key in seen if isinstance(key, tuple)]) == 9
    assert not Callback.active
    qm.to_zarr(mosaic_of(source), tmp_path / "again.zarr")
    assert not Callback.active


def test_blocks_are_told_as_they_come(source: Path, tmp_path: Path) -> None:
    """On threads too, no block waits for its batch to end before it is reported."""
    marks: list[tuple[int, int]] = []
    out = tmp_path / "out.zarr"

    def look(progress: qm.Progress) -> None:
        marks.append((progress.done, len(list(out.glob("_qmosaic/done/c/*")))))

    with dask.config.set(num_workers=1):
        qm.to_zarr(mosaic_of(source, 0.005), out, progress=look)
    assert [done for done, _ in marks] == list(range(1, 10))
    assert all(there <= done + 1 for done, there in marks)


def test_a_log_can_follow(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """Where there is no terminal, a line now and then says all of it."""
    monkeypatch.setattr("qmosaic.sink.progress.LOG_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "qmosaic"):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
    lines = [r.message for r in caplog.records]
    assert len(lines) == 10
    assert lines[-1].startswith("9 / 9 blocks, ")
    for part in ("B read", "B written", "blocks/s", "left"):
        assert part in lines[0]


def test_a_person_can_follow(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar shows blocks, bytes, rate and time left."""
    qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", progress=True)
    bar = capsys.readouterr().err
    for part in ("9/9 blocks", "100%", "B read", "B written", "blocks/s", "left"):
        assert part in bar
