"""The header of a `.npy` file that is far away, from its first bytes."""

from __future__ import annotations

from collections.abc import Callable

from loader.data.npy.header import NpyHeader, header_bounds, parse_header
from loader.data.remote.objects import Fetched, Span

FIRST_BYTES = 512
"""Hold every header that np.save writes for a supported array."""


def fetch_header(fetch: Callable[[Span], Fetched], url: str) -> tuple[NpyHeader, int]:
    """Return the header, and the size of the file. Raises NpyError, FetchError, DataNotFoundError."""
    fetched = fetch(Span(url, 0, FIRST_BYTES))
    raw = bytes(fetched.content)
    _, end = header_bounds(raw, url)
    if end > len(raw) == FIRST_BYTES:
        raw = bytes(fetch(Span(url, 0, end)).content)
    return parse_header(raw, url), fetched.size
