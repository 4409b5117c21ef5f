"""What the supervisor does with bad samples: it counts and reports them, and makes an error if there are too many."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from loader.data.pipeline.substitution import last_attempt_at, no_substitute
from loader.data.sources.source import is_in_order
from loader.errors import ProtocolError, SampleError, SampleTimeout, from_record, in_words
from loader.ipc.bad_sample_log import BadSampleLog
from loader.ipc.board import Board, SupervisorCell
from loader.ipc.quarantine import ErrorBudget
from loader.produce.failures import KIND
from loader.produce.worker import WorkerContext
from loader.supervise.sample_names import SampleNames
from loader.supervise.schedule.suspects import DEATHS_TO_ACCUSE, Accused
from loader.supervise.threads_at_fork import ThreadsAtFork

_log = logging.getLogger("loader.supervisor")

_RUN_THROUGH = (
    ". A generator begins again when an epoch is resumed or its worker is replaced, and runs through what was delivered before, which may be what "
    "took so long. What to do: give sample_timeout_s the time of a whole epoch"
)


class OverBudget(NamedTuple):
    """A bad sample that is one too many.

    Attributes:
        slot_row: that it was, or was tried for.
        error: as a record.
    """

    slot_row: int
    error: dict[str, Any]


class BadSampleTracker:
    """The bad samples that workers have found, and those that have killed workers.

    Args:
        context: what the workers share.
        board: counters.
        known: counts and reports them; knows none yet.
        ledger: of those that supervisors before this one have found.
        names: of samples.
        threads: may be why a sample hangs.
        timeout_s: setting `sample_timeout_s`.
    """

    def __init__(
        self,
        *,
        context: WorkerContext,
        board: Board,
        known: ErrorBudget,
        ledger: BadSampleLog,
        names: SampleNames,
        threads: ThreadsAtFork,
        timeout_s: float,
    ) -> None:
        self._context = context
        self._names = names
        self._threads = threads
        self._timeout_s = timeout_s
        self._board = board
        self._known = known
        self._ledger = ledger
        self._beyond: dict[int, OverBudget] = {}  # by ticket: what its report, which is on its way, must be replaced by
        bad, known_killers = ledger.read()
        for index in bad:
            known.recall(index)
        for index in known_killers:
            context.known_killers.add(index)
        board.supervisor[SupervisorCell.QUARANTINED] = len(known)

    def read_journal(self) -> None:
        """Take in what workers have written since the last time."""
        for record in self._context.journal.records():
            if record.get("kind") == KIND:
                self._take_in(record)

    def beyond(self, ticket: int) -> OverBudget | None:
        """Return the first row of a ticket whose sample is one too many, once; None if there is none."""
        return self._beyond.pop(ticket, None)

    def failed(self, record: dict[str, Any]) -> None:
        """Count and report what fails its batch. `record` is the error; not all name a sample."""
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        if "index" in record:
            self._note(record)

    def substituted(self, rows: int) -> None:
        """Count rows that hold another sample than their own."""
        self._board.supervisor.add(SupervisorCell.SUBSTITUTED, rows)

    def accused_of_killing(self, accused: Accused, worker: int, death: str, last_words: str) -> dict[str, Any] | None:
        """Count and report the sample of a row that killed its workers; return the error of its batch, or None if another sample is to be tried.

        Args:
            accused: the row.
            worker: that it killed last.
            death: how, in words.
            last_words: stacks that it left.
        """
        how = f"made no progress for {self._timeout_s:g} s (sample_timeout_s)" if accused.timed_out else "killed its worker"
        reason = f"it {how}, {DEATHS_TO_ACCUSE} times in a row while it was the only one in its ticket; the last worker: {death}"
        if accused.timed_out:
            reason += self._threads.remark()
            if is_in_order(self._context.pipeline.source):
                reason += _RUN_THROUGH
        return self._accused(accused, worker, SampleTimeout if accused.timed_out else SampleError, reason, last_words)

    def accused_of_exhausting(self, accused: Accused, worker: int, told: dict[str, Any], why: str) -> dict[str, Any] | None:
        """Do the same for a sample that got no more memory, or no descriptor, although its worker had all there is.

        Args:
            accused: the row.
            worker: that met it.
            told: the error as the worker reported it; empty if it could not.
            why: it must be the sample, in words.
        """
        reason = f"{told.get('reason', 'MemoryError')}; {why}"
        return self._accused(accused, worker, SampleError, reason, told.get("remote_traceback", ""))

    def _accused(self, accused: Accused, worker: int, kind: type[SampleError], reason: str, trace: str) -> dict[str, Any] | None:
        ticket, context = accused.ticket, self._context
        own, index = context.sample_at(ticket, 0, 0), context.sample_at(ticket, 0, ticket.attempt)
        name = self._names.found_out
        error = kind(index=index, name=name(index), reason=reason, worker=worker, remote_traceback=trace)
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        beyond = self._note(error.to_record())
        if not context.substitute:
            return error.to_record()
        if beyond is None:
            context.known_killers.add(index)
            self._ledger.note_killer(index)
        if beyond is None and ticket.attempt == last_attempt_at(context.plan, own):
            return SampleError(index=own, name=name(own), reason=f"{in_words(no_substitute(None))}. The last failure: {error}").to_record()
        return beyond

    def close(self) -> None:
        """Close the report."""
        self._known.close()

    def _take_in(self, record: dict[str, Any]) -> None:
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        beyond = self._note(record)
        earlier = self._beyond.get(record["ticket"])
        if beyond is not None and (earlier is None or record["slot_row"] < earlier.slot_row):
            self._beyond[record["ticket"]] = OverBudget(record["slot_row"], beyond)

    def _note(self, record: dict[str, Any]) -> dict[str, Any] | None:
        error = from_record(record)
        if not isinstance(error, SampleError):
            raise ProtocolError(f"what a worker wrote about a bad sample is no error of a sample: {record}")
        before = len(self._known)
        beyond = self._known.note(error)
        new = len(self._known) > before
        if self._context.substitute and beyond is None and new:
            _log.info("sample %d (%s) is bad, and another one takes its place: %s", error.index, error.name or "no name", error.reason)
        if self._known.first is not None and not self._board.supervisor[SupervisorCell.QUARANTINED]:
            self._board.first_bad.write_text(error.to_record())
        if new:  # after its line in the report: after a death in between, it is there twice, which is better than not at all
            self._ledger.note(error.index)
        self._board.supervisor[SupervisorCell.QUARANTINED] = len(self._known)
        return None if beyond is None else beyond.to_record()
