"""The README is true and short: its blocks and tables run as they stand, what it prints is what is
printed, its figures are those of the commands that it names."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pystac
import pytest
import xarray as xr
from click.testing import CliRunner

import qmosaic as qm
from benchmarks import report
from benchmarks.__main__ import parser
from qmosaic import cli
from qmosaic.sources import samples
from tests.support.printed import without_figures
from tests.support.rasters import make_item, write_tif
from tests.support.readme import README, blocks, code, table, text

for package in ("netCDF4", "matplotlib", "folium", "distributed", "icechunk"):
    pytest.importorskip(package, reason=f"{package} is in the extra [test]")

ROOT = README.parent
WISHES = "I want …"
CLOUDY = {3: 20, 7: 30, 8: 65, 9: 95, 10: 40, 11: 10}
"""A cloud probability in % for scene classes, which the real series has in place of one."""


# -- the code ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    """Run all blocks of Python in order, in one namespace and an empty folder, as a newcomer does.

    Gives the names that they leave, what each of them printed, and the folder.
    """
    names: dict[str, Any] = {}
    printed = []
    folder = tmp_path_factory.mktemp("newcomer")
    with contextlib.chdir(folder):
        for block in blocks("python"):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile("\n" * (block.line - 1) + block.text, str(README), "exec"), names)
            printed.append(said.getvalue())
    return names, printed, folder


def test_what_the_code_prints(newcomer: tuple[dict[str, Any], list[str], Path]) -> None:
    """Every block of Python is followed by what it prints, but for what the machine decides."""
    parts = blocks("python", "text")
    assert [part.language for part in parts] == ["python", "text"] * 2
    for shown, printed in zip(parts[1::2], newcomer[1], strict=True):
        pairs = zip(shown.text.splitlines(), printed.splitlines(), strict=True)
        for wanted, line in pairs:
            assert without_figures(line) == without_figures(wanted)
            if not line.startswith(("memory", "workers")):
                assert line == wanted


def test_the_mosaic_of_the_code(newcomer: tuple[dict[str, Any], list[str], Path]) -> None:
    """Rule 1 on real images: each pixel of each band is that of the greenest image that is
    clear and lit there."""
    collection, _ = samples.sentinel2_romania()
    summer = collection.sel(time=slice("2020-05-01", "2020-09-30")).load()
    red, infrared = (summer[name].values.astype("float64") for name in ("B4", "B8"))
    with np.errstate(invalid="ignore"):
        ndvi = (infrared - red) / (infrared + red)
    ndvi[~np.isin(summer["SCL"], [4, 5, 6]) | (red < 100) | (infrared == 0)] = -2
    winner = ndvi.argmax(axis=0)
    assert (ndvi.max(axis=0) > -2).all()
    best = qm.open_mosaic(newcomer[2] / "best.zarr", mask_and_scale=False)
    for name in ("B2", "B3", "B4", "B8", "SCL"):
        assert best[name].dtype == "uint16"
        wanted = np.take_along_axis(summer[name].values, winner[None], axis=0)[0]
        np.testing.assert_array_equal(best[name].values, wanted)


# -- the table of wishes -------------------------------------------------------------------------


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
    """A folder with what the table reads, under its names."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").mkdir()
    series.chunk(time=1, y=50, x=50).to_zarr(folder / "s2.zarr", consolidated=False)
    # without their encoding: that of the sample's file does not fit a part of it
    for month, images in series.drop_encoding().groupby("time.month"):
        images.to_netcdf(folder / "data" / f"{month:02}.nc")
    left, top = float(series["x"][0]) - 5, float(series["y"][0]) + 5
    place: dict[str, Any] = {"crs": "EPSG:3035", "corner": (left, top)}
    items = []
    for number in range(0, series.sizes["time"], 5):
        image = series.isel(time=number)
        day = str(image["time"].values)[:10]
        for name, band in {"B02": "B2", "B03": "B3", "B04": "B4", "B08": "B8"}.items():
            path = folder / "scenes" / f"S2_{day.replace('-', '')}_{name}.tif"
            write_tif(path, image[band].values, **place)
        assets = {
            name: write_tif(folder / "items" / f"{day}_{name}.tif", image[band].values, **place)
            for name, band in (("red", "B4"), ("green", "B3"), ("blue", "B2"))
        }
        items.append(make_item(f"S2_{day}", assets, f"{day}T09:00:00Z", shape=(100, 100), **place))
    collection = pystac.ItemCollection(items)
    (folder / "items.json").write_text(json.dumps(collection.to_dict()))
    ring = [(left, top), (left + 500, top), (left + 500, top - 500), (left, top - 500)]
    region = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}},
    }
    (folder / "region.geojson").write_text(json.dumps(region))
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster in this process, which stands for one that has an address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as made:
        yield made.scheduler_address


def scored() -> dict[str, Any]:
    """Give what the table takes as given: a collection with a quality, a mosaic, two scores."""
    col = qm.open_collection("s2.zarr")
    col = col.assign(quality=qm.scores.inverse(col["MSK_CLDPRB"]))
    return {
        "qm": qm,
        "col": col,
        "best": qm.quality_mosaic(col, "quality"),
        "new_images": col.isel(time=[0, 1]).assign_coords(time=col["time"][-2:] + YEAR),
        "clouds": col["SCL"].isin([3, 8, 9, 10]),
        "far": qm.scores.normalized_difference(col["B8"], col["B4"]),
        "season": qm.scores.target_day_of_year(col, "07-15", sigma=30),
    }


YEAR = np.timedelta64(365, "D")

KINDS = {
    "qm.open_collection": lambda made: "time" in made.dims and len(made.data_vars) > 2,
    "qm.expression": lambda made: made.sizes["time"] == 17,
    "qm.scores": lambda made: isinstance(made, xr.DataArray) and "time" in made.dims,
    "qm.quality_mosaic": lambda made: made.sizes.get("time", 5) == 5 and "B4" in made,
    "best = qm.quality_mosaic": lambda made: True,
    "qm.contributions": lambda made: made["share"].sum() == pytest.approx(1),
    "xarray.decode_cf": lambda made: "rank" not in made.dims and made["B4"].dims == ("y", "x"),
    "qm.medoid": lambda made: made["B4"].dtype == "uint16",
    "qm.to_cog": lambda made: Path("best.tif") in made,
    "server = qm.display.serve": lambda made: True,
    "qm.clip": lambda made: made.sizes["x"] == 50,
    "qm.quicklook": lambda made: Path("best.png").stat().st_size > 10_000,
    "m = qm.display.Map": lambda made: "leaflet" in Path("map.html").read_text(),
    "from qmosaic import ee": lambda made: True,
    "qm.to_zarr": lambda made: True,
    "qm.update": lambda made: qm.open_mosaic("best.zarr").attrs["qmosaic_images"] == 19,
}
"""What the code of a row gives, by the way that it begins."""


def test_the_right_column_of_the_table(
    files: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row runs as it stands, in order, and gives what it is for."""
    import distributed
    import icechunk

    monkeypatch.chdir(files)
    place = icechunk.local_filesystem_storage(str(files / "repository"))
    session = icechunk.Repository.create(place).writable_session("main")
    names = scored() | {"distributed": distributed, "session": session, "xarray": xr}
    rows = table(WISHES)
    assert len(rows) > 15
    seen = set()
    for row in rows:
        line = code(row["write"])[0].replace("tcp://scheduler:8786", cluster)
        if line.startswith("client = "):
            exec(line, names)
            assert names["client"].submit(lambda: 1).result() == 1
            continue
        kind = next(kind for kind in KINDS if line.startswith(kind))
        seen.add(kind)
        names["made"] = None
        if kind == "qm.to_zarr":  # each row begins anew
            shutil.rmtree("best.zarr", ignore_errors=True)
        exec(
            line if re.match(r"\w+ = |from |qm.to_zarr|qm.update", line) else f"made = {line}",
            names,
        )
        if kind.startswith("server"):
            with names["server"] as server, urllib.request.urlopen(server.url) as page:
                assert b"leaflet" in page.read()
        assert KINDS[kind](names["made"]), line
        if kind == "qm.to_zarr":
            store = session.store if "session" in line else "best.zarr"
            assert qm.open_mosaic(store).sizes == {"y": 100, "x": 100}
    names["client"].close()
    assert seen == set(KINDS)


def test_what_is_typed_in_a_shell(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run as they stand, in order; the last one draws in place of waiting."""
    monkeypatch.chdir(files)
    shutil.rmtree("best.zarr", ignore_errors=True)
    for left in files.glob("best*.tif"):
        left.unlink()
    typed = [line for line in commands() if line.startswith("qmosaic ") and "s2.zarr" in line]
    (shown,) = (line for line in commands() if line.startswith("qmosaic show"))
    assert len(typed) == 2
    for line in [*typed, f"{shown} --png look.png"]:
        done = CliRunner().invoke(cli.main, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
    assert qm.open_mosaic("best.zarr").sizes == {"y": 100, "x": 100}
    for name in ("best.tif", "look.png"):
        assert Path(name).stat().st_size > 10_000


def declared(section: str) -> set[str]:
    """Give the names in a table of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["project"] if section == "optional-dependencies" else project
    return set(found[section])


def test_extras_of_the_table_exist() -> None:
    """The column that says what to install for a row names extras of pyproject.toml."""
    named = {extra for row in table(WISHES) for extra in code(row["extra"])}
    assert {"stac", "geotiff", "netcdf", "scores", "plot", "map", "distributed"} < named
    assert named <= declared("optional-dependencies")


# -- commands, links, names ----------------------------------------------------------------------


def commands() -> list[str]:
    """List what the README says to type: blocks of bash, and commands in the text."""
    inline = re.findall(r"`((?:python -m|pip install|sphinx-build) [^`]+)`", text())
    lines = [line for block in blocks("bash") for line in block.text.splitlines()]
    parts = [part for line in [*lines, *inline] for part in line.split("#")[0].split("&&")]
    return [part.strip() for part in parts if part.strip()]


def test_commands_exist() -> None:
    """Extras and groups are those of pyproject.toml, subcommands those of the command lines."""
    for command in commands():
        words = command.replace('"', "").split()
        if words[:2] == ["pip", "install"]:
            for extra in re.findall(r"[a-z0-9]+", "".join(re.findall(r"\.\[(.*?)\]", command))):
                assert extra in declared("optional-dependencies"), command
            if "--group" in words:
                assert words[words.index("--group") + 1] in declared("dependency-groups")
        elif words[:3] == ["python", "-m", "pip"]:
            assert words[3:] == ["install", "-U", "pip"]
        elif words[:3] == ["python", "-m", "benchmarks"]:
            parser().parse_args(words[3:])
        elif words[0] == "qmosaic":
            assert words[1] in set(cli.main.commands)
        elif words[0] == "sphinx-build":
            assert words[1:3] == ["-W", "notebooks"]
            assert (ROOT / "notebooks" / "conf.py").is_file()
            assert "-W notebooks" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        else:
            assert words == ["pytest"]
    assert any("[demo]" in command for command in commands())


def test_groups_come_after_a_pip_that_knows_them() -> None:
    """A fresh environment of Python 3.11 has a pip without ``--group``: the first command with it
    follows the one that upgrades pip, which says from which version on."""
    upgrade = text().index("python -m pip install -U pip")
    assert "pip 25.1 or later" in text()[upgrade:].splitlines()[0]
    assert upgrade < text().index("--group docs") < text().index("--group bench")


def test_no_distribution_is_named_that_is_not_there() -> None:
    """The package is installed from a checkout: no index has it."""
    books = ROOT / "notebooks"
    for path in (README, *books.glob("*.md"), *books.glob("*.ipynb")):
        page = path.read_text(encoding="utf-8").replace("\\", "")
        assert 'pip install "qmosaic' not in page, path


def test_links_lead_to_files() -> None:
    """Every link and picture is a file of the repository, as are paths in the text; every number
    in brackets is a link."""
    links = dict(re.findall(r"^(\[\w+\]): (.+)$", text(), re.M))
    assert set(re.findall(r"\[\d\](?!:)", text())) == set(links)
    links |= {found: found for found in re.findall(r"\]\(([^)]+)\)", text())}
    assert len(links) > 6
    for link in links.values():
        assert (ROOT / link).is_file(), link
    for path in re.findall(r"`(tests/[^`]+)`", text()):
        assert (ROOT / path).exists(), path


def test_every_guide_is_linked() -> None:
    """Each notebook is in the column of guides, by its number."""
    cells = {number for row in table(WISHES) for number in re.findall(r"\[\d\]", row["guide"])}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        number = path.name[0]
        assert f"[{number}]" in cells
        assert f"\n[{number}]: notebooks/{path.name}\n" in text()


def test_names_exist() -> None:
    """Whatever is written with ``qm.`` or ``qmosaic.`` before it is there."""
    for root in ("qm", "qmosaic"):
        for dotted in set(re.findall(rf"(?<![\w./-]){root}((?:\.[A-Za-z_]\w*)+)", text())):
            found: Any = qm
            for name in dotted[1:].split("."):
                assert hasattr(found, name), f"{root}{dotted}"
                found = getattr(found, name)


# -- figures -------------------------------------------------------------------------------------

ROUTES = {
    report.label(route): route
    for route in ("qmosaic", "apply_ufunc", "apply_ufunc+zarrs", "stackstac+zarrs")
}
"""The routes by the names that they have in the picture."""


@pytest.fixture(scope="module")
def measured() -> report.Record:
    """What `python -m benchmarks compare` has written into the repository."""
    results: report.Record = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    return results


def test_the_table_of_times_is_that_of_the_benchmark(measured: report.Record) -> None:
    """Every cell is in benchmarks/results.json; no route in the table had a wrong pixel."""
    *rows, memory = table("workload")
    assert len(rows) == 4
    for row in rows:
        workload, about = re.findall(r"\*(\w+)\*: (.+)", row["workload"])[0]
        assert about in measured["workloads"][workload]["about"]  # the title in the picture
        routes = measured["workloads"][workload]["routes"]
        for head, route in ROUTES.items():
            assert row[head] == report.cell(routes, route), (workload, route)
            if row[head]:
                assert report.correct(routes[route])
    assert "*cloudy*" in memory["workload"]
    cloudy = measured["workloads"]["cloudy"]["routes"]
    for head, route in ROUTES.items():
        peak = f"{median(report.column(cloudy[route], 'peak')) / 1e6:.0f} MB"
        assert memory[head].strip("*") == peak


def test_figures_of_the_text_are_those_of_the_benchmark(measured: report.Record) -> None:
    """Chunks read, memory with more images, and what falls short."""
    page = " ".join(text().split())
    cloudy = measured["workloads"]["cloudy"]
    read = cloudy["routes"]["qmosaic"]["counts"]["chunks"]
    assert f"{read} of {cloudy['stored_chunks']} stored chunks" in page
    low, middle, high = report.flatness(measured)["qmosaic"]
    assert f"{middle:.2f} times that with 60 ({low:.2f}–{high:.2f};" in page
    found = {name: report.summarise(w) for name, w in measured["workloads"].items()}
    for name in ("random", "footprints"):
        assert f"{found[name]['limit']['ratio'][1]:.1f} times (*{name}*)" in page
    leaner = [found[name]["memory"]["ratio"][1] for name in report.AIMS if "memory" in found[name]]
    assert f"{min(leaner):.1f} to {max(leaner):.1f} times below" in page


def test_the_number_of_random_collections() -> None:
    """As many as the tests of the rules draw, at the least."""
    told = re.search(r"([\d ]+) random collections", text())
    assert told
    rules = (ROOT / "tests" / "rules").glob("*.py")
    drawn = [int(n) for path in rules for n in re.findall(r"max_examples=(\d+)", path.read_text())]
    assert sum(drawn) == int(told[1].replace(" ", ""))


# -- its length ----------------------------------------------------------------------------------


def test_it_is_read_in_three_minutes() -> None:
    """At most 150 lines and 1200 words; no line outside of tables is longer than 120 characters."""
    lines = text().splitlines()
    assert len(lines) <= 150
    assert len(re.findall(r"[^\s|]+", text())) <= 1200
    assert [line for line in lines if len(line) > 120 and not line.startswith("| ")] == []
    assert max(map(len, lines)) <= 160
