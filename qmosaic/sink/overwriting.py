"""Refusing to write where a mosaic cannot be, or where something would be lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from qmosaic.engine.graph import Web
from qmosaic.sink.journal import GROUP, DamagedJournalError
from qmosaic.sink.store_group import Place, node_of

DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""The files of metadata of Zarr's formats 2 and 3."""

CHUNK = re.compile(r"c|(c[/.])?\d+([/.]\d+)*")
"""The name of a chunk in its array."""

LIKE_A_CHUNK = re.compile(r"/(c(/\d+)*|\d+([/.]\d+)*)$")
"""What a chunk looks like whose array is not known."""

PARTIAL = re.compile(r"\.[0-9a-f]{8,}\.partial$")
"""What zarr adds to the name of a file that it has not finished; it replaces ``.json``."""

FOREIGN = "foreign"

UNNOTICED = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What desktops put into any folder that somebody has looked into."""

OTHER_FORMATS = {
    **dict.fromkeys((".tif", ".tiff"), "GeoTIFF"),
    **dict.fromkeys((".nc", ".nc4", ".cdf"), "NetCDF"),
    **dict.fromkeys((".h5", ".hdf", ".hdf5"), "HDF"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".jp2"), "pictures"),
    **dict.fromkeys((".zip", ".tar", ".gz"), "archives"),
    ".vrt": "GDAL",
    ".csv": "tables",
    ".json": "JSON",
    ".geojson": "GeoJSON",
    ".parquet": "Parquet",
}
"""What files are called that are no Zarr stores."""


def check_place(place: Place) -> None:
    """Refuse a target that cannot be written."""
    if place.store.read_only:
        raise ValueError(
            f"the store {place.name!r} was opened read-only, so no mosaic can be written there. "
            "Open it with read_only=False (or a writable session)."
        )
    if not (place.store.supports_deletes and place.store.supports_listing):
        raise ValueError(
            f"the store {place.name!r} ({type(place.store).__name__}) cannot delete or list what "
            "it holds, so a mosaic in it could not be resumed, nor told from an unfinished "
            "one. Write to a folder or an object store, and pack that afterwards."
        )
    path = place.folder
    if path is not None and path.is_file():
        raise FileExistsError(
            f"{place.name!r} is a file, not a folder that a Zarr store could be in. Write to "
            "another path."
        )
    if GROUP in place.path.split("/"):
        raise ValueError(
            f"group={place.path!r} names {GROUP!r}, where a mosaic keeps what it knows of its own "
            "making. Write to another group."
        )
    _check_ending(place)
    _check_parents(place)


def _check_ending(place: Place) -> None:
    """Refuse the name of a file of another format: a store would be a folder of that name."""
    name = "" if place.path else place.name.rstrip("/")
    ending = PurePosixPath(name).suffix.lower()
    if ending in OTHER_FORMATS and place.zarr_format() is None:
        otherwise = (
            "for a GeoTIFF write qmosaic.to_cog(mosaic, ...)"
            if OTHER_FORMATS[ending] == "GeoTIFF"
            else "for a file of another format, open the store with qmosaic.open_mosaic() "
            "afterwards and save it with xarray (to_netcdf)"
        )
        raise ValueError(
            f"{place.name!r} ends like a file of {OTHER_FORMATS[ending]}, and to_zarr writes a "
            "Zarr store, which is a folder. Give it a name like "
            f"{str(PurePosixPath(name).with_suffix('.zarr'))!r}; {otherwise}."
        )


def _check_parents(place: Place) -> None:
    """Refuse a group inside an array, among its chunks."""
    parts = place.path.split("/") if place.path else []
    above = ["/".join(parts[:n]) for n in range(len(parts))]
    found = [p for p in above if _node_type(place.read, p) == "array"]
    folder = place.folder
    if folder is not None and not found:
        outside = folder.parents
        found = [str(p) for p in outside if _node_type(_read_file, str(p)) == "array"]
    if found:
        raise ValueError(
            f"the group of the mosaic would be in {found[0]!r}, which is an array of Zarr, among "
            "its chunks. Write to a group beside it, or to another path."
        )


def _read_file(name: str) -> bytes | None:
    path = Path(name)
    return path.read_bytes() if path.is_file() else None


def _node_type(read: Callable[[str], bytes | None], path: str) -> str | None:
    """Say what Zarr's metadata at a path tell of: a group or an array; None where there are
    none."""
    prefix = f"{path}/" if path else ""
    for name in ("zarr.json", ".zarray", ".zgroup"):
        content = read(prefix + name)
        found = None if content is None else node_of(name, content)
        if found is not None:
            return found
    return None


# -- what would be lost ---------------------------------------------------------------------------


def check_clearable(place: Place) -> None:
    """Refuse to clear a group in which anything lies that is no part of it.

    Raises
    ------
    FileExistsError
        There are other files, or it is no group of Zarr at all.
    """
    if place.session is not None:  # nothing is lost before the commit
        return
    foreign = sorted(_foreign_keys(place))
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        listed = ", ".join(map(repr, foreign[:3])) + more
        raise FileExistsError(
            f"{place.name!r} is no Zarr store, or not that alone: {listed} "
            f"{'is' if len(foreign) == 1 else 'are'} there, which Zarr knows nothing of; writing "
            "would mix with that or delete it. Write to a path of its own, for instance "
            f"{str(PurePosixPath(place.name) / 'mosaic.zarr')!r}, or move away what is to be kept."
        )


def _foreign_keys(place: Place) -> Iterator[str]:
    keys = list(place.keys())
    nodes: dict[str, str] = {}
    for key in keys:
        folder, name = _split(key)
        if name in ("zarr.json", ".zarray", ".zgroup"):
            content = place.read(place.key(key)) or b""
            found = node_of(name, content)
            if found is None and content.lstrip()[:1] not in (b"", b"{"):
                found = FOREIGN  # not even the beginning of a document
            if found is not None:
                nodes.setdefault(folder, found)
    begun = any(
        (path == GROUP or path.startswith(f"{GROUP}/")) and kind != FOREIGN
        for path, kind in nodes.items()
    )
    begun = begun and not _is_finished(place)
    for key in keys:
        if not _belongs(key, nodes, begun):
            yield key


def _is_finished(place: Place) -> bool:
    """Whether the mosaic there is complete, so that all of its chunks have their metadata."""
    try:
        state = place.journal(3).read()
    except DamagedJournalError:
        return False
    return state is not None and state.get("state") == "complete"


def _belongs(key: str, nodes: Mapping[str, str], begun: bool) -> bool:
    """Whether a file is part of a hierarchy of Zarr whose root is the group.

    A writer that was killed leaves a journal, and chunks whose metadata it had not written yet, or
    had deleted already.
    """
    key = PARTIAL.sub("", key)
    folder, name = _split(key)
    name = {"zarr": "zarr.json"}.get(name, name)
    if name in UNNOTICED:
        return True
    if key.startswith(f"{GROUP}/") or (begun and LIKE_A_CHUNK.search(key)):
        return True
    if begun and name in DOCUMENTS and "/" not in folder and nodes.get(folder) != FOREIGN:
        return True
    above = [folder, *(folder[:i] for i, c in enumerate(folder) if c == "/"), ""]
    holder = max((p for p in above if p in nodes), key=len, default=None)
    if holder is None or nodes.get("") != "group":
        return False
    chain = [p for p in above if len(p) < len(holder)]
    if any(nodes.get(p) != "group" for p in chain if p != holder):
        return False
    if holder == folder and name in DOCUMENTS:
        return nodes[holder] != FOREIGN
    inside = key.removeprefix(f"{holder}/" if holder else "")
    return nodes[holder] == "array" and CHUNK.fullmatch(inside) is not None


def _split(key: str) -> tuple[str, str]:
    folder, _, name = key.rpartition("/")
    return folder, name


def check_sources(place: Place, web: Web, names: Iterable[Hashable]) -> None:
    """Refuse to write over what the mosaic is made from.

    What lies in the group that is written would be deleted before it is read; another group of the
    same store is not touched.

    Raises
    ------
    ValueError
        The target is a source, or holds one, or lies inside one.
    """
    if place.session is not None or not place.is_occupied():
        return
    target = place.location()
    for name in names:
        for source, is_array in web.behind(name).sources.items():
            if target is None or target.holds(source) or (is_array and source.holds(target)):
                raise ValueError(
                    f"the mosaic is made from {str(source)!r} (variable {name!r}), and writing to "
                    f"{place.name!r} would destroy that before it is read. Write to another path "
                    "or to another group, and move it afterwards."
                )


def check_told(place: Place, web: Web, names: Iterable[Hashable]) -> None:
    """Refuse to replace anything by a mosaic of which it cannot be told what it is made from.

    Raises
    ------
    ValueError
        There is something, and functions or objects that nobody can look into may read it.
    """
    if place.session is not None or not place.is_occupied():
        return
    target = place.location()
    for name in names:
        behind = web.behind(name)
        reader = ", ".join(behind.opaque)
        for folder, given in behind.around.items():
            if target is not None and folder.holds(target):
                reader = f"{given}, given {str(folder)!r},"
        if reader:
            raise ValueError(
                f"it cannot be determined what variable {name!r} is read from: {reader} may read "
                f"anything. There is something in {place.name!r} already, and mode='w' would "
                "remove it before it is read. Write to another path and move it afterwards; or "
                "remove what is there yourself, if the mosaic is not made from it."
            )
