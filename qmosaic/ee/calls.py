"""How the functions of `ee.Export` are called: as in Python, as in JavaScript, as years ago."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qmosaic.ee.folders import file_at, replaces
from qmosaic.ee.tasks import Task
from qmosaic.ee.values import known, plain

DESCRIPTION = re.compile(r"[A-Za-z0-9.,:;_-]{1,100}")
"""What Earth Engine takes as the description of a task."""

OLD_NAMES = {
    "crs_transform": "crsTransform",
    "driveFolder": "folder",
    "driveFileNamePrefix": "fileNamePrefix",
    "outputBucket": "bucket",
    "outputPrefix": "fileNamePrefix",
}
"""What arguments were called once."""


def as_called(caller: str) -> Callable[[Callable[..., Task]], Callable[..., Task]]:
    """Take arguments as Earth Engine's scripts give them: also as one dict, also by old names.

    Values of `qmosaic.ee` become those of Python.
    """

    def decorate(function: Callable[..., Task]) -> Callable[..., Task]:
        names = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def called(*args: Any, **options: Any) -> Task:
            whole = args[0] if len(args) == 1 and not options else None
            if isinstance(whole, dict):
                args, options = (), whole
            given = {OLD_NAMES.get(name, name): value for name, value in options.items()}
            for name in given:
                if name not in names:
                    close = difflib.get_close_matches(name, names, n=1)
                    hint = f" Did you mean {close[0]}?" if close else ""
                    raise TypeError(
                        f"{caller} got {name}=, which it does not know; it takes "
                        f"{', '.join(names)}.{hint}"
                    )
            if not args and names[0] not in given:
                raise TypeError(f"{caller} got nothing to export. Write {caller[:-1]}{names[0]}).")
            return function(
                *(plain(known(one, caller)) for one in args),
                **{name: plain(known(one, caller)) for name, one in given.items()},
            )

        return called

    return decorate


def check_description(description: Any, caller: str) -> str:
    """Refuse what Earth Engine refuses as the description of a task.

    Raises
    ------
    ValueError
        It has other characters, or too many.
    """
    if not isinstance(description, str) or not DESCRIPTION.fullmatch(description):
        raise ValueError(
            f"{caller} got description={description!r}; Earth Engine takes letters, digits and "
            "'.', ',', ':', ';', '_', '-', 100 of them at most, and no spaces. Write, for "
            "instance, 'greenest_pixel_2020', and fileNamePrefix= for another name of the file."
        )
    return description


def target(folder: Any, prefix: Any, description: str, ending: str) -> Path:
    """Give the path of a file that is to be written; a folder and a prefix may be left out."""
    name = re.sub("[:;,]", "_", description) if prefix is None else str(prefix)
    return file_at(None if folder is None else str(folder), name, ending)


def check_free(path: Path, caller: str) -> None:
    """Refuse to replace what is there, unless that was asked for.

    Raises
    ------
    FileExistsError
        Something is there.
    """
    if path.exists() and not replaces():
        raise FileExistsError(
            f"{caller} was to write {str(path)!r}, which is there already, and nothing is replaced "
            "unasked. Give another name, delete it, or write ee.export_to(folder, overwrite=True) "
            "before."
        )
