"""The servers that all processes of a test run share, from the side of one of them (`keeper.py` is the process that keeps them)."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.conftest import ROOT, RUN_MARK, script_environment


class Bucket:
    """A bucket of its own in a server.

    Attributes:
        name: of the bucket.
        url: `s3://name` or `gs://name`.
        endpoint: `http://127.0.0.1:port` of the server.
        environment: the variables with which clients of this kind of store find the server and its credentials.
    """

    def __init__(self, scheme: str, endpoint: str, environment: dict[str, str], upload: str) -> None:
        self.name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.url = f"{scheme}://{self.name}"
        self.endpoint = endpoint
        self.environment = environment
        self._upload = upload

    def put(self, key: str, content: bytes) -> str:
        """Write an object, without any client library; return its URL."""
        method = "PUT" if "{bucket}/{key}" in self._upload else "POST"
        safe = "/" if method == "PUT" else ""
        address = self._upload.format(bucket=self.name, key=quote(key, safe=safe))
        request = urllib.request.Request(address, content, {"Content-Type": "application/octet-stream"}, method=method)
        urllib.request.urlopen(request, timeout=30).close()
        return f"{self.url}/{key}"

    def put_folder(self, folder: Path, prefix: str = "") -> None:
        """Write all files of a folder, with their paths below it as keys."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}{path.relative_to(folder).as_posix()}", path.read_bytes())


class Keeper:
    """The connection to the process that keeps the servers; the first one that needs it starts it.

    Args:
        common: folder of all processes of the test run.
    """

    def __init__(self, common: Path) -> None:
        address = str(common / "servers.keeper")
        with open(f"{address}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._socket = _connected(address) or _started(address)

    def s3_bucket(self) -> Bucket:
        known = self._ask("s3")
        endpoint = f"http://127.0.0.1:{known['port']}"
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": known["access_key"],
            "AWS_SECRET_ACCESS_KEY": known["secret_key"],
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        bucket = Bucket("s3", endpoint, environment, f"http://127.0.0.1:{known['filer']}/buckets/{{bucket}}/{{key}}")
        bucket.put(".bucket", b"")  # the first object makes the bucket
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{known['filer']}/buckets/{bucket.name}/.bucket", method="DELETE")).close()
        return bucket

    def gcs_bucket(self) -> Bucket:
        endpoint = f"http://127.0.0.1:{self._ask('gcs')['port']}"
        account = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        environment = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account), "STORAGE_EMULATOR_HOST": endpoint}
        bucket = Bucket("gs", endpoint, environment, f"{endpoint}/upload/storage/v1/b/{{bucket}}/o?uploadType=media&name={{key}}")
        made = json.dumps({"name": bucket.name}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/storage/v1/b", made, {"Content-Type": "application/json"})).close()
        return bucket

    def _ask(self, name: str) -> dict[str, Any]:
        self._socket.send(name.encode())
        answer: dict[str, Any] = json.loads(self._socket.recv(65536))
        assert "error" not in answer, answer["error"]
        return answer

    def close(self) -> None:
        self._socket.close()


def _connected(address: str) -> socket.socket | None:
    """Return a connection to the keeper that listens there; None if there is none, or if it has just ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


def _started(address: str) -> socket.socket:
    Path(address).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    environment = script_environment(None)
    environment.pop(RUN_MARK[0], None)  # it belongs to the run, not to a test
    command = [sys.executable, "-m", "tests.servers.keeper", str(listener.fileno()), tempfile.mkdtemp(prefix="loader-servers-")]
    quiet = subprocess.DEVNULL
    subprocess.run(command, env=environment, pass_fds=[listener.fileno()], stdin=quiet, stdout=quiet, cwd=ROOT, start_new_session=True, check=True)
    connection = _connected(address)
    assert connection
    listener.close()
    return connection


def common_folder(base: Path) -> Path:
    """Return the folder that all processes of a test run have in common, from the one of this process."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
