"""Looking at far data in the process that makes a source: by a child, which ends with its answer.

obstore and fsspec start threads when they are used, and these stay: in a process that forks later, as many scripts do, they would be missing in the
fork. So the user's process only asks. The question is in a memory file, which never blocks whoever writes it, and the answer comes through a pipe.
So neither arguments, environment nor disk have credentials.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from loader.data.remote.objects import Copy, Fetched, Objects, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.answers import Answer, unpack_contents, unpack_facts
from loader.data.remote.scouting.shown import Shown
from loader.data.remote.stores.fsspec_store import check_fsspec
from loader.data.remote.stores.obstore_store import check_obstore
from loader.data.remote.urls import OBJECT_STORES
from loader.errors import FetchError, from_record

_CHILD = """
import sys
import json
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from loader.data.remote.scouting.child import answer
answer()
"""

_REQUEST_S = 10.0  # for one that only asks: so that one that hangs is sent again
_SILENCE_S = 30.0  # the child gives a sign of life every second
_DYING_S = 5.0  # from the end of the answer to that of the process


@dataclass(frozen=True)
class Scout:
    """Looks at far data, and writes it, in a child.

    Each method starts one, which takes about 0.2 s, and blocks until it has answered, has died, or gives no sign of life.

    Args:
        options: of the stores.
    """

    options: StorageOptions

    def send(self, files: list[tuple[str, str]]) -> None:
        """Write files of this machine, each to its URL. Raises FetchError, ConfigError."""
        self._ask("send", files[0][1], files)

    def bring(self, copies: list[Copy]) -> None:
        """Write objects to files of this machine. Raises FetchError, DataNotFoundError, ConfigError."""
        self._ask("bring", copies[0].url, copies)

    def below(self, url: str) -> Objects:
        """Return all objects below a folder, sorted. Raises FetchError, ConfigError."""
        return unpack_facts(*self._ask("below", url, url))

    def about(self, urls: list[str]) -> Objects:
        """Return what is known of objects, in their order. Raises FetchError, ConfigError."""
        return unpack_facts(*self._ask("about", urls[0], urls))

    def content(self, span: Span) -> bytes:
        """Return an object, or a range of it. Raises FetchError, DataNotFoundError, ConfigError."""
        return bytes(self.contents([span])[0].content)

    def contents(self, spans: list[Span]) -> list[Fetched]:
        """Return several of them, with size and version of each object. Raises as `content` does."""
        return unpack_contents(*self._ask("contents", spans[0].url, [span[:3] for span in spans]))

    def _ask(self, what: str, url: str, given: Any) -> Answer:
        """Ask a child for something, about `url` and others of the same kind."""
        check_library(url)
        question = {"what": what, "given": given, "options": self.options.values(), "request_s": _REQUEST_S}
        with _written([sys.path, question]) as file:
            # Ctrl-C is for this process, which ends the child; whatever else ends it, the child can't write any more, and ends.
            child = subprocess.Popen([sys.executable, "-c", _CHILD], stdin=file, stdout=subprocess.PIPE, start_new_session=True)
        assert child.stdout is not None
        try:
            return _receive(child, child.stdout.fileno(), Shown(url, "bytes" if what == "bring" else "objects"))
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def check_library(url: str) -> None:
    """Raise ConfigError unless what a URL is read with is installed."""
    if url.partition("://")[0].lower() in OBJECT_STORES:
        check_obstore()
    else:
        check_fsspec(url)


@contextmanager
def _written(lines: list[Any]) -> Iterator[BinaryIO]:
    """Give a memory file with a line of JSON for each, to be read from its beginning."""
    from loader.ipc import memfd  # here, as shared memory is made in one place, below this one

    with open(memfd.create("question"), "w+b") as file:
        file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        file.seek(0)
        yield file


def _receive(child: subprocess.Popen[bytes], pipe: int, shown: Shown) -> Answer:
    text, ended = bytearray(), "hangs"
    while select.select([pipe], [], [], _SILENCE_S)[0]:
        piece = os.read(pipe, 1 << 20)
        if not piece:
            ended = _end_of(child)
            break
        text += piece
        while (end := text.find(b"\n")) >= 0:
            line = json.loads(text[:end])
            if "known" in line:
                shown.update(line["known"], line["trouble"])
                del text[: end + 1]
                continue
            shown.end()
            if "error" in line:
                raise from_record(line)
            if len(text) < end + 1 + line["nbytes"]:
                break
            return line, bytes(text[end + 1 :])
    raise FetchError(shown.url, f"the process that looks at it gave no answer: it {ended}; see what it printed")


def _end_of(child: subprocess.Popen[bytes]) -> str:
    """Return how a process ended that has closed its output, which it does a moment before."""
    try:
        status = child.wait(_DYING_S)
    except subprocess.TimeoutExpired:
        return "hangs at its end"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
