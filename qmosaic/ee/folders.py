"""Where exports are written, and how an image or a table that was exported is found again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "QMOSAIC_EXPORTS"
"""The environment variable that may name the folder of exports."""


@dataclass
class _Place:
    folder: Path | None = None
    overwrite: bool = False


_place = _Place()


def export_to(folder: str | os.PathLike[str] | None, *, overwrite: bool = False) -> None:
    """Say where exports are written: what for Earth Engine is a Drive, a bucket, the assets.

    Without a call, that is the folder that the environment variable ``QMOSAIC_EXPORTS`` names, else
    the current one. Below it lie ``FOLDER/PREFIX.tif`` of ``toDrive``, ``BUCKET/PREFIX.tif`` of
    ``toCloudStorage`` and ``ASSET_ID.zarr`` of ``toAsset``, which `ee.Image` finds by its id.

    Parameters
    ----------
    folder : str or path
        The folder; it is made when something is exported. None: as without a call.
    overwrite : bool, default: False
        Whether exports replace what earlier ones have written under the same name. Without it,
        files get a number, ``PREFIX (1).tif``, and an asset that is there is an error.

    Examples
    --------
    >>> from qmosaic import ee
    >>> ee.export_to("exports")
    >>> ee.export_to(None)
    """
    _place.folder = None if folder is None else Path(folder).expanduser()
    _place.overwrite = overwrite


def replaces() -> bool:
    """Tell whether exports replace what is there."""
    return _place.overwrite


def file_at(folder: str | None, name: str, ending: str) -> Path:
    """Give the path of a file below the folder of exports.

    Raises
    ------
    ValueError
        A name that leads out of the folder, or that no file can have.
    """
    text = "/".join(part for part in (folder, f"{name}{ending}") if part)
    parts = text.split("/")
    strange = any(c in '\\:*?"<>|' or ord(c) < 32 for c in text)
    if strange or any(part.strip() in ("", ".", "..") for part in parts) or not name.strip():
        raise ValueError(
            f"nothing can be exported to {text!r}: a file or folder cannot be called so, or it "
            "lies outside the folder of exports. Write letters, digits, '-', '_' and, between "
            "folders, '/'. Where the folder of exports is, ee.export_to('path') says."
        )
    return _folder().joinpath(*parts)


def exported_image(asset_id: str) -> Path | None:
    """Find the store of an image that was exported as an asset; None where there is none."""
    return _there(asset_id, ".zarr")


def exported_table(asset_id: str) -> Path | None:
    """Find the GeoJSON of a table that was exported as an asset; None where there is none."""
    return _there(asset_id, ".geojson")


def _there(asset_id: Any, ending: str) -> Path | None:
    try:
        path = file_at(None, asset_id, ending)
    except (TypeError, ValueError, AttributeError):
        return None
    return path if path.exists() else None


def _folder() -> Path:
    if _place.folder is not None:
        return _place.folder
    return Path(os.environ.get(VARIABLE) or ".").expanduser()
