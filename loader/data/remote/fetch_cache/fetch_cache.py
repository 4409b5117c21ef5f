"""What was fetched, in files that never change and are never removed, so that any number of runs can read and fill a folder at once.

A file is written under a name of its own and renamed when it is complete; whoever reads it compares a checksum. So nobody waits for a lock, and
nobody minds who is killed when. What is added stays until the folder is deleted: an epoch reads everything once, so whatever made room for the
latest would throw away exactly what is needed soonest.

    has ──┬── yes ── read
          └── no ─── claim ──┬── yes ── fetch ──┬── add
                             │                  └── drop
                             └── no: another process fetches it; look again soon
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import logging
import os
import struct
import time
import zlib

from loader.data.npy.file_io import map_file
from loader.data.remote.fetch_cache.budget import Budget
from loader.data.remote.fetch_cache.cache_folder import CLAIMS, FILES, LOG, NEW
from loader.data.remote.objects import UNKNOWN_VERSION, Fetched, Span

CLAIM_S = 5.0
"""A claim that is older counts no more: who has made it may be dead."""

_HEADER = struct.Struct("<8s16sqqqI4x")  # mark, key, bytes of content, bytes of the object, its version, checksum
HEADER_BYTES = _HEADER.size
_MARK = b"fetched1"
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger("loader.cache")


class FetchCache:
    """A folder of fetched spans, for one process. `has`, `holds`, `takes` and `read` may be called by another thread than the others.

    Whoever fetches for it closes it: `loader.data.remote.gathering.gather.Gather`.

    Args:
        folder: that `prepare_folder` has made.
        max_bytes: that it may hold, over all processes; None: as much as the disk has.
        place: what a URL does not say, such as the endpoint: two stores may have buckets of the same name.
    """

    def __init__(self, folder: str, max_bytes: int | None, place: str = "") -> None:
        self._files, self._new, self._claims = (os.path.join(folder, name) for name in (FILES, NEW, CLAIMS))
        self._folder = folder
        self._place = place
        self._numbers = itertools.count()
        self._claimed: set[bytes] = set()
        self._writable = os.access(os.path.join(folder, NEW), os.W_OK)
        self._budget = Budget(os.path.join(folder, LOG), max_bytes, writable=self._writable)

    def has(self, span: Span) -> bool:
        """Return whether a span is there, and ask the system to have it in memory soon."""
        try:
            fd = os.open(self._file(self._key(span)), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(fd)
        return True

    def holds(self, span: Span) -> bool:
        """Return whether a span is there, and leave it on the disk."""
        return os.path.exists(self._file(self._key(span)))

    def read(self, span: Span) -> Fetched | None:
        """Return a span; None if it is not there. One that is damaged is removed."""
        key = self._key(span)
        path = self._file(key)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            nbytes = os.fstat(fd).st_size
            content = _read_all(fd, nbytes)
        finally:
            os.close(fd)
        fetched = _checked(content, key)
        if fetched is None:
            self._remove_damaged(path, nbytes, span)
        return fetched

    def place(self, span: Span) -> tuple[str, int] | None:
        """Return the file that holds a span, and where its content begins there; None if it is not there. One that is damaged is removed."""
        key = self._key(span)
        path = self._file(key)
        try:
            with open(path, "rb") as file:
                nbytes = os.fstat(file.fileno()).st_size
                whole = nbytes >= HEADER_BYTES and _checked(memoryview(map_file(file.fileno(), nbytes)), key) is not None
        except OSError:
            return None
        if whole:
            return path, HEADER_BYTES
        self._remove_damaged(path, nbytes, span)
        return None

    def takes(self, span: Span) -> bool:
        """Return whether a span would be kept if it came now."""
        return self._writable and _is_kept(span) and self._budget.fits(_least_bytes(span))

    def claim(self, span: Span) -> bool:
        """Return whether this process is to fetch a span; if not, another one does so now."""
        if not self.takes(span):
            return True  # it will not be there, so nobody should wait for it
        key = self._key(span)
        if key in self._claimed:
            return True
        path = self._claim(key)
        for _ in range(2):
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
            except FileExistsError:
                if not _is_old(path):
                    return False
                _unlink(path)
            except OSError as error:
                self._stop(error)
                return True
            else:
                break
        self._claimed.add(key)
        return True

    def add(self, span: Span, fetched: Fetched) -> None:
        """Keep what was fetched, if there is room."""
        key = self._key(span)
        if self._writable and _is_kept(span):
            nbytes = HEADER_BYTES + len(fetched.content)
            try:
                if self._budget.fits(nbytes) and not os.path.exists(self._file(key)):
                    self._write(key, fetched)
            except OSError as error:
                self._stop(error)
        self._give_up(key)

    def drop(self, span: Span) -> None:
        """Take back the claim of what will not be added."""
        self._give_up(self._key(span))

    def close(self) -> None:
        """Take back all claims, and close the log."""
        for key in list(self._claimed):
            self._give_up(key)
        self._budget.close()

    def _write(self, key: bytes, fetched: Fetched) -> None:
        content = memoryview(fetched.content)
        facts = (_MARK, key, len(content), fetched.size, fetched.version)
        checksum = zlib.crc32(content, zlib.crc32(_HEADER.pack(*facts, 0)))
        nbytes = HEADER_BYTES + len(content)
        path, target = os.path.join(self._new, f"{os.getpid()}-{time.time_ns()}-{next(self._numbers)}"), self._file(key)
        try:
            with open(path, "xb", buffering=0) as file:
                written = os.writev(file.fileno(), [_HEADER.pack(*facts, checksum), content])
                while written < nbytes:  # 2 GiB at a time, or until the disk is full
                    written += os.write(file.fileno(), content[written - HEADER_BYTES :])
            self._budget.add(nbytes)
            try:
                os.rename(path, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(path, target)
        except OSError:
            _unlink(path)
            raise

    def _remove_damaged(self, path: str, nbytes: int, span: Span) -> None:
        _log.warning("a file of the cache %s is damaged; it is fetched again: %s", self._folder, span.url)
        with contextlib.suppress(OSError):  # another process has removed it, or the folder can't be written
            os.unlink(path)
            self._budget.add(-nbytes)

    def _stop(self, error: OSError) -> None:
        """Add nothing more: what has gone wrong once goes wrong each time."""
        self._writable = False
        if error.errno in _FULL_DISK:
            _log.warning("the disk of the cache %s is full; nothing more is added to it", self._folder)
        else:
            _log.warning("the cache %s can't be written (%s); nothing more is added to it", self._folder, error.strerror)

    def _give_up(self, key: bytes) -> None:
        if key in self._claimed:
            self._claimed.remove(key)
            _unlink(self._claim(key))

    def _key(self, span: Span) -> bytes:
        text = "\n".join(map(str, (self._place, *span)))
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()

    def _file(self, key: bytes) -> str:
        name = key.hex()
        return f"{self._files}/{name[:2]}/{name[2:]}"

    def _claim(self, key: bytes) -> str:
        return f"{self._claims}/{key.hex()}"


def _is_kept(span: Span) -> bool:
    """Return whether a span may be kept: the beginning of an object whose version nobody knows may be looked at to find out what it is now."""
    return span.version != UNKNOWN_VERSION or (span.start == 0 and span.end is None)


def _least_bytes(span: Span) -> int:
    """Return how many bytes the file of a span has, or would have if it were empty where nobody knows its size."""
    end = max(span.size, span.start) if span.end is None else span.end
    return HEADER_BYTES + end - span.start


def _read_all(fd: int, nbytes: int) -> bytes:
    content = os.read(fd, nbytes)
    while len(content) < nbytes and (more := os.read(fd, nbytes - len(content))):  # 2 GiB at a time
        content += more
    return content


def _checked(raw: bytes | memoryview, key: bytes) -> Fetched | None:
    """Return what a file holds; None if it is not whole, or not what its name says."""
    if len(raw) < HEADER_BYTES:
        return None
    *facts, checksum = _HEADER.unpack_from(raw)
    content = memoryview(raw)[HEADER_BYTES:]
    mark, found, nbytes, size, version = facts
    if (mark, found, nbytes) != (_MARK, key, len(content)) or zlib.crc32(content, zlib.crc32(_HEADER.pack(*facts, 0))) != checksum:
        return None
    return Fetched(content, size, version)


def _is_old(path: str) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime > CLAIM_S
    except FileNotFoundError:
        return True


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
