"""The size of a picture, looked at before memory is taken for it."""

from __future__ import annotations

import sys

from loader.data.decode.decoder import Undecodable

_MOST_PIXELS = 2**30  # of OpenCV: CV_IO_MAX_IMAGE_PIXELS
_UNDOUBTED_BYTES = 64 << 20  # for so little, memory is not asked for


def check_size(height: int, width: int) -> None:
    """Refuse a picture because of the size in its header, before memory is taken for it.

    Raises:
        Undecodable: it has no pixels, or more than are ever decoded: a decompression bomb, or a damaged header.
        MemoryError: this process may not have so much memory; another one, or this one later, may.
    """
    if not height or not width:
        raise Undecodable(f"is a picture without pixels: its header says {in_pixels(height, width)}")
    if height * width > _MOST_PIXELS:
        raise Undecodable(
            f"is {in_pixels(height, width)} according to its header, {3 * height * width / 1e9:,.1f} GB when decoded; "
            f"at most {_MOST_PIXELS:,} pixels are decoded. Likely cause: a damaged header, or a file made to exhaust memory"
        )
    nbytes = 3 * height * width
    if nbytes > _UNDOUBTED_BYTES and nbytes > (allowed := _allowance()):
        raise MemoryError(
            f"a picture of {in_pixels(height, width)} takes {nbytes / 1e6:,.0f} MB to decode, but the process may have {allowed / 1e6:,.0f} MB"
        )


def _allowance() -> float:
    """Return how many bytes this process may have; a worker's share of `memory_limit` is set so (RLIMIT_DATA)."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def in_pixels(height: int, width: int) -> str:
    """Return a size in words."""
    return f"{height:,} × {width:,} pixels (height × width)"
