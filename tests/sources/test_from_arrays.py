"""open_collection on Zarr stores and NetCDF files: integers stay integers, nodata survives."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import obstore.store
import pandas as pd
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, ObjectStore, StorePath

import qmosaic as qm
from qmosaic.sources.request import COMMON_OPTIONS
from tests.support.rasters import serve
from tests.support.sources import CountingStore, dates, expected

SHAPE = (4, 12, 12)


def images(seed: int = 0) -> dict[str, np.ndarray]:
    """Bands with nodata 0 in the red and -1 in the quality."""
    rng = np.random.default_rng(seed)
    return {
        "red": rng.integers(0, 5000, SHAPE).astype("uint16"),
        "quality": rng.integers(-1, 4, SHAPE).astype("int16"),
    }


def collection() -> xr.Dataset:
    """Bands as people store them, with a CRS as a variable and an elevation."""
    values = images()
    bands = {
        name: (("time", "y", "x"), v, {"_FillValue": v.dtype.type(fill), "grid_mapping": "crs"})
        for (name, v), fill in zip(values.items(), (0, -1), strict=True)
    }
    coords = {"time": dates(4), "y": np.arange(12) * -10.0, "x": np.arange(12) * 10.0}
    crs = ((), 0, {"grid_mapping_name": "transverse_mercator"})
    return xr.Dataset(bands | {"crs": crs, "dem": (("y", "x"), np.ones((12, 12)))}, coords)


def check(opened: xr.Dataset) -> None:
    """What was stored is there: dtype, nodata, CRS; and a mosaic of it is right."""
    assert opened["red"].dtype == "uint16"
    assert opened["quality"].dtype == "int16"
    assert opened["red"].attrs["_FillValue"] == 0
    assert "crs" in opened.coords
    assert "dem" in opened.data_vars
    assert opened["red"].chunks is not None
    values = images()
    valid = values["quality"] != -1
    wanted = expected({"red": values["red"], "quality": np.where(valid, values["quality"], np.nan)})
    mosaic = qm.quality_mosaic(opened, "quality").compute()
    np.testing.assert_array_equal(mosaic["red"], wanted["red"])
    np.testing.assert_array_equal(
        mosaic["quality"], np.where(np.isnan(wanted["quality"]), -1, wanted["quality"])
    )


def path_as_text(path: Path) -> Any:
    return str(path)


def path_itself(path: Path) -> Any:
    return path


def as_url(path: Path) -> Any:
    return f"file://{path}"


def local_store(path: Path) -> Any:
    return LocalStore(path, read_only=True)


def object_store(path: Path) -> Any:
    return ObjectStore(obstore.store.LocalStore(str(path)), read_only=True)


def bare_obstore(path: Path) -> Any:
    return obstore.store.LocalStore(str(path))


def zarr_group(path: Path) -> Any:
    return zarr.open_group(path, mode="r")


def store_path(path: Path) -> Any:
    return StorePath(LocalStore(path.parent, read_only=True), path.name)


SOURCES = [
    path_as_text,
    path_itself,
    as_url,
    local_store,
    object_store,
    bare_obstore,
    zarr_group,
    store_path,
]


@pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")  # format 3 has none yet
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_a_zarr_store(
    tmp_path: Path, zarr_format: int, consolidated: bool, source: Callable[[Path], Any]
) -> None:
    """A path, a URL, a store object; format 2 or 3; consolidated or not."""
    path = tmp_path / "s2.zarr"
    stored = collection().chunk(time=1, y=6, x=6)
    stored.to_zarr(path, zarr_format=zarr_format, consolidated=consolidated)
    opened = qm.open_collection(source(path))
    assert opened["red"].chunks == ((1,) * 4, (6, 6), (6, 6))
    check(opened)


def test_a_group_and_a_mapping(tmp_path: Path) -> None:
    """A group within a store, by its name; a store in memory."""
    collection().to_zarr(tmp_path / "s2.zarr", group="north/2020", consolidated=False)
    check(qm.open_collection(tmp_path / "s2.zarr", group="north/2020"))
    memory: dict[str, Any] = {}
    collection().to_zarr(memory, consolidated=False)
    check(qm.open_collection(memory))


def test_opening_reads_no_pixel(tmp_path: Path) -> None:
    """Opening reads metadata; a mosaic reads the quality and the chunks that won."""
    stored = collection()
    stored["quality"][:] = np.arange(4)[:, None, None]  # the last image wins everywhere
    stored.chunk(time=1, y=6, x=6).to_zarr(tmp_path / "s2.zarr", consolidated=False)
    store = CountingStore(tmp_path / "s2.zarr", read_only=True)
    opened = qm.open_collection(store)
    assert not store.chunks("red")
    assert not store.chunks("quality")
    mosaic = qm.quality_mosaic(opened, "quality")
    assert not store.chunks("quality")
    assert "reads only what won" in str(qm.explain(mosaic))
    mosaic.compute()
    assert set(store.chunks("red")) == {f"red/c/3/{y}/{x}" for y in (0, 1) for x in (0, 1)}


def test_floats_and_coordinates_are_decoded(tmp_path: Path) -> None:
    """A float's fill value becomes NaN; coordinates are unpacked; packed bands stay packed."""
    y = xr.Variable(
        "y",
        np.array([0.0, 0.5, 1.0]),
        encoding={"scale_factor": 0.5, "dtype": "int16", "_FillValue": -1},
    )
    bands = {
        "ndvi": (("time", "y"), np.float32([[1, -9999, 2]])),
        "t": (("time", "y"), np.array([[273.5, 274.0, 275.0]])),
    }
    packed = {"scale_factor": 0.5, "add_offset": 200.0, "dtype": "int16", "_FillValue": -1}
    xr.Dataset(bands, {"time": dates(1), "y": y}).to_zarr(
        tmp_path / "s.zarr",
        encoding={"ndvi": {"_FillValue": np.float32(-9999)}, "t": packed},
        consolidated=False,
    )
    opened = qm.open_collection(tmp_path / "s.zarr")
    np.testing.assert_array_equal(opened["ndvi"].values, [[1, np.nan, 2]])
    assert opened["ndvi"].dtype == "float32"
    np.testing.assert_array_equal(opened["y"].values, [0, 0.5, 1])
    assert opened["t"].dtype == "int16"
    np.testing.assert_array_equal(opened["t"].values, [[147, 148, 150]])
    assert opened["t"].attrs["scale_factor"] == 0.5
    decoded = qm.open_collection(tmp_path / "s.zarr", mask_and_scale=True)
    np.testing.assert_array_equal(decoded["t"].values, [[273.5, 274, 275]])


def cloudy_store(
    path: Path, name: str = "cloud", nodata: int | None = 0, zarr_format: int = 3
) -> None:
    """A store whose cloud probability is 0 in image 0, and 50 in image 1."""
    cloud = np.stack([np.zeros((4, 4), "uint8"), np.full((4, 4), 50, "uint8")])
    red = np.stack([np.full((4, 4), 1, "uint16"), np.full((4, 4), 2, "uint16")])
    attrs = {} if nodata is None else {"_FillValue": np.uint8(nodata)}
    xr.Dataset(
        {name: (("time", "y", "x"), cloud, attrs), "red": (("time", "y", "x"), red)},
        {"time": dates(2)},
    ).to_zarr(path, consolidated=False, zarr_format=zarr_format)


def best_red(opened: xr.Dataset, name: str = "cloud") -> int:
    """Give the red of the clearest pixel."""
    opened = opened.assign(quality=qm.scores.inverse(opened[name]))
    return int(qm.quality_mosaic(opened, "quality")["red"][0, 0].compute())


def test_a_nodata_that_is_a_legal_score(tmp_path: Path) -> None:
    """The band is warned about by name; nodata=None lets the clearest pixels win."""
    cloudy_store(tmp_path / "c.zarr")
    with pytest.warns(
        UserWarning, match=r"'cloud' declares nodata = 0.*\{'cloud': None\}"
    ) as caught:
        opened = qm.open_collection(tmp_path / "c.zarr")
    assert [Path(w.filename).name for w in caught] == [Path(__file__).name]
    assert best_red(opened) == 2  # the clear image is masked: what the warning is about
    opened = qm.open_collection(tmp_path / "c.zarr", nodata={"cloud": None})
    assert best_red(opened) == 1
    assert opened["cloud"].dtype == "uint8"
    assert best_red(qm.open_collection(tmp_path / "c.zarr", nodata={"cloud": 50})) == 1


def test_the_fill_value_of_zarr_2_counts_as_nodata(tmp_path: Path) -> None:
    """Format 2 fills with 0 by default, which xarray takes for nodata: warned about too."""
    group = zarr.open_group(tmp_path / "c.zarr", mode="w", zarr_format=2)
    for name in ("MSK_CLDPRB", "B4"):
        array = group.create_array(name, shape=(2, 4, 4), dtype="uint8", fill_value=0)
        array.attrs["_ARRAY_DIMENSIONS"] = ["time", "y", "x"]
    with pytest.warns(UserWarning, match="'MSK_CLDPRB' declares nodata = 0"):
        qm.open_collection(tmp_path / "c.zarr")


@pytest.mark.parametrize(
    ("name", "nodata"),
    [("SCL", 0), ("QA_PIXEL", 1), ("red", 0), ("cloud", 255), ("cloud", None), ("cloud_mask", 0)],
)
def test_what_is_not_warned_about(tmp_path: Path, name: str, nodata: int | None) -> None:
    """Classes and flags say with 0 that nothing is there; 255 is no probability."""
    other = "green" if name == "red" else name
    cloudy_store(tmp_path / "c.zarr", other, nodata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        qm.open_collection(tmp_path / "c.zarr")


def test_bands_are_chosen_by_name(tmp_path: Path) -> None:
    """In the order asked for; an unknown one is refused by name."""
    collection().to_zarr(tmp_path / "s.zarr", consolidated=False)
    assert list(qm.open_collection(tmp_path / "s.zarr", bands=["quality", "red"])) == [
        "quality",
        "red",
        "dem",
    ]
    assert list(qm.open_collection(tmp_path / "s.zarr", bands="red")) == ["red", "dem"]
    for bands, error, message in [
        ("reed", KeyError, "no band 'reed'.*Did you mean 'red'"),
        (["red", "red"], ValueError, "'red' 2 times"),
        ([], ValueError, "bands= is empty"),
    ]:
        with pytest.raises(error, match=message):
            qm.open_collection(tmp_path / "s.zarr", bands=bands)


@pytest.mark.parametrize("name", ["zarr", "netcdf", "geotiff", "stac"])
@pytest.mark.parametrize(
    ("came", "hint"),
    [
        ("band", "Did you mean bands=?"),
        ("storage_option", "Did you mean storage_options=?"),
        ("wobble", "Leave it out."),
    ],
)
def test_the_argument_that_was_meant(tmp_path: Path, name: str, came: str, hint: str) -> None:
    """Every reader tells a misspelt argument what it may have been."""
    source: Any = tmp_path / name
    if name == "zarr":
        collection().to_zarr(source, consolidated=False)
    elif name == "netcdf":
        collection().to_netcdf(source, engine="netcdf4")
    elif name == "stac":
        source = {"type": "FeatureCollection", "features": []}
    else:
        source.touch()
    with pytest.raises(TypeError, match=rf"knows {came}=\. {re.escape(hint)}$"):
        qm.open_collection(source, format=name, **{came: ["red"]})


def test_all_arguments_can_be_meant() -> None:
    """What is proposed in place of a misspelt argument is what `open_collection` has."""
    own = set(inspect.signature(qm.open_collection).parameters) - {"source", "options"}
    assert set(COMMON_OPTIONS) == own


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"nodata": {"blue": 0}}, KeyError, "nodata= was given.*no band 'blue'"),
        ({"nodata": {"red": -1}}, ValueError, r"nodata=-1 for band 'red' does not fit its dtype"),
        ({"nodata": "none"}, TypeError, "nodata='none'"),
        ({"missing": "fill"}, ValueError, "missing='fill' is not known"),
        ({"format": "cog"}, ValueError, "format='cog' is not known"),
        ({"groupby": "day"}, ValueError, "groupby='day' is not known.*'solar_day'"),
        ({"crs": "EPSG:4326"}, TypeError, "crs= is for stac and geotiff"),
        ({"pattern": "x"}, TypeError, "pattern= is for geotiff"),
        ({"group": "nowhere"}, FileNotFoundError, "in 'nowhere'"),
    ],
)
def test_arguments_that_cannot_be(
    tmp_path: Path, options: Any, error: type[Exception], message: str
) -> None:
    """What came, why not, what to write."""
    collection().to_zarr(tmp_path / "s.zarr", consolidated=False)
    with pytest.raises(error, match=message):
        qm.open_collection(tmp_path / "s.zarr", **options)


def test_sources_that_cannot_be(tmp_path: Path) -> None:
    """Unknown formats are refused with what would be understood."""
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    cases: list[tuple[Any, type[Exception], str]] = [
        (tmp_path / "gone.zarr", FileNotFoundError, "there is nothing at"),
        (tmp_path / "*.nc", FileNotFoundError, "no file matches"),
        (tmp_path / "notes.txt", ValueError, "format='zarr'"),
        (tmp_path / "empty", ValueError, "no Zarr store"),
        ("https://example.org/search?limit=1", ValueError, "nothing tells what"),
        ([], ValueError, "empty list"),
        (["a.tif", "b.nc"], ValueError, "not of one known kind"),
        (["a.zarr", "b.zarr"], ValueError, "xr.concat"),
        (42, TypeError, "builtins.int is nothing"),
        (xr.Dataset(), TypeError, "open already"),
        ([str(tmp_path / "gone.nc")], FileNotFoundError, "gone.nc"),
    ]
    for source, error, message in cases:
        with pytest.raises(error, match=message):
            qm.open_collection(source)


def test_a_store_that_is_no_collection(tmp_path: Path) -> None:
    """Without images along time; the error says how to name them."""
    xr.Dataset({"red": (("date", "x"), np.ones((2, 2)))}).to_zarr(
        tmp_path / "a.zarr", consolidated=False
    )
    with pytest.raises(ValueError, match=re.escape("ds.rename(date='time')")):
        qm.open_collection(tmp_path / "a.zarr")
    xr.Dataset({"red": ("x", np.ones(2))}, {"time": dates(1)[0]}).to_zarr(
        tmp_path / "b.zarr", consolidated=False
    )
    assert qm.open_collection(tmp_path / "b.zarr").sizes == {"time": 1, "x": 2}


# -- NetCDF ------------------------------------------------------------------------------------


def test_one_netcdf_file(tmp_path: Path) -> None:
    """Integers stay integers; chunks are the file's own, or one image each."""
    whole, cut = tmp_path / "whole.nc", tmp_path / "cut.nc"
    collection().to_netcdf(whole)
    sizes = {"chunksizes": (2, 6, 6), "zlib": True}
    collection().to_netcdf(cut, encoding={"red": sizes, "quality": sizes})
    check(qm.open_collection(whole))
    check(qm.open_collection(cut))
    assert qm.open_collection(whole)["red"].chunks == ((1,) * 4, (12,), (12,))
    assert qm.open_collection(cut)["red"].chunks == ((2, 2), (6, 6), (6, 6))
    assert qm.open_collection(cut, chunks={"time": 4})["red"].chunks[0] == (4,)  # type: ignore[index]


def test_netcdf_3(tmp_path: Path) -> None:
    """Unsigned bytes, which NetCDF 3 only names in an attribute, are unsigned."""
    probability = np.array([[0, 100, 200, 255]], "uint8")
    attrs = {"_Unsigned": "true", "_FillValue": np.int8(-1)}
    xr.Dataset(
        {"p": (("time", "x"), probability.view("int8"), attrs)}, {"time": dates(1)}
    ).to_netcdf(tmp_path / "p.nc", format="NETCDF3_CLASSIC")
    opened = qm.open_collection(tmp_path / "p.nc")
    assert opened["p"].dtype == "uint8"
    assert opened["p"].attrs["_FillValue"] == 255
    np.testing.assert_array_equal(opened["p"].values, probability)


@pytest.mark.parametrize("by", ["folder", "pattern", "list"])
def test_several_netcdf_files(tmp_path: Path, by: str) -> None:
    """Files with other times are put behind each other in the order of time, whatever their names;
    files with other bands of the same times beside each other."""
    whole = collection()
    for name, places in {"a": [3], "b": [0, 2], "c": [1]}.items():
        part = whole.isel(time=places)
        part[["red", "crs", "dem"]].to_netcdf(tmp_path / f"{name}_red.nc")
        part[["quality", "crs"]].to_netcdf(tmp_path / f"{name}_quality.nc")
    files = sorted(tmp_path.glob("*.nc"))
    source = {"folder": tmp_path, "pattern": str(tmp_path / "*.nc"), "list": files}[by]
    opened = qm.open_collection(source)
    assert list(opened["time"].values) == list(whole["time"].values)
    check(opened)
    assert "reads only what won" in str(qm.explain(qm.quality_mosaic(opened, "quality")))


def test_netcdf_files_that_do_not_fit(tmp_path: Path) -> None:
    """Other grids, dtypes, nodata, missing bands: refused by name, before anything is read."""
    whole = collection()
    whole.isel(time=[0]).to_netcdf(tmp_path / "a.nc")
    odd = {
        "grid": (whole.assign_coords(x=np.arange(12) * 10.0 + 5), "on different grids"),
        "size": (whole.isel(x=slice(0, 6)), "on different grids"),
        "dtype": (
            whole.assign(red=whole["red"].astype("int32")),
            r"'red' is uint16 in '.*a\.nc' and int32",
        ),
        "band": (whole.drop_vars("red"), "'red' is missing in .*missing='mask'"),
        "nodata": (whole.copy(), r"'red' declares nodata 0 in '.*a\.nc' and 7"),
    }
    odd["nodata"][0]["red"].attrs["_FillValue"] = np.uint16(7)
    for name, (data, message) in odd.items():
        data.isel(time=[1]).to_netcdf(tmp_path / f"{name}.nc")
        with pytest.raises(ValueError, match=message):
            qm.open_collection([tmp_path / "a.nc", tmp_path / f"{name}.nc"])
    settled = qm.open_collection([tmp_path / "a.nc", tmp_path / "nodata.nc"], nodata={"red": 7})
    assert settled["red"].attrs["_FillValue"] == 7


def test_a_band_that_some_files_lack_is_masked(tmp_path: Path) -> None:
    """missing='mask': nodata there, dtype kept; the others as they are."""
    whole = collection()
    whole.isel(time=[0]).drop_vars("red").to_netcdf(tmp_path / "a.nc")
    whole.isel(time=[1, 2]).to_netcdf(tmp_path / "b.nc")
    opened = qm.open_collection(tmp_path, missing="mask")
    assert opened["red"].dtype == "uint16"
    assert (opened["red"][0].values == 0).all()
    np.testing.assert_array_equal(opened["red"][1:].values, whole["red"][1:3].values)
    free = qm.open_collection(tmp_path, missing="mask", nodata={"red": None})
    assert (free["red"][0].values == 65535).all()
    assert free["red"].attrs["_FillValue"] == 65535
    assert list(qm.open_collection(tmp_path, bands=["quality"])) == ["quality", "dem"]


# -- files that look as if they fitted ----------------------------------------------------------


def grid_file(path: Path, name: str, day: int, **changes: Any) -> Path:
    """Write a band of a day, on a grid whose coordinates and CRS can be changed."""
    crs = changes.pop("crs", "32633")
    coords = {"time": dates(9)[day : day + 1], "y": [35.0, 25, 15], "x": [0.0, 10, 20]} | changes
    values = np.arange(9, dtype="int16").reshape(1, 3, 3)
    wkt = ((), 0, {"crs_wkt": f"EPSG:{crs}", "grid_mapping_name": "transverse_mercator"})
    data = {name: (("time", "y", "x"), values, {"grid_mapping": "crs"}), "crs": wkt}
    xr.Dataset(data, coords).to_netcdf(path)
    return path


def test_bands_of_one_image_have_to_be_on_one_grid(tmp_path: Path) -> None:
    """Files with other bands of the same times: not upside down, not beside each other."""
    red = grid_file(tmp_path / "red.nc", "red", 0)
    flipped = grid_file(tmp_path / "flipped.nc", "nir", 0, y=[15.0, 25, 35])
    shifted = grid_file(tmp_path / "shifted.nc", "nir", 0, x=[1000.0, 1010, 1020])
    zone = grid_file(tmp_path / "zone.nc", "nir", 0, crs="32632")
    for other in (flipped, shifted, zone):
        with pytest.raises(ValueError, match=r"on different grids|declare different CRSs"):
            qm.open_collection([red, other])
    later = grid_file(tmp_path / "later.nc", "red", 1, crs="32632")
    with pytest.raises(ValueError, match="declare different CRSs"):
        qm.open_collection([red, later])


def test_bands_with_some_times_in_common_are_not_guessed(tmp_path: Path) -> None:
    """Which of them make an image, only the user can say."""
    for name, days in {"red": [0, 1], "nir": [0, 1, 2]}.items():
        xr.Dataset(
            {name: (("time", "x"), np.ones((len(days), 2), "int16"))}, {"time": dates(3)[days]}
        ).to_netcdf(tmp_path / f"{name}.nc")
    for missing in ("raise", "mask"):
        with pytest.raises(ValueError, match="2 times in common"):
            qm.open_collection(tmp_path, missing=missing)


def test_files_that_are_packed_differently(tmp_path: Path) -> None:
    """Their integers cannot be compared: refused, or decoded on request."""
    for day, (scale, offset) in enumerate([(0.1, 200.0), (0.01, 250.0)]):
        encoding = {"scale_factor": scale, "add_offset": offset, "dtype": "int16", "_FillValue": -1}
        xr.Dataset(
            {"t": (("time", "x"), np.array([[280.0 + 10 * day]]))}, {"time": dates(2)[[day]]}
        ).to_netcdf(tmp_path / f"{day}.nc", encoding={"t": encoding})
    with pytest.raises(ValueError, match=r"packed differently.*mask_and_scale=True"):
        qm.open_collection(tmp_path)
    decoded = qm.open_collection(tmp_path, mask_and_scale=True)
    np.testing.assert_allclose(decoded["t"].values, [[280], [290]])


def test_two_values_for_nodata(tmp_path: Path) -> None:
    """CF allows both _FillValue and missing_value; a band of integers can be masked by one."""
    attrs = {"_FillValue": np.int16(-999), "missing_value": np.int16(9999)}
    xr.Dataset(
        {"t": (("time", "x"), np.int16([[5, 9999, -999]]), attrs)}, {"time": dates(1)}
    ).to_netcdf(tmp_path / "t.nc")
    with pytest.raises(ValueError, match=r"_FillValue = -999 and missing_value = 9999.*nodata="):
        qm.open_collection(tmp_path / "t.nc")
    one = qm.open_collection(tmp_path / "t.nc", nodata={"t": 9999})
    assert one["t"].attrs["_FillValue"] == 9999
    assert "missing_value" not in one["t"].attrs


def test_decoding_keeps_to_the_nodata_that_was_given(tmp_path: Path) -> None:
    """mask_and_scale=True masks what nodata= says, and is warned of like the integers."""
    cloud = np.uint8([[[0, 5], [3, 0]]])
    data = xr.Dataset({"cloud": (("time", "y", "x"), cloud)}, {"time": dates(1)})
    data["cloud"].attrs = {"_FillValue": np.uint8(0), "scale_factor": 0.5}
    data.to_zarr(tmp_path / "in.zarr", consolidated=False)
    for number, name in enumerate("ab"):
        data.assign_coords(time=dates(2)[[number]]).to_netcdf(tmp_path / f"{name}.nc")
    sources = (tmp_path / "in.zarr", tmp_path / "a.nc", [tmp_path / "a.nc", tmp_path / "b.nc"])
    for source in sources:
        opened = qm.open_collection(source, mask_and_scale=True, nodata={"cloud": None})
        np.testing.assert_array_equal(opened["cloud"].values[-1], cloud[0] / 2)
        with pytest.warns(UserWarning, match="'cloud' declares nodata = 0") as caught:
            masked = qm.open_collection(source, mask_and_scale=True)
        assert Path(caught[0].filename).name == Path(__file__).name
        assert masked["cloud"].dtype.kind == "f"
        np.testing.assert_array_equal(masked["cloud"].values[-1], [[np.nan, 2.5], [1.5, np.nan]])
        other = qm.open_collection(source, mask_and_scale=True, nodata={"cloud": 5})
        np.testing.assert_array_equal(other["cloud"].values[-1], [[0, np.nan], [1.5, 0]])


def test_groups_of_a_store_are_named(tmp_path: Path) -> None:
    """The root of a hierarchy holds nothing: the error says what there is."""
    for group in ("r10m", "r20m"):
        collection().to_zarr(tmp_path / "in.zarr", group=group, mode="a", consolidated=False)
    with pytest.raises(ValueError, match=r"groups: 'r10m', 'r20m'.*group='r10m'"):
        qm.open_collection(tmp_path / "in.zarr")
    assert "red" in qm.open_collection(tmp_path / "in.zarr", group="r20m")


def test_a_store_on_the_web(tmp_path: Path) -> None:
    """A URL is read with what the extra s3 brings; nothing else has to be installed."""
    collection().to_zarr(tmp_path / "site" / "in.zarr", zarr_format=2, consolidated=True)
    with serve(tmp_path / "site") as web:
        opened = qm.open_collection(f"{web.address}/in.zarr")
        np.testing.assert_array_equal(opened["red"].values, collection()["red"].values)


def test_rounding_is_no_other_grid(tmp_path: Path) -> None:
    """Files of one grid whose coordinates differ by a ten-millionth of a pixel."""
    whole = collection()
    whole.isel(time=[0]).to_netcdf(tmp_path / "a.nc")
    moved = whole.assign_coords(x=whole["x"] + 1e-6).isel(time=[1])
    moved.to_netcdf(tmp_path / "b.nc")
    opened = qm.open_collection([tmp_path / "a.nc", tmp_path / "b.nc"])
    np.testing.assert_array_equal(opened["red"].values, whole["red"].values[:2])
    np.testing.assert_array_equal(opened["x"].values, whole["x"].values)


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
def test_options_that_xarray_does_not_know(tmp_path: Path, suffix: str) -> None:
    """They are named, not only refused from below."""
    path = tmp_path / f"in.{suffix}"
    if suffix == "zarr":
        collection().to_zarr(path, consolidated=False)
    else:
        collection().to_netcdf(path)
    with pytest.raises(TypeError, match=r"neither open_collection\(\) nor xarray.*knows maks="):
        qm.open_collection(path, maks=True)


def test_sizes_of_chunks_that_do_nothing(tmp_path: Path) -> None:
    """Other dimensions, and chunks of no pixel."""
    collection().to_zarr(tmp_path / "in.zarr", consolidated=False)
    with pytest.raises(ValueError, match=r"chunks= has 'lat', which is no dimension"):
        qm.open_collection(tmp_path / "in.zarr", chunks={"lat": 5})
    with pytest.raises(ValueError, match=r"'y': 0; a chunk has one pixel at least"):
        qm.open_collection(tmp_path / "in.zarr", chunks={"y": 0})


def test_images_without_a_time_are_refused(tmp_path: Path) -> None:
    """They have no place among the others."""
    data = collection()
    times = data["time"].values.copy()
    times[1] = np.datetime64("NaT")
    data.assign_coords(time=times).to_zarr(tmp_path / "in.zarr", consolidated=False)
    with pytest.raises(ValueError, match=r"without a time \(NaT\), at 1 along 'time'"):
        qm.open_collection(tmp_path / "in.zarr")


def test_sizes_on_the_map_leave_images_apart(tmp_path: Path) -> None:
    """A file without chunks is cut by image, whatever is asked for y and x."""
    collection().to_netcdf(tmp_path / "in.nc")
    opened = qm.open_collection(tmp_path / "in.nc", chunks={"y": 4, "x": 4})
    assert set(opened["red"].chunks[0]) == {1}
    assert max(opened["red"].chunks[1]) == 4


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("group", [None, "north"])
def test_arrays_without_names_of_dimensions(
    tmp_path: Path, zarr_format: Any, group: str | None
) -> None:
    """Arrays written by zarr alone: the error names them, and what it proposes is a collection."""
    path = tmp_path / "in.zarr"
    pixels = np.arange(32, dtype="uint16").reshape(2, 4, 4)
    bare = zarr.open_group(path, path=group, mode="w", zarr_format=zarr_format)
    array = bare.create_array("red", shape=pixels.shape, dtype=pixels.dtype, chunks=(1, 4, 4))
    array[:] = pixels
    field = "dimension_names" if zarr_format == 3 else "_ARRAY_DIMENSIONS"
    component = "red" if group is None else "north/red"
    with pytest.raises(ValueError, match=rf"array 'red'.*{field}.*component='{component}'"):
        qm.open_collection(path, group=group)
    lazy = da.from_zarr(str(path), component=component)
    made = xr.Dataset({"red": (("time", "y", "x"), lazy)}, {"time": dates(2)})
    mosaic = qm.quality_mosaic(made, "red")
    np.testing.assert_array_equal(mosaic["red"].values, pixels[1])


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
@pytest.mark.parametrize("units", ["months since 2000-01-01", "years since 2000-01-01"])
def test_times_that_are_no_instants(tmp_path: Path, suffix: str, units: str) -> None:
    """Months differ in length: the error says so, and what it proposes opens the images."""
    path = tmp_path / f"in.{suffix}"
    data = collection().assign_coords(time=("time", np.arange(4), {"units": units}))
    if suffix == "zarr":
        data.to_zarr(path, consolidated=False)
    else:
        data.to_netcdf(path)
    with pytest.raises(ValueError, match=rf"in\.{suffix}.*{units}.*decode_times=False"):
        qm.open_collection(path)
    times = pd.date_range("2000-01-01", periods=4, freq="MS")
    opened = qm.open_collection(path, decode_times=False).assign_coords(time=times)
    np.testing.assert_array_equal(opened["red"].values, collection()["red"].values)
    assert len(qm.filter_date(opened, "2000-02-01", "2001").time) == 3


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("group", [None, "north"])
@pytest.mark.parametrize("text", ["None", ""])
def test_text_for_a_fill_value(
    tmp_path: Path, zarr_format: Any, group: str | None, text: str
) -> None:
    """The error names store, band and text, and what it says to write opens the store."""
    path = tmp_path / "in.zarr"
    data = collection()
    data["red"].attrs.pop("_FillValue")
    data.to_zarr(path, group=group, zarr_format=zarr_format, consolidated=False)
    band = zarr.open_group(path, path=group, use_consolidated=False)["red"]
    band.attrs["_FillValue"] = text
    told = rf"'red' of .*in\.zarr' .*_FillValue = '{text}'.*no number.*nodata={{'red': 0"
    with pytest.raises(ValueError, match=told) as caught:
        qm.open_collection(path, group=group)
    if "del zarr.open_group" in str(caught.value):
        del zarr.open_group(path)[f"{group}/red" if group else "red"].attrs["_FillValue"]
    check(qm.open_collection(path, group=group, nodata={"red": 0}))


def test_text_for_a_missing_value(tmp_path: Path) -> None:
    """A NetCDF file may have any text there; the error names file, band and text."""
    path = tmp_path / "in.nc"
    data = collection()
    data["red"].attrs.pop("_FillValue")
    data["red"].attrs["missing_value"] = "None"
    data.to_netcdf(path)
    told = r"'red' of the file '.*in\.nc' declares missing_value = 'None'.*nodata={'red': 0}"
    with pytest.raises(ValueError, match=told):
        qm.open_collection(path)
    check(qm.open_collection(path, nodata={"red": 0}))


def test_times_of_another_calendar(tmp_path: Path) -> None:
    """They stay what they are, as 30 February is no datetime64; what is promised brings those that
    our calendar has."""
    days = xr.date_range("2020-02-28", periods=4, calendar="360_day", use_cftime=True)
    collection().assign_coords(time=days).to_netcdf(tmp_path / "in.nc")
    opened = qm.open_collection(tmp_path / "in.nc")
    assert [str(day) for day in opened["time"].values][2:] == [
        "2020-02-30 00:00:00",
        "2020-03-01 00:00:00",
    ]
    ours = opened.convert_calendar("standard", align_on="date")
    wanted = ["2020-02-28", "2020-02-29", "2020-03-01"]
    np.testing.assert_array_equal(ours["time"].values, np.array(wanted, "datetime64[ns]"))
    np.testing.assert_array_equal(ours["red"].values, images()["red"][[0, 1, 3]])
    assert qm.mosaic_by_period(ours, "quality", "MS").sizes["time"] == 2
