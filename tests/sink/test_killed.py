"""Runs that are killed anywhere, disks that are full from the beginning, and journals that somebody
has damaged: they are gone on with, or what is wrong is said."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

import qmosaic as qm
from qmosaic.sink import locking
from qmosaic.sink.fencing import folders
from tests.support.job import content

RAMP = np.arange(1, 17, dtype="uint16").reshape(4, 4)


def mosaic_of(factor: int = 1) -> xr.Dataset:
    """Make a mosaic of 4 × 4 pixels in two blocks."""
    values = {"red": np.stack([0 * RAMP, RAMP * factor]), "quality": np.stack([0 * RAMP, RAMP])}
    arrays = {n: da.from_array(v.astype("uint16"), chunks=(1, 4, 2)) for n, v in values.items()}
    collection = xr.Dataset({n: (("time", "y", "x"), a) for n, a in arrays.items()})
    return qm.quality_mosaic(collection.assign_coords(x=np.arange(4)), "quality")


def write(path: Path, mode: Any, factor: int = 1, **options: Any) -> None:
    """Write the mosaic, one block after the other."""
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(factor), path, mode=mode, progress=False, **options)


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
        self.leaves = True
        monkeypatch.setattr(
            folders.FolderFence, "leave", lambda fence: leave(fence) if self.leaves else None
        )

    def _counting(self, step: Any) -> Any:
        def counted(*args: Any) -> None:
            with self._guard:
                self._left -= 1
                if self._left < 0:
                    raise self.error()
            step(*args)

        return counted

    @contextmanager
    def only(self, number: int, killed: bool = True) -> Iterator[None]:
        """Allow so many steps within the block; whoever is killed does not clean up either."""
        self._left, self.leaves = number, not killed
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
    ("mode", "zarr_format"), [("w-", 2), ("w-", 3), ("w", 2), ("w", 3), ("resume", 3)]
)
def test_killed_anywhere(steps: Steps, tmp_path: Path, mode: Any, zarr_format: Any) -> None:
    """After any of its steps, in any mode and format, a run is gone on with, byte for byte; and
    what it leaves is not taken for whole, or is whole."""
    whole, options = tmp_path / "whole.zarr", {"zarr_format": zarr_format}
    write(whole, "w-", **options)
    for number in itertools.count():
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
            write(path, "resume", **(options if number < 2 else {}))
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
        "import os, sys; from pathlib import Path; from tests.sink import test_killed as t;"
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


# -- damage ---------------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A mosaic of which one block is there."""

    class Enough(Exception):
        pass

    def stop(progress: qm.Progress) -> None:
        raise Enough

    path = tmp_path / "out.zarr"
    with pytest.raises(Enough), dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(), path, progress=stop)
    return path


def journal(path: Path, **changes: Any) -> None:
    """Change attributes of the journal; None removes one."""
    file = path / "_qmosaic" / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"] |= changes
    document["attributes"] = {k: v for k, v in document["attributes"].items() if v is not None}
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda p: (p / "_qmosaic/zarr.json").write_text('{"zarr_format": 3, "no'), "no JSON"),
        (lambda p: (p / "_qmosaic/zarr.json").write_text("[1]"), "no attributes"),
        (lambda p: (p / "_qmosaic/zarr.json").write_text('{"attributes": 1}'), "no attributes"),
        (lambda p: journal(p, format=None), "in which format"),
        (lambda p: journal(p, state="done"), "state 'done'"),
        (lambda p: journal(p, state=None), "state None"),
        (lambda p: journal(p, blocks="two"), "'two' blocks"),
        (lambda p: journal(p, blocks=None), "None blocks"),
        (lambda p: journal(p, plan=None), "which mosaic"),
        (lambda p: journal(p, plan=[1]), "which mosaic"),
        (lambda p: journal(p, layout=5), "layout 5"),
        (
            lambda p: journal(p, state="complete", plan=None, blocks=None, layout=None),
            "None blocks",
        ),
    ],
)
def test_a_damaged_journal(begun: Path, damage: Callable[[Path], Any], told: str) -> None:
    """What is wrong with it is said, and what to do, and nothing is touched; mode="w" works, and
    what is there can be looked at, if the group can be read at all."""
    damage(begun)
    before = content(begun)
    for job in (lambda: write(begun, "resume"), lambda: qm.open_mosaic(begun)):
        with pytest.raises(ValueError, match=f"journal of .*is damaged.*{told}.*mode='w'"):
            job()
    with pytest.raises(FileExistsError, match="mode='w'"):
        write(begun, "w-")
    assert content(begun) == before
    if told not in ("no JSON", "no attributes"):  # which no reader of Zarr would read either
        assert qm.open_mosaic(begun, allow_incomplete=True)["red"].shape == (4, 4)
    else:
        with pytest.raises(ValueError, match="damaged"):
            qm.open_mosaic(begun, allow_incomplete=True)
    write(begun, "w")
    assert (qm.open_mosaic(begun, mask_and_scale=False)["red"].values == RAMP).all()


@pytest.mark.parametrize("name", ["²", "99999", "-1", "1.other", "x", "1", "00"])
def test_what_is_no_mark_marks_nothing(begun: Path, name: str) -> None:
    """A file among the marks that is not one of this layout does not make a block count."""
    (begun / "_qmosaic" / "done" / "c" / name).write_text("x")
    with pytest.raises(qm.IncompleteMosaicError, match="1 of 2"):
        qm.open_mosaic(begun)
    write(begun, "resume")
    assert (qm.open_mosaic(begun, mask_and_scale=False)["red"].values == RAMP).all()


@pytest.mark.parametrize("gone", ["_qmosaic/done", "_qmosaic", "_qmosaic/notes"])
def test_where_nothing_tells_which_blocks_are_there_all_are_made(begun: Path, gone: str) -> None:
    """Marks or the journal of an unfinished mosaic are deleted: no block is taken for whole."""
    shutil.rmtree(begun / gone)
    (begun / "red" / "c" / "0" / "0").write_bytes(b"damaged too")
    told: list[qm.Progress] = []
    if gone == "_qmosaic/notes":
        shutil.rmtree(begun / "_qmosaic" / "done")
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(), begun, mode="resume", progress=told.append)
    assert [(p.done, p.resumed) for p in told] == [(1, 0), (2, 0)]
    assert (qm.open_mosaic(begun, mask_and_scale=False)["red"].values == RAMP).all()


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def other_array(path: Path) -> None:
    """Put another array into the place of one."""
    group = zarr.open_group(path.parent.parent)
    group.create_array(
        path.parent.name, shape=(4, 4), chunks=(4, 4), dtype="uint16", overwrite=True
    )


@pytest.mark.parametrize("when", ["between", "while"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("red", lambda p: remove(p / "red")),
        ("red", lambda p: remove(p / "red" / "zarr.json")),
        ("quality", lambda p: remove(p / "quality" / "zarr.json")),
        ("red", lambda p: other_array(p / "red" / "zarr.json")),
    ],
)
def test_a_band_that_is_deleted_is_missed(
    tmp_path: Path, begun: Path, name: str, damage: Callable[[Path], None], when: str
) -> None:
    """Between two runs or while one writes: it does not end as if nothing had happened."""

    def tamper(progress: qm.Progress) -> None:
        if when == "while" and progress.done == 2:
            damage(begun)

    if when == "between":
        damage(begun)
    with (
        pytest.raises(RuntimeError, match=f"'{name}' in .*not what was laid out.*mode='w'"),
        dask.config.set(scheduler="synchronous"),
    ):
        qm.to_zarr(mosaic_of(), begun, mode="resume", progress=tamper)
    with pytest.raises(qm.IncompleteMosaicError):
        qm.open_mosaic(begun)
    write(begun, "w")
    write(tmp_path / "whole.zarr", "w-")
    assert content(begun) == content(tmp_path / "whole.zarr")


def test_a_coordinate_that_is_deleted_is_missed(tmp_path: Path) -> None:
    """What has no blocks is looked after as well."""
    with pytest.raises(RuntimeError, match=r"'x' in .*not what was laid out"):
        qm.to_zarr(mosaic_of(), tmp_path / "out.zarr", progress=lambda p: remove_if_there(tmp_path))


def remove_if_there(folder: Path) -> None:
    """Remove the metadata of a coordinate."""
    (folder / "out.zarr" / "x" / "zarr.json").unlink(missing_ok=True)


def test_what_a_block_has_noted_that_is_made_again_is_forgotten(begun: Path) -> None:
    """A run that was killed between note and mark of a block leaves a note; the block is made
    again, and this time nothing is left out."""
    layout = json.loads((begun / "_qmosaic" / "zarr.json").read_text())["attributes"]["layout"]
    (mark,) = (begun / "_qmosaic" / "done" / "c").iterdir()
    missing = 1 - int(mark.name.split(".")[0])
    note = begun / "_qmosaic" / "notes" / f"{missing}.{layout}"
    note.mkdir()
    node = {"zarr_format": 3, "node_type": "group", "attributes": {"skipped": ["an image"]}}
    (note / "zarr.json").write_text(json.dumps(node))
    write(begun, "resume")
    assert "qmosaic_skipped" not in qm.open_mosaic(begun).attrs


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
