"""Own reader of `.npy` files: header, sizes, one array.

numpy's reader evaluates the header as a Python expression, 60-100 µs for each file. This one takes it apart with one regular expression per
entry, in time linear in its length, and turns whatever is wrong with a file into an `NpyError` that says what and what to do.

Here: bytes to header, and the reading of one whole file. Not here: many files in a row (`reader`), rows of large files
(`array_column`), what is said about refused files (`refusals`).

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.npy.file_io import OPEN_FLAGS, pread, preadv
from loader.data.npy.refusals import MAGIC, foreign, parse_dtype, structured
from loader.data.spec import Array
from loader.errors import NpyError

CONVERT = "Convert this file, leave it out, or make the samples alike by a function that is the first transform"

MAX_HEADER_BYTES = 65_536
"""Longest header that is read: all that format 1.0 can express. A supported array needs less than 1,000 bytes; only structured arrays of
thousands of fields need more. Damaged length fields, up to 4 GiB in formats 2.0 and 3.0, end here instead of in an allocation."""

_ADDRESSES = 2**47  # that a process has on today's 64-bit machines
_MAX_KNOWN = 4096  # headers that are remembered
_MAX_DIMS = 32  # of numpy 1; numpy 2 has 64, but no sample needs them and a batch has one more
_FIRST_READ_BYTES = 512  # holds every header that np.save writes for a supported array
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_ENTRY = re.compile(
    r"""\s*u?(?P<q>['"])(?P<key>[a-z_]{1,20})(?P=q)\s*:\s*
    (?: u?'(?P<single>[^'\\]*)' | u?"(?P<double>[^"\\]*)" | (?P<flag>True|False) | \((?P<shape>[\dL,\s]*)\) | (?P<fields>\[) )""",
    re.VERBOSE | re.ASCII,
)
_KINDS = {stat.S_IFIFO: "a FIFO (named pipe)", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device"}
_DIMENSION = re.compile(r"\s*(\d{1,19})L?\s*", re.ASCII)  # Python 2 wrote 3L
_SPACE = " \t\n\r\f\v"  # what `\s` means above; without it `strip` takes off what Python's parser, and so numpy, refuses


@dataclass(frozen=True)
class NpyHeader:
    """What the header of a `.npy` file says about the data behind it.

    Attributes:
        dtype: as in the file, of either byte order.
        shape: of the array.
        fortran_order: whether the first axis varies fastest in the file.
        offset: bytes from the start of the file to the data.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data: the file has `offset + nbytes`."""
        return self.itemsize * math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def native(self) -> np.dtype[Any]:
        """The dtype in this machine's byte order: that of the array once it is read."""
        return self.dtype.newbyteorder("=")

    @property
    def direct(self) -> bool:
        """Whether the data's bytes are already those of a C-contiguous native array."""
        flat = sum(length != 1 for length in self.shape) <= 1 or 0 in self.shape
        return self.dtype.isnative and (flat or not self.fortran_order)

    def check_size(self, file_bytes: int, path: str) -> None:
        """Raise NpyError unless a file of `file_bytes` holds the header's data, no less and no more."""
        found = file_bytes - self.offset
        if found == self.nbytes:
            return
        means = f"its header means {self.nbytes:,} bytes of data, {self}, but the file holds {found:,}"
        if found < self.nbytes:
            raise NpyError(path, f"truncated: {means}; perhaps its writing or copying was cut off")
        raise NpyError(path, f"over-long: {means}; perhaps it was written over a longer file, or something was appended to it")

    def __str__(self) -> str:
        return f"shape {self.shape} and dtype {self.native.name}"


def parse_header(raw: bytes, path: str) -> NpyHeader:
    """Take apart the header at the start of `raw`.

    Args:
        raw: the file's first bytes, at least up to the data.
        path: names the file in an error.

    Raises:
        NpyError: for whatever bytes are no header of a supported array; the only exception that this raises.
    """
    start, end = header_bounds(raw, path)
    if len(raw) < end:
        raise NpyError(path, f"ends inside its header, after {len(raw):,} of {end:,} bytes: perhaps its writing was cut off")
    try:
        text = raw[start:end].decode("utf-8" if raw[6] == 3 else "latin-1")
    except UnicodeDecodeError:
        raise NpyError(path, "its header is damaged: not UTF-8, as format 3.0 has it") from None
    entries = _entries(text, path)
    if set(entries) != {"descr", "fortran_order", "shape"}:
        raise NpyError(path, f"its header is damaged: it has the entries {sorted(entries)} instead of ['descr', 'fortran_order', 'shape']")
    return _header(entries, end, path)


def read_raw_header(fd: int, path: str) -> bytes:
    """Return the bytes of an open file up to its data. Raises NpyError if they can't be a header, OSError."""
    raw = pread(fd, _FIRST_READ_BYTES, 0)
    end = header_bounds(raw, path)[1]
    if end > len(raw) == _FIRST_READ_BYTES:
        raw = pread(fd, end, 0)
    return raw[:end]


def read_header(fd: int, path: str) -> NpyHeader:
    """Read the header of an open file; its data is not touched. Raises NpyError, OSError."""
    return parse_header(read_raw_header(fd, path), path)


def inspect_file(path: str) -> tuple[NpyHeader, int]:
    """Return the header of the file at `path`, and the file's size in bytes. Raises NpyError, OSError with the path in it."""
    fd = os.open(path, OPEN_FLAGS)
    try:
        return read_header(fd, path), os.fstat(fd).st_size
    except OSError as error:
        raise name_path(error, path) from None
    finally:
        os.close(fd)


def read_array(path: str, known: dict[bytes, NpyHeader] | None = None) -> Array:
    """Read one file as a fresh array: native byte order, C-contiguous, the caller's own.

    Args:
        path: of the file.
        known: headers that have been parsed, by their bytes; this one is added.

    Raises:
        NpyError: the file is not a `.npy` file of a supported array, or its size is not what its header says. Nothing is allocated then.
        OSError: with the path in it.
    """
    fd = os.open(path, OPEN_FLAGS)
    try:
        raw = read_raw_header(fd, path)
        header = None if known is None else known.get(raw)
        if header is None:
            header = parse_header(raw, path)
            if known is not None:
                if len(known) >= _MAX_KNOWN:
                    known.clear()
                known[raw] = header
        header.check_size(os.fstat(fd).st_size, path)
        data = np.empty(header.nbytes, np.uint8)
        header.check_size(header.offset + read_into(fd, memoryview(data), header.offset), path)
    except OSError as error:
        raise name_path(error, path) from None
    finally:
        os.close(fd)
    array = as_stored(data, header)
    return array if header.direct else np.array(array, header.native, order="C")


def array_of(content: memoryview, path: str) -> Array:
    """Return the array of a whole file in memory as a fresh one: native byte order, C-contiguous, the caller's own. Raises NpyError."""
    array = array_in(content, path)
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def array_in(content: memoryview, path: str) -> Array:
    """Return the array of a whole file in memory, as a view of `content`: byte order and axis order are still the file's. Raises NpyError."""
    _, end = header_bounds(bytes(content[:_FIRST_READ_BYTES]), path)
    header = parse_header(bytes(content[:end]), path)
    header.check_size(len(content), path)
    return as_stored(np.frombuffer(content, np.uint8, offset=header.offset), header)


def as_stored(data: Array, header: NpyHeader) -> Array:
    """Return the array that the bytes `data` mean, as a view of them: byte order and axis order are still the file's."""
    array: Array = data.view(header.dtype).reshape(header.shape, order="F" if header.fortran_order else "C")
    return array


def read_into(fd: int, target: memoryview, offset: int) -> int:
    """Fill `target` from an open file; return the bytes read, fewer only where the file ends.

    One call may bring less than was asked for: Linux reads at most 2 GiB at once, and a network file system may be interrupted.
    """
    done = 0
    while done < len(target):
        got = preadv(fd, [target[done:]], offset + done)
        if got == 0:
            break
        done += got
    return done


def name_path(error: OSError, path: str) -> OSError | NpyError:
    """Return `error` with its path: `read` and `preadv` know only the descriptor, and paths given as bytes would show as such.

    What is no regular file can't be read at an offset, and is no file of data: that is said instead.
    """
    with contextlib.suppress(OSError):
        if kind := _KINDS.get(stat.S_IFMT(os.stat(path).st_mode)):
            return NpyError(path, f"is no regular file but {kind}; leave it out")
    return OSError(error.errno, error.strerror, path) if error.errno is not None else error


def header_bounds(raw: bytes, path: str) -> tuple[int, int]:
    """Return where the header's text starts and ends, from the file's first 12 bytes."""
    if len(raw) < len(MAGIC) + 2 or not raw.startswith(MAGIC):
        raise NpyError(path, foreign(raw))
    version = (raw[6], raw[7])
    width = _LENGTH_BYTES.get(version)
    if width is None:
        raise NpyError(path, f"is of .npy format {version[0]}.{version[1]}; known are 1.0, 2.0 and 3.0")
    start = len(MAGIC) + 2 + width
    if len(raw) < start:
        raise NpyError(path, foreign(raw[: len(MAGIC)]))
    length = int.from_bytes(raw[start - width : start], "little")
    if length > MAX_HEADER_BYTES:
        problem = f"its header is said to be {length:,} bytes long, at most {MAX_HEADER_BYTES:,} are read: damaged, or a structured array"
        raise NpyError(path, problem)
    return start, start + length


def _entries(text: str, path: str) -> dict[str, re.Match[str]]:
    """Return the entries of the header's dict by key, in whatever order they stand."""
    entries: dict[str, re.Match[str]] = {}
    text = text.strip(_SPACE)
    place = 1
    if text[:1] != "{" or text[-1:] != "}":
        raise NpyError(path, f"its header is damaged: it reads {text[:60]!r}")
    while text[place:].strip(_SPACE) != "}":
        match = _ENTRY.match(text, place)
        if match is None or match["key"] in entries or len(entries) == 3:
            raise NpyError(path, f"its header is damaged, or of a dtype that is not supported: it reads {text[:200]!r}")
        if match["fields"]:
            raise NpyError(path, structured(path))
        entries[match["key"]] = match
        rest = text[match.end() :].lstrip(_SPACE)
        if rest[:1] not in (",", "}"):
            raise NpyError(path, f"its header is damaged: it reads {text[:200]!r}")
        place = len(text) - len(rest) + (rest[0] == ",")
    return entries


def _header(entries: dict[str, re.Match[str]], offset: int, path: str) -> NpyHeader:
    descr = entries["descr"]["single"] or entries["descr"]["double"]
    flag, shape_text = entries["fortran_order"]["flag"], entries["shape"]["shape"]
    if descr is None or flag is None or shape_text is None:
        raise NpyError(path, "its header is damaged: an entry is not of the kind that it should be")
    dtype = parse_dtype(descr, path)
    if isinstance(dtype, str):
        raise NpyError(path, dtype)
    return NpyHeader(dtype, _shape(shape_text, dtype.itemsize, path), flag == "True", offset)


def _shape(text: str, itemsize: int, path: str) -> tuple[int, ...]:
    """Return the shape written as `3, 4` or `3,` or nothing: a tuple without its parentheses."""
    parts = text.split(",", _MAX_DIMS + 1)
    if len(parts) > 1 and not parts[-1].strip(_SPACE):
        parts.pop()
    elif len(parts) == 1 and parts[0].strip(_SPACE):
        raise NpyError(path, f"its header is damaged: its shape is ({text[:40]}), a number instead of a tuple")
    if len(parts) > _MAX_DIMS:
        raise NpyError(path, f"its header gives it more than {_MAX_DIMS} dimensions")
    if parts == [text] and not text.strip(_SPACE):
        return ()
    matches = [_DIMENSION.fullmatch(part) for part in parts]
    shape = tuple(int(match[1]) for match in matches if match is not None)
    # The zeros are left out, as numpy does it: a batch of empty arrays has a shape that numpy must be able to hold, too.
    if len(shape) < len(matches) or math.prod(length for length in shape if length) * itemsize > _ADDRESSES:
        raise NpyError(path, f"its header is damaged: its shape is ({text[:80]})")
    return shape
