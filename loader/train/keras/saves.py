"""Saves in a folder: each is complete or not there, whatever is killed at any moment.

    .writing/         a save that is being written; nobody reads it
    save-00000007/    a complete one; the one with the largest number counts, those before it are about to be removed

A rename within one folder is atomic (rename(2)); before it, the content is on the disk, and the name is before older saves are removed (fsync(2)).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"save-(\d{8,})")
_WRITING = ".writing"


class Saves:
    """The saves in one folder. One process writes to it.

    Args:
        folder: is made with the first save.

    Attributes:
        place: the folder, absolute.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).absolute()
        self.place = str(self._folder)

    @contextmanager
    def newest(self) -> Iterator[Path | None]:
        """Give the folder of the newest complete save, or None, to read from."""
        numbers = self._numbers()
        yield self._path(max(numbers)) if numbers else None

    @contextmanager
    def new(self) -> Iterator[Path]:
        """Give an empty folder to write a save into, which counts as soon as the block has ended without an exception, and not before."""
        writing = self._folder / _WRITING
        shutil.rmtree(writing, ignore_errors=True)  # left by a process that was killed
        writing.mkdir(parents=True)
        yield writing
        for folder, _, files in os.walk(writing):
            for name in files:
                _sync(os.path.join(folder, name))
            _sync(folder)
        older = self._numbers()
        writing.rename(self._path(max(older, default=0) + 1))
        _sync(self._folder)
        for number in older:
            shutil.rmtree(self._path(number))

    def _path(self, number: int) -> Path:
        return self._folder / f"save-{number:08d}"

    def _numbers(self) -> list[int]:
        names = os.listdir(self._folder) if self._folder.is_dir() else []
        return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def _sync(path: str | os.PathLike[str]) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
