"""The text of code that has no file: a cell of a notebook, `python -c`. It travels along, so that a traceback from a worker shows the line.

The trainer collects the texts (`of_files`), the supervisor remembers them before it unpickles anything, and the workers are its forks.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
from collections.abc import Iterable

_COMMAND = "<string>"  # what Python calls the text of `-c`
_OPTION_C = re.compile(r"-[A-Za-z]*c")

# Longer than any cell that a person writes; what a program has written needs no traceback with its lines.
_LONGEST = 256 * 1024


def of_files(names: Iterable[str]) -> dict[str, str]:
    """Return the text of those files that are not on disk, as far as it is known here, by the name that tracebacks have for them."""
    texts = {name: "".join(linecache.getlines(name)) or _command(name) for name in names if not os.path.exists(name)}
    return {name: text for name, text in texts.items() if 0 < len(text) <= _LONGEST}


def remember(texts: dict[str, str]) -> None:
    """Have tracebacks of this process and its forks find these texts."""
    for name, text in texts.items():
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # None: never compared with a file


def _command(name: str) -> str:
    """Return the text of `python -c`, if `name` means it and this process was started so; else nothing."""
    if name != _COMMAND or hasattr(sys.modules.get("__main__"), "__file__"):
        return ""
    place = next((place for place, word in enumerate(sys.orig_argv) if place and _OPTION_C.fullmatch(word)), len(sys.orig_argv))
    return "".join(sys.orig_argv[place + 1 : place + 2])
