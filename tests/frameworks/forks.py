"""Processes that have imported a framework when they start: forks of `zygote.py`, so that it is imported once and not for each of them.

All processes of a test run share one zygote of each backend: the first one that needs it starts it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RUN_MARK, kill_with_stacks, script_environment


class Zygote:
    """The process that has imported one backend of Keras, and forks.

    Args:
        backend: of Keras.
        folder: for what this process writes.
        common: folder of all processes of the test run.
    """

    def __init__(self, backend: str, folder: Path, common: Path) -> None:
        self.folder = folder
        self._backend = backend
        self._runs = 0
        address = str(common / f"{backend}.zygote")
        with open(f"{address}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(address):
                self._start(backend, address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(address)

    @staticmethod
    def _start(backend: str, address: str) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(address)
        listener.listen()
        more = {"OPENBLAS_NUM_THREADS": "1"}  # with more, importing NumPy starts threads
        more["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # as importing pyarrow does, which TensorFlow imports by way of pandas
        if backend == "jax":
            more["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
            more["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        command = [sys.executable, str(Path(__file__).with_name("zygote.py")), str(listener.fileno())]
        environment = _environment(backend, more)
        del environment[RUN_MARK[0]]  # what it forks belongs to whom it is forked for
        subprocess.run(command, env=environment, pass_fds=[listener.fileno()], start_new_session=True, check=True)
        listener.close()

    def fork(self, argv: list[str], folder: Path, descriptors: list[int], environment: dict[str, str] | None = None) -> Fork:
        """Start a script with these descriptors as 0, 1 and 2; the numbers of others come after its arguments."""
        request = {
            "argv": argv,
            "folder": str(folder),
            "compiled": str(self.folder / "compiled"),
            "environment": _environment(self._backend, environment or {}),
        }
        return Fork(self, self.ask(request, descriptors))

    def ask(self, request: dict[str, Any], descriptors: list[int] | None = None) -> int:
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors or [])
        answer = self._socket.recv(64)
        assert answer, "the process that has imported the framework has ended"
        return int(answer)

    def run(
        self, script: str | Path, *args: object, folder: Path, timeout: float = 60.0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Python text, or a file's path, as the fixture `run_script` does."""
        self._runs += 1
        if isinstance(script, str):
            path = folder / f"fork{self._runs}.py"
            path.write_text(script)
        else:
            path = script
        argv = [str(path), *map(str, args)]
        out, err = folder / f"fork{self._runs}.out", folder / f"fork{self._runs}.err"
        with open(os.devnull, "rb") as nothing, out.open("wb") as stdout, err.open("wb") as stderr:
            process = self.fork(argv, folder, [nothing.fileno(), stdout.fileno(), stderr.fileno()], env)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_with_stacks(process)
            pytest.fail(f"{path.name} still ran after {timeout:g} s\n--- stdout\n{out.read_text()}\n--- stderr, with stacks\n{err.read_text()}")
        except BaseException:  # the watchdog, Ctrl-C
            kill_with_stacks(process)
            raise
        return subprocess.CompletedProcess(argv, status, out.read_text(), err.read_text())

    def close(self) -> None:
        self._socket.close()


def _environment(backend: str, more: dict[str, str]) -> dict[str, str]:
    """Return what a process with this backend has as its environment."""
    # With more threads, those of PyTorch spin while they wait for each other, at the cost of all other tests.
    threads = {"OMP_NUM_THREADS": "1"} if backend == "torch" else {}
    return script_environment({"KERAS_BACKEND": backend, **threads, **more})


class Fork:
    """A child of a zygote: what the tests use of `subprocess.Popen`."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self._end = os.pidfd_open(pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        return self._status if self._status is not None or not self._ended(0) else self.wait()

    def wait(self, timeout: float | None = None) -> int:
        if self._status is None:
            if not self._ended(timeout):
                raise subprocess.TimeoutExpired([], timeout or 0)
            self._status = self._zygote.ask({"wait": self.pid})
            os.close(self._end)
        return self._status

    def _ended(self, timeout: float | None) -> bool:
        return bool(select.select([self._end], [], [], timeout)[0])
