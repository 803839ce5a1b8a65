"""`info`, `contributions` and `show`: what lies in a store, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qmosaic as qm
from tests.support.shell import best, done, run

Values = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def mosaic(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mosaic with overviews and provenance."""
    out = tmp_path_factory.mktemp("mosaic") / "best.zarr"
    options = ["--provenance", "--levels", 2, "--overview-resampling", "nearest", "-q"]
    done("mosaic", series, "--quality", "-cloud", *options, "--out", out)
    return out


def test_info_for_programs(mosaic: Path) -> None:
    """One object with the grid, the bands, the levels and the rules."""
    told = done("info", mosaic, "--json").told
    assert told["kind"] == "mosaic"
    assert told["complete"] is True
    assert told["sizes"] == {"y": 32, "x": 32}
    assert told["crs"] == "EPSG:32633"
    assert told["resolution"] == [10, 10]
    assert told["bounds"] == [500_000, 5_399_680, 500_320, 5_400_000]
    assert told["bands"]["B4"] == {"dtype": "uint16", "dims": ["y", "x"], "nodata": 0}
    assert told["bands"]["quality"]["dtype"] == "int16"
    assert told["levels"] == [{"y": n, "x": n} for n in (32, 16, 8)]
    assert set(told["provenance"]) == {"source_index", "source_time", "valid_count"}
    assert told["images"] == 5
    assert told["rules"]["quality_band"] == "quality"


def test_info_for_people(mosaic: Path, series: Path) -> None:
    """The same as a table; of a source what an expression can be made of."""
    lines = done("info", mosaic).out.splitlines()
    assert lines[0] == f"mosaic      {mosaic}"
    for line in (
        "state       complete",
        "map         32 × 32 pixels (y, x) of 10, EPSG:32633",
        "            bounds 500000, 5399680, 500320, 5400000",
        "levels      3: 32 × 32, 16 × 16, 8 × 8",
        '            for xarray groups "0", "1", ...',
    ):
        assert line in lines
    text = done("info", series).out
    assert text.startswith(f"collection  {series}\n")
    assert "images      5, 2020-07-01 to " in text
    assert "cloud  uint8" in text
    told = done("info", series, "--json").told
    assert (told["kind"], told["images"]) == ("collection", 5)


def test_contributions(mosaic: Path, values: Values, tmp_path: Path) -> None:
    """How many pixels each image gave, counted by a loop; as a table, as CSV, for programs, and by
    zone."""
    score = -values["cloud"].astype(int)
    numbered = {"n": np.arange(5)[:, None, None] * np.ones((1, 32, 32), int)}
    counts = np.bincount(best(numbered, score, "n").ravel(), minlength=5)
    told = done("contributions", mosaic, "--json").told["contributions"]
    assert {row["source_index"]: row["pixels"] for row in told} == dict(enumerate(counts.tolist()))
    assert told[0]["time"].startswith("2020-07-0")
    header, *lines = done("contributions", mosaic, "--csv").out.splitlines()
    assert header == "source_index,time,pixels,share"
    assert [int(line.split(",")[2]) for line in lines] == sorted(counts.tolist(), reverse=True)
    assert len(done("contributions", mosaic).out.splitlines()) == 6
    box = [[14.9, 48], [15.1, 48], [15.1, 49], [14.9, 49], [14.9, 48]]
    (tmp_path / "zones.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [box]}))
    by_zone = done("contributions", mosaic, "--zones", tmp_path / "zones.geojson", "--json").told
    assert {row["zone"] for row in by_zone["contributions"]} == {0}
    assert sum(row["pixels"] for row in by_zone["contributions"]) == 1024


def test_pictures(mosaic: Path, series: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A picture of a mosaic, of its dates, of an image of a source; a page that needs no server:
    files, with the colours that were asked for."""
    pytest.importorskip("matplotlib", reason="it is in the extra [plot]")
    pytest.importorskip("folium", reason="it is in the extra [map]")
    asked: list[Any] = []
    draw = qm.quicklook

    def noted(image: Any, path: Any, **look: Any) -> Any:
        asked.append((image, look))
        return draw(image, path, **look)

    monkeypatch.setattr(qm, "quicklook", noted)
    look = "--bands B4,B8,B4 --min 0,0,0 --max 3000 --gamma 1.2".split()
    ended = done("show", mosaic, *look, "--png", tmp_path / "a.png", "--html", tmp_path / "a.html")
    assert ended.out == f"written     {tmp_path}/a.png\n            {tmp_path}/a.html\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "leaflet" in (tmp_path / "a.html").read_text().lower()
    assert asked[-1][1] == {
        "bands": ["B4", "B8", "B4"],
        "min": [0, 0, 0],
        "max": 3000,
        "gamma": 1.2,
    }
    palette = ["--bands", "cloud", "--palette", "green,white", "--image", -1]
    done("show", series, *palette, "--png", tmp_path / "b.png", "--max", "98%", "--min", "2%")
    image, chosen = asked[-1]
    assert chosen == {"bands": ["cloud"], "palette": ["green", "white"], "max": "98%", "min": "2%"}
    last = qm.open_collection(series)["cloud"].isel(time=-1)
    np.testing.assert_array_equal(image["cloud"], last)
    done("show", mosaic, "--bands", "source_time", "--png", tmp_path / "c.png")
    assert asked[-1][0].name == "source_time"
    done("show", mosaic, "--level", 2, "--bands", "B4", "--png", tmp_path / "d.png")
    assert asked[-1][0].sizes == {"y": 8, "x": 8}
    assert run("show", mosaic, "--level", 3, "--png", tmp_path / "e.png").code == 1


def test_a_map_until_ctrl_c(mosaic: Path, monkeypatch: Any) -> None:
    """Without a file to write, a server shows the map until Ctrl-C, and is stopped then."""
    served: list[Any] = []

    class Server:
        url, tiles, running = "http://127.0.0.1:8800/", "http://127.0.0.1:8800/{z}/{x}/{y}", True

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *error: Any) -> None:
            served.append("stopped")

    def serve(*arguments: Any, **options: Any) -> Server:
        served.append((arguments, options))
        return Server()

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(qm.display, "serve", serve, raising=False)
    monkeypatch.setattr("qmosaic.cli.show.time.sleep", interrupted)
    ended = done("show", mosaic, "--bands", "B4", "--no-browser", "--port", 8800)
    (arguments, options), stopped = served
    assert stopped == "stopped"
    assert arguments[1:] == ({"bands": ["B4"], "min": "2%", "max": "98%"}, "best.zarr")
    assert options == {"port": 8800, "open_browser": False}
    assert "http://127.0.0.1:8800/" in ended.err


def test_a_single_level_and_a_geotiff(series: Path, tmp_path: Path) -> None:
    """A store whose full resolution is in the group "0" says so; a GeoTIFF of `mosaic`, which has
    no time, is described by its map and its bands."""
    pytest.importorskip("rasterio", reason="it is in the extra [geotiff]")
    command = ["mosaic", series, "--quality", "-cloud", "-q", "--out"]
    done(*command, tmp_path / "a.zarr", "--levels", 0)
    lines = done("info", tmp_path / "a.zarr").out.splitlines()
    place = lines.index("levels      1: 32 × 32")
    assert lines[place + 1] == '            for xarray the group "0"'
    done(*command, tmp_path / "a.tif")
    told = done("info", tmp_path / "a.tif", "--json").told
    assert (told["kind"], told["crs"], told["sizes"]) == ("image", "EPSG:32633", {"y": 32, "x": 32})
    assert "B4" in told["bands"]
    assert "images" not in told


def test_maps_are_stretched_as_pictures(mosaic: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Where nothing is said of it; a map of dates has its own colours. A page that is there stays
    without --overwrite, and nothing is opened."""
    pytest.importorskip("folium", reason="it is in the extra [map]")
    asked: list[Any] = []
    add = qm.display.Map.add_layer

    def noted(self: Any, image: Any, parameters: Any, *more: Any) -> Any:
        asked.append(parameters)
        return add(self, image, parameters, *more)

    monkeypatch.setattr(qm.display.Map, "add_layer", noted)
    page = tmp_path / "a.html"
    done("show", mosaic, "--bands", "B4", "--html", page)
    before = page.read_bytes()
    ended = run("show", "nowhere.zarr", "--html", page)
    assert ended.code == 1
    assert "exists already; nothing was changed" in ended.err
    assert page.read_bytes() == before
    done("show", mosaic, "--bands", "source_time", "--html", page, "--overwrite")
    assert page.read_bytes() != before
    assert asked == [{"bands": ["B4"], "min": "2%", "max": "98%"}, None]


def test_nothing_is_replaced_unasked(series: Path, mosaic: Path) -> None:
    """A store that is there stays, and the option that replaces it is named; `explain` says so
    before."""
    said = done("explain", series, "--quality", "cloud", "--out", mosaic).err
    assert "exists already; `qmosaic mosaic` writes there with --overwrite or" in said
    ended = run("mosaic", series, "--quality", "cloud", "--out", mosaic)
    assert ended.code == 1
    assert "exists already and a run without --overwrite does not replace anything" in ended.err
    assert done("info", mosaic, "--json").told["rules"]["quality_band"] == "quality"
