"""How far public scripts around qualityMosaic run: the list of them, held against what there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import qmosaic.display as geemap
from qmosaic import ee

SCRIPTS = tomllib.loads(Path(__file__).with_name("public_scripts.toml").read_text("utf-8"))[
    "script"
]
README = Path(__file__).parents[2] / "README.md"


def is_supported(name: str) -> bool:
    """Look a name up: "ee.Reducer.mean", "geemap.Map", "Map.addLayer", "Image.select"."""
    first, *rest = name.split(".")
    at: Any = {"ee": ee, "geemap": geemap}.get(first)
    if at is None:
        homes = (ee, geemap, ee.batch)
        at = next((getattr(home, first) for home in homes if hasattr(home, first)), None)
    for part in rest:
        at = getattr(at, part, None)
    return at is not None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script["name"])
def test_a_script_that_runs_uses_supported_names_only(script):
    """A script said to run uses no name that is missing; one said to stop, one that is."""
    missing = [name for name in script["names"] if not is_supported(name)]
    if script["runs"]:
        assert not missing
    elif "because" not in script:
        assert not is_supported(script["stops_at"]), "it is supported now: does the script run?"


def test_each_script_stands_in_the_list_once():
    """No script is counted twice, and each says where it is."""
    for key in ("name", "where"):
        listed = [script[key] for script in SCRIPTS]
        assert len(set(listed)) == len(listed)
    assert all(script["names"] for script in SCRIPTS)


def test_the_readme_gives_the_count_of_the_list():
    """The README says of how many public scripts how many run, as the list has it."""
    runs = sum(script["runs"] for script in SCRIPTS)
    told = re.findall(r"(\d+) of (\d+) public scripts", README.read_text("utf-8"))
    assert told
    assert set(told) == {(str(runs), str(len(SCRIPTS)))}
