"""A picture of one image, or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.grid import ground_width, pixel_steps
from qmosaic.collection.location import crs_of, map_axes
from qmosaic.display.colours import visualize
from qmosaic.display.dates import Images, any_masked, coloured, dated, telling_images
from qmosaic.display.drawing import Panel, Picture, compose, require_matplotlib
from qmosaic.display.parameters import are_colours, check_parameters
from qmosaic.display.ramps import ramp_of, with_colours_of_counts
from qmosaic.display.stretches import HIGH, LOW, provisional, settled, wanted
from qmosaic.display.thinning import as_kept, at_level, check_one_image, north_up, shown, thin
from qmosaic.engine.scheduling import compute


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
    image : xarray.Dataset, xarray.DataArray, str or Path, or mapping or sequence of these
        One image, or several; the keys of a mapping are titles. The path of a mosaic's store
        stands for the mosaic.
    path : str or Path, optional
        A PNG to write.
    max_size : int, default: 1024
        The most pixels along each side of an image that are computed and shown: every k-th row
        and column; of a mosaic that was written with ``levels=``, the pixels of the level that
        fits, and nothing else is read. A larger image is never held whole. North is up, as far as
        coordinates tell.
    credit : str, optional
        A line below the picture.
    **vis_params
        `bands`, `min`, `max`, `gamma`, `palette`, ... as in `visualize`. `min` and `max` may be
        percentages of the valid pixels that are shown, ``min="2%"``, ``max="99.5%"``; beside one of
        them, the other is as far from its end. Without `min` and `max` (or `gain` and `bias`) they
        are 2% and 98%. One percentage is that of all bands and images together, so that colours
        stay true to each other; in a list with one entry for each band,
        ``min=["2%", "2%", 0]``, it is that of its band. A palette has a bar that says what its
        colours mean.

        The coordinates of a mosaic that say from which image each pixel is,
        ``mosaic["source_time"]`` or ``mosaic["source_index"]``, become maps of dates where no
        colours are given: up to 12 images have a colour each, of more the times have a scale.
        ``mosaic["valid_count"]`` has a scale of counts.

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

    See Also
    --------
    display.provenance, display.shares : how much each image gave, with the table of
        `contributions`.
    display.stretch : the numbers that percentages are.

    Notes
    -----
    A mosaic that was not written yet is decided at every pixel for its picture, all its chunks are
    read, and few of its pixels are kept: that costs as much as writing it. Write it first,
    ``qm.to_zarr(mosaic, "best.zarr", levels="auto")``, and look at what was written.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> image = xr.Dataset({"red": (("y", "x"), np.arange(12.0).reshape(3, 4))})
    >>> qm.quicklook({"first": image, "second": image * 2}, palette=["black", "red"])
    Picture of 1124 × 435 pixels; a notebook shows it, .save('picture.png') writes it
    """
    require_matplotlib()
    parameters = check_parameters(vis_params, "quicklook()")
    if path is not None and Path(path).suffix.lower() != ".png":
        raise ValueError(
            f"quicklook() got the path {str(path)!r}; it writes PNG files alone. Write 'look.png'."
        )
    given = {title: shown(one, "quicklook()") for title, one in _titled(image).items()}
    parameters = as_kept(next(iter(given.values())), parameters)
    names = {title: telling_images(one, parameters) for title, one in given.items()}
    if None not in names.values():
        maps = {t: dated(at_level(one, max_size), names[t]) for t, one in given.items()}
        return _saved(_of_dates(maps, max_size, credit), path)
    parameters = with_colours_of_counts(next(iter(given.values())), parameters)
    chosen = {t: wanted(one, parameters.get("bands"), "quicklook()") for t, one in given.items()}
    ends = {"min", "max", "gain", "bias"} & set(parameters)
    if not ends and not all(are_colours(one.data_vars) for one in chosen.values()):
        parameters |= {"min": LOW, "max": HIGH}
    for one in chosen.values():  # refuses what is wrong before anything is computed
        visualize(one, **provisional(parameters))
    loaded = load_thinned(chosen, max_size, "quicklook()")
    parameters = settled(parameters, list(loaded.values()))
    colours = {title: visualize(one, **parameters) for title, one in loaded.items()}
    panels = [
        Panel(picture.values, title, "", *pixel_of(loaded[title]))
        for title, picture in colours.items()
    ]
    masked = any(map(any_masked, colours.values()))
    bar = ramp_of(next(iter(loaded.values())), parameters, masked=masked)
    return _saved(compose(panels, credit, asides=[] if bar is None else [bar]), path)


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
