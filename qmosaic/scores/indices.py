"""Spectral indices by name; the formulas are those of Awesome Spectral Indices (`spyndex`)."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from typing import Any

import xarray as xr

from qmosaic.optional import needed
from qmosaic.scores.expressions import as_collection, check_finite, of_bands
from qmosaic.scores.reflectance import SCALING, platform_named, platforms_of, reflectance_of

COMMON: dict[str, tuple[str, ...]] = {
    "A": ("coastal",),
    "B": ("blue",),
    "G": ("green",),
    "R": ("red",),
    "RE1": ("rededge1", "rededge071", "rededge"),
    "RE2": ("rededge2", "rededge075"),
    "RE3": ("rededge3", "rededge078"),
    "N": ("nir", "nir08"),
    "N2": ("nir08", "nir8a"),
    "WV": ("nir09",),
    "S1": ("swir16", "swir1"),
    "S2": ("swir22", "swir2"),
}
"""Names that tell which band is meant, whatever the satellite (STAC's common names)."""

_TM = {"B": "1", "G": "2", "R": "3", "N": "4", "S1": "5", "S2": "7"}
_OLI = {"A": "1", "B": "2", "G": "3", "R": "4", "N": "5", "S1": "6", "S2": "7"}
_MSI = {
    "A": "1",
    "B": "2",
    "G": "3",
    "R": "4",
    "RE1": "5",
    "RE2": "6",
    "RE3": "7",
    "N": "8",
    "N2": "8A",
    "WV": "9",
    "S1": "11",
    "S2": "12",
}

NUMBERS: dict[str, dict[str, str]] = {
    "sentinel-2": _MSI,
    "landsat-4": _TM,
    "landsat-5": _TM,
    "landsat-7": _TM,
    "landsat-8": _OLI,
    "landsat-9": _OLI,
}
"""The number of each band."""

OWN_CONSTANTS: dict[str, dict[str, float]] = {"SAVI": {"L": 0.5}}
"""Where the constants of spyndex are not the customary ones: Huete (1988) takes L = 0.5."""


USUAL = "NDVI EVI EVI2 SAVI GNDVI NDREI NDWI MNDWI NDMI NDSI NBR NBR2 BSI kNDVI".split()
"""The indices that are suggested first where a name is misspelt."""

OTHER_NAMES = {"bsi": "BI"}
"""Names that people use and spyndex does not."""

KERNEL = re.compile(r"k([A-Z])([A-Z])")
"""How spyndex writes the kernel of two bands, kNR."""


def index(
    collection: xr.Dataset,
    name: str,
    *,
    platform: str | None = None,
    bands: Mapping[str, str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    **constants: float,
) -> xr.DataArray:
    """Compute a spectral index, for instance to take the greenest pixel.

    ====== ============================================== ========== ===========================
    name   formula                                        range      source
    ====== ============================================== ========== ===========================
    NDVI   (N − R) / (N + R)                              −1 to 1    Rouse et al. 1974
    EVI    2.5 (N − R) / (N + 6 R − 7.5 B + 1)            about −1   Huete et al. 1997
                                                          to 1
    EVI2   2.5 (N − R) / (N + 2.4 R + 1)                  about −1   Jiang et al. 2008
                                                          to 1
    SAVI   1.5 (N − R) / (N + R + 0.5)                    −1 to 1    Huete 1988
    GNDVI  (N − G) / (N + G)                              −1 to 1    Gitelson et al. 1996
    NDREI  (N − RE1) / (N + RE1)                          −1 to 1    Gitelson & Merzlyak 1994
    NDWI   (G − N) / (G + N)                              −1 to 1    McFeeters 1996
    MNDWI  (G − S1) / (G + S1)                            −1 to 1    Xu 2006
    NDMI   (N − S1) / (N + S1)                            −1 to 1    Gao 1996 (there: NDWI)
    NDSI   (G − S1) / (G + S1)                            −1 to 1    Riggs et al. 1994
    NBR    (N − S2) / (N + S2)                            −1 to 1    Key & Benson
    NBR2   (S1 − S2) / (S1 + S2)                          −1 to 1    USGS
    BSI    ((S1 + R) − (N + B)) / ((S1 + R) + (N + B))    −1 to 1    Rikimaru et al. 2002
    kNDVI  tanh(((N − R) / (2 σ))²), σ = (N + R) / 2      0 to 0.76  Camps-Valls et al. 2021
    ====== ============================================== ========== ===========================

    and some 200 more: see ``spyndex.indices`` (its constants are used, but for L of SAVI, which is
    0.5 as in Huete 1988). B, G, R blue, green, red; RE1 red edge, N near
    infrared, S1 and S2 shortwave infrared (1.6 and 2.2 µm).

    Parameters
    ----------
    collection : xarray.Dataset
        Bands with reflectance: floats (0 to 1), or the integers of a product. An array with a
        dimension ``band`` will do too.
    name : str
        The index, upper or lower case.
    platform : str, optional
        "sentinel-2", "landsat-4", "landsat-5", "landsat-7", "landsat-8" or "landsat-9": tells which
        band is which where they have numbers ("B4", "B04", "SR_B4"), and how integers become
        reflectance. By default what the coordinate ``platform`` says, as collections from STAC have
        it; where there is none, what the names of the bands tell: "sentinel-2" for B8 (without
        B10), B8A, SCL, MSK_CLDPRB or QA60, "landsat-8" for SR_B6, "landsat-7" for SR_B7 without
        SR_B6. Not needed for floats with common names ("red", "nir").
    bands : mapping of str to str, optional
        The names of bands that are called otherwise, for instance ``{"N": "near_infrared"}``, by
        the letters above or common names (``"nir"``).
    scale, offset : float, optional
        Reflectance is ``band * scale + offset``. By default, for integers, what the band declares
        (``scale_factor``, ``add_offset``), else what is usual for the platform: 0.0001 and 0 for
        Sentinel-2 Level 2A, 0.0000275 and −0.2 for Landsat Collection 2 Level 2. Sentinel-2 data
        since processing baseline 04.00 (January 2022) need ``offset=-0.1``, unless their source has
        removed that offset.
    **constants
        Other values for constants of the formula, for instance ``L=0.25``.

    Returns
    -------
    xarray.DataArray
        The index, without unit, in the shape of the bands, lazy where they are; float32 for
        integers of up to 16 bits and for float32, else float64. NaN where a band is masked, and
        where the formula has no value (0 / 0).

    Raises
    ------
    KeyError
        There is no such index, or no band that it needs.
    TypeError
        It is no collection.
    ValueError
        The platform is not known; bands are integers and nothing says how they are scaled; or they
        are floats that declare a packing, and neither `scale` and `offset` nor anything else tells
        whether it is undone (``.where()`` makes such floats: decode before or after it).
    ModuleNotFoundError
        ``spyndex`` is not installed (extra ``scores``).

    Notes
    -----
    Montero et al. (2023), A standardized catalogue of spectral indices to advance the use of
    remote sensing in Earth system research, https://doi.org/10.1038/s41597-023-02096-0

    Examples
    --------
    >>> import numpy as np, xarray as xr, qmosaic as qm
    >>> collection = xr.Dataset({"B4": ("x", np.uint16([1000])), "B8": ("x", np.uint16([3000]))})
    >>> qm.scores.index(collection, "NDVI", platform="sentinel-2").values
    array([0.5], dtype=float32)
    """
    collection = as_collection(collection, "index()")
    platforms = platforms_of(collection) if platform is None else [_platform(platform)]
    entry = _entry(name)
    given = {k: v for k, v in OWN_CONSTANTS.get(entry.short_name, {}).items()} | constants
    letters, numbers = _parameters(entry, given)
    named = _by_letter(bands or {})
    numbering = _one([NUMBERS[known] for known in platforms]) or {}
    arrays = [_find(collection, letter, numbering, named, entry.short_name) for letter in letters]
    usual = _one([SCALING[known] for known in platforms])
    scaling = [reflectance_of(array, usual, scale, offset, "index()") for array in arrays]
    for array, known in zip(arrays, scaling, strict=True):
        if known is None:
            raise ValueError(
                f"index() got integers ({array.name!r} is {array.dtype}), and nothing says how "
                f"they become the reflectance that {entry.short_name} = {entry.formula} is made "
                "for. Say platform='sentinel-2' or 'landsat-8', or scale=0.0001 (and offset=...)."
            )
    return of_bands(
        arrays,
        _evaluate,
        "index()",
        scaling=scaling,
        formula=entry.formula,
        letters=letters,
        constants=numbers,
    )


def names_of_indices() -> list[str]:
    """Name the spectral indices, in small letters; where spyndex is missing, the usual ones."""
    try:
        catalogue = list(needed("spyndex", "scores", "spectral indices").indices)
    except ModuleNotFoundError:
        catalogue = []
    names = (str(name).lower() for name in (*USUAL, *OTHER_NAMES, *catalogue))
    return list(dict.fromkeys(names))


def _one(entries: list[Any]) -> Any:
    """Give what all entries agree on; None where they do not, or there is none."""
    return entries[0] if entries and all(entry == entries[0] for entry in entries) else None


def _platform(given: str) -> str:
    found = platform_named(str(given))
    if found is None:
        raise ValueError(
            f"platform={given!r} is not known; it takes {', '.join(map(repr, NUMBERS))}. For "
            "others name the bands: bands={'R': 'red', 'N': 'nir'}, and scale= for integers."
        )
    return found


def _by_letter(bands: Mapping[str, str]) -> dict[str, str]:
    """Give the names of bands by spyndex's letters; common names are letters too."""
    letters = {names[0]: letter for letter, names in COMMON.items()} | {k: k for k in COMMON}
    for key in bands:
        if key not in letters:
            raise KeyError(
                f"bands= has the key {key!r}, which stands for no band. Write one of "
                f"{', '.join(f'{k} ({v[0]})' for k, v in COMMON.items())}."
            )
    return {letters[key]: name for key, name in bands.items()}


def _entry(name: str) -> Any:
    """Find an index in the catalogue."""
    catalogue = needed("spyndex", "scores", "spectral indices").indices
    by_lower = {str(known).lower(): known for known in catalogue}
    # two names may differ by their case alone
    plain = str(name).lower()
    found = name if name in catalogue else by_lower.get(plain, OTHER_NAMES.get(plain))
    if found is None:
        close = difflib.get_close_matches(str(name).lower(), list(by_lower), n=20)
        close = sorted(close, key=lambda c: by_lower[c] not in USUAL)[:3]
        hint = f" Did you mean {', '.join(repr(by_lower[c]) for c in close)}?" if close else ""
        raise KeyError(
            f"there is no spectral index {name!r} among the {len(list(catalogue))} of spyndex's "
            f"catalogue, spyndex.indices.{hint}"
        )
    return catalogue[found]


def _parameters(entry: Any, given: Mapping[str, float]) -> tuple[list[str], dict[str, float]]:
    """Tell bands from constants among what a formula needs."""
    defaults = needed("spyndex", "scores", "spectral indices").constants
    wanted = [p for name in entry.bands for p in _bands_in(name)]
    letters = list(dict.fromkeys(p for p in wanted if p in COMMON and p not in given))
    numbers = {}
    for parameter in entry.bands:
        kernel = KERNEL.fullmatch(parameter)
        if parameter in letters or (kernel and set(kernel.groups()) <= set(letters)):
            continue
        value = given.get(parameter)
        if value is None and parameter in defaults:
            value = defaults[parameter].default
        if value is None:
            raise KeyError(
                f"{entry.short_name} = {entry.formula} needs {parameter!r}, which is no band of an "
                f"optical image; such indices have to be written as an expression of bands."
            )
        numbers[parameter] = check_finite(value, parameter, "index()")
    unknown = set(given) - set(entry.bands)
    if unknown:
        raise KeyError(
            f"{entry.short_name} = {entry.formula} has no constant {sorted(unknown)[0]!r}; it has "
            f"{', '.join(sorted(numbers)) or 'none'}."
        )
    return letters, numbers


def _bands_in(parameter: str) -> tuple[str, ...]:
    kernel = KERNEL.fullmatch(parameter)
    return kernel.groups() if kernel else (parameter,)


def _find(
    collection: xr.Dataset,
    letter: str,
    numbering: Mapping[str, str],
    bands: Mapping[str, str],
    index_name: str,
) -> xr.DataArray:
    """Find the band of a letter."""
    if letter in bands:
        if bands[letter] not in collection:
            raise KeyError(
                f"bands= says that {letter} is {bands[letter]!r}, which the collection does not "
                f"have; its bands are {', '.join(map(repr, collection.data_vars))}."
            )
        return collection[bands[letter]]
    names = list(COMMON[letter])
    if letter in numbering:
        written = _written(numbering[letter])
        names += [f"{prefix}{n}" for prefix in ("B", "SR_B", "b", "sr_b") for n in written]
    for name in names:
        if name in collection:
            return collection[name]
    hint = "" if numbering else "Say platform=... for bands that have numbers ('B4'). "
    raise KeyError(
        f"index() found no band {letter} ({COMMON[letter][0]}), which {index_name} needs, among "
        f"{', '.join(map(repr, collection.data_vars))}. {hint}Name it: bands={{{letter!r}: ...}}."
    )


def _written(number: str) -> list[str]:
    return [number, number.zfill(3 if number.endswith("A") else 2)]


def _evaluate(*bands: Any, formula: str, letters: list[str], constants: dict[str, float]) -> Any:
    return _compute(formula, {**constants, **dict(zip(letters, bands, strict=True))})


def _compute(formula: str, values: dict[str, Any]) -> Any:
    for a, b in KERNEL.findall(formula):
        # radial basis functions; their length scale is the mean of the two bands
        width = 0.5 * (values[a] + values[b])
        make = needed("spyndex", "scores", "spectral indices").computeKernel
        kernel = make("RBF", {"a": values[a], "b": values[b], "sigma": width})
        values = {**values, f"k{a}{b}": kernel}
    return eval(_compiled(formula), {"__builtins__": {}}, values)


@functools.lru_cache
def _compiled(formula: str) -> Any:
    return compile(formula, "spyndex", "eval")
