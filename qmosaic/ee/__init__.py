"""Earth Engine's vocabulary: a script written for Earth Engine runs with its import changed.

Thin methods over what the other departments do. ``.dataset`` gives the xarray object behind an
image or a collection; ``ee.ImageCollection(dataset)`` wraps one.

=============== =============================================================================
``collections`` ``ImageCollection``
``images``      ``Image``
``selecting``   ``Filter``
``geometries``  ``Geometry``
``catalog``     ids of collections, and where they are kept
``pixels``      arithmetic on bands that keeps masks and does not wrap round
``properties``  what is known of images beside their pixels; numbers and dates
``names``       bands and properties that have one name
``unsupported`` what to use in place of what is not here
=============== =============================================================================

May import ``sources``, ``scores``, ``engine``, ``collection`` and ``optional``.

>>> import numpy as np, xarray as xr
>>> from qmosaic import ee
>>> cloud = xr.DataArray(np.uint8([[[10, 80]], [[60, 0]]]), dims=("time", "y", "x"))
>>> red = xr.DataArray(np.uint16([[[1, 2]], [[3, 4]]]), dims=("time", "y", "x"))
>>> ee.register("MY/CLOUDS", xr.Dataset({"B4": red, "MSK_CLDPRB": cloud}))
>>> col = ee.ImageCollection("MY/CLOUDS")
>>> def invert(img):
...     return img.addBands(img.select("MSK_CLDPRB").multiply(-1).rename("quality"))
>>> col.map(invert).qualityMosaic("quality").dataset["B4"].values
array([[1, 4]], dtype=uint16)
"""

from typing import Any

from qmosaic.ee.catalog import load_catalog, register
from qmosaic.ee.collections import ImageCollection
from qmosaic.ee.geometries import Geometry
from qmosaic.ee.images import Image
from qmosaic.ee.properties import Date, Number
from qmosaic.ee.selecting import Filter
from qmosaic.ee.unsupported import missing_word

__all__ = [
    "Authenticate",
    "Date",
    "Filter",
    "Geometry",
    "Image",
    "ImageCollection",
    "Initialize",
    "Number",
    "load_catalog",
    "register",
]


def Initialize(*_: Any, **__: Any) -> None:
    """Do nothing: there is no server to begin with.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Initialize(project="my-project")
    """


def Authenticate(*_: Any, **__: Any) -> None:
    """Do nothing: there is nobody to ask.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.Authenticate()
    """


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    raise missing_word("ee", name)
