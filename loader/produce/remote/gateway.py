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
from loader.data.spec import Array
from loader.ipc import last_words, memfd
from loader.ipc.board import Board, WorkerCell, WorkerState
from loader.ipc.channels import read_records, wait_readable
from loader.ipc.line_file import flush_stdout
from loader.ipc.records import ERRAND_BYTES, Done, Exhausted, Failed, Fate, Joined, Lost, Ticket, TicketKind, Verb, unpack_errands
from loader.produce.remote.actor_work import Outcome, Progress, Told, block_layout
from loader.produce.remote.checks import Facts, deciding_modules
from loader.produce.remote.context import NO_CLUSTER, RemoteContext
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.worker import Worker, WorkerContext, die_with

if TYPE_CHECKING:
    from loader.produce.remote.cluster import Cluster  # imports Ray

_log = logging.getLogger("loader.gateway")

_TICK_S = 1.0
_SHOWN = (WorkerCell.TICKET_GAUGE, WorkerCell.TICKET_STARTED_NS_GAUGE, WorkerCell.BUSY_NS)

# Of Ray, which would otherwise warn of what is so on purpose, and colour what is no terminal.
_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


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
    os.environ.update(_ENVIRONMENT)
    from loader.produce.remote.cluster import Cluster, NoCluster  # imports Ray

    try:
        cluster = Cluster(remote.setting)
    except NoCluster as reason:
        _log.log(logging.DEBUG if in_vain else logging.WARNING, "the workers of this machine go on alone: %s", reason)
        flush_stdout()
        os._exit(NO_CLUSTER)
    payload = cluster.share(memfd.attach_readonly(remote.payload))
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
        self._arena = context.arena
        self._layouts = context.arena.layout.layouts
        self._rows = board.workers
        self._inbox = inbox
        self._timeout_s = timeout_s
        self._tick_s = min(_TICK_S, timeout_s / 4)
        self._counts = NodeCounts(board.gateway)
        self._recruiter = Recruiter(cluster, here, payload, told, self._counts, self._joined)
        self._hands: dict[int, Hand] = {}
        self._workers: dict[int, Worker] = {}  # for what is done here

    def run(self, pipe: int) -> None:
        """Work until the pipe ends."""
        next_tick = 0.0
        while True:
            ready = wait_readable([pipe, self._cluster.wake], self._tick_s if self._hands else None)
            if pipe in ready:
                raw = read_records(pipe, ERRAND_BYTES)
                if not raw:
                    return
                for errand in unpack_errands(raw):
                    self._do(errand.worker, errand.verb, errand.ticket)
            for then, value, error in self._cluster.finished() if self._cluster.wake in ready else ():
                then(value, error)
                del value  # or the last block stays in the object store until the next one comes
            if (now := time.monotonic()) >= next_tick:
                self._tick(now)
                next_tick = now + self._tick_s

    def _do(self, number: int, verb: Verb, ticket: Ticket) -> None:
        hand = self._hands.get(number)
        if verb is Verb.OPEN:
            hand = self._hands[number] = Hand(number, self._rows[number])
            self._recruiter.seek(hand)
        elif hand is None:  # its life has ended, and the supervisor does not know yet
            return
        elif verb is Verb.CLOSE:
            self._end(hand, Lost(number, Fate.PARTED))
        else:
            self._accept(hand, ticket)

    def _tick(self, now: float) -> None:
        self._recruiter.look(self._hands.values(), now)
        for hand in list(self._hands.values()):
            self._look_for_stall(hand, now)
        self._counts.publish()

    # Tickets.

    def _accept(self, hand: Hand, ticket: Ticket) -> None:
        held = Held(ticket)
        if hand.at_work is None:
            hand.moved = time.monotonic()
        hand.held.append(held)
        if ticket.kind == TicketKind.ROWS:
            assert hand.actor is not None  # it has joined
            killers = self._context.known_killers.after(hand.killers) if self._context.substitute else []
            hand.killers += len(killers)
            held.sent_ns = time.monotonic_ns()
            hand.actor.call("work", ticket, killers, then=partial(self._came, hand, held))
        else:
            report = self._do_here(hand, ticket)
            if isinstance(report, Exhausted):
                self._end(hand, Lost(hand.number, Fate.DIED), "the gateway ran out of memory at it")
                return
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

    def _came(self, hand: Hand, held: Held, value: tuple[Outcome, Array] | None, error: BaseException | None) -> None:
        """A ticket of rows has come back from an actor."""
        if hand.over:
            return
        if value is None:
            self._broke_off(hand, error)
            return
        outcome, block = value
        hand.moved = time.monotonic()
        hand.count(held.ticket, outcome)
        if outcome.exhausted:
            self._end(hand, Lost(hand.number, Fate.DIED), f"ran out of memory or descriptors: {(outcome.error or {}).get('reason', '')}")
            return
        for record in outcome.journal:
            self._context.journal.append(record)
        for fields in outcome.logs:
            self._context.logs.pass_on(fields)
        self._copy(held.ticket, block, outcome.good_rows)
        count = self._counts.of(hand.node)
        count.samples += outcome.good_rows
        count.tickets += 1
        count.took_ns += time.monotonic_ns() - held.sent_ns
        count.made_ns += outcome.busy_ns
        count.bytes += block.nbytes
        if outcome.error is None:
            held.report = Done(hand.number, held.ticket.number, outcome.busy_ns, outcome.substituted)
        else:
            hand.cells.write_failure(held.ticket.number, outcome.error)
            held.report = Failed(hand.number, held.ticket.number, held.ticket.slot_row + outcome.good_rows)
        self._settle(hand)

    def _copy(self, ticket: Ticket, block: Array, rows: int) -> None:
        """Copy the first `rows` rows of a block into the slot."""
        if not rows:
            return
        layout = self._layouts[ticket.layout]
        ((_, leaves),) = block_layout(layout, ticket.rows).runs(block, 0, ticket.rows)
        done = 0
        for count, targets in layout.runs(self._arena.slot(ticket.place), ticket.slot_row, rows):
            for target, leaf in zip(targets, leaves, strict=True):
                target[...] = leaf[done : done + count]
            done += count

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

    def _joined(self, hand: Hand) -> None:
        hand.joined = True
        hand.moved = time.monotonic()
        hand.cells[WorkerCell.STATE_GAUGE] = WorkerState.IDLE
        _log.debug("remote worker %d joined on node %s", hand.number, self._counts.of(hand.node).node)
        self._tell(Joined(hand.number))

    def _broke_off(self, hand: Hand, error: BaseException | None) -> None:
        """A call has not returned: the actor has died, or is of no use any more."""
        from loader.produce.remote.cluster import death_in_words, is_of_process  # imports Ray

        assert error is not None
        death = death_in_words(error)
        blamed = death is None or (is_of_process(error) and self._recruiter.lives(hand.node))
        count = self._counts.of(hand.node)
        count.deaths += blamed
        words = f"died on node {count.node}: {death or error}"
        self._end(hand, Lost(hand.number, Fate.DIED if blamed else Fate.PARTED), words)

    def _end(self, hand: Hand, lost: Lost, how: str = "", stack: str = "") -> None:
        """End the life of a worker."""
        hand.over = True
        del self._hands[hand.number]
        self._recruiter.release(hand)
        self._workers.pop(hand.number, None)
        if hand.held:
            hand.cells.write_failure(hand.held[0].ticket.number, {"how": how, "last_words": stack})
        if hand.joined and how:
            _log.debug("remote worker %d %s", hand.number, how)
        self._tell(lost)

    def _look_for_stall(self, hand: Hand, now: float) -> None:
        """Ask an actor that has been at a ticket for long how far it is; end it if it does not get on."""
        ticket, still_s = hand.at_work, now - hand.moved
        if ticket is None or still_s < self._timeout_s / 2:
            return
        if still_s >= self._timeout_s:
            node = self._counts.of(hand.node).node
            self._end(hand, Lost(hand.number, Fate.HUNG, hand.row_of(ticket)), f"was ended on node {node}", hand.progress.stack)
        elif not hand.asking and hand.actor is not None:
            hand.asking = True
            hand.actor.call("progress", then=partial(self._progressed, hand))

    def _progressed(self, hand: Hand, progress: Progress | None, error: BaseException | None) -> None:
        hand.asking = False
        if progress is not None and progress.state != hand.progress.state:
            hand.moved = time.monotonic()
            hand.progress = progress
