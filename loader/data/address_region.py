"""Addresses that are reserved first, so that what is mapped at chosen ones of them can't hit anything else.

The only file that maps memory at addresses of its own choice. Pages of a mapping are as large as those of what is mapped only if address and offset
agree in the lower bits, which the kernel does not see to (docs/measurements.md).
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np

from loader.data.spec import Array

LARGE_PAGE = 2 << 20

_PROT_NONE, _MAP_FIXED, _MADV_COLLAPSE = 0, 0x10, 25
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
if _libc is not None:
    _libc.mmap.restype = ctypes.c_void_p
    _libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    _libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    _libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

AVAILABLE = _libc is not None


class AddressRegion:
    """Addresses that belong to this object, which gives them back, with all that is mapped there, after the last array over them is gone.

    Args:
        length: bytes of it.
        page: of which it begins at a multiple.

    Raises:
        OSError: there are not so many addresses, or the system allows no more mappings.
    """

    def __init__(self, length: int, page: int = LARGE_PAGE) -> None:
        self._libc: Any = _libc
        self._length = length + page
        self._reserved: int | None = None
        self._reserved = self._mmap(None, self._length, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        self._begin = -(-self._reserved // page) * page

    def map(self, fd: int, offset: int, length: int, at: int, protection: int) -> None:
        """Map a part of a file, shared, `at` so many bytes from the beginning. Offset and place are multiples of a page. Raises OSError."""
        self._mmap(self._begin + at, length, protection, mmap.MAP_SHARED | _MAP_FIXED, fd, offset)

    def array(self, first: int, shape: tuple[int, ...], dtype: np.dtype[Any], writable: bool = False) -> Array:
        """Return an array that begins at `first` and keeps this object alive."""
        self.__array_interface__ = {"version": 3, "data": (self._begin + first, not writable), "shape": shape, "typestr": dtype.str}
        return np.asarray(self)

    def _mmap(self, *arguments: int | None) -> int:
        address: int | None = self._libc.mmap(*arguments)
        if address is None or address == _FAILED:
            self._reserved = None  # a failed call may have left a hole, which another thread's mapping may fill by now: nothing is given back
            raise OSError(ctypes.get_errno(), "mmap")
        return address

    def __del__(self) -> None:
        if self._reserved is not None:
            self._libc.munmap(self._reserved, self._length)


def collapse(memory: Array) -> bool:
    """Have the system put a large page in the place of many small ones, where the memory begins at a large page; return whether it did.

    `MADV_COLLAPSE` (madvise(2), Linux 6.1) does so whatever is set for large pages in shared memory, which is "never" nearly everywhere. The pages
    exist; what is in them, and who maps them, stays as it is.
    """
    return _libc is not None and _libc.madvise(memory.ctypes.data, memory.nbytes, _MADV_COLLAPSE) == 0
