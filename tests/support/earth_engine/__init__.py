"""A second Earth Engine: images as lists of rows, masks apart, loops over images, bands and pixels.

It shares nothing with the package: no xarray, no dask, and numpy only for the names and limits of
dtypes. Its classes and methods are called as Earth Engine's, so that one script runs on both.
Masks and values follow https://developers.google.com/earth-engine/apidocs; dtypes follow what
`qmosaic.ee` promises. Each module imports only modules below it in this table.

================== =======================================================================
``algorithms``     ``Algorithms``: choices, scores of clouds
``joins``          ``Join``
``features``       ``Feature``, ``FeatureCollection``; what is reduced over regions and bands
``collections``    ``ImageCollection``
``expressions``    a parser that computes as it reads
``neighbourhoods`` classes, neighbouring pixels, pictures
``images``         ``Image``
``selecting``      ``Filter``
``reducers``       ``Reducer``
``geometries``     ``Geometry``, and what is inside one
``bands``          values and masks of one band, and functions of them pixel by pixel
``dates``          ``Date``, ``DateRange``
``values``         ``Number``, ``String``, ``List``, ``Dictionary``
================== =======================================================================
"""

from tests.support.earth_engine import features, neighbourhoods
from tests.support.earth_engine.algorithms import Algorithms
from tests.support.earth_engine.collections import ImageCollection
from tests.support.earth_engine.dates import Date, DateRange
from tests.support.earth_engine.expressions import expression
from tests.support.earth_engine.features import Feature, FeatureCollection
from tests.support.earth_engine.geometries import Geometry
from tests.support.earth_engine.images import Image
from tests.support.earth_engine.joins import Join
from tests.support.earth_engine.neighbourhoods import Kernel
from tests.support.earth_engine.reducers import Reducer
from tests.support.earth_engine.selecting import Filter
from tests.support.earth_engine.values import Dictionary, List, Number, String

for _method in (expression, *features.METHODS, *neighbourhoods.METHODS):
    setattr(Image, _method.__name__, _method)

__all__ = [
    "Algorithms",
    "Date",
    "DateRange",
    "Dictionary",
    "Feature",
    "FeatureCollection",
    "Filter",
    "Geometry",
    "Image",
    "ImageCollection",
    "Join",
    "Kernel",
    "List",
    "Number",
    "Reducer",
    "String",
]
