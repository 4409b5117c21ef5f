"""Which nodes say nothing more."""

from __future__ import annotations

from loader.produce.remote.hedging.silence import Silence

LATE, IN_TIME = [True, True, True], [False, False, False]


def silent_nodes(overdue: dict[str, list[bool]]) -> set[str]:
    silence = Silence()
    silence.look(overdue, 0.0)
    return silence.nodes


def test_a_node_is_silent_if_all_its_actors_are_overdue_and_others_are_not() -> None:
    assert silent_nodes({"a": IN_TIME, "b": LATE}) == {"b"}
    assert silent_nodes({"a": LATE, "b": LATE, "c": [False, False, False, True]}) == {"a", "b"}
    assert silent_nodes({"a": IN_TIME, "b": [True, True, False]}) == set()


def test_one_actor_alone_makes_no_node_silent() -> None:
    assert silent_nodes({"a": IN_TIME, "b": [True], "c": []}) == set()


def test_where_most_are_overdue_everywhere_no_node_is_silent() -> None:
    assert silent_nodes({"a": LATE, "b": LATE}) == set()
    assert silent_nodes({"a": LATE}) == set()
    assert silent_nodes({"a": [True, False], "b": LATE}) == set()


def test_a_node_that_answers_is_silent_no_more_and_is_trusted_for_some_time() -> None:
    silence = Silence()
    overdue = {"a": IN_TIME, "b": LATE, "c": LATE}
    silence.look(overdue, 0.0)
    silence.answered("a", 0.0)
    silence.answered("b", 1.0)
    assert silence.nodes == {"c"}
    silence.look(overdue, 60.0)
    assert silence.nodes == {"c"}
    silence.look(overdue, 61.0)
    assert silence.nodes == {"b", "c"}
