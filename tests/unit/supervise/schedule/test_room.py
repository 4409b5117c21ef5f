"""A reader that comes to a pool whose slots are all full."""

from __future__ import annotations

from loader.data.plans.rank_batches import RankBatches
from loader.ipc.records import Done, Ready, Released
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.schedule import Schedule
from tests.plans import sample_batches


def fill(schedule: Schedule) -> list[Ready]:
    """Let the worker do all that there is to do; return what is handed over."""
    handed: list[Ready] = []
    while commands := schedule.commands():
        for command in commands:
            if isinstance(command, SendTicket):
                schedule.done(Done(command.worker, command.ticket.number, 1_000))
            elif isinstance(command, Ready):
                handed.append(command)
    return handed


def test_ranks_use_all_slots_and_each_always_has_its_share() -> None:
    plan = RankBatches.of(sample_batches(400, 4, world=2))
    schedule = Schedule(plan, 7, 1, None, 1e6, 1, shared=True, sharing=2)
    schedule.reader_joined(1, 0, plan.batches)
    schedule.worker_joined(0)
    both = fill(schedule)
    assert schedule.counts() == (0, 0, 7)
    for number in range(2):  # while the other one lets go of nothing
        handed = [ready for ready in both if ready.reader == number]
        for _ in range(20):
            assert len(handed) >= 3
            schedule.released(Released(handed[0].slot, handed[0].delivery, number))
            handed = [*handed[1:], *(ready for ready in fill(schedule) if ready.reader == number)]


def test_it_begins_at_once_and_the_others_lose_no_batch() -> None:
    schedule = Schedule(sample_batches(400, 4), 8, 1, None, 1e6, 1, shared=True)
    schedule.worker_joined(0)
    first = fill(schedule)
    assert (len(first), schedule.counts()) == (3, (0, 0, 8))  # those that it may not hold yet are not being filled any more
    schedule.reader_joined(1, 0, 50)
    assert [(ready.reader, ready.first) for ready in fill(schedule)] == [(1, 50), (1, 51)]
    assert schedule.counts()[0] == 0
    schedule.reader_left(1)
    got = [ready.first for ready in first]
    while len(got) < 30:
        for ready in first:
            schedule.released(Released(ready.slot, ready.delivery, ready.reader))
        first = fill(schedule)
        got += [ready.first for ready in first]
    assert got == list(range(len(got)))
