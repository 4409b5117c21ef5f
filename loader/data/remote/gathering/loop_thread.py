"""An event loop in a thread of its own, for the process that makes it and not for its forks."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable

from loader.errors import PipelineError


class LoopThread:
    """Runs an event loop until it is closed, or nobody has it any more, or the process ends.

    Args:
        at_end: called in the thread, when nothing is on its way any more.

    Attributes:
        loop: for what runs in the thread.
    """

    def __init__(self, at_end: Callable[[], None]) -> None:
        self.loop = asyncio.new_event_loop()
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
