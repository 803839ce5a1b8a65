"""Bands reduced over the images that count, in plain arrays: which count, what is made of them."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmosaic.engine.blocks import ArrayReader, Demand, decide_block
from qmosaic.engine.kernels import Order
from qmosaic.engine.members import (
    Kept,
    Members,
    gather,
    least_scores,
    near_the_best,
    parts_of,
    placed,
)
from qmosaic.engine.reducing import Reducer, reduce_block
from qmosaic.engine.takers import Spread
from tests.support.strategies import few
from tests.support.windows import Held

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = [*INTEGERS, "bool", "float32", "float64"]
PLAIN = Spread((0, 1), ())


def number(value: Any) -> Any:
    """Give Python's own number, exact where it is finite."""
    own = value.item()
    return own if isinstance(own, float) and not math.isfinite(own) else Fraction(own)


def counts_beside(score: Any, best: Any, distance: float, descending: bool) -> bool:
    """Compare as the rule says it, in exact numbers."""
    if distance == math.inf:
        return True
    score, best = number(score), number(best)
    if not isinstance(best, Fraction):
        return bool(score == best)
    if not isinstance(score, Fraction):
        return bool(score == (-math.inf if descending else math.inf))
    return bool(best - score <= distance if not descending else score - best <= distance)


@st.composite
def scores(draw: st.DrawFn) -> tuple[np.ndarray, float, bool]:
    """Draw scores of a dtype, a distance and a direction."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = [v for v in few(dtype) if v == v]
    drawn = draw(st.lists(st.sampled_from(values), min_size=1, max_size=6))
    whole = st.sampled_from([0, 1, 2, 255, 2**15, 2**63, 2**64 - 1, 2**64, math.inf])
    # steps that every dtype of floats holds exactly: what is rounded is another matter
    halves = st.sampled_from([0.0, 0.5, 1.5, 2.5])
    return np.array(drawn, dtype), draw(whole | halves), draw(st.booleans())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(scores())
def test_scores_count_as_far_as_the_distance_exactly(case: tuple[np.ndarray, float, bool]) -> None:
    """`within`: score >= best - distance, in the integers themselves, whatever their dtype; with a
    negative packing score <= best + distance; infinite scores are scores."""
    values, distance, descending = case
    best = values.min() if descending else values.max()
    least = least_scores(np.array([best]), Order(descending=descending), distance)
    assert least.dtype == values.dtype
    got = values <= least[0] if descending else values >= least[0]
    largest = float(np.finfo(values.dtype).max) if values.dtype.kind == "f" else math.inf
    for score, counts in zip(values, got, strict=True):
        if values.dtype.kind == "f" and largest in (abs(float(best)), abs(float(score))):
            continue  # beside the largest float a distance of 1 is rounded away
        assert counts == counts_beside(score, best, distance, descending)


def test_the_largest_floats_do_not_reach_the_infinite_ones() -> None:
    """A distance beyond the largest float makes all finite scores count, and no infinite one."""
    big = np.finfo("float32").max
    for descending in (False, True):
        best = np.array([big, -big, 0, np.inf, -np.inf], "float32")
        least = least_scores(best, Order(descending=descending), 1e300)
        end = big if descending else -big
        np.testing.assert_array_equal(least, np.array([end, end, end, np.inf, -np.inf], "float32"))


def reduced(values: list[Any], dtype: np.dtype[Any], reducer: Reducer, fill: Any) -> Any:
    """Reduce the valid values of one pixel by numpy, one pixel at a time."""
    if not values:
        return fill
    column = np.array(values, dtype)
    with np.errstate(all="ignore"):
        if reducer.kind == "mean":
            return column.astype("float64").mean().astype(reducer.dtype(dtype))
        if dtype.kind != "f":
            return np.sort(column)[int(np.floor((len(values) - 1) * reducer.percent / 100))]
        if reducer.kind == "median":
            return np.median(column)
        return np.percentile(column.astype("float64"), reducer.percent).astype(dtype)


@st.composite
def blocks(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a quality, a band, what is masked in them, and what is asked for."""
    images, sides = draw(st.integers(1, 7)), (draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    shape = (images, *sides)

    def values(dtype: np.dtype[Any], choice: list[Any]) -> np.ndarray:
        size = math.prod(shape)
        drawn = draw(st.lists(st.sampled_from(choice), min_size=size, max_size=size))
        return np.array(drawn, dtype).reshape(shape)

    kind = np.dtype(draw(st.sampled_from(["int16", "uint8", "float32", "bool"])))
    steps = {"b": [False, True], "f": [math.nan, -math.inf, -1.0, 0.0, 0.5, 2.0]}
    quality = values(kind, steps.get(kind.kind, [0, 1, 2, 5, 7]))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    choice = [v for v in few(dtype) if v != v or abs(v) < 1e30]
    nodata = None if kind.kind in "bf" else draw(st.sampled_from([None, kind.type(1)]))
    own = None if dtype.kind == "b" else draw(st.sampled_from([None, dtype.type(1)]))
    percent = draw(st.sampled_from([0, 10, 25, 50, 70, 99.5, 100]))
    return {
        "quality": quality,
        "band": values(dtype, choice),
        "order": Order(
            nodata=nodata,
            min_quality=draw(st.sampled_from([None, kind.type(1)])),
            descending=draw(st.booleans()),
        ),
        "own": own,
        "demanded": draw(st.booleans()),
        "distance": draw(st.sampled_from([0, 1, 1.5, 3, math.inf])),
        "reducer": draw(
            st.sampled_from([Reducer("median"), Reducer("mean"), Reducer("percentile", percent)])
        ),
        "most": draw(st.sampled_from([1, 16, 10**6])),
        "most_bits": draw(st.sampled_from([0, 10**6])),
    }


def by_hand(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Give what the rules ask for: which images count, and the reduced band; pixel by pixel."""
    quality, band, order = case["quality"], case["band"], case["order"]
    made = np.zeros(band.shape[1:], case["reducer"].dtype(band.dtype))
    counting = np.zeros(band.shape, bool)
    for y, x in np.ndindex(*band.shape[1:]):
        column, values = quality[:, y, x], band[:, y, x]
        valid = [bool(v == v) and (case["own"] is None or v != case["own"]) for v in values]
        candidates = []
        for t, score in enumerate(column):
            fine = score == score and (order.nodata is None or score != order.nodata)
            if fine and order.min_quality is not None:
                low = order.min_quality
                fine = score <= low if order.descending else score >= low
            if fine and (valid[t] or not case["demanded"]):
                candidates.append(t)
        best = [column[t] for t in candidates]
        if best:
            top = min(best) if order.descending else max(best)
            for t in candidates:
                counting[t, y, x] = counts_beside(
                    column[t], top, case["distance"], order.descending
                )
        chosen = [values[t] for t in range(len(values)) if counting[t, y, x] and valid[t]]
        made[y, x] = reduced(chosen, band.dtype, case["reducer"], 7 if band.dtype != bool else 0)
    return counting, made


@settings(max_examples=50, deadline=None, derandomize=True)
@given(blocks())
def test_a_block_is_reduced_as_the_rules_say(case: dict[str, Any]) -> None:
    """`within` and `reducer`: any dtype, nodata, NaN, threshold, direction and demand; in one piece
    or in parts of few bytes, with bits at hand or found again."""
    counting, want = by_hand(case)
    band, order = Held(case["band"], case["own"]), case["order"]
    window = tuple((0, n) for n in want.shape)

    def members(window: Any, most: int | None = None) -> Members:
        quality = ArrayReader(Held(case["quality"]).cut(window), 0)
        demand = [Demand(ArrayReader(band.cut(window), 0), case["own"], (0, 1))]
        demands = demand if case["demanded"] else []
        made = decide_block(quality, order, demands)
        near = near_the_best(quality, order, case["distance"], made.best, made.index, demands)
        return gather(made.best.shape, quality.images, near, most)

    found = members(window, case["most_bits"])
    np.testing.assert_array_equal(found.counts, counting.sum(0))
    assert found.positions == np.flatnonzero(counting.any((1, 2))).tolist()
    fill = want.dtype.type(0 if case["band"].dtype == bool else 7)
    got = reduce_block(
        band, window, PLAIN, found, members, case["reducer"], case["own"], fill, case["most"]
    )
    assert got.dtype == want.dtype
    if want.dtype.kind == "f":
        # numpy's interpolation is another order of the same few steps
        rtol = 4 * np.finfo(want.dtype).eps if case["reducer"].kind != "median" else 0
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(got, want)


def test_a_median_of_an_even_number_of_integers_is_the_lower_of_two() -> None:
    """Integers give a value that an image has; floats the mean of the two, as numpy does."""
    values = np.array([4, 1, 9, 3])
    window = ((0, 1), (0, 1))
    members = gather((1, 1), 4, ((t, np.ones((1, 1), bool)) for t in range(4)))
    got = {}
    for dtype in ("int32", "uint64", "float32"):
        band = Held(values.astype(dtype).reshape(4, 1, 1))
        made = reduce_block(
            band, window, PLAIN, members, _never, Reducer("median"), None, np.dtype(dtype).type(0)
        )
        got[dtype] = made.item()
    assert got == {"int32": 3, "uint64": 3, "float32": 3.5}


def _never(window: Any) -> Members:
    raise AssertionError(f"members were found again in {window}")


def test_bands_with_other_dimensions_are_reduced_layer_by_layer() -> None:
    """A band with its dimensions in another order, and with one that the quality lacks."""
    rng = np.random.default_rng(0)
    band = rng.integers(0, 99, (3, 6, 5, 4)).astype("int16")  # level, time, x, y
    mask = rng.random((6, 4, 5)) < 0.6  # time, y, x
    members = gather((4, 5), 6, enumerate(mask))
    lay = Spread((1, 0), (0,))
    for most in (1, 300, 10**6):
        got = reduce_block(
            Held(band, axis=1),
            ((0, 3), (0, 5), (0, 4)),
            lay,
            members,
            _never,
            Reducer("median"),
            None,
            np.int16(-1),
            most,
        )
        for level, x, y in np.ndindex(3, 5, 4):
            chosen = np.sort(band[level, mask[:, y, x], x, y])
            assert got[level, x, y] == (chosen[(len(chosen) - 1) // 2] if len(chosen) else -1)


def test_only_images_that_count_are_read_and_once_where_they_fit() -> None:
    """What is read of a band: images that count in the window; in parts, those of each part."""
    mask = np.zeros((5, 4, 4), bool)
    mask[1, :2], mask[3, 2:], mask[4, :, 1] = True, True, True
    members = gather((4, 4), 5, enumerate(mask))
    window = ((0, 4), (0, 4))
    for most, want in ((10**6, [1, 3, 4]), (24, [1, 3, 4, 4])):
        band = Held(np.ones((5, 4, 4), "int16"))
        reduce_block(
            band, window, PLAIN, members, _never, Reducer("median"), None, np.int16(0), most
        )
        assert sorted(band.reads) == want


@pytest.mark.parametrize("kind", ["median", "mean"])
def test_memory_does_not_grow_with_images(kind: Any) -> None:
    """Three times the images, all of which count: no more memory, as the bytes held are stated."""
    side = 40

    class Made:
        """Images that are made when they are asked for."""

        dtype = np.dtype("uint16")

        def __init__(self, images: int, shape: tuple[int, ...]) -> None:
            self.images, self.shape = images, shape

        def open(self, window: Any, *, candidates: bool = False) -> Made:
            return Made(self.images, tuple(b - a for a, b in window))

        def walk(
            self, positions: Iterable[int], *, ahead: bool = True
        ) -> Iterator[tuple[int, np.ndarray]]:
            for p in positions:
                yield p, np.full(self.shape, p, self.dtype)

        def image(self, position: int) -> np.ndarray:
            return np.full(self.shape, position, self.dtype)

    def peak(images: int) -> int:
        band, window = Made(images, (side, side)), ((0, side), (0, side))

        def again(window: Any) -> Members:
            shape = band.open(window).shape
            return gather(shape, images, ((p, np.ones(shape, bool)) for p in range(images)))

        counts = np.full((side, side), images, "int16")
        unknown = Members(counts, list(range(images)), None)
        tracemalloc.start()
        try:
            made = reduce_block(
                band, window, PLAIN, unknown, again, Reducer(kind), None, np.uint16(0), 2**16
            )
            assert made[0, 0] == ((images - 1) // 2 if kind == "median" else (images - 1) / 2)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(240) < 1.4 * peak(80)


@given(
    st.lists(st.integers(0, 9), min_size=0, max_size=24),
    st.sampled_from([(4, 6), (1, 24), (24, 1), (24,), (2, 3, 4), (0, 5)]),
    st.integers(0, 40),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_parts_cover_a_window_once_within_what_they_may_cost(
    numbers: list[int], shape: tuple[int, ...], most: int
) -> None:
    """Every pixel is in one part; a part costs no more than it may, or is one pixel."""
    cost = np.resize(np.array(numbers or [0]), math.prod(shape)).reshape(shape)
    seen = np.zeros(shape, int)
    for part in parts_of(cost, most):
        seen[part] += 1
        assert cost[part].sum() <= most or cost[part].size == 1
        window = placed(tuple((10, 10 + n) for n in shape), part)
        assert tuple(b - a for a, b in window) == cost[part].shape
    assert (seen == 1).all()


def test_what_is_kept_is_read_once_and_what_is_left_out_stays_so() -> None:
    """A reader that leaves out images, walked twice: the second time nothing is read."""
    held = Held(np.arange(12, dtype="int16").reshape(6, 2), leaves_out={0, 3})
    kept = Kept(held.open(((0, 2),)))
    for _ in range(2):
        got = [(p, image.tolist()) for p, image in kept.walk(range(6))]
        assert got == [(p, [2 * p, 2 * p + 1]) for p in (1, 2, 4, 5)]
    assert kept.image(2).tolist() == [4, 5]
    assert sorted(held.reads) == [1, 2, 4, 5]
