from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.ipc.verdict import verdict

RATIO = st.floats(0, 1)


def said(wait: float, busy: list[float], *, delivered: bool = True, inline: bool = False) -> str:
    return verdict(wait, busy, delivered=delivered, inline=inline)


def test_a_loader_that_nobody_reads_is_judged_no_further() -> None:
    assert said(1.0, [1.0, 1.0], delivered=False) == "nothing was taken from the loader in the last 10 s"
    assert said(1.0, [], delivered=False, inline=True) == said(0.0, [0.3], delivered=False)


def test_without_a_pool_it_tells_the_time_that_one_would_save() -> None:
    assert said(0.37, [], inline=True) == "the trainer makes its batches itself (workers=0), for 37% of its time; workers=1 would do that beside it"


def test_a_slow_model_is_told_how_much_the_workers_could_do_and_how_many_would_do() -> None:
    words = said(0.01, [0.2, 0.2, 0.2, 0.2])
    assert words.startswith("the model is the slow part: it waits for data 1% of its time, the workers are busy 20% of theirs")
    assert "could deliver 5.0 times as much" in words
    assert words.endswith("1 of 4 workers would do")


def test_a_balanced_pair_is_told_to_change_nothing() -> None:
    words = said(0.02, [0.97, 0.98])
    assert words == "the model is the slow part: it waits for data 2% of its time, the workers are busy 98% of theirs"


def test_busy_workers_that_are_too_slow_call_for_more() -> None:
    words = said(0.5, [0.95, 0.99])
    assert words == (
        "the loader is the slow part: the trainer waits for data 50% of its time, "
        "with data always there it could run 2.0 times as fast; more workers may help"
    )


def test_idle_workers_that_are_too_slow_point_elsewhere() -> None:
    words = said(0.5, [0.2, 0.3])
    assert "the loader is the slow part" in words
    assert "more workers" not in words
    assert words.endswith("the workers are busy only 25% of theirs: too few cores, slow starts, or slots that are kept")


@pytest.mark.parametrize(("wait", "side"), [(0.0, "model"), (0.049, "model"), (0.05, "loader"), (1.0, "loader")])
def test_the_side_that_is_waited_for_is_the_slow_one(wait: float, side: str) -> None:
    assert f"the {side} is the slow part" in said(wait, [0.9])


@given(wait=RATIO, busy=st.lists(RATIO, max_size=16), delivered=st.booleans(), inline=st.booleans())
def test_there_is_always_one_plain_sentence(wait: float, busy: list[float], delivered: bool, inline: bool) -> None:
    words = said(wait, busy, delivered=delivered, inline=inline)
    assert words
    assert "\n" not in words
    assert not re.search(r"nan|inf|-\d", words)


@given(busy=st.lists(RATIO, min_size=1, max_size=64))
def test_never_are_fewer_workers_proposed_than_the_work_needs(busy: list[float]) -> None:
    words = said(0.0, busy)
    if found := re.search(r"(\d+) of (\d+) workers would do", words):
        needed, count = map(int, found.groups())
        assert count == len(busy)
        assert 1 <= needed < count
        assert needed * 0.81 >= sum(busy) - 0.01 * count
