"""Slots: who has one, what may follow, what is in it; and how many are where, for the board.

The board also has for how long the workers had no slot to fill: a look now and then would miss what happens between batches.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum, auto

from loader.errors import ProtocolError
from loader.ipc.board import SLOT_GAUGES, Cells, SupervisorCell
from loader.ipc.records import Ticket, TicketKind
from loader.supervise.schedule.blocks import Block


class SlotState(IntEnum):
    """Who has a slot."""

    FREE = auto()
    """Nobody's."""
    FILLING = auto()
    """The workers': some of its tickets are not done."""
    COMPLETE = auto()
    """Nobody's: it waits for the slots before it."""
    HANDED = auto()
    """Its readers', until the last of them has released it."""


_REMEMBERED = 6

# As plain numbers: they are used at every turn of the supervisor's loop.
_FREE, _FILLING, _FILLED = map(int, SLOT_GAUGES)
_NOTHING_TO_FILL_NS = int(SupervisorCell.NOTHING_TO_FILL_NS)

_LEGAL = {
    (SlotState.FREE, SlotState.FILLING),
    (SlotState.FILLING, SlotState.COMPLETE),
    (SlotState.COMPLETE, SlotState.HANDED),
    (SlotState.COMPLETE, SlotState.FREE),  # its readers went elsewhere
    (SlotState.HANDED, SlotState.FREE),
}


@dataclass(slots=True)
class Slot:
    """A slot and what is in it.

    Attributes:
        number: of the slot.
        state: see `SlotState`.
        delivery: number of its latest filling; a trainer sends it back with the release.
        epoch, first, batches: what it is filled with; `first` is the number of its first batch.
        layout: number of the layout of these batches.
        rows: to fill.
        transformed: whether the batch transforms have been put into a ticket.
        issued: rows that have been put into tickets.
        outstanding: rows that are not reported done or failed.
        ticket_rows, remote_ticket_rows: size of its tickets, for workers on this machine and on others.
        block: of the order that it reads, or None where the order is sequential.
        good_rows: rows before the first batch that failed; None while none has.
        readers: those that it is filled for and that have not released it.
        stale: whether nobody wants it any more.
        past: the states before this one, each with its delivery, the latest last.
    """

    number: int
    state: SlotState = SlotState.FREE
    delivery: int = 0
    epoch: int = 0
    first: int = 0
    batches: int = 0
    layout: int = 0
    rows: int = 0
    issued: int = 0
    outstanding: int = 0
    ticket_rows: int = 0
    remote_ticket_rows: int = 0
    block: Block | None = None
    good_rows: int | None = None
    readers: set[int] = field(default_factory=set)
    stale: bool = False
    transformed: bool = False
    past: deque[tuple[int, SlotState]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def begin(self, delivery: int, epoch: int, first: int, batches: int, layout: int, rows: int, block: Block | None) -> None:
        """Start to fill the slot."""
        self.become(SlotState.FILLING)
        self.delivery, self.epoch, self.first, self.batches, self.layout, self.block = delivery, epoch, first, batches, layout, block
        self.rows = self.outstanding = rows
        self.issued, self.good_rows, self.stale, self.transformed = 0, None, False, False

    def cut_ticket(self, number: int, batch_size: int, remote: bool) -> Ticket:
        """Return the ticket for the next rows that are in none, for a worker on another machine or on this one."""
        rows = min(self.remote_ticket_rows if remote else self.ticket_rows, self.rows - self.issued)
        place, block_first = (0, 0) if self.block is None else (self.block.place, self.block.first)
        first = self.first * batch_size + self.issued
        ticket = Ticket(number, TicketKind.ROWS, self.number, self.epoch, first, rows, self.issued, place, block_first, 0, self.layout)
        self.issued += rows
        return ticket

    def begin_batch_work(self) -> bool:
        """All rows are written or given up: have the batch transforms run on the complete batches. Return whether there are any."""
        self.transformed = True
        self.outstanding = self.rows if self.good_rows is None else self.good_rows
        return self.outstanding > 0

    def batch_ticket(self, number: int, batch_size: int) -> Ticket:
        """Return the ticket for the batch transforms."""
        place, block_first = (0, 0) if self.block is None else (self.block.place, self.block.first)
        first = self.first * batch_size
        return Ticket(number, TicketKind.BATCH, self.number, self.epoch, first, self.outstanding, 0, place, block_first, 0, self.layout)

    def become(self, state: SlotState) -> None:
        """Change the state. Raises ProtocolError, with the slot's history, for a transition that is not in the table."""
        if (self.state, state) not in _LEGAL:
            past = ", ".join(f"{old.name} (delivery {delivery})" for delivery, old in self.past) or "nothing"
            raise ProtocolError(f"slot {self.number} can't go from {self.state.name} to {state.name}; before that, it was: {past}; {self}")
        self.past.append((self.delivery, self.state))
        self.state = state


class SlotClock:
    """Publishes the whereabouts of the slots.

    Args:
        cells: of the supervisor.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells.raw
        self._counts = -1, 0, 0  # nothing is known yet
        self._since_ns = 0

    def note(self, free: int, filling: int, filled: int, now_ns: int) -> None:
        """From now on, this many slots are free, being filled, and filled."""
        cells = self._cells
        elapsed_ns = now_ns - (self._since_ns or now_ns)
        self._since_ns = now_ns
        if self._counts[0] == self._counts[1] == 0:
            cells[_NOTHING_TO_FILL_NS] += elapsed_ns
        if (free, filling, filled) != self._counts:
            self._counts = free, filling, filled
            cells[_FREE], cells[_FILLING], cells[_FILLED] = self._counts
