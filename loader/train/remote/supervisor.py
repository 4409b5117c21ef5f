"""One supervisor, from start to end, with everything that belongs to it alone: process, pipes, arena.

The next one gets new ones. So a worker of the old one, while it dies, can't write into a slot or an inbox of the new one, and
a lease on an old slot is given back to a pipe that nobody reads.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import warnings

from loader.ipc import last_words, memfd
from loader.ipc.board import Cells, Phase, SupervisorCell
from loader.ipc.channels import open_pipe
from loader.ipc.control_socket import clean_up_after
from loader.ipc.records import Close, Packed
from loader.machine import oom_kills
from loader.train.remote.connection import Connection
from loader.train.remote.interrupts import Interrupt
from loader.train.remote.launch import start_supervisor
from loader.train.remote.lease import Outbox

_END_S = 2.0

# A stopped supervisor does not end by itself. It is checked after a moment, because it may have been stopped for only that long.
_STOPPED_END_S = 0.5

# A supervisor shows a sign of life each second, but a busy or swapping machine may delay that for many seconds. If the system says that it is
# stopped, no more patience is needed.
_STOPPED_S = 10.0

# A supervisor that others read answers at once that it works on for them.
_LOOK_S = 0.005


class SupervisorProcess(Connection):
    """A supervisor and what belongs to it alone.

    Owns the process and the descriptors; `end` ends and closes them, once. Leases keep the mapping of the arena as long as they need it.

    Args:
        cells: the supervisor's, on the board.
        interrupt: for the outbox.
        lent: the board's cell for how many slots are lent.
        shared: whether other scripts read the same slots.

    Attributes:
        ended: whether `end` was called. The process may run on for other scripts that read.
        death: how the supervisor died, in words, after that.
        failed_to_boot: whether it ended by itself while it booted, so that another one would do the same.
    """

    def __init__(self, cells: Cells, interrupt: Interrupt, lent: memoryview, shared: bool) -> None:
        self._oom_kills = oom_kills()
        self._process: subprocess.Popen[bytes] | None = None
        self.ended = False
        self.death = ""
        self.failed_to_boot = False
        with contextlib.ExitStack() as opened:
            arena = memfd.create("arena")
            opened.callback(os.close, arena)
            self._inbox, self._inbox_write = open_pipe()
            opened.callback(os.close, self._inbox)
            opened.callback(os.close, self._inbox_write)
            outbox = Outbox(self._inbox_write, interrupt, lent)
            ready, self._ready_write = open_pipe()
            opened.pop_all()  # all or none
        super().__init__(cells, arena, ready, outbox, shared)

    def start(self, descriptors: dict[str, int], numbers: dict[str, int]) -> None:
        """Start the process.

        Args:
            descriptors: what the trainer keeps from one supervisor to the next.
            numbers: fields of `loader.supervise.boot.BootParameters`.
        """
        own = {
            "arena": self._arena_fd,
            "inbox_read": self._inbox,
            "inbox_write": self._inbox_write,
            "ready": self._ready_write,
        }
        try:
            self._process = start_supervisor(descriptors | own, numbers)
        finally:
            for fd in (self._inbox, self._inbox_write, self._ready_write):
                os.close(fd)

    def announce_pipeline(self) -> None:
        """Tell the supervisor that the pipeline is there."""
        self.outbox.send(Packed().pack())

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return 0 if self._process is None else self._process.pid

    def given_up(self, silence_s: float) -> str:
        """Return in words why to stop waiting for the supervisor; "" if there is no reason.

        Args:
            silence_s: the longest time without a sign of life.
        """
        if self.silence_s >= _STOPPED_S and self._is_stopped():
            return f"it was stopped (SIGSTOP) for {self.silence_s:.0f} s and was killed"
        if self.silence_s >= silence_s:
            return f"it gave no sign of life for {self.silence_s:.0f} s and was killed"
        return ""

    def _is_stopped(self) -> bool:
        """Whether a signal has stopped the supervisor. One that a debugger holds is in another state, `t` (proc(5))."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b") ")[2].startswith(b"T")
        except OSError:
            return False

    # The end.

    def ask_to_end(self) -> None:
        """Tell the supervisor to end. While it boots, it does not listen and has nothing to tidy up, so it is killed."""
        self.outbox.send(Close().pack())
        if self._cells[SupervisorCell.PHASE_GAUGE] == Phase.BOOTING:
            self.kill()

    def kill(self) -> None:
        """Kill the supervisor; the workers die with it."""
        if self._process is not None:
            self._process.kill()

    def end(self, reason: str = "") -> None:
        """Wait for the supervisor's death, at most two seconds, or kill it, unless it works on for others; close what is ours.

        The memory of the arena is given back at once, except for lent slots: these follow when none of them is in use any more.

        Args:
            reason: of its death, in words; the default says what the system does.
        """
        if self.ended:
            return
        self.ended = True
        try:
            if not self._ends(_STOPPED_END_S) and not self._is_stopped():
                self._ends(_END_S - _STOPPED_END_S)
        finally:
            if self._works_for_others:
                self._leave_to_others()
            else:
                self._bury()
            self._let_go()
        self.death = reason or self._how_it_died()
        self.failed_to_boot = self._ended_by_itself() and self._cells[SupervisorCell.PHASE_GAUGE] == Phase.BOOTING

    def _ends(self, timeout_s: float) -> bool:
        """Wait for the process to end, or to say that it works on for others; return whether one of them is so."""
        deadline = time.monotonic() + timeout_s
        while self._process is not None and not self._works_for_others:
            left_s = deadline - time.monotonic()
            try:
                self._process.wait(min(_LOOK_S, left_s) if self._shared else left_s)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline:
                    return False
        return True

    @property
    def _works_for_others(self) -> bool:
        return self._shared and self._cells[SupervisorCell.PHASE_GAUGE] == Phase.ORPHANED

    def _leave_to_others(self) -> None:
        """Let the process run. What is lent stays valid; it is given back by its leases."""
        self._release_unread()
        with warnings.catch_warnings():  # of a child that is forgotten while it runs; `subprocess` waits for it when another one is started
            warnings.simplefilter("ignore", ResourceWarning)
            self._process = None

    def _how_it_died(self) -> str:
        if self._works_for_others:
            return "it works on for other scripts"
        if self._process is None:
            return "it was not started"
        if self._process.returncode is None:
            return "it was killed, and has not ended yet; likely cause: it waits for a device or a file system that does not answer"
        how = last_words.in_words(self._process.returncode, oom_kills() > self._oom_kills)
        taken = " (or the script has taken its exit status, by ignoring SIGCHLD or by waiting for any child)"
        return how if self._process.returncode else how + taken

    def _ended_by_itself(self) -> bool:
        return self._process is not None and self._process.returncode is not None and last_words.is_of_itself(self._process.returncode)

    def _bury(self) -> None:
        if self._process is not None:
            self._process.kill()
            if self._ends(_END_S):  # a process that waits for a device can't even be killed before the device answers
                clean_up_after(self._process.pid)
        self._free()

    def _let_go(self) -> None:
        self.outbox.count = None
        self.arena = None
        self.records.clear()
        os.close(self._arena_fd)
        os.close(self._ready)

    def _free(self) -> None:
        """Give back the memory of the arena except for lent slots, even if a process that a transform has forked still maps it."""
        if self._shared:  # others may still read it; it goes with the last of them
            return
        start = 0
        if self.arena is not None:
            for slot in sorted(self.outbox.lent):
                used = self.arena.layout.slot_bytes(slot)
                memfd.free(self._arena_fd, start, used.start)
                start = used.stop
        memfd.free(self._arena_fd, start, os.fstat(self._arena_fd).st_size)
