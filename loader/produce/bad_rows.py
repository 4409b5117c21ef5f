"""What a worker tells of a bad sample that another one takes the place of: a line in the journal, before it goes on."""

from __future__ import annotations

from loader.data.pipeline import Pipeline
from loader.data.source import BadSample
from loader.ipc.board import Cells, WorkerCell
from loader.ipc.journal import Journal
from loader.ipc.records import Ticket
from loader.produce.exhaustion import RanOut, exhaustion

KIND = "bad"
"""`kind` of these records in the journal."""


class BadRows:
    """The witness of a worker's substitutions (`loader.data.substitute.Witness`).

    Args:
        worker: number of the worker.
        pipeline: names the samples.
        journal: to tell in.
        cells: of the worker; they say at which attempt it is, so that a death names it.

    Attributes:
        ticket: that is being worked on.
    """

    ticket: Ticket

    def __init__(self, worker: int, pipeline: Pipeline, journal: Journal, cells: Cells) -> None:
        self._worker = worker
        self._pipeline = pipeline
        self._journal = journal
        self._cells = cells

    def trying(self, attempt: int) -> None:
        """Publish the attempt."""
        self._cells[WorkerCell.ATTEMPT_GAUGE] = attempt

    def met(self, bad: BadSample, row: int) -> None:
        """Tell of a bad sample at row `row` of the ticket. Raises RanOut where memory, or a descriptor, was all that it lacked."""
        lack = exhaustion(bad)
        if lack is not None:
            self._cells.write_failure(self.ticket.number, self._pipeline.error(bad, self._worker).to_record())
            raise RanOut(row, lack) from bad
        self._cells.add(WorkerCell.BAD, 1)  # a sign of progress, too
        error = self._pipeline.sample_error(bad, self._worker).to_record()
        del error["message"]  # is made from the rest
        self._journal.append({"kind": KIND, "ticket": self.ticket.number, "slot_row": self.ticket.slot_row + row, **error})
