"""Bad input gets an error that says what came, why it cannot work and what to write instead, before
anything is computed. (What cannot be written to a store: `tests/sink`.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import qmosaic as qm

DIMS = ("time", "y", "x")


def blocks(dtype: Any = "uint8", shape: tuple[int, ...] = (2, 3, 4)) -> Any:
    """Make a lazy array whose blocks cannot be computed."""

    def fail(block: Any) -> Any:
        raise AssertionError("a block was computed before the checks had passed")

    zeros = da.zeros(shape, chunks=1, dtype="uint8")
    return da.map_blocks(fail, zeros, dtype=dtype, meta=np.empty((0,) * len(shape), dtype))


def collection(**bands: Any) -> xr.Dataset:
    """Make a collection of a red band and a quality, with other bands in their place or beside."""
    return xr.Dataset({"red": (DIMS, blocks("uint16")), "q": (DIMS, blocks()), **bands})


@pytest.fixture(autouse=True)
def _nothing_is_computed() -> Iterator[None]:
    """Fail where a scheduler is called."""

    def scheduler(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was computed before the checks had passed")

    with dask.config.set(scheduler=scheduler):
        yield


def text_of(error: type[Exception], c: Any, **rules: Any) -> str:
    """Give the message of the error that a call raises."""
    with pytest.raises(error) as raised:
        qm.quality_mosaic(c, "q", **rules)
    return str(raised.value)


# -- the collection --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "rules", "error", "parts"),
    [
        (lambda c: c, {"quality_band": "quality"}, KeyError, ["'quality'", "'red'", "'q'", "assign"]),
        (lambda c: c, {"quality_band": "rad"}, KeyError, ["Did you mean 'red'"]),
        (lambda c: c.assign(dem=(DIMS[1:], np.ones((3, 4)))), {"quality_band": "dem"}, KeyError, ["'dem'", "not a band"]),
        (lambda c: c.rename(time="t"), {}, ValueError, ["no dimension 'time'", "'t'", "dim="]),
        (lambda c: c, {"dim": "date"}, ValueError, ["no dimension 'date'", "'time'", "dim="]),
        (lambda c: c.isel(time=slice(0, 0)), {}, ValueError, ["zero images", "filter"]),
        (lambda c: xr.Dataset({"q": (DIMS, np.empty((0, 3, 4)))}), {}, ValueError, ["zero images", "filter"]),
        (lambda c: c.assign(b20=(("time", "y20", "x20"), blocks())), {}, ValueError, ["'b20'", "'y20'", "'x20'", "same grid", "drop_vars"]),
        (lambda c: c.assign(a=(DIMS, blocks("f4")), a_source_index=("x", np.ones(4))), {"masked": "fill"}, ValueError, ["'a_source_index'", "'a'", "rename"]),
        (lambda c: {"red": 1}, {}, TypeError, ["dict", "xarray.Dataset", "open_zarr"]),
        (lambda c: c["red"], {}, ValueError, ["no 'band'", "Dataset"]),
        (lambda c: c["red"].rename(y="band"), {}, ValueError, ["no labels", "assign_coords"]),
        (lambda c: c["red"].rename(y="band").assign_coords(band=list("aab")), {}, ValueError, ["not unique", "assign_coords"]),
        (lambda c: c["red"].rename(y="band").assign_coords(band=list("abc")), {}, KeyError, ["'q'", "'a'", "'b'", "'c'"]),
    ],
)  # fmt: skip
def test_a_collection_that_cannot_be(
    make: Any, rules: dict[str, Any], error: type[Exception], parts: list[str]
) -> None:
    """What came, what is there, what to write."""
    with pytest.raises(error) as raised:
        qm.quality_mosaic(make(collection()), **{"quality_band": "q"} | rules)
    text = str(raised.value)
    for part in parts:
        assert part in text, text


BAND = xr.DataArray(np.ones((2, 3, 4)), dims=DIMS)
NO_NAMES = [
    (BAND, ["a DataArray", "the name of a band", "collection.assign(quality=...)", "'quality'"]),
    (BAND.values, ["a ndarray", "collection.assign(quality=...)"]),
    (BAND.to_dataset(name="a"), ["a Dataset", "collection.assign(quality=...)"]),
    ({"q"}, ["{'q'} is a set", "one band", "Write 'q'"]),
    ([xr.DataArray([1], dims="time")], ["a list", "name of a band"]),
]


@pytest.mark.parametrize(("given", "parts"), NO_NAMES)
@pytest.mark.parametrize("call", ["quality_mosaic", "mosaic_by_period", "accessor", "of an array"])
def test_a_band_in_place_of_its_name(call: str, given: Any, parts: list[str]) -> None:
    """Images are ordered by one band, which is told by its name, or by several: not bands."""
    c = collection(time=np.array(["2020-01-01", "2020-02-01"], "datetime64[ns]"))
    calls = {
        "quality_mosaic": lambda: qm.quality_mosaic(c, given),
        "mosaic_by_period": lambda: qm.mosaic_by_period(c, given),
        "accessor": lambda: c.qmosaic.quality_mosaic(given),
        "of an array": lambda: qm.quality_mosaic(c.to_dataarray("band"), given),
    }
    with pytest.raises(TypeError) as raised:
        calls[call]()
    for part in ("quality_band=", *parts):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("came", "hint"),
    [
        ("rde", "Did you mean 'red'?"),
        ("cloudless", "Add one with ds.assign(cloudless=...)."),
        (None, "Add one with ds.assign(quality=...)."),
        ("no name", "Add one with ds.assign(quality=...)."),
    ],
)
def test_one_piece_of_advice(came: Any, hint: str) -> None:
    """A misspelt band is corrected, another one is added; the advice can be written as it is."""
    with pytest.raises(KeyError) as raised:
        qm.quality_mosaic(collection(), came)
    assert raised.value.args[0].endswith(f"the bands are 'red', 'q'. {hint}")


def test_chunks_of_unknown_size() -> None:
    """Blocks of unknown size cannot be laid on each other."""
    band = da.ones((4, 4, 4), chunks=2)
    bad = xr.Dataset({"q": xr.Variable(DIMS, band[band[:, 0, 0] > 0])})
    assert "unknown size" in (text := text_of(ValueError, bad))
    assert "compute_chunk_sizes" in text


@pytest.mark.parametrize(
    "dtype", ["complex64", "complex128", "U4", "S4", "datetime64[ns]", "timedelta64[ns]", "O"]
)
def test_a_quality_that_has_no_order(dtype: str) -> None:
    """Strings, dates and complex numbers do not order images; the message has the dtype."""
    text = text_of(TypeError, collection(q=(DIMS, blocks(dtype))))
    for part in ("'q'", str(np.dtype(dtype)), "order", "assign"):
        assert part in text


@pytest.mark.parametrize("name", ["_FillValue", "nodata", "missing_value"])
@pytest.mark.parametrize("nodata", [-1, 70000, 0.5, np.nan, np.inf, "none"])
@pytest.mark.parametrize("band", ["red", "q"])
def test_a_nodata_that_does_not_fit_its_dtype(band: str, nodata: Any, name: str) -> None:
    """-1 in a uint16 band masks nothing: the message has the band, the number, the attribute and
    the dtype."""
    c = collection()
    c[band].attrs[name] = nodata
    text = text_of(ValueError, c)
    for part in (f"'{band}'", str(nodata), f"'{name}'", str(c[band].dtype)):
        assert part in text


# -- the arguments ---------------------------------------------------------------------------------

CHOICES = {"ties": ["first", "last"], "masked": ["keep", "skip", "fill"]}


@pytest.mark.parametrize(
    ("argument", "came", "meant"),
    [
        ("ties", "lats", "last"),
        ("ties", "frist", "first"),
        ("masked", "kep", "keep"),
        ("masked", "fil", "fill"),
        ("masked", "skipp", "skip"),
    ],
)
def test_a_rule_that_is_misspelt(argument: str, came: str, meant: str) -> None:
    """The message has what came, the choices, and the one that was meant."""
    text = text_of(ValueError, collection(), **{argument: came})
    assert f"{argument}={came!r}" in text
    assert ", ".join(map(repr, CHOICES[argument])) in text
    assert f"mean {argument}={meant!r}" in text


@pytest.mark.parametrize("came", ["random", "median", "nan", "ignore"])
@pytest.mark.parametrize("argument", CHOICES)
def test_a_rule_that_resembles_none(argument: str, came: str) -> None:
    """No guess is better than a bad one."""
    assert "Did you mean" not in text_of(ValueError, collection(), **{argument: came})


@pytest.mark.parametrize("came", [None, 1, "", ["first"]])
@pytest.mark.parametrize("argument", CHOICES)
def test_a_rule_that_is_none(argument: str, came: Any) -> None:
    """Whatever comes, the answer is an error that has it."""
    assert repr(came) in text_of(ValueError, collection(), **{argument: came})


@pytest.mark.parametrize("fill_value", [-1, 256, 0.5, np.nan, "none"])
def test_a_fill_value_that_does_not_fit(fill_value: Any) -> None:
    """256 does not fit a uint8 band: nothing is promoted, nothing wraps round."""
    c = collection(q=(DIMS, blocks("float32")), a=(DIMS, blocks()))
    text = text_of(ValueError, c, fill_value=fill_value)
    for part in (f"fill_value={fill_value!r}", "'a'" if fill_value == 256 else "'red'", "integer"):
        assert part in text


@pytest.mark.parametrize("name", ["min_quality", "upper_bound"])
@pytest.mark.parametrize("value", [np.nan, np.float32(np.nan), "high", [1, 2], 1j])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_threshold_that_is_no_number(name: str, value: Any, dtype: str) -> None:
    """One real number, or none. Nothing compares with NaN: it would mask every pixel or stop
    nothing."""
    text = text_of(ValueError, collection(q=(DIMS, blocks(dtype))), **{name: value})
    for part in (f"{name}={value!r}", dtype, "single number"):
        assert part in text


def test_a_threshold_that_nothing_can_reach() -> None:
    """Above what the dtype holds, no image would be a candidate; a bound there stops nothing."""
    text = text_of(ValueError, collection(), min_quality=256)
    for part in ("min_quality=256", "uint8", "no image would be a candidate", "lower"):
        assert part in text
    assert qm.quality_mosaic(collection(), "q", upper_bound=256)["red"].shape == (3, 4)


def test_a_best_score_that_is_nodata() -> None:
    """A score that inherits the nodata of its band would let the best images be masked."""
    c = collection(q=(DIMS, blocks("int16"), {"_FillValue": 0}))
    text = text_of(ValueError, c, upper_bound=0)
    for part in ("upper_bound=0 is also the nodata", "'q'", "remove it"):
        assert part in text


def test_the_method_raises_the_same() -> None:
    """ds.qmosaic.quality_mosaic calls the function, its errors included."""
    with pytest.raises(ValueError, match="lats"):
        collection().qmosaic.quality_mosaic("q", ties="lats")


# -- several images a pixel, medoids ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "error", "parts"),
    [
        ({"within": -1}, ValueError, ["within=-1", "no distance", "within=0.05"]),
        ({"within": float("nan")}, ValueError, ["within=nan", "no distance", "from 0 on"]),
        ({"within": True}, ValueError, ["within=True", "Give a number"]),
        ({"within": "1"}, ValueError, ["within='1'", "Give a number"]),
        ({"reducer": "mean"}, ValueError, ["reducer='mean'", "within= is left out", "within=0.05"]),
        ({"within": 1, "reducer": "max"}, ValueError, ["reducer='max'", "'median', 'mean'", "reducer=25"]),
        ({"within": 1, "reducer": 101}, ValueError, ["reducer=101", "from 0 to 100"]),
        ({"within": 1, "reducer": True}, ValueError, ["reducer=True", "percentile"]),
        ({"within": 1, "masked": "fill"}, ValueError, ["masked='fill'", "masked='skip'"]),
        ({"within": 1, "scene_bonus": 0.1}, ValueError, ["scene_bonus=0.1", "within=", "smooth="]),
        ({"within": 1, "quality_band": ["q", "red"]}, ValueError, ["2 bands", "Name one band"]),
        ({"within": 1, "provenance": ["source_index"]}, ValueError, ["'source_index'", "several images", "provenance=['valid_count']"]),
    ],
)  # fmt: skip
def test_a_tolerance_or_a_reduction_that_cannot_be(
    rules: dict[str, Any], error: type[Exception], parts: list[str]
) -> None:
    """What came, why several images cannot be counted or reduced so, what to write."""
    with pytest.raises(error) as raised:
        qm.quality_mosaic(collection(), **{"quality_band": "q"} | rules)
    for part in parts:
        assert part in str(raised.value), str(raised.value)


def test_bands_that_cannot_be_reduced_are_to_be_left_out() -> None:
    """There is no median of dates: the band is named, and how to leave it out."""
    c = collection(date=("time", np.array(["2020-01-01", "2020-02-01"], "datetime64[ns]")))
    with pytest.raises(TypeError) as raised:
        qm.quality_mosaic(c, "q", within=1)
    for part in ("'date'", "datetime64[ns]", "'median'", "collection.drop_vars('date')"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("make", "rules", "error", "parts"),
    [
        (lambda c: c, {"bands": ["red", "nir"]}, KeyError, ["'nir'", "'red', 'q'", "Write some of these"]),
        (lambda c: c, {"bands": []}, ValueError, ["bands=[]", "Name some of 'red', 'q'"]),
        (lambda c: c, {"bands": ["red", "red"]}, ValueError, ["twice", "Write each name once"]),
        (lambda c: c, {"bands": BAND}, KeyError, ["no band of the collection", "'red', 'q'"]),
        (lambda c: c, {"masked": "fill"}, ValueError, ["masked='fill'", "'keep', 'skip'"]),
        (lambda c: c, {"ties": "best"}, ValueError, ["ties='best'"]),
        (lambda c: c[[]].assign_coords(time=[0, 1]), {}, ValueError, ["names no band", "there are none"]),
        (lambda c: c.rename(time="t"), {}, ValueError, ["no dimension 'time'", "dim="]),
        (lambda c: c.isel(time=slice(0, 0)), {}, ValueError, ["zero images"]),
        (lambda c: c.assign(s=(DIMS, blocks("U4"))), {"bands": ["red", "s"]}, TypeError, ["'s'", "<U4", "Name numeric bands"]),
        (lambda c: c.assign(a=(("time", "y", "x", "level"), blocks(shape=(2, 3, 4, 2)))), {}, ValueError, ["'a'", "'level'", "bands=[...]"]),
        (lambda c: c.assign(sun=("time", np.ones(2))), {"bands": ["red", "sun"]}, ValueError, ["'sun'", "same dimensions"]),
    ],
)  # fmt: skip
def test_a_medoid_that_cannot_be(
    make: Any, rules: dict[str, Any], error: type[Exception], parts: list[str]
) -> None:
    """What came, why images cannot be compared so, what to write."""
    with pytest.raises(error) as raised:
        qm.medoid(make(collection()), **rules)
    for part in parts:
        assert part in str(raised.value), str(raised.value)
