"""How many requests are worth having on their way, where latency, or a line that they wait in, is what takes long."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from loader.data.remote.gathering.depth import Depth


def windows(depth: Depth, took_s: Callable[[float], float], answers: int = 30_000) -> list[float]:
    """Return the windows of some answers, the first third left out."""
    found = []
    for _ in range(answers):
        depth.answered(took_s(depth.window))
        found.append(depth.window)
    return found[answers // 3 :]


@pytest.mark.parametrize("spread", [False, True])
def test_while_latency_takes_long_all_requests_are_kept(spread: bool) -> None:
    chance = random.Random(0)
    found = windows(Depth(128), lambda window: 0.05 * (chance.expovariate(1.0) if spread else 1.0))
    assert sum(found) / len(found) > 124
    assert min(found) > 80


def test_where_they_wait_in_a_line_few_are_kept() -> None:
    found = windows(Depth(128), lambda window: max(0.001, window * 0.0005))
    assert sum(found) / len(found) < 40
    assert min(found) == 32


def test_with_both_there_are_as_many_as_the_latency_needs() -> None:
    chance = random.Random(0)
    found = windows(Depth(128), lambda window: max(0.05, window * 0.0007) * chance.uniform(0.8, 1.2))
    assert 60 < sum(found) / len(found) < 100  # 71 would do


def test_when_latency_grows_again_so_do_they() -> None:
    depth = Depth(128)
    windows(depth, lambda window: max(0.001, window * 0.0005))
    assert depth.window < 50
    found = windows(depth, lambda window: 0.05)
    assert sum(found) / len(found) > 120


def test_where_few_are_allowed_they_stay_as_many() -> None:
    assert set(windows(Depth(8), lambda window: window)) == {8.0}
