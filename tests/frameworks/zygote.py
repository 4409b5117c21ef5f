"""Runs in a process of its own: imports Keras with its backend, then runs each script in a fork of itself, where the import is done already.

A process that has used a framework can't be forked: its threads would be missing in the child. This one has only imported it, and has one thread;
that is looked at before each fork. All else is as when Python runs the script: its name is `__main__`, and an exception ends the process.

Each message at the socket that is the first argument asks for one thing, and is answered with a number: `{"argv": ...}`, with descriptors 0, 1, 2
and others to be inherited, for a process, with its pid; `{"wait": pid}` for its end, with its status.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import runpy
import socket
import sys
from typing import Any

PARENT = socket.socket(fileno=int(sys.argv[1]))


def fork(request: dict[str, Any], descriptors: list[int]) -> int:
    assert len(os.listdir("/proc/self/task")) == 1, "a framework has started threads when it was imported"
    pid = os.fork()
    if pid:
        for fd in descriptors:
            os.close(fd)
        return pid
    PARENT.close()
    os.setsid()
    for wanted, fd in enumerate(descriptors[:3]):
        os.dup2(fd, wanted)
        os.close(fd)
    path, *arguments = request["argv"]
    sys.argv = [path, *arguments, *map(str, descriptors[3:])]
    sys.path[0] = os.path.dirname(path)
    del os.environ["OPENBLAS_NUM_THREADS"]
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    runpy.run_path(path, run_name="__main__")
    sys.exit()


sys.modules["pandas"] = None  # type: ignore[assignment]  # Keras imports it where it is there, and it imports pyarrow, which starts threads
importlib.import_module("keras")
del sys.modules["pandas"]
if importlib.util.find_spec("tensorflow"):
    importlib.import_module("tensorflow")  # as `keras.utils.set_random_seed` does on every backend
gc.freeze()
while True:
    message, descriptors, _, _ = socket.recv_fds(PARENT, 65536, 8)
    if not message:
        break
    request = json.loads(message)
    answer = fork(request, descriptors) if "argv" in request else os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
    PARENT.send(str(answer).encode())
