"""Looking at far data in the process that makes a source: by a child, which ends with its answer.

obstore and fsspec start threads when they are used, and these stay: in a process that forks later, as many scripts do, they would be missing in the
fork. So the user's process only asks. The question is in a memory file, which never blocks whoever writes it, and the answer comes through a pipe.
So neither arguments, environment nor disk have credentials.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from loader.data.remote.fsspec_store import check_fsspec
from loader.data.remote.listing import Lister
from loader.data.remote.objects import Copy, Facts, Fetched, Objects, Span
from loader.data.remote.obstore_store import check_obstore
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores import Stores
from loader.data.remote.urls import OBJECT_STORES
from loader.errors import FetchError, LoaderError, from_record

_CHILD = """
import sys
import json
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from loader.data.remote.scouting import answer
answer()
"""

_PATIENCE_S = 45.0  # of the child, for all tries of a request
_REQUEST_S = 10.0  # for one that only asks: so that one that hangs is sent again
_SILENCE_S = 30.0  # of the parent; the child gives a sign of life every second
_SIGN_OF_LIFE_S = 1.0
_DYING_S = 5.0  # from the end of the answer to that of the process
_SHOWN_AFTER_S = 2.0

_log = logging.getLogger("loader.data")


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
        self._ask("send", files[0][1], [files])

    def bring(self, copies: list[Copy]) -> None:
        """Write objects to files of this machine. Raises FetchError, DataNotFoundError, ConfigError."""
        self._ask("bring", copies[0].url, [copies])

    def below(self, url: str) -> Objects:
        """Return all objects below a folder, sorted. Raises FetchError, ConfigError."""
        return _objects(*self._ask("below", url, []))

    def about(self, urls: list[str]) -> Objects:
        """Return what is known of objects, in their order. Raises FetchError, ConfigError."""
        return _objects(*self._ask("about", urls[0], [urls]))

    def content(self, span: Span) -> bytes:
        """Return an object, or a range of it. Raises FetchError, DataNotFoundError, ConfigError."""
        return bytes(self.contents([span])[0].content)

    def contents(self, spans: list[Span]) -> list[Fetched]:
        """Return several of them, with size and version of each object. Raises as `content` does."""
        return _fetched(*self._ask("contents", spans[0].url, [[span[:3] for span in spans]]))

    def _ask(self, what: str, url: str, more: list[Any]) -> tuple[dict[str, Any], bytes]:
        check_library(url)
        question = {"what": what, "url": url, "more": more, "options": self.options.values(), "request_s": _REQUEST_S}
        with _written([sys.path, question]) as file:
            child = subprocess.Popen([sys.executable, "-c", _CHILD], stdin=file, stdout=subprocess.PIPE)
        assert child.stdout is not None
        try:
            return _receive(child, child.stdout.fileno(), _Shown(url, "bytes" if what == "bring" else "objects"))
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


def _receive(child: subprocess.Popen[bytes], pipe: int, shown: _Shown) -> tuple[dict[str, Any], bytes]:
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
                shown.update(line["known"])
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


class _Shown:
    """Says how far a long listing or transfer is, which counts `what`: on a terminal in one line that changes, else in the log."""

    def __init__(self, url: str, what: str) -> None:
        self.url = url
        self._what = what
        self._next_s = time.monotonic() + _SHOWN_AFTER_S
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._drawn = False

    def update(self, known: int) -> None:
        """So many are known."""
        now = time.monotonic()
        if now < self._next_s or not known:
            return
        if self._terminal:
            print(f"\r{self.url}: {known:,} {self._what} so far", end="", file=sys.stderr, flush=True)
            self._drawn = True
        else:
            _log.info("%s: %d %s so far", self.url, known, self._what)
        self._next_s = now + (_SIGN_OF_LIFE_S if self._terminal else 10 * _SIGN_OF_LIFE_S)

    def end(self) -> None:
        """All are known."""
        if self._drawn:
            print(file=sys.stderr, flush=True)
        self._drawn = False


def _objects(header: dict[str, Any], content: bytes) -> Objects:
    count = header["count"]
    table = np.frombuffer(content, np.int64, 2 * count).reshape(2, count)
    urls = content[16 * count :].decode("utf-8", "surrogatepass").split("\0") if count else []
    return Objects(urls, table[0].copy(), table[1].copy())


def _fetched(header: dict[str, Any], content: bytes) -> list[Fetched]:
    count = header["count"]
    table = np.frombuffer(content, np.int64, 3 * count).reshape(count, 3).tolist()
    found, place = [], 24 * count
    for size, version, length in table:
        found.append(Fetched(content[place : place + length], size, version))
        place += length
    return found


# The child.


def answer() -> None:
    """Answer the question on standard input. Never returns."""
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        header, content = asyncio.run(_move(asked) if asked["what"] in ("send", "bring") else _answer(asked))
    except LoaderError as error:
        header, content = error.to_record(), b""
    _write(header)
    _write_all(content)
    os._exit(0)  # threads of libraries may be at work


async def _move(asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    lister, alive = _lister(asked)
    try:
        (files,) = asked["more"]
        await (lister.send(files) if asked["what"] == "send" else lister.bring([Copy(*each) for each in files]))
    finally:
        alive.cancel()
    return {"nbytes": 0}, b""


def _lister(asked: dict[str, Any]) -> tuple[Lister, asyncio.Task[None]]:
    """Return what asks the stores, and what gives a sign of life every second until it is cancelled."""
    known = 0

    def tell(count: int) -> None:
        nonlocal known
        known = count

    async def live() -> None:
        while True:
            _write({"known": known})
            await asyncio.sleep(_SIGN_OF_LIFE_S)

    stores = Stores(StorageOptions(asked["options"]), asked["request_s"] if asked["what"] in ("below", "about") else _PATIENCE_S)
    return Lister(stores, _PATIENCE_S, tell), asyncio.get_running_loop().create_task(live())


async def _answer(asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    lister, alive = _lister(asked)
    url, more = asked["url"], asked["more"]
    try:
        if asked["what"] == "contents":
            return _packed_contents(await lister.contents([Span(*fields) for fields in more[0]]))
        facts = await (lister.below(url) if asked["what"] == "below" else lister.about(*more))
    finally:
        alive.cancel()
    return _packed(facts)


def _packed(facts: list[Facts]) -> tuple[dict[str, Any], bytes]:
    table = np.array([[each.size for each in facts], [each.version for each in facts]], np.int64)
    content = table.tobytes() + "\0".join(each.key for each in facts).encode("utf-8", "surrogatepass")
    return {"count": len(facts), "nbytes": len(content)}, content


def _packed_contents(found: list[Fetched]) -> tuple[dict[str, Any], bytes]:
    table = np.array([[each.size, each.version, len(each.content)] for each in found], np.int64)
    content = b"".join([table.tobytes(), *(each.content for each in found)])
    return {"count": len(found), "nbytes": len(content)}, content


def _write(line: dict[str, Any]) -> None:
    _write_all(json.dumps(line).encode() + b"\n")


def _write_all(content: bytes) -> None:
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:  # nobody reads any more
        os._exit(1)
