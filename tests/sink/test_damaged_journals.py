"""Journals that somebody has damaged, and parts of a mosaic that are deleted: what is wrong is
said, and nothing is taken for whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
import zarr

import qmosaic as qm
from tests.support.job import content
from tests.support.ramp import RAMP, mosaic_of, write


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
