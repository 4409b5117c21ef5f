"""Files, groups and datasets of h5py: they travel as a path and a name, and each process that uses one opens the file for itself.

h5py refuses to pickle them, and HDF5 must not be used through a handle that was open before a fork: two processes would share its state. So what
arrives stays closed in the supervisor, and a worker opens it when the first sample needs it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from loader.data.sources.source_mistakes import is_made_by
from loader.errors import PipelineError

_KINDS = ("File", "Group", "Dataset")
_DRIVERS = ("sec2", "stdio", "direct", "core")  # of one file, however it is read


class Hdf5Reducer:
    """Says how pickle takes the objects of h5py in one pipeline apart."""

    def __init__(self) -> None:
        self._files: dict[str, Hdf5File] = {}

    def by_class(self) -> dict[type, Callable[[Any], Any]]:
        """Return this reducer for each class of h5py that it is for; for none where the script does not use h5py."""
        h5py = sys.modules.get("h5py")
        return {} if h5py is None else {getattr(h5py, kind): self for kind in _KINDS}

    def __call__(self, handle: Any) -> Any:
        """Return what `__reduce__` would. Raises PipelineError if another process can't open the file."""
        if not handle:
            raise PipelineError("is of an HDF5 file that has been closed. What to do: keep it open until the Loader is made")
        file, name = handle.file, handle.name
        path = os.path.abspath(file.filename)
        _check(file, name, path)
        _, *cache = file.id.get_access_plist().get_cache()
        stored = self._files.setdefault(path, Hdf5File(path, file.swmr_mode, tuple(cache)))
        return open_later, (stored, name, type(handle).__name__)


def is_hdf5(value: object) -> bool:
    """Whether this module says how `value` travels."""
    return is_made_by(value, ("h5py",), *_KINDS)


def _check(file: Any, name: str | None, path: str) -> None:
    if file.driver not in _DRIVERS or not os.path.isfile(path):
        raise PipelineError(
            f"is of an HDF5 file that is not at a path of this machine (driver {file.driver!r}, {path}), so no worker can open it. "
            "What to do: open it in the first __getitem__, or write it to a file and give h5py.File(path)"
        )
    if file.mode != "r":
        raise PipelineError(
            f"is of {path}, which the script has open for writing (mode {file.mode!r}); the workers open it again, and HDF5 lets nobody read what is "
            "being written. What to do: close it, and open it with h5py.File(path, 'r')"
        )
    if name is None:
        raise PipelineError(f"has no name in {path}, by which a worker could find it. What to do: give a dataset that is linked into the file")


class Hdf5File:
    """A file that is opened by each process that reads from it, once.

    Args:
        path: absolute.
        swmr: whether somebody may write to it meanwhile.
        cache: number of slots, bytes and preemption of the cache for chunks, as the script has chosen them.
    """

    def __init__(self, path: str, swmr: bool, cache: tuple[Any, ...]) -> None:
        self.path = path
        self._swmr = swmr
        self._cache = cache
        self._pid = 0
        self._file: Any = None

    def opened(self) -> Any:
        """Return the `h5py.File` of this process. Raises OSError, with the path in it."""
        if self._pid != os.getpid():
            slots, nbytes, preemption = self._cache
            h5py = importlib.import_module("h5py")
            self._file = h5py.File(self.path, "r", swmr=self._swmr, rdcc_nslots=slots, rdcc_nbytes=nbytes, rdcc_w0=preemption)
            self._pid = os.getpid()
        return self._file


class Hdf5Handle:
    """Stands for a `File`, `Group` or `Dataset` of h5py, which is opened when something is asked of it. Made by `open_later`."""

    def __init__(self, file: Hdf5File, name: str, kind: type) -> None:
        self._stored = file
        self._path = name
        self._kind = kind
        self._pid = 0
        self._object: Any = None

    def _opened(self) -> Any:
        if self._pid != os.getpid():
            file = self._stored.opened()
            self._object = file if self._kind.__name__ == "File" else file[self._path]
            self._pid = os.getpid()
        return self._object

    @property  # type: ignore[misc]  # for `isinstance`, it is what the script has given
    def __class__(self) -> Any:
        return self._kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)

    def __getitem__(self, *key: Any, **options: Any) -> Any:
        return self._opened().__getitem__(*key, **options)  # views of h5py's, such as `astype`, give options

    def __len__(self) -> int:
        return len(self._opened())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._opened())

    def __contains__(self, key: object) -> bool:
        return key in self._opened()

    def __array__(self, *args: Any, **options: Any) -> Any:
        return self._opened().__array__(*args, **options)

    def __eq__(self, other: object) -> bool:
        return bool(self._opened() == (other._opened() if type(other) is Hdf5Handle else other))

    def __hash__(self) -> int:
        return hash(self._opened())

    def __repr__(self) -> str:
        return f"<HDF5 {self._kind.__name__.lower()} {self._path!r} of {self._stored.path}, opened when it is used>"


def open_later(file: Hdf5File, name: str, kind: str) -> Hdf5Handle:
    """Return what stands for an object of h5py. Imports h5py, for all processes that are forked from this one."""
    return Hdf5Handle(file, name, getattr(importlib.import_module("h5py"), kind))
