"""Bad input is named with its cure, before anything is computed and before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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


def text_of(error: type[Exception], c: Any, *args: Any, **rules: Any) -> str:
    """Give the message of the error that a call raises."""
    with pytest.raises(error) as raised:
        qm.quality_mosaic(c, *args, **rules)
    return str(raised.value)


def test_a_band_that_is_not_there() -> None:
    """The message has the name that came and the names of the bands."""
    text = text_of(KeyError, collection(), "quality")
    for word in ("quality", "red", "q"):
        assert f"'{word}'" in text
    assert "'red'" in text_of(KeyError, collection(), "rad")


def test_a_quality_without_images_is_no_band() -> None:
    """A variable without time orders nothing."""
    c = collection(dem=(("y", "x"), blocks("float32", (3, 4))))
    assert "dem" in text_of(KeyError, c, "dem")


def test_no_time_dimension() -> None:
    """The message has the dimensions that are there, and the option that names another."""
    text = text_of(ValueError, collection().rename(time="date"), "q")
    for word in ("time", "date", "dim="):
        assert word in text
    assert "date" in text_of(ValueError, collection(), "q", dim="date")


@pytest.mark.parametrize("lazy", [True, False])
def test_zero_images(lazy: bool) -> None:
    """A filter that leaves nothing is said to have left nothing."""
    c = collection().isel(time=slice(0, 0))
    if not lazy:
        c = xr.Dataset({n: (DIMS, np.empty(c[n].shape, c[n].dtype)) for n in c})
    assert "zero images" in text_of(ValueError, c, "q")


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        ("complex64", ["complex64"]),
        ("complex128", ["complex128"]),
        ("U4", ["U4"]),
        ("S4", ["S4"]),
        ("datetime64[ns]", ["datetime64"]),
        ("timedelta64[ns]", ["timedelta64"]),
        ("O", ["object"]),
    ],
)
def test_a_quality_that_is_not_numeric(dtype: str, words: list[str]) -> None:
    """Strings, dates and complex numbers do not order images; the message has the dtype."""
    text = text_of(TypeError, collection(q=(DIMS, blocks(dtype))), "q")
    for word in ["'q'", *words]:
        assert word in text


def test_bands_on_another_grid() -> None:
    """A 20 m band beside a 10 m quality: the message has the band and its dimensions."""
    c = collection(swir=(("time", "y20", "x20"), blocks("uint16", (2, 2, 2))))
    text = text_of(ValueError, c, "q")
    for word in ("'swir'", "y20", "x20"):
        assert word in text


@pytest.mark.parametrize("name", ["_FillValue", "nodata", "missing_value"])
@pytest.mark.parametrize("nodata", [-1, 70000, 0.5, np.nan, np.inf, "none"])
@pytest.mark.parametrize("band", ["red", "q"])
def test_a_nodata_that_does_not_fit_its_dtype(band: str, nodata: Any, name: str) -> None:
    """-1 in a uint16 band masks nothing: the message has the band, the number and the dtype."""
    c = collection()
    c[band].attrs[name] = nodata
    text = text_of(ValueError, c, "q")
    for word in (f"'{band}'", str(nodata), str(c[band].dtype)):
        assert word in text


@pytest.mark.parametrize(
    ("option", "came", "meant"),
    [
        ("ties", "lats", "last"),
        ("ties", "frist", "first"),
        ("masked", "kep", "keep"),
        ("masked", "fil", "fill"),
        ("masked", "skipp", "skip"),
    ],
)
def test_a_rule_that_is_misspelt(option: str, came: str, meant: str) -> None:
    """The message has what came, the choices, and the one that was meant."""
    text = text_of(ValueError, collection(), "q", **{option: came})
    choices = {"ties": ["first", "last"], "masked": ["keep", "skip", "fill"]}[option]
    for word in (option, came, *choices):
        assert word in text
    assert text.count(f"'{meant}'") == 2


@pytest.mark.parametrize("came", [None, 1, "", ["first"]])
@pytest.mark.parametrize("option", ["ties", "masked"])
def test_a_rule_that_is_none(option: str, came: Any) -> None:
    """Whatever comes, the answer is an error that has it."""
    assert repr(came) in text_of(ValueError, collection(), "q", **{option: came})


@pytest.mark.parametrize("fill_value", [-1, 256, 0.5, np.nan, "none"])
def test_a_fill_value_that_does_not_fit(fill_value: Any) -> None:
    """256 does not fit a uint8 band: nothing is promoted, nothing wraps round."""
    text = text_of(ValueError, collection(q=(DIMS, blocks("float32")), a=(DIMS, blocks())),
                   "q", fill_value=fill_value)  # fmt: skip
    assert "fill_value" in text
    assert str(fill_value) in text


@pytest.mark.parametrize("name", ["min_quality", "upper_bound"])
@pytest.mark.parametrize("value", [np.nan, np.float32(np.nan), float("nan")])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_threshold_that_is_nan(name: str, value: Any, dtype: str) -> None:
    """Nothing compares with NaN: it would mask every pixel or stop nothing."""
    text = text_of(ValueError, collection(q=(DIMS, blocks(dtype))), "q", **{name: value})
    assert name in text
    assert "nan" in text


@pytest.mark.parametrize("name", ["min_quality", "upper_bound"])
@pytest.mark.parametrize("value", ["high", [1, 2], 1j])
def test_a_threshold_that_is_no_number(name: str, value: Any) -> None:
    """One real number, or none."""
    assert name in text_of((ValueError, TypeError), collection(), "q", **{name: value})  # type: ignore[arg-type]


def test_what_is_no_collection() -> None:
    """A dict, and a DataArray without labelled bands."""
    assert "dict" in text_of(TypeError, {"red": 1}, "q")
    assert "band" in text_of(ValueError, collection()["red"], "q")


def test_a_band_that_a_stack_does_not_have() -> None:
    """The bands of a DataArray are its labels, and the message has them."""
    array = xr.DataArray(blocks("uint8", (2, 2, 3, 4)), dims=("time", "band", "y", "x"))
    text = text_of(KeyError, array.assign_coords(band=["red", "nir"]), "q")
    for word in ("'q'", "'red'", "'nir'"):
        assert word in text


def test_the_accessor_raises_the_same() -> None:
    """The method is a door to the function, its errors included."""
    with pytest.raises(ValueError, match="lats"):
        collection().qmosaic.quality_mosaic("q", ties="lats")


# -- the store ------------------------------------------------------------------------------------


def folder(path: Path) -> dict[str, bytes]:
    """Give every file under a path with what is in it."""
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["w-", None])
def test_a_store_that_exists(tmp_path: Path, mode: str | None) -> None:
    """Nothing of it is touched, nothing is computed; the message has the path and the cure."""
    store = tmp_path / "m.zarr"
    store.mkdir()
    with dask.config.set(scheduler="synchronous"):
        old = xr.Dataset({"q": (("y", "x"), np.ones((3, 4)))})
        old.to_zarr(store, mode="w", consolidated=False)
    before = folder(tmp_path)
    made = qm.quality_mosaic(collection(), "q")
    with pytest.raises(FileExistsError) as raised:
        qm.to_zarr(made, store, **({} if mode is None else {"mode": mode}))  # type: ignore[arg-type]
    assert "m.zarr" in str(raised.value)
    assert "mode=" in str(raised.value)
    assert folder(tmp_path) == before


@pytest.mark.parametrize("mode", ["r", "rw", "W", "", None])
def test_a_mode_that_is_none(tmp_path: Path, mode: Any) -> None:
    """No folder appears; the message has the mode that came and those there are."""
    made = qm.quality_mosaic(collection(), "q")
    with pytest.raises(ValueError, match="w-") as raised:
        qm.to_zarr(made, tmp_path / "m.zarr", mode=mode)
    assert repr(mode) in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rules", [{"quality_band": "none"}, {"ties": "lats"}, {"fill_value": -1, "min_quality": 1}]
)
def test_bad_rules_leave_no_folder(tmp_path: Path, rules: dict[str, Any]) -> None:
    """The user's two lines in one: the error comes before the store is opened."""
    with pytest.raises((KeyError, ValueError)):
        qm.to_zarr(
            qm.quality_mosaic(collection(), **{"quality_band": "q"} | rules), tmp_path / "m.zarr"
        )
    assert not list(tmp_path.iterdir())


def test_an_option_for_a_band_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    """Nothing is written before the checks have passed: the encoding of an unknown band."""
    made = qm.quality_mosaic(collection(), "q")
    with pytest.raises((KeyError, ValueError), match="rad"):
        qm.to_zarr(made, tmp_path / "m.zarr", encoding={"rad": {"chunks": (3, 4)}})
    assert not list(tmp_path.iterdir())


def test_a_best_score_that_is_nodata() -> None:
    """A score that inherits the nodata of its band would let the best images be masked."""
    cloud = xr.DataArray(np.zeros((2, 2, 2), "uint8"), dims=("time", "y", "x"))
    quality = (-cloud.astype("int16")).assign_attrs(_FillValue=0)
    with pytest.raises(ValueError, match="upper_bound=0 is also the nodata"):
        qm.quality_mosaic(xr.Dataset({"quality": quality}), "quality", upper_bound=0)
