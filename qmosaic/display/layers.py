"""An image as a layer of a map: its picture for a screen, where it lies, and its details."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import xarray as xr

from qmosaic.collection.kinds import is_measured
from qmosaic.collection.location import crs_of, map_axes, map_dims
from qmosaic.display.asides import Ramp, Swatches
from qmosaic.display.colours import Paint, visualize
from qmosaic.display.dates import OTHERS, Images, coloured, dated, telling_images
from qmosaic.display.drawing import rgb_of
from qmosaic.display.features import Features, is_image
from qmosaic.display.mercator import Bounds, on_web_map
from qmosaic.display.parameters import check_parameters, plain
from qmosaic.display.pyramids import TELLING, TILE, Pyramid, pyramid_of
from qmosaic.display.quicklooks import load_thinned
from qmosaic.display.ramps import ramp_of, with_colours_of_counts
from qmosaic.display.stretches import provisional, settled, wanted
from qmosaic.display.thinning import as_kept, at_level, bands_on_map, only, shown, thin
from qmosaic.engine.mosaic import last_on_top
from qmosaic.optional import needed
from qmosaic.scores.expressions import is_number

Legend = Swatches | Ramp | None


@dataclass(frozen=True)
class Layer:
    """An image as a layer.

    Attributes
    ----------
    image : xarray.Dataset
        What is shown, at full resolution, and what tells where its pixels come from; lazy where it
        was.
    picture : xarray.DataArray
        Its colours on the grid of the map, as many as a screen shows.
    bounds : Bounds
        Where it lies.
    legend : Swatches or Ramp, optional
        What its colours mean.
    paint : callable
        Gives any part of it the same colours.
    smooth : bool
        Whether colours may be averaged.
    """

    image: xr.Dataset
    picture: xr.DataArray
    bounds: Bounds
    legend: Legend
    paint: Paint
    smooth: bool

    @staticmethod
    def of(image: Any, parameters: Mapping[str, Any], max_size: int) -> Layer:
        """Compute the picture of an image.

        Parameters
        ----------
        image : xarray.Dataset, xarray.DataArray, str, Path, or an image of `qmosaic.ee`
            An image, the path of a mosaic's store, or a collection, whose last image is on top.
        parameters : mapping
            Of `visualize`; `min` and `max` may be percentages.
        max_size : int
            The most pixels along each side of the picture.

        Raises
        ------
        KeyError, TypeError, ValueError
            See `visualize`; or the image has no CRS, or no size.
        """
        dataset = with_crs(shown(image, "add_layer()"))
        parameters = as_kept(dataset, parameters)
        crs = crs_of(dataset)
        telling = telling_images(dataset, parameters)
        if telling is not None:
            dataset = dataset.reset_coords([telling] if telling in dataset.coords else [])
            dataset = dataset[[telling]]
            one = dated(at_level(dataset, max_size), telling)
            _check_size(next(iter(one.data_vars.values())))
            (loaded,) = load_thinned({"": one}, max_size, "add_layer()").values()
            images = Images.on([loaded])
            paint = _painting(lambda part: dated(part, telling), images)
            picture = coloured(loaded, images, images.colours)
            legend: Legend = images.legend(masked=False)
            smooth = False
        else:
            parameters = with_colours_of_counts(dataset, parameters)
            if parameters.get("bands") is not None:
                dataset = only(dataset, parameters["bands"])
            ready = one_image(thin(dataset, max_size))
            bands_on_map(ready, "add_layer()")
            visible = wanted(ready, parameters.get("bands"), "add_layer()")
            _check_size(visualize(visible, **provisional(parameters)))
            (loaded,) = load_thinned({"": visible}, max_size, "add_layer()").values()
            parameters = settled(parameters, [loaded])
            paint = _visualizing(parameters)
            picture = paint(loaded)
            legend = ramp_of(loaded, parameters, masked=False)
            smooth = all(is_measured(band) for band in loaded.data_vars.values() if band.ndim == 2)
            dataset = dataset[list(visible.data_vars)]
        needed("odc.geo.xr", "map", "maps")  # registers .odc
        placed, bounds = on_web_map(picture.odc.assign_crs(crs), crs, max_size)
        return Layer(_with_origins(dataset), placed, bounds, legend, paint, smooth)

    def png_address(self) -> str:
        """Give the picture as an address that holds it."""
        address: str = self.picture.odc.compress("png", as_data_url=True)
        return address

    @cached_property
    def density(self) -> float:
        """About how many bytes a pixel of its pictures takes."""
        pixels = int((self.picture.values[..., 3] > 0).sum())
        return 0.75 * len(self.png_address()) / max(1, pixels)

    @property
    def weight(self) -> float:
        """About how many bytes all of its pixels take."""
        return self.density * math.prod(self.image.sizes[d] for d in map_dims(self.image))

    def pyramid(self, max_bytes: int) -> Pyramid:
        """Make its tiles, see `pyramid_of`."""
        (_, west), (_, east) = self.bounds
        across = self.picture.sizes[self.picture.dims[1]]
        return pyramid_of(
            self.image,
            self.bounds,
            self.paint,
            max_bytes=max_bytes,
            least=math.log2(across * 360 / (TILE * (east - west))),
            density=self.density,
            smooth=self.smooth,
            ready=one_image,
        )


def layer_of(thing: Any, vis_params: Any, max_size: int) -> Layer | Features:
    """Make a layer of an image, of a collection or of geometries.

    Raises
    ------
    KeyError, TypeError, ValueError
        See `Layer.of` and `Features.of`.
    """
    if is_image(thing):
        return Layer.of(thing, check_parameters(vis_params, "add_layer()"), max_size)
    return Features.of(thing, vis_params)


def check_opacity(opacity: Any) -> float:
    """Take the opacity of a layer.

    Raises
    ------
    ValueError
        It is none.
    """
    found = plain(opacity)
    if isinstance(found, bool) or not is_number(found) or not 0 <= found <= 1:
        raise ValueError(f"add_layer() got opacity={opacity!r}; it is a number of 0 to 1.")
    return float(found)


def _with_origins(image: xr.Dataset) -> xr.Dataset:
    """Leave out coordinates on the map that do not tell from which images the bands are."""
    of_bands = {f"{band}_{name}" for band in image.data_vars for name in TELLING}
    keep = {*TELLING, *of_bands}
    return image.drop_vars([n for n, c in image.coords.items() if c.ndim >= 2 and n not in keep])


def one_image(image: xr.Dataset) -> xr.Dataset:
    """Put the images of a collection on top of each other."""
    return last_on_top(image) if "time" in image.dims else image


def _painting(take: Callable[[xr.Dataset], xr.Dataset], images: Images) -> Paint:
    colours, others = images.colours, rgb_of(OTHERS)
    return lambda part: coloured(take(part), images, colours, others)


def _visualizing(parameters: Mapping[str, Any]) -> Paint:
    return lambda part: visualize(part, **parameters)


def with_crs(image: xr.Dataset, caller: str = "add_layer()") -> xr.Dataset:
    """Refuse an image that does not say where it lies, or has nothing to show."""
    if not image.data_vars:
        raise ValueError(
            f"{caller} got an image without bands: there is nothing to show. It may be made of a "
            "collection without images; look at the filters, collection.size()."
        )
    if not any(band.ndim >= 2 for band in image.data_vars.values()):
        raise ValueError(
            f"{caller} got an image without a grid, a constant for instance, which lies nowhere. "
            "Combine it with an image that has one: image.multiply(0).add(constant)."
        )
    try:
        crs_of(image)
    except ValueError as error:
        raise ValueError(f"{caller} cannot put the image on a map: {error}") from error
    return image


def _check_size(picture: xr.DataArray) -> None:
    if any(picture.sizes[axis] < 2 for axis in map_axes(picture, "add_layer()")):
        raise ValueError(
            "add_layer() got an image of one row or column of pixels, which has no size on a map. "
            "Show a larger part."
        )
