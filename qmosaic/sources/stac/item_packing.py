"""What STAC items say of the meaning of integers: in fields of their own, or by their baseline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qmosaic.sources.packing import Packing
from qmosaic.sources.sentinel_2 import SCALE, baseline_in, baseline_of_product, is_band, packing_at

if TYPE_CHECKING:
    import pystac

BASELINES = ("s2:processing_baseline", "sentinel:processing_baseline")
NAMES = ("name", "common_name", "eo:common_name")
PRODUCTS = ("s2:product_uri", "sentinel:product_id")
TAKEN_OFF = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Earth Search, of today and before its version 1: whether the offset has been taken off the
GeoTIFFs (not the JPEG 2000 files beside them). ``raster:bands`` goes on saying -0.1 there, and the
pixels agree with this: https://github.com/Element84/earth-search/issues/56 and 66."""

COMPLETE = "sentinel-2-c1-l2a"
"""Earth Search's collection in which offsets are where they are said to be."""


_SENTINEL_2 = re.compile(r"sentinel-?s?2", re.IGNORECASE)


def packing_said(item: pystac.Item, asset: str, number: int, dtype: Any) -> Packing | None:
    """Tell what the integers of a band mean, as far as an item says it.

    Parameters
    ----------
    item : pystac.Item
        An item.
    asset : str
        The key of the asset.
    number : int
        Which of its bands, from 1.
    dtype : dtype
        Of its pixels: Sentinel-2's integers are packed, floats that are made of them are not.

    Returns
    -------
    Packing or None
        From ``raster:bands`` (raster extension 1), ``raster:scale`` and ``raster:offset`` (raster
        extension 2, on the band, the asset or the item), for the reflectances of Sentinel-2 also
        from what is said of their baseline; None where the item says nothing.
    """
    scale, offset = _fields(item, asset, number)
    if np.dtype(dtype).kind in "iu" and is_reflectance(item, asset):
        baseline = _baseline(item)
        if _taken_off(item) and not _is_original(item, asset):
            return Packing(SCALE if scale is None else scale, 0.0)
        if offset is None and baseline is not None:
            usual = packing_at(baseline)
            return Packing(usual.scale if scale is None else scale, usual.offset)
    if scale is None and offset is None:
        return None
    return Packing(1.0 if scale is None else scale, offset or 0.0)


def is_doubtful(item: pystac.Item, asset: str, packing: Packing | None) -> bool:
    """Tell whether an item says something that has been found wrong in others of its kind.

    Earth Search says of some images that their offset is still there, although it has been taken
    off: https://github.com/Element84/earth-search/issues/71.
    """
    return (
        packing is not None
        and packing.offset != 0
        and _taken_off(item) is False
        and item.collection_id != COMPLETE
        and is_reflectance(item, asset)
        and not _is_original(item, asset)
    )


def is_probably_packed(item: pystac.Item, asset: str, dtype: Any) -> bool:
    """Tell whether an asset whose packing nobody says is one of ESA's reflectances; what others
    make of them (HLS, for instance) is in collections of other names."""
    esa = item.collection_id is None or _SENTINEL_2.match(item.collection_id) is not None
    return esa and np.dtype(dtype).kind in "iu" and is_reflectance(item, asset)


def is_reflectance(item: pystac.Item, asset: str) -> bool:
    """Tell whether an asset is a reflectance of Sentinel-2; other products say it in fields."""
    texts = [item.collection_id, item.properties.get("platform")]
    known = any(_SENTINEL_2.match(str(text)) for text in texts)
    if not known and _baseline(item) is None:
        return False
    fields = item.assets[asset].extra_fields
    lists = [_list(fields.get(name)) for name in ("eo:bands", "bands")]
    if any(len(bands) > 1 for bands in lists):
        return False  # a picture of three
    names = [band.get(n) for bands in lists for band in bands for n in NAMES]
    return any(is_band(name) for name in (asset.removesuffix("-jp2"), *names))


def damaged_packing(item: pystac.Item, asset: str, number: int) -> list[tuple[str, Any, str]]:
    """Find scales and offsets that cannot be what they say: field, value, what is wrong."""
    found = []
    for name in ("scale", "offset"):
        for field, value in _places(item, asset, number, name):
            if value is not None and _number(value) is None:
                found.append((field, value, "which is no finite number"))
            elif name == "scale" and _number(value) == 0:
                found.append((field, value, "with which integers mean nothing"))
    return found


def _fields(item: pystac.Item, asset: str, number: int) -> tuple[float | None, float | None]:
    """Find scale and offset where the raster extension has them; the narrower place counts."""
    scales, offsets = (
        [_number(value) for _, value in _places(item, asset, number, name)]
        for name in ("scale", "offset")
    )
    scale = next((v for v in scales if v), None)
    return scale, next((v for v in offsets if v is not None), None)


def _places(item: pystac.Item, asset: str, number: int, name: str) -> list[tuple[str, Any]]:
    """List what may tell a scale or an offset, the narrowest place first: field and value."""
    fields, own = item.assets[asset].extra_fields, slice(number - 1, number)
    places = [*_list(fields.get("bands"))[own], fields, item.properties]
    found = [(f"raster:{name}", place.get(f"raster:{name}")) for place in places]
    older = _list(fields.get("raster:bands"))[own]
    return found + [(f"the {name} in raster:bands", place.get(name)) for place in older]


def _list(value: Any) -> Sequence[Mapping[str, Any]]:
    """Take what is there for a list of mappings, and nothing for none."""
    if not isinstance(value, list):
        return []
    return [entry if isinstance(entry, Mapping) else {} for entry in value]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and not isinstance(value, bool) else None


def _baseline(item: pystac.Item) -> float | None:
    """Find the baseline in the properties of an item, else in the name of its product."""
    said = [baseline_in(item.properties[name]) for name in BASELINES if name in item.properties]
    products = [*(item.properties.get(name) for name in PRODUCTS), item.id]
    found = [*said, *map(baseline_of_product, products)]
    return next((baseline for baseline in found if baseline is not None), None)


def _taken_off(item: pystac.Item) -> bool | None:
    """Tell what Earth Search says of the offset; None for other catalogues."""
    said = next((item.properties[n] for n in TAKEN_OFF if n in item.properties), None)
    return said if isinstance(said, bool) else None


def _is_original(item: pystac.Item, asset: str) -> bool:
    """Tell whether a file is ESA's own, a JPEG 2000."""
    own = item.assets[asset]
    path = own.href.split("?")[0].lower()
    return asset.endswith("-jp2") or own.media_type == "image/jp2" or path.endswith(".jp2")
