"""An event loop in a thread of its own, for the process that makes it and not for its forks."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import Any

from loader.errors import PipelineError


class LoopThread:
    """Runs an event loop until it is closed, or nobody has it any more, or the process ends.

    Args:
        at_end: called in the thread, when nothing is on its way any more.

    Attributes:
        loop: for what runs in the thread.
    """

    def __init__(self, at_end: Callable[[], None]) -> None:
        self.loop = _Loop()
        self._pid = os.getpid()
        thread = threading.Thread(target=_run, args=(self.loop, at_end), name="loader-fetch", daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _stop, self.loop, thread, self._pid)

    def check_process(self) -> None:
        """Raise PipelineError in a fork of the process that made this."""
        if self._pid != os.getpid():
            raise PipelineError(
                "far data was read in this process before it was forked, and the threads that fetch it are not there in the fork, so that it would "
                "wait for ever. What to do: read no sample before the fork, or start processes by 'spawn'"
            )

    def close(self) -> None:
        """Cancel what is on its way, and end the thread."""
        self._end()


class _Loop(asyncio.SelectorEventLoop):
    """A loop that many answers at a time wake once.

    asyncio's own writes a byte for each, and gives Python's lock away for that, which the thread of the answer then waits for once more
    (docs/measurements.md).
    """

    def __init__(self) -> None:
        super().__init__()
        self._bell, self._rope = socket.socketpair()  # which, once closed, can't be taken for a descriptor of something else
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._rung = False  # whether there is a byte to read, or will be in a moment
        self.add_reader(self._bell, self._listen)

    def call_soon_threadsafe(  # type: ignore[override]  # its own is typed by what Python 3.10 lacks
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self.get_debug():  # in which `call_soon` is for the loop's thread only
            return super().call_soon_threadsafe(callback, *args, context=context)
        handle = self.call_soon(callback, *args, context=context)
        if not self._rung:
            self._rung = True
            self._rope.send(b"!")
        return handle

    def _listen(self) -> None:
        self._bell.recv(64)
        self._rung = False  # afterwards: if it were before, the byte of whoever rings in between would be read, and nobody would ring again

    def close(self) -> None:
        if not self.is_closed():
            self.remove_reader(self._bell)
            self._bell.close()
            self._rope.close()
        super().close()


def _run(loop: asyncio.AbstractEventLoop, at_end: Callable[[], None]) -> None:
    loop.run_forever()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    at_end()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    if pid == os.getpid() and not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():  # where the last reference happened to be dropped
            thread.join()
