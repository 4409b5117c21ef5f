from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.supervise.operate.requests import RequestHandler, memory_setting, workers_setting


class Pretended:
    """A supervisor with a number of workers."""

    def __init__(self) -> None:
        self.workers = 2
        self.desk = RequestHandler(lambda: {"name": "train"}, {"workers": workers_setting(8, lambda: self.workers, self.put)})

    def put(self, workers: int) -> None:
        self.workers = workers


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers(), max_size=2)


def test_status_is_what_the_supervisor_says() -> None:
    assert Pretended().desk.answer({"do": "status"}) == {"name": "train"}


def test_set_tells_old_and_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pretended = Pretended()
    assert pretended.desk.answer({"do": "set", "workers": 6}) == {"changed": {"workers": {"old": 2, "new": 6}}}
    assert pretended.workers == 6
    assert caplog.messages == ["loader set: workers 2 → 6"]


def test_what_is_so_already_is_no_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert Pretended().desk.answer({"do": "set", "workers": 2}) == {"changed": {"workers": {"old": 2, "new": 2}}}
    assert caplog.messages == []


def test_a_memory_limit_is_logged_in_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limits = [2**30]
    desk = RequestHandler(dict, {"memory_limit": memory_setting(lambda: limits[-1], lambda _: None, limits.append)})
    assert desk.answer({"do": "set", "memory_limit": "3GiB"}) == {"changed": {"memory_limit": {"old": 2**30, "new": 3 * 2**30}}}
    assert caplog.messages == ["loader set: memory_limit 1,024.0 MiB → 3,072.0 MiB"]


@pytest.mark.parametrize("value", [0, -1, 9, pytest.param(10**5000, id="huge"), 2.0, True, None, "6", [6], {}])
def test_a_value_out_of_range_is_refused_with_the_range_and_changes_nothing(value: Any) -> None:
    pretended = Pretended()
    answer = pretended.desk.answer({"do": "set", "workers": value})
    assert "from 1 to 8 (max_workers)" in answer["error"]
    assert len(answer["error"]) < 150
    assert pretended.workers == 2


def test_an_unknown_setting_is_answered_with_those_that_are_known_and_changes_nothing() -> None:
    pretended = Pretended()
    for request in ({"do": "set", "workers": 3, "batch_size": 7}, {"do": "set"}):
        assert "workers" in pretended.desk.answer(request)["error"]
    assert pretended.workers == 2


@given(st.dictionaries(st.sampled_from(["do", "workers", "x"]), ANYTHING | st.sampled_from(["status", "set"])))
def test_every_request_has_an_answer_that_json_can_hold(request: dict[str, Any]) -> None:
    assert json.dumps(Pretended().desk.answer(request))
