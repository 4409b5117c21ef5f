"""At most so many restarts in a window of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loader.train.remote.restarts import MOST_RESTARTS, WINDOW_S, RestartLimit


def test_three_restarts_in_a_minute_are_allowed_and_then_none_until_the_first_is_a_minute_ago() -> None:
    restarts = RestartLimit()
    assert [restarts.allow(at) for at in (0, 1, 2, 3, 59.9, 60, 60.5, 61)] == [True, True, True, False, False, True, False, True]


@given(st.lists(st.floats(0, 300, allow_nan=False), max_size=60), st.integers(1, 5), st.floats(1, 90))
def test_no_window_holds_more_than_are_allowed_and_none_is_refused_without_need(times: list[float], most: int, window_s: float) -> None:
    restarts = RestartLimit(most, window_s)
    allowed: list[float] = []
    for now in sorted(times):
        recent = [at for at in allowed if at > now - window_s]
        assert restarts.allow(now) == (len(recent) < most)
        if len(recent) < most:
            allowed.append(now)


def test_the_limit_is_what_the_error_says() -> None:
    assert (MOST_RESTARTS, WINDOW_S) == (3, 60.0)
