"""Earth Engine's API on your own data: most scripts around ``qualityMosaic`` run as written.

1. Say once where the images of a collection are kept: `register`, or `load_catalog` for a TOML
   file of them.
2. Run the script with ``from qmosaic import ee`` in place of ``import ee``, and
   ``import qmosaic.display as geemap`` in place of ``import geemap``.
3. Go on with xarray where you like: ``.dataset`` is the Dataset behind an image or a collection,
   ``ee.ImageCollection(dataset)`` and ``ee.Image(dataset)`` wrap one. `qmosaic.to_zarr`,
   `qmosaic.quicklook` and the other functions of `qmosaic` take ``.dataset``.

>>> import numpy as np, xarray as xr
>>> from qmosaic import ee
>>> red = xr.DataArray(np.uint16([[[1, 2]], [[3, 4]]]), dims=("time", "y", "x"))
>>> cloud = xr.DataArray(np.uint8([[[10, 80]], [[60, 0]]]), dims=("time", "y", "x"))
>>> ee.register("MY/IMAGES", xr.Dataset({"B4": red, "MSK_CLDPRB": cloud}))
>>> col = ee.ImageCollection("MY/IMAGES")
>>> def add_quality(img):
...     return img.addBands(img.select("MSK_CLDPRB").multiply(-1).rename("quality"))
>>> col.map(add_quality).qualityMosaic("quality").dataset["B4"].values
array([[1, 4]], dtype=uint16)

Where Earth Engine does otherwise stands in one table, at the end of the guide "Scripts from Earth
Engine", ``notebooks/9_scripts_from_earth_engine.ipynb``. Methods that are not supported raise an
error that says what to use.

Modules. Each imports only modules below it in this table.

=============== =============================================================================
``data``        ``data``: tasks that were started
``batch``       ``batch``: ``Export`` and ``Task``
``exports``     ``Export``: images
``tables``      ``Export.table``
``calls``       how the functions of ``Export`` are called, what they refuse
``tasks``       ``Task``
``algorithms``  ``Algorithms``
``terrain``     ``Terrain``
``landsat``     ``Algorithms.Landsat``: scores of clouds, and a composite by them
``joins``       ``Join``
``collections`` ``ImageCollection``
``images``      ``Image``
``matches``     images that are properties of other images
``features``    ``Feature``, ``FeatureCollection``
``selecting``   ``Filter``
``periods``     which images or features are of a period
``comparing``   how properties are compared
``elements``    the properties and outlines of images and features
``kernels``     ``Kernel``
``regions``     what a reducer gives of the pixels in a region
``reducers``    ``Reducer``
``projections`` ``Projection``
``geometries``  ``Geometry``
``catalog``     ids of collections and images, and where their pixels are kept
``assets``      sources as Earth Engine has them: names of bands and properties
``datasets``    what is known of its collections: tables of names
``grammar``     the operators of expressions: from a text to a syntax tree
``ground``      where pixels lie on the ground, and how large they are there
``lookups``     bands whose pixels are looked up in a table, or lie on a function of lines
``folders``     where exports are written and found again
``pixels``      arithmetic on bands that keeps masks and does not wrap round
``dtypes``      which dtype holds a result
``properties``  properties of images
``values``      numbers, texts, dates, lists and dictionaries; one for each image, or computed later
``names``       bands and properties that have one name
``unsupported`` what to use in place of what is not supported
=============== =============================================================================

May import ``display``, ``sources``, ``scores``, ``sink``, ``engine``, ``collection`` and
``optional``.
"""

from typing import Any

from qmosaic.ee import batch, data
from qmosaic.ee.algorithms import Algorithms
from qmosaic.ee.batch import Export
from qmosaic.ee.catalog import load_catalog, register
from qmosaic.ee.collections import ImageCollection
from qmosaic.ee.features import Feature, FeatureCollection
from qmosaic.ee.folders import export_to
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images import Image
from qmosaic.ee.joins import Join
from qmosaic.ee.kernels import Kernel
from qmosaic.ee.projections import Projection
from qmosaic.ee.reducers import Reducer
from qmosaic.ee.selecting import Filter
from qmosaic.ee.terrain import Terrain
from qmosaic.ee.unsupported import not_supported
from qmosaic.ee.values import Date, DateRange, Dictionary, List, Number, String

__all__ = [
    "Algorithms",
    "Authenticate",
    "Date",
    "DateRange",
    "Dictionary",
    "Export",
    "Feature",
    "FeatureCollection",
    "Filter",
    "Geometry",
    "Image",
    "ImageCollection",
    "Initialize",
    "Join",
    "Kernel",
    "List",
    "Number",
    "Projection",
    "Reducer",
    "String",
    "Terrain",
    "batch",
    "data",
    "export_to",
    "load_catalog",
    "register",
]


def Initialize(*args: Any, **kwargs: Any) -> None:
    """Do nothing, whatever the arguments: there is no server to connect to.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Initialize(project="my-project")
    """


def Authenticate(*args: Any, **kwargs: Any) -> None:
    """Do nothing, whatever the arguments: there is no account to log in to.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Authenticate()
    """


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise not_supported("ee", name, __all__)
