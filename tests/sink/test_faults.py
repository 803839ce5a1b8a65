"""Faults of the source and of the target: chunks that fail once or for good, and full disks."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.engine import reading
from tests.support.interrupted import (
    corrupt,
    interrupted,
    masked_there,
)
from tests.support.job import content, mosaic_of, same_as
from tests.support.sources import (
    CountingArray,
    as_dataset,
    chunked,
    dates,
    expected,
    in_store,
    made_of_whole_images,
)


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
    """The image is masked where its chunk lies, not in all that one task writes; the error names
    that chunk, too."""
    corrupt(source, band, 2, 1, 0)
    shards, out = {"y": 16, "x": 24}, tmp_path / "out.zarr"
    with pytest.raises(qm.ChunkReadError, match=r"2020-07-03.*\(2, 1, 0\)"):
        qm.to_zarr(mosaic_of(source), out, shards=shards)
    qm.to_zarr(mosaic_of(source), out, on_error="skip", shards=shards, mode="resume")
    same_as(out, expected(masked_there(values, 2, 1, 0)))
    (skipped,) = qm.open_mosaic(out).attrs["qmosaic_skipped"]
    assert "(2, 1, 0)" in skipped


@pytest.mark.parametrize("chunks", [(1, 12, 24), (6, 5, 7)])
def test_bands_in_other_chunks_are_of_the_same_images(
    source: Path, tmp_path: Path, values: dict[str, np.ndarray], chunks: tuple[int, int, int]
) -> None:
    """An image that is left out is left out of all bands at the same pixels: those of its
    chunk."""
    collection = xr.open_zarr(source, chunks={}, consolidated=False, mask_and_scale=False)
    collection = collection.assign_coords(time=dates(collection.sizes["time"]))
    other, _ = in_store({"red": values["red"]}, tmp_path / "red.zarr", chunks)
    corrupt(source, "quality", 2, 1, 0)
    mosaic = qm.quality_mosaic(collection.assign(red=other["red"]), "quality")
    qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip")
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


@pytest.mark.usefixtures("never_together")
def test_skipping_is_refused_where_it_cannot_be_done(
    values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Where blocks share work, tasks of dask read: nothing can be left out."""
    shared = made_of_whole_images(chunked(values), (1, 5, 8))
    mosaic = qm.quality_mosaic(shared, "quality")
    with pytest.raises(ValueError, match="rechunk"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip")


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


def test_a_function_that_is_wrong_is_no_chunk_that_cannot_be_read(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither read again nor left out: the error is the function's own, with what was made."""

    def wrong(block: np.ndarray) -> np.ndarray:
        return block + offset  # type: ignore[name-defined]  # noqa: F821

    monkeypatch.setattr(reading.time, "sleep", lambda seconds: pytest.fail("it was tried again"))
    collection = xr.open_zarr(source, consolidated=False)
    band = collection["quality"]
    changed = band.data.map_blocks(wrong, dtype=band.dtype, meta=np.empty((0, 0, 0), band.dtype))
    mosaic = qm.quality_mosaic(collection.assign(quality=(band.dims, changed)), "quality")
    with pytest.raises(NameError, match="offset") as caught:
        qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip")
    assert "band 'quality' of image" in " ".join(caught.value.__notes__)


def test_what_is_made_first_says_so_when_it_cannot_be_read(source: Path, tmp_path: Path) -> None:
    """A mean over the map is of no block: the error names it; images cannot be left out of it."""
    collection = xr.open_zarr(source, consolidated=False)
    (source / "quality" / "c" / "1" / "0" / "0").write_bytes(b"broken")
    quality = collection["quality"] - collection["quality"].mean(["y", "x"])
    mosaic = qm.quality_mosaic(collection.assign(quality=quality), "quality")
    with pytest.raises(OSError, match=r"mean.*is made first.*on_error='skip' does not reach it"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr", on_error="skip", retries=0)


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
