"""The pixels in a region: what a reducer gives of them, computed when it is needed.

A task looks at one chunk of a band and keeps what matters of its pixels: a count and sums for a
mean, those that are inside and not masked for a median. So a region may be larger than memory, and
no result depends on how a band is chunked, but for the last digits of sums.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.clipping import Mask, pixels_in
from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.geometry import everywhere, near, projected
from qmosaic.collection.location import extent_of, map_axes
from qmosaic.collection.masks import Array
from qmosaic.ee.reducers import (
    AnyOutput,
    Grouped,
    Naming,
    Output,
    Reducer,
    Repeated,
    counting,
    outputs_of,
    with_none,
)
from qmosaic.ee.values import Computed, Dictionary, later
from qmosaic.optional import needed

if TYPE_CHECKING:
    from odc.geo.geom import Geometry

TIME = "time"

TILE = 1024
"""Rows and columns that a task looks at of a band that is the same everywhere."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of an image that lie in a region.

    Attributes
    ----------
    image : xarray.Dataset
        The image, cut to the rows and columns that the region reaches.
    mask : Mask or None
        Which of its pixels lie inside; None: all.
    dims : (str, str)
        The dimensions of the map, down and across.
    """

    image: xr.Dataset
    mask: Mask | None
    dims: tuple[Hashable, Hashable]

    @staticmethod
    def of(image: xr.Dataset, region: Geometry | None, caller: str) -> Pixels | None:
        """Find the pixels whose centre lies in a region; of points and lines, those that they
        touch. None where there is none."""
        on_map = max(image.data_vars.values(), key=lambda band: band.ndim)
        if region is None:
            return Pixels(image, None, map_axes(on_map, caller))
        shapely = needed("shapely", "geo", "regions")
        thin = shapely.get_dimensions(region.geom) < 2
        found = pixels_in(image, region, all_touched=thin)
        if found is None:
            return None
        cut, mask = found
        return Pixels(cut, mask, (mask.down, mask.across))

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        down, across = (self.image.sizes[dim] for dim in self.dims)
        return down, across

    def inside(self, corner: tuple[int, int], shape: tuple[int, int]) -> Array:
        """Tell which pixels of a block lie inside."""
        return np.ones(shape, bool) if self.mask is None else self.mask.inside(*corner, *shape)


def count_of(image: xr.Dataset, region: Geometry | None, caller: str) -> float:
    """Tell about how many pixels a region has: the part of the image that it covers."""
    on_map = max(image.data_vars.values(), key=lambda band: band.ndim)
    down, across = map_axes(on_map, caller)
    count = float(image.sizes[down] * image.sizes[across])
    if region is None:
        return count
    extent = extent_of(image)
    outline = everywhere(projected(near(region, extent), extent.crs)) & extent
    whole = float(extent.geom.area)  # of a single pixel, whose size nothing tells, it is 0
    return float(outline.geom.area) / whole * count if whole else count


def check_count(image: xr.Dataset, region: Geometry | None, most: float, caller: str) -> None:
    """Refuse a region of more pixels than is allowed, before any of them is read.

    Raises
    ------
    ValueError
        It has more.
    """
    count = count_of(image, region, caller)
    if count > most:
        raise ValueError(
            f"{caller}: the region has about {count:.4g} pixels, and maxPixels={most:.4g} allows "
            "fewer. If they are to be read, write maxPixels=1e13, or bestEffort=True, which does "
            "the same here; or give a larger scale."
        )


def reduce_region(
    pixels: Pixels | None,
    bands: Mapping[Hashable, xr.DataArray],
    reducer: Reducer,
    naming: Naming,
    images: int | None,
    caller: str,
) -> Computed:
    """Reduce the pixels of a region, when it is needed.

    Parameters
    ----------
    pixels : Pixels or None
        The pixels; None: there are none.
    bands : mapping of DataArray
        The bands of `pixels`, by their names in Earth Engine.
    reducer : Reducer
        What is computed.
    naming : {"band_output", "band", "output"}
        What results are called, see `outputs_of`.
    images : int or None
        How many images the bands have; None: one, without a dimension for it.
    caller : str
        Who asks, for errors.

    Returns
    -------
    Computed
        A dictionary, or one for each image.
    """
    wanted = outputs_of(reducer, list(bands), naming, caller)
    tables = []
    for inputs, group in itertools.groupby(wanted, key=lambda one: reducer.inputs == 1 and one[2]):
        outputs = list(group)
        read = inputs or tuple(bands)
        chosen = [bands[name] for name in read]
        made = None if pixels is None else _reduced(pixels, chosen, [o for _, o, _ in outputs])
        tables.append(([name for name, _, _ in outputs], [o for _, o, _ in outputs], made))
    names = [names for names, _, _ in tables]
    nothing = [[_of_nothing(o) for o in outputs] for _, outputs, _ in tables]
    made_of = [made for _, _, made in tables]
    give = functools.partial(_dictionaries, names, nothing, images)
    result = later(Dictionary, give, made_of, images=images)
    result.names = sorted(name for name, _, _ in wanted)
    return result


def _dictionaries(
    names: list[list[str]], nothing: list[list[Any]], images: int | None, made: list[Any]
) -> Any:
    """Put the results of all bands together, for each image."""
    found: list[dict[str, Any]] = []
    for image in range(1 if images is None else images):
        # a band that is the same in all images has been reduced once
        pairs = zip(nothing, made, strict=True)
        results = [n if m is None else m[min(image, len(m) - 1)] for n, m in pairs]
        named = zip(names, results, strict=True)
        found.append({k: v for ks, vs in named for k, v in zip(ks, vs, strict=True)})
    return found[0] if images is None else found


def _of_nothing(output: AnyOutput) -> Any:
    """Give the result of no value."""
    inputs = range(max(output.inputs) + 1)
    return output.of_list([np.empty(0)] * len(inputs), [np.empty(0, bool)] * len(inputs))


# -- chunks --------------------------------------------------------------------------------------


def _reduced(
    pixels: Pixels, bands: Sequence[xr.DataArray], outputs: Sequence[AnyOutput]
) -> da.Array:
    """Reduce bands, chunk by chunk: one list of results for each image."""
    arrays = _alike(pixels, bands)
    chunks = arrays[0].chunks
    starts = [(0, *itertools.accumulate(sizes[:-1])) for sizes in chunks[1:]]
    nodata = [declared_nodata(band) for band in bands]
    leaves = [leaf for output in outputs for leaf in _leaves(output)]
    meta = np.empty((0, 0, 0), object)
    kept = da.map_blocks(
        functools.partial(
            _kept, pixels=_without_bands(pixels), leaves=leaves, nodata=nodata, starts=starts
        ),
        *arrays,
        dtype=object,
        chunks=(chunks[0], *((1,) * len(sizes) for sizes in chunks[1:])),
        meta=meta,
    )
    together = kept.rechunk({1: -1, 2: -1})
    return together.map_blocks(
        functools.partial(_results, outputs=list(outputs)),
        dtype=object,
        drop_axis=[1, 2],
        meta=np.empty((0,), object),
    )


def _without_bands(pixels: Pixels) -> Pixels:
    """Leave out what a task does not need: it is sent with each."""
    return Pixels(xr.Dataset(), pixels.mask, pixels.dims)


def _alike(pixels: Pixels, bands: Sequence[xr.DataArray]) -> list[da.Array]:
    """Give bands as arrays over time, down and across, all in the same chunks."""
    whole = [_on_map(pixels, band) for band in bands]
    images = max(band.sizes[TIME] for band in whole)
    if any(band.sizes[TIME] != images for band in whole):
        whole = [xr.DataArray(_repeated(b.data, images), dims=b.dims) for b in whole]
    unified: Any = xr.unify_chunks(*whole)
    return [band.data for band in unified]


def _repeated(data: da.Array, images: int) -> da.Array:
    return data if data.shape[0] == images else da.broadcast_to(data, (images, *data.shape[1:]))


def _on_map(pixels: Pixels, band: xr.DataArray) -> xr.DataArray:
    dims = (TIME, *pixels.dims)
    plain = band.reset_coords(drop=True).drop_vars(list(band.indexes))
    if not isinstance(plain.data, da.Array):
        whole = np.asarray(plain.data)
        plain = plain.copy(data=da.from_array(whole, chunks=whole.shape))
    ordered = plain.expand_dims([dim for dim in dims if dim not in band.dims]).transpose(*dims)
    shape = (ordered.shape[0], *pixels.shape)
    data = ordered.data
    if data.shape != shape:
        data = da.broadcast_to(data, shape, chunks=(data.chunks[0], *_tiles(shape[1:])))
    return xr.DataArray(data, dims=(TIME, "down", "across"))


def _tiles(shape: Sequence[int]) -> list[tuple[int, ...]]:
    return [(*(TILE,) * (size // TILE), *((size % TILE,) if size % TILE else ())) for size in shape]


def _leaves(output: AnyOutput) -> list[Output | Grouped]:
    """Give what has to be kept for an output: one part, or one for each of its reducers."""
    if isinstance(output, Repeated):
        return [leaf for part in output.parts for leaf in _leaves(part)]
    return [output]


def _kept(
    *blocks: Array,
    pixels: Pixels,
    leaves: Sequence[Output | Grouped],
    nodata: Sequence[Any],
    starts: Sequence[Sequence[int]],
    block_id: tuple[int, ...] = (0, 0, 0),
) -> Array:
    """Keep of a chunk what matters for each output, image by image."""
    images, *shape = blocks[0].shape
    row, column = (starts[axis][block_id[axis + 1]] for axis in (0, 1))
    inside = pixels.inside((row, column), (shape[0], shape[1]))
    kept = np.empty((images, 1, 1), object)
    places = _places(inside, row, column) if any(_is_ordered(leaf) for leaf in leaves) else None
    for image in range(images):
        here = [block[image][inside] for block in blocks]
        kept[image, 0, 0] = [_part(leaf, here, nodata, places) for leaf in leaves]
    return kept


def _is_ordered(leaf: Output | Grouped) -> bool:
    return isinstance(leaf, Grouped) or leaf.rule.ordered


def _places(inside: Array, row: int, column: int) -> Array:
    """Number the pixels inside, row by row over the whole map."""
    rows, columns = np.nonzero(inside)
    return (rows + row << 32) + columns + column


def _part(
    leaf: Output | Grouped, values: Sequence[Array], nodata: Sequence[Any], places: Array | None
) -> Any:
    own = [values[number] for number in leaf.inputs]
    missing = [nodata[number] for number in leaf.inputs]
    if isinstance(leaf, Grouped):
        each = [counting([a], [n]) for a, n in zip(own, missing, strict=True)]
        return [*own, *each, places]
    ordered = places if leaf.rule.ordered else None
    if leaf.rule.counts_masked:
        return leaf.rule.part(own, ordered)
    if leaf.rule.optional:
        each = [counting([a], [n]) for a, n in zip(own, missing, strict=True)]
        own, valid = with_none(own, each, leaf.rule.optional)
    else:
        valid = counting(own, missing)
    return leaf.rule.part(
        [array[valid] for array in own], None if ordered is None else ordered[valid]
    )


def _results(kept: Array, *, outputs: Sequence[AnyOutput]) -> Array:
    """Give the results of each image."""
    made = np.empty(len(kept), object)
    for image, parts in enumerate(kept.reshape(len(kept), -1)):
        of_leaves = iter(list(zip(*parts, strict=True)))
        made[image] = [_result(output, of_leaves) for output in outputs]
    return made


def _result(output: AnyOutput, parts: Any) -> Any:
    if isinstance(output, Repeated):
        return [_result(part, parts) for part in output.parts]
    own = next(parts)
    if isinstance(output, Output):
        return output.rule.whole(own)
    joined = [np.concatenate(pieces) for pieces in zip(*own, strict=True)]
    order = np.argsort(joined[-1], kind="stable")
    columns = [column[order] for column in joined[:-1]]
    count = len(output.inputs)
    return output.of_list(columns[:count], columns[count:])
