"""What is wrong with a picture is said in words, and never returned as a picture."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from loader import ByteFiles, Loader, decode
from loader.data.decode.decoder import Undecodable
from loader.data.decode.image_decoder import ImageDecoder
from loader.errors import DecodeError, SampleError
from tests.unit.data.decode.images import jpeg_of_size, photo, png_of_size, saved

JPEG = saved(photo(), "JPEG", quality=90)
PNG = saved(photo(), "PNG")


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "a JPEG that is cut in the middle": (lambda: half(JPEG), r"ends in the middle of the picture, after [\d,]+ bytes: perhaps its download"),
    "a JPEG that lacks its last byte": (lambda: JPEG[:-1], "ends in the middle of the picture"),
    "a progressive JPEG that is cut": (lambda: half(saved(photo(), "JPEG", progressive=True)), "ends in the middle of the picture"),
    "a JPEG with a preview that is cut": (
        lambda: half(JPEG[:2] + b"\xff\xee" + (len(JPEG) + 2).to_bytes(2, "big") + JPEG + JPEG[2:] + JPEG),
        "ends in the middle of the picture",
    ),
    "a CMYK JPEG that is cut": (lambda: half(saved(photo(), "JPEG", "CMYK")), "ends in the middle of the picture"),
    "a JPEG that is cut in its header": (lambda: JPEG[:100], "ends inside of its header, after 100 bytes"),
    "a PNG with a bad checksum": (lambda: flipped(PNG, len(PNG) - 13), "is a damaged picture .*checksum in b'IDAT'"),
    "a PNG with damaged pixels": (lambda: flipped(PNG, len(PNG) // 2), "is a damaged picture"),
    "a PNG that is cut": (lambda: half(PNG), r"is a damaged picture \(Truncated File Read\)"),
    "a PNG that is cut in its header": (lambda: PNG[:20], "ends inside of its header, after 20 bytes"),
    "a WebP that is cut": (lambda: half(saved(photo(), "WEBP")), "is a damaged picture|is not a picture"),
    "a TIFF that is cut": (lambda: half(saved(photo(), "TIFF")), r"is a damaged picture \(image file is truncated"),
    "a BMP that is cut": (lambda: half(saved(photo(), "BMP")), r"is a damaged picture \(image file is truncated"),
    "a GIF that is cut": (lambda: half(saved(photo(), "GIF")), r"is a damaged picture \(image file is truncated"),
    "an empty file": (lambda: b"", r"is empty \(0 bytes\)"),
    "two bytes": (lambda: b"\xff\xd8", "is not a picture that OpenCV or Pillow reads: it begins"),
    "text": (lambda: b"cat, 1\ndog, 2\n", "is not a picture that OpenCV or Pillow reads but text, beginning b'cat, 1"),
    "an HTML page": (lambda: b"<!DOCTYPE html><html>404</html>", "but an HTML page, perhaps a failed download"),
    "a Git LFS pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer.*git lfs pull"),
    "a .npy file": (lambda: b"\x93NUMPY\x01\x00v\x00", "but a .npy file"),
    "zeros": (lambda: bytes(1000), "it begins with zeros"),
    "a PNG without pixels": (lambda: png_of_size(0, 0), r"is a picture without pixels: its header says 0 × 0 pixels"),
    "a JPEG without pixels": (lambda: jpeg_of_size(0, 64), r"is a picture without pixels: its header says 0 × 64 pixels"),
    "a decompression bomb": (lambda: png_of_size(50_000, 50_000), r"50,000 × 50,000 pixels .*7\.5 GB when decoded; at most 1,073,"),
    "a JPEG with a header that lies": (lambda: jpeg_of_size(60_000, 60_000), r"60,000 × 60,000 pixels"),
    "32-bit numbers": (lambda: cv2.imencode(".tif", np.zeros((4, 4), np.float32))[1].tobytes(), "holds numbers of 32 bits.*decode it by a function"),
}


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "RGB16"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_is_refused_in_words(kind: str, mode: str) -> None:
    make, words = BAD[kind]
    with pytest.raises(Undecodable, match=words):
        decode.image(mode=mode).decode(memoryview(make()))


def test_no_cut_jpeg_is_taken_for_a_picture() -> None:
    decoder = decode.image(size=8)
    for end in range(len(JPEG)):
        with pytest.raises(Undecodable):
            decoder.decode(memoryview(JPEG[:end]))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_no_damaged_header_raises_anything_else() -> None:
    decoder = decode.image(size=8)
    random = np.random.default_rng(5)
    for content in (JPEG, PNG, saved(photo(), "WEBP"), saved(photo(), "TIFF"), saved(photo(), "GIF"), saved(photo(), "BMP")):
        for _ in range(150):
            damaged = bytearray(content)
            for at in random.integers(0, min(600, len(damaged)), 3):
                damaged[at] = random.integers(256)
            with suppress(Undecodable):
                assert decoder.decode(memoryview(damaged)).shape == (8, 8, 3)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """As much memory as a worker of a small loader has."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


@pytest.mark.usefixtures("little_memory")
def test_a_picture_that_needs_more_than_its_worker_has_is_a_matter_of_memory() -> None:
    with pytest.raises(MemoryError, match=r"a picture of 20,000 × 30,000 pixels \(height × width\) takes 1,800 MB to decode, but .* 1,074 MB"):
        decode.image().decode(memoryview(png_of_size(20_000, 30_000)))


@pytest.mark.usefixtures("little_memory")
def test_want_of_memory_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A progressive JPEG takes three times as much on its way, and where that is not there OpenCV only says that there is no picture."""
    monkeypatch.setattr(ImageDecoder, "_by_opencv", lambda decoder, content, factor: None)
    with pytest.raises(Undecodable):
        decode.image().decode(memoryview(half(PNG)))
    with pytest.raises(MemoryError):
        decode.image().decode(memoryview(jpeg_of_size(15_000, 15_000)))


def test_a_picture_of_another_size_asks_for_a_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(saved(photo(10, 20), "PNG"))
    words = r"b\.png: is 10 × 20 pixels \(height × width\), but the first picture is 48 × 64 pixels.*decode\.image\(size=\(height, width\)\)"
    with Loader(ByteFiles(tmp_path, decode=decode.image()), 2, workers=0) as loader, pytest.raises(SampleError, match=words):
        next(iter(loader))


def test_a_bad_first_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(half(JPEG))
    with pytest.raises(DecodeError, match=r"a\.jpg: ends in the middle"):
        _ = ByteFiles(tmp_path, decode=decode.image()).spec
    with (
        Loader(ByteFiles(tmp_path, decode=decode.image(size=8)), 1, workers=0) as loader,
        pytest.raises(SampleError, match=r"sample 0 .*a\.jpg: ends in the middle"),
    ):
        next(iter(loader))


def test_suffixes_in_upper_case_are_pictures_and_others_are_left_out(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.Jpeg", "c.jpg", "Thumbs.db", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).write_bytes(JPEG)
    source = ByteFiles(tmp_path, decode=decode.image())
    assert source.ids() == ["a", "b", "c"]
