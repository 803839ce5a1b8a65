"""The right pixels of a collection in another shape, by plain numpy, block by block.

As in `oracle`, nothing here comes from `qmosaic`, xarray or dask. All sums are of whole numbers, so
that they are exact in whatever order they are added.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.oracle import Block, blocks
from benchmarks.workloads import CLOUD_NODATA, SEED, VERSION, Workload

Array = npt.NDArray[Any]

RECIPES = 1
"""Raised whenever a truth of `TRUTHS` changes, so that it is solved anew."""

CLOUDY = 50
"""From this cloud probability on, `WHERE_OTHER` takes another band."""
FULL = 90
"""From this cloud probability on, `FILLED` takes 100."""
FILLED_WITH = 100
WINDOW = 5
"""Pixels along a side of the window of a rolling mean."""


class Series:
    """The images of a collection, in its order, on one block of the map."""

    def __init__(
        self, group: Mapping[str, Any], order: list[int], block: Block, means: Array
    ) -> None:
        self.group, self.order, self.block, self.means = group, order, block, means

    def __call__(self, band: str, margin: int = 0) -> Array:
        """Read a band with pixels around it; -1 where these lie outside of the map."""
        rows, columns = (slice(max(s.start - margin, 0), s.stop + margin) for s in self.block)
        images = [self._image(band, t, (rows, columns)) for t in self.order]
        stack = np.stack(images)
        if not margin:
            return stack
        size = self.group[band].shape[1:]
        sides = [
            (max(margin - s.start, 0), max(s.stop + margin - n, 0))
            for s, n in zip(self.block, size, strict=True)
        ]
        return np.pad(stack.astype("int32"), [(0, 0), *sides], constant_values=-1)

    def _image(self, band: str, t: int, window: Block) -> Array:
        array = self.group[band]
        if t >= 0:
            return np.asarray(array[(t, *window)])
        shape = np.empty(array.shape[1:], "b1")[window].shape
        return np.full(shape, CLOUD_NODATA if band == "cloud" else 0, array.dtype)

    @property
    def places(self) -> tuple[Array, Array]:
        """Give the numbers of rows and columns of the block."""
        rows, columns = (np.arange(s.start, s.stop) for s in self.block)
        return rows[:, None], columns[None, :]


Values = Callable[[Series], Array]


def inverse(series: Series) -> Array:
    """Turn the cloud probability round."""
    return -series("cloud").astype("int16")


def smoothed(series: Series) -> Array:
    """Give the mean of those pixels around that lie on the map."""
    total, number = _around(series)
    return -(total.astype("float32") / number.astype("float32"))


def rolled(series: Series) -> Array:
    """Give the mean of the pixels around; none where the window reaches over the map's edge."""
    total, number = _around(series)
    mean = -(total.astype("float32") / np.float32(WINDOW**2))
    return np.where(number == WINDOW**2, mean, np.float32(np.nan))


def _around(series: Series) -> tuple[Array, Array]:
    """Give the sum of the cloud probabilities around each pixel, and their number."""
    wide = series("cloud", WINDOW // 2)
    height, width = (s.stop - s.start for s in series.block)
    total = np.zeros((len(wide), height, width), "int32")
    number = np.zeros(total.shape, "int32")
    for y in range(WINDOW):
        for x in range(WINDOW):
            part = wide[:, y : y + height, x : x + width]
            total += np.maximum(part, 0)
            number += part >= 0
    return total, number


def against_its_mean(series: Series) -> Array:
    """Add the cloud probability of the whole image to that of the pixel."""
    return -(series("cloud") + series.means[:, None, None])


def against_mean_of_times(series: Series) -> Array:
    """Take the cloud probability from its mean over time."""
    cloud = series("cloud")
    return cloud.sum(0, dtype="float64") / len(cloud) - cloud


def with_image_before(series: Series) -> Array:
    """Add the cloud probability of the image before; 100 for the first one."""
    cloud = series("cloud").astype("int16")
    before = np.concatenate([np.full_like(cloud[:1], 100), cloud[:-1]])
    return -(cloud + before)


def filled(series: Series) -> Array:
    """Take 100 for what is nearly all cloud."""
    cloud = series("cloud").astype("float32")
    return -np.where(cloud < FULL, cloud, np.float32(FILLED_WITH))


def against_its_month(series: Series) -> Array:
    """Take the cloud probability from its mean in that month."""
    days = np.datetime64("2020-01-01") + 5 * np.asarray(series.order)
    months = days.astype("datetime64[M]")
    cloud = series("cloud")
    quality = np.empty(cloud.shape, "float64")
    for month in np.unique(months):
        here = months == month
        quality[here] = cloud[here].sum(0, dtype="float64") / here.sum() - cloud[here]
    return quality


def land(rows: Array, columns: Array) -> Array:
    """Tell which pixels are land, by the numbers of their rows and columns."""
    return np.asarray((rows // 37 + columns // 53) % 4 != 0)


def on_land(series: Series) -> Array:
    """Have no candidate at sea."""
    cloud = series("cloud").astype("float32")
    return np.where(land(*series.places), -cloud, np.float32(np.nan))


def half_as_fine(band: str) -> Values:
    """Repeat each second pixel of each second row."""

    def values(series: Series) -> Array:
        rows, columns = series.places
        fine = series(band)
        at = (rows // 2 * 2 - rows[0], columns // 2 * 2 - columns[0, 0])
        return np.asarray(fine[:, at[0], at[1]])

    return values


def coarse_inverse(series: Series) -> Array:
    """Turn the cloud probability of half the resolution round."""
    return -half_as_fine("cloud")(series).astype("int16")


def other_where_cloudy(series: Series) -> Array:
    """Take band B03 in place of B04 where there is cloud."""
    return np.where(series("cloud") < CLOUDY, series("B04"), series("B03"))


# --- which images, in which order ---------------------------------------------------------------


def in_order(images: int) -> list[int]:
    """Give the images as they are stored."""
    return list(range(images))


def shuffled(images: int) -> list[int]:
    """Give all images in an order that has nothing to do with time."""
    return [int(t) for t in np.random.default_rng(SEED).permutation(images)]


def selected(images: int) -> list[int]:
    """Leave images out here and there."""
    return [t for t in range(images) if t % 5 not in (1, 2)]


def reindexed(images: int) -> list[int]:
    """Have no image (-1) at each third time."""
    return [-1 if t % 3 == 2 else t for t in range(images)]


def the_first(images: int) -> list[int]:
    """Give a few images that fit into memory."""
    return list(range(min(12, images)))


@dataclass(frozen=True)
class Truth:
    """What is right.

    Attributes
    ----------
    margin : int
        Pixels that are cut off each side, for chunks of 512.
    bands : mapping of str to callable
        The bands that are not as stored.
    """

    quality: Values = inverse
    images: Callable[[int], list[int]] = in_order
    margin: int = 0
    bands: Mapping[str, Values] = field(default_factory=dict)


TRUTHS = {
    "stored": Truth(),
    "cut": Truth(margin=100),
    "rolling": Truth(rolled),
    "smooth": Truth(smoothed),
    "map-mean": Truth(against_its_mean),
    "time-mean": Truth(against_mean_of_times),
    "first": Truth(images=the_first),
    "shuffled": Truth(images=shuffled),
    "selected": Truth(images=selected),
    "reindexed": Truth(images=reindexed),
    "shifted": Truth(with_image_before),
    "where-other": Truth(bands={"B04": other_where_cloudy}),
    "fillna": Truth(filled),
    "month-anomaly": Truth(against_its_month),
    "land": Truth(on_land),
    "half-band": Truth(bands={"B08": half_as_fine("B08")}),
    "half-quality": Truth(coarse_inverse, bands={"cloud": half_as_fine("cloud")}),
}


def pixels(workload: Workload, number: int) -> int:
    """Scale a number of pixels that is meant for chunks of 512 × 512."""
    return number * workload.scene.chunk // 512


def ensure(name: str, workload: Workload, store: Path, data: Path) -> Path:
    """Give the folder with the right mosaic (one .npy a band), solved first where it is missing."""
    folder = data / f"{name}.oracle"
    stamp = folder / "done.json"
    recipe = {"version": VERSION, "seed": SEED, "recipes": RECIPES, "workload": repr(workload)}
    if stamp.is_file() and json.loads(stamp.read_text()) == recipe:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for band, values in _solve(TRUTHS[name], workload, store).items():
        np.save(folder / f"{band}.npy", values)
    stamp.write_text(json.dumps(recipe))
    return folder


def _solve(truth: Truth, workload: Workload, store: Path) -> dict[str, Array]:
    import zarr

    group = zarr.open_group(store, mode="r")
    arrays = {band: group[band] for band in workload.bands}
    order = truth.images(workload.scene.images)
    # a whole image at a time: no block knows the mean of its image
    means = np.array([float("nan") if t < 0 else arrays["cloud"][t].mean() for t in order])
    size = workload.scene.size
    mosaic: dict[str, Array] = {}
    for _, block in blocks(size, workload.scene.chunk):
        series = Series(arrays, order, block, means)
        for band, values in _solve_block(truth, series, workload.bands).items():
            if band not in mosaic:
                mosaic[band] = np.zeros((size, size), values.dtype)
            mosaic[band][block] = values
    margin = pixels(workload, truth.margin)
    kept = slice(margin, size - margin)
    return {band: values[kept, kept] for band, values in mosaic.items()}


def _solve_block(truth: Truth, series: Series, bands: tuple[str, ...]) -> dict[str, Array]:
    quality = truth.quality(series)
    index = np.full(quality.shape[1:], -1)
    best = quality[0].copy()
    for t, scores in enumerate(quality):
        wins = ~np.isnan(scores) & ((index < 0) | (scores > best))
        best[wins] = scores[wins]
        index[wins] = t
    found = {"quality": best}
    for band in bands:
        values = truth.bands[band](series) if band in truth.bands else series(band)
        found[band] = np.zeros(index.shape, values.dtype)
        for t, image in enumerate(values):
            found[band][index == t] = image[index == t]
    return found
