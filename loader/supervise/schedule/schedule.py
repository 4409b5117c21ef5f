"""The schedule: which worker fills which rows of which slot. Pure: events in, commands out; no clock, no process, no descriptor.

    invariants, checked by tests/property/test_schedule.py under random completions, deaths, releases, skips and resizes:
        every batch of every epoch is handed over once to each reader, in order
        a slot is in one hand at a time: nobody's, the workers', its readers'
        the rows of a slot are issued once, and again only after the worker that held them has died
        a worker holds at most two tickets, four if they are short, or eight where samples are far away, and one more only while nobody has fewer
        rows that a dead worker held wait for nobody: where all have two tickets, each worker on another machine gets one of these above that

Tickets are dealt round: one to each worker first. A second one hides the way back and forth, but given at once it would starve the others,
because batches leave in order. Which batches they are cut from, in which slots these lie, and for which reader, is in `streams`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import count

from loader.data.plans.epoch_plan import EpochPlan
from loader.ipc.records import Done, Failed, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule.again import Again
from loader.supervise.schedule.assignments import Assignments, Command, Dismiss, SendTicket
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.fairness import Gap, HoldUp, has_room
from loader.supervise.schedule.sizing import Hands, TicketSizes
from loader.supervise.schedule.slot_contents import SlotContents
from loader.supervise.schedule.slot_pool import SlotPool
from loader.supervise.schedule.streams import Streams
from loader.supervise.schedule.suspects import Accused, DiedAt, Suspects

_SMOOTHING = 0.1


class Schedule:
    """Events in, commands out.

    Args:
        plan: batches of an epoch.
        slots: number of slots.
        capacity: batches that a slot can hold.
        blocks: blocks of the order, or None where it is sequential.
        row_ns: a first estimate of the time that one row takes.
        cores: that the workers share.
        epoch: that reader 0, the trainer that started the supervisor, begins with.
        batch: of that epoch.
        batch_work: whether there are batch transforms.
        shared: whether other readers may join.
        far_rows: how many rows are to be on their way at once; 0 if samples are not far away.
        sharing: how many readers are expected, each with batches of its own.
        local: number of the first worker that is on another machine; None if there can be none.
        row_bytes: of a row; only where there may be such workers.

    Attributes:
        row_ns: the estimate, as it is now, for workers on this machine.
    """

    def __init__(
        self,
        plan: EpochPlan,
        slots: int,
        capacity: int,
        blocks: Blocks | None,
        row_ns: float,
        cores: int,
        epoch: int = 0,
        batch: int = 0,
        batch_work: bool = False,
        shared: bool = False,
        far_rows: int = 0,
        sharing: int = 1,
        local: int | None = None,
        row_bytes: int = 1,
    ) -> None:
        self.row_ns = self._remote_row_ns = row_ns
        self._local = sys.maxsize if local is None else local
        self._batch_size = plan.batch_size
        self._slots = SlotPool(slots, plan.batch_size, batch_work)
        self._contents = SlotContents(plan, self._slots, capacity, blocks, TicketSizes(cores, far_rows, row_bytes))
        self._streams = Streams(plan, self._slots, self._contents, sharing * shared)
        self._streams.join(0, epoch, batch)
        self._full_slot = capacity * plan.batch_size if capacity > 1 else 0
        self._hands = Assignments(far=bool(far_rows))
        self._numbers = count(1)
        self._suspects = Suspects(self._numbers)
        self._again = Again(self._slots, self._suspects)

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of slots that are free, being filled, and filled: in the hands of readers, or waiting for their turn."""
        return self._slots.counts()

    @property
    def reports(self) -> int:
        """Number of tickets that have been reported done or failed."""
        return self._hands.taken

    def has(self, worker: int) -> bool:
        """Return whether a worker is there, or leaving and not dismissed yet."""
        return worker in self._hands

    def tickets(self, worker: int) -> list[Ticket]:
        """Return the tickets that a worker holds, in the order in which it got them."""
        return list(self._hands.held(worker))

    def slack_ns(self) -> float:
        """Return for how long, by estimate, no worker will run dry even if nothing is dealt."""
        return self._hands.slack_ns(self.row_ns)

    # Events. Each changes the state; `commands` says what follows.

    def worker_joined(self, worker: int) -> None:
        """A worker is there."""
        self._hands.join(worker)

    def expect_workers(self, count: int) -> None:
        """So many more will join in a moment. Tickets are cut for them as well, and none is a second long one while they have no first."""
        self._hands.expect(count)

    def worker_leaving(self, worker: int) -> None:
        """A worker is to go when it has done what it holds."""
        self._hands.retire(worker)

    def done(self, report: Done) -> None:
        """A ticket is done."""
        ticket = self._hands.take(report.worker, report.ticket, report.worker < self._local)
        self._suspects.deaths.pop(ticket.number, None)
        if ticket.kind is TicketKind.ORDER:
            self._contents.order_made(ticket)
            return
        if ticket.kind is TicketKind.ROWS:
            if report.worker < self._local:
                self.row_ns += _SMOOTHING * (report.busy_ns / ticket.rows - self.row_ns)
            else:
                self._remote_row_ns += _SMOOTHING * (report.busy_ns / ticket.rows - self._remote_row_ns)
        self._slots.finished(ticket)

    def failed(self, report: Failed) -> int | None:
        """A ticket failed. Return its slot if its error is the earliest of the slot, which is the one to keep; else None."""
        ticket = self._hands.take(report.worker, report.ticket, report.worker < self._local)
        self._suspects.deaths.pop(ticket.number, None)
        return self._slots.failed(ticket, report.good_rows)

    def released(self, record: Released) -> None:
        """A reader gave a slot back."""
        self._streams.released(record)

    def skip(self, record: Skip) -> None:
        """A reader has moved: it left its epoch, or loaded a position."""
        self._streams.skip(record)
        self._again.drop_stale()

    def reader_joined(self, reader: int, epoch: int, batch: int) -> None:
        """A trainer has come to read as well, from `batch` of `epoch` on."""
        self._streams.join(reader, epoch, batch)
        self._again.drop_stale()

    @property
    def quota(self) -> int:
        """How many slots a reader may hold at the same time."""
        return self._streams.quota

    def has_room(self, awaited: int = 0) -> bool:
        """Return whether there are slots for another reader, beside some that are awaited."""
        return has_room(self._streams.readers.values(), sum(self.counts()), awaited)

    @property
    def readers(self) -> int:
        """How many there are, also those that only hold what their scripts still use."""
        return len(self._streams.readers)

    def company(self) -> dict[int, int]:
        """Return, for each reader that wants batches, the lowest number of those that are handed the same ones."""
        return self._streams.company()

    def hold_up(self, waiting: Collection[int]) -> HoldUp | None:
        """Return the reader that keeps any of those that are `waiting` from going on, as it does not read what is ready for it; None if none does."""
        return self._streams.hold_up(waiting)

    def gaps(self) -> list[Gap]:
        """Return the gaps between readers that do not share what they read, the hindmost first."""
        return self._streams.gaps()

    def give_way(self, ahead: Collection[int], kept: Collection[int]) -> None:
        """Have readers that are ahead get fewer tickets than those behind them, and hand nothing to those of them that are to be kept."""
        self._streams.give_way(ahead, kept)

    @property
    def batch_s(self) -> float:
        """How long all workers together take for a batch, by estimate."""
        return self.row_ns * 1e-9 * self._batch_size / max(1, self._hands.staying)

    def set_apart(self, reader: int) -> None:
        """Let the others go on without a reader. What it has not read is filled again for it alone, until it meets the others again."""
        self._streams.set_apart(reader)
        self._again.drop_stale()

    def reader_left(self, reader: int) -> None:
        """A trainer has gone, and with it all that it held. What it sent before counts for nothing."""
        self._streams.leave(reader)
        self._again.drop_stale()

    def reader_retires(self, reader: int) -> bool:
        """A trainer has closed its loader, and is handed nothing more; return whether it still holds anything. May be asked again."""
        holds = self._streams.retire(reader)
        self._again.drop_stale()
        return holds

    def worker_died(self, worker: int, at: DiedAt | None, here: int = 0) -> Accused | None:
        """A worker is gone. All that it sent has been fed before.

        Args:
            worker: which.
            at: where it was; None where nothing that it held can be to blame, because it was not at work on it or was killed for another's sake.
            here: number of a ticket that only workers of this machine are to make, as it may have killed others elsewhere.

        Returns:
            What is now accused, if anything is: of a row or batch, `substitute` or `give_up` must say what becomes of it.
        """
        held = self._hands.leave(worker)
        again: list[Ticket] = []
        accused: Accused | None = None
        found = None if at is None else at.find(held)
        if at is not None and found is not None and found.kind is not TicketKind.ORDER and not self._slots.is_stale(found):
            held.remove(found)
            batch_work = found.kind is TicketKind.BATCH
            verdict = self._suspects.after_batch_work(found, at, self._batch_size) if batch_work else self._suspects.after_death(found, at)
            if isinstance(verdict, Accused):
                accused = verdict
            elif worker < self._local < sys.maxsize and not batch_work:
                self._again.put_here(verdict)  # on other machines, they might end several actors, and it is less clear why one ends
            else:
                again = verdict
        slow = at is not None and at.hung_at_unknown_row  # then the rest is likely to be slow as well
        for ticket in held:
            if ticket.kind is TicketKind.BATCH:  # its worker may have been at work on it
                again.append(ticket._replace(attempt=ticket.attempt + 1))
            else:
                again += self._suspects.singles(ticket) if slow and ticket.kind is TicketKind.ROWS else [ticket]
        self._again.put_first(again, here)
        if worker >= self._local:  # others may have gone with it
            self._again.sort()
        return accused

    def substitute(self, accused: Accused) -> None:
        """Another sample, the next one, is to take the place of the one that was accused."""
        ticket = accused.ticket
        self._again.put_first([ticket._replace(number=next(self._numbers), attempt=ticket.attempt + 1)])

    def give_up(self, accused: Accused) -> int | None:
        """The accused row or batch is an error. Return its slot if it is the earliest one there, which is the one to keep; else None."""
        return self._slots.failed(accused.ticket, accused.ticket.slot_row)

    # Commands.

    def commands(self) -> list[Command]:
        """Deal what there is to deal; return what is to be carried out, in order."""
        commands: list[Command] = [*self._streams.hand_over()] if self._slots.any_complete else []
        if self._again.here or (self._slots.due and self._hands.staying_from(self._local)):
            commands += self._deal_here()
        while (worker := self._hands.next_worker(bool(self._again.waiting))) is not None and (ticket := self._next_ticket(worker)) is not None:
            self._hands.give(worker, ticket)
            commands.append(SendTicket(worker, ticket))
        while (lost := self._again.waiting) and lost[0].kind is TicketKind.ROWS and (worker := self._hands.next_beyond(self._local)) is not None:
            self._hands.give(worker, ticket := lost.popleft())
            commands.append(SendTicket(worker, ticket))
        if self._slots.any_complete:  # a stream has come to slots of another one
            commands += self._streams.hand_over()
        return commands + [Dismiss(worker) for worker in self._hands.let_go()]

    def _deal_here(self) -> list[Command]:
        """Deal what is for workers of this machine: batch transforms, as those of others leave them to the gateway, which serves nobody meanwhile."""
        commands: list[Command] = []
        here, due = self._again.here, self._slots.due
        while (here or due) and (worker := self._hands.next_below(self._local)) is not None:
            ticket = here.popleft() if here else due.popleft().batch_ticket(next(self._numbers), self._batch_size)
            self._hands.give(worker, ticket)
            commands.append(SendTicket(worker, ticket))
        return commands

    def _next_ticket(self, worker: int) -> Ticket | None:
        streams, slots = self._streams, self._slots
        if slots.order_is_due:
            self._again.put_last(streams.order_tickets(self._numbers))
        if self._again.waiting:
            return self._again.waiting.popleft()
        if slots.due and (worker < self._local or self._hands.all_have(TicketKind.BATCH, self._local)):
            return slots.due.popleft().batch_ticket(next(self._numbers), self._batch_size)
        slot = streams.cutting
        if slot is None or slot.issued == slot.rows:
            slot = streams.next_slot(hands := self._who_fills())
            if slot is None and slots.order_is_due:  # a stream has come to the end of a block in slots of another one
                return self._next_ticket(worker)
            if slot is not None:
                self._hands.fit(slot.ticket_rows * self.row_ns, slot.rows == self._full_slot or hands.remote > 0)
        return None if slot is None else slot.cut_ticket(next(self._numbers), self._batch_size, worker >= self._local)

    def _who_fills(self) -> Hands:
        remote = self._hands.staying_from(self._local)
        return Hands(self._hands.staying - remote + self._hands.expected, self.row_ns, remote, self._remote_row_ns)
