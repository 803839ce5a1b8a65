"""The images of a scene in stores of another layout, made once beside the scene."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import SEED, VERSION, Scene, create_arrays

COARSE = ("B08", "cloud")
"""The bands that are there at half the resolution too."""


def single_images(scene: Scene, store: Path, folder: Path) -> Path:
    """Give a folder of stores of one image each; their chunks are the scene's own files."""

    def make(target: Path) -> None:
        for t in range(scene.images):
            image = target / f"{t:03d}.zarr"
            arrays = create_arrays(scene, image, 1)
            for band in arrays:
                chunks = store / band / "c" / str(t)
                if chunks.is_dir():
                    shutil.copytree(chunks, image / band / "c" / "0", copy_function=os.link)
            _set_time(image, t)

    return _made_once(scene, folder / "images", make)


def _set_time(image: Path, t: int) -> None:
    import zarr

    time: Any = zarr.open_group(image, mode="a")["time"]
    time[:] = np.array([5 * t])


def coarse(scene: Scene, store: Path, folder: Path) -> Path:
    """Give a store of bands at half the resolution, in chunks of as many pixels as the scene's."""

    def make(target: Path) -> None:
        import zarr

        source = zarr.open_group(store, mode="r")
        group = zarr.open_group(target, mode="w", zarr_format=3)
        for band in COARSE:
            fine: Any = source[band]
            half: Any = group.create_array(
                band,
                shape=(scene.images, scene.size // 2, scene.size // 2),
                chunks=(1, scene.chunk, scene.chunk),
                dtype=fine.dtype,
                dimension_names=("time", "y", "x"),
            )
            for t in range(scene.images):
                half[t] = fine[t][::2, ::2]

    return _made_once(scene, folder / "coarse.zarr", make)


def _made_once(scene: Scene, target: Path, make: Callable[[Path], None]) -> Path:
    stamp = target.with_suffix(".json")
    recipe = {"version": VERSION, "seed": SEED, **vars(scene)}
    if target.is_dir() and stamp.is_file() and json.loads(stamp.read_text()) == recipe:
        return target
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    make(target)
    stamp.write_text(json.dumps(recipe))
    return target
