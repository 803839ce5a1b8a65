"""The house: rooms import only downwards, and the public surface is what it says it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest
import xarray as xr

import qmosaic as qm

PACKAGE = Path(qm.__file__).parent
ROOMS = [
    "cli",
    "ee",
    "accessor",
    "explanation",
    "store",
    "layout",
    "storable",
    "target",
    "identity",
    "running",
    "watching",
    "writing",
    "progress",
    "journal",
    "locking",
    "fencing",
    "display",
    "periods",
    "mosaic",
    "pixels",
    "sources",
    "from_arrays",
    "from_geotiff",
    "from_stac",
    "stac_items",
    "stac_packing",
    "geotiff_files",
    "odc_driver",
    "warping",
    "assembly",
    "sentinel_2",
    "packing",
    "samples",
    "filters",
    "clipping",
    "scores",
    "grid",
    "geometry",
    "collection",
    "graph",
    "blocks",
    "reading",
    "promises",
    "kernels",
    "moments",
    "threads",
    "tables",
    "optional",
]


def imports_of(room: str) -> set[str]:
    """Name the modules that a room imports, a file or a folder of files, wherever in it."""
    files = (PACKAGE / room).glob("*.py") if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    found: set[str] = set()
    for node in (n for file in files for n in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_is_on_the_map() -> None:
    """The docstring of the package names every room, in order."""
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    files |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert files == set(ROOMS)
    places = [(qm.__doc__ or "").index(f"``{room}``") for room in ROOMS]
    assert places == sorted(places)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_rooms_below(room: str) -> None:
    """The table of the house; a room that imports upwards breaks it."""
    above = ROOMS[: ROOMS.index(room) + 1]
    for name in imports_of(room):
        if name == "qmosaic" or not name.startswith("qmosaic."):
            continue
        if name.split(".")[1] != room or not (PACKAGE / room).is_dir():
            assert name.split(".")[1] not in above, f"{room} imports {name}"


def test_the_floors_of_graph() -> None:
    """Its own table names every file; each imports only what stands below it there."""
    text = importlib.import_module("qmosaic.graph").__doc__ or ""
    table = re.findall(r"^``(\w+)``", text[text.index("\n====") :], re.M)
    files = {path.stem for path in (PACKAGE / "graph").glob("*.py")} - {"__init__"}
    assert files == set(table)
    for place, name in enumerate(table):
        tree = ast.parse((PACKAGE / "graph" / f"{name}.py").read_text())
        modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        inside = {m.split(".")[2] for m in modules if m.startswith("qmosaic.graph.")}
        assert inside <= set(table[place + 1 :]), name


@pytest.mark.parametrize("room", [r for r in ROOMS if r != "graph"])
def test_private_interfaces_stay_in_graph(room: str) -> None:
    """No private module of dask or xarray outside the room that is made for it."""
    for name in imports_of(room):
        if name.split(".")[0] in ("dask", "xarray", "zarr"):
            assert not any(part.startswith("_") for part in name.split(".")), f"{room}: {name}"
            assert name.split(".")[:2] not in (["dask", "highlevelgraph"], ["dask", "blockwise"])


def test_an_editor_lists_what_is_there_to_be_used() -> None:
    """``qm.<TAB>`` shows the public names; the rooms are not among them, and can be imported."""
    listed = dir(qm)
    assert set(listed) == {*qm.__all__, "__version__"}
    assert not set(listed) & (set(ROOMS) - {"scores", "display", "ee"})
    for name in listed:
        assert getattr(qm, name) is not None
    assert importlib.import_module("qmosaic.filters").filter_date is qm.filter_date


def verbs() -> list[str]:
    """Name the public functions that work on a collection, a mosaic or an image."""
    functions = [n for n in qm.__all__ if inspect.isfunction(getattr(qm, n))]
    first = {n: next(iter(inspect.signature(getattr(qm, n)).parameters)) for n in functions}
    return [n for n in functions if first[n] in ("collection", "mosaic", "image", "data")]


@pytest.mark.parametrize("name", verbs())
def test_methods_are_the_functions(name: str) -> None:
    """``ds.qmosaic.<verb>`` has the parameters and the text of ``qm.<verb>``, but for the first
    parameter: where one changes, the other has to (in accessor.py)."""
    function, method = getattr(qm, name), getattr(xr.Dataset().qmosaic, name)
    wanted, given = inspect.signature(function), inspect.signature(method)
    skipped, *others = wanted.parameters.values()
    assert list(given.parameters.values()) == others
    assert "Any" not in str(given.return_annotation)
    text, whole = inspect.getdoc(method) or "", inspect.getdoc(function) or ""
    assert text.splitlines()[0] == whole.splitlines()[0]
    assert f"\n{skipped.name} : " not in text
    for other in others:
        if other.kind is not inspect.Parameter.VAR_KEYWORD:
            assert other.name in text[text.index("Parameters\n") :]
    assert text[text.index("Returns\n" if "Returns\n" in text else "Raises\n") :] in whole


def test_methods_of_arrays() -> None:
    """An array with a dimension of bands has the verbs that take one; both list what they have."""
    array, dataset = xr.DataArray([1]).qmosaic, xr.Dataset().qmosaic
    assert repr(array) == (
        "The verbs of qmosaic on this DataArray: clip(), explain(), mosaic_by_period(), "
        "quality_mosaic(), quicklook(), to_zarr(), visualize()"
    )
    assert all(f"{name}()" in repr(dataset) for name in verbs())


def test_kernels_know_only_numpy() -> None:
    """numpy in, numpy out."""
    outside = {name.split(".")[0] for name in imports_of("kernels")}
    assert outside <= {"__future__", "dataclasses", "typing", "numpy"}


@pytest.mark.parametrize(
    "thing",
    [
        qm.quality_mosaic,
        qm.mosaic_by_period,
        qm.to_zarr,
        qm.open_mosaic,
        qm.explain,
        qm.open_collection,
        qm.filter_date,
        qm.filter_bounds,
        qm.clip,
        qm.map_images,
        qm.select,
        qm.visualize,
        qm.quicklook,
        *(getattr(qm.scores, name) for name in qm.scores.__all__),
    ],
)
def test_public_functions_are_documented(thing: object) -> None:
    """Public docstrings give parameters, errors and an example; the doctests run them."""
    text = inspect.getdoc(thing) or ""
    for section in ("Parameters\n---", "Raises\n---", "Examples\n---"):
        assert section in text


def test_every_dependency_has_its_reason() -> None:
    """In pyproject.toml a reason stands beside each runtime dependency."""
    root = PACKAGE.parent
    if not (root / "pyproject.toml").exists():
        pytest.skip("the package is installed without its sources: there is no pyproject.toml")
    text = (root / "pyproject.toml").read_text()
    for requirement in tomllib.loads(text)["project"]["dependencies"]:
        (line,) = (row for row in text.splitlines() if f'"{requirement}"' in row)
        assert "#" in line, requirement
