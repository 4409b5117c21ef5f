"""The order in which the supervisor's loop deals with what has happened."""

from __future__ import annotations

import os
import select
from unittest.mock import MagicMock

from loader.ipc.channels import open_pipe
from loader.supervise.loop import Supervisor

PIDFD = 7


def test_a_reader_that_goes_with_the_script_that_made_the_loader_leaves_no_descriptor_to_be_taken_for_that_of_a_worker() -> None:
    """Its number is free, and the next worker's may get it: whoever takes the reader's end for that of the worker waits for a process that runs."""
    supervisor, watched, inbox = MagicMock(), {PIDFD}, open_pipe()

    def close_by_script() -> None:
        watched.clear()
        supervisor._open = False

    supervisor._inbox, supervisor._pages, supervisor._readers.over = inbox[0], iter(()), False
    supervisor._tick_s = supervisor._memory.pause_s = 1.0
    supervisor._epoll.poll.return_value = [(PIDFD, select.EPOLLIN)]
    supervisor._readers.notice.side_effect = lambda fds: [fd for fd in fds if fd not in watched]
    supervisor._feed.side_effect = close_by_script
    try:
        Supervisor.run(supervisor)
    finally:
        for fd in inbox:
            os.close(fd)
    supervisor._feed.assert_called_once()
    supervisor._notice.assert_not_called()
