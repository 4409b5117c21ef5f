"""A small HTTP server in the operator's shell: a thread for each client, of which none can hold up the others, and an end by Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

# A client that neither sends nor reads for so long is dropped.
_PATIENCE_S = 10.0
_CLIENTS = 32


class Handler(BaseHTTPRequestHandler):
    """Answers a client; one request per connection."""

    timeout = _PATIENCE_S
    server_version, sys_version = "loader", ""

    def answer(self, status: int, content_type: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        sent = {"Content-Type": content_type, "Content-Length": str(len(content)), "X-Content-Type-Options": "nosniff", **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status: int, why: str) -> None:
        """Send a reason in words."""
        self.answer(status, "text/plain; charset=utf-8", f"{why}\n".encode())

    def log_message(self, format: str, *words: Any) -> None:  # the name is the library's
        """Say nothing: a line per request would fill the terminal."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens as soon as it is made; owns its socket until `server_close`.

    Args:
        host: address to listen at.
        port: 0 for any that is free.
        handler: of the clients.

    Raises:
        OSError: it can't listen there.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, handler: type[Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._places = threading.BoundedSemaphore(_CLIENTS)
        super().__init__((host, port), handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Its address, for a browser."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def run(self) -> None:
        """Serve until Ctrl-C."""
        with self, contextlib.suppress(KeyboardInterrupt):
            self.serve_forever()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client, unless there are too many already."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a client. Runs in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless it is the client that has gone or does not move."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
