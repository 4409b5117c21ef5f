"""What functions of the user take along to the workers without showing it: modules to import and large arrays that they name.

A function of the script travels with the globals and the variables that it names. A global `tf` makes the supervisor import TensorFlow, a table
of a gigabyte is copied into shared memory. Both may be meant; both are said once, in the trainer, when the loader is made. A function of a module
travels by its name: the module is imported, with the frameworks that it names, and its tables are made there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from loader.ipc.payload import parts
from loader.ipc.pickler import dumps

_FRAMEWORKS = {"tensorflow": "TensorFlow", "tf_keras": "TensorFlow", "keras": "Keras"}
_LARGE_BYTES = 16 * 2**20

INSTEAD = "use NumPy, SciPy, OpenCV or loader.transforms there, or do it in the model"

# Deeper than any pipeline that a person writes; a list of more items than this holds data, not functions.
_DEPTH = 8
_ITEMS = 100


@dataclass(frozen=True)
class Named:
    """Something that a function names.

    Attributes:
        owner: the function, transform or source, in words.
        name: that it uses, in words.
        value: what it means.
        travels: whether the value is pickled, rather than found in a module there.
    """

    owner: str
    name: str
    value: Any
    travels: bool


def remarks(owners: Iterable[tuple[str, Any]], payload_bytes: int) -> list[str]:
    """Return what the user should know about the functions that travel, in sentences.

    Args:
        owners: what may hold such functions, with its description.
        payload_bytes: of everything that travels; where that is little, nothing is weighed.
    """
    found = []
    for named in _named(owners):
        framework = framework_of(named.value)
        if framework:
            cost = "so the loader's supervisor has to import it: several seconds and hundreds of megabytes, once"
            found.append(f"{named.owner} names {framework} ({named.name}), {cost}. Its operations can't run in the workers; {INSTEAD}")
        elif named.travels and payload_bytes > _LARGE_BYTES and (weight := _weight(named.value)) > _LARGE_BYTES:
            found.append(
                f"{named.owner} names {named.name}, which takes {weight / 2**20:,.0f} MiB along to the workers. "
                "What to do: if they need little of it, cut that out before; if it is data, let a source read it from a file"
            )
    return found


def users_of_frameworks(owners: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the descriptions of those that name a framework."""
    return list(dict.fromkeys(named.owner for named in _named(owners) if framework_of(named.value)))


def framework_of(value: object) -> str | None:
    """Return the name of the framework that a module belongs to, or the function or class of one; None for all else."""
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return _FRAMEWORKS.get(module.split(".")[0]) if isinstance(module, str) else None


def _named(owners: Iterable[tuple[str, Any]]) -> Iterator[Named]:
    """Yield what the functions in `owners` name: globals and variables of enclosing functions."""
    for owner, value in owners:
        yield from _search(owner, value, {}, _DEPTH, travels=True)


def _search(owner: str, value: Any, seen: dict[int, Any], depth: int, travels: bool) -> Iterator[Named]:
    if id(value) in seen or not depth or _is_data(value):
        return
    seen[id(value)] = value  # kept, so that no other object gets its id
    travels = travels and not _is_in_a_module(value)
    for name, part in [*parts(value), *_methods(value)]:
        if name.startswith(" ("):  # a global or a variable
            yield Named(owner, name.strip(" ()"), part, travels)
        yield from _search(owner, part, seen, depth - 1, travels)


def _methods(value: Any) -> list[tuple[str, Any]]:
    """Return the functions of a class of the script, or of an object of one: they travel with it."""
    owner = value if isinstance(value, type) else type(value)
    if owner.__module__ != "__main__":
        return []
    return [(f".{name}", part) for name, part in vars(owner).items() if isinstance(part, FunctionType)]


def _is_data(value: Any) -> bool:
    many = isinstance(value, dict | list | tuple | set | frozenset) and len(value) > _ITEMS
    return many or isinstance(value, ModuleType | np.ndarray | str | bytes | int | float)


def _is_in_a_module(value: Any) -> bool:
    """Whether a function is pickled by its name: it is what its module has under that name. The script itself is no such module."""
    if not isinstance(value, FunctionType) or value.__module__ in (None, "__main__"):
        return False
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _weight(value: Any) -> int:
    """Return the bytes that `value` takes when it travels."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, ModuleType) or callable(value):
        return 0
    pickled, buffers, _ = dumps(value)
    return len(pickled) + sum(buffer.raw().nbytes for buffer in buffers)
