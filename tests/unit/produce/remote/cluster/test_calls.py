"""Calls that may block, beside a thread that must not."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from loader.ipc.channels import wait_readable
from loader.produce.remote.cluster.calls import Calls


def take(calls: Calls, count: int) -> list[tuple[Any, BaseException | None]]:
    """Return what so many calls have brought."""
    found: list[tuple[Any, BaseException | None]] = []
    while len(found) < count:
        assert wait_readable([calls.wake], 10)
        for then, value, error in calls.finished():
            then(value, error)
            found.append((value, error))
    return found


def test_a_call_that_blocks_holds_up_those_after_it_and_no_question_to_an_actor() -> None:
    calls, goes_on = Calls(), threading.Event()
    order: list[str] = []
    calls.make(lambda: goes_on.wait(10), lambda value, error: order.append("first"))
    calls.make(lambda: 7, lambda value, error: order.append(f"then {value}"))
    calls.ask(lambda: 8, lambda value, error: order.append(f"meanwhile {value}"))
    take(calls, 1)
    goes_on.set()
    take(calls, 2)
    assert order == ["meanwhile 8", "first", "then 7"]


def test_an_error_is_told_to_who_asked() -> None:
    calls = Calls()
    calls.make(lambda: 1 // 0)
    ((value, error),) = take(calls, 1)
    assert value is None
    assert isinstance(error, ZeroDivisionError)


def test_a_call_that_returns_a_future_has_ended_when_that_has() -> None:
    calls, future = Calls(), Future[str]()
    calls.make(lambda: future)
    calls.make(lambda: "at once")
    assert take(calls, 1) == [("at once", None)]
    future.set_result("later")
    assert take(calls, 1) == [("later", None)]


def test_what_is_waited_for_comes_or_fails_or_is_given_up() -> None:
    calls, goes_on = Calls(), threading.Event()
    assert calls.wait_for(lambda: 5, 10) == 5
    with pytest.raises(ZeroDivisionError):
        calls.wait_for(lambda: 1 // 0, 10)
    with pytest.raises(TimeoutError, match="no answer within"):
        calls.wait_for(lambda: goes_on.wait(10), 0.01)
    goes_on.set()
