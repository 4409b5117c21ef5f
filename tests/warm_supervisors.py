"""Supervisors, and processes that look at far data, as forks of an interpreter that has done their imports: tests start hundreds of them.

Scripts, commands and everything else that has a process of its own start theirs as users do, and so do those
of tests that are marked `cold`, and all where LOADER_TEST_COLD is set.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from loader.data.remote.scouting import scout
from loader.train.remote import launch
from tests.conftest import ROOT

# Number of the system call, for `warm_interpreter.py`.
SYS_CLONE = {"x86_64": 56, "aarch64": 220}

_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


class WarmInterpreter:
    """The process that forks supervisors; the process that made this owns it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, str(Path(__file__).with_name("warm_interpreter.py")), str(theirs.fileno()), str(SYS_CLONE[os.uname().machine])]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            answer = self._socket.recv(64)
        assert answer, "the interpreter that supervisors are forked from has ended"
        return int(answer)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


class WarmChild(subprocess.Popen):  # type: ignore[type-arg]
    """What `subprocess.Popen` is to who starts a supervisor, or a process that looks at far data."""

    def __init__(
        self,
        interpreter: WarmInterpreter,
        arguments: list[str],
        *,
        pass_fds: list[int] | None = None,
        stdin: int | BinaryIO = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = 2,
        env: dict[str, str] | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args, self.stdin, self.stdout, self.stderr, self.returncode = arguments, None, None, None, None
        self._waitpid_lock = threading.Lock()
        self._child_created = False
        more = pass_fds or []
        request = {
            "arguments": arguments[arguments.index("-c") + 1 :],
            "environment": env or dict(os.environ),
            "descriptors": [0, 1, 2, *more],
            "session": start_new_session,
            "umask": _umask(),
            "cores": list(os.sched_getaffinity(0)),
            "limits": [(kind, resource.getrlimit(kind)) for kind in _LIMITS],
            "ignored": [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE],
            "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        }
        with contextlib.ExitStack() as ours:
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
            ours.callback(os.close, folder)
            read = ours.enter_context(open(os.devnull, "rb")) if stdin == subprocess.DEVNULL else stdin
            if stdout == subprocess.PIPE:
                reading, stdout = os.pipe()
                self.stdout = os.fdopen(reading, "rb")
                ours.callback(os.close, stdout)
            self.pid = interpreter.fork(request, [folder, read if isinstance(read, int) else read.fileno(), stdout, stderr, *more])
        self._child_created = True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def module(interpreter: WarmInterpreter) -> types.SimpleNamespace:
    """Return what stands for the module `subprocess` where such processes are started."""

    def start(arguments: list[str], **how: Any) -> subprocess.Popen[bytes]:
        if os.getpid() != interpreter.owner:  # a fork of the process that runs tests: the supervisor would not be its child
            return subprocess.Popen(arguments, **how)
        return WarmChild(interpreter, arguments, **how)

    names = {name: getattr(subprocess, name) for name in ("DEVNULL", "PIPE", "TimeoutExpired")}
    return types.SimpleNamespace(Popen=start, **names)


@pytest.fixture(scope="session")
def warm_interpreter() -> Iterator[WarmInterpreter | None]:
    """The one of this process; None where every supervisor has to start from nothing."""
    known = os.uname().machine in SYS_CLONE and "LOADER_TEST_COLD" not in os.environ
    interpreter = WarmInterpreter() if known else None
    yield interpreter
    if interpreter is not None:
        interpreter.close()


@pytest.fixture(autouse=True)
def warm_supervisors(request: pytest.FixtureRequest, warm_interpreter: WarmInterpreter | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:  # not the one of the test, which may undo all that it has done
        if warm_interpreter is not None and not request.node.get_closest_marker("cold"):
            for starts in (launch, scout):
                patch.setattr(starts, "subprocess", module(warm_interpreter))
        yield
