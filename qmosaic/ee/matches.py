"""Images that belong to other images: a property whose value is an image of a collection.

A join keeps in each image which image of another collection matches it. So a match follows its
image through filters, sorting and merging, costs nothing before it is asked for, and is no band.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.filters import choose_images
from qmosaic.collection.masks import Array
from qmosaic.collection.model import bands_of
from qmosaic.ee.elements import column, is_missing, objects
from qmosaic.ee.names import PROPERTY, TIME, with_properties
from qmosaic.ee.pixels import masked_like, update_mask
from qmosaic.ee.properties import nothing
from qmosaic.ee.values import EachImage

NONE = -1
"""The place of an image that is not there."""


@dataclass(frozen=True, eq=False)
class Member:
    """An image of a collection, as a property of another image.

    Attributes
    ----------
    images : xarray.Dataset
        The collection, or a single image.
    place : int
        Which image of it.
    measure : tuple of str and float, optional
        How far it is from the image that it belongs to, and the property that says so.
    """

    images: xr.Dataset
    place: int = 0
    measure: tuple[str, float] | None = None

    def __repr__(self) -> str:
        return f"<image {self.place} of {self.images.sizes.get(TIME, 1)}>"


@dataclass(frozen=True, eq=False)
class Collection:
    """The collection that the values of a property are images of, where there may be none."""

    images: xr.Dataset


COLLECTION = "images_of"
"""The attribute of a property that tells this collection."""


def property_of_members(members: list[Any], images: xr.Dataset) -> xr.Variable:
    """Make a property of images of a collection, None for none."""
    return xr.Variable((TIME,), objects(members), {COLLECTION: Collection(images)})


def image_in(found: xr.DataArray, owner: xr.Dataset) -> Any:
    """Give the image, or images, that a property of an image is.

    Parameters
    ----------
    found : xarray.DataArray
        The property, of a single image or of all.
    owner : xarray.Dataset
        The images whose property it is.

    Returns
    -------
    xarray.Dataset, list of xarray.Dataset or None
        An image; for all images at once a collection, one image for each, masked where there is
        none. A list of images, of a single one. None: the property is no image.

    Raises
    ------
    EachImage
        Each image has several, or they are of several collections.
    """
    if found.dtype.kind != "O":
        return None
    members = found.values
    if members.ndim == 0:
        return _of_one(members[()])
    if any(_is_list_of_members(one) for one in members):
        raise EachImage("each image has several images in a property")
    of = {id(one.images): one.images for one in members if isinstance(one, Member)}
    if not of and COLLECTION in found.attrs:
        of = {0: found.attrs[COLLECTION].images}
    if not of:
        return None
    if len(of) > 1:
        raise EachImage("images of several collections are in one property")
    (images,) = of.values()
    places = np.array([one.place if isinstance(one, Member) else NONE for one in members], int)
    measures = [one.measure if isinstance(one, Member) else None for one in members]
    return images if TIME not in images.dims else chosen(images, places, owner, measures)


def _of_one(member: Any) -> Any:
    if _is_list_of_members(member):
        return [image_of(one) for one in member]
    return image_of(member) if isinstance(member, Member) else None


def image_of(member: Member) -> xr.Dataset:
    """Give the image that a property of a single image is."""
    image = member.images
    image = image.isel({TIME: member.place}) if TIME in image.dims else image
    return image if member.measure is None else with_properties(image, dict([member.measure]))


def _is_list_of_members(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(one, Member) for one in value)


def members_of(image: xr.Dataset, images: int | None) -> xr.Variable:
    """Make a property of an image; of one that stands for several, one for each of them."""
    if images is None:
        return xr.Variable((), np.array(Member(image), object))
    return xr.Variable((TIME,), objects([Member(image, place) for place in range(images)]))


def chosen(
    images: xr.Dataset, places: Array, owner: xr.Dataset, measures: Any = None
) -> xr.Dataset:
    """Choose an image of a collection for each image of another one, by one index along time.

    Parameters
    ----------
    images : xarray.Dataset
        The collection.
    places : array of int
        Which of its images; `NONE` for none: bands are masked, properties missing.
    owner : xarray.Dataset
        The other collection. The result lies along its times; the chosen images keep their own as
        a property.
    measures : list of tuple, optional
        A property of the chosen images, with its value for each.
    """
    lacking = np.asarray(places) < 0
    if not images.sizes[TIME]:
        found = _masked_images(images, len(lacking))
    else:
        found = choose_images(images, np.where(lacking, 0, places))
    along = {name: c for name, c in found.coords.items() if c.dims == (TIME,)}
    known = {name: _missing_where(lacking, c) for name, c in along.items()}
    if TIME in known:
        known[f"{PROPERTY}{TIME}"] = known.pop(TIME)
    found = found.drop_vars([TIME], errors="ignore").assign_coords(known)
    if TIME in owner.coords:
        found = found.assign_coords({TIME: owner[TIME].variable})
    along_time = bands_of(found, TIME)
    found = found.drop_vars([name for name in found.data_vars if name not in along_time])
    if lacking.any():
        found = found.assign(_masked_where(lacking, found))
    return with_properties(found, _as_properties(measures))


def _missing_where(lacking: Array, values: xr.DataArray) -> xr.Variable:
    """Give the values of a property, missing where there is no image."""
    own = values.variable.to_base_variable()
    if lacking.any():
        where: Any = da.where if isinstance(own.data, da.Array) else np.where
        made = where(lacking, nothing(own.dtype, len(lacking)), own.data)
        own = xr.Variable(own.dims, made, own.attrs)
    return own


def _masked_where(lacking: Array, images: xr.Dataset) -> dict[Hashable, xr.DataArray]:
    times = {TIME: images[TIME]} if TIME in images.coords else {}
    mask = xr.DataArray((~lacking).astype("uint8"), times, dims=TIME)
    made = {}
    for name, band in images.data_vars.items():
        masked = update_mask(band, mask)
        masked.attrs = {**band.attrs, **masked.attrs}
        masked.encoding = {n: v for n, v in band.encoding.items() if n != "dtype"}
        made[name] = masked
    return made


def _masked_images(images: xr.Dataset, count: int) -> xr.Dataset:
    """Give masked images with the bands and properties of a collection without images."""
    along = {n: c for n, c in images.coords.items() if c.dims == (TIME,)}
    known = {n: (TIME, nothing(c.dtype, count)) for n, c in along.items()}
    bands = {n: images[n].variable.transpose(TIME, ...) for n in bands_of(images, TIME)}
    masked = {n: masked_like(_still(band), count) for n, band in bands.items()}
    made = images.drop_vars([*bands, *along]).assign(masked)
    return made.assign_coords(known)


def _still(band: xr.Variable) -> xr.DataArray:
    """Give an image that is like those of a band, of which there are none."""
    shape, dtype = band.shape[1:], band.dtype
    data: Any = np.zeros(shape, dtype)
    if band.chunks:
        data = da.zeros(shape, dtype, chunks=band.chunks[1:])
    return xr.DataArray(data, dims=band.dims[1:], attrs=band.attrs)


def _as_properties(measures: Any) -> dict[str, Any]:
    there = [one for one in measures or [] if one is not None]
    if not there:
        return {}
    values = [np.nan if one is None else one[1] for one in measures]
    return {there[0][0]: xr.Variable((TIME,), np.array(values))}


def places_in(others: xr.Dataset, own: xr.Dataset, property: str, caller: str) -> Array:
    """Find, for each image, the first one of another collection with the same value of a property:
    its place, or `NONE`."""
    theirs = [_key(one) for one in column(others, property, caller)]
    known = {key: place for place, key in reversed(list(enumerate(theirs))) if key is not None}
    mine = (_key(one) for one in column(own, property, caller))
    return np.array([NONE if key is None else known.get(key, NONE) for key in mine], int)


def _key(value: Any) -> Any:
    if is_missing(value):
        return None
    return tuple(value) if isinstance(value, list) else value
