"""From the text of a path or URL to a store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

CLOUDS = ("s3", "s3a", "gs", "az", "abfs", "abfss")
"""Schemes of the object stores that obstore opens; its locks take one step, those of fsspec do
not."""

HALF = re.compile(r"^([a-z][a-z0-9+]+):/(?!/)")
"""A URL that lacks a slash, which would be a folder of that name; C:/ is a drive."""

URL = re.compile(r"^([a-z][a-z0-9+]*)://")


def scheme_of(text: str) -> str:
    """Give the scheme of a URL; "" of a path."""
    found = URL.match(text)
    return found[1] if found else ""


def check_file(text: str, name: str, overwrite: bool) -> None:
    """Refuse a file that could not be written, or would replace another one unasked.

    Parameters
    ----------
    text : str
        Its path.
    name : str
        The option that gave it.
    overwrite : bool
        Whether it may replace another one.

    Raises
    ------
    click.UsageError
        It is to be in a Zarr store, or in a folder that does not exist.
    FileExistsError
        It is there.
    """
    path = Path(text).absolute()
    inside = next((folder for folder in path.parents if is_zarr(folder)), None)
    if inside is not None:
        raise click.UsageError(
            f"{name} {text}: this is in the Zarr store {str(inside)!r}, where it would be lost "
            "among chunks. Write it beside the store."
        )
    if not path.parent.is_dir():
        raise click.UsageError(
            f"{name} {text}: there is no folder {str(path.parent)!r}. Make it, or correct the path."
        )
    if path.is_dir():
        raise click.UsageError(f"{name} {text}: this is a folder. Write to a file in it.")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{text!r} exists already; nothing was changed. Write to another path, or replace it "
            "with --overwrite."
        )


def is_zarr(folder: Path) -> bool:
    """Tell whether a folder is a group or an array of Zarr."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def store_at(text: str) -> Any:
    """Give a store of zarr for an object store; any other path or URL as it is.

    Keys, region and endpoint are those of the environment (``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL``, ...).
    """
    if scheme_of(text) not in CLOUDS:
        return text
    try:
        import obstore.store
        from zarr.storage import ObjectStore
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{text!r} is in an object store, which needs the package 'obstore', and that is not "
            'installed. Write, in the checkout of qmosaic: pip install ".[s3]"'
        ) from error
    return ObjectStore(obstore.store.from_url(text))
