"""Runs in a process of its own: an interpreter that has imported what a supervisor imports, and a process that looks at far
data, and forks whenever a test starts one.

Nearly all of what the start of a supervisor costs is imports, which a fork has behind it (docs/measurements.md): also those of pytest and of what
tests share, for sources and transforms that travel by their names, in the module of a test. The rest is as in a fresh interpreter: what follows `-c`
is its `__main__`; descriptors, working directory, environment, limits and signals are those of the process that starts it, which is also its parent.
Only its hashes are those of its siblings.

The first argument is the socket at which the process that runs tests asks; when that process ends, this one does. The second one is the number of the
system call clone(2).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import random
import resource
import signal
import socket
import sys
import types
from typing import Any

import numpy.random

for _module in ("cloudpickle", "loader.data.remote.scouting.child", "loader.supervise.boot", "tests.batches", "tests.conftest", "tests.processes"):
    importlib.import_module(_module)

_CLONE_PARENT = 0x8000
_python = ctypes.pythonapi  # which keeps the interpreter's lock
_python.syscall.restype = ctypes.c_long
_python.syscall.argtypes = [ctypes.c_long] * 6


def fork_a_sibling(clone: int) -> int:
    """Fork as `os.fork` does, but the child has this process' parent."""
    _python.PyOS_BeforeFork()
    pid = int(_python.syscall(clone, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid:
        _python.PyOS_AfterFork_Parent()
    else:
        _python.PyOS_AfterFork_Child()
    return pid


def become(request: dict[str, Any], received: list[int]) -> None:
    """Be what `subprocess.Popen` would have started."""
    folder, *descriptors = received
    os.fchdir(folder)
    os.close(folder)
    highest = max(*request["descriptors"], *descriptors)
    moved = [os.dup2(fd, highest + 1 + number) for number, fd in enumerate(descriptors)]
    os.closerange(3, highest + 1)
    for fd, wanted in zip(moved, request["descriptors"], strict=True):
        os.dup2(fd, wanted)
        os.close(fd)
    if request["session"]:
        os.setsid()
    os.umask(request["umask"])
    os.sched_setaffinity(0, request["cores"])
    for kind, limits in request["limits"]:
        resource.setrlimit(kind, tuple(limits))
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    os.environ.clear()
    os.environ.update(request["environment"])
    random.seed()
    numpy.random.seed()
    code, *sys.argv[1:] = request["arguments"]
    sys.argv[0] = "-c"
    sys.path[0] = ""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), main.__dict__)


def serve(asking: socket.socket, clone: int) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(asking, 1 << 20, 64)
        if not message:
            return
        pid = fork_a_sibling(clone)
        if not pid:
            asking.close()
            become(json.loads(message), descriptors)
            sys.exit()
        for fd in descriptors:
            os.close(fd)
        asking.send(str(pid).encode())


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
