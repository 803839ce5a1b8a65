"""``ds.qmosaic.<verb>()``: the verbs as methods of a collection, one line each."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import xarray as xr

from qmosaic.explanation import Explanation, explain
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


@xr.register_dataset_accessor("qmosaic")  # type: ignore[no-untyped-call]
class DatasetVerbs(_Verbs):
    """``dataset.qmosaic``."""


@xr.register_dataarray_accessor("qmosaic")  # type: ignore[no-untyped-call]
class DataArrayVerbs(_Verbs):
    """``array.qmosaic``."""
