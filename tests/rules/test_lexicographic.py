"""Several quality bands order images lexicographically: the second decides among equals of the
first, the third among equals of both. Candidates are told by the first band alone; in a later one
a masked value ranks behind every valid one. Equals in all: rule 5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qmosaic as qm
from tests.support.choice_strategies import Wide, wide_cases
from tests.support.choices import mosaic, one_behind_the_other, source_index, told_of, valid_count
from tests.support.oracle import Want, assert_same
from tests.support.small import BACKENDS, NAN, TIES, row, row_of, scene
from tests.support.sources import in_store, random_stack


def number_of(values: Any) -> np.ndarray:
    """Number the images of a band, from 1."""
    images, width = np.asarray(values).shape
    return np.repeat(np.arange(1, images + 1, dtype="uint8")[:, None], width, axis=1)


@BACKENDS
def test_the_second_decides_among_equals(backend: str) -> None:
    """And only there: a higher second does not make up for a lower first."""
    q = np.uint8([[1, 5, 5], [2, 5, 5], [2, 4, 5]])
    r = np.float32([[9, 1, 0.25], [3, 2, 0.5], [4, 9, 0.25]])
    c = row_of(backend, q=q, r=r, t=number_of(q))
    m = qm.quality_mosaic(c, ["q", "r"])
    assert row(m, "t") == [3, 2, 2]
    assert row(m, "q") == [2, 5, 5]
    assert row(m, "r") == [4, 2, 0.5]
    assert row(qm.quality_mosaic(c, "q"), "t") == [2, 1, 1]


@BACKENDS
@TIES
def test_equals_in_all(backend: str, ties: Any) -> None:
    """Rule 5: the first or the last of those that are best in both; −0.0 and 0.0 are equal."""
    q = np.float64([[1, 0.0], [1, -0.0], [1, 0.0], [1, 0.0]])
    r = np.int8([[4, 7], [5, 7], [5, 7], [3, 6]])
    c = row_of(backend, q=q, r=r, t=number_of(q))
    want = {"first": [2, 1], "last": [3, 3]}[ties]
    assert row(qm.quality_mosaic(c, ["q", "r"], ties=ties), "t") == want


@BACKENDS
def test_the_sign_of_a_zero_is_the_winners(backend: str) -> None:
    """Rule 1: 0.0 and −0.0 tie, and the pixel has that of the image that the second band chose."""
    c = row_of(backend, q=np.float32([[0.0, -0.0], [-0.0, 0.0]]), r=np.uint8([[1, 1], [2, 2]]))
    for made in (qm.quality_mosaic(c, ["q", "r"]), qm.best_images(c, ["q", "r"], 1).isel(rank=0)):
        assert np.signbit(made["q"].values).tolist() == [[True, False]]


@BACKENDS
@TIES
def test_a_third_band(backend: str, ties: Any) -> None:
    """It decides among equals of both, and may be one number an image: a date, the recency."""
    q = np.uint8([[3, 3], [3, 3], [3, 3], [1, 3]])
    r = np.int16([[7, 7], [7, 6], [6, 7], [9, 7]])
    c = row_of(backend, q=q, r=r, s=np.float32([1, 2, 3, 4]), t=number_of(q))
    assert row(qm.quality_mosaic(c, ["q", "r", "s"], ties=ties), "t") == [2, 4]
    assert row(qm.quality_mosaic(c, ["q", "s", "r"], ties=ties), "t") == [3, 4]
    assert row(qm.quality_mosaic(c, ["s", "q", "r"], ties=ties), "t") == [4, 4]


@BACKENDS
@TIES
@pytest.mark.parametrize("kind", ["nan", "nodata"])
def test_masked_in_a_later_band(backend: str, ties: Any, kind: str) -> None:
    """It ranks behind every valid value, −inf and the dtype's lowest too, and stays a candidate:
    among none but such, rule 5."""
    low = -np.inf if kind == "nan" else -128
    hole = NAN if kind == "nan" else 5
    r = np.array([[hole, hole, 1], [low, hole, hole], [hole, hole, 1]])
    r = r.astype("float32" if kind == "nan" else "int8")
    q = np.uint8([[2, 2, 1], [2, 2, 2], [2, 1, 1]])
    attrs = {} if kind == "nan" else {"r": {"_FillValue": np.int8(5)}}
    c = row_of(backend, attrs, q=q, r=r, t=number_of(q))
    m = qm.quality_mosaic(c, ["q", "r"], ties=ties, provenance=["valid_count"])
    assert row(m, "t") == [2, 1 if ties == "first" else 2, 2]
    np.testing.assert_array_equal(row(m, "r"), [low, hole, hole])
    assert row(m, "valid_count") == [3, 3, 3]
    ranks = qm.best_images(c, ["q", "r"], 3, ties=ties)["t"].transpose("rank", "y", "x")
    others = [[2, 1, 3], [1, 2, 3]] if ties == "first" else [[2, 3, 1], [2, 1, 3]]
    assert ranks.values[:, 0, :2].T.tolist() == others


@BACKENDS
@TIES
def test_a_band_that_is_masked_in_all_equals(backend: str, ties: Any) -> None:
    """It decides nothing, and leaves all of them to the next one."""
    q = np.uint8([[2, 2], [2, 2], [2, 1]])
    c = row_of(
        backend,
        q=q,
        r=np.float32([[NAN, NAN], [NAN, NAN], [NAN, 5]]),
        s=np.int8([[1, 3], [3, 1], [3, 9]]),
        t=number_of(q),
    )
    want = [2 if ties == "first" else 3, 1]
    assert row(qm.quality_mosaic(c, ["q", "r", "s"], ties=ties), "t") == want
    best = qm.best_images(c, ["q", "r", "s"], 1, ties=ties).isel(rank=0)
    assert row(best, "t") == want


@BACKENDS
def test_masked_in_the_first_band(backend: str) -> None:
    """Rule 2: no candidate, however good the second."""
    q = np.float32([[NAN, NAN], [1, NAN]])
    c = row_of(backend, q=q, r=np.uint8([[9, 9], [1, 1]]), t=number_of(q))
    m = qm.quality_mosaic(c, ["q", "r"], provenance=True)
    assert row(m, "t") == [2, 0]
    assert row(m, "r") == [1, 0]
    assert row(m, "source_index") == [1, -1]
    assert row(m, "valid_count") == [1, 0]


@BACKENDS
def test_a_threshold_is_of_the_first_band(backend: str) -> None:
    """Rule 4: `min_quality` is in its numbers, and says nothing of later ones."""
    q = np.uint8([[5, 3], [5, 3]])
    c = row_of(backend, q=q, r=np.uint8([[1, 1], [2, 2]]), t=number_of(q))
    m = qm.quality_mosaic(c, ["q", "r"], min_quality=4, provenance=["valid_count"])
    assert row(m, "t") == [2, 0]
    assert row(m, "valid_count") == [2, 0]


@BACKENDS
@pytest.mark.parametrize("turned", [(False, True), (True, False), (True, True)])
def test_a_packing_that_turns_the_order_round(backend: str, turned: tuple[bool, bool]) -> None:
    """Rule 7, of each band for itself: of integers with a negative scale the lowest is the best."""
    q, r = np.uint8([[1, 2], [1, 2], [2, 1]]), np.int16([[5, 5], [7, 4], [9, 9]])
    attrs = {name: {"scale_factor": -0.01} for name, turn in zip("qr", turned, strict=True) if turn}
    c = row_of(backend, attrs, q=q, r=r, t=number_of(q))
    want = {(False, True): [3, 2], (True, False): [2, 3], (True, True): [1, 3]}[turned]
    assert row(qm.quality_mosaic(c, ["q", "r"]), "t") == want


@BACKENDS
def test_nodata_of_a_packing_that_turns_the_order_round(backend: str) -> None:
    """The lowest integer would be the best there; as nodata it is the last."""
    q = np.uint8([[1], [1]])
    c = row_of(
        backend,
        {"r": {"scale_factor": -1, "_FillValue": np.int8(-128)}},
        q=q,
        r=np.int8([[-128], [127]]),
        t=number_of(q),
    )
    assert row(qm.quality_mosaic(c, ["q", "r"]), "t") == [2]


@BACKENDS
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_later_integers_are_compared_exactly(backend: str, dtype: str) -> None:
    """Rule 7, where floats are too coarse."""
    q = np.uint8([[1], [1], [1]])
    r = np.array([[2**53], [2**53 + 1], [2**53]], dtype)
    c = row_of(backend, q=q, r=r, t=number_of(q))
    assert row(qm.quality_mosaic(c, ["q", "r"]), "t") == [2]


@BACKENDS
def test_skip(backend: str) -> None:
    """Rule 6: only images that are whole in all bands, later qualities among them."""
    q = np.uint8([[5, 5], [5, 5], [4, 5]])
    c = row_of(
        backend,
        {"a": {"_FillValue": 0}},
        q=q,
        r=np.float32([[9, NAN], [8, 2], [7, 3]]),
        a=np.uint8([[0, 1], [1, 1], [1, 0]]),
        t=number_of(q),
    )
    m = qm.quality_mosaic(c, ["q", "r"], masked="skip", provenance=True)
    assert row(m, "t") == [2, 2]
    assert row(m, "valid_count") == [2, 1]


@BACKENDS
def test_fill(backend: str) -> None:
    """Rule 6: each band from the best image in which it is valid, in the order of all qualities."""
    q = np.uint8([[5, 5], [5, 5], [4, 4]])
    c = row_of(
        backend,
        {"a": {"_FillValue": 0}},
        q=q,
        r=np.float32([[1, NAN], [2, NAN], [9, 9]]),
        a=np.uint8([[11, 0], [0, 0], [13, 13]]),
        t=number_of(q),
    )
    m = qm.quality_mosaic(c, ["q", "r"], masked="fill")
    assert row(m, "t") == [2, 1]
    assert row(m, "a") == [11, 13]
    assert row(m, "a_source_index") == [0, 2]
    assert row(m, "r") == [2, 9]
    assert row(m, "r_source_index") == [1, 2]


@BACKENDS
def test_a_list_of_one(backend: str) -> None:
    """It is that band."""
    c = scene() if backend == "dask" else scene().compute()
    one = qm.quality_mosaic(c, ["quality"], provenance=True).compute()
    other = qm.quality_mosaic(c, "quality", provenance=True).compute()
    for name in other.variables:
        np.testing.assert_array_equal(one[name].values, other[name].values)


def compare(got: xr.Dataset, wide: Wide, masked: str) -> None:
    """Compare bands and provenance of a mosaic with what the loop over pixels finds."""
    bands, choice = wide.bands, wide.choice(masked)
    wants, index = mosaic(bands, choice), source_index(bands, choice)
    for name, want in wants.items():
        assert_same(got[name], want)
        if masked == "fill" and bands[name].can_be_masked:
            where = got[f"{name}_source_index"].transpose(*want.dims)
            np.testing.assert_array_equal(where.values, want.image)
    assert_same(got["valid_count"], valid_count(bands, choice))
    if masked != "fill":
        assert_same(got["source_index"], index)
        told = told_of(index, wide.times.values.astype("datetime64[ns]"), np.datetime64("NaT"))
        assert_same(got["source_time"], told)


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_any_collection(data: st.DataObject) -> None:
    """Two and three bands of any dtype, nodata, packing, order of dimensions, some of them one
    number an image; any tie, mask rule, threshold, chunks."""
    wide = data.draw(wide_cases(qualities=data.draw(st.integers(2, 3))))
    options = wide.case.options()
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.quality_mosaic(
                wide.collection(lazy=lazy), wide.quality_band, provenance=True, **options
            ).compute()
            compare(got, wide, options["masked"])


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_the_n_best_of_any_collection(data: st.DataObject) -> None:
    """Ranks are in the order of all bands."""
    wide = data.draw(wide_cases(qualities=data.draw(st.integers(2, 3)), masked=["keep", "skip"]))
    n = data.draw(st.integers(2, 4))
    options = {k: v for k, v in wide.case.options().items() if k != "upper_bound"}
    bands, choice = wide.bands, wide.choice()
    ranks: list[dict[str, Want]] = [mosaic(bands, choice, rank) for rank in range(n)]
    index = [source_index(bands, choice, rank) for rank in range(n)]
    with dask.config.set(scheduler="synchronous"):
        for lazy in (False, True):
            got = qm.best_images(
                wide.collection(lazy=lazy), wide.quality_band, n, provenance=True, **options
            ).compute()
            for name in bands:
                ours = one_behind_the_other([rank[name] for rank in ranks], "rank")
                assert_same(got[name], ours)
            assert_same(got["source_index"], one_behind_the_other(index, "rank"))
            assert_same(got["valid_count"], valid_count(bands, choice))


# -- other faces -----------------------------------------------------------------------------------


def test_what_is_recorded(tmp_path: Path) -> None:
    """Rule 8: attributes name all bands; another order is another mosaic."""
    values = random_stack(images=4, side=8)
    c, _ = in_store(values, tmp_path / "in.zarr")
    m = qm.quality_mosaic(c, ["quality", "red"])
    said = m.attrs["qmosaic_quality_band"]
    assert "quality" in said
    assert "red" in said
    qm.to_zarr(m, tmp_path / "out.zarr", progress=False)
    back = qm.open_mosaic(tmp_path / "out.zarr", mask_and_scale=False)
    xr.testing.assert_equal(back.compute(), m.compute())
    assert back.attrs["qmosaic_quality_band"] == said
    for other in ("quality", ["quality", "nir"], ["quality", "red", "nir"]):
        with pytest.raises(ValueError, match="quality_band"):
            qm.to_zarr(
                qm.quality_mosaic(c, other), tmp_path / "out.zarr", mode="resume", progress=False
            )


def test_nothing_is_computed() -> None:
    """Rule 9."""
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        m = qm.quality_mosaic(scene(), ["quality", "nir", "doy"])
    assert m["red"].chunks == ((4, 3), (5, 4))


@pytest.mark.parametrize("lazy", [False, True])
def test_an_array_of_bands(lazy: bool) -> None:
    """The names are those along ``band``."""
    images = scene()[["red", "nir", "quality"]].drop_vars("lat").astype("float32")
    images["red"].attrs = {}
    images = images if lazy else images.compute()
    array = qm.quality_mosaic(images.to_dataarray("band"), ["quality", "red"])
    apart = qm.quality_mosaic(images, ["quality", "red"])
    for name in ("red", "nir", "quality"):
        np.testing.assert_array_equal(array.sel(band=name).values, apart[name].values)


def test_the_methods() -> None:
    """``ds.qmosaic.quality_mosaic`` and `mosaic_by_period` take lists too."""
    images = scene().compute()
    names = ["quality", "red"]
    xr.testing.assert_identical(
        images.qmosaic.quality_mosaic(names), qm.quality_mosaic(images, names)
    )
    xr.testing.assert_identical(
        images.qmosaic.mosaic_by_period(names, "D"), qm.quality_mosaic(images, names, period="D")
    )


@pytest.mark.parametrize("name", ["irregular", "images together", "persisted", "second in memory"])
def test_chunks_do_not_matter(name: str) -> None:
    """Rules 10 and 11: as in memory; each band has chunks of its own."""
    images = scene()
    if name == "irregular":
        images = images.chunk(time=(1, 3, 2), y=(3, 4), x=(2, 7))
        images["nir"] = images["nir"].chunk(time=4, y=7, x=3)
    elif name == "images together":
        images = images.chunk(time=-1)
    elif name == "persisted":
        images = images.persist()
    else:
        images["nir"] = images["nir"].compute()
    names = ["quality", "nir", "red"]
    eager = qm.quality_mosaic(images.compute(), names, provenance=True)
    xr.testing.assert_identical(qm.quality_mosaic(images, names, provenance=True).compute(), eager)
