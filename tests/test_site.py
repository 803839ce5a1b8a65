"""The site's reference lists all that is public; building the site is a part of ``.ci/run``."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "notebooks" / "reference").rglob("*.rst"))
MODULES = (
    *("qmosaic", "qmosaic.scores", "qmosaic.display", "qmosaic.sources.samples"),
    *("qmosaic.ee", "qmosaic.ee.batch", "qmosaic.ee.data"),
)
ENTRY = re.compile(
    r"^\.\. (?P<kind>module|currentmodule|auto\w+):: (?P<name>[\w.]+)\n(?P<members> +:members:)?",
    re.M,
)


def resolved(name: str) -> Any:
    """Give what a dotted name stands for."""
    module, *rest = name.split(".")
    thing: Any = importlib.import_module(module)
    for part in rest:
        thing = getattr(thing, part)
    return thing


def methods_of(thing: type) -> list[str]:
    """Name the public methods and properties that a class of ours defines."""
    return [
        name
        for name, member in inspect.getmembers(thing)
        if not name.startswith("_")
        and ((callable(member) and not inspect.isclass(member)) or isinstance(member, property))
        and any(name in vars(c) for c in thing.__mro__ if c.__module__.startswith("qmosaic"))
    ]


def entries(page: Path) -> Iterator[str]:
    """Give the full names that a page has an entry for."""
    module = ""
    for found in ENTRY.finditer(page.read_text(encoding="utf-8")):
        if "module" in found["kind"]:
            module = found["name"] + "."
            continue
        name = found["name"] if found["name"].startswith("xarray.") else module + found["name"]
        yield name
        if found["members"]:
            yield from (f"{name}.{method}" for method in methods_of(resolved(name)))


def public() -> dict[str, Any]:
    """Give all that is public by its full name; a thing with two names by one of them."""
    things: dict[str, Any] = {}
    for place in MODULES:
        module = importlib.import_module(place)
        for name in module.__all__:
            thing = getattr(module, name)
            if not inspect.ismodule(thing) and not any(thing is t for t in things.values()):
                things[f"{place}.{name}"] = thing
    classes = {n: t for n, t in things.items() if inspect.isclass(t)}
    for thing in list(classes.values()):  # ee.Algorithms.Landsat is one, too
        inner = [c for n, c in inspect.getmembers(thing, inspect.isclass) if n[0] != "_"]
        classes |= {f"{c.__module__}.{c.__name__}": c for c in inner}
    for kind in ("Dataset", "DataArray"):
        classes[f"xarray.{kind}.qmosaic"] = getattr(xr, kind).qmosaic
    for place, thing in classes.items():
        if not issubclass(thing, Exception):
            things |= {f"{place}.{name}": getattr(thing, name) for name in methods_of(thing)}
    return things


LISTED = [name for page in PAGES for name in entries(page)]


@pytest.mark.parametrize("name", public())
def test_the_reference_has_an_entry(name: str) -> None:
    """Everything public has one entry in the reference; a new name has to be put where one looks
    for it, in ``notebooks/reference``."""
    assert LISTED.count(name) == 1, f"{name} is listed {LISTED.count(name)} times"


def test_the_reference_lists_nothing_else() -> None:
    """An entry for something that is not public would be a promise that nobody gave."""
    assert set(LISTED) == set(public())


def test_the_overview_lists_what_the_pages_have() -> None:
    """The first page of the reference names every function and class, in tables."""
    text = (ROOT / "notebooks" / "reference" / "index.rst").read_text(encoding="utf-8")
    named = [f"qmosaic.{name}" for name in re.findall(r"^   ((?:[a-z]+\.)*\w+)$", text, re.M)]
    pages = {page.stem for page in PAGES} | {"ee"}
    tables = [name for name in named if name.removeprefix("qmosaic.") not in pages]
    whole = {n for n, t in public().items() if n.startswith("qmosaic.") and not _is_method(n)}
    assert sorted(tables) == sorted(whole)


def _is_method(name: str) -> bool:
    return inspect.isclass(resolved(name.rsplit(".", 1)[0]))


def test_the_start_page_has_a_card_for_every_guide() -> None:
    """A guide that no page leads to is not read; a card says what it is called, and why one would
    open it."""
    folder = ROOT / "notebooks"
    text = (folder / "index.md").read_text(encoding="utf-8")
    cards = re.findall(r"\{grid-item-card\} (.+)\n:link: (\w+)\n:link-type: doc\n\n(.+)\n", text)
    guides = []
    for path in sorted(folder.glob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        guides.append((first[0].removeprefix("# ").strip(), path.stem))
    assert [(title, link) for title, link, _ in cards] == guides


def test_the_start_page_includes_what_the_readme_has() -> None:
    """One source: the parts that the start page takes from README.md stand there, each once."""
    page = (ROOT / "notebooks" / "index.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    borders = re.findall(r"^:start-after: \"(.+)\"\n:end-before: \"(.+)\"$", page, re.M)
    assert len(borders) == page.count("{include} ../README.md") == 2
    for start, end in borders:
        assert readme.count(start) == readme.count(end) == 1
        assert "](notebooks/" not in readme[readme.index(start) : readme.index(end)].replace(
            "](notebooks/best_and_worst.png)", ""
        ), "a link that leads nowhere from the start page"


def test_what_the_site_needs_has_its_reason() -> None:
    """In pyproject.toml a reason stands beside each dependency of the group ``docs``."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for requirement in tomllib.loads(text)["dependency-groups"]["docs"]:
        (line,) = (row for row in text.splitlines() if f'"{requirement}"' in row)
        assert "#" in line, requirement


def test_docstrings_name_no_private_modules() -> None:
    """What a public docstring refers to is public: a reader of the reference can go there."""
    for name, thing in public().items():
        for place in re.findall(r"`(qmosaic\.[\w.]+)`", inspect.getdoc(thing) or ""):
            assert place in MODULES or place in public(), f"{name} refers to {place}"
            assert resolved(place) is not None
