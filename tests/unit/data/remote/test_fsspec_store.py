"""What fsspec reads: threads that wait for it, and none that is waited for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.fsspec_store import FsspecStore
from tests.conftest import RunScript
from tests.processes import wait_until

HANGS = """
import time
import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from loader import FetchError
from loader.data.remote.fetcher import Fetcher
from loader.data.remote.objects import Span
from loader.data.remote.options import StorageOptions

class Hangs(MemoryFileSystem):
    protocol = "hangs"
    def cat_file(self, *args, **kwargs):
        time.sleep(3600)

fsspec.register_implementation("hangs", Hangs)
fetcher = Fetcher(StorageOptions(), 4)
fetcher.patience_s = 0.2
try:
    fetcher.fetch(Span("hangs://h/x"))
except FetchError:
    print("late")
"""


def test_a_request_that_hangs_does_not_hold_up_the_end_of_the_process(run_script: RunScript) -> None:
    done = run_script(HANGS)
    assert (done.stdout, done.stderr, done.returncode) == ("late\n", "", 0)


def test_what_the_threads_bring_and_raise_is_passed_on() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/x", b"content")
    store = FsspecStore("memory://x", StorageOptions())

    async def fetch() -> list[bytes]:
        found = await asyncio.gather(*(store.fetch("memory://x", start, None) for start in range(5)))
        return [bytes(each.content) for each in found]

    assert asyncio.run(fetch()) == [b"content"[start:] for start in range(5)]
    with pytest.raises(FileNotFoundError):
        asyncio.run(store.fetch("memory://none", 0, None))
    wait_until(lambda: not [each for each in threading.enumerate() if each.name == "loader-fsspec"], "its threads have ended", 30)
