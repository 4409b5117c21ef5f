"""One request to many supervisors at the same time: one that hangs takes no time from the others."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Any

from loader.ipc.control_socket import BadLine, Lines, decode, encode

_ANSWER_BYTES = 16 * 1024 * 1024
_READ_BYTES = 64 * 1024
_AGAIN_S = 0.02

# What has arrived in time is read even if the others have used up the time, but not for ever.
_GRACE_S = 1.0


class NoAnswer(Exception):
    """A supervisor did not answer, or not in a form that this version understands."""


class Ended(NoAnswer):
    """Nobody listens at the socket, or whoever did has closed the connection."""


def ask_all(addresses: Sequence[str], request: dict[str, Any], deadline: float) -> list[dict[str, Any] | NoAnswer]:
    """Return the answer of each supervisor, or why there is none, by `deadline` on the monotonic clock."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        questions = [stack.enter_context(contextlib.closing(_Question(address, request))) for address in addresses]
        _see_through(questions, selector, deadline)
        return [NoAnswer("it has not answered in time") if question.outcome is None else question.outcome for question in questions]


def _see_through(questions: Sequence[_Question], selector: selectors.BaseSelector, deadline: float) -> None:
    outside = list(questions)  # of the queue at the socket
    inside = 0
    while outside or inside:
        left_s = deadline - time.monotonic()
        for question in outside:
            if question.enter():
                selector.register(question.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, question)
                inside += 1
        outside = [question for question in outside if not question.entered and question.outcome is None]
        events = selector.select(max(0.0, min(left_s, _AGAIN_S) if outside else left_s)) if inside or outside else []
        for key, ready in events:
            question = key.data
            question.go_on(ready)
            if question.outcome is not None:
                selector.unregister(question.connection)
                inside -= 1
            elif ready & selectors.EVENT_WRITE and question.sent:
                selector.modify(question.connection, selectors.EVENT_READ, question)
        if left_s <= 0 and (not events or left_s < -_GRACE_S):
            return


class _Question:
    """A request to one supervisor, and how far it has got. Never blocks. Owns a connection until `close`.

    Attributes:
        connection: to it.
        entered: whether it stands in the queue of those who want to be served.
        outcome: the answer, or why there is none; None as long as it may still come.
    """

    def __init__(self, address: str, request: dict[str, Any]) -> None:
        self._address = address
        self._out = encode(request)
        self._lines = Lines(_ANSWER_BYTES)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.setblocking(False)
        self.entered = False
        self.outcome: dict[str, Any] | NoAnswer | None = None

    def close(self) -> None:
        self.connection.close()

    @property
    def sent(self) -> bool:
        """Whether all of the request is under way."""
        return not self._out

    def enter(self) -> bool:
        """Try to join the queue; return whether that was possible. A full one may have room later."""
        try:
            self.connection.connect(self._address)
            self.entered = True
        except BlockingIOError:
            pass
        except (FileNotFoundError, ConnectionRefusedError):
            self.outcome = Ended("it has ended")
        except OSError as error:
            self.outcome = NoAnswer(str(error))
        return self.entered

    def go_on(self, ready: int) -> None:
        """Send and receive what is possible."""
        try:
            if ready & selectors.EVENT_WRITE and self._out:
                self._out = self._out[self.connection.send(self._out, socket.MSG_NOSIGNAL) :]
            if ready & selectors.EVENT_READ:
                self._receive()
        except BlockingIOError:
            pass
        except ConnectionError:
            self.outcome = Ended("it closed the connection")
        except (OSError, BadLine) as error:
            self.outcome = NoAnswer(str(error))

    def _receive(self) -> None:
        raw = self.connection.recv(_READ_BYTES)
        if not raw:
            self.outcome = Ended("it closed the connection")
            return
        self._lines.feed(raw)
        line = self._lines.take()
        if line is not None:
            self.outcome = decode(line)
