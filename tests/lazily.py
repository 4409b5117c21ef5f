"""Import what takes long when it is first used, so that only the process that runs its tests pays for it, and not each one that collects them."""

from __future__ import annotations

import importlib
from typing import Any


def lazily(name: str) -> Any:
    """Return what stands for the module of this name, and imports it as soon as something in it is asked for."""
    return LazyModule(name)


class LazyModule:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest asks for these, of everything in a file that it collects
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
