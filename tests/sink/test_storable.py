"""What can be stored: names, attributes and texts; what cannot is named before anything is
written."""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from zarr.storage import MemoryStore

import qmosaic as qm
from qmosaic.collection.declarations import masked_value
from tests.support.sources import Forbidden, as_dataset

pytestmark = [
    # zarr says of texts in format 3 that they are not in its specification yet
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:The codec"),
    pytest.mark.filterwarnings("ignore:The dtype"),
]


def content(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def unreadable(**bands: Any) -> xr.Dataset:
    """A mosaic that fails as soon as a pixel of it is computed."""
    source = da.from_array(Forbidden((3, 8, 8), "uint16"), chunks=(1, 4, 4))
    return qm.quality_mosaic(as_dataset({"red": source, **bands}), "red")


@pytest.mark.parametrize("mode", ["w-", "w"])
@pytest.mark.parametrize("dtype", ["V4", [("a", "i2"), ("b", "i2")], np.longdouble, np.clongdouble])
def test_dtypes_that_zarr_does_not_have(tmp_path: Path, dtype: Any, mode: Any) -> None:
    """Records and longer floats are refused by the name of the band before anything is written;
    what is stored in another dtype is not."""
    if np.dtype(dtype).kind != "V" and np.dtype(dtype).char not in "gG":
        pytest.skip("here a long double is a double")
    path = tmp_path / "out.zarr"
    if mode == "w":
        qm.to_zarr(xr.Dataset({"old": ("x", np.ones(4))}), path)
    before = content(tmp_path)
    band = ("y", "x"), da.zeros((4, 4), chunks=2, dtype=dtype)
    with pytest.raises(ValueError, match="variable 'odd' cannot be stored: its dtype"):
        qm.to_zarr(xr.Dataset({"odd": band}), path, mode=mode)
    assert content(tmp_path) == before
    if np.dtype(dtype).kind == "f":
        encoding = {"odd": {"dtype": "float64"}}
        qm.to_zarr(xr.Dataset({"odd": band}), path, mode=mode, encoding=encoding)
        assert qm.open_mosaic(path)["odd"].dtype == np.float64


# -- names ----------------------------------------------------------------------------------------

BAD_NAMES = [3, ("a", "b"), "", " ", "a/b", "a\\b", ".", "..", "_qmosaic", "zarr.json", ".zattrs"]
BAD_NAMES += ["__x", "a\nb", "x" * 300]


@pytest.mark.parametrize("mode", ["w-", "w"])
@pytest.mark.parametrize("name", BAD_NAMES, ids=str)
def test_names_that_cannot_be_stored(tmp_path: Path, name: Any, mode: Any) -> None:
    """A band that cannot be stored under its name is refused by name, with another one that can;
    nothing is left behind, nothing that was there is lost."""
    path = tmp_path / "out.zarr"
    if mode == "w":
        qm.to_zarr(xr.Dataset({"old": ("x", np.ones(4))}), path)
    before = content(tmp_path)
    mosaic = unreadable()
    mosaic[name] = mosaic["red"].astype("float32")
    with pytest.raises(ValueError, match="cannot be stored under its name") as caught:
        qm.to_zarr(mosaic, path, mode=mode)
    assert repr(name) in str(caught.value)
    assert content(tmp_path) == before
    assert path.exists() == (mode == "w")


def test_bands_that_are_numbered(tmp_path: Path) -> None:
    """``to_dataset("band")`` makes names of labels: integers are told how to become texts."""
    bands = xr.DataArray(np.ones((2, 4)), dims=("band", "x"), coords={"band": [1, 2]})
    with pytest.raises(ValueError, match=r"variable 1 .*it is a int.*rename\(\{1: 'B1'\}\)"):
        qm.to_zarr(bands.to_dataset("band"), tmp_path / "out.zarr")
    with pytest.raises(ValueError, match="the dimension 0 cannot"):
        qm.to_zarr(xr.Dataset({"a": ((0,), np.ones(3))}), tmp_path / "out.zarr")
    assert not list(tmp_path.iterdir())


def test_names_that_look_strange_are_stored(tmp_path: Path) -> None:
    """What can be a folder is kept as it is."""
    for name in ("c", "0", "B 4", "Grün", "proj:code", "a.b", "_x", "red.partial"):
        qm.to_zarr(xr.Dataset({name: ("x", np.ones(4))}).chunk(), tmp_path / "o.zarr", mode="w")
        assert list(qm.open_mosaic(tmp_path / "o.zarr")) == [name]


# -- attributes -----------------------------------------------------------------------------------


class _Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class _Spec:
    epsg: int
    bounds: tuple[float, float]


class _Crs:
    def to_wkt(self) -> str:
        return "PROJCRS[...]"


PLAIN: dict[str, tuple[Any, Any]] = {
    "numpy's integer": (np.int16(3), 3),
    "numpy's bool": (np.bool_(True), True),
    "numpy's array": (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    "a float": (np.float32(0.5), 0.5),
    "NaN": (float("nan"), "NaN"),
    "infinities": ([np.inf, -np.inf], ["Infinity", "-Infinity"]),
    "a date": (np.datetime64("2020-07-01T10:00:00", "s"), "2020-07-01T10:00:00"),
    "Python's date": (datetime.datetime(2020, 7, 1, 10), "2020-07-01T10:00:00"),
    "pandas' date": (pd.Timestamp("2020-07-01"), "2020-07-01T00:00:00"),
    "dates": (np.array(["2020-07-01"], "M8[D]"), ["2020-07-01"]),
    "no date": (pd.NaT, "NaT"),
    "a day": (datetime.date(2020, 7, 1), "2020-07-01"),
    "a duration": (datetime.timedelta(hours=1), "1:00:00"),
    "a tuple": ((1, (2, 3)), [1, [2, 3]]),
    "a set": ({3, 1, 20}, [1, 3, 20]),
    "a set of texts": (frozenset({"b", "a"}), ["a", "b"]),
    "a path": (PurePosixPath("/a/b"), "/a/b"),
    "bytes": (b"abc", "abc"),
    "a UUID": (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    "an Enum": (_Colour.RED, "red"),
    "a dataclass": (_Spec(32632, (0.0, np.nan)), {"epsg": 32632, "bounds": [0.0, "NaN"]}),
    "a CRS": (_Crs(), "PROJCRS[...]"),
    "nested": ({1: {"a": {2.5}}, "b": [np.int8(1), None]}, {"1": {"a": [2.5]}, "b": [1, None]}),
    "what is plain": ({"a": [1, "x", None, True]}, {"a": [1, "x", None, True]}),
    "complex": (1 + 2j, "(1+2j)"),
    "a large number": (2**80, 2**80),
}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_attributes_that_json_cannot_hold(tmp_path: Path, kind: str, zarr_format: Any) -> None:
    """They are brought into a form that can be held, of the mosaic, a band and a coordinate; what
    is written is JSON without the numbers that JSON does not have; the mosaic keeps its own."""
    value, want = PLAIN[kind]
    mosaic = xr.Dataset(
        {"red": ("x", np.ones(4), {"it": value})},
        {"x": ("x", np.arange(4), {"it": value})},
        {"it": value, 7: "seven"},
    ).chunk()
    path = tmp_path / "out.zarr"
    qm.to_zarr(mosaic, path, zarr_format=zarr_format)
    found = qm.open_mosaic(path)
    assert found.attrs == {"it": want, "7": "seven"}
    assert found["red"].attrs["it"] == found["x"].attrs["it"] == want
    assert mosaic.attrs["it"] is value
    for file in path.rglob("*"):
        if file.name in ("zarr.json", ".zattrs", ".zarray"):
            json.loads(file.read_text(), parse_constant=pytest.fail)
    qm.to_zarr(mosaic, path, mode="resume", zarr_format=zarr_format)


def test_affine_transforms() -> None:
    """What rasterio, rioxarray and stackstac leave: six numbers."""
    affine = pytest.importorskip("affine", reason="affine comes with rasterio")
    store = MemoryStore()
    transform = affine.Affine(10, 0, 500, 0, -10, 900)
    qm.to_zarr(xr.Dataset({"a": ("x", [1.0])}, attrs={"transform": transform}), store)
    assert qm.open_mosaic(store).attrs["transform"] == [10, 0, 500, 0, -10, 900]


@pytest.mark.parametrize(
    "value",
    [object(), lambda: 0, b"\xff", {"deep": object()}],
    ids=["object", "function", "bytes", "within a mapping"],
)
def test_attributes_that_have_no_form_are_left_out(tmp_path: Path, value: Any) -> None:
    """By name, with a warning, and nothing else is lost."""
    band = ("x", np.ones(4), {"it": value, "units": "1"})
    with pytest.warns(UserWarning, match="attribute 'it' of 'red' is a .* left out"):
        qm.to_zarr(xr.Dataset({"red": band}), tmp_path / "out.zarr")
    assert qm.open_mosaic(tmp_path / "out.zarr")["red"].attrs == {"units": "1"}


@pytest.mark.parametrize("value", [None, 1, ["lat", "lon"], np.float32(0.5)], ids=repr)
@pytest.mark.parametrize("name", ["coordinates", "grid_mapping", "bounds", "cell_measures"])
def test_names_of_variables_that_are_no_text(tmp_path: Path, name: str, value: Any) -> None:
    """Where CF names variables in a text, xarray's writer or reader fails at anything else: it is
    left out by name, so that what is written can be opened."""
    mosaic = xr.Dataset({"red": (("y", "x"), np.ones((2, 2)), {name: value, "title": "kept"})})
    with pytest.warns(UserWarning, match=f"{name}.* of 'red' .* left out"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert qm.open_mosaic(tmp_path / "out.zarr")["red"].attrs == {"title": "kept"}


def test_what_is_masked_in_an_attribute_is_null(tmp_path: Path) -> None:
    """The value below a mask is none that anybody meant."""
    values = np.ma.masked_array([1, 2], mask=[False, True])
    mosaic = xr.Dataset({"red": ("x", np.ones(2))}, attrs={"range": values})
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert qm.open_mosaic(tmp_path / "out.zarr").attrs["range"] == [1, None]


def test_an_attribute_that_contains_itself(tmp_path: Path) -> None:
    """It is left out like others that have no form."""
    value: list[Any] = []
    value.append(value)
    with pytest.warns(UserWarning, match="'it' of the mosaic"):
        qm.to_zarr(xr.Dataset({"a": ("x", [1.0])}, attrs={"it": value}), tmp_path / "out.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_says_how_numbers_are_packed_is_left_to_xarray(zarr_format: Any) -> None:
    """A nodata of NaN, a scale in numpy's own float: read back as they were."""
    store = MemoryStore()
    band = xr.DataArray(np.array([1, np.nan], "float32"), dims="x")
    band.attrs = {"_FillValue": np.float32(np.nan), "missing_value": np.nan, "nodata": np.nan}
    packed = xr.DataArray([0.5, 1.5], dims="x")
    packed.encoding = {"dtype": "int16", "scale_factor": np.float64(0.5), "_FillValue": -1}
    mosaic = xr.Dataset({"a": band, "b": packed}).chunk()
    qm.to_zarr(mosaic, store, zarr_format=zarr_format)
    found = qm.open_mosaic(store)
    np.testing.assert_array_equal(found["a"].values, band.values)
    assert np.isnan(found["a"].encoding["_FillValue"])
    np.testing.assert_array_equal(found["b"].values, packed.values)
    assert found["b"].encoding["scale_factor"] == 0.5


@pytest.mark.parametrize("where", ["attrs", "encoding"])
def test_a_packing_that_cannot_be_is_named(tmp_path: Path, where: str) -> None:
    """`_FillValue="None"` is no number: the band is named, and nothing is left behind."""
    mosaic = xr.Dataset({"red": ("x", np.ones(4, "float32"))}).chunk()
    getattr(mosaic["red"], where)["_FillValue"] = "None"
    with pytest.raises(ValueError, match=r"band 'red'.*_FillValue.*'None'"):
        qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert not list(tmp_path.iterdir())


# -- texts ----------------------------------------------------------------------------------------

TEXTS: dict[str, Any] = {
    "objects": np.array([[["a", "b"]], [["ccc", "d"]]], object),
    "fixed width": np.array([[["a", "b"]], [["ccc", "d"]]]),
    "with none": np.array([[["a", None]], [["ccc", "d"]]], object),
}
if hasattr(np.dtypes, "StringDType"):
    TEXTS["any length"] = TEXTS["fixed width"].astype(np.dtypes.StringDType())
    missing = np.dtypes.StringDType(na_object=None)
    TEXTS["any length, with none"] = TEXTS["with none"].astype(missing)


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("dims", [("time",), ("time", "y", "x")], ids=str)
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_masked_text_is_empty(kind: str, dims: Any, lazy: bool, zarr_format: Any) -> None:
    """Where no image is a candidate, a text (the id of the image) is empty in the store, never the
    word "None"; the others are what they were, whole."""
    values = TEXTS[kind] if len(dims) > 1 else TEXTS[kind][:, 0, 0]
    quality = np.array([[[1, np.nan]], [[2, np.nan]]], "float32")
    c = xr.Dataset({"q": (("time", "y", "x"), quality), "id": (dims, values)})
    mosaic = qm.quality_mosaic(c.chunk(time=1, x=1) if lazy else c, "q")
    assert mosaic["id"].dtype == values.dtype
    store = MemoryStore()
    qm.to_zarr(mosaic, store, zarr_format=zarr_format)
    assert qm.open_mosaic(store)["id"].values.tolist() == [["ccc", ""]]


def test_the_value_that_stands_for_a_masked_text() -> None:
    """None among objects, nothing in texts of fixed width, and what a dtype has for it."""
    assert masked_value(xr.DataArray(np.array(["a"], object)), None) is None
    assert masked_value(xr.DataArray(np.array(["a"])), None) == ""


def test_a_lazy_band_of_objects_is_not_loaded_to_be_laid_out(tmp_path: Path) -> None:
    """Nothing of it is computed before the first block; what is no text is an error that names
    the band."""
    computed: list[int] = []

    def make(block: Any, value: Any) -> Any:
        computed.append(1)
        return np.full(block.shape, value, object)

    base = da.zeros((2, 4), chunks=2)
    texts = base.map_blocks(make, "x", dtype=object, meta=np.empty((0, 0), object))
    numbers = base.map_blocks(make, 3, dtype=object, meta=np.empty((0, 0), object))
    path = tmp_path / "out.zarr"
    counts: list[int] = []
    with dask.config.set(scheduler="synchronous"):
        qm.to_zarr(
            xr.Dataset({"a": (("y", "x"), texts)}),
            path,
            progress=lambda told: counts.append(len(computed)),
        )
        assert counts == [1, 2]
        assert (qm.open_mosaic(path)["a"] == "x").all()
        with pytest.raises(TypeError, match=r"band 'a' is of dtype object and has a int"):
            qm.to_zarr(xr.Dataset({"a": (("y", "x"), numbers)}), path, mode="w")


def test_objects_beside_the_bands() -> None:
    """What stackstac makes of items: sets, dicts, numbers with gaps, nothing at all. Texts are
    stored, numbers as numbers, the rest as JSON; what has no form is left out with a warning."""
    store = MemoryStore()
    coords = {
        "shape": ((), np.array({"a": 1}, object)),
        "wavelength": ("x", np.array([0.6, None], object)),
        "counts": ("x", np.array([1, 2], object)),
        "flags": ("x", np.array([True, False], object)),
        "name": ((), np.array(None, object)),
        "dates": ("x", np.array([datetime.datetime(2020, 7, 1)] * 2, object)),
        "mixed": ("x", np.array(["a", [1]], dtype=object)),
    }
    mosaic = xr.Dataset({"red": ("x", np.ones(2))}, coords)
    with pytest.warns(UserWarning, match="'odd' has objects in it .object. that cannot be stored"):
        qm.to_zarr(mosaic.assign(odd=("x", np.array([object()] * 2))), store)
    found = qm.open_mosaic(store).load()
    assert "odd" not in found
    assert found["shape"].item() == '{"a": 1}'
    np.testing.assert_array_equal(found["wavelength"].values, [0.6, np.nan])
    assert found["counts"].values.tolist() == [1, 2]
    assert found["flags"].values.tolist() == [True, False]
    assert found["name"].item() == ""
    assert found["dates"].values[0] == np.datetime64("2020-07-01")
    assert found["mixed"].values.tolist() == ["a", "[1]"]


def test_a_mosaic_of_stackstacs_array(tmp_path: Path) -> None:
    """It can be written as it is, and read back."""
    transform = pytest.importorskip("affine", reason="affine comes with rasterio").Affine
    array = xr.DataArray(
        np.arange(16.0).reshape(2, 2, 2, 2),
        dims=("time", "band", "y", "x"),
        coords={
            "time": pd.date_range("2020", periods=2),
            "band": ["red", "quality"],
            "center_wavelength": ("band", np.array([0.6, None], object)),
            "proj:shape": np.array({32}, object),
            "common_name": ((), np.array(None, object)),
            "epsg": 32720,
        },
        name="stackstac-1234",
        attrs={
            "spec": _Spec(32720, (0.0, 1.0)),
            "crs": "epsg:32720",
            "transform": transform(1, 0, 0, 0, -1, 0),
            "resolution_xy": (1.0, 1.0),
        },
    ).chunk(time=1)
    qm.to_zarr(qm.quality_mosaic(array, "quality"), tmp_path / "out.zarr")
    found = qm.open_mosaic(tmp_path / "out.zarr")
    np.testing.assert_array_equal(found["stackstac-1234"].values, array.values[1])
    told = found["stackstac-1234"].attrs
    assert (told["spec"], told["transform"]) == (
        {"epsg": 32720, "bounds": [0.0, 1.0]},
        [1, 0, 0, 0, -1, 0],
    )
    assert zarr.open_group(tmp_path / "out.zarr", mode="r")["proj:shape"][()] == "[32]"


@pytest.mark.filterwarnings("ignore:.*vlen-utf8")
@pytest.mark.parametrize("texts", [np.array("S2A"), np.array(["S2A", "S2B_30TXQ"])])
def test_texts_of_fixed_width_beside_the_bands(tmp_path: Path, texts: np.ndarray) -> None:
    """What numpy makes of a text, or of a list of them, is stored as texts of any length: of how
    others are stored Zarr warns that no format fixes it."""
    known = {"id": (("time",)[: texts.ndim], texts)}
    mosaic = xr.Dataset({"red": (("time", "x"), np.ones((2, 4)))}, known)
    qm.to_zarr(mosaic, tmp_path / "out.zarr")
    assert qm.open_mosaic(tmp_path / "out.zarr")["id"].values.tolist() == texts.tolist()
