"""Bands and properties from the images of another collection."""

from __future__ import annotations

from typing import Any, Self

import xarray as xr

from qmosaic.ee.catalog import resolve
from qmosaic.ee.images.choosing import Choosing
from qmosaic.ee.matches import chosen, places_in
from qmosaic.ee.names import TIME, along_time, with_properties
from qmosaic.ee.properties import property_of
from qmosaic.ee.values import known


class Linking(Choosing):
    """Bands and properties that come from another collection."""

    def linkCollection(
        self,
        imageCollection: Any,
        linkedBands: Any = None,
        linkedProperties: Any = None,
        matchPropertyName: str = "system:index",
    ) -> Self:
        """Add bands and properties of the image of another collection that is the same image.

        Those that are there are replaced. Where no image matches, the bands are masked and the
        properties missing; where several do, the first is taken. Bands keep their dtype and their
        nodata; of one that declares no nodata, and has to be masked, see `updateMask`.
        https://developers.google.com/earth-engine/apidocs/ee-image-linkcollection

        Parameters
        ----------
        imageCollection : ImageCollection or str
            The other collection, on the same grid.
        linkedBands, linkedProperties : str or list of str
            What to add, one of the two at least.
        matchPropertyName : str
            The property by whose value an image is found.

        Raises
        ------
        ValueError
            Nothing was named that could be added, or the collections are not on one grid.
        KeyError
            One of the collections has no such property, or the other one no such band.

        Examples
        --------
        >>> import numpy as np, xarray as xr
        >>> from qmosaic import ee
        >>> clouds = xr.Dataset({"cs": (("time", "x"), [[0.5, 1.0]])}, {"id": ("time", ["S2A"])})
        >>> scene = ee.Image(xr.Dataset({"B4": ("x", [1, 2])}, {"id": "S2A"}))
        >>> scene.linkCollection(ee.ImageCollection(clouds), ["cs"]).dataset["cs"].values
        array([0.5, 1. ])
        """
        caller = "linkCollection()"
        bands, names = _listed(linkedBands), _listed(linkedProperties)
        if not bands and not names:
            raise ValueError(
                "linkCollection() got neither bands nor properties, so there is nothing to add. "
                "Name them: linkCollection(clouds, ['cs']), or linkedProperties=['cloud_cover']."
            )
        other = known(imageCollection, caller)
        others: xr.Dataset = resolve(other) if isinstance(other, str) else other.dataset
        return self._linked(others, bands, names, str(known(matchPropertyName)))

    def _linked(self, others: xr.Dataset, bands: Any, names: list[str], match: str) -> Self:
        own = along_time(self.dataset)
        places = places_in(others, own, match, "linkCollection()")
        # only what is linked is put into order: the graph grows with every band
        bare = others.drop_vars(list(others.data_vars))
        asked = type(self)(others).select(bands).dataset if bands else bare
        found, made = type(self)(chosen(asked, places, own)), type(self)(own)
        if bands:
            made = made.addBands(found, None, True)
        values = {n: property_of(found.dataset, n, "linkCollection()").variable for n in names}
        kept = with_properties(made.dataset, values)
        return type(self)(kept if TIME in self.dataset.dims else kept.isel({TIME: 0}))


def _listed(names: Any) -> list[Any]:
    given = known(names, "linkCollection()")
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)
