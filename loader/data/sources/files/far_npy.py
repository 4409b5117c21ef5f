"""The header of a `.npy` file that is far away, from its first bytes."""

from __future__ import annotations

from collections.abc import Callable

from loader.data.npy.header import NpyHeader, header_bounds, parse_header
from loader.data.remote.objects import Fetched, Span

FIRST_BYTES = 4096
"""Hold every header that np.save writes for a supported array, and that of an array of a pack."""


def header_of(first: Fetched, url: str, fetch: Callable[[Span], Fetched]) -> NpyHeader:
    """Return the header, from the first `FIRST_BYTES`, and from more if it is longer. Raises NpyError, FetchError, DataNotFoundError."""
    raw = bytes(first.content)
    _, end = header_bounds(raw, url)
    if end > len(raw) == FIRST_BYTES:
        raw = bytes(fetch(Span(url, 0, end)).content)
    return parse_header(raw, url)
