"""Names of a package that are imported when they are first used (PEP 562).

A script waits only for what it uses, and a supervisor for what its pipeline uses (docs/measurements.md). Each package also imports its names under
`TYPE_CHECKING`, so type checkers and editors see ordinary imports; tests/unit/test_imports.py compares the two lists.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package.

    Args:
        package: its `__name__`.
        modules: where each name is, relative to the package; a module that does not have the name is itself meant.
    """

    def import_name(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        found = getattr(module, name, module)
        setattr(sys.modules[package], name, found)  # so this function is not asked again
        return found

    return import_name
