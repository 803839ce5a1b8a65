"""Medoids in plain arrays, against a loop over pixels."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qmosaic.engine.closest import Budgets, Compared, medoid_block
from tests.support.windows import Held

DTYPES = ["int8", "int64", "uint8", "uint16", "uint64", "bool", "float32", "float64"]
PLAIN = (0, 1)


def by_hand(
    bands: list[tuple[np.ndarray, Any, bool]], ties: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give distance, position and number of candidates, pixel by pixel."""
    first = bands[0][0]
    distance = np.full(first.shape[1:], np.nan)
    index, count = np.full(distance.shape, -1), np.zeros(distance.shape, int)
    for place in np.ndindex(*distance.shape):
        columns = [values[(slice(None), *place)] for values, _, _ in bands]
        candidates = [
            t
            for t in range(len(first))
            if all(
                c[t] == c[t] and (nodata is None or c[t] != nodata)
                for c, (_, nodata, _) in zip(columns, bands, strict=True)
            )
        ]
        count[place] = len(candidates)
        sums = dict.fromkeys(candidates, 0.0)
        for column, (_, _, measured) in zip(columns, bands, strict=True):
            numbers = {t: float(column[t].item()) for t in candidates}
            if measured and numbers:
                median = middle(list(numbers.values()))
                for t, value in numbers.items():
                    sums[t] += 0.0 if value == median else (value - median) ** 2
        ranked = sums.items() if ties == "first" else reversed(sums.items())
        for t, total in ranked:
            total = math.inf if math.isnan(total) else total
            if index[place] < 0 or total < distance[place]:
                distance[place], index[place] = total, t
    return distance, index, count


def middle(numbers: list[float]) -> float:
    """Give the middle one, or the mean of the two in the middle."""
    ordered = sorted(numbers)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


def check(bands: list[tuple[np.ndarray, Any, bool]], ties: Any, budgets: Budgets) -> None:
    """Compare a block with the loop over pixels."""
    want = by_hand(bands, ties)
    compared = [Compared(Held(v), n, PLAIN, m) for v, n, m in bands]
    window = tuple((0, n) for n in want[0].shape)
    got = medoid_block(compared, ties, window, budgets=budgets)
    assert got.count is not None
    np.testing.assert_array_equal(got.count, want[2])
    np.testing.assert_array_equal(got.index, want[1])
    some = want[1] >= 0
    assert got.best.dtype == np.float64
    np.testing.assert_array_equal(got.best[some], want[0][some])


@st.composite
def collections(draw: st.DrawFn) -> list[tuple[np.ndarray, Any, bool]]:
    """Draw bands of any dtype; the first is measured."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    found = []
    for number in range(draw(st.integers(1, 3))):
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        choice: list[Any] = [0, 1, 2, 5, 100]
        if dtype.kind == "f":
            choice = [math.nan, math.inf, -math.inf, -1.0, 0.0, 0.5, 3.0]
        size = math.prod(shape)
        drawn = draw(st.lists(st.sampled_from(choice), min_size=size, max_size=size))
        nodata = None if dtype.kind == "b" else draw(st.sampled_from([None, dtype.type(1)]))
        measured = number == 0 or draw(st.booleans())
        found.append((np.array(drawn).astype(dtype).reshape(shape), nodata, measured))
    return found


BUDGETS = [Budgets(), Budgets(kept=0), Budgets(kept=0, values=1), Budgets(40, 3, 8)]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(collections(), st.sampled_from(["first", "last"]), st.sampled_from(BUDGETS))
def test_the_image_closest_to_the_median_wins(
    bands: list[tuple[np.ndarray, Any, bool]], ties: str, budgets: Budgets
) -> None:
    """Candidates are valid in all bands; the least sum of squared differences wins, ties as the
    rule says; infinite values and medians leave no pixel without its winner; in one piece or in
    many parts, with images kept or read again."""
    check(bands, ties, budgets)


def test_bands_in_another_order_of_dimensions_are_compared_on_the_map() -> None:
    """A band that lies (x, y) counts at the same pixels as one that lies (y, x)."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (5, 6, 4)).astype("uint16")
    turned = Compared(Held(np.ascontiguousarray(values.transpose(0, 2, 1))), None, (1, 0))
    plain = Compared(Held(values), None, PLAIN)
    other = Compared(Held(rng.integers(0, 9, (5, 6, 4)).astype("uint16")), None, PLAIN)
    window = ((1, 6), (0, 3))
    a, b = (medoid_block([first, other], "first", window) for first in (turned, plain))
    np.testing.assert_array_equal(a.index, b.index)


def test_images_that_are_left_out_are_no_candidates() -> None:
    """What one band leaves out is left out in all, whether bands can be masked or not."""
    for dtype in ("uint8", "float32"):
        values = np.array([5, 6, 100, 7], dtype).reshape(4, 1, 1)
        window = ((0, 1), (0, 1))
        bands = [
            Compared(Held(values), None, PLAIN),
            Compared(Held(np.zeros_like(values), leaves_out={1}), None, PLAIN),
        ]
        for budgets in (Budgets(), Budgets(kept=0)):
            got = medoid_block(bands, "first", window, budgets=budgets)
            assert got.count is not None
            assert (got.index.item(), got.count.item()) == (3, 3)


def test_images_that_can_be_kept_are_read_once() -> None:
    """Small windows are read once, larger ones three times at most: valid, median, distance."""
    rng = np.random.default_rng(0)
    for budgets, most in ((Budgets(), 1), (Budgets(kept=0), 3)):
        held = [Held(rng.random((6, 8, 8))) for _ in range(3)]
        bands = [Compared(h, None, PLAIN) for h in held]
        medoid_block(bands, "first", ((0, 8), (0, 8)), budgets=budgets)
        for one in held:
            assert sorted(one.reads) == sorted([*range(6)] * most)


def test_memory_does_not_grow_with_images() -> None:
    """Three times the images: no more memory."""
    side, budgets = 32, Budgets(2**14, 2**14, 2**14)

    class Made:
        """Images that are made when they are asked for."""

        dtype = np.dtype("float32")

        def __init__(self, images: int, shape: tuple[int, ...]) -> None:
            self.images, self.shape = images, shape

        def open(self, window: Any, *, candidates: bool = False) -> Made:
            return Made(self.images, tuple(b - a for a, b in window))

        def walk(
            self, positions: Iterable[int], *, ahead: bool = True
        ) -> Iterator[tuple[int, np.ndarray]]:
            for p in positions:
                yield p, self.image(p)

        def image(self, position: int) -> np.ndarray:
            return np.full(self.shape, position, self.dtype)

    def peak(images: int) -> int:
        bands = [Compared(Made(images, (side, side)), None, PLAIN) for _ in range(2)]
        tracemalloc.start()
        try:
            got = medoid_block(bands, "last", ((0, side), (0, side)), budgets=budgets)
            assert (got.index == images // 2).all()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(90) < 1.5 * peak(30)
