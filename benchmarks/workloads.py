"""Synthetic collections on disk: seeded, as compressible as real images, made once and reused.

Several workloads look at the same images, so they share a store: *cloudy*, *greenest* and *random*
differ only in the band that decides. *tall60* is the start of *tall*: the same map with fewer
images, so that the memory of both can be compared.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import zarr

Array = npt.NDArray[Any]

BANDS = ("B02", "B03", "B04", "B08")
BAND_NODATA = 0
CLOUD_NODATA = 255
SEED = 20240
VERSION = 1
"""Raised whenever the generator changes, so that old stores are made anew."""


@dataclass(frozen=True)
class Scene:
    """A store of images: what `Workload`s look at.

    Attributes
    ----------
    images, size, chunk : int
        Number of images, pixels along y and x, pixels along a side of a chunk.
    footprint : bool
        Whether each image covers only a fifth of the map.
    score : bool
        Whether there is a band of independent random scores.
    start_of : str or None
        The longer scene whose first images these are.
    """

    name: str
    images: int
    size: int
    chunk: int
    footprint: bool = False
    score: bool = False
    start_of: str | None = None

    @property
    def nodata(self) -> dict[str, int]:
        """The nodata that each band declares; empty where every pixel is valid."""
        if not self.footprint:
            return {}
        return dict.fromkeys(BANDS, BAND_NODATA) | {"cloud": CLOUD_NODATA}


@dataclass(frozen=True)
class Workload:
    """What is asked of every route.

    Attributes
    ----------
    bands : tuple of str
        The stored bands of the collection; the mosaic has these and ``quality``.
    quality : {"inverse", "ndvi", "score"}
        How the quality is made from the bands, lazily: a cloud probability turned round, NDVI, or
        the stored score as it is.
    """

    name: str
    about: str
    scene: Scene
    bands: tuple[str, ...]
    quality: str

    @property
    def quality_sources(self) -> tuple[str, ...]:
        """The stored bands that have to be read to decide."""
        return {"inverse": ("cloud",), "ndvi": ("B08", "B04"), "score": ("score",)}[self.quality]

    @property
    def upper_bound(self) -> int | None:
        """The quality that nothing can beat, where there is one."""
        return 0 if self.quality == "inverse" else None


def workloads(size: str = "full") -> dict[str, Workload]:
    """Give the workloads by name; ``size="tiny"`` is for tests."""
    full = size == "full"
    images, pixels, chunk = (60, 2048, 512) if full else (8, 64, 32)
    tall_images, tall_pixels = (400, 1024) if full else (24, 64)
    scene = Scene("scene", images, pixels, chunk, score=True)
    swath = Scene("footprints", images, pixels, chunk, footprint=True)
    tall = Scene("tall", tall_images, tall_pixels, chunk)
    short = Scene("tall60", images, tall_pixels, chunk, start_of="tall")
    clouded = (*BANDS, "cloud")
    found = (
        Workload("cloudy", "lowest cloud probability, coherent clouds", scene, clouded, "inverse"),
        Workload("greenest", "highest NDVI of two of the bands", scene, BANDS, "ndvi"),
        Workload(
            "random", "random scores, every image wins somewhere", scene, (*BANDS, "score"), "score"
        ),
        Workload("footprints", "each image covers a fifth of the map", swath, clouded, "inverse"),
        Workload("tall", "as cloudy, many images, a smaller map", tall, clouded, "inverse"),
        Workload("tall60", "the first images of tall, the same map", short, clouded, "inverse"),
    )
    return {workload.name: workload for workload in found}


def ensure(scene: Scene, data: Path) -> Path:
    """Give the store of a scene, making it first where it is missing or stale."""
    store = data / f"{scene.name}.zarr"
    stamp = data / f"{scene.name}.json"
    recipe = {"version": VERSION, "seed": SEED, **vars(scene)}
    if store.is_dir() and stamp.is_file() and json.loads(stamp.read_text()) == recipe:
        return store
    stamp.unlink(missing_ok=True)
    shutil.rmtree(store, ignore_errors=True)
    data.mkdir(parents=True, exist_ok=True)
    if scene.start_of is None:
        _generate(scene, store)
    else:
        _shorten(scene, data / f"{scene.start_of}.zarr", store)
    stamp.write_text(json.dumps(recipe))
    return store


def parent(scene: Scene, size: str) -> Scene | None:
    """Give the scene whose chunks a scene borrows, which has to be made before it."""
    if scene.start_of is None:
        return None
    return next(w.scene for w in workloads(size).values() if w.scene.name == scene.start_of)


def chunk_files(workload: Workload, store: Path) -> list[Path]:
    """Name the file of every chunk of the workload's bands, also of those that are not stored."""
    scene = workload.scene
    grid = range(-(-scene.size // scene.chunk))
    return [
        store / band / "c" / str(t) / str(y) / str(x)
        for band in workload.bands
        for t in range(scene.images)
        for y in grid
        for x in grid
    ]


# --- making a scene ----------------------------------------------------------------------------


def _generate(scene: Scene, store: Path) -> None:
    arrays = create_arrays(scene, store, scene.images)
    make = _ImageMaker(scene)

    def write(t: int) -> None:
        for name, image in make(t).items():
            arrays[name][t] = image

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(scene.images)))


def create_arrays(scene: Scene, store: Path, images: int) -> dict[str, zarr.Array[Any]]:
    """Lay out an empty store that `xarray.open_zarr` reads as a Dataset."""
    import zarr
    from zarr.codecs import BloscCodec

    group = zarr.open_group(store, mode="w", zarr_format=3)
    shape = (images, scene.size, scene.size)
    dtypes = dict.fromkeys(BANDS, "uint16") | {"cloud": "uint8"}
    if scene.score:
        dtypes["score"] = "uint16"
    arrays = {}
    for name, dtype in dtypes.items():
        nodata = scene.nodata.get(name)
        arrays[name] = group.create_array(
            name,
            shape=shape,
            chunks=(1, scene.chunk, scene.chunk),
            dtype=dtype,
            compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            fill_value=0 if nodata is None else nodata,
            dimension_names=("time", "y", "x"),
            attributes={} if nodata is None else {"_FillValue": nodata},
        )
    days = {"units": "days since 2020-01-01", "calendar": "proleptic_gregorian"}
    _coordinate(group, "time", np.arange(images, dtype="int64") * 5, days)
    _coordinate(group, "y", 5e6 - 10.0 * np.arange(scene.size), {})
    _coordinate(group, "x", 4e5 + 10.0 * np.arange(scene.size), {})
    return arrays


def _coordinate(group: Any, name: str, values: Array, attributes: dict[str, str]) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=values.shape,
        dimension_names=(name,),
        attributes=attributes,
    )
    array[:] = values


def _shorten(scene: Scene, longer: Path, store: Path) -> None:
    """Make the first images of a longer store a store of their own, without copying a chunk."""
    arrays = create_arrays(scene, store, scene.images)
    for name in arrays:
        (store / name / "c").symlink_to((longer / name / "c").resolve(), target_is_directory=True)


class _ImageMaker:
    """Makes the images of a scene; image t depends on the seed and t alone."""

    def __init__(self, scene: Scene) -> None:
        rng = np.random.default_rng([SEED, scene.size])
        size = scene.size
        self.scene = scene
        self.field = _field_maker(size)
        soil, green = self.field(rng, 6), self.field(rng, 6)
        grain = rng.normal(0, 40, (len(BANDS), size, size)).astype("f4")
        mean = np.array([600, 800, 900, 2400], "f4")[:, None, None]
        tilt = np.array([60, 80, 150, 0], "f4")[:, None, None]
        lush = np.array([0, 20, -100, 450], "f4")[:, None, None]
        self.base = mean + tilt * soil + lush * green + grain
        self.phase = (0.7 * self.field(rng, 5)).astype("f4")
        # one pool of sensor noise, looked at from a different corner for each image and band
        self.noise = rng.normal(0, 25, (size, size)).astype("f4")

    def __call__(self, t: int) -> dict[str, Array]:
        rng = np.random.default_rng([SEED, self.scene.size, t])
        cloud = self._cloud(rng)
        season = np.cos(np.float32(2 * np.pi * t / 60) - self.phase)
        images: dict[str, Array] = {}
        for b, name in enumerate(BANDS):
            swing = np.float32((-60, -40, -150, 700)[b])
            values = self.base[b] + swing * season
            values += np.float32(45) * cloud
            values += np.roll(self.noise, tuple(rng.integers(0, self.scene.size, 2)), (0, 1))
            images[name] = np.clip(values, 1, 65535).astype("uint16")
        images["cloud"] = cloud
        if self.scene.score:
            images["score"] = rng.integers(1, 65536, cloud.shape, dtype="uint16")
        if self.scene.footprint:
            self._cut(images, rng)
        return images

    def _cloud(self, rng: np.random.Generator) -> Array:
        """Give a cloud probability: coherent clouds, exact zeros between them."""
        field = self.field(rng, 7)
        cover = rng.beta(2.2, 1.2)
        threshold = np.quantile(field[::8, ::8], 1 - cover)
        return np.clip(np.rint((field - threshold) * 60), 0, 100).astype("uint8")

    def _cut(self, images: dict[str, Array], rng: np.random.Generator) -> None:
        """Keep a rectangle of a fifth of the map; the rest is nodata, corners perhaps for good."""
        side = round(self.scene.size / np.sqrt(5))
        room = self.scene.size - side
        top, left = np.clip(rng.uniform(-0.05, 1.05, 2) * room, 0, room).astype(int)
        outside = np.ones((self.scene.size, self.scene.size), bool)
        outside[top : top + side, left : left + side] = False
        for name, nodata in self.scene.nodata.items():
            images[name][outside] = nodata


def _field_maker(size: int) -> Callable[[np.random.Generator, int], Array]:
    """Give a maker of smooth random fields (mean 0, deviation 1) by sums of octaves."""
    weights = []
    for octave in range(2, 10):
        cells = min(2**octave, size)
        at = np.linspace(0, cells, size, dtype="f4")[:, None]
        weights.append(np.clip(1 - np.abs(at - np.arange(cells + 1, dtype="f4")), 0, None))

    def field(rng: np.random.Generator, octaves: int) -> Array:
        total = np.zeros((size, size), "f4")
        for k, weight in enumerate(weights[:octaves]):
            coarse = rng.normal(0, 0.55**k, (weight.shape[1],) * 2).astype("f4")
            total += weight @ coarse @ weight.T
        return (total - total.mean()) / total.std()

    return field
