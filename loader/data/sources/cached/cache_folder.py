"""A folder with the samples of one source, which several runs may use and fill at once.

    cache.json       what the source is made of, the spec of a sample, rows of the columns; written last, by a rename
    files.npy        size and time of each file of the source
    x.npy, y.npy, …  a column for each array of a sample; the files grow as samples are added, and where nothing was added they take no room
    others.bin       samples of other sizes than the first, and places.bin where they are (`other_sizes`)
    checksums.bin    uint32 for each sample of the source; 0: not there
    cache.lock       held while the others are made, changed or compared

Anyone may be killed at any moment. Without cache.json, the folder is made again. A sample counts when its checksum is there and is right.
"""

from __future__ import annotations

import errno
import json
import logging
import mmap
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.config import brief_size
from loader.data.npy.file_io import OPEN_FLAGS
from loader.data.rows import Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.cached.column_files import HEADER_BYTES, column_name, npy_header, stored_column
from loader.data.sources.cached.identity import Identity
from loader.data.sources.cached.other_sizes import OtherSizes, place_bytes
from loader.data.sources.cached.records import FileRecords, Flags
from loader.data.spec import PART_NAMES, SampleSpec
from loader.errors import ConfigError

FORMAT = "1"
META, FILES, CHECKSUMS, LOCK = "cache.json", "files.npy", "checksums.bin", "cache.lock"
OTHERS, PLACES = "others.bin", "places.bin"

_NAMES = (FILES, CHECKSUMS, OTHERS, PLACES, LOCK, f"{META}.new")
_COLUMN = re.compile(rf"({'|'.join(PART_NAMES)})(-.*)?\.npy")

_log = logging.getLogger("loader.cache")


class RunFlags:
    """What all workers of a run share: which files they use, how many rows of them, and which samples they know to be there.

    Args:
        samples: in the source.

    Attributes:
        present: whether each sample is there.
    """

    def __init__(self, samples: int) -> None:
        memory = np.frombuffer(mmap.mmap(-1, 16 + samples), np.uint8)
        self._header = memory[:16].view(np.int64)
        self.present: Flags = memory[16:].view(np.bool_)

    def agree(self, inode: int, rows: int) -> int | None:
        """Return the rows that this run uses, as its first process has said; None if that one has other files, which were deleted since."""
        if not self._header[0]:
            self._header[:] = inode, rows
        return int(self._header[1]) if self._header[0] == inode else None


class CacheFolder:
    """The folder of a cache.

    Args:
        path: absolute.
        identity: of the source.
        samples: in the source.

    Attributes:
        path: as given.
        files: size and time of each file of the source.
    """

    def __init__(self, path: str, identity: Identity, samples: int) -> None:
        self.path = path
        self._facts = {"format": FORMAT, "samples": str(samples), **identity.facts}
        self.files = identity.files
        self._samples = samples

    def check(self, identity: Identity) -> str | None:
        """Return how full an existing cache is, in words; None if there is none.

        Raises:
            ConfigError: it holds the samples of another source, or the path can't be a cache.
        """
        if os.path.exists(self.path) and not os.path.isdir(self.path):
            raise ConfigError(f"cache {self.path!r} is a file; give a folder")
        if self._meta() is None:
            self._refuse_foreign()
            return None
        difference = self.difference(identity)
        if difference is not None:
            raise ConfigError(
                f"the cache {self.path} was made of something else: {difference}. What to do: delete the folder, so that it is filled again, "
                "or give this source another folder"
            )
        there = np.count_nonzero(np.fromfile(self._at(CHECKSUMS), np.uint32)) if os.path.exists(self._at(CHECKSUMS)) else 0
        return f"{there:,} of {self._samples:,} samples are in it"

    def difference(self, identity: Identity) -> str | None:
        """Return in words what was otherwise when an existing cache was made; None if nothing was, or there is none."""
        meta = self._meta()
        if meta is None:
            return None
        known = {"format": FORMAT, "samples": str(self._samples)}
        return Identity(known | identity.facts, identity.files, identity.name_of).difference(meta["facts"], self._known_files())

    def known_spec(self) -> SampleSpec | None:
        """Return the spec of a sample, if there is a cache of this source."""
        meta = self._meta()
        return SampleSpec.from_json(meta["spec"]) if meta is not None and meta["facts"] == self._facts else None

    def prepare(
        self, spec: SampleSpec, versions: Mapping[str, str], max_bytes: int | None, flags: RunFlags
    ) -> tuple[FileRecords, OtherSizes | None] | None:
        """Make the files that are missing, and return what is kept in them; None if those that this run uses have been deleted.

        Args:
            spec: of a sample.
            versions: of the libraries that decode, by name.
            max_bytes: that the samples may take on the disk.
            flags: of this run.

        Raises:
            ConfigError: the folder can't be written, the samples do not fit on the disk, or another spec or other versions have filled it.
        """
        room = self._samples if max_bytes is None else min(self._samples, max_bytes // max(1, spec.nbytes + 4))
        with self._lock() as writable:
            meta = self._meta()
            if meta is None and not writable:
                raise ConfigError(f"the cache {self.path} can't be made: the folder can't be written. Give another folder, or cache(None): in memory")
            rows = max(room, 0 if meta is None else meta["rows"]) if writable else meta["rows"] if meta else 0
            if meta is None or meta["rows"] < rows:
                self._check_space(rows, spec)
            if meta is not None:
                self._check_filled_alike(meta, spec, versions)
            if writable:
                self._make_files(rows, spec, flags, fresh=meta is None)
                if meta is None or meta["rows"] < rows:
                    self._write_meta(rows, spec, versions)
            return self._records(spec, rows, flags, room if writable else 0, writable=writable)

    def _records(self, spec: SampleSpec, rows: int, flags: RunFlags, room: int, *, writable: bool) -> tuple[FileRecords, OtherSizes | None] | None:
        checksum_path = self._at(CHECKSUMS)
        agreed = flags.agree(os.stat(checksum_path).st_ino, rows)
        if agreed is None:
            _log.warning("the cache %s was deleted while it was in use; this process goes on without it", self.path)
            return None
        paths = [self._at(column_name(leaf)) for leaf in spec.leaves]
        columns = [ArrayColumn([stored_column(path, leaf, agreed)]) for path, leaf in zip(paths, spec.leaves, strict=True)]
        for column in columns:
            column.open()
        with self._open(CHECKSUMS, os.O_RDONLY) as fd:
            checksums: npt.NDArray[np.uint32] = np.frombuffer(mmap.mmap(fd, 4 * self._samples, prot=mmap.PROT_READ), np.uint32)
        records = FileRecords(columns, paths, HEADER_BYTES, checksums, checksum_path, flags.present, min(room, agreed))
        try:
            others = OtherSizes(self._at(OTHERS), self._at(PLACES), 0, self._samples, spec.leaves, writable=writable)
        except (OSError, ValueError):  # a folder that can't be written lacks them, or they are too short
            others = None
        return records, others

    def _check_filled_alike(self, meta: dict[str, Any], spec: SampleSpec, versions: Mapping[str, str]) -> None:
        before = dict(meta["versions"])
        changed = [name for name, version in versions.items() if before.get(name, version) != version]
        if meta["facts"] != self._facts or not np.array_equal(self._known_files(), self.files):
            what = "another source, since this one was made"
        elif meta["spec"] != spec.to_json():
            what = f"samples {SampleSpec.from_json(meta['spec'])}, and these are {spec}"
        elif changed:
            what = f"samples that {changed[0]} {before[changed[0]]} has decoded; now it is {versions[changed[0]]}"
        else:
            return
        raise ConfigError(f"the cache {self.path} was filled with {what}. What to do: delete the folder, so that it is filled again, or give another")

    def _check_space(self, rows: int, spec: SampleSpec) -> None:
        there = sum(_bytes_on_disk(self._at(column_name(leaf))) for leaf in spec.leaves)
        free = os.statvfs(self.path)
        missing, available = rows * spec.nbytes + 4 * self._samples - there, free.f_bavail * free.f_frsize
        if missing > available:
            raise ConfigError(
                f"the cache {self.path} takes {brief_size(rows * spec.nbytes)} for {rows:,} samples, and {brief_size(available)} are free there. "
                f"What to do: make room, or cache a part: max_bytes={max(1, available * 9 // 10)} would fit"
            )

    def _make_files(self, rows: int, spec: SampleSpec, flags: RunFlags, *, fresh: bool) -> None:
        """Make files that are missing, and bring those that are too short to their size; what is there is then to be found out again."""
        sizes = [(column_name(leaf), HEADER_BYTES + rows * leaf.nbytes) for leaf in spec.leaves]
        for name, size in [(OTHERS, 0), (PLACES, self._samples * place_bytes(spec.leaves)), (CHECKSUMS, 4 * self._samples), *sizes]:
            with self._open(name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if fresh else 0)) as fd:
                if os.fstat(fd).st_size < size:
                    flags.present[:] = False  # before: what is added reads as zeros
                    os.ftruncate(fd, size)
        if fresh:
            with open(self._at(FILES), "wb") as file:
                np.save(file, self.files)
                file.flush()
                os.fsync(file.fileno())
        for (name, _), leaf in zip(sizes, spec.leaves, strict=True):
            with self._open(name, os.O_WRONLY) as fd:
                os.pwrite(fd, npy_header(leaf, rows), 0)

    def _write_meta(self, rows: int, spec: SampleSpec, versions: Mapping[str, str]) -> None:
        meta = {"facts": self._facts, "versions": dict(versions), "spec": spec.to_json(), "rows": rows}
        temporary = self._at(f"{META}.new")
        with open(temporary, "w") as file:
            json.dump(meta, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._at(META))

    def _meta(self) -> dict[str, Any] | None:
        try:
            with open(self._at(META)) as file:
                meta: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None
        return meta

    def _refuse_foreign(self) -> None:
        """Raise ConfigError if a folder without a cache holds anything that is not of an unfinished one."""
        names = os.listdir(self.path) if os.path.isdir(self.path) else []
        ours = LOCK in names
        others = [name for name in names if not os.path.exists(self._at(os.path.join(name, LOCK)))]  # a cache in it has a folder of its own
        foreign = [name for name in others if not ours or (name not in _NAMES and not _COLUMN.fullmatch(name))]
        if foreign:
            raise ConfigError(f"cache {self.path!r} holds other files, such as {min(foreign)!r}; give an empty folder, or one that is not there")

    def _known_files(self) -> Indices:
        try:
            found: Indices = np.load(self._at(FILES))
        except (OSError, ValueError, EOFError) as error:
            raise self._unusable(error) from None
        return found

    def _unusable(self, error: Exception) -> ConfigError:
        return ConfigError(f"the cache {self.path} can't be used: {error}. What to do: delete the folder")

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name)

    @contextmanager
    def _open(self, name: str, flags: int) -> Iterator[int]:
        fd = os.open(self._at(name), flags | os.O_CLOEXEC, 0o666)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Hold the lock, which the system takes back from a process that dies; tell whether the folder can be written."""
        import fcntl  # not on Windows

        try:
            os.makedirs(self.path, exist_ok=True)
            fd = os.open(self._at(LOCK), OPEN_FLAGS | os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT):
                raise ConfigError(f"the cache {self.path} can't be made: {error}") from None
            yield False
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield True
        finally:
            os.close(fd)


def _bytes_on_disk(path: str) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def versions_of(modules: Sequence[str]) -> dict[str, str]:
    """Return the versions of modules that this process has imported."""
    import sys

    return {name: str(getattr(sys.modules[name], "__version__", "")) for name in modules if name in sys.modules}
