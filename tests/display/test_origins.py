"""Pictures of where pixels come from: maps of dates with a legend, bars of shares.

The oracle reads the pictures: which colours lie where, and how long bars are.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qmosaic as qm
from qmosaic.display import origins
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.dates import Images
from tests.support.sources import Forbidden

pytest.importorskip("matplotlib", reason="it is in the extra [plot]")

PANEL = 504
"""How many pixels wide a panel is."""

TIMES = pd.date_range("2020-06-01", periods=40, freq="10D").values


def mosaic_of(index: Any, **sizes: int) -> xr.Dataset:
    """Make a mosaic of pixels from these images; its band must not be read."""
    index = np.asarray(index, "int16")
    dims = (*sizes, "y", "x")
    coords = {"y": -10.0 * np.arange(index.shape[-2]), "x": 10.0 * np.arange(index.shape[-1])}
    found = np.where(index < 0, np.datetime64("NaT", "ns"), TIMES[index])
    band = da.from_array(Forbidden(index.shape, "uint16"), chunks=-1)
    return xr.Dataset(
        {"red": (dims, band)},
        {**coords, "source_index": (dims, index), "source_time": (dims, found)},
    )


def colours_of(picture: qm.display.Picture) -> np.ndarray:
    """Give the colours of a picture, (y, x), each as one number."""
    from matplotlib.image import imread

    rgb = (imread(io.BytesIO(picture.png))[..., :3] * 255).round().astype(int)
    return rgb[..., 0] * 65536 + rgb[..., 1] * 256 + rgb[..., 2]


def of_the_map(picture: qm.display.Picture, rows: int, columns: int, left: int = 7) -> np.ndarray:
    """Give the colour in the middle of each pixel of the first map, which is `left` from the left
    and ends at the bottom or at its own height from the top line of its frame."""
    colours = colours_of(picture)
    high = round(PANEL * rows / columns)
    frame = colours[:, left + 30]
    top = int(np.flatnonzero(frame == 0x9AA7AD)[0])
    step = PANEL / columns
    ys = (top + (np.arange(rows) + 0.5) * high / rows).astype(int)
    xs = (left + (np.arange(columns) + 0.5) * step).astype(int)
    return colours[np.ix_(ys, xs)]


GREY = 0xE3E8EA
INDEX = np.array([[4, 4, 7], [2, 7, -1], [7, 7, 4]])


@pytest.mark.parametrize("name", ["source_index", "source_time"])
def test_each_image_has_its_colour(name: str) -> None:
    """Pixels of one image have one colour, others another; without an image they are grey; beside
    the map stands each colour, the earliest image at the top."""
    mosaic = mosaic_of(INDEX)
    picture = qm.quicklook(mosaic[name])
    drawn = of_the_map(picture, 3, 3)
    colours = {image: set(drawn[INDEX == image]) for image in (2, 4, 7, -1)}
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 4
    assert colours[-1] == {GREY}
    beside = colours_of(picture)[:, 7 + PANEL + 26 :]
    rows = {image: np.argwhere(beside == c)[:, 0].mean() for image, (c,) in colours.items()}
    assert rows[2] < rows[4] < rows[7] < rows[-1]
    # of a Dataset by its name; on the accessor; of what is deferred
    assert qm.quicklook(mosaic, bands=name).png == picture.png
    assert mosaic.chunk(y=2)[name].qmosaic.quicklook().png == picture.png


def in_cielab(rgb: np.ndarray) -> np.ndarray:
    """Red, green and blue of a screen, 0 to 1, in CIELAB (D65)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = linear @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("count", range(2, 13))
def test_colours_can_be_told_from_each_other(count: int) -> None:
    """Up to 12 images have colours that differ by 20 in CIELAB, where 2 can just be seen."""
    colours = in_cielab(Images(np.arange(count), TIMES[:count]).colours)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    assert apart[~np.eye(count, dtype=bool)].min() > 20


def test_colours_that_are_asked_for_are_used() -> None:
    """With a stretch or a palette an index is a band like any other."""
    plain = xr.Dataset({"number": mosaic_of(INDEX)["source_index"].variable})
    palette = {"min": 0, "max": 7, "palette": "black,red"}
    wanted = qm.visualize(plain, **palette)
    index = mosaic_of(INDEX)["source_index"]
    np.testing.assert_array_equal(qm.visualize(index, **palette).values, wanted.values)
    assert 0xFF0000 in of_the_map(qm.quicklook(index, **palette), 3, 3)


def test_many_images_have_a_scale_of_time() -> None:
    """More than 12 images: equal steps of time are equal steps on the scale, which has dates."""
    index = np.arange(36).reshape(6, 6)
    drawn = of_the_map(qm.quicklook(mosaic_of(index)["source_time"]), 6, 6)
    assert len(set(drawn.ravel())) == 36
    green = drawn // 256 % 256  # of viridis it rises all the way
    assert (np.diff(green.ravel()) > 0).all()
    legend = Images.of(np.arange(36), TIMES[:36]).legend(masked=False)
    assert isinstance(legend, Ramp)
    for place, text in legend.ticks:
        away = np.datetime64(f"{text}-01") - np.datetime64("2020-06-01")
        assert place == pytest.approx(away / np.timedelta64(350, "D"))
    assert [text for _, text in legend.ticks][:3] == ["2020-07", "2020-09", "2020-11"]


def test_images_are_named_by_what_is_known() -> None:
    """By days; by hours too where two are of one day; by their position where no time is known."""
    same_day = np.array(["2020-06-01T09:10", "2020-06-01T09:20"], "datetime64[ns]")
    assert Images.of([5, 3, -1], [*same_day, np.datetime64("NaT")]).labels == [
        "2020-06-01 09:10",
        "2020-06-01 09:20",
    ]
    assert Images.of([5, 3, 5], TIMES[[1, 2, 1]]).labels == ["2020-06-11", "2020-06-21"]
    assert Images.of([5, 3, -1]).labels == ["image 3", "image 5"]
    legend = Images.of([5, 3, -1]).legend(masked=True)
    assert isinstance(legend, Swatches)
    assert [text for _, text in legend.entries] == ["image 3", "image 5", "no image"]


def test_several_maps_share_their_colours() -> None:
    """Side by side, an image has one colour in all of them."""
    first, second = mosaic_of(INDEX), mosaic_of(np.where(INDEX == 4, 11, INDEX))
    picture = qm.quicklook({"June": first["source_index"], "July": second["source_index"]})
    june, july = (of_the_map(picture, 3, 3, left) for left in (7, 7 + PANEL + 7))
    np.testing.assert_array_equal(june[INDEX != 4], july[INDEX != 4])
    assert (june != july)[INDEX == 4].all()


# -- bars ----------------------------------------------------------------------------------------


def length(picture: qm.display.Picture, colour: int, start: int) -> int:
    """Measure the bar of a colour, to the right of a place."""
    return int((colours_of(picture)[:, start:] == colour).sum(axis=1).max())


def test_bars_have_the_colours_of_the_map_and_the_lengths_of_shares(tmp_path: Path) -> None:
    """What is drawn is what `contributions` counts; nothing but index and times is read."""
    mosaic = mosaic_of(INDEX).chunk(x=2)
    picture = qm.display.provenance(mosaic, tmp_path / "look.png", credit="Nobody's data")
    assert (tmp_path / "look.png").read_bytes() == picture.png
    drawn = of_the_map(picture, 3, 3)
    table = qm.contributions(mosaic).set_index("source_index")
    bars = {i: length(picture, drawn[INDEX == i][0], PANEL + 20) for i in (2, 4, 7, -1)}
    for image, pixels in bars.items():
        assert pixels / bars[7] == pytest.approx(
            table["share"][image] / table["share"][7], abs=0.02
        )
    alone = qm.display.shares(qm.contributions(mosaic))
    assert length(alone, drawn[INDEX == 4][0], 0) == pytest.approx(bars[4], abs=1)


def test_images_that_are_too_many_have_one_colour_together() -> None:
    """The 11 that gave most have their own, the others one, on the map and as a bar."""
    index = np.minimum(np.arange(400) // 25, 15)  # 15 of 25 pixels, one (the last) of 25
    index[:5] = 20  # and one of 5
    index = index.reshape(20, 20)
    picture = qm.display.provenance(mosaic_of(index))
    drawn = of_the_map(picture, 20, 20)
    colours = {image: set(drawn[index == image]) for image in np.unique(index)}
    assert len(set.union(*colours.values())) == 12
    counts = pd.Series(index.ravel()).value_counts()
    others = colours[20]  # with the fewest pixels
    together = [image for image, found in colours.items() if found == others]
    assert len(together) == len(counts) - 11
    assert counts[together].max() <= counts.drop(together).min()
    bar = length(picture, *others, PANEL + 20)
    one = length(picture, *colours[1], PANEL + 20)
    assert bar / one == pytest.approx(counts[together].sum() / 25, rel=0.03)


def test_a_bar_for_each_zone() -> None:
    """Parts of a bar are the shares of images in the zone, in the colours of the map; all bars are
    equally long, however large a zone is."""
    mosaic = mosaic_of(INDEX)
    zones = xr.DataArray([[1, 5, 5]] * 3, {"y": mosaic["y"], "x": mosaic["x"]}, ("y", "x"))
    table = qm.contributions(mosaic, zones)
    drawn = of_the_map(qm.display.provenance(mosaic), 3, 3)
    colours = {image: int(drawn[INDEX == image][0]) for image in (2, 4, 7, -1)}
    bars = colours_of(qm.display.shares(table))[:, :700]  # without the legend
    rows = {}
    for zone, images in ((1, (2, 4, 7)), (5, (4, 7, -1))):
        wanted = table[table["zone"] == zone].set_index("source_index")["share"]
        (row, *_) = (r for r in bars if all((r == colours[i]).sum() > 20 for i in images))
        rows[zone] = {image: int((row == colours[image]).sum()) for image in images}
        for image in images:
            share = rows[zone][image] / sum(rows[zone].values())
            assert share == pytest.approx(wanted[image], abs=0.01)
    assert sum(rows[1].values()) == pytest.approx(sum(rows[5].values()), abs=3)


def test_pictures_of_periods_and_bands() -> None:
    """A map shows one mosaic of one index: what to choose is said; bars show all of them."""
    periods = mosaic_of(np.stack([INDEX, INDEX]), time=2)
    for draw in (qm.display.provenance, lambda m: qm.quicklook(m["source_time"])):
        with pytest.raises(ValueError, match=r"dimensions 'time' .*image\.isel\(time=0\)"):
            draw(periods)
    assert qm.display.provenance(periods.isel(time=0)).png
    assert qm.display.shares(qm.contributions(periods)).png
    filled = periods.isel(time=0).rename(
        source_index="red_source_index", source_time="red_source_time"
    )
    with pytest.raises(ValueError, match=r"each band .*images of its own.*band='red'"):
        qm.display.provenance(filled)
    chosen = qm.display.provenance(filled, band="red")
    assert chosen.png == qm.display.provenance(periods.isel(time=0)).png


def test_tables_that_cannot_be_drawn() -> None:
    """What came, why not, what to write."""
    table = qm.contributions(mosaic_of(INDEX))
    with pytest.raises(
        TypeError, match=r"got a Dataset.*shares\(qmosaic\.contributions\(mosaic\)\)"
    ):
        qm.display.shares(mosaic_of(INDEX))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without rows"):
        qm.display.shares(table[:0])
    many = pd.concat([table.assign(zone=zone) for zone in range(41)])
    with pytest.raises(ValueError, match=r"41 parts \(zone\), and draws 40.*table\['zone'\]"):
        qm.display.shares(many)
    with pytest.raises(ValueError, match="provenance=True"):
        qm.display.provenance(mosaic_of(INDEX).drop_vars("source_index"))


def test_a_month_counts_its_own_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a mosaic by period, one period says out of how many images of its own it was made."""
    days = np.array(["2020-01-05", "2020-01-20", "2020-02-03"], "datetime64[ns]")
    values = np.arange(3 * 12.0).reshape(3, 3, 4)
    grid = {"y": 100.0 - 10 * np.arange(3), "x": 10.0 * np.arange(4)}
    images = xr.Dataset({"q": (("time", "y", "x"), values)}, {"time": days, **grid})
    months = qm.quality_mosaic(images, "q", period="MS", provenance=True)
    said = []

    class Noted(origins.Panel):
        def __init__(self, *given: Any) -> None:
            said.append(given[2])
            super().__init__(*given)

    monkeypatch.setattr(origins, "Panel", Noted)
    qm.display.provenance(months.isel(time=0))
    assert said == ["1 of 2 images"]
