"""Nothing is imported that is not used: it would take memory in every worker, and time."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.collection.readers import NetCDFReader, ZarrReader, reader_of_netcdf
from tests.support.processes import ROOT
from tests.support.sources import dates

FROM_THE_OPENING_ON = {"zarrs"}
"""What zarr itself imports to open a store, where it is installed: codec pipelines."""

FROM_THE_MOSAIC_ON = {"tensorstore", "ml_dtypes"}
"""What reads chunks, where it is installed, and what that imports."""


def python(*arguments: str) -> str:
    """Run Python in a process of its own."""
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    values = np.arange(48, dtype="uint16").reshape(3, 4, 4)
    bands = {name: (("time", "y", "x"), values) for name in ("cloud", "red")}
    store = tmp_path / "source.zarr"
    crs = ((), 0, {"spatial_ref": "EPSG:32633"})
    collection = xr.Dataset(bands, {"time": dates(3), "spatial_ref": crs})
    collection.chunk(time=1, y=2, x=2).to_zarr(store, zarr_format=2)
    if importlib.util.find_spec("netCDF4"):
        collection.to_netcdf(tmp_path / "source.nc", engine="netcdf4")
    return store


def test_a_mosaic_needs_no_other_library(source: Path) -> None:
    """From the import to the store that is written: no distributed where no client is, none of
    xarray's other readers, nothing of pictures, maps, GeoTIFFs, STAC, Earth Engine's vocabulary."""
    steps = json.loads(python("-m", "tests.support.imported", str(source.parent)).splitlines()[-1])
    assert steps.pop("import") == ["qmosaic"]
    assert set(steps.pop("open_collection")) <= {"qmosaic", *FROM_THE_OPENING_ON}
    for step in ("ee", "NetCDF", "quicklook"):  # which bring libraries along, if not all of them
        assert not {"distributed", "rasterio", "pyproj", "odc", "h5netcdf"} & {*steps.pop(step)}
    assert len(steps) == 5
    for step, found in steps.items():
        assert set(found) <= {"qmosaic", *FROM_THE_OPENING_ON, *FROM_THE_MOSAIC_ON}, step


def test_earth_engines_vocabulary_is_there_when_it_is_used() -> None:
    """``qm.ee``, ``from qmosaic import ee`` and ``from qmosaic import *`` without an import of the
    module; a name that is not there is looked for in it, too."""
    first = "import sys, qmosaic as qm; assert 'qmosaic.ee' not in sys.modules; "
    for use in (
        "from qmosaic import *",
        "assert not hasattr(qm, 'ImageCollection'); ee = qm.ee; from qmosaic import ee",
    ):
        assert python("-c", f"{first}{use}; print(ee.Image.__name__)").strip() == "Image"


@pytest.mark.parametrize("options", [{}, {"mask_and_scale": False}, {"decode_cf": False}])
def test_the_reader_of_zarr_is_the_one_of_that_name(source: Path, options: dict[str, bool]) -> None:
    """Opened through the class as through its name; other packages' readers are there as before."""
    named, ours = (
        xr.open_dataset(source, engine=engine, chunks={}, **options)
        for engine in ("zarr", ZarrReader)
    )
    xr.testing.assert_identical(named, ours)
    assert ours.chunks == named.chunks
    for band in named.variables:
        assert ours[band].encoding == named[band].encoding
    assert type(xr.backends.list_engines()["zarr"]) is xr.backends.ZarrBackendEntrypoint


def test_the_reader_of_netcdf_is_the_one_of_that_name(tmp_path: Path) -> None:
    """The class opens a file as its name does."""
    pytest.importorskip("netCDF4", reason="it is in the extra [netcdf]")
    xr.Dataset({"red": ("x", np.arange(4.0))}).to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with (
        xr.open_dataset(tmp_path / "a.nc", engine="netcdf4", decode_cf=False) as named,
        xr.open_dataset(tmp_path / "a.nc", engine=NetCDFReader, decode_cf=False) as ours,
    ):
        xr.testing.assert_identical(named, ours)


def test_the_reader_of_netcdf_is_the_one_that_xarray_chooses(tmp_path: Path) -> None:
    """By what is in a file, and by the order that is set; no other file gets it."""
    pytest.importorskip("netCDF4", reason="it is in the extra [netcdf]")
    xr.Dataset({"red": ("x", np.arange(4.0))}).to_netcdf(tmp_path / "a.dat", engine="netcdf4")
    (tmp_path / "b.dat").write_text("something else")
    assert reader_of_netcdf(str(tmp_path / "a.dat")) is NetCDFReader
    assert reader_of_netcdf(str(tmp_path / "b.dat")) is None
    if "netcdf_engine_order" not in xr.get_options():
        pytest.skip("this version of xarray has one order")
    with xr.set_options(netcdf_engine_order=["h5netcdf", "netcdf4"]):
        assert reader_of_netcdf(str(tmp_path / "a.dat")) is None


def test_options_of_open_mosaic_are_those_of_xarray(source: Path, tmp_path: Path) -> None:
    """`xarray.open_zarr` names them; what it does not know is refused by name, before anything is
    read."""
    mosaic = qm.quality_mosaic(qm.open_collection(source), "cloud")
    qm.to_zarr(mosaic, tmp_path / "best.zarr")
    for options in ({}, {"chunks": None}, {"drop_variables": ["red"]}, {"decode_cf": False}):
        opened = qm.open_mosaic(tmp_path / "best.zarr", **options)
        wanted = xr.open_zarr(tmp_path / "best.zarr", consolidated=False, **options)
        xr.testing.assert_identical(opened, wanted[list(opened)])
        assert opened.chunks == wanted.chunks
    with pytest.raises(TypeError, match=r"unexpected option wobble=1; it takes .* mask_and_scale"):
        qm.open_mosaic(tmp_path / "nothing.zarr", wobble=1)
