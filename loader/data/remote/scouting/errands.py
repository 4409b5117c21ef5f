"""What a child does for whoever has asked it: it lists folders, looks at objects, fetches and writes them, many at a time. What fails is tried again.

A list brings a thousand objects a request, one after the other. So sub-folders are listed at the same time, each by itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loader.data.remote.gathering.pace import pause_s
from loader.data.remote.objects import MISSING, UNKNOWN_SIZE, UNKNOWN_VERSION, Copy, Facts, Fetched, Span, Store
from loader.data.remote.stores.stores import Stores
from loader.errors import DataNotFoundError, FetchError

_AT_ONCE = 64
_PART_BYTES = 8 * 2**20  # of a large object: each comes by a request of its own, whose time is limited
_PARTS_AT_ONCE = 8

Result = TypeVar("Result")


class Errands:
    """Asks stores, for one process.

    Args:
        stores: to ask.
        patience_s: for how long what fails is tried again.

    Attributes:
        known: how many objects are known, or bytes have been brought.
        trouble: why the latest request failed, which is tried again; empty if it has not.
    """

    def __init__(self, stores: Stores, patience_s: float) -> None:
        self.known = 0
        self.trouble = ""
        self._stores = stores
        self._patience_s = patience_s
        self._chance = random.Random()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def send(self, files: list[tuple[str, str]]) -> None:
        """Write files of this machine, each to its URL. Raises FetchError."""
        await asyncio.gather(*(self._send(path, url) for path, url in files))

    async def bring(self, copies: list[Copy]) -> None:
        """Write objects of known sizes to files of this machine, in parts, as they come. Raises FetchError, DataNotFoundError."""
        turns = asyncio.Semaphore(_PARTS_AT_ONCE)
        versions = {copy.url: copy.version for copy in copies if copy.version != UNKNOWN_VERSION}

        async def bring_part(copy: Copy, start: int) -> None:
            end = min(start + _PART_BYTES, copy.size)
            async with turns:
                fetched = await self._content(Span(copy.url, start, end))
                unlike = len(fetched.content) != end - start or fetched.size not in (copy.size, UNKNOWN_SIZE)
                if unlike or versions.setdefault(copy.url, fetched.version) != fetched.version:
                    raise FetchError(copy.url, f"is not the object of {copy.size:,} bytes that was to be fetched; it has been changed")
                _write(copy, start, fetched.content)
            self.known += end - start

        for copy in copies:
            open(copy.path, "wb").close()
        await asyncio.gather(*(bring_part(copy, start) for copy in copies for start in range(0, copy.size, _PART_BYTES)))

    async def below(self, url: str) -> list[Facts]:
        """Return all objects below a folder, sorted; their keys are URLs. Raises FetchError."""
        store, place = self._stores.find(url)
        found = await self._walk(store, url, place.key)
        folders = {each.key.rpartition("/")[0] for each in found}
        prefix = "" if "://" in place.key else f"{place.base}/"
        # Some tools mark a folder by an empty object of its name.
        return sorted(Facts(prefix + each.key, each.size, each.version) for each in found if each.size or each.key not in folders)

    async def about(self, urls: list[str]) -> list[Facts]:
        """Return what is known of objects, in their order; of one that is missing, `MISSING` as size. Raises FetchError."""
        return await asyncio.gather(*map(self._about, urls))

    async def contents(self, spans: list[Span]) -> list[Fetched]:
        """Return objects, or ranges of them. Raises FetchError, DataNotFoundError."""
        return await asyncio.gather(*map(self._content, spans))

    async def _content(self, span: Span) -> Fetched:
        store, place = self._stores.find(span.url)
        fetched = await self._persist(store, span.url, lambda: store.fetch(place.key, span.start, span.end))
        if fetched.size == UNKNOWN_SIZE:
            facts = await self._persist(store, span.url, lambda: store.facts(place.key))
            fetched = fetched._replace(size=facts.size, version=facts.version)
        return fetched

    async def _about(self, url: str) -> Facts:
        store, place = self._stores.find(url)
        try:
            facts = await self._persist(store, url, lambda: store.facts(place.key))
        except DataNotFoundError:
            return Facts(url, MISSING, UNKNOWN_VERSION)
        self.known += 1
        return Facts(url, facts.size, facts.version)

    async def _send(self, path: str, url: str) -> None:
        store, place = self._stores.find(url)
        await self._persist(store, url, lambda: store.put(place.key, path))
        self.known += 1

    async def _walk(self, store: Store, url: str, key: str) -> list[Facts]:
        found, complete = await self._persist(store, url, lambda: store.tree(key))
        if not complete:
            folders, beside = await self._persist(store, url, lambda: store.children(key))
            if folders:
                self.known += len(beside)
                below = await asyncio.gather(*(self._walk(store, url, folder) for folder in folders))
                return beside + [each for some in below for each in some]
            found = beside
        self.known += len(found)
        return found

    async def _persist(self, store: Store, url: str, ask: Callable[[], Awaitable[Result]]) -> Result:
        """Return what `ask` does, trying again what may pass."""
        deadline = time.monotonic() + self._patience_s
        failures = 0
        async with self._turns:
            while True:
                try:
                    answer = await ask()
                except Exception as error:
                    problem = store.problem(error)
                else:
                    self.trouble = ""
                    return answer
                failures += 1
                wait_s = pause_s(failures, self._chance.random())
                if not problem.passes or time.monotonic() + wait_s > deadline:
                    raise problem.error(url, f" (tried {failures} times)" if failures > 1 else "")
                self.trouble = problem.words
                await asyncio.sleep(wait_s)


def _write(copy: Copy, start: int, content: bytes) -> None:
    try:
        with open(copy.path, "r+b") as file:
            file.seek(copy.start + start)
            file.write(content)
    except OSError as error:
        raise FetchError(
            copy.url, f"can't be written to {copy.path} ({error.strerror}). What to do: make room there, or check who may write"
        ) from None
