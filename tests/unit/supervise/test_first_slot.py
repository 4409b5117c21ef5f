"""What the trainer waits for at the start is as little as possible."""

from __future__ import annotations

import pytest

from loader.ipc.records import Done, Ready, Skip
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.schedule import Schedule
from tests.plans import sample_batches


def test_the_very_first_slot_holds_one_batch_however_fast_rows_seem_to_be() -> None:
    schedule = Schedule(sample_batches(100_000, 64), slots=4, capacity=64, blocks=None, row_ns=1.0, cores=1)
    schedule.worker_joined(0)
    handed = []
    for _ in range(3):
        for command in schedule.commands():
            if isinstance(command, Ready):
                handed.append(command.batches)
            elif isinstance(command, SendTicket):
                schedule.done(Done(0, command.ticket.number, 1))
    assert handed[:2] == [1, 64]


def test_everyone_works_on_the_first_batch_half_of_them_on_the_second_and_so_again_after_a_jump() -> None:
    workers, rows = 16, 64
    schedule = Schedule(sample_batches(100_000, rows), slots=18, capacity=1, blocks=None, row_ns=5e6, cores=2)
    for worker in range(workers):
        schedule.worker_joined(worker)

    def sizes_of_tickets() -> dict[int, set[int]]:
        sizes: dict[int, set[int]] = {}
        for command in schedule.commands():
            assert isinstance(command, SendTicket)
            sizes.setdefault(command.ticket.first // rows, set()).add(command.ticket.rows)
        return sizes

    started = sizes_of_tickets()
    assert (started[0], started[1]) == ({4}, {8})
    for worker in range(workers):
        for ticket in schedule.tickets(worker):
            schedule.done(Done(worker, ticket.number, 5_000_000 * ticket.rows))
    schedule.skip(Skip(1, 0, 500))
    jumped = sizes_of_tickets()
    assert (jumped[500], jumped[501]) == ({4}, {8})


@pytest.mark.parametrize(("row_ns", "first", "later"), [(4e6, 1, 2), (1e4, 4, 4)], ids=["slow", "quick"])
def test_tickets_are_cut_for_workers_that_are_still_to_come_and_left_for_them_if_they_are_long(row_ns: float, first: int, later: int) -> None:
    workers, rows = 8, 64
    schedule = Schedule(sample_batches(100_000, rows), slots=18, capacity=1, blocks=None, row_ns=row_ns, cores=2)
    held: list[list[int]] = []
    for worker in range(workers):
        schedule.worker_joined(worker)
        schedule.expect_workers(workers - 1 - worker)
        schedule.commands()
        held.append([ticket.rows for ticket in schedule.tickets(0)])
    assert held[0] == [rows // workers] * first
    assert [len(schedule.tickets(worker)) for worker in range(workers)] == [later] * workers
