"""Where the lines of text files begin, and how long they are: found once, in one pass over each file; 12 bytes a line.

    starts     int64    first byte of a line in its file; the lines of all files, one file after the other
    lengths    uint32   bytes of it, without its line end
    newlines   int64    lines of a file that begin before a chunk of it: from there, a line's number is found without reading the whole file

Empty lines are left out. Pickled with protocol 5, the arrays go out of band, into memory that all workers share.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from loader.data.decode.decoder import Undecodable
from loader.data.npy.file_io import OPEN_FLAGS, map_file, preadv
from loader.data.npy.header import name_path
from loader.data.npy.refusals import not_a
from loader.data.rows import Indices
from loader.data.sources.files.file_listing import unreadable
from loader.data.sources.lines.quotes import QuoteScan
from loader.data.sources.lines.row_formats import quoted_fields
from loader.data.spec import Array
from loader.errors import DecodeError

_CHUNK_BYTES = 256 * 1024  # stays in a core's second-level cache; one core finds lines at 1.5 GB/s: docs/measurements.md
_LF, _CR = b"\n\r"
_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_WHOLE = 2**63 - 1  # bytes: all up to the end of the file
_LONGEST = np.iinfo(np.uint32).max
_TOLD_EVERY_S = 5.0

_log = logging.getLogger("loader")


@dataclass(frozen=True)
class LineIndex:
    """The lines of several files, one file after the other. Immutable.

    Attributes:
        paths: absolute.
        sizes: bytes of each file when its lines were found.
        ends: lines up to the end of each file.
        starts, lengths: of each line.
        newlines: of each chunk, those of all files one after the other.
        first_lines: number of the line that each file's first chunk begins with.
    """

    paths: tuple[str, ...]
    sizes: Indices
    ends: Indices
    starts: Indices
    lengths: npt.NDArray[np.uint32]
    newlines: Indices

    def __len__(self) -> int:
        return len(self.starts)

    def file_of(self, line: int) -> int:
        """Return the number of the file that a line is in."""
        return int(np.searchsorted(self.ends, line, side="right"))

    def line_number(self, line: int, files: TextFiles) -> int:
        """Return a line's number in its file, from 1, as editors count them. Reads up to a chunk of the file. Raises DecodeError, OSError."""
        file, start = self.file_of(line), int(self.starts[line])
        chunk = start // _CHUNK_BYTES
        before = bytes(files.part(file, chunk * _CHUNK_BYTES, start)).count(b"\n")
        chunks = -(-self.sizes // _CHUNK_BYTES)
        return int(self.newlines[int(chunks[:file].sum()) + chunk]) + before + 1

    def without_first(self) -> LineIndex:
        """Return the index without the first line of each file that has any: its header."""
        counts = np.diff(self.ends, prepend=0)
        kept = np.ones(len(self), bool)
        kept[(self.ends - counts)[counts > 0]] = False
        ends = np.cumsum(np.maximum(counts - 1, 0), dtype=np.int64)
        return LineIndex(self.paths, self.sizes, ends, self.starts[kept], self.lengths[kept], self.newlines)


class TextFiles(Protocol):
    """Text files, by their numbers in an index."""

    def part(self, file: int, start: int, stop: int) -> memoryview:
        """Return some bytes of a file. Raises DecodeError, OSError."""

    def line(self, index: LineIndex, file: int, line: int) -> memoryview:
        """Return a line of an index, which is in this file. Raises DecodeError, OSError."""


class Held(NamedTuple):
    """Where the content of a text file lies in a file of this machine, such as a copy of what is far away.

    Attributes:
        path: of the file.
        start: of the content in it.
        nbytes: of the content.
    """

    path: str
    start: int
    nbytes: int


def find_lines(paths: Sequence[str], *, delimiter: str | None = None, held: Sequence[Held] | None = None) -> LineIndex:
    """Find the lines of text files, reading each file once.

    Args:
        paths: absolute; or what the files are called, if they are `held` elsewhere.
        delimiter: between the columns, if the files are CSV; a line end between two double quotes does not end a line then.
        held: where the content of each is; None: in itself.

    Raises:
        DataNotFoundError, OSError: a file can't be read.
        DecodeError: a file is not text, or has a line of 4 GiB or more, or lines that only a stray quote holds together.
    """
    progress = _Progress()
    places = [Held(path, 0, _WHOLE) for path in paths] if held is None else held
    found = [_find_in(path, place, delimiter, progress) for path, place in zip(paths, places, strict=True)]
    progress.finish(sum(len(starts) for _, starts, _, _ in found))
    sizes, starts, lengths, newlines = zip(*found, strict=True)
    ends = np.cumsum([len(some) for some in starts], dtype=np.int64)
    joined = [array[0] if len(array) == 1 else np.concatenate(array) for array in (starts, lengths, newlines)]
    return LineIndex(tuple(paths), np.array(sizes, np.int64), ends, *joined)


def _find_in(path: str, held: Held, delimiter: str | None, progress: _Progress) -> tuple[int, Indices, npt.NDArray[np.uint32], Indices]:
    """Return the size of one file, where its lines begin, their lengths, and the line ends before each chunk."""
    try:
        fd = os.open(held.path, OPEN_FLAGS)
        try:
            scan = _Scan(None if delimiter is None else QuoteScan(delimiter))
            buffer = np.empty(1 + _CHUNK_BYTES, np.uint8)
            buffer[0] = 0
            while count := _fill(fd, memoryview(buffer)[1 : 1 + min(_CHUNK_BYTES, held.nbytes - scan.size)], held.start + scan.size):
                if not scan.size:
                    _check_text(path, buffer[1 : 1 + min(count, 64)].tobytes())
                scan.add(buffer[: 1 + count])
                buffer[0] = buffer[count]
                progress.add(count, path)
            starts, lengths, to_check = scan.lines()
            if delimiter is not None and len(to_check):
                _check_rows(
                    path, memoryview(map_file(fd, held.start + scan.size))[held.start :], starts[to_check], lengths[to_check], delimiter.encode()
                )
        finally:
            os.close(fd)
    except OSError as error:
        named = name_path(error, path)
        raise (unreadable(path, named) if isinstance(named, OSError) else named) from None
    if len(lengths) and int(lengths.max()) > _LONGEST:
        raise DecodeError(path, f"has a line of {int(lengths.max()):,} bytes; 4 GiB is the most. Is it a text file?")
    return scan.size, starts, lengths.astype(np.uint32), np.array(scan.newlines, np.int64)


def _check_rows(path: str, content: memoryview, starts: Indices, lengths: Indices, delimiter: bytes) -> None:
    """Raise DecodeError unless these are rows of a CSV file."""
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        row = content[start : start + length]
        try:
            quoted_fields(row, delimiter)
        except Undecodable as error:
            first = 1 + _line_ends(content[:start])
            last = first + _line_ends(row[:-1])
            reach = f". So all lines up to line {last:,} would belong to this row" if last > first else ""
            raise DecodeError(path, f"line {first:,}: {error}{reach}") from None


def _line_ends(content: memoryview) -> int:
    return sum(bytes(content[start : start + _CHUNK_BYTES]).count(_LF) for start in range(0, len(content), _CHUNK_BYTES))


class _Scan:
    """Finds the lines of one file, chunk by chunk.

    Attributes:
        size: bytes seen.
        newlines: line ends before each chunk.
    """

    def __init__(self, quotes: QuoteScan | None) -> None:
        self.size = 0
        self.newlines: list[int] = []
        self._quotes = quotes
        self._first = 0  # offset of the first line
        self._seen = 0  # line ends so far
        self._ends: list[Indices] = []
        self._returns: list[npt.NDArray[np.bool_]] = []  # whether a carriage return stands before the line end
        self._last = _LF

    def add(self, chunk: Array) -> None:
        """Look at the next bytes of a file; `chunk` begins with the one before them."""
        self.newlines.append(self._seen)
        content = chunk[1:]
        if not self.size and content[:3].tobytes() == _MARK:
            self._first = len(_MARK)
        places = np.flatnonzero(content == _LF)
        self._seen += len(places)
        if self._quotes is not None:
            places = self._quotes.outside(chunk, places, self.size, self._first)
        self._ends.append(places + self.size)
        self._returns.append(chunk[places] == _CR)
        self.size += len(content)
        self._last = int(chunk[-1])

    def lines(self) -> tuple[Indices, Indices, Indices]:
        """Return where the lines that are not empty begin, how long they are, and the numbers of those that may be no rows of a CSV file."""
        ends = np.concatenate([*self._ends, np.zeros(0, np.int64)])
        returns = np.concatenate([*self._returns, np.zeros(0, bool)])
        if self.size > (ends[-1] + 1 if len(ends) else self._first):  # the last line has no end
            ends, returns = np.append(ends, self.size), np.append(returns, self._last == _CR)
        starts = np.empty_like(ends)
        starts[:1], starts[1:] = self._first, ends[:-1] + 1
        to_check = np.zeros(0, np.int64) if self._quotes is None else self._quotes.to_check(starts, ends)
        lengths = ends - starts
        lengths -= returns & (lengths > 0)
        if len(lengths) and not lengths.min():
            kept = lengths > 0
            starts, lengths, to_check = starts[kept], lengths[kept], (np.cumsum(kept) - 1)[to_check]
        return starts, lengths, to_check


def _fill(fd: int, buffer: memoryview, offset: int) -> int:
    """Fill `buffer` from a file; return the bytes read, fewer only at the end of the file: a network file system may return less per call."""
    total = 0
    while got := preadv(fd, [buffer[total:]], offset + total) if total < len(buffer) else 0:
        total += got
    return total


def _check_text(path: str, raw: bytes) -> None:
    """Raise DecodeError if the first bytes show that a file is not UTF-8 text."""
    if raw.startswith(_UTF_16):
        raise DecodeError(path, "is UTF-16 text. What to do: save it as UTF-8, such as by iconv -f UTF-16 -t UTF-8")
    if b"\0" in raw or raw.startswith(_COMPRESSED):
        raise DecodeError(path, not_a("a text file", raw))


class _Progress:
    """Says in the log how far the search is, if it takes long."""

    def __init__(self) -> None:
        self._bytes = 0
        self._started = self._told = time.monotonic()

    def add(self, count: int, path: str) -> None:
        """Count the bytes of a file that have been read."""
        self._bytes += count
        now = time.monotonic()
        if now - self._told > _TOLD_EVERY_S:
            self._told = now
            _log.info("looking for the lines of text files: %.1f GB so far, in %s", self._bytes / 1e9, path)

    def finish(self, lines: int) -> None:
        """Say what was found."""
        took_s = time.monotonic() - self._started
        if self._told > self._started:
            _log.info("found %s lines in %.1f GB of text, in %.0f s", f"{lines:,}", self._bytes / 1e9, took_s)
