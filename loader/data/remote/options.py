"""What a user gives as `storage_options=`: endpoint, region, credentials. Nothing shows its values, and no pickle that lies on a disk has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from loader.errors import ConfigError

_FORGOTTEN = "storage_options of a source are not pickled with it, since they may hold credentials. What to do: make the source again"


class StorageOptions:
    """Options of a store.

    They travel to the workers, by memory that has no name. Any other pickle has their names only.

    Args:
        given: by the user; None for none.

    Raises:
        ConfigError: they are no dict of plain values.
    """

    __slots__ = ("_forgotten", "_values")

    def __init__(self, given: object = None) -> None:
        self._forgotten: tuple[str, ...] = ()
        self._values: dict[str, Any] = {}
        if given is None:
            return
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise ConfigError(f"storage_options must be a dict of names and values, not a {type(given).__name__}")
        for name, value in given.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError):
                raise ConfigError(
                    f"storage_options: {name!r} is a {type(value).__name__}, but only text, numbers, bool, None, and lists and dicts of them can be "
                    "sent to the workers"
                ) from None
        self._values.update(given)

    def values(self) -> dict[str, Any]:
        """Return what was given. Raises ConfigError if this one comes out of a pickle."""
        if self._forgotten:
            raise ConfigError(f"{_FORGOTTEN}: {', '.join(self._forgotten)}")
        return dict(self._values)

    def __bool__(self) -> bool:
        return bool(self._values or self._forgotten)

    def __repr__(self) -> str:
        return f"StorageOptions({', '.join(f'{name}=...' for name in self._values or self._forgotten)})"

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __copy__(self) -> StorageOptions:
        return self

    def __deepcopy__(self, memo: object) -> StorageOptions:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _forgotten, (tuple(self._values) or self._forgotten,)


def _forgotten(names: tuple[str, ...]) -> StorageOptions:
    options = StorageOptions()
    options._forgotten = names
    return options


def reduce_for_workers(options: StorageOptions) -> tuple[Any, ...]:
    """Return how options travel to the workers: with their values."""
    return StorageOptions, (options.values(),)
