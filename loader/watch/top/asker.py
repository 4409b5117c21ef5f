"""Asks all loaders again and again, in a thread of the operator's shell, so that keys work even while a loader does not answer."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple

from loader.watch.asking import NoAnswer
from loader.watch.client import Found, loaders
from loader.watch.top.watched import Answer, Request


class News(NamedTuple):
    """What has arrived.

    Attributes:
        answers: of all loaders; None if this is about a request.
        request: that was made.
        reply: to it; None if there was none.
    """

    answers: list[Answer] | None
    request: Request | None = None
    reply: dict[str, Any] | None = None


def answer_of(found: Found) -> Answer:
    """Return what a loader said, without its socket."""
    return Answer(found.pid, found.name, found.status)


class Asker:
    """Asks as long as it is entered.

    Owns a pipe and a thread. If a loader does not answer, the thread may outlive this by two seconds; the process need not wait for it.

    Args:
        interval_s: seconds from one answer to the next question.

    Attributes:
        wake: writing end of the pipe: whatever is written there makes `fd` readable.
        fd: readable when there is news.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._news: queue.SimpleQueue[News | BaseException] = queue.SimpleQueue()
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._lock = threading.Lock()
        self._open = True

    def __enter__(self) -> Asker:
        self.fd, self.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        threading.Thread(target=self._run, name="asker", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._open = False
            os.close(self.fd)
            os.close(self.wake)
        self._hurry.set()

    def tell(self, request: Request) -> None:
        """Tell a loader something soon."""
        self._requests.put(request)
        self._hurry.set()

    def news(self) -> list[News]:
        """Return what has come since the last time. Raises what went wrong in the thread."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 65536)
        found = []
        while not self._news.empty():
            one = self._news.get()
            if isinstance(one, BaseException):
                raise one
            found.append(one)
        return found

    def _run(self) -> None:
        try:
            while self._open:
                self._ask()
                self._hurry.wait(0 if not self._requests.empty() else self._interval_s)
                self._hurry.clear()
        except BaseException as error:
            self._publish(error)

    def _ask(self) -> None:
        with loaders() as found:
            self._publish(News([answer_of(one) for one in found]))
            latest = {}
            while not self._requests.empty():
                request = self._requests.get()
                latest[request.pid] = request  # of several that came at once, only the last one matters
            for request in latest.values():
                one = next((one for one in found if one.pid == request.pid), None)
                self._publish(News(None, request, _told(one, request)))
        if latest:  # what follows from it should be seen soon
            time.sleep(0.05)
            self._hurry.set()

    def _publish(self, news: News | BaseException) -> None:
        self._news.put(news)
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._open:
                os.write(self.wake, b"n")


def _told(found: Found | None, request: Request) -> dict[str, Any] | None:
    try:
        return None if found is None else found.ask({"do": "set", "workers": request.workers})
    except NoAnswer:
        return None
