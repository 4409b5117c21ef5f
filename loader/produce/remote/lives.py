"""The lives of remote workers, from OPEN to `Lost`: they get an actor, join, are set aside while it is slow, and end with it.

When the connection to an actor ends, its worker is `Lost` at once: it takes Ray seconds to say why, and rows are due. If another actor has been cut
off at the same rows before, they may kill. So the supervisor is told, and has a worker of its own machine make them: of that it knows at once how it
ended. No new actor is looked for before Ray has spoken, as it would be placed on a node that has just gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from loader.ipc.board import Board, WorkerCell, WorkerState
from loader.ipc.records import Fate, Joined, Lost, Ticket
from loader.produce.remote.actors.actor_work import Progress
from loader.produce.remote.hand import Hand
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.remote.row_tickets import RowTickets

if TYPE_CHECKING:
    from loader.produce.remote.recruiting import Recruiter  # imports Ray

_log = logging.getLogger("loader.gateway")

_RAYS_WORD_S = 5.0  # after the end of an actor's connection, Ray says whether its process died, or all of its node
_LONGEST_ASIDE_S = 300.0  # then its cores are better used by others


class Lives:
    """Has workers live.

    Args:
        hands: the remote workers that live, by number. It is the only one to add and remove any.
        tickets: that are out to actors.
        board: has a row for each worker.
        counts: of nodes.
        timeout_s: an actor that makes no progress for so long is ended.
        tell: tells the supervisor.
        recruiter: makes what finds actors, of what is to be done with a worker whose actor is as it should be.
    """

    def __init__(
        self,
        hands: dict[int, Hand],
        tickets: RowTickets,
        board: Board,
        counts: NodeCounts,
        timeout_s: float,
        tell: Callable[[Joined | Lost], None],
        recruiter: Callable[[Callable[[Hand], None]], Recruiter],
    ) -> None:
        self._hands = hands
        self._tickets = tickets
        self._rows = board.workers
        self._counts = counts
        self._timeout_s = timeout_s
        self._tell = tell
        self._recruiter = recruiter(self._invite)
        self._cut_off: list[Hand] = []  # lost, and Ray has not said why

    def open(self, number: int) -> None:
        """A worker is wanted: it waits for the actor that was set aside, or gets another one."""
        if (hand := self._hands.get(number)) is None:
            hand = self._hands[number] = Hand(number, self._rows[number])
            if not self._cut_off:  # else when Ray has spoken
                self._recruiter.seek(hand)
        else:
            hand.asked_for = True
            self._begin(hand)

    def _invite(self, hand: Hand) -> None:
        """An actor is ready: let it connect."""
        assert hand.actor is not None
        connections = self._tickets.connections
        hand.actor.call("serve", connections.address, connections.expect(hand.number), then=partial(self._served, hand))

    def join(self, hand: Hand) -> None:
        """The actor of a worker is there, or quick again."""
        hand.aside_since = None
        self._begin(hand)

    def _begin(self, hand: Hand) -> None:
        if hand.aside_since is not None or hand.joined or not hand.asked_for:
            return
        hand.joined = True
        hand.moved = time.monotonic()
        hand.cells[WorkerCell.STATE_GAUGE] = WorkerState.IDLE
        _log.debug("remote worker %d joined on node %s", hand.number, self._counts.of(hand.node).node)
        self._tell(Joined(hand.number))

    def set_aside(self, hand: Hand) -> None:
        """An actor is too slow: its worker is lost, until it proves quick."""
        self._tickets.disown(hand.number)
        hand.held.clear()
        hand.aside_since, hand.joined, hand.asked_for = time.monotonic(), False, False
        _log.info("remote worker %d on node %s is much slower than the others, and set aside", hand.number, self._counts.of(hand.node).node)
        self._tell(Lost(hand.number, Fate.PARTED))

    # Ends.

    def look(self, now: float) -> None:
        """Look for actors that do not get on, and for workers that have none. To be called about once a second."""
        for hand in [hand for hand in self._cut_off if now - (hand.ended_at or now) > _RAYS_WORD_S]:
            self._let_go(hand)
        if not self._cut_off:
            self._recruiter.look(self._hands.values(), now)
        for hand in list(self._hands.values()):
            if hand.over:
                continue
            busy = self._tickets.is_busy(hand.number)
            cut_off = hand.ended_at is not None and now - hand.ended_at > _RAYS_WORD_S
            hangs = hand.aside_since is not None and busy and now - hand.moved > self._timeout_s
            if cut_off or hangs:
                self.end(hand, Lost(hand.number, Fate.PARTED), f"does not answer any more, on node {self._counts.of(hand.node).node}")
            elif hand.aside_since is not None and now - hand.aside_since > _LONGEST_ASIDE_S:
                self.end(hand, Lost(hand.number, Fate.PARTED))
            else:
                self._look_for_stall(hand, now)

    def cut_off(self, hand: Hand, suspected: bool) -> None:
        """The connection to an actor has ended. `suspected`: what it was at may be why."""
        hand.ended_at = time.monotonic()
        self._cut_off.append(hand)
        at = self._tickets.at(hand.number) if suspected else None
        self.end_at_work(hand, at, Fate.FELL, f"was cut off from its actor, on node {self._counts.of(hand.node).node}")

    def _served(self, hand: Hand, value: None, error: BaseException | None) -> None:
        """An actor does no more tickets: it has died, or could not connect, or lost the connection."""
        from loader.produce.remote.cluster.cluster import how_it_ended  # imports Ray

        words, by_itself = how_it_ended(error)
        if not (hand.over or hand.joined or hand.aside_since or hand.ended_at) and isinstance(error, OSError):
            host, port = self._tickets.connections.address
            self._recruiter.refuse(hand, f"a worker there can't connect to this machine, {host}:{port}: {words}")
        elif not hand.over or hand.ended_at is not None:
            hand.ended_at = hand.ended_at or time.monotonic()
            self._recruiter.ask_whether_lives(hand.node, partial(self._judge, hand, words, by_itself))

    def _judge(self, hand: Hand, words: str, by_itself: bool, node_lives: bool) -> None:
        """Ray has said how an actor ended: by itself, or with its node."""
        count = self._counts.of(hand.node)
        count.deaths += by_itself and node_lives
        if hand.over:
            self._let_go(hand)
        else:
            self.end(hand, Lost(hand.number, Fate.PARTED), f"died on node {count.node}: {words}")

    def _let_go(self, hand: Hand) -> None:
        """Give up the actor of a worker that was cut off."""
        self._recruiter.release(hand)
        if hand in self._cut_off:
            self._cut_off.remove(hand)
            if not self._cut_off:
                self._recruiter.look(self._hands.values(), time.monotonic())

    def end_at_work(self, hand: Hand, at: tuple[Hand, Ticket] | None, fate: Fate, how: str, stack: str = "") -> None:
        """End an actor for the ticket that it was at: that is what the worker which owns it is lost for."""
        owner, ticket = at or (None, None)
        if owner is not hand:
            self.end(hand, Lost(hand.number, Fate.PARTED), how)
        if owner is not None and ticket is not None:
            self.end(owner, Lost(owner.number, fate, hand.row_of(ticket), ticket.number), how, stack)

    def end(self, hand: Hand, lost: Lost, how: str = "", stack: str = "") -> None:
        """End the life of a worker."""
        hand.over = True
        self._tickets.leave(hand.number)
        del self._hands[hand.number]
        if hand not in self._cut_off:
            self._recruiter.release(hand)
        if lost.ticket:
            hand.cells.write_failure(lost.ticket, {"how": how, "last_words": stack})
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
            self.end_at_work(
                hand, self._tickets.at(hand.number), Fate.HUNG, f"was ended on node {self._counts.of(hand.node).node}", hand.progress.stack
            )
        elif not hand.asking and hand.actor is not None:
            hand.asking = True
            hand.actor.ask_for_progress(partial(self._progressed, hand))

    def _progressed(self, hand: Hand, progress: Progress | None, error: BaseException | None) -> None:
        hand.asking = False
        if progress is not None and progress.state != hand.progress.state:
            hand.moved = time.monotonic()
            hand.progress = progress
