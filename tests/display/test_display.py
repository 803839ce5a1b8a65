"""Pictures: Earth Engine's visualisation parameters, quicklooks that read a thinned grid."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.display.ramps import COUNTS, ramp_of
from tests.support.sources import CountingStore, Forbidden, in_store, random_stack

pytest.importorskip("matplotlib", reason="it is in the extra [plot]")
assert odc.geo.xr is not None


def image(**bands: Any) -> xr.Dataset:
    """Make an image of bands (y, x), 10 m pixels."""
    height, width = np.shape(next(iter(bands.values())))
    coords = {"y": -10.0 * np.arange(height), "x": 10.0 * np.arange(width)}
    return xr.Dataset({n: (("y", "x"), np.asarray(v)) for n, v in bands.items()}, coords)


# -- visualize -------------------------------------------------------------------------------------


def test_a_stretch_by_hand() -> None:
    """Values from min to max become 0 to 255; beyond, they are cut; one band is grey."""
    got = qm.visualize(image(red=np.int16([[-500, 0, 1500, 3000, 9000]])), min=0, max=3000)
    assert got.dims == ("y", "x", "band")
    assert list(got["band"].values) == ["r", "g", "b", "a"]
    assert got.dtype == "uint8"
    # 1500 / 3000 · 255 = 127.5
    np.testing.assert_array_equal(got.values[0, :, 0], [0, 0, 128, 255, 255])
    np.testing.assert_array_equal(got.values[0, :, 1], got.values[0, :, 0])
    np.testing.assert_array_equal(got.values[0, :, 3], 255)


def test_three_bands_are_red_green_and_blue() -> None:
    """The first three by default; scalars or one number a band; gamma is 1 / power."""
    given = image(
        B4=np.float32([[0.25]]), B3=np.float32([[0.5]]), B2=np.float32([[1.0]]), B8=[[9.0]]
    )
    np.testing.assert_array_equal(qm.visualize(given).values[0, 0], [64, 128, 255, 255])
    swapped = qm.visualize(given, bands="B2, B3, B4", opacity=0.5)
    np.testing.assert_array_equal(swapped.values[0, 0], [255, 128, 64, 128])
    each = qm.visualize(given, min=[0, 0.25, 0], max=[0.5, 0.75, 2])
    np.testing.assert_array_equal(each.values[0, 0, :3], [128, 128, 128])
    # 255 · 0.25^(1/2) = 127.5, 255 · 0.5^(1/2) = 180.3
    bright = qm.visualize(given, gamma=2)
    np.testing.assert_array_equal(bright.values[0, 0, :3], [128, 180, 255])
    gammas = qm.visualize(given, gamma=[2, 1, 1])
    np.testing.assert_array_equal(gammas.values[0, 0, :3], [128, 128, 255])
    gained = qm.visualize(given, gain=200, bias=[0, 10, 20])
    np.testing.assert_array_equal(gained.values[0, 0, :3], [50, 110, 220])


def test_the_default_stretch_is_that_of_the_dtype() -> None:
    """Floats 0 to 1, integers the range of their dtype; of two bands the first is shown."""
    assert qm.visualize(image(a=np.uint8([[51]]))).values[0, 0, 0] == 51
    assert qm.visualize(image(a=np.int16([[0]]))).values[0, 0, 0] == 128  # 32768 / 65535 · 255
    two = image(a=np.uint8([[51]]), b=np.uint8([[200]]))
    np.testing.assert_array_equal(qm.visualize(two).values[0, 0], [51, 51, 51, 255])


def test_palettes() -> None:
    """Colours spread evenly and blended; names, hexadecimal with or without #, a text of them."""
    given = image(ndvi=np.float32([[-1, 0, 0.25, 0.5, 1, 2]]))
    wanted = [(0, 0, 255), (0, 0, 255), (128, 128, 255), (255, 255, 255), (255, 0, 0), (255, 0, 0)]
    for palette in (["blue", "white", "red"], "0000FF,#fff, ff0000", ("#00F", "FFF", "F00")):
        got = qm.visualize(given, palette=palette, min=0, max=1)
        np.testing.assert_array_equal(got.values[0, :, :3], wanted)
    one = qm.visualize(given, palette="green", min=0, max=1)
    np.testing.assert_array_equal(one.values[0, :, :3], [(0, 128, 0)] * 6)


def test_masked_pixels_are_transparent() -> None:
    """NaN and declared nodata, in any of the bands that are shown."""
    given = image(
        r=np.uint16([[0, 5, 5]]), g=np.uint16([[5, 5, 5]]), b=np.float32([[0.5, 0.5, np.nan]])
    )
    given["r"].attrs["_FillValue"] = 0
    got = qm.visualize(given)
    np.testing.assert_array_equal(got.values[0, :, 3], [0, 255, 0])
    np.testing.assert_array_equal(got.values[0, 0], [0, 0, 0, 0])


def test_colours_are_lazy() -> None:
    """Nothing is read; chunks and CRS are kept; the same pixels as of numpy arrays."""
    values = np.random.default_rng(0).random((20, 30))
    plain = image(a=values, b=values**2, c=values**3).odc.assign_crs("EPSG:32633")
    lazy = plain.chunk(y=8, x=30)
    forbidden = lazy.assign(a=(("y", "x"), da.from_array(Forbidden((20, 30), "float64"), (8, 30))))
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        made = qm.visualize(forbidden)
    assert made.chunks == ((8, 8, 4), (30,), (4,))
    assert made.odc.crs == "EPSG:32633"
    np.testing.assert_array_equal(qm.visualize(lazy).values, qm.visualize(plain).values)


RGB = image(r=np.ones((2, 2)), g=np.ones((2, 2)), b=np.ones((2, 2)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"bands": ["B4"]}, KeyError, "no band 'B4'; there are 'r', 'g', 'b'"),
        ({"bands": ["r", "g"]}, ValueError, "2 bands.*it shows one, or three"),
        ({"min": 1, "max": 1}, ValueError, "min has to be below max"),
        ({"min": [0, 1]}, ValueError, "2 numbers for min= and 3 bands"),
        ({"min": "dark"}, ValueError, "min='dark'"),
        ({"max": "98%"}, ValueError, r"computes nothing.*\*\*qmosaic.display.stretch\(image"),
        ({"palette": ["red"]}, ValueError, "a palette is for one band"),
        ({"bands": "r", "palette": ["reed"]}, ValueError, "'reed', which is no name of CSS"),
        ({"bands": "r", "palette": [3]}, TypeError, "a colour is a text"),
        ({"bands": "r", "palette": []}, ValueError, "empty palette"),
        ({"bands": "r", "palette": ["red"], "gamma": 2}, ValueError, "palette= and gamma="),
        ({"gamma": 0}, ValueError, "gamma=0"),
        ({"opacity": 2}, ValueError, "opacity=2"),
        ({"gain": 1, "max": 2}, ValueError, "gain= or bias= beside min= or max="),
    ],
)
def test_parameters_that_cannot_be(arguments: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.visualize(RGB, **arguments)


def test_what_is_no_image() -> None:
    """A collection, text bands, other objects."""
    collection = RGB.expand_dims(time=3)
    with pytest.raises(ValueError, match=r"not one image.*image.isel\(time=0\)"):
        qm.visualize(collection)
    with pytest.raises(ValueError, match="without any band of numbers"):
        qm.visualize(xr.Dataset({"name": (("y", "x"), np.array([["a"]]))}))
    with pytest.raises(TypeError, match="got a ndarray"):
        qm.visualize(np.ones((2, 2)))


# -- quicklook -------------------------------------------------------------------------------------


def pixels_of(picture: qm.display.Picture) -> np.ndarray:
    """Decode a PNG to red, green, blue."""
    from matplotlib.image import imread

    return imread(io.BytesIO(picture.png))[..., :3]


def test_a_picture_of_one_image(tmp_path: Path) -> None:
    """It shows the colours of the image, has a scale bar, and is written where it is asked to."""
    green = image(
        r=np.zeros((40, 40)), g=np.full((40, 40), 0.5), b=np.zeros((40, 40))
    ).odc.assign_crs("EPSG:32633")
    picture = qm.quicklook(green, tmp_path / "new" / "green.png", min=0, max=1)
    assert (tmp_path / "new" / "green.png").read_bytes() == picture.png == picture._repr_png_()
    pixels = pixels_of(picture)
    middle = pixels[len(pixels) // 4, pixels.shape[1] // 2]
    np.testing.assert_allclose(middle, [0, 128 / 255, 0], atol=0.01)
    bar = (pixels == 1).all(axis=-1)[int(0.9 * len(pixels)) :]
    assert bar.sum() > 50
    without = pixels_of(qm.quicklook(green.drop_vars("spatial_ref"), min=0, max=1))
    assert not (without == 1).all(axis=-1)[int(0.9 * len(without)) : -12, 12:-12].any()


def test_several_images_have_one_stretch() -> None:
    """What is as bright in two images is as bright in the picture; titles stand above."""
    low, high = np.full((30, 30), 100.0), np.full((30, 30), 100.0)
    high[:, 15:] = 900.0
    picture = pixels_of(qm.quicklook({"dark": image(a=low), "bright": image(a=high)}))
    height, width, _ = picture.shape
    row = picture[height // 2, :, 0]
    assert row[width // 4] == row[int(0.55 * width)] == 0
    assert row[int(0.95 * width)] > 0.9
    titles = picture[: height // 12]
    assert (titles < 0.5).any()
    listed = pixels_of(qm.quicklook([image(a=low), image(a=high)]))
    assert listed.shape == picture.shape


def test_a_large_image_is_never_held(tmp_path: Path) -> None:
    """Of 8192² pixels no more is in memory at a time than a few blocks."""

    def block(block_id: tuple[int, ...] = (0, 0)) -> np.ndarray:
        return np.full((512, 512), sum(block_id), "uint16")

    large = da.map_blocks(
        block, chunks=((512,) * 16, (512,) * 16), dtype="uint16", meta=np.empty((0, 0), "uint16")
    )
    lazy = xr.Dataset({"a": (("y", "x"), large)})
    qm.quicklook(lazy.isel(y=slice(64), x=slice(64)), max_size=64)  # imports
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        try:
            qm.quicklook(lazy, max_size=512)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < large.nbytes / 4


def test_a_stored_image_is_read_in_part(tmp_path: Path) -> None:
    """Where a step is wider than a chunk, chunks are left out."""
    stack = random_stack(images=1, side=96)
    collection, store = in_store(stack, tmp_path / "in.zarr", (1, 8, 8))
    qm.quicklook(collection.isel(time=0), bands="red", max_size=6)
    assert len(store.chunks("red")) == 36  # of 144: every 16th row and column
    assert not store.chunks("nir")


def test_thinned_pixels_are_those_in_the_middle() -> None:
    """Every fifth row and column, from the middle of what it stands for."""
    values = np.arange(400.0).reshape(20, 20)
    thinned = qm.display.thinning.thin(image(a=values), 4)
    np.testing.assert_array_equal(thinned["a"].values, values[2::5, 2::5])
    same = qm.display.thinning.thin(image(a=values), 20)
    assert same["a"].shape == (20, 20)


def test_methods(tmp_path: Path) -> None:
    """The same on the accessor."""
    assert RGB.qmosaic.visualize(min=0, max=2).values[0, 0, 0] == 128
    RGB.qmosaic.quicklook(tmp_path / "a.png", min=0, max=1)
    RGB["r"].qmosaic.quicklook(tmp_path / "b.png", min=0, max=1)
    assert (tmp_path / "a.png").exists()
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"bands": ["B4"]}, KeyError, "no band 'B4'"),
        ({"maximum": 3}, TypeError, "'maximum'; there are 'bands'"),
        ({"max_size": 0}, ValueError, "max_size=0"),
    ],
)
def test_quicklooks_that_cannot_be(arguments: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.quicklook(RGB, **arguments)
    with pytest.raises(ValueError, match="no image"):
        qm.quicklook([])


def test_north_is_up() -> None:
    """Whatever the order of rows and columns: the same picture."""
    corner = np.zeros((30, 40))
    corner[:10, :10] = 1
    scene = image(a=corner, b=corner * 0, c=corner * 0).odc.assign_crs("EPSG:32633")
    wanted = qm.quicklook(scene, min=0, max=1).png
    for axes in ({"y"}, {"x"}, {"y", "x"}):
        turned = scene.isel(dict.fromkeys(axes, slice(None, None, -1)))
        assert qm.quicklook(turned, min=0, max=1).png == wanted
    assert qm.quicklook(scene.transpose("x", "y"), min=0, max=1).png == wanted


def test_declared_packing_is_undone() -> None:
    """The stretch is in the unit of the band, before and after it was stored and decoded."""
    given = image(a=np.uint16([[1000, 2500, 4000]]))
    given["a"].attrs = {"scale_factor": 1e-4, "add_offset": -0.1}
    decoded = image(a=[[0.0, 0.15, 0.3]])
    for parameters in ({"min": 0, "max": 0.3}, {"gain": 255, "bias": 0}):
        np.testing.assert_array_equal(
            qm.visualize(given, **parameters).values, qm.visualize(decoded, **parameters).values
        )


def test_images_of_earth_engine_are_shown_as_stored() -> None:
    """A script's min and max are in the stored numbers, as in its arithmetic; packing stays."""
    given = image(a=np.uint16([[1000, 2500, 4000]]))
    plain = qm.visualize(given, min=0, max=4500)
    packed = given.assign(a=given["a"].assign_attrs(scale_factor=1e-4, add_offset=-0.1))
    behind = qm.ee.Image(packed)
    np.testing.assert_array_equal(qm.visualize(behind, min=0, max=4500).values, plain.values)
    assert behind.dataset["a"].attrs["scale_factor"] == 1e-4


def bar_of(picture: qm.display.Picture) -> int:
    """Measure the scale bar: the longest run of white."""
    white = (pixels_of(picture) == 1).all(axis=-1)
    lower = white[int(0.7 * len(white)) : -12, 12:-12]
    runs = ["".join("1" if w else " " for w in row).split() for row in lower]
    return max((len(run) for row in runs for run in row), default=0)


@pytest.mark.parametrize(
    ("crs", "y", "shrunk"), [("EPSG:32633", 5e6, 1.0), ("EPSG:3857", 8_399_737.9, 0.5)]
)
def test_the_scale_bar_is_that_of_the_ground(crs: str, y: float, shrunk: float) -> None:
    """At 60° north a metre of Web Mercator is half a metre; a bar is a round length."""
    coords = {"y": y - 10.0 * np.arange(200), "x": 500_000 + 10.0 * np.arange(200)}
    dark = xr.Dataset({"a": (("y", "x"), np.zeros((200, 200)))}, coords).odc.assign_crs(crs)
    length = bar_of(qm.quicklook(dark, min=0, max=1))
    metres = 200 * 10 * shrunk
    # a round length, a fifth of the width at most: 200 m of 2 km, and of 1 km
    assert length == pytest.approx(504 * 200 / metres, abs=6)


def test_pixels_that_are_not_square() -> None:
    """They are drawn as high as they are; a wide image is shown in all its pixels."""
    tall = image(a=np.zeros((50, 50)))
    tall = tall.assign_coords(y=tall["y"] * 3).odc.assign_crs("EPSG:32633")
    height, width, _ = pixels_of(qm.quicklook(tall, min=0, max=1)).shape
    assert height / width == pytest.approx(3, rel=0.05)
    large = image(a=np.zeros((900, 900)))
    assert pixels_of(qm.quicklook(large, min=0, max=1)).shape[1] > 900
    many = pixels_of(qm.quicklook([image(a=np.zeros((9, 9)))] * 6, min=0, max=1))
    assert many.shape[1] < 4.3 * 510


def test_titles_are_text() -> None:
    """Long ones, formulas, two lines: none breaks the picture."""
    titles = ["price $5 and $10", "two\nlines", "a title that is much longer than the picture " * 3]
    picture = qm.quicklook({title: image(a=np.zeros((9, 9))) for title in titles}, min=0, max=1)
    assert pixels_of(picture).shape[1] < 3 * 510 + 20


def test_what_is_masked_is_not_white() -> None:
    """A masked pixel can be told from the brightest one, and the picture from its page."""
    bright = pixels_of(qm.quicklook(image(a=np.ones((9, 9))), min=0, max=1))
    empty = pixels_of(qm.quicklook(image(a=np.full((9, 9), np.nan)), min=0, max=1))
    middle = tuple(n // 2 for n in bright.shape[:2])
    assert bright[middle].min() == 1
    assert empty[middle].max() < 0.95
    with pytest.raises(ValueError, match="there is nothing to show"):
        qm.quicklook(image(a=np.zeros((9, 9))).isel(x=slice(0)))
    with pytest.raises(ValueError, match=r"'look\.jpg'; it writes PNG"):
        qm.quicklook(RGB, "look.jpg")


def test_a_picture_says_what_it_is() -> None:
    """Its size in pixels, as the file has it."""
    from PIL import Image

    picture = qm.quicklook(xr.Dataset({"red": (("y", "x"), np.eye(40, 50))}))
    width, height = Image.open(io.BytesIO(picture.png)).size
    assert repr(picture).startswith(f"Picture of {width} × {height} pixels; ")


# -- percentages -----------------------------------------------------------------------------------


def test_percentages_of_the_values() -> None:
    """A percentage is a percentile of the valid pixels, by sorting: of all bands together, which
    keeps colours true to each other; in a list, of its band. Numbers stay; what is not said is as
    far from its end."""
    low, high = np.arange(101.0), 1000 + np.arange(101.0)
    given = image(a=[low], b=[high], c=[low])
    values = sorted([*low, *high, *low])
    assert qm.display.stretch(given, "50%", "100%") == {"min": values[151], "max": 1100.0}
    each = qm.display.stretch(given, ["2%", "2%", 5], ["98%", 2000, "50%"])
    assert each == {"min": [2.0, 1002.0, 5], "max": [98.0, 2000, 50.0]}
    mixed = qm.display.stretch(given, -1, ["98%", "50%", "100%"])
    assert mixed == {"min": [-1, -1, -1], "max": [98.0, 1050.0, 100.0]}
    packed = image(a=np.uint16([[0, *range(1, 102)]]))
    packed["a"].attrs = {"_FillValue": 0, "scale_factor": 0.5, "add_offset": 10.0}
    assert qm.display.stretch(packed, "0%", "50%") == {"min": 10.5, "max": 35.5}
    one = {"bands": "b", "max": "90%"}
    wanted = qm.quicklook(given, bands="b", min=1010, max=1090).png
    assert qm.quicklook(given, **one).png == wanted
    assert qm.quicklook(given, bands="b", min=1002, max=1098).png == qm.quicklook(given["b"]).png


def test_a_stretch_is_never_empty() -> None:
    """Of one value, or of none; a number stays where it is."""
    flat = image(a=np.full((3, 3), 7.0))
    assert qm.display.stretch(flat) == {"min": 6.0, "max": 8.0}
    assert qm.display.stretch(flat, 7, "98%") == {"min": 7, "max": 8.0}
    assert qm.display.stretch(flat, "2%", 7) == {"min": 6.0, "max": 7}
    nothing = qm.display.stretch(image(a=np.full((3, 3), np.nan)))
    assert nothing["min"] < nothing["max"]
    assert qm.quicklook(flat, min="2%").png


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min": "dark"}, "'dark', which is no number and no percentage"),
        ({"max": "101%"}, "'101%'.*from '0%' to '100%'"),
        ({"min": "98%", "max": "2%"}, "min='98%' is not below max='2%'"),
        ({"min": ["2%", "2%"], "max": 1}, "2 numbers for min= and 3 bands"),
        ({"min": "2%", "gain": 1}, "gain= or bias= beside min= or max="),
    ],
)
def test_percentages_that_cannot_be(arguments: Any, message: str) -> None:
    """What came, why not, what to write; nothing is computed before."""
    with (
        dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")),
        pytest.raises(ValueError, match=message),
    ):
        qm.quicklook(RGB.chunk(), **arguments)


# -- levels and stores -----------------------------------------------------------------------------


def test_a_picture_reads_the_level_that_fits(tmp_path: Path) -> None:
    """Of a mosaic with levels it reads that one and no other; its pixels are the means that the
    level holds. The path of a store stands for its mosaic."""
    values = np.zeros((64, 64), "uint16")
    values[::2, ::2] = 400
    written = image(red=values, nir=values).chunk(y=16, x=16)
    taken = np.full((64, 64), np.datetime64("2020-06-01", "ns"))
    taken[:32] = np.datetime64("2020-07-01", "ns")
    written = written.assign_coords(source_time=(("y", "x"), taken)).chunk(y=16, x=16)
    qm.to_zarr(written, tmp_path / "best.zarr", levels=2)
    store = CountingStore(tmp_path / "best.zarr")
    best = qm.open_mosaic(store)
    store.reads.clear()
    picture = qm.quicklook(best, bands="red", max_size=32, min=0, max=200)

    def read() -> set[str]:
        chunks = {key.split("/c/")[0] for key in store.reads if "/c/" in key}
        store.reads.clear()
        return chunks & {f"{level}/{name}" for level in range(3) for name in ("red", "nir")}

    assert read() == {"1/red"}
    middle = pixels_of(picture)[150:300, 150:300]
    np.testing.assert_allclose(middle, 0.5, atol=0.01)
    dates = qm.quicklook(best["source_time"], max_size=20)
    assert read() == set()
    assert dates.png == qm.quicklook(qm.open_mosaic(store, level=2)["source_time"]).png
    qm.quicklook(best["red"], max_size=64)
    assert read() == {"0/red"}
    same = qm.quicklook(tmp_path / "best.zarr", bands="red", max_size=32, min=0, max=200)
    assert same.png == picture.png
    with pytest.raises(FileNotFoundError):
        qm.quicklook(str(tmp_path / "none.zarr"))
    with pytest.raises(ValueError, match=r"'a.tif'.*open_collection"):
        qm.quicklook("a.tif")


# -- bars beside pictures --------------------------------------------------------------------------


def test_a_palette_has_a_bar() -> None:
    """Beside the picture stand its colours, the highest value at the top, with round numbers."""
    given = image(ndvi=np.linspace(-1, 1, 900).reshape(30, 30))
    picture = pixels_of(qm.quicklook(given, palette=["red", "white", "blue"], min=-1, max=1))
    bar = picture[8:-8, 540]
    assert (bar[0, 2], bar[0, 0]) == pytest.approx((1, 0), abs=0.05)
    assert (bar[-1, 2], bar[-1, 0]) == pytest.approx((0, 1), abs=0.05)
    assert bar[len(bar) // 2].min() > 0.95
    ramp = ramp_of(given, {"min": -0.3, "max": 0.6, "palette": "red,blue"}, masked=False)
    assert ramp is not None
    texts = {text: place for place, text in ramp.ticks}
    assert texts["0"] == pytest.approx(2 / 3)
    assert texts["0.6"] == pytest.approx(0)
    assert ramp_of(given, {"gain": 1, "palette": "red,blue"}, masked=False) is None


def test_counts_have_a_scale() -> None:
    """A picture of `valid_count` goes from the fewest to the most, with whole numbers beside it;
    colours that are asked for are used."""
    counts = xr.DataArray(np.int16([[3, 4], [5, 7]]), dims=("y", "x"), name="valid_count")
    picture = pixels_of(qm.quicklook(counts))
    corners = picture[20, 20], picture[-20, 480]
    np.testing.assert_allclose(corners[0] * 255, [0x44, 0x01, 0x54], atol=1)
    np.testing.assert_allclose(corners[1] * 255, [0xFD, 0xE7, 0x25], atol=1)
    given = counts.to_dataset()
    ramp = ramp_of(given, {**COUNTS, "min": 3, "max": 7}, masked=False)
    assert ramp is not None
    assert [text for _, text in ramp.ticks] == ["3", "4", "5", "6", "7"]
    grey = pixels_of(qm.quicklook(counts, min=3, max=7))
    assert grey.shape[1] < picture.shape[1]


def test_a_table_is_no_image() -> None:
    """Of contributions, the error says what draws them."""
    mosaic = xr.Dataset(coords={"source_index": (("y", "x"), np.arange(4).reshape(2, 2))})
    with pytest.raises(TypeError, match=r"qmosaic\.display\.shares\(table\)"):
        qm.quicklook(qm.contributions(mosaic))
