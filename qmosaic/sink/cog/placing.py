"""Files are made in a folder of their own, and put into place when all of them are there."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from qmosaic.sink.cog.earlier import companions_of
from qmosaic.sink.cog.tiff import CACHE

SIDECARS = (".aux.xml", ".ovr", ".msk")
"""What GDAL puts beside a file: statistics, overviews and masks of its pixels."""


@contextlib.contextmanager
def workshop(beside: Path) -> Iterator[Path]:
    """Have a folder on the disk of the target within the block; nothing of it stays."""
    with explaining(beside):
        made = tempfile.mkdtemp(dir=beside.parent, prefix=f".{beside.stem}.", suffix=".partial")
    folder = Path(made)
    try:
        yield folder
    finally:
        # a thread of GDAL that was left behind may still make a file
        for _ in range(3):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def explaining(target: Path) -> Iterator[None]:
    """Say what to do where a file cannot be written, within the block.

    Raises
    ------
    OSError
        In place of GDAL's errors, which do not tell why.
    """
    try:
        yield
    except Exception as error:
        told = getattr(error, "errno", None)
        if told in (errno.ENOSPC, errno.EDQUOT) or _is_full(target.parent):
            raise OSError(
                errno.ENOSPC,
                f"there is no space left where {str(target)!r} is written, which takes about twice "
                "the room of the file for a while. Nothing of it is left: free some space, or "
                "write to another disk, and call to_cog() again",
            ) from error
        reason = f"{error}" + (f" ({error.__cause__})" if error.__cause__ else "")
        raise OSError(
            f"{str(target)!r} cannot be written: {reason}. Nothing of it is left: write to a "
            "folder that is yours, on a disk with enough space."
        ) from error


def _is_full(folder: Path) -> bool:
    """Whether there is less room than GDAL holds back at the end."""
    try:
        return shutil.disk_usage(folder).free < CACHE * 10**6
    except OSError:
        return False


def put_into_place(made: Sequence[tuple[Path, Path]]) -> list[Path]:
    """Move files to where they belong, the first of them named by the user; then remove what lay
    beside that one and would be taken for a part of it. What GDAL noted of those that were there is
    not true now."""
    outdated = companions_of(made[0][1])
    placed = []
    for source, target in made:
        there = target.exists()
        os.replace(source, target)
        if there:
            _remove_sidecars(target)
        placed.append(target)
    for old in outdated:
        # names that differ may mean one file, depending on the file system
        if old.exists() and not any(old.samefile(new) for new in placed):
            old.unlink()
            _remove_sidecars(old)
    return placed


def _remove_sidecars(path: Path) -> None:
    for ending in SIDECARS:
        path.with_name(path.name + ending).unlink(missing_ok=True)
