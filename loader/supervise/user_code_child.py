"""A child of the supervisor that answers a question by running user code, which may crash, hang or exit, as the supervisor must not."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from loader.data import fork_guard
from loader.ipc import last_words
from loader.ipc.channels import open_pipe, wait_readable
from loader.ipc.line_file import flush_stdout
from loader.produce.worker import die_with

END = b"}\n"
"""How an answer ends: it is one JSON object, after any signs of life. Without this end, it was cut off by death."""

_DYING_S = 1.0

# Exit status of the child.
_NO_WAY_TO_ANSWER = 74


Tell = Callable[[bytes], None]
"""Writes a part of the answer, at once."""

Question = Callable[[Tell], None]
"""What a child does."""


@dataclass(frozen=True)
class Answer:
    """What a child has answered, and how it ended.

    Attributes:
        text: what it wrote.
        silent: whether it wrote nothing for too long.
        mute: whether it could not write, since its descriptor had been closed.
        status: its wait status; of SIGKILL where it had to be ended.
        stack: of its threads, where it crashed or was silent; empty where it left none.
    """

    text: bytes
    silent: bool
    mute: bool
    status: int
    stack: str

    @property
    def complete(self) -> bool:
        """Whether all has arrived."""
        return self.text.endswith(END)


@dataclass(frozen=True)
class UserCodeChild:
    """Asks a question of a child, which is forked for it and ends with its answer.

    Attributes:
        trainer: its pidfd; when it dies, this process ends.
        give_up: closes, in a child, the descriptors that are not for it. A process that code of the user's forks there may outlive all of us.
        before_fork: called before each fork.
    """

    trainer: int
    give_up: Callable[[], None]
    before_fork: Callable[[], None]

    def ask(self, question: Question, silence_s: float) -> Answer:
        """Fork a child, have it answer, and end it.

        Blocks: until the child has answered or died, or has been silent for `silence_s`, or the trainer has died.

        Args:
            question: what the child does.
            silence_s: longest time without a sign of life.
        """
        supervisor = os.getpid()
        read, write = open_pipe()
        words = last_words.create()
        self.before_fork()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self._be_child(question, write, words, supervisor)
        os.close(write)
        try:
            text, silent = self._receive(read, silence_s)
            if silent:
                os.kill(pid, last_words.ASK)
                time.sleep(last_words.WRITING_S)
            lives = not silent and not _is_dying(pid)
        finally:
            os.close(read)
            os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            stack = last_words.read(words)
            os.close(words)
        mute = not silent and not text.endswith(END) and (lives or status == _NO_WAY_TO_ANSWER << 8)
        return Answer(text, silent, mute, status, stack)

    def _receive(self, read: int, silence_s: float) -> tuple[bytes, bool]:
        """Return what the child wrote, to the end of its answer or of itself, and whether it was silent for too long."""
        text = b""
        deadline = time.monotonic() + silence_s
        while (left := deadline - time.monotonic()) > 0:
            readable = wait_readable([read, self.trainer], left)
            if self.trainer in readable:
                os._exit(0)
            if read in readable:
                piece = os.read(read, 65536)
                text += piece
                if not piece or piece.endswith(END):  # the end of the pipe may be long in coming, where a process has been started that holds it
                    return text, False
                deadline = time.monotonic() + silence_s
        return text, True

    def _be_child(self, question: Question, write: int, words: int, supervisor: int) -> None:
        def tell(text: bytes) -> None:
            fork_guard.exit_if_forked(0)
            flush_stdout()
            try:
                while text:
                    text = text[os.write(write, text) :]
            except OSError:
                os._exit(_NO_WAY_TO_ANSWER)

        status = 1
        try:
            gc.enable()  # it is off while the supervisor boots
            signal.setitimer(signal.ITIMER_REAL, 0)
            die_with(supervisor)
            fork_guard.count()
            last_words.leave_in(words)
            os.close(self.trainer)
            self.give_up()
            question(tell)
            status = 0
        except BaseException:  # not an error of a sample: its traceback is all that will be known about it
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _is_dying(pid: int) -> bool:
    """Return whether a child whose answer has ended is dead, or is so within a moment: its descriptors are closed before it can be waited for."""
    deadline = time.monotonic() + _DYING_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True
