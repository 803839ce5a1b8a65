"""An interrupted command ends with 130, and says by which command it goes on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import qmosaic as qm
from tests.support.processes import PATIENCE, ROOT
from tests.support.shell import done, run

AFTER = 2
"""How many blocks there are when a command is interrupted; the first to be told of are."""

SIGNALLED = f"""
import os, signal, sys
import qmosaic as qm
before = {{n.split(".")[0] for n in sys.modules}} | set(sys.stdlib_module_names)
from qmosaic.cli import main
new = {{n.split(".")[0] for n in sys.modules}} - before
print("imported:", *sorted(new), file=sys.stderr)

write = qm.to_zarr

def signalled(*arguments, **options):
    def stop(progress):
        if progress.done == {AFTER}:
            os.kill(os.getpid(), signal.SIGINT)
    return write(*arguments, **options | {{"progress": stop}})

qm.to_zarr = signalled
main(sys.argv[1:], prog_name="qmosaic")
"""


def files(folder: Path) -> dict[str, bytes]:
    """Read all files of a store."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def stopped(
    series: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A process that has sent itself SIGINT while it wrote a mosaic, and its command."""
    out = tmp_path_factory.mktemp("stopped") / "a map.zarr"
    command = ["mosaic", str(series), "--quality", "-cloud", "--out", str(out), "--threads", "1"]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SIGNALLED, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended, command


def test_a_start_imports_little(stopped: tuple[subprocess.CompletedProcess[str], Any]) -> None:
    """No library that `import qmosaic` does not import itself, but click."""
    (line,) = re.findall(r"^imported:(.*)$", stopped[0].stderr, re.M)
    assert set(line.split()) <= {"click"}


def test_ctrl_c_leaves_what_resumes(
    stopped: tuple[subprocess.CompletedProcess[str], list[str]], tmp_path: Path
) -> None:
    """A process that gets SIGINT ends with 130; the command that it prints goes on, and the
    store is byte for byte that of a single run."""
    ended, command = stopped
    out = Path(command[5])
    assert ended.returncode == 130, ended.stderr
    assert ended.stdout == ""
    told = re.search(
        r"Interrupted\. (\d+) of 16 blocks are in (.*), and stay there\.", ended.stderr
    )
    assert told
    assert int(told[1]) >= AFTER
    assert told[2] == str(out)
    *_, line = ended.stderr.splitlines()
    assert shlex.split(line) == ["qmosaic", *command, "--resume"]

    state = done("info", out, "--json").told
    assert not state["complete"]
    assert state["blocks"]["total"] == 16
    # a block that was under way when it was counted may have been finished since
    assert int(told[1]) <= state["blocks"]["done"] <= int(told[1]) + 1
    assert f"--out {shlex.quote(str(out))} --resume" in done("info", out).out
    done(*shlex.split(line)[1:])
    done(*command[:-3], tmp_path / "whole.zarr", "-q")
    assert files(out) == files(tmp_path / "whole.zarr")


def stopping(
    monkeypatch: pytest.MonkeyPatch, function: str, after: int, number: int = signal.SIGINT
) -> None:
    """Let the n-th block that is told of be followed by a signal."""
    write = getattr(qm, function)

    def interrupted(*arguments: Any, **options: Any) -> None:
        def stop(progress: qm.Progress) -> None:
            if progress.done == after:
                os.kill(os.getpid(), number)

        write(*arguments, **options | {"progress": stop})

    monkeypatch.setattr(qm, function, interrupted)


def test_a_program_is_told(series: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """With ``--json`` the object on stdout has the command that goes on, in place of
    ``--overwrite``."""
    out = tmp_path / "best.zarr"
    command = ["mosaic", series, "--quality", "cloud", "--out", out, "--overwrite", "--json"]
    done(*command)
    with monkeypatch.context() as patch:
        stopping(patch, "to_zarr", AFTER)
        ended = run(*command)
    assert ended.code == 130
    assert ended.told["kind"] == "KeyboardInterrupt"
    resume = shlex.split(ended.told["resume"])
    assert resume[-2:] == ["--json", "--resume"]
    assert "--overwrite" not in resume
    assert done(*resume[1:]).told["complete"]


def test_a_batch_system_ends_a_job(series: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """SIGTERM ends a command as Ctrl-C does, and means what it meant once the command has ended."""

    def unexpected(*arguments: Any) -> None:
        raise AssertionError("SIGTERM was not taken care of")

    before = signal.signal(signal.SIGTERM, unexpected)
    try:
        command = ["mosaic", series, "--quality", "cloud", "--out", tmp_path / "best.zarr"]
        with monkeypatch.context() as patch:
            stopping(patch, "to_zarr", AFTER, signal.SIGTERM)
            assert run(*command).code == 130
        assert signal.getsignal(signal.SIGTERM) is unexpected
        assert done(*command, "--resume", "--json").told["complete"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_before_anything_is_written(series: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Then the command itself is the one to give again; what an earlier run wrote is untouched."""

    def interrupted(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "best.zarr"
    command = ["mosaic", series, "--quality", "cloud", "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr(qm, "open_collection", interrupted)
        ended = run(*command)
    again = shlex.join(["qmosaic", *map(str, command)])
    assert ended.code == 130
    assert ended.err == f"Interrupted. Nothing was written.\nGo on with:\n  {again}\n"
    assert not out.exists()


def test_an_update_goes_on(series: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """By the same command; until then `info` says that an update is not complete."""
    days = [str(day)[:10] for day in qm.open_collection(series)["time"].values]
    out = tmp_path / "best.zarr"
    first = ["--end", days[3], "--provenance", "--updatable", "-q"]
    done("mosaic", series, "--quality", "-cloud", *first, "--out", out)
    command = ["update", out, series, "--quality", "-cloud", "--start", days[3], "-q"]
    with monkeypatch.context() as patch:
        stopping(patch, "update", AFTER)
        ended = run(*command, "--threads", 1)
    assert ended.code == 130
    assert "not complete: an update was interrupted or is going on" in done("info", out).out
    assert done("info", out, "--json").told["updating"]
    assert shlex.split(ended.err.splitlines()[-1])[1:] == [*map(str, command), "--threads", "1"]
    done(*command)
    all_at_once = ["--provenance", "--updatable", "--out", tmp_path / "all.zarr", "-q"]
    done("mosaic", series, "--quality", "-cloud", *all_at_once)
    whole, updated = (qm.open_mosaic(tmp_path / name) for name in ("all.zarr", "best.zarr"))
    for name in ("B4", "B8", "cloud", "quality", "source_index", "valid_count"):
        assert (whole[name] == updated[name]).all()
