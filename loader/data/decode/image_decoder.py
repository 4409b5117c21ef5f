"""Images: PNG, JPEG and the like, by OpenCV, straight into the slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from loader.data.decode.decoder import Decoder, Undecodable
from loader.data.decode.image_header import JPEG, PNG, ImageHeader, read_header
from loader.data.decode.picture_facts import read_facts
from loader.data.decode.picture_size import check_size, in_pixels
from loader.data.decode.pillow_pictures import check_whole, is_for_opencv, open_picture, pixels, why_damaged
from loader.data.npy.refusals import not_a
from loader.data.spec import MAKE_ALIKE, Array, Leaf, SampleSpec
from loader.errors import ConfigError

_CHANNELS = {"RGB": 3, "L": 1, "RGBA": 4, "RGB16": 3, "L16": 1}
_INTERPOLATIONS = {"area": "INTER_AREA", "linear": "INTER_LINEAR", "nearest": "INTER_NEAREST", "cubic": "INTER_CUBIC"}
_FACTORS = (8, 4, 2)
_TO_16_BITS = 257  # white stays white: 255 × 257 = 65,535
_NO_MEMORY = -4  # cv::Error::StsNoMem
_WORST_BYTES_OF_A_PIXEL = 9  # of a progressive JPEG: three coefficients of 16 bits (jdcoefct.c of libjpeg), and the picture


def image(size: int | tuple[int, int] | None = None, mode: str = "RGB", resample: str = "area") -> ImageDecoder:
    """Return a decoder of images, for `ByteFiles`: PNG, JPEG, WebP, TIFF, BMP and GIF (of several pictures the first), as (height, width, channels).

    OpenCV decodes them, or Pillow where OpenCV would not read them correctly, such as GIF and CMYK. Pictures stand upright: the orientation in
    their EXIF data is applied. Colours stay as they are stored, without colour profiles.

    Args:
        size: `(height, width)`, or a number for a square. The picture is stretched to it. A JPEG that is at least 2, 4 or 8 times as large is decoded
            at a half, a quarter or an eighth of its size, which is faster; the result differs a little from that of a picture that is decoded whole.
            The scale depends on the file and on `size` alone, and "nearest" uses none. None: pictures keep their sizes; where these
            differ, the first transform must be `Resize`, `Pad`, `Crop`, or a function that makes them alike.
        mode: `"RGB"`, `"L"` (grey, one channel) or `"RGBA"`, as uint8; pictures with 16 bits keep the upper 8. `"RGB16"` or `"L16"`, as uint16;
            pictures with 8 bits are multiplied by 257. Only `"RGBA"` keeps transparency.
        resample: `"area"` (the mean of the pixels; for smaller pictures), `"linear"`, `"cubic"` or `"nearest"` (for masks), as OpenCV has them.

    Raises:
        ConfigError: an argument is none of these.

    Example:
        >>> image(size=224)
        decode.image(size=(224, 224))
    """
    problems = []
    if mode not in _CHANNELS:
        problems.append(f"mode={mode!r}: must be one of {', '.join(map(repr, _CHANNELS))}")
    if resample not in _INTERPOLATIONS:
        problems.append(f"resample={resample!r}: must be one of {', '.join(map(repr, _INTERPOLATIONS))}")
    wanted = None
    try:
        wanted = None if size is None else _as_size(size)
    except (TypeError, ValueError):
        problems.append(f"size={size!r}: must be (height, width) in pixels, or one number for a square, or None for pictures as they are")
    if problems:
        raise ConfigError("; ".join(problems))
    return ImageDecoder(wanted, mode, resample)


@dataclass(frozen=True)
class ImageDecoder(Decoder):
    """Decodes images; see `image`.

    Attributes:
        size: (height, width), or None for pictures as they are.
        mode, resample: as `image` has them.
    """

    size: tuple[int, int] | None
    mode: str
    resample: str

    suffixes = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
    modules = ("cv2", "PIL")
    extra = "image"

    def known_spec(self) -> SampleSpec | None:
        return None if self.size is None else SampleSpec((Leaf(0, None, (*self.size, _CHANNELS[self.mode]), self._dtype),))

    def shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        facts = read_facts(path)
        return ((*(self.size or (facts.height, facts.width)), _CHANNELS[self.mode]),)

    def decode(self, content: memoryview) -> Array:
        picture, conversion = self._read(content)
        out = np.empty((*(self.size or picture.shape[:2]), _CHANNELS[self.mode]), self._dtype)
        self._put(picture, conversion, out)
        return out

    def decode_into(self, content: memoryview, out: Sequence[Array], spec: SampleSpec) -> None:
        picture, conversion = self._read(content)
        (target,) = out
        if self.size is None and picture.shape[:2] != target.shape[:2]:
            raise Undecodable(
                f"is {in_pixels(*picture.shape[:2])}, but the first picture is {in_pixels(*target.shape[:2])}. "
                f"What to do: decode.image(size=(height, width)), which is the fastest; {MAKE_ALIKE}"
            )
        self._put(picture, conversion, target)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.mode.endswith("16") else np.uint8)

    def _read(self, content: memoryview) -> tuple[Array, int | None]:
        """Return a picture in its own size, and OpenCV's code for the conversion to `mode`; None if none is needed."""
        if not len(content):
            raise Undecodable(not_a("a picture", b""))
        header = read_header(content)
        if header is None:
            return self._read_other(content)
        check_size(header.height, header.width)
        if header.kind == PNG and self.mode == "RGBA":
            check_whole(content)
            return pixels(open_picture(content), self.mode), None
        if header.kind == JPEG and header.channels == 4:
            return pixels(open_picture(content), self.mode), None
        picture = self._by_opencv(content, self._factor(header))
        if picture is None:
            np.empty(_WORST_BYTES_OF_A_PIXEL * header.height * header.width, np.uint8)  # raises MemoryError: too little memory looks like damage
            raise Undecodable(why_damaged(content))
        return picture, self._conversion()

    def _read_other(self, content: memoryview) -> tuple[Array, int | None]:
        opened = open_picture(content)
        check_size(opened.height, opened.width)
        if self.mode != "RGBA" and is_for_opencv(opened):
            picture = self._by_opencv(content, 1)
            if picture is not None and picture.dtype.kind == "u":
                return picture, self._conversion()
        return pixels(opened, self.mode), None

    def _factor(self, header: ImageHeader) -> int:
        """Return the factor by which a picture is made smaller while it is decoded."""
        if self.size is None or header.kind != JPEG or self.resample == "nearest":
            return 1
        height, width = self.size
        return next((factor for factor in _FACTORS if header.height >= factor * height and header.width >= factor * width), 1)

    def _by_opencv(self, content: memoryview, factor: int) -> Array | None:
        """Return a picture as OpenCV has it: grey, or blue, green, red. None if it can't be decoded."""
        import cv2

        grey = self.mode.startswith("L")
        flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
        if factor > 1:
            flags = getattr(cv2, f"IMREAD_REDUCED_{'GRAYSCALE' if grey else 'COLOR'}_{factor}")
        elif self.mode.endswith("16"):
            flags |= cv2.IMREAD_ANYDEPTH
        try:
            return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error as error:
            if error.code == _NO_MEMORY:
                raise MemoryError(str(error)) from error
            return None

    def _conversion(self) -> int | None:
        import cv2

        if self.mode.startswith("L"):
            return None
        return cv2.COLOR_BGR2RGBA if self.mode == "RGBA" else cv2.COLOR_BGR2RGB

    def _put(self, picture: Array, conversion: int | None, out: Array) -> None:
        """Bring a picture to the size of `out` and into it: resized, then converted, the last of them with `out` as its target."""
        import cv2

        target = out[..., 0] if out.shape[2] == 1 else out
        if picture.dtype != out.dtype:
            picture = np.multiply(picture, _TO_16_BITS, dtype=out.dtype)
        try:
            if picture.shape[:2] != out.shape[:2]:
                scratch = target if conversion is None else None
                interpolation = getattr(cv2, _INTERPOLATIONS[self.resample])
                picture = cv2.resize(picture, (out.shape[1], out.shape[0]), dst=scratch, interpolation=interpolation)
            if conversion is not None:
                cv2.cvtColor(picture, conversion, dst=target)
            elif picture is not target:
                target[...] = picture
        except cv2.error as error:
            if error.code == _NO_MEMORY:
                raise MemoryError(str(error)) from error
            raise

    def __repr__(self) -> str:
        usual = (("size", None), ("mode", "RGB"), ("resample", "area"))
        given = [f"{name}={getattr(self, name)!r}" for name, default in usual if getattr(self, name) != default]
        return f"decode.image({', '.join(given)})"


def _as_size(given: Any) -> tuple[int, int]:
    """Return a size as (height, width). Raises TypeError or ValueError for what is none."""
    height, width = given if isinstance(given, tuple | list) else (given, given)
    if isinstance(height, bool) or isinstance(width, bool) or not (1 <= index(height) < 2**15 and 1 <= index(width) < 2**15):
        raise ValueError
    return index(height), index(width)
