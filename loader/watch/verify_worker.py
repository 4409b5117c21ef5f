"""A process of `loader inspect --verify`: reads the files that it is told to, and says what it finds.

    parent → worker   lines "START STOP"
    worker → parent   lines of JSON: {"bad": [index, time, reason]}, {"floats": [index, NaN, infinite]}, {"done": STOP}

What must be known when it has been killed stands in shared memory, in its row of the board: see `Cell`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from enum import IntEnum

from loader.data.quarantine import utc_now
from loader.ipc import memfd, payload
from loader.produce.worker import die_with
from loader.watch.verify_checks import BadItem, Check


class Cell(IntEnum):
    """A worker's row of the board, 8-byte words that it alone writes."""

    INDEX = 0
    """The file that it reads."""
    FILES = 1
    """Read so far, also by those whom it replaces."""
    BYTES = 2
    """Likewise."""


def main(parent: int, fd: int, payload_fd: int, board_fd: int, number: int) -> None:
    """Read files until the parent closes its end of the socket."""
    die_with(parent)
    check: Check = payload.load(payload_fd)
    row = memfd.attach(board_fd).view("int64").reshape(-1, len(Cell))[number]

    def advance(nbytes: int) -> None:
        row[Cell.BYTES] += nbytes

    with socket.socket(fileno=fd) as link, link.makefile("r") as orders:

        def say(**message: object) -> None:
            link.sendall((json.dumps(message) + "\n").encode())

        for order in orders:
            start, stop = map(int, order.split())
            for index in range(start, stop):
                row[Cell.INDEX] = index
                try:
                    floats = check.check(index, advance)
                    if any(floats):
                        say(floats=[index, *floats])
                except BadItem as bad:
                    say(bad=[index, utc_now(), str(bad)])
                row[Cell.FILES] += 1
            say(done=stop)


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:]))
    except (BrokenPipeError, ConnectionResetError):  # the parent has gone
        os._exit(1)
