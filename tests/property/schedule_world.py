"""The world around a schedule: workers, trainer and arena that do only what they are told, and complain when they are told wrong.

A simple model of its own, of rows and not of counts: it knows for every row of every slot who holds it, whether it is written, and which batch is
due next. `test_schedule.py` drives it.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from loader.data.pipeline.substitution import LAST_ATTEMPT
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import UNKNOWN_ROW
from loader.ipc.records import ANY_BEFORE_TERM, Done, Failed, Ready, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule.assignments import Dismiss, SendTicket
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.sizing import SHORT_TICKETS
from loader.supervise.schedule.suspects import Accused, DiedAt

SOMEWHERE = DiedAt()


class Row(Enum):
    """What became of a row of a slot that was put into a ticket."""

    HELD = "held"
    """A living worker writes it."""
    LOST = "lost"
    """Its worker has died."""
    DONE = "done"
    """It is written."""
    GIVEN_UP = "given up"
    """It failed, or its batch did."""


@dataclass
class Filling:
    """What is, or is to be, in a slot.

    Attributes:
        epoch, base: the epoch's row that the slot's row 0 is.
        stale: whether its epoch was left.
        rows: of the slot.
        deaths, timeouts: per row, of workers that had it alone in the ticket that they were at, at the row's present attempt.
        attempts: per row, the sample in its place that is to be tried first; 0 is its own.
        failed: first batch that failed.
        text: batch whose error lies in the slot's text.
    """

    epoch: int
    base: int
    stale: bool = False
    rows: dict[int, Row] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    timeouts: Counter[int] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    failed: int | None = None
    text: int | None = None

    def fail(self, batch: int) -> bool:
        """Note that a batch failed; return whether its error is the one to keep."""
        earliest = self.failed is None or batch < self.failed
        if earliest:
            self.failed = batch
        return earliest


class World:
    """A schedule and everything around it.

    Args:
        plan, slots, capacity, row_ns: as the schedule takes them.
        block_rows: rows of a block of the order; 0 where it is sequential.
        places: for blocks.
        workers: to begin with.
        start: epoch and batch to begin with.
        substitute: whether another sample is tried in the place of one that is accused.
        local: workers from this number on are on other machines; None if none are.
    """

    def __init__(
        self,
        plan: EpochPlan,
        slots: int,
        capacity: int,
        row_ns: float,
        block_rows: int,
        places: int,
        workers: int,
        start: tuple[int, int] = (0, 0),
        substitute: bool = False,
        local: int | None = None,
    ) -> None:
        self.substitute = substitute
        self.plan = plan
        self.local = sys.maxsize if local is None else local
        self.capacity = capacity
        self.slots = slots
        self.shuffled = block_rows > 0
        blocks = Blocks(plan, block_rows, places) if block_rows else None
        self.schedule = Schedule(plan, slots, capacity, blocks, row_ns, 2, *start, local=local, row_bytes=100_000)
        self.held: dict[int, deque[Ticket]] = {}
        self.leaving: set[int] = set()
        self.fillings: dict[int, Filling] = {}
        self.handed: dict[int, Ready] = {}
        self.past: list[Ready] = []
        self.places: dict[int, tuple[int, range]] = {}
        self.accused: list[Accused] = []
        self.dangerous = False  # whether tickets may be there that only workers of this machine are to do
        self.term = self.joined = 0
        self.next_batch = start
        for _ in range(workers):
            self.join()

    def rows_of_epoch(self, epoch: int) -> list[int]:
        """Return the numbers of an epoch's rows."""
        starts = range(0, self.plan.rows, self.plan.batch_size)
        return [start + row for batch, start in enumerate(starts) for row in range(self.plan.rows_of(epoch, batch))]

    # What happens to the schedule.

    def join(self) -> None:
        self.schedule.worker_joined(self.joined)
        self.held[self.joined] = deque()
        self.joined += 1

    def leave(self, worker: int) -> None:
        self.leaving.add(worker)
        self.schedule.worker_leaving(worker)

    def complete(self, worker: int, busy_ns: int = 1_000_000, place: int = 0) -> None:
        """A worker does a ticket: its first one or, on another machine, any."""
        ticket = self._one_of(worker, place)
        self.held[worker].remove(ticket)
        if ticket.kind is TicketKind.ORDER:
            self.places[ticket.place] = ticket.epoch, range(ticket.first, ticket.first + ticket.rows)
        else:
            self._set_rows(ticket, Row.DONE)
        self.schedule.done(Done(worker, ticket.number, busy_ns))

    def fail(self, worker: int, offset: int, again: bool) -> None:
        """Row `offset` of the first ticket fails. With `again`, it also fails while the worker makes the batches before it again."""
        ticket = self.held[worker].popleft()
        batch_start = (ticket.slot_row + offset % ticket.rows) // self.plan.batch_size * self.plan.batch_size
        report = Failed(worker, ticket.number, ticket.slot_row if again else max(ticket.slot_row, batch_start))
        filling = self._set_rows(ticket, Row.GIVEN_UP)
        filling.rows.update(dict.fromkeys(range(ticket.slot_row, report.good_rows), Row.DONE))
        batch = report.good_rows // self.plan.batch_size
        keep = filling.fail(batch)
        assert self.schedule.failed(report) == (ticket.place if keep else None)
        if keep:
            filling.text = batch

    def die(self, worker: int, at: DiedAt | None = SOMEWHERE, place: int = 0) -> None:
        """A worker dies at its first ticket or, on another machine, at any; `at` is None: nothing is to blame, or any but the first is suspected."""
        at_work = self._one_of(worker, place) if self.held[worker] else None
        if at is not None and at_work is not None and worker >= self.local:
            at = at._replace(ticket=at_work.number)
        suspected = at is None and place > 0 and at_work is not None and at_work.kind is TicketKind.ROWS and worker >= self.local
        self.dangerous = self.dangerous or suspected or (at is not None and worker < self.local < sys.maxsize)
        self.leaving.discard(worker)
        due = False
        for ticket in self.held.pop(worker):
            if ticket.kind is TicketKind.ROWS:
                filling = self._set_rows(ticket, Row.LOST)
                if ticket is at_work and at is not None and ticket.rows == 1 and not filling.stale:
                    due = self._count_death(ticket, filling, at)
        accused = self.schedule.worker_died(worker, at, at_work.number if at_work is not None and suspected else 0)
        assert (accused is not None) == due
        if accused is not None:
            assert at_work is not None
            self._judge(accused, at_work)

    def _one_of(self, worker: int, place: int) -> Ticket:
        held = self.held[worker]
        return held[place % len(held) if worker >= self.local else 0]

    def _count_death(self, ticket: Ticket, filling: Filling, at: DiedAt) -> bool:
        """Count a death against the only row of a ticket; return whether that accuses it."""
        row = ticket.slot_row
        if at.attempt > filling.attempts[row]:
            filling.attempts[row] = at.attempt
            filling.deaths[row] = filling.timeouts[row] = 0
        filling.deaths[row] += 1
        filling.timeouts[row] += at.timed_out
        return at.certain or filling.deaths[row] == 3

    def _judge(self, accused: Accused, ticket: Ticket) -> None:
        filling, row = self.fillings[ticket.place], ticket.slot_row
        self.accused.append(accused)
        assert (accused.ticket.place, accused.ticket.slot_row, accused.ticket.rows) == (ticket.place, row, 1)
        assert accused.ticket.attempt == filling.attempts[row]
        assert accused.timed_out == (filling.timeouts[row] == filling.deaths[row])
        if self.substitute and accused.ticket.attempt < LAST_ATTEMPT:
            filling.attempts[row] += 1
            filling.deaths[row] = filling.timeouts[row] = 0
            self.schedule.substitute(accused)
            return
        filling.rows[row] = Row.GIVEN_UP
        keep = filling.fail(row // self.plan.batch_size)
        assert self.schedule.give_up(accused) == (ticket.place if keep else None)
        if keep:
            filling.text = row // self.plan.batch_size

    def release(self, slot: int, delivery: int) -> None:
        if slot in self.handed and self.handed[slot].delivery == delivery:
            self._free(slot)
        self.schedule.released(Released(slot, delivery))

    def release_before_term(self, slot: int) -> None:
        if slot in self.handed and self.handed[slot].term < self.term:
            self._free(slot)
        self.schedule.released(Released(slot, ANY_BEFORE_TERM))

    def _free(self, slot: int) -> None:
        self.past.append(self.handed.pop(slot))
        del self.fillings[slot]

    def skip(self, epoch: int, batch: int = 0) -> None:
        self.term += 1
        self.next_batch = epoch, batch
        for slot, filling in self.fillings.items():
            filling.stale = filling.stale or slot not in self.handed
        self.schedule.skip(Skip(self.term, epoch, batch))

    # What the schedule says.

    def carry_out(self) -> list[Ready]:
        """Carry out the commands; return what was handed over."""
        handed: list[Ready] = []
        for command in self.schedule.commands():
            match command:
                case SendTicket(worker, ticket):
                    self._issue(worker, ticket)
                case Ready():
                    self._hand_over(command)
                    handed.append(command)
                case Dismiss(worker):
                    assert worker in self.leaving
                    assert not self.held.pop(worker), "dismissed with tickets"
                    self.leaving.remove(worker)
        self._check_rest()
        return handed

    def _issue(self, worker: int, ticket: Ticket) -> None:
        held = self.held[worker]
        assert worker not in self.leaving
        assert len(held) < SHORT_TICKETS
        others = self._staying(worker < self.local)
        assert all(len(self.held[other]) >= len(held) for other in others), "one more ticket while someone has fewer"
        if ticket.kind is TicketKind.ORDER:
            self._check_order_ticket(ticket)
            self.places.pop(ticket.place, None)
        else:
            self._check_rows_ticket(ticket)
            self._set_rows(ticket, Row.HELD)
        held.append(ticket)

    def _check_order_ticket(self, ticket: Ticket) -> None:
        assert self.shuffled
        assert 0 <= ticket.first < ticket.first + ticket.rows <= self.plan.rows
        for other in self.tickets():
            used = other.place if other.kind is TicketKind.ORDER else other.block
            assert used != ticket.place, f"{ticket} writes what {other} uses"

    def _check_rows_ticket(self, ticket: Ticket) -> None:
        assert ticket.place not in self.handed, "written while the trainer has it"
        filling = self.fillings.get(ticket.place)
        if filling is None or filling.stale:
            assert not any(ticket.place == other.place for other in self.tickets() if other.kind is TicketKind.ROWS), "in two hands"
            filling = self.fillings[ticket.place] = Filling(ticket.epoch, ticket.first - ticket.slot_row)
        assert (ticket.epoch, ticket.first) == (filling.epoch, filling.base + ticket.slot_row)
        assert ticket.layout == self.plan.layout_of(ticket.epoch, ticket.first // self.plan.batch_size)
        assert ticket.first + ticket.rows <= self.plan.rows
        assert ticket.slot_row + ticket.rows <= self.capacity * self.plan.batch_size
        for row in range(ticket.slot_row, ticket.slot_row + ticket.rows):
            assert filling.rows.get(row, Row.LOST) is Row.LOST, f"row {row} of {ticket} is {filling.rows[row]}"
            assert ticket.attempt == filling.attempts[row]
        assert ticket.rows == 1 or not ticket.attempt
        if self.shuffled:
            epoch, rows = self.places[ticket.block]
            assert (epoch, rows.start) == (ticket.epoch, ticket.block_first)
            assert ticket.first in rows
            assert ticket.first + ticket.rows - 1 in rows

    def _hand_over(self, ready: Ready) -> None:
        size, filling = self.plan.batch_size, self.fillings[ready.slot]
        assert ready.slot not in self.handed
        assert not filling.stale
        assert (ready.term, ready.epoch, ready.first) == (self.term, *self.next_batch)
        assert (filling.epoch, filling.base) == (ready.epoch, ready.first * size)
        assert not any(ticket.place == ready.slot for ticket in self.tickets() if ticket.kind is TicketKind.ROWS)
        total = len(filling.rows)
        batches = -(-total // size)
        last = ready.first + batches - 1
        assert sorted(filling.rows) == list(range(total))
        assert total == (batches - 1) * size + self.plan.rows_of(ready.epoch, last)
        assert ready.layout == self.plan.layout_of(ready.epoch, ready.first)
        assert ready.failed == (filling.failed is not None)
        assert ready.batches == (filling.failed if filling.failed is not None else batches)
        assert ready.last_rows == (size if ready.failed else self.plan.rows_of(ready.epoch, last))
        good = min(total, ready.batches * size)
        assert all(filling.rows[row] is Row.DONE for row in range(good))
        assert not ready.failed or filling.text == ready.batches
        assert all(ready.delivery > other.delivery for other in [*self.past, *self.handed.values()])
        self.handed[ready.slot] = ready
        self.next_batch = (ready.epoch + 1, 0) if last + 1 == self.plan.batches else (ready.epoch, last + 1)

    def _check_rest(self) -> None:
        kept = {ticket.place for ticket in self.tickets() if ticket.kind is TicketKind.ROWS}
        kept |= {slot for slot, filling in self.fillings.items() if not filling.stale}
        free, filling, filled = self.schedule.counts()
        assert (free, filling + filled) == (self.slots - len(kept), len(kept))
        assert len(self.handed) <= filled
        assert all(self.schedule.tickets(worker) == list(held) for worker, held in self.held.items())
        if any(len(self.held[worker]) < 2 for worker in self._staying(True)):
            lost = [slot for slot, filling in self.fillings.items() if not filling.stale and Row.LOST in filling.rows.values()]
            assert not lost, "a worker could take what a dead one left"

    def _staying(self, here: bool) -> set[int]:
        """Return the workers that may get more: where some tickets may be for workers of this machine, only these, with `here`, if there are any."""
        staying = self.held.keys() - self.leaving
        local = {worker for worker in staying if worker < self.local}
        return local if here and local and self.dangerous else staying

    # Looking, and going on.

    def tickets(self) -> list[Ticket]:
        """Return the tickets that living workers hold."""
        return [ticket for held in self.held.values() for ticket in held]

    def busy(self) -> list[int]:
        """Return the workers that hold something."""
        return [worker for worker, held in self.held.items() if held]

    def fillers(self) -> list[int]:
        """Return the workers whose first ticket is for rows of a slot."""
        return [worker for worker in self.busy() if self.held[worker][0].kind is TicketKind.ROWS]

    def go_on(self, deliveries: int, rounds: int = 2_000) -> list[Ready]:
        """Complete and release everything, again and again, until so many deliveries have come. Fails when they don't."""
        if not self.held.keys() - self.leaving:
            self.join()
        got: list[Ready] = []
        for _ in range(rounds):
            got += self.carry_out()
            if len(got) >= deliveries:
                return got
            for slot, ready in list(self.handed.items()):
                self.release(slot, ready.delivery)
            for worker in self.busy():
                while self.held[worker]:
                    self.complete(worker)
        raise AssertionError(f"stuck after {len(got)} deliveries: {vars(self)}")

    def _set_rows(self, ticket: Ticket, state: Row) -> Filling:
        filling = self.fillings[ticket.place]
        filling.rows.update(dict.fromkeys(range(ticket.slot_row, ticket.slot_row + ticket.rows), state))
        return filling


def happen(world: World, random: Random) -> None:
    """Let one random thing happen in the world."""
    kind = random.choices(range(9), [40, 10, 4, 15, 3, 3, 2, 2, 40])[0]
    if kind == 0 and world.busy():
        world.complete(random.choice(world.busy()), random.choice([100, 100_000, 10_000_000]), random.randrange(3))
    elif kind == 1 and world.held:
        attempt = random.choice([0, 0, 0, 1, 2, LAST_ATTEMPT]) if world.substitute else 0
        at = DiedAt(random.choice([UNKNOWN_ROW, 0, 1, 2, 5, 30]), attempt, timed_out=random.random() < 0.5, certain=random.random() < 0.1)
        world.die(random.choice(list(world.held)), random.choice([None, at, at, at, at, at, at]), random.randrange(3))
        world.join()
    elif kind == 2 and world.fillers():
        world.fail(random.choice(world.fillers()), random.randrange(100), random.random() < 0.2)
    elif kind == 3 and world.handed:
        slot = random.choice(list(world.handed))
        world.release(slot, world.handed[slot].delivery)
    elif kind == 4 and world.past:
        again = random.choice(world.past)
        world.release(again.slot, again.delivery)
    elif kind == 5:
        world.release_before_term(random.randrange(world.slots))
    elif kind == 6:
        world.skip(max(0, world.next_batch[0] + random.randint(-1, 1)), random.choice([0, random.randrange(world.plan.batches)]))
    elif kind == 7:
        staying = sorted(world.held.keys() - world.leaving)
        if len(staying) < 2 or random.random() < 0.5:
            world.join()
        else:
            world.leave(random.choice(staying))
    else:
        world.carry_out()
