"""Runs in a process of its own: imports Keras with its backend, then runs each script in a fork of itself, where the import is done already.

A process that has used a framework can't be forked: its threads would be missing in the child. This one has only imported it, and has one thread;
that is looked at before each fork. All else is as when Python runs the script: its name is `__main__`, and an exception ends the process.

The first argument is the socket at which all processes that run tests connect; when the last of them has gone, this one ends. Each message asks
for one thing, and is answered with a number: `{"argv": ...}`, with descriptors 0, 1, 2 and others to be inherited, for a process, with its pid;
`{"wait": pid}` for its end, with its status.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import runpy
import select
import socket
import sys
from typing import Any

if os.fork():  # it belongs to no process that runs tests
    os._exit(0)
LISTENER = socket.socket(fileno=int(sys.argv[1]))
CLIENTS: list[socket.socket] = []


def fork(request: dict[str, Any], descriptors: list[int]) -> int:
    assert len(os.listdir("/proc/self/task")) == 1, "a framework has started threads when it was imported"
    pid = os.fork()
    if pid:
        for fd in descriptors:
            os.close(fd)
        return pid
    for each in (LISTENER, *CLIENTS):
        each.close()
    os.setsid()
    for wanted, fd in enumerate(descriptors[:3]):
        os.dup2(fd, wanted)
        os.close(fd)
    path, *arguments = request["argv"]
    sys.argv = [path, *arguments, *map(str, descriptors[3:])]
    sys.path[0] = os.path.dirname(path)
    os.environ.clear()
    os.environ.update(request["environment"])
    if "jax" in sys.modules:  # most tests compile the same small model; processes that do so at once have a cache each
        sys.modules["jax"].config.update("jax_compilation_cache_dir", request["compiled"])
    os.chdir(request["folder"])
    runpy.run_path(path, run_name="__main__")
    sys.exit()


sys.modules["pandas"] = None  # type: ignore[assignment]  # Keras imports it where it is there, and it imports pyarrow, which starts threads
importlib.import_module("keras")
del sys.modules["pandas"]
if importlib.util.find_spec("tensorflow"):
    importlib.import_module("tensorflow")  # as `keras.utils.set_random_seed` does on every backend
gc.freeze()
CLIENTS.append(LISTENER.accept()[0])
while CLIENTS:
    for asking in select.select([LISTENER, *CLIENTS], [], [])[0]:
        if asking is LISTENER:
            CLIENTS.append(LISTENER.accept()[0])
            continue
        message, descriptors, _, _ = socket.recv_fds(asking, 65536, 8)
        if not message:
            CLIENTS.remove(asking)
            asking.close()
            continue
        request = json.loads(message)
        answer = fork(request, descriptors) if "argv" in request else os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        asking.send(str(answer).encode())
