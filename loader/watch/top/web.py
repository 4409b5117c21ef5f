"""`loader top --web`: the same as a page, which is sent the answers of the loaders as they come (server-sent events).

Only this machine can reach it, and of what a browser here shows, only the page itself: a site elsewhere, whose name its owner lets point here
(DNS rebinding), has another `Host`, and one that sends something here unasked (CSRF) has another `Origin` and no key. The key keeps out other users
of this machine as well. They can read the page, as they can see processes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Any, ClassVar

from loader.watch.asking import NoAnswer
from loader.watch.client import loaders
from loader.watch.serving import Handler, Server

_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_REQUEST_BYTES = 1024
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"}


class Feed:
    """Asks all loaders while somebody watches, and all who watch get the same answers. Has no thread: whoever has waited long enough asks for all.

    Args:
        interval_s: seconds from one answer to the next question.
        may_set: whether the page may change workers.
    """

    def __init__(self, interval_s: float, may_set: bool) -> None:
        self._interval_s = interval_s
        self._may_set = may_set
        self._changed = threading.Condition()
        self._number, self._due, self._message = 0, 0.0, ""

    def after(self, number: int) -> tuple[int, str]:
        """Wait for other answers than those with this number, 0 for none; return their number, and the answers as JSON."""
        with self._changed:
            self._changed.wait_for(lambda: self._number != number or time.monotonic() >= self._due, max(0.0, self._due - time.monotonic()))
            if self._number == number or time.monotonic() >= self._due:
                with loaders() as found:
                    told = [{"pid": one.pid, "name": one.name, "status": one.status} for one in found]
                self._message = json.dumps({"loaders": told, "may_set": self._may_set})
                self._number, self._due = self._number + 1, time.monotonic() + self._interval_s
                self._changed.notify_all()
            return self._number, self._message

    def hurry(self) -> None:
        """Ask at once: something has changed."""
        with self._changed:
            self._due = 0.0
            self._changed.notify_all()


@dataclass(frozen=True)
class _Site:
    """What all requests share.

    Attributes:
        page: the page.
        headers: of all answers.
        feed: what the loaders say.
        key: that a request to change workers must have; None if nothing may be changed.
    """

    page: bytes
    headers: dict[str, str]
    feed: Feed
    key: str | None


def web_server(port: int, interval_s: float, key: str | None) -> Server:
    """Return a server that listens already, on this machine only.

    Args:
        port: 0 for any that is free.
        interval_s: seconds between two refreshes.
        key: that a request to change workers must have; None if nothing may be changed.

    Raises:
        OSError: it can't listen there.
    """
    page = resources.files("loader.watch.top").joinpath("page.html").read_bytes()
    headers = _HEADERS | {"Content-Security-Policy": _policy(page.decode())}

    class Bound(_WebHandler):
        site = _Site(page, headers, Feed(interval_s, key is not None), key)

    return Server("127.0.0.1", port, Bound)


class _WebHandler(Handler):
    """Answers a browser."""

    site: ClassVar[_Site]

    def do_GET(self) -> None:
        """Send the page, or what happens."""
        if not self._from_here():
            self.refuse(HTTPStatus.FORBIDDEN, "This page is for http://127.0.0.1 and http://localhost.")
        elif self.path == "/":
            self.answer(HTTPStatus.OK, "text/html; charset=utf-8", self.site.page, self.site.headers)
        elif self.path == "/events":
            self._send_events()
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "There is nothing here; the page is at /.")

    def do_POST(self) -> None:
        """Change the workers of a loader."""
        if (refusal := self._refusal()) is not None:
            self._say(*refusal)
            return
        request = _request(self.rfile.read(int(self.headers["Content-Length"])))
        if request is None:
            self._say(HTTPStatus.BAD_REQUEST, 'send {"pid": a number, "workers": a number or "auto"}')
            return
        answer = change_workers(**request)
        self.site.feed.hurry()
        self.answer(HTTPStatus.OK, "application/json", json.dumps(answer).encode(), self.site.headers)

    def _from_here(self) -> bool:
        host = self.headers.get("Host", "")
        return host in _LOCAL or host.rpartition(":")[0] in _LOCAL

    def _refusal(self) -> tuple[HTTPStatus, str] | None:
        """Return why nothing is to be changed for this request; None if it may be."""
        length = self.headers.get("Content-Length", "")
        if not self._from_here() or self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            return HTTPStatus.FORBIDDEN, "this is for the page itself"
        if self.site.key is None:
            return HTTPStatus.FORBIDDEN, "workers can be changed here with `loader top --web --allow-set` only"
        if not secrets.compare_digest(self.headers.get("X-Loader-Key", "").encode(), self.site.key.encode()):
            return HTTPStatus.FORBIDDEN, "the key is missing or wrong; open the address that `loader top` has printed"
        if self.path != "/workers" or self.headers.get_content_type() != "application/json":
            return HTTPStatus.NOT_FOUND, "send JSON to /workers"
        if not (length.isascii() and length.isdigit()) or int(length) > _REQUEST_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_REQUEST_BYTES:,} bytes"
        return None

    def _say(self, status: HTTPStatus, error: str) -> None:
        self.answer(status, "application/json", json.dumps({"error": error}).encode(), self.site.headers)

    def _send_events(self) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {"Content-Type": "text/event-stream", **self.site.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        number = 0
        while True:
            number, message = self.site.feed.after(number)
            self.wfile.write(f"retry: 1000\ndata: {message}\n\n".encode())


def change_workers(pid: int, workers: int | str) -> dict[str, Any]:
    """Ask a supervisor for another number of workers; return its answer, or why there is none."""
    with loaders() as found, contextlib.suppress(NoAnswer):
        for one in found:
            if one.pid == pid:
                return one.ask({"do": "set", "workers": workers})
        return {"error": "it has ended"}
    return {"error": "it did not answer, so it is not known whether anything was changed"}


def _request(raw: bytes) -> dict[str, Any] | None:
    try:
        given = json.loads(raw)
        pid, workers = given["pid"], given["workers"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return {"pid": pid, "workers": workers} if type(pid) is int and (type(workers) is int or workers == "auto") else None


def _policy(page: str) -> str:
    """Return what the page may do: run the script that is in it, look as it says, and ask this server. Nothing from elsewhere."""
    (script,), (style,) = (re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
