"""Workers are started step by step."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from loader.supervise.scaling import Scaling
from loader.supervise.tuning.crew import Crew


def steps(workers: int, allowed: Callable[[int], int]) -> tuple[list[int], list[int]]:
    """Adjust until nobody is missing; return how many workers were there after each step, and how many were still expected.

    Args:
        workers: that are wanted.
        allowed: by memory, when so many are there.
    """
    children: dict[int, Any] = {}
    pool = SimpleNamespace(children=children, start=lambda number: children.setdefault(number, SimpleNamespace(pid=number)))
    memory, schedule = MagicMock(), MagicMock()
    memory.count.side_effect = lambda wanted: min(wanted, allowed(len(children)))
    board = SimpleNamespace(first_remote=workers, supervisor={})
    everything: dict[str, Any] = {"schedule": schedule, "board": board, "pool": pool, "memory": memory, "tuning": MagicMock(), "remote": MagicMock()}
    scaling = Scaling(**everything, crew=Crew(workers, 0))
    there = []
    while scaling.short or not there:
        scaling.adjust()
        there.append(len(children))
    return there, [call.args[0] for call in schedule.expect_workers.call_args_list]


def test_one_at_a_time_and_from_eight_on_one_more_for_each_eight() -> None:
    there, expected = steps(20, lambda there: 20)
    assert there == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 19, 20]
    assert expected == [20 - number for number in there]


@pytest.mark.parametrize("fewer", [5, 3])
def test_if_memory_allows_fewer_by_then_nobody_is_expected_any_more(fewer: int) -> None:
    there, expected = steps(20, lambda there: 20 if there < 5 else fewer)
    assert (there[-1], expected[-1]) == (5, 0)
