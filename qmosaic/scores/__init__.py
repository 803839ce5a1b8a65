"""Makers of quality bands: plain xarray expressions, lazy where their input is lazy.

======================= ====================================================================
``inverse``             low values rank highest
``normalized_difference`` two bands compared
``index``               spectral indices by name
``classes``             a score for each scene class
``bits``                a score for each bit flag
``target_date``         near a date
``target_day_of_year``  near a day of the year
``distance_to``         metres to the nearest cloud or shadow
``cloud_distance``      far from clouds
``haze``                without haze
``view_angle``          seen from above
``weighted``            several scores in one
======================= ====================================================================

Where they are; a room imports only rooms below it.

=============== ============================================================================
``best_pixel``  distance to clouds, haze, view angle as scores; several scores in one
``indices``     spectral indices
``distance``    metres to the nearest cloud or shadow
``dates``       near a date, near a day of the year
``categories``  scene classes, bit flags
``basic``       a band turned round, two bands compared
``reflectance`` what stored numbers are as reflectance
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

__all__ = [
    "bits",
    "classes",
    "cloud_distance",
    "distance_to",
    "haze",
    "index",
    "inverse",
    "normalized_difference",
    "target_date",
    "target_day_of_year",
    "view_angle",
    "weighted",
]
