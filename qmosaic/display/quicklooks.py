"""A picture of one image, or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata, declared_packing
from qmosaic.collection.grid import ground_width, pixel_steps
from qmosaic.collection.location import crs_of, map_axes
from qmosaic.display.colours import check_parameters, visualize
from qmosaic.display.dates import Images, any_masked, coloured, dated, telling_images
from qmosaic.display.drawing import Panel, Picture, compose, require_matplotlib, side_by_side
from qmosaic.display.thinning import (
    bands_on_map,
    check_one_image,
    north_up,
    only,
    shown,
    thin,
)
from qmosaic.engine.scheduling import compute

CUT = (2.0, 98.0)
"""Percentiles of the values between which a picture is stretched, where no stretch is given."""


def quicklook(
    image: Any,
    path: str | Path | None = None,
    *,
    max_size: int = 1024,
    credit: str = "",
    **vis_params: Any,
) -> Picture:
    """Draw a picture of an image, or of several side by side with one stretch for all.

    Parameters
    ----------
    image : xarray.Dataset, xarray.DataArray, or mapping or sequence of these
        One image, or several; the keys of a mapping are titles.
    path : str or Path, optional
        A PNG to write.
    max_size : int, default: 1024
        The most pixels along each side of an image that are computed and shown: every k-th row
        and column. A larger image is never held whole. North is up, as far as coordinates tell.
    credit : str, optional
        A line below the picture.
    **vis_params
        `bands`, `min`, `max`, `gamma`, `palette`, ... as in `visualize`. Without `min` and `max`
        (or `gain` and `bias`) the stretch goes from the 2nd to the 98th percentile of all images.

        The coordinates of a mosaic that say from which image each pixel is,
        ``mosaic["source_time"]`` or ``mosaic["source_index"]``, become maps of dates where no
        colours are given: up to 12 images have a colour each, of more the times have a scale.

    Returns
    -------
    Picture
        A notebook shows it; ``.save(path)`` writes it, ``.png`` are its bytes. Where the CRS is
        projected it has a scale bar, in metres or kilometres at the middle of the image. Masked
        pixels are light grey.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        It is no image, or there is no such parameter.
    ValueError
        What `visualize` refuses; or no image was given.
    ModuleNotFoundError
        matplotlib is not installed (extra ``plot``).

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset({"red": (("y", "x"), np.arange(12.0).reshape(3, 4))})
    >>> qm.quicklook({"first": image, "second": image * 2}, palette=["black", "red"])
    Picture of 1029 × 435 pixels; a notebook shows it, .save('picture.png') writes it
    """
    require_matplotlib()
    parameters = check_parameters(vis_params, "quicklook()")
    if path is not None and Path(path).suffix.lower() != ".png":
        raise ValueError(
            f"quicklook() got the path {str(path)!r}; it writes PNG files alone. Write 'look.png'."
        )
    given = {title: shown(one, "quicklook()") for title, one in _titled(image).items()}
    names = {title: telling_images(one, parameters) for title, one in given.items()}
    if None not in names.values():
        picture = _of_dates({t: dated(one, names[t]) for t, one in given.items()}, max_size, credit)
        return _saved(picture, path)
    wanted = {title: _wanted(one, parameters.get("bands")) for title, one in given.items()}
    loaded = load_thinned(wanted, max_size, "quicklook()")
    if not {"min", "max", "gain", "bias"} & set(parameters):
        parameters |= _stretch(list(loaded.values()))
    panels = [
        Panel(visualize(one, **parameters).values, title, "", *pixel_of(one))
        for title, one in loaded.items()
    ]
    return _saved(side_by_side(panels, credit), path)


def _saved(picture: Picture, path: str | Path | None) -> Picture:
    if path is not None:
        picture.save(path)
    return picture


def _of_dates(maps: Mapping[str, xr.Dataset], max_size: int, credit: str) -> Picture:
    """Draw maps of dates, with one legend for all."""
    loaded = load_thinned(maps, max_size, "quicklook()")
    images = Images.on(list(loaded.values()))
    colours = [coloured(one, images, images.colours) for one in loaded.values()]
    panels = [
        Panel(picture.values, title, "", *pixel_of(one))
        for picture, (title, one) in zip(colours, loaded.items(), strict=True)
    ]
    return compose(panels, credit, asides=[images.legend(masked=any(map(any_masked, colours)))])


def load_thinned(
    maps: Mapping[str, xr.Dataset], max_size: int, caller: str
) -> dict[str, xr.Dataset]:
    """Compute every k-th row and column of images, all of them together; north is up."""
    for one in maps.values():
        for band in one.data_vars.values():
            check_one_image(band, caller)
    images = {title: north_up(thin(one, max_size), caller) for title, one in maps.items()}
    return dict(zip(images, compute(*images.values()), strict=True))


def _titled(image: Any) -> dict[str, Any]:
    """Give each image a title."""
    if isinstance(image, Mapping) and not isinstance(image, xr.Dataset):
        images = {str(title): one for title, one in image.items()}
    elif isinstance(image, Sequence) and not isinstance(image, str):
        images = {f"{number}": one for number, one in enumerate(image, start=1)}
    else:
        return {"": image}
    if not images:
        raise ValueError("quicklook() got no image; give one at least.")
    return images


def _wanted(image: xr.Dataset, bands: Any) -> xr.Dataset:
    """Leave out the bands that are not shown, so that they are not computed."""
    if bands is not None:
        return only(image, bands)
    names = bands_on_map(image, "quicklook()")
    return image[names[:3] if len(names) >= 3 else names[:1]]


def _stretch(images: list[xr.Dataset]) -> dict[str, float]:
    """Find one stretch for all images."""
    values = [_valid(image[name]) for image in images for name in image.data_vars]
    pixels = np.concatenate([v for v in values if v.size] or [np.array([0.0, 1.0])])
    low, high = (float(v) for v in np.percentile(pixels, CUT))
    return {"min": low, "max": high} if high > low else {"min": low - 1, "max": low + 1}


def _valid(band: xr.DataArray) -> Any:
    values, nodata = band.values, declared_nodata(band)
    keep = np.isfinite(values) if nodata is None else np.isfinite(values) & (values != nodata)
    scale, offset = declared_packing(band)
    return values[keep].astype(float) * scale + offset


def pixel_of(image: xr.Dataset) -> tuple[float | None, float]:
    """Give the width of a pixel in metres, None where the CRS does not tell it, and how much higher
    than wide it is."""
    band = next(iter(image.data_vars.values()))
    try:
        high, wide = pixel_steps(band, "quicklook()")
    except ValueError:
        return None, 1.0
    try:
        crs = crs_of(band.to_dataset(name="band to be shown"))
    except (ValueError, ModuleNotFoundError):
        return None, high / wide
    if crs.geographic:
        down, _ = map_axes(band, "quicklook()")
        shrunk = np.cos(np.radians(float(band[down].mean())))
        return None, high / (wide * max(shrunk, 0.05))
    return ground_width(band, crs), high / wide
