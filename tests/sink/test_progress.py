"""How a program, a log and a person follow a job."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dask
import pytest
from dask.callbacks import Callback

import qmosaic as qm
from tests.support.job import mosaic_of


def test_a_program_can_follow(source: Path, tmp_path: Path) -> None:
    """A callback gets blocks, bytes, rate and time left."""
    told: list[qm.Progress] = []
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", progress=told.append)
    assert [p.done for p in told] == list(range(1, 10))
    last = told[-1]
    assert (last.total, last.resumed, last.seconds_left) == (9, 0, 0)
    assert last.bytes_written == 24 * 24 * (4 + 2 + 8)
    whole = 6 * 24 * 24
    assert whole * 4 <= last.bytes_read <= whole * (4 + 2 + 8)
    assert 0 < told[0].rate
    assert 0 < told[0].seconds_left < float("inf")


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_dasks_own_callbacks_are_left_alone(source: Path, tmp_path: Path, scheduler: str) -> None:
    """A profiler of dask sees every task, and is still active afterwards."""
    seen: list[Any] = []
    with (
        Callback(pretask=lambda key, *args: seen.append(key)) as profiler,
        dask.config.set(scheduler=scheduler, num_workers=2),
    ):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
        assert Callback.active == {profiler._callback}
    assert len([key for key in seen if isinstance(key, tuple)]) == 9
    assert not Callback.active
    qm.to_zarr(mosaic_of(source), tmp_path / "again.zarr")
    assert not Callback.active


def test_blocks_are_told_as_they_come(source: Path, tmp_path: Path) -> None:
    """On threads too, no block waits for its batch to end before it is reported."""
    marks: list[tuple[int, int]] = []
    out = tmp_path / "out.zarr"

    def look(progress: qm.Progress) -> None:
        marks.append((progress.done, len(list(out.glob("_qmosaic/done/c/*")))))

    with dask.config.set(num_workers=1):
        qm.to_zarr(mosaic_of(source, 0.005), out, progress=look)
    assert [done for done, _ in marks] == list(range(1, 10))
    assert all(there <= done + 1 for done, there in marks)


def test_a_log_can_follow(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """Where there is no terminal, a line now and then says all of it."""
    monkeypatch.setattr("qmosaic.sink.progress.LOG_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "qmosaic"):
        qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr")
    lines = [r.message for r in caplog.records]
    assert len(lines) == 10
    assert lines[-1].startswith("9 / 9 blocks, ")
    for part in ("B read", "B written", "blocks/s", "left"):
        assert part in lines[0]


def test_a_person_can_follow(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar shows blocks, bytes, rate and time left."""
    qm.to_zarr(mosaic_of(source), tmp_path / "out.zarr", progress=True)
    bar = capsys.readouterr().err
    for part in ("9/9 blocks", "100%", "B read", "B written", "blocks/s", "left"):
        assert part in bar
