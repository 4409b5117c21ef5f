"""An object of which many ranges come is asked for by its tag, if its server heeds that. A server in memory stands for a real one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from loader.data.remote.objects import version_of
from loader.data.remote.stores.pinned import Pinned


class _Exceptions:
    class BaseError(Exception):
        pass

    class PreconditionError(BaseError):
        pass


@dataclass
class Server:
    """Stands for obstore and a server; a store is the headers of its requests."""

    exceptions = _Exceptions

    content: bytes = bytes(range(200))
    tag: str = '"1"'
    heeds: bool = True
    fails: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    async def get_range_async(self, store: dict[str, str], key: str, *, start: int, end: int) -> bytes:
        self.asked.append(store)
        if self.fails:
            raise self.exceptions.BaseError("on purpose")
        if self.heeds and store.get("If-Match") != self.tag:
            raise self.exceptions.PreconditionError("412")
        return self.content[start:end]

    def meta(self) -> dict[str, Any]:
        return {"e_tag": self.tag, "size": len(self.content), "last_modified": None}


async def seen(pinned: Pinned, server: Server, *, times: int, key: str = "x") -> None:
    """Tell of so many ranges, as if they had come, and let what is begun thereby come to its end."""
    for _ in range(times):
        pinned.saw(key, server.meta())
    for _ in range(20):
        await asyncio.sleep(0)


def test_an_object_is_pinned_after_some_ranges_and_its_tag_is_asked_for() -> None:
    async def run() -> None:
        server = Server()
        pinned = Pinned(server, lambda headers: headers)
        await seen(pinned, server, times=7)
        assert await pinned.fetch("x", 3, 6) is None
        await seen(pinned, server, times=1)
        assert await pinned.fetch("x", 3, 6) == (bytes([3, 4, 5]), 200, version_of('"1"', None))
        assert server.asked[-1] == {"If-Match": '"1"'}
        assert await pinned.fetch("y", 3, 6) is None

    asyncio.run(run())


def test_an_object_that_changes_is_pinned_no_more_until_the_new_one_is() -> None:
    async def run() -> None:
        server = Server()
        pinned = Pinned(server, lambda headers: headers)
        await seen(pinned, server, times=8)
        server.tag = '"2"'
        assert await pinned.fetch("x", 0, 1) is None
        await seen(pinned, server, times=7)
        assert await pinned.fetch("x", 0, 1) is None
        await seen(pinned, server, times=1)
        found = await pinned.fetch("x", 0, 1)
        assert found is not None
        assert found.version == version_of('"2"', None)

    asyncio.run(run())


@pytest.mark.parametrize("odd", [{"heeds": False}, {"tag": 'W/"weak"'}, {"tag": ""}, {"fails": True}])
def test_what_can_not_be_pinned_is_tried_again_much_later(odd: dict[str, Any]) -> None:
    async def run() -> None:
        server = Server(**odd)
        refuses_all = odd.get("tag") == 'W/"weak"'  # a tag that is weak never matches
        pinned = Pinned(server, lambda headers: {} if refuses_all else headers)
        await seen(pinned, server, times=300)
        assert await pinned.fetch("x", 0, 1) is None
        assert len(server.asked) <= 2
        tried = len(server.asked)
        await seen(pinned, server, times=800)
        assert len(server.asked) == 2 * tried

    asyncio.run(run())


def test_of_very_many_objects_few_are_pinned() -> None:
    async def run() -> None:
        server = Server()
        pinned = Pinned(server, lambda headers: headers)
        for number in range(100):
            await seen(pinned, server, times=8, key=str(number))
        assert sum([await pinned.fetch(str(number), 0, 1) is not None for number in range(100)]) == 8

    asyncio.run(run())
