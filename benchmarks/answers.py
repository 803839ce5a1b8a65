"""The right pixels of each question of `questions`, by plain numpy, block by block.

As in `oracle`, nothing here comes from `qmosaic`, xarray or dask.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.oracle import Block, blocks, score
from benchmarks.workloads import BANDS, SEED, VERSION, Workload

Array = npt.NDArray[Any]

RECIPES = 1
"""Raised whenever an answer changes, so that it is solved anew."""

RANKS = 5
"""How many images of each pixel the best are."""
MONTHS = 12
"""Into so many periods of the same number of images the images are divided."""
NEAR = 10
"""How far from the best score, in its own numbers, an image may be to count."""
CLEAR, HAZY = 20, 60
"""Cloud probabilities below which a pixel is of the first class, and of the second one."""
WINDOW = 5
"""Pixels along a side of the window of a mean."""


def month_of(image: int, images: int) -> int:
    """Number the period of an image; few images are in a month each."""
    return image * min(MONTHS, images) // images


def times(images: int) -> Array:
    """Give the times of images that are spread over the months of a year, each in its month."""
    months = np.array([month_of(t, images) for t in range(images)])
    first = np.array([np.flatnonzero(months == m)[0] for m in months])
    days = np.datetime64("2020-01-01").astype("datetime64[M]") + months
    spread = 5 * (np.arange(images) - first)
    return (days.astype("datetime64[D]") + spread).astype("datetime64[ns]")


def class_rank(cloud: Array) -> Array:
    """Give the rank of a class of few: clear, hazy, cloudy."""
    return np.where(cloud < CLEAR, 2, np.where(cloud < HAZY, 1, 0)).astype("uint8")


class Images:
    """All images of a collection on one block of the map, with pixels around it where asked."""

    def __init__(self, workload: Workload, group: Mapping[str, Any], block: Block) -> None:
        self.workload, self.group, self.block = workload, group, block
        self.names = workload.bands
        self._held: dict[str, Array] = {}

    def __call__(self, band: str) -> Array:
        """Read a band."""
        if band not in self._held:
            images = range(self.workload.scene.images)
            self._held[band] = np.stack([self.group[band][(t, *self.block)] for t in images])
        return self._held[band]

    def quality(self) -> Array:
        """Give the quality."""
        return score(self.workload, {b: self(b) for b in self.workload.quality_sources})

    def picked(self, index: Array) -> dict[str, Array]:
        """Give all bands, and the quality, of the images at an index; ranks are its first axis."""
        values = {name: self(name) for name in self.names} | {"quality": self.quality()}
        return {name: np.take_along_axis(v, index, axis=0) for name, v in values.items()}


Answer = Callable[[Images], dict[str, Array]]


def _flat(found: dict[str, Array]) -> dict[str, Array]:
    return {name: values[0] for name, values in found.items()}


def _ranked(quality: Array, ranks: int) -> Array:
    """Give the indices of the best, the first of those that are equal first."""
    wide = quality.astype("int64" if quality.dtype.kind in "iu" else "float64")
    return np.argsort(-wide, axis=0, kind="stable")[:ranks]


def plain(images: Images) -> dict[str, Array]:
    """Give the image with the highest quality."""
    return _flat(images.picked(_ranked(images.quality(), 1)))


def sourced(images: Images) -> dict[str, Array]:
    """Say from which image each pixel is, when that was taken, and how many there were."""
    index = _ranked(images.quality(), 1)
    days = np.datetime64("2020-01-01", "ns") + 5 * np.arange(len(images.quality())).astype("m8[D]")
    return _flat(images.picked(index)) | {
        "source_index": index[0].astype("int16"),
        "source_time": days[index[0]],
        "valid_count": np.full(index[0].shape, len(days), "int16"),
    }


def best(images: Images) -> dict[str, Array]:
    """Give the best few, rank by rank."""
    return images.picked(_ranked(images.quality(), RANKS))


def median_of_best(images: Images) -> dict[str, Array]:
    """Give the medians of the best few, as floats."""
    return {name: np.median(values, axis=0) for name, values in best(images).items()}


def by_month(images: Images) -> dict[str, Array]:
    """Give the best of each month."""
    quality = images.quality()
    months = np.array([month_of(t, len(quality)) for t in range(len(quality))])
    index = []
    for month in range(months[-1] + 1):
        members = np.flatnonzero(months == month)
        index.append(members[_ranked(quality[members], 1)])
    return images.picked(np.concatenate(index))


def by_class(images: Images) -> dict[str, Array]:
    """Give the image of the highest class; among equals that with the highest score."""
    classes = class_rank(images("cloud"))
    index = _ranked(classes.astype("int64") * 2**16 + images("score"), 1)
    found = {name: np.take_along_axis(images(name), index, 0) for name in images.names}
    return _flat({**found, "quality": np.take_along_axis(classes, index, 0)})


def near_best(images: Images) -> dict[str, Array]:
    """Give the median of each band over the images near the best; the lower of two."""
    quality = images.quality()
    near = quality >= quality.max(axis=0) - NEAR
    middle = ((near.sum(axis=0) - 1) // 2)[None]
    found = {}
    for name, values in ({n: images(n) for n in images.names} | {"quality": quality}).items():
        others_last = np.where(near, values.astype("int64"), 2**32)
        others_last.sort(axis=0)
        found[name] = np.take_along_axis(others_last, middle, 0)[0].astype(values.dtype)
    return found


def closest(images: Images) -> dict[str, Array]:
    """Give the image closest to the medians of the bands."""
    distance: Array = np.float64(0)
    for name in BANDS:
        values = images(name).astype("float64")
        distance = distance + (values - np.median(values, axis=0)) ** 2
    return _flat(images.picked(distance.argmin(axis=0)[None]))


def smoothed(images: Images) -> dict[str, Array]:
    """Give the image with the best mean of what lies around; its own quality, not the mean."""
    wide = WINDOW // 2
    size = images.workload.scene.size
    around = tuple(slice(max(s.start - wide, 0), s.stop + wide) for s in images.block)
    lacking = [
        (max(wide - s.start, 0), max(min(s.stop, size) + wide - size, 0)) for s in images.block
    ]
    cloud = Images(images.workload, images.group, around)("cloud").astype("int64")
    cloud = np.pad(cloud, [(0, 0), *lacking])
    height, width = (n - 2 * wide for n in cloud.shape[1:])
    # how many pixels there are around is the same for all images
    total = sum(
        cloud[:, y : y + height, x : x + width] for y in range(WINDOW) for x in range(WINDOW)
    )
    return _flat(images.picked(_ranked(-np.asarray(total), 1)))


ANSWERS: dict[str, Answer] = {
    answer.__name__: answer
    for answer in (
        *(plain, sourced, best, median_of_best, by_month, by_class, near_best, closest),
        smoothed,
    )
}


def ensure(name: str, workload: Workload, store: Path, data: Path) -> Path:
    """Give the folder with the right arrays (one .npy each), solved first where it is missing."""
    folder = data / f"{workload.name}-{name}.oracle"
    stamp = folder / "done.json"
    recipe = {"version": VERSION, "seed": SEED, "recipes": RECIPES, "workload": repr(workload)}
    if stamp.is_file() and json.loads(stamp.read_text()) == recipe:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for array, values in _solve(ANSWERS[name], workload, store).items():
        np.save(folder / f"{array}.npy", values)
    stamp.write_text(json.dumps(recipe))
    return folder


def _solve(answer: Answer, workload: Workload, store: Path) -> dict[str, Array]:
    import zarr

    group = zarr.open_group(store, mode="r")
    size = workload.scene.size
    found: dict[str, Array] = {}
    for _, block in blocks(size, workload.scene.chunk):
        for name, values in answer(Images(workload, group, block)).items():
            if name not in found:
                found[name] = np.zeros((*values.shape[:-2], size, size), values.dtype)
            found[name][(..., *block)] = values
    return found
