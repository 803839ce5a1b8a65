"""What is asked beyond the plain mosaic: by `qmosaic`, by hand, and what writing alone takes.

By hand is what someone who knows xarray and dask writes for the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import answers
from benchmarks.answers import NEAR, RANKS, WINDOW
from benchmarks.job import Job
from benchmarks.routes import (
    OURS,
    XARRAY,
    Route,
    argmax,
    best_index,
    hand_written,
    open_collection,
    our_collection,
    pick,
    with_quality,
    write,
)
from benchmarks.workloads import BANDS, Workload

if TYPE_CHECKING:
    import xarray as xr

US, BY_HAND, WRITING = WAYS = ("qmosaic", "by hand", "writing")
CRS = "EPSG:32633"

Make = Callable[[Job], "xr.Dataset"]


@dataclass(frozen=True)
class Question:
    """What is asked of a collection.

    Attributes
    ----------
    make, by_hand : callable
        The mosaic, deferred; by hand only where such code exists.
    answer : str or None
        The one of `answers.ANSWERS` that is right; None where there is none but ours.
    at_most : float or None
        What was aimed at: so many times the time of `base`.
    base : str
        The question that it is compared with.
    less_writing : bool
        Whether what writing further arrays costs is no part of that.
    bands : tuple of str
        The stored bands, where they are not those of the workload.
    quality : str or None
        That of the workload that it is about; None for any.
    modules : tuple of str
        What it imports beside ours and xarray's.
    store : callable, optional
        How it is written, where that is not ``qm.to_zarr(make(job), job.output, mode="w")``.
    store_by_hand : callable, optional
        The same by hand.
    before : callable, optional
        What is done before the clock starts.
    """

    name: str
    about: str
    make: Make
    by_hand: Make | None = None
    answer: str | None = "plain"
    at_most: float | None = None
    base: str = "plain"
    less_writing: bool = False
    bands: tuple[str, ...] = ()
    quality: str | None = None
    modules: tuple[str, ...] = ()
    store: Callable[[Job], None] | None = None
    store_by_hand: Callable[[Job], None] | None = None
    before: Callable[[Job], None] | None = None

    def fits(self, workload: Workload) -> bool:
        """Whether it can be asked of a workload."""
        return self.quality in (None, workload.quality)


# --- the collection, and the plain mosaic -------------------------------------------------------


def _ours(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.quality_mosaic(our_collection(job), "quality")


def _theirs(job: Job) -> xr.Dataset:
    return with_quality(open_collection(job), job.workload)


def _plain_by_hand(job: Job) -> xr.Dataset:
    return hand_written(_theirs(job), argmax, pick)


# --- where pixels come from ---------------------------------------------------------------------


def _provenance(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.quality_mosaic(our_collection(job), "quality", provenance=True)


def _provenance_by_hand(job: Job) -> xr.Dataset:
    import xarray as xr

    collection = _theirs(job)
    index = best_index(collection, argmax)
    times = xr.apply_ufunc(
        collection["time"].to_numpy().__getitem__,
        index,
        dask="parallelized",
        output_dtypes=["datetime64[ns]"],
    )
    count = collection["quality"].notnull().sum("time").astype("int16")
    sources = {
        "source_index": index.astype("int16"),
        "source_time": times,
        "valid_count": count,
    }
    return hand_written(collection, argmax, pick).assign(sources)


# --- the best few -------------------------------------------------------------------------------


def _best(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.best_images(our_collection(job), "quality", RANKS)


def _best_by_hand(job: Job) -> xr.Dataset:
    import xarray as xr

    collection = _theirs(job).chunk(time=-1)
    ranks: Any = {"output_sizes": {"rank": RANKS}}
    index = xr.apply_ufunc(
        _best_few,
        collection["quality"],
        input_core_dims=[["time"]],
        output_core_dims=[["rank"]],
        dask="parallelized",
        output_dtypes=[np.intp],
        dask_gufunc_kwargs=ranks,
    )
    found = {
        name: xr.apply_ufunc(
            _pick_all,
            band,
            index,
            input_core_dims=[["time"], ["rank"]],
            output_core_dims=[["rank"]],
            dask="parallelized",
            output_dtypes=[band.dtype],
        )
        for name, band in collection.data_vars.items()
    }
    return xr.Dataset(found).transpose("rank", ...)


def _best_few(quality: Any) -> Any:
    wide = quality if quality.dtype.kind == "f" else quality.astype("int32")
    return np.argsort(-wide, axis=-1, kind="stable")[..., :RANKS]


def _pick_all(band: Any, index: Any) -> Any:
    return np.take_along_axis(band, index, axis=-1)


def _median_of_best(job: Job) -> xr.Dataset:
    return _best(job).median("rank")


def _median_of_best_by_hand(job: Job) -> xr.Dataset:
    return _best_by_hand(job).chunk(rank=-1).median("rank")


# --- months -------------------------------------------------------------------------------------


def _in_a_year(collection: xr.Dataset) -> xr.Dataset:
    return collection.assign_coords(time=answers.times(collection.sizes["time"]))


def _months(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.quality_mosaic(_in_a_year(our_collection(job)), "quality", period="MS")


def _months_by_hand(job: Job) -> xr.Dataset:
    import xarray as xr

    months = _in_a_year(_theirs(job)).resample(time="MS")
    return xr.concat([hand_written(images, argmax, pick) for _, images in months], "time")


# --- other images, other orders -----------------------------------------------------------------


def _classes(job: Job) -> xr.Dataset:
    import qmosaic as qm

    collection = open_collection(job)
    ranked = collection.assign(quality=_class_rank(collection["cloud"]))
    return qm.quality_mosaic(ranked, ["quality", "score"])


def _class_rank(cloud: xr.DataArray) -> xr.DataArray:
    clear, hazy = cloud.drop_attrs() < answers.CLEAR, cloud.drop_attrs() < answers.HAZY
    return clear.astype("uint8") + hazy.astype("uint8")


def _classes_by_hand(job: Job) -> xr.Dataset:
    import xarray as xr

    collection = open_collection(job)
    ranked = collection.assign(quality=_class_rank(collection["cloud"])).chunk(time=-1)
    key = ranked["quality"].astype("int32") * 2**16 + ranked["score"]
    made = hand_written(ranked.assign(key=key), argmax, pick, by="key")
    return xr.Dataset({name: made[name] for name in ranked.data_vars})


def _near(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.quality_mosaic(our_collection(job), "quality", within=NEAR)


def _near_by_hand(job: Job) -> xr.Dataset:
    import xarray as xr

    collection = _theirs(job).chunk(time=-1)
    found = {
        name: xr.apply_ufunc(
            _median_near_best,
            band,
            collection["quality"],
            input_core_dims=[["time"], ["time"]],
            dask="parallelized",
            output_dtypes=[band.dtype],
        )
        for name, band in collection.data_vars.items()
    }
    return xr.Dataset(found)


def _median_near_best(band: Any, quality: Any) -> Any:
    """Sort what counts to the front, and take the middle of it."""
    near = quality >= quality.max(axis=-1, keepdims=True) - NEAR
    values = np.where(near, band, np.iinfo(band.dtype).max)
    values.sort(axis=-1)
    return pick(values, (near.sum(axis=-1) - 1) // 2)


def _medoid(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.medoid(our_collection(job), list(BANDS))


def _medoid_by_hand(job: Job) -> xr.Dataset:
    import xarray as xr

    collection = _theirs(job).chunk(time=-1)
    index = xr.apply_ufunc(
        _closest,
        *(collection[name] for name in BANDS),
        input_core_dims=[["time"]] * len(BANDS),
        dask="parallelized",
        output_dtypes=[np.intp],
    )
    return hand_written(collection, argmax, pick, index=index)


def _closest(*bands: Any) -> Any:
    distance = 0.0
    for band in bands:
        distance = distance + (band - np.median(band, axis=-1, keepdims=True)) ** 2
    return np.asarray(distance).argmin(axis=-1)


def _on_a_map(collection: xr.Dataset) -> xr.Dataset:
    """Say how large a pixel is."""
    import odc.geo.xr  # noqa: F401  # the accessor

    return collection.odc.assign_crs(CRS)


def _smooth(job: Job) -> xr.Dataset:
    import qmosaic as qm

    return qm.quality_mosaic(_on_a_map(our_collection(job)), "quality", smooth=10 * WINDOW)


def _smooth_by_hand(job: Job) -> xr.Dataset:
    collection = _theirs(job)
    quality = collection["quality"].astype("float32")
    mean = quality.rolling(y=WINDOW, x=WINDOW, center=True, min_periods=1).mean()
    regular = mean.chunk(collection["quality"].chunksizes)
    made = hand_written(collection.assign(mean=regular), argmax, pick, by="mean")
    return made.drop_vars("mean")


def _bonus(job: Job) -> xr.Dataset:
    import qmosaic as qm

    collection = _on_a_map(our_collection(job))
    return qm.quality_mosaic(collection, "quality", scene_bonus=NEAR)


# --- a mosaic that is kept up to date -----------------------------------------------------------


def _anew(job: Job) -> None:
    import qmosaic as qm

    qm.to_zarr(_provenance(job), job.output, mode="w", updatable=True)


def _the_last(job: Job) -> list[int]:
    return [job.workload.scene.images - 1]


def _without_the_last(job: Job) -> None:
    import qmosaic as qm

    collection = our_collection(job).isel(time=slice(None, -1))
    mosaic = qm.quality_mosaic(collection, "quality", provenance=True)
    qm.to_zarr(mosaic, job.output, mode="w", updatable=True)


def _update(job: Job) -> None:
    import qmosaic as qm

    qm.update(job.output, our_collection(job).isel(time=_the_last(job)))


def _update_by_hand(job: Job) -> None:
    """Put the image where it is better, and write all of it again, chunk by chunk."""
    import xarray as xr

    there = xr.open_zarr(job.output, chunks={}, consolidated=False, mask_and_scale=False)
    there = there.reset_coords(drop=False)
    (position,) = _the_last(job)
    image = _theirs(job).isel(time=position)
    sources = {"source_index": np.int16(position), "source_time": image["time"].to_numpy()}
    image = image.drop_vars("time")
    better = image["quality"] > there["quality"]
    made = {
        name: xr.where(better, image[name] if name in image else sources[name], there[name])
        for name in (*image.data_vars, *sources)
    }
    counted = {**made, "valid_count": there["valid_count"] + np.int16(1)}
    mosaic = xr.Dataset({name: band.drop_attrs() for name, band in counted.items()})
    mosaic["source_time"].encoding = dict(there["source_time"].encoding)
    mosaic.drop_vars(["y", "x"], errors="ignore").to_zarr(job.output, mode="r+", consolidated=False)


_ALL = (
    Question("plain", "quality_mosaic", _ours, _plain_by_hand),
    Question(
        "provenance",
        "provenance=True",
        _provenance,
        _provenance_by_hand,
        "sourced",
        at_most=1.15,
    ),
    Question("best", f"best_images(n={RANKS})", _best, _best_by_hand, "best", at_most=3),
    Question(
        "best-median",
        f'best_images(n={RANKS}).median("rank")',
        _median_of_best,
        _median_of_best_by_hand,
        "median_of_best",
    ),
    Question(
        "months",
        'period="MS", a year',
        _months,
        _months_by_hand,
        "by_month",
        at_most=1.3,
        less_writing=True,
    ),
    Question("anew", "to_zarr(updatable=True)", _provenance, None, "sourced", store=_anew),
    Question(
        "update",
        "update, with 1 of the images",
        _provenance,
        None,
        "sourced",
        at_most=0.15,
        base="anew",
        before=_without_the_last,
        store=_update,
        store_by_hand=_update_by_hand,
    ),
    Question(
        "classes",
        "a class rank, then a score",
        _classes,
        _classes_by_hand,
        "by_class",
        bands=(*BANDS, "cloud", "score"),
        quality="inverse",
    ),
    Question(
        "within", f"within={NEAR}, median", _near, _near_by_hand, "near_best", quality="inverse"
    ),
    Question("medoid", "medoid of four bands", _medoid, _medoid_by_hand, "closest"),
    Question(
        "smooth",
        f"smooth={10 * WINDOW} m",
        _smooth,
        _smooth_by_hand,
        "smoothed",
        quality="inverse",
        modules=("odc.geo.xr", "scipy.ndimage"),
    ),
    Question(
        "bonus",
        f"scene_bonus={NEAR}",
        _bonus,
        None,
        None,
        quality="inverse",
        modules=("odc.geo.xr",),
    ),
)

QUESTIONS = {question.name: question for question in _ALL}


def workload_of(question: Question, workload: Workload) -> Workload:
    """Give the workload with the bands that a question looks at."""
    return replace(workload, bands=question.bands) if question.bands else workload


def asked(name: str, way: str) -> Route:
    """Give a way to answer a question, as a route like any other."""
    question = QUESTIONS[name]
    held: list[Any] = []

    def by_us(job: Job) -> None:
        import qmosaic as qm

        if question.store is not None:
            question.store(job)
        else:
            qm.to_zarr(question.make(job), job.output, mode="w")

    def by_hand(job: Job) -> None:
        if question.store_by_hand is not None:
            question.store_by_hand(job)
        else:
            assert question.by_hand is not None
            write(question.by_hand(job), job)

    def hold(job: Job) -> None:
        mosaic = question.make(job)
        held.append(mosaic.compute(scheduler="threads").chunk(mosaic.chunksizes))

    def writing(job: Job) -> None:
        import qmosaic as qm

        qm.to_zarr(held[0], job.output, mode="w")

    before = question.before or (lambda job: None)
    modules = (*OURS, *question.modules)
    if way == US:
        return Route(way, by_us, "subject", modules, prepare=before)
    if way == WRITING:
        return Route(way, writing, "info", modules, prepare=hold)
    theirs = (*XARRAY, *question.modules) if question.before is None else modules
    return Route(way, by_hand, "peer", theirs, prepare=before)


def ways_of(question: Question) -> list[str]:
    """Name the ways in which a question is answered."""
    hand = question.by_hand or question.store_by_hand
    return [US, *([BY_HAND] if hand else []), *([] if question.store else [WRITING])]
