"""``ee.ImageCollection``."""

from __future__ import annotations

from qmosaic.ee.collections.aggregating import Aggregating
from qmosaic.ee.collections.choosing import Choosing
from qmosaic.ee.collections.describing import Describing
from qmosaic.ee.collections.linking import Linking
from qmosaic.ee.collections.mapping import Mapping
from qmosaic.ee.collections.mosaics import Mosaics
from qmosaic.ee.collections.outlines import Outlines
from qmosaic.ee.collections.reducing import Reducing


class ImageCollection(
    Choosing, Linking, Mapping, Mosaics, Reducing, Aggregating, Describing, Outlines
):
    """A collection: images of the same bands on one grid, along time.

    Parameters
    ----------
    source : str, xarray.Dataset, list of Image, or what `qmosaic.open_collection` opens
        An id that is registered (`qmosaic.ee.register`), a path or URL, a Dataset with a dimension
        ``time``, or single images; None among them is left out.

    Attributes
    ----------
    dataset : xarray.Dataset
        The bands along time, the properties as coordinates along time.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> days = np.array(["2020-07-01", "2020-07-11", "2020-08-01"], "M8[ns]")
    >>> col = ee.ImageCollection(
    ...     xr.Dataset(
    ...         {
    ...             "B4": (("time", "x"), np.uint16([[1, 2], [3, 4], [5, 6]])),
    ...             "cloud": (("time", "x"), np.uint8([[90, 5], [10, 60], [0, 80]])),
    ...         },
    ...         {"time": days, "cloud_cover": ("time", [50, 30, 40])},
    ...     )
    ... )

    Fewer images:

    >>> col.size(), col.filterDate("2020-07-01", "2020-08-01").size(), col.limit(1).size()
    (3, 2, 1)
    >>> col.filter(ee.Filter.lt("cloud_cover", 45)).aggregate_array("cloud_cover")
    [30, 40]
    >>> col.filterMetadata("cloud_cover", "less_than", 35).first().date()
    ee.Date('2020-07-11T00:00:00')
    >>> col.sort("cloud_cover").aggregate_array("cloud_cover")
    [30, 40, 50]

    Other bands, other images:

    >>> def add_quality(image):
    ...     return image.addBands(image.select("cloud").multiply(-1).rename("quality"))
    >>> col.map(add_quality).select("quality").first().bandNames()
    ['quality']
    >>> col.merge(col).size(), ee.ImageCollection.fromImages([col.first()]).size()
    (6, 1)
    >>> col.combine(col.limit(2).select(["B4"], ["red"])).first().bandNames()
    ['B4', 'cloud', 'red']
    >>> col.merge(col).distinct("system:time_start").size(), col.toList(1, 2).get(0).date()
    (3, ee.Date('2020-08-01T00:00:00'))
    >>> col.iterate(lambda image, sum: ee.Number(sum).add(image.get("cloud_cover")), 0)
    120

    One image of many:

    >>> col.map(add_quality).qualityMosaic("quality").dataset["B4"].values
    array([5, 2], dtype=uint16)
    >>> col.mosaic().dataset["B4"].values
    array([5, 6], dtype=uint16)
    >>> images = [col.min(), col.max(), col.sum(), col.mean(), col.median(), col.count()]
    >>> [image.dataset["B4"].values.tolist() for image in images]
    [[1, 2], [5, 6], [9.0, 12.0], [3.0, 4.0], [3.0, 4.0], [3, 3]]
    >>> images = [col.mode(), col.product(), col.And(), col.Or()]
    >>> [image.dataset["B4"].values.tolist() for image in images]
    [[1, 2], [15.0, 48.0], [1, 1], [1, 1]]
    >>> col.reduce(ee.Reducer.percentile([10, 90])).bandNames()
    ['B4_p10', 'B4_p90', 'cloud_p10', 'cloud_p90']
    >>> col.select("B4").toBands().bandNames()
    ['0_B4', '1_B4', '2_B4']

    Numbers of a property:

    >>> name = "cloud_cover"
    >>> col.aggregate_mean(name), col.aggregate_min(name), col.aggregate_max(name)
    (40, 30, 50)
    >>> col.aggregate_sum(name), col.aggregate_product(name), col.aggregate_first(name)
    (120, 60000, 50)
    >>> col.aggregate_count(name), col.aggregate_count_distinct(name)
    (3, 3)
    >>> col.aggregate_total_sd(name).format("%.2f"), col.aggregate_sample_sd(name)
    ('8.16', 10)
    >>> col.aggregate_total_var(name).format("%.2f"), col.aggregate_sample_var(name)
    ('66.67', 100)
    >>> col.aggregate_histogram(name), col.aggregate_stats(name).get("mean")
    ({'30': 1, '40': 1, '50': 1}, 40)
    >>> col.reduceColumns(ee.Reducer.minMax(), [name])
    {'max': 50, 'min': 30}
    >>> col.randomColumn("part", 7).filter(ee.Filter.lt("part", 0.7)).size()
    1
    """
