"""The notebooks run, show what they say, and keep no outputs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="it is in the extra [test]")
nbclient = pytest.importorskip("nbclient", reason="it is in the extra [test]")
for package in ("matplotlib", "folium", "netCDF4"):
    pytest.importorskip(package, reason=f"{package} is in the extras [demo] and [map]")

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def test_there_are_two() -> None:
    """The first mosaic, and Earth Engine's words."""
    assert NAMES == ["1_first_mosaic.ipynb", "2_from_earth_engine.ipynb"]


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_are_kept(name: str) -> None:
    """They would be stale with the next change."""
    for cell in nbformat.read(FOLDER / name, 4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name: str, tmp_path: Path) -> None:
    """From top to bottom in a fresh kernel and an empty folder; pictures and the map are there."""
    book = nbformat.read(FOLDER / name, 4)
    nbclient.NotebookClient(
        book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs: list[Any] = [o for c in book.cells for o in c.get("outputs", [])]
    shown = [o["data"] for o in outputs if "data" in o]
    pictures = [base64.b64decode(d["image/png"]) for d in shown if "image/png" in d]
    assert pictures
    assert all(len(picture) > 5_000 for picture in pictures)
    assert any("<iframe" in d.get("text/html", "") for d in shown)
    assert not [o for o in outputs if o["output_type"] == "stream" and o["name"] == "stderr"]
    if name.startswith("2"):
        assert any(d.get("text/plain") == "True" for d in shown)  # as in xarray
