"""Ids of collections and images, and where their pixels are kept."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from qmosaic.ee.assets import check_bands, opened
from qmosaic.ee.datasets import known as known_dataset
from qmosaic.ee.folders import exported_image, exported_table
from qmosaic.ee.properties import property_of

VARIABLE = "QMOSAIC_CATALOG"
"""The environment variable that may name a catalogue."""

_known: dict[str, Callable[[], xr.Dataset]] = {}
_loaded: set[str] = set()
_sources: dict[str, Any] = {}


def register(
    asset_id: str,
    source: Any,
    bands: str | Sequence[str] | Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Register a collection or an image: tell where the pixels of an id are kept.

    Parameters
    ----------
    asset_id : str
        For instance "COPERNICUS/S2_SR_HARMONIZED".
    source : xarray.Dataset, or what `qmosaic.open_collection` or `qmosaic.open_mosaic` opens
        What has to be opened is opened when it is first used, and once. Without times it is a
        single image, for ``ee.Image(asset_id)``: an elevation model in a GeoTIFF, a mosaic that
        `qmosaic.to_zarr` has written, a Dataset without a dimension ``time``. Of features, for
        ``ee.FeatureCollection(asset_id)``: a GeoDataFrame, or the path of a file that geopandas
        reads.
    bands : str, sequence of str or mapping, optional
        The bands to open, by their names in Earth Engine or in the source. A mapping of names in
        the source to those that they are to get opens these bands: ``{"B04": "B4"}``.
    **options
        For `qmosaic.open_collection`; for a mosaic, `qmosaic.open_mosaic`. They speak of bands as
        the source calls them.

    Raises
    ------
    TypeError
        The id is no text, a Dataset comes with options, or `bands` are no names.
    ValueError
        Two bands of a Dataset would get one name.
    KeyError
        A Dataset has no such band.

    Notes
    -----
    Under the ids of Sentinel-2, Cloud Score+, Sentinel-1, Landsat 4 to 9 (Collection 2) and the
    usual products of MODIS, bands and properties get Earth Engine's names: ``B04`` or ``red`` of a
    STAC catalogue, a file or a Dataset is ``B4`` of Sentinel-2, ``SR_B4`` of Landsat 8 and
    ``SR_B3`` of Landsat 5. A name that is Earth Engine's already stays, and so does one that
    nothing is known of. Pixels stay what they are, but for "COPERNICUS/S2_HARMONIZED" and
    "COPERNICUS/S2_SR_HARMONIZED", which are opened with ``harmonize="earth_engine"``.

    Of STAC items under such an id only the bands that are known are opened, and only items of its
    satellite and tier; a band that an item lacks is masked there (``missing="mask"``). Name the
    bands that you need: of each, what an item does not say is read from the headers of its files.
    Properties:
    ``eo:cloud_cover`` is "CLOUDY_PIXEL_PERCENTAGE" of Sentinel-2 and "CLOUD_COVER" of Landsat,
    ``sat:orbit_state`` is "orbitProperties_pass" of Sentinel-1, in capitals, and so on. The index
    of an image is the id of its item, of Landsat that of Earth Engine: "LC08_044034_20140318".

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> images = xr.Dataset({"red": (("time", "y", "x"), np.ones((2, 3, 4)))})
    >>> ee.register("MY/IMAGES", images)
    >>> ee.ImageCollection("MY/IMAGES").size().getInfo()
    2

    Under an id that is known, and with names of your own:

    >>> ee.register("COPERNICUS/S2_SR", images)
    >>> ee.ImageCollection("COPERNICUS/S2_SR").first().bandNames()
    ['B4']
    >>> ee.register("MY/IMAGES", images, bands={"red": "R"})
    >>> ee.ImageCollection("MY/IMAGES").first().bandNames()
    ['R']
    """
    if not isinstance(asset_id, str) or not asset_id:
        raise TypeError(
            f"ee.register() got the id {asset_id!r}; it is a text such as "
            "'COPERNICUS/S2_SR_HARMONIZED'."
        )
    chosen = check_bands(bands, f"ee.register({asset_id!r})")
    _sources[asset_id] = source
    if isinstance(source, xr.Dataset):
        if options:
            raise TypeError(
                f"ee.register() got a Dataset, which is open already, and {sorted(options)[0]}=. "
                "Leave the options out."
            )
        dataset = opened(asset_id, source, chosen)
        _known[asset_id] = lambda: dataset
        return
    made: list[xr.Dataset] = []

    def once() -> xr.Dataset:
        if not made:
            made.append(opened(asset_id, source, chosen, options))
        return made[0]

    _known[asset_id] = once


def load_catalog(path: str | Path) -> list[str]:
    """Register the collections and images that a TOML file lists.

    The file that the environment variable ``QMOSAIC_CATALOG`` names is loaded without a call. Each
    table has an id as its name, a key ``source``, and arguments of `register`. Paths are relative
    to the file::

        ["COPERNICUS/S2_SR_HARMONIZED"]
        source = "s2.zarr"
        bands = ["B2", "B3", "B4", "MSK_CLDPRB"]
        nodata = {MSK_CLDPRB = "none"}

        ["users/me/plains"]
        source = "plains.tif"
        bands = {band_1 = "red", band_2 = "green"}

    Parameters
    ----------
    path : str or Path
        The file. ``"none"`` stands for Python's None, which TOML does not have.

    Returns
    -------
    list of str
        The ids.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no TOML, or a table has no source.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from qmosaic import ee
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "collections.toml"
    ...     _ = file.write_text('["MY/COLLECTION"]\\nsource = "s2.zarr"')
    ...     ee.load_catalog(file)
    ['MY/COLLECTION']
    """
    import tomllib  # here, as few programs have a catalogue

    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no catalogue {str(path)!r}, so no collection can be registered. Check the "
            "path (and the environment variable QMOSAIC_CATALOG)."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(
            f"the catalogue {str(path)!r} is no TOML ({error}). Write a table for each collection: "
            '["COPERNICUS/S2_SR_HARMONIZED"] and below it source = "s2.zarr".'
        ) from error
    for asset_id, entry in content.items():
        if not isinstance(entry, Mapping) or "source" not in entry:
            raise ValueError(
                f"the catalogue {str(path)!r} has no source for {asset_id!r}, so nothing can be "
                f'opened. Write ["{asset_id}"] and below it source = "path or URL". (An id '
                "with dots or slashes has to be quoted.)"
            )
        options = _without_none({k: v for k, v in entry.items() if k != "source"})
        register(asset_id, _placed(entry["source"], file.parent), **options)
    return list(content)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items()}
    return None if value == "none" else value


def _placed(source: Any, folder: Path) -> Any:
    if isinstance(source, list):
        return [_placed(one, folder) for one in source]
    text = str(source)
    return text if "://" in text or text.startswith("/vsi") else str(folder / text)


def resolve(asset_id: str, caller: str = "ee.ImageCollection") -> xr.Dataset:
    """Open what an id, a path or a URL stands for: a collection, or a single image.

    Parameters
    ----------
    asset_id : str
        An id that is registered; that of an image in a collection,
        "LANDSAT/LC08/C02/T1_L2/LC08_044034_20140318"; a path or URL.
    caller : str
        What asks for it: ``ee.Image`` gets a single image, ``ee.ImageCollection`` images along
        ``time``.

    Raises
    ------
    KeyError
        It is neither registered nor a path.
    ValueError
        It is a collection, and an image is asked for; or the other way round.
    """
    _load_named()
    dataset = _found(asset_id, caller)
    several = dataset.sizes.get("time")
    if caller == "ee.Image" and several == 1:
        return dataset.isel(time=0)
    if caller == "ee.Image" and several is not None:
        raise ValueError(
            f"ee.Image({asset_id!r}): it is a collection of {several} images, not one. Write "
            f"ee.ImageCollection({asset_id!r}), of which .first() is an image, or name an image, "
            f"ee.Image({f'{asset_id}/INDEX'!r}), by its system:index."
        )
    if caller == "ee.ImageCollection" and several is None:
        raise ValueError(
            f"ee.ImageCollection({asset_id!r}): it is a single image, without a dimension 'time' "
            f"along which images would lie. Write ee.Image({asset_id!r})."
        )
    return dataset


def features(asset_id: str) -> Any:
    """Give what was registered as the features of an id, a path or a GeoDataFrame; a path or URL
    that is no id is given back.

    Raises
    ------
    KeyError
        It is neither.
    """
    _load_named()
    if asset_id in _sources:
        return _sources[asset_id]
    if (exported := exported_table(asset_id)) is not None:
        return str(exported)
    if "://" in asset_id or os.path.exists(os.path.expanduser(asset_id)):
        return asset_id
    close = difflib.get_close_matches(asset_id, list(_sources), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise KeyError(
        f"ee.FeatureCollection({asset_id!r}): the id is not registered, and there is no server "
        f"that knows it. Say where its features are kept: ee.register({asset_id!r}, "
        f"'countries.gpkg'), or list it in a TOML file, ee.load_catalog('collections.toml').{hint}"
    )


def _load_named() -> None:
    """Load the catalogue that the environment variable names, once."""
    named = os.environ.get(VARIABLE)
    if named and named not in _loaded:
        load_catalog(named)
        _loaded.add(named)


def _found(asset_id: str, caller: str) -> xr.Dataset:
    if asset_id in _known:
        return _known[asset_id]()
    if (exported := exported_image(asset_id)) is not None:
        return opened(asset_id, exported)
    if "://" in asset_id or os.path.exists(asset_id):
        return opened(asset_id, asset_id)
    collection, _, index = asset_id.rpartition("/")
    if collection in _known:
        return _image(collection, index, caller)
    close = difflib.get_close_matches(asset_id, list(_known), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    if known_dataset(asset_id) is not None:
        hint = f" The bands get the names that they have in Earth Engine.{hint}"
    raise KeyError(
        f"{caller}({asset_id!r}): the id is not registered, and there is no server that "
        f"knows it. Say where its pixels are kept: ee.register({asset_id!r}, 'path, URL or STAC "
        f"items'), or list it in a TOML file, ee.load_catalog('collections.toml').{hint}"
    )


def _image(collection_id: str, index: str, caller: str) -> xr.Dataset:
    """Find an image of a collection by its index."""
    collection = _known[collection_id]()
    where = f"{caller}({f'{collection_id}/{index}'!r})"
    if "time" not in collection.dims:
        raise KeyError(
            f"{where}: {collection_id!r} is registered as a single image, which has no others in "
            f"it. Write ee.Image({collection_id!r}), or register this id too."
        )
    known = property_of(collection, "system:index", where).values.astype(str).tolist()
    if index not in known:
        close = difflib.get_close_matches(index, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are {known[:3]}."
        raise KeyError(
            f"{where}: none of the {len(known)} images of {collection_id!r} has the system:index "
            f"{index!r}. {hint}"
        )
    return collection.isel(time=known.index(index))
