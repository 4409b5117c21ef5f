"""What can go wrong with a sample in a worker: it is bad, or the process has run out of memory or descriptors.

A bad sample that is replaced by another one becomes a line in the journal before the worker continues (`BadRows`). Running out is not the fault of
the sample, at first (`exhaustion`). A worker has an allowance (RLIMIT_DATA), and what passes it is an allocation that fails. Whoever made it says
so in its own way: Python and NumPy by MemoryError, the system calls by ENOMEM, OpenCV and PyTorch by errors of their own; and a function of the
user may have put another one on top. Descriptors are the process's, too: what was opened for other samples and never closed is missing for this
one (EMFILE).
"""

from __future__ import annotations

import errno
from typing import Any, Protocol

from loader.data.pipeline.pipeline import Pipeline
from loader.data.rows import BadSample
from loader.errors import chain_of, in_words
from loader.ipc.board import Cells, WorkerCell
from loader.ipc.records import Resource, Ticket

# Messages of libraries that do not raise MemoryError: OpenCV, PyTorch, and Python for the stack of a new thread.
_WORDS = ("insufficient memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "can't start new thread", "std::bad_alloc")
_NO_DESCRIPTORS = "too many open files"


class ResourceExhausted(Exception):
    """A sample could not be produced because the process has run out of something.

    Attributes:
        row: of the ticket.
        resource: what it has run out of.
    """

    def __init__(self, row: int, resource: Resource) -> None:
        super().__init__(row, resource)
        self.row = row
        self.resource = resource


def exhaustion(error: BaseException) -> Resource | None:
    """Return what is used up, if `error` or one that it was raised from says so; otherwise None."""
    for cause in chain_of(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if isinstance(cause, MemoryError) or number == errno.ENOMEM:
            return Resource.MEMORY
        text = in_words(cause).lower()
        if any(words in text for words in _WORDS):
            return Resource.MEMORY
        if number in (errno.EMFILE, errno.ENFILE) or _NO_DESCRIPTORS in text:
            return Resource.DESCRIPTORS
    return None


class Journal(Protocol):
    """Where records about bad samples go: a `LineFile` that all workers of this machine share, or a list that goes back with the ticket."""

    def append(self, record: dict[str, Any], /) -> None:
        """Append a JSON-able record."""


KIND = "bad"
"""`kind` of these records in the journal."""


class BadRows:
    """The observer of a worker's substitutions (`loader.data.pipeline.substitution.BadSampleObserver`).

    Args:
        worker: number of the worker.
        pipeline: names the samples.
        journal: to write to.
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
        """Report a bad sample at row `row` of the ticket. Raises ResourceExhausted if all that it lacked was memory, or a descriptor."""
        resource = exhaustion(bad)
        if resource is not None:
            self._cells.write_failure(self.ticket.number, self._pipeline.error(bad, self._worker).to_record())
            raise ResourceExhausted(row, resource) from bad
        self._cells.add(WorkerCell.BAD, 1)  # a sign of progress, too
        error = self._pipeline.sample_error(bad, self._worker).to_record()
        del error["message"]  # is made from the rest
        self._journal.append({"kind": KIND, "ticket": self.ticket.number, "slot_row": self.ticket.slot_row + row, **error})
