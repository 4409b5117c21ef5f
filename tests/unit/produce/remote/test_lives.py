"""Lives of remote workers in the gateway, with actors that are a list, and a cluster that says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from loader.ipc.board import Board
from loader.ipc.records import Fate, Joined, Lost, Ticket, TicketKind
from loader.produce.remote.hand import Hand
from loader.produce.remote.lives import Lives
from loader.produce.remote.node_counts import NodeCounts


class Recruiter:
    """Finds an actor for whoever seeks one, when it is told to."""

    def __init__(self, ready: Callable[[Hand], None]) -> None:
        self.ready = ready
        self.seeking: list[Hand] = []
        self.released: list[Hand] = []

    def seek(self, hand: Hand) -> None:
        self.seeking.append(hand)

    def look(self, hands: Iterable[Hand], now: float) -> None:
        self.seeking += [hand for hand in hands if hand.actor is None and hand not in self.seeking]

    def release(self, hand: Hand) -> None:
        if hand.actor is not None:
            self.released.append(hand)
            hand.actor = None


class Tickets:
    """What is out to actors: nothing, but for what a test says."""

    def __init__(self) -> None:
        self.out: dict[int, tuple[Hand, Ticket]] = {}
        self.left: list[int] = []
        self.disowned: list[int] = []

    def is_busy(self, number: int) -> bool:
        return number in self.out

    def at(self, number: int) -> tuple[Hand, Ticket] | None:
        return self.out.get(number)

    def leave(self, number: int) -> None:
        self.out.pop(number, None)
        self.left.append(number)

    def disown(self, number: int) -> None:
        self.disowned.append(number)


class World:
    def __init__(self) -> None:
        self.told: list[Any] = []
        self.hands: dict[int, Hand] = {}
        self.tickets = Tickets()
        self.board = Board(None, 1, 3)
        self.recruiters: list[Recruiter] = []
        self.lives = Lives(
            self.hands,
            self.tickets,  # type: ignore[arg-type]
            self.board,
            NodeCounts(self.board.gateway),
            10.0,
            self.told.append,
            self._recruiter,  # type: ignore[arg-type]
        )

    def _recruiter(self, ready: Callable[[Hand], None]) -> Recruiter:
        self.recruiters.append(Recruiter(ready))
        return self.recruiters[0]

    def working(self, number: int) -> Hand:
        """Return a worker that has joined."""
        self.lives.open(number)
        hand = self.hands[number]
        hand.actor = SimpleNamespace()  # type: ignore[assignment]
        hand.node = "a"
        self.lives.join(hand)
        self.told.clear()
        return hand


@pytest.fixture
def world() -> World:
    return World()


def test_a_worker_joins_when_its_actor_is_there(world: World) -> None:
    world.lives.open(2)
    assert world.recruiters[0].seeking == [world.hands[2]]
    assert world.told == []
    world.lives.join(world.hands[2])
    assert world.told == [Joined(2)]


def test_a_worker_whose_connection_ends_is_lost_at_once_and_no_actor_is_placed_before_ray_has_had_time_to_say_why(world: World) -> None:
    hand, other = world.working(2), world.working(3)
    world.recruiters[0].seeking.clear()
    world.lives.cut_off(hand, suspected=False)
    assert world.told == [Lost(2, Fate.PARTED)]
    assert world.tickets.left == [2]
    world.lives.open(2)
    world.lives.look(time.monotonic())
    assert world.recruiters[0].seeking == []  # it might be placed on a node that is gone
    assert world.recruiters[0].released == []
    world.lives.look(time.monotonic() + 6)
    assert world.recruiters[0].released == [hand]
    assert world.recruiters[0].seeking == [world.hands[2]]
    assert world.hands == {2: world.hands[2], 3: other}


def test_for_rows_that_are_suspected_a_worker_is_lost_in_a_way_that_says_so(world: World) -> None:
    hand, owner = world.working(2), world.working(3)
    world.told.clear()
    world.tickets.out[2] = hand, Ticket(7, TicketKind.ROWS, 0, 0, 0, 10)
    world.lives.cut_off(hand, suspected=True)
    assert world.told == [Lost(2, Fate.FELL, ticket=7)]
    other = world.working(2)
    world.tickets.out[2] = owner, Ticket(8, TicketKind.ROWS, 0, 0, 0, 10)
    world.lives.cut_off(other, suspected=True)
    assert world.told == [Lost(2, Fate.PARTED), Lost(3, Fate.FELL, ticket=8)]


def test_an_actor_that_hangs_is_lost_for_the_ticket_that_it_is_at(world: World) -> None:
    hand = world.working(2)
    world.tickets.out[2] = hand, Ticket(7, TicketKind.ROWS, 0, 0, 0, 10)
    world.lives.look(time.monotonic() + 11)
    assert world.told == [Lost(2, Fate.HUNG, ticket=7)]
    assert world.board.workers[2].read_failure(7)["how"].startswith("was ended")


def test_an_actor_that_hangs_at_a_ticket_of_another_worker_ends_that_too(world: World) -> None:
    hand, owner = world.working(2), world.working(3)
    world.tickets.out[2] = owner, Ticket(7, TicketKind.ROWS, 0, 0, 0, 10)
    owner.moved += 100
    world.lives.look(time.monotonic() + 11)
    assert hand.over
    assert world.told == [Lost(2, Fate.PARTED), Lost(3, Fate.HUNG, ticket=7)]


def test_an_actor_that_stays_slow_for_minutes_is_given_back(world: World) -> None:
    hand = world.working(2)
    world.lives.set_aside(hand)
    assert world.told == [Lost(2, Fate.PARTED)]
    assert world.tickets.disowned == [2]
    world.lives.open(2)  # it is wanted all the same, and waits until its actor is quick
    assert world.told == [Lost(2, Fate.PARTED)]
    world.lives.look(time.monotonic() + 299)
    assert not hand.over
    world.lives.look(time.monotonic() + 301)
    assert world.told == [Lost(2, Fate.PARTED), Lost(2, Fate.PARTED)]
    assert world.recruiters[0].released == [hand]
