"""Where a library that only some users need is missing, the message says what to install."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic import optional
from qmosaic.sources import samples

ROOT = Path(qm.__file__).parents[1]
PIXELS = (("time", "y", "x"), np.uint16([[[1, 2], [3, 4]]]))
COLLECTION = xr.Dataset(
    {"red": PIXELS},
    {"time": np.array(["2020-01-01"], "datetime64[ns]"), "y": [1.0, 0.0], "x": [0.0, 1.0]},
)
RED = COLLECTION["red"]
NO_ITEMS = {"type": "FeatureCollection", "features": []}

CALLS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "GeoTIFFs": ("geotiff", lambda at: qm.open_collection(at / "a.tif")),
    "GeoTIFFs on a grid": (
        "geotiff",
        lambda at: qm.open_collection(at / "a.tif", geobox=COLLECTION),
    ),
    "NetCDF": ("netcdf", lambda at: qm.open_collection(at / "a.nc")),
    "a file of STAC items": ("stac", lambda at: qm.open_collection(at / "items.json")),
    "STAC items": ("stac", lambda at: qm.open_collection(NO_ITEMS)),
    "STAC items on a grid": ("stac", lambda at: qm.open_collection(NO_ITEMS, geobox=COLLECTION)),
    "a region": ("geo", lambda at: qm.filter_bounds(COLLECTION, (0, 0, 1, 1))),
    "a mosaic of a region": ("geo", lambda at: qm.clip(COLLECTION, (0, 0, 1, 1))),
    "an index": ("scores", lambda at: qm.scores.index(COLLECTION, "NDVI", platform="landsat-8")),
    "a distance": (
        "scores",
        lambda at: qm.scores.distance_to(RED > 1, max_distance=9),
    ),
    "a map": ("map", lambda at: qm.display.Map()),
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have none of the libraries that extras bring."""

    def missing(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module.split(".")[0])

    monkeypatch.setattr(optional.importlib, "import_module", missing)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", CALLS)
def test_the_extra_that_is_named_is_enough(name: str, tmp_path: Path) -> None:
    """The first message names the extra that brings all that the call needs: nobody installs
    twice."""
    for file in ("a.tif", "a.nc"):
        (tmp_path / file).touch()
    (tmp_path / "items.json").write_text(json.dumps(NO_ITEMS))
    extra, call = CALLS[name]
    with pytest.raises(ModuleNotFoundError, match=rf'pip install "qmosaic\[{extra}\]"'):
        call(tmp_path)


def test_packages_are_called_as_they_are_installed() -> None:
    """Not as their modules: there is no package called ``odc`` or ``PIL``."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the package is installed without its sources: there is no pyproject.toml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = itertools.chain(*project["optional-dependencies"].values())
    told = {re.split(r"[>=\[]", wanted)[0] for wanted in brought}
    for module, package in optional.CALLED.items():
        assert package in told
        assert importlib.util.find_spec(module) is not None


def test_the_sample_series_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data are those of a package, which the extra of the demo brings."""
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "qmosaic\[demo\]"'):
        samples.sentinel2_romania()
