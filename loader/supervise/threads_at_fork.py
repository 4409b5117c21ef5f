"""Threads of a process that forks: they are not there in the child, and a lock that one of them holds at that moment is never given back there.

The supervisor has none of its own. A module of the user's may start some when it is imported, or a source when it is opened.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from types import FrameType

_TASKS = "/proc/self/task"

_log = logging.getLogger("loader.supervisor")


class ThreadsAtFork:
    """The threads that were there when this process was about to fork."""

    def __init__(self) -> None:
        self._found = ""

    def look(self) -> None:
        """Look for them, and warn of them once. To be called before each fork; takes some µs."""
        if self._found or len(os.listdir(_TASKS)) == 1:
            return
        self._found = in_words()
        if self._found:
            _log.warning("%s. What to do: start threads in the worker, when a sample first needs them", self._sentence())

    def remark(self) -> str:
        """Return a likely cause for a sample that hangs, as the end of a sentence; empty if there were no threads."""
        return f"; likely cause: {self._sentence()}" if self._found else ""

    def _sentence(self) -> str:
        return (
            f"the process that workers are forked from has threads of the source, of a transform or of a module that these import: {self._found}. "
            "A fork has none of them, and a lock that one of them holds at that moment stays locked in it for ever"
        )


def in_words() -> str:
    """Return the threads of this process except the main one: of Python threads the names and where they run, of others the names that they have."""
    here = os.getpid()
    frames = sys._current_frames()
    pythons = {thread.native_id: thread for thread in threading.enumerate()}
    found: list[str] = []
    for task in sorted(map(int, os.listdir(_TASKS))):
        thread = pythons.get(task)
        if task == here:
            continue
        found.append(_name_of(task) if thread is None else f"{thread.name!r}{_place(frames.get(thread.ident or 0))}")
    return ", ".join(f"{found.count(words)} × {words}" if found.count(words) > 1 else words for words in dict.fromkeys(found))


def _place(frame: FrameType | None) -> str:
    """Return where a thread runs: the outermost place outside the threading module."""
    place = ""
    while frame is not None:
        if frame.f_code.co_filename != threading.__file__:
            place = f" ({frame.f_code.co_filename}, line {frame.f_lineno})"
        frame = frame.f_back
    return place


def _name_of(task: int) -> str:
    """Return what a thread of C code is called: those that have not named themselves are called as the process is."""
    try:
        name, process = (Path(_TASKS, str(one), "comm").read_text().strip() for one in (task, os.getpid()))
    except OSError:  # it has just ended
        return "one that has ended"
    return "a thread of C code" if name == process else f"a thread of C code, {name!r}"
