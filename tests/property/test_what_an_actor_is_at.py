"""The gateway knows which ticket an actor is at, however tickets and blocks cross on their ways."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.hedging.given import Actor


class Crossing:
    """An actor and the gateway, with a way between them that takes as long as it likes."""

    def __init__(self) -> None:
        self.known = Actor("a")  # to the gateway
        self.to_actor: deque[Ticket] = deque()
        self.to_gateway: deque[tuple[int, int]] = deque()
        self.has: list[Ticket] = []
        self.begun: list[Ticket] = []
        self.idle = True
        self.heard = 0

    def send(self, number: int) -> None:
        ticket = Ticket(number, TicketKind.ROWS, 0, 0, 0, 10)
        self.known.send(ticket, 0.0)
        self.to_actor.append(ticket)

    def arrive(self) -> None:
        self.has.append(self.to_actor.popleft())
        if self.idle:
            self._begin(self.has[0])

    def make(self) -> None:
        oldest = min(self.has, default=None)
        self.to_gateway.append((self.begun[-1].number, oldest.number if oldest else 0))
        self.idle = True
        if oldest:
            self._begin(oldest)

    def hear(self) -> None:
        number, following = self.to_gateway.popleft()
        self.known.made(number, following)
        self.known.came(number, 0.0)
        self.heard += 1

    def _begin(self, ticket: Ticket) -> None:
        self.has.remove(ticket)
        self.begun.append(ticket)
        self.idle = False


@given(numbers=st.permutations(range(1, 9)), steps=st.lists(st.sampled_from(["send", "arrive", "make", "hear"]), max_size=60))
def test_after_each_block_the_gateway_names_the_ticket_that_the_actor_began_then(numbers: list[int], steps: list[str]) -> None:
    world, left, named = Crossing(), deque(numbers), dict[int, Ticket]()
    for step in [*steps, *["send", "arrive", "make", "hear"] * 16]:
        if step == "send" and left:
            world.send(left.popleft())
        elif step == "arrive" and world.to_actor:
            world.arrive()
        elif step == "make" and not world.idle:
            world.make()
        elif step == "hear" and world.to_gateway:
            world.hear()
        if world.known.at is not None:
            assert named.setdefault(world.heard, world.known.at) == world.known.at
    assert len(world.begun) == 8
    assert [named[place] for place in range(8)] == world.begun
