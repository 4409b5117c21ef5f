"""What tests of commands that look at loaders share: a loader to look at, and a server that runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from loader import NpyArrays
from loader.watch.serving import Server

SOURCE = NpyArrays(np.arange(400 * 50, dtype=np.float32).reshape(400, 50))


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve in a thread, and end both."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
