"""When a measurement of `loader bench` begins."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from loader.watch.bench.trainee import Clock, Settling


def loader(workers: Any, wanted: list[int]) -> Any:
    return SimpleNamespace(_config=SimpleNamespace(workers=workers), _board=SimpleNamespace(supervisor=SimpleNamespace(cell=lambda cell: wanted)))


def test_auto_has_settled_when_it_has_kept_its_number_for_a_while() -> None:
    wanted = [2]
    settling = Settling(loader("auto", wanted), 3.0)
    begun = time.monotonic()
    assert not settling(begun + 2.5)
    wanted[0] = 4
    assert settling.changed
    assert not settling(begun + 2.9)
    assert not settling.changed
    assert not settling(begun + 5.8)
    assert settling(begun + 6.0)


def test_auto_that_never_settles_is_measured_all_the_same() -> None:
    wanted = [2]
    settling = Settling(loader("auto", wanted), 3.0)
    begun = time.monotonic()
    for second in range(1, 15):
        wanted[0] = 2 + second
        assert not settling(begun + second)
    wanted[0] = 2
    assert settling(begun + 15.1)


def test_a_number_that_was_given_is_settled_at_once() -> None:
    assert Settling(loader(4, [4]), 3.0)(time.monotonic())


def test_no_measurement_begins_before_workers_have_settled() -> None:
    settled = [False]
    clock = Clock(0.001, lambda: None, warm_s=0.0, warm_batches=1, settled=lambda now: settled[0])
    assert not any(clock.over(batch, batch) for batch in range(1, 10))
    assert not clock.stamps
    settled[0] = True
    clock.over(10, 10)
    assert [stamp.batches for stamp in clock.stamps] == [10]
