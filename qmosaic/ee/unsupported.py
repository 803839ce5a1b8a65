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
    "visualize": "qmosaic.visualize(image, min=0, max=3000)",
    "changeProj": "image.dataset.assign_coords(x=..., y=...), which says where pixels lie",
    "reduceResolution": "the mean of image.dataset.coarsen(y=3, x=3), or overviews: "
    "qmosaic.to_zarr(image.dataset, path, levels='auto')",
    "iterate": "a loop over collection.dataset.isel(time=i)",
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
    "simpleComposite": "qmosaic.quality_mosaic(collection.dataset, ..., within=..., "
    "reducer='median')",
    "propertyNames": "list(collection.dataset.coords)",
    "getInfo": "print(collection.dataset), or .compute() of it for the pixels",
    "bandTypes": "image.dataset.dtypes",
}


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
    if name in INSTEAD:
        hint = f"Use {INSTEAD[name]}."
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
