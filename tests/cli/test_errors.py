"""Every error is one line and an exit code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import qmosaic as qm
from qmosaic.cli.mosaic import mosaic
from qmosaic.cli.speech import in_the_shell
from tests.support.shell import run

FAILS = [
    ("mosaic nowhere.zarr --quality a --out a.zarr", 1, "there is nothing at 'nowhere.zarr'"),
    ("mosaic SERIES --quality B4 --out SERIES", 1, "would destroy that"),
    ("mosaic SERIES --quality B5 --out a.zarr", 1, "there is no band 'B5'"),
    ("mosaic SERIES --quality (B4 --out a.zarr", 1, "'(' was never closed"),
    ("mosaic SERIES --quality B4 --out a.zarr --within -1", 1, "--within -1 is no distance"),
    ("mosaic SERIES --quality B4 --out a.zarr --group g", 1, "'g'"),
    ("mosaic SERIES --quality B4 --out a.zarr --pattern x", 1, "--pattern is for geotiff"),
    ("mosaic SERIES --quality -B4 --quality-name B8 --out a.zarr", 1, "--quality-name"),
    ("mosaic SERIES --quality B4 --out a.zarr --end 2019 --start 2020", 1, "--end 2019, which is"),
    ("mosaic SERIES --quality B4 --out a.zarr --clip no.geojson", 1, "no file 'no.geojson'"),
    (
        "mosaic SERIES --quality B4 --out a.zarr --bbox 0,0,1,1",
        1,
        "to 0,0,1,1 (EPSG:4326) left none",
    ),
    ("contributions SERIES", 1, "not written by `qmosaic mosaic`"),
    ("info nowhere", 1, "there is nothing at 'nowhere'"),
    ("update nowhere.zarr SERIES --quality B4", 1, "there is no mosaic at 'nowhere.zarr'"),
    ("show SERIES --bands B5 --png a.png", 1, "B5"),
    ("mosaic SERIES --quality B4", 2, "Missing option '--out'"),
    ("mosaic --quality B4 --out a.zarr", 2, "Missing argument 'SOURCE...'"),
    ("mosaic SERIES --quality B4 --out best", 2, "End it with .zarr"),
    ("mosaic SERIES --quality B4 --out a.tif --resume", 2, "for Zarr alone"),
    ("mosaic SERIES --quality B4 --out s3://b/a.tif", 2, "is written to a path"),
    ("mosaic SERIES --quality B4 --out a.zarr --resume --overwrite", 2, "give one of them"),
    ("mosaic SERIES --quality B4 --out a.zarr --bbox 1,2,3", 2, "west,south,east,north"),
    ("mosaic SERIES --quality B4 --out a.zarr --nodata B4=x", 2, "'x' is no number"),
    ("mosaic SERIES --quality B4 --out a.zarr --nodata B4=", 2, "cannot be read"),
    ("mosaic SERIES --quality B4 --out a.zarr --bands B4,,B8", 2, "has an empty name"),
    ("mosaic SERIES --quality B4 --out a.zarr --min-quality high", 2, "'high' is no number"),
    ("mosaic SERIES --quality B4 --out a.zarr --tries last", 2, "--ties"),
    ("mosaic SERIES --quality B4 --out a.zarr --start 2020-13-01", 2, "'2020-13-01' is no time"),
    ("mosaic SERIES --quality B4 --out a.zarr --levels 2.5", 2, "'2.5' counts nothing. Write 0,"),
    ("mosaic SERIES --quality B4 --out a.zarr --memory 4XB", 2, "no amount of memory. Write 4GB"),
    ("mosaic SERIES --quality B4 --out a.zarr --resolution -10", 2, "'-10' is not above 0"),
    ("mosaic SERIES --quality B4 --out a.zarr --bbox 3,91,4,92", 2, "'3,91,4,92' is no box on"),
    ("mosaic SERIES --quality B4 --out a.zarr --save-job no/j.toml", 2, "cannot be written: No"),
    ("mosaic SERIES --quality B4 --out s3:/b/a.zarr", 2, "'s3:' here. Write s3://b/a.zarr."),
    ("mosaic SERIES --quality B4 --out SERIES/a.tif", 2, "this is in the Zarr store"),
    ("mosaic SERIES --quality B4 --out a.tif --period MS", 2, "--period: for Zarr alone"),
    ("show SERIES --bands B4 --max 120% --png a.png", 2, "'120%' is no percentile"),
    ("show SERIES --bands B4 --html no/a.html", 2, "there is no folder"),
    ("show SERIES --bands B4 --png SERIES/B4/a.png", 2, "this is in the Zarr store"),
    ("mosaic SERIES --quality B4 --out a.zarr --memory 4GB", 2, "Give --workers, too"),
    ("mosaic SERIES --quality B4 --out a.zarr --workers 2 --scheduler tcp://a:1", 2, "one of them"),
    ("mosaic SERIES --quality B4 --out a.zarr --threads 2 --scheduler tcp://a:1", 2, "its workers"),
    ("show SERIES --image 9", 2, "there are 5 along time, 0 to 4"),
    ("wobble", 2, "No such command 'wobble'"),
]


@pytest.mark.parametrize(("command", "code", "told"), FAILS)
def test_a_line_and_a_code(
    command: str, code: int, told: str, series: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """1 where it cannot be done, 2 where the command was not understood; never a traceback, nothing
    on stdout, nothing written."""
    monkeypatch.chdir(tmp_path)
    typed = [part.replace("SERIES", str(series)) for part in command.split()]
    ended = run(*typed)
    assert ended.code == code
    assert told in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert ended.err.splitlines()[-1 if code == 2 else 0].startswith("Error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "code", "told"), [FAILS[0], FAILS[2], FAILS[15], FAILS[-1]])
def test_errors_for_programs(command: str, code: int, told: str, series: Path) -> None:
    """With ``--json`` an error is one JSON object on stdout, too, with its kind."""
    ended = run(*command.replace("SERIES", str(series)).split(), "--json")
    assert ended.code == code
    assert told in " ".join(ended.told["error"].split())
    assert ended.told["kind"]
    assert "Error: " in ended.err


def test_the_traceback(series: Path) -> None:
    """``--debug`` shows where an error came from, before the line."""
    ended = run("explain", series, "--quality", "B5", "--debug")
    first, *_, last = ended.err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert ended.code == 1
    assert "B5" in ended.err[ended.err.rindex("Error: ") :]
    assert last


def test_an_error_that_nobody_expected(series: Path, monkeypatch: Any) -> None:
    """One line as well, which names it, and says how to see more."""

    def broken(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(qm, "explain", broken)
    ended = run("explain", series, "--quality", "B4")
    assert ended.code == 1
    assert ended.err == (
        "Error: ZeroDivisionError: by zero. This was not expected; the same command with --debug "
        "shows where it came from.\n"
    )


def test_warnings_are_lines(series: Path, monkeypatch: Any) -> None:
    """On stderr, without the place in the code; stdout is a program's."""
    explain = qm.explain

    def warning(*args: Any, **options: Any) -> Any:
        warnings.warn("the band 'cloud' declares nodata = 0", UserWarning, stacklevel=2)
        return explain(*args, **options)

    monkeypatch.setattr(qm, "explain", warning)
    ended = run("explain", series, "--quality", "B4", "--json")
    assert ended.err.splitlines()[0] == "Warning: the band 'cloud' declares nodata = 0"
    assert ended.told["images"] == 5


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("goes on with mode='resume'.", "goes on with --resume."),
        ('pass mode="w" to replace it', "pass --overwrite to replace it"),
        ("write resampling='nearest'.", "write --resampling nearest."),
        ("crs= is for stac", "--crs is for stac"),
        ("min_quality=0.5 is", "--min-quality 0.5 is"),
        ("say format=...", "say --format ..."),
        ("write provenance=True.", "write --provenance."),
        ("wobble=3 and B4=0", "wobble=3 and B4=0"),
        ("or time=lambda path: '2020'", "or time=lambda path: '2020'"),
        ("ds.expand_dims(time=[1])", "ds.expand_dims(time=[1])"),
        (
            "Go on with qm.to_zarr(best, f(x), mode='resume').",
            "Go on with `qmosaic mosaic ... --resume`.",
        ),
        ("it was not written by qmosaic.to_zarr", "it was not written by `qmosaic mosaic`"),
        ("write to_zarr(m, s, levels='auto')", "write `qmosaic mosaic ... --levels auto`"),
        ("filter_bounds() left none", "--bbox left none"),
        ("the box (3.0, 4.5, 5.0, 6.0) is", "the box 3,4.50,5,6 is"),
        ("written without updatable=True", "written without --updatable"),
        ("with provenance=['id']", "with --provenance-names id"),
        ("leave it out with bands=[...].", "leave it out with --bands."),
        ("pattern='a\\\\d(' is wrong", "--pattern 'a\\d(' is wrong"),
        ("No. Write one, qm.to_cog(m.isel(time=0), path).", "No. Write one."),
        ("No. Open it with allow_incomplete=True.", "No."),
        ("No. Make it (Path(...).mkdir()), or go.", "No. Make it, or go."),
        ("Go on with mode='resume', or open it with decode=True.", "Go on with --resume."),
        ("reverse it: palette=[...][::-1].", "reverse it."),
        ("Leave them out, new.drop_sel(time=[...]).", "Leave them out with --start and --end."),
        ("the band has the dtype np.int64 here.", "the band has the dtype np.int64 here."),
        ("found 3 (e.g. 'B4') at 10.5 m, of a.tif.", "found 3 (e.g. 'B4') at 10.5 m, of a.tif."),
    ],
)
def test_errors_speak_of_options(python: str, shell: str) -> None:
    """What an error of Python names is written as the option or command that it is here; advice
    that has none is left out, and what is no advice stays."""
    typed = ["mosaic", "a.zarr", "--bbox", "3,4.50,5,6"]
    assert in_the_shell(python, [mosaic], typed) == shell


def test_a_server_that_does_not_answer(series: Path, monkeypatch: Any) -> None:
    """The first line of what an object store says, and what to check; no structures of Rust."""
    errors = pytest.importorskip("obstore.exceptions", reason="obstore is in the extra [s3]")

    def broken(*args: Any, **options: Any) -> None:
        raise errors.GenericError("Generic S3 error: refused\n\nDebug source:\nGeneric {\n}")

    monkeypatch.setattr(qm, "explain", broken)
    ended = run("explain", series, "--quality", "B4")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("Error: Generic S3 error: refused. Check the address,")
