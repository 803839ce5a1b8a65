"""Features: geometries with properties.

Modules. Each imports only modules below it in this table.

=============== ===========================================================
``collection``  ``FeatureCollection``
``painted``     which function makes an image of features
``aggregating`` numbers and lists of a property of all features
``tables``      features as the rows of a GeoDataFrame, and back
``feature``     ``Feature``
=============== ===========================================================

May import ``catalog``, ``selecting``, ``elements``, ``geometries``, ``properties``, ``names``,
``unsupported`` and ``values``; and ``collection`` and ``optional`` of `qmosaic`.
"""

from qmosaic.ee.features.collection import FeatureCollection, of_each_image
from qmosaic.ee.features.feature import Feature

__all__ = ["Feature", "FeatureCollection", "of_each_image"]


def __dir__() -> list[str]:
    return __all__
