"""Subpackages and modules import only downwards, and the public names are as said."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import qmosaic as qm

PACKAGE = Path(qm.__file__).parent
SUBPACKAGES = [
    "cli",
    "accessor",
    "ee",
    "display",
    "sources",
    "scores",
    "sink",
    "engine",
    "collection",
    "optional",
]
"""From the roof to the cellar: each imports only what comes after it here."""

FOLDERS = sorted(
    path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")
)
"""Every folder of the package, as a path from its top; "." is the package itself."""

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Name all that a file imports, wherever in it: the modules, and the names taken from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files_of(place: Path) -> list[Path]:
    """Give the files of a module: the one that it is, or all in its folder and below."""
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def modules_in(folder: str) -> set[str]:
    """Name the files and folders of a subpackage."""
    place = PACKAGE / folder
    files = {path.stem for path in place.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in place.glob("*/__init__.py")}


def face_of(folder: str) -> str:
    """Give the docstring of a subpackage."""
    dotted = "" if folder == "." else "." + folder.replace("/", ".")
    return importlib.import_module(f"qmosaic{dotted}").__doc__ or ""


def tables_in(text: str) -> list[list[str]]:
    """Give the names in the first column of every table of a docstring, in their order."""
    tables = re.findall(r"^=+ +=+\n(.*?)^=+ +=+$", text, re.M | re.S)
    return [re.findall(r"^``(\w+)``", table, re.M) for table in tables]


def below(folder: str, modules: list[str]) -> None:
    """Check that each module of a subpackage imports only modules that stand below it."""
    dotted = "qmosaic" if folder == "." else "qmosaic." + folder.replace("/", ".")
    for layer, module in enumerate(modules):
        for file in files_of(PACKAGE / folder / module):
            for name in imports_of(file):
                if not name.startswith(f"{dotted}."):
                    continue
                other = name.removeprefix(f"{dotted}.").split(".")[0]
                if other != module or file.parent == PACKAGE / folder:
                    assert other not in modules[: layer + 1], f"{file} imports {name}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_name_their_modules(folder: str) -> None:
    """The docstring of each subpackage has a table of all its modules; a module imports only those
    that stand below it in that table."""
    modules = modules_in(folder)
    named = [table for table in tables_in(face_of(folder)) if set(table) == modules]
    assert len(named) == 1, f"no table of {sorted(modules)}"
    below(folder, named[0])


def test_help_names_the_subpackages() -> None:
    """`help(qmosaic)` names the subpackages, from the top to the bottom."""
    assert SUBPACKAGES in tables_in(face_of("."))


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_subpackages_import_what_their_docstrings_allow(subpackage: str) -> None:
    """What a subpackage imports of the others is what its docstring says after "May import"."""
    found = {
        name.split(".")[1]
        for file in files_of(PACKAGE / subpackage)
        for name in imports_of(file)
        if name.startswith("qmosaic.")
    }
    found = (found & set(SUBPACKAGES)) - {subpackage}
    assert found <= set(SUBPACKAGES[SUBPACKAGES.index(subpackage) + 1 :])
    if (PACKAGE / subpackage).is_dir():
        (said,) = re.findall(r"^May import (.*?)\.$", face_of(subpackage), re.M | re.S)
        assert found == set(re.findall(r"``(\w+)``", said))


def test_nothing_but_subpackages_imports_from_the_top() -> None:
    """The package's own names are for its users: inside, only the command line uses them."""
    taking = {f for f in MODULES if "qmosaic" in imports_of(PACKAGE / f)}
    taking = {file for file in taking if not file.startswith("cli/")}
    names = set(qm.__all__) - {"display", "ee", "scores"}
    for file in taking:
        assert not {f"qmosaic.{name}" for name in names} & imports_of(PACKAGE / file), file


def test_the_command_line_stands_on_public_names() -> None:
    """It does what its users can do: it imports the package, and names that the subpackages list
    in their `__all__`."""
    for name in {name for file in files_of(PACKAGE / "cli") for name in imports_of(file)}:
        if name.startswith("qmosaic.") and not name.startswith("qmosaic.cli."):
            _, subpackage, *rest = name.split(".")
            assert (PACKAGE / subpackage).is_dir(), name
            offered = importlib.import_module(f"qmosaic.{subpackage}").__all__
            assert ".".join(rest) in ("", *offered), name


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith("engine/graph/")])
def test_private_interfaces_stay_in_graph(module: str) -> None:
    """No private module of dask or xarray outside the module that is made for it."""
    for name in imports_of(PACKAGE / module):
        if name.split(".")[0] in ("dask", "xarray", "zarr"):
            assert not any(part.startswith("_") for part in name.split(".")), f"{module}: {name}"
            assert name.split(".")[:2] not in (["dask", "highlevelgraph"], ["dask", "blockwise"])


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "."])
def test_dir_lists_public_names(folder: str) -> None:
    """``dir()`` of a subpackage shows what its `__all__` names, and neither its imports nor its
    modules; the modules can be imported."""
    face = importlib.import_module("qmosaic." + folder.replace("/", "."))
    assert sorted(dir(face)) == sorted(face.__all__)
    assert all(hasattr(face, name) for name in face.__all__)
    for module in modules_in(folder) - set(face.__all__):
        assert importlib.util.find_spec(f"{face.__name__}.{module}") is not None


def test_an_editor_lists_public_names() -> None:
    """``qm.<TAB>`` shows the public names; the modules are not among them, and can be imported."""
    listed = dir(qm)
    assert set(listed) == {*qm.__all__, "__version__"}
    assert not set(listed) & (set(SUBPACKAGES) - {"scores", "display", "ee"})
    for name in listed:
        assert getattr(qm, name) is not None
    assert importlib.import_module("qmosaic.collection.filters").filter_date is qm.filter_date


@pytest.mark.parametrize(
    ("came", "meant"),
    [
        ("qualityMosaic", "quality_mosaic"),
        ("filterDate", "filter_date"),
        ("toZarr", "to_zarr"),
        ("qualty_mosaic", "quality_mosaic"),
        ("normalized_difference", "scores.normalized_difference"),
        ("Map", "display.Map"),
        ("ImageCollection", "ee.ImageCollection"),
        ("wobble", None),
        ("__wrapped__", None),
        ("_quality_mosaic", None),
    ],
)
def test_a_name_that_is_not_there(came: str, meant: str | None) -> None:
    """Earth Engine's spelling, another department's name or a slip is told what was meant; it stays
    an AttributeError, as `hasattr` and the import of modules need it."""
    assert not hasattr(qm, came)
    hint = rf"\. Did you mean qm\.{meant}\?" if meant else ""
    with pytest.raises(AttributeError, match=rf"'qmosaic' has no attribute '{came}'{hint}$"):
        getattr(qm, came)
    assert importlib.util.find_spec("qmosaic.cli") is not None


def on_collections() -> list[str]:
    """Name the public functions that work on a collection, a mosaic or an image."""
    functions = [n for n in qm.__all__ if inspect.isfunction(getattr(qm, n))]
    return [n for n in functions if itself(getattr(qm, n)) is not None]


def itself(function: Any) -> str | None:
    """Name the parameter that is the object of a method; `expression` takes its text before it."""
    names = list(inspect.signature(function).parameters)
    found = [n for n in names[:2] if n == "collection"] or names[:1]
    return found[0] if found[0] in ("collection", "mosaic", "image", "data") else None


@pytest.mark.parametrize("name", on_collections())
def test_methods_are_the_functions(name: str) -> None:
    """``ds.qmosaic.<name>`` has the parameters and the docstring of ``qm.<name>``, but for the
    parameter that is the object itself: where one changes, the other has to (in accessor.py)."""
    function, method = getattr(qm, name), getattr(xr.Dataset().qmosaic, name)
    wanted, given = inspect.signature(function), inspect.signature(method)
    skipped = wanted.parameters[itself(function) or ""]
    others = [p for p in wanted.parameters.values() if p is not skipped]
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
    """An array with a dimension of bands has the methods of what takes one; both list theirs."""
    array, dataset = xr.DataArray([1]).qmosaic, xr.Dataset().qmosaic
    assert repr(array) == (
        "Methods of qmosaic on this DataArray: best_images(), clip(), contributions(), explain(), "
        "expression(), medoid(), mosaic_by_period(), quality_mosaic(), quicklook(), to_cog(), "
        "to_zarr(), visualize()"
    )
    assert all(f"{name}()" in repr(dataset) for name in on_collections())


def test_tests_follow_the_subpackages() -> None:
    """Every folder of tests is a subpackage, beside the rules and what tests share."""
    root = Path(__file__).parent
    folders = {path.parent.name for path in root.glob("*/*.py")}
    assert {"rules", "support"} <= folders <= {*SUBPACKAGES, "rules", "support"}
    assert {*SUBPACKAGES} - folders <= {"cli", "accessor", "optional"}  # single files
    for file in root.glob("*/**/*.py"):
        if (root / "support") not in file.parents:
            assert file.parent.parent == root, file
            others = ("__init__.py", "conftest.py")
            assert file.name.startswith("test_") or file.name in others, file


def test_the_second_earth_engine_shares_nothing() -> None:
    """The oracle of `qmosaic.ee` imports Python, the dtypes of numpy, and itself."""
    folder = Path(__file__).parent / "support" / "earth_engine"
    own = "tests.support.earth_engine"
    for file in folder.glob("*.py"):
        for name in imports_of(file):
            known = name.split(".")[0] in {*sys.stdlib_module_names, "numpy"}
            assert known or name.startswith(own), (file.name, name)


def test_rules_are_on_their_map() -> None:
    """The docstring of tests/rules names a file for each rule, and every file."""
    folder = Path(__file__).parent / "rules"
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    rows = re.findall(r"^(\d*) .* `(\w+)`$", text, re.M)
    assert {file for _, file in rows} == {path.stem for path in folder.glob("test_*.py")}
    assert {rule for rule, _ in rows} - {""} == {str(n) for n in range(1, 12)}
    for rule, file in rows:
        stated = ast.get_docstring(ast.parse((folder / f"{file}.py").read_text())) or ""
        assert re.search(rf"\b{rule}\b", stated), f"{file} does not state rule {rule}"


def test_kernels_know_only_numpy() -> None:
    """numpy in, numpy out."""
    outside = {name.split(".")[0] for name in imports_of(PACKAGE / "engine/kernels.py")}
    assert outside <= {*"__future__ collections dataclasses functools typing numpy qmosaic".split()}
    ours = {n for n in imports_of(PACKAGE / "engine/kernels.py") if n.startswith("qmosaic")}
    assert all(name.startswith("qmosaic.collection.masks") for name in ours)
    outside = {name.split(".")[0] for name in imports_of(PACKAGE / "collection/masks.py")}
    assert outside <= {"__future__", "typing", "numpy"}


@pytest.mark.parametrize(
    "thing",
    [
        qm.quality_mosaic,
        qm.mosaic_by_period,
        qm.medoid,
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
