"""Further images for a mosaic in a store: what is read and rewritten, what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import qmosaic as qm
from tests.support.sources import Forbidden
from tests.support.updates import images, pixels, update, write

SIDE = 16


def stack(scores: list[int], first: int = 0) -> dict[str, np.ndarray]:
    """Make images whose pixels all have the score that is given for each."""
    shape = (len(scores), SIDE, SIDE)
    quality = np.broadcast_to(np.array(scores, "int16")[:, None, None], shape).copy()
    red = np.arange(first * 1000, first * 1000 + np.prod(shape)).reshape(shape)
    return {"quality": quality, "red": red.astype("uint16"), "nir": red.astype("float32")}


def days(*numbers: int) -> list[str]:
    """Name days of January."""
    return [f"2020-01-{n:02d}" for n in numbers]


@pytest.fixture
def mosaic(tmp_path: Path) -> Path:
    """A mosaic of two images in four blocks, which can be updated; its images are gone."""
    collection, _ = images(stack([3, 5]), tmp_path / "old.zarr", days(1, 2))
    write(collection, tmp_path / "mosaic.zarr")
    os.rename(tmp_path / "old.zarr", tmp_path / "gone.zarr")
    return tmp_path / "mosaic.zarr"


def written(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Name the chunks that are others."""
    return sorted(k for k in after if "/c/" in k and after[k] != before.get(k))


def times_of(path: Path) -> dict[str, int]:
    """Say when each chunk was written."""
    return {str(p.relative_to(path)): p.stat().st_mtime_ns for p in path.rglob("c/*/*")}


def touched(path: Path, before: dict[str, int]) -> set[str]:
    """Name the chunks that were written since, whether they differ or not."""
    return {name for name, when in times_of(path).items() if before.get(name) != when}


@pytest.mark.usefixtures("never_together")
def test_only_what_changes_is_read_and_written(mosaic: Path, tmp_path: Path) -> None:
    """The quality of new images is read once, their other bands only where they win, images of the
    mosaic not at all; where no new image is a candidate nothing is written, where none wins the
    number of candidates alone, else the chunks in which one wins."""
    values = stack([7, 1], first=9)
    best, _ = values["quality"]
    best[:, 8:] = 0  # wins on the left
    best[8:] = 0
    values["quality"][:, 8:, 8:] = -1
    collection, store = images(values, tmp_path / "new.zarr", days(3, 4))
    collection["quality"].attrs["_FillValue"] = -1
    old, _ = images(stack([3, 5]), tmp_path / "again.zarr", days(1, 2))
    old["quality"].attrs["_FillValue"] = -1
    write(old, tmp_path / "declared.zarr")
    path, before = tmp_path / "declared.zarr", times_of(tmp_path / "declared.zarr")
    store.reads.clear()
    update(path, collection)
    assert touched(path, before) == {
        "valid_count/c/0/0",
        "valid_count/c/0/1",
        "valid_count/c/1/0",
        *(f"{name}/c/0/0" for name in ("red", "nir", "quality", "source_index", "source_time")),
    }
    assert {k: n for k, n in store.reads.items() if k.startswith(("red/c", "nir/c"))} == {
        "red/c/0/0/0": 1,
        "nir/c/0/0/0": 1,
    }
    assert sorted(store.chunks("quality").values()) == [1] * 8
    got = qm.open_mosaic(path, mask_and_scale=False)
    assert np.unique(got["valid_count"]).tolist() == [2, 4]
    assert (got["source_index"].values[:8, :8] == 2).all()
    assert (got["source_index"].values[8:] == 1).all()
    np.testing.assert_array_equal(got["red"].values[:8, :8], values["red"][0, :8, :8])


@pytest.mark.usefixtures("never_together")
def test_bands_that_lose_everywhere_are_not_read(mosaic: Path, tmp_path: Path) -> None:
    """Images that are worse than the mosaic give nothing but their quality."""
    collection, _ = images(stack([1, 2]), tmp_path / "new.zarr", days(3, 4))
    never = {
        name: (
            ("time", "y", "x"),
            dask.array.from_array(
                Forbidden(collection[name].shape, collection[name].dtype), chunks=(1, 8, 8)
            ),
        )
        for name in ("red", "nir")
    }
    before = times_of(mosaic)
    update(mosaic, collection.assign(never))
    assert touched(mosaic, before) == {f"valid_count/c/{y}/{x}" for y in (0, 1) for x in (0, 1)}
    assert (qm.open_mosaic(mosaic)["valid_count"] == 4).all()


def test_the_same_images_again_are_refused(mosaic: Path, tmp_path: Path) -> None:
    """Images of times that the mosaic is known to have would be counted twice; who has others of
    the same times says so."""
    collection, _ = images(stack([1, 2]), tmp_path / "new.zarr", days(3, 4))
    update(mosaic, collection)
    before = pixels(mosaic)
    for again in (collection, collection.isel(time=[1])):
        with pytest.raises(ValueError, match=r"images of the same times.*counted twice.*drop_sel"):
            update(mosaic, again)
    first, _ = images(stack([1]), tmp_path / "first.zarr", days(1))
    with pytest.raises(ValueError, match=r"2020-01-01.*same_times=True"):
        update(mosaic, first)
    assert pixels(mosaic) == before
    update(mosaic, collection, same_times=True)
    assert (qm.open_mosaic(mosaic)["valid_count"] == 6).all()


def test_what_the_mosaic_says_of_itself_goes_on(mosaic: Path, tmp_path: Path) -> None:
    """The number of images and the times of the first and the last are those of all; a second
    update counts on."""
    for number, day in ((0, 9), (1, 4)):
        collection, _ = images(stack([7 + number]), tmp_path / f"{number}.zarr", days(day))
        update(mosaic, collection)
    got = qm.open_mosaic(mosaic)
    assert got.attrs["qmosaic_images"] == 4
    assert got.attrs["qmosaic_time_last"] == "2020-01-09T00:00:00"
    assert got.attrs["qmosaic_time_first"] == "2020-01-01T00:00:00"
    assert (got["source_index"] == 3).all()
    assert (got["source_time"] == np.datetime64("2020-01-04")).all()


# -- what is refused ------------------------------------------------------------------------------


def changed(collection: xr.Dataset, how: str) -> Any:
    """Make images that do not fit."""
    if how == "band":
        return collection.drop_vars("nir")
    if how == "quality":
        return collection.drop_vars("quality")
    if how == "further band":
        return collection.assign(blue=collection["red"])
    if how == "dtype":
        return collection.assign(red=collection["red"].astype("int32"))
    if how == "nodata":
        return collection.assign(red=collection["red"].assign_attrs(_FillValue=7))
    if how == "packing":
        return collection.assign(red=collection["red"].assign_attrs(scale_factor=0.1))
    if how == "attribute":
        return collection.assign(red=collection["red"].assign_attrs(units="K"))
    if how == "grid":
        return collection.assign_coords(x=np.arange(SIDE))
    if how == "shape":
        return collection.isel(y=slice(8))
    if how == "CRS":
        return collection.assign_coords(spatial_ref=((), 0, {"crs_wkt": "PROJCS"}))
    if how == "no images":
        return collection.isel(time=slice(0))
    if how == "one image":
        return collection.isel(time=0)
    return collection.to_dataarray("band")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("band", r"'nir' is only in the store.*Make the new images as"),
        ("quality", r"without 'quality', the quality band.*Add it"),
        ("further band", r"'blue' is only in the new images.*anew from all"),
        ("dtype", r"'red' is stored as uint16, and would be as int32"),
        ("nodata", r"red\._FillValue is only in the new images"),
        ("packing", r"red\.scale_factor is only in the new images"),
        ("attribute", r"red\.units is only in the new images"),
        ("grid", r"'x' is only in the new images"),
        ("shape", r"'nir' has .*16.* pixels in the store, and .*8.* now.*more"),
        ("CRS", r"'spatial_ref' is only in the new images"),
        ("no images", r"without images.*nothing was changed"),
        ("one image", r"expand_dims\('time'\)"),
        ("one array", r"DataArray.*was made of a Dataset.*to_dataset\('band'\)"),
    ],
)
def test_images_that_do_not_fit(mosaic: Path, tmp_path: Path, how: str, said: str) -> None:
    """Other bands, packing or grid are refused before anything is written: what came, why it cannot
    work, what to write instead."""
    collection, _ = images(stack([9]), tmp_path / "new.zarr", days(3))
    before = pixels(mosaic)
    with pytest.raises(ValueError, match=said):
        update(mosaic, changed(collection, how))
    assert pixels(mosaic) == before
    assert zarr.open_group(mosaic)["_qmosaic"].attrs["state"] == "complete"


def test_another_expression(tmp_path: Path) -> None:
    """The quality of a mosaic says of which text it was made, so scores of another text are not
    mixed with it: refused with both, before anything is written; however a text is spaced."""
    (old, _), (new, _) = (images(stack([3]), tmp_path / f"{day}.zarr", days(day)) for day in (1, 2))

    def scored(collection: xr.Dataset, text: str) -> xr.Dataset:
        return collection.assign(quality=qm.expression(text, collection))

    path, beginning = tmp_path / "mosaic.zarr", "nir * 2 + " * 9
    write(scored(old, f"{beginning}red - 1"), path)
    said = "quality.expression was …[^']* red - 1', is …[^']* red - 2'"
    before = pixels(path)
    with pytest.raises(ValueError, match=said):
        update(path, scored(new, f"{beginning}red - 2"))
    with pytest.raises(ValueError, match=r"quality\.expression is only in the store \('nir"):
        update(path, new)
    assert pixels(path) == before
    update(path, scored(new, f"{beginning} red-1".replace(" * ", "*")))
    assert qm.open_mosaic(path)["quality"].attrs["expression"] == f"{beginning}red - 1"


def test_other_values_of_the_grid(tmp_path: Path) -> None:
    """The same number of pixels in another place is another grid."""
    old, _ = images(stack([3]), tmp_path / "old.zarr", days(1))
    new, _ = images(stack([4]), tmp_path / "new.zarr", days(2))
    write(old.assign_coords(x=np.arange(SIDE)), tmp_path / "mosaic.zarr")
    with pytest.raises(ValueError, match=r"'x' has other values \(another grid\?\)"):
        update(tmp_path / "mosaic.zarr", new.assign_coords(x=np.arange(SIDE) + 1))


def test_no_collection(mosaic: Path) -> None:
    """A list of images is no collection."""
    with pytest.raises(TypeError, match=r"got a list.*xarray\.concat"):
        qm.update(mosaic, [])  # type: ignore[arg-type]


def test_stores_that_cannot_be_updated(tmp_path: Path) -> None:
    """A store that is not there, was written by something else, without updatable=True, or is not
    complete, is refused with what to do."""
    collection, _ = images(stack([3, 5]), tmp_path / "old.zarr", days(1, 2))
    path = tmp_path / "mosaic.zarr"
    with pytest.raises(FileNotFoundError, match=r"no mosaic.*updatable=True"):
        update(path, collection)
    collection.to_zarr(path, zarr_format=3, consolidated=False)
    with pytest.raises(ValueError, match=r"was not written by qmosaic.*Write it anew"):
        update(path, collection)
    mosaic = qm.quality_mosaic(collection, "quality", provenance=True)
    qm.to_zarr(mosaic, path, mode="w", progress=False)
    with pytest.raises(ValueError, match=r"without updatable=True.*mode='w'"):
        update(path, collection)

    def stop(progress: qm.Progress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"), dask.config.set(scheduler="synchronous"):
        qm.to_zarr(mosaic, path, mode="w", updatable=True, progress=stop)
    with pytest.raises(qm.IncompleteMosaicError, match=r"cannot be updated.*mode='resume'"):
        update(path, collection)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"provenance": False}, r"has no 'source_index' and no 'valid_count'.*provenance=True"),
        ({"masked": "fill"}, r"cannot be with masked='fill'.*masked='keep'"),
        ({"period": ["2020-01-01", "2020-02-01"]}, r"'between edges'.*a frequency|frequency of"),
        ({"period": "MS", "rolling": "2MS"}, r"windows of.*without rolling="),
    ],
)
def test_mosaics_that_could_not_be_updated(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    """updatable=True is refused where new images could not be brought in; nothing is written."""
    collection, _ = images(stack([3, 5]), tmp_path / "old.zarr", days(1, 2))
    mosaic = qm.quality_mosaic(collection, "quality", **({"provenance": True} | options))
    with pytest.raises(ValueError, match=said):
        qm.to_zarr(mosaic, tmp_path / "mosaic.zarr", updatable=True)
    assert not (tmp_path / "mosaic.zarr").exists()


def test_what_is_no_mosaic_of_single_images(tmp_path: Path) -> None:
    """Several ranks, a mosaic without its score or attributes, or an asked packing, too."""
    collection, _ = images(stack([3, 5]), tmp_path / "old.zarr", days(1, 2))
    mosaic = qm.quality_mosaic(collection, "quality", provenance=True)
    best = qm.best_images(collection, "quality", 2, provenance=True)
    for wrong, said, options in (
        (collection, "are for mosaics of|is for mosaics of", {}),
        (best, "several ranks", {}),
        (mosaic.drop_vars("quality"), r"quality band 'quality' is not in the mosaic", {}),
        (mosaic.assign_attrs(qmosaic_within=1), r"reduces several images", {}),
        (mosaic, r"another dtype of 'red'", {"encoding": {"red": {"dtype": "int32"}}}),
        (mosaic, r"chunks that fit into each other", {"encoding": {"red": {"chunks": (6, 6)}}}),
    ):
        with pytest.raises(ValueError, match=said):
            qm.to_zarr(wrong, tmp_path / "mosaic.zarr", updatable=True, **options)
    medoid = qm.medoid(collection, ["red"], provenance=True)
    with pytest.raises(ValueError, match=r"says nothing of that.*provenance=True"):
        qm.to_zarr(medoid, tmp_path / "mosaic.zarr", updatable=True)
    with pytest.raises(ValueError, match=r"updatable='yes'"):
        qm.to_zarr(mosaic, tmp_path / "mosaic.zarr", updatable="yes")  # type: ignore[arg-type]
    assert not (tmp_path / "mosaic.zarr").exists()


# -- periods --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("never_together")
def test_periods(tmp_path: Path) -> None:
    """New images go into their months, further months are added, the others are not touched; an
    image before the first month is refused."""
    path = tmp_path / "mosaic.zarr"
    dates = ["2020-01-05", "2020-02-05", "2020-03-05"]
    old, _ = images(stack([5, 5, 5]), tmp_path / "old.zarr", dates)
    old["red"].attrs["_FillValue"] = old["quality"].attrs["_FillValue"] = 0
    write(old, path, period="MS")
    before = {str(p.relative_to(path)): p.stat().st_mtime_ns for p in path.rglob("c/*/*/*")}
    dates = ["2020-03-20", "2020-05-01"]
    new, _ = images(stack([7, 1], first=9), tmp_path / "new.zarr", dates)
    new["red"].attrs["_FillValue"] = new["quality"].attrs["_FillValue"] = 0
    update(path, new)
    after = {str(p.relative_to(path)): p.stat().st_mtime_ns for p in path.rglob("c/*/*/*")}
    months = {k.split("/c/")[1][0] for k, n in after.items() if before.get(k) != n}
    assert months == {"2", "3", "4"}
    got = qm.open_mosaic(path, mask_and_scale=False)
    assert got["qmosaic_images"].values.tolist() == [1, 1, 2, 0, 1]
    assert [str(t)[:7] for t in got["time"].values] == [f"2020-0{n}" for n in range(1, 6)]
    assert np.unique(got["source_index"][2:]).tolist() == [-1, 3, 4]
    early, _ = images(stack([7]), tmp_path / "early.zarr", ["2019-12-31"])
    early["red"].attrs["_FillValue"] = early["quality"].attrs["_FillValue"] = 0
    with pytest.raises(ValueError, match=r"2019-12-01.*Only periods behind the last"):
        update(path, early)


def test_a_month_without_images_needs_a_nodata(tmp_path: Path) -> None:
    """Integers that declare no nodata have no value for an empty month: it is refused."""
    old, _ = images(stack([5]), tmp_path / "old.zarr", ["2020-01-05"])
    new, _ = images(stack([5]), tmp_path / "new.zarr", ["2020-03-05"])
    write(old, tmp_path / "mosaic.zarr", period="MS")
    with pytest.raises(ValueError, match=r"_FillValue is only in the new images"):
        update(tmp_path / "mosaic.zarr", new)


# -- chunks that cannot be read -------------------------------------------------------------------


def test_skipped_chunks(mosaic: Path, tmp_path: Path) -> None:
    """A chunk of a new image that cannot be read is named, or counts as masked and is listed; then
    the update goes on."""
    new, _ = images(stack([7, 6]), tmp_path / "new.zarr", days(3, 4))
    (tmp_path / "new.zarr/quality/c/0/0/0").write_bytes(b"broken")
    with pytest.raises(qm.ChunkReadError, match=r"'quality' of image 2020-01-03"):
        update(mosaic, new, retries=0)
    with pytest.raises(qm.IncompleteMosaicError, match=r"being updated.*qmosaic\.update"):
        qm.open_mosaic(mosaic)
    update(mosaic, new, retries=0, on_error="skip")
    got = qm.open_mosaic(mosaic)
    assert len(got.attrs["qmosaic_skipped"]) == 1
    assert (got["source_index"].values[:8, :8] == 3).all()
    assert (got["source_index"].values[8:] == 2).all()
    assert (got["valid_count"].values[:8, :8] == 3).all()


def test_chunks_of_the_mosaic_are_never_left_out(mosaic: Path, tmp_path: Path) -> None:
    """A damaged score of the mosaic ends the update: what is there would be lost."""
    new, _ = images(stack([1]), tmp_path / "new.zarr", days(3))
    (mosaic / "quality/c/0/0").write_bytes(b"broken")
    with pytest.raises(qm.ChunkReadError):
        update(mosaic, new, retries=0, on_error="skip")


def test_other_coordinates_of_images(tmp_path: Path) -> None:
    """Texts and numbers of images that the mosaic says of its pixels go on, too."""
    collection, _ = images(stack([3, 5, 7]), tmp_path / "in.zarr", days(1, 2, 3))
    collection = collection.assign_coords(
        id=("time", ["a", "b", "c"]), orbit=("time", np.array([4, 5, 6]))
    )
    asked = ["source_index", "valid_count", "id", "orbit"]
    write(collection, tmp_path / "whole.zarr", provenance=asked)
    write(collection.isel(time=slice(2)), tmp_path / "mosaic.zarr", provenance=asked)
    update(tmp_path / "mosaic.zarr", collection.isel(time=[2]))
    assert pixels(tmp_path / "mosaic.zarr") == pixels(tmp_path / "whole.zarr")


def test_other_coordinates_in_months_that_are_added(tmp_path: Path) -> None:
    """So they do where a further month has pixels, or is a month, without any image."""
    dates = ["2020-01-05", "2020-01-20", "2020-02-20", "2020-04-01"]
    collection, _ = images(stack([3, 5, 7, 9]), tmp_path / "in.zarr", dates)
    collection = collection.assign_coords(
        id=("time", ["a", "b", "c", "d"]), orbit=("time", np.array([4, 5, 6, 0]))
    )
    for band in collection.data_vars.values():
        band.attrs["_FillValue"] = band.dtype.type(0)
    asked = {"provenance": ["source_index", "valid_count", "id", "orbit"], "period": "MS"}
    write(collection, tmp_path / "whole.zarr", **asked)
    write(collection.isel(time=slice(2)), tmp_path / "mosaic.zarr", **asked)
    update(tmp_path / "mosaic.zarr", collection.isel(time=slice(2, None)))
    assert pixels(tmp_path / "mosaic.zarr") == pixels(tmp_path / "whole.zarr")
    months = qm.open_mosaic(tmp_path / "mosaic.zarr", mask_and_scale=False)
    assert np.unique(months["orbit"][2]).tolist() == [-1]
    assert np.unique(months["id"][2]).tolist() == [""]
