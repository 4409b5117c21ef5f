"""What the supervisor answers to `status`: the snapshot that the trainer can make as well, and what only the supervisor knows.

Of a shared loader, rates, waits, position and verdict are those of the reader that took most in the last ten seconds.

    Stats.as_dict()                                  name, epoch, batch, rates, slots, readers, workers, memory, errors, verdict
    pid, trainer_pid, script, started                who it is
    epoch_batches, batch_size                        how far the epoch is
    auto, wanted_workers, max_workers                what `set` may change; workers of this machine only
    restarts                                         of workers that died
    seconds_since_last_batch                                      since the trainer took a batch, to a second; null before the first
    last_minute                                      a point for each second: see `minute`
    decisions                                        the latest ones, newest first: [{"ago_s": 12.3, "text": "2 → 4 workers: …"}]
    totals                                           what was counted since the loader was made, for rates over any time
    workers[…]                                       also sample, memory_bytes, busy_s, restarts

It is put together when somebody asks. Between two questions it costs a look at the board each second.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import asdict
from typing import Any

from loader.ipc.board import Board, Phase, SupervisorCell, WorkerCell
from loader.ipc.loader_identity import identity
from loader.ipc.records import TicketKind
from loader.measure.meter import Meter
from loader.measure.minute import LastMinute
from loader.measure.moments import Moment
from loader.measure.network import FETCH_CELLS
from loader.measure.remote.counts import NodeCounts
from loader.produce.worker import WorkerContext
from loader.supervise.memory.control import MemoryControl
from loader.supervise.sample_names import SampleNames
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.tuning.tuning import Decision, Tuning

_DECISIONS = 20


class Status:
    """Knows how the loader is doing.

    Args:
        board: counters.
        context: what the workers share.
        schedule: knows who works on what.
        memory: knows how large workers are, and has decided about them.
        tuning: has decided how many there are.
        names: of samples.
    """

    def __init__(
        self, *, board: Board, context: WorkerContext, schedule: Schedule, memory: MemoryControl, tuning: Tuning, names: SampleNames
    ) -> None:
        self._board = board
        self._names = names
        self._context = context
        self._schedule = schedule
        self._memory = memory
        self._tuning = tuning
        self._meter = Meter(board, leads=True)
        self._minute = LastMinute(board)
        self._orders: deque[tuple[float, str]] = deque(maxlen=_DECISIONS)
        self._trainer_pid = os.getppid()

    def look(self, now: float) -> None:
        """Remember the present state. To be called about once a second."""
        self._meter.look(now)
        self._minute.look(self._meter.latest)

    def note(self, now: float, text: str) -> None:
        """Remember what an operator or the script wanted: it is shown among the decisions."""
        self._orders.append((now, text))

    def answer(self, wanted: int) -> dict[str, Any]:
        """Return everything as JSON-able data.

        Args:
            wanted: workers that should run.
        """
        now = time.monotonic()
        seconds_since_last_batch = self._minute.seconds_since_last_batch(now)
        who = asdict(identity(self._board.trainer))
        known = self._meter.stats(who.pop("name")).as_dict()
        plan = self._context.plan
        return {
            **known,
            "workers": self._workers(known["workers"]),
            "pid": os.getpid(),
            "trainer_pid": None if self._board.supervisor[SupervisorCell.PHASE_GAUGE] == Phase.ORPHANED else self._trainer_pid,
            **who,
            "epoch_batches": plan.batches,
            "batch_size": plan.batch_size,
            "mean_rows": round(plan.mean_rows, 1),
            "auto": self._tuning.active,
            "wanted_workers": wanted,
            "max_workers": self._board.first_remote,
            "restarts": self._board.supervisor[SupervisorCell.RESTARTS],
            "seconds_since_last_batch": None if seconds_since_last_batch is None else round(seconds_since_last_batch, 1),
            "last_minute": self._minute.as_dict(),
            "decisions": self._decisions(now),
            "totals": _totals(Moment.of(self._board, now)),
        }

    def _decisions(self, now: float) -> list[dict[str, Any]]:
        made = [*self._memory.decisions, *self._orders, *((one.at, _in_words(one)) for one in self._tuning.decisions)]
        newest = sorted(made, key=lambda one: one[0], reverse=True)[:_DECISIONS]
        return [{"ago_s": round(now - at, 1), "text": text} for at, text in newest]

    def _workers(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [worker | self._worker(worker["number"]) for worker in known]

    def _worker(self, number: int) -> dict[str, Any]:
        return {
            "sample": self._sample(number),
            "memory_bytes": self._memory.sizes.get(number),
            "busy_s": self._board.workers[number][WorkerCell.BUSY_NS] / 1e9,
            "restarts": self._board.workers[number][WorkerCell.RESTARTS],
        }

    def _sample(self, number: int) -> str | None:
        """Return path or index of the sample that a worker is at, the index where code of the user's would have to name it.

        Where built-in code works on many at once, it is the first one of its ticket.
        """
        cells = self._board.workers[number]
        at = cells[WorkerCell.TICKET_GAUGE]
        ticket = next((ticket for ticket in self._schedule.tickets(number) if ticket.number == at), None) if at else None
        if ticket is None or ticket.kind is not TicketKind.ROWS:
            return None
        row = cells[WorkerCell.ROW_GAUGE]
        row = max(0, min(row, ticket.rows - 1))
        index = self._context.sample_at(ticket, row, max(ticket.attempt, cells[WorkerCell.ATTEMPT_GAUGE]))
        return self._names.at_hand(index) or f"sample {index}"


def _in_words(decision: Decision) -> str:
    return f"{decision.before} → {decision.after} {decision.who}: {decision.reason}"


def _totals(moment: Moment) -> dict[str, Any]:
    fetched = dict(zip(FETCH_CELLS, moment.fetches, strict=True))
    return {
        "batches": moment.batches,
        "samples": moment.samples,
        "trainer_wait_s": moment.wait_ns / 1e9,
        "copies": moment.copies,
        "slots_full_s": moment.nothing_to_fill_ns / 1e9,
        "fetched_objects": fetched[WorkerCell.FETCHED],
        "fetched_bytes": fetched[WorkerCell.FETCHED_BYTES],
        "fetch_wait_s": fetched[WorkerCell.FETCH_WAIT_NS] / 1e9,
        "readers": [{"number": one.number, "batches": one.batches, "samples": one.samples, "wait_s": one.wait_ns / 1e9} for one in moment.readers],
        "gateway_s": None if moment.remote is None else moment.remote.gateway_ns / 1e9,
        "nodes": [] if moment.remote is None else [_counted(node) for node in moment.remote.nodes],
    }


def _counted(node: NodeCounts) -> dict[str, Any]:
    return {
        "node": node.node,
        "samples": node.samples,
        "tickets": node.tickets,
        "took_s": node.took_ns / 1e9,
        "made_s": node.made_ns / 1e9,
        "bytes": node.bytes,
        "hedges": node.hedges,
        "deaths": node.deaths,
    }
