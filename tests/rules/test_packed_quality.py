"""Rule 7: a quality that is packed decides by what its numbers mean, exactly: a negative scale
turns the order of its integers round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.sources import CountingArray, as_dataset, dates, in_store, random_stack

NEGATIVE = {"scale_factor": -0.01, "add_offset": 7.0}


def column(
    scores: Any, dtype: str, attrs: dict[str, Any] | None = None, *, lazy: bool = False
) -> xr.Dataset:
    """Make images of one pixel, and a band that numbers them."""
    values = np.array(scores, dtype).reshape(-1, 1, 1)
    data = da.from_array(CountingArray(values), chunks=1) * 1 if lazy else values
    number = np.arange(len(scores), dtype="uint8").reshape(-1, 1, 1)
    bands = {
        "q": (("time", "y", "x"), data, NEGATIVE if attrs is None else attrs),
        "number": (("time", "y", "x"), number),
    }
    return xr.Dataset(bands, {"time": dates(len(scores))})


def winner(collection: xr.Dataset, **rules: Any) -> int:
    """Number the image that wins the pixel."""
    return int(qm.quality_mosaic(collection, "q", **rules)["number"].values[0, 0])


def test_a_store_as_it_is_and_decoded(tmp_path: Path) -> None:
    """Whether integers are decoded or not: the same images win."""
    clear = np.array([[[10.0, 20.0]], [[30.0, 5.0]]])
    red = np.array([[[1, 2]], [[3, 4]]], "uint16")
    bands = {"clear": (("time", "y", "x"), clear), "red": (("time", "y", "x"), red)}
    packing = {"dtype": "int16", "scale_factor": -0.01, "_FillValue": -32768}
    path = tmp_path / "in.zarr"
    written = xr.Dataset(bands, {"time": pd.date_range("2020", periods=2)})
    written.to_zarr(path, consolidated=False, encoding={"clear": packing})
    raw, decoded = qm.open_collection(path), xr.open_zarr(path, consolidated=False)
    assert raw["clear"].dtype == "int16"
    assert decoded["clear"].encoding["scale_factor"] == -0.01
    for collection in (raw, raw.load(), decoded, qm.open_collection(path, mask_and_scale=True)):
        assert qm.quality_mosaic(collection, "clear")["red"].values.tolist() == [[3, 2]]
        turned = collection.assign(q=qm.scores.inverse(collection["clear"]))
        assert qm.quality_mosaic(turned, "q")["red"].values.tolist() == [[1, 4]]
    mosaic = qm.quality_mosaic(raw, "clear")
    assert mosaic["clear"].dtype == "int16"
    assert mosaic["clear"].attrs["scale_factor"] == -0.01
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert qm.open_mosaic(tmp_path / "out.zarr")["clear"].values.tolist() == [[30.0, 20.0]]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("scores", "dtype", "number"),
    [
        ([-(2**63), -(2**63) + 1, 2**63 - 1], "int64", 0),
        ([2**63 - 1, 2**63 - 1], "int64", 0),
        ([2**63 - 1, 2**63 - 2], "int64", 1),
        ([2**64 - 1, 2**64 - 2, 2**64 - 1], "uint64", 1),
        ([2**53 + 2, 2**53 + 1, 2**53 + 3], "int64", 1),
        ([0, 255, 0], "uint8", 0),
        ([-128, 127], "int8", 0),
    ],
)
def test_integers_are_compared_exactly(
    scores: list[int], dtype: str, number: int, lazy: bool
) -> None:
    """At either end of the dtype, which has no negatives, and where floats are too coarse."""
    assert winner(column(scores, dtype, lazy=lazy)) == number


@pytest.mark.parametrize("lazy", [False, True])
def test_ties(lazy: bool) -> None:
    """Rule 5 as ever: the first, or the last, of equal ones."""
    collection = column([9, 3, 3, 5, 3], "int16", lazy=lazy)
    assert winner(collection) == 1
    assert winner(collection, ties="last") == 4


@pytest.mark.parametrize("nodata", [-128, 127, 0])
def test_nodata_stays_nodata(nodata: int) -> None:
    """It never wins, be it the lowest or the highest integer; where nothing else is, it stands."""
    attrs = NEGATIVE | {"_FillValue": nodata}
    assert winner(column([nodata, 100, nodata, 50], "int8", attrs)) == 3
    mosaic = qm.quality_mosaic(column([nodata, nodata], "int8", attrs), "q")
    assert mosaic["q"].values.item() == nodata
    score = qm.scores.inverse(column([nodata, 5], "int8", attrs)["q"])
    assert score.values.ravel().tolist() == [nodata, 5]
    assert score.attrs["_FillValue"] == nodata


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("least", "fill"), [(4, -1), (4.9, -1), (5, 1), (9, 1), (np.inf, 1), (400, 1)]
)
def test_min_quality_is_a_packed_number(least: float, fill: int, lazy: bool) -> None:
    """What means at least as much: the packed numbers up to it; a fraction is rounded down."""
    collection = column([9, 5, 7], "int16", lazy=lazy)
    collection["number"] = collection["number"].astype("int16")
    assert winner(collection, min_quality=least, fill_value=-1) == fill


def test_a_min_quality_that_nothing_reaches() -> None:
    """Below everything that the dtype can hold, no image would be a candidate."""
    with pytest.raises(ValueError, match=r"below everything .* negative.*uint8 .*\(0\)"):
        qm.quality_mosaic(column([1], "uint8"), "q", min_quality=-1)
    assert winner(column([1], "uint8"), upper_bound=-1) == 0


@pytest.mark.parametrize("ties", ["first", "last"])
def test_upper_bound_stops_at_the_lowest(tmp_path: Path, ties: str) -> None:
    """The packed number that nothing falls below: once every pixel has it, nothing is read."""
    values = random_stack(images=6, side=8)
    values["quality"] = np.full((6, 8, 8), 9, "int16")
    values["quality"][2], values["quality"][3] = 1, 1
    collection, store = in_store(values, tmp_path / "in.zarr")
    collection["quality"].attrs.update(NEGATIVE)
    mosaic = qm.quality_mosaic(collection, "quality", upper_bound=1, ties=ties)
    with dask.config.set(scheduler="synchronous"):
        red = mosaic["red"].values
    np.testing.assert_array_equal(red, values["red"][2 if ties == "first" else 3])
    read = {int(key.split("/")[2]) for key in store.chunks("quality")}
    assert read == ({0, 1, 2} if ties == "first" else {5, 4, 3})


@pytest.mark.parametrize("lazy", [False, True])
def test_a_beaten_upper_bound(lazy: bool) -> None:
    """A lower number than that is the error."""
    with pytest.raises(ValueError, match=r"upper_bound=.*5.* was beaten by a score of .*3"):
        winner(column([9, 3, 4], "int16", lazy=lazy), upper_bound=5)


@pytest.mark.parametrize("name", ["scale_factor", "add_offset"])
@pytest.mark.parametrize("said", [np.nan, np.inf, "a hundredth", [1, 2], 0])
def test_a_packing_that_means_nothing(name: str, said: Any) -> None:
    """A scale of 0 or no number: an error that names band and attribute, from all who look."""
    collection = column([1, 2], "int16", {name: said})
    if name == "add_offset" and said == 0:
        assert winner(collection) == 1
        return
    for verb in (
        lambda c: qm.quality_mosaic(c, "q"),
        lambda c: qm.scores.inverse(c["q"]),
        lambda c: qm.scores.normalized_difference(c["q"], c["q"]),
    ):
        with pytest.raises(ValueError, match=f"'q' declares {name} = .*finite number"):
            verb(collection)


def test_what_is_decoded_is_taken_as_it_is() -> None:
    """Floats, and integers whose encoding alone says how they will be written, are not turned."""
    for dtype in ("float32", "int16"):
        collection = column([1, 9], dtype, {})
        collection["q"].encoding = {"scale_factor": -0.01, "dtype": "int16"}
        assert winner(collection) == 1


@pytest.mark.parametrize("lazy", [False, True])
def test_floats_that_declare_a_packing_are_refused(lazy: bool) -> None:
    """``.where()`` makes them, packed still: taken as decoded, other images would win. Both ways
    out that the error names work."""
    packed = column([9, 3, 5], "int16", {**NEGATIVE, "_FillValue": 5}, lazy=lazy)
    masked = packed.where(packed["number"] < 9)
    assert masked["q"].dtype.kind == "f"
    for verb in (
        lambda c: qm.quality_mosaic(c, "q"),
        lambda c: qm.mosaic_by_period(c, "q", "YS"),
        lambda c: qm.scores.inverse(c["q"]),
        lambda c: qm.scores.normalized_difference(c["q"], c["q"]),
        lambda c: qm.scores.weighted({"q": 1.0}, c),
    ):
        timed = masked.assign_coords(time=np.array(["2020", "2021", "2022"], "M8[ns]"))
        with pytest.raises(ValueError, match=r"'q' has scale_factor = -0.01 .*xarray.decode_cf"):
            verb(timed)
    assert winner(packed) == winner(xr.decode_cf(masked)) == 1
    assert winner(xr.decode_cf(packed).where(packed["number"] < 9)) == 1
    for name in NEGATIVE:
        del masked["q"].attrs[name]
    assert winner(masked) == 0


def test_the_index_of_floats_that_declare_a_packing() -> None:
    """With an offset, an index of the packed numbers is another one; said by the user, it holds."""
    packing = {"scale_factor": 1e-4, "add_offset": -0.1, "_FillValue": 0}
    bands = {n: ("x", np.array([v, 0], "uint16"), packing) for n, v in (("B4", 2000), ("B8", 4000))}
    packed = xr.Dataset(bands)
    masked = packed.where(packed["B4"] > 0)
    with pytest.raises(ValueError, match=r"has scale_factor = 0\.0001 and add_offset = -0\.1"):
        qm.scores.index(masked, "NDVI", platform="sentinel-2")
    with pytest.raises(ValueError, match="'B4' has"):
        qm.scores.haze(masked["B4"], masked["B8"])
    for ready in (packed, xr.decode_cf(masked), xr.decode_cf(packed).where(packed["B4"] > 0)):
        found = qm.scores.index(ready, "NDVI", platform="sentinel-2").values
        np.testing.assert_allclose(found, [0.5, np.nan], rtol=1e-6)
    said = {"scale": 1e-4, "offset": -0.1}
    found = qm.scores.index(masked, "NDVI", platform="sentinel-2", **said).values
    np.testing.assert_allclose(found, [0.5, np.nan], rtol=1e-6)


def test_a_positive_scale_keeps_the_order_of_floats() -> None:
    """So a mosaic of them needs no word about their packing."""
    assert winner(column([1.0, 9.0], "float32", {"scale_factor": 0.5, "add_offset": 3.0})) == 1


@pytest.mark.parametrize("scale", [0.5, -0.5])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_inverse_is_the_negative_of_what_the_numbers_mean(
    dtype: str, lazy: bool, scale: float
) -> None:
    """In steps of the packing; wider, so that it does not wrap round."""
    raw = [3, 0, 100]
    collection = column(raw, dtype, {"scale_factor": scale}, lazy=lazy)
    score = qm.scores.inverse(collection["q"])
    assert score.dtype.itemsize == min(8, 2 * np.dtype(dtype).itemsize)
    assert (score.values.ravel() * abs(scale)).tolist() == [-n * scale for n in raw]
    assert "scale_factor" not in score.attrs
    assert winner(collection.assign(q=score)) == (1 if scale > 0 else 2)


def test_the_lowest_int64_of_a_negative_scale() -> None:
    """Nothing is negated, so nothing is out of reach."""
    low = np.iinfo("int64").min
    assert qm.scores.inverse(column([low], "int64")["q"]).values.item() == low


@pytest.mark.parametrize("lazy", [False, True])
def test_the_lowest_int64_as_nodata(lazy: bool) -> None:
    """It stays masked, and the next integer, whose negative is the highest, does not become so."""
    low = np.iinfo("int64").min
    collection = column([low, 3, low + 1], "int64", {"_FillValue": low}, lazy=lazy)
    score = qm.scores.inverse(collection["q"])
    assert score.attrs["_FillValue"] == low
    assert score.values.ravel().tolist() == [low, -3, -(low + 1)]
    assert winner(collection.assign(q=score)) == 2


def test_an_array_with_bands() -> None:
    """A DataArray declares one packing for all its bands."""
    values = np.array([[[[5]], [[1]]], [[[3]], [[2]]]], "int16")
    array = xr.DataArray(values, dims=("time", "band", "y", "x"), coords={"band": ["q", "number"]})
    array.attrs = NEGATIVE
    mosaic = qm.quality_mosaic(array, "q")
    assert mosaic.sel(band="number").values.item() == 2
    assert mosaic.attrs["scale_factor"] == -0.01


@pytest.mark.parametrize("masked", ["skip", "fill"])
@pytest.mark.parametrize("lazy", [False, True])
def test_mask_rules(masked: Any, lazy: bool) -> None:
    """They rank in the same order."""
    collection = column([9, 3, 5], "int16", lazy=lazy)
    red = np.array([4, 0, 6], "uint8").reshape(-1, 1, 1)
    collection["red"] = (("time", "y", "x"), red, {"_FillValue": 0})
    mosaic = qm.quality_mosaic(collection, "q", masked=masked)
    assert mosaic["red"].values.item() == 6
    assert mosaic["number"].values.item() == (2 if masked == "skip" else 1)


def test_the_sign_of_the_scale_belongs_to_the_mosaic() -> None:
    """Another sign is another mosaic: its tasks have other names, so that resume sees it."""
    values = {"q": np.ones((3, 4, 4), "int16")}
    lazy = as_dataset(
        {n: da.from_array(CountingArray(v), chunks=(1, 4, 4)) for n, v in values.items()}
    )
    names = set()
    for scale in (1, -1, 0.5):
        lazy["q"].attrs["scale_factor"] = scale
        names.add(qm.quality_mosaic(lazy, "q")["q"].data.name)
    assert len(names) == 2
