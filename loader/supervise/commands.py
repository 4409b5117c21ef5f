"""What the schedule wants to be done; the loop does it. `Ready` is a command, too: it goes to the trainer as it is."""

from __future__ import annotations

from typing import NamedTuple

from loader.ipc.records import Ready, Ticket


class Issue(NamedTuple):
    """Send `ticket` to `worker`."""

    worker: int
    ticket: Ticket


class Dismiss(NamedTuple):
    """Let `worker` go: it holds nothing and gets nothing more."""

    worker: int


Command = Issue | Ready | Dismiss
