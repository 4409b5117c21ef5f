"""The order of an epoch is a permutation, a pure function, and as random as one that is drawn.

Every statistic is compared with what a drawn permutation gives, for seeds that are fixed: a bound is four to five standard deviations wide, so that
a sound order passes whatever the seeds are, and one with a bias of a few percent does not.
"""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data import order as order_module
from loader.data.order import Order
from tests.examples import examples

Permutations = npt.NDArray[np.int64]

PRIMES = (2, 3, 5, 7, 1_021, 1_031, 2_003, 10_007, 99_991)
SQUARES = (4, 9, 1_024, 1_089, 10_000)
EDGES = (1, 6, 1_023, 1_025, 1_026, 1_055, 1_056, 1_057, 4_097, 65_536)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network make small orders, too, which are drawn otherwise."""
    monkeypatch.setattr(order_module, "_DRAWN_BELOW", 0)


def epoch_of(samples: int, seed: int = 0, epoch: int = 0) -> Permutations:
    return Order(samples, seed, True).indices(epoch, np.arange(samples))


def epochs_of(samples: int, count: int, seed: int = 0) -> Permutations:
    """Return `count` epochs, of shape `(count, samples)`."""
    order, positions = Order(samples, seed, True), np.arange(samples)
    return np.stack([order.indices(epoch, positions) for epoch in range(count)])


# A permutation, and a pure function.


@pytest.mark.parametrize("samples", sorted({*PRIMES, *SQUARES, *EDGES}))
def test_each_sample_comes_once(samples: int) -> None:
    for epoch in range(3):
        assert np.array_equal(np.sort(epoch_of(samples, epoch=epoch)), np.arange(samples))


@pytest.mark.usefixtures("network")
def test_the_network_permutes_any_small_number_of_samples() -> None:
    for samples in range(1, 200):
        assert np.array_equal(np.sort(epoch_of(samples, seed=samples)), np.arange(samples))


@examples(50)
@given(samples=st.integers(1, 30_000), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_each_sample_comes_once_for_any_number_seed_and_epoch(samples: int, seed: int, epoch: int) -> None:
    assert np.array_equal(np.sort(epoch_of(samples, seed, epoch)), np.arange(samples))


@examples(50)
@given(samples=st.sampled_from([2, 100, 1_023, 1_024, 5_000]), block=st.integers(1, 700), data=st.data())
def test_any_block_in_any_order_gives_the_same(samples: int, block: int, data: st.DataObject) -> None:
    starts = data.draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=8), label="starts")
    epochs = data.draw(st.lists(st.integers(0, 2), min_size=8, max_size=8), label="epochs")
    whole = {epoch: epoch_of(samples, 5, epoch) for epoch in range(3)}
    order = Order(samples, 5, True)
    for start, epoch in zip(starts, epochs, strict=False):
        positions = np.arange(start, min(samples, start + block))
        kept = positions.copy()
        assert np.array_equal(order.indices(epoch, positions), whole[epoch][positions])
        assert np.array_equal(positions, kept)


@pytest.mark.parametrize("samples", [100, 1_500])
def test_positions_may_be_scattered_and_repeated(samples: int) -> None:
    positions = np.random.default_rng(0).integers(0, samples, 500)
    assert np.array_equal(Order(samples, 1, True).indices(3, positions), epoch_of(samples, 1, 3)[positions])


@pytest.mark.parametrize("samples", [100, 1_500])
def test_epochs_and_seeds_differ(samples: int) -> None:
    orders = [epoch_of(samples, seed, epoch) for seed in (0, 1, 2**63) for epoch in range(10)]
    for number, one in enumerate(orders):
        for other in orders[:number]:
            assert np.mean(one == other) < 0.1


def test_without_shuffle_the_order_is_the_sources() -> None:
    positions = np.arange(37, 99)
    assert np.array_equal(Order(1_000, 3, False).indices(8, positions), positions)


def test_a_billion_samples_are_ordered_anywhere_in_little_memory() -> None:
    samples, block = 10**9, 8_192
    order = Order(samples, 1, True)
    order.indices(0, np.arange(3))  # numpy.random itself is imported outside of the measurement
    tracemalloc.start()
    try:
        found = [order.indices(1, np.arange(start, start + block)) for start in (0, 123_456_789, samples - block)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
    together = np.concatenate(found)
    assert len(np.unique(together)) == len(together)
    assert together.min() >= 0
    assert together.max() < samples
    assert np.array_equal(order.indices(0, np.array([5])), Order(samples, 1, True).indices(0, np.array([5])))


# As random as a drawn one. A network of six rounds has too many neighbours at n = 100.


def z_of_uniform_cells(counts: Permutations) -> float:
    """Return the chi-square statistic of counts that should be equal in each row and column, in standard deviations."""
    expected = counts.sum() / counts.size
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    return (chi_square - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "network"])
def test_every_sample_is_equally_often_at_every_position(drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not drawn:
        monkeypatch.setattr(order_module, "_DRAWN_BELOW", 0)
    counts = np.zeros((100, 100), np.int64)
    for epoch in epochs_of(100, 2_000, seed=1):
        counts[np.arange(100), epoch] += 1
    assert abs(z_of_uniform_cells(counts)) < 4.5


def test_every_part_of_the_source_is_equally_often_in_every_part_of_the_epoch() -> None:
    counts = np.zeros((30, 30), np.int64)
    for epoch in epochs_of(1_500, 300, seed=2):
        np.add.at(counts, (np.arange(1_500) // 50, epoch // 50), 1)
    assert abs(z_of_uniform_cells(counts)) < 4.5


@pytest.mark.parametrize(("samples", "count"), [(100, 3_000), pytest.param(100, 20_000, marks=pytest.mark.thorough), (1_500, 400)])
@pytest.mark.usefixtures("network")
def test_pairs_of_neighbours_are_as_frequent_as_by_chance(samples: int, count: int) -> None:
    """Neighbours that stay neighbours: n - 1 pairs, each with probability 2 / n."""
    steps = np.abs(np.diff(epochs_of(samples, count, seed=3), axis=1))
    expected = count * 2 * (samples - 1) / samples
    assert abs(int((steps == 1).sum()) - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("samples", [100, 1_500])
@pytest.mark.usefixtures("network")
def test_as_many_samples_stay_in_place_as_by_chance(samples: int) -> None:
    """Fixed points of a permutation: 1 on average, with variance 1, whatever n is."""
    count = 900
    fixed = int((epochs_of(samples, count, seed=4) == np.arange(samples)).sum())
    assert abs(fixed - count) < 5 * math.sqrt(count)


@pytest.mark.parametrize("samples", [100, 1_500])
@pytest.mark.usefixtures("network")
def test_ascents_are_as_frequent_as_by_chance(samples: int) -> None:
    """Ascents of a permutation: (n - 1) / 2 on average, with variance (n + 1) / 12."""
    count = 400
    ascents = (np.diff(epochs_of(samples, count, seed=5), axis=1) > 0).sum(axis=1)
    deviation = math.sqrt((samples + 1) / 12)
    assert abs(ascents.mean() - (samples - 1) / 2) < 5 * deviation / math.sqrt(count)
    assert 0.8 < ascents.std() / deviation < 1.2


@pytest.mark.parametrize("lag", [1, 2, 38, 39])
@pytest.mark.usefixtures("network")
def test_what_comes_tells_nothing_about_what_follows(lag: int) -> None:
    """Serial correlation of positions `lag` apart; 39 is the size of the network's digits at 1,500 samples."""
    count, samples = 400, 1_500
    centred = epochs_of(samples, count, seed=6) - (samples - 1) / 2
    correlation = (centred[:, lag:] * centred[:, :-lag]).mean() / centred.var()
    assert abs(correlation + 1 / samples) < 5 / math.sqrt(count * samples)


def test_one_epoch_tells_nothing_about_the_next() -> None:
    count, samples = 400, 1_500
    centred = epochs_of(samples, count, seed=7) - (samples - 1) / 2
    correlation = (centred[1:] * centred[:-1]).mean() / centred.var()
    assert abs(correlation) < 5 / math.sqrt(count * samples)
