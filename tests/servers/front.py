"""Runs in a process of its own: an HTTP server that serves a folder, or passes on what another server says, with latency and faults.

The first argument is a folder or the address `host:port` of another server. Orders come as lines of JSON on stdin, one answer each on stdout:
`{"faults": {...}}` changes what is done to requests, `{"counts": true}` asks what came in, `{"forget": true}` begins counting anew.
The end of stdin ends the process, so it never outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

from tests.servers.faults import Fate, Faults

REFUSALS = {
    Fate.UNAVAILABLE: (503, b"<Error><Code>ServiceUnavailable</Code><Message>on purpose</Message></Error>"),
    Fate.SLOW_DOWN: (503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"),
    Fate.TOO_MANY: (429, b"<Error><Code>TooManyRequests</Code><Message>on purpose</Message></Error>"),
    Fate.SERVER_ERROR: (500, b"<Error><Code>InternalError</Code><Message>on purpose</Message></Error>"),
}
RST_ON_CLOSE = struct.pack("ii", 1, 0)

Headers = dict[bytes, bytes]


class Counts:
    """What came in: fates, requests by what they asked for, and how many were under way at a time."""

    def __init__(self) -> None:
        self.fates: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.body_bytes = 0
        self.in_flight = 0
        self.most_in_flight = 0

    def forget(self) -> None:
        now = self.in_flight
        self.__init__()  # type: ignore[misc]
        self.in_flight = self.most_in_flight = now


class FolderOrigin:
    """Answers from the files of a folder, with ranges and ETags. The first part of the path is part of the folder, as a bucket is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[bytes, bytes]:
        file = self._folder / unquote(path.split("?")[0]).lstrip("/")
        if method == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
            return head(200, {"ETag": etag(file), "Content-Length": "0"}), b""
        if method not in ("GET", "HEAD"):
            return head(405, {"Content-Length": "0"}), b""
        if not file.is_file():
            return head(404, {"Content-Length": "0"}), b""
        size, tag = file.stat().st_size, etag(file)
        if headers.get(b"if-match", tag.encode()) not in (tag.encode(), b"*"):
            return head(412, {"Content-Length": "0", "ETag": tag}), b""
        more = {"ETag": tag, "Accept-Ranges": "bytes", "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)}
        start, stop, status = 0, size, 200
        if wanted := headers.get(b"range"):
            start, stop = asked_range(wanted.decode(), size)
            if start >= stop:
                return head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"}), b""
            more["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            status = 206
        more["Content-Length"] = str(stop - start)
        if method == "HEAD":
            return head(status, more), b""
        with file.open("rb") as opened:
            opened.seek(start)
            return head(status, more), opened.read(stop - start)


def etag(file: Path) -> str:
    stat = file.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def asked_range(header: str, size: int) -> tuple[int, int]:
    """Return begin and end of `bytes=5-9`, `bytes=5-` or `bytes=-5`."""
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


class ServerOrigin:
    """Answers with what another server says, over connections that are kept. Headers are passed on as they are: signatures hold."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[bytes, bytes]:
        lines = [f"{method} {path} HTTP/1.1".encode(), *(name + b": " + value for name, value in headers.items()), b"", b""]
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address, limit=1 << 20)
        writer.write(b"\r\n".join(lines) + body)
        try:
            received = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # an idle connection that the other side has closed
            writer.close()
            return await self.answer(method, path, headers, body)
        status = int(received.split(b" ", 2)[1])
        answered = parsed_headers(received)
        if method == "HEAD" or status in (204, 304):
            content = b""
        elif answered.get(b"transfer-encoding") == b"chunked":
            content = await read_chunks(reader)
            received = b"\r\n".join(line for line in received.split(b"\r\n") if not line.lower().startswith(b"transfer-encoding"))
            received = received[:-2] + f"Content-Length: {len(content)}\r\n\r\n".encode()
        else:
            content = await reader.readexactly(int(answered.get(b"content-length", b"0")))
        self._idle.append((reader, writer))
        return received, content


def parsed_headers(text: bytes) -> Headers:
    """Return the headers of a request or an answer by their names in lower case."""
    pairs = (line.partition(b":") for line in text.split(b"\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(pieces)


class Front:
    """Takes requests, asks the origin, and does to the answer what the faults say."""

    def __init__(self, origin: FolderOrigin | ServerOrigin) -> None:
        self.faults = Faults()
        self.counts = Counts()
        self._origin = origin

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._request(reader, writer):
                pass
        writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        received = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = received.split(b"\r\n", 1)[0].decode().split(" ")
        headers = parsed_headers(received)
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        asked = " ".join(filter(None, [method, path, headers.get(b"range", b"").decode()]))
        fate = self.faults.fate(asked, self.counts.asked[asked])
        self.counts.asked[asked] += 1
        self.counts.fates[fate.value] += 1
        self.counts.in_flight += 1
        self.counts.most_in_flight = max(self.counts.most_in_flight, self.counts.in_flight)
        try:
            return await self._answer(fate, method, path, headers, body, reader, writer)
        finally:
            self.counts.in_flight -= 1

    async def _answer(
        self, fate: Fate, method: str, path: str, headers: Headers, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if self.faults.latency_s:
            await asyncio.sleep(self.faults.latency_s)
        if fate is Fate.HANG:
            await reader.read(1)  # the client's end
            return False
        if fate is Fate.RESET:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
            writer.transport.abort()
            return False
        if fate in REFUSALS:
            status, content = REFUSALS[fate]
            answer = head(status, {"Content-Type": "application/xml", "Content-Length": str(len(content))})
        else:
            answer, content = await self._origin.answer(method, path, headers, body)
        if method == "HEAD":
            content = b""
        if fate is Fate.SHORT:
            content = content[: len(content) // 2]
        self.counts.body_bytes += len(content)
        writer.write(answer)
        if fate is Fate.SLOW:
            await self._slowly(content, writer)
        else:
            writer.write(content)
        await writer.drain()
        return fate is not Fate.SHORT

    async def _slowly(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        a_step = max(1, int(self.faults.slow_bytes_per_s / 20))
        for start in range(0, len(content), a_step):
            writer.write(content[start : start + a_step])
            await writer.drain()
            await asyncio.sleep(0.05)

    def obey(self, order: dict[str, object]) -> dict[str, object]:
        """Carry out one order and return the answer to it."""
        if "faults" in order:
            self.faults = Faults(**order["faults"])  # type: ignore[arg-type]
        if "forget" in order:
            self.counts.forget()
        return dict(vars(self.counts))


async def main(origin: str) -> None:
    host, _, port = origin.rpartition(":")
    front = Front(FolderOrigin(Path(origin)) if origin.startswith("/") else ServerOrigin(host, int(port)))
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0, backlog=1024, limit=1 << 20)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await orders.readline():
        print(json.dumps(front.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.new_event_loop().run_until_complete(main(sys.argv[1]))
    os._exit(0)  # some connections hang on purpose
