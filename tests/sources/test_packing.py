"""Packing belongs to an image: images that are packed differently become comparable integers.

The oracle is made by hand: each image has reflectances in steps of 1/10000, and its file has them
as the packing of that image wants.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import qmosaic as qm
from qmosaic.sources.harmonizing import add_steps, agree, brought_to
from qmosaic.sources.packing import Packing
from qmosaic.sources.sentinel_2 import packing_of_original
from qmosaic.sources.stac.item_packing import packing_said
from tests.support.rasters import CORNER, make_item, write_tif

SIDE = 32
DAYS = ("2021-12-01T10:00:00Z", "2022-02-01T10:00:00Z", "2022-03-01T10:00:00Z")
OLD = {"data_type": "uint16", "nodata": 0, "scale": 1e-4, "offset": 0}
NEW = {**OLD, "offset": -0.1}
SILENT = {"data_type": "uint16", "nodata": 0}
SCL = {"data_type": "uint8", "nodata": 0}


def reflectance(seed: int) -> np.ndarray:
    """Reflectances in steps of 1/10000, above 0 (0 is nodata before baseline 04.00)."""
    return np.random.default_rng(seed).integers(1, 9000, (SIDE, SIDE))


class Scene:
    """A Sentinel-2 item with red, nir and classes, its offset in the pixels or not."""

    def __init__(
        self,
        folder: Path,
        number: int,
        shifted: bool,
        said: Mapping[str, Any],
        time: str | None = None,
        names: tuple[str, str, str] = ("red", "nir", "scl"),
        corner: tuple[float, float] = CORNER,
        **properties: Any,
    ) -> None:
        red, nir, scl = names
        self.red, self.nir = reflectance(number), reflectance(number + 100)
        self.hole = np.random.default_rng(number + 200).random((SIDE, SIDE)) < 0.1
        classes = np.full((SIDE, SIDE), number + 1, "uint8")
        paths = {scl: write_tif(folder / f"{number}_scl.tif", classes, corner=corner)}
        for name, values in ((red, self.red), (nir, self.nir)):
            stored = np.where(self.hole, 0, values + 1000 * shifted).astype("uint16")
            paths[name] = write_tif(folder / f"{number}_{name}.tif", stored, corner=corner)
        self.item = make_item(
            f"item-{number}",
            paths,
            DAYS[number] if time is None else time,
            corner=corner,
            declared={red: said, nir: said, scl: SCL},
            **properties,
        )


def series(folder: Path) -> list[Scene]:
    """One image before baseline 04.00 and two after, as raster:bands tells them."""
    return [
        Scene(folder, 0, False, OLD),
        Scene(folder, 1, True, NEW),
        Scene(folder, 2, True, NEW),
    ]


def decoded(collection: xr.Dataset, band: str) -> np.ndarray:
    """Decode as xarray does."""
    return xr.decode_cf(collection)[band].values


def check_reflectance(collection: xr.Dataset, scenes: list[Scene], band: str = "red") -> None:
    """The oracle: what was meant, in each image; NaN where there are no data."""
    wanted = [np.where(s.hole, np.nan, s.red / 10_000) for s in scenes]
    np.testing.assert_allclose(decoded(collection, band), wanted, rtol=1e-6)


# ---------------------------------------------------------------------------------------------
# STAC
# ---------------------------------------------------------------------------------------------


def test_images_of_two_baselines_mean_the_same(tmp_path: Path) -> None:
    """By default the lowest offset: older images get 1000 more, nothing is lost, uint16 stays."""
    scenes = series(tmp_path)
    opened = qm.open_collection([s.item for s in scenes])
    assert opened["red"].dtype == "uint16"
    assert opened["red"].attrs["scale_factor"] == 1e-4
    assert opened["red"].attrs["add_offset"] == -0.1
    assert opened["red"].attrs["_FillValue"] == 0
    check_reflectance(opened, scenes)
    np.testing.assert_array_equal(opened["red"].values == 0, [s.hole for s in scenes])
    assert "scale_factor" not in opened["scl"].attrs
    np.testing.assert_array_equal(opened["scl"].values[:, 0, 0], [1, 2, 3])


def test_an_index_prefers_no_baseline(tmp_path: Path) -> None:
    """The greenest pixel is that of the highest NDVI of reflectances, whatever their packing."""
    scenes = series(tmp_path)
    opened = qm.open_collection([s.item for s in scenes])
    ndvi = np.stack([(s.nir - s.red) / (s.nir + s.red) for s in scenes])
    got = qm.scores.normalized_difference(opened["nir"], opened["red"])
    for place, scene in enumerate(scenes):
        here = ~scene.hole
        np.testing.assert_allclose(got.values[place][here], ndvi[place][here], atol=1e-5)
    mosaic = qm.quality_mosaic(opened.assign(ndvi=got), "ndvi")
    assert qm.explain(mosaic).deferred
    ndvi[np.stack([s.hole for s in scenes])] = -9
    best = ndvi.argmax(0)
    red = np.take_along_axis(np.stack([s.red for s in scenes]), best[None], 0)[0]
    there = ndvi.max(0) > -9
    np.testing.assert_array_equal(mosaic["red"].values[there], red[there] + 1000)


def test_offset_zero_as_in_earth_engine(tmp_path: Path) -> None:
    """Offset 0 on request: what was below 1 becomes 1, the lowest integer that is not nodata."""
    scenes = series(tmp_path)
    dark = scenes[1].item.assets["red"].href
    stored = np.full((SIDE, SIDE), 1500, "uint16")
    stored[0, :6] = 0, 1, 400, 1000, 1001, 1002
    write_tif(Path(dark), stored)
    opened = qm.open_collection([s.item for s in scenes], harmonize="earth_engine")
    assert opened["red"].dtype == "uint16"
    assert opened["red"].attrs["scale_factor"] == 1e-4
    assert opened["red"].attrs["add_offset"] == 0
    np.testing.assert_array_equal(opened["red"].values[1, 0, :7], [0, 1, 1, 1, 1, 2, 500])
    np.testing.assert_array_equal(
        opened["red"].values[0], np.where(scenes[0].hole, 0, scenes[0].red)
    )
    alone = qm.open_collection([scenes[2].item], harmonize="earth_engine")
    np.testing.assert_array_equal(
        alone["red"].values[0], np.where(scenes[2].hole, 0, scenes[2].red)
    )


def test_nothing_is_computed_where_nothing_differs(tmp_path: Path) -> None:
    """Images of one packing are read as they are: no layer more, only attributes."""
    scenes = [Scene(tmp_path, i, True, NEW) for i in range(2)]
    said = qm.open_collection([s.item for s in scenes])
    check_reflectance(said, scenes)
    bare = [Scene(tmp_path, i, True, SILENT) for i in range(2)]
    silent = qm.open_collection([s.item for s in bare])
    assert len(dict(said["red"].__dask_graph__())) == len(dict(silent["red"].__dask_graph__()))
    assert "scale_factor" not in silent["red"].attrs


def test_harmonizing_is_lazy_and_a_task_a_chunk(tmp_path: Path) -> None:
    """One symbolic layer more, with one task for each chunk; no pixel is read on opening."""
    scenes = series(tmp_path)
    items = [s.item for s in scenes]
    for scene in scenes[1:]:
        Path(scene.item.assets["nir"].href).unlink()  # nobody looks into it
    opened = qm.open_collection(items, chunks={"y": 16, "x": 16})
    plain = qm.open_collection(items, chunks={"y": 16, "x": 16}, packing={"*": None})
    assert opened["red"].chunks == plain["red"].chunks
    more = len(dict(opened["red"].__dask_graph__())) - len(dict(plain["red"].__dask_graph__()))
    assert more == opened["red"].data.npartitions


BASELINE = {"platform": "sentinel-2a"}
B = ("B04", "B08", "SCL")


def test_planetary_computer_says_the_baseline_alone(tmp_path: Path) -> None:
    """From baseline 04.00 on, reflectances have 1000 more; maps of classes do not."""
    scenes = [
        Scene(tmp_path, 0, False, SILENT, names=B, **{"s2:processing_baseline": "02.12"}),
        Scene(tmp_path, 1, True, SILENT, names=B, **{"s2:processing_baseline": "04.00"}),
        Scene(tmp_path, 2, True, SILENT, names=B, **{"s2:processing_baseline": "05.11"}),
    ]
    opened = qm.open_collection([s.item for s in scenes])
    check_reflectance(opened, scenes, "B04")
    np.testing.assert_array_equal(opened["SCL"].values[:, 0, 0], [1, 2, 3])
    assert "scale_factor" not in opened["SCL"].attrs


def test_earth_search_has_taken_the_offset_off(tmp_path: Path) -> None:
    """``boa_offset_applied`` true counts more than -0.1 in raster:bands, which pixels refute."""
    flag = "earthsearch:boa_offset_applied"
    scenes = [
        Scene(tmp_path, 0, False, OLD, **BASELINE, **{flag: False}),
        Scene(tmp_path, 1, False, NEW, **BASELINE, **{flag: True}),
    ]
    opened = qm.open_collection([s.item for s in scenes])
    check_reflectance(opened, scenes)
    assert opened["red"].attrs["add_offset"] == 0


def test_a_flag_that_is_known_to_be_wrong_is_warned_about(tmp_path: Path) -> None:
    """The warning names the items and says what to write; a packing that is given silences it."""
    flag = "earthsearch:boa_offset_applied"
    scenes = [
        Scene(tmp_path, 0, False, OLD, **BASELINE, **{flag: False}),
        Scene(tmp_path, 1, False, NEW, **BASELINE, **{flag: False}),
    ]
    items = [s.item for s in scenes]
    with pytest.warns(UserWarning, match=r"1 of 2 items, 'item-1' first.*issues/71") as caught:
        qm.open_collection(items)
    ours = [w for w in caught if "issues/71" in str(w.message)]
    assert [Path(w.filename).name for w in ours] == [Path(__file__).name]
    wrong = {"item-1"}
    mended = qm.open_collection(
        items,
        bands=["red"],
        packing=lambda item: {"red": {"offset": 0}} if item.id in wrong else None,
    )
    check_reflectance(mended, scenes)
    for item in items:
        item.properties.pop(flag)
    qm.open_collection(items)


def test_items_that_say_nothing_beside_others_are_named(tmp_path: Path) -> None:
    """The error tells which items are silent, and what to write; a function answers for them."""
    scenes = [Scene(tmp_path, 0, False, SILENT), Scene(tmp_path, 1, True, NEW)]
    items = [s.item for s in scenes]
    with pytest.raises(ValueError, match=r"'red'.*not said by the item 'item-0'.*packing=lambda"):
        qm.open_collection(items)
    old = {"scale": 1e-4, "offset": 0}
    opened = qm.open_collection(
        items,
        bands=["red", "scl"],
        packing=lambda item: {"red": old} if item.id == "item-0" else None,
    )
    check_reflectance(opened, scenes)
    classes = qm.open_collection(items, bands=["scl"])
    assert classes["scl"].attrs.get("scale_factor") is None


def test_sentinel_2_without_a_baseline_is_warned_about(tmp_path: Path) -> None:
    """Where nothing tells the packing of any item, and it probably differs, a warning says so."""
    scenes = [Scene(tmp_path, i, bool(i), SILENT, names=B, **BASELINE) for i in range(3)]
    items = [s.item for s in scenes]
    with pytest.warns(UserWarning, match="'B04' mean in 3 items.*'item-0', 'item-1'") as caught:
        qm.open_collection(items)
    ours = [w for w in caught if "nothing tells" in str(w.message)]
    assert [Path(w.filename).name for w in ours] == [Path(__file__).name]
    new = {"scale": 1e-4, "offset": -0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        qm.open_collection(items[1:])
        qm.open_collection(items, bands=["SCL"])
        for item in items:
            item.collection_id = "hls2-s30"
        qm.open_collection(items)
        for item in items:
            item.collection_id = None
        opened = qm.open_collection(
            items,
            bands=["B04"],
            packing=lambda item: {"B04": {**new, "offset": -0.1 * (item.id != "item-0")}},
        )
    check_reflectance(opened, scenes, "B04")


def test_the_header_of_a_file_speaks_for_a_silent_item(tmp_path: Path) -> None:
    """Where only some items say it, the files of the others are asked."""
    scenes = [Scene(tmp_path, 0, False, SILENT), Scene(tmp_path, 1, True, NEW)]
    for name in ("red", "nir"):
        with rasterio.open(scenes[0].item.assets[name].href, "r+") as file:
            file.scales, file.offsets = (1e-4,), (0.0,)
    check_reflectance(qm.open_collection([s.item for s in scenes]), scenes)


def test_a_packing_that_is_given_counts_for_all_images(tmp_path: Path) -> None:
    """What a catalogue says can be overridden: by band, for all others, or switched off."""
    scenes = [Scene(tmp_path, i, True, OLD) for i in range(2)]
    items = [s.item for s in scenes]
    check_reflectance(qm.open_collection(items, packing={"red": {"offset": -0.1}}), scenes)
    both = {"scale": 1e-4, "offset": -0.1}
    check_reflectance(qm.open_collection(items, packing={"scl": None, "*": both}), scenes)
    raw = qm.open_collection(items, packing={"*": None})
    assert not {"scale_factor", "add_offset"} & set(raw["red"].attrs)
    np.testing.assert_array_equal(
        raw["red"].values, [np.where(s.hole, 0, s.red + 1000) for s in scenes]
    )


@pytest.mark.parametrize(
    ("packing", "error", "message"),
    [
        ({"rad": {"scale": 1}}, KeyError, "no band 'rad'; there are 'scl', 'red', 'nir'"),
        ({"red": 0.1}, TypeError, r"has 0.1 for band 'red'. Write \{'B04'"),
        ({"red": {}}, TypeError, "has {} for band 'red'"),
        ({"red": {"factor": 2}}, TypeError, "'factor'"),
        ({"red": {"scale": 0}}, ValueError, "has the scale 0 for band 'red'"),
        ({"red": {"offset": "1"}}, ValueError, "has the offset '1'"),
        ({"red": {"offset": float("nan")}}, ValueError, "has the offset nan"),
        (3, TypeError, "is a int, no mapping"),
        (lambda item: 3, TypeError, "gave for the item 'item-0' is a int"),
        (lambda item: {"rad": None}, KeyError, "item 'item-0' speaks of.*no band 'rad'"),
    ],
)
def test_a_packing_that_makes_no_sense(
    tmp_path: Path, packing: Any, error: type[Exception], message: str
) -> None:
    """Errors say what came and what to write."""
    with pytest.raises(error, match=message):
        qm.open_collection([Scene(tmp_path, 0, False, OLD).item], packing=packing)


def test_a_harmonization_that_is_not_known(tmp_path: Path) -> None:
    """A word that is not known is refused with the one that was probably meant."""
    with pytest.raises(ValueError, match=r"harmonize='lossles' is not known.*'lossless'"):
        qm.open_collection([Scene(tmp_path, 0, False, OLD).item], harmonize="lossles")  # type: ignore[arg-type]


def test_other_steps_cannot_be_brought_together(tmp_path: Path) -> None:
    """Another scale, or an offset between two steps: the error names both items."""
    for said in ({**OLD, "scale": 2.75e-5, "offset": -0.2}, {**OLD, "offset": 0.00005}):
        scenes = [Scene(tmp_path, 0, False, OLD), Scene(tmp_path, 1, False, said)]
        with pytest.raises(
            ValueError, match=r"'red' is packed differently in the item 'item-0'.*'item-1'"
        ):
            qm.open_collection([s.item for s in scenes])


def test_no_offset_where_there_is_no_whole_number_of_steps(tmp_path: Path) -> None:
    """Landsat's -0.2 is 7272.7 steps: offset 0 cannot be had in integers."""
    scene = Scene(tmp_path, 0, False, {**OLD, "scale": 2.75e-5, "offset": -0.2})
    assert qm.open_collection([scene.item])["red"].attrs["add_offset"] == -0.2
    with pytest.raises(ValueError, match=r"cannot be harmonized in the item 'item-0'.*7272\.73"):
        qm.open_collection([scene.item], harmonize="earth_engine")


@pytest.mark.parametrize("shifted", [(0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 0, 0)])
def test_items_of_one_day_are_harmonized_before_they_are_laid_on_each_other(
    tmp_path: Path, shifted: tuple[int, int, int]
) -> None:
    """Of overlapping items the first in time is on top, each in the packing of all."""
    times = [f"2022-02-01T10:0{i}:00Z" for i in range(3)]
    corners = [(CORNER[0] + 80 * i, CORNER[1]) for i in range(3)]
    scenes = [
        Scene(tmp_path, i, bool(s), NEW if s else OLD, times[i], corner=corners[i])
        for i, s in enumerate(shifted)
    ]
    late = Scene(tmp_path, 3, True, NEW, "2022-03-01T10:00:00Z", corner=CORNER)
    opened = qm.open_collection([s.item for s in [*scenes, late]], groupby="solar_day")
    wanted = np.full((SIDE, SIDE + 16), np.nan)
    for i, scene in reversed(list(enumerate(scenes))):
        window = wanted[:, 8 * i : 8 * i + SIDE]
        window[~scene.hole] = scene.red[~scene.hole] / 10_000
    np.testing.assert_allclose(decoded(opened, "red")[0], wanted, rtol=1e-6)
    explained = qm.explain(qm.quality_mosaic(opened, "red"))
    assert explained.deferred
    assert explained.bands_deferred
    last = np.where(late.hole, np.nan, late.red / 10_000)
    np.testing.assert_allclose(decoded(opened, "red")[1, :, :SIDE], last, rtol=1e-6)
    assert opened["red"].dtype == "uint16"
    classes = np.concatenate([np.full(SIDE, 1), np.full(8, 2), np.full(8, 3)])
    np.testing.assert_array_equal(opened["scl"].values[0, 0], classes)


def test_a_fuser_never_sees_two_packings(tmp_path: Path) -> None:
    """A function that joins items of a day would mix their integers: refused."""
    scenes = [
        Scene(tmp_path, i, bool(i), NEW if i else OLD, f"2022-02-01T10:0{i}:00Z") for i in (0, 1)
    ]
    items = [s.item for s in scenes]
    with pytest.raises(ValueError, match="fuse_func= would be given their raw integers"):
        qm.open_collection(items, groupby="solar_day", fuse_func="numpy.copyto")


def test_bands_that_some_items_lack(tmp_path: Path) -> None:
    """A band is masked where an item has none, and the others are in one packing."""
    scenes = series(tmp_path)
    scenes[1].item.assets.pop("red")
    opened = qm.open_collection([s.item for s in scenes], bands=["red", "nir"], missing="mask")
    scenes[1].hole[:] = True
    check_reflectance(opened, scenes)


def told(where: Callable[[pystac.Item], None], **properties: Any) -> Any:
    """Give what an item says of red."""
    item = pystac.Item("a", None, None, datetime.datetime(2022, 2, 1), properties)
    item.add_asset("red", pystac.Asset("https://example.org/red.tif"))
    where(item)
    packing = packing_said(item, "red", 1, "uint16")
    return packing and (packing.scale, packing.offset)


def put(**fields: Any) -> Callable[[pystac.Item], None]:
    """Write fields into the asset."""
    return lambda item: item.assets["red"].extra_fields.update(fields)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, None),
        ({"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, (1e-4, -0.1)),
        ({"raster:bands": [{"scale": 2}]}, (2, 0)),
        ({"raster:bands": [{"offset": 5}]}, (1, 5)),
        ({"raster:bands": [{"scale": "0.5", "offset": None}]}, (0.5, 0)),
        ({"raster:bands": [{"scale": "much"}]}, None),
        ({"raster:bands": [{"scale": 0}]}, None),
        ({"raster:bands": "damaged"}, None),
        ({"bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]}, (1e-4, -0.1)),
        ({"raster:scale": 1e-4, "raster:offset": -0.1}, (1e-4, -0.1)),
        ({"raster:scale": 1e-4, "bands": [{"raster:offset": -0.1}]}, (1e-4, -0.1)),
        ({"raster:scale": 1e-4, "bands": [{"raster:scale": 0.5}]}, (0.5, 0)),
    ],
)
def test_where_items_say_their_packing(fields: dict[str, Any], wanted: Any) -> None:
    """Raster extension 1 and 2, on the band and on the asset; damaged fields say nothing."""
    assert told(put(**fields)) == wanted


PRODUCT = "S2A_MSIL2A_20220201T103631_N0509_R008_T31UFU_20220201T200058"
FLAG, BASE = "earthsearch:boa_offset_applied", "s2:processing_baseline"


@pytest.mark.parametrize(
    ("properties", "fields", "wanted"),
    [
        ({BASE: "03.01"}, {}, (1e-4, 0)),
        ({BASE: "04.00"}, {}, (1e-4, -0.1)),
        ({BASE: "N0511"}, {}, (1e-4, -0.1)),
        ({BASE: "new"}, {}, None),
        ({"s2:product_uri": f"{PRODUCT}.SAFE"}, {}, (1e-4, -0.1)),
        ({"sentinel:product_id": PRODUCT.replace("N0509", "N0301")}, {}, (1e-4, 0)),
        ({BASE: "04.00", "s2:product_uri": PRODUCT.replace("N0509", "N0301")}, {}, (1e-4, -0.1)),
        ({BASE: "04.00"}, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}, (1e-4, 0)),
        ({BASE: "04.00"}, {"raster:bands": [{"scale": 1e-4}]}, (1e-4, -0.1)),
        ({BASE: "04.00", FLAG: True}, {}, (1e-4, 0)),
        ({BASE: "04.00", FLAG: False}, {}, (1e-4, -0.1)),
        ({BASE: "04.00", "sentinel:boa_offset_applied": True}, {}, (1e-4, 0)),
        ({BASE: "04.00", FLAG: True}, {"raster:bands": [{"offset": -0.1}]}, (1e-4, 0)),
        ({BASE: "04.00"}, {"eo:bands": [{"name": "B04"}] * 3}, None),
        ({"platform": "landsat-8"}, {}, None),
    ],
)
def test_what_the_baseline_of_sentinel_2_says(
    properties: dict[str, Any], fields: dict[str, Any], wanted: Any
) -> None:
    """Fields of the band count more than the baseline, what Earth Search did more than both."""
    assert told(put(**fields), **properties) == wanted


def test_the_offset_is_taken_off_geotiffs_not_off_originals(tmp_path: Path) -> None:
    """Beside its GeoTIFFs, Earth Search has ESA's JPEG 2000 files as they were."""
    properties = {FLAG: True, BASE: "05.09", "platform": "sentinel-2b"}
    item = pystac.Item("a", None, None, datetime.datetime(2022, 2, 1), properties)
    fields = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    for name, suffix in (("red", "tif"), ("red-jp2", "jp2")):
        asset = pystac.Asset(f"s3://bucket/B04.{suffix}", extra_fields=fields)
        item.add_asset(name, asset)
    assert packing_said(item, "red", 1, "uint16").offset == 0
    assert packing_said(item, "red-jp2", 1, "uint16").offset == -0.1


@pytest.mark.parametrize(
    ("name", "is_shifted"),
    [
        *((f"B{n:02}", True) for n in range(1, 13)),
        *((n, True) for n in ("B8A", "B02_10m", "blue", "rededge1", "nir08", "nir09", "swir22")),
        *((n, False) for n in ("SCL", "AOT", "WVP", "visual", "cloud", "snow", "aot", "TCI_10m")),
    ],
)
def test_which_bands_the_baseline_moved(name: str, is_shifted: bool) -> None:
    """All reflectances; neither classes nor aerosols, water vapour, probabilities or pictures."""
    item = pystac.Item("a", None, None, datetime.datetime(2022, 2, 1), {BASE: "04.00"})
    item.add_asset(name, pystac.Asset("https://example.org/a.tif"))
    packing = packing_said(item, name, 1, "uint16")
    assert (packing is not None and packing.offset == -0.1) == is_shifted
    assert packing_said(item, name, 1, "float32") is None


# ---------------------------------------------------------------------------------------------
# GeoTIFF
# ---------------------------------------------------------------------------------------------


def packed_tif(path: Path, pixels: Any, scale: Any, offset: Any, **options: Any) -> Path:
    """Write a GeoTIFF that says how its bands are packed."""
    write_tif(path, pixels, **options)
    with rasterio.open(path, "r+") as file:
        file.scales = tuple(np.broadcast_to(scale, file.count).tolist())
        file.offsets = tuple(np.broadcast_to(offset, file.count).tolist())
    return path


def test_bands_of_a_file_that_are_packed_differently(tmp_path: Path) -> None:
    """Each band declares its own scale and offset; an index undoes them."""
    pixels = np.stack([np.full((16, 16), v, "uint16") for v in (10_000, 20_000, 3)])
    packed_tif(
        tmp_path / "LC08_20200101.tif",
        pixels,
        (2.75e-5, 2.75e-5, 1),
        (-0.2, -0.2, 0),
        names=("B4", "B5", "qa"),
    )
    opened = qm.open_collection(tmp_path)
    ndvi = qm.scores.normalized_difference(opened["B5"], opened["B4"])
    red, nir = 10_000 * 2.75e-5 - 0.2, 20_000 * 2.75e-5 - 0.2
    np.testing.assert_allclose(ndvi.values, (nir - red) / (nir + red), rtol=1e-5)
    np.testing.assert_allclose(decoded(opened, "B4"), red)
    assert not {"scale_factor", "add_offset", "scales", "offsets"} & set(opened["qa"].attrs)
    assert opened["qa"].dtype == "uint16"


def test_geotiffs_of_two_packings(tmp_path: Path) -> None:
    """Files are brought to one packing by what they say; by what is given where they say nothing,
    also on another grid."""
    values = [reflectance(i) for i in range(2)]
    for i, (value, offset) in enumerate(zip(values, (0, -0.1), strict=True)):
        stored = (value - round(offset * 10_000)).astype("uint16")
        packed_tif(tmp_path / "a" / f"2022010{i + 1}.tif", stored, 1e-4, offset, names=["red"])
        write_tif(tmp_path / "b" / f"2022010{i + 1}.tif", stored, names=["red"])
    opened = qm.open_collection(tmp_path / "a")
    np.testing.assert_allclose(decoded(opened, "red"), np.stack(values) / 10_000)
    assert opened["red"].dtype == "uint16"

    def packing(path: str) -> Any:
        return {"red": {"scale": 1e-4, "offset": -0.1 if "20220102" in path else 0.0}}

    given = qm.open_collection(tmp_path / "b", packing=packing)
    xr.testing.assert_equal(given["red"], opened["red"])
    half = opened.odc.geobox[:16]
    warped = qm.open_collection(tmp_path / "a", geobox=half, resampling="nearest")
    np.testing.assert_array_equal(warped["red"].values, opened["red"].values[:, :16])
    with pytest.raises(KeyError, match="no band 'rot'"):
        qm.open_collection(tmp_path / "a", packing={"rot": None})


def test_files_of_products_as_esa_delivers_them(tmp_path: Path) -> None:
    """JPEG 2000 files cannot say their packing; the baseline in the name of the product does."""
    names = [PRODUCT.replace("N0509", "N0301").replace("20220201", "20211201"), PRODUCT]
    values = [reflectance(i) for i in range(2)]
    for name, value, shift in zip(names, values, (0, 1000), strict=True):
        folder = tmp_path / f"{name}.SAFE" / "GRANULE" / "L2A_T31UFU" / "IMG_DATA" / "R10m"
        prefix = f"T31UFU_{name[11:26]}_"
        lossless = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "nodata": None}
        write_tif(folder / f"{prefix}B04_10m.jp2", (value + shift).astype("uint16"), **lossless)
        write_tif(folder / f"{prefix}SCL_10m.jp2", np.full((SIDE, SIDE), 4, "uint8"), **lossless)
    pattern = r"_(?P<band>B04|SCL)_10m"
    opened = qm.open_collection(tmp_path, pattern=pattern, nodata=0)
    np.testing.assert_allclose(decoded(opened, "B04"), np.stack(values) / 10_000)
    assert "scale_factor" not in opened["SCL"].attrs
    raw = qm.open_collection(tmp_path, pattern=pattern, nodata=0, packing={"*": None})
    np.testing.assert_array_equal(raw["B04"].values[1], values[1] + 1000)


@pytest.mark.parametrize(
    "path",
    [
        f"/data/{PRODUCT}.SAFE/QI_DATA/MSK_DETFOO_B04.jp2",
        f"/data/{PRODUCT}.SAFE/QI_DATA/T31UFU_20220201T103631_PVI.jp2",
        f"/data/{PRODUCT}/T31UFU_20220201T103631_B04_10m.tif",
        "/data/T31UFU_20220201T103631_B04_10m.jp2",
    ],
)
def test_files_that_only_look_like_it(path: str) -> None:
    """Masks, previews, files that were made of others and those without a product say nothing."""
    assert packing_of_original(path) is None


def test_an_integer_without_place_is_named_when_it_is_read(tmp_path: Path) -> None:
    """65000 and 1000 more is no uint16: the error names band, image and what to write."""
    stored = np.full((16, 16), 65_000, "uint16")
    packed_tif(tmp_path / "20220101.tif", stored, 1e-4, 0, names=["red"])
    packed_tif(tmp_path / "20220102.tif", stored, 1e-4, -0.1, names=["red"])
    opened = qm.open_collection(tmp_path)
    with pytest.raises(ValueError, match=r"'red', image 0 .*66000, outside of uint16.*'wider'"):
        opened["red"].compute()
    wider = qm.open_collection(tmp_path, harmonize="wider")
    assert wider["red"].dtype == "uint32"
    assert wider["red"].attrs["_FillValue"].dtype == "uint32"
    np.testing.assert_allclose(decoded(wider, "red")[:, 0, 0], [6.5, 6.4])


# ---------------------------------------------------------------------------------------------
# NetCDF and Zarr
# ---------------------------------------------------------------------------------------------


def packed_file(path: Path, day: str, values: Any, scale: Any, offset: Any, **attrs: Any) -> Path:
    """Write integers with packing as they are."""
    packing = {"scale_factor": scale, "add_offset": offset, "_FillValue": np.int16(-999), **attrs}
    time = np.array([day], "datetime64[ns]")
    xr.Dataset({"t": (("time", "x"), np.int16([values]), packing)}, {"time": time}).to_netcdf(path)
    return path


def test_netcdf_files_of_two_packings(tmp_path: Path) -> None:
    """Files whose attributes differ by steps are brought together, whatever their order; the range
    in units of the integers no longer holds."""
    packed_file(tmp_path / "a.nc", "2020-01-02", [100, -999, 7], 0.1, 250.0, valid_min=np.int16(0))
    packed_file(tmp_path / "b.nc", "2020-01-01", [100, 5, -999], np.float32(0.1), 240.0)
    opened = qm.open_collection(tmp_path)
    assert opened["t"].dtype == "int16"
    assert opened["t"].attrs["_FillValue"] == -999
    assert "valid_min" not in opened["t"].attrs
    wanted = [[250, 240.5, np.nan], [260, np.nan, 250.7]]
    np.testing.assert_allclose(decoded(opened, "t"), wanted, rtol=1e-6)
    floats = qm.open_collection(tmp_path, mask_and_scale=True)
    np.testing.assert_allclose(floats["t"].values, wanted, rtol=1e-6)


def test_an_integer_that_would_become_nodata(tmp_path: Path) -> None:
    """A number that is data is never moved onto nodata."""
    packed_file(tmp_path / "a.nc", "2020-01-01", [-1099], 0.1, 0.0)
    packed_file(tmp_path / "b.nc", "2020-01-02", [1], 0.1, -10.0)
    for harmonize in ("lossless", "wider"):  # wider integers have the same nodata
        opened = qm.open_collection(tmp_path, harmonize=harmonize)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="-1099 would be -999, which is its nodata") as caught:
            opened["t"].compute()
        assert "wider" not in str(caught.value)
    right = qm.open_collection(tmp_path, harmonize="earth_engine")
    np.testing.assert_allclose(decoded(right, "t").ravel(), [-109.9, -9.9], rtol=1e-6)


def test_netcdf_files_whose_own_nodata_both_hold(tmp_path: Path) -> None:
    """The way out that the error names masks what each of them masks."""
    packed_file(tmp_path / "a.nc", "2020-01-01", [5, -999, -1], 0.1, 0.0)
    packed_file(tmp_path / "b.nc", "2020-01-02", [-1, -999, 6], 0.1, 0.0, _FillValue=np.int16(-1))
    with pytest.raises(ValueError, match=r"nodata -999 .* and -1 .*mask_and_scale=True"):
        qm.open_collection(tmp_path)
    both = qm.open_collection(tmp_path, mask_and_scale=True)["t"].values
    np.testing.assert_allclose(both, [[0.5, np.nan, -0.1], [np.nan, -99.9, 0.6]], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:variable .* has multiple fill values")  # xarray.decode_cf
@pytest.mark.parametrize(
    "attrs",
    [
        {"_FillValue": np.int16(-999), "missing_value": np.int16(-1)},
        {"missing_value": np.array([-999, -1], "int16")},
    ],
)
def test_several_nodata(tmp_path: Path, attrs: dict[str, Any]) -> None:
    """Integers keep one; several are refused wherever they come from, or decoded, which masks all
    of them."""
    days = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    band = (("time", "x"), np.int16([[-999, -1, 5], [-5, -7, -1]]), attrs)
    collection = xr.Dataset({"t": band, "u": band}, {"time": days})
    with pytest.raises(ValueError, match=r"'t' declares .*-999 and .*-1: of several values"):
        qm.quality_mosaic(collection, "t")
    wanted = [-5, -7, 5]
    assert qm.quality_mosaic(xr.decode_cf(collection), "t")["u"].values.tolist() == wanted
    collection.to_netcdf(tmp_path / "a.nc")
    collection.isel(time=[0]).to_netcdf(tmp_path / "b1.nc")
    collection.isel(time=[1]).to_netcdf(tmp_path / "b2.nc")
    collection.to_zarr(tmp_path / "a.zarr", consolidated=False)
    for source in ("a.nc", "b?.nc", "a.zarr"):
        with pytest.raises(ValueError, match=r"'t' declares .*mask_and_scale=True"):
            qm.open_collection(tmp_path / source)
        decoded = qm.open_collection(tmp_path / source, mask_and_scale=True)
        assert qm.quality_mosaic(decoded, "t")["u"].values.tolist() == wanted
        one = qm.open_collection(tmp_path / source, nodata={"t": -999, "u": -999})
        assert qm.quality_mosaic(one, "t")["u"].values.tolist() == [-5, -1, 5]


def test_a_store_is_given_its_packing(tmp_path: Path) -> None:
    """What a store declares can be replaced, decoded, and brought to offset 0."""
    time = np.array(["2022-02-01"], "datetime64[ns]")
    band = (("time", "x"), np.uint16([[0, 900, 3000]]), {"_FillValue": np.uint16(0)})
    xr.Dataset({"red": band}, {"time": time}).to_zarr(tmp_path / "s.zarr", consolidated=False)
    packing = {"red": {"scale": 1e-4, "offset": -0.1}}
    opened = qm.open_collection(tmp_path / "s.zarr", packing=packing)
    np.testing.assert_allclose(decoded(opened, "red"), [[np.nan, -0.01, 0.2]])
    floats = qm.open_collection(tmp_path / "s.zarr", packing=packing, mask_and_scale=True)
    np.testing.assert_allclose(floats["red"].values, [[np.nan, -0.01, 0.2]])
    zero = qm.open_collection(tmp_path / "s.zarr", packing=packing, harmonize="earth_engine")
    np.testing.assert_array_equal(zero["red"].values, [[0, 1, 2000]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        qm.open_collection(tmp_path / "s.zarr", harmonize="earth_engine")


def test_stores_are_joined_by_what_the_error_says(tmp_path: Path) -> None:
    """Several stores are refused, and the line that the message says tells packings apart."""
    for name, day, offset in (("a", 1, 0.0), ("b", 2, 0.0), ("c", 3, -0.1)):
        time = np.array([f"2022-02-0{day}"], "datetime64[ns]")
        attrs = {"scale_factor": 1e-4, "add_offset": offset}
        band = (("time", "x"), np.uint16([[day]]), attrs)
        xr.Dataset({"red": band}, {"time": time}).to_zarr(
            tmp_path / f"{name}.zarr", consolidated=False
        )
    stores = [tmp_path / f"{name}.zarr" for name in "abc"]
    with pytest.raises(ValueError, match="combine_attrs='no_conflicts'"):
        qm.open_collection(stores)
    opened = [qm.open_collection(store) for store in stores]
    joined = xr.concat(opened[:2], "time", combine_attrs="no_conflicts")
    np.testing.assert_allclose(decoded(joined, "red"), [[1e-4], [2e-4]])
    with pytest.raises(ValueError, match="no_conflicts"):
        xr.concat(opened, "time", combine_attrs="no_conflicts")


def test_wider_integers_are_written_as_such(tmp_path: Path) -> None:
    """What the file says of its own dtype does not make wider integers narrow again."""
    packed_file(tmp_path / "a.nc", "2020-01-01", [32_000, -999], 0.1, 100.0)
    packed_file(tmp_path / "b.nc", "2020-01-02", [1, 2], 0.1, 0.0)
    opened = qm.open_collection(tmp_path, harmonize="wider")
    assert opened["t"].dtype == "int32"
    wanted = [[3300, np.nan], [0.1, 0.2]]
    np.testing.assert_allclose(decoded(opened, "t"), wanted)
    mosaic = qm.quality_mosaic(opened, "t", masked="fill")
    qm.to_zarr(mosaic, tmp_path / "best.zarr")
    np.testing.assert_allclose(qm.open_mosaic(tmp_path / "best.zarr")["t"].values, [3300, 0.2])
    opened.to_netcdf(tmp_path / "all.nc")
    with xr.open_dataset(tmp_path / "all.nc") as written:
        np.testing.assert_allclose(written["t"].values, wanted)


# ---------------------------------------------------------------------------------------------
# Pixels
# ---------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_integers_mean_stays_the_same(data: st.DataObject) -> None:
    """Whatever packings images have and however they are chunked: all values mean what they meant
    (in fractions, exactly), in the dtype that they had; nodata stays nodata."""
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "int16", "uint16", "int32"])))
    count = data.draw(st.integers(1, 5))
    scale = Fraction(data.draw(st.sampled_from(["0.0001", "0.5", "2", "-0.01"])))
    base = Fraction(data.draw(st.sampled_from(["0", "-0.2", "273.15"])))
    offsets = [base + scale * data.draw(st.integers(-3, 3)) for _ in range(count)]
    nodata = data.draw(st.sampled_from([None, 0, 5]))
    pixels = np.array(
        data.draw(
            st.lists(
                st.lists(st.integers(12, 100), min_size=4, max_size=4),
                min_size=count,
                max_size=count,
            )
        ),
        dtype,
    )
    if nodata is not None:
        pixels[:, 0] = nodata
    sizes = data.draw(st.sampled_from([1, 2, count]))
    attrs = {} if nodata is None else {"_FillValue": dtype.type(nodata)}
    lazy = da.from_array(pixels, chunks=(sizes, 3))
    band = xr.DataArray(lazy, dims=("time", "x"), attrs=attrs, name="b")
    packings = [Packing(float(scale), float(offset)) for offset in offsets]
    names = [str(i) for i in range(count)]
    agreement = agree("b", dtype, packings, names, "lossless", "")
    new = brought_to(band, agreement, "lossless", "time")
    assert new.dtype == dtype
    assert new.chunks == band.chunks
    target = next(o for o in offsets if float(o) == agreement.packing.offset)
    values = new.values
    for image in range(count):
        for place in range(4):
            was, is_now = int(pixels[image, place]), int(values[image, place])
            if was == nodata:
                assert is_now == nodata
            else:
                assert is_now * scale + target == was * scale + offsets[image]
                assert is_now >= was


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int64", "uint64"])
@pytest.mark.parametrize("clamp", [False, True])
def test_no_integer_wraps_round(dtype: str, clamp: bool) -> None:
    """Each value against Python's integers: a sum, the lowest valid one, or an error."""
    limits = np.iinfo(dtype)
    near = [limits.min, limits.min + 1, limits.min + 5, 0, 1, 7, 100, limits.max - 5, limits.max]
    values = sorted(set(range(limits.min, limits.max + 1) if limits.bits == 8 else near))
    lowest, highest = int(limits.min), int(limits.max)
    for nodata in (None, lowest, 0, 7, highest):
        for steps in (-1000, -200, -5, -1, 1, 5, 200, 1000):
            for value in map(int, values):
                bottom = lowest + (nodata == lowest)
                wanted: int | None = value + steps
                if value == nodata:
                    wanted = value
                elif clamp and steps < 0 and value + steps < bottom:
                    wanted = bottom
                elif not lowest <= value + steps <= highest or value + steps == nodata:
                    wanted = None
                pixels = np.array([value], dtype)
                if wanted is None:
                    with pytest.raises(ValueError, match="one packing for all images"):
                        add_steps(pixels, steps, nodata, clamp, "band 'b'")
                else:
                    moved = add_steps(pixels, steps, nodata, clamp, "band 'b'")
                    assert (moved.dtype, int(moved[0])) == (np.dtype(dtype), wanted)
                assert int(pixels[0]) == value
