"""The processes in which is measured: one for each peer imports it, and forks another one for every measurement.

So every figure comes from a process in which nothing has happened before, and TensorFlow is imported once instead of a hundred times. No import that
is made here starts a thread that does anything. Only memory is measured in an interpreter of its own: else, pages of the imports would be shared.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import measure
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.tasks import TASKS

_IMPORT_S = 300.0
_MEASUREMENT_S = 90.0
_ENDING_S = 3.0
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}

Measured = dict[str, Any]


class Prepared:
    """A process that has imported a peer. Starts it when it is first needed, and again if it had to be ended.

    Args:
        peer: the name of the peer.
        data: folder of the data.
        keras: whether Keras is imported, too.
    """

    def __init__(self, peer: str, data: Path, keras: bool = False) -> None:
        self._command = [sys.executable, "-m", "benchmarks.peers", "--data", str(data), "--serve", json.dumps({"peer": peer, "keras": keras})]
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def measure(self, alone: bool = False, **what: Any) -> Measured:
        """Return what was measured, in a fork, or `alone`: in the process that has imported the peer, which then ends."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _QUIET,
                start_new_session=True,
            )
            self._unread = b""
            begun = self._answer(_IMPORT_S)
            if "unsupported" in begun:
                self.close()
                return begun
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what | {"alone": alone}).encode() + b"\n")
        self._process.stdin.flush()
        found = self._answer(_MEASUREMENT_S)
        if alone or found.get("ended"):
            self.close()
        return found

    def _answer(self, limit_s: float) -> Measured:
        assert self._process
        assert self._process.stdout
        end = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                return {"unsupported": f"still running after {limit_s:g} s", "ended": True}
            if not (more := os.read(self._process.stdout.fileno(), 1 << 16)):
                return {"unsupported": "its process ended", "ended": True}
            self._unread += more
        line, self._unread = self._unread.split(b"\n", 1)
        found: Measured = json.loads(line)
        return found

    def close(self) -> None:
        """End it, and what it measures."""
        if self._process is None:
            return
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        _end_session(self._process.pid)
        self._process.wait()
        self._process.stdout.close()
        self._process = None


def serve(peer: Peer, data: Path, keras: bool) -> None:
    """Import a peer, and measure what is asked for on stdin, one line each, until that ends. Answers on stdout."""
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print there

    def answer(found: Measured) -> None:
        os.write(answers, json.dumps(found).encode() + b"\n")

    try:
        version = peer.version()
        if keras:  # later, because PyTorch crashes where TensorFlow is there already
            importlib.import_module("keras")
    except ImportError as error:
        answer({"unsupported": f"not installed: {error}"})
        return
    answer({"version": version})
    gc.freeze()  # a collection would write to the pages that forks share
    for line in iter(lambda: _line(0), b""):
        what = json.loads(line)

        def found(what: Measured = what) -> Measured:
            return measure.run(what, peer, TASKS[what["task"]], data) | {"version": version}

        answer(found() if what["alone"] else _in_a_fork(found))
        if what["alone"]:
            measure.leave()


def _line(file: int) -> bytes:
    """Return a line, read byte by byte: what follows is left to `select`."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(file, 1)):
        line += byte
    return line


def _in_a_fork(work: Callable[[], Measured]) -> Measured:
    """Return what a function returns in another process, and end what that leaves behind. Exits if nobody asks any more."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.write(write, json.dumps(work()).encode() + b"\n")
        measure.leave()
    os.close(write)
    ended = os.pidfd_open(child)  # the pipe may be held by what the child has forked
    content = b""
    while not content.endswith(b"\n"):
        ready, _, _ = select.select([read, ended, 0], [], [])
        if read in ready and (more := os.read(read, 1 << 16)):
            content += more
        elif ended in ready:
            break
        else:  # nothing is asked before the answer, so stdin has ended
            _end_session(child)
            measure.leave()
    _end_session(child)
    _, status = os.waitpid(child, 0)
    os.close(read)
    os.close(ended)
    if content:
        found: Measured = json.loads(content)
        return found
    return {"unsupported": f"ended by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else "ended without a result"}


def _end_session(pid: int) -> None:
    """End a process that leads a session, and what it has left behind there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
