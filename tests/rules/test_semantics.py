"""The rules of a quality mosaic, one by one, and all together against the loop over pixels."""

from __future__ import annotations

import itertools
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qmosaic as qm
from tests.support import oracle

BACKENDS = ["numpy", "dask"]


def collection_of(
    backend: str, attrs: dict[str, dict[str, Any]] | None = None, **bands: Any
) -> Any:
    """Make a collection of one row of pixels: each band is a list of images."""
    data = {}
    for name, values in bands.items():
        array = np.asarray(values)
        dims = ("time", "y", "x") if array.ndim == 3 else ("time", "x")[: array.ndim]
        data[name] = (dims, array, (attrs or {}).get(name, {}))
    images = len(next(iter(bands.values())))
    made = xr.Dataset(data, {"time": pd.date_range("2020-07-01", periods=images)})
    return made.chunk(time=1) if backend == "dask" else made


def row(mosaic: xr.Dataset, band: str) -> list[Any]:
    return mosaic[band].values.tolist()


# -- rule by rule ---------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_1_the_winner_gives_all_bands(backend: str) -> None:
    """Rule 1: never a mixture; the quality band is in the output."""
    c = collection_of(
        backend,
        q=np.int16([[1, 9], [5, 2]]),
        a=np.uint8([[10, 11], [20, 21]]),
        b=[[0.1, 0.2], [0.3, 0.4]],
    )
    m = qm.quality_mosaic(c, "q")
    assert (row(m, "q"), row(m, "a"), row(m, "b")) == ([5, 9], [20, 11], [0.3, 0.2])
    assert list(m.data_vars) == ["q", "a", "b"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("first", [True, False])
def test_rule_2_nan_never_wins(backend: str, first: bool) -> None:
    """Rule 2, and the trap of a NaN score in the first image: it neither wins nor blocks."""
    scores = np.array([[np.nan], [-7.0], [-9.0]] if first else [[-9.0], [-7.0], [np.nan]])
    m = qm.quality_mosaic(collection_of(backend, q=scores, t=np.uint8([[1], [2], [3]])), "q")
    assert row(m, "t") == [2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_2_nodata_never_wins_whatever_the_sign(backend: str) -> None:
    """Rule 2, and the trap of negative scores beside nodata 0."""
    c = collection_of(
        backend,
        {"q": {"_FillValue": 0}},
        q=np.int16([[0, 0], [-90, 0], [-30, -1]]),
        t=np.uint8([[1, 1], [2, 2], [3, 3]]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t") == [3, 3]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["_FillValue", "nodata", "missing_value"])
def test_rule_2_where_nodata_is_declared(backend: str, name: str) -> None:
    """Rule 2: CF's and odc's names for it."""
    c = collection_of(backend, {"q": {name: 255}}, q=np.uint8([[255], [3]]), t=np.uint8([[1], [2]]))
    assert row(qm.quality_mosaic(c, "q"), "t") == [2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_2_infinities_and_the_lowest_score_are_scores(backend: str) -> None:
    """Rule 2: -inf and the dtype's minimum win where nobody else is a candidate; +inf wins."""
    inf = np.inf
    c = collection_of(
        backend,
        q=np.array([[np.nan, 5.0, -inf], [-inf, inf, -inf]]),
        t=np.uint8([[1] * 3, [2] * 3]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t") == [2, 2, 1]
    c = collection_of(
        backend,
        {"q": {"_FillValue": 7}},
        q=np.int8([[7, -128], [-128, 7]]),
        t=np.uint8([[1, 1], [2, 2]]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t") == [2, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_3_no_candidate(backend: str) -> None:
    """Rule 3, and the trap of an all-NaN pixel: every band masked, fill_value declared."""
    c = collection_of(
        backend,
        {"n": {"nodata": 9}},
        q=np.array([[np.nan], [np.nan]]),
        i=np.uint16([[1], [2]]),
        n=np.uint8([[1], [2]]),
        f=np.float32([[1], [2]]),
        b=np.array([[True], [True]]),
    )
    m = qm.quality_mosaic(c, "q")
    assert (row(m, "i"), row(m, "n"), row(m, "b")) == ([0], [9], [False])
    assert np.isnan(row(m, "f") + row(m, "q")).all()
    assert m["i"].attrs["_FillValue"] == 0
    assert m["i"].dtype == "uint16"
    assert "_FillValue" not in m["n"].attrs
    assert "_FillValue" not in m["b"].attrs
    other = qm.quality_mosaic(c, "q", fill_value=1)
    assert (row(other, "i"), row(other, "n"), other["i"].attrs["_FillValue"]) == ([1], [9], 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_3_nothing_is_declared_where_no_pixel_can_lack_a_candidate(backend: str) -> None:
    """Rule 3: integer scores without nodata always have a candidate; a threshold changes that."""
    c = collection_of(backend, q=np.int8([[1], [2]]), a=np.uint8([[0], [5]]))
    assert "_FillValue" not in qm.quality_mosaic(c, "q")["a"].attrs
    m = qm.quality_mosaic(c, "q", min_quality=3)
    assert m["a"].attrs["_FillValue"] == 0
    assert row(m, "a") == [0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_4_bad_quality_wins_where_nothing_better_exists(backend: str) -> None:
    """Rule 4: a threshold only on request, and inclusive."""
    c = collection_of(backend, q=np.int16([[-100, -3], [-99, -2]]), t=np.uint8([[1, 1], [2, 2]]))
    assert row(qm.quality_mosaic(c, "q"), "t") == [2, 2]
    assert row(qm.quality_mosaic(c, "q", min_quality=-2), "t") == [0, 2]
    assert row(qm.quality_mosaic(c, "q", min_quality=-2.5), "t") == [0, 2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_5_ties(backend: str) -> None:
    """Rule 5, and the trap of a tie with nodata: first by default, last on request."""
    c = collection_of(
        backend,
        {"q": {"nodata": 0}},
        q=np.uint8([[0], [4], [4], [0]]),
        t=np.uint8([[1], [2], [3], [4]]),
    )
    assert row(qm.quality_mosaic(c, "q"), "t") == [2]
    assert row(qm.quality_mosaic(c, "q", ties="last"), "t") == [3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_6_masked_bands(backend: str) -> None:
    """Rule 6, and the trap of a winner with a nodata band: keep, skip, fill with provenance."""
    c = collection_of(
        backend,
        {"a": {"nodata": 0}},
        q=np.int8([[9, 9], [5, 1], [7, 5]]),
        a=np.uint8([[0, 7], [2, 8], [3, 9]]),
        b=np.array([[0.1, np.nan], [0.2, np.nan], [np.nan, np.nan]]),
    )
    nan = np.nan
    keep = qm.quality_mosaic(c, "q")
    np.testing.assert_array_equal([row(keep, "a"), row(keep, "b")], [[0, 7], [0.1, nan]])
    skip = qm.quality_mosaic(c, "q", masked="skip")
    np.testing.assert_array_equal([row(skip, "a"), row(skip, "b")], [[2, 0], [0.2, nan]])
    assert row(skip, "q") == [5, 0]
    fill = qm.quality_mosaic(c, "q", masked="fill")
    np.testing.assert_array_equal([row(fill, "a"), row(fill, "b")], [[3, 7], [0.1, nan]])
    assert row(fill, "q") == [9, 9]
    assert fill["a_image"].values.tolist() == [2, 0]
    assert fill["b_image"].values.tolist() == [0, -1]
    assert "a_image" in fill.coords
    assert "q_image" not in fill.coords


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_rule_7_large_integers_are_exact(backend: str, dtype: str) -> None:
    """Rule 7: 2**53 + 1 beats 2**53, which float64 cannot tell apart; uint64 up to its maximum."""
    low = 2**53 if dtype == "int64" else 2**64 - 2
    scores = np.array([[low], [low + 1], [low]], dtype)
    c = collection_of(backend, q=scores, t=np.uint8([[1], [2], [3]]))
    m = qm.quality_mosaic(c, "q")
    assert row(m, "t") == [2]
    assert int(m["q"].values[0]) == low + 1
    assert row(qm.quality_mosaic(c, "q", min_quality=low + 1, ties="last"), "t") == [2]
    assert row(qm.quality_mosaic(c, "q", upper_bound=low + 1, ties="last"), "t") == [2]


def rich() -> xr.Dataset:
    """Make a collection with what people have: CRS, elevation, coordinates, packed bands."""
    rng = np.random.default_rng(3)
    shape = (4, 6, 8)
    packed = {
        "dtype": np.dtype("uint16"),
        "scale_factor": 1e-4,
        "add_offset": -0.1,
        "_FillValue": 0,
    }
    red = xr.Variable(
        ("time", "y", "x"), rng.integers(1, 9000, shape) * 1e-4 - 0.1, {"units": "1"}, packed
    )
    red.encoding |= {"chunks": (1, 6, 8), "preferred_chunks": {"time": 1}, "shards": (4, 6, 8)}
    c = xr.Dataset(
        {
            "red": red,
            "q": (("time", "y", "x"), rng.integers(0, 9, shape).astype("uint8")),
            "doy": ("time", np.int16([10, 20, 30, 40])),
            "date": ("time", pd.date_range("2020-01-01", periods=4)),
            "elevation": (("y", "x"), rng.random((6, 8))),
        },
        {
            "time": pd.date_range("2020-07-01", periods=4),
            "cloud_cover": ("time", [1, 2, 3, 4]),
            "y": np.arange(6) * -10.0,
            "x": ("x", np.arange(8) * 10.0, {"units": "m"}),
            "lat": (("y", "x"), rng.random((6, 8))),
            "spatial_ref": ((), 0, {"crs_wkt": "PROJCS"}),
        },
        {"title": "mine"},
    )
    return c.chunk(time=2, y=4, x=3)


def test_rule_8_what_is_kept_and_what_is_recorded() -> None:
    """Rule 8: attributes, CRS, coordinates, chunks in y and x are kept; the rules are recorded."""
    c = rich()
    m = qm.quality_mosaic(c, "q", ties="last", min_quality=1)
    assert "time" not in m.dims
    assert set(m.coords) == {"y", "x", "lat", "spatial_ref"}
    for name in m.coords:
        xr.testing.assert_identical(m[name].variable.load(), c[name].variable.load())
    xr.testing.assert_identical(m["elevation"].variable, c["elevation"].variable)
    assert list(m.data_vars) == list(c.data_vars)
    assert m["red"].attrs == {"units": "1"}
    assert m["red"].chunks == ((4, 2), (3, 3, 2))
    assert m.attrs == {
        "title": "mine",
        "qmosaic_quality_band": "q",
        "qmosaic_ties": "last",
        "qmosaic_masked": "keep",
        "qmosaic_min_quality": 1,
        "qmosaic_images": 4,
        "qmosaic_time_first": "2020-07-01T00:00:00",
        "qmosaic_time_last": "2020-07-04T00:00:00",
    }


@pytest.mark.parametrize("ours", [True, False])
def test_rule_8_packing_survives(tmp_path: Any, ours: bool) -> None:
    """Rule 8: decoded floats are written as the packed integers that they came from."""
    c = rich()
    source = c.drop_vars(["date"]).drop_encoding().chunk(time=1, y=6, x=8)
    source["red"].encoding = {
        k: c["red"].encoding[k] for k in ("dtype", "scale_factor", "add_offset", "_FillValue")
    }
    source.to_zarr(tmp_path / "in.zarr", consolidated=False)
    decoded = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, chunks={})
    raw = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, chunks={}, mask_and_scale=False)
    assert decoded["red"].dtype.kind == "f"
    m = qm.quality_mosaic(decoded, "q")
    if ours:
        qm.to_zarr(m, tmp_path / "out.zarr")
    else:
        m.to_zarr(tmp_path / "out.zarr", consolidated=False)
    back = xr.open_zarr(tmp_path / "out.zarr", consolidated=False, mask_and_scale=False)
    assert back["red"].dtype == "uint16"
    np.testing.assert_array_equal(back["red"].values, qm.quality_mosaic(raw, "q")["red"].values)
    assert back["red"].attrs["scale_factor"] == 1e-4


@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_rule_9_the_input_is_never_modified(masked: Any) -> None:
    """Rule 9: data, attributes and encodings are what they were, eager and lazy."""
    for c in (rich(), rich().load()):
        before = c.copy(deep=True)
        encodings = {n: dict(v.encoding) for n, v in c.variables.items()}
        m = qm.quality_mosaic(c, "q", masked=masked)
        m["red"].attrs["new"] = 1
        m.load()["red"].values[:] = -1
        xr.testing.assert_identical(c, before)
        assert {n: dict(v.encoding) for n, v in c.variables.items()} == encodings


def test_rule_10_numpy_gives_the_same() -> None:
    """Rule 10: the same dataset, in memory; computed at once."""
    lazy, eager = qm.quality_mosaic(rich(), "q"), qm.quality_mosaic(rich().load(), "q")
    assert eager["red"].chunks is None
    xr.testing.assert_identical(lazy.compute(), eager)


def test_time_bands_are_broadcast() -> None:
    """Bands that have only time: the date and the day of year of the winner."""
    c = rich().load()
    for made in (qm.quality_mosaic(c, "q"), qm.quality_mosaic(rich(), "q").compute()):
        index = c["q"].values.argmax(0)
        np.testing.assert_array_equal(made["doy"], c["doy"].values[index])
        np.testing.assert_array_equal(made["date"], c["date"].values[index])
        assert made["doy"].dtype == "int16"
    none = c.assign(q=c["q"].astype("float32") * np.nan)
    assert np.isnat(qm.quality_mosaic(none, "q")["date"].values).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_sixty_four_images_and_more(backend: str) -> None:
    """The trap of 64 images (np.choose has 32 or 64 at most), and of index dtypes."""
    scores = np.zeros((300, 3), "uint8")
    scores[[70, 255, 299], [0, 1, 2]] = 9
    images = np.arange(300, dtype="uint16")[:, None] * np.ones(3, "uint16")
    m = qm.quality_mosaic(collection_of(backend, q=scores, t=images), "q")
    assert row(m, "t") == [70, 255, 299]


@pytest.mark.parametrize("backend", BACKENDS)
def test_negated_unsigned_bands(backend: str) -> None:
    """The trap of -uint8 (0 stays 0, 1 becomes 255): inverse() takes the clearest pixel."""
    c = collection_of(
        backend, MSK_CLDPRB=np.uint8([[1, 100], [0, 3]]), t=np.uint8([[1, 1], [2, 2]])
    )
    c = c.assign(quality=qm.scores.inverse(c["MSK_CLDPRB"]))
    assert row(qm.quality_mosaic(c, "quality"), "t") == [2, 2]
    assert row(qm.quality_mosaic(c, "MSK_CLDPRB"), "t") == [1, 1]


def test_accessor_and_other_dimension_names() -> None:
    """The verb as a method; images along another dimension."""
    c = rich()
    xr.testing.assert_identical(
        c.qmosaic.quality_mosaic("q", ties="last").compute(),
        qm.quality_mosaic(c, "q", ties="last").compute(),
    )
    renamed = c.rename(time="date_of_image")
    m = qm.quality_mosaic(renamed, "q", dim="date_of_image")
    np.testing.assert_array_equal(m["red"], qm.quality_mosaic(c, "q")["red"])


# -- all rules together ---------------------------------------------------------------------------

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = [*INTEGERS, "float32", "float64", "bool"]


def values_of(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    """Few values, so that ties are common; the extremes of the dtype among them."""
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        return st.sampled_from([np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, 1.0, 2.5])
    limits = np.iinfo(dtype)
    few = {int(limits.min), int(limits.min) + 1, 0, 1, 2, int(limits.max) - 1, int(limits.max)}
    return st.sampled_from(sorted(few))


@st.composite
def bands(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[np.ndarray, Any]:
    """Draw a band and its nodata."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    size = int(np.prod(shape))
    values = draw(st.lists(values_of(dtype), min_size=size, max_size=size))
    nodata = None
    if dtype.kind in "iu":
        nodata = draw(st.none() | values_of(dtype))
    return np.array(values, dtype).reshape(shape), nodata


@st.composite
def chunks(draw: st.DrawFn, length: int) -> tuple[int, ...]:
    """Cut a length anywhere."""
    cuts = draw(st.sets(st.integers(1, length - 1))) if length > 1 else set()
    edges = [0, *sorted(cuts), length]
    return tuple(b - a for a, b in itertools.pairwise(edges))


class Source:
    """An array that is no numpy array, so that dask writes getter tasks for it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.ndim = (
            values,
            values.shape,
            values.dtype,
            values.ndim,
        )

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a collection and rules."""
    shape = tuple(draw(st.integers(1, n)) for n in (5, 3, 4))
    names = ["q", "a", "b"][: draw(st.integers(1, 3))]
    drawn = {n: draw(bands(shape)) for n in names}
    laid = {}
    for name, (array, nodata) in drawn.items():
        order = draw(st.permutations(range(3)))
        dims = tuple(("time", "y", "x")[i] for i in order)
        cut = tuple(draw(chunks(shape[i])) for i in order)
        way = draw(st.sampled_from(["numpy", "dask", "source", "derived"]))
        laid[name] = (dims, np.ascontiguousarray(array.transpose(order)), cut, way, nodata)
    q = drawn["q"][0]
    return {
        "values": {n: a for n, (a, _) in drawn.items()},
        "nodata": {n: d for n, (_, d) in drawn.items()},
        "laid": laid,
        "ties": draw(st.sampled_from(["first", "last"])),
        "masked": draw(st.sampled_from(["keep", "skip", "fill"])),
        "minimum": draw(st.sampled_from([None, None, 0, 1, 0.5])),
        "scale": draw(st.sampled_from([None, None, 0.01, -0.01])) if q.dtype.kind in "iu" else None,
    }


def as_lazy(array: np.ndarray, cut: Any, way: str) -> Any:
    if way == "numpy":
        return array
    if way == "dask":
        return da.from_array(array, chunks=cut)
    lazy = da.from_array(Source(array), chunks=cut)
    return lazy if way == "source" else da.where(lazy == lazy, lazy, lazy)


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases())
def test_every_rule_against_the_loop_over_pixels(case: dict[str, Any]) -> None:
    """Rules 1 to 7, 10 and 11: any dtype, mask, tie, chunking and order of dimensions."""
    data = {
        name: (dims, as_lazy(array, cut, way), {} if nodata is None else {"_FillValue": nodata})
        for name, (dims, array, cut, way, nodata) in case["laid"].items()
    }
    if case["scale"] is not None:
        data["q"][2]["scale_factor"] = case["scale"]
    want = oracle.mosaic(
        case["values"],
        "q",
        nodata=case["nodata"],
        ties=case["ties"],
        masked=case["masked"],
        minimum=case["minimum"],
        scale=case["scale"],
    )
    rules = {"ties": case["ties"], "masked": case["masked"], "min_quality": case["minimum"]}
    with dask.config.set(scheduler="synchronous"):
        for collection in (xr.Dataset(data), xr.Dataset(data).load()):
            got = qm.quality_mosaic(collection, "q", **rules)
            for name, band in want.items():
                made = got[name].transpose("y", "x").values
                assert made.dtype == band.dtype
                np.testing.assert_array_equal(made, band)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_further_dimensions(data: st.DataObject) -> None:
    """A band with a dimension more than the quality: each of its layers is mosaicked alike."""
    images, levels, height, width = 3, 2, 2, 3
    quality, nodata = data.draw(bands((images, height, width)))
    band, band_nodata = data.draw(bands((images, levels, height, width)))
    ties, masked = data.draw(st.sampled_from([("first", "keep"), ("last", "fill")]))
    attrs = [{} if n is None else {"_FillValue": n} for n in (nodata, band_nodata)]
    c = xr.Dataset(
        {
            "q": (("time", "y", "x"), quality, attrs[0]),
            "b": (("level", "x", "time", "y"), band.transpose(1, 3, 0, 2), attrs[1]),
        }
    )
    for collection in (c, c.chunk(time=1, y=1)):
        got = qm.quality_mosaic(collection, "q", ties=ties, masked=masked)
        for level in range(levels):
            want = oracle.mosaic(
                {"q": quality, "b": band[:, level]},
                "q",
                nodata={"q": nodata, "b": band_nodata},
                ties=ties,
                masked=masked,
            )
            made = got["b"].isel(level=level).transpose("y", "x").values
            np.testing.assert_array_equal(made, want["b"])


# -- bad input ------------------------------------------------------------------------------------


class Unreadable(Source):
    """A source that must not be read."""

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("something was read before the checks had passed")


def unreadable(dtype: Any = "uint8", dims: tuple[str, ...] = ("time", "y", "x")) -> Any:
    values = np.zeros((2, 3, 4)[: len(dims)], dtype)
    return dims, da.from_array(Unreadable(values), chunks=1, meta=values[:0, :0, :0])


@pytest.mark.parametrize(
    ("make", "rules", "error", "words"),
    [
        (lambda c: c, {"quality_band": "quality"}, KeyError, ["'quality'", "'red'", "'q'", "assign"]),
        (lambda c: c, {"quality_band": "rad"}, KeyError, ["Did you mean 'red'"]),
        (lambda c: c.assign(dem=(("y", "x"), np.ones((3, 4)))), {"quality_band": "dem"}, KeyError, ["not a band"]),
        (lambda c: c.rename(time="t"), {}, ValueError, ["no dimension 'time'", "'t'", "dim="]),
        (lambda c: c.isel(time=slice(0, 0)), {}, ValueError, ["zero images", "filter"]),
        (lambda c: c.assign(q=unreadable("complex64")), {}, TypeError, ["complex64", "order"]),
        (lambda c: c.assign(q=unreadable("datetime64[ns]")), {}, TypeError, ["datetime64", "order"]),
        (lambda c: c.assign(q=unreadable("timedelta64[ns]")), {}, TypeError, ["timedelta64"]),
        (lambda c: c.assign(q=unreadable("U3")), {}, TypeError, ["<U3", "order"]),
        (
            lambda c: c.assign(b20=(("time", "y20", "x20"), np.ones((2, 2, 2)))),
            {},
            ValueError,
            ["'b20'", "'y20'", "same grid", "drop_vars"],
        ),
        (lambda c: c.assign(q=c["q"].assign_attrs(_FillValue=-1)), {}, ValueError, ["-1", "uint8", "_FillValue"]),
        (lambda c: c.assign(red=c["red"].assign_attrs(nodata=np.nan)), {}, ValueError, ["nan", "'red'"]),
        (lambda c: c.assign(red=c["red"].assign_attrs(nodata=70000)), {}, ValueError, ["70000", "uint16"]),
        (lambda c: c, {"ties": "lats"}, ValueError, ["ties='lats'", "'first', 'last'", "mean ties='last'"]),
        (lambda c: c, {"masked": "kep"}, ValueError, ["masked='kep'", "mean masked='keep'"]),
        (lambda c: c, {"fill_value": 256}, ValueError, ["256", "'q'", "uint8"]),
        (lambda c: c, {"fill_value": 0.5}, ValueError, ["0.5", "integer"]),
        (lambda c: c, {"fill_value": "none"}, ValueError, ["'none'"]),
        (lambda c: c, {"min_quality": np.nan}, ValueError, ["min_quality=nan", "single number"]),
        (lambda c: c, {"min_quality": "high"}, ValueError, ["min_quality='high'"]),
        (lambda c: c, {"min_quality": 256}, ValueError, ["256", "no image would be a candidate"]),
        (lambda c: c, {"upper_bound": [1, 2]}, ValueError, ["upper_bound=[1, 2]"]),
        (
            lambda c: c.assign(a=unreadable("float32"), a_image=("x", np.ones(4))),
            {"masked": "fill"},
            ValueError,
            ["'a_image'", "'a'", "rename"],
        ),
        (lambda c: c["red"], {}, ValueError, ["no 'band'", "Dataset"]),
        (lambda c: c["red"].rename(y="band"), {}, ValueError, ["no labels"]),
        (lambda c: c["red"].rename(y="band").assign_coords(band=["a", "a", "b"]), {}, ValueError, ["not unique"]),
        (lambda c: {"red": 1}, {}, TypeError, ["dict", "xarray.Dataset"]),
    ],
)  # fmt: skip
def test_bad_input_is_named_with_its_cure(
    make: Any, rules: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    """What came, why it cannot work, what to write; nothing is read."""
    c = make(xr.Dataset({"red": unreadable("uint16"), "q": unreadable()}))
    with pytest.raises(error) as raised:
        qm.quality_mosaic(c, **{"quality_band": "q"} | rules)
    for word in words:
        assert word in str(raised.value), raised.value


def test_chunks_of_unknown_size_are_refused() -> None:
    """Blocks of unknown size cannot be laid on each other."""
    band = da.ones((4, 4, 4), chunks=2)
    unknown = band[band[:, 0, 0] > 0]
    bad = xr.Dataset({"q": xr.Variable(("time", "y", "x"), unknown)})
    with pytest.raises(ValueError, match="unknown size"):
        qm.quality_mosaic(bad, "q")
