"""An order that is mixed within windows: each sample once, in long pieces of the source, and as random within a window as a drawn one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.order import Order
from loader.data.plans.sample_batches import SampleBatches
from tests.examples import examples

Permutations = npt.NDArray[np.int64]


def epoch_of(samples: int, window: int, seed: int = 0, epoch: int = 0) -> Permutations:
    return Order(samples, seed, True, window).indices(epoch, np.arange(samples))


@examples(150)
@given(samples=st.integers(1, 20_000), window=st.integers(2, 30_000), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_each_sample_comes_once_for_any_number_and_window(samples: int, window: int, seed: int, epoch: int) -> None:
    if samples // window > 200:
        window = samples // 200
    assert np.array_equal(np.sort(epoch_of(samples, window, seed, epoch)), np.arange(samples))


@examples(50)
@given(samples=st.sampled_from([2, 100, 1_023, 5_000]), window=st.sampled_from([2, 33, 64, 1_024, 9_999]), data=st.data())
def test_any_piece_in_any_order_gives_the_same(samples: int, window: int, data: st.DataObject) -> None:
    whole = {epoch: epoch_of(samples, window, 5, epoch) for epoch in range(3)}
    order = Order(samples, 5, True, window)
    for _ in range(data.draw(st.integers(1, 8), label="pieces")):
        start, epoch = data.draw(st.integers(0, samples - 1)), data.draw(st.integers(0, 2))
        positions = np.arange(start, min(samples, start + data.draw(st.integers(1, 700))))
        kept = positions.copy()
        assert np.array_equal(order.indices(epoch, positions), whole[epoch][positions])
        assert np.array_equal(positions, kept)
    scattered = np.random.default_rng(0).integers(0, samples, 300)
    assert np.array_equal(order.indices(2, scattered), whole[2][scattered])


@examples(30)
@given(samples=st.integers(50, 3_000), window=st.integers(2, 3_000), batch=st.integers(1, 9), world=st.integers(1, 4))
def test_shards_have_no_sample_in_common_and_leave_none_out(samples: int, window: int, batch: int, world: int) -> None:
    plans = [SampleBatches(Order(samples, 1, True, window), batch, False, rank, world) for rank in range(world)]
    found = [plan.indices(3, 0, plan.rows) for plan in plans]
    together = np.concatenate(found)
    assert len(np.unique(together)) == len(together) == samples - plans[0].left_out


@pytest.mark.parametrize(("samples", "window"), [(100, 10), (5_000, 700), (5_000, 10**12)])
def test_epochs_and_seeds_differ(samples: int, window: int) -> None:
    orders = [epoch_of(samples, window, seed, epoch) for seed in (0, 1, 2**63) for epoch in range(6)]
    for number, one in enumerate(orders):
        for other in orders[:number]:
            assert np.mean(one == other) < 0.1


def test_a_window_holds_long_pieces_of_the_source() -> None:
    samples, window = 100_000, 3_200
    order = Order(samples, 2, True, window)
    for epoch in range(3):
        found = order.indices(epoch, np.arange(samples))
        for start in range(0, samples, order.window):
            inside = np.sort(found[start : start + order.window])
            pieces = 1 + np.count_nonzero(np.diff(inside) != 1)
            assert pieces <= 32 + 4  # a window begins and ends within a block, and the source's end is next to its beginning


def test_windows_are_of_about_the_wanted_size_and_of_nearly_one_size() -> None:
    for samples, window in [(1_000, 100), (1_001, 100), (1_049, 100), (1_051, 100), (90, 100), (7, 2)]:
        size = Order(samples, 0, True, window).window
        last = samples - (samples - 1) // size * size
        assert size <= min(samples, 1.5 * window)
        assert size - last <= samples // size


def test_what_is_mixed_within_a_window_is_evenly_spread_over_it() -> None:
    """Sample by sample: how often each place of a window is taken by each block, against the same share for all."""
    samples, window, epochs = 640, 160, 400
    counts = np.zeros((4, 640 // 40), np.int64)
    for epoch in range(epochs):
        found = epoch_of(samples, window, 4, epoch)
        np.add.at(counts, (np.arange(samples) // window, found // 40), 1)
    expected = counts.sum() / counts.size
    # Five samples of a block go together, so a cell varies five times as much as if each went by itself.
    assert np.abs(counts - expected).max() < 5 * np.sqrt(5 * expected)


def test_neighbours_in_the_source_are_apart_in_the_epoch() -> None:
    found = epoch_of(32_000, 3_200, seed=3)
    steps = np.abs(np.diff(found))
    assert np.mean(steps == 1) < 0.002


def test_the_setting_decides_the_window() -> None:
    plain = Order.as_set(1_000, 0, True, lambda: 4)
    assert plain.shuffle
    assert not plain.window
    assert not Order.as_set(1_000, 0, False, lambda: 4).shuffle
    assert Order.as_set(10**6, 0, 1_000, lambda: 4).window == 1_000
    assert Order.as_set(10**6, 0, "blocks", lambda: 2**20).window == pytest.approx(256, rel=0.01)
    assert Order.as_set(10, 0, "blocks", lambda: 2**40).window == 2
    assert Order.as_set(10**5, 0, "blocks", lambda: None).window == pytest.approx(4096, rel=0.03)


def test_a_billion_samples_are_ordered_anywhere() -> None:
    order = Order(10**9, 1, True, 10**6)
    found = [order.indices(1, np.arange(start, start + 8_192)) for start in (0, 123_456_789, 10**9 - 8_192)]
    together = np.concatenate(found)
    assert len(np.unique(together)) == len(together)
    assert together.min() >= 0
    assert together.max() < 10**9
