"""How the functions of `ee.Export` are called: as in Python, as in JavaScript, as years ago."""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qmosaic.ee.folders import file_at, replaces
from qmosaic.ee.tasks import Task
from qmosaic.ee.values import known, plain

DESCRIPTION = re.compile(r"[A-Za-z0-9.,:;_-][A-Za-z0-9.,:;_ -]{0,99}")
"""What is taken as the description of a task. Earth Engine takes no spaces; it once did."""

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
    """Refuse what Earth Engine refuses as the description of a task, but for spaces.

    Raises
    ------
    ValueError
        It has other characters, or too many.
    """
    if not isinstance(description, str) or not DESCRIPTION.fullmatch(description):
        raise ValueError(
            f"{caller} got description={description!r}; Earth Engine takes letters, digits and "
            "'.', ',', ':', ';', '_', '-', 100 of them at most. Write, for "
            "instance, 'greenest_pixel_2020', and fileNamePrefix= for another name of the file."
        )
    return description


def target(folder: Any, prefix: Any, description: str, ending: str) -> Path:
    """Give the path of a file that is to be written; a folder and a prefix may be left out."""
    name = re.sub("[:;,]", "_", description) if prefix is None else str(prefix)
    return file_at(None if folder is None else str(folder), name, ending)


def free_path(path: Path, caller: str) -> Path:
    """Give the path of a file that is to be written, with a number where it is there already.

    Earth Engine's Drive has a second file of the same name then. A warning names the file; where
    replacing was asked for, see `export_to`, the path stays.
    """
    if replaces() or not path.exists():
        return path
    numbered = (path.with_name(f"{path.stem} ({n}){path.suffix}") for n in itertools.count(1))
    free = next(one for one in numbered if not one.exists())
    warnings.warn(
        f"{caller} writes {str(free)!r}: {path.name!r} is there already, and nothing is replaced "
        "unasked. To replace it, write ee.export_to(folder, overwrite=True) before.",
        UserWarning,
        stacklevel=2,
    )
    return free


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
            "unasked. Give another assetId, delete it, or write overwrite=True, or "
            "ee.export_to(folder, overwrite=True) before."
        )
