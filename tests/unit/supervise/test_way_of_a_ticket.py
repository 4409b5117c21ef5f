"""What a ticket costs the supervisor, in calls of Python functions; docs/design.md lists them."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from loader.ipc.board import Board
from loader.ipc.channels import Outlet
from loader.ipc.records import TICKET_BYTES, Done, unpack_tickets
from loader.supervise.loop import Supervisor
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.slots import SlotClock
from tests.plans import sample_batches

ROW_NS = 1_500_000


class Loop(Supervisor):
    """The part of the loop that tickets go through, with two workers that are pipes."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._inbox, self._inbox_write = os.pipe2(os.O_NONBLOCK)
        pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(2)]
        self._pool: Any = SimpleNamespace(outlets={number: Outlet(write) for number, (_, write) in enumerate(pipes)})
        self._board = Board(None, 2)
        self._slot_clock = SlotClock(self._board.supervisor)
        self.read = [read for read, _ in pipes]
        self.fds = [self._inbox, self._inbox_write, *(fd for pipe in pipes for fd in pipe)]

    def report(self, worker: int) -> None:
        """Let a worker do the next of its tickets."""
        (ticket,) = unpack_tickets(os.read(self.read[worker], TICKET_BYTES))
        os.write(self._inbox_write, Done(worker, ticket.number, ROW_NS * ticket.rows).pack())

    def calls_of_a_turn(self) -> int:
        """Take one turn; return how many Python functions it called."""
        calls = 0

        def count(_: object, event: str, __: object) -> None:
            nonlocal calls
            calls += event == "call"

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            self._feed()
            self._carry_out()
        finally:
            sys.setprofile(before)
        return calls


@pytest.fixture
def loop():
    schedule = Schedule(sample_batches(10_000, 1_000), 6, 1, None, ROW_NS, 2)
    for worker in range(2):
        schedule.worker_joined(worker)
    loop = Loop(schedule)
    loop.calls_of_a_turn()
    yield loop
    for fd in loop.fds:
        os.close(fd)


def test_a_further_ticket_costs_the_supervisor_at_most_12_calls(loop: Loop) -> None:
    loop.report(0)
    one = loop.calls_of_a_turn()
    for worker in (0, 1, 0, 1):
        loop.report(worker)
    four = loop.calls_of_a_turn()
    assert four - one <= 3 * 12
    assert all(len(loop._schedule.tickets(worker)) == 2 for worker in range(2))
