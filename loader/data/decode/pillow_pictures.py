"""Pictures by Pillow: the formats that OpenCV does not read, or does not read correctly."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np

from loader.data.decode.decoder import Undecodable
from loader.data.decode.image_header import CUT_OFF
from loader.data.npy.refusals import not_a
from loader.data.spec import Array

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError)  # what Pillow raises
_ORIENTATION = 0x0112
_SIDEWAYS = range(5, 9)  # orientations that swap height and width
_WIDTH, _LENGTH = 256, 257  # tags of a TIFF
_BY_FUNCTION = "such as decode=lambda content: np.asarray(PIL.Image.open(io.BytesIO(content)))"
_OPENCV_READS = {
    "BMP": frozenset(("1", "L", "P", "RGB")),
    "TIFF": frozenset(("1", "L", "P", "RGB", "I;16", "I;16B")),
    "WEBP": frozenset(("RGB", "RGBA")),
}
"""Which pictures OpenCV reads correctly, by their format and Pillow's mode. It multiplies the colours of a TIFF by their alpha."""


def open_picture(content: memoryview) -> Any:
    """Return a `PIL.Image` of which only the header has been read. Raises Undecodable if it is not a picture."""
    return open_file(io.BytesIO(content))


def open_file(file: IO[bytes]) -> Any:
    """Do the same as `open_picture` for an open file, of which only the necessary part is read."""
    from PIL import Image

    try:
        return Image.open(file)
    except Image.UnidentifiedImageError:
        file.seek(0)
        raise Undecodable(not_a("a picture that OpenCV or Pillow reads", file.read(64))) from None
    except Image.DecompressionBombError as error:
        raise Undecodable(f"is too large a picture: {error}") from error
    except _DAMAGED as error:
        raise Undecodable(_damaged(error)) from error


def is_for_opencv(image: Any) -> bool:
    """Whether OpenCV reads a picture correctly. Not all of its versions turn pictures upright if their format is not JPEG or PNG."""
    return image.mode in _OPENCV_READS.get(image.format, ()) and image.getexif().get(_ORIENTATION, 1) == 1


def upright_size(image: Any) -> tuple[int, int]:
    """Return the height and width of a picture as it stands upright."""
    # Of a TIFF, some versions of Pillow give the upright size as they open it.
    height, width = (image.tag_v2[_LENGTH], image.tag_v2[_WIDTH]) if image.format == "TIFF" else (image.height, image.width)
    return (width, height) if image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS else (height, width)


def pixels(image: Any, mode: str) -> Array:
    """Return the first picture of a file, upright, in one of the modes of `decode.image`; with 8 bits if the file has no more.

    Raises:
        Undecodable: it is damaged, or holds 32-bit numbers.
    """
    from PIL import ImageOps

    if image.mode in ("I", "F"):
        raise Undecodable(f"holds numbers of 32 bits, not a picture of 8 or 16. What to do: decode it by a function, {_BY_FUNCTION}")
    try:
        upright = ImageOps.exif_transpose(image)
        grey = upright.mode.startswith("I;16")
        return _of_grey16(np.asarray(upright), mode) if grey else np.asarray(upright.convert(mode.removesuffix("16")))
    except _DAMAGED as error:
        raise Undecodable(_damaged(error)) from error


def check_whole(content: memoryview) -> None:
    """Raise Undecodable if a checksum of a PNG is wrong. Pillow does not look at it when it decodes."""
    try:
        open_picture(content).verify()
    except _DAMAGED as error:
        raise Undecodable(_damaged(error)) from error


def why_damaged(content: memoryview) -> str:
    """Return what is wrong with a picture that OpenCV can't decode, in Pillow's words."""
    try:
        check_whole(content)
        open_picture(content).load()
    except Undecodable as error:
        return str(error)
    except _DAMAGED as error:
        return _damaged(error)
    return "is a damaged picture, which OpenCV can't decode"


def _damaged(error: Exception) -> str:
    return f"is a damaged picture ({error}): {CUT_OFF}, or its bytes have changed"


def _of_grey16(grey: Array, mode: str) -> Array:
    """Return a grey picture of 16 bits in another mode; Pillow would cut off what is brighter than 255."""
    wide = grey if mode.endswith("16") else (grey >> 8).astype(np.uint8)
    if mode.startswith("L"):
        return wide
    channels = [wide, wide, wide] + [np.full_like(wide, 255)] * (mode == "RGBA")
    return np.stack(channels, axis=-1)
