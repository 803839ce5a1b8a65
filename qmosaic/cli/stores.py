"""From the text of a path or URL to a store."""

from __future__ import annotations

import re
from typing import Any

import click

CLOUDS = ("s3", "s3a", "gs", "az", "abfs", "abfss")
"""Schemes of the object stores that obstore opens; its locks take one step, those of fsspec do
not."""

URL = re.compile(r"^([a-z][a-z0-9+]*)://")


def scheme_of(text: str) -> str:
    """Give the scheme of a URL; "" of a path."""
    found = URL.match(text)
    return found[1] if found else ""


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
