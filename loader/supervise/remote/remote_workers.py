"""The remote workers as the supervisor has them: which there are, and the gateway that holds them.

    STARTING   asked for (OPEN); gets no tickets until the gateway says `Joined`, so that none waits for a machine that comes to life
    WORKING    for the schedule, a worker like any other
    LEAVING    gets nothing more; when it holds nothing, CLOSE, and then `Lost`

A life ends with `Lost`, or with the gateway; only then does the number begin another one. So no report of an earlier life can be taken for one of a
later.
"""

from __future__ import annotations

import enum
import logging
import os
import signal

from loader.ipc import last_words
from loader.ipc.board import Board, GatewayCell, WorkerCell
from loader.ipc.channels import Outlet
from loader.ipc.records import Done, Errand, Failed, Fate, Joined, Lost, TicketKind, Verb, errand_of
from loader.produce.remote.context import NO_CLUSTER
from loader.supervise.deaths import WorkerDeaths
from loader.supervise.memory.control import MemoryControl
from loader.supervise.pool import Pool, TicketOutlet, death_in_words
from loader.supervise.remote.comebacks import Comebacks
from loader.supervise.remote.gateway_watch import GatewayWatch
from loader.supervise.schedule.schedule import Schedule

_log = logging.getLogger("loader.supervisor")

_GATEWAY = 0  # its number in a pool of its own


class Life(enum.Enum):
    """How far a remote worker is."""

    STARTING = enum.auto()
    """Asked for."""
    WORKING = enum.auto()
    """In the schedule."""
    LEAVING = enum.auto()
    """To be let go, after what it holds."""


class RemoteWorkers:
    """Keeps the number of remote workers, and the gateway.

    Args:
        schedule: is told who comes and who goes.
        board: counters; rows from `first_remote` on are those of remote workers.
        deaths: what follows from a death.
        pool: the workers of this machine; among its outlets, those of the remote ones have their place.
        gateways: forks the gateway.
        memory: counts what the gateway takes.
        timeout_s: a gateway that makes no progress for so long is ended.
    """

    def __init__(
        self, *, schedule: Schedule, board: Board, deaths: WorkerDeaths, pool: Pool, gateways: Pool, memory: MemoryControl, timeout_s: float
    ) -> None:
        self._schedule = schedule
        self._board = board
        self._deaths = deaths
        self._outlets = pool.outlets
        self._gateways = gateways
        self._memory = memory
        self._comebacks = Comebacks()
        self._watch = GatewayWatch(timeout_s)
        self._stuck = False
        self._lives: dict[int, Life] = {}
        self._made_before = 0

    @property
    def working(self) -> int:
        """How many have joined, and may get more tickets."""
        return sum(life is Life.WORKING for life in self._lives.values())

    @property
    def in_vain(self) -> bool:
        """Whether the last gateway found no cluster, and has said so."""
        return self._comebacks.in_vain

    def adjust(self, wanted: int, now: float) -> None:
        """Ask for workers, or let some go, until as many are there as are wanted. To be called again and again: a gateway may have to wait."""
        if not self._gateways.children:
            if not wanted or not self._comebacks.may_start(now):
                return
            self._memory.gateway = self._gateways.start(_GATEWAY).pid
            self._made_before = self._made()
        staying = [number for number, life in self._lives.items() if life is not Life.LEAVING]
        staying.sort(key=lambda number: (self._lives[number] is not Life.WORKING, number))  # first to go are those that do nothing yet, or were slow
        for number in staying[wanted:]:
            self._let_go(number)
        rows = range(self._board.first_remote, len(self._board.workers))
        unused = [number for number in rows if number not in self._lives]
        for number in unused[: max(0, wanted - len(self._lives))]:
            self._lives[number] = Life.STARTING
            self._pipe.send(Errand(number, Verb.OPEN).pack())

    def joined(self, record: Joined) -> None:
        """A worker can work; unless it has been let go meanwhile."""
        if self._lives.get(record.worker) is Life.STARTING:
            self._lives[record.worker] = Life.WORKING
            self._outlets[record.worker] = RemoteOutlet(record.worker, self._pipe)
            self._schedule.worker_joined(record.worker)

    def is_wrong(self, record: Done | Failed) -> bool:
        """Return whether a remote worker does not hold the ticket that is reported.

        If the worker is not there any more, the report is outdated. Else it is nonsense: the gateway is ended, as what it reports next may be no
        better, and with it all lives, so that everything which their workers hold is made again.
        """
        if not self._schedule.has(record.worker):
            _log.debug("remote worker %d is not there any more, and reports ticket %d", record.worker, record.ticket)
            return True
        if any(ticket.number == record.ticket for ticket in self._schedule.tickets(record.worker)):
            return False
        _log.warning("the gateway reports ticket %d of remote worker %d, which does not hold it; the gateway is ended", record.ticket, record.worker)
        os.kill(self._gateways.children[_GATEWAY].pid, signal.SIGKILL)
        return True

    def lost(self, record: Lost) -> None:
        """A life has ended."""
        self._lives.pop(record.worker, None)
        self._outlets.pop(record.worker, None)
        self._deaths.lost(record)

    def end_if_stuck(self, now: float) -> None:
        """End a gateway that makes no progress; the call before that asks it for its stacks. To be called about once a second."""
        if not self._gateways.children:
            return
        held = [ticket.number for number in self._lives if self._schedule.has(number) for ticket in self._schedule.tickets(number)]
        asked, self._stuck = self._stuck, self._watch.stuck(held, self._board.gateway[GatewayCell.CPU_NS], now)
        if self._stuck:
            os.kill(self._gateways.children[_GATEWAY].pid, signal.SIGKILL if asked else last_words.ASK)

    def owns(self, fd: int) -> bool:
        """Return whether a descriptor is the gateway's pidfd."""
        return self._gateways.owner(fd) is not None

    def gateway_died(self, now: float) -> None:
        """The gateway has ended, and with it all lives. What it had reported has been fed before."""
        death = self._gateways.bury(_GATEWAY)
        self._memory.gateway = None
        how = death_in_words(death.status, timed_out=self._stuck)
        for number in [*self._lives]:
            self.lost(self._lost_with_gateway(number, how, death.last_words))
        self._stuck = False
        if os.WIFEXITED(death.status) and os.WEXITSTATUS(death.status) == NO_CLUSTER:
            self._comebacks.found_nothing(now)
            return
        self._comebacks.died(now, self._made() > self._made_before)
        words = f"\n\n{death.last_words}" if death.last_words else ""
        what = "there are no remote workers any more" if self._comebacks.given_up else "another one takes its place"
        _log.warning("the gateway to the remote workers died, %s; %s%s", how, what, words)

    def _lost_with_gateway(self, number: int, how: str, stack: str) -> Lost:
        """Return what the gateway can no longer say of a worker. To blame may be batch transforms, which the gateway itself was at."""
        held, cells = self._schedule.tickets(number) if self._schedule.has(number) else [], self._board.workers[number]
        at = next((ticket.number for ticket in held if ticket.kind is TicketKind.BATCH and ticket.number == cells[WorkerCell.TICKET_GAUGE]), None)
        if at is None:
            return Lost(number, Fate.PARTED)
        cells.write_failure(at, {"how": how, "last_words": stack})
        return Lost(number, Fate.HUNG if self._stuck else Fate.DIED, ticket=at)

    @property
    def _pipe(self) -> Outlet:
        outlet = self._gateways.children[_GATEWAY].tickets
        assert isinstance(outlet, Outlet)
        return outlet

    def _let_go(self, number: int) -> None:
        if self._lives[number] is Life.WORKING:
            self._schedule.worker_leaving(number)  # is dismissed when it holds nothing
        else:
            self._pipe.send(Errand(number, Verb.CLOSE).pack())
        self._lives[number] = Life.LEAVING

    def _made(self) -> int:
        return sum(cells[WorkerCell.SAMPLES] for cells in self._board.workers[self._board.first_remote :])


class RemoteOutlet(TicketOutlet):
    """Where tickets for a remote worker go: to the gateway.

    Args:
        worker: its number.
        pipe: to the gateway.
    """

    def __init__(self, worker: int, pipe: Outlet) -> None:
        self._worker = worker
        self._pipe = pipe

    def send(self, record: bytes) -> None:
        """Send a ticket."""
        self._pipe.send(errand_of(self._worker, Verb.WORK, record))

    def close(self) -> None:
        """Let the worker go: it holds nothing."""
        self._pipe.send(Errand(self._worker, Verb.CLOSE).pack())
