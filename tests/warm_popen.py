"""`subprocess.Popen` for Python programs that a fork of `warm_interpreter.py` can be. Used by tests, and by the scripts that they start."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any

from loader.data.remote.scouting import scout
from loader.train.remote import launch

# A fork answers at once; on a busy machine, as soon as it can.
_PATIENCE_S = 60.0

_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]

# What Python and its libraries look at when they start; of these, a fork can follow only some.
_EARLY = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
_FOLLOWED = ("PYTHONFAULTHANDLER", "PYTHONPATH", "PYTHONUNBUFFERED")


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_EARLY) and name not in _FOLLOWED}


class Forks:
    """Forks of the interpreter at the other end of a socket, as children of this process."""

    def __init__(self, asking: socket.socket) -> None:
        self.owner = os.getpid()
        self.early = _early(os.environ)
        self._asking = asking
        self._lock = threading.Lock()
        asking.settimeout(_PATIENCE_S)

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._asking, [json.dumps(request).encode()], descriptors)
            try:
                answer = self._asking.recv(64)
            except TimeoutError:
                self._asking.close()  # a late answer would be taken for that to the next request
                raise TimeoutError(f"after {_PATIENCE_S:.0f} s, no fork has begun to run {request['arguments']}") from None
        assert answer, "the interpreter that others are forked from has ended"
        return int(answer)

    def close(self) -> None:
        self._asking.close()


class WarmPopen(subprocess.Popen):  # type: ignore[type-arg]
    """What `subprocess.Popen` is, for Python programs that a fork of `forks` can be."""

    forks: Forks
    starts: bool

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: bool, pass_fds: Any, cwd: Any, env: Any, *more: Any) -> None:
        _, _, shell, *ends, _, gid, gids, uid, umask, session = more[:15]  # and a process group since 3.11, -1 for none
        environment = dict(os.environ) if env is None else env
        usual = (gid, gids, uid, umask, *more[15:]) in ((None, None, None, -1), (None, None, None, -1, -1))
        plain = usual and not (shell or executable or preexec_fn)
        if not (plain and self._can_be_forked(args, environment)):
            return super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *more)  # type: ignore[misc]
        request = {
            "arguments": list(map(os.fspath, args[1:])),
            "environment": environment,
            "descriptors": [0, 1, 2, *pass_fds],
            "session": session,
            "starts": self.starts,
            "umask": _umask(),
            "cores": list(os.sched_getaffinity(0)),
            "limits": [(kind, resource.getrlimit(kind)) for kind in _LIMITS],
            "ignored": [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE],
            "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        }
        theirs = [end if end >= 0 else fd for fd, end in enumerate((ends[0], ends[3], ends[5]))]
        folder = os.open(cwd or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.pid = self.forks.fork(request, [folder, *theirs, *pass_fds])
        finally:
            os.close(folder)
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]

    def _can_be_forked(self, args: Any, environment: Mapping[str, str]) -> bool:
        """Whether it is a Python program without options, and this process is not a fork, whose child it would not be."""
        if isinstance(args, (str, bytes)) or args[0] != sys.executable or os.getpid() != self.forks.owner:
            return False
        what = os.fspath(args[1]) if len(args) > 1 else "-"
        return (what in ("-c", "-m") or what.endswith(".py")) and _early(environment) == self.forks.early


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def popen(forks: Forks, *, starts: bool) -> type[WarmPopen]:
    """Return what stands for `subprocess.Popen`. With `starts`, the supervisors of these programs are forks, too."""
    return type("Popen", (WarmPopen,), {"forks": forks, "starts": starts})


def for_supervisors(forks: Forks) -> types.SimpleNamespace:
    """Return what stands for the module `subprocess` where supervisors are started, and processes that look at far data."""
    return types.SimpleNamespace(
        Popen=popen(forks, starts=False), **{name: getattr(subprocess, name) for name in ("DEVNULL", "PIPE", "TimeoutExpired")}
    )


def start_here_from(asking: socket.socket) -> None:
    """Let the supervisors of this process be forks of the interpreter at the other end of the socket."""
    for module in (launch, scout):
        module.subprocess = for_supervisors(Forks(asking))  # type: ignore[assignment]
