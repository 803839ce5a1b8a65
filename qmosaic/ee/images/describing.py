"""What an image is, in words: its bands, their types and their grid, its properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.geometry import short_crs
from qmosaic.collection.location import PAIRS, crs_of
from qmosaic.collection.transforms import even_step
from qmosaic.ee.images.base import Bands
from qmosaic.ee.names import TIME, properties
from qmosaic.ee.properties import KNOWN_AS, of_images, property_of
from qmosaic.ee.values import Dictionary, List, known, lift, plain

SYSTEM = {kept: name for name, kept in KNOWN_AS.items() if name.startswith("system:")}
"""Names of coordinates, and what Earth Engine calls such properties."""


class Describing(Bands):
    """Descriptions of an image."""

    def propertyNames(self) -> List:
        """List the properties.

        https://developers.google.com/earth-engine/apidocs/ee-image-propertynames
        """
        return List(["system:band_names", *_names(self.dataset)])

    def toDictionary(self, properties: Any = None) -> Any:
        """Give properties and their values; without a list of them all but those of the system.

        Inside `ImageCollection.map` it is one dictionary for each image.
        https://developers.google.com/earth-engine/apidocs/ee-image-todictionary
        """
        wanted = known(properties, "ee.Image.toDictionary()")
        if wanted is None:
            wanted = [n for n in _names(self.dataset) if not n.startswith("system:")]
        caller = "ee.Image.toDictionary()"
        values = [of_images(property_of(self.dataset, str(n), caller)) for n in wanted]
        return lift(_dictionary, [str(name) for name in wanted], values)

    def bandTypes(self) -> Dictionary:
        """Give the type of each band: its precision, and of integers the range.

        https://developers.google.com/earth-engine/apidocs/ee-image-bandtypes
        """
        return Dictionary({str(n): pixel_type(band.dtype) for n, band in self._bands().items()})

    def getInfo(self) -> dict[str, Any]:
        """Describe the image, as Earth Engine does: bands, their types and their grid, properties.

        Properties that depend on pixels are computed; no other pixel is read.
        https://developers.google.com/earth-engine/apidocs/ee-image-getinfo

        Raises
        ------
        ValueError
            Inside `ImageCollection.map` there is no single image.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> red = xr.DataArray(np.ones((2, 3), "float32"), dims=("y", "x"))
        >>> info = ee.Image(xr.Dataset({"B4": red}, {"id": "S2A_1"})).getInfo()
        >>> info["bands"][0]["data_type"], info["properties"]
        ({'type': 'PixelType', 'precision': 'float'}, {'system:index': 'S2A_1'})
        """
        if TIME in self.dataset.dims:
            raise ValueError(
                "ee.Image.getInfo() was asked inside map(), where the image stands for all images, "
                "so there is not one to describe. Call it outside: collection.first().getInfo()."
            )
        return described(self)


def described(image: Any) -> dict[str, Any]:
    """Describe a single image."""
    dataset = image.dataset
    bands = [
        {"id": str(name), "data_type": pixel_type(band.dtype), **_grid(dataset, band)}
        for name, band in image._bands().items()
    ]
    given = {n: of_images(property_of(dataset, n, "ee.Image.getInfo()")) for n in _names(dataset)}
    found = {name: plain(known(value)) for name, value in given.items()}
    named = {"id": found["system:index"]} if "system:index" in found else {}
    return {"type": "Image", "bands": bands, **named, "properties": found}


def pixel_type(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Describe a dtype as Earth Engine does."""
    if dtype.kind == "f":
        return {"type": "PixelType", "precision": "double" if dtype.itemsize > 4 else "float"}
    limits = np.iinfo("uint8" if dtype.kind == "b" else dtype)
    high = 1 if dtype.kind == "b" else int(limits.max)
    return {"type": "PixelType", "precision": "int", "min": int(limits.min), "max": high}


def _names(dataset: xr.Dataset) -> list[str]:
    return [SYSTEM.get(str(name), str(name)) for name in properties(dataset)]


def _dictionary(names: list[str], values: list[Any]) -> Dictionary:
    return Dictionary(dict(zip(names, values, strict=True)))


def _grid(dataset: xr.Dataset, band: xr.DataArray) -> dict[str, Any]:
    """Describe the grid of a band, as far as it is known; a constant lies everywhere."""
    if not band.ndim:
        return {"crs": "EPSG:4326", "crs_transform": [1, 0, 0, 0, 1, 0]}
    pair = next((pair for pair in PAIRS if set(pair) <= set(band.dims)), None)
    if pair is None:
        return {"dimensions": [band.sizes[dim] for dim in reversed(band.dims)]}
    down, across = pair
    grid: dict[str, Any] = {"dimensions": [band.sizes[across], band.sizes[down]]}
    try:
        grid["crs"] = short_crs(crs_of(dataset))
    except (ValueError, ModuleNotFoundError):  # not declared, or nothing here can read it
        return grid
    centres = [dataset[dim].values for dim in (across, down)]
    (width, left), (height, top) = map(_step_and_edge, centres)
    if width and height:
        grid["crs_transform"] = [width, 0, left, 0, height, top]
    return grid


def _step_and_edge(centres: Any) -> tuple[float, float]:
    """Give the width of pixels, 0 where they are not evenly spaced, and where the first begins."""
    step = even_step(centres) or 0.0
    return step, float(centres[0]) - step / 2
