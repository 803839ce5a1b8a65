"""Means over what lies around each pixel, against a loop over pairs of pixels."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import qmosaic as qm
from qmosaic.collection import means as smoothing
from tests.support.small import NAN
from tests.support.sources import CountingArray, as_dataset, chunked, in_store

DIMS = ("time", "y", "x")


def weight(kind: str, pixels: int, size: float, metres: float) -> float:
    """Say how much a pixel counts, so many pixels away along one axis."""
    away = pixels * size
    if kind == "mean":
        return float(away <= metres / 2)
    deviation = metres / (2 * math.sqrt(2 * math.log(2)))
    cut_off = math.floor(4 * deviation / size + 0.5)
    return math.exp(-(away**2) / (2 * deviation**2)) if pixels <= cut_off else 0.0


def means(values: np.ndarray, kind: str, sizes: Any, metres: float) -> np.ndarray:
    """Average with a loop over all pairs of pixels of an image; NaN is masked."""
    made = np.full(values.shape, NAN)
    for t, y, x in np.argwhere(~np.isnan(values)):
        pairs = [
            (
                weight(kind, abs(y - v), sizes[0], metres)
                * weight(kind, abs(x - u), sizes[1], metres),
                t,
                v,
                u,
            )
            for v, u in np.argwhere(~np.isnan(values[t]))
        ]
        total = math.fsum(w * float(values[t, v, u]) for w, t, v, u in pairs)
        made[t, y, x] = total / math.fsum(w for w, *_ in pairs)
    return made


def numbers(
    shape: tuple[int, ...], masked: float = 0.2, seed: int = 0, powers: int = 18
) -> np.ndarray:
    """Make floats of very different sizes, whose sums depend on the order; some are masked."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 10.0 ** rng.integers(-powers, powers + 1, shape)
    values[rng.random(shape) < masked] = NAN
    return values.astype("float32")


def bits(score: xr.DataArray) -> np.ndarray:
    """Give the bits of floats, so that nothing counts as equal that is not."""
    values = np.ascontiguousarray(score.transpose(*DIMS).values)
    return values.view(f"uint{8 * values.itemsize}")


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 99),
    cut=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    sizes=st.tuples(st.sampled_from([10.0, 20.0, 7.5]), st.sampled_from([10.0, 30.0])),
    metres=st.sampled_from([40.0, 45.0, 60.0, 500.0]),
    kind=st.sampled_from(["mean", "gaussian"]),
    masked=st.sampled_from([0.0, 0.3, 0.95, 1.0]),
    order=st.sampled_from([("time", "y", "x"), ("y", "x", "time"), ("x", "time", "y")]),
)
def test_means_are_exact_across_chunk_borders(
    shape: Any,
    seed: int,
    cut: Any,
    sizes: Any,
    metres: float,
    kind: Any,
    masked: float,
    order: Any,
) -> None:
    """As a loop over all pairs of pixels, never between images; the same to the last bit for all
    chunks, in memory or not."""
    values = numbers(shape, masked, seed, powers=3)
    wanted = means(values, kind, sizes, metres)
    plain = xr.DataArray(values, dims=DIMS).transpose(*order)
    in_memory = plain.chunk(dict(zip(DIMS, cut, strict=True)))
    deferred = plain.copy(
        data=da.from_array(CountingArray(plain.values), chunks=in_memory.data.chunks)
    )
    made = [
        qm.scores.smooth(data, metres, kind=kind, resolution=sizes)
        for data in (plain, in_memory, deferred)
    ]
    largest = np.nanmax(np.abs(values), initial=0)
    for score, data in zip(made, (plain, in_memory, deferred), strict=True):
        assert score.dims == order
        assert score.dtype == "float32"
        assert score.chunks == data.chunks
        np.testing.assert_allclose(
            score.transpose(*DIMS).values, wanted, rtol=1e-6, atol=1e-7 * largest
        )
        np.testing.assert_array_equal(bits(score), bits(made[0]))


@pytest.mark.parametrize(
    ("kind", "dtype"), [("mean", "float32"), ("mean", "float64"), ("gaussian", "float64")]
)
def test_bits_do_not_depend_on_chunks(tmp_path: Path, kind: Any, dtype: str) -> None:
    """On a larger map: stored, rechunked, persisted, cut, and as the quality of a
    mosaic, which reads boxes of its own choice."""
    values = {"quality": numbers((3, 90, 70)), "red": np.ones((3, 90, 70), "uint8")}
    values["quality"][:, 20:60, 10:50] = numbers((3, 40, 40), masked=0)  # windows without a hole
    values["quality"] = values["quality"].astype(dtype)
    options: Any = {"metres": 43, "kind": kind, "resolution": 10}
    whole = qm.scores.smooth(as_dataset(values)["quality"], **options)
    stored, _ = in_store(values, tmp_path / "in.zarr", (1, 32, 32))
    band = stored["quality"]
    several = (
        band,
        band.chunk(y=13, x=70),
        band.chunk(time=3, y=7, x=11),
        band.persist(scheduler="synchronous"),
        chunked(values, (2, 90, 9))["quality"],
    )
    for given_band in several:
        smoothed = qm.scores.smooth(given_band, **options)
        np.testing.assert_array_equal(bits(smoothed), bits(whole))
        part = smoothed.isel(y=slice(40, 43), x=slice(5, 66))
        np.testing.assert_array_equal(bits(part), bits(whole)[:, 40:43, 5:66])
        mosaic = qm.quality_mosaic(stored.assign(quality=smoothed), "quality")
        best = qm.quality_mosaic(as_dataset(values).assign(quality=whole), "quality")
        np.testing.assert_array_equal(mosaic["quality"].values, best["quality"].values)


@pytest.mark.parametrize("kind", ["mean", "gaussian"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masked", [0.0, 0.2])
def test_equal_neighbourhoods_have_equal_means(kind: Any, dtype: str, masked: float) -> None:
    """Ties stay ties, wherever they lie: no sum is carried on from one pixel to the next."""
    values = np.tile(numbers((1, 20, 20), masked), (1, 6, 6)).astype(dtype)
    score = qm.scores.smooth(xr.DataArray(values, dims=DIMS), 50, kind=kind, resolution=10)
    inner = bits(score)[:, 20:-20, 20:-20]
    np.testing.assert_array_equal(inner, np.tile(inner[:, :20, :20], (1, 4, 4)))
    level = xr.DataArray(np.where(np.isnan(values), np.float32(NAN), np.float32(0.1)), dims=DIMS)
    score = qm.scores.smooth(level, 50, kind=kind, resolution=10)
    np.testing.assert_array_equal(score, level)


@pytest.mark.parametrize(
    ("metres", "sizes", "kind", "window"),
    [
        (50, (10, 10), "mean", (5, 5)),
        (50, (10, 20), "mean", (5, 3)),
        (50, (10, 60), "mean", (5, 1)),
        (5, 1, "mean", (5, 5)),
        (39.9, 10, "mean", (3, 3)),
        (40, 10, "mean", (5, 5)),
        (59.9, 10, "mean", (5, 5)),
        (60, 10, "mean", (7, 7)),
        (60, (10.001, 9.999), "mean", (7, 7)),
        (50, 10, "gaussian", (17, 17)),
        (50, (10, 20), "gaussian", (17, 9)),
    ],
)
def test_the_window(metres: float, sizes: Any, kind: Any, window: tuple[int, int]) -> None:
    """How many pixels a width in metres is, down and across, as the docstring says; of a mean all
    of them count the same, of a Gaussian half as much at half of the width."""
    peak = xr.DataArray(np.zeros((31, 31)), dims=("y", "x"))
    peak[15, 15] = 1
    score = qm.scores.smooth(peak, metres, kind=kind, resolution=sizes).values
    down, across = np.nonzero(score)
    assert (np.ptp(down) + 1, np.ptp(across) + 1) == window
    assert down.mean() == across.mean() == 15
    if kind == "mean":
        np.testing.assert_allclose(score[score > 0], 1 / np.prod(window))
    else:
        half = np.interp(15 + metres / 2 / np.ravel(sizes)[0], np.arange(31), score[:, 15])
        assert half / score[15, 15] == pytest.approx(0.5, rel=0.02)


def test_the_mean_is_that_of_rolling() -> None:
    """In its place: the same means, where the score is not masked."""
    values = xr.DataArray(numbers((2, 30, 40), powers=3).astype("float64"), dims=DIMS)
    rolled = values.rolling(y=5, x=3, center=True, min_periods=1).mean()
    score = qm.scores.smooth(values, 5, resolution=(1, 5 / 3))
    np.testing.assert_allclose(score, rolled.where(values.notnull()), rtol=1e-6, atol=1e-6)


def test_a_block_reads_what_lies_around_it() -> None:
    """The pixels within reach and no other, of its own image; as many as reach at the edge."""
    counted = CountingArray(np.ones((3, 32, 32), "float32"))
    band = xr.DataArray(da.from_array(counted, chunks=(1, 8, 8)), dims=DIMS)
    score = qm.scores.smooth(band, 50, resolution=(10, 20))
    for place, window in (
        ((1, 0, 3), (slice(0, 10), slice(23, 32))),
        ((2, 1, 1), (slice(6, 18), slice(7, 17))),
    ):
        counted.calls.clear()
        score.data.blocks[place].compute(scheduler="synchronous")
        seen = np.zeros((3, 32, 32), int)
        for index in counted.calls:
            seen[index] += 1
        wanted = np.zeros_like(seen)
        wanted[(place[0], *window)] = 1
        np.testing.assert_array_equal(seen, wanted)


def test_masked_pixels_of_integers() -> None:
    """Declared nodata counts in no mean and stays masked; packed integers are unpacked; bools
    are 0 and 1; wide integers and floats of 64 bits become float64."""
    attrs = {"_FillValue": 0, "scale_factor": 0.5, "add_offset": -1.0}
    packed = xr.DataArray(np.uint16([[2, 0, 4, 6]]), dims=("y", "x"), attrs=attrs)
    for data in (packed, packed.chunk(x=1)):
        score = qm.scores.smooth(data, 3, resolution=1)
        assert (score.dtype, score.attrs) == (np.float32, {})
        np.testing.assert_array_equal(score, [[0, NAN, 1.5, 1.5]])
    share = qm.scores.smooth(packed == 0, 3, resolution=1)
    np.testing.assert_array_equal(share, np.float32([[0.5, 1 / 3, 1 / 3, 0]]))
    floats = xr.DataArray([[1.0, -9999.0, 3.0]], dims=("y", "x"), attrs={"nodata": -9999.0})
    np.testing.assert_array_equal(qm.scores.smooth(floats, 5, resolution=1), [[2, NAN, 2]])
    for dtype, wanted in {"int8": "f4", "float16": "f4", ">f4": "f4", "int32": "f8"}.items():
        score = qm.scores.smooth(xr.zeros_like(packed, dtype=dtype).drop_attrs(), 3, resolution=1)
        assert score.dtype == np.dtype(wanted)


def test_infinite_scores_are_scores() -> None:
    """Every mean is infinite in which one counts, and no other; where both do it is masked."""
    row = xr.DataArray([[1.0, 2.0, -np.inf, 4.0, 5.0, np.inf, 7.0]], dims=("y", "x"))
    wanted = [[1.5, -np.inf, -np.inf, -np.inf, np.inf, np.inf, np.inf]]
    np.testing.assert_array_equal(qm.scores.smooth(row, 3, resolution=1), wanted)
    score = qm.scores.smooth(row, 5, resolution=1)
    np.testing.assert_array_equal(score[0, 3:5], [NAN, NAN])


def located(crs: str | None = "EPSG:32633", step: float = 10.0) -> xr.DataArray:
    """A score of one row that knows where it lies."""
    score = xr.DataArray(
        [[3.0, 0.0, 0.0], [0.0, 0.0, 6.0]],
        {"y": [step, 0.0], "x": [0.0, step, 2 * step]},
        ("y", "x"),
    )
    assert odc.geo.xr is not None
    return score if crs is None else score.odc.assign_crs(crs)


def test_the_size_of_pixels_comes_from_the_grid() -> None:
    """Metres from the coordinates, which need not be exact; feet are converted."""
    wanted = [[0.75, 1.5, 1.5], [0.75, 1.5, 1.5]]
    score = qm.scores.smooth(located(), 20)
    np.testing.assert_allclose(score, wanted)
    assert "spatial_ref" in score.coords
    rough = located().assign_coords(x=[0.0, 10.001, 20.0])
    np.testing.assert_allclose(qm.scores.smooth(rough, 20), wanted)
    np.testing.assert_allclose(qm.scores.smooth(located("EPSG:2263"), 20 * 1200 / 3937), wanted)
    degrees = located("EPSG:4326", 0.01)
    np.testing.assert_allclose(qm.scores.smooth(degrees, 30, resolution=10), wanted)


PACKED = located().assign_attrs(scale_factor=0.1)


@pytest.mark.parametrize(
    ("score", "options", "error", "message"),
    [
        (located("EPSG:4326", 0.01), {}, ValueError, r"degrees.*resolution=\(down, across\)"),
        (located(None), {}, ValueError, "nothing declares the CRS.*resolution=10"),
        (located().drop_vars(["x", "y"]), {}, ValueError, "no coordinates.*resolution=10"),
        (located().isel(x=[0]), {}, ValueError, "one along 'x' only"),
        (located().assign_coords(x=[0.0, 10.0, 30.0]), {}, ValueError, "evenly spaced"),
        (located().isel(y=0, drop=True), {"resolution": 10}, ValueError, "no map"),
        (located(), {"resolution": 0}, ValueError, "resolution="),
        (located(), {"metres": 0}, ValueError, "metres=0"),
        (located(), {"metres": True}, ValueError, "metres=True"),
        (located(), {"metres": math.inf}, ValueError, "metres=inf"),
        (located(), {"metres": 19}, ValueError, "one pixel.*metres=30 or more.*leave smooth"),
        (located(), {"metres": 2, "kind": "gaussian"}, ValueError, "one pixel.*metres=30"),
        (located(), {"kind": "median"}, ValueError, "kind='median'"),
        (located().astype(str), {}, TypeError, "no numbers"),
        (located().values, {}, TypeError, "ndarray"),
        (PACKED, {}, ValueError, "scale_factor"),
    ],
)
def test_scores_that_cannot_be_smoothed(
    score: Any, options: Any, error: type[Exception], message: str
) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.scores.smooth(score, **{"metres": 50, **options})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["mean", "gaussian"])
def test_memory_of_smoothing(dtype: str, kind: Any) -> None:
    """What is declared as needed a pixel is what is allocated, the result included."""
    band = xr.DataArray(numbers((1, 256, 256)).astype(dtype), dims=DIMS)
    qm.scores.smooth(band, 50, kind=kind, resolution=10)  # imports
    tracemalloc.start()
    try:
        qm.scores.smooth(band, 50, kind=kind, resolution=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    declared = smoothing.SCRATCH + 2 * band.dtype.itemsize
    assert peak / band.size == pytest.approx(declared, rel=0.05)


def test_the_predicted_peak_holds(tmp_path: Path) -> None:
    """What one thread allocates for a mosaic lies below what `explain` says."""
    values = {"quality": numbers((6, 512, 512)), "red": np.ones((6, 512, 512), "uint16")}
    stored, _ = in_store(values, tmp_path / "in.zarr", (1, 256, 256))
    quality = qm.scores.smooth(stored["quality"], 150, resolution=10)
    mosaic = qm.quality_mosaic(stored.assign(quality=quality), "quality")
    qm.to_zarr(mosaic.isel(y=slice(8), x=slice(8)), tmp_path / "warm.zarr")  # imports and caches
    with dask.config.set(scheduler="synchronous"):
        tracemalloc.start()
        try:
            qm.to_zarr(mosaic, tmp_path / "out.zarr")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    predicted = qm.explain(mosaic).peak_bytes
    assert 0.2 * predicted < peak < predicted
