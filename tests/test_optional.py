"""Where a library that only some users need is missing, the message says what to install."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic import display, ee, optional
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
    "GeoTIFFs of a mosaic": (
        "geotiff",
        lambda at: qm.to_cog(COLLECTION.isel(time=0), at / "b.tif"),
    ),
    "NetCDF": ("netcdf", lambda at: qm.open_collection(at / "a.nc")),
    "a file of STAC items": ("stac", lambda at: qm.open_collection(at / "items.json")),
    "STAC items": ("stac", lambda at: qm.open_collection(NO_ITEMS)),
    "STAC items on a grid": ("stac", lambda at: qm.open_collection(NO_ITEMS, geobox=COLLECTION)),
    "a region": ("geo", lambda at: qm.filter_bounds(COLLECTION, (0, 0, 1, 1))),
    "a mosaic of a region": ("geo", lambda at: qm.clip(COLLECTION, (0, 0, 1, 1))),
    "polygons": (
        "geo",
        lambda at: qm.contributions(
            COLLECTION.isel(time=0).assign_coords(source_index=RED.isel(time=0)), (0, 0, 1, 1)
        ),
    ),
    "features": ("features", lambda at: ee.FeatureCollection((0, 0, 1, 1))),
    "an index": ("scores", lambda at: qm.scores.index(COLLECTION, "NDVI", platform="landsat-8")),
    "a distance": (
        "scores",
        lambda at: qm.scores.distance_to(RED > 1, max_distance=9),
    ),
    "a mean": ("scores", lambda at: qm.scores.smooth(RED, 9)),
    "a map": ("map", lambda at: qm.display.Map()),
    "a map with tiles": ("serve", lambda at: qm.display.serve(image())),
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
    with pytest.raises(
        ModuleNotFoundError, match=rf'checkout of qmosaic: pip install "\.\[{extra}\]"'
    ):
        call(tmp_path)


def test_nothing_is_installed_by_its_name_alone() -> None:
    """The package is on no index: docstrings and messages say to install its checkout."""
    for file in Path(qm.__file__).parent.rglob("*.py"):
        assert not re.search(r"pip install [^.\n]*qmosaic\[", file.read_text()), file


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
    with pytest.raises(ModuleNotFoundError, match=r'pip install "\.\[demo\]"'):
        samples.sentinel2_romania()


# -- with one extra installed -------------------------------------------------------------------

MODULES = {
    "cachetools": ["cachetools"],
    "folium": ["folium", "branca"],
    "geopandas": ["geopandas", "pyogrio"],
    "matplotlib": ["matplotlib", "PIL"],
    "netcdf4": ["netCDF4"],
    "nrt": ["nrt"],
    "odc-geo": ["odc.geo", "shapely", "pyproj"],
    "odc-stac": ["odc.stac"],
    "pillow": ["PIL"],
    "pystac": ["pystac"],
    "rasterio": ["rasterio"],
    "rioxarray": ["rioxarray", "rasterio"],
    "scipy": ["scipy"],
    "spyndex": ["spyndex"],
    "titiler.core": [
        "titiler",
        "rio_tiler",
        "fastapi",
        "starlette",
        "cachetools",
        "rasterio",
        "pystac",
    ],
    "uvicorn": ["uvicorn"],
    "xstatic-leaflet": ["xstatic"],
}
"""The modules that a package of an extra brings, with those of its own dependencies."""


def modules_of(extra: str) -> set[str]:
    """Name the modules that an extra of pyproject.toml brings."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    found: set[str] = set()
    for requirement in extras[extra]:
        if others := re.match(r"qmosaic\[(.*)\]", requirement):
            found = found.union(*map(modules_of, others[1].split(",")))
        else:
            found |= set(MODULES[re.split(r"[=<>\[]", requirement)[0].lower()])
    return found


def hide(monkeypatch: pytest.MonkeyPatch, keep: set[str]) -> None:
    """Let all optional packages be missing, but for some modules."""
    for package in ("matplotlib", "folium", "odc.geo.xr", "rasterio", "scipy", "spyndex"):
        # loaded first: libraries look at their import which of the others are there
        pytest.importorskip(package, reason=f"{package} is in the extras [scores] and [map]")
    hidden = {name for names in MODULES.values() for name in names} - keep
    for name in hidden:
        loaded = [m for m in sys.modules if m == name or m.startswith(f"{name}.")]
        for module in (name, *loaded):
            monkeypatch.setitem(sys.modules, module, None)


def image() -> xr.Dataset:
    places = {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2]}
    return xr.Dataset({"red": (("latitude", "longitude"), np.ones((3, 3)))}, places)


def cloud() -> xr.DataArray:
    """A mask whose CRS tells the size of its pixels."""
    places = {"y": [30.0, 20.0, 10.0], "x": [10.0, 20.0, 30.0]}
    mask = xr.DataArray(np.eye(3, dtype=bool), places, ("y", "x"))
    crs = 'PROJCRS["local",BASEGEOGCRS["WGS 84",DATUM["World Geodetic System 1984",'
    crs += 'ELLIPSOID["WGS 84",6378137,298.257223563]]],CONVERSION["UTM zone 33N",'
    crs += 'METHOD["Transverse Mercator",ID["EPSG",9807]]],CS[Cartesian,2],'
    crs += 'AXIS["(E)",east],AXIS["(N)",north],LENGTHUNIT["metre",1]]'
    return mask.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": crs}))


def drawn() -> Any:
    m = display.Map()
    m.add_layer(image(), {"min": 0, "max": 1, "palette": ["black", "red"]})
    return m.to_html()


def served() -> None:
    with display.serve(image(), {"min": 0, "max": 1, "palette": ["black", "red"]}):
        pass


USES: dict[str, tuple[Callable[[], Any], str]] = {
    "distance_to": (lambda: qm.scores.distance_to(cloud(), max_distance=30), "scores"),
    "smooth": (lambda: qm.scores.smooth(cloud(), 30), "scores"),
    "index": (
        lambda: qm.scores.index(image(), "NDVI", bands={"N": "red", "R": "red"}),
        "scores",
    ),
    "clip": (lambda: qm.clip(image(), (-103.35, 40.15, -103.1, 40.4)), "geo"),
    "filter_bounds": (
        lambda: qm.filter_bounds(image().expand_dims("time"), (-104, 40, -103, 41)),
        "geo",
    ),
    "ee.Geometry": (lambda: ee.Geometry.Point(-103.3, 40.2).buffer(10), "geo"),
    "ee.Image.clip": (
        lambda: ee.Image(image()).updateMask(ee.Image(1).clip((-104, 40, -103, 41))).dataset.load(),
        "geo",
    ),
    "ee.FeatureCollection": (
        lambda: ee.FeatureCollection((0, 0, 1, 1)).merge((0, 0, 1, 1)).geometry(),
        "features",
    ),
    "visualize": (lambda: qm.visualize(image(), palette=["black", "red"]), "plot"),
    "quicklook": (lambda: qm.quicklook(image(), palette=["black", "red"]), "plot"),
    "Map": (drawn, "map"),
    "serve": (served, "serve"),
}


@pytest.mark.parametrize("name", USES)
def test_with_one_extra_the_call_succeeds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but the extra that the message names, the call does what it is there for."""
    call, extra = USES[name]
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the package is installed without its sources: there is no pyproject.toml")
    with monkeypatch.context() as nothing:
        hide(nothing, keep=set())
        with pytest.raises(ModuleNotFoundError, match=rf'need the package .*"\.\[{extra}\]"'):
            call()
    with monkeypatch.context() as installed:
        hide(installed, keep=modules_of(extra))
        call()


def message_of(call: Callable[[], Any]) -> str | None:
    """Say what a call lacks, None if it succeeds."""
    try:
        call()
    except ModuleNotFoundError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", USES)
def test_the_extra_of_the_call_is_named_whatever_is_there(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where other extras brought a part of what a call needs, the message still names the extra of
    the function that was called, not that of a function which it uses."""
    call, extra = USES[name]
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the package is installed without its sources: there is no pyproject.toml")
    everything = {module for modules in MODULES.values() for module in modules}
    said = {}
    for package, modules in MODULES.items():
        if set(modules) & modules_of(extra):
            with monkeypatch.context() as partly:
                hide(partly, keep=everything - set(modules))
                said[package] = message_of(call)
    assert any(said.values())
    for package, message in said.items():
        assert message is None or f'".[{extra}]"' in message, package
