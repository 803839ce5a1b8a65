"""Results on stdout, for people or programs; messages on stderr."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import click
import numpy as np

from qmosaic.cli.errors import for_programs

WIDTH = 12
"""Columns of the names in a table of results, as `explain` prints it."""


def report(context: click.Context, found: Mapping[str, Any], text: str) -> None:
    """Print a result: one JSON object for programs, or a text."""
    click.echo(as_json(found) if for_programs(context) else text)


def as_json(found: Any) -> str:
    """Write a result as JSON; NaN and infinity, which JSON does not have, are null."""
    return json.dumps(plain(found), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Make what JSON knows of values of numpy, times and paths."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def rows(table: Mapping[str, Any]) -> str:
    """Write a table of names and texts; what is empty is left out, further lines are indented."""
    lines = []
    for name, text in table.items():
        if text not in (None, "", []):
            first, *others = str(text).splitlines()
            lines += [f"{name:<{WIDTH}}{first}", *(f"{'':<{WIDTH}}{other}" for other in others)]
    return "\n".join(lines)


def say(text: str) -> None:
    """Tell a person something that is no result."""
    click.echo(text, err=True)


@contextlib.contextmanager
def on_stderr() -> Iterator[None]:
    """Show warnings, also those that a job has of itself, as lines on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("qmosaic")
    with warnings.catch_warnings():
        warnings.showwarning = _show
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


@contextlib.contextmanager
def telling_progress(options: Mapping[str, Any]) -> Iterator[None]:
    """Show how far a job is where no terminal has a bar: now and then a line, without --quiet."""
    logger = logging.getLogger("qmosaic")
    level = logger.level
    logger.setLevel(logging.WARNING if options["quiet"] else logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)


def _show(message: Warning | str, *where: Any, **more: Any) -> None:
    say(f"Warning: {message}")
