"""What it means that a `.npy` file is good: all its bytes can be read, and they are what its header and its neighbours say."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loader.data.npy.file_io import OPEN_FLAGS
from loader.data.npy.header import CONVERT, NpyHeader, inspect_file, name_path, read_header, read_into
from loader.data.sources.source import Source
from loader.errors import NpyError

_PIECE_BYTES = 4 << 20  # read at once: a file of any size takes no more memory than that
_VOTERS = 25
_ODD_SHARE = 5  # one of so many may be the odd one; where more are, their forms differ on purpose


@dataclass(frozen=True)
class Usual:
    """The shape and dtype that the files of a data set have, and one file that has them.

    Attributes:
        forms: how many different ones the headers showed that were looked at.
        binding: whether a file of another form is bad. Where many have one, a function is meant to make the samples alike.
    """

    shape: tuple[int, ...]
    dtype: str
    path: str
    forms: int = 1
    binding: bool = True

    @property
    def nbytes(self) -> int:
        """Size of the data of such a file."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def usual_form(source: Source) -> Usual | None:
    """Return what most of a few headers, spread over the source, say; of two equally frequent ones the first.

    The first file alone would not do: where it is the odd one, all others would be called bad. None where no header could be read.
    """
    votes: Counter[tuple[tuple[int, ...], str]] = Counter()
    seen: dict[tuple[tuple[int, ...], str], str] = {}
    for index in np.unique(np.linspace(0, len(source) - 1, _VOTERS).astype(int)).tolist():
        path = source.name_of(index) or ""
        try:
            header, _ = inspect_file(path)
        except (NpyError, OSError):
            continue
        form = (header.shape, header.native.str)
        votes[form] += 1
        seen.setdefault(form, path)
    if not votes:
        return None
    (shape, dtype), agreeing = votes.most_common(1)[0]
    odd = votes.total() - agreeing
    return Usual(shape, dtype, seen[shape, dtype], len(votes), binding=odd <= max(1, votes.total() // _ODD_SHARE))


def check_file(path: str, usual: Usual | None, advance: Callable[[int], None]) -> tuple[int, int]:
    """Read one file to its end.

    Args:
        path: of the file.
        usual: the form that it must have, if that is binding; None for any.
        advance: is told the bytes of each piece that was read.

    Returns:
        How many values are NaN, and how many are infinite.

    Raises:
        NpyError: it is no `.npy` file of that form, or its size is not what its header says.
        OSError: with the path in it.
    """
    fd = os.open(path, OPEN_FLAGS)
    try:
        header = read_header(fd, path)
        if usual is not None and usual.binding and (header.shape, header.native.str) != (usual.shape, usual.dtype):
            others = NpyHeader(np.dtype(usual.dtype), usual.shape, False, 0)
            raise NpyError(path, f"has {header}, but other files, such as {usual.path}, have {others}. {CONVERT}")
        header.check_size(os.fstat(fd).st_size, path)
        return _read_through(fd, header, path, advance)
    except OSError as error:
        raise name_path(error, path) from None
    finally:
        os.close(fd)


def _read_through(fd: int, header: NpyHeader, path: str, advance: Callable[[int], None]) -> tuple[int, int]:
    """Read the data of an open file piece by piece; count NaN and infinity where there can be any."""
    buffer = np.empty(min(header.nbytes, _PIECE_BYTES), np.uint8)  # a whole number of elements: their sizes divide it
    width = header.itemsize // (2 if header.dtype.kind == "c" else 1)
    dtype = np.dtype(f"{header.dtype.byteorder}f{width}") if header.dtype.kind in "fc" else None
    nan = infinite = done = 0
    while done < header.nbytes:
        piece = buffer[: min(len(buffer), header.nbytes - done)]
        got = read_into(fd, memoryview(piece), header.offset + done)
        done += got
        if got < len(piece):
            header.check_size(header.offset + done, path)  # raises: it was cut while it was read
        if dtype is not None and not (finite := np.isfinite(values := piece.view(dtype))).all():
            here = int(np.isnan(values).sum())
            nan, infinite = nan + here, infinite + len(values) - int(finite.sum()) - here
        advance(got)
    return nan, infinite
