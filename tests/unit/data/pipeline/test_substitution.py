from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.data.pipeline.substitution import CAPACITY, KnownKillers, last_attempt, substitute


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


def test_killers_are_found_among_indices() -> None:
    known_killers = KnownKillers()
    assert known_killers.among(np.arange(10)) == []
    for index in (5, 0, 5, 10**12):
        known_killers.add(index)
    assert [index in known_killers for index in (0, 5, 10**12, 1)] == [True, True, True, False]
    assert known_killers.among(np.array([3, 0, 10**12, -1, 5])) == [1, 2, 4]


def test_a_killer_that_is_counted_before_it_is_seen_is_none_yet() -> None:
    known_killers = KnownKillers()
    known_killers.add(3)
    known_killers._cells[0] = 2
    assert known_killers.among(np.arange(6)) == [3]
    assert 0 not in known_killers


def test_more_killers_than_there_is_room_for_are_forgotten() -> None:
    known_killers = KnownKillers()
    for index in range(CAPACITY + 5):
        known_killers.add(index)
    assert CAPACITY - 1 in known_killers
    assert CAPACITY not in known_killers
