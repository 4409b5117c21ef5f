"""Runs in a process of its own: an interpreter that has done the imports of what tests start, and forks whenever they start one.

Nearly all of what the start of a supervisor, or of a command, costs is imports (docs/measurements.md), which a fork has behind it. The rest is as in
a fresh interpreter: the code of `-c`, the module of `-m` or the script is its `__main__`; arguments, descriptors, search path, working directory,
environment, limits and signals are those of the process that starts it, which is also its parent. Only its hashes are those of its siblings.

The first argument is the socket at which the process that runs tests asks; when that process ends, this one does. The second one is the number of the
system call clone(2); the others are the modules to import.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import io
import json
import os
import random
import resource
import runpy
import signal
import socket
import sys
import types
from typing import Any

import numpy.random

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


def become(request: dict[str, Any], received: list[int], asking: socket.socket, clone: int) -> None:
    """Be what `subprocess.Popen` would have started, which returns when the program begins: here, when `asking` has been told."""
    folder, *descriptors = received
    os.fchdir(folder)
    os.close(folder)
    highest = max(*request["descriptors"], *descriptors, asking.fileno())
    moved = [os.dup2(fd, highest + 1 + number) for number, fd in enumerate([*descriptors, asking.fileno()])]
    asking.detach()
    os.closerange(3, highest + 1)
    for fd, wanted in zip(moved, request["descriptors"], strict=False):
        os.dup2(fd, wanted)
        os.close(fd)
    if request["session"]:
        os.setsid()
    os.umask(request["umask"])
    os.sched_setaffinity(0, request["cores"])
    for kind, limits in request["limits"]:
        resource.setrlimit(kind, tuple(limits))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    os.environ.clear()
    os.environ.update(request["environment"])
    random.seed()
    numpy.random.seed()
    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable(file=2)
    open_streams(unbuffered=bool(os.environ.get("PYTHONUNBUFFERED")))
    sys.excepthook = show_without_this_file
    if request["starts"]:
        start_interpreter(clone)
    os.write(moved[-1], str(os.getpid()).encode())
    os.close(moved[-1])
    run(*request["arguments"])


def start_interpreter(clone: int) -> None:
    """Let the supervisors of this program be forks as well: of a child of it, so that they are its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        importlib.import_module("warm_popen").start_here_from(ours)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for all that the terminal shows
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    os.dup2(theirs.detach(), 3)
    os.closerange(4, 1 << 16)
    serve(socket.socket(fileno=3), clone)
    os._exit(0)


def open_streams(unbuffered: bool) -> None:
    """Make of the descriptors 0, 1 and 2 what Python makes of them when it starts."""
    encoding, errors = sys.stdout.encoding, sys.stdout.errors

    def writes(fd: int, errors: str, lines: bool) -> io.TextIOWrapper:
        raw = io.FileIO(fd, "wb", closefd=False)
        buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
        return io.TextIOWrapper(buffer, encoding, errors, line_buffering=lines or raw.isatty(), write_through=unbuffered)

    reading = io.BufferedReader(io.FileIO(0, "rb", closefd=False))
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(reading, encoding, errors)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = writes(1, errors, lines=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = writes(2, "backslashreplace", lines=True)  # type: ignore[misc]


def show_without_this_file(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def run(what: str, *more: str) -> None:
    """Be the program `-c code`, `-m module` or the path of a script, with the arguments that follow."""
    search = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    first = "" if what == "-c" else os.getcwd() if what == "-m" else os.path.dirname(os.path.abspath(what))
    sys.path[:] = [first, *dict.fromkeys([*filter(None, search), *sys.path[1:]])]
    if what == "-m":
        sys.argv = list(more)
        runpy.run_module(more[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if what == "-c":
        code, *arguments = more
        sys.argv = ["-c", *arguments]
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.argv = [what, *more]
        main.__file__ = os.path.abspath(what)
        with open(what, "rb") as script:
            text = script.read()
        exec(compile(text, main.__file__, "exec"), main.__dict__)


def serve(asking: socket.socket, clone: int) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(asking, 1 << 20, 64)
        if not message:
            return
        if not fork_a_sibling(clone):
            become(json.loads(message), descriptors, asking, clone)
            sys.exit()
        for fd in descriptors:
            os.close(fd)


if __name__ == "__main__":
    for _module in sys.argv[3:]:
        importlib.import_module(_module)
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
