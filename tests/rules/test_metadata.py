"""Rule 8: attributes of bands, CRS, coordinates and chunks in y and x are kept, what has no `time`
passes through, `time` goes; the mosaic records how it was made. Packing survives: floats that
xarray has unpacked are written as the packed integers that they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from tests.support.oracle import assert_same, bands_in, mosaic
from tests.support.small import scene, wanted


def test_attributes_coordinates_and_chunks_are_kept() -> None:
    """In the mosaic before anything is computed: coordinates of y, x and both, the CRS, a variable
    without time, the order of the variables."""
    c = scene()
    m = qm.quality_mosaic(c, "quality")
    assert "time" not in m.dims
    assert set(m.coords) == {"y", "x", "lat", "spatial_ref"}
    for name in (*m.coords, "elevation"):
        xr.testing.assert_identical(m[name].variable, c[name].variable)
    assert list(m.data_vars) == list(c.data_vars)
    assert m["red"].attrs == {"_FillValue": 0, "long_name": "red light"}
    assert m["nir"].attrs == {"grid_mapping": "spatial_ref"}
    assert m["doy"].attrs == {"units": "day", "_FillValue": 0}
    for name in ("red", "nir", "quality"):
        assert m[name].dims == ("y", "x")
        assert m[name].chunks == ((4, 3), (5, 4))


def test_the_mosaic_says_how_it_was_made() -> None:
    """Quality band, rules, number of images, first and last time; attributes are plain."""
    c = scene()
    want = {
        "title": "July",
        "qmosaic_quality_band": "quality",
        "qmosaic_ties": "first",
        "qmosaic_masked": "keep",
        "qmosaic_images": 6,
        "qmosaic_time_first": "2020-07-01T00:00:00",
        "qmosaic_time_last": "2020-07-06T00:00:00",
    }
    assert qm.quality_mosaic(c, "quality").attrs == want
    rules = {"ties": "last", "masked": "fill", "min_quality": -3, "upper_bound": 0}
    assert qm.quality_mosaic(c, "quality", **rules).attrs == want | {
        "qmosaic_provenance": [f"{n}_source_index" for n in ("red", "nir", "quality", "date")],
        **{f"qmosaic_{k}": v for k, v in rules.items()},
    }
    later = c.isel(time=[4, 1, 3])
    attrs = qm.quality_mosaic(later, "quality").attrs
    assert attrs["qmosaic_time_first"] == "2020-07-02T00:00:00"
    assert attrs["qmosaic_time_last"] == "2020-07-05T00:00:00"
    assert type(attrs["qmosaic_images"]) is int


# -- what a store gives back -----------------------------------------------------------------------

WRITERS = pytest.mark.parametrize("writer", ["qmosaic", "xarray"])


def write(made: xr.Dataset, path: Path, writer: str) -> None:
    """Write a mosaic with the package's sink or with xarray's."""
    if writer == "qmosaic":
        qm.to_zarr(made, path)
    else:
        made.to_zarr(path, consolidated=False)


@WRITERS
def test_a_store_gives_back_the_mosaic(tmp_path: Path, writer: str) -> None:
    """dtype, nodata, CRS, coordinates, attributes and chunks are in the store."""
    c = scene().chunk(x=5)
    c["red"].encoding["grid_mapping"] = "spatial_ref"  # as decode_coords="all" leaves it
    m = qm.quality_mosaic(c, "quality", ties="last")
    write(m, tmp_path / "m.zarr", writer)
    back = xr.open_zarr(
        tmp_path / "m.zarr", consolidated=False, mask_and_scale=False, decode_coords="all"
    )
    for name, want in wanted(c.load(), ties="last").items():
        if name != "date":
            assert_same(back[name], want)
    assert back["red"].attrs["_FillValue"] == 0
    assert back["doy"].attrs["_FillValue"] == 0
    for name in ("red", "nir"):
        assert back[name].encoding["grid_mapping"] == "spatial_ref"
    assert back["spatial_ref"].attrs == c["spatial_ref"].attrs
    for name in ("x", "y", "lat", "elevation"):
        np.testing.assert_array_equal(back[name], c[name])
    assert back.attrs == m.attrs
    stored = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert stored["red"].chunks == (4, 5)
    decoded = xr.open_zarr(tmp_path / "m.zarr", consolidated=False)
    np.testing.assert_array_equal(decoded["red"].isnull(), back["red"] == 0)
    np.testing.assert_array_equal(decoded["date"], m["date"])


@WRITERS
@pytest.mark.parametrize(
    ("dtype", "scale", "offset", "nodata"),
    [("int16", 0.01, 2.0, -999), ("uint16", 1e-4, -0.1, 0)],
)
def test_packing_survives(
    tmp_path: Path, writer: str, dtype: str, scale: float, offset: float, nodata: int
) -> None:
    """Floats that xarray has unpacked are written as the packed integers that they were."""
    rng = np.random.default_rng(5)
    packed = rng.integers(1, 9000, (4, 6, 8)).astype(dtype)
    packed[rng.random(packed.shape) < 0.3] = nodata
    attrs = {"scale_factor": scale, "add_offset": offset, "_FillValue": packed.dtype.type(nodata)}
    raw = xr.Dataset(
        {
            "t": (("time", "y", "x"), packed, attrs),
            "quality": (("time", "y", "x"), rng.integers(0, 3, packed.shape).astype("uint8")),
        },
        {"time": pd.date_range("2020-07-01", periods=4)},
    )
    raw.chunk(time=1, y=3, x=4).to_zarr(tmp_path / "in.zarr", consolidated=False)
    decoded = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, chunks={})
    assert decoded["t"].dtype.kind == "f"
    write(qm.quality_mosaic(decoded, "quality"), tmp_path / "m.zarr", writer)
    back = xr.open_zarr(tmp_path / "m.zarr", consolidated=False, mask_and_scale=False)
    assert_same(back["t"], mosaic(bands_in(raw), "quality")["t"])
    for name, value in attrs.items():
        assert back["t"].attrs[name] == value
    assert zarr.open_group(tmp_path / "m.zarr", mode="r")["t"].chunks == (3, 4)


@WRITERS
def test_packed_floats_without_nodata_get_one(tmp_path: Path, writer: str) -> None:
    """Rules 3 and 8: where a pixel can lack a candidate, its NaN has to be an integer in the
    store."""
    c = scene()
    c["nir"].encoding = {"dtype": "int16", "scale_factor": 0.01}
    m = qm.quality_mosaic(c, "quality", fill_value=-5, min_quality=0)
    write(m, tmp_path / "m.zarr", writer)
    back = xr.open_zarr(tmp_path / "m.zarr", consolidated=False, mask_and_scale=False)
    lacks = m["quality"].isnull().values
    assert lacks.any()
    assert back["nir"].dtype == "int16"
    assert back["nir"].attrs["_FillValue"] == -5
    assert (back["nir"].values[lacks] == -5).all()
    decoded = xr.open_zarr(tmp_path / "m.zarr", consolidated=False)["nir"]
    np.testing.assert_allclose(decoded.values[~lacks], m["nir"].values[~lacks], atol=0.0051)


@WRITERS
def test_encodings_that_no_longer_fit_go(tmp_path: Path, writer: str) -> None:
    """The chunks and shards of a store with time do not stand in the mosaic's way."""
    values = np.arange(2 * 8 * 8, dtype="uint16").reshape(2, 8, 8)
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=3)
    array = group.create_array(
        "q",
        shape=values.shape,
        dtype=values.dtype,
        chunks=(1, 2, 2),
        shards=(2, 4, 4),
        dimension_names=("time", "y", "x"),
    )
    array[:] = values
    c = xr.open_zarr(tmp_path / "in.zarr", consolidated=False, mask_and_scale=False, chunks={})
    m = qm.quality_mosaic(c, "q")
    assert not {"chunks", "preferred_chunks", "shards"} & set(m["q"].encoding)
    write(m, tmp_path / "m.zarr", writer)
    assert zarr.open_group(tmp_path / "m.zarr", mode="r")["q"].chunks == m["q"].data.chunksize
    back = xr.open_zarr(tmp_path / "m.zarr", consolidated=False, mask_and_scale=False)
    np.testing.assert_array_equal(back["q"], values[1])
