"""Which nodes say nothing more."""

from __future__ import annotations

from loader.produce.remote.hedging.silence import Silence

LATE: list[bool | None] = [True, True, True]
IN_TIME: list[bool | None] = [False, False, False]
IDLE: list[bool | None] = [None, None, None]


def silent_nodes(overdue: dict[str, list[bool | None]]) -> set[str]:
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


def test_actors_elsewhere_that_have_nothing_to_do_count_as_in_time() -> None:
    assert silent_nodes({"a": IDLE, "b": LATE}) == {"b"}
    assert silent_nodes({"a": [None, None, True], "b": LATE}) == {"b"}
    assert silent_nodes({"a": [None, True, True, True], "b": [*LATE, False]}) == set()


def test_actors_of_the_node_that_have_nothing_to_do_tell_nothing() -> None:
    assert silent_nodes({"a": IN_TIME, "b": [True, None, True]}) == {"b"}
    assert silent_nodes({"a": IN_TIME, "b": [True, None, None]}) == set()
    assert silent_nodes({"a": IDLE, "b": IDLE}) == set()


def test_where_no_other_node_has_actors_that_are_of_use_nobody_is_silent() -> None:
    assert silent_nodes({"a": [], "b": LATE}) == set()
    assert silent_nodes({"b": [*LATE, None]}) == set()


def test_a_node_that_answers_after_others_have_become_late_as_well_is_trusted() -> None:
    silence = Silence()
    silence.look({"a": IN_TIME, "b": LATE}, 0.0)
    silence.look({"a": LATE, "b": LATE}, 1.0)
    assert silence.nodes == set()
    silence.answered("b", 2.0)
    silence.look({"a": IN_TIME, "b": LATE}, 3.0)
    assert silence.nodes == set()
    silence.look({"a": IN_TIME, "b": LATE}, 62.0)
    assert silence.nodes == {"b"}


def test_a_node_that_has_come_back_with_new_actors_is_not_trusted_for_what_others_there_left_undone() -> None:
    silence = Silence()
    silence.look({"a": IN_TIME, "b": LATE}, 0.0)
    silence.look({"a": IN_TIME}, 1.0)
    silence.answered("b", 2.0)
    silence.look({"a": IN_TIME, "b": LATE}, 3.0)
    assert silence.nodes == {"b"}


def test_a_node_that_answers_is_silent_no_more_and_is_trusted_for_some_time() -> None:
    silence = Silence()
    overdue: dict[str, list[bool | None]] = {"a": IN_TIME, "b": LATE, "c": LATE}
    silence.look(overdue, 0.0)
    silence.answered("a", 0.0)
    silence.answered("b", 1.0)
    assert silence.nodes == {"c"}
    silence.look(overdue, 60.0)
    assert silence.nodes == {"c"}
    silence.look(overdue, 61.0)
    assert silence.nodes == {"b", "c"}
