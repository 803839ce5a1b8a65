"""Kinds of bands: measurements, which can be averaged, and codes, which cannot."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, Literal, get_args

import xarray as xr

Resampling = Literal["nearest", "average", "mode"]
"""How the pixels of a band become those of an overview."""

FLAGS = ("flag_values", "flag_masks", "flag_meanings")
"""Attributes by which a band says that its numbers are codes (CF conventions, 3.5)."""

CODES = re.compile(
    r"scl|fmask|bqa|qa\d*|(.*_)?qa(_.*)?|(.*_)?class(es|i|if.*|i_.*)?|(.*_)?mask|(.*_)?flags?",
    re.IGNORECASE,
)
"""What bands of codes are called: SCL of Sentinel-2, Fmask of HLS, QA_PIXEL of Landsat, QA60."""


def is_measured(band: xr.DataArray) -> bool:
    """Whether the numbers of a band can be averaged.

    Parameters
    ----------
    band : xarray.DataArray
        Codes are told by their dtype (bool, times, texts), by CF's attributes of flags, by the
        usual names of bands of classes and flags. What a mosaic says of its images is none either.
    """
    if band.dtype.kind not in "iuf" or any(name in band.attrs for name in FLAGS):
        return False
    return CODES.fullmatch(str(band.name)) is None


def overview_resampling_of(
    dataset: xr.Dataset, asked: str | Mapping[Any, str] | None = None
) -> dict[Hashable, str]:
    """Settle how the pixels of each band become those of an overview.

    Parameters
    ----------
    dataset : xarray.Dataset
        A mosaic.
    asked : str or mapping of band to str, optional
        One method for all bands, or by band, ``"*"`` for all that are not named. By default
        "average" for measurements, "nearest" for codes and for coordinates.

    Returns
    -------
    dict
        By variable: of bands, and of coordinates with two dimensions or more.

    Raises
    ------
    ValueError
        There is no such method or band; or a band cannot be averaged.
    """
    names = [n for n, v in dataset.variables.items() if n in dataset.data_vars or v.ndim >= 2]
    own: dict[Hashable, str] = {
        name: "average" if name in dataset.data_vars and is_measured(dataset[name]) else "nearest"
        for name in names
    }
    if asked is None:
        return own
    given = {"*": asked} if isinstance(asked, str) else dict(asked)
    known = ", ".join(map(repr, names))
    for name, method in given.items():
        if name != "*" and name not in own:
            raise ValueError(
                f"overview_resampling= names the band {name!r}, which the mosaic does not have; it "
                f"has {known}. Correct the name, or leave it out."
            )
        if method not in get_args(Resampling):
            listed = ", ".join(map(repr, get_args(Resampling)))
            raise ValueError(
                f"overview_resampling= asks for {method!r} ({name}); there are {listed}. Write for "
                "instance overview_resampling={'SCL': 'mode', '*': 'average'}."
            )
    for name in own:
        # "*" is for bands: what says from which image a pixel is cannot be averaged
        method = given.get(name, given.get("*") if name in dataset.data_vars else None)
        if method is None:
            continue
        if method == "average" and dataset[name].dtype.kind not in "iuf":
            if name in given:
                raise ValueError(
                    f"overview_resampling= asks for the average of {name!r}, whose dtype "
                    f"{dataset[name].dtype} has none. Write 'nearest' or 'mode'."
                )
            continue
        own[name] = method
    return own
