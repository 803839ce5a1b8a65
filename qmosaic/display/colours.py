"""Images to red, green, blue and opacity, by Earth Engine's visualisation parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import free_value
from qmosaic.display.painting import one_of_rgb, rgba
from qmosaic.display.parameters import Numbers, how_of, opacity_of, plain, plain_parameters
from qmosaic.display.thinning import as_kept, as_stored, bands_on_map, listed, shown
from qmosaic.engine.scheduling import rechunk
from qmosaic.scores.expressions import bare, by_chunk

Paint = Callable[[xr.Dataset], xr.DataArray]
"""Gives an image that is in memory its colours: uint8, (y, x, band)."""

RGB, GREY = ("vis-red", "vis-green", "vis-blue"), ("vis-gray",)
"""What Earth Engine's ``visualize`` calls the bands that it makes."""

OPACITY = "visualize_opacity"
"""The attribute of such bands that says how they are to be drawn."""


def visualize(
    image: Any,
    *,
    bands: str | Sequence[Hashable] | None = None,
    min: Numbers = None,
    max: Numbers = None,
    gain: Numbers = None,
    bias: Numbers = None,
    gamma: Numbers = None,
    palette: str | Sequence[str] | None = None,
    opacity: float = 1.0,
) -> xr.DataArray:
    """Colour an image by Earth Engine's visualisation parameters.

    Parameters
    ----------
    image : xarray.Dataset or xarray.DataArray
        One image: bands along y and x.
    bands : str or sequence of str, optional
        Three bands for red, green and blue, or one; a text may list them, ``"B4,B3,B2"``. By
        default the first three; if there are fewer, the first.
    min, max : float or sequence of float, optional
        What becomes black and what becomes full colour, for all bands or one a band, in the unit of
        the bands; a text may list them, ``"0, 10, 20"``. Values beyond are clipped. By default 0
        and 1 for floats, the range of the dtype for integers. Integers that declare
        ``scale_factor`` and ``add_offset`` among their attributes are unpacked first, so
        ``max=0.3`` is a reflectance; those of an image of `qmosaic.ee` are shown as stored.
        `quicklook` and `display.Map` also take percentages, ``"2%"``; for those here,
        `display.stretch` computes the numbers.
    gain, bias : float or sequence of float, optional
        In place of `min` and `max`: the value shown is ``value * gain + bias``, 0 to 255.
    gamma : float or sequence of float, optional
        The stretched value, 0 to 1, to the power of ``1 / gamma``: above 1 brightens.
    palette : sequence of str or str, optional
        Colours for one band, spread evenly from `min` to `max` and blended between: names of CSS or
        hexadecimal, with or without "#"; a text may list them, ``"blue,white,red"``.
    opacity : float, default: 1
        Of pixels that are not masked, 0 to 1.

    Returns
    -------
    xarray.DataArray
        uint8, the dimensions of the map and ``band`` ("r", "g", "b", "a"), lazy where `image` is.
        Pixels that are masked in one of the bands are transparent (a = 0).

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        It is no image, or a colour is no text.
    ValueError
        `min` is not below `max`, two or more than three bands are given, there is a palette for
        three, numbers are not one a band, or a colour has no meaning.

    Notes
    -----
    https://developers.google.com/earth-engine/guides/image_visualization

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset({"red": (("y", "x"), np.uint16([[0, 1500, 3000]]))})
    >>> qm.visualize(image, min=0, max=3000).values[0, :, 0]
    array([  0, 128, 255], dtype=uint8)
    """
    dataset = shown(image, "visualize()")
    given = plain_parameters(
        {"min": min, "max": max, "gain": gain, "bias": bias, "gamma": gamma, "palette": palette}
        | {"bands": bands, "opacity": opacity}
    )
    given = as_kept(dataset, given)
    arrays = [dataset[name] for name in _chosen(dataset, given.pop("bands"))]
    opacity = opacity_of(given.pop("opacity"))
    opacity *= float(np.min([array.attrs.get(OPACITY, 1.0) for array in arrays]))
    return _by_chunk(functools.partial(rgba, **how_of(arrays, **given), opacity=opacity), arrays)


def visualized(
    bands: Sequence[xr.DataArray],
    *,
    force_rgb: bool = False,
    opacity: float | None = None,
    **parameters: Any,
) -> dict[Hashable, xr.DataArray]:
    """Colour bands, of one image or of several along time, as Earth Engine's ``Image.visualize``.

    Parameters
    ----------
    bands : sequence of xarray.DataArray
        One band, or three for red, green and blue; the numbers that are stored count.
    force_rgb : bool, default: False
        Whether one band without a palette becomes three.
    opacity : float, optional
        0 to 1; the bands keep it as an attribute, with which `visualize` and maps draw them.
    **parameters
        Of `visualize`, but for `bands`.

    Returns
    -------
    dict
        ``vis-red``, ``vis-green`` and ``vis-blue``, or ``vis-gray`` alone, 0 to 255; lazy where the
        bands are. They are uint8; where pixels can be masked, in one band or more, they are uint16,
        with a nodata that is no colour.

    Raises
    ------
    TypeError, ValueError
        See `visualize`.
    """
    arrays = [as_stored(band) for band in bands]
    given = plain_parameters(parameters)
    opacity = 1.0 if opacity is None else opacity_of(plain(opacity))
    how = how_of(arrays, **given)
    names = RGB if len(arrays) == 3 or force_rgb or how["table"] is not None else GREY
    maskable = any(b.dtype.kind == "f" or declared_nodata(b) is not None for b in arrays)
    dtype = np.dtype("uint16" if maskable else "uint8")
    fill = dtype.type(free_value(dtype)) if maskable else None
    made: dict[Hashable, xr.DataArray] = {}
    for number, name in enumerate(names):
        colour = functools.partial(one_of_rgb, number=number, result=dtype, fill=fill, **how)
        made[name] = bare(by_chunk(colour, arrays, dtype)).rename(name)
        if fill is not None:
            made[name].attrs["_FillValue"] = fill
        if opacity < 1:
            made[name].attrs[OPACITY] = opacity
    return made


def _chosen(dataset: xr.Dataset, bands: Any) -> list[Hashable]:
    """Name the bands to be shown: one or three."""
    known = bands_on_map(dataset if bands is None else _known(dataset, bands), "visualize()")
    if bands is None:
        return known[:3] if len(known) >= 3 else known[:1]
    names = listed(bands)
    if len(names) not in (1, 3):
        raise ValueError(
            f"visualize() got {len(names)} bands, {', '.join(map(repr, names))}; it shows one, or "
            "three as red, green and blue."
        )
    return names


def _known(dataset: xr.Dataset, bands: Any) -> xr.Dataset:
    for name in listed(bands):
        if name not in dataset.data_vars:
            raise KeyError(
                f"visualize() found no band {name!r}; there are "
                f"{', '.join(map(repr, dataset.data_vars)) or 'none'}."
            )
    return dataset[list(dict.fromkeys(listed(bands)))]


def _by_chunk(colour: Any, bands: list[xr.DataArray]) -> xr.DataArray:
    """Apply a function of blocks to bands of one map, which adds an axis of colours."""
    first = bands[0]
    dims = map_axes(first, "visualize()")
    placed = [band.transpose(*dims) for band in bands]
    if any(band.sizes != placed[0].sizes for band in placed):
        raise ValueError(
            "visualize() got bands of different sizes, which lie on no one map. Bring them onto "
            "one grid first."
        )
    data = [band.data for band in placed]
    if any(isinstance(array, da.Array) for array in data):
        wholes = [a if isinstance(a, da.Array) else da.from_array(a) for a in data]
        wholes = [rechunk(a, wholes[0].chunks) for a in wholes]
        pixels = da.map_blocks(
            colour,
            *wholes,
            dtype=np.uint8,
            chunks=(*wholes[0].chunks, (4,)),
            new_axis=2,
            meta=np.empty((0, 0, 0), np.uint8),
        )
    else:
        pixels = colour(*data)
    coords = {n: c for n, c in first.coords.items() if set(c.dims) <= set(dims)}
    return xr.DataArray(pixels, {**coords, "band": list("rgba")}, (*dims, "band"), name="colours")
