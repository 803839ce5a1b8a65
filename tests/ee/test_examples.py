"""Examples of methods that are made from tables or wrapped, which doctest does not find itself."""

from __future__ import annotations

import doctest
import inspect
from typing import Any

import pytest

from qmosaic import ee

CLASSES = [getattr(ee, name) for name in ee.__all__ if inspect.isclass(getattr(ee, name))]


def not_found(thing: type) -> list[str]:
    """Name the methods of a class whose functions were made in another module than the class."""
    home = inspect.getmodule(thing)
    return [
        name
        for name, method in inspect.getmembers(thing, inspect.isfunction)
        if not name.startswith("_")
        and ">>>" in (method.__doc__ or "")
        and (home is None or method.__globals__ is not vars(home))
    ]


@pytest.mark.parametrize("thing", CLASSES, ids=lambda thing: thing.__name__)
def test_examples_of_methods_run(thing: Any) -> None:
    """What a docstring shows is what one gets."""
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    for name in not_found(thing):
        for example in finder.find(getattr(thing, name), name, module=False, globs={}):
            runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_examples_of_tables_are_among_them() -> None:
    """Methods of images and numbers are made from tables."""
    assert {"add", "sqrt", "toInt16"} <= set(not_found(ee.Image))
    assert {"add", "int", "toFloat"} <= set(not_found(ee.Number))
