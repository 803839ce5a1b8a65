"""geemap's names: scripts that draw geometries, name colours and write pixels run as they are."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import odc.geo.geom
import odc.geo.xr
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr

import qmosaic as qm
import qmosaic.display as geemap
from qmosaic import ee
from qmosaic.display.features import Features, is_image
from qmosaic.display.styles import style_of
from tests.support.browser import browser, errors, screenshot, wait_for
from tests.support.scenes import CRS

pytest.importorskip("folium", reason="it is in the extra [map]")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # geopandas 1.0 with a later shapely
    geopandas = pytest.importorskip("geopandas")
assert odc.geo.xr is not None

LON, LAT = -103.19, 40.14
BOX = (-103.20, 40.13, -103.18, 40.15)


def image(side: int = 40, dtype: Any = "float64") -> xr.Dataset:
    """An image of 10 m around 103.19° W, 40.14° N."""
    coords = {"y": 4_445_065 - 10.0 * np.arange(side), "x": 653_990 + 10.0 * np.arange(side)}
    values = np.arange(side * side).reshape(side, side)
    bands = {
        n: (("y", "x"), (values * k % 251).astype(dtype))
        for n, k in zip("rgb", (1, 3, 7), strict=True)
    }
    return xr.Dataset(bands, coords).odc.assign_crs(CRS)


# -- geometries ------------------------------------------------------------------------------------


def the_same_box() -> dict[str, Any]:
    """A box of two hundredths of a degree, in all forms that a script may have it in."""
    polygon = shapely.box(*BOX)
    geojson = json.loads(shapely.to_geojson(polygon))
    feature = {"type": "Feature", "properties": {"name": "field"}, "geometry": geojson}
    several = {"type": "FeatureCollection", "features": [feature, {**feature, "geometry": None}]}
    table = geopandas.GeoDataFrame({"name": ["field"]}, geometry=[polygon], crs=4326)
    projected = odc.geo.geom.box(*BOX, crs="EPSG:4326").to_crs(CRS)
    return {
        "GeoJSON": geojson,
        "feature": feature,
        "features": several,
        "shapely": polygon,
        "list": [polygon],
        "odc-geo, projected": projected,
        "GeoDataFrame": table,
        "GeoDataFrame, projected": table.to_crs(CRS),
        "GeoSeries": table.geometry,
        "box": BOX,
        "ee.Geometry": ee.Geometry.Rectangle(list(BOX)),
        "interface": SimpleNamespace(__geo_interface__=several),
        "table behind it": SimpleNamespace(geodataframe=table, geometry=None),
        "method": SimpleNamespace(geometry=lambda: ee.Geometry(polygon)),
    }


@pytest.mark.parametrize("form", the_same_box())
def test_geometries_of_every_form_lie_where_they_are(form: str, tmp_path: Path) -> None:
    """Whatever a geometry is given as and its CRS: it is no image, it is drawn in degrees, and the
    map looks at its middle."""
    given = the_same_box()[form]
    assert not is_image(given)
    layer = Features.of(given, None)
    np.testing.assert_allclose(np.ravel(layer.bounds), [BOX[1], BOX[0], BOX[3], BOX[2]], atol=1e-6)
    assert [one["geometry"]["type"] for one in layer.shapes["features"]] == ["Polygon"]
    m = geemap.Map(tiles=None)
    m.addLayer(given, {"color": "FF0000"}, "field")
    m.centerObject(given, 12)
    assert m.layers == ["field"]
    found = re.search(r"center: \[([\d.]+), (-[\d.]+)\]", m.to_html())
    assert found
    np.testing.assert_allclose([float(found[1]), float(found[2])], [LAT, LON], atol=1e-5)


def test_a_path_of_geojson_is_no_mosaic(tmp_path: Path) -> None:
    """Other paths are those of stores."""
    path = tmp_path / "field.geojson"
    path.write_text(shapely.to_geojson(shapely.box(*BOX)))
    assert not is_image(str(path))
    assert Features.of(path, None).bounds[0] == [BOX[1], BOX[0]]
    assert is_image(tmp_path / "mosaic.zarr")


def test_features_stay_apart() -> None:
    """Each is drawn by itself, also where two of a table have one label."""
    points = [
        shapely.Point(LON, LAT),
        shapely.Point(LON, LAT),
        shapely.LineString([(0, 0), (1, 1)]),
    ]
    table = geopandas.GeoDataFrame(geometry=points, crs=4326, index=[5, 5, 6])
    kinds = [one["geometry"]["type"] for one in Features.of(table, None).shapes["features"]]
    assert kinds == ["Point", "Point", "LineString"]


def test_what_crosses_180_degrees_stays_in_one_piece() -> None:
    """Geometries and images: a map that looks at one does not show the whole globe."""
    fiji = ee.Geometry.MultiPolygon(
        [[[[178, -18], [180, -18], [180, -16]]], [[[-180, -18], [-179, -18], [-180, -16]]]]
    )
    (_, west), (_, east) = Features.of(fiji, None).bounds
    assert (west, east) == (178, 181)
    coords = {"y": 8_100_000 - 2000.0 * np.arange(60), "x": 800_000 + 4000.0 * np.arange(60)}
    ones = xr.Dataset({"a": (("y", "x"), np.ones((60, 60)))}, coords).odc.assign_crs("EPSG:32760")
    m = geemap.Map(tiles=None)
    for thing in (fiji, ones):
        m.centerObject(thing, 6)
        found = re.search(r"center: \[(-[\d.]+), (-?[\d.]+)\]", m.to_html())
        assert found
        assert abs(float(found[2])) > 178
        m.centerObject(thing)
        (_, west), (_, east) = m._view.bounds or [[0, 0], [0, 0]]
        assert 0 < east - west < 10


def test_a_map_looks_at_all_of_what_it_is_centred_on() -> None:
    """Without a zoom level, the whole of a geometry or an image is seen; nothing is computed."""
    m = geemap.Map(tiles=None)
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        m.centerObject(ee.Image(image().chunk()))
        assert "fitBounds" in m.to_html()
        m.center_object(ee.Geometry.Point(LON, LAT))
    assert re.search(
        r'fitBounds\(\s*\[\[40\.14, -103\.19\], \[40\.14, -103\.19\]\],.*?"?maxZoom"?: 17',
        m.to_html(),
        re.S,
    )
    m.setZoom(9)
    assert re.search(r'"?zoom"?: 9', m.to_html())
    m.setCenter(LON, LAT)  # which keeps the level
    assert re.search(r'"?zoom"?: 9', m.to_html())


STYLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "none": (None, {"color": "#000000", "weight": 2, "fillColor": "#000000", "fillOpacity": 0.5}),
    "Earth Engine": (
        {"color": "FF0000"},
        {"color": "#ff0000", "fillColor": "#ff0000", "opacity": 1},
    ),
    "a text": ("blue", {"color": "#0000ff"}),
    "digits of opacity": (
        {"color": "#FF000080", "fillColor": "00FF0000"},
        {"color": "#ff0000", "opacity": 128 / 255, "fillColor": "#00ff00", "fillOpacity": 0},
    ),
    "a filled area": ({"fillColor": "green"}, {"fillColor": "#008000", "fillOpacity": 1}),
    "Leaflet": (
        {"weight": 3, "fillOpacity": 0.2, "opacity": "0.5"},
        {"weight": 3, "fillOpacity": 0.2, "opacity": 0.5},
    ),
    "draw": ({"strokeWidth": ee.Number(5)}, {"weight": 5}),
    "lines": ({"lineType": "dashed"}, {"dashArray": "8 6"}),
}


@pytest.mark.parametrize("name", STYLES)
def test_styles_are_those_of_earth_engine(name: str) -> None:
    """Black lines and half transparent areas, unless a script says otherwise."""
    given, wanted = STYLES[name]
    path = style_of(given, "add_layer()").path
    assert {key: path[key] for key in wanted} == pytest.approx(wanted)


def test_features_bring_their_style_along() -> None:
    """What ``style`` has said of features holds, unless addLayer says otherwise."""
    field = SimpleNamespace(
        geodataframe=the_same_box()["GeoDataFrame"],
        styling={"color": "blue", "fillColor": "00000000", "pointShape": "star5"},
    )
    path = Features.of(field, {"color": "red"}).style.path
    assert (path["color"], path["fillOpacity"]) == ("#ff0000", 0)
    assert Features.of(field, None).style.path["color"] == "#0000ff"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"palette": "red"},
            TypeError,
            "style 'palette' for a geometry; there are 'color', 'width'",
        ),
        (["red"], TypeError, r"vis_params=\['red'\] \(list\) for a geometry"),
        ({"color": "reddish"}, ValueError, "'reddish', which is no name of CSS"),
        ({"width": "wide"}, ValueError, "width='wide'"),
        ({"opacity": 2}, ValueError, "opacity=2 for a geometry; it is a number, 0 to 1"),
        ({"lineType": "wavy"}, ValueError, "lineType='wavy'"),
    ],
)
def test_styles_that_cannot_be(given: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    m = geemap.Map(tiles=None)
    with pytest.raises(error, match=message):
        m.addLayer(ee.Geometry.Point(LON, LAT), given, "here")
    assert m.layers == []


def test_what_is_neither_image_nor_geometry() -> None:
    """What has nothing to show or lies nowhere is told apart, with a way out."""
    m = geemap.Map(tiles=None)
    with pytest.raises(TypeError, match="a table"):
        m.addLayer(pd.DataFrame({"a": [1]}))
    with pytest.raises(TypeError, match="got a int"):
        m.centerObject(5)
    with pytest.raises(ValueError, match="without a grid, a constant for instance"):
        m.addLayer(ee.Image(1))
    with pytest.warns(UserWarning, match="has no image, and nothing of it is shown"):
        m.addLayer(image()[[]])
    with pytest.raises(ValueError, match=r"geopandas.read_file\(path\)"):
        m.addLayer("fields.shp")
    with pytest.raises(ValueError, match="'here', latitude 3 is no place"):
        m.setCenter("here", 3)
    with pytest.raises(ValueError, match="without any geometry"):
        m.addLayer({"type": "FeatureCollection", "features": []})


def test_features_over_and_under_images_in_a_browser(tmp_path: Path) -> None:
    """Later layers lie on top, be they images or geometries, in a page and on a server; switched
    off and on, they keep their place."""
    ones = image()[["r"]] * 0 + 1
    field = shapely.Point(LON, LAT).buffer(0.001)
    m = geemap.Map(tiles=None)
    m.addLayer(field.buffer(0.02), {"color": "0000FF", "fillColor": "0000FF"}, "below")
    m.addLayer(ones, {"palette": "00FF00"}, "image")
    m.addLayer(field, {"fillColor": "FF0000", "width": 0}, "above")
    m.centerObject(ones, 15)
    server = m.serve()
    try:
        with browser(tmp_path / "profile") as page:
            for address in (
                m.save(tmp_path / "map.html").as_uri(),
                f"{server.url}{m._view.address}",
            ):
                page.get(address)
                wait_for(page, lambda: seen(page, (0, 1, 0)) > 0.01)
                assert seen(page, (1, 0, 0)) > 0.001
                assert seen(page, (0, 0, 1)) > 0.3
                height, width, _ = screenshot(page).shape
                middle = screenshot(page)[height // 2, width // 2]
                np.testing.assert_allclose(middle, [1, 0, 0], atol=0.02)
                for _ in range(2):
                    boxes = page.find_elements(
                        "css selector", ".leaflet-control-layers-overlays input"
                    )
                    boxes[0].click()
                wait_for(page, lambda: seen(page, (0, 0, 1)) > 0.3)
                assert seen(page, (0, 1, 0)) > 0.01
                assert errors(page) == []
    finally:
        server.stop()


def seen(page: Any, colour: tuple[float, float, float]) -> float:
    """Tell how much of the page has a colour."""
    return float((np.abs(screenshot(page) - np.array(colour)) < 0.02).all(axis=-1).mean())


# -- visualisation parameters ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            {"bands": "r, g,b", "min": "0", "max": "250"},
            {"bands": ["r", "g", "b"], "min": 0, "max": 250},
        ),
        (
            {"bands": ["r"], "min": [0], "max": [250], "palette": "white, 008000"},
            {"bands": "r", "min": 0, "max": 250, "palette": ["#FFFFFF", "green"]},
        ),
        (
            {"bands": ["r"], "max": 250, "palette": ["white,008000", "black"]},
            {"bands": "r", "max": 250, "palette": ["white", "green", "black"]},
        ),
        (
            {"min": "0, 10,20", "max": "100,110 , 120", "gamma": "1.4"},
            {"min": [0, 10, 20], "max": [100, 110, 120], "gamma": 1.4},
        ),
        (
            {"min": ee.Number(3), "max": ee.List([100, 110, 120]), "gamma": [1.2, 1, 0.8]},
            {"min": 3, "max": [100, 110, 120], "gamma": [1.2, 1, 0.8]},
        ),
        (
            {"gain": "1.5,1,0.5", "bias": 7, "opacity": "0.5"},
            {"gain": [1.5, 1, 0.5], "bias": [7, 7, 7], "opacity": 0.5},
        ),
    ],
)
def test_parameters_as_earth_engine_writes_them(written: Any, meant: Any) -> None:
    """Texts with commas, lists of one, numbers of Earth Engine: as the same numbers of Python."""
    np.testing.assert_array_equal(qm.visualize(image(), **written), qm.visualize(image(), **meant))
    m = geemap.Map(tiles=None)
    m.addLayer(image(), written, ee.String("as a text"), 1, ee.Number(1))
    m.addLayer(image(), meant, "as a list")
    first, second = (one.layer.picture.values for one in m._shown)
    np.testing.assert_array_equal(first, second)
    assert m.layers == ["as a text", "as a list"]


def test_a_band_called_as_a_dimension_is_shown_by_its_name() -> None:
    """``time`` is a frequent name: on a map, a server and a picture, and in an array."""
    scene = ee.Image(image()).select(["r", "g"], ["time", "g"])
    vis = {"bands": ["time"], "min": 0, "max": 250}
    wanted = qm.visualize(image(), bands="r", min=0, max=250)
    np.testing.assert_array_equal(qm.visualize(scene, **vis), wanted)
    assert qm.quicklook(scene, **vis).png == qm.quicklook(image(), **{**vis, "bands": "r"}).png
    m = geemap.Map(tiles=None)
    m.addLayer(scene, vis, "time")
    m.serve().stop()
    got = geemap.ee_to_numpy(scene, bands=["time"])
    np.testing.assert_array_equal(got[..., 0], image()["r"])


def test_a_text_that_is_no_number() -> None:
    """It is named; percentages still are those of the values."""
    with pytest.raises(ValueError, match="max='bright'"):
        qm.visualize(image(), max="bright")
    m = geemap.Map(tiles=None)
    m.addLayer(image(), {"bands": "r", "min": "0%", "max": "100%"})
    assert m._shown[0].layer.picture.values[..., 0].max() == 255


def masked(values: Any, nodata: Any = None) -> xr.DataArray:
    attrs = {} if nodata is None else {"_FillValue": nodata}
    return xr.DataArray(np.asarray(values), dims=("time", "y", "x"), attrs=attrs)


def colours_by_hand(bands: list[Any], low: float, high: float, gamma: float, palette: Any) -> Any:
    """Earth Engine's visualize, pixel by pixel; None where it is masked."""
    found = np.full((3, *bands[0].shape), None, object)
    for place in np.ndindex(*bands[0].shape):
        values = [band[place] for band in bands]
        if any(value is None for value in values):
            continue
        levels = [min(max((value - low) / (high - low), 0), 1) ** (1 / gamma) for value in values]
        for channel in range(3):
            level = levels[channel] if len(levels) == 3 else levels[0]
            colour = 255 * level
            if palette is not None:
                at = level * (len(palette) - 1)
                left = min(int(at), len(palette) - 2)
                start, end = palette[left][channel], palette[left + 1][channel]
                colour = start + (at - left) * (end - start)
            found[(channel, *place)] = int(colour + 0.5)
    return found


@pytest.mark.parametrize("lazy", [False, True])
def test_visualize_makes_bands_of_colours(lazy: bool) -> None:
    """Each pixel of each image, inside map() and of one image: as a loop over pixels has it; dtype,
    names and masks; what stands for masked is no colour."""
    rng = np.random.default_rng(1)
    raw = {n: rng.integers(0, 3500, (2, 4, 5)).astype("uint16") for n in ("B4", "B3", "B2")}
    raw["B4"][0, 1] = 0
    given = xr.Dataset(
        {"B4": masked(raw["B4"], np.uint16(0)), "B3": masked(raw["B3"]), "B2": masked(raw["B2"])},
        {"time": np.array(["2020-07-01", "2020-07-02"], "M8[ns]")},
    )
    given = given.chunk(time=1, y=2) if lazy else given
    none = {n: v.astype(object) for n, v in raw.items()}
    none["B4"][raw["B4"] == 0] = None
    rgb = {"bands": ["B4", "B3", "B2"], "min": 100, "max": 3000, "gamma": 1.4}
    palette = [(255, 255, 255), (0, 128, 0), (0, 0, 255)]
    cases: list[tuple[Any, list[str], Any, Any]] = [
        (rgb, ["B4", "B3", "B2"], 1.4, None),
        (
            {"bands": "B4", "min": 100, "max": 3000, "palette": "white, 008000,blue"},
            ["B4"],
            1,
            palette,
        ),
        ({"bands": ["B3"], "min": 100, "max": 3000, "forceRgbOutput": True}, ["B3"], 1, None),
    ]
    with dask.config.set(scheduler="synchronous"):
        for parameters, names, gamma, table in cases:
            wanted = colours_by_hand([none[n] for n in names], 100, 3000, gamma, table)
            together = ee.ImageCollection(given).map(lambda one, p=parameters: one.visualize(**p))
            single = ee.Image(given.isel(time=1)).visualize(**parameters)
            for made, expected in ((together.dataset, wanted), (single.dataset, wanted[:, 1])):
                assert list(made.data_vars) == ["vis-red", "vis-green", "vis-blue"]
                for band, colours in zip(made.data_vars.values(), expected, strict=True):
                    assert band.dtype == ("uint16" if "B4" in names else "uint8")
                    assert lazy == (band.chunks is not None)
                    fill = band.attrs.get("_FillValue")
                    got = band.values.astype(object)
                    got[got == fill] = None
                    np.testing.assert_array_equal(got, colours)
    grey = ee.Image(given.isel(time=0)).select("B3").visualize(min=0, max=3500)
    assert grey.bandNames() == ["vis-gray"]
    again = ee.Image(given.isel(time=0)).visualize(bands=["B3", "B3", "B3"], max=3000)
    assert again.bandNames() == ["vis-red", "vis-green", "vis-blue"]


def test_bands_of_colours_are_shown_as_they_are() -> None:
    """An image that was visualized looks on a map as the image does with these parameters, also
    where pixels are masked, and with its opacity."""
    scene = image(dtype="uint16").assign(
        r=lambda one: one["r"].assign_attrs(_FillValue=np.uint16(3))
    )
    vis = {"bands": ["r", "g", "b"], "min": 10, "max": 200, "opacity": 0.5}
    m = geemap.Map(tiles=None)
    m.addLayer(ee.Image(scene), vis)
    m.addLayer(ee.Image(scene).visualize(**vis))
    first, second = (one.layer.picture.values for one in m._shown)
    np.testing.assert_array_equal(first, second)
    assert sorted(np.unique(first[..., 3])) == [0, 128]
    plain = {"bands": ["g"], "min": -200, "max": 600}
    look = qm.quicklook(ee.Image(scene).visualize(**plain)).png
    assert look == qm.quicklook(ee.Image(scene), **plain).png


def test_a_mosaic_of_bands_of_colours_stays_deferred() -> None:
    """Colours are functions of single pixels: a mosaic of them has a task a block."""
    times = np.array(["2020-07-01", "2020-07-02", "2020-07-03"], "M8[ns]")
    data = dask.array.zeros((3, 8, 8), chunks=(1, 4, 4), dtype="uint8")
    bands = {n: (("time", "y", "x"), data + k) for k, n in enumerate(("B4", "B3", "B2", "cloud"))}
    collection = ee.ImageCollection(xr.Dataset(bands, {"time": times}))
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        drawn = collection.map(
            lambda one: one.visualize(["B4", "B3", "B2"]).addBands(one.select("cloud"))
        )
        explained = qm.explain(drawn.qualityMosaic("cloud").dataset)
    assert explained.tasks == explained.blocks + 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bands": ["r", "g"]}, "got 2 bands, 'r', 'g'"),
        ({"bands": ["nir"]}, "nir"),
        ({"palette": "red, blue"}, "a palette and 3 bands"),
        ({"min": 3, "max": 1}, "min has to be below max"),
        ({"opacity": 3}, "opacity=3"),
    ],
)
def test_colours_that_cannot_be(parameters: Any, message: str) -> None:
    """They are refused when they are asked for."""
    with pytest.raises((KeyError, ValueError), match=message):
        ee.Image(image()).visualize(**parameters)


# -- beside the layers -----------------------------------------------------------------------------


def legends_in(page: str) -> list[str]:
    """Give the titles of the legends of a page, from top to bottom."""
    return re.findall(r'class="qmosaic-legend" id="[^"]*"(?: hidden)?><b>(.*?)</b>', page)


def test_a_colorbar_names_the_bar_that_a_layer_has() -> None:
    """The bar of a palette is there once; one of other colours, or another layer's, is another."""
    vis = {"min": 0, "max": 250, "palette": "white, green"}
    m = geemap.Map(tiles=None)
    m.addLayer(image(), {**vis, "bands": "r"}, "red")
    assert legends_in(m.to_html()) == ["red"]
    m.add_colorbar(vis, label="Red light")
    assert legends_in(m.to_html()) == ["Red light"]
    m.add_colorbar({"min": 0, "max": 1}, cmap="viridis", label="<b>Other</b>")
    assert legends_in(m.to_html()) == ["Red light", "&lt;b&gt;Other&lt;/b&gt;"]
    m.add_colorbar_branca(colors=["blue", "red"], vmin=-5, vmax=5, layer_name="red")
    assert legends_in(m.to_html()) == ["red", "Red light", "&lt;b&gt;Other&lt;/b&gt;"]
    with m.serve() as server:
        m.add_legend("Land", {"water": "0000FF", "forest": (0, 128, 0)})
        assert legends_in(server._page())[-1] == "Land"
    assert "#0000ff" in m.to_html()
    assert "#008000" in m.to_html()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.add_colorbar({"palette": "red"}, layer_name="x"), KeyError, "no layer 'x'"),
        (lambda m: m.add_colorbar({"min": "2%"}), ValueError, "'2%' as an end of the bar"),
        (lambda m: m.add_colorbar({"colour": 1}), TypeError, "'colour'"),
        (lambda m: m.add_colorbar(cmap="nothing"), ValueError, "cmap='nothing'"),
        (lambda m: m.add_legend(), ValueError, "needs texts and their colours"),
        (lambda m: m.add_legend(keys=["a"], colors=["red", "blue"]), ValueError, "needs texts"),
        (lambda m: m.add_legend(builtin_legend="NLCD"), ValueError, "builtin_legend='NLCD'"),
        (lambda m: m.add_basemap("Nowhere"), ValueError, "basemap='Nowhere' is neither"),
        (lambda m: geemap.Map(tiles="Nowhere"), ValueError, "tiles='Nowhere' is neither"),
        (lambda m: geemap.Map(bounds=3), TypeError, r"got bounds=.*center, zoom"),
        (lambda m: geemap.Map(height="tall"), ValueError, "height='tall' is no length"),
    ],
)
def test_what_a_map_cannot_have(call: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    m = geemap.Map(tiles=None)
    with pytest.raises(error, match=message):
        call(m)
    assert legends_in(m.to_html()) == []


def test_base_maps_are_chosen_in_the_list_of_layers() -> None:
    """The last one that was added is shown first; names of Google's maps give others; in a page and
    on a server."""
    m = geemap.Map(center=[LAT, LON], zoom=9, basemap="HYBRID", ee_initialize=False, height=600)
    m.add_basemap("Esri.OceanBasemap", False)
    m.setOptions("OpenTopoMap")
    m.addLayerControl()
    assert "height: 600px" in m._repr_html_()
    page = m.to_html()
    assert page.count("World_Imagery") == 1
    chosen = re.findall(r'"([\w.]+)" : (tile_layer_\w+)', page)
    assert [name for name, _ in chosen] == ["Esri.OceanBasemap", "HYBRID", "OpenTopoMap"]
    assert re.findall(r"(tile_layer_\w+)\.addTo", page) == [chosen[-1][1]]
    with m.serve() as server:
        told = re.search(r"const page = (\{.*?\});\n", server._page())
        assert told
        bases = json.loads(told[1])["bases"]  # of which the page shows the last
        assert [base["label"] for base in bases] == [name for name, _ in chosen]


# -- pixels ----------------------------------------------------------------------------------------


def test_an_image_becomes_an_array() -> None:
    """Rows, columns and bands, in the order that is asked for; what is masked is NaN, or a number
    that one gives; nothing of other bands is computed."""
    scene = image(dtype="uint8")
    got = geemap.ee_to_numpy(ee.Image(scene), bands=["g", "r"])
    assert got.dtype == "uint8"
    np.testing.assert_array_equal(got, np.stack([scene["g"], scene["r"]], axis=-1))
    scene["r"].attrs["_FillValue"] = np.uint8(0)
    holes = scene["r"].values == 0
    assert holes.any()
    got = geemap.ee_to_numpy(ee.Image(scene.chunk(y=7)))
    np.testing.assert_array_equal(np.isnan(got[..., 0]), holes)
    assert not np.isnan(got[..., 1:]).any()
    filled = geemap.ee_to_numpy(ee.Image(scene), bands="r", default_value=-1)
    np.testing.assert_array_equal(
        filled[..., 0], np.where(holes, -1, scene["r"].values.astype(int))
    )
    with pytest.raises(KeyError, match="no band 'nir'"):
        geemap.ee_to_numpy(scene, bands=["nir"])
    with pytest.raises(TypeError, match="it takes an image"):
        geemap.ee_to_numpy(5)


def test_a_region_of_an_image_becomes_an_array() -> None:
    """The box around a region, and other pixels: the nearest, by a loop over their centres."""
    scene = image()[["r"]]
    left, top = float(scene["x"][0]) - 5, float(scene["y"][0]) + 5
    field = odc.geo.geom.box(left + 40, top - 200, left + 160, top - 80, crs=CRS)
    got = geemap.ee_to_numpy(scene, region=ee.Geometry(field))
    np.testing.assert_array_equal(got[..., 0], scene["r"].values[8:20, 4:16])
    coarse = geemap.ee_to_numpy(scene, region=field, scale=20)
    assert 0 < coarse.shape[0] <= 8
    assert set(np.unique(coarse)) <= set(np.unique(scene["r"]))


def test_an_image_becomes_a_geotiff(tmp_path: Path) -> None:
    """Cut to the region, on the grid of the scale, also once more over the same file; a file for
    each band where that is asked for."""
    scene = image(dtype="uint8")
    left, top = float(scene["x"][0]) - 5, float(scene["y"][0]) + 5
    field = odc.geo.geom.box(left + 40, top - 200, left + 160, top - 80, crs=CRS)
    path = tmp_path / "out" / "field.tif"
    for _ in range(2):
        written = geemap.ee_export_image(
            ee.Image(scene.chunk()), filename=str(path), scale=10, region=field, file_per_band=False
        )
        assert written == [path]
    with rasterio.open(path) as file:
        assert file.crs == CRS
        assert tuple(file.bounds) == (left + 40, top - 200, left + 160, top - 80)
        np.testing.assert_array_equal(file.read(1), scene["r"].values[8:20, 4:16])
        assert file.descriptions == ("r", "g", "b")
    several = geemap.download_ee_image(scene, tmp_path / "all.tif", file_per_band=True, timeout=9)
    assert [one.name for one in several] == ["all.r.tif", "all.g.tif", "all.b.tif"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"filename": "a.zip"}, ValueError, "'a.zip'; it writes GeoTIFFs. Write 'a.tif'"),
        ({"filename": "a.tif", "unmask_value": 0}, TypeError, "unmask_value=0"),
        ({"filename": "a.tif", "dimensions": "9x9"}, TypeError, "dimensions='9x9'"),
        ({"filename": "a.tif", "ee_object": 5}, TypeError, "got a int; it takes an image"),
    ],
)
def test_files_that_cannot_be(
    arguments: Any, error: type[Exception], message: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """What came, why not, what to write; nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        geemap.ee_export_image(**{"ee_object": image(), **arguments})
    assert list(tmp_path.iterdir()) == []


# -- names that are not there ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ee_to_gdf", "qmosaic.display has no 'ee_to_gdf'. Use features.geodataframe."),
        ("ee_search", "Use the reference of qmosaic.ee"),
        ("ee_export_image_to_drive", "Use ee.batch.Export.image.toDrive"),
        ("ee_to_nump", "Did you mean ee_to_numpy?"),
        ("wobble", "There are Map, Panel"),
    ],
)
def test_other_names_of_geemap_say_what_to_use(name: str, message: str) -> None:
    """They stay AttributeErrors, as `hasattr` needs them."""
    assert not hasattr(geemap, name)
    with pytest.raises(AttributeError, match=re.escape(message)):
        getattr(geemap, name)
    geemap.ee_initialize(project="mine")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("add_gdf", "Map has no 'add_gdf'. Use Map.add_layer(features, {'color': 'red'}, name)"),
        ("split_map", "Use two layers"),
        ("addlayer", "Did you mean add_layer?"),
        ("wobble", "There are addLayer, "),
    ],
)
def test_other_names_of_maps_say_what_to_use(name: str, message: str) -> None:
    """They stay AttributeErrors."""
    m = geemap.Map(tiles=None)
    assert not hasattr(m, name)
    with pytest.raises(AttributeError, match=re.escape(message)):
        getattr(m, name)


def test_palettes_take_colours_with_an_opacity() -> None:
    """The opacity of a hexadecimal colour in a palette is left out, with "#" and without, in eight
    digits or four."""
    image = ee.Image(xr.Dataset({"a": (("y", "x"), np.array([[0.0, 1.0]]))}))
    plain = image.visualize(min=0, max=1, palette=["f8f8f4", "33bbff"]).dataset
    opaque = image.visualize(min=0, max=1, palette=["#f8f8f4ff", "3bf8"]).dataset
    xr.testing.assert_equal(opaque, plain)
