"""Spectral indices against values that were worked out by hand."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Any

import numpy as np
import pytest
import xarray as xr

import qmosaic as qm
from tests.support.bands import band, one_pixel
from tests.support.small import NAN

REFLECTANCE = {
    "blue": 0.05,
    "green": 0.10,
    "red": 0.08,
    "rededge1": 0.15,
    "nir": 0.40,
    "swir16": 0.25,
    "swir22": 0.15,
}


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("NDVI", 0.32 / 0.48),
        ("ndvi", 0.32 / 0.48),
        ("EVI", 2.5 * 0.32 / (0.40 + 6 * 0.08 - 7.5 * 0.05 + 1)),  # 0.8 / 1.505
        ("EVI2", 2.5 * 0.32 / (0.40 + 2.4 * 0.08 + 1)),
        ("SAVI", 1.5 * 0.32 / (0.48 + 0.5)),
        ("GNDVI", 0.30 / 0.50),
        ("NDREI", 0.25 / 0.55),
        ("NDWI", -0.30 / 0.50),
        ("MNDWI", -0.15 / 0.35),
        ("NDMI", 0.15 / 0.65),
        ("NDSI", -0.15 / 0.35),
        ("NBR", 0.25 / 0.55),
        ("NBR2", 0.10 / 0.40),
        ("BSI", (0.33 - 0.45) / (0.33 + 0.45)),
        ("kNDVI", math.tanh((0.32 / 0.48) ** 2)),
        # two names that differ by their case alone
        ("BaI", 0.08 + 0.25 - 0.40),
        ("BAI", 1 / ((0.1 - 0.08) ** 2 + (0.06 - 0.40) ** 2)),
    ],
)
def test_indices_by_hand(name: str, by_hand: float) -> None:
    """The formulas of the docstring's table, worked out for one pixel."""
    score = qm.scores.index(one_pixel(REFLECTANCE), name)
    assert score.values[0] == pytest.approx(by_hand, rel=1e-9)


SENTINEL = {"B02": 500, "B03": 1000, "B04": 800, "B05": 1500, "B08": 4000, "B11": 2500, "B12": 1500}


@pytest.mark.parametrize(
    ("bands", "platform"),
    [
        (SENTINEL, "sentinel-2"),
        ({k.replace("B0", "B"): v for k, v in SENTINEL.items()}, "Sentinel-2A"),
        ({"blue": 500, "green": 1000, "red": 800, "nir": 4000}, "sentinel_2"),
        # (0.05 + 0.2) / 0.0000275 = 9090.9 …
        ({"SR_B2": 9091, "SR_B3": 10909, "SR_B4": 10182, "SR_B5": 21818}, "landsat-8"),
        ({"blue": 9091, "green": 10909, "red": 10182, "nir08": 21818}, "LANDSAT_9"),
        ({"SR_B1": 9091, "SR_B2": 10909, "SR_B3": 10182, "SR_B4": 21818}, "landsat-7"),
        ({"B1": 9091, "B2": 10909, "B3": 10182, "B4": 21818}, "landsat5"),
    ],
)
@pytest.mark.parametrize("name", ["EVI", "NDVI"])
def test_bands_of_platforms(bands: dict[str, float], platform: str, name: str) -> None:
    """Names, numbers, scale and offset of each: the same reflectances give the same index."""
    score = qm.scores.index(one_pixel(bands, "uint16"), name, platform=platform)
    assert score.dtype == "float32"
    wanted = {"EVI": 0.8 / 1.505, "NDVI": 0.32 / 0.48}[name]
    assert score.values[0] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("platform", "least"), [("sentinel-2", 201), ("landsat-5", 181), ("landsat-9", 181)]
)
def test_how_many_indices_there_are(platform: str, least: int) -> None:
    """README: over 200 for Sentinel-2 and over 180 for Landsat; the others are refused by name."""
    spyndex = pytest.importorskip("spyndex", reason="it is in the extra [scores]")
    numbers = "1 2 3 4 5 6 7 8 8A 9 11 12".split()
    bands = one_pixel({f"B{n}": 0.01 * i for i, n in enumerate(numbers, 5)})

    def works(name: str) -> bool:
        with contextlib.suppress(KeyError):
            return qm.scores.index(bands, name, platform=platform).shape == (1,)
        with pytest.raises(KeyError, match=re.escape(name)):
            qm.scores.index(bands, name, platform=platform)
        return False

    assert sum(map(works, spyndex.indices)) >= least


def test_scaling_of_integers() -> None:
    """Integers need a scale; to a ratio the offset matters too, and nothing is guessed."""
    numbers = one_pixel({"red": 800, "nir": 4000, "blue": 500}, "uint16")
    for name in ("NDVI", "EVI"):
        with pytest.raises(ValueError, match=r"nothing says how.*platform='sentinel-2'"):
            qm.scores.index(numbers, name)
    evi = qm.scores.index(numbers, "EVI", scale=1e-4).values[0]
    assert evi == pytest.approx(0.8 / 1.505, rel=1e-6)
    # baseline 04.00: 1000 was added to every number
    shifted = numbers + np.uint16(1000)
    moved = qm.scores.index(shifted, "NDVI", platform="sentinel-2", offset=-0.1)
    assert moved.values[0] == pytest.approx(0.32 / 0.48, rel=1e-6)
    savi = qm.scores.index(numbers, "SAVI", scale=1e-4, L=0.25).values[0]
    assert savi == pytest.approx(1.25 * 0.32 / (0.48 + 0.25), rel=1e-6)


def test_the_platform_of_stac_items_is_known() -> None:
    """Collections from STAC tell it; several are fine where they mean the same."""
    values = {"B4": 800, "B8": 4000, "red": 10_000, "nir08": 20_000}
    numbers = xr.Dataset(
        {n: (("time", "x"), np.full((2, 1), v, "uint16")) for n, v in values.items()}
    )
    sentinel = numbers.assign_coords(platform=("time", ["sentinel-2a", "sentinel-2b sentinel-2a"]))
    wanted = pytest.approx(0.32 / 0.48, rel=1e-6)
    named = sentinel.drop_vars(["red", "nir08"])
    assert qm.scores.index(named, "NDVI").values[0, 0] == wanted
    landsat = numbers.assign_coords(platform=("time", ["landsat-5", "landsat-8"]))
    # by hand: red 0.275 - 0.2, near infrared 0.55 - 0.2
    ndvi = qm.scores.index(landsat, "NDVI").values[1, 0]
    assert ndvi == pytest.approx((0.35 - 0.075) / (0.35 + 0.075), rel=1e-6)
    mixed = numbers.assign_coords(platform=("time", ["sentinel-2a", "landsat-8"]))
    with pytest.raises(ValueError, match="nothing says how"):
        qm.scores.index(mixed, "NDVI")
    with pytest.raises(KeyError, match="no band N"):
        # band 4 is red to one of them, and near infrared to the other
        qm.scores.index(landsat.drop_vars(["red", "nir08"]), "NDVI")


def test_an_array_with_bands_is_a_collection() -> None:
    """As stackstac makes it."""
    array = one_pixel({"red": 0.1, "nir": 0.3}, "float32").to_dataarray("band")
    assert qm.scores.index(array, "NDVI").values[0] == pytest.approx(0.5)
    with pytest.raises(TypeError, match=r"index\(\) got a DataArray"):
        qm.scores.index(array.isel(band=0, drop=True), "NDVI")


def test_indices_of_masked_pixels() -> None:
    """Nodata, NaN and 0 / 0 are no candidates; no warning is given."""
    collection = xr.Dataset(
        {"red": band([0, 800, 0], "uint16", 9999), "nir": band([0, 9999, 500], "uint16", 9999)}
    ).chunk(x=2)
    score = qm.scores.index(collection, "NDVI", scale=1e-4)
    np.testing.assert_array_equal(score.values, [NAN, NAN, 1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "NDVY"}, KeyError, "Did you mean .*'NDVI'"),
        ({"name": "NDWI"}, KeyError, r"no band G \(green\).*bands=\{'G': ...\}"),
        ({"platform": "spot-5"}, ValueError, "'spot-5' is not known"),
        ({"platform": "landsat-80"}, ValueError, "'landsat-80' is not known"),
        ({"bands": {"N": "near"}}, KeyError, "N is 'near'"),
        ({"bands": {"nir": "near"}}, KeyError, "N is 'near'"),
        ({"bands": {"near": "nir"}}, KeyError, r"no band.*N \(nir\)"),
        ({"name": "NDIV"}, KeyError, "Did you mean .*'NDVI'"),
        ({"scale": 0}, ValueError, "scale=0"),
        ({"offset": NAN}, ValueError, "offset=nan"),
        ({"name": "SAVI", "L": "a"}, ValueError, "L='a'"),
        ({"platform": 8}, ValueError, "8 is not known"),
        ({"L": 1.0}, KeyError, "no constant 'L'"),
        ({"name": "VDDPI"}, KeyError, "needs 'VV'"),
    ],
)
def test_indices_that_cannot_be(options: Any, error: type[Exception], message: str) -> None:
    """What came, why not, what to write."""
    with pytest.raises(error, match=message):
        qm.scores.index(one_pixel({"red": 0.1, "nir": 0.4}), **{"name": "NDVI", **options})
    named = one_pixel({"red": 0.1, "near": 0.3})
    assert qm.scores.index(named, "NDVI", bands={"N": "near"}).values[0] == pytest.approx(0.5)
