"""What hedging has the gateway do."""

from __future__ import annotations

from typing import NamedTuple

from loader.ipc.records import Ticket


class Give(NamedTuple):
    """Have the actor of `worker` do `ticket`."""

    worker: int
    ticket: Ticket


class Copy(NamedTuple):
    """Have the actor of `worker` do `ticket` as well, because that of `late` is late; None: because it is to be tried, or nobody else is left."""

    worker: int
    ticket: Ticket
    late: int | None


class Park(NamedTuple):
    """The worker is lost, because its actor is too slow; `disown` it."""

    worker: int


class Return(NamedTuple):
    """The worker joins again, because its actor is quick again."""

    worker: int


Command = Give | Copy | Park | Return
