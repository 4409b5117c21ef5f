"""Objects of which many ranges are fetched: the server itself refuses a range if its object is another one by now.

obstore tells the ETag of an answer in two steps only, each of which waits for Python's lock. An answer without one takes a single step, and less CPU
time (docs/measurements.md). So once some ranges of an object have come, it gets a store of its own, whose requests say `If-Match`. There are servers
that ignore that, so each is tried first: it has to answer to the right tag, and to refuse a wrong one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from loader.data.remote.objects import Fetched, version_of

_PINNED_AFTER = 8  # ranges of an object that have come with the same tag
_AGAIN_AFTER = 1000  # more of them, if it could not be pinned
_MOST = 8  # objects: each has connections of its own
_MOST_SEEN = 64
_WRONG_TAG = '"no object has this tag"'


class _Pin(NamedTuple):
    store: Any
    size: int
    version: int


class Pinned:
    """The pinned objects of a store.

    Args:
        obstore: the library.
        opened: returns one of its stores, whose requests have these headers in addition.
    """

    def __init__(self, obstore: Any, opened: Callable[[dict[str, str]], Any]) -> None:
        self._obstore = obstore
        self._failure, self._refusal = obstore.exceptions.BaseError, obstore.exceptions.PreconditionError
        self._opened = opened
        self._pins: dict[str, _Pin] = {}
        self._seen: dict[str, tuple[str, int]] = {}  # the latest tag of an object, and how many ranges have come with it
        self._trials: set[asyncio.Task[None]] = set()

    async def fetch(self, key: str, start: int, end: int) -> Fetched | None:
        """Return a range of an object that is pinned and has not changed; None of any other."""
        pin = self._pins.get(key)
        if pin is None:
            return None
        try:
            content = await self._obstore.get_range_async(pin.store, key, start=start, end=end)
        except self._refusal:
            self._pins.pop(key, None)
            return None
        return Fetched(content, pin.size, pin.version)

    def saw(self, key: str, meta: Mapping[str, Any]) -> None:
        """Be told what came with a range of an object that is not pinned."""
        tag = meta["e_tag"]
        if not tag or len(self._pins) >= _MOST or (key not in self._seen and len(self._seen) >= _MOST_SEEN):
            return
        before, count = self._seen.get(key, (tag, 0))
        count = count + 1 if tag == before else 1
        self._seen[key] = (tag, count)
        if count == _PINNED_AFTER:
            self._seen[key] = (tag, _PINNED_AFTER - _AGAIN_AFTER)
            trial = asyncio.get_running_loop().create_task(self._try(key, tag, meta["size"]))
            self._trials.add(trial)  # a loop does not keep its tasks alive
            trial.add_done_callback(self._trials.discard)

    async def _try(self, key: str, tag: str, size: int) -> None:
        """Pin an object, if its server heeds tags."""
        store = self._opened({"If-Match": tag})
        try:
            if await self._answers(store, key) and not await self._answers(self._opened({"If-Match": _WRONG_TAG}), key):
                self._pins[key] = _Pin(store, size, version_of(tag, None))
        except (self._failure, OSError):  # whoever fetches a range will meet it, too, and say so
            return

    async def _answers(self, store: Any, key: str) -> bool:
        try:
            await self._obstore.get_range_async(store, key, start=0, end=1)
        except self._refusal:
            return False
        return True
