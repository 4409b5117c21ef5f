"""What the first bytes of a JPEG or PNG say, read without a library, in some microseconds; decoding takes a millisecond."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from loader.data.decode.decoder import Undecodable

JPEG = "JPEG"
PNG = "PNG"

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = struct.Struct(">4sII")
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_FIRST_CHUNK = 8
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; what lies between them are tables
_FRAME = struct.Struct(">BHHB")
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers that no length follows
_EXIF = 0xE1
_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)  # orientations that swap height and width
_JPEG_END = re.compile(b"\xff\xd9")

CUT_OFF = "perhaps its download or its writing was cut off"


class ImageHeader(NamedTuple):
    """What is known of a picture before it is decoded.

    Attributes:
        kind: `JPEG` or `PNG`.
        height, width: as the picture stands upright.
        channels: of a JPEG: 1, 3, or 4 for CMYK. Of a PNG: 0.
    """

    kind: str
    height: int
    width: int
    channels: int


def read_header(content: memoryview) -> ImageHeader | None:
    """Return what the header of a JPEG or PNG says; None for any other file.

    Raises:
        Undecodable: the file ends before its header does, or a JPEG has no end.
    """
    if bytes(content[:3]) == b"\xff\xd8\xff":
        return _read_jpeg(content)
    if bytes(content[:8]) == _PNG_MAGIC:
        return _read_png(content)
    return None


def _read_png(content: memoryview) -> ImageHeader:
    try:
        name, width, height = _PNG_HEADER.unpack_from(content, 12)
    except struct.error:
        raise Undecodable(_cut_header(content)) from None
    if name != b"IHDR":
        raise Undecodable("is a damaged PNG: it does not begin with an image header")
    return ImageHeader(PNG, *((width, height) if _orientation_of_png(content) in _SIDEWAYS else (height, width)), 0)


def _orientation_of_png(content: memoryview) -> int:
    """Go from chunk to chunk until the pixels; return which way up they are."""
    at = _PNG_FIRST_CHUNK
    while at + 8 <= len(content):
        length, name = _PNG_CHUNK.unpack_from(content, at)
        if name == b"IDAT":
            break
        if name == b"eXIf":
            return _orientation(content[at + 8 : at + 8 + length])
        at += 12 + length
    return 1


def _read_jpeg(content: memoryview) -> ImageHeader | None:
    """Go from segment to segment until the one that states the size (ITU-T T.81, B.1.1 and B.2.2)."""
    at, sideways = 2, False
    try:
        while True:
            if content[at] != 0xFF:
                return None  # garbage between two segments: other readers may find the next one
            marker = content[at + 1]
            if marker in _FRAMES:
                break
            if marker == 0xFF:  # a fill byte
                at += 1
            elif marker in _BARE:
                at += 2
            else:
                length = content[at + 2] << 8 | content[at + 3]
                if marker == _EXIF and bytes(content[at + 4 : at + 10]) == b"Exif\0\0":
                    sideways = _orientation(content[at + 10 : at + 2 + length]) in _SIDEWAYS
                at += 2 + length
        _, height, width, channels = _FRAME.unpack_from(content, at + 4)
    except (IndexError, struct.error):
        raise Undecodable(_cut_header(content)) from None
    _check_end(content, at)
    return ImageHeader(JPEG, *((width, height) if sideways else (height, width)), channels)


def _check_end(content: memoryview, start: int) -> None:
    """Raise Undecodable if a JPEG has no end marker. Libraries may return such a picture, grey from where it ends.

    Pictures inside it, such as previews, lie before `start`; and among the pixels, 0xFF is never followed by what looks like a marker.
    """
    if bytes(content[-2:]) != b"\xff\xd9" and _JPEG_END.search(content, start) is None:
        raise Undecodable(f"ends in the middle of the picture, after {len(content):,} bytes: {CUT_OFF}")


def _cut_header(content: memoryview) -> str:
    return f"ends inside of its header, after {len(content):,} bytes: {CUT_OFF}"


def _orientation(exif: memoryview) -> int:
    """Return which way up a picture is, from the first directory of its EXIF data (CIPA DC-008, 4.6.4); 1, upright, if it has none."""
    order = "<" if bytes(exif[:2]) == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, at)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1
