"""Kernels that have two ways to the same pixels: which one is taken is a matter of cost alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qmosaic.engine import kernels
from qmosaic.engine.blocks import ArrayReader, take_block
from qmosaic.engine.kernels import FEW, Replacer, Winners, scatter_of

DTYPES = ["bool", "uint8", "int16", "uint16", "float16", "int32", "float32", "int64", "float64"]
ALWAYS, NEVER = 100.0, -1.0
"""Scatters at which bits are always and never used."""


def some(dtype: Any, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Make values of a dtype, with everything that its bits can say."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    return rng.integers(0, 256, (*shape, dtype.itemsize), "uint8").view(dtype)[..., 0]


@pytest.mark.parametrize("dtype", [*DTYPES, ">i2", "complex64"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(70, 1000), (3, 5), (0, 4), (1,)])
def test_replacing_by_bits_is_copyto(dtype: str, share: float, shape: tuple[int, ...]) -> None:
    """Bit for bit what `numpy.copyto` does, NaN and all, for arrays and for one value."""
    mask = np.random.default_rng(1).random(shape) < share
    new = some(dtype, shape, 2)
    for values in (new, new.reshape(-1)[0] if new.size else np.dtype(dtype).type(1)):
        outs = [some(dtype, shape, 3) for _ in range(3)]
        np.copyto(outs[0], values, where=mask)
        for out, scatter in zip(outs[1:], (ALWAYS, NEVER), strict=True):
            Replacer(out).replace(values, mask, scatter)
            assert out.tobytes() == outs[0].tobytes()


def test_values_that_do_not_lie_in_one_piece_are_replaced_too() -> None:
    """An image of a chunk that has time last, and scores of another dtype."""
    mask = np.random.default_rng(1).random((8, 9)) < 0.5
    for values in (some("int16", (8, 9, 3), 2)[..., 1], some("int16", (9, 8), 2).T, np.int8([[3]])):
        want, got = some("int16", (8, 9), 3), some("int16", (8, 9), 3)
        np.copyto(want, values, where=mask)
        Replacer(got).replace(np.broadcast_to(values, (8, 9)), mask, ALWAYS)
        np.testing.assert_array_equal(got, want)


def test_scatter_tells_pieces_from_noise() -> None:
    """A mask in one piece has next to none, noise has half; none where there is nothing beside."""
    noise = np.random.default_rng(0).random((200, 300)) < 0.5
    piece = np.add.outer(np.arange(200), np.arange(300)) < 250
    assert 40 < scatter_of(noise) < 60
    assert scatter_of(piece) < 1
    for shape in ((), (5,), (4, 1), (0, 7)):
        assert scatter_of(np.zeros(shape, bool)) == 0


@pytest.mark.parametrize("images", [1, FEW, FEW + 1, 300])
@pytest.mark.parametrize("shape", [(40, 50), (300, 300), (7,), ()])
def test_taking_is_the_same_for_few_and_many_winners(images: int, shape: tuple[int, ...]) -> None:
    """Sorted or one by one: each pixel from the image that has won it, the fill where none has."""
    rng = np.random.default_rng(4)
    index = rng.integers(-1, images, shape).astype("int16")
    if images == 300:  # not every image wins, nor the first
        index = np.where(index < 5, -1, index).astype("int16")
    values = rng.integers(1, 60000, (images, *shape)).astype("uint16")
    got = take_block(ArrayReader(values, 0), Winners(np.asarray(index)), 0)
    want = np.zeros(shape, "uint16")
    for place in np.ndindex(*shape):
        if index[place] >= 0:
            want[place] = values[(index[place], *place)]
    np.testing.assert_array_equal(got, want)


def test_each_pixel_is_moved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many winners no image is compared with the index: that would be images times pixels."""

    def fail(*args: Any) -> None:
        raise AssertionError("an image was compared with the index of the whole block")

    monkeypatch.setattr(kernels, "give", fail)
    index = np.arange(64, dtype="int16").reshape(8, 8)
    values = np.arange(64 * 64).reshape(64, 8, 8)
    winners = Winners(index)
    assert winners.positions == list(range(64))
    got = take_block(ArrayReader(values, 0), winners, 0)
    np.testing.assert_array_equal(got.ravel(), values.reshape(64, 64).diagonal())
    few = Winners(np.zeros((8, 8), "int16"))
    with pytest.raises(AssertionError):
        take_block(ArrayReader(values, 0), few, 0)


def test_winners_are_sorted_once_for_all_bands() -> None:
    """A decision hands the same winners to every band."""
    winners = Winners(np.arange(64, dtype="int16").reshape(8, 8))
    assert winners._sorted is winners._sorted
    assert winners.positions is winners.positions
