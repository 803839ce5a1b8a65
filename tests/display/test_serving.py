"""A map with detail: tiles that are made when they are looked at, and what serves them."""

from __future__ import annotations

import io
import re
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import pandas as pd
import pyproj
import pytest
import xarray as xr
from matplotlib.image import imread

import qmosaic as qm
from qmosaic.display.serving import blocks
from tests.support.browser import browser, errors, screenshot, wait_for
from tests.support.sources import CountingStore

for module in ("titiler.core", "uvicorn"):
    pytest.importorskip(module, reason="it is in the extra [serve]")
assert odc.geo.xr is not None

HALF = np.pi * 6_378_137
"""Half the side of the map of the world, metres."""

EVERY_FOURTH = np.arange(1, 256, 4)

GREY = {"bands": ["grey"], "min": 0, "max": 255}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server that each test adds a layer to."""
    with qm.display.Server(base_map=None) as running:
        yield running


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser."""
    with browser(tmp_path_factory.mktemp("window") / "profile") as page:
        yield page


def asked(server: Any, path: str, host: str = "127.0.0.1") -> Any:
    """Ask what answers, without a connection."""
    testclient = pytest.importorskip("starlette.testclient")
    with testclient.TestClient(server.app, f"http://{host}", raise_server_exceptions=False) as one:
        return one.get(path)


def tile_of(server: Any, x: int, y: int, z: int) -> np.ndarray:
    """Ask for a tile of the highest layer: uint8, (y, x, 4)."""
    answer = asked(server, "/" + server.tiles.removeprefix(server.url).format(x=x, y=y, z=z))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.round(imread(io.BytesIO(answer.content)) * 255).astype(np.uint8)


def tile_at(crs: Any, down: float, across: float, z: int) -> tuple[int, int, int]:
    """Find the tile that a place lies in."""
    x, y = pyproj.Transformer.from_crs(crs, "EPSG:3857", always_xy=True).transform(across, down)
    side = 2 * HALF / 2**z
    return int((x + HALF) // side) % 2**z, int((HALF - y) // side), z


def mercator(x: int, y: int, z: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the places of every fourth pixel of a tile, metres of the map of the world, (y, x)."""
    pixel = 2 * HALF / 2**z / 256
    across = -HALF + (x * 256 + EVERY_FOURTH + 0.5) * pixel
    down = HALF - (y * 256 + EVERY_FOURTH + 0.5) * pixel
    across, down = np.meshgrid(across, down)
    return down, across


def grey_of(values: np.ndarray, ys: np.ndarray, xs: np.ndarray, crs: str) -> xr.Dataset:
    return xr.Dataset({"grey": (("y", "x"), values)}, {"y": ys, "x": xs}).odc.assign_crs(crs)


def axis(start: float, step: float, count: int = 60) -> np.ndarray:
    return start + step * np.arange(count)


PLACES: dict[str, tuple[str, np.ndarray, np.ndarray]] = {
    "UTM": ("EPSG:32633", axis(5_400_000, -1000), axis(500_000, 1000)),
    "UTM over 180°": ("EPSG:32760", axis(8_100_000, -2000), axis(800_000, 4000)),
    "equal areas": ("EPSG:3035", axis(4_000_000, -5000), axis(3_000_000, 5000)),
    "the grid of the tiles": ("EPSG:3857", axis(8_400_000, -1000), axis(1_000_000, 1000)),
    "around the globe": ("EPSG:4326", axis(88, -3.0), axis(-179.5, 6.0)),
    "degrees over 180°": ("EPSG:4326", axis(30, -0.5), axis(175, 0.5)),
    "degrees of 0 to 360": ("EPSG:4326", axis(30, -0.5), axis(300, 0.5)),
    "the North Pole": ("EPSG:3413", axis(1_500_000, -50_000), axis(-1_500_000, 50_000)),
    "the South Pole": ("EPSG:3031", axis(1_500_000, -50_000), axis(-1_000_000, 50_000)),
}


@pytest.mark.parametrize("flip", ["north up", "south up, west right"])
@pytest.mark.parametrize("place", PLACES)
def test_tiles_show_the_pixels_that_lie_there(place: str, flip: str, server: Any) -> None:
    """Each pixel of a tile is the pixel of the image that lies there by PROJ, in the colours of
    `visualize`; what is masked, and what lies outside, is transparent: in any CRS, for any order
    of rows and columns, over the antimeridian, around a pole, from the world to single pixels."""
    crs, ys, xs = PLACES[place]
    values = np.random.default_rng(0).integers(0, 256, (60, 60)).astype("float32")
    values[20:24, 30:50] = np.nan
    if flip != "north up":
        ys, xs, values = ys[::-1], xs[::-1], values[::-1, ::-1]
    server.add_layer(place, grey_of(values, ys, xs, crs).chunk(y=25, x=32), GREY)
    step, turn = abs(ys[1] - ys[0]), crs == "EPSG:4326"
    metres = step * (111_000 if turn else 1)
    fine = int(np.ceil(np.log2(2 * HALF / 64 / metres)))
    seen = 0
    for z in (fine, 0):
        x, y, z = tile_at(crs, ys[12], xs[31], z)
        got = tile_of(server, x, y, z)[np.ix_(EVERY_FOURTH, EVERY_FOURTH)]
        down, across = mercator(x, y, z)
        to_image = pyproj.Transformer.from_crs("EPSG:3857", crs, always_xy=True).transform
        across, down = to_image(across, down)
        rows = (down - ys[0]) / (ys[1] - ys[0])
        turns = 360 * np.round((across - xs.mean()) / 360) if turn else 0
        columns = (across - turns - xs[0]) / (xs[1] - xs[0])
        with np.errstate(invalid="ignore"):
            near = (np.abs(np.mod(rows, 1) - 0.5) < 1e-6) | (
                np.abs(np.mod(columns, 1) - 0.5) < 1e-6
            )
            inside = (np.abs(rows - 29.5) < 30) & (np.abs(columns - 29.5) < 30)
            at = tuple(np.where(inside, np.round(n), 0).astype(int) for n in (rows, columns))
        wanted = np.where(inside, values[at], np.nan)
        shown = ~np.isnan(wanted)
        np.testing.assert_array_equal(got[..., 3][~near], np.where(shown, 255, 0)[~near])
        for channel in range(3):
            np.testing.assert_array_equal(got[..., channel][shown & ~near], wanted[shown & ~near])
        seen += shown.sum()
    assert seen > 300


def test_the_opacity_is_that_of_the_picture(server: Any) -> None:
    """Colours that are half transparent stay so: in a tile, too, there is one band of opacity."""
    image = grey_of(np.full((9, 9), 255.0), axis(5e6, -10, 9), axis(5e5, 10, 9), "EPSG:32633")
    server.add_layer("half", image, {**GREY, "opacity": 0.5, "palette": ["blue", "red"]})
    got = tile_of(server, *tile_at("EPSG:32633", 5e6 - 40, 5e5 + 40, 22))
    np.testing.assert_array_equal(np.unique(got.reshape(-1, 4), axis=0), [[255, 0, 0, 128]])


@pytest.mark.parametrize("tile", [(0, 0, 40), (0, 0, 10**9), (5, 0, 1), (0, -1, 3), (511, 0, 9)])
def test_where_there_is_nothing_tiles_are_transparent(
    tile: tuple[int, int, int], server: Any
) -> None:
    """A tile outside the image or the world is no error, which a browser would report."""
    image = grey_of(np.full((9, 9), 255.0), axis(5e6, -10, 9), axis(5e5, 10, 9), "EPSG:32633")
    server.add_layer("small", image, GREY)
    assert not tile_of(server, *tile).any()


class Counted:
    """A band of several blocks, and how often each was computed."""

    def __init__(self, blocks: int = 6, side: int = 400) -> None:
        self.times: Counter[tuple[int, ...]] = Counter()
        self._lock = threading.Lock()
        size = blocks * side
        band = da.map_blocks(
            self._block, chunks=((side,) * blocks,) * 2, dtype="uint8", meta=np.empty((0, 0), "u1")
        )
        self.ys, self.xs = axis(5_000_000, -10, size), axis(500_000, 10, size)
        places = {"y": self.ys, "x": self.xs}
        self.image = xr.Dataset({"grey": (("y", "x"), band)}, places).odc.assign_crs("EPSG:32633")

    def _block(self, block_info: Any = None) -> np.ndarray:
        number = block_info[None]["chunk-location"]
        with self._lock:
            self.times[number] += 1
        return np.full(block_info[None]["chunk-shape"], 10 + 20 * sum(number), "uint8")

    def tile_at(self, row: int, column: int, z: int) -> tuple[int, int, int]:
        return tile_at("EPSG:32633", self.ys[row], self.xs[column], z)


def test_a_tile_computes_the_blocks_that_it_touches(server: Any) -> None:
    """Of an image that is not written, and each once: zoomed in those below the tile, zoomed out
    all of them for one picture, from which the other tiles come."""
    counted = Counted()
    server.add_layer("lazy", counted.image, GREY)
    assert not counted.times  # nothing beforehand
    tile = counted.tile_at(600, 1000, 14)
    got = tile_of(server, *tile)
    assert counted.times == {(1, 2): 1}
    assert set(np.unique(got[..., 0])) == {70}
    tile_of(server, *tile)
    tile_of(server, *counted.tile_at(610, 1010, 16))
    assert counted.times == {(1, 2): 1}
    # the corner of four
    tile_of(server, *counted.tile_at(400, 800, 13))
    corner = Counter({(i, j): 1 for i in (0, 1) for j in (1, 2)})
    assert counted.times == corner
    for row, column, z in ((1200, 1200, 8), (1200, 1200, 7), (20, 20, 9), (2300, 2300, 9)):
        assert tile_of(server, *counted.tile_at(row, column, z)).any()
    all_once = Counter({(i, j): 1 for i in range(6) for j in range(6)})
    assert counted.times == corner + all_once


def test_what_is_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser asks for many tiles at once: a block that is being computed is not begun again."""
    waits, outcomes = threading.Event(), []

    class Telling(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    with monkeypatch.context() as telling:  # no longer: events wait by conditions, too
        telling.setattr(blocks.threading, "Condition", Telling)
        kept = blocks.Kept(1000)
    begun = threading.Event()

    def first() -> np.ndarray:
        begun.set()
        assert waits.wait(30), "the second did not wait"
        return np.zeros(5)

    def second() -> np.ndarray:
        return np.ones(5)

    def ask(computing: Any) -> None:
        outcomes.append(kept.given("it", 0, computing).sum())

    threads = [threading.Thread(target=ask, args=[one]) for one in (first, second)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    for thread in threads:
        thread.join(60)
    assert outcomes == [0, 0]


def test_what_fails_is_tried_again() -> None:
    """A source that did not answer once may do so the next time; nobody waits for ever."""
    kept = blocks.Kept(1000)
    with pytest.raises(OSError, match="no answer"):
        kept.given("it", 0, lambda: (_ for _ in ()).throw(OSError("no answer")))
    assert kept.given("it", 0, lambda: np.ones(5)).sum() == 5


def test_memory_is_bounded() -> None:
    """The latest blocks are kept, as many as fit; one that does not fit at all is computed."""
    kept, computed = blocks.Kept(1000), []

    def ask(number: int, size: int = 400) -> None:
        kept.given("it", number, lambda: computed.append(number) or np.zeros(size, "u1"))

    for number in (1, 2, 1, 3, 1, 2):
        ask(number)
    assert computed == [1, 2, 3, 2]
    ask(4, 5000)
    ask(4, 5000)
    ask(2)
    assert computed == [1, 2, 3, 2, 4, 4]


def test_a_written_mosaic_is_read_at_the_level_that_fits(server: Any, tmp_path: Path) -> None:
    """Zoomed out, a tile reads chunks of a coarse level and none of the finer ones; zoomed in, the
    chunk that it touches; only those of the bands that are shown."""
    values = np.random.default_rng(1).integers(0, 256, (512, 512)).astype("uint8")
    ys, xs = axis(5_000_000, -10, 512), axis(500_000, 10, 512)
    image = grey_of(values, ys, xs, "EPSG:32633").assign(other=(("y", "x"), values))
    qm.to_zarr(image.chunk(y=64, x=64), tmp_path / "best.zarr", levels=3)
    store = CountingStore(tmp_path / "best.zarr")
    server.add_layer("stored", qm.open_mosaic(store), GREY)
    store.reads.clear()
    for z, level, most in ((15, "0", 4), (11, "2", 4), (10, "3", 1)):
        assert tile_of(server, *tile_at("EPSG:32633", ys[220], xs[220], z)).any()
        # on the ground 3.4, 54 and 108 m a pixel; the levels have 10, 20, 40 and 80 m
        read = [key for key in store.reads if "/c/" in key]
        assert {tuple(key.split("/")[:2]) for key in read} == {(level, "grey")}
        assert len(read) <= most
        store.reads.clear()


def test_a_mosaic_that_is_not_written_reads_what_a_tile_touches(
    server: Any, tmp_path: Path
) -> None:
    """The engine makes the block below a tile, of the chunks of all images that lie there, of the
    quality and the bands that are shown; and so does the answer to a click."""
    values = np.random.default_rng(2).integers(1, 250, (2, 256, 256)).astype("uint8")
    ys, xs = axis(5_000_000, -10, 256), axis(500_000, 10, 256)
    bands = {name: (("time", "y", "x"), values) for name in ("grey", "other", "quality")}
    times = pd.to_datetime(["2020-07-01", "2020-08-11"])
    collection = xr.Dataset(bands, {"time": times, "y": ys, "x": xs}).odc.assign_crs("EPSG:32633")
    collection.chunk(time=1, y=64, x=64).to_zarr(
        tmp_path / "source.zarr", zarr_format=3, consolidated=False
    )
    store = CountingStore(tmp_path / "source.zarr")
    source = xr.open_zarr(store, chunks={}, consolidated=False, decode_coords="all")
    server.add_layer("mosaic", qm.quality_mosaic(source, "quality"), GREY)
    store.reads.clear()
    got = tile_of(server, *tile_at("EPSG:32633", ys[96], xs[160], 19))
    assert set(np.unique(got[..., 0])) <= set(values.max(axis=0)[64:128, 128:192].ravel())
    below = {f"c/{image}/1/2" for image in (0, 1)}
    read = [key.split("/", 1) for key in store.reads if "/c/" in key]
    assert {band for band, _ in read} == {"grey", "quality"}
    assert {chunk for _, chunk in read} == below
    store.reads.clear()
    assert values_at(server, 96, 160)["bands"]["other"] == values[:, 96, 160].max()
    assert {key.split("/", 1)[1] for key in store.reads if "/c/" in key} == below


def provenance() -> xr.Dataset:
    """A mosaic of two images whose pixels say where they come from; packed, with nodata."""
    packing = {"scale_factor": 0.0001, "add_offset": -0.1, "_FillValue": 0}
    red = np.uint16([np.full((4, 4), 3000), np.full((4, 4), 5000)])
    red[1, 0, 0] = 0
    quality = np.float32([np.full((4, 4), 0.1), np.tile([0.0, 0.0, 0.2, 0.2], (4, 1))])
    quality[1, 0, 0] = 1
    quality[:, 3, 3] = np.nan
    collection = xr.Dataset(
        {
            "red": (("time", "y", "x"), red, packing),
            "quality": (("time", "y", "x"), quality),
        },
        {
            "time": pd.to_datetime(["2020-07-01T10:20", "2020-08-11T00:00"]),
            "id": ("time", ["S2A_first", "S2B_second"]),
            "y": axis(5_000_000, -10, 4),
            "x": axis(500_000, 10, 4),
        },
    ).odc.assign_crs("EPSG:32633")
    plain = qm.quality_mosaic(collection.chunk(), "quality", provenance=True)
    named = qm.quality_mosaic(collection.chunk(), "quality", provenance=["id"])
    return plain.assign_coords(id=named["id"])


def values_at(server: Any, row: int, column: int) -> Any:
    to_degrees = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform
    lon, lat = to_degrees(500_000 + 10 * column, 5_000_000 - 10 * row)
    number = len(server.layers)
    return asked(server, f"/layers/{number}/values/{lon},{lat}").json()


def test_a_place_says_values_date_and_image(server: Any) -> None:
    """Of all bands, whatever is shown, as they are meant: scale and offset applied, nodata masked;
    the time and the image that the pixel is from. Outside the image nothing is said."""
    server.add_layer("mosaic", provenance(), {"bands": ["red"], "max": 0.5})
    said = values_at(server, 1, 1)
    assert said["inside"]
    assert said["bands"] == {"red": 0.2, "quality": 0.1}
    assert said["from"] == {
        "source_index": 0,
        "source_time": "2020-07-01 10:20:00",
        "valid_count": 2,
        "id": "S2A_first",
    }
    said = values_at(server, 1, 3)
    assert said["bands"] == {"red": 0.4, "quality": 0.2}
    assert said["from"]["source_time"] == "2020-08-11"
    assert said["from"]["id"] == "S2B_second"
    assert values_at(server, 0, 0)["bands"] == {"red": None, "quality": 1.0}
    none = values_at(server, 3, 3)
    assert none["bands"] == {"red": None, "quality": None}
    assert (none["from"]["source_index"], none["from"]["source_time"]) == (-1, None)
    assert values_at(server, 7, 7) == {"inside": False}


def test_maps_of_dates_have_a_legend(server: Any) -> None:
    """``mosaic["source_time"]`` is coloured by date, and the page says which colour is which; a
    place says the date."""
    mosaic = provenance()
    server.add_layer("dates", mosaic["source_time"])
    got = tile_of(server, *tile_at("EPSG:32633", 5_000_000 - 15, 500_000 + 15, 19))
    shown = {tuple(colour) for colour in got.reshape(-1, 4) if colour[3]}
    page = asked(server, "/").text
    entries = dict(re.findall(r'background: #(\w{6})"></i>(2020[\d-]+)', page))
    assert set(entries.values()) == {"2020-07-01", "2020-08-11"}
    assert shown == {(*bytes.fromhex(colour), 255) for colour in entries}
    assert values_at(server, 1, 1)["bands"] == {"source_time": "2020-07-01 10:20:00"}


def test_percentages_are_those_of_the_whole(server: Any) -> None:
    """The picture of the whole says what 50 % is, once for all tiles; a palette has a legend."""
    values = np.repeat(np.arange(100.0), 100).reshape(100, 100)
    image = grey_of(values, axis(5e6, -10, 100), axis(5e5, 10, 100), "EPSG:32633").chunk(y=10)
    server.add_layer("steep", image, {"min": "50%", "max": "100%", "palette": ["000", "f00"]})
    for row in (10, 75, 99):
        got = tile_of(server, *tile_at("EPSG:32633", 5e6 - 10 * row, 5e5 + 500, 22))
        reds = got[got[..., 3] > 0][:, 0].astype(int)
        away = np.abs(reds - 255 * max(0, (row - 49.5) / 49.5))
        assert away.min() <= 1  # the pixel, and its neighbours that the tile may show
        assert away.max() <= 255 / 49.5 + 1
    assert re.search(
        r'class="scale".*<span style="top: [\d.]+%">80</span>', asked(server, "/").text
    )


def test_only_this_machine_is_answered(server: Any) -> None:
    """The socket is on loopback, and a name that another page has made point here is refused, but
    for one that was asked for, as a proxy forwards it; no address names a file."""
    assert server.url.startswith("http://127.0.0.1:")
    assert asked(server, "/").status_code == 200
    assert asked(server, "/", "localhost").status_code == 200
    assert asked(server, "/", "evil.example").status_code == 400
    with qm.display.Server(base_map=None, hosts=["jupyter.example.org"]) as proxied:
        assert asked(proxied, "/", "jupyter.example.org").status_code == 200
        assert asked(proxied, "/", "evil.example").status_code == 400
    for path in ("/layers/999/values/1,2", "/layers/x/values/1,2", "/etc/passwd", "/docs", "/info"):
        assert asked(server, path).status_code in (404, 422), path
    assert "access-control-allow-origin" not in asked(server, "/").headers


def test_what_goes_wrong_is_told(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that cannot be read is an answer of its own, with what the source said; what fails
    as the program ends is none, and not logged with a traceback."""

    def broken(block: np.ndarray) -> np.ndarray:
        raise OSError("the disk is gone")

    band = da.map_blocks(broken, da.zeros((9, 9), chunks=9), dtype="f8", meta=np.empty((0, 0)))
    image = grey_of(np.zeros((9, 9)), axis(5e6, -10, 9), axis(5e5, 10, 9), "EPSG:32633")
    server.add_layer("broken", image.assign(grey=(("y", "x"), band)), GREY)
    x, y, z = tile_at("EPSG:32633", 5e6 - 40, 5e5 + 40, 20)
    path = "/" + server.tiles.removeprefix(server.url).format(x=x, y=y, z=z)
    answer = asked(server, path)
    assert answer.status_code == 500
    assert "the disk is gone" in answer.json()["detail"]
    monkeypatch.setattr(threading, "main_thread", threading.Thread)  # one that does not run
    answer = asked(server, path)
    assert (answer.status_code, "has ended" in answer.json()["detail"]) == (503, True)


def test_a_server_runs_until_it_is_stopped() -> None:
    """It answers when `serve` returns, and holds its port until `stop`, the end of ``with`` or
    Ctrl-C; a port that is in use is said so, and leaves nothing behind."""
    image = provenance()
    with qm.display.serve(image, {"bands": ["red"]}, "best", base_map=None) as server:
        assert urllib.request.urlopen(server.url).status == 200
        assert repr(server).startswith(f"Server of 'best' at {server.url}; ")
        assert f'src="{server.url}"' in server._repr_html_()
        port = int(server.url.split(":")[2].strip("/"))
        with pytest.raises(OSError, match=rf"port {port} of this machine cannot be listened at"):
            qm.display.serve(image, port=port)
    server.stop()
    assert repr(server) == server._repr_html_() == "Server that was stopped"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))


def test_ctrl_c_ends_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wait` comes back when the server was stopped; Ctrl-C stops it, and is no error."""
    server = qm.display.Server(base_map=None)
    real = server._thread

    class Interrupted:
        def join(self, timeout: float | None = None) -> None:
            server._thread = real
            raise KeyboardInterrupt

        is_alive = real.is_alive

    monkeypatch.setattr(server, "_thread", Interrupted())
    server.wait()
    assert not server.running
    server.wait()


BAD: dict[str, tuple[Any, Any, dict[str, Any], type[Exception], str]] = {
    "no CRS": (xr.Dataset({"r": (("y", "x"), np.ones((3, 3)))}, {"y": [3, 2, 1], "x": [1, 2, 3]}),
               {}, {}, ValueError, "on a map.*nothing declares the CRS"),
    "no such band": (None, {"bands": ["B4"]}, {}, KeyError, "no band 'B4'"),
    "no such parameter": (None, {"maximum": 1}, {}, TypeError, "'maximum'"),
    "no stretch": (None, {"min": 2, "max": 1}, {}, ValueError, "min has to be below max"),
    "no image": (7, {}, {}, TypeError, "got a int"),
    "no port": (None, {}, {"port": 99999}, ValueError, "99999 is no port"),
    "no list of hosts": (None, {}, {"hosts": "a.org"}, TypeError, "takes a list of names"),
    "no base map": (None, {}, {"base_map": "nowhere"}, ValueError, "base_map='nowhere' is neither"),
    "no store": ("nothing.zarr", {}, {}, FileNotFoundError, "no mosaic at"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_layers_that_cannot_be(case: str) -> None:
    """What came, why not, what to write, before anything is computed; no server is left running."""
    image, parameters, options, error, message = BAD[case]
    before = {thread for thread in threading.enumerate() if thread.name.startswith("tiles at")}
    image = provenance() if image is None else image
    with (
        dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")),
        pytest.raises(error, match=message),
    ):
        qm.display.serve(image, parameters, **options)
    after = {thread for thread in threading.enumerate() if thread.name.startswith("tiles at")}
    assert after <= before


def checkerboard() -> xr.Dataset:
    """4096 × 4096 pixels that are 0 and 200 by turns, and where each is from; lazy."""

    def block(block_info: Any = None) -> np.ndarray:
        (top, bottom), (left, right) = block_info[None]["array-location"]
        rows, columns = np.ogrid[top:bottom, left:right]
        return np.uint8(200 * ((rows + columns) % 2))

    band = da.map_blocks(block, chunks=((512,) * 8,) * 2, dtype="u1", meta=np.empty((0, 0), "u1"))
    day = np.datetime64("2021-05-04T10:00", "ns")
    coords = {
        "y": axis(4_465_000, -10, 4096),
        "x": axis(634_000, 10, 4096),
        "source_time": (("y", "x"), da.full((4096, 4096), day, chunks=512, dtype="M8[ns]")),
        "source_index": (("y", "x"), da.full((4096, 4096), 3, chunks=512, dtype="i4")),
    }
    return xr.Dataset({"grey": (("y", "x"), band)}, coords).odc.assign_crs("EPSG:32613")


def shades(page: Any) -> set[int]:
    """Name the greys in the middle of the page, 0 to 255."""
    picture = np.round(screenshot(page) * 255).astype(int)
    middle = picture[250:450, 300:600]
    same = (middle == middle[..., :1]).all(axis=-1)
    return set(np.unique(middle[..., 0][same]))


@pytest.mark.parametrize("west", [160, 0, -200])
def test_a_page_shows_what_lies_beyond_180(west: int, window: Any) -> None:
    """The page asks for the tiles on both sides of 180°, wherever the longitudes of an image begin;
    so the whole of it is seen, as wide as it has to be."""
    wide = 360 if west == 0 else 40
    ys, xs = axis(19.5, -1, 40), axis(west + wide / 80, wide / 40, 40)
    image = grey_of(np.full((40, 40), 255.0), ys, xs, "EPSG:4326")
    with qm.display.serve(image, {**GREY, "palette": ["black", "ff0000"]}, base_map=None) as server:
        window.get(server.url)
        ask = f"return [{west}, {west + wide}].map((x) => map.latLngToContainerPoint([0, x]).x)"
        left, right = window.execute_script(ask)
        across = np.arange(1000)
        there = (across > left + 2) & (across < right - 2)
        beside = (across < left - 2) | (across > right + 2)
        if wide == 360:  # a globe is repeated
            there, beside = there | beside, there & beside

        def is_whole() -> bool:
            picture = screenshot(window)
            row = picture[picture.shape[0] // 2]  # at the equator
            red = (row[:, 0] > 0.95) & (row[:, 1:] < 0.05).all(axis=-1)
            return bool(red[there].all() and not red[beside].any())

        assert there.sum() > 400
        wait_for(window, is_whole)


def test_zooming_in_shows_finer_pixels(tmp_path: Path, window: Any) -> None:
    """In a browser, as the page of the server and in the frame of a notebook: a picture of every
    second pixel is of one colour, and closer there is a board; a click says values, date and image;
    there is nothing in the console."""
    m = qm.display.Map(tiles=None, max_size=64)
    m.set_center(-103.19, 40.14, 9)
    m.add_layer(checkerboard(), {"min": 0, "max": 255}, "board <1>")
    page_of_notebook = tmp_path / "notebook.html"
    page = window
    with m.serve() as server:
        page_of_notebook.write_text(f"<!DOCTYPE html>{m._repr_html_()}", encoding="utf-8")
        page.get(server.url)
        wait_for(page, lambda: len(shades(page) & {0, 200}) == 1)
        page.execute_script("map.setView([40.14, -103.19], 17)")
        wait_for(page, lambda: {0, 200} <= shades(page))
        wait_for(page, lambda: not page.find_element("id", "busy").is_displayed())
        rows = np.round(screenshot(page)[:, 500, 0] * 255)
        rows = rows[(rows == 0) | (rows == 200)]
        # at zoom 17 and 40° N a pixel of the screen is 0.91 m: one of the image has 11 of them
        runs = np.diff(np.flatnonzero(np.diff(rows)))
        assert 10 <= np.median(runs) <= 12
        page.find_element("css selector", "#map").click()
        wait_for(page, lambda: "source_time" in page.find_element("tag name", "body").text)
        said = page.find_element("css selector", ".qmosaic-values").text
        assert "board <1>" in said
        assert re.search(r"grey (0|200)\n", said)
        assert "source_time 2021-05-04 10:00:00" in said
        assert "source_index 3" in said
        assert errors(page) == []
        page.get(page_of_notebook.as_uri())
        wait_for(page, lambda: len(shades(page) & {0, 200}) == 1)
        assert errors(page) == []
    assert "srcdoc" in m._repr_html_()
