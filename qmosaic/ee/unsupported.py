"""What to use in place of the names of Earth Engine that are not supported."""

from __future__ import annotations

import difflib
from typing import Any

INSTEAD = {
    "reduceToVectors": "rasterio.features.shapes on .dataset",
    "connectedComponents": "scipy.ndimage.label on .dataset",
    "connectedPixelCount": "scipy.ndimage.label on .dataset",
    "convolve": "qmosaic.scores.smooth(band, metres, kind='gaussian')",
    "gaussian": "qmosaic.scores.smooth(band, metres, kind='gaussian')",
    "linearRegression": "linearFit() for one variable, or numpy.linalg.lstsq on .dataset",
    "getThumbURL": "qmosaic.quicklook(image.dataset, 'image.png')",
    "getThumbUrl": "qmosaic.quicklook(image.dataset, 'image.png')",
    "getMapId": "qmosaic.display.Map().add_layer(image)",
    "getDownloadURL": "qmosaic.to_zarr(image.dataset, 'mosaic.zarr')",
    "getVideoThumbURL": "qmosaic.quicklook of single images",
    "changeProj": "image.dataset.assign_coords(x=..., y=...), which says where pixels lie",
    "reduceResolution": "the mean of image.dataset.coarsen(y=3, x=3), or overviews: "
    "qmosaic.to_zarr(image.dataset, path, levels='auto')",
    "paint": "Map.addLayer(features, {'color': 'FF0000', 'fillColor': '00000000'}) to draw them; "
    "updateMask(ee.Image(1).clip(features)) for their pixels",
    "EEException": "ValueError, KeyError and TypeError: there is no exception of its own",
    "Array": "numpy",
    "getRegion": "collection.dataset.sel(x=..., y=..., method='nearest')",
    "TOA": "image.multiply(scale).add(offset), with the scale and offset of the product",
    "surfaceReflectance": "a product of surface reflectances",
    "calibratedRadiance": "image.multiply(scale).add(offset), with the scale and offset of the "
    "product",
    "pathRowLimit": "collection.sort('CLOUD_COVER').limit(n)",
    "Sentinel2": "xarray on .dataset",
    "TemporalSegmentation": "xarray on .dataset",
    "HillShadow": "xrspatial on .dataset",
    "CannyEdgeDetector": "skimage on .dataset",
    "rgbToHsv": "matplotlib.colors.rgb_to_hsv on .dataset",
    "hsvToRgb": "matplotlib.colors.hsv_to_rgb on .dataset",
    "toArray": "image.dataset.to_dataarray('band')",
    "arrayFlatten": ".dataset with xarray: arrays in pixels are dimensions there",
    "arrayGet": ".dataset with xarray: arrays in pixels are dimensions there",
    "arraySort": ".dataset with xarray: arrays in pixels are dimensions there",
    "spectralDistance": "subtract, pow and add, or .dataset with xarray",
    "Classifier": "scikit-learn on .dataset",
    "hasType": "notNull([name]), or a loop of Python over .geodataframe",
    "withinDistance": "bounds(geometry.buffer(distance))",
    "randomPoints": "geopandas.GeoSeries(region).sample_points(count), in ee.FeatureCollection()",
    "Algorithms.simpleComposite": "ee.Algorithms.Landsat.simpleComposite(collection)",
    "ImageCollection.visualize": "collection.map(lambda image: image.visualize(min=0, max=3000))",
    "ImageCollection.propertyNames": "collection.first().propertyNames()",
    "ImageCollection.bandNames": "collection.first().bandNames()",
    "ImageCollection.bandTypes": "collection.first().bandTypes()",
    "ImageCollection.get": "collection.first().get(name), or aggregate_array(name): only images "
    "have properties here, collections have none",
    "ImageCollection.set": "collection.map(lambda image: image.set(name, value)), or a variable of "
    "Python: only images have properties here, collections have none",
    "FeatureCollection.get": "features.first().get(name), or aggregate_array(name): only features "
    "have properties here, collections have none",
}
"""By the name alone, or after the class that it was asked of, where others have it."""


def not_supported(owner: str, name: str, known: list[str] | None = None) -> AttributeError:
    """Make the error for a name that is not supported; it says what to use.

    Parameters
    ----------
    owner : str
        What it was asked of: ``ee``, ``ee.Image``.
    name : str
        The method, class or function that is not there.
    known : list of str, optional
        The names that are there; one of them may have been meant.
    """
    close = difflib.get_close_matches(name, known or [], n=1, cutoff=0.75)
    instead = INSTEAD.get(f"{owner.removeprefix('ee.')}.{name}", INSTEAD.get(name))
    if instead is not None:
        hint = f"Use {instead}."
    elif close:
        hint = f"Did you mean {close[0]}?"
    else:
        hint = "Use xarray on what is behind images and collections, .dataset."
    return AttributeError(f"{owner}.{name} is not supported by qmosaic.ee. {hint}")


class HintingType(type):
    """The same for methods that are called on the class itself, ``ee.Filter.notNull``."""

    _name: str

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise not_supported(cls._name, name, [n for n in dir(cls) if not n.startswith("_")])


class Hinting(metaclass=HintingType):
    """A base class: methods that are not supported raise an error that says what to use."""

    _name = "ee"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise not_supported(self._name, name, [n for n in dir(type(self)) if not n.startswith("_")])
