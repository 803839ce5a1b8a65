"""``ee.Image``."""

from __future__ import annotations

from typing import Any

from qmosaic.ee.features.painted import painter
from qmosaic.ee.images.arithmetic import Arithmetic
from qmosaic.ee.images.casts import Casts
from qmosaic.ee.images.choosing import Choosing
from qmosaic.ee.images.classes import Classes
from qmosaic.ee.images.describing import Describing
from qmosaic.ee.images.distances import Distances
from qmosaic.ee.images.expressions import Expressions
from qmosaic.ee.images.linking import Linking
from qmosaic.ee.images.masks import Masks
from qmosaic.ee.images.picturing import Picturing
from qmosaic.ee.images.projections import Projections
from qmosaic.ee.images.properties import Properties
from qmosaic.ee.images.rasterizing import reduce_to_image
from qmosaic.ee.images.sampling import Sampling


class Image(
    Projections,
    Linking,
    Choosing,
    Arithmetic,
    Expressions,
    Classes,
    Masks,
    Distances,
    Sampling,
    Picturing,
    Describing,
    Properties,
    Casts,
):
    """An image: bands on one grid, and properties.

    In the function that `ImageCollection.map` calls, it stands for all images of the collection:
    arithmetic on it is done for each of them.

    Parameters
    ----------
    source : str, xarray.Dataset, xarray.DataArray, number, sequence of these, or Image, optional
        The id of an image (``"MY/IMAGES/S2A_20200701"``: that image of a collection), or of what
        `Export.image.toAsset` has written. A number is a constant everywhere; a sequence is an
        image with all their bands; nothing, a band ``constant`` that is masked everywhere.

    Attributes
    ----------
    dataset : xarray.Dataset
        The bands as data variables, the properties as coordinates.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> bands = {"red": ("x", np.uint8([0, 40])), "nir": ("x", np.uint8([0, 120]))}
    >>> image = ee.Image(xr.Dataset(bands, {"time": np.datetime64("2020-07-01"), "id": "S2A"}))
    >>> def of(image):
    ...     return {str(name): band.values.tolist() for name, band in image.dataset.items()}

    Bands:

    >>> image.bandNames()
    ['red', 'nir']
    >>> of(image.select("nir").rename("infrared"))
    {'infrared': [0, 120]}
    >>> of(image.addBands(ee.Image.constant(7)).select([0, "constant"]))
    {'red': [0, 40], 'constant': 7}
    >>> ee.Image.cat(image, ee.Image(1)).bandNames()
    ['red', 'nir', 'constant']

    >>> of(image.cast({"red": "float"})), image.bandTypes()["red"]["max"]
    ({'red': [0.0, 40.0], 'nir': [0, 120]}, 255)
    >>> ee.Image.rgb(image.select("nir"), image.select("red"), ee.Image(0)).bandNames()
    ['vis-red', 'vis-green', 'vis-blue']

    Arithmetic:

    >>> of(image.select("red").Not())
    {'red': [1, 0]}
    >>> of(image.select("red").subtract(50).abs())
    {'red': [50, 10]}
    >>> of(image.clamp(10, 100))
    {'red': [10, 40], 'nir': [10, 100]}
    >>> of(image.select("nir").unitScale(0, 240))
    {'nir': [0.0, 0.5]}
    >>> of(image.normalizedDifference(["nir", "red"]).unmask(-1))
    {'nd': [-1.0, 0.5]}

    >>> of(image.select("red").signum()), of(image.select("red").bitCount())
    ({'red': [0, 1]}, {'red': [0, 2]})
    >>> of(image.select("red").bitwiseNot())
    {'red': [-1, -41]}
    >>> of(image.blend(image.selfMask().multiply(2)))
    {'red': [0, 80], 'nir': [0, 240]}

    Where pixels lie, and how large they are, on the grid of an image:

    >>> places = {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]}
    >>> plain = xr.Dataset({"a": (("latitude", "longitude"), np.ones((2, 2)))}, places)
    >>> of(ee.Image(plain).multiply(ee.Image.pixelArea()).divide(1e6).round())
    {'a': [[95.0, 95.0], [95.0, 95.0]]}
    >>> of(ee.Image(plain).multiply(ee.Image.pixelLonLat()).select("latitude").rename("lat"))
    {'lat': [[40.2, 40.2], [40.1, 40.1]]}

    Masks:

    >>> clear = image.select("red").updateMask(image.select("nir").gt(0))
    >>> of(clear.mask()), of(clear.unmask(9)), of(image.select("red").selfMask().unmask(9))
    ({'red': [0, 1]}, {'red': [9, 40]}, {'red': [9, 40]})
    >>> of(image.select("red").where(image.select("nir").gt(100), 1))
    {'red': [0, 1]}

    Neighbourhoods:

    >>> line = ee.Image(xr.Dataset({"a": (("y", "x"), np.uint8([[1, 7, 2, 2, 0]]))}))
    >>> [of(made)["a"] for made in (line.focal_max(1), line.focalMin(1), line.focal_mode(1))]
    [[[7, 7, 7, 2, 2]], [[1, 1, 2, 0, 0]], [[1, 1, 2, 2, 0]]]
    >>> [of(made)["a"] for made in (line.focal_mean(0.5), line.focal_median(1, "square"))]
    [[[1.0, 7.0, 2.0, 2.0, 0.0]], [[4.0, 2.0, 2.0, 2.0, 1.0]]]
    >>> line.focalMax().bandNames(), line.focalMean().bandNames(), line.focalMedian().bandNames()
    (['a'], ['a'], ['a'])
    >>> line.focalMode(1).focal_min(1).dataset.equals(line.focal_mode(1).focalMin(1).dataset)
    True
    >>> of(line.reduceNeighborhood(ee.Reducer.count(), ee.Kernel.square(1)))
    {'a_count': [[2, 3, 3, 3, 2]]}

    Properties:

    >>> image.propertyNames(), image.toDictionary(["id"])
    (['system:band_names', 'system:time_start', 'system:index'], {'id': 'S2A'})
    >>> image.id(), image.date(), image.set("sun", 31).get("sun")
    ('S2A', ee.Date('2020-07-01T00:00:00'), 31)
    >>> image.getString("system:index").slice(0, 2), image.set("sun", 31).getNumber("sun").add(1)
    ('S2', 32)
    >>> of(image.set("sun", 31).metadata("sun"))
    {'sun': 31}
    >>> ee.Image(1).copyProperties(image, ["system:index"]).id()
    'S2A'
    """


@painter
def _painted(features: Any, properties: Any, reducer: Any) -> Any:
    return reduce_to_image(Image, features, properties, reducer)
