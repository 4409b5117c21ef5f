"""Pictures as files of many kinds, made by OpenCV and Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64


def photo(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> Any:
    """Return smooth noise, RGB uint8, which no format stores for nothing."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def saved(picture: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """Return the file that Pillow makes of an array, or of a picture in another mode."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def by_opencv(content: bytes, flags: int = cv2.IMREAD_COLOR) -> Any:
    """Return what OpenCV makes of a file, RGB or grey."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def by_pillow(content: bytes, mode: str = "RGB") -> Any:
    """Return what Pillow makes of a file."""
    return np.asarray(Image.open(io.BytesIO(content)).convert(mode))


def turned(orientation: int) -> Any:
    """Return EXIF data that say how the camera was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_of_size(height: int, width: int) -> bytes:
    """Return a small PNG whose header claims a size."""
    content = bytearray(saved(photo(), "PNG"))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def jpeg_of_size(height: int, width: int) -> bytes:
    """Return a small JPEG whose header claims a size."""
    content = bytearray(saved(photo(), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)
