"""What is known of a file, and of an image that is made of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class File:
    """What the header of a file says.

    Attributes
    ----------
    path : str
        Where it is.
    name : str
        Its path without what all files have in common.
    grid : odc GeoBox
        CRS, transform and shape.
    bands : tuple of str
        The name of each band.
    dtypes, nodata, packing : tuple
        Of each band; packing is (scale, offset).
    tile : (int, int)
        The size of a block in the file, down and across.
    tags : dict
        Its tags.
    masked : bool
        Whether it has a mask or an alpha band.
    time : numpy.datetime64, optional
        When the image was taken.
    image : str
        What the files of one image have in common.
    """

    path: str
    name: str
    grid: GeoBox
    bands: tuple[str, ...]
    dtypes: tuple[str, ...]
    nodata: tuple[Any, ...]
    packing: tuple[tuple[float, float], ...]
    tile: tuple[int, int]
    tags: Mapping[str, str]
    masked: bool
    time: Any = None
    image: str = ""


@dataclass(frozen=True)
class Image:
    """The files of an image; all of one time, each band in one of them."""

    time: Any
    name: str
    files: tuple[File, ...]

    @property
    def bands(self) -> dict[str, tuple[File, int]]:
        """Where each band is: the file, and its number there."""
        return {name: (f, i) for f in self.files for i, name in enumerate(f.bands)}


def outline_of(image: Image) -> Any:
    """Give the outline of what the files of an image cover together."""
    outline = None
    for file in image.files:
        own = file.grid.extent
        if outline is None:
            outline = own
        elif own.crs == outline.crs and not outline.contains(own):
            outline = outline | own
    return outline
