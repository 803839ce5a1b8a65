"""A page that shows more as one zooms in: its tiles, what it says where one clicks.

The oracle finds a pixel on the map by PROJ and by the formula of Web Mercator.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import odc.geo.xr
import pyproj
import pytest
import xarray as xr
from matplotlib.image import imread

import qmosaic as qm
import qmosaic.display as geemap
from qmosaic.display import pyramids
from qmosaic.display.layers import Layer
from qmosaic.display.placing import Axis
from tests.display.test_map import axis
from tests.support.browser import browser, errors, screenshot, wait_for
from tests.support.scenes import CRS

pytest.importorskip("folium", reason="it is in the extra [map]")
assert odc.geo.xr is not None

PLENTY = 50_000_000
TYPES = {"u1": "u1", "i2": "<i2", "u2": "<u2", "f4": "<f4", "f8": "<f8"}


def checkerboard(side: int = 600) -> xr.Dataset:
    """Squares of one pixel, 10 m, near 103.2° W, 40.1° N; a corner is masked; three images."""
    coords = {"y": 4_445_000 - 10.0 * np.arange(side), "x": 654_000 + 10.0 * np.arange(side)}
    rows, columns = np.mgrid[:side, :side]
    values = np.where((rows + columns) % 2, 10_000, 2_000).astype("uint16")
    values[:50, :50] = 0
    index = np.minimum(columns // 200, 2).astype("int16")
    days = np.array(["2020-06-01", "2020-06-11", "2020-07-04T10:30"], "datetime64[ns]")
    band = xr.Variable(("y", "x"), values, {"_FillValue": 0, "scale_factor": 1e-4})
    where = {"source_index": (("y", "x"), index), "source_time": (("y", "x"), days[index])}
    return xr.Dataset({"red": band}, {**coords, **where}).odc.assign_crs(CRS)


VIS = {"min": 0.2, "max": 1}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page of the checkerboard in a browser, whose pictures for a screen have few pixels."""
    m = geemap.Map(tiles=None, max_size=64)
    m.add_layer(checkerboard().chunk(y=200, x=200), VIS, "squares & </script>")
    m.add_layer(checkerboard()["source_time"], name="dates", shown=False)
    folder = tmp_path_factory.mktemp("page")
    with browser(folder / "profile") as driver:
        driver.get(m.save(folder / "map.html").as_uri())
        yield driver


def look(page: Any, lon: float, lat: float, zoom: int) -> None:
    """Turn the map to a place."""
    (name,) = re.findall(r"var (map_\w+) = L\.map", page.page_source)
    page.execute_script(f"{name}.setView([{lat}, {lon}], {zoom}, {{animate: false}})")


def place_of(row: int, column: int) -> tuple[float, float]:
    """Longitude and latitude of the middle of a pixel."""
    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(654_000 + 10.0 * column, 4_445_000 - 10.0 * row)
    return lon, lat


def middle(page: Any, side: int = 60) -> np.ndarray:
    """Look at the pixels in the middle of the screen: how bright they are."""
    picture = screenshot(page)
    height, width, _ = picture.shape
    half = side // 2
    window = picture[height // 2 - half :, width // 2 - half :][:side, :side]
    return window.mean(axis=-1)


def test_zooming_in_shows_finer_pixels(page: Any) -> None:
    """From afar the squares of one pixel are grey; close by they are black and white, as large as
    they have to be; and nothing goes wrong on the page."""
    look(page, *place_of(300, 300), 11)
    wait_for(page, lambda: np.abs(middle(page) - 0.5).max() < 0.15)
    look(page, *place_of(300, 300), 17)  # a pixel of 10 m is 11 of the screen
    wait_for(page, lambda: (middle(page, 300) < 0.05).mean() > 0.4)
    squares = middle(page, 300)
    assert (squares > 0.95).mean() > 0.4
    scale = 10 / math.cos(math.radians(40.13)) / (2 * math.pi * 6_378_137 / 256 / 2**17)
    changes = np.abs(np.diff(squares, axis=1)) > 0.5
    assert changes.sum(axis=1).mean() == pytest.approx(300 / scale, rel=0.1)
    assert errors(page) == []


def test_a_click_says_values_date_and_image(page: Any) -> None:
    """In the unit of the band, of the pixel that is clicked; of what is switched on; masked ones,
    too. Names are text."""
    for row, column, *wanted in [
        (300, 300, "red 0.2", "source_index 1", "source_time 2020-06-11"),
        (300, 501, "red 1", "source_index 2", "source_time 2020-07-04 10:30"),
        (20, 20, "red masked", "source_index 0", "source_time 2020-06-01"),
    ]:
        lon, lat = place_of(row, column)
        look(page, lon, lat, 17)
        page.find_element("css selector", ".leaflet-container").click()

        def said(lat: float = lat) -> list[str]:
            boxes = page.find_elements("css selector", ".leaflet-popup-content")
            lines: list[str] = boxes[-1].text.splitlines() if boxes else []
            return lines if lines and abs(float(lines[0].split("°")[0]) - lat) < 1e-4 else []

        wait_for(page, lambda said=said: bool(said()))
        place, *rest = said()
        assert re.fullmatch(r"40\.\d{5}° N, 103\.\d{5}° W", place)
        assert rest == ["squares & </script>", *wanted]
    assert errors(page) == []


def says(page: Any, places: Any) -> Any:
    """Ask the page what its first layer says of places, longitudes and latitudes."""
    asking = "([lng, lat]) => qmosaicSays(qmosaicLayers[0].told, L.latLng(lat, lng))"
    return page.execute_script(f"return Promise.all(arguments[0].map({asking}))", places)


def test_a_click_near_a_border_says_what_the_image_has_there(page: Any) -> None:
    """Anywhere in a pixel, near its borders, too, though those of the tiles' pixels lie elsewhere;
    and nothing outside the image."""
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, 600, (2, 60))
    rows[:3], columns[3:6] = 0, 599
    off_y, off_x = rng.choice([-0.48, -0.45, 0, 0.3, 0.45, 0.48], (2, 60))
    at = zip(rows + off_y, columns + off_x, strict=True)
    said = says(page, [place_of(*place) for place in at])
    red = np.where((rows + columns) % 2, "1", "0.2").astype(object)
    red[(rows < 50) & (columns < 50)] = "masked"
    index = np.minimum(columns // 200, 2)
    found = [(dict(one)["red"], int(dict(one)["source_index"])) for one in said]
    assert found == list(zip(red, index, strict=True))
    assert says(page, [place_of(-0.55, 300), place_of(300, 599.55)]) == [None, None]


def test_positions_along_an_axis() -> None:
    """The page and the tiles agree on which row or column lies where: on rising, falling and uneven
    axes, and on longitudes however they are counted; and the page knows what lies outside."""
    places = np.random.default_rng(0).uniform(-700, 700, 500)
    for centres in ([0, 10, 30, 35], [40, 20, 10], 160.5 + np.arange(40), 0.5 + np.arange(360)):
        for around in (False, True):
            along = Axis.of(centres, around=around)
            numbers, found = along.numbers(places), np.floor(along.positions(places))
            inside = (found >= 0) & (found < len(centres))
            np.testing.assert_array_equal(inside, numbers >= 0)
            np.testing.assert_array_equal(found[inside], numbers[inside])


def test_a_click_at_180_degrees(page: Any, tmp_path: Path) -> None:
    """There the tiles of the world begin anew: a place has its values however its longitude is
    counted."""
    coords = {"y": 20 - 0.5 * np.arange(80), "x": 160.25 + 0.5 * np.arange(80)}
    numbers = np.arange(6400.0).reshape(80, 80)
    image = xr.Dataset({"number": (("y", "x"), numbers)}, coords).odc.assign_crs("EPSG:4326")
    m = geemap.Map(tiles=None)
    m.add_layer(image, {"min": 0, "max": 6400})
    before = page.current_url
    try:
        page.get(m.save(tmp_path / "map.html").as_uri())
        places = [(lon, 0.1) for lon in (179.9, 180, -180, 540.1, 180.1, -179.9, 199.9, 159.9)]
        said = [None if one is None else dict(one)["number"] for one in says(page, places)]
        row = 40 * 80
        assert said == [str(row + n) for n in (39, 40, 40, 40, 40, 40, 79)] + [None]
    finally:
        page.get(before)


# -- where tiles lie -------------------------------------------------------------------------------


def pyramid(image: xr.Dataset, max_bytes: int = PLENTY, **options: Any) -> pyramids.Pyramid:
    """Make the tiles of an image, black and white from 0 to 1."""
    return Layer.of(image, {"min": 0, "max": 1} | options, 1024).pyramid(max_bytes)


def value_at(tiles: pyramids.Pyramid, lon: float, lat: float, plane: int = 0) -> float | None:
    """Read a value from the tiles: its place by the formula of Web Mercator."""
    size = 256 * 2**tiles.values_zoom
    x = int((lon + 180) % 360 / 360 * size)
    y = int((0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)) * size)
    text = tiles.values.get(f"{tiles.values_zoom}/{x // 256}/{y // 256}")
    if text is None:
        return None
    raw = zlib.decompress(base64.b64decode(text))
    number = y % 256 * 256 + x % 256
    if not raw[number]:
        return None
    start = 256 * 256
    for one in tiles.planes[:plane]:
        start += 256 * 256 * int(one["type"][1])
    values = np.frombuffer(raw, TYPES[tiles.planes[plane]["type"]], 256 * 256, start)
    return float(values[number])


@pytest.mark.parametrize("flip", [(), ("y", "x")])
@pytest.mark.parametrize(
    ("crs", "ys", "xs"),
    [
        ("EPSG:32633", axis(5_400_000, -1000), axis(500_000, 1000)),
        ("EPSG:32760", axis(8_100_000, -2000), axis(800_000, 4000)),  # over 180°
        ("EPSG:3857", axis(8_400_000, -1000), axis(1_000_000, 1000)),
        ("EPSG:4326", axis(80, -2.0), axis(-179.5, 6.0)),  # around the globe
        ("EPSG:4326", axis(30, -0.5), axis(175, 0.5)),  # over 180°
        ("EPSG:4326", axis(30, -0.5), axis(300, 0.5)),  # 0 to 360
        ("EPSG:3413", axis(1_500_000, -50_000), axis(-1_500_000, 50_000)),  # the pole in it
    ],
)
def test_tiles_lie_where_they_belong(crs: str, ys: Any, xs: Any, flip: tuple[str, ...]) -> None:
    """Whatever the CRS and the order of rows, over the antimeridian and around a pole: every pixel
    is found where PROJ says that its middle lies, and nothing beside the image."""
    numbers = np.arange(3600.0).reshape(60, 60)
    image = xr.Dataset({"number": (("y", "x"), numbers)}, {"y": ys, "x": xs}).odc.assign_crs(crs)
    turned = image.isel(dict.fromkeys(flip, slice(None, None, -1)))
    tiles = pyramid(turned, max=3600)
    assert tiles.values_zoom == tiles.zoom
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    for row, column in [(0, 0), (59, 59), (3, 57), (30, 31), (44, 12), (59, 0)]:
        lon, lat = to_degrees(xs[column], ys[row])
        on_map = abs(lat) < 85  # where web maps end
        assert value_at(tiles, lon, lat) == (numbers[row, column] if on_map else None)
    beside = to_degrees(xs[0] - 2 * (xs[1] - xs[0]), ys[30])
    if crs != "EPSG:4326" or xs[1] - xs[0] < 1:
        assert value_at(tiles, *beside) is None


def test_pictures_are_those_of_the_layer() -> None:
    """The finest tiles have its very colours; each coarser one the mean of four pixels of these, to
    the tile that holds the world. Tiles of nothing are left out."""
    image = checkerboard(300)
    tiles = pyramid(image, max=1.0, min=0.2)
    by_zoom = {z: [k for k in tiles.pictures if k.startswith(f"{z}/")] for z in range(15)}
    assert tiles.zoom == 14  # 9.6 m at the equator, 7.3 m here
    assert all(1 <= len(by_zoom[z]) <= 4 for z in range(4, 14))  # before, it is not seen
    assert len(by_zoom[14]) < 12
    seen = []
    for key in by_zoom[14]:
        picture = imread(io.BytesIO(base64.b64decode(tiles.pictures[key])))
        rgba = picture if picture.shape[-1] == 4 else np.dstack([picture, np.ones((256, 256))])
        seen.append(rgba[rgba[..., 3] > 0][:, 0])
    shades, counts = np.unique(np.concatenate(seen), return_counts=True)
    assert shades.tolist() == [0, 1]
    assert counts[0] == pytest.approx(counts[1], rel=0.02)
    by_hand = np.uint8([[[0, 0, 0, 255], [200, 100, 0, 255]], [[9, 9, 9, 0], [100, 200, 0, 255]]])
    assert pyramids.halved(by_hand, True).tolist() == [[[100, 100, 0, 191]]]
    assert pyramids.halved(by_hand, False).tolist() == [[[100, 200, 0, 255]]]


def test_bytes_are_kept_within_bounds(tmp_path: Path) -> None:
    """Fewer bytes, fewer zoom levels; what is left out is said by `step`; never less than the
    picture for a screen."""
    noise = np.random.default_rng(0).random((400, 400))
    coords = {name: checkerboard(400)[name] for name in ("y", "x", "spatial_ref")}
    image = xr.Dataset({"red": (("y", "x"), noise)}, coords)
    layer = Layer.of(image, {}, 32)
    made = [layer.pyramid(n) for n in (10_000, 80_000, 600_000)]
    for tiles, most in zip(made[1:], (80_000, 600_000), strict=True):
        assert tiles.nbytes <= most
        assert tiles.values
        assert tiles.step == 2 ** (14 - tiles.values_zoom)
    assert made[0].zoom < made[1].zoom < made[2].zoom <= 14
    least = layer.pyramid(1)
    assert 2**least.zoom * 256 / 360 * 0.047 > 16  # 4 km, 0.047°
    m = geemap.Map(tiles=None, max_size=32)
    m.add_layer(image)
    m.add_layer(image)
    assert m.save(tmp_path / "a.html", max_bytes=200_000).stat().st_size < 200_000 + 400_000
    assert "getTileUrl" in m.to_html()
    assert "qmosaicTiles({" not in m.to_html()
    with pytest.raises(ValueError, match="max_bytes=-1"):
        m.save(tmp_path / "b.html", max_bytes=-1)


def test_an_image_is_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is held at a time than a block of tiles shows, and each part is read once."""
    held = []

    def compute(*images: Any) -> Any:
        held.extend(images)
        return images

    layer = Layer.of(checkerboard(900), VIS, 64)
    monkeypatch.setattr(pyramids, "BLOCK", 1)
    monkeypatch.setattr(pyramids, "compute", compute)
    layer.pyramid(PLENTY)
    sides = [max(one.sizes["y"], one.sizes["x"]) for one in held]
    assert max(sides) < 512
    assert sum(one["red"].size for one in held) < 1.5 * 900**2


def test_images_that_the_picture_does_not_show() -> None:
    """A map of dates for a screen may miss an image: its pixels have a colour that is none of the
    legend's, and a click says which image it is."""
    image = checkerboard(512)
    index = image["source_index"].copy(deep=True)
    index[1, 300] = 77
    tiles = Layer.of(index.drop_vars("source_time"), {}, 16).pyramid(PLENTY)
    assert value_at(tiles, *place_of(1, 300)) == 77
    assert value_at(tiles, *place_of(1, 301)) == 1


def test_a_page_knows_what_it_shows() -> None:
    """The bands of a layer, and from which images these are, in the dtypes of JavaScript; nothing
    else of the image is read."""
    image = checkerboard(64)
    for name in ("nir_source_index", "red_source_index", "id"):
        image = image.assign_coords({name: image["source_index"].astype("int64")})
    image["nir"] = image["red"]
    told = [(p["name"], p["type"]) for p in pyramid(image, bands="red").planes]
    origins = [("source_index", "i2"), ("source_time", "f8")]
    assert told == [("red", "u2"), *origins, ("red_source_index", "f8")]
    dates = Layer.of(image, {"bands": "source_time"}, 1024).pyramid(PLENTY)
    assert {p["name"] for p in dates.planes} == {"source_index", "source_time"}
    collection = image[["nir"]].reset_coords(drop=True).expand_dims(time=3).odc.assign_crs(CRS)
    assert [p["name"] for p in pyramid(collection).planes] == ["nir"]


# -- levels and stores -----------------------------------------------------------------------------


def test_a_page_from_a_store_reads_its_levels(tmp_path: Path) -> None:
    """The path of a store stands for its mosaic. A page with little room is made of a level; one
    with room, of all pixels."""
    image = checkerboard(256)[["red"]]
    qm.to_zarr(image, tmp_path / "best.zarr", levels=2)
    m = geemap.Map(tiles=None, max_size=64)
    m.add_layer(tmp_path / "best.zarr", VIS)
    layer = m._shown[0].layer
    (grey,) = np.unique(layer.picture.values[20:40, 20:40, 0])
    assert grey == pytest.approx(128, abs=1)
    sizes = []

    def counting(part: xr.Dataset) -> xr.DataArray:
        sizes.append(part["red"].size)
        return layer.paint(part)

    for most, side in ((1, 32), (PLENTY, 256)):
        sizes.clear()
        pyramids.pyramid_of(
            layer.image,
            layer.bounds,
            counting,
            max_bytes=most,
            least=11.0,
            density=1.0,
            smooth=True,
        )
        assert side**2 <= sum(sizes) <= 2.5 * side**2  # windows overlap
    assert json.dumps(m._shown[0].title) == '"Layer 1"'
