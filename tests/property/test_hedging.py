"""Who does which ticket, on made-up clusters: late tickets are done by others, slow actors are parked, nothing is lost or done twice."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.hedging.commands import Copy, Give, Return
from loader.produce.remote.hedging.hedging import Hedging
from tests.property.actors_world import ActorsWorld

TICKET_S = 0.03
ROW_S = TICKET_S / 10
TWO_NODES = ["a"] * 4 + ["b"] * 4


def test_where_all_take_about_as_long_nothing_is_done_twice() -> None:
    chance = random.Random(1)
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S * chance.uniform(0.7, 1.3))
    world.run(15)
    assert world.copies < 0.01 * len(world.done)
    assert not world.lost
    assert len(world.done) > 0.95 * 8 * 15 / TICKET_S


def test_where_all_become_slower_together_nobody_is_parked_and_few_are_done_twice() -> None:
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S * (1 if now_s < 5 else 10))
    world.run(15)
    assert not world.lost
    assert world.copies < 40


def test_nodes_of_which_some_are_three_times_as_fast_all_work() -> None:
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S * (1 if worker < 4 else 3))
    world.run(15)
    assert not world.lost
    assert len(world.done) > 0.9 * (4 + 4 / 3) * 15 / TICKET_S


def test_a_late_ticket_is_done_by_an_actor_of_another_node() -> None:
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S if worker != 2 or now_s < 1 else math.inf)
    world.run(20)
    assert max(world.waits.values()) < 5.1 * TICKET_S  # behind another one, late after half a ticket's time, and behind one more
    assert world.by[2] < 1 / TICKET_S + 2
    assert [worker for _, worker in world.lost] == [2]  # stuck
    assert sum(world.by[worker] for worker in range(4, 8)) > sum(world.by[worker] for worker in (0, 1, 3))


def test_what_a_lost_node_held_is_soon_made_by_each_actor_that_is_left() -> None:
    for moment in range(10):
        world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S)
        world.run(2 + moment * TICKET_S / 10)
        lost = sorted(number for worker in range(4, 8) for number in world.held(worker))
        assert len(lost) == 8
        cut_s = world.now_s
        for worker in range(4, 8):
            world.kill(worker)
        world.run(4)
        took = [world.done_s[number] - cut_s for number in lost]
        assert max(took[:4]) < 2.1 * TICKET_S  # after what they are at
        assert max(took[4:]) < 4.1 * TICKET_S  # after one of its own that is older


def test_the_actors_of_a_node_that_end_one_after_the_other_hold_up_nothing_for_longer() -> None:
    for pause in (0.3, 0.7, 1.0, 3.3):
        world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S)
        lost_s: dict[int, float] = {}
        for worker in range(4, 8):
            world.run(2 + (worker - 4) * pause * TICKET_S)
            for number in world.held(worker):
                lost_s.setdefault(number, world.now_s)
            world.fall(worker)
            assert not world.has(worker)
        world.run(4)
        assert max(world.done_s[number] - cut_s for number, cut_s in lost_s.items()) < 3.1 * TICKET_S


def test_what_a_silent_node_holds_is_done_by_others_however_much_it_is() -> None:
    world = ActorsWorld(["a"] * 24 + ["b"] * 24, lambda worker, now_s: ROW_S if worker < 24 or now_s < 2 else math.inf)
    world.run(4)
    assert world.copies == 2 * 24
    assert max(world.waits.values()) < 4.1 * TICKET_S  # behind another one, overdue after a ticket's time, and behind one more


def test_an_actor_that_is_twenty_times_slower_is_parked_and_comes_back_when_it_is_quick() -> None:
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S * (20 if worker >= 4 and 1 < now_s < 8 else 1))
    world.run(20)
    parked = {worker for _, worker in world.lost}
    assert parked == {4, 5, 6, 7}
    assert world.copies < 4 * 4
    assert max(at_s for at_s, _ in world.lost) < 1 + 5 * 20 * TICKET_S
    assert len(world.lost) == 4  # those on trial that are slow are not lost once more
    assert {worker for _, worker in world.joined} == parked
    assert all(8 < at_s < 20 for at_s, _ in world.joined)


def test_a_slow_sample_parks_nobody() -> None:
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S)
    for ticket in range(100, 4000, 200):
        world.rows_that_take[ticket] = 30 * ROW_S
    world.run(15)
    assert len(world.done) > 2000
    assert not world.lost


def test_one_actor_alone_is_neither_late_nor_parked() -> None:
    world = ActorsWorld(["a"], lambda worker, now_s: ROW_S * (1 if now_s < 1 else 30))
    world.run(30)
    assert not world.lost
    assert world.copies == 0


def test_a_ticket_at_which_two_actors_have_fallen_is_given_to_no_third_one() -> None:
    world = ActorsWorld(TWO_NODES, lambda worker, now_s: ROW_S)
    world.deadly.add(100)
    world.run(5)
    assert len(world.fallen) == 2
    assert world.here == [100]
    assert len(world.done) > 5 * 5 / TICKET_S


def test_an_actor_that_dies_is_to_blame_only_at_a_ticket_of_its_own() -> None:
    world = ActorsWorld(["a", "b"], lambda worker, now_s: ROW_S if worker == 1 or now_s < 1 else math.inf)
    world.run(1)
    at = world.kill(1)
    assert at is not None
    world.join(1)
    world.run(1.5)
    assert world.kill(0) is None  # what it hung in has been brought by the other


def ticket(number: int, first: int = 0, rows: int = 10) -> Ticket:
    return Ticket(number, TicketKind.ROWS, 0, 0, first, rows)


def brings(hedging: Hedging, worker: int, number: int, now_s: float, written: bool = True) -> int | None:
    hedging.made(worker, number, 0, now_s)
    return hedging.came(worker, number, written, now_s)


def test_a_ticket_whose_only_actor_goes_is_given_to_another_although_nobody_is_late() -> None:
    hedging = Hedging()
    for worker in (0, 1):
        hedging.join(worker, "a")
    for number in (1, 2, 3):
        hedging.give(0, ticket(number), number, number)
        assert hedging.commands(number) == [Give(0, ticket(number))]
        if number < 3:
            assert brings(hedging, 0, number, number + 0.1) == 0
    hedging.give(0, ticket(4), 5.0, 5.0)  # its own actor is late
    assert Give(1, ticket(4)) in hedging.commands(5.0)
    brings(hedging, 0, 3, 5.001)
    hedging.leave(1)
    assert hedging.commands(5.1) == [Copy(0, ticket(4), None)]


def test_a_late_ticket_goes_to_the_actor_that_comes_to_it_first() -> None:
    hedging = Hedging()
    for worker, node in enumerate("abb"):
        hedging.join(worker, node)
    hedging.give(0, ticket(1), 0.0, 0.0)
    assert brings(hedging, 0, 1, 0.1) == 0
    for worker, number, now_s in ((0, 2, 1.0), (1, 3, 1.25), (1, 4, 1.25), (2, 5, 1.3)):
        hedging.give(worker, ticket(number), now_s, now_s)
    hedging.commands(1.3)
    assert hedging.commands(1.4) == [Copy(1, ticket(2), 0)]  # it is at 3 for longer than the other is at 5, and 4 is newer


def test_a_late_ticket_is_not_given_to_a_node_where_one_was_cut_off_a_moment_ago() -> None:
    hedging = Hedging()
    for worker, node in enumerate("abbc"):
        hedging.join(worker, node)
    hedging.give(0, ticket(1), 0.0, 0.0)
    assert brings(hedging, 0, 1, 0.1) == 0
    hedging.give(0, ticket(2), 1.0, 1.0)
    hedging.commands(1.0)
    hedging.cut_off(1, 1.3)
    hedging.leave(1)
    assert hedging.commands(1.4) == [Copy(3, ticket(2), 0)]


def test_rows_at_which_a_second_actor_is_cut_off_are_suspected_or_a_part_of_them_and_no_others() -> None:
    hedging = Hedging()
    for worker in (0, 1, 2):
        hedging.join(worker, "a")
    hedging.give(0, ticket(1), 0.0, 0.0)
    assert not hedging.cut_off(0, 0.1)  # once may be chance
    assert hedging.leave(0) == [1]
    hedging.give(1, ticket(8, 5, 2), 0.1, 0.1)  # it is issued again, or a part of it is
    hedging.give(2, ticket(9, 10), 0.1, 0.1)
    assert hedging.cut_off(1, 0.2)
    assert hedging.leave(1) == [8]
    assert not hedging.cut_off(2, 0.2)


def with_a_node_overdue() -> Hedging:
    """The two actors of `b` have been at their tickets for longer than nearly all take, at 1.3; those of `a` have nothing to do."""
    hedging = Hedging()
    for worker, node in enumerate("aabb"):
        hedging.join(worker, node)
    hedging.give(0, ticket(1), 0.0, 0.0)
    assert brings(hedging, 0, 1, 0.1) == 0
    for worker in (2, 3):
        hedging.give(worker, ticket(worker), 1.0, 1.0)
    hedging.commands(1.0)
    return hedging


def test_a_node_is_silent_although_those_elsewhere_have_brought_all() -> None:
    hedging = with_a_node_overdue()
    assert hedging.commands(1.31) == [Copy(0, ticket(2), 2), Copy(1, ticket(3), 3)]  # a little later, they would be late alone as well


def test_a_node_whose_rows_begin_to_come_is_not_silent() -> None:
    hedging = with_a_node_overdue()
    hedging.commands(1.31)
    hedging.made(2, 2, 0, 1.32)
    hedging.give(3, ticket(4), 1.33, 1.33)
    assert hedging.commands(1.33) == [Give(3, ticket(4))]


def test_lost_tickets_are_spread_over_the_actors_that_are_left() -> None:
    hedging = Hedging()
    for worker, node in enumerate("aaab"):
        hedging.join(worker, node)
    for number in range(1, 9):
        hedging.give((number - 1) // 2, ticket(number, 10 * number), 0.0, 0.0)
    hedging.commands(0.0)
    hedging.cut_off(3, 0.1)
    assert hedging.leave(3) == [7, 8]
    hedging.give(2, ticket(7, 70), 0.1, 0.1)
    hedging.give(2, ticket(8, 80), 0.1, 0.1)  # its worker is first to have room, and its actor would have two more
    assert hedging.commands(0.1) == [Give(2, ticket(7, 70)), Give(0, ticket(8, 80))]


def test_an_actor_that_falls_between_two_tickets_accuses_neither() -> None:
    hedging = Hedging()
    hedging.join(0, "a")
    hedging.give(0, ticket(1), 0.0, 0.0)
    hedging.made(0, 1, 0, 0.1)  # its rows are on their way
    assert hedging.at(0) is None
    assert not hedging.cut_off(0, 0.1)
    assert hedging.leave(0) == [1]
    hedging.join(1, "a")
    hedging.give(1, ticket(1), 0.2, 0.2)
    assert not hedging.cut_off(1, 0.2)


def test_what_was_dropped_while_it_came_is_not_taken_for_what_was_asked_for_once_more() -> None:
    hedging = Hedging()
    for worker in (0, 1, 2):
        hedging.join(worker, "a")
    hedging.give(0, ticket(1), 0.0, 0.0)
    hedging._actors[0].standing.park(0.1)
    hedging.commands(0.1)
    hedging._actors[1].send(ticket(1), 0.1)  # it was to help, and its rows are coming
    assert hedging.disown(0) == [1]
    hedging.give(2, ticket(1), 0.2, 0.2)
    assert hedging.commands(0.2) == []  # it would be through with it sooner than anybody else
    assert brings(hedging, 1, 1, 0.3, written=False) is None  # but their rest was dropped before it was issued again
    assert hedging.commands(0.4) == [Copy(1, ticket(1), None)]
    assert brings(hedging, 1, 1, 0.5) == 2


def test_a_parked_actor_is_used_again_when_no_other_one_is_left() -> None:
    hedging = Hedging()
    for worker in (0, 1):
        hedging.join(worker, "a")
    hedging._actors[1].standing.park(0.0)
    assert hedging.commands(10.0) == []
    hedging.leave(0)
    assert hedging.commands(10.1) == [Return(1)]
    hedging.give(1, ticket(1), 10.2, 10.2)
    assert hedging.commands(10.2) == [Give(1, ticket(1))]
    assert brings(hedging, 1, 1, 20.0) == 1
    assert hedging.commands(20.1) == []


@given(
    speeds=st.lists(st.floats(0.2, 40), min_size=2, max_size=9),
    places=st.lists(st.sampled_from("abc"), min_size=9, max_size=9),
    deaths=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 8)), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_every_ticket_is_reported_once_whoever_is_slow_or_dies(
    speeds: list[float], places: list[str], deaths: list[tuple[float, int]], seed: int
) -> None:
    chance = random.Random(seed)
    world = ActorsWorld(places[: len(speeds)], lambda worker, now_s: ROW_S * speeds[worker] * chance.uniform(0.5, 2))
    for at_s, worker in sorted(deaths):
        world.run(at_s, 100)
        if worker < len(speeds) and world.has(worker):
            world.kill(worker)
            world.join(worker)
    world.run(math.inf, 100)
    assert set(world.done) == set(range(1, 101))
    assert set(world.done.values()) == {1}
