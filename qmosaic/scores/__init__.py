"""Scores that order the images: functions that make a quality band.

Take one, add it to the collection as a band, and give the name of that band to `quality_mosaic`:
the image with the highest score wins the pixel. A score is a plain expression of xarray, lazy where
its input is lazy; one that you write yourself will do as well.

========================= ==================================================
``inverse``               low values rank highest
``normalized_difference`` the normalized difference of two bands, such as NDVI
``index``                 spectral indices by name
``classes``               a score for each scene class
``bits``                  a score for each bit flag
``target_date``           near a date
``target_day_of_year``    near a day of the year
``smooth``                the mean of a score over what lies around a pixel
``distance_to``           metres to the nearest cloud or shadow
``cloud_distance``        far from clouds
``haze``                  without haze
``view_angle``            seen from above
``weighted``              several scores in one
========================= ==================================================

Several scores in one, after Griffiths et al. (2013), White et al. (2014) and FORCE:

>>> import numpy as np, xarray as xr, qmosaic as qm
>>> days = np.array(["2020-07-15", "2020-08-14"], "datetime64[ns]")
>>> classes = np.uint8([[[4, 4, 9]], [[4, 4, 4]]])  # Sentinel-2's scene classes: 9 is a cloud
>>> number = np.uint8([[[1, 1, 1]], [[2, 2, 2]]])
>>> dims = ("time", "y", "x")
>>> col = xr.Dataset({"SCL": (dims, classes), "image": (dims, number)}, {"time": days})
>>> cloud, valid = col["SCL"].isin([3, 8, 9, 10]), col["SCL"] != 0
>>> metres = qm.scores.distance_to(cloud, max_distance=3000, valid=valid, resolution=1000)
>>> far = qm.scores.cloud_distance(metres)
>>> season = qm.scores.target_day_of_year(col, "07-15", sigma=30)
>>> col["quality"] = qm.scores.weighted([(far, 1.0), (season, 0.5)])
>>> qm.quality_mosaic(col, "quality")["image"].values
array([[1, 2, 2]], dtype=uint8)

Masked pixels (NaN, or the nodata that a band declares) get NaN, or stay masked: they are never
candidates. Integers that declare ``scale_factor`` and ``add_offset`` are unpacked first. xarray
keeps attributes in arithmetic: an integer score that you make of a band with ``_FillValue`` 0
declares 0 as its nodata, too. Where 0 is a score, remove that from its ``attrs``.
``collection.where(...)`` makes floats of packed integers and leaves their packing among the
attributes: such floats are refused. Mask after decoding, ``xarray.decode_cf(col).where(...)``.

`index`, `smooth` and `distance_to` need ``pip install ".[scores]"`` in the checkout of qmosaic.

Modules. Each imports only modules below it in this table.

=============== ============================================================================
``formulas``    expressions as text: `qmosaic.expression`
``best_pixel``  distance to clouds, haze, view angle as scores; several scores in one
``indices``     spectral indices
``distance``    metres to the nearest cloud or shadow
``smoothing``   the mean of a score over what lies around a pixel
``dates``       near a date, near a day of the year
``categories``  scene classes, bit flags
``basic``       a negated band, the normalized difference of two
``reflectance`` scale and offset from integers to reflectance
``expressions`` what all scores share: checks, unpacking, one chunk at a time
=============== ============================================================================

May import ``engine``, ``collection`` and ``optional``.
"""

from qmosaic.scores.basic import inverse, normalized_difference
from qmosaic.scores.best_pixel import cloud_distance, haze, view_angle, weighted
from qmosaic.scores.categories import bits, classes
from qmosaic.scores.dates import target_date, target_day_of_year
from qmosaic.scores.distance import distance_to
from qmosaic.scores.indices import index
from qmosaic.scores.smoothing import smooth

__all__ = [
    "bits",
    "classes",
    "cloud_distance",
    "distance_to",
    "haze",
    "index",
    "inverse",
    "normalized_difference",
    "smooth",
    "target_date",
    "target_day_of_year",
    "view_angle",
    "weighted",
]


def __dir__() -> list[str]:
    return __all__
