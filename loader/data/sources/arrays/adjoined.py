"""Files mapped behind one another, so that one array shows the rows of all: gathering from them costs the same as from one file.

The rows of a file must begin a whole number of rows after those of the first one. Their offset in a page is given, so the page is chosen, within a
region of addresses that is reserved first: a mapping that is forced to an address there can't hit anything else. The gaps between files look like
rows that don't exist; whoever touches one dies of SIGSEGV.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, lcm

import numpy as np

from loader.data.address_region import AVAILABLE, LARGE_PAGE, AddressRegion
from loader.data.copy_rows import is_direct
from loader.data.layout import c_strides
from loader.data.npy.file_io import OPEN_FLAGS
from loader.data.rows import Indices
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.spec import Array
from loader.errors import NpyError

_MAX_GAP_BYTES = 16 << 30  # of addresses, not of memory; a process has 128 TiB of them


@dataclass(frozen=True)
class Adjoined:
    """Rows of several files as one array.

    Attributes:
        array: rows of all files, and of the gaps between them, which must not be touched. The files are mapped as long as it or a view of it lives.
        starts: for each file, the row of `array` where its rows begin.
    """

    array: Array
    starts: Indices


def adjoin(parts: Sequence[StoredArray]) -> Adjoined | None:
    """Map files of rows of one shape and dtype behind one another, read-only.

    Returns:
        None if that can't be done: a file is gone or too short, its rows are not contiguous, or no pages fit.
    """
    if not AVAILABLE or not all(map(_is_plain, parts)):
        return None
    for page in (LARGE_PAGE, mmap.PAGESIZE):
        begins = choose_begins([part.offset for part in parts], [part.end for part in parts], parts[0].strides[0], page)
        if begins is not None:
            return _map(parts, begins, page)
    return None


def choose_begins(offsets: Sequence[int], ends: Sequence[int], row_bytes: int, page: int) -> list[int] | None:
    """Return where each file begins in a region, and as the last entry the length of the region; all are multiples of a page.

    Args:
        offsets: of the first row in each file. The file is mapped from the page of its first row on.
        ends: of the rows in each file.
        row_bytes: of a row. The distances between first rows become multiples of it.
        page: bytes of one.

    Returns:
        None if no pages fit (the lengths of headers differ by something other than a multiple of the greatest common divisor of a row and a page),
        or gaps would be very large.
    """
    if lcm(row_bytes, page) > _MAX_GAP_BYTES:
        return None
    common = gcd(row_bytes, page)
    period = row_bytes // common  # pages, after which the same remainders come again
    end, begins = 0, list[int]()
    for offset, stop in zip(offsets, ends, strict=True):
        missing = offsets[0] % page - offset % page - end  # bytes to move the file on, up to a multiple of a row
        if begins:
            if missing % common:
                return None
            end += missing // common * pow(page // common, -1, period) % period * page
        begins.append(end)
        end += -(-(stop - offset // page * page) // page) * page
    return [*begins, end]


def _map(parts: Sequence[StoredArray], begins: list[int], page: int) -> Adjoined | None:
    firsts = np.array([begin + part.offset % page for begin, part in zip(begins, parts, strict=False)], np.int64)
    starts = (firsts - firsts[0]) // parts[0].strides[0]
    shape = (int(starts[-1]) + parts[-1].shape[0], *parts[-1].shape[1:])
    try:
        region = AddressRegion(begins[-1], page)
        for first, part in zip(firsts.tolist(), parts, strict=True):
            _map_part(region, part, first)
    except (OSError, NpyError):
        return None
    array = region.array(int(firsts[0]), shape, parts[0].dtype)
    return Adjoined(array, starts) if is_direct(array) else None


def _map_part(region: AddressRegion, part: StoredArray, first: int) -> None:
    """Map the rows of a file, and what else is in their pages, so that they begin at `first`. Raises NpyError, OSError."""
    skipped = part.offset % mmap.PAGESIZE
    begin = part.offset - skipped
    fd = os.open(part.path, OPEN_FLAGS)
    try:
        part.check_size(os.fstat(fd).st_size)
        region.map(fd, begin, part.end - begin, first - skipped, mmap.PROT_READ)
    finally:
        os.close(fd)


def _is_plain(part: StoredArray) -> bool:
    """Return whether a file has contiguous rows whose bytes can be used as they are."""
    return 0 not in part.shape and part.dtype.isnative and part.strides == c_strides(part.shape, part.dtype)
