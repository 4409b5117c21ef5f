"""What the C library does with memory that is freed: keep it for the next sample.

glibc gives large blocks back to the kernel when they are freed, and asks for them again with the next sample: a page fault for each 4 KiB of a
picture's frame, which costs a fifth of the time of decoding a JPEG (docs/measurements.md). A worker does the same with each sample, so it will need
that memory again.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_LARGEST_KEPT_BYTES = 32 * 1024 * 1024  # glibc takes no higher threshold than half a heap
_KEPT_BYTES = 64 * 1024 * 1024

# By which a user has decided otherwise; mallopt(3) says what they mean.
_DECIDED = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

# Bound before the fork, because looking it up costs a millisecond. None where the C library is another.
_mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None


def keep_freed_memory() -> None:
    """Keep freed blocks of up to 32 MiB, and up to 64 MiB of them, in this process. Larger ones go back to the kernel at once, as always."""
    if _mallopt is not None and not any(name in os.environ for name in _DECIDED):
        _mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        _mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
