"""States of slots, and which may follow which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

from loader.ipc.records import Ticket


class SlotState(IntEnum):
    """Whose hands a slot is in."""

    FREE = auto()
    """Nobody's."""
    FILLING = auto()
    """The workers': some of its tickets are not done."""
    COMPLETE = auto()
    """Nobody's: it waits for the slots before it."""
    HANDED = auto()
    """The trainer's, until it is released."""


_LEGAL = {
    (SlotState.FREE, SlotState.FILLING),
    (SlotState.FILLING, SlotState.COMPLETE),
    (SlotState.FILLING, SlotState.FREE),  # its epoch was left
    (SlotState.COMPLETE, SlotState.HANDED),
    (SlotState.COMPLETE, SlotState.FREE),  # its epoch was left
    (SlotState.HANDED, SlotState.FREE),
}


@dataclass(slots=True)
class Slot:
    """A slot and what is in it.

    Attributes:
        number: of the slot.
        state: see `SlotState`.
        delivery: number of its latest filling; the trainer sends it back with the release.
        term, epoch, first, batches: what it is filled with; `first` is the number of its first batch.
        rows: to fill.
        issued: rows that have been put into tickets.
        outstanding: rows that are not reported done or failed.
        ticket_rows: size of its tickets.
        block: key of the order block that it reads, or None.
        good_rows: rows before the first batch that failed; None while none has.
        stale: whether its epoch was left.
    """

    number: int
    state: SlotState = SlotState.FREE
    delivery: int = 0
    term: int = 0
    epoch: int = 0
    first: int = 0
    batches: int = 0
    rows: int = 0
    issued: int = 0
    outstanding: int = 0
    ticket_rows: int = 0
    block: int | None = None
    good_rows: int | None = None
    stale: bool = False

    def become(self, state: SlotState) -> None:
        """Change the state. Raises AssertionError for a transition that is not in the table."""
        assert (self.state, state) in _LEGAL, f"slot {self.number}: {self.state.name} → {state.name}; {self}"
        self.state = state


@dataclass(slots=True)
class Issued:
    """A ticket, and how often it killed its worker.

    Attributes:
        ticket: the record.
        deaths: of workers that were at it; counted only where it has one row, which is then the one to suspect.
        timeouts: how many of these were time-outs.
    """

    ticket: Ticket
    deaths: int = 0
    timeouts: int = 0
