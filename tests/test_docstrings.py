"""What is public is shown at work: in an example that runs with the tests."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qmosaic as qm
from qmosaic import display, ee, scores

for package in ("matplotlib", "folium", "odc.geo"):
    pytest.importorskip(package, reason=f"{package} is in the extras [plot] and [map]")


def public() -> Iterator[tuple[str, Any, str]]:
    """Give what users call: its name, the thing itself, and the text in which else it may be
    shown: that of its class and of the module."""
    for module in (qm, scores, display, ee):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                continue
            place = f"{module.__name__}.{name}"
            if inspect.isclass(thing) and issubclass(thing, Exception):
                continue  # nobody calls them: the tests of errors show them
            yield place, thing, ""
            if inspect.isclass(thing):
                for own, method in inspect.getmembers(thing, callable):
                    ours = (getattr(method, "__module__", None) or "").startswith("qmosaic")
                    if ours and not own.startswith("_"):
                        yield f"{place}.{own}", method, inspect.getdoc(thing) or ""


def source_of_examples(text: str) -> str:
    return "".join(example.source for example in doctest.DocTestParser().get_examples(text))


@pytest.mark.parametrize(
    ("name", "thing", "around"), [pytest.param(*one, id=one[0]) for one in public()]
)
def test_what_is_public_is_shown_at_work(name: str, thing: Any, around: str) -> None:
    """A function and a class in their own text, a method there or in that of its class."""
    last = name.rsplit(".", 1)[1]
    own = source_of_examples(inspect.getdoc(thing) or "")
    assert own or re.search(rf"\.{last}\b", source_of_examples(around)), name


def test_no_example_is_left_out() -> None:
    """An example that does not run shows nothing."""
    package = Path(qm.__file__).parent
    for file in package.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "doctest: +SKIP" not in text, file
        assert not re.search(r"__doctest_skip__|doctest_requires", text), file
