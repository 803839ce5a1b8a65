"""What other libraries get wrong, each trap as a test of ours; in memory and in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qmosaic as qm

NAN = np.nan
TIES = pytest.mark.parametrize("ties", ["first", "last"])
pytestmark = pytest.mark.parametrize("backend", ["numpy", "dask"])


def stack(backend: str, nodata: dict[str, Any] | None = None, **bands: Any) -> xr.Dataset:
    """Make a collection of bands given as images of one row of pixels, one image a chunk."""
    data = {
        name: (
            ("time", "y", "x"),
            np.asarray(band)[:, None, :],
            {"_FillValue": nodata[name]} if nodata and name in nodata else {},
        )
        for name, band in bands.items()
    }
    images = len(next(iter(bands.values())))
    made = xr.Dataset(data, {"time": pd.date_range("2020-07-01", periods=images)})
    return made.chunk(time=1) if backend == "dask" else made


def first_row(made: xr.Dataset, band: str) -> list[Any]:
    """Give the row of a band as plain numbers."""
    return made[band].transpose("y", "x").values[0].tolist()


@TIES
def test_a_nan_score_in_the_first_image(backend: str, ties: Any) -> None:
    """Rule 2: np.argmax answers the NaN; a comparison with a NaN start never moves on."""
    c = stack(
        backend,
        q=np.float32([[NAN, NAN, 1], [-5, NAN, NAN], [-7, -9, NAN]]),
        t=np.uint8([[1] * 3, [2] * 3, [3] * 3]),
    )
    assert first_row(qm.quality_mosaic(c, "q", ties=ties), "t") == [2, 3, 1]


@TIES
@pytest.mark.parametrize("nodata", [0, 1, 32767, -32768])
def test_negative_scores_beside_nodata(backend: str, ties: Any, nodata: int) -> None:
    """Rule 2: nodata 0 is higher than every score of a negated probability, and never wins."""
    c = stack(
        backend,
        {"q": nodata},
        q=np.int16([[nodata, -90, nodata], [-60, nodata, nodata], [nodata, -3, nodata]]),
        t=np.uint8([[1] * 3, [2] * 3, [3] * 3]),
    )
    m = qm.quality_mosaic(c, "q", ties=ties)
    assert first_row(m, "t") == [2, 3, 0]
    assert first_row(m, "q") == [-60, -3, nodata]


@pytest.mark.parametrize("images", [31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257])
def test_more_images_than_a_small_index_can_count(backend: str, images: int) -> None:
    """Rule 1: 32, 64, 128 and 256 images are where selections and index dtypes end."""
    q = np.zeros((images, 3), "uint8")
    q[images - 1, 0] = q[images // 2, 1] = 9
    t = (np.arange(images)[:, None] + [1, 1, 1]).astype("uint16")
    for masked in ("keep", "skip", "fill"):
        m = qm.quality_mosaic(stack(backend, {"t": 0}, q=q, t=t), "q", masked=masked)
        assert first_row(m, "t") == [images, images // 2 + 1, 1]
        if masked == "fill":
            where = m.coords["t_image"].transpose("y", "x").values[0]
            assert where.tolist() == [images - 1, images // 2, 0]


def test_a_winner_whose_band_is_nodata(backend: str) -> None:
    """Rule 6: by default the hole stays, and no other image looks through it."""
    c = stack(
        backend,
        {"red": 0},
        q=np.uint8([[9, 9], [5, 5]]),
        red=np.uint16([[0, 7], [400, 400]]),
        nir=np.float32([[0.5, NAN], [0.1, 0.1]]),
    )
    m = qm.quality_mosaic(c, "q")
    assert first_row(m, "q") == [9, 9]
    assert first_row(m, "red") == [0, 7]
    np.testing.assert_array_equal(first_row(m, "nir"), [0.5, NAN])


@TIES
@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_a_pixel_that_is_nan_in_every_image(backend: str, ties: Any, masked: Any) -> None:
    """Rule 3: np.nanargmax raises there, and others give the first image; ours is masked."""
    c = stack(
        backend,
        {"own": 255},
        q=np.array([[NAN, 1], [NAN, 2]]),
        own=np.uint8([[7, 7], [8, 8]]),
        none=np.int16([[7, 7], [8, 8]]),
        real=np.float32([[7, 7], [8, 8]]),
    )
    m = qm.quality_mosaic(c, "q", ties=ties, masked=masked)
    assert first_row(m, "own") == [255, 8]
    assert first_row(m, "none") == [0, 8]
    np.testing.assert_array_equal(first_row(m, "real"), [NAN, 8])
    np.testing.assert_array_equal(first_row(m, "q"), [NAN, 2])


@TIES
def test_ties_next_to_nodata(backend: str, ties: Any) -> None:
    """Rules 2 and 5: nodata stands before, between and after equal scores, and is none of them."""
    c = stack(
        backend,
        {"q": 255},
        q=np.uint8([[255, 4, 255], [4, 255, 255], [255, 4, 0], [4, 255, 0], [255, 4, 255]]),
        t=np.uint8([[n] * 3 for n in (1, 2, 3, 4, 5)]),
    )
    want = {"first": [2, 1, 3], "last": [4, 5, 4]}[ties]
    assert first_row(qm.quality_mosaic(c, "q", ties=ties), "t") == want


@TIES
def test_ties_next_to_nan_and_infinity(backend: str, ties: Any) -> None:
    """Rules 2 and 5: equal infinities tie like other scores, with NaN between them."""
    inf = np.inf
    c = stack(
        backend,
        q=np.array([[NAN, inf], [-inf, NAN], [NAN, inf], [-inf, -inf]]),
        t=np.uint8([[1] * 2, [2] * 2, [3] * 2, [4] * 2]),
    )
    want = {"first": [2, 1], "last": [4, 3]}[ties]
    assert first_row(qm.quality_mosaic(c, "q", ties=ties), "t") == want


@TIES
@pytest.mark.parametrize("masked", ["keep", "skip", "fill"])
def test_scores_that_float64_cannot_tell_apart(backend: str, ties: Any, masked: Any) -> None:
    """Rule 7: 2**53 and 2**53 + 1 in int64, the two highest of uint64."""
    for dtype, low in (("int64", 2**53), ("uint64", 2**64 - 2), ("int64", -(2**53) - 1)):
        q = np.array([[low, low + 1], [low + 1, low], [low, low]], dtype)
        c = stack(backend, {"t": 0}, q=q, t=np.uint8([[1, 1], [2, 2], [3, 3]]))
        m = qm.quality_mosaic(c, "q", ties=ties, masked=masked)
        assert first_row(m, "t") == [2, 1]
        assert first_row(m, "q") == [low + 1] * 2
        assert m["q"].dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int8", "int64", "bool"])
def test_a_negated_band_does_not_wrap_round(backend: str, dtype: str) -> None:
    """-uint8 gives 0 -> 0, 1 -> 255, and -int8 keeps -128; scores.inverse widens first."""
    ends = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    clouds = np.array([[1, ends[1]], [0, 1], [1, ends[0]], [ends[1], ends[1]]], dtype)
    c = stack(backend, cloud=clouds, t=np.uint8([[1, 1], [2, 2], [3, 3], [4, 4]]))
    c = c.assign(quality=qm.scores.inverse(c["cloud"]))
    m = qm.quality_mosaic(c, "quality")
    assert first_row(m, "t") == [2, 3]
    assert first_row(m, "cloud") == [0, ends[0]]
    worst = qm.quality_mosaic(c, "cloud")
    assert first_row(worst, "cloud") == [ends[1]] * 2


def test_a_negated_uint64_is_refused_rather_than_wrapped(backend: str) -> None:
    """No integer is wider than uint64: the message has the dtype to choose."""
    c = stack(backend, cloud=np.uint64([[1], [2**64 - 1]]))
    with pytest.raises(TypeError, match="int64"):
        qm.scores.inverse(c["cloud"])


def test_an_ndvi_of_unsigned_bands_does_not_wrap_round(backend: str) -> None:
    """nir - red wraps round in uint16 where red is brighter, and 40000 + 40000 too."""
    c = stack(
        backend,
        nir=np.uint16([[100, 40000], [300, 40000]]),
        red=np.uint16([[300, 40000], [100, 20000]]),
    )
    score = qm.scores.normalized_difference(c["nir"], c["red"])
    want = np.array([[-0.5, 0], [0.5, 1 / 3]])
    np.testing.assert_allclose(score.values[:, 0], want, rtol=1e-6)
    assert first_row(qm.quality_mosaic(c.assign(q=score), "q"), "nir") == [300, 40000]
