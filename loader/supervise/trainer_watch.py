"""What signals mean to the supervisor, one of which watches the trainer while the supervisor boots."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

from loader.ipc import last_words
from loader.ipc.board import Board, SupervisorCell

_CHECK_S = 0.2


def set_signals() -> None:
    """Set the signals that a supervisor must ignore or get. To be called again after user modules have been imported: they may have changed them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if the trainer ignores it, so would we, and could not wait for any child
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a ticket for a worker that has just died is no reason to die
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, last_words.ASK})  # what the trainer has blocked is inherited, too


def outlive_terminal() -> None:
    """Ignore that a terminal is closed, which ends the script that runs in it: others may read on. Workers, which are forks, do so as well."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


class TrainerWatch:
    """Shows signs of life, and exits when the trainer dies, while the supervisor boots. After that, the loop does both.

    A timer's signal does it, since a process that forks should have no other thread. Only `from_thread` is different.

    Args:
        trainer: its pid.
        board: counters.

    Attributes:
        pidfd: of the trainer.
    """

    def __init__(self, trainer: int, board: Board) -> None:
        self._trainer = trainer
        self._board = board
        self.begin()
        try:
            self.pidfd = os.pidfd_open(trainer)
        except ProcessLookupError:
            os._exit(0)
        self._look()  # it may have died, and its number have been given away, before that

    def begin(self) -> None:
        """Look five times per second from now on."""
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, _CHECK_S, _CHECK_S)

    def end(self) -> None:
        """Stop looking."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextlib.contextmanager
    def from_thread(self) -> Iterator[None]:
        """Look from a thread meanwhile. For the import of user modules, which may set the timer's signal to its default: to end the process."""
        self.end()
        over = threading.Event()
        thread = threading.Thread(target=self._look_until, args=(over,), name="trainer watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            while os.path.exists(f"/proc/self/task/{thread.native_id}"):  # Python's word is a little early, and this process is about to fork
                time.sleep(0.001)
            set_signals()
            self.begin()

    def _look_until(self, over: threading.Event) -> None:
        while not over.wait(_CHECK_S):
            self._look()

    def _look(self, *_: object) -> None:
        self._board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        if os.getppid() != self._trainer:
            os._exit(0)
