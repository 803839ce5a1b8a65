"""Bad input for what a mosaic can be beyond one image a pixel by one quality: the error says what
came, why it cannot work and what to write instead, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from xarray import groupers

import qmosaic as qm
from tests.support.small import row_of

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "dask"])


@pytest.fixture(autouse=True)
def _nothing_is_computed() -> Iterator[None]:
    """Fail where a scheduler is called."""
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("something was computed")):
        yield


def collection(backend: str) -> xr.Dataset:
    """Make two images with bands, coordinates and variables of every kind."""
    made = row_of(backend, q=np.uint8([[1, 2], [3, 4]]), red=np.uint16([[1, 2], [3, 4]]))
    return made.assign(
        date=("time", np.array(["2020", "2021"], "M8[ns]")), dem=("x", np.ones(2))
    ).assign_coords(id=("time", np.array(["a", "b"], object)), lat=("x", np.ones(2)))


def says(errors: Any, parts: list[str], call: Any) -> None:
    """Check the error of a call, and what its message holds."""
    with pytest.raises(errors) as raised:
        call()
    text = str(raised.value)
    for part in parts:
        assert part in text, text


@BACKENDS
@pytest.mark.parametrize(
    ("change", "provenance", "errors", "parts"),
    [
        (lambda c: c, ["idd"], (KeyError, ValueError), ["'idd'", "id", "source_index"]),
        (lambda c: c, ["nothing like it"], (KeyError, ValueError), ["nothing like it", "assign_coords"]),
        (lambda c: c, ["q"], (KeyError, ValueError), ["'q'"]),
        (lambda c: c, ["lat"], (KeyError, ValueError), ["'lat'", "time"]),
        (lambda c: c, "idd", (KeyError, ValueError), ["'idd'", "'id'"]),
        (lambda c: c, 1.5, (TypeError, ValueError), ["1.5", "source_index"]),
        (lambda c: c, [3], (KeyError, TypeError, ValueError), ["3"]),
        (lambda c: c.rename(red="source_index"), True, (ValueError,), ["'source_index'", "rename"]),
        (lambda c: c.assign_coords(valid_count=7), True, (ValueError,), ["'valid_count'", "rename"]),
        (lambda c: c.assign(source_time=("x", np.ones(2))), True, (ValueError,), ["'source_time'", "rename"]),
        (lambda c: c.drop_vars("time"), ["source_time"], (KeyError, TypeError, ValueError), ["source_time", "assign_coords"]),
    ],
)  # fmt: skip
def test_provenance(backend: str, change: Any, provenance: Any, errors: Any, parts: Any) -> None:
    """Names that there are not, names that are taken, what is no list of names."""
    c = change(collection(backend))
    says(errors, parts, lambda: qm.quality_mosaic(c, "q", provenance=provenance))


@BACKENDS
def test_a_name_with_a_band_before_it_that_is_taken(backend: str) -> None:
    """With masked="fill" provenance has the name of the band before its own."""
    c = collection(backend)
    c = c.assign(a=c["red"].assign_attrs(_FillValue=0), a_source_index=("x", np.ones(2)))
    says(
        ValueError,
        ["'a_source_index'", "'a'", "rename"],
        lambda: qm.quality_mosaic(c, "q", masked="fill"),
    )


@BACKENDS
@pytest.mark.parametrize(
    ("change", "arguments", "errors", "parts"),
    [
        (lambda c: c, {"n": 0}, (ValueError,), ["n=0", "n=5"]),
        (lambda c: c, {"n": -2}, (ValueError,), ["n=-2"]),
        (lambda c: c, {"n": 2.5}, (TypeError, ValueError), ["n=2.5"]),
        (lambda c: c, {"n": "two"}, (TypeError, ValueError), ["n='two'"]),
        (lambda c: c, {"n": None}, (TypeError, ValueError), ["n=None"]),
        (lambda c: c, {"masked": "fill"}, (ValueError,), ["masked='fill'", "'keep'", "'skip'"]),
        (lambda c: c, {"ties": "best"}, (ValueError,), ["ties='best'"]),
        (lambda c: c, {"quality_band": "rad"}, (KeyError,), ["Did you mean 'red'"]),
        (lambda c: c.rename(x="rank"), {}, (ValueError,), ["'rank'", "rename"]),
        (lambda c: c.assign_coords(rank=7), {}, (ValueError,), ["'rank'", "rename"]),
        (lambda c: c.isel(time=slice(0, 0)), {}, (ValueError,), ["zero images"]),
        (lambda c: [c], {}, (TypeError,), ["list"]),
    ],
)  # fmt: skip
def test_best_images(
    backend: str, change: Any, arguments: dict[str, Any], errors: Any, parts: list[str]
) -> None:
    """What is no number of images; rules that ranks do not have; a name that is taken."""
    given = {"quality_band": "q", "n": 2} | arguments
    c = change(collection(backend))
    says(errors, parts, lambda: qm.best_images(c, **given))


@BACKENDS
@pytest.mark.parametrize(
    ("change", "names", "errors", "parts"),
    [
        (lambda c: c, [], (ValueError, TypeError), ["[]", "quality"]),
        (lambda c: c, ["q", "q"], (ValueError,), ["'q'", "twice"]),
        (lambda c: c, ["q", "rde"], (KeyError,), ["'rde'", "Did you mean 'red'"]),
        (lambda c: c, ["q", "dem"], (KeyError,), ["'dem'", "not a band"]),
        (lambda c: c, ["q", "date"], (TypeError,), ["'date'", "datetime64", "order"]),
        (lambda c: c.assign(red=c["red"].assign_attrs(scale_factor=0)), ["q", "red"], (ValueError,), ["'red'", "scale_factor"]),
        (lambda c: c.assign(red=c["red"].assign_attrs(_FillValue=-1)), ["q", "red"], (ValueError,), ["'red'", "-1"]),
        (lambda c: c.assign(red=c["red"].astype("f4").assign_attrs(scale_factor=-0.5)), ["q", "red"], (ValueError,), ["'red'", "decode_cf"]),
    ],
)  # fmt: skip
def test_several_quality_bands(
    backend: str, change: Any, names: list[str], errors: Any, parts: list[str]
) -> None:
    """Each is checked as a quality is."""
    c = change(collection(backend))
    for call in (
        lambda: qm.quality_mosaic(c, names),
        lambda: qm.best_images(c, names, 2),
        lambda: qm.quality_mosaic(c, names, period="MS"),
    ):
        says(errors, parts, call)


@BACKENDS
@pytest.mark.parametrize(
    ("arguments", "errors", "parts"),
    [
        ({"period": ["2020-01-01"]}, (ValueError,), ["edges", "two"]),
        ({"period": []}, (ValueError,), ["edges", "two"]),
        ({"period": ["2020-02-01", "2020-01-01"]}, (ValueError,), ["edges", "later"]),
        ({"period": ["2020-01-01", "2020-01-01"]}, (ValueError,), ["edges", "later"]),
        ({"period": ["2020-01-01", "NaT"]}, (ValueError,), ["edges"]),
        ({"period": ["2020-01-01", "next year"]}, (ValueError,), ["next year"]),
        ({"period": ["2010-01-01", "2011-01-01"]}, (ValueError,), ["2010-01-01", "none", "2020-01-01"]),
        ({"period": "fortnight"}, (ValueError,), ["fortnight", "'MS'"]),
        ({"period": groupers.UniqueGrouper()}, (TypeError, ValueError), ["UniqueGrouper", "TimeResampler"]),
        ({"period": groupers.BinGrouper(bins=3)}, (TypeError, ValueError), ["BinGrouper", "TimeResampler"]),
        ({"period": "MS", "rolling": "fortnight"}, (ValueError,), ["rolling='fortnight'", "'MS'"]),
        ({"period": "MS", "rolling": "-1MS"}, (ValueError,), ["rolling='-1MS'"]),
        ({"period": "MS", "rolling": 0}, (TypeError, ValueError), ["rolling=0"]),
        ({"period": "MS", "rolling": 1.5}, (TypeError, ValueError), ["rolling=1.5"]),
        ({"rolling": "3MS"}, (ValueError,), ["rolling", "period"]),
        ({"period": "MS", "empty": "skip"}, (ValueError,), ["empty='skip'"]),
        ({"period": "MS", "provenance": ["idd"]}, (KeyError, ValueError), ["'idd'"]),
        ({"period": "MS", "provenance": ["time"]}, (ValueError,), ["'time'", "source_time"]),
    ],
)  # fmt: skip
def test_periods(backend: str, arguments: dict[str, Any], errors: Any, parts: list[str]) -> None:
    """What is no period, no edges, no grouper that resamples, no length of a window."""
    c = collection(backend).assign_coords(time=np.array(["2020-01-01", "2020-03-01"], "M8[ns]"))
    says(errors, parts, lambda: qm.quality_mosaic(c, "q", **arguments))
