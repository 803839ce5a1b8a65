"""What a terminal shows: the bar, an interruption with Ctrl-C, an error about a chunk."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import traceback
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

import qmosaic as qm
from qmosaic.sink import finishing, saving, store_setup
from qmosaic.sink.progress import figures
from tests.support.job import content, mosaic_of
from tests.support.sources import CountingArray, as_dataset

# -- progress -------------------------------------------------------------------------------------

FAR = qm.Progress(
    done=12_345,
    total=20_000,
    bytes_read=987_000_000,
    bytes_written=98_700_000,
    seconds=3600,
    skipped=3,
)


@pytest.fixture
def side() -> int:
    """36 blocks."""
    return 48


def test_what_matters_least_is_left_out_where_there_is_no_room() -> None:
    """A line of progress is never cut inside a figure: blocks and time left stay longest, bytes go
    first."""
    whole = figures(FAR, None).split(", ")
    assert whole == [
        "12345/20000 blocks",
        "37:12 left",
        "3 images skipped",
        "3.4 blocks/s",
        "98.7MB written",
        "987MB read",
    ]
    for columns in range(120):
        shown = figures(FAR, columns).split(", ")
        assert shown == whole[: len(shown)]
        assert len(shown) == 1 or len(", ".join(shown)) <= columns
        longer = ", ".join(whole[: len(shown) + 1])
        assert len(shown) == len(whole) or len(longer) > columns
    assert "skipped" not in figures(qm.Progress(done=1, total=2, seconds=1), None)


@pytest.mark.parametrize("columns", [60, 80])
def test_the_bar_fits_a_terminal(
    source: Path, tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On terminals of 60 and 80 columns every state of the bar is a whole line, with the number of
    blocks and the time left."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    read: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                read.append(os.read(main, 4096))
            except OSError:  # the other side is closed
                return

    listening = threading.Thread(target=listen)
    listening.start()
    with os.fdopen(side, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", terminal)
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
    listening.join()
    os.close(main)
    states = [s for s in re.split(r"[\r\n]+", b"".join(read).decode()) if "blocks" in s]
    assert states
    for state in states:
        line = re.sub(r"\x1b\[\w", "", state).rstrip()
        assert len(line) <= columns
        assert re.search(r"^ *\d+%\|.{8,}\| \d+/36 blocks, [\d:?]+ left", line), line
    assert "100%" in states[-1]
    assert "36/36 blocks, 00:00 left" in states[-1]


# -- Ctrl-C before the first block, and after the last one ----------------------------------------


def interrupt(*args: Any, **options: Any) -> Any:
    """Stand in for any step while which somebody presses Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["check", "lay_out", "plan", "check_what_is_there"])
def test_ctrl_c_while_the_mosaic_is_prepared(
    source: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption before anything is touched says so, and the store is as it was."""
    out = tmp_path / "out.zarr"
    qm.to_zarr(mosaic_of(source), out)
    before = content(out)
    monkeypatch.setattr(saving, step, interrupt)
    with pytest.raises(
        KeyboardInterrupt, match=r"nothing was computed, .* as it was.*again with the same"
    ) as caught:
        qm.to_zarr(mosaic_of(source), out, mode="w")
    assert caught.value.__suppress_context__
    assert content(out) == before


@pytest.mark.parametrize(("mode", "again"), [("w-", "resume"), ("w", "w"), ("resume", "resume")])
@pytest.mark.parametrize("step", ["put_template", "documents"])
def test_ctrl_c_before_the_first_block(
    source: Path, tmp_path: Path, mode: Any, again: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption while the store is laid out says that nothing was computed, and names the
    mode that makes the mosaic from there."""
    out, whole = tmp_path / "out.zarr", tmp_path / "whole.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(store_setup, step, interrupt)
        with pytest.raises(KeyboardInterrupt) as caught:
            qm.to_zarr(mosaic_of(source), out, mode=mode)
    assert re.search(
        rf"out\.zarr' was interrupted before the first block: nothing was computed.*mode='{again}'",
        str(caught.value),
    )
    assert not (out / "_qmosaic" / "lock").exists()
    qm.to_zarr(mosaic_of(source), out, mode=again)
    qm.to_zarr(mosaic_of(source), whole)
    assert content(out) == content(whole)


def test_ctrl_c_after_the_last_block(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption while the store is finished says that all blocks are there."""
    out = tmp_path / "out.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "settle_group", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"all 36 blocks are there.*mode='resume'"):
            qm.to_zarr(mosaic_of(source), out)
    qm.to_zarr(mosaic_of(source), out, mode="resume")
    qm.open_mosaic(out)


# -- errors about a chunk -------------------------------------------------------------------------


def printed(error: BaseException) -> str:
    """Give what Python prints of an error that nobody catches."""
    return "".join(traceback.format_exception(error))


class Broken:
    """An array whose chunks cannot be read, as libraries say it: after another error."""

    def __init__(self, values: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __getitem__(self, index: Any) -> Any:
        try:
            raise KeyError("c/0/0/0")
        except KeyError:
            raise OSError("the disk is broken")  # noqa: B904


def test_a_chunk_that_cannot_be_read_makes_a_short_traceback(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """`ChunkReadError` comes without the frames of dask and of the library. Its cause stays, with
    the frames of a user's own code, and without what that was raised in the course of."""
    lazy = {n: da.from_array(CountingArray(v), chunks=(1, 8, 8)) for n, v in values.items()}
    lazy["red"] = da.from_array(Broken(values["red"]), chunks=(1, 8, 8), name="broken")
    mosaic = qm.quality_mosaic(as_dataset(lazy), "quality")
    with pytest.raises(qm.ChunkReadError) as caught:
        qm.to_zarr(mosaic, tmp_path / "out.zarr", retries=0)
    shown = printed(caught.value)
    assert type(caught.value.__cause__) is OSError
    assert "in __getitem__" in shown
    assert "KeyError" not in shown
    assert shown.count('File "') <= 5, shown


def test_a_chunk_of_another_shape_makes_a_short_traceback(
    tmp_path: Path, values: dict[str, np.ndarray]
) -> None:
    """`UnexpectedChunkError` names image, band and chunk, so it comes without frames and cause."""
    lazy = {n: da.from_array(v, chunks=(1, 8, 8)) for n, v in values.items()}
    lazy["red"] = lazy["red"].map_blocks(lambda block: block[..., :3], dtype="uint16")
    mosaic = qm.quality_mosaic(as_dataset(lazy), "quality")
    with pytest.raises(qm.UnexpectedChunkError, match="band 'red'") as caught:
        qm.to_zarr(mosaic, tmp_path / "out.zarr")
    shown = printed(caught.value)
    assert shown.count('File "') <= 3, shown
    assert "During handling" not in shown
    assert caught.value.__cause__ is None
