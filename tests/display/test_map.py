"""The map: a page that works from disk, looked at in a browser."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import dask
import numpy as np
import odc.geo.xr
import pyproj
import pytest
import xarray as xr
from matplotlib.image import imread

import qmosaic.display as geemap
from qmosaic import ee
from qmosaic.engine.mosaic import last_on_top
from tests.support.browser import browser, errors, screenshot, wait_for
from tests.support.scenes import CRS, sentinel2

pytest.importorskip("folium", reason="it is in the extra [map]")
assert odc.geo.xr is not None


def plain(colour: tuple[float, float, float], side: int = 40) -> xr.Dataset:
    """An image of one colour, near 103.19° W, 40.14° N."""
    coords = {"y": 4_445_000 - 10.0 * np.arange(side), "x": 654_000 + 10.0 * np.arange(side)}
    bands = {n: (("y", "x"), np.full((side, side), v)) for n, v in zip("rgb", colour, strict=True)}
    return xr.Dataset(bands, coords).odc.assign_crs(CRS)


def switch(page: Any, name: str) -> None:
    """Click on the name of a layer."""
    labels = page.find_elements("css selector", ".leaflet-control-layers-overlays label")
    (label,) = (one for one in labels if one.text.strip() == name)
    label.find_element("css selector", "input").click()


def share(page: Any, colour: tuple[float, float, float]) -> float:
    """Tell how much of the page has a colour."""
    return float((np.abs(screenshot(page) - np.array(colour)) < 0.02).all(axis=-1).mean())


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """From disk, without a server: no errors, layers switch, the colours are the images'."""
    m = geemap.Map()
    m.add_layer(plain((1, 0, 0)), {"min": 0, "max": 1}, "red")
    m.add_layer(plain((0, 0, 1)), {"min": 0, "max": 1}, "blue", False)
    saved = m.save(tmp_path / "maps" / "map.html")
    with browser(tmp_path / "profile") as page:
        page.get(saved.as_uri())
        wait_for(page, lambda: share(page, (1, 0, 0)) > 0.05)
        assert share(page, (0, 0, 1)) == 0
        switch(page, "blue")
        wait_for(page, lambda: share(page, (0, 0, 1)) > 0.05)  # it lies on top
        switch(page, "blue")
        switch(page, "red")
        wait_for(page, lambda: share(page, (1, 0, 0)) == share(page, (0, 0, 1)) == 0)
        assert errors(page) == []


def test_a_map_of_dates_has_a_legend(tmp_path: Path) -> None:
    """Its colours are those of the layer, its title is text; it is there while the layer is on."""
    image = plain((0, 0, 0))
    index = np.zeros((40, 40), "int16")
    index[:20] = 3
    taken = np.array(["2020-06-01", "NaT", "NaT", "2020-07-04"], "datetime64[ns]")[index]
    places = {"source_index": (("y", "x"), index), "source_time": (("y", "x"), taken)}
    mosaic = image.assign_coords(places)
    m = geemap.Map(tiles=None)
    m.add_layer(mosaic["source_time"], name="June & <b>July</b>")
    m.add_layer(mosaic.drop_vars("source_time")["source_index"], name="numbers", shown=False)
    with browser(tmp_path / "profile") as page:
        page.get(m.save(tmp_path / "map.html").as_uri())
        first, second = page.find_elements("css selector", ".qmosaic-legend")
        assert first.text.splitlines() == ["June & <b>July</b>", "2020-06-01", "2020-07-04"]
        assert not second.is_displayed()
        swatches = first.find_elements("css selector", "i")
        colours = [s.value_of_css_property("background-color") for s in swatches]
        for colour in colours:
            red, green, blue, *_ = (int(n) / 255 for n in re.findall(r"\d+", colour))
            wait_for(page, lambda rgb=(red, green, blue): share(page, rgb) > 0.02)
        switch(page, "June & <b>July</b>")
        wait_for(page, lambda: not first.is_displayed())
        switch(page, "numbers")
        wait_for(page, second.is_displayed)
        assert second.text.splitlines() == ["numbers", "image 0", "image 3"]
        assert errors(page) == []


def test_a_notebook_shows_a_map_of_any_size(tmp_path: Path) -> None:
    """In a frame, as a notebook has it; pictures of some MB, too, for which the address of a frame
    would be too long."""
    noise = np.random.default_rng(0).random((900, 900))
    image = plain((0, 0, 0), 900).assign(g=(("y", "x"), noise), b=(("y", "x"), noise[::-1]))
    m = geemap.Map()
    m.add_layer(image, {"min": 0, "max": 1}, "noise")
    m.add_layer(plain((1, 0, 0), 900), {"min": 0, "max": 1}, "red")
    shown = m._repr_html_()
    assert len(shown) > 3_000_000
    (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html><p>{shown}", encoding="utf-8")
    with browser(tmp_path / "profile") as page:
        page.get((tmp_path / "notebook.html").as_uri())
        wait_for(page, lambda: share(page, (1, 0, 0)) > 0.05)
        page.switch_to.frame(page.find_element("css selector", "iframe"))
        switch(page, "red")
        page.switch_to.default_content()
        wait_for(page, lambda: share(page, (1, 0, 0)) == 0)
        assert errors(page) == []


def test_an_image_lies_where_it_belongs(tmp_path: Path) -> None:
    """Reprojected to the map: the middle of the screen shows the pixel at that place."""
    image = plain((0, 0, 0))
    x, y = 654_189, 4_444_866  # 103.19° W, 40.14° N by PROJ
    here = (abs(image["x"] - x) < 60) & (abs(image["y"] - y) < 60)
    image = image.assign(g=xr.where(here, 1.0, 0.0).transpose("y", "x"))
    m = geemap.Map()
    m.setCenter(-103.19, 40.14, 17)
    m.addLayer(image, {"min": 0, "max": 1}, "green")
    with browser(tmp_path / "profile") as page:
        page.get(m.save(tmp_path / "map.html").as_uri())
        wait_for(page, lambda: share(page, (0, 1, 0)) > 0)
        picture = screenshot(page)
    height, width, _ = picture.shape
    np.testing.assert_allclose(picture[height // 2, width // 2], [0, 1, 0], atol=0.02)
    # 200 m further west it is black; at zoom 17 a pixel of the screen is 0.91 m
    np.testing.assert_allclose(picture[height // 2, width // 2 - 150], [0, 0, 0], atol=0.02)


def test_a_collection_shows_its_last_image_on_top() -> None:
    """Where that is masked, one sees the one below; as Earth Engine shows it."""
    red = np.float32([[[1, 1]], [[2, np.nan]], [[np.nan, np.nan]]])
    collection = xr.Dataset({"red": (("time", "y", "x"), red)}, {"time": np.arange(3)})
    for given in (collection, collection.chunk(time=1)):
        np.testing.assert_array_equal(last_on_top(given)["red"].values, [[2, 1]])
        assert list(last_on_top(given)) == ["red"]
    m = geemap.Map()
    scene = sentinel2()
    vis = {"bands": ["B4", "B3", "B2"], "min": 0, "max": 4500}
    m.add_layer(scene, vis, "xarray")
    m.add_layer(ee.ImageCollection(scene), vis, "ee")
    assert m.layers == ["xarray", "ee"]
    page = m.to_html()
    pictures = [part.split('"')[0] for part in page.split("data:image/png;base64,")[1:]]
    shown = [p for p in pictures if len(p) > 2000]
    assert len(shown) >= 2
    assert shown[-1] == shown[-2]


def test_large_images_are_thinned() -> None:
    """No more pixels than a screen has, whatever the size of the image."""
    m = geemap.Map(max_size=64)
    m.add_layer(plain((1, 0, 0), 1000).chunk(y=100, x=100), {"min": 0, "max": 1})
    page = m.to_html()
    start = page.rindex("data:image/png;base64,") + len("data:image/png;base64,")
    encoded = page[start : page.index('"', start)]
    png = base64.b64decode(encoded)
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    assert max(width, height) <= 64
    assert m.layers == ["Layer 1"]


def test_nothing_outside_the_page_is_needed_but_tiles() -> None:
    """No script, style or font from elsewhere; a notebook shows it in a frame."""
    m = geemap.Map(tiles=None)
    m.add_layer(plain((1, 0, 0)), {"min": 0, "max": 1})
    page = m.to_html()
    for tag in ("<script src", "<link", "@import"):
        assert tag not in page
    assert "openstreetmap" not in page
    assert m._repr_html_().startswith("<iframe")
    assert m.to_html().count("leaflet-control-layers-expanded") == page.count(
        "leaflet-control-layers-expanded"
    )


def bad_layers() -> list[tuple[Any, Any, type[Exception], str]]:
    """What cannot be shown, and what the errors say."""
    image = plain((1, 0, 0))
    return [
        (image.drop_vars("spatial_ref"), {}, ValueError, "on a map.*nothing declares the CRS"),
        (image, {"bands": ["B4"]}, KeyError, "no band 'B4'"),
        (image, {"min": 2, "max": 1}, ValueError, "min has to be below max"),
        (image, {"bands": ["r", "g", "b"], "palette": ["red"]}, ValueError, "a palette is for one"),
        (image, {"maximum": 1}, TypeError, "'maximum'"),
        (image, ["r"], TypeError, "vis_params="),
        ("image.tif", {}, ValueError, "the path 'image.tif'.*Open the file first"),
        (image.isel(x=[0]), {}, ValueError, "one row or column"),
    ]


@pytest.mark.parametrize("number", range(8))
def test_layers_that_cannot_be(number: int) -> None:
    """What came, why not, what to write; nothing is computed before."""
    image, parameters, error, message = bad_layers()[number]
    if isinstance(image, xr.Dataset):
        image = image.chunk()
    with (
        dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")),
        pytest.raises(error, match=message),
    ):
        geemap.Map().add_layer(image, parameters)


def test_places_that_cannot_be() -> None:
    """Latitude before longitude is noticed where it can be."""
    for call in (
        lambda: geemap.Map().set_center(40.14, -103.19),
        lambda: geemap.Map(center=(-103.19, 40.14)),
    ):
        with pytest.raises(ValueError, match=r"set_center\(\) takes the longitude first"):
            call()
    with pytest.raises(ValueError, match="zoom=99"):
        geemap.Map(zoom=99)
    with pytest.raises(ValueError, match="opacity=2"):
        geemap.Map().add_layer(plain((1, 0, 0)), {"min": 0, "max": 1}, opacity=2)


def placed(image: xr.Dataset, **options: Any) -> tuple[np.ndarray, list[list[float]]]:
    """Give the picture that a layer is, and where the map puts it: degrees, south-west and
    north-east."""
    m = geemap.Map(**options)
    m.add_layer(image, {"min": 0, "max": 1}, "it")
    page = m.to_html()
    found = re.search(
        r"L\.imageOverlay\(\s*\"data:image/png;base64,([^\"]+)\",\s*(\[\[.*?\]\])", page, re.S
    )
    assert found
    picture = imread(io.BytesIO(base64.b64decode(found[1])))
    return picture, json.loads(found[2])


def marked(
    crs: str, ys: np.ndarray, xs: np.ndarray, at: tuple[int, int], size: int = 1
) -> xr.Dataset:
    """A black image with a red block in it."""
    red = np.zeros((len(ys), len(xs)))
    red[at[0] : at[0] + size, at[1] : at[1] + size] = 1
    bands = {"r": (("y", "x"), red), "g": (("y", "x"), red * 0), "b": (("y", "x"), red * 0)}
    return xr.Dataset(bands, {"y": ys, "x": xs}).odc.assign_crs(crs)


def where_it_lies(picture: np.ndarray, bounds: list[list[float]]) -> tuple[float, float]:
    """Find the red block on the map: longitude and latitude, by the formula of Web Mercator."""
    rows, columns = np.nonzero((picture[..., 0] > 0.9) & (picture[..., 3] > 0.9))
    height, width, _ = picture.shape
    (south, west), (north, east) = bounds
    top, bottom = (math.asinh(math.tan(math.radians(v))) for v in (north, south))
    y = top + (rows.mean() + 0.5) / height * (bottom - top)
    return west + (columns.mean() + 0.5) / width * (east - west), math.degrees(
        math.atan(math.sinh(y))
    )


def axis(start: float, step: float, count: int = 60) -> np.ndarray:
    return start + step * np.arange(count)


@pytest.mark.parametrize("flip", ["none", "y", "x", "both"])
@pytest.mark.parametrize(
    ("crs", "ys", "xs"),
    [
        ("EPSG:32633", axis(5_400_000, -1000), axis(500_000, 1000)),
        ("EPSG:32760", axis(8_100_000, -2000), axis(800_000, 4000)),  # over 180°
        ("EPSG:3035", axis(4_000_000, -5000), axis(3_000_000, 5000)),
        ("EPSG:3857", axis(8_400_000, -1000), axis(1_000_000, 1000)),
        ("EPSG:4326", axis(80, -2.0), axis(-179.5, 6.0)),  # around the globe
        ("EPSG:4326", axis(30, -0.5), axis(175, 0.5)),  # over 180°
        ("EPSG:4326", axis(30, -0.5), axis(300, 0.5)),  # 0 to 360
        ("EPSG:3413", axis(1_500_000, -50_000), axis(-1_500_000, 50_000)),  # the pole in it
        ("EPSG:3031", axis(3_000_000, -50_000), axis(-1_000_000, 50_000)),
    ],
)
def test_images_lie_where_they_belong(crs: str, ys: Any, xs: Any, flip: str) -> None:
    """Whatever the CRS and the order of rows and columns, over the antimeridian and at the poles:
    a block lies where PROJ says, within a pixel of the picture."""
    at = (5, 40)
    image = marked(crs, ys, xs, at, size=4)
    if flip in ("y", "both"):
        image = image.isel(y=slice(None, None, -1))
    if flip in ("x", "both"):
        image = image.isel(x=slice(None, None, -1))
    picture, bounds = placed(image)
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    lon, lat = to_degrees(xs[at[1] : at[1] + 4].mean(), ys[at[0] : at[0] + 4].mean())
    got_lon, got_lat = where_it_lies(picture, bounds)
    (south, west), (north, east) = bounds
    assert abs((got_lon - lon + 180) % 360 - 180) < 2.5 * (east - west) / picture.shape[1]
    assert abs(got_lat - lat) < 2.5 * (north - south) / picture.shape[0]
    assert south < north
    assert west < east <= west + 360.1


def test_names_of_layers_are_text(tmp_path: Path) -> None:
    """Whatever is in them; two of one name are two layers; numbers stay in their order."""
    names = [
        "share {%}",
        "{{7*6}}",
        "<img src=x onerror='document.title=1'>",
        "</script>",
        "mosaic",
    ]
    names += ["mosaic", "2021", "2019", 'quo"tes \\ and `${x}`', "Grüße"]
    m = geemap.Map()
    for name in names:
        m.add_layer(plain((1, 0, 0), 4), {"min": 0, "max": 1}, name)
    shown = [*names[:5], "mosaic (2)", *names[6:]]
    assert m.layers == shown
    with browser(tmp_path / "profile") as page:
        page.get(m.save(tmp_path / "map.html").as_uri())
        wait_for(page, lambda: share(page, (1, 0, 0)) > 0)
        labels = page.find_elements("css selector", ".leaflet-control-layers-overlays label")
        assert [label.text.strip().strip("\u200b") for label in labels] == shown
        assert page.title != "1"
        assert errors(page) == []


def test_the_middle_of_an_image() -> None:
    """centerObject looks at it, without computing it."""
    m = geemap.Map()
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        m.centerObject(ee.Image(plain((1, 0, 0)).chunk()), 12)
    assert "center: [40.1" in m.to_html()
    assert re.search(r'"?zoom"?: 12', m.to_html())


def test_a_map_says_what_it_is() -> None:
    """Its layers, in a line; and how to see it."""
    m = geemap.Map()
    assert "without layers" in repr(m)
    m.add_layer(plain((1, 0, 0)), {"bands": ["r", "g", "b"]}, "red")
    assert repr(m).startswith("Map of 1 layer: 'red'; ")
    assert ".save('map.html')" in repr(m)
