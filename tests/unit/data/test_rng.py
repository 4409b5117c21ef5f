from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.data.rng import SampleGenerator, order_generator
from tests.examples import examples

WORDS = st.integers(0, 2**64 - 1)
STREAMS = st.tuples(WORDS, WORDS, st.integers(0, 2**64 - 2))


def fresh(seed: int, epoch: int, index: int, place: int) -> np.random.Generator:
    """Return the generator that the documentation promises, made anew."""
    key, counter = np.array([seed, epoch], np.uint64), np.array([0, 0, index, place], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def draws(rng: np.random.Generator) -> list[object]:
    """Draw from all that a generator may keep for later: half words, buffered words, pairs of normals."""
    return [
        rng.integers(0, 10, dtype=np.uint32),
        rng.random(dtype=np.float32),
        rng.random(),
        rng.standard_normal(),
        rng.integers(0, 2**63),
        *rng.permutation(7).tolist(),
        rng.integers(0, 256, dtype=np.uint8),
    ]


@examples(100)
@given(seed=WORDS, stream=STREAMS)
def test_a_stream_is_that_of_its_key_and_counter(seed: int, stream: tuple[int, int, int]) -> None:
    assert draws(SampleGenerator(seed).at(*stream)) == draws(fresh(seed, *stream))


@examples(100)
@given(seed=WORDS, stream=STREAMS, before=st.lists(st.tuples(STREAMS, st.integers(0, 9)), max_size=5))
def test_a_stream_does_not_depend_on_what_was_drawn_before(
    seed: int, stream: tuple[int, int, int], before: list[tuple[tuple[int, int, int], int]]
) -> None:
    generator = SampleGenerator(seed)
    for other, count in before:
        rng = generator.at(*other)
        for _ in range(count):
            rng.integers(0, 10, dtype=np.uint32)
            rng.standard_normal()
    assert draws(generator.at(*stream)) == draws(SampleGenerator(seed).at(*stream))


def test_streams_differ_in_seed_epoch_sample_and_place() -> None:
    streams = [(seed, epoch, index, place) for seed in (0, 1, 2**63) for epoch in (0, 1, 5) for index in (0, 1, 2**40) for place in (0, 1, 2)]
    first = {SampleGenerator(seed).at(epoch, index, place).integers(0, 2**63) for seed, epoch, index, place in streams}
    assert len(first) == len(streams)


def test_neighbouring_streams_do_not_overlap() -> None:
    generator = SampleGenerator(3)
    drawn = [generator.at(0, index, place).integers(0, 2**63, 200) for index in range(20) for place in range(3)]
    assert len(np.unique(np.concatenate(drawn))) == 20 * 3 * 200


def test_draws_of_neighbouring_samples_are_uncorrelated_and_uniform() -> None:
    generator = SampleGenerator(4)
    first = np.array([generator.at(0, index, 0).random() for index in range(10_000)])
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05
    counts = np.histogram(first, 20, (0, 1))[0]
    assert float(((counts - 500) ** 2 / 500).sum()) < 55  # chi-square with 19 degrees of freedom: one in 20,000


def test_the_order_has_a_stream_of_its_own() -> None:
    order = order_generator(7, 2).integers(0, 2**63, 50)
    assert np.array_equal(order, order_generator(7, 2).integers(0, 2**63, 50))
    for other in (order_generator(8, 2), order_generator(7, 3), SampleGenerator(7).at(2, 0, 0), SampleGenerator(7).at(2, 0, 2**64 - 2)):
        assert not np.isin(order, other.integers(0, 2**63, 50)).any()
