"""What the trainer waits for at the start is as little as possible."""

from __future__ import annotations

from loader.ipc.records import Done, Ready
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
