from __future__ import annotations

from loader.supervise.remote.comebacks import Comebacks


def test_a_gateway_that_died_comes_back_after_a_moment() -> None:
    comebacks = Comebacks()
    assert comebacks.may_start(0.0)
    comebacks.died(10.0, made=True)
    assert not comebacks.may_start(10.5)
    assert comebacks.may_start(11.0)


def test_three_deaths_within_a_minute_that_made_nothing_are_the_end() -> None:
    comebacks = Comebacks()
    for at in (0.0, 20.0, 40.0):
        assert not comebacks.given_up
        comebacks.died(at, made=False)
    assert comebacks.given_up
    assert not comebacks.may_start(1e9)


def test_deaths_after_work_are_forgiven_and_so_are_old_ones() -> None:
    comebacks = Comebacks()
    for at in range(20):
        comebacks.died(float(at), made=True)
    for at in range(0, 200, 50):
        comebacks.died(1000.0 + at, made=False)
    assert not comebacks.given_up


def test_a_cluster_that_is_not_there_is_looked_for_less_and_less_often() -> None:
    comebacks = Comebacks()
    pauses, now = [], 0.0
    for _ in range(8):
        comebacks.found_nothing(now)
        pause = next(pause for pause in range(1, 1000) if comebacks.may_start(now + pause))
        pauses.append(pause)
        now += pause
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
