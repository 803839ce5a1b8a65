"""GeoTIFFs of a mosaic: what they hold and say, how they lie on disk, what stays after faults."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr  # noqa: F401  (gives arrays .odc)
import pandas as pd
import pytest
import rasterio
import rioxarray
import xarray as xr
from rasterio.transform import Affine

import qmosaic as qm
from qmosaic.sink.cog import tiff
from tests.support.interrupted import corrupt
from tests.support.processes import local_cluster
from tests.support.sources import in_store, random_stack
from tests.support.tiffs import directories

UTM = "EPSG:32633"
DIMS = ("time", "y", "x")
VALIDATOR = Path("/usr/lib/python3/dist-packages/osgeo_utils/samples") / (
    "validate_cloud_optimized_geotiff.py"
)


def on_grid(bands: dict[str, Any], corner: tuple[float, float] = (3e5, 5e6)) -> xr.Dataset:
    """Make a map of arrays (y, x) with pixels of 10 m."""
    shape = np.shape(next(iter(bands.values())))[-2:]
    coords = {
        "y": corner[1] - 10 * (np.arange(shape[0]) + 0.5),
        "x": corner[0] + 10 * (np.arange(shape[1]) + 0.5),
    }
    made = xr.Dataset({n: (DIMS[-np.ndim(b) :], b) for n, b in bands.items()}, coords)
    return made.odc.assign_crs(UTM)


@pytest.fixture
def collection() -> xr.Dataset:
    """Four images of a scene as people have it: reflectances, classes, a quality; lazy."""
    rng = np.random.default_rng(5)
    shape = (4, 300, 260)
    cloud = rng.integers(0, 101, shape).astype("uint8")
    quality = -cloud.astype("float32")
    quality[:, :20, :20] = np.nan
    made = on_grid(
        {
            "red": rng.integers(1, 9000, shape).astype("uint16"),
            "SCL": rng.integers(1, 12, shape).astype("uint8"),
            "nir": rng.integers(1, 9000, shape).astype("uint16"),
            "cloud": cloud,
            "quality": quality,
        }
    )
    packing = {"_FillValue": 0, "scale_factor": 0.0001, "add_offset": -0.1}
    for band in ("red", "nir"):
        made[band].attrs = packing | {"long_name": f"{band} light", "units": "1"}
    made["SCL"].attrs = {"_FillValue": 0}
    made["cloud"].attrs = {"_FillValue": 255}
    times = pd.DatetimeIndex(
        ["2020-07-01T10:05:31", "2020-07-31T23:59:59", "2021-01-01T00:00:00", "1969-12-31T12:00:00"]
    )
    made = made.assign_coords(time=times, id=("time", ["a", "b", "c", "d, e"]))
    return made.chunk(time=1, y=110, x=110)


@pytest.fixture
def best(collection: xr.Dataset) -> xr.Dataset:
    """Its mosaic, deferred."""
    told = ["source_index", "source_time", "valid_count", "id"]
    return qm.quality_mosaic(collection, "quality", provenance=told)


def read(path: Path, level: int | None = None) -> dict[str, np.ndarray]:
    """Read the bands of a file by their names, or an overview of them."""
    options = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **options) as file:
        pixels = file.read()
    with rasterio.open(path) as file:
        return dict(zip(file.descriptions, pixels, strict=True))


def in_memory(mosaic: xr.Dataset | xr.DataArray, name: str = "red") -> np.ndarray:
    """Give the pixels of a band, computed without a file."""
    return mosaic[name].compute().values


def is_clean(folder: Path, *names: str) -> bool:
    """Whether a folder holds these files and nothing else."""
    return sorted(os.listdir(folder)) == sorted(names)


def test_all_that_a_mosaic_holds_is_in_its_files(best: xr.Dataset, tmp_path: Path) -> None:
    """Pixels, dtypes, nodata, names, packing, CRS and transform come back as they were; bands lie
    in their order, those of other dtypes or nodata in files beside it, the images in a table."""
    files = best.qmosaic.to_cog(tmp_path / "best.tif", blocksize=128, progress=False)
    names = ["best.tif", "best_SCL.tif", "best_cloud.tif", "best_quality.tif"]
    names += ["best_provenance.tif", "best_images.csv"]
    assert [file.name for file in files] == names
    assert is_clean(tmp_path, *names)
    want = best.compute()
    nodata: dict[str, Any] = {"best.tif": 0, "best_SCL.tif": 0, "best_cloud.tif": 255}
    for file in files[:4]:
        with rasterio.open(file) as cog:
            assert cog.crs == UTM
            assert cog.transform == Affine(10, 0, 3e5, 0, -10, 5e6)
            np.testing.assert_equal(cog.nodata, nodata.get(file.name, np.nan))
            assert cog.tags()["qmosaic_quality_band"] == "quality"
            for name, dtype, pixels in zip(cog.descriptions, cog.dtypes, cog.read(), strict=True):
                assert dtype == want[name].dtype.name
                np.testing.assert_array_equal(pixels, want[name].values)
    with rasterio.open(files[0]) as cog:
        assert cog.descriptions == ("red", "nir")
        assert (cog.scales, cog.offsets, cog.units) == ((0.0001,) * 2, (-0.1,) * 2, ("1",) * 2)
        assert cog.tags(2)["long_name"] == "nir light"
    told = read(files[4])
    assert {band.dtype.name for band in told.values()} == {"int32"}
    for name in ("source_index", "valid_count"):
        np.testing.assert_array_equal(told[name], want[name].values)
    days = pd.Series(want["source_time"].values.ravel()).dt.strftime("%Y%m%d").fillna("-1")
    np.testing.assert_array_equal(told["source_time"].ravel(), days.astype(int))
    table = pd.read_csv(files[5], parse_dates=["time"], date_format="ISO8601")
    table["time"] = table["time"].astype("datetime64[ns]")
    counted = qm.contributions(best).sort_values("source_index").reset_index(drop=True)
    columns = ["source_index", "time", "pixels", "share"]
    pd.testing.assert_frame_equal(table[columns], counted[columns], check_dtype=False)
    assert table["id"].tolist()[1:] == ["a", "b", "c", "d, e"]


def test_files_are_cloud_optimized(best: xr.Dataset, tmp_path: Path) -> None:
    """All directories come before all pixels, and the pixels of smaller overviews before those of
    larger ones; GDAL's own validation, where it is installed, finds no fault."""
    files = qm.to_cog(best, tmp_path / "best.tif", blocksize=128, progress=False)[:-1]
    for file in files:
        found = directories(file)
        assert [d.width for d in found] == [260, 130, 65]
        assert max(d.at for d in found) < min(d.first for d in found)
        for larger, smaller in itertools.pairwise(found):
            assert smaller.last < larger.first
    if not VALIDATOR.exists():
        pytest.skip("GDAL's validation is not installed (Debian's package python3-gdal)")
    for file in files:
        told = subprocess.run(
            ["/usr/bin/python3", VALIDATOR, "--full-check=yes", file],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told
        assert "is a valid cloud optimized GeoTIFF" in told.stdout
        assert "warning" not in told.stdout.lower()


def test_overviews_by_the_kind_of_band(tmp_path: Path) -> None:
    """Measurements are averaged without what is missing, classes keep their codes, also side by
    side in one file; overview_resampling= says otherwise."""
    rng = np.random.default_rng(2)
    red, scl = rng.integers(1, 200, (2, 256, 256)).astype("uint8")
    red[:128][rng.random((128, 256)) < 0.5] = 0
    red[:4, :4] = 0
    mosaic = on_grid({"red": red, "SCL": scl, "haze": red})
    for band in mosaic:
        mosaic[band].attrs["_FillValue"] = 0
    (file,) = qm.to_cog(
        mosaic, tmp_path / "a.tif", blocksize=128, overview_resampling={"haze": "nearest"}
    )
    small = read(file, 0)
    groups = red.reshape(128, 2, 128, 2).transpose(0, 2, 1, 3).reshape(128, 128, 4)
    known = np.ma.masked_equal(groups, 0)
    mean = known.mean(axis=2)
    assert mean.mask[:2, :2].all()
    np.testing.assert_array_equal(small["red"] == 0, mean.mask)
    assert np.abs(small["red"] - mean).max() <= 0.5  # rounded
    for name, full in (("SCL", scl), ("haze", red)):
        own = full.reshape(128, 2, 128, 2).transpose(0, 2, 1, 3).reshape(128, 128, 4)
        assert (own == small[name][..., None]).any(axis=2).all()


class Alive:
    """Counts how many blocks of a map are alive at the same time, and the largest."""

    def __init__(self) -> None:
        self.now = self.most = self.largest = self.made = 0
        self._lock = threading.Lock()

    def block(self, block_info: Any = None) -> np.ndarray:
        """Make a block whose pixels tell their place."""
        (top, _), (left, _) = block_info[None]["array-location"]
        height, width = block_info[None]["chunk-shape"]
        rows, columns = np.ogrid[top : top + height, left : left + width]
        values = (rows * 7 + columns).astype("uint16")
        with self._lock:
            self.now, self.made = self.now + 1, self.made + 1
            self.most = max(self.most, self.now)
            self.largest = max(self.largest, values.size)
        weakref.finalize(values, self._gone)
        return values

    def _gone(self) -> None:
        with self._lock:
            self.now -= 1


def test_memory_does_not_grow_with_the_map(tmp_path: Path) -> None:
    """However large the map, a few blocks for each thread are alive at a time, and none is larger
    than it has to be; each is made once, though tiles have other borders."""
    alive, side, threads = Alive(), 1500, 2
    lazy = da.map_blocks(
        alive.block,
        chunks=da.core.normalize_chunks((100, 100), (side, side)),
        dtype="uint16",
        meta=np.empty((0, 0), "uint16"),
    )
    with dask.config.set(num_workers=threads):
        (file,) = qm.to_cog(on_grid({"red": lazy}), tmp_path / "a.tif", progress=False)
    assert alive.made == 225
    assert alive.largest == 100 * 100
    # of each of two batches, those that are made and those that wait to be written
    assert alive.most <= 4 * threads + 2
    rows, columns = np.ogrid[:side, :side]
    np.testing.assert_array_equal(read(file)["red"], (rows * 7 + columns).astype("uint16"))


def test_chunks_are_read_once(tmp_path: Path) -> None:
    """A chunk of a source is read once, whatever the tiles of the file are."""
    values = random_stack(images=3, side=72)
    made, store = in_store(values, tmp_path / "in.zarr", chunks=(1, 24, 24))
    mosaic = qm.quality_mosaic(made.odc.assign_crs(UTM), "quality", provenance=True)
    mosaic = mosaic.assign_coords(on_grid({"red": values["red"][0]}).coords)
    store.reads.clear()
    with dask.config.set(scheduler="synchronous"):
        qm.to_cog(mosaic, tmp_path / "a.tif", blocksize=128)
    assert len(store.chunks("quality")) == 27
    assert set(store.chunks("quality").values()) == {1}
    assert set(store.chunks("red").values()) == {1}


def test_on_a_cluster(best: xr.Dataset, tmp_path: Path) -> None:
    """Blocks that a cluster makes come to this process, and give the same files byte for byte."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here = best.qmosaic.to_cog(tmp_path / "here" / "a.tif", progress=False)
    with local_cluster(n_workers=1, processes=False):
        there = best.qmosaic.to_cog(tmp_path / "there" / "a.tif", progress=False)
    for one, other in zip(here, there, strict=True):
        assert one.read_bytes() == other.read_bytes()


def degrees(dataset: xr.Dataset) -> xr.Dataset:
    """Bring a map onto a grid of a third of an arc second, south up, columns before rows."""
    return (
        dataset.drop_vars("spatial_ref")
        .assign_coords(y=40 + np.arange(300) / 10800, x=-3 + np.arange(260) / 10800)
        .rename(y="latitude", x="longitude")
        .transpose("longitude", "latitude")
    )


def test_grids_that_lie_otherwise(best: xr.Dataset, tmp_path: Path) -> None:
    """Files are north up, wherever the rows of the mosaic begin; degrees are exact; what a Dataset
    declares of its transform counts."""
    bands = best[["red"]].drop_vars(["source_index", "source_time", "valid_count", "id"])
    red = in_memory(best)
    (file,) = qm.to_cog(degrees(bands), tmp_path / "a.tif", progress=False)
    with rasterio.open(file) as cog:
        assert cog.crs == "EPSG:4326"
        step = 1 / 10800
        want = Affine(step, 0, -3 - step / 2, 0, -step, 40 + 299.5 * step)
        assert cog.transform.almost_equals(want, 1e-12)
        np.testing.assert_array_equal(cog.read(1), red[::-1])
    turned = bands.isel(y=slice(None, None, -1), x=slice(None, None, -1))
    (file,) = qm.to_cog(turned, tmp_path / "b.tif", progress=False)
    with rasterio.open(file) as cog:
        assert cog.transform == Affine(10, 0, 3e5, 0, -10, 5e6)
        np.testing.assert_array_equal(cog.read(1), red)
    third = Affine(1 / 3, 0, 3e5, 0, -1 / 3, 5e6)
    declared = bands.assign_coords(
        y=5e6 - (np.arange(300) + 0.5) / 3, x=3e5 + (np.arange(260) + 0.5) / 3
    )
    declared["spatial_ref"].attrs["GeoTransform"] = " ".join(map(repr, third.to_gdal()))
    (file,) = qm.to_cog(declared, tmp_path / "c.tif", progress=False)
    with rasterio.open(file) as cog:
        assert cog.transform == third


def test_a_written_mosaic_is_packed_as_it_was(best: xr.Dataset, tmp_path: Path) -> None:
    """What open_mosaic has decoded to floats becomes the same integers again, with scale, offset
    and nodata."""
    mosaic = best.drop_vars("id")
    qm.to_zarr(mosaic, tmp_path / "best.zarr", progress=False)
    opened = qm.open_mosaic(tmp_path / "best.zarr")
    assert opened["red"].dtype.kind == "f"
    file = qm.to_cog(opened, tmp_path / "best.tif", progress=False)[0]
    with rasterio.open(file) as cog:
        assert (cog.dtypes, cog.nodata) == (("uint16", "uint16"), 0)
        assert (cog.scales[0], cog.offsets[0]) == (0.0001, -0.1)
    np.testing.assert_array_equal(read(file)["red"], in_memory(mosaic))


def test_nodata_that_is_asked_for(tmp_path: Path) -> None:
    """What is missing gets the value that is asked for; one that a pixel has already is refused,
    and nothing is left."""
    red = np.uint16([[1, 2, 0], [7, 0, 9]])
    heat = np.float64([[0.5, np.nan, -9999.0], [1.5, 2.5, np.nan]])
    mosaic = on_grid({"red": red, "heat": heat, "cold": heat})
    mosaic["red"].attrs["_FillValue"] = 0
    mosaic["cold"].attrs["_FillValue"] = -9999.0
    files = qm.to_cog(mosaic, tmp_path / "a.tif", nodata={"red": 65535, "heat": -1})
    found = {file.name: (rasterio.open(file).nodata, read(file)) for file in files}
    assert list(found) == ["a.tif", "a_heat.tif", "a_cold.tif"]
    np.testing.assert_array_equal(found["a.tif"][1]["red"], [[1, 2, 65535], [7, 65535, 9]])
    np.testing.assert_array_equal(
        found["a_heat.tif"][1]["heat"], [[0.5, -1, -9999], [1.5, 2.5, -1]]
    )
    np.testing.assert_array_equal(
        found["a_cold.tif"][1]["cold"], [[0.5, -9999, -9999], [1.5, 2.5, -9999]]
    )
    assert [nodata for nodata, _ in found.values()] == [65535, -1, -9999]
    os.mkdir(tmp_path / "new")
    with pytest.raises(ValueError, match=r"'red' has pixels of the value 7 .* choose|Choose"):
        qm.to_cog(mosaic, tmp_path / "new" / "a.tif", bands=["red"], nodata=7)
    assert is_clean(tmp_path / "new")


def test_provenance_as_bands_or_not_at_all(best: xr.Dataset, tmp_path: Path) -> None:
    """As bands, it lies in the first file, in a dtype that holds all exactly; else it is left
    out."""
    mosaic = best[["red", "nir", "quality"]].drop_vars("id")
    files = qm.to_cog(mosaic, tmp_path / "a.tif", provenance="bands", progress=False)
    assert [f.name for f in files] == ["a.tif", "a_quality.tif", "a_images.csv"]
    with rasterio.open(files[0]) as cog:
        assert set(cog.dtypes) == {"int32"}
        assert (cog.nodata, cog.scales[0]) == (-1, 0.0001)
    found, red = read(files[0]), in_memory(mosaic)
    assert list(found) == ["red", "nir", "source_index", "source_time", "valid_count"]
    np.testing.assert_array_equal(found["red"], np.where(red == 0, -1, red.astype(int)))
    np.testing.assert_array_equal(found["source_index"], in_memory(mosaic, "source_index"))
    (only,) = qm.to_cog(mosaic, tmp_path / "b.tif", bands=["nir", "red"], provenance=False)
    assert list(read(only)) == ["nir", "red"]
    signed = on_grid({"heat": np.int16([[-1, 5], [7, -8]])})
    signed = signed.assign_coords(source_index=(("y", "x"), np.int16([[0, 1], [-1, 0]])))
    held = qm.to_cog(signed, tmp_path / "d.tif", provenance="bands")[0]
    with rasterio.open(held) as cog:
        np.testing.assert_array_equal(cog.read(1), [[-1, 5], [7, -8]])
        assert not np.ma.is_masked(cog.read(1, masked=True))
        assert (cog.read(2, masked=True).mask == [[False, False], [True, False]]).all()
    with pytest.raises(ValueError, match="no dtype holds both"):
        qm.to_cog(mosaic.astype("float64"), tmp_path / "c.tif", provenance="bands")


def test_a_band_from_images_of_its_own(collection: xr.Dataset, tmp_path: Path) -> None:
    """With masked="fill" each band has its own numbers of images, and its rows in the table."""
    mosaic = qm.quality_mosaic(
        collection[["red", "nir", "quality"]], "quality", masked="fill", provenance=True
    )
    files = qm.to_cog(mosaic, tmp_path / "a.tif", progress=False)
    found = read(tmp_path / "a_provenance.tif")
    for band in ("red", "nir"):
        name = f"{band}_source_index"
        np.testing.assert_array_equal(found[name], in_memory(mosaic, name))
    table = pd.read_csv(files[-1])
    assert set(table["band"]) == {"red", "nir", "quality"}
    assert (table.groupby("band")["pixels"].sum() == 300 * 260).all()


def test_arrays_bools_and_dates(best: xr.Dataset, tmp_path: Path) -> None:
    """A DataArray is a file: bands along a dimension, a map of dates, true and false."""
    stacked = best[["red", "nir"]].drop_vars("id").to_array("band", name="all")
    stacked.attrs = {"_FillValue": 0}
    file = qm.to_cog(stacked, tmp_path / "a.tif", provenance=False, progress=False)[0]
    assert list(read(file)) == ["red", "nir"]
    np.testing.assert_array_equal(read(file)["nir"], in_memory(best, "nir"))
    (one,) = qm.to_cog(stacked, tmp_path / "b.tif", bands=["nir"], provenance=False)
    assert list(read(one)) == ["nir"]
    (dates,) = qm.to_cog(best["source_time"], tmp_path / "c.tif", provenance=False)
    assert set(np.unique(read(dates)["source_time"])) == {
        -1,
        19691231,
        20200701,
        20200731,
        20210101,
    }
    high = best["red"] > 4000
    (true,) = qm.to_cog(high, tmp_path / "d.tif", provenance=False, progress=False)
    np.testing.assert_array_equal(read(true)["red"], in_memory(high.to_dataset()).astype("uint8"))


BAD: dict[str, tuple[Callable[[xr.Dataset, Path], Any], type[Exception], str]] = {
    "periods": (
        lambda m, at: qm.to_cog(m.expand_dims(time=2), at / "a.tif"),
        ValueError,
        r"dimension 'time'.*mosaic\.isel\(time=0\)",
    ),
    "an address": (lambda m, at: qm.to_cog(m, "s3://b/a.tif"), ValueError, "aws s3 cp"),
    "another ending": (lambda m, at: qm.to_cog(m, at / "a.zarr"), ValueError, r"a\.tif"),
    "no folder": (lambda m, at: qm.to_cog(m, at / "no" / "a.tif"), FileNotFoundError, "mkdir"),
    "a folder": (lambda m, at: qm.to_cog(m, at / "d.tif"), FileExistsError, "is a folder"),
    "there already": (lambda m, at: qm.to_cog(m, at / "b.tif"), FileExistsError, "overwrite=True"),
    "one beside it there": (
        lambda m, at: qm.to_cog(m, at / "c.tif"),
        FileExistsError,
        r"c_quality\.tif.*overwrite=True",
    ),
    "a band twice": (
        lambda m, at: qm.to_cog(m, at / "a.tif", bands=["red", "nir", "red"]),
        ValueError,
        r"'red' 2 times.*mosaic\.assign\(copy=mosaic\['red'\]\)",
    ),
    "no band": (lambda m, at: qm.to_cog(m, at / "a.tif", bands=["B4"]), KeyError, "'red', 'SCL'"),
    "tiles": (
        lambda m, at: qm.to_cog(m, at / "a.tif", blocksize=100),
        ValueError,
        "multiple of 16",
    ),
    "lossy": (lambda m, at: qm.to_cog(m, at / "a.tif", compress="jpeg"), ValueError, "'deflate'"),
    "provenance": (
        lambda m, at: qm.to_cog(m, at / "a.tif", provenance=True),
        ValueError,
        "'file'",
    ),
    "nodata": (lambda m, at: qm.to_cog(m, at / "a.tif", nodata=-1), ValueError, "does not hold"),
    "nodata of none": (
        lambda m, at: qm.to_cog(m, at / "a.tif", nodata={"B4": 0}),
        KeyError,
        "'red', 'SCL'",
    ),
    "resampling": (
        lambda m, at: qm.to_cog(m, at / "a.tif", overview_resampling="cubic"),
        ValueError,
        "'average'",
    ),
    "no CRS": (
        lambda m, at: qm.to_cog(m.drop_vars("spatial_ref"), at / "a.tif"),
        ValueError,
        "assign_crs",
    ),
    "no coordinates": (
        lambda m, at: qm.to_cog(m.drop_vars(["y", "x"]), at / "a.tif"),
        ValueError,
        "assign_coords",
    ),
    "uneven pixels": (
        lambda m, at: qm.to_cog(m.isel(y=[0, 1, 5]), at / "a.tif"),
        ValueError,
        "regular grid",
    ),
    "one row": (lambda m, at: qm.to_cog(m.isel(y=[0]), at / "a.tif"), ValueError, "one pixel"),
    "texts": (
        lambda m, at: qm.to_cog(m.assign(t=m["red"].astype(str)), at / "a.tif"),
        ValueError,
        r"dtype <U\d.*bands=",
    ),
    "texts alone": (
        lambda m, at: qm.to_cog(m.drop_vars("source_index"), at / "a.tif"),
        ValueError,
        r"provenance=\['source_index', 'id'\]",
    ),
    "long nodata": (
        lambda m, at: qm.to_cog(
            m.assign(red=m["red"].astype("int64").assign_attrs(_FillValue=-(2**63))), at / "a.tif"
        ),
        ValueError,
        r"nodata=\{'red': -1\}",
    ),
    "no map": (
        lambda m, at: qm.to_cog(m.assign(doy=5), at / "a.tif", bands=["doy"]),
        ValueError,
        "no band has the dimensions 'y' and 'x'",
    ),
}


def test_what_cannot_be_written_is_refused(best: xr.Dataset, tmp_path: Path) -> None:
    """What came, why it cannot be, and what to write instead; nothing is computed or written."""

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed")

    (tmp_path / "d.tif").mkdir()
    for name in ("b.tif", "c_quality.tif"):
        (tmp_path / name).touch()
    before = sorted(os.listdir(tmp_path))
    with dask.config.set(scheduler=never):
        for name, (call, error, told) in BAD.items():
            with pytest.raises(error, match=told):
                call(best, tmp_path)
            assert sorted(os.listdir(tmp_path)) == before, name


def test_replacing(best: xr.Dataset, tmp_path: Path) -> None:
    """With overwrite=True a file is replaced, with what GDAL has noted of it; one that the mosaic
    is made from never is."""
    mosaic = best[["red", "nir"]].drop_vars("id")
    at = tmp_path / "a.tif"
    qm.to_cog(mosaic, at, provenance=False, progress=False)
    (tmp_path / "a.tif.aux.xml").touch()
    (tmp_path / "a.tif.ovr").touch()
    qm.to_cog(mosaic + 1, at, provenance=False, overwrite=True, progress=False)
    np.testing.assert_array_equal(read(at)["red"], in_memory(mosaic) + 1)
    assert is_clean(tmp_path, "a.tif")
    before = at.read_bytes()
    opened = rioxarray.open_rasterio(at, chunks={"x": 128, "y": 128}).rename("pixels")
    with pytest.raises(ValueError, match="made from"):
        qm.to_cog(opened, at, overwrite=True)
    assert at.read_bytes() == before


def small_mosaic() -> xr.Dataset:
    """Make a mosaic whose set of files has all kinds: other dtypes, provenance, a table."""
    values = np.arange(60).reshape(2, 6, 5)
    bands = {"red": values.astype("uint16"), "quality": values.astype("float32")}
    times = pd.DatetimeIndex(["2020-07-01", "2020-07-02"])
    collection = on_grid(bands).assign_coords(time=times)
    return qm.quality_mosaic(collection, "quality", provenance=True)


def test_what_was_written_beside_a_file_goes_with_it(tmp_path: Path) -> None:
    """With overwrite=True no file stays that an earlier call wrote beside the one that is replaced:
    it would describe another mosaic. What others have put there, or changed, stays, and so does all
    after an error; what the mosaic is made from is refused."""
    mosaic, at = small_mosaic(), tmp_path / "a.tif"
    names = {"a.tif", "a_quality.tif", "a_provenance.tif", "a_images.csv"}
    assert {file.name for file in qm.to_cog(mosaic, at, progress=False)} == names
    (tmp_path / "a_quality.tif.aux.xml").touch()
    with pytest.raises(ValueError, match="nodata="):
        qm.to_cog(mosaic[["red"]], at, overwrite=True, provenance=False, nodata={"red": 59})
    assert is_clean(tmp_path, *names, "a_quality.tif.aux.xml")
    own = rioxarray.open_rasterio(tmp_path / "a_quality.tif", chunks={"x": 128, "y": 128})
    with pytest.raises(ValueError, match=r"made from '.*a_quality\.tif'"):
        qm.to_cog(own.isel(band=0, drop=True).rename("red"), at, overwrite=True)
    assert is_clean(tmp_path, *names, "a_quality.tif.aux.xml")
    assert qm.to_cog(mosaic[["red"]], at, overwrite=True, provenance=False) == [at]
    assert is_clean(tmp_path, "a.tif")

    qm.to_cog(mosaic, at, overwrite=True, progress=False)
    with (tmp_path / "a_images.csv").open("a") as table:
        table.write("a note\n")
    shutil.copy(tmp_path / "a_provenance.tif", tmp_path / "a_other.tif")
    theirs = qm.to_cog(mosaic[["quality"]], tmp_path / "b.tif", provenance=False)[0]
    theirs.rename(tmp_path / "a_quality.tif")
    at.rename(tmp_path / "moved.tif")
    shutil.copy(tmp_path / "moved.tif", at)
    qm.to_cog(mosaic[["red"]], tmp_path / "moved.tif", overwrite=True, provenance=False)
    kept = {"a_images.csv", "a_other.tif", "a_quality.tif"}
    assert is_clean(tmp_path, "a.tif", "moved.tif", "a_provenance.tif", *kept)
    # what is read from a file of the set and written again is no part of it
    (again,) = qm.to_cog(rioxarray.open_rasterio(at)[0].rename("red"), tmp_path / "c.tif")
    with rasterio.open(again) as cog:
        assert not [tag for tag in cog.tags() if tag.startswith("qmosaic_files")]
    again.unlink()
    qm.to_cog(mosaic[["red"]], at, overwrite=True, provenance=False)
    assert is_clean(tmp_path, "a.tif", "moved.tif", *kept)


def test_each_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Whatever bands are called, none is written over another, on file systems, too, that take
    a_B and A_b for one; where pixels come from has the name that the documentation says."""
    mosaic = small_mosaic().rename(quality="provenance")
    mosaic["a b"], mosaic["A_b"] = mosaic["red"].astype("uint8"), mosaic["red"].astype("int32")
    mosaic["images"] = mosaic["red"].astype("float64")
    files = qm.to_cog(mosaic, tmp_path / "a.tif", progress=False)
    assert len({file.name.casefold() for file in files}) == len(files) == 7
    assert is_clean(tmp_path, *(file.name for file in files))
    found: dict[str, str] = {b: f.name for f in files if f.suffix == ".tif" for b in read(f)}
    assert set(found) == {*map(str, mosaic), "source_index", "source_time", "valid_count"}
    assert found["source_index"] == "a_provenance.tif"


def test_one_row_says_how_to_declare_its_size(tmp_path: Path) -> None:
    """One row or column does not tell the size of its pixels, and none is guessed: a transform that
    the grid mapping declares is taken, and the error says how to declare one, as code that runs."""
    whole = on_grid({"red": np.arange(30, dtype="uint16").reshape(6, 5)})
    for turned in (whole, whole.isel(y=slice(None, None, -1))):
        for cut in ({"y": [3]}, {"x": [2]}):
            part = turned.isel(cut)
            with pytest.raises(ValueError, match="Take two or more") as told:
                qm.to_cog(part, tmp_path / "a.tif")
            code = str(told.value).split("of 10: ")[1].rstrip(".")
            spaces: dict[str, Any] = {"mosaic": part}
            exec(code, spaces)
            (file,) = qm.to_cog(spaces["mosaic"], tmp_path / "a.tif", overwrite=True)
            with rasterio.open(file) as cog:
                assert cog.res == (10, 10)
                corner = cog.transform * (0.5, 0.5)
                assert corner == (float(part["x"].min()), float(part["y"].max()))
            (tmp_path / "a.tif").unlink()


def test_a_chunk_that_cannot_be_read(tmp_path: Path) -> None:
    """Nothing is left of the file, and the error names the chunk; on_error="skip" leaves the image
    out there, and the file says so."""
    values = random_stack(images=3, side=24)
    made, _ = in_store(values, tmp_path / "in.zarr")
    mosaic = qm.quality_mosaic(made.odc.assign_crs(UTM), "quality")
    mosaic = mosaic.assign_coords(on_grid({"red": values["red"][0]}).coords)
    corrupt(tmp_path / "in.zarr", "quality", 1, 2, 2)
    (tmp_path / "out").mkdir()
    with pytest.raises(qm.ChunkReadError, match=r"band 'quality' of image 2020-07-02"):
        qm.to_cog(mosaic, tmp_path / "out" / "a.tif", retries=0, progress=False)
    assert is_clean(tmp_path / "out")
    file = qm.to_cog(
        mosaic, tmp_path / "out" / "a.tif", retries=0, on_error="skip", progress=False
    )[0]
    with rasterio.open(file) as cog:
        assert "band 'quality' of image 2020-07-02" in cog.tags()["qmosaic_skipped"]


COPY = tiff._copy


def lose(source: Path, *args: Any) -> None:
    """Lose pixels, as GDAL does without a word where the disk is full when it closes a file."""
    with rasterio.open(source.with_name("average.tif"), "r+") as file:
        file.write(np.zeros((1, 9, 9), file.dtypes[0]), window=((0, 9), (30, 39)))
    COPY(source, *args)


def press(*args: Any) -> None:
    """Press Ctrl-C."""
    raise KeyboardInterrupt


FAULTS_AT_THE_END = [
    (lose, OSError, "not all pixels"),
    (press, KeyboardInterrupt, "was interrupted"),
]


def test_ctrl_c_and_full_disks(
    best: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the writing: the file that was there is as it was, no temporary one is left,
    and the message says what to do."""
    mosaic = best[["red"]].drop_vars("id")
    at = tmp_path / "a.tif"
    qm.to_cog(mosaic, at, provenance=False, progress=False)
    before = at.read_bytes()

    def write(**options: Any) -> None:
        qm.to_cog(mosaic, at, provenance=False, overwrite=True, **options)

    with pytest.raises(KeyboardInterrupt, match=r"to_cog\(\) was interrupted: nothing of"):
        write(progress=press)
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size, free, told in ((4000, 10**12, "cannot be written"), (4000, 10, "no space left")):
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
                with pytest.raises(OSError, match=told):
                    write(progress=False)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    for fault, error, told in FAULTS_AT_THE_END:
        with monkeypatch.context() as patched:
            patched.setattr(tiff, "_copy", fault)
            with pytest.raises(error, match=told):
                write(progress=False)
    assert at.read_bytes() == before
    assert is_clean(tmp_path, "a.tif")
