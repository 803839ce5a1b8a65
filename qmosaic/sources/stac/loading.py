"""The calls of ``odc.stac.load``: bands that are alike in one, images of several layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.pixelwise import of_single_pixels
from qmosaic.optional import needed
from qmosaic.sources.harmonizing import brought_to
from qmosaic.sources.nodata import declare
from qmosaic.sources.request import DIM, Request
from qmosaic.sources.stac.bands import Band

if TYPE_CHECKING:
    import pystac


def bands_alike(bands: Sequence[Band], groups: Sequence[Sequence[int]]) -> Iterable[list[Band]]:
    """Put bands together that one call of odc can load: it takes one dtype and nodata, finds
    bands in the first item, and lays the same items on each other."""
    alike: dict[Any, list[Band]] = {}
    for band in bands:
        layers = tuple(_layers(band, groups))
        key = band.dtype, str(band.nodata), band.overridden, band.places, layers
        alike.setdefault(key, []).append(band)
    return alike.values()


def _layers(band: Band, groups: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Tell in which image each item of a band is, and in which layer of it: items that are packed
    differently cannot be laid on each other before they are brought to one packing."""
    image_of = {place: image for image, group in enumerate(groups) for place in group}
    layers: list[tuple[int, int]] = []
    last = None
    for place, steps in zip(band.places, band.agreement.steps, strict=True):
        image, layer = image_of[place], 0
        if layers and layers[-1][0] == image:
            layer = layers[-1][1] + (steps != last)
        layers.append((image, layer))
        last = steps
    return layers


def load_bands(
    items: Sequence[pystac.Item],
    groups: Sequence[Sequence[int]],
    bands: list[Band],
    load: dict[str, Any],
    request: Request,
) -> dict[str, xr.DataArray]:
    """Load bands that are alike, masked in images in which no item has them."""
    stac = needed("odc.stac", "stac", "STAC items")
    sample = bands[0]
    layers = _layers(sample, groups)
    distinct = list(dict.fromkeys(layers))
    place_of = {layer: number for number, layer in enumerate(distinct)}
    there = [place_of[layer] for layer in layers]
    options = {
        "bands": [band.name for band in bands],
        "dtype": sample.dtype,
        "nodata": sample.nodata,
        "driver": _driver(sample.overridden),
        "groupby": lambda _item, _parsed, index: there[index],
        **load,
    }
    if any(layer for _, layer in distinct) and options.get("fuse_func") is not None:
        raise ValueError(
            f"images are made of items whose band {sample.name!r} is packed differently, and "
            "fuse_func= would be given their raw integers. Leave it out, write groupby='item', or "
            "open the items of each kind on their own."
        )
    loaded = stac.load([items[place] for place in sample.places], **options)
    found = {}
    for band in bands:
        steps = dict(zip(layers, band.agreement.steps, strict=True))
        agreement = replace(band.agreement, steps=tuple(steps[layer] for layer in distinct))
        pixels = declare(loaded[band.name], band.nodata)
        pixels = brought_to(pixels, agreement, request.packing.harmonize, DIM)
        found[band.name] = _images(pixels, [image for image, _ in distinct], len(groups), band)
    return found


def _images(band: xr.DataArray, image_of: list[int], count: int, about: Band) -> xr.DataArray:
    """Lay the layers of each image on each other, and put masked images where a band has none."""
    if image_of == list(range(count)):
        return band.drop_vars(DIM)
    chunks = (1, *band.data.chunks[1:])
    images = []
    layers_of: dict[int, list[int]] = {}
    for layer, image in enumerate(image_of):
        layers_of.setdefault(image, []).append(layer)
    for image in range(count):
        layers = [band.data[layer : layer + 1] for layer in layers_of.get(image, ())]
        if not layers:
            shape = (1, *band.shape[1:])
            layers = [da.full(shape, about.nodata, dtype=band.dtype, chunks=chunks)]
        top, *below = layers
        empty = np.empty((0,) * band.ndim, band.dtype)
        for layer in below:
            top = da.map_blocks(_on_top, top, layer, about.nodata, dtype=top.dtype, meta=empty)
        images.append(top)
    full = xr.DataArray(da.concatenate(images), band.drop_vars(DIM).coords, band.dims)
    full.attrs, full.encoding = band.attrs, band.encoding
    return full.rename(band.name)


@of_single_pixels
def _on_top(top: Any, below: Any, nodata: Any) -> Any:
    """Lay an image on another; where it is masked, the other is seen."""
    masked = np.isnan(top) if nodata != nodata else top == nodata
    return np.where(masked, below, top)


def _driver(trusting: bool) -> Any:
    """Make a reader whose pixels do not depend on chunks; a trusting one takes the nodata that it
    is told for true, not the file's."""
    drivers = needed("qmosaic.sources.stac.driver", "stac", "STAC items")
    return drivers.SameForAllChunksDriver(trusting)
