"""A job in TOML: written, read, the same job again; the command line wins."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import qmosaic as qm
from tests.support.shell import done, run


def test_a_job_is_the_same_job(series: Path, tmp_path: Path) -> None:
    """What `explain` has saved, `mosaic` writes: the same mosaic as from the options; the file says
    what was given, and nothing of a single run."""
    job = tmp_path / "job.toml"
    options = ["--quality", "-cloud", "--bands", "B4,B8", "--nodata", "B4=7,cloud=none"]
    options += ["--min-quality", "-90", "--chunks", "y=16,x=16", "--provenance"]
    command = [series, *options, "--out", tmp_path / "a.zarr"]
    done("explain", *command, "--save-job", job, "-q", "--overwrite", "--json")
    assert tomllib.loads(job.read_text()) == {
        "source": str(series),
        "quality": "-cloud",
        "bands": ["B4", "B8"],
        "nodata": {"B4": 7, "cloud": "none"},
        "min-quality": -90,
        "chunks": {"y": 16, "x": 16},
        "provenance": True,
        "out": str(tmp_path / "a.zarr"),
    }
    done("mosaic", "--job", job)
    done("mosaic", *command[:-1], tmp_path / "b.zarr")
    one, other = (qm.open_mosaic(tmp_path / f"{name}.zarr").load() for name in "ab")
    assert one.identical(other)


def test_the_command_line_wins(series: Path, tmp_path: Path) -> None:
    """Over every key of the job; a job may be written by hand, with lists where one value would
    do, underscores, dates and a comment."""
    (tmp_path / "job.toml").write_text(
        f"""# by hand
source = ["{series}"]
quality = ["cloud"]
start = 2020-07-01
end = 2020-07-02T00:00:00Z
min_quality = 3
""",
        encoding="utf-8",
    )
    command = ["mosaic", "--job", tmp_path / "job.toml", "--out"]
    told = done(*command, tmp_path / "a.zarr", "--json").told
    assert (told["images"], told["rules"]["min_quality"]) == (1, 3)
    told = done(*command, tmp_path / "b.zarr", "--end", "2021", "--min-quality", 4, "--json").told
    assert (told["images"], told["rules"]["min_quality"]) == (5, 4)


def test_an_update_is_a_job(series: Path, tmp_path: Path) -> None:
    """Its store and its source are keys as well; a nodata of none is none for all bands."""
    store, job = tmp_path / "best.zarr", tmp_path / "update.toml"
    days = [str(day)[:10] for day in qm.open_collection(series)["time"].values]
    score = ["--quality", "-cloud", "--nodata", "none"]
    options = ["--end", days[2], "--provenance", "--updatable"]
    told = done("mosaic", series, *score, *options, "--out", store, "--json").told
    assert "nodata" not in told["bands"]["B4"]
    done("update", store, series, *score, "--start", days[2], "--end", days[3], "--save-job", job)
    assert done("info", store, "--json").told["images"] == 3
    ended = done("update", "--job", job, "--start", days[3], "--end", days[4], "--json")
    assert ended.told["images"] == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("min-qualty = 3", "has 'min-qualty', which is no option. Did you mean 'min-quality'?"),
        ("wobble = 3", "has 'wobble', which is no option. Known are source, quality,"),
        ("overwrite = true", "has 'overwrite', which is no option."),
        ("quality = ", "is no TOML"),
        ("min-quality = 3\nmin_quality = 4", "both 'min-quality' and 'min_quality', which are one"),
        ("ties = 'middle'", "'middle' is not one of 'first', 'last'"),
        ("bbox = [1, 2]", "west,south,east,north"),
        ("scheduler = 'tcp://a:1'\nworkers = 2", "give one of them"),
    ],
)
def test_a_job_that_is_wrong(text: str, told: str, series: Path, tmp_path: Path) -> None:
    """A wrong use, before anything is read: the key, and what was probably meant."""
    (tmp_path / "job.toml").write_text(text, encoding="utf-8")
    ended = run(
        "mosaic", series, "--quality", "B4", "--out", "a.zarr", "--job", tmp_path / "job.toml"
    )
    assert ended.code == 2
    assert told in " ".join(ended.err.split())


def test_a_job_that_is_not_there(tmp_path: Path) -> None:
    """Said by its name; for programs, too, wherever ``--json`` stands."""
    ended = run("mosaic", "--job", tmp_path / "no.toml", "--json")
    assert ended.code == 2
    assert f"there is no job at '{tmp_path}/no.toml'" in ended.told["error"]


def test_a_job_is_not_replaced(series: Path, tmp_path: Path) -> None:
    """Another job of that name stays; one that was read is brought up to date."""
    job = tmp_path / "job.toml"
    command = ["explain", series, "--quality", "cloud"]
    done(*command, "--save-job", job)
    before = job.read_text()
    ended = run(*command, "--ties", "last", "--save-job", job)
    assert ended.code == 1
    assert "there is another job" in ended.err
    assert job.read_text() == before
    (tmp_path / "best.tif").write_bytes(b"II*\x00\xff\xfe")
    ended = run(*command, "--save-job", tmp_path / "best.tif")
    assert ended.code == 1
    assert "or another file, at" in ended.err
    assert (tmp_path / "best.tif").read_bytes() == b"II*\x00\xff\xfe"
    done(*command, "--ties", "last", "--job", job, "--save-job", job)
    assert job.read_text() != before
