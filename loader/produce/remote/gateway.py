"""The gateway: a worker with many hands, each of which is an actor on some machine of a Ray cluster.

It is forked by the supervisor as a worker is, and dies with it. It alone imports Ray, after the fork. It takes the tickets of all remote workers from
one pipe, gives those of rows to their actors, copies the blocks that come back into the slots, and reports. So it is the only writer of these rows,
and of the remote workers' rows of the board. Blocks of the order and batch transforms need the arena; those it does itself, but the supervisor gives
batch transforms to workers of its machine first, as nobody is served while they run here.

    supervisor ── Errand ──▶ gateway ── ticket ──▶ actor
    supervisor ◀── Done, Failed, Joined, Lost ── gateway ◀── block ── actor

Nothing is tried again here. If an actor, or its node, is lost, its worker is `Lost`, and the supervisor issues again what it held.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from loader.data import fork_guard
from loader.data.global_rng import set_at_random
from loader.ipc import last_words, memfd
from loader.ipc.board import Board, WorkerCell
from loader.ipc.channels import read_records, wait_readable
from loader.ipc.line_file import flush_stdout
from loader.ipc.records import ERRAND_BYTES, Done, Exhausted, Failed, Fate, Joined, Lost, Ticket, TicketKind, Verb, unpack_errands
from loader.produce.remote.actors.actor_work import Told
from loader.produce.remote.actors.checks import Facts, deciding_modules
from loader.produce.remote.context import ENVIRONMENT_OF_RAY, NO_CLUSTER, RemoteContext
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.hedging.commands import Park, Return
from loader.produce.remote.links.connections import Connected
from loader.produce.remote.lives import Lives
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.remote.row_tickets import Brought, CutOff, Event, RanOut, RowTickets
from loader.produce.worker import Worker, WorkerContext, die_with

if TYPE_CHECKING:
    from loader.produce.remote.cluster.cluster import Cluster  # imports Ray

_log = logging.getLogger("loader.gateway")

_TICK_S = 1.0
_SHOWN = (WorkerCell.TICKET_GAUGE, WorkerCell.TICKET_STARTED_NS_GAUGE, WorkerCell.BUSY_NS)


def run(
    remote: RemoteContext, context: WorkerContext, board: Board, pipe: int, last_words_fd: int, inbox: int, supervisor: int, in_vain: bool
) -> None:
    """Work until the pipe ends. The caller exits the process afterwards; this does so itself where there is no cluster.

    Args:
        remote: what to use.
        context: what to produce and where.
        board: has a row for each worker, and one for the gateway.
        pipe: descriptor to read errands from.
        last_words_fd: descriptor to leave stacks in.
        inbox: descriptor to write reports to.
        supervisor: pid of the supervisor; the gateway ends when it is no longer its child.
        in_vain: whether the gateway before this one has said that there is no cluster.
    """
    die_with(supervisor)
    fork_guard.count()
    last_words.leave_in(last_words_fd)
    set_at_random()
    context.logs.enter("gateway", dict)
    modules = deciding_modules()
    here = Facts.here(context.pipeline, modules)
    os.environ.update(ENVIRONMENT_OF_RAY)
    from loader.produce.remote.cluster.cluster import Cluster, NoCluster  # imports Ray

    def give_up(reason: NoCluster) -> NoReturn:
        _log.log(logging.DEBUG if in_vain else logging.WARNING, "the workers of this machine go on alone: %s", reason)
        flush_stdout()
        os._exit(NO_CLUSTER)

    try:
        cluster = Cluster(remote.setting, give_up)
        payload = cluster.share(memfd.attach_readonly(remote.payload))
    except NoCluster as reason:
        give_up(reason)
    told = Told(remote.found, context.arena.layout.to_json(), context.substitute, remote.levels, modules)
    Gateway(cluster, here, payload, told, context, board, inbox, remote.timeout_s).run(pipe)


class Gateway:
    """Does errands.

    Args:
        cluster: where the actors are.
        here: what must be the same there.
        payload: the pipeline, as the cluster shares it.
        told: what each actor is told.
        context: what to produce and where.
        board: counters.
        inbox: descriptor to write reports to.
        timeout_s: an actor that makes no progress for so long is ended.
    """

    def __init__(
        self, cluster: Cluster, here: Facts, payload: object, told: Told, context: WorkerContext, board: Board, inbox: int, timeout_s: float
    ) -> None:
        from loader.produce.remote.recruiting import Recruiter  # imports Ray

        self._calls = cluster.calls
        self._context = context
        self._inbox = inbox
        self._tick_s = min(_TICK_S, timeout_s / 4)
        self._counts = NodeCounts(board.gateway)
        self._hands: dict[int, Hand] = {}
        self._tickets = RowTickets(self._hands, context, self._counts, cluster.host)
        recruiter = partial(Recruiter, cluster, here, payload, told, self._counts)
        self._lives = Lives(self._hands, self._tickets, board, self._counts, timeout_s, self._tell, recruiter)
        self._workers: dict[int, Worker] = {}  # for what is done here

    def run(self, pipe: int) -> None:
        """Work until the pipe ends."""
        next_tick = 0.0
        sources = [pipe, self._calls.wake, self._tickets.connections.fileno()]
        while True:
            ready = wait_readable(sources, min(self._tick_s, self._tickets.wait_s(time.monotonic())) if self._hands else None)
            if pipe in ready:
                raw = read_records(pipe, ERRAND_BYTES)
                if not raw:
                    return
                for errand in unpack_errands(raw):
                    self._do(errand.worker, errand.verb, errand.ticket)
            for event in self._tickets.events():
                self._follow(event)
            for then, value, error in self._calls.finished() if self._calls.wake in ready else ():
                then(value, error)
            if (now := time.monotonic()) >= next_tick:
                self._lives.look(now)
                self._counts.publish()
                next_tick = now + self._tick_s

    def _do(self, number: int, verb: Verb, ticket: Ticket) -> None:
        hand = self._hands.get(number)
        if verb is Verb.OPEN:
            self._lives.open(number)
        elif hand is None or not hand.asked_for:  # its life has ended, and the supervisor does not know yet
            return
        elif verb is Verb.CLOSE:
            self._lives.end(hand, Lost(number, Fate.PARTED))
        else:
            self._accept(hand, ticket)

    def _follow(self, event: Event) -> None:
        if (hand := self._hands.get(event.worker)) is None:  # it has ended for what came just before
            return
        match event:
            case Brought():
                self._settle(hand)
            case RanOut(_, number, why):
                self._lives.end_at_work(hand, self._tickets.owned(number), Fate.DIED, f"ran out of memory or descriptors: {why}")
            case Connected() | Return():
                self._lives.join(hand)
            case CutOff(_, suspected):
                self._lives.cut_off(hand, suspected)
            case Park():
                self._lives.set_aside(hand)

    def _accept(self, hand: Hand, ticket: Ticket) -> None:
        held = hand.held[ticket.number] = Held(ticket)
        if ticket.kind == TicketKind.ROWS:
            self._tickets.give(hand, ticket, time.monotonic())
        elif isinstance(report := self._do_here(hand, ticket), Exhausted):
            self._lives.end(hand, Lost(hand.number, Fate.DIED, ticket=ticket.number), "the gateway ran out of memory at it")
        else:
            held.report = report
            self._settle(hand)

    def _do_here(self, hand: Hand, ticket: Ticket) -> Done | Failed | Exhausted:
        """Do what needs the arena. The worker's row goes on telling what its actor does."""
        shown = [hand.cells[cell] for cell in _SHOWN]
        if hand.number not in self._workers:
            self._workers[hand.number] = Worker(hand.number, self._context, hand.cells)
        report = self._workers[hand.number].work(ticket)
        fork_guard.exit_if_forked(0)
        for cell, value in zip(_SHOWN, shown, strict=True):
            hand.cells[cell] = value
        return report

    def _settle(self, hand: Hand) -> None:
        """Report what is done."""
        for report in hand.take_reports():
            self._tell(report)
        hand.show()

    def _tell(self, record: Done | Failed | Joined | Lost) -> None:
        flush_stdout()  # what was printed for a batch is there when the batch is
        try:
            os.write(self._inbox, record.pack())
        except BrokenPipeError:  # the supervisor has died, and this process is about to
            os._exit(0)
