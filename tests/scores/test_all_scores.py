"""What holds for every maker of scores: nothing is read, coordinates are kept, a mosaic stays
small, declared packing is undone."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import odc.geo.xr
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.sources import Forbidden, dates, expected, in_store, random_stack


def lazily(dtype: str = "float32", images: int = 3) -> xr.DataArray:
    """A band that must not be read."""
    pixels = da.from_array(
        Forbidden((images, 20, 20), dtype), chunks=(1, 10, 10), meta=np.empty((0,) * 3, dtype)
    )
    coords = {"time": dates(images), "y": np.arange(20) * -10.0, "x": np.arange(20) * 10.0}
    band_ = xr.DataArray(pixels, coords, ("time", "y", "x"), name="band")
    band_["x"].attrs["units"] = "metre"
    assert odc.geo.xr is not None
    return band_.odc.assign_crs("EPSG:32633")


MAKERS = {
    "classes": lambda b: qm.scores.classes(b.astype("uint8"), {1: 1.0}),
    "bits": lambda b: qm.scores.bits(b.astype("uint8"), {1: 0.0}),
    "distance_to": lambda b: qm.scores.distance_to(b > 0.5, max_distance=100),
    "smooth": lambda b: qm.scores.smooth(b, 50),
    "cloud_distance": qm.scores.cloud_distance,
    "view_angle": qm.scores.view_angle,
    "haze": lambda b: qm.scores.haze(b, b),
    "index": lambda b: qm.scores.index(xr.Dataset({"red": b, "nir": b}), "EVI2"),
    "weighted": lambda b: qm.scores.weighted([(b, 1), (b, 2)]),
    "expression": lambda b: qm.expression("where(b > 0.5, b * 2, nan)", xr.Dataset({"b": b})),
    "inverse": qm.scores.inverse,
    "normalized_difference": lambda b: qm.scores.normalized_difference(b, b),
}


@pytest.mark.parametrize("name", MAKERS)
def test_scores_are_lazy_and_travel(name: str) -> None:
    """Nothing is read; chunks and coordinates are kept; the graph can be pickled; input is kept."""
    given_band = lazily()
    before = given_band.copy()
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("something was computed")):
        score = MAKERS[name](given_band)
    assert score.chunks == given_band.chunks
    assert {"time", "y", "x", "spatial_ref"} <= set(score.coords)
    assert set(score.attrs) == ({"expression"} if name == "expression" else set())
    assert given_band.identical(before)
    assert score.odc.crs == "EPSG:32633"
    assert score["x"].attrs == {"units": "metre"}
    assert score.data.name == MAKERS[name](given_band).data.name  # deterministic
    pickle.loads(pickle.dumps(score))


@pytest.mark.parametrize("name", MAKERS)
def test_a_mosaic_of_a_score_carries_nothing_of_its_images(name: str) -> None:
    """A block is one task, and the graph is as large for 40 images as for 4."""
    sizes = {}
    for images in (4, 40):
        band = lazily(images=images)
        season = qm.scores.target_day_of_year(band, "07-15", sigma=30)
        quality = qm.scores.weighted([(MAKERS[name](band), 1.0), (season, 0.5)])
        mosaic = qm.quality_mosaic(xr.Dataset({"quality": quality, "band": band}), "quality")
        explained = qm.explain(mosaic)
        assert explained.tasks == explained.blocks + 2
        blocks = [t for k, t in dict(mosaic.__dask_graph__()).items() if isinstance(k, tuple)]
        sizes[images] = sum(len(pickle.dumps(task)) for task in blocks)
    assert sizes[40] == sizes[4]


@pytest.mark.parametrize("name", MAKERS)
def test_dask_and_numpy_give_the_same(name: str) -> None:
    """A score of numpy arrays is computed at once, to the same values."""
    pixels = np.random.default_rng(0).random((3, 20, 20)).astype("float32") * 3
    plain = lazily().copy(data=pixels)
    eager, lazy = MAKERS[name](plain), MAKERS[name](plain.chunk(time=1, y=7, x=20))
    assert isinstance(eager.data, np.ndarray)
    assert eager.dtype == lazy.dtype
    np.testing.assert_array_equal(eager.values, lazy.values)


def packed(value: float, dtype: str = "uint16", **packing: float) -> xr.DataArray:
    return xr.DataArray(np.array([value], dtype), dims="x", attrs=packing)


def test_declared_packing_is_undone() -> None:
    """Integers mean what they declare; a scale that is given goes first."""
    angle = packed(375, scale_factor=0.01)
    assert qm.scores.view_angle(angle).values[0] == pytest.approx(0.5)
    landsat = {"scale_factor": 2.75e-5, "add_offset": -0.2}
    # by hand: blue 0.075, red 0.0475: HOT = 10000 (0.075 - 0.02375 - 0.08) = -287.5
    haze = qm.scores.haze(packed(10_000, **landsat), packed(9_000, **landsat)).values[0]
    assert haze == pytest.approx(1 / (1 + math.exp(-287.5 / 20)), rel=1e-5)
    shifted = {"scale_factor": 1e-4, "add_offset": -0.1}
    bands = xr.Dataset({"B4": packed(2000, **shifted), "B8": packed(4000, **shifted)})
    assert qm.scores.index(bands, "NDVI", platform="sentinel-2").values[0] == pytest.approx(0.5)
    assert qm.scores.normalized_difference(bands["B8"], bands["B4"]).values[0] == pytest.approx(0.5)
    plain = {"platform": "sentinel-2", "scale": 1e-4, "offset": 0.0}
    given = qm.scores.index(bands, "NDVI", **plain).values[0]
    assert given == pytest.approx(1 / 3, rel=1e-6)
    decoded = packed(375.0, "float32")
    decoded.encoding = {"scale_factor": 0.01, "dtype": "uint16"}  # what was: no longer true
    assert np.isnan(qm.scores.view_angle(decoded).values[0])
    both = qm.scores.weighted([(packed(50, scale_factor=0.01), 1), (packed(1.0, "float32"), 1)])
    assert both.values[0] == pytest.approx(0.75)


@pytest.mark.parametrize("side", [8, 16])
def test_a_score_of_one_number_an_image_keeps_a_block_one_task(tmp_path: Path, side: int) -> None:
    """However few blocks the map has: a season or a date beside the score of pixels is no data of
    the map."""
    values = random_stack(images=6, side=side)
    stored, _ = in_store(values, tmp_path / "in.zarr", (1, 8, 8))
    season = qm.scores.target_date(stored, "2020-07-15", sigma=20)
    quality = qm.scores.weighted([(stored["quality"].astype("float64"), 1.0), (season, 0.5)])
    mosaic = qm.quality_mosaic(stored.assign(quality=quality), "quality")
    assert "reads only what won" in str(qm.explain(mosaic))
    # steps of 1 in one score, less than 1 in the other: a tie in the first is decided by the second
    both = (values["quality"] + 0.5 * season.values[:, None, None]) / 1.5
    wanted = expected({"red": values["red"], "quality": both})["red"]
    np.testing.assert_array_equal(mosaic["red"].values, wanted)
