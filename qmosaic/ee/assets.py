"""Sources as Earth Engine has them: bands and properties get the names that they have there."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import xarray as xr
from zarr.abc.store import Store

from qmosaic.collection.model import bands_of
from qmosaic.ee.datasets import Known, known, plain_name
from qmosaic.ee.names import BAND, PROPERTY, TIME, property_in, with_properties
from qmosaic.ee.properties import array_of
from qmosaic.sink.opening import is_mosaic, open_mosaic
from qmosaic.sources.opening import items_in, open_collection, open_images
from qmosaic.sources.request import check_known

if TYPE_CHECKING:
    import pystac

Bands = str | Sequence[str] | Mapping[str, str] | None

KEPT = ("platform", "eo:cloud_cover")
"""Properties of STAC items that `open_collection` keeps unasked."""


def check_bands(bands: Any, caller: str) -> Bands:
    """Refuse what is neither names of bands nor a mapping that gives them others.

    Raises
    ------
    TypeError
        It is neither.
    ValueError
        Two bands would get one name.
    """
    if isinstance(bands, Mapping):
        texts: Iterable[Any] = [*bands, *bands.values()]
        _check_unique(bands, f"{caller} got bands=")
    else:
        texts = [] if bands is None or isinstance(bands, str) else bands
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        raise TypeError(
            f"{caller} got bands={bands!r:.80}, which names no bands. Write those to open, "
            "bands=['B4', 'B8'], or what they are called in the source and in Earth Engine, "
            "bands={'B04': 'B4', 'B08': 'B8'}."
        )
    return bands if isinstance(bands, str | Mapping) or bands is None else list(bands)


def opened(
    asset_id: str, source: Any, bands: Bands = None, options: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Open a source with Earth Engine's names, as far as they are known for the id.

    Parameters
    ----------
    asset_id : str
        What it is to be called.
    source : xarray.Dataset, or what `qmosaic.open_collection` or `qmosaic.open_mosaic` opens
        A collection, or a single image.
    bands : str, sequence of str or mapping, optional
        Which bands to open, and how to call them.
    options : mapping, optional
        Arguments of `qmosaic.open_collection`, for a mosaic of `qmosaic.open_mosaic`.
    """
    table = known(asset_id)
    options = dict(options or {})
    if isinstance(source, xr.Dataset):
        dataset = _named(asset_id, source, bands, table)
    elif _is_mosaic(source, options):
        there = open_mosaic(source, **{"mask_and_scale": False, **options})
        dataset = _named(asset_id, there, bands, table)
    else:
        source = list(source) if isinstance(source, Iterator) else source
        options = {**(table.options if table else {}), **options}
        items = items_in(source, options.get("format"))
        if items is not None:
            return _of_items(asset_id, items, bands, table, options)
        dataset = _of_files(asset_id, source, bands, table, options)
    return _with_properties(dataset, table)


def _is_mosaic(source: Any, options: Mapping[str, Any]) -> bool:
    """Tell whether a source is a mosaic that was written here, so that an incomplete one is
    refused, and its levels are known."""
    where = {name: options.get(name) for name in ("group", "storage_options")}
    if isinstance(source, str | Path):
        text = os.path.expanduser(source)
        may_be = PurePosixPath(text).suffix == ".zarr" if "://" in text else os.path.isdir(text)
        return may_be and is_mosaic(text, **where)
    return isinstance(source, Store) and is_mosaic(source, **where)


# -- files and stores ------------------------------------------------------------------------------


def _of_files(
    asset_id: str, source: Any, bands: Bands, table: Known | None, options: Mapping[str, Any]
) -> xr.Dataset:
    asked = list(bands) if isinstance(bands, Mapping) else bands
    try:
        dataset = open_images(source, bands=asked, **options)
    except KeyError:
        # asked for by Earth Engine's names, which nothing but the opened source can translate
        if table is None or isinstance(bands, Mapping) or bands is None:
            raise
        dataset = open_images(source, **options)
    if TIME not in dataset.dims and bands is None:
        numbered = {name: re.fullmatch(r"band_(\d+)", str(name)) for name in dataset.data_vars}
        own: dict[Any, str] = {name: f"b{found[1]}" for name, found in numbered.items() if found}
        dataset = _renamed(dataset, own)  # so are bands without names called in Earth Engine
    return _named(asset_id, dataset, bands, table)


def _named(asset_id: str, dataset: xr.Dataset, bands: Bands, table: Known | None) -> xr.Dataset:
    """Rename the bands of a source, and choose those that are asked for."""
    there = bands_of(dataset, TIME) if TIME in dataset.dims else list(dataset.data_vars)
    what = f"the source of {asset_id!r} has"
    if isinstance(bands, Mapping):
        check_known(bands, there, what)
        new: dict[Any, str] = dict(bands)
        chosen: list[Any] = list(bands)
    else:
        names = {} if table is None else table.names(in_items=False)
        new = {name: names.get(plain_name(name), str(name)) for name in there}
        _check_unique(new, f"the source of {asset_id!r}")
        chosen = there
        if bands is not None:
            asked = [bands] if isinstance(bands, str) else bands
            by_new = {called: name for name, called in new.items()}
            check_known(asked, [*dict.fromkeys([*by_new, *there])], what)
            chosen = [by_new.get(name, name) for name in asked]
    others = [name for name in dataset.data_vars if name not in there]
    return _renamed(dataset[[*chosen, *others]], {name: new[name] for name in chosen})


def _renamed(dataset: xr.Dataset, new: Mapping[Any, str]) -> xr.Dataset:
    """Rename bands; a property of that name keeps it beside them, see `qmosaic.ee.names`."""
    changed = {
        name: f"{BAND}{called}" if called in dataset.dims else called
        for name, called in new.items()
        if name != called
    }
    aside = {
        called: f"{PROPERTY}{called}" for called in changed.values() if called in dataset.coords
    }
    return dataset.rename({**aside, **changed})


def _check_unique(new: Mapping[Any, str], what: str) -> None:
    for called, count in Counter(new.values()).items():
        if count > 1:
            one, other = [name for name in new if new[name] == called][:2]
            raise ValueError(
                f"{what}: the bands {one!r} and {other!r} would both be called {called!r}, and an "
                "image cannot have two bands of one name. Say which is meant, "
                f"bands={{{one!r}: {called!r}, ...}} with all that you need, or rename one."
            )


# -- STAC items ------------------------------------------------------------------------------------


def _of_items(
    asset_id: str,
    items: list[pystac.Item],
    bands: Bands,
    table: Known | None,
    options: dict[str, Any],
) -> xr.Dataset:
    """Open STAC items: the bands that are known, and the properties that tell those known."""
    if table is None:
        asked = list(bands) if isinstance(bands, Mapping) else bands
        collection = open_collection(items, **{**options, "bands": asked})
        return _renamed(collection, bands) if isinstance(bands, Mapping) else collection
    items = _of_this(asset_id, items, table)
    given = options.get("properties") or []
    given = [given] if isinstance(given, str) else list(given)
    told = {name for item in items for name in item.properties}
    more = [name for name in table.asked if name in told and name not in (*given, *KEPT)]
    asked, new = _in_items(asset_id, items, bands, table)
    options = {"missing": "mask", **options, "properties": [*given, *more], "bands": asked}
    collection = open_collection(items, **options)
    kept = {name: called for name, called in new.items() if name in collection.data_vars}
    return _with_properties(_renamed(collection, kept), table).drop_vars(more, errors="ignore")


def _of_this(asset_id: str, items: list[pystac.Item], table: Known) -> list[pystac.Item]:
    """Keep the items that the collection of the id has: of its satellite, of its tier."""

    def belongs(item: pystac.Item) -> bool:
        own = {name: item.properties.get(name) for name in table.only}
        return all(v is None or plain_name(v) == plain_name(table.only[n]) for n, v in own.items())

    kept = [item for item in items if belongs(item)]
    if not kept:
        wanted = " and ".join(f"{name} = {value!r}" for name, value in table.only.items())
        found = {n: sorted({str(i.properties.get(n)) for i in items}) for n in table.only}
        told = ", ".join(f"{name}: {', '.join(values)}" for name, values in found.items())
        raise ValueError(
            f"none of {len(items)} STAC items belongs to {asset_id!r}, whose images have {wanted}; "
            f"the items have {told}. Search for those, or register these items under the id of "
            "their own collection."
        )
    return kept


def _in_items(
    asset_id: str, items: Sequence[pystac.Item], bands: Bands, table: Known
) -> tuple[list[str] | None, dict[Any, str]]:
    """Give the bands to open, by names that the items have, and what to call them."""
    if isinstance(bands, Mapping):
        return list(bands), dict(bands)
    names = table.names(in_items=True)
    found: dict[str, Counter[str]] = {name: Counter() for name in table.bands}
    for item in items:
        for name, called in _names_in(item, names, asset_id):
            found[called][name] += 1
    by_name = {called: count.most_common(1)[0][0] for called, count in found.items() if count}
    if bands is None:
        return list(by_name.values()) or None, {name: called for called, name in by_name.items()}
    asked = [by_name.get(n, n) for n in ([bands] if isinstance(bands, str) else bands)]
    return asked, {name: names.get(plain_name(name), name) for name in asked}


def _names_in(
    item: pystac.Item, names: Mapping[str, str], asset_id: str
) -> Iterator[tuple[str, str]]:
    """Find the bands that are known in an item: each name that it has for one, and Earth Engine's.

    A band is the asset that is called so; where none is, that which has a band called so.
    """
    from qmosaic.sources.stac.band_lists import names_of_bands  # few programs open STAC items

    places = {key: (key, 1) for key in item.assets} | names_of_bands([item])
    called = {n: names[plain_name(n)] for n in places if plain_name(n) in names}
    for band in dict.fromkeys(called.values()):
        all_names = [name for name, own in called.items() if own == band]
        of_assets = [name for name in all_names if name in item.assets] or all_names
        by_place: dict[Any, str] = {}
        for name in of_assets:
            by_place.setdefault(places[name], name)
        _check_unique(
            dict.fromkeys(by_place.values(), band), f"the STAC item {item.id!r}, for {asset_id!r}"
        )
        yield from ((name, band) for name in all_names if places[name] in by_place)


# -- properties ------------------------------------------------------------------------------------


def _with_properties(dataset: xr.Dataset, table: Known | None) -> xr.Dataset:
    """Add the properties that others tell; one that is there stays."""
    new = {}
    for one in () if table is None else table.properties:
        if property_in(dataset, one.name) is None:
            found = {name: property_in(dataset, name) for name in one.sources}
            there = [(values, one.sources[n]) for n, values in found.items() if values is not None]
            if there:
                new[one.name] = _converted(there)
    return with_properties(dataset, new)


def _converted(sources: Sequence[tuple[xr.DataArray, Any]]) -> xr.Variable:
    """Make a property, for each image of the first source that tells it of that image."""
    like = max((values for values, _ in sources), key=lambda values: values.ndim)
    columns = [
        [_one(value, convert) for value in values.broadcast_like(like).values.reshape(-1).tolist()]
        for values, convert in sources
    ]
    made = [next((v for v in row if v is not None), None) for row in zip(*columns, strict=True)]
    kind = next((type(value) for value in made if isinstance(value, str | list)), None)
    if kind is not None:
        made = [kind() if value is None else value for value in made]
    return xr.Variable(like.dims, array_of(made).reshape(like.shape))


def _one(value: Any, convert: Any) -> Any:
    """Convert a value; of one that is missing, or is nothing of the kind, nothing is known."""
    if value is None or value == "" or value != value:
        return None
    try:
        return convert(value)
    except (ValueError, TypeError, IndexError):
        return None
