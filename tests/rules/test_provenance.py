"""Where a pixel comes from: `provenance=True` adds the position of its image (`source_index`), when
that was taken (`source_time`), and how many candidates there were (`valid_count`); any coordinate
along time can be asked for by name. The mosaic rebuilt from the positions is the mosaic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings

import qmosaic as qm
from tests.support.choice_strategies import TOLD, Wide, wide_cases
from tests.support.choices import Choice, mosaic, source_index, told_of, valid_count
from tests.support.oracle import assert_same, bands_in
from tests.support.small import BACKENDS, LAZY, MASKED, NAN, TIES, row, row_of, scene
from tests.support.sources import CountingArray

NAMES = ["source_index", "source_time", "valid_count"]
NAT = np.datetime64("NaT", "ns")


def made_of(backend: str) -> xr.Dataset:
    """Make three images of four pixels: one winner, a tie, a masked score, no candidate."""
    c = row_of(
        backend,
        q=np.float32([[1, 5, 3, NAN], [2, 5, NAN, NAN], [3, 5, 1, NAN]]),
        red=np.uint16([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]]),
    )
    return c.assign_coords(
        id=("time", np.array(["a", "bb", "c"], object)), cover=("time", [0.5, 0.25, 0.125])
    )


@BACKENDS
def test_position_time_and_number(backend: str) -> None:
    """By hand: positions from 0, −1 for none; NaT for none; how many images had a score."""
    m = qm.quality_mosaic(made_of(backend), "q", provenance=True)
    assert set(NAMES) <= set(m.coords)
    assert row(m, "source_index") == [2, 0, 0, -1]
    assert row(m, "valid_count") == [3, 3, 2, 0]
    times = np.array(["2020-07-03", "2020-07-01", "2020-07-01", "NaT"], "M8[ns]")
    np.testing.assert_array_equal(m["source_time"].values[0], times)
    dtypes = [m[name].dtype for name in NAMES]
    assert dtypes == [np.dtype("int16"), np.dtype("M8[ns]"), np.dtype("int16")]
    assert all(m[name].dims == ("y", "x") for name in NAMES)
    assert all(m[name].attrs["long_name"] for name in NAMES)
    assert "-1" in m["source_index"].attrs["long_name"].replace("−", "-")


@BACKENDS
def test_the_last_of_equals(backend: str) -> None:
    """Rule 5: the position is that of the image that won."""
    m = qm.quality_mosaic(made_of(backend), "q", provenance=True, ties="last")
    assert row(m, "source_index") == [2, 2, 0, -1]


@BACKENDS
def test_only_what_is_asked_for(backend: str) -> None:
    """Nothing without being asked; by name just that."""
    c = made_of(backend)
    assert not {*NAMES, "id"} & set(qm.quality_mosaic(c, "q").coords)
    assert not {*NAMES, "id"} & set(qm.quality_mosaic(c, "q", provenance=False).coords)
    for name in NAMES:
        m = qm.quality_mosaic(c, "q", provenance=[name])
        assert {*NAMES, "id"} & set(m.coords) == {name}
    xr.testing.assert_identical(
        qm.quality_mosaic(c, "q", provenance=NAMES), qm.quality_mosaic(c, "q", provenance=True)
    )


@BACKENDS
def test_coordinates_by_name(backend: str) -> None:
    """Texts become objects, "" for none; others keep their dtype, NaN for none."""
    m = qm.quality_mosaic(made_of(backend), "q", provenance=["id", "cover"])
    assert row(m, "id") == ["c", "a", "a", ""]
    assert m["id"].dtype == object
    np.testing.assert_array_equal(row(m, "cover"), [0.125, 0.5, 0.5, NAN])
    assert m["cover"].dtype == "float64"


@BACKENDS
@pytest.mark.parametrize(
    ("values", "attrs", "missing"),
    [
        (np.array(["S2A", "S2B", "S2A"]), {}, ""),
        (np.array(["S2A", "S2B", "S2A"], object), {}, ""),
        (np.array([True, True, True]), {}, False),
        (np.array([7, 8, 9], "int16"), {}, -1),
        (np.array([0, -1, 9], "int16"), {}, -(2**15)),
        (np.array([0, 8, 255], "uint8"), {}, 1),
        (np.array([7, 8, 9], "uint8"), {"_FillValue": np.uint8(255)}, 255),
        (np.array([7, 8, 9], "int64"), {"nodata": -1}, -1),
        (np.float32([0.5, NAN, 0.25]), {}, NAN),
        (np.array(["2021-01-01", "NaT", "2021-01-02"], "M8[ns]"), {}, NAT),
        (np.array([1, 2, 3], "m8[ns]"), {}, np.timedelta64("NaT", "ns")),
    ],
)
def test_coordinates_of_every_kind(backend: str, values: Any, attrs: Any, missing: Any) -> None:
    """A coordinate says of each pixel what it says of its image; its attributes stay."""
    c = made_of(backend).assign_coords(told=("time", values, {"units": "any", **attrs}))
    m = qm.quality_mosaic(c, "q", provenance=["told"])
    dtype = np.dtype(object) if values.dtype.kind in "UO" else values.dtype
    assert m["told"].dtype == dtype
    assert m["told"].attrs["units"] == "any"
    want = np.array([values[2], values[0], values[0], missing], dtype)
    np.testing.assert_array_equal(m["told"].transpose("y", "x").values[0], want)


@BACKENDS
def test_an_integer_of_no_image_is_the_fill_value(backend: str) -> None:
    """Rule 3, for what is said of images as for bands: it is declared, and can be chosen, where no
    image has it."""
    c = made_of(backend).assign_coords(orbit=("time", np.array([7, 8, 9], "int16")))
    m = qm.quality_mosaic(c, "q", provenance=["orbit"], fill_value=99)
    assert row(m, "orbit") == [9, 7, 7, 99]
    assert m["orbit"].attrs["_FillValue"] == 99


@BACKENDS
def test_a_threshold_counts(backend: str) -> None:
    """Rule 4: an image below `min_quality` is no candidate, and is not counted as one."""
    m = qm.quality_mosaic(made_of(backend), "q", provenance=True, min_quality=2)
    assert row(m, "valid_count") == [2, 3, 1, 0]
    assert row(m, "source_index") == [2, 0, 0, -1]


@BACKENDS
@TIES
def test_all_candidates_are_counted_whatever_nothing_can_beat(backend: str, ties: Any) -> None:
    """`upper_bound` stops the search for the winner, and does not change the count."""
    m = qm.quality_mosaic(made_of(backend), "q", provenance=True, ties=ties, upper_bound=5)
    assert row(m, "valid_count") == [3, 3, 2, 0]
    c = row_of(backend, q=np.uint8([[9], [9], [9], [1]]), t=np.uint8([[1], [2], [3], [4]]))
    m = qm.quality_mosaic(c, "q", provenance=True, ties=ties, upper_bound=9)
    assert row(m, "valid_count") == [4]
    assert row(m, "source_index") == [0 if ties == "first" else 2]


def holes(backend: str) -> xr.Dataset:
    """Make images of which the best has holes."""
    return row_of(
        backend,
        {"a": {"_FillValue": 0}},
        q=np.int8([[7, 7, 7], [9, 9, 9], [5, 5, 5]]),
        a=np.uint8([[2, 2, 2], [0, 1, 0], [3, 3, 3]]),
        b=np.float64([[NAN, NAN, NAN], [0.1, NAN, 0.1], [0.3, 0.3, NAN]]),
    )


@BACKENDS
def test_skip_counts_images_that_are_whole(backend: str) -> None:
    """Rule 6: only such an image is a candidate."""
    m = qm.quality_mosaic(holes(backend), "q", provenance=True, masked="skip")
    assert row(m, "source_index") == [2, 2, -1]
    assert row(m, "valid_count") == [1, 1, 0]


@BACKENDS
def test_fill_says_it_of_each_band(backend: str) -> None:
    """Rule 6: bands may be of different images, so position and time are told of each."""
    c = holes(backend).assign_coords(id=("time", np.array(["a", "b", "c"], object)))
    m = qm.quality_mosaic(c, "q", provenance=[*NAMES, "id"], masked="fill")
    assert row(m, "a_source_index") == [0, 1, 0]
    assert row(m, "b_source_index") == [1, 2, 1]
    assert row(m, "a_id") == ["a", "b", "a"]
    days = c["time"].values
    np.testing.assert_array_equal(m["a_source_time"].values[0], days[[0, 1, 0]])
    np.testing.assert_array_equal(m["b_source_time"].values[0], days[[1, 2, 1]])
    assert row(m, "valid_count") == [3, 3, 3]
    assert not {"source_index", "source_time", "a_image", "b_image", "id"} & set(m.coords)


@BACKENDS
def test_fill_says_it_unasked(backend: str) -> None:
    """Of bands that can be masked the image is always told, by that name."""
    m = qm.quality_mosaic(holes(backend), "q", masked="fill")
    assert row(m, "a_source_index") == [0, 1, 0]
    assert row(m, "b_source_index") == [1, 2, 1]
    assert not {"a_source_time", "b_source_time", "valid_count"} & set(m.coords)


def rebuilt(m: xr.Dataset, name: str, index: xr.DataArray, images: xr.Dataset) -> np.ndarray:
    """Make a band from the positions alone, a pixel at a time."""
    band = images[name].broadcast_like(images["quality"]).transpose("time", "y", "x").values
    fill = m[name].attrs.get("_FillValue")
    made = np.empty(index.shape, band.dtype)
    for y, x in np.ndindex(made.shape):
        t = int(index.values[y, x])
        made[y, x] = band[t, y, x] if t >= 0 else (NAN if fill is None else fill)
    return made


@LAZY
@TIES
@MASKED
def test_the_mosaic_can_be_rebuilt_from_the_positions(lazy: bool, ties: Any, masked: Any) -> None:
    """That is what the positions are: of a scene with holes, ties and several dtypes."""
    images = scene().drop_vars("date")
    given = images if lazy else images.compute()
    m = qm.quality_mosaic(given, "quality", provenance=True, ties=ties, masked=masked).compute()
    images = images.compute()
    for name in ("red", "nir", "quality", "doy"):
        index = m[f"{name}_source_index" if masked == "fill" else "source_index"]
        np.testing.assert_array_equal(m[name].values, rebuilt(m, name, index, images), name)
    choice = Choice(("quality",), ties, masked)
    assert_same(m["valid_count"], valid_count(bands_in(images), choice))


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(wide_cases())
def test_any_collection(wide: Wide) -> None:
    """Any dtype, nodata, tie, mask rule, packing, threshold, upper bound, chunks, order of
    dimensions: position, time, number, and what coordinates of every kind say."""
    bands, choice = wide.bands, wide.choice()
    index, count, wants = (
        source_index(bands, choice),
        valid_count(bands, choice),
        mosaic(bands, choice),
    )
    orbits = TOLD["orbit"][0]
    fill = wide.case.fill_value
    fill = -1 if fill is None or fill in orbits or not -(2**15) <= fill < 2**15 else fill
    told = {"source_time": (wide.times.values.astype("datetime64[ns]"), NAT)}
    told |= {n: (v, fill if n == "orbit" else missing) for n, (v, missing) in TOLD.items()}
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.quality_mosaic(
                wide.collection(lazy=lazy),
                "q",
                provenance=["source_index", "valid_count", *told],
                **wide.case.options(),
            ).compute()
            assert_same(got["valid_count"], count)
            for name, want in wants.items():
                assert_same(got[name], want)
            for prefix, own in (
                [("", index)]
                if choice.masked != "fill"
                else [
                    # a layer that cannot be masked is of the image of the others
                    (f"{n}_", want if bands[n].can_be_masked else index)
                    for n, want in wants.items()
                ]
            ):
                np.testing.assert_array_equal(
                    got[prefix + "source_index"].transpose(*own.dims).values, own.image
                )
                own = type(own)(own.dims, own.image, own.image)
                for name, (values, missing) in told.items():
                    assert_same(got[prefix + name], told_of(own, values, missing))


# -- more than 32767 images ------------------------------------------------------------------------


@LAZY
def test_more_images_than_two_bytes_number(lazy: bool) -> None:
    """int32 then, so that no position is negative but that of none."""
    q = np.zeros((32769, 1, 2), "uint8")
    q[32768, 0, 0] = 1
    images: Any = da.from_array(CountingArray(q), chunks=(20000, 1, 2)) if lazy else q
    m = qm.quality_mosaic(
        xr.Dataset({"q": (("time", "y", "x"), images)}),
        "q",
        provenance=["source_index", "valid_count"],
    )
    assert row(m, "source_index") == [32768, 0]
    assert row(m, "valid_count") == [32769, 32769]
    assert m["source_index"].dtype == m["valid_count"].dtype == "int32"


# -- deferred, in any chunks -----------------------------------------------------------------------


def test_nothing_is_computed() -> None:
    """Rule 9: provenance is deferred as bands are."""
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        m = qm.quality_mosaic(scene(), "quality", provenance=[*NAMES, "platform"])
    for name in (*NAMES, "platform"):
        assert m[name].chunks == m["red"].chunks


CHUNKS: dict[str, Any] = {
    "irregular": lambda c: c.chunk(time=(1, 3, 2), y=(3, 4), x=(2, 7)),
    "images together": lambda c: c.chunk(time=-1, y=4, x=5),
    "one chunk": lambda c: c.chunk(time=-1, y=-1, x=-1),
    "other borders": lambda c: c.chunk(time=1, y=3, x=4).chunk(y=5, x=2),
    "persisted": lambda c: c.persist(),
    "cut": lambda c: c.isel(y=slice(1, 6), x=slice(2, 9)),
    "a band in memory": lambda c: c.assign(red=c["red"].compute()),
    "the quality in memory": lambda c: c.assign(quality=c["quality"].compute()),
    "another band chunked otherwise": lambda c: c.assign(nir=c["nir"].chunk(time=3, y=2, x=9)),
    "in another order": lambda c: c.transpose("x", "time", "y"),
    "images turned round": lambda c: c.isel(time=slice(None, None, -1)),
}


@pytest.mark.parametrize(
    ("name", "masked"),
    [*((name, "keep") for name in CHUNKS), ("irregular", "fill"), ("persisted", "fill")],
)
def test_chunks_do_not_matter(name: str, masked: Any) -> None:
    """Rules 10 and 11: as in memory."""
    images = CHUNKS[name](scene())
    rules = {"provenance": [*NAMES, "platform"], "masked": masked}
    eager = qm.quality_mosaic(images.compute(), "quality", **rules)
    lazy = qm.quality_mosaic(images, "quality", **rules)
    xr.testing.assert_identical(lazy.compute(), eager)
    assert "valid_count" in eager.coords


# -- written, as an array, as a method -------------------------------------------------------------


@pytest.mark.parametrize("masked", ["keep", "fill"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.filterwarnings("ignore:.*vlen-utf8")
def test_it_is_written_with_the_mosaic(masked: Any, lazy: bool, tmp_path: Path) -> None:
    """And read again as it was: coordinates, with their dtypes, −1, NaT and texts."""
    images = scene() if lazy else scene().compute()
    images = images.assign_coords(orbit=("time", np.arange(6, dtype="int16")))
    m = qm.quality_mosaic(
        images, "quality", masked=masked, provenance=[*NAMES, "platform", "orbit"]
    )
    qm.to_zarr(m, tmp_path / "out.zarr", progress=False)
    back = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    m = m.compute()
    prefix = "red_" if masked == "fill" else ""
    own = [prefix + name for name in ("source_index", "source_time", "platform", "orbit")]
    for name in (*own, "valid_count"):
        assert name in back.coords
        np.testing.assert_array_equal(back[name].values, m[name].values, name)
        if m[name].dtype != object:
            assert back[name].dtype == m[name].dtype
    decoded = qm.open_mosaic(tmp_path / "out.zarr")
    assert decoded[own[0]].dtype.kind == "i"
    np.testing.assert_array_equal(decoded[own[1]].values, m[own[1]].values)


@LAZY
@pytest.mark.parametrize("masked", ["keep", "fill"])
def test_an_array_of_bands(lazy: bool, masked: Any) -> None:
    """A DataArray with ``band`` has the same coordinates as the Dataset of its bands."""
    images = scene()[["red", "quality"]].drop_vars("lat")
    images["red"].attrs = {}
    images = images.astype("float32")
    images = images.where(images["red"] > 0) if masked == "fill" else images
    images = images if lazy else images.compute()
    asked = [*NAMES, "platform"]
    array = qm.quality_mosaic(
        images.to_dataarray("band"), "quality", provenance=asked, masked=masked
    )
    apart = qm.quality_mosaic(images, "quality", provenance=asked, masked=masked)
    assert set(array.dims) == {"band", "y", "x"}
    names = [n for n in apart.coords if n not in images.coords or n == "platform"]
    assert len(names) >= 4
    for name in names:
        np.testing.assert_array_equal(array[name].values, apart[name].values)
        assert array[name].dims == ("y", "x")


def test_the_method() -> None:
    """``ds.qmosaic.quality_mosaic`` has the argument too."""
    images = scene()
    xr.testing.assert_identical(
        images.qmosaic.quality_mosaic("quality", provenance=True).compute(),
        qm.quality_mosaic(images, "quality", provenance=True).compute(),
    )


def test_resume_knows_what_was_asked_for(tmp_path: Path) -> None:
    """A mosaic without provenance is not gone on with as one with it."""
    qm.to_zarr(qm.quality_mosaic(scene(), "quality"), tmp_path / "out.zarr", progress=False)
    other = qm.quality_mosaic(scene(), "quality", provenance=True)
    with pytest.raises(ValueError, match=r"source_index|provenance"):
        qm.to_zarr(other, tmp_path / "out.zarr", mode="resume", progress=False)
