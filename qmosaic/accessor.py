"""``ds.qmosaic.<verb>()``: the verbs as methods of a collection, one line each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import xarray as xr

from qmosaic.display import Picture, quicklook, visualize
from qmosaic.explanation import Explanation, explain
from qmosaic.filters import filter_bounds, filter_date, map_images, select
from qmosaic.moments import Instant
from qmosaic.mosaic import quality_mosaic
from qmosaic.store import to_zarr


class _Verbs:
    """The verbs of `qmosaic` on the object that they work on."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def quality_mosaic(self, quality_band: Hashable, **rules: Any) -> Any:
        """See `qmosaic.quality_mosaic`."""
        return quality_mosaic(self._collection, quality_band, **rules)

    def to_zarr(self, store: Any, **options: Any) -> None:
        """See `qmosaic.to_zarr`."""
        return to_zarr(self._collection, store, **options)

    def explain(self, **options: Any) -> Explanation:
        """See `qmosaic.explain`."""
        return explain(self._collection, **options)

    def visualize(self, **vis_params: Any) -> xr.DataArray:
        """See `qmosaic.visualize`."""
        return visualize(self._collection, **vis_params)

    def quicklook(self, path: Any = None, **options: Any) -> Picture:
        """See `qmosaic.quicklook`."""
        return quicklook(self._collection, path, **options)


@xr.register_dataset_accessor("qmosaic")  # type: ignore[no-untyped-call]
class DatasetVerbs(_Verbs):
    """``dataset.qmosaic``."""

    def filter_date(self, start: Instant, end: Instant | None = None, **options: Any) -> xr.Dataset:
        """See `qmosaic.filter_date`."""
        return filter_date(self._collection, start, end, **options)

    def filter_bounds(self, geometry: Any, **options: Any) -> xr.Dataset:
        """See `qmosaic.filter_bounds`."""
        return filter_bounds(self._collection, geometry, **options)

    def map_images(self, func: Callable[[xr.Dataset], xr.Dataset], **options: Any) -> xr.Dataset:
        """See `qmosaic.map_images`."""
        return map_images(self._collection, func, **options)

    def select(self, bands: str | Sequence[str], **options: Any) -> xr.Dataset:
        """See `qmosaic.select`."""
        return select(self._collection, bands, **options)


@xr.register_dataarray_accessor("qmosaic")  # type: ignore[no-untyped-call]
class DataArrayVerbs(_Verbs):
    """``array.qmosaic``."""
