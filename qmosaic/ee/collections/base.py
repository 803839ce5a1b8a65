"""What all methods of a collection build on: its images, how they are put together."""

from __future__ import annotations

import html
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.location import with_crs_coordinate
from qmosaic.collection.model import bands_of
from qmosaic.collection.times import in_utc
from qmosaic.ee.catalog import resolve
from qmosaic.ee.collections.stacking import stacked
from qmosaic.ee.images import Image, listed
from qmosaic.ee.names import EMPTIED, settled
from qmosaic.ee.names import bands as bands_by_name
from qmosaic.ee.unsupported import Hinting
from qmosaic.sources.opening import open_collection


class Images(Hinting):
    """Images of the same bands on one grid, along time."""

    _name = "ee.ImageCollection"

    def __init__(self, source: Any) -> None:
        if isinstance(source, list | tuple):
            source = [one for one in source if one is not None]
        if isinstance(source, Images):
            dataset = source.dataset
        elif isinstance(source, xr.Dataset):
            dataset = source
        elif isinstance(source, xr.DataArray):
            dataset = Image(source).dataset
        elif isinstance(source, str):
            dataset = resolve(source)
        elif isinstance(source, Image):
            dataset = stacked([source.dataset])
        elif isinstance(source, list | tuple) and not source:
            dataset = xr.Dataset(coords={"time": np.array([], "M8[ns]")})
        elif isinstance(source, list | tuple) and any(isinstance(one, Image) for one in source):
            dataset = stacked([Image(one).dataset for one in source])
        else:
            dataset = open_collection(str(source) if isinstance(source, Path) else source)
        if "time" not in dataset.dims:
            raise ValueError(
                "ee.ImageCollection() got a Dataset without a dimension 'time', along which its "
                "images would lie. Rename yours, ds.rename(date='time'), or wrap a single image "
                "with ee.Image(ds)."
            )
        self.dataset: xr.Dataset = settled(with_crs_coordinate(in_utc(dataset)))
        self._id = source if isinstance(source, str) else None

    def __repr__(self) -> str:
        """Give its id where it was opened by one, the number of images, their dates, the bands."""
        count = self.dataset.sizes["time"]
        parts = [f"{count} image{'' if count == 1 else 's'}"]
        if count and "time" in self.dataset.coords and self.dataset["time"].dtype.kind == "M":
            times = self.dataset["time"].values
            parts.append(f"{str(times.min())[:10]} to {str(times.max())[:10]}")
        parts.append(listed(self._bands()))
        named = "" if self._id is None else f" {self._id!r}:"
        return f"ee.ImageCollection{named or ' of'} {', '.join(parts)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.dataset._repr_html_()}"

    def _bands(self) -> dict[Hashable, xr.DataArray]:
        return bands_by_name(self.dataset[bands_of(self.dataset, "time")])

    def _without_bands(self) -> Image | None:
        """Give what is made of no images: an image without bands; None, where there are images."""
        if self.dataset.sizes["time"]:
            return None
        why = self.dataset.attrs.get(EMPTIED, "The collection that it is made of has no image.")
        return Image(xr.Dataset(attrs={EMPTIED: why}))
