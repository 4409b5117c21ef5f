from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.data.pipeline.substitution import last_attempt, substitute
from loader.errors import SampleError
from loader.ipc.quarantine import ErrorBudget


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


def error(index: int) -> SampleError:
    return SampleError(index=index, name=None, reason="broken")


def test_a_bound_counts_different_samples_and_those_within_it_stay_tolerated() -> None:
    for bound in (2, 0.25):
        known = ErrorBudget(8, bound, None)
        assert [known.note(error(index)) for index in (5, 5, 1)] == [None] * 3
        for _ in range(2):
            beyond = known.note(error(3))
            assert beyond is not None
            assert "3 different samples have been bad" in beyond.reason
            assert f"max_errors={bound}" in beyond.reason
        assert known.note(error(5)) is None
        assert len(known) == 3
        assert known.first is not None
        assert known.first.index == 5


def test_what_was_bad_before_is_within_the_bound_or_not_as_it_was_then() -> None:
    known = ErrorBudget(8, 2, None)
    for index in (5, 1, 3):
        known.recall(index)
    assert [known.note(error(index)) is None for index in (5, 1, 3, 4)] == [True, True, False, False]
    assert len(known) == 4


def test_without_a_bound_all_may_be_bad() -> None:
    known = ErrorBudget(3, None, None)
    assert [known.note(error(index)) for index in range(3)] == [None] * 3
