"""The files that lie beside the one that was named: which of them are ours.

Each file of a set lists all of them, in a tag. A table has no room for one: the tags of the others
have its checksum. So a file that somebody else has put there, or written in, is told from ours.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from qmosaic.optional import needed
from qmosaic.sink.cog.tiff import gdal

FILES = "qmosaic_files"
"""The tag that lists the files of a set by their names, the one that was named first."""

TABLE = "qmosaic_images_sha256"
"""The tag with the checksum of the table of images."""


def tags_of_set(targets: Sequence[Path], table: Path | None) -> dict[str, str]:
    """Give the tags that list a set; none for a file that is alone.

    Parameters
    ----------
    targets : sequence of Path
        Its files, the one that was named first.
    table : Path, optional
        The table of images, where it lies now.
    """
    if len(targets) < 2:
        return {}
    tags = {FILES: json.dumps([target.name for target in targets])}
    return tags if table is None else tags | {TABLE: _checksum(table)}


def companions_of(path: Path) -> list[Path]:
    """Find the files that were written together with the one at a path, and are as they were."""
    tags = _tags(path)
    try:
        names = json.loads(tags.get(FILES, "[]"))
    except ValueError:
        return []
    if not isinstance(names, list) or names[:1] != [path.name]:  # it was called otherwise
        return []
    beside = [path.with_name(name) for name in names[1:] if name == Path(str(name)).name]
    return [file for file in beside if _is_ours(file, tags)]


def _is_ours(file: Path, tags: dict[str, str]) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    if file.suffix == ".csv":
        return _checksum(file) == tags.get(TABLE)
    return _tags(file).get(FILES) == tags[FILES]


def _tags(path: Path) -> dict[str, str]:
    """Read what a file says of itself; nothing, where it is no GeoTIFF."""
    if not path.is_file():
        return {}
    rasterio = needed("rasterio", "geotiff", "GeoTIFFs")
    try:
        with warnings.catch_warnings(), gdal():
            warnings.simplefilter("ignore")  # of a file without a place
            with rasterio.open(path) as file:
                return dict(file.tags())
    except rasterio.errors.RasterioError:
        return {}


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
