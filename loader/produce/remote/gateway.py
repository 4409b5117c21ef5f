"""The gateway: a worker with many hands, each of which is an actor on some machine of a Ray cluster.

It is forked by the supervisor as a worker is, and dies with it. It alone imports Ray, after the fork. It takes the tickets of all remote workers from
one pipe, gives those of rows to their actors, copies the blocks that come back into the slots, and reports. So it is the only writer of these rows,
and of the remote workers' rows of the board. Blocks of the order and batch transforms need the arena; those it does itself.

    supervisor ── Errand ──▶ gateway ── ticket ──▶ actor
    supervisor ◀── Done, Failed, Joined, Lost ── gateway ◀── block ── actor

Nothing is tried again here. If an actor, or its node, is lost, its worker is `Lost`, and the supervisor issues again what it held.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from loader.data import fork_guard
from loader.data.global_rng import set_at_random
from loader.ipc import last_words, memfd
from loader.ipc.board import Board, WorkerCell, WorkerState
from loader.ipc.channels import read_records, wait_readable
from loader.ipc.line_file import flush_stdout
from loader.ipc.records import ERRAND_BYTES, Done, Exhausted, Failed, Fate, Joined, Lost, Ticket, TicketKind, Verb, unpack_errands
from loader.produce.remote.actors.actor_work import Progress, Told
from loader.produce.remote.actors.checks import Facts, deciding_modules
from loader.produce.remote.context import ENVIRONMENT_OF_RAY, NO_CLUSTER, RemoteContext
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.hedging.hedging import Park, Return
from loader.produce.remote.links.connections import Connected, Ended
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.remote.row_tickets import Brought, Event, RanOut, RowTickets
from loader.produce.worker import Worker, WorkerContext, die_with

if TYPE_CHECKING:
    from loader.produce.remote.cluster.cluster import Cluster  # imports Ray

_log = logging.getLogger("loader.gateway")

_TICK_S = 1.0
_RAYS_WORD_S = 5.0  # after the end of an actor's connection, Ray says whether its process died, or all of its node
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

    try:
        cluster = Cluster(remote.setting)
        payload = cluster.share(memfd.attach_readonly(remote.payload))
    except NoCluster as reason:
        _log.log(logging.DEBUG if in_vain else logging.WARNING, "the workers of this machine go on alone: %s", reason)
        flush_stdout()
        os._exit(NO_CLUSTER)
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

        self._cluster = cluster
        self._context = context
        self._rows = board.workers
        self._inbox = inbox
        self._timeout_s = timeout_s
        self._tick_s = min(_TICK_S, timeout_s / 4)
        self._counts = NodeCounts(board.gateway)
        self._recruiter = Recruiter(cluster, here, payload, told, self._counts, self._invite)
        self._hands: dict[int, Hand] = {}
        self._tickets = RowTickets(self._hands, context, self._counts, cluster.host)
        self._workers: dict[int, Worker] = {}  # for what is done here

    def run(self, pipe: int) -> None:
        """Work until the pipe ends."""
        next_tick = 0.0
        sources = [pipe, self._cluster.wake, self._tickets.connections.fileno()]
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
            for then, value, error in self._cluster.finished() if self._cluster.wake in ready else ():
                then(value, error)
            if (now := time.monotonic()) >= next_tick:
                self._tick(now)
                next_tick = now + self._tick_s

    def _do(self, number: int, verb: Verb, ticket: Ticket) -> None:
        hand = self._hands.get(number)
        if verb is Verb.OPEN:
            self._open(number, hand)
        elif hand is None or not hand.asked_for:  # its life has ended, and the supervisor does not know yet
            return
        elif verb is Verb.CLOSE:
            self._end(hand, Lost(number, Fate.PARTED))
        else:
            self._accept(hand, ticket)

    def _follow(self, event: Event) -> None:
        if (hand := self._hands.get(event.worker)) is None:  # it has ended for what came just before
            return
        match event:
            case Brought():
                self._settle(hand)
            case RanOut(_, why):
                self._end_at_work(hand, Fate.DIED, f"ran out of memory or descriptors: {why}")
            case Connected() | Return():
                hand.aside = False
                self._join(hand)
            case Ended():
                hand.ended_at = time.monotonic()
            case Park():
                self._set_aside(hand)

    def _tick(self, now: float) -> None:
        self._recruiter.look(self._hands.values(), now)
        for hand in list(self._hands.values()):
            cut_off = hand.ended_at is not None and now - hand.ended_at > _RAYS_WORD_S
            hangs = hand.aside and self._tickets.is_busy(hand.number) and now - hand.moved > self._timeout_s
            if not hand.over and (cut_off or hangs):
                self._end(hand, Lost(hand.number, Fate.PARTED), f"does not answer any more, on node {self._counts.of(hand.node).node}")
            else:
                self._look_for_stall(hand, now)
        self._counts.publish()

    # Tickets.

    def _accept(self, hand: Hand, ticket: Ticket) -> None:
        held = Held(ticket)
        hand.held.append(held)
        if ticket.kind == TicketKind.ROWS:
            self._tickets.give(hand, held, time.monotonic())
        elif isinstance(report := self._do_here(hand, ticket), Exhausted):
            self._end(hand, Lost(hand.number, Fate.DIED), "the gateway ran out of memory at it")
            return
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
        """Report what is done, in the order in which the worker got it."""
        for report in hand.take_reports():
            self._tell(report)
        hand.show()

    def _tell(self, record: Done | Failed | Joined | Lost) -> None:
        flush_stdout()  # what was printed for a batch is there when the batch is
        try:
            os.write(self._inbox, record.pack())
        except BrokenPipeError:  # the supervisor has died, and this process is about to
            os._exit(0)

    # Lives of workers.

    def _open(self, number: int, hand: Hand | None) -> None:
        """A worker is wanted: it waits for the actor that was set aside, or gets another one."""
        if hand is None:
            hand = self._hands[number] = Hand(number, self._rows[number])
            self._recruiter.seek(hand)
        else:
            hand.asked_for = True
            self._join(hand)

    def _invite(self, hand: Hand) -> None:
        """An actor is ready: let it connect."""
        assert hand.actor is not None
        connections = self._tickets.connections
        hand.actor.call("serve", connections.address, connections.expect(hand.number), then=partial(self._served, hand))

    def _join(self, hand: Hand) -> None:
        if hand.aside or hand.joined or not hand.asked_for:
            return
        hand.joined = True
        hand.moved = time.monotonic()
        hand.cells[WorkerCell.STATE_GAUGE] = WorkerState.IDLE
        _log.debug("remote worker %d joined on node %s", hand.number, self._counts.of(hand.node).node)
        self._tell(Joined(hand.number))

    def _set_aside(self, hand: Hand) -> None:
        """An actor is too slow: its worker is lost, until it proves quick."""
        self._tickets.disown(hand.number)
        hand.held.clear()
        hand.aside, hand.joined, hand.asked_for = True, False, False
        _log.info("remote worker %d on node %s is much slower than the others, and set aside", hand.number, self._counts.of(hand.node).node)
        self._tell(Lost(hand.number, Fate.PARTED))

    def _served(self, hand: Hand, value: None, error: BaseException | None) -> None:
        """An actor does no more tickets: it has died, or could not connect, or lost the connection."""
        from loader.produce.remote.cluster.cluster import how_it_ended  # imports Ray

        if hand.over:
            return
        words, by_itself = how_it_ended(error)
        count = self._counts.of(hand.node)
        if not (hand.joined or hand.aside or hand.ended_at) and isinstance(error, OSError):
            host, port = self._tickets.connections.address
            self._recruiter.refuse(hand, f"a worker there can't connect to this machine, {host}:{port}: {words}")
        elif by_itself and self._recruiter.lives(hand.node):
            count.deaths += 1
            self._end_at_work(hand, Fate.DIED, f"died on node {count.node}: {words}")
        else:
            self._end(hand, Lost(hand.number, Fate.PARTED), f"died on node {count.node}: {words}")

    def _end_at_work(self, hand: Hand, fate: Fate, how: str, stack: str = "") -> None:
        """End an actor for what it was at: that is what the worker which owns the ticket is lost for."""
        owner, ticket = self._tickets.at(hand.number) or (None, None)
        if owner is not hand:
            self._end(hand, Lost(hand.number, Fate.PARTED), how)
        if owner is not None and ticket is not None:
            self._end(owner, Lost(owner.number, fate, hand.row_of(ticket)), how, stack)

    def _end(self, hand: Hand, lost: Lost, how: str = "", stack: str = "") -> None:
        """End the life of a worker."""
        hand.over = True
        self._tickets.leave(hand.number)
        del self._hands[hand.number]
        self._recruiter.release(hand)
        self._workers.pop(hand.number, None)
        if hand.held:
            hand.cells.write_failure(hand.held[0].ticket.number, {"how": how, "last_words": stack})
        if hand.joined and how:
            _log.debug("remote worker %d %s", hand.number, how)
        if hand.asked_for:
            self._tell(lost)

    def _look_for_stall(self, hand: Hand, now: float) -> None:
        """Ask an actor that has been at a ticket for long how far it is; end it if it does not get on."""
        still_s = now - hand.moved
        if still_s < self._timeout_s / 2 or self._tickets.at(hand.number) is None:
            return
        if still_s >= self._timeout_s:
            self._end_at_work(hand, Fate.HUNG, f"was ended on node {self._counts.of(hand.node).node}", hand.progress.stack)
        elif not hand.asking and hand.actor is not None:
            hand.asking = True
            hand.actor.call("progress", then=partial(self._progressed, hand))

    def _progressed(self, hand: Hand, progress: Progress | None, error: BaseException | None) -> None:
        hand.asking = False
        if progress is not None and progress.state != hand.progress.state:
            hand.moved = time.monotonic()
            hand.progress = progress
