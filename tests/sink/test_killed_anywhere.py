"""Runs that are killed after any step, and disks that are full from the beginning: they are gone on
with, or what is wrong is said."""

from __future__ import annotations

import errno
import itertools
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.sink import locking
from qmosaic.sink.fencing import folders
from tests.support.job import content
from tests.support.ramp import RAMP, mosaic_of, write


class Killed(BaseException):
    """Stands for the end of a process."""


class Steps:
    """Lets a number of steps of writing happen, and then no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left, self._guard = 10**9, threading.Lock()
        self.error: Callable[[], BaseException] = Killed
        for name in ("_move", "_link"):
            monkeypatch.setattr(folders, name, self._counting(getattr(folders, name)))
        leave = folders.FolderFence.leave
        self.leaves = self._cleans_up = True
        monkeypatch.setattr(
            folders.FolderFence, "leave", lambda fence: leave(fence) if self.leaves else None
        )

    def _counting(self, step: Any) -> Any:
        def counted(*args: Any) -> None:
            with self._guard:
                self._left -= 1
                if self._left < 0:
                    self.leaves = self._cleans_up
                    raise self.error()
            step(*args)

        return counted

    @contextmanager
    def only(self, number: int, killed: bool = True) -> Iterator[None]:
        """Allow so many steps within the block; whoever is killed does not clean up either."""
        self._left, self._cleans_up = number, not killed
        try:
            yield
        finally:
            self._left, self.leaves = 10**9, True


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Count steps with which a store is changed; locks of this process count as abandoned."""
    monkeypatch.setattr(locking, "LEASE", -1.0)
    return Steps(monkeypatch)


def ends_after(steps: Steps, number: int, job: Callable[[], None]) -> bool:
    """Let a job have so many steps; whether these were all that it wanted."""
    try:
        with steps.only(number):
            job()
    except Killed:
        return False
    return True


@pytest.mark.parametrize(
    ("mode", "zarr_format", "levels"),
    [
        ("w-", 2, None),
        ("w-", 3, None),
        ("w", 2, None),
        ("w", 3, None),
        ("resume", 3, None),
        ("w-", 3, 1),
    ],
)
def test_killed_anywhere(
    steps: Steps, tmp_path: Path, mode: Any, zarr_format: Any, levels: Any
) -> None:
    """After any of its steps, in any mode and format, with overviews or without, a run is gone on
    with, byte for byte; and what it leaves is not taken for whole, or is whole."""
    whole, options = tmp_path / "whole.zarr", {"zarr_format": zarr_format, "levels": levels}
    write(whole, "w-", **options)
    for number in itertools.count(step=3 if levels else 1):
        path = tmp_path / f"{number}.zarr"
        if mode == "w":
            write(path, "w-", factor=2, zarr_format=5 - zarr_format)
        if mode == "resume":
            assert not ends_after(steps, 20, lambda path=path: write(path, "w-", **options))
        if ends_after(steps, number, lambda path=path: write(path, mode, **options)):
            break
        if holds_whole(path, factor=2):  # the old one, which nothing has happened to yet
            assert mode == "w"
            assert number < 3
            write(path, "w", **options)
        else:
            # the format is known from the first thing that is written
            known = {"levels": levels}
            write(path, "resume", **(options if number < 2 else known))
        assert content(path) == content(whole), f"after {number} steps"
        shutil.rmtree(path)
    assert number > (5 if mode == "resume" else 20)


def holds_whole(path: Path, factor: int) -> bool:
    """Whether there is the whole mosaic with a factor; one that opens is whole, whichever it is."""
    try:
        opened = qm.open_mosaic(path, mask_and_scale=False)
    except (qm.IncompleteMosaicError, FileNotFoundError):
        return False
    found = int(opened["red"].values[0, 0])
    assert (opened["red"].values == found * RAMP).all()
    assert (opened["quality"].values == RAMP).all()
    return found == factor


@pytest.mark.parametrize("mode", ["w-", "w"])
def test_a_run_that_is_killed_early_is_started_again(
    steps: Steps, tmp_path: Path, mode: Any
) -> None:
    """Before anything is there that it could be gone on with, the same command starts it again;
    with mode="w" at any time."""
    for number in itertools.count(step=1 if mode == "w-" else 4):
        path = tmp_path / f"{number}.zarr"
        if ends_after(steps, number, lambda path=path: write(path, mode)):
            break
        if mode == "w-" and (path / "zarr.json").exists():
            with pytest.raises(FileExistsError, match="mode='w'"):
                write(path, "w-")
        else:
            write(path, mode)
            assert (qm.open_mosaic(path, mask_and_scale=False)["red"].values == RAMP).all()
    assert number > 15


def test_a_disk_that_is_full_from_the_beginning(steps: Steps, tmp_path: Path) -> None:
    """Whichever of the first writes does not fit any more: with space freed, resume finishes."""
    steps.error = lambda: OSError(errno.ENOSPC, "No space left on device")
    whole = tmp_path / "whole.zarr"
    write(whole, "w-")
    for number in range(20):
        path = tmp_path / f"{number}.zarr"
        with (
            pytest.raises(OSError, match=r"no space left.*mode='resume'"),
            steps.only(number, killed=False),
        ):
            write(path, "w-")
        assert not list(path.rglob("lock"))
        write(path, "resume")
        assert content(path) == content(whole), f"after {number} steps"


def test_a_process_that_is_killed_while_it_lays_out(tmp_path: Path) -> None:
    """The same with a process of its own, which leaves its lock and what it had staged."""
    program = (
        "import os, sys; from pathlib import Path; from tests.support import ramp as t;"
        "from qmosaic.sink.fencing import folders\n"
        "move = folders._move; left = [int(sys.argv[2])]\n"
        "def moving(*args):\n"
        "    left[0] -= 1\n"
        "    move(*args) if left[0] >= 0 else os._exit(9)\n"
        "folders._move = moving; t.write(Path(sys.argv[1]), 'w-')"
    )
    path = tmp_path / "out.zarr"
    command = [sys.executable, "-c", program, str(path), "3"]
    root = Path(__file__).parents[2]
    assert subprocess.run(command, cwd=root, check=False).returncode == 9
    assert list(path.glob("_qmosaic/lock/1/*/*"))
    write(path, "resume")
    write(tmp_path / "whole.zarr", "w-")
    assert content(path) == content(tmp_path / "whole.zarr")


class Telling(LocalStore):
    """A folder that tells what is written."""

    seen: ClassVar[list[str]] = []

    async def set(self, key: str, value: Any) -> None:
        """Tell and write."""
        self.seen.append(key)
        await super().set(key, value)


def test_the_store_of_a_subclass_is_written_as_it_wants(tmp_path: Path) -> None:
    """A store that does something of its own when it writes is not passed by."""
    Telling.seen.clear()
    qm.to_zarr(mosaic_of(), Telling(tmp_path / "out.zarr"))
    assert {"red/c/0/0", "red/c/0/1", "zarr.json"} <= set(Telling.seen)
    assert not (tmp_path / "out.zarr" / "_qmosaic" / "lock").exists()
