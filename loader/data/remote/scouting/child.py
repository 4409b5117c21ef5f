"""The child that looks at far data, and writes it: one question on standard input, signs of life and one answer on standard output."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from loader.data.remote.objects import Copy, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.answers import Answer, pack_contents, pack_facts
from loader.data.remote.scouting.errands import Errands
from loader.data.remote.stores.stores import Stores
from loader.errors import LoaderError

_PATIENCE_S = 45.0  # for all tries of a request
_SIGN_OF_LIFE_S = 1.0


def answer() -> None:
    """Answer the question. Never returns."""
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        header, content = asyncio.run(_answer(asked))
    except LoaderError as error:
        header, content = error.to_record(), b""
    _write(header)
    _write_all(content)
    os._exit(0)  # threads of libraries may be at work


async def _answer(asked: dict[str, Any]) -> Answer:
    only_asks = asked["what"] in ("below", "about")
    stores = Stores(StorageOptions(asked["options"]), asked["request_s"] if only_asks else _PATIENCE_S)
    errands = Errands(stores, _PATIENCE_S)

    async def live() -> None:
        while True:
            _write({"known": errands.known, "trouble": errands.trouble})
            await asyncio.sleep(_SIGN_OF_LIFE_S)

    alive = asyncio.get_running_loop().create_task(live())
    try:
        return await _asked(errands, asked["what"], asked["given"])
    finally:
        alive.cancel()


async def _asked(errands: Errands, what: str, given: Any) -> Answer:
    """Do what is asked for, with what was given for it."""
    match what:
        case "below":
            return pack_facts(await errands.below(given))
        case "about":
            return pack_facts(await errands.about(given))
        case "contents":
            return pack_contents(await errands.contents([Span(*fields) for fields in given]))
        case "bring":
            await errands.bring([Copy(*fields) for fields in given])
        case "send":
            await errands.send(given)
        case _:
            raise ValueError(what)
    return {"nbytes": 0}, b""


def _write(line: dict[str, Any]) -> None:
    _write_all(json.dumps(line).encode() + b"\n")


def _write_all(content: bytes) -> None:
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:  # nobody reads any more
        os._exit(1)
