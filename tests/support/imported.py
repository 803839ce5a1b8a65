"""Making a mosaic in a process of its own, which prints what each step has imported."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import dask.array as da
import xarray as xr

BASE = {"dask", "numcodecs", "numpy", "pandas", "xarray", "zarr"}
"""Packages that are there, and import more of themselves as they are used."""

STANDARD = ("email", "http", "tomllib", "urllib.request")
"""Parts of the standard library that take as much memory as a library."""


def main(folder: Path) -> None:
    """Make a mosaic as most programs do, and print after each step what is imported by then."""
    importlib.import_module("zarr")  # beside dask and xarray, which are imported above
    known = set(sys.modules)
    found: dict[str, list[str]] = {}

    def note(step: str) -> None:
        new = set(sys.modules) - known
        tops = {name.split(".")[0] for name in new} - sys.stdlib_module_names - BASE
        ours = {name for name in new if name in ("qmosaic.ee", "qmosaic.sources.stac.opening")}
        found[step] = sorted(tops | ours | (new & {*STANDARD}))

    import qmosaic as qm

    note("import")
    collection = qm.open_collection(folder / "source.zarr")
    note("open_collection")
    collection["quality"] = qm.scores.inverse(collection["cloud"])
    mosaic = qm.quality_mosaic(collection.qmosaic.filter_date("2020"), "quality")
    note("quality_mosaic")
    whole = xr.Dataset({"red": _in_chunks(4), "quality": _in_chunks(2)})
    qm.quality_mosaic(whole, "quality")
    note("bands on two grids of chunks")
    print(qm.explain(mosaic))
    note("explain")
    qm.to_zarr(mosaic, folder / "best.zarr", progress=False)
    note("to_zarr")
    best = qm.open_mosaic(folder / "best.zarr")
    note("open_mosaic")
    ee = qm.ee
    ee.ImageCollection(collection).median()
    note("ee")
    if importlib.util.find_spec("netCDF4"):
        qm.open_collection(folder / "source.nc")
    note("NetCDF")
    if importlib.util.find_spec("matplotlib"):
        qm.quicklook(best, bands=["red"])
    note("quicklook")
    print(json.dumps(found))


def _in_chunks(size: int) -> xr.DataArray:
    return xr.DataArray(da.ones((2, 4, 4), chunks=(1, size, size)), dims=("time", "y", "x"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
