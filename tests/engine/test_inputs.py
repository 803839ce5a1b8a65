"""Bands of every kind give the same pixels: deferred or ordinary dependencies, in any dimensions,
from other people's loaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from qmosaic.engine.graph import defer
from tests.support.mosaics import is_deferred, same, stack_of
from tests.support.sources import (
    CountingArray,
    as_dataset,
    in_store,
    random_stack,
)


def fused(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0]


def derived(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    weight = xr.DataArray(np.ones(12, "float32"), dims="time")
    ramp = xr.DataArray(np.zeros(24, "float32"), dims="x")
    quality = (collection["quality"] * weight + ramp).where(ramp == 0)
    return collection.assign(quality=quality)


def sliced(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    twice = {n: np.concatenate([v, v[::-1]]) for n, v in values.items()}
    return in_store(twice, tmp_path / "in.zarr")[0].isel(time=slice(0, 12))


def concatenated(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    images = [
        in_store({n: v[[t]] for n, v in values.items()}, tmp_path / f"{t}.zarr")[0]
        for t in range(12)
    ]
    return xr.concat(images, "time")


def stacked(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return as_dataset(
        {
            n: da.stack([da.from_array(CountingArray(image), chunks=(8, 8)) for image in v])
            for n, v in values.items()
        }
    )


def transposed(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    return collection.assign(quality=collection["quality"].transpose("x", "time", "y"))


def from_delayed(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    def blocks(band: np.ndarray, t: int) -> da.Array:
        return da.block(
            [
                [
                    da.from_delayed(
                        dask.delayed(np.array)(band[t, y : y + 8, x : x + 8].tolist(), band.dtype),
                        (8, 8),
                        band.dtype,
                    )
                    for x in (0, 8, 16)
                ]
                for y in (0, 8, 16)
            ]
        )

    return as_dataset({n: da.stack([blocks(v, t) for t in range(12)]) for n, v in values.items()})


def united(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0].chunk(time=-1, y=16)


def rechunked(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0].chunk(time=5, y=7, x=11)


def whole_images(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr", (1, 24, 24))[0].chunk(y=8, x=8)


def overlapped(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    quality = collection["quality"].data.map_overlap(
        lambda block: block + 0, depth=(0, 1, 1), boundary="none", meta=np.empty((0, 0, 0), "f4")
    )
    return collection.assign(quality=(("time", "y", "x"), quality))


DEFERRED = [fused, derived, sliced, concatenated, stacked, transposed, from_delayed, united]
DEFERRED += [rechunked, whole_images, overlapped]


@pytest.mark.parametrize("source", DEFERRED)
def test_sources_that_are_deferred(source: Any, tmp_path: Path) -> None:
    """Stores, lazy arithmetic, slices, concatenations, stacks, other chunks than those that are
    stored, overlaps: deferred, and the right pixels."""
    values = random_stack()
    mosaic = qm.quality_mosaic(source(values, tmp_path), "quality")
    assert is_deferred(mosaic)
    same(mosaic.transpose("y", "x"), values)


def persisted(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return in_store(values, tmp_path / "in.zarr")[0].persist(scheduler="synchronous")


def in_memory(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    return as_dataset(values).chunk(time=1, y=8, x=8)


def shared(values: dict[str, np.ndarray], tmp_path: Path) -> xr.Dataset:
    collection = in_store(values, tmp_path / "in.zarr")[0]
    whole = collection["quality"].data.rechunk((1, 24, 24))
    made = whole.map_blocks(lambda image: image + 0, dtype="f4")
    return collection.assign(quality=(("time", "y", "x"), made.rechunk((1, 8, 8))))


DEPENDENCIES = [persisted, in_memory, shared]


@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("source", DEPENDENCIES)
def test_sources_that_stay_dependencies(
    source: Any, ties: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What blocks share that are not small enough to be put together, or what lies in memory,
    falls back to a reduction over time: the same pixels."""
    monkeypatch.setattr("qmosaic.engine.graph.deferral.BLOCK_BYTES", 1)
    values = random_stack()
    collection = source(values, tmp_path)
    mosaic = qm.quality_mosaic(collection, "quality", ties=ties)
    assert defer(stack_of(collection["quality"])) is None
    want = qm.quality_mosaic(fused(values, tmp_path / "again"), "quality", ties=ties)
    xr.testing.assert_identical(
        mosaic.compute().drop_vars(["y", "x"], errors="ignore"), want.compute()
    )
    if ties == "first":
        same(mosaic, values)


@pytest.mark.parametrize("masked", ["skip", "fill"])
@pytest.mark.parametrize("source", DEPENDENCIES + DEFERRED)
def test_mask_rules_on_every_source(source: Any, masked: str, tmp_path: Path) -> None:
    """The mask rules give the same for deferred inputs and dependencies as for arrays in memory."""
    values = random_stack()
    values["nir"][values["nir"] > 0.5] = np.nan
    values["red"][values["red"] < 9000] = 0
    lazy, eager = source(values, tmp_path), as_dataset(values)
    for collection in (lazy, eager):
        collection["red"].attrs["nodata"] = 0
    got = qm.quality_mosaic(lazy, "quality", masked=masked).transpose("y", "x").compute()
    want = qm.quality_mosaic(eager, "quality", masked=masked)
    for name in [*want.data_vars, *(c for c in want.coords if str(c).endswith("_source_index"))]:
        np.testing.assert_array_equal(got[name].values, want[name].values, err_msg=str(name))


def test_bands_on_other_chunk_grids(tmp_path: Path) -> None:
    """Each band keeps its own chunks; the index is pieced together under them."""
    values = random_stack()
    collection, _ = in_store(values, tmp_path / "a.zarr", (1, 8, 8))
    other, _ = in_store(values, tmp_path / "b.zarr", (5, 10, 12))
    mosaic = qm.quality_mosaic(collection.assign(nir=other["nir"]), "quality")
    assert is_deferred(mosaic)
    assert mosaic["nir"].chunks == ((10, 10, 4), (12, 12))
    assert mosaic["red"].chunks == ((8, 8, 8), (8, 8, 8))
    same(mosaic, values)


def lazily(values: np.ndarray, chunks: Any, kind: str, path: Path) -> da.Array:
    """Give an array as a source, as arithmetic on one, from a store, or computed already."""
    if kind == "store":
        stored = zarr.create_array(path, data=values, chunks=tuple(max(c) for c in chunks))
        return da.from_array(stored, chunks=chunks)
    array = da.from_array(CountingArray(values), chunks=chunks)
    if kind == "arithmetic":
        return array + 1 - 1
    return array.persist(scheduler="synchronous") if kind == "persisted" else array


def ways_to_compute(mosaic: xr.Dataset) -> list[xr.Dataset]:
    """Compute a mosaic as users do: together or band by band, with dask's optimisation and
    without."""
    with dask.config.set(scheduler="synchronous"):
        return [
            mosaic.compute(),
            mosaic.compute(optimize_graph=False),
            xr.Dataset({name: band.compute() for name, band in mosaic.data_vars.items()}),
            dask.optimize(mosaic)[0].compute(),
        ]


@pytest.mark.parametrize("kind", ["plain", "arithmetic", "store", "persisted"])
@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_bands_of_any_dimensions(kind: str, pieces: int, masked: str, tmp_path: Path) -> None:
    """Bands with time only, with time and one dimension of the map, and with one more than the
    quality, lazy in any chunks, however they are computed: what arrays in memory give."""
    rng = np.random.default_rng(0)
    shapes = {
        "quality": ("time", "y", "x"),
        "doy": ("time",),
        "line": ("time", "y"),
        "across": ("x", "time"),
        "wide": ("y", "time", "polarisation", "x"),
    }
    sizes = {"time": 4, "y": 4, "x": 8, "polarisation": 2}
    eager, lazy = {}, {}
    for name, dims in shapes.items():
        values = rng.integers(0, 5, [sizes[d] for d in dims]).astype("float32")
        values[rng.random(values.shape) < 0.2] = np.nan
        chunks = tuple((sizes[d] // min(pieces, sizes[d]),) * min(pieces, sizes[d]) for d in dims)
        eager[name] = (dims, values)
        lazy[name] = (dims, lazily(values, chunks, kind, tmp_path / f"{name}.zarr"))
    want = qm.quality_mosaic(xr.Dataset(eager), "quality", masked=masked)
    for got in ways_to_compute(qm.quality_mosaic(xr.Dataset(lazy), "quality", masked=masked)):
        for name in shapes:
            xr.testing.assert_equal(got[name].variable, want[name].variable)


@pytest.mark.parametrize("quality", [("time",), ("time", "y")])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_quality_with_fewer_dimensions(quality: tuple[str, ...], pieces: int) -> None:
    """One score an image, or a row of the map: bands with more dimensions follow it."""
    rng = np.random.default_rng(0)
    sizes = {"time": 4, "y": 4, "x": 4}
    bands = {"quality": quality, "red": ("time", "y", "x"), "doy": ("time",), "line": ("time", "x")}
    if quality != ("time",):
        del bands["line"]  # another row: no band of this grid
    eager, lazy = {}, {}
    for name, dims in bands.items():
        values = rng.integers(0, 100, [sizes[d] for d in dims]).astype("int16")
        chunks = tuple((sizes[d] // pieces,) * pieces for d in dims)
        eager[name] = (dims, values)
        lazy[name] = (dims, da.from_array(CountingArray(values), chunks=chunks) * 1)
    want = qm.quality_mosaic(xr.Dataset(eager), "quality")
    for got in ways_to_compute(qm.quality_mosaic(xr.Dataset(lazy), "quality")):
        for name in bands:
            xr.testing.assert_equal(got[name].variable, want[name].variable)


def test_a_band_with_time_only_by_every_door(tmp_path: Path) -> None:
    """A store with a day of year for each image: values, load, xarray's to_zarr and ours."""
    values = random_stack(images=3, side=8)
    source = as_dataset(values).assign(doy=("time", np.array([10, 20, 30], "int16")))
    source.to_zarr(tmp_path / "in.zarr", consolidated=False)
    collection = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, mask_and_scale=False)
    assert collection["doy"].chunks == ((3,),)
    want = qm.quality_mosaic(source, "quality")["doy"].values
    mosaic = qm.quality_mosaic(collection, "quality")
    mosaic.to_zarr(tmp_path / "xarray.zarr", consolidated=False)
    qm.to_zarr(mosaic, tmp_path / "ours.zarr")
    for name in ("xarray.zarr", "ours.zarr"):
        written = xr.open_zarr(tmp_path / name, consolidated=False, mask_and_scale=False)
        np.testing.assert_array_equal(written["doy"].values, want)
    np.testing.assert_array_equal(mosaic["doy"].values, want)
    np.testing.assert_array_equal(mosaic[["doy"]].load()["doy"].values, want)


# The affine package, which rasterio needs, warns of an operator that rasterio itself still uses.
def test_rioxarray(tmp_path: Path) -> None:
    """GeoTIFFs opened with rioxarray, one file an image, are deferred."""
    rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is in the extra [test]")
    values = random_stack(images=4)
    values["quality"] = np.nan_to_num(values["quality"], nan=-1).astype("float32")
    opened = {}
    for name, band in values.items():
        images = []
        for t, image in enumerate(band):
            path = tmp_path / f"{name}{t}.tif"
            array = xr.DataArray(
                image, {"y": np.arange(24) * -10.0, "x": np.arange(24) * 10.0}, ("y", "x")
            )
            array.rio.write_crs(32633).rio.to_raster(path, tiled=True, blockxsize=16, blockysize=16)
            lazy = rioxarray.open_rasterio(path, chunks={"y": 16, "x": 16}, lock=False)
            images.append(lazy.squeeze("band", drop=True))
        opened[name] = xr.concat(images, "time")
    collection = xr.Dataset(opened).assign_coords(time=np.arange(4))
    mosaic = qm.quality_mosaic(collection, "quality")
    assert is_deferred(mosaic)
    same(mosaic, values)
    assert mosaic.rio.crs.to_epsg() == 32633


# The affine package, which rasterio needs, warns of an operator that rasterio itself still uses.
def test_odc_stac(tmp_path: Path) -> None:
    """A collection from odc.stac.load is deferred: its openings may be repeated, its reads not."""
    stac = pytest.importorskip("odc.stac", reason="odc-stac is in the extra [test]")
    pytest.importorskip("rioxarray", reason="rioxarray is in the extra [test]")
    pystac = pytest.importorskip("pystac", reason="pystac comes with odc-stac")
    import datetime

    values = random_stack(images=4)
    values["quality"] = np.nan_to_num(values["quality"], nan=1).astype("float32")
    items = []
    for t in range(4):
        item = pystac.Item(
            f"i{t}",
            {
                "type": "Polygon",
                "coordinates": [[[15, 0], [15.1, 0], [15.1, 0.1], [15, 0.1], [15, 0]]],
            },
            [15, 0, 15.1, 0.1],
            datetime.datetime(2020, 7, 1 + t, tzinfo=datetime.UTC),
            {},
        )
        for name, band in values.items():
            path = tmp_path / f"{name}{t}.tif"
            array = xr.DataArray(
                band[t],
                {"y": 1000 - np.arange(24) * 10.0 - 5, "x": 500000 + np.arange(24) * 10.0 + 5},
                ("y", "x"),
            )
            array.rio.write_crs(32633).rio.to_raster(path)
            item.add_asset(name, pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF))
        items.append(item)
    collection = stac.load(
        items,
        bands=list(values),
        crs="EPSG:32633",
        resolution=10,
        x=(500000, 500240),
        y=(770, 1010 - 10),
        dtype=None,
        chunks={"x": 8, "y": 8},
        stac_cfg={
            "*": {"assets": {n: {"data_type": str(v.dtype)} for n, v in values.items()}},
        },
    )
    mosaic = qm.quality_mosaic(collection, "quality")
    assert is_deferred(mosaic)
    want = {n: v for n, v in as_dataset(values).load().items()}
    eager = qm.quality_mosaic(collection.compute(), "quality")
    xr.testing.assert_equal(mosaic.compute(), eager)
    assert (mosaic["red"].values[:20, :20] > 0).any()
    assert set(want) == set(values)
    assert "spatial_ref" in mosaic.coords
