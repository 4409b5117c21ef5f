"""When to try again, how many requests a store stands, and when one is taken for lost."""

from __future__ import annotations

import pytest

from loader.data.remote.gathering.pace import Pace, pause_s


def test_pauses_grow_to_a_limit_and_are_spread() -> None:
    assert [pause_s(failures, 0.5) for failures in (1, 2, 3)] == [0.05, 0.1, 0.2]
    assert pause_s(50, 0.5) == 5.0
    assert pause_s(3, 0.0) < pause_s(3, 1.0) == 3 * pause_s(3, 0.0)


def test_a_store_that_refuses_gets_fewer_requests_and_slowly_more_again() -> None:
    pace = Pace(256)
    for _ in range(100):
        pace.refused(10.0)  # all that were on their way
    assert 170 < pace.window < 190
    for second in range(100):
        pace.refused(11.0 + second)
    assert pace.window == 2
    for _ in range(100_000):
        pace.answered(0.05)
    assert pace.window == 256


def test_a_store_that_refuses_one_request_in_a_hundred_gets_as_many_as_before() -> None:
    pace = Pace(256)
    for number in range(20_000):
        if number % 100:
            pace.answered(0.05)
        else:
            pace.refused(number / 1000)
    assert pace.window == 256


def test_what_takes_much_longer_than_usual_is_lost() -> None:
    pace = Pace(8)
    for _ in range(300):
        pace.answered(0.2)
    assert pace.lost_after_s() == pytest.approx(0.25, rel=0.01)  # all take the same, so one that takes a quarter longer is odd
    for number in range(300):
        pace.answered(0.1 + 0.2 * (number % 2))
    assert 0.4 < pace.lost_after_s() < 0.5  # 0.1 s from what is usual is usual
    for _ in range(300):
        pace.answered(0.001)
    assert pace.lost_after_s() == pytest.approx(0.2)


def test_after_three_requests_for_one_thing_others_follow_at_intervals_that_double() -> None:
    pace = Pace(8)
    for _ in range(300):
        pace.answered(0.4)
    assert [round(pace.lost_after_s(attempts) / pace.lost_after_s()) for attempts in (1, 2, 3, 4, 5)] == [1, 1, 8, 16, 32]


def test_one_that_was_late_says_little_about_the_next() -> None:
    pace = Pace(8)
    for _ in range(300):
        pace.answered(0.2)
    pace.answered(60.0)
    assert pace.lost_after_s() < 0.6


def test_lost_requests_are_sent_again_only_while_they_are_few() -> None:
    pace = Pace(8)
    sent = sum(pace.hedge() for _ in range(1000))
    assert sent < 20
    for _ in range(100):
        pace.answered(0.1)
    assert sum(pace.hedge() for _ in range(1000)) == pytest.approx(15, abs=1)
