"""The nodata of a band: one for all files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.collection.masks import free_value
from qmosaic.sources.geotiff.files import Image
from qmosaic.sources.nodata import check_fits
from qmosaic.sources.request import Request

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def settle_nodata(images: Sequence[Image], name: str, grid: GeoBox, request: Request) -> Any:
    """Settle the nodata of a band for all files: the user's, the one that all of them declare, or
    a free value where files do not cover the grid."""
    own = [image.bands[name] for image in images if name in image.bands]
    first, number = own[0]
    dtype = np.dtype(first.dtypes[number])
    for file, i in own:
        if not request.overrides(name) and not _same(
            _masking(file.nodata[i], dtype), _masking(first.nodata[number], dtype)
        ):
            raise ValueError(
                f"band {name!r} declares nodata {first.nodata[number]} in {first.path!r} and "
                f"{file.nodata[i]} in {file.path!r}; a collection has one for all. Say which "
                f"holds: nodata={{{name!r}: ...}}, or None if every value is data."
            )
    given = request.overrides(name)
    value = request.nodata_of(name) if given else first.nodata[number]
    check_fits(value, name, dtype, "" if given else f"the file {first.path!r}")
    warped = any(file.grid != grid for file, _ in own)
    return free_value(dtype) if value is None and warped else value


def _masking(nodata: Any, dtype: np.dtype[Any]) -> Any:
    """Give what is masked: NaN always is in floats, declared or not."""
    return np.nan if nodata is None and dtype.kind == "f" else nodata


def _same(a: Any, b: Any) -> bool:
    return a is b or (b is not None and (a == b or (a != a and b != b)))
