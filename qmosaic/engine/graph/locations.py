"""Where stores and files lie, whatever they are opened with: so that two of them can be compared,
and named without the keys that open them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, ZipStore

FILES = "file"

SECRETS = re.compile(
    r"(?i)^(x-amz-.*|x-goog-.*|awsaccesskeyid|googleaccessid|signature|sig|expires|policy|"
    r"key-pair-id|(access_?|auth_?)?token|api_?key|s[eptvr]|srt?|ss|spr|sip|skoid|sktid|skt|ske|sks|skv|"
    r"saoid|suoid|scid|sdd)$"
)
"""The names of what signs a URL: keys, and until when they open it."""

SCHEMES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az", "local": FILES}


@dataclass(frozen=True)
class Location:
    """A place in a file system, an object store, on a server or in memory.

    Attributes
    ----------
    system : str
        "file", "s3", "gs", "az", "http", or something that is there once.
    path : tuple of str
        The parts of the path, from the root or the bucket on.
    host : str
        Where the system is, "" where it is not known or there is but one.
    """

    system: str
    path: tuple[str, ...]
    host: str = ""

    def __truediv__(self, path: str) -> Location:
        """Give a place inside."""
        return Location(self.system, self.path + _parts(path), self.host)

    def holds(self, other: Location) -> bool:
        """Whether another place is this one or lies inside it."""
        if self.system != other.system:
            return False
        if self.host and other.host and self.host != other.host:
            return False
        if self.system == FILES and _same_file(self, other):
            return True
        return other.path[: len(self.path)] == self.path

    def as_path(self) -> Path | None:
        """Give the path on this machine, None elsewhere."""
        return Path("/", *self.path) if self.system == FILES else None

    def __str__(self) -> str:
        if self.system == FILES:
            return str(self.as_path())
        return f"{self.system}://" + "/".join(p for p in (self.host, *self.path) if p)


def _same_file(folder: Location, inside: Location) -> bool:
    """Whether a folder is one of those that a file is in, by another name (another mount)."""
    own, other = folder.as_path(), inside.as_path()
    if own is None or other is None or not own.exists():
        return False
    return any(p.exists() and os.path.samefile(own, p) for p in (other, *other.parents))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(p for p in str(path).replace("\\", "/").split("/") if p)


def locate_path(path: str | os.PathLike[str]) -> Location:
    """Say where a path or a URL leads to.

    Raises
    ------
    ValueError, OSError
        It is neither.
    """
    text = os.fspath(path)
    if text.startswith("/vsi"):  # GDAL's names: /vsicurl/https://..., /vsizip/archive.zip/a.tif
        kind, _, rest = text[1:].partition("/")
        buckets = {"vsis3": "s3://", "vsigs": "gs://", "vsiaz": "az://"}
        return locate_path(buckets.get(kind, "" if "://" in rest else "/") + rest)
    if "::" in text and "://" in text:
        text = text.rsplit("::", 1)[-1]
    scheme, found, rest = text.partition("://")
    if not found:
        return Location(FILES, Path(text).expanduser().resolve().parts[1:])
    scheme = SCHEMES.get(scheme.lower(), scheme.lower())
    if scheme == FILES:
        from urllib.request import url2pathname  # brings http and email along

        return locate_path(url2pathname(rest))
    if scheme in ("http", "https"):
        split = urlsplit(without_secrets(text))
        query = (f"?{split.query}",) if split.query else ()
        return Location("http", (*_parts(split.path), *query), split.netloc)
    return Location(scheme, _parts(rest.partition("?")[0]))


def without_secrets(text: str) -> str:
    """Take the keys out of a URL; other texts stay as they are."""
    if "://" not in text:
        return text
    try:
        split = urlsplit(text)
    except ValueError:
        return text
    query = [p for p in parse_qsl(split.query, True) if not SECRETS.match(p[0])]
    host = split.netloc.rpartition("@")[2]
    return urlunsplit((split.scheme, host, split.path, urlencode(query), split.fragment))


def locate_store(store: Store) -> Location | None:
    """Say where a store of Zarr lies; None where it does not tell."""
    if isinstance(store, LocalStore):
        return locate_path(store.root)
    if isinstance(store, ZipStore):
        return locate_path(store.path)
    if isinstance(store, FsspecStore):
        return locate_in_fsspec(store.fs, store.path)
    if isinstance(store, ObjectStore):
        return locate_obstore(store.store)
    if isinstance(store, MemoryStore):
        return Location(str(store), ())  # which dict it is
    session = getattr(store, "session", None)
    if session is not None:
        return Location("icechunk", (), f"{_text(session, 'snapshot_id')}")
    inner = getattr(store, "_store", None)  # zarr.storage.WrapperStore has no other name for it
    return locate_store(inner) if isinstance(inner, Store) else None


def _text(thing: Any, name: str) -> str:
    return str(getattr(thing, name, "") or "")


def locate_obstore(store: Any) -> Location | None:
    """Say where a store of obstore lies."""
    kind, prefix = type(store).__name__, _text(store, "prefix")
    config = getattr(store, "config", None) or {}
    if kind == "LocalStore":
        return locate_path(prefix or "/")
    if kind == "HTTPStore":
        return locate_path(str(store.url))
    if kind == "S3Store":
        return Location("s3", _parts(f"{config.get('bucket', '')}/{prefix}"), _endpoint(config))
    if kind == "GCSStore":
        return Location("gs", _parts(f"{config.get('bucket', '')}/{prefix}"))
    if kind == "AzureStore":
        bucket = config.get("container_name", "")
        return Location("az", _parts(f"{bucket}/{prefix}"), config.get("account_name", ""))
    if kind == "MemoryStore":
        return Location(f"memory of obstore {id(store)}", ())
    inner = getattr(store, "store", None)
    if inner is not None and type(inner).__module__.startswith("obstore"):
        return locate_obstore(inner)
    return None


def _endpoint(config: Any) -> str:
    """Name the server of a bucket: "" where it is Amazon's, which has but one of each name."""
    found = config.get("endpoint") or config.get("endpoint_url") or config.get("aws_endpoint") or ""
    host = urlsplit(str(found)).netloc.rpartition("@")[2].replace("localhost", "127.0.0.1")
    return "" if host.endswith("amazonaws.com") else host


def locate_in_fsspec(system: Any, path: str) -> Location | None:
    """Say where a path of a file system of fsspec lies."""
    while True:
        if type(system).__name__ == "DirFileSystem":
            path = f"{str(system.path).rstrip('/')}/{path}"
        inner = getattr(system, "sync_fs", None) or getattr(system, "fs", None)
        if inner is None or not hasattr(inner, "protocol"):
            break
        system = inner
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    scheme = SCHEMES.get(protocol, protocol)
    if scheme == "reference":
        return None  # its chunks lie in other files
    if scheme in (FILES, "http", "https"):
        return locate_path(path)
    options = getattr(system, "storage_options", None) or {}
    given = options.get("client_kwargs") or {}
    host = {
        "s3": _endpoint({"endpoint": _text(system, "endpoint_url")} | given | options),
        "az": _text(system, "account_name"),
    }.get(scheme, "")
    return Location(scheme, _parts(path.rpartition("://")[2]), host)
