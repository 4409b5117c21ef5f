"""A million paths as two arrays: few objects, fast to build, mapped by all workers.

    blob     uint8    the paths, encoded for the file system, each followed by a zero byte (which no path can hold)
    starts   int64    where path i begins in `blob`; one more entry than there are paths

Pickled with protocol 5 both arrays go out of band, so that the index can lie in memory shared by all workers; after that they may be
read-only. The paths of a list of 10⁶ strings take 120 MB, those of the index 60.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from loader.data.rows import Indices
from loader.data.sources.files.file_listing import path_text
from loader.errors import ConfigError


class PathIndex:
    """An immutable sequence of absolute paths, and the IDs that follow from them.

    Args:
        paths: at least one; relative ones are taken relative to `root`.
        root: absolute folder that IDs are relative to. None: the working directory if any path is relative, else the folder that is common to all.

    Attributes:
        root: absolute, without a slash at its end (except for `/` itself).
    """

    far: ClassVar[bool] = False
    """Whether these are URLs."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]], root: str | None = None) -> None:
        joined, names = _join(paths)
        absolute = joined.count("\0/") + joined.startswith("/")
        if root is None:
            root = _common_folder(names) if absolute == len(names) else os.getcwd()
        self.root = root
        prefix = root.rstrip("/") + "/"
        if absolute == 0:
            joined = prefix + f"\0{prefix}".join(names)
        elif absolute < len(names):
            joined = "\0".join([name if name[:1] == "/" else prefix + name for name in names])
        if _needs_normalizing(joined):
            joined = "\0".join([os.path.normpath(path) for path in joined.split("\0")])
        self._fill(joined, names)

    def _fill(self, joined: str, names: Sequence[str]) -> None:
        """Take over the paths, joined by zero bytes."""
        self._blob: npt.NDArray[np.uint8] = np.frombuffer(os.fsencode(joined) + b"\0", np.uint8)
        ends = np.flatnonzero(self._blob == 0)
        if len(ends) != len(names):
            bad = next(name for name in names if "\0" in name)
            raise ConfigError(f"a path holds a zero byte: {bad!r}")
        self._starts: Indices = np.concatenate([np.zeros(1, np.int64), ends + 1])
        self._look()

    def _look(self) -> None:
        """Make the views by which paths are taken out; none of them holds a copy."""
        self._view = memoryview(self._blob)
        width = int(self._starts[1])
        uniform = len(self._blob) == width * len(self) and bool((np.diff(self._starts) == width).all())
        # Paths of one length are a table, which numpy turns into bytes objects at 25 ns each; slices of the view cost 175.
        self._table = self._blob.view(f"S{width}") if uniform else None

    def __len__(self) -> int:
        return len(self._starts) - 1

    def raw(self, index: int) -> bytes:
        """Return path `index` encoded for the file system."""
        return self._view[self._starts[index] : self._starts[index + 1] - 1].tobytes()

    def path(self, index: int) -> str:
        """Return path `index`, absolute."""
        return os.fsdecode(self.raw(index))

    def raw_paths(self, indices: Indices) -> list[bytes]:
        """Return many paths, encoded for the file system."""
        if self._table is not None:
            return self._table.take(indices).tolist()  # type: ignore[no-any-return]
        view = self._view
        ends = self._starts[indices + 1] - 1
        return [view[start:end].tobytes() for start, end in zip(self._starts[indices].tolist(), ends.tolist(), strict=True)]

    def ids(self) -> list[str]:
        """Return all IDs, in order: paths relative to `root`, without extension; those outside it stay absolute. As many strings, for a moment."""
        return [_stem(name) for name in self.relative_paths()]

    def paths(self) -> list[str]:
        """Return all paths, absolute, in order: as many strings."""
        return os.fsdecode(self._view[:-1].tobytes()).split("\0")

    def relative_paths(self) -> list[str]:
        """Return all paths relative to `root`, in order, those outside it absolute: as many strings, for a moment."""
        prefix = self.root.rstrip("/") + "/"
        return [path.removeprefix(prefix) for path in self.paths()]

    def relative(self, path: str) -> str:
        """Return a path of any form, absolute or relative to `root`, as `relative_paths` has it."""
        if path[:1] != "/" and not _needs_normalizing("/" + path):
            return path
        prefix = self.root.rstrip("/") + "/"
        return os.path.normpath(os.path.join(prefix, path)).removeprefix(prefix)

    def __getstate__(self) -> dict[str, object]:
        return {"root": self.root, "blob": self._blob, "starts": self._starts}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.root = state["root"]  # type: ignore[assignment]
        self._blob = state["blob"]  # type: ignore[assignment]
        self._starts = state["starts"]  # type: ignore[assignment]
        self._look()


def _join(paths: Sequence[str | os.PathLike[str]]) -> tuple[str, Sequence[str]]:
    """Return the paths joined by zero bytes, and as a list of strings."""
    try:
        return "\0".join(paths), paths  # type: ignore[arg-type, return-value]
    except TypeError:  # not all are strings; asking each one beforehand takes longer than all the rest
        names = [path_text(path) for path in paths]
        return "\0".join(names), names


def _needs_normalizing(joined: str) -> bool:
    """Whether any of the paths, joined by zero bytes, holds a `//`, `.` or `..`: a look at all at once, as `normpath` for each takes seconds."""
    if "//" in joined:
        return True
    return "/." in joined and re.search(r"/\.\.?(?:[/\0]|\Z)", joined) is not None


def _common_folder(names: Sequence[str]) -> str:
    """Return the folder that all absolute paths lie in. What the smallest and the largest share, all between them share."""
    first, last = min(names), max(names)
    return os.path.commonpath([os.path.dirname(first), os.path.dirname(last)])


def _stem(name: str) -> str:
    """Return a path without its extension; the commonest one at a tenth of the time."""
    return name[:-4] if name[-4:] == ".npy" else os.path.splitext(name)[0]
