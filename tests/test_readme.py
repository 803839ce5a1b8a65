"""The README is true: its blocks run as they stand, and what it prints is what is printed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import xarray as xr
from click.testing import CliRunner

import qmosaic as qm
from benchmarks.__main__ import parser
from qmosaic import cli, ee
from qmosaic.sources import samples
from tests.support.rasters import make_item, write_tif
from tests.support.readme import README, blocks
from tests.support.scenes import sentinel2

for package in ("netCDF4", "matplotlib", "folium", "distributed"):
    pytest.importorskip(package, reason=f"{package} is in the extra [test]")

CLOUDY = {3: 20, 7: 30, 8: 65, 9: 95, 10: 40, 11: 10}
"""A cloud probability in % for scene classes, which the real series has in place of one."""


@pytest.fixture(scope="module")
def series() -> xr.Dataset:
    """The real series, the images of 2020, and a cloud probability made of their scene classes."""
    collection, _ = samples.sentinel2_romania()
    year = collection.sel(time=slice("2020-05-01", "2020-10-01")).load()
    cloud = xr.zeros_like(year["SCL"], dtype="uint8").drop_attrs()
    for scene, probability in CLOUDY.items():
        cloud = cloud.where(year["SCL"] != scene, np.uint8(probability))
    return year.assign(MSK_CLDPRB=cloud)


@pytest.fixture(scope="module")
def files(series: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the README reads, under its names."""
    folder = tmp_path_factory.mktemp("readme")
    series.chunk(time=1, y=50, x=50).to_zarr(folder / "s2.zarr", consolidated=False)
    sentinel2().drop_vars("id").to_zarr(folder / "colorado.zarr", consolidated=False)
    corner = (float(series["x"][0]) - 5, float(series["y"][0]) + 5)
    place: dict[str, Any] = {"crs": "EPSG:3035", "corner": corner}
    items = []
    for number in range(0, series.sizes["time"], 5):
        image = series.isel(time=number)
        day = str(image["time"].values)[:10]
        named = {"B02": "B2", "B03": "B3", "B04": "B4", "B08": "B8", "SCL": "SCL"}
        for name, band in named.items():
            pixels = image[band].values
            path = folder / "scenes" / f"S2_{day.replace('-', '')}_{name}.tif"
            if name == "SCL":
                write_tif(path, pixels[::2, ::2], resolution=20.0, **place)
            else:
                write_tif(path, pixels, **place)
        paths = {
            name: write_tif(folder / "items" / f"{day}_{name}.tif", image[band].values, **place)
            for name, band in (("red", "B4"), ("green", "B3"), ("blue", "B2"))
        }
        cloud = image["MSK_CLDPRB"].values
        paths["cloud"] = write_tif(folder / "items" / f"{day}_cloud.tif", cloud, **place)
        items.append(make_item(f"S2_{day}", paths, f"{day}T09:00:00Z", shape=(100, 100), **place))
    collection = pystac.ItemCollection(items)
    (folder / "items.json").write_text(json.dumps(collection.to_dict()))
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster in this process, which stands for one that has an address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as made:
        yield made.scheduler_address


def test_the_code_runs_as_it_stands(
    files: Path, series: xr.Dataset, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks of Python, in order, in one namespace; the mosaics are those of numpy."""
    monkeypatch.chdir(files)
    names: dict[str, Any] = {}
    code = blocks("python")
    assert len(code) > 4
    for block in code:
        text = block.text.replace("tcp://scheduler:8786", cluster)
        exec(compile("\n" * (block.line - 1) + text, str(README), "exec"), names)
    summer = series.sel(time=slice("2020-07-01", "2020-08-31"))["MSK_CLDPRB"].values
    np.testing.assert_array_equal(names["best"]["MSK_CLDPRB"].values, summer.min(axis=0))
    np.testing.assert_array_equal(names["worst"]["MSK_CLDPRB"].values, summer.max(axis=0))
    whole = qm.open_mosaic("mosaic.zarr", mask_and_scale=False)
    assert whole["B04"].dtype == "uint16"
    assert np.isfinite(whole["quality"].values).any()
    assert names["m"].layers[1] == "Best-pixel mosaic (by cloud score)"
    assert Path("look.png").stat().st_size > 10_000
    assert "best pixels" in Path("map.html").read_text()


def code_in_table(head: str) -> list[str]:
    """Give what stands in backticks in the rows of a table, where it is whole."""
    text = README.read_text(encoding="utf-8")
    table = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    found = [code for row in table for code in re.findall(r"`([^`(]+\([^`]+\))`", row)]
    return [code for code in found if "..." not in code]


def test_the_scores_of_the_table(series: xr.Dataset) -> None:
    """Each row gives a score, as it stands."""
    scl = series["SCL"]
    angle = xr.zeros_like(scl, dtype="float32").drop_attrs()
    names: dict[str, Any] = {name: getattr(qm.scores, name) for name in qm.scores.__all__}
    names |= {"col": series.assign(far=angle, season=angle), "scl": scl, "qa": scl, "nan": np.nan}
    names |= {"band": series["MSK_CLDPRB"], "mask": scl.isin([8, 9]), "zenith": angle}
    names |= {"blue": series["B2"], "red": series["B4"]}
    rows = code_in_table("| score | prefers |")
    assert len(rows) == 10
    for code in rows:
        score = eval(code, dict(names))
        assert isinstance(score, xr.DataArray), code
        assert "time" in score.dims, code


def test_the_choices_of_the_table(series: xr.Dataset) -> None:
    """Rows that are whole calls give a mosaic."""
    col = series.assign(quality=qm.scores.inverse(series["MSK_CLDPRB"]))
    rows = code_in_table("| you want | write |")
    assert len(rows) >= 2
    for code in rows:
        assert "B4" in eval(code, {"qm": qm, "col": col}).data_vars, code


def test_what_the_demo_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line but the time: images, chunks that were read and never touched, bytes."""
    monkeypatch.chdir(tmp_path)
    shown = next(block.text for block in blocks("text") if block.text.startswith("collection"))
    printed = CliRunner().invoke(cli.main, ["demo"]).output
    lines = zip(shown.splitlines(), printed.splitlines(), strict=True)
    assert [a for a, b in lines if a != b and not a.startswith("time ")] == []


def commands() -> list[str]:
    """List what the README says to type: blocks of bash, and `python -m ...` in the text."""
    text = README.read_text(encoding="utf-8")
    inline = re.findall(r"`((?:python -m|pip install) [^`]+)`", text)
    lines = [line for block in blocks("bash") for line in block.text.splitlines()]
    parts = [part for line in lines for part in line.split("#")[0].split("&&")]
    return [part.strip() for part in [*parts, *inline] if part.strip()]


def declared(section: str) -> set[str]:
    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["project"] if section == "optional-dependencies" else project
    return set(found[section])


def test_commands_exist() -> None:
    """Extras and groups are those of pyproject.toml, verbs those of the two command lines."""
    verbs = set(cli.main.commands)
    for command in commands():
        words = command.replace('"', "").split()
        if words[:2] == ["pip", "install"]:
            for extra in re.findall(r"[a-z0-9]+", "".join(re.findall(r"\.\[(.*?)\]", command))):
                assert extra in declared("optional-dependencies"), command
            if "--group" in words:
                assert words[words.index("--group") + 1] in declared("dependency-groups")
        elif words[:3] == ["python", "-m", "benchmarks"]:
            parser().parse_args(words[3:])
        elif words[0] == "qmosaic":
            assert words[1] in verbs
        else:
            assert words == ["pytest"]
    assert any("[demo]" in command for command in commands())


def test_extras_in_tables_exist() -> None:
    """The column that says what to install for a source."""
    text = README.read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    head = next(i for i, row in enumerate(rows) if 'pip install ".[...]"' in row)
    for row in rows[head + 1 : head + 5]:
        extras = re.findall(r"`(\w+)`", row.split("|")[-2])
        assert extras
        assert set(extras) <= declared("optional-dependencies")


def test_no_distribution_is_named_that_is_not_there() -> None:
    """The package is installed from a checkout: no index has it."""
    books = README.parent / "notebooks"
    for path in (README, *books.glob("*.md"), *books.glob("*.ipynb")):
        text = path.read_text(encoding="utf-8").replace("\\", "")
        assert 'pip install "qmosaic' not in text, path


def test_names_exist() -> None:
    """Whatever is written with ``qm.``, ``ee.`` or ``qmosaic.`` before it is there."""
    text = README.read_text(encoding="utf-8")
    for root, thing in (("qm", qm), ("ee", ee), ("qmosaic", qm)):
        for dotted in set(re.findall(rf"(?<![\w./-]){root}((?:\.[A-Za-z_]\w*)+)", text)):
            found: Any = thing
            for name in dotted[1:].split("."):
                assert hasattr(found, name), f"{root}{dotted}"
                found = getattr(found, name)
