"""Rule 6: a band that is masked in the winner. `masked="keep"` (default) leaves it masked, so that
one pixel is one image; `masked="skip"` makes an image a candidate only where all its bands are
valid; `masked="fill"` takes each band from the best image in which that band is valid, and records
for each band which image that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.small import BACKENDS, LAZY, NAN, row, row_of


def holes(backend: str) -> xr.Dataset:
    """Make images with holes; the second is the best, then the first, and the third is whole but
    for pixel 2."""
    return row_of(
        backend,
        {"a": {"_FillValue": 0}},
        q=np.int8([[7, 7, 7], [9, 9, 9], [5, 5, 5]]),
        a=np.uint8([[2, 2, 2], [0, 1, 0], [3, 3, 3]]),
        b=np.float64([[NAN, NAN, NAN], [0.1, NAN, 0.1], [0.3, 0.3, NAN]]),
        whole=np.uint8([[1] * 3, [2] * 3, [3] * 3]),
    )


@BACKENDS
def test_keep(backend: str) -> None:
    """The winner's holes stay, so that one pixel is one image; it is the default."""
    for m in (qm.quality_mosaic(holes(backend), "q"), holes(backend).qmosaic.quality_mosaic("q")):
        assert row(m, "q") == [9, 9, 9]
        assert row(m, "whole") == [2, 2, 2]
        assert row(m, "a") == [0, 1, 0]
        np.testing.assert_array_equal(row(m, "b"), [0.1, NAN, 0.1])
        assert m.attrs["qmosaic_masked"] == "keep"


@BACKENDS
def test_skip(backend: str) -> None:
    """Only an image whose bands are all valid is a candidate; else the pixel is masked."""
    m = qm.quality_mosaic(holes(backend), "q", masked="skip", fill_value=99)
    assert row(m, "q") == [5, 5, 99]
    assert row(m, "whole") == [3, 3, 99]
    assert row(m, "a") == [3, 3, 0]
    np.testing.assert_array_equal(row(m, "b"), [0.3, 0.3, NAN])
    assert m.attrs["qmosaic_masked"] == "skip"


@BACKENDS
def test_skip_looks_at_bands_that_have_only_time(backend: str) -> None:
    """A date that is missing is a hole like any other."""
    date = np.array(["NaT", "2020-07-02"], "datetime64[ns]")
    c = row_of(backend, q=np.int8([[9, 9], [7, 7]]), date=date)
    m = qm.quality_mosaic(c, "q", masked="skip")
    assert row(m, "q") == [7, 7]
    np.testing.assert_array_equal(m["date"].values.ravel(), date[[1, 1]])


@BACKENDS
def test_fill(backend: str) -> None:
    """Each band is of the best image in which it is valid, and says of which."""
    m = qm.quality_mosaic(holes(backend), "q", masked="fill")
    assert row(m, "q") == [9, 9, 9]
    assert row(m, "whole") == [2, 2, 2]
    assert row(m, "a") == [2, 1, 2]
    np.testing.assert_array_equal(row(m, "b"), [0.1, 0.3, 0.1])
    assert {n for n in map(str, m.coords) if n.endswith("_source_index")} == {
        "a_source_index",
        "b_source_index",
    }
    assert row(m, "a_source_index") == [0, 1, 0]
    assert row(m, "b_source_index") == [1, 2, 1]
    assert m["a_source_index"].dtype.kind == m["b_source_index"].dtype.kind == "i"


@BACKENDS
def test_floats_have_holes_of_two_kinds(backend: str) -> None:
    """A float band that declares nodata is masked where it is NaN as well."""
    c = row_of(
        backend,
        {"b": {"nodata": -1.0}},
        q=np.int8([[9, 9], [7, 7], [5, 5]]),
        b=np.float32([[NAN, -1], [-1, NAN], [0.5, 0.25]]),
    )
    assert row(qm.quality_mosaic(c, "q", masked="skip"), "q") == [5, 5]
    fill = qm.quality_mosaic(c, "q", masked="fill")
    assert (row(fill, "b"), row(fill, "b_source_index")) == ([0.5, 0.25], [2, 2])


@LAZY
def test_layers_have_holes_of_their_own(lazy: bool) -> None:
    """A band with a dimension more than the quality: to skip, one layer that is masked is enough;
    to fill, each layer is of its own image."""
    deep = np.uint8([[[[0]], [[2]]], [[[3]], [[4]]]])  # two images of two layers of a pixel
    c = xr.Dataset(
        {
            "q": (("time", "y", "x"), np.int8([[[9]], [[5]]])),
            "deep": (("time", "level", "y", "x"), deep, {"_FillValue": 0}),
        }
    )
    c = c.chunk(time=1, level=1) if lazy else c
    skip = qm.quality_mosaic(c, "q", masked="skip")
    assert (skip["q"].values.item(), skip["deep"].values.ravel().tolist()) == (5, [3, 4])
    fill = qm.quality_mosaic(c, "q", masked="fill")
    assert (fill["q"].values.item(), fill["deep"].values.ravel().tolist()) == (9, [3, 2])
    assert fill["deep_source_index"].dims == ("level", "y", "x")
    assert fill["deep_source_index"].values.ravel().tolist() == [1, 0]


@BACKENDS
@pytest.mark.parametrize("kind", ["float", "nodata"])
def test_fill_records_the_image_of_a_quality_that_can_be_masked(backend: str, kind: str) -> None:
    """A quality with NaN or nodata is a band that can be masked, and says of which image it is."""
    q = np.float32([[NAN, 4], [NAN, 5]]) if kind == "float" else np.int8([[0, 4], [0, 5]])
    c = row_of(backend, {} if kind == "float" else {"q": {"nodata": 0}}, q=q)
    assert row(qm.quality_mosaic(c, "q", masked="fill"), "q_source_index") == [-1, 1]


@BACKENDS
def test_the_threshold_holds_for_fill_and_skip(backend: str) -> None:
    """Rules 4 and 6: an image below min_quality fills no hole."""
    fill = qm.quality_mosaic(holes(backend), "q", masked="fill", min_quality=6)
    assert row(fill, "a") == [2, 1, 2]
    np.testing.assert_array_equal(row(fill, "b"), [0.1, NAN, 0.1])
    assert row(fill, "b_source_index") == [1, -1, 1]
    skip = qm.quality_mosaic(holes(backend), "q", masked="skip", min_quality=6)
    assert row(skip, "whole") == [0, 0, 0]


@pytest.mark.parametrize("chunks", [None, {"time": 1}, {"time": 2, "y": 2}])
@pytest.mark.parametrize("gone", [("y", "x"), ("x",), ("y",)])
def test_images_in_an_order_of_their_own_are_skipped_pixel_by_pixel(
    chunks: Any, gone: tuple[str, ...]
) -> None:
    """Rule 6, where the quality is one number for an image: which image is valid differs from
    pixel to pixel all the same; so it does for ranks, tolerances, and what is said of pixels."""
    values = np.random.default_rng(1).integers(1, 4, (4, 3, 2)).astype("uint16")
    scores = np.array([1.0, 2.0, 2.0, 0.0])
    c = xr.Dataset(
        {"v": (("time", "y", "x"), values, {"_FillValue": 1}), "s": ("time", scores)}
    ).assign(s=lambda ds: ds["s"].broadcast_like(ds["v"].isel(dict.fromkeys(gone, 0))))
    c = c if chunks is None else c.chunk(chunks)
    in_order = values[[1, 2, 0, 3]]
    want = np.ones((3, 2))
    for y, x in np.ndindex(3, 2):
        want[y, x] = next((v for v in in_order[:, y, x] if v != 1), 1)
    m = qm.quality_mosaic(c, "s", masked="skip", provenance=True)
    np.testing.assert_array_equal(m["v"], want)
    assert m["source_index"].dims == m["valid_count"].dims == ("y", "x")
    np.testing.assert_array_equal(m["valid_count"], (values != 1).sum(0))
    np.testing.assert_array_equal(qm.best_images(c, "s", 4)["v"], in_order)
    near = qm.quality_mosaic(c, "s", within=0, reducer=100)["v"]
    np.testing.assert_array_equal(near, np.maximum(values[1], values[2]))
    if gone == ("y", "x"):
        with pytest.raises(ValueError, match="one number for an image"):
            qm.medoid(c, "s")
