"""The tickets that have come to a worker, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from loader.ipc.channels import read_records, wait_readable
from loader.ipc.records import TICKET_BYTES, Ticket, unpack_tickets

_IDLE_S = 0.1


class TicketQueue:
    """The tickets of one worker.

    Args:
        pipe: descriptor that they come from.
        expect: is told of tickets when they come, long before they are done, where samples are far away; else None, and nobody looks for more
            before those that came are done.
        idle: is called while none come, again and again until it returns False or some do; None: there is nothing to do meanwhile.
    """

    def __init__(self, pipe: int, expect: Callable[[Sequence[Ticket]], None] | None, idle: Callable[[], bool] | None = None) -> None:
        self._pipe = pipe
        self._expect = expect
        self._idle = idle
        self._held: deque[Ticket] = deque()

    def wait(self) -> bool:
        """Wait until there are tickets; return False at the end of the pipe."""
        while self._idle is not None and not wait_readable([self._pipe], _IDLE_S) and self._idle():
            pass
        raw = read_records(self._pipe, TICKET_BYTES)
        found = list(unpack_tickets(raw))
        if self._expect is not None:
            self._expect(found)
        self._held.extend(found)
        return bool(raw)

    def next(self) -> Ticket | None:
        """Return the next ticket; None if there is none now."""
        if self._expect is not None and wait_readable([self._pipe], 0):
            self.wait()
        return self._held.popleft() if self._held else None
