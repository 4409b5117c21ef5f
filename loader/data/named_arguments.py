"""Arguments by a name that does not exist: which one was probably meant."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from loader.errors import ArgumentError

_Made = TypeVar("_Made", bound="NamedArguments")


class NamedArguments:
    """For classes that users make: an argument by a name that `__init__` does not have is an ArgumentError, which proposes one that it has.

    Python's own error proposes nothing before 3.13, and first of all misses the argument that was misspelt. This is asked before `__init__` is
    called and not around it, so that warnings given there still find their caller.
    """

    def __new__(cls: type[_Made], *args: Any, **given: Any) -> _Made:
        """Check the names in `given`; there are none when an object is unpickled or copied."""
        if given:
            _check_names(cls, given)
        return super().__new__(cls)


def _check_names(cls: type, given: Mapping[str, Any]) -> None:
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    names = [name for name in parameters if name != "self"]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    wrong = [f"{name!r}{_meant(name, names)}" for name in given if name not in names]
    if wrong:
        raise ArgumentError(f"{cls.__name__} has no argument {', '.join(wrong)}")


def _meant(name: str, names: list[str]) -> str:
    import difflib

    # What others call num_workers is nearer to max_workers, by its letters alone.
    close = [own for own in names if len(own) > 3 and own in name] or difflib.get_close_matches(name, names, 1)
    return f" (did you mean {close[0]}?)" if close else f" (it has {', '.join(names)})"
