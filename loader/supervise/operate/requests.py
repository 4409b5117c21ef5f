"""What an operator may ask a supervisor, and the answers. No sockets here.

{"do": "status"}                {"name": "train", "epoch": 3, …}: `Stats.as_dict()`, pids, script, when it was started
{"do": "set", "workers": 6}     {"changed": {"workers": {"old": 4, "new": 6}}}
anything else                   {"error": "…"}
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loader.config import mib, parse_bytes
from loader.errors import ConfigError, MemoryLimitError

_SHOWN_CHARACTERS = 60
_log = logging.getLogger("loader.supervisor")


@dataclass(frozen=True)
class Setting:
    """A setting that can be changed while the loader runs.

    Attributes:
        allowed: its range in words: "from 1 to 16 (max_workers)".
        get: returns what it is.
        parse: returns the value that a JSON value means, or None if it is out of range.
        put: makes it so.
    """

    allowed: str
    get: Callable[[], Any]
    parse: Callable[[Any], Any]
    put: Callable[[Any], None]


class RequestHandler:
    """Answers requests.

    Args:
        status: returns what `status` answers.
        settings: what `set` may change, by name.
    """

    def __init__(self, status: Callable[[], dict[str, Any]], settings: Mapping[str, Setting]) -> None:
        self._status = status
        self._settings = settings

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to any JSON object."""
        values = {name: value for name, value in request.items() if name != "do"}
        match request.get("do"):
            case "status":
                return self._status()
            case "set":
                try:
                    return {"changed": self._set(values)}
                except (ConfigError, MemoryLimitError) as error:
                    return {"error": str(error)}
            case other:
                return {"error": f'"do": {_shown(other)} is unknown; known are "status" and "set"'}

    def _set(self, values: dict[str, Any]) -> dict[str, Any]:
        """Change all of the settings, or none of them if one value is wrong."""
        known = ", ".join(self._settings)
        if not values:
            raise ConfigError(f"nothing to set; settings that can be changed while a loader runs: {known}")
        parsed = {}
        for name, value in values.items():
            setting = self._settings.get(name)
            if setting is None:
                raise ConfigError(f"{_shown(name)} can't be changed while a loader runs; what can: {known}")
            parsed[name] = setting.parse(value)
            if parsed[name] is None:
                raise ConfigError(f"{name}={_shown(value)}: must be {setting.allowed}")
        changed = {}
        for name, value in parsed.items():
            setting = self._settings[name]
            old = setting.get()
            setting.put(value)
            changed[name] = {"old": old, "new": setting.get()}
            if changed[name]["old"] != changed[name]["new"]:
                _log.info("loader set: %s %s → %s", name, *(mib(one) if name == "memory_limit" else one for one in changed[name].values()))
        return changed


def workers_setting(most: int, get: Callable[[], int | str], put: Callable[[int | str], None]) -> Setting:
    """Return the setting `workers`: from 1 to `most`, or "auto"."""

    def parse(value: Any) -> int | str | None:
        good = value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most)
        return value if good else None

    return Setting(f'from 1 to {most} (max_workers), or "auto"', get, parse, put)


def memory_setting(get: Callable[[], int], check: Callable[[int], None], put: Callable[[int], None]) -> Setting:
    """Return the setting `memory_limit`: bytes or text such as "3GiB"; `check` raises MemoryLimitError where that is too little."""

    def parse(value: Any) -> int | None:
        limit = parse_bytes(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
        if limit is not None:
            check(limit)
        return limit

    return Setting('a size such as 2000000000 or "2GiB"', get, parse, put)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a very large number"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
