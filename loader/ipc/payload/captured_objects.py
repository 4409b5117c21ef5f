"""What functions of the user capture without showing it: modules to import, and large arrays that are copied to the workers.

A function of the script travels with the globals and the variables that it names, an object with its attributes. A global `tf` makes the
supervisor import TensorFlow, a table of a gigabyte is copied into shared memory. Both may be meant; both are said once, in the trainer, when the
loader is made. A function of a module travels by its name: the module is imported, with the frameworks that it names, and its tables are made there.

Data that is given to a source of ours as it is, such as the arrays of `NpyArrays`, is in plain sight, and not a word is said of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any

from loader.config import brief_size
from loader.ipc.payload.payload import parts
from loader.ipc.payload.pickler import is_importable, weigh

_FRAMEWORKS = {"tensorflow": "TensorFlow", "tf_keras": "TensorFlow", "keras": "Keras"}
_LARGE_BYTES = 16 * 2**20

INSTEAD = "use NumPy, SciPy, OpenCV or loader.transforms there, or do it in the model"

# Deeper than any pipeline that a person writes; a list of more items than this holds data, not functions.
_DEPTH = 8
_ITEMS = 100

_CONTAINERS = (dict, list, tuple, set, frozenset)


@dataclass(frozen=True)
class Place:
    """Where something is in what a function, a transform or a source takes along.

    Attributes:
        scope: the global or the variable that it is in, in words; empty if it is in none.
        path: from there to it: attributes and items.
    """

    scope: str = ""
    path: str = ""

    def step(self, holder: Any, name: str) -> Place:
        """Return the place of the part `name` of `holder`, which is here. What an object of ours holds has the place of that object."""
        if name.startswith(" ("):
            return replace(self, scope=name.strip(" ()"), path="")
        inside = type(holder).__module__.startswith("loader.") or (isinstance(holder, _CONTAINERS) and not self.hidden) or name.startswith(".__")
        return self if inside else replace(self, path=self.path + name)

    @property
    def hidden(self) -> bool:
        """Whether it is out of the user's sight."""
        return bool(self.scope or self.path)

    def __str__(self) -> str:
        return f"{self.scope}{self.path}" if self.scope else f"attribute {self.path.lstrip('.')}"


def remarks(owners: Iterable[tuple[str, Any]], payload_bytes: int) -> list[str]:
    """Return what the user should know about the functions that travel, in sentences.

    Args:
        owners: what may hold such functions, with its description.
        payload_bytes: of everything that travels; where that is little, nothing is weighed.
    """
    found = []
    for owner, value in owners:
        for framework, place in _frameworks(value).items():
            named = f"names {framework} ({place})" if place.hidden else f"is a part of {framework}"
            cost = "so the loader's supervisor has to import it: several seconds and hundreds of megabytes, once"
            found.append(f"{owner} {named}, {cost}. Its operations can't run in the workers; {INSTEAD}")
        for place, weight in _heavy(Place(), value, {}, _DEPTH, sys.maxsize) if payload_bytes > _LARGE_BYTES else ():
            has = "names" if place.scope else "has the"
            found.append(
                f"{owner} {has} {place}, which takes {brief_size(weight)} and is copied to the workers. "
                'What to do: if they need a part, extract it first; if it is in a file, use np.load(path, mmap_mode="r"): only the path is sent'
            )
    return found


def users_of_frameworks(owners: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the descriptions of those that name a framework."""
    return [owner for owner, value in owners if _frameworks(value)]


def framework_of(value: object) -> str | None:
    """Return the name of the framework that a module belongs to, or a function, a class or an object of one; None for all else."""
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return _FRAMEWORKS.get(module.split(".")[0]) if isinstance(module, str) else None


def _frameworks(value: Any) -> dict[str, Place]:
    """Return the frameworks that `value` names, each with the first place where it does."""
    found: dict[str, Place] = {}
    for framework, place in _search(Place(), value, {}, _DEPTH):
        found.setdefault(framework, place)
    return found


def _search(place: Place, value: Any, seen: dict[int, Any], depth: int) -> Iterator[tuple[str, Place]]:
    framework = framework_of(value)
    if framework:
        yield framework, place  # what it names in its turn is its own affair
    elif id(value) not in seen and depth and not isinstance(value, ModuleType) and not _is_data(value):
        seen[id(value)] = value  # kept, so that no other object gets its id
        for name, part in [*parts(value), *_members(value)]:
            yield from _search(place.step(value, name), part, seen, depth - 1)


def _heavy(place: Place, value: Any, seen: dict[int, Any], depth: int, most: int) -> Iterator[tuple[Place, int]]:
    """Yield what takes much along, each with its bytes: the innermost that has a name for the user.

    What takes more than its holder, which takes `most`, is left behind by that (`__getstate__`).
    """
    if id(value) in seen or not _LARGE_BYTES < (weight := _weight(value)) <= most:
        return
    seen[id(value)] = value
    inner: list[tuple[Place, int]] = []
    if depth and not _is_data(value) and not (place.hidden and isinstance(value, _CONTAINERS)):
        for name, part in [*parts(value), *_members(value)]:
            inner += _heavy(place.step(value, name), part, seen, depth - 1, weight)
    if inner or place.hidden:
        yield from inner or [(place, weight)]


def _members(value: Any) -> list[tuple[str, Any]]:
    """Return what a class that travels by value has: one of the script, or of a function."""
    kind = value if isinstance(value, type) else type(value)
    if is_importable(kind):
        return []
    members = [(f".{name}", member) for name, member in vars(kind).items() if not name.startswith("__") or isinstance(member, FunctionType)]
    return [(name, getattr(member, "__func__", getattr(member, "fget", member))) for name, member in members]


def _is_data(value: Any) -> bool:
    """Whether `value` is better not looked into: it holds data, or very much of something."""
    many = isinstance(value, _CONTAINERS) and len(value) > _ITEMS
    return many or isinstance(value, str | bytes | int | float) or hasattr(type(value), "__array__")


def _weight(value: Any) -> int:
    """Return the bytes that `value` takes when it travels; 0 for what can't: its holder leaves it behind."""
    try:
        return weigh(value)
    except Exception:
        return 0
