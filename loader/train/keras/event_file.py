"""Scalars for TensorBoard, written without it and without a framework.

An event file is a sequence of records (length, its checksum, bytes, their checksum), each one a protobuf message `Event`:

    Event    1: wall_time (double)   2: step (varint)   3: file_version (text)   5: summary
    Summary  1: value, repeated
    Value    1: tag (text)           2: simple_value (float)

Source of both: tensorflow/core/lib/io/record_writer.h and tensorboard/compat/proto/event.proto, summary.proto.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

_CASTAGNOLI = 0x82F63B78


def _table() -> list[int]:
    table = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (_CASTAGNOLI if rest & 1 else 0)
        table.append(rest)
    return table


_TABLE = _table()


class EventFile:
    """A file in `folder` that TensorBoard reads. It is made by the first `write` and open only while one runs, so there is nothing to close.

    Args:
        folder: made if it is missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._path: Path | None = None

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append the values of `scalars`, by tag, for `step`."""
        if self._path is None:
            self._path = self._create()
        values = b"".join(_bytes(1, _bytes(1, tag.encode()) + struct.pack("<Bf", 0x15, value)) for tag, value in scalars.items())
        with self._path.open("ab") as file:
            file.write(_record(_event(b"\x10" + _varint(step) + _bytes(5, values))))

    def _create(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        number = 0
        while True:  # another loader's callback may have made one in this second
            path = self._folder / f"{stem}.{number}.loader"
            try:
                with path.open("xb") as file:
                    file.write(_record(_event(_bytes(3, b"brain.Event:2"))))
            except FileExistsError:
                number += 1
            else:
                return path


def _event(fields: bytes) -> bytes:
    return struct.pack("<Bd", 0x09, time.time()) + fields


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)  # rotated and shifted, as the format demands


def _bytes(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    low = bytearray()
    while number > 0x7F:
        low.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*low, number])
