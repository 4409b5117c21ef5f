"""When something is late."""

from __future__ import annotations

import pytest

from loader.data.patience import Patience


def test_a_thing_of_more_parts_takes_longer() -> None:
    patience = Patience(1.0, 0.02, 60.0)
    for number in range(300):
        patience.answered(0.1 * (1 + number % 3), 1 + number % 3)
    assert patience.late_after_s() == pytest.approx(0.15, rel=0.01)
    assert patience.late_after_s(10) == pytest.approx(1.5, rel=0.01)
    assert patience.overdue_after_s(10) == pytest.approx(1.0, rel=0.01)


def test_things_that_vary_are_overdue_after_nearly_all_of_them_and_late_after_that() -> None:
    patience = Patience(1.0, 0.02, 60.0)
    for number in range(300):
        patience.answered((0.1, 0.2)[number % 2])
    assert 0.2 < patience.overdue_after_s() < patience.late_after_s()


def test_nothing_is_late_too_soon_or_never() -> None:
    patience = Patience(1.0, 0.02, 60.0)
    assert patience.late_after_s(8) == patience.overdue_after_s(8) == 1.0  # nothing is known
    for _ in range(100):
        patience.answered(0.001)
    assert patience.late_after_s() == 0.02
    assert patience.late_after_s(1_000_000) == 60.0
