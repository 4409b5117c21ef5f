"""Batch transforms in the schedule: when they run, on what, and what follows a death, in a world where everything happens at random."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import pytest

from loader.ipc.records import Done, Failed, Ready, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.suspects import Accused, DiedAt
from tests.plans import sample_batches

SIZE, SAMPLES = 4, 42


class World:
    """Workers and a trainer. Each row of a slot is `written` or `changed`, or `torn` by a worker that died while it changed it."""

    def __init__(self, seed: int, capacity: int, local: int | None) -> None:
        self.random = Random(seed)
        self.schedule = Schedule(sample_batches(SAMPLES, SIZE), 3, capacity, None, row_ns=1e6, cores=2, batch_work=True, local=local)
        self.held: dict[int, deque[Ticket]] = {}
        self.rows: dict[tuple[int, int, int], dict[int, str]] = {}  # by slot, epoch and the slot's first row in it
        self.handed: list[Ready] = []
        self.next = (0, 0)
        self.joined = self.term = self.delivered = 0
        for _ in range(3):
            self.join()

    def join(self) -> None:
        self.schedule.worker_joined(self.joined)
        self.held[self.joined] = deque()
        self.joined += 1

    def carry_out(self) -> None:
        for command in self.schedule.commands():
            if isinstance(command, SendTicket):
                self.held[command.worker].append(command.ticket)
            elif isinstance(command, Ready):
                self.take(command)

    def take(self, ready: Ready) -> None:
        if ready.term == self.term:
            assert (ready.epoch, ready.first) == self.next
            rows = (ready.batches - 1) * SIZE + ready.last_rows
            assert [self.rows[ready.slot, ready.epoch, ready.first * SIZE][row] for row in range(rows)] == ["changed"] * rows
            self.delivered += ready.batches
            first = ready.first + ready.batches
            self.next = (ready.epoch, first) if first < 11 else (ready.epoch + 1, 0)
        self.handed.append(ready)

    def rows_of(self, ticket: Ticket) -> dict[int, str]:
        return self.rows.setdefault((ticket.place, ticket.epoch, ticket.first - ticket.slot_row), {})

    def work(self, worker: int) -> None:
        ticket = self.held[worker].popleft()
        rows, span = self.rows_of(ticket), range(ticket.slot_row, ticket.slot_row + ticket.rows)
        if ticket.kind is TicketKind.BATCH:
            assert ticket.attempt or [rows[row] for row in span] == ["written"] * len(span)
            assert ticket.slot_row % SIZE == 0
        rows.update(dict.fromkeys(span, "changed" if ticket.kind is TicketKind.BATCH else "written"))
        self.schedule.done(Done(worker, ticket.number, 1_000_000))

    def die(self, worker: int) -> Accused | None:
        held = self.held.pop(worker)
        at: DiedAt | None = None
        if held and self.random.random() < 0.7:
            at = DiedAt()
            if held[0].kind is TicketKind.BATCH:
                self.rows_of(held[0]).update(dict.fromkeys(range(held[0].slot_row, held[0].slot_row + held[0].rows), "torn"))
        accused = self.schedule.worker_died(worker, at)
        self.join()
        return accused

    def step(self) -> None:
        self.carry_out()
        what = self.random.random()
        busy = [worker for worker, held in self.held.items() if held]
        if what < 0.6 and busy:
            self.work(self.random.choice(busy))
        elif what < 0.65:
            accused = self.die(self.random.choice(list(self.held)))
            assert accused is None or accused.ticket.rows == 1 or accused.ticket.kind is TicketKind.BATCH
            if accused is not None:  # the third death: it was bad luck in this world
                self.schedule.substitute(accused)
        elif what < 0.67:
            self.term += 1
            self.next = (self.random.randrange(3), self.random.randrange(11))
            self.schedule.skip(Skip(self.term, *self.next))
        elif self.handed:
            ready = self.handed.pop(self.random.randrange(len(self.handed)))
            self.schedule.released(Released(ready.slot, ready.delivery))


@pytest.mark.parametrize(("capacity", "local"), [(1, None), (3, None), (1, 2), (3, 30), (1, 0)])
def test_each_batch_is_handed_over_when_it_has_been_changed_once_since_its_rows_were_written(capacity: int, local: int | None) -> None:
    for seed in range(60):
        world = World(seed, capacity, local)
        for _ in range(400):
            world.step()
        assert world.delivered > 15


def until_batch_work(schedule: Schedule) -> Ticket:
    while True:
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                if command.ticket.kind is TicketKind.BATCH:
                    return command.ticket
                schedule.done(Done(command.worker, command.ticket.number, 1_000))


def schedule_of(workers: int = 1) -> Schedule:
    schedule = Schedule(sample_batches(SAMPLES, SIZE), 3, 1, None, row_ns=1e6, cores=2, batch_work=True)
    for worker in range(workers):
        schedule.worker_joined(worker)
    return schedule


def test_the_third_death_at_a_batch_accuses_it_and_its_rows_are_made_again_before() -> None:
    schedule = schedule_of()
    ticket = until_batch_work(schedule)
    assert (ticket.slot_row, ticket.rows, ticket.attempt) == (0, SIZE, 0)
    accused: Any = None
    for worker in range(3):
        assert accused is None
        accused = schedule.worker_died(worker, DiedAt())
        schedule.worker_joined(worker + 1)
        if accused is None:
            assert next(c.ticket for c in schedule.commands() if isinstance(c, SendTicket)) == ticket._replace(attempt=worker + 1)
    assert accused.ticket.kind is TicketKind.BATCH
    assert schedule.give_up(accused) == ticket.place
    ready = next(command for command in schedule.commands() if isinstance(command, Ready))
    assert (ready.batches, ready.failed) == (0, True)


def test_a_failure_leaves_the_batches_before_it() -> None:
    schedule = Schedule(sample_batches(400, SIZE), 3, 4, None, row_ns=1.0, cores=2, batch_work=True)
    schedule.worker_joined(0)
    held: deque[Ticket] = deque()
    failed = False
    while True:
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                held.append(command.ticket)
            elif isinstance(command, Ready) and failed:
                assert (command.batches, command.failed) == (2, True)
                return
        ticket = held.popleft()
        if ticket.kind is TicketKind.BATCH and ticket.rows == 4 * SIZE:
            assert schedule.failed(Failed(0, ticket.number, 2 * SIZE)) == ticket.place
            failed = True
        else:
            schedule.done(Done(0, ticket.number, 1_000))


def test_workers_of_this_machine_do_them_first_and_the_gateway_only_what_they_can_not_keep_up_with() -> None:
    schedule = Schedule(sample_batches(SAMPLES, SIZE), 6, 1, None, row_ns=1e8, cores=2, batch_work=True, local=1, row_bytes=1)
    for worker in range(3):
        schedule.worker_joined(worker)
    held: dict[int, deque[Ticket]] = {worker: deque() for worker in range(3)}
    done_by: list[int] = []
    while len(done_by) < 4:
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                held[command.worker].append(command.ticket)
                if command.ticket.kind is TicketKind.BATCH:
                    done_by.append(command.worker)
        for worker in (1, 2) if any(ticket.kind is TicketKind.BATCH for ticket in held[0]) else (0, 1, 2):  # at one of them, it takes its time
            if held[worker]:
                schedule.done(Done(worker, held[worker].popleft().number, 1_000))
    assert done_by[0] == 0
    assert 0 not in done_by[2:]


def test_where_there_are_none_no_ticket_asks_for_them() -> None:
    schedule = Schedule(sample_batches(SAMPLES, SIZE), 3, 1, None, row_ns=1e6, cores=2)
    schedule.worker_joined(0)
    kinds = set()
    for _ in range(20):
        for command in schedule.commands():
            if isinstance(command, SendTicket):
                kinds.add(command.ticket.kind)
                schedule.done(Done(0, command.ticket.number, 1_000))
            elif isinstance(command, Ready):
                schedule.released(Released(command.slot, command.delivery))
    assert kinds == {TicketKind.ROWS}
