"""What the headers of sound files tell: where the samples of a plain WAV file are, and whether a WAV or Ogg file was cut off.

libsndfile takes several times as long to read plain samples as converting them takes, and it takes what is left of a truncated file for all of it.
"""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np

from loader.data.spec import Array

_UNKNOWN_BYTES = 0x7FFF_0000  # programs that write to a pipe give such a length: they can't know the real one
_PAGE_BYTES = 27  # of the header of an Ogg page, without the lengths of its segments
_LARGEST_PAGE = _PAGE_BYTES + 255 + 255 * 255
_FLAGS = 8


_FORM = struct.Struct("<HHIIHH")  # kind, channels, rate, bytes per second, bytes of all channels, bits
_PCM = 1


def plain_samples(content: memoryview) -> tuple[Array, int] | None:
    """Return the samples of a whole WAV file of 16 bits, int16 of shape (samples, channels), as a view of `content`, and their rate.

    None for any other file: libsndfile knows what it is, or what is wrong with it.
    """
    if bytes(content[:4]) != b"RIFF" or bytes(content[8:12]) != b"WAVE":
        return None
    chunks = dict[bytes, tuple[int, int]]()  # name → where it begins, its length
    place = 12
    while place + 8 <= len(content) and b"data" not in chunks:
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        chunks.setdefault(bytes(content[place : place + 4]), (place + 8, length))
        place += 8 + length + length % 2
    form, data = chunks.get(b"fmt "), chunks.get(b"data")
    if form is None or data is None or form[1] < _FORM.size or sum(data) > len(content):
        return None
    kind, channels, rate, _, frame_bytes, bits = _FORM.unpack_from(content, form[0])
    if kind != _PCM or bits != 16 or not channels or not rate or frame_bytes != 2 * channels or data[1] % frame_bytes:
        return None
    return np.frombuffer(content, "<i2", data[1] // 2, data[0]).reshape(-1, channels), rate


def missing_bytes(content: memoryview) -> int:
    """Return how many bytes of sound are missing at the end of a WAV or an Ogg file, at least; 0 for a whole one, or a file of another kind."""
    start = bytes(content[:12])
    if start[:4] in (b"RIFF", b"RIFX") and start[8:] == b"WAVE":
        return _missing_in_wav(content, "little" if start[:4] == b"RIFF" else "big")
    return _missing_in_ogg(content) if start[:4] == b"OggS" else 0


def _missing_in_wav(content: memoryview, order: Literal["little", "big"]) -> int:
    place = 12
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], order)
        if bytes(content[place : place + 4]) == b"data":
            return max(0, length - (len(content) - place - 8)) if length < _UNKNOWN_BYTES else 0
        place += 8 + length + length % 2
    return 0


def _missing_in_ogg(content: memoryview) -> int:
    """Look at the last page."""
    tail = bytes(content[-_LARGEST_PAGE:])
    place = tail.rfind(b"OggS")
    while place >= 0:
        header = tail[place : place + _PAGE_BYTES]
        if len(header) < _PAGE_BYTES:
            return _PAGE_BYTES - len(header)
        if header[4] == 0 and header[5] < _FLAGS:  # else it is sound that reads the same by chance
            segments = tail[place + _PAGE_BYTES : place + _PAGE_BYTES + header[26]]
            return max(0, place + _PAGE_BYTES + header[26] + sum(segments) - len(tail))
        place = tail.rfind(b"OggS", 0, place)
    return 0
