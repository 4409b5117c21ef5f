"""The schedule: which worker fills which rows of which slot. Pure: events in, commands out; no clock, no process, no descriptor.

    invariants, checked by tests/property/test_schedule.py under random completions, deaths, releases, skips and resizes:
        every batch of every epoch is handed over once, in order
        a slot is in one hand at a time: nobody's, the workers', the trainer's
        the rows of a slot are issued once, and again only after the worker that held them has died
        a worker holds at most two tickets, and a second one only while nobody has none

Tickets are dealt round: one to each worker first. A second one hides the way back and forth, but given at once it would starve the others,
because batches leave in order.
"""

from __future__ import annotations

from collections import deque

from loader.data.plan import EpochPlan
from loader.errors import ProtocolError
from loader.ipc.records import ANY_BEFORE_TERM, Done, Failed, Ready, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule import sizing
from loader.supervise.schedule.assignments import Assignments, Command, Dismiss, SendTicket
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.slots import Slot, SlotState
from loader.supervise.schedule.suspects import TrackedTicket, after_death, singles

_SMOOTHING = 0.1


class Schedule:
    """Events in, commands out.

    Args:
        plan: batches of an epoch.
        slots: number of slots.
        capacity: batches that a slot can hold.
        blocks: blocks of the order, or None where it is sequential.
        row_ns: a first estimate of the time that one row takes.
        epoch: to begin with.
        batch: of that epoch to begin with.
    """

    def __init__(self, plan: EpochPlan, slots: int, capacity: int, blocks: Blocks | None, row_ns: float, epoch: int = 0, batch: int = 0) -> None:
        self._plan = plan
        self._capacity = capacity
        self._blocks = blocks
        self.row_ns = row_ns
        self.slots = [Slot(number) for number in range(slots)]
        self._free = [slot.number for slot in reversed(self.slots)]  # last in, first out: the most recent one is still in the cache
        self._filling: deque[Slot] = deque()  # in the order of their batches
        self._open: Slot | None = None  # the last of them, while it has rows that are in no ticket
        self._again: deque[TrackedTicket] = deque()  # tickets of dead workers, and blocks of the order
        self._hands = Assignments()
        self._epoch, self._batch, self._term = epoch, batch, 0
        self._tickets = self._deliveries = 0
        self._commands: list[Command] = []
        self._handed = 0
        self._blocks_moved = True  # whether a block of the order may have to be begun

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of slots that are free, filling (or waiting for their turn), and handed to the trainer."""
        free = len(self._free)
        return free, len(self.slots) - free - self._handed, self._handed

    def has(self, worker: int) -> bool:
        """Return whether a worker is there, or leaving and not dismissed yet."""
        return worker in self._hands

    def held(self, worker: int) -> int:
        """Return how many tickets a worker holds."""
        return len(self._hands.held(worker))

    def current(self, worker: int) -> int | None:
        """Return the number of the ticket that a worker has to do first, or None."""
        held = self._hands.held(worker)
        return held[0].ticket.number if held else None

    def tickets(self, worker: int) -> list[Ticket]:
        """Return the tickets that a worker holds, in the order in which it does them."""
        return [issued.ticket for issued in self._hands.held(worker)]

    def slack_ns(self) -> float:
        """Return for how long, by estimate, no worker will run dry even if nothing is dealt."""
        return self._hands.slack_ns(self.row_ns)

    # Events. Each changes the state; `commands` says what follows.

    def worker_joined(self, worker: int) -> None:
        """A worker is there."""
        self._hands.join(worker)

    def worker_leaving(self, worker: int) -> None:
        """A worker shall go when it has done what it holds."""
        self._hands.retire(worker)

    def worker_died(self, worker: int, row: int | None, timed_out: bool = False, attempt: int = 0, certain: bool = False) -> TrackedTicket | None:
        """A worker is gone. All that it sent has been fed before.

        Args:
            worker: which.
            row: that it was at, in the first ticket that it held; -1 where that is not known, None if it was not working on a ticket, so
                that nothing in it can be to blame.
            timed_out: whether it was killed because it made no progress.
            attempt: number of the sample in the row's place that it was at, 0 for the row's own.
            certain: whether that row is to blame for sure, if it is the only one in the ticket.

        Returns:
            The ticket whose only row is now accused, if one is: `substitute` or `give_up` must say what becomes of it.
        """
        held = self._hands.leave(worker)
        again = self._replace(held.popleft(), row, attempt, timed_out, certain) if held else []
        slow = timed_out and row is not None and row < 0  # then the rest is likely to be slow as well
        for issued in held:
            again += singles(issued, self._number) if slow and issued.ticket.kind is TicketKind.ROWS else [issued]
        accused = again.pop(0) if again and again[0].accused else None
        self._again.extendleft(issued for issued in reversed(again) if not self._dropped(issued))
        return accused

    def substitute(self, accused: TrackedTicket) -> None:
        """Another sample, the next one, is to take the place of the one that was accused."""
        ticket = accused.ticket
        self._again.appendleft(TrackedTicket(ticket._replace(number=self._number(), attempt=ticket.attempt + 1)))

    def give_up(self, accused: TrackedTicket) -> bool:
        """The accused row is an error. Returns whether it is the earliest of its slot, which is then the one to keep."""
        return self._fail(accused.ticket, accused.ticket.slot_row)

    def done(self, report: Done) -> None:
        """A ticket is done."""
        ticket = self._hands.take(report.worker, report.ticket)
        if ticket.kind is TicketKind.ORDER:
            if self._blocks is None:
                raise ProtocolError(f"worker {report.worker} made a block of an order that has none: {ticket}")
            self._blocks.at(ticket.place).ready = self._blocks_moved = True
            return
        self.row_ns += _SMOOTHING * (report.busy_ns / ticket.rows - self.row_ns)
        self._account(ticket)

    def failed(self, report: Failed) -> bool:
        """A ticket failed. Returns whether its error is the earliest of its slot, which is then the one to keep."""
        return self._fail(self._hands.take(report.worker, report.ticket), report.good_rows)

    def slot_of(self, report: Failed) -> int:
        """Return the slot of a ticket that is about to be reported failed."""
        return self._hands.held(report.worker)[0].ticket.place

    def released(self, record: Released) -> None:
        """The trainer gave a slot back. A second release of the same delivery changes nothing."""
        slot = self.slots[record.slot]
        old = record.delivery == ANY_BEFORE_TERM and slot.term < self._term
        if slot.state is SlotState.HANDED and (old or slot.delivery == record.delivery):
            self._set_free(slot)

    def skip(self, record: Skip) -> None:
        """The trainer went elsewhere: left its epoch, or loaded a position."""
        self._term, self._epoch, self._batch = record.term, record.epoch, record.batch
        self._open = None
        self._blocks_moved = True
        filling, self._filling = self._filling, deque()
        for slot in filling:
            slot.stale = True
            slot.outstanding -= slot.rows - slot.issued
            slot.rows = slot.issued
        for issued in [issued for issued in self._again if self._dropped(issued)]:
            self._again.remove(issued)
        for slot in filling:
            if slot.state is not SlotState.FREE:  # one whose last tickets were dropped just now is free already
                self._settle(slot)

    # Commands.

    def commands(self) -> list[Command]:
        """Deal what there is to deal; return what is to be carried out, in order."""
        self._hand_over()
        while self._deal():
            pass
        for worker in self._hands.finished():
            self._hands.leave(worker)
            self._commands.append(Dismiss(worker))
        commands, self._commands = self._commands, []
        return commands

    def _deal(self) -> bool:
        worker = self._hands.next_worker()
        issued = self._next_ticket() if worker is not None else None
        if worker is None or issued is None:
            return False
        self._hands.give(worker, issued)
        self._commands.append(SendTicket(worker, issued.ticket))
        return True

    def _next_ticket(self) -> TrackedTicket | None:
        if self._blocks_moved:
            self._want_blocks()
        if self._again:
            return self._again.popleft()
        slot = self._open or self._open_slot()
        if slot is None:
            return None
        ticket = slot.cut_ticket(self._number(), self._plan.batch_size)
        if slot.issued == slot.rows:
            self._open = None
        return TrackedTicket(ticket)

    def _number(self) -> int:
        self._tickets += 1
        return self._tickets

    def _want_blocks(self) -> None:
        self._blocks_moved = False
        if self._blocks is None:
            return
        tickets = self._blocks.tickets(self._epoch, self._batch * self._plan.batch_size, self._number)
        self._again.extend(map(TrackedTicket, tickets))

    def _open_slot(self) -> Slot | None:
        if not self._free:
            return None
        plan, first = self._plan, self._batch * self._plan.batch_size
        # The very first slot holds one batch: what a row takes is known from one warm row only, and the trainer waits.
        most = sizing.batches_per_slot(self._capacity, plan.batch_size, self.row_ns) if self._deliveries else 1
        batches = min(most, plan.batches - self._batch)
        block = None
        if self._blocks is not None:
            block = self._blocks.get(self._blocks.key(self._epoch, first))
            if block is None or not block.ready:
                return None
            batches = min(batches, -(-(block.first + block.rows - first) // plan.batch_size))
            block.users += 1
        self._deliveries += 1
        slot = self.slots[self._free.pop()]
        rows = min(batches * plan.batch_size, plan.rows - first)
        slot.begin(self._deliveries, self._term, self._epoch, self._batch, batches, rows, block)
        workers = max(1, self._hands.staying)
        size_tickets = sizing.first_ticket_rows if self._deliveries == 1 else sizing.ticket_rows
        slot.ticket_rows = size_tickets(slot.rows, self.row_ns, workers, len(self.slots))
        self._filling.append(slot)
        self._open = slot
        self._blocks_moved = True
        self._batch += batches
        if self._batch == plan.batches:
            self._epoch, self._batch = self._epoch + 1, 0
        return slot

    def _hand_over(self) -> None:
        while self._filling and self._filling[0].state is SlotState.COMPLETE:
            slot = self._filling.popleft()
            slot.become(SlotState.HANDED)
            self._handed += 1
            failed = slot.good_rows is not None
            batches = slot.batches if slot.good_rows is None else slot.good_rows // self._plan.batch_size
            self._commands.append(Ready(slot.number, slot.delivery, slot.term, slot.epoch, slot.first, batches, failed))

    # What a report changes.

    def _account(self, ticket: Ticket) -> None:
        slot = self.slots[ticket.place]
        slot.outstanding -= ticket.rows
        self._settle(slot)

    def _fail(self, ticket: Ticket, good_rows: int) -> bool:
        slot = self.slots[ticket.place]
        whole = good_rows // self._plan.batch_size * self._plan.batch_size
        earliest = slot.good_rows is None or whole < slot.good_rows
        if earliest:
            slot.good_rows = whole
        self._account(ticket)
        return earliest

    def _settle(self, slot: Slot) -> None:
        if slot.outstanding:
            return
        if slot.state is SlotState.FILLING:
            if slot.block is not None:
                slot.block.users -= 1
                self._blocks_moved = True
            slot.become(SlotState.COMPLETE)
        if slot.stale:
            self._set_free(slot)

    def _set_free(self, slot: Slot) -> None:
        self._handed -= slot.state is SlotState.HANDED
        slot.become(SlotState.FREE)
        self._free.append(slot.number)

    # Deaths.

    def _replace(self, issued: TrackedTicket, row: int | None, attempt: int, timed_out: bool, certain: bool) -> list[TrackedTicket]:
        """Return what replaces the ticket that a dead worker had to do first; `row` is None if it was not working on it."""
        ticket = issued.ticket
        if row is None or ticket.kind is TicketKind.ORDER or self.slots[ticket.place].stale:
            return [issued]
        return after_death(issued, row, attempt, timed_out, self._number, certain)

    def _dropped(self, issued: TrackedTicket) -> bool:
        """Whether nobody wants a ticket any more; its rows are then accounted for."""
        ticket = issued.ticket
        if ticket.kind is TicketKind.ORDER or not self.slots[ticket.place].stale:
            return False
        self._account(ticket)
        return True
