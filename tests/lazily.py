"""Import what takes long when it is first used, so that only the process that runs its tests pays for it, and not each one that collects them."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any


def lazily(name: str) -> Any:
    """Return the module of this name; its code runs when an attribute is asked for."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.loader is not None, name
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
