"""Ids of collections, and where their images are kept."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from qmosaic.sources.opening import open_collection

VARIABLE = "QMOSAIC_CATALOG"
"""The environment variable that may name a catalogue."""

_known: dict[str, Callable[[], xr.Dataset]] = {}
_loaded: set[str] = set()


def register(asset_id: str, source: Any, **options: Any) -> None:
    """Register a collection: tell where the images of an id are kept.

    Parameters
    ----------
    asset_id : str
        For instance "COPERNICUS/S2_SR_HARMONIZED".
    source : xarray.Dataset, or what `qmosaic.open_collection` opens
        What has to be opened is opened when it is first used, and once.
    **options
        For `qmosaic.open_collection`.

    Raises
    ------
    TypeError
        The id is no text, or a Dataset comes with options.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from qmosaic import ee
    >>> ee.register("MY/IMAGES", xr.Dataset({"red": (("time", "y", "x"), np.ones((2, 3, 4)))}))
    >>> ee.ImageCollection("MY/IMAGES").size().getInfo()
    2
    """
    if not isinstance(asset_id, str) or not asset_id:
        raise TypeError(
            f"ee.register() got the id {asset_id!r}; it is a text such as "
            "'COPERNICUS/S2_SR_HARMONIZED'."
        )
    if isinstance(source, xr.Dataset):
        if options:
            raise TypeError(
                f"ee.register() got a Dataset, which is open already, and {sorted(options)[0]}=. "
                "Leave the options out."
            )
        dataset = source
        _known[asset_id] = lambda: dataset
        return
    opened: list[xr.Dataset] = []

    def once() -> xr.Dataset:
        if not opened:
            opened.append(open_collection(source, **options))
        return opened[0]

    _known[asset_id] = once


def load_catalog(path: str | Path) -> list[str]:
    """Register the collections that a TOML file lists.

    The file that the environment variable ``QMOSAIC_CATALOG`` names is loaded without a call. Each
    table has an id as its name, a key ``source``, and arguments of `qmosaic.open_collection`. Paths
    are relative to the file::

        ["COPERNICUS/S2_SR_HARMONIZED"]
        source = "s2.zarr"
        bands = ["B2", "B3", "B4", "MSK_CLDPRB"]
        nodata = {MSK_CLDPRB = "none"}

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


def resolve(asset_id: str) -> xr.Dataset:
    """Open the collection of an id, or of a path or URL.

    Raises
    ------
    KeyError
        It is neither registered nor a path.
    """
    named = os.environ.get(VARIABLE)
    if named and named not in _loaded:
        load_catalog(named)
        _loaded.add(named)
    if asset_id in _known:
        return _known[asset_id]()
    if "://" in asset_id or os.path.exists(asset_id):
        return open_collection(asset_id)
    close = difflib.get_close_matches(asset_id, list(_known), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise KeyError(
        f"ee.ImageCollection({asset_id!r}): the id is not registered, and there is no server that "
        f"knows it. Say where its images are kept: ee.register({asset_id!r}, 'path, URL or STAC "
        f"items'), or list it in a TOML file, ee.load_catalog('collections.toml').{hint}"
    )
