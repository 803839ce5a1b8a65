"""Overviews of a mosaic: which pixels they have, that they are there when it is complete, and how
other readers find them."""

from __future__ import annotations

import itertools
import json
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic.collection.kinds import overview_resampling_of
from qmosaic.collection.levels import fitting, levels_of
from tests.support.interrupted import Interrupted
from tests.support.job import content, mosaic_of
from tests.support.sources import CountingStore, chunked, dates

MULTISCALES = "d35379db-88df-4056-af3a-620245f8e347"
"""The identifier of the convention, https://github.com/zarr-conventions/multiscales."""


def map_of(values: np.ndarray, chunk: int = 4, **attrs: Any) -> xr.Dataset:
    """Make a map of one band, 10 m in UTM zone 33, north up."""
    height, width = values.shape
    band = xr.DataArray(
        da.from_array(values, chunks=chunk),
        {"y": 5_000_000.0 - 10 * np.arange(height) - 5, "x": 300_000.0 + 10 * np.arange(width) + 5},
        ("y", "x"),
        attrs=attrs,
    )
    return band.to_dataset(name="band")


def fours(values: np.ndarray, row: int, column: int) -> list[Any]:
    """List the pixels of which one of an overview is made."""
    height, width = values.shape
    places = itertools.product((2 * row, 2 * row + 1), (2 * column, 2 * column + 1))
    return [values[y, x] for y, x in places if y < height and x < width]


def of_four(pixels: list[Any], method: str, masked: Any) -> Any:
    """Make a pixel of an overview, by the rule that `to_zarr` states."""
    if method == "nearest":
        return pixels[0]
    valid = [p for p in pixels if p == p and p != masked]
    if not valid:
        return pixels[0] if masked is None else masked
    if method == "average":
        total = sum(Fraction(p.item()) for p in valid) / len(valid)
        return total if valid[0].dtype.kind == "f" else round(total)
    return max(valid, key=valid.count)  # the first of those that come most often


@pytest.mark.parametrize("method", ["average", "nearest", "mode"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "shape"),
    [
        ("uint8", 0, (9, 14)),
        ("uint16", None, (1, 5)),
        ("int16", -3, (7, 8)),
        ("float32", None, (9, 6)),
        ("int64", 2**53 + 1, (5, 5)),
    ],
)
def test_pixels_of_overviews(method: str, dtype: str, nodata: Any, shape: tuple[int, int]) -> None:
    """An overview's pixel is the first of four, the mean of the valid ones (rounded for integers),
    or what most of them have; what lies beyond the edge is none of them, nor is nodata."""
    random = np.random.default_rng(shape[0])
    values = random.integers(0, 5, shape).astype(dtype)
    if nodata is not None:
        values[random.random(shape) < 0.4] = nodata
    elif values.dtype.kind == "f":
        values[random.random(shape) < 0.4] = np.nan
    attrs = {} if nodata is None else {"_FillValue": values.dtype.type(nodata)}
    store = zarr.storage.MemoryStore()
    qm.to_zarr(map_of(values, **attrs), store, levels=2, overview_resampling=method)
    for level in (1, 2):
        got = qm.open_mosaic(store, level=level, mask_and_scale=False)["band"].values
        assert got.dtype == values.dtype
        assert got.shape == tuple(-(-n // 2) for n in values.shape)
        masked = np.nan if values.dtype.kind == "f" else nodata
        for row, column in np.ndindex(*got.shape):
            want = of_four(fours(values, row, column), method, masked)
            want = float(want) if isinstance(want, Fraction) else want
            np.testing.assert_array_equal(got[row, column], np.array(want, dtype))
        values = got  # each is made from the one before


@pytest.mark.parametrize(
    ("dtype", "nodata", "pixels", "mean"),
    [
        ("int16", 0, [-1, 1, 1, -1], 1),
        ("uint16", 100, [99, 101, 99, 101], 101),
        ("uint8", 255, [254, 255, 255, 255], 254),
        ("uint8", 255, [255, 255, 255, 255], 255),
        ("int64", -(2**63), [2**63 - 1] * 4, 2**63 - 1),
        ("int64", None, [-(2**63)] * 4, -(2**63)),
        ("int64", 0, [2**53 + 1] * 4, 2**53 + 1),
        ("uint64", 2**64 - 1, [2**64 - 2, 2**64 - 2, 2**64 - 2, 2**64 - 3], 2**64 - 2),
        ("int8", None, [-128, -128, -127, -127], -128),
        ("float32", 0, [-1, 1, 1, -1], np.nextafter(np.float32(0), np.float32(1))),
    ],
)
def test_means_at_the_limits(dtype: str, nodata: Any, pixels: list[int], mean: Any) -> None:
    """Integers are averaged as integers, half to even, up to the limits of their dtype; a mean of
    valid pixels is never nodata, but the number next to it."""
    values = np.array(pixels, dtype).reshape(2, 2)
    attrs = {} if nodata is None else {"_FillValue": values.dtype.type(nodata)}
    store = zarr.storage.MemoryStore()
    qm.to_zarr(map_of(values, **attrs), store, levels=1)
    got = qm.open_mosaic(store, level=1, mask_and_scale=False)["band"].values
    np.testing.assert_array_equal(got, np.array([[mean]], dtype))


def test_overviews_lie_where_the_map_lies() -> None:
    """Coordinates are the middles of the larger pixels, the last one of which may reach beyond the
    map; the CRS and its transform are true of each level."""
    pytest.importorskip("odc.geo.xr")
    mosaic = map_of(np.ones((9, 14), "uint16")).odc.assign_crs("EPSG:32633")
    store = zarr.storage.MemoryStore()
    qm.to_zarr(mosaic, store, levels=2)
    for level in (0, 1, 2):
        grid = qm.open_mosaic(store, level=level).odc.geobox
        assert grid.crs == "EPSG:32633"
        size = 10.0 * 2**level
        assert tuple(grid.transform)[:6] == (size, 0.0, 300_000.0, 0.0, -size, 5_000_000.0)
        assert tuple(grid.shape) == (-(-9 // 2**level), -(-14 // 2**level))


def test_other_readers_find_overviews(tmp_path: Path) -> None:
    """The group says which levels there are, by the conventions of Zarr, and xarray alone opens
    each of them."""
    pytest.importorskip("odc.geo.xr")
    mosaic = map_of(np.ones((9, 14), "uint16"), _FillValue=0).odc.assign_crs("EPSG:32633")
    qm.to_zarr(mosaic, tmp_path / "out.zarr", levels=1)
    said = json.loads((tmp_path / "out.zarr/zarr.json").read_text())["attributes"]
    assert MULTISCALES in {one["uuid"] for one in said["zarr_conventions"]}
    full, half = said["multiscales"]["layout"]
    assert (full["asset"], half["asset"], half["derived_from"]) == ("0", "1", "0")
    assert half["transform"] == {"scale": [2.0, 2.0], "translation": [0.0, 0.0]}
    assert half["spatial:shape"] == [5, 7]
    assert half["spatial:transform"] == [20.0, 0.0, 300_000.0, 0.0, -20.0, 5_000_000.0]
    assert said["multiscales"]["resampling_method"] == "average"
    assert said["spatial:bbox"] == [300_000.0, 4_999_910.0, 300_140.0, 5_000_000.0]
    assert said["proj:code"] == "EPSG:32633"
    for level, shape in (("0", (9, 14)), ("1", (5, 7))):
        alone = xr.open_zarr(tmp_path / "out.zarr", group=level, consolidated=False)
        assert alone["band"].shape == shape
        assert float(alone["band"].mean()) == 1.0


def test_provenance_and_codes_are_not_averaged(source: Path) -> None:
    """From which image a pixel is, and codes, are taken from one pixel: an overview has no image
    that the mosaic does not have; times stay times."""
    mosaic = mosaic_of(source, provenance=True)
    mosaic["SCL"] = mosaic["red"]
    mosaic["odd"] = mosaic["red"].assign_attrs(flag_values=[1, 2])
    store = zarr.storage.MemoryStore()
    qm.to_zarr(mosaic, store, levels=1)
    full, half = (qm.open_mosaic(store, level=n, mask_and_scale=False) for n in (0, 1))
    for name in ("source_index", "source_time", "valid_count", "SCL", "odd"):
        assert half[name].dtype == full[name].dtype
        np.testing.assert_array_equal(half[name].values, full[name].values[::2, ::2])
    assert (half["red"].values != full["red"].values[::2, ::2]).any()


def test_which_bands_are_codes() -> None:
    """Codes are known by their dtype, by CF's flags and by their usual names; a method for all
    bands leaves alone what says from which image a pixel is."""
    names = ["SCL", "QA_PIXEL", "Fmask", "QA60", "MSK_CLASSI_OPAQUE", "cloud_mask"]
    measured = ["B4", "MSK_CLDPRB", "ndvi", "quality", "glass"]
    plane = (("y", "x"), np.zeros((2, 2), "uint16"))
    dataset = xr.Dataset({name: plane for name in [*names, *measured]})
    dataset = dataset.assign(bits=dataset["B4"] > 0).assign_coords(source_index=plane)
    found = overview_resampling_of(dataset)
    assert {n for n, m in found.items() if m == "average"} == set(measured)
    asked = overview_resampling_of(dataset, {"*": "mode", "B4": "nearest"})
    assert (asked["ndvi"], asked["B4"], asked["source_index"]) == ("mode", "nearest", "nearest")


def test_how_many_overviews() -> None:
    """ "auto" halves until the longer side has 512 pixels at most."""
    for side, levels in ((512, 0), (513, 1), (1024, 1), (1025, 2), (5000, 4)):
        store = zarr.storage.MemoryStore()
        values = xr.DataArray(da.zeros((3, side), "uint8", chunks=-1), dims=("y", "x"))
        qm.to_zarr(values.to_dataset(name="band"), store, levels="auto")
        assert qm.open_mosaic(store, level=levels)["band"].sizes["x"] <= 512
        with pytest.raises(ValueError, match="is no level of the mosaic"):
            qm.open_mosaic(store, level=levels + 1)


def test_levels_read_the_map_once(source: Path, tmp_path: Path) -> None:
    """An overview reads what the level before it has, once, block by block; its progress says of
    which overview it is."""
    told: list[qm.Progress] = []
    mosaic = mosaic_of(source).chunk(y=8, x=8)
    qm.to_zarr(mosaic, tmp_path / "out.zarr", levels=2, progress=told.append)
    last = {progress.level: progress for progress in told}
    pixels = {
        n: qm.open_mosaic(tmp_path / "out.zarr", level=n, mask_and_scale=False) for n in (0, 1)
    }
    held = {n: sum(band.nbytes for band in one.data_vars.values()) for n, one in pixels.items()}
    assert (last[1].bytes_read, last[2].bytes_read) == (held[0], held[1])
    assert (last[1].total, last[2].total) == (4, 1)


@pytest.mark.parametrize("blocks", [4, 10, 14])
def test_interrupted_levels_are_gone_on_with(source: Path, tmp_path: Path, blocks: int) -> None:
    """A mosaic is complete when its overviews are: before that it is not opened, and mode="resume"
    goes on, in its blocks or in those of an overview, to the same bytes."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    qm.to_zarr(mosaic_of(source), whole, levels=2)
    seen = itertools.count(1)

    def stop(progress: qm.Progress) -> None:
        if next(seen) == blocks:
            raise Interrupted

    with pytest.raises(Interrupted):
        qm.to_zarr(mosaic_of(source), out, levels=2, progress=stop)
    with pytest.raises(qm.IncompleteMosaicError, match="mode='resume'"):
        qm.open_mosaic(out)
    unfinished = qm.open_mosaic(out, allow_incomplete=True)
    assert fitting(unfinished, 6).sizes["x"] == 24  # overviews may not be there yet
    with pytest.raises(ValueError, match="levels was 2, is 1"):
        qm.to_zarr(mosaic_of(source), out, levels=1, mode="resume")
    qm.to_zarr(mosaic_of(source), out, levels=2, mode="resume")
    assert content(out) == content(whole)


def test_replacing_with_and_without_levels(source: Path, tmp_path: Path) -> None:
    """Whatever was there is gone after mode="w", levels or none; "w-" refuses it."""
    out = tmp_path / "out.zarr"
    for levels in (None, 2, 1, None):
        qm.to_zarr(mosaic_of(source), out, levels=levels, mode="w")
        with pytest.raises(FileExistsError, match="mode='w'"):
            qm.to_zarr(mosaic_of(source), out, levels=2)
        fresh = tmp_path / f"{levels}.zarr"
        if not fresh.exists():
            qm.to_zarr(mosaic_of(source), fresh, levels=levels)
        assert content(out) == content(fresh)


def test_an_update_makes_overviews_anew(values: dict[str, np.ndarray], tmp_path: Path) -> None:
    """After an update the overviews are those of the mosaic of all images."""
    images = chunked(values).assign_coords(time=dates(6))
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    options: Any = {"updatable": True, "levels": 2, "overview_resampling": {"red": "mode"}}
    for path, first in ((out, slice(4)), (whole, slice(6))):
        mosaic = qm.quality_mosaic(images.isel(time=first), "quality", provenance=True)
        qm.to_zarr(mosaic, path, **options)
    qm.update(out, images.isel(time=slice(4, 6)))
    for level in (0, 1, 2):
        got, want = (qm.open_mosaic(path, level=level).load() for path in (out, whole))
        xr.testing.assert_identical(got.drop_attrs(), want.drop_attrs())


def test_levels_of_a_map(tmp_path: Path) -> None:
    """A map that was opened gives its overviews, with the bands and attributes that it has; one
    that was cut, computed with or moved gives itself alone."""
    mosaic = map_of(np.arange(20 * 30, dtype="uint16").reshape(20, 30))
    mosaic["other"] = mosaic["band"] + 1
    qm.to_zarr(mosaic, tmp_path / "out.zarr", levels=2)
    opened = qm.open_mosaic(tmp_path / "out.zarr")
    opened["band"].attrs["units"] = "reflectance"
    for image in (opened, opened[["band"]], opened["band"].to_dataset(), opened.copy(deep=True)):
        again = pickle.loads(pickle.dumps(image))
        for levels in (levels_of(image), levels_of(again)):
            assert [one.sizes["x"] for one in levels] == [30, 15, 8]
            assert all(set(one.data_vars) == set(image.data_vars) for one in levels)
            assert levels[2]["band"].attrs["units"] == "reflectance"
    assert [fitting(opened, n).sizes["x"] for n in (1, 8, 9, 15, 16, 30, 31)] == [
        8, 8, 15, 15, 30, 30, 30,
    ]  # fmt: skip
    changed = [
        opened.isel(x=slice(20)),
        opened + 1,
        opened.assign_coords(x=opened["x"] + 5),
        opened.assign(band=opened["other"]),
        opened.assign(more=opened["band"] * 2),
        opened.load(),
        mosaic,
    ]
    assert [len(levels_of(image)) for image in changed] == [1] * len(changed)


def test_a_level_reads_what_is_asked_for(source: Path, tmp_path: Path) -> None:
    """To look at one band of an overview nothing else of the store is read: no chunk of another
    level, none of the times of images, which xarray decodes when it opens them."""
    qm.to_zarr(mosaic_of(source, provenance=True), tmp_path / "out.zarr", levels=2)
    store = CountingStore(tmp_path / "out.zarr", read_only=True)
    opened = qm.open_mosaic(store)
    alone = opened["source_time"].drop_vars("source_time").to_dataset(name="source_time")
    for image, name in ((opened[["red"]].reset_coords(drop=True), "red"), (alone, "source_time")):
        store.reads.clear()
        level = fitting(image.drop_vars([n for n in image.coords]), 12)
        assert dict(level.sizes) == {"y": 12, "x": 12}
        assert list(level.data_vars) == [name]
        level.load()
        chunks = {key.split("/c/")[0] for key in store.reads if "/c/" in key}
        assert chunks - {"1/y", "1/x", "0/y", "0/x"} == {f"1/{name}"}


def test_bad_levels(tmp_path: Path) -> None:
    """What cannot be is refused before anything is written."""
    mosaic = map_of(np.ones((4, 4), "uint16"))
    mosaic = mosaic.assign_coords(when=(("y", "x"), np.zeros((4, 4), "datetime64[ns]")))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"levels": -1}, "does not say how many"),
        ({"levels": True}, "does not say how many"),
        ({"levels": "all"}, "does not say how many"),
        ({"levels": 3}, "2 at most"),
        ({"overview_resampling": "mode"}, "levels='auto' too"),
        ({"levels": 1, "overview_resampling": "cubic"}, "'nearest', 'average', 'mode'"),
        ({"levels": 1, "overview_resampling": {"SCL": "mode"}}, "does not have"),
        ({"levels": 1, "overview_resampling": {"when": "average"}}, "has none"),
    ]
    for options, said in bad:
        with pytest.raises(ValueError, match=said):
            qm.to_zarr(mosaic, tmp_path / "out.zarr", **options)
    with pytest.raises(ValueError, match="no variable has two dimensions"):
        qm.to_zarr(mosaic["x"].rename("line"), tmp_path / "out.zarr", levels=1)
    assert not (tmp_path / "out.zarr").exists()
