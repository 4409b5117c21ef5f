from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.data.pipeline.substitution import last_attempt, substitute


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32), st.integers(2, 50), st.integers(1, 16), st.data())
def test_what_stands_in_is_another_sample_and_always_the_same_one(seed: int, epoch: int, samples: int, attempt: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, samples - 1))
    other = substitute(seed, epoch, index, attempt, samples)
    assert 0 <= other < samples
    assert other != index
    assert other == substitute(seed, epoch, index, attempt, samples)
    assert substitute(seed, epoch, index, 0, samples) == index


def test_every_other_sample_is_equally_likely() -> None:
    counts = np.zeros(10)
    for epoch in range(900):
        counts[substitute(7, epoch, 4, 1, 10)] += 1
    assert counts[4] == 0
    assert counts.sum() == 900
    assert np.abs(np.delete(counts, 4) - 100).max() < 40  # four standard deviations


def test_attempts_epochs_samples_and_seeds_differ() -> None:
    def row(**changed: int) -> list[int]:
        return [substitute(**{"seed": 1, "epoch": 2, "index": 3, "samples": 10**9, "attempt": attempt, **changed}) for attempt in range(1, 17)]

    assert len(set(row())) == 16
    assert not set(row()) & set(row(epoch=3)) & set(row(index=4)) & set(row(seed=2))


def test_a_single_sample_has_none_in_its_place() -> None:
    assert [last_attempt(samples) for samples in (1, 2, 100)] == [0, 16, 16]
