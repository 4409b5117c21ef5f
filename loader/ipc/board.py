"""Shared counters and short texts: who did how much, readable by anyone at any time without asking.

Each cell has one writer, named here; a reader may see a value that is one step old and never a torn one (aligned 8-byte words). Cells only
grow, unless the name says that they are a gauge.

    row 0        written by the trainer      TrainerCell
    row 1        written by the supervisor   SupervisorCell
    row 2 + n    written by worker n of N    WorkerCell; of remote workers, which come last, by the gateway
    row 2 + N    written by the supervisor   the first bad sample, as text
    row 3 + N    written by the trainer      the names of the stages, as text
    row 4 + N    written by the trainer      what others that attach to a shared loader are told, as text
    row 5 + N    written by the supervisor   who reads (`who_reads`)
    row 6 + N    written by the gateway      GatewayCell; what comes from each machine, as text
    row 7 + N    written by each reader      TrainerCell; readers 1 to 32

Who makes batches also writes how long their stages take, to the last cells of its row (`loader.data.stopwatch`).

Each row is followed by a text area for JSON (`text_area`).
"""

from __future__ import annotations

from copy import copy
from enum import IntEnum, unique
from typing import Any

from loader.data.stopwatch import TIMING_CELLS
from loader.ipc import memfd
from loader.ipc.text_area import read_text, write_text

_CELLS = 64
_CELL_BYTES = 8 * _CELLS
MOST_TICKETS = 8
"""That a worker may hold at a time."""

_FAILURE_BYTES = 32 * 1024
_TEXT_BYTES = MOST_TICKETS * _FAILURE_BYTES  # what is not written to takes no memory
_ROW_BYTES = _CELL_BYTES + _TEXT_BYTES
MOST_READERS = 32  # that may attach to one loader at the same time


@unique
class TrainerCell(IntEnum):
    """Counters of the trainer."""

    BATCHES = 0
    SAMPLES = 1
    WAIT_NS = 2
    COPIES = 3
    SUPERVISOR_RESTARTS = 4
    ERRORS = 5
    SUBSTITUTED = 6
    QUARANTINED = 7
    EPOCH_GAUGE = 8
    LENT_GAUGE = 9
    NAME_PID = 10
    BATCH_GAUGE = 11
    WAITING_GAUGE = 12
    PID_GAUGE = 13  # of one that has attached, until it has closed its loader; the supervisor writes it, too


@unique
class SupervisorCell(IntEnum):
    """Counters and gauges of the supervisor."""

    SLOTS_FREE_GAUGE = 0
    SLOTS_FILLING_GAUGE = 1
    SLOTS_FILLED_GAUGE = 2
    RESTARTS = 3
    ERRORS = 4
    PRIVATE_BYTES_GAUGE = 5
    WORKERS_GAUGE = 6
    HEARTBEAT_NS_GAUGE = 7
    PHASE_GAUGE = 8
    ARENA_BYTES_GAUGE = 9
    PAYLOAD_BYTES_GAUGE = 10
    AUTO_GAUGE = 11
    LIMIT_BYTES_GAUGE = 12
    LIMIT_IS_DEFAULT_GAUGE = 13
    MEMORY_REPLACED = 14
    MEMORY_WORKERS_GAUGE = 15
    SUBSTITUTED = 16
    QUARANTINED = 17
    NOTHING_TO_FILL_NS = 18
    RESIZES = 19
    QUOTA_GAUGE = 20
    READERS_GAUGE = 21
    REMOTE_GAUGE = 22  # workers on other machines that are wanted


SLOT_GAUGES = (SupervisorCell.SLOTS_FREE_GAUGE, SupervisorCell.SLOTS_FILLING_GAUGE, SupervisorCell.SLOTS_FILLED_GAUGE)
"""Each slot is in one of them."""


class Phase(IntEnum):
    """How far a supervisor has got."""

    BOOTING = 0
    """There is nothing to see yet."""
    RUNNING = 1
    """The arena exists, with its layout in it."""
    FAILED = 2
    """Nothing more will come; the text is the error."""
    ENDED = 3
    """It was closed, or its trainer has died, and nobody else reads."""
    ORPHANED = 4
    """Its trainer has closed it, or has died. It runs on for others that read, as long as there are any, and nobody would replace it."""


@unique
class WorkerCell(IntEnum):
    """Counters of a worker; its successor continues them. The supervisor writes them for a dead worker."""

    PID_GAUGE = 0
    STATE_GAUGE = 1
    SAMPLES = 2
    BUSY_NS = 3
    TICKET_STARTED_NS_GAUGE = 4
    ROW_GAUGE = 5
    TICKET_GAUGE = 6
    ATTEMPT_GAUGE = 7
    BAD = 8
    RESTARTS = 9
    FETCHED = 10
    """Objects, or ranges of them, that came from afar; and so on, as `loader.data.remote.gathering.flights.Counts` has them."""
    FETCHED_BYTES = 11
    FETCH_RETRIES = 12
    FETCH_WAIT_NS = 13
    FETCH_HITS = 14
    IN_FLIGHT_GAUGE = 15
    FETCH_TOOK_NS = 16
    FETCH_DEPTH_GAUGE = 17
    NODE_GAUGE = 18  # of a worker on another machine: 1 + place of the machine in what the gateway writes; 0: none, or this machine


@unique
class GatewayCell(IntEnum):
    """Counters of the process that receives what workers on other machines make; its successor continues them."""

    CPU_NS = 0


class WorkerState(IntEnum):
    """What a worker is doing."""

    ABSENT = 0
    IDLE = 1
    BUSY = 2


class Cells:
    """The counters of one process, to read anywhere and write in that process."""

    def __init__(self, cells: memoryview, text: memoryview) -> None:
        self._cells = cells
        self._text = text
        self._failures = 0

    @classmethod
    def private(cls) -> Cells:
        """Return counters that no other process sees."""
        return cls(memoryview(bytearray(_CELL_BYTES)).cast("q"), memoryview(bytearray(_TEXT_BYTES)))

    def __getitem__(self, cell: int) -> int:
        return self._cells[cell]

    def __setitem__(self, cell: int, value: int) -> None:
        self._cells[cell] = value

    def add(self, cell: int, amount: int) -> None:
        """Add to a counter. Only its writer may."""
        self._cells[cell] += amount

    def clear_gauges(self, kinds: type[IntEnum]) -> None:
        """Set the gauges to 0. Only their writer may, or a process that outlives it."""
        for kind in kinds:
            if kind.name.endswith("_GAUGE"):
                self._cells[kind] = 0

    @property
    def raw(self) -> memoryview:
        """All cells as a writable view, by number."""
        return self._cells

    def cell(self, cell: int) -> memoryview:
        """Return one cell as a writable view of one element."""
        return self._cells[cell : cell + 1]

    def timing(self) -> memoryview:
        """Return the cells of a stopwatch, writable."""
        return self._cells[_CELLS - TIMING_CELLS :]

    def write_text(self, value: Any) -> None:
        """Put a JSON-able value into the text area, before the record that refers to it is sent."""
        write_text(self._text, value)

    def read_text(self) -> Any:
        """Return the value in the text area, as `read_text` does."""
        return read_text(self._text)

    def write_failure(self, ticket: int, error: dict[str, Any]) -> None:
        """Put a JSON-able error into the text area, before the record that refers to it is sent.

        There is room for one of each ticket that a worker may hold: it may fail all of them before the supervisor has read about the first. It
        gets another ticket only after that.
        """
        self._failures += 1
        write_text(self._place(self._failures), {"ticket": ticket, **error})

    def read_failure(self, ticket: int) -> dict[str, Any]:
        """Return the error that was written for a ticket, or an empty dict if none was.

        The worker may be writing the next one into another place meanwhile.
        """
        for number in range(MOST_TICKETS):
            error: dict[str, Any] = read_text(self._place(number))
            if error.pop("ticket", None) == ticket:
                return error
        return {}

    def _place(self, number: int) -> memoryview:
        start = number % MOST_TICKETS * _FAILURE_BYTES
        return self._text[start : start + _FAILURE_BYTES]


class Board:
    """All counters of a loader, over one piece of shared memory.

    Args:
        fd: of the memory, made by `create`; None for memory that no other process sees.
        max_workers: number of rows for workers of this machine.
        remote: number of rows for workers on other machines, which follow.

    Attributes:
        first_remote: number of the first row of those.
        seen_from: number of the reader whose row is that of the trainer.
    """

    def __init__(self, fd: int | None, max_workers: int, remote: int = 0) -> None:
        self._memory = None if fd is None else memfd.attach(fd).data
        self.first_remote, rows = max_workers, max_workers + remote
        self.seen_from = 0
        self.trainer = self._row(0)
        self.supervisor = self._row(1)
        self.workers = [self._row(2 + number) for number in range(rows)]
        self.first_bad = self._row(2 + rows)
        self.stages = self._row(3 + rows)
        self.told = self._row(4 + rows)
        self.readers = self._row(5 + rows)
        self.gateway = self._row(6 + rows)
        self._first_reader = 7 + rows

    @staticmethod
    def create(max_workers: int) -> int:
        """Return the descriptor of memory for a board; the caller owns it. Untouched rows take no memory."""
        return memfd.create("board", (7 + max_workers + MOST_READERS) * _ROW_BYTES)

    def reader(self, number: int) -> Cells:
        """Return the row of a trainer: 0 is the one that made the loader, others have attached to it."""
        return self._row(self._first_reader + number - 1 if number else 0)

    def seen_by(self, number: int) -> Board:
        """Return the same counters for a trainer that has attached, with its row in the place of that of the trainer that made the loader."""
        if number == self.seen_from:
            return self
        seen = copy(self)
        seen.seen_from, seen.trainer = number, self.reader(number)
        return seen

    def bury(self) -> None:
        """Clear what a supervisor and its workers showed. Called by the trainer after they have died. Counters continue."""
        self.supervisor.clear_gauges(SupervisorCell)
        self.supervisor.write_text({})
        self.readers.raw[:] = memoryview(bytes(_CELL_BYTES)).cast("q")
        for row in self.workers:
            row.clear_gauges(WorkerCell)

    def _row(self, number: int) -> Cells:
        if self._memory is None:
            return Cells.private()
        row = self._memory[number * _ROW_BYTES : (number + 1) * _ROW_BYTES]
        return Cells(row[:_CELL_BYTES].cast("q"), row[_CELL_BYTES:])
