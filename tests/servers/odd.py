"""Servers that do something else than `front.py`: a handler of `http.server`, in a thread of the test's process, which must not fork meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on this machine, and yield the URL of the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(BaseHTTPRequestHandler):
    """A handler that logs nothing, and answers to HEAD as to GET."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:  # its name is given
        self.do_GET()  # type: ignore[attr-defined]


def answering(status: int, body: str = "", **headers: str) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers all requests the same; headers have `_` for `-`."""

    class Answering(Quiet):
        def do_GET(self) -> None:  # its name is given
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

    return Answering
