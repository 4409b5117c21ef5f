"""Calls that may block for as long as the head of a cluster is gone, in threads of their own: the gateway goes on with its rows meanwhile.

    gateway ── make(call, then) ──▶ queue ──▶ thread, one call after the other ──────────────────────┬──▶ `finished`, and an eventfd
    gateway ── ask(call, then) ───▶ queue ──▶ thread for what an actor answers without the head ─────┘

What a call has brought is looked at by the gateway's own thread, which waits for the eventfd as it does for everything else.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

Then = Callable[[Any, BaseException | None], None]
"""Is given what a call returned, or the error that it ended with."""

_Queue = queue.SimpleQueue[tuple[Callable[[], Any], Then]]


def _nobody(value: Any, error: BaseException | None) -> None:
    """Nobody wants to know."""


class Calls:
    """Threads that make calls. They end with the process.

    Attributes:
        wake: readable when calls have ended.
    """

    def __init__(self) -> None:
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._finished: deque[tuple[Then, Any, BaseException | None]] = deque()
        self._made, self._asked = self._start("calls of Ray"), self._start("questions to actors")

    def make(self, call: Callable[[], Any], then: Then = _nobody) -> None:
        """Have a call made after those before it. If it returns a future, what becomes of that is what the call has brought."""
        self._made.put((call, then))

    def ask(self, call: Callable[[], Any], then: Then) -> None:
        """Have a call made that does not wait for the head of the cluster, whatever else is blocked there."""
        self._asked.put((call, then))

    def wait_for(self, call: Callable[[], Any], timeout_s: float) -> Any:
        """Make a call after those before it; return what it brings, or raise its error. Raises TimeoutError if that takes longer."""
        ended = threading.Event()
        outcome: list[tuple[Any, BaseException | None]] = []

        def make() -> None:
            outcome.append(_outcome(call))
            ended.set()

        self._made.put((make, _nobody))
        if not ended.wait(timeout_s):
            raise TimeoutError(f"no answer within {timeout_s:g} s")
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def finished(self) -> Iterator[tuple[Then, Any, BaseException | None]]:
        """Yield, for each call that has ended since the last time, who wants to know, and with what it ended."""
        try:
            os.eventfd_read(self.wake)
        except BlockingIOError:
            return
        while self._finished:
            yield self._finished.popleft()

    def _start(self, name: str) -> _Queue:
        """Start a thread; return the queue from which it takes calls."""
        calls: _Queue = queue.SimpleQueue()
        threading.Thread(target=self._make_all, args=(calls,), name=name, daemon=True).start()
        return calls

    # In a thread, or in one of Ray's.

    def _make_all(self, calls: _Queue) -> None:
        while True:
            call, then = calls.get()
            value, error = _outcome(call)
            if isinstance(value, Future):
                value.add_done_callback(partial(self._resolve, then))
            else:
                self._finish(then, value, error)

    def _resolve(self, then: Then, future: Future[Any]) -> None:
        error = future.exception()
        self._finish(then, None if error is not None else future.result(), error)

    def _finish(self, then: Then, value: Any, error: BaseException | None) -> None:
        self._finished.append((then, value, error))
        os.eventfd_write(self.wake, 1)


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return call(), None
    except BaseException as error:  # whatever it is, it belongs to who asked for the call, and its thread must not end of it
        return None, error
