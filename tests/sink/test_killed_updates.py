"""Updates that are killed after any step, or are not the only ones."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.sink import locking
from qmosaic.sink.fencing import folders
from tests.support.updates import images, pixels, update, write

DAYS = ["2020-01-05", "2020-02-05", "2020-02-15", "2020-03-05"]


class Killed(BaseException):
    """Stands for the end of a process."""


@pytest.fixture
def collection(tmp_path: Path) -> xr.Dataset:
    """Four images in two chunks each; of the last two, one wins some pixels of each block, and
    somewhere it does so with what is stored as nodata."""
    rng = np.random.default_rng(1)
    shape = (4, 8, 16)
    values = {
        "quality": rng.integers(0, 5, shape).astype("uint8"),
        "red": rng.integers(1, 3, shape).astype("uint16"),
    }
    found, _ = images(values, tmp_path / "in.zarr", DAYS)
    for name in values:
        found[name].attrs["_FillValue"] = 0
    return found


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], bool]:
    """Give what lets a function change a store so many times, and then kills it; whether that was
    all that it wanted. Locks of this process count as abandoned."""
    monkeypatch.setattr(locking, "LEASE", -1.0)
    monkeypatch.setattr("qmosaic.engine.graph.deferral.BLOCK_BYTES", 1)
    monkeypatch.setattr("qmosaic.sink.cutting.TOGETHER", 0)
    left, guard, leaves = [10**9], threading.Lock(), [True]
    for name in ("_move", "_link"):
        step = getattr(folders, name)

        def counted(*args: Any, step: Any = step) -> None:
            with guard:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
            step(*args)

        monkeypatch.setattr(folders, name, counted)
    leave = folders.FolderFence.leave
    monkeypatch.setattr(
        folders.FolderFence, "leave", lambda fence: leave(fence) if leaves[0] else None
    )

    def run(number: int, job: Callable[[], None]) -> bool:
        left[0], leaves[0] = number, False
        try:
            job()
        except Killed:
            return False
        finally:
            left[0], leaves[0] = 10**9, True
        return True

    return run


def images_in(path: Path) -> int:
    """Count the images of a mosaic; 0 where it is not complete."""
    try:
        return int(qm.open_mosaic(path).attrs["qmosaic_images"])
    except qm.IncompleteMosaicError:
        return 0


@pytest.mark.parametrize(("period", "start", "step"), [(None, 1, 5), ("MS", 2, 11)])
def test_killed_anywhere(
    limited: Any, collection: xr.Dataset, tmp_path: Path, period: str | None, start: int, step: int
) -> None:
    """After any of its steps the same call goes on, twice interrupted too, and gives the mosaic of
    all images, byte for byte; until then nobody takes the store for whole."""
    old, new = collection.isel(time=slice(2)), collection.isel(time=slice(2, 4))
    whole, begun = tmp_path / "whole.zarr", tmp_path / "begun.zarr"
    write(collection, whole, period=period)
    write(old, begun, period=period)
    want, before = pixels(whole), pixels(begun)
    for number in itertools.count(start, step):
        path = tmp_path / f"{number}.zarr"
        shutil.copytree(begun, path)
        for allowed in (number, number // 2, 10**9):
            if images_in(path) == 2:
                assert pixels(path) == before
            if images_in(path) == 4 or limited(allowed, lambda path=path: update(path, new)):
                break
        assert images_in(path) == 4
        assert pixels(path) == want, f"after {number} steps"
        shutil.rmtree(path)
        if allowed == number:
            break
    assert number > 30


def test_another_update_waits(limited: Any, collection: xr.Dataset, tmp_path: Path) -> None:
    """Until an update is complete, any other one, and a writing that would go on, is refused."""
    path = tmp_path / "mosaic.zarr"
    write(collection.isel(time=slice(2)), path)
    new = collection.isel(time=slice(2, 4))
    assert not limited(25, lambda: update(path, new))
    with pytest.raises(ValueError, match=r"another update .* was begun.*images of that one first"):
        update(path, new.isel(time=[0]))
    mosaic = qm.quality_mosaic(collection, "quality", provenance=True)
    with pytest.raises(ValueError, match=r"is being updated.*qmosaic\.update"):
        qm.to_zarr(mosaic, path, mode="resume", updatable=True)
    with pytest.raises(FileExistsError, match=r"update was interrupted"):
        qm.to_zarr(mosaic, path)
    update(path, new)
    assert qm.open_mosaic(path).attrs["qmosaic_images"] == 4


def test_a_process_that_is_killed(collection: xr.Dataset, tmp_path: Path) -> None:
    """SIGKILL in the middle of a block, by a process of its own: the next call goes on."""
    path, whole = tmp_path / "mosaic.zarr", tmp_path / "whole.zarr"
    write(collection, whole)
    write(collection.isel(time=slice(2)), path)
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys\n"
        "import numpy as np, xarray as xr\n"
        "from qmosaic.sink.journal import Journal\n"
        "from tests.support.updates import update\n"
        "keep = Journal.keep\n"
        "def keeping(self, *args):\n"
        "    keep(self, *args)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Journal.keep = keeping\n"
        "found = xr.open_zarr(sys.argv[1], consolidated=False, mask_and_scale=False)\n"
        "found = found[sorted(found.data_vars)].assign_coords(\n"
        f"    time=np.array({DAYS!r}, 'datetime64[ns]'))\n"
        "for name in ('quality', 'red'):\n"
        "    found[name].attrs['_FillValue'] = 0\n"
        "update(sys.argv[2], found.isel(time=slice(2, 4)), inputs='new')\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(tmp_path / "in.zarr"), str(path)]
    environment = os.environ | {"PYTHONPATH": str(root)}
    ended = subprocess.run(command, cwd=root, check=False, env=environment)
    assert ended.returncode == -signal.SIGKILL
    with pytest.raises(qm.IncompleteMosaicError, match="being updated"):
        qm.open_mosaic(path)
    update(path, collection.isel(time=slice(2, 4)), inputs="new")
    assert pixels(path) == pixels(whole)
    assert sorted(p.name for p in (path / "_qmosaic").iterdir()) == ["zarr.json"]


def test_ctrl_c(collection: xr.Dataset, tmp_path: Path) -> None:
    """Who interrupts an update is told how to go on."""
    path = tmp_path / "mosaic.zarr"
    write(collection.isel(time=slice(2)), path)

    def stop(progress: qm.Progress) -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt, match=r"the update of .* same images goes on"),
        dask.config.set(scheduler="synchronous"),
    ):
        qm.update(path, collection.isel(time=slice(2, 4)), progress=stop)
    update(path, collection.isel(time=slice(2, 4)))


def test_a_task_that_runs_again(
    monkeypatch: pytest.MonkeyPatch, collection: xr.Dataset, tmp_path: Path
) -> None:
    """A job that is run a second time, as its worker was lost after it had written, gives the
    same: candidates are not counted twice."""
    from qmosaic.sink.updating.rewriting import Updater

    path, whole = tmp_path / "mosaic.zarr", tmp_path / "whole.zarr"
    write(collection, whole)
    write(collection.isel(time=slice(2)), path)
    once = Updater.__call__

    def twice(self: Any, job: int, parts: Any) -> Any:
        mark = type(self.target.journal).mark
        with monkeypatch.context() as patched:
            patched.setattr(type(self.target.journal), "mark", lambda *args: None)
            once(self, job, parts)  # it has written all, and not said so
        assert type(self.target.journal).mark is mark
        once(self, job, parts)
        return once(self, job, parts)

    monkeypatch.setattr(Updater, "__call__", twice)
    update(path, collection.isel(time=slice(2, 4)))
    assert pixels(path) == pixels(whole)
