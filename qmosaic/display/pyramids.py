"""An image in tiles that a page holds: pictures that show more as one zooms in, and values.

The image is read once, block by block, at the finest zoom level that the page has room for; the
tiles of coarser zoom levels are made from those of finer ones.
"""

from __future__ import annotations

import base64
import functools
import io
import itertools
import math
import zlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import (
    SOURCE_INDEX,
    SOURCE_TIME,
    VALID_COUNT,
    declared_nodata,
    declared_packing,
)
from qmosaic.collection.location import map_dims
from qmosaic.collection.masks import Array
from qmosaic.display.colours import Paint
from qmosaic.display.mercator import Bounds
from qmosaic.display.placing import OUTSIDE, Grid, tile_places
from qmosaic.display.thinning import thin
from qmosaic.engine.scheduling import compute
from qmosaic.optional import needed

TILE = 256
"""Pixels along the side of a tile."""

BLOCK = 3
"""How many zoom levels a block spans: it is as large as 8 × 8 of the finest tiles, and all that is
held at a time."""

FINEST = 24
"""The last zoom level that a map has."""

ROUNDED = 1e-3
"""By what part of a zoom level pixels may be smaller than those of tiles without being lost."""

SAMPLES = 33
"""Along each side of an image, where the size of its pixels on the map is looked at."""

VALUES = 0.35
"""The part of the bytes that is kept for values, where there are any."""

FINER = 4.5
"""How many times as many bytes the next zoom level takes, with all before it, at most."""

TEXT = 4 / 3
"""Bytes of a byte in base64."""

CELLS = 8
"""Into how many parts each side of a tile of values is cut, to say where pixels lie."""

SURE = 0.05
"""By what part of a pixel of the image the place of one may be wrong."""

TELLING = (SOURCE_INDEX, SOURCE_TIME, VALID_COUNT)
"""How variables end that tell of the images of a pixel."""


@dataclass(frozen=True)
class Plane:
    """What the page knows of each pixel: the value of a band, or from which image it is.

    Attributes
    ----------
    name : hashable
        The variable.
    dtype : numpy.dtype
        In which the page holds it.
    time : bool
        Whether it is a time: milliseconds since 1970.
    """

    name: Hashable
    dtype: np.dtype[Any]
    time: bool

    @property
    def packed(self) -> float:
        """About how many bytes a value takes: measurements differ from pixel to pixel, what tells
        of images is the same over large parts."""
        return (0.1 if str(self.name).endswith(TELLING) else 0.8) * self.dtype.itemsize

    @staticmethod
    def of(name: Hashable, variable: xr.DataArray) -> Plane | None:
        """Choose what JavaScript can hold; None where it holds nothing of the kind."""
        kind, size = variable.dtype.kind, variable.dtype.itemsize
        if kind == "M":
            return Plane(name, np.dtype("<f8"), True)
        if kind == "b":
            return Plane(name, np.dtype("u1"), False)
        if kind in "iu":
            return Plane(name, np.dtype("<f8" if size == 8 else f"<{kind}{size}"), False)
        return Plane(name, np.dtype("<f4"), False) if kind == "f" else None

    def held(self, values: Array) -> Array:
        """Bring values to the dtype of the page."""
        if not self.time:
            return values.astype(self.dtype)
        milliseconds = values.astype("datetime64[ms]")
        return np.where(np.isnat(milliseconds), np.nan, milliseconds.astype("int64")).astype("<f8")

    def said(self, variable: xr.DataArray) -> dict[str, Any]:
        """Describe it to the page's script."""
        nodata = None if self.time else declared_nodata(variable)
        scale, offset = (1.0, 0.0) if self.time else declared_packing(variable)
        return {
            "name": str(self.name),
            "type": f"{self.dtype.kind}{self.dtype.itemsize}",
            "nodata": None if nodata is None or nodata != nodata else float(nodata),
            "scale": scale,
            "offset": offset,
            "time": self.time,
        }


@dataclass(frozen=True)
class Pyramid:
    """Tiles, as the page's script takes them.

    Attributes
    ----------
    pictures : dict
        PNG in base64 by "zoom/column/row"; tiles of nothing are left out.
    values : dict
        Whether a pixel is in the image, the planes, and where in the image corners of parts of the
        tile lie (see `_corners`), one after the other, compressed by zlib, in base64; of one zoom
        level.
    planes : list of dict
        What the values are.
    zoom, values_zoom : int
        The finest zoom level of pictures, and that of values.
    step : int
        The values are those of every so many pixels of the image, along each side; about.
    middle : float
        Where in a pixel of a tile the image is looked at for its value.
    shape : (int, int)
        How many rows and columns the image has that values are from.
    """

    pictures: dict[str, str]
    values: dict[str, str]
    planes: list[dict[str, Any]]
    zoom: int
    values_zoom: int
    step: int
    middle: float
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """How much of the page it takes, nearly."""
        return sum(map(len, (*self.pictures.values(), *self.values.values())))


class _TooMany(Exception):
    """There is no room for tiles of so fine a zoom level."""

    def __init__(self, values: bool) -> None:
        super().__init__(values)
        self.values = values


@dataclass
class _Room:
    """Tiles so far, and how much more fits the page: values may take what pictures leave."""

    left: float
    left_for_pictures: float
    pictures: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def picture(self, key: str, rgba: Array) -> None:
        """Keep a tile, unless it is transparent."""
        alpha = rgba[..., 3]
        if not alpha.any():
            return
        image = needed("PIL.Image", "map", "maps").fromarray(
            np.ascontiguousarray(rgba if (alpha < 255).any() else rgba[..., :3])
        )
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        text = self.pictures[key] = base64.b64encode(buffer.getvalue()).decode()
        self.left_for_pictures -= len(text)
        if self.left_for_pictures < 0:
            raise _TooMany(values=False)
        self.left -= len(text)
        self._check()

    def planes(self, key: str, raw: bytes) -> None:
        """Keep the values of a tile."""
        text = self.values[key] = base64.b64encode(zlib.compress(raw)).decode()
        self.left -= len(text)
        self._check()

    def _check(self) -> None:
        if self.left < 0 and self.values:  # pictures have not had more than their part
            raise _TooMany(values=True)


def pyramid_of(
    image: xr.Dataset,
    bounds: Bounds,
    paint: Paint,
    *,
    max_bytes: int,
    least: float,
    density: float,
    smooth: bool,
    ready: Callable[[xr.Dataset], xr.Dataset] = lambda image: image,
) -> Pyramid:
    """Make the tiles of an image.

    Parameters
    ----------
    image : xarray.Dataset
        The bands that are shown, and coordinates that tell from which image a pixel is; lazy or
        not, with a CRS.
    bounds : Bounds
        Where it lies.
    paint : callable
        See `Paint`.
    max_bytes : int
        How long all tiles may be, as text.
    least : float
        The zoom level of its picture for a screen, a whole number or between two: tiles show as
        much as that, whatever they take.
    density : float
        About how many bytes a pixel of its pictures takes.
    smooth : bool
        Whether a pixel of a coarser zoom level is the mean of those of the finer one, or one of
        them: colours of classes have no mean.
    ready : callable
        Makes one image of what was thinned.

    Returns
    -------
    Pyramid
        Without values where there is no room for them.
    """
    native = _native_zoom(Grid(image), bounds)
    floor = min(native, math.ceil(max(least, 0) - 0.5))
    planes = _planes(image)
    for_pictures = (1 - VALUES) * max_bytes if planes else max_bytes
    zoom = native
    estimate = _estimates(image, bounds, density)
    while zoom > floor and estimate(zoom) > for_pictures:
        zoom -= 1
    packed = _estimates(image, bounds, sum(plane.packed for plane in planes))
    coarser = _coarser(lambda n: estimate(zoom) + packed(zoom - n) <= max_bytes)
    best: Pyramid | None = None
    while True:
        room = _Room(max_bytes, for_pictures if zoom > floor else math.inf)
        source = ready(thin(image, _wanted_size(image, native - zoom)))
        planes = [plane for plane in planes if plane.name in source.variables]
        at = max(zoom - coarser, 0) if planes else zoom
        making = _Making(source, bounds, paint, smooth, planes, zoom, at, room)
        try:
            making.all()
        except _TooMany as many:
            if best is not None and (not many.values or coarser == BLOCK):
                return best
            if not many.values:
                zoom, coarser = zoom - 1, max(coarser - 1, 0)
            elif coarser < BLOCK:
                coarser += 1
            else:
                planes = []
            continue
        said = [plane.said(source[plane.name]) for plane in planes]
        step = 2 ** max(0, native - at)
        middle = _middle(2 ** (zoom - at))
        rows, columns = (source.sizes[dim] for dim in map_dims(source))
        best = Pyramid(room.pictures, room.values, said, zoom, at, step, middle, (rows, columns))
        pictures = FINER * sum(map(len, room.pictures.values()))
        if zoom == native or pictures > for_pictures:
            return best
        zoom += 1  # they take less than was estimated
        coarser = _coarser(functools.partial(_fits, room, pictures, zoom - at, max_bytes))


def _estimates(image: xr.Dataset, bounds: Bounds, density: float) -> Callable[[int], float]:
    """Estimate the bytes of a zoom level, and of all before it, as text: of so many a pixel."""
    count = math.prod(image.sizes[d] for d in map_dims(image))
    area = _area(bounds)
    return lambda zoom: density * TEXT * TEXT * _pixels(area, zoom, count)


def _coarser(fits: Callable[[int], bool]) -> int:
    """Say by how many zoom levels values have to be coarser than pictures to fit."""
    return next((n for n in range(BLOCK) if fits(n)), BLOCK)


def _fits(room: _Room, pictures: float, finer: int, max_bytes: int, coarser: int) -> bool:
    """Whether there is room for values that are finer than those which there are."""
    values = float(sum(map(len, room.values.values())))
    return pictures + values * 4.0 ** (finer - coarser) <= max_bytes


def _planes(image: xr.Dataset) -> list[Plane]:
    """Choose what the page is to know: the bands that are shown, and where pixels come from."""
    axes = set(map_dims(image))
    names = [*image.data_vars, *(n for n in image.coords if str(n).endswith(TELLING))]
    made = (Plane.of(n, image[n]) for n in names if axes <= set(image[n].dims) <= axes | {"time"})
    return [plane for plane in made if plane is not None]


def _native_zoom(grid: Grid, bounds: Bounds) -> int:
    """Find the first zoom level whose pixels are nowhere larger than those of an image."""
    (south, west), (north, east) = bounds
    lons = np.linspace(west, east, SAMPLES)[None, :]
    heights = np.linspace(_height(north), _height(south), SAMPLES)[:, None]
    small = 2 * np.pi / (TILE * 2.0**FINEST)  # a pixel of the finest level, in radians
    here, beside, below = (
        np.broadcast_arrays(*grid.places(lons + np.degrees(x), _latitude(heights - y)))
        for x, y in ((0, 0), (small, 0), (0, small))
    )
    rows, columns = grid.pixels(*here)
    inside = (rows >= 0) & (columns >= 0)
    most = 0.0
    for axis, edges in enumerate((grid.down, grid.across)):
        with np.errstate(invalid="ignore"):
            steps = np.hypot(beside[axis] - here[axis], below[axis] - here[axis])
        steps = steps[inside & np.isfinite(steps)]
        most = max(most, float(steps.max(initial=0)) / edges.step)
    if most == 0:
        return 0
    return int(np.clip(math.ceil(FINEST + math.log2(most) - ROUNDED), 0, FINEST))


def _latitude(height: Any) -> Any:
    return np.degrees(np.arctan(np.sinh(height)))


def _height(latitude: float) -> float:
    return float(np.arcsinh(np.tan(np.radians(latitude))))


def _area(bounds: Bounds) -> float:
    """Give the part of the square of the world that an image lies in."""
    (south, west), (north, east) = bounds
    return (east - west) / 360 * (_height(north) - _height(south)) / (2 * np.pi)


def _pixels(area: float, zoom: int, count: int) -> float:
    """Estimate how many pixels of a zoom level are not the same as their neighbours."""
    return min(area * (TILE * 2.0**zoom) ** 2, 1.5 * count)


def _wanted_size(image: xr.Dataset, coarser: int) -> int:
    """Say how many pixels along its longer side an image needs, so many zoom levels before that of
    its own pixels: rather more than fewer."""
    longest = max(image.sizes[d] for d in map_dims(image))
    return longest if coarser <= 0 else -(-3 * longest // 2 ** (coarser + 1))


@dataclass
class _Making:
    """The making of all tiles from one level of an image."""

    source: xr.Dataset
    bounds: Bounds
    paint: Paint
    smooth: bool
    planes: list[Plane]
    zoom: int
    values_zoom: int
    room: _Room

    @functools.cached_property
    def _grid(self) -> Grid:
        return Grid(self.source)

    @functools.cached_property
    def _block_zoom(self) -> int:
        """The zoom level of a tile as large as a block: smaller ones for a small image."""
        (south, west), (north, east) = self.bounds
        part = max((east - west) / 360, (_height(north) - _height(south)) / (2 * np.pi))
        enough = math.ceil(self.zoom + math.log2(part)) if part > 0 else 0
        span = max(min(enough, BLOCK), self.zoom - self.values_zoom)
        return max(0, self.zoom - span)

    def all(self) -> None:
        """Make the tiles."""
        self._tile(0, 0, 0)

    def _tile(self, zoom: int, x: int, y: int) -> Array | None:
        """Make a tile and all that lie in it; give its picture, None where there is nothing."""
        if not self._meets(zoom, x, y):
            return None
        if zoom == self._block_zoom:
            return self._block(x, y)
        parts = [[self._tile(zoom + 1, 2 * x + i, 2 * y + j) for i in (0, 1)] for j in (0, 1)]
        if all(part is None for row in parts for part in row):
            return None
        nothing = np.zeros((TILE, TILE, 4), np.uint8)
        whole = np.block([[[nothing if p is None else p] for p in row] for row in parts])
        small = halved(whole, self.smooth)
        self.room.picture(f"{zoom}/{x}/{y}", small)
        return small

    def _meets(self, zoom: int, x: int, y: int) -> bool:
        """Whether a tile meets the image, which may lie across the antimeridian."""
        (south, west), (north, east) = self.bounds
        wide = 360 / 2**zoom
        left = x * wide - 180
        top = np.pi * (1 - 2 * y / 2**zoom)
        below = top - 2 * np.pi / 2**zoom
        if not (_height(south) < top and _height(north) > below):
            return False
        return any(left + turn < east and left + turn + wide > west for turn in (-360, 0, 360))

    def _block(self, x: int, y: int) -> Array | None:
        """Make the tiles of a block, from the finest to the one that is as large as the block."""
        rows, columns = self._numbers(x, y)
        inside = (rows >= 0) & (columns >= 0)
        if not inside.any():
            return None
        top, left = int(rows[inside].min()), int(columns[inside].min())
        bottom, right = int(rows[inside].max()) + 1, int(columns[inside].max()) + 1
        dims = map_dims(self.source)
        window = {dims[0]: slice(top, bottom), dims[1]: slice(left, right)}
        (held,) = compute(self.source.isel(window))
        place = np.where(inside, rows - top, 0), np.where(inside, columns - left, 0)
        colours = self._colours(held, dims)[place]
        colours[~inside] = 0
        for zoom in range(self.zoom, self._block_zoom - 1, -1):
            if zoom < self.zoom:
                colours = halved(colours, self.smooth)
            for key, part in _cut(colours, zoom, self._block_zoom, x, y):
                self.room.picture(key, part)
        if self.planes:
            self._values(held, place, inside, x, y)
        return colours

    def _numbers(self, x: int, y: int) -> tuple[Array, Array]:
        """Say which pixel of the image lies at each pixel of a block; negative for none."""
        along = 2 ** (self.zoom - self._block_zoom)
        rows = np.full((along * TILE, along * TILE), OUTSIDE, np.int32)
        columns = rows.copy()
        for j, i in itertools.product(range(along), repeat=2):
            if not self._meets(self.zoom, x * along + i, y * along + j):
                continue
            places = tile_places(x * along + i, y * along + j, self.zoom, TILE)
            assert places is not None
            here = np.s_[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE]
            rows[here], columns[here] = self._grid.pixels(*self._grid.places(*places))
        return rows, columns

    def _colours(self, held: xr.Dataset, dims: tuple[Hashable, Hashable]) -> Array:
        """Colour a window of the image, some rows at a time."""
        parts = [
            self.paint(held.isel({dims[0]: slice(row, row + TILE)})).transpose(*dims, "band").values
            for row in range(0, held.sizes[dims[0]], TILE)
        ]
        return np.concatenate(parts)

    def _values(
        self, held: xr.Dataset, place: tuple[Array, Array], inside: Array, x: int, y: int
    ) -> None:
        dims = map_dims(self.source)
        step = 2 ** (self.zoom - self.values_zoom)
        chosen = (slice(step // 2, None, step),) * 2
        rows, columns, known = place[0][chosen], place[1][chosen], inside[chosen]
        planes = [
            plane.held(held[plane.name].transpose(*dims).values[rows, columns])
            for plane in self.planes
        ]
        cuts = [_cut(plane, self.values_zoom, self._block_zoom, x, y) for plane in (known, *planes)]
        for (key, there), *parts in zip(*cuts, strict=True):
            if there.any():
                corners = self._corners(*map(int, key.split("/")))
                raw = [there.astype("u1"), *(part for _, part in parts), corners]
                self.room.planes(key, b"".join(part.tobytes() for part in raw))

    def _corners(self, zoom: int, x: int, y: int) -> Array:
        """Say where in the image the corners of the parts of a tile lie, (2, y, x): rows and
        columns with fractions. Between them the page may interpolate; where that is not good
        enough, or there is no such place, they are NaN."""
        steps = np.linspace(0, 1, 2 * CELLS + 1)  # and between corners, to see how good it is
        lons = (x + steps) / 2**zoom * 360 - 180
        lats = _latitude(np.pi * (1 - 2 * (y + steps) / 2**zoom))
        places = np.broadcast_arrays(*self._grid.places(lons[None, :], lats[:, None]))
        axes = (self._grid.down, self._grid.across)
        with np.errstate(invalid="ignore"):
            fine = np.array([a.positions(p) for a, p in zip(axes, places, strict=True)], "<f8")
            fine[~np.isfinite(fine)] = np.nan
            corners = fine[:, ::2, ::2]
            between = sum(corners[:, j : j + CELLS, i : i + CELLS] for j in (0, 1) for i in (0, 1))
            wrong = np.abs(between / 4 - fine[:, 1::2, 1::2]) > SURE
        return np.full_like(corners, np.nan) if wrong.any() else np.ascontiguousarray(corners)


def _middle(step: int) -> float:
    """Say where in a pixel of a tile of values the pixel of the pictures lies that has them."""
    return (step // 2 + 0.5) / step


def _cut(whole: Array, zoom: int, above: int, x: int, y: int) -> list[tuple[str, Array]]:
    """Cut what covers tile x, y of zoom level `above` into tiles of a finer one."""
    along = 2 ** (zoom - above)
    return [
        (
            f"{zoom}/{x * along + i}/{y * along + j}",
            whole[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE],
        )
        for j in range(along)
        for i in range(along)
    ]


def halved(rgba: Array, smooth: bool) -> Array:
    """Give a picture with half as many pixels along each side."""
    if not smooth:
        return rgba[1::2, 1::2]
    if rgba[..., 3].min() == 255:  # the usual case, at a third of the cost
        four = [rgba[j::2, i::2].astype(np.uint16) for j in (0, 1) for i in (0, 1)]
        return ((four[0] + four[1] + four[2] + four[3] + 2) // 4).astype(np.uint8)
    parts = [rgba[j::2, i::2].astype(np.uint32) for j in (0, 1) for i in (0, 1)]
    opacity = np.sum([part[..., 3:] for part in parts], axis=0)
    colours = np.sum([part[..., :3] * part[..., 3:] for part in parts], axis=0)
    result = np.zeros((*opacity.shape[:2], 4), np.uint8)
    result[..., :3] = (colours + opacity // 2) // np.maximum(opacity, 1)
    result[..., 3:] = (opacity + 2) // 4
    return result
