"""The pixels that are right, by plain loops over images, and what is wrong in a route's output.

Nothing here comes from `qmosaic`, xarray or dask: were it so, a mistake could agree with itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.workloads import CLOUD_NODATA, SEED, VERSION, Workload

Array = npt.NDArray[Any]
Block = tuple[slice, slice]

QUALITY_NODATA = -CLOUD_NODATA
"""What the negated cloud probability has where there is no image: below every score."""

MASKED = {"inverse": QUALITY_NODATA, "ndvi": np.nan, "score": 0}
"""What each quality has where there is no candidate."""


def ensure(workload: Workload, store: Path, data: Path) -> Path:
    """Give the folder with the right mosaic (one .npy a band) and the plan of chunks to read."""
    folder = data / f"{workload.name}.oracle"
    stamp = folder / "done.json"
    recipe = {"version": VERSION, "seed": SEED, "workload": repr(workload)}
    if stamp.is_file() and json.loads(stamp.read_text()) == recipe:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _solve(workload, store, folder)
    stamp.write_text(json.dumps(recipe))
    return folder


def blocks(size: int, chunk: int) -> Iterator[tuple[tuple[int, int], Block]]:
    """Walk the blocks of the map: their position in the grid and their slices."""
    for row in range(-(-size // chunk)):
        for column in range(-(-size // chunk)):
            y, x = row * chunk, column * chunk
            yield (row, column), (slice(y, y + chunk), slice(x, x + chunk))


def score(workload: Workload, read: dict[str, Array]) -> Array:
    """Give the quality of one image from its stored bands."""
    if workload.quality == "inverse":
        return -read["cloud"].astype("int16")
    if workload.quality == "ndvi":
        nir, red = read["B08"].astype("float32"), read["B04"].astype("float32")
        with np.errstate(invalid="ignore"):  # 0 / 0 is no candidate
            return (nir - red) / (nir + red)
    return read["score"]


def _solve(workload: Workload, store: Path, folder: Path) -> None:
    import zarr

    group = zarr.open_group(store, mode="r")
    size = workload.scene.size
    mosaic: dict[str, Array] = {
        band: np.zeros((size, size), group[band].dtype) for band in workload.bands
    }
    mosaic["quality"] = np.zeros((size, size), quality_dtype(workload))
    plan: list[str] = []
    for (row, column), block in blocks(size, workload.scene.chunk):
        index = _solve_block(workload, group, block, mosaic)
        winners = [int(t) for t in np.unique(index) if t >= 0]
        for band in workload.bands:
            needed = range(workload.scene.images) if band in workload.quality_sources else winners
            paths = [f"{band}/c/{t}/{row}/{column}" for t in needed]
            plan += [path for path in paths if (store / path).is_file()]
    for band, values in mosaic.items():
        np.save(folder / f"{band}.npy", values)
    (folder / "plan.json").write_text(json.dumps(plan))


def quality_dtype(workload: Workload) -> str:
    """Give the dtype of the quality."""
    return {"inverse": "int16", "ndvi": "float32", "score": "uint16"}[workload.quality]


def _solve_block(workload: Workload, group: Any, block: Block, mosaic: dict[str, Array]) -> Array:
    """Fill one block of the mosaic; gives the winner of each pixel, -1 where there is none."""
    best = mosaic["quality"][block]
    index = np.full(best.shape, -1)
    for t in range(workload.scene.images):
        read = {name: group[name][(t, *block)] for name in workload.quality_sources}
        quality = score(workload, read)
        candidate = ~np.isnan(quality) if quality.dtype.kind == "f" else np.ones(best.shape, bool)
        if workload.scene.footprint:
            candidate &= read["cloud"] != CLOUD_NODATA
        wins = candidate & ((index < 0) | (quality > best))
        best[wins] = quality[wins]
        index[wins] = t
    _fill_block(workload, group, block, mosaic, index)
    return index


def _fill_block(
    workload: Workload, group: Any, block: Block, mosaic: dict[str, Array], index: Array
) -> None:
    mosaic["quality"][block][index < 0] = MASKED[workload.quality]
    for band in workload.bands:
        mosaic[band][block][index < 0] = workload.scene.nodata.get(band, 0)
        for t in np.unique(index[index >= 0]):
            here = index == t
            mosaic[band][block][here] = group[band][(int(t), *block)][here]


def check(workload: Workload, folder: Path, output: Path) -> dict[str, Any]:
    """Compare a written mosaic with the right one.

    Whatever else lies in `folder` is compared too.

    Returns
    -------
    dict
        ``wrong_pixels``: pixels in which any band differs; ``wrong_by_band``; ``missing``: bands
        that were not written; ``dtypes``: bands whose dtype is not the one that came in.
    """
    import zarr

    group = zarr.open_group(output, mode="r")
    wrong = np.zeros(np.load(folder / "quality.npy").shape, bool)
    report: dict[str, Any] = {"wrong_by_band": {}, "missing": [], "dtypes": {}}
    further = {path.stem for path in folder.glob("*.npy")} - {*workload.bands, "quality"}
    for band in (*workload.bands, "quality", *sorted(further)):
        right = np.load(folder / f"{band}.npy")
        if band not in group:
            report["missing"].append(band)
            continue
        got = np.squeeze(_values(group[band]))
        differs = _differs(got, right)
        wrong |= differs
        if differs.any():
            report["wrong_by_band"][band] = int(differs.sum())
        if got.dtype != right.dtype:
            report["dtypes"][band] = str(got.dtype)
    report["wrong_pixels"] = int(wrong.sum())
    return report


UNITS = {"days": "D", "hours": "h", "minutes": "m", "seconds": "s", "milliseconds": "ms"}
UNITS |= {"microseconds": "us", "nanoseconds": "ns"}


def _values(array: Any) -> Array:
    """Read an array; numbers of a unit since a date are times."""
    values: Array = np.asarray(array[...])
    unit, _, start = str(array.attrs.get("units", "")).partition(" since ")
    if not start:
        return values
    times: Array = np.datetime64(start.strip()[:10], "ns") + values * np.timedelta64(1, UNITS[unit])
    return times


def _differs(got: Array, right: Array) -> Array:
    if got.shape != right.shape:
        return np.ones(right.shape, bool)
    differs: Array = got != right
    if got.dtype.kind == "f" and right.dtype.kind == "f":
        differs &= ~(np.isnan(got) & np.isnan(right))
    return differs
