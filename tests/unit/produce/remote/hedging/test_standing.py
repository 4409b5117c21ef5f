"""How an actor stands among the others."""

from __future__ import annotations

from loader.produce.remote.hedging.standing import Standing, State

OTHERS = [0.9, 1.0, 1.1]


def did(standing: Standing, *times_s: float, now_s: float = 0.0) -> State:
    for row_s in times_s:
        standing.did(row_s, OTHERS, row_s > 1.5, now_s)
    return standing.state


def test_one_that_is_slow_three_times_in_a_row_is_parked() -> None:
    assert did(Standing(), 20, 20) is State.WORKING
    assert did(Standing(), 20, 20, 1, 20, 20) is State.WORKING
    assert did(Standing(), 20, 20, 20) is State.PARKED


def test_one_that_is_three_times_as_slow_as_the_others_works() -> None:
    assert did(Standing(), *[3.5] * 100) is State.WORKING


def test_one_that_is_alone_is_not_slow() -> None:
    standing = Standing()
    for _ in range(10):
        standing.did(100, [], True, 0)
    assert standing.state is State.WORKING


def test_one_that_was_parked_is_tried_and_works_again_once_it_is_quick() -> None:
    standing = Standing()
    did(standing, 20, 20, 20)
    did(standing, 1, now_s=1)  # what it had been given before
    assert standing.state is State.PARKED
    assert not standing.try_it(4.9)
    assert standing.try_it(5.1)
    assert standing.state is State.ON_TRIAL
    assert did(standing, 2, now_s=5.2) is State.WORKING
    assert did(standing, 20, 20) is State.WORKING


def test_pauses_grow_up_to_a_minute_and_are_forgotten_in_time() -> None:
    standing, now_s = Standing(), 0.0
    did(standing, 20, 20, 20)
    for pause_s in (5, 10, 20, 40, 60, 60):
        assert not standing.try_it(now_s + pause_s - 0.1)
        assert standing.try_it(now_s := now_s + pause_s)
        assert did(standing, 20, now_s=now_s) is State.PARKED
    assert standing.try_it(now_s := now_s + 60)
    assert did(standing, *[1] * 100, *[20] * 3, now_s=now_s) is State.PARKED
    assert not standing.try_it(now_s + 4.9)
    assert standing.try_it(now_s + 5)
