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
