"""A mosaic that is gone on with: only what is missing is computed, nothing of another mosaic is
taken, and a half of one is not taken for the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic.sink import finishing
from qmosaic.sink.fencing.folders import StagingStore
from qmosaic.sink.journal import FORMAT, Journal
from tests.support.interrupted import Interrupted, interrupted
from tests.support.job import content, mosaic_of, same_as
from tests.support.sources import (
    as_dataset,
    chunked,
    dates,
    expected,
    in_store,
    random_stack,
)


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
            patch.setattr(finishing, "settle_group", lambda *a: (_ for _ in ()).throw(Interrupted))
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


def test_blocks_of_another_size_are_refused(source: Path, tmp_path: Path) -> None:
    """The journal knows blocks by their numbers: with others, what counts as there would not be."""
    cut = mosaic_of(source).isel(y=slice(1, 23), x=slice(1, 23))
    interrupted(cut, tmp_path / "out.zarr", 1, block_bytes=8 * 8 * 8)
    with pytest.raises(ValueError, match=r"blocks: .* was \{.*\}, is \{"):
        qm.to_zarr(cut, tmp_path / "out.zarr", mode="resume", block_bytes=1)
    qm.to_zarr(cut, tmp_path / "out.zarr", mode="resume", block_bytes=8 * 8 * 8)
    same_as(tmp_path / "out.zarr", {n: v.values for n, v in cut.compute().data_vars.items()})


def test_other_inputs_are_refused(source: Path, tmp_path: Path) -> None:
    """The same rules on another collection; named inputs are the caller's word."""
    in_store(random_stack(images=6, seed=1), tmp_path / "other.zarr")
    out = tmp_path / "out.zarr"
    interrupted(mosaic_of(source), out)
    with pytest.raises(ValueError, match="inputs: those of all bands are others"):
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
