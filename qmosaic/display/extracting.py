"""The pixels of an image as a GeoTIFF or an array, by geemap's functions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qmosaic.collection.declarations import declared_nodata
from qmosaic.collection.location import map_axes
from qmosaic.collection.masks import Array, valid_mask
from qmosaic.collection.requests import on_grid_of
from qmosaic.display.parameters import plain
from qmosaic.display.thinning import as_kept, bands_on_map, listed
from qmosaic.engine.scheduling import compute
from qmosaic.sink import to_cog

NOTHING = (
    *("format", "max_cpus", "max_requests", "max_tile_dim", "max_tile_size", "num_threads"),
    *("overwrite", "proxies", "timeout", "unzip", "verbose"),
)
"""Options of geemap's downloads that do nothing here."""


def ee_export_image(
    ee_object: Any,
    filename: str | os.PathLike[str],
    scale: float | None = None,
    crs: Any = None,
    crs_transform: Any = None,
    region: Any = None,
    *,
    file_per_band: bool = False,
    **options: Any,
) -> list[Path]:
    """Write an image as a Cloud Optimized GeoTIFF, as geemap's function of that name.

    Parameters
    ----------
    ee_object : xarray.Dataset, or an image of `qmosaic.ee`
        The image. A lazy one is computed block by block.
    filename : str or Path
        The file; one that is there is replaced.
    scale : float, optional
        The size of pixels in metres; by default that of the image.
    crs, crs_transform : optional
        Another grid, onto which the nearest pixels are brought.
    region : geometry, optional
        What of the image is written: the box around it. Clip the image for its outline.
    file_per_band : bool, default: False
        Whether each band gets a file of its own, ``image.B4.tif``.
    **options
        geemap's options of downloads, which do nothing here.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    TypeError
        It is no image, or there is no such option.
    KeyError, ValueError
        What `qmosaic.to_cog` refuses.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, qmosaic.display as geemap
    >>> image = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.ones((3, 4)))},
    ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2, -103.1]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in geemap.ee_export_image(image, f"{folder}/image.tif")]
    ['image.tif']
    """
    _check_options(options, "ee_export_image()")
    image = _image(ee_object, "ee_export_image()")
    path = Path(filename)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(
            f"ee_export_image() got the file {str(filename)!r}; it writes GeoTIFFs. Write "
            f"{str(path.with_suffix('.tif'))!r}, or image.dataset.to_zarr(...) for other formats."
        )
    cut = on_grid_of(
        image,
        region=region,
        scale=plain(scale),
        crs=plain(crs),
        crs_transform=plain(crs_transform),
        caller="ee_export_image()",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if not file_per_band:
        return to_cog(cut, path, overwrite=True)
    written = []
    for band in bands_on_map(cut, "ee_export_image()"):
        named = path.with_name(f"{path.stem}.{band}{path.suffix}")
        written += to_cog(cut[[band]], named, overwrite=True)
    return written


def download_ee_image(
    image: Any,
    filename: str | os.PathLike[str],
    region: Any = None,
    crs: Any = None,
    crs_transform: Any = None,
    scale: float | None = None,
    **options: Any,
) -> list[Path]:
    """Write an image as a Cloud Optimized GeoTIFF: `ee_export_image` by another name.

    Parameters
    ----------
    image, filename, region, crs, crs_transform, scale, **options
        See `ee_export_image`.

    Returns
    -------
    list of Path
        The files that were written.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, qmosaic.display as geemap
    >>> image = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.ones((3, 4)))},
    ...     {"latitude": [40.3, 40.2, 40.1], "longitude": [-103.4, -103.3, -103.2, -103.1]},
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in geemap.download_ee_image(image, f"{folder}/image.tif")]
    ['image.tif']
    """
    return ee_export_image(image, filename, scale, crs, crs_transform, region, **options)


def ee_to_numpy(
    ee_object: Any,
    bands: str | Sequence[str] | None = None,
    region: Any = None,
    scale: float | None = None,
    *,
    properties: Any = None,
    default_value: float | None = None,
) -> Array:
    """Give the pixels of an image as an array, as geemap's function of that name.

    Parameters
    ----------
    ee_object : xarray.Dataset, or an image of `qmosaic.ee`
        The image. A lazy one is computed.
    bands : sequence of str, optional
        The bands, in the order that they are to have; by default all.
    region : geometry, optional
        The box around it is what of the image is given.
    scale : float, optional
        The size of pixels in metres; by default that of the image.
    properties : optional
        Nothing: an array has none.
    default_value : float, optional
        What masked pixels become.

    Returns
    -------
    numpy.ndarray
        Rows, columns and bands, of the dtype that holds all bands. Without a `default_value` masked
        pixels are NaN; where there are some, integers become floats.

    Raises
    ------
    KeyError
        There is no such band.
    TypeError
        It is no image.
    ValueError
        The region does not meet the image.

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic.display as geemap
    >>> image = xr.Dataset(
    ...     {"red": (("latitude", "longitude"), np.uint8([[1, 2], [3, 4]]))},
    ...     {"latitude": [40.2, 40.1], "longitude": [-103.2, -103.1]},
    ... )
    >>> geemap.ee_to_numpy(image, region=(-103.15, 40.05, -103.05, 40.25))[..., 0]
    array([[2],
           [4]], dtype=uint8)
    """
    image = _image(ee_object, "ee_to_numpy()")
    asked = as_kept(image, {"bands": plain(bands)})["bands"]
    names = bands_on_map(image, "ee_to_numpy()") if asked is None else listed(asked)
    missing = [name for name in names if name not in image.data_vars]
    if missing:
        raise KeyError(
            f"ee_to_numpy() found no band {missing[0]!r}; there are "
            f"{', '.join(map(repr, image.data_vars)) or 'none'}."
        )
    image = image[names]
    if region is not None or scale is not None:
        image = on_grid_of(image, region=region, scale=plain(scale), caller="ee_to_numpy()")
    (held,) = compute(image)
    return np.stack([_filled(held[name], default_value) for name in names], axis=-1)


def _filled(band: xr.DataArray, value: float | None) -> Array:
    """Give the pixels of a band, masked ones as a number."""
    pixels: Array = band.transpose(*map_axes(band, "ee_to_numpy()")).values
    valid = valid_mask(pixels, declared_nodata(band))
    if valid is None or valid.all():
        return pixels
    fill = np.nan if value is None else plain(value)
    dtype = np.result_type(pixels.dtype, np.min_scalar_type(fill))
    return np.where(valid, pixels.astype(dtype), dtype.type(fill))


def _image(given: Any, caller: str) -> xr.Dataset:
    """Take one image, with the numbers that are stored."""
    image = getattr(given, "dataset", given)
    if isinstance(image, xr.DataArray):
        image = image.to_dataset(name=image.name if image.name is not None else "band")
    if not isinstance(image, xr.Dataset):
        raise TypeError(
            f"{caller} got a {type(given).__name__}; it takes an image: an xarray.Dataset, or one "
            "of qmosaic.ee, collection.first() or collection.qualityMosaic(...) for instance."
        )
    bands_on_map(image, caller)
    return image


def _check_options(options: dict[str, Any], caller: str) -> None:
    for name, value in options.items():
        same = (name == "resampling" and value in (None, "near", "nearest")) or value is None
        if name not in NOTHING and not same:
            raise TypeError(
                f"{caller} got {name}={value!r}, which it does not know. It takes scale, crs, "
                "crs_transform, region and file_per_band. Change the image before: "
                "image.unmask(value), image.toUint16(), image.select(bands)."
            )
