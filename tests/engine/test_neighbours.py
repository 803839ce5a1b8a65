"""Images that win their surroundings are preferred: the kernel, against loops over pixels."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmosaic.engine.blocks import ArrayReader, decide_block
from qmosaic.engine.kernels import Order
from qmosaic.engine.neighbours import Disc, Favour
from tests.support.surroundings import preferred, within


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    down=st.sampled_from([0.4, 1.0, 1.5, 3.0, 12.0]),
    across=st.sampled_from([0.4, 1.0, 2.2, 3.0, 12.0]),
    share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_pixels_are_counted(
    shape: tuple[int, int], down: float, across: float, share: float, seed: int
) -> None:
    """Those whose centres lie within the radius, an ellipse where pixels are no squares."""
    disc = Disc.of(down, across)
    assert disc.reach == (math.floor(down), math.floor(across))
    marked = np.random.default_rng(seed).random(shape) < share
    counts = disc.count(np.pad(marked, [(r, r) for r in disc.reach]))
    for y, x in np.ndindex(shape):
        near = [marked[v, u] for v, u in np.ndindex(shape) if within(y - v, x - u, down, across)]
        assert counts[y, x] == sum(near)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(1, 8)),
    dtype=st.sampled_from(["float32", "float64", "uint8", "int64", "bool"]),
    ties=st.sampled_from(["first", "last"]),
    descending=st.booleans(),
    bonus=st.sampled_from([0.3, 1.0, 2.5, 1e9]),
    radius=st.sampled_from([1.0, 1.5, 2.0, 4.0]),
    low=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    least=st.sampled_from([None, 2]),
    seed=st.integers(0, 999),
)
def test_who_wins_around_is_preferred(
    shape: tuple[int, int, int],
    dtype: str,
    ties: Any,
    descending: bool,
    bonus: float,
    radius: float,
    low: tuple[int, int],
    least: int | None,
    seed: int,
) -> None:
    """The highest of quality + bonus × share wins, for any window of the map, whatever the dtype,
    the ties and the masks; the score that is given is the image's own."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, shape).astype(dtype)
    if dtype.startswith("float"):
        values[rng.random(shape) < 0.3] = np.nan
    nodata = None if dtype == "bool" else values.dtype.type(1)
    order = Order(ties, nodata, least, None, descending)
    window = tuple((min(a, n - 1), n) for a, n in zip(low, shape[1:], strict=True))
    favour = Favour(bonus, Disc.of(radius, radius), (0, 1))
    wide = favour.wide(window, shape[1:])
    whole, part = (values[:, a:b, c:d] for (a, b), (c, d) in (wide, window))
    first = decide_block(ArrayReader(whole, 0), order).index
    best, index = favour.decide(first, (window, wide), ArrayReader(part, 0), order)
    wanted = preferred(
        values,
        ties=ties,
        bonus=bonus,
        radius=radius,
        nodata=nodata,
        least=least,
        descending=descending,
    )[window[0][0] :, window[1][0] :]
    np.testing.assert_array_equal(index, wanted)
    assert best.dtype == values.dtype
    for y, x in np.argwhere(wanted >= 0):
        assert best[y, x] == part[wanted[y, x], y, x]


def test_axes_in_any_order() -> None:
    """Down and across are where the caller says; what else there is has maps of its own."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (4, 6, 2, 5)).astype("uint8")  # time, x, layer, y
    favour = Favour(1.5, Disc.of(1, 2), (2, 0))
    window = ((0, 6), (0, 2), (0, 5))
    assert favour.wide(((2, 3), (0, 2), (2, 3)), (6, 2, 5)) == ((0, 5), (0, 2), (1, 4))
    first = decide_block(ArrayReader(values, 0), Order()).index
    _, index = favour.decide(first, (window, window), ArrayReader(values, 0), Order())
    for layer in range(2):
        image = values[:, :, layer].transpose(0, 2, 1)
        np.testing.assert_array_equal(index[:, layer].T, preferred(image, bonus=1.5, radius=(1, 2)))


def test_only_images_that_won_around_are_read_again() -> None:
    """An image that wins nothing in the window and its margin is not looked at twice."""
    values = np.zeros((5, 4, 8), "uint8")
    values[1], values[3, :, 5:] = 1, 2
    asked: list[int] = []

    class Counting(ArrayReader):
        def image(self, position: int) -> Any:
            asked.append(position)
            return super().image(position)

    favour = Favour(0.5, Disc.of(1, 1), (0, 1))
    window = ((0, 4), (0, 4))
    wide = favour.wide(window, (4, 8))
    assert wide == ((0, 4), (0, 5))
    first = decide_block(ArrayReader(values[:, :, :5], 0), Order()).index
    _, index = favour.decide(first, (window, wide), Counting(values[:, :, :4], 0), Order())
    assert asked == [1]
    assert (index == 1).all()


@pytest.mark.parametrize(("score", "bonus"), [(2.0**60, 1e-3), (1e300, 1.0)])
def test_rounding_lets_nobody_win_who_won_nothing(score: float, bonus: float) -> None:
    """Where a bonus is lost in the rounding of a large score, the first winner stays."""
    values = np.array([[[np.nextafter(score, 0)]], [[score]]])
    first = decide_block(ArrayReader(values, 0), Order()).index
    favour, window = Favour(bonus, Disc.of(1, 1), (0, 1)), ((0, 1), (0, 1))
    best, index = favour.decide(first, (window, window), ArrayReader(values, 0), Order())
    assert index.tolist() == [[1]]
    assert best.tolist() == [[score]]


def test_pairs_of_windows_agree() -> None:
    """What wins a pixel does not depend on the window that it is decided in."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(7, 12, 11)).astype("float32")
    values[rng.random(values.shape) < 0.4] = np.nan
    favour = Favour(0.7, Disc.of(2, 3), (0, 1))
    whole = preferred(values, bonus=0.7, radius=(2, 3))
    for (a, b), (c, d) in product([(0, 5), (5, 6), (6, 12)], [(0, 1), (1, 8), (8, 11)]):
        wide = favour.wide(((a, b), (c, d)), (12, 11))
        (e, f), (g, h) = wide
        first = decide_block(ArrayReader(values[:, e:f, g:h], 0), Order()).index
        reader = ArrayReader(values[:, a:b, c:d], 0)
        _, index = favour.decide(first, (((a, b), (c, d)), wide), reader, Order())
        np.testing.assert_array_equal(index, whole[a:b, c:d])
